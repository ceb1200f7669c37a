/*
 * raw_binary.c - rows of COPY's binary format go to the shards as they came.
 *
 * Core opens the input and loads its buffer.  Rows that are there as a whole are
 * taken out of it: of their fields only the lengths are looked at, and of the
 * key the value.  All others, the header and the end are read by core.  What is
 * in the fields is for the node to check.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/rel.h"

#include "stream/stream_internal.h"

/* A field of a row; data NULL: it is NULL. */
typedef struct Field
{
	const char *data;
	int length;
} Field;

static bool find_row(CopyFromState input, AttrNumber key, int *length,
					 Field *field);
static int queue_of_row(TessStream *stream, CopyFromState input,
						const Field *field, const char *row, int length,
						MemoryContext row_context);
static int queue_of_key(TessStream *stream, CopyFromState input,
						const Field *field, MemoryContext row_context);

/* True if the rows of the input are what the stream writes itself: binary, with
 * the same columns, of types whose binary form is the same everywhere. */
bool
tess_binary_is_possible(CopyFromState input, const TessStream *stream)
{
	TupleDesc desc = RelationGetDescr(input->rel);

	/* Text is in the client's encoding. */
	return input->opts.binary && tess_stream_is_binary(stream) &&
		   pg_get_client_encoding() == GetDatabaseEncoding() &&
		   equal(input->attnumlist, tess_stream_columns(desc));
}

/* Takes the next row out of core's buffer and sends it; false: core has to read
 * it.  What is needed for the row alone is in row_context. */
bool
tess_binary_take(CopyFromState input, TessStream *stream,
				 MemoryContext row_context)
{
	const char *row = input->raw_buf + input->raw_buf_index;
	Field field;
	int length;
	int queue;

	if (!find_row(input, tess_stream_key(stream), &length, &field))
		return false;
	input->raw_buf_index += length;
	input->cur_lineno++;
	queue = queue_of_row(stream, input, &field, row, length, row_context);
	tess_stream_put_bytes(stream, queue, row, length, input->cur_lineno);
	return true;
}

/* The row at the begin of the buffer: its length, and the field of the key. */
static bool
find_row(CopyFromState input, AttrNumber key, int *length, Field *field)
{
	const char *begin = input->raw_buf + input->raw_buf_index;
	const char *end = input->raw_buf + input->raw_buf_len;
	const char *at = begin;
	uint16 count;
	ListCell *lc;

	field->data = NULL;
	if (end - at < sizeof(count))
		return false;
	memcpy(&count, at, sizeof(count));
	at += sizeof(count);
	if (pg_ntoh16(count) != list_length(input->attnumlist))
		return false;
	foreach(lc, input->attnumlist)
	{
		int32 field_length;

		if (end - at < sizeof(field_length))
			return false;
		memcpy(&field_length, at, sizeof(field_length));
		field_length = (int32) pg_ntoh32((uint32) field_length);
		at += sizeof(field_length);
		if (field_length < -1 || field_length > end - at)
			return false;
		if (field_length == -1)
			continue;
		if (lfirst_int(lc) == key)
		{
			field->data = at;
			field->length = field_length;
		}
		at += field_length;
	}
	*length = at - begin;
	return true;
}

/* An error of the key waits for those of the rows before it, and of what stands
 * before the key in this one. */
static int
queue_of_row(TessStream *stream, CopyFromState input, const Field *field,
			 const char *row, int length, MemoryContext row_context)
{
	MemoryContext caller = CurrentMemoryContext;
	int queue = 0;

	PG_TRY();
	{
		queue = queue_of_key(stream, input, field, row_context);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		tess_stream_put_bytes(stream, 0, row, length, input->cur_lineno);
		tess_stream_raise(stream, error);
	}
	PG_END_TRY();
	return queue;
}

static int
queue_of_key(TessStream *stream, CopyFromState input, const Field *field,
			 MemoryContext row_context)
{
	AttrNumber attnum = tess_stream_key(stream);
	ErrorContextCallback context = {.callback = CopyFromErrorCallback,
									.arg = input,
									.previous = error_context_stack};
	Form_pg_attribute attribute;
	MemoryContext caller;
	Datum key;
	int queue;

	if (field->data == NULL)
		return tess_stream_queue(stream, (Datum) 0, true);
	/* As core has it for a receive function: with a zero behind it. */
	resetStringInfo(&input->attribute_buf);
	appendBinaryStringInfo(&input->attribute_buf, field->data, field->length);
	attribute = TupleDescAttr(RelationGetDescr(input->rel), attnum - 1);
	input->cur_attname = NameStr(attribute->attname);
	error_context_stack = &context;
	caller = MemoryContextSwitchTo(row_context);
	key = ReceiveFunctionCall(&input->in_functions[attnum - 1],
							  &input->attribute_buf,
							  input->typioparams[attnum - 1],
							  attribute->atttypmod);
	queue = tess_stream_queue(stream, key, false);
	MemoryContextSwitchTo(caller);
	error_context_stack = context.previous;
	input->cur_attname = NULL;
	return queue;
}
