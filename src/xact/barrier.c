/*
 * barrier.c - the lock with two sides between commits of several servers and
 * snapshots over several servers, and who has a snapshot window open.
 *
 * One heavyweight lock for each database.  Commits take RowExclusiveLock,
 * snapshots ShareLock: each side is compatible with itself and not with the
 * other.  So it queues first come, first served, can be cancelled, is in
 * pg_locks, in the deadlock check, and goes with the transaction.  Nobody who
 * holds it waits for a row lock, so no cycle passes through it.
 *
 * A commit of one server takes no lock.  It looks at the windows that are open
 * when its node has answered, and withholds the answer until they are closed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/backendid.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "base/base.h"
#include "xact/barrier.h"

/* Users' advisory locks have the classes 1 and 2. */
#define BARRIER_LOCK_CLASS 3

/* How often a wait for windows looks whether it is to be ended. */
#define LOOK_AGAIN_MS 100

typedef struct Barrier
{
	pg_atomic_uint32 open_count;
	pg_atomic_uint64 last_ticket;
	ConditionVariable closed;
	/* Ticket of the window that a backend has open, 0: none; by backend id. */
	pg_atomic_uint64 windows[FLEXIBLE_ARRAY_MEMBER];
} Barrier;

static struct
{
	Barrier *shared;

	/* of the window of this backend */
	bool is_open;
	int level;
	ResourceOwner owner; /* of the lock */
} barrier;

static Size
shared_size(void)
{
	return add_size(offsetof(Barrier, windows),
					mul_size(MaxBackends, sizeof(pg_atomic_uint64)));
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera barrier",
	.size = shared_size,
	.attach = attach_memory,
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	barrier.shared = memory;
	if (!is_new)
		return;
	pg_atomic_init_u32(&barrier.shared->open_count, 0);
	pg_atomic_init_u64(&barrier.shared->last_ticket, 0);
	ConditionVariableInit(&barrier.shared->closed);
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u64(&barrier.shared->windows[i], 0);
}

static LOCKTAG
lock_tag(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, BARRIER_LOCK_CLASS);
	return tag;
}

/* See barrier.h. */
void
tess_barrier_enter_commit(void)
{
	LOCKTAG tag = lock_tag();

	Assert(!barrier.is_open);
	(void) LockAcquire(&tag, RowExclusiveLock, false, false);
}

/* See barrier.h. */
void
tess_barrier_open_window(void)
{
	Barrier *shared = barrier.shared;
	ResourceOwner old_owner = CurrentResourceOwner;
	LOCKTAG tag = lock_tag();

	Assert(!barrier.is_open);

	/* not a portal's, which an abort would not find in our hands */
	CurrentResourceOwner = CurTransactionResourceOwner;
	(void) LockAcquire(&tag, ShareLock, false, false);
	CurrentResourceOwner = old_owner;

	barrier.owner = CurTransactionResourceOwner;
	barrier.level = GetCurrentTransactionNestLevel();
	barrier.is_open = true;
	pg_atomic_write_u64(&shared->windows[MyBackendId - 1],
						pg_atomic_add_fetch_u64(&shared->last_ticket, 1));
	/* a full barrier: before any snapshot is asked for */
	(void) pg_atomic_fetch_add_u32(&shared->open_count, 1);
}

/* See barrier.h. */
void
tess_barrier_close_window(void)
{
	Barrier *shared = barrier.shared;
	ResourceOwner old_owner = CurrentResourceOwner;
	LOCKTAG tag = lock_tag();

	Assert(barrier.is_open);
	barrier.is_open = false;
	pg_atomic_write_u64(&shared->windows[MyBackendId - 1], 0);
	(void) pg_atomic_fetch_sub_u32(&shared->open_count, 1);
	ConditionVariableBroadcast(&shared->closed);

	CurrentResourceOwner = barrier.owner;
	(void) LockRelease(&tag, ShareLock, false);
	CurrentResourceOwner = old_owner;
}

/* See xact.h. */
void
tess_barrier_wait_commits(void)
{
	LOCKTAG tag = lock_tag();

	Assert(!barrier.is_open);
	(void) LockAcquire(&tag, ShareLock, false, false);
	(void) LockRelease(&tag, ShareLock, false);
}

/* See barrier.h. */
bool
tess_barrier_has_window(void)
{
	return barrier.is_open;
}

/* See barrier.h.  Also on the way out of a backend that exits, whose last
 * transaction is aborted before its shared memory is left. */
void
tess_barrier_abort(int level)
{
	if (barrier.is_open && barrier.level >= level)
		tess_barrier_close_window();
}

/* True if a window with a ticket up to last is open. */
static bool
is_one_open(uint64 last)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		uint64 ticket = pg_atomic_read_u64(&barrier.shared->windows[i]);

		if (ticket != 0 && ticket <= last)
			return true;
	}
	return false;
}

/* See xact.h. */
void
tess_barrier_wait_windows(void)
{
	Barrier *shared = barrier.shared;
	uint64 last;

	if (pg_atomic_read_u32(&shared->open_count) == 0)
		return;

	Assert(!barrier.is_open);
	last = pg_atomic_read_u64(&shared->last_ticket);
	HOLD_INTERRUPTS();
	ConditionVariablePrepareToSleep(&shared->closed);
	while (is_one_open(last) && !QueryCancelPending && !ProcDiePending)
		(void) ConditionVariableTimedSleep(&shared->closed, LOOK_AGAIN_MS,
										   PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
	RESUME_INTERRUPTS();
}

void
tess_barrier_init(void)
{
	tess_shared_memory_add(&piece);
}
