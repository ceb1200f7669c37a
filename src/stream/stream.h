/*
 * stream.h - rows -> shards, for COPY, tables that get distributed with their
 * rows, and the way back; and what shards write -> COPY ... TO.
 *
 * Rows queue per shard in COPY binary format (text where a type cannot travel
 * in binary), lines of text and csv as they came; a queue that reaches 1 MB, or
 * the largest one when all together take 40 MB, is sent as one COPY statement.
 * Shards on this server are filled in process by core's CopyFrom, so
 * constraints, indexes and triggers of the shard are honoured everywhere.
 */
#ifndef TESS_STREAM_H
#define TESS_STREAM_H

#include "commands/copy.h"
#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "storage/block.h"
#include "utils/relcache.h"

#include "meta/meta.h"
#include "tessera.h"

typedef struct TessStream TessStream;

/* Attribute numbers of the columns whose values are not computed by the node
 * itself: all but generated ones. */
extern List *tess_stream_columns(TupleDesc desc);

/* Starts a stream into a distributed or reference table; attnums (int list)
 * are the columns that rows will carry, without generated ones.  Reference
 * tables: to all nodes, and to this server's own copy if include_local.
 * Memory in the caller's context; tess_stream_end or an abort frees all. */
extern TessStream *tess_stream_begin(const TessTable *table, List *attnums,
									 bool include_local);
/* A stream into one node's copy of a reference table. */
extern TessStream *tess_stream_begin_node(const TessTable *table, List *attnums,
										  int32 node_id);
/* The slot has the relation's own descriptor.  line: that of the input which it
 * is from, for errors of nodes; 0: from none. */
extern void tess_stream_put(TessStream *stream, TupleTableSlot *slot,
							uint64 line);
/* Sends what is left.  How many rows got in (of a reference table: into the first
 * of its copies that is filled), since triggers may leave some out. */
extern uint64 tess_stream_end(TessStream *stream);
/* Raises an error with a row of the input, but first those that nodes have with
 * the rows before it: PostgreSQL tells the first one.  From PG_CATCH, after
 * FlushErrorState(). */
extern void tess_stream_raise(TessStream *stream, ErrorData *error)
	pg_attribute_noreturn();

/* raw_check.c, raw_copy.c: text and csv whose lines go to the shards unread ---- */

/* True if lines of the input say the same to all servers, and no row has to be
 * looked at here but for its key. */
extern bool tess_raw_is_possible(CopyFromState input, const TessTable *table);
/* Sends all lines of the input, of a COPY with these options; how many rows
 * they were. */
extern uint64 tess_raw_copy(CopyFromState input, const TessTable *table,
							List *options);

/* raw_binary.c: rows of COPY's binary format go there unread as well ----------- */

/* True if rows of the input are as this stream has them. */
extern bool tess_binary_is_possible(CopyFromState input,
									const TessStream *stream);
/* Puts the next row into the stream; false: core has to read it. */
extern bool tess_binary_take(CopyFromState input, TessStream *stream,
							 MemoryContext row_context);

/* divide.c: rows that nodes write for the queues of a stream --------------------- */

/* What their messages are. */
typedef struct TessDivided
{
	List *columns; /* int list: of the query (from 1), that rows consist of */

	/* So many columns stand before these in the stream's rows, and are computed
	 * here: in a slot of the table's for each row. */
	int added_count;
	TupleTableSlot *(*next_added)(void *arg);
	void *arg;
} TessDivided;

/* What gives the next rows of a cursor of the node, as bytea in binary: each is a
 * message, of rows of one queue.  key is the column (from 1) by whose values they
 * belong to the group's shards, whose type is the key's and whose collation
 * does not matter to its hash; 0: it is NULL.  group NULL: there is one queue. */
extern char *tess_divided_sql(const TessGroup *group, List *columns, int key,
							  const char *cursor);
/* True for the message that there may be more rows; it has none itself. */
extern bool tess_divided_says_more(const char *message, int length);
/* Any other one, for a stream of all columns in that order, which is binary.  The
 * message may be gone when it has been copied. */
extern void tess_stream_put_divided(TessStream *stream,
									const TessDivided *divided,
									const char *message, int length);

/* raw_out.c: what the shards write is the output -------------------------------- */

/* A COPY ... TO. */
typedef struct TessRawOut
{
	const TessGroup *group;
	List *template; /* what COPY names: a table with its columns, or a query */
	List *options;
	const CopyFormatOptions *format; /* the same */

	/* Gets each message of COPY's protocol: a row, a header, an end.  May raise. */
	void (*put)(void *arg, const char *bytes, int length);
	void *arg;
} TessRawOut;

/* True if nodes hold all shards, and write columns of these types as this server
 * would. */
extern bool tess_raw_out_is_possible(const TessGroup *group, TupleDesc desc,
									 List *attnums,
									 const CopyFormatOptions *format);
/* Puts out all rows; how many they were.  For statements of the client, whose
 * snapshot is the active one. */
extern uint64 tess_raw_out(const TessRawOut *out);

/* progress.c ------------------------------------------------------------------ */

/* What pg_stat_progress_copy tells of this backend: rows that have been read so
 * far.  Cheap. */
extern void tess_progress_rows(uint64 rows);
/* One more that a condition has left out. */
extern void tess_progress_row_excluded(void);
/* Of the rows of a table, from the first block to the last; without an error,
 * to be ended. */
extern void tess_progress_begin_table(Relation rel);
extern void tess_progress_block(BlockNumber block);
/* Of an output, of rows of this table; to be ended, too. */
extern void tess_progress_begin_out(Oid relation, bool is_client,
									bool is_program);
extern void tess_progress_end(void);

#endif
