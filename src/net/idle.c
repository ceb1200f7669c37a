/*
 * idle.c - how a session that waits for its client comes to close connections.
 *
 * PostgreSQL lets a waiting backend do one thing: catch up with invalidations,
 * in an empty transaction of its own.  The pool looks at its idle connections
 * at the end of every transaction, so asking a backend to catch up, by a timer
 * or by the signal that is made for it, has it look.  Inside a transaction
 * block it looks at the end of that.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/procsignal.h"
#include "storage/sinval.h"
#include "utils/timeout.h"

#include "net/net_internal.h"

static TimeoutId timer = MAX_TIMEOUTS; /* not registered yet */

/* The pool of this backend is to be looked at by then, or soon after. */
void
tess_idle_look_at(TimestampTz at)
{
	if (MyBackendType != B_BACKEND)
		return;
	if (timer == MAX_TIMEOUTS)
		timer = RegisterTimeout(USER_TIMEOUT, HandleCatchupInterrupt);
	/* one that goes off earlier sets the next one */
	if (!get_timeout_active(timer) || at < get_timeout_finish_time(timer))
		enable_timeout_at(timer, at);
}

/* Another backend is to look at its pool now. */
void
tess_idle_wake(int pid, BackendId backend)
{
	(void) SendProcSignal(pid, PROCSIG_CATCHUP_INTERRUPT, backend);
}
