/*
 * function_follow.c - what statements do to distributed functions, and to the
 * tables of their groups, is done to the copies.
 *
 * A row has the digest of the definition that the copies have, and of what they
 * are told of the tables.  After a statement that may have changed either it is
 * compared with what stands here now; so nothing needs to be known of the
 * statement.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "function/function_internal.h"
#include "table/table.h"

static bool
may_change_functions(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateFunctionStmt:
		case T_AlterFunctionStmt:
		case T_AlterTableStmt:
		case T_RenameStmt:
		case T_AlterObjectSchemaStmt:
		case T_AlterOwnerStmt:
		case T_GrantStmt:
		case T_CommentStmt:
		case T_CreateTrigStmt:
		case T_ReassignOwnedStmt:
		case T_DropOwnedStmt:
		case T_DropStmt:
			return true;
		default:
			return false;
	}
}

/* Rights on a schema hold for its part in the shards. */
static void
follow_schema(const GrantStmt *grant, List *rows)
{
	List *done = NIL;
	ListCell *cell;

	foreach(cell, rows)
	{
		const TessFunctionRow *row = lfirst(cell);
		List *place = list_make2(makeString(row->schema),
								 makeInteger(row->colocation_id));
		TessWork *work;

		if (row->colocation_id == 0 || list_member(done, place) ||
			!list_member(grant->objects, makeString(row->schema)))
			continue;
		done = lappend(done, place);
		work = tess_work_of_group(row->colocation_id);
		tess_work_create_schemas(work, row->schema);
		tess_work_run(work);
	}
}

static void
forget(const TessFunctionRow *row)
{
	tess_function_lock(row->colocation_id);
	if (row->colocation_id != 0)
		tess_function_drop_copies(row);
	tess_cat_function_delete(row->function, row->colocation_id);
}

/* Puts copies of the function as it is now in the place of the old ones. */
static void
renew_copies(const TessFunctionRow *old, TessFunctionRow *now)
{
	bool has_moved = strcmp(now->schema, old->schema) != 0 ||
					 strcmp(now->signature, old->signature) != 0;
	bool is_needed = tess_function_is_of_triggers(now);

	if (has_moved && !is_needed)
		tess_function_drop_copies(old);
	tess_function_set_path(now);
	tess_function_copy(now);
	if (has_moved && is_needed)
	{
		tess_cat_function_set(now);
		tess_function_remake_triggers(now);
		tess_function_drop_copies(old);
	}
}

static void
follow(const TessFunctionRow *row)
{
	TessFunctionRow now = *row;

	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(row->function)) ||
		(tess_function_is_of_triggers(row) && tess_function_triggers(row) == NIL))
	{
		forget(row);
		return;
	}
	tess_function_describe(&now);
	if (strcmp(now.digest, row->digest) == 0)
		return;
	tess_function_lock(row->colocation_id);
	if (row->colocation_id != 0)
		renew_copies(row, &now);
	tess_cat_function_set(&now);
}

/* See function.h. */
void
tess_functions_after(Node *statement)
{
	List *rows;
	ListCell *cell;

	if (!may_change_functions(statement) || tess_cat_is_restoring())
		return;
	rows = tess_cat_functions();
	if (rows != NIL && IsA(statement, GrantStmt) &&
		((GrantStmt *) statement)->objtype == OBJECT_SCHEMA)
		follow_schema((GrantStmt *) statement, rows);
	foreach(cell, rows)
		follow(lfirst(cell));
}

/* Names ------------------------------------------------------------------------- */

static bool
has_schema(const List *path, const char *schema)
{
	const ListCell *cell;

	foreach(cell, path)
		if (strcmp(lfirst(cell), schema) == 0)
			return true;
	return false;
}

/* The path with a name in the place of an old one, or (keeps) right after it. */
static List *
replace_in_path(const List *path, const char *old_name, const char *name,
				bool keeps)
{
	List *replaced = NIL;
	const ListCell *cell;

	foreach(cell, path)
	{
		bool is_it = strcmp(lfirst(cell), old_name) == 0;

		if (!is_it || keeps)
			replaced = lappend(replaced, lfirst(cell));
		if (is_it)
			replaced = lappend(replaced, pstrdup(name));
	}
	return replaced;
}

/* follow() finds another digest, and renews the copies. */
static void
set_path(TessFunctionRow *row, List *path)
{
	tess_function_lock(row->colocation_id);
	row->search_path = path;
	row->digest = "";
	tess_cat_function_set(row);
	CommandCounterIncrement();
}

/* See function.h. */
void
tess_functions_schema_renamed(const char *old_name, const char *name)
{
	ListCell *cell;

	foreach(cell, tess_cat_functions())
	{
		TessFunctionRow *row = lfirst(cell);

		if (row->colocation_id != 0 && !row->sets_path &&
			has_schema(row->search_path, old_name))
			set_path(row,
					 replace_in_path(row->search_path, old_name, name, false));
	}
}

/* See function.h. */
void
tess_functions_table_moved(int32 colocation_id, const char *old_schema,
						   const char *schema)
{
	ListCell *cell;

	foreach(cell, tess_cat_functions())
	{
		TessFunctionRow *row = lfirst(cell);

		if (tess_function_is_of_triggers(row) && !row->sets_path &&
			(colocation_id == 0 || row->colocation_id == colocation_id) &&
			has_schema(row->search_path, old_schema) &&
			!has_schema(row->search_path, schema))
			set_path(row, replace_in_path(row->search_path, old_schema, schema,
										  true));
	}
}

/* A table has joined a group: its functions are told, and triggers of the table are
 * made; or the last one has left it, and the schemas of its shards are about to
 * go.  A copy may know tables that have gone.  Reference tables (colocation_id 0)
 * matter if they have row security. */
static void
group_changed(Oid relation, int32 colocation_id, bool joined)
{
	List *rows;
	ListCell *cell;

	if (colocation_id == 0)
	{
		foreach(cell, tess_cat_functions())
			follow(lfirst(cell));
		return;
	}
	if (!joined && tess_cat_tables_of_group(colocation_id) != NIL)
		return;
	rows = tess_cat_functions();
	foreach(cell, rows)
	{
		const TessFunctionRow *row = lfirst(cell);

		if (row->colocation_id != colocation_id)
			continue;
		if (joined)
		{
			follow(row);
			continue;
		}
		if (!tess_function_is_of_triggers(row) &&
			SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(row->function)))
			ereport(NOTICE,
					(errmsg("function %s.%s is not distributed any more",
							quote_identifier(row->schema), row->signature),
					 errdetail("Its colocation group has no tables left.")));
		forget(row);
	}
	if (joined)
		tess_function_create_triggers(relation);
}

void
tess_function_init(void)
{
	tess_table_group_hook = group_changed;
}
