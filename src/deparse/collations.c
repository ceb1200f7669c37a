/*
 * collations.c - says in a query by which collation it compares, where its
 * text would be read as another one.
 *
 * COLLATE is gone from constants that were folded and from what has become a
 * parameter, and both are printed without the collation that is their type's.
 * Beside a column of another collation the reader would take the column's.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "deparse/deparse_internal.h"

/* True if a reader of the operands finds the collation by himself: COLLATE
 * first, then the only one that is not the default. */
static bool
says_collation(const List *operands, Oid collation)
{
	Oid found = InvalidOid;
	ListCell *cell;

	foreach(cell, operands)
	{
		Node *operand = lfirst(cell);
		Oid own = exprCollation(operand);

		if (IsA(operand, CollateExpr))
			return true;
		if (!OidIsValid(own) || own == found)
			continue;
		if (OidIsValid(found) && found != DEFAULT_COLLATION_OID)
		{
			if (own != DEFAULT_COLLATION_OID)
				return false;
			continue;
		}
		found = own;
	}
	return !OidIsValid(found) || found == collation;
}

static Node *
collate(Node *operand, Oid collation)
{
	CollateExpr *collate = makeNode(CollateExpr);

	collate->arg = (Expr *) operand;
	collate->collOid = collation;
	collate->location = -1;
	return (Node *) collate;
}

/* Puts COLLATE to the last operand that can have it. */
static void
say_collation(List *operands, Oid collation)
{
	if (!OidIsValid(collation) || says_collation(operands, collation))
		return;
	for (int i = list_length(operands) - 1; i >= 0; i--)
	{
		ListCell *cell = list_nth_cell(operands, i);
		Node *operand = lfirst(cell);

		/* not printed */
		if (IsA(operand, CaseTestExpr) || !OidIsValid(exprCollation(operand)))
			continue;
		lfirst(cell) = collate(operand, collation);
		return;
	}
}

/* The operands of one comparison of rows. */
static void
say_collations_of_rows(RowCompareExpr *rows)
{
	ListCell *left;
	ListCell *right;
	ListCell *collation;

	forthree(left, rows->largs, right, rows->rargs, collation, rows->inputcollids)
	{
		List *pair = list_make2(lfirst(left), lfirst(right));

		say_collation(pair, lfirst_oid(collation));
		lfirst(left) = linitial(pair);
		lfirst(right) = lsecond(pair);
	}
}

/* The results of CASE: one of them says it. */
static void
say_collation_of_case(CaseExpr *expr)
{
	List *results = NIL;
	ListCell *cell;

	foreach(cell, expr->args)
		results = lappend(results, lfirst_node(CaseWhen, cell)->result);
	results = lappend(results, expr->defresult);
	say_collation(results, expr->casecollid);
	foreach(cell, expr->args)
		lfirst_node(CaseWhen, cell)->result = list_nth(results,
													   foreach_current_index(
														   cell));
	expr->defresult = llast(results);
}

/*
 * The node's own operands; the walker comes to those inside.  Aggregates are
 * left alone: their arguments are what they sort by as well.
 */
void
tess_say_collation(Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			say_collation(((OpExpr *) node)->args,
						  ((OpExpr *) node)->inputcollid);
			break;
		case T_ScalarArrayOpExpr:
			say_collation(((ScalarArrayOpExpr *) node)->args,
						  ((ScalarArrayOpExpr *) node)->inputcollid);
			break;
		case T_FuncExpr:
			say_collation(((FuncExpr *) node)->args,
						  ((FuncExpr *) node)->inputcollid);
			break;
		case T_MinMaxExpr:
			say_collation(((MinMaxExpr *) node)->args,
						  ((MinMaxExpr *) node)->inputcollid);
			break;
		case T_CoalesceExpr:
			say_collation(((CoalesceExpr *) node)->args,
						  ((CoalesceExpr *) node)->coalescecollid);
			break;
		case T_ArrayExpr:
			say_collation(((ArrayExpr *) node)->elements,
						  ((ArrayExpr *) node)->array_collid);
			break;
		case T_RowCompareExpr:
			say_collations_of_rows((RowCompareExpr *) node);
			break;
		case T_CaseExpr:
			say_collation_of_case((CaseExpr *) node);
			break;
		default:
			break;
	}
}
