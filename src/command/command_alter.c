/*
 * command_alter.c - ALTER TABLE and ALTER INDEX, for the shards and copies.
 *
 * PostgreSQL alters the shell, which checks the statement and gives names to
 * what has none; the shards then get one ALTER TABLE with the same
 * subcommands.  What each of these says there is known to the table of kinds
 * (command_alter_kinds.c); constraints, which come with several of them, are
 * read from the catalogs here.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "command/command_alter.h"
#include "deparse/deparse.h"
#include "objects/objects.h"
#include "statistics/statistics.h"
#include "table/table.h"
#include "xact/xact.h"

/* A constraint of the table before the statement. */
typedef struct OldConstraint
{
	Oid oid;
	Oid relation;
	char *name;
	bool goes; /* with the statement */
} OldConstraint;

static List *alter_tree(const TessAlter *alter);
static List *old_constraints(const TessAlter *alter, Oid relation);
static bool goes_by_name(const TessAlter *alter, const char *constraint);
static bool goes_with_column(const TessAlter *alter, Oid relation,
							 const int16 *columns, int count);
static List *new_constraints(const TessAlter *alter, Relation rel);

/* The table that is locked for an ALTER of this relation; InvalidOid if it is
 * none of ours and cannot become one. */
static Oid
table_to_lock(Oid relation)
{
	char relkind = get_rel_relkind(relation);
	Oid table;

	if (relation < FirstNormalObjectId)
		return InvalidOid;
	if (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE)
		return relation;
	if (!tess_is_index(relation))
		return InvalidOid;
	table = IndexGetRelation(relation, true);
	return OidIsValid(table) && tess_meta_table(table) ? table : InvalidOid;
}

/*
 * The relation of ours that an ALTER is about, locked as core will lock it (an
 * index: its table); a table that is just being distributed is waited for.
 * InvalidOid if it is not ours, or core will not let the current user alter it.
 */
Oid
tess_alter_lock(const RangeVar *name, LOCKMODE lockmode)
{
	for (;;)
	{
		Oid relation = RangeVarGetRelid(name, NoLock, true);
		Oid table = OidIsValid(relation) ? table_to_lock(relation) : InvalidOid;

		if (!OidIsValid(table) || !pg_class_ownercheck(table, GetUserId()))
			return InvalidOid;
		tess_partition_lock_ancestors(table, lockmode);
		LockRelationOid(table, lockmode);
		if (RangeVarGetRelid(name, NoLock, true) == relation)
			return tess_meta_table(table) ? relation : InvalidOid;
		UnlockRelationOid(table, lockmode);
	}
}

/* NULL if no table of ours is altered.  Errors with 0A000 before anything has
 * changed if it cannot be done to the shards. */
TessAlter *
tess_alter_begin(const AlterTableStmt *statement)
{
	Oid relation = tess_alter_lock(statement->relation,
								   AlterTableGetLockLevel(statement->cmds));
	TessAlter *alter;
	ListCell *lc;

	if (!OidIsValid(relation))
		return NULL;
	alter = palloc0(sizeof(TessAlter));
	alter->statement = copyObject(unconstify(AlterTableStmt *, statement));
	alter->altering.relation = relation;
	if (tess_is_index(relation))
	{
		alter->index = relation;
		alter->altering.relation = IndexGetRelation(relation, false);
	}
	alter->tree = alter_tree(alter);
	alter->altering.others = alter->tree;
	tess_index_bury_invalid(alter->altering.relation);
	foreach(lc, alter->statement->cmds)
	{
		TessAlterPart *part = palloc0(sizeof(TessAlterPart));

		part->command = lfirst(lc);
		part->kind = tess_alter_kind(tess_alter_table(alter),
									 part->command->subtype);
		if (part->kind->before != NULL)
			part->kind->before(alter, part);
		alter->parts = lappend(alter->parts, part);
	}
	foreach(lc, alter->tree)
		alter->constraints = list_concat(alter->constraints,
										 old_constraints(alter, lfirst_oid(lc)));
	return alter;
}

const TessAltering *
tess_alter_altering(const TessAlter *alter)
{
	return &alter->altering;
}

/* The table, as it is now. */
const TessTable *
tess_alter_table(const TessAlter *alter)
{
	return tess_meta_table(alter->altering.relation);
}

bool
tess_alter_is_key(const TessAlter *alter, const char *column)
{
	const TessTable *table = tess_alter_table(alter);

	return table->kind == TESS_DISTRIBUTED &&
		   tess_alter_column(alter, column) == table->key_attnum;
}

/* InvalidAttrNumber if there is no such column. */
AttrNumber
tess_alter_column(const TessAlter *alter, const char *column)
{
	return get_attnum(alter->altering.relation, column);
}

static void
execute_over_table(const char *sql, int expected)
{
	if (SPI_execute(sql, false, 0) != expected)
		elog(ERROR, "could not execute: %s", sql);
}

/* GRANT or REVOKE of what the owner has not got; NULL: nothing is missing. */
static char *
missing_rights(Oid relation, const char *format)
{
	AclMode wanted = ACL_SELECT | ACL_UPDATE;
	AclMode missing = wanted & ~pg_class_aclmask(relation, GetUserId(), wanted,
												 ACLMASK_ALL);
	Relation rel;
	char *owner;

	if (missing == 0)
		return NULL;
	rel = table_open(relation, NoLock);
	owner = GetUserNameFromId(rel->rd_rel->relowner, false);
	table_close(rel, NoLock);
	return psprintf(format,
					missing == wanted		? "SELECT, UPDATE"
					: missing == ACL_SELECT ? "SELECT"
											: "UPDATE",
					tess_relation_qualified_name(relation),
					quote_identifier(owner));
}

/* A statement over the table that is only a part of the user's.  An owner may
 * alter what he has taken from himself the rights to: he has them meanwhile. */
static uint64
run_over_table(Oid relation, const char *sql, int expected)
{
	uint64 rows;

	tess_xact_depth++;
	PG_TRY();
	{
		char *revoke = missing_rights(relation, "REVOKE %s ON %s FROM %s");

		SPI_connect();
		if (revoke != NULL)
			execute_over_table(missing_rights(relation, "GRANT %s ON %s TO %s"),
							   SPI_OK_UTILITY);
		execute_over_table(sql, expected);
		rows = SPI_processed;
		if (revoke != NULL)
			execute_over_table(revoke, SPI_OK_UTILITY);
		SPI_finish();
	}
	PG_FINALLY();
	{
		tess_xact_depth--;
	}
	PG_END_TRY();
	return rows;
}

static const char *
only_of(const TessAlter *alter)
{
	return tess_alter_table(alter)->is_partitioned ? "" : "ONLY ";
}

/* Does the table have a row anywhere? */
bool
tess_alter_has_rows(const TessAlter *alter)
{
	Oid relation = alter->altering.relation;

	return run_over_table(relation,
						  psprintf("SELECT 1 FROM %s%s LIMIT 1", only_of(alter),
								   tess_relation_qualified_name(relation)),
						  SPI_OK_SELECT) > 0;
}

/* Where partitions are altered along: these too. */
static List *
alter_tree(const TessAlter *alter)
{
	Oid relation = alter->altering.relation;

	if (OidIsValid(alter->index) || !alter->statement->relation->inh)
		return list_make1_oid(relation);
	return tess_table_tree(relation, AccessShareLock);
}

/* List of OldConstraint *. */
static List *
old_constraints(const TessAlter *alter, Oid relation)
{
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	List *constraints = NIL;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		OldConstraint *constraint = palloc0(sizeof(OldConstraint));
		bool isnull;
		Datum columns = heap_getattr(tuple, Anum_pg_constraint_conkey,
									 RelationGetDescr(catalog), &isnull);

		constraint->oid = form->oid;
		constraint->relation = relation;
		constraint->name = pstrdup(NameStr(form->conname));
		constraint->goes = goes_by_name(alter, constraint->name);
		if (!isnull)
		{
			ArrayType *array = DatumGetArrayTypeP(columns);

			if (goes_with_column(alter, relation,
								 (const int16 *) ARR_DATA_PTR(array),
								 ARR_DIMS(array)[0]))
				constraint->goes = true;
		}
		constraints = lappend(constraints, constraint);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return constraints;
}

static bool
goes_by_name(const TessAlter *alter, const char *constraint)
{
	ListCell *lc;

	foreach(lc, alter->statement->cmds)
	{
		const AlterTableCmd *command = lfirst(lc);

		if (command->subtype == AT_DropConstraint &&
			strcmp(command->name, constraint) == 0)
			return true;
	}
	return false;
}

static bool
goes_with_column(const TessAlter *alter, Oid relation, const int16 *columns,
				 int count)
{
	ListCell *lc;

	foreach(lc, alter->statement->cmds)
	{
		const AlterTableCmd *command = lfirst(lc);
		AttrNumber attnum;

		if (command->subtype != AT_DropColumn)
			continue;
		attnum = get_attnum(relation, command->name);
		for (int i = 0; i < count; i++)
		{
			if (columns[i] == attnum)
				return true;
		}
	}
	return false;
}

/* PostgreSQL makes a constraint anew, under its name, when a column of it gets
 * another type; so will the nodes. */
static bool
is_made_anew(const TessAlter *alter, Oid relation, const char *name)
{
	ListCell *lc;

	foreach(lc, alter->constraints)
	{
		const OldConstraint *old = lfirst(lc);

		if (!old->goes && old->relation == relation &&
			strcmp(old->name, name) == 0)
			return true;
	}
	return false;
}

static bool
has_constraint(const List *constraints, Oid oid)
{
	ListCell *lc;

	foreach(lc, constraints)
	{
		if (((const OldConstraint *) lfirst(lc))->oid == oid)
			return true;
	}
	return false;
}

/* The index of ADD ... USING INDEX becomes this constraint. */
static bool
is_of_index(const TessAlter *alter, const char *name)
{
	ListCell *lc;

	foreach(lc, alter->statement->cmds)
	{
		const AlterTableCmd *command = lfirst(lc);
		const Constraint *constraint = (const Constraint *) command->def;

		if (command->subtype == AT_AddConstraint &&
			constraint->indexname != NULL &&
			strcmp(constraint->conname ? constraint->conname
									   : constraint->indexname,
				   name) == 0)
			return true;
	}
	return false;
}

/* "ADD CONSTRAINT ..." for each that the shell has got. */
static List *
new_constraints(const TessAlter *alter, Relation rel)
{
	List *texts = NIL;
	ListCell *lc;

	foreach(lc, old_constraints(alter, RelationGetRelid(rel)))
	{
		const OldConstraint *constraint = lfirst(lc);
		char *text;

		if (has_constraint(alter->constraints, constraint->oid) ||
			is_made_anew(alter, constraint->relation, constraint->name) ||
			is_of_index(alter, constraint->name))
			continue;
		if (rel->rd_rel->relispartition &&
			tess_ddl_comes_with_parent(constraint->oid))
			continue;
		text = tess_ddl_constraint(rel, constraint->oid);
		if (text != NULL)
			texts = lappend(texts, psprintf("ADD %s", text));
	}
	return texts;
}

/* The statement over the shell, as a template. */
static List *
alter_template(const TessAlter *alter, const TessTable *table, List *parts)
{
	const char *texts = tess_names_join(parts);
	List *template;
	char *sql;
	int settings;

	if (OidIsValid(alter->index))
		return tess_repeat_template(table, "ALTER INDEX ",
									get_rel_name(alter->index),
									psprintf(" %s", texts));
	sql = psprintf("ALTER TABLE %s%s %s",
				   alter->statement->relation->inh ? "" : "ONLY ",
				   tess_quote_qualified(table->schema, table->name), texts);
	if (table->kind == TESS_REFERENCE)
		return list_make1(makeString(sql));
	settings = tess_settings_pin();
	template = tess_template_from_sql(sql);
	AtEOXact_GUC(true, settings);
	return template;
}

/* What partitions have got: unique constraints have names of their own there.
 * Made first, they are found when the table above gets its own. */
static List *
partition_templates(const TessAlter *alter)
{
	List *templates = NIL;

	for (int i = list_length(alter->tree) - 1; i > 0; i--)
	{
		const TessTable *table = tess_meta_table(list_nth_oid(alter->tree, i));
		Relation rel = table_open(table->relation, NoLock);
		List *constraints = new_constraints(alter, rel);

		table_close(rel, NoLock);
		if (constraints != NIL)
			templates = lappend(templates,
								alter_template(alter, table, constraints));
	}
	return templates;
}

/* What the shards are told first, and later: lists of templates. */
static void
alter_templates(TessAlter *alter, const TessTable *table, Relation rel,
				List **now, List **later)
{
	List *first = NIL;
	List *last = NIL;
	List *constraints;
	ListCell *lc;

	foreach(lc, alter->parts)
	{
		TessAlterPart *part = lfirst(lc);

		if (part->kind->after != NULL && !part->is_void)
			part->kind->after(alter, rel, part);
		if (part->text != NULL)
			first = lappend(first, part->text);
		if (part->later != NULL)
			last = lappend(last, part->later);
	}
	/* a primary key wants its columns filled */
	constraints = new_constraints(alter, rel);
	*later = partition_templates(alter);
	if (alter->fills == NIL && *later == NIL)
		first = list_concat(first, constraints);
	else
		last = list_concat(last, constraints);
	*now = first ? list_make1(alter_template(alter, table, first)) : NIL;
	if (last != NIL)
		*later = lappend(*later, alter_template(alter, table, last));
}

/* The tables of ours that have been altered are as they may be. */
static void
check_tree(const TessAlter *alter)
{
	ListCell *lc;

	foreach(lc, alter->tree)
	{
		Relation rel = table_open(lfirst_oid(lc), NoLock);
		const TessTable *table = tess_meta_table(lfirst_oid(lc));

		tess_table_check_constraints(rel);
		if (table->kind == TESS_DISTRIBUTED && !table->is_partitioned)
			tess_statistics_restore_size(rel);
		table_close(rel, NoLock);
	}
}

/* The shell has been altered: its shards. */
void
tess_alter_finish(TessAlter *alter)
{
	Oid relation = alter->altering.relation;
	const TessTable *table;
	TessWork *work;
	Relation rel;
	List *now;
	List *later;
	ListCell *lc;

	CommandCounterIncrement();
	foreach(lc, alter->tree)
		tess_effects_forget_parts(lfirst_oid(lc));
	check_tree(alter);
	table = tess_alter_table(alter);
	rel = table_open(relation, NoLock);
	alter_templates(alter, table, rel, &now, &later);
	table_close(rel, NoLock);
	if (now == NIL && later == NIL)
		return;

	work = tess_work_of_table(table);
	if (alter->needs_objects)
		tess_repeat_needed_objects(work, relation);
	tess_work_add_templates(work, now);
	if (alter->fills != NIL)
	{
		tess_work_run(work);
		(void) run_over_table(relation,
							  psprintf("UPDATE %s%s SET %s", only_of(alter),
									   tess_relation_qualified_name(relation),
									   tess_names_join(alter->fills)),
							  SPI_OK_UPDATE);
	}
	tess_work_add_templates(work, later);
	tess_work_run(work);
	if (alter->needs_objects)
		tess_objects_bring_for_table(relation);
}
