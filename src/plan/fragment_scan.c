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

#include "plan/plan_internal.h"
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
Expr *
tess_fragment_prune(RelOptInfo *rel, const TessFragmentQuery *fragment)
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

/*
 * What the nodes pay for the fragment together: what core would pay if the
 * shards were tables here.  It has planned that; of all shards, unless the
 * conditions on the key are inside.
 */
static Cost
remote_cost(const RelOptInfo *rel, const TessFragmentQuery *fragment,
			int shards_hit, int shard_count)
{
	Cost cheapest = -1;
	ListCell *cell;

	foreach(cell, rel->pathlist)
	{
		const Path *path = lfirst(cell);

		if (cheapest < 0 || path->total_cost < cheapest)
			cheapest = path->total_cost;
	}
	if (fragment->prune == NULL)
		cheapest *= (double) shards_hit / Max(shard_count, 1);
	return Max(cheapest, 0);
}

/* Replaces the paths of a fragment's entry. */
void
tess_fragment_set_paths(PlannerInfo *root, RelOptInfo *rel,
						const TessFragmentQuery *fragment)
{
	CustomPath *path = tess_scan_path_make(root, rel, &path_methods);
	const TessTable *table = tess_meta_table(fragment->anchor);
	bool exact;
	Bitmapset *shards;
	int shards_hit;

	shards = tess_prune_estimate(tess_fragment_prune(rel, fragment),
								 root->glob->boundParams, table->group, &exact);
	shards_hit = bms_num_members(shards);
	tess_cost_fetch(&path->path, shards_hit,
					remote_cost(rel, fragment, shards_hit,
								table->group->shard_count));
	drop_subplans(root, rel->subroot);
	tess_scan_path_replace(root, rel, path, NIL);
}

/* The plan --------------------------------------------------------------------------- */

/*
 * The fragment's own text, which is known to be good; what is around it is
 * checked and chosen here.
 */
static void
write_whole(TessDraft *draft, List *clauses, const PathTarget *target)
{
	const TessFragmentQuery *fragment = draft->fragment;
	ListCell *cell;

	tess_draft_keep_all(draft, clauses);
	draft->columns = tess_columns_make(InvalidOid, draft->rel->relid);
	foreach(cell, tess_fragment_columns(fragment))
		tess_columns_add_on_node(draft->columns, lfirst_node(TargetEntry, cell));
	tess_draft_add_columns(draft, target);
	draft->bindings.exprs = fragment->exprs;
	draft->template = fragment->template;
}

/* True if core carries rows along for a recheck. */
static bool
wants_row(const PathTarget *target)
{
	ListCell *cell;

	foreach(cell, target->exprs)
	{
		Var *var = lfirst(cell);

		if (IsA(var, Var) && var->varattno == InvalidAttrNumber)
			return true;
	}
	return false;
}

/* True if the fragment's own text will do: nothing is around it, and it is not
 * to be one statement for all shards of a node. */
static bool
is_bare(const TessDraft *draft)
{
	return draft->sent == NIL &&
		   list_length(draft->columns->node_tlist) ==
			   list_length(tess_fragment_columns(draft->fragment)) &&
		   !tess_frame_tables(draft, copyObject(draft->fragment->query));
}

static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
		  List *tlist, List *clauses, List *custom_plans)
{
	TessDraft *draft = tess_draft_make(root, rel);
	const PathTarget *target = path->path.pathtarget;
	const char *reason;

	tess_draft_split(draft, clauses);
	tess_draft_add_columns(draft, target);
	if (wants_row(target) || is_bare(draft) || !tess_draft_write(draft, &reason))
		write_whole(draft, clauses, target);
	return (Plan *) tess_draft_plan(root, draft, &path->path, tlist);
}
