/*
 * partition_ddl.c - what makes tables partitions of others, once they are there.
 *
 * A partition is made as any table, and attached.  So it has its own order of
 * columns, and its indexes and constraints their own names: PostgreSQL finds
 * those that the partitioned table asks for, and makes none.  Foreign keys come
 * last: rows refer to each other across partitions.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

/* "FOR VALUES ..." or "DEFAULT" */
static char *
bound_text(Oid partition)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(partition));
	Datum bound;
	bool isnull = true;
	char *words;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", partition);
	bound = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);
	if (isnull)
		elog(ERROR, "relation %u is not a partition", partition);
	words = TextDatumGetCString(
		DirectFunctionCall2(pg_get_expr, bound, ObjectIdGetDatum(partition)));
	ReleaseSysCache(tuple);
	return words;
}

/* See deparse.h. */
List *
tess_ddl_attach(Oid partition)
{
	Oid parent = get_partition_parent(partition, false);
	int settings = tess_settings_pin();
	List *template = tess_template_from_sql(
		psprintf("ALTER TABLE %s ATTACH PARTITION %s %s",
				 tess_relation_qualified_name(parent),
				 tess_relation_qualified_name(partition), bound_text(partition)));

	AtEOXact_GUC(true, settings);
	return template;
}

/* Names of indexes are no slots of a text that is cut: they are no tables. */
static List *
append_index(List *template, const char *text, Oid index)
{
	Oid table = IndexGetRelation(index, false);
	List *schema = list_make1(
		makeString(get_namespace_name(get_rel_namespace(table))));

	template = lappend(template, makeString(pstrdup(text)));
	template = lappend(template, schema);
	return lappend(template,
				   makeString(
					   psprintf(".%s", quote_identifier(get_rel_name(index)))));
}

/* See deparse.h. */
List *
tess_ddl_attach_index(Oid index)
{
	Oid parent = get_partition_parent(index, false);
	List *template = append_index(NIL, "ALTER INDEX ", parent);

	return append_index(template, " ATTACH PARTITION ", index);
}

/* See deparse_internal.h. */
bool
tess_ddl_is_to_partition(const FormData_pg_constraint *constraint)
{
	HeapTuple tuple;
	bool found;

	if (constraint->contype != CONSTRAINT_FOREIGN ||
		!OidIsValid(constraint->conparentid))
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint->conparentid));
	if (!HeapTupleIsValid(tuple))
		return false;
	found = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid ==
			constraint->conrelid;
	ReleaseSysCache(tuple);
	return found;
}

/* A CHECK has the name of that of the partitioned table; a foreign key may have
 * another. */
static bool
comes_with_parent(const FormData_pg_constraint *constraint)
{
	char *name;

	if (constraint->contype == CONSTRAINT_CHECK)
		return constraint->coninhcount > 0;
	if (constraint->contype != CONSTRAINT_FOREIGN ||
		!OidIsValid(constraint->conparentid))
		return false;
	name = get_constraint_name(constraint->conparentid);
	return name != NULL && strcmp(name, NameStr(constraint->conname)) == 0;
}

static List *
key_template(Relation rel, Oid constraint)
{
	char *definition = tess_ddl_constraint(rel, constraint);

	if (definition == NULL)
		return NIL;
	return tess_template_from_sql(
		psprintf("ALTER TABLE %s ADD %s",
				 tess_relation_qualified_name(RelationGetRelid(rel)),
				 definition));
}

/* See deparse.h. */
bool
tess_ddl_comes_with_parent(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	bool comes;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	comes = comes_with_parent((Form_pg_constraint) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	return comes;
}

/* See deparse.h. */
List *
tess_ddl_partition_part(Relation rel, Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	List *template = NIL;
	int settings;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	settings = tess_settings_pin();
	if (form->contype == CONSTRAINT_CHECK || !comes_with_parent(form))
		template = key_template(rel, constraint);
	AtEOXact_GUC(true, settings);
	ReleaseSysCache(tuple);
	return template ? list_make1(template) : NIL;
}

/* See deparse.h. */
List *
tess_ddl_partition_keys(Oid relation)
{
	Relation rel = table_open(relation, NoLock);
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	int settings = tess_settings_pin();
	List *templates = NIL;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);
		List *template;

		if (constraint->contype != CONSTRAINT_FOREIGN ||
			comes_with_parent(constraint))
			continue;
		template = key_template(rel, constraint->oid);
		if (template != NIL)
			templates = lappend(templates, template);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	AtEOXact_GUC(true, settings);
	table_close(rel, NoLock);
	return templates;
}
