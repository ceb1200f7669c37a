/*
 * dml_colocated.c - changes of a distributed table that each shard can make its
 * own part of, though they name other tables: reference tables, and colocated
 * ones that are joined by the key, or whose rows are inserted with their key.  The
 * statement is sent whole, to the shards that pruning leaves.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "plan/plan_internal.h"

/* True if rows of RETURNING come in the order of the source, on which users
 * rely. */
static bool
returns_in_order(const Query *parse)
{
	ListCell *cell;

	if (parse->commandType != CMD_INSERT || parse->returningList == NIL)
		return false;
	foreach(cell, parse->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_SUBQUERY && rte->subquery->sortClause != NIL)
			return true;
	}
	return false;
}

/* For query_tree_walker: rows of VALUES that are better sent to the shards they
 * belong to. */
static bool
has_many_values(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		return tess_are_many_values((RangeTblEntry *) node);
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_many_values, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, has_many_values, context);
}

/* NULL with a reason in the job if its rows meet those of other shards. */
PlannedStmt *
tess_plan_colocated(TessJob *job)
{
	const TessTable *table = job->survey->target;
	Expr *prune;

	if (job->parse->commandType == CMD_INSERT &&
		list_length(job->survey->distributed) < 2)
		return NULL; /* its rows come from elsewhere */
	if (job->parse->hasModifyingCTE || !tess_may_send_whole(job))
		return NULL;
	tess_inline_ctes(job->parse);
	if (returns_in_order(job->parse))
	{
		job->reason = "Its rows are returned in an order.";
		return NULL;
	}
	if ((job->parse->commandType == CMD_UPDATE ||
		 job->parse->commandType == CMD_DELETE) &&
		has_many_values((Node *) job->parse, NULL))
	{
		job->reason = "Its values are sent to the shards they belong to.";
		return NULL;
	}
	if (!tess_change_is_sharded(table, job->parse, &prune))
	{
		job->reason = "Its rows meet those of other shards.";
		return NULL;
	}
	return tess_send_whole(job, TESS_TO_SHARDS, table, prune);
}
