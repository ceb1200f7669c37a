/*
 * pool.c - all sessions of this backend, and which of them may be used again.
 *
 * A session is in use by at most one acquirer.  Given back it is kept only if
 * nothing is owed on it, no transaction is open in it, and its options are
 * still those it was opened with.  What is still in use when the transaction
 * has ended has been forgotten by somebody who failed, and is taken back.
 * A backend that exits closes them all.
 */
#include "postgres.h"

#include <limits.h>
#include <sys/socket.h>

#include "access/xact.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "net/net_internal.h"

/* For statements that still run when their transaction has ended. */
#define ABANDON_TIMEOUT_MS 1000

static int max_cached_connections_per_node = 1;
static int idle_connection_lifetime_ms = 10 * 60 * 1000;

static struct
{
	dlist_head sessions;
	uint64 last_serial;
	bool exit_registered;
} pool = {DLIST_STATIC_INIT(pool.sessions)};

static void close_all(int code, Datum arg);
static void stop(TessSession *session, TimestampTz deadline);

/* A session with its owner's names, but no connection yet. */
static TessSession *
make_session(int32 node_id, const char *name, Oid server, Oid role)
{
	ForeignServer *foreign_server = GetForeignServer(server);
	MemoryContext context;
	TessSession *session;

	if (!pool.exit_registered)
	{
		/* After the last transaction was aborted, which takes sessions. */
		on_shmem_exit(close_all, 0);
		pool.exit_registered = true;
	}

	context = AllocSetContextCreate(TopMemoryContext, "tessera session",
									ALLOCSET_SMALL_SIZES);
	session = MemoryContextAllocZero(context, sizeof(TessSession));
	session->context = context;
	session->serial = ++pool.last_serial;
	session->node_id = node_id;
	session->node_name = MemoryContextStrdup(context, name);
	session->server = server;
	session->server_name = MemoryContextStrdup(context,
											   foreign_server->servername);
	session->role = role;
	session->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID,
												 ObjectIdGetDatum(server));
	session->role_hash = GetSysCacheHashValue1(AUTHOID, ObjectIdGetDatum(role));
	session->connecting = PGRES_POLLING_WRITING;
	session->in_use = true;
	session->slot = -1;
	dlist_push_tail(&pool.sessions, &session->link);
	return session;
}

static void
destroy(TessSession *session)
{
	dlist_delete(&session->link);
	tess_connect_close(session);
	tess_slot_release(session);
	MemoryContextDelete(session->context);
}

/* See net.h. */
bool
tess_session_is_alive(TessSession *session)
{
	/* What an idle session may get: a setting's change, a farewell. */
	for (int i = 0; i < 3; i++)
	{
		char byte;
		ssize_t got;

		if (session->broken || PQstatus(session->conn) != CONNECTION_OK)
			return false;
		got = recv(PQsocket(session->conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
		if (got < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
		if (got == 0 || !PQconsumeInput(session->conn))
			return false;
		(void) PQisBusy(session->conn); /* lets libpq look at it */
	}
	return true;
}

static bool
is_expired(const TessSession *session, TimestampTz now)
{
	return session->stale || tess_slot_is_wanted(session) ||
		   TimestampDifferenceExceeds(session->idle_since, now,
									  idle_connection_lifetime_ms);
}

static void
close_expired(void)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		if (!session->in_use && is_expired(session, now))
			destroy(session);
	}
}

/* An idle session that is there, now in use; or NULL. */
static TessSession *
find_idle(int32 node_id, Oid role)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		if (session->in_use || session->stale || session->node_id != node_id ||
			session->role != role)
			continue;
		if (tess_session_is_alive(session))
		{
			session->in_use = true;
			tess_slot_note_use(session);
			return session;
		}
		destroy(session);
	}
	return NULL;
}

static int
count_idle(int32 node_id, Oid role)
{
	dlist_iter iter;
	int count = 0;

	dlist_foreach(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		if (!session->in_use && session->node_id == node_id &&
			session->role == role)
			count++;
	}
	return count;
}

/* A session that is to be opened for a node. */
static TessSession *
make_for_node(int32 node_id, Oid role)
{
	const TessNode *node = tess_meta_node(node_id);
	TessSession *session;

	if (node->is_local)
		elog(ERROR, "node \"%s\" is this server", node->name);
	if (!OidIsValid(node->server))
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("the foreign server of node \"%s\" does not exist",
						node->name),
				 errhint("Create it again, or use tessera.remove_node().")));
	session = make_session(node_id, node->name, node->server, role);
	session->pooled = true;
	session->claims = true;
	return session;
}

static int
compare_nodes(const void *a, const void *b)
{
	int32 node_a = (*(TessSession *const *) a)->node_id;
	int32 node_b = (*(TessSession *const *) b)->node_id;

	return (node_a > node_b) - (node_a < node_b);
}

/* In the order of nodes, so that two statements do not wait for each other's. */
static void
take_slots(int count, TessSession *const *sessions)
{
	TimestampTz deadline = tess_connect_deadline();
	TessSession **ordered = palloc(sizeof(TessSession *) * count);

	memcpy(ordered, sessions, sizeof(TessSession *) * count);
	qsort(ordered, count, sizeof(TessSession *), compare_nodes);
	for (int i = 0; i < count; i++)
	{
		if (ordered[i]->conn == NULL)
			tess_slot_take(ordered[i], deadline);
	}
	pfree(ordered);
}

/* Opens those that are not open.  All slots first: waiting for one while a
 * connection opens could cost that its time. */
static void
open_new(int count, TessSession *const *sessions)
{
	bool are_open = true;

	for (int i = 0; i < count; i++)
		are_open &= sessions[i]->conn != NULL;
	if (are_open)
		return;
	take_slots(count, sessions);
	for (int i = 0; i < count; i++)
	{
		if (sessions[i]->conn == NULL)
			tess_connect_start(sessions[i]);
	}
	tess_connect_finish(count, sessions);
}

void
tess_net_acquire(int count, const int32 *node_ids, Oid role,
				 TessSession **sessions)
{
	volatile int acquired = 0;

	if (!OidIsValid(role))
		role = GetUserId();
	close_expired();

	PG_TRY();
	{
		for (int i = 0; i < count; i++)
		{
			sessions[i] = find_idle(node_ids[i], role);
			if (sessions[i] == NULL)
				sessions[i] = make_for_node(node_ids[i], role);
			acquired = i + 1;
		}
		open_new(count, sessions);
		for (int i = 0; i < count; i++)
			tess_session_sync_settings(sessions[i]);
	}
	PG_CATCH();
	{
		for (int i = 0; i < acquired; i++)
			tess_net_release(sessions[i]);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void
tess_net_release(TessSession *session)
{
	bool keep;

	session->in_use = false;
	session->owner = NULL;
	session->drain = NULL;
	if (session->result)
		PQclear(session->result);
	session->result = NULL;
	session->idle_since = GetCurrentTimestamp();

	keep = session->pooled && !session->stale && !session->broken &&
		   !session->copying && session->reply_count == 0 &&
		   session->conn != NULL && session->connecting == PGRES_POLLING_OK &&
		   PQstatus(session->conn) == CONNECTION_OK &&
		   PQtransactionStatus(session->conn) == PQTRANS_IDLE &&
		   count_idle(session->node_id, session->role) <=
			   max_cached_connections_per_node &&
		   tess_slot_note_idle(session);
	if (!keep)
		destroy(session);
	else if (session->settings_in_block)
		tess_settings_forget(session);
	close_expired();
}

TessSession *
tess_net_open_server(Oid foreign_server, const char *label, Oid role, bool claims)
{
	TessSession *session;

	if (!OidIsValid(role))
		role = GetUserId();
	session = make_session(0, label, foreign_server, role);
	session->claims = claims;
	PG_TRY();
	{
		tess_connect_start(session);
		tess_connect_finish(1, &session);
	}
	PG_CATCH();
	{
		destroy(session);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return session;
}

void
tess_net_close(TessSession *session)
{
	if (tess_session_is_busy(session))
		stop(session, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  ABANDON_TIMEOUT_MS));
	destroy(session);
}

void
tess_net_forget_node(int32 node_id)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		if (!session->pooled || session->node_id != node_id)
			continue;
		if (session->in_use)
			session->stale = true;
		else
			destroy(session);
	}
}

/* Somebody, here or elsewhere, wants another connection to the node. */
void
tess_pool_close_idle(int32 node_id)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		if (!session->in_use && session->node_id == node_id)
			destroy(session);
	}
}

/* A savepoint was rolled back: settings made since may be undone on nodes. */
void
tess_pool_forget_settings(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		if (session->settings_in_block)
			tess_settings_forget(session);
	}
}

/* callbacks ------------------------------------------------------------ */

static void
close_all(int code, Datum arg)
{
	while (!dlist_is_empty(&pool.sessions))
		destroy(dlist_head_element(TessSession, link, &pool.sessions));
}

/*
 * So that nothing goes on there for nobody.  No errors: one would be a PANIC
 * after the commit.
 */
static void
stop(TessSession *session, TimestampTz deadline)
{
	MemoryContext context = CurrentMemoryContext;
	uint32 holdoff = InterruptHoldoffCount;

	if (session->conn == NULL || session->connecting != PGRES_POLLING_OK)
		return;
	PG_TRY();
	{
		tess_session_abandon(session, deadline);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		InterruptHoldoffCount = holdoff;
	}
	PG_END_TRY();
}

/* Sets the time at which the first of the idle connections is too old. */
static void
watch_idle(void)
{
	TimestampTz first = DT_NOEND;
	dlist_iter iter;

	dlist_foreach(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		first = Min(first, session->idle_since);
	}
	tess_idle_look_at(
		TimestampTzPlusMilliseconds(first, idle_connection_lifetime_ms));
}

/*
 * At the end of a transaction nobody uses a session any more, and those that
 * are too old or wanted by others, or to servers that changed or are gone, are
 * closed.  xact/ has its callback run
 * before this one, since it registers later, and has given back its own.
 */
static void
after_transaction(XactEvent event, void *arg)
{
	dlist_mutable_iter iter;
	TimestampTz deadline = 0;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	if (dlist_is_empty(&pool.sessions))
		return;
	dlist_foreach_modify(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		if (!session->in_use)
			continue;
		if (deadline == 0)
			deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   ABANDON_TIMEOUT_MS);
		stop(session, deadline);
		destroy(session);
	}
	close_expired();
	if (!dlist_is_empty(&pool.sessions))
		watch_idle();
}

/* hash 0: everything. */
static void
mark_stale(bool by_role, uint32 hash)
{
	dlist_iter iter;

	dlist_foreach(iter, &pool.sessions)
	{
		TessSession *session = dlist_container(TessSession, link, iter.cur);

		if (hash == 0 ||
			hash == (by_role ? session->role_hash : session->server_hash))
			session->stale = true;
	}
}

static void
after_server_change(Datum arg, int cache_id, uint32 hash)
{
	mark_stale(false, hash);
}

/* A new mapping has no hash that a session could know: all are affected. */
static void
after_mapping_change(Datum arg, int cache_id, uint32 hash)
{
	mark_stale(false, 0);
}

static void
after_role_change(Datum arg, int cache_id, uint32 hash)
{
	mark_stale(true, hash);
}

void
tess_pool_init(void)
{
	DefineCustomIntVariable("tessera.max_cached_connections_per_node",
							"Sets how many idle connections a session keeps to each node.",
							"They are counted for each role that the session uses.",
							&max_cached_connections_per_node, 1, 0, 1000,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tessera.idle_connection_lifetime",
							"Sets how long an idle connection to a node is kept.",
							"Inside a transaction block it is closed at the end of the transaction.",
							&idle_connection_lifetime_ms, 10 * 60 * 1000, 0,
							INT_MAX, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	RegisterXactCallback(after_transaction, NULL);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, after_server_change,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, after_mapping_change,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, after_role_change, (Datum) 0);
}
