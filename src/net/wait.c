/*
 * wait.c - the one place where a backend waits for nodes: latch, sockets,
 * interrupts and a deadline.
 *
 * The event set is kept from one wait to the next, and made anew only when
 * the sockets are others.  A session that is closed drops it, because its
 * socket's number may come back with another connection behind it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "net/net_internal.h"

/* Latch and postmaster. */
#define OTHER_EVENTS 2

static struct
{
	WaitEventSet *set;	   /* NULL: none */
	MemoryContext context; /* holds the arrays and the set */
	int count;
	uint64 *serials;
	uint32 *events;
	WaitEvent *occurred;
} kept;

/* The sockets of the kept set may be gone. */
void
tess_wait_forget(void)
{
	if (kept.set)
		FreeWaitEventSet(kept.set);
	kept.set = NULL;
	if (kept.context)
		MemoryContextReset(kept.context);
}

static bool
is_kept(int count, TessSession *const *sessions)
{
	if (kept.set == NULL || kept.count != count)
		return false;
	for (int i = 0; i < count; i++)
	{
		if (kept.serials[i] != sessions[i]->serial)
			return false;
	}
	return true;
}

static void
make_set(int count, TessSession *const *sessions)
{
	WaitEventSet *set;

	tess_wait_forget();
	if (kept.context == NULL)
		kept.context = AllocSetContextCreate(TopMemoryContext, "tessera wait",
											 ALLOCSET_SMALL_SIZES);
	kept.serials = MemoryContextAllocZero(kept.context, sizeof(uint64) * count);
	kept.events = MemoryContextAlloc(kept.context, sizeof(uint32) * count);
	kept.occurred = MemoryContextAlloc(
		kept.context, sizeof(WaitEvent) * (count + OTHER_EVENTS));
	kept.count = count;

	set = CreateWaitEventSet(kept.context, count + OTHER_EVENTS);
	kept.set = set;
	for (int i = 0; i < count; i++)
	{
		/* Not yet whole: no session has this serial. */
		kept.serials[i] = 0;
		kept.events[i] = WL_SOCKET_READABLE;
		AddWaitEventToSet(set, WL_SOCKET_READABLE, PQsocket(sessions[i]->conn),
						  NULL, NULL);
	}
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
		kept.serials[i] = sessions[i]->serial;
}

/*
 * Sends what can be sent, and sets the events to wait for.  False if one of
 * the sessions is broken: then there is nothing to wait for.
 */
static bool
prepare(int count, TessSession *const *sessions)
{
	for (int i = 0; i < count; i++)
	{
		if (sessions[i]->broken || PQsocket(sessions[i]->conn) < 0)
			return false;
	}
	if (!is_kept(count, sessions))
		make_set(count, sessions);

	for (int i = 0; i < count; i++)
	{
		int unsent = PQflush(sessions[i]->conn);
		uint32 events = WL_SOCKET_READABLE;

		if (unsent < 0)
		{
			tess_session_break(sessions[i], NULL);
			return false;
		}
		/* Reading goes on meanwhile: the node may have to send first. */
		if (unsent > 0)
			events |= WL_SOCKET_WRITEABLE;
		if (events != kept.events[i])
			ModifyWaitEvent(kept.set, i, events, NULL);
		kept.events[i] = events;
	}
	return true;
}

static bool
wait_for_sessions(int count, TessSession *const *sessions, TimestampTz deadline,
				  bool held)
{
	Assert(count > 0);
	for (;;)
	{
		long timeout_ms = -1;
		bool woken = false;
		int occurred;

		if (!held)
			CHECK_FOR_INTERRUPTS();
		else if (QueryCancelPending || ProcDiePending)
			return false;
		if (!prepare(count, sessions))
			return true;
		if (deadline != 0)
		{
			timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														 deadline);
			if (timeout_ms <= 0)
				return false;
		}

		occurred = WaitEventSetWait(kept.set, timeout_ms, kept.occurred,
									count + OTHER_EVENTS, PG_WAIT_EXTENSION);
		for (int i = 0; i < occurred; i++)
		{
			WaitEvent *event = &kept.occurred[i];

			if (event->events & WL_LATCH_SET)
				ResetLatch(MyLatch);
			else
			{
				woken = true;
				if (event->events & WL_SOCKET_READABLE)
					sessions[event->pos]->may_read = true;
			}
		}
		if (woken)
		{
			if (!held)
				CHECK_FOR_INTERRUPTS();
			return true;
		}
	}
}

bool
tess_net_wait(int count, TessSession *const *sessions, TimestampTz deadline)
{
	return wait_for_sessions(count, sessions, deadline, false);
}

bool
tess_net_wait_held(int count, TessSession *const *sessions,
				   TimestampTz deadline)
{
	return wait_for_sessions(count, sessions, deadline, true);
}

/*
 * Waits for a socket that is not a session's, with interrupts held.  False
 * when the deadline has passed or an interrupt wants us elsewhere.
 */
bool
tess_wait_socket(pgsocket sock, int events, TimestampTz deadline)
{
	for (;;)
	{
		long timeout_ms;
		int occurred;

		if (QueryCancelPending || ProcDiePending)
			return false;
		timeout_ms =
			TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
		if (timeout_ms <= 0)
			return false;
		occurred = WaitLatchOrSocket(
			MyLatch, events | WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
			sock, timeout_ms, PG_WAIT_EXTENSION);
		if (occurred & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (occurred & events)
			return true;
	}
}
