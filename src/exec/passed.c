/*
 * passed.c - rows that a cursor has passed, so that it can go back to them.
 *
 * PostgreSQL lets a cursor that was declared without SCROLL go backward where its
 * plan can do so without extra cost.  For rows of nodes there is a cost: they have
 * to be kept.  So they are, as long as they fit in work_mem; of a larger result
 * nothing is kept, and the cursor goes only forward, as it would over a plan that
 * cannot go backward.  The rows of a cursor WITH HOLD are all kept, on disk if
 * need be, since the end of the transaction reads them from the first one on.
 * The nodes are not asked again: they might give their rows in another order.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/portal.h"

struct TessPassed
{
	Portal held;			/* a cursor WITH HOLD; else NULL */
	Tuplestorestate *store; /* every row so far */
	TupleTableSlot *stored_slot;
	int64 count;
	int64 position; /* so many rows are before the next one */
	bool past_end;	/* of all rows */
	bool is_lost;	/* the rows were too many */
};

/* Begins to keep the rows of a scan that a cursor starts; lives as long as
 * its executor. */
TessPassed *
tess_passed_make(CustomScanState *node)
{
	EState *estate = node->ss.ps.state;
	TupleDesc desc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	TessPassed *passed = palloc0(sizeof(TessPassed));

	if (ActivePortal != NULL && (ActivePortal->cursorOptions & CURSOR_OPT_HOLD))
		passed->held = ActivePortal;
	passed->stored_slot = ExecInitExtraTupleSlot(estate, desc,
												 &TTSOpsMinimalTuple);
	passed->store = tuplestore_begin_heap(true, false, work_mem);
	return passed;
}

/* Frees what was kept. */
void
tess_passed_end(TessPassed *passed)
{
	if (passed->store != NULL)
		tuplestore_end(passed->store);
	passed->store = NULL;
}

static void
lose(TessPassed *passed)
{
	tess_passed_end(passed);
	passed->is_lost = true;
}

static void
refuse_lost(const TessPassed *passed)
{
	if (passed->is_lost)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cursor can only scan forward"),
				 errdetail("The rows that it has passed do not fit in work_mem."),
				 errhint(
					 "Declare it with SCROLL option to enable backward scan.")));
}

/* A row from the store; false: there is none in this direction. */
static bool
read_row(TessPassed *passed, bool forward, TupleTableSlot *slot)
{
	if (!tuplestore_gettupleslot(passed->store, forward, true,
								 passed->stored_slot))
		return false;
	tess_slot_show(slot, passed->stored_slot);
	return true;
}

/* The store's own position is its end: rows that are added move it along. */
static void
go_to_end(TessPassed *passed)
{
	if (!tuplestore_ateof(passed->store))
		(void) tuplestore_advance(passed->store, true);
}

/* The next row, if the cursor has gone back; false: the scan has to give it. */
bool
tess_passed_next(TessPassed *passed, TupleTableSlot *slot)
{
	if (passed->position >= passed->count || passed->is_lost)
		return false;
	if (!read_row(passed, true, slot))
		elog(ERROR, "rows that were passed ended early");
	passed->position++;
	return true;
}

/* The scan has given a row, or an empty slot at its end. */
void
tess_passed_add(TessPassed *passed, TupleTableSlot *slot)
{
	if (passed->is_lost)
		return;
	go_to_end(passed);
	passed->past_end = TupIsNull(slot);
	if (passed->past_end)
		return;
	if (passed->held != NULL && passed->held->holdStore != NULL)
	{
		/* this is the last time that all rows are read */
		lose(passed);
		return;
	}
	tuplestore_puttupleslot(passed->store, slot);
	passed->count++;
	passed->position++;
	if (passed->held == NULL && !tuplestore_in_memory(passed->store))
		lose(passed);
}

/* The row before the last one that was given; false: that was the first.
 * Errors with 55000 if the rows are not kept any more. */
bool
tess_passed_previous(TessPassed *passed, TupleTableSlot *slot)
{
	refuse_lost(passed);
	/* from its end a store gives the last row, which is ours already */
	if (tuplestore_ateof(passed->store) && !passed->past_end)
		(void) tuplestore_advance(passed->store, false);
	if (!passed->past_end)
		passed->position--;
	passed->past_end = false;
	if (read_row(passed, false, slot))
		return true;
	passed->position = 0;
	ExecClearTuple(slot);
	return false;
}

/* Goes back to before the first row; errors as tess_passed_previous does. */
void
tess_passed_rewind(TessPassed *passed)
{
	refuse_lost(passed);
	tuplestore_rescan(passed->store);
	passed->position = 0;
	passed->past_end = false;
}
