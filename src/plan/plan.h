/*
 * plan.h - Query -> fragments.  Installs planner_hook, set_rel_pathlist_hook
 * and get_relation_info_hook.
 */
#ifndef TESS_PLAN_H
#define TESS_PLAN_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "tessera.h"

extern void tess_plan_init(void);

/* A CALL of a procedure that runs in the shard of its key, as a plan; NULL if it
 * is to run here.  In the current context. */
extern PlannedStmt *tess_plan_call(CallStmt *statement);

/* DISCARD PLANS: forgets the plans that are shared. */
extern void tess_plan_cache_discard(void);

/* Core alters this shell (InvalidOid: none), and what it asks about new foreign
 * keys of it is not for the shards.  Returns the one before. */
extern Oid tess_plan_note_altered(Oid relation);

#endif
