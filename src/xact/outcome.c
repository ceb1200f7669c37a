/*
 * outcome.c - what became of a COMMIT whose answer was lost.
 *
 * Every transaction that is begun on a node, and every statement that is one, has
 * a ticket there (ticket.c): its number here.  Another session asks the node for
 * the last ticket that was committed in the session that was lost; that is ended
 * first, if it is still there.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/base.h"
#include "tessera.h"
#include "xact/ticket.h"
#include "xact/xact_internal.h"

/* Between attempts to reach a node that refuses to be connected to. */
#define ATTEMPT_WAIT_MS 50

/* What the node says; how many rows were processed stands behind it. */
#define SAYS_COMMITTED "committed "

/* That of the transaction that is begun, or about to be. */
uint64
tess_remote_ticket(const TessRemote *remote)
{
	return tess_ticket_make(tess_origin_own(), remote->begun);
}

/*
 * The parameters of a statement (NULL: it has none) and, which it does not use,
 * the ticket of the transaction that it is.  In the current context; the values
 * are those of params.
 */
const TessParams *
tess_ticket_add(const TessParams *params, const TessRemote *remote)
{
	int count = params ? params->count : 0;
	TessParams *with = palloc(sizeof(TessParams));
	Oid *types = palloc((count + 1) * sizeof(Oid));
	const char **values = palloc((count + 1) * sizeof(char *));
	int *lengths = palloc((count + 1) * sizeof(int));
	int *formats = palloc((count + 1) * sizeof(int));
	uint64 *wire = palloc(sizeof(uint64));

	if (count > 0)
	{
		memcpy(types, params->types, count * sizeof(Oid));
		memcpy(values, params->values, count * sizeof(char *));
		memcpy(lengths, params->lengths, count * sizeof(int));
		memcpy(formats, params->formats, count * sizeof(int));
	}
	*wire = pg_hton64(tess_remote_ticket(remote));
	types[count] = XID8OID;
	values[count] = (const char *) wire;
	lengths[count] = sizeof(uint64);
	formats[count] = 1;
	with->count = count + 1;
	with->types = types;
	with->values = values;
	with->lengths = lengths;
	with->formats = formats;
	return with;
}

/* A question on its way. */
typedef struct Question
{
	TessRemote *remote;
	const char *session_name;
	TimestampTz deadline;
	TessOutcome outcome;
} Question;

static int
milliseconds_left(TimestampTz deadline)
{
	return (int) Min(TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 deadline),
					 INT_MAX / 2);
}

/* TessTakeAnswer */
static void
read_outcome(void *arg, const PGresult *result)
{
	Question *question = arg;
	const char *says;

	if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
		return;
	says = PQgetvalue(result, 0, 0);
	question->outcome = TESS_OUTCOME_ROLLED_BACK;
	if (strncmp(says, SAYS_COMMITTED, strlen(SAYS_COMMITTED)) != 0)
		return;
	question->outcome = TESS_OUTCOME_COMMITTED;
	question->remote->processed = strtou64(says + strlen(SAYS_COMMITTED), NULL,
										   10);
}

/* Errors if the node cannot be asked. */
static void
ask(void *arg)
{
	Question *question = arg;
	const TessRemote *remote = question->remote;
	TessSession *session;
	ErrorData *error;
	int settings = tess_net_hurry(Max(1, milliseconds_left(question->deadline)));

	tess_net_acquire(1, &remote->node_id, remote->role, &session);
	AtEOXact_GUC(true, settings);

	error = tess_net_ask_held(session,
							  psprintf("SELECT tessera_internal.transaction_outcome('%s." UINT64_FORMAT
									   "')",
									   question->session_name,
									   tess_remote_ticket(remote)),
							  question->deadline, read_outcome, question);
	if (error != NULL)
		ThrowErrorData(error);
	tess_net_release(session);
}

/* Errors if somebody ends the question on the node. */
static void
ask_until_known(Question *question)
{
	uint32 holdoff = InterruptHoldoffCount;

	/* an error lets go of interrupts, hence the assignments */
	InterruptHoldoffCount = holdoff + 1;
	while (tess_attempt(ask, question) != NULL)
	{
		InterruptHoldoffCount = holdoff + 1;
		if (milliseconds_left(question->deadline) == 0 ||
			!tess_net_pause(ATTEMPT_WAIT_MS))
			break;
	}
	InterruptHoldoffCount = holdoff;
}

/*
 * What became of the transaction that was to commit in a session which is lost
 * now; if it is committed, remote->processed is what its last statement did.
 * Waits for the node until the deadline; a cancel or a termination ends the
 * wait.  No errors.
 */
TessOutcome
tess_outcome_ask(TessRemote *remote, TimestampTz deadline)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	uint32 holdoff = InterruptHoldoffCount;
	const char *name = tess_session_parameter(remote->session,
											  TESS_SESSION_NAME_SETTING);
	Question question = {remote, name, deadline, TESS_OUTCOME_UNKNOWN};

	if (name == NULL || strspn(name, "0123456789.") != strlen(name) ||
		name[0] == '\0' || milliseconds_left(deadline) == 0)
		return TESS_OUTCOME_UNKNOWN;

	/* An attempt that fails is rolled back to a subtransaction: PostgreSQL's
	 * assertions do not expect it to be in a COMMIT itself. */
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		ask_until_known(&question);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		tess_swallow_error(holdoff);
	}
	PG_END_TRY();
	ReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return question.outcome;
}
