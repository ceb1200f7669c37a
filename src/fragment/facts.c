/*
 * facts.c - which columns are equal to each other, or to a value, in every
 * row that survives?
 *
 * Equalities of the distribution key only: the operator is "equals" of the
 * group's hash family, so equal values stand in one shard.  Values never join
 * classes: two columns that equal $1 are no facts of each other where one of
 * them may be missing.
 *
 * What an outer join's ON says of its nullable side is no fact above the join,
 * whose rows may lack that side.  It becomes one as soon as a condition is met
 * that such a row could not pass: "b.k = c.k" above "a LEFT JOIN b ON a.k = b.k"
 * makes all three equal, be it in the ON of another join or in a sublink.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "fragment/facts.h"
#include "fragment/fragment_internal.h"
#include "route/route.h"

/* Terms ------------------------------------------------------------------------ */

/* COALESCE of two terms. */
TessTerm *
tess_term_coalesce(const TessTerm *first, const TessTerm *second)
{
	TessTerm *term = palloc0(sizeof(TessTerm));
	TessTerm *copies = palloc(2 * sizeof(TessTerm));

	copies[0] = *first;
	copies[1] = *second;
	term->first = &copies[0];
	term->second = &copies[1];
	return term;
}

bool
tess_term_equal(const TessTerm *a, const TessTerm *b)
{
	if (a->first != NULL || b->first != NULL)
		return a->first != NULL && b->first != NULL &&
			   tess_term_equal(a->first, b->first) &&
			   tess_term_equal(a->second, b->second);
	return a->rte == b->rte && a->attno == b->attno;
}

/* TessFacts ------------------------------------------------------------------ */

TessFacts *
tess_facts_copy(const TessFacts *facts)
{
	TessFacts *copy = palloc0(sizeof(TessFacts));
	ListCell *cell;

	foreach(cell, facts->classes)
	{
		TessFactClass *from = lfirst(cell);
		TessFactClass *to = palloc(sizeof(TessFactClass));

		to->terms = list_copy(from->terms);
		to->values = list_copy(from->values);
		copy->classes = lappend(copy->classes, to);
	}
	copy->outers = list_copy(facts->outers);
	return copy;
}

TessFactClass *
tess_facts_find(const TessFacts *facts, const TessTerm *term)
{
	ListCell *cell;
	ListCell *inner;

	foreach(cell, facts->classes)
	{
		TessFactClass *class = lfirst(cell);

		foreach(inner, class->terms)
		{
			if (tess_term_equal(lfirst(inner), term))
				return class;
		}
	}
	return NULL;
}

static TessFactClass *
facts_class(TessFacts *facts, const TessTerm *term)
{
	TessFactClass *class = tess_facts_find(facts, term);

	if (class == NULL)
	{
		TessTerm *copy = palloc(sizeof(TessTerm));

		*copy = *term;
		class = palloc0(sizeof(TessFactClass));
		class->terms = list_make1(copy);
		facts->classes = lappend(facts->classes, class);
	}
	return class;
}

void
tess_facts_equate(TessFacts *facts, const TessTerm *a, const TessTerm *b)
{
	TessFactClass *left = facts_class(facts, a);
	TessFactClass *right = facts_class(facts, b);

	if (left == right)
		return;
	left->terms = list_concat(left->terms, right->terms);
	left->values = list_concat(left->values, right->values);
	facts->classes = list_delete_ptr(facts->classes, right);
}

/* COALESCE of terms alone, from the left. */
static bool
coalesce_of(CoalesceExpr *coalesce, TessScope *scope, TessTerm *term)
{
	ListCell *cell;

	if (!tess_term_of(linitial(coalesce->args), scope, term))
		return false;
	for_each_from(cell, coalesce->args, 1)
	{
		TessTerm next;

		if (!tess_term_of(lfirst(cell), scope, &next))
			return false;
		*term = *tess_term_coalesce(term, &next);
	}
	return true;
}

/* The term an expression stands for; false if it is none. */
bool
tess_term_of(Node *node, TessScope *scope, TessTerm *term)
{
	Var *var;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (IsA(node, CoalesceExpr))
		return coalesce_of((CoalesceExpr *) node, scope, term);
	if (!IsA(node, Var))
		return false;
	var = (Var *) node;
	if (var->varattno <= 0)
		return false;
	for (Index level = 0; level < var->varlevelsup; level++)
	{
		scope = scope->parent;
		if (scope == NULL)
			return false;
	}

	*term = (TessTerm){rt_fetch(var->varno, scope->query->rtable), var->varattno};
	if (term->rte->rtekind == RTE_JOIN)
	{
		Node *alias = list_nth(term->rte->joinaliasvars, var->varattno - 1);

		return alias != NULL && tess_term_of(alias, scope, term);
	}
	return true;
}

/* Outer joins ---------------------------------------------------------------- */

/* True if the entry stands below a node of query's join tree, or in a subquery
 * there through which conditions may move. */
static bool
is_below(const RangeTblEntry *entry, Node *node, Query *query)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex,
									  query->rtable);

		return rte == entry ||
			   (rte->rtekind == RTE_SUBQUERY &&
				tess_query_is_simple(rte->subquery) &&
				is_below(entry, (Node *) rte->subquery->jointree, rte->subquery));
	}
	if (IsA(node, JoinExpr))
		return is_below(entry, ((JoinExpr *) node)->larg, query) ||
			   is_below(entry, ((JoinExpr *) node)->rarg, query);
	foreach(cell, castNode(FromExpr, node)->fromlist)
		if (is_below(entry, lfirst(cell), query))
			return true;
	return false;
}

/* A row of the entry is there: so all that was asked of it is true. */
static void
entry_is_there(const TessTable *table, const RangeTblEntry *entry,
			   TessFacts *facts)
{
	ListCell *cell;

	foreach(cell, facts->outers)
	{
		TessOuter *outer = lfirst(cell);

		if (!is_below(entry, outer->nullable, outer->scope->query))
			continue;
		facts->outers = list_delete_ptr(list_copy(facts->outers), outer);
		tess_facts_add(table, outer->nullable, outer->scope, facts);
		tess_facts_add_quals(table, outer->quals, outer->scope, facts);
		/* these have changed the list */
		entry_is_there(table, entry, facts);
		return;
	}
}

/* The column has a value, and so has what equals it. */
static void
term_is_there(const TessTable *table, const TessTerm *term, TessFacts *facts)
{
	TessFactClass *class = tess_facts_find(facts, term);
	ListCell *cell;

	if (facts->outers == NIL || class == NULL)
		return;
	foreach(cell, list_copy(class->terms))
		if (((TessTerm *) lfirst(cell))->first == NULL)
			entry_is_there(table, ((TessTerm *) lfirst(cell))->rte, facts);
}

/* Entries of the level whose rows have to be there for a condition to hold. */
static void
condition_holds(const TessTable *table, Node *qual, TessScope *scope,
				TessFacts *facts)
{
	Relids there;
	int rti = -1;

	if (facts->outers == NIL)
		return;
	there = find_nonnullable_rels(qual);
	while ((rti = bms_next_member(there, rti)) >= 0)
		entry_is_there(table, rt_fetch(rti, scope->query->rtable), facts);
}

/* Conditions ------------------------------------------------------------- */

bool
tess_is_key_equality(const TessTable *table, Oid opno, Oid collation)
{
	Oid other;

	return op_strict(opno) &&
		   (tess_route_is_key_equality(table, opno, collation, true, &other) ||
			tess_route_is_key_equality(table, opno, collation, false, &other));
}

void
tess_facts_add_value(TessFacts *facts, const TessTerm *term, TessFactValue *value)
{
	TessFactClass *class = facts_class(facts, term);

	class->values = lappend(class->values, value);
}

static void
add_clause(TessFacts *facts, const TessTerm *term, Expr *clause,
		   bool column_is_left)
{
	TessFactValue *value = palloc(sizeof(TessFactValue));

	value->clause = clause;
	value->column_is_left = column_is_left;
	tess_facts_add_value(facts, term, value);
}

static void
collect_comparison(const TessTable *table, OpExpr *op, TessScope *scope,
				   TessFacts *facts)
{
	Node *left;
	Node *right;
	TessTerm a;
	TessTerm b;
	bool left_is_column;
	bool right_is_column;

	if (list_length(op->args) != 2 ||
		!tess_is_key_equality(table, op->opno, op->inputcollid))
		return;
	left = linitial(op->args);
	right = lsecond(op->args);
	left_is_column = tess_term_of(left, scope, &a);
	right_is_column = tess_term_of(right, scope, &b);

	if (left_is_column && right_is_column)
		tess_facts_equate(facts, &a, &b);
	else if (left_is_column && tess_is_row_independent(right))
		add_clause(facts, &a, (Expr *) op, true);
	else if (right_is_column && tess_is_row_independent(left))
		add_clause(facts, &b, (Expr *) op, false);
	if (left_is_column)
		term_is_there(table, &a, facts);
	if (right_is_column)
		term_is_there(table, &b, facts);
}

void
tess_facts_add_quals(const TessTable *table, Node *quals, TessScope *scope,
					 TessFacts *facts)
{
	TessTerm term;

	if (quals == NULL)
		return;
	if (IsA(quals, List) || is_andclause(quals))
	{
		List *args = IsA(quals, List) ? (List *) quals
									  : ((BoolExpr *) quals)->args;
		ListCell *cell;

		foreach(cell, args)
			tess_facts_add_quals(table, lfirst(cell), scope, facts);
		return;
	}
	if (IsA(quals, OpExpr))
		collect_comparison(table, (OpExpr *) quals, scope, facts);
	else if (IsA(quals, ScalarArrayOpExpr))
	{
		ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) quals;

		if (any->useOr &&
			tess_is_key_equality(table, any->opno, any->inputcollid) &&
			tess_term_of(linitial(any->args), scope, &term) &&
			tess_is_row_independent(lsecond(any->args)))
			add_clause(facts, &term, (Expr *) any, true);
	}
	condition_holds(table, quals, scope, facts);
}

/* The tree ---------------------------------------------------------------- */

/* True if conditions may move freely into and out of a subquery in FROM. */
bool
tess_query_is_simple(const Query *query)
{
	return query->commandType == CMD_SELECT && query->setOperations == NULL &&
		   !query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs &&
		   query->groupClause == NIL && query->groupingSets == NIL &&
		   query->havingQual == NULL && query->distinctClause == NIL &&
		   query->limitOffset == NULL && query->limitCount == NULL &&
		   query->cteList == NIL && query->rowMarks == NIL;
}

/* An outer join whose preserved side's facts hold, but FULL. */
static void
collect_outer(const TessTable *table, JoinExpr *join, TessScope *scope,
			  TessFacts *facts)
{
	bool is_right = join->jointype == JOIN_RIGHT;
	Node *nullable = is_right ? join->larg : join->rarg;
	TessOuter *outer = NULL;
	ListCell *cell;

	foreach(cell, facts->outers)
		if (((TessOuter *) lfirst(cell))->nullable == nullable)
			outer = lfirst(cell);
	if (outer == NULL)
	{
		outer = palloc(sizeof(TessOuter));
		outer->nullable = nullable;
		outer->quals = join->quals;
		outer->scope = scope;
		facts->outers = lappend(facts->outers, outer);
	}
	tess_facts_add(table, is_right ? join->rarg : join->larg, scope, facts);
}

/* Adds the facts that hold for every row that comes out of node. */
void
tess_facts_add(const TessTable *table, Node *node, TessScope *scope,
			   TessFacts *facts)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
		tess_facts_add_entry(table,
							 rt_fetch(((RangeTblRef *) node)->rtindex,
									  scope->query->rtable),
							 scope, facts);
	else if (IsA(node, FromExpr))
	{
		FromExpr *from = (FromExpr *) node;

		foreach(cell, from->fromlist)
			tess_facts_add(table, lfirst(cell), scope, facts);
		tess_facts_add_quals(table, from->quals, scope, facts);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (join->jointype == JOIN_INNER)
		{
			tess_facts_add(table, join->larg, scope, facts);
			tess_facts_add(table, join->rarg, scope, facts);
			tess_facts_add_quals(table, join->quals, scope, facts);
		}
		else if (join->jointype != JOIN_FULL)
			collect_outer(table, join, scope, facts);
	}
}

/* One value for all -------------------------------------------------------- */

Node *
tess_fact_value(const TessFactValue *value)
{
	List *args = IsA(value->clause, OpExpr)
					 ? ((OpExpr *) value->clause)->args
					 : ((ScalarArrayOpExpr *) value->clause)->args;

	return value->column_is_left ? lsecond(args) : linitial(args);
}

/* The column's side of the clause, over the table's key as Var (1, key). */
static Node *
key_side(Node *side, const TessTable *table)
{
	if (IsA(side, RelabelType))
	{
		RelabelType *relabel = copyObject((RelabelType *) side);

		relabel->arg = (Expr *) key_side((Node *) relabel->arg, table);
		return (Node *) relabel;
	}
	return (Node *) makeVar(1, table->key_attnum, table->key_type,
							table->key_typmod, table->key_collation, 0);
}

/* The condition of a value, for the key of table: a prune expression. */
Expr *
tess_fact_prune(const TessFactValue *value, const TessTable *table)
{
	Expr *clause = copyObject(value->clause);
	List *args = IsA(clause, OpExpr) ? ((OpExpr *) clause)->args
									 : ((ScalarArrayOpExpr *) clause)->args;
	ListCell *side = value->column_is_left ? list_head(args)
										   : list_second_cell(args);
	Node *column = lfirst(side);

	while (IsA(column, RelabelType))
		column = (Node *) ((RelabelType *) column)->arg;
	if (exprType(column) == table->key_type)
		lfirst(side) = key_side(lfirst(side), table);
	else
	{
		/* int8 compared through a column of int4: find the other operator */
		const TessHasher *hasher = &table->group->hasher;
		Oid opno = InvalidOid;

		if (IsA(clause, OpExpr))
			opno = get_opfamily_member(hasher->opfamily, hasher->type,
									   getBaseType(
										   exprType(tess_fact_value(value))),
									   HTEqualStrategyNumber);
		if (!OidIsValid(opno))
			return NULL;
		clause = make_opclause(opno, BOOLOID, false,
							   (Expr *) key_side(column, table),
							   (Expr *) tess_fact_value(value), InvalidOid,
							   table->key_collation);
	}
	return tess_prune_make(list_make1(clause), 1, table);
}
