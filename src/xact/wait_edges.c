/*
 * wait_edges.c - who waits for whom on this server, by names that hold on all
 * servers: what a node tells the coordinator that looks for deadlocks.
 *
 * One row for each pair of a process that waits for a lock and one that it
 * waits for, holders and those before it in the queue alike (PostgreSQL's own
 * pg_blocking_pids).  Parallel workers count as their leader.  The rows are not
 * of one instant.  Safe for anyone: apart from names it tells no more than
 * pg_locks does.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "net/net.h"
#include "tessera.h"
#include "xact/deadlock.h"

PG_FUNCTION_INFO_V1(tess_wait_edges);

#define EDGE_COLUMNS 8

char *
tess_server_name(void)
{
	return psprintf(UINT64_FORMAT "." INT64_FORMAT, GetSystemIdentifier(),
					PgStartTime);
}

/* Never the same for two processes of all servers, nor later. */
static char *
session_name(int pid)
{
	PGPROC *proc = BackendPidGetProc(pid);
	char name[TESS_ORIGIN_SIZE];

	if (proc != NULL && tess_origin_of_backend(proc->backendId, pid, name))
		return pstrdup(name);
	return psprintf("%s/%d", tess_server_name(), pid);
}

static char *
describe_lock(const LockInstanceData *wait)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s on ",
					 GetLockmodeName(wait->locktag.locktag_lockmethodid,
									 wait->waitLockMode));
	DescribeLockTag(&text, &wait->locktag);
	return text.data;
}

static TessWaitEdge *
add_edge(List **edges, const LockInstanceData *wait, const char *waiter,
		 const char *lock)
{
	TessWaitEdge *edge = palloc0(sizeof(TessWaitEdge));

	edge->server = tess_server_name();
	edge->waiter = waiter;
	edge->waiter_pid = wait->leaderPid;
	edge->since = wait->waitStart;
	edge->lock = lock;
	*edges = lappend(*edges, edge);
	return edge;
}

/* The transaction of a prepared one that holds something, told by the lock on
 * its id; InvalidTransactionId if it has ended meanwhile. */
static TransactionId
prepared_transaction(const LockData *locks, const LockInstanceData *held)
{
	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *other = &locks->locks[i];

		if (other->pid == 0 && other->backend == held->backend &&
			other->lxid == held->lxid &&
			other->locktag.locktag_type == LOCKTAG_TRANSACTION)
			return other->locktag.locktag_field1;
	}
	return InvalidTransactionId;
}

static bool
conflicts(LOCKMODE wanted, LOCKMASK held)
{
	for (LOCKMODE mode = 1; mode <= MaxLockMode; mode++)
	{
		if ((held & LOCKBIT_ON(mode)) != 0 && DoLockModesConflict(wanted, mode))
			return true;
	}
	return false;
}

/* Edges to prepared transactions, which have no pid. */
static void
add_prepared(List **edges, const LockData *locks, const LockInstanceData *wait,
			 const char *waiter, const char *lock)
{
	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *held = &locks->locks[i];
		TransactionId transaction;

		if (held->pid != 0 ||
			memcmp(&held->locktag, &wait->locktag, sizeof(LOCKTAG)) != 0 ||
			!conflicts(wait->waitLockMode, held->holdMask))
			continue;
		transaction = prepared_transaction(locks, held);
		if (TransactionIdIsValid(transaction))
			add_edge(edges, wait, waiter, lock)->holder_transaction = transaction;
	}
}

static void
add_edges_of(List **edges, const LockData *locks, const LockInstanceData *wait)
{
	ArrayType *blockers;
	int *pids;
	int count;
	bool has_prepared = false;
	char *waiter = session_name(wait->leaderPid);
	char *lock = describe_lock(wait);

	blockers = DatumGetArrayTypeP(
		DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(wait->pid)));
	pids = (int *) ARR_DATA_PTR(blockers);
	count = ArrayGetNItems(ARR_NDIM(blockers), ARR_DIMS(blockers));
	for (int i = 0; i < count; i++)
	{
		TessWaitEdge *edge;

		if (pids[i] == 0)
		{
			has_prepared = true;
			continue;
		}
		edge = add_edge(edges, wait, waiter, lock);
		edge->holder = session_name(pids[i]);
		edge->holder_pid = pids[i];
	}
	if (has_prepared)
		add_prepared(edges, locks, wait, waiter, lock);
}

List *
tess_wait_edges_here(void)
{
	LockData *locks = GetLockStatusData();
	List *edges = NIL;

	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *wait = &locks->locks[i];

		/* no start: it has begun to wait right now */
		if (wait->waitLockMode != NoLock && wait->pid != 0 && wait->waitStart != 0)
			add_edges_of(&edges, locks, wait);
	}
	return edges;
}

Datum
tess_wait_edges(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *output = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, tess_wait_edges_here())
	{
		const TessWaitEdge *edge = lfirst(cell);
		Datum values[EDGE_COLUMNS] = {0};
		bool nulls[EDGE_COLUMNS] = {false};

		values[0] = CStringGetTextDatum(edge->server);
		values[1] = CStringGetTextDatum(edge->waiter);
		values[2] = Int32GetDatum(edge->waiter_pid);
		values[3] = Int64GetDatum(edge->since);
		values[4] = CStringGetTextDatum(edge->lock);
		if (edge->holder != NULL)
			values[5] = CStringGetTextDatum(edge->holder);
		else
			nulls[5] = true;
		values[6] = Int32GetDatum(edge->holder_pid);
		if (TransactionIdIsValid(edge->holder_transaction))
			values[7] = TransactionIdGetDatum(edge->holder_transaction);
		else
			nulls[7] = true;
		tuplestore_putvalues(output->setResult, output->setDesc, values, nulls);
	}
	return (Datum) 0;
}
