/*
 * origin.c - who a session is, over all servers: the name that a session on a
 * node has from the session it works for.
 *
 * Names stand in shared memory, one for each backend id, written by their
 * backend alone and read by anybody.  A name is good for the process that wrote
 * it: who looks one up gives the pid.  What opens connections to nodes has a
 * name, or was given one when it was connected to (tessera.origin).
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/backendid.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/guc.h"

#include "base/base.h"
#include "net/net_internal.h"

typedef struct Origin
{
	slock_t mutex;
	int pid;
	char name[TESS_ORIGIN_SIZE];
} Origin;

static struct
{
	Origin *shared; /* by backend id, MaxBackends */
	char *setting;
	char name[TESS_ORIGIN_SIZE]; /* this backend's, once it needs one */
} origins;

static Size
shared_size(void)
{
	return mul_size(MaxBackends, sizeof(Origin));
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera origins",
	.size = shared_size,
	.attach = attach_memory,
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	origins.shared = memory;
	if (!is_new)
		return;
	for (int i = 0; i < MaxBackends; i++)
		SpinLockInit(&origins.shared[i].mutex);
}

static void
publish(const char *name)
{
	Origin *own;

	strlcpy(origins.name, name, sizeof(origins.name));
	if (origins.shared == NULL || MyProc == NULL || MyBackendId < 1 ||
		MyBackendId > MaxBackends)
		return;
	own = &origins.shared[MyBackendId - 1];
	SpinLockAcquire(&own->mutex);
	own->pid = MyProcPid;
	strlcpy(own->name, name, sizeof(own->name));
	SpinLockRelease(&own->mutex);
}

const char *
tess_origin_own(void)
{
	if (origins.name[0] == '\0')
	{
		char name[TESS_ORIGIN_SIZE];

		snprintf(name, sizeof(name), UINT64_FORMAT ":%d:" INT64_FORMAT,
				 GetSystemIdentifier(), MyProcPid, MyStartTimestamp);
		publish(name);
	}
	return origins.name;
}

bool
tess_origin_is_another(void)
{
	return origins.setting != NULL && origins.setting[0] != '\0';
}

bool
tess_origin_of_backend(int backend_id, int pid, char *name)
{
	Origin *origin;
	bool found;

	if (backend_id < 1 || backend_id > MaxBackends)
		return false;
	origin = &origins.shared[backend_id - 1];
	SpinLockAcquire(&origin->mutex);
	found = origin->pid == pid && origin->name[0] != '\0';
	if (found)
		strlcpy(name, origin->name, TESS_ORIGIN_SIZE);
	SpinLockRelease(&origin->mutex);
	return found;
}

static bool
check_origin(char **value, void **extra, GucSource source)
{
	if (strlen(*value) < TESS_ORIGIN_SIZE &&
		strspn(*value, "0123456789:") == strlen(*value))
		return true;
	GUC_check_errdetail("It is no name of a session.");
	return false;
}

static void
assign_origin(const char *value, void *extra)
{
	if (value[0] != '\0')
		publish(value);
}

void
tess_origin_init(void)
{
	DefineCustomStringVariable("tessera.origin",
							   "The session of another server that this one works for.",
							   NULL, &origins.setting, "", PGC_BACKEND,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE |
								   GUC_DISALLOW_IN_FILE,
							   check_origin, assign_origin, NULL);
	tess_shared_memory_add(&piece);
}
