/*
 * shipped_rows.c - on a node: rows that another server has computed, as a
 * function in FROM.
 *
 * They come as arrays, one a column.  What does not fit into one message is
 * sent before the statement that reads it, and kept in a stash: a tuplestore
 * (work_mem, then disk) that belongs to the transaction, or subtransaction, and
 * goes to the first statement that asks for it.  So rows of any number are
 * joined by one statement, under one snapshot.
 *
 * Anyone may call these functions: a stash is the session's own, and is bounded
 * by work_mem and temp_file_limit.
 *
 * The planner learns how many rows there are, and how many values a column has,
 * as far as whoever has sent them knew.  Without that it takes hashing for
 * hopeless.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "exec/exec_internal.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/selfuncs.h"

PG_FUNCTION_INFO_V1(tess_stash_rows);
PG_FUNCTION_INFO_V1(tess_shipped_rows);
PG_FUNCTION_INFO_V1(tess_shipped_rows_support);

/* Arguments of shipped_rows before the arrays. */
#define STASH_ARG 0
#define ESTIMATES_ARG 1
#define SHIPPED_ARGS 2
/* ... and of stash_rows. */
#define STASH_ARGS 1

typedef struct Stash
{
	struct Stash *next;
	int64 id;
	TupleDesc desc;
	Tuplestorestate *store;
	int64 rows;
	MemoryContext context; /* of all this */
	MemoryContextCallback callback;
} Stash;

static Stash *stashes = NULL;
static get_relation_stats_hook_type next_get_relation_stats = NULL;

/* Columns --------------------------------------------------------------------- */

/* A row type of the arrays' elements. */
static TupleDesc
make_desc(int count, ArrayType *const *arrays)
{
	TupleDesc desc = CreateTemplateTupleDesc(count);

	for (int i = 0; i < count; i++)
		TupleDescInitEntry(desc, i + 1, psprintf("c%d", i + 1),
						   ARR_ELEMTYPE(arrays[i]), -1, 0);
	return desc;
}

/* The arrays' elements, row by row; all have as many.  Returns that number. */
static int64
add_rows(Tuplestorestate *store, TupleDesc desc, ArrayType *const *arrays)
{
	int count = desc->natts;
	int rows = ArrayGetNItems(ARR_NDIM(arrays[0]), ARR_DIMS(arrays[0]));
	ArrayIterator *iterators = palloc(count * sizeof(ArrayIterator));
	Datum *values = palloc(count * sizeof(Datum));
	bool *nulls = palloc(count * sizeof(bool));

	for (int i = 0; i < count; i++)
	{
		if (ArrayGetNItems(ARR_NDIM(arrays[i]), ARR_DIMS(arrays[i])) != rows ||
			ARR_ELEMTYPE(arrays[i]) != TupleDescAttr(desc, i)->atttypid)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("arrays of shipped rows do not match")));
		iterators[i] = array_create_iterator(arrays[i], 0, NULL);
	}
	for (int row = 0; row < rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < count; i++)
			(void) array_iterate(iterators[i], &values[i], &nulls[i]);
		tuplestore_putvalues(store, desc, values, nulls);
	}
	for (int i = 0; i < count; i++)
		array_free_iterator(iterators[i]);
	return rows;
}

/* The arrays among the arguments of a call, from the first one on. */
static ArrayType **
array_arguments(FunctionCallInfo fcinfo, int first, int *count)
{
	ArrayType **arrays;

	*count = PG_NARGS() - first;
	if (*count <= 0)
		elog(ERROR, "shipped rows without columns");
	arrays = palloc(*count * sizeof(ArrayType *));
	for (int i = 0; i < *count; i++)
	{
		Oid type = get_fn_expr_argtype(fcinfo->flinfo, first + i);

		if (!OidIsValid(type) || PG_ARGISNULL(first + i) ||
			!OidIsValid(get_element_type(getBaseType(type))))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("a column of shipped rows is not an array")));
		arrays[i] = PG_GETARG_ARRAYTYPE_P(first + i);
	}
	return arrays;
}

/* Stashes ---------------------------------------------------------------------- */

static Stash *
find_stash(int64 id)
{
	Stash *stash = stashes;

	while (stash != NULL && stash->id != id)
		stash = stash->next;
	return stash;
}

static void
unlink_stash(Stash *stash)
{
	for (Stash **link = &stashes; *link != NULL; link = &(*link)->next)
	{
		if (*link == stash)
		{
			*link = stash->next;
			break;
		}
	}
}

/* The (sub)transaction has ended: its memory goes, and its files have gone. */
static void
forget_stash(void *arg)
{
	unlink_stash(arg);
}

static Stash *
make_stash(int64 id, int count, ArrayType *const *arrays)
{
	MemoryContext context = AllocSetContextCreate(CurTransactionContext,
												  "tessera stash",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	ResourceOwner old_owner = CurrentResourceOwner;
	Stash *stash = palloc0(sizeof(Stash));

	stash->id = id;
	stash->desc = make_desc(count, arrays);
	stash->context = context;
	/* its files outlive the statement; backward: whoever reads it may want to */
	CurrentResourceOwner = CurTransactionResourceOwner;
	stash->store = tuplestore_begin_heap(true, false, work_mem);
	CurrentResourceOwner = old_owner;
	stash->callback.func = forget_stash;
	stash->callback.arg = stash;
	MemoryContextRegisterResetCallback(context, &stash->callback);
	stash->next = stashes;
	stashes = stash;
	MemoryContextSwitchTo(old_context);
	return stash;
}

/*
 * Adds rows, as arrays, one a column, to the stash of this session and
 * (sub)transaction with this number, which is made if it is new.
 */
void
tess_stash_add(int64 id, int count, ArrayType *const *arrays)
{
	Stash *stash = find_stash(id);

	if (stash == NULL)
		stash = make_stash(id, count, arrays);
	if (stash->desc->natts != count)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("arrays of shipped rows do not match")));
	stash->rows += add_rows(stash->store, stash->desc, arrays);
}

/* tessera_internal.stash_rows(stash, arrays ...) */
Datum
tess_stash_rows(PG_FUNCTION_ARGS)
{
	int count;
	ArrayType **arrays = array_arguments(fcinfo, STASH_ARGS, &count);

	if (PG_ARGISNULL(STASH_ARG))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("a stash needs a number")));
	tess_stash_add(PG_GETARG_INT64(STASH_ARG), count, arrays);
	PG_RETURN_VOID();
}

/* Reading ----------------------------------------------------------------------- */

/* tessera_internal.shipped_rows(stash, estimates, arrays ...): the rows of
 * the stash, which is gone then, and those of the arrays. */
Datum
tess_shipped_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int count;
	ArrayType **arrays = array_arguments(fcinfo, SHIPPED_ARGS, &count);
	Stash *stash = NULL;
	MemoryContext old_context;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		!(result->allowedModes & SFRM_Materialize) ||
		result->expectedDesc == NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("shipped rows can be read in FROM only")));
	if (!PG_ARGISNULL(STASH_ARG))
	{
		int64 id = PG_GETARG_INT64(STASH_ARG);

		stash = find_stash(id);
		if (stash == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("there is no stash " INT64_FORMAT, id)));
		tess_stash_add(id, count, arrays);
		unlink_stash(stash);
		MemoryContextSetParent(stash->context,
							   result->econtext->ecxt_per_query_memory);
		result->setResult = stash->store;
		result->setDesc = stash->desc;
	}
	else
	{
		old_context = MemoryContextSwitchTo(
			result->econtext->ecxt_per_query_memory);
		result->setResult = tuplestore_begin_heap(true, false, work_mem);
		result->setDesc = make_desc(count, arrays);
		MemoryContextSwitchTo(old_context);
		(void) add_rows(result->setResult, result->setDesc, arrays);
	}
	result->returnMode = SFRM_Materialize;
	PG_RETURN_NULL();
}

/* Estimates ---------------------------------------------------------------------- */

/* An estimate of whoever sends the rows: 0 their number, then for each column
 * the number of distinct values, as in pg_statistic.  0: unknown. */
static float4
get_estimate(List *args, int number)
{
	Const *constant = list_nth(args, ESTIMATES_ARG);
	Datum *values;
	bool *nulls;
	int count;

	if (!IsA(constant, Const) || constant->constisnull ||
		constant->consttype != FLOAT4ARRAYOID)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(constant->constvalue), FLOAT4OID,
					  sizeof(float4), true, TYPALIGN_INT, &values, &nulls,
					  &count);
	return number < 0 || number >= count || nulls[number]
			   ? 0
			   : DatumGetFloat4(values[number]);
}

/* How many rows a call will give: exactly where they have come, else as was
 * expected. */
static double
count_rows(List *args)
{
	Const *id = linitial(args);
	Const *array = list_nth(args, SHIPPED_ARGS);
	ArrayType *elements;
	double rows = 0;

	if (!IsA(id, Const) || !IsA(array, Const) || array->constisnull ||
		!OidIsValid(get_element_type(getBaseType(array->consttype))))
		return get_estimate(args, 0);
	if (!id->constisnull)
	{
		Stash *stash = find_stash(DatumGetInt64(id->constvalue));

		rows = stash ? stash->rows : 0;
	}
	elements = DatumGetArrayTypeP(array->constvalue);
	return rows + ArrayGetNItems(ARR_NDIM(elements), ARR_DIMS(elements));
}

/* Planner support of shipped_rows. */
Datum
tess_shipped_rows_support(PG_FUNCTION_ARGS)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestRows *rows = (SupportRequestRows *) request;
	double count;

	if (!IsA(request, SupportRequestRows) || !is_funcclause(rows->node) ||
		list_length(((FuncExpr *) rows->node)->args) <= SHIPPED_ARGS)
		PG_RETURN_POINTER(NULL);
	count = count_rows(((FuncExpr *) rows->node)->args);
	if (!(count >= 0)) /* or no number */
		PG_RETURN_POINTER(NULL);
	rows->rows = count;
	PG_RETURN_POINTER(rows);
}

/* The call of shipped_rows that an entry stands for; NULL if it does not. */
static FuncExpr *
find_call(const RangeTblEntry *rte)
{
	RangeTblFunction *function;
	FuncExpr *call;
	char *name;

	if (rte->rtekind != RTE_FUNCTION || list_length(rte->functions) != 1)
		return NULL;
	function = linitial_node(RangeTblFunction, rte->functions);
	call = (FuncExpr *) function->funcexpr;
	if (!IsA(call, FuncExpr) || function->funccolnames == NIL ||
		list_length(call->args) <= SHIPPED_ARGS)
		return NULL;
	name = get_func_name(call->funcid);
	if (name == NULL || strcmp(name, "shipped_rows") != 0 ||
		get_func_namespace(call->funcid) !=
			get_namespace_oid(TESS_INTERNAL_SCHEMA, true))
		return NULL;
	return call;
}

/* A row of pg_statistic that says only this. */
static HeapTuple
make_statistics(float4 distinct)
{
	Relation rel = table_open(StatisticRelationId, AccessShareLock);
	Datum values[Natts_pg_statistic] = {0};
	bool nulls[Natts_pg_statistic] = {0};
	HeapTuple tuple;

	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(distinct);
	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
		nulls[Anum_pg_statistic_stanumbers1 - 1 +
			  i] = nulls[Anum_pg_statistic_stavalues1 - 1 + i] = true;
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	table_close(rel, AccessShareLock);
	return tuple;
}

/* get_relation_stats_hook */
static bool
get_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
			   VariableStatData *vardata)
{
	FuncExpr *call = find_call(rte);
	float4 distinct = call ? get_estimate(call->args, attnum) : 0;

	if (distinct > 0 || (distinct < 0 && distinct >= -1))
	{
		vardata->statsTuple = make_statistics(distinct);
		vardata->freefunc = heap_freetuple;
		vardata->acl_ok = true;
		return true;
	}
	return next_get_relation_stats != NULL &&
		   next_get_relation_stats(root, rte, attnum, vardata);
}

void
tess_shipped_rows_init(void)
{
	next_get_relation_stats = get_relation_stats_hook;
	get_relation_stats_hook = get_statistics;
}
