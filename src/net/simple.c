/*
 * simple.c - commands and small queries, for everything that is not on a
 * statement's hot path.
 *
 * Everything is sent before any answer is read.  The first error is raised;
 * what others still owe is the caller's to abandon (xact/ does so when the
 * transaction ends).
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "net/net_internal.h"

/* Reads until nothing is owed by any of the sessions. */
static void
wait_for_idle(int count, TessSession *const *sessions)
{
	TessSession **waiting = palloc(sizeof(TessSession *) * Max(count, 1));

	for (;;)
	{
		int waiting_count = 0;

		for (int i = 0; i < count; i++)
		{
			PGresult *result;
			void *tag;
			TessPoll poll;

			do
			{
				poll = tess_session_poll(sessions[i], &result, &tag);
			} while (poll == TESS_POLL_ROWS || poll == TESS_POLL_DONE);
			if (poll == TESS_POLL_WAIT)
				waiting[waiting_count++] = sessions[i];
		}
		if (waiting_count == 0)
			break;
		(void) tess_net_wait(waiting_count, waiting, 0);
	}
	pfree(waiting);
}

void
tess_net_run_lists(int count, TessSession *const *sessions, List *const *lists)
{
	for (int i = 0; i < count; i++)
	{
		ListCell *cell;

		tess_session_claim(sessions[i], NULL, NULL);
		foreach(cell, lists[i])
			tess_session_queue(sessions[i], lfirst(cell), NULL, false, false,
							   NULL);
		tess_session_flush(sessions[i]);
	}
	wait_for_idle(count, sessions);
}

void
tess_net_run_all(int count, TessSession *const *sessions,
				 const char *const *commands)
{
	for (int i = 0; i < count; i++)
	{
		tess_session_claim(sessions[i], NULL, NULL);
		tess_session_queue(sessions[i], commands[i], NULL, false, false, NULL);
		tess_session_flush(sessions[i]);
	}
	wait_for_idle(count, sessions);
}

void
tess_net_run_list(TessSession *session, List *commands)
{
	tess_net_run_lists(1, &session, &commands);
}

static void
clear_result(void *result)
{
	PQclear(result);
}

bool
tess_net_next(TessSession *session, PGresult **result, void **tag)
{
	for (;;)
	{
		switch (tess_session_poll(session, result, tag))
		{
			case TESS_POLL_WAIT:
				(void) tess_net_wait(1, &session, 0);
				break;
			case TESS_POLL_ROWS:
			case TESS_POLL_DONE:
				return true;
			case TESS_POLL_IDLE:
				return false;
		}
	}
}

PGresult *
tess_net_query(TessSession *session, const char *sql, const TessParams *params)
{
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	PGresult *answer = NULL;
	PGresult *result;
	void *result_tag;
	char tag;

	tess_session_claim(session, NULL, NULL);
	tess_session_queue(session, sql, params, false, false, &tag);
	tess_session_flush(session);
	while (tess_net_next(session, &result, &result_tag))
	{
		if (result_tag != &tag)
			continue;
		answer = tess_session_take_result(session);
		callback->func = clear_result;
		callback->arg = answer;
		MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	}
	Assert(answer != NULL);
	return answer;
}

static ErrorData *
silence_error(void)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->elevel = ERROR;
	error->sqlerrcode = ERRCODE_CONNECTION_FAILURE;
	error->message = pstrdup("there was no answer in time");
	return error;
}

static ErrorData *
ask(TessSession *session, const char *sql, TimestampTz deadline, bool held,
	TessTakeAnswer take, void *arg)
{
	ErrorData *failure = NULL;
	char tag;

	tess_session_claim(session, NULL, NULL);
	tess_session_queue(session, sql, NULL, false, false, &tag);
	tess_session_flush(session);
	for (;;)
	{
		PGresult *result = NULL;
		void *result_tag = NULL;
		ErrorData *error = NULL;
		TessPoll poll = tess_session_poll_quiet(session, &result, &result_tag,
												&error);

		if (poll == TESS_POLL_IDLE)
			return failure;
		if (poll == TESS_POLL_WAIT)
		{
			if (!(held ? tess_net_wait_held : tess_net_wait)(1, &session,
															 deadline))
				return silence_error();
		}
		else if (error != NULL && failure == NULL)
			failure = error;
		else if (result_tag == &tag && result != NULL && take != NULL)
			take(arg, result);
	}
}

ErrorData *
tess_net_ask(TessSession *session, const char *sql, TimestampTz deadline,
			 TessTakeAnswer take, void *arg)
{
	return ask(session, sql, deadline, false, take, arg);
}

ErrorData *
tess_net_ask_held(TessSession *session, const char *sql, TimestampTz deadline,
				  TessTakeAnswer take, void *arg)
{
	return ask(session, sql, deadline, true, take, arg);
}
