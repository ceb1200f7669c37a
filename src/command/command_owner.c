/*
 * command_owner.c - new owners of our tables and of their schemas: REASSIGN
 * OWNED, ALTER SCHEMA ... OWNER TO.  (ALTER TABLE ... OWNER TO is one of the forms
 * of ALTER TABLE.)
 *
 * REASSIGN OWNED names no tables: those that the roles own are looked for, and
 * locked as PostgreSQL will lock them.  Who may use the schemas of shards is
 * copied on the nodes from the source schema, so a new owner of that has to be
 * known there first.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/user.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "table/table.h"

struct TessReassign
{
	TessAltering altering;
	char *owner; /* the new one, quoted */
};

static Oid
owner_of(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* Our tables that the roles own, locked in the order of their OIDs. */
static List *
lock_tables_of(const List *roles)
{
	List *tables = NIL;
	List *locked = NIL;
	ListCell *cell;

	foreach(cell, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(cell))->relation;

		if (list_member_oid(roles, owner_of(relation)))
			tables = lappend_oid(tables, relation);
	}
	list_sort(tables, list_oid_cmp);
	foreach(cell, tables)
	{
		LockRelationOid(lfirst_oid(cell), AccessExclusiveLock);
		if (list_member_oid(roles, owner_of(lfirst_oid(cell))))
			locked = lappend_oid(locked, lfirst_oid(cell));
	}
	return locked;
}

/* NULL if none of our tables gets another owner, or core will refuse it. */
TessReassign *
tess_reassign_begin(const ReassignOwnedStmt *statement)
{
	TessReassign *reassign;
	List *roles = roleSpecsToIds(statement->roles);
	ListCell *cell;

	if (tess_cat_is_restoring())
		return NULL;
	foreach(cell, roles)
	{
		if (!has_privs_of_role(GetUserId(), lfirst_oid(cell)))
			return NULL;
	}
	reassign = palloc0(sizeof(TessReassign));
	reassign->altering.others = lock_tables_of(roles);
	reassign->owner = pstrdup(
		quote_identifier(get_rolespec_name(statement->newrole)));
	return reassign->altering.others != NIL ? reassign : NULL;
}

const TessAltering *
tess_reassign_altering(const TessReassign *reassign)
{
	return &reassign->altering;
}

/* The shells have got their owner: the shards. */
void
tess_reassign_finish(TessReassign *reassign)
{
	ListCell *cell;

	CommandCounterIncrement();
	foreach(cell, reassign->altering.others)
	{
		const TessTable *table = tess_meta_table(lfirst_oid(cell));
		TessWork *work = tess_work_of_table(table);

		tess_repeat_needed_objects(work, table->relation);
		tess_work_add_templates(work,
								list_make1(
									tess_repeat_template(table, "ALTER TABLE ",
														 table->name,
														 psprintf(" OWNER TO %s",
																  reassign->owner))));
		tess_work_run(work);
	}
}

/* Lets the new owners of schemas use those of their shards.  For after the nodes
 * have been told whose a schema is. */
void
tess_owner_follow(const Node *statement)
{
	const AlterOwnerStmt *alter = (const AlterOwnerStmt *) statement;
	List *schemas = NIL;
	ListCell *cell;

	if (tess_cat_is_restoring())
		return;
	if (IsA(statement, AlterOwnerStmt) && alter->objectType == OBJECT_SCHEMA)
		schemas = list_make1_oid(get_namespace_oid(strVal(alter->object), false));
	else if (IsA(statement, ReassignOwnedStmt))
	{
		foreach(cell, tess_cat_tables())
		{
			Oid relation = ((TessTableRow *) lfirst(cell))->relation;

			schemas = list_append_unique_oid(schemas,
											 get_rel_namespace(relation));
		}
	}
	foreach(cell, schemas)
	{
		char *schema = get_namespace_name(lfirst_oid(cell));
		ListCell *group;

		foreach(group, tess_groups_in_schema(lfirst_oid(cell)))
		{
			TessWork *work = tess_work_of_group(lfirst_int(group));

			tess_work_create_schemas(work, schema);
			tess_work_run(work);
		}
	}
}
