/*
 * ticket.c - on a node: which transaction a session for another server has
 * committed last.
 *
 * Who sends a transaction, or a statement that is one, gives it a number, its
 * ticket: a BEGIN has it in a comment (a parameter would need a snapshot, before
 * which the isolation level has to be known), a statement as one more parameter,
 * which it does not use.  So it costs no message of its own.  The session notes the ticket of what
 * it has committed in shared memory, after the commit and before anybody can
 * know of it but by reading the session's answer; when the session ends, that
 * goes to a list of those that have ended last.  Sessions have names that are
 * never given twice, and tell them when they are connected to
 * (tessera.session_name).
 *
 * All of it is forgotten when the server crashes: then names are of another boot.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/procsignal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
#include "utils/xid8.h"

#include "base/base.h"
#include "net/net.h"
#include "xact/ticket.h"
#include "xact/xact_internal.h"

PG_FUNCTION_INFO_V1(tess_transaction_outcome);
PG_FUNCTION_INFO_V1(tess_transaction_await);

/* A session's last ticket is asked for within tessera.commit_wait of its end. */
#define ENDED_COUNT 1024

/* A session that is there: written by itself, but for serial and pid without a
 * lock. */
typedef struct Living
{
	uint64 serial; /* 0: none */
	int pid;
	pg_atomic_uint64 committed; /* its last ticket; 0: none */
	uint64 processed;			/* rows of that; read by itself alone */
} Living;

typedef struct Ended
{
	uint64 serial; /* 0: none yet */
	uint64 committed;
	uint64 processed;
} Ended;

typedef struct Tickets
{
	LWLock *lock; /* who lives and who has ended */
	ConditionVariable somebody_ended;
	uint64 last_serial;
	uint64 ended_count; /* ever */
	Ended ended[ENDED_COUNT];
	Living living[FLEXIBLE_ARRAY_MEMBER]; /* by backend id, MaxBackends */
} Tickets;

static struct
{
	Tickets *shared;
	Living *own; /* NULL: works for no other server, or not asked yet */
	char name[NAMEDATALEN];
	uint64 taken;	  /* by the transaction that is open; 0: none */
	uint64 processed; /* rows, by its last statement */
} tickets;

static Size
shared_size(void)
{
	return add_size(offsetof(Tickets, living),
					mul_size(MaxBackends, sizeof(Living)));
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera tickets",
	.size = shared_size,
	.attach = attach_memory,
	.lock_name = "tessera_tickets",
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	tickets.shared = memory;
	if (!is_new)
		return;
	tickets.shared->lock = tess_shared_memory_lock(&piece);
	ConditionVariableInit(&tickets.shared->somebody_ended);
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u64(&tickets.shared->living[i].committed, 0);
}

/* The transaction that was open has been rolled back by now. */
static void
end_session(int code, Datum arg)
{
	Tickets *shared = tickets.shared;
	Living *own = tickets.own;
	Ended *ended;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	ended = &shared->ended[shared->ended_count++ % ENDED_COUNT];
	ended->serial = own->serial;
	ended->committed = pg_atomic_read_u64(&own->committed);
	ended->processed = own->processed;
	own->serial = 0;
	LWLockRelease(shared->lock);
	ConditionVariableBroadcast(&shared->somebody_ended);
}

static void
begin_session(void)
{
	Tickets *shared = tickets.shared;
	Living *own = &shared->living[MyBackendId - 1];

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	own->serial = ++shared->last_serial;
	own->pid = MyProcPid;
	pg_atomic_write_u64(&own->committed, 0);
	LWLockRelease(shared->lock);
	tickets.own = own;
	on_shmem_exit(end_session, 0);
	snprintf(tickets.name, sizeof(tickets.name),
			 UINT64_FORMAT "." UINT64_FORMAT, tess_slots_boot(), own->serial);
}

/* What the server reports to who connects: nothing, unless he is a server. */
static const char *
show_name(void)
{
	if (tickets.own == NULL && tickets.shared != NULL && IsUnderPostmaster &&
		MyBackendId >= 1 && MyBackendId <= MaxBackends &&
		MyBackendType == B_BACKEND && tess_origin_is_another())
		begin_session();
	return tickets.name;
}

/* See ticket.h.  It tells who gave it, so that no value of a user's is taken for
 * one. */
uint64
tess_ticket_make(const char *origin, uint64 number)
{
	uint32 hash = hash_bytes((const unsigned char *) origin, strlen(origin));

	return (uint64) hash << 32 | (uint32) number;
}

static void
take(uint64 ticket)
{
	if (tickets.taken == 0 &&
		ticket == tess_ticket_make(tess_origin_own(), ticket))
		tickets.taken = ticket;
}

/* See xact.h. */
void
tess_ticket_take(const ParamListInfoData *params)
{
	const ParamExternData *last;

	if (tickets.own == NULL || params == NULL || params->numParams == 0 ||
		params->paramFetch != NULL)
		return;
	last = &params->params[params->numParams - 1];
	if (last->ptype == XID8OID && !last->isnull)
		take(U64FromFullTransactionId(DatumGetFullTransactionId(last->value)));
}

/* See xact.h. */
void
tess_ticket_read(const char *begin)
{
	const char *comment = tickets.own ? strstr(begin, TESS_TICKET_COMMENT) : NULL;

	if (comment != NULL)
		take(strtou64(comment + strlen(TESS_TICKET_COMMENT), NULL, 10));
}

/* See xact.h. */
bool
tess_ticket_is_taken(void)
{
	return tickets.taken != 0;
}

/* See xact.h. */
void
tess_ticket_note_rows(uint64 processed)
{
	tickets.processed = processed;
}

/* The transaction has ended. */
void
tess_ticket_end(bool committed)
{
	if (tickets.taken != 0 && committed)
	{
		tickets.own->processed = tickets.processed;
		pg_atomic_write_u64(&tickets.own->committed, tickets.taken);
	}
	tickets.taken = 0;
}

/* asked by another server ---------------------------------------------------- */

typedef struct Mark
{
	uint64 boot;
	uint64 serial;
	uint64 ticket;
} Mark;

static Mark
read_mark(const char *text)
{
	Mark mark;
	int length = 0;

	if (sscanf(text, UINT64_FORMAT "." UINT64_FORMAT "." UINT64_FORMAT "%n",
			   &mark.boot, &mark.serial, &mark.ticket, &length) != 3 ||
		text[length] != '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid mark of a transaction: \"%s\"", text)));
	return mark;
}

/*
 * Looks for a session.  *pid: of the one that lives; 0: it has ended, as *ended
 * says, or is not known any more (false).
 */
static bool
find_session(uint64 serial, int *pid, Ended *ended)
{
	const Tickets *shared = tickets.shared;
	bool found = false;

	*pid = 0;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < MaxBackends && !found; i++)
	{
		const Living *living = &shared->living[i];

		if (living->serial != serial)
			continue;
		found = true;
		*pid = living->pid;
	}
	for (int i = 0; i < ENDED_COUNT && !found; i++)
	{
		if (shared->ended[i].serial != serial)
			continue;
		found = true;
		*ended = shared->ended[i];
	}
	LWLockRelease(shared->lock);
	return found;
}

/*
 * tessera_internal.transaction_outcome(mark): 'committed' and how many rows its
 * last statement processed, 'aborted', or NULL if that cannot be told.  The session is ended first: nobody is there to read its
 * answers, and it may not have come to the transaction yet.
 */
Datum
tess_transaction_outcome(PG_FUNCTION_ARGS)
{
	Mark mark = read_mark(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	bool is_asked = false;
	Ended ended = {0};
	bool found;
	int pid;

	if (mark.serial == 0 || mark.boot != tess_slots_boot())
		PG_RETURN_NULL();
	ConditionVariablePrepareToSleep(&tickets.shared->somebody_ended);
	while ((found = find_session(mark.serial, &pid, &ended)) && pid != 0)
	{
		if (!is_asked)
			(void) DirectFunctionCall2(pg_terminate_backend, Int32GetDatum(pid),
									   Int64GetDatum(0));
		is_asked = true;
		ConditionVariableSleep(&tickets.shared->somebody_ended,
							   PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(
		ended.committed == mark.ticket
			? psprintf("committed " UINT64_FORMAT, ended.processed)
			: "aborted"));
}

/*
 * tessera_internal.await_transaction(xid): for the recovery, whose part another
 * session of the node is ending.  A prepared transaction has the lock of its id
 * until it is ended.
 */
Datum
tess_transaction_await(PG_FUNCTION_ARGS)
{
	TransactionId xid = PG_GETARG_TRANSACTIONID(0);

	if (TransactionIdIsNormal(xid) &&
		TransactionIdPrecedes(xid, ReadNextTransactionId()) &&
		!TransactionIdIsCurrentTransactionId(xid))
		XactLockTableWait(xid, NULL, NULL, XLTW_None);
	PG_RETURN_VOID();
}

void
tess_ticket_init(void)
{
	static char *unused;

	DefineCustomStringVariable(TESS_SESSION_NAME_SETTING,
							   "How this server calls the session, if another one uses it.",
							   NULL, &unused, "", PGC_INTERNAL,
							   GUC_REPORT | GUC_NO_SHOW_ALL |
								   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   NULL, NULL, show_name);
	tess_shared_memory_add(&piece);
}
