/*
 * join_tree.c - joins that the user has not written.
 *
 * A join that is made before core's planner gets the entry in the range table
 * that the parser would have given it, with all columns: the deparser prints
 * none without it.  Nothing refers to its columns.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"

#include "fragment/fragment_internal.h"

/* Appends a subquery to the range table; its number is the last. */
void
tess_join_add_subquery(Query *query, Query *subquery, const char *name)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List *names = NIL;
	ListCell *cell;

	foreach(cell, subquery->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (!tle->resjunk)
			names = lappend(names, makeString(pstrdup(tle->resname)));
	}
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = subquery;
	rte->alias = makeAlias(name, NIL);
	rte->eref = makeAlias(name, names);
	rte->inFromCl = true;
	query->rtable = lappend(query->rtable, rte);
}

/* Adds one side's columns to a join's entry; their numbers. */
static List *
add_columns(Query *query, Node *side, RangeTblEntry *join)
{
	int rti = IsA(side, RangeTblRef) ? ((RangeTblRef *) side)->rtindex
									 : castNode(JoinExpr, side)->rtindex;
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	List *names;
	List *vars;
	List *numbers = NIL;
	ListCell *cell;

	expandRTE(rte, rti, 0, -1, false, &names, &vars);
	/* of a join it gives the columns of what is joined */
	if (rte->rtekind == RTE_JOIN)
	{
		foreach(cell, rte->joinaliasvars)
			if (lfirst(cell) != NULL)
				numbers = lappend_int(numbers, foreach_current_index(cell) + 1);
	}
	else
	{
		foreach(cell, vars)
			numbers = lappend_int(numbers, lfirst_node(Var, cell)->varattno);
	}
	join->joinaliasvars = list_concat(join->joinaliasvars, vars);
	join->eref->colnames = list_concat(join->eref->colnames, names);
	return numbers;
}

/* The join of two parts of a FROM on conditions (NIL: all with all). */
Node *
tess_join_make(Query *query, JoinType type, Node *left, Node *right, List *quals)
{
	JoinExpr *join = makeNode(JoinExpr);
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_JOIN;
	rte->jointype = type;
	rte->eref = makeAlias("unnamed_join", NIL);
	rte->joinleftcols = add_columns(query, left, rte);
	rte->joinrightcols = add_columns(query, right, rte);
	rte->inFromCl = true;
	query->rtable = lappend(query->rtable, rte);

	join->jointype = type;
	join->larg = left;
	join->rarg = right;
	join->quals = quals == NIL ? NULL : (Node *) make_ands_explicit(quals);
	join->rtindex = list_length(query->rtable);
	return (Node *) join;
}

/* All items of a FROM as one, by inner joins; the last has the conditions, which
 * must be NIL if there is only one item. */
Node *
tess_join_all(Query *query, List *items, List *quals)
{
	Node *joined = linitial(items);
	ListCell *cell;

	Assert(list_length(items) > 1 || quals == NIL);
	for_each_from(cell, items, 1)
		joined = tess_join_make(query, JOIN_INNER, joined, lfirst(cell),
								lnext(items, cell) == NULL ? quals : NIL);
	return joined;
}
