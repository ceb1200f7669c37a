/*
 * shape.c - the constants of a statement that may be others without making it
 * another statement, and a hash of the rest.
 *
 * Statements of one shape share a plan.  Which constants may become
 * parameters is a matter of what the plan is made of: those that a text
 * needs as literals (the fields of EXTRACT, lengths of types, formats), that stand for
 * the same expression in two places (GROUP BY and the targets it is for), or by
 * which a planner chooses (LIMIT, booleans) stay.  See README.md.
 *
 * The hash only finds; equal() decides, over trees in which the slots have been
 * blanked.  So what is not looked at here may be anything, but is compared.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/datum.h"

#include "base/base.h"
#include "fragment/fragment.h"
#include "plan/shared_plan.h"

/* No type modifier: tells a blanked constant from NULL. */
#define BLANK_TYPMOD (-7077)

static bool shape_walker(Node *node, TessShape *shape);

static void
mix(TessShape *shape, uint64 value)
{
	shape->hash = hash_combine64(shape->hash, value);
}

/* Slots ---------------------------------------------------------------------- */

/* Whether a value of the constant, where it stands for itself, may come as a
 * parameter. */
static bool
is_slot(const Const *constant)
{
	return !constant->constisnull && constant->consttypmod == -1 &&
		   constant->consttype != BOOLOID && constant->consttype != UNKNOWNOID &&
		   !tess_type_names_objects(constant->consttype);
}

/*
 * A constant; true if there are too many.  is_compared: a column is compared
 * with it, or set to it.
 */
static bool
add_constant(TessShape *shape, Const *constant, bool is_compared)
{
	TessSlot *slot;

	mix(shape, constant->consttype);
	if (!is_slot(constant))
		return false;
	if (shape->count == TESS_MAX_SLOTS)
		return true;
	slot = &shape->slots[shape->count++];
	slot->constant = constant;
	slot->is_compared = is_compared;
	return false;
}

static bool
is_same_value(const TessSlot *a, const TessSlot *b)
{
	return a->is_compared && b->is_compared &&
		   a->constant->consttype == b->constant->consttype &&
		   a->constant->constcollid == b->constant->constcollid &&
		   datumIsEqual(a->constant->constvalue, b->constant->constvalue,
						a->constant->constbyval, a->constant->constlen);
}

/*
 * Numbers of the values.  Tables that are joined by the key are bound to one shard
 * because their constants are the same: there it is part of the shape.
 */
static void
number_slots(TessShape *shape)
{
	shape->value_count = 0;
	for (int i = 0; i < shape->count; i++)
	{
		int j = shape->slots[i].is_compared ? 0 : i;

		while (j < i && !is_same_value(&shape->slots[j], &shape->slots[i]))
			j++;
		shape->slots[i].number = j < i ? shape->slots[j].number
									   : shape->value_count++;
		mix(shape, shape->slots[i].number);
	}
}

/* Expressions ---------------------------------------------------------------- */

static bool
is_column(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return IsA(node, Var);
}

static bool
shape_operator(OpExpr *op, TessShape *shape)
{
	mix(shape, op->opno);
	if (op->opresulttype == BOOLOID && list_length(op->args) == 2)
	{
		Node *left = linitial(op->args);
		Node *right = lsecond(op->args);

		if (is_column(left) && IsA(right, Const))
			return shape_walker(left, shape) ||
				   add_constant(shape, (Const *) right, true);
		if (is_column(right) && IsA(left, Const))
			return add_constant(shape, (Const *) left, true) ||
				   shape_walker(right, shape);
	}
	return expression_tree_walker((Node *) op->args, shape_walker, shape);
}

/* A constant that stays one, so that it tells statements apart. */
static void
mix_literal(TessShape *shape, const Const *constant)
{
	if (!constant->constisnull)
		mix(shape, datum_image_hash(constant->constvalue, constant->constbyval,
									constant->constlen));
}

static bool
shape_call(FuncExpr *call, TessShape *shape)
{
	ListCell *cell;

	mix(shape, call->funcid);
	mix(shape, call->funcformat);
	/* only what is cast can be another value: not the length */
	if (exprIsLengthCoercion((Node *) call, NULL))
		return shape_walker(linitial(call->args), shape);
	foreach(cell, call->args)
	{
		/* EXTRACT and its like are written with words */
		if (call->funcformat == COERCE_SQL_SYNTAX && IsA(lfirst(cell), Const))
			continue;
		/* by the format of to_char it is known that nodes write the same */
		if (IsA(lfirst(cell), Const) &&
			tess_travels_by_value(call->funcid, foreach_current_index(cell)))
			mix_literal(shape, lfirst(cell));
		else if (shape_walker(lfirst(cell), shape))
			return true;
	}
	return false;
}

/* Queries -------------------------------------------------------------------- */

/* inserts: rows of VALUES are what is inserted. */
static bool
shape_entry(RangeTblEntry *rte, bool inserts, TessShape *shape)
{
	const TessTable *table;

	mix(shape, rte->rtekind);
	if (rte->securityQuals != NIL)
		return true;
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			mix(shape, rte->relid);
			table = tess_meta_table(rte->relid);
			if (table != NULL && table->kind == TESS_DISTRIBUTED)
				shape->relation = rte->relid;
			return false;
		case RTE_SUBQUERY:
			return shape_walker((Node *) rte->subquery, shape);
		case RTE_FUNCTION:
			return shape_walker((Node *) rte->functions, shape);
		case RTE_VALUES:
			mix(shape, list_length(rte->values_lists));
			return inserts && shape_walker((Node *) rte->values_lists, shape);
		case RTE_JOIN:
		case RTE_CTE:
		case RTE_RESULT:
			return false;
		default:
			return true;
	}
}

/* True if an expression that is grouped by may stand inside of targets. */
static bool
groups_by_expression(Query *query)
{
	ListCell *cell;

	if (query->groupingSets != NIL)
		return true;
	if (query->groupClause == NIL)
		return false;
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->ressortgroupref != 0 && !IsA(tle->expr, Var))
			return true;
	}
	return false;
}

static bool
shape_targets(Query *query, TessShape *shape)
{
	ListCell *cell;

	if (query->commandType == CMD_SELECT && groups_by_expression(query))
		return false;
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		/* the key may be set to what the condition says it is */
		if (query->commandType == CMD_UPDATE && IsA(tle->expr, Const)
				? add_constant(shape, (Const *) tle->expr, true)
				: shape_walker((Node *) tle, shape))
			return true;
	}
	return shape_walker(query->havingQual, shape);
}

/* Only what ON CONFLICT does: what it is about names an index. */
static bool
shape_conflict(OnConflictExpr *conflict, TessShape *shape)
{
	if (conflict == NULL)
		return false;
	mix(shape, conflict->action);
	return shape_walker((Node *) conflict->onConflictSet, shape) ||
		   shape_walker(conflict->onConflictWhere, shape);
}

/* One row of values, or rows of VALUES. */
static bool
inserts_values(const Query *query)
{
	List *from = query->jointree->fromlist;

	if (query->jointree->quals != NULL || query->cteList != NIL ||
		list_length(from) > 1)
		return false;
	return from == NIL ||
		   (IsA(linitial(from), RangeTblRef) &&
			rt_fetch(linitial_node(RangeTblRef, from)->rtindex, query->rtable)
					->rtekind == RTE_VALUES);
}

static bool
has_other_form(const Query *query)
{
	switch (query->commandType)
	{
		case CMD_SELECT:
		case CMD_UPDATE:
		case CMD_DELETE:
			break;
		case CMD_INSERT:
			if (!inserts_values(query))
				return true;
			break;
		default:
			return true;
	}
	return query->hasModifyingCTE || query->withCheckOptions != NIL ||
		   query->utilityStmt != NULL;
}

static bool
shape_query(Query *query, TessShape *shape)
{
	ListCell *cell;

	if (has_other_form(query))
		return true;
	mix(shape, query->commandType);
	foreach(cell, query->rtable)
		if (shape_entry(lfirst_node(RangeTblEntry, cell),
						query->commandType == CMD_INSERT, shape))
			return true;
	foreach(cell, query->cteList)
		if (shape_walker(lfirst_node(CommonTableExpr, cell)->ctequery, shape))
			return true;
	return shape_targets(query, shape) ||
		   shape_walker((Node *) query->jointree, shape) ||
		   shape_walker(query->limitOffset, shape) ||
		   shape_conflict(query->onConflict, shape) ||
		   /* computed here, where an INSERT is */
		   (query->commandType != CMD_INSERT &&
			shape_walker((Node *) query->returningList, shape));
}

/* True for what makes a statement none whose plan may be shared. */
static bool
shape_walker(Node *node, TessShape *shape)
{
	if (node == NULL)
		return false;
	mix(shape, nodeTag(node));
	switch (nodeTag(node))
	{
		case T_Query:
			return shape_query((Query *) node, shape);
		case T_Const:
			return add_constant(shape, (Const *) node, false);
		case T_Var:
			mix(shape, ((Var *) node)->varno);
			mix(shape, ((Var *) node)->varattno);
			return false;
		case T_Param:
			mix(shape, ((Param *) node)->paramid);
			return false;
		case T_OpExpr:
			return shape_operator((OpExpr *) node, shape);
		case T_FuncExpr:
			return shape_call((FuncExpr *) node, shape);
		case T_TargetEntry:
			/* ORDER BY, DISTINCT, GROUP BY and PARTITION BY mean it as a whole */
			if (((TargetEntry *) node)->ressortgroupref != 0)
				return false;
			break;
		case T_Aggref:
			mix(shape, ((Aggref *) node)->aggfnoid);
			break;
		case T_CurrentOfExpr:
			return true;
		default:
			break;
	}
	return expression_tree_walker(node, shape_walker, shape);
}

/* True if a distributed table may be in the statement, at a glance. */
static bool
may_be_ours(const Query *query)
{
	ListCell *cell;

	if (query->hasSubLinks || query->cteList != NIL)
		return true;
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		const TessTable *table;

		if (rte->rtekind == RTE_SUBQUERY)
			return true;
		if (rte->rtekind != RTE_RELATION)
			continue;
		table = tess_meta_table(rte->relid);
		if (table != NULL && table->kind == TESS_DISTRIBUTED)
			return true;
	}
	return false;
}

/*
 * The shape of an analyzed and rewritten statement, which is not changed; the
 * slots point into it.  False for one that shares no plan.  relation is one of
 * ours: a call of a function that runs in its shards names none.
 */
bool
tess_shape_make_call(TessShape *shape, Query *query, Oid relation)
{
	shape->query = query;
	shape->role = GetUserId();
	shape->hash = shape->role;
	shape->count = 0;
	shape->relation = relation;
	if (shape_query(query, shape))
		return false;
	number_slots(shape);
	return true;
}

/* The same for a statement that has to name one itself. */
bool
tess_shape_make(TessShape *shape, Query *query)
{
	return !has_other_form(query) && may_be_ours(query) &&
		   tess_shape_make_call(shape, query, InvalidOid) &&
		   OidIsValid(shape->relation);
}

/* Blanks the slots in place: two statements are of one shape if they are
 * equal() then, and their slots have the same numbers.  Allocates nothing. */
void
tess_shape_blank(TessShape *shape)
{
	shape->length = shape->query->stmt_len;
	shape->query->stmt_len = 0;
	for (int i = 0; i < shape->count; i++)
	{
		Const *constant = shape->slots[i].constant;

		shape->slots[i].location = constant->location;
		constant->location = shape->slots[i].number;
		constant->consttypmod = BLANK_TYPMOD;
		constant->constisnull = true;
	}
}

/* Puts back what was blanked. */
void
tess_shape_restore(TessShape *shape)
{
	shape->query->stmt_len = shape->length;
	/* backwards, should a node be in the tree twice */
	for (int i = shape->count - 1; i >= 0; i--)
	{
		Const *constant = shape->slots[i].constant;

		constant->location = shape->slots[i].location;
		constant->consttypmod = -1;
		constant->constisnull = false;
	}
}

/* The slots of a tree that was copied while it was blanked. */
static Node *
parameters_mutator(Node *node, void *context)
{
	Const *constant = (Const *) node;
	Param *param;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, parameters_mutator,
										   context, 0);
	if (!IsA(node, Const) || constant->consttypmod != BLANK_TYPMOD)
		return expression_tree_mutator(node, parameters_mutator, context);
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = TESS_FIRST_SLOT_PARAM + constant->location;
	param->paramtype = constant->consttype;
	param->paramtypmod = -1;
	param->paramcollid = constant->constcollid;
	param->location = -1;
	return (Node *) param;
}

/* A copy of such a tree in which the slots are parameters, numbered from
 * TESS_FIRST_SLOT_PARAM on. */
Query *
tess_shape_parameters(Query *blank)
{
	return castNode(Query, parameters_mutator((Node *) blank, NULL));
}
