/*
 * local.h - statements of this very server that stand for a node's: shards
 * that live here, and this server's own copy of reference tables.  They run in
 * process, in the session's own transaction, as the current user.
 */
#ifndef TESS_LOCAL_H
#define TESS_LOCAL_H

#include "access/tupdesc.h"
#include "nodes/params.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "tcop/dest.h"
#include "utils/snapshot.h"

#include "tessera.h"

/* Runs commands (char *), DDL or DML, in order, with the text settings pinned
 * as on a node (search_path pg_catalog ...).  Our hooks let them through. */
extern void tess_local_run(List *commands);

/* One statement with parameters, or one command, which must not be COPY or control a
 * transaction; rows (SELECT, RETURNING, SHOW) go to dest, which may be NULL.  read_only: under the snapshot as it is; otherwise a new command,
 * which sees what those before it did, under the snapshot else, or under a new
 * one if it is NULL.  later_triggers: what a write queues for after it (foreign
 * keys) is done when the statement ends that is being executed around it, which
 * must be a write too.  Returns the number of rows processed. */
extern uint64 tess_local_execute(const char *sql, ParamListInfo params,
								 Snapshot snapshot, bool read_only,
								 bool later_triggers, DestReceiver *dest);

/* Where a kept statement was found, for who will ask for it again; all 0: it was
 * not. */
typedef struct TessKeptPlace
{
	struct Kept *kept;
	uint64 serial; /* of the statement that stood there */
} TessKeptPlace;

/* True if the statement is there still. */
extern bool tess_local_is_kept(const TessKeptPlace *place);

/* Keeps a statement that will come again, and says where.  sibling: the same
 * one for another shard, or all 0.  False: it is none that is kept. */
extern bool tess_local_keep(TessKeptPlace *place, const char *sql,
							ParamListInfo params, bool read_only,
							const TessKeptPlace *sibling);

/* The plan of a kept statement, for who runs it himself.  *desc: its columns,
 * NULL if it gives none.  Needs an active snapshot; ReleaseCachedPlan with the
 * current resource owner gives it back. */
extern struct CachedPlan *tess_local_plan(const TessKeptPlace *place,
										  ParamListInfo params, TupleDesc *desc);

/* Executes a CALL, whose plan was kept, under the active snapshot; dest gets its row,
 * if it gives one.  What follows sees what it did. */
extern void tess_local_call(PlannedStmt *call, const char *sql,
							ParamListInfo params, DestReceiver *dest);

/* An EXPLAIN of one statement, without ANALYZE; its output goes to dest.  types
 * of its parameters: InvalidOid is inferred.  params NULL: they have no values,
 * and the plan is the one for any.  Errors: 22023 if it is something else. */
extern void tess_local_explain(const char *sql, int count, const Oid *types,
							   ParamListInfo params, DestReceiver *dest);

/* For hooks: true exactly while a statement of local/ is being planned or is
 * about to be executed as a utility command.  planner_hook must treat tables
 * then as ordinary ones.  Reading it clears it for what is nested inside (the
 * statement's triggers and functions are users' statements again). */
extern bool tess_local_consume_passthrough(void);

/* The same for a statement of local/ whose plan is kept, by its text, which may
 * be planned several times in one go. */
extern bool tess_local_is_planning(const char *query_string);

#endif
