/*
 * exec.h - fragments -> rows: the custom scans, and statements of this server
 * that stand for a shard's.
 */
#ifndef TESS_EXEC_H
#define TESS_EXEC_H

#include "nodes/execnodes.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "tcop/dest.h"
#include "utils/queryenvironment.h"

#include "tessera.h"
#include "task/task.h"

/*
 * For what reads a table of this server without the executor (COPY TO): the snapshot
 * that this server's coordinator wants, or under REPEATABLE READ the
 * transaction's, becomes the active one.  True if the caller has to pop it.
 */
extern bool tess_statement_push_own_snapshot(void);

/* Runs the plan that a CALL (utility) is executed by; rows go to dest. */
extern void tess_exec_run_call(const PlannedStmt *utility, PlannedStmt *plan,
							   const char *query_string, ParamListInfo params,
							   QueryEnvironment *query_env, DestReceiver *dest);

/* Fires the BEFORE statement triggers of a distributed table, or queues the AFTER
 * ones (of which core runs those that are enabled, at the end of the query): for
 * events, TESS_EVENT()s. */
extern void tess_exec_fire(EState *estate, Oid relation, int events, bool before);

/* Registers the custom scan methods named in task.h; hooks that count
 * executor nesting. */
extern void tess_exec_init(void);

#endif
