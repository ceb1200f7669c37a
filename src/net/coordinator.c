/*
 * coordinator.c - which coordinator a session on a node works for, by a name
 * that no two of them have at the same time: not a restored copy, nor a standby
 * that was promoted, nor one that was taken over from.
 *
 * A session of a node is told the name when it is opened (tessera.coordinator),
 * and claims it for its life.  Claims stand in shared memory, by backend id,
 * before anything is asked of the session.  What they are compared with is in
 * xact/take_over.c.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/backendid.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "net/net_internal.h"

PG_FUNCTION_INFO_V1(tess_coordinator_sessions);

typedef struct Claim
{
	slock_t mutex;
	int pid;
	Oid database;
	char name[TESS_COORDINATOR_SIZE];
} Claim;

static struct
{
	Claim *shared; /* by backend id, MaxBackends */
	char *setting;
} claims;

static Size
shared_size(void)
{
	return mul_size(MaxBackends, sizeof(Claim));
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera coordinators",
	.size = shared_size,
	.attach = attach_memory,
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	claims.shared = memory;
	if (!is_new)
		return;
	for (int i = 0; i < MaxBackends; i++)
		SpinLockInit(&claims.shared[i].mutex);
}

/*
 * "<number>.<system identifier>.<database>.<timeline>".  The number is that of
 * the last take_over(); the rest differs between a server, a copy of its
 * database, and one that has come out of recovery, be it a promoted standby or
 * a restored backup.
 */
char *
tess_coordinator_incarnation(void)
{
	TimeLineID timeline;

	if (RecoveryInProgress())
		(void) GetXLogReplayRecPtr(&timeline);
	else
		timeline = GetWALInsertionTimeLine();
	return psprintf("%d." UINT64_FORMAT ".%u.%u", tess_cat_cluster()->incarnation,
					GetSystemIdentifier(), MyDatabaseId, timeline);
}

char *
tess_coordinator_name(void)
{
	return psprintf("%s:%s", tess_cat_cluster()->cluster_id,
					tess_coordinator_incarnation());
}

const char *
tess_coordinator_claimed(void)
{
	return claims.setting;
}

/* tessera_internal.coordinator_sessions(): sessions of this database. */
Datum
tess_coordinator_sessions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *output = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < MaxBackends; i++)
	{
		Claim claim;
		Datum values[2];
		bool nulls[2] = {false};

		SpinLockAcquire(&claims.shared[i].mutex);
		claim = claims.shared[i];
		SpinLockRelease(&claims.shared[i].mutex);
		/* who has left has left his claim behind */
		if (claim.pid == 0 || claim.database != MyDatabaseId ||
			BackendPidGetProc(claim.pid) == NULL ||
			BackendPidGetProc(claim.pid)->backendId != i + 1)
			continue;
		values[0] = Int32GetDatum(claim.pid);
		values[1] = CStringGetTextDatum(claim.name);
		tuplestore_putvalues(output->setResult, output->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static bool
check_name(char **value, void **extra, GucSource source)
{
	if (strlen(*value) < TESS_COORDINATOR_SIZE &&
		strspn(*value, "0123456789abcdef:.-") == strlen(*value))
		return true;
	GUC_check_errdetail("It is no name of a coordinator.");
	return false;
}

static void
assign_name(const char *value, void *extra)
{
	Claim *own;

	if (value[0] == '\0' || claims.shared == NULL || MyProc == NULL ||
		MyBackendId < 1 || MyBackendId > MaxBackends)
		return;
	own = &claims.shared[MyBackendId - 1];
	SpinLockAcquire(&own->mutex);
	own->pid = MyProcPid;
	own->database = MyDatabaseId;
	strlcpy(own->name, value, sizeof(own->name));
	SpinLockRelease(&own->mutex);
}

void
tess_coordinator_init(void)
{
	DefineCustomStringVariable("tessera.coordinator",
							   "The coordinator that this session of a node works for.",
							   NULL, &claims.setting, "", PGC_BACKEND,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE |
								   GUC_DISALLOW_IN_FILE,
							   check_name, assign_name, NULL);
	tess_shared_memory_add(&piece);
}
