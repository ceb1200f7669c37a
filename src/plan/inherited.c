/*
 * inherited.c - statements whose functions read under the statement's own
 * snapshot: STABLE ones of users.  What these read is known to nobody before, so
 * the snapshot of such a statement has to be there for everything.
 */
#include "postgres.h"

#include "access/transam.h"
#include "base/base.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

#include "plan/plan_internal.h"

/* For check_functions_in_node. */
static bool
inherits_snapshot(Oid function, void *context)
{
	return function >= FirstNormalObjectId &&
		   func_volatile(function) == PROVOLATILE_STABLE &&
		   !tess_function_is_in_c(function);
}

static bool
inheriting_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, inherits_snapshot, context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, inheriting_walker, context, 0);
	return expression_tree_walker(node, inheriting_walker, context);
}

/* True if a query calls such functions. */
bool
tess_calls_inheriting(Query *query)
{
	return query_tree_walker(query, inheriting_walker, NULL, 0);
}

static void
mark(Plan *plan, void *arg)
{
	TessFragment *fragment;

	if (!IsA(plan, CustomScan) ||
		strncmp(((CustomScan *) plan)->methods->CustomName, "Tessera", 7) != 0)
		return;
	fragment = linitial(((CustomScan *) plan)->custom_private);
	fragment->calls_functions = true;
}

/* Notes it in the plan of such a query. */
void
tess_mark_inheriting(PlannedStmt *stmt)
{
	const CustomScan *scan = (const CustomScan *) stmt->planTree;

	/* a statement that goes to a shard whole took its functions along */
	if (IsA(scan, CustomScan) && stmt->subplans == NIL &&
		scan->custom_plans == NIL && outerPlan(&scan->scan.plan) == NULL &&
		!inheriting_walker((Node *) scan->custom_exprs, NULL) &&
		!inheriting_walker((Node *) scan->scan.plan.targetlist, NULL) &&
		!inheriting_walker((Node *) scan->scan.plan.qual, NULL))
		return;
	tess_plan_walk(stmt, mark, NULL);
}
