/*
 * fired.c - which statement triggers a plan has the coordinator fire.
 *
 * They stand in the range table, as an entry that no node of the plan scans:
 * core copies that with the plan, and executes the plan as it is.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "task/task.h"

#define FIRED_NAME "tessera statement triggers"

void
tess_fired_attach(PlannedStmt *stmt, const TessFired *fired)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_RESULT;
	rte->eref = makeAlias(FIRED_NAME, NIL);
	rte->coltypes = fired->tables;
	rte->coltypmods = fired->events;
	stmt->rtable = lappend(stmt->rtable, rte);
}

bool
tess_fired_of(const PlannedStmt *stmt, TessFired *fired)
{
	ListCell *cell;

	if (stmt->commandType == CMD_SELECT && !stmt->hasModifyingCTE)
		return false;
	foreach(cell, stmt->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind != RTE_RESULT || rte->coltypes == NIL ||
			strcmp(rte->eref->aliasname, FIRED_NAME) != 0)
			continue;
		fired->tables = rte->coltypes;
		fired->events = rte->coltypmods;
		return true;
	}
	return false;
}
