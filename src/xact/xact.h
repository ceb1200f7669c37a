/*
 * xact.h - all nodes commit or none.  Nodes join a transaction with their
 * first statement; savepoints follow; nobody outside knows how many phases a
 * commit has.
 */
#ifndef TESS_XACT_H
#define TESS_XACT_H

#include "nodes/params.h"
#include "utils/snapshot.h"

#include "net/net.h"
#include "tessera.h"

typedef enum TessAccess
{
	TESS_READ, /* may run outside a remote transaction if nothing needs one */
	TESS_READ_MORE, /* what is read next has to be in the same one */
	TESS_LOCK, /* FOR UPDATE ...: a remote transaction, nothing to commit */
	TESS_WRITE
} TessAccess;

/*
 * The sessions in which this transaction talks to these nodes as this role
 * (InvalidOid: current user).  What has to come before the caller's first
 * statement (settings, BEGIN with the isolation level, SAVEPOINTs) is queued
 * on them, not sent: it leaves with the caller's flush, in one round trip.
 * The sessions stay with the transaction until it ends; a session is claimed
 * by its reader through tess_session_claim.
 * Errors: connection errors of net/; 25006 for writes in a read-only
 * transaction; 0A000 if the transaction has written there as another role.
 */
extern void tess_xact_sessions(int count, const int32 *node_ids, Oid role,
							   TessAccess access, TessSession **sessions);

/*
 * As above, for statements that read under a cluster snapshot.  One that is
 * being taken is taken on these sessions, ahead of the caller's statements; of
 * one that was taken they have to be members (40001, or 08006).  NULL: the
 * transaction's, where it has one, else as of now.
 */
typedef struct TessSnapshot TessSnapshot;
extern void tess_xact_sessions_at(TessSnapshot *snapshot, int count,
								  const int32 *node_ids, Oid role,
								  TessAccess access, TessSession **sessions);

/* One node. */
extern TessSession *tess_xact_session(int32 node_id, Oid role, TessAccess access);

/* True if a node's rows were changed by this transaction. */
extern bool tess_xact_has_written(int32 node_id);

/*
 * True if a statement that is the last act of the client's transaction is also
 * the first that opens one on nodes.  Whether it is the last act, the caller
 * knows.
 */
extern bool tess_xact_may_end_here(void);
/* The same for one statement at one node, which may commit there at once:
 * nothing local has to agree with it, or could fail after it. */
extern bool tess_xact_may_run_alone(void);
/* A cursor WITH HOLD was declared: it goes with the transaction if nodes refuse
 * to commit. */
extern void tess_xact_note_held_cursor(const char *name);
/*
 * If the transaction has an id by now, sequences alone are why: all that it has
 * written on this server is theirs, and it goes on to write nothing here.  Then
 * it may be committed by one node.
 */
extern void tess_xact_note_sequences(void);
/* A write that is the transaction. */
typedef struct TessAloneWrite
{
	int32 node_id;
	Oid role; /* as in tess_xact_sessions */
	const char *sql;
	const TessParams *params;
	bool comes_again; /* as in tess_session_queue_again */

	/* Gets the rows of RETURNING as they come, part by part; it must not fail,
	 * and neither may what is done with them later.  NULL: there are none. */
	TessTakeAnswer take_rows;
	void *arg;
	bool binary_rows;
} TessAloneWrite;

/*
 * Runs a write, and commits it, in one round trip, where the above is true.
 * Returns how many rows it processed.  From then on interrupts are held to the
 * end of the transaction, which cannot fail any more, and in which nodes must not
 * be used again.  But if there are too many rows to be sure of them (answer_size.c
 * of exec/) the transaction is still open, and commits at its end.
 * Errors: those of the node; 08006 (it is rolled back) and 08007 (nobody knows,
 * or its rows are lost) if the connection is lost.
 */
extern uint64 tess_xact_run_alone(const TessAloneWrite *write);

/*
 * Where tess_xact_may_end_here() was true before the sessions were got, and what
 * is queued on them is the last that the transaction does on nodes: if several
 * of them write, PREPARE leaves with it.  Call it before the flush.  If it gives
 * true, call tess_xact_prepared() when all has been answered without an error.
 */
extern bool tess_xact_prepare_early(void);
extern void tess_xact_prepared(void);

/* Nesting of executor and utility calls of this backend; exec/ and command/
 * count them.  A read at depth 1 outside a transaction block needs no remote
 * transaction. */
extern int tess_xact_depth;

/* snapshot.c: one snapshot of several servers ---------------------------- */

/* What tessera.snapshot and the isolation level want: a cluster snapshot for
 * statements that read from several places; one for the transaction. */
extern bool tess_snapshot_is_for_statements(void);
extern bool tess_snapshot_is_for_transaction(void);

/*
 * A new one, for a statement to which PostgreSQL gave the snapshot own: next,
 * tess_xact_sessions_at on the sessions that take part, a flush of each, and
 * tess_snapshot_finish, with nothing that waits for anything else in between.
 * guarded: several servers take part, this one included.  brief: nothing reads
 * under it after the statements that go out with it.
 */
extern TessSnapshot *tess_snapshot_begin(Snapshot own, bool guarded, bool brief);
/* Waits until all have taken it, and takes this server's part.  Nothing if
 * that was done.  Errors: 08006 after tessera.snapshot_timeout. */
extern void tess_snapshot_finish(TessSnapshot *snapshot);
/* This server's part: registered as long as the cluster snapshot lives. */
extern Snapshot tess_snapshot_here(const TessSnapshot *snapshot);
/* The one of the statement that has this snapshot; NULL: none. */
extern TessSnapshot *tess_snapshot_find(Snapshot snapshot);
/* The transaction's, taken on all nodes now if it has none yet; NULL: none is
 * wanted.  Errors: 08006, 40001; 0A000 under another session's snapshot. */
extern TessSnapshot *tess_snapshot_of_transaction(void);
/* Releases those that no statement has any more; but for ending, which the
 * caller is about to let go once. */
extern void tess_snapshot_sweep(Snapshot ending);
/* SET TRANSACTION SNAPSHOT was executed. */
extern void tess_snapshot_note_import(void);

/* ticket.c: on a node, a transaction of the client's begins, with a statement
 * that has these parameters, or with a BEGIN: another server may have given it a
 * ticket. */
extern void tess_ticket_take(const ParamListInfoData *params);
extern void tess_ticket_read(const char *begin);
/* It did. */
extern bool tess_ticket_is_taken(void);
/* How many rows its last statement has processed. */
extern void tess_ticket_note_rows(uint64 processed);

/* node_snapshot.c: on a node, what the coordinator wants the client's
 * statements to read under; InvalidSnapshot: each has its own. */
extern Snapshot tess_node_snapshot(void);

/*
 * barrier.c: between the answer of a node that has committed, or was read, and
 * telling the client: waits until the windows are closed in which snapshots are
 * being taken now, so that nothing the client does next is in one of these
 * while this is not.  Costs a look at shared memory if there are none.  Never
 * raises: a cancel or a termination that is pending ends the wait.
 */
extern void tess_barrier_wait_windows(void);
/* Waits until the commits of several servers that are visible here now are
 * done on the nodes, too.  May be cancelled. */
extern void tess_barrier_wait_commits(void);

/* recovery.c */

/*
 * For a background worker: carries the decision out where a prepared
 * transaction of ours was left on a node by a session that is gone, and deletes
 * the records that nobody can need any more.  A node that does not answer is a
 * WARNING.  Takes less time than DROP DATABASE waits for others: what is not
 * done by then is left to the next call, which comes after interval_ms.  Returns
 * how many were ended.
 */
extern int tess_xact_recover(int interval_ms);
/* False if this database has no other server to leave something on. */
extern bool tess_xact_has_nodes(void);

/* dirty.c: recovery that should not wait for its next turn. */

/* This process is woken when there is something to recover. */
extern void tess_xact_wake_for_recovery(void);
/* True once after that. */
extern bool tess_xact_wants_recovery(void);

/* slots.c: databases in which nothing can be in doubt, because they have no
 * nodes; until the next two-phase commit there. */

/* Two-phase commits begun so far in all databases. */
extern uint64 tess_xact_commits(void);
extern bool tess_xact_is_quiet(Oid database);
/* The database had no nodes after commits were read; ignored if there was a
 * two-phase commit anywhere since. */
extern void tess_xact_set_quiet(Oid database, uint64 commits);
extern void tess_xact_forget_quiet(void);

extern void tess_xact_init(void);

#endif
