/*
 * table_ddl_post.c - what a table gets when its rows are in: indexes,
 * constraints, statistics objects.  All keep the names they have here.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_statistic_ext.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

/* reloptions of an index as a WITH list; "" if it has none. */
static char *
index_options(Oid index)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	StringInfoData options;
	Datum value;
	bool isnull;

	initStringInfo(&options);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", index);
	value = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull)
		tess_ddl_options(&options, value, "");
	ReleaseSysCache(tuple);
	return options.data;
}

/*
 * The definition of a constraint with the options of its index.  Core writes
 * these only together with the tablespace, which nodes need not have: where
 * there is one, the options are left to an ALTER INDEX.
 */
static char *
constraint_definition(TessDdl *ddl, const FormData_pg_constraint *constraint)
{
	char *prefix;
	char *command;

	if (OidIsValid(constraint->conindid) &&
		OidIsValid(get_rel_tablespace(constraint->conindid)))
		return TextDatumGetCString(
			DirectFunctionCall1(pg_get_constraintdef,
								ObjectIdGetDatum(constraint->oid)));

	prefix = psprintf("ALTER TABLE %s ADD CONSTRAINT %s ",
					  tess_quote_qualified(ddl->schema, ddl->name),
					  quote_identifier(NameStr(constraint->conname)));
	command = pg_get_constraintdef_command(constraint->oid);
	if (strncmp(command, prefix, strlen(prefix)) != 0)
		elog(ERROR, "unexpected definition of a constraint: %s", command);
	return command + strlen(prefix);
}

/* True if the constraint can be kept by each shard on its own. */
static bool
constraint_is_kept(TessDdl *ddl, const FormData_pg_constraint *constraint)
{
	const TessTable *own;
	const TessTable *other;

	switch (constraint->contype)
	{
		case CONSTRAINT_PRIMARY:
		case CONSTRAINT_UNIQUE:
		case CONSTRAINT_EXCLUSION:
			return true;
		case CONSTRAINT_CHECK:
			tess_ddl_check_condition(constraint->oid);
			return true;
		case CONSTRAINT_FOREIGN:
			if (tess_ddl_is_to_partition(constraint))
				return false;
			if (constraint->confrelid == RelationGetRelid(ddl->rel))
				return true;
			other = tess_meta_table(constraint->confrelid);
			if (other == NULL)
				return false;
			if (other->kind == TESS_REFERENCE)
				return true;
			own = tess_meta_table(RelationGetRelid(ddl->rel));
			return own != NULL && own->kind == TESS_DISTRIBUTED &&
				   own->group->colocation_id == other->group->colocation_id;
		default:
			return false;
	}
}

/* A CHECK that holds for all rows has been made with the table; foreign keys of
 * partitions wait for the tables around them. */
static bool
constraint_is_wanted(TessDdl *ddl, const FormData_pg_constraint *constraint)
{
	if (constraint->contype == CONSTRAINT_CHECK && constraint->convalidated)
		return false;
	if (constraint->contype == CONSTRAINT_FOREIGN &&
		(ddl->rel->rd_rel->relispartition ||
		 ddl->rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE))
		return false;
	return constraint_is_kept(ddl, constraint);
}

/* Calls a function for each constraint of the table, by name. */
static void
for_each_constraint(TessDdl *ddl, void (*function)(TessDdl *, Form_pg_constraint))
{
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(RelationGetRelid(ddl->rel)));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

		if (constraint_is_wanted(ddl, constraint))
			function(ddl, constraint);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
write_constraint(TessDdl *ddl, Form_pg_constraint constraint)
{
	appendStringInfo(&ddl->text, "%s ADD CONSTRAINT %s %s",
					 ddl->text.len > 0 ? "," : "",
					 quote_identifier(NameStr(constraint->conname)),
					 constraint_definition(ddl, constraint));
}

char *
tess_ddl_constraint(Relation rel, Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	char *text = NULL;
	TessDdl ddl;
	int settings;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	settings = tess_settings_pin();
	tess_ddl_begin(&ddl, rel, false);
	if (constraint_is_kept(&ddl, form))
		text = psprintf("CONSTRAINT %s %s",
						quote_identifier(NameStr(form->conname)),
						constraint_definition(&ddl, form));
	AtEOXact_GUC(true, settings);
	ReleaseSysCache(tuple);
	return text;
}

static void
add_constraint_details(TessDdl *ddl, Form_pg_constraint constraint)
{
	const char *options;

	tess_ddl_add_comment(ddl, ConstraintRelationId, constraint->oid, 0,
						 "CONSTRAINT", NameStr(constraint->conname));
	if (!OidIsValid(constraint->conindid) ||
		constraint->contype == CONSTRAINT_FOREIGN ||
		!OidIsValid(get_rel_tablespace(constraint->conindid)))
		return;
	options = index_options(constraint->conindid);
	if (options[0] == '\0')
		return;
	appendStringInfoString(&ddl->text, "ALTER INDEX ");
	tess_ddl_object(ddl, get_rel_name(constraint->conindid));
	appendStringInfo(&ddl->text, " SET (%s)", options);
	tess_ddl_end(ddl);
}

/* One ALTER TABLE: PostgreSQL makes indexes first and foreign keys last. */
static void
add_constraints(TessDdl *ddl)
{
	for_each_constraint(ddl, write_constraint);
	if (ddl->text.len > 0)
	{
		char *list = pstrdup(ddl->text.data);

		resetStringInfo(&ddl->text);
		tess_ddl_add_sql(ddl,
						 psprintf("ALTER TABLE %s%s",
								  tess_quote_qualified(ddl->schema, ddl->name),
								  list));
	}
	for_each_constraint(ddl, add_constraint_details);
}

/* What an index has that is not in its definition. */
static void
add_index_details(TessDdl *ddl, Relation index)
{
	const char *name = RelationGetRelationName(index);
	TupleDesc columns = RelationGetDescr(index);

	tess_ddl_add_comment(ddl, RelationRelationId, RelationGetRelid(index), 0,
						 "INDEX", name);
	for (int i = 0; i < columns->natts; i++)
	{
		int target = TupleDescAttr(columns, i)->attstattarget;

		if (target < 0)
			continue;
		appendStringInfoString(&ddl->text, "ALTER INDEX ");
		tess_ddl_object(ddl, name);
		appendStringInfo(&ddl->text, " ALTER COLUMN %d SET STATISTICS %d",
						 i + 1, target);
		tess_ddl_end(ddl);
	}
	if (index->rd_index->indisclustered)
	{
		appendStringInfoString(&ddl->text, "ALTER TABLE ");
		tess_ddl_table(ddl);
		appendStringInfo(&ddl->text, " CLUSTER ON %s", quote_identifier(name));
		tess_ddl_end(ddl);
	}
	if (index->rd_index->indisreplident)
	{
		appendStringInfoString(&ddl->text, "ALTER TABLE ");
		tess_ddl_table(ddl);
		appendStringInfo(&ddl->text, " REPLICA IDENTITY USING INDEX %s",
						 quote_identifier(name));
		tess_ddl_end(ddl);
	}
}

static void
add_indexes(TessDdl *ddl)
{
	ListCell *cell;

	foreach(cell, RelationGetIndexList(ddl->rel))
	{
		Oid oid = lfirst_oid(cell);
		Relation index = index_open(oid, AccessShareLock);

		/* pg_get_indexdef leaves the tablespace out, which nodes need not have */
		if (index->rd_index->indisvalid && !OidIsValid(get_index_constraint(oid)))
			tess_ddl_add_sql(ddl,
							 TextDatumGetCString(
								 DirectFunctionCall1(pg_get_indexdef,
													 ObjectIdGetDatum(oid))));
		index_close(index, NoLock);
	}
}

static void
add_details_of_indexes(TessDdl *ddl)
{
	ListCell *cell;

	foreach(cell, RelationGetIndexList(ddl->rel))
	{
		Relation index = index_open(lfirst_oid(cell), NoLock);

		if (index->rd_index->indisvalid)
			add_index_details(ddl, index);
		index_close(index, NoLock);
	}
}

/*
 * A statistics object goes where its table is.  Its own name, the first one
 * in the text, has no offset in the raw tree.
 */
static void
add_statistics_object(TessDdl *ddl, Oid oid)
{
	HeapTuple tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(oid));
	Form_pg_statistic_ext object;
	char *name;
	char *sql;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for statistics object %u", oid);
	object = (Form_pg_statistic_ext) GETSTRUCT(tuple);
	name = pstrdup(NameStr(object->stxname));
	sql = pg_get_statisticsobjdef_string(oid);

	if (ddl->as_reference)
		tess_ddl_add_sql(ddl, sql);
	else
		ddl->statements = lappend(ddl->statements,
								  tess_names_statistics(sql, ddl->schema));

	/* in the schema of the table, except for a reference table's */
	if (!ddl->as_reference ||
		object->stxnamespace == RelationGetNamespace(ddl->rel))
	{
		tess_ddl_add_comment(ddl, StatisticExtRelationId, oid, 0, "STATISTICS",
							 name);
		if (object->stxstattarget >= 0)
		{
			appendStringInfoString(&ddl->text, "ALTER STATISTICS ");
			tess_ddl_object(ddl, name);
			appendStringInfo(&ddl->text, " SET STATISTICS %d",
							 object->stxstattarget);
			tess_ddl_end(ddl);
		}
		appendStringInfoString(&ddl->text, "ALTER STATISTICS ");
		tess_ddl_object(ddl, name);
		appendStringInfo(&ddl->text, " OWNER TO %s",
						 tess_ddl_role(object->stxowner));
		tess_ddl_end(ddl);
	}
	ReleaseSysCache(tuple);
}

List *
tess_ddl_statistics(Oid relation, Oid statistics)
{
	TessDdl ddl;
	Relation rel = table_open(relation, NoLock);
	int settings = tess_settings_pin();

	tess_ddl_begin(&ddl, rel, tess_meta_table(relation)->kind == TESS_REFERENCE);
	add_statistics_object(&ddl, statistics);
	AtEOXact_GUC(true, settings);
	table_close(rel, NoLock);
	return ddl.statements;
}

List *
tess_ddl_table_post_data(Oid relation, bool as_reference)
{
	TessDdl ddl;
	Relation rel = table_open(relation, NoLock);
	int settings = tess_settings_pin();
	ListCell *cell;

	tess_ddl_begin(&ddl, rel, as_reference);
	add_indexes(&ddl);
	add_constraints(&ddl);
	add_details_of_indexes(&ddl);
	foreach(cell, RelationGetStatExtList(rel))
		add_statistics_object(&ddl, lfirst_oid(cell));

	AtEOXact_GUC(true, settings);
	table_close(rel, NoLock);
	return ddl.statements;
}
