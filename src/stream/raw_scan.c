/*
 * raw_scan.c - where lines of COPY's text and csv end, and where their fields
 * are, without reading what is in them.
 *
 * Given are bytes in the server's encoding, known to be valid, in which no
 * character of several bytes has a byte of ASCII.  Whatever is found is what
 * core's COPY would have found.  "Not found" always means that core has to read
 * the line: it ends outside of the given bytes, ends the data, has an error, or
 * is written in a way that is rare enough.  So there are no errors here.
 *
 * Lines of text end at a newline that has no backslash before it; those of csv
 * at one outside of quotes.  Inputs whose lines end with a carriage return alone
 * are core's.
 */
#include "postgres.h"

#include "stream/stream_internal.h"

/* Without special characters it is memchr() that looks at the bytes. */
static inline bool
has_byte(const char *begin, const char *end, char byte)
{
	return memchr(begin, byte, end - begin) != NULL;
}

/*
 * The end of a line of text, at its first newline or carriage return; NULL: not
 * found.  A backslash takes the next byte with it; with a dot it may be the end
 * of the data.
 */
static const char *
text_end(const char *at, const char *end)
{
	for (; at < end; at++)
	{
		if (*at == '\n' || *at == '\r')
			return at;
		if (*at != '\\')
			continue;
		if (++at == end || *at == '.')
			return NULL;
	}
	return NULL;
}

/* The same of a line of csv; notes ends of lines within quotes. */
static const char *
csv_end(const TessRawFormat *format, const char *at, const char *end,
		TessRawNumber *number)
{
	/* Doubled quotes end a part in quotes and begin another. */
	char escape = format->escape == format->quote ? '\0' : format->escape;
	bool in_quotes = false;
	bool is_escaped = false;

	for (; at < end; at++)
	{
		char c = *at;

		if (in_quotes && escape != '\0' && c == escape)
			is_escaped = !is_escaped;
		if (c == format->quote && !is_escaped)
			in_quotes = !in_quotes;
		if (c != escape)
			is_escaped = false;
		if (c != '\n' && c != '\r')
			continue;
		if (!in_quotes)
			return at;
		if (c == '\n')
			number->quoted_newlines++;
		else
			number->quoted_returns++;
	}
	return NULL;
}

/*
 * The line that begins at start, which is before end; false: core has to read
 * it.  eol is what ends the lines of this input.  *length is without it;
 * number->line is not set.  A backslash that begins a line of csv may be that of
 * the end of the data.
 */
bool
tess_raw_line(const TessRawFormat *format, EolType eol, const char *start,
			  const char *end, int *length, TessRawNumber *number)
{
	const char *at = memchr(start, '\n', end - start);

	number->quoted_newlines = 0;
	number->quoted_returns = 0;
	number->ends_data = false;
	if (at == NULL || (eol != EOL_NL && eol != EOL_CRNL) ||
		(format->csv && *start == '\\'))
		return false;
	if (has_byte(start, at, format->csv ? format->quote : '\\'))
	{
		at = format->csv ? csv_end(format, start, end, number)
						 : text_end(start, end);
		if (at == NULL)
			return false;
		*length = at - start;
		if (eol == EOL_NL)
			return *at == '\n';
		return *at == '\r' && at + 1 < end && at[1] == '\n';
	}
	if (eol == EOL_CRNL && (at == start || *--at != '\r'))
		return false;
	*length = at - start;
	return !has_byte(start, at, '\r');
}

/* True if a line of text has a backslash at its end that takes nothing with it:
 * what comes behind it is the end of the data. */
static bool
ends_in_backslash(const char *line, int length)
{
	int count = 0;

	while (count < length && line[length - 1 - count] == '\\')
		count++;
	return count % 2 == 1;
}

/* Sets all of number but its line for a line that core has read. */
void
tess_raw_count(const TessRawFormat *format, const char *line, int length,
			   TessRawNumber *number)
{
	number->quoted_newlines = 0;
	number->quoted_returns = 0;
	number->ends_data = !format->csv && ends_in_backslash(line, length);
	if (format->csv)
		(void) csv_end(format, line, line + length, number);
}

/* The fields of a line, one after the other from the first. */
void
tess_raw_fields_begin(TessRawFields *fields, const TessRawFormat *format,
					  const char *line, int length)
{
	fields->format = format;
	fields->next = line;
	fields->end = line + length;
	fields->number = -1;
	fields->has_special = has_byte(line, line + length,
								   format->csv ? format->quote : '\\');
}

static const char *
text_field_end(const TessRawFields *fields, const char *at)
{
	for (; at < fields->end && *at != fields->format->delimiter; at++)
	{
		if (*at == '\\' && at + 1 < fields->end)
			at++;
	}
	return at;
}

static const char *
csv_field_end(const TessRawFields *fields, const char *at)
{
	const TessRawFormat *format = fields->format;
	bool in_quotes = false;

	for (; at < fields->end; at++)
	{
		if (!in_quotes && *at == format->delimiter)
			return at;
		if (in_quotes && *at == format->escape && at + 1 < fields->end &&
			(at[1] == format->escape || at[1] == format->quote))
			at++;
		else if (*at == format->quote)
			in_quotes = !in_quotes;
	}
	return at;
}

/* Goes to the next field; false if there is none. */
static bool
next_field(TessRawFields *fields, const char **begin, const char **end)
{
	const char *at = fields->next;

	if (at == NULL)
		return false;
	fields->number++;
	*begin = at;
	if (!fields->has_special)
	{
		at = memchr(at, fields->format->delimiter, fields->end - at);
		if (at == NULL)
			at = fields->end;
	}
	else if (fields->format->csv)
		at = csv_field_end(fields, at);
	else
		at = text_field_end(fields, at);
	*end = at;
	fields->next = at < fields->end ? at + 1 : NULL;
	return true;
}

/* What is in a field as it stands there, if nothing but quotes around all of it
 * has to be taken off. */
static void
describe(const TessRawFields *fields, TessRawField *field)
{
	const TessRawFormat *format = fields->format;
	const char *begin = field->raw;
	const char *end = field->raw + field->raw_length;
	bool is_quoted = format->csv && end - begin >= 2 &&
					 *begin == format->quote && end[-1] == format->quote;

	field->is_null = field->raw_length == format->null_length &&
					 memcmp(begin, format->null, format->null_length) == 0;
	field->value = begin + is_quoted;
	field->length = end - begin - 2 * is_quoted;
	field->is_plain = !fields->has_special;
	if (fields->has_special)
		field->is_plain = !has_byte(field->value, field->value + field->length,
									format->csv ? format->quote : '\\') &&
						  (!is_quoted ||
						   !has_byte(field->value, field->value + field->length,
									 format->escape));
}

/* A field by its number, from 0, which is no smaller than the one before; false
 * if the line has not so many. */
bool
tess_raw_field(TessRawFields *fields, int number, TessRawField *field)
{
	const char *begin;
	const char *end;

	Assert(number > fields->number);
	do
	{
		if (!next_field(fields, &begin, &end))
			return false;
	} while (fields->number < number);
	field->raw = begin;
	field->raw_length = end - begin;
	describe(fields, field);
	return true;
}
