/*
 * command_refuse.c - statements that would change a shell and leave its
 * shards as they are.
 *
 * Each kind of statement has its own list of places where names of tables
 * stand.  Names are looked up without a lock: PostgreSQL looks them up again,
 * and the object access hook sees what it then does.
 */
#include "postgres.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"

static void refuse(const TessTable *table, Node *statement);
static void refuse_relation(const RangeVar *name, Node *statement);
static void refuse_name(List *name, Node *statement);
static void refuse_alter_table(AlterTableStmt *alter);
static void refuse_create(CreateStmt *create);
static void refuse_foreign_table(CreateForeignTableStmt *create);
static void refuse_rename(RenameStmt *rename);
static void refuse_drop(DropStmt *drop);
static void refuse_extension_drop(DropStmt *drop);
static void refuse_comment(CommentStmt *comment);
static void refuse_schema(const char *schema);
static void refuse_label(SecLabelStmt *label);
static void refuse_membership(AlterExtensionContentsStmt *alter);

/* Errors with 0A000 if the statement would alter a table of ours. */
void
tess_refuse_command(Node *statement)
{
	ListCell *lc;

	tess_refuse_type_change(statement);
	tess_refuse_replication(statement);
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			refuse_alter_table(castNode(AlterTableStmt, statement));
			break;
		case T_RenameStmt:
			refuse_rename(castNode(RenameStmt, statement));
			break;
		case T_AlterObjectSchemaStmt:
			refuse_relation(castNode(AlterObjectSchemaStmt, statement)->relation,
							statement);
			break;
		case T_AlterExtensionContentsStmt:
			refuse_membership(castNode(AlterExtensionContentsStmt, statement));
			break;
		case T_AlterObjectDependsStmt:
			refuse_relation(castNode(AlterObjectDependsStmt, statement)->relation,
							statement);
			break;
		case T_RuleStmt:
			refuse_relation(castNode(RuleStmt, statement)->relation, statement);
			break;
		case T_CreateStmt:
			refuse_create(castNode(CreateStmt, statement));
			break;
		case T_CreateForeignTableStmt:
			refuse_foreign_table((CreateForeignTableStmt *) statement);
			break;
		case T_CreateSchemaStmt:
			foreach(lc, castNode(CreateSchemaStmt, statement)->schemaElts)
				tess_refuse_command(lfirst(lc));
			break;
		case T_DropStmt:
			refuse_drop(castNode(DropStmt, statement));
			break;
		case T_CommentStmt:
			refuse_comment(castNode(CommentStmt, statement));
			break;
		case T_SecLabelStmt:
			refuse_label(castNode(SecLabelStmt, statement));
			break;
		default:
			break;
	}
}

/* table NULL: not one of ours (any more). */
static void
refuse(const TessTable *table, Node *statement)
{
	const char *command = CreateCommandName(statement);

	if (table == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 table->kind == TESS_REFERENCE
				 ? errmsg("%s is not supported on reference table \"%s\"",
						  command, table->name)
				 : errmsg("%s is not supported on distributed table \"%s\"",
						  command, table->name),
			 errhint(
				 "Use tessera.undistribute_table(), change the table, and distribute it again.")));
}

static void
refuse_relation(const RangeVar *name, Node *statement)
{
	refuse(tess_command_table(name), statement);
}

/* name: list of String */
static void
refuse_name(List *name, Node *statement)
{
	if (name != NIL)
		refuse_relation(makeRangeVarFromNameList(name), statement);
}

/* Local tables that one of ours would become a parent or a part of. */
static void
refuse_alter_table(AlterTableStmt *alter)
{
	ListCell *lc;

	foreach(lc, alter->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		switch (command->subtype)
		{
			case AT_AddInherit:
				refuse_relation(castNode(RangeVar, command->def), (Node *) alter);
				break;
			case AT_AttachPartition:
				refuse_relation(castNode(PartitionCmd, command->def)->name,
								(Node *) alter);
				break;
			default:
				break;
		}
	}
}

static void
refuse_create(CreateStmt *create)
{
	ListCell *lc;

	foreach(lc, create->inhRelations)
		refuse_relation(lfirst(lc), (Node *) create);
}

/* The wrapper's servers say where nodes are; nothing could be read through it. */
static void
refuse_foreign_table(CreateForeignTableStmt *create)
{
	ForeignServer *server = GetForeignServerByName(create->servername, true);

	refuse_create(&create->base);
	if (server == NULL ||
		strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, "tessera") != 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot create a foreign table on node \"%s\"",
					create->servername),
			 errhint(
				 "Use tessera.create_distributed_table() for tables on the nodes, and a server of postgres_fdw for other tables there.")));
}

static void
refuse_rename(RenameStmt *rename)
{
	if (rename->renameType == OBJECT_SCHEMA)
		refuse_schema(rename->subname);
	else if (rename->renameType == OBJECT_RULE)
		refuse_relation(rename->relation, (Node *) rename);
}

static void
refuse_schema(const char *schema)
{
	if (strcmp(schema, TESS_SCHEMA) == 0 ||
		strcmp(schema, TESS_INTERNAL_SCHEMA) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot rename schema \"%s\" because extension tessera requires it",
						schema),
				 errhint(
					 "Without its catalogs the extension would not find its tables.")));
}

static void
refuse_drop(DropStmt *drop)
{
	ListCell *lc;

	if (drop->removeType == OBJECT_EXTENSION)
	{
		refuse_extension_drop(drop);
		return;
	}
	foreach(lc, drop->objects)
	{
		switch (drop->removeType)
		{
			case OBJECT_RULE:
				refuse_name(list_truncate(list_copy(lfirst(lc)),
										  list_length(lfirst(lc)) - 1),
							(Node *) drop);
				break;
			default:
				return;
		}
	}
}

static void
refuse_extension_drop(DropStmt *drop)
{
	ListCell *lc;

	foreach(lc, drop->objects)
	{
		if (strcmp(strVal(lfirst(lc)), "tessera") == 0 && tess_cat_tables() != NIL)
			tess_refuse_extension_drop();
	}
}

/* Without the extension nobody could find the rows again.  Also called when
 * its catalog goes by a CASCADE that did not name it. */
void
tess_refuse_extension_drop(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop extension tessera while there are distributed or reference tables"),
			 errdetail("Their rows are in shards that only the extension finds."),
			 errhint(
				 "Drop those tables, or use tessera.undistribute_table() on them, first.")));
}

/* Comments on what shards do not have. */
static void
refuse_comment(CommentStmt *comment)
{
	List *name;

	switch (comment->objtype)
	{
		case OBJECT_RULE:
			name = castNode(List, comment->object);
			refuse_name(list_truncate(list_copy(name), list_length(name) - 1),
						(Node *) comment);
			break;
		default:
			break;
	}
}

/* What checks them is on each node another one, or is not there. */
static void
refuse_label(SecLabelStmt *label)
{
	List *name;

	if (label->objtype != OBJECT_TABLE && label->objtype != OBJECT_COLUMN)
		return;
	name = castNode(List, label->object);
	if (label->objtype == OBJECT_COLUMN)
		name = list_truncate(list_copy(name), list_length(name) - 1);
	refuse_name(name, (Node *) label);
}

/* A table in an extension cannot be dropped or dumped by itself. */
static void
refuse_membership(AlterExtensionContentsStmt *alter)
{
	if (alter->objtype == OBJECT_TABLE)
		refuse_name(castNode(List, alter->object), (Node *) alter);
	else
		tess_refuse_extension_contents(alter);
}
