/*
 * draft_path.c - a path that has its draft (scan_draft.c) with it, and what is
 * known of where it will be sent.
 */
#include "postgres.h"

#include "nodes/extensible.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"

#include "plan/plan_internal.h"
#include "route/route.h"

/* A path that has its draft with it. */
typedef struct DraftPath
{
	CustomPath custom;
	TessDraft *draft;
} DraftPath;

static Plan *plan_draft(PlannerInfo *root, RelOptInfo *rel,
						struct CustomPath *path, List *tlist, List *clauses,
						List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = TESS_SCAN_METHODS,
	.PlanCustomPath = plan_draft,
};

/* How many shards it will be sent to, as far as that is known. */
int
tess_draft_shard_count(PlannerInfo *root, const TessDraft *draft)
{
	bool exact;

	return bms_num_members(tess_prune_estimate(draft->prune,
											   root->glob->boundParams,
											   draft->table->group, &exact));
}

/* The same for nodes, and for shards in *shard_count. */
int
tess_draft_node_count(PlannerInfo *root, const TessDraft *draft, int *shard_count)
{
	const TessGroup *group = draft->table->group;
	List *nodes = NIL;
	Bitmapset *shards;
	bool exact;
	int i = -1;

	shards = tess_prune_estimate(draft->prune, root->glob->boundParams, group,
								 &exact);
	while ((i = bms_next_member(shards, i)) >= 0)
		if (group->shards[i].node_count > 0)
			nodes = list_append_unique_int(nodes, group->shards[i].node_ids[0]);
	*shard_count = bms_num_members(shards);
	return list_length(nodes);
}

static Plan *
plan_draft(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
		   List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = tess_draft_plan(root, ((DraftPath *) path)->draft,
									   &path->path, tlist);

	scan->custom_plans = custom_plans;
	return (Plan *) scan;
}

/*
 * A path of parent (the draft's relation, or an upper one) for a draft that has
 * been written.  rows is how many come; remote is what the nodes pay; all of it
 * before the first row, if the caller adds it to the startup cost.
 */
Path *
tess_draft_path(PlannerInfo *root, RelOptInfo *parent, TessDraft *draft,
				PathTarget *target, double rows, Cost remote)
{
	DraftPath *path = palloc0(sizeof(DraftPath));
	Path *base = &path->custom.path;

	NodeSetTag(path, T_CustomPath);
	base->pathtype = T_CustomScan;
	base->parent = parent;
	base->pathtarget = target;
	base->rows = clamp_row_est(rows);
	tess_cost_fetch(base, tess_draft_shard_count(root, draft), remote);
	if (draft->ship != NULL)
	{
		path->custom.custom_paths = list_make1(draft->ship->path);
		base->startup_cost += draft->ship->path->total_cost;
		base->total_cost += draft->ship->path->total_cost;
	}
	path->custom.flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom.methods = &path_methods;
	path->draft = draft;
	return base;
}
