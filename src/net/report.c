/*
 * report.c - what a node says, in the words of this server: errors with the
 * node's SQLSTATE and fields, lost connections, failures to connect, notices.
 *
 * A message of a node is not changed, but for the schema of a type, which nodes
 * always say, and this session may not have to: "on node ..." is added as context.
 * Passwords are never part of what libpq says, and connection strings are
 * never printed here.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "net/net_internal.h"

/* More notices than this between two polls are dropped. */
#define MAX_NOTICES 1000

struct TessNotice
{
	struct TessNotice *next;
	int elevel;
	int sqlstate;
	char *message;
	char *detail;
	char *hint;
};

static int
sqlstate_from_text(const char *text)
{
	if (text == NULL || strlen(text) != 5)
		return ERRCODE_CONNECTION_FAILURE;
	return MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]);
}

static char *
copy_field(const PGresult *result, int field)
{
	const char *text = PQresultErrorField(result, field);

	return text ? pstrdup(text) : NULL;
}

/* Copy of a libpq message, palloc'd, without newlines at its end. */
static char *
trimmed(const char *text)
{
	char *copy = pstrdup(text ? text : "");
	int length = strlen(copy);

	while (length > 0 && (copy[length - 1] == '\n' || copy[length - 1] == ' '))
		copy[--length] = '\0';
	return copy;
}

static ErrorData *
make_error(int sqlstate, char *message)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->elevel = ERROR;
	error->sqlerrcode = sqlstate;
	error->message = message;
	error->filename = __FILE__;
	error->lineno = __LINE__;
	error->funcname = PG_FUNCNAME_MACRO;
	error->assoc_context = CurrentMemoryContext;
	return error;
}

/* Names the type that an error is about as this session would.  Not outside of a
 * transaction, where types cannot be looked up. */
static void
name_type(ErrorData *error)
{
	Oid schema;
	Oid type = InvalidOid;
	char *said;
	char *at;

	if (error->datatype_name == NULL || error->schema_name == NULL ||
		!IsTransactionState())
		return;
	schema = get_namespace_oid(error->schema_name, true);
	if (OidIsValid(schema))
		type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
							   CStringGetDatum(error->datatype_name),
							   ObjectIdGetDatum(schema));
	said = quote_qualified_identifier(error->schema_name, error->datatype_name);
	at = strstr(error->message, said);
	if (OidIsValid(type) && at != NULL)
		error->message = psprintf("%.*s%s%s", (int) (at - error->message),
								  error->message, format_type_be(type),
								  at + strlen(said));
}

/* The error that a result holds, ready for ThrowErrorData; palloc'd. */
ErrorData *
tess_report_result(TessSession *session, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	char *message = copy_field(result, PG_DIAG_MESSAGE_PRIMARY);
	char *context = copy_field(result, PG_DIAG_CONTEXT);
	ErrorData *error;

	if (message == NULL)
		message = trimmed(PQresultErrorMessage(result));
	error = make_error(sqlstate_from_text(sqlstate), message);
	error->detail = copy_field(result, PG_DIAG_MESSAGE_DETAIL);
	error->hint = copy_field(result, PG_DIAG_MESSAGE_HINT);
	if (error->hint == NULL && error->sqlerrcode == ERRCODE_UNDEFINED_OBJECT)
		error->hint = pstrdup(_(
			"What a statement names has to be on all nodes: create it there with tessera.run_on_nodes()."));
	error->schema_name = copy_field(result, PG_DIAG_SCHEMA_NAME);
	error->table_name = copy_field(result, PG_DIAG_TABLE_NAME);
	error->column_name = copy_field(result, PG_DIAG_COLUMN_NAME);
	error->datatype_name = copy_field(result, PG_DIAG_DATATYPE_NAME);
	error->constraint_name = copy_field(result, PG_DIAG_CONSTRAINT_NAME);
	name_type(error);
	if (context)
		error->context = psprintf(_("%s\non node \"%s\""), context,
								  session->node_name);
	else
		error->context = psprintf(_("on node \"%s\""), session->node_name);
	return error;
}

/*
 * The error for a prepared statement that the node has not any more, or would
 * not run as it is.  The transaction is lost with it, but not for a reason that
 * it would meet again.
 */
ErrorData *
tess_report_stale(const TessSession *session, ErrorData *error)
{
	ErrorData *stale;

	if (error->sqlerrcode != ERRCODE_UNDEFINED_PSTATEMENT)
		return error;
	stale = make_error(ERRCODE_T_R_SERIALIZATION_FAILURE,
					   psprintf(_("node \"%s\" has lost a statement that was prepared there"),
								session->node_name));
	stale->hint = pstrdup(_("Run the transaction again."));
	FreeErrorData(error);
	return stale;
}

/* The error for a session that is broken; palloc'd. */
ErrorData *
tess_report_lost(TessSession *session)
{
	ErrorData *error;

	error = make_error(ERRCODE_CONNECTION_FAILURE,
					   psprintf(_("lost connection to node \"%s\""),
								session->node_name));
	if (session->broken_reason)
		error->detail = trimmed(session->broken_reason);
	return error;
}

/*
 * The SQLSTATE in a message that libpq wrote with PQERRORS_VERBOSE
 * ("FATAL:  28P01: password ..."), or 0.  *rest is what follows it.  The
 * severity may be in any language.
 */
static int
find_sqlstate(const char *message, const char **rest)
{
	const char *at;

	for (at = strstr(message, ":  "); at; at = strstr(at + 1, ":  "))
	{
		const char *state = at + 3;

		if (strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
			state[5] == ':' && state[6] == ' ')
		{
			*rest = state + 7;
			return MAKE_SQLSTATE(state[0], state[1], state[2], state[3],
								 state[4]);
		}
	}
	return 0;
}

/*
 * Raises the reason why a session could not be opened: the node's own
 * SQLSTATE if it refused the user, 08001 otherwise.
 */
void
tess_report_connect_failure(TessSession *session)
{
	char *message = trimmed(PQerrorMessage(session->conn));
	const char *rest = message;
	int sqlstate = find_sqlstate(message, &rest);

	if (sqlstate != 0)
	{
		/* Of the verbose form only the message itself is of interest. */
		char *end = strchr(rest, '\n');

		if (end)
			*end = '\0';
	}

	if (ERRCODE_TO_CATEGORY(sqlstate) ==
		ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg("could not connect to node \"%s\"", session->node_name),
				 errdetail_internal("%s", rest),
				 errhint("Create the role there, or use CREATE USER MAPPING on server \"%s\" to say how it logs in.",
						 session->server_name)));
	if (sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg("could not connect to node \"%s\"", session->node_name),
				 errdetail_internal("%s", rest)));
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to node \"%s\"", session->node_name),
			 errdetail_internal("%s", rest),
			 errhint("Check that the node is running and that the options of server \"%s\" are right.",
					 session->server_name)));
}

/* notices ------------------------------------------------------------- */

static int
notice_elevel(const char *severity)
{
	if (severity == NULL)
		return NOTICE;
	if (strcmp(severity, "WARNING") == 0)
		return WARNING;
	if (strcmp(severity, "INFO") == 0)
		return INFO;
	if (strcmp(severity, "NOTICE") == 0)
		return NOTICE;
	return DEBUG1;
}

static char *
strdup_field(const PGresult *result, int field)
{
	const char *text = PQresultErrorField(result, field);

	return text ? strdup(text) : NULL;
}

/*
 * libpq calls this in the middle of its work, where nothing may raise: so it
 * only keeps the notice, in malloc'd memory.
 */
static void
keep_notice(void *arg, const PGresult *result)
{
	TessSession *session = arg;
	const char *severity;
	TessNotice *notice;

	severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	if (severity &&
		(strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
	{
		/* A node that says farewell while nothing was asked of it. */
		session->broken = true;
		return;
	}

	notice = calloc(1, sizeof(TessNotice));
	if (notice == NULL)
		return;
	notice->elevel = notice_elevel(severity);
	notice->sqlstate = sqlstate_from_text(
		PQresultErrorField(result, PG_DIAG_SQLSTATE));
	notice->message = strdup_field(result, PG_DIAG_MESSAGE_PRIMARY);
	notice->detail = strdup_field(result, PG_DIAG_MESSAGE_DETAIL);
	notice->hint = strdup_field(result, PG_DIAG_MESSAGE_HINT);
	if (session->last_notice)
		session->last_notice->next = notice;
	else
		session->first_notice = notice;
	session->last_notice = notice;
}

void
tess_report_watch_notices(TessSession *session)
{
	PQsetNoticeReceiver(session->conn, keep_notice, session);
}

static void
free_notice(TessNotice *notice)
{
	free(notice->message);
	free(notice->detail);
	free(notice->hint);
	free(notice);
}

static TessNotice *
pop_notice(TessSession *session)
{
	TessNotice *notice = session->first_notice;

	session->first_notice = notice->next;
	if (session->first_notice == NULL)
		session->last_notice = NULL;
	return notice;
}

/*
 * Passes the notices on to the client.  quiet: they come from statements that
 * the user did not write; only warnings are of interest.
 */
void
tess_report_notices(TessSession *session, bool quiet)
{
	int count = 0;

	while (session->first_notice)
	{
		TessNotice *notice = pop_notice(session);
		int elevel = notice->elevel;
		char *message = pstrdup(notice->message ? notice->message : "");
		char *detail = notice->detail ? pstrdup(notice->detail) : NULL;
		char *hint = notice->hint ? pstrdup(notice->hint) : NULL;
		int sqlstate = notice->sqlstate;

		free_notice(notice);
		if (quiet && elevel != WARNING)
			elevel = DEBUG1;
		if (++count > MAX_NOTICES)
			continue;
		ereport(elevel, (errcode(sqlstate), errmsg_internal("%s", message),
						 detail ? errdetail_internal("%s", detail) : 0,
						 hint ? errhint("%s", hint) : 0,
						 errcontext("on node \"%s\"", session->node_name)));
	}
}

void
tess_report_forget_notices(TessSession *session)
{
	while (session->first_notice)
		free_notice(pop_notice(session));
}
