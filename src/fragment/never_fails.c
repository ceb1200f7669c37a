/*
 * never_fails.c - may an expression be evaluated for rows that nobody asked
 * for?
 *
 * Only if it cannot raise an error for any of them.  What PostgreSQL calls
 * leakproof cannot; so neither can what is listed here.  Accepted is that a sum
 * overflows over rows that PostgreSQL would not have summed up: numeric, which
 * most sums are made of, has room for 131,072 digits.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_oper.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "fragment/fragment_internal.h"

/* Not leakproof only because their time or size tells of their arguments. */
static const Oid safe_functions[] = {
	F_NUMERIC_ADD,	F_NUMERIC_SUB,			 F_NUMERIC_MUL,
	F_NUMERIC_ABS,	F_NUMERIC_UMINUS,		 F_TEXT_BPCHAR,
	F_NOW,			F_TRANSACTION_TIMESTAMP, F_STATEMENT_TIMESTAMP,
	F_CURRENT_USER, F_SESSION_USER,
};

/* Of built-in aggregates, by name: those that give NULL over no rows, and fail
 * at most by overflow if their arguments' type can be compared safely. */
static const char *const safe_aggregates[] = {
	"sum",		  "avg",		 "min",		 "max",		"stddev",
	"stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp",
	"bool_and",	  "bool_or",	 "every",	 "bit_and", "bit_or",
	"array_agg",  "string_agg",
};

static bool
function_fails(Oid function)
{
	for (int i = 0; i < lengthof(safe_functions); i++)
		if (safe_functions[i] == function)
			return false;
	return !get_func_leakproof(function);
}

/* Comparisons of these types are not leakproof, but do not fail either; those
 * of arrays and rows may, over what they contain. */
static bool
type_compares_safely(Oid type)
{
	switch (type)
	{
		case NUMERICOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case ANYENUMOID:
			return true;
		default:
			return false;
	}
}

static bool
operator_fails(Oid operator)
{
	Oid left;
	Oid right;

	if (!function_fails(get_opcode(operator)))
		return false;
	op_input_types(operator, & left, &right);
	return get_op_btree_interpretation(operator) == NIL ||
		   !type_compares_safely(left) || !type_compares_safely(right);
}

static bool
comparison_fails(Oid type)
{
	Oid less;

	get_sort_group_operators(type, false, false, false, &less, NULL, NULL, NULL);
	return !OidIsValid(less) || operator_fails(less);
}

/* Text without a collation to compare it by is an error at execution. */
static bool
lacks_collation(Node *node, List *args)
{
	return !OidIsValid(exprInputCollation(node)) && args != NIL &&
		   type_is_collatable(exprType(linitial(args)));
}

/* True if a call gives NULL over no rows. */
static bool
aggregate_is_safe(const Aggref *aggref)
{
	const char *name = get_func_name(aggref->aggfnoid);

	if (aggref->aggfnoid >= FirstNormalObjectId ||
		aggref->aggkind != AGGKIND_NORMAL || aggref->agglevelsup > 0)
		return false;
	for (int i = 0; i < lengthof(safe_aggregates); i++)
		if (strcmp(name, safe_aggregates[i]) == 0)
			return true;
	return false;
}

/* What an aggregate gives over no rows, if that is known, and if it fails for
 * no rows but by overflow; its arguments are not looked at. */
TessOverNoRows
tess_aggregate_over_no_rows(const Aggref *aggref)
{
	ListCell *cell;

	if (aggref->aggfnoid == F_COUNT_ || aggref->aggfnoid == F_COUNT_ANY)
		return TESS_ZERO_OVER_NO_ROWS;
	if (!aggregate_is_safe(aggref))
		return TESS_UNKNOWN_OVER_NO_ROWS;
	foreach(cell, aggref->aggargtypes)
		if (comparison_fails(lfirst_oid(cell)))
			return TESS_UNKNOWN_OVER_NO_ROWS;
	return TESS_NULL_OVER_NO_ROWS;
}

static bool
has_param_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, Param) || IsA(node, SubLink) ||
		   expression_tree_walker(node, has_param_walker, context);
}

/* Constants are computed by core while it plans, wherever they stand. */
static bool
is_computed_while_planned(Node *node)
{
	return tess_is_row_independent(node) && !contain_mutable_functions(node) &&
		   !has_param_walker(node, NULL);
}

static bool
operation_fails(Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			return operator_fails(((OpExpr *) node)->opno) ||
				   lacks_collation(node, ((OpExpr *) node)->args);
		case T_ScalarArrayOpExpr:
			return operator_fails(((ScalarArrayOpExpr *) node)->opno) ||
				   lacks_collation(node, ((ScalarArrayOpExpr *) node)->args);
		case T_FuncExpr:
			return function_fails(((FuncExpr *) node)->funcid) ||
				   ((FuncExpr *) node)->funcretset;
		case T_MinMaxExpr:
			return comparison_fails(((MinMaxExpr *) node)->minmaxtype) ||
				   lacks_collation(node, ((MinMaxExpr *) node)->args);
		case T_Aggref:
			return tess_aggregate_over_no_rows((Aggref *) node) ==
				   TESS_UNKNOWN_OVER_NO_ROWS;
		case T_SortGroupClause:
			return operator_fails(((SortGroupClause *) node)->eqop) ||
				   (OidIsValid(((SortGroupClause *) node)->sortop) &&
					operator_fails(((SortGroupClause *) node)->sortop));
		case T_RangeTblEntry:
			return ((RangeTblEntry *) node)->tablesample != NULL;
		default:
			return false;
	}
}

static bool
fails_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		return query->commandType != CMD_SELECT || query->rowMarks != NIL ||
			   query_tree_walker(query, fails_walker, context,
								 QTW_EXAMINE_RTES_BEFORE | QTW_EXAMINE_SORTGROUP |
									 QTW_IGNORE_JOINALIASES);
	}
	if (IsA(node, RangeTblEntry)) /* what it contains is walked over anyway */
		return operation_fails(node);

	switch (nodeTag(node))
	{
		case T_List:
		case T_IntList:
		case T_OidList:
		case T_TargetEntry:
		case T_RangeTblRef:
		case T_JoinExpr:
		case T_FromExpr:
		case T_SetOperationStmt:
		case T_CommonTableExpr:
		case T_CaseWhen:
		case T_Var:
		case T_Const:
		case T_Param:
		case T_BoolExpr:
		case T_RelabelType:
		case T_CollateExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_ArrayExpr:
		case T_CoalesceExpr:
		case T_NullTest:
		case T_BooleanTest:
			return expression_tree_walker(node, fails_walker, context);

		case T_OpExpr:
		case T_FuncExpr:
			if (is_computed_while_planned(node))
				return false;
			/* FALLTHROUGH */
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_MinMaxExpr:
		case T_Aggref:
		case T_SortGroupClause:
			return operation_fails(node) ||
				   expression_tree_walker(node, fails_walker, context);

		default:
			return true;
	}
}

/* True if an expression (or Query) cannot raise an error for any rows, but for
 * overflows of aggregates. */
bool
tess_never_fails(Node *node)
{
	return !fails_walker(node, NULL);
}
