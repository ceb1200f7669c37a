/*
 * command_repeat.c - GRANT, REVOKE and COMMENT on our tables: PostgreSQL has
 * done it to the shell, and the same statement is now written for the shards
 * and copies.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "deparse/deparse.h"
#include "table/table.h"

static void repeat_schema_grant(const GrantStmt *grant);
static List *granted_tables(const GrantStmt *grant);
static char *grant_head(const GrantStmt *grant);
static char *grant_tail(const GrantStmt *grant);
static const char *role_text(const RoleSpec *role);
static void add_needed_objects(TessWork *work, Oid relation);
static char *join_names(List *names);

/* Whose table is just being distributed waits here, and then knows of it. */
void
tess_lock_granted(const GrantStmt *grant)
{
	ListCell *lc;

	if (grant->objtype != OBJECT_TABLE || grant->targtype != ACL_TARGET_OBJECT)
		return;
	foreach(lc, grant->objects)
		(void) RangeVarGetRelid(lfirst(lc), AccessShareLock, true);
}

/* GRANT and REVOKE on tables: one statement for each node and table.  On
 * schemas: see repeat_schema_grant. */
void
tess_repeat_grant(const GrantStmt *grant)
{
	char *head;
	char *tail;
	ListCell *lc;

	if (grant->objtype == OBJECT_SCHEMA)
		repeat_schema_grant(grant);
	if (grant->objtype != OBJECT_TABLE ||
		grant->targtype == ACL_TARGET_DEFAULTS)
		return;
	head = grant_head(grant);
	tail = grant_tail(grant);
	foreach(lc, granted_tables(grant))
	{
		const TessTable *table = lfirst(lc);
		TessWork *work = tess_work_of_table(table);

		add_needed_objects(work, table->relation);
		for (int i = 0; i < work->count; i++)
			work->nodes[i].commands = lappend(
				work->nodes[i].commands,
				psprintf("%s%s%s", head,
						 join_names(tess_work_names(&work->nodes[i], table)),
						 tail));
		tess_work_run(work);
	}
}

/* Roles that were granted something have to be there. */
static void
add_needed_objects(TessWork *work, Oid relation)
{
	List *objects;

	LockRelationOid(relation, AccessShareLock);
	objects = tess_ddl_needed_objects(relation);
	for (int i = 0; i < work->count; i++)
	{
		if (!work->nodes[i].is_local)
			work->nodes[i].commands =
				list_concat(work->nodes[i].commands, objects);
	}
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
		TessWork *work;

		if (!schema || !list_member(grant->objects, makeString(schema)))
			continue;
		mark = makeString(psprintf("%d %s", group, schema));
		if (list_member(done, mark))
			continue;
		done = lappend(done, mark);
		work = tess_work_of_table(tess_meta_table(relation));
		add_needed_objects(work, relation);
		for (int i = 0; i < work->count; i++)
		{
			TessNodeWork *node = &work->nodes[i];

			if (!node->is_local)
				node->commands = lappend(node->commands,
										 psprintf("%s%s%s", grant_head(grant),
												  quote_identifier(schema),
												  grant_tail(grant)));
		}
		tess_work_create_schemas(work, schema);
		tess_work_run(work);
	}
}

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
				tables = lappend(tables, unconstify(TessTable *, table));
		}
		return tables;
	}
	foreach(lc, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(lc))->relation;
		char *schema = get_namespace_name(get_rel_namespace(relation));

		if (schema && list_member(grant->objects, makeString(schema)))
			tables = lappend(
				tables, unconstify(TessTable *, tess_meta_table(relation)));
	}
	return tables;
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

		appendStringInfo(&sql, "%s%s",
						 foreach_current_index(lc) > 0 ? ", " : "",
						 privilege->priv_name ? privilege->priv_name : "ALL");
		foreach(column, privilege->cols)
			appendStringInfo(&sql, "%s%s",
							 foreach_current_index(column) > 0 ? ", " : " (",
							 quote_identifier(strVal(lfirst(column))));
		if (privilege->cols != NIL)
			appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(
		&sql, grant->objtype == OBJECT_SCHEMA ? " ON SCHEMA " : " ON TABLE ");
	return sql.data;
}

static char *
grant_tail(const GrantStmt *grant)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	foreach(lc, grant->grantees)
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

static char *
join_names(List *names)
{
	StringInfoData text;
	ListCell *lc;

	initStringInfo(&text);
	foreach(lc, names)
		appendStringInfo(&text, "%s%s",
						 foreach_current_index(lc) > 0 ? ", " : "",
						 (char *) lfirst(lc));
	return text.data;
}

/* COMMENT ON TABLE and ON COLUMN. */
void
tess_repeat_comment(const CommentStmt *comment)
{
	List *name;
	char *column = NULL;
	const TessTable *table;
	TessWork *work;

	if (comment->objtype != OBJECT_TABLE && comment->objtype != OBJECT_COLUMN)
		return;
	name = list_copy(castNode(List, comment->object));
	if (comment->objtype == OBJECT_COLUMN)
	{
		column = strVal(llast(name));
		name = list_truncate(name, list_length(name) - 1);
	}
	table =
		name == NIL ? NULL : tess_command_table(makeRangeVarFromNameList(name));
	if (table == NULL)
		return;
	work = tess_work_of_table(table);
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];
		ListCell *lc;

		foreach(lc, tess_work_names(node, table))
			node->commands = lappend(
				node->commands,
				psprintf("COMMENT ON %s %s%s%s IS %s",
						 column ? "COLUMN" : "TABLE", (char *) lfirst(lc),
						 column ? "." : "",
						 column ? quote_identifier(column) : "",
						 comment->comment ? quote_literal_cstr(comment->comment)
										  : "NULL"));
	}
	tess_work_run(work);
}
