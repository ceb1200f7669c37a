/*
 * use.c - who reads a session's replies now, and what becomes of them when
 * he does not want them any more.
 *
 * Replies come in the order of the statements, so a session has one reader
 * at a time.  Draining and discarding leave alone what is queued but not yet
 * flushed: it belongs to the next reader.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "net/net_internal.h"

/* What ends by itself this soon is not worth a cancel. */
#define CANCEL_AFTER_MS 20

/* A cancel that came between two statements was lost: it is sent again. */
#define CANCEL_AGAIN_MS 500

/* How long the reader of an unwanted result waits for the node to stop. */
#define DISCARD_TIMEOUT_MS 5000

/* Reads and forgets all that was flushed; can be interrupted. */
static void
read_to_idle(TessSession *session)
{
	PGresult *result;
	void *tag;
	ErrorData *error;
	TessPoll poll;

	for (;;)
	{
		poll = tess_session_poll_quiet(session, &result, &tag, &error);
		if (poll == TESS_POLL_IDLE)
			return;
		if (poll == TESS_POLL_WAIT)
			(void) tess_net_wait(1, &session, 0);
		if (error)
			FreeErrorData(error);
	}
}

void
tess_session_claim(TessSession *session, void *owner, TessDrain drain)
{
	void *old_owner = session->owner;
	TessDrain old_drain = session->drain;

	if (old_owner == owner && owner != NULL)
		return;

	/* Cleared first: if draining fails, nobody will read the rest. */
	session->owner = NULL;
	session->drain = NULL;
	if (old_owner != NULL && old_drain != NULL)
		old_drain(old_owner, session);
	/* What a reader who failed has left behind. */
	if (session->sync_count > 0)
		read_to_idle(session);
	session->owner = owner;
	session->drain = drain;
}

void
tess_session_unclaim(TessSession *session, void *owner)
{
	PGresult *result;
	void *tag;
	ErrorData *error;
	TessPoll poll;

	if (session->owner != owner)
		return;
	session->owner = NULL;
	session->drain = NULL;

	/* Often all is here already. */
	do
	{
		poll = tess_session_poll_quiet(session, &result, &tag, &error);
		if (error)
			FreeErrorData(error);
	} while (poll == TESS_POLL_ROWS || poll == TESS_POLL_DONE);
	if (poll == TESS_POLL_IDLE)
		return;

	/* Inside a transaction block a cancel would abort more than the query. */
	if (!session->in_block && !tess_session_owes_silent(session))
		tess_session_abandon(session,
							 TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														 DISCARD_TIMEOUT_MS));
	else
		read_to_idle(session);
}

bool
tess_session_is_claimed(const TessSession *session, const void *owner)
{
	return session->owner == owner;
}

/* Ends a COPY that the node waits for; false if the session is broken. */
static bool
abandon_copy(TessSession *session, TimestampTz deadline)
{
	/* Refused if the node has ended the COPY by itself: all the same. */
	(void) PQputCopyEnd(session->conn, _("COPY was cancelled"));
	for (;;)
	{
		PGresult *result;

		if (session->broken)
			return false;
		if (PQisBusy(session->conn))
		{
			if (!tess_net_wait_held(1, &session, deadline))
				return false;
			if (!PQconsumeInput(session->conn))
				return false;
			continue;
		}
		result = PQgetResult(session->conn);
		if (result == NULL)
			break;
		if (PQresultStatus(result) == PGRES_COPY_IN)
			(void) PQputCopyEnd(session->conn, _("COPY was cancelled"));
		PQclear(result);
	}
	session->copying = false;
	session->in_block = PQtransactionStatus(session->conn) != PQTRANS_IDLE;
	return PQenterPipelineMode(session->conn) != 0;
}

/* Reads replies up to idle, and asks the node to stop now and then. */
static bool
cancel_to_idle(TessSession *session, TimestampTz deadline)
{
	TimestampTz cancel_at;

	cancel_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											CANCEL_AFTER_MS);
	for (;;)
	{
		PGresult *result;
		void *tag;
		ErrorData *error;
		TimestampTz now;
		TessPoll poll;

		poll = tess_session_poll_quiet(session, &result, &tag, &error);
		if (error)
			FreeErrorData(error);
		if (session->broken)
			return false;
		if (poll == TESS_POLL_IDLE)
			return true;
		if (poll != TESS_POLL_WAIT)
			continue;

		now = GetCurrentTimestamp();
		if (now >= deadline)
			return false;
		if (now >= cancel_at)
		{
			if (!tess_cancel_send(session, deadline))
				return false;
			cancel_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													CANCEL_AGAIN_MS);
		}
		if (!tess_net_wait_held(1, &session, Min(cancel_at, deadline)) &&
			(QueryCancelPending || ProcDiePending))
			return false;
	}
}

void
tess_session_abandon(TessSession *session, TimestampTz deadline)
{
	bool done;

	session->owner = NULL;
	session->drain = NULL;
	if (!session->broken && tess_session_is_busy(session))
	{
		if (session->copying)
			done = abandon_copy(session, deadline);
		else
		{
			(void) tess_session_sync(session);
			done = cancel_to_idle(session, deadline);
		}
		if (!done)
			tess_session_break(session, _("The node did not stop in time."));
	}
	if (session->broken)
		tess_session_forget_replies(session);
}
