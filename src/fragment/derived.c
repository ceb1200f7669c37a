/*
 * derived.c - the grouped subquery that takes the place of a correlated one.
 *
 * Here stands what makes the two equal, as far as the subquery itself can tell;
 * whether the place allows for it is decorrelate.c's question, where it says
 * why, too.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_oper.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "fragment/derived.h"
#include "fragment/fragment_internal.h"


/* Whose columns an expression has. ------------------------------------------ */

typedef struct Origins
{
	int depth;
	bool inner;	 /* of the subquery itself */
	bool outer;	 /* of the level it stands in */
	bool beyond; /* aggregates of that one, or anything of levels above it */
} Origins;

static bool
origins_walker(Node *node, Origins *origins)
{
	int up = -1;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		origins->depth++;
		query_tree_walker((Query *) node, origins_walker, origins, 0);
		origins->depth--;
		return false;
	}
	if (IsA(node, Var))
	{
		up = (int) ((Var *) node)->varlevelsup - origins->depth;
		origins->outer |= up == 1;
		origins->beyond |= up > 1;
	}
	else if (IsA(node, Aggref))
		up = (int) ((Aggref *) node)->agglevelsup - origins->depth;
	else if (IsA(node, GroupingFunc))
		up = (int) ((GroupingFunc *) node)->agglevelsup - origins->depth;
	if (up > 0 && !IsA(node, Var))
		origins->beyond = true;
	origins->inner |= up == 0;
	return expression_tree_walker(node, origins_walker, origins);
}

/* What an expression of a subquery, or a subquery (at depth -1) refers to. */
static Origins
origins_of(Node *node, int depth)
{
	Origins origins = {depth};

	origins_walker(node, &origins);
	return origins;
}

/* The grouped subquery. ----------------------------------------------------- */

/* The number of the column that is this expression, added if there is none. */
static AttrNumber
column_for(TessDerived *derived, Expr *expr)
{
	List **tlist = &derived->query->targetList;
	ListCell *cell;
	AttrNumber resno = list_length(*tlist) + 1;

	foreach(cell, *tlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (equal(tle->expr, expr))
			return tle->resno;
	}
	*tlist = lappend(*tlist, makeTargetEntry(copyObject(expr), resno,
											 psprintf("c%d", resno), false));
	return resno;
}

static Var *
var_for(TessDerived *derived, Expr *expr, Index levelsup)
{
	return makeVar(derived->rti, column_for(derived, expr),
				   exprType((Node *) expr), exprTypmod((Node *) expr),
				   exprCollation((Node *) expr), levelsup);
}

/* The value of an aggregate in the outer level, still named as from inside. */
static Node *
aggregate_value(TessDerived *derived, Aggref *aggref)
{
	Var *var;
	CoalesceExpr *coalesce;

	switch (tess_aggregate_over_no_rows(aggref))
	{
		case TESS_NULL_OVER_NO_ROWS:
			return (Node *) var_for(derived, (Expr *) aggref, 1);
		case TESS_ZERO_OVER_NO_ROWS:
			var = var_for(derived, (Expr *) aggref, 1);
			coalesce = makeNode(CoalesceExpr);
			coalesce->coalescetype = INT8OID;
			coalesce->args = list_make2(var, makeConst(INT8OID, -1, InvalidOid,
													   sizeof(int64),
													   Int64GetDatum(0), false,
													   FLOAT8PASSBYVAL));
			coalesce->location = -1;
			return (Node *) coalesce;
		default:
			derived->fails = true;
			return (Node *) aggref;
	}
}

static Node *
value_mutator(Node *node, TessDerived *derived)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup == 0)
		return aggregate_value(derived, (Aggref *) node);
	return expression_tree_mutator(node, value_mutator, derived);
}

/* Adds a column to GROUP BY. */
static void
group_by(Query *query, TargetEntry *tle)
{
	SortGroupClause *clause;

	if (tle->ressortgroupref != 0)
		return;
	clause = makeNode(SortGroupClause);
	get_sort_group_operators(exprType((Node *) tle->expr), true, true, false,
							 &clause->sortop, &clause->eqop, NULL,
							 &clause->hashable);
	tle->ressortgroupref = list_length(query->groupClause) + 1;
	clause->tleSortGroupRef = tle->ressortgroupref;
	query->groupClause = lappend(query->groupClause, clause);
}

/*
 * True if no two values that GROUP BY keeps apart are equal, by this operator,
 * to one and the same value.  Equalities of one btree family are transitive, be
 * they of different types, if they compare by the same collation.
 */
static bool
tells_groups_apart(const OpExpr *op, Node *grouped)
{
	Oid collation = exprCollation(grouped);
	Oid equality;
	ListCell *cell;

	if (op->inputcollid != collation &&
		(!OidIsValid(collation) || !OidIsValid(op->inputcollid) ||
		 !get_collation_isdeterministic(collation) ||
		 !get_collation_isdeterministic(op->inputcollid)))
		return false;
	get_sort_group_operators(exprType(grouped), false, false, false, NULL,
							 &equality, NULL, NULL);
	if (!OidIsValid(equality) || !op_strict(op->opno))
		return false;
	foreach(cell, get_mergejoin_opfamilies(op->opno))
		if (op_in_opfamily(equality, lfirst_oid(cell)))
			return true;
	return false;
}

/* Takes a condition that is an equality of inner with outer out of the
 * subquery: false if it is something else. */
static bool
add_correlation(TessDerived *derived, Node *qual)
{
	OpExpr *op = (OpExpr *) copyObject(qual);
	int inner = -1;
	Var *var;

	if (!IsA(qual, OpExpr) || list_length(op->args) != 2)
		return false;
	for (int i = 0; i < 2; i++)
	{
		Origins origins = origins_of(list_nth(op->args, i), 0);

		if (origins.beyond || origins.inner == origins.outer)
			return false;
		if (origins.inner)
			inner = inner < 0 ? i : 2;
	}
	if (inner < 0 || inner > 1 ||
		!tells_groups_apart(op, list_nth(op->args, inner)))
		return false;

	var = var_for(derived, list_nth(op->args, inner), 1);
	group_by(derived->query,
			 list_nth(derived->query->targetList, var->varattno - 1));
	lfirst(list_nth_cell(op->args, inner)) = var;
	derived->quals = lappend(derived->quals, op);
	return true;
}

/* See derived.h. */
void
tess_add_conjuncts(List **conjuncts, Node *qual)
{
	ListCell *cell;

	if (qual == NULL)
		return;
	if (!is_andclause(qual) && !IsA(qual, List))
	{
		*conjuncts = lappend(*conjuncts, qual);
		return;
	}
	foreach(cell, IsA(qual, List) ? (List *) qual : ((BoolExpr *) qual)->args)
		tess_add_conjuncts(conjuncts, lfirst(cell));
}

/* Aggregates of all rows of FROM, and nothing else. */
static bool
is_plain_aggregate(const Query *query)
{
	return query->commandType == CMD_SELECT && query->hasAggs &&
		   query->groupClause == NIL && query->groupingSets == NIL &&
		   query->havingQual == NULL && query->setOperations == NULL &&
		   query->limitCount == NULL && query->limitOffset == NULL &&
		   query->distinctClause == NIL && query->rowMarks == NIL &&
		   query->cteList == NIL && !query->hasWindowFuncs &&
		   !query->hasTargetSRFs && !query->hasSubLinks &&
		   query->jointree->fromlist != NIL;
}

/* Parts the conditions of a subquery; false if one is correlated otherwise. */
static bool
part_conditions(TessDerived *derived)
{
	FromExpr *from = derived->query->jointree;
	List *conjuncts = NIL;
	List *own = NIL;
	ListCell *cell;

	tess_add_conjuncts(&conjuncts, from->quals);
	foreach(cell, conjuncts)
	{
		Origins origins = origins_of(lfirst(cell), 0);

		if (!origins.outer && !origins.beyond)
			own = lappend(own, lfirst(cell));
		else if (!add_correlation(derived, lfirst(cell)))
			return false;
	}
	from->quals = own == NIL ? NULL : (Node *) make_ands_explicit(own);
	return derived->quals != NIL;
}

static bool
is_safe(TessDerived *derived)
{
	Origins origins = origins_of((Node *) derived->query, -1);
	ListCell *cell;

	if (origins.outer || origins.beyond ||
		contain_volatile_functions((Node *) derived->query) ||
		!tess_never_fails((Node *) derived->query))
		return false;
	/* these are computed for more rows, or sooner, than they were */
	foreach(cell, derived->quals)
		if (!tess_never_fails(lfirst(cell)) ||
			contain_volatile_functions(lfirst(cell)))
			return false;
	return true;
}

/* See derived.h. */
Node *
tess_derive(const SubLink *sublink, Index rti, TessDerived **result)
{
	TessDerived *derived;
	Query *inner;
	Node *value;

	if (sublink->subLinkType != EXPR_SUBLINK)
		return NULL;
	inner = castNode(Query, sublink->subselect);
	if (!is_plain_aggregate(inner) || !tess_reads_distributed((Node *) inner))
		return NULL;

	derived = palloc0(sizeof(TessDerived));
	derived->query = copyObject(inner);
	derived->query->targetList = NIL;
	derived->query->sortClause = NIL; /* of one row */
	derived->rti = rti;
	value = (Node *) linitial_node(TargetEntry, inner->targetList)->expr;
	if (contain_volatile_functions(value))
		return NULL;
	value = value_mutator(value, derived);
	if (derived->fails || derived->query->targetList == NIL ||
		!part_conditions(derived) || !is_safe(derived))
		return NULL;

	IncrementVarSublevelsUp(value, -1, 1);
	IncrementVarSublevelsUp((Node *) derived->quals, -1, 1);
	*result = derived;
	return value;
}
