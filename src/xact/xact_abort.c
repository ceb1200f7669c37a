/*
 * xact_abort.c - rolling back, the whole transaction or a part of it.
 *
 * These run inside PostgreSQL's own abort: they raise nothing and take a
 * bounded time.  A session whose state cannot be made certain is closed, and
 * its node rolls back by itself; only prepared transactions outlive that.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "tessera.h"
#include "xact/xact_internal.h"

/* A node that has not answered by then, for a savepoint, is asked if it is
 * there. */
#define KNOCK_AFTER_MS 200

static bool reaches_level(const TessRemote *remote, int level);

/* Leaves the sessions that have something of the level (0: all) idle, in a
 * transaction or not, or broken; and nobody's, since who claimed them may be
 * gone with the memory of his statement. */
static void
make_quiet(int level, TimestampTz deadline)
{
	int count;
	int found = 0;
	TessRemote **remotes = tess_remotes(&count);
	TessSession **sessions = palloc(sizeof(TessSession *) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		/* others may be streaming for a scan outside the subtransaction */
		if (level == 0 || reaches_level(remotes[i], level))
			sessions[found++] = remotes[i]->session;
	}
	tess_session_abandon_all(found, sessions, deadline);
	pfree(sessions);
}

static void
roll_back_open(TimestampTz deadline)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	make_quiet(0, deadline);
	tess_round_begin();
	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (tess_session_is_broken(remote->session))
			continue;
		/* what was to end it may have done so, one way or the other */
		if ((remote->phase == TESS_PHASE_PREPARING ||
			 remote->phase == TESS_PHASE_COMMITTING) &&
			tess_session_in_block(remote->session))
			remote->phase = TESS_PHASE_OPEN;
		if (remote->phase == TESS_PHASE_OPEN)
			tess_round_send(remote, "ROLLBACK", "ROLLBACK");
	}
	tess_round_finish_held(deadline);
}

/* Also where PREPARE was not answered: it may have been done. */
static void
roll_back_prepared(TimestampTz deadline)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	tess_round_begin();
	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if ((remote->phase == TESS_PHASE_PREPARED ||
			 remote->phase == TESS_PHASE_PREPARING) &&
			!tess_session_is_broken(remote->session) &&
			!tess_session_is_busy(remote->session))
			tess_round_send(remote, remote->rollback_prepared,
							"ROLLBACK PREPARED");
	}
	tess_round_finish_held(deadline);

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (remote->phase == TESS_PHASE_PREPARED && !remote->answered)
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("the transaction is rolled back, but node \"%s\" has not confirmed it",
							tess_session_node_name(remote->session)),
					 errhint(
						 "Its part is a prepared transaction there, which is rolled back as soon as the node answers: see tessera.in_doubt.")));
	}
}

void
tess_xact_aborted(void)
{
	int count;
	MemoryContext context = CurrentMemoryContext;
	uint32 holdoff = InterruptHoldoffCount;
	TessRemote **remotes = tess_remotes(&count);
	TimestampTz deadline;

	tess_xact_commit_forget();

	/* Room for sessions that could not be had dies with the transaction. */
	if (count == 0)
	{
		tess_remotes_forget();
		return;
	}

	deadline = tess_round_deadline();
	PG_TRY();
	{
		roll_back_open(deadline);
		roll_back_prepared(deadline);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		tess_swallow_error(holdoff);
	}
	PG_END_TRY();

	for (volatile int i = 0; i < count; i++)
	{
		PG_TRY();
		{
			TessRemote *remote = remotes[i];

			/* a state that nobody knows is not for the next transaction */
			tess_net_release(remote->session);
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(context);
			tess_swallow_error(holdoff);
		}
		PG_END_TRY();
	}
	tess_remotes_forget();
	tess_slot_clear();
}

static void
lower_level(int *noted, int level)
{
	if (*noted >= level)
		*noted = level - 1;
}

/*
 * A subtransaction of this level became part of its parent.  The node is told
 * with the next statement: RELEASE cannot fail in a sound transaction, and
 * COMMIT implies it.
 */
void
tess_xact_subcommitted(int level)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		lower_level(&remote->begun_level, level);
		lower_level(&remote->wrote_level, level);
		lower_level(&remote->locked_level, level);
		if (remote->savepoint_level >= level &&
			(remote->release_level == 0 || remote->release_level > level))
			remote->release_level = level;
	}
}

/* True if something of the aborted subtransaction may be on the node. */
static bool
reaches_level(const TessRemote *remote, int level)
{
	return remote->phase == TESS_PHASE_OPEN && remote->savepoint_level >= level &&
		   (remote->release_level == 0 || remote->release_level > level);
}

static void
forget_level(TessRemote *remote, int level)
{
	if (remote->wrote_level >= level)
		remote->wrote_level = 0;
	if (remote->locked_level >= level)
		remote->locked_level = 0;
}

/* What is left of a session that did not survive the rollback. */
static void
note_broken(TessRemote *remote, int level)
{
	if (remote->begun_level < level)
		remote->lost = true;
	else
	{
		/* nothing outside the subtransaction was in it: begin anew */
		remote->phase = TESS_PHASE_NONE;
		remote->begun_level = 0;
		remote->savepoint_level = 0;
		remote->release_level = 0;
		remote->replace = true;
	}
}

static void
roll_back_to(int level)
{
	int count;
	TessRemote **remotes = tess_remotes(&count);
	/* A savepoint is worth waiting for longer than commit_wait: without its
	 * answer the whole transaction is lost. */
	TimestampTz deadline = tess_connect_deadline();
	TimestampTz knock_at;
	char *command;

	make_quiet(level, deadline);
	tess_round_begin();
	command = psprintf("ROLLBACK TO SAVEPOINT tessera_%d", level);
	for (int i = 0; i < count; i++)
	{
		if (reaches_level(remotes[i], level) &&
			!tess_session_is_broken(remotes[i]->session))
			tess_round_send(remotes[i], command, "ROLLBACK");
	}
	knock_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), KNOCK_AFTER_MS);
	tess_round_finish_held(Min(knock_at, deadline));
	tess_round_knock();
	tess_round_finish_held(deadline);
	pfree(command);
}

void
tess_xact_subaborted(int level)
{
	int count;
	MemoryContext context = CurrentMemoryContext;
	uint32 holdoff = InterruptHoldoffCount;
	TessRemote **remotes = tess_remotes(&count);

	/* no answer of an earlier round counts, should this one not come about */
	tess_round_begin();
	PG_TRY();
	{
		roll_back_to(level);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		tess_swallow_error(holdoff);
	}
	PG_END_TRY();

	for (int i = 0; i < count; i++)
	{
		TessRemote *remote = remotes[i];

		if (reaches_level(remote, level))
		{
			if (remote->answered)
			{
				remote->savepoint_level = level;
				remote->release_level = level;
			}
			else
				note_broken(remote, level);
		}
		forget_level(remote, level);
	}
}
