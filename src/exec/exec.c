/*
 * exec.c - start of the folder: registers the custom scans, counts how deep
 * executor calls are nested, and says whether a fragment can run now, and
 * whether it may have to run again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "exec/exec.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "fragment/fragment.h"
#include "libpq/libpq.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/snapmgr.h"

static struct
{
	ExecutorStart_hook_type next_start;
	ExecutorRun_hook_type next_run;
	ExecutorFinish_hook_type next_finish;
	ExecutorEnd_hook_type next_end;
} hooks;

/* Of the executor call that is running. */
static struct
{
	const PlannedStmt *stands_for; /* a CALL that it is the execution of */
	bool is_cascade;
} call;

/*
 * Enters an executor call.  Statements of foreign keys run in a security
 * context that no others have; what is nested in them (a user's trigger)
 * inherits it, and is no cascade.
 */
static void
enter_call(bool runs)
{
	bool nested = tess_in_foreign_key;

	tess_xact_depth++;
	tess_in_foreign_key = InNoForceRLSOperation();
	call.is_cascade = runs && tess_in_foreign_key && !nested;
}

/* Gives back what was before. */
static void
leave_call(bool was_for_foreign_key, bool was_cascade)
{
	tess_xact_depth--;
	tess_in_foreign_key = was_for_foreign_key;
	call.is_cascade = was_cascade;
}

/* See exec_internal.h. */
bool
tess_exec_is_cascade(void)
{
	return call.is_cascade;
}

/* See exec_internal.h. */
bool
tess_exec_is_never_rescanned(const Plan *scan, EState *estate)
{
	const Plan *plan = estate->es_plannedstmt->planTree;

	while (plan != NULL && plan != scan)
	{
		if (innerPlan(plan) != NULL || !bms_is_empty(plan->extParam))
			return false;
		if (IsA(plan, SubqueryScan))
			plan = ((const SubqueryScan *) plan)->subplan;
		else if (IsA(plan, CustomScan) &&
				 (((const CustomScan *) plan)->methods == &tess_scan_methods ||
				  ((const CustomScan *) plan)->methods == &tess_modify_methods ||
				  ((const CustomScan *) plan)->methods == &tess_combine_methods))
			plan = ((const CustomScan *) plan)->custom_plans != NIL
					   ? linitial(((const CustomScan *) plan)->custom_plans)
					   : NULL;
		else
			plan = outerPlan(plan);
	}
	return plan == scan && estate->es_epq_active == NULL;
}

/*
 * True if nothing but the end of the transaction comes after what the client
 * has sent until now: of a simple query that is so outside a block, of a bound
 * one if a Sync follows, which may not have arrived.
 */
static bool
is_end_of_message(Portal portal)
{
	int next;

	if (portal->cplan == NULL)
		return true;
	if (MyProcPort == NULL || !pq_buffer_has_data())
		return false;
	pq_startmsgread();
	next = pq_peekbyte();
	pq_endmsgread();
	return next == 'S';
}

/*
 * True if the plan, which is running, is all that the client's transaction does:
 * the one statement of a message, outside a block, and nothing above the node in
 * it.
 */
bool
tess_exec_is_last_act(EState *estate, const Plan *plan)
{
	const PlannedStmt *statement = estate->es_plannedstmt;
	Portal portal = ActivePortal;
	bool is_node = statement->planTree == plan;
	TessFired fired;

	if (call.stands_for != NULL)
		statement = call.stands_for;
	return tess_xact_may_end_here() && is_node && !statement->hasModifyingCTE &&
		   !tess_fired_of(statement, &fired) && portal != NULL &&
		   portal->status == PORTAL_ACTIVE && list_length(portal->stmts) == 1 &&
		   linitial(portal->stmts) == statement && is_end_of_message(portal);
}

static void
start(QueryDesc *query_desc, int eflags)
{
	Oid function = tess_function_of_plan(query_desc->plannedstmt);
	TessDirect *run;

	if (OidIsValid(function))
		tess_function_check_right(function);
	if (tess_xact_depth == 0)
		tess_ticket_take(query_desc->params);
	/* checks of foreign keys have snapshots of their own */
	if (!InNoForceRLSOperation() || tess_in_foreign_key)
		tess_statement_choose_snapshot(query_desc, eflags);
	run = tess_direct_start(query_desc, eflags);
	if (hooks.next_start)
		hooks.next_start(query_desc, eflags);
	else
		standard_ExecutorStart(query_desc, eflags);
	if (run != NULL)
		tess_direct_started(run);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		tess_guard_check(query_desc);
}

static void
end(QueryDesc *query_desc)
{
	TessDirect *run = tess_direct_find(query_desc);

	if (tess_xact_depth == 0 && query_desc->estate != NULL)
		tess_ticket_note_rows(query_desc->estate->es_processed);
	if (hooks.next_end)
		hooks.next_end(query_desc);
	else
		standard_ExecutorEnd(query_desc);
	if (run != NULL)
		tess_direct_end(run);
	tess_snapshot_sweep(query_desc->snapshot);
	if (tess_xact_depth == 0)
		tess_answer_end();
}

static void
count_run(QueryDesc *query_desc, ScanDirection direction, uint64 count,
		  bool execute_once)
{
	bool was_for_foreign_key = tess_in_foreign_key;
	bool was_cascade = call.is_cascade;
	ErrorContextCallback hints = {error_context_stack, tess_function_error_hint};

	enter_call(true);
	PG_TRY();
	{
		bool pushed = tess_statement_push_snapshot(query_desc);

		tess_pending_check(query_desc);
		if (tess_xact_depth == 1)
			tess_answer_watch(query_desc);
		if (OidIsValid(tess_function_of_plan(query_desc->plannedstmt)))
			error_context_stack = &hints;
		tess_statement_triggers_before(query_desc);
		if (hooks.next_run)
			hooks.next_run(query_desc, direction, count, execute_once);
		else
			standard_ExecutorRun(query_desc, direction, count, execute_once);
		error_context_stack = hints.previous;
		if (pushed)
			PopActiveSnapshot();
	}
	PG_FINALLY();
	{
		leave_call(was_for_foreign_key, was_cascade);
	}
	PG_END_TRY();
	/* a SELECT of the client's ends with its transaction, which is too late */
	if (tess_xact_depth == 0 && ActivePortal != NULL &&
		ActivePortal->queryDesc == query_desc)
		tess_answer_end();
}

/* Triggers run here; what they execute is not the client's own statement. */
static void
count_finish(QueryDesc *query_desc)
{
	bool was_for_foreign_key = tess_in_foreign_key;
	bool was_cascade = call.is_cascade;

	enter_call(false);
	PG_TRY();
	{
		bool pushed = tess_statement_push_snapshot(query_desc);

		tess_statement_triggers_after(query_desc);
		if (hooks.next_finish)
			hooks.next_finish(query_desc);
		else
			standard_ExecutorFinish(query_desc);
		if (pushed)
			PopActiveSnapshot();
	}
	PG_FINALLY();
	{
		leave_call(was_for_foreign_key, was_cascade);
	}
	PG_END_TRY();
}

/* A CALL as that of its shard, which is on this server; false: it goes the ordinary
 * way. */
static bool
run_call_directly(const PlannedStmt *statement, const PlannedStmt *plan,
				  const char *query_string, ParamListInfo params,
				  DestReceiver *dest)
{
	bool was_for_foreign_key = tess_in_foreign_key;
	bool was_cascade = call.is_cascade;
	ErrorContextCallback hints = {error_context_stack, tess_function_error_hint};
	bool is_done = false;

	enter_call(true);
	PG_TRY();
	{
		error_context_stack = &hints;
		is_done = tess_direct_call(statement, plan, query_string, params, dest);
		error_context_stack = hints.previous;
	}
	PG_FINALLY();
	{
		leave_call(was_for_foreign_key, was_cascade);
	}
	PG_END_TRY();
	return is_done;
}

static void
run_call_plan(PlannedStmt *plan, const char *query_string, ParamListInfo params,
			  QueryEnvironment *query_env, DestReceiver *dest)
{
	QueryDesc *query_desc;

	PushActiveSnapshot(GetTransactionSnapshot());
	query_desc = CreateQueryDesc(plan, query_string, GetActiveSnapshot(),
								 InvalidSnapshot, dest, params, query_env, 0);
	ExecutorStart(query_desc, 0);
	ExecutorRun(query_desc, ForwardScanDirection, 0, true);
	ExecutorFinish(query_desc);
	ExecutorEnd(query_desc);
	FreeQueryDesc(query_desc);
	PopActiveSnapshot();
}

/* See exec.h. */
void
tess_exec_run_call(const PlannedStmt *utility, PlannedStmt *plan,
				   const char *query_string, ParamListInfo params,
				   QueryEnvironment *query_env, DestReceiver *dest)
{
	const PlannedStmt *was = call.stands_for;

	if (run_call_directly(utility, plan, query_string, params, dest))
		return;
	call.stands_for = utility;
	PG_TRY();
	{
		run_call_plan(plan, query_string, params, query_env, dest);
	}
	PG_FINALLY();
	{
		call.stands_for = was;
	}
	PG_END_TRY();
}

/* The table of a fragment as it is now; 55000 if it is not ours any more. */
const TessTable *
tess_exec_table(const TessFragment *fragment)
{
	const TessTable *table = tess_meta_table(fragment->anchor);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a table of this statement is not distributed any more"),
				 errhint("Run the statement again.")));
	return table;
}

/*
 * Before shards of this server are read: a snapshot from before they were made
 * would find them empty.  Errors with 40001.
 */
void
tess_exec_check_snapshot(const TessFragment *fragment, Snapshot snapshot)
{
	ListCell *cell;

	foreach(cell, fragment->relations)
	{
		const TessTable *table = tess_meta_table(lfirst_oid(cell));

		if (table == NULL || table->kind != TESS_DISTRIBUTED ||
			TransactionIdIsCurrentTransactionId(table->made_by) ||
			!XidInMVCCSnapshot(table->made_by, snapshot))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("table \"%s\" was distributed after this statement's snapshot was taken",
						table->name),
				 errhint("Run the statement, or the transaction, again.")));
	}
}

void
tess_exec_init(void)
{
	RegisterCustomScanMethods(&tess_scan_methods);
	RegisterCustomScanMethods(&tess_modify_methods);
	RegisterCustomScanMethods(&tess_repeat_methods);
	RegisterCustomScanMethods(&tess_combine_methods);
	RegisterCustomScanMethods(&tess_lock_methods);
	RegisterCustomScanMethods(&tess_candidates_methods);
	tess_remote_plan_init();
	tess_shipped_rows_init();

	hooks.next_start = ExecutorStart_hook;
	ExecutorStart_hook = start;
	hooks.next_run = ExecutorRun_hook;
	ExecutorRun_hook = count_run;
	hooks.next_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = count_finish;
	hooks.next_end = ExecutorEnd_hook;
	ExecutorEnd_hook = end;
}
