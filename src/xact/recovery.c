/*
 * recovery.c - ends what sessions that are gone have left prepared on nodes,
 * as it was decided here.
 *
 * Nothing is remembered from one look to the next.  For each node, in this
 * order: what is prepared there; which of it a live backend still works on
 * (slots.c); and only then the records.  In another order a transaction that
 * commits meanwhile could look as if it had ended without a record.
 *
 * Only names that begin with our cluster's id and this database's incarnation
 * are decided.  It does not take part in any transaction: its sessions are not
 * those of the caller's.
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "common/pg_prng.h"
#include "datatype/timestamp.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "meta/meta.h"
#include "net/net.h"
#include "tessera.h"
#include "xact/xact.h"
#include "xact/xact_internal.h"

PG_FUNCTION_INFO_V1(tess_transactions_recover);
PG_FUNCTION_INFO_V1(tess_transactions_in_doubt);

/* For each answer of a node; COMMIT PREPARED waits for no locks. */
#define ANSWER_TIMEOUT_MS 10000
/* For all that a worker does, and for what it begins no other node without:
 * DROP DATABASE waits for 5 s before it fails. */
#define WORKER_TIMEOUT_MS 4000
#define WORKER_NODE_MS 2000
/* Between looks at a node on which somebody else ends a part. */
#define BUSY_WAIT_MS 10
/* Of the advisory locks, of which users have 1 and 2, barrier.c has 3. */
#define RESOLVE_LOCK_CLASS 4
/* Records that are deleted after one look. */
#define RECORD_BATCH 1000
#define DAY_S (24 * 60 * 60)

#define USECS_FROM_UNIX_EPOCH \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* Times in microseconds, because text would follow the session's settings. */
#define LIST_SQL \
	"SELECT p.gid, p.owner," \
	" (EXTRACT(epoch FROM p.prepared) * 1000000)::pg_catalog.int8," \
	" (EXTRACT(epoch FROM pg_catalog.clock_timestamp() - p.prepared) * 1000000)::pg_catalog.int8" \
	" FROM pg_catalog.pg_prepared_xacts p" \
	" WHERE p.database = pg_catalog.current_database()" \
	" AND pg_catalog.starts_with(p.gid, 'tessera:') ORDER BY p.prepared, p.gid"

typedef enum Decision
{
	DECISION_FOREIGN, /* not ours to decide */
	DECISION_IN_PROGRESS,
	DECISION_COMMIT,
	DECISION_ROLLBACK
} Decision;

static const char *const decision_names[] = {"foreign", "in progress", "commit",
											 "rollback"};

/* A prepared transaction of some cluster on a node. */
typedef struct Part
{
	char *gid;
	char *transaction; /* the gid without the part; NULL: foreign */
	char *owner;
	TimestampTz prepared_at;
	int64 age_us;
	Decision decision;
} Part;

/* One look at one node. */
typedef struct Visit
{
	int32 node_id;
	char *name;
	bool resolve;
	const char *prefix;	  /* of the gids that are ours */
	TimestampTz deadline; /* 0: none */
	List *parts;
	int ended;
	uint64 marks;	/* see dirty.c; before the list was read */
	bool is_behind; /* something that is decided was not done there */
} Visit;

static int commit_record_keep_s = DAY_S;

/* The gid of the transaction that this is a part of, NULL if not ours. */
static char *
transaction_of(const char *gid, const char *prefix)
{
	const char *random;
	const char *part;

	if (strncmp(gid, prefix, strlen(prefix)) != 0)
		return NULL;
	random = gid + strlen(prefix);
	part = strchr(random, ':');
	if (part == NULL || part == random || part[1] == '\0' ||
		strspn(part + 1, "0123456789") != strlen(part + 1))
		return NULL;
	return pnstrdup(gid, part - gid);
}

/* TessTakeAnswer */
static void
note_parts(void *arg, const PGresult *result)
{
	Visit *visit = arg;

	for (int row = 0; row < PQntuples(result); row++)
	{
		Part *part = palloc0(sizeof(Part));

		part->gid = pstrdup(PQgetvalue(result, row, 0));
		part->transaction = transaction_of(part->gid, visit->prefix);
		part->owner = pstrdup(PQgetvalue(result, row, 1));
		part->prepared_at = pg_strtoint64(PQgetvalue(result, row, 2)) -
							USECS_FROM_UNIX_EPOCH;
		part->age_us = pg_strtoint64(PQgetvalue(result, row, 3));
		visit->parts = lappend(visit->parts, part);
	}
}

/* Runs one statement.  The error of the node or of the connection, also if
 * the node is silent for too long; NULL if it was done.  The rows, if any, are
 * noted as parts. */
static ErrorData *
ask(TessSession *session, const char *sql, Visit *visit)
{
	TimestampTz deadline = visit->deadline;

	if (deadline == 0)
		deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											   ANSWER_TIMEOUT_MS);
	return tess_net_ask(session, sql, deadline, note_parts, visit);
}

static void
raise_unanswered(const Visit *visit, const ErrorData *failure)
{
	ereport(ERROR, (errcode(failure->sqlerrcode),
					errmsg("node \"%s\" has not shown its prepared transactions",
						   visit->name),
					errdetail_internal("%s", failure->message)));
}

/* After the list was read: see above. */
static void
decide(Part *part)
{
	if (part->transaction == NULL)
		part->decision = DECISION_FOREIGN;
	else if (tess_slot_is_taken(part->transaction))
		part->decision = DECISION_IN_PROGRESS;
	else if (tess_cat_commit_record_exists(part->transaction))
		part->decision = DECISION_COMMIT;
	else
		part->decision = DECISION_ROLLBACK;
}

/* False if the node cannot be asked any more. */
static bool
carry_out(Visit *visit, TessSession *session, const Part *part)
{
	const char *verb = part->decision == DECISION_COMMIT ? "COMMIT" : "ROLLBACK";
	ErrorData *failure = ask(session,
							 psprintf("%s PREPARED %s", verb,
									  quote_literal_cstr(part->gid)),
							 visit);

	if (failure == NULL)
	{
		visit->ended++;
		return true;
	}
	if (failure->sqlerrcode == ERRCODE_UNDEFINED_OBJECT)
		return true; /* somebody else has done it */

	if (part->decision == DECISION_COMMIT)
		visit->is_behind = true;
	if (failure->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
		return true; /* somebody else is doing it */

	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("could not end prepared transaction \"%s\" on node \"%s\"",
					part->gid, visit->name),
			 errdetail_internal("%s", failure->message),
			 failure->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE
				 ? errhint("The owner of the extension has to be a superuser on the node, or to have prepared it.")
				 : 0));
	return !tess_session_is_broken(session) && !tess_session_is_busy(session);
}

/* One look, and what is to be done after it. */
static void
look(Visit *visit, TessSession *session)
{
	ErrorData *failure;
	ListCell *cell;

	visit->parts = NIL;
	visit->is_behind = false;
	visit->marks = tess_node_marks();
	failure = ask(session, LIST_SQL, visit);
	if (failure != NULL)
	{
		tess_net_release(session);
		raise_unanswered(visit, failure);
	}
	TESS_FAULT_POINT("recovery_after_list");
	foreach(cell, visit->parts)
	{
		Part *part = lfirst(cell);

		decide(part);
		if (visit->resolve && (part->decision == DECISION_COMMIT ||
							   part->decision == DECISION_ROLLBACK))
		{
			if (!carry_out(visit, session, part))
				break;
		}
	}
	if (visit->resolve && !visit->is_behind)
		tess_node_note_clean(visit->node_id, visit->marks);
}

static void
visit_node(void *arg)
{
	Visit *visit = arg;
	TessSession *session;

	tess_net_acquire(1, &visit->node_id, tess_extension_owner(), &session);
	look(visit, session);
	tess_net_release(session);
}

/* True if the node has answered. */
static bool
try_visit(Visit *visit)
{
	ErrorData *error = tess_attempt(visit_node, visit);

	if (error == NULL)
		return true;
	visit->parts = NIL; /* not all of them, or not decided */
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("prepared transactions on node \"%s\" are not known",
					visit->name),
			 error->detail
				 ? errdetail_internal("%s: %s", error->message, error->detail)
				 : errdetail_internal("%s", error->message),
			 errhint("They are looked at again as soon as the node answers.")));
	return false;
}

static Visit *
make_visit(const TessNode *node, bool resolve, const char *prefix)
{
	Visit *visit = palloc0(sizeof(Visit));

	visit->node_id = node->node_id;
	visit->name = pstrdup(node->name);
	visit->resolve = resolve;
	visit->prefix = prefix;
	return visit;
}

static List *
make_visits(bool resolve)
{
	List *visits = NIL;
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);
	const char *prefix = tess_xact_gid_prefix();

	for (int i = 0; i < count; i++)
	{
		if (!nodes[i]->is_local)
			visits = lappend(visits, make_visit(nodes[i], resolve, prefix));
	}
	return visits;
}

/* What was decided is being done there by somebody who may take a while. */
static void
wait_for_others(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 BUSY_WAIT_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Until the node is clean, or an error.  One backend at a time. */
static void
catch_up(const TessNode *node)
{
	Visit *visit = make_visit(node, true, tess_xact_gid_prefix());
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   ANSWER_TIMEOUT_MS);
	TessSession *session;

	tess_net_acquire(1, &visit->node_id, tess_extension_owner(), &session);
	for (;;)
	{
		look(visit, session);
		if (!visit->is_behind)
			break;
		if (tess_session_is_broken(session) || tess_session_is_busy(session) ||
			GetCurrentTimestamp() >= deadline)
		{
			tess_net_release(session);
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("node \"%s\" has not committed all that was decided",
							visit->name),
					 errdetail(
						 "Without it, what it has would be older than what other sessions were told."),
					 errhint("See tessera.in_doubt.")));
		}
		wait_for_others();
	}
	tess_net_release(session);
}

/*
 * Makes sure that a node has done all that was decided and acknowledged until
 * now: before anything is sent there.  Costs next to nothing unless a node is
 * dirty.  Errors: those of a node that does not answer; 55000.
 */
void
tess_node_resolve(int32 node_id)
{
	uint64 marks = tess_node_marks();
	LOCKTAG tag;

	if (tess_node_is_clean(node_id))
		return;
	if (tess_cat_commit_records_before(DT_NOEND, 1) == NIL)
	{
		/* nothing was decided, so nobody was told of a commit */
		tess_node_note_clean(node_id, marks);
		return;
	}
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, node_id, RESOLVE_LOCK_CLASS);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	if (!tess_node_is_clean(node_id))
		catch_up(tess_meta_node(node_id));
	(void) LockRelease(&tag, ExclusiveLock, false);
}

bool
tess_xact_has_nodes(void)
{
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);

	for (int i = 0; i < count; i++)
	{
		if (!nodes[i]->is_local)
			return true;
	}
	return false;
}

static bool
is_prepared(List *visits, const char *transaction)
{
	ListCell *visit_cell;
	ListCell *cell;

	foreach(visit_cell, visits)
	{
		foreach(cell, ((Visit *) lfirst(visit_cell))->parts)
		{
			const Part *part = lfirst(cell);

			if (part->transaction != NULL &&
				strcmp(part->transaction, transaction) == 0)
				return true;
		}
	}
	return false;
}

/*
 * Records of which no node had a part when all were asked.  They were read
 * before that, when all their parts were prepared: so these are gone, and none
 * comes later.
 */
static void
forget(List *records, List *visits)
{
	List *gids = NIL;
	ListCell *cell;

	foreach(cell, records)
	{
		if (!is_prepared(visits, lfirst(cell)))
			gids = lappend(gids, lfirst(cell));
	}
	if (gids == NIL)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	tess_cat_commit_records_delete(gids);
	PopActiveSnapshot();
}

/* A silent node must not keep the worker from the same others each time. */
static List *
rotate(List *visits)
{
	int count = list_length(visits);
	int first = count > 1
					? pg_prng_uint64_range(&pg_global_prng_state, 0, count - 1)
					: 0;
	List *rotated = list_copy_tail(visits, first);

	return list_concat(rotated, list_truncate(visits, first));
}

static bool
has_time(TimestampTz deadline)
{
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline) >=
		   WORKER_NODE_MS;
}

static int
recover(void)
{
	List *visits = make_visits(true);
	int ended = 0;
	ListCell *cell;

	foreach(cell, visits)
	{
		Visit *visit = lfirst(cell);

		(void) try_visit(visit);
		ended += visit->ended;
	}
	return ended;
}

int
tess_xact_recover(void)
{
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz deadline = TimestampTzPlusMilliseconds(start, WORKER_TIMEOUT_MS);
	List *visits = rotate(make_visits(true));
	List *records = tess_cat_commit_records_before(start -
													   (int64) commit_record_keep_s *
														   USECS_PER_SEC,
												   RECORD_BATCH);
	bool all_answered = true;
	int ended = 0;
	ListCell *cell;

	SetConfigOption("tessera.connect_timeout", psprintf("%d", WORKER_NODE_MS),
					PGC_USERSET, PGC_S_SESSION);
	foreach(cell, visits)
	{
		Visit *visit = lfirst(cell);

		visit->deadline = deadline;
		if (!has_time(deadline) || !try_visit(visit))
			all_answered = false;
		ended += visit->ended;
	}
	if (all_answered)
		forget(records, visits);
	return ended;
}

/* On a standby no backend's slot is seen: everything would look abandoned.
 * Hence the refusals. */

Datum
tess_transactions_recover(PG_FUNCTION_ARGS)
{
	tess_right_check_manage("recover_transactions");
	PreventCommandDuringRecovery("tessera.recover_transactions()");
	PG_RETURN_INT32(recover());
}

static void
put_part(ReturnSetInfo *output, const Visit *visit, const Part *part)
{
	Datum values[6];
	bool nulls[6] = {false};
	NameData name;

	namestrcpy(&name, visit->name);
	values[0] = NameGetDatum(&name);
	values[1] = CStringGetTextDatum(part->gid);
	values[2] = TimestampTzGetDatum(part->prepared_at);
	values[3] = CStringGetTextDatum(part->owner);
	values[4] = Int64GetDatum(part->age_us);
	values[5] = CStringGetTextDatum(decision_names[part->decision]);
	tuplestore_putvalues(output->setResult, output->setDesc, values, nulls);
}

Datum
tess_transactions_in_doubt(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *output = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell *visit_cell;
	ListCell *cell;

	tess_right_check_look("transactions_in_doubt");
	PreventCommandDuringRecovery("tessera.in_doubt");
	InitMaterializedSRF(fcinfo, 0);
	foreach(visit_cell, make_visits(false))
	{
		Visit *visit = lfirst(visit_cell);

		(void) try_visit(visit);
		foreach(cell, visit->parts)
			put_part(output, visit, lfirst(cell));
	}
	return (Datum) 0;
}

void
tess_recovery_init(void)
{
	DefineCustomIntVariable("tessera.commit_record_keep",
							"How long the decision of a transaction is kept after no node needs it any more.",
							"A node that fails over to an older state within this time still finds what was decided.",
							&commit_record_keep_s, DAY_S, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}
