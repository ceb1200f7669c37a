/*
 * lock_limit.c - ORDER BY ... LIMIT of rows that are locked, over several
 * shards: only rows that are returned are locked, as PostgreSQL does, whose
 * locks stand above the sort.
 *
 *   TesseraLock                  gives rows in the order of the candidates, and
 *                                asks for more while some were not to be had
 *     TesseraScan                locks rows in their shards, by a unique key
 *       TesseraCandidates        as many keys as rows are still wanted
 *         TesseraScan            keys in the order that is wanted, not locked
 *
 * A candidate is checked again by the node that locks it, with the conditions
 * and its key: so one that has changed meanwhile comes as it is now, or not at
 * all.  A key, because the place of a row would be another one then.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/tlist.h"
#include "parser/parse_type.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "plan/plan_internal.h"

/* Entry 1 of the query for a shard is the table; the keys are this one. */
#define SHIPPED_ENTRY 2

static Plan *plan_lock(PlannerInfo *root, RelOptInfo *rel,
					   struct CustomPath *path, List *tlist, List *clauses,
					   List *custom_plans);
static Plan *plan_candidates(PlannerInfo *root, RelOptInfo *rel,
							 struct CustomPath *path, List *tlist,
							 List *clauses, List *custom_plans);

static const CustomPathMethods lock_methods = {
	.CustomName = TESS_LOCK_METHODS,
	.PlanCustomPath = plan_lock,
};

static const CustomPathMethods candidates_methods = {
	.CustomName = TESS_CANDIDATES_METHODS,
	.PlanCustomPath = plan_candidates,
};

/* The key -------------------------------------------------------------------- */

/* The columns of the key, as the planner has them; NIL if they cannot be shipped,
 * or hashed. */
static List *
key_vars(RelOptInfo *rel, const TessDraft *draft, const TessRowKey *key)
{
	List *vars = NIL;
	ListCell *column;
	ListCell *operator;

	forboth(column, key->columns, operator, key->operators)
	{
		Var *var = tess_target_var(draft->table, rel->relid, lfirst_int(column));
		Oid array = get_array_type(var->vartype);

		if (!OidIsValid(array) || !tess_type_travels(&draft->travel, array) ||
			!op_hashjoinable(lfirst_oid(operator), exprType((Node *) var)))
			return NIL;
		vars = lappend(vars, var);
	}
	return vars;
}

/* The position of a candidate among all: no user can write it, as xmin has
 * another type. */
static Var *
position_var(RelOptInfo *rel)
{
	return makeVar(rel->relid, TESS_POSITION_ATTRIBUTE, INT8OID, -1, InvalidOid,
				   0);
}

/* An argument of the equality of a key. */
static Expr *
as_operand(Expr *expr, Oid type, Oid collation)
{
	if (exprType((Node *) expr) == type || IsPolymorphicType(type))
		return expr;
	return (Expr *) makeRelabelType(expr, type, -1, collation,
									COERCE_IMPLICIT_CAST);
}

/* "column of the table = what is shipped", of number among that. */
static Expr *
key_equality(const Var *column, int number, Oid operator)
{
	Var *table_column = copyObject((Var *) column);
	Var *shipped = makeVar(SHIPPED_ENTRY, number, column->vartype, -1,
						   get_typcollation(column->vartype), 0);
	Expr *other = (Expr *) shipped;
	Oid left;
	Oid right;

	table_column->varno = 1;
	table_column->varnosyn = 0;
	table_column->varattnosyn = 0;
	if (shipped->varcollid != column->varcollid)
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) shipped;
		collate->collOid = column->varcollid;
		collate->location = -1;
		other = (Expr *) collate;
	}
	op_input_types(operator, & left, &right);
	return make_opclause(operator, BOOLOID, false,
						 as_operand((Expr *) table_column, left,
									column->varcollid),
						 as_operand(other, right, column->varcollid),
						 InvalidOid, column->varcollid);
}

/* Paths ---------------------------------------------------------------------- */

static CustomPath *
make_path(RelOptInfo *rel, PathTarget *target, Path *child,
		  const CustomPathMethods *methods)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = target;
	path->path.rows = child->rows;
	path->path.startup_cost = child->startup_cost;
	path->path.total_cost = child->total_cost;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make1(child);
	path->methods = methods;
	return path;
}

/* Keys in the order of the level, as they are wanted; NULL if they cannot be
 * asked for. */
static CustomPath *
candidates_path(PlannerInfo *root, RelOptInfo *rel, List *vars, double rows,
				List *pathkeys, Cost remote)
{
	PathTarget *keys = create_empty_pathtarget();
	PathTarget *target;
	TessDraft *draft;
	CustomPath *path;

	add_new_columns_to_pathtarget(keys, vars);
	draft = tess_sorted_draft(root, rel, keys, pathkeys, true);
	if (draft == NULL || draft->limit_count == NULL)
		return NULL;
	target = copy_pathtarget(keys);
	add_column_to_pathtarget(target, (Expr *) position_var(rel), 0);
	path = make_path(rel, target,
					 tess_draft_path(root, rel, draft, keys, rows, remote),
					 &candidates_methods);
	path->custom_private = list_make1(
		list_nth(draft->bindings.exprs,
				 castNode(Param, draft->limit_count)->paramid - 1));
	return path;
}

/* A scan that locks the rows with the keys that candidates give. */
static Path *
locking_path(PlannerInfo *root, RelOptInfo *rel, Path *candidates, List *vars,
			 const TessRowKey *key)
{
	TessDraft *draft = tess_draft_make(root, rel);
	TessShipment *ship = palloc0(sizeof(TessShipment));
	PathTarget *target = copy_pathtarget(rel->reltarget);
	Var *position = position_var(rel);
	const char *reason;
	ListCell *cell;

	tess_draft_split(draft, rel->baserestrictinfo);
	if (draft->local != NIL)
		return NULL;
	ship->root = root;
	ship->travel = &draft->travel;
	ship->rel = rel;
	ship->outer = rel;
	ship->locks = true;
	ship->path = candidates;
	ship->jointype = JOIN_INNER;
	ship->parts = Max(tess_draft_shard_count(root, draft), 1);
	ship->shipped = lappend(list_copy(vars), position);
	foreach(cell, vars)
	{
		Var *var = lfirst_node(Var, cell);
		int number = foreach_current_index(cell);

		ship->joins = lappend(ship->joins,
							  key_equality(var, number + 1,
										   list_nth_oid(key->operators, number)));
		if (var->varattno == draft->table->key_attnum)
			ship->route = var;
	}
	draft->ship = ship;
	tess_draft_add_columns(draft, rel->reltarget);
	(void) tess_columns_add_expr(draft->columns, (Expr *) position,
								 (Expr *) makeVar(SHIPPED_ENTRY,
												  list_length(ship->shipped),
												  INT8OID, -1, InvalidOid, 0));
	if (ship->route == NULL || !tess_draft_write(draft, &reason))
		return NULL;
	add_column_to_pathtarget(target, (Expr *) position, 0);
	return tess_draft_path(root, rel, draft, target, candidates->rows,
						   tess_cost_shipped(candidates->rows,
											 candidates->pathtarget->width, 1));
}

/* True if core would check conditions on its own around each of the paths, or
 * the name of the position is taken. */
static bool
is_in_the_way(PlannerInfo *root, RelOptInfo *rel)
{
	ListCell *cell;

	foreach(cell, rel->baserestrictinfo)
		if (lfirst_node(RestrictInfo, cell)->pseudoconstant)
			return true;
	foreach(cell, rel->reltarget->exprs)
		if (!IsA(lfirst(cell), Var) ||
			lfirst_node(Var, cell)->varattno == TESS_POSITION_ATTRIBUTE)
			return true;
	return false;
}

/*
 * A path for the rows of a level that has nothing but this relation, up to its
 * LIMIT, in its order, that locks no others; NULL if there is none.  rows: how
 * many are wanted; remote is what the nodes pay to find them.
 */
Path *
tess_lock_limit_path(PlannerInfo *root, RelOptInfo *rel, List *pathkeys,
					 double rows, Cost remote)
{
	const RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	const TessDraft *draft;
	TessRowKey key;
	List *vars;
	CustomPath *candidates;
	CustomPath *path;
	Path *scan;

	if (!tess_frame_narrows() || !tess_frame_locks_late() ||
		rte->tablesample != NULL || tess_ship_limit_kb() == 0 ||
		is_in_the_way(root, rel))
		return NULL;
	draft = tess_draft_make(root, rel);
	key = tess_row_key_find(rte->relid);
	vars = key_vars(rel, draft, &key);
	if (vars == NIL)
		return NULL;
	candidates = candidates_path(root, rel, vars, rows, pathkeys, remote);
	if (candidates == NULL)
		return NULL;
	candidates->custom_private = lappend(candidates->custom_private,
										 key.operators);
	scan = locking_path(root, rel, &candidates->path, vars, &key);
	if (scan == NULL)
		return NULL;
	path = make_path(rel, rel->reltarget, scan, &lock_methods);
	path->path.pathkeys = pathkeys;
	return &path->path;
}

/* Plans ---------------------------------------------------------------------- */

/* PlanCustomPath: the columns of its child, of which the last one is the
 * position. */
static Plan *
plan_lock(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
		  List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.targetlist = tlist;
	scan->custom_scan_tlist = copyObject(
		((Plan *) linitial(custom_plans))->targetlist);
	scan->custom_plans = custom_plans;
	scan->flags = path->flags;
	scan->methods = GetCustomScanMethods(TESS_LOCK_METHODS, false);
	tess_frame_add_scan(scan);
	return (Plan *) scan;
}

/* PlanCustomPath: the columns of its child, and the position. */
static Plan *
plan_candidates(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
				List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.targetlist = tlist;
	scan->custom_scan_tlist = make_tlist_from_pathtarget(path->path.pathtarget);
	scan->custom_exprs = (List *)
		eval_const_expressions(root, (Node *) list_make1(
										 linitial(path->custom_private)));
	scan->custom_private = list_make1(lsecond(path->custom_private));
	scan->custom_plans = custom_plans;
	scan->flags = path->flags;
	scan->methods = GetCustomScanMethods(TESS_CANDIDATES_METHODS, false);
	tess_frame_add_scan(scan);
	return (Plan *) scan;
}
