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
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
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
static void distribute(List *members);
static void add_needed_objects(TessWork *work, Oid relation);
static uint64 build(List *members, TessWork *work, bool as_reference);
static uint64 send_rows(List *members);
static void join_partitions(const List *members, TessWork *work);
static void empty_shells(const List *members);

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
	distribute(tess_table_members(&request));
	PG_RETURN_VOID();
}

/* See table.h. */
void
tess_table_distribute_partition(Oid partition)
{
	const TessTable *table = tess_meta_table(
		get_partition_parent(partition, false));
	TessTableRequest request = {0};

	request.key = get_attname(table->relation, table->key_attnum, false);
	request.strategy = table->group->strategy;
	request.colocation_id = table->group->colocation_id;
	request.rel = table_open(partition, AccessExclusiveLock);
	distribute(tess_table_members(&request));
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

/* Writes the table into the catalogs. */
static void
join_group(const TessTableRequest *member, int32 colocation_id)
{
	TessTableRow row = {0};

	tess_table_check_unique(member);
	row.relation = RelationGetRelid(member->rel);
	row.kind = TESS_DISTRIBUTED;
	row.colocation_id = colocation_id;
	row.key_column = member->key;
	tess_cat_table_insert(&row);
}

/* members: list of TessTableRequest *, a table and its partitions */
static void
distribute(List *members)
{
	const TessTableRequest *top = linitial(members);
	int32 colocation_id = 0;
	TessWork *work;
	uint64 rows;
	ListCell *lc;

	foreach(lc, members)
	{
		TessTableRequest *member = lfirst(lc);

		/* partitions may be of another schema */
		if (colocation_id != 0)
			member->colocation_id = colocation_id;
		colocation_id = tess_table_choose_group(member);
		join_group(member, colocation_id);
	}
	work = tess_work_of_group(colocation_id);
	foreach(lc, members)
	{
		const TessTableRequest *member = lfirst(lc);

		tess_table_check_foreign_keys(member, colocation_id);
		add_needed_objects(work, RelationGetRelid(member->rel));
		tess_work_create_schemas(work, get_namespace_name(
										   RelationGetNamespace(member->rel)));
	}
	rows = build(members, work, false);
	foreach(lc, members)
	{
		Oid relation = RelationGetRelid(
			((const TessTableRequest *) lfirst(lc))->rel);

		tess_objects_bring_for_table(relation);
		if (tess_table_group_hook != NULL)
			tess_table_group_hook(relation, colocation_id, true);
	}
	join_partitions(members, work);
	empty_shells(members);
	if (rows > 0)
		ereport(NOTICE,
				(errmsg_plural("moved " UINT64_FORMAT
							   " row of table \"%s\" to its shard",
							   "moved " UINT64_FORMAT
							   " rows of table \"%s\" to its shards",
							   rows, rows, RelationGetRelationName(top->rel))));
	tess_table_notice_referrers(top->rel);
	foreach(lc, members)
		table_close(((const TessTableRequest *) lfirst(lc))->rel, NoLock);
}

/* What the table needs on other servers.  This one has it. */
static void
add_needed_objects(TessWork *work, Oid relation)
{
	ListCell *lc;

	foreach(lc, tess_ddl_needed_objects(relation))
		tess_work_add(work, lfirst(lc));
}

/* Tables, rows, then indexes and constraints; empty tables take one round
 * trip.  The number of rows, also in each member. */
static uint64
build(List *members, TessWork *work, bool as_reference)
{
	bool has_rows = false;
	uint64 rows = 0;
	ListCell *lc;

	foreach(lc, members)
	{
		const TessTableRequest *member = lfirst(lc);
		Oid relation = RelationGetRelid(member->rel);

		tess_work_add_templates(work,
								tess_ddl_table_pre_data(relation, as_reference));
		has_rows |= tess_table_has_rows(member->rel);
	}
	if (has_rows)
	{
		tess_work_run(work);
		rows = send_rows(members);
	}
	foreach(lc, members)
	{
		Oid relation = RelationGetRelid(
			((const TessTableRequest *) lfirst(lc))->rel);

		tess_work_add_templates(work, tess_ddl_table_post_data(relation,
															   as_reference));
	}
	tess_work_run(work);
	return rows;
}

/* Those of all shells go to the shards; how many. */
static uint64
send_rows(List *members)
{
	uint64 rows = 0;
	ListCell *lc;

	foreach(lc, members)
	{
		TessTableRequest *member = lfirst(lc);
		Oid relation = RelationGetRelid(member->rel);

		if (!tess_table_has_rows(member->rel))
			continue;
		member->rows = tess_table_send_rows(member->rel,
											tess_meta_table(relation));
		rows += member->rows;
	}
	return rows;
}

/*
 * The partitions are attached in the shards, those of lower levels first; then
 * come foreign keys, of partitions before those of their tables.  PostgreSQL
 * looks at all rows of a partition that is attached.
 */
static void
join_partitions(const List *members, TessWork *work)
{
	List *attach = NIL;
	List *keys = NIL;

	for (int i = list_length(members) - 1; i >= 0; i--)
	{
		const TessTableRequest *member = list_nth(members, i);
		Oid relation = RelationGetRelid(member->rel);

		if (member->rel->rd_rel->relispartition)
			attach = lappend(attach, tess_ddl_attach(relation));
		if (member->rel->rd_rel->relispartition ||
			!tess_table_has_heap(member->rel))
			keys = list_concat(keys, tess_ddl_partition_keys(relation));
	}
	tess_work_add_templates(work, attach);
	tess_work_add_templates(work, keys);
	tess_work_run(work);
}

/* The shells are empty now, and known to measure what they did. */
static void
empty_shells(const List *members)
{
	const ListCell *lc;

	foreach(lc, members)
	{
		const TessTableRequest *member = lfirst(lc);
		TessStatisticsSize size = {0, member->rows};

		if (!tess_table_has_heap(member->rel))
			continue;
		size.pages = RelationGetNumberOfBlocks(member->rel);
		tess_table_empty_shell(member->rel);
		/* the statistics of its columns are still those of all rows */
		if (member->rows > 0)
			tess_statistics_set_size(member->rel, &size, true);
	}
}

/* SQL: tessera.create_reference_table() */
Datum
tess_table_replicate(PG_FUNCTION_ARGS)
{
	TessTableRequest request = {0};
	TessTableRow row = {0};
	TessWork *work;
	Relation rel;
	uint64 rows;

	PreventCommandIfReadOnly("create_reference_table()");
	rel = tess_table_open_owned(tess_argument_relation(fcinfo, 0));
	tess_table_check_candidate(rel, TESS_REFERENCE, false);
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
	request.rel = rel;
	rows = build(list_make1(&request), work, true);
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
