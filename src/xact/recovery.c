/*
 * recovery.c - ends what sessions that are gone have left prepared on nodes,
 * as it was decided here.
 *
 * Nothing is remembered from one look to the next.  For each node, in this
 * order: what is prepared there; which of it a live backend still works on
 * (slots.c); and only then the records.  In another order a transaction that
 * commits meanwhile could look as if it had ended without a record.  What a
 * backend worked on when the look began is its own, too: it may be ending it.
 * One backend at a time looks at a node to end what is there.
 *
 * Only names that begin with our cluster's id are decided: those with a record,
 * and, if there is none, those of incarnations whose decisions are all here.  It
 * does not take part in any transaction: its sessions are not
 * those of the caller's.
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "common/pg_prng.h"
#include "datatype/timestamp.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

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
/* Of the advisory locks, of which users have 1 and 2, barrier.c has 3. */
#define RESOLVE_LOCK_CLASS 4
/* Records that are deleted after one look. */
#define RECORD_BATCH 20000
#define DAY_S (24 * 60 * 60)

#define USECS_FROM_UNIX_EPOCH \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

#define GID_START "tessera:"
/* Prepared transactions that are nobody's whom we know are named in the log once
 * they are so old: they hold locks, and keep VACUUM from working. */
#define STRANGE_AFTER_MS (60 * 1000)

/* Times in microseconds, because text would follow the session's settings. */
#define LIST_SQL \
	"SELECT p.gid, p.owner," \
	" (EXTRACT(epoch FROM p.prepared) * 1000000)::pg_catalog.int8," \
	" (EXTRACT(epoch FROM pg_catalog.clock_timestamp() - p.prepared) * 1000000)::pg_catalog.int8," \
	" p.transaction" \
	" FROM pg_catalog.pg_prepared_xacts p" \
	" WHERE p.database = pg_catalog.current_database()" \
	" AND (pg_catalog.starts_with(p.gid, '" GID_START "')" \
	" OR p.prepared < pg_catalog.clock_timestamp() - interval '1 min')" \
	" ORDER BY p.prepared, p.gid"

typedef enum Decision
{
	DECISION_FOREIGN, /* of another cluster */
	DECISION_UNKNOWN, /* of a coordinator whose decisions are not all here */
	DECISION_IN_PROGRESS,
	DECISION_COMMIT,
	DECISION_ROLLBACK
} Decision;

static const char *const decision_names[] = {"foreign", "unknown", "in progress",
											 "commit", "rollback"};

/* A prepared transaction of some cluster on a node. */
typedef struct Part
{
	char *gid;
	char *transaction; /* the gid without the part; NULL: foreign */
	char *incarnation; /* of who named it; NULL: foreign */
	char *owner;
	char *xid; /* on the node */
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
	bool may_skip; /* if somebody else is resolving it */
	bool skipped;
	const char *prefix;	  /* of the gids that are our cluster's */
	List *decides;		  /* incarnations whose decisions are all here */
	TimestampTz deadline; /* 0: none */
	List *under_way;	  /* transactions in slots when the look began */
	List *parts;
	int ended;
	uint64 marks;	  /* see dirty.c; before the list was read */
	bool is_behind;	  /* something that is decided was not done there */
	const char *busy; /* xid of a part that somebody else is committing */
} Visit;

static int commit_record_keep_s = DAY_S;

/* Takes a gid of our cluster apart: "<prefix><incarnation>:<random>:<part>". */
static void
read_gid(Part *part, const char *prefix)
{
	const char *incarnation = part->gid + strlen(prefix);
	const char *random;
	const char *number;

	if (strncmp(part->gid, prefix, strlen(prefix)) != 0)
		return;
	random = strchr(incarnation, ':');
	number = random ? strchr(random + 1, ':') : NULL;
	if (number == NULL || number == random + 1 || number[1] == '\0' ||
		strspn(number + 1, "0123456789") != strlen(number + 1))
		return;
	part->transaction = pnstrdup(part->gid, number - part->gid);
	part->incarnation = pnstrdup(incarnation, random - incarnation);
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
		read_gid(part, visit->prefix);
		part->owner = pstrdup(PQgetvalue(result, row, 1));
		part->prepared_at = pg_strtoint64(PQgetvalue(result, row, 2)) -
							USECS_FROM_UNIX_EPOCH;
		part->age_us = pg_strtoint64(PQgetvalue(result, row, 3));
		part->xid = pstrdup(PQgetvalue(result, row, 4));
		visit->parts = lappend(visit->parts, part);
	}
}

/* Runs one statement, whose rows take gets with the visit; NULL: nobody wants
 * them.  The error of the node or of the connection, also if the node is silent
 * for too long; NULL if it was done. */
static ErrorData *
ask(TessSession *session, const char *sql, Visit *visit, TessTakeAnswer take)
{
	TimestampTz deadline = visit->deadline;

	if (deadline == 0)
		deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											   ANSWER_TIMEOUT_MS);
	return tess_net_ask(session, sql, deadline, take, visit);
}

static void
raise_unanswered(const Visit *visit, ErrorData *failure)
{
	if (failure->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
		ThrowErrorData(failure); /* it serves another coordinator */
	ereport(ERROR, (errcode(failure->sqlerrcode),
					errmsg("node \"%s\" has not shown its prepared transactions",
						   visit->name),
					errdetail_internal("%s", failure->message)));
}

/* True if the name (char *) is one of these. */
bool
tess_names_include(List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

/* After the list was read: see above. */
static void
decide(const Visit *visit, Part *part)
{
	if (part->transaction == NULL)
		part->decision = DECISION_FOREIGN;
	else if (tess_names_include(visit->under_way, part->transaction) ||
			 tess_slot_is_taken(part->transaction))
		part->decision = DECISION_IN_PROGRESS;
	else if (tess_cat_commit_record_exists(part->transaction))
		part->decision = DECISION_COMMIT;
	else if (tess_names_include(visit->decides, part->incarnation))
		part->decision = DECISION_ROLLBACK;
	else
		part->decision = DECISION_UNKNOWN;
}

/* False if the node cannot be asked any more. */
static bool
carry_out(Visit *visit, TessSession *session, const Part *part)
{
	const char *verb = part->decision == DECISION_COMMIT ? "COMMIT" : "ROLLBACK";
	ErrorData *failure = ask(session,
							 psprintf("%s PREPARED %s", verb,
									  quote_literal_cstr(part->gid)),
							 visit, NULL);

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
	{
		/* the node is doing it, for a session that did not wait */
		visit->busy = part->xid;
		return true;
	}

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
	visit->busy = NULL;
	visit->marks = tess_node_marks();
	visit->under_way = tess_slots_list(); /* after the marks: see dirty.c */
	failure = ask(session, LIST_SQL, visit, note_parts);
	if (failure != NULL &&
		failure->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE &&
		tess_coordinator_tell(visit->node_id))
		failure = ask(session, LIST_SQL, visit, note_parts);
	if (failure != NULL)
	{
		tess_net_release(session);
		raise_unanswered(visit, failure);
	}
	TESS_FAULT_POINT("recovery_after_list");
	foreach(cell, visit->parts)
	{
		Part *part = lfirst(cell);

		decide(visit, part);
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

/* The node is ours to resolve until unlocked, or to the end of the
 * transaction; false if it is somebody else's and wait is false. */
static bool
lock_node(int32 node_id, bool wait)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, node_id, RESOLVE_LOCK_CLASS);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) !=
		   LOCKACQUIRE_NOT_AVAIL;
}

static void
unlock_node(int32 node_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, node_id, RESOLVE_LOCK_CLASS);
	(void) LockRelease(&tag, ExclusiveLock, false);
}

static void
visit_node(void *arg)
{
	Visit *visit = arg;
	TessSession *session;

	visit->skipped = visit->resolve &&
					 !lock_node(visit->node_id, !visit->may_skip);
	if (visit->skipped)
		return;
	tess_net_acquire(1, &visit->node_id, tess_extension_owner(), &session);
	look(visit, session);
	tess_net_release(session);
	if (visit->resolve)
		unlock_node(visit->node_id);
}

/* True if the node has answered. */
static bool
try_visit(Visit *visit)
{
	ErrorData *error = tess_attempt(visit_node, visit);

	if (error == NULL)
		return !visit->skipped;
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
make_visit(const TessNode *node, bool resolve)
{
	Visit *visit = palloc0(sizeof(Visit));
	const TessClusterRow *cluster = tess_cat_cluster();

	visit->node_id = node->node_id;
	visit->name = pstrdup(node->name);
	visit->resolve = resolve;
	visit->prefix = psprintf(GID_START "%s:", cluster->cluster_id);
	visit->decides = lappend(cluster->decides, tess_coordinator_incarnation());
	return visit;
}

static List *
make_visits(bool resolve)
{
	List *visits = NIL;
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);

	for (int i = 0; i < count; i++)
	{
		if (!nodes[i]->is_local)
			visits = lappend(visits, make_visit(nodes[i], resolve));
	}
	return visits;
}

/* Until the node has done what somebody else told it; false if that does not
 * come in time. */
static bool
wait_for_other(Visit *visit, TessSession *session)
{
	return visit->busy != NULL &&
		   ask(session,
			   psprintf("SELECT tessera_internal.await_transaction(%s)",
						quote_literal_cstr(visit->busy)),
			   visit, NULL) == NULL;
}

/* Until the node is clean, or an error. */
static void
catch_up(const TessNode *node)
{
	Visit *visit = make_visit(node, true);
	TessSession *session;

	visit->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  ANSWER_TIMEOUT_MS);
	tess_net_acquire(1, &visit->node_id, tess_extension_owner(), &session);
	do
	{
		look(visit, session);
	} while (visit->is_behind && wait_for_other(visit, session));
	tess_net_release(session);
	if (visit->is_behind)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" has not committed all that was decided",
						visit->name),
				 errdetail(
					 "Without it, what it has would be older than what other sessions were told."),
				 errhint("See tessera.in_doubt.")));
}

/*
 * Makes sure that a node has done all that was decided and acknowledged until
 * now: before anything is sent there.  Costs next to nothing unless a node is
 * dirty; may be cancelled.  Errors: those of a node that does not answer; 55000.
 */
void
tess_node_resolve(int32 node_id)
{
	uint64 marks = tess_node_marks();

	if (tess_node_is_clean(node_id))
		return;
	if (tess_cat_commit_records_before(DT_NOEND, 1) == NIL)
	{
		/* nothing was decided, so nobody was told of a commit */
		tess_node_note_clean(node_id, marks);
		return;
	}
	(void) lock_node(node_id, true);
	if (!tess_node_is_clean(node_id))
		catch_up(tess_meta_node(node_id));
	unlock_node(node_id);
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

/* In about the first look that finds them old enough. */
static void
log_strange(const Visit *visit, int interval_ms)
{
	ListCell *cell;

	foreach(cell, visit->parts)
	{
		const Part *part = lfirst(cell);
		int64 since_ms = part->age_us / 1000 - STRANGE_AFTER_MS;

		if ((part->decision == DECISION_FOREIGN ||
			 part->decision == DECISION_UNKNOWN) &&
			since_ms >= 0 && since_ms < interval_ms)
			ereport(LOG,
					(errmsg("prepared transaction \"%s\" of role \"%s\" on node \"%s\" is older than a minute",
							part->gid, part->owner, visit->name),
					 errdetail(
						 "It is not to be ended here. It holds locks, and keeps VACUUM from working.")));
	}
}

int
tess_xact_recover(int interval_ms)
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
		visit->may_skip = true;
		if (!has_time(deadline) || !try_visit(visit))
			all_answered = false;
		log_strange(visit, interval_ms);
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
		{
			const Part *part = lfirst(cell);

			if (strncmp(part->gid, GID_START, strlen(GID_START)) == 0)
				put_part(output, visit, part);
		}
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
