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
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "net/net.h"
#include "stream/stream_internal.h"

static const char binary_signature[11] = "PGCOPY\n\377\r\n\0";

struct TessRowWriter
{
	bool binary;
	int count;
	AttrNumber *attnums;
	FmgrInfo *functions; /* send or output functions */
	Oid *types;
	MemoryContext row_context;
};

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
	}
	return writer;
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
	MemoryContext caller = MemoryContextSwitchTo(writer->row_context);

	slot_getallattrs(slot);
	if (writer->binary)
		pq_sendint16(buffer, writer->count);
	for (int i = 0; i < writer->count; i++)
	{
		AttrNumber attnum = writer->attnums[i];
		Datum value = slot->tts_values[attnum - 1];

		if (!writer->binary && i > 0)
			appendStringInfoChar(buffer, '\t');
		if (slot->tts_isnull[attnum - 1])
		{
			if (writer->binary)
				pq_sendint32(buffer, -1);
			else
				appendStringInfoString(buffer, "\\N");
		}
		else if (writer->binary)
		{
			bytea *bytes = SendFunctionCall(&writer->functions[i], value);

			pq_sendint32(buffer, VARSIZE(bytes) - VARHDRSZ);
			appendBinaryStringInfo(buffer, VARDATA(bytes),
								   VARSIZE(bytes) - VARHDRSZ);
		}
		else
			put_text(buffer,
					 OutputFunctionCall(&writer->functions[i],
										tess_value_written(writer->types[i],
														   value)));
	}
	if (!writer->binary)
		appendStringInfoChar(buffer, '\n');
	MemoryContextSwitchTo(caller);
	MemoryContextReset(writer->row_context);
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
