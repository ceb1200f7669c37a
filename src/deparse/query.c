/*
 * query.c - a query as text for the shards, if the text means the same.
 *
 * Core writes the text (pg_get_querydef).  It is read back here once: if
 * analysis fails, or gives another text or other column types, it is not
 * sent.  That check stands in an internal subtransaction, because a failure
 * is an answer and not the user's error; no more than locks and relation
 * references, which the statement has anyway, are taken in it.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "parser/parse_param.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"
#include "net/net.h"

typedef struct QueryText
{
	int nested; /* parentheses around the subquery that FROM begins with, which
				 * is to be cut out; 0: none is */
	bool inner; /* cut out the one that the subquery's FROM begins with */
	char *sql;
	List *names; /* in sql, of TessName * */
	int start;	 /* of that subquery */
	int end;
	const char *refusal; /* NULL: sql may be sent */
} QueryText;

/* Columns of the result: of the SELECT, or of RETURNING. */
static List *
result_columns(const Query *query)
{
	return query->commandType == CMD_SELECT ? query->targetList
											: query->returningList;
}

/* Rows without a named type cannot be received from another server. */
static const char *
refuse_columns(const Query *query)
{
	ListCell *cell;

	foreach(cell, result_columns(query))
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Oid type = exprType((Node *) entry->expr);

		if (!entry->resjunk && get_typtype(type) == TYPTYPE_PSEUDO)
			return psprintf("a column of type %s cannot come from another server",
							format_type_be(type));
	}
	return NULL;
}

static bool
columns_are_equal(const Query *left, const Query *right)
{
	List *right_columns = result_columns(right);
	ListCell *right_cell = list_head(right_columns);
	ListCell *cell;

	foreach(cell, result_columns(left))
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		TargetEntry *other;

		if (entry->resjunk)
			continue;
		if (right_cell == NULL)
			return false;
		other = lfirst_node(TargetEntry, right_cell);
		right_cell = lnext(right_columns, right_cell);
		if (other->resjunk ||
			exprType((Node *) entry->expr) != exprType((Node *) other->expr) ||
			exprTypmod((Node *) entry->expr) != exprTypmod((Node *) other->expr) ||
			exprCollation((Node *) entry->expr) !=
				exprCollation((Node *) other->expr))
			return false;
	}
	return right_cell == NULL || lfirst_node(TargetEntry, right_cell)->resjunk;
}

/*
 * Where rows come as text, what stands for an object is cast to a number: a node
 * would write a name that it has for the same OID.
 */
static const char *
write_numbers(Query *query)
{
	List *columns = result_columns(query);
	Oid *types = palloc(sizeof(Oid) * Max(list_length(columns), 1));
	bool has_numbers = false;
	int count = 0;
	ListCell *cell;

	foreach(cell, columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Oid type = exprType((Node *) entry->expr);

		if (entry->resjunk)
			continue;
		types[count++] = type;
		has_numbers |= tess_type_is_number(type);
	}
	if (!has_numbers || tess_types_travel_binary(count, types))
		return NULL;
	if (query->setOperations != NULL)
		return "a column of a set operation stands for objects of this server";
	foreach(cell, columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Oid written = tess_type_written(exprType((Node *) entry->expr));

		if (entry->resjunk || written == exprType((Node *) entry->expr))
			continue;
		entry->expr = (Expr *) makeRelabelType(entry->expr, written, -1,
											   InvalidOid, COERCE_EXPLICIT_CAST);
		/* read back, the cast would be named as its column is */
		if (entry->resname == NULL)
			entry->resname = "number";
	}
	return NULL;
}

/* What write_and_compare works on. */
typedef struct Writing
{
	Query *query;
	TessNormalized *normalized;
	QueryText *text;
} Writing;

/* Analysis of our own text.  Not parse_analyze_*: its hook is for statements
 * of users (pg_stat_statements would list ours). */
static Query *
analyze_text(const char *sql, RawStmt *raw, TessNormalized *normalized)
{
	ParseState *state = make_parsestate(NULL);
	Query *query;

	state->p_sourcetext = sql;
	if (normalized->param_count > 0)
		setup_parse_fixed_parameters(state, normalized->param_types,
									 normalized->param_count);
	query = transformTopLevelStmt(state, raw);
	free_parsestate(state);
	return query;
}

/*
 * Finds the subquery that is to be cut out.  A union of several of it in its
 * place has to be read as well, and give the same columns; and no name of a
 * shard's table may stand outside.
 */
static void
find_subquery(const Query *query, TessNormalized *normalized, QueryText *text)
{
	StringInfoData sql;
	ListCell *cell;
	bool found = tess_names_first_subquery(text->sql, text->nested,
										   &text->start, &text->end);

	if (found && text->inner)
	{
		int outer = text->start;

		found = tess_names_first_subquery(pnstrdup(text->sql + outer,
												   text->end - outer),
										  1, &text->start, &text->end);
		text->start += outer;
		text->end += outer;
	}
	foreach(cell, text->names)
	{
		const TessName *name = lfirst(cell);

		if (name->location < text->start || name->location >= text->end)
			found = false;
	}
	if (!found)
	{
		text->refusal = "its text names tables outside of a subquery";
		return;
	}

	initStringInfo(&sql);
	appendBinaryStringInfo(&sql, text->sql, text->start);
	for (int i = 0; i < 2; i++)
	{
		appendStringInfoString(&sql, i > 0 ? " UNION ALL (" : "(");
		appendBinaryStringInfo(&sql, text->sql + text->start,
							   text->end - text->start);
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfo(&sql, " OFFSET 0%s", text->sql + text->end);
	if (!columns_are_equal(query,
						   analyze_text(sql.data, tess_names_parse(sql.data),
										normalized)))
		text->refusal = "its columns would have other types over several shards";
}

/* Writes, reads back, compares.  The text lives in the current context. */
static void
write_and_compare(Query *query, TessNormalized *normalized, QueryText *text)
{
	RawStmt *raw;
	Query *reread;

	/* the deparser scribbles on what it prints */
	text->sql = pg_get_querydef(copyObject(query), false);
	raw = tess_names_parse(text->sql);
	text->names = tess_names_find(text->sql, raw);

	reread = analyze_text(text->sql, raw, normalized);
	if (!columns_are_equal(query, reread))
	{
		text->refusal = "its columns would have other types";
		return;
	}
	reread = tess_query_canonical(reread, normalized);
	if (strcmp(text->sql, pg_get_querydef(reread, false)) != 0)
		text->refusal = "its text would be read as another statement";
	else if (text->nested > 0)
		find_subquery(query, normalized, text);
}

/* Errors that say nothing about the text. */
static bool
is_foreign_error(const ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		error->sqlerrcode == ERRCODE_INDEX_CORRUPTED)
		return true;
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK):
		case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
		case ERRCODE_TO_CATEGORY(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE):
		case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
		case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):
			return true;
		default:
			return false;
	}
}

static void
write_attempt(void *arg)
{
	Writing *writing = arg;

	write_and_compare(writing->query, writing->normalized, writing->text);
}

/* write_and_compare with errors turned into a refusal. */
static void
write_guarded(Query *query, TessNormalized *normalized, QueryText *text)
{
	Writing writing = {query, normalized, text};
	ErrorData *error = tess_attempt(write_attempt, &writing);

	if (error == NULL)
		return;
	if (is_foreign_error(error))
		ReThrowError(error);
	text->refusal = psprintf("its text cannot be read back: %s", error->message);
}

/*
 * The text of a query for the shards.  Settings are those under which the
 * nodes read it; names are looked up with the rights of the role that will
 * run it, which may see schemas that the current user may not.
 */
static void
write_query(const Query *query, QueryText *text)
{
	TessNormalized normalized;
	Query *copy;
	Oid save_role;
	int save_context;
	int settings;

	copy = tess_query_normalize((Query *) copyObjectImpl(query), &normalized);
	text->refusal = copy == NULL ? normalized.refusal : refuse_columns(copy);
	if (text->refusal == NULL)
		text->refusal = write_numbers(copy);
	if (text->refusal != NULL)
		return;

	settings = tess_settings_pin();
	GetUserIdAndSecContext(&save_role, &save_context);
	if (normalized.role != save_role)
		SetUserIdAndSecContext(normalized.role,
							   save_context | SECURITY_LOCAL_USERID_CHANGE);

	/* no subtransactions in parallel mode; the plan of a function that is
	 * wrongly marked as parallel safe gets the error itself */
	if (IsInParallelMode())
		write_and_compare(copy, &normalized, text);
	else
		write_guarded(copy, &normalized, text);

	SetUserIdAndSecContext(save_role, save_context);
	AtEOXact_GUC(true, settings);
}

List *
tess_deparse_query(const Query *query, const char **reason)
{
	QueryText text = {0};

	write_query(query, &text);
	if (text.refusal != NULL)
	{
		*reason = text.refusal;
		return NIL;
	}
	return tess_names_cut(text.sql, 0, strlen(text.sql), text.names);
}

bool
tess_deparse_framed(const Query *query, int nested, bool inner, List **template,
					List **frame, const char **reason)
{
	QueryText text = {nested, inner};

	write_query(query, &text);
	if (text.refusal != NULL)
	{
		*reason = text.refusal;
		return false;
	}
	*template = tess_names_cut(text.sql, text.start, text.end, text.names);
	*frame = list_make2(makeString(pnstrdup(text.sql, text.start)),
						makeString(pstrdup(text.sql + text.end)));
	return true;
}

bool
tess_deparse_insert(const Query *query, List **head, List **tail,
					const char **reason)
{
	QueryText text = {0};
	int start;
	int end;

	Assert(query->commandType == CMD_INSERT);
	if (query->jointree->fromlist != NIL)
	{
		*reason = "its INSERT has more than one row";
		return false;
	}
	write_query(query, &text);
	if (text.refusal == NULL && !tess_names_values_row(text.sql, &start, &end))
		text.refusal = "its INSERT names no column";
	if (text.refusal != NULL)
	{
		*reason = text.refusal;
		return false;
	}
	*head = tess_names_cut(text.sql, 0, start, text.names);
	*tail = tess_names_cut(text.sql, end, strlen(text.sql), text.names);
	return true;
}
