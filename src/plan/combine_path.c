/*
 * combine_path.c - aggregates of states where core's Agg cannot combine them:
 * beside others that have to see values, and in grouping sets.
 *
 * In the Agg, tessera_internal.combine takes the place of each aggregate that is
 * combined, with its state as the argument.  TesseraCombine on top tells these
 * calls what they stand for, and gives their results the names that the plan
 * above knows.
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"
#include "optimizer/tlist.h"
#include "parser/parse_func.h"

#include "plan/two_phase.h"

/* A path with the aggregates that are combined below it. */
typedef struct CombinePath
{
	CustomPath custom;
	List *combined; /* Aggref * */
} CombinePath;

static Plan *plan_combine(PlannerInfo *root, RelOptInfo *rel,
						  struct CustomPath *path, List *tlist, List *clauses,
						  List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = TESS_COMBINE_METHODS,
	.PlanCustomPath = plan_combine,
};

/* Targets ---------------------------------------------------------------------- */

static Oid
combine_function(void)
{
	static const Oid arg_types[] = {ANYELEMENTOID};
	List *name = list_make2(makeString(TESS_INTERNAL_SCHEMA),
							makeString("combine"));

	return LookupFuncName(name, lengthof(arg_types), arg_types, false);
}

static Aggref *
make_combine(const Aggref *aggref)
{
	Aggref *combine = makeNode(Aggref);
	Aggref *partial = copyObject((Aggref *) aggref);

	mark_partial_aggref(partial, AGGSPLIT_INITIAL_SERIAL);
	combine->aggfnoid = combine_function();
	combine->aggtype = aggref->aggtype;
	combine->aggcollid = aggref->aggcollid;
	combine->inputcollid = aggref->inputcollid;
	combine->aggtranstype = INTERNALOID;
	combine->aggargtypes = list_make1_oid(exprType((Node *) partial));
	combine->args = list_make1(makeTargetEntry((Expr *) partial, 1, NULL, false));
	combine->aggkind = AGGKIND_NORMAL;
	combine->aggno = aggref->aggno;
	combine->aggsplit = AGGSPLIT_SIMPLE;
	combine->location = -1;
	return combine;
}

static Node *
replace_mutator(Node *node, Phases *phases)
{
	Aggref *aggref = (Aggref *) node;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Aggref))
		return expression_tree_mutator(node, replace_mutator, phases);
	aggref = list_member(phases->combined, node) ? make_combine(aggref)
												 : copyObject(aggref);
	/* core lets aggregates share a state, which those of combine do not */
	aggref->aggtransno = aggref->aggno;
	return (Node *) aggref;
}

/* See two_phase.h. */
List *
tess_combine_replace(Phases *phases, List *exprs)
{
	return (List *) replace_mutator((Node *) exprs, phases);
}

/* Grouping sets ------------------------------------------------------------------ */

/* See two_phase.h.  How sets are best computed together is core's own choice,
 * which stands in its paths over rows. */
List *
tess_sets_make_paths(Phases *phases, RelOptInfo *grouped_rel,
					 PathTarget *target, List *having, Path *scan)
{
	PlannerInfo *root = phases->root;
	RelOptInfo upper = *grouped_rel;
	List *paths = NIL;
	AggClauseCosts costs;
	ListCell *cell;

	MemSet(&costs, 0, sizeof(AggClauseCosts));
	if (root->parse->hasAggs)
		get_agg_clause_costs(root, AGGSPLIT_SIMPLE, &costs);

	foreach(cell, grouped_rel->pathlist)
	{
		GroupingSetsPath *core = lfirst(cell);
		Path *input = scan;
		Path *path;

		if (!IsA(core, GroupingSetsPath))
			continue;
		if (root->group_pathkeys != NIL &&
			pathkeys_contained_in(root->group_pathkeys, core->subpath->pathkeys))
			input = (Path *) create_sort_path(root, grouped_rel, scan,
											  root->group_pathkeys, -1.0);
		/* it takes its target from the relation */
		upper.reltarget = target;
		path = (Path *) create_groupingsets_path(root, &upper, input, having,
												 core->aggstrategy, core->rollups,
												 &costs, core->path.rows);
		path->parent = grouped_rel;
		paths = lappend(paths, path);
	}
	return paths;
}

/* The path and the plan ------------------------------------------------------------ */

/* See two_phase.h. */
Path *
tess_combine_make_path(Phases *phases, Path *agg)
{
	CombinePath *path = palloc0(sizeof(CombinePath));
	Path *base = &path->custom.path;

	NodeSetTag(path, T_CustomPath);
	base->pathtype = T_CustomScan;
	base->parent = agg->parent;
	base->pathtarget = agg->parent->reltarget;
	base->rows = agg->rows;
	base->startup_cost = agg->startup_cost;
	base->total_cost = agg->total_cost + cpu_operator_cost * agg->rows;
	base->pathkeys = agg->pathkeys;
	path->custom.flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom.custom_paths = list_make1(agg);
	path->custom.methods = &path_methods;
	path->combined = phases->combined;
	return base;
}

static Plan *
plan_combine(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
			 List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	List *combined = NIL;
	ListCell *cell;

	foreach(cell, ((CombinePath *) path)->combined)
	{
		Aggref *aggref = copyObject(lfirst_node(Aggref, cell));

		aggref->aggdirectargs = aggref->args = aggref->aggdistinct = NIL;
		aggref->aggfilter = NULL;
		combined = lappend(combined, aggref);
	}
	scan->scan.plan.targetlist = tlist;
	scan->custom_scan_tlist = make_tlist_from_pathtarget(path->path.pathtarget);
	scan->custom_private = list_make1(combined);
	scan->custom_plans = custom_plans;
	scan->flags = path->flags;
	scan->methods = GetCustomScanMethods(TESS_COMBINE_METHODS, false);
	return (Plan *) scan;
}
