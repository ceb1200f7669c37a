/*
 * aggregate_ddl.c - CREATE OR REPLACE AGGREGATE, from pg_aggregate: core has
 * no function that writes it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

static void
append_function(StringInfo out, const char *option, Oid function)
{
	if (OidIsValid(function))
		appendStringInfo(out, ", %s = %s", option,
						 tess_quote_qualified(get_namespace_name(
												  get_func_namespace(function)),
											  get_func_name(function)));
}

static void
append_state(StringInfo out, const char *prefix, Oid type, int32 space)
{
	if (OidIsValid(type))
		appendStringInfo(out, ", %sSTYPE = %s", prefix,
						 format_type_be_qualified(type));
	if (space != 0)
		appendStringInfo(out, ", %sSSPACE = %d", prefix, space);
}

static void
append_initial(StringInfo out, const char *option, HeapTuple tuple,
			   AttrNumber column)
{
	bool isnull;
	Datum value = SysCacheGetAttr(AGGFNOID, tuple, column, &isnull);

	if (!isnull)
		appendStringInfo(out, ", %s = %s", option,
						 quote_literal_cstr(TextDatumGetCString(value)));
}

static void
append_final(StringInfo out, const char *prefix, Oid function, bool has_extra,
			 char modifies)
{
	append_function(out, psprintf("%sFINALFUNC", prefix), function);
	if (has_extra)
		appendStringInfo(out, ", %sFINALFUNC_EXTRA", prefix);
	if (OidIsValid(function))
		appendStringInfo(out, ", %sFINALFUNC_MODIFY = %s", prefix,
						 modifies == AGGMODIFY_READ_ONLY   ? "READ_ONLY"
						 : modifies == AGGMODIFY_SHAREABLE ? "SHAREABLE"
														   : "READ_WRITE");
}

static const char *
argument_list(Oid aggregate)
{
	const char *args = TextDatumGetCString(
		DirectFunctionCall1(pg_get_function_arguments,
							ObjectIdGetDatum(aggregate)));

	return args[0] == '\0' ? "*" : args;
}

char *
tess_aggregate_definition(Oid aggregate)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	Form_pg_aggregate form;
	char parallel = func_parallel(aggregate);
	StringInfoData out;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("aggregate with OID %u does not exist", aggregate)));
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	initStringInfo(&out);
	appendStringInfo(&out, "CREATE OR REPLACE AGGREGATE %s(%s) (PARALLEL = %s",
					 tess_quote_qualified(get_namespace_name(
											  get_func_namespace(aggregate)),
										  get_func_name(aggregate)),
					 argument_list(aggregate),
					 parallel == PROPARALLEL_SAFE		  ? "SAFE"
					 : parallel == PROPARALLEL_RESTRICTED ? "RESTRICTED"
														  : "UNSAFE");
	append_function(&out, "SFUNC", form->aggtransfn);
	append_state(&out, "", form->aggtranstype, form->aggtransspace);
	append_final(&out, "", form->aggfinalfn, form->aggfinalextra,
				 form->aggfinalmodify);
	append_function(&out, "COMBINEFUNC", form->aggcombinefn);
	append_function(&out, "SERIALFUNC", form->aggserialfn);
	append_function(&out, "DESERIALFUNC", form->aggdeserialfn);
	append_initial(&out, "INITCOND", tuple, Anum_pg_aggregate_agginitval);
	append_function(&out, "MSFUNC", form->aggmtransfn);
	append_function(&out, "MINVFUNC", form->aggminvtransfn);
	append_state(&out, "M", form->aggmtranstype, form->aggmtransspace);
	append_final(&out, "M", form->aggmfinalfn, form->aggmfinalextra,
				 form->aggmfinalmodify);
	append_initial(&out, "MINITCOND", tuple, Anum_pg_aggregate_aggminitval);
	if (OidIsValid(form->aggsortop))
		appendStringInfo(&out, ", SORTOP = %s",
						 tess_operator_name(form->aggsortop));
	if (form->aggkind == AGGKIND_HYPOTHETICAL)
		appendStringInfoString(&out, ", HYPOTHETICAL");
	appendStringInfoChar(&out, ')');
	ReleaseSysCache(tuple);
	return out.data;
}
