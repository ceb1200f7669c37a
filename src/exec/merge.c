/*
 * merge.c - sorted streams of rows become one.
 *
 * Each input is the result of one statement, sorted: of the shards of a node,
 * or of some of them.  One row of each input, its head, is held decoded; a heap
 * tells which is first, and only the node whose row was taken is asked for the
 * next.  So nothing is sorted again, and nodes that are ahead wait.
 *
 * Rows that come while their input has a head (a session was drained, or
 * several statements share one) go to a store of that input: a common one would
 * lose the order.  Texts, sessions and sending are the caller's.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "exec/exec_internal.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/sortsupport.h"

/* For a store, at least: the minimum of work_mem. */
#define STORE_MEMORY_KB 64

struct TessMergeInput
{
	TessMerge *merge;
	TessBranch *branch;
	int shard_index; /* of its shard, if it has only one */
	int number;		 /* in merge->inputs */
	bool ended;		 /* nothing will come any more */

	/* the head: in decoded_*, or in stored_slot; NULL: there is none */
	const Datum *values;
	const bool *nulls;
	MemoryContext head_context;
	Datum *decoded_values;
	bool *decoded_nulls;
	TupleTableSlot *stored_slot;

	/* what comes after the head, as far as it is here */
	Tuplestorestate *store; /* NULL: nothing yet */
	int64 stored_rows;
	int64 read_rows;
};

struct TessMerge
{
	MemoryContext context;
	TessReplies *replies;
	TupleDesc desc;
	TessRowMap *rows;
	bool is_limited;
	int64 rows_left; /* if it is limited */

	int sort_count;
	int *sort_columns; /* of the scan */
	SortSupport sort_keys;

	int input_count;
	int input_space;
	TessMergeInput **inputs;
	binaryheap *heap;	   /* numbers of inputs with a head; NULL: not begun */
	TessMergeInput *given; /* whose head was given out last */

	/* for rows on their way to a store */
	MemoryContext row_context;
	Datum *row_values;
	bool *row_nulls;
};

static void put_remote(void *owner, void *tag, const PGresult *result, int row);
static void end_input(void *owner, void *tag, PGresult *result);

/* True for a ">". */
bool
tess_merge_is_descending(Oid sort_operator)
{
	Oid family;
	Oid type;
	int16 strategy;

	if (!get_ordering_op_properties(sort_operator, &family, &type, &strategy))
		elog(ERROR, "operator %u does not sort", sort_operator);
	return strategy == BTGreaterStrategyNumber;
}

/* Making -------------------------------------------------------------------- */

/* The column of the scan, from 0, that a column of the node becomes. */
int
tess_merge_scan_column(const TessFragment *fragment, int node_column)
{
	int position = 0;
	ListCell *cell;

	if (fragment->sources == NIL)
		return node_column;
	foreach(cell, fragment->sources)
	{
		if (lfirst_int(cell) == node_column)
			return position;
		position++;
	}
	elog(ERROR, "column %d of a fragment is sorted by, but not fetched",
		 node_column);
}

static void
init_sort_keys(TessMerge *merge, const TessFragment *fragment)
{
	merge->sort_count = list_length(fragment->sort_columns);
	merge->sort_columns = palloc(merge->sort_count * sizeof(int));
	merge->sort_keys = palloc0(merge->sort_count * sizeof(SortSupportData));
	for (int i = 0; i < merge->sort_count; i++)
	{
		SortSupport key = &merge->sort_keys[i];

		merge->sort_columns[i] = tess_merge_scan_column(fragment,
														list_nth_int(fragment->sort_columns,
																	 i));
		key->ssup_cxt = merge->context;
		key->ssup_collation = list_nth_oid(fragment->sort_collations, i);
		key->ssup_nulls_first = list_nth_int(fragment->sort_nulls_first, i);
		key->ssup_attno = merge->sort_columns[i] + 1;
		PrepareSortSupportFromOrderingOp(list_nth_oid(fragment->sort_operators, i),
										 key);
	}
}

/*
 * A merge of rows of the fragment, which rows maps to scan_desc.  It lives in
 * the current context; tess_merge_close gives files back.  args: evaluated.
 */
TessMerge *
tess_merge_make(const TessFragment *fragment, const TessArgs *args,
				TupleDesc scan_desc, TessRowMap *rows)
{
	TessMerge *merge = palloc0(sizeof(TessMerge));
	int limit = fragment->limit_param - 1;

	merge->context = CurrentMemoryContext;
	merge->replies = tess_replies_make(merge, put_remote, end_input);
	merge->desc = CreateTupleDescCopy(scan_desc);
	merge->rows = rows;
	if (limit >= 0 && !args->nulls[limit])
	{
		merge->is_limited = true;
		merge->rows_left = DatumGetInt64(args->values[limit]);
	}
	init_sort_keys(merge, fragment);
	merge->input_space = 8;
	merge->inputs = palloc(merge->input_space * sizeof(TessMergeInput *));
	merge->row_context = AllocSetContextCreate(merge->context, "tessera row",
											   ALLOCSET_DEFAULT_SIZES);
	merge->row_values = palloc(scan_desc->natts * sizeof(Datum));
	merge->row_nulls = palloc(scan_desc->natts * sizeof(bool));
	return merge;
}

/* Through which the inputs' statements are queued, row by row; to be closed by
 * the caller, after which no row is asked for. */
TessReplies *
tess_merge_replies(TessMerge *merge)
{
	return merge->replies;
}

/*
 * One more input, before the first row comes.  Statements of nodes are queued
 * with it as their tag; rows of this server come through
 * tess_merge_put_local.
 */
TessMergeInput *
tess_merge_add(TessMerge *merge, TessBranch *branch, int shard_index)
{
	MemoryContext old_context = MemoryContextSwitchTo(merge->context);
	TessMergeInput *input = palloc0(sizeof(TessMergeInput));

	input->merge = merge;
	input->branch = branch;
	input->shard_index = shard_index;
	input->number = merge->input_count;
	input->ended = branch->is_local;
	input->head_context = AllocSetContextCreate(merge->context, "tessera head",
												ALLOCSET_SMALL_SIZES);
	input->decoded_values = palloc(merge->desc->natts * sizeof(Datum));
	input->decoded_nulls = palloc(merge->desc->natts * sizeof(bool));
	if (merge->input_count == merge->input_space)
	{
		merge->input_space *= 2;
		merge->inputs = repalloc(merge->inputs,
								 merge->input_space * sizeof(TessMergeInput *));
	}
	merge->inputs[merge->input_count++] = input;
	MemoryContextSwitchTo(old_context);
	return input;
}

/* Gives back what is not memory. */
void
tess_merge_close(TessMerge *merge)
{
	for (int i = 0; i < merge->input_count; i++)
	{
		TessMergeInput *input = merge->inputs[i];

		if (input->stored_slot != NULL)
			ExecDropSingleTupleTableSlot(input->stored_slot);
		if (input->store != NULL)
			tuplestore_end(input->store);
		input->stored_slot = NULL;
		input->store = NULL;
	}
}

/* Rows that are put away ------------------------------------------------------ */

/* The values of the row that is being put away go to the store. */
static void
store_row(TessMergeInput *input)
{
	TessMerge *merge = input->merge;

	if (input->store == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(merge->context);

		/* all of them together get what one store would */
		input->store = tuplestore_begin_heap(false, false,
											 Max(work_mem / merge->input_count,
												 STORE_MEMORY_KB));
		input->stored_slot = MakeSingleTupleTableSlot(merge->desc,
													  &TTSOpsMinimalTuple);
		MemoryContextSwitchTo(old_context);
	}
	tuplestore_putvalues(input->store, merge->desc, merge->row_values,
						 merge->row_nulls);
	input->stored_rows++;
}

static void
decode(TessMergeInput *input, const PGresult *result, int row, Datum *values,
	   bool *nulls)
{
	TessMerge *merge = input->merge;

	tess_replies_decoding(merge->replies, true);
	tess_row_map_remote(merge->rows, result, row, input->shard_index, values,
						nulls);
	tess_replies_decoding(merge->replies, false);
}

/* TessRowSink: a row of a node that cannot be its input's head now. */
static void
put_remote(void *owner, void *tag, const PGresult *result, int row)
{
	TessMerge *merge = owner;
	TessMergeInput *input = tag;
	MemoryContext old_context;

	MemoryContextReset(merge->row_context);
	old_context = MemoryContextSwitchTo(merge->row_context);
	decode(input, result, row, merge->row_values, merge->row_nulls);
	store_row(input);
	MemoryContextSwitchTo(old_context);
}

/* A row of a statement in process. */
void
tess_merge_put_local(TessMergeInput *input, TupleTableSlot *slot)
{
	TessMerge *merge = input->merge;
	MemoryContext old_context;

	MemoryContextReset(merge->row_context);
	old_context = MemoryContextSwitchTo(merge->row_context);
	tess_row_map_local(merge->rows, slot, input->shard_index, merge->row_values,
					   merge->row_nulls);
	store_row(input);
	MemoryContextSwitchTo(old_context);
}

/* TessDoneSink: the last row has come before, since statements that are queued
 * row by row end without one. */
static void
end_input(void *owner, void *tag, PGresult *result)
{
	((TessMergeInput *) tag)->ended = true;
}

/* Heads ----------------------------------------------------------------------- */

/* The next stored row becomes the head; false if none is stored. */
static bool
take_stored(TessMergeInput *input)
{
	MemoryContext old_context;

	if (input->read_rows == input->stored_rows)
		return false;
	ExecClearTuple(input->stored_slot);
	MemoryContextReset(input->head_context);
	old_context = MemoryContextSwitchTo(input->head_context);
	/* a copy, because a session drained meanwhile may move the store to disk */
	if (!tuplestore_gettupleslot(input->store, true, true, input->stored_slot))
		elog(ERROR, "tuplestore ended early");
	MemoryContextSwitchTo(old_context);
	slot_getallattrs(input->stored_slot);
	input->values = input->stored_slot->tts_values;
	input->nulls = input->stored_slot->tts_isnull;

	if (++input->read_rows == input->stored_rows)
	{
		tuplestore_clear(input->store);
		input->read_rows = input->stored_rows = 0;
	}
	return true;
}

/* A row that has come becomes the head, if it is the next one, and the node
 * may wait then. */
static void
take_arrived(TessMergeInput *input, const PGresult *result, int row)
{
	MemoryContext old_context;

	if (input->values != NULL || input->read_rows < input->stored_rows)
	{
		put_remote(input->merge, input, result, row);
		return;
	}
	if (input->stored_slot != NULL)
		ExecClearTuple(input->stored_slot);
	MemoryContextReset(input->head_context);
	old_context = MemoryContextSwitchTo(input->head_context);
	decode(input, result, row, input->decoded_values, input->decoded_nulls);
	MemoryContextSwitchTo(old_context);
	input->values = input->decoded_values;
	input->nulls = input->decoded_nulls;
	input->branch->paused = true;
}

/*
 * Gets the input's next row; false if it has none.  Other nodes are listened to
 * as long as nothing has come from them, so that all of them work at once.
 */
static bool
fetch_head(TessMergeInput *input)
{
	while (input->values == NULL && !take_stored(input) && !input->ended)
	{
		PGresult *result;
		void *tag;
		int row;

		input->branch->paused = false;
		if (!tess_replies_next(input->merge->replies, &result, &row, &tag))
			break;
		take_arrived(tag, result, row);
	}
	input->branch->paused = true;
	return input->values != NULL;
}

/* binaryheap_comparator: what is first of all is the heap's greatest. */
static int
compare_heads(Datum left, Datum right, void *arg)
{
	const TessMerge *merge = arg;
	const TessMergeInput *a = merge->inputs[DatumGetInt32(left)];
	const TessMergeInput *b = merge->inputs[DatumGetInt32(right)];

	for (int i = 0; i < merge->sort_count; i++)
	{
		int column = merge->sort_columns[i];
		int order = ApplySortComparator(a->values[column], a->nulls[column],
										b->values[column], b->nulls[column],
										&merge->sort_keys[i]);

		if (order != 0)
			return order < 0 ? 1 : -1;
	}
	return b->number - a->number;
}

static void
begin_heap(TessMerge *merge)
{
	MemoryContext old_context = MemoryContextSwitchTo(merge->context);

	merge->heap = binaryheap_allocate(Max(merge->input_count, 1), compare_heads,
									  merge);
	MemoryContextSwitchTo(old_context);
	for (int i = 0; i < merge->input_count; i++)
	{
		if (fetch_head(merge->inputs[i]))
			binaryheap_add_unordered(merge->heap, Int32GetDatum(i));
	}
	binaryheap_build(merge->heap);
}

/* The row given out last makes room for the next of its input. */
static void
replace_given(TessMerge *merge)
{
	TessMergeInput *input = merge->given;

	merge->given = NULL;
	input->values = NULL;
	if (fetch_head(input))
		binaryheap_replace_first(merge->heap, Int32GetDatum(input->number));
	else
		(void) binaryheap_remove_first(merge->heap);
}

/*
 * The next row of all into slot, a virtual one, valid until the next call;
 * waits for it.  False when there is none, or enough have been given out.
 */
bool
tess_merge_next(TessMerge *merge, TupleTableSlot *slot)
{
	TessMergeInput *first;
	int natts = merge->desc->natts;

	if (merge->is_limited && merge->rows_left <= 0)
		return false;
	if (merge->heap == NULL)
		begin_heap(merge);
	else if (merge->given != NULL)
		replace_given(merge);
	if (binaryheap_empty(merge->heap))
		return false;

	first = merge->inputs[DatumGetInt32(binaryheap_first(merge->heap))];
	merge->given = first;
	merge->rows_left--;
	ExecClearTuple(slot);
	memcpy(slot->tts_values, first->values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, first->nulls, natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	return true;
}
