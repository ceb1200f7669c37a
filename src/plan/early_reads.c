/*
 * early_reads.c - what has to be read before a statement writes.
 *
 * All parts of a statement see the state before it.  The scans of a table are
 * made to ask the nodes before the first write to it (exec/), if what they ask for is
 * known by then.  It is not in a subquery that is computed for each row, or that
 * needs the rows of a part of WITH.  Where such a row may come only after the write,
 * the scan of the table is marked: it asks for all rows that it may
 * need, and the conditions that depend on other rows are checked here.
 *
 * A change reads what it needs of its own table before it writes, by itself:
 * there nothing is marked, unless another part changes that table too.  But
 * RETURNING and check options are computed after the write.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"

#include "base/base.h"
#include "plan/plan_internal.h"

typedef struct EarlyReads
{
	List *changed; /* OIDs, once for each part of the statement that changes it */
	List *own;	   /* those that the part which is looked at changes */
	bool is_after; /* what is looked at is computed after its write */
} EarlyReads;

/* The tables that a change of one of ours writes to, foreign keys included; NIL:
 * it is none. */
static List *
tables_of_change(const Query *query)
{
	Oid relation;

	if (query->commandType == CMD_SELECT || query->resultRelation == 0)
		return NIL;
	relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	if (tess_meta_table(relation) == NULL)
		return NIL;
	return tess_meta_add_triggered(
		tess_relation_cascades(list_make1_oid(relation), relation, false));
}

static int
count_of(const List *oids, Oid oid)
{
	int count = 0;
	ListCell *cell;

	foreach(cell, oids)
		count += lfirst_oid(cell) == oid;
	return count;
}

static bool
is_read_late(const EarlyReads *reads, Oid relation)
{
	int parts = count_of(reads->changed, relation);

	return parts > 0 && (parts > 1 || reads->is_after ||
						 !list_member_oid(reads->own, relation));
}

static bool
mark_walker(Node *node, EarlyReads *reads)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && is_read_late(reads, rte->relid))
			tess_mark_early(rte);
		return false;
	}
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;
		List *own = tables_of_change(query);
		EarlyReads inner = *reads;
		List *returning = query->returningList;
		List *checks = query->withCheckOptions;

		if (own != NIL)
			inner.own = own;
		/* these apart */
		query->returningList = query->withCheckOptions = NIL;
		query_tree_walker(query, mark_walker, &inner, QTW_EXAMINE_RTES_BEFORE);
		query->returningList = returning;
		query->withCheckOptions = checks;
		inner.is_after |= own != NIL;
		mark_walker((Node *) returning, &inner);
		mark_walker((Node *) checks, &inner);
		return false;
	}
	return expression_tree_walker(node, mark_walker, reads);
}

/* Marks, in place, the tables of a statement whose scans have to ask the nodes
 * before it writes to them. */
void
tess_early_reads_mark(TessJob *job)
{
	Query *parse = job->parse;
	EarlyReads reads = {tables_of_change(parse)};
	ListCell *cell;

	foreach(cell, parse->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);

		reads.changed = list_concat(reads.changed,
									tables_of_change(
										castNode(Query, cte->ctequery)));
	}
	if (reads.changed != NIL)
		mark_walker((Node *) parse, &reads);
}
