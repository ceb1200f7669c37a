/*
 * type_ddl.c - CREATE TYPE of a user's enum, composite, domain or range.
 *
 * Coordinator and node write it with the same code, so that equal texts mean
 * equal types.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
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

PG_FUNCTION_INFO_V1(tess_type_show_definition);

static void
append_collation(StringInfo out, Oid collation, Oid type)
{
	if (OidIsValid(collation) && collation != get_typcollation(type))
		appendStringInfo(out, " COLLATE %s", generate_collation_name(collation));
}

static void
append_enum(StringInfo out, Oid type)
{
	Relation catalog = table_open(EnumRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	const char *separator = "";

	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(catalog, EnumTypIdSortOrderIndexId, true, NULL, 1,
							  &key);
	appendStringInfoString(out, " AS ENUM (");
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_enum label = (Form_pg_enum) GETSTRUCT(tuple);

		appendStringInfo(out, "%s%s", separator,
						 quote_literal_cstr(NameStr(label->enumlabel)));
		separator = ", ";
	}
	appendStringInfoChar(out, ')');
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
append_composite(StringInfo out, Oid relation)
{
	Relation rel = relation_open(relation, AccessShareLock);
	const char *separator = "";

	appendStringInfoString(out, " AS (");
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), i);

		if (column->attisdropped)
			continue;
		appendStringInfo(out, "%s%s %s", separator,
						 quote_identifier(NameStr(column->attname)),
						 format_type_with_typemod(column->atttypid,
												  column->atttypmod));
		append_collation(out, column->attcollation, column->atttypid);
		separator = ", ";
	}
	appendStringInfoChar(out, ')');
	relation_close(rel, NoLock);
}

static void
append_range(StringInfo out, Oid type)
{
	HeapTuple tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	Form_pg_range range;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for range type %u", type);
	range = (Form_pg_range) GETSTRUCT(tuple);
	if (OidIsValid(range->rngcanonical))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("range type %s with a canonical function cannot be created on other servers",
						format_type_be(type)),
				 errhint(
					 "Put the type into an extension, and install it on all nodes.")));

	appendStringInfo(out, " AS RANGE (SUBTYPE = %s, SUBTYPE_OPCLASS = %s",
					 format_type_be_qualified(range->rngsubtype),
					 generate_opclass_name(range->rngsubopc));
	if (OidIsValid(range->rngcollation))
		appendStringInfo(out, ", COLLATION = %s",
						 generate_collation_name(range->rngcollation));
	if (OidIsValid(range->rngsubdiff))
		appendStringInfo(out, ", SUBTYPE_DIFF = %s",
						 tess_quote_qualified(get_namespace_name(get_func_namespace(
												  range->rngsubdiff)),
											  get_func_name(range->rngsubdiff)));
	appendStringInfo(out, ", MULTIRANGE_TYPE_NAME = %s)",
					 format_type_be_qualified(range->rngmultitypid));
	ReleaseSysCache(tuple);
}

static int
compare_strings(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static void
append_domain_constraints(StringInfo out, Oid type)
{
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	List *parts = NIL;
	ListCell *cell;

	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(type));
	scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);
		char *definition;

		tess_ddl_check_condition(constraint->oid);
		definition = TextDatumGetCString(
			DirectFunctionCall1(pg_get_constraintdef,
								ObjectIdGetDatum(constraint->oid)));
		/* CREATE DOMAIN has no words for that, and where it is new no rows are */
		if (!constraint->convalidated)
			definition[strlen(definition) - strlen(" NOT VALID")] = '\0';
		parts = lappend(parts,
						psprintf(" CONSTRAINT %s %s",
								 quote_identifier(NameStr(constraint->conname)),
								 definition));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);

	/* by name: the order of the catalog is that of creation */
	list_sort(parts, compare_strings);
	foreach(cell, parts)
		appendStringInfoString(out, lfirst(cell));
}

static void
append_domain(StringInfo out, HeapTuple tuple)
{
	Form_pg_type type = (Form_pg_type) GETSTRUCT(tuple);
	Datum value;
	bool isnull;

	appendStringInfo(out, " AS %s",
					 format_type_with_typemod(type->typbasetype, type->typtypmod));
	append_collation(out, type->typcollation, type->typbasetype);
	value = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefaultbin, &isnull);
	if (!isnull)
	{
		Node *expr = stringToNode(TextDatumGetCString(value));

		if (tess_default_travels(expr))
			appendStringInfo(out, " DEFAULT %s",
							 deparse_expression(expr, NIL, false, false));
	}
	if (type->typnotnull)
		appendStringInfoString(out, " NOT NULL");
	append_domain_constraints(out, type->oid);
}

char *
tess_type_definition(Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	StringInfoData out;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("type with OID %u does not exist", type)));
	form = (Form_pg_type) GETSTRUCT(tuple);

	initStringInfo(&out);
	appendStringInfo(&out, "CREATE %s %s",
					 form->typtype == TYPTYPE_DOMAIN ? "DOMAIN" : "TYPE",
					 tess_quote_qualified(get_namespace_name(form->typnamespace),
										  NameStr(form->typname)));
	switch (form->typtype)
	{
		case TYPTYPE_ENUM:
			append_enum(&out, type);
			break;
		case TYPTYPE_COMPOSITE:
			append_composite(&out, form->typrelid);
			break;
		case TYPTYPE_RANGE:
			append_range(&out, type);
			break;
		case TYPTYPE_DOMAIN:
			append_domain(&out, tuple);
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("type %s cannot be created on other servers",
							format_type_be(type)),
					 errhint(
						 "Put the type into an extension, and install it on all nodes.")));
	}
	ReleaseSysCache(tuple);
	return out.data;
}

/* type_definition(regtype): what a coordinator compares with its own. */
Datum
tess_type_show_definition(PG_FUNCTION_ARGS)
{
	int settings = tess_settings_pin();
	char *definition = tess_type_definition(PG_GETARG_OID(0));

	AtEOXact_GUC(true, settings);
	PG_RETURN_TEXT_P(cstring_to_text(definition));
}
