/*
 * command_index.c - CREATE INDEX and DROP INDEX on our tables.
 *
 * PostgreSQL makes the shell's index first, which checks the statement and
 * gives the index its name; the shards' indexes are then made from its
 * definition in the catalogs, so that their names are the same.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
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
	Oid index;
	TessWork *work;
} DroppedIndex;

static List *indexes_of(Oid relation);
static List *index_template(const TessTable *table, Oid index);

/* The indexes that the table has before the statement; NIL if it is not
 * ours. */
List *
tess_index_before_create(const IndexStmt *create)
{
	const TessTable *table = tess_command_table(create->relation);

	if (table == NULL)
		return NIL;
	return indexes_of(table->relation);
}

static List *
indexes_of(Oid relation)
{
	Relation rel = table_open(relation, AccessShareLock);
	List *indexes = RelationGetIndexList(rel);

	table_close(rel, NoLock);
	return indexes;
}

void
tess_index_after_create(const IndexStmt *create, const List *old_indexes)
{
	const TessTable *table = tess_command_table(create->relation);
	TessWork *work;
	Relation rel;
	ListCell *lc;

	if (table == NULL)
		return;
	rel = table_open(table->relation, NoLock);
	tess_table_check_constraints(rel);
	if (table->kind == TESS_DISTRIBUTED)
		tess_statistics_restore_size(rel);
	table_close(rel, NoLock);
	work = tess_work_of_table(table);
	foreach(lc, indexes_of(table->relation))
	{
		if (!list_member_oid(old_indexes, lfirst_oid(lc)))
			tess_work_add_templates(work,
									list_make1(
										index_template(table, lfirst_oid(lc))));
	}
	tess_work_run(work);
}

static List *
index_template(const TessTable *table, Oid index)
{
	int level = tess_settings_pin();
	char *sql = pg_get_indexdef_string(index);
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

		if (table == NULL)
			continue;
		entry = palloc(sizeof(DroppedIndex));
		entry->index = RangeVarGetRelid(name, NoLock, false);
		entry->work = tess_index_drop_work(table, entry->index, drop->behavior,
										   false);
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

		tess_effects_forget_part(entry->index);
		tess_work_run(entry->work);
	}
}
