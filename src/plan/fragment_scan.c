/*
 * fragment_scan.c - the scan of a fragment: instead of what core has planned
 * for the subquery, its shards are asked.
 *
 * Core's plan has given the rows, their width and statistics.  Conditions that
 * core has found for the fragment's columns (implied by joins, moved down from
 * above) are written around it, where they travel, and only columns that are
 * needed are asked for.  What cannot be written so falls back on the
 * fragment's own text, which is known to be good.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"

#include "deparse/deparse.h"
#include "plan/fragment.h"
#include "route/route.h"

static Plan *plan_scan(PlannerInfo *root, RelOptInfo *rel,
					   struct CustomPath *path, List *tlist, List *clauses,
					   List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = TESS_SCAN_METHODS,
	.PlanCustomPath = plan_scan,
};

/* Shards ------------------------------------------------------------------------ */

/* From conditions inside of the fragment and around it. */
static Expr *
prune_of(RelOptInfo *rel, const TessFragmentQuery *fragment)
{
	TessTable column = *tess_meta_table(fragment->anchor);
	List *prunes = fragment->prune ? list_make1(fragment->prune) : NIL;
	ListCell *cell;

	foreach(cell, fragment->keys)
	{
		Expr *prune;

		column.key_attnum = lfirst_int(cell);
		prune = tess_prune_make(rel->baserestrictinfo, rel->relid, &column);
		if (prune != NULL)
			prunes = lappend(prunes, prune);
	}
	return prunes == NIL			  ? NULL
		   : list_length(prunes) == 1 ? linitial(prunes)
									  : make_andclause(prunes);
}

/* The path ------------------------------------------------------------------------ */

static bool
is_below(PlannerInfo *root, const PlannerInfo *top)
{
	while (root != NULL && root != top)
		root = root->parent_root;
	return root != NULL;
}

/* Core's plans for sublinks of the subquery: nobody will run them. */
static void
drop_subplans(PlannerInfo *root, const PlannerInfo *subroot)
{
	ListCell *plan;
	ListCell *plan_root;

	forboth(plan, root->glob->subplans, plan_root, root->glob->subroots)
		if (is_below(lfirst(plan_root), subroot))
			lfirst(plan) = NULL;
}

/* Replaces the paths of a fragment's entry. */
void
tess_fragment_set_paths(PlannerInfo *root, RelOptInfo *rel,
						const TessFragmentQuery *fragment)
{
	CustomPath *path = makeNode(CustomPath);
	const TessTable *table = tess_meta_table(fragment->anchor);
	bool exact;
	Bitmapset *shards;

	shards = tess_prune_estimate(prune_of(rel, fragment),
								 root->glob->boundParams, table->group, &exact);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.rows = rel->rows;
	tess_cost_fetch(&path->path, bms_num_members(shards), 0);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &path_methods;

	drop_subplans(root, rel->subroot);
	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->consider_parallel = false;
	add_path(rel, (Path *) path);
}

/* The plan --------------------------------------------------------------------------- */

/* A scan in the making. */
typedef struct Draft
{
	RelOptInfo *rel;
	const TessFragmentQuery *fragment;
	TessBindings bindings;
	List *sent;	 /* conditions for the nodes, over varno 1 */
	List *local; /* conditions checked here */
	List *vars;	 /* columns that are needed here: Var * of rel */
} Draft;

static Node *
renumber_mutator(Node *node, RelOptInfo *rel)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == rel->relid)
	{
		Var *var = (Var *) copyObject(node);

		var->varno = 1;
		var->varnosyn = 0;
		var->varattnosyn = 0;
		return (Node *) var;
	}
	return expression_tree_mutator(node, renumber_mutator, rel);
}

static void
split_clauses(Draft *draft, List *clauses)
{
	ListCell *cell;

	foreach(cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		List *before = list_copy(draft->bindings.exprs);

		if (rinfo->pseudoconstant)
			continue;
		if ((rinfo->security_level <= draft->rel->baserestrict_min_security ||
			 rinfo->leakproof) &&
			bms_is_subset(rinfo->clause_relids, draft->rel->relids) &&
			!contain_volatile_functions((Node *) rinfo->clause))
		{
			Node *bound = tess_bind(&draft->bindings,
									renumber_mutator((Node *) rinfo->clause,
													 draft->rel));

			if (tess_travels(&draft->fragment->travel, bound))
			{
				draft->sent = lappend(draft->sent, bound);
				continue;
			}
			draft->bindings.exprs = before;
		}
		draft->local = lappend(draft->local, rinfo->clause);
	}
}

static void
need_columns(Draft *draft, Node *node)
{
	ListCell *cell;

	foreach(cell, pull_var_clause(node, PVC_RECURSE_PLACEHOLDERS))
	{
		Var *var = lfirst_node(Var, cell);

		if (var->varno == draft->rel->relid && var->varlevelsup == 0)
			draft->vars = list_append_unique(draft->vars, var);
	}
}

/* SELECT columns FROM (fragment) WHERE conditions; NIL if it cannot be. */
static List *
wrapped_template(Draft *draft)
{
	Query *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	const char *reason = NULL;
	List *names = NIL;
	ListCell *cell;

	foreach(cell, tess_fragment_columns(draft->fragment))
		names = lappend(names,
						makeString(lfirst_node(TargetEntry, cell)->resname));
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = castNode(Query, tess_bind(&draft->bindings,
											  (Node *) draft->fragment->query));
	rte->alias = makeAlias("fragment", NIL);
	rte->eref = makeAlias("fragment", names);
	rte->inFromCl = true;

	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->hasSubLinks = rte->subquery->hasSubLinks;
	query->jointree = makeFromExpr(list_make1(ref),
								   draft->sent == NIL
									   ? NULL
									   : (Node *) make_ands_explicit(draft->sent));
	foreach(cell, draft->vars)
	{
		Var *var = (Var *) renumber_mutator(lfirst(cell), draft->rel);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) var,
													list_length(query->targetList) +
														1,
													strVal(list_nth(names,
																	var->varattno -
																		1)),
													false));
	}
	if (query->targetList == NIL)
		query->targetList = list_make1(
			makeTargetEntry((Expr *) makeBoolConst(true, false), 1,
							pstrdup("present"), false));
	return tess_deparse_query(query, &reason);
}

/* What the nodes are asked, and which of their columns are the scan's. */
static void
choose_text(Draft *draft, List *clauses, TessFragment *result)
{
	List *columns = tess_fragment_columns(draft->fragment);
	bool is_whole = draft->sent == NIL &&
					list_length(draft->vars) == list_length(columns);
	List *template = is_whole ? NIL : wrapped_template(draft);
	ListCell *cell;

	if (template != NIL)
	{
		List *tlist = NIL;

		foreach(cell, draft->vars)
			tlist = lappend(tlist,
							list_nth(columns,
									 lfirst_node(Var, cell)->varattno - 1));
		if (tlist == NIL)
		{
			/* a row for each row, and nothing in it that is needed */
			tlist = list_make1(makeTargetEntry((Expr *) makeBoolConst(true, false),
											   1, NULL, false));
			draft->vars = NIL;
		}
		result->template = template;
		tess_fragment_describe(result, tlist);
		return;
	}

	if (!is_whole)
	{
		draft->local = extract_actual_clauses(clauses, false);
		need_columns(draft, (Node *) draft->local);
	}
	draft->bindings.exprs = draft->fragment->exprs;
	result->template = draft->fragment->template;
	tess_fragment_describe(result, columns);
	foreach(cell, draft->vars)
		result->sources = lappend_int(result->sources,
									  lfirst_node(Var, cell)->varattno - 1);
}

static List *
scan_tlist(Draft *draft, TessFragment *result)
{
	List *tlist = NIL;
	ListCell *cell;

	foreach(cell, draft->vars)
		tlist = lappend(tlist,
						makeTargetEntry(copyObject(lfirst(cell)),
										list_length(tlist) + 1, NULL, false));
	if (tlist == NIL)
	{
		/* the tuple has to have a column */
		tlist = list_make1(makeTargetEntry((Expr *) makeBoolConst(true, false),
										   1, NULL, false));
		result->sources = list_make1_int(0);
		if (linitial_oid(result->column_types) != BOOLOID)
			linitial(
				tlist) = makeTargetEntry((Expr *)
											 makeVar(draft->rel->relid, 1,
													 linitial_oid(
														 result->column_types),
													 linitial_int(
														 result->column_typmods),
													 linitial_oid(
														 result->column_collations),
													 0),
										 1, NULL, false);
	}
	return tlist;
}

static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
		  List *tlist, List *clauses, List *custom_plans)
{
	Draft draft = {rel, tess_fragment_of(planner_rt_fetch(rel->relid, root))};
	CustomScan *scan = makeNode(CustomScan);
	TessFragment *result = tess_fragment_make();
	Expr *prune;

	draft.bindings.travel = &draft.fragment->travel;
	split_clauses(&draft, clauses);
	need_columns(&draft, (Node *) path->path.pathtarget->exprs);
	need_columns(&draft, (Node *) draft.local);
	choose_text(&draft, clauses, result);

	result->command = CMD_SELECT;
	result->target = TESS_TO_SHARDS;
	result->anchor = draft.fragment->anchor;
	result->relations = draft.fragment->relations;
	result->role = draft.fragment->role;
	result->param_types = tess_binding_types(&draft.bindings);
	scan->custom_exprs = list_copy(draft.bindings.exprs);
	prune = prune_of(rel, draft.fragment);
	if (prune != NULL)
	{
		result->has_prune = true;
		scan->custom_exprs = lappend(scan->custom_exprs, prune);
	}

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = draft.local;
	scan->flags = path->flags;
	scan->custom_scan_tlist = scan_tlist(&draft, result);
	scan->custom_private = list_make1(result);
	scan->methods = GetCustomScanMethods(TESS_SCAN_METHODS, false);

	/* so that setrefs takes the subquery's tables into the plan: for rights,
	 * locks and invalidation */
	rel->subroot = NULL;
	tess_frame_add_scan(scan);
	return (Plan *) scan;
}
