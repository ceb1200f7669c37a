/*
 * operator_ddl.c - CREATE OPERATOR, OPERATOR CLASS and FAMILY, and CAST, from
 * the catalogs: core has no functions that write them.
 *
 * Where PostgreSQL notes a member of an operator class does not say what the
 * class was made with, so all members of the family that are of the class's
 * type alone are written.  A family with members of two types is not.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

/* Calls each() for the members of a family in a catalog. */
typedef void (*MemberCallback)(HeapTuple tuple, void *arg);

static void
for_members(Oid catalog_id, Oid index, AttrNumber column, Oid family,
			MemberCallback each, void *arg)
{
	Relation catalog = table_open(catalog_id, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(family));
	scan = systable_beginscan(catalog, index, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		each(tuple, arg);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
for_operators(Oid family, MemberCallback each, void *arg)
{
	for_members(AccessMethodOperatorRelationId, AccessMethodStrategyIndexId,
				Anum_pg_amop_amopfamily, family, each, arg);
}

static void
for_functions(Oid family, MemberCallback each, void *arg)
{
	for_members(AccessMethodProcedureRelationId, AccessMethodProcedureIndexId,
				Anum_pg_amproc_amprocfamily, family, each, arg);
}

static void
refuse(const char *kind, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s %s cannot be created on other servers", kind, name),
			 errhint("Put it into an extension that is available on all nodes.")));
}

/* operators ---------------------------------------------------------------- */

char *
tess_operator_name(Oid operator)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char *name;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("operator with OID %u does not exist", operator)));
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)",
					quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return name;
}

static char *
function_name(Oid function)
{
	return tess_quote_qualified(get_namespace_name(get_func_namespace(function)),
								get_func_name(function));
}

static const char *
function_or_none(Oid function)
{
	return OidIsValid(function) ? function_name(function) : "NONE";
}

char *
tess_operator_estimators(Oid operator)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form = (Form_pg_operator) GETSTRUCT(tuple);
	char *text = psprintf("SET (RESTRICT = %s, JOIN = %s)",
						  function_or_none(form->oprrest),
						  function_or_none(form->oprjoin));

	ReleaseSysCache(tuple);
	return text;
}

char *
tess_operator_definition(Oid operator)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form = (Form_pg_operator) GETSTRUCT(tuple);
	StringInfoData out;

	initStringInfo(&out);
	if (!OidIsValid(form->oprcode))
		refuse("operator", format_operator_qualified(operator));
	appendStringInfo(&out, "CREATE OPERATOR %s.%s (FUNCTION = %s",
					 quote_identifier(get_namespace_name(form->oprnamespace)),
					 NameStr(form->oprname), function_name(form->oprcode));
	if (OidIsValid(form->oprleft))
		appendStringInfo(&out, ", LEFTARG = %s",
						 format_type_be_qualified(form->oprleft));
	appendStringInfo(&out, ", RIGHTARG = %s",
					 format_type_be_qualified(form->oprright));
	if (OidIsValid(form->oprcom))
		appendStringInfo(&out, ", COMMUTATOR = %s",
						 tess_operator_name(form->oprcom));
	if (OidIsValid(form->oprnegate))
		appendStringInfo(&out, ", NEGATOR = %s",
						 tess_operator_name(form->oprnegate));
	if (OidIsValid(form->oprrest))
		appendStringInfo(&out, ", RESTRICT = %s", function_name(form->oprrest));
	if (OidIsValid(form->oprjoin))
		appendStringInfo(&out, ", JOIN = %s", function_name(form->oprjoin));
	appendStringInfo(&out, "%s%s)", form->oprcanhash ? ", HASHES" : "",
					 form->oprcanmerge ? ", MERGES" : "");
	ReleaseSysCache(tuple);
	return out.data;
}

/* operator families and classes --------------------------------------------- */

static void
note_mixed_operator(HeapTuple tuple, void *arg)
{
	Form_pg_amop form = (Form_pg_amop) GETSTRUCT(tuple);

	if (form->amoplefttype != form->amoprighttype)
		*(bool *) arg = true;
}

static void
note_mixed_function(HeapTuple tuple, void *arg)
{
	Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(tuple);

	if (form->amproclefttype != form->amprocrighttype)
		*(bool *) arg = true;
}

static char *
family_name(Oid family, Oid *method)
{
	HeapTuple tuple = SearchSysCache1(OPFAMILYOID, ObjectIdGetDatum(family));
	Form_pg_opfamily form = (Form_pg_opfamily) GETSTRUCT(tuple);
	char *name = tess_quote_qualified(get_namespace_name(form->opfnamespace),
									  NameStr(form->opfname));

	*method = form->opfmethod;
	ReleaseSysCache(tuple);
	return name;
}

char *
tess_operator_family_definition(Oid family)
{
	Oid method;
	char *name = family_name(family, &method);
	bool is_mixed = false;

	for_operators(family, note_mixed_operator, &is_mixed);
	for_functions(family, note_mixed_function, &is_mixed);
	if (is_mixed)
		refuse("operator family", name);
	return psprintf("CREATE OPERATOR FAMILY %s USING %s", name,
					quote_identifier(get_am_name(method)));
}

/* The members of a class while they are written. */
typedef struct Members
{
	StringInfo out;
	Oid type;
	const char *separator;
} Members;

static void
write_operator(HeapTuple tuple, void *arg)
{
	Form_pg_amop form = (Form_pg_amop) GETSTRUCT(tuple);
	Members *members = arg;
	Oid method;

	if (form->amoplefttype != members->type ||
		form->amoprighttype != members->type)
		return;
	appendStringInfo(members->out, "%sOPERATOR %d %s", members->separator,
					 form->amopstrategy,
					 format_operator_qualified(form->amopopr));
	if (OidIsValid(form->amopsortfamily))
		appendStringInfo(members->out, " FOR ORDER BY %s",
						 family_name(form->amopsortfamily, &method));
	members->separator = ", ";
}

static void
write_function(HeapTuple tuple, void *arg)
{
	Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(tuple);
	Members *members = arg;

	if (form->amproclefttype != members->type ||
		form->amprocrighttype != members->type)
		return;
	appendStringInfo(members->out, "%sFUNCTION %d %s", members->separator,
					 form->amprocnum, format_procedure_qualified(form->amproc));
	members->separator = ", ";
}

char *
tess_operator_class_definition(Oid class)
{
	HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(class));
	Form_pg_opclass form = (Form_pg_opclass) GETSTRUCT(tuple);
	StringInfoData out;
	Members members = {&out, form->opcintype, ""};
	Oid method;
	const char *family = family_name(form->opcfamily, &method);

	initStringInfo(&out);
	appendStringInfo(&out,
					 "CREATE OPERATOR CLASS %s %sFOR TYPE %s USING %s FAMILY %s AS ",
					 tess_quote_qualified(get_namespace_name(form->opcnamespace),
										  NameStr(form->opcname)),
					 form->opcdefault ? "DEFAULT " : "",
					 format_type_be_qualified(form->opcintype),
					 quote_identifier(get_am_name(method)), family);
	if (OidIsValid(form->opckeytype))
	{
		appendStringInfo(&out, "STORAGE %s",
						 format_type_be_qualified(form->opckeytype));
		members.separator = ", ";
	}
	for_operators(form->opcfamily, write_operator, &members);
	for_functions(form->opcfamily, write_function, &members);
	if (members.separator[0] == '\0')
		refuse("operator class", NameStr(form->opcname));
	ReleaseSysCache(tuple);
	return out.data;
}

/* casts ---------------------------------------------------------------------- */

char *
tess_cast_definition(Oid cast)
{
	Relation catalog = table_open(CastRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	StringInfoData out;

	initStringInfo(&out);
	ScanKeyInit(&key, Anum_pg_cast_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(cast));
	scan = systable_beginscan(catalog, CastOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_cast form = (Form_pg_cast) GETSTRUCT(tuple);

		appendStringInfo(&out, "CREATE CAST (%s AS %s) ",
						 format_type_be_qualified(form->castsource),
						 format_type_be_qualified(form->casttarget));
		if (form->castmethod == COERCION_METHOD_FUNCTION)
			appendStringInfo(&out, "WITH FUNCTION %s",
							 format_procedure_qualified(form->castfunc));
		else
			appendStringInfoString(&out, form->castmethod == COERCION_METHOD_INOUT
											 ? "WITH INOUT"
											 : "WITHOUT FUNCTION");
		if (form->castcontext == COERCION_CODE_IMPLICIT)
			appendStringInfoString(&out, " AS IMPLICIT");
		else if (form->castcontext == COERCION_CODE_ASSIGNMENT)
			appendStringInfoString(&out, " AS ASSIGNMENT");
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return out.data;
}
