/*
 * modify_node.c - TesseraModify: a child plan computes rows on this server, and
 * each is sent to its shard.
 *
 * The first call for a tuple does all the work: the child is run to the end,
 * rows go to their shards in batches (batch.c), and RETURNING rows are collected
 * (returned.c); then these are given out, in the order of the child's rows.  It
 * never runs twice.
 *
 * A statement of several writes goes over the child's rows once for each: first
 * all rows that go are deleted, then those that stay are updated, then new ones
 * inserted.  So a row never stands in the way of one that takes its place.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "route/route.h"
#include "storage/itemptr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* So many rows go as parameters of statements before others are worth a COPY. */
#define ROWS_BEFORE_COPY 1000

typedef struct TesseraModifyState
{
	CustomScanState css;
	const TessFragment *fragment;
	const TessModifySpec *spec;
	TessArgs *args;

	int64 first_reader; /* scans of the child: see order.c */
	int64 last_reader;

	bool reads_first; /* the child is run to its end before the first write */
	bool done;
	bool is_running;
	const TessGroup *group; /* NULL: reference table */
	HTAB *seen;				/* rows of the target that were found */
	TupleTableSlot *row;	/* the only one, which is there already; or NULL */
	bool row_was_read;
	TessPolicies *policies;	 /* that rows have to satisfy; or NULL */
	TessUpsert *upsert;		 /* ON CONFLICT is resolved here; or NULL */
	TessPartRows *part_rows; /* of all parts that insert here; see note_rows */
	TessPending *pending;	 /* of an INSERT; NULL if it does not run */
	int64 rows_kept;		 /* in the store */
	Tuplestorestate *store;	 /* the child's rows; NULL: not kept */
	TupleTableSlot *slot;	 /* to read them */
	TessReturnedRows *returned;

	/* of the current write */
	const TessWrite *write;
	TessBatches *batches;
	TessBulk *bulk; /* rows go as COPY now; or NULL */
	Datum *values;	/* a row's parameters */
	bool *nulls;

	Bitmapset *shards; /* for EXPLAIN */
	TessScanFigures figures;
} TesseraModifyState;

static Node *create_state(CustomScan *scan);
static void begin_modify(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_modify(CustomScanState *node);
static void end_modify(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain(CustomScanState *node, List *ancestors, ExplainState *es);
static void about_to_write(void *arg);

const CustomScanMethods tess_modify_methods =
	{.CustomName = TESS_MODIFY_METHODS, .CreateCustomScanState = create_state};

static const CustomExecMethods exec_methods = {.CustomName = TESS_MODIFY_METHODS,
											   .BeginCustomScan = begin_modify,
											   .ExecCustomScan = exec_modify,
											   .EndCustomScan = end_modify,
											   .ReScanCustomScan = rescan,
											   .ExplainCustomScan = explain};

static Node *
create_state(CustomScan *scan)
{
	TesseraModifyState *state = palloc0(sizeof(TesseraModifyState));

	state->css.ss.ps.type = T_CustomScanState;
	state->css.methods = &exec_methods;
	state->fragment = linitial(scan->custom_private);
	state->spec = state->fragment->modify;
	return (Node *) state;
}

static void
begin_modify(CustomScanState *node, EState *estate, int eflags)
{
	TesseraModifyState *state = (TesseraModifyState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	state->first_reader = tess_reader_count();
	node->custom_ps = list_make1(
		ExecInitNode(linitial(scan->custom_plans), estate,
					 eflags & ~(EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD |
								EXEC_FLAG_MARK)));
	state->last_reader = tess_reader_count();
	state->row = tess_direct_take_row(scan, linitial(node->custom_ps));
	state->args = tess_args_init(state->fragment,
								 tess_policies_strip(state->spec,
													 scan->custom_exprs),
								 &node->ss.ps);
	state->policies = tess_policies_init(state->spec, node);
	if (state->spec->resolves_conflicts)
		state->upsert = tess_upsert_init(state->spec, node);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state->reads_first = state->spec->reads_first || state->spec->finds_rows ||
						 (state->spec->reads_shards &&
						  !tess_scans_pause(linitial(node->custom_ps)));
	if (state->spec->has_returning)
		state->returned = tess_returned_begin(state->fragment, node);
	/* a part of another statement: whoever reads its rows may not want all */
	if (!state->fragment->sets_count)
		estate->es_auxmodifytables = lcons(node, estate->es_auxmodifytables);
}

/* TessReturnedSink */
static void
collect_row(void *owner, const TessReturned *returned)
{
	TesseraModifyState *state = owner;

	tess_returned_choose(state->returned,
						 !state->spec->finds_rows &&
							 tess_batches_are_in_order(state->batches));
	tess_returned_put(state->returned, returned);
}

/* The action of MERGE that a row of the child is for; -1: no MERGE. */
static int
action_of(const TesseraModifyState *state, TupleTableSlot *slot)
{
	bool isnull;

	if (state->spec->action_position < 0)
		return -1;
	return DatumGetInt32(
		slot_getattr(slot, state->spec->action_position + 1, &isnull));
}

/* The partition a row was found in, where the target has some. */
static Oid
partition_of(const TesseraModifyState *state, TupleTableSlot *slot)
{
	bool isnull;

	if (state->spec->partition_position < 0)
		return InvalidOid;
	return DatumGetObjectId(
		slot_getattr(slot, state->spec->partition_position + 1, &isnull));
}

/* The shard a row was found in; -1: none was found. */
static int
found_in(const TesseraModifyState *state, TupleTableSlot *slot)
{
	bool isnull;
	int shard_index = DatumGetInt32(slot_getattr(slot, 1, &isnull));

	if (isnull)
		return -1;
	if (state->group == NULL || shard_index < 0 ||
		shard_index >= state->group->shard_count)
		elog(ERROR, "row of shard %d, which is not there", shard_index);
	return shard_index;
}

/*
 * Whether a row of the child is to be written.  A row of the target may come
 * several times; as in PostgreSQL the first one wins, and MERGE fails.
 */
static bool
is_wanted(TesseraModifyState *state, TupleTableSlot *slot)
{
	int action = action_of(state, slot);
	int shard_index;
	Datum ctid;
	bool isnull;

	if (!state->spec->finds_rows)
		return true;
	if (action == 0)
		return false;
	shard_index = found_in(state, slot);
	ctid = slot_getattr(slot, 2, &isnull);
	if (shard_index < 0 || isnull)
		return action > 0; /* else the nullable side of an outer join */
	if (!tess_row_is_seen(&state->seen, state->css.ss.ps.state->es_query_cxt,
						  shard_index, partition_of(state, slot),
						  (ItemPointer) DatumGetPointer(ctid)))
		return true;
	if (action > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("%s command cannot affect row a second time", "MERGE"),
				 errhint(
					 "Ensure that not more than one source row matches any one target row.")));
	return false;
}

/* The next row of the child that is to be written; NULL at the end. */
static TupleTableSlot *
next_of_child(TesseraModifyState *state)
{
	PlanState *child = linitial(state->css.custom_ps);
	TupleTableSlot *slot;

	if (state->row != NULL)
	{
		slot = state->row_was_read ? NULL : state->row;
		state->row_was_read = true;
		return slot;
	}
	do
	{
		CHECK_FOR_INTERRUPTS();
		slot = ExecProcNode(child);
		if (TupIsNull(slot))
			return NULL;
	} while (!is_wanted(state, slot));
	if (state->policies != NULL)
		tess_policies_check_row(state->policies, state->fragment->command, slot);
	return slot;
}

/* Runs the child to the end into a store, so that what it reads is as it was
 * before the first write, and can be gone over several times. */
static void
read_child_first(TesseraModifyState *state)
{
	PlanState *child = linitial(state->css.custom_ps);
	TupleTableSlot *slot;

	state->store = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_set_eflags(state->store, EXEC_FLAG_REWIND);
	state->slot = ExecInitExtraTupleSlot(state->css.ss.ps.state,
										 ExecGetResultType(child),
										 &TTSOpsMinimalTuple);
	while ((slot = next_of_child(state)) != NULL)
	{
		tuplestore_puttupleslot(state->store, slot);
		state->rows_kept++;
	}
}

/* The next row for the current write. */
static TupleTableSlot *
next_row(TesseraModifyState *state)
{
	if (state->store == NULL)
		return next_of_child(state);
	CHECK_FOR_INTERRUPTS();
	if (!tuplestore_gettupleslot(state->store, true, false, state->slot))
		return NULL;
	return state->slot;
}

/* Sends a row of the child on its way, if the current write is about it. */
static void
write_row(TesseraModifyState *state, TupleTableSlot *slot, int64 ordinal)
{
	const TessWrite *write = state->write;
	int old_shard = -1;
	int new_shard = -1;
	int i = 0;
	ListCell *cell;

	if (write->action > 0 && action_of(state, slot) != write->action)
		return;
	if (state->spec->finds_rows)
		old_shard = found_in(state, slot);
	if (write->command == CMD_INSERT || write->rows != TESS_WRITE_ALL)
		new_shard = tess_write_route(write, state->group, slot);
	if (write->rows != TESS_WRITE_ALL &&
		(write->rows == TESS_WRITE_MOVING) != (old_shard != new_shard))
		return;
	if (OidIsValid(write->hidden_from))
		tess_refuse_move(state->fragment->anchor, write->hidden_from);

	foreach(cell, write->positions)
	{
		state->values[i] = slot_getattr(slot, lfirst_int(cell) + 1,
										&state->nulls[i]);
		i++;
	}
	tess_batches_add(state->batches,
					 write->command == CMD_INSERT ? new_shard : old_shard,
					 ordinal, state->values, state->nulls);
}

/* True if the client's transaction ends when the write has been done. */
static bool
is_last_write(const TesseraModifyState *state, const TessWrite *write)
{
	return state->fragment->sets_count && write->counts &&
		   list_length(state->spec->writes) == 1 &&
		   tess_exec_is_last_act(state->css.ss.ps.state, state->css.ss.ps.plan);
}

/* From here on rows go as COPY. */
static void
start_copying(TesseraModifyState *state)
{
	PlanState *child = linitial(state->css.custom_ps);
	TessDivision *division = NULL;

	tess_batches_send(state->batches);
	/* of rows that nodes divide nobody here sees any */
	if (state->store == NULL && state->policies == NULL)
		division = tess_scan_divide(child, state->write,
									tess_exec_table(state->fragment));
	state->bulk = tess_bulk_begin(state->fragment, state->write, division);
}

static void
copy_row(TesseraModifyState *state, TupleTableSlot *slot)
{
	/* the stream knows where it goes; EXPLAIN wants to know too */
	if (state->group != NULL && state->css.ss.ps.instrument != NULL)
	{
		int shard = tess_write_route(state->write, state->group, slot);

		if (!bms_is_member(shard, state->shards))
		{
			MemoryContext old_context;

			old_context = MemoryContextSwitchTo(
				state->css.ss.ps.state->es_query_cxt);
			state->shards = bms_add_member(state->shards, shard);
			MemoryContextSwitchTo(old_context);
		}
	}
	tess_bulk_put(state->bulk, slot);
}

/* Sends what is left; how many rows there were. */
static uint64
finish_write(TesseraModifyState *state, const TessWrite *write)
{
	bool is_last = state->bulk == NULL && is_last_write(state, write);
	bool is_sure = is_last && tess_rows_are_sure(state->fragment, &state->css);
	uint64 processed;

	if (list_length(state->spec->writes) == 1)
		tess_batches_note_all(state->batches, &state->css);
	processed = tess_batches_finish(state->batches, is_last, is_sure,
									&state->figures);
	if (state->bulk != NULL)
		processed += tess_bulk_finish(state->bulk);
	state->bulk = NULL;
	return processed;
}

/* Sends all rows of a write, and waits for the answers. */
static void
run_write(TesseraModifyState *state, const TessWrite *write)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	int count = list_length(write->positions);
	TupleTableSlot *slot;
	int64 ordinal = 0;
	uint64 processed;

	state->write = write;
	state->values = palloc(count * sizeof(Datum));
	state->nulls = palloc(count * sizeof(bool));
	state->batches = tess_batches_begin(state->fragment, write, state->group,
										state->args,
										state->returned != NULL &&
											tess_returned_is_binary(
												state->returned),
										state, collect_row);
	tess_batches_follow(state->batches, state->shards);
	if (state->store != NULL)
		tuplestore_rescan(state->store);
	while ((slot = next_row(state)) != NULL)
	{
		MemoryContext old_context;

		if (write->may_copy && ordinal == ROWS_BEFORE_COPY)
			start_copying(state);
		ResetExprContext(econtext);
		old_context = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		if (state->bulk != NULL)
			copy_row(state, slot);
		else
			write_row(state, slot, ordinal);
		ordinal++;
		MemoryContextSwitchTo(old_context);
	}
	processed = finish_write(state, write);
	if (write->counts && state->fragment->sets_count)
		state->css.ss.ps.state->es_processed += processed;
	state->shards = bms_add_members(state->shards,
									tess_batches_shards(state->batches));
	tess_batches_close(state->batches);
	state->batches = NULL;
}

/* Those that follow rows of one write to other shards; NULL: there are none. */
static TessFollowers *
find_followers(TesseraModifyState *state)
{
	TessFollowers *found = NULL;
	ListCell *cell;

	foreach(cell, state->spec->writes)
	{
		const TessWrite *write = lfirst(cell);
		TessFollowers *followers = tess_followers_begin(state->fragment, write);
		TupleTableSlot *slot;

		if (followers == NULL)
			continue;
		tuplestore_rescan(state->store);
		while ((slot = next_row(state)) != NULL)
			if ((write->action <= 0 || action_of(state, slot) == write->action) &&
				found_in(state, slot) !=
					tess_write_route(write, state->group, slot))
				tess_followers_add(followers, slot);
		/* MERGE, of several such writes, has none that may follow */
		if (tess_followers_exist(followers))
			found = followers;
	}
	return found;
}

/* Sends rows in the order of the writes; or, where others follow those that move,
 * inserts these first, and deletes the old ones when nothing refers to them. */
static void
run_writes(TesseraModifyState *state)
{
	TessFollowers *followers = find_followers(state);
	ListCell *cell;

	if (followers != NULL)
	{
		run_write(state, tess_followers_write(followers));
		tess_followers_move(followers);
		about_to_write(state);
	}
	foreach(cell, state->spec->writes)
		if (followers == NULL || lfirst(cell) != tess_followers_write(followers))
			run_write(state, lfirst(cell));
}

/* TessPendingWanted */
static void
rows_are_wanted(void *arg, bool in_place)
{
	TesseraModifyState *state = arg;

	if (state->bulk == NULL &&
		(state->batches != NULL ? !tess_batches_are_waiting(state->batches)
								: state->rows_kept == 0))
		return;
	if (state->upsert != NULL && tess_upsert_is_at_first(state->upsert))
		return;
	/* sent in a subtransaction, rows would go with it */
	if (state->batches == NULL || state->bulk != NULL || !in_place)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a function of an INSERT cannot read table \"%s\", which it inserts into",
						tess_exec_table(state->fragment)->name),
				 errdetail(
					 "Rows that were computed before have not been inserted yet."),
				 errhint(
					 "Insert the rows one at a time; or declare the function STABLE, if it need not see them.")));
	tess_batches_send(state->batches);
}

/* Scans of this table that are open are made to ask the nodes. */
static void
about_to_write(void *arg)
{
	TesseraModifyState *state = arg;

	tess_order_write(state->fragment, state->first_reader,
					 state->store != NULL ? state->last_reader : 0);
}

/* Where the rows of all parts are noted that insert into this table: at one of
 * them. */
static TesseraModifyState *
keeper_of_rows(TesseraModifyState *state)
{
	ListCell *cell;

	foreach(cell, state->css.ss.ps.state->es_auxmodifytables)
	{
		TesseraModifyState *part = lfirst(cell);

		if (IsA(part, CustomScanState) && part->css.methods == &exec_methods &&
			part->spec->part_columns != NIL &&
			part->fragment->anchor == state->fragment->anchor)
			return part;
	}
	elog(ERROR, "no part of the statement inserts into the table");
}

/* Notes the rows that have been read; an error if one of them may update a row
 * that another part has written. */
static void
note_rows(TesseraModifyState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	TesseraModifyState *keeper = keeper_of_rows(state);
	TupleTableSlot *slot;

	if (keeper->part_rows == NULL)
		keeper->part_rows = tess_part_rows_make(state->fragment);
	tuplestore_rescan(state->store);
	while ((slot = next_row(state)) != NULL)
	{
		MemoryContext old_context;

		ResetExprContext(econtext);
		old_context = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		tess_part_rows_add(keeper->part_rows, state->fragment, slot);
		MemoryContextSwitchTo(old_context);
	}
}

/* Inserts the rows that have been read, or updates those they conflict with. */
static void
run_upsert(TesseraModifyState *state)
{
	TessUpsertInput input = {state->fragment, state->group, state->args};
	uint64 processed;

	input.policies = state->policies;
	input.rows = state->store;
	input.row_count = state->rows_kept;
	input.slot = state->slot;
	input.returned = state->returned;
	input.about_to_write = about_to_write;
	input.arg = state;
	input.figures = &state->figures;
	processed = tess_upsert_run(state->upsert, &input, &state->shards);
	if (state->fragment->sets_count)
		state->css.ss.ps.state->es_processed += processed;
}

/* See tess_policies_run. */
static void
run(void *arg)
{
	TesseraModifyState *state = arg;
	EState *estate = state->css.ss.ps.state;
	const TessTable *table = tess_exec_table(state->fragment);
	const TessModifySpec *spec = state->spec;
	MemoryContext old_context;

	if (tess_exec_is_cascade())
		return;
	old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	state->group = table->group;
	(void) tess_args_eval(state->args, state->css.ss.ps.ps_ExprContext, NULL);
	if (!spec->finds_rows)
		state->pending = tess_pending_begin(state->fragment, estate->es_snapshot,
											rows_are_wanted, state);
	if (state->reads_first)
		read_child_first(state);
	if (spec->part_columns != NIL)
		note_rows(state);
	if (state->upsert != NULL)
		run_upsert(state);
	else
	{
		about_to_write(state);
		run_writes(state);
	}
	if (state->pending != NULL)
		tess_pending_end(state->pending);
	if (state->returned != NULL)
		tess_returned_finish(state->returned, state->store, state->slot);
	MemoryContextSwitchTo(old_context);
}

/* ExecScanAccessMtd: RETURNING rows, after all is done. */
static TupleTableSlot *
next_tuple(ScanState *node)
{
	TesseraModifyState *state = (TesseraModifyState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	if (state->is_running)
		tess_order_refuse_circle(state->fragment);
	if (!state->done)
	{
		state->done = state->is_running = true;
		tess_policies_run(state->fragment, run, state);
		state->is_running = false;
	}
	if (state->returned == NULL || !tess_returned_next(state->returned, slot))
		return ExecClearTuple(slot);
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
exec_modify(CustomScanState *node)
{
	return ExecScan(&node->ss, next_tuple, recheck);
}

static void
rescan(CustomScanState *node)
{
	if (((TesseraModifyState *) node)->done)
		elog(ERROR, "a statement that writes cannot be scanned again");
	ExecScanReScan(&node->ss);
}

static void
end_modify(CustomScanState *node)
{
	TesseraModifyState *state = (TesseraModifyState *) node;

	if (state->batches != NULL)
		tess_batches_close(state->batches);
	if (state->returned != NULL)
		tess_returned_end(state->returned);
	if (state->store != NULL)
		tuplestore_end(state->store);
	ExecEndNode(linitial(node->custom_ps));
}

static void
explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	TesseraModifyState *state = (TesseraModifyState *) node;
	TessExplained what = {state->fragment, state->args};

	what.shards = state->shards;
	what.figures = state->figures;
	tess_explain_fragment(node, ancestors, &what, es);
}
