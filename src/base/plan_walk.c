/*
 * plan_walk.c - visits the nodes of a finished plan, for which core has no
 * walker.  Expressions are not looked into: their subplans are in the
 * statement's list.
 */
#include "postgres.h"

#include "nodes/plannodes.h"

#include "base/base.h"

static void walk(Plan *plan, void (*visit)(Plan *plan, void *arg), void *arg);

static void
walk_list(List *plans, void (*visit)(Plan *plan, void *arg), void *arg)
{
	ListCell *cell;

	foreach(cell, plans)
		walk(lfirst(cell), visit, arg);
}

static void
walk(Plan *plan, void (*visit)(Plan *plan, void *arg), void *arg)
{
	if (plan == NULL)
		return;
	visit(plan, arg);
	walk(outerPlan(plan), visit, arg);
	walk(innerPlan(plan), visit, arg);
	switch (nodeTag(plan))
	{
		case T_Append:
			walk_list(((Append *) plan)->appendplans, visit, arg);
			break;
		case T_MergeAppend:
			walk_list(((MergeAppend *) plan)->mergeplans, visit, arg);
			break;
		case T_BitmapAnd:
			walk_list(((BitmapAnd *) plan)->bitmapplans, visit, arg);
			break;
		case T_BitmapOr:
			walk_list(((BitmapOr *) plan)->bitmapplans, visit, arg);
			break;
		case T_SubqueryScan:
			walk(((SubqueryScan *) plan)->subplan, visit, arg);
			break;
		case T_CustomScan:
			walk_list(((CustomScan *) plan)->custom_plans, visit, arg);
			break;
		default:
			break;
	}
}

/* See base.h. */
void
tess_plan_walk(const PlannedStmt *stmt, void (*visit)(Plan *plan, void *arg),
			   void *arg)
{
	walk(stmt->planTree, visit, arg);
	walk_list(stmt->subplans, visit, arg);
}
