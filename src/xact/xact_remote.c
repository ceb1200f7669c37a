/*
 * xact_remote.c - which sessions belong to this transaction, and what has to
 * be said on each before the next statement (BEGIN, SAVEPOINT, RELEASE).
 *
 * A session joins with the first statement for its (node, role) and stays
 * until the transaction ends.  Nothing is sent here: it is queued, and leaves
 * with the caller's flush.  How a transaction ends is in xact_commit.c and
 * xact_abort.c.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "meta/meta.h"
#include "tessera.h"
#include "xact/barrier.h"
#include "xact/deadlock.h"
#include "xact/ticket.h"
#include "xact/xact.h"
#include "xact/xact_internal.h"

int tess_xact_depth = 0;

/* The sessions of this transaction; both parts die with it. */
static struct
{
	TessRemote **remotes;
	int count;
	int capacity;
	uint64 begun; /* remote transactions, ever */
	uint64 calls; /* of join_nodes, ever */
} joined;

TessRemote **
tess_remotes(int *count)
{
	*count = joined.count;
	return joined.remotes;
}

void
tess_remotes_forget(void)
{
	joined.remotes = NULL;
	joined.count = joined.capacity = 0;
}

/* False if what was done there is gone with the connection. */
bool
tess_remote_can_commit(const TessRemote *remote)
{
	if (remote->lost)
		return false;
	if (remote->wrote_level == 0 && remote->locked_level == 0)
		return true;
	return !tess_session_is_broken(remote->session);
}

void
tess_remote_raise_lost(const TessRemote *remote)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to node \"%s\" was lost in this transaction",
					tess_session_node_name(remote->session)),
			 errdetail(
				 "What the transaction did there is rolled back, so it cannot go on."),
			 errhint("Roll back, and run the transaction again.")));
}

static TessRemote *
find_remote(int32 node_id, Oid role)
{
	for (int i = 0; i < joined.count; i++)
	{
		if (joined.remotes[i]->node_id == node_id &&
			joined.remotes[i]->role == role)
			return joined.remotes[i];
	}
	return NULL;
}

/* Rows that one session wrote are invisible to, and locked for, another: so
 * whoever comes second in another role is refused, not answered wrongly. */
static void
refuse_second_role(int32 node_id, Oid role)
{
	for (int i = 0; i < joined.count; i++)
	{
		const TessRemote *other = joined.remotes[i];

		if (other->node_id != node_id || other->role == role ||
			other->wrote_level == 0)
			continue;

		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use node \"%s\" as role \"%s\" in this transaction",
						tess_session_node_name(other->session),
						GetUserNameFromId(role, false)),
				 errdetail("The transaction has already written there as role \"%s\", in a session of that role.",
						   GetUserNameFromId(other->role, false)),
				 errhint("Commit first, or do both as the same role.")));
	}
}

/* Room for more entries, so that nothing can fail between getting sessions
 * and noting that they are ours. */
static void
reserve_remotes(int more)
{
	MemoryContext old;
	TessRemote **remotes;
	int capacity = joined.count + more;

	if (capacity <= joined.capacity)
		return;

	old = MemoryContextSwitchTo(TopTransactionContext);
	remotes = palloc0(sizeof(TessRemote *) * capacity);
	if (joined.count > 0)
		memcpy(remotes, joined.remotes, sizeof(TessRemote *) * joined.count);
	for (int i = joined.count; i < capacity; i++)
		remotes[i] = palloc0(sizeof(TessRemote));
	MemoryContextSwitchTo(old);

	joined.remotes = remotes;
	joined.capacity = capacity;
}

/* Gets sessions for those of the nodes that have none yet, in parallel.  The
 * settings of the others are the caller's business. */
static void
join_nodes(int count, const int32 *node_ids, Oid role)
{
	int32 *missing = palloc(sizeof(int32) * count);
	TessSession **sessions = palloc(sizeof(TessSession *) * count);
	int missing_count = 0;

	joined.calls++;
	for (int i = 0; i < count; i++)
	{
		bool known = find_remote(node_ids[i], role) != NULL;

		for (int j = 0; j < missing_count && !known; j++)
			known = missing[j] == node_ids[i];
		if (!known)
			missing[missing_count++] = node_ids[i];
	}

	if (missing_count > 0)
	{
		reserve_remotes(missing_count);
		tess_net_acquire(missing_count, missing, role, sessions);
	}
	for (int i = 0; i < missing_count; i++)
	{
		TessRemote *remote = joined.remotes[joined.count++];

		memset(remote, 0, sizeof(TessRemote));
		remote->session = sessions[i];
		remote->node_id = missing[i];
		remote->role = role;
		remote->joined_in = joined.calls;
	}
	pfree(missing);
	pfree(sessions);
}

/* A session that broke with nothing in it is replaced; anything else was
 * part of this transaction, which cannot go on without it. */
static void
replace_broken(TessRemote *remote)
{
	if (remote->lost)
		tess_remote_raise_lost(remote);
	if (tess_session_is_broken(remote->session))
	{
		if (remote->phase != TESS_PHASE_NONE)
		{
			remote->lost = true;
			tess_remote_raise_lost(remote);
		}
		remote->replace = true;
	}
	if (remote->replace)
	{
		TessSession *broken = remote->session;
		TessSession *session;

		/* not into the remote: it keeps the old one if there is no other */
		tess_net_acquire(1, &remote->node_id, remote->role, &session);
		remote->session = session;
		remote->replace = false;
		tess_net_release(broken);
	}
}

/* For a session that was got before this call of join_nodes. */
static void
sync_settings(TessRemote *remote)
{
	if (remote->joined_in != joined.calls)
		tess_session_sync_settings(remote->session);
}

/* A single read may run in a transaction of its own on the node: nothing was
 * and nothing will be done in this one that it would have to agree with. */
static bool
needs_transaction(TessAccess access)
{
	return access != TESS_READ || tess_xact_depth > 1 || IsTransactionBlock() ||
		   GetCurrentTransactionNestLevel() > 1 ||
		   XactIsoLevel != XACT_READ_COMMITTED;
}

static const char *
begin_command(const TessRemote *remote)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "BEGIN ISOLATION LEVEL ");
	switch (XactIsoLevel)
	{
		case XACT_SERIALIZABLE:
			appendStringInfoString(&sql, "SERIALIZABLE");
			break;
		case XACT_REPEATABLE_READ:
			appendStringInfoString(&sql, "REPEATABLE READ");
			break;
		default:
			appendStringInfoString(&sql, "READ COMMITTED");
			break;
	}

	/*
	 * READ ONLY that was set inside a subtransaction ends with it, and the
	 * node could not be told; this server refuses writes by itself.
	 */
	appendStringInfoString(&sql,
						   XactReadOnly && GetCurrentTransactionNestLevel() == 1
							   ? " READ ONLY"
							   : " READ WRITE");
	if (XactDeferrable)
		appendStringInfoString(&sql, " DEFERRABLE");
	appendStringInfo(&sql, " " TESS_TICKET_COMMENT UINT64_FORMAT " */",
					 tess_remote_ticket(remote));
	return sql.data;
}

/* A transaction begins on the node. */
void
tess_remote_number(TessRemote *remote)
{
	remote->begun = ++joined.begun;
}

static void
queue_silently(TessRemote *remote, const char *sql)
{
	tess_session_queue(remote->session, sql, NULL, false, false, NULL);
}

/* Queues what brings the node to this transaction's nesting level. */
static void
queue_preamble(TessRemote *remote)
{
	int level = GetCurrentTransactionNestLevel();

	if (remote->phase == TESS_PHASE_OPEN && remote->release_level == 0 &&
		remote->savepoint_level >= level)
		return;

	/* A scan that still streams from this session puts its rows away. */
	tess_session_claim(remote->session, NULL, NULL);

	if (remote->phase == TESS_PHASE_NONE)
	{
		/* first, so that an error on the way never leaves an unknown BEGIN */
		remote->phase = TESS_PHASE_OPEN;
		tess_remote_number(remote);
		remote->used_snapshot = 0;
		remote->begun_level = level;
		remote->savepoint_level = 1;
		queue_silently(remote, begin_command(remote));
	}
	if (remote->release_level != 0)
	{
		queue_silently(remote, psprintf("RELEASE SAVEPOINT tessera_%d",
										remote->release_level));
		remote->savepoint_level = remote->release_level - 1;
		remote->release_level = 0;
	}
	while (remote->savepoint_level < level)
	{
		remote->savepoint_level++;
		queue_silently(remote, psprintf("SAVEPOINT tessera_%d",
										remote->savepoint_level));
	}
}

static void
note_level(int *noted, int level)
{
	if (*noted == 0 || *noted > level)
		*noted = level;
}

static void
refuse_access(TessAccess access)
{
	if (IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot use nodes during a parallel operation"),
				 errhint(
					 "Functions that read or write distributed tables have to be PARALLEL UNSAFE.")));
	if (access == TESS_WRITE && XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot write to a node in a read-only transaction"),
				 errhint("Start the transaction with BEGIN READ WRITE.")));
}

/* Sessions with all that has to come before the caller's statements, but for
 * the snapshot. */
static void
prepare_sessions(int count, const int32 *node_ids, Oid role, TessAccess access,
				 TessRemote **remotes)
{
	int level = GetCurrentTransactionNestLevel();

	for (int i = 0; i < count; i++)
	{
		refuse_second_role(node_ids[i], role);
		tess_node_resolve(node_ids[i]);
	}

	join_nodes(count, node_ids, role);
	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = find_remote(node_ids[i], role);

		replace_broken(remote);
		sync_settings(remote);
		if (remote->phase != TESS_PHASE_NONE || needs_transaction(access))
			queue_preamble(remote);
		if (access == TESS_WRITE)
			note_level(&remote->wrote_level, level);
		else if (access == TESS_LOCK)
			note_level(&remote->locked_level, level);
		if (remote->phase != TESS_PHASE_NONE)
			note_level(&remote->begun_level, level);
		remotes[i] = remote;
	}
}

void
tess_xact_sessions_at(TessSnapshot *snapshot, int count, const int32 *node_ids,
					  Oid role, TessAccess access, TessSession **sessions)
{
	TessRemote **remotes;

	if (count == 0)
		return;
	if (!OidIsValid(role))
		role = GetUserId();
	refuse_access(access);
	if (snapshot == NULL)
		snapshot = tess_snapshot_of_transaction();

	remotes = palloc(sizeof(TessRemote *) * count);
	prepare_sessions(count, node_ids, role, access, remotes);
	if (snapshot != NULL && !tess_snapshot_is_taken(snapshot))
		tess_snapshot_join(snapshot, count, remotes);
	else
	{
		for (int i = 0; i < count; i++)
			tess_snapshot_choose(snapshot, remotes[i]);
	}
	for (int i = 0; i < count; i++)
		sessions[i] = remotes[i]->session;
	pfree(remotes);
}

void
tess_xact_sessions(int count, const int32 *node_ids, Oid role,
				   TessAccess access, TessSession **sessions)
{
	tess_xact_sessions_at(NULL, count, node_ids, role, access, sessions);
}

TessRemote *
tess_remote_join(int32 node_id, Oid role)
{
	TessRemote *remote;

	if (!OidIsValid(role))
		role = GetUserId();
	refuse_access(TESS_WRITE);
	refuse_second_role(node_id, role);
	tess_node_resolve(node_id);
	join_nodes(1, &node_id, role);
	remote = find_remote(node_id, role);
	replace_broken(remote);
	sync_settings(remote);
	return remote;
}

TessSession *
tess_xact_session(int32 node_id, Oid role, TessAccess access)
{
	TessSession *session;

	tess_xact_sessions(1, &node_id, role, access, &session);
	return session;
}

bool
tess_xact_has_written(int32 node_id)
{
	for (int i = 0; i < joined.count; i++)
	{
		if (joined.remotes[i]->node_id == node_id &&
			joined.remotes[i]->wrote_level > 0)
			return true;
	}
	return false;
}

/*
 * statement_timeout goes on: PostgreSQL stops it before it commits, which is
 * no wait for anybody else's servers.  True if the timer is ours to stop.
 */
static bool
resume_statement_timeout(void)
{
	if (StatementTimeout == 0 || MyBackendType != B_BACKEND ||
		get_timeout_active(STATEMENT_TIMEOUT))
		return false;
	enable_timeout_at(STATEMENT_TIMEOUT,
					  TimestampTzPlusMilliseconds(GetCurrentStatementStartTimestamp(),
												  StatementTimeout));
	return true;
}

static void
pre_commit(void)
{
	bool resumed = joined.count > 0 && resume_statement_timeout();

	/* after an error PostgreSQL stops all timers */
	tess_xact_pre_commit();
	if (resumed)
		disable_timeout(STATEMENT_TIMEOUT, false);
}

static void
release_snapshots(void)
{
	tess_snapshot_release_all();
	tess_node_snapshot_release();
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			release_snapshots();
			pre_commit();
			break;
		case XACT_EVENT_COMMIT:
			tess_ticket_end(true);
			tess_held_cursors_end(true);
			tess_snapshot_forget_all();
			tess_xact_committed();
			break;
		case XACT_EVENT_PREPARE:
			tess_ticket_end(false);
			tess_held_cursors_end(true);
			break;
		case XACT_EVENT_ABORT:
			tess_ticket_end(false);
			/* before nodes are waited for */
			tess_barrier_abort(1);
			tess_held_cursors_end(false);
			tess_snapshot_forget_all();
			tess_node_snapshot_forget();
			tess_xact_aborted();
			break;
		case XACT_EVENT_PRE_PREPARE:
			release_snapshots();
			tess_node_pre_prepare();
			if (joined.count > 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has used nodes"),
						 errhint(
							 "Use COMMIT: it commits on all nodes or on none.")));
			break;
		default:
			break; /* parallel workers have no sessions */
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
		tess_barrier_abort(level);
	if (event == SUBXACT_EVENT_ABORT_SUB || event == SUBXACT_EVENT_COMMIT_SUB)
	{
		tess_snapshot_subend(event == SUBXACT_EVENT_COMMIT_SUB, level);
		tess_node_snapshot_subend(event == SUBXACT_EVENT_COMMIT_SUB, level);
	}
	if (joined.count == 0)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		tess_xact_subcommitted(level);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		tess_xact_subaborted(level);
}

void
tess_xact_init(void)
{
	DefineCustomIntVariable("tessera.commit_wait",
							"How long COMMIT waits for nodes to confirm a decision that is already made.",
							"A node that has not answered by then is brought to the decision later. "
							"ROLLBACK waits for the same time before it closes the connection.",
							&tess_commit_wait_ms, 1000, 1, INT_MAX / 2,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	tess_slots_init();
	tess_ticket_init();
	tess_barrier_init();
	tess_snapshot_init();
	tess_serializable_init();
	tess_dirty_init();
	tess_recovery_init();
	tess_deadlock_init();
	tess_node_session_init();
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
