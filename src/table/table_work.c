/*
 * table_work.c - the statements that make or remove the shards of one table,
 * collected for each node and sent in one round trip to all of them.
 *
 * Statements of this very server run first and in process: what is wrong with
 * a table is found before anything has been sent.  Knows what is to be said,
 * not how a transaction holds it together: that is xact/.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "local/local.h"
#include "net/net.h"
#include "table/table_internal.h"
#include "task/task.h"
#include "xact/xact.h"

static List *shards_of_group(int32 colocation_id);
static int compare_shard_ids(const ListCell *a, const ListCell *b);
static TessNodeWork *node_work(TessWork *work, int32 node_id);
static char *shard_id_array(const TessNodeWork *node);

/*
 * The nodes of a group, each with the shards it holds; no statements yet.  In
 * the caller's context.  Read from the catalogs: the type of the key may be
 * gone, and with it what the cache knows of the group.
 */
TessWork *
tess_work_of_group(int32 colocation_id)
{
	TessWork *work = palloc0(sizeof(TessWork));
	List *shard_ids = shards_of_group(colocation_id);
	int node_count;
	ListCell *lc;

	(void) tess_meta_nodes(&node_count);
	work->nodes = palloc0(sizeof(TessNodeWork) * Max(node_count, 1));
	foreach(lc, shard_ids)
	{
		int64 shard_id = *(int64 *) lfirst(lc);
		ListCell *placement;

		foreach(placement, tess_cat_placements(shard_id))
		{
			TessNodeWork *node = node_work(work, ((TessPlacementRow *) lfirst(
													  placement))
													 ->node_id);

			if (node->shard_ids == NULL)
				node->shard_ids = palloc(sizeof(int64) * list_length(shard_ids));
			node->shard_ids[node->shard_count++] = shard_id;
		}
	}
	return work;
}

/* Ids, ascending and each once: list of int64 *. */
static List *
shards_of_group(int32 colocation_id)
{
	List *ranges = tess_cat_ranges(colocation_id);
	List *shard_ids = NIL;
	int64 last = 0;
	ListCell *lc;

	list_sort(ranges, compare_shard_ids);
	foreach(lc, ranges)
	{
		TessRangeRow *range = lfirst(lc);

		if (range->shard_id != last)
			shard_ids = lappend(shard_ids, &range->shard_id);
		last = range->shard_id;
	}
	return shard_ids;
}

static int
compare_shard_ids(const ListCell *a, const ListCell *b)
{
	int64 left = ((const TessRangeRow *) lfirst(a))->shard_id;
	int64 right = ((const TessRangeRow *) lfirst(b))->shard_id;

	return left < right ? -1 : left > right;
}

/* See table.h. */
TessWork *
tess_work_of_table(const TessTable *table)
{
	if (table->kind == TESS_DISTRIBUTED)
		return tess_work_of_group(table->group->colocation_id);
	return tess_work_of_nodes(tess_meta_remote_nodes());
}

/* See table.h. */
List *
tess_work_names(const TessNodeWork *node, const TessTable *table)
{
	List *names = NIL;

	if (node->shard_count == 0)
		return list_make1(tess_quote_qualified(table->schema, table->name));
	for (int i = 0; i < node->shard_count; i++)
		names = lappend(names,
						tess_meta_shard_relation(table, node->shard_ids[i]));
	return names;
}

/* See table.h. */
TessWork *
tess_work_of_nodes(List *nodes)
{
	TessWork *work = palloc0(sizeof(TessWork));
	ListCell *lc;

	work->nodes = palloc0(sizeof(TessNodeWork) * Max(list_length(nodes), 1));
	foreach(lc, nodes)
		(void) node_work(work, ((const TessNode *) lfirst(lc))->node_id);
	return work;
}

static TessNodeWork *
node_work(TessWork *work, int32 node_id)
{
	TessNodeWork *node;

	for (int i = 0; i < work->count; i++)
	{
		if (work->nodes[i].node_id == node_id)
			return &work->nodes[i];
	}
	node = &work->nodes[work->count++];
	node->node_id = node_id;
	node->is_local = tess_meta_node(node_id)->is_local;
	return node;
}

/* A statement for every other server.  This server has those objects. */
void
tess_work_add(TessWork *work, const char *sql)
{
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		if (!node->is_local)
			node->commands = lappend(node->commands, unconstify(char *, sql));
	}
}

/* See table.h. */
void
tess_work_add_templates(TessWork *work, List *templates)
{
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		for (int j = 0; j < Max(node->shard_count, 1); j++)
		{
			int64 shard_id = node->shard_ids ? node->shard_ids[j] : 0;
			ListCell *lc;

			foreach(lc, templates)
				node->commands = lappend(node->commands,
										 tess_template_sql(lfirst(lc), shard_id));
		}
	}
}

/* See table.h. */
void
tess_work_create_schemas(TessWork *work, const char *schema)
{
	Oid namespace = get_namespace_oid(schema, true);

	if (OidIsValid(namespace))
		tess_schema_lock(namespace, AccessShareLock);
	if (get_namespace_oid(schema, true) != namespace)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("schema \"%s\" was renamed at the same time", schema),
				 errhint("Try again.")));
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		if (node->shard_count == 0)
			continue;
		if (node->is_local)
			tess_shard_schemas_create(schema, node->shard_count, node->shard_ids);
		else
			node->commands = lappend(node->commands,
									 psprintf("SELECT tessera_internal.create_shard_schemas(%s, %s)",
											  quote_literal_cstr(schema),
											  shard_id_array(node)));
	}
}

/* See table.h. */
void
tess_work_rename_schemas(TessWork *work, const char *old_name,
						 const char *new_name)
{
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		if (node->is_local)
			tess_shard_schemas_rename(old_name, new_name, node->shard_count,
									  node->shard_ids);
		else
			node->commands = lappend(node->commands,
									 psprintf("SELECT tessera_internal.rename_shard_schemas(%s, %s, %s)",
											  quote_literal_cstr(old_name),
											  quote_literal_cstr(new_name),
											  shard_id_array(node)));
	}
}

/* Drops a table in all shards (or its copies), and the shards' schemas where
 * nothing is left in them.  Those of this server are dropped now. */
void
tess_work_drop(TessWork *work, const char *schema, const char *name,
			   bool drop_schemas)
{
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		if (node->is_local)
			tess_shards_drop(schema, name, node->shard_count, node->shard_ids,
							 drop_schemas, false);
		else
			node->commands = lappend(node->commands,
									 psprintf("SELECT tessera_internal.drop_shards(%s, %s, %s, %s)",
											  quote_literal_cstr(schema),
											  quote_literal_cstr(name),
											  shard_id_array(node),
											  drop_schemas ? "true" : "false"));
	}
}

/* "'{1,2,3}'::pg_catalog.int8[]" */
static char *
shard_id_array(const TessNodeWork *node)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "'{");
	for (int i = 0; i < node->shard_count; i++)
		appendStringInfo(&text, "%s" INT64_FORMAT, i > 0 ? "," : "",
						 node->shard_ids[i]);
	appendStringInfoString(&text, "}'::pg_catalog.int8[]");
	return text.data;
}

/* See table.h.  First in process, then the other nodes in one round trip. */
void
tess_work_run(TessWork *work)
{
	TessSession **sessions = palloc(sizeof(TessSession *) * Max(work->count, 1));
	List **lists = palloc(sizeof(List *) * Max(work->count, 1));
	int32 *node_ids = palloc(sizeof(int32) * Max(work->count, 1));
	int count = 0;

	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		if (node->commands == NIL)
			continue;
		if (node->is_local)
			tess_local_run(node->commands);
		else
		{
			node_ids[count] = node->node_id;
			lists[count++] = node->commands;
		}
		node->commands = NIL;
	}
	if (count > 0)
	{
		tess_xact_sessions(count, node_ids, InvalidOid, TESS_WRITE, sessions);
		tess_net_run_lists(count, sessions, lists);
	}
}
