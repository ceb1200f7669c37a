/*
 * attempt.c - trying what may fail, and going on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/base.h"
#include "tessera.h"

/* The user wants the whole command to end, not just this attempt. */
static bool
ends_command(int sqlstate)
{
	return sqlstate == ERRCODE_QUERY_CANCELED ||
		   ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_OPERATOR_INTERVENTION;
}

ErrorData *
tess_attempt(void (*action)(void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		action(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error && ends_command(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

void
tess_error_raise_again(MemoryContext context, const char *hint)
{
	ErrorData *error;
	char *copy;

	MemoryContextSwitchTo(context);
	/* it may have been made where FlushErrorState() frees it */
	copy = pstrdup(hint);
	error = CopyErrorData();
	FlushErrorState();
	if (error->hint == NULL && !ends_command(error->sqlerrcode))
		error->hint = copy;
	ReThrowError(error);
}
