/*
 * partitions.c - partitioned tables are folded: core plans them as if they were
 * plain tables, and does not come to their (empty) partitions.
 *
 * Each shard has the partitioned table with all its partitions, and its own planner
 * chooses among these.  Only where a statement asks for a row's partition
 * (tableoid) core is left to expand the table, so that each partition is a
 * scan of its own, and a row has the OID that it has here.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "fragment/fragment_internal.h"

typedef struct Asked
{
	List *queries; /* around an expression, innermost first */
	List *entries; /* RangeTblEntry *, whose tableoid is asked for */
	List *targets; /* OIDs of those that are changed */
} Asked;

static bool
asked_walker(Node *node, Asked *asked)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;
		Query *query;

		if (var->varattno != TableOidAttributeNumber)
			return false;
		query = list_nth_node(Query, asked->queries, var->varlevelsup);
		asked->entries = list_append_unique_ptr(asked->entries,
												rt_fetch(var->varno,
														 query->rtable));
		if (var->varno == query->resultRelation)
			asked->targets = lappend_oid(asked->targets,
										 rt_fetch(var->varno, query->rtable)->relid);
		return false;
	}
	if (IsA(node, Query))
	{
		asked->queries = lcons(node, asked->queries);
		(void) query_tree_walker((Query *) node, asked_walker, asked, 0);
		asked->queries = list_delete_first(asked->queries);
		return false;
	}
	return expression_tree_walker(node, asked_walker, asked);
}

static bool
is_partitioned(const RangeTblEntry *rte)
{
	return rte->relkind == RELKIND_PARTITIONED_TABLE;
}

/* Rows of other partitions would have been chosen, or given other OIDs. */
static void
refuse_asked(const Asked *asked)
{
	ListCell *cell;

	foreach(cell, asked->targets)
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_PARTITIONED_TABLE &&
			tess_meta_table(lfirst_oid(cell)) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot use tableoid of distributed table \"%s\" in a statement that changes it",
							get_rel_name(lfirst_oid(cell))),
					 errdetail(
						 "The partition of a row is known in its shard only."),
					 errhint("Change the partition itself.")));
}

/* See fragment.h. */
void
tess_fold_partitions(const TessSurvey *survey, Query *query)
{
	Asked asked = {NIL};
	bool has_partitioned = false;
	ListCell *cell;

	foreach(cell, survey->distributed)
		has_partitioned |= is_partitioned(lfirst_node(RangeTblEntry, cell));
	if (!has_partitioned)
		return;
	(void) asked_walker((Node *) query, &asked);
	refuse_asked(&asked);
	foreach(cell, survey->distributed)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (!is_partitioned(rte) || !rte->inh ||
			list_member_ptr(asked.entries, rte))
			continue;
		rte->relkind = RELKIND_RELATION;
		rte->inh = false;
	}
}
