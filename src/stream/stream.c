/*
 * stream.c - rows and lines are dealt out to queues, and queues are sent as
 * pieces.
 *
 * A queue is a shard, or for reference tables all copies together.  Where what
 * writing rows depends on has to be pinned for it, they are first kept as they
 * are and written to the queues in batches; lines of an input go there as they
 * came.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/base.h"
#include "route/route.h"
#include "stream/stream_internal.h"

#define BATCH_ROWS 1000
#define BATCH_BYTES (256 * 1024)
/* A buffer of a megabyte is not doubled for it. */
#define PIECE_BYTES (1024 * 1024 - 32 * 1024)
/* Larger ones are those of single large rows. */
#define KEPT_BYTES (1024 * 1024)
/* Of memory, which is up to twice what the queues hold. */
#define ALL_PIECES_BYTES (40 * 1024 * 1024)

struct TessStream
{
	const TessTable *table;
	List *column_names; /* of String */
	List *options;		/* of the COPY that fills a shard, of DefElem */
	char *options_text; /* the same as SQL; "" without any */
	TessSender *sender;
	int piece_count;
	TessPiece *pieces;
	Size allocated_bytes; /* of all pieces */
	MemoryContext context;

	/* rows; NULL if lines come */
	TessRowWriter *writer;
	MinimalTuple *batch; /* in batch_context */
	uint64 *batch_lines; /* of the input; 0: from none */
	int batch_count;
	Size batch_bytes;
	TupleTableSlot *batch_slot;
	MemoryContext batch_context;
};

static TessStream *make_row_stream(const TessTable *table, List *attnums);
static TessStream *make_stream(const TessTable *table, TupleDesc desc,
							   List *attnums);
static void add_queues(TessStream *stream, bool include_local);
static void add_shard_queues(TessStream *stream);
static Oid local_shard(const TessTable *table, int64 shard_id);
static void add_copy_queue(TessStream *stream, List *nodes, bool include_local);
static void prepare_piece(const TessStream *stream, TessPiece *piece,
						  const char *relation);
static char *copy_text(const TessStream *stream, const char *relation);
static void keep_row(TessStream *stream, TupleTableSlot *slot, uint64 line);
static void write_batch(TessStream *stream);
static TessPiece *write_row(TessStream *stream, int queue, TupleTableSlot *slot,
							uint64 line);
static int queue_of_row(const TessStream *stream, TupleTableSlot *slot);
static void append(TessStream *stream, TessPiece *piece, const char *bytes,
				   int length, const char *end, uint64 line, int node_lines);
static void begin_piece(const TessStream *stream, TessPiece *piece);
static Size allocated(const TessPiece *piece);
static bool is_full(const TessStream *stream, const TessPiece *piece);
static void send_full(TessStream *stream, TessPiece *piece);
static void free_piece(TessStream *stream, TessPiece *piece);
static TessPiece *largest_piece(TessStream *stream);
static void send_piece(TessStream *stream, TessPiece *piece);

TessStream *
tess_stream_begin(const TessTable *table, List *attnums, bool include_local)
{
	TessStream *stream = make_row_stream(table, attnums);

	add_queues(stream, include_local);
	return stream;
}

TessStream *
tess_stream_begin_node(const TessTable *table, List *attnums, int32 node_id)
{
	TessStream *stream = make_row_stream(table, attnums);
	const TessNode *node = tess_meta_node(node_id);

	add_copy_queue(stream, list_make1(unconstify(TessNode *, node)), false);
	return stream;
}

/* A stream of lines of an input, in the server's encoding, that nodes read with
 * these options (of DefElem, and as SQL). */
TessStream *
tess_stream_begin_lines(const TessTable *table, TupleDesc desc, List *attnums,
						List *options, char *options_text)
{
	TessStream *stream = make_stream(table, desc, attnums);
	Node *encoding = (Node *) makeString(pstrdup(GetDatabaseEncodingName()));

	stream->options = lappend(list_copy(options),
							  makeDefElem("encoding", encoding, -1));
	stream->options_text = options_text;
	add_queues(stream, true);
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
make_row_stream(const TessTable *table, List *attnums)
{
	Relation rel = table_open(table->relation, NoLock);
	TupleDesc desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	TessStream *stream = make_stream(table, desc, attnums);

	table_close(rel, NoLock);
	stream->writer = tess_row_writer_make(desc, attnums);
	stream->options_text = "";
	if (tess_row_writer_is_binary(stream->writer))
	{
		stream->options = list_make1(
			makeDefElem("format", (Node *) makeString(pstrdup("binary")), -1));
		stream->options_text = " (FORMAT binary)";
	}
	stream->batch_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	stream->batch = palloc(sizeof(MinimalTuple) * BATCH_ROWS);
	stream->batch_lines = palloc(sizeof(uint64) * BATCH_ROWS);
	stream->batch_context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera stream batch",
												  ALLOCSET_DEFAULT_SIZES);
	return stream;
}

static TessStream *
make_stream(const TessTable *table, TupleDesc desc, List *attnums)
{
	TessStream *stream = palloc0(sizeof(TessStream));
	ListCell *lc;

	stream->table = table;
	stream->context = CurrentMemoryContext;
	stream->sender = tess_sender_make(table->name);
	foreach(lc, attnums)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, lfirst_int(lc) - 1);

		stream->column_names = lappend(stream->column_names,
									   makeString(pstrdup(
										   NameStr(attribute->attname))));
	}
	return stream;
}

static void
add_queues(TessStream *stream, bool include_local)
{
	if (stream->table->kind == TESS_REFERENCE)
		add_copy_queue(stream, tess_meta_remote_nodes(), include_local);
	else
		add_shard_queues(stream);
}

static void
add_shard_queues(TessStream *stream)
{
	const TessTable *table = stream->table;
	const TessGroup *group = table->group;

	stream->piece_count = group->shard_count;
	stream->pieces = palloc0(sizeof(TessPiece) * group->shard_count);
	for (int i = 0; i < group->shard_count; i++)
	{
		const TessShard *shard = &group->shards[i];
		TessPiece *piece = &stream->pieces[i];

		prepare_piece(stream, piece,
					  tess_meta_shard_relation(table, shard->shard_id));
		piece->node_count = shard->node_count;
		piece->node_ids = shard->node_ids;
		for (int j = 0; j < shard->node_count; j++)
		{
			if (tess_meta_node(shard->node_ids[j])->is_local)
				piece->local_relation = local_shard(table, shard->shard_id);
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
	TessPiece *piece = palloc0(sizeof(TessPiece));
	ListCell *lc;

	foreach(lc, nodes)
		node_ids[piece->node_count++] = ((const TessNode *) lfirst(lc))->node_id;
	prepare_piece(stream, piece,
				  tess_quote_qualified(table->schema, table->name));
	piece->node_ids = node_ids;
	if (include_local)
		piece->local_relation = table->relation;
	stream->piece_count = 1;
	stream->pieces = piece;
}

static void
prepare_piece(const TessStream *stream, TessPiece *piece, const char *relation)
{
	tess_lines_reset(&piece->lines);
	piece->copy_sql = copy_text(stream, relation);
	piece->column_names = stream->column_names;
	piece->options = stream->options;
	piece->writer = stream->writer;
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
	appendStringInfo(&sql, " FROM STDIN%s", stream->options_text);
	return sql.data;
}

void
tess_stream_put(TessStream *stream, TupleTableSlot *slot, uint64 line)
{
	MemoryContext caller;
	TessPiece *full;
	int queue;

	if (tess_row_writer_needs_pin(stream->writer))
	{
		keep_row(stream, slot, line);
		return;
	}
	if (stream->batch_count > 0)
		write_batch(stream);
	queue = queue_of_row(stream, slot);
	caller = MemoryContextSwitchTo(stream->context);
	full = write_row(stream, queue, slot, line);
	if (full != NULL)
		send_full(stream, full);
	MemoryContextSwitchTo(caller);
}

/* Keeps a copy of a row, to be written with others. */
static void
keep_row(TessStream *stream, TupleTableSlot *slot, uint64 line)
{
	MemoryContext caller = MemoryContextSwitchTo(stream->batch_context);
	MinimalTuple tuple = ExecCopySlotMinimalTuple(slot);

	MemoryContextSwitchTo(caller);
	stream->batch_lines[stream->batch_count] = line;
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
		TessPiece *full;
		int queue;

		ExecStoreMinimalTuple(stream->batch[i], stream->batch_slot, false);
		MemoryContextSwitchTo(stream->batch_context);
		queue = queue_of_row(stream, stream->batch_slot);
		MemoryContextSwitchTo(stream->context);
		full = write_row(stream, queue, stream->batch_slot,
						 stream->batch_lines[i]);
		if (full == NULL)
			continue;
		/* The session sees the user's settings, not the pinned ones. */
		tess_row_writer_unpin(level);
		send_full(stream, full);
		level = tess_row_writer_pin(stream->writer);
	}
	tess_row_writer_unpin(level);
	ExecClearTuple(stream->batch_slot);
	stream->batch_count = 0;
	stream->batch_bytes = 0;
	MemoryContextReset(stream->batch_context);
	MemoryContextSwitchTo(caller);
}

/* Writes a row to a queue, which is returned if it is full; NULL: it is not.
 * In the stream's context. */
static TessPiece *
write_row(TessStream *stream, int queue, TupleTableSlot *slot, uint64 line)
{
	TessPiece *piece = &stream->pieces[queue];
	Size before = allocated(piece);

	begin_piece(stream, piece);
	tess_row_writer_put(stream->writer, slot, &piece->bytes);
	if (line > 0)
		tess_lines_add(&piece->lines, line, 1);
	stream->allocated_bytes += allocated(piece) - before;
	return is_full(stream, piece) ? piece : NULL;
}

static int
queue_of_row(const TessStream *stream, TupleTableSlot *slot)
{
	Datum key = (Datum) 0;
	bool isnull = true;

	if (stream->table->kind == TESS_DISTRIBUTED)
		key = slot_getattr(slot, stream->table->key_attnum, &isnull);
	return tess_stream_queue(stream, key, isnull);
}

/* The column that decides about queues; 0: there is but one queue. */
AttrNumber
tess_stream_key(const TessStream *stream)
{
	return stream->table->key_attnum;
}

/* The queue of rows with this key. */
int
tess_stream_queue(const TessStream *stream, Datum key, bool isnull)
{
	const TessTable *table = stream->table;

	if (table->kind == TESS_REFERENCE)
		return 0;
	return tess_route_value(table->group, key, isnull, table->key_type);
}

/* A line of the input, without what ends it, for a queue.  What is in quotes of
 * it may have ends of lines, which the node counts too. */
void
tess_stream_put_line(TessStream *stream, int queue, const char *text,
					 int length, const TessRawNumber *number)
{
	TessPiece *piece = &stream->pieces[queue];
	int node_lines;

	/* As core counts: what ends lines is known once the first one has ended. */
	node_lines = 1 + (piece->bytes.len == 0 ? number->quoted_returns
											: number->quoted_newlines);
	append(stream, piece, text, length, number->ends_data ? "" : "\n",
		   number->line, node_lines);
}

/* What writes its rows; NULL for lines. */
TessRowWriter *
tess_stream_writer(const TessStream *stream)
{
	return stream->writer;
}

bool
tess_stream_is_binary(const TessStream *stream)
{
	return stream->writer != NULL && tess_row_writer_is_binary(stream->writer);
}

/* A row for a queue, as a binary stream has it. */
void
tess_stream_put_bytes(TessStream *stream, int queue, const char *bytes,
					  int length, uint64 line)
{
	/* Lines of the input do not come in another order. */
	if (stream->batch_count > 0)
		write_batch(stream);
	append(stream, &stream->pieces[queue], bytes, length, "", line, 1);
}

static void
append(TessStream *stream, TessPiece *piece, const char *bytes, int length,
	   const char *end, uint64 line, int node_lines)
{
	MemoryContext caller = MemoryContextSwitchTo(stream->context);
	Size before = allocated(piece);

	begin_piece(stream, piece);
	appendBinaryStringInfo(&piece->bytes, bytes, length);
	appendStringInfoString(&piece->bytes, end);
	if (line > 0)
		tess_lines_add(&piece->lines, line, node_lines);
	stream->allocated_bytes += allocated(piece) - before;
	if (is_full(stream, piece))
		send_full(stream, piece);
	MemoryContextSwitchTo(caller);
}

static void
begin_piece(const TessStream *stream, TessPiece *piece)
{
	if (piece->bytes.len > 0)
		return;
	if (piece->bytes.data == NULL)
		initStringInfo(&piece->bytes);
	if (stream->writer)
		tess_row_writer_start(stream->writer, &piece->bytes);
}

static Size
allocated(const TessPiece *piece)
{
	return (piece->bytes.data ? piece->bytes.maxlen : 0) +
		   (piece->lines.bytes.data ? piece->lines.bytes.maxlen : 0);
}

static bool
is_full(const TessStream *stream, const TessPiece *piece)
{
	return piece->bytes.len >= PIECE_BYTES ||
		   stream->allocated_bytes >= ALL_PIECES_BYTES;
}

/* This one, whose memory is for the next rows; or the largest one, so that all
 * together take less. */
static void
send_full(TessStream *stream, TessPiece *piece)
{
	bool is_large = piece->bytes.len >= PIECE_BYTES;

	if (!is_large)
		piece = largest_piece(stream);
	send_piece(stream, piece);
	if (is_large && piece->bytes.maxlen <= KEPT_BYTES)
		return;
	free_piece(stream, piece);
}

static void
free_piece(TessStream *stream, TessPiece *piece)
{
	stream->allocated_bytes -= allocated(piece);
	if (piece->bytes.data != NULL)
		pfree(piece->bytes.data);
	piece->bytes.data = NULL;
	piece->bytes.len = 0;
	tess_lines_free(&piece->lines);
}

static TessPiece *
largest_piece(TessStream *stream)
{
	TessPiece *largest = &stream->pieces[0];

	for (int i = 1; i < stream->piece_count; i++)
	{
		if (stream->pieces[i].bytes.len > largest->bytes.len)
			largest = &stream->pieces[i];
	}
	return largest;
}

/* It has no rows then, but its memory. */
static void
send_piece(TessStream *stream, TessPiece *piece)
{
	CHECK_FOR_INTERRUPTS();
	TESS_FAULT_POINT("stream_piece");
	if (stream->writer)
		tess_row_writer_finish(stream->writer, &piece->bytes);
	tess_sender_send(stream->sender, piece);
	resetStringInfo(&piece->bytes);
	tess_lines_clear(&piece->lines);
}

uint64
tess_stream_end(TessStream *stream)
{
	uint64 rows;

	if (stream->writer)
		write_batch(stream);
	for (int i = 0; i < stream->piece_count; i++)
	{
		if (stream->pieces[i].bytes.len > 0)
			send_piece(stream, &stream->pieces[i]);
		free_piece(stream, &stream->pieces[i]);
	}
	rows = tess_sender_finish(stream->sender);
	if (stream->writer != NULL)
	{
		ExecDropSingleTupleTableSlot(stream->batch_slot);
		MemoryContextDelete(stream->batch_context);
	}
	return rows;
}

void
tess_stream_raise(TessStream *stream, ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
			/* Who wants it to end, or is gone, does not wait. */
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_SYSTEM_ERROR:
			break;
		default:
			(void) tess_stream_end(stream);
	}
	ReThrowError(error);
}
