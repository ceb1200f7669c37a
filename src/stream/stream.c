/*
 * stream.c - rows are dealt out to queues, and queues are sent as COPY.
 *
 * A queue is a shard, or for reference tables all copies together.  Rows are
 * first kept as they are and written to the queues in batches, because what
 * writing depends on has to be pinned for it.  Of each node one COPY may be
 * unfinished while rows go on being read here; it is finished before the
 * session is used again.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/base.h"
#include "net/net.h"
#include "route/route.h"
#include "stream/stream_internal.h"
#include "xact/xact.h"

#define BATCH_ROWS 1000
#define BATCH_BYTES (256 * 1024)
#define QUEUE_BYTES (1024 * 1024)
#define ALL_QUEUES_BYTES (32 * 1024 * 1024)

typedef struct RowQueue
{
	StringInfoData bytes; /* data NULL: nothing queued */
	char *copy_sql;
	int node_count;
	const int32 *node_ids;
	Oid local_relation; /* filled in process, or InvalidOid */
} RowQueue;

/* A node's session while a COPY of ours is unfinished on it. */
typedef struct NodeCopy
{
	int32 node_id;
	TessSession *session;
} NodeCopy;

struct TessStream
{
	const TessTable *table;
	TessRowWriter *writer;
	List *column_names; /* of String */
	int queue_count;
	RowQueue *queues;
	Size queued_bytes;
	int copy_count;
	NodeCopy *copies;
	uint64 rows;

	MinimalTuple *batch; /* in batch_context */
	int batch_count;
	Size batch_bytes;
	TupleTableSlot *batch_slot;
	MemoryContext context;
	MemoryContext batch_context;
};

static TessStream *make_stream(const TessTable *table, List *attnums);
static void add_shard_queues(TessStream *stream);
static Oid local_shard(const TessTable *table, int64 shard_id);
static void add_copy_queue(TessStream *stream, List *nodes, bool include_local);
static char *copy_text(const TessStream *stream, const char *relation);
static void write_batch(TessStream *stream);
static RowQueue *queue_of_row(TessStream *stream, TupleTableSlot *slot);
static RowQueue *largest_queue(TessStream *stream);
static void send_queue(TessStream *stream, RowQueue *queue);
static void send_to_node(TessStream *stream, RowQueue *queue, int32 node_id);
static NodeCopy *copy_of_node(TessStream *stream, int32 node_id);
static void finish_copy(NodeCopy *copy);
static void drain_copy(void *owner, TessSession *session);

TessStream *
tess_stream_begin(const TessTable *table, List *attnums, bool include_local)
{
	TessStream *stream = make_stream(table, attnums);

	if (table->kind == TESS_REFERENCE)
		add_copy_queue(stream, tess_meta_remote_nodes(), include_local);
	else
		add_shard_queues(stream);
	return stream;
}

TessStream *
tess_stream_begin_node(const TessTable *table, List *attnums, int32 node_id)
{
	TessStream *stream = make_stream(table, attnums);
	const TessNode *node = tess_meta_node(node_id);

	add_copy_queue(stream, list_make1(unconstify(TessNode *, node)), false);
	return stream;
}

List *
tess_stream_columns(TupleDesc desc)
{
	List *attnums = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && attribute->attgenerated == '\0')
			attnums = lappend_int(attnums, i + 1);
	}
	return attnums;
}

static TessStream *
make_stream(const TessTable *table, List *attnums)
{
	TessStream *stream = palloc0(sizeof(TessStream));
	Relation rel = table_open(table->relation, NoLock);
	TupleDesc desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	int node_count;
	ListCell *lc;

	table_close(rel, NoLock);
	stream->table = table;
	stream->context = CurrentMemoryContext;
	stream->writer = tess_row_writer_make(desc, attnums);
	foreach(lc, attnums)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, lfirst_int(lc) - 1);

		stream->column_names = lappend(stream->column_names,
									   makeString(pstrdup(
										   NameStr(attribute->attname))));
	}
	(void) tess_meta_nodes(&node_count);
	stream->copies = palloc0(sizeof(NodeCopy) * Max(node_count, 1));
	stream->batch_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	stream->batch = palloc(sizeof(MinimalTuple) * BATCH_ROWS);
	stream->batch_context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera stream batch",
												  ALLOCSET_DEFAULT_SIZES);
	return stream;
}

static void
add_shard_queues(TessStream *stream)
{
	const TessTable *table = stream->table;
	const TessGroup *group = table->group;

	stream->queue_count = group->shard_count;
	stream->queues = palloc0(sizeof(RowQueue) * group->shard_count);
	for (int i = 0; i < group->shard_count; i++)
	{
		const TessShard *shard = &group->shards[i];
		RowQueue *queue = &stream->queues[i];

		queue->copy_sql = copy_text(stream,
									tess_meta_shard_relation(table,
															 shard->shard_id));
		queue->node_count = shard->node_count;
		queue->node_ids = shard->node_ids;
		for (int j = 0; j < shard->node_count; j++)
		{
			if (tess_meta_node(shard->node_ids[j])->is_local)
				queue->local_relation = local_shard(table, shard->shard_id);
		}
	}
}

/* The table of a shard on this server: without it, rows would be lost. */
static Oid
local_shard(const TessTable *table, int64 shard_id)
{
	char *schema = tess_shard_schema_name(table->schema, shard_id);
	Oid relation = get_relname_relid(table->name,
									 get_namespace_oid(schema, false));

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", schema, table->name),
				 errhint("It is a shard of table \"%s\".", table->name)));
	return relation;
}

static void
add_copy_queue(TessStream *stream, List *nodes, bool include_local)
{
	const TessTable *table = stream->table;
	int32 *node_ids = palloc(sizeof(int32) * Max(list_length(nodes), 1));
	RowQueue *queue = palloc0(sizeof(RowQueue));
	ListCell *lc;

	foreach(lc, nodes)
		node_ids[queue->node_count++] = ((const TessNode *) lfirst(lc))->node_id;
	queue->node_ids = node_ids;
	queue->copy_sql = copy_text(stream, tess_quote_qualified(table->schema,
															 table->name));
	if (include_local)
		queue->local_relation = table->relation;
	stream->queue_count = 1;
	stream->queues = queue;
}

static char *
copy_text(const TessStream *stream, const char *relation)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "COPY %s", relation);
	/* Without columns: all that are not generated, of which there are none. */
	foreach(lc, stream->column_names)
		appendStringInfo(&sql, "%s%s",
						 foreach_current_index(lc) > 0 ? ", " : " (",
						 quote_identifier(strVal(lfirst(lc))));
	if (stream->column_names != NIL)
		appendStringInfoChar(&sql, ')');
	appendStringInfoString(&sql, " FROM STDIN");
	if (tess_row_writer_is_binary(stream->writer))
		appendStringInfoString(&sql, " (FORMAT binary)");
	return sql.data;
}

void
tess_stream_put(TessStream *stream, TupleTableSlot *slot)
{
	MemoryContext caller = MemoryContextSwitchTo(stream->batch_context);
	MinimalTuple tuple = ExecCopySlotMinimalTuple(slot);

	MemoryContextSwitchTo(caller);
	stream->batch[stream->batch_count++] = tuple;
	stream->batch_bytes += tuple->t_len;
	if (stream->batch_count == BATCH_ROWS || stream->batch_bytes >= BATCH_BYTES)
		write_batch(stream);
}

/* Writes the kept rows to their queues, and sends queues that are full. */
static void
write_batch(TessStream *stream)
{
	MemoryContext caller = MemoryContextSwitchTo(stream->context);
	int level = tess_row_writer_pin(stream->writer);

	for (int i = 0; i < stream->batch_count; i++)
	{
		RowQueue *queue;
		int length;

		ExecStoreMinimalTuple(stream->batch[i], stream->batch_slot, false);
		queue = queue_of_row(stream, stream->batch_slot);
		if (queue->bytes.data == NULL)
		{
			initStringInfo(&queue->bytes);
			tess_row_writer_start(stream->writer, &queue->bytes);
			stream->queued_bytes += queue->bytes.len;
		}
		length = queue->bytes.len;
		tess_row_writer_put(stream->writer, stream->batch_slot, &queue->bytes);
		stream->queued_bytes += queue->bytes.len - length;
		if (queue->bytes.len < QUEUE_BYTES &&
			stream->queued_bytes < ALL_QUEUES_BYTES)
			continue;
		/* The session sees the user's settings, not the pinned ones. */
		tess_row_writer_unpin(level);
		send_queue(stream, queue->bytes.len >= QUEUE_BYTES
							   ? queue
							   : largest_queue(stream));
		level = tess_row_writer_pin(stream->writer);
	}
	tess_row_writer_unpin(level);
	ExecClearTuple(stream->batch_slot);
	stream->rows += stream->batch_count;
	stream->batch_count = 0;
	stream->batch_bytes = 0;
	MemoryContextReset(stream->batch_context);
	MemoryContextSwitchTo(caller);
}

static RowQueue *
queue_of_row(TessStream *stream, TupleTableSlot *slot)
{
	const TessTable *table = stream->table;
	Datum key;
	bool isnull;

	if (table->kind == TESS_REFERENCE)
		return &stream->queues[0];
	key = slot_getattr(slot, table->key_attnum, &isnull);
	return &stream->queues[tess_route_value(table->group, key, isnull,
											table->key_type)];
}

static RowQueue *
largest_queue(TessStream *stream)
{
	RowQueue *largest = &stream->queues[0];

	for (int i = 1; i < stream->queue_count; i++)
	{
		if (stream->queues[i].bytes.data != NULL &&
			(largest->bytes.data == NULL ||
			 stream->queues[i].bytes.len > largest->bytes.len))
			largest = &stream->queues[i];
	}
	return largest;
}

/* This server's own copy first: writers of reference tables meet there. */
static void
send_queue(TessStream *stream, RowQueue *queue)
{
	CHECK_FOR_INTERRUPTS();
	stream->queued_bytes -= queue->bytes.len;
	tess_row_writer_finish(stream->writer, &queue->bytes);
	if (OidIsValid(queue->local_relation))
	{
		int level = tess_row_writer_pin(stream->writer);

		(void) tess_stream_fill_local(queue->local_relation, stream->column_names,
									  tess_row_writer_is_binary(stream->writer),
									  &queue->bytes);
		tess_row_writer_unpin(level);
	}
	for (int i = 0; i < queue->node_count; i++)
	{
		if (!tess_meta_node(queue->node_ids[i])->is_local)
			send_to_node(stream, queue, queue->node_ids[i]);
	}
	pfree(queue->bytes.data);
	queue->bytes.data = NULL;
}

static void
send_to_node(TessStream *stream, RowQueue *queue, int32 node_id)
{
	NodeCopy *copy = copy_of_node(stream, node_id);

	finish_copy(copy);
	copy->session = tess_xact_session(node_id, InvalidOid, TESS_WRITE);
	tess_session_claim(copy->session, copy, drain_copy);
	tess_session_copy_begin(copy->session, queue->copy_sql);
	tess_session_copy_put(copy->session, queue->bytes.data, queue->bytes.len);
}

static NodeCopy *
copy_of_node(TessStream *stream, int32 node_id)
{
	NodeCopy *copy;

	for (int i = 0; i < stream->copy_count; i++)
	{
		if (stream->copies[i].node_id == node_id)
			return &stream->copies[i];
	}
	copy = &stream->copies[stream->copy_count++];
	copy->node_id = node_id;
	return copy;
}

static void
finish_copy(NodeCopy *copy)
{
	TessSession *session = copy->session;

	if (session == NULL)
		return;
	copy->session = NULL;
	(void) tess_session_copy_end(session);
	tess_session_unclaim(session, copy);
}

/* Someone else needs the session. */
static void
drain_copy(void *owner, TessSession *session)
{
	NodeCopy *copy = owner;

	copy->session = NULL;
	(void) tess_session_copy_end(session);
}

uint64
tess_stream_end(TessStream *stream)
{
	write_batch(stream);
	for (int i = 0; i < stream->queue_count; i++)
	{
		if (stream->queues[i].bytes.data != NULL)
			send_queue(stream, &stream->queues[i]);
	}
	for (int i = 0; i < stream->copy_count; i++)
		finish_copy(&stream->copies[i]);
	ExecDropSingleTupleTableSlot(stream->batch_slot);
	MemoryContextDelete(stream->batch_context);
	return stream->rows;
}
