/*
 * two_phase.h - what two_phase.c and combine_path.c share.
 */
#ifndef TESS_PLAN_TWO_PHASE_H
#define TESS_PLAN_TWO_PHASE_H

#include "plan/plan_internal.h"

/* A level that is to be grouped. */
typedef struct Phases
{
	PlannerInfo *root;
	TessDraft *draft;
	List *clauses;		 /* GROUP BY, or DISTINCT */
	bool has_sets;		 /* GROUPING SETS and the like */
	double input_rows;	 /* of the level */
	PathTarget *partial; /* what the scan gives: keys, then states */
	List *keys;			 /* grouping expressions */
	bool is_finer; /* the nodes group by more than a group of the level has */
	bool failed;   /* something cannot be split */

	/* Core's Agg combines all states.  Otherwise tessera_internal.combine does
	 * that for these, and the others are computed of values. */
	bool by_core;
	List *combined; /* Aggref * */
} Phases;

/* combine_path.c: a second phase that core's Agg does not have. ------------- */

/* Expressions of groups in which calls of combine have taken the place of the
 * aggregates that are combined. */
extern List *tess_combine_replace(Phases *phases, List *exprs);
/* The path over that of an Agg with such a target, which gives the level's. */
extern Path *tess_combine_make_path(Phases *phases, Path *agg);
/* Paths of grouping sets over the scan: one for each that core has made. */
extern List *tess_sets_make_paths(Phases *phases, RelOptInfo *grouped_rel,
								  PathTarget *target, List *having, Path *scan);

#endif
