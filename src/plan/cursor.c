/*
 * cursor.c - cursors that were declared without SCROLL.
 *
 * PostgreSQL lets them go backward where nothing in the plan makes it costly, and
 * asks each node of the plan.  A scan of ours says that it can where a cursor may
 * come to that, since it keeps what it has passed then (exec/).  Nobody else
 * is to pay for it: not SCROLL, over which PostgreSQL puts its Material, nor
 * NO SCROLL, nor what is no cursor, such as the loops of PL/pgSQL.
 */
#include "postgres.h"

#include "base/base.h"
#include "plan/plan_internal.h"

static void
allow_backward(Plan *plan, void *arg)
{
	CustomScan *scan = (CustomScan *) plan;
	const TessFragment *fragment;

	if (!IsA(plan, CustomScan) ||
		scan->methods != GetCustomScanMethods(TESS_SCAN_METHODS, true))
		return;
	fragment = linitial(scan->custom_private);
	/* as PostgreSQL does not where rows are locked */
	if (fragment->changed == NIL && !fragment->locks_rows)
		scan->flags |= CUSTOMPATH_SUPPORT_BACKWARD_SCAN;
}

/* Lets the scans of a statement go backward, if it is such a cursor's. */
void
tess_cursor_plan(PlannedStmt *stmt, int cursor_options)
{
	/* DECLARE, and cursors of PL/pgSQL, ask for fast plans */
	if ((cursor_options & CURSOR_OPT_FAST_PLAN) == 0 ||
		(cursor_options & (CURSOR_OPT_SCROLL | CURSOR_OPT_NO_SCROLL)) != 0)
		return;
	if (IsA(stmt->planTree, CustomScan))
	{
		/* others may share it */
		CustomScan *scan = makeNode(CustomScan);

		memcpy(scan, stmt->planTree, sizeof(CustomScan));
		stmt->planTree = (Plan *) scan;
	}
	tess_plan_walk(stmt, allow_backward, NULL);
}
