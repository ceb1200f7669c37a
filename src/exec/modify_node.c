/*
 * modify_node.c - TesseraModify: a child plan computes rows on this server, and
 * each is sent to its shard.
 *
 * The first call for a tuple does all the work: the child is run to the end,
 * rows go to their shards in batches (batch.c), and RETURNING rows are collected;
 * then these are given out, in the order of the child's rows for INSERT.  It
 * never runs twice.
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "route/route.h"
#include "storage/itemptr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"

/* Rows of a child that were there already, as bits of 64 row numbers. */
typedef struct SeenKey
{
	int32 shard_index;
	BlockNumber block;
	uint32 chunk; /* offset / 64 */
} SeenKey;

typedef struct SeenRows
{
	SeenKey key;
	uint64 offsets;
} SeenRows;

typedef struct TesseraModifyState
{
	CustomScanState css;
	const TessFragment *fragment;
	const TessModifySpec *spec;
	TessArgs *args;
	TessRowMap *rows;

	bool done;
	const TessGroup *group; /* NULL: reference table */
	TessBatches *batches;
	HTAB *seen; /* UPDATE, DELETE: rows sent already */

	/* RETURNING rows: in a store, or sorted by ordinal (the last column) */
	bool sorting;
	TupleDesc stored_desc;
	TupleTableSlot *stored_slot; /* to read */
	TupleTableSlot *sort_slot;	 /* to write */
	Tuplestorestate *store;
	Tuplesortstate *sort;
	MemoryContext row_context;
	Datum *row_values; /* room for the ordinal too */
	bool *row_nulls;

	Bitmapset *shards; /* for EXPLAIN */
	TessScanFigures figures;
} TesseraModifyState;

static Node *create_state(CustomScan *scan);
static void begin_modify(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_modify(CustomScanState *node);
static void end_modify(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain(CustomScanState *node, List *ancestors, ExplainState *es);

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
	Oid table = state->fragment->anchor;

	node->custom_ps = list_make1(
		ExecInitNode(linitial(scan->custom_plans), estate,
					 eflags & ~(EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD |
								EXEC_FLAG_MARK)));
	state->args = tess_args_init(state->fragment, scan->custom_exprs,
								 &node->ss.ps);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	if (node->ss.ss_currentRelation != NULL)
		table = RelationGetRelid(node->ss.ss_currentRelation);
	if (state->spec->has_returning)
		state->rows = tess_row_map_make(state->fragment,
										node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
										table);
}

/* Makes what RETURNING rows are collected in. */
static void
begin_collecting(TesseraModifyState *state)
{
	EState *estate = state->css.ss.ps.state;
	TupleDesc scan_desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	int natts = scan_desc->natts;

	state->stored_desc = CreateTemplateTupleDesc(natts + 1);
	for (int i = 1; i <= natts; i++)
		TupleDescCopyEntry(state->stored_desc, i, scan_desc, i);
	TupleDescInitEntry(state->stored_desc, natts + 1, "ordinal", INT8OID, -1, 0);
	state->stored_slot = ExecInitExtraTupleSlot(estate, state->stored_desc,
												&TTSOpsMinimalTuple);
	state->sort_slot = ExecInitExtraTupleSlot(estate, state->stored_desc,
											  &TTSOpsVirtual);
	state->row_values = palloc((natts + 1) * sizeof(Datum));
	state->row_nulls = palloc((natts + 1) * sizeof(bool));
	state->row_context = AllocSetContextCreate(CurrentMemoryContext,
											   "tessera row",
											   ALLOCSET_DEFAULT_SIZES);
}

/* The first row tells whether rows come in order or have to be sorted. */
static void
choose_collection(TesseraModifyState *state)
{
	MemoryContext old_context;
	AttrNumber attno = state->stored_desc->natts;
	Oid less = Int8LessOperator;
	Oid collation = InvalidOid;
	bool nulls_first = false;

	if (state->store != NULL || state->sort != NULL)
		return;
	old_context = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
	state->sorting = state->fragment->command == CMD_INSERT &&
					 !tess_batches_are_in_order(state->batches);
	if (state->sorting)
		state->sort = tuplesort_begin_heap(state->stored_desc, 1, &attno, &less,
										   &collation, &nulls_first, work_mem,
										   NULL, TUPLESORT_NONE);
	else
		state->store = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(old_context);
}

/* TessReturnedSink */
static void
collect_row(void *owner, const TessReturned *returned)
{
	TesseraModifyState *state = owner;
	int natts = state->stored_desc->natts - 1;
	MemoryContext old_context;

	choose_collection(state);
	MemoryContextReset(state->row_context);
	old_context = MemoryContextSwitchTo(state->row_context);
	if (returned->result != NULL)
	{
		tess_replies_decoding(returned->replies, true);
		tess_row_map_remote(state->rows, returned->result, returned->row,
							returned->shard_index, state->row_values,
							state->row_nulls);
		tess_replies_decoding(returned->replies, false);
	}
	else
		tess_row_map_local(state->rows, returned->slot, returned->shard_index,
						   state->row_values, state->row_nulls);
	state->row_values[natts] = Int64GetDatum(returned->ordinal);
	state->row_nulls[natts] = false;

	if (state->sorting)
	{
		ExecClearTuple(state->sort_slot);
		memcpy(state->sort_slot->tts_values, state->row_values,
			   (natts + 1) * sizeof(Datum));
		memcpy(state->sort_slot->tts_isnull, state->row_nulls,
			   (natts + 1) * sizeof(bool));
		ExecStoreVirtualTuple(state->sort_slot);
		tuplesort_puttupleslot(state->sort, state->sort_slot);
		ExecClearTuple(state->sort_slot);
	}
	else
		tuplestore_putvalues(state->store, state->stored_desc,
							 state->row_values, state->row_nulls);
	MemoryContextSwitchTo(old_context);
}

/*
 * True if this row of a shard was sent before: a join gave several new
 * versions of it, and as in PostgreSQL the first one wins.
 */
static bool
is_seen(TesseraModifyState *state, int shard_index, ItemPointer ctid)
{
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(ctid);
	uint64 bit = UINT64CONST(1) << (offset % 64);
	SeenKey key;
	SeenRows *entry;
	bool found;

	if (state->seen == NULL)
	{
		HASHCTL control = {0};

		control.keysize = sizeof(SeenKey);
		control.entrysize = sizeof(SeenRows);
		control.hcxt = state->css.ss.ps.state->es_query_cxt;
		state->seen = hash_create("tessera rows sent", 256, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	key.shard_index = shard_index;
	key.block = ItemPointerGetBlockNumberNoCheck(ctid);
	key.chunk = offset / 64;
	entry = hash_search(state->seen, &key, HASH_ENTER, &found);
	if (!found)
		entry->offsets = 0;
	else if (entry->offsets & bit)
		return true;
	entry->offsets |= bit;
	return false;
}

/* Sends a row of the child on its way. */
static void
add_row(TesseraModifyState *state, TupleTableSlot *slot)
{
	const TessModifySpec *spec = state->spec;
	int shard_index = -1;

	slot_getallattrs(slot);
	if (state->fragment->command == CMD_INSERT)
	{
		int key = spec->key_position;

		if (state->group != NULL && key >= 0)
			shard_index = tess_route_value(state->group, slot->tts_values[key],
										   slot->tts_isnull[key],
										   list_nth_oid(spec->row_types, key));
		else if (state->group != NULL)
			shard_index = tess_route_value(state->group, (Datum) 0, true,
										   state->group->key_type);
		tess_batches_add(state->batches, shard_index, slot->tts_values,
						 slot->tts_isnull);
		return;
	}

	if (slot->tts_isnull[0] || slot->tts_isnull[1])
		return; /* the nullable side of an outer join */
	shard_index = DatumGetInt32(slot->tts_values[0]);
	if (state->group == NULL || shard_index < 0 ||
		shard_index >= state->group->shard_count)
		elog(ERROR, "row of shard %d, which is not there", shard_index);
	if (!is_seen(state, shard_index,
				 (ItemPointer) DatumGetPointer(slot->tts_values[1])))
		tess_batches_add(state->batches, shard_index, slot->tts_values + 1,
						 slot->tts_isnull + 1);
}

/* Runs the child to the end into a store, so that what it reads from nodes is
 * as it was before the first write. */
static Tuplestorestate *
read_child_first(PlanState *child)
{
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);

	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(child);

		if (TupIsNull(slot))
			break;
		tuplestore_puttupleslot(store, slot);
	}
	return store;
}

static void
add_rows(TesseraModifyState *state)
{
	PlanState *child = linitial(state->css.custom_ps);
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	Tuplestorestate *store = NULL;
	TupleTableSlot *slot = NULL;

	if (state->spec->reads_first)
	{
		store = read_child_first(child);
		slot = ExecInitExtraTupleSlot(state->css.ss.ps.state,
									  ExecGetResultType(child),
									  &TTSOpsMinimalTuple);
	}
	tess_order_write(state->fragment, state->css.ss.ps.state);
	for (;;)
	{
		MemoryContext old_context;

		CHECK_FOR_INTERRUPTS();
		if (store == NULL)
			slot = ExecProcNode(child);
		else
			(void) tuplestore_gettupleslot(store, true, false, slot);
		if (TupIsNull(slot))
			break;
		ResetExprContext(econtext);
		old_context = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		add_row(state, slot);
		MemoryContextSwitchTo(old_context);
	}
	if (store != NULL)
	{
		ExecClearTuple(slot);
		tuplestore_end(store);
	}
}

static void
run(TesseraModifyState *state)
{
	EState *estate = state->css.ss.ps.state;
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	const TessTable *table = tess_exec_table(state->fragment);
	uint64 processed;

	state->group = table->group;
	(void) tess_args_eval(state->args, state->css.ss.ps.ps_ExprContext, NULL);
	if (state->spec->has_returning)
		begin_collecting(state);
	state->batches = tess_batches_begin(state->fragment, state->group,
										state->args,
										state->rows != NULL &&
											tess_row_map_is_binary(state->rows),
										state, collect_row);
	add_rows(state);
	processed = tess_batches_finish(state->batches, &state->figures);
	if (state->fragment->sets_count)
		estate->es_processed += processed;
	state->shards = bms_copy(tess_batches_shards(state->batches));
	tess_batches_close(state->batches);
	state->batches = NULL;
	if (state->sort != NULL)
		tuplesort_performsort(state->sort);
	MemoryContextSwitchTo(old_context);
}

/* ExecScanAccessMtd: RETURNING rows, after all is done. */
static TupleTableSlot *
next_tuple(ScanState *node)
{
	TesseraModifyState *state = (TesseraModifyState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	bool found = false;

	if (!state->done)
	{
		state->done = true;
		run(state);
	}
	if (state->sort != NULL)
		found = tuplesort_gettupleslot(state->sort, true, false,
									   state->stored_slot, NULL);
	else if (state->store != NULL)
		found = tuplestore_gettupleslot(state->store, true, false,
										state->stored_slot);
	if (!found)
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
	if (state->store != NULL)
		tuplestore_end(state->store);
	if (state->sort != NULL)
		tuplesort_end(state->sort);
	ExecEndNode(linitial(node->custom_ps));
}

static void
explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	TesseraModifyState *state = (TesseraModifyState *) node;

	tess_explain_fragment(node, state->fragment, state->shards, &state->figures,
						  es);
}
