/*
 * shared_plan.c - statements that differ only in constants are planned once.
 *
 * A statement's plan is shared if it is made without knowing the constants: it
 * is planned as if they were parameters, and what comes out is one scan that
 * sends the statement to its shards, or an INSERT of rows of values.  In each execution
 * the constants take the parameters' places: the plan is then the one that
 * the statement would have got for itself, but that its text for the nodes has
 * parameters.  That text is the same each time, so nodes plan it once as well.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"

#include "base/base.h"
#include "plan/shared_plan.h"

/* Constants for parameters ----------------------------------------------------- */

static bool
is_slot_param(const Node *node)
{
	return IsA(node, Param) &&
		   ((const Param *) node)->paramkind == PARAM_EXTERN &&
		   ((const Param *) node)->paramid >= TESS_FIRST_SLOT_PARAM;
}

static bool
has_slot_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return is_slot_param(node) ||
		   expression_tree_walker(node, has_slot_walker, context);
}

static bool
has_slot(List *expressions)
{
	return has_slot_walker((Node *) expressions, NULL);
}

static Node *
fill_mutator(Node *node, Const **values)
{
	if (node == NULL)
		return NULL;
	if (is_slot_param(node))
		return (Node *) values[((Param *) node)->paramid - TESS_FIRST_SLOT_PARAM];
	return expression_tree_mutator(node, fill_mutator, values);
}

/*
 * An expression of a row of an INSERT.  What is computed of constants alone is computed
 * now, as planners do: an error comes before anything is done for the row.
 */
static Expr *
fill_value(Expr *expr, Const **values)
{
	if (is_slot_param((Node *) expr))
		return (Expr *) fill_mutator((Node *) expr, values);
	if (!has_slot_walker((Node *) expr, NULL))
		return expr;
	return (Expr *) eval_const_expressions(NULL,
										   fill_mutator((Node *) expr, values));
}

static List *
fill_row(List *target_list, Const **values)
{
	List *filled = NIL;
	ListCell *cell;

	foreach(cell, target_list)
	{
		TargetEntry *tle = flatCopyTargetEntry(lfirst_node(TargetEntry, cell));

		tle->expr = fill_value(tle->expr, values);
		filled = lappend(filled, tle);
	}
	return filled;
}

/* Of rows of VALUES. */
static List *
fill_rows(List *rows, Const **values)
{
	List *filled = NIL;
	ListCell *row;
	ListCell *cell;

	foreach(row, rows)
	{
		List *exprs = list_copy(lfirst_node(List, row));

		foreach(cell, exprs)
			lfirst(cell) = fill_value(lfirst(cell), values);
		filled = lappend(filled, exprs);
	}
	return filled;
}

/* The plan of the rows of an INSERT; NULL: there is none. */
static Plan *
rows_of(const CustomScan *scan)
{
	return scan->custom_plans != NIL ? linitial(scan->custom_plans) : NULL;
}

static Plan *
fill_rows_plan(const Plan *template, Const **values)
{
	Plan *plan;

	if (IsA(template, ValuesScan))
	{
		ValuesScan *scan = makeNode(ValuesScan);

		memcpy(scan, template, sizeof(ValuesScan));
		scan->values_lists = fill_rows(scan->values_lists, values);
		plan = &scan->scan.plan;
	}
	else
	{
		plan = (Plan *) makeNode(Result);
		memcpy(plan, template, sizeof(Result));
	}
	plan->targetlist = fill_row(plan->targetlist, values);
	return plan;
}

static Plan *
fill_plan(const CustomScan *template, Const **values)
{
	CustomScan *scan = makeNode(CustomScan);
	Plan *rows = rows_of(template);

	memcpy(scan, template, sizeof(CustomScan));
	scan->custom_exprs = (List *) fill_mutator((Node *) template->custom_exprs,
											   values);
	if (rows != NULL)
		scan->custom_plans = list_make1(fill_rows_plan(rows, values));
	return (Plan *) scan;
}

/*
 * The plan of a statement, of a shared one: only what differs is copied.  It
 * points into the shared one and into the statement.
 */
static PlannedStmt *
fill_statement(const PlannedStmt *template, const TessShape *shape)
{
	PlannedStmt *stmt = makeNode(PlannedStmt);

	memcpy(stmt, template, sizeof(PlannedStmt));
	stmt->queryId = shape->query->queryId;
	stmt->stmt_location = shape->query->stmt_location;
	stmt->stmt_len = shape->query->stmt_len;
	if (shape->count > 0)
	{
		Const **values = palloc(shape->value_count * sizeof(Const *));

		for (int i = 0; i < shape->count; i++)
			values[shape->slots[i].number] = shape->slots[i].constant;
		stmt->planTree = fill_plan((const CustomScan *) template->planTree,
								   values);
	}
	return stmt;
}

/* Which plans are shared -------------------------------------------------------- */

/* True if fill_plan knows all places where the parameters can be. */
static bool
is_fillable(const CustomScan *scan)
{
	const Plan *rows = rows_of(scan);

	if (has_slot(scan->scan.plan.targetlist) || has_slot(scan->scan.plan.qual) ||
		has_slot(scan->custom_scan_tlist) || scan->scan.plan.initPlan != NIL)
		return false;
	if (rows == NULL)
		return true;
	return list_length(scan->custom_plans) == 1 && rows->lefttree == NULL &&
		   rows->initPlan == NIL && rows->qual == NIL &&
		   (IsA(rows, ValuesScan) ||
			(IsA(rows, Result) &&
			 ((const Result *) rows)->resconstantqual == NULL));
}

/* A statement that is sent to shards as it is, or an INSERT of rows that it names. */
static bool
is_shared(const PlannedStmt *stmt)
{
	const CustomScan *scan = (const CustomScan *) stmt->planTree;
	const TessFragment *fragment;

	if (!IsA(scan, CustomScan) || stmt->subplans != NIL || stmt->transientPlan ||
		stmt->rowMarks != NIL || stmt->paramExecTypes != NIL)
		return false;
	if (scan->methods != GetCustomScanMethods(TESS_SCAN_METHODS, false) &&
		scan->methods != GetCustomScanMethods(TESS_MODIFY_METHODS, false))
		return false;
	fragment = linitial(scan->custom_private);
	/* rows that a scan ships are computed by any plan */
	return (fragment->modify != NULL || scan->custom_plans == NIL) &&
		   is_fillable(scan);
}

/* Plans a statement for all of its shape, and keeps the plan; NULL: it cannot
 * be shared. */
static PlannedStmt *
make_shared(const TessJob *job, TessShape *shape, TessPlanner planner)
{
	TessJob shared = *job;
	uint64 generation = tess_shared_generation();
	PlannedStmt *stmt;
	Query *blank;

	tess_shape_blank(shape);
	blank = copyObject(job->parse);
	tess_shape_restore(shape);

	shared.parse = tess_shape_parameters(blank);
	shared.bound_params = NULL;
	shared.is_shared = true;
	stmt = planner(&shared);
	if (stmt == NULL || !is_shared(stmt))
		return NULL;
	tess_shared_keep(shape, blank, stmt, generation);
	return fill_statement(stmt, shape);
}

/* EXPLAIN shows what is sent with its constants. */
static bool
may_share(const TessJob *job)
{
	return tess_shared_is_on() &&
		   (job->cursor_options & CURSOR_OPT_SCROLL) == 0 &&
		   !tess_is_explaining();
}

static PlannedStmt *
find_shared(TessShape *shape)
{
	const PlannedStmt *found;

	tess_shape_blank(shape);
	found = tess_shared_find(shape);
	tess_shape_restore(shape);
	return found != NULL ? fill_statement(found, shape) : NULL;
}

static PlannedStmt *
plan_in_open_frame(TessJob *job)
{
	return tess_plan_in_frame(job, true);
}

/*
 * The plan of a statement that shares one with others, made now or before; NULL
 * if it does not.  Lives as long as what planners return.
 */
PlannedStmt *
tess_plan_shared(TessJob *job)
{
	TessShape shape;
	PlannedStmt *stmt;

	if (!may_share(job) || !tess_shape_make(&shape, job->parse))
		return NULL;
	stmt = find_shared(&shape);
	if (stmt != NULL || tess_shared_is_refused(&shape))
		return stmt;
	stmt = make_shared(job, &shape, plan_in_open_frame);
	if (stmt == NULL)
		tess_shared_refuse(&shape);
	return stmt;
}

/* See plan_internal.h. */
PlannedStmt *
tess_plan_shared_call(TessJob *job, Oid relation, TessPlanner planner)
{
	TessShape shape;
	PlannedStmt *stmt;

	if (!may_share(job) || !tess_shape_make_call(&shape, job->parse, relation))
		return planner(job);
	stmt = find_shared(&shape);
	if (stmt == NULL)
		stmt = make_shared(job, &shape, planner);
	return stmt != NULL ? stmt : planner(job);
}
