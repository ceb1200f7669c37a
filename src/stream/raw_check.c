/*
 * raw_check.c - may lines of an input go to the shards as they are, and what
 * shards write be the output?
 *
 * Yes, where nothing but the key has to be known here, and all servers read
 * every column alike: by input functions that are immutable, or depend on
 * settings only that nodes have of this session.  What a date or a time in
 * words means depends on more ("now", names and abbreviations of time zones);
 * raw_copy.c looks at those.  What is written depends on settings alone, but for
 * types that name objects of a server.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "base/base.h"
#include "net/net.h"
#include "stream/stream_internal.h"

/* Whether a base type that is no array, under the settings of now, does. */
typedef bool (*BaseTest)(Oid type);

static bool is_alike(Oid type, BaseTest is_base_alike);
static bool is_read_alike(Oid type);

/* Of what a line is made, as core understands the options. */
void
tess_raw_format_set(TessRawFormat *format, const CopyFormatOptions *options)
{
	format->csv = options->csv_mode;
	format->delimiter = options->delim[0];
	format->quote = options->csv_mode ? options->quote[0] : '\0';
	format->escape = options->csv_mode ? options->escape[0] : '\0';
	format->null = options->null_print;
	format->null_length = options->null_print_len;
}

/* Types whose values may be written in words, which not all servers read
 * alike. */
bool
tess_raw_is_date(Oid type)
{
	switch (getBaseType(type))
	{
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		default:
			return false;
	}
}

static bool
are_attributes_alike(Oid type, BaseTest is_base_alike)
{
	TupleDesc desc = lookup_rowtype_tupdesc(type, -1);
	bool alike = true;

	for (int i = 0; i < desc->natts && alike; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		alike = attribute->attisdropped ||
				is_alike(attribute->atttypid, is_base_alike);
	}
	ReleaseTupleDesc(desc);
	return alike;
}

/* All that a type is made of. */
static bool
is_alike(Oid type, BaseTest is_base_alike)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	if (OidIsValid(element))
		return is_alike(element, is_base_alike);
	switch (get_typtype(base))
	{
		case TYPTYPE_BASE:
			return is_base_alike(base);
		case TYPTYPE_ENUM:
			return true;
		case TYPTYPE_COMPOSITE:
			return are_attributes_alike(base, is_base_alike);
		case TYPTYPE_RANGE:
			return is_alike(get_range_subtype(base), is_base_alike);
		case TYPTYPE_MULTIRANGE:
			return is_alike(get_range_subtype(get_multirange_range(base)),
							is_base_alike);
		default:
			return false;
	}
}

static bool
is_base_read_alike(Oid type)
{
	Oid function;
	Oid io_param;

	if (type == INTERVALOID)
		return IntervalStyle == INTSTYLE_POSTGRES;
	getTypeInputInfo(type, &function, &io_param);
	return func_volatile(function) == PROVOLATILE_IMMUTABLE;
}

static bool
is_base_written_alike(Oid type)
{
	Oid function;
	bool is_varlena;

	if (tess_raw_is_date(type) || type == INTERVALOID)
		return true;
	getTypeOutputInfo(type, &function, &is_varlena);
	return func_volatile(function) == PROVOLATILE_IMMUTABLE;
}

static bool
is_scalar(Oid type)
{
	Oid base = getBaseType(type);
	char kind = get_typtype(base);

	return kind == TYPTYPE_ENUM ||
		   (kind == TYPTYPE_BASE && !OidIsValid(get_element_type(base)));
}

/* Dates and times within other values nobody looks at. */
static bool
is_read_alike(Oid type)
{
	return (Array_nulls || is_scalar(type)) && is_alike(type, is_base_read_alike);
}

/* See stream_internal.h. */
bool
tess_raw_is_written_alike(Oid type, bool binary)
{
	return binary ? tess_types_travel_binary(1, &type)
				  : is_alike(type, is_base_written_alike);
}

/* True if a column that the input has not gets the same value in a shard.
 * Functions in defaults are this server's. */
static bool
is_default_alike(Relation rel, AttrNumber attnum)
{
	Node *expr = build_column_default(rel, attnum);

	if (expr == NULL)
		return true;
	expr = strip_implicit_coercions(expr);
	return IsA(expr, Const) &&
		   !tess_type_names_objects(((Const *) expr)->consttype);
}

/* A date that is written anew must not be taken for anything else. */
static bool
may_rewrite_dates(const CopyFormatOptions *options)
{
	static const char in_dates[] = "0123456789-+:. infBC";

	return strpbrk(options->null_print, "0123456789") == NULL &&
		   strstr(options->null_print, "infinity") == NULL &&
		   (!options->csv_mode || (strchr(in_dates, options->quote[0]) == NULL &&
								   strchr(in_dates, options->escape[0]) == NULL));
}

/* True if the column means in a line what stands there. */
static bool
is_column_alike(CopyFromState input, const TessTable *table, AttrNumber attnum)
{
	Oid type = TupleDescAttr(RelationGetDescr(input->rel), attnum - 1)->atttypid;
	bool is_date = tess_raw_is_date(type);
	const CopyFormatOptions *options = &input->opts;

	if (is_date && !may_rewrite_dates(options))
		return false;
	if ((is_date || attnum == table->key_attnum) && options->csv_mode &&
		(options->force_notnull_flags[attnum - 1] ||
		 options->force_null_flags[attnum - 1]))
		return false;
	return is_date || is_read_alike(type);
}

bool
tess_raw_is_possible(CopyFromState input, const TessTable *table)
{
	TupleDesc desc = RelationGetDescr(input->rel);

	if (input->opts.binary || input->opts.convert_selectively)
		return false;
	if (table->kind == TESS_DISTRIBUTED &&
		!list_member_int(input->attnumlist, table->key_attnum))
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || attribute->attgenerated != '\0')
			continue;
		if (list_member_int(input->attnumlist, i + 1)
				? !is_column_alike(input, table, i + 1)
				: !is_default_alike(input->rel, i + 1))
			return false;
	}
	return true;
}

/* Of the options of a COPY, those that say how a line is to be read or written;
 * the list is new. */
List *
tess_raw_options(List *options)
{
	static const char *const of_lines[] = {"format",	 "delimiter",
										   "null",		 "quote",
										   "escape",	 "force_not_null",
										   "force_null", "force_quote"};
	List *kept = NIL;
	ListCell *lc;

	foreach(lc, options)
	{
		DefElem *option = lfirst(lc);

		for (int i = 0; i < lengthof(of_lines); i++)
		{
			if (strcmp(option->defname, of_lines[i]) == 0)
				kept = lappend(kept, option);
		}
	}
	return kept;
}

/* The same as they are written behind COPY ... FROM STDIN, or TO STDOUT. */
char *
tess_raw_options_text(List *options)
{
	StringInfoData text;
	ListCell *lc;

	initStringInfo(&text);
	foreach(lc, options)
	{
		DefElem *option = lfirst(lc);
		ListCell *column;

		appendStringInfo(&text, "%s%s ",
						 foreach_current_index(lc) > 0 ? ", " : " (",
						 option->defname);
		if (IsA(option->arg, A_Star))
		{
			appendStringInfoChar(&text, '*');
			continue;
		}
		if (!IsA(option->arg, List))
		{
			appendStringInfoString(&text,
								   quote_literal_cstr(defGetString(option)));
			continue;
		}
		foreach(column, (List *) option->arg)
			appendStringInfo(&text, "%s%s",
							 foreach_current_index(column) > 0 ? ", " : "(",
							 quote_identifier(strVal(lfirst(column))));
		appendStringInfoChar(&text, ')');
	}
	if (options != NIL)
		appendStringInfoChar(&text, ')');
	return text.data;
}
