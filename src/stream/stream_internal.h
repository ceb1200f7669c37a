/*
 * stream_internal.h - between the files of stream/.
 */
#ifndef TESS_STREAM_INTERNAL_H
#define TESS_STREAM_INTERNAL_H

#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/backend_progress.h"

#include "stream/stream.h"
#include "tessera.h"

/* stream_format.c */

typedef struct TessRowWriter TessRowWriter;

extern TessRowWriter *tess_row_writer_make(TupleDesc desc, List *attnums);
extern bool tess_row_writer_is_binary(const TessRowWriter *writer);
extern void tess_row_writer_start(const TessRowWriter *writer, StringInfo buffer);
extern void tess_row_writer_finish(const TessRowWriter *writer,
								   StringInfo buffer);
extern bool tess_row_writer_needs_pin(const TessRowWriter *writer);
extern int tess_row_writer_pin(const TessRowWriter *writer);
extern void tess_row_writer_unpin(int level);
extern void tess_row_writer_put(TessRowWriter *writer, TupleTableSlot *slot,
								StringInfo buffer);
extern void tess_row_writer_put_first(TessRowWriter *writer, int count,
									  TupleTableSlot *slot, StringInfo buffer);

/* stream_local.c */
extern uint64 tess_stream_fill_local(Oid relation, List *column_names,
									 List *options, StringInfo copy_data);

/* raw_scan.c: lines and fields of text and csv */

typedef struct TessRawFormat
{
	bool csv;
	char delimiter;
	char quote;	 /* of csv, as is the next */
	char escape; /* may be the quote */
	const char *null;
	int null_length;
} TessRawFormat;

/* How the input and a node count a line. */
typedef struct TessRawNumber
{
	uint64 line; /* of the input, as core counts: that of its end */
	int quoted_newlines;
	int quoted_returns;
	bool ends_data; /* by a backslash, which would take a newline with it */
} TessRawNumber;

typedef struct TessRawField
{
	const char *raw; /* as it stands in the line */
	int raw_length;
	bool is_null;
	bool is_plain; /* else the value is not known */
	const char *value;
	int length;
} TessRawField;

typedef struct TessRawFields
{
	const TessRawFormat *format;
	const char *next; /* NULL: there are no more */
	const char *end;
	int number;		  /* of the last one */
	bool has_special; /* backslashes, or quotes */
} TessRawFields;

extern bool tess_raw_line(const TessRawFormat *format, EolType eol,
						  const char *start, const char *end, int *length,
						  TessRawNumber *number);
extern void tess_raw_count(const TessRawFormat *format, const char *line,
						   int length, TessRawNumber *number);
extern void tess_raw_fields_begin(TessRawFields *fields,
								  const TessRawFormat *format, const char *line,
								  int length);
extern bool tess_raw_field(TessRawFields *fields, int number,
						   TessRawField *field);

/* raw_check.c */
extern void tess_raw_format_set(TessRawFormat *format,
								const CopyFormatOptions *options);
extern bool tess_raw_is_date(Oid type);
/* True if all servers write values of the type alike, given the settings. */
extern bool tess_raw_is_written_alike(Oid type, bool binary);
extern List *tess_raw_options(List *options);
extern char *tess_raw_options_text(List *options);

/* stream.c, for rows as they come */
extern TessStream *tess_stream_begin_lines(const TessTable *table,
										   TupleDesc desc, List *attnums,
										   List *options, char *options_text);
extern AttrNumber tess_stream_key(const TessStream *stream);
extern int tess_stream_queue(const TessStream *stream, Datum key, bool isnull);
extern void tess_stream_put_line(TessStream *stream, int queue, const char *text,
								 int length, const TessRawNumber *number);
extern TessRowWriter *tess_stream_writer(const TessStream *stream);
extern bool tess_stream_is_binary(const TessStream *stream);
extern void tess_stream_put_bytes(TessStream *stream, int queue,
								  const char *bytes, int length, uint64 line);

/* stream_lines.c: lines of the input, by row of a piece */

typedef struct TessLines
{
	StringInfoData bytes; /* data NULL or len 0: none */
	uint64 last;
} TessLines;

extern void tess_lines_reset(TessLines *lines);
extern void tess_lines_clear(TessLines *lines);
extern void tess_lines_free(TessLines *lines);
extern void tess_lines_copy(TessLines *lines, const TessLines *from,
							MemoryContext context);
extern void tess_lines_add(TessLines *lines, uint64 line, int node_lines);
extern void tess_lines_translate(const TessLines *lines, const char *relation,
								 ErrorData *error);

/* progress.c */

typedef struct TessProgress
{
	ProgressCommandType command;
	Oid relation;
	int64 params[PGSTAT_NUM_PROGRESS_PARAM];
} TessProgress;

extern void tess_progress_rows_out(uint64 rows, uint64 bytes);
extern void tess_progress_save(TessProgress *progress);
extern void tess_progress_restore(const TessProgress *progress);

/* stream_send.c */

/* The rows of one queue, as the data of a COPY. */
typedef struct TessPiece
{
	StringInfoData bytes; /* len 0: no rows; data may be NULL then */
	TessLines lines;	  /* none if the rows are from no input */

	/* Where it goes, and how. */
	char *copy_sql;
	int node_count;
	const int32 *node_ids;
	Oid local_relation;					/* filled in process, or InvalidOid */
	List *column_names;					/* of String */
	List *options;						/* of DefElem */
	const struct TessRowWriter *writer; /* whose settings hold; or NULL */
} TessPiece;

typedef struct TessSender TessSender;

extern TessSender *tess_sender_make(const char *relation);
extern void tess_sender_send(TessSender *sender, TessPiece *piece);
extern uint64 tess_sender_finish(TessSender *sender);

#endif
