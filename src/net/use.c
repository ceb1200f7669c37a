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
	/* What a reader who failed has left behind.  Settings that go ahead are not
	 * waited for, and if one is refused, the new reader has to know. */
	if (tess_session_owes_reader(session))
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

/* Reads what is there of a COPY that was ended; true at its end, or if the
 * session is broken. */
static bool
read_copy_end(TessSession *session)
{
	while (!session->broken)
	{
		PGresult *result;
		ExecStatusType status;

		if (PQisBusy(session->conn))
		{
			tess_session_read(session);
			if (!session->broken && PQisBusy(session->conn))
				return false;
			continue;
		}
		result = PQgetResult(session->conn);
		if (result == NULL)
		{
			tess_copy_leave(session);
			return true;
		}
		status = PQresultStatus(result);
		PQclear(result);
		if (status == PGRES_COPY_IN)
			(void) PQputCopyEnd(session->conn, _("COPY was cancelled"));
		else if (status == PGRES_COPY_OUT && !tess_copy_discard(session))
			return false;
	}
	return true;
}

/* Reads what is there; true when nothing is owed, or the session is broken. */
static bool
is_quiet(TessSession *session)
{
	TessPoll poll = TESS_POLL_IDLE;

	if (session->broken)
		return true;
	if (session->copying)
		return read_copy_end(session);
	do
	{
		PGresult *result;
		void *tag;
		ErrorData *error;

		poll = tess_session_poll_quiet(session, &result, &tag, &error);
		if (error)
			FreeErrorData(error);
	} while (!session->broken &&
			 (poll == TESS_POLL_ROWS || poll == TESS_POLL_DONE));
	return session->broken || poll == TESS_POLL_IDLE;
}

/* Nobody reads the session's replies any more, and nothing is unsynced. */
static void
stop_using(TessSession *session)
{
	session->owner = NULL;
	session->drain = NULL;
	if (session->broken || !tess_session_is_busy(session))
		return;
	/* Refused if the node has ended the COPY by itself: all the same. */
	if (session->receives_copy)
		session->in_copy_rows = false;
	else if (session->copying)
		(void) PQputCopyEnd(session->conn, _("COPY was cancelled"));
	else
		(void) tess_session_sync(session);
}

/* Those that are not quiet yet. */
static int
find_unquiet(int count, TessSession *const *sessions, TessSession **unquiet)
{
	int found = 0;

	for (int i = 0; i < count; i++)
	{
		if (tess_session_is_busy(sessions[i]) && !is_quiet(sessions[i]))
			unquiet[found++] = sessions[i];
	}
	return found;
}

/* Reads replies up to idle, and asks the nodes to stop now and then. */
static void
cancel_to_idle(int count, TessSession *const *sessions, TimestampTz deadline)
{
	TessSession **unquiet = palloc(sizeof(TessSession *) * Max(count, 1));
	int waiting;
	TimestampTz cancel_at;

	cancel_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											CANCEL_AFTER_MS);
	while ((waiting = find_unquiet(count, sessions, unquiet)) > 0)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (now >= deadline || QueryCancelPending || ProcDiePending)
			break;
		if (now >= cancel_at)
		{
			tess_cancel_send(waiting, unquiet, deadline);
			cancel_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													CANCEL_AGAIN_MS);
			continue;
		}
		(void) tess_net_wait_held(waiting, unquiet, Min(cancel_at, deadline));
	}
	for (int i = 0; i < waiting; i++)
		tess_session_break(unquiet[i], _("The node did not stop in time."));
	pfree(unquiet);
}

void
tess_session_abandon_all(int count, TessSession *const *sessions,
						 TimestampTz deadline)
{
	for (int i = 0; i < count; i++)
		stop_using(sessions[i]);
	cancel_to_idle(count, sessions, deadline);
	for (int i = 0; i < count; i++)
	{
		if (sessions[i]->broken)
			tess_session_forget_replies(sessions[i]);
	}
}

void
tess_session_abandon(TessSession *session, TimestampTz deadline)
{
	tess_session_abandon_all(1, &session, deadline);
}
