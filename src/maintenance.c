/*
 * maintenance.c - the background workers: a launcher for the server, and for
 * each database with nodes a worker every tessera.recover_interval.
 *
 * The launcher is connected to no database, and a worker only while it works:
 * so DROP DATABASE and CREATE DATABASE ... TEMPLATE wait for a moment at most.
 * Databases without nodes are left alone from the first look until they have a
 * two-phase commit, but for a look every RELOOK_MS.  A server without a free
 * worker slot, and a worker that fails, are tried again at the next interval.
 */
#include "postgres.h"

#include <limits.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "maintenance.h"
#include "tessera.h"
#include "xact/xact.h"

/* Slots of max_worker_processes that may be taken at a time. */
#define MAX_WORKERS 2
#define RELOOK_MS (10 * 60 * 1000)
#define RESTART_S 5

/* A worker that was started. */
typedef struct Worker
{
	BackgroundWorkerHandle *handle; /* NULL: free */
	Oid database;
} Worker;

PGDLLEXPORT void tess_maintenance_launch(Datum arg);
PGDLLEXPORT void tess_maintenance_work(Datum arg);

static int recover_interval_ms = 10 * 1000;

static struct
{
	Worker workers[MAX_WORKERS];
	List *due; /* OIDs of databases, in TopMemoryContext */
	TimestampTz last_round;
	TimestampTz last_relook;
} launcher;

static void
forget_ended_workers(void)
{
	for (int i = 0; i < MAX_WORKERS; i++)
	{
		Worker *worker = &launcher.workers[i];
		pid_t pid;

		if (worker->handle == NULL ||
			GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STOPPED)
			continue;
		pfree(worker->handle);
		worker->handle = NULL;
	}
}

static bool
has_worker(Oid database)
{
	for (int i = 0; i < MAX_WORKERS; i++)
	{
		if (launcher.workers[i].handle != NULL &&
			launcher.workers[i].database == database)
			return true;
	}
	return false;
}

/* Notes the databases in which something may be in doubt. */
static void
start_round(void)
{
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;
	MemoryContext context = CurrentMemoryContext;

	list_free(launcher.due);
	launcher.due = NIL;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!database->datallowconn || database->datistemplate ||
			tess_xact_is_quiet(database->oid))
			continue;
		old = MemoryContextSwitchTo(TopMemoryContext);
		launcher.due = lappend_oid(launcher.due, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

/* False if the server has no slot for it. */
static bool
start_worker(Worker *worker, Oid database)
{
	BackgroundWorker registration;
	MemoryContext old;
	bool started;

	tess_worker_describe(&registration, "tess_maintenance_work",
						 "tessera recovery", database);
	registration.bgw_notify_pid = MyProcPid;

	old = MemoryContextSwitchTo(TopMemoryContext);
	started = RegisterDynamicBackgroundWorker(&registration, &worker->handle);
	MemoryContextSwitchTo(old);
	if (!started)
		worker->handle = NULL;
	worker->database = database;
	return started;
}

/* What finds no slot stays due, ahead of others, until the next round. */
static void
start_workers(void)
{
	for (int i = 0; i < MAX_WORKERS; i++)
	{
		Oid database;

		if (launcher.workers[i].handle != NULL)
			continue;
		/* a slow node keeps a worker for longer than a round */
		while (launcher.due != NIL && has_worker(linitial_oid(launcher.due)))
			launcher.due = list_delete_first(launcher.due);
		if (launcher.due == NIL)
			return;
		database = linitial_oid(launcher.due);
		if (!start_worker(&launcher.workers[i], database))
			return;
		launcher.due = list_delete_first(launcher.due);
	}
}

/* Milliseconds until the next round, -1 if there is none. */
static long
next_round_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (recover_interval_ms == 0)
		return -1;
	if (now < launcher.last_round) /* the clock was set back */
		return 0;
	return TimestampDifferenceMilliseconds(now,
										   TimestampTzPlusMilliseconds(launcher.last_round,
																	   recover_interval_ms));
}

static void
launch_what_is_due(void)
{
	TimestampTz now = GetCurrentTimestamp();

	forget_ended_workers();
	if (TimestampDifferenceExceeds(launcher.last_relook, now, RELOOK_MS))
	{
		tess_xact_forget_quiet();
		launcher.last_relook = now;
	}
	if (tess_xact_wants_recovery() || next_round_ms() == 0)
	{
		launcher.last_round = now;
		start_round();
	}
	start_workers();
}

/* Entry point of the launcher, which runs until the server stops. */
void
tess_maintenance_launch(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("tessera");
	tess_xact_wake_for_recovery();

	for (;;)
	{
		long wait_ms;
		int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (recover_interval_ms > 0)
			launch_what_is_due();

		wait_ms = next_round_ms();
		if (wait_ms >= 0)
			events |= WL_TIMEOUT;
		(void) WaitLatch(MyLatch, events, wait_ms, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* Looks at the nodes of this database; false if there are none. */
static bool
recover(void)
{
	Oid user;
	int context;
	int ended;

	if (!tess_is_active() || !tess_xact_has_nodes())
		return false;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(tess_extension_owner(),
						   context | SECURITY_LOCAL_USERID_CHANGE);
	ended = tess_xact_recover(recover_interval_ms);
	SetUserIdAndSecContext(user, context);
	if (ended > 0)
		ereport(LOG, (errmsg_plural("%d transaction in doubt was ended",
									"%d transactions in doubt were ended",
									ended, ended)));
	return true;
}

/* Entry point of a worker, which ends when it has looked once. */
void
tess_maintenance_work(Datum arg)
{
	Oid database = DatumGetObjectId(arg);
	uint64 commits = tess_xact_commits();

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pgstat_report_appname("tessera");

	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, "looking for transactions in doubt");
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!recover())
		tess_xact_set_quiet(database, commits);
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
tess_maintenance_init(void)
{
	BackgroundWorker registration;

	DefineCustomIntVariable("tessera.recover_interval",
							"How often nodes are asked for transactions that are in doubt.",
							"Zero turns it off: then only tessera.recover_transactions() ends them.",
							&recover_interval_ms, 10 * 1000, 0, INT_MAX / 2,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	memset(&registration, 0, sizeof(registration));
	registration.bgw_flags = BGWORKER_SHMEM_ACCESS |
							 BGWORKER_BACKEND_DATABASE_CONNECTION;
	registration.bgw_start_time = BgWorkerStart_RecoveryFinished;
	registration.bgw_restart_time = RESTART_S;
	strlcpy(registration.bgw_library_name, TESS_EXTENSION, BGW_MAXLEN);
	strlcpy(registration.bgw_function_name, "tess_maintenance_launch",
			BGW_MAXLEN);
	strlcpy(registration.bgw_name, "tessera launcher", BGW_MAXLEN);
	strlcpy(registration.bgw_type, "tessera launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&registration);
}
