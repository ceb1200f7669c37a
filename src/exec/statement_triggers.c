/*
 * statement_triggers.c - statement triggers of distributed tables: fired here,
 * once a statement, by core.
 *
 * BEFORE triggers run before the plan does, and AFTER triggers are queued when it
 * has run: core runs them at the end of the statement.  Which they are, and whether
 * they are enabled, core sees in the shell.
 *
 * A statement that goes to nodes as it is reads what is there when it comes: so it
 * is refused if a BEFORE trigger has written to its tables, which the statement must
 * not see.  All others have read what they read, or are made to (order.c).
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "exec/exec.h"
#include "exec/exec_internal.h"

static AclMode
right_of(CmdType command)
{
	return command == CMD_INSERT   ? ACL_INSERT
		   : command == CMD_UPDATE ? ACL_UPDATE
								   : ACL_DELETE;
}

/* The target of a change in the range table, whose columns are those that it
 * assigns to; 0: it is not there. */
static Index
find_target(EState *estate, Oid relation, CmdType command)
{
	Index rti = 0;
	ListCell *cell;

	foreach(cell, estate->es_range_table)
	{
		const RangeTblEntry *rte = lfirst(cell);

		rti++;
		if (rte->rtekind == RTE_RELATION && rte->relid == relation &&
			(rte->requiredPerms & right_of(command)) != 0 &&
			(command != CMD_UPDATE || !bms_is_empty(rte->updatedCols)))
			return rti;
	}
	return 0;
}

static void
fire(EState *estate, Oid relation, CmdType command, bool before)
{
	ResultRelInfo *target = ExecGetTriggerResultRel(estate, relation, NULL);

	target->ri_RangeTableIndex = find_target(estate, relation, command);
	switch (command)
	{
		case CMD_INSERT:
			if (before)
				ExecBSInsertTriggers(estate, target);
			else
				ExecASInsertTriggers(estate, target, NULL);
			break;
		case CMD_UPDATE:
			if (before)
				ExecBSUpdateTriggers(estate, target);
			else
				ExecASUpdateTriggers(estate, target, NULL);
			break;
		default:
			if (before)
				ExecBSDeleteTriggers(estate, target);
			else
				ExecASDeleteTriggers(estate, target, NULL);
			break;
	}
	target->ri_RangeTableIndex = 0;
}

/* See exec.h.  In the order of PostgreSQL's own. */
void
tess_exec_fire(EState *estate, Oid relation, int events, bool before)
{
	static const CmdType first_to_last[] = {CMD_INSERT, CMD_UPDATE, CMD_DELETE};
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);

	for (int i = 0; i < lengthof(first_to_last); i++)
	{
		CmdType command = before
							  ? first_to_last[i]
							  : first_to_last[lengthof(first_to_last) - 1 - i];

		if ((events & TESS_EVENT(command)) != 0)
			fire(estate, relation, command, before);
	}
	MemoryContextSwitchTo(old_context);
}

static bool
are_due(const QueryDesc *query_desc, TessFired *fired)
{
	return query_desc->plannedstmt != NULL &&
		   tess_fired_of(query_desc->plannedstmt, fired) &&
		   !tess_exec_is_cascade();
}

static void
fire_all(QueryDesc *query_desc, const TessFired *fired, bool before)
{
	ListCell *table;
	ListCell *events;

	forboth(table, fired->tables, events, fired->events)
		tess_exec_fire(query_desc->estate, lfirst_oid(table),
					   lfirst_int(events), before);
}

/* What a statement that is sent as it is reads. */
static List *
sent_tables(const PlannedStmt *stmt)
{
	const CustomScan *scan = (const CustomScan *) stmt->planTree;
	const TessFragment *fragment;

	if (!IsA(scan, CustomScan) || scan->methods != &tess_scan_methods)
		return NIL;
	fragment = linitial(scan->custom_private);
	return fragment->changed != NIL ? fragment->relations : NIL;
}

/* Before the plan runs for the first time. */
void
tess_statement_triggers_before(QueryDesc *query_desc)
{
	TessFired fired;
	uint64 writes = tess_order_count();
	Oid written;

	if (query_desc->already_executed || !are_due(query_desc, &fired))
		return;
	fire_all(query_desc, &fired, true);
	written = tess_order_find_written(sent_tables(query_desc->plannedstmt),
									  writes);
	if (OidIsValid(written))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change table \"%s\" in a BEFORE trigger of a statement that reads it",
						get_rel_name(written)),
				 errdetail(
					 "The statement would see the change, which came after it began."),
				 errhint("Use an AFTER trigger.")));
}

/* When it has run. */
void
tess_statement_triggers_after(QueryDesc *query_desc)
{
	TessFired fired;

	if (query_desc->already_executed && are_due(query_desc, &fired))
		fire_all(query_desc, &fired, false);
}
