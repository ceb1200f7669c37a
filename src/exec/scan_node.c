/*
 * scan_node.c - TesseraScan: a fragment runs in its shards, and its rows are
 * tuples.
 *
 * One execution of the fragment is a run: arguments are evaluated, shards
 * chosen, tasks sent to all nodes at once, those of this server executed, and
 * rows taken from whichever node has some.  A fragment that writes is run to the
 * end before its first row is given out, and never twice.
 *
 * Rows may be kept in a tuplestore: those that came while nobody asked (drained
 * sessions, tasks in process), and those that a rescan may want again; see
 * TessKeep.  Placement of shards is looked up in every run.
 */
#include "postgres.h"

#include "access/xact.h"
#include "exec/scan_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain(CustomScanState *node, List *ancestors, ExplainState *es);
static void start_early(void *arg);

const CustomScanMethods tess_scan_methods = {.CustomName = TESS_SCAN_METHODS,
											 .CreateCustomScanState = create_state};

static const CustomExecMethods exec_methods = {.CustomName = TESS_SCAN_METHODS,
											   .BeginCustomScan = begin_scan,
											   .ExecCustomScan = exec_scan,
											   .EndCustomScan = end_scan,
											   .ReScanCustomScan = rescan,
											   .ExplainCustomScan = explain};

static Node *
create_state(CustomScan *scan)
{
	TessScanState *state = palloc0(sizeof(TessScanState));

	state->css.ss.ps.type = T_CustomScanState;
	state->css.methods = &exec_methods;
	state->fragment = linitial(scan->custom_private);
	return (Node *) state;
}

static TessKeep
what_to_keep(const TessScanState *state, int eflags)
{
	const PlanState *ps = &state->css.ss.ps;

	if (state->passed != NULL)
		return TESS_KEEP_NOTHING;
	/* a fragment that writes stores its rows anyway */
	if ((eflags & EXEC_FLAG_REWIND) || tess_scan_writes(state))
		return TESS_KEEP_ALL;
	if (tess_exec_is_never_rescanned(ps->plan, ps->state))
		return TESS_KEEP_NOTHING;
	/* these could not be asked for again */
	return state->fragment->reads_changed ? TESS_KEEP_ALL : TESS_KEEP_SMALL;
}

/*
 * Whoever alters or truncates a table while a cursor reads it is told so: for
 * that the shells have to be in use, and a fragment over several tables, or of
 * a whole statement, is not the scan of one.
 */
static void
keep_shells_open(EState *estate)
{
	Index rti = 1;
	ListCell *cell;

	foreach(cell, estate->es_range_table)
	{
		const RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_RELATION)
			(void) ExecGetRangeTableRelation(estate, rti);
		rti++;
	}
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	TessScanState *state = (TessScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	const TessFragment *fragment = state->fragment;
	TupleDesc desc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	Oid table = fragment->anchor;

	/* Rights were checked for who opens a cursor, not for who fetches. */
	state->role = OidIsValid(fragment->role) ? fragment->role : GetUserId();

	/* for EXPLAIN too, which shows the shards where it can */
	state->args = tess_args_init(fragment, scan->custom_exprs, &node->ss.ps);
	if (scan->custom_plans != NIL)
		node->custom_ps = list_make1(
			ExecInitNode(linitial(scan->custom_plans), estate,
						 eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK |
									EXEC_FLAG_REWIND)));
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	keep_shells_open(estate);
	if (node->ss.ss_currentRelation != NULL)
		table = RelationGetRelid(node->ss.ss_currentRelation);
	if (scan->custom_plans != NIL)
		state->cargo = tess_cargo_make(fragment, linitial(node->custom_ps));
	state->encoder = tess_encoder_make(state->args->count, state->args->types);
	state->rows = tess_row_map_make(fragment, desc, table);
	state->subxact = GetCurrentSubTransactionId();
	state->run_context = AllocSetContextCreate(estate->es_query_cxt,
											   "tessera run",
											   ALLOCSET_DEFAULT_SIZES);
	if (fragment->changed == NIL)
		state->reader = tess_reader_begin(fragment, estate->es_snapshot,
										  start_early, state);

	if (eflags & EXEC_FLAG_BACKWARD)
		state->passed = tess_passed_make(node);
	state->keep = what_to_keep(state, eflags);
}

/* The store, made when it is first needed. */
static Tuplestorestate *
get_store(TessScanState *state)
{
	if (state->store == NULL)
	{
		EState *estate = state->css.ss.ps.state;
		TupleDesc desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
		MemoryContext old_context = MemoryContextSwitchTo(state->run_context);

		state->store = tuplestore_begin_heap(false, false, work_mem);
		state->row_values = palloc(desc->natts * sizeof(Datum));
		state->row_nulls = palloc(desc->natts * sizeof(bool));
		if (state->stored_slot == NULL)
		{
			MemoryContextSwitchTo(estate->es_query_cxt);
			state->stored_slot = ExecInitExtraTupleSlot(estate, desc,
														&TTSOpsMinimalTuple);
		}
		MemoryContextSwitchTo(old_context);
	}
	return state->store;
}

static void
store_values(TessScanState *state)
{
	TupleDesc desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;

	tuplestore_putvalues(state->store, desc, state->row_values, state->row_nulls);
	state->stored_rows++;
}

/* A message for who takes all rows of nodes. */
static void
take_divided(TessScanState *state, const TessScanTask *task,
			 const PGresult *result, int row, bool is_awaited)
{
	const char *message = PQgetvalue(result, row, 0);
	int length = PQgetlength(result, row, 0);

	if (tess_divided_says_more(message, length))
		tess_portions_note_more(state->portions, task);
	else
		tess_division_take(state->division, message, length, is_awaited);
}

/* See scan_internal.h. */
void
tess_scan_store_remote_row(void *owner, void *tag, const PGresult *result,
						   int row)
{
	TessScanState *state = owner;
	const TessScanTask *task = tag;
	MemoryContext old_context;

	if (task->shard_index < 0)
		return; /* this server's copy has answered for all */

	if (task->is_divided)
	{
		take_divided(state, task, result, row, false);
		return;
	}
	(void) get_store(state);
	MemoryContextReset(state->row_context);
	old_context = MemoryContextSwitchTo(state->row_context);
	tess_replies_decoding(state->replies, true);
	tess_row_map_remote(state->rows, result, row, task->shard_index,
						state->row_values, state->row_nulls);
	tess_replies_decoding(state->replies, false);
	store_values(state);
	MemoryContextSwitchTo(old_context);
}

/* See scan_internal.h. */
void
tess_scan_store_local_row(void *owner, TupleTableSlot *slot)
{
	TessScanState *state = owner;
	MemoryContext old_context;

	if (state->here->input != NULL)
	{
		tess_merge_put_local(state->here->input, slot);
		return;
	}
	(void) get_store(state);
	MemoryContextReset(state->row_context);
	old_context = MemoryContextSwitchTo(state->row_context);
	tess_row_map_local(state->rows, slot, state->here->shard_index,
					   state->row_values, state->row_nulls);
	store_values(state);
	MemoryContextSwitchTo(old_context);
}

/* TessDoneSink: a statement of a node ended. */
static void
count_processed(void *owner, void *tag, PGresult *result)
{
	TessScanState *state = owner;
	const TessScanTask *task = tag;
	uint64 processed;

	if (state->portions != NULL)
		tess_portions_note(state->portions, task, result);
	if (!tess_scan_writes(state))
		return;
	processed = strtou64(PQcmdTuples(result), NULL, 10);
	if (task->shard_index < 0)
		tess_copy_compare(state->fragment->anchor, task->branch,
						  state->copy_rows, processed);
	else if (state->fragment->sets_count)
		state->css.ss.ps.state->es_processed += processed;
}

/* What has been received counts for EXPLAIN, also over several runs. */
static void
close_replies(TessScanState *state)
{
	if (state->replies == NULL)
		return;
	if (state->portions != NULL)
		tess_portions_close(state->portions, state->replies, state->role);
	state->portions = NULL;
	tess_replies_add_figures(state->replies, &state->figures);
	tess_replies_close(state->replies);
	state->replies = NULL;
}

static void
end_run(TessScanState *state)
{
	close_replies(state);
	if (state->merge != NULL)
		tess_merge_close(state->merge);
	state->merge = NULL;
	if (state->store != NULL)
		tuplestore_end(state->store);
	state->store = NULL;
	state->stored_rows = state->read_rows = 0;
	state->running = false;
}

/* Where the rows of the run come from. */
static void
open_run(TessScanState *state)
{
	TupleDesc desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;

	if (state->fragment->sort_columns != NIL)
	{
		state->merge = tess_merge_make(state->fragment, state->args, desc,
									   state->rows);
		state->replies = tess_merge_replies(state->merge);
	}
	else
		state->replies = tess_replies_make(state, tess_scan_store_remote_row,
										   count_processed);
}

static void
start_run(TessScanState *state, const TessTable *table)
{
	MemoryContext old_context;

	end_run(state);
	if (state->reader == NULL)
		tess_order_write(state->fragment, 0, 0);
	else
		tess_reader_check(state->reader);
	MemoryContextReset(state->run_context);
	old_context = MemoryContextSwitchTo(state->run_context);
	state->row_context = AllocSetContextCreate(state->run_context, "tessera row",
											   ALLOCSET_DEFAULT_SIZES);
	state->keeping = state->keep != TESS_KEEP_NOTHING;
	state->figures.executed = true;
	if (state->cargo != NULL)
		tess_cargo_restart(state->cargo);
	open_run(state);
	tess_scan_run(state, table->group);

	/* A stream would not outlive the rollback of a subtransaction that is not
	 * the statement's own. */
	if (tess_scan_writes(state) || state->subxact != GetCurrentSubTransactionId())
		tess_replies_collect(state->replies, NULL, 0);
	if (state->prepares)
		tess_xact_prepared();
	state->running = true; /* not before: somebody may catch an error */
	MemoryContextSwitchTo(old_context);
}

/* See scan_internal.h. */
int64
tess_scan_limit(PlanState *scan, int64 limit)
{
	TessScanState *state = (TessScanState *) scan;
	int number = state->fragment->limit_param - 1;

	if (state->running && !state->rescan)
		return state->args->nulls[number]
				   ? -1
				   : DatumGetInt64(state->args->values[number]);
	state->has_limit = true;
	state->limit = limit;
	return limit;
}

/* The limit that the scan was given becomes an argument. */
static void
set_limit(TessScanState *state)
{
	int number = state->fragment->limit_param - 1;

	state->args->nulls[number] = state->limit < 0;
	state->args->values[number] = Int64GetDatum(state->limit);
}

/* A run for the next tuple: the one there is, from its start, or a new one. */
static void
prepare_run(TessScanState *state)
{
	const TessTable *table = tess_exec_table(state->fragment);
	bool changed = true;

	if (!state->running || !tess_scan_writes(state))
		changed = tess_args_eval(state->args, state->css.ss.ps.ps_ExprContext,
								 table->group) ||
				  (state->cargo != NULL && tess_cargo_has_changed(state->cargo));
	if (state->has_limit)
	{
		set_limit(state);
		changed = true;
	}
	state->rescan = false;

	if (state->running &&
		(tess_scan_writes(state) || (state->keeping && !changed)))
	{
		if (state->store != NULL)
			tuplestore_rescan(state->store);
		state->read_rows = 0;
		return;
	}

	if (state->running && !changed)
		state->keep = TESS_KEEP_ALL;
	else if (state->running && state->keep == TESS_KEEP_NOTHING)
		state->keep = TESS_KEEP_SMALL;
	start_run(state, table);
}

/* TessReaderStart: somebody is about to write to what this scan will read. */
static void
start_early(void *arg)
{
	TessScanState *state = arg;
	MemoryContext old_context;

	if (state->running || !tess_args_are_known(state->args) ||
		(state->cargo != NULL && !tess_cargo_is_known(state->cargo)))
		return;
	old_context = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
	if (state->keep == TESS_KEEP_SMALL)
		state->keep = TESS_KEEP_ALL;
	prepare_run(state);
	MemoryContextSwitchTo(old_context);
}

/* See scan_internal.h. */
bool
tess_scan_start(PlanState *scan)
{
	TessScanState *state = (TessScanState *) scan;

	start_early(state);
	return state->running;
}

static TupleTableSlot *
next_stored(TessScanState *state, TupleTableSlot *slot)
{
	/* a copy, because a session drained meanwhile may move the store to disk */
	if (!tuplestore_gettupleslot(state->store, true, true, state->stored_slot))
		elog(ERROR, "tuplestore ended early");
	state->read_rows++;
	tess_slot_show(slot, state->stored_slot);
	return slot;
}

/* Puts a row that is about to be given out where a rescan can find it. */
static void
keep_row(TessScanState *state, TupleTableSlot *slot)
{
	tuplestore_puttupleslot(get_store(state), slot);
	tuplestore_advance(state->store, true);
	state->stored_rows++;
	state->read_rows++;
	if (state->keep == TESS_KEEP_SMALL && !tuplestore_in_memory(state->store))
	{
		tuplestore_end(state->store);
		state->store = NULL;
		state->stored_rows = state->read_rows = 0;
		state->keeping = false;
	}
}

/* Asks for more rows, where they come in portions; false if there are none. */
static bool
ask_for_more(TessScanState *state)
{
	if (state->portions == NULL)
		return false;
	tess_replies_open(state->replies, NULL, state->role, TESS_READ_MORE);
	if (!tess_portions_queue(state->portions, state->replies,
							 tess_row_map_is_binary(state->rows)))
		return false;
	tess_replies_flush(state->replies);
	return true;
}

/* The next row of a node; false at the end. */
static bool
next_reply(TessScanState *state, PGresult **result, int *row, void **tag)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (state->division != NULL)
			tess_division_put_kept(state->division);
		if (tess_replies_next(state->replies, result, row, tag))
			return true;
		if (!ask_for_more(state))
			return false;
	}
}

/* The next row that a node, or the merge, has; false at the end. */
static bool
next_arriving(TessScanState *state, TupleTableSlot *slot)
{
	MemoryContext old_context;
	PGresult *result;
	void *tag;
	int row;
	bool arrived;

	if (state->merge != NULL)
		return tess_merge_next(state->merge, slot);
	while ((arrived = next_reply(state, &result, &row, &tag)) &&
		   ((const TessScanTask *) tag)->is_divided)
		take_divided(state, tag, result, row, true);
	if (state->alone && !tess_scan_writes(state))
		tess_barrier_wait_windows();
	state->alone = false;
	if (!arrived)
		return false;

	old_context = MemoryContextSwitchTo(
		state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	tess_replies_decoding(state->replies, true);
	tess_row_map_remote(state->rows, result, row,
						((const TessScanTask *) tag)->shard_index,
						slot->tts_values, slot->tts_isnull);
	tess_replies_decoding(state->replies, false);
	MemoryContextSwitchTo(old_context);
	ExecStoreVirtualTuple(slot);
	return true;
}

static TupleTableSlot *
next_of_run(TessScanState *state)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

	if (!state->running || state->rescan)
		prepare_run(state);
	if (state->read_rows < state->stored_rows)
		return next_stored(state, slot);

	ExecClearTuple(slot);
	if (state->stored_rows > 0 && !state->keeping)
	{
		tuplestore_clear(state->store);
		state->stored_rows = state->read_rows = 0;
	}
	if (state->replies == NULL)
		return slot;
	if (!next_arriving(state, slot))
	{
		close_replies(state);
		return ExecClearTuple(slot);
	}
	if (state->keeping)
		keep_row(state, slot);
	return slot;
}

/* ExecScanAccessMtd */
static TupleTableSlot *
next_tuple(ScanState *node)
{
	TessScanState *state = (TessScanState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	if (state->passed == NULL)
		return next_of_run(state);
	if (ScanDirectionIsBackward(node->ps.state->es_direction))
		(void) tess_passed_previous(state->passed, slot);
	else if (!tess_passed_next(state->passed, slot))
		tess_passed_add(state->passed, next_of_run(state));
	return slot;
}

/* ExecScanRecheckMtd: tess_epq_next has answered for all that could come. */
static bool
recheck(ScanState *node, TupleTableSlot *slot)
{
	elog(ERROR, "recheck of a scan of nodes");
	return false;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	if (tess_epq_applies(node))
		return tess_epq_next(node);
	return ExecScan(&node->ss, next_tuple, recheck);
}

static void
rescan(CustomScanState *node)
{
	TessScanState *state = (TessScanState *) node;

	if (state->passed != NULL)
		tess_passed_rewind(state->passed);
	else
		state->rescan = true;
	/* the child is rescanned when it is asked again, if ever */
	if (node->custom_ps != NIL && node->ss.ps.chgParam != NULL)
		UpdateChangedParamSet(linitial(node->custom_ps), node->ss.ps.chgParam);
	ExecScanReScan(&node->ss);
}

static void
end_scan(CustomScanState *node)
{
	TessScanState *state = (TessScanState *) node;

	end_run(state);
	if (state->passed != NULL)
		tess_passed_end(state->passed);
	if (state->reader != NULL)
		tess_reader_end(state->reader);
	if (node->custom_ps != NIL)
		ExecEndNode(linitial(node->custom_ps));
}

static void
explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	TessScanState *state = (TessScanState *) node;
	TessExplained what = {state->fragment, state->args, state->role};

	/* what nobody will fetch any more would have to be read for a plan */
	if (es->analyze)
		close_replies(state);
	if (state->figures.executed)
		what.shards = state->asked;
	what.figures = state->figures;
	tess_explain_fragment(node, ancestors, &what, es);
	if (state->fragment->shipped != NIL)
		tess_explain_cargo(state->fragment,
						   state->cargo ? tess_cargo_figures(state->cargo) : NULL,
						   es);
}
