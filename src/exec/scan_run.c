/*
 * scan_run.c - a run of TesseraScan: which tasks there are, what is sent where,
 * and what is executed here.
 *
 * The tasks of all nodes leave together, under one snapshot, before the first one
 * of this server is executed.  Rows that come meanwhile are scan_node.c's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "exec/scan_internal.h"
#include "route/route.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* See scan_internal.h. */
bool
tess_scan_writes(const TessScanState *state)
{
	return state->fragment->changed != NIL;
}

/* Runs a task in process; its rows go to the store. */
static uint64
run_here(TessScanState *state, const TessScanTask *task)
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
							   tess_row_receiver_make(state,
													  tess_scan_store_local_row));
	state->here = NULL;
	if (fragment->sets_count)
		estate->es_processed += processed;
	return processed;
}

/* Whether there may be another run than this one. */
static bool
is_asked_again(const TessScanState *state)
{
	return !tess_scan_writes(state) && state->keep != TESS_KEEP_NOTHING;
}

/* What the scan does to rows of nodes. */
static TessAccess
access_of(const TessScanState *state)
{
	if (tess_scan_writes(state))
		return TESS_WRITE;
	if (state->fragment->locks_rows)
		return TESS_LOCK;
	return state->in_portions ||
				   (state->snapshot != NULL && is_asked_again(state))
			   ? TESS_READ_MORE
			   : TESS_READ;
}

/* Queues a task; rows come one by one, because libpq would else hold a whole
 * result. */
static void
queue_task(TessScanState *state, TessScanTask *task, const TessParams *params,
		   bool comes_again)
{
	const TessFragment *fragment = state->fragment;
	char *sql = tess_statement_sql(fragment, task->shard_count, task->shard_ids);

	if (state->portions != NULL)
		tess_portions_declare(state->portions, state->replies, task, sql, params);
	else
		tess_replies_queue(state->replies, task->branch, sql, params,
						   tess_row_map_is_binary(state->rows),
						   fragment->changed == NIL ||
							   fragment->column_types != NIL,
						   comes_again,
						   task->input ? (void *) task->input : (void *) task);
}

/* The same for a call of a function, whose body writes values as this session
 * does. */
static void
queue_styled_call(TessScanState *state, TessScanTask *task,
				  const TessParams *params, const char *style)
{
	tess_replies_queue_silent(state->replies, task->branch, style);
	/* alone it would be sent again, if need be, in the node's style */
	queue_task(state, task, params, false);
	tess_replies_queue_silent(state->replies, task->branch, tess_style_leave());
}

/* What is to be asked for in portions. */
static void
open_portions(TessScanState *state)
{
	MemoryContext old_context = MemoryContextSwitchTo(state->run_context);

	state->portions = tess_portions_make(state->css.ss.ps.plan->plan_width);
	MemoryContextSwitchTo(old_context);
}

/*
 * Queues the remote ones of the tasks and sends them, all in one go, under the
 * snapshot of the statement.  If there is none yet, it is taken on the way.
 * If they are the last act of the transaction, all of it is prepared with them.
 */
static void
send_tasks(TessScanState *state, TessScanTask *tasks, int count, bool is_last_act)
{
	const TessFragment *fragment = state->fragment;
	bool is_encoded = false;
	/* not many texts, nor arrays of rows, for which no plan is always right */
	bool comes_again = count == 1 && tasks[0].shard_count <= 1 &&
					   fragment->shipped == NIL;
	const char *style = OidIsValid(fragment->function) ? tess_style_enter()
													   : NULL;
	TessParams params;

	state->snapshot = tess_tasks_snapshot(tasks, count,
										  state->css.ss.ps.state->es_snapshot,
										  is_asked_again(state), &state->alone);
	tess_replies_open(state->replies, state->snapshot, state->role,
					  access_of(state));
	if (state->in_portions)
		open_portions(state);
	for (int i = 0; i < count; i++)
	{
		if (tasks[i].branch->is_local)
			continue;
		if (tess_task_set_arguments(&tasks[i], state->fragment, state->cargo,
									state->args) ||
			!is_encoded)
			tess_encoder_encode(state->encoder, state->args->values,
								state->args->nulls, &params);
		is_encoded = true;

		if (style != NULL)
			queue_styled_call(state, &tasks[i], &params, style);
		else
			queue_task(state, &tasks[i], &params, comes_again);
	}
	if (state->portions != NULL)
		(void) tess_portions_queue(state->portions, state->replies,
								   tess_row_map_is_binary(state->rows));
	state->prepares = is_last_act && tess_xact_prepare_early();
	tess_replies_flush(state->replies);
	if (state->snapshot != NULL)
		tess_snapshot_finish(state->snapshot);
}

/*
 * True if the only task, the last act of the transaction, may commit by itself:
 * no rows that it returns could fail here when the node has committed.
 */
static bool
may_run_alone(const TessScanState *state)
{
	return (state->fragment->column_types == NIL ||
			tess_rows_are_sure(state->fragment, &state->css)) &&
		   (!OidIsValid(state->fragment->function) ||
			tess_style_enter() == NULL) &&
		   tess_xact_may_run_alone();
}

/* Rows of it. */
typedef struct AloneRows
{
	TessScanState *state;
	TessScanTask *task;
} AloneRows;

/* TessTakeAnswer */
static void
store_alone_rows(void *arg, const PGresult *result)
{
	const AloneRows *rows = arg;

	for (int row = 0; row < PQntuples(result); row++)
		tess_scan_store_remote_row(rows->state, rows->task, result, row);
}

/* Runs it, and commits. */
static void
run_alone(TessScanState *state, TessScanTask *task)
{
	const TessArgs *args = state->args;
	AloneRows rows = {state, task};
	TessParams params;
	TessAloneWrite write = {.node_id = task->branch->node_id,
							.role = state->role,
							.params = &params,
							.comes_again = true};
	uint64 processed;

	write.sql = tess_statement_sql(state->fragment, task->shard_count,
								   task->shard_ids);
	tess_encoder_encode(state->encoder, args->values, args->nulls, &params);
	if (state->fragment->column_types != NIL)
	{
		write.take_rows = store_alone_rows;
		write.arg = &rows;
		write.binary_rows = tess_row_map_is_binary(state->rows);
	}
	processed = tess_xact_run_alone(&write);
	if (state->fragment->sets_count)
		state->css.ss.ps.state->es_processed += processed;
}

/* The tasks of the shards, those of them that run here at last. */
static void
run_tasks(TessScanState *state, TessScanTask *tasks, int count)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera statements",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	bool is_last_act = tess_tasks_are_last_act(tasks, count, state->fragment,
											   &state->css.ss.ps);

	if (is_last_act && count == 1 && may_run_alone(state))
		run_alone(state, &tasks[0]);
	else if (count > 0)
		send_tasks(state, tasks, count, is_last_act);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	for (int i = 0; i < count; i++)
	{
		if (!tasks[i].branch->is_local)
			continue;
		(void) tess_task_set_arguments(&tasks[i], state->fragment, state->cargo,
									   state->args);
		(void) run_here(state, &tasks[i]);
	}
}

static void
run_on_shards(TessScanState *state, const TessGroup *group)
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
run_on_copies(TessScanState *state)
{
	List *nodes = tess_exec_is_cascade() ? NIL : tess_meta_remote_nodes();
	int count = list_length(nodes);
	TessScanTask *tasks = palloc0((count + 1) * sizeof(TessScanTask));
	bool fires = tess_copy_triggers_begin(&state->css, false);

	state->snapshot = tess_snapshot_find(state->css.ss.ps.state->es_snapshot);
	state->copy_rows = run_here(state, &tasks[count]);
	if (fires)
		tess_copy_triggers_fire(&state->css);
	for (int i = 0; i < count; i++)
	{
		const TessNode *node = list_nth(nodes, i);

		tasks[i].shard_index = -1;
		tasks[i].branch = tess_replies_branch(state->replies, node->node_id);
	}
	if (count > 0)
		send_tasks(state, tasks, count, false);
}

/*
 * True for a statement of a foreign key that shards see to themselves: what a
 * change of a reference table does to them, or whether they let it.  What looks
 * for the rows that a local table refers to is no such one.
 */
static bool
is_left_to_shards(const TessScanState *state)
{
	return tess_exec_is_cascade() &&
		   (tess_scan_writes(state) ||
			!OidIsValid(tess_exec_table(state->fragment)->foreign_referrer));
}

/* See scan_internal.h. */
void
tess_scan_run(TessScanState *state, const TessGroup *group)
{
	if (state->fragment->target == TESS_TO_ALL_COPIES)
		run_on_copies(state);
	else if (!is_left_to_shards(state))
		run_on_shards(state, group);
}
