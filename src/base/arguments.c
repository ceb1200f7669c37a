/*
 * arguments.c - arguments of SQL functions, names of tables in them, and results
 * that are one row.
 *
 * A table is given as regclass or as text.  Where a literal is of either type,
 * PostgreSQL takes text, so that a name that is none is refused here, with a
 * hint, and not by the parser.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "base/base.h"

void
tess_argument_refuse_null(FunctionCallInfo fcinfo, int argument,
						  const char *name, const char *hint)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be NULL", name), errhint("%s", hint)));
}

/* What helps against an error of looking for a table by name. */
static const char *
hint_for_name(int sqlstate)
{
	switch (sqlstate)
	{
		case ERRCODE_UNDEFINED_TABLE:
			return _(
				"Look for the name of the table with \\d; one with capitals needs double quotes.");
		case ERRCODE_UNDEFINED_SCHEMA:
			return _(
				"Look for the name of the schema with \\dn; one with capitals needs double quotes.");
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return _("Ask the owner of the schema for USAGE on it.");
		case ERRCODE_FEATURE_NOT_SUPPORTED:
			return _(
				"Name a table of this database: as table, or as schema.table.");
		default:
			return _(
				"Write it as in SQL: table or schema.table, each in double quotes if it has capitals, spaces or signs.");
	}
}

/* A number is an OID, as regclass has it. */
static Oid
find_relation(const char *name, LOCKMODE lockmode)
{
	List *parts;

	if (name[0] != '\0' && strspn(name, "0123456789") == strlen(name))
	{
		Oid relation = DatumGetObjectId(
			DirectFunctionCall1(oidin, CStringGetDatum(name)));

		if (lockmode != NoLock)
			LockRelationOid(relation, lockmode);
		return relation;
	}
	parts = stringToQualifiedNameList(name);
	return RangeVarGetRelid(makeRangeVarFromNameList(parts), lockmode, false);
}

Oid
tess_relation_by_name(const char *name, LOCKMODE lockmode, const char *hint)
{
	MemoryContext context = CurrentMemoryContext;
	Oid relation = InvalidOid;

	PG_TRY();
	{
		relation = find_relation(name, lockmode);
	}
	PG_CATCH();
	{
		int sqlstate = geterrcode();

		tess_error_raise_again(context, hint ? hint : hint_for_name(sqlstate));
	}
	PG_END_TRY();
	return relation;
}

Oid
tess_argument_relation(FunctionCallInfo fcinfo, int argument)
{
	Oid *types;
	int count;

	tess_argument_refuse_null(fcinfo, argument, "relation",
							  _("Give the name of a table."));
	(void) get_func_signature(fcinfo->flinfo->fn_oid, &types, &count);
	if (types[argument] != TEXTOID)
		return PG_GETARG_OID(argument);
	return tess_relation_by_name(text_to_cstring(PG_GETARG_TEXT_PP(argument)),
								 NoLock, NULL);
}

Datum
tess_result_row(FunctionCallInfo fcinfo, int count, Datum *values)
{
	bool *nulls = palloc0(count * sizeof(bool));
	TupleDesc descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	Assert(descriptor->natts == count);
	return HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
}
