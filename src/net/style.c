/*
 * style.c - settings by which a node's session writes values as this one does,
 * for a function of the client's that runs there.
 *
 * Sessions of nodes write all values in one style (settings.c), which is what
 * statements of ours need.  The body of a user's function makes texts of values
 * in the style of who called it.  So his settings go out before the call, and are
 * taken back behind it: what other statements find is as ever.  Locales (lc_monetary
 * and the like) are the node's own.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/xml.h"

#include "net/net_internal.h"

static const char *const style_settings[] = {
	"DateStyle",
	"IntervalStyle",
	"extra_float_digits",
	"bytea_output",
	"xmlbinary",
	"xmloption",
	"standard_conforming_strings",
	"array_nulls",
	"transform_null_equals",
	"quote_all_identifiers",
};

/* This is looked at before each call, so nothing is looked up by name. */
static bool
writes_like_nodes(void)
{
	return DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES &&
		   extra_float_digits > 0 && bytea_output == BYTEA_OUTPUT_HEX &&
		   xmlbinary == XMLBINARY_BASE64 && xmloption == XMLOPTION_CONTENT &&
		   standard_conforming_strings && Array_nulls &&
		   !Transform_null_equals && !quote_all_identifiers;
}

/* See net.h. */
char *
tess_style_enter(void)
{
	StringInfoData sql;

	if (writes_like_nodes())
		return NULL;
	initStringInfo(&sql);
	for (int i = 0; i < lengthof(style_settings); i++)
		appendStringInfo(&sql, "%spg_catalog.set_config('%s', %s, true)",
						 i == 0 ? "SELECT " : ", ", style_settings[i],
						 quote_literal_cstr(
							 GetConfigOption(style_settings[i], false, false)));
	return sql.data;
}

/* See net.h.  The order of dates follows this session's. */
char *
tess_style_leave(void)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT pg_catalog.set_config('DateStyle', %s, true)",
					 quote_literal_cstr(tess_settings_date_order()));
	for (int i = 1; i < lengthof(style_settings); i++)
		appendStringInfo(&sql, ", pg_catalog.set_config('%s', NULL, true)",
						 style_settings[i]);
	return sql.data;
}
