/*
 * bulk.c - an INSERT of many rows goes on as COPY.
 *
 * A node takes rows in for a fraction of what it costs it to run statements that
 * have them as parameters.  What COPY cannot do (RETURNING, ON CONFLICT, rows that
 * are seen by who computes the next one) plan/ has ruled out, and few rows cost
 * fewer round trips as statements: modify_node.c begins with these.
 */
#include "postgres.h"

#include "access/table.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "utils/rel.h"

struct TessBulk
{
	List *columns;	 /* of the stream's rows */
	List *positions; /* of these, in the child's */
	TessStream *stream;
	TupleTableSlot *row; /* of the table */
};

/* In the current context, to whose end it lives unless it is finished.  The rows of
 * a division (may be NULL) go in as well. */
TessBulk *
tess_bulk_begin(const TessFragment *fragment, const TessWrite *write,
				TessDivision *division)
{
	const TessTable *table = tess_exec_table(fragment);
	Relation rel = table_open(table->relation, NoLock);
	TessBulk *bulk = palloc0(sizeof(TessBulk));

	bulk->columns = write->columns;
	bulk->positions = write->positions;
	if (division != NULL)
	{
		bulk->columns = tess_division_columns(division);
		bulk->positions = tess_division_positions(division);
		tess_division_set_bulk(division, bulk);
	}
	bulk->stream = tess_stream_begin(table, bulk->columns, true);
	bulk->row = MakeSingleTupleTableSlot(CreateTupleDescCopy(
											 RelationGetDescr(rel)),
										 &TTSOpsVirtual);
	table_close(rel, NoLock);
	return bulk;
}

/* Sends a row of the child plan. */
void
tess_bulk_put(TessBulk *bulk, TupleTableSlot *child)
{
	TupleTableSlot *row = bulk->row;
	ListCell *column;
	ListCell *position;

	ExecClearTuple(row);
	memset(row->tts_isnull, true, row->tts_tupleDescriptor->natts * sizeof(bool));
	forboth(column, bulk->columns, position, bulk->positions)
	{
		int i = lfirst_int(column) - 1;

		row->tts_values[i] = slot_getattr(child, lfirst_int(position) + 1,
										  &row->tts_isnull[i]);
	}
	ExecStoreVirtualTuple(row);
	tess_stream_put(bulk->stream, row, 0);
}

void
tess_bulk_put_divided(TessBulk *bulk, const TessDivided *divided,
					  const char *message, int length)
{
	tess_stream_put_divided(bulk->stream, divided, message, length);
}

/* Sends what is left, and waits until all rows are there: how many they are. */
uint64
tess_bulk_finish(TessBulk *bulk)
{
	uint64 rows = tess_stream_end(bulk->stream);

	ExecDropSingleTupleTableSlot(bulk->row);
	pfree(bulk);
	return rows;
}
