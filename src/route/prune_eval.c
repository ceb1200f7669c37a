/*
 * prune_eval.c - from a prune expression to the shards that can hold rows for
 * which it is true: at execution, or as far as can be told while planning.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "route/route.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

typedef enum PruneKind
{
	PRUNE_ALL,	 /* says nothing */
	PRUNE_NONE,	 /* never true */
	PRUNE_NULL,	 /* key IS NULL */
	PRUNE_VALUE, /* key = comparand */
	PRUNE_ARRAY, /* key = ANY (comparand) */
	PRUNE_AND,
	PRUNE_OR
} PruneKind;

typedef struct PruneNode
{
	PruneKind kind;
	Oid value_type; /* of the comparand, or of its elements */
	Expr *comparand;
	ExprState *state; /* of the comparand, for execution */
	List *arms;		  /* of PruneNode, for AND and OR */
} PruneNode;

struct TessPruneState
{
	PruneNode *root;
};

/* The comparand's value, if it is to be had; false if it is not. */
typedef struct PruneValue
{
	Datum value;
	bool isnull;
} PruneValue;

/* Where values of comparands come from. */
typedef struct PruneSource
{
	const TessGroup *group;
	ExprContext *econtext; /* at execution */
	ParamListInfo params;  /* while planning */
	bool exact;			   /* every value is one execution will see */
} PruneSource;

/* the tree -------------------------------------------------------------- */

/* The argument that is not the key. */
static Expr *
other_argument(List *args)
{
	return IsA(linitial(args), CaseTestExpr) ? lsecond(args) : linitial(args);
}

static PruneNode *make_node(Expr *expr);

/*
 * AND, OR; and NOT of a boolean key, which is what constant folding makes of
 * "key = false".
 */
static void
fill_bool_node(PruneNode *node, BoolExpr *expr)
{
	ListCell *cell;

	if (expr->boolop == NOT_EXPR)
	{
		node->kind = IsA(linitial(expr->args), CaseTestExpr) ? PRUNE_VALUE
															 : PRUNE_ALL;
		node->comparand = (Expr *) makeBoolConst(false, false);
		node->value_type = BOOLOID;
		return;
	}
	node->kind = expr->boolop == AND_EXPR ? PRUNE_AND : PRUNE_OR;
	foreach(cell, expr->args)
		node->arms = lappend(node->arms, make_node(lfirst(cell)));
}

static PruneNode *
make_node(Expr *expr)
{
	PruneNode *node = palloc0(sizeof(PruneNode));

	switch (expr == NULL ? T_Invalid : nodeTag(expr))
	{
		case T_OpExpr:
			node->kind = PRUNE_VALUE;
			node->comparand = other_argument(((OpExpr *) expr)->args);
			node->value_type = exprType((Node *) node->comparand);
			break;
		case T_ScalarArrayOpExpr:
			node->kind = PRUNE_ARRAY;
			node->comparand = lsecond(((ScalarArrayOpExpr *) expr)->args);
			node->value_type = get_element_type(
				getBaseType(exprType((Node *) node->comparand)));
			break;
		case T_NullTest:
			node->kind = PRUNE_NULL;
			break;
		case T_Const:
			node->kind = !((Const *) expr)->constisnull &&
								 DatumGetBool(((Const *) expr)->constvalue)
							 ? PRUNE_ALL
							 : PRUNE_NONE;
			break;
		case T_BoolExpr:
			fill_bool_node(node, (BoolExpr *) expr);
			break;
		case T_CaseTestExpr:
			/* "key = true", folded */
			node->kind = PRUNE_VALUE;
			node->comparand = (Expr *) makeBoolConst(true, false);
			node->value_type = BOOLOID;
			break;
		default:
			node->kind = PRUNE_ALL;
			break;
	}
	return node;
}

static void
init_node(PruneNode *node, PlanState *parent)
{
	ListCell *cell;

	if (node->comparand != NULL)
		node->state = ExecInitExpr(node->comparand, parent);
	foreach(cell, node->arms)
		init_node(lfirst(cell), parent);
}

/* values ---------------------------------------------------------------- */

typedef struct BindContext
{
	ParamListInfo params;
	bool is_constant; /* all that was bound is fixed for the plan */
} BindContext;

/* Puts values of parameters in their places. */
static Node *
bind_params(Node *node, BindContext *context)
{
	Param *param = (Param *) node;
	ParamListInfo params = context->params;
	ParamExternData space;
	ParamExternData *bound;
	int16 length;
	bool by_value;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Param))
		return expression_tree_mutator(node, bind_params, context);
	if (param->paramkind != PARAM_EXTERN || params == NULL ||
		param->paramid <= 0 || param->paramid > params->numParams)
		return copyObject(node);

	bound = params->paramFetch != NULL
				? params->paramFetch(params, param->paramid, true, &space)
				: &params->params[param->paramid - 1];
	if (bound->ptype != param->paramtype)
		return copyObject(node);
	if (!(bound->pflags & PARAM_FLAG_CONST))
		context->is_constant = false;
	get_typlenbyval(param->paramtype, &length, &by_value);
	return (Node *) makeConst(param->paramtype, param->paramtypmod,
							  param->paramcollid, length,
							  bound->isnull
								  ? (Datum) 0
								  : datumCopy(bound->value, by_value, length),
							  bound->isnull, by_value);
}

/* While planning: only what immutable functions make of constants. */
static bool
estimate_value(PruneSource *source, const PruneNode *node, PruneValue *result)
{
	BindContext context = {source->params, true};
	Node *expr = (Node *) node->comparand;

	if (!IsA(expr, Const))
		expr = eval_const_expressions(NULL, bind_params(expr, &context));
	if (!IsA(expr, Const))
		return false;
	if (!context.is_constant)
		source->exact = false;
	result->value = ((Const *) expr)->constvalue;
	result->isnull = ((Const *) expr)->constisnull;
	return true;
}

static bool
get_value(PruneSource *source, const PruneNode *node, PruneValue *result)
{
	if (source->econtext != NULL)
	{
		result->value = ExecEvalExprSwitchContext(node->state, source->econtext,
												  &result->isnull);
		return true;
	}
	if (estimate_value(source, node, result))
		return true;
	source->exact = false;
	return false;
}

/* shards ---------------------------------------------------------------- */

static Bitmapset *
all_shards(const TessGroup *group)
{
	return bms_add_range(NULL, 0, group->shard_count - 1);
}

static Bitmapset *
shard_of(PruneSource *source, Datum value, bool isnull, Oid type)
{
	return bms_make_singleton(
		tess_route_value(source->group, value, isnull, type));
}

static Bitmapset *
shards_of_array(PruneSource *source, Datum array_value, Oid element_type)
{
	ArrayType *array = DatumGetArrayTypeP(array_value);
	Bitmapset *shards = NULL;
	ArrayIterator iterator = array_create_iterator(array, 0, NULL);
	Datum element;
	bool isnull;

	while (array_iterate(iterator, &element, &isnull))
		if (!isnull)
			shards = bms_add_member(shards,
									tess_route_value(source->group, element,
													 false, element_type));
	array_free_iterator(iterator);
	if ((Pointer) array != DatumGetPointer(array_value))
		pfree(array);
	return shards;
}

static Bitmapset *shards_of(PruneSource *source, const PruneNode *node);

static Bitmapset *
shards_of_arms(PruneSource *source, const PruneNode *node)
{
	Bitmapset *shards = NULL;
	ListCell *cell;

	foreach(cell, node->arms)
	{
		Bitmapset *arm = shards_of(source, lfirst(cell));

		if (foreach_current_index(cell) == 0)
			shards = arm;
		else if (node->kind == PRUNE_AND)
			shards = bms_int_members(shards, arm);
		else
			shards = bms_join(shards, arm);
	}
	return shards;
}

static Bitmapset *
shards_of(PruneSource *source, const PruneNode *node)
{
	PruneValue found;

	switch (node->kind)
	{
		case PRUNE_NONE:
			return NULL;
		case PRUNE_NULL:
			return shard_of(source, (Datum) 0, true, InvalidOid);
		case PRUNE_AND:
		case PRUNE_OR:
			return shards_of_arms(source, node);
		case PRUNE_VALUE:
		case PRUNE_ARRAY:
			if (!get_value(source, node, &found))
				break;
			/* Equality is strict: nothing equals NULL. */
			if (found.isnull)
				return NULL;
			if (node->kind == PRUNE_ARRAY)
				return shards_of_array(source, found.value, node->value_type);
			return shard_of(source, found.value, false, node->value_type);
		case PRUNE_ALL:
			break;
	}
	return all_shards(source->group);
}

TessPruneState *
tess_prune_init(Expr *expr, PlanState *parent)
{
	TessPruneState *state = palloc(sizeof(TessPruneState));

	state->root = make_node(expr);
	init_node(state->root, parent);
	return state;
}

Bitmapset *
tess_prune_eval(TessPruneState *state, ExprContext *econtext,
				const TessGroup *group)
{
	PruneSource source = {group, econtext, NULL, true};

	return shards_of(&source, state->root);
}

Bitmapset *
tess_prune_estimate(Expr *expr, ParamListInfo params, const TessGroup *group,
					bool *exact)
{
	PruneSource source = {group, NULL, params, true};
	Bitmapset *shards = shards_of(&source, make_node(expr));

	*exact = source.exact;
	return shards;
}

/* An equality; nothing equals NULL. */
static int
shard_of_equality(const OpExpr *equality, TessValueOf value_of, void *arg,
				  const TessGroup *group)
{
	Expr *comparand = other_argument(equality->args);
	bool isnull;
	Datum value = value_of(comparand, arg, &isnull);

	if (isnull)
		return -1;
	return tess_route_value(group, value, false, exprType((Node *) comparand));
}

bool
tess_prune_one(Expr *expr, TessValueOf value_of, void *arg,
			   const TessGroup *group, int *shard_index)
{
	ListCell *cell;

	if (IsA(expr, OpExpr))
	{
		*shard_index = shard_of_equality((OpExpr *) expr, value_of, arg, group);
		return true;
	}
	if (!IsA(expr, BoolExpr) || ((BoolExpr *) expr)->boolop != AND_EXPR)
		return false;
	foreach(cell, ((BoolExpr *) expr)->args)
	{
		OpExpr *equality = lfirst(cell);
		int found;

		if (!IsA(equality, OpExpr))
			return false;
		found = shard_of_equality(equality, value_of, arg, group);
		if (foreach_current_index(cell) == 0)
			*shard_index = found;
		else if (found != *shard_index)
			*shard_index = -1;
	}
	return true;
}
