/*
 * asked_rows.c - UPDATE and DELETE of rows that another query names by ctid:
 * these are found first, and only they are read, and locked.
 *
 *   DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE ... LIMIT 1000)
 *   DELETE FROM t USING rows WHERE t.ctid = rows.ctid     (a subquery, or WITH)
 *
 * As a join the change would lock all rows that the rest of the condition
 * passes before it knows which ones join.  So they get one more condition,
 * ctid = ANY (ARRAY(...)), which is a parameter of the scan.  What the other
 * query gives stays what it is: it is run once.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"

#include "plan/plan_internal.h"

static bool
is_target_ctid(const Query *query, const Node *expr)
{
	const Var *var = (const Var *) expr;

	return IsA(var, Var) && var->varno == query->resultRelation &&
		   var->varlevelsup == 0 &&
		   var->varattno == SelfItemPointerAttributeNumber;
}

/* ctid = ANY (ARRAY(subselect)) */
static Node *
in_array(const Query *query, Query *subselect)
{
	ScalarArrayOpExpr *condition = makeNode(ScalarArrayOpExpr);
	SubLink *array = makeNode(SubLink);

	array->subLinkType = ARRAY_SUBLINK;
	array->subselect = (Node *) subselect;
	array->location = -1;
	condition->opno = TIDEqualOperator;
	condition->opfuncid = F_TIDEQ;
	condition->useOr = true;
	condition->args = list_make2(makeVar(query->resultRelation,
										 SelfItemPointerAttributeNumber, TIDOID,
										 -1, InvalidOid, 0),
								 array);
	condition->location = -1;
	return (Node *) condition;
}

/* The same for ctid IN (SELECT ...) that has the same rows for all of the
 * target's; NULL for any other condition. */
static Node *
of_sublink(const Query *query, const Node *qual)
{
	const SubLink *sublink = (const SubLink *) qual;
	Node *test;

	if (!IsA(qual, SubLink) || sublink->subLinkType != ANY_SUBLINK)
		return NULL;
	test = sublink->testexpr;
	if (test == NULL || !IsA(test, OpExpr) ||
		((OpExpr *) test)->opno != TIDEqualOperator ||
		!is_target_ctid(query, get_leftop(test)) ||
		!IsA(get_rightop(test), Param) ||
		contain_vars_of_level(sublink->subselect, 1))
		return NULL;
	return in_array(query, castNode(Query, sublink->subselect));
}

/* A subquery in FROM that others may read as well: one of WITH. */
static void
move_to_with(Query *query, RangeTblEntry *rte)
{
	CommonTableExpr *cte = makeNode(CommonTableExpr);
	ListCell *cell;

	cte->ctename = psprintf("asked rows %d", list_length(query->cteList) + 1);
	cte->ctematerialized = CTEMaterializeAlways;
	cte->ctequery = (Node *) rte->subquery;
	cte->location = -1;
	cte->cterefcount = 1;
	foreach(cell, rte->subquery->targetList)
	{
		const TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node *expr = (Node *) entry->expr;

		if (entry->resjunk)
			continue;
		cte->ctecolnames = lappend(cte->ctecolnames,
								   makeString(pstrdup(entry->resname)));
		cte->ctecoltypes = lappend_oid(cte->ctecoltypes, exprType(expr));
		cte->ctecoltypmods = lappend_int(cte->ctecoltypmods, exprTypmod(expr));
		cte->ctecolcollations = lappend_oid(cte->ctecolcollations,
											exprCollation(expr));
	}
	query->cteList = lappend(query->cteList, cte);

	rte->rtekind = RTE_CTE;
	rte->subquery = NULL;
	rte->ctename = cte->ctename;
	rte->coltypes = cte->ctecoltypes;
	rte->coltypmods = cte->ctecoltypmods;
	rte->colcollations = cte->ctecolcollations;
}

/* The SELECT of WITH that an entry of FROM is, or can become; NULL: none. */
static CommonTableExpr *
with_query(Query *query, RangeTblEntry *rte)
{
	ListCell *cell;

	if (rte->rtekind == RTE_SUBQUERY && !rte->lateral && !rte->security_barrier &&
		!contain_vars_of_level((Node *) rte->subquery, 1))
		move_to_with(query, rte);
	if (rte->rtekind != RTE_CTE || rte->ctelevelsup > 0)
		return NULL;
	foreach(cell, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return !cte->cterecursive && IsA(cte->ctequery, Query) &&
						   ((Query *) cte->ctequery)->commandType == CMD_SELECT
					   ? cte
					   : NULL;
	}
	return NULL;
}

/* SELECT column FROM the query of WITH */
static Query *
select_column(const RangeTblEntry *rte, AttrNumber attno)
{
	Query *query = makeNode(Query);
	RangeTblEntry *copy = copyObject((RangeTblEntry *) rte);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Var *column = makeVar(1, attno, TIDOID, -1, InvalidOid, 0);

	copy->ctelevelsup = 1;
	copy->inFromCl = true;
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = list_make1(copy);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = list_make1(
		makeTargetEntry((Expr *) column, 1, pstrdup("ctid"), false));
	return query;
}

/* True if an entry is joined with the others by an inner join. */
static bool
is_inner(const Query *query, int rti)
{
	ListCell *cell;

	foreach(cell, query->jointree->fromlist)
	{
		const RangeTblRef *ref = lfirst(cell);

		if (IsA(ref, RangeTblRef) && ref->rtindex == rti)
			return true;
	}
	return false;
}

/* The condition for ctid = column of a query in FROM; NULL for any other. */
static Node *
of_join(Query *query, Node *qual)
{
	Node *other;
	const Var *var;
	RangeTblEntry *rte;
	CommonTableExpr *cte;

	if (!IsA(qual, OpExpr) || ((OpExpr *) qual)->opno != TIDEqualOperator)
		return NULL;
	if (is_target_ctid(query, get_leftop(qual)))
		other = get_rightop(qual);
	else if (is_target_ctid(query, get_rightop(qual)))
		other = get_leftop(qual);
	else
		return NULL;
	var = (const Var *) other;
	if (!IsA(var, Var) || var->varlevelsup > 0 || var->varattno <= 0 ||
		!is_inner(query, var->varno))
		return NULL;
	rte = rt_fetch(var->varno, query->rtable);
	cte = with_query(query, rte);
	if (cte == NULL)
		return NULL;
	/* read twice, so not inlined: it is computed once */
	cte->cterefcount++;
	query->hasSubLinks = true;
	return in_array(query, select_column(rte, var->varattno));
}

/* Adds what is known of the rows that an UPDATE or DELETE finds to its
 * conditions; in place. */
void
tess_ask_for_rows(Query *query)
{
	List *quals = make_ands_implicit((Expr *) query->jointree->quals);
	List *more = NIL;
	ListCell *cell;

	foreach(cell, quals)
	{
		Node *asked = of_sublink(query, lfirst(cell));

		if (asked != NULL)
			lfirst(cell) = asked;
		else if ((asked = of_join(query, lfirst(cell))) != NULL)
			more = lappend(more, asked);
	}
	query->jointree->quals = (Node *) make_ands_explicit(list_concat(quals, more));
}
