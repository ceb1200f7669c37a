/*
 * deadlock.h - what the files of the search for deadlocks share: edges, noted
 * waits, verdicts.  README.md, "Deadlocks", says how they come together.
 */
#ifndef TESS_DEADLOCK_H
#define TESS_DEADLOCK_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/lwlock.h"

#include "net/net.h"

/* wait_edges.c -------------------------------------------------------- */

/* A process that waits for a lock, or a connection, and one that it waits for.
 * Sessions have names (net/origin.c); a process without one is
 * "<server>/<pid>". */
typedef struct TessWaitEdge
{
	const char *server; /* tess_server_name() of where it was seen */
	const char *waiter;
	int waiter_pid;
	TimestampTz since;
	const char *lock;	/* "ShareLock on transaction 7" */
	const char *holder; /* NULL: a prepared transaction */
	int holder_pid;		/* 0: the same */
	TransactionId holder_transaction;
	bool is_connection; /* a session of this server waits for one */
} TessWaitEdge;

/* Those of this server (TessWaitEdge *), in the current context. */
extern List *tess_wait_edges_here(void);
/* Of this server as long as it runs; palloc'd. */
extern char *tess_server_name(void);

/* deadlock.c: waits and verdicts, in shared memory --------------------- */

/* Longer cycles are reported by their first members. */
#define TESS_VERDICT_MEMBERS 16

/* A line of the report: process waits for something, blocked by the next. */
typedef struct TessMember
{
	int pid;		/* here; 0: no process of this server */
	char name[128]; /* of who waits: "process 7", "process 8 on node "a"" */
	char wait[192]; /* "ShareLock on transaction 7 on node "a"" */
} TessMember;

/* The wait for nodes that a backend has noted; 0: none.  *connection_to: as in
 * TessLongWait. */
extern uint32 tess_wait_noted(int backend_id, int pid, int32 *connection_to);

/* Condemns a backend that waits for nodes (wait: which wait that is) or, wait 0,
 * for a lock of this server since a time.  Nothing happens if it does not wait
 * so any more, or is condemned already. */
extern void tess_verdict_give(int backend_id, int pid, uint32 wait,
							  TimestampTz lock_since, int member_count,
							  const TessMember *members);

/* The caller becomes the searcher of the database, until it leaves or exits;
 * false if there is another. */
extern bool tess_searcher_enter(Oid database);
/* True if a session has noted a wait since this was asked last with takes. */
extern bool tess_searcher_is_called(Oid database, bool takes);
/* False, and nothing is done, if a session of the database has noted a wait. */
extern bool tess_searcher_leave(Oid database);

extern void tess_deadlock_init(void);

/* deadlock_graph.c ------------------------------------------------------ */

typedef struct TessVertex
{
	const char *name;
	int pid; /* of this server; 0: of none, or not known */
	int backend_id;
	uint32 wait;		 /* noted when the edges were about to be read */
	int32 connection_to; /* ... of a wait for a connection: the node; else 0 */
	TimestampTz started; /* its transaction */
} TessVertex;

typedef struct TessArc
{
	int from; /* numbers of vertices */
	int to;
	const TessWaitEdge *edge;
	const char *node; /* where it was seen, NULL: here */
} TessArc;

typedef struct TessGraph TessGraph;

extern TessGraph *tess_graph_make(void);
/* Number of the vertex with this name, made if it is not there. */
extern int tess_graph_vertex(TessGraph *graph, const char *name);
extern TessVertex *tess_graph_get(TessGraph *graph, int vertex);
extern void tess_graph_add(TessGraph *graph, const TessArc *arc);
/*
 * Another cycle of several servers' processes (TessArc *), NIL if there is
 * none; tess_graph_drop takes its victim out before the next call.  Who waits
 * for a connection is in one only if all who could give him one are stuck.
 */
extern List *tess_graph_cycle(TessGraph *graph);
extern void tess_graph_drop(TessGraph *graph, int vertex);
/* Leaves in the graph what is in the later one, too: the same waits. */
extern void tess_graph_keep_common(TessGraph *graph, TessGraph *later);

#endif
