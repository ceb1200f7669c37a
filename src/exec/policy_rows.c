/*
 * policy_rows.c - row security: conditions that rows have to satisfy before they
 * are written, and the errors of those that do not.
 *
 * The texts and SQLSTATEs are those of PostgreSQL (ExecWithCheckOptions).
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/rls.h"

#include "exec/exec_internal.h"

struct TessPolicies
{
	const TessModifySpec *spec;
	ExprContext *econtext;
	List *quals;		  /* ExprState *, parallel to spec->policies */
	TupleTableSlot *slot; /* the row that is written, as a tuple of the scan */
};

/* The conditions of a plan that is being initialized; NULL if there are none. */
TessPolicies *
tess_policies_init(const TessModifySpec *spec, CustomScanState *node)
{
	const CustomScan *scan = (const CustomScan *) node->ss.ps.plan;
	int first = list_length(scan->custom_exprs) - list_length(spec->policies);
	TessPolicies *policies;
	ListCell *cell;

	if (spec->policies == NIL)
		return NULL;
	policies = palloc0(sizeof(TessPolicies));
	policies->spec = spec;
	policies->econtext = node->ss.ps.ps_ExprContext;
	policies->slot = ExecInitExtraTupleSlot(node->ss.ps.state,
											node->ss.ss_ScanTupleSlot
												->tts_tupleDescriptor,
											&TTSOpsVirtual);
	for_each_from(cell, scan->custom_exprs, first)
		policies->quals = lappend(policies->quals,
								  ExecInitQual(list_make1(lfirst(cell)),
											   &node->ss.ps));
	return policies;
}

static void
raise_new_row(const WithCheckOption *option)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 option->polname != NULL
				 ? errmsg("new row violates row-level security policy \"%s\" for table \"%s\"",
						  option->polname, option->relname)
				 : errmsg("new row violates row-level security policy for table \"%s\"",
						  option->relname)));
}

static void
raise_old_row(const WithCheckOption *option)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 option->polname != NULL
				 ? errmsg("new row violates row-level security policy \"%s\" (USING expression) for table \"%s\"",
						  option->polname, option->relname)
				 : errmsg("new row violates row-level security policy (USING expression) for table \"%s\"",
						  option->relname)));
}

/* Errors if the row in a slot, which is a tuple of the scan, violates a condition
 * of this kind. */
void
tess_policies_check(TessPolicies *policies, WCOKind kind, TupleTableSlot *slot)
{
	ExprContext *econtext = policies->econtext;
	ListCell *option_cell;
	ListCell *qual;

	econtext->ecxt_scantuple = slot;
	forboth(option_cell, policies->spec->policies, qual, policies->quals)
	{
		const WithCheckOption *option = lfirst_node(WithCheckOption, option_cell);

		if (option->kind != kind || ExecQual(lfirst(qual), econtext))
			continue;
		if (kind == WCO_RLS_CONFLICT_CHECK)
			raise_old_row(option);
		raise_new_row(option);
	}
}

/* Columns of from as the policies want them; those that are nowhere are NULL, or
 * other's. */
static TupleTableSlot *
arrange(TessPolicies *policies, List *sources, TupleTableSlot *from,
		TupleTableSlot *other)
{
	TupleTableSlot *slot = ExecClearTuple(policies->slot);
	ListCell *cell;

	foreach(cell, sources)
	{
		int i = foreach_current_index(cell);

		slot->tts_values[i] = (Datum) 0;
		slot->tts_isnull[i] = true;
		if (lfirst_int(cell) >= 0)
			slot->tts_values[i] = slot_getattr(from, lfirst_int(cell) + 1,
											   &slot->tts_isnull[i]);
		else if (other != NULL)
			slot->tts_values[i] = slot_getattr(other, i + 1,
											   &slot->tts_isnull[i]);
	}
	return ExecStoreVirtualTuple(slot);
}

/* Errors if the row that is made of one of the child's may not be written.  Resets
 * the memory that rows are computed in. */
void
tess_policies_check_row(TessPolicies *policies, CmdType command,
						TupleTableSlot *row)
{
	ResetExprContext(policies->econtext);
	tess_policies_check(policies,
						command == CMD_INSERT ? WCO_RLS_INSERT_CHECK
											  : WCO_RLS_UPDATE_CHECK,
						arrange(policies, policies->spec->policy_sources, row,
								NULL));
}

/* Errors if DO UPDATE may not change the row that was found, or not to what SET
 * says. */
void
tess_policies_check_set(TessPolicies *policies, TupleTableSlot *found,
						TupleTableSlot *set)
{
	tess_policies_check(policies, WCO_RLS_UPDATE_CHECK,
						arrange(policies, policies->spec->policy_assigned, set,
								found));
}

/* The parameters of a plan's writes: custom_exprs without DO UPDATE and policies. */
List *
tess_policies_strip(const TessModifySpec *spec, const List *custom_exprs)
{
	if (spec->resolves_conflicts)
		return NIL;
	return list_truncate(list_copy(custom_exprs),
						 list_length(custom_exprs) - list_length(spec->policies));
}

/*
 * Runs a change.  As in PostgreSQL, who may not see all rows of the table is not
 * told which of them a constraint has met.
 */
void
tess_policies_run(const TessFragment *fragment, void (*run)(void *), void *arg)
{
	MemoryContext context = CurrentMemoryContext;

	if (check_enable_rls(fragment->anchor, fragment->role, true) != RLS_ENABLED)
	{
		run(arg);
		return;
	}
	PG_TRY();
	{
		run(arg);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
			error->detail = NULL;
		ReThrowError(error);
	}
	PG_END_TRY();
}
