/*
 * inline.c - CTEs and SQL functions in FROM become subqueries.
 *
 * Core does this too, but only while it plans a level, which is too late for
 * whoever wants to see the whole tree before that.  The same ones are inlined
 * as by core (15's SS_process_ctes and preprocess_function_rtes), so that
 * nothing is evaluated more or less often than there.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"

#include "fragment/fragment_internal.h"

/* A CTE that is being put where its name stands. */
typedef struct Inlining
{
	const CommonTableExpr *cte;
	Index level; /* of the walk, below the level that has the CTE */
} Inlining;

static bool
writes_or_locks_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		return query->commandType != CMD_SELECT || query->rowMarks != NIL ||
			   query_tree_walker(query, writes_or_locks_walker, context, 0);
	}
	return expression_tree_walker(node, writes_or_locks_walker, context);
}

/* The recursive use of a CTE may stand only once in its recursive term. */
static bool
recurs_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->self_reference;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, recurs_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, recurs_walker, context);
}

static bool
is_inlined(CommonTableExpr *cte)
{
	if (cte->ctematerialized == CTEMaterializeAlways || cte->cterecursive)
		return false;
	if (cte->cterefcount > 1 && (cte->ctematerialized != CTEMaterializeNever ||
								 recurs_walker(cte->ctequery, NULL)))
		return false;
	return !writes_or_locks_walker(cte->ctequery, NULL) &&
		   !contain_volatile_functions(cte->ctequery);
}

/* Never referenced: core does not run it either. */
static bool
is_unused(CommonTableExpr *cte)
{
	return cte->cterefcount == 0 &&
		   castNode(Query, cte->ctequery)->commandType == CMD_SELECT;
}

/*
 * Turns an entry into a subquery.  It gets the alias and the names of columns
 * that it was known by, as the deparser prints only the alias of a subquery.
 */
static void
become_subquery(RangeTblEntry *rte, Query *subquery)
{
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = subquery;
	rte->security_barrier = false;
	rte->alias = makeAlias(rte->eref->aliasname, copyObject(rte->eref->colnames));
}

static void
replace_reference(RangeTblEntry *rte, const Inlining *inlining)
{
	Query *query = copyObject(castNode(Query, inlining->cte->ctequery));

	if (inlining->level > 0)
		IncrementVarSublevelsUp((Node *) query, inlining->level, 1);
	become_subquery(rte, query);
	rte->ctename = NULL;
	rte->ctelevelsup = 0;
	rte->coltypes = NIL;
	rte->coltypmods = NIL;
	rte->colcollations = NIL;
}

/* Entries are visited after what they contain, or the walk would go on inside
 * of what it has just put there. */
static bool
reference_walker(Node *node, Inlining *inlining)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && rte->ctelevelsup == inlining->level &&
			strcmp(rte->ctename, inlining->cte->ctename) == 0)
			replace_reference(rte, inlining);
		return false;
	}
	if (IsA(node, Query))
	{
		inlining->level++;
		query_tree_walker((Query *) node, reference_walker, inlining,
						  QTW_EXAMINE_RTES_AFTER);
		inlining->level--;
		return false;
	}
	return expression_tree_walker(node, reference_walker, inlining);
}

static void
inline_ctes_of_level(Query *query)
{
	List *kept = NIL;
	ListCell *cell;

	/* one may name those before it, and is inlined with what they were */
	foreach(cell, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		Inlining inlining = {cte, 0};

		if (is_unused(cte))
			continue;
		if (is_inlined(cte))
			query_tree_walker(query, reference_walker, &inlining,
							  QTW_EXAMINE_RTES_AFTER);
		else
			kept = lappend(kept, cte);
	}
	query->cteList = kept;
}

static void
inline_functions_of_level(Query *query, PlannerGlobal *dependencies)
{
	PlannerInfo root = {.type = T_PlannerInfo,
						.glob = dependencies,
						.parse = query};
	ListCell *cell;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		RangeTblFunction *function;
		Query *body;

		if (rte->rtekind != RTE_FUNCTION || list_length(rte->functions) != 1)
			continue;
		function = linitial_node(RangeTblFunction, rte->functions);
		if (!IsA(function->funcexpr, FuncExpr) ||
			((FuncExpr *) function->funcexpr)->funcid < FirstNormalObjectId)
			continue;

		/* puts default and named arguments into their places */
		function->funcexpr = eval_const_expressions(&root, function->funcexpr);
		body = inline_set_returning_function(&root, rte);
		/* the function stays in the entry, as in core: it tells the row type */
		if (body != NULL)
			become_subquery(rte, body);
	}
}

static bool
ctes_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		tess_inline_ctes((Query *) node);
		return false;
	}
	return expression_tree_walker(node, ctes_walker, context);
}

/* Inlines CTEs at all levels, in place; those that nobody names are dropped. */
void
tess_inline_ctes(Query *query)
{
	check_stack_depth();
	inline_ctes_of_level(query);
	query_tree_walker(query, ctes_walker, NULL, 0);
}

static bool
functions_walker(Node *node, PlannerGlobal *dependencies)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		tess_inline_functions((Query *) node, dependencies);
		return false;
	}
	return expression_tree_walker(node, functions_walker, dependencies);
}

/*
 * Inlines SQL functions in FROM at all levels, in place.  What the plan then
 * depends on is added to dependencies (invalItems, dependsOnRole), which the
 * caller has to add to the plan.  Errors in a function's body are those that
 * it would raise when called.
 */
void
tess_inline_functions(Query *query, PlannerGlobal *dependencies)
{
	check_stack_depth();
	inline_functions_of_level(query, dependencies);
	query_tree_walker(query, functions_walker, dependencies, 0);
}
