/*
 * worker.c - what all background workers of ours for a database have in common.
 */
#include "postgres.h"

#include "base/base.h"

/* See base.h. */
void
tess_worker_describe(BackgroundWorker *registration, const char *function,
					 const char *name, Oid database)
{
	memset(registration, 0, sizeof(*registration));
	registration->bgw_flags = BGWORKER_SHMEM_ACCESS |
							  BGWORKER_BACKEND_DATABASE_CONNECTION;
	registration->bgw_start_time = BgWorkerStart_RecoveryFinished;
	registration->bgw_restart_time = BGW_NEVER_RESTART;
	registration->bgw_main_arg = ObjectIdGetDatum(database);
	strlcpy(registration->bgw_library_name, TESS_EXTENSION, BGW_MAXLEN);
	strlcpy(registration->bgw_function_name, function, BGW_MAXLEN);
	strlcpy(registration->bgw_name, name, BGW_MAXLEN);
	strlcpy(registration->bgw_type, name, BGW_MAXLEN);
}
