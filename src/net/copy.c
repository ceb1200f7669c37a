/*
 * copy.c - COPY ... FROM STDIN, and TO STDOUT, on a session.
 *
 * libpq has no COPY in pipeline mode, so the session leaves it from begin to
 * end.  Whoever fails in between leaves the session copying;
 * tess_session_abandon ends that.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "net/net_internal.h"

/* What is put is handed to libpq in parts of this size. */
#define PART_BYTES 65536

/* The next result of a session that is not in a pipeline; NULL at the end. */
static PGresult *
next_result(TessSession *session)
{
	while (PQisBusy(session->conn))
	{
		(void) tess_net_wait(1, &session, 0);
		if (session->broken)
			break;
		if (!PQconsumeInput(session->conn))
		{
			tess_session_break(session, NULL);
			break;
		}
		tess_report_notices(session, false);
	}
	if (session->broken)
		ThrowErrorData(tess_report_lost(session));
	return PQgetResult(session->conn);
}

/* All results have been read: back to pipelines. */
void
tess_copy_leave(TessSession *session)
{
	session->copying = false;
	session->receives_copy = false;
	session->in_block = PQtransactionStatus(session->conn) != PQTRANS_IDLE;
	if (!PQenterPipelineMode(session->conn))
		tess_session_break(session, NULL);
}

/* Reads to the end of the statement and goes back to pipelines. */
static void
leave_copy(TessSession *session)
{
	PGresult *result;

	while ((result = next_result(session)) != NULL)
		PQclear(result);
	tess_copy_leave(session);
}

/* Raises the error in a result, when the session is usable again. */
static void
fail(TessSession *session, PGresult *result)
{
	ErrorData *error = tess_report_result(session, result);
	bool lost = PQstatus(session->conn) != CONNECTION_OK;

	if (lost)
		tess_session_break(session, PQresultErrorMessage(result));
	PQclear(result);
	if (lost)
		ThrowErrorData(tess_report_lost(session));
	leave_copy(session);
	ThrowErrorData(error);
}

/* Reads the replies to all that was queued before. */
static void
finish_pipeline(TessSession *session)
{
	PGresult *result;
	void *tag;

	tess_session_flush(session);
	while (tess_net_next(session, &result, &tag))
		;
}

/* Leaves the pipeline, and sends the text of a COPY. */
static void
send_copy(TessSession *session, const char *sql)
{
	finish_pipeline(session);
	if (session->broken)
		ThrowErrorData(tess_report_lost(session));
	session->copying = true;
	if (!PQexitPipelineMode(session->conn) || !PQsendQuery(session->conn, sql))
	{
		tess_session_break(session, NULL);
		ThrowErrorData(tess_report_lost(session));
	}
	tess_net_counters.round_trips++;
	tess_net_counters.statements++;
	tess_net_counters.bytes_sent += strlen(sql);
}

void
tess_session_copy_begin(TessSession *session, const char *sql)
{
	PGresult *result;

	send_copy(session, sql);
	result = next_result(session);
	if (result == NULL || PQresultStatus(result) != PGRES_COPY_IN)
		fail(session, result);
	PQclear(result);
}

void
tess_session_copy_put(TessSession *session, const char *bytes, int length)
{
	int unsent = 0;

	if (session->broken)
		ThrowErrorData(tess_report_lost(session));
	while (length > 0)
	{
		int part = Min(length, PART_BYTES);

		/* 0: no memory for it, since nothing is unsent here */
		if (PQputCopyData(session->conn, bytes, part) <= 0)
			tess_session_break(session, NULL);
		bytes += part;
		length -= part;
		tess_net_counters.bytes_sent += part;

		/* Each part has to leave before the next one comes in. */
		while (!session->broken && (unsent = PQflush(session->conn)) > 0)
		{
			(void) tess_net_wait(1, &session, 0);
			if (session->may_read && !PQconsumeInput(session->conn))
				tess_session_break(session, NULL);
			session->may_read = false;
		}
		if (unsent < 0)
			tess_session_break(session, NULL);
		if (session->broken)
			ThrowErrorData(tess_report_lost(session));
	}
}

uint64
tess_session_copy_end(TessSession *session)
{
	PGresult *result;
	uint64 rows;

	if (session->broken)
		ThrowErrorData(tess_report_lost(session));
	if (PQputCopyEnd(session->conn, NULL) < 0)
		tess_session_break(session, NULL);
	tess_net_counters.round_trips++;
	result = next_result(session);
	if (result == NULL || PQresultStatus(result) != PGRES_COMMAND_OK)
		fail(session, result);
	rows = strtou64(PQcmdTuples(result), NULL, 10);
	PQclear(result);
	leave_copy(session);
	return rows;
}

/* COPY ... TO STDOUT ------------------------------------------------------- */

/* See net_internal.h. */
void
tess_copy_forget_row(TessSession *session)
{
	if (session->copy_row)
		PQfreemem(session->copy_row);
	session->copy_row = NULL;
}

void
tess_session_copy_out_begin(TessSession *session, const char *sql)
{
	send_copy(session, sql);
	session->receives_copy = true;
}

/* Reads the socket if a wait saw something there; false if not. */
static bool
read_more(TessSession *session)
{
	if (!session->may_read)
		return false;
	tess_session_read(session);
	if (session->broken)
		ThrowErrorData(tess_report_lost(session));
	tess_report_notices(session, false);
	return true;
}

/* A statement's result, or the end of all. */
static TessCopyOut
take_copy_result(TessSession *session, uint64 *rows)
{
	PGresult *result = PQgetResult(session->conn);

	if (result == NULL)
	{
		tess_copy_leave(session);
		return TESS_COPY_ENDS;
	}
	switch (PQresultStatus(result))
	{
		case PGRES_COPY_OUT:
			session->in_copy_rows = true;
			PQclear(result);
			return TESS_COPY_BEGINS;
		case PGRES_COMMAND_OK:
			*rows += strtou64(PQcmdTuples(result), NULL, 10);
			PQclear(result);
			return TESS_COPY_WAITS;
		default:
			fail(session, result);
			pg_unreachable();
	}
}

TessCopyOut
tess_session_copy_out_next(TessSession *session, const char **row, int *length,
						   uint64 *rows)
{
	if (session->broken)
		ThrowErrorData(tess_report_lost(session));
	tess_copy_forget_row(session);
	for (;;)
	{
		if (session->in_copy_rows)
		{
			*length = PQgetCopyData(session->conn, &session->copy_row, true);
			if (*length > 0)
			{
				*row = session->copy_row;
				tess_net_counters.rows++;
				tess_net_counters.bytes_received += *length;
				return TESS_COPY_ROW;
			}
			if (*length == 0 && !read_more(session))
				return TESS_COPY_WAITS;
			/* the end, or an error: both are told by the result */
			session->in_copy_rows = *length == 0;
		}
		else if (PQisBusy(session->conn))
		{
			if (!read_more(session))
				return TESS_COPY_WAITS;
		}
		else
		{
			TessCopyOut next = take_copy_result(session, rows);

			if (next != TESS_COPY_WAITS)
				return next;
		}
	}
}

/* See net_internal.h. */
bool
tess_copy_discard(TessSession *session)
{
	while (!session->broken)
	{
		int length;

		tess_copy_forget_row(session);
		length = PQgetCopyData(session->conn, &session->copy_row, true);
		if (length < 0)
			return true;
		if (length > 0)
			continue;
		if (!session->may_read)
			return false;
		tess_session_read(session);
	}
	return true;
}
