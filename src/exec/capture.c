/*
 * capture.c - the rows that core's plan changes in this server's copy of a
 * reference table, for those who have to repeat it.
 *
 * RETURNING knows no old row, and what the plan has read may have been
 * overtaken by EvalPlanQual.  So the target gets one more AFTER ROW trigger, in
 * the executor's own description of the table and nowhere else, whose WHEN
 * condition is a function of ours.  Core evaluates it right after each write,
 * with the row as it was and as it is, and it is what notes both; as it is
 * never true, the trigger is never queued.
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

/* The number of the statement for a row stands before its values. */
#define STATEMENT_COLUMNS 1

struct TessCapture
{
	int key_count;
	int count; /* of all columns that are kept */
	AttrNumber *attnos;
	int statements[CMD_DELETE + 1]; /* numbers, from 1, by command; or 0 */
	TupleDesc desc;
	Tuplestorestate *store;
	Datum *values; /* of one row */
	bool *nulls;
};

/* ExprStateEvalFunc: a row has been changed.  Notes the values that identified
 * it, and the new ones. */
static Datum
capture_row(ExprState *condition, ExprContext *econtext, bool *isnull)
{
	TessCapture *capture = condition->evalfunc_private;
	TupleTableSlot *old_row = econtext->ecxt_innertuple;
	TupleTableSlot *new_row = econtext->ecxt_outertuple;
	CmdType command = old_row == NULL	? CMD_INSERT
					  : new_row == NULL ? CMD_DELETE
										: CMD_UPDATE;

	if (capture->statements[command] == 0)
		elog(ERROR, "a row was changed by command %d, which was not expected",
			 command);
	capture->values[0] = Int32GetDatum(capture->statements[command]);
	for (int i = STATEMENT_COLUMNS; i < capture->count; i++)
	{
		TupleTableSlot *row = i < STATEMENT_COLUMNS + capture->key_count
								  ? old_row
								  : new_row;

		capture->nulls[i] = true;
		if (row != NULL)
			capture->values[i] = slot_getattr(row, capture->attnos[i],
											  &capture->nulls[i]);
	}
	tuplestore_putvalues(capture->store, capture->desc, capture->values,
						 capture->nulls);
	*isnull = false;
	return BoolGetDatum(false);
}

static Trigger
make_trigger(void)
{
	Trigger trigger = {0};

	trigger.tgname = pstrdup("tessera");
	/* of some trigger function: it is compared, but never looked up */
	trigger.tgfoid = F_SUPPRESS_REDUNDANT_UPDATES_TRIGGER;
	trigger.tgtype = TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT |
					 TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE;
	trigger.tgenabled = TRIGGER_FIRES_ALWAYS;
	trigger.tgisinternal = true;
	trigger.tgqual = pstrdup("captured"); /* the expression is made already */
	return trigger;
}

static ExprState *
make_condition(TessCapture *capture)
{
	ExprState *condition = makeNode(ExprState);

	condition->flags = EEO_FLAG_IS_QUAL;
	condition->evalfunc = capture_row;
	condition->evalfunc_private = capture;
	return condition;
}

/* A copy of an array with room for one more. */
static void *
one_more(const void *array, int count, Size size)
{
	char *larger = palloc0((count + 1) * size);

	if (count > 0 && array != NULL)
		memcpy(larger, array, count * size);
	return larger;
}

static void
add_trigger(ResultRelInfo *target, TessCapture *capture)
{
	const TriggerDesc *old = target->ri_TrigDesc;
	TriggerDesc *desc = palloc0(sizeof(TriggerDesc));
	int count = old != NULL ? old->numtriggers : 0;

	if (old != NULL)
		*desc = *old;
	desc->triggers = one_more(desc->triggers, count, sizeof(Trigger));
	desc->triggers[count] = make_trigger();
	desc->numtriggers = count + 1;
	desc->trig_insert_after_row = true;
	desc->trig_update_after_row = true;
	desc->trig_delete_after_row = true;

	target->ri_TrigFunctions = one_more(target->ri_TrigFunctions, count,
										sizeof(FmgrInfo));
	target->ri_TrigWhenExprs = one_more(target->ri_TrigWhenExprs, count,
										sizeof(ExprState *));
	target->ri_TrigWhenExprs[count] = make_condition(capture);
	if (target->ri_TrigInstrument != NULL)
		target->ri_TrigInstrument = one_more(target->ri_TrigInstrument, count,
											 sizeof(Instrumentation));
	target->ri_TrigDesc = desc;
}

/*
 * Captures what a ModifyTable (just initialized, with one target) changes: the
 * number of the write in spec, from 1; old values of the key columns; then new
 * values of columns.  In the current context, which must live as long as the
 * plan; temporary files belong to the current resource owner.
 */
TessCapture *
tess_capture_begin(ModifyTableState *modify, const TessModifySpec *spec)
{
	TessCapture *capture = palloc0(sizeof(TessCapture));
	ResultRelInfo *target = modify->resultRelInfo;
	TupleDesc table_desc = RelationGetDescr(target->ri_RelationDesc);
	List *columns = list_concat_copy(spec->key_columns, spec->value_columns);
	ListCell *cell;

	if (modify->mt_nrels != 1)
		elog(ERROR, "%d tables changed, one expected", modify->mt_nrels);
	foreach(cell, spec->writes)
		capture->statements[((const TessWrite *) lfirst(cell))
								->command] = foreach_current_index(cell) + 1;
	capture->key_count = list_length(spec->key_columns);
	capture->count = STATEMENT_COLUMNS + list_length(columns);
	capture->attnos = palloc0(capture->count * sizeof(AttrNumber));
	capture->values = palloc0(capture->count * sizeof(Datum));
	capture->nulls = palloc0(capture->count * sizeof(bool));
	capture->desc = CreateTemplateTupleDesc(capture->count);
	TupleDescInitEntry(capture->desc, 1, "statement", INT4OID, -1, 0);
	foreach(cell, columns)
	{
		int i = STATEMENT_COLUMNS + foreach_current_index(cell);

		capture->attnos[i] = lfirst_int(cell);
		TupleDescCopyEntry(capture->desc, i + 1, table_desc, lfirst_int(cell));
	}
	capture->store = tuplestore_begin_heap(false, false, work_mem);
	add_trigger(target, capture);
	return capture;
}

/* What the rows consist of. */
TupleDesc
tess_capture_desc(const TessCapture *capture)
{
	return capture->desc;
}

/* The next row; false at the end.  The slot is one for minimal tuples. */
bool
tess_capture_next(TessCapture *capture, TupleTableSlot *slot)
{
	return tuplestore_gettupleslot(capture->store, true, false, slot);
}

void
tess_capture_end(TessCapture *capture)
{
	tuplestore_end(capture->store);
}
