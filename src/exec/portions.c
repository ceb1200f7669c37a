/*
 * portions.c - rows of nodes that are asked for in portions, because what becomes
 * of them is written over the same sessions.
 *
 * A session gives all rows of a statement before it does anything else: who has to
 * write meanwhile would have to keep them all.  So each statement becomes a cursor,
 * declared before the first write, and thereby reads what there was then; a node
 * gives so many rows at a time, and what is left of these is all that ever has to
 * be kept.
 *
 * Only for scans that are asked once, in any order of rows (begin_scan has found
 * out), since a cursor cannot be run again after the write.
 */
#include "postgres.h"

#include "exec/scan_internal.h"
#include "nodes/nodeFuncs.h"

#define PORTION_BYTES (256 * 1024)
#define MIN_PORTION_ROWS 20
#define MAX_PORTION_ROWS 5000

/* One statement of a node. */
typedef struct Cursor
{
	TessScanTask *task;
	char *name;
	bool is_open;
	bool is_done; /* has given its last row */
} Cursor;

struct TessPortions
{
	MemoryContext context;
	List *cursors; /* Cursor *; of each node, in the order in which they are read */
	int rows;	   /* of a portion */
	const TessDivision *division; /* who gets the rows; NULL: the scan */
};

/* Cursors of this backend, ever: their names. */
static int64 cursor_count = 0;

/* Scans that can --------------------------------------------------------------- */

/* True if nothing keeps the scan from being read in portions. */
static bool
may_pause(const TessScanState *state)
{
	return !tess_scan_writes(state) && !state->fragment->locks_rows &&
		   state->fragment->sort_columns == NIL && state->cargo == NULL &&
		   state->passed == NULL && state->keep == TESS_KEEP_NOTHING &&
		   bms_is_empty(state->args->exec_params);
}

bool
tess_is_scan(const PlanState *node)
{
	return IsA(node, CustomScanState) &&
		   strcmp(((const CustomScanState *) node)->methods->CustomName,
				  TESS_SCAN_METHODS) == 0;
}

static bool
cannot_pause_walker(PlanState *node, void *context)
{
	if (tess_is_scan(node) && !may_pause((TessScanState *) node))
		return true;
	return planstate_tree_walker(node, cannot_pause_walker, context);
}

static bool
pause_walker(PlanState *node, void *context)
{
	if (tess_is_scan(node))
		((TessScanState *) node)->in_portions = true;
	return planstate_tree_walker(node, pause_walker, context);
}

/* Has all scans of a plan, which has not begun, read in portions, if that is
 * possible with all of them. */
bool
tess_scans_pause(PlanState *plan)
{
	if (cannot_pause_walker(plan, NULL))
		return false;
	(void) pause_walker(plan, NULL);
	return true;
}

/* Cursors ------------------------------------------------------------------------ */

/* For a scan whose rows are so wide; lives in the current context. */
TessPortions *
tess_portions_make(int row_width)
{
	TessPortions *portions = palloc0(sizeof(TessPortions));

	portions->context = CurrentMemoryContext;
	portions->rows = Max(PORTION_BYTES / Max(row_width, 1), MIN_PORTION_ROWS);
	portions->rows = Min(portions->rows, MAX_PORTION_ROWS);
	return portions;
}

/* Queues a statement as a cursor: params as for tess_replies_queue. */
void
tess_portions_declare(TessPortions *portions, TessReplies *replies,
					  TessScanTask *task, const char *sql,
					  const TessParams *params)
{
	MemoryContext old_context = MemoryContextSwitchTo(portions->context);
	Cursor *cursor = palloc0(sizeof(Cursor));

	cursor->task = task;
	cursor->name = psprintf("tessera_portions_" INT64_FORMAT, ++cursor_count);
	cursor->is_open = true;
	portions->cursors = lappend(portions->cursors, cursor);
	MemoryContextSwitchTo(old_context);
	tess_replies_queue(replies, task->branch,
					   psprintf("DECLARE %s NO SCROLL CURSOR FOR %s",
								cursor->name, sql),
					   params, false, false, false, task);
}

static void
queue_close(TessReplies *replies, Cursor *cursor)
{
	cursor->is_open = false;
	tess_replies_queue(replies, cursor->task->branch,
					   psprintf("CLOSE %s", cursor->name), NULL, false, false,
					   false, cursor->task);
}

static void
queue_portion(const TessPortions *portions, TessReplies *replies,
			  Cursor *cursor, bool binary)
{
	char *sql;

	cursor->task->is_divided = portions->division != NULL;
	if (cursor->task->is_divided)
	{
		cursor->is_done = true; /* unless the node says that it is not */
		sql = tess_division_sql(portions->division, cursor->name);
		binary = true;
	}
	else
		sql = psprintf("FETCH FORWARD %d FROM %s", portions->rows, cursor->name);
	tess_replies_queue(replies, cursor->task->branch, sql, NULL, binary, true,
					   false, cursor->task);
}

/*
 * Queues what brings the next portion of each node, and closes cursors that have
 * nothing left.  False if there is nothing to queue.
 */
bool
tess_portions_queue(TessPortions *portions, TessReplies *replies, bool binary)
{
	List *asked = NIL; /* branches */
	bool queued = false;
	ListCell *cell;

	foreach(cell, portions->cursors)
	{
		Cursor *cursor = lfirst(cell);
		TessBranch *branch = cursor->task->branch;

		if (!cursor->is_open)
			continue;
		if (cursor->is_done)
			queue_close(replies, cursor);
		else if (!list_member_ptr(asked, branch))
		{
			asked = lappend(asked, branch);
			queue_portion(portions, replies, cursor, binary);
		}
		else
			continue;
		queued = true;
	}
	list_free(asked);
	return queued;
}

static Cursor *
cursor_of_task(const TessPortions *portions, const TessScanTask *task)
{
	ListCell *cell;

	foreach(cell, portions->cursors)
	{
		Cursor *cursor = lfirst(cell);

		if (cursor->task == task)
			return cursor;
	}
	elog(ERROR, "no cursor is open for the task");
}

/* A statement of a task has ended. */
void
tess_portions_note(TessPortions *portions, const TessScanTask *task,
				   PGresult *result)
{
	if (strncmp(PQcmdStatus(result), "FETCH ", 6) == 0)
		cursor_of_task(portions, task)->is_done = atoi(PQcmdTuples(result)) <
												  portions->rows;
}

/* See scan_internal.h. */
void
tess_portions_divide(TessPortions *portions, const TessDivision *division)
{
	portions->division = division;
}

/* See scan_internal.h. */
void
tess_portions_note_more(TessPortions *portions, const TessScanTask *task)
{
	cursor_of_task(portions, task)->is_done = false;
}

/* Closes what nobody has read to its end. */
void
tess_portions_close(TessPortions *portions, TessReplies *replies, Oid role)
{
	bool queued = false;
	ListCell *cell;

	tess_replies_collect(replies, NULL, 0);
	foreach(cell, portions->cursors)
	{
		Cursor *cursor = lfirst(cell);

		if (!cursor->is_open)
			continue;
		if (!queued)
			tess_replies_open(replies, NULL, role, TESS_READ_MORE);
		queue_close(replies, cursor);
		queued = true;
	}
	if (!queued)
		return;
	tess_replies_flush(replies);
	tess_replies_collect(replies, NULL, 0);
}
