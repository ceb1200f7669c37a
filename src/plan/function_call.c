/*
 * function_call.c - calls of functions and procedures that run in the shard of
 * their key: planned as one scan, whose text is the call of the shard's copy.
 *
 * A SELECT is such a call if it is nothing else, and a CALL always, where the key
 * is known before it runs, all arguments travel, and names in the body would be
 * looked up in the same schemas as here.  Otherwise the function runs here, and
 * its statements are distributed ones.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/base.h"
#include "plan/plan_internal.h"
#include "route/route.h"
#include "xact/xact.h"

/* What is called, and what its text is made of. */
typedef struct FunctionCall
{
	const TessFunction *function;
	FuncExpr *call;
	List *exprs; /* of the parameters */
	StringInfoData text;
	List *types;  /* OIDs: the text has their names */
	List *output; /* TargetEntry *: the columns that come back */
} FunctionCall;

/* May it be sent? ------------------------------------------------------------- */

/* A temporary table would be found here before the shard's. */
static bool
is_hidden_by_temporary(const TessFunction *function)
{
	Oid temporary = LookupExplicitNamespace("pg_temp", true);
	ListCell *cell;

	if (!OidIsValid(temporary))
		return false;
	foreach(cell, function->tables)
	{
		char *name = get_rel_name(lfirst_oid(cell));

		if (name != NULL && OidIsValid(get_relname_relid(name, temporary)))
			return true;
	}
	return false;
}

/* The session would find the same tables here, and the same rows. */
static bool
finds_same_names(const TessFunction *function)
{
	if (function->runs_here || is_hidden_by_temporary(function))
		return false;
	return function->sets_path ||
		   equal(function->search_path, fetch_search_path(false));
}

/* Types that the function was declared with have been made on the nodes. */
static bool
is_declared(Oid function, Oid type)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool found;
	Oid *types;
	char **names;
	char *modes;
	int count;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	found = ((Form_pg_proc) GETSTRUCT(tuple))->prorettype == type;
	count = get_func_arg_info(tuple, &types, &names, &modes);
	for (int i = 0; i < count && !found; i++)
		found = types[i] == type;
	ReleaseSysCache(tuple);
	return found;
}

/* Rows without a named type cannot be sent or received, a cursor stays where it
 * was opened, and of an object of this server a body makes nothing there. */
static bool
type_travels(const FunctionCall *sent, Oid type)
{
	TessTravel none = {NIL};

	return get_typtype(type) != TYPTYPE_PSEUDO && type != UNKNOWNOID &&
		   type != REFCURSOROID && !tess_type_is_number(type) &&
		   (tess_type_travels(&none, type) ||
			is_declared(sent->function->function, type));
}

static bool
types_travel(const FunctionCall *sent)
{
	ListCell *cell;

	foreach(cell, sent->call->args)
		if (!type_travels(sent, exprType(lfirst(cell))))
			return false;
	foreach(cell, sent->output)
	{
		Oid type = exprType((Node *) lfirst_node(TargetEntry, cell)->expr);

		if (type != VOIDOID && !type_travels(sent, type))
			return false;
	}
	return true;
}

/* In any session, that is.  What decides where it runs is evaluated apart from the
 * other arguments. */
static bool
may_be_sent(const FunctionCall *sent)
{
	const TessFunction *function = sent->function;
	Node *key = list_nth(sent->call->args, function->key_argument);

	return types_travel(sent) && !contain_volatile_functions(key) &&
		   tess_route_type_is_compatible(&function->group->hasher, exprType(key));
}

/* The text ---------------------------------------------------------------------- */

/* The next argument of the call, as a parameter; nodes know types of users by
 * name. */
static void
add_argument(FunctionCall *sent, Node *argument)
{
	sent->exprs = lappend(sent->exprs, argument);
	sent->types = lappend_oid(sent->types, exprType(argument));
	appendStringInfo(&sent->text, "$%d::%s", list_length(sent->exprs),
					 format_type_be_qualified(exprType(argument)));
}

static void
add_separator(FunctionCall *sent, int position)
{
	if (position > 0)
		appendStringInfoString(&sent->text, ", ");
}

/* ".name(arguments)", behind the schema. */
static void
write_call(FunctionCall *sent)
{
	ListCell *cell;

	appendStringInfo(&sent->text, ".%s(", quote_identifier(sent->function->name));
	foreach(cell, sent->call->args)
	{
		add_separator(sent, foreach_current_index(cell));
		if (sent->call->funcvariadic && lnext(sent->call->args, cell) == NULL)
			appendStringInfoString(&sent->text, "VARIADIC ");
		add_argument(sent, lfirst(cell));
	}
	appendStringInfoChar(&sent->text, ')');
}

/* The same for CALL, where what comes out has a place among the arguments. */
static void
write_procedure_call(FunctionCall *sent)
{
	HeapTuple tuple = SearchSysCache1(PROCOID,
									  ObjectIdGetDatum(sent->call->funcid));
	List *args = sent->call->args;
	int next = 0;
	Oid *types;
	char **names;
	char *modes;
	int count;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", sent->call->funcid);
	count = get_func_arg_info(tuple, &types, &names, &modes);
	appendStringInfo(&sent->text, ".%s(", quote_identifier(sent->function->name));
	for (int i = 0; i < count; i++)
	{
		add_separator(sent, i);
		if (modes != NULL && modes[i] == PROARGMODE_OUT)
		{
			appendStringInfoString(&sent->text, "NULL");
			continue;
		}
		if (sent->call->funcvariadic && next == list_length(args) - 1)
			appendStringInfoString(&sent->text, "VARIADIC ");
		add_argument(sent, list_nth(args, next++));
	}
	/* VARIADIC "any" */
	for (; next < list_length(args); next++)
	{
		add_separator(sent, next);
		add_argument(sent, list_nth(args, next));
	}
	appendStringInfoChar(&sent->text, ')');
	ReleaseSysCache(tuple);
}

/* The name that a column has in the user's statement: on this server the shard's may
 * stand for that. */
static char *
column_label(const TargetEntry *entry)
{
	return psprintf(" AS %s", quote_identifier(entry->resname));
}

/* "SELECT r.c1, ... FROM", and the columns' names (and types, if the function
 * does not say them) behind the call. */
static char *
write_columns(FunctionCall *sent, RangeTblFunction *function, char **behind)
{
	StringInfoData front;
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&front);
	appendStringInfoString(&front, "SELECT ");
	foreach(cell, sent->output)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		appendStringInfo(&front, "%sr.c%d%s",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 castNode(Var, entry->expr)->varattno,
						 column_label(entry));
	}
	appendStringInfoString(&front, " FROM ");

	sent->types = list_concat(sent->types, function->funccoltypes);
	initStringInfo(&names);
	appendStringInfoString(&names, " AS r(");
	for (int i = 0; i < function->funccolcount; i++)
	{
		appendStringInfo(&names, "%sc%d", i > 0 ? ", " : "", i + 1);
		if (function->funccoltypes != NIL)
			appendStringInfo(&names, " %s",
							 format_type_extended(list_nth_oid(function->funccoltypes,
															   i),
												  list_nth_int(function->funccoltypmods,
															   i),
												  FORMAT_TYPE_TYPEMOD_GIVEN |
													  FORMAT_TYPE_FORCE_QUALIFY));
	}
	appendStringInfoChar(&names, ')');
	*behind = names.data;
	return front.data;
}

/* The plan ---------------------------------------------------------------------- */

/* "The key is this argument", for pruning alone: nobody evaluates it. */
static Expr *
make_prune(const FunctionCall *sent)
{
	const TessGroup *group = sent->function->group;
	CaseTestExpr *key = makeNode(CaseTestExpr);
	TypeCacheEntry *type = lookup_type_cache(group->hasher.type,
											 TYPECACHE_EQ_OPR);

	key->typeId = group->hasher.type;
	key->typeMod = -1;
	key->collation = group->hasher.collation;
	return make_opclause(type->eq_opr, BOOLOID, false, (Expr *) key,
						 list_nth(sent->call->args, sent->function->key_argument),
						 InvalidOid, group->hasher.collation);
}

static void
depend_on(PlannedStmt *stmt, int cache_id, Oid object)
{
	PlanInvalItem *item = makeNode(PlanInvalItem);

	item->cacheId = cache_id;
	item->hashValue = GetSysCacheHashValue1(cache_id, ObjectIdGetDatum(object));
	stmt->invalItems = lappend(stmt->invalItems, item);
}

static PlannedStmt *
make_plan(TessJob *job, FunctionCall *sent, const char *front, const char *behind)
{
	const TessFunction *function = sent->function;
	bool writes = func_volatile(function->function) == PROVOLATILE_VOLATILE;
	TessFragment *fragment = tess_fragment_make();
	TessBindings bindings = {.exprs = sent->exprs};
	PlannedStmt *stmt;
	ListCell *cell;

	fragment->command = CMD_SELECT;
	fragment->target = TESS_TO_ONE_SHARD;
	fragment->anchor = linitial_oid(function->tables);
	fragment->relations = list_copy(function->tables);
	fragment->changed = writes ? list_copy(function->tables) : NIL;
	fragment->template = list_make3(makeString(pstrdup(front)),
									list_make1(
										makeString(pstrdup(function->schema))),
									makeString(psprintf("%s%s", sent->text.data,
														behind)));
	fragment->param_types = tess_binding_types(&bindings);
	fragment->has_prune = true;
	fragment->function = function->function;
	tess_fragment_describe(fragment, sent->output);
	stmt = tess_send_plan(job, fragment, sent->output,
						  lappend(sent->exprs, make_prune(sent)));

	depend_on(stmt, PROCOID, function->function);
	foreach(cell, sent->types)
		depend_on(stmt, TYPEOID, lfirst_oid(cell));
	stmt->relationOids = lappend_oid(stmt->relationOids,
									 tess_catalog_relation_oid("function"));
	/* one that writes has to end before its first row comes out */
	if (!writes || !sent->call->funcretset)
		tess_number_whole(stmt);
	return stmt;
}

/* SELECT ------------------------------------------------------------------------ */

/* Nothing but a target list, and FROM. */
static bool
is_plain(const Query *query)
{
	return query->commandType == CMD_SELECT && query->canSetTag &&
		   query->cteList == NIL && query->setOperations == NULL &&
		   query->groupClause == NIL && query->groupingSets == NIL &&
		   query->havingQual == NULL && query->windowClause == NIL &&
		   query->distinctClause == NIL && query->sortClause == NIL &&
		   query->limitCount == NULL && query->limitOffset == NULL &&
		   query->rowMarks == NIL && !query->hasAggs && !query->hasSubLinks &&
		   query->jointree->quals == NULL;
}

/* The call with an argument for each parameter, in their order: the parser
 * leaves out those that have defaults, and keeps names. */
static FuncExpr *
expand_call(const FuncExpr *call)
{
	FuncExpr *expanded = makeNode(FuncExpr);
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	*expanded = *call;
	expanded->args = expand_function_arguments(copyObject(call->args), false,
											   call->funcresulttype, tuple);
	ReleaseSysCache(tuple);
	return expanded;
}

static const TessFunction *
function_of(Node *expr, FunctionCall *sent)
{
	if (!IsA(expr, FuncExpr))
		return NULL;
	sent->function = tess_meta_function(((FuncExpr *) expr)->funcid);
	sent->call = (FuncExpr *) expr;
	return sent->function;
}

/* Also below what is no statement, like a function called by the fast path. */
static bool
is_inside_function(void)
{
	return tess_xact_depth > 0 ||
		   SPI_unregister_relation("") != SPI_ERROR_UNCONNECTED;
}

/*
 * SELECT f(...).  Not from inside a function: PL/pgSQL takes such a statement for
 * an expression, of which it does not execute the plan.
 */
static bool
is_target_call(const Query *query, FunctionCall *sent)
{
	TargetEntry *entry;

	if (query->rtable != NIL || is_inside_function() ||
		list_length(query->targetList) != 1)
		return false;
	entry = linitial_node(TargetEntry, query->targetList);
	sent->output = query->targetList;
	return function_of((Node *) entry->expr, sent) != NULL;
}

/* SELECT columns FROM f(...).  The function in FROM, or NULL. */
static RangeTblFunction *
is_from_call(const Query *query, FunctionCall *sent)
{
	RangeTblEntry *rte;
	RangeTblFunction *function;
	ListCell *cell;

	if (list_length(query->rtable) != 1 || query->targetList == NIL)
		return NULL;
	rte = linitial_node(RangeTblEntry, query->rtable);
	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality ||
		list_length(rte->functions) != 1)
		return NULL;
	function = linitial_node(RangeTblFunction, rte->functions);
	if (function_of(function->funcexpr, sent) == NULL)
		return NULL;
	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (entry->resjunk || !IsA(entry->expr, Var) ||
			((Var *) entry->expr)->varattno <= 0)
			return NULL;
	}
	sent->output = query->targetList;
	return function;
}

/* What is called, and in FROM how (*from, else NULL); false if the query is none. */
static bool
is_call(const Query *query, FunctionCall *sent, RangeTblFunction **from)
{
	*from = NULL;
	if (list_length(query->rtable) > 1 || !is_plain(query))
		return false;
	if (is_target_call(query, sent))
		return true;
	*from = is_from_call(query, sent);
	return *from != NULL;
}

/* TessPlanner */
static PlannedStmt *
plan_select(TessJob *job)
{
	FunctionCall sent = {NULL};
	RangeTblFunction *from;
	const char *front = "SELECT ";
	char *behind = "";

	if (!is_call(job->parse, &sent, &from))
		return NULL;
	sent.call = expand_call(sent.call);
	if (!may_be_sent(&sent))
		return NULL;
	initStringInfo(&sent.text);
	write_call(&sent);
	if (from != NULL)
		front = write_columns(&sent, from, &behind);
	else
		behind = column_label(linitial_node(TargetEntry, sent.output));
	return make_plan(job, &sent, front, behind);
}

/* See plan_internal.h. */
PlannedStmt *
tess_plan_function(TessJob *job)
{
	FunctionCall sent = {NULL};
	RangeTblFunction *from;

	if (!is_call(job->parse, &sent, &from) || !finds_same_names(sent.function))
		return NULL;
	return tess_plan_shared_call(job, linitial_oid(sent.function->tables),
								 plan_select);
}

/* CALL -------------------------------------------------------------------------- */

/* The columns of its result, as a target list of which only the types count. */
static List *
result_columns(CallStmt *statement)
{
	TupleDesc desc;
	List *output = NIL;

	if (statement->outargs == NIL)
		return NIL;
	desc = CallStmtResultDesc(statement);
	for (int i = 0; i < desc->natts; i++)
	{
		const FormData_pg_attribute *column = TupleDescAttr(desc, i);

		output = lappend(output,
						 makeTargetEntry((Expr *)
											 makeNullConst(column->atttypid,
														   column->atttypmod,
														   column->attcollation),
										 i + 1, pstrdup(NameStr(column->attname)),
										 false));
	}
	return output;
}

/* A CALL as a query: what is called, and what comes out. */
static Query *
query_of(CallStmt *statement)
{
	Query *query = makeNode(Query);
	ListCell *cell;

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = list_make1(
		makeTargetEntry((Expr *) copyObject(statement->funcexpr), 1, NULL, false));
	foreach(cell, statement->outargs)
		query->targetList = lappend(query->targetList,
									makeTargetEntry(copyObject(lfirst(cell)),
													foreach_current_index(cell) + 2,
													NULL, false));
	return query;
}

static CallStmt *
statement_of(const Query *query)
{
	CallStmt *statement = makeNode(CallStmt);
	ListCell *cell;

	statement->funcexpr = castNode(FuncExpr,
								   linitial_node(TargetEntry, query->targetList)
									   ->expr);
	for_each_from(cell, query->targetList, 1)
		statement->outargs = lappend(statement->outargs,
									 lfirst_node(TargetEntry, cell)->expr);
	return statement;
}

/* TessPlanner */
static PlannedStmt *
plan_procedure(TessJob *job)
{
	CallStmt *statement = statement_of(job->parse);
	FunctionCall sent = {NULL};

	(void) function_of((Node *) statement->funcexpr, &sent);
	sent.call = expand_call(sent.call);
	sent.output = result_columns(statement);
	if (!may_be_sent(&sent))
		return NULL;
	initStringInfo(&sent.text);
	write_procedure_call(&sent);
	return make_plan(job, &sent, "CALL ", "");
}

/* See plan.h. */
PlannedStmt *
tess_plan_call(CallStmt *statement)
{
	FunctionCall sent = {NULL};
	TessJob job = {NULL};

	if (function_of((Node *) statement->funcexpr, &sent) == NULL ||
		!finds_same_names(sent.function))
		return NULL;
	job.parse = query_of(statement);
	return tess_plan_shared_call(&job, linitial_oid(sent.function->tables),
								 plan_procedure);
}
