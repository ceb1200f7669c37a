/*
 * command_alter_kinds.c - the table of what ALTER TABLE and ALTER INDEX may do
 * to our tables, and what each of it says to a shard.
 *
 * A form that is not in the table is refused.  Here are those that are written
 * from the parse tree: names, numbers and words mean the same everywhere.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "command/command_alter.h"
#include "deparse/deparse.h"

typedef struct Refusal
{
	AlterTableType subtype;
	const char *form;
} Refusal;

/* "ALTER COLUMN name"; an index has numbers. */
static char *
column_clause(const AlterTableCmd *command, const char *action)
{
	if (command->name == NULL)
		return psprintf("ALTER COLUMN %d %s", command->num, action);
	return psprintf("ALTER COLUMN %s %s", quote_identifier(command->name),
					action);
}

/* "a = 'b', c": options without a value keep none. */
static char *
option_list(const List *options)
{
	StringInfoData text;
	ListCell *lc;

	initStringInfo(&text);
	foreach(lc, options)
	{
		DefElem *option = lfirst(lc);

		appendStringInfoString(&text, text.len > 0 ? ", " : "");
		if (option->defnamespace != NULL)
			appendStringInfo(&text, "%s.",
							 quote_identifier(option->defnamespace));
		appendStringInfoString(&text, quote_identifier(option->defname));
		if (option->arg != NULL)
			appendStringInfo(&text, " = %s",
							 quote_literal_cstr(defGetString(option)));
	}
	return text.data;
}

static char *
deferrable_text(const Constraint *constraint)
{
	return psprintf("%sDEFERRABLE%s", constraint->deferrable ? "" : "NOT ",
					constraint->initdeferred ? " INITIALLY DEFERRED" : "");
}

static void
after_drop_not_null(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = column_clause(part->command, "DROP NOT NULL");
}

static void
after_set_not_null(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = column_clause(part->command, "SET NOT NULL");
}

static void
after_drop_expression(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = column_clause(part->command, part->command->missing_ok
												  ? "DROP EXPRESSION IF EXISTS"
												  : "DROP EXPRESSION");
}

static void
after_statistics(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = column_clause(part->command,
							   psprintf("SET STATISTICS %d",
										intVal(part->command->def)));
}

static void
after_column_options(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const AlterTableCmd *command = part->command;

	part->text = column_clause(command,
							   psprintf("%s (%s)",
										command->subtype == AT_SetOptions
											? "SET"
											: "RESET",
										option_list((List *) command->def)));
}

static void
after_storage(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = column_clause(part->command,
							   psprintf("SET STORAGE %s",
										strVal(part->command->def)));
}

static void
after_compression(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = column_clause(part->command, psprintf("SET COMPRESSION %s",
													   quote_identifier(strVal(
														   part->command->def))));
}

static void
after_drop_column(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const AlterTableCmd *command = part->command;

	part->text = psprintf("DROP COLUMN %s%s%s",
						  command->missing_ok ? "IF EXISTS " : "",
						  quote_identifier(command->name),
						  command->behavior == DROP_CASCADE ? " CASCADE" : "");
}

static void
before_add_constraint(TessAlter *alter, TessAlterPart *part)
{
	alter->needs_objects = true;
}

/* All but those of an existing index are read from the catalogs, where they
 * have got names. */
static void
after_add_constraint(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const Constraint *constraint = castNode(Constraint, part->command->def);

	if (constraint->indexname == NULL)
		return;
	part->text = psprintf("ADD CONSTRAINT %s %s USING INDEX %s %s",
						  quote_identifier(constraint->conname
											   ? constraint->conname
											   : constraint->indexname),
						  constraint->contype == CONSTR_PRIMARY ? "PRIMARY KEY"
																: "UNIQUE",
						  quote_identifier(constraint->indexname),
						  deferrable_text(constraint));
}

static void
after_alter_constraint(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const Constraint *constraint = castNode(Constraint, part->command->def);

	part->text = psprintf("ALTER CONSTRAINT %s %s",
						  quote_identifier(constraint->conname),
						  deferrable_text(constraint));
}

static void
after_validate(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = psprintf("VALIDATE CONSTRAINT %s",
						  quote_identifier(part->command->name));
}

static void
after_drop_constraint(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const AlterTableCmd *command = part->command;

	part->text = psprintf("DROP CONSTRAINT %s%s%s",
						  command->missing_ok ? "IF EXISTS " : "",
						  quote_identifier(command->name),
						  command->behavior == DROP_CASCADE ? " CASCADE" : "");
}

static void
before_owner(TessAlter *alter, TessAlterPart *part)
{
	alter->needs_objects = true;
}

static void
after_owner(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = psprintf("OWNER TO %s", quote_identifier(get_rolespec_name(
											 part->command->newowner)));
}

static void
after_cluster_on(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = psprintf("CLUSTER ON %s", quote_identifier(part->command->name));
}

static void
after_set_access_method(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	part->text = psprintf("SET ACCESS METHOD %s",
						  quote_identifier(part->command->name));
}

static void
after_options(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const AlterTableCmd *command = part->command;

	part->text = psprintf("%s (%s)",
						  command->subtype == AT_SetRelOptions ? "SET" : "RESET",
						  option_list((List *) command->def));
}

static void
after_replica_identity(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const ReplicaIdentityStmt *identity = castNode(ReplicaIdentityStmt,
												   part->command->def);

	switch (identity->identity_type)
	{
		case REPLICA_IDENTITY_FULL:
			part->text = "REPLICA IDENTITY FULL";
			break;
		case REPLICA_IDENTITY_NOTHING:
			part->text = "REPLICA IDENTITY NOTHING";
			break;
		case REPLICA_IDENTITY_INDEX:
			part->text = psprintf("REPLICA IDENTITY USING INDEX %s",
								  quote_identifier(identity->name));
			break;
		default:
			part->text = "REPLICA IDENTITY DEFAULT";
			break;
	}
}

/* Forms that are one and the same words. */
static void
after_words(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	switch (part->command->subtype)
	{
		case AT_DropCluster:
			part->text = "SET WITHOUT CLUSTER";
			break;
		case AT_EnableTrigAll:
			part->text = "ENABLE TRIGGER ALL";
			break;
		case AT_DisableTrigAll:
			part->text = "DISABLE TRIGGER ALL";
			break;
		case AT_EnableTrigUser:
			part->text = "ENABLE TRIGGER USER";
			break;
		default:
			part->text = "DISABLE TRIGGER USER";
			break;
	}
}

/* Shards have row triggers of distributed tables. */
static void
after_trigger(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const char *words = "DISABLE";

	if (!tess_trigger_is_in_shards(tess_alter_table(alter), part->command->name))
		return;
	if (part->command->subtype == AT_EnableTrig)
		words = "ENABLE";
	else if (part->command->subtype == AT_EnableAlwaysTrig)
		words = "ENABLE ALWAYS";
	else if (part->command->subtype == AT_EnableReplicaTrig)
		words = "ENABLE REPLICA";
	part->text = psprintf("%s TRIGGER %s", words,
						  quote_identifier(part->command->name));
}

/* Identities, sequences and row security stay here, and tables are logged: there is
 * nothing to say to a shard. */
static const TessAlterKind kinds[] = {
	{AT_AddColumn, tess_alter_before_add, tess_alter_after_add},
	{AT_DropColumn, tess_alter_before_drop, after_drop_column},
	{AT_AlterColumnType, tess_alter_before_type, tess_alter_after_type},
	{AT_ColumnDefault, NULL, tess_alter_after_default},
	{AT_SetNotNull, NULL, after_set_not_null},
	{AT_DropNotNull, NULL, after_drop_not_null},
	{AT_DropExpression, NULL, after_drop_expression},
	{AT_AddIdentity, NULL, NULL},
	{AT_SetIdentity, NULL, NULL},
	{AT_DropIdentity, NULL, NULL},
	{AT_SetStatistics, NULL, after_statistics},
	{AT_SetOptions, NULL, after_column_options},
	{AT_ResetOptions, NULL, after_column_options},
	{AT_SetStorage, NULL, after_storage},
	{AT_SetCompression, NULL, after_compression},
	{AT_AddConstraint, before_add_constraint, after_add_constraint},
	{AT_AlterConstraint, NULL, after_alter_constraint},
	{AT_ValidateConstraint, NULL, after_validate},
	{AT_DropConstraint, NULL, after_drop_constraint},
	{AT_ChangeOwner, before_owner, after_owner},
	{AT_ClusterOn, NULL, after_cluster_on},
	{AT_DropCluster, NULL, after_words},
	{AT_SetLogged, NULL, NULL},
	{AT_DropOids, NULL, NULL},
	{AT_SetAccessMethod, NULL, after_set_access_method},
	{AT_SetRelOptions, NULL, after_options},
	{AT_ResetRelOptions, NULL, after_options},
	{AT_ReplicaIdentity, NULL, after_replica_identity},
	{AT_EnableTrig, NULL, after_trigger},
	{AT_EnableAlwaysTrig, NULL, after_trigger},
	{AT_EnableReplicaTrig, NULL, after_trigger},
	{AT_DisableTrig, NULL, after_trigger},
	{AT_EnableTrigAll, NULL, after_words},
	{AT_DisableTrigAll, NULL, after_words},
	{AT_EnableTrigUser, NULL, after_words},
	{AT_DisableTrigUser, NULL, after_words},
	{AT_EnableRowSecurity, NULL, NULL},
	{AT_DisableRowSecurity, NULL, NULL},
	{AT_ForceRowSecurity, NULL, NULL},
	{AT_NoForceRowSecurity, NULL, NULL},
};

/* What others are called, for the message. */
static const Refusal refusals[] = {
	{AT_SetUnLogged, "ALTER TABLE ... SET UNLOGGED"},
	{AT_SetTableSpace, "SET TABLESPACE"},
	{AT_AddInherit, "ALTER TABLE ... INHERIT"},
	{AT_DropInherit, "ALTER TABLE ... NO INHERIT"},
	{AT_AddOf, "ALTER TABLE ... OF"},
	{AT_DropOf, "ALTER TABLE ... NOT OF"},
};

const TessAlterKind *
tess_alter_kind(const TessTable *table, AlterTableType subtype)
{
	const char *form = "this form of ALTER TABLE";

	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (kinds[i].subtype == subtype)
			return &kinds[i];
	}
	for (int i = 0; i < lengthof(refusals); i++)
	{
		if (refusals[i].subtype == subtype)
			form = refusals[i].form;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 table->kind == TESS_REFERENCE
				 ? errmsg("%s is not supported on reference table \"%s\"", form,
						  table->name)
				 : errmsg("%s is not supported on distributed table \"%s\"",
						  form, table->name),
			 errhint(
				 "Use tessera.undistribute_table(), change the table, and distribute it again.")));
}
