/*
 * stream_internal.h - between the files of stream/.
 */
#ifndef TESS_STREAM_INTERNAL_H
#define TESS_STREAM_INTERNAL_H

#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "stream/stream.h"
#include "tessera.h"

/* stream_format.c */

typedef struct TessRowWriter TessRowWriter;

extern TessRowWriter *tess_row_writer_make(TupleDesc desc, List *attnums);
extern bool tess_row_writer_is_binary(const TessRowWriter *writer);
extern void tess_row_writer_start(const TessRowWriter *writer, StringInfo buffer);
extern void tess_row_writer_finish(const TessRowWriter *writer,
								   StringInfo buffer);
extern int tess_row_writer_pin(const TessRowWriter *writer);
extern void tess_row_writer_unpin(int level);
extern void tess_row_writer_put(TessRowWriter *writer, TupleTableSlot *slot,
								StringInfo buffer);

/* stream_local.c */
extern uint64 tess_stream_fill_local(Oid relation, List *column_names,
									 bool binary, StringInfo copy_data);

#endif
