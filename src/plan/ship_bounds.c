/*
 * ship_bounds.c - bounds of what is shipped: the nodes are told the least and
 * the greatest value of a column that rows of the shards have to be equal to,
 * and read no rows beyond.  It is what a merge join spares by stopping early,
 * but a node that hashes what it is sent could not know.
 *
 *   SELECT ... FROM (SELECT ... FROM shard WHERE k >= $4 AND k <= $5) shard, ...
 *
 * Only of joins that keep nothing without a partner, and in an order that all
 * servers have: that of the btree class of the equality, without a locale.  A
 * NULL is equal to nothing, and bounds nothing.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/pathnode.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/selfuncs.h"

#include "plan/plan_internal.h"

/* More of a shard's rows than this are not worth a comparison of each. */
#define USEFUL_FRACTION 0.9

/* A condition of the join, (columns of shards) = (columns that are shipped). */
typedef struct Equality
{
	RestrictInfo *rinfo;
	Oid family;
	bool left_is_shard;
	Expr *shard;
	Expr *shipped;
	Var *var; /* in it: perhaps all of it */
} Equality;

/* True if the shards are likely to find rows by the column's order.  Without that
 * a node would save little, and might take a few rows for none. */
static bool
is_indexed(const TessDraft *draft, const Var *var)
{
	ListCell *cell;

	if (draft->fragment != NULL)
		return tess_draft_is_key(draft, (const Node *) var);
	foreach(cell, draft->rel->indexlist)
	{
		const IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		if (index->indpred == NIL && index->relam == BTREE_AM_OID &&
			index->indexkeys[0] == var->varattno)
			return true;
	}
	return false;
}

/* Takes a condition apart; false if it sets no bounds. */
static bool
read_equality(const TessShipment *ship, const TessDraft *draft,
			  RestrictInfo *rinfo, Equality *equality)
{
	OpExpr *op = (OpExpr *) rinfo->clause;
	Var *shard;

	if (!IsA(op, OpExpr) || rinfo->mergeopfamilies == NIL ||
		rinfo->security_level > draft->rel->baserestrict_min_security)
		return false;
	equality->rinfo = rinfo;
	equality->family = linitial_oid(rinfo->mergeopfamilies);
	equality->left_is_shard = bms_is_subset(rinfo->left_relids,
											draft->rel->relids);
	equality->shard = equality->left_is_shard ? linitial(op->args)
											  : lsecond(op->args);
	equality->shipped = equality->left_is_shard ? lsecond(op->args)
												: linitial(op->args);
	equality->var = tess_ship_column((Node *) equality->shipped,
									 ship->path->parent->relids);
	shard = tess_ship_column((Node *) equality->shard, draft->rel->relids);
	if (shard == NULL || equality->var == NULL || !is_indexed(draft, shard))
		return false;
	/* a parameter has no collation to say */
	return !OidIsValid(op->inputcollid) ||
		   (op->inputcollid == exprCollation((Node *) equality->shard) &&
			lc_collate_is_c(op->inputcollid));
}

/* True if nothing is known of the column's values, or many of its relation's
 * rows are not shipped: those that are may be neighbours. */
static bool
may_be_narrow(const TessShipment *ship, Var *var)
{
	VariableStatData variable;
	bool is_narrow;

	examine_variable(ship->root, (Node *) var, 0, &variable);
	is_narrow = !HeapTupleIsValid(variable.statsTuple) || variable.rel == NULL ||
				ship->path->rows < variable.rel->tuples * USEFUL_FRACTION;
	ReleaseVariableStats(variable);
	return is_narrow;
}

/* True if bounds are likely to spare the nodes rows. */
static bool
is_useful(const TessShipment *ship, const Equality *equality)
{
	Selectivity left_start;
	Selectivity left_end;
	Selectivity right_start;
	Selectivity right_end;

	mergejoinscansel(ship->root, (Node *) equality->rinfo->clause,
					 equality->family, BTLessStrategyNumber, false, &left_start,
					 &left_end, &right_start, &right_end);
	return (equality->left_is_shard ? left_end - left_start
									: right_end - right_start) < USEFUL_FRACTION ||
		   may_be_narrow(ship, equality->var);
}

static Node *
replace_mutator(Node *node, Node *replacement)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
		return replacement;
	return expression_tree_mutator(node, replace_mutator, replacement);
}

/* The shards' side compared with a parameter in the place of the column that is
 * shipped; NULL if the class has no such operator. */
static Expr *
make_condition(const Equality *equality, Expr *shard, StrategyNumber strategy,
			   int param)
{
	OpExpr *op = (OpExpr *) equality->rinfo->clause;
	Oid left;
	Oid right;
	Oid operator;
	Node *value = (Node *) tess_make_param(equality->var->vartype, param);

	op_input_types(op->opno, &left, &right);
	operator= equality->left_is_shard
		? get_opfamily_member(equality->family, left, right, strategy)
		: get_opfamily_member(equality->family, right, left, strategy);
	if (!OidIsValid(operator))
		return NULL;
	value = replace_mutator((Node *) equality->shipped, value);
	return make_opclause(operator, BOOLOID, false, copyObject(shard),
						 (Expr *) value, InvalidOid, op->inputcollid);
}

/* The comparison function for values of the column, as the operators see it. */
static Oid
find_comparison(const Equality *equality)
{
	OpExpr *op = (OpExpr *) equality->rinfo->clause;
	Oid left;
	Oid right;
	Oid type;

	op_input_types(op->opno, &left, &right);
	type = equality->left_is_shard ? right : left;
	return get_opfamily_proc(equality->family, type, type, BTORDER_PROC);
}

/*
 * Finds the bounds that may be sent along, where the draft's conditions are
 * still those of its own rows: it has no join yet.
 */
void
tess_ship_find_bounds(TessShipment *ship, TessDraft *draft, List *clauses)
{
	ListCell *cell;

	if (ship->jointype != JOIN_INNER && ship->jointype != JOIN_SEMI)
		return;
	foreach(cell, clauses)
	{
		Equality equality;
		TessShipBound *bound;
		Expr *shard;

		if (!read_equality(ship, draft, lfirst_node(RestrictInfo, cell),
						   &equality) ||
			!is_useful(ship, &equality))
			continue;
		shard = tess_draft_bind(draft, equality.shard);
		if (shard == NULL)
			continue;
		bound = palloc0(sizeof(TessShipBound));
		bound->var = equality.var;
		bound->function = find_comparison(&equality);
		bound->collation = ((OpExpr *) equality.rinfo->clause)->inputcollid;
		/* numbered when it is known what comes before */
		bound->least = make_condition(&equality, shard,
									  BTGreaterEqualStrategyNumber, 1);
		bound->greatest = make_condition(&equality, shard,
										 BTLessEqualStrategyNumber, 2);
		if (OidIsValid(bound->function) && bound->least != NULL &&
			bound->greatest != NULL &&
			tess_travels(&draft->travel, (Node *) bound->least) &&
			tess_travels(&draft->travel, (Node *) bound->greatest))
			ship->bounds = lappend(ship->bounds, bound);
	}
}

/* Parameters are moved behind so many others. */
static Node *
shift_mutator(Node *node, int *before)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param))
	{
		Param *param = copyObject((Param *) node);

		param->paramid += *before;
		return (Node *) param;
	}
	return expression_tree_mutator(node, shift_mutator, before);
}

/* The conditions on a shard's rows, whose parameters follow param_count
 * others. */
List *
tess_ship_bound_conditions(const TessShipment *ship, int param_count)
{
	List *conditions = NIL;
	ListCell *cell;

	foreach(cell, ship->bounds)
	{
		const TessShipBound *bound = lfirst(cell);

		conditions = lappend(conditions,
							 shift_mutator((Node *) bound->least, &param_count));
		conditions = lappend(conditions, shift_mutator((Node *) bound->greatest,
													   &param_count));
		param_count += 2;
	}
	return conditions;
}
