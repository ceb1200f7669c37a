/*
 * xact_round.c - one statement to each of some sessions, all sent before any
 * answer is read: what commit and rollback are made of.
 *
 * A round is begin, any number of sends, finish.  The outcome stands in each
 * remote; nothing that a node says is raised here.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "tessera.h"
#include "xact/xact_internal.h"

/* Nodes are told the end even if statement_timeout has left no time for it. */
#define MIN_END_WAIT_MS 500

/* Ends a PG_CATCH in a callback that must go on.  Raising an error has let
 * go of the interrupts that the callback's caller holds: take them again. */
void
tess_swallow_error(uint32 holdoff)
{
	FlushErrorState();
	InterruptHoldoffCount = holdoff;
}

/* Nobody takes part yet. */
void
tess_round_begin(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		remotes[i]->command = NULL;
		remotes[i]->expected = NULL;
		remotes[i]->answered = false;
		remotes[i]->processed = 0;
		remotes[i]->finished = false;
		remotes[i]->error = NULL;
		remotes[i]->take_rows = NULL;
		remotes[i]->lost_rows = false;
	}
}

/* Sends a statement.  expected is the command tag without which the node did
 * not do what it was told: COMMIT of a failed transaction succeeds as
 * ROLLBACK.  A connection that cannot be written to is an outcome like any
 * other, so that one lost node does not keep the rest from hearing. */
void
tess_round_send(TessRemote *remote, const char *command, const char *expected)
{
	MemoryContext context = CurrentMemoryContext;
	uint32 holdoff = InterruptHoldoffCount;

	remote->command = command;
	remote->expected = expected;
	PG_TRY();
	{
		tess_session_queue(remote->session, command, NULL, false, false, remote);
		tess_session_flush(remote->session);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		remote->error = CopyErrorData();
		remote->finished = true;
		tess_swallow_error(holdoff);
	}
	PG_END_TRY();
}

/* A statement outside a transaction block, which its node commits: done only
 * when the remote is answered, finished, and has no error. */
void
tess_round_send_alone(TessRemote *remote, const TessAloneWrite *write)
{
	remote->command = write->sql;
	remote->expected = NULL;
	remote->take_rows = write->take_rows;
	remote->take_arg = write->arg;
	tess_remote_number(remote);
	/* rows one by one, because libpq would else hold all of them */
	(write->comes_again
		 ? tess_session_queue_again
		 : tess_session_queue)(remote->session, write->sql,
							   tess_ticket_add(write->params, remote),
							   write->binary_rows, write->take_rows != NULL,
							   remote);
	tess_session_flush(remote->session);
}

/* Rows of a statement that is alone. */
static void
take_rows(TessRemote *remote, const PGresult *result)
{
	if (remote->take_rows == NULL || remote->lost_rows || result == NULL ||
		PQntuples(result) == 0)
		return;
	remote->lost_rows = true; /* should it fail after all */
	remote->take_rows(remote->take_arg, result);
	remote->lost_rows = false;
}

static void
note_reply(TessRemote *remote, const PGresult *result)
{
	const char *got = result ? PQcmdStatus(unconstify(PGresult *, result)) : "";

	if (result != NULL)
		remote->processed = strtou64(PQcmdTuples(unconstify(PGresult *, result)),
									 NULL, 10);
	if (remote->expected == NULL || strcmp(got, remote->expected) == 0)
	{
		remote->answered = true;
		return;
	}
	remote->error = palloc0(sizeof(ErrorData));
	remote->error->elevel = ERROR;
	remote->error->sqlerrcode = ERRCODE_TRANSACTION_ROLLBACK;
	remote->error->message = psprintf("node \"%s\" has rolled the transaction back",
									  tess_session_node_name(remote->session));
	remote->error->assoc_context = CurrentMemoryContext;
}

/* Reads what is there; sets finished when the node owes nothing more. */
static void
read_replies(TessRemote *remote)
{
	for (;;)
	{
		PGresult *result = NULL;
		void *tag = NULL;
		ErrorData *error = NULL;

		switch (tess_session_poll_quiet(remote->session, &result, &tag, &error))
		{
			case TESS_POLL_WAIT:
				return;
			case TESS_POLL_ROWS:
				if (tag == remote) /* else left over from a scan that is gone */
					take_rows(remote, result);
				break;
			case TESS_POLL_DONE:
				if (error != NULL)
				{
					if (remote->error == NULL)
						remote->error = error;
				}
				else if (tag == remote)
				{
					take_rows(remote, result);
					note_reply(remote, result);
				}
				break;
			case TESS_POLL_IDLE:
				remote->finished = true;
				return;
		}
	}
}

/* The sessions whose answers are still to come. */
static int
unfinished(TessSession **sessions)
{
	int count;
	int open = 0;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (remote->command == NULL || remote->finished)
			continue;
		if (!remote->answered || tess_session_is_busy(remote->session))
			read_replies(remote);
		if (!remote->finished && tess_session_is_broken(remote->session))
			remote->finished = true;
		if (!remote->finished)
			sessions[open++] = remote->session;
	}
	return open;
}

/* Waits for all answers.  Cancel and termination raise. */
void
tess_round_finish(void)
{
	int count;
	int open;
	TessSession **sessions;

	(void) tess_remotes(&count);
	sessions = palloc(sizeof(TessSession *) * Max(count, 1));
	while ((open = unfinished(sessions)) > 0)
		(void) tess_net_wait(open, sessions, 0);
	pfree(sessions);
}

/* Waits until the deadline, a cancel or a termination, and raises none of
 * them: for callbacks that must not fail. */
void
tess_round_finish_held(TimestampTz deadline)
{
	int count;
	int open;
	TessSession **sessions;

	(void) tess_remotes(&count);
	sessions = palloc(sizeof(TessSession *) * Max(count, 1));
	while ((open = unfinished(sessions)) > 0)
	{
		if (!tess_net_wait_held(open, sessions, deadline))
			break;
	}
	pfree(sessions);
}

/* Finds out which nodes of those that have not answered are there no more: they
 * are not waited for any longer. */
void
tess_round_knock(void)
{
	int count;
	int open;
	TessSession **sessions;

	(void) tess_remotes(&count);
	sessions = palloc(sizeof(TessSession *) * Max(count, 1));
	open = unfinished(sessions);
	if (open > 0)
		tess_net_knock(open, sessions);
	pfree(sessions);
}

/* True if it is not the node that said no. */
bool
tess_round_lost_connection(const TessRemote *remote)
{
	if (remote->answered)
		return false;
	if (remote->error == NULL || tess_session_is_broken(remote->session))
		return true;
	return ERRCODE_TO_CATEGORY(remote->error->sqlerrcode) ==
		   ERRCODE_CONNECTION_EXCEPTION;
}

/*
 * Until when the end of a transaction waits for nodes: commit_wait, or what
 * statement_timeout has left if that is less, but some time in any case.
 */
TimestampTz
tess_round_deadline(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline;
	TimestampTz timeout;

	deadline = TimestampTzPlusMilliseconds(now, tess_commit_wait_ms);
	if (StatementTimeout == 0 || MyBackendType != B_BACKEND)
		return deadline;
	timeout = TimestampTzPlusMilliseconds(GetCurrentStatementStartTimestamp(),
										  StatementTimeout);
	timeout = Max(timeout, TimestampTzPlusMilliseconds(now, MIN_END_WAIT_MS));
	return Min(deadline, timeout);
}
