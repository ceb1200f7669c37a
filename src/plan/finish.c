/*
 * finish.c - finished plans around our nodes, for statements that do not pass
 * through core's planner.
 *
 * What setrefs does for others is done here: target lists over the scan's own
 * tuple, a flat range table with every table of the tree (PostgreSQL checks
 * privileges, takes locks and invalidates the plan by it), and dependencies.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "plan/plan_internal.h"

static Plan *materialize(Plan *plan);

/* The same for custom and generic plans, so that generic ones win. */
#define STARTUP_COST 10.0
#define ROW_ESTIMATE 10.0

/* The types of what a fragment returns, from a target list. */
void
tess_fragment_describe(TessFragment *fragment, List *tlist)
{
	ListCell *cell;

	fragment->column_types = NIL;
	fragment->column_typmods = NIL;
	fragment->column_collations = NIL;
	foreach(cell, tlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);
		Node *expr = (Node *) tle->expr;

		if (tle->resjunk)
			continue;
		fragment->column_types = lappend_oid(fragment->column_types,
											 exprType(expr));
		fragment->column_typmods = lappend_int(fragment->column_typmods,
											   exprTypmod(expr));
		fragment->column_collations = lappend_oid(fragment->column_collations,
												  exprCollation(expr));
	}
}

/*
 * A scan of ours as a finished plan node: scanrelid 0, its tuple described by
 * scan_tlist; tlist is over that tuple (Vars of INDEX_VAR).
 */
CustomScan *
tess_scan_make(const char *methods, TessFragment *fragment, List *scan_tlist,
			   List *tlist, List *custom_exprs)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.startup_cost = STARTUP_COST;
	scan->scan.plan.total_cost = STARTUP_COST + ROW_ESTIMATE * cpu_tuple_cost;
	scan->scan.plan.plan_rows = ROW_ESTIMATE;
	scan->scan.plan.plan_width = 32;
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.plan_node_id = 0;
	scan->custom_exprs = custom_exprs;
	scan->custom_private = list_make1(fragment);
	scan->custom_scan_tlist = scan_tlist;
	scan->methods = GetCustomScanMethods(methods, false);
	return scan;
}

/* As setrefs: what execution does not need is dropped. */
static RangeTblEntry *
flat_entry(const RangeTblEntry *rte)
{
	RangeTblEntry *flat = makeNode(RangeTblEntry);

	memcpy(flat, rte, sizeof(RangeTblEntry));
	flat->tablesample = NULL;
	flat->subquery = NULL;
	flat->securityQuals = NIL;
	flat->enrname = NULL;
	return copyObject(flat);
}

static bool
flatten_walker(Node *node, PlannedStmt *stmt)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION)
		{
			stmt->rtable = lappend(stmt->rtable, flat_entry(rte));
			stmt->relationOids = lappend_oid(stmt->relationOids, rte->relid);
			/* whether a view may be passed through depends on who we are */
			if (OidIsValid(rte->checkAsUser))
				stmt->dependsOnRole = true;
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, flatten_walker, stmt,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, flatten_walker, stmt);
}

/* A planned statement that consists of this plan node alone. */
PlannedStmt *
tess_statement_make(TessJob *job, Plan *plan)
{
	Query *parse = job->parse;
	PlannedStmt *stmt = makeNode(PlannedStmt);

	stmt->commandType = parse->commandType;
	stmt->queryId = parse->queryId;
	stmt->hasReturning = parse->returningList != NIL;
	stmt->hasModifyingCTE = parse->hasModifyingCTE;
	stmt->canSetTag = parse->canSetTag;
	stmt->planTree = plan;
	stmt->stmt_location = parse->stmt_location;
	stmt->stmt_len = parse->stmt_len;
	flatten_walker((Node *) parse, stmt);

	if ((job->cursor_options & CURSOR_OPT_SCROLL) != 0 &&
		parse->commandType == CMD_SELECT)
		stmt->planTree = materialize(plan);
	return stmt;
}

/* For cursors that go backwards. */
static Plan *
materialize(Plan *plan)
{
	Plan *material = materialize_finished_plan(plan);
	ListCell *cell;

	/* what setrefs would do: its columns are those of the plan below it */
	material->targetlist = NIL;
	foreach(cell, plan->targetlist)
	{
		TargetEntry *below = lfirst_node(TargetEntry, cell);
		TargetEntry *entry = flatCopyTargetEntry(below);

		entry->expr = (Expr *) makeVarFromTargetEntry(OUTER_VAR, below);
		material->targetlist = lappend(material->targetlist, entry);
	}
	return material;
}

/*
 * Expressions ready to be executed: folded, with their functions looked up.
 * What the plan depends on for them goes to stmt.
 */
List *
tess_expressions_finish(List *exprs, PlannedStmt *stmt)
{
	List *finished = NIL;
	ListCell *cell;

	foreach(cell, exprs)
	{
		List *oids = NIL;
		List *items = NIL;
		Expr *expr = expression_planner_with_deps(lfirst(cell), &oids, &items);

		finished = lappend(finished, expr);
		stmt->relationOids = list_concat(stmt->relationOids, oids);
		stmt->invalItems = list_concat(stmt->invalItems, items);
	}
	return finished;
}

static bool
is_users_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

/* What has to be evaluated by the executor that runs the plan, or may run
 * statements of users. */
static bool
needs_executor_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind != PARAM_EXTERN;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) ||
		IsA(node, CoerceToDomain))
		return true;
	return check_functions_in_node(node, is_users_function, NULL) ||
		   expression_tree_walker(node, needs_executor_walker, context);
}

static bool
may_be_early(List *exprs)
{
	return !needs_executor_walker((Node *) exprs, NULL) &&
		   !contain_volatile_functions((Node *) exprs);
}

/* True if the columns of a scan are those of its own tuple, in their order. */
static bool
are_columns_of_scan(const CustomScan *scan)
{
	ListCell *cell;

	if (list_length(scan->custom_scan_tlist) !=
		list_length(scan->scan.plan.targetlist))
		return false;
	foreach(cell, scan->scan.plan.targetlist)
	{
		const TargetEntry *entry = lfirst_node(TargetEntry, cell);
		const Var *var = (const Var *) entry->expr;

		if (entry->resjunk || !IsA(var, Var) || var->varno != INDEX_VAR ||
			var->varattno != foreach_current_index(cell) + 1)
			return false;
	}
	return true;
}

/* A statement that is sent to one shard as it is, and whose columns are those
 * that the shard gives. */
static bool
is_whole_scan(const CustomScan *scan, const TessFragment *fragment,
			  const PlannedStmt *stmt)
{
	return fragment->target == TESS_TO_ONE_SHARD && fragment->sources == NIL &&
		   fragment->frame == NIL && fragment->shipped == NIL &&
		   fragment->command == stmt->commandType &&
		   (fragment->changed == NIL || fragment->sets_count ||
			OidIsValid(fragment->function)) &&
		   are_columns_of_scan(scan);
}

/* For check_functions_in_node: whose values depend on when, or how often, they are asked
 * for.  A number of a sequence, and a UUID, is as good as the next one. */
static bool
minds_when(Oid function, void *context)
{
	return function != F_NEXTVAL && function != F_GEN_RANDOM_UUID &&
		   func_volatile(function) == PROVOLATILE_VOLATILE;
}

static bool
minds_when_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, minds_when, NULL) ||
		   expression_tree_walker(node, minds_when_walker, context);
}

/* True if the columns of a change that a scan gives are those that the shard
 * gives. */
static bool
gives_what_it_gets(const CustomScan *scan, const TessFragment *fragment)
{
	int count = list_length(scan->custom_scan_tlist);
	ListCell *cell;

	if (list_length(fragment->column_types) != count ||
		!are_columns_of_scan(scan))
		return false;
	foreach(cell, fragment->sources)
		if (lfirst_int(cell) != foreach_current_index(cell))
			return false;
	return true;
}

/* An INSERT of one row. */
static bool
is_insert_of_row(const CustomScan *scan, const TessFragment *fragment)
{
	const TessModifySpec *spec = fragment->modify;
	const Result *row;
	const TessWrite *write;

	if (fragment->target != TESS_TO_SHARDS || spec->finds_rows ||
		spec->resolves_conflicts || spec->policies != NIL ||
		list_length(spec->writes) != 1 || !fragment->sets_count ||
		list_length(scan->custom_plans) != 1 ||
		!IsA(linitial(scan->custom_plans), Result) ||
		(spec->has_returning && !gives_what_it_gets(scan, fragment)))
		return false;
	write = linitial(spec->writes);
	row = linitial(scan->custom_plans);
	return write->command == CMD_INSERT && write->counts &&
		   write->returns == spec->has_returning &&
		   row->plan.lefttree == NULL && row->plan.qual == NIL &&
		   row->plan.initPlan == NIL && row->resconstantqual == NULL &&
		   !needs_executor_walker((Node *) row->plan.targetlist, NULL) &&
		   !minds_when_walker((Node *) row->plan.targetlist, NULL);
}

/* Gives the fragment that a finished plan consists of a number, if a shard of
 * this server may run it as a statement of its own. */
void
tess_number_whole(PlannedStmt *stmt)
{
	static int64 last_number = 0;
	const CustomScan *scan = (const CustomScan *) stmt->planTree;
	TessFragment *fragment;
	TessFired fired;
	bool is_whole = false;

	if (!IsA(scan, CustomScan) || stmt->hasModifyingCTE || !stmt->canSetTag ||
		stmt->subplans != NIL || stmt->rowMarks != NIL ||
		scan->scan.plan.qual != NIL || scan->scan.plan.initPlan != NIL ||
		!may_be_early(scan->custom_exprs) || tess_fired_of(stmt, &fired))
		return;
	fragment = linitial(scan->custom_private);
	if (strcmp(scan->methods->CustomName, TESS_SCAN_METHODS) == 0)
		is_whole = is_whole_scan(scan, fragment, stmt);
	else if (strcmp(scan->methods->CustomName, TESS_MODIFY_METHODS) == 0)
		is_whole = is_insert_of_row(scan, fragment);
	if (is_whole)
		fragment->number = ++last_number;
}
