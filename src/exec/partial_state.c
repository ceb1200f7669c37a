/*
 * partial_state.c - aggregates over a part of the rows, for a coordinator that
 * combines them.
 *
 * tessera_internal.partial_state() and partial_value() are aggregates that run
 * the transition function of another, which is named by a constant, and return
 * its state: serialized where it is internal, as it is otherwise.  The other's
 * functions get our own call's context, so that they find the memory of the
 * group as ever.
 *
 * Anyone may call them with anything, so nothing is believed: the aggregate is
 * looked up and the types of the arguments are compared with those it
 * declares, as the parser would.  They act as the calling user, who needs
 * EXECUTE on the transition function too, as he would to make an aggregate
 * that shows the same.  States are only ever given out here, never read.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "exec/exec_internal.h"

/* What calls of one of our aggregates have in front of the other's arguments. */
typedef enum PartialKind
{
	PARTIAL_STATE = 1, /* its name */
	PARTIAL_VALUE = 2  /* ... and a value of the type of its state */
} PartialKind;

/* The other aggregate, for all groups of one call. */
typedef struct PartialCall
{
	PartialKind kind;
	Oid aggregate;
	int arg_count;
	Oid arg_types[FUNC_MAX_ARGS];

	Oid state_type;
	Oid transition_oid;
	TessStep step;
	Oid serialize_oid; /* of internal states only */
	FmgrInfo serialize;
} PartialCall;

PG_FUNCTION_INFO_V1(tess_partial_state_add);
PG_FUNCTION_INFO_V1(tess_partial_state_finish);
PG_FUNCTION_INFO_V1(tess_partial_value_add);
PG_FUNCTION_INFO_V1(tess_partial_value_finish);

/*
 * The other aggregate's OID, and its name for messages, from our own call in
 * the statement.  The name has to be a constant: it is needed for groups
 * without rows too.
 */
static Oid
named_aggregate(const Aggref *own, char **name)
{
	Node *expr = (Node *) linitial_node(TargetEntry, own->args)->expr;
	Oid aggregate;

	if (!IsA(expr, Const))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("name of the aggregate must be a constant")));
	if (((Const *) expr)->constisnull)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("name of the aggregate must not be null")));

	*name = TextDatumGetCString(((Const *) expr)->constvalue);
	aggregate = DatumGetObjectId(
		DirectFunctionCall1(regprocedurein, CStringGetDatum(*name)));
	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(aggregate)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("aggregate %s does not exist", *name)));
	return aggregate;
}

static void
require_execute(Oid function, ObjectType kind)
{
	AclResult result = pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, kind, get_func_name(function));
	InvokeFunctionExecuteHook(function);
}

/*
 * Compares the types of the arguments with those that the aggregate declares:
 * its functions would take a value of another type for one of theirs.
 * Resolves polymorphic types, that of the state too.
 */
static void
check_arguments(PartialCall *call, const char *name, Oid declared_state)
{
	Oid *declared;
	int declared_count;

	get_func_signature(call->aggregate, &declared, &declared_count);
	if (declared_count != call->arg_count)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("wrong number of arguments for aggregate %s", name)));
	call->state_type = enforce_generic_type_consistency(call->arg_types,
														declared, declared_count,
														declared_state, false);
	for (int i = 0; i < declared_count; i++)
	{
		if (!IsBinaryCoercible(call->arg_types[i], declared[i]))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("argument of type %s does not fit aggregate %s",
							format_type_be(call->arg_types[i]), name)));
	}
}

/* Reads what the catalog says of the aggregate into call; *initial is its
 * initial state as text, or NULL. */
static void
read_aggregate(PartialCall *call, const char *name, char **initial)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID,
									  ObjectIdGetDatum(call->aggregate));
	Form_pg_aggregate form;
	Datum value;
	bool is_null;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("%s is not an aggregate", name)));
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	if (form->aggkind != AGGKIND_NORMAL || !OidIsValid(form->aggcombinefn) ||
		(form->aggtranstype == INTERNALOID && !OidIsValid(form->aggserialfn)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("aggregate %s cannot be computed in parts", name)));
	if ((form->aggtranstype == INTERNALOID) != (call->kind == PARTIAL_STATE))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 form->aggtranstype == INTERNALOID
					 ? errmsg("state of aggregate %s is internal", name)
					 : errmsg("state of aggregate %s is not internal", name)));

	check_arguments(call, name, form->aggtranstype);
	call->transition_oid = form->aggtransfn;
	call->serialize_oid = call->kind == PARTIAL_STATE ? form->aggserialfn
													  : InvalidOid;
	value = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval,
							&is_null);
	*initial = is_null ? NULL : TextDatumGetCString(value);
	ReleaseSysCache(tuple);
}

/* Makes the other aggregate's functions ready to be called. */
static void
prepare_functions(PartialCall *call, Oid collation, MemoryContext context)
{
	Expr *expr;
	int count = call->arg_count;

	build_aggregate_transfn_expr(call->arg_types, count, 0, false,
								 call->state_type, collation,
								 call->transition_oid, InvalidOid, &expr, NULL);
	tess_step_set_function(&call->step, call->transition_oid, (Node *) expr,
						   count, collation, context);
	if (OidIsValid(call->serialize_oid))
	{
		build_aggregate_serialfn_expr(call->serialize_oid, &expr);
		fmgr_info_cxt(call->serialize_oid, &call->serialize, context);
		fmgr_info_set_expr((Node *) expr, &call->serialize);
	}
}

/* Reads the initial state, and checks that there is a first one at all. */
static void
prepare_initial(PartialCall *call, const char *name, const char *initial)
{
	tess_step_set_initial(&call->step, call->state_type, initial);
	/* What CREATE AGGREGATE has checked may have been altered since. */
	if (initial == NULL && call->step.function.fn_strict &&
		(call->arg_count == 0 ||
		 !IsBinaryCoercible(call->arg_types[0], call->state_type)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("aggregate %s needs a first argument of the type of its state",
						name)));
}

/*
 * What the call in fcinfo, of one of our functions, is about.  Lives as long
 * as that function's own FmgrInfo, and is made once for it.
 */
static PartialCall *
resolve_call(FunctionCallInfo fcinfo, PartialKind kind)
{
	const Aggref *own = AggGetAggref(fcinfo);
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	MemoryContext old_context = MemoryContextSwitchTo(context);
	PartialCall *call = palloc0(sizeof(PartialCall));
	char *name;
	char *initial;

	call->kind = kind;
	call->aggregate = named_aggregate(own, &name);
	for (int i = kind; i < list_length(own->aggargtypes); i++)
		call->arg_types[call->arg_count++] = list_nth_oid(own->aggargtypes, i);

	read_aggregate(call, name, &initial);
	require_execute(call->aggregate, OBJECT_AGGREGATE);
	require_execute(call->transition_oid, OBJECT_FUNCTION);
	if (OidIsValid(call->serialize_oid))
		require_execute(call->serialize_oid, OBJECT_FUNCTION);
	if (kind == PARTIAL_VALUE &&
		list_nth_oid(own->aggargtypes, 1) != call->state_type)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("state of aggregate %s has the type %s", name,
							   format_type_be(call->state_type))));
	prepare_functions(call, own->inputcollid, context);
	prepare_initial(call, name, initial);

	MemoryContextSwitchTo(old_context);
	fcinfo->flinfo->fn_extra = call;
	return call;
}

/* Also the memory of the group.  Errors where there is none. */
static PartialCall *
get_call(FunctionCallInfo fcinfo, PartialKind kind, MemoryContext *context)
{
	if (AggCheckCallContext(fcinfo, context) != AGG_CONTEXT_AGGREGATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "partial aggregates can be called as plain aggregates only")));
	if (fcinfo->flinfo->fn_extra == NULL)
		return resolve_call(fcinfo, kind);
	return fcinfo->flinfo->fn_extra;
}

static Datum
add_row(FunctionCallInfo fcinfo, PartialKind kind)
{
	MemoryContext context;
	PartialCall *call = get_call(fcinfo, kind, &context);
	TessGroupState *group = PG_ARGISNULL(0)
								? tess_group_begin(&call->step, context)
								: (TessGroupState *) PG_GETARG_POINTER(0);

	tess_group_add(&call->step, group, &fcinfo->args[1 + kind], fcinfo->context,
				   context);
	PG_RETURN_POINTER(group);
}

Datum
tess_partial_state_add(PG_FUNCTION_ARGS)
{
	return add_row(fcinfo, PARTIAL_STATE);
}

Datum
tess_partial_value_add(PG_FUNCTION_ARGS)
{
	return add_row(fcinfo, PARTIAL_VALUE);
}

/* The state of a group, an initial one if it has no rows. */
static TessGroupState *
finished_group(FunctionCallInfo fcinfo, PartialKind kind)
{
	MemoryContext context;
	PartialCall *call = get_call(fcinfo, kind, &context);

	return PG_ARGISNULL(0) ? tess_group_begin(&call->step, context)
						   : (TessGroupState *) PG_GETARG_POINTER(0);
}

Datum
tess_partial_state_finish(PG_FUNCTION_ARGS)
{
	TessGroupState *group = finished_group(fcinfo, PARTIAL_STATE);
	PartialCall *call = fcinfo->flinfo->fn_extra;
	LOCAL_FCINFO(serialize, 1);
	Datum bytes;

	/* serial functions are strict */
	if (group->state_is_null)
		PG_RETURN_NULL();
	InitFunctionCallInfoData(*serialize, &call->serialize, 1, InvalidOid,
							 fcinfo->context, NULL);
	serialize->args[0].value = group->state;
	serialize->args[0].isnull = false;
	bytes = FunctionCallInvoke(serialize);
	if (serialize->isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bytes);
}

Datum
tess_partial_value_finish(PG_FUNCTION_ARGS)
{
	TessGroupState *group = finished_group(fcinfo, PARTIAL_VALUE);
	const PartialCall *call = fcinfo->flinfo->fn_extra;

	if (group->state_is_null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(datumCopy(group->state, call->step.state_by_value,
							  call->step.state_length));
}
