/*
 * command_rename.c - RENAME of our tables, their columns, constraints, indexes
 * and triggers, for the shards and copies.
 *
 * All of them have the same names there, so the statement is made from the
 * parse tree.  The key may be renamed: our catalog has its name.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "command/command_internal.h"
#include "table/table.h"

struct TessRename
{
	TessAltering altering;
	List *template; /* what the shards are told; NIL: they have none */
};

/* "ALTER INDEX ... RENAME", or "ALTER TABLE". */
static List *
rename_template(const TessTable *table, Oid relation, const RenameStmt *statement)
{
	bool is_index = tess_is_index(relation);
	const char *what = "";
	const char *old = "";

	if (statement->renameType == OBJECT_TRIGGER)
	{
		if (!tess_trigger_is_in_shards(table, statement->subname))
			return NIL;
		return tess_repeat_template(table,
									psprintf("ALTER TRIGGER %s ON ",
											 quote_identifier(statement->subname)),
									table->name,
									psprintf(" RENAME TO %s",
											 quote_identifier(
												 statement->newname)));
	}
	if (statement->renameType == OBJECT_COLUMN)
		what = "COLUMN ";
	else if (statement->renameType == OBJECT_TABCONSTRAINT)
		what = "CONSTRAINT ";
	if (what[0] != '\0')
		old = quote_identifier(statement->subname);
	return tess_repeat_template(table, is_index ? "ALTER INDEX " : "ALTER TABLE ",
								get_rel_name(relation),
								psprintf(" RENAME %s%s TO %s", what, old,
										 quote_identifier(statement->newname)));
}

/* NULL if nothing of ours is renamed, or nothing that shards have. */
TessRename *
tess_rename_begin(const RenameStmt *statement)
{
	TessRename *rename;
	const TessTable *table;
	LOCKMODE lockmode = AccessExclusiveLock;
	Oid relation;

	switch (statement->renameType)
	{
		case OBJECT_INDEX:
			lockmode = ShareUpdateExclusiveLock;
			break;
		case OBJECT_TABLE:
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
			break;
		default:
			return NULL;
	}
	relation = tess_alter_lock(statement->relation, lockmode);
	if (!OidIsValid(relation))
		return NULL;
	rename = palloc0(sizeof(TessRename));
	rename->altering.relation = relation;
	if (tess_is_index(relation))
		rename->altering.relation = IndexGetRelation(relation, false);
	/* columns, constraints and triggers of partitions are renamed along */
	rename->altering.others = tess_table_tree(rename->altering.relation,
											  AccessShareLock);
	table = tess_meta_table(rename->altering.relation);
	if (statement->renameType == OBJECT_COLUMN &&
		table->kind == TESS_DISTRIBUTED &&
		get_attnum(table->relation, statement->subname) == table->key_attnum)
	{
		rename->altering.key_attnum = table->key_attnum;
		rename->altering.new_key = pstrdup(statement->newname);
	}
	rename->template = rename_template(table, relation, statement);
	return rename;
}

const TessAltering *
tess_rename_altering(const TessRename *rename)
{
	return &rename->altering;
}

/* The shell's has been renamed: the shards'. */
void
tess_rename_finish(TessRename *rename)
{
	TessWork *work;

	if (rename->template == NIL)
		return;
	CommandCounterIncrement();
	work = tess_work_of_table(tess_meta_table(rename->altering.relation));
	tess_work_add_templates(work, list_make1(rename->template));
	tess_work_run(work);
}
