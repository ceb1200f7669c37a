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
#include "utils/memutils.h"
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

/* Index 0 is the shard of the call. */
static bool
is_here(Bitmapset *shards, const TessGroup *group, bool inserts)
{
	if (bms_is_empty(shards))
		return !inserts ||
			   tess_route_value(group, (Datum) 0, true, InvalidOid) == 0;
	return bms_membership(shards) == BMS_SINGLETON && bms_is_member(0, shards);
}

/* See exec_internal.h. */
void
tess_guard_check(QueryDesc *query_desc)
{
	const TessShardCall *call;
	MemoryContext context;
	MemoryContext old_context;
	ExprContext *econtext;
	TessGuard guard;
	TessGroup *group;
	ListCell *cell;

	if (!tess_guard_of(query_desc->plannedstmt, &guard))
		return;
	call = tess_shard_call();
	if (call == NULL || call->shard_id != guard.shard_id)
		refuse(_("It was planned for another shard."));

	context = AllocSetContextCreate(CurrentMemoryContext, "tessera guard",
									ALLOCSET_SMALL_SIZES);
	old_context = MemoryContextSwitchTo(context);
	econtext = CreateExprContext(query_desc->estate);
	PushActiveSnapshot(query_desc->snapshot);
	group = tess_shard_call_group(call, guard.key_type, guard.key_collation);
	foreach(cell, guard.prunes)
	{
		TessPruneState *state = tess_prune_init(lfirst(cell), NULL);

		if (!is_here(tess_prune_eval(state, econtext, group), group,
					 guard.inserts))
			refuse(_("It runs in the shard of the key that it was called with."));
	}
	PopActiveSnapshot();
	FreeExprContext(econtext, true);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}
