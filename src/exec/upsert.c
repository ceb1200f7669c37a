/*
 * upsert.c - INSERT ... ON CONFLICT DO UPDATE whose DO UPDATE is computed on
 * this server, over rows that are locked in their shards.
 *
 * All rows of the source are there.  A round finds and locks the rows that they
 * conflict with; computes, in the order of the source, which of these change and
 * to what; then writes: the changes by ctid, and the rows that met no conflict
 * ON CONFLICT DO NOTHING.  Rows that were not inserted, because somebody else
 * inserted such a row meanwhile, are in the next round.  So, as in PostgreSQL:
 *
 * - A row is changed as its newest version is, which is locked from then on.
 * - DO UPDATE is computed once for each conflict, and nothing is written before
 *   all conflicts of the statement have been computed, but those of later
 *   rounds.
 * - A row of the source that conflicts with one that the statement has inserted
 *   or changed is the error 21000: DO UPDATE leaves the values alone that
 *   conflicts are about, so it is one that has these values as well.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "route/route.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

typedef enum RowState
{
	ROW_WAITING, /* to be inserted, as far as is known */
	ROW_PLAIN,	 /* to be inserted; cannot conflict */
	ROW_FOUND,	 /* conflicts */
	ROW_DONE
} RowState;

typedef struct UpsertRow
{
	uint64 hash; /* of the values that conflicts are about */
	RowState state;
} UpsertRow;

/* A change on its way: these, and the new values. */
enum
{
	CHANGE_SHARD,
	CHANGE_ORDINAL,
	CHANGE_CTID,
	CHANGE_VALUES
};

struct TessUpsert
{
	const TessModifySpec *spec;
	CustomScanState *node;
	ExprState *where;	 /* NULL: none */
	ProjectionInfo *set; /* its columns in the order of SET; junk last */
	TupleDesc change_desc;
	TupleTableSlot *change_slot;
	const TessWrite *find;
	const TessWrite *change;
	const TessWrite *insert_plain;
	const TessWrite *insert_new;

	/* of a run */
	const TessUpsertInput *input;
	int round;
	int64 current; /* row that is being computed */
	UpsertRow *rows;
	TessConflicts *hasher;
	HTAB *written;			 /* hashes of rows that are changed or inserted */
	TessReturnedRows *found; /* rows of the target */
	Tuplestorestate *changes;
	TessBatches *batches; /* of the write that is under way */
	uint64 processed;
	Bitmapset *shards;
};

/* The tuple of a change. */
static TupleDesc
make_change_desc(const TessWrite *change, TupleDesc values)
{
	/* the ctid is the first parameter of the write */
	int count = list_length(change->row_types) - 1;
	TupleDesc desc = CreateTemplateTupleDesc(CHANGE_VALUES + count);

	TupleDescInitEntry(desc, CHANGE_SHARD + 1, "shard", INT4OID, -1, 0);
	TupleDescInitEntry(desc, CHANGE_ORDINAL + 1, "ordinal", INT8OID, -1, 0);
	TupleDescInitEntry(desc, CHANGE_CTID + 1, "ctid", TIDOID, -1, 0);
	for (int i = 0; i < count; i++)
		TupleDescCopyEntry(desc, CHANGE_VALUES + i + 1, values, i + 1);
	return desc;
}

/* SET as a target list whose first columns are those that are assigned to. */
static List *
set_target_list(List *set)
{
	List *tlist = NIL;
	List *junk = NIL;
	ListCell *cell;

	foreach(cell, set)
	{
		TargetEntry *tle = flatCopyTargetEntry(lfirst_node(TargetEntry, cell));

		if (tle->resjunk)
			junk = lappend(junk, tle);
		else
			tlist = lappend(tlist, tle);
	}
	tlist = list_concat(tlist, junk);
	foreach(cell, tlist)
		lfirst_node(TargetEntry, cell)->resno = foreach_current_index(cell) + 1;
	return tlist;
}

/* Prepares DO UPDATE of a node that is being initialized, in the current
 * context. */
TessUpsert *
tess_upsert_init(const TessModifySpec *spec, CustomScanState *node)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	EState *estate = node->ss.ps.state;
	TessUpsert *upsert = palloc0(sizeof(TessUpsert));
	List *tlist = set_target_list(castNode(List, lsecond(scan->custom_exprs)));
	TupleDesc set_desc = ExecTypeFromTL(tlist);

	upsert->spec = spec;
	upsert->node = node;
	upsert->find = linitial(spec->writes);
	upsert->change = lsecond(spec->writes);
	upsert->insert_plain = lthird(spec->writes);
	upsert->insert_new = lfourth(spec->writes);
	upsert->where = ExecInitQual(linitial(scan->custom_exprs), &node->ss.ps);
	upsert->set = ExecBuildProjectionInfo(tlist, node->ss.ps.ps_ExprContext,
										  ExecInitExtraTupleSlot(estate, set_desc,
																 &TTSOpsVirtual),
										  &node->ss.ps, NULL);
	upsert->change_desc = make_change_desc(upsert->change, set_desc);
	upsert->change_slot = ExecInitExtraTupleSlot(estate, upsert->change_desc,
												 &TTSOpsMinimalTuple);
	return upsert;
}

/* True if nothing of the statement that comes before what is being computed could
 * be seen by it. */
bool
tess_upsert_is_at_first(const TessUpsert *upsert)
{
	return upsert->input != NULL && upsert->round == 1 && upsert->current == 0;
}

/* Begins a write, whose rows are then added to upsert->batches. */
static void
begin_write(TessUpsert *upsert, const TessWrite *write, TessReturnedSink sink)
{
	const TessUpsertInput *input = upsert->input;

	upsert->batches = tess_batches_begin(input->fragment, write, input->group,
										 input->args,
										 tess_returned_is_binary(upsert->found),
										 upsert, sink);
	tess_batches_follow(upsert->batches, upsert->shards);
}

/* Sends what is left of it and waits for the answers. */
static void
finish_write(TessUpsert *upsert, const TessWrite *write)
{
	uint64 processed = tess_batches_finish(upsert->batches, false, false,
										   upsert->input->figures);

	if (write->counts)
		upsert->processed += processed;
	upsert->shards = bms_add_members(upsert->shards,
									 tess_batches_shards(upsert->batches));
	tess_batches_close(upsert->batches);
	upsert->batches = NULL;
}

/* The values of a row of the source for a write; palloc'd. */
static void
row_values(const TessWrite *write, TupleTableSlot *slot, Datum **values,
		   bool **nulls)
{
	int count = list_length(write->positions);
	ListCell *cell;

	*values = palloc(count * sizeof(Datum));
	*nulls = palloc(count * sizeof(bool));
	foreach(cell, write->positions)
		(*values)[foreach_current_index(
			cell)] = slot_getattr(slot, lfirst_int(cell) + 1,
								  &(*nulls)[foreach_current_index(cell)]);
}

static void
add_row(TessUpsert *upsert, const TessWrite *write, TupleTableSlot *slot,
		int64 ordinal)
{
	UpsertRow *row = &upsert->rows[ordinal];
	Datum *values;
	bool *nulls;

	row_values(write, slot, &values, &nulls);
	if (write == upsert->find &&
		!tess_conflicts_hash(upsert->hasher, values, nulls, &row->hash))
	{
		row->state = ROW_PLAIN;
		return;
	}
	tess_batches_add(upsert->batches,
					 tess_write_route(upsert->insert_plain,
									  upsert->input->group, slot),
					 ordinal, values, nulls);
}

/* Sends the source's rows of one state with a write. */
static void
write_rows(TessUpsert *upsert, const TessWrite *write, RowState state,
		   TessReturnedSink sink)
{
	const TessUpsertInput *input = upsert->input;
	ExprContext *econtext = upsert->node->ss.ps.ps_ExprContext;

	begin_write(upsert, write, sink);
	tuplestore_rescan(input->rows);
	for (int64 ordinal = 0; ordinal < input->row_count; ordinal++)
	{
		MemoryContext old_context;

		CHECK_FOR_INTERRUPTS();
		if (!tuplestore_gettupleslot(input->rows, true, false, input->slot))
			elog(ERROR, "rows of the source are missing");
		if (upsert->rows[ordinal].state != state)
			continue;
		ResetExprContext(econtext);
		old_context = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		add_row(upsert, write, input->slot, ordinal);
		MemoryContextSwitchTo(old_context);
	}
	finish_write(upsert, write);
}

/* TessReturnedSink: a row of the target that one of the source conflicts with. */
static void
note_found(void *owner, const TessReturned *returned)
{
	TessUpsert *upsert = owner;

	upsert->rows[returned->ordinal].state = ROW_FOUND;
	tess_returned_put(upsert->found, returned);
}

/* TessReturnedSink: a row that was changed or inserted. */
static void
note_written(void *owner, const TessReturned *returned)
{
	TessUpsert *upsert = owner;

	upsert->rows[returned->ordinal].state = ROW_DONE;
	if (upsert->input->returned != NULL)
		tess_returned_put(upsert->input->returned, returned);
}

/* Finds and locks the rows that those of the source conflict with. */
static void
find_conflicts(TessUpsert *upsert)
{
	const TessUpsertInput *input = upsert->input;

	upsert->found = tess_returned_begin(input->fragment, upsert->node);
	tess_returned_choose(upsert->found, false);
	write_rows(upsert, upsert->find, ROW_WAITING, note_found);
	tess_returned_finish(upsert->found, input->rows, input->slot);
}

/* The row is written.  Two that conflict with each other cannot be: in later
 * rounds the rows have been compared. */
static void
note_hash(TessUpsert *upsert, const UpsertRow *row)
{
	if (upsert->round == 1)
		(void) hash_search(upsert->written, &row->hash, HASH_ENTER, NULL);
}

static void
check_hash(TessUpsert *upsert, const UpsertRow *row)
{
	if (upsert->round == 1 &&
		hash_search(upsert->written, &row->hash, HASH_FIND, NULL) != NULL)
		tess_conflicts_raise();
}

/*
 * DO UPDATE has to leave the columns alone that conflicts are about: which rows
 * of the statement conflict would depend on their order, and which shard they
 * belong to.
 */
static void
check_kept(TessUpsert *upsert, TupleTableSlot *slot, TupleTableSlot *set)
{
	ListCell *assigned;
	ListCell *position;

	forboth(assigned, upsert->spec->kept_assigned, position,
			upsert->spec->kept_positions)
	{
		int attno = lfirst_int(position) + 1;
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor,
											  attno - 1);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid,
												 TYPECACHE_EQ_OPR_FINFO);
		AttrNumber column = list_nth_int(upsert->change->columns,
										 lfirst_int(assigned));
		bool old_null;
		bool new_null;
		Datum old_value = slot_getattr(slot, attno, &old_null);
		Datum new_value = slot_getattr(set, lfirst_int(assigned) + 1, &new_null);

		if (!old_null && !new_null &&
			DatumGetBool(FunctionCall2Coll(&type->eq_opr_finfo, att->attcollation,
										   old_value, new_value)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT DO UPDATE cannot change column \"%s\" of table \"%s\"",
						get_attname(upsert->input->fragment->anchor, column, false),
						get_rel_name(upsert->input->fragment->anchor)),
				 errdetail("Rows conflict by that column."),
				 errhint("Delete the row and insert it with its new key.")));
	}
}

/* Keeps the change of the row of the target that is in the scan's slot. */
static void
keep_change(TessUpsert *upsert, TupleTableSlot *slot, int64 ordinal)
{
	int count = upsert->change_desc->natts;
	TupleTableSlot *set = ExecProject(upsert->set);
	Datum *values = palloc(count * sizeof(Datum));
	bool *nulls = palloc0(count * sizeof(bool));

	if (upsert->input->policies != NULL)
		tess_policies_check_set(upsert->input->policies, slot, set);
	check_kept(upsert, slot, set);

	values[CHANGE_SHARD] = slot_getattr(slot, upsert->spec->shard_position + 1,
										&nulls[CHANGE_SHARD]);
	values[CHANGE_ORDINAL] = Int64GetDatum(ordinal);
	values[CHANGE_CTID] = slot_getattr(slot, upsert->spec->ctid_position + 1,
									   &nulls[CHANGE_CTID]);
	for (int i = CHANGE_VALUES; i < count; i++)
		values[i] = slot_getattr(set, i - CHANGE_VALUES + 1, &nulls[i]);
	tuplestore_putvalues(upsert->changes, upsert->change_desc, values, nulls);
}

/* DO UPDATE of the next row that was found. */
static void
compute_change(TessUpsert *upsert, int64 ordinal)
{
	ExprContext *econtext = upsert->node->ss.ps.ps_ExprContext;
	TupleTableSlot *slot = upsert->node->ss.ss_ScanTupleSlot;
	UpsertRow *row = &upsert->rows[ordinal];
	MemoryContext old_context;

	if (!tess_returned_next(upsert->found, slot) ||
		tess_returned_ordinal(upsert->found) != ordinal)
		elog(ERROR, "row " INT64_FORMAT " conflicts with several rows", ordinal);
	check_hash(upsert, row);
	row->state = ROW_DONE;

	ResetExprContext(econtext);
	econtext->ecxt_scantuple = slot;
	if (!ExecQual(upsert->where, econtext))
		return;
	if (upsert->input->policies != NULL)
		tess_policies_check(upsert->input->policies, WCO_RLS_CONFLICT_CHECK,
							slot);
	old_context = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	keep_change(upsert, slot, ordinal);
	MemoryContextSwitchTo(old_context);
	note_hash(upsert, row);
}

/* What becomes of each row of the source, in their order. */
static void
compute_changes(TessUpsert *upsert)
{
	upsert->changes = tuplestore_begin_heap(false, false, work_mem);
	for (int64 ordinal = 0; ordinal < upsert->input->row_count; ordinal++)
	{
		UpsertRow *row = &upsert->rows[ordinal];

		CHECK_FOR_INTERRUPTS();
		upsert->current = ordinal;
		if (row->state == ROW_FOUND)
			compute_change(upsert, ordinal);
		else if (row->state == ROW_WAITING)
		{
			check_hash(upsert, row);
			note_hash(upsert, row);
		}
	}
	tess_returned_end(upsert->found);
}

static void
write_changes(TessUpsert *upsert)
{
	TupleTableSlot *slot = upsert->change_slot;

	begin_write(upsert, upsert->change, note_written);
	while (tuplestore_gettupleslot(upsert->changes, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		tess_batches_add(upsert->batches,
						 DatumGetInt32(slot->tts_values[CHANGE_SHARD]),
						 DatumGetInt64(slot->tts_values[CHANGE_ORDINAL]),
						 slot->tts_values + CHANGE_CTID,
						 slot->tts_isnull + CHANGE_CTID);
	}
	finish_write(upsert, upsert->change);
	tuplestore_end(upsert->changes);
	upsert->changes = NULL;
}

/* True if a row has neither been inserted nor met a conflict. */
static bool
any_waits(const TessUpsert *upsert)
{
	for (int64 ordinal = 0; ordinal < upsert->input->row_count; ordinal++)
		if (upsert->rows[ordinal].state == ROW_WAITING)
			return true;
	return false;
}

static void
begin_run(TessUpsert *upsert, const TessUpsertInput *input)
{
	TessWrite hashed = *upsert->find;
	HASHCTL control = {0};

	upsert->input = input;
	upsert->rows = MemoryContextAllocHuge(CurrentMemoryContext,
										  Max(input->row_count, 1) *
											  sizeof(UpsertRow));
	memset(upsert->rows, 0, input->row_count * sizeof(UpsertRow));
	hashed.conflict_positions = NIL;
	for (int i = 0; i < list_length(hashed.columns); i++)
		hashed.conflict_positions = lappend_int(hashed.conflict_positions, i);
	upsert->hasher = tess_conflicts_make(&hashed, input->fragment->anchor);
	if (upsert->hasher == NULL)
		elog(ERROR, "values that conflicts are about cannot be hashed");
	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(uint64);
	control.hcxt = CurrentMemoryContext;
	upsert->written = hash_create("tessera rows written", 256, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (input->returned != NULL)
		tess_returned_choose(input->returned, false);
}

/*
 * Inserts all rows, or updates what they conflict with; the number of rows
 * written, and the shards that were asked.  Once a statement.  Memory is the
 * current context's, which has to live as long.  Errors are those of DO UPDATE
 * and of the nodes.
 */
uint64
tess_upsert_run(TessUpsert *upsert, const TessUpsertInput *input,
				Bitmapset **shards)
{
	begin_run(upsert, input);
	do
	{
		upsert->round++;
		find_conflicts(upsert);
		compute_changes(upsert);
		if (upsert->round == 1)
			input->about_to_write(input->arg);
		write_changes(upsert);
		if (upsert->round == 1)
			write_rows(upsert, upsert->insert_plain, ROW_PLAIN, note_written);
		write_rows(upsert, upsert->insert_new, ROW_WAITING, note_written);
	} while (any_waits(upsert));
	upsert->input = NULL;
	*shards = upsert->shards;
	return upsert->processed;
}
