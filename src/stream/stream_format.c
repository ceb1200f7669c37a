/*
 * stream_format.c - rows in the format of COPY: binary, or text where a type
 * cannot travel in binary.
 *
 * What is written depends neither on the client's encoding nor on the
 * session's date and number formats: both are pinned for the time of writing,
 * which callers do for many rows at once.
 */
#include "postgres.h"

#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "net/net.h"
#include "stream/stream_internal.h"

static const char binary_signature[11] = "PGCOPY\n\377\r\n\0";

/* Most values of most tables need no call of a send function, which costs more
 * than all else that is done for a row. */
typedef enum WireForm
{
	WIRE_BY_FUNCTION,
	WIRE_BYTE,
	WIRE_INT2,
	WIRE_INT4,
	WIRE_INT8,
	WIRE_BYTES /* of a varlena */
} WireForm;

struct TessRowWriter
{
	bool binary;
	int count;
	AttrNumber *attnums;
	FmgrInfo *functions; /* send or output functions */
	WireForm *forms;	 /* of binary ones */
	Oid *types;
	MemoryContext row_context;
};

static WireForm wire_form(Oid send_function);
static void put_field(TessRowWriter *writer, int i, TupleTableSlot *slot,
					  StringInfo buffer);
static void put_binary(TessRowWriter *writer, int i, Datum value,
					   StringInfo buffer);
static void put_text(StringInfo buffer, const char *value);

/* A writer for these columns.  In the caller's context. */
TessRowWriter *
tess_row_writer_make(TupleDesc desc, List *attnums)
{
	TessRowWriter *writer = palloc0(sizeof(TessRowWriter));
	Oid *types = palloc(sizeof(Oid) * Max(list_length(attnums), 1));
	ListCell *lc;

	writer->types = types;
	writer->attnums = palloc(sizeof(AttrNumber) * Max(list_length(attnums), 1));
	writer->functions = palloc(sizeof(FmgrInfo) * Max(list_length(attnums), 1));
	writer->forms = palloc(sizeof(WireForm) * Max(list_length(attnums), 1));
	writer->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"tessera streamed row",
												ALLOCSET_DEFAULT_SIZES);
	foreach(lc, attnums)
	{
		writer->attnums[writer->count] = lfirst_int(lc);
		types[writer->count++] = TupleDescAttr(desc, lfirst_int(lc) - 1)->atttypid;
	}
	writer->binary = tess_types_travel_binary(writer->count, types);
	for (int i = 0; i < writer->count; i++)
	{
		Oid function;
		bool is_varlena;

		if (writer->binary)
			getTypeBinaryOutputInfo(types[i], &function, &is_varlena);
		else
			getTypeOutputInfo(tess_type_written(types[i]), &function,
							  &is_varlena);
		fmgr_info(function, &writer->functions[i]);
		writer->forms[i] = wire_form(function);
	}
	return writer;
}

/* How a value looks that this function sends, as it is in memory. */
static WireForm
wire_form(Oid send_function)
{
	switch (send_function)
	{
		case F_BOOLSEND:
			return WIRE_BYTE;
		case F_INT2SEND:
			return WIRE_INT2;
		case F_INT4SEND:
		case F_FLOAT4SEND:
		case F_DATE_SEND:
			return WIRE_INT4;
		case F_INT8SEND:
		case F_FLOAT8SEND:
		case F_TIME_SEND:
		case F_TIMESTAMP_SEND:
		case F_TIMESTAMPTZ_SEND:
			return WIRE_INT8;
		case F_TEXTSEND:
		case F_VARCHARSEND:
		case F_BPCHARSEND:
		case F_BYTEASEND:
		case F_JSON_SEND:
			return WIRE_BYTES;
		default:
			return WIRE_BY_FUNCTION;
	}
}

bool
tess_row_writer_is_binary(const TessRowWriter *writer)
{
	return writer->binary;
}

/* What stands before the first row of a COPY. */
void
tess_row_writer_start(const TessRowWriter *writer, StringInfo buffer)
{
	if (!writer->binary)
		return;
	appendBinaryStringInfo(buffer, binary_signature, sizeof(binary_signature));
	pq_sendint32(buffer, 0); /* flags */
	pq_sendint32(buffer, 0); /* length of the header's extension */
}

/* What stands after the last row. */
void
tess_row_writer_finish(const TessRowWriter *writer, StringInfo buffer)
{
	if (writer->binary)
		pq_sendint16(buffer, -1);
}

/* False if what rows depend on is as it has to be already. */
bool
tess_row_writer_needs_pin(const TessRowWriter *writer)
{
	return !writer->binary || pg_get_client_encoding() != GetDatabaseEncoding();
}

/* Pins what rows depend on, in writing and in reading them.  End it with
 * tess_row_writer_unpin(); an error ends it too. */
int
tess_row_writer_pin(const TessRowWriter *writer)
{
	int level = writer->binary ? NewGUCNestLevel() : tess_settings_pin();

	/* send functions convert text to the client's encoding */
	if (pg_get_client_encoding() != GetDatabaseEncoding())
		(void) set_config_option("client_encoding", GetDatabaseEncodingName(),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	return level;
}

void
tess_row_writer_unpin(int level)
{
	AtEOXact_GUC(true, level);
}

/* Appends one row. */
void
tess_row_writer_put(TessRowWriter *writer, TupleTableSlot *slot,
					StringInfo buffer)
{
	slot_getallattrs(slot);
	if (writer->binary)
	{
		tess_row_writer_put_first(writer, writer->count, slot, buffer);
		return;
	}
	for (int i = 0; i < writer->count; i++)
	{
		if (i > 0)
			appendStringInfoChar(buffer, '\t');
		put_field(writer, i, slot, buffer);
	}
	appendStringInfoChar(buffer, '\n');
	MemoryContextReset(writer->row_context);
}

/* In binary, the begin of a row: its first fields.  The slot has these columns at
 * least. */
void
tess_row_writer_put_first(TessRowWriter *writer, int count,
						  TupleTableSlot *slot, StringInfo buffer)
{
	pq_sendint16(buffer, writer->count);
	for (int i = 0; i < count; i++)
		put_field(writer, i, slot, buffer);
	MemoryContextReset(writer->row_context);
}

static void
put_field(TessRowWriter *writer, int i, TupleTableSlot *slot, StringInfo buffer)
{
	AttrNumber attnum = writer->attnums[i];
	Datum value = slot->tts_values[attnum - 1];
	MemoryContext caller = MemoryContextSwitchTo(writer->row_context);

	if (!slot->tts_isnull[attnum - 1] && writer->binary)
		put_binary(writer, i, value, buffer);
	else if (!slot->tts_isnull[attnum - 1])
		put_text(buffer,
				 OutputFunctionCall(&writer->functions[i],
									tess_value_written(writer->types[i], value)));
	else if (writer->binary)
		pq_sendint32(buffer, -1);
	else
		appendStringInfoString(buffer, "\\N");
	MemoryContextSwitchTo(caller);
}

static void
put_bytes(StringInfo buffer, const char *bytes, int length)
{
	pq_sendint32(buffer, length);
	appendBinaryStringInfo(buffer, bytes, length);
}

static void
put_binary(TessRowWriter *writer, int i, Datum value, StringInfo buffer)
{
	bytea *bytes;

	switch (writer->forms[i])
	{
		case WIRE_BYTE:
			pq_sendint32(buffer, 1);
			pq_sendint8(buffer, DatumGetBool(value) ? 1 : 0);
			break;
		case WIRE_INT2:
			pq_sendint32(buffer, 2);
			pq_sendint16(buffer, DatumGetInt16(value));
			break;
		case WIRE_INT4:
			pq_sendint32(buffer, 4);
			pq_sendint32(buffer, DatumGetInt32(value));
			break;
		case WIRE_INT8:
			pq_sendint32(buffer, 8);
			pq_sendint64(buffer, DatumGetInt64(value));
			break;
		case WIRE_BYTES:
			bytes = DatumGetByteaPP(value);
			put_bytes(buffer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
			break;
		case WIRE_BY_FUNCTION:
			bytes = SendFunctionCall(&writer->functions[i], value);
			put_bytes(buffer, VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
			break;
	}
}

/* A value of COPY's text format.  No server encoding has these bytes inside
 * of other characters. */
static void
put_text(StringInfo buffer, const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
	{
		switch (*c)
		{
			case '\\':
				appendStringInfoString(buffer, "\\\\");
				break;
			case '\t':
				appendStringInfoString(buffer, "\\t");
				break;
			case '\n':
				appendStringInfoString(buffer, "\\n");
				break;
			case '\r':
				appendStringInfoString(buffer, "\\r");
				break;
			default:
				appendStringInfoChar(buffer, *c);
		}
	}
}
