/*
 * command_rights.c - GRANT, REVOKE and DROP OWNED: PostgreSQL has done it to
 * the shells and schemas, and the same is now written for the shards and
 * copies.
 *
 * GRANT on a schema locks no table: what was there may be gone by now.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_shdepend.h"
#include "commands/user.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "deparse/deparse.h"

static void repeat_schema_grant(const GrantStmt *grant);
static List *granted_tables(const GrantStmt *grant);
static const TessTable *locked_table(Oid relation);
static char *rights_text(const GrantStmt *grant, const char *objects);
static char *grant_head(const GrantStmt *grant);
static char *grant_tail(const GrantStmt *grant, List *grantees);
static const char *role_text(const RoleSpec *role);
static GrantStmt *revoke_of(RoleSpec *role, Oid class_id, Oid object_id);

/*
 * Locks what it names, before PostgreSQL does it: whose table is just being
 * distributed waits here, and then knows of it; whose table is just being
 * dropped would fail with "tuple concurrently deleted".
 */
void
tess_rights_lock(const GrantStmt *grant)
{
	ListCell *lc;

	if (grant->objtype != OBJECT_TABLE)
		return;
	if (grant->targtype == ACL_TARGET_OBJECT)
	{
		foreach(lc, grant->objects)
			(void) RangeVarGetRelid(lfirst(lc), AccessShareLock, true);
	}
	else if (grant->targtype == ACL_TARGET_ALL_IN_SCHEMA)
	{
		foreach(lc, granted_tables(grant))
			LockRelationOid(lfirst_oid(lc), AccessShareLock);
	}
}

/* GRANT and REVOKE on tables: one statement for each node and table.  On
 * schemas: see repeat_schema_grant. */
void
tess_rights_repeat(const GrantStmt *grant)
{
	ListCell *lc;

	if (grant->objtype == OBJECT_SCHEMA)
		repeat_schema_grant(grant);
	if (grant->objtype != OBJECT_TABLE || grant->targtype == ACL_TARGET_DEFAULTS)
		return;
	foreach(lc, granted_tables(grant))
	{
		const TessTable *table = locked_table(lfirst_oid(lc));
		TessWork *work;

		if (table == NULL)
			continue;
		work = tess_work_of_table(table);
		if (grant->is_grant)
			tess_repeat_needed_objects(work, table->relation);
		for (int i = 0; i < work->count; i++)
		{
			TessNodeWork *node = &work->nodes[i];
			char *names = tess_names_join(tess_work_names(node, table));

			node->commands = lappend(node->commands, rights_text(grant, names));
		}
		tess_work_run(work);
	}
}

/* A table of ours that stays so until commit; NULL if it is none. */
static const TessTable *
locked_table(Oid relation)
{
	LockRelationOid(relation, AccessShareLock);
	return tess_meta_table(relation);
}

/*
 * Schemas with tables of ours: the same on the nodes, and then the schemas of
 * the shards get the rights that the source schema has there.
 */
static void
repeat_schema_grant(const GrantStmt *grant)
{
	List *done = NIL; /* schema and group, as text */
	ListCell *lc;

	foreach(lc, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(lc))->relation;
		int32 group = ((TessTableRow *) lfirst(lc))->colocation_id;
		char *schema = get_namespace_name(get_rel_namespace(relation));
		String *mark;
		const TessTable *table;
		TessWork *work;

		if (!schema || !list_member(grant->objects, makeString(schema)))
			continue;
		mark = makeString(psprintf("%d %s", group, schema));
		if (list_member(done, mark))
			continue;
		table = locked_table(relation);
		if (table == NULL)
			continue;
		done = lappend(done, mark);
		work = tess_work_of_table(table);
		if (grant->is_grant)
			tess_repeat_needed_objects(work, relation);
		for (int i = 0; i < work->count; i++)
		{
			TessNodeWork *node = &work->nodes[i];

			if (!node->is_local)
				node->commands = lappend(node->commands,
										 rights_text(grant,
													 quote_identifier(schema)));
		}
		tess_work_create_schemas(work, schema);
		tess_work_run(work);
	}
}

/* OIDs. */
static List *
granted_tables(const GrantStmt *grant)
{
	List *tables = NIL;
	ListCell *lc;

	if (grant->targtype == ACL_TARGET_OBJECT)
	{
		foreach(lc, grant->objects)
		{
			const TessTable *table = tess_command_table(lfirst(lc));

			if (table != NULL)
				tables = list_append_unique_oid(tables, table->relation);
		}
		return tables;
	}
	foreach(lc, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(lc))->relation;
		char *schema = get_namespace_name(get_rel_namespace(relation));

		if (schema && list_member(grant->objects, makeString(schema)))
			tables = lappend_oid(tables, relation);
	}
	return tables;
}

/*
 * The statement for a node.  It need not know a role from which is revoked
 * what was never granted to it: then there is nothing to do.
 */
static char *
rights_text(const GrantStmt *grant, const char *objects)
{
	char *head = grant_head(grant);
	StringInfoData body;
	ListCell *lc;

	if (grant->is_grant)
		return psprintf("%s%s%s", head, objects,
						grant_tail(grant, grant->grantees));

	initStringInfo(&body);
	foreach(lc, grant->grantees)
	{
		const RoleSpec *role = lfirst(lc);
		char *revoke = psprintf("%s%s%s", head, objects,
								grant_tail(grant, list_make1(lfirst(lc))));

		if (role->roletype != ROLESPEC_PUBLIC)
			appendStringInfo(&body,
							 "IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN ",
							 quote_literal_cstr(get_rolespec_name(role)));
		appendStringInfo(&body, "EXECUTE %s; ", quote_literal_cstr(revoke));
		if (role->roletype != ROLESPEC_PUBLIC)
			appendStringInfoString(&body, "END IF; ");
	}
	return psprintf("DO LANGUAGE plpgsql %s",
					quote_literal_cstr(psprintf("BEGIN %sEND", body.data)));
}

/* Up to the names of the tables. */
static char *
grant_head(const GrantStmt *grant)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, grant->is_grant ? "GRANT " : "REVOKE ");
	if (!grant->is_grant && grant->grant_option)
		appendStringInfoString(&sql, "GRANT OPTION FOR ");
	if (grant->privileges == NIL)
		appendStringInfoString(&sql, "ALL");
	foreach(lc, grant->privileges)
	{
		AccessPriv *privilege = lfirst(lc);
		ListCell *column;

		appendStringInfo(&sql, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 privilege->priv_name ? privilege->priv_name : "ALL");
		foreach(column, privilege->cols)
			appendStringInfo(&sql, "%s%s",
							 foreach_current_index(column) > 0 ? ", " : " (",
							 quote_identifier(strVal(lfirst(column))));
		if (privilege->cols != NIL)
			appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, grant->objtype == OBJECT_SCHEMA ? " ON SCHEMA "
																 : " ON TABLE ");
	return sql.data;
}

static char *
grant_tail(const GrantStmt *grant, List *grantees)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	foreach(lc, grantees)
		appendStringInfo(&sql, "%s%s",
						 foreach_current_index(lc) > 0 ? ", "
						 : grant->is_grant			   ? " TO "
													   : " FROM ",
						 role_text(lfirst(lc)));
	if (grant->is_grant && grant->grant_option)
		appendStringInfoString(&sql, " WITH GRANT OPTION");
	if (grant->grantor != NULL)
		appendStringInfo(&sql, " GRANTED BY %s", role_text(grant->grantor));
	if (!grant->is_grant && grant->behavior == DROP_CASCADE)
		appendStringInfoString(&sql, " CASCADE");
	return sql.data;
}

static const char *
role_text(const RoleSpec *role)
{
	if (role->roletype == ROLESPEC_PUBLIC)
		return "PUBLIC";
	return quote_identifier(get_rolespec_name(role));
}

/*
 * DROP OWNED takes from the roles what they were granted on tables and
 * schemas of this server.  List of GrantStmt that take it from them on the
 * others as well, to be given to tess_rights_repeat() afterwards.
 */
List *
tess_rights_before_drop_owned(const DropOwnedStmt *drop)
{
	Relation shdepend = table_open(SharedDependRelationId, AccessShareLock);
	List *revokes = NIL;
	ListCell *lc;

	foreach(lc, drop->roles)
	{
		RoleSpec *role = lfirst(lc);
		ScanKeyData keys[2];
		SysScanDesc scan;
		HeapTuple tuple;

		ScanKeyInit(&keys[0], Anum_pg_shdepend_refclassid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(AuthIdRelationId));
		ScanKeyInit(&keys[1], Anum_pg_shdepend_refobjid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(get_rolespec_oid(role, false)));
		scan = systable_beginscan(shdepend, SharedDependReferenceIndexId, true,
								  NULL, 2, keys);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_shdepend form = (Form_pg_shdepend) GETSTRUCT(tuple);
			GrantStmt *revoke = NULL;

			if (form->dbid == MyDatabaseId &&
				form->deptype == SHARED_DEPENDENCY_ACL)
				revoke = revoke_of(role, form->classid, form->objid);
			if (revoke != NULL && !list_member(revokes, revoke))
				revokes = lappend(revokes, revoke);
		}
		systable_endscan(scan);
	}
	table_close(shdepend, AccessShareLock);
	return revokes;
}

/* NULL for what has nothing to do with tables of ours. */
static GrantStmt *
revoke_of(RoleSpec *role, Oid class_id, Oid object_id)
{
	const TessTable *table = NULL;
	GrantStmt *revoke = makeNode(GrantStmt);

	if (class_id == RelationRelationId)
		table = tess_meta_table(object_id);
	if (table != NULL)
	{
		revoke->objtype = OBJECT_TABLE;
		revoke->objects = list_make1(
			makeRangeVar(pstrdup(table->schema), pstrdup(table->name), -1));
	}
	else if (class_id == NamespaceRelationId)
	{
		revoke->objtype = OBJECT_SCHEMA;
		revoke->objects = list_make1(makeString(get_namespace_name(object_id)));
	}
	else
		return NULL;
	revoke->is_grant = false;
	revoke->targtype = ACL_TARGET_OBJECT;
	revoke->grantees = list_make1(copyObject(role));
	revoke->behavior = DROP_CASCADE;
	return revoke;
}
