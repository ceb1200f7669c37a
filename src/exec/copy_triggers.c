/*
 * copy_triggers.c - foreign keys of this server's copy of a reference table.
 *
 * What a foreign key changes along locks rows here, as the change itself does.
 * Where that came after the nodes, a session that has such a row would go on to
 * nodes which wait for it, while we wait for the row.  So triggers fire as soon
 * as the copy is changed, wherever nobody could see that from within the
 * statement; else when it ends.
 */
#include "postgres.h"

#include "base/base.h"
#include "commands/trigger.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"

/* True if the change, or what foreign keys change along, fires triggers of users:
 * what these write must come after it on the nodes, too. */
static bool
fires_users_triggers(const CustomScan *scan)
{
	const TessFragment *fragment = linitial(scan->custom_private);
	ListCell *cell;

	foreach(cell, tess_relation_cascades(list_make1_oid(fragment->anchor),
										 fragment->anchor, false))
	{
		const TessTable *table = tess_meta_table(lfirst_oid(cell));

		if (table != NULL && table->kind == TESS_REFERENCE && table->has_triggers)
			return true;
	}
	return false;
}

/*
 * Before a write of this server's copy.  Returns true if tess_copy_triggers_fire
 * is to follow it: the write is all that its statement changes, and what
 * RETURNING computes cannot look at other tables.  returned: the rows are
 * computed before triggers fire, whatever is in them.
 */
bool
tess_copy_triggers_begin(const CustomScanState *node, bool returned)
{
	const EState *estate = node->ss.ps.state;
	const Plan *plan = node->ss.ps.plan;

	if (estate->es_plannedstmt->hasModifyingCTE ||
		(estate->es_top_eflags & EXEC_FLAG_SKIP_TRIGGERS) != 0 ||
		estate->es_plannedstmt->planTree != plan ||
		(!returned && plan->targetlist != NIL &&
		 (estate->es_plannedstmt->subplans != NIL ||
		  contain_volatile_functions((Node *) plan->targetlist))) ||
		fires_users_triggers((const CustomScan *) plan))
		return false;
	AfterTriggerBeginQuery();
	return true;
}

/* After it.  Errors are those of the triggers. */
void
tess_copy_triggers_fire(const CustomScanState *node)
{
	AfterTriggerEndQuery(node->ss.ps.state);
}
