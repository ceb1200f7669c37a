/*
 * capture.c - the rows that core's plan changes in this server's copy of a
 * reference table, for those who have to repeat it.
 *
 * RETURNING knows no old row, and what the plan has read may have been
 * overtaken by EvalPlanQual.  So the target gets one more BEFORE ROW trigger,
 * in the executor's own description of the table and nowhere else.  Core calls
 * it with the locked row as it is and the row as it will be, right before it
 * writes, once for each row and in the order of the writes; that is what is
 * kept.  Nothing else can stop or change the row then: it is the last trigger.
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

struct TessCapture
{
	int key_count;
	int count; /* of all values */
	AttrNumber *attnos;
	TupleDesc desc;
	Tuplestorestate *store;
	Datum *values; /* of one row */
	bool *nulls;
};

/* A row is about to be changed: the values that identify it, and the new ones. */
static Datum
capture_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TessCapture *capture = fcinfo->flinfo->fn_extra;
	bool updates = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);

	for (int i = 0; i < capture->count; i++)
		capture->values[i] = slot_getattr(i < capture->key_count
											  ? trigger->tg_trigslot
											  : trigger->tg_newslot,
										  capture->attnos[i], &capture->nulls[i]);
	tuplestore_putvalues(capture->store, capture->desc, capture->values,
						 capture->nulls);
	return PointerGetDatum(updates ? trigger->tg_newtuple
								   : trigger->tg_trigtuple);
}

static Trigger
make_trigger(void)
{
	Trigger trigger = {0};

	trigger.tgname = pstrdup("tessera");
	/* of some trigger function: it is compared, but never looked up */
	trigger.tgfoid = F_SUPPRESS_REDUNDANT_UPDATES_TRIGGER;
	trigger.tgtype = TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE |
					 TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE;
	trigger.tgenabled = TRIGGER_FIRES_ALWAYS;
	trigger.tgisinternal = true;
	return trigger;
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
	FmgrInfo *function;

	if (old != NULL)
		*desc = *old;
	desc->triggers = one_more(desc->triggers, count, sizeof(Trigger));
	desc->triggers[count] = make_trigger();
	desc->numtriggers = count + 1;
	desc->trig_update_before_row = true;
	desc->trig_delete_before_row = true;

	target->ri_TrigFunctions = one_more(target->ri_TrigFunctions, count,
										sizeof(FmgrInfo));
	function = &target->ri_TrigFunctions[count];
	function->fn_addr = capture_row;
	function->fn_oid = desc->triggers[count].tgfoid;
	function->fn_stats = TRACK_FUNC_ALL; /* never counted */
	function->fn_mcxt = CurrentMemoryContext;
	function->fn_extra = capture;

	target->ri_TrigWhenExprs = one_more(target->ri_TrigWhenExprs, count,
										sizeof(ExprState *));
	if (target->ri_RelationDesc != NULL && target->ri_TrigInstrument != NULL)
		target->ri_TrigInstrument = one_more(target->ri_TrigInstrument, count,
											 sizeof(Instrumentation));
	target->ri_TrigDesc = desc;
}

/*
 * Captures what a ModifyTable (just initialized, with one target) changes:
 * old values of the key columns, then new values of columns.  In the current
 * context, which must live as long as the plan; temporary files belong to the
 * current resource owner.
 */
TessCapture *
tess_capture_begin(ModifyTableState *modify, const TessModifySpec *spec)
{
	TessCapture *capture = palloc0(sizeof(TessCapture));
	ResultRelInfo *target = modify->resultRelInfo;
	TupleDesc table_desc = RelationGetDescr(target->ri_RelationDesc);
	const TessWrite *write = linitial(spec->writes);
	List *columns = list_concat_copy(spec->key_columns, write->columns);
	ListCell *cell;

	if (modify->mt_nrels != 1)
		elog(ERROR, "%d tables changed, one expected", modify->mt_nrels);
	capture->key_count = list_length(spec->key_columns);
	capture->count = list_length(columns);
	capture->attnos = palloc(capture->count * sizeof(AttrNumber));
	capture->values = palloc(capture->count * sizeof(Datum));
	capture->nulls = palloc(capture->count * sizeof(bool));
	capture->desc = CreateTemplateTupleDesc(capture->count);
	foreach(cell, columns)
	{
		int i = foreach_current_index(cell);

		capture->attnos[i] = lfirst_int(cell);
		TupleDescCopyEntry(capture->desc, i + 1, table_desc, lfirst_int(cell));
	}
	capture->store = tuplestore_begin_heap(false, false, work_mem);
	add_trigger(target, capture);
	return capture;
}

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
