/*
 * dml_colocated.c - UPDATE, DELETE and MERGE of a distributed table that each
 * shard can make its own part of, though they name other tables: reference
 * tables, and colocated ones that are joined by the key.  The statement is sent
 * whole, to the shards that pruning leaves.
 */
#include "postgres.h"

#include "plan/plan_internal.h"

/* NULL with a reason in the job if its rows meet those of other shards. */
PlannedStmt *
tess_plan_colocated(TessJob *job)
{
	const TessTable *table = job->survey->target;
	Expr *prune;

	if (job->parse->hasModifyingCTE || !tess_may_send_whole(job))
		return NULL;
	if (!tess_change_is_sharded(table, job->parse, &prune))
	{
		job->reason = "Its rows meet those of other shards.";
		return NULL;
	}
	return tess_send_whole(job, TESS_TO_SHARDS, table, prune);
}
