/*
 * sorted_scan.c - scans whose rows come in the order that their query level
 * wants, and not more of them than it wants.
 *
 * The nodes sort by what they have, and the scan merges their streams.  A
 * LIMIT travels where nothing between the scan and the level's Limit adds rows
 * or takes some away; core's Limit stays on top, so that what the nodes are
 * told is only that nobody will ask for more.
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "plan/plan_internal.h"

/* Order -------------------------------------------------------------------- */

/* The expression without casts that change nothing but the type's name. */
static Expr *
strip_relabels(Expr *expr)
{
	while (IsA(expr, RelabelType) &&
		   ((RelabelType *) expr)->resultcollid ==
			   exprCollation((Node *) ((RelabelType *) expr)->arg))
		expr = ((RelabelType *) expr)->arg;
	return expr;
}

/* True if ORDER BY of an expression means this operator where none is named,
 * in the text for a node as over the results of several shards. */
static bool
is_default_order(Expr *expr, Oid operator)
{
	TypeCacheEntry *type = lookup_type_cache(exprType((Node *) expr),
											 TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);

	return operator<
		FirstNormalObjectId &&(operator== type->lt_opr || operator==
							   type->gt_opr);
}

/*
 * Sorts by an expression on the nodes, if that may be.  Beyond plain columns
 * only where no condition is left to be checked here: it could have kept the
 * expression from rows for which it fails.
 */
static bool
send_sort_expression(TessDraft *draft, const PathKey *key, Oid operator,
					 Expr * expr)
{
	SortGroupClause *clause;
	Expr *bound;

	if (IsA(expr, Var) ? ((Var *) expr)->varattno <= 0 : draft->local != NIL)
		return false;
	if (exprCollation((Node *) expr) != key->pk_eclass->ec_collation)
		return false;
	bound = tess_draft_bind(draft, expr);
	if (bound == NULL)
		return false;

	clause = tess_draft_clause(draft, expr, bound,
							   lookup_type_cache(exprType((Node *) expr),
												 TYPECACHE_EQ_OPR)
								   ->eq_opr);
	clause->sortop = operator;
	clause->nulls_first = key->pk_nulls_first;
	draft->sort_clause = lappend(draft->sort_clause, clause);
	return true;
}

static bool
send_key(TessDraft *draft, const PathKey *key)
{
	EquivalenceClass *class = key->pk_eclass;
	ListCell *cell;

	if (class->ec_has_volatile)
		return false;
	foreach(cell, class->ec_members)
	{
		EquivalenceMember *member = lfirst_node(EquivalenceMember, cell);
		Expr *expr = strip_relabels(member->em_expr);
		Oid operator;

		if (member->em_is_const || member->em_is_child ||
			!bms_equal(member->em_relids, draft->rel->relids))
			continue;
		operator= get_opfamily_member(key->pk_opfamily, member->em_datatype,
									  member->em_datatype, key->pk_strategy);
		if (!is_default_order(expr, operator))
			expr = member->em_expr;
		if (is_default_order(expr, operator) &&
			send_sort_expression(draft, key, operator, expr))
			return true;
	}
	return false;
}

static bool
send_order(TessDraft *draft, List *pathkeys)
{
	ListCell *cell;

	foreach(cell, pathkeys)
		if (!send_key(draft, lfirst_node(PathKey, cell)))
			return false;
	return true;
}

/* Limit -------------------------------------------------------------------- */

/* True if the level's LIMIT counts rows of the relation, those that a scan
 * gives. */
static bool
limits_scan(PlannerInfo *root, RelOptInfo *rel)
{
	const Query *parse = root->parse;

	return parse->limitCount != NULL &&
		   parse->limitOption == LIMIT_OPTION_COUNT &&
		   tess_is_whole_level(root, rel) && !parse->hasAggs &&
		   parse->groupClause == NIL && parse->groupingSets == NIL &&
		   parse->havingQual == NULL && parse->distinctClause == NIL &&
		   !parse->hasWindowFuncs && !parse->hasTargetSRFs &&
		   parse->setOperations == NULL &&
		   tess_is_row_independent(parse->limitCount) &&
		   (parse->limitOffset == NULL ||
			tess_is_row_independent(parse->limitOffset));
}

static Expr *
int8_call(Oid function, Oid result, Expr *left, Expr *right)
{
	return (Expr *) makeFuncExpr(function, result, list_make2(left, right),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

static Expr *
int8_const(int64 value)
{
	return (Expr *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
							  Int64GetDatum(value), false, FLOAT8PASSBYVAL);
}

/*
 * Rows up to the last that is wanted: count + offset, NULL if that is beyond
 * all numbers.  (GREATEST makes nothing of a NULL; a negative offset is an
 * error, raised by core.)
 */
static Expr *
rows_wanted(PlannerInfo *root)
{
	Expr *count = (Expr *) root->parse->limitCount;
	MinMaxExpr *offset = makeNode(MinMaxExpr);
	CaseExpr *sum = makeNode(CaseExpr);
	CaseWhen *overflow = makeNode(CaseWhen);

	if (root->parse->limitOffset == NULL)
		return count;

	offset->minmaxtype = INT8OID;
	offset->op = IS_GREATEST;
	offset->args = list_make2(root->parse->limitOffset, int8_const(0));
	offset->location = -1;

	overflow->expr = int8_call(F_INT8GT, BOOLOID, count,
							   int8_call(F_INT8MI, INT8OID,
										 int8_const(PG_INT64_MAX),
										 (Expr *) offset));
	overflow->result = (Expr *) makeNullConst(INT8OID, -1, InvalidOid);
	overflow->location = -1;
	sum->casetype = INT8OID;
	sum->args = list_make1(overflow);
	sum->defresult = int8_call(F_INT8PL, INT8OID, count, (Expr *) offset);
	sum->location = -1;
	return (Expr *) eval_const_expressions(root, copyObject((Node *) sum));
}

/* LIMIT $n, the last of the draft's parameters. */
static void
send_limit(TessDraft *draft, PlannerInfo *root)
{
	TessBindings *bindings = &draft->bindings;
	Param *param = makeNode(Param);

	bindings->exprs = lappend(list_copy(bindings->exprs), rows_wanted(root));
	param->paramkind = PARAM_EXTERN;
	param->paramid = list_length(bindings->exprs);
	param->paramtype = INT8OID;
	param->paramtypmod = -1;
	param->location = -1;
	draft->limit_count = (Node *) param;
}

/* The path ------------------------------------------------------------------ */

/* What sorting so many rows costs, up to those that are wanted: as in core, two
 * operators a comparison. */
static Cost
sort_cost(double rows, double wanted)
{
	return 2 * cpu_operator_cost * rows * log2(Max(Min(rows, wanted), 2));
}

/*
 * What the nodes pay: they read all and sort it, or follow an index, for which
 * core has made a path over the shell.
 */
static Cost
remote_cost(RelOptInfo *rel, List *core_paths, List *pathkeys, Cost reading,
			double wanted, int shards)
{
	double rows = Max(rel->rows, 1);
	double fraction = Min(wanted * Max(shards, 1) / rows, 1);
	Cost cheapest = reading;
	ListCell *cell;

	if (pathkeys == NIL)
		return reading * fraction;

	cheapest += sort_cost(rows / Max(shards, 1), wanted) * Max(shards, 1);
	foreach(cell, core_paths)
	{
		Path *path = lfirst(cell);

		if (path->param_info == NULL &&
			pathkeys_contained_in(pathkeys, path->pathkeys))
			cheapest = Min(cheapest, path->startup_cost + (path->total_cost -
														   path->startup_cost) *
															  fraction);
	}
	return cheapest;
}

/* See plan_internal.h. */
TessDraft *
tess_sorted_draft(PlannerInfo *root, RelOptInfo *rel, const PathTarget *target,
				  List *pathkeys, bool only_reads)
{
	TessDraft *draft = tess_draft_make(root, rel);
	const char *reason;

	if (only_reads)
	{
		draft->rte = copyObject(draft->rte);
		draft->rte->enrname = NULL;
	}
	tess_draft_split(draft, rel->baserestrictinfo);
	tess_draft_add_columns(draft, target);
	if (!send_order(draft, pathkeys))
		return NULL;
	if (draft->local == NIL && limits_scan(root, rel) &&
		tess_draft_may_send(draft, root->parse->limitCount) &&
		tess_draft_may_send(draft, root->parse->limitOffset))
		send_limit(draft, root);
	if (draft->sort_clause == NIL && draft->limit_count == NULL)
		return NULL;
	return tess_draft_write(draft, &reason) ? draft : NULL;
}

/*
 * Rows that are locked: those alone that are returned, or, where that cannot be,
 * no more in each shard than LIMIT wants, so that those who take rows from a
 * queue with SKIP LOCKED leave some to others.  Never a question of cost.  What
 * several shards have locked is not known to be sorted then: whoever waited for
 * a row got what has become of it.
 */
static void
replace_by_limited(PlannerInfo *root, RelOptInfo *rel, List *pathkeys,
				   const Path *scan)
{
	TessDraft *draft = tess_sorted_draft(root, rel, rel->reltarget, pathkeys,
										 false);
	double rows = rel->rows;
	Path *path = NULL;
	int shards;

	if (draft == NULL || draft->limit_count == NULL)
		return;
	shards = tess_draft_shard_count(root, draft);
	if (root->limit_tuples >= 0)
		rows = Min(rows, root->limit_tuples);
	if (shards > 1)
		path = tess_lock_limit_path(root, rel, pathkeys, rows,
									tess_cost_remote(scan, shards));
	rel->pathlist = NIL;
	if (path != NULL)
	{
		add_path(rel, path);
		return;
	}
	add_path(rel,
			 tess_draft_path(root, rel, draft, rel->reltarget,
							 root->limit_tuples >= 0
								 ? Min(root->limit_tuples * shards, rel->rows)
								 : rel->rows,
							 tess_cost_remote(scan, shards)));
}

/*
 * Adds a path whose rows come in the order that the level wants, with its
 * LIMIT where that may travel; or none.  core_paths are those of the shell, and
 * scan is ours for all rows in any order.
 */
void
tess_sorted_add_path(PlannerInfo *root, RelOptInfo *rel, List *core_paths,
					 const Path *scan)
{
	List *pathkeys = root->query_pathkeys;
	double wanted = rel->rows;
	Cost reading;
	Cost remote;
	TessDraft *draft;
	Path *path;
	int shards;

	/* groups are hashed for less */
	if (root->group_pathkeys != NIL ||
		(pathkeys == NIL && root->parse->limitCount == NULL) ||
		!bms_is_empty(rel->lateral_relids))
		return;
	if (tess_locks_rows(root, rel))
	{
		replace_by_limited(root, rel, pathkeys, scan);
		return;
	}
	if (!tess_draft_is_possible(root, rel))
		return;
	draft = tess_sorted_draft(root, rel, rel->reltarget, pathkeys, false);
	if (draft == NULL)
		return;

	shards = tess_draft_shard_count(root, draft);
	reading = tess_cost_remote(scan, shards);
	if (draft->limit_count != NULL && root->limit_tuples >= 0)
		wanted = Min(wanted, root->limit_tuples);
	remote = remote_cost(rel, core_paths, pathkeys, reading, wanted, shards);
	path = tess_draft_path(root, rel, draft, rel->reltarget,
						   Min(wanted * (pathkeys ? 1 : shards), rel->rows),
						   remote);
	if (pathkeys != NIL)
	{
		path->startup_cost += remote;
		/* the merge of the nodes' streams */
		path->total_cost += sort_cost(path->rows, 2);
		path->pathkeys = pathkeys;
	}
	add_path(rel, path);
}
