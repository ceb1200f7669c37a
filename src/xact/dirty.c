/*
 * dirty.c - nodes that may not have heard of a decision yet, in shared memory.
 *
 * A node is clean or dirty for a database of this server.  It becomes dirty when
 * a session gives up a COMMIT PREPARED that was decided, and is so from the
 * start of the server, since who gave up before is forgotten then.  Whoever
 * needs a dirty node ends first what was decided for it (recovery.c), so that
 * nobody misses a commit that was acknowledged.
 *
 * Only clean nodes have an entry that says so.  What finds no room stays dirty,
 * which is slow but right.  Marks are counted, so that a look that began before
 * a mark does not take it away, and so that a backend whose count is that of
 * the server knows without a lock which nodes are clean.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "tessera.h"
#include "base/base.h"
#include "xact/xact_internal.h"

/* Of all databases. */
#define MAX_ENTRIES 1024

typedef struct Entry
{
	Oid database;
	int32 node_id;
	bool clean;
	uint64 marked_at; /* number of its last mark; 0: none */
} Entry;

typedef struct Nodes
{
	pg_atomic_uint64 marks; /* so many since the server started */
	pg_atomic_uint32 wants_recovery;
	Latch *recovery_latch; /* NULL: nobody to wake; as what follows */

	/* Guarded by the lock. */
	LWLock *lock;
	int count;
	Entry entries[MAX_ENTRIES];
} Nodes;

static struct
{
	Nodes *shared;

	/* Nodes that were clean when there were so many marks. */
	uint64 marks;
	int known_count;
	int known_space;
	int32 *known;
} nodes;

static Size
shared_size(void)
{
	return sizeof(Nodes);
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera clean nodes",
	.size = shared_size,
	.attach = attach_memory,
	.lock_name = "tessera_dirty",
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	nodes.shared = memory;
	if (!is_new)
		return;
	pg_atomic_init_u64(&nodes.shared->marks, 1);
	pg_atomic_init_u32(&nodes.shared->wants_recovery, 0);
	nodes.shared->lock = tess_shared_memory_lock(&piece);
}

/* The entry of a node of this database, NULL if there is none.  Under the lock. */
static Entry *
find_entry(int32 node_id)
{
	for (int i = 0; i < nodes.shared->count; i++)
	{
		Entry *entry = &nodes.shared->entries[i];

		if (entry->database == MyDatabaseId && entry->node_id == node_id)
			return entry;
	}
	return NULL;
}

/* As above; made if it is not there, NULL if there is no room. */
static Entry *
get_entry(int32 node_id)
{
	Entry *entry = find_entry(node_id);

	if (entry == NULL && nodes.shared->count < MAX_ENTRIES)
	{
		entry = &nodes.shared->entries[nodes.shared->count++];
		memset(entry, 0, sizeof(Entry));
		entry->database = MyDatabaseId;
		entry->node_id = node_id;
	}
	return entry;
}

static bool
is_known(int32 node_id)
{
	for (int i = 0; i < nodes.known_count; i++)
	{
		if (nodes.known[i] == node_id)
			return true;
	}
	return false;
}

static void
remember(int32 node_id)
{
	if (nodes.known_count == nodes.known_space)
	{
		int space = Max(8, nodes.known_space * 2);

		nodes.known = nodes.known ? repalloc(nodes.known, space * sizeof(int32))
								  : MemoryContextAlloc(TopMemoryContext,
													   space * sizeof(int32));
		nodes.known_space = space;
	}
	nodes.known[nodes.known_count++] = node_id;
}

/* How many marks there were until now: see tess_node_note_clean. */
uint64
tess_node_marks(void)
{
	return pg_atomic_read_u64(&nodes.shared->marks);
}

/*
 * True if nothing that was decided and acknowledged before this call is still
 * unknown to the node.  Costs no lock while no node becomes dirty.
 */
bool
tess_node_is_clean(int32 node_id)
{
	uint64 marks = tess_node_marks();
	const Entry *entry;
	bool clean;

	if (marks != nodes.marks)
	{
		nodes.marks = marks;
		nodes.known_count = 0;
	}
	if (is_known(node_id))
		return true;

	LWLockAcquire(nodes.shared->lock, LW_SHARED);
	entry = find_entry(node_id);
	clean = entry != NULL && entry->clean;
	LWLockRelease(nodes.shared->lock);

	/* a mark that came since has another number than ours */
	if (clean)
		remember(node_id);
	return clean;
}

/*
 * A decision was not confirmed by the node: before the client hears of the
 * commit.  Fails never; wakes who recovers.
 */
void
tess_node_mark_dirty(int32 node_id)
{
	Entry *entry;
	Latch *latch;

	LWLockAcquire(nodes.shared->lock, LW_EXCLUSIVE);
	entry = get_entry(node_id);
	if (entry != NULL)
	{
		entry->clean = false;
		entry->marked_at = tess_node_marks() + 1;
	}
	pg_atomic_fetch_add_u64(&nodes.shared->marks, 1);
	latch = nodes.shared->recovery_latch;
	LWLockRelease(nodes.shared->lock);

	pg_atomic_write_u32(&nodes.shared->wants_recovery, 1);
	if (latch != NULL)
		SetLatch(latch);
}

/* A look that began when there were so many marks has left nothing undone. */
void
tess_node_note_clean(int32 node_id, uint64 marks)
{
	Entry *entry;

	LWLockAcquire(nodes.shared->lock, LW_EXCLUSIVE);
	entry = get_entry(node_id);
	if (entry != NULL && entry->marked_at <= marks)
		entry->clean = true;
	LWLockRelease(nodes.shared->lock);
}

/* MyLatch is to be set when a node becomes dirty. */
void
tess_xact_wake_for_recovery(void)
{
	LWLockAcquire(nodes.shared->lock, LW_EXCLUSIVE);
	nodes.shared->recovery_latch = MyLatch;
	LWLockRelease(nodes.shared->lock);
}

/* True once after a node became dirty. */
bool
tess_xact_wants_recovery(void)
{
	return pg_atomic_exchange_u32(&nodes.shared->wants_recovery, 0) != 0;
}

void
tess_dirty_init(void)
{
	tess_shared_memory_add(&piece);
}
