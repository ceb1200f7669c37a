/*
 * one_phase.c - the transaction of one node commits there, and nowhere else.
 *
 * Either COMMIT is sent at the end of the transaction, or a statement that is
 * the whole transaction leaves without BEGIN, so that the node commits it by
 * itself, in one round trip.  In both cases the node's answer is the decision:
 * an error before it is an error of the transaction, and after it nothing may
 * fail here.  Hence interrupts are held from there to the end.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "tessera.h"
#include "xact/barrier.h"
#include "xact/xact_internal.h"

/* How long a node is still asked, once somebody has ended the wait for it. */
#define INTERRUPTED_WAIT_MS 500

/* AtPrepare_Notify is the only thing that tells. */
bool
tess_xact_has_pending_notify(void)
{
	MemoryContext context = CurrentMemoryContext;
	uint32 holdoff = InterruptHoldoffCount;
	bool pending = false;

	PG_TRY();
	{
		AtPrepare_Notify();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		tess_swallow_error(holdoff);
		pending = true;
	}
	PG_END_TRY();
	return pending;
}

/* True if nothing after the pre-commit callbacks can fail or writes here. */
bool
tess_xact_has_nothing_local(void)
{
	return !tess_xact_writes_here() && XactIsoLevel != XACT_SERIALIZABLE &&
		   (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) == 0 &&
		   !tess_xact_has_pending_notify();
}

/* ThrowErrorData, because net/ made the error without raising it: raised
 * again as it is, it would be reported to nobody. */
void
tess_remote_raise_reply(TessRemote *remote)
{
	if (remote->error == NULL)
		tess_remote_raise_lost(remote);
	/* a statement that was cancelled because we are: our words */
	if (remote->error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		CHECK_FOR_INTERRUPTS();
	ThrowErrorData(remote->error);
	pg_unreachable();
}

/* The node's answer did not come, and it could not say more: neither "failed"
 * nor "done" would be true. */
static void
raise_unknown(const TessRemote *writer, const char *cause)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("node \"%s\" has not said whether it committed the transaction",
					tess_session_node_name(writer->session)),
			 cause ? errdetail_internal("%s", cause) : 0,
			 errhint(
				 "Look whether the changes are there before you run the transaction again.")));
}

/* It has committed, and there is nothing to show for it. */
static void
raise_lost_rows(const TessRemote *writer, const char *cause)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("node \"%s\" has committed the transaction, but the rows that it returned were lost",
					tess_session_node_name(writer->session)),
			 cause ? errdetail_internal("%s", cause) : 0,
			 errhint(
				 "Look at what was changed; do not run the transaction again.")));
}

static void
raise_rolled_back(const TessRemote *writer, const char *cause)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to node \"%s\" was lost before it committed the transaction",
					tess_session_node_name(writer->session)),
			 cause ? errdetail_internal("%s", cause) : 0,
			 errhint("Run the transaction again.")));
}

static bool
has_committed(const TessRemote *writer)
{
	return writer->finished && writer->answered && writer->error == NULL;
}

/* The node has said so itself.  (It may have answered the statement before it
 * was lost, so that the statement was done does not count.) */
static bool
has_refused(const TessRemote *writer)
{
	return writer->finished && writer->error != NULL &&
		   !tess_session_is_broken(writer->session) &&
		   ERRCODE_TO_CATEGORY(writer->error->sqlerrcode) !=
			   ERRCODE_CONNECTION_EXCEPTION;
}

/* Reads what is answered.  The error that ended the wait, NULL if none did:
 * then the node is asked to stop, and may still have committed.  *deadline is
 * that of all that follows. */
static ErrorData *
read_answers(TessRemote *writer, TimestampTz *deadline)
{
	MemoryContext context = CurrentMemoryContext;
	uint32 holdoff = InterruptHoldoffCount;
	ErrorData *volatile interrupt = NULL;

	PG_TRY();
	{
		tess_round_finish();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		interrupt = CopyErrorData();
		tess_swallow_error(holdoff);
	}
	PG_END_TRY();

	*deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											interrupt == NULL
												? tess_commit_wait_ms
												: Min(tess_commit_wait_ms,
													  INTERRUPTED_WAIT_MS));
	if (interrupt != NULL && !writer->finished)
	{
		tess_session_cancel(writer->session, *deadline);
		tess_round_finish_held(*deadline);
	}
	return interrupt;
}

/* The connection was lost, or given up: asks in another one, and raises unless
 * it has committed and all rows are there. */
static void
ask_outcome(TessRemote *writer, TimestampTz deadline, const char *cause)
{
	switch (tess_outcome_ask(writer, deadline))
	{
		case TESS_OUTCOME_UNKNOWN:
			raise_unknown(writer, cause);
			break;
		case TESS_OUTCOME_ROLLED_BACK:
			raise_rolled_back(writer, cause);
			break;
		case TESS_OUTCOME_COMMITTED:
			/* rows come before the answer to their statement */
			if (writer->take_rows != NULL && !writer->answered)
				writer->lost_rows = true;
			break;
	}
}

/*
 * Waits until the node has said that it committed, or raises an error.  If the
 * connection is lost it is asked in another one.  False if a statement that was
 * alone has left its transaction open.
 */
static bool
finish(TessRemote *writer)
{
	TimestampTz deadline;
	ErrorData *interrupt = read_answers(writer, &deadline);
	const char *cause = writer->error ? writer->error->message : NULL;

	if (cause == NULL && interrupt != NULL)
		cause = interrupt->message;
	if (has_committed(writer) && tess_session_in_block(writer->session))
	{
		writer->phase = TESS_PHASE_OPEN;
		if (interrupt != NULL)
			ReThrowError(interrupt);
		return false;
	}
	if (has_refused(writer))
	{
		writer->phase = TESS_PHASE_ENDED;
		if (interrupt != NULL)
			ReThrowError(interrupt);
		tess_remote_raise_reply(writer);
	}
	if (!has_committed(writer))
		ask_outcome(writer, deadline, cause);
	writer->phase = TESS_PHASE_ENDED;
	if (writer->lost_rows)
		raise_lost_rows(writer, cause);
	tess_xact_hold_interrupts();
	tess_barrier_wait_windows();
	return true;
}

/* COMMIT was sent. */
void
tess_one_phase_finish(TessRemote *writer)
{
	if (!finish(writer))
		elog(ERROR, "the transaction is still open after COMMIT");
}

/* See xact.h. */
bool
tess_xact_may_end_here(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	if (tess_xact_depth != 1 || IsTransactionBlock() ||
		GetCurrentTransactionNestLevel() != 1)
		return false;
	for (int i = 0; i < count; i++)
	{
		if (remotes[i]->phase != TESS_PHASE_NONE)
			return false;
	}
	return true;
}

/* See xact.h.  The node's default is READ COMMITTED. */
bool
tess_xact_may_run_alone(void)
{
	return XactIsoLevel == XACT_READ_COMMITTED && tess_xact_may_end_here() &&
		   tess_xact_has_nothing_local();
}

/* See xact.h. */
uint64
tess_xact_run_alone(const TessAloneWrite *write)
{
	TessRemote *remote = tess_remote_join(write->node_id, write->role);

	tess_sequences_flush();
	tess_session_claim(remote->session, NULL, NULL);
	tess_round_begin();
	remote->phase = TESS_PHASE_COMMITTING;
	tess_round_send_alone(remote, write);
	if (!finish(remote))
	{
		/* as if BEGIN had come before it */
		remote->begun_level = 1;
		remote->wrote_level = 1;
		remote->savepoint_level = 1;
	}
	return remote->processed;
}
