/*
 * shard_sizes.c - how large the shards of a table are, as their servers' own
 * pg_class says: one question for each node, all at the same time.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "net/net.h"
#include "statistics/statistics_internal.h"
#include "xact/xact.h"

/* The last column: is the current user as good as the owner?  (A name cast to
 * regclass would have to be in a schema that he may use.) */
#define SIZES_SQL \
	"SELECT w.i, c.relpages, c.reltuples, c.relallvisible, pg_has_role(c.relowner, 'USAGE')" \
	" FROM (VALUES %s) w (i, schema) JOIN pg_namespace n ON n.nspname = w.schema" \
	" JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = %s"

static void
set_size(TessShardSize *shard, double pages, double rows, double visible_pages)
{
	/* -1: not analyzed, because it was locked, or is not there any more */
	shard->size.rows = Max(rows, 0);
	shard->size.pages = pages;
	shard->size.visible_pages = visible_pages;
}

static void
look_here(TessShardSize *shard, const TessTable *table)
{
	Oid schema = get_namespace_oid(tess_shard_schema_name(table->schema,
														  shard->shard_id),
								   true);
	Oid relation = OidIsValid(schema) ? get_relname_relid(table->name, schema)
									  : InvalidOid;
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_class) GETSTRUCT(tuple);
	set_size(shard, form->relpages, form->reltuples, form->relallvisible);
	ReleaseSysCache(tuple);
}

static char *
question(const TessShardSizes *sizes, const TessTable *table, int32 node_id)
{
	StringInfoData schemas;

	initStringInfo(&schemas);
	for (int i = 0; i < sizes->count; i++)
	{
		const TessShardSize *shard = &sizes->shards[i];
		char *schema;

		if (shard->node_id != node_id)
			continue;
		schema = tess_shard_schema_name(table->schema, shard->shard_id);
		appendStringInfo(&schemas, "%s(%d, %s)", schemas.len > 0 ? ", " : "", i,
						 quote_literal_cstr(schema));
	}
	return psprintf(SIZES_SQL, schemas.data, quote_literal_cstr(table->name));
}

static void
note_answer(TessShardSizes *sizes, const PGresult *result)
{
	for (int row = 0; row < PQntuples(result); row++)
	{
		set_size(&sizes->shards[pg_strtoint32(PQgetvalue(result, row, 0))],
				 strtod(PQgetvalue(result, row, 1), NULL),
				 strtod(PQgetvalue(result, row, 2), NULL),
				 strtod(PQgetvalue(result, row, 3), NULL));
		if (strcmp(PQgetvalue(result, row, 4), "t") != 0)
			sizes->are_owned = false;
	}
}

/* Reads one node's answer to the end. */
static void
read_answer(TessSession *session, TessShardSizes *sizes)
{
	PGresult *result;
	void *tag;

	while (tess_net_next(session, &result, &tag))
	{
		if (tag == sizes)
			note_answer(sizes, result);
	}
}

static void
ask_nodes(TessShardSizes *sizes, const TessTable *table)
{
	TessSession **sessions = palloc(sizeof(TessSession *) * sizes->node_count);

	tess_xact_sessions(sizes->node_count, sizes->node_ids, InvalidOid,
					   TESS_READ, sessions);
	for (int i = 0; i < sizes->node_count; i++)
	{
		tess_session_claim(sessions[i], NULL, NULL);
		tess_session_queue(sessions[i],
						   question(sizes, table, sizes->node_ids[i]), NULL,
						   false, false, sizes);
		tess_session_flush(sessions[i]);
	}
	for (int i = 0; i < sizes->node_count; i++)
		read_answer(sessions[i], sizes);
}

static void
add_node(TessShardSizes *sizes, int32 node_id)
{
	for (int i = 0; i < sizes->node_count; i++)
	{
		if (sizes->node_ids[i] == node_id)
			return;
	}
	sizes->node_ids[sizes->node_count++] = node_id;
}

/* See statistics_internal.h.  In the caller's context. */
TessShardSizes *
tess_shard_sizes_ask(const TessTable *table)
{
	const TessGroup *group = table->group;
	TessShardSizes *sizes = palloc0(sizeof(TessShardSizes));

	sizes->are_owned = true;
	sizes->count = group->shard_count;
	sizes->shards = palloc0(sizeof(TessShardSize) * group->shard_count);
	sizes->node_ids = palloc(sizeof(int32) * group->shard_count);
	for (int i = 0; i < group->shard_count; i++)
	{
		TessShardSize *shard = &sizes->shards[i];

		shard->shard_id = group->shards[i].shard_id;
		shard->node_id = group->shards[i].node_ids[0];
		shard->is_local = tess_meta_node(shard->node_id)->is_local;
		shard->relation = tess_meta_shard_relation(table, shard->shard_id);
		if (shard->is_local)
			look_here(shard, table);
		else
			add_node(sizes, shard->node_id);
	}
	if (sizes->node_count > 0)
		ask_nodes(sizes, table);
	for (int i = 0; i < sizes->count; i++)
	{
		sizes->total.pages += sizes->shards[i].size.pages;
		sizes->total.rows += sizes->shards[i].size.rows;
		sizes->total.visible_pages += sizes->shards[i].size.visible_pages;
	}
	return sizes;
}
