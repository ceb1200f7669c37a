/*
 * snapshot.c - cluster snapshots of this session: which there are, on which
 * nodes, and how they are taken.
 *
 * Under READ COMMITTED a snapshot belongs to a statement.  It is found again by
 * the snapshot that PostgreSQL gave the statement, which stable functions and
 * cursors inherit, or by this server's part of it.  It lives as long as anybody
 * else holds one of these.  From REPEATABLE READ on there is one for the
 * transaction, on all nodes, and nodes need no numbers to find it.
 *
 * What is taken on several servers is taken in one window of the barrier:
 * joined with the statement's own sessions, whose pipelines it comes first in,
 * and complete when all have answered.  Does not know plans.
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "tessera.h"
#include "xact/barrier.h"
#include "xact/xact.h"
#include "xact/xact_internal.h"

/* A session that has its part. */
typedef struct Member
{
	TessRemote *remote;
	uint64 begun; /* of the remote's transaction */
	bool answered;
} Member;

struct TessSnapshot
{
	dlist_node link;
	int64 number; /* at the nodes; 0: their transactions' own */
	int level;	  /* of the subtransaction it goes with */
	bool guarded; /* more than one server takes part */
	bool brief;	  /* goes with the statements that follow at once */
	bool taken;	  /* complete: nobody joins any more */
	Snapshot own; /* what PostgreSQL gave the statement; NULL: transaction */
	Snapshot here;
	int count;
	int space;
	Member *members;
};

typedef enum SnapshotMode
{
	MODE_OFF,
	MODE_REPEATABLE_READ,
	MODE_ALL
} SnapshotMode;

static const struct config_enum_entry mode_options[] = {{"all", MODE_ALL, false},
														{"repeatable_read",
														 MODE_REPEATABLE_READ,
														 false},
														{"off", MODE_OFF, false},
														{NULL, 0, false}};

static int mode = MODE_ALL;
static int timeout_ms = 1000;

static struct
{
	dlist_head all; /* of this transaction, in whose context they are */
	int64 last_number;
	TessSnapshot *of_transaction;
	bool failed;	  /* ... could not be taken: some nodes may have it */
	bool is_taking;	  /* ... is being taken */
	bool is_imported; /* the transaction has another session's snapshot */
} snapshots = {DLIST_STATIC_INIT(snapshots.all)};

/* See xact.h. */
bool
tess_snapshot_is_for_statements(void)
{
	return mode == MODE_ALL && !IsolationUsesXactSnapshot();
}

/* See xact.h. */
bool
tess_snapshot_is_for_transaction(void)
{
	return mode != MODE_OFF && IsolationUsesXactSnapshot();
}

/* numbers and names ---------------------------------------------------- */

/* The smallest number that a node still has to know. */
static int64
oldest_number(void)
{
	int64 oldest = snapshots.last_number + 1;
	dlist_iter iter;

	dlist_foreach(iter, &snapshots.all)
	{
		TessSnapshot *snapshot = dlist_container(TessSnapshot, link, iter.cur);

		if (snapshot->number != 0 && !snapshot->brief)
			oldest = Min(oldest, snapshot->number);
	}
	return oldest;
}

static TessSnapshot *
make_snapshot(void)
{
	TessSnapshot *snapshot = MemoryContextAllocZero(TopTransactionContext,
													sizeof(TessSnapshot));

	snapshot->level = GetCurrentTransactionNestLevel();
	dlist_push_tail(&snapshots.all, &snapshot->link);
	return snapshot;
}

/* See xact.h. */
TessSnapshot *
tess_snapshot_begin(Snapshot own, bool guarded, bool brief)
{
	TessSnapshot *snapshot = make_snapshot();

	snapshot->number = ++snapshots.last_number;
	snapshot->guarded = guarded;
	snapshot->brief = brief;
	snapshot->own = RegisterSnapshotOnOwner(own, TopTransactionResourceOwner);
	return snapshot;
}

static void
release(TessSnapshot *snapshot)
{
	if (snapshots.of_transaction == snapshot)
		snapshots.of_transaction = NULL;
	dlist_delete(&snapshot->link);
	UnregisterSnapshotFromOwner(snapshot->own, TopTransactionResourceOwner);
	UnregisterSnapshotFromOwner(snapshot->here, TopTransactionResourceOwner);
	if (snapshot->members)
		pfree(snapshot->members);
	pfree(snapshot);
}

/* See xact.h. */
TessSnapshot *
tess_snapshot_find(Snapshot snapshot)
{
	dlist_iter iter;

	dlist_foreach(iter, &snapshots.all)
	{
		TessSnapshot *one = dlist_container(TessSnapshot, link, iter.cur);

		if (!one->brief && one->taken &&
			(one->own == snapshot || one->here == snapshot))
			return one;
	}
	return NULL;
}

/* False while nodes may join. */
bool
tess_snapshot_is_taken(const TessSnapshot *snapshot)
{
	return snapshot->taken;
}

/* See xact.h. */
Snapshot
tess_snapshot_here(const TessSnapshot *snapshot)
{
	return snapshot->here;
}

/* Others than we have so many references to it, and who is about to let go. */
static bool
is_held(Snapshot snapshot, int references, Snapshot ending)
{
	return references > (snapshot == ending ? 2 : 1);
}

/* A portal of several statements has its snapshot active while they follow each
 * other, and changes it for each: we must not have it registered then. */
static bool
is_needed(const TessSnapshot *snapshot, Snapshot ending)
{
	Snapshot own = snapshot->own;
	Snapshot here = snapshot->here;

	return is_held(own, own->regd_count, ending) ||
		   is_held(here, here->regd_count + here->active_count, ending);
}

/* See xact.h. */
void
tess_snapshot_sweep(Snapshot ending)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &snapshots.all)
	{
		TessSnapshot *one = dlist_container(TessSnapshot, link, iter.cur);

		if (one->own != NULL && one->taken && !is_needed(one, ending))
			release(one);
	}
}

/* members ---------------------------------------------------------------- */

static Member *
find_member(const TessSnapshot *snapshot, const TessRemote *remote)
{
	for (int i = 0; i < snapshot->count; i++)
	{
		if (snapshot->members[i].remote == remote &&
			snapshot->members[i].begun == remote->begun)
			return &snapshot->members[i];
	}
	return NULL;
}

static void
add_member(TessSnapshot *snapshot, TessRemote *remote)
{
	Member *member;

	if (snapshot->count == snapshot->space)
	{
		int space = Max(8, snapshot->space * 2);

		if (snapshot->members == NULL)
			snapshot->members = MemoryContextAlloc(TopTransactionContext,
												   space * sizeof(Member));
		else
			snapshot->members = repalloc(snapshot->members,
										 space * sizeof(Member));
		snapshot->space = space;
	}
	member = &snapshot->members[snapshot->count++];
	member->remote = remote;
	member->begun = remote->begun;
	member->answered = false;
}

static void
raise_left_out(const TessSnapshot *snapshot, const TessRemote *remote)
{
	const char *name = tess_session_node_name(remote->session);

	if (snapshot->own != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the statement's snapshot does not include node \"%s\"",
						name),
				 errhint("Run the statement again.")));
	for (int i = 0; i < snapshot->count; i++)
	{
		const TessRemote *other = snapshot->members[i].remote;

		if (other->node_id == remote->node_id && other->role != remote->role)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot use node \"%s\" as role \"%s\" in this transaction",
							name, GetUserNameFromId(remote->role, false)),
					 errdetail("Its snapshot was taken there as role \"%s\", in a session of that role.",
							   GetUserNameFromId(other->role, false)),
					 errhint("Use READ COMMITTED, or do all as the same role.")));
	}
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("node \"%s\" was not there when the transaction's snapshot was taken",
					name),
			 errhint("Roll back, and run the transaction again.")));
}

/* taking ------------------------------------------------------------------ */

/* Opens the window with every node clean: one whose last commit was given up
 * by another session would lack a part of it. */
static void
open_window(const TessSnapshot *snapshot)
{
	for (;;)
	{
		int32 dirty = 0;

		tess_barrier_open_window();
		for (int i = 0; i < snapshot->count && dirty == 0; i++)
		{
			if (!tess_node_is_clean(snapshot->members[i].remote->node_id))
				dirty = snapshot->members[i].remote->node_id;
		}
		if (dirty == 0)
			return;
		tess_barrier_close_window();
		tess_node_resolve(dirty);
	}
}

/* Queues a call of a function of node_snapshot.c.  tag NULL: silent. */
static void
queue_call(TessSession *session, const char *sql, int64 number, void *tag)
{
	static const Oid types[] = {INT8OID, INT8OID};
	static const int formats[] = {0, 0};
	char texts[2][MAXINT8LEN + 1];
	const char *const values[2] = {texts[0], texts[1]};
	int lengths[2] = {0, 0};
	TessParams params = {2, types, values, lengths, formats};

	pg_lltoa(number, texts[0]);
	pg_lltoa(oldest_number(), texts[1]);
	tess_session_queue_again(session, sql, &params, false, false, tag);
}

/*
 * The sessions take their parts before the statements that are queued on them
 * next.  Where the snapshot is guarded, the answers are to be had before the
 * window can be closed, so the nodes are told to send them at once.
 */
void
tess_snapshot_join(TessSnapshot *snapshot, int count, TessRemote **remotes)
{
	int first = snapshot->count;

	for (int i = 0; i < count; i++)
	{
		/* what streams there is put away first, which may take its time */
		tess_session_claim(remotes[i]->session, NULL, NULL);
		if (find_member(snapshot, remotes[i]) == NULL)
			add_member(snapshot, remotes[i]);
	}
	if (snapshot->guarded && !tess_barrier_has_window())
		open_window(snapshot);
	for (int i = first; i < snapshot->count; i++)
	{
		Member *member = &snapshot->members[i];
		TessSession *session = member->remote->session;

		queue_call(session, "SELECT tessera_internal.take_snapshot($1, $2)",
				   snapshot->number, snapshot->guarded ? member->remote : NULL);
		if (snapshot->guarded)
			tess_session_request_flush(session);
		/* without BEGIN, it goes with the statements that follow */
		if (member->remote->phase != TESS_PHASE_NONE)
			member->remote->used_snapshot = snapshot->number;
	}
}

/*
 * What is queued next on a session reads under a snapshot that it has; NULL:
 * each statement under its own.
 */
void
tess_snapshot_choose(const TessSnapshot *snapshot, TessRemote *remote)
{
	int64 number = 0;

	if (snapshot != NULL)
	{
		if (find_member(snapshot, remote) == NULL)
			raise_left_out(snapshot, remote);
		number = snapshot->number;
	}
	if (remote->phase == TESS_PHASE_NONE || remote->used_snapshot == number)
		return;
	tess_session_claim(remote->session, NULL, NULL);
	remote->used_snapshot = number;
	queue_call(remote->session, "SELECT tessera_internal.use_snapshot($1, $2)",
			   number, NULL);
}

/* The sessions of members that have not answered; reads what is there. */
static int
unanswered(TessSnapshot *snapshot, TessSession **sessions)
{
	int count = 0;

	for (int i = 0; i < snapshot->count; i++)
	{
		Member *member = &snapshot->members[i];
		PGresult *result;
		void *tag = NULL;

		while (!member->answered)
		{
			TessPoll poll = tess_session_poll(member->remote->session, &result,
											  &tag);

			if (poll == TESS_POLL_WAIT)
				break;
			if (poll == TESS_POLL_DONE && tag == member->remote)
				member->answered = true;
			else if (poll == TESS_POLL_IDLE)
				elog(ERROR, "node has not answered for its snapshot");
		}
		if (!member->answered)
			sessions[count++] = member->remote->session;
	}
	return count;
}

/*
 * A transaction can do without nodes that are silent, as without those that are
 * down: the snapshot is of the others.  Who needs one later is told so.
 */
static void
leave_out_silent(TessSnapshot *snapshot)
{
	int kept = 0;

	for (int i = 0; i < snapshot->count; i++)
	{
		TessRemote *remote = snapshot->members[i].remote;

		if (snapshot->members[i].answered)
		{
			snapshot->members[kept++] = snapshot->members[i];
			continue;
		}
		tess_node_note_silent(remote->node_id);
		tess_session_abandon(remote->session, GetCurrentTimestamp());
		remote->phase = TESS_PHASE_NONE;
		remote->replace = true;
	}
	snapshot->count = kept;
}

static void
wait_for_answers(TessSnapshot *snapshot)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   timeout_ms);
	TessSession **sessions = palloc(Max(snapshot->count, 1) *
									sizeof(TessSession *));
	int count;

	while ((count = unanswered(snapshot, sessions)) > 0)
	{
		if (tess_net_wait(count, sessions, deadline))
			continue;
		if (snapshot->own != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("node \"%s\" has not taken its snapshot within %d ms",
							tess_session_node_name(sessions[0]), timeout_ms),
					 errhint(
						 "Commits wait meanwhile. See tessera.snapshot_timeout.")));
		leave_out_silent(snapshot);
	}
	pfree(sessions);
}

/* See xact.h. */
void
tess_snapshot_finish(TessSnapshot *snapshot)
{
	if (snapshot->taken)
		return;
	if (snapshot->guarded)
	{
		if (!tess_barrier_has_window())
			open_window(snapshot);
		wait_for_answers(snapshot);
		TESS_FAULT_POINT("snapshot_before_own");
	}
	/* last: see README.md */
	snapshot->here = RegisterSnapshotOnOwner(GetLatestSnapshot(),
											 TopTransactionResourceOwner);
	if (snapshot->own != NULL)
		snapshot->here->curcid = snapshot->own->curcid;
	if (snapshot->guarded)
		tess_barrier_close_window();
	snapshot->taken = true;
}

/* of a transaction --------------------------------------------------------- */

static void
take_for_transaction(void)
{
	TessSnapshot *snapshot;
	int32 *node_ids;
	int count;
	TessSession **sessions;

	node_ids = tess_snapshot_reach(&count);
	snapshot = make_snapshot();
	snapshot->level = 1;
	snapshot->guarded = true;
	sessions = palloc(Max(count, 1) * sizeof(TessSession *));
	tess_xact_sessions_at(snapshot, count, node_ids, InvalidOid, TESS_READ_MORE,
						  sessions);
	for (int i = 0; i < count; i++)
		tess_session_flush(sessions[i]);
	tess_snapshot_finish(snapshot);
	if (XactIsoLevel == XACT_SERIALIZABLE)
	{
		tess_serializable_check(snapshot->here);
		tess_serializable_warn();
	}
	snapshots.of_transaction = snapshot;
	pfree(sessions);
	pfree(node_ids);
}

/* See xact.h. */
TessSnapshot *
tess_snapshot_of_transaction(void)
{
	if (snapshots.of_transaction != NULL || snapshots.is_taking ||
		!tess_snapshot_is_for_transaction())
		return snapshots.of_transaction;
	if (snapshots.is_imported)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use nodes under a snapshot of another session"),
				 errdetail("An exported snapshot is of this server alone."),
				 errhint("With pg_dump, use one job (-j 1).")));
	if (snapshots.failed)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the transaction's snapshot could not be taken on all nodes"),
				 errhint("Roll back, and run the transaction again.")));
	if (tess_meta_remote_nodes() == NIL)
		return NULL;

	/* both stay, if it fails: to the end of the transaction, or of its part */
	snapshots.failed = true;
	snapshots.is_taking = true;
	PG_TRY();
	{
		take_for_transaction();
	}
	PG_FINALLY();
	{
		snapshots.is_taking = false;
	}
	PG_END_TRY();
	snapshots.failed = false;
	return snapshots.of_transaction;
}

/* See xact.h. */
void
tess_snapshot_note_import(void)
{
	snapshots.is_imported = true;
}

/* ends ------------------------------------------------------------------------ */

/* Before the transaction ends well: what is registered then is a leak. */
void
tess_snapshot_release_all(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &snapshots.all)
		release(dlist_container(TessSnapshot, link, iter.cur));
}

/* The transaction is over. */
void
tess_snapshot_forget_all(void)
{
	dlist_init(&snapshots.all);
	snapshots.of_transaction = NULL;
	snapshots.failed = false;
	snapshots.is_imported = false;
}

/* What a node uses is known no more once a part of its transaction is gone. */
static void
forget_used(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		if (remotes[i]->used_snapshot != 0)
			remotes[i]->used_snapshot = -1;
	}
}

void
tess_snapshot_subend(bool committed, int level)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &snapshots.all)
	{
		TessSnapshot *one = dlist_container(TessSnapshot, link, iter.cur);

		if (one->level < level)
			continue;
		if (committed)
			one->level = level - 1;
		else
			release(one);
	}
	if (!committed)
		forget_used();
}

void
tess_snapshot_init(void)
{
	DefineCustomEnumVariable("tessera.snapshot",
							 "Sets what is read under one snapshot of all nodes.",
							 "all: statements, and transactions from REPEATABLE READ on; "
							 "repeatable_read: such transactions only; off: each node has its own.",
							 &mode, MODE_ALL, mode_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("tessera.snapshot_timeout",
							"Sets how long nodes may take for a snapshot of all nodes.",
							"Transactions that have written on several nodes wait with their commit meanwhile.",
							&timeout_ms, 1000, 1, INT_MAX / 2, PGC_USERSET,
							GUC_UNIT_MS, NULL, NULL, NULL);
}
