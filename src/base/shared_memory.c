/*
 * shared_memory.c - pieces of shared memory that files of ours ask for: one
 * pair of hooks for all of them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "base/base_internal.h"

#define MAX_PIECES 16

static struct
{
	int count;
	const TessSharedPiece *pieces[MAX_PIECES];
	shmem_request_hook_type next_request;
	shmem_startup_hook_type next_startup;
} memory;

static void
request_memory(void)
{
	if (memory.next_request)
		memory.next_request();
	for (int i = 0; i < memory.count; i++)
	{
		const TessSharedPiece *piece = memory.pieces[i];

		RequestAddinShmemSpace(piece->size());
		if (piece->lock_name != NULL)
			RequestNamedLWLockTranche(piece->lock_name, 1);
	}
}

/* In each process that has the memory mapped anew; the first one finds it
 * without contents. */
static void
start_memory(void)
{
	if (memory.next_startup)
		memory.next_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < memory.count; i++)
	{
		const TessSharedPiece *piece = memory.pieces[i];
		bool found;
		void *start = ShmemInitStruct(piece->name, piece->size(), &found);

		if (!found)
			memset(start, 0, piece->size());
		piece->attach(start, !found);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* While the library is preloaded.  piece has to stay where it is. */
void
tess_shared_memory_add(const TessSharedPiece *piece)
{
	if (memory.count == MAX_PIECES)
		elog(ERROR, "more than %d pieces of shared memory", MAX_PIECES);
	memory.pieces[memory.count++] = piece;
}

/* The lock of a piece. */
LWLock *
tess_shared_memory_lock(const TessSharedPiece *piece)
{
	return &GetNamedLWLockTranche(piece->lock_name)->lock;
}

void
tess_shared_memory_init(void)
{
	memory.next_request = shmem_request_hook;
	shmem_request_hook = request_memory;
	memory.next_startup = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}
