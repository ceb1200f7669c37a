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
 * Keep.  Placement of shards is looked up in every run.
 */
#include "postgres.h"

#include "access/xact.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "route/route.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * What is kept for a rescan.  A rescan with the same arguments may come in any
 * plan in which the scan is not alone at the top, and must not ask the nodes
 * again; but to write a large result to disk just in case would be worse.  So
 * the first work_mem of rows are kept while they pass, and a larger result is
 * fetched a second time by its first rescan, which then keeps everything.
 */
typedef enum Keep
{
	KEEP_NOTHING, /* no rescan can come */
	KEEP_SMALL,	  /* until it does not fit in work_mem */
	KEEP_ALL
} Keep;

typedef struct TesseraScanState
{
	CustomScanState css;
	const TessFragment *fragment;
	Oid role; /* as whom it runs */
	TessArgs *args;
	TessCargo *cargo; /* NULL: nothing is shipped */
	TessEncoder *encoder;
	TessRowMap *rows;
	TupleTableSlot *stored_slot;
	TessReader *reader; /* NULL: it writes */
	Keep keep;
	bool rescan;			  /* arguments may have changed */
	SubTransactionId subxact; /* in which the statement began */

	/* of the current run; all of it in run_context */
	MemoryContext run_context;
	TessReplies *replies;	/* NULL: no run yet, or closed */
	TessMerge *merge;		/* NULL: rows come in any order */
	Bitmapset *asked;		/* the shards */
	TessSnapshot *snapshot; /* NULL: as of now, or the transaction's */
	bool alone;				/* one node's answer, that nobody has seen yet */
	bool running;
	bool keeping; /* the store has every row from the first on */
	Tuplestorestate *store;
	int64 stored_rows;
	int64 read_rows;		   /* of the store */
	const TessScanTask *here;  /* the task that runs in process */
	bool prepares;			   /* PREPARE has left with the tasks */
	uint64 copy_rows;		   /* this server's copy had so many rows changed */
	MemoryContext row_context; /* for rows on their way to the store */
	Datum *row_values;
	bool *row_nulls;

	TessScanFigures figures;
} TesseraScanState;

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
	TesseraScanState *state = palloc0(sizeof(TesseraScanState));

	state->css.ss.ps.type = T_CustomScanState;
	state->css.methods = &exec_methods;
	state->fragment = linitial(scan->custom_private);
	return (Node *) state;
}

/* It may be a SELECT that has changes in WITH. */
static bool
is_writer(const TesseraScanState *state)
{
	return state->fragment->changed != NIL;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	TesseraScanState *state = (TesseraScanState *) node;
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

	/* a fragment that writes stores its rows anyway */
	if ((eflags & EXEC_FLAG_REWIND) || fragment->changed != NIL)
		state->keep = KEEP_ALL;
	else if (tess_exec_is_never_rescanned(&scan->scan.plan, estate))
		state->keep = KEEP_NOTHING;
	else
		state->keep = KEEP_SMALL;
}

/* The store, made when it is first needed. */
static Tuplestorestate *
get_store(TesseraScanState *state)
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
store_values(TesseraScanState *state)
{
	TupleDesc desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;

	tuplestore_putvalues(state->store, desc, state->row_values, state->row_nulls);
	state->stored_rows++;
}

/* TessRowSink: a row that came while nobody was asking for it. */
static void
store_remote_row(void *owner, void *tag, const PGresult *result, int row)
{
	TesseraScanState *state = owner;
	const TessScanTask *task = tag;
	MemoryContext old_context;

	if (task->shard_index < 0)
		return; /* this server's copy has answered for all */

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

/* TessSlotSink: a row of a task in process. */
static void
store_local_row(void *owner, TupleTableSlot *slot)
{
	TesseraScanState *state = owner;
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
	TesseraScanState *state = owner;
	const TessScanTask *task = tag;
	uint64 processed;

	if (!is_writer(state))
		return;
	processed = strtou64(PQcmdTuples(result), NULL, 10);
	if (task->shard_index < 0)
		tess_copy_compare(state->fragment->anchor, task->branch,
						  state->copy_rows, processed);
	else if (state->fragment->sets_count)
		state->css.ss.ps.state->es_processed += processed;
}

/* Runs a task in process; its rows go to the store. */
static uint64
run_here(TesseraScanState *state, const TessScanTask *task)
{
	const TessFragment *fragment = state->fragment;
	EState *estate = state->css.ss.ps.state;
	const TessArgs *args = state->args;
	bool reads = fragment->changed == NIL;
	Snapshot snapshot = reads ? estate->es_snapshot : NULL;
	uint64 processed;

	if (state->snapshot != NULL)
		snapshot = tess_snapshot_here(state->snapshot);
	if (reads)
		tess_exec_check_snapshot(fragment, snapshot);
	else if (fragment->target != TESS_TO_ALL_COPIES &&
			 IsolationUsesXactSnapshot())
		tess_exec_check_snapshot(fragment, GetTransactionSnapshot());
	state->here = task;
	processed = tess_exec_here(tess_statement_sql(fragment, task->shard_count,
												  task->shard_ids),
							   tess_args_param_list(args->count, args->types,
													args->values, args->nulls),
							   snapshot, !reads, state->role,
							   tess_row_receiver_make(state, store_local_row));
	state->here = NULL;
	if (fragment->sets_count)
		estate->es_processed += processed;
	return processed;
}

/* Whether there may be another run than this one. */
static bool
is_asked_again(const TesseraScanState *state)
{
	return !is_writer(state) && state->keep != KEEP_NOTHING;
}

/* What the scan does to rows of nodes. */
static TessAccess
access_of(const TesseraScanState *state)
{
	if (is_writer(state))
		return TESS_WRITE;
	if (state->fragment->locks_rows)
		return TESS_LOCK;
	return state->snapshot != NULL && is_asked_again(state) ? TESS_READ_MORE
															: TESS_READ;
}

/*
 * Queues the remote ones of the tasks and sends them, all in one go, under the
 * snapshot of the statement.  If there is none yet, it is taken on the way.
 * If they are the last act of the transaction, all of it is prepared with them.
 */
static void
send_tasks(TesseraScanState *state, TessScanTask *tasks, int count,
		   bool is_last_act)
{
	const TessFragment *fragment = state->fragment;
	bool writes = fragment->changed != NIL;
	bool is_encoded = false;
	/* not many texts, nor arrays of rows, for which no plan is always right */
	bool comes_again = count == 1 && tasks[0].shard_count <= 1 &&
					   fragment->shipped == NIL;
	TessParams params;

	state->snapshot = tess_tasks_snapshot(tasks, count,
										  state->css.ss.ps.state->es_snapshot,
										  is_asked_again(state), &state->alone);
	tess_replies_open(state->replies, state->snapshot, state->role,
					  access_of(state));
	for (int i = 0; i < count; i++)
	{
		if (tasks[i].branch->is_local)
			continue;
		if (tess_task_set_shipped(&tasks[i], state->fragment, state->cargo,
								  state->args) ||
			!is_encoded)
			tess_encoder_encode(state->encoder, state->args->values,
								state->args->nulls, &params);
		is_encoded = true;

		/* row by row, because libpq would else hold a whole result */
		tess_replies_queue(state->replies, tasks[i].branch,
						   tess_statement_sql(fragment, tasks[i].shard_count,
											  tasks[i].shard_ids),
						   &params, tess_row_map_is_binary(state->rows),
						   !writes || fragment->column_types != NIL, comes_again,
						   tasks[i].input ? (void *) tasks[i].input
										  : (void *) &tasks[i]);
	}
	state->prepares = is_last_act && tess_xact_prepare_early();
	tess_replies_flush(state->replies);
	if (state->snapshot != NULL)
		tess_snapshot_finish(state->snapshot);
}

/* The tasks of the shards, those of them that run here at last. */
static void
run_tasks(TesseraScanState *state, TessScanTask *tasks, int count)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera statements",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	bool is_last_act = tess_tasks_are_last_act(tasks, count, state->fragment,
											   &state->css.ss.ps);

	if (is_last_act && count == 1 && tess_task_may_run_alone(state->fragment))
		state->css.ss.ps.state
			->es_processed += tess_task_run_alone(&tasks[0], state->fragment,
												  state->encoder, state->args,
												  state->role);
	else if (count > 0)
		send_tasks(state, tasks, count, is_last_act);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	for (int i = 0; i < count; i++)
	{
		if (!tasks[i].branch->is_local)
			continue;
		(void) tess_task_set_shipped(&tasks[i], state->fragment, state->cargo,
									 state->args);
		(void) run_here(state, &tasks[i]);
	}
}

static void
run_on_shards(TesseraScanState *state, const TessGroup *group)
{
	TessScanTask *tasks;
	int count;

	if (state->fragment->target == TESS_TO_ONE_SHARD)
	{
		count = bms_num_members(state->args->shards);
		if (count > 1)
			elog(ERROR, "statement for one shard would run in %d", count);
		/* No row can match anywhere, but count(*) has a row: any shard could
		 * be asked.  Rows that are inserted with this key have one, though. */
		if (count == 0)
			state->args->shards = bms_make_singleton(
				tess_route_value(group, (Datum) 0, true, InvalidOid));
	}

	tasks = tess_tasks_make(state->fragment, state->args, group, state->replies,
							state->merge, &count);
	if (state->cargo != NULL)
		count = tess_tasks_load(tasks, count, state->cargo, state->args,
								state->fragment, state->role);
	run_tasks(state, tasks, count);
	if (state->cargo != NULL)
		tess_cargo_unload(state->cargo);
	state->asked = tess_tasks_shards(tasks, count, state->fragment, state->args);
}

/*
 * A write to a reference table.  This server's copy comes first: it gives the
 * rows and the count, and its row locks let one writer at a time go on to the
 * other copies.
 */
static void
run_on_copies(TesseraScanState *state)
{
	List *nodes = tess_exec_is_cascade() ? NIL : tess_meta_remote_nodes();
	int count = list_length(nodes);
	TessScanTask *tasks = palloc0((count + 1) * sizeof(TessScanTask));

	state->snapshot = tess_snapshot_find(state->css.ss.ps.state->es_snapshot);
	state->copy_rows = run_here(state, &tasks[count]);
	for (int i = 0; i < count; i++)
	{
		const TessNode *node = list_nth(nodes, i);

		tasks[i].shard_index = -1;
		tasks[i].branch = tess_replies_branch(state->replies, node->node_id);
	}
	if (count > 0)
		send_tasks(state, tasks, count, false);
}

/* What has been received counts for EXPLAIN, also over several runs. */
static void
close_replies(TesseraScanState *state)
{
	if (state->replies == NULL)
		return;
	tess_replies_add_figures(state->replies, &state->figures);
	tess_replies_close(state->replies);
	state->replies = NULL;
}

static void
end_run(TesseraScanState *state)
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
open_run(TesseraScanState *state)
{
	TupleDesc desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;

	if (state->fragment->sort_columns != NIL)
	{
		state->merge = tess_merge_make(state->fragment, state->args, desc,
									   state->rows);
		state->replies = tess_merge_replies(state->merge);
	}
	else
		state->replies = tess_replies_make(state, store_remote_row,
										   count_processed);
}

static void
start_run(TesseraScanState *state, const TessTable *table)
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
	state->keeping = state->keep != KEEP_NOTHING;
	state->figures.executed = true;
	if (state->cargo != NULL)
		tess_cargo_restart(state->cargo);
	open_run(state);
	if (state->fragment->target == TESS_TO_ALL_COPIES)
		run_on_copies(state);
	else if (!is_writer(state) || !tess_exec_is_cascade())
		run_on_shards(state, table->group);

	/* A stream would not outlive the rollback of a subtransaction that is not
	 * the statement's own. */
	if (is_writer(state) || state->subxact != GetCurrentSubTransactionId())
		tess_replies_collect(state->replies, NULL, 0);
	if (state->prepares)
		tess_xact_prepared();
	state->running = true; /* not before: somebody may catch an error */
	MemoryContextSwitchTo(old_context);
}

/* A run for the next tuple: the one there is, from its start, or a new one. */
static void
prepare_run(TesseraScanState *state)
{
	const TessTable *table = tess_exec_table(state->fragment);
	bool changed = true;

	if (!state->running || !is_writer(state))
		changed = tess_args_eval(state->args, state->css.ss.ps.ps_ExprContext,
								 table->group) ||
				  (state->cargo != NULL && tess_cargo_has_changed(state->cargo));
	state->rescan = false;

	if (state->running && (is_writer(state) || (state->keeping && !changed)))
	{
		if (state->store != NULL)
			tuplestore_rescan(state->store);
		state->read_rows = 0;
		return;
	}

	if (state->running && !changed)
		state->keep = KEEP_ALL;
	else if (state->running && state->keep == KEEP_NOTHING)
		state->keep = KEEP_SMALL;
	start_run(state, table);
}

/* TessReaderStart: somebody is about to write to what this scan will read. */
static void
start_early(void *arg)
{
	TesseraScanState *state = arg;
	MemoryContext old_context;

	if (state->running || !tess_args_are_known(state->args) ||
		(state->cargo != NULL && !tess_cargo_is_known(state->cargo)))
		return;
	old_context = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
	if (state->keep == KEEP_SMALL)
		state->keep = KEEP_ALL;
	prepare_run(state);
	MemoryContextSwitchTo(old_context);
}

static TupleTableSlot *
next_stored(TesseraScanState *state, TupleTableSlot *slot)
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
keep_row(TesseraScanState *state, TupleTableSlot *slot)
{
	tuplestore_puttupleslot(get_store(state), slot);
	tuplestore_advance(state->store, true);
	state->stored_rows++;
	state->read_rows++;
	if (state->keep == KEEP_SMALL && !tuplestore_in_memory(state->store))
	{
		tuplestore_end(state->store);
		state->store = NULL;
		state->stored_rows = state->read_rows = 0;
		state->keeping = false;
	}
}

/* The next row that a node, or the merge, has; false at the end. */
static bool
next_arriving(TesseraScanState *state, TupleTableSlot *slot)
{
	MemoryContext old_context;
	PGresult *result;
	void *tag;
	int row;
	bool arrived;

	if (state->merge != NULL)
		return tess_merge_next(state->merge, slot);
	arrived = tess_replies_next(state->replies, &result, &row, &tag);
	if (state->alone && !is_writer(state))
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

/* ExecScanAccessMtd */
static TupleTableSlot *
next_tuple(ScanState *node)
{
	TesseraScanState *state = (TesseraScanState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

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
	((TesseraScanState *) node)->rescan = true;
	/* the child is rescanned when it is asked again, if ever */
	if (node->custom_ps != NIL && node->ss.ps.chgParam != NULL)
		UpdateChangedParamSet(linitial(node->custom_ps), node->ss.ps.chgParam);
	ExecScanReScan(&node->ss);
}

static void
end_scan(CustomScanState *node)
{
	TesseraScanState *state = (TesseraScanState *) node;

	end_run(state);
	if (state->reader != NULL)
		tess_reader_end(state->reader);
	if (node->custom_ps != NIL)
		ExecEndNode(linitial(node->custom_ps));
}

static void
explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	TesseraScanState *state = (TesseraScanState *) node;
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
