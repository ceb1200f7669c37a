/*
 * rows.c - rows of a node, or of this server, as tuples of a scan.
 *
 * Owns the mapping from the columns of a node's result to the members of
 * custom_scan_tlist: columns as they are, whole rows and ctids that are put
 * together here, and the two constants of a task.  Values by reference live in the
 * context that is current when a row is mapped.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"

#include "base/base.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "local/local.h"
#include "miscadmin.h"
#include "route/route.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

struct TessRowMap
{
	int column_count; /* of the node's result */
	int scan_count;	  /* of the scan tuple */
	TessDecoder *decoder;
	bool binary;
	Oid table;		 /* what tableoid says */
	int shard_count; /* for ctids; 0: not wanted, or of a reference table */
	int ctid_column;

	Oid *types;
	Bitmapset *number_arrays; /* columns that come here as oid[], see below */

	int *sources;	/* NULL: column for column */
	Datum *columns; /* a row before it is mapped */
	bool *nulls;

	TupleDesc row_desc; /* of the whole row, NULL: not wanted */
	int *row_sources;
	Datum *row_values;
	bool *row_nulls;
};

typedef struct RowReceiver
{
	DestReceiver dest;
	void *owner;
	TessSlotSink put;
} RowReceiver;

/* Returns the length, and the members in a palloc'd array. */
static int
int_array(List *list, int **array)
{
	ListCell *cell;
	int count = 0;

	*array = palloc(list_length(list) * sizeof(int));
	foreach(cell, list)
		(*array)[count++] = lfirst_int(cell);
	return count;
}

/* The row of a query, whose type has no name. */
static TupleDesc
make_record_desc(const TessFragment *fragment, int count, const int *sources)
{
	TupleDesc desc = CreateTemplateTupleDesc(count);

	for (int i = 0; i < count; i++)
	{
		TupleDescInitEntry(desc, i + 1, NULL,
						   list_nth_oid(fragment->column_types, sources[i]),
						   list_nth_int(fragment->column_typmods, sources[i]), 0);
		TupleDescInitEntryCollation(desc, i + 1,
									list_nth_oid(fragment->column_collations,
												 sources[i]));
	}
	return BlessTupleDesc(desc);
}

static void
init_whole_row(TessRowMap *map, const TessFragment *fragment)
{
	int count = int_array(fragment->whole_row, &map->row_sources);

	if (fragment->row_type == RECORDOID)
		map->row_desc = make_record_desc(fragment, count, map->row_sources);
	else
		map->row_desc = lookup_rowtype_tupdesc_copy(fragment->row_type, -1);
	if (map->row_desc->natts != count)
		elog(ERROR, "whole row has %d columns, %d expected",
			 map->row_desc->natts, count);
	map->row_values = palloc(count * sizeof(Datum));
	map->row_nulls = palloc(count * sizeof(bool));
}

/* The map of a fragment into tuples of scan_desc, in the current context. */
TessRowMap *
tess_row_map_make(const TessFragment *fragment, TupleDesc scan_desc, Oid table)
{
	TessRowMap *map = palloc0(sizeof(TessRowMap));
	int count = list_length(fragment->column_types);
	Oid *types = palloc(count * sizeof(Oid));
	int *typmods;
	ListCell *cell;
	int i = 0;

	foreach(cell, fragment->column_types)
		types[i++] = lfirst_oid(cell);
	(void) int_array(fragment->column_typmods, &typmods);

	map->column_count = count;
	map->scan_count = scan_desc->natts;
	map->table = table;
	map->binary = tess_types_travel_binary(count, types);
	map->decoder = tess_decoder_make(count, types, typmods, map->binary);
	map->types = types;
	for (i = 0; i < count && !map->binary; i++)
		if (tess_type_written(types[i]) == OIDARRAYOID)
			map->number_arrays = bms_add_member(map->number_arrays, i);

	if (fragment->sources == NIL)
	{
		if (count != map->scan_count)
			elog(ERROR, "scan has %d columns, its fragment %d", map->scan_count,
				 count);
		return map;
	}

	if (int_array(fragment->sources, &map->sources) != map->scan_count)
		elog(ERROR, "scan has %d columns, its fragment maps %d",
			 map->scan_count, list_length(fragment->sources));
	map->columns = palloc(count * sizeof(Datum));
	map->nulls = palloc(count * sizeof(bool));
	if (list_member_int(fragment->sources, TESS_FROM_WHOLE_ROW))
		init_whole_row(map, fragment);
	if (list_member_int(fragment->sources, TESS_FROM_CTID))
	{
		const TessGroup *group = tess_exec_table(fragment)->group;

		map->shard_count = group != NULL ? group->shard_count : 0;
	}
	map->ctid_column = fragment->ctid_column;
	return map;
}

/* True if results are to be asked for in binary format. */
bool
tess_row_map_is_binary(const TessRowMap *map)
{
	return map->binary;
}

static Datum
whole_row(TessRowMap *map, const Datum *columns, const bool *nulls)
{
	for (int i = 0; i < map->row_desc->natts; i++)
	{
		int source = map->row_sources[i];

		map->row_nulls[i] = source < 0 || nulls[source];
		map->row_values[i] = map->row_nulls[i] ? (Datum) 0 : columns[source];
	}
	return HeapTupleGetDatum(
		heap_form_tuple(map->row_desc, map->row_values, map->row_nulls));
}

/* That of a shard, with the shard in it; copies of a reference table have none. */
static Datum
wide_ctid(TessRowMap *map, Datum ctid, int shard_index)
{
	ItemPointer wide;

	if (map->shard_count == 0)
		return ctid;
	wide = palloc(sizeof(ItemPointerData));
	tess_ctid_widen(map->shard_count, shard_index,
					(ItemPointer) DatumGetPointer(ctid), wide);
	return PointerGetDatum(wide);
}

/* From the node's columns to the scan's. */
static void
map_columns(TessRowMap *map, const Datum *columns, const bool *column_nulls,
			int shard_index, Datum *values, bool *nulls)
{
	for (int i = 0; i < map->scan_count; i++)
	{
		int source = map->sources[i];

		nulls[i] = false;
		if (source >= 0)
		{
			values[i] = columns[source];
			nulls[i] = column_nulls[source];
		}
		else if (source == TESS_FROM_WHOLE_ROW)
			values[i] = whole_row(map, columns, column_nulls);
		else if (source == TESS_FROM_TABLEOID)
			values[i] = ObjectIdGetDatum(map->table);
		else if (source == TESS_FROM_CTID)
		{
			nulls[i] = column_nulls[map->ctid_column];
			if (!nulls[i])
				values[i] = wide_ctid(map, columns[map->ctid_column],
									  shard_index);
		}
		else if (source <= TESS_FROM_CHILD(0))
		{
			/* put there later, by who has the child's row */
			values[i] = (Datum) 0;
			nulls[i] = true;
		}
		else
			values[i] = Int32GetDatum(shard_index);
	}
}

/* A row of a result. */
void
tess_row_map_remote(TessRowMap *map, const PGresult *result, int row,
					int shard_index, Datum *values, bool *nulls)
{
	if (map->sources == NULL)
	{
		tess_decoder_decode(map->decoder, result, row, values, nulls);
		return;
	}
	tess_decoder_decode(map->decoder, result, row, map->columns, map->nulls);
	map_columns(map, map->columns, map->nulls, shard_index, values, nulls);
}

/* The statement casts what stands for objects, for nodes that answer in text. */
static void
give_elements_their_type(const TessRowMap *map, TupleTableSlot *slot)
{
	int i = -1;

	while ((i = bms_next_member(map->number_arrays, i)) >= 0)
		if (!slot->tts_isnull[i])
			slot->tts_values[i] = tess_value_read(map->types[i],
												  slot->tts_values[i]);
}

/* A row of a statement that runs in process; by reference to the slot. */
void
tess_row_map_local(TessRowMap *map, TupleTableSlot *slot, int shard_index,
				   Datum *values, bool *nulls)
{
	if (slot->tts_tupleDescriptor->natts != map->column_count)
		elog(ERROR, "statement returns %d columns, %d expected",
			 slot->tts_tupleDescriptor->natts, map->column_count);

	slot_getallattrs(slot);
	give_elements_their_type(map, slot);
	if (map->sources != NULL)
	{
		map_columns(map, slot->tts_values, slot->tts_isnull, shard_index,
					values, nulls);
		return;
	}
	memcpy(values, slot->tts_values, map->column_count * sizeof(Datum));
	memcpy(nulls, slot->tts_isnull, map->column_count * sizeof(bool));
}

static bool
receive_slot(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	receiver->put(receiver->owner, slot);
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receiver_noop(DestReceiver *self)
{
}

/* A receiver that hands each slot to put; in the current context. */
DestReceiver *
tess_row_receiver_make(void *owner, TessSlotSink put)
{
	RowReceiver *receiver = palloc0(sizeof(RowReceiver));

	receiver->dest.receiveSlot = receive_slot;
	receiver->dest.rStartup = receiver_startup;
	receiver->dest.rShutdown = receiver_noop;
	receiver->dest.rDestroy = receiver_noop;
	receiver->dest.mydest = DestNone;
	receiver->owner = owner;
	receiver->put = put;
	return &receiver->dest;
}

/* Statements that tess_exec_here has run in this session. */
static int64 nested_count = 0;

PG_FUNCTION_INFO_V1(tess_runs_in_process);

/* tessera_internal.runs_in_process(): one row. */
PGDLLEXPORT Datum
tess_runs_in_process(PG_FUNCTION_ARGS)
{
	Datum values[] = {Int64GetDatum(tess_direct_count()),
					  Int64GetDatum(nested_count)};

	return tess_result_row(fcinfo, lengthof(values), values);
}

/* See exec_internal.h.  On error, the abort puts the user back. */
uint64
tess_exec_here(const char *sql, ParamListInfo params, Snapshot snapshot,
			   bool writes, Oid role, DestReceiver *dest)
{
	Oid saved_user;
	int saved_context;
	uint64 processed;

	GetUserIdAndSecContext(&saved_user, &saved_context);
	if (OidIsValid(role) && role != saved_user)
		SetUserIdAndSecContext(role,
							   saved_context | SECURITY_LOCAL_USERID_CHANGE);

	nested_count++;
	/* Foreign keys are seen to when all shards are changed, or by
	 * copy_triggers.c. */
	processed = tess_local_execute(sql, params, snapshot, !writes, writes, dest);

	SetUserIdAndSecContext(saved_user, saved_context);
	return processed;
}

/* See exec_internal.h. */
void
tess_slot_show(TupleTableSlot *virtual_slot, TupleTableSlot *stored)
{
	int natts = virtual_slot->tts_tupleDescriptor->natts;

	slot_getallattrs(stored);
	ExecClearTuple(virtual_slot);
	memcpy(virtual_slot->tts_values, stored->tts_values, natts * sizeof(Datum));
	memcpy(virtual_slot->tts_isnull, stored->tts_isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(virtual_slot);
}

/* See exec_internal.h. */
void
tess_copy_compare(Oid table, const TessBranch *branch, uint64 rows_here,
				  uint64 rows_there)
{
	if (rows_here == rows_there)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not change the copies of reference table %s alike",
					tess_relation_qualified_name(table)),
			 errdetail("The statement changed " UINT64_FORMAT
					   " rows on this server and " UINT64_FORMAT
					   " rows on node \"%s\".",
					   rows_here, rows_there,
					   tess_session_node_name(branch->session)),
			 errhint("Run the transaction again: another one may be committing. If it fails again, compare the table on node \"%s\" with the coordinator's.",
					 tess_session_node_name(branch->session))));
}
