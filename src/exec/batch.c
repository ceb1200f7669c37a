/*
 * batch.c - rows that were computed on this server, sent to their shards as
 * statements of many rows.
 *
 * Rows gather in one open batch per shard.  A batch that is full is sent at
 * once, while more rows are computed; the rest goes out together at the end, so
 * that a statement of few rows costs one round trip whatever number of shards
 * it reaches.  At most MAX_OWED statements of a node are under way, and at most
 * MAX_OPEN_BYTES are waiting in open batches.
 *
 * A reference table has one batch, which is executed on this server first and
 * then sent to all other nodes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "exec/batch_internal.h"
#include "exec/exec_internal.h"
#include "route/route.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define MAX_ROWS 500
#define MAX_PARAMS 32767
#define MAX_BYTES (1024 * 1024)
#define MAX_OPEN_BYTES (32 * 1024 * 1024)

static void send_batches(TessBatches *batches, Batch **open, int count);

/* Length of the array of open batches. */
static int
open_size(const TessBatches *batches)
{
	return batches->group ? batches->group->shard_count : 1;
}

/* The types of a row's parameters, and how their values are copied. */
static void
set_types(TessBatches *batches)
{
	const List *types = batches->write->row_types;
	int count = list_length(types);

	batches->column_count = count;
	batches->types = palloc(count * sizeof(Oid));
	batches->lengths = palloc(count * sizeof(int16));
	batches->by_value = palloc(count * sizeof(bool));
	for (int i = 0; i < count; i++)
	{
		batches->types[i] = list_nth_oid(types, i);
		get_typlenbyval(batches->types[i], &batches->lengths[i],
						&batches->by_value[i]);
	}
}

/* Starts; args must have been evaluated.  In a context below the current. */
TessBatches *
tess_batches_begin(const TessFragment *fragment, const TessWrite *write,
				   const TessGroup *group, const TessArgs *args,
				   bool binary_result, void *owner, TessReturnedSink put_returned)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera batches",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	TessBatches *batches = palloc0(sizeof(TessBatches));
	ListCell *cell;

	batches->fragment = fragment;
	batches->write = write;
	batches->group = group;
	batches->args = args;
	batches->binary_result = binary_result;
	batches->owner = owner;
	batches->put_returned = put_returned;
	batches->context = context;
	batches->replies = tess_replies_make(batches, tess_batch_returned_remote,
										 tess_batch_statement_done);
	set_types(batches);
	batches->encoder = tess_encoder_make(batches->column_count, batches->types);
	tess_encoder_encode(tess_encoder_make(args->count, args->types),
						args->values, args->nulls, &batches->tail_params);

	if (group == NULL)
	{
		foreach(cell, tess_meta_remote_nodes())
			batches->copies = lappend(batches->copies,
									  tess_replies_branch(batches->replies,
														  ((const TessNode *)
															   lfirst(cell))
															  ->node_id));
	}
	batches->began_with_id = TransactionIdIsValid(GetTopTransactionIdIfAny());
	batches->conflicts = tess_conflicts_make(write, fragment->anchor);
	batches->open = palloc0(open_size(batches) * sizeof(Batch *));
	MemoryContextSwitchTo(old_context);
	return batches;
}

static bool
goes_elsewhere(const Batch *batch)
{
	return batch->branch == NULL ? batch->batches->copies != NIL
								 : !batch->branch->is_local;
}

/* Whether a row would be changed twice could not be seen: see conflicts.c. */
static void
raise_opaque_conflict(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot insert so many rows with ON CONFLICT DO UPDATE by an expression or a partial index, or where BEFORE triggers change rows"),
			 errhint("Insert at most %d rows with each statement.", MAX_ROWS)));
}

/*
 * Rows that are changed by ctid go in several statements, and triggers run at the
 * end of each: what they change then is not found by the next one.  PostgreSQL
 * would let them run after all.
 */
static void
check_again(TessBatches *batches)
{
	const TessTable *table = tess_exec_table(batches->fragment);
	CmdType command = batches->write->command;

	/* rows that move are found, or an error */
	if (!table->has_triggers || command == CMD_INSERT ||
		batches->write->rows == TESS_WRITE_MOVING)
		return;
	if (command == CMD_UPDATE ? table->alters_updates : table->alters_deletes)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change so many rows of table \"%s\", which has BEFORE triggers",
						table->name),
				 errdetail(
					 "Their new values are computed by the coordinator, and do not fit in one statement for each shard."),
				 errhint("Change fewer rows with each statement.")));
	batches->finds_all = true;
}

/* An empty batch for a shard. */
static Batch *
make_batch(TessBatches *batches, int shard_index)
{
	MemoryContext old_context = MemoryContextSwitchTo(batches->context);
	Batch *batch = palloc0(sizeof(Batch));

	batch->batches = batches;
	batch->shard_index = shard_index;
	batch->number = ++batches->made;
	if (batches->write->has_opaque_conflict &&
		(shard_index < 0 ? batches->made > 1
						 : bms_is_member(shard_index, batches->shards)))
		raise_opaque_conflict();
	if (shard_index >= 0)
	{
		const TessShard *shard = &batches->group->shards[shard_index];

		batch->shard_id = shard->shard_id;
		batch->branch = tess_replies_shard_branch(batches->replies, shard);
		if (bms_is_member(shard_index, batches->shards) ||
			bms_is_member(shard_index, batches->shards_before))
			check_again(batches);
		batches->shards = bms_add_member(batches->shards, shard_index);
	}
	batch->context = AllocSetContextCreate(batches->context, "tessera batch",
										   ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(old_context);
	return batch;
}

static void *
grow(MemoryContext context, void *array, Size size)
{
	return array ? repalloc(array, size) : MemoryContextAlloc(context, size);
}

/* Room for one more row.  Ordinals are needed longer than the rest. */
static void
make_room(Batch *batch)
{
	MemoryContext context = batch->context;
	int values;

	if (batch->rows < batch->space)
		return;
	batch->space = Max(1, batch->space * 4);
	values = batch->space * batch->batches->column_count;
	if (batch->batches->write->returns)
		batch->ordinals = grow(batch->batches->context, batch->ordinals,
							   batch->space * sizeof(int64));
	if (goes_elsewhere(batch))
	{
		batch->wire_values = grow(context, batch->wire_values,
								  values * sizeof(char *));
		batch->wire_lengths = grow(context, batch->wire_lengths,
								   values * sizeof(int));
		batch->wire_formats = grow(context, batch->wire_formats,
								   values * sizeof(int));
	}
	if (tess_batch_goes_here(batch))
	{
		batch->values = grow(context, batch->values, values * sizeof(Datum));
		batch->nulls = grow(context, batch->nulls, values * sizeof(bool));
	}
}

static void
add_for_others(Batch *batch, const Datum *values, const bool *nulls)
{
	int count = batch->batches->column_count;
	int start = batch->rows * count;
	TessParams params;

	tess_encoder_encode(batch->batches->encoder, values, nulls, &params);
	for (int i = 0; i < count; i++)
	{
		batch->wire_values[start + i] = params.values[i];
		batch->wire_lengths[start + i] = params.lengths[i];
		batch->wire_formats[start + i] = params.formats[i];
		batch->bytes += params.values[i] ? params.lengths[i] : 0;
	}
}

static void
add_for_here(Batch *batch, const Datum *values, const bool *nulls)
{
	const TessBatches *batches = batch->batches;
	int start = batch->rows * batches->column_count;

	for (int i = 0; i < batches->column_count; i++)
	{
		int16 length = batches->lengths[i];
		bool by_value = batches->by_value[i];

		batch->nulls[start + i] = nulls[i];
		batch->values[start + i] = nulls[i]
									   ? (Datum) 0
									   : datumCopy(values[i], by_value, length);
		if (!nulls[i] && !by_value)
			batch->bytes += datumGetSize(batch->values[start + i], by_value,
										 length);
	}
}

/* See exec_internal.h. */
int
tess_write_route(const TessWrite *write, const TessGroup *group,
				 TupleTableSlot *slot)
{
	int key = write->key_position;
	bool isnull = true;
	Datum value = (Datum) 0;

	if (group == NULL)
		return -1;
	if (key < 0)
		return tess_route_value(group, value, isnull, group->key_type);
	value = slot_getattr(slot, key + 1, &isnull);
	return tess_route_value(group, value, isnull,
							TupleDescAttr(slot->tts_tupleDescriptor, key)->atttypid);
}

/*
 * Adds a row for a shard (-1: the copies of a reference table): the values of
 * a row's parameters, which are copied.  May send what has gathered.
 */
void
tess_batches_add(TessBatches *batches, int shard_index, int64 ordinal,
				 const Datum *values, const bool *nulls)
{
	int at = Max(shard_index, 0);
	Batch *batch = batches->open[at];
	Size bytes_before;
	MemoryContext old_context;

	if (batch == NULL)
		batch = batches->open[at] = make_batch(batches, shard_index);

	bytes_before = batch->bytes;
	old_context = MemoryContextSwitchTo(batch->context);
	make_room(batch);
	if (goes_elsewhere(batch))
		add_for_others(batch, values, nulls);
	if (tess_batch_goes_here(batch))
		add_for_here(batch, values, nulls);
	if (batches->conflicts != NULL)
		tess_conflicts_add(batches->conflicts, batch->number, values, nulls);
	if (batch->ordinals != NULL)
		batch->ordinals[batch->rows] = ordinal;
	MemoryContextSwitchTo(old_context);
	batch->rows++;
	batches->added++;
	batches->open_bytes += batch->bytes - bytes_before;

	if (batches->open_bytes >= MAX_OPEN_BYTES)
		send_batches(batches, batches->open, open_size(batches));
	else if ((batches->write->sends_here_at_once && tess_batch_goes_here(batch)) ||
			 batch->rows >= MAX_ROWS || batch->bytes >= MAX_BYTES ||
			 (batch->rows + 1) * batches->column_count + batches->args->count >
				 MAX_PARAMS)
		send_batches(batches, &batches->open[at], 1);
}

/*
 * Sends those of count entries in the array of open batches that are there.
 * What runs in process is done then; nodes may still be at work.
 */
static void
send_batches(TessBatches *batches, Batch **open, int count)
{
	List *others = NIL;
	List *here = NIL;
	List *contexts = NIL;
	ListCell *cell;

	for (int i = 0; i < count; i++)
	{
		Batch *batch = open[i];

		if (batch == NULL)
			continue;
		batches->open_bytes -= batch->bytes;
		open[i] = NULL;
		contexts = lappend(contexts, batch->context);
		if (tess_batch_goes_here(batch))
			here = lappend(here, batch);
		else
			others = lappend(others, batch);
	}
	if (contexts == NIL)
		return;

	tess_replies_open(batches->replies, NULL, batches->fragment->role,
					  TESS_WRITE);
	batches->sent += list_length(contexts);
	if (batches->group == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(linitial(contexts));

		tess_batch_send_to_copies(linitial(here));
		MemoryContextSwitchTo(old_context);
	}
	else
		tess_batches_send_to_shards(batches, others, here);

	/* the batches of nodes may be gone already, with their answers */
	foreach(cell, contexts)
		MemoryContextDelete(lfirst(cell));
	list_free(contexts);
	list_free(others);
	list_free(here);
}

/* True if rows have gathered that were not sent. */
bool
tess_batches_are_waiting(const TessBatches *batches)
{
	for (int i = 0; i < open_size(batches); i++)
		if (batches->open[i] != NULL)
			return true;
	return false;
}

/* Sends what has gathered. */
void
tess_batches_send(TessBatches *batches)
{
	send_batches(batches, batches->open, open_size(batches));
}

/* True if all rows went, or go, out in one statement, or in statements one
 * after the other: then RETURNING rows come in the order of the rows added. */
bool
tess_batches_are_in_order(const TessBatches *batches)
{
	return batches->is_one || batches->group == NULL;
}

/* Other writes of the statement have gone to these shards: triggers may have changed
 * rows there.  Not copied. */
void
tess_batches_follow(TessBatches *batches, const Bitmapset *shards)
{
	batches->shards_before = shards;
}

/* Indexes of the shards that got rows. */
const Bitmapset *
tess_batches_shards(const TessBatches *batches)
{
	return batches->shards;
}

/* The only batch, if nothing was sent and it goes to another node; or NULL. */
static Batch *
only_batch(const TessBatches *batches)
{
	int shard_index;
	Batch *batch;

	if (batches->group == NULL || batches->sent > 0 ||
		!bms_get_singleton_member(batches->shards, &shard_index))
		return NULL;
	batch = batches->open[shard_index];
	return batch != NULL && !tess_batch_goes_here(batch) ? batch : NULL;
}

/* True if nothing is written on this server. */
static bool
all_go_elsewhere(const TessBatches *batches)
{
	if (batches->group == NULL || batches->sent > 0)
		return false;
	for (int i = 0; i < open_size(batches); i++)
		if (batches->open[i] != NULL && tess_batch_goes_here(batches->open[i]))
			return false;
	return true;
}

/* There will be no more rows, nor another write of the node. */
void
tess_batches_note_all(TessBatches *batches, const CustomScanState *node)
{
	if (batches->sent == 0)
		batches->all_of = node;
}

/*
 * Sends what is left and waits for all answers; the number of rows that the
 * nodes have processed.  is_last_act: the transaction does nothing after it, and
 * may commit with it, if nothing can happen to the rows that it returns.
 */
uint64
tess_batches_finish(TessBatches *batches, bool is_last_act, bool rows_are_sure,
					TessScanFigures *figures)
{
	Batch *only = is_last_act ? only_batch(batches) : NULL;

	batches->is_one = batches->sent == 0 &&
					  bms_membership(batches->shards) == BMS_SINGLETON;
	if (is_last_act && batches->write->sequences_only &&
		!batches->began_with_id && all_go_elsewhere(batches))
		tess_xact_note_sequences();
	if (only != NULL && (!batches->write->returns || rows_are_sure) &&
		tess_xact_may_run_alone())
		return tess_batch_run_alone(only);
	batches->is_last_act = is_last_act && batches->sent == 0;
	tess_batches_send(batches);
	tess_replies_collect(batches->replies, NULL, 0);
	if (batches->prepares)
		tess_xact_prepared();
	if (batches->finds_all && batches->processed != batches->added)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a row of table \"%s\" was changed by a trigger of this statement before the statement came to it",
						tess_exec_table(batches->fragment)->name),
				 errhint("Change fewer rows with each statement.")));
	figures->executed = true;
	tess_replies_add_figures(batches->replies, figures);
	return batches->processed;
}

/* Ends; unread answers are dropped.  Frees. */
void
tess_batches_close(TessBatches *batches)
{
	tess_replies_close(batches->replies);
	MemoryContextDelete(batches->context);
}
