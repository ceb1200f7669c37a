/*
 * bind.c - what is computed on the coordinator, once per execution, and sent
 * as a parameter: parameters of the statement, values of outer query levels,
 * stable functions (now(), current_user), and immutable ones that nodes do not
 * know; for a change that is computed here, subqueries without rows of its
 * target; and in a change that is sent, volatile functions (nextval()) in the
 * rows of VALUES that it inserts, which PostgreSQL computes once, too.
 *
 * Only what does not depend on rows is replaced, and of that the largest
 * parts; the rest is for travel.c to judge.  Literals stay literals: a constant
 * is often part of what an expression is (a length, a field to extract); but for
 * those that name objects, which nodes would look for.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "fragment/fragment_internal.h"

/* Of nodes that stand for a parameter already: no place in a statement. */
#define BOUND_LOCATION (-2)

static Node *bind_mutator(Node *node, TessBindings *bindings);

/* Of a subquery at the level of the statement: has it one value per
 * execution? */
bool
tess_is_row_independent_subquery(SubLink *sublink)
{
	return !contain_var_clause(sublink->testexpr) &&
		   !checkExprHasSubLink(sublink->testexpr) &&
		   !contain_vars_of_level(sublink->subselect, 1) &&
		   !contain_volatile_functions((Node *) sublink);
}

/* A value of a subquery for several columns that is run here. */
static bool
is_of_row_subquery(const TessBindings *bindings, const Param *param)
{
	ListCell *cell;

	if (bindings == NULL || param->paramkind != PARAM_MULTIEXPR)
		return false;
	foreach(cell, bindings->row_subqueries)
	{
		SubLink *sublink = (SubLink *) lfirst_node(TargetEntry, cell)->expr;

		if (sublink->subLinkId == param->paramid >> 16)
			return true;
	}
	return false;
}

/* bindings: NULL where no subquery is run here. */
static bool
depends_on_rows_walker(Node *node, const TessBindings *bindings)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_PlaceHolderVar:
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
		case T_CurrentOfExpr:
		case T_Query:
			return true;
		case T_SubLink:
			return bindings == NULL || !bindings->runs_subqueries ||
				   !tess_is_row_independent_subquery((SubLink *) node);
		case T_Param:
			return ((Param *) node)->paramkind != PARAM_EXTERN &&
				   ((Param *) node)->paramkind != PARAM_EXEC &&
				   !is_of_row_subquery(bindings, (Param *) node);
		default:
			return expression_tree_walker(node, depends_on_rows_walker,
										  (void *) bindings);
	}
}

static bool
has_one_value(const TessBindings *bindings, Node *node)
{
	return !depends_on_rows_walker(node, bindings) &&
		   !expression_returns_set(node) && !contain_volatile_functions(node);
}

/* No rows, no aggregates, nothing volatile: has one value per execution. */
bool
tess_is_row_independent(Node *node)
{
	return has_one_value(NULL, node);
}

/* See fragment.h. */
Param *
tess_make_param(Oid type, int number)
{
	Param *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = type;
	param->paramtypmod = -1;
	param->paramcollid = get_typcollation(type);
	param->location = -1;
	return param;
}

/* The parameter of that number, which stands for an expression. */
static Node *
param_for(Node *expr, int number)
{
	Oid collation = exprCollation(expr);
	Param *param = tess_make_param(exprType(expr), number);

	/* read back, $n has its type's collation: say which one it had */
	if (OidIsValid(collation) && collation != param->paramcollid)
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) param;
		collate->collOid = collation;
		collate->location = -1;
		return (Node *) collate;
	}
	return (Node *) param;
}

/* A parameter for an expression with one value: the same for equal ones. */
static Node *
make_param(TessBindings *bindings, Node *expr)
{
	ListCell *cell;

	foreach(cell, bindings->exprs)
		if (equal(lfirst(cell), expr))
			return param_for(expr, foreach_current_index(cell) + 1);
	bindings->exprs = lappend(bindings->exprs, copyObject(expr));
	return param_for(expr, list_length(bindings->exprs));
}

/* See fragment.h. */
bool
tess_function_is_in_c(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool result = HeapTupleIsValid(tuple) &&
				  ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* For check_functions_in_node: it may read what the statement has written. */
static bool
may_read_tables(Oid function, void *context)
{
	return function >= FirstNormalObjectId && !tess_function_is_in_c(function);
}

static bool
reads_tables_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, may_read_tables, NULL) ||
		   expression_tree_walker(node, reads_tables_walker, context);
}

/* True for what is another value in each row, and computed without it. */
static bool
is_made_up(const TessBindings *bindings, Node *value)
{
	return contain_volatile_functions(value) &&
		   !reads_tables_walker(value, NULL) &&
		   !depends_on_rows_walker(value, NULL) &&
		   !expression_returns_set(value) &&
		   tess_type_travels(bindings->travel, exprType(value));
}

/* A value of a row that is inserted once: a parameter if it is volatile. */
static Node *
bind_inserted(TessBindings *bindings, Node *value)
{
	if (!is_made_up(bindings, value))
		return value;
	/* never the same as another one */
	bindings->exprs = lappend(bindings->exprs, copyObject(value));
	value = param_for(value, list_length(bindings->exprs));
	if (IsA(value, CollateExpr))
		((CollateExpr *) value)->location = BOUND_LOCATION;
	else
		castNode(Param, value)->location = BOUND_LOCATION;
	return value;
}

/* True for what bind_inserted made. */
static bool
is_bound(Node *node)
{
	return (IsA(node, Param) && ((Param *) node)->location == BOUND_LOCATION) ||
		   (IsA(node, CollateExpr) &&
			((CollateExpr *) node)->location == BOUND_LOCATION);
}

/* Defaults that are to be computed for each row become columns of VALUES: the
 * expressions, for all rows yet. */
static void
add_defaults(TessBindings *bindings, List *target_list, int varno,
			 RangeTblEntry *values)
{
	ListCell *cell;
	ListCell *row;

	foreach(cell, target_list)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);
		Node *value = (Node *) tle->expr;
		int count = list_length(values->coltypes) + 1;

		if (!is_made_up(bindings, value))
			continue;
		foreach(row, values->values_lists)
			lfirst(row) = lappend(lfirst_node(List, row), copyObject(value));
		values->coltypes = lappend_oid(values->coltypes, exprType(value));
		values->coltypmods = lappend_int(values->coltypmods, exprTypmod(value));
		values->colcollations = lappend_oid(values->colcollations,
											exprCollation(value));
		values->eref->colnames = lappend(values->eref->colnames,
										 makeString(psprintf("column%d", count)));
		tle->expr = (Expr *) makeVar(varno, count, exprType(value),
									 exprTypmod(value), exprCollation(value), 0);
	}
}

/* The rows of VALUES that an INSERT has, in their order; in place. */
static void
bind_rows(TessBindings *bindings, Query *query)
{
	ListCell *cell;
	ListCell *row;
	Node *source;
	RangeTblEntry *rte;

	if (query->jointree->quals != NULL)
		return;
	if (query->jointree->fromlist == NIL)
		foreach(cell, query->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, cell);

			tle->expr = (Expr *) bind_inserted(bindings, (Node *) tle->expr);
		}
	if (list_length(query->jointree->fromlist) != 1)
		return;
	source = linitial(query->jointree->fromlist);
	if (!IsA(source, RangeTblRef))
		return;
	rte = rt_fetch(((RangeTblRef *) source)->rtindex, query->rtable);
	if (rte->rtekind != RTE_VALUES)
		return;
	add_defaults(bindings, query->targetList, ((RangeTblRef *) source)->rtindex,
				 rte);
	foreach(row, rte->values_lists)
		foreach(cell, lfirst_node(List, row))
			lfirst(cell) = bind_inserted(bindings, lfirst(cell));
}

/* Kinds of nodes that are expressions and may stand for themselves. */
static bool
is_replaceable(Node *node)
{
	switch (nodeTag(node))
	{
		case T_Param:
		case T_SubLink:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_BoolExpr:
		case T_SubscriptingRef:
		case T_FieldSelect:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CollateExpr:
		case T_CaseExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_RowCompareExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_SQLValueFunction:
		case T_NullTest:
		case T_BooleanTest:
		case T_CoerceToDomain:
			return true;
		default:
			return false;
	}
}

/* True if it may be evaluated though nothing may need its value. */
static bool
cannot_fail(Node *node)
{
	return IsA(node, Param) || IsA(node, Const) || IsA(node, SQLValueFunction) ||
		   (IsA(node, FuncExpr) && ((FuncExpr *) node)->args == NIL &&
			((FuncExpr *) node)->funcid < FirstNormalObjectId);
}

static bool
must_bind(const TessBindings *bindings, Node *node)
{
	/* a literal of an object: a node would read the name */
	if (IsA(node, Const))
		return !((Const *) node)->constisnull &&
			   tess_type_is_number(((Const *) node)->consttype);
	return is_replaceable(node) &&
		   tess_type_travels(bindings->travel, exprType(node)) &&
		   has_one_value(bindings, node) &&
		   (IsA(node, Param) || !tess_travels(bindings->travel, node));
}

static Node *
bind_mutator(Node *node, TessBindings *bindings)
{
	bool was_in_branch = bindings->in_branch;
	Node *result;

	if (node == NULL)
		return NULL;
	if (is_bound(node))
		return copyObject(node);
	if (IsA(node, Query))
	{
		bool ran_subqueries = bindings->runs_subqueries;

		/* whole, before any part of what is computed here is bound */
		if (((Query *) node)->commandType == CMD_INSERT)
		{
			node = copyObject(node);
			bind_rows(bindings, (Query *) node);
		}

		/* what is in it is not at the level of the statement */
		bindings->runs_subqueries = false;
		result = (Node *) query_tree_mutator((Query *) node, bind_mutator,
											 bindings, 0);
		bindings->runs_subqueries = ran_subqueries;
		return result;
	}
	if (must_bind(bindings, node))
	{
		/*
		 * An error in a branch of CASE is none where the branch is not taken.
		 * Left as it is the expression does not travel; nor may its parts be
		 * bound, because a node would fold what is around them.
		 */
		if (bindings->in_branch && !cannot_fail(node))
			return copyObject(node);
		return make_param(bindings, node);
	}
	if (IsA(node, CaseExpr) || IsA(node, CoalesceExpr))
		bindings->in_branch = true;
	result = expression_tree_mutator(node, bind_mutator, bindings);
	bindings->in_branch = was_in_branch;
	return result;
}

/* A copy of node (an expression, list or Query) in which all that does not
 * depend on rows and may not travel as it is has become a parameter. */
Node *
tess_bind(TessBindings *bindings, Node *node)
{
	return bind_mutator(node, bindings);
}

/* OIDs of the types of the parameters, in order. */
List *
tess_binding_types(const TessBindings *bindings)
{
	List *types = NIL;
	ListCell *cell;

	foreach(cell, bindings->exprs)
		types = lappend_oid(types, exprType(lfirst(cell)));
	return types;
}
