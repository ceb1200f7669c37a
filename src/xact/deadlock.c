/*
 * deadlock.c - the side of who waits: notes a long wait for nodes, starts the
 * searcher, and takes a verdict as 40P01.
 *
 * Everything is in shared memory under one lock, which nobody takes before he
 * has waited for deadlock_timeout.  A backend's own wait is written by itself;
 * its verdict by a searcher, and freed by itself.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "storage/sinvaladt.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "tessera.h"
#include "base/base.h"
#include "xact/deadlock.h"
#include "xact/xact_internal.h"

#define MAX_VERDICTS 8
#define MAX_SEARCHERS 8
/* A worker that has not come by then was lost with its postmaster's memory. */
#define START_TIMEOUT_MS 10000

typedef struct Waiter
{
	int pid;
	Oid database;
	uint32 wait; /* noted, 0: none */
	uint32 last_wait;
	int32 connection_to; /* what the wait is for; see TessLongWait */
	int verdict;		 /* its number + 1, 0: none */
} Waiter;

typedef struct Verdict
{
	int pid; /* of the victim, 0: free */
	int member_count;
	TessMember members[TESS_VERDICT_MEMBERS];
} Verdict;

typedef struct Searcher
{
	Oid database;	/* InvalidOid: free */
	int pid;		/* 0: being started */
	bool is_called; /* somebody has come since it has begun to look */
	Latch *latch;
	TimestampTz started;
} Searcher;

typedef struct Deadlocks
{
	LWLock *lock;
	Verdict verdicts[MAX_VERDICTS];
	Searcher searchers[MAX_SEARCHERS];
	Waiter waiters[FLEXIBLE_ARRAY_MEMBER]; /* by backend id, MaxBackends */
} Deadlocks;

static struct
{
	Deadlocks *shared;
	post_parse_analyze_hook_type next_analyze;
	ExecutorStart_hook_type next_executor;
	ProcessUtility_hook_type next_utility;
} deadlocks;

static Waiter *
waiter_of(int backend_id)
{
	Assert(backend_id >= 1 && backend_id <= MaxBackends);
	return &deadlocks.shared->waiters[backend_id - 1];
}

/* verdicts ------------------------------------------------------------- */

/* The verdict that a process at this place has, NULL if it has none. */
static Verdict *
verdict_of(const Waiter *waiter, int pid)
{
	Verdict *verdict;

	if (waiter->verdict == 0)
		return NULL;
	verdict = &deadlocks.shared->verdicts[waiter->verdict - 1];
	return verdict->pid == pid ? verdict : NULL;
}

/* A free place, or one of somebody who is gone. */
static int
find_free_verdict(void)
{
	for (int i = 0; i < MAX_VERDICTS; i++)
	{
		const Verdict *verdict = &deadlocks.shared->verdicts[i];

		if (verdict->pid == 0 || BackendPidGetProc(verdict->pid) == NULL)
			return i;
	}
	return -1;
}

/* Takes this backend's verdict, if any, and leaves its place free. */
static bool
take_verdict(Verdict *taken)
{
	Waiter *own = waiter_of(MyBackendId);
	Verdict *verdict = verdict_of(own, MyProcPid);

	if (verdict != NULL)
	{
		*taken = *verdict;
		verdict->pid = 0;
	}
	own->verdict = 0;
	return verdict != NULL;
}

/* Nobody stops waiting for a lock while its partition is held. */
static bool
cancel_lock_wait(PGPROC *proc, TimestampTz since)
{
	bool waits;

	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
		LWLockAcquire(LockHashPartitionLockByIndex(i), LW_SHARED);
	waits = proc->waitLock != NULL &&
			pg_atomic_read_u64(&proc->waitStart) == (uint64) since;
	if (waits)
		(void) kill(proc->pid, SIGINT);
	for (int i = NUM_LOCK_PARTITIONS; --i >= 0;)
		LWLockRelease(LockHashPartitionLockByIndex(i));
	return waits;
}

void
tess_verdict_give(int backend_id, int pid, uint32 wait, TimestampTz lock_since,
				  int member_count, const TessMember *members)
{
	Deadlocks *shared = deadlocks.shared;
	Waiter *waiter = waiter_of(backend_id);
	PGPROC *proc = BackendIdGetProc(backend_id);
	int number;

	if (proc == NULL || proc->pid != pid)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	number = find_free_verdict();
	if (number >= 0 && verdict_of(waiter, pid) == NULL &&
		(wait == 0 || (waiter->pid == pid && waiter->wait == wait)))
	{
		Verdict *verdict = &shared->verdicts[number];

		verdict->pid = pid;
		verdict->member_count = Min(member_count, TESS_VERDICT_MEMBERS);
		memcpy(verdict->members, members,
			   verdict->member_count * sizeof(TessMember));
		waiter->verdict = number + 1;
		if (wait != 0)
			SetLatch(&proc->procLatch);
		else if (!cancel_lock_wait(proc, lock_since))
		{
			verdict->pid = 0;
			waiter->verdict = 0;
		}
	}
	LWLockRelease(shared->lock);
}

/* The rest of the error that is being made; for ereport. */
static int
report(const Verdict *verdict)
{
	StringInfoData client;
	StringInfoData log;

	initStringInfo(&client);
	initStringInfo(&log);
	for (int i = 0; i < verdict->member_count; i++)
	{
		const TessMember *member = &verdict->members[i];
		const TessMember *next = &verdict->members[(i + 1) % verdict->member_count];

		appendStringInfo(&client,
						 _("%sProcess %s waits for %s; blocked by process %s."),
						 i > 0 ? "\n" : "", member->name, member->wait,
						 next->name);
	}
	appendStringInfoString(&log, client.data);
	for (int i = 0; i < verdict->member_count; i++)
	{
		const TessMember *member = &verdict->members[i];

		if (member->pid != 0)
			appendStringInfo(&log, _("\nProcess %s: %s"), member->name,
							 pgstat_get_backend_current_activity(member->pid,
																 false));
	}
	errmsg("deadlock detected");
	errdetail_internal("%s", client.data);
	errdetail_log("%s", log.data);
	return errhint("See server log for query details.");
}

static void
make_deadlock_of_cancel(void *arg)
{
	Verdict verdict;
	bool found;

	if (geterrcode() != ERRCODE_QUERY_CANCELED || deadlocks.shared == NULL ||
		MyProc == NULL || MyBackendId < 1 || waiter_of(MyBackendId)->verdict == 0)
		return;
	LWLockAcquire(deadlocks.shared->lock, LW_EXCLUSIVE);
	found = take_verdict(&verdict);
	LWLockRelease(deadlocks.shared->lock);
	if (found)
	{
		errcode(ERRCODE_T_R_DEADLOCK_DETECTED);
		(void) report(&verdict);
	}
}

/*
 * Puts the callback below all others.  There it stays until an error empties
 * the stack, or the PG_TRY ends in which it was put there: so it is put there
 * by each step of a statement.  A session that is in a cycle has taken such
 * steps before, so it is there wherever the session waits: in execution, for a
 * table's lock before, or in triggers at COMMIT.
 */
static void
watch_errors(void)
{
	static ErrorContextCallback bottom = {NULL, make_deadlock_of_cancel, NULL};
	ErrorContextCallback *last = error_context_stack;

	if (last == NULL)
	{
		error_context_stack = &bottom;
		return;
	}
	while (last != &bottom && last->previous != NULL)
		last = last->previous;
	if (last != &bottom)
		last->previous = &bottom;
}

static void
analyzed(ParseState *state, Query *query, JumbleState *jumble)
{
	watch_errors();
	if (deadlocks.next_analyze)
		deadlocks.next_analyze(state, query, jumble);
}

static void
start_executor(QueryDesc *query_desc, int flags)
{
	watch_errors();
	if (deadlocks.next_executor)
		deadlocks.next_executor(query_desc, flags);
	else
		standard_ExecutorStart(query_desc, flags);
}

static void
process_utility(PlannedStmt *plan, const char *query_string,
				bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *query_env,
				DestReceiver *dest, QueryCompletion *completion)
{
	ProcessUtility_hook_type next = deadlocks.next_utility
										? deadlocks.next_utility
										: standard_ProcessUtility;

	watch_errors();
	next(plan, query_string, read_only_tree, context, params, query_env, dest,
		 completion);
}

/* searchers ------------------------------------------------------------ */

static Searcher *
find_searcher(Oid database)
{
	for (int i = 0; i < MAX_SEARCHERS; i++)
	{
		if (deadlocks.shared->searchers[i].database == database)
			return &deadlocks.shared->searchers[i];
	}
	return NULL;
}

static bool
is_lost(const Searcher *searcher)
{
	return searcher->pid == 0 &&
		   TimestampDifferenceExceeds(searcher->started, GetCurrentTimestamp(),
									  START_TIMEOUT_MS);
}

/* Wakes the searcher of this database, for a wait that it may not know yet; true if
 * one is to be started. */
static bool
call_searcher(bool is_new)
{
	Searcher *searcher = find_searcher(MyDatabaseId);

	if (searcher != NULL && !is_lost(searcher))
	{
		searcher->is_called |= is_new;
		if (searcher->pid != 0 && is_new)
			SetLatch(searcher->latch);
		return false;
	}
	if (searcher == NULL)
		searcher = find_searcher(InvalidOid);
	if (searcher == NULL)
		return false; /* too many at work: tried again */
	searcher->database = MyDatabaseId;
	searcher->pid = 0;
	searcher->is_called = false;
	searcher->started = GetCurrentTimestamp();
	return true;
}

static void
start_searcher(void)
{
	BackgroundWorker registration;
	Searcher *searcher;

	tess_worker_describe(&registration, "tess_deadlock_search",
						 "tessera deadlock search", MyDatabaseId);
	if (RegisterDynamicBackgroundWorker(&registration, NULL))
		return;

	/* no slot of max_worker_processes is free: tried again */
	LWLockAcquire(deadlocks.shared->lock, LW_EXCLUSIVE);
	searcher = find_searcher(MyDatabaseId);
	if (searcher != NULL && searcher->pid == 0)
		searcher->database = InvalidOid;
	LWLockRelease(deadlocks.shared->lock);
}

static void
leave_at_exit(int code, Datum database)
{
	Searcher *searcher;

	LWLockAcquire(deadlocks.shared->lock, LW_EXCLUSIVE);
	searcher = find_searcher(DatumGetObjectId(database));
	if (searcher != NULL && searcher->pid == MyProcPid)
		searcher->database = InvalidOid;
	LWLockRelease(deadlocks.shared->lock);
}

bool
tess_searcher_enter(Oid database)
{
	Searcher *searcher;
	bool entered;

	before_shmem_exit(leave_at_exit, ObjectIdGetDatum(database));
	LWLockAcquire(deadlocks.shared->lock, LW_EXCLUSIVE);
	searcher = find_searcher(database);
	entered = searcher != NULL && searcher->pid == 0;
	if (entered)
	{
		searcher->pid = MyProcPid;
		searcher->latch = MyLatch;
	}
	LWLockRelease(deadlocks.shared->lock);
	return entered;
}

/* The flag, not the latch: waits for nodes' answers reset that. */
bool
tess_searcher_is_called(Oid database, bool takes)
{
	Searcher *searcher;
	bool is_called;

	LWLockAcquire(deadlocks.shared->lock, LW_EXCLUSIVE);
	searcher = find_searcher(database);
	is_called = searcher != NULL && searcher->is_called;
	if (is_called && takes)
		searcher->is_called = false;
	LWLockRelease(deadlocks.shared->lock);
	return is_called;
}

static bool
is_noted_in(Oid database)
{
	for (int i = 1; i <= MaxBackends; i++)
	{
		const Waiter *waiter = waiter_of(i);

		if (waiter->wait != 0 && waiter->database == database &&
			BackendPidGetProc(waiter->pid) != NULL)
			return true;
	}
	return false;
}

bool
tess_searcher_leave(Oid database)
{
	Searcher *searcher;
	bool leaves;

	LWLockAcquire(deadlocks.shared->lock, LW_EXCLUSIVE);
	leaves = !is_noted_in(database);
	searcher = find_searcher(database);
	if (leaves && searcher != NULL && searcher->pid == MyProcPid)
		searcher->database = InvalidOid;
	LWLockRelease(deadlocks.shared->lock);
	return leaves;
}

/* waits ---------------------------------------------------------------- */

uint32
tess_wait_noted(int backend_id, int pid, int32 *connection_to)
{
	const Waiter *waiter = waiter_of(backend_id);
	uint32 wait;

	LWLockAcquire(deadlocks.shared->lock, LW_SHARED);
	wait = waiter->pid == pid ? waiter->wait : 0;
	*connection_to = wait != 0 ? waiter->connection_to : 0;
	LWLockRelease(deadlocks.shared->lock);
	return wait;
}

/* What this backend has noted or was given is of no use any more. */
static void
forget_wait(void)
{
	Waiter *own;
	Verdict verdict;

	if (deadlocks.shared == NULL || MyBackendId < 1)
		return;
	own = waiter_of(MyBackendId);
	if (own->pid != MyProcPid && own->verdict == 0)
		return;
	if (own->wait == 0 && own->verdict == 0)
		return;
	LWLockAcquire(deadlocks.shared->lock, LW_EXCLUSIVE);
	own->wait = 0;
	(void) take_verdict(&verdict);
	LWLockRelease(deadlocks.shared->lock);
}

/* See net.h: this backend waits for nodes, for deadlock_timeout by now. */
static void
note_wait(int32 connection_to)
{
	Waiter *own = waiter_of(MyBackendId);
	Verdict verdict;
	bool condemned;
	bool starts = false;
	bool is_new = own->pid != MyProcPid || own->wait == 0;

	if (is_new)
		ereport(DEBUG1, (errmsg_internal("waiting for nodes for long")));
	LWLockAcquire(deadlocks.shared->lock, LW_EXCLUSIVE);
	condemned = !is_new && take_verdict(&verdict);
	if (condemned)
		own->wait = 0;
	else
	{
		if (is_new)
		{
			own->pid = MyProcPid;
			own->database = MyDatabaseId;
			own->last_wait = Max(own->last_wait + 1, 1);
			own->wait = own->last_wait;
			own->connection_to = connection_to;
		}
		starts = call_searcher(is_new);
	}
	LWLockRelease(deadlocks.shared->lock);

	if (condemned)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_DEADLOCK_DETECTED), report(&verdict)));
	if (starts)
		start_searcher();
}

static void
after_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		forget_wait();
}

/* shared memory --------------------------------------------------------- */

static Size
shared_size(void)
{
	return add_size(offsetof(Deadlocks, waiters),
					mul_size(MaxBackends, sizeof(Waiter)));
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera deadlocks",
	.size = shared_size,
	.attach = attach_memory,
	.lock_name = "tessera deadlocks",
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	deadlocks.shared = memory;
	if (!is_new)
		return;
	deadlocks.shared->lock = tess_shared_memory_lock(&piece);
}

void
tess_deadlock_init(void)
{
	static const TessLongWait long_wait = {note_wait, forget_wait};

	tess_shared_memory_add(&piece);
	deadlocks.next_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = analyzed;
	deadlocks.next_executor = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	deadlocks.next_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(after_transaction, NULL);
	tess_net_long_wait = &long_wait;
}
