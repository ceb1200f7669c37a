/*
 * command_statistics.c - CREATE, ALTER and DROP STATISTICS over our tables.
 *
 * The shards' objects are made from the shell's definition, under its name and
 * in the schema of their table, wherever the shell's is; those of a reference
 * table are where it is here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_statistic_ext.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "deparse/deparse.h"
#include "table/table.h"

struct TessNewStats
{
	TessAltering altering;
	List *before; /* the OIDs that the table had */
};

static List *
objects_of(Oid relation)
{
	Relation rel = table_open(relation, NoLock);
	List *objects = RelationGetStatExtList(rel);

	table_close(rel, NoLock);
	return objects;
}

/* NULL if they are not over a table of ours, or core will refuse them. */
TessNewStats *
tess_stats_before_create(const CreateStatsStmt *create)
{
	TessNewStats *statistics;
	Oid relation;

	if (list_length(create->relations) != 1 ||
		!IsA(linitial(create->relations), RangeVar))
		return NULL;
	relation = tess_alter_lock(linitial(create->relations),
							   ShareUpdateExclusiveLock);
	if (!OidIsValid(relation) || tess_meta_table(relation) == NULL)
		return NULL;
	statistics = palloc0(sizeof(TessNewStats));
	statistics->altering.relation = relation;
	statistics->before = objects_of(relation);
	return statistics;
}

const TessAltering *
tess_stats_altering(const TessNewStats *statistics)
{
	return &statistics->altering;
}

void
tess_stats_after_create(TessNewStats *statistics)
{
	const TessTable *table;
	TessWork *work;
	ListCell *lc;

	CommandCounterIncrement();
	table = tess_meta_table(statistics->altering.relation);
	work = tess_work_of_table(table);
	tess_repeat_needed_objects(work, table->relation);
	foreach(lc, objects_of(table->relation))
	{
		if (!list_member_oid(statistics->before, lfirst_oid(lc)))
			tess_work_add_templates(work, tess_ddl_statistics(table->relation,
															  lfirst_oid(lc)));
	}
	tess_work_run(work);
}

/* "head name tail" for the object of the shards; NIL if it is over a table
 * that is not ours. */
static List *
object_template(Oid object, const char *head, const char *tail)
{
	HeapTuple tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(object));
	Form_pg_statistic_ext form;
	const TessTable *table;
	List *template = NIL;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	form = (Form_pg_statistic_ext) GETSTRUCT(tuple);
	table = tess_meta_table(form->stxrelid);
	if (table != NULL && table->kind == TESS_DISTRIBUTED)
		template = tess_repeat_template(table, head, NameStr(form->stxname),
										tail);
	else if (table != NULL)
		template = list_make1(makeString(
			psprintf("%s%s%s", head,
					 tess_quote_qualified(get_namespace_name(form->stxnamespace),
										  NameStr(form->stxname)),
					 tail)));
	ReleaseSysCache(tuple);
	return template;
}

/* What the shards are to be told when core has done it here, for a statement
 * about statistics by that name; NULL if they are not over a table of ours, or
 * not the current user's.  Locks their table. */
TessWork *
tess_stats_work(List *name, const char *head, const char *tail)
{
	Oid object = get_statistics_object_oid(name, true);
	HeapTuple tuple;
	Oid relation;
	TessWork *work;

	if (!OidIsValid(object) ||
		!pg_statistics_object_ownercheck(object, GetUserId()))
		return NULL;
	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(object));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	relation = ((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxrelid;
	ReleaseSysCache(tuple);
	if (tess_meta_table(relation) == NULL)
		return NULL;
	LockRelationOid(relation, ShareUpdateExclusiveLock);
	if (tess_meta_table(relation) == NULL)
		return NULL;
	work = tess_work_of_table(tess_meta_table(relation));
	tess_work_add_templates(work,
							list_make1(object_template(object, head, tail)));
	return work;
}

/* DROP STATISTICS: list of TessWork *. */
List *
tess_stats_before_drop(const DropStmt *drop)
{
	List *works = NIL;
	ListCell *lc;

	if (drop->removeType != OBJECT_STATISTIC_EXT)
		return NIL;
	foreach(lc, drop->objects)
	{
		TessWork *work = tess_stats_work(lfirst(lc), "DROP STATISTICS ", "");

		if (work != NULL)
			works = lappend(works, work);
	}
	return works;
}

/* What an ALTER of any form says after the name. */
static char *
alter_tail(const Node *statement, List **name)
{
	const AlterStatsStmt *alter = (const AlterStatsStmt *) statement;
	const RenameStmt *rename = (const RenameStmt *) statement;
	const AlterOwnerStmt *owner = (const AlterOwnerStmt *) statement;
	const AlterObjectSchemaStmt *move = (const AlterObjectSchemaStmt *) statement;

	switch (nodeTag(statement))
	{
		case T_AlterStatsStmt:
			*name = alter->defnames;
			return psprintf(" SET STATISTICS %d", alter->stxstattarget);
		case T_RenameStmt:
			*name = castNode(List, rename->object);
			return psprintf(" RENAME TO %s", quote_identifier(rename->newname));
		case T_AlterOwnerStmt:
			*name = castNode(List, owner->object);
			return psprintf(" OWNER TO %s",
							quote_identifier(get_rolespec_name(owner->newowner)));
		default:
			*name = castNode(List, move->object);
			return psprintf(" SET SCHEMA %s", quote_identifier(move->newschema));
	}
}

/* ALTER STATISTICS, also RENAME, OWNER TO and SET SCHEMA (of which shards have
 * nothing: theirs are with their table).  NULL: nothing to do. */
TessWork *
tess_stats_before_alter(const Node *statement)
{
	List *name;
	char *tail = alter_tail(statement, &name);
	TessWork *work = tess_stats_work(name, "ALTER STATISTICS ", tail);

	if (work != NULL && IsA(statement, AlterObjectSchemaStmt) &&
		work->count > 0 && work->nodes[0].shard_count > 0)
		return NULL;
	return work;
}
