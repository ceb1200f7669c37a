/*
 * connection_slots.c - how many connections all sessions of this server have
 * to each node, in shared memory.
 *
 * A backend takes a slot before it connects and gives it back when it has
 * closed, so a node never has more than tessera.max_node_connections of them.
 * Who finds none free asks an idle connection of somebody to give way, and
 * waits.  A slot knows its backend, for those who look (tessera.activity) and
 * for those who ask.  Slots of a backend that is killed go with the shared
 * memory: the server restarts.
 *
 * Connections that are no node's yet are not counted, and workers are never
 * refused: they end what others wait for.
 */
#include "postgres.h"

#include <limits.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/procsignal.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/tuplestore.h"
#include "utils/wait_event.h"

#include "base/base.h"
#include "net/net_internal.h"

#define SLOTS_PER_BACKEND 8
#define MIN_SLOTS 1024

/* How long one idle connection has to give way before the next is asked. */
#define ASK_NEXT_MS 100

#define COLUMN_COUNT 6

typedef struct Slot
{
	int pid; /* of the backend here; 0: free */
	BackendId backend;
	bool is_worker;
	Oid database;
	int32 node_id;
	Oid role;
	int node_pid; /* 0: not connected yet */
	TimestampTz opened;

	/* Written by the backend and read by all, without the lock. */
	pg_atomic_uint64 idle_since; /* 0: in use */
	pg_atomic_uint32 wanted;	 /* to be closed as soon as it is idle */
} Slot;

typedef struct Slots
{
	pg_atomic_uint32 waiting; /* so many backends wait for a slot */
	ConditionVariable freed;
	LWLock *lock; /* of the slots */
	int capacity;
	Slot slots[FLEXIBLE_ARRAY_MEMBER];
} Slots;

static struct
{
	Slots *shared;
} memory;

static int max_node_connections = 100;

PG_FUNCTION_INFO_V1(tess_connections_list);

static int
capacity(void)
{
	return Max(MIN_SLOTS, MaxBackends * SLOTS_PER_BACKEND);
}

static Size
shared_size(void)
{
	return add_size(offsetof(Slots, slots), mul_size(capacity(), sizeof(Slot)));
}

static void attach_memory(void *start, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera connections",
	.size = shared_size,
	.attach = attach_memory,
	.lock_name = "tessera_connections",
};

/* See TessSharedPiece. */
static void
attach_memory(void *start, bool is_new)
{
	memory.shared = start;
	if (!is_new)
		return;
	pg_atomic_init_u32(&memory.shared->waiting, 0);
	ConditionVariableInit(&memory.shared->freed);
	memory.shared->lock = tess_shared_memory_lock(&piece);
	memory.shared->capacity = capacity();
	for (int i = 0; i < memory.shared->capacity; i++)
	{
		pg_atomic_init_u64(&memory.shared->slots[i].idle_since, 0);
		pg_atomic_init_u32(&memory.shared->slots[i].wanted, 0);
	}
}

static bool
is_of_node(const Slot *slot, int32 node_id)
{
	return slot->pid != 0 && slot->database == MyDatabaseId &&
		   slot->node_id == node_id;
}

/* Connections to a node of this database: all, and this backend's.  Under the
 * lock. */
static int
count_slots(int32 node_id, int *own)
{
	int count = 0;

	*own = 0;
	for (int i = 0; i < memory.shared->capacity; i++)
	{
		const Slot *slot = &memory.shared->slots[i];

		if (!is_of_node(slot, node_id))
			continue;
		count++;
		if (slot->pid == MyProcPid)
			(*own)++;
	}
	return count;
}

static Slot *
find_free(void)
{
	for (int i = 0; i < memory.shared->capacity; i++)
	{
		if (memory.shared->slots[i].pid == 0)
			return &memory.shared->slots[i];
	}
	return NULL;
}

static void
fill_slot(Slot *slot, const TessSession *session)
{
	slot->pid = MyProcPid;
	slot->backend = MyBackendId;
	slot->is_worker = MyBackendType != B_BACKEND;
	slot->database = MyDatabaseId;
	slot->node_id = session->node_id;
	slot->role = session->role;
	slot->node_pid = 0;
	slot->opened = GetCurrentTimestamp();
	pg_atomic_write_u64(&slot->idle_since, 0);
	pg_atomic_write_u32(&slot->wanted, 0);
}

/* False if there is none; *own: so many of the node's are this backend's. */
static bool
try_take(TessSession *session, int *own)
{
	bool is_worker = MyBackendType != B_BACKEND;
	Slot *slot = NULL;

	LWLockAcquire(memory.shared->lock, LW_EXCLUSIVE);
	if (count_slots(session->node_id, own) < max_node_connections || is_worker)
		slot = find_free();
	if (slot != NULL)
		fill_slot(slot, session);
	LWLockRelease(memory.shared->lock);
	if (slot != NULL)
		session->slot = slot - memory.shared->slots;
	/* a worker that finds no room at all is not shown */
	return slot != NULL || is_worker;
}

/* Marks an idle connection of somebody else to the node, and wakes him. */
static void
ask_to_give_way(int32 node_id)
{
	int pid = 0;
	BackendId backend = InvalidBackendId;

	LWLockAcquire(memory.shared->lock, LW_SHARED);
	for (int i = 0; i < memory.shared->capacity && pid == 0; i++)
	{
		Slot *slot = &memory.shared->slots[i];

		if (!is_of_node(slot, node_id) || slot->pid == MyProcPid ||
			pg_atomic_read_u64(&slot->idle_since) == 0 ||
			pg_atomic_exchange_u32(&slot->wanted, 1) != 0)
			continue;
		pid = slot->pid;
		backend = slot->backend;
	}
	LWLockRelease(memory.shared->lock);
	if (pid != 0)
		tess_idle_wake(pid, backend);
}

static void
raise_none_free(const TessSession *session)
{
	ereport(ERROR,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 errmsg("no connection to node \"%s\" is free", session->node_name),
			 errdetail("All %d connections that this server may have to the node are in use.",
					   max_node_connections),
			 errhint(
				 "Use fewer sessions, or raise tessera.max_node_connections. Raise tessera.connect_timeout to wait for longer.")));
}

static void
wait_for_slot(TessSession *session, TimestampTz deadline, TessPatience *patience)
{
	int own;

	ConditionVariablePrepareToSleep(&memory.shared->freed);
	while (!try_take(session, &own))
	{
		long patience_ms = tess_patience_use(patience);
		long timeout_ms;

		timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 deadline);
		/* what this transaction holds itself does not become free */
		if (timeout_ms <= 0 || own >= max_node_connections)
			raise_none_free(session);
		ask_to_give_way(session->node_id);
		timeout_ms = Min(timeout_ms, patience_ms);
		(void) ConditionVariableTimedSleep(&memory.shared->freed,
										   Min(timeout_ms, ASK_NEXT_MS),
										   PG_WAIT_EXTENSION);
	}
}

/*
 * Takes a slot for a session that is to connect.  Waits until the deadline
 * for one.  Errors: 53300; 40P01 if those who have them wait for this backend;
 * cancel and the like.
 */
void
tess_slot_take(TessSession *session, TimestampTz deadline)
{
	TessPatience patience = {session->node_id};
	int own;

	if (try_take(session, &own))
		return;
	tess_pool_close_idle(session->node_id);

	pg_atomic_fetch_add_u32(&memory.shared->waiting, 1);
	PG_TRY();
	{
		wait_for_slot(session, deadline, &patience);
	}
	PG_FINALLY();
	{
		tess_patience_end(&patience);
		ConditionVariableCancelSleep();
		pg_atomic_fetch_sub_u32(&memory.shared->waiting, 1);
	}
	PG_END_TRY();
}

/* Gives a session's slot back, if it has one.  No errors. */
void
tess_slot_release(TessSession *session)
{
	if (session->slot < 0)
		return;
	LWLockAcquire(memory.shared->lock, LW_EXCLUSIVE);
	memory.shared->slots[session->slot].pid = 0;
	LWLockRelease(memory.shared->lock);
	session->slot = -1;
	if (pg_atomic_read_u32(&memory.shared->waiting) > 0)
		ConditionVariableBroadcast(&memory.shared->freed);
}

/* The session is connected. */
void
tess_slot_note_connected(TessSession *session)
{
	if (session->slot >= 0)
		memory.shared->slots[session->slot].node_pid = PQbackendPID(session->conn);
}

void
tess_slot_note_use(TessSession *session)
{
	if (session->slot >= 0)
		pg_atomic_write_u64(&memory.shared->slots[session->slot].idle_since, 0);
}

/*
 * The session is idle.  False if somebody waits for a connection to its node,
 * so that it had better be closed.
 */
bool
tess_slot_note_idle(TessSession *session)
{
	Slot *slot;
	int own;
	bool full;

	if (session->slot < 0)
		return true;
	slot = &memory.shared->slots[session->slot];
	pg_atomic_write_u64(&slot->idle_since, session->idle_since);

	/* Who comes to wait after this sees that the session is idle. */
	pg_memory_barrier();
	if (pg_atomic_read_u32(&memory.shared->waiting) == 0)
		return pg_atomic_read_u32(&slot->wanted) == 0;
	LWLockAcquire(memory.shared->lock, LW_SHARED);
	full = count_slots(session->node_id, &own) >= max_node_connections;
	LWLockRelease(memory.shared->lock);
	return !full && pg_atomic_read_u32(&slot->wanted) == 0;
}

/* True if the session is to be closed as soon as it is idle. */
bool
tess_slot_is_wanted(const TessSession *session)
{
	return session->slot >= 0 &&
		   pg_atomic_read_u32(&memory.shared->slots[session->slot].wanted) != 0;
}

/*
 * See net.h.  Idle ones count: their backends close them when they look, which
 * they do not while they wait themselves.  Those of workers do not: they give
 * them back soon.
 */
List *
tess_net_connection_owners(int32 node_id)
{
	List *owners = NIL;
	int count = 0;

	LWLockAcquire(memory.shared->lock, LW_SHARED);
	for (int i = 0; i < memory.shared->capacity; i++)
	{
		const Slot *slot = &memory.shared->slots[i];

		if (!is_of_node(slot, node_id) || slot->is_worker)
			continue;
		count++;
		owners = list_append_unique_int(owners, slot->pid);
	}
	LWLockRelease(memory.shared->lock);
	return count < max_node_connections ? NIL : owners;
}

static void
put_row(Tuplestorestate *store, TupleDesc descriptor, Slot *slot)
{
	uint64 idle_since = pg_atomic_read_u64(&slot->idle_since);
	Datum values[COLUMN_COUNT];
	bool nulls[COLUMN_COUNT] = {0};

	values[0] = Int32GetDatum(slot->pid);
	values[1] = Int32GetDatum(slot->node_id);
	values[2] = ObjectIdGetDatum(slot->role);
	values[3] = Int32GetDatum(slot->node_pid);
	nulls[3] = slot->node_pid == 0;
	values[4] = TimestampTzGetDatum(slot->opened);
	values[5] = TimestampTzGetDatum((TimestampTz) idle_since);
	nulls[5] = idle_since == 0;
	tuplestore_putvalues(store, descriptor, values, nulls);
}

/* tessera_internal.connections(): those of this database. */
PGDLLEXPORT Datum
tess_connections_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Slot *copy = palloc(sizeof(Slot) * memory.shared->capacity);
	int count = 0;

	InitMaterializedSRF(fcinfo, 0);
	LWLockAcquire(memory.shared->lock, LW_SHARED);
	for (int i = 0; i < memory.shared->capacity; i++)
	{
		Slot *slot = &memory.shared->slots[i];

		if (slot->pid != 0 && slot->database == MyDatabaseId)
			copy[count++] = *slot;
	}
	LWLockRelease(memory.shared->lock);
	for (int i = 0; i < count; i++)
		put_row(result->setResult, result->setDesc, &copy[i]);
	return (Datum) 0;
}

void
tess_slot_init(void)
{
	DefineCustomIntVariable("tessera.max_node_connections",
							"Sets how many connections all sessions of this server have to one node.",
							"Who needs one more waits for tessera.connect_timeout.",
							&max_node_connections, 100, 1, INT_MAX, PGC_SIGHUP,
							0, NULL, NULL, NULL);
	tess_shared_memory_add(&piece);
}
