/*
 * local_internal.h - what the files of local/ share.
 */
#ifndef TESS_LOCAL_INTERNAL_H
#define TESS_LOCAL_INTERNAL_H

#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "utils/plancache.h"

/* local.c */
extern RawStmt *tess_local_parse(const char *sql);

/* kept_plans.c */
extern CachedPlan *tess_kept_plan(const char *sql, ParamListInfo params,
								  bool read_only);

#endif
