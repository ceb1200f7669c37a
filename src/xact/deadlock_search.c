/*
 * deadlock_search.c - the worker that looks for deadlocks of several servers,
 * as long as a session of its database waits for nodes.
 *
 * It reads who waits for whom here and on all nodes; if there is a cycle, it
 * reads again, and condemns the youngest of what is there both times.  It
 * remembers nothing but which nodes did not answer.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "meta/meta.h"
#include "tessera.h"
#include "xact/deadlock.h"
#include "xact/xact_internal.h"

PGDLLEXPORT void tess_deadlock_search(Datum arg);

/* For the answer of a node, and to connect to it. */
#define ANSWER_TIMEOUT_MS 1000
/* A node that did not answer is left alone for this long. */
#define RETRY_MS 5000
/* The longest sleep: then it looks if it is still needed. */
#define DOZE_MS 1000

/* Column i of the answer is field i of an edge. */
#define EDGES_SQL \
	"SELECT w.server, w.waiter, w.waiter_pid, w.since, w.lock," \
	" w.holder, w.holder_pid, p.gid" \
	" FROM tessera_internal.wait_edges() w LEFT JOIN pg_catalog.pg_prepared_xacts p" \
	" ON p.transaction = w.holder_transaction"

/* A node that did not answer. */
typedef struct Silent
{
	int32 node_id;
	TimestampTz until;
} Silent;

typedef struct Reading
{
	TessGraph *graph;
	char *server;  /* this one's name */
	int own_count; /* its sessions are the first vertices */
} Reading;

typedef struct Question
{
	const Reading *reading;
	int32 node_id;
	const char *node;
} Question;

/* A cycle, and who is to end it. */
typedef struct Finding
{
	List *cycle; /* TessArc *, from the victim on */
	int victim;
} Finding;

static List *silent_nodes = NIL; /* Silent *, in TopMemoryContext */

/* reading --------------------------------------------------------------- */

/* True if this name is a backend's own, and not that of one it works for. */
static bool
is_own_name(const char *name, int pid)
{
	char *prefix = psprintf(UINT64_FORMAT ":%d:", GetSystemIdentifier(), pid);

	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* All sessions of this server, and their waits for nodes as of now. */
static void
add_own_sessions(Reading *reading)
{
	for (int i = 1; i <= MaxBackends; i++)
	{
		PGPROC *proc = BackendIdGetProc(i);
		int pid = proc != NULL ? proc->pid : 0;
		char name[TESS_ORIGIN_SIZE];
		TessVertex *vertex;
		int number;

		if (pid == 0)
			continue;
		if (!tess_origin_of_backend(i, pid, name))
			number = tess_graph_vertex(reading->graph,
									   psprintf("%s/%d", reading->server, pid));
		else if (is_own_name(name, pid))
			number = tess_graph_vertex(reading->graph, name);
		else
			continue;
		reading->own_count = number + 1;
		vertex = tess_graph_get(reading->graph, number);
		vertex->pid = pid;
		vertex->backend_id = i;
		vertex->wait = tess_wait_noted(i, pid, &vertex->connection_to);
	}
}

/* Waits for a lock of this server itself, in the session's own process. */
static bool
waits_here(const Reading *reading, const TessVertex *vertex,
		   const TessWaitEdge *edge)
{
	return !edge->is_connection && edge->waiter_pid == vertex->pid &&
		   strcmp(edge->server, reading->server) == 0;
}

/* holder: as in the edge, or the session of the prepared transaction. */
static void
add_edge(const Reading *reading, const TessWaitEdge *edge, const char *holder,
		 const char *node)
{
	TessArc arc;
	const TessVertex *waiter;

	arc.from = tess_graph_vertex(reading->graph, edge->waiter);
	arc.to = tess_graph_vertex(reading->graph, holder);
	arc.edge = edge;
	arc.node = node;

	/* one of our sessions whose work on a node waits, but not itself, or not
	 * for that */
	waiter = tess_graph_get(reading->graph, arc.from);
	if (waiter->pid != 0 && !edge->is_connection &&
		(waiter->wait == 0 || waiter->connection_to != 0) &&
		!waits_here(reading, waiter, edge))
		return;
	if (arc.from != arc.to)
		tess_graph_add(reading->graph, &arc);
}

static const char *
name_of_own(const Reading *reading, int pid)
{
	for (int i = 0; i < reading->own_count; i++)
	{
		const TessVertex *vertex = tess_graph_get(reading->graph, i);

		if (vertex->pid == pid)
			return vertex->name;
	}
	return NULL;
}

/* A session waits for a connection to a node. */
static void
add_connection_wait(const Reading *reading, const TessVertex *waiter,
					const TessNode *node)
{
	ListCell *cell;

	foreach(cell, tess_net_connection_owners(node->node_id))
	{
		TessWaitEdge *edge = palloc0(sizeof(TessWaitEdge));

		edge->server = reading->server;
		edge->waiter = waiter->name;
		edge->waiter_pid = waiter->pid;
		edge->since = waiter->wait;
		edge->lock = psprintf(_("a connection to node \"%s\""), node->name);
		edge->holder = name_of_own(reading, lfirst_int(cell));
		edge->holder_pid = lfirst_int(cell);
		edge->is_connection = true;
		/* somebody who has come since: he is not stuck */
		if (edge->holder == NULL)
			edge->holder = psprintf("%s/%d", reading->server, edge->holder_pid);
		add_edge(reading, edge, edge->holder, NULL);
	}
}

static void
add_connection_waits(const Reading *reading, const TessNode *node)
{
	for (int i = 0; i < reading->own_count; i++)
	{
		const TessVertex *vertex = tess_graph_get(reading->graph, i);

		if (vertex->connection_to == node->node_id)
			add_connection_wait(reading, vertex, node);
	}
}

/* The session that has this part prepared; NULL if it is gone. */
static const char *
session_of_part(const Reading *reading, const char *gid)
{
	int backend_id = tess_slot_backend(gid);
	PGPROC *proc = backend_id > 0 ? BackendIdGetProc(backend_id) : NULL;
	char name[TESS_ORIGIN_SIZE];

	if (proc == NULL || !tess_origin_of_backend(backend_id, proc->pid, name))
		return NULL;
	return pstrdup(name);
}

/* TessTakeAnswer */
static void
add_answer(void *arg, const PGresult *result)
{
	const Question *question = arg;

	for (int row = 0; row < PQntuples(result); row++)
	{
		TessWaitEdge *edge = palloc0(sizeof(TessWaitEdge));

		edge->server = pstrdup(PQgetvalue(result, row, 0));
		edge->waiter = pstrdup(PQgetvalue(result, row, 1));
		edge->waiter_pid = pg_strtoint32(PQgetvalue(result, row, 2));
		edge->since = pg_strtoint64(PQgetvalue(result, row, 3));
		edge->lock = pstrdup(PQgetvalue(result, row, 4));
		if (!PQgetisnull(result, row, 5))
			edge->holder = pstrdup(PQgetvalue(result, row, 5));
		else if (!PQgetisnull(result, row, 7))
			edge->holder = session_of_part(question->reading,
										   PQgetvalue(result, row, 7));
		edge->holder_pid = pg_strtoint32(PQgetvalue(result, row, 6));
		if (edge->holder != NULL)
			add_edge(question->reading, edge, edge->holder, question->node);
	}
}

static void
ask_node(void *arg)
{
	Question *question = arg;
	TimestampTz deadline;
	TessSession *session;
	ErrorData *failure;

	tess_net_acquire(1, &question->node_id, tess_extension_owner(), &session);
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										   ANSWER_TIMEOUT_MS);
	failure = tess_net_ask(session, EDGES_SQL, deadline, add_answer, question);
	tess_net_release(session);
	if (failure != NULL)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("node \"%s\" has not said who waits there",
							   question->node)));
}

static Silent *
find_silent(int32 node_id)
{
	ListCell *cell;

	foreach(cell, silent_nodes)
	{
		Silent *silent = lfirst(cell);

		if (silent->node_id == node_id)
			return silent;
	}
	return NULL;
}

/* The more there are, the seldomer each is asked again: together they take a
 * fifth of the searcher's time at most. */
static void
note_silent(int32 node_id)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Silent *silent = find_silent(node_id);

	if (silent == NULL)
	{
		silent = palloc(sizeof(Silent));
		silent->node_id = node_id;
		silent_nodes = lappend(silent_nodes, silent);
	}
	silent->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												RETRY_MS *
													list_length(silent_nodes));
	MemoryContextSwitchTo(old);
}

/* Adds what waits on the nodes.  Of those that were silent one is asked again
 * at most. */
static void
ask_nodes(List *questions)
{
	bool has_tried = false;
	ListCell *cell;

	foreach(cell, questions)
	{
		Question *question = lfirst(cell);
		Silent *silent = find_silent(question->node_id);

		if (silent != NULL &&
			(has_tried || GetCurrentTimestamp() < silent->until))
			continue;
		has_tried |= silent != NULL;
		if (tess_attempt(ask_node, question) != NULL)
			note_silent(question->node_id);
		else if (silent != NULL)
		{
			silent_nodes = list_delete_ptr(silent_nodes, silent);
			pfree(silent);
		}
	}
}

/* Who waits for a node that does not answer gets the connection's error: it
 * has no part in a cycle. */
static Reading *
read_everywhere(void)
{
	Reading *reading = palloc0(sizeof(Reading));
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);
	List *questions = NIL;
	ListCell *cell;

	reading->graph = tess_graph_make();
	reading->server = tess_server_name();
	for (int i = 0; i < count; i++)
	{
		Question *question = palloc0(sizeof(Question));

		question->reading = reading;
		question->node_id = nodes[i]->node_id;
		question->node = pstrdup(nodes[i]->name);
		if (!nodes[i]->is_local)
			questions = lappend(questions, question);
	}

	/* first, so that the waits stood before the edges are read */
	add_own_sessions(reading);
	foreach(cell, tess_wait_edges_here())
	{
		const TessWaitEdge *edge = lfirst(cell);

		if (edge->holder != NULL)
			add_edge(reading, edge, edge->holder, NULL);
	}
	for (int i = 0; i < count; i++)
		add_connection_waits(reading, nodes[i]);
	ask_nodes(questions);
	return reading;
}

/* judging --------------------------------------------------------------- */

static TimestampTz
transaction_start(int pid)
{
	int count = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= count; i++)
	{
		const PgBackendStatus *status = pgstat_fetch_stat_beentry(i);

		if (status != NULL && status->st_procpid == pid)
			return status->st_xact_start_timestamp;
	}
	return 0;
}

static bool
is_younger(const TessVertex *vertex, const TessVertex *other)
{
	if (vertex->started != other->started)
		return vertex->started > other->started;
	return vertex->pid > other->pid;
}

/* The place in the cycle of the youngest session that is of this server, -1
 * if none is. */
static int
find_youngest(const Reading *reading, List *cycle)
{
	int youngest = -1;

	for (int i = 0; i < list_length(cycle); i++)
	{
		const TessArc *arc = list_nth(cycle, i);
		TessVertex *vertex = tess_graph_get(reading->graph, arc->from);
		const TessArc *best = youngest < 0 ? NULL : list_nth(cycle, youngest);

		if (vertex->pid == 0)
			continue;
		vertex->started = transaction_start(vertex->pid);
		if (best == NULL ||
			is_younger(vertex, tess_graph_get(reading->graph, best->from)))
			youngest = i;
	}
	return youngest;
}

/* All cycles, each without the victims of those before. */
static List *
find_deadlocks(const Reading *reading)
{
	List *findings = NIL;
	List *cycle;

	while ((cycle = tess_graph_cycle(reading->graph)) != NIL)
	{
		int place = find_youngest(reading, cycle);
		Finding *finding = palloc(sizeof(Finding));

		CHECK_FOR_INTERRUPTS();
		finding->victim = ((const TessArc *) list_nth(cycle, Max(place, 0)))->from;
		tess_graph_drop(reading->graph, finding->victim);
		if (place < 0)
			continue; /* sessions of others: not ours to end */
		finding->cycle = list_copy_tail(cycle, place);
		for (int i = 0; i < place; i++)
			finding->cycle = lappend(finding->cycle, list_nth(cycle, i));
		findings = lappend(findings, finding);
	}
	return findings;
}

static void
describe(const Reading *reading, const TessArc *arc, TessMember *member)
{
	const TessVertex *vertex = tess_graph_get(reading->graph, arc->from);

	member->pid = vertex->pid;
	if (vertex->pid != 0)
		snprintf(member->name, sizeof(member->name), "%d", vertex->pid);
	else
		snprintf(member->name, sizeof(member->name), _("%d on node \"%s\""),
				 arc->edge->waiter_pid, arc->node);
	if (arc->node == NULL)
		strlcpy(member->wait, arc->edge->lock, sizeof(member->wait));
	else
		snprintf(member->wait, sizeof(member->wait), _("%s on node \"%s\""),
				 arc->edge->lock, arc->node);
}

static void
condemn(const Reading *reading, const Finding *finding)
{
	const TessVertex *victim = tess_graph_get(reading->graph, finding->victim);
	const TessArc *wait = linitial(finding->cycle);
	int count = Min(list_length(finding->cycle), TESS_VERDICT_MEMBERS);
	TessMember members[TESS_VERDICT_MEMBERS];

	for (int i = 0; i < count; i++)
		describe(reading, list_nth(finding->cycle, i), &members[i]);
	if (waits_here(reading, victim, wait->edge))
		tess_verdict_give(victim->backend_id, victim->pid, 0, wait->edge->since,
						  count, members);
	else
		tess_verdict_give(victim->backend_id, victim->pid, victim->wait, 0,
						  count, members);
}

static void
look(void)
{
	const Reading *reading = read_everywhere();
	ListCell *cell;

	if (tess_graph_cycle(reading->graph) == NIL)
		return;
	tess_graph_keep_common(reading->graph, read_everywhere()->graph);
	foreach(cell, find_deadlocks(reading))
		condemn(reading, lfirst(cell));
}

static void
look_in_transaction(void)
{
	Oid user;
	int context;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (tess_is_active() && tess_xact_has_nodes())
	{
		GetUserIdAndSecContext(&user, &context);
		SetUserIdAndSecContext(tess_extension_owner(),
							   context | SECURITY_LOCAL_USERID_CHANGE);
		look();
		SetUserIdAndSecContext(user, context);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Until the next look; false if nobody waits any more.  Who begins to wait
 * wakes it, but not more often than four times in each deadlock_timeout: so who
 * closes a cycle waits for little more than one and a quarter of it. */
static bool
wait_for_need(Oid database, TimestampTz last)
{
	for (;;)
	{
		long wait_ms;
		TimestampTz next;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (tess_searcher_leave(database))
			return false;
		next = TimestampTzPlusMilliseconds(last, tess_searcher_is_called(database,
																		 false)
													 ? DeadlockTimeout / 4
													 : DeadlockTimeout);
		wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);
		if (wait_ms <= 0)
			return true;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(wait_ms, DOZE_MS), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* Entry point of the worker; its argument is the database. */
void
tess_deadlock_search(Datum arg)
{
	Oid database = DatumGetObjectId(arg);
	TimestampTz last;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!tess_searcher_enter(database))
		return;
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pgstat_report_appname("tessera");
	tess_net_long_wait = NULL; /* nobody looks for the searcher */
	SetConfigOption("tessera.connect_timeout", psprintf("%d", ANSWER_TIMEOUT_MS),
					PGC_USERSET, PGC_S_SESSION);

	do
	{
		last = GetCurrentTimestamp();
		(void) tess_searcher_is_called(database, true);
		pgstat_report_activity(STATE_RUNNING, "looking for deadlocks");
		ereport(DEBUG1, (errmsg_internal("looking for deadlocks")));
		look_in_transaction();
		pgstat_report_activity(STATE_IDLE, NULL);
	} while (wait_for_need(database, last));
}
