/*
 * batch_send.c - batches of rows become statements, and these have answers.
 *
 * A reference table has one batch, which is executed on this server first and
 * then sent to all other nodes.
 */
#include "postgres.h"

#include "exec/batch_internal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* A statement for one node: what comes back with its replies. */
typedef struct Sending
{
	Batch *batch;
	TessBranch *branch;
} Sending;

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

/* True if the node says to which of the rows a row of RETURNING belongs. */
static bool
is_numbered(const TessWrite *write)
{
	return write->returns && write->command != CMD_INSERT;
}

/* See exec_internal.h. */
char *
tess_write_sql(const TessWrite *write, int64 shard_id, int rows, int tail_params)
{
	int param = tail_params;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, tess_template_sql(write->head, shard_id));
	for (int row = 0; row < rows; row++)
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
	appendStringInfoString(&sql, tess_template_sql(write->tail, shard_id));
	return sql.data;
}

static char *
statement_text(const Batch *batch)
{
	const TessBatches *batches = batch->batches;

	if (tess_batch_is_arrays(batch))
		return tess_batch_arrays_sql(batch);
	return tess_write_sql(batches->write, batch->shard_id, batch->rows,
						  batches->args->count);
}

/* Parameters of a statement: those of the tail, and room for count others behind
 * them.  In the current context. */
TessBatchParams
tess_batch_params_begin(const TessParams *tail, int count)
{
	int all = tail->count + count;
	const char **values = palloc(all * sizeof(char *));
	int *lengths = palloc(all * sizeof(int));
	int *formats = palloc(all * sizeof(int));
	TessParams *params = palloc0(sizeof(TessParams));

	for (int i = 0; i < tail->count; i++)
	{
		values[i] = tail->values[i];
		lengths[i] = tail->lengths[i];
		formats[i] = tail->formats[i];
	}
	params->count = all;
	params->values = values;
	params->lengths = lengths;
	params->formats = formats;
	return (TessBatchParams){params, values + tail->count,
							 lengths + tail->count, formats + tail->count};
}

/* The parameters of VALUES.  In the current context. */
static TessParams *
make_values_params(Batch *batch)
{
	TessBatches *batches = batch->batches;
	const TessParams *tail = &batches->tail_params;
	int count = batch->rows * batches->column_count;
	TessBatchParams own = tess_batch_params_begin(tail, count);

	memcpy(own.values, batch->wire_values, count * sizeof(char *));
	memcpy(own.lengths, batch->wire_lengths, count * sizeof(int));
	memcpy(own.formats, batch->wire_formats, count * sizeof(int));
	own.params->types = wire_types(batches, batch->rows);
	return own.params;
}

/* The parameters of a batch's statement.  In the current context. */
static TessParams *
make_params(Batch *batch)
{
	return tess_batch_is_arrays(batch) ? tess_batch_arrays_params(batch)
									   : make_values_params(batch);
}

/* Texts with many VALUES are long, and of many lengths. */
static bool
comes_again(const Batch *batch)
{
	return batch->rows == 1 || tess_batch_is_arrays(batch);
}

/* Queues a batch on a node.  In the batch's context. */
static void
queue_batch(Batch *batch, TessBranch *branch, const char *sql)
{
	TessBatches *batches = batch->batches;
	Sending *sending = MemoryContextAlloc(batches->context, sizeof(Sending));

	sending->batch = batch;
	sending->branch = branch;
	tess_replies_queue(batches->replies, branch, sql, make_params(batch),
					   batches->binary_result, batches->write->returns,
					   comes_again(batch), sending);
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
void
tess_batch_returned_remote(void *owner, void *tag, const PGresult *result,
						   int row)
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
void
tess_batch_statement_done(void *owner, void *tag, PGresult *result)
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
void
tess_batch_send_to_copies(Batch *batch)
{
	TessBatches *batches = batch->batches;
	char *sql = statement_text(batch);
	bool fires = batches->all_of != NULL &&
				 tess_copy_triggers_begin(batches->all_of, false);
	ListCell *cell;

	execute_here(batch, sql);
	if (fires)
		tess_copy_triggers_fire(batches->all_of);

	/* all of them before anything is queued, which must not be read past */
	foreach(cell, batches->copies)
		tess_replies_collect(batches->replies, lfirst(cell),
							 TESS_BATCH_MAX_OWED - 1);
	foreach(cell, batches->copies)
		queue_batch(batch, lfirst(cell), sql);
	tess_replies_flush(batches->replies);
}

void
tess_batches_send_to_shards(TessBatches *batches, List *others, List *here)
{
	ListCell *cell;

	foreach(cell, others)
		tess_replies_collect(batches->replies, ((Batch *) lfirst(cell))->branch,
							 TESS_BATCH_MAX_OWED - 1);
	foreach(cell, others)
	{
		Batch *batch = lfirst(cell);
		MemoryContext old_context = MemoryContextSwitchTo(batch->context);

		queue_batch(batch, batch->branch, statement_text(batch));
		MemoryContextSwitchTo(old_context);
	}
	batches->prepares = batches->is_last_act && here == NIL &&
						tess_xact_prepare_early();
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

/* TessTakeAnswer */
static void
returned_alone(void *arg, const PGresult *result)
{
	Sending *sending = arg;

	for (int row = 0; row < PQntuples(result); row++)
		tess_batch_returned_remote(sending->batch->batches, sending, result, row);
}

/* The transaction is this batch: it commits with it.  Returns how many rows the
 * node has processed. */
uint64
tess_batch_run_alone(Batch *batch)
{
	const TessBatches *batches = batch->batches;
	MemoryContext old_context = MemoryContextSwitchTo(batch->context);
	Sending sending = {batch, batch->branch};
	TessAloneWrite write = {.node_id = batch->branch->node_id,
							.role = batches->fragment->role,
							.sql = statement_text(batch),
							.params = make_params(batch),
							.comes_again = comes_again(batch),
							.take_rows = batches->write->returns ? returned_alone
																 : NULL,
							.arg = &sending,
							.binary_rows = batches->binary_result};
	uint64 processed = tess_xact_run_alone(&write);

	MemoryContextSwitchTo(old_context);
	return processed;
}
