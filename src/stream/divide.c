/*
 * divide.c - rows of shards that go to other shards: the server that has them
 * writes them as COPY wants them, already divided by the queues of the stream that
 * will get them.
 *
 * So the server in between passes on bytes, thousands of rows at a time, and
 * converts nothing.  The one with the rows knows no shards but its own: it is told
 * where the ranges of hash values begin, and computes these as all servers do.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"

#include "route/route.h"
#include "stream/stream_internal.h"

PG_FUNCTION_INFO_V1(tess_rows_fetch_divided);

/* What one call gives, but for single large rows. */
#define DIVIDED_BYTES (1024 * 1024)
/* Rows are fetched in steps, as many as are expected to fit; first this many. */
#define FIRST_STEP_ROWS 50
#define MAX_STEP_ROWS 10000

/* Of a message: length word of a bytea, queue, number of rows. */
#define ROWS_OFFSET (VARHDRSZ + 2 * sizeof(int32))

/* The queue of the last message. */
#define QUEUE_OF_MORE (-1)

typedef struct Queue
{
	StringInfoData bytes; /* a bytea; data NULL: no rows */
	int32 rows;
} Queue;

/* One call: rows are divided as they come, and then given out. */
typedef struct Division
{
	DestReceiver dest;
	TessRowWriter *writer;
	int key; /* attribute number in the cursor's rows; 0: NULL */
	TessGroup group;
	int queue_count;
	Queue *queues;
	MemoryContext context;
	Size bytes;
	uint64 rows;
	bool may_have_more;
	int next; /* queue to be given out */
} Division;

/* the node's side -------------------------------------------------------------- */

/* Members of an array argument; *count of them. */
static int32 *
int_argument(FunctionCallInfo fcinfo, int number, int *count)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(number);

	if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument %d has to be a list of numbers", number + 1)));
	*count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return (int32 *) ARR_DATA_PTR(array);
}

static Portal
find_cursor(const char *name)
{
	Portal portal = GetPortalByName(name);

	if (!PortalIsValid(portal))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_CURSOR),
						errmsg("cursor \"%s\" does not exist", name)));
	if (portal->strategy != PORTAL_ONE_SELECT || portal->tupDesc == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
						errmsg("cursor \"%s\" is not that of a query", name)));
	return portal;
}

static void
set_columns(Division *division, FunctionCallInfo fcinfo, TupleDesc desc)
{
	List *attnums = NIL;
	int count;
	int32 *columns = int_argument(fcinfo, 1, &count);

	for (int i = 0; i < count; i++)
	{
		if (columns[i] < 1 || columns[i] > desc->natts)
			ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
							errmsg("the cursor has no column %d", columns[i])));
		attnums = lappend_int(attnums, columns[i]);
	}
	division->writer = tess_row_writer_make(desc, attnums);
	if (!tess_row_writer_is_binary(division->writer))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("values of some columns do not travel in binary")));
	division->key = PG_GETARG_INT32(2);
	if (division->key < 0 || division->key > desc->natts)
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
						errmsg("the cursor has no column %d", division->key)));
}

static void
set_hasher(Division *division, TupleDesc desc)
{
	Form_pg_attribute key = TupleDescAttr(desc, division->key - 1);
	Oid collation = get_typcollation(key->atttypid);
	const char *reason;

	if (tess_meta_hasher_init(&division->group.hasher, key->atttypid, collation,
							  CurrentMemoryContext, &reason))
		return;
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("rows cannot be divided by column \"%s\"",
						   NameStr(key->attname)),
					errdetail_internal("%s", reason)));
}

static void
set_queues(Division *division, FunctionCallInfo fcinfo)
{
	TessGroup *group = &division->group;
	int count;
	int32 *lowers = int_argument(fcinfo, 3, &group->range_count);
	int32 *queues = int_argument(fcinfo, 4, &count);

	if (count != group->range_count || count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("each range has to have one queue")));
	group->ranges = palloc0(sizeof(TessRange) * count);
	for (int i = 0; i < count; i++)
	{
		if (queues[i] < 0 || queues[i] >= count)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("there is no queue %d", queues[i])));
		group->ranges[i].lower = lowers[i];
		group->ranges[i].shard_index = queues[i];
	}
	division->queue_count = count;
	division->queues = palloc0(sizeof(Queue) * count);
}

/* Sends strings in the server's encoding. */
static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	Division *division = (Division *) self;
	MemoryContext caller = CurrentMemoryContext;
	Datum key = (Datum) 0;
	bool isnull = true;
	Queue *queue;
	int before;

	if (division->key > 0)
		key = slot_getattr(slot, division->key, &isnull);
	queue = &division->queues[tess_route_value(&division->group, key, isnull,
											   division->group.hasher.type)];
	MemoryContextSwitchTo(division->context);
	if (queue->bytes.data == NULL)
	{
		initStringInfo(&queue->bytes);
		/* filled in when it is complete */
		appendStringInfoSpaces(&queue->bytes, ROWS_OFFSET);
	}
	before = queue->bytes.len;
	tess_row_writer_put(division->writer, slot, &queue->bytes);
	queue->rows++;
	division->rows++;
	division->bytes += queue->bytes.len - before;
	MemoryContextSwitchTo(caller);
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receiver_noop(DestReceiver *self)
{
}

/* Fetches rows until there are enough. */
static void
fetch(Division *division, Portal portal)
{
	int level = tess_row_writer_pin(division->writer);
	uint64 step = FIRST_STEP_ROWS;
	uint64 fetched;

	do
	{
		CHECK_FOR_INTERRUPTS();
		fetched = PortalRunFetch(portal, FETCH_FORWARD, step, &division->dest);
		division->may_have_more = fetched == step;
		step = (DIVIDED_BYTES - Min(division->bytes, DIVIDED_BYTES)) /
			   Max(division->bytes / Max(division->rows, 1), 1);
		step = Min(step, MAX_STEP_ROWS);
	} while (division->may_have_more && step > 0);
	tess_row_writer_unpin(level);
}

static Division *
divide(FunctionCallInfo fcinfo)
{
	Portal portal = find_cursor(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	Division *division = palloc0(sizeof(Division));

	division->dest.receiveSlot = receive;
	division->dest.rStartup = receiver_startup;
	division->dest.rShutdown = receiver_noop;
	division->dest.rDestroy = receiver_noop;
	division->dest.mydest = DestNone;
	division->context = CurrentMemoryContext;
	set_columns(division, fcinfo, portal->tupDesc);
	set_queues(division, fcinfo);
	if (division->key > 0)
		set_hasher(division, portal->tupDesc);
	fetch(division, portal);
	return division;
}

/* The next message, or NULL. */
static bytea *
next_message(Division *division)
{
	while (division->next < division->queue_count)
	{
		int number = division->next++;
		Queue *queue = &division->queues[number];
		int32 header[2] = {pg_hton32(number), pg_hton32(queue->rows)};

		if (queue->bytes.data == NULL)
			continue;
		SET_VARSIZE(queue->bytes.data, queue->bytes.len);
		memcpy(VARDATA(queue->bytes.data), header, sizeof(header));
		return (bytea *) queue->bytes.data;
	}
	if (division->may_have_more)
	{
		int32 header[2] = {pg_hton32(QUEUE_OF_MORE), 0};
		bytea *message = palloc(ROWS_OFFSET);

		division->may_have_more = false;
		SET_VARSIZE(message, ROWS_OFFSET);
		memcpy(VARDATA(message), header, sizeof(header));
		return message;
	}
	return NULL;
}

/*
 * tessera_internal.fetch_divided(cursor_name, columns, key, lowers, queues).  Does
 * nothing that FETCH and COPY would not do for whoever has the cursor.
 */
Datum
tess_rows_fetch_divided(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	bytea *message;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext caller;

		call = SRF_FIRSTCALL_INIT();
		caller = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		call->user_fctx = divide(fcinfo);
		MemoryContextSwitchTo(caller);
	}
	call = SRF_PERCALL_SETUP();
	message = next_message(call->user_fctx);
	if (message == NULL)
		SRF_RETURN_DONE(call);
	SRF_RETURN_NEXT(call, PointerGetDatum(message));
}

/* the side of the stream --------------------------------------------------------- */

static void
append_numbers(StringInfo sql, const TessGroup *group, bool lowers)
{
	appendStringInfoString(sql, ", '{");
	for (int i = 0; i < group->range_count; i++)
		appendStringInfo(sql, "%s%d", i > 0 ? "," : "",
						 lowers ? group->ranges[i].lower
								: group->ranges[i].shard_index);
	appendStringInfoString(sql, "}'");
}

/* See stream.h. */
char *
tess_divided_sql(const TessGroup *group, List *columns, int key,
				 const char *cursor)
{
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT tessera_internal.fetch_divided(%s, '{",
					 quote_literal_cstr(cursor));
	foreach(cell, columns)
		appendStringInfo(&sql, "%s%d", foreach_current_index(cell) > 0 ? "," : "",
						 lfirst_int(cell));
	appendStringInfo(&sql, "}', %d", key);
	if (group != NULL)
	{
		append_numbers(&sql, group, true);
		append_numbers(&sql, group, false);
	}
	else
		appendStringInfoString(&sql, ", '{0}', '{0}'");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* The queue and the number of rows of a message, whose rows begin at *rows. */
static int
read_header(const char *message, int length, const char **rows, int *row_count)
{
	int32 header[2];

	if (length < sizeof(header))
		elog(ERROR, "divided rows have no header");
	memcpy(header, message, sizeof(header));
	*rows = message + sizeof(header);
	*row_count = pg_ntoh32(header[1]);
	return (int32) pg_ntoh32(header[0]);
}

/* See stream.h. */
bool
tess_divided_says_more(const char *message, int length)
{
	const char *rows;
	int row_count;

	return read_header(message, length, &rows, &row_count) == QUEUE_OF_MORE;
}

/* The row at the begin of complete ones, which has so many columns: its length. */
static int
row_length(const char *row, int column_count)
{
	const char *at = row + sizeof(uint16);

	for (int i = 0; i < column_count; i++)
	{
		uint32 length;

		memcpy(&length, at, sizeof(length));
		at += sizeof(length);
		if ((int32) pg_ntoh32(length) > 0)
			at += pg_ntoh32(length);
	}
	return at - row;
}

/* The same rows, each with columns before those that it has. */
static StringInfo
add_columns(const TessDivided *divided, TessRowWriter *writer, const char *rows,
			int length, int row_count)
{
	StringInfo whole = makeStringInfo();

	enlargeStringInfo(whole, length);
	for (int i = 0; i < row_count; i++)
	{
		int row = row_length(rows, list_length(divided->columns));

		tess_row_writer_put_first(writer, divided->added_count,
								  divided->next_added(divided->arg), whole);
		appendBinaryStringInfo(whole, rows + sizeof(uint16),
							   row - sizeof(uint16));
		rows += row;
	}
	return whole;
}

/* See stream.h. */
void
tess_stream_put_divided(TessStream *stream, const TessDivided *divided,
						const char *message, int length)
{
	const char *rows;
	int row_count;
	int queue = read_header(message, length, &rows, &row_count);
	StringInfo whole;

	length -= rows - message;
	if (divided->added_count == 0)
	{
		tess_stream_put_bytes(stream, queue, rows, length, 0);
		return;
	}
	whole = add_columns(divided, tess_stream_writer(stream), rows, length,
						row_count);
	tess_stream_put_bytes(stream, queue, whole->data, whole->len, 0);
	pfree(whole->data);
	pfree(whole);
}
