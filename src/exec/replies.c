/*
 * replies.c - the sessions a statement has replies owed on, and in what order
 * they are read.
 *
 * A statement claims a session when it queues something on it and gives it
 * back when the last reply has been read.  If somebody else needs the session
 * in between, all that is still owed goes to the owner's sinks, so a stream may
 * always be interrupted.  Does not know what the rows are for.
 *
 * Lifetime: the session of net/ points to the TessReplies as to its owner, and
 * may do so after an error has thrown away the executor's memory.  Therefore
 * the struct lives to the end of the transaction, and only learns from a reset
 * callback that its owner is gone; what is owed then is dropped by net/.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* In the owner's memory; tells the replies when that goes. */
typedef struct OwnerLink
{
	MemoryContextCallback callback;
	TessReplies *replies;	 /* NULL: closed */
	LocalTransactionId lxid; /* replies are gone when this is over */
} OwnerLink;

struct TessReplies
{
	void *owner; /* NULL: gone, nobody wants the rows */
	OwnerLink *link;
	ResourceOwner resource_owner; /* of what the sinks open */
	TessRowSink put_row;
	TessDoneSink done;

	int branch_count;
	int branch_space;
	TessBranch **branches;
	TessSession **sessions; /* room for as many as branches */
	int last_read;			/* index of the branch read last */

	/* rows that have arrived and were not given out */
	PGresult *result; /* net/'s, until the next poll of its session */
	void *result_tag;
	int next_row;
	int row_count;

	bool decoding; /* the owner looks into result */
	int64 rows;
	int64 bytes;
	instr_time sent_at;		/* the first statement */
	instr_time answered_at; /* the last end of a statement; zero: none yet */
	instr_time waiting_time;
};

static bool poll_branch(TessReplies *replies, TessBranch *branch, bool *waits);
static void check_claim(const TessReplies *replies, const TessBranch *branch);
static bool read_any(TessReplies *replies);
static void put_away_rows(TessReplies *replies);
static void drain(void *owner, TessSession *session);

static void
forget_owner(void *arg)
{
	OwnerLink *link = arg;

	if (link->replies != NULL && link->lxid == MyProc->lxid)
		link->replies->owner = NULL;
}

/*
 * Replies for a statement whose state lives in the current context: when that
 * is reset, the statement is taken to be gone.  put_row is for rows that
 * nobody is asking for at that moment.
 */
TessReplies *
tess_replies_make(void *owner, TessRowSink put_row, TessDoneSink done)
{
	OwnerLink *link = palloc0(sizeof(OwnerLink));
	TessReplies *replies;

	replies = MemoryContextAllocZero(TopTransactionContext, sizeof(TessReplies));
	replies->owner = owner;
	replies->link = link;
	replies->resource_owner = CurrentResourceOwner;
	replies->put_row = put_row;
	replies->done = done;
	replies->branch_space = 4;
	replies->branches = palloc(replies->branch_space * sizeof(TessBranch *));
	replies->sessions = palloc(replies->branch_space * sizeof(TessSession *));

	link->replies = replies;
	link->lxid = MyProc->lxid;
	link->callback.func = forget_owner;
	link->callback.arg = link;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &link->callback);
	return replies;
}

/* The branch of a node, made in the owner's context if it is new. */
TessBranch *
tess_replies_branch(TessReplies *replies, int32 node_id)
{
	TessBranch *branch;
	MemoryContext old_context;

	for (int i = 0; i < replies->branch_count; i++)
	{
		if (replies->branches[i]->node_id == node_id)
			return replies->branches[i];
	}

	old_context = MemoryContextSwitchTo(GetMemoryChunkContext(replies->link));
	if (replies->branch_count == replies->branch_space)
	{
		replies->branch_space *= 2;
		replies->branches = repalloc(replies->branches, replies->branch_space *
															sizeof(TessBranch *));
		replies->sessions = repalloc(replies->sessions,
									 replies->branch_space *
										 sizeof(TessSession *));
	}
	branch = palloc0(sizeof(TessBranch));
	branch->node_id = node_id;
	branch->is_local = tess_meta_node(node_id)->is_local;
	replies->branches[replies->branch_count++] = branch;
	MemoryContextSwitchTo(old_context);
	return branch;
}

/* The branch of the node that a shard is read from and written to. */
TessBranch *
tess_replies_shard_branch(TessReplies *replies, const TessShard *shard)
{
	if (shard->node_count == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("shard " INT64_FORMAT " is on no active node",
							   shard->shard_id),
						errhint("See tessera.placement and tessera.node.")));
	return tess_replies_branch(replies, shard->node_ids[0]);
}

/*
 * Gets the sessions of all branches at once, ready for statements that read
 * under the snapshot: before anything is queued on them, since somebody else
 * may have used them in between.
 */
void
tess_replies_open(TessReplies *replies, TessSnapshot *snapshot, Oid role,
				  TessAccess access)
{
	int32 *node_ids = palloc(replies->branch_count * sizeof(int32));
	int count = 0;

	for (int i = 0; i < replies->branch_count; i++)
	{
		if (!replies->branches[i]->is_local)
			node_ids[count++] = replies->branches[i]->node_id;
	}

	tess_xact_sessions_at(snapshot, count, node_ids, role, access,
						  replies->sessions);
	for (int i = 0; i < count; i++)
		tess_replies_branch(replies, node_ids[i])->session = replies->sessions[i];
	pfree(node_ids);
}

/*
 * Queues a statement; its rows and its end come back with tag.  params must
 * live until the flush, which has to follow before anything else runs.
 * comes_again: see tess_session_queue_again.
 */
void
tess_replies_queue(TessReplies *replies, TessBranch *branch, const char *sql,
				   const TessParams *params, bool binary_result,
				   bool single_row, bool comes_again, void *tag)
{
	/* while replies are owed it is ours, unless we were drained meanwhile */
	if (!branch->unsent && !branch->busy)
		tess_session_claim(branch->session, replies, drain);
	(comes_again ? tess_session_queue_again
				 : tess_session_queue)(branch->session, sql, params,
									   binary_result, single_row, tag);
	branch->unsent = true;
	branch->owed++;
}

/* Queues what only has to succeed, before or after a statement whose rows
 * come back; a failure of it is raised like one of that. */
void
tess_replies_queue_silent(TessReplies *replies, TessBranch *branch,
						  const char *sql)
{
	if (!branch->unsent && !branch->busy)
		tess_session_claim(branch->session, replies, drain);
	tess_session_queue(branch->session, sql, NULL, false, false, NULL);
	branch->unsent = true;
}

/* Sends what is queued, to all nodes. */
void
tess_replies_flush(TessReplies *replies)
{
	if (INSTR_TIME_IS_ZERO(replies->sent_at))
		INSTR_TIME_SET_CURRENT(replies->sent_at);
	for (int i = 0; i < replies->branch_count; i++)
	{
		TessBranch *branch = replies->branches[i];

		if (!branch->unsent)
			continue;
		branch->unsent = false;
		branch->busy = true;
		tess_session_flush(branch->session);
	}
}

/*
 * The next row, from whichever node has one, but for branches that are paused;
 * waits for it.  False when no more replies are owed there.  *result lives until the next call, and until
 * the session is claimed: see tess_replies_decoding.
 */
bool
tess_replies_next(TessReplies *replies, PGresult **result, int *row, void **tag)
{
	if (replies->next_row >= replies->row_count && !read_any(replies))
		return false;

	*result = replies->result;
	*row = replies->next_row++;
	*tag = replies->result_tag;
	return true;
}

/*
 * Reads until branch owes at most owed_limit statements (all branches, to the
 * end, if it is NULL); rows go to the sink.
 */
void
tess_replies_collect(TessReplies *replies, TessBranch *branch, int owed_limit)
{
	for (int i = 0; i < replies->branch_count; i++)
		replies->branches[i]->paused = false;
	put_away_rows(replies);
	while ((branch == NULL || branch->owed > owed_limit) && read_any(replies))
		put_away_rows(replies);
}

/*
 * Bracket around the decoding of a row.  Input functions of users' types may
 * do anything; if one needed the very session that the row came from, the row
 * would be freed under the decoder, so it fails instead.
 */
void
tess_replies_decoding(TessReplies *replies, bool decoding)
{
	replies->decoding = decoding;
}

/* Gives all sessions back; unread replies are dropped.  Frees. */
void
tess_replies_close(TessReplies *replies)
{
	for (int i = 0; i < replies->branch_count; i++)
	{
		TessBranch *branch = replies->branches[i];

		if (branch->busy || branch->unsent)
			tess_session_unclaim(branch->session, replies);
	}
	replies->link->replies = NULL;
	pfree(replies);
}

/* Adds what has come so far.  A node that has more to say, though nobody may
 * want it, has been at work until now. */
void
tess_replies_add_figures(const TessReplies *replies, TessScanFigures *figures)
{
	instr_time ended_at = replies->answered_at;

	figures->rows += replies->rows;
	figures->bytes += replies->bytes;
	INSTR_TIME_ADD(figures->waiting_time, replies->waiting_time);
	for (int i = 0; i < replies->branch_count; i++)
	{
		if (replies->branches[i]->busy)
			INSTR_TIME_SET_CURRENT(ended_at);
	}
	if (!INSTR_TIME_IS_ZERO(ended_at))
		INSTR_TIME_ACCUM_DIFF(figures->remote_time, ended_at, replies->sent_at);
}

/* Waits for one of these nodes. */
static void
wait_for(TessReplies *replies, int count, TessSession *const *sessions)
{
	instr_time began_at;
	instr_time ended_at;

	INSTR_TIME_SET_CURRENT(began_at);
	(void) tess_net_wait(count, sessions, 0);
	INSTR_TIME_SET_CURRENT(ended_at);
	INSTR_TIME_ACCUM_DIFF(replies->waiting_time, ended_at, began_at);
}

/*
 * Next event of a branch that has rows for us: true.  False if there is
 * nothing now (*waits) or ever.
 */
static bool
poll_branch(TessReplies *replies, TessBranch *branch, bool *waits)
{
	*waits = false;
	while (branch->busy)
	{
		int64 bytes_before = tess_net_counters.bytes_received;
		PGresult *result = NULL;
		void *tag = NULL;
		TessPoll poll = tess_session_poll(branch->session, &result, &tag);
		int row_count;

		replies->bytes += tess_net_counters.bytes_received - bytes_before;
		if (poll == TESS_POLL_WAIT)
		{
			*waits = true;
			return false;
		}
		if (poll == TESS_POLL_IDLE)
		{
			branch->busy = false;
			branch->owed = 0;
			tess_session_unclaim(branch->session, replies);
			return false;
		}

		if (poll == TESS_POLL_DONE)
		{
			branch->owed--;
			INSTR_TIME_SET_CURRENT(replies->answered_at);
			if (replies->owner != NULL && replies->done != NULL)
				replies->done(replies->owner, tag, result);
		}
		row_count = PQntuples(result);
		if (row_count == 0)
			continue;

		replies->rows += row_count;
		replies->result = result;
		replies->result_tag = tag;
		replies->next_row = 0;
		replies->row_count = row_count;
		return true;
	}
	return false;
}

/* Rows may be missing if somebody failed to drain the session, or a rollback
 * ended what ran on it, and our statement was not told. */
static void
check_claim(const TessReplies *replies, const TessBranch *branch)
{
	if (branch->busy && !tess_session_is_claimed(branch->session, replies))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_STATE),
				 errmsg("rows of node \"%s\" were lost with a failed statement",
						tess_session_node_name(branch->session)),
				 errdetail(
					 "They were under way when another statement of this transaction failed."),
				 errhint("Run the query again.")));
}

/* Waits for rows of any branch that is not paused; false if none are to come. */
static bool
read_any(TessReplies *replies)
{
	for (;;)
	{
		int waiting = 0;

		for (int i = 0; i < replies->branch_count; i++)
		{
			/* the one that had rows last has more of them, most likely */
			int at = (replies->last_read + i) % replies->branch_count;
			TessBranch *branch = replies->branches[at];
			bool waits;

			if (branch->paused)
				continue;
			check_claim(replies, branch);
			if (poll_branch(replies, branch, &waits))
			{
				replies->last_read = at;
				return true;
			}
			if (waits)
				replies->sessions[waiting++] = branch->session;
		}
		if (waiting == 0)
			return false;
		wait_for(replies, waiting, replies->sessions);
	}
}

/*
 * What has arrived and was not given out goes to the sink.  Files that it opens
 * must not go with a subtransaction in which somebody else needs the session.
 */
static void
put_away_rows(TessReplies *replies)
{
	ResourceOwner old_owner = CurrentResourceOwner;

	CurrentResourceOwner = replies->resource_owner;
	while (replies->next_row < replies->row_count)
		replies->put_row(replies->owner, replies->result_tag, replies->result,
						 replies->next_row++);
	CurrentResourceOwner = old_owner;
}

/* TessDrain: somebody else needs the session. */
static void
drain(void *owner, TessSession *session)
{
	TessReplies *replies = owner;
	TessBranch *branch = NULL;

	if (replies->owner == NULL)
		return; /* net/ reads and forgets what is left */

	for (int i = 0; i < replies->branch_count; i++)
	{
		if (replies->branches[i]->session == session)
			branch = replies->branches[i];
	}
	if (branch == NULL || !branch->busy)
		return;
	if (replies->decoding)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use node \"%s\" while a row of it is being read",
						tess_session_node_name(session)),
				 errhint(
					 "The input function of a data type must not query distributed tables.")));

	/* of any branch: reading this one takes the place of the result */
	put_away_rows(replies);
	for (;;)
	{
		bool waits;

		if (!poll_branch(replies, branch, &waits))
		{
			if (!waits)
				break;
			wait_for(replies, 1, &session);
			continue;
		}
		put_away_rows(replies);
	}
}
