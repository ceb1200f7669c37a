/*
 * epq.c - EvalPlanQual: the row a recheck wants in place of a scan.
 *
 * When another transaction has changed a row that is to be locked or changed
 * here, core runs the plan again over that row alone, and each other relation
 * gives the row it gave before.  For a scan of nodes that row stands in the
 * plan's output as a whole row (ROW_MARK_COPY), from which the scan tuple
 * is built again; the nodes are never asked.  What cannot be rebuilt fails with
 * 40001 rather than being answered wrongly.
 *
 * Scans below subplans of the recheck are not meant: they run as ever.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* True if the scan is one of those whose row is given. */
bool
tess_epq_applies(CustomScanState *node)
{
	EPQState *epq = node->ss.ps.state->es_epq_active;

	return epq != NULL &&
		   bms_is_member(epq->epqParam, node->ss.ps.plan->extParam);
}

static void
raise_conflict(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update"),
			 errdetail(
				 "The row was changed by another transaction, and the rows of other nodes that it was joined with cannot be looked at again."),
			 errhint("Run the transaction again.")));
}

/* Range table index of the relation the scan stands for. */
static Index
scan_relid(CustomScanState *node)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	if (scan->scan.scanrelid > 0)
		return scan->scan.scanrelid;
	if (bms_membership(scan->custom_relids) != BMS_SINGLETON)
		raise_conflict();
	return bms_singleton_member(scan->custom_relids);
}

/* The scan tuple from a whole row of the relation. */
static void
fill_slot(CustomScanState *node, Index relid, Datum whole_row)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	HeapTupleHeader header = DatumGetHeapTupleHeader(whole_row);
	TupleDesc desc;
	HeapTupleData tuple;
	Datum *values;
	bool *nulls;
	ListCell *cell;
	int i = 0;

	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header),
								  HeapTupleHeaderGetTypMod(header));
	values = palloc(desc->natts * sizeof(Datum));
	nulls = palloc(desc->natts * sizeof(bool));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, desc, values, nulls);

	foreach(cell, scan->custom_scan_tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Var *var = (Var *) entry->expr;

		if (!IsA(var, Var) || var->varno != relid || var->varattno > desc->natts)
			raise_conflict();
		slot->tts_isnull[i] = false;
		if (var->varattno > 0)
		{
			slot->tts_values[i] = values[var->varattno - 1];
			slot->tts_isnull[i] = nulls[var->varattno - 1];
		}
		else if (var->varattno == 0)
			slot->tts_values[i] = PointerGetDatum(header);
		else if (var->varattno == TableOidAttributeNumber &&
				 node->ss.ss_currentRelation != NULL &&
				 node->ss.ss_currentRelation->rd_rel->relkind == RELKIND_RELATION)
			slot->tts_values[i] = ObjectIdGetDatum(
				RelationGetRelid(node->ss.ss_currentRelation));
		else
			raise_conflict();
		i++;
	}
	ReleaseTupleDesc(desc);
	ExecStoreVirtualTuple(slot);
}

/* Puts the given row into the scan slot; false if there is none (left). */
static bool
fetch_given_row(CustomScanState *node)
{
	EPQState *epq = node->ss.ps.state->es_epq_active;
	Index relid = scan_relid(node);
	ExecAuxRowMark *mark;
	Datum whole_row;
	bool is_null;
	MemoryContext old_context;

	ExecClearTuple(node->ss.ss_ScanTupleSlot);
	if (epq->relsubs_done[relid - 1])
		return false;
	epq->relsubs_done[relid - 1] = true;

	mark = epq->relsubs_rowmark[relid - 1];
	if (epq->relsubs_slot[relid - 1] != NULL || mark == NULL ||
		mark->rowmark->markType != ROW_MARK_COPY)
		raise_conflict();

	whole_row = ExecGetJunkAttribute(epq->origslot, mark->wholeAttNo, &is_null);
	if (is_null)
		return false; /* an outer join had made it NULL */

	old_context = MemoryContextSwitchTo(
		node->ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	fill_slot(node, relid, whole_row);
	MemoryContextSwitchTo(old_context);
	return true;
}

/* The row if it satisfies the scan's qual, projected; then nothing. */
TupleTableSlot *
tess_epq_next(CustomScanState *node)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ProjectionInfo *projection = node->ss.ps.ps_ProjInfo;

	ResetExprContext(econtext);
	if (fetch_given_row(node))
	{
		econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
		if (node->ss.ps.qual == NULL || ExecQual(node->ss.ps.qual, econtext))
			return projection ? ExecProject(projection)
							  : node->ss.ss_ScanTupleSlot;
		InstrCountFiltered1(node, 1);
	}
	return projection ? ExecClearTuple(projection->pi_state.resultslot)
					  : ExecClearTuple(node->ss.ss_ScanTupleSlot);
}
