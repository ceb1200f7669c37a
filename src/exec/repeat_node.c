/*
 * repeat_node.c - TesseraRepeat: core's own plan changes this server's copy of
 * a reference table, and the other copies get the same changes, row by row.
 *
 * The first call for a tuple does all the work: the child is run to the end,
 * what it changes is captured, and RETURNING rows are kept; then the changes go
 * to the nodes; then the rows are given out.  So whatever the child reads from
 * nodes is as it was before the first write there.  Count and trigger events
 * are the child's.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"

typedef struct TesseraRepeatState
{
	CustomScanState css;
	const TessFragment *fragment;
	bool done;
	bool is_running;
	int64 first_reader; /* scans of the child: see order.c */
	int64 last_reader;
	TupleTableSlot *stored_slot;
	Tuplestorestate *store; /* RETURNING rows */
	TessScanFigures figures;
} TesseraRepeatState;

static List *capturing = NIL; /* OIDs of tables: innermost statement first */

static Node *create_state(CustomScan *scan);
static void begin_repeat(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_repeat(CustomScanState *node);
static void end_repeat(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods tess_repeat_methods =
	{.CustomName = TESS_REPEAT_METHODS, .CreateCustomScanState = create_state};

static const CustomExecMethods exec_methods = {.CustomName = TESS_REPEAT_METHODS,
											   .BeginCustomScan = begin_repeat,
											   .ExecCustomScan = exec_repeat,
											   .EndCustomScan = end_repeat,
											   .ReScanCustomScan = rescan,
											   .ExplainCustomScan = explain};

static Node *
create_state(CustomScan *scan)
{
	TesseraRepeatState *state = palloc0(sizeof(TesseraRepeatState));

	state->css.ss.ps.type = T_CustomScanState;
	state->css.methods = &exec_methods;
	state->fragment = linitial(scan->custom_private);
	return (Node *) state;
}

static void
begin_repeat(CustomScanState *node, EState *estate, int eflags)
{
	TesseraRepeatState *state = (TesseraRepeatState *) node;
	PlanState *child;

	state->first_reader = tess_reader_count();
	child = ExecInitNode(outerPlan(node->ss.ps.plan), estate,
						 eflags & ~(EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD |
									EXEC_FLAG_MARK));
	state->last_reader = tess_reader_count();
	if (!IsA(child, ModifyTableState))
		elog(ERROR, "plan of a change does not begin with ModifyTable");
	outerPlanState(node) = child;
	/* a part of WITH: nobody may ask for its rows, but it has to run, and not
	 * its child without it */
	if (!castNode(ModifyTable, child->plan)->canSetTag)
		estate->es_auxmodifytables = lcons(node, estate->es_auxmodifytables);
	if (!(eflags & EXEC_FLAG_EXPLAIN_ONLY) &&
		state->fragment->modify->has_returning)
		state->stored_slot = ExecInitExtraTupleSlot(estate,
													ExecGetResultType(child),
													&TTSOpsMinimalTuple);
}

/* Runs the child to the end; RETURNING rows are kept. */
static void
run_child(TesseraRepeatState *state)
{
	PlanState *child = outerPlanState(state);

	if (state->stored_slot != NULL)
		state->store = tuplestore_begin_heap(false, false, work_mem);
	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(child);

		if (TupIsNull(slot))
			break;
		if (state->store != NULL)
			tuplestore_puttupleslot(state->store, slot);
	}
}

/*
 * A change of the table by a BEFORE trigger of this very statement would be on the
 * nodes before the statement's own.
 */
static void
refuse_nested(const TessTable *table)
{
	if (list_member_oid(capturing, table->relation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a BEFORE trigger of reference table \"%s\" cannot change the table",
						table->name),
				 errhint("Use an AFTER trigger.")));
}

/* Cascades of foreign keys change each copy by itself: what a BEFORE trigger makes
 * of their rows would be in one of them. */
static void
refuse_cascade(const TessTable *table)
{
	if (table->alters_updates || table->alters_deletes)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a foreign key cannot change reference table \"%s\", which has BEFORE triggers",
						table->name),
				 errhint("Use AFTER triggers, or change the rows first.")));
}

static TessCapture *
run_capturing(TesseraRepeatState *state, const TessTable *table)
{
	ModifyTableState *modify = castNode(ModifyTableState, outerPlanState(state));
	TessCapture *capture = tess_capture_begin(modify, state->fragment->modify);
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

	capturing = lcons_oid(table->relation, capturing);
	MemoryContextSwitchTo(old_context);
	PG_TRY();
	{
		bool fires = tess_copy_triggers_begin(&state->css, true);

		run_child(state);
		if (fires)
			tess_copy_triggers_fire(&state->css);
	}
	PG_FINALLY();
	{
		capturing = list_delete_first(capturing);
	}
	PG_END_TRY();
	return capture;
}

static void
run(TesseraRepeatState *state)
{
	EState *estate = state->css.ss.ps.state;
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	ModifyTableState *modify = castNode(ModifyTableState, outerPlanState(state));
	const TessTable *table = tess_exec_table(state->fragment);
	TessCapture *capture;
	bool at_once;

	if (tess_exec_is_cascade())
		refuse_cascade(table);
	else
		refuse_nested(table);
	at_once = tess_rows_need_one_statement(modify->resultRelInfo->ri_TrigDesc);
	capture = run_capturing(state, table);
	tess_order_write(state->fragment, state->first_reader, state->last_reader);
	if (!tess_exec_is_cascade())
		tess_rows_repeat(state->fragment, capture, at_once, &state->figures);
	tess_capture_end(capture);
	MemoryContextSwitchTo(old_context);
}

/* ExecScanAccessMtd: RETURNING rows, after all is done. */
static TupleTableSlot *
next_tuple(ScanState *node)
{
	TesseraRepeatState *state = (TesseraRepeatState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	if (state->is_running)
		tess_order_refuse_circle(state->fragment);
	if (!state->done)
	{
		state->done = state->is_running = true;
		run(state);
		state->is_running = false;
	}
	if (state->store == NULL ||
		!tuplestore_gettupleslot(state->store, true, false, state->stored_slot))
		return ExecClearTuple(slot);
	tess_slot_show(slot, state->stored_slot);
	return slot;
}

/* ExecScanRecheckMtd */
static bool
recheck(ScanState *node, TupleTableSlot *slot)
{
	elog(ERROR, "recheck of rows that were written");
	return false;
}

static TupleTableSlot *
exec_repeat(CustomScanState *node)
{
	return ExecScan(&node->ss, next_tuple, recheck);
}

static void
rescan(CustomScanState *node)
{
	if (((TesseraRepeatState *) node)->done)
		elog(ERROR, "a statement that writes cannot be scanned again");
	ExecScanReScan(&node->ss);
}

static void
end_repeat(CustomScanState *node)
{
	TesseraRepeatState *state = (TesseraRepeatState *) node;

	if (state->store != NULL)
		tuplestore_end(state->store);
	ExecEndNode(outerPlanState(node));
}

static void
explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	TesseraRepeatState *state = (TesseraRepeatState *) node;
	TessExplained what = {state->fragment};

	what.figures = state->figures;
	tess_explain_fragment(node, ancestors, &what, es);
}
