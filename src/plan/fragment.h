/*
 * fragment.h - queries that each shard answers for itself.  See fragment.c.
 */
#ifndef TESS_PLAN_FRAGMENT_H
#define TESS_PLAN_FRAGMENT_H

#include "nodes/parsenodes.h"

#include "plan/plan_internal.h"

/* A fragment while a statement is planned; lives as long as that. */
typedef struct TessFragmentQuery
{
	Query *query;	 /* as core plans it; what is sent is bound */
	Oid anchor;		 /* a table of the group */
	List *relations; /* OIDs of our tables in it */
	TessTravel travel;
	Oid role;	 /* InvalidOid: who runs the statement */
	List *keys;	 /* int list: output columns by which rows are sharded */
	Expr *prune; /* from conditions inside; NULL: none */

	/* the query as it is, with all its columns */
	List *template;
	List *exprs; /* its parameters */
} TessFragmentQuery;

extern TessFragmentQuery *tess_fragment_query_make(const TessTable *table,
												   Query *query, List *keys);
extern List *tess_fragment_columns(const TessFragmentQuery *fragment);
extern RangeTblEntry *tess_fragment_entry(TessFragmentQuery *fragment);
extern TessFragmentQuery *tess_fragment_of(const RangeTblEntry *rte);

/* True if an expression refers to levels around that of its own, or has
 * system columns. */
extern bool tess_refers_outside(Node *expression);

/* The shards: from conditions inside of the fragment and around it. */
extern Expr *tess_fragment_prune(RelOptInfo *rel,
								 const TessFragmentQuery *fragment);

/* fragment_scan.c: replaces the paths of a fragment's entry. */
extern void tess_fragment_set_paths(PlannerInfo *root, RelOptInfo *rel,
									const TessFragmentQuery *fragment);

/* plan_hook.c: numbers of fragments in the current frame. */
extern int tess_frame_add_fragment(TessFragmentQuery *fragment);
extern TessFragmentQuery *tess_frame_fragment(int number);

/* split.c: puts fragments into a query, at all its levels, in place. */
extern void tess_split(TessSurvey *survey, Query *query);

/* imply.c: equalities of keys that follow from others, in place. */
extern void tess_imply_equalities(const TessTable *table, Query *query);

/* component.c: fragments of parts of a level's FROM, in place. */
extern void tess_split_from(const TessTable *table, Query *query);

/* part_ctes.c: WITH queries of a level that are a part's as well. */
extern bool tess_part_add_ctes(Query *level, Query *part);
extern bool tess_names_cte(Query *level, Node *node);

#endif
