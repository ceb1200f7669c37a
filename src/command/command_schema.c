/*
 * command_schema.c - tables of ours get another place, or their schema another
 * name: ALTER TABLE ... SET SCHEMA, ALTER SCHEMA ... RENAME TO.
 *
 * A shard is a schema for each source schema, so a table that moves here moves
 * there from one shard schema to another, which is made for it; and a schema
 * that is renamed has all of its shard schemas renamed.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_statistic_ext.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "function/function.h"
#include "objects/objects.h"
#include "table/table.h"

struct TessMove
{
	TessAltering altering;
	char *old_schema;
};

struct TessSchemaRename
{
	Oid namespace;
	char *old_name;
	List *tables; /* of ours, OIDs */
	List *groups; /* integers */
};

/* SET SCHEMA of a table -------------------------------------------------------- */

/* Rows of a distributed table are not seen by a publication of the schema. */
static void
refuse_published(const TessTable *table, const char *schema)
{
	Oid namespace = get_namespace_oid(schema, true);

	if (table->kind == TESS_DISTRIBUTED && OidIsValid(namespace) &&
		GetSchemaPublications(namespace) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot move distributed table \"%s\" to schema \"%s\", which is published",
						table->name, schema),
				 errdetail("Changes of its rows would happen on the nodes."),
				 errhint("Take the schema out of the publication first.")));
}

/* NULL if no table of ours is moved, or core will refuse it. */
TessMove *
tess_move_begin(const AlterObjectSchemaStmt *statement)
{
	TessMove *move;
	const TessTable *table;
	Oid relation;

	if (statement->objectType != OBJECT_TABLE)
		return NULL;
	relation = tess_alter_lock(statement->relation, AccessExclusiveLock);
	if (!OidIsValid(relation) || tess_is_index(relation))
		return NULL;
	table = tess_meta_table(relation);
	refuse_published(table, statement->newschema);
	/* Schemas of its shards come and go. */
	if (table->kind == TESS_DISTRIBUTED)
		tess_cat_group_lock(table->group->colocation_id, AccessExclusiveLock);
	move = palloc0(sizeof(TessMove));
	move->altering.relation = relation;
	move->old_schema = pstrdup(table->schema);
	return move;
}

const TessAltering *
tess_move_altering(const TessMove *move)
{
	return &move->altering;
}

/* "ALTER what schema.name SET SCHEMA new schema" */
static List *
move_template(const TessTable *table, const char *what, const char *old_schema,
			  const char *name)
{
	char *head = psprintf("ALTER %s ", what);

	if (table->kind == TESS_REFERENCE)
		return list_make1(
			makeString(psprintf("%s%s SET SCHEMA %s", head,
								tess_quote_qualified(old_schema, name),
								quote_identifier(table->schema))));
	return list_make4(makeString(head),
					  list_make1(makeString(pstrdup(old_schema))),
					  makeString(
						  psprintf(".%s SET SCHEMA ", quote_identifier(name))),
					  list_make1(makeString(pstrdup(table->schema))));
}

/* Statistics are where the table is, in the shards; core leaves them behind. */
static List *
statistics_templates(const TessTable *table, const char *old_schema)
{
	Relation rel = table_open(table->relation, NoLock);
	List *templates = NIL;
	ListCell *cell;

	foreach(cell, RelationGetStatExtList(rel))
	{
		HeapTuple tuple = SearchSysCache1(STATEXTOID,
										  ObjectIdGetDatum(lfirst_oid(cell)));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for statistics object %u",
				 lfirst_oid(cell));
		templates = lappend(templates,
							move_template(table, "STATISTICS", old_schema,
										  NameStr(((Form_pg_statistic_ext)
													   GETSTRUCT(tuple))
													  ->stxname)));
		ReleaseSysCache(tuple);
	}
	table_close(rel, NoLock);
	return templates;
}

static bool
group_has_tables_in(int32 colocation_id, const char *schema)
{
	Oid namespace = get_namespace_oid(schema, true);
	ListCell *cell;

	foreach(cell, tess_cat_tables_of_group(colocation_id))
	{
		if (get_rel_namespace(lfirst_oid(cell)) == namespace)
			return true;
	}
	return false;
}

/* The shell has been moved: its shards. */
void
tess_move_finish(TessMove *move)
{
	Oid relation = move->altering.relation;
	const TessTable *table;
	TessWork *work;
	bool is_distributed;

	CommandCounterIncrement();
	table = tess_meta_table(relation);
	if (strcmp(table->schema, move->old_schema) == 0)
		return;
	is_distributed = table->kind == TESS_DISTRIBUTED;
	tess_functions_table_moved(is_distributed ? table->group->colocation_id : 0,
							   move->old_schema, table->schema);
	work = tess_work_of_table(table);
	tess_repeat_needed_objects(work, relation);
	if (is_distributed)
		tess_work_create_schemas(work, table->schema);
	tess_work_add_templates(work, list_make1(move_template(table, "TABLE",
														   move->old_schema,
														   table->name)));
	if (is_distributed)
		tess_work_add_templates(work,
								statistics_templates(table, move->old_schema));
	tess_work_run(work);
	tess_objects_bring_for_table(relation);
	if (is_distributed &&
		!group_has_tables_in(table->group->colocation_id, move->old_schema))
	{
		tess_work_drop(work, move->old_schema, table->name, true);
		tess_work_run(work);
	}
}

/* RENAME of a schema ------------------------------------------------------------- */

/* OIDs, ascending: of our tables in a schema. */
static List *
tables_in(Oid namespace)
{
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(cell))->relation;

		if (get_rel_namespace(relation) == namespace)
			tables = lappend_oid(tables, relation);
	}
	list_sort(tables, list_oid_cmp);
	return tables;
}

/*
 * Who uses one of the tables may have told nodes the old name, so all of them
 * are locked; and then the name, which somebody may need who is distributing
 * one more.
 */
static List *
lock_tables_in(Oid namespace)
{
	List *locked = NIL;
	bool has_name = false;

	for (;;)
	{
		List *more = list_difference_oid(tables_in(namespace), locked);
		ListCell *cell;

		if (has_name && more == NIL)
			return tables_in(namespace);
		foreach(cell, more)
			LockRelationOid(lfirst_oid(cell), AccessExclusiveLock);
		locked = list_concat(locked, more);
		if (!has_name)
			tess_schema_lock(namespace, AccessExclusiveLock);
		has_name = true;
	}
}

/* Groups whose shards have a part of the schema, for tables or functions. */
List *
tess_groups_in_schema(Oid namespace)
{
	char *schema = get_namespace_name(namespace);
	List *groups = NIL;
	ListCell *cell;

	foreach(cell, tess_cat_tables())
	{
		const TessTableRow *row = lfirst(cell);

		if (row->kind == TESS_DISTRIBUTED &&
			get_rel_namespace(row->relation) == namespace)
			groups = list_append_unique_int(groups, row->colocation_id);
	}
	foreach(cell, tess_cat_functions())
	{
		const TessFunctionRow *row = lfirst(cell);

		if (row->colocation_id != 0 && strcmp(row->schema, schema) == 0)
			groups = list_append_unique_int(groups, row->colocation_id);
	}
	return groups;
}

/* Copies of reference tables are in the schema itself, which has to get its
 * name on the nodes with the other objects that they hold. */
static void
check_references(const TessSchemaRename *rename, const char *schema)
{
	ListCell *cell;

	if (tess_meta_remote_nodes() == NIL ||
		tess_objects_hold(NamespaceRelationId, rename->namespace))
		return;
	foreach(cell, rename->tables)
	{
		const TessTable *table = tess_meta_table(lfirst_oid(cell));

		if (table != NULL && table->kind == TESS_REFERENCE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot rename schema \"%s\" of reference table \"%s\"",
							schema, table->name),
					 errdetail("The nodes would keep the old name."),
					 errhint(
						 "Set tessera.propagate_objects, and call tessera.bring_objects().")));
	}
}

/* NULL if no table of ours is in the schema, or core will refuse it. */
TessSchemaRename *
tess_schema_rename_begin(const RenameStmt *statement)
{
	TessSchemaRename *rename;
	Oid namespace;

	if (tess_cat_is_restoring())
		return NULL;
	namespace = get_namespace_oid(statement->subname, true);
	if (!OidIsValid(namespace) ||
		!pg_namespace_ownercheck(namespace, GetUserId()))
		return NULL;
	rename = palloc0(sizeof(TessSchemaRename));
	rename->namespace = namespace;
	rename->tables = lock_tables_in(namespace);
	rename->groups = tess_groups_in_schema(namespace);
	rename->old_name = pstrdup(statement->subname);
	check_references(rename, statement->subname);
	return rename;
}

/* The schema has got its name: those of its shards. */
void
tess_schema_rename_finish(TessSchemaRename *rename)
{
	char *name;
	ListCell *cell;

	/* what is known of the tables has the old name in it */
	foreach(cell, rename->tables)
		CacheInvalidateRelcacheByRelid(lfirst_oid(cell));
	CommandCounterIncrement();
	name = get_namespace_name(rename->namespace);
	foreach(cell, rename->groups)
	{
		TessWork *work = tess_work_of_group(lfirst_int(cell));

		tess_work_rename_schemas(work, rename->old_name, name);
		tess_work_run(work);
	}
	tess_functions_schema_renamed(rename->old_name, name);
}
