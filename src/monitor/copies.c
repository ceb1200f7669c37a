/*
 * copies.c - where the rows of a table are: shards, copies, names.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "monitor/monitor_internal.h"
#include "tessera.h"

PG_FUNCTION_INFO_V1(tess_shard_relation);

static List *
add_copy(List *copies, const TessTable *table, int64 shard_id,
		 const TessNode *node)
{
	TessCopy *copy = palloc0(sizeof(TessCopy));

	copy->table = table;
	copy->shard_id = shard_id;
	copy->node = node;
	return lappend(copies, copy);
}

/* List of TessCopy, in order of shards and nodes; nothing is measured yet. */
List *
tess_copies_of_table(const TessTable *table)
{
	List *copies = NIL;

	if (table->kind == TESS_REFERENCE)
	{
		int count;
		const TessNode *const *nodes = tess_meta_nodes(&count);

		for (int i = 0; i < count; i++)
		{
			if (nodes[i]->is_local || nodes[i]->active)
				copies = add_copy(copies, table, 0, nodes[i]);
		}
		return copies;
	}

	for (int i = 0; i < table->group->shard_count; i++)
	{
		const TessShard *shard = &table->group->shards[i];

		for (int j = 0; j < shard->node_count; j++)
			copies = add_copy(copies, table, shard->shard_id,
							  tess_meta_node(shard->node_ids[j]));
	}
	return copies;
}

/* The schema in which the copy stands on its node.  Palloc'd. */
char *
tess_copy_schema(const TessCopy *copy)
{
	return copy->shard_id == 0
			   ? pstrdup(copy->table->schema)
			   : tess_shard_schema_name(copy->table->schema, copy->shard_id);
}

/* tessera_internal.shard_relation(relation, shard_id); NULL for tables that
 * are not ours. */
Datum
tess_shard_relation(PG_FUNCTION_ARGS)
{
	const TessTable *table;
	char *name;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	table = tess_meta_table(PG_GETARG_OID(0));
	if (table == NULL)
		PG_RETURN_NULL();
	if (PG_ARGISNULL(1))
		name = tess_quote_qualified(table->schema, table->name);
	else
		name = tess_meta_shard_relation(table, PG_GETARG_INT64(1));
	PG_RETURN_TEXT_P(cstring_to_text(name));
}
