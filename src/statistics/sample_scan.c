/*
 * sample_scan.c - core's ANALYZE reads a sample instead of the shell.
 *
 * ANALYZE asks a table's access method for rows.  While a shell is analyzed,
 * its relcache entry has an access method of ours, which has one block with
 * the rows of the sample.  So everything else (which columns, how many values,
 * expressions of indexes, statistics objects, types with an analyze function
 * of their own, whose rights) is core's, and not imitated.
 *
 * The entry is ours alone: relcache entries are of this backend, and the lock
 * on the table is held.  It may be rebuilt at any moment, which would bring the
 * table's own access method back; a callback, which comes after the rebuild,
 * puts ours there again.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "access/tableam.h"
#include "commands/vacuum.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "statistics/statistics_internal.h"

/* Rows to a block, in the made-up places by which core sorts them. */
#define ROWS_PER_BLOCK 100

typedef struct Sampling
{
	struct Sampling *outer; /* ANALYZE in a function that ANALYZE calls */
	Relation rel;
	const TableAmRoutine *own_am;
	TableAmRoutine am;
	Tuplestorestate *rows;
	TupleTableSlot *row;
	double total_rows;
	int64 given;
	bool was_read;
} Sampling;

static Sampling *current = NULL;

static Sampling *
scan_of(Relation rel)
{
	Sampling *scan = current;

	while (scan->rel != rel)
		scan = scan->outer;
	return scan;
}

/* The access method ------------------------------------------------------- */

static const TupleTableSlotOps *
sample_slot_callbacks(Relation rel)
{
	return &TTSOpsHeapTuple;
}

/* One block, if there are rows: core multiplies what it finds in the blocks
 * that it has chosen by how many there are. */
static uint64
sample_relation_size(Relation rel, ForkNumber fork)
{
	Sampling *scan = scan_of(rel);

	if (fork != MAIN_FORKNUM && fork != InvalidForkNumber)
		return scan->own_am->relation_size(rel, fork);
	return scan->total_rows > 0 ? BLCKSZ : 0;
}

static TableScanDesc
sample_scan_begin(Relation rel, Snapshot snapshot, int key_count,
				  struct ScanKeyData *keys, ParallelTableScanDesc parallel,
				  uint32 flags)
{
	TableScanDesc desc;
	Sampling *scan = scan_of(rel);

	if ((flags & SO_TYPE_ANALYZE) == 0)
		return scan->own_am->scan_begin(rel, snapshot, key_count, keys,
										parallel, flags);
	desc = palloc0(sizeof(TableScanDescData));
	desc->rs_rd = rel;
	desc->rs_flags = flags;
	scan->given = 0;
	tuplestore_rescan(scan->rows);
	return desc;
}

static void
sample_scan_end(TableScanDesc desc)
{
	if ((desc->rs_flags & SO_TYPE_ANALYZE) == 0)
		scan_of(desc->rs_rd)->own_am->scan_end(desc);
	else
		pfree(desc);
}

static bool
sample_next_block(TableScanDesc desc, BlockNumber block,
				  BufferAccessStrategy strategy)
{
	return true;
}

static bool
sample_next_tuple(TableScanDesc desc, TransactionId oldest_xmin,
				  double *live_rows, double *dead_rows, TupleTableSlot *slot)
{
	Sampling *scan = scan_of(desc->rs_rd);
	HeapTuple tuple;

	if (!tuplestore_gettupleslot(scan->rows, true, false, scan->row))
	{
		/* what the rows stand for */
		*live_rows += scan->total_rows;
		scan->was_read = true;
		ExecClearTuple(slot);
		return false;
	}
	tuple = ExecCopySlotHeapTuple(scan->row);
	ItemPointerSet(&tuple->t_self, scan->given / ROWS_PER_BLOCK,
				   scan->given % ROWS_PER_BLOCK + 1);
	tuple->t_tableOid = RelationGetRelid(scan->rel);
	scan->given++;
	ExecStoreHeapTuple(tuple, slot, true);
	return true;
}

/* Putting it there ---------------------------------------------------------- */

static void
take_over(Sampling *scan)
{
	scan->rel->rd_tableam = &scan->am;
}

/* An entry has been rebuilt: it may be one of those. */
static void
on_relcache_inval(Datum arg, Oid relation)
{
	for (Sampling *scan = current; scan != NULL; scan = scan->outer)
	{
		if (!OidIsValid(relation) || relation == RelationGetRelid(scan->rel))
			take_over(scan);
	}
}

static void
run_analyze(Relation rel, const TessAnalyzeTarget *analyze)
{
	VacuumParams params = {0};

	params.options = VACOPT_ANALYZE | (analyze->options & VACOPT_VERBOSE);
	params.log_min_duration = -1;
	analyze_rel(RelationGetRelid(rel), NULL, &params, analyze->columns,
				analyze->in_block, GetAccessStrategy(BAS_VACUUM));
}

/* See statistics_internal.h. */
void
tess_sample_analyze(Relation rel, const TessAnalyzeTarget *analyze,
					Tuplestorestate *rows, double total_rows)
{
	Sampling *scan = palloc0(sizeof(Sampling));

	scan->outer = current;
	scan->rel = rel;
	scan->own_am = rel->rd_tableam;
	scan->am = *rel->rd_tableam;
	scan->am.slot_callbacks = sample_slot_callbacks;
	scan->am.relation_size = sample_relation_size;
	scan->am.scan_begin = sample_scan_begin;
	scan->am.scan_end = sample_scan_end;
	scan->am.scan_analyze_next_block = sample_next_block;
	scan->am.scan_analyze_next_tuple = sample_next_tuple;
	scan->rows = rows;
	scan->row = MakeSingleTupleTableSlot(RelationGetDescr(rel),
										 &TTSOpsMinimalTuple);
	scan->total_rows = total_rows;

	current = scan;
	PG_TRY();
	{
		take_over(scan);
		run_analyze(rel, analyze);
	}
	PG_FINALLY();
	{
		current = scan->outer;
		rel->rd_tableam = scan->own_am;
	}
	PG_END_TRY();
	ExecDropSingleTupleTableSlot(scan->row);
	if (total_rows > 0 && !scan->was_read)
		elog(ERROR, "the sample of table \"%s\" was not read",
			 RelationGetRelationName(rel));
}

void
tess_sample_scan_init(void)
{
	CacheRegisterRelcacheCallback(on_relcache_inval, (Datum) 0);
}
