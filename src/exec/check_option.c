/*
 * check_option.c - the check option of a view, over rows that nodes return.
 *
 * PostgreSQL checks a row after it has been written; so do we: the nodes return
 * what the conditions need, the scan evaluates them, and what is not true ends
 * the statement and all it has written, with the error that is raised here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tessera.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/typcache.h"

#include "base/base.h"

/* A value in a message is cut to so many bytes, as PostgreSQL does. */
#define MAX_VALUE_BYTES 64

PG_FUNCTION_INFO_V1(tess_check_option_violated);

static bool
may_read(Oid relation, AttrNumber attnum, const int2vector *changed)
{
	for (int i = 0; i < changed->dim1; i++)
		if (changed->values[i] == attnum)
			return true;
	return pg_attribute_aclcheck(relation, attnum, GetUserId(), ACL_SELECT) ==
		   ACLCHECK_OK;
}

static void
append_value(StringInfo out, Oid type, Datum value, bool isnull)
{
	Oid output;
	bool is_varlena;
	char *text;
	int length;

	if (isnull)
	{
		appendStringInfoString(out, "null");
		return;
	}
	getTypeOutputInfo(type, &output, &is_varlena);
	text = OidOutputFunctionCall(output, value);
	length = strlen(text);
	if (length <= MAX_VALUE_BYTES)
		appendStringInfoString(out, text);
	else
		appendStringInfo(out, "%.*s...",
						 pg_mbcliplen(text, length, MAX_VALUE_BYTES), text);
}

/*
 * The row as the user may see it: "(1, x)", or "(a) = (1)" of the columns that he
 * may read or has given; NULL if there are none.
 */
static char *
describe_row(Oid relation, const int2vector *changed, HeapTupleHeader row)
{
	TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
											HeapTupleHeaderGetTypMod(row));
	bool sees_all = pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) ==
					ACLCHECK_OK;
	StringInfoData names;
	StringInfoData values;

	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		const char *name = NameStr(column->attname);
		const char *separator = values.len > 0 ? ", " : "";
		bool isnull;
		Datum value;

		if (!sees_all && !may_read(relation, get_attnum(relation, name), changed))
			continue;
		value = GetAttributeByNum(row, i + 1, &isnull);
		appendStringInfo(&names, "%s%s", separator, name);
		appendStringInfoString(&values, separator);
		append_value(&values, column->atttypid, value, isnull);
	}
	ReleaseTupleDesc(desc);
	if (names.len == 0 ||
		check_enable_rls(relation, InvalidOid, true) == RLS_ENABLED)
		return NULL;
	return sees_all ? psprintf("(%s)", values.data)
					: psprintf("(%s) = (%s)", names.data, values.data);
}

/* tessera_internal.violates_check_option(view, relation, changed, new_row): the
 * error. */
Datum
tess_check_option_violated(PG_FUNCTION_ARGS)
{
	char *view = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *row = describe_row(PG_GETARG_OID(1),
							 (int2vector *) PG_GETARG_POINTER(2),
							 PG_GETARG_HEAPTUPLEHEADER(3));

	ereport(ERROR,
			(errcode(ERRCODE_WITH_CHECK_OPTION_VIOLATION),
			 errmsg("new row violates check option for view \"%s\"", view),
			 row != NULL ? errdetail("Failing row contains %s.", row) : 0));
	PG_RETURN_BOOL(false);
}
