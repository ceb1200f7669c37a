/*
 * xact_commit.c - how a transaction of several servers commits: everywhere or
 * nowhere.
 *
 * One writer and nothing local: a plain COMMIT there, as the last act that may
 * fail.  Anything else: PREPARE TRANSACTION on every writer, the decision in
 * tessera.commit_record with this server's own forced commit, then COMMIT
 * PREPARED, which may be late but never undone.
 *
 * Row locks taken on a node that was not written are kept until the decision;
 * sessions that only read end with the first round.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "tessera.h"
#include "xact/barrier.h"
#include "xact/xact_internal.h"

#define GID_RANDOM_BYTES 16

int tess_commit_wait_ms = 1000;

static struct
{
	char gid[GIDSIZE];	   /* of the commit under way, empty: none */
	bool notifies;		   /* it holds the lock of NOTIFY while it waits */
	bool holds_interrupts; /* it has happened: nothing ends it any more */
} commit;

/* A node has committed for good.  Until the end of the transaction nobody
 * takes that back by a cancel. */
void
tess_xact_hold_interrupts(void)
{
	if (!commit.holds_interrupts)
		HOLD_INTERRUPTS();
	commit.holds_interrupts = true;
}

/* The transaction is over. */
void
tess_xact_commit_forget(void)
{
	commit.gid[0] = '\0';
	commit.notifies = false;
	commit.holds_interrupts = false; /* if so, an error has let them go */
}

static bool
holds_only_reads(const TessRemote *remote)
{
	return remote->wrote_level == 0 && remote->locked_level == 0;
}

static int
count_writers(TessRemote **writer)
{
	int count;
	int writers = 0;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		if (remotes[i]->wrote_level > 0)
		{
			*writer = remotes[i];
			writers++;
		}
	}
	return writers;
}

/* Ends the sessions that only read.  Their transactions hold nothing that
 * anyone could miss, so a connection lost here does not matter. */
static void
send_reader_commits(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (remote->phase != TESS_PHASE_OPEN || !holds_only_reads(remote) ||
			remote->lost || tess_session_is_broken(remote->session))
			continue;
		remote->phase = TESS_PHASE_COMMITTING;
		tess_round_send(remote, "COMMIT", "COMMIT");
	}
}

/* Proves that locks are still there; the sessions end after the decision. */
static void
send_locker_checks(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		if (remotes[i]->phase == TESS_PHASE_OPEN &&
			remotes[i]->wrote_level == 0 && remotes[i]->locked_level > 0)
			tess_round_send(remotes[i], "SELECT", "SELECT 1");
	}
}

static void
note_reader_replies(bool raise)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (remote->command == NULL || remote->wrote_level > 0)
			continue;
		if (remote->answered)
		{
			if (remote->phase == TESS_PHASE_COMMITTING)
				remote->phase = TESS_PHASE_ENDED;
			continue;
		}
		if (raise &&
			(remote->locked_level > 0 || !tess_round_lost_connection(remote)))
			tess_remote_raise_reply(remote);
	}
}

/* Nobody wrote anywhere: row locks may go at once. */
static void
end_readers(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	tess_round_begin();
	for (int i = 0; i < count; i++)
	{
		if (remotes[i]->phase == TESS_PHASE_OPEN && !holds_only_reads(remotes[i]))
		{
			remotes[i]->phase = TESS_PHASE_COMMITTING;
			tess_round_send(remotes[i], "COMMIT", "COMMIT");
		}
	}
	send_reader_commits();
	tess_round_finish();
	note_reader_replies(true);
}

static void
commit_one_phase(TessRemote *writer)
{
	/* Row locks elsewhere guard what is written here: look at them first. */
	tess_round_begin();
	send_locker_checks();
	tess_round_finish();
	note_reader_replies(true);

	tess_sequences_flush();

	/* Once COMMIT is sent, a node that is gone leaves the outcome unknown. */
	if (!tess_session_is_busy(writer->session) &&
		!tess_session_is_alive(writer->session))
		tess_remote_raise_lost(writer);

	tess_round_begin();
	writer->phase = TESS_PHASE_COMMITTING;
	tess_round_send(writer, "COMMIT", "COMMIT");
	send_reader_commits();
	tess_one_phase_finish(writer);
	note_reader_replies(false);
}

/* "tessera:<cluster>:<incarnation>:" and a random number, because transaction ids
 * are given out again after a crash; each part adds ":<number>".  The incarnation
 * says where it was decided (net/coordinator.c). */
static void
make_gid(void)
{
	unsigned char random[GID_RANDOM_BYTES];
	char hex[GID_RANDOM_BYTES * 2 + 1];

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not generate a random transaction identifier")));
	hex_encode((const char *) random, sizeof(random), hex);
	hex[sizeof(hex) - 1] = '\0';
	snprintf(commit.gid, sizeof(commit.gid), "tessera:%s:%s",
			 tess_coordinator_name(), hex);
}

/* The statements that end the parts of the writers: made before there are
 * any. */
static void
name_parts(void)
{
	int count;
	int part = 0;
	TessRemote **remotes = tess_remotes(&count);
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (remote->wrote_level == 0)
			continue;
		part++;
		remote->prepare = psprintf("PREPARE TRANSACTION '%s:%d'", commit.gid,
								   part);
		remote->commit_prepared = psprintf("COMMIT PREPARED '%s:%d'",
										   commit.gid, part);
		remote->rollback_prepared = psprintf("ROLLBACK PREPARED '%s:%d'",
											 commit.gid, part);
	}
	MemoryContextSwitchTo(old);
}

static void
begin_two_phase(void)
{
	make_gid();
	name_parts();
	tess_slot_write(commit.gid);
	TESS_FAULT_POINT("xact_before_prepare");
}

static bool
is_to_be_prepared(const TessRemote *remote)
{
	return remote->wrote_level > 0 && remote->phase == TESS_PHASE_OPEN;
}

/* See xact.h. */
bool
tess_xact_prepare_early(void)
{
	int count;
	TessRemote *writer;
	TessRemote **remotes = tess_remotes(&count);

	/* what is written here may have triggers that use nodes later */
	if (count_writers(&writer) < 2 || tess_xact_writes_here())
		return false;

	begin_two_phase();
	for (int i = 0; i < count; i++)
	{
		if (!is_to_be_prepared(remotes[i]))
			continue;
		remotes[i]->phase = TESS_PHASE_PREPARING;
		tess_session_queue(remotes[i]->session, remotes[i]->prepare, NULL,
						   false, false, NULL);
	}
	return true;
}

/* See xact.h. */
void
tess_xact_prepared(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		if (remotes[i]->phase == TESS_PHASE_PREPARING)
			remotes[i]->phase = TESS_PHASE_PREPARED;
	}
}

static void
prepare_writers(void)
{
	int count;
	bool first = true;
	TessRemote **remotes = tess_remotes(&count);

	tess_round_begin();
	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (!is_to_be_prepared(remote))
			continue;
		if (!first)
			TESS_FAULT_POINT("xact_between_prepare");
		first = false;
		remote->phase = TESS_PHASE_PREPARING;
		tess_round_send(remote, remote->prepare, "PREPARE TRANSACTION");
	}
	send_locker_checks();
	send_reader_commits();
	tess_round_finish();
}

static void
note_prepare_replies(void)
{
	int count;
	TessRemote *failed = NULL;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (remote->wrote_level == 0 || remote->command == NULL)
			continue;
		if (remote->answered)
			remote->phase = TESS_PHASE_PREPARED;
		else
		{
			/* refused: the node has rolled it back by itself */
			if (!tess_round_lost_connection(remote))
				remote->phase = TESS_PHASE_ENDED;
			if (failed == NULL)
				failed = remote;
		}
	}
	if (failed != NULL)
		tess_remote_raise_reply(failed);
	note_reader_replies(true);
}

/* The decision: it is made when this server's commit record is on disk. */
static void
record_decision(void)
{
	bool is_empty = !TransactionIdIsValid(GetTopTransactionIdIfAny());

	PushActiveSnapshot(GetTransactionSnapshot());
	tess_cat_commit_record_insert(commit.gid);
	PopActiveSnapshot();
	if (is_empty)
		tess_serializable_note_empty();

	/* whatever synchronous_commit says: nodes act on it at once */
	ForceSyncCommit();
}

static void
commit_two_phase(void)
{
	if (commit.gid[0] == '\0')
		begin_two_phase();
	prepare_writers();
	note_prepare_replies();
	TESS_FAULT_POINT("xact_after_prepare");
	record_decision();
	TESS_FAULT_POINT("xact_after_record");
	commit.notifies = tess_xact_has_pending_notify();
	tess_barrier_enter_commit();
}

/* Everything that may fail.  After it only this server's own commit. */
void
tess_xact_pre_commit(void)
{
	int count;
	int writers;
	TessRemote *writer = NULL;
	TessRemote **remotes = tess_remotes(&count);

	if (count == 0)
		return;

	for (int i = 0; i < count; i++)
	{
		if (remotes[i]->phase != TESS_PHASE_ENDED &&
			!tess_remote_can_commit(remotes[i]))
			tess_remote_raise_lost(remotes[i]);
	}

	writers = count_writers(&writer);
	if (writers == 0)
	{
		if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		{
			/* row locks guard what is written here: kept until committed */
			tess_round_begin();
			send_locker_checks();
			send_reader_commits();
			tess_round_finish();
			note_reader_replies(true);
		}
		else
			end_readers();
		tess_barrier_wait_windows();
	}
	else if (writers == 1 && tess_xact_has_nothing_local())
		commit_one_phase(writer);
	else
		commit_two_phase();
}

/* The transaction is committed, whatever becomes of these. */
static void
send_decision(void)
{
	int count;
	bool first = true;
	TessRemote **remotes = tess_remotes(&count);

	tess_round_begin();
	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (remote->phase == TESS_PHASE_PREPARED)
		{
			if (!first)
				TESS_FAULT_POINT("xact_between_commit_prepared");
			first = false;
			tess_round_send(remote, remote->commit_prepared, "COMMIT PREPARED");
			/* all who NOTIFY wait for us: none of them for a silent node */
			if (commit.notifies && !tess_node_is_clean(remote->node_id))
				remote->finished = true;
		}
		else if (remote->phase == TESS_PHASE_OPEN &&
				 !tess_session_is_broken(remote->session))
			tess_round_send(remote, "COMMIT", "COMMIT");
	}
	tess_round_finish_held(tess_round_deadline());
}

static bool
is_confirmed(const TessRemote *remote)
{
	/* 42704: somebody else has carried the decision out */
	return remote->answered ||
		   (remote->error != NULL &&
			remote->error->sqlerrcode == ERRCODE_UNDEFINED_OBJECT);
}

/* Says which nodes have not confirmed. */
static void
note_confirmations(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (remote->phase != TESS_PHASE_PREPARED)
			continue;
		if (is_confirmed(remote))
		{
			remote->phase = TESS_PHASE_ENDED;
			continue;
		}
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("the transaction is committed, but node \"%s\" has not confirmed it",
						tess_session_node_name(remote->session)),
				 remote->error ? errdetail_internal("%s", remote->error->message)
							   : 0,
				 errhint(
					 "Its part is a prepared transaction there, which is committed as soon as the node answers: see tessera.in_doubt.")));
	}
}

/*
 * Nobody reads from a node that has not confirmed, until it has done what was
 * decided.  After the slot is cleared: who looks at the node then finds a part
 * that is nobody's any more.
 */
static void
mark_unconfirmed(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		if (remotes[i]->phase == TESS_PHASE_PREPARED)
			tess_node_mark_dirty(remotes[i]->node_id);
	}
}

static void
release_sessions(void)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
		tess_net_release(remotes[i]->session);
}

/* Must not fail: an error after the commit record would be a PANIC. */
void
tess_xact_committed(void)
{
	int count;
	MemoryContext context = CurrentMemoryContext;
	uint32 holdoff = InterruptHoldoffCount;

	(void) tess_remotes(&count);
	if (count == 0)
	{
		tess_remotes_forget();
		return;
	}

	PG_TRY();
	{
		bool two_phase = commit.gid[0] != '\0';

		if (two_phase)
			TESS_FAULT_POINT("xact_before_commit_prepared");
		send_decision();
		if (two_phase)
		{
			note_confirmations();
			TESS_FAULT_POINT("xact_after_commit_prepared");
		}
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		tess_swallow_error(holdoff);
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("the transaction is committed, but not all nodes have been told"),
				 errdetail_internal("%s", error->message)));
	}
	PG_END_TRY();
	tess_slot_clear();
	mark_unconfirmed();
	if (commit.gid[0] != '\0' || commit.holds_interrupts)
		QueryCancelPending = false; /* it came too late */

	PG_TRY();
	{
		release_sessions();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		tess_swallow_error(holdoff);
	}
	PG_END_TRY();
	tess_remotes_forget();
	if (commit.holds_interrupts)
		RESUME_INTERRUPTS();
	tess_xact_commit_forget();
}
