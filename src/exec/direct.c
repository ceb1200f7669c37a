/*
 * direct.c - a statement for one shard of this server runs as the shard's own.
 *
 * Where a plan is one fragment and nothing else, and its shard is here, the
 * executor is started with the plan that local/ keeps for the shard: no
 * executor within an executor, and rows go to who asked for them as they are.  To
 * everybody else the statement stays what it was: rights are those of the shell
 * too, and the query description has its own plan again as soon as the
 * executor has started.
 *
 * Whatever is not plain goes the ordinary way (scan_node.c, modify_node.c): the
 * first execution, EXPLAIN, cursors that go backward, statements of foreign
 * keys, another role.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "lib/ilist.h"
#include "local/local.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "route/route.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#define PLACE_COUNT 2048
#define SEEN_COUNT 512

/* Where the statement of a plan for a shard was found; a newer one takes an
 * older one's place. */
typedef struct Place
{
	int64 number; /* of the plan */
	int64 shard_id;
	TessKeptPlace kept;
	const struct TupleDescData *desc; /* was found to be the plan's own */
	bool differs; /* no: rows of the table are of its type */
} Place;

/* A plan that has been executed; a newer one takes an older one's place too. */
typedef struct SeenPlan
{
	int64 number;
	TessKeptPlace kept; /* of the shard that it came to last */
} SeenPlan;

/* An execution; in the context in which the executor was started. */
struct TessDirect
{
	dlist_node link;
	bool listed;
	QueryDesc *query_desc;
	MemoryContextCallback callback;
	CachedPlan *kept;
	ResourceOwner owner; /* of the reference to it */
	PlannedStmt stmt;	 /* the shard's plan, under the statement's own name */
	ParamListInfo params;

	PlannedStmt *own_stmt;
	ParamListInfo own_params;
};

/* What is evaluated before there is an executor. */
typedef struct Evaluation
{
	const PlannedStmt *stmt;
	const CustomScan *scan;
	bool is_allowed;	   /* rights were checked */
	ParamListInfo params;  /* of the statement */
	ExprContext *econtext; /* for what is not a plain value; made when needed */

	/* Of the row of an INSERT: each column is computed once, for a sequence
	 * does not give a number twice. */
	int column_count;
	bool *is_known;
	Datum *values;
	bool *nulls;
} Evaluation;

static struct
{
	Place *places; /* NULL: none yet */
	SeenPlan seen[SEEN_COUNT];
	dlist_head running;
	int64 count; /* ever */

	/* The executor is about to start with this plan of an INSERT, whose row has
	 * been computed; NULL: none of the kind. */
	const CustomScan *scan;
	Datum *values;
	bool *nulls;
} direct = {.running = DLIST_STATIC_INIT(direct.running)};

/* Rights on the shells; errors without.  Nothing is done for who has none. */
static void
check_rights(Evaluation *evaluation)
{
	if (!evaluation->is_allowed)
		(void) ExecCheckRTPerms(evaluation->stmt->rtable, true);
	evaluation->is_allowed = true;
}

/* Values ----------------------------------------------------------------------- */

static Datum
evaluate(Evaluation *evaluation, Expr *expr, bool *isnull)
{
	ExprState *state;

	check_rights(evaluation);
	state = ExecInitExprWithParams(expr, evaluation->params);
	if (evaluation->econtext == NULL)
	{
		evaluation->econtext = CreateStandaloneExprContext();
		evaluation->econtext->ecxt_param_list_info = evaluation->params;
	}
	/* in the current context: the value is needed as long as the statement */
	return ExecEvalExpr(state, evaluation->econtext, isnull);
}

/* TessValueOf */
static Datum
value_of(Expr *expr, void *arg, bool *isnull)
{
	Evaluation *evaluation = arg;
	Datum value;

	if (tess_args_bound_value(expr, evaluation->params, &value, isnull))
		return value;
	return evaluate(evaluation, expr, isnull);
}

static const TessWrite *
write_of(const TessFragment *fragment)
{
	return fragment->modify != NULL ? linitial(fragment->modify->writes) : NULL;
}

/* The row of an INSERT. */
static List *
row_of(const CustomScan *scan)
{
	return linitial_node(Result, scan->custom_plans)->plan.targetlist;
}

static void
begin_row(Evaluation *evaluation)
{
	int count = list_length(row_of(evaluation->scan));

	evaluation->column_count = count;
	evaluation->is_known = palloc0(count * sizeof(bool));
	evaluation->values = palloc(count * sizeof(Datum));
	evaluation->nulls = palloc(count * sizeof(bool));
}

/* The value of a column of that row. */
static Datum
column_value(Evaluation *evaluation, int column, bool *isnull)
{
	if (!evaluation->is_known[column])
	{
		TargetEntry *entry = list_nth(row_of(evaluation->scan), column);

		evaluation->values[column] = value_of(entry->expr, evaluation,
											  &evaluation->nulls[column]);
		evaluation->is_known[column] = true;
	}
	*isnull = evaluation->nulls[column];
	return evaluation->values[column];
}

/* The statement goes the ordinary way: if something of its row was computed, all of
 * it is, and that is the row. */
static void
hand_over_row(Evaluation *evaluation)
{
	bool isnull;

	if (evaluation->column_count == 0 || evaluation->econtext == NULL)
		return;
	for (int i = 0; i < evaluation->column_count; i++)
		(void) column_value(evaluation, i, &isnull);
	direct.scan = evaluation->scan;
	direct.values = evaluation->values;
	direct.nulls = evaluation->nulls;
}

/* The row of an INSERT that has been computed already, as one of the child's, which
 * nobody has to compute; NULL: there is none. */
TupleTableSlot *
tess_direct_take_row(const CustomScan *scan, PlanState *child)
{
	TupleTableSlot *slot;
	int count;

	if (direct.scan != scan)
		return NULL;
	direct.scan = NULL;
	slot = ExecInitExtraTupleSlot(child->state, ExecGetResultType(child),
								  &TTSOpsVirtual);
	count = slot->tts_tupleDescriptor->natts;
	memcpy(slot->tts_values, direct.values, count * sizeof(Datum));
	memcpy(slot->tts_isnull, direct.nulls, count * sizeof(bool));
	return ExecStoreVirtualTuple(slot);
}

/* The parameters of the shard's statement; NULL: it has none. */
static ParamListInfo
make_params(const TessFragment *fragment, Evaluation *evaluation)
{
	const TessWrite *write = write_of(fragment);
	int count = list_length(fragment->param_types);
	int row_count = write != NULL ? list_length(write->positions) : 0;
	ParamListInfo params;

	if (count + row_count == 0)
		return NULL;
	params = makeParamList(count + row_count);
	for (int i = 0; i < count + row_count; i++)
	{
		ParamExternData *param = &params->params[i];

		param->pflags = PARAM_FLAG_CONST;
		if (i < count)
		{
			param->ptype = list_nth_oid(fragment->param_types, i);
			param->value = value_of(list_nth(evaluation->scan->custom_exprs, i),
									evaluation, &param->isnull);
		}
		else
		{
			param->ptype = list_nth_oid(write->row_types, i - count);
			param->value = column_value(evaluation,
										list_nth_int(write->positions, i - count),
										&param->isnull);
		}
	}
	return params;
}

/* The shard ------------------------------------------------------------------------ */

/* The shard of the statement if it is on this server; NULL if not, or if only an
 * execution tells. */
static const TessShard *
shard_here(const TessFragment *fragment, Evaluation *evaluation)
{
	const TessGroup *group = tess_exec_table(fragment)->group;
	const TessWrite *write = write_of(fragment);
	const TessShard *shard;
	int shard_index = -1;

	if (!group->is_here)
		return NULL;
	if (write != NULL)
		begin_row(evaluation);
	if (write != NULL && write->key_position >= 0)
	{
		TargetEntry *entry = list_nth(row_of(evaluation->scan),
									  write->key_position);
		bool isnull;
		Datum value = column_value(evaluation, write->key_position, &isnull);

		shard_index = tess_route_value(group, value, isnull,
									   exprType((Node *) entry->expr));
	}
	else if (write == NULL &&
			 (!fragment->has_prune ||
			  !tess_prune_one(llast(evaluation->scan->custom_exprs), value_of,
							  evaluation, group, &shard_index)))
		return NULL;

	/* that of NULL, where no row can be */
	if (shard_index < 0)
		shard_index = tess_route_value(group, (Datum) 0, true, InvalidOid);
	shard = &group->shards[shard_index];
	if (shard->node_count == 0 || !tess_meta_node(shard->node_ids[0])->is_local)
		return NULL;
	return shard;
}

/* The shard's plan -------------------------------------------------------------- */

static char *
statement_sql(const TessFragment *fragment, const TessShard *shard)
{
	const TessWrite *write = write_of(fragment);

	if (write != NULL)
		return tess_write_sql(write, shard->shard_id, 1,
							  list_length(fragment->param_types));
	return tess_template_sql(fragment->template, shard->shard_id);
}

static Place *
place_of(const TessFragment *fragment, const TessShard *shard)
{
	uint64 hash = hash_combine64(fragment->number, shard->shard_id);
	Place *place;

	if (direct.places == NULL)
		direct.places = MemoryContextAllocZero(TopMemoryContext,
											   PLACE_COUNT * sizeof(Place));
	place = &direct.places[hash % PLACE_COUNT];
	if (place->number != fragment->number || place->shard_id != shard->shard_id)
	{
		memset(place, 0, sizeof(Place));
		place->number = fragment->number;
		place->shard_id = shard->shard_id;
	}
	return place;
}

/* True if the shard's statement gives the columns that the plan gives, under the
 * same names. */
static bool
gives_columns(Place *place, const CustomScan *scan, TupleDesc desc)
{
	TupleDesc own;

	if (desc == NULL || scan->scan.plan.targetlist == NIL)
		return desc == NULL && scan->scan.plan.targetlist == NIL;
	if (desc == place->desc)
		return true;
	own = ExecCleanTypeFromTL(scan->scan.plan.targetlist);
	place->differs = !equalTupleDescs(own, desc);
	if (!place->differs)
		place->desc = desc;
	FreeTupleDesc(own);
	return !place->differs;
}

/* The one plan of the shard that stands for stmt; NULL: there is none. */
static const PlannedStmt *
only_plan(CachedPlan *kept, const PlannedStmt *stmt)
{
	const PlannedStmt *plan = linitial_node(PlannedStmt, kept->stmt_list);

	if (list_length(kept->stmt_list) != 1 ||
		plan->commandType != stmt->commandType ||
		plan->hasReturning != stmt->hasReturning || plan->hasModifyingCTE ||
		plan->parallelModeNeeded)
		return NULL;
	return plan;
}

/*
 * Where the shard's statement is kept; NULL: it goes the ordinary way.  A plan that is executed
 * for the first time may have been made for this one execution.
 */
static Place *
find_place(const TessFragment *fragment, const TessShard *shard,
		   ParamListInfo params)
{
	SeenPlan *seen = &direct.seen[fragment->number % SEEN_COUNT];
	Place *place;
	char *sql;
	bool is_kept;

	if (seen->number != fragment->number)
	{
		memset(seen, 0, sizeof(SeenPlan));
		seen->number = fragment->number;
		return NULL;
	}
	place = place_of(fragment, shard);
	if (tess_local_is_kept(&place->kept))
		return place->differs ? NULL : place;

	place->desc = NULL;
	place->differs = false;
	sql = statement_sql(fragment, shard);
	is_kept = tess_local_keep(&place->kept, sql, params,
							  fragment->changed == NIL, &seen->kept);
	pfree(sql);
	if (!is_kept)
		return NULL;
	seen->kept = place->kept;
	return place;
}

/* Puts the shard's plan in the place of the statement's; false: there is none,
 * or none yet. */
static bool
install(TessDirect *run, const TessFragment *fragment, const TessShard *shard)
{
	QueryDesc *query_desc = run->query_desc;
	PlannedStmt *own = query_desc->plannedstmt;
	Place *place = find_place(fragment, shard, run->params);
	const PlannedStmt *plan;
	TupleDesc desc;

	if (place == NULL)
		return false;
	run->kept = tess_local_plan(&place->kept, run->params, &desc);
	run->owner = CurrentResourceOwner;
	plan = only_plan(run->kept, own);
	if (plan == NULL ||
		!gives_columns(place, (const CustomScan *) own->planTree, desc))
	{
		ReleaseCachedPlan(run->kept, run->owner);
		return false;
	}

	memcpy(&run->stmt, plan, sizeof(PlannedStmt));
	run->stmt.queryId = own->queryId;
	run->stmt.stmt_location = own->stmt_location;
	run->stmt.stmt_len = own->stmt_len;
	run->own_stmt = own;
	run->own_params = query_desc->params;
	query_desc->plannedstmt = &run->stmt;
	query_desc->params = run->params;
	return true;
}

/* The execution ------------------------------------------------------------------ */

/* The fragment of a statement that may run so; NULL if it may not. */
static const TessFragment *
fragment_of(const QueryDesc *query_desc, int eflags)
{
	const CustomScan *scan = (const CustomScan *) query_desc->plannedstmt->planTree;
	const TessFragment *fragment;

	if (scan == NULL || !IsA(scan, CustomScan) ||
		(scan->methods != &tess_scan_methods &&
		 scan->methods != &tess_modify_methods))
		return NULL;
	fragment = linitial(scan->custom_private);
	if (fragment->number == 0 || (eflags & ~EXEC_FLAG_SKIP_TRIGGERS) != 0 ||
		query_desc->instrument_options != 0 || !ActiveSnapshotSet() ||
		query_desc->snapshot == InvalidSnapshot || IsInParallelMode() ||
		InNoForceRLSOperation() ||
		(OidIsValid(fragment->role) && fragment->role != GetUserId()))
		return NULL;
	/* which statement is refused, and why, is the plan's own to say */
	if (fragment->changed != NIL && XactReadOnly)
		return NULL;
	return fragment;
}

/*
 * Before the executor starts: NULL if the statement goes the ordinary way.
 * Otherwise the query description has the shard's plan, and tess_direct_started
 * has to be called when the executor has started.  Errors as the statement
 * would, without rights or with values that cannot be computed.
 */
TessDirect *
tess_direct_start(QueryDesc *query_desc, int eflags)
{
	const TessFragment *fragment = fragment_of(query_desc, eflags);
	Evaluation evaluation = {.stmt = query_desc->plannedstmt,
							 .params = query_desc->params};
	const TessShard *shard;
	TessDirect *run = NULL;
	bool installed = false;

	direct.scan = NULL; /* of a start that failed */
	if (fragment == NULL)
		return NULL;
	evaluation.scan = (const CustomScan *) query_desc->plannedstmt->planTree;
	shard = shard_here(fragment, &evaluation);
	if (shard != NULL)
	{
		check_rights(&evaluation);
		run = palloc0(sizeof(TessDirect));
		run->query_desc = query_desc;
		run->params = make_params(fragment, &evaluation);
		installed = install(run, fragment, shard);
	}
	if (!installed)
		hand_over_row(&evaluation);
	if (evaluation.econtext != NULL)
		FreeExprContext(evaluation.econtext, true);
	if (!installed)
	{
		if (run != NULL)
			pfree(run);
		return NULL;
	}
	if (fragment->changed == NIL)
		tess_exec_check_snapshot(fragment, query_desc->snapshot);
	else
	{
		if (IsolationUsesXactSnapshot())
			tess_exec_check_snapshot(fragment, GetTransactionSnapshot());
		tess_order_write(fragment, 0, 0);
	}
	return run;
}

/* CALL -------------------------------------------------------------------------- */

/* Executes the call of the shard's copy under the name of the statement. */
static void
run_call(const CachedPlan *kept, const PlannedStmt *statement,
		 const char *query_string, ParamListInfo params, DestReceiver *dest)
{
	PlannedStmt call;

	memcpy(&call, linitial_node(PlannedStmt, kept->stmt_list), sizeof(call));
	call.queryId = statement->queryId;
	call.stmt_location = statement->stmt_location;
	call.stmt_len = statement->stmt_len;
	direct.count++;
	tess_local_call(&call, query_string, params, dest);
}

/* The shard of the call, and its parameters; NULL: it is not here. */
static const TessShard *
evaluate_call(Evaluation *evaluation, const TessFragment *fragment,
			  ParamListInfo *params)
{
	const TessShard *shard = shard_here(fragment, evaluation);

	if (shard != NULL)
		*params = make_params(fragment, evaluation);
	if (evaluation->econtext != NULL)
		FreeExprContext(evaluation->econtext, true);
	return shard;
}

/* See exec_internal.h. */
bool
tess_direct_call(const PlannedStmt *statement, const PlannedStmt *plan,
				 const char *query_string, ParamListInfo params,
				 DestReceiver *dest)
{
	const CustomScan *scan = (const CustomScan *) plan->planTree;
	const TessFragment *fragment = linitial(scan->custom_private);
	Evaluation evaluation = {.stmt = plan, .scan = scan, .params = params};
	const TessShard *shard;
	bool is_done = false;
	Place *place;
	CachedPlan *kept;
	TupleDesc desc;

	if (fragment->number == 0 || XactReadOnly || IsInParallelMode() ||
		tess_pending_is_any())
		return false;
	tess_function_check_right(fragment->function);
	shard = evaluate_call(&evaluation, fragment, &params);
	place = shard != NULL ? find_place(fragment, shard, params) : NULL;
	if (place == NULL)
		return false;

	if (IsolationUsesXactSnapshot())
		tess_exec_check_snapshot(fragment, GetTransactionSnapshot());
	kept = tess_local_plan(&place->kept, params, &desc);
	if (gives_columns(place, scan, desc))
	{
		tess_order_write(fragment, 0, 0);
		run_call(kept, statement, query_string, params, dest);
		is_done = true;
	}
	ReleaseCachedPlan(kept, CurrentResourceOwner);
	return is_done;
}

/* The execution ends -------------------------------------------------------------- */

static void
forget(void *arg)
{
	TessDirect *run = arg;

	if (run->listed)
		dlist_delete(&run->link);
	run->listed = false;
}

/* The statement is its own again, for all but the executor that runs. */
void
tess_direct_started(TessDirect *run)
{
	QueryDesc *query_desc = run->query_desc;

	query_desc->plannedstmt = run->own_stmt;
	query_desc->params = run->own_params;
	direct.count++;
	dlist_push_head(&direct.running, &run->link);
	run->listed = true;
	run->callback.func = forget;
	run->callback.arg = run;
	MemoryContextRegisterResetCallback(query_desc->estate->es_query_cxt,
									   &run->callback);
}

/* How many statements have run so in this session. */
int64
tess_direct_count(void)
{
	return direct.count;
}

/* The run of a statement that is about to end; NULL: it went the ordinary way. */
TessDirect *
tess_direct_find(const QueryDesc *query_desc)
{
	dlist_iter iter;

	dlist_foreach(iter, &direct.running)
	{
		TessDirect *run = dlist_container(TessDirect, link, iter.cur);

		if (run->query_desc == query_desc)
			return run;
	}
	return NULL;
}

/* The executor has ended: nobody looks at the shard's plan any more. */
void
tess_direct_end(TessDirect *run)
{
	forget(run);
	ReleaseCachedPlan(run->kept, run->owner);
	if (run->params != NULL)
		pfree(run->params);
	pfree(run);
}
