/*
 * asked_groups.c - a grouped subquery computes the groups that are asked for.
 *
 *     SELECT ... FROM a LEFT JOIN
 *         (SELECT avg(b.y) AS c1, b.k AS c2 FROM b GROUP BY b.k) s ON s.c2 = a.k
 *     WHERE a.z = 7 AND a.x > s.c1
 *
 * asks for groups of few rows of a only (decorrelate.c has made it).  So the
 * subquery gets a condition,
 *
 *     WHERE b.k IN (SELECT a.k FROM a WHERE a.z = 7)
 *
 * by which few rows of b leave their shards.  What makes it exact: a row of the
 * result has passed all conditions of WHERE, the repeated ones too, so its group
 * is among those that stay; and equality is transitive (derived.c), so a group
 * stays whole or not at all.  Conditions that are left out (those that may differ
 * when they are asked again, those of outer levels, of several tables) only keep
 * more groups; but what they keep from failing is left out with them.
 *
 * a is read twice then, so it is a matter of cost: core plans the subquery with
 * the condition and without it.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "fragment/derived.h"
#include "fragment/fragment_internal.h"

/* What is known of the level around the subquery. */
typedef struct Asking
{
	Query *query;
	Relids tables;	 /* of FROM, whose rows all pass WHERE as they are */
	List *conjuncts; /* what all rows pass */
} Asking;

/* Tables that no outer join gives NULL rows, and the conditions among them. */
static void
find_tables(Asking *asking, Node *node)
{
	JoinExpr *join = (JoinExpr *) node;
	ListCell *cell;

	if (IsA(node, RangeTblRef))
		asking->tables = bms_add_member(asking->tables,
										((RangeTblRef *) node)->rtindex);
	else if (IsA(node, FromExpr))
	{
		foreach(cell, ((FromExpr *) node)->fromlist)
			find_tables(asking, lfirst(cell));
		tess_add_conjuncts(&asking->conjuncts, ((FromExpr *) node)->quals);
	}
	else if (join->jointype == JOIN_INNER)
	{
		find_tables(asking, join->larg);
		find_tables(asking, join->rarg);
		tess_add_conjuncts(&asking->conjuncts, join->quals);
	}
	else if (join->jointype == JOIN_LEFT)
		find_tables(asking, join->larg);
	else if (join->jointype == JOIN_RIGHT)
		find_tables(asking, join->rarg);
}

/* A table that gives the same rows when it is read twice, whose rows may be seen. */
static bool
is_repeatable(const RangeTblEntry *rte)
{
	LockClauseStrength strength;
	LockWaitPolicy policy;

	return rte->relkind != RELKIND_FOREIGN_TABLE && rte->securityQuals == NIL &&
		   rte->tablesample == NULL && !tess_mark_of(rte, &strength, &policy);
}

static bool
stays_here_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE ||
			   (rte->rtekind == RTE_RELATION && !is_repeatable(rte));
	}
	if (IsA(node, Query))
		return ((Query *) node)->rowMarks != NIL ||
			   query_tree_walker((Query *) node, stays_here_walker, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, stays_here_walker, context);
}

/* True if a query, or one of an expression, cannot be computed once more, or not in
 * another query. */
static bool
stays_here(Node *node)
{
	return stays_here_walker(node, NULL);
}

/* True if an expression has columns of this entry of the level alone. */
static bool
is_of_table(Node *node, Index rti)
{
	Relids named = pull_varnos(NULL, node);
	int member;

	return bms_get_singleton_member(named, &member) && member == (int) rti &&
		   !tess_refers_outside(node) && !stays_here(node);
}

/* The conditions of a table that can be asked twice.  PostgreSQL checks conditions
 * of a table in their order, so one that may fail needs those before it. */
static List *
repeatable_conditions(const Asking *asking, Index rti)
{
	List *conditions = NIL;
	List *safe = NIL;
	bool is_complete = true;
	ListCell *cell;

	foreach(cell, asking->conjuncts)
	{
		Node *condition = lfirst(cell);

		if (is_of_table(condition, rti) && !tess_depends_on_order(condition) &&
			!contain_volatile_functions(condition))
		{
			conditions = lappend(conditions, condition);
			if (tess_never_fails(condition))
				safe = lappend(safe, condition);
		}
		else if (bms_is_subset(pull_varnos(NULL, condition),
							   bms_make_singleton(rti)))
			is_complete = false;
	}
	return is_complete ? conditions : safe;
}

/* The columns that are asked for: SELECT columns FROM table WHERE conditions. */
static Query *
make_asked(RangeTblEntry *rte, Index rti, List *columns, List *conditions)
{
	Query *asked = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	ListCell *cell;

	ref->rtindex = 1;
	asked->commandType = CMD_SELECT;
	asked->canSetTag = true;
	asked->rtable = list_make1(copyObject(rte));
	asked->jointree = makeFromExpr(list_make1(ref), (Node *) make_ands_explicit(
														copyObject(conditions)));
	foreach(cell, columns)
	{
		int resno = foreach_current_index(cell) + 1;

		asked->targetList = lappend(asked->targetList,
									makeTargetEntry(copyObject(lfirst(cell)),
													resno, psprintf("c%d", resno),
													false));
	}
	ChangeVarNodes((Node *) asked->targetList, rti, 1, 0);
	ChangeVarNodes(asked->jointree->quals, rti, 1, 0);
	asked->hasSubLinks = checkExprHasSubLink(asked->jointree->quals);
	return asked;
}

/* The equality of a column of the subquery with one of those that are asked
 * for, as it correlated them; NULL if there is no operator in that order. */
static Node *
make_comparison(const TessDerived *derived, const OpExpr *op, int inner,
				int number)
{
	Node *asked = list_nth(op->args, 1 - inner);
	Var *column = list_nth_node(Var, op->args, inner);
	TargetEntry *tle = list_nth_node(TargetEntry, derived->query->targetList,
									 column->varattno - 1);
	OpExpr *result = makeNode(OpExpr);
	Param *param = makeNode(Param);

	param->paramkind = PARAM_SUBLINK;
	param->paramid = number;
	param->paramtype = exprType(asked);
	param->paramtypmod = exprTypmod(asked);
	param->paramcollid = exprCollation(asked);
	param->location = -1;
	*result = *op;
	result->opno = inner == 0 ? op->opno : get_commutator(op->opno);
	if (!OidIsValid(result->opno))
		return NULL;
	result->opfuncid = get_opcode(result->opno);
	result->args = list_make2(copyObject(tle->expr), param);
	return (Node *) result;
}

/* "columns of the subquery IN (what rows of a table ask for)"; NULL if nothing
 * says that these rows are few. */
static Node *
make_membership(const Asking *asking, const TessDerived *derived, Index rti)
{
	RangeTblEntry *rte = rt_fetch(rti, asking->query->rtable);
	List *conditions;
	List *comparisons = NIL;
	List *columns = NIL;
	SubLink *membership;
	ListCell *cell;

	if (rte->rtekind != RTE_RELATION || !is_repeatable(rte))
		return NULL;
	conditions = repeatable_conditions(asking, rti);
	if (conditions == NIL)
		return NULL;
	foreach(cell, derived->quals)
	{
		OpExpr *op = lfirst_node(OpExpr, cell);
		int inner = is_of_table(lsecond(op->args), rti) ? 0 : 1;
		Node *column = list_nth(op->args, 1 - inner);
		Node *comparison;

		if (!is_of_table(column, rti) || checkExprHasSubLink(column))
			continue;
		comparison = make_comparison(derived, op, inner,
									 list_length(columns) + 1);
		if (comparison == NULL)
			continue;
		columns = lappend(columns, column);
		comparisons = lappend(comparisons, comparison);
	}
	if (columns == NIL)
		return NULL;

	membership = makeNode(SubLink);
	membership->subLinkType = ANY_SUBLINK;
	membership->testexpr = (Node *) make_ands_explicit(comparisons);
	membership->operName = list_make1(makeString("="));
	membership->subselect = (Node *) make_asked(rte, rti, columns, conditions);
	membership->location = -1;
	return (Node *) membership;
}

static Query *
with_condition(Query *query, Node *condition)
{
	Query *result = copyObject(query);
	FromExpr *from = result->jointree;

	from->quals = (Node *) make_ands_explicit(
		lappend(make_ands_implicit((Expr *) from->quals), condition));
	result->hasSubLinks = true;
	return result;
}

/* What core's plan of a query would cost; it is not changed. */
static Cost
cost_of(Query *query)
{
	Query *copy = copyObject(query);
	TessFrame frame = {.context = CurrentMemoryContext,
					   .is_open = true,
					   .ships = tess_frame_ships()};
	PlannedStmt *stmt;

	tess_frame_push(&frame);
	PG_TRY();
	{
		tess_split(tess_survey_make(copy), copy);
		stmt = standard_planner(copy, "", 0, NULL);
	}
	PG_FINALLY();
	{
		tess_frame_pop(&frame);
	}
	PG_END_TRY();
	return stmt->planTree->total_cost;
}

/* Keeps a derived table of a level, which is to be joined to the others, from
 * groups that no row asks for, where that is cheaper. */
void
tess_ask_groups(Query *query, TessDerived *derived)
{
	Asking asking = {query};
	Query *cheapest = derived->query;
	Cost cost = -1;
	int rti = -1;

	if (stays_here((Node *) derived->query))
		return;
	find_tables(&asking, (Node *) query->jointree);
	while ((rti = bms_next_member(asking.tables, rti)) >= 0)
	{
		Node *membership = make_membership(&asking, derived, rti);
		Query *restricted;
		Cost restricted_cost;

		if (membership == NULL)
			continue;
		if (cost < 0)
			cost = cost_of(derived->query);
		restricted = with_condition(derived->query, membership);
		restricted_cost = cost_of(restricted);
		if (restricted_cost < cost)
		{
			cheapest = restricted;
			cost = restricted_cost;
		}
	}
	derived->query = cheapest;
}
