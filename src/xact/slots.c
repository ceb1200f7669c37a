/*
 * slots.c - what backends tell the recovery, in shared memory: which two-phase
 * transaction each of them has under way, and in which databases none can be
 * in doubt.
 *
 * A backend writes its own slot, before the first PREPARE leaves and after
 * everything is told to the nodes; anybody reads.  So a transaction that is
 * prepared on a node and stands in no slot is over: its record, or that there
 * is none, is final.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/backendid.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "tessera.h"
#include "base/base.h"
#include "xact/xact.h"
#include "xact/xact_internal.h"

/* More than these cost a connection for each look of the recovery. */
#define MAX_QUIET_DATABASES 256

typedef struct Slot
{
	slock_t mutex;
	char gid[GIDSIZE]; /* without the part; empty: none */
} Slot;

typedef struct Slots
{
	uint64 boot; /* a random number for each start of this memory */

	/* Guards what follows, up to the slots. */
	slock_t mutex;
	uint64 commits; /* two-phase commits begun since the server started */
	int quiet_count;
	Oid quiet[MAX_QUIET_DATABASES];

	Slot slots[FLEXIBLE_ARRAY_MEMBER]; /* by backend id, MaxBackends */
} Slots;

static struct
{
	Slots *shared;
	bool exit_registered;
} slots;

static Size
shared_size(void)
{
	return add_size(offsetof(Slots, slots), mul_size(MaxBackends, sizeof(Slot)));
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera transactions",
	.size = shared_size,
	.attach = attach_memory,
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	slots.shared = memory;
	if (!is_new)
		return;
	if (!pg_strong_random(&slots.shared->boot, sizeof(uint64)))
		ereport(ERROR, (errcode(ERRCODE_SYSTEM_ERROR),
						errmsg("could not generate a random number")));
	SpinLockInit(&slots.shared->mutex);
	for (int i = 0; i < MaxBackends; i++)
		SpinLockInit(&slots.shared->slots[i].mutex);
}

static Slot *
own_slot(void)
{
	Assert(MyBackendId >= 1 && MyBackendId <= MaxBackends);
	return &slots.shared->slots[MyBackendId - 1];
}

static void
write_slot(const char *gid)
{
	Slot *slot = own_slot();

	SpinLockAcquire(&slot->mutex);
	strlcpy(slot->gid, gid, GIDSIZE);
	SpinLockRelease(&slot->mutex);
}

/* A backend may leave from the middle of a callback.  Its transaction has been
 * rolled back by then. */
static void
clear_at_exit(int code, Datum arg)
{
	write_slot("");
}

/* This database has something for the recovery to look at. */
static void
note_commit(void)
{
	Slots *shared = slots.shared;

	SpinLockAcquire(&shared->mutex);
	shared->commits++;
	for (int i = 0; i < shared->quiet_count; i++)
	{
		if (shared->quiet[i] == MyDatabaseId)
		{
			shared->quiet[i] = shared->quiet[--shared->quiet_count];
			break;
		}
	}
	SpinLockRelease(&shared->mutex);
}

/* The transaction with this gid (without the part) is under way here. */
void
tess_slot_write(const char *gid)
{
	if (!slots.exit_registered)
	{
		on_shmem_exit(clear_at_exit, (Datum) 0);
		slots.exit_registered = true;
	}
	write_slot(gid);
	note_commit();
}

/* It has ended, and the nodes that could be told have been told. */
void
tess_slot_clear(void)
{
	if (slots.exit_registered)
		write_slot("");
}

/* True if a live backend is between its first PREPARE and the end of its
 * commit or rollback with this gid (without the part). */
bool
tess_slot_is_taken(const char *gid)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		Slot *slot = &slots.shared->slots[i];
		bool same;

		SpinLockAcquire(&slot->mutex);
		same = strcmp(slot->gid, gid) == 0;
		SpinLockRelease(&slot->mutex);
		if (same)
			return true;
	}
	return false;
}

/* The gids (without parts) of all that is under way now; palloc'd. */
List *
tess_slots_list(void)
{
	List *gids = NIL;

	for (int i = 0; i < MaxBackends; i++)
	{
		Slot *slot = &slots.shared->slots[i];
		char gid[GIDSIZE];

		SpinLockAcquire(&slot->mutex);
		strlcpy(gid, slot->gid, GIDSIZE);
		SpinLockRelease(&slot->mutex);
		if (gid[0] != '\0')
			gids = lappend(gids, pstrdup(gid));
	}
	return gids;
}

/* The id of the backend that has this part (a whole gid) under way, 0 if none
 * has. */
int
tess_slot_backend(const char *gid)
{
	const char *part = strrchr(gid, ':');
	size_t length = part ? part - gid : 0;

	for (int i = 0; length > 0 && i < MaxBackends; i++)
	{
		Slot *slot = &slots.shared->slots[i];
		bool same;

		SpinLockAcquire(&slot->mutex);
		same = strncmp(slot->gid, gid, length) == 0 && slot->gid[length] == '\0';
		SpinLockRelease(&slot->mutex);
		if (same)
			return i + 1;
	}
	return 0;
}

uint64
tess_xact_commits(void)
{
	uint64 commits;

	SpinLockAcquire(&slots.shared->mutex);
	commits = slots.shared->commits;
	SpinLockRelease(&slots.shared->mutex);
	return commits;
}

/*
 * A number that this server has not had before a crash or a restart: after
 * either, transaction ids that nothing on disk knows of are given out again.
 */
uint64
tess_slots_boot(void)
{
	return slots.shared->boot;
}

static int
find_quiet(Oid database)
{
	for (int i = 0; i < slots.shared->quiet_count; i++)
	{
		if (slots.shared->quiet[i] == database)
			return i;
	}
	return -1;
}

bool
tess_xact_is_quiet(Oid database)
{
	bool quiet;

	SpinLockAcquire(&slots.shared->mutex);
	quiet = find_quiet(database) >= 0;
	SpinLockRelease(&slots.shared->mutex);
	return quiet;
}

void
tess_xact_set_quiet(Oid database, uint64 commits)
{
	Slots *shared = slots.shared;

	SpinLockAcquire(&shared->mutex);
	if (shared->commits == commits && find_quiet(database) < 0 &&
		shared->quiet_count < MAX_QUIET_DATABASES)
		shared->quiet[shared->quiet_count++] = database;
	SpinLockRelease(&shared->mutex);
}

void
tess_xact_forget_quiet(void)
{
	SpinLockAcquire(&slots.shared->mutex);
	slots.shared->quiet_count = 0;
	SpinLockRelease(&slots.shared->mutex);
}

void
tess_slots_init(void)
{
	tess_shared_memory_add(&piece);
}
