/*
 * command_outside.c - statements that run in no transaction: VACUUM, and all
 * that is done CONCURRENTLY.
 *
 * They go to sessions of their own, one statement at a time on each server: two
 * that make indexes there at the same time might wait for each other.  This
 * server keeps no snapshot meanwhile, which its own would wait for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "net/net.h"

/* How long to wait for a node to stop. */
#define ABANDON_TIMEOUT_MS 1000

/* See command_internal.h. */
void
tess_outside_next_transaction(void)
{
	MemoryContext caller = CurrentMemoryContext;

	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
	MemoryContextSwitchTo(caller);
}

/* The next command of each node, until all have done theirs. */
static void
run_in_rounds(int count, TessSession **sessions, List **lists)
{
	TessSession **round = palloc(sizeof(TessSession *) * count);
	const char **commands = palloc(sizeof(char *) * count);

	for (int number = 0;; number++)
	{
		int in_round = 0;

		for (int i = 0; i < count; i++)
		{
			if (number >= list_length(lists[i]))
				continue;
			round[in_round] = sessions[i];
			commands[in_round++] = list_nth(lists[i], number);
		}
		if (in_round == 0)
			return;
		InvalidateCatalogSnapshot();
		tess_net_run_all(in_round, round, commands);
	}
}

static void
run_on_nodes(int count, const int32 *node_ids, List **lists)
{
	TessSession **sessions = palloc(sizeof(TessSession *) * count);
	const char **first = palloc(sizeof(char *) * count);

	for (int i = 0; i < count; i++)
		first[i] = "SELECT";
	tess_net_acquire(count, node_ids, GetUserId(), sessions);
	PG_TRY();
	{
		/* Settings travel with this one: what follows must be alone in a
		 * pipeline. */
		tess_net_run_all(count, sessions, first);
		run_in_rounds(count, sessions, lists);
	}
	PG_FINALLY();
	{
		/* After an error, or a cancel, nothing is to go on there. */
		TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														   ABANDON_TIMEOUT_MS);

		for (int i = 0; i < count; i++)
		{
			tess_session_abandon(sessions[i], deadline);
			tess_net_release(sessions[i]);
		}
	}
	PG_END_TRY();
}

/* A command over this server's own tables, in transactions of its own. */
static void
run_here(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	PlannedStmt *plan = makeNode(PlannedStmt);
	RawStmt *parsed;

	/* goes with the transaction, which has read all names by then */
	(void) tess_settings_pin();
	parsed = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	plan->commandType = CMD_UTILITY;
	plan->utilityStmt = parsed->stmt;
	plan->stmt_location = 0;
	plan->stmt_len = 0;
	PushActiveSnapshot(GetTransactionSnapshot());
	ProcessUtility(plan, sql, false, PROCESS_UTILITY_TOPLEVEL, NULL, NULL,
				   None_Receiver, NULL);
	MemoryContextSwitchTo(caller);
	tess_outside_next_transaction();
}

/* See command_internal.h. */
void
tess_outside_run(TessWork *work)
{
	int32 *node_ids = palloc(sizeof(int32) * Max(work->count, 1));
	List **lists = palloc(sizeof(List *) * Max(work->count, 1));
	int count = 0;

	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		if (node->is_local || node->commands == NIL)
			continue;
		node_ids[count] = node->node_id;
		lists[count++] = node->commands;
	}
	if (count > 0)
		run_on_nodes(count, node_ids, lists);
	for (int i = 0; i < work->count; i++)
	{
		ListCell *cell;

		if (!work->nodes[i].is_local)
			continue;
		foreach(cell, work->nodes[i].commands)
			run_here(lfirst(cell));
	}
}
