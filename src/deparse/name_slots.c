/*
 * name_slots.c - finds the names of distributed tables in SQL text and cuts the
 * text into a template.
 *
 * The text is one that core wrote under search_path pg_catalog, so that every
 * name of a user's table is qualified.  raw_parser gives the offset where a
 * name begins, core's scanner the end of its first token: nothing is searched
 * for as a string.  Row types are named like their tables and become slots
 * too.  What is only an alias or a CTE has no schema, and is left alone.
 *
 * Names without an offset in the raw tree (COMMENT, DROP) are not found:
 * their statements are refused here and built from pieces by their writers.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/keywords.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "parser/gramparse.h"
#include "parser/parser.h"
#include "utils/lsyscache.h"

#include "deparse/deparse_internal.h"

typedef struct NamesContext
{
	List *names; /* of TessName * */
} NamesContext;

static bool names_walker(Node *node, NamesContext *context);

RawStmt *
tess_names_parse(const char *sql)
{
	List *statements = raw_parser(sql, RAW_PARSE_DEFAULT);

	if (list_length(statements) != 1)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("one statement is needed, not %d",
							   list_length(statements))));
	return linitial_node(RawStmt, statements);
}

/* Notes a name if it is that of a distributed table. */
static void
add_name(NamesContext *context, const char *schema, const char *relname,
		 int location)
{
	Oid namespace;
	Oid relation;
	const TessTable *table;
	TessName *name;
	ListCell *cell;

	namespace = get_namespace_oid(schema, true);
	if (!OidIsValid(namespace))
		return;
	relation = get_relname_relid(relname, namespace);
	if (!OidIsValid(relation))
		return;
	table = tess_meta_table(relation);
	if (table == NULL || table->kind != TESS_DISTRIBUTED)
		return;

	/* without an offset the name would silently stay the shell's */
	if (location < 0)
		elog(ERROR, "name of table \"%s\" has no location", relname);

	/* SET (a, b) = (SELECT ...): the raw tree has the source once a column */
	foreach(cell, context->names)
		if (((TessName *) lfirst(cell))->location == location)
			return;

	name = palloc0(sizeof(TessName));
	name->location = location;
	name->schema = pstrdup(schema);
	context->names = lappend(context->names, name);
}

/* schema.table or schema.table.column, as a list of Strings (or a star). */
static void
add_name_list(NamesContext *context, List *fields, int location)
{
	if (IsA(linitial(fields), String) && IsA(lsecond(fields), String))
		add_name(context, strVal(linitial(fields)), strVal(lsecond(fields)),
				 location);
}

/* The parts of utility statements: raw_expression_tree_walker has none. */
static bool
utility_walker(Node *node, NamesContext *context)
{
	switch (nodeTag(node))
	{
		case T_IndexStmt:
		{
			IndexStmt *index = (IndexStmt *) node;

			return names_walker((Node *) index->relation, context) ||
				   names_walker((Node *) index->indexParams, context) ||
				   names_walker(index->whereClause, context);
		}
		case T_CreateStmt:
		{
			CreateStmt *create = (CreateStmt *) node;

			return names_walker((Node *) create->relation, context) ||
				   names_walker((Node *) create->tableElts, context) ||
				   names_walker((Node *) create->constraints, context);
		}
		case T_AlterTableStmt:
		{
			AlterTableStmt *alter = (AlterTableStmt *) node;

			return names_walker((Node *) alter->relation, context) ||
				   names_walker((Node *) alter->cmds, context);
		}
		case T_CreateStatsStmt:
		{
			CreateStatsStmt *statistics = (CreateStatsStmt *) node;

			/* its own name has no offset: the caller has seen to it */
			return names_walker((Node *) statistics->exprs, context) ||
				   names_walker((Node *) statistics->relations, context);
		}
		case T_CreateTrigStmt:
		{
			CreateTrigStmt *trigger = (CreateTrigStmt *) node;

			/* its function has no offset: the caller has seen to it */
			return names_walker((Node *) trigger->relation, context) ||
				   names_walker((Node *) trigger->constrrel, context) ||
				   names_walker(trigger->whenClause, context);
		}
		case T_GrantStmt:
			return names_walker((Node *) ((GrantStmt *) node)->objects, context);
		default:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("statements of this kind cannot be sent to shards")));
	}
	return false;
}

static bool
constraint_walker(Constraint *constraint, NamesContext *context)
{
	ListCell *cell;

	/* a member of exclusions is (IndexElem, operator name) */
	foreach(cell, constraint->exclusions)
		if (names_walker(linitial(lfirst_node(List, cell)), context))
			return true;
	return names_walker(constraint->raw_expr, context) ||
		   names_walker(constraint->where_clause, context) ||
		   names_walker((Node *) constraint->pktable, context);
}

static bool
names_walker(Node *node, NamesContext *context)
{
	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_RangeVar:
		{
			RangeVar *relation = (RangeVar *) node;

			if (relation->schemaname != NULL)
				add_name(context, relation->schemaname, relation->relname,
						 relation->location);
			return false;
		}
		case T_TypeName:
			if (list_length(((TypeName *) node)->names) == 2)
				add_name_list(context, ((TypeName *) node)->names,
							  ((TypeName *) node)->location);
			break;
		case T_ColumnRef:
			if (list_length(((ColumnRef *) node)->fields) >= 3)
				add_name_list(context, ((ColumnRef *) node)->fields,
							  ((ColumnRef *) node)->location);
			return false;
		case T_RangeTableFuncCol:
			/* core's walker leaves the type of an XMLTABLE column out */
			if (names_walker((Node *) ((RangeTableFuncCol *) node)->typeName,
							 context))
				return true;
			break;
		case T_ColumnDef:
			if (names_walker((Node *) ((ColumnDef *) node)->constraints, context))
				return true;
			break;
		case T_AlterTableCmd:
		{
			Node *definition = ((AlterTableCmd *) node)->def;

			/* others hold names that are no tables, or options */
			if (definition != NULL &&
				(IsA(definition, Constraint) || IsA(definition, ColumnDef) ||
				 IsA(definition, PartitionCmd) ||
				 ((AlterTableCmd *) node)->subtype == AT_ColumnDefault))
				return names_walker(definition, context);
			return false;
		}
		case T_Constraint:
			return constraint_walker((Constraint *) node, context);
		case T_PartitionCmd:
			return names_walker((Node *) ((PartitionCmd *) node)->name, context);
		case T_StatsElem:
			return names_walker(((StatsElem *) node)->expr, context);
		default:
			break;
	}
	return raw_expression_tree_walker(node, names_walker, context);
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	const TessName *left = lfirst(a);
	const TessName *right = lfirst(b);

	return left->location - right->location;
}

/* Starts core's scanner on a text. */
static core_yyscan_t
scan_begin(const char *sql, core_yy_extra_type *extra)
{
	return scanner_init(sql, extra, &ScanKeywords, ScanKeywordTokens);
}

/*
 * Where the names' first tokens end: at the dot.  The scanner knows quotes,
 * U& escapes and comments as the parser did.
 */
static void
measure_names(const char *sql, List *names)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scan_begin(sql, &extra);
	core_YYSTYPE value;
	YYLTYPE location;
	ListCell *cell = list_head(names);
	bool inside = false;

	while (cell != NULL)
	{
		TessName *name = lfirst(cell);
		int token = core_yylex(&value, &location, scanner);

		if (inside)
		{
			if (token != '.')
				elog(ERROR, "no qualified name at offset %d of: %s",
					 name->location, sql);
			name->length = location - name->location;
			inside = false;
			cell = lnext(names, cell);
		}
		else if (token == 0 || location > name->location)
			elog(ERROR, "no token at offset %d of: %s", name->location, sql);
		else
			inside = (location == name->location);
	}
	scanner_finish(scanner);
}

List *
tess_names_find(const char *sql, RawStmt *raw)
{
	NamesContext context = {NIL};

	switch (nodeTag(raw->stmt))
	{
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			names_walker(raw->stmt, &context);
			break;
		default:
			utility_walker(raw->stmt, &context);
			break;
	}
	list_sort(context.names, compare_names);
	measure_names(sql, context.names);
	return context.names;
}

static List *
append_text(List *template, const char *sql, int start, int end)
{
	if (end <= start)
		return template;
	return lappend(template, makeString(pnstrdup(sql + start, end - start)));
}

List *
tess_names_cut(const char *sql, int start, int end, List *names)
{
	List *template = NIL;
	ListCell *cell;

	foreach(cell, names)
	{
		TessName *name = lfirst(cell);

		if (name->location < start || name->location >= end)
			continue;
		template = append_text(template, sql, start, name->location);
		template = lappend(template,
						   list_make1(makeString(pstrdup(name->schema))));
		start = name->location + name->length;
	}
	return append_text(template, sql, start, end);
}

List *
tess_template_from_sql(const char *sql)
{
	List *names = tess_names_find(sql, tess_names_parse(sql));

	return tess_names_cut(sql, 0, strlen(sql), names);
}

bool
tess_names_values_row(const char *sql, int *start, int *end)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scan_begin(sql, &extra);
	core_YYSTYPE value;
	YYLTYPE location;
	int depth = 0;
	bool in_row = false;
	bool found = false;
	int token;

	/* VALUES as a keyword outside parentheses: a column or table of that name
	 * is quoted, and comes as an identifier */
	while (!found && (token = core_yylex(&value, &location, scanner)) != 0)
	{
		if (token == VALUES && depth == 0 && !in_row)
		{
			in_row = true;
			*start = -1;
		}
		else if (token == '(' || token == '[')
		{
			if (in_row && depth == 0)
				*start = location;
			depth++;
		}
		else if (token == ')' || token == ']')
		{
			depth--;
			if (in_row && depth == 0)
			{
				*end = location + 1;
				found = (*start >= 0);
			}
		}
	}
	scanner_finish(scanner);
	return found;
}

bool
tess_names_first_subquery(const char *sql, int nested, int *start, int *end)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scan_begin(sql, &extra);
	core_YYSTYPE value;
	YYLTYPE location;
	int depth = 0;
	int opened = -1; /* parentheses since FROM; -1: it has not come */
	bool found = false;
	int token;

	/* a FROM inside of an expression (EXTRACT, DISTINCT) stands in parentheses */
	while (!found && (token = core_yylex(&value, &location, scanner)) != 0)
	{
		if (opened >= 0 && opened < nested && token != '(')
			break;
		if (token == '(' || token == '[')
		{
			depth++;
			if (opened >= 0 && opened < nested && ++opened == nested)
				*start = location + 1;
		}
		else if (token == ')' || token == ']')
		{
			found = (opened == nested && depth == nested);
			*end = location;
			depth--;
		}
		else if (token == FROM && depth == 0)
			opened = 0;
	}
	scanner_finish(scanner);
	return found;
}

List *
tess_names_statistics(const char *sql, const char *schema)
{
	List *names = tess_names_find(sql, tess_names_parse(sql));
	TessName *own = palloc0(sizeof(TessName));
	core_yy_extra_type extra;
	core_yyscan_t scanner = scan_begin(sql, &extra);
	core_YYSTYPE value;
	YYLTYPE location;

	/* CREATE STATISTICS schema . name */
	if (core_yylex(&value, &location, scanner) != CREATE ||
		core_yylex(&value, &location, scanner) != STATISTICS)
		elog(ERROR, "unexpected definition of a statistics object: %s", sql);
	(void) core_yylex(&value, &own->location, scanner);
	if (core_yylex(&value, &location, scanner) != '.')
		elog(ERROR, "unexpected definition of a statistics object: %s", sql);
	scanner_finish(scanner);

	own->length = location - own->location;
	own->schema = schema;
	return tess_names_cut(sql, 0, strlen(sql), lcons(own, names));
}

List *
tess_names_trigger(const char *sql, const char *schema)
{
	List *names = tess_names_find(sql, tess_names_parse(sql));
	TessName *function = palloc0(sizeof(TessName));
	core_yy_extra_type extra;
	core_yyscan_t scanner = scan_begin(sql, &extra);
	core_YYSTYPE value;
	YYLTYPE location;
	int last = 0;
	int token;

	/* EXECUTE FUNCTION schema . name: no column of a condition is followed by
	 * the other word */
	while ((token = core_yylex(&value, &location, scanner)) != 0)
	{
		if (last == EXECUTE && token == FUNCTION)
			break;
		last = token;
	}
	(void) core_yylex(&value, &function->location, scanner);
	if (token == 0 || core_yylex(&value, &location, scanner) != '.')
		elog(ERROR, "unexpected definition of a trigger: %s", sql);
	scanner_finish(scanner);

	function->length = location - function->location;
	function->schema = schema;
	return tess_names_cut(sql, 0, strlen(sql), lappend(names, function));
}
