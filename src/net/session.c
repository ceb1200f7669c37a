/*
 * session.c - statements go out in pipelines, replies come back in order.
 *
 * Every statement queued and every Sync sent puts a reply into the session's
 * ring, and libpq's results are matched with its head.  A lost connection
 * never raises here but in the poll that would have got the reply; then all
 * replies of the session are gone.  After an error of the node, replies up to
 * the Sync are dropped without a word: the node has not run those statements.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "net/net_internal.h"

static bool log_remote_statements = false;

const char *
tess_session_node_name(const TessSession *session)
{
	return session->node_name;
}

int
tess_session_server_version(const TessSession *session)
{
	return PQserverVersion(session->conn);
}

const char *
tess_session_parameter(const TessSession *session, const char *name)
{
	return PQparameterStatus(session->conn, name);
}

bool
tess_session_is_broken(const TessSession *session)
{
	return session->broken;
}

bool
tess_session_in_block(const TessSession *session)
{
	return session->in_block;
}

bool
tess_session_is_busy(const TessSession *session)
{
	return session->reply_count > 0 || session->copying;
}

/* The session cannot be used any more; reason NULL: what libpq says. */
void
tess_session_break(TessSession *session, const char *reason)
{
	if (session->broken && session->broken_reason)
		return;
	session->broken = true;
	if (reason == NULL)
		reason = PQerrorMessage(session->conn);
	session->broken_reason = MemoryContextStrdup(session->context, reason);
}

/* replies --------------------------------------------------------------- */

static TessReply *
head_reply(TessSession *session)
{
	return &session->replies[session->reply_head];
}

static void
push_reply(TessSession *session, const TessReply *reply)
{
	int capacity = session->reply_capacity;

	if (session->reply_count == capacity)
	{
		int larger = Max(16, capacity * 2);
		TessReply *replies;

		replies = MemoryContextAllocHuge(session->context,
										 sizeof(TessReply) * larger);
		for (int i = 0; i < session->reply_count; i++)
			replies[i] = session->replies[(session->reply_head + i) % capacity];
		if (session->replies)
			pfree(session->replies);
		session->replies = replies;
		session->reply_capacity = larger;
		session->reply_head = 0;
	}
	session->replies[(session->reply_head + session->reply_count) %
					 session->reply_capacity] = *reply;
	session->reply_count++;
	if (reply->is_sync)
		session->sync_count++;
}

static void
pop_reply(TessSession *session)
{
	if (head_reply(session)->is_sync)
		session->sync_count--;
	session->reply_head = (session->reply_head + 1) % session->reply_capacity;
	session->reply_count--;
}

/* True if something was queued after the last Sync. */
static bool
has_unsynced(const TessSession *session)
{
	int last = session->reply_head + session->reply_count - 1;

	return session->reply_count > 0 &&
		   !session->replies[last % session->reply_capacity].is_sync;
}

/*
 * True if a silent statement is owed or queued: BEGIN may be among them, and
 * what follows it is inside a transaction block.
 */
bool
tess_session_owes_silent(const TessSession *session)
{
	for (int i = 0; i < session->reply_count; i++)
	{
		const TessReply *reply = &session->replies[(session->reply_head + i) %
												   session->reply_capacity];

		if (!reply->is_sync && !reply->prepares && reply->tag == NULL)
			return true;
	}
	return false;
}

/* True if what was flushed or ended with a Sync has a statement of a reader. */
bool
tess_session_owes_reader(const TessSession *session)
{
	int syncs = 0;

	for (int i = 0; syncs < session->sync_count; i++)
	{
		const TessReply *reply = &session->replies[(session->reply_head + i) %
												   session->reply_capacity];

		if (reply->is_sync)
			syncs++;
		else if (reply->tag != NULL)
			return true;
	}
	return false;
}

/* Of a session that is broken: nothing will come any more. */
void
tess_session_forget_replies(TessSession *session)
{
	session->reply_count = 0;
	session->reply_head = 0;
	session->sync_count = 0;
}

/* sending ---------------------------------------------------------------- */

static void
count_sent(const char *sql, const TessParams *params)
{
	tess_net_counters.statements++;
	tess_net_counters.bytes_sent += strlen(sql);
	for (int i = 0; params && i < params->count; i++)
	{
		if (params->values[i])
			tess_net_counters.bytes_sent += params->formats[i] == 1
												? params->lengths[i]
												: strlen(params->values[i]);
	}
}

static void
log_sent(const TessSession *session, const char *sql)
{
	if (log_remote_statements)
		ereport(LOG,
				(errmsg("statement to node \"%s\": %s", session->node_name, sql),
				 errhidestmt(true)));
}

/* name NULL: not prepared. */
static void
queue(TessSession *session, const TessReply *reply, const char *name,
	  const char *sql, const TessParams *params, bool binary_result)
{
	int count = params ? params->count : 0;
	int sent;

	/* First, so that nothing is sent whose reply has no place. */
	push_reply(session, reply);
	if (session->broken)
		return;

	log_sent(session, sql);
	if (name != NULL)
		sent = PQsendQueryPrepared(session->conn, name, count,
								   params ? params->values : NULL,
								   params ? params->lengths : NULL,
								   params ? params->formats : NULL,
								   binary_result ? 1 : 0);
	else
		sent = PQsendQueryParams(session->conn, sql, count,
								 params ? params->types : NULL,
								 params ? params->values : NULL,
								 params ? params->lengths : NULL,
								 params ? params->formats : NULL,
								 binary_result ? 1 : 0);
	if (!sent)
		tess_session_break(session, NULL);
	count_sent(name ? name : sql, params);
}

/* A COPY that somebody has under way comes to its end first. */
static void
end_copy(TessSession *session)
{
	if (session->copying && !session->broken)
		tess_session_claim(session, NULL, NULL);
}

void
tess_session_queue(TessSession *session, const char *sql,
				   const TessParams *params, bool binary_result,
				   bool single_row, void *tag)
{
	TessReply reply = {.tag = tag, .single_row = single_row};

	end_copy(session);
	queue(session, &reply, NULL, sql, params, binary_result);
}

void
tess_session_queue_again(TessSession *session, const char *sql,
						 const TessParams *params, bool binary_result,
						 bool single_row, void *tag)
{
	TessReply reply = {.tag = tag, .single_row = single_row};
	char name[NAMEDATALEN];

	end_copy(session);
	reply.by_name = !session->broken &&
					tess_prepared_find(session, sql, params, name);
	if (reply.by_name)
		tess_prepared_keep_values(session, params, binary_result);
	queue(session, &reply, reply.by_name ? name : NULL, sql, params,
		  binary_result);
}

/* Queues a PREPARE, silently; params for the types. */
void
tess_session_queue_prepare(TessSession *session, const char *name,
						   const char *sql, const TessParams *params)
{
	TessReply reply = {.prepares = true};

	push_reply(session, &reply);
	if (session->broken)
		return;
	if (!PQsendPrepare(session->conn, name, sql, params ? params->count : 0,
					   params ? params->types : NULL))
		tess_session_break(session, NULL);
	tess_net_counters.bytes_sent += strlen(sql);
}

/* Ends the pipeline as far as it is queued; false if the session broke. */
bool
tess_session_sync(TessSession *session)
{
	TessReply reply = {.is_sync = true};

	push_reply(session, &reply);
	if (!session->broken &&
		(!PQpipelineSync(session->conn) || PQflush(session->conn) < 0))
		tess_session_break(session, NULL);
	return !session->broken;
}

void
tess_session_flush(TessSession *session)
{
	TESS_FAULT_POINT("net_flush");
	if (!has_unsynced(session))
		return;
	tess_net_counters.round_trips++;
	(void) tess_session_sync(session);
}

void
tess_session_request_flush(TessSession *session)
{
	if (!session->broken && !PQsendFlushRequest(session->conn))
		tess_session_break(session, NULL);
}

/* receiving -------------------------------------------------------------- */

static void
set_result(TessSession *session, PGresult *result)
{
	if (session->result)
		PQclear(session->result);
	session->result = result;
}

static void
count_received(const PGresult *result)
{
	int rows = PQntuples(result);
	int columns = PQnfields(result);

	tess_net_counters.rows += rows;
	for (int row = 0; row < rows; row++)
	{
		for (int column = 0; column < columns; column++)
			tess_net_counters.bytes_received += PQgetlength(result, row, column);
	}
}

/* Keeps in_block true to the command tags that have gone by. */
static void
note_block(TessSession *session, const PGresult *result)
{
	const char *command = PQcmdStatus(unconstify(PGresult *, result));

	if (strcmp(command, "BEGIN") == 0 ||
		strcmp(command, "START TRANSACTION") == 0)
		session->in_block = true;
}

/* Reads the socket if a wait saw something there; breaks a session that is lost. */
void
tess_session_read(TessSession *session)
{
	/* TLS may hold back a part of a record that the socket shows no more. */
	int reads = PQsslInUse(session->conn) ? 2 : 1;

	if (!session->may_read)
		return;
	session->may_read = false;
	while (reads-- > 0)
	{
		if (!PQconsumeInput(session->conn))
		{
			tess_session_break(session, NULL);
			return;
		}
	}
}

/*
 * True if libpq has the next result, so that PQgetResult does not block.
 * Reads the socket only if a wait saw something there: the rest stays in the
 * kernel, and slows the node down, until somebody wants it.
 */
static bool
result_is_there(TessSession *session)
{
	if (PQisBusy(session->conn))
		tess_session_read(session);
	return session->broken || !PQisBusy(session->conn);
}

/*
 * Takes the NULL that ends a statement's results, at once: libpq turns to the
 * next statement only after it.  Never blocks in pipeline mode.
 */
static void
end_statement(TessSession *session)
{
	PGresult *end = PQgetResult(session->conn);

	if (end != NULL)
	{
		PQclear(end);
		tess_session_break(session, _("The node sent what was not asked for."));
	}
}

static void
finish_reply(TessSession *session)
{
	end_statement(session);
	pop_reply(session);
}

static bool
is_fatal(const PGresult *result)
{
	const char *severity;

	severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	return severity != NULL &&
		   (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

/* The node does not have the statement, or would now give other columns. */
static bool
is_stale(const TessReply *reply, const ErrorData *error)
{
	return reply->by_name &&
		   (error->sqlerrcode == ERRCODE_UNDEFINED_PSTATEMENT ||
			error->sqlerrcode == ERRCODE_FEATURE_NOT_SUPPORTED);
}

/*
 * An error result: the error, and what it means for the session.  Consumes
 * the head reply.  NULL if the statement has been sent again.
 */
static ErrorData *
take_error(TessSession *session, PGresult *result)
{
	TessReply reply = *head_reply(session);
	ErrorData *error;

	if (PQstatus(session->conn) != CONNECTION_OK || is_fatal(result))
	{
		const char *farewell = PQresultErrorField(result,
												  PG_DIAG_MESSAGE_PRIMARY);

		tess_session_break(session,
						   farewell ? farewell : PQresultErrorMessage(result));
		PQclear(result);
		tess_session_forget_replies(session);
		return tess_report_lost(session);
	}

	error = tess_report_result(session, result);
	PQclear(result);
	if (reply.tag == NULL || session->settings_in_block)
		tess_settings_forget(session);
	/* What a transaction does at its end may fail in the Sync itself. */
	if (reply.is_sync)
		end_statement(session);
	else
		finish_reply(session);

	if (reply.prepares)
		tess_prepared_doubt(session);
	if (!is_stale(&reply, error))
		return error;
	tess_prepared_doubt(session);
	if (!tess_prepared_send_again(session, reply.tag, reply.single_row))
		return tess_report_stale(session, error);
	FreeErrorData(error);
	return NULL;
}

/*
 * One result of libpq (never NULL).  True if the caller has something to say:
 * *poll, with result and tag, or *error.
 */
static bool
take_result(TessSession *session, PGresult *result, TessPoll *poll,
			PGresult **given, void **tag, ErrorData **error)
{
	TessReply *reply = head_reply(session);

	*tag = reply->tag;
	switch (PQresultStatus(result))
	{
		case PGRES_SINGLE_TUPLE:
			count_received(result);
			set_result(session, result);
			*given = result;
			*poll = TESS_POLL_ROWS;
			return true;

		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
		case PGRES_EMPTY_QUERY:
			count_received(result);
			note_block(session, result);
			set_result(session, result);
			*given = result;
			*poll = TESS_POLL_DONE;
			finish_reply(session);
			return *tag != NULL;

		case PGRES_PIPELINE_SYNC:
			PQclear(result);
			session->in_block = PQtransactionStatus(session->conn) !=
								PQTRANS_IDLE;
			pop_reply(session);
			return false;

		case PGRES_PIPELINE_ABORTED:
			PQclear(result);
			if (reply->prepares)
				tess_prepared_doubt(session);
			finish_reply(session);
			return false;

		case PGRES_FATAL_ERROR:
			*error = take_error(session, result);
			*poll = TESS_POLL_DONE;
			return *error != NULL;

		default:
			/* COPY and the like have no place in a pipeline. */
			PQclear(result);
			tess_session_break(session,
							   _("The node sent what was not asked for."));
			tess_session_forget_replies(session);
			*error = tess_report_lost(session);
			*poll = TESS_POLL_DONE;
			return true;
	}
}

TessPoll
tess_session_poll_quiet(TessSession *session, PGresult **result, void **tag,
						ErrorData **error)
{
	TessPoll poll = TESS_POLL_IDLE;

	set_result(session, NULL);
	*result = NULL;
	*tag = NULL;
	*error = NULL;

	/* What was queued without a Sync is not answered yet. */
	while (session->sync_count > 0)
	{
		TessReply *reply = head_reply(session);
		PGresult *next;
		bool ready;

		if (!session->broken && !reply->started)
		{
			/* Only now, between two statements, does libpq take this. */
			reply->started = true;
			if (reply->single_row)
				(void) PQsetSingleRowMode(session->conn);
		}
		ready = session->broken || result_is_there(session);
		tess_report_notices(session, reply->tag == NULL);
		if (session->broken)
		{
			*tag = reply->tag;
			tess_session_forget_replies(session);
			*error = tess_report_lost(session);
			return TESS_POLL_DONE;
		}
		if (!ready)
			return TESS_POLL_WAIT;

		next = PQgetResult(session->conn);
		if (next == NULL)
			tess_session_break(session,
							   _("The node did not send what was asked for."));
		else if (take_result(session, next, &poll, result, tag, error))
			return poll;
	}
	return TESS_POLL_IDLE;
}

TessPoll
tess_session_poll(TessSession *session, PGresult **result, void **tag)
{
	ErrorData *error;
	TessPoll poll;

	TESS_FAULT_POINT("net_result");
	poll = tess_session_poll_quiet(session, result, tag, &error);
	if (error)
	{
		/* A statement that was cancelled because we are: our words. */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			CHECK_FOR_INTERRUPTS();
		ThrowErrorData(error);
	}
	return poll;
}

PGresult *
tess_session_take_result(TessSession *session)
{
	PGresult *result = session->result;

	session->result = NULL;
	return result;
}

void
tess_session_init(void)
{
	DefineCustomBoolVariable("tessera.log_remote_statements",
							 "Logs each statement that is sent to a node.",
							 NULL, &log_remote_statements, false, PGC_SUSET, 0,
							 NULL, NULL, NULL);
}
