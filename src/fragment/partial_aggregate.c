/*
 * partial_aggregate.c - what does a node compute of an aggregate whose rows lie
 * in many shards?
 *
 * Its transition state, as a worker of a parallel query would give it: the
 * aggregate itself where its result is its state, and else one of exec/'s
 * aggregates that run its transition function.  What cannot be combined has no
 * such expression.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "fragment/fragment_internal.h"

/* What the catalog says of how an aggregate is split. */
typedef struct AggregateParts
{
	Oid state_type; /* resolved */
	bool has_final;
	bool combines; /* states can be given away and combined */
	Oid transition;
	Oid serialize;
} AggregateParts;

/* False if there is no such aggregate any more. */
static bool
read_parts(const Aggref *aggref, AggregateParts *parts)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID,
									  ObjectIdGetDatum(aggref->aggfnoid));
	Form_pg_aggregate form;
	Oid arg_types[FUNC_MAX_ARGS];
	int arg_count;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	arg_count = get_aggregate_argtypes((Aggref *) aggref, arg_types);
	parts->state_type = resolve_aggregate_transtype(aggref->aggfnoid,
													form->aggtranstype,
													arg_types, arg_count);
	parts->has_final = OidIsValid(form->aggfinalfn);
	parts->combines = OidIsValid(form->aggcombinefn) &&
					  (form->aggtranstype != INTERNALOID ||
					   (OidIsValid(form->aggserialfn) &&
						OidIsValid(form->aggdeserialfn)));
	parts->transition = form->aggtransfn;
	parts->serialize = form->aggserialfn;
	ReleaseSysCache(tuple);
	return true;
}

static bool
is_plain(const AggregateParts *parts)
{
	return !parts->has_final && parts->state_type != INTERNALOID;
}

/*
 * Can exec/'s aggregates run it?  They want the rights to its functions (see
 * there), count its arguments, and name the type of the state by a NULL, which
 * a domain may not have.
 */
static bool
is_run_by_ours(const Aggref *aggref, const AggregateParts *parts)
{
	bool is_internal = parts->state_type == INTERNALOID;

	if (pg_proc_aclcheck(parts->transition, GetUserId(), ACL_EXECUTE) !=
			ACLCHECK_OK ||
		(is_internal && pg_proc_aclcheck(parts->serialize, GetUserId(),
										 ACL_EXECUTE) != ACLCHECK_OK))
		return false;
	if (get_func_variadictype(aggref->aggfnoid) == ANYOID ||
		list_length(aggref->args) > FUNC_MAX_ARGS - 3)
		return false;
	return is_internal || get_typtype(parts->state_type) != TYPTYPE_DOMAIN;
}

/* The OID of the one of exec/'s aggregates that runs others with such a state,
 * with or without arguments; InvalidOid if it is not there. */
static Oid
own_aggregate(bool is_internal, bool has_args)
{
	static const Oid state_types[] = {TEXTOID, ANYOID};
	static const Oid value_types[] = {TEXTOID, ANYELEMENTOID, ANYOID};
	oidvector *types = is_internal
						   ? buildoidvector(state_types, has_args ? 2 : 1)
						   : buildoidvector(value_types, has_args ? 3 : 2);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(is_internal ? "partial_state"
													   : "partial_value"),
						   PointerGetDatum(types),
						   ObjectIdGetDatum(
							   get_namespace_oid(TESS_INTERNAL_SCHEMA, true)));
}

/* A call of one of exec/'s aggregates in the place of the given one. */
static Aggref *
make_own_call(const Aggref *aggref, const AggregateParts *parts)
{
	Aggref *own = copyObject((Aggref *) aggref);
	bool is_internal = parts->state_type == INTERNALOID;
	char *name = format_procedure_qualified(aggref->aggfnoid);
	Const *constant = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								CStringGetTextDatum(name), false, false);
	List *args = list_make1(makeTargetEntry((Expr *) constant, 1, NULL, false));
	ListCell *cell;

	own->aggfnoid = own_aggregate(is_internal, aggref->args != NIL);
	own->aggtype = is_internal ? BYTEAOID : parts->state_type;
	if (!OidIsValid(own->inputcollid))
		own->inputcollid = DEFAULT_COLLATION_OID;
	own->aggcollid = OidIsValid(get_typcollation(own->aggtype))
						 ? own->inputcollid
						 : InvalidOid;
	own->aggtranstype = INTERNALOID;
	own->aggstar = false;
	own->aggvariadic = false;

	if (!is_internal)
	{
		Const *null = makeNullConst(parts->state_type, -1, own->aggcollid);

		args = lappend(args, makeTargetEntry((Expr *) null, 2, NULL, false));
		own->aggargtypes = lcons_oid(parts->state_type, own->aggargtypes);
	}
	own->aggargtypes = lcons_oid(TEXTOID, own->aggargtypes);
	foreach(cell, own->args)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		entry->resno = list_length(args) + 1;
		args = lappend(args, entry);
	}
	own->args = args;
	return own;
}

/* True if the result of an aggregate is its transition state. */
bool
tess_partial_is_plain(const Aggref *aggref)
{
	AggregateParts parts;

	return read_parts(aggref, &parts) && is_plain(&parts);
}

/*
 * The expression for a node that gives the state of an aggregate over the
 * node's rows: of the state's type, serialized (bytea) if that is internal.
 * The aggregate may be given as the parser or as core's partial aggregation
 * writes it; what comes back is as the parser would write it.  NULL if the
 * aggregate cannot be split.  Does not ask whether anything travels.
 */
Expr *
tess_partial_make(const Aggref *aggref)
{
	AggregateParts parts;
	Aggref *own;

	Assert(!DO_AGGSPLIT_COMBINE(aggref->aggsplit));
	if (aggref->aggkind != AGGKIND_NORMAL || aggref->aggorder != NIL ||
		aggref->aggdistinct != NIL || aggref->agglevelsup > 0)
		return NULL;
	if (!read_parts(aggref, &parts) || !parts.combines)
		return NULL;

	if (is_plain(&parts))
	{
		own = copyObject((Aggref *) aggref);
		own->aggtype = parts.state_type;
	}
	else
	{
		if (!is_run_by_ours(aggref, &parts))
			return NULL;
		own = make_own_call(aggref, &parts);
		if (!OidIsValid(own->aggfnoid))
			return NULL;
	}
	own->aggsplit = AGGSPLIT_SIMPLE;
	own->aggno = own->aggtransno = -1;
	own->location = -1;
	return (Expr *) own;
}

/* The function with this name as tess_partial_make writes it, else InvalidOid. */
static Oid
function_named(Datum name)
{
	LOCAL_FCINFO(lookup, 1);
	Datum function;

	InitFunctionCallInfoData(*lookup, NULL, 1, InvalidOid, NULL, NULL);
	lookup->args[0].value = name;
	lookup->args[0].isnull = false;
	function = to_regprocedure(lookup);
	if (lookup->isnull ||
		strcmp(format_procedure_qualified(DatumGetObjectId(function)),
			   TextDatumGetCString(name)) != 0)
		return InvalidOid;
	return DatumGetObjectId(function);
}

/*
 * The aggregate that a call of an aggregate is about: that named by the
 * arguments of one of exec/'s, else the called one itself.  InvalidOid if the
 * name may mean something else on a node.
 */
Oid
tess_partial_subject(const Aggref *aggref)
{
	Node *name;

	if (aggref->aggfnoid < FirstNormalObjectId || aggref->args == NIL ||
		get_func_namespace(aggref->aggfnoid) !=
			get_namespace_oid(TESS_INTERNAL_SCHEMA, true))
		return aggref->aggfnoid;

	name = (Node *) linitial_node(TargetEntry, aggref->args)->expr;
	if (!IsA(name, Const) || ((Const *) name)->consttype != TEXTOID ||
		((Const *) name)->constisnull)
		return InvalidOid;
	return function_named(((Const *) name)->constvalue);
}

/* True if any of the functions that an aggregate is made of has a property. */
bool
tess_partial_has_function(Oid aggregate, bool (*has_property)(Oid function))
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	FormData_pg_aggregate form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = *(Form_pg_aggregate) GETSTRUCT(tuple);
	ReleaseSysCache(tuple);
	return has_property(form.aggtransfn) ||
		   (OidIsValid(form.aggfinalfn) && has_property(form.aggfinalfn)) ||
		   (OidIsValid(form.aggcombinefn) && has_property(form.aggcombinefn)) ||
		   (OidIsValid(form.aggserialfn) && has_property(form.aggserialfn)) ||
		   (OidIsValid(form.aggdeserialfn) && has_property(form.aggdeserialfn)) ||
		   (OidIsValid(form.aggmtransfn) && has_property(form.aggmtransfn)) ||
		   (OidIsValid(form.aggminvtransfn) && has_property(form.aggminvtransfn)) ||
		   (OidIsValid(form.aggmfinalfn) && has_property(form.aggmfinalfn));
}
