/*
 * body.c - does a user's function compute the same wherever it runs?
 *
 * That it is called immutable is not enough: a node reads its body with a
 * search_path of its own, and has none of the tables.  What a string body
 * uses is in no catalog, so its words are looked at, as core's scanner
 * finds them.  It computes alone if no word can name a relation, or a
 * function, type or operator of users - unless nodes have that too, and find
 * it under this name - and none stands for something of the server, of the
 * session or of the moment.  A body is not understood, only suspected: a
 * variable that has the name of a table keeps its function here.
 *
 * What depends on how dates are written, though it is called immutable, gets
 * the nodes' (ISO).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/proclang.h"
#include "common/keywords.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/gramparse.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/base.h"
#include "fragment/fragment_internal.h"

typedef struct Body Body;
typedef struct Word Word;

/* One function while its body is read. */
struct Body
{
	void (*look)(Body *body, const Word *word); /* at each word */
	List *tables; /* of ours, that it may name (tess_body_tables) */
	const char *text;
	List *types;		/* of users: values of these may come along */
	bool any_type;		/* polymorphic: of any */
	bool fixes_path;	/* it sets its own search_path */
	bool has_composite; /* of users: x.f may be f(x) */
	bool may_read;		/* from tables, as far as keywords tell */
	bool compares;		/* by operators that are not written */
	List *args;			/* names (char *) of arguments that are no table's */
	bool leaves;		/* the verdict: something outside may be meant */
};

/* A word or operator of the text, and what stands around it. */
struct Word
{
	const char *name;
	bool is_operator;
	bool is_qualified; /* by a schema */
	bool is_called;	   /* "(" follows */
};

/* Keywords that stand for something of the session, or for any statement. */
static const char *const outside_keywords[] = {"current_catalog",
											   "current_date",
											   "current_role",
											   "current_schema",
											   "current_time",
											   "current_timestamp",
											   "current_user",
											   "execute",
											   "localtime",
											   "localtimestamp",
											   "session_user",
											   "user",
											   "listen",
											   "notify",
											   "copy",
											   "call"};

/* These compare, */
static const char *const comparing_keywords[] =
	{"any",		 "all",	  "between", "by",		  "case",	"distinct",
	 "except",	 "ilike", "in",		 "intersect", "join",	"like",
	 "nullif",	 "row",	  "similar", "some",	  "union",	"using",
	 "greatest", "least", "order",	 "group",	  "window", "partition"};

/* with operators that are not written. */
static const char *const implied_operators[] = {"=",   "<>",   "<",	 ">",
												"<=",  ">=",   "~~", "!~~",
												"~~*", "!~~*", "~",	 "!~"};

/* Stable only because they write or read values as the session does. */
static const char *const writing_functions[] = {"array_to_json",
												"array_to_string",
												"concat",
												"concat_ws",
												"format",
												"json_agg",
												"json_build_array",
												"json_build_object",
												"jsonb_agg",
												"jsonb_build_array",
												"jsonb_build_object",
												"quote_literal",
												"quote_nullable",
												"row_to_json",
												"to_char",
												"to_date",
												"to_json",
												"to_jsonb",
												"to_number",
												"to_timestamp"};

/* Without these, and %TYPE, nothing is read from a table. */
static const char *const table_keywords[] = {"from",   "join",	 "update",
											 "insert", "delete", "merge",
											 "table"};

static bool
is_in(const char *name, const char *const *list, int length)
{
	for (int i = 0; i < length; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

/* types ------------------------------------------------------------------- */

/* Values of the type, and of what it is made of, may be in the body. */
static void
add_type(Body *body, Oid type)
{
	Oid inner = get_element_type(type);
	TupleDesc desc;

	if (IsPolymorphicType(type) || type == ANYOID || type == RECORDOID)
		body->any_type = true;
	if (OidIsValid(inner))
	{
		add_type(body, inner);
		return;
	}
	if (type < FirstNormalObjectId || list_member_oid(body->types, type))
		return;
	body->types = lappend_oid(body->types, type);
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			add_type(body, getBaseType(type));
			break;
		case TYPTYPE_RANGE:
			add_type(body, get_range_subtype(type));
			break;
		case TYPTYPE_MULTIRANGE:
			add_type(body, get_multirange_range(type));
			break;
		case TYPTYPE_COMPOSITE:
			body->has_composite = true;
			desc = lookup_rowtype_tupdesc_copy(type, -1);
			for (int i = 0; i < desc->natts; i++)
				if (!TupleDescAttr(desc, i)->attisdropped)
					add_type(body, TupleDescAttr(desc, i)->atttypid);
			break;
		default:
			break;
	}
}

/* Can there be a value of this type? */
static bool
may_occur(const Body *body, Oid type)
{
	Oid element = get_element_type(type);

	if (OidIsValid(element))
		type = element;
	return body->any_type || type < FirstNormalObjectId ||
		   list_member_oid(body->types, type);
}

/* what a word may name ------------------------------------------------------- */

/* Something of users that may be meant: nodes have to have it, and to find
 * it. */
static void
meet(Body *body, const Word *word, Oid class, Oid object)
{
	if (!(word->is_qualified || body->fixes_path) ||
		!tess_is_known(class, object))
		body->leaves = true;
}

/* Calls each() for the rows of a catalog that have a name, until it leaves. */
typedef void (*RowCallback)(Body *body, const Word *word, HeapTuple tuple);

static void
for_rows_named(Body *body, const Word *word, int cache, RowCallback each)
{
	CatCList *list = SearchSysCacheList1(cache, CStringGetDatum(word->name));

	for (int i = 0; i < list->n_members && !body->leaves; i++)
		each(body, word, &list->members[i]->tuple);
	ReleaseCatCacheList(list);
}

static void
meet_function(Body *body, const Word *word, HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

	if (form->oid < FirstNormalObjectId)
		return;
	for (int i = 0; i < form->pronargs; i++)
		if (!may_occur(body, form->proargtypes.values[i]))
			return;
	meet(body, word, ProcedureRelationId, form->oid);
}

static void
meet_operator(Body *body, const Word *word, HeapTuple tuple)
{
	Form_pg_operator form = (Form_pg_operator) GETSTRUCT(tuple);

	if (form->oid >= FirstNormalObjectId && may_occur(body, form->oprleft) &&
		may_occur(body, form->oprright))
		meet(body, word, OperatorRelationId, form->oid);
}

static void
meet_type(Body *body, const Word *word, HeapTuple tuple)
{
	Oid type = ((Form_pg_type) GETSTRUCT(tuple))->oid;

	if (type >= FirstNormalObjectId)
		meet(body, word, TypeRelationId, type);
}

/* No function with a table, a view or a sequence goes to a node. */
static void
meet_relation(Body *body, const Word *word, HeapTuple tuple)
{
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

	if (form->oid >= FirstNormalObjectId && form->relkind != RELKIND_INDEX &&
		form->relkind != RELKIND_PARTITIONED_INDEX &&
		form->relkind != RELKIND_COMPOSITE_TYPE)
		body->leaves = true;
}

/* A built-in function that gives something of the server or the moment: none
 * of those of this name is immutable. */
static bool
is_outside_function(const char *name)
{
	CatCList *list;
	bool found = false;
	bool has_immutable = false;

	if (strncmp(name, "pg_", 3) == 0)
		return true;
	if (is_in(name, writing_functions, lengthof(writing_functions)))
		return false;
	list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (form->oid >= FirstNormalObjectId)
			continue;
		found = true;
		if (form->provolatile == PROVOLATILE_IMMUTABLE &&
			!tess_hashes_names(form->oid))
			has_immutable = true;
	}
	ReleaseCatCacheList(list);
	return found && !has_immutable;
}

static bool
is_argument(const Body *body, const char *name)
{
	ListCell *cell;

	foreach(cell, body->args)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

static void
look_at_word(Body *body, const Word *word)
{
	Oid built_in;

	if (is_in(word->name, outside_keywords, lengthof(outside_keywords)))
	{
		body->leaves = true;
		return;
	}
	if (word->is_operator)
	{
		for_rows_named(body, word, OPERNAMENSP, meet_operator);
		return;
	}
	if (word->is_called || body->has_composite)
		for_rows_named(body, word, PROCNAMEARGSNSP, meet_function);
	if (word->is_called && is_outside_function(word->name))
		body->leaves = true;
	built_in = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
							   CStringGetDatum(word->name),
							   ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
	if (OidIsValid(built_in) && tess_type_names_objects(built_in))
		body->leaves = true;
	if (is_argument(body, word->name))
		return;
	for_rows_named(body, word, RELNAMENSP, meet_relation);
	for_rows_named(body, word, TYPENAMENSP, meet_type);
}

/* reading ------------------------------------------------------------------- */

/* A token as a word; name NULL if it is none. */
static Word
make_word(int token, const core_YYSTYPE *value)
{
	Word word = {0};
	char single[2] = {(char) token, '\0'};

	switch (token)
	{
		case IDENT:
		case UIDENT:
			word.name = value->str;
			return word;
		case Op:
			word.name = value->str;
			break;
		case LESS_EQUALS:
			word.name = "<=";
			break;
		case GREATER_EQUALS:
			word.name = ">=";
			break;
		case NOT_EQUALS:
			word.name = "<>";
			break;
		default:
			if (token > 0 && token < 128 && strchr("+-*/%^<>=", token))
				word.name = pstrdup(single);
			else if (token > 128 && token != SCONST && token != USCONST &&
					 token != FCONST && token != BCONST && token != XCONST &&
					 token != ICONST && token != PARAM && token != TYPECAST &&
					 token != DOT_DOT && token != COLON_EQUALS &&
					 token != EQUALS_GREATER)
			{
				word.name = value->keyword;
				return word;
			}
	}
	word.is_operator = true;
	return word;
}

static core_yyscan_t
scan_begin(const Body *body, core_yy_extra_type *extra)
{
	core_yyscan_t scanner = scanner_init(body->text, extra, &ScanKeywords,
										 ScanKeywordTokens);

	extra->standard_conforming_strings = true;
	extra->escape_string_warning = false;
	return scanner;
}

/* What kinds of keywords there are. */
static void
survey_text(Body *body)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scan_begin(body, &extra);
	core_YYSTYPE value;
	YYLTYPE location;
	int token;

	while ((token = core_yylex(&value, &location, scanner)) != 0)
	{
		Word word = make_word(token, &value);

		if (word.name == NULL)
			continue;
		if (strcmp(word.name, "%") == 0 ||
			is_in(word.name, table_keywords, lengthof(table_keywords)))
			body->may_read = true;
		if (is_in(word.name, comparing_keywords, lengthof(comparing_keywords)))
			body->compares = true;
	}
	scanner_finish(scanner);
}

static void
read_text(Body *body)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scan_begin(body, &extra);
	core_YYSTYPE value;
	YYLTYPE location;
	Word word = {0};
	Word before = {0};
	bool after_dot = false;
	int token;

	do
	{
		Word next;

		token = core_yylex(&value, &location, scanner);
		next = make_word(token, &value);
		if (word.name != NULL)
		{
			word.is_called = (token == '(');
			body->look(body, &word);
		}
		/* schema.name: not known is what a record's field is called */
		next.is_qualified = after_dot && before.name != NULL &&
							OidIsValid(get_namespace_oid(before.name, true));
		after_dot = (token == '.');
		if (after_dot)
			before = word;
		word = next;
	} while (token != 0 && !body->leaves);
	scanner_finish(scanner);
}

static void
look_at_implied(Body *body)
{
	for (int i = 0; i < lengthof(implied_operators); i++)
	{
		Word word = {implied_operators[i], .is_operator = true};

		look_at_word(body, &word);
	}
}

/* the function ---------------------------------------------------------------- */

static bool
is_unknown_function(Oid function, void *context)
{
	return !tess_is_known(ProcedureRelationId, function);
}

static bool
default_leaves(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, is_unknown_function, context) ||
		   expression_tree_walker(node, default_leaves, context);
}

/* Defaults of arguments are computed where the call is read. */
static bool
defaults_leave(HeapTuple function)
{
	bool isnull;
	Datum value = SysCacheGetAttr(PROCOID, function,
								  Anum_pg_proc_proargdefaults, &isnull);
	Node *defaults;

	if (isnull)
		return false;
	defaults = stringToNode(TextDatumGetCString(value));
	return contain_mutable_functions(defaults) || default_leaves(defaults, NULL);
}

static void
prepare(Body *body, HeapTuple function)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	Oid *types;
	char **names;
	char *modes;
	int count = get_func_arg_info(function, &types, &names, &modes);
	bool isnull;
	Datum value;

	add_type(body, form->prorettype);
	for (int i = 0; i < count; i++)
		add_type(body, types[i]);
	body->fixes_path = tess_function_search_path(function) != NULL;
	(void) SysCacheGetAttr(PROCOID, function, Anum_pg_proc_prosqlbody, &isnull);
	if (isnull)
		value = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_prosrc, &isnull);
	else
	{
		int settings = tess_settings_pin();

		value = DirectFunctionCall1(pg_get_function_sqlbody,
									ObjectIdGetDatum(form->oid));
		AtEOXact_GUC(true, settings);
	}
	body->text = TextDatumGetCString(value);
	survey_text(body);
	if (names != NULL && !body->may_read)
		for (int i = 0; i < count; i++)
			body->args = lappend(body->args, names[i]);
}

/* True for functions in SQL and PL/pgSQL that use nothing that nodes may have
 * another of.  Errors where the scanner does not understand the body. */
bool
tess_body_is_alone(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	Body body = {look_at_word};

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if ((form->prolang != SQLlanguageId &&
		 form->prolang != get_language_oid("plpgsql", true)) ||
		defaults_leave(tuple))
		body.leaves = true;
	else
	{
		prepare(&body, tuple);
		if (body.compares)
			look_at_implied(&body);
		if (!body.leaves)
			read_text(&body);
	}
	ReleaseSysCache(tuple);
	return !body.leaves;
}

/* what it reads and writes ------------------------------------------------------- */

/* These run what stands in strings, */
static const char *const running_keywords[] = {"execute", "call", "copy"};

/* and so do these. */
static const char *const running_functions[] = {"query_to_xml",
												"query_to_xmlschema",
												"query_to_xml_and_xmlschema",
												"table_to_xml",
												"table_to_xml_and_xmlschema",
												"schema_to_xml",
												"schema_to_xml_and_xmlschema",
												"database_to_xml",
												"database_to_xml_and_xmlschema",
												"ts_stat",
												"ts_rewrite"};

/* A function, or operator, of users may do anything. */
static void
meet_unknown_function(Body *body, const Word *word, HeapTuple tuple)
{
	if (((Form_pg_proc) GETSTRUCT(tuple))->oid >= FirstNormalObjectId)
		body->leaves = true;
}

static void
meet_unknown_operator(Body *body, const Word *word, HeapTuple tuple)
{
	if (((Form_pg_operator) GETSTRUCT(tuple))->oid >= FirstNormalObjectId)
		body->leaves = true;
}

/* A view is any table. */
static void
meet_table(Body *body, const Word *word, HeapTuple tuple)
{
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

	if (form->oid < FirstNormalObjectId)
		return;
	if (form->relkind == RELKIND_VIEW || form->relkind == RELKIND_MATVIEW)
		body->leaves = true;
	else if (tess_meta_table(form->oid) != NULL)
		body->tables = list_append_unique_oid(body->tables, form->oid);
}

static void
look_for_tables(Body *body, const Word *word)
{
	if (word->is_operator)
	{
		for_rows_named(body, word, OPERNAMENSP, meet_unknown_operator);
		return;
	}
	if (is_in(word->name, running_keywords, lengthof(running_keywords)) ||
		is_in(word->name, running_functions, lengthof(running_functions)))
		body->leaves = true;
	if (word->is_called)
		for_rows_named(body, word, PROCNAMEARGSNSP, meet_unknown_function);
	for_rows_named(body, word, RELNAMENSP, meet_table);
}

/* Adds to tables (OID list, changed) those of ours that a trigger's function may read
 * or write by itself.  False if these may be any. */
bool
tess_body_tables(Oid function, List **tables)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Body body = {look_for_tables, *tables};

	if (!HeapTupleIsValid(tuple))
		return false;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang !=
		get_language_oid("plpgsql", true))
		body.leaves = function >= FirstNormalObjectId;
	else
	{
		prepare(&body, tuple);
		read_text(&body);
	}
	ReleaseSysCache(tuple);
	*tables = body.tables;
	return !body.leaves;
}
