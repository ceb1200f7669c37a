/*
 * silence.c - nodes that have not answered who last wanted to connect to them,
 * or was connected, in shared memory.
 *
 * A hint, for those who can do without a node: they need not wait for it as long
 * as those who cannot.  Whoever does connect to it takes the mark away: the
 * recovery, which looks at all nodes, does so if nobody else does.  A node that finds
 * no room is not known to be silent.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/guc.h"

#include "base/base.h"
#include "net/net_internal.h"

/* Of all databases. */
#define MAX_SILENT 256

typedef struct SilentNode
{
	Oid database;
	int32 node_id;
} SilentNode;

typedef struct Silence
{
	pg_atomic_uint32 count; /* changed under the lock */
	LWLock *lock;
	SilentNode nodes[MAX_SILENT];
} Silence;

static Silence *silence = NULL;

static Size
shared_size(void)
{
	return sizeof(Silence);
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera silent nodes",
	.size = shared_size,
	.attach = attach_memory,
	.lock_name = "tessera_silence",
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	silence = memory;
	if (!is_new)
		return;
	pg_atomic_init_u32(&silence->count, 0);
	silence->lock = tess_shared_memory_lock(&piece);
}

/* Its place in the array; -1: none.  Under the lock. */
static int
find(int32 node_id)
{
	for (int i = 0; i < (int) pg_atomic_read_u32(&silence->count); i++)
		if (silence->nodes[i].database == MyDatabaseId &&
			silence->nodes[i].node_id == node_id)
			return i;
	return -1;
}

/* See net.h. */
bool
tess_node_is_silent(int32 node_id)
{
	bool is_silent;

	if (pg_atomic_read_u32(&silence->count) == 0)
		return false;
	LWLockAcquire(silence->lock, LW_SHARED);
	is_silent = find(node_id) >= 0;
	LWLockRelease(silence->lock);
	return is_silent;
}

/* See net.h. */
void
tess_node_note_silent(int32 node_id)
{
	uint32 count;

	if (node_id == 0)
		return;
	LWLockAcquire(silence->lock, LW_EXCLUSIVE);
	count = pg_atomic_read_u32(&silence->count);
	if (count < MAX_SILENT && find(node_id) < 0)
	{
		silence->nodes[count].database = MyDatabaseId;
		silence->nodes[count].node_id = node_id;
		pg_atomic_write_u32(&silence->count, count + 1);
	}
	LWLockRelease(silence->lock);
}

/* It has answered. */
void
tess_node_note_heard(int32 node_id)
{
	int at;

	if (node_id == 0 || pg_atomic_read_u32(&silence->count) == 0)
		return;
	LWLockAcquire(silence->lock, LW_EXCLUSIVE);
	at = find(node_id);
	if (at >= 0)
	{
		uint32 last = pg_atomic_read_u32(&silence->count) - 1;

		silence->nodes[at] = silence->nodes[last];
		pg_atomic_write_u32(&silence->count, last);
	}
	LWLockRelease(silence->lock);
}

void
tess_silence_init(void)
{
	tess_shared_memory_add(&piece);
}
