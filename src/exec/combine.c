/*
 * combine.c - TesseraCombine: makes the results of aggregates of their states,
 * where core's Agg could not, since it combines either all of its aggregates or
 * none, and has no combined grouping sets.
 *
 * Its child is an Agg in which tessera_internal.combine stands for aggregates
 * whose states come from below.  What each of them stands for is told to it
 * here, when the plan begins, and in no other way: states of the type internal
 * come as bytes, which must not be anybody's own.  Rows pass as they are.
 *
 * Rights are those that core's Agg would ask for.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/nodeAgg.h"
#include "miscadmin.h"
#include "parser/parse_agg.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "exec/exec_internal.h"

/* An aggregate whose states are combined. */
typedef struct Combination
{
	TessStep step;
	bool deserializes;
	FmgrInfo deserialize;
	bool finishes;
	FmgrInfo finish;
	int finish_args; /* the state, and NULLs */
	Oid collation;
	int16 result_length;
} Combination;

PG_FUNCTION_INFO_V1(tess_combine_add);
PG_FUNCTION_INFO_V1(tess_combine_finish);

/* Calls ---------------------------------------------------------------------- */

static Combination *
get_combination(FunctionCallInfo fcinfo, MemoryContext *context)
{
	if (fcinfo->flinfo->fn_extra == NULL ||
		AggCheckCallContext(fcinfo, context) != AGG_CONTEXT_AGGREGATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("tessera_internal.combine cannot be called by statements"),
				 errdetail("It is a part of distributed plans.")));
	return fcinfo->flinfo->fn_extra;
}

/* The state that the bytes of an internal one stand for. */
static NullableDatum
deserialize(Combination *combination, NullableDatum bytes, Node *context)
{
	LOCAL_FCINFO(call, 2);
	NullableDatum state;

	/* such functions are strict */
	if (bytes.isnull)
		return bytes;
	InitFunctionCallInfoData(*call, &combination->deserialize, 2, InvalidOid,
							 context, NULL);
	call->args[0] = bytes;
	call->args[1].value = (Datum) 0;
	call->args[1].isnull = false;
	state.value = FunctionCallInvoke(call);
	state.isnull = call->isnull;
	return state;
}

/* What there is of a group so far. */
static TessGroupState *
get_group(FunctionCallInfo fcinfo, Combination *combination,
		  MemoryContext context)
{
	if (PG_ARGISNULL(0))
		return tess_group_begin(&combination->step, context);
	return (TessGroupState *) PG_GETARG_POINTER(0);
}

/* One state more. */
Datum
tess_combine_add(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	Combination *combination = get_combination(fcinfo, &context);
	TessGroupState *group = get_group(fcinfo, combination, context);
	NullableDatum state = fcinfo->args[1];

	if (combination->deserializes)
		state = deserialize(combination, state, fcinfo->context);
	tess_group_add(&combination->step, group, &state, fcinfo->context, context);
	PG_RETURN_POINTER(group);
}

/* The result of a group, which may have had no states. */
Datum
tess_combine_finish(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	Combination *combination = get_combination(fcinfo, &context);
	TessGroupState *group = get_group(fcinfo, combination, context);
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	Datum result;

	if (!combination->finishes)
	{
		if (group->state_is_null)
			PG_RETURN_NULL();
		PG_RETURN_DATUM(MakeExpandedObjectReadOnly(group->state, false,
												   combination->result_length));
	}
	if (combination->finish.fn_strict &&
		(group->state_is_null || combination->finish_args > 1))
		PG_RETURN_NULL();

	InitFunctionCallInfoData(*call, &combination->finish,
							 combination->finish_args, combination->collation,
							 fcinfo->context, NULL);
	call->args[0].value = MakeExpandedObjectReadOnly(group->state,
													 group->state_is_null,
													 combination->step.state_length);
	call->args[0].isnull = group->state_is_null;
	for (int i = 1; i < combination->finish_args; i++)
	{
		call->args[i].value = (Datum) 0;
		call->args[i].isnull = true;
	}
	result = FunctionCallInvoke(call);
	if (call->isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/* The start of a plan -------------------------------------------------------- */

static void
require_execute(Oid role, Oid function, ObjectType kind)
{
	AclResult result = pg_proc_aclcheck(function, role, ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, kind, get_func_name(function));
	InvokeFunctionExecuteHook(function);
}

static Oid
owner_of(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
set_deserialize(Combination *combination, Oid function, MemoryContext context)
{
	Expr *expr;

	if (!OidIsValid(function))
		return;
	build_aggregate_deserialfn_expr(function, &expr);
	combination->deserializes = true;
	fmgr_info_cxt(function, &combination->deserialize, context);
	fmgr_info_set_expr((Node *) expr, &combination->deserialize);
}

static void
set_finish(Combination *combination, const Aggref *aggref,
		   const FormData_pg_aggregate *form, MemoryContext context)
{
	Oid arg_types[FUNC_MAX_ARGS];
	int arg_count = get_aggregate_argtypes((Aggref *) aggref, arg_types);
	Expr *expr;

	combination->collation = aggref->inputcollid;
	combination->result_length = get_typlen(aggref->aggtype);
	combination->finishes = OidIsValid(form->aggfinalfn);
	if (!combination->finishes)
		return;
	combination->finish_args = form->aggfinalextra ? arg_count + 1 : 1;
	build_aggregate_finalfn_expr(arg_types, combination->finish_args,
								 aggref->aggtranstype, aggref->aggtype,
								 aggref->inputcollid, form->aggfinalfn, &expr);
	fmgr_info_cxt(form->aggfinalfn, &combination->finish, context);
	fmgr_info_set_expr((Node *) expr, &combination->finish);
}

/* What combines the states of an aggregate; lives in the current context. */
static Combination *
make_combination(const Aggref *aggref)
{
	Combination *combination = palloc0(sizeof(Combination));
	HeapTuple tuple = SearchSysCache1(AGGFNOID,
									  ObjectIdGetDatum(aggref->aggfnoid));
	Oid owner = owner_of(aggref->aggfnoid);
	FormData_pg_aggregate form;
	Oid state_type = aggref->aggtranstype;
	Datum value;
	bool is_null;
	Expr *expr;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = *(Form_pg_aggregate) GETSTRUCT(tuple);
	value = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval,
							&is_null);

	require_execute(GetUserId(), aggref->aggfnoid, OBJECT_AGGREGATE);
	require_execute(owner, form.aggcombinefn, OBJECT_FUNCTION);
	if (OidIsValid(form.aggfinalfn))
		require_execute(owner, form.aggfinalfn, OBJECT_FUNCTION);
	if (state_type == INTERNALOID)
	{
		require_execute(owner, form.aggdeserialfn, OBJECT_FUNCTION);
		set_deserialize(combination, form.aggdeserialfn, CurrentMemoryContext);
	}

	build_aggregate_transfn_expr(&state_type, 1, 0, false, state_type,
								 aggref->inputcollid, form.aggcombinefn,
								 InvalidOid, &expr, NULL);
	tess_step_set_function(&combination->step, form.aggcombinefn, (Node *) expr,
						   1, aggref->inputcollid, CurrentMemoryContext);
	tess_step_set_initial(&combination->step, state_type,
						  is_null ? NULL : TextDatumGetCString(value));
	set_finish(combination, aggref, &form, CurrentMemoryContext);
	ReleaseSysCache(tuple);
	return combination;
}

/* Tells the calls of combine what they stand for. */
static void
begin_combine(CustomScanState *node, EState *estate, int eflags)
{
	CustomScan *scan = castNode(CustomScan, node->ss.ps.plan);
	PlanState *child = ExecInitNode(linitial(scan->custom_plans), estate,
									eflags &
										~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
	AggState *agg = (AggState *) child;
	ListCell *cell;

	if (!IsA(child, AggState))
		elog(ERROR, "plan below TesseraCombine is no Agg");
	node->custom_ps = list_make1(child);
	foreach(cell, (List *) linitial(scan->custom_private))
	{
		const Aggref *aggref = lfirst_node(Aggref, cell);
		AggStatePerAgg result = &agg->peragg[aggref->aggno];
		Combination *combination = make_combination(aggref);

		agg->pertrans[result->transno].transfn.fn_extra = combination;
		result->finalfn.fn_extra = combination;
	}
}

/* Rows ------------------------------------------------------------------------ */

/* ExecScanAccessMtd */
static TupleTableSlot *
next_tuple(ScanState *node)
{
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	TupleTableSlot *row = ExecProcNode(
		linitial(((CustomScanState *) node)->custom_ps));

	if (TupIsNull(row))
		return ExecClearTuple(slot);
	tess_slot_show(slot, row);
	return slot;
}

/* ExecScanRecheckMtd */
static bool
recheck(ScanState *node, TupleTableSlot *slot)
{
	elog(ERROR, "recheck of groups");
	return false;
}

static TupleTableSlot *
exec_combine(CustomScanState *node)
{
	return ExecScan(&node->ss, next_tuple, recheck);
}

static void
end_combine(CustomScanState *node)
{
	ExecEndNode(linitial(node->custom_ps));
}

static void
rescan(CustomScanState *node)
{
	PlanState *child = linitial(node->custom_ps);

	ExecScanReScan(&node->ss);
	if (node->ss.ps.chgParam != NULL)
		UpdateChangedParamSet(child, node->ss.ps.chgParam);
	/* otherwise it is rescanned by its first call */
	if (child->chgParam == NULL)
		ExecReScan(child);
}

static Node *create_state(CustomScan *scan);

const CustomScanMethods tess_combine_methods =
	{.CustomName = TESS_COMBINE_METHODS, .CreateCustomScanState = create_state};

static const CustomExecMethods exec_methods = {.CustomName = TESS_COMBINE_METHODS,
											   .BeginCustomScan = begin_combine,
											   .ExecCustomScan = exec_combine,
											   .EndCustomScan = end_combine,
											   .ReScanCustomScan = rescan};

static Node *
create_state(CustomScan *scan)
{
	CustomScanState *state = makeNode(CustomScanState);

	state->methods = &exec_methods;
	return (Node *) state;
}
