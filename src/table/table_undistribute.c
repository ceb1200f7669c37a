/*
 * table_undistribute.c - shards are taken down: because the table becomes
 * local again, or because it is gone.
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/relation.h"
#include "access/xact.h"
#include "commands/tablecmds.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "table/table_internal.h"

static void check_is_whole(Relation rel);
static uint64 take_home(Relation rel, const List *tree);
static const TessTable *table_to_undistribute(Relation rel, const List *tree);
static void lock_shards(const TessTable *table);
static void keep_size(Relation rel, uint64 rows);
static void notice_references(Relation rel);

void (*tess_table_group_hook)(Oid relation, int32 colocation_id,
							  bool joined) = NULL;

PG_FUNCTION_INFO_V1(tess_table_undistribute);

/* SQL: tessera.undistribute_table() */
Datum
tess_table_undistribute(PG_FUNCTION_ARGS)
{
	Relation rel;
	List *tree;
	uint64 rows;
	ListCell *lc;

	PreventCommandIfReadOnly("undistribute_table()");
	rel = tess_table_open_owned(tess_argument_relation(fcinfo, 0));
	tree = tess_table_tree(RelationGetRelid(rel), AccessExclusiveLock);
	check_is_whole(rel);
	rows = take_home(rel, tree);
	for_each_from(lc, tree, 1)
	{
		Relation partition = relation_open(lfirst_oid(lc), NoLock);

		rows += take_home(partition, tree);
		relation_close(partition, NoLock);
	}
	foreach(lc, tree)
	{
		const TessTable *table = tess_meta_table(lfirst_oid(lc));

		tess_table_drop_shards(table->relation, table->schema, table->name);
	}
	if (rows > 0)
		ereport(NOTICE,
				(errmsg_plural("moved " UINT64_FORMAT
							   " row of table \"%s\" back to this server",
							   "moved " UINT64_FORMAT
							   " rows of table \"%s\" back to this server",
							   rows, rows, RelationGetRelationName(rel))));
	notice_references(rel);
	relation_close(rel, NoLock);
	PG_RETURN_VOID();
}

/* A partition would be of this server while its table is of the nodes. */
static void
check_is_whole(Relation rel)
{
	if (rel->rd_rel->relispartition && tess_meta_table(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot undistribute partition \"%s\" by itself",
						RelationGetRelationName(rel)),
				 errhint(
					 "Undistribute its partitioned table, or detach the partition first.")));
}

/* The rows of the table, one of a tree, go into its shell; how many. */
static uint64
take_home(Relation rel, const List *tree)
{
	const TessTable *table = table_to_undistribute(rel, tree);
	uint64 rows = 0;

	if (table->kind == TESS_DISTRIBUTED)
	{
		/* a restore may have left rows there */
		tess_table_empty_shell(rel);
		lock_shards(table);
		if (tess_table_has_heap(rel))
			rows = tess_table_fetch_rows(rel, table);
		keep_size(rel, rows);
	}
	return rows;
}

/* Functions that run in a shard do not lock the shell. */
static void
lock_shards(const TessTable *table)
{
	TessWork *work = tess_work_of_table(table);

	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];
		ListCell *cell;

		foreach(cell, tess_work_names(node, table))
			node->commands = lappend(node->commands,
									 psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE",
											  (char *) lfirst(cell)));
	}
	tess_work_run(work);
}

/* What the statistics of its columns are about, now in its own files. */
static void
keep_size(Relation rel, uint64 rows)
{
	if (rows > 0)
		vac_update_relstats(rel, RelationGetNumberOfBlocks(rel), rows, 0,
							rel->rd_rel->relhasindex, InvalidTransactionId,
							InvalidMultiXactId, NULL, NULL, true);
}

static const TessTable *
table_to_undistribute(Relation rel, const List *tree)
{
	const TessTable *table = tess_meta_table(RelationGetRelid(rel));

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed",
						RelationGetRelationName(rel)),
				 errhint(
					 "The view tessera.tables lists distributed and reference tables.")));

	/* The shards would be read with a snapshot that is older than our lock. */
	if (table->kind == TESS_DISTRIBUTED && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot undistribute a table in a transaction that is not READ COMMITTED"),
				 errdetail(
					 "Rows that are newer than the transaction's snapshot would be lost."),
				 errhint(
					 "Call undistribute_table() in a READ COMMITTED transaction.")));
	CheckTableNotInUse(rel, "undistribute");
	tess_table_check_unreferenced(rel, tree, true);
	return table;
}

/* Its own foreign keys to distributed tables hold on, but cost them rights. */
static void
notice_references(Relation rel)
{
	List *names = NIL;
	ListCell *lc;

	foreach(lc, RelationGetFKeyList(rel))
	{
		const ForeignKeyCacheInfo *key = lfirst(lc);
		const TessTable *referenced = tess_meta_table(key->confrelid);

		if (referenced != NULL && referenced->kind == TESS_DISTRIBUTED)
			names = list_append_unique(names, makeString(referenced->name));
	}
	foreach(lc, names)
		lfirst(lc) = strVal(lfirst(lc));
	if (names != NIL)
		ereport(NOTICE,
				(errmsg("local table \"%s\" has foreign keys to %s",
						RelationGetRelationName(rel), tess_name_list(names)),
				 errdetail(
					 "Rows there cannot be deleted or get other keys while it has.")));
}

/* See table.h.  Locks the group if this is its last table in the schema. */
void
tess_table_drop_shards(Oid relation, const char *schema, const char *name)
{
	TessTableRow *row = tess_cat_table(relation);
	TessWork *work;
	bool drop_schemas = false;

	if (row == NULL)
		return;
	if (row->kind == TESS_DISTRIBUTED)
		work = tess_work_of_group(row->colocation_id);
	else
		work = tess_work_of_nodes(tess_meta_remote_nodes());
	tess_cat_table_delete(relation);
	if (row->kind == TESS_DISTRIBUTED && tess_table_group_hook != NULL)
	{
		if (tess_cat_tables_of_group(row->colocation_id) == NIL)
		{
			/* its triggers need what else is in the schemas */
			tess_work_drop(work, schema, name, false);
			tess_work_run(work);
		}
		tess_table_group_hook(relation, row->colocation_id, false);
	}
	if (row->kind == TESS_DISTRIBUTED)
		drop_schemas = tess_table_leave_group(row->colocation_id, schema);
	tess_work_drop(work, schema, name, drop_schemas);
	tess_work_run(work);
}
