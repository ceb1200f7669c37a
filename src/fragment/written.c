/*
 * written.c - do functions that write values, as text or as JSON, write them on
 * a node as they would here?
 *
 * They are STABLE because of the types they may be called with: a date is
 * written by DateStyle, an interval by IntervalStyle, a number by lc_numeric.
 * Of most types nothing of that is true, and of dates not in JSON.  Numbers
 * with a point (float8) are written by extra_float_digits, which a node's
 * session pins.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/tlist.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "fragment/fragment_internal.h"

/* What a function makes of its arguments. */
typedef enum Style
{
	NOT_WRITTEN,
	AS_TEXT,	   /* by the output functions of their types */
	AS_ARRAY_TEXT, /* the first one's elements by theirs */
	AS_JSON,
	BY_TIME_FORMAT, /* by a format, and by TimeZone */
	BY_NUMBER_FORMAT
} Style;

static Style
style_of(Oid function)
{
	switch (function)
	{
		case F_TEXTANYCAT:
		case F_ANYTEXTCAT:
		case F_CONCAT:
		case F_CONCAT_WS:
			return AS_TEXT;
		case F_ARRAY_TO_STRING_ANYARRAY_TEXT:
		case F_ARRAY_TO_STRING_ANYARRAY_TEXT_TEXT:
			return AS_ARRAY_TEXT;
		case F_TO_JSON:
		case F_TO_JSONB:
		case F_ROW_TO_JSON_RECORD:
		case F_ROW_TO_JSON_RECORD_BOOL:
		case F_ARRAY_TO_JSON_ANYARRAY:
		case F_ARRAY_TO_JSON_ANYARRAY_BOOL:
		case F_JSON_BUILD_ARRAY_ANY:
		case F_JSON_BUILD_ARRAY_:
		case F_JSON_BUILD_OBJECT_ANY:
		case F_JSON_BUILD_OBJECT_:
		case F_JSONB_BUILD_ARRAY_ANY:
		case F_JSONB_BUILD_ARRAY_:
		case F_JSONB_BUILD_OBJECT_ANY:
		case F_JSONB_BUILD_OBJECT_:
		case F_JSON_AGG:
		case F_JSON_OBJECT_AGG:
		case F_JSONB_AGG:
		case F_JSONB_OBJECT_AGG:
			return AS_JSON;
		case F_TO_CHAR_TIMESTAMP_TEXT:
		case F_TO_CHAR_TIMESTAMPTZ_TEXT:
		case F_TO_CHAR_INTERVAL_TEXT:
			return BY_TIME_FORMAT;
		case F_TO_CHAR_NUMERIC_TEXT:
		case F_TO_CHAR_INT4_TEXT:
		case F_TO_CHAR_INT8_TEXT:
		case F_TO_CHAR_FLOAT4_TEXT:
		case F_TO_CHAR_FLOAT8_TEXT:
			return BY_NUMBER_FORMAT;
		default:
			return NOT_WRITTEN;
	}
}

/* Types ---------------------------------------------------------------------- */

static bool
is_text_alike(Oid type)
{
	Oid output;
	bool is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	return output < FirstNormalObjectId && !tess_hashes_names(output) &&
		   func_volatile(output) == PROVOLATILE_IMMUTABLE;
}

/* A row of a table or a composite type, whose fields' names are its own. */
static bool
is_row_json_alike(Oid type)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped && !tess_is_json_alike(column->atttypid))
			return false;
	}
	return true;
}

/* See fragment_internal.h. */
bool
tess_is_json_alike(Oid type)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	switch (base)
	{
		/* always in the form of ISO 8601, and by TimeZone */
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		case RECORDOID:
		case RECORDARRAYOID:
			return false;
		default:
			break;
	}
	if (OidIsValid(element))
		return tess_is_json_alike(element);
	/* a cast to json would be called */
	if (base >= FirstNormalObjectId &&
		SearchSysCacheExists2(CASTSOURCETARGET, ObjectIdGetDatum(base),
							  ObjectIdGetDatum(JSONOID)))
		return false;
	switch (get_typtype(base))
	{
		case TYPTYPE_COMPOSITE:
			return is_row_json_alike(base);
		case TYPTYPE_ENUM:
			return true;
		default:
			return is_text_alike(base);
	}
}

/* Formats -------------------------------------------------------------------- */

/* True if a format is known, and has none of these patterns, which a locale
 * has a part in. */
static bool
is_format_without(Node *format, const char *const *patterns)
{
	Const *constant = (Const *) format;
	char *upper;

	if (!IsA(format, Const))
		return false;
	if (constant->constisnull)
		return true;
	upper = TextDatumGetCString(constant->constvalue);
	for (char *c = upper; *c != '\0'; c++)
		*c = pg_toupper((unsigned char) *c);
	for (; *patterns != NULL; patterns++)
		if (strstr(upper, *patterns) != NULL)
			return false;
	return true;
}

/* Calls ---------------------------------------------------------------------- */

static List *
arguments_of(Node *call)
{
	switch (nodeTag(call))
	{
		case T_OpExpr:
			return ((OpExpr *) call)->args;
		case T_FuncExpr:
			return ((FuncExpr *) call)->args;
		case T_WindowFunc:
			return ((WindowFunc *) call)->args;
		case T_Aggref:
			return get_tlist_exprs(((Aggref *) call)->args, true);
		default:
			return NIL;
	}
}

static bool
are_alike(List *args, bool (*is_alike)(Oid type))
{
	ListCell *cell;

	foreach(cell, args)
		if (!is_alike(exprType(lfirst(cell))))
			return false;
	return true;
}

/* Whether a row without a type is alike, travel.c sees by its columns. */
static bool
is_json_argument(Oid type)
{
	return type == RECORDOID || tess_is_json_alike(type);
}

/* See fragment_internal.h. */
bool
tess_makes_json(Node *call)
{
	switch (nodeTag(call))
	{
		case T_FuncExpr:
			return style_of(((FuncExpr *) call)->funcid) == AS_JSON;
		case T_Aggref:
			return style_of(((Aggref *) call)->aggfnoid) == AS_JSON;
		case T_WindowFunc:
			return style_of(((WindowFunc *) call)->winfnoid) == AS_JSON;
		default:
			return false;
	}
}

/* See fragment_internal.h. */
bool
tess_writes(Oid function)
{
	return style_of(function) != NOT_WRITTEN;
}

/* See fragment.h. */
bool
tess_travels_by_value(Oid function, int argument)
{
	Style style = style_of(function);

	return argument == 1 &&
		   (style == BY_TIME_FORMAT || style == BY_NUMBER_FORMAT);
}

/* See fragment_internal.h. */
bool
tess_writes_alike(Oid function, Node *call)
{
	static const char *const time_patterns[] = {"TM", NULL};
	static const char *const number_patterns[] = {"L", "D", "G", "S", NULL};
	List *args = arguments_of(call);

	switch (style_of(function))
	{
		case AS_TEXT:
			return args != NIL &&
				   !(IsA(call, FuncExpr) && ((FuncExpr *) call)->funcvariadic) &&
				   are_alike(args, is_text_alike);
		case AS_ARRAY_TEXT:
			return args != NIL &&
				   is_text_alike(getBaseType(
					   get_base_element_type(exprType(linitial(args)))));
		case AS_JSON:
			return are_alike(args, is_json_argument);
		case BY_TIME_FORMAT:
			return is_format_without(lsecond(args), time_patterns);
		case BY_NUMBER_FORMAT:
			return is_format_without(lsecond(args), number_patterns);
		case NOT_WRITTEN:
			break;
	}
	return false;
}
