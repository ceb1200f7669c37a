/*
 * guard_check.c - before a statement of a function that runs in a shard is
 * executed: do the values of this execution belong to that shard?
 *
 * What has to be asked was found when the statement was planned (fragment/).  A plan
 * is a shard's own: copies of a function have plans of their own, and others are
 * made again under another search_path.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "fragment/fragment.h"
#include "route/route.h"
#include "utils/snapmgr.h"

static void
refuse(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("statement of a distributed function is about a key of another shard"),
			 errdetail_internal("%s", detail),
			 errhint(
				 "Call the function with that key, or run the statement outside of it.")));
}

/* TessValueOf: what is no plain value is evaluated as by the statement itself. */
static Datum
value_of(Expr *expr, void *arg, bool *isnull)
{
	EState *estate = arg;
	Datum value;

	if (tess_args_bound_value(expr, estate->es_param_list_info, &value, isnull))
		return value;
	return ExecEvalExpr(ExecInitExpr(expr, NULL),
						GetPerTupleExprContext(estate), isnull);
}

/* Index 0 is the shard of the call; no shard: no row can be meant. */
static bool
is_here(Expr *prune, EState *estate, const TessGroup *group, bool inserts)
{
	Bitmapset *shards;
	int shard_index;

	if (tess_prune_one(prune, value_of, estate, group, &shard_index))
	{
		if (shard_index >= 0)
			return shard_index == 0;
	}
	else
	{
		shards = tess_prune_eval(tess_prune_init(prune, NULL),
								 GetPerTupleExprContext(estate), group);
		if (!bms_is_empty(shards))
			return bms_membership(shards) == BMS_SINGLETON &&
				   bms_is_member(0, shards);
	}
	return !inserts || tess_route_value(group, (Datum) 0, true, InvalidOid) == 0;
}

/* In the memory of the execution. */
static void
check(QueryDesc *query_desc, const TessGuard *guard, const TessShardCall *call)
{
	const TessGroup *group = tess_shard_call_group(call, guard->key_type,
												   guard->key_collation);
	EState *estate = query_desc->estate;
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	ListCell *cell;

	PushActiveSnapshot(query_desc->snapshot);
	foreach(cell, guard->prunes)
		if (!is_here(lfirst(cell), estate, group, guard->inserts))
			refuse(_("It runs in the shard of the key that it was called with."));
	PopActiveSnapshot();
	MemoryContextSwitchTo(old_context);
}

/* See exec_internal.h. */
void
tess_guard_check(QueryDesc *query_desc)
{
	const TessShardCall *call;
	TessGuard guard;

	if (!tess_guard_of(query_desc->plannedstmt, &guard))
		return;
	call = tess_shard_call_pin();
	if (call == NULL)
		refuse(_("It was planned for another shard."));
	PG_TRY();
	{
		if (call->shard_id != guard.shard_id)
			refuse(_("It was planned for another shard."));
		check(query_desc, &guard, call);
	}
	PG_FINALLY();
	{
		tess_shard_call_unpin(call);
	}
	PG_END_TRY();
}
