/*
 * remote_plan.c - EXPLAIN (VERBOSE) shows how a node plans a fragment.
 *
 * The statement of a shard (of all, with tessera.explain_all_shards) is sent
 * to its node as an EXPLAIN with the options of this one, and the answer is put
 * into the output in its format.  The node never executes it, not for EXPLAIN
 * ANALYZE either: it has run already, and to run it twice would change rows
 * twice and take twice the time.
 *
 * Where the values of parameters are known, the node plans with them;
 * otherwise it makes the plan that is good for any value.  Only EXPLAIN asks:
 * modules that print plans of what they see, as auto_explain does, cause no
 * traffic.
 */
#include "postgres.h"

#include "base/base.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "local/local.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "xact/xact.h"

static bool explain_all_shards = false;

/* What is asked for each shard. */
typedef struct Question
{
	const TessFragment *fragment;
	const TessArgs *args;
	Oid role;
	bool knows_values;	 /* those in args */
	const char *explain; /* EXPLAIN (options) */
} Question;

/* A shard, or a reference table's copy, as it is when EXPLAIN begins. */
typedef struct Place
{
	int64 shard_id; /* 0: a copy */
	int32 node_id;
	bool is_local;
	char *node_name;
} Place;

PG_FUNCTION_INFO_V1(tess_generic_plan_explain);

/* Parameters ---------------------------------------------------------------- */

/* True if a parameter of the statement has a value here. */
static bool
is_bound(const Param *param, ParamListInfo params)
{
	if (params == NULL || param->paramid <= 0)
		return false;
	if (params->paramFetch != NULL)
	{
		ParamExternData workspace;

		return OidIsValid(
			params->paramFetch(params, param->paramid, false, &workspace)->ptype);
	}
	return param->paramid <= params->numParams &&
		   OidIsValid(params->params[param->paramid - 1].ptype);
}

/* True for what only an execution can tell. */
static bool
is_unknown(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind != PARAM_EXTERN ||
			   !is_bound((Param *) node, context);
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return true;
	return expression_tree_walker(node, is_unknown, context);
}

/*
 * Values for the parameters: those of the run there was, or what can be had
 * without one.  False if there are none.
 */
static bool
find_values(CustomScanState *node, const TessExplained *what)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	ListCell *cell;

	if (what->fragment->shipped != NIL)
		return false; /* they are not kept */
	if (what->args->values != NULL)
		return true;
	foreach(cell, scan->custom_exprs)
	{
		if (foreach_current_index(cell) >= what->args->count)
			break; /* the prune expression */
		if (is_unknown(lfirst(cell), node->ss.ps.state->es_param_list_info) ||
			contain_volatile_functions(lfirst(cell)))
			return false;
	}
	(void) tess_args_eval(what->args, node->ss.ps.ps_ExprContext, NULL);
	return true;
}

/* Plans ---------------------------------------------------------------------- */

/* TessSlotSink: a line of EXPLAIN, or all of them. */
static void
append_line(void *owner, TupleTableSlot *slot)
{
	bool isnull;
	Datum line = slot_getattr(slot, 1, &isnull);

	appendStringInfo(owner, "%s\n", TextDatumGetCString(line));
}

static char *
plan_here(const Question *question, const char *statement)
{
	const TessArgs *args = question->args;
	StringInfoData text;
	ParamListInfo params = NULL;
	Oid saved_user;
	int saved_context;

	initStringInfo(&text);
	if (question->knows_values)
		params = tess_args_param_list(args->count, args->types, args->values,
									  args->nulls);
	GetUserIdAndSecContext(&saved_user, &saved_context);
	if (OidIsValid(question->role) && question->role != saved_user)
		SetUserIdAndSecContext(question->role,
							   saved_context | SECURITY_LOCAL_USERID_CHANGE);
	tess_local_explain(statement, args->count, args->types, params,
					   tess_row_receiver_make(&text, append_line));
	SetUserIdAndSecContext(saved_user, saved_context);
	return text.data;
}

/* A call of generic_plan() on a node. */
static char *
generic_call(const Question *question, const char *statement)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT tessera_internal.generic_plan(%s, '{",
					 quote_literal_cstr(statement));
	for (int i = 0; i < question->args->count; i++)
		appendStringInfo(&sql, "%s%u", i > 0 ? "," : "",
						 tess_type_wire_oid(question->args->types[i]));
	appendStringInfoString(&sql, "}')");
	return sql.data;
}

static char *
plan_there(const Question *question, int32 node_id, const char *statement)
{
	const TessArgs *args = question->args;
	TessSession *session = tess_xact_session(node_id, question->role, TESS_READ);
	StringInfoData text;
	PGresult *result;

	if (question->knows_values)
	{
		TessParams params;

		tess_encoder_encode(tess_encoder_make(args->count, args->types),
							args->values, args->nulls, &params);
		result = tess_net_query(session, statement, &params);
	}
	else
		result = tess_net_query(session, generic_call(question, statement), NULL);

	initStringInfo(&text);
	for (int i = 0; i < PQntuples(result); i++)
		appendStringInfo(&text, "%s\n", PQgetvalue(result, i, 0));
	return text.data;
}

static char *
ask_for_plan(const Question *question, const Place *place)
{
	char *sql = tess_statement_sql(question->fragment,
								   place->shard_id != 0 ? 1 : 0,
								   &place->shard_id);
	char *statement = psprintf("%s %s", question->explain, sql);

	if (place->is_local)
		return plan_here(question, statement);
	return plan_there(question, place->node_id, statement);
}

/* Places --------------------------------------------------------------------- */

static Place *
place_make(int64 shard_id, const TessNode *node)
{
	Place *place = palloc(sizeof(Place));

	place->shard_id = shard_id;
	place->node_id = node->node_id;
	place->is_local = node->is_local;
	place->node_name = pstrdup(node->name);
	return place;
}

/* Where to ask; group and shards as of tess_remote_plans_show. */
static List *
find_places(const TessGroup *group, const Bitmapset *shards)
{
	List *places = NIL;
	int i = -1;

	if (group == NULL)
	{
		int count;
		const TessNode *const *nodes = tess_meta_nodes(&count);

		for (int j = 0; j < count; j++)
		{
			if (nodes[j]->is_local)
				places = lappend(places, place_make(0, nodes[j]));
		}
		return places;
	}
	while ((i = bms_next_member(shards, i)) >= 0)
	{
		const TessShard *shard = &group->shards[i];

		if (shard->node_count > 0)
			places = lappend(places,
							 place_make(shard->shard_id,
										tess_meta_node(shard->node_ids[0])));
		if (!explain_all_shards && places != NIL)
			break;
	}
	return places;
}

/* Output ---------------------------------------------------------------------- */

/*
 * How EXPLAIN wraps a plan in each format: so many lines before and after it,
 * and so many columns that it is indented by.
 */
typedef struct Wrapping
{
	const char *name;
	int lines;
	int indent;
} Wrapping;

static const Wrapping wrappings[] = {
	[EXPLAIN_FORMAT_TEXT] = {"TEXT", 0, 0},
	[EXPLAIN_FORMAT_XML] = {"XML", 2, 4},
	[EXPLAIN_FORMAT_JSON] = {"JSON", 2, 4},
	[EXPLAIN_FORMAT_YAML] = {"YAML", 0, 2},
};

/* The lines of an EXPLAIN that are the plan. */
static List *
plan_lines(char *text, const Wrapping *wrapping)
{
	List *lines = NIL;
	char *line;
	char *rest = text;

	while ((line = strsep(&rest, "\n")) != NULL)
	{
		if (*line != '\0')
			lines = lappend(lines, line);
	}
	if (list_length(lines) <= 2 * wrapping->lines)
		elog(ERROR, "a node's plan has %d lines", list_length(lines));
	lines = list_truncate(lines, list_length(lines) - wrapping->lines);
	return list_delete_first_n(lines, wrapping->lines);
}

/* A plan as it came, a property of the group that is open. */
static void
append_plan(char *text, ExplainState *es)
{
	const Wrapping *wrapping = &wrappings[es->format];
	bool line_first = es->format == EXPLAIN_FORMAT_JSON ||
					  es->format == EXPLAIN_FORMAT_YAML;
	ListCell *cell;

	if (es->format == EXPLAIN_FORMAT_JSON)
		appendStringInfoChar(es->str, ',');
	foreach(cell, plan_lines(text, wrapping))
	{
		const char *line = lfirst(cell);
		int skip = strspn(line, " ");

		/* YAML: a list of one plan, whose first line begins with "- " */
		if (es->format == EXPLAIN_FORMAT_YAML && skip == 0)
			line += 2;
		else
			line += Min(skip, wrapping->indent);
		if (line_first)
			appendStringInfoChar(es->str, '\n');
		appendStringInfoSpaces(es->str, es->indent * 2);
		appendStringInfoString(es->str, line);
		if (!line_first)
			appendStringInfoChar(es->str, '\n');
	}
}

static void
show_plan(const Question *question, const Place *place, ExplainState *es)
{
	char *plan = ask_for_plan(question, place);

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		appendStringInfoSpaces(es->str, es->indent * 2);
		appendStringInfoString(es->str, "Remote Plan");
		if (place->shard_id != 0)
			appendStringInfo(es->str, " of shard " INT64_FORMAT, place->shard_id);
		appendStringInfo(es->str, " on %s:\n", place->node_name);
		es->indent++;
		append_plan(plan, es);
		es->indent--;
		return;
	}

	ExplainOpenGroup("Remote Plan", NULL, true, es);
	ExplainPropertyText("Node", place->node_name, es);
	if (place->shard_id != 0)
		ExplainPropertyInteger("Shard", NULL, place->shard_id, es);
	append_plan(plan, es);
	ExplainCloseGroup("Remote Plan", NULL, true, es);
}

/* This EXPLAIN's options for a node's. */
static char *
explain_command(const ExplainState *es)
{
	return psprintf("EXPLAIN (VERBOSE, COSTS %s, SETTINGS %s, FORMAT %s)",
					es->costs ? "on" : "off", es->settings ? "on" : "off",
					wrappings[es->format].name);
}

/*
 * Shows plans of one of the shards, or of all.  shards: those that are hit, or
 * could be, if that is not known yet.  group NULL: a reference table.
 */
void
tess_remote_plans_show(CustomScanState *node, const TessExplained *what,
					   const TessGroup *group, const Bitmapset *shards,
					   ExplainState *es)
{
	Question question = {what->fragment, what->args, what->role};
	List *places;
	ListCell *cell;

	if (!tess_is_explaining())
		return;
	places = find_places(group, shards);
	question.knows_values = find_values(node, what);
	question.explain = explain_command(es);

	ExplainOpenGroup("Remote Plans", "Remote Plans", false, es);
	foreach(cell, places)
		show_plan(&question, lfirst(cell), es);
	ExplainCloseGroup("Remote Plans", "Remote Plans", false, es);
}

/* On a node --------------------------------------------------------------- */

/*
 * generic_plan(statement, parameter_types): the output of an EXPLAIN whose
 * parameters have no values, as a generic plan has it.  Types 0 are inferred.
 * Runs as the user and executes nothing.
 */
Datum
tess_generic_plan_explain(PG_FUNCTION_ARGS)
{
	char *statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(1);
	StringInfoData text;
	Datum *elements;
	Oid *types;
	int count;

	deconstruct_array(array, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &elements,
					  NULL, &count);
	types = palloc(count * sizeof(Oid));
	for (int i = 0; i < count; i++)
		types[i] = DatumGetObjectId(elements[i]);

	initStringInfo(&text);
	tess_local_explain(statement, count, types, NULL,
					   tess_row_receiver_make(&text, append_line));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/* Defines the setting. */
void
tess_remote_plan_init(void)
{
	DefineCustomBoolVariable("tessera.explain_all_shards",
							 "EXPLAIN (VERBOSE) shows the plans of all shards, not of one.",
							 NULL, &explain_all_shards, false, PGC_USERSET, 0,
							 NULL, NULL, NULL);
}
