/*
 * change.c - a change as a SELECT of the rows it writes.
 *
 * Strategies that compute rows here turn a change of one of our tables, be it
 * the statement itself or a part of WITH, into a SELECT, its source, and hang
 * a mark on it: what is sent where, and what comes back.  Core plans the source
 * like any query; when it is done with it, create_upper_paths_hook puts
 * TesseraModify over the path.  So RETURNING, with its subqueries and columns
 * of other tables, is planned by core too: it stays in the source, and so does
 * the number of the target, whose columns it means.
 *
 * The mark stands in utilityStmt, which core leaves alone in a SELECT and copies
 * with it.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"

#include "plan/plan_internal.h"

/* What it costs to send a row. */
#define ROW_COST 0.02

static create_upper_paths_hook_type next_upper_paths = NULL;

static Plan *plan_modify(PlannerInfo *root, RelOptInfo *rel,
						 struct CustomPath *path, List *tlist, List *clauses,
						 List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = TESS_MODIFY_METHODS,
	.PlanCustomPath = plan_modify,
};

static Plan *plan_repeat(PlannerInfo *root, RelOptInfo *rel,
						 struct CustomPath *path, List *tlist, List *clauses,
						 List *custom_plans);

static const CustomPathMethods repeat_path_methods = {
	.CustomName = TESS_REPEAT_METHODS,
	.PlanCustomPath = plan_repeat,
};

/* The nodes say of each row of RETURNING which row it was. */
static void
add_number_column(TessFragment *fragment)
{
	fragment->column_types = lappend_oid(fragment->column_types, INT4OID);
	fragment->column_typmods = lappend_int(fragment->column_typmods, -1);
	fragment->column_collations = lappend_oid(fragment->column_collations,
											  InvalidOid);
}

/*
 * What core has to plan though it is not of the source's rows: the parameters of
 * the fragment's texts.  An ON CONFLICT in a SELECT is planned like any, and
 * means nothing.
 */
static OnConflictExpr *
carry_parameters(const TessBindings *bindings)
{
	OnConflictExpr *carrier = makeNode(OnConflictExpr);
	ListCell *cell;

	foreach(cell, bindings->exprs)
		carrier->onConflictSet = lappend(carrier->onConflictSet,
										 makeTargetEntry(lfirst(cell),
														 foreach_current_index(
															 cell) +
															 1,
														 NULL, false));
	carrier->onConflictSet = list_concat(carrier->onConflictSet,
										 bindings->row_subqueries);
	return carrier;
}

/* What is evaluated where the rows are sent, planned: the parameters, or DO
 * UPDATE itself. */
static List *
carried_exprs(const Query *source, const TessModifySpec *spec)
{
	List *exprs = NIL;
	ListCell *cell;

	if (source->onConflict == NULL)
		return NIL;
	if (spec->resolves_conflicts)
		return copyObject(list_make2(source->onConflict->onConflictWhere,
									 source->onConflict->onConflictSet));
	foreach(cell, source->onConflict->onConflictSet)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (!tle->resjunk)
			exprs = lappend(exprs, copyObject(tle->expr));
	}
	return exprs;
}

/* Marks the source of a change; returns it.  bindings: the parameters of the
 * fragment's texts; NULL: none. */
Query *
tess_change_mark(Query *source, TessFragment *fragment, TessColumns *columns,
				 const TessBindings *bindings)
{
	const TessModifySpec *spec = fragment->modify;

	if (spec->resolves_conflicts || (spec->finds_rows && spec->has_returning))
		add_number_column(fragment);
	source->commandType = CMD_SELECT;
	source->onConflict = bindings != NULL ? carry_parameters(bindings) : NULL;
	source->override = OVERRIDING_NOT_SET;
	source->utilityStmt = (Node *) list_make2(fragment, columns->scan_tlist);
	return source;
}

/* Plans the source of a statement. */
PlannedStmt *
tess_change_plan(TessJob *job, Query *source)
{
	Query *parse = job->parse;
	PlannedStmt *stmt = tess_plan_rest(job, source);

	stmt->commandType = parse->commandType;
	stmt->hasReturning = parse->returningList != NIL;
	stmt->utilityStmt = NULL; /* the mark */
	return stmt;
}

/* The mark of a source; NIL for other queries. */
static List *
mark_of(const Query *query)
{
	return tess_change_is_source(query) ? castNode(List, query->utilityStmt)
										: NIL;
}

/* The only path of final_rel: ours over core's.  parent says whose columns
 * EXPLAIN shows. */
static void
put_on_top(PlannerInfo *root, RelOptInfo *final_rel, RelOptInfo *parent,
		   List *custom_private, const CustomPathMethods *methods)
{
	CustomPath *path = makeNode(CustomPath);
	Path *child = linitial(final_rel->pathlist);

	path->path.pathtype = T_CustomScan;
	path->path.parent = parent;
	path->path.pathtarget = create_pathtarget(root, root->parse->returningList);
	path->path.rows = child->rows;
	path->path.startup_cost = path->path.total_cost = child->total_cost +
													  child->rows * ROW_COST;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make1(child);
	path->custom_private = custom_private;
	path->methods = methods;
	final_rel->pathlist = list_make1(path);
}

static void
put_modify_on_top(PlannerInfo *root, RelOptInfo *final_rel, List *mark)
{
	RelOptInfo *parent = makeNode(RelOptInfo);

	/* EXPLAIN shows columns of the target */
	*parent = *final_rel;
	if (lsecond(mark) != NIL)
		parent->relids = bms_make_singleton(root->parse->resultRelation);

	put_on_top(root, final_rel, parent, mark, &path_methods);
	final_rel->partial_pathlist = NIL;
	final_rel->consider_parallel = false;
}

/* A change of a reference table in WITH, which core plans and we repeat. */
static bool
is_repeated(const Query *query)
{
	return query->commandType != CMD_SELECT &&
		   query->commandType != CMD_UTILITY && query->utilityStmt != NULL;
}

static void
put_repeat_on_top(PlannerInfo *root, RelOptInfo *final_rel)
{
	put_on_top(root, final_rel, final_rel,
			   castNode(List, root->parse->utilityStmt), &repeat_path_methods);
}

static void
create_upper_paths(PlannerInfo *root, UpperRelationKind stage,
				   RelOptInfo *input_rel, RelOptInfo *output_rel, void *extra)
{
	List *mark;

	if (next_upper_paths)
		next_upper_paths(root, stage, input_rel, output_rel, extra);
	if (stage != UPPERREL_FINAL)
		return;
	mark = mark_of(root->parse);
	if (mark != NIL)
		put_modify_on_top(root, output_rel, mark);
	else if (is_repeated(root->parse))
		put_repeat_on_top(root, output_rel);
}

/*
 * Columns of other tables that RETURNING names: core has put them into the
 * child's rows.
 */
static List *
add_child_columns(PlannerInfo *root, TessFragment *fragment, List *scan_tlist,
				  List *returning)
{
	List *vars = pull_var_clause((Node *) returning, PVC_INCLUDE_PLACEHOLDERS);
	ListCell *cell;

	foreach(cell, vars)
	{
		Expr *expr = lfirst(cell);
		TargetEntry *tle;

		if (IsA(expr, Var) && ((Var *) expr)->varno == root->parse->resultRelation)
			continue;
		if (tlist_member(expr, scan_tlist))
			continue;
		tle = tlist_member(expr, root->processed_tlist);
		if (tle == NULL)
			elog(ERROR, "column of RETURNING is not in the source");
		scan_tlist = lappend(scan_tlist,
							 makeTargetEntry(copyObject(expr),
											 list_length(scan_tlist) + 1, NULL,
											 false));
		fragment->sources = lappend_int(fragment->sources,
										TESS_FROM_CHILD(tle->resno - 1));
	}
	return scan_tlist;
}

/* The error of a row that violates the check option of a view. */
static Expr *
check_option_error(const Query *parse, const char *view)
{
	Oid types[] = {TEXTOID, OIDOID, INT2VECTOROID, RECORDOID};
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);
	Bitmapset *changed = bms_union(rte->insertedCols, rte->updatedCols);
	int16 *attnums = palloc(sizeof(int16) * Max(bms_num_members(changed), 1));
	int count = 0;
	int at = -1;

	while ((at = bms_next_member(changed, at)) >= 0)
		attnums[count++] = at + FirstLowInvalidHeapAttributeNumber;
	return (Expr *)
		makeFuncExpr(LookupFuncName(list_make2(makeString("tessera_internal"),
											   makeString("violates_check_option")),
									lengthof(types), types, false),
					 BOOLOID,
					 list_make4(makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID,
										  -1, CStringGetTextDatum(view), false,
										  false),
								makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
										  ObjectIdGetDatum(rte->relid), false,
										  true),
								makeConst(INT2VECTOROID, -1, InvalidOid, -1,
										  PointerGetDatum(
											  buildint2vector(attnums, count)),
										  false, false),
								tess_target_row(parse)),
					 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* Conditions that end the statement where a row that was written violates the
 * check option of a view. */
static List *
check_options(PlannerInfo *root)
{
	List *checks = NIL;
	ListCell *cell;

	foreach(cell, root->parse->withCheckOptions)
	{
		WithCheckOption *option = lfirst_node(WithCheckOption, cell);
		CaseExpr *check = makeNode(CaseExpr);
		CaseWhen *holds = makeNode(CaseWhen);

		if (tess_is_policy(option))
			continue;
		/* the planner has made a list of it */
		holds->expr = make_ands_explicit(copyObject(castNode(List, option->qual)));
		holds->result = (Expr *) makeBoolConst(true, false);
		check->casetype = BOOLOID;
		check->args = list_make1(holds);
		check->defresult = check_option_error(root->parse, option->relname);
		checks = lappend(checks, check);
	}
	return checks;
}

/* True if many of its rows go as COPY. */
static bool
may_copy(const TessModifySpec *spec)
{
	return list_length(spec->writes) == 1 &&
		   ((const TessWrite *) linitial(spec->writes))->may_copy;
}

/* PlanCustomPath */
static Plan *
plan_modify(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
			List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	TessFragment *fragment = copyObject(linitial(path->custom_private));
	List *scan_tlist = copyObject(lsecond(path->custom_private));
	TessModifySpec *spec;

	scan->custom_scan_tlist = add_child_columns(root, fragment, scan_tlist,
												tlist);
	spec = fragment->modify;
	if (root->parse->hasModifyingCTE)
		spec->reads_first = true;
	if (tess_frame_has_scans() && may_copy(spec))
		spec->reads_shards = true;
	else if (tess_frame_has_scans())
		spec->reads_first = true;
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = check_options(root);
	scan->custom_exprs = carried_exprs(root->parse, spec);
	spec->policies = tess_policies_take(root->parse->withCheckOptions,
										&scan->custom_exprs);
	scan->custom_plans = custom_plans;
	scan->custom_private = list_make1(fragment);
	scan->flags = path->flags;
	scan->methods = GetCustomScanMethods(TESS_MODIFY_METHODS, false);

	/* what core names and labels the columns of the topmost plan by */
	root->processed_tlist = root->parse->returningList;
	return (Plan *) scan;
}

/* PlanCustomPath: the rows of the child, whose RETURNING has been computed, as
 * they are. */
static Plan *
plan_repeat(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
			List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.lefttree = linitial(custom_plans);
	scan->custom_scan_tlist = copyObject(tlist);
	scan->custom_private = copyObject(path->custom_private);
	scan->flags = path->flags;
	scan->methods = GetCustomScanMethods(TESS_REPEAT_METHODS, false);
	root->processed_tlist = root->parse->returningList;
	return (Plan *) scan;
}

/* Installs the hook. */
void
tess_change_init(void)
{
	next_upper_paths = create_upper_paths_hook;
	create_upper_paths_hook = create_upper_paths;
}
