/*
 * raw_copy.c - lines of text and csv go to the shards as they came.
 *
 * Core reads the input into its buffer, in the server's encoding and verified.
 * Lines there that raw_scan.c understands are taken out of the buffer; all
 * others, those that are not there as a whole, headers and the end of the data
 * are read by core.  Of both the key alone becomes a value, and dates and times
 * that are written in words are written in digits; the rest is for the node to
 * read, and to complain about.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/base.h"
#include "stream/stream_internal.h"

/* A field of each line that is looked at. */
typedef struct LookedAt
{
	int number; /* of the field, from 0 */
	AttrNumber attnum;
	bool is_key;
	bool is_date;
	FmgrInfo output; /* of dates */
} LookedAt;

typedef struct RawCopy
{
	CopyFromState input;
	TessStream *stream;
	TessRawFormat format;
	int looked_count;
	LookedAt *looked; /* by number */
	StringInfoData key_buffer;
	StringInfoData changed; /* a line with other dates */
	MemoryContext row_context;
	ErrorContextCallback callback;

	/* The line that has been read; NULL: none yet. */
	const char *line;
	int length;
	TessRawNumber number;
	char *key;		 /* NULL: it is NULL, or not there */
	bool is_sending; /* errors are those of nodes */
} RawCopy;

static void begin(RawCopy *copy, CopyFromState input, const TessTable *table,
				  List *options);
static uint64 copy_lines(RawCopy *copy);
static void raise_in_order(RawCopy *copy, ErrorData *error);
static void send_line(RawCopy *copy);
static bool take_line(RawCopy *copy);
static bool is_as_everywhere(const TessRawField *field);
static bool is_date_in_digits(const char *text, int length);
static bool read_line(RawCopy *copy);
static void set_changed(RawCopy *copy);
static void change_to_quoted(RawCopy *copy);
static bool is_in_words(const LookedAt *looked, char **fields, int count);
static bool has_date_in_words(const RawCopy *copy, char **fields, int count);
static void change_dates(RawCopy *copy, char **fields, int count);
static char *date_in_digits(RawCopy *copy, const LookedAt *looked, char *words);
static int queue_of_key(RawCopy *copy);
static Datum read_value(RawCopy *copy, AttrNumber attnum, char *text);
static void push_callback(RawCopy *copy);
static void pop_callback(RawCopy *copy);

uint64
tess_raw_copy(CopyFromState input, const TessTable *table, List *options)
{
	MemoryContext caller = CurrentMemoryContext;
	RawCopy copy;
	uint64 rows = 0;

	begin(&copy, input, table, options);
	PG_TRY();
	{
		rows = copy_lines(&copy);
	}
	PG_CATCH();
	{
		ErrorData *error;

		if (copy.is_sending)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		raise_in_order(&copy, error);
	}
	PG_END_TRY();
	MemoryContextDelete(copy.row_context);
	return rows;
}

/* Raises the error with a line, but first what a node finds wrong with the lines
 * before it, or with this one before it comes to that. */
static void
raise_in_order(RawCopy *copy, ErrorData *error)
{
	error_context_stack = copy->callback.previous;
	if (copy->line != NULL)
		tess_stream_put_line(copy->stream, 0, copy->line, copy->length,
							 &copy->number);
	tess_stream_raise(copy->stream, error);
}

static uint64
copy_lines(RawCopy *copy)
{
	uint64 rows = 0;

	for (;;)
	{
		copy->line = NULL;
		CHECK_FOR_INTERRUPTS();
		if (!take_line(copy) && !read_line(copy))
			break;
		send_line(copy);
		tess_progress_rows(++rows);
	}
	copy->is_sending = true;
	return tess_stream_end(copy->stream);
}

/* Sends the line that has been read to its queue. */
static void
send_line(RawCopy *copy)
{
	int queue = queue_of_key(copy);

	copy->is_sending = true;
	tess_stream_put_line(copy->stream, queue, copy->line, copy->length,
						 &copy->number);
	copy->is_sending = false;
	MemoryContextReset(copy->row_context);
}

static void
begin(RawCopy *copy, CopyFromState input, const TessTable *table, List *options)
{
	TupleDesc desc = RelationGetDescr(input->rel);
	List *kept = tess_raw_options(options);
	ListCell *lc;

	memset(copy, 0, sizeof(RawCopy));
	copy->input = input;
	copy->stream = tess_stream_begin_lines(table, desc, input->attnumlist, kept,
										   tess_raw_options_text(kept));
	tess_raw_format_set(&copy->format, &input->opts);
	copy->looked = palloc0(sizeof(LookedAt) * list_length(input->attnumlist));
	foreach(lc, input->attnumlist)
	{
		LookedAt *looked = &copy->looked[copy->looked_count];
		Oid type = TupleDescAttr(desc, lfirst_int(lc) - 1)->atttypid;
		Oid output;
		bool is_varlena;

		looked->number = foreach_current_index(lc);
		looked->attnum = lfirst_int(lc);
		looked->is_key = looked->attnum == table->key_attnum;
		looked->is_date = tess_raw_is_date(type);
		if (looked->is_date)
		{
			getTypeOutputInfo(type, &output, &is_varlena);
			fmgr_info(output, &looked->output);
		}
		if (looked->is_key || looked->is_date)
			copy->looked_count++;
	}
	initStringInfo(&copy->key_buffer);
	initStringInfo(&copy->changed);
	copy->row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "tessera copied line",
											  ALLOCSET_DEFAULT_SIZES);
	copy->callback.callback = CopyFromErrorCallback;
	copy->callback.arg = input;
}

/* Takes a line out of core's buffer; false: core has to read it. */
static bool
take_line(RawCopy *copy)
{
	CopyFromState input = copy->input;
	const char *start = input->input_buf + input->input_buf_index;
	const char *end = input->input_buf + input->input_buf_len;
	TessRawNumber *number = &copy->number;
	TessRawFields fields;
	int length;

	if (start == end || !tess_raw_line(&copy->format, input->eol_type, start,
									   end, &length, number))
		return false;
	copy->key = NULL;
	tess_raw_fields_begin(&fields, &copy->format, start, length);
	for (int i = 0; i < copy->looked_count; i++)
	{
		const LookedAt *looked = &copy->looked[i];
		TessRawField field;

		if (!tess_raw_field(&fields, looked->number, &field) ||
			(!field.is_null && !field.is_plain) ||
			(looked->is_date && !is_as_everywhere(&field)))
			return false;
		if (!looked->is_key || field.is_null)
			continue;
		resetStringInfo(&copy->key_buffer);
		appendBinaryStringInfo(&copy->key_buffer, field.value, field.length);
		copy->key = copy->key_buffer.data;
	}

	input->input_buf_index += length + (input->eol_type == EOL_CRNL ? 2 : 1);
	input->line_buf_valid = false;
	input->cur_lineno += 1 + (input->eol_type == EOL_NL
								  ? number->quoted_newlines
								  : number->quoted_returns);
	number->line = input->cur_lineno;
	copy->line = start;
	copy->length = length;
	return true;
}

static bool
is_as_everywhere(const TessRawField *field)
{
	return field->is_null || is_date_in_digits(field->value, field->length);
}

/* True of dates and times that say the same everywhere, by DateStyle and
 * TimeZone, and of what is no date. */
static bool
is_date_in_digits(const char *text, int length)
{
	static const char infinity[] = "infinity";

	for (int i = 0; i < length; i++)
	{
		char c = text[i];

		if ((c >= '0' && c <= '9') || c == '-' || c == ':' || c == ' ' ||
			c == '.' || c == '+' || c == '/' || c == 'T' || c == 'Z')
			continue;
		return length - i == strlen(infinity) &&
			   memcmp(text + i, infinity, strlen(infinity)) == 0 &&
			   (i == 0 || (i == 1 && *text == '-'));
	}
	return true;
}

/* Has core read a line; false at the end of the data. */
static bool
read_line(RawCopy *copy)
{
	CopyFromState input = copy->input;
	char **fields;
	int count;
	bool found;

	push_callback(copy);
	found = NextCopyFromRawFields(input, &fields, &count);
	pop_callback(copy);
	if (!found)
		return false;

	copy->line = input->line_buf.data;
	copy->length = input->line_buf.len;
	tess_raw_count(&copy->format, copy->line, copy->length, &copy->number);
	copy->number.line = input->cur_lineno;
	copy->key = NULL;
	for (int i = 0; i < copy->looked_count; i++)
	{
		/* Where the key is missing, any node says so. */
		if (copy->looked[i].is_key && copy->looked[i].number < count)
			copy->key = fields[copy->looked[i].number];
	}
	/* Another number of fields is an error, in which the line is shown. */
	if (count == list_length(input->attnumlist) &&
		has_date_in_words(copy, fields, count))
		change_dates(copy, fields, count);
	else if (copy->format.csv && strcmp(copy->line, "\\.") == 0)
		change_to_quoted(copy);
	return true;
}

static void
set_changed(RawCopy *copy)
{
	copy->line = copy->changed.data;
	copy->length = copy->changed.len;
}

/* What ends no data here, because of what ends lines, would do so there. */
static void
change_to_quoted(RawCopy *copy)
{
	resetStringInfo(&copy->changed);
	appendStringInfo(&copy->changed, "%c%s%c", copy->format.quote, copy->line,
					 copy->format.quote);
	set_changed(copy);
}

static bool
is_in_words(const LookedAt *looked, char **fields, int count)
{
	const char *text = looked->number < count ? fields[looked->number] : NULL;

	return looked->is_date && text != NULL &&
		   !is_date_in_digits(text, strlen(text));
}

static bool
has_date_in_words(const RawCopy *copy, char **fields, int count)
{
	for (int i = 0; i < copy->looked_count; i++)
	{
		if (is_in_words(&copy->looked[i], fields, count))
			return true;
	}
	return false;
}

/* Copies the line that core has read, with such dates in digits. */
static void
change_dates(RawCopy *copy, char **fields, int count)
{
	const StringInfoData *line = &copy->input->line_buf;
	const char *copied = line->data;
	TessRawFields raw;
	TessRawField field;

	resetStringInfo(&copy->changed);
	tess_raw_fields_begin(&raw, &copy->format, line->data, line->len);
	for (int i = 0; i < copy->looked_count; i++)
	{
		const LookedAt *looked = &copy->looked[i];
		char *digits;

		if (!is_in_words(looked, fields, count))
			continue;
		(void) tess_raw_field(&raw, looked->number, &field);
		appendBinaryStringInfo(&copy->changed, copied, field.raw - copied);
		copied = field.raw + field.raw_length;
		digits = date_in_digits(copy, looked, fields[looked->number]);
		if (copy->format.csv)
			appendStringInfo(&copy->changed, "%c%s%c", copy->format.quote,
							 digits, copy->format.quote);
		for (; !copy->format.csv && *digits != '\0'; digits++)
		{
			if (*digits == copy->format.delimiter)
				appendStringInfoChar(&copy->changed, '\\');
			appendStringInfoChar(&copy->changed, *digits);
		}
	}
	appendBinaryStringInfo(&copy->changed, copied,
						   line->data + line->len - copied);
	set_changed(copy);
}

static char *
date_in_digits(RawCopy *copy, const LookedAt *looked, char *words)
{
	FmgrInfo *output = unconstify(FmgrInfo *, &looked->output);
	MemoryContext caller = MemoryContextSwitchTo(copy->row_context);
	Datum value = read_value(copy, looked->attnum, words);
	char *digits;

	if (DateStyle == USE_ISO_DATES)
		digits = OutputFunctionCall(output, value);
	else
	{
		int level = tess_settings_pin();

		digits = OutputFunctionCall(output, value);
		AtEOXact_GUC(true, level);
	}
	MemoryContextSwitchTo(caller);
	return digits;
}

static int
queue_of_key(RawCopy *copy)
{
	MemoryContext caller;
	Datum value;
	int queue;

	if (copy->key == NULL)
		return tess_stream_queue(copy->stream, (Datum) 0, true);
	caller = MemoryContextSwitchTo(copy->row_context);
	value = read_value(copy, tess_stream_key(copy->stream), copy->key);
	queue = tess_stream_queue(copy->stream, value, false);
	MemoryContextSwitchTo(caller);
	return queue;
}

/* As core reads a field, and with the words that core has for its errors. */
static Datum
read_value(RawCopy *copy, AttrNumber attnum, char *text)
{
	CopyFromState input = copy->input;
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(input->rel),
												attnum - 1);
	Datum value;

	input->cur_attname = NameStr(attribute->attname);
	input->cur_attval = text;
	push_callback(copy);
	value = InputFunctionCall(&input->in_functions[attnum - 1], text,
							  input->typioparams[attnum - 1],
							  attribute->atttypmod);
	pop_callback(copy);
	input->cur_attname = NULL;
	input->cur_attval = NULL;
	return value;
}

/* Errors of others, of nodes above all, have nothing to do with this line. */
static void
push_callback(RawCopy *copy)
{
	copy->callback.previous = error_context_stack;
	error_context_stack = &copy->callback;
}

static void
pop_callback(RawCopy *copy)
{
	error_context_stack = copy->callback.previous;
}
