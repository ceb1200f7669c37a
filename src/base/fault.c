/*
 * fault.c - named places where a test makes a session fail.
 *
 * tessera.fault_points is a list of name:action[:number].  Actions:
 *	error	raises an error; with a number, at that hit only
 *	kill	kills this backend as a crash would; number as above
 *	wait	waits until the point is no longer in the setting after a reload,
 *			or for a cancel; number as above
 *	lock	waits for the advisory lock of that number, and releases it
 * Hits are counted from the last change of the setting.
 */
#include "postgres.h"

#include <signal.h>

#include "base/base.h"
#include "base/base_internal.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

#define MAX_FAULT_POINTS 16

typedef enum FaultAction
{
	FAULT_ERROR,
	FAULT_KILL,
	FAULT_WAIT,
	FAULT_LOCK
} FaultAction;

typedef struct FaultPoint
{
	char name[NAMEDATALEN];
	FaultAction action;
	int64 number; /* 0 if none was given */
	int64 hits;
} FaultPoint;

/* What the check hook made of the setting; malloc'd, owned by guc.c. */
typedef struct FaultPoints
{
	int count;
	FaultPoint points[MAX_FAULT_POINTS];
} FaultPoints;

bool tess_faults_armed = false;

static char *fault_points_setting = NULL;
static FaultPoints *armed = NULL;

static const char *const action_names[] = {"error", "kill", "wait", "lock"};

/* Reads one name:action[:number] (which it cuts up); false if it is none. */
static bool
parse_point(char *text, FaultPoint *point)
{
	char *action = strchr(text, ':');
	char *number;
	char *end;

	memset(point, 0, sizeof(FaultPoint));
	if (action == NULL || action == text)
		return false;
	*action++ = '\0';
	number = strchr(action, ':');
	if (number != NULL)
	{
		*number++ = '\0';
		point->number = strtol(number, &end, 10);
		if (*number == '\0' || *end != '\0' || point->number <= 0)
			return false;
	}
	strlcpy(point->name, text, NAMEDATALEN);
	for (int i = 0; i < lengthof(action_names); i++)
		if (strcmp(action, action_names[i]) == 0)
		{
			point->action = (FaultAction) i;
			return i != FAULT_LOCK || point->number > 0;
		}
	return false;
}

static bool
check_fault_points(char **newval, void **extra, GucSource source)
{
	char *text = strdup(*newval);
	FaultPoints *points = malloc(sizeof(FaultPoints));
	char *rest;
	bool ok = text != NULL && points != NULL;

	if (ok)
		points->count = 0;
	for (char *word = ok ? strtok_r(text, ", ", &rest) : NULL;
		 ok && word != NULL; word = strtok_r(NULL, ", ", &rest))
	{
		ok = points->count < MAX_FAULT_POINTS &&
			 parse_point(word, &points->points[points->count]);
		if (!ok)
			GUC_check_errdetail("Each fault point is name:action or name:action:number, and there are at most %d.",
								MAX_FAULT_POINTS);
		points->count++;
	}
	free(text);
	if (!ok)
	{
		free(points);
		return false;
	}
	*extra = points;
	return true;
}

static void
assign_fault_points(const char *newval, void *extra)
{
	armed = extra;
	tess_faults_armed = armed != NULL && armed->count > 0;
}

/* The armed point of that name, NULL if it is not armed. */
static FaultPoint *
find_point(const char *name)
{
	for (int i = 0; armed != NULL && i < armed->count; i++)
		if (strcmp(armed->points[i].name, name) == 0)
			return &armed->points[i];
	return NULL;
}

/*
 * Waits until the setting has lost the point; errors on cancel.  Without a
 * postmaster the process ends, but not where nothing may be raised, as in a
 * transaction that has just committed: there it is a termination.
 */
static void
wait_at(const char *name)
{
	while (find_point(name) != NULL)
	{
		int events = WaitLatch(MyLatch, WL_LATCH_SET | WL_POSTMASTER_DEATH, -1L,
							   PG_WAIT_EXTENSION);

		if ((events & WL_POSTMASTER_DEATH) != 0)
		{
			if (InterruptHoldoffCount == 0)
				proc_exit(1);
			ProcDiePending = InterruptPending = true;
			return;
		}
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

/* Does what the setting says for the point of this name, if it is armed. */
void
tess_fault_hit(const char *name)
{
	FaultPoint *point = find_point(name);

	if (point == NULL)
		return;
	point->hits++;
	if (point->action == FAULT_LOCK)
	{
		Datum key = Int64GetDatum(point->number);

		DirectFunctionCall1(pg_advisory_lock_int8, key);
		DirectFunctionCall1(pg_advisory_unlock_int8, key);
		return;
	}
	if (point->number != 0 && point->hits != point->number)
		return;

	switch (point->action)
	{
		case FAULT_ERROR:
			ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
							errmsg("fault point \"%s\" was reached", name)));
			break;
		case FAULT_KILL:
			kill(MyProcPid, SIGKILL);
			break;
		case FAULT_WAIT:
			wait_at(name);
			break;
		case FAULT_LOCK:
			break;
	}
}

void
tess_fault_init(void)
{
	DefineCustomStringVariable("tessera.fault_points",
							   "Places in the code where sessions fail, for tests.",
							   "A list of name:action, where action is error, kill, wait or lock.",
							   &fault_points_setting, "", PGC_SUSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							   check_fault_points, assign_fault_points, NULL);
}
