/*
 * returned.c - RETURNING rows of TesseraModify: collected as they come from the
 * nodes, given out in the order of the child's rows.
 *
 * A row is stored as the scan's tuple, with its ordinal (the number of the
 * child's row it belongs to) as one more column.  Columns of the child are put
 * in when a row is given out, from the child's own rows, which are then read
 * along in the same order.  Owns its store or sort; not the child's rows.
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "exec/exec_internal.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"

struct TessReturnedRows
{
	TessRowMap *map;
	EState *estate;
	TupleDesc desc;				 /* of the scan, and the ordinal */
	TupleTableSlot *stored_slot; /* to read */
	TupleTableSlot *sort_slot;	 /* to write */
	Tuplestorestate *store;
	Tuplesortstate *sort;
	MemoryContext row_context;
	Datum *values;
	bool *nulls;

	/* Columns of the child, in the scan's tuple; NULL: there are none. */
	int *child_columns; /* by attribute; -1: not from the child */
	Tuplestorestate *child_rows;
	TupleTableSlot *child_slot;
	int64 child_row; /* the number of rows read */
};

/* Which columns of the scan are the child's; NULL: none. */
static int *
child_columns(const TessFragment *fragment)
{
	int *columns = palloc(list_length(fragment->sources) * sizeof(int));
	bool any = false;
	ListCell *cell;

	foreach(cell, fragment->sources)
	{
		bool is_child = lfirst_int(cell) <= TESS_FROM_CHILD(0);

		columns[foreach_current_index(cell)] = is_child ? TESS_CHILD_COLUMN(
															  lfirst_int(cell))
														: -1;
		any = any || is_child;
	}
	return any ? columns : NULL;
}

/* For a node that is being initialized, in the current context. */
TessReturnedRows *
tess_returned_begin(const TessFragment *fragment, CustomScanState *node)
{
	TessReturnedRows *rows = palloc0(sizeof(TessReturnedRows));
	TupleDesc scan_desc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	int natts = scan_desc->natts;

	rows->estate = node->ss.ps.state;
	rows->map = tess_row_map_make(fragment, scan_desc, fragment->anchor);
	rows->desc = CreateTemplateTupleDesc(natts + 1);
	for (int i = 1; i <= natts; i++)
		TupleDescCopyEntry(rows->desc, i, scan_desc, i);
	TupleDescInitEntry(rows->desc, natts + 1, "ordinal", INT8OID, -1, 0);
	rows->stored_slot = ExecInitExtraTupleSlot(rows->estate, rows->desc,
											   &TTSOpsMinimalTuple);
	rows->sort_slot = ExecInitExtraTupleSlot(rows->estate, rows->desc,
											 &TTSOpsVirtual);
	rows->values = palloc((natts + 1) * sizeof(Datum));
	rows->nulls = palloc((natts + 1) * sizeof(bool));
	rows->row_context = AllocSetContextCreate(CurrentMemoryContext, "tessera row",
											  ALLOCSET_DEFAULT_SIZES);
	rows->child_columns = child_columns(fragment);
	return rows;
}

/* True if results are to be asked for in binary format. */
bool
tess_returned_is_binary(const TessReturnedRows *rows)
{
	return tess_row_map_is_binary(rows->map);
}

/* Decides, before the first row, whether rows come in the order of the child's
 * or have to be sorted; the first call counts. */
void
tess_returned_choose(TessReturnedRows *rows, bool in_order)
{
	MemoryContext old_context;
	AttrNumber attno = rows->desc->natts;
	Oid less = Int8LessOperator;
	Oid collation = InvalidOid;
	bool nulls_first = false;

	if (rows->store != NULL || rows->sort != NULL)
		return;
	old_context = MemoryContextSwitchTo(rows->estate->es_query_cxt);
	if (in_order)
		rows->store = tuplestore_begin_heap(false, false, work_mem);
	else
		rows->sort = tuplesort_begin_heap(rows->desc, 1, &attno, &less,
										  &collation, &nulls_first, work_mem,
										  NULL, TUPLESORT_NONE);
	MemoryContextSwitchTo(old_context);
}

static void
put_sorted(TessReturnedRows *rows)
{
	int natts = rows->desc->natts;

	ExecClearTuple(rows->sort_slot);
	memcpy(rows->sort_slot->tts_values, rows->values, natts * sizeof(Datum));
	memcpy(rows->sort_slot->tts_isnull, rows->nulls, natts * sizeof(bool));
	ExecStoreVirtualTuple(rows->sort_slot);
	tuplesort_puttupleslot(rows->sort, rows->sort_slot);
	ExecClearTuple(rows->sort_slot);
}

/* Stores a row; tess_returned_choose has been called. */
void
tess_returned_put(TessReturnedRows *rows, const TessReturned *returned)
{
	int ordinal = rows->desc->natts - 1;
	MemoryContext old_context;

	MemoryContextReset(rows->row_context);
	old_context = MemoryContextSwitchTo(rows->row_context);
	if (returned->result != NULL)
	{
		tess_replies_decoding(returned->replies, true);
		tess_row_map_remote(rows->map, returned->result, returned->row,
							returned->shard_index, rows->values, rows->nulls);
		tess_replies_decoding(returned->replies, false);
	}
	else
		tess_row_map_local(rows->map, returned->slot, returned->shard_index,
						   rows->values, rows->nulls);
	rows->values[ordinal] = Int64GetDatum(returned->ordinal);
	rows->nulls[ordinal] = false;

	if (rows->sort != NULL)
		put_sorted(rows);
	else
		tuplestore_putvalues(rows->store, rows->desc, rows->values, rows->nulls);
	MemoryContextSwitchTo(old_context);
}

/* All rows are there.  child_rows: those of the child in their order, to be
 * read with child_slot by us alone from now on; not needed without columns of
 * the child. */
void
tess_returned_finish(TessReturnedRows *rows, Tuplestorestate *child_rows,
					 TupleTableSlot *child_slot)
{
	if (rows->sort != NULL)
		tuplesort_performsort(rows->sort);
	if (rows->child_columns != NULL && child_rows != NULL)
	{
		rows->child_rows = child_rows;
		rows->child_slot = child_slot;
		tuplestore_rescan(child_rows);
	}
}

/* Goes on to the child's row of this ordinal, and fills its columns in. */
static void
show_child(TessReturnedRows *rows, int64 ordinal, TupleTableSlot *slot)
{
	while (rows->child_row <= ordinal)
	{
		if (!tuplestore_gettupleslot(rows->child_rows, true, false,
									 rows->child_slot))
			elog(ERROR, "row " INT64_FORMAT " of the child is not there",
				 ordinal);
		rows->child_row++;
	}
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		if (rows->child_columns[i] >= 0)
			slot->tts_values[i] = slot_getattr(rows->child_slot,
											   rows->child_columns[i] + 1,
											   &slot->tts_isnull[i]);
	}
}

/* The next row into the scan's slot; false if there is none. */
bool
tess_returned_next(TessReturnedRows *rows, TupleTableSlot *slot)
{
	bool found = false;

	if (rows->sort != NULL)
		found = tuplesort_gettupleslot(rows->sort, true, false,
									   rows->stored_slot, NULL);
	else if (rows->store != NULL)
		found = tuplestore_gettupleslot(rows->store, true, false,
										rows->stored_slot);
	if (!found)
		return false;
	tess_slot_show(slot, rows->stored_slot);
	if (rows->child_rows != NULL)
		show_child(rows, tess_returned_ordinal(rows), slot);
	return true;
}

/* The number of the child's row that the row last given out belongs to. */
int64
tess_returned_ordinal(const TessReturnedRows *rows)
{
	bool isnull;

	return DatumGetInt64(
		slot_getattr(rows->stored_slot, rows->desc->natts, &isnull));
}

/* Frees the store or sort. */
void
tess_returned_end(TessReturnedRows *rows)
{
	if (rows->store != NULL)
		tuplestore_end(rows->store);
	if (rows->sort != NULL)
		tuplesort_end(rows->sort);
}

/* The number that comes with a numbered row, as its last column. */
int
tess_returned_number(const PGresult *result, int row)
{
	int column = PQnfields(result) - 1;
	const char *value = PQgetvalue(result, row, column);
	uint32 number;

	if (PQfformat(result, column) == 0)
		return pg_strtoint32(value);
	if (PQgetlength(result, row, column) != sizeof(number))
		elog(ERROR, "a number of %d bytes came",
			 PQgetlength(result, row, column));
	memcpy(&number, value, sizeof(number));
	return (int) pg_ntoh32(number);
}
