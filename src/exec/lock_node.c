/*
 * lock_node.c - TesseraLock and TesseraCandidates: of rows that are locked up to
 * a LIMIT, only those are that are returned.
 *
 * Candidates are the keys of rows, in the order that is wanted, of which no more
 * are read than may be needed.  As many as are wanted go to the scan between the
 * two nodes, which locks their rows.  Where some were not to be had (locked by
 * others, or no longer what is wanted) so many more candidates follow, until there
 * are enough, or none is left.  So others find all rows free but those that are
 * returned, and the last of these is never one too many.
 *
 * Rows come in the order of the candidates, as PostgreSQL gives them, also where
 * one has changed since.
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "exec/exec_internal.h"
#include "exec/scan_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

/* More candidates are asked for than are wanted where others may have locked some
 * of them. */
#define SPARE_CANDIDATES 16
/* ... and so many times as many when these were not enough. */
#define MORE_CANDIDATES 4
/* Candidates that are known again when they are asked for anew.  More than so
 * many are asked for without a limit. */
#define MAX_KNOWN_CANDIDATES 100000

typedef struct CandidatesState
{
	CustomScanState css;
	PlanState *scan;
	ExprState *wanted_expr;
	const List *equalities; /* of the key's columns */

	bool started;
	int64 wanted;
	int64 left;			  /* of this batch */
	int64 limit;		  /* that the scan has; -1: none */
	int64 in_run;		  /* rows of the scan, of this run */
	int64 position;		  /* of the last candidate */
	bool exhausted;		  /* there is none any more */
	MemoryContext memory; /* of these: */
	TupleHashTable known; /* candidates; NULL: the scan will not run again */
} CandidatesState;

typedef struct LockState
{
	CustomScanState css;
	PlanState *scan;
	CandidatesState *candidates;
	TessReader *reader;
	TupleTableSlot *sorted_slot;
	Tuplesortstate *rows; /* that are locked; NULL: not yet */
} LockState;

static Node *create_candidates(CustomScan *scan);
static void begin_candidates(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_candidates(CustomScanState *node);
static void end_candidates(CustomScanState *node);
static void rescan_candidates(CustomScanState *node);

const CustomScanMethods tess_candidates_methods =
	{.CustomName = TESS_CANDIDATES_METHODS,
	 .CreateCustomScanState = create_candidates};

static const CustomExecMethods candidates_exec_methods =
	{.CustomName = TESS_CANDIDATES_METHODS,
	 .BeginCustomScan = begin_candidates,
	 .ExecCustomScan = exec_candidates,
	 .EndCustomScan = end_candidates,
	 .ReScanCustomScan = rescan_candidates};

static Node *create_lock(CustomScan *scan);
static void begin_lock(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_lock(CustomScanState *node);
static void end_lock(CustomScanState *node);
static void rescan_lock(CustomScanState *node);
static void lock_early(void *arg);

const CustomScanMethods tess_lock_methods = {.CustomName = TESS_LOCK_METHODS,
											 .CreateCustomScanState = create_lock};

static const CustomExecMethods lock_exec_methods =
	{.CustomName = TESS_LOCK_METHODS,
	 .BeginCustomScan = begin_lock,
	 .ExecCustomScan = exec_lock,
	 .EndCustomScan = end_lock,
	 .ReScanCustomScan = rescan_lock};

/* The only child of a node, started. */
static PlanState *
init_child(CustomScanState *node, EState *estate, int eflags)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	PlanState *child = ExecInitNode(linitial(scan->custom_plans), estate,
									eflags &
										~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK |
										  EXEC_FLAG_REWIND));

	node->custom_ps = list_make1(child);
	return child;
}

/* ExecScanRecheckMtd: no level that is checked again has these nodes. */
static bool
recheck(ScanState *node, TupleTableSlot *slot)
{
	elog(ERROR, "recheck of rows that are locked on nodes");
	return false;
}

/* Candidates ----------------------------------------------------------------- */

static Node *
create_candidates(CustomScan *scan)
{
	CandidatesState *state = palloc0(sizeof(CandidatesState));

	state->css.ss.ps.type = T_CustomScanState;
	state->css.methods = &candidates_exec_methods;
	state->equalities = linitial(scan->custom_private);
	return (Node *) state;
}

static void
begin_candidates(CustomScanState *node, EState *estate, int eflags)
{
	CandidatesState *state = (CandidatesState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	state->scan = init_child(node, estate, eflags);
	state->wanted_expr = ExecInitExpr(linitial(scan->custom_exprs), &node->ss.ps);
	state->memory = AllocSetContextCreate(estate->es_query_cxt,
										  "tessera candidates",
										  ALLOCSET_DEFAULT_SIZES);
}

/* No candidate is known yet. */
static void
make_known(CandidatesState *state)
{
	TupleDesc desc = ExecGetResultType(state->scan);
	int count = list_length(state->equalities);
	AttrNumber *columns = palloc(count * sizeof(AttrNumber));
	Oid *operators = palloc(count * sizeof(Oid));
	Oid *collations = palloc(count * sizeof(Oid));
	Oid *equal_functions;
	FmgrInfo *hash_functions;

	for (int i = 0; i < count; i++)
	{
		columns[i] = i + 1;
		operators[i] = list_nth_oid(state->equalities, i);
		collations[i] = TupleDescAttr(desc, i)->attcollation;
	}
	execTuplesHashPrepare(count, operators, &equal_functions, &hash_functions);
	state->known = BuildTupleHashTableExt(&state->css.ss.ps, desc, count,
										  columns, equal_functions,
										  hash_functions, collations, 256, 0,
										  CurrentMemoryContext,
										  CurrentMemoryContext,
										  state->css.ss.ps.ps_ExprContext
											  ->ecxt_per_tuple_memory,
										  false);
}

/* Gives the scan a limit that should do for so many candidates. */
static void
limit_scan(CandidatesState *state, int64 count)
{
	if (count > MAX_KNOWN_CANDIDATES)
		count = -1;
	state->limit = tess_scan_limit(state->scan, count);
	state->in_run = 0;
}

/* How many are wanted is known from now on. */
static void
start_candidates(CandidatesState *state)
{
	MemoryContext old_context;
	bool isnull;
	Datum wanted = ExecEvalExprSwitchContext(state->wanted_expr,
											 state->css.ss.ps.ps_ExprContext,
											 &isnull);

	if (state->started)
		return;
	state->started = true;
	state->wanted = isnull ? PG_INT64_MAX : Max(DatumGetInt64(wanted), 0);
	state->left = state->wanted;
	state->position = 0;
	state->exhausted = false;
	state->known = NULL;
	MemoryContextReset(state->memory);
	limit_scan(state, state->wanted <= MAX_KNOWN_CANDIDATES
						  ? state->wanted * 2 + SPARE_CANDIDATES
						  : PG_INT64_MAX);
	if (state->limit < 0)
		return;
	old_context = MemoryContextSwitchTo(state->memory);
	make_known(state);
	MemoryContextSwitchTo(old_context);
}

/* A row of the scan, which is run again with a higher limit while it may have
 * more; NULL at the end. */
static TupleTableSlot *
next_key(CandidatesState *state)
{
	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(state->scan);

		if (!TupIsNull(slot))
		{
			state->in_run++;
			return slot;
		}
		if (state->limit < 0 || state->in_run < state->limit)
			return NULL;
		ExecReScan(state->scan);
		limit_scan(state, state->limit * MORE_CANDIDATES);
	}
}

/* True if the candidate has not been there before. */
static bool
is_new(CandidatesState *state, TupleTableSlot *slot)
{
	bool is_new = true;

	if (state->known == NULL)
		return true;
	ResetExprContext(state->css.ss.ps.ps_ExprContext);
	if (state->limit >= 0)
		(void) LookupTupleHashEntry(state->known, slot, &is_new, NULL);
	else
		is_new = LookupTupleHashEntry(state->known, slot, NULL, NULL) == NULL;
	return is_new;
}

/* ExecScanAccessMtd */
static TupleTableSlot *
next_candidate(ScanState *node)
{
	CandidatesState *state = (CandidatesState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	int count = list_length(state->equalities);
	TupleTableSlot *key;

	ExecClearTuple(slot);
	start_candidates(state);
	if (state->left == 0 || state->exhausted)
		return slot;
	do
	{
		CHECK_FOR_INTERRUPTS();
		key = next_key(state);
	} while (key != NULL && !is_new(state, key));
	state->exhausted = key == NULL;
	if (state->exhausted)
		return slot;
	state->left--;
	slot_getallattrs(key);
	memcpy(slot->tts_values, key->tts_values, count * sizeof(Datum));
	memcpy(slot->tts_isnull, key->tts_isnull, count * sizeof(bool));
	slot->tts_values[count] = Int64GetDatum(++state->position);
	slot->tts_isnull[count] = false;
	return ExecStoreVirtualTuple(slot);
}

static TupleTableSlot *
exec_candidates(CustomScanState *node)
{
	return ExecScan(&node->ss, next_candidate, recheck);
}

/* The scan above it begins with the next batch. */
static void
rescan_candidates(CustomScanState *node)
{
	ExecScanReScan(&node->ss);
}

/* ... with the first one again. */
static void
restart_candidates(CandidatesState *state)
{
	if (state->started)
		ExecReScan(state->scan);
	state->started = false;
}

static void
end_candidates(CustomScanState *node)
{
	ExecEndNode(((CandidatesState *) node)->scan);
}

/* Locks ---------------------------------------------------------------------- */

static Node *
create_lock(CustomScan *scan)
{
	LockState *state = palloc0(sizeof(LockState));

	state->css.ss.ps.type = T_CustomScanState;
	state->css.methods = &lock_exec_methods;
	return (Node *) state;
}

static void
begin_lock(CustomScanState *node, EState *estate, int eflags)
{
	LockState *state = (LockState *) node;

	state->scan = init_child(node, estate, eflags);
	state->candidates = linitial(((CustomScanState *) state->scan)->custom_ps);
	state->sorted_slot = ExecInitExtraTupleSlot(estate,
												ExecGetResultType(state->scan),
												&TTSOpsMinimalTuple);
	if (!(eflags & EXEC_FLAG_EXPLAIN_ONLY))
		state->reader = tess_reader_begin(linitial(
											  ((CustomScan *) state->scan->plan)
												  ->custom_private),
										  estate->es_snapshot, lock_early, state);
}

/* In the order of the last column. */
static Tuplesortstate *
begin_rows(TupleDesc desc)
{
	AttrNumber column = desc->natts;
	Oid operator= Int8LessOperator;
	Oid collation = InvalidOid;
	bool nulls_first = false;

	return tuplesort_begin_heap(desc, 1, &column, &operator, & collation,
								&nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

/* Locks the rows of a batch of candidates; how many there were. */
static int64
lock_batch(LockState *state)
{
	int64 count = 0;

	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(state->scan);

		if (TupIsNull(slot))
			return count;
		tuplesort_puttupleslot(state->rows, slot);
		count++;
	}
}

/* The scan has to run again: other candidates come. */
static void
begin_batch(LockState *state)
{
	PlanState *candidates = &state->candidates->css.ss.ps;

	candidates->chgParam = bms_add_member(candidates->chgParam, 0);
	ExecReScan(state->scan);
}

/* Locks as many rows as are wanted, or as there are. */
static void
lock_rows(LockState *state)
{
	CandidatesState *candidates = state->candidates;
	MemoryContext old_context = MemoryContextSwitchTo(
		state->css.ss.ps.state->es_query_cxt);
	int64 locked;

	state->rows = begin_rows(ExecGetResultType(state->scan));
	locked = lock_batch(state);
	while (locked < candidates->wanted && !candidates->exhausted)
	{
		candidates->left = candidates->wanted - locked;
		begin_batch(state);
		locked += lock_batch(state);
	}
	tuplesort_performsort(state->rows);
	MemoryContextSwitchTo(old_context);
}

/* TessReaderStart: before somebody writes to the table. */
static void
lock_early(void *arg)
{
	LockState *state = arg;

	if (state->rows == NULL && tess_scan_start(state->scan))
		lock_rows(state);
}

/* ExecScanAccessMtd */
static TupleTableSlot *
next_locked(ScanState *node)
{
	LockState *state = (LockState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	if (state->rows == NULL)
		lock_rows(state);
	if (!tuplesort_gettupleslot(state->rows, true, false, state->sorted_slot,
								NULL))
		return ExecClearTuple(slot);
	tess_slot_show(slot, state->sorted_slot);
	return slot;
}

static TupleTableSlot *
exec_lock(CustomScanState *node)
{
	return ExecScan(&node->ss, next_locked, recheck);
}

static void
end_rows(LockState *state)
{
	if (state->rows != NULL)
		tuplesort_end(state->rows);
	state->rows = NULL;
}

static void
rescan_lock(CustomScanState *node)
{
	LockState *state = (LockState *) node;

	if (state->rows == NULL)
		return;
	end_rows(state);
	if (node->ss.ps.chgParam != NULL)
		UpdateChangedParamSet(state->scan, node->ss.ps.chgParam);
	restart_candidates(state->candidates);
	begin_batch(state);
	ExecScanReScan(&node->ss);
}

static void
end_lock(CustomScanState *node)
{
	LockState *state = (LockState *) node;

	end_rows(state);
	if (state->reader != NULL)
		tess_reader_end(state->reader);
	ExecEndNode(state->scan);
}
