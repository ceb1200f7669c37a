/*
 * command_index.c - CREATE INDEX and DROP INDEX on our tables.
 *
 * PostgreSQL makes the shell's index first, which checks the statement and
 * gives the index its name; the shards' indexes are then made from its
 * definition in the catalogs, so that their names are the same.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "deparse/deparse.h"
#include "statistics/statistics.h"
#include "table/table.h"

typedef struct DroppedIndex
{
	List *indexes; /* OIDs: the index, and what partitions have of it */
	TessWork *work;
} DroppedIndex;

static List *indexes_of(Oid relation);

/* The indexes that the table and its partitions have before the statement; NIL if
 * it is not ours. */
List *
tess_index_before_create(const IndexStmt *create)
{
	const TessTable *table = tess_command_table(create->relation);
	List *indexes = NIL;
	ListCell *lc;

	if (table == NULL)
		return NIL;
	tess_partition_lock_ancestors(table->relation, ShareLock);
	foreach(lc, tess_table_tree(table->relation, AccessShareLock))
		indexes = list_concat(indexes, indexes_of(lfirst_oid(lc)));
	return indexes;
}

static List *
indexes_of(Oid relation)
{
	Relation rel = table_open(relation, AccessShareLock);
	List *indexes = RelationGetIndexList(rel);

	table_close(rel, NoLock);
	return indexes;
}

/* The indexes that a table of a tree has got, and what partitions have of them. */
static void
add_new_indexes(TessWork *work, Oid relation, const List *old_indexes)
{
	Relation rel = table_open(relation, NoLock);
	ListCell *lc;

	tess_table_check_constraints(rel);
	if (rel->rd_rel->relkind == RELKIND_RELATION &&
		tess_meta_table(relation)->kind == TESS_DISTRIBUTED)
		tess_statistics_restore_size(rel);
	table_close(rel, NoLock);
	foreach(lc, indexes_of(relation))
	{
		Oid index = lfirst_oid(lc);
		ListCell *part;

		if (list_member_oid(old_indexes, index))
			continue;
		tess_work_add_templates(work, list_make1(tess_index_template(index)));
		foreach(part, find_inheritance_children(index, NoLock))
			tess_work_add_templates(work, list_make1(tess_ddl_attach_index(
											  lfirst_oid(part))));
	}
}

void
tess_index_after_create(const IndexStmt *create, const List *old_indexes)
{
	const TessTable *table = tess_command_table(create->relation);
	TessWork *work;
	List *tree;

	if (table == NULL)
		return;
	CommandCounterIncrement();
	work = tess_work_of_table(table);
	tree = tess_table_tree(table->relation, NoLock);
	for (int i = list_length(tree) - 1; i >= 0; i--)
		add_new_indexes(work, list_nth_oid(tree, i), old_indexes);
	tess_work_run(work);
}

/* That of the partitioned table alone, with ONLY. */
static char *
definition_of_own(Oid index)
{
	return TextDatumGetCString(
		DirectFunctionCall1(pg_get_indexdef, ObjectIdGetDatum(index)));
}

/* See command_internal.h. */
List *
tess_index_template(Oid index)
{
	const TessTable *table = tess_meta_table(IndexGetRelation(index, false));
	int level = tess_settings_pin();
	char *sql = get_rel_relkind(index) == RELKIND_PARTITIONED_INDEX
					? definition_of_own(index)
					: pg_get_indexdef_string(index);
	List *template = table->kind == TESS_REFERENCE ? list_make1(makeString(sql))
												   : tess_template_from_sql(sql);

	AtEOXact_GUC(true, level);
	return template;
}

/* What has to be dropped on the shards, once the shells' indexes are gone. */
List *
tess_index_before_drop(const DropStmt *drop)
{
	List *dropped = NIL;
	ListCell *lc;

	if (drop->removeType != OBJECT_INDEX)
		return NIL;
	foreach(lc, drop->objects)
	{
		RangeVar *name = makeRangeVarFromNameList(lfirst(lc));
		const TessTable *table = tess_command_table(name);
		DroppedIndex *entry;
		Oid index;

		if (table == NULL)
			continue;
		tess_partition_lock_ancestors(table->relation, AccessExclusiveLock);
		index = RangeVarGetRelid(name, NoLock, false);
		entry = palloc(sizeof(DroppedIndex));
		entry->indexes = find_all_inheritors(index, NoLock, NULL);
		entry->work = tess_index_drop_work(table, index, drop->behavior, false);
		dropped = lappend(dropped, entry);
	}
	return dropped;
}

/* See command_internal.h. */
TessWork *
tess_index_drop_work(const TessTable *table, Oid index, DropBehavior behavior,
					 bool is_concurrent)
{
	TessWork *work = tess_work_of_table(table);
	char *head = psprintf("DROP INDEX %s%s", is_concurrent ? "CONCURRENTLY " : "",
						  tess_index_is_valid(index) ? "" : "IF EXISTS ");
	const char *tail = behavior == DROP_CASCADE ? " CASCADE" : "";

	tess_work_add_templates(work,
							list_make1(tess_repeat_template(table, head,
															get_rel_name(index),
															tail)));
	return work;
}

void
tess_index_after_drop(List *dropped)
{
	ListCell *lc;

	foreach(lc, dropped)
	{
		DroppedIndex *entry = lfirst(lc);

		ListCell *index;

		foreach(index, entry->indexes)
			tess_effects_forget_part(lfirst_oid(index));
		tess_work_run(entry->work);
	}
}
