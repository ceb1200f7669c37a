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

#include "exec/exec_internal.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define MAX_ROWS 500
#define MAX_PARAMS 32767
#define MAX_BYTES (1024 * 1024)
#define MAX_OPEN_BYTES (32 * 1024 * 1024)
#define MAX_OWED 2

typedef struct Batch
{
	TessBatches *batches;
	TessBranch *branch; /* NULL: copies of a reference table */
	int shard_index;	/* -1: copies */
	int64 shard_id;
	int64 number; /* of the batches of the statement */

	int rows;
	int returned;	  /* RETURNING rows so far */
	int64 *ordinals;  /* of its rows, if they are wanted */
	uint64 rows_here; /* copies: rows changed on this server */

	/* until it is sent */
	MemoryContext context;
	int space; /* rows there is room for */
	Size bytes;
	const char **wire_values; /* for other nodes */
	int *wire_lengths;
	int *wire_formats;
	Datum *values; /* for this server */
	bool *nulls;
} Batch;

/* A statement for one node: what comes back with its replies. */
typedef struct Sending
{
	Batch *batch;
	TessBranch *branch;
} Sending;

struct TessBatches
{
	const TessFragment *fragment;
	const TessWrite *write;
	const TessGroup *group; /* NULL: reference table */
	const TessArgs *args;	/* parameters of the tail */
	bool binary_result;
	void *owner;
	TessReturnedSink put_returned;

	MemoryContext context;
	TessReplies *replies;
	List *copies;	  /* branches of a reference table */
	int column_count; /* parameters of a row */
	Oid *types;
	int16 *lengths; /* of the types */
	bool *by_value;
	TessEncoder *encoder; /* of a row */
	TessParams tail_params;
	Oid *wire_types; /* of the tail and MAX_ROWS rows; grows */
	int wire_type_count;

	Batch **open; /* by shard; one for a reference table */
	Size open_bytes;
	int64 made; /* batches */
	TessConflicts *conflicts;
	int sent; /* batches */
	bool is_one;
	uint64 processed;
	Bitmapset *shards;
};

static void returned_remote(void *owner, void *tag, const PGresult *result,
							int row);
static void statement_done(void *owner, void *tag, PGresult *result);
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
	batches->replies = tess_replies_make(batches, returned_remote,
										 statement_done);
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
	batches->conflicts = tess_conflicts_make(write, fragment->anchor);
	batches->open = palloc0(open_size(batches) * sizeof(Batch *));
	MemoryContextSwitchTo(old_context);
	return batches;
}

/* The types of a statement's parameters, as the wire wants them. */
static const Oid *
wire_types(TessBatches *batches, int rows)
{
	int tail = batches->args->count;
	int count = tail + rows * batches->column_count;

	if (batches->wire_type_count < count)
	{
		MemoryContext old_context = MemoryContextSwitchTo(batches->context);

		if (batches->wire_types != NULL)
			pfree(batches->wire_types);
		batches->wire_types = palloc(count * sizeof(Oid));
		for (int i = 0; i < tail; i++)
			batches->wire_types[i] = batches->tail_params.types[i];
		for (int i = tail; i < count; i++)
			batches->wire_types[i] = tess_type_wire_oid(
				batches->types[(i - tail) % batches->column_count]);
		batches->wire_type_count = count;
		MemoryContextSwitchTo(old_context);
	}
	return batches->wire_types;
}

static bool
goes_here(const Batch *batch)
{
	return batch->branch == NULL || batch->branch->is_local;
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
			 errmsg("cannot insert so many rows with ON CONFLICT DO UPDATE by an expression or a partial index"),
			 errhint("Insert at most %d rows with each statement.", MAX_ROWS)));
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
	if (goes_here(batch))
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
	if (goes_here(batch))
		add_for_here(batch, values, nulls);
	if (batches->conflicts != NULL)
		tess_conflicts_add(batches->conflicts, batch->number, values, nulls);
	if (batch->ordinals != NULL)
		batch->ordinals[batch->rows] = ordinal;
	MemoryContextSwitchTo(old_context);
	batch->rows++;
	batches->open_bytes += batch->bytes - bytes_before;

	if (batches->open_bytes >= MAX_OPEN_BYTES)
		send_batches(batches, batches->open, open_size(batches));
	else if ((batches->write->sends_here_at_once && goes_here(batch)) ||
			 batch->rows >= MAX_ROWS || batch->bytes >= MAX_BYTES ||
			 (batch->rows + 1) * batches->column_count + batches->args->count >
				 MAX_PARAMS)
		send_batches(batches, &batches->open[at], 1);
}

/* True if the node says to which of the rows a row of RETURNING belongs. */
static bool
is_numbered(const TessWrite *write)
{
	return write->returns && write->command != CMD_INSERT;
}

/* The text of a statement for so many rows. */
static char *
statement_text(const Batch *batch)
{
	const TessWrite *write = batch->batches->write;
	int param = batch->batches->args->count;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, tess_template_sql(write->head, batch->shard_id));
	for (int row = 0; row < batch->rows; row++)
	{
		const char *separator = row == 0 ? "(" : ", (";
		ListCell *cell;

		if (is_numbered(write))
		{
			appendStringInfo(&sql, "%s%d", separator, row);
			separator = ", ";
		}
		foreach(cell, write->row_casts)
		{
			appendStringInfo(&sql, "%s$%d%s", separator, ++param,
							 strVal(lfirst(cell)));
			separator = ", ";
		}
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, tess_template_sql(write->tail, batch->shard_id));
	return sql.data;
}

/* Queues a batch on a node.  In the batch's context. */
static void
queue_batch(Batch *batch, TessBranch *branch, const char *sql)
{
	TessBatches *batches = batch->batches;
	const TessParams *tail = &batches->tail_params;
	int row_params = batch->rows * batches->column_count;
	int count = tail->count + row_params;
	const char **values = palloc(count * sizeof(char *));
	int *lengths = palloc(count * sizeof(int));
	int *formats = palloc(count * sizeof(int));
	TessParams *params = palloc(sizeof(TessParams));
	Sending *sending = MemoryContextAlloc(batches->context, sizeof(Sending));

	for (int i = 0; i < tail->count; i++)
	{
		values[i] = tail->values[i];
		lengths[i] = tail->lengths[i];
		formats[i] = tail->formats[i];
	}
	memcpy(values + tail->count, batch->wire_values, row_params * sizeof(char *));
	memcpy(lengths + tail->count, batch->wire_lengths, row_params * sizeof(int));
	memcpy(formats + tail->count, batch->wire_formats, row_params * sizeof(int));

	params->count = count;
	params->types = wire_types(batches, batch->rows);
	params->values = values;
	params->lengths = lengths;
	params->formats = formats;
	sending->batch = batch;
	sending->branch = branch;
	/* texts for several rows are long, and of many lengths */
	tess_replies_queue(batches->replies, branch, sql, params,
					   batches->binary_result, batches->write->returns,
					   batch->rows == 1, sending);
}

/* The ordinal of a row of RETURNING: that of row number, or (-1) of the one
 * that comes next. */
static int64
ordinal_of(Batch *batch, int number)
{
	int next = Min(batch->returned, batch->rows - 1);

	batch->returned++;
	if (number >= batch->rows)
		elog(ERROR, "row %d of %d was returned", number, batch->rows);
	return batch->ordinals[number >= 0 ? number : next];
}

/* TessSlotSink */
static void
returned_here(void *owner, TupleTableSlot *slot)
{
	Batch *batch = owner;
	TessReturned returned = {0};
	int number = -1;
	bool isnull;

	if (!batch->batches->write->returns)
		return; /* what a function of ours says */
	if (is_numbered(batch->batches->write))
		number = DatumGetInt32(
			slot_getattr(slot, slot->tts_tupleDescriptor->natts, &isnull));
	returned.ordinal = ordinal_of(batch, number);
	returned.shard_index = batch->shard_index;
	returned.slot = slot;
	batch->batches->put_returned(batch->batches->owner, &returned);
}

/* TessRowSink */
static void
returned_remote(void *owner, void *tag, const PGresult *result, int row)
{
	TessBatches *batches = owner;
	Batch *batch = ((Sending *) tag)->batch;
	TessReturned returned = {0};

	if (batch->branch == NULL || !batches->write->returns)
		return; /* this server's copy has answered for all */
	returned.ordinal = ordinal_of(batch, is_numbered(batches->write)
											 ? tess_returned_number(result, row)
											 : -1);
	returned.shard_index = batch->shard_index;
	returned.replies = batches->replies;
	returned.result = result;
	returned.row = row;
	batches->put_returned(batches->owner, &returned);
}

/* Its context goes by itself. */
static void
forget_batch(Batch *batch)
{
	if (batch->ordinals != NULL)
		pfree(batch->ordinals);
	pfree(batch);
}

/* TessDoneSink */
static void
statement_done(void *owner, void *tag, PGresult *result)
{
	TessBatches *batches = owner;
	Sending *sending = tag;
	Batch *batch = sending->batch;
	uint64 processed = strtou64(PQcmdTuples(result), NULL, 10);

	if (batch->branch == NULL)
	{
		tess_copy_compare(batches->fragment->anchor, sending->branch,
						  batch->rows_here, processed);
		return;
	}
	batches->processed += processed;

	/* rows that come with the end of a statement need their ordinals */
	if (PQntuples(result) == 0)
	{
		forget_batch(batch);
		pfree(sending);
	}
}

static void
execute_here(Batch *batch, const char *sql)
{
	TessBatches *batches = batch->batches;
	const TessArgs *args = batches->args;
	int row_params = batch->rows * batches->column_count;
	int count = args->count + row_params;
	Oid *types = palloc(count * sizeof(Oid));
	Datum *values = palloc(count * sizeof(Datum));
	bool *nulls = palloc(count * sizeof(bool));

	for (int i = 0; i < args->count; i++)
	{
		types[i] = args->types[i];
		values[i] = args->values[i];
		nulls[i] = args->nulls[i];
	}
	for (int i = 0; i < row_params; i++)
		types[args->count + i] = batches->types[i % batches->column_count];
	memcpy(values + args->count, batch->values, row_params * sizeof(Datum));
	memcpy(nulls + args->count, batch->nulls, row_params * sizeof(bool));

	batch->rows_here = tess_exec_here(sql,
									  tess_args_param_list(count, types, values,
														   nulls),
									  NULL, true, batches->fragment->role,
									  tess_row_receiver_make(batch,
															 returned_here));
	batches->processed += batch->rows_here;
}

/* This server's copy first: its row locks let one writer at a time go on. */
static void
send_to_copies(Batch *batch)
{
	TessBatches *batches = batch->batches;
	char *sql = statement_text(batch);
	ListCell *cell;

	execute_here(batch, sql);

	/* all of them before anything is queued, which must not be read past */
	foreach(cell, batches->copies)
		tess_replies_collect(batches->replies, lfirst(cell), MAX_OWED - 1);
	foreach(cell, batches->copies)
		queue_batch(batch, lfirst(cell), sql);
	tess_replies_flush(batches->replies);
}

static void
send_to_shards(TessBatches *batches, List *others, List *here)
{
	ListCell *cell;

	foreach(cell, others)
		tess_replies_collect(batches->replies, ((Batch *) lfirst(cell))->branch,
							 MAX_OWED - 1);
	foreach(cell, others)
	{
		Batch *batch = lfirst(cell);
		MemoryContext old_context = MemoryContextSwitchTo(batch->context);

		queue_batch(batch, batch->branch, statement_text(batch));
		MemoryContextSwitchTo(old_context);
	}
	tess_replies_flush(batches->replies);

	/* the nodes are at work meanwhile */
	foreach(cell, here)
	{
		Batch *batch = lfirst(cell);
		MemoryContext old_context = MemoryContextSwitchTo(batch->context);

		execute_here(batch, statement_text(batch));
		MemoryContextSwitchTo(old_context);
		forget_batch(batch);
	}
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
		if (goes_here(batch))
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

		send_to_copies(linitial(here));
		MemoryContextSwitchTo(old_context);
	}
	else
		send_to_shards(batches, others, here);

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

/* Indexes of the shards that got rows. */
const Bitmapset *
tess_batches_shards(const TessBatches *batches)
{
	return batches->shards;
}

/* Sends what is left and waits for all answers; the number of rows that the
 * nodes have processed. */
uint64
tess_batches_finish(TessBatches *batches, TessScanFigures *figures)
{
	batches->is_one = batches->sent == 0 &&
					  bms_membership(batches->shards) == BMS_SINGLETON;
	tess_batches_send(batches);
	tess_replies_collect(batches->replies, NULL, 0);
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
