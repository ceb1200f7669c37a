/*
 * args.c - what a fragment needs evaluated, once per execution: parameters,
 * and the shards that pruning leaves.
 *
 * Remembers the values of the last execution, so that a rescan can tell
 * whether it would get the same rows again.  Knows no nodes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "route/route.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Collects the numbers of PARAM_EXEC; true where a subquery stands, which may
 * depend on others. */
static bool
exec_params_walker(Node *node, Bitmapset **params)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		*params = bms_add_member(*params, ((Param *) node)->paramid);
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return true;
	return expression_tree_walker(node, exec_params_walker, params);
}

/* exprs: the parameters of the fragment and, if it has one, the prune
 * expression, as in custom_exprs.  In the current context. */
TessArgs *
tess_args_init(const TessFragment *fragment, List *exprs, PlanState *parent)
{
	TessArgs *args = palloc0(sizeof(TessArgs));
	int count = list_length(fragment->param_types);

	args->count = count;
	args->ctids = fragment->ctids_param - 1;
	args->evaluated = count;
	if (fragment->shipped != NIL)
	{
		args->shipped = list_length(fragment->shipped) + 1;
		args->evaluated -= args->shipped + 2 * list_length(fragment->bounded);
	}
	if (list_length(exprs) != args->evaluated + (fragment->has_prune ? 1 : 0))
		elog(ERROR, "fragment has %d parameters, but %d expressions",
			 args->evaluated, list_length(exprs));
	args->context = AllocSetContextCreate(CurrentMemoryContext,
										  "tessera arguments",
										  ALLOCSET_SMALL_SIZES);
	args->types = palloc(count * sizeof(Oid));
	args->lengths = palloc(count * sizeof(int16));
	args->by_value = palloc(count * sizeof(bool));
	args->exprs = palloc(count * sizeof(ExprState *));
	for (int i = 0; i < count; i++)
	{
		args->types[i] = list_nth_oid(fragment->param_types, i);
		get_typlenbyval(args->types[i], &args->lengths[i], &args->by_value[i]);
		if (i < args->evaluated)
			args->exprs[i] = ExecInitExpr(list_nth(exprs, i), parent);
	}
	if (fragment->has_prune)
		args->prune = tess_prune_init(llast(exprs), parent);
	args->has_subplan = exec_params_walker((Node *) exprs, &args->exec_params);
	args->estate = parent->state;
	return args;
}

/*
 * The value of an expression that is a constant or a parameter that is bound:
 * true.  False if it has to be evaluated, which may raise an error.
 */
bool
tess_args_bound_value(const Expr *expr, ParamListInfo params, Datum *value,
					  bool *isnull)
{
	const Param *param = (const Param *) expr;
	ParamExternData space;
	const ParamExternData *bound;

	if (IsA(expr, Const))
	{
		*isnull = ((const Const *) expr)->constisnull;
		*value = ((const Const *) expr)->constvalue;
		return true;
	}
	if (!IsA(expr, Param) || param->paramkind != PARAM_EXTERN || params == NULL ||
		param->paramid <= 0 || param->paramid > params->numParams)
		return false;
	bound = params->paramFetch != NULL
				? params->paramFetch(params, param->paramid, false, &space)
				: &params->params[param->paramid - 1];
	if (bound->ptype != param->paramtype)
		return false;
	*isnull = bound->isnull;
	*value = bound->value;
	return true;
}

/* Whether the arguments can be evaluated before their time: a parameter may
 * come from a subquery that is run when it is asked for, but not from a row that
 * has not come yet. */
bool
tess_args_are_known(const TessArgs *args)
{
	int i = -1;

	if (args->has_subplan)
		return false;
	while ((i = bms_next_member(args->exec_params, i)) >= 0)
	{
		if (args->estate->es_param_exec_vals[i].execPlan == NULL)
			return false;
	}
	return true;
}

static bool
is_same(const TessArgs *args, const Datum *values, const bool *nulls,
		const Bitmapset *shards)
{
	if (args->values == NULL || !bms_equal(args->pruned, shards))
		return false;
	for (int i = 0; i < args->evaluated; i++)
	{
		if (args->nulls[i] != nulls[i])
			return false;
		if (!nulls[i] &&
			!datumIsEqual(i == args->ctids ? args->all_ctids : args->values[i],
						  values[i], args->by_value[i], args->lengths[i]))
			return false;
	}
	return true;
}

/* The shards that have some of the ctids; their own are put into lists. */
static Bitmapset *
share_out(const TessGroup *group, ArrayType *ctids, ArrayBuildState **lists)
{
	ArrayIterator members = array_create_iterator(ctids, 0, NULL);
	Bitmapset *shards = NULL;
	Datum wide;
	bool isnull;

	while (array_iterate(members, &wide, &isnull))
	{
		ItemPointerData own;
		int shard_index = -1;

		if (!isnull)
			shard_index = tess_ctid_narrow(group->shard_count,
										   (ItemPointer) DatumGetPointer(wide),
										   &own);
		if (shard_index < 0)
			continue; /* nobody's */
		lists[shard_index] = accumArrayResult(lists[shard_index],
											  PointerGetDatum(&own), false,
											  TIDOID, CurrentMemoryContext);
		shards = bms_add_member(shards, shard_index);
	}
	array_free_iterator(members);
	return shards;
}

/* Leaves out shards that have none of the rows that the ctids name, and keeps
 * those of each for tess_args_set_shard. */
static void
find_rows(TessArgs *args, const TessGroup *group)
{
	ArrayBuildState **lists = palloc0(group->shard_count *
									  sizeof(ArrayBuildState *));
	Bitmapset *shards = NULL;
	int i = -1;

	args->all_ctids = args->values[args->ctids];
	args->shard_ctids = palloc0(group->shard_count * sizeof(Datum));
	if (!args->nulls[args->ctids])
		shards = share_out(group, DatumGetArrayTypeP(args->all_ctids), lists);
	args->shards = bms_int_members(args->shards, shards);
	while ((i = bms_next_member(args->shards, i)) >= 0)
		args->shard_ctids[i] = makeArrayResult(lists[i], CurrentMemoryContext);
}

bool
tess_args_set_shard(TessArgs *args, int shard_index)
{
	if (args->ctids < 0)
		return false;
	args->values[args->ctids] = args->shard_ctids[shard_index];
	return true;
}

/*
 * Evaluates.  False if everything is as it was.  group NULL (a reference
 * table): no shards.
 */
bool
tess_args_eval(TessArgs *args, ExprContext *econtext, const TessGroup *group)
{
	MemoryContext old_context;
	Datum *values;
	bool *nulls;
	Bitmapset *shards = NULL;

	old_context = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	values = palloc(args->count * sizeof(Datum));
	nulls = palloc(args->count * sizeof(bool));
	for (int i = 0; i < args->evaluated; i++)
		values[i] = ExecEvalExpr(args->exprs[i], econtext, &nulls[i]);
	if (group != NULL && args->prune != NULL)
		shards = tess_prune_eval(args->prune, econtext, group);
	else if (group != NULL)
		shards = bms_add_range(NULL, 0, group->shard_count - 1);

	if (is_same(args, values, nulls, shards))
	{
		MemoryContextSwitchTo(old_context);
		return false;
	}

	MemoryContextReset(args->context);
	MemoryContextSwitchTo(args->context);
	args->values = palloc(args->count * sizeof(Datum));
	args->nulls = palloc(args->count * sizeof(bool));
	memset(args->nulls, true, args->count * sizeof(bool));
	for (int i = 0; i < args->evaluated; i++)
	{
		args->nulls[i] = nulls[i];
		args->values[i] = nulls[i] ? (Datum) 0
								   : datumCopy(values[i], args->by_value[i],
											   args->lengths[i]);
	}
	args->pruned = bms_copy(shards);
	args->shards = bms_copy(shards);
	if (args->ctids >= 0 && group != NULL)
		find_rows(args, group);
	MemoryContextSwitchTo(old_context);
	return true;
}

/* The values as parameters of a statement in process.  NULL if there are
 * none. */
ParamListInfo
tess_args_param_list(int count, const Oid *types, const Datum *values,
					 const bool *nulls)
{
	ParamListInfo params;

	if (count == 0)
		return NULL;
	params = makeParamList(count);
	for (int i = 0; i < count; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = nulls[i];
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}
	return params;
}
