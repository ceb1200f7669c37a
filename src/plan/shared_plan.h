/*
 * shared_plan.h - statements that differ only in constants share one plan:
 * what they have in common (shape.c), the plans (shared_cache.c), and how a plan
 * gets a statement's own constants (shared_plan.c).
 */
#ifndef TESS_SHARED_PLAN_H
#define TESS_SHARED_PLAN_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "plan/plan_internal.h"

/* A statement with more constants than this shares no plan. */
#define TESS_MAX_SLOTS 128

/* Above all numbers that parameters of clients can have. */
#define TESS_FIRST_SLOT_PARAM 1000000

/* A constant that may be another one. */
typedef struct TessSlot
{
	Const *constant;
	bool is_compared;
	int number;	  /* of its value, from 0 on: the same for equal ones that are
				   * compared */
	int location; /* kept while it is blanked */
} TessSlot;

typedef struct TessShape
{
	Query *query;
	int length; /* of its text, kept while it is blanked */
	Oid role;	/* who runs it */
	uint64 hash;
	Oid relation; /* a distributed table that it names */
	int value_count;
	int count;
	TessSlot slots[TESS_MAX_SLOTS];
} TessShape;

extern bool tess_shape_make(TessShape *shape, Query *query);
extern bool tess_shape_make_call(TessShape *shape, Query *query, Oid relation);
extern void tess_shape_blank(TessShape *shape);
extern void tess_shape_restore(TessShape *shape);
extern Query *tess_shape_parameters(Query *blank);

/* shared_cache.c ------------------------------------------------------------- */

/* The kept plan for a statement of this shape, whose slots are blanked; NULL:
 * there is none.  It stays as it is until the current memory context is reset. */
extern const PlannedStmt *tess_shared_find(const TessShape *shape);
/* True if it is known that statements of this shape share no plan. */
extern bool tess_shared_is_refused(const TessShape *shape);
extern void tess_shared_refuse(const TessShape *shape);

/* Counts what makes plans that are being made void. */
extern uint64 tess_shared_generation(void);
/* Keeps copies of a plan, and of the blanked statement, unless the generation is
 * not the one that it was begun in. */
extern void tess_shared_keep(const TessShape *shape, const Query *blank,
							 const PlannedStmt *stmt, uint64 generation);
/* False if no plans are to be kept. */
extern bool tess_shared_is_on(void);
extern void tess_shared_cache_init(void);

/* plan_hook.c: plans a statement in a frame of its own. */
extern PlannedStmt *tess_plan_in_frame(TessJob *job, bool is_open);

#endif
