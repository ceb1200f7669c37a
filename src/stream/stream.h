/*
 * stream.h - rows -> shards, for COPY, tables that get distributed with their
 * rows, and the way back.
 *
 * Rows queue per shard in COPY binary format (text where a type cannot travel
 * in binary); a queue that reaches 1 MB, or the largest one when all together
 * exceed 32 MB, is sent as one COPY statement.  Shards on this server are
 * filled in process by core's CopyFrom, so constraints, indexes and triggers
 * of the shard are honoured everywhere.
 */
#ifndef TESS_STREAM_H
#define TESS_STREAM_H

#include "executor/tuptable.h"
#include "nodes/pg_list.h"

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
/* The slot has the relation's own descriptor. */
extern void tess_stream_put(TessStream *stream, TupleTableSlot *slot);
/* Sends what is left; the number of rows. */
extern uint64 tess_stream_end(TessStream *stream);

#endif
