/*
 * connect.c - from a foreign server and a role to an open libpq connection.
 *
 * Connections open without blocking, several at a time, within
 * tessera.connect_timeout.  (The one exception is libpq's name lookup: give
 * hostaddr where the resolver may be slow.)  The node's session user is the
 * role itself, or whom its user mapping names; a non-superuser may be somebody
 * else there only by a password that was really asked for.
 */
#include "postgres.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "access/htup_details.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "base/base.h"
#include "net/net_internal.h"

#define PASSWORD_REQUIRED_OPTION "password_required"

static int connect_timeout_ms = 5000;

/* By default a node that went silent is noticed within a minute. */
static struct
{
	int keepalives_idle_s;
	int keepalives_interval_s;
	int keepalives_count;
	int user_timeout_ms;
} tcp = {30, 10, 3, 60 * 1000};

/* Arrays for PQconnectStartParams; later entries win. */
typedef struct ConnectParams
{
	const char *keywords[128];
	const char *values[128];
	int count;
	const char *user;
	const char *password;
	bool password_required;
} ConnectParams;

static void
add_param(ConnectParams *params, const char *keyword, const char *value)
{
	if (params->count >= lengthof(params->keywords) - 1)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many connection options")));
	params->keywords[params->count] = keyword;
	params->values[params->count] = value;
	params->count++;
}

/* True for what libpq knows and we do not fix ourselves. */
static bool
is_libpq_keyword(const char *keyword)
{
	static PQconninfoOption *known = NULL;

	if (strcmp(keyword, "client_encoding") == 0 ||
		strcmp(keyword, "fallback_application_name") == 0 ||
		strcmp(keyword, "replication") == 0 || strcmp(keyword, "options") == 0)
		return false;
	if (known == NULL)
		known = PQconndefaults();
	if (known == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	for (PQconninfoOption *option = known; option->keyword; option++)
	{
		if (strcmp(option->keyword, keyword) == 0)
			return true;
	}
	return false;
}

static void
add_options(ConnectParams *params, List *options)
{
	ListCell *cell;

	foreach(cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (!is_libpq_keyword(option->defname))
			continue;
		if (strcmp(option->defname, "user") == 0)
			params->user = defGetString(option);
		if (strcmp(option->defname, "password") == 0)
			params->password = defGetString(option);
		add_param(params, option->defname, defGetString(option));
	}
}

/* Only a user mapping says so: its validator has seen a superuser. */
static bool
is_password_required(List *mapping_options)
{
	ListCell *cell;

	foreach(cell, mapping_options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, PASSWORD_REQUIRED_OPTION) == 0)
			return defGetBoolean(option);
	}
	return true;
}

static bool
has_mapping(Oid role, Oid server)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role),
								 ObjectIdGetDatum(server)) ||
		   SearchSysCacheExists2(USERMAPPINGUSERSERVER,
								 ObjectIdGetDatum(InvalidOid),
								 ObjectIdGetDatum(server));
}

static void
refuse_without_password(TessSession *session, const char *user)
{
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("password is required to connect to node \"%s\" as \"%s\"",
					session->node_name, user),
			 errdetail(
				 "A non-superuser can log in under another name only with a password that the node asks for."),
			 errhint("Set a password in the user mapping on server \"%s\" and have the node ask for it, or let a superuser set password_required to false there.",
					 session->server_name)));
}

/* Fills params from server, mapping and role; notes what to check later. */
static void
build_params(TessSession *session, ConnectParams *params)
{
	ForeignServer *server = GetForeignServer(session->server);
	char *role_name = GetUserNameFromId(session->role, false);

	memset(params, 0, sizeof(*params));
	params->password_required = true;

	/* Options of the server come later, and win. */
	add_param(params, "keepalives", "1");
	add_param(params, "keepalives_idle", psprintf("%d", tcp.keepalives_idle_s));
	add_param(params, "keepalives_interval",
			  psprintf("%d", tcp.keepalives_interval_s));
	add_param(params, "keepalives_count", psprintf("%d", tcp.keepalives_count));
	add_param(params, "tcp_user_timeout", psprintf("%d", tcp.user_timeout_ms));
	add_param(params, "user", role_name);

	add_options(params, server->options);
	if (has_mapping(session->role, session->server))
	{
		UserMapping *mapping = GetUserMapping(session->role, session->server);

		add_options(params, mapping->options);
		params->password_required = is_password_required(mapping->options);
	}

	add_param(params, "fallback_application_name", "tessera");
	add_param(params, "client_encoding", GetDatabaseEncodingName());
	add_param(params, "options", tess_settings_startup_options(session));

	session->must_use_password = params->user != NULL &&
								 strcmp(params->user, role_name) != 0 &&
								 !superuser_arg(session->role) &&
								 params->password_required;
	if (session->must_use_password &&
		(params->password == NULL || params->password[0] == '\0'))
		refuse_without_password(session, params->user);
}

TimestampTz
tess_connect_deadline(void)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), connect_timeout_ms);
}

int
tess_net_hurry(int limit_ms)
{
	int level = NewGUCNestLevel();

	if (connect_timeout_ms > limit_ms)
		(void) set_config_option("tessera.connect_timeout",
								 psprintf("%d", limit_ms), PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/*
 * Begins to open the connection of a session whose server, role and name are
 * set.  Errors: 08001, 2F003, 53300.
 */
void
tess_connect_start(TessSession *session)
{
	ConnectParams params;

	TESS_FAULT_POINT("net_connect");
	build_params(session, &params);

	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
				 errmsg("could not connect to node \"%s\"", session->node_name),
				 errdetail("There are too many open files in this server process."),
				 errhint(
					 "Raise max_files_per_process and the system's limit of open files.")));
	session->has_external_fd = true;

	session->conn = PQconnectStartParams(params.keywords, params.values, 0);
	if (session->conn == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (PQstatus(session->conn) == CONNECTION_BAD)
		tess_report_connect_failure(session);

	/* The SQLSTATE of a refusal is to be had only from the verbose text. */
	(void) PQsetErrorVerbosity(session->conn, PQERRORS_VERBOSE);
	tess_report_watch_notices(session);
	session->connecting = PGRES_POLLING_WRITING;
}

#ifdef TCP_USER_TIMEOUT
static int
socket_option(const TessSession *session, int level, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	(void) getsockopt(PQsocket(session->conn), level, option, &value, &length);
	return value;
}
#endif

/* What the system really does to notice that the node is gone. */
static void
log_watch(const TessSession *session)
{
#ifdef TCP_USER_TIMEOUT
	if (!message_level_is_interesting(DEBUG1))
		return;
	ereport(DEBUG1,
			(errmsg_internal("connected to node \"%s\": keepalives %d, idle %d s, interval %d s, count %d, user timeout %d ms",
							 session->node_name,
							 socket_option(session, SOL_SOCKET, SO_KEEPALIVE),
							 socket_option(session, IPPROTO_TCP, TCP_KEEPIDLE),
							 socket_option(session, IPPROTO_TCP, TCP_KEEPINTVL),
							 socket_option(session, IPPROTO_TCP, TCP_KEEPCNT),
							 socket_option(session, IPPROTO_TCP,
										   TCP_USER_TIMEOUT))));
#endif
}

/* The connection stands: what is left before its first statement. */
static void
complete(TessSession *session)
{
	if (session->must_use_password && !PQconnectionUsedPassword(session->conn))
		refuse_without_password(session, PQuser(session->conn));
	(void) PQsetErrorVerbosity(session->conn, PQERRORS_DEFAULT);
	if (PQsetnonblocking(session->conn, 1) != 0 ||
		!PQenterPipelineMode(session->conn))
		tess_report_connect_failure(session);
	session->connecting = PGRES_POLLING_OK;
	tess_net_counters.connections++;
	tess_slot_note_connected(session);
	tess_node_note_heard(session->node_id);
	log_watch(session);
}

/*
 * One step for each session whose socket is ready; with no events, for none.
 * Sets of sockets that open change at every step, so the event set is made
 * anew each time.
 */
static void
wait_for_sockets(int count, TessSession *const *sessions, long timeout_ms)
{
	WaitEventSet *set = CreateWaitEventSet(CurrentMemoryContext, count + 2);
	WaitEvent *events = palloc(sizeof(WaitEvent) * (count + 2));
	int occurred;

	PG_TRY();
	{
		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		for (int i = 0; i < count; i++)
		{
			if (sessions[i]->connecting == PGRES_POLLING_OK)
				continue;
			AddWaitEventToSet(set,
							  sessions[i]->connecting == PGRES_POLLING_READING
								  ? WL_SOCKET_READABLE
								  : WL_SOCKET_CONNECTED,
							  PQsocket(sessions[i]->conn), NULL, sessions[i]);
		}
		occurred = WaitEventSetWait(set, timeout_ms, events, count + 2,
									PG_WAIT_EXTENSION);
	}
	PG_FINALLY();
	{
		FreeWaitEventSet(set);
	}
	PG_END_TRY();

	for (int i = 0; i < occurred; i++)
	{
		TessSession *session = events[i].user_data;

		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		else if (session != NULL)
			session->connecting = PQconnectPoll(session->conn);
	}
	pfree(events);
}

/* The time is over. */
static void
note_silent(int count, TessSession *const *sessions)
{
	for (int i = 0; i < count; i++)
		if (sessions[i]->connecting != PGRES_POLLING_OK)
			tess_node_note_silent(sessions[i]->node_id);
}

/*
 * Waits until all these sessions (NULL: none) are open.  Errors as
 * tess_net_acquire; the caller closes what is not open then.
 */
void
tess_connect_finish(int count, TessSession *const *sessions)
{
	TimestampTz deadline = tess_connect_deadline();

	for (;;)
	{
		TessSession *waiting = NULL;
		long timeout_ms;

		for (int i = 0; i < count; i++)
		{
			TessSession *session = sessions[i];

			if (session->connecting == PGRES_POLLING_FAILED)
				tess_report_connect_failure(session);
			if (session->connecting != PGRES_POLLING_OK)
				waiting = session;
			else if (PQpipelineStatus(session->conn) == PQ_PIPELINE_OFF)
				complete(session);
		}
		if (waiting == NULL)
			return;

		timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 deadline);
		if (timeout_ms <= 0)
		{
			note_silent(count, sessions);
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not connect to node \"%s\"",
							waiting->node_name),
					 errdetail("There was no answer within %d ms.",
							   connect_timeout_ms),
					 errhint(
						 "Check that the node is running and can be reached, or raise tessera.connect_timeout.")));
		}
		wait_for_sockets(count, sessions, timeout_ms);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Closes the connection, if any; the session itself remains.  No errors. */
void
tess_connect_close(TessSession *session)
{
	tess_wait_forget();
	if (session->result)
		PQclear(session->result);
	session->result = NULL;
	tess_copy_forget_row(session);
	if (session->conn)
		PQfinish(session->conn);
	session->conn = NULL;
	if (session->has_external_fd)
		ReleaseExternalFD();
	session->has_external_fd = false;
	tess_report_forget_notices(session);
}

/* As PostgreSQL's own, which are about its clients.  0: the system's default. */
static void
define_tcp_settings(void)
{
	DefineCustomIntVariable("tessera.tcp_keepalives_idle",
							"Sets after what silence a connection to a node is probed.",
							"It holds for connections that are opened later; an option of the node's server comes first.",
							&tcp.keepalives_idle_s, 30, 0, INT_MAX, PGC_USERSET,
							GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("tessera.tcp_keepalives_interval",
							"Sets how often a silent connection to a node is probed.",
							NULL, &tcp.keepalives_interval_s, 10, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("tessera.tcp_keepalives_count",
							"Sets how many probes without an answer end a connection to a node.",
							NULL, &tcp.keepalives_count, 3, 0, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tessera.tcp_user_timeout",
							"Sets how long what was sent to a node may stay without a receipt.",
							NULL, &tcp.user_timeout_ms, 60 * 1000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
}

void
tess_connect_init(void)
{
	DefineCustomIntVariable("tessera.connect_timeout",
							"Sets how long to wait for a connection to a node.",
							NULL, &connect_timeout_ms, 5000, 1, 3600 * 1000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	define_tcp_settings();
}
