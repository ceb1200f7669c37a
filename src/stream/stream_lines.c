/*
 * stream_lines.c - which line of the input each row of a piece is from.
 *
 * A node counts the lines of the piece that it got, and names them in the
 * context of its errors.  Here is kept, in a byte or two a row, by how much
 * the input's line number and the node's grow with each row, so that the one
 * can be found from the other.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "stream/stream_internal.h"

/* Of each row: twice the growth of the input's number, plus 1 if the node's
 * grows by another number than 1, which follows. */
#define BITS_OF_BYTE 7
#define MORE_FOLLOWS 0x80

static void
put_number(StringInfo bytes, uint64 number)
{
	while (number >= MORE_FOLLOWS)
	{
		appendStringInfoCharMacro(bytes, (char) (number | MORE_FOLLOWS));
		number >>= BITS_OF_BYTE;
	}
	appendStringInfoCharMacro(bytes, (char) number);
}

static uint64
get_number(const StringInfoData *bytes, int *at)
{
	uint64 number = 0;

	for (int shift = 0;; shift += BITS_OF_BYTE)
	{
		unsigned char byte = bytes->data[(*at)++];

		number |= (uint64) (byte & ~MORE_FOLLOWS) << shift;
		if ((byte & MORE_FOLLOWS) == 0)
			return number;
	}
}

/* No lines.  What they take is allocated where the first is added. */
void
tess_lines_reset(TessLines *lines)
{
	lines->bytes.data = NULL;
	lines->last = 0;
}

/* No lines again, in the same memory. */
void
tess_lines_clear(TessLines *lines)
{
	if (lines->bytes.data != NULL)
		resetStringInfo(&lines->bytes);
	lines->last = 0;
}

void
tess_lines_free(TessLines *lines)
{
	if (lines->bytes.data != NULL)
		pfree(lines->bytes.data);
	tess_lines_reset(lines);
}

/* A copy of its own, in the given context. */
void
tess_lines_copy(TessLines *lines, const TessLines *from, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);

	tess_lines_free(lines);
	if (from->bytes.data != NULL && from->bytes.len > 0)
	{
		initStringInfo(&lines->bytes);
		appendBinaryStringInfo(&lines->bytes, from->bytes.data, from->bytes.len);
	}
	MemoryContextSwitchTo(caller);
}

/* The next row is from this line of the input, which is no smaller than that
 * of the row before, and a node counts node_lines for it. */
void
tess_lines_add(TessLines *lines, uint64 line, int node_lines)
{
	uint64 growth;

	if (lines->bytes.data == NULL)
		initStringInfo(&lines->bytes);
	growth = line - lines->last;
	lines->last = line;
	put_number(&lines->bytes, growth * 2 + (node_lines == 1 ? 0 : 1));
	if (node_lines != 1)
		put_number(&lines->bytes, node_lines);
}

/* The line of the input that a node means. */
static uint64
input_line(const TessLines *lines, uint64 node_line)
{
	uint64 line = 0;
	uint64 counted = 0;

	for (int at = 0; at < lines->bytes.len && counted < node_line;)
	{
		uint64 number = get_number(&lines->bytes, &at);

		line += number / 2;
		counted += number % 2 == 0 ? 1 : get_number(&lines->bytes, &at);
	}
	return line;
}

/*
 * Where "COPY <relation>, " begins a line of an error's context: the place
 * behind it.  That is also so in the languages that translate the word that
 * follows; of others the context stays as it is.
 */
static const char *
find_line_number(const char *context, const char *relation)
{
	char *begin = psprintf("COPY %s, ", relation);
	const char *at = context;

	while (at != NULL && strncmp(at, begin, strlen(begin)) != 0)
	{
		at = strchr(at, '\n');
		if (at != NULL)
			at++;
	}
	if (at != NULL)
		at += strlen(begin);
	pfree(begin);
	return at;
}

/* In the context of an error with a piece: the input's line number for the
 * node's.  Nothing if the rows are from no input. */
void
tess_lines_translate(const TessLines *lines, const char *relation,
					 ErrorData *error)
{
	const char *number;
	char *end;
	uint64 node_line;

	if (lines->bytes.data == NULL || lines->bytes.len == 0 ||
		error->context == NULL)
		return;
	number = find_line_number(error->context, relation);
	if (number == NULL)
		return;
	number += strcspn(number, "0123456789\n");
	node_line = strtou64(number, &end, 10);
	if (end == number || node_line == 0)
		return;
	error->context = psprintf("%.*s" UINT64_FORMAT "%s",
							  (int) (number - error->context), error->context,
							  input_line(lines, node_line), end);
}
