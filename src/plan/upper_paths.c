/*
 * upper_paths.c - what stands above a scan of ours that is all of its query
 * level's FROM: which of it may be done on the nodes first is decided by the
 * file of each kind; core's own step always stays on top.
 */
#include "postgres.h"

#include "optimizer/optimizer.h"
#include "optimizer/planner.h"

#include "plan/plan_internal.h"

static create_upper_paths_hook_type next_create_upper_paths = NULL;

/* True if rel is all that its level reads, and nobody else has a say in which
 * rows it gives. */
bool
tess_is_whole_level(PlannerInfo *root, RelOptInfo *rel)
{
	return root->parse->commandType == CMD_SELECT &&
		   root->parse->rowMarks == NIL &&
		   (rel->reloptkind == RELOPT_BASEREL ||
			rel->reloptkind == RELOPT_JOINREL) &&
		   bms_equal(rel->relids, root->all_baserels) &&
		   bms_is_empty(rel->lateral_relids) && !IS_DUMMY_REL(rel);
}

/*
 * A draft of the scan that is the input of a level's upper steps, with all of
 * the level's conditions; NULL if it is not ours, or some have to be checked
 * here, or it locks rows.
 */
TessDraft *
tess_draft_of_level(PlannerInfo *root, RelOptInfo *rel)
{
	TessDraft *draft;

	if (!tess_is_whole_level(root, rel))
		return NULL;
	if (rel->reloptkind == RELOPT_JOINREL)
		return tess_ship_draft_of(root, rel);
	if (!tess_draft_is_possible(root, rel))
		return NULL;
	draft = tess_draft_make(root, rel);
	draft->sends_constants = true;
	tess_draft_split(draft, rel->baserestrictinfo);
	return draft->local == NIL ? draft : NULL;
}

static void
create_upper_paths(PlannerInfo *root, UpperRelationKind stage,
				   RelOptInfo *input_rel, RelOptInfo *output_rel, void *extra)
{
	if (next_create_upper_paths)
		next_create_upper_paths(root, stage, input_rel, output_rel, extra);
	if (!tess_frame_is_open() || tess_fragment_is_around(root))
		return;
	switch (stage)
	{
		case UPPERREL_GROUP_AGG:
			tess_two_phase_add_paths(root, input_rel, output_rel,
									 (GroupPathExtraData *) extra);
			break;
		case UPPERREL_DISTINCT:
			tess_two_phase_add_distinct_paths(root, input_rel, output_rel);
			break;
		default:
			break;
	}
}

/* Installs the hook. */
void
tess_upper_paths_init(void)
{
	next_create_upper_paths = create_upper_paths_hook;
	create_upper_paths_hook = create_upper_paths;
}
