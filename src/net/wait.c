/*
 * wait.c - the one place where a backend waits for nodes: latch, sockets,
 * interrupts and a deadline.
 *
 * Event sets are kept from one wait to the next, those of the last few sets of
 * sessions: statements by key wait for one node, and then for another.  A
 * session that is closed drops them all, because its socket's number may come
 * back with another connection behind it.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "net/net_internal.h"

/* Latch and postmaster. */
#define OTHER_EVENTS 2

/* Each costs a file descriptor. */
#define KEPT_SETS 4

typedef struct KeptSet
{
	WaitEventSet *set;	   /* NULL: none */
	MemoryContext context; /* holds the arrays and the set */
	int count;
	uint64 *serials;
	uint32 *events;
	WaitEvent *occurred;
} KeptSet;

const TessLongWait *tess_net_long_wait = NULL;

static struct
{
	KeptSet sets[KEPT_SETS];
	int next; /* the one to be made anew */
} kept;

static void
drop_set(KeptSet *kept_set)
{
	if (kept_set->set)
		FreeWaitEventSet(kept_set->set);
	kept_set->set = NULL;
	if (kept_set->context)
		MemoryContextReset(kept_set->context);
}

/* The sockets of the kept sets may be gone. */
void
tess_wait_forget(void)
{
	for (int i = 0; i < KEPT_SETS; i++)
		drop_set(&kept.sets[i]);
}

/* Latch and postmaster are watched by every set. */
static void
add_other_events(WaitEventSet *set)
{
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_POSTMASTER_DEATH, PGINVALID_SOCKET, NULL, NULL);
}

/*
 * True if an event is one of these.  Without a postmaster the process ends, but
 * not from a wait in which nothing may be raised: leaving a transaction that is
 * being committed or aborted, it would abort it once more.  It is a termination
 * to those.
 */
static bool
is_other_event(const WaitEvent *event, bool held)
{
	if (event->events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	else if ((event->events & WL_POSTMASTER_DEATH) == 0)
		return false;
	else if (held)
		ProcDiePending = InterruptPending = true;
	else
		proc_exit(1);
	return true;
}

static bool
is_for(const KeptSet *kept_set, int count, TessSession *const *sessions)
{
	if (kept_set->set == NULL || kept_set->count != count)
		return false;
	for (int i = 0; i < count; i++)
	{
		if (kept_set->serials[i] != sessions[i]->serial)
			return false;
	}
	return true;
}

static KeptSet *
make_set(int count, TessSession *const *sessions)
{
	KeptSet *made = &kept.sets[kept.next];
	WaitEventSet *set;

	kept.next = (kept.next + 1) % KEPT_SETS;
	drop_set(made);
	if (made->context == NULL)
		made->context = AllocSetContextCreate(TopMemoryContext, "tessera wait",
											  ALLOCSET_SMALL_SIZES);
	made->serials = MemoryContextAllocZero(made->context, sizeof(uint64) * count);
	made->events = MemoryContextAlloc(made->context, sizeof(uint32) * count);
	made->occurred = MemoryContextAlloc(made->context,
										sizeof(WaitEvent) *
											(count + OTHER_EVENTS));
	made->count = count;

	set = CreateWaitEventSet(made->context, count + OTHER_EVENTS);
	made->set = set;
	for (int i = 0; i < count; i++)
	{
		/* Not yet whole: no session has this serial. */
		made->serials[i] = 0;
		made->events[i] = WL_SOCKET_READABLE;
		AddWaitEventToSet(set, WL_SOCKET_READABLE, PQsocket(sessions[i]->conn),
						  NULL, NULL);
	}
	add_other_events(set);
	for (int i = 0; i < count; i++)
		made->serials[i] = sessions[i]->serial;
	return made;
}

static KeptSet *
find_set(int count, TessSession *const *sessions)
{
	for (int i = 0; i < KEPT_SETS; i++)
	{
		if (is_for(&kept.sets[i], count, sessions))
			return &kept.sets[i];
	}
	return make_set(count, sessions);
}

/*
 * Sends what can be sent, and sets the events to wait for.  NULL if one of
 * the sessions is broken: then there is nothing to wait for.
 */
static KeptSet *
prepare(int count, TessSession *const *sessions)
{
	KeptSet *ready;

	for (int i = 0; i < count; i++)
	{
		if (sessions[i]->broken || PQsocket(sessions[i]->conn) < 0)
			return NULL;
	}
	ready = find_set(count, sessions);

	for (int i = 0; i < count; i++)
	{
		int unsent = PQflush(sessions[i]->conn);
		uint32 events = WL_SOCKET_READABLE;

		if (unsent < 0)
		{
			tess_session_break(sessions[i], NULL);
			return NULL;
		}
		/* Reading goes on meanwhile: the node may have to send first. */
		if (unsent > 0)
			events |= WL_SOCKET_WRITEABLE;
		if (events != ready->events[i])
			ModifyWaitEvent(ready->set, i, events, NULL);
		ready->events[i] = events;
	}
	return ready;
}

/* The wait is over, or about to raise. */
void
tess_patience_end(TessPatience *patience)
{
	if (patience->is_over && tess_net_long_wait != NULL)
		tess_net_long_wait->ended();
	patience->is_over = false;
}

/* Who is told of a long wait must not believe in it after an error. */
static void
check_interrupts(TessPatience *patience)
{
	if (INTERRUPTS_PENDING_CONDITION())
	{
		tess_patience_end(patience);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Before each part of a wait: milliseconds of patience left.  Tells if there are
 * none, which may raise.
 */
long
tess_patience_use(TessPatience *patience)
{
	TimestampTz now = GetCurrentTimestamp();

	if (tess_net_long_wait == NULL)
		return INT_MAX;
	if (patience->until == 0)
		patience->until = TimestampTzPlusMilliseconds(now, DeadlockTimeout);
	else if (now >= patience->until || patience->is_over)
	{
		patience->is_over = false; /* should it raise */
		tess_net_long_wait->waits(patience->connection_to);
		patience->is_over = true;
		if (now >= patience->until)
			patience->until = TimestampTzPlusMilliseconds(now, DeadlockTimeout);
	}
	return Max(TimestampDifferenceMilliseconds(now, patience->until), 1);
}

static bool
wait_for_sessions(int count, TessSession *const *sessions, TimestampTz deadline,
				  bool held, TessPatience *patience)
{
	Assert(count > 0);
	for (;;)
	{
		KeptSet *ready;
		long timeout_ms = -1;
		bool woken = false;
		int occurred;

		if (!held)
			check_interrupts(patience);
		else if (QueryCancelPending || ProcDiePending)
			return false;
		ready = prepare(count, sessions);
		if (ready == NULL)
			return true;
		if (deadline != 0)
		{
			timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														 deadline);
			if (timeout_ms <= 0)
				return false;
		}
		if (!held)
		{
			long patience_ms = tess_patience_use(patience);

			timeout_ms = timeout_ms < 0 ? patience_ms
										: Min(timeout_ms, patience_ms);
		}

		occurred = WaitEventSetWait(ready->set, timeout_ms, ready->occurred,
									count + OTHER_EVENTS, PG_WAIT_EXTENSION);
		for (int i = 0; i < occurred; i++)
		{
			WaitEvent *event = &ready->occurred[i];

			if (is_other_event(event, held))
				continue;
			woken = true;
			if (event->events & WL_SOCKET_READABLE)
				sessions[event->pos]->may_read = true;
		}
		if (woken)
		{
			if (!held)
				check_interrupts(patience);
			return true;
		}
	}
}

bool
tess_net_wait(int count, TessSession *const *sessions, TimestampTz deadline)
{
	TessPatience patience = {0};
	bool ready;

	ready = wait_for_sessions(count, sessions, deadline, false, &patience);
	tess_patience_end(&patience);
	return ready;
}

bool
tess_net_wait_held(int count, TessSession *const *sessions, TimestampTz deadline)
{
	return wait_for_sessions(count, sessions, deadline, true, NULL);
}

bool
tess_net_pause(int pause_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													pause_ms);

	(void) tess_wait_sockets(0, NULL, until);
	return !QueryCancelPending && !ProcDiePending;
}

/*
 * Waits with interrupts held until one of the sockets, which are not those of
 * sessions, has what is waited for, and notes which have.  False when the
 * deadline has passed or an interrupt wants us elsewhere.
 */
bool
tess_wait_sockets(int count, TessSocketWait *waits, TimestampTz deadline)
{
	WaitEventSet *set = CreateWaitEventSet(CurrentMemoryContext,
										   count + OTHER_EVENTS);
	WaitEvent *events = palloc(sizeof(WaitEvent) * (count + OTHER_EVENTS));
	int occurred = 0;
	bool ready = false;

	for (int i = 0; i < count; i++)
	{
		waits[i].ready = false;
		AddWaitEventToSet(set, waits[i].events, waits[i].sock, NULL, &waits[i]);
	}
	add_other_events(set);

	while (!ready && !QueryCancelPending && !ProcDiePending)
	{
		long timeout_ms;

		timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 deadline);
		if (timeout_ms <= 0)
			break;
		occurred = WaitEventSetWait(set, timeout_ms, events,
									count + OTHER_EVENTS, PG_WAIT_EXTENSION);
		for (int i = 0; i < occurred; i++)
		{
			TessSocketWait *wait = events[i].user_data;

			if (!is_other_event(&events[i], true))
				ready = wait->ready = true;
		}
	}
	FreeWaitEventSet(set);
	pfree(events);
	return ready;
}
