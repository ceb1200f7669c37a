/*
 * outcome.c - what became of a COMMIT whose answer was lost.
 *
 * Before the COMMIT, in the same pipeline, the node says how it calls its
 * transaction (the mark): its id, the process, and a number that changes with
 * each start of the node's memory, since a crash lets ids of which nothing is
 * on disk be given out again.  Another session asks the node for the mark's
 * outcome; one that is still under way is ended first.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
#include "utils/xid8.h"

#include "base/base.h"
#include "tessera.h"
#include "xact/xact_internal.h"

PG_FUNCTION_INFO_V1(tess_transaction_mark);
PG_FUNCTION_INFO_V1(tess_transaction_outcome);
PG_FUNCTION_INFO_V1(tess_transaction_await);

/* Between attempts to reach a node that is just starting. */
#define ATTEMPT_WAIT_MS 50

/* on the node ------------------------------------------------------------- */

typedef struct Mark
{
	uint64 xid;
	int pid;
	uint64 boot;
} Mark;

/* tessera_internal.transaction_mark(): NULL if this transaction has no id. */
Datum
tess_transaction_mark(PG_FUNCTION_ARGS)
{
	FullTransactionId xid = GetTopFullTransactionIdIfAny();

	if (!FullTransactionIdIsValid(xid))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(UINT64_FORMAT ".%d." UINT64_FORMAT,
											  U64FromFullTransactionId(xid),
											  MyProcPid, tess_slots_boot())));
}

static Mark
read_mark(const char *text)
{
	Mark mark;
	int length = 0;

	if (sscanf(text, UINT64_FORMAT ".%d." UINT64_FORMAT "%n", &mark.xid,
			   &mark.pid, &mark.boot, &length) != 3 ||
		text[length] != '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid mark of a transaction: \"%s\"", text)));
	return mark;
}

/* Ends the session that is in the transaction, and waits for its end: nobody
 * is there to read its answer. */
static void
end_transaction(const Mark *mark, TransactionId xid)
{
	PGPROC *proc = BackendPidGetProc(mark->pid);

	if (proc != NULL && proc->xid == xid)
		(void) DirectFunctionCall2(pg_terminate_backend,
								   Int32GetDatum(mark->pid), Int64GetDatum(0));
	XactLockTableWait(xid, NULL, NULL, XLTW_None);
}

/*
 * tessera_internal.transaction_outcome(mark): 'committed', 'aborted', or NULL if
 * that cannot be told.
 */
Datum
tess_transaction_outcome(PG_FUNCTION_ARGS)
{
	Mark mark = read_mark(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	FullTransactionId full = FullTransactionIdFromU64(mark.xid);
	TransactionId xid = XidFromFullTransactionId(full);
	bool same_boot = mark.boot == tess_slots_boot();
	FullTransactionId next = ReadNextFullTransactionId();
	char *status;

	LOCAL_FCINFO(call, 1);
	Datum result;

	/* nothing of it was on disk at the crash */
	if (!TransactionIdIsNormal(xid) || !FullTransactionIdPrecedes(full, next))
		PG_RETURN_TEXT_P(cstring_to_text("aborted"));
	if (same_boot && U64FromFullTransactionId(next) - mark.xid < PG_INT32_MAX &&
		TransactionIdIsInProgress(xid))
		end_transaction(&mark, xid);

	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0].value = FullTransactionIdGetDatum(full);
	call->args[0].isnull = false;
	result = pg_xact_status(call);
	if (call->isnull)
		PG_RETURN_NULL();
	status = TextDatumGetCString(result);

	/* after a crash the id may be another transaction's by now, but only if
	 * ours has not committed */
	if (strcmp(status, "committed") == 0)
	{
		if (!same_boot)
			PG_RETURN_NULL();
		PG_RETURN_TEXT_P(cstring_to_text("committed"));
	}
	if (strcmp(status, "in progress") == 0 && same_boot)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text("aborted"));
}

/*
 * tessera_internal.await_transaction(xid): for the recovery, whose part another
 * session of the node is ending.  A prepared transaction has the lock of its id
 * until it is ended.
 */
Datum
tess_transaction_await(PG_FUNCTION_ARGS)
{
	TransactionId xid = PG_GETARG_TRANSACTIONID(0);

	if (TransactionIdIsNormal(xid) &&
		TransactionIdPrecedes(xid, ReadNextTransactionId()) &&
		!TransactionIdIsCurrentTransactionId(xid))
		XactLockTableWait(xid, NULL, NULL, XLTW_None);
	PG_RETURN_VOID();
}

/* here -------------------------------------------------------------------- */

/* A question on its way. */
typedef struct Question
{
	const TessRemote *remote;
	TimestampTz deadline;
	TessOutcome outcome;
} Question;

/* Notes the row of TESS_MARK_SQL. */
void
tess_outcome_note_mark(TessRemote *remote, const PGresult *result)
{
	if (result != NULL && PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
		strlcpy(remote->mark, PQgetvalue(result, 0, 0), TESS_MARK_SIZE);
}

static int
milliseconds_left(TimestampTz deadline)
{
	return (int) Min(TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 deadline),
					 INT_MAX / 2);
}

static TessOutcome
read_outcome(const PGresult *result)
{
	if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
		return TESS_OUTCOME_UNKNOWN;
	return strcmp(PQgetvalue(result, 0, 0), "committed") == 0
			   ? TESS_OUTCOME_COMMITTED
			   : TESS_OUTCOME_ROLLED_BACK;
}

/* Errors if the node cannot be asked. */
static void
ask(void *arg)
{
	Question *question = arg;
	const TessRemote *remote = question->remote;
	TessSession *session;
	int settings = NewGUCNestLevel();

	(void) set_config_option("tessera.connect_timeout",
							 psprintf("%d", Max(1, milliseconds_left(
													   question->deadline))),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
	tess_net_acquire(1, &remote->node_id, remote->role, &session);
	AtEOXact_GUC(true, settings);

	tess_session_queue(session,
					   psprintf("SELECT tessera_internal.transaction_outcome('%s')",
								remote->mark),
					   NULL, false, false, question);
	tess_session_flush(session);
	for (;;)
	{
		PGresult *result;
		void *tag;
		ErrorData *error;
		TessPoll poll = tess_session_poll_quiet(session, &result, &tag, &error);

		if (error != NULL)
			ThrowErrorData(error);
		if (poll == TESS_POLL_IDLE)
			break;
		if (poll == TESS_POLL_WAIT)
		{
			if (!tess_net_wait_held(1, &session, question->deadline))
				break;
		}
		else if (tag == question && result != NULL)
			question->outcome = read_outcome(result);
	}
	tess_net_release(session);
}

/*
 * What became of the transaction that was to commit in a session which is lost
 * now.  Waits for the node until the deadline; a cancel or a termination ends
 * the wait.  No errors.
 */
TessOutcome
tess_outcome_ask(const TessRemote *remote, TimestampTz deadline)
{
	uint32 holdoff = InterruptHoldoffCount;
	Question question = {remote, deadline, TESS_OUTCOME_UNKNOWN};

	if (remote->mark[0] == '\0' || milliseconds_left(deadline) == 0)
		return TESS_OUTCOME_UNKNOWN;

	/* an error lets go of interrupts, hence the assignments */
	InterruptHoldoffCount = holdoff + 1;
	while (tess_attempt(ask, &question) != NULL)
	{
		InterruptHoldoffCount = holdoff + 1;
		if (QueryCancelPending || ProcDiePending ||
			milliseconds_left(question.deadline) == 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 ATTEMPT_WAIT_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	InterruptHoldoffCount = holdoff;
	return question.outcome;
}
