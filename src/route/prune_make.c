/*
 * prune_make.c - from conditions of a query to a prune expression.
 *
 * What is not understood says nothing, which leaves more shards than needed
 * but never too few.
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "route/route.h"
#include "utils/lsyscache.h"

typedef struct PruneContext
{
	Index varno;
	const TessTable *table;
} PruneContext;

static Expr *make_prune(PruneContext *context, Node *clause);

/* What a shard cannot be chosen by: it has no value before rows are read. */
static bool
depends_on_rows(Node *node, void *unused)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_PlaceHolderVar:
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_CurrentOfExpr:
		case T_SetToDefault:
			return true;
		case T_Param:
			return ((Param *) node)->paramkind != PARAM_EXTERN &&
				   ((Param *) node)->paramkind != PARAM_EXEC;
		default:
			return expression_tree_walker(node, depends_on_rows, unused);
	}
}

static bool
is_comparand(Node *node)
{
	return !depends_on_rows(node, NULL) && !contain_volatile_functions(node);
}

/*
 * The key itself, perhaps under another name of its type or with a collation:
 * what that changes shows in the operator.
 */
static bool
is_key(PruneContext *context, Node *node)
{
	Var *var;

	for (;;)
	{
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CollateExpr))
			node = (Node *) ((CollateExpr *) node)->arg;
		else
			break;
	}
	var = (Var *) node;
	return IsA(node, Var) && var->varno == context->varno &&
		   var->varattno == context->table->key_attnum && var->varlevelsup == 0;
}

static Expr *
make_key(PruneContext *context)
{
	CaseTestExpr *key = makeNode(CaseTestExpr);

	key->typeId = context->table->key_type;
	key->typeMod = context->table->key_typmod;
	key->collation = context->table->key_collation;
	return (Expr *) key;
}

static Expr *
make_nothing(void)
{
	return (Expr *) makeBoolConst(false, false);
}

/* key = comparand, comparand = key */
static Expr *
make_equality(PruneContext *context, OpExpr *op)
{
	const TessTable *table = context->table;
	Node *left;
	Node *right;
	Node *comparand;
	bool left_is_key;
	Oid other_type;
	OpExpr *prune;

	if (list_length(op->args) != 2)
		return NULL;
	left = linitial(op->args);
	right = lsecond(op->args);
	left_is_key = is_key(context, left);
	if (!left_is_key && !is_key(context, right))
		return NULL;
	comparand = left_is_key ? right : left;
	if (!is_comparand(comparand) ||
		!tess_route_is_key_equality(table, op->opno, op->inputcollid,
									left_is_key, &other_type) ||
		!tess_route_type_is_compatible(&table->group->hasher, exprType(comparand)))
		return NULL;

	prune = copyObject(op);
	if (left_is_key)
		linitial(prune->args) = make_key(context);
	else
		lsecond(prune->args) = make_key(context);
	return (Expr *) prune;
}

/* key = ANY (array) */
static Expr *
make_any(PruneContext *context, ScalarArrayOpExpr *op)
{
	const TessTable *table = context->table;
	Node *array = lsecond(op->args);
	Oid element_type;
	Oid other_type;
	ScalarArrayOpExpr *prune;

	if (!op->useOr || !is_key(context, linitial(op->args)) ||
		!is_comparand(array))
		return NULL;
	element_type = get_element_type(getBaseType(exprType(array)));
	if (!OidIsValid(element_type) ||
		!tess_route_is_key_equality(table, op->opno, op->inputcollid, true,
									&other_type) ||
		!tess_route_type_is_compatible(&table->group->hasher, element_type))
		return NULL;

	prune = copyObject(op);
	linitial(prune->args) = make_key(context);
	return (Expr *) prune;
}

/* A boolean key is a condition by itself. */
static Expr *
make_boolean(PruneContext *context, bool value)
{
	Expr *comparison;

	comparison = make_opclause(BooleanEqualOperator, BOOLOID, false,
							   make_key(context),
							   (Expr *) makeBoolConst(value, false), InvalidOid,
							   InvalidOid);
	return comparison;
}

/* All arms of an OR must say something; of an AND, some. */
static Expr *
make_arms(PruneContext *context, List *arms, BoolExprType kind)
{
	List *pruned = NIL;
	ListCell *cell;

	foreach(cell, arms)
	{
		Expr *arm = make_prune(context, lfirst(cell));

		if (arm != NULL)
			pruned = lappend(pruned, arm);
		else if (kind == OR_EXPR)
			return NULL;
	}
	if (pruned == NIL)
		return kind == OR_EXPR ? make_nothing() : NULL;
	if (list_length(pruned) == 1)
		return linitial(pruned);
	return makeBoolExpr(kind, pruned, -1);
}

static Expr *
make_bool_expr(PruneContext *context, BoolExpr *expr)
{
	if (expr->boolop != NOT_EXPR)
		return make_arms(context, expr->args, expr->boolop);
	if (is_key(context, linitial(expr->args)))
		return make_boolean(context, false);
	return NULL;
}

static Expr *
make_null_test(PruneContext *context, NullTest *test)
{
	NullTest *prune;

	/* A row of NULLs "is null" as well, and is another value. */
	if (test->nulltesttype != IS_NULL || test->argisrow ||
		type_is_rowtype(context->table->key_type) ||
		!is_key(context, (Node *) test->arg))
		return NULL;
	prune = copyObject(test);
	prune->arg = make_key(context);
	return (Expr *) prune;
}

/* What a condition says about the key, NULL if nothing. */
static Expr *
make_prune(PruneContext *context, Node *clause)
{
	if (clause == NULL)
		return NULL;
	switch (nodeTag(clause))
	{
		case T_RestrictInfo:
			return make_prune(context,
							  (Node *) ((RestrictInfo *) clause)->clause);
		case T_List:
			return make_arms(context, (List *) clause, AND_EXPR);
		case T_BoolExpr:
			return make_bool_expr(context, (BoolExpr *) clause);
		case T_OpExpr:
			return make_equality(context, (OpExpr *) clause);
		case T_ScalarArrayOpExpr:
			return make_any(context, (ScalarArrayOpExpr *) clause);
		case T_NullTest:
			return make_null_test(context, (NullTest *) clause);
		case T_Const:
			if (((Const *) clause)->constisnull ||
				!DatumGetBool(((Const *) clause)->constvalue))
				return make_nothing();
			return NULL;
		case T_Var:
			/* as a condition it is boolean */
			return is_key(context, clause) ? make_boolean(context, true) : NULL;
		default:
			return NULL;
	}
}

Expr *
tess_prune_make(List *clauses, Index varno, const TessTable *table)
{
	PruneContext context = {varno, table};

	if (table->kind != TESS_DISTRIBUTED)
		return NULL;
	return make_arms(&context, clauses, AND_EXPR);
}
