/*
 * scan_internal.h - TesseraScan, between scan_node.c, which gives out rows, and
 * scan_run.c, which has the nodes asked for them.
 */
#ifndef TESS_SCAN_INTERNAL_H
#define TESS_SCAN_INTERNAL_H

#include "exec/exec_internal.h"

/*
 * What is kept for a rescan.  A rescan with the same arguments may come in any
 * plan in which the scan is not alone at the top, and must not ask the nodes
 * again; but to write a large result to disk just in case would be worse.  So
 * the first work_mem of rows are kept while they pass, and a larger result is
 * fetched a second time by its first rescan, which then keeps everything.
 */
typedef enum TessKeep
{
	TESS_KEEP_NOTHING, /* no rescan can come */
	TESS_KEEP_SMALL,   /* until it does not fit in work_mem */
	TESS_KEEP_ALL
} TessKeep;

typedef struct TessPortions TessPortions;

typedef struct TessScanState
{
	CustomScanState css;
	const TessFragment *fragment;
	Oid role; /* as whom it runs */
	TessArgs *args;
	TessCargo *cargo; /* NULL: nothing is shipped */
	TessEncoder *encoder;
	TessRowMap *rows;
	TupleTableSlot *stored_slot;
	TessReader *reader; /* NULL: it writes */
	TessPassed *passed; /* of a cursor that may go backward; NULL: no such */
	TessKeep keep;
	bool rescan;			  /* arguments may have changed */
	bool has_limit;			  /* ... to this one, whatever it says by itself: */
	int64 limit;			  /* rows at most; -1: all */
	SubTransactionId subxact; /* in which the statement began */
	bool in_portions;		  /* others write over its sessions meanwhile */
	TessDivision *division;	  /* who takes the rows of nodes; NULL: who asks */

	/* of the current run; all of it in run_context */
	MemoryContext run_context;
	TessReplies *replies;	/* NULL: no run yet, or closed */
	TessPortions *portions; /* NULL: all rows come at once */
	TessMerge *merge;		/* NULL: rows come in any order */
	Bitmapset *asked;		/* the shards */
	TessSnapshot *snapshot; /* NULL: as of now, or the transaction's */
	bool alone;				/* one node's answer, that nobody has seen yet */
	bool running;
	bool keeping; /* the store has every row from the first on */
	Tuplestorestate *store;
	int64 stored_rows;
	int64 read_rows;		   /* of the store */
	const TessScanTask *here;  /* the task that runs in process */
	bool prepares;			   /* PREPARE has left with the tasks */
	uint64 copy_rows;		   /* this server's copy had so many rows changed */
	MemoryContext row_context; /* for rows on their way to the store */
	Datum *row_values;
	bool *row_nulls;

	TessScanFigures figures;
} TessScanState;

/* True if it changes something: it may be a SELECT that has changes in WITH. */
extern bool tess_scan_writes(const TessScanState *state);

/* Has the scan ask the nodes, if it knows for what; whether it has now. */
extern bool tess_scan_start(PlanState *scan);

/* Gives the next run of the scan a limit instead of its own; -1: none.  Returns
 * that of the run there is, which may have begun before its time. */
extern int64 tess_scan_limit(PlanState *scan, int64 limit);

/* TessRowSink: a row of a node that nobody has asked for yet. */
extern void tess_scan_store_remote_row(void *owner, void *tag,
									   const PGresult *result, int row);
/* TessSlotSink: a row of a task in process. */
extern void tess_scan_store_local_row(void *owner, TupleTableSlot *slot);

/* portions.c */
extern bool tess_is_scan(const PlanState *node);
extern TessPortions *tess_portions_make(int row_width);
extern void tess_portions_declare(TessPortions *portions, TessReplies *replies,
								  TessScanTask *task, const char *sql,
								  const TessParams *params);
extern bool tess_portions_queue(TessPortions *portions, TessReplies *replies,
								bool binary);
/* From here on, cursors give messages of divided rows. */
extern void tess_portions_divide(TessPortions *portions,
								 const TessDivision *division);
/* A message says that the cursor of a task may have more rows. */
extern void tess_portions_note_more(TessPortions *portions,
									const TessScanTask *task);
extern void tess_portions_note(TessPortions *portions, const TessScanTask *task,
							   PGresult *result);
extern void tess_portions_close(TessPortions *portions, TessReplies *replies,
								Oid role);

/* divided.c */
extern char *tess_division_sql(const TessDivision *division, const char *cursor);
extern void tess_division_take(TessDivision *division, const char *message,
							   int length, bool is_awaited);
extern void tess_division_put_kept(TessDivision *division);

/* scan_run.c: the tasks of a run, whose replies are open, to the shards, or to
 * all copies; in the context of the run. */
extern void tess_scan_run(TessScanState *state, const TessGroup *group);

#endif
