/*
 * batch_internal.h - rows on their way to shards, between batch.c, which gathers
 * them, and batch_send.c, which makes statements of them, and batch_arrays.c.
 */
#ifndef TESS_BATCH_INTERNAL_H
#define TESS_BATCH_INTERNAL_H

#include "exec/exec_internal.h"

/* Statements of a node that are under way. */
#define TESS_BATCH_MAX_OWED 2

typedef struct Batch
{
	TessBatches *batches;
	TessBranch *branch; /* NULL: copies of a reference table */
	int shard_index;	/* -1: copies */
	int64 shard_id;
	int64 number; /* of the batches of the statement */

	int rows;
	int returned;	  /* RETURNING rows so far */
	int64 *ordinals;  /* of its rows, if they are wanted */
	uint64 rows_here; /* copies: rows changed on this server */

	/* until it is sent */
	MemoryContext context;
	int space; /* rows there is room for */
	Size bytes;
	const char **wire_values; /* for other nodes */
	int *wire_lengths;
	int *wire_formats;
	Datum *values; /* for this server */
	bool *nulls;
} Batch;

struct TessBatches
{
	const TessFragment *fragment;
	const TessWrite *write;
	const TessGroup *group; /* NULL: reference table */
	const TessArgs *args;	/* parameters of the tail */
	bool binary_result;
	void *owner;
	TessReturnedSink put_returned;

	MemoryContext context;
	TessReplies *replies;
	List *copies;	  /* branches of a reference table */
	int column_count; /* parameters of a row */
	Oid *types;
	int16 *lengths; /* of the types */
	bool *by_value;
	TessEncoder *encoder; /* of a row */
	TessParams tail_params;
	Oid *wire_types; /* of the tail and MAX_ROWS rows; grows */
	int wire_type_count;
	bool knows_array_types;
	Oid *array_types; /* of the tail and an array a column; NULL: no such */

	Batch **open; /* by shard; one for a reference table */
	Size open_bytes;
	int64 made; /* batches */
	TessConflicts *conflicts;
	int sent; /* batches */
	bool is_one;
	const CustomScanState *all_of; /* what is open is all that this node writes */
	bool is_last_act;			   /* of the transaction is what is sent next */
	bool prepares;				   /* PREPARE has left with it */
	bool began_with_id; /* of a transaction, before a row was computed */
	bool finds_all;		/* no row may have gone, or be another one */
	uint64 added;		/* rows */
	uint64 processed;
	Bitmapset *shards;
	const Bitmapset *shards_before; /* that other writes of the statement went to */
};

/* True if it is for this server, perhaps among others. */
static inline bool
tess_batch_goes_here(const Batch *batch)
{
	return batch->branch == NULL || batch->branch->is_local;
}

/* batch_arrays.c */
extern bool tess_batch_is_arrays(const Batch *batch);
extern char *tess_batch_arrays_sql(const Batch *batch);
extern TessParams *tess_batch_arrays_params(const Batch *batch);

/* batch_send.c */
/* Parameters while they are made: all of them, and where a batch's own go. */
typedef struct TessBatchParams
{
	TessParams *params; /* without types yet */
	const char **values;
	int *lengths;
	int *formats;
} TessBatchParams;
extern TessBatchParams tess_batch_params_begin(const TessParams *tail, int count);
extern void tess_batch_send_to_copies(Batch *batch);
extern void tess_batches_send_to_shards(TessBatches *batches, List *others,
										List *here);
extern uint64 tess_batch_run_alone(Batch *batch);
extern void tess_batch_returned_remote(void *owner, void *tag,
									   const PGresult *result, int row);
extern void tess_batch_statement_done(void *owner, void *tag, PGresult *result);

#endif
