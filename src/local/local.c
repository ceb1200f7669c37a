/*
 * local.c - statements that run in process, in the session's transaction.
 *
 * Texts are parsed, analyzed and planned as a node would read them (settings
 * pinned), and executed by core's executor under the caller's rights.  Nothing
 * is left open when a function here returns: rows have gone to the caller's
 * receiver.  Does not choose shards, and does not change the user.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/base.h"
#include "commands/defrem.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "local/local.h"
#include "local/local_internal.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* True between handing a statement to core and our hook's first sight of it. */
static bool passthrough = false;

static List *plan_statement(RawStmt *raw, const char *sql, ParamListInfo params,
							bool read_only);
static uint64 execute_plan(PlannedStmt *plan, const char *sql,
						   ParamListInfo params, bool later_triggers,
						   DestReceiver *dest);
static void run_command(const char *sql);
static void run_statement(PlannedStmt *plan, const char *sql);
static uint64 run_utility(PlannedStmt *plan, const char *sql,
						  ParamListInfo params, DestReceiver *dest);
static uint64 run_pinned_utility(PlannedStmt *plan, const char *sql,
								 DestReceiver *dest);

/* See local.h. */
bool
tess_local_consume_passthrough(void)
{
	bool was_set = passthrough;

	passthrough = false;
	return was_set;
}

/*
 * Runs commands in order.  Each sees what the ones before it did, and what
 * they all did is visible to the next command of the caller.  A command may
 * be several statements.
 */
void
tess_local_run(List *commands)
{
	int guc_level = tess_settings_pin();
	ListCell *cell;

	foreach(cell, commands)
		run_command(lfirst(cell));

	AtEOXact_GUC(true, guc_level);
}

static void
push_snapshot(Snapshot snapshot, bool read_only)
{
	if (read_only)
	{
		PushActiveSnapshot(snapshot);
		return;
	}
	CommandCounterIncrement();
	if (snapshot == NULL)
		PushActiveSnapshot(GetTransactionSnapshot());
	else
	{
		PushCopiedSnapshot(snapshot);
		UpdateActiveSnapshotCommandId();
	}
}

/* The one statement that the text is. */
RawStmt *
tess_local_parse(const char *sql)
{
	List *raw_list = pg_parse_query(sql);

	if (list_length(raw_list) != 1)
		elog(ERROR, "expected one statement, not %d", list_length(raw_list));
	return linitial_node(RawStmt, raw_list);
}

/*
 * Runs one statement; see local.h.  For SELECT, DML and CALL the settings are pinned only
 * while the text is read and planned: what runs in it (functions, triggers, output of
 * values) sees the user's own settings.
 *
 * Memory is given back before it returns.  dest must be prepared for rows in
 * per-query memory: it copies what it keeps.
 */
uint64
tess_local_execute(const char *sql, ParamListInfo params, Snapshot snapshot,
				   bool read_only, bool later_triggers, DestReceiver *dest)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera local statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	uint64 processed = 0;
	CachedPlan *kept;
	List *plans;
	ListCell *cell;

	push_snapshot(snapshot, read_only);
	kept = tess_kept_plan(sql, params, read_only);
	if (kept != NULL)
		plans = kept->stmt_list;
	else
	{
		int guc_level = tess_settings_pin();

		plans = plan_statement(tess_local_parse(sql), sql, params, read_only);
		AtEOXact_GUC(true, guc_level);
	}

	foreach(cell, plans)
	{
		PlannedStmt *plan = lfirst(cell);
		DestReceiver *plan_dest = plan->canSetTag ? dest : NULL;
		uint64 count;

		if (plan->commandType == CMD_UTILITY && IsA(plan->utilityStmt, CallStmt))
			count = run_utility(plan, sql, params, plan_dest);
		else if (plan->commandType == CMD_UTILITY)
			count = run_pinned_utility(plan, sql, plan_dest);
		else
			count = execute_plan(plan, sql, params, later_triggers, plan_dest);
		if (plan->canSetTag)
			processed = count;
	}

	if (kept != NULL)
		ReleaseCachedPlan(kept, CurrentResourceOwner);
	PopActiveSnapshot();
	if (!read_only)
		CommandCounterIncrement();
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	return processed;
}

/* The EXPLAIN that the text is, not analyzed; 22023 for anything else. */
static RawStmt *
parse_explain(const char *sql)
{
	List *raw_list = pg_parse_query(sql);
	RawStmt *raw;
	ListCell *cell;

	if (list_length(raw_list) != 1 ||
		!IsA(linitial_node(RawStmt, raw_list)->stmt, ExplainStmt))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("statement is not an EXPLAIN")));
	raw = linitial_node(RawStmt, raw_list);
	foreach(cell, ((ExplainStmt *) raw->stmt)->options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "analyze") == 0 && defGetBoolean(option))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("EXPLAIN option \"%s\" is not allowed here",
								   "analyze")));
	}
	return raw;
}

/*
 * See local.h.  Everything happens with the settings pinned, as on a node.
 * What the plan is of goes past our planner_hook, since it stands for a
 * shard's.
 */
void
tess_local_explain(const char *sql, int count, const Oid *types,
				   ParamListInfo params, DestReceiver *dest)
{
	int guc_level = tess_settings_pin();
	RawStmt *raw = parse_explain(sql);
	Oid *all_types = palloc(count * sizeof(Oid));
	ParseState *parse = make_parsestate(NULL);
	Query *query;

	if (count > 0)
		memcpy(all_types, types, count * sizeof(Oid));
	query = parse_analyze_varparams(raw, sql, &all_types, &count, NULL);
	parse->p_sourcetext = sql;
	PG_TRY();
	{
		passthrough = true;
		ExplainQuery(parse, castNode(ExplainStmt, query->utilityStmt), params,
					 dest);
	}
	PG_FINALLY();
	{
		passthrough = false;
	}
	PG_END_TRY();
	free_parsestate(parse);
	AtEOXact_GUC(true, guc_level);
}

/*
 * The plans of a parsed statement: one, or what rules made of it.  Planning
 * goes past our planner_hook, once for each of them.
 */
static List *
plan_statement(RawStmt *raw, const char *sql, ParamListInfo params,
			   bool read_only)
{
	int count = params ? params->numParams : 0;
	Oid *types = palloc(count * sizeof(Oid));
	List *plans = NIL;
	List *queries;
	ListCell *cell;

	for (int i = 0; i < count; i++)
		types[i] = params->params[i].ptype;
	queries = pg_analyze_and_rewrite_fixedparams(raw, sql, types, count, NULL);

	foreach(cell, queries)
	{
		Query *query = lfirst_node(Query, cell);

		if (query->commandType == CMD_UTILITY)
		{
			PlannedStmt *plan = makeNode(PlannedStmt);

			plan->commandType = CMD_UTILITY;
			plan->canSetTag = query->canSetTag;
			plan->utilityStmt = query->utilityStmt;
			plan->stmt_location = query->stmt_location;
			plan->stmt_len = query->stmt_len;
			plans = lappend(plans, plan);
			continue;
		}

		PG_TRY();
		{
			passthrough = true;
			plans = lappend(plans,
							pg_plan_query(query, sql,
										  read_only ? CURSOR_OPT_PARALLEL_OK : 0,
										  params));
		}
		PG_FINALLY();
		{
			passthrough = false;
		}
		PG_END_TRY();
	}
	return plans;
}

/* Runs a plan to the end, under the active snapshot; the number of rows it
 * processed. */
static uint64
execute_plan(PlannedStmt *plan, const char *sql, ParamListInfo params,
			 bool later_triggers, DestReceiver *dest)
{
	QueryDesc *query_desc;
	uint64 processed;

	query_desc = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot,
								 dest ? dest : None_Receiver, params, NULL, 0);
	ExecutorStart(query_desc, later_triggers ? EXEC_FLAG_SKIP_TRIGGERS : 0);
	ExecutorRun(query_desc, ForwardScanDirection, 0, true);
	ExecutorFinish(query_desc);
	processed = query_desc->estate->es_processed;
	ExecutorEnd(query_desc);
	FreeQueryDesc(query_desc);
	return processed;
}

static void
run_command(const char *sql)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera local command",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	ListCell *raw_cell;

	foreach(raw_cell, pg_parse_query(sql))
	{
		RawStmt *raw = lfirst_node(RawStmt, raw_cell);
		bool needs_snapshot = analyze_requires_snapshot(raw);
		List *plans;
		ListCell *cell;

		CommandCounterIncrement();
		if (needs_snapshot)
			PushActiveSnapshot(GetTransactionSnapshot());
		plans = plan_statement(raw, sql, NULL, false);
		if (needs_snapshot)
			PopActiveSnapshot();

		foreach(cell, plans)
			run_statement(lfirst_node(PlannedStmt, cell), sql);
	}
	CommandCounterIncrement();
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

static void
run_statement(PlannedStmt *plan, const char *sql)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (plan->commandType == CMD_UTILITY)
		(void) run_utility(plan, sql, NULL, NULL);
	else
		(void) execute_plan(plan, sql, NULL, false, NULL);
	PopActiveSnapshot();
}

/* The number of rows that the command says it has processed. */
static uint64
run_utility(PlannedStmt *plan, const char *sql, ParamListInfo params,
			DestReceiver *dest)
{
	QueryCompletion completion;

	InitializeQueryCompletion(&completion);
	PG_TRY();
	{
		passthrough = true;
		ProcessUtility(plan, sql, true, PROCESS_UTILITY_QUERY, params, NULL,
					   dest ? dest : None_Receiver, &completion);
	}
	PG_FINALLY();
	{
		passthrough = false;
	}
	PG_END_TRY();
	return completion.nprocessed;
}

/* See local.h. */
void
tess_local_call(PlannedStmt *call, const char *sql, ParamListInfo params,
				DestReceiver *dest)
{
	(void) run_utility(call, sql, params, dest);
	CommandCounterIncrement();
}

static uint64
run_pinned_utility(PlannedStmt *plan, const char *sql, DestReceiver *dest)
{
	int guc_level = tess_settings_pin();
	uint64 processed = run_utility(plan, sql, NULL, dest);

	AtEOXact_GUC(true, guc_level);
	return processed;
}
