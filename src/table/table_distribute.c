/*
 * table_distribute.c - a local table becomes a distributed or a reference
 * table, in one transaction on all nodes.
 *
 * Order: lock the table, check it, choose its shards, write the catalogs,
 * make the shards, send the rows, then indexes and constraints, and empty the
 * shell at last.  An error anywhere rolls all of it back everywhere.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "deparse/deparse.h"
#include "objects/objects.h"
#include "statistics/statistics.h"
#include "table/table_internal.h"

static TessStrategy strategy_by_name(const char *name);
static void distribute(TessTableRequest *request);
static void add_needed_objects(TessWork *work, Oid relation);
static uint64 build(Relation rel, TessWork *work, bool as_reference);

PG_FUNCTION_INFO_V1(tess_table_distribute);
PG_FUNCTION_INFO_V1(tess_table_replicate);

/* SQL: tessera.create_distributed_table() */
Datum
tess_table_distribute(PG_FUNCTION_ARGS)
{
	TessTableRequest request = {0};

	PreventCommandIfReadOnly("create_distributed_table()");
	tess_argument_refuse_null(fcinfo, 1, "key", _("Give the name of a column."));
	tess_argument_refuse_null(fcinfo, 2, "strategy",
							  _("Leave the argument out to get its default."));
	tess_argument_refuse_null(fcinfo, 3, "colocate_with",
							  _("Leave the argument out to get its default."));
	request.key = text_to_cstring(PG_GETARG_TEXT_PP(1));
	request.strategy = strategy_by_name(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	request.colocate_with = text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (!PG_ARGISNULL(4))
	{
		request.shard_count = PG_GETARG_INT32(4);
		if (request.shard_count < 1 || request.shard_count > 64000)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("shard_count %d is out of range", request.shard_count),
					 errhint(
						 "It must be between 1 and 64000; NULL takes tessera.shard_count.")));
	}
	request.rel = tess_table_open_owned(tess_argument_relation(fcinfo, 0));
	tess_table_check_candidate(request.rel);
	tess_table_check_published(request.rel);
	tess_table_check_triggers(request.rel, TESS_DISTRIBUTED);
	tess_table_resolve_key(&request);
	distribute(&request);
	relation_close(request.rel, NoLock);
	PG_RETURN_VOID();
}

static TessStrategy
strategy_by_name(const char *name)
{
	if (strcmp(name, "hash") == 0)
		return TESS_HASH;
	if (strcmp(name, "range") == 0 || strcmp(name, "directory") == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("strategy \"%s\" is not supported yet", name),
						errhint("Use 'hash'.")));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized strategy \"%s\"", name),
					errhint("Use 'hash'.")));
}

static void
distribute(TessTableRequest *request)
{
	Relation rel = request->rel;
	Oid relation = RelationGetRelid(rel);
	char *schema = get_namespace_name(RelationGetNamespace(rel));
	TessTableRow row = {0};
	TessStatisticsSize size = {RelationGetNumberOfBlocks(rel)};
	TessWork *work;
	uint64 rows;

	tess_table_check_unique(request);
	row.relation = relation;
	row.kind = TESS_DISTRIBUTED;
	row.colocation_id = tess_table_choose_group(request);
	row.key_column = request->key;
	tess_table_check_foreign_keys(request, row.colocation_id);
	tess_cat_table_insert(&row);

	work = tess_work_of_group(row.colocation_id);
	add_needed_objects(work, relation);
	tess_work_create_schemas(work, schema);
	rows = build(rel, work, false);
	tess_objects_bring_for_table(relation);
	if (tess_table_group_hook != NULL)
		tess_table_group_hook(relation, row.colocation_id, true);
	tess_table_empty_shell(rel);
	if (rows > 0)
	{
		/* the statistics of its columns are still those of all rows */
		size.rows = rows;
		tess_statistics_set_size(rel, &size, true);
		ereport(NOTICE,
				(errmsg_plural("moved " UINT64_FORMAT
							   " row of table \"%s\" to its shard",
							   "moved " UINT64_FORMAT
							   " rows of table \"%s\" to its shards",
							   rows, rows, RelationGetRelationName(rel))));
	}
	tess_table_notice_referrers(rel);
}

/* What the table needs on other servers.  This one has it. */
static void
add_needed_objects(TessWork *work, Oid relation)
{
	ListCell *lc;

	foreach(lc, tess_ddl_needed_objects(relation))
		tess_work_add(work, lfirst(lc));
}

/* Tables, rows, then indexes and constraints; an empty table takes one round
 * trip.  The number of rows. */
static uint64
build(Relation rel, TessWork *work, bool as_reference)
{
	Oid relation = RelationGetRelid(rel);
	uint64 rows = 0;

	tess_work_add_templates(work,
							tess_ddl_table_pre_data(relation, as_reference));
	if (tess_table_has_rows(rel))
	{
		tess_work_run(work);
		rows = tess_table_send_rows(rel, tess_meta_table(relation));
	}
	tess_work_add_templates(work,
							tess_ddl_table_post_data(relation, as_reference));
	tess_work_run(work);
	return rows;
}

/* SQL: tessera.create_reference_table() */
Datum
tess_table_replicate(PG_FUNCTION_ARGS)
{
	TessTableRow row = {0};
	TessWork *work;
	Relation rel;
	uint64 rows;

	PreventCommandIfReadOnly("create_reference_table()");
	rel = tess_table_open_owned(tess_argument_relation(fcinfo, 0));
	tess_table_check_candidate(rel);
	tess_table_check_triggers(rel, TESS_REFERENCE);
	tess_table_check_reference_keys(rel);
	row.relation = RelationGetRelid(rel);
	row.kind = TESS_REFERENCE;
	/* Before the nodes are read: add_node, which cannot see this table yet,
	 * must not bring one meanwhile that would have no copy of it. */
	LockRelationOid(tess_catalog_relation_oid("node"), RowExclusiveLock);
	tess_schema_lock(RelationGetNamespace(rel), AccessShareLock);
	tess_cat_table_insert(&row);

	work = tess_work_of_nodes(tess_meta_remote_nodes());
	add_needed_objects(work, row.relation);
	rows = build(rel, work, true);
	tess_objects_bring_for_table(row.relation);
	if (rel->rd_rel->relrowsecurity && tess_table_group_hook != NULL)
		tess_table_group_hook(row.relation, 0, true);
	if (rows > 0 && work->count > 0)
		ereport(NOTICE,
				(errmsg_plural("copied " UINT64_FORMAT
							   " row of table \"%s\" to the nodes",
							   "copied " UINT64_FORMAT
							   " rows of table \"%s\" to the nodes",
							   rows, rows, RelationGetRelationName(rel))));
	relation_close(rel, NoLock);
	PG_RETURN_VOID();
}
