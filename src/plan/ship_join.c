/*
 * ship_join.c - joins of a distributed table with rows of anywhere else that
 * are few: these are computed here, by whatever plan core has for them, and
 * sent to the nodes, which join them with what their shards have.
 *
 * It is a path among core's own, which fetch both sides and join them here; the
 * costs decide.  What is above the join may begin on the nodes as well, and
 * that often is what makes it worth while: so the joins of a whole level are
 * remembered, though they may have lost as such.
 *
 * The shards' side is always the outer one: that is the side whose rows an
 * outer, semi or anti join keeps, and each is in one shard.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "plan/plan_internal.h"
#include "route/route.h"

/*
 * To find one row by an index costs as much as to read so many, which may be
 * more than pass the conditions.  A node does not know how many rows of a union
 * join, and would rather look them up.
 */
#define ROWS_A_PROBE 4

/* Pages that are read to find a row by an index. */
#define PAGES_A_PROBE 2

/* A join that can be shipped, as far as is known without writing its text. */
typedef struct Candidate
{
	RelOptInfo *rel; /* the join */
	RelOptInfo *outer;
	Path *path; /* what is shipped */
	JoinType jointype;
	List *clauses; /* RestrictInfo * */
	Var *route;	   /* as in TessShipment */
	Cost remote;   /* what the nodes pay */
	Cost cost;	   /* all of it, but for what comes back */
} Candidate;

static int ship_limit_kb;
static set_join_pathlist_hook_type next_set_join_pathlist = NULL;

/* How much of what is shipped may be in memory at once. */
int
tess_ship_limit_kb(void)
{
	return ship_limit_kb;
}

/* Writes --------------------------------------------------------------------- */

/* For check_functions_in_node: users' volatile functions, and built-in ones
 * that run any statement. */
static bool
function_may_write(Oid function, void *context)
{
	switch (function)
	{
		case F_QUERY_TO_XML:
		case F_QUERY_TO_XML_AND_XMLSCHEMA:
		case F_TS_STAT_TEXT:
		case F_TS_STAT_TEXT_TEXT:
		case F_TS_REWRITE_TSQUERY_TEXT:
			return true;
		default:
			return function >= FirstNormalObjectId &&
				   func_volatile(function) == PROVOLATILE_VOLATILE;
	}
}

static bool
writes_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, writes_walker, context, 0);
	return check_functions_in_node(node, function_may_write, context) ||
		   expression_tree_walker(node, writes_walker, context);
}

/* See plan_internal.h. */
bool
tess_ship_may_write(Query *query)
{
	return writes_walker((Node *) query, NULL);
}

/* See plan_internal.h.  What a change makes of its rows comes after them. */
bool
tess_ship_may_write_before(Query *query)
{
	List *targets = query->targetList;
	List *returning = query->returningList;
	bool may_write;

	query->targetList = NIL;
	query->returningList = NIL;
	may_write = tess_ship_may_write(query);
	query->targetList = targets;
	query->returningList = returning;
	return may_write;
}

/* Routes --------------------------------------------------------------------- */

static Node *
strip_relabels(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* The column of one of the relations that an expression is, perhaps under
 * another type; else NULL. */
Var *
tess_ship_column(Node *expr, Relids relids)
{
	Var *var = (Var *) strip_relabels(expr);

	return IsA(var, Var) && var->varattno > 0 && var->varlevelsup == 0 &&
				   bms_is_member(var->varno, relids)
			   ? var
			   : NULL;
}

/*
 * The column of what is shipped that a condition of the join sets equal to the
 * key of the shards' rows, if it routes as the key does; else NULL.
 */
static Var *
route_of(const TessDraft *draft, const RestrictInfo *rinfo, Relids inner)
{
	const TessTable *table = draft->table;
	OpExpr *op = (OpExpr *) rinfo->clause;
	bool left_is_key;
	Oid other_type;
	Var *other;

	if (!IsA(op, OpExpr) || list_length(op->args) != 2)
		return NULL;
	left_is_key = tess_draft_is_key(draft, strip_relabels(linitial(op->args)));
	if (!left_is_key &&
		!tess_draft_is_key(draft, strip_relabels(lsecond(op->args))))
		return NULL;
	other = tess_ship_column(left_is_key ? lsecond(op->args) : linitial(op->args),
							 inner);
	if (other == NULL ||
		!tess_route_is_key_equality(table, op->opno, op->inputcollid,
									left_is_key, &other_type) ||
		!tess_route_type_is_compatible(&table->group->hasher, other->vartype))
		return NULL;
	return other;
}

/* The first condition of the join that routes, or NULL.  What stands above an
 * outer join does not: rows are kept that do not meet it. */
static Var *
find_route(const TessDraft *draft, const Candidate *candidate)
{
	ListCell *cell;

	foreach(cell, candidate->clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		Var *route;

		if (IS_OUTER_JOIN(candidate->jointype) &&
			RINFO_IS_PUSHED_DOWN(rinfo, candidate->rel->relids))
			continue;
		route = route_of(draft, rinfo, candidate->path->parent->relids);
		if (route != NULL)
			return route;
	}
	return NULL;
}

/* The draft ------------------------------------------------------------------ */

/* True if the nodes can find what joins without looking at all pairs. */
static bool
can_hash(const Candidate *candidate)
{
	ListCell *cell;

	foreach(cell, candidate->clauses)
		if (OidIsValid(lfirst_node(RestrictInfo, cell)->hashjoinoperator))
			return true;
	return false;
}

/* The join's conditions; false if one that has to be checked by the nodes
 * cannot be. */
static bool
send_clauses(TessDraft *draft, const Candidate *candidate)
{
	TessShipment *ship = draft->ship;
	Index level = ship->outer->baserestrict_min_security;
	Relids inner = candidate->path->parent->relids;
	bool is_outer_join = IS_OUTER_JOIN(ship->jointype);
	bool has_join = false;
	ListCell *cell;

	foreach(cell, candidate->clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		bool is_filter = is_outer_join &&
						 RINFO_IS_PUSHED_DOWN(rinfo, ship->rel->relids);
		Expr *bound = NULL;

		/* core checks these above scans and joins of its own only */
		if (rinfo->pseudoconstant)
			return false;
		if (rinfo->security_level <= level || rinfo->leakproof)
			bound = tess_draft_bind(draft, rinfo->clause);
		if (bound == NULL && ship->jointype != JOIN_INNER && !is_filter)
			return false;
		if (bound == NULL)
			draft->local = lappend(draft->local, rinfo->clause);
		else if (is_filter)
			ship->filters = lappend(ship->filters, bound);
		else
		{
			ship->joins = lappend(ship->joins, bound);
			has_join |= bms_overlap(rinfo->clause_relids, ship->outer->relids) &&
						bms_overlap(rinfo->clause_relids, inner);
		}
	}
	return has_join;
}

/* The join as a draft that has no columns yet; NULL if it cannot be. */
static TessDraft *
make_draft(PlannerInfo *root, const Candidate *candidate)
{
	TessDraft *draft = tess_draft_make(root, candidate->outer);
	TessShipment *ship = palloc0(sizeof(TessShipment));

	draft->sends_constants = true;
	tess_draft_split(draft, candidate->outer->baserestrictinfo);
	if (draft->local != NIL)
		return NULL;

	ship->root = root;
	ship->locks = tess_locks_rows(root, candidate->outer);
	ship->travel = &draft->travel;
	ship->rel = candidate->rel;
	ship->outer = candidate->outer;
	ship->path = candidate->path;
	ship->jointype = candidate->jointype;
	ship->remote = candidate->remote;
	ship->is_fenced = !ship->locks && candidate->route == NULL &&
					  can_hash(candidate) &&
					  candidate->path->rows * ROWS_A_PROBE *
							  tess_draft_shard_count(root, draft) >
						  Max(candidate->outer->rows, candidate->outer->tuples);
	tess_ship_find_bounds(ship, draft, candidate->clauses);
	draft->ship = ship;
	if (!ship->locks)
		draft->columns = tess_columns_make(InvalidOid, 0);
	if (!send_clauses(draft, candidate))
		return NULL;
	if (candidate->route != NULL && tess_ship_var(ship, candidate->route) != NULL)
		ship->route = candidate->route;
	ship->parts = ship->route ? Max(tess_draft_shard_count(root, draft), 1) : 1;
	return draft;
}

/* Columns for what is above the join; false if one of them is none. */
static bool
send_columns(TessDraft *draft, List *exprs)
{
	ListCell *cell;

	foreach(cell, exprs)
	{
		Expr *expr = lfirst(cell);
		Expr *bound;

		if (IsA(expr, Var) && ((Var *) expr)->varno == draft->columns->varno)
		{
			/* where its rows are locked, with system columns too */
			tess_columns_add_var(draft->columns, (Var *) expr);
			continue;
		}
		bound = IsA(expr, Var) ? tess_draft_bind(draft, expr) : NULL;
		if (bound == NULL)
			return false;
		(void) tess_columns_add_expr(draft->columns, expr, bound);
	}
	return true;
}

/* The join for a path of its own. */
static TessDraft *
write_join(PlannerInfo *root, const Candidate *candidate)
{
	TessDraft *draft = make_draft(root, candidate);
	const char *reason;

	if (draft == NULL || !send_columns(draft, candidate->rel->reltarget->exprs) ||
		!send_columns(draft, pull_var_clause((Node *) draft->local,
											 PVC_INCLUDE_PLACEHOLDERS)))
		return NULL;
	if (draft->columns->scan_tlist == NIL)
	{
		/* a row for each row, and nothing in it that is needed */
		Expr *present = (Expr *) makeBoolConst(true, false);

		(void) tess_columns_add_expr(draft->columns, present,
									 copyObject(present));
	}
	return tess_draft_write(draft, &reason) ? draft : NULL;
}

/* Costs ---------------------------------------------------------------------- */

/* What it costs the nodes to look up the rows that join by an index of the
 * key, each in its own shard; negative if they cannot. */
static Cost
lookup_cost(const TessDraft *draft, const Candidate *candidate)
{
	ListCell *cell;

	if (candidate->route == NULL || draft->fragment != NULL)
		return -1;
	foreach(cell, draft->rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		if (index->indpred == NIL &&
			index->indexkeys[0] == draft->table->key_attnum)
			return candidate->path->rows * random_page_cost * PAGES_A_PROBE;
	}
	return -1;
}

/* What the nodes pay to read all rows. */
static Cost
reading_cost(PlannerInfo *root, RelOptInfo *outer, int shards)
{
	Cost reading = tess_cost_remote(outer->cheapest_total_path, shards);

	if (tess_locks_rows(root, outer))
		reading -= tess_cost_locked(outer->cheapest_total_path);
	return Max(reading, 0);
}

static void
set_costs(PlannerInfo *root, Candidate *candidate)
{
	const Path *path = candidate->path;
	TessDraft *draft = tess_draft_make(root, candidate->outer);
	double pairs = candidate->outer->rows;
	int shards;
	int places;
	int nodes = tess_draft_node_count(root, draft, &shards);
	Cost reading = reading_cost(root, candidate->outer, shards);
	Cost lookup;

	candidate->route = find_route(draft, candidate);
	lookup = lookup_cost(draft, candidate);
	if (lookup >= 0 && lookup < reading)
	{
		reading = lookup;
		pairs = path->rows;
	}
	else if (!can_hash(candidate))
		pairs *= path->rows;
	/* Those that are locked are asked for by a statement for each shard.  That
	 * they are locked costs nothing here: who fetches all of them, to join them
	 * here, locks all of them, and does not check the join again for a row that
	 * has changed meanwhile. */
	places = tess_locks_rows(root, candidate->outer) ? shards : nodes;
	candidate->remote = reading +
						cpu_operator_cost * list_length(candidate->clauses) *
							pairs +
						tess_cost_shipped(path->rows, path->pathtarget->width,
										  candidate->route ? 1 : places);
	candidate->cost = candidate->remote + path->total_cost;
}

/* The path ------------------------------------------------------------------- */

/*
 * True if the level is computed anew for rows of levels around it.  To fetch
 * the sides once, and keep them, is cheaper then than any costs here say.
 */
static bool
is_correlated(const PlannerInfo *root)
{
	for (root = root->parent_root; root != NULL; root = root->parent_root)
		if (root->plan_params != NIL)
			return true;
	return false;
}

/* The few rows of one shard come here. */
static bool
is_pinned(const RangeTblEntry *rte)
{
	const TessFragmentQuery *fragment = tess_fragment_of(rte);

	return fragment != NULL && fragment->is_pinned;
}

/*
 * The shards' side.  Rows that are locked are those of the table itself, and may
 * be asked for late, unless another part of the statement changes the table; they
 * gain nothing from a join that keeps all of them.
 */
static bool
is_possible_outer(PlannerInfo *root, RelOptInfo *outer, JoinType jointype)
{
	const RangeTblEntry *rte;

	if (outer->reloptkind != RELOPT_BASEREL || IS_DUMMY_REL(outer))
		return false;
	rte = planner_rt_fetch(outer->relid, root);
	if (rte->tablesample != NULL || is_pinned(rte))
		return false;
	if (tess_locks_rows(root, outer))
		return tess_frame_narrows() && jointype != JOIN_LEFT &&
			   !tess_mark_is_contested(rte);
	return tess_frame_ships() && tess_draft_is_possible(root, outer);
}

static bool
is_possible(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer,
			RelOptInfo *inner, JoinType jointype)
{
	if (!tess_frame_is_open() || tess_fragment_is_around(root) ||
		is_correlated(root) || root->parse->commandType != CMD_SELECT ||
		root->rowMarks != NIL || !bms_is_empty(joinrel->lateral_relids) ||
		!bms_is_empty(outer->lateral_relids) ||
		!bms_is_empty(inner->lateral_relids))
		return false;
	if (IS_DUMMY_REL(inner) || inner->cheapest_total_path == NULL ||
		inner->cheapest_total_path->param_info != NULL ||
		!is_possible_outer(root, outer, jointype))
		return false;
	return jointype == JOIN_INNER || jointype == JOIN_LEFT ||
		   jointype == JOIN_SEMI || jointype == JOIN_ANTI ||
		   jointype == JOIN_UNIQUE_INNER;
}

/* For what may stand above a join of a whole level: the cheapest first. */
static void
remember(Candidate *candidate)
{
	RelOptInfo *rel = candidate->rel;
	List *known = rel->fdw_private;
	int position = 0;
	ListCell *cell;

	foreach(cell, known)
	{
		if (((Candidate *) lfirst(cell))->cost > candidate->cost)
			break;
		position++;
	}
	rel->fdw_private = list_insert_nth(known, position, candidate);
}

/* How many rows come.  One that is locked is hardly ever meant to join many. */
static double
joined_rows(PlannerInfo *root, const Candidate *candidate)
{
	double rows = candidate->rel->rows;

	return tess_locks_rows(root, candidate->outer)
			   ? Min(rows, candidate->outer->rows)
			   : rows;
}

static void
add_join_path(PlannerInfo *root, const Candidate *candidate)
{
	RelOptInfo *rel = candidate->rel;
	Path cost = {.rows = joined_rows(root, candidate),
				 .pathtarget = rel->reltarget};
	TessDraft *draft;
	CustomPath *path;

	tess_cost_fetch(&cost, 0, candidate->cost);
	if (!add_path_precheck(rel, candidate->cost, cost.total_cost, NIL, NULL))
		return;
	draft = write_join(root, candidate);
	if (draft == NULL)
		return;
	path = (CustomPath *) tess_draft_path(root, rel, draft, rel->reltarget,
										  cost.rows, candidate->remote);
	add_path(rel, &path->path);
}

static void
set_join_pathlist(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
				  RelOptInfo *innerrel, JoinType jointype,
				  JoinPathExtraData *extra)
{
	Candidate *candidate;
	Path *path;

	if (next_set_join_pathlist)
		next_set_join_pathlist(root, joinrel, outerrel, innerrel, jointype,
							   extra);
	if (!is_possible(root, joinrel, outerrel, innerrel, jointype))
		return;
	path = innerrel->cheapest_total_path;
	if (jointype == JOIN_UNIQUE_INNER)
	{
		path = (Path *) create_unique_path(root, innerrel, path, extra->sjinfo);
		jointype = JOIN_INNER;
	}
	if (path == NULL || ship_limit_kb == 0)
		return;

	candidate = palloc0(sizeof(Candidate));
	candidate->rel = joinrel;
	candidate->outer = outerrel;
	candidate->path = path;
	candidate->jointype = jointype;
	candidate->clauses = extra->restrictlist;
	set_costs(root, candidate);
	if (joinrel->fdwroutine == NULL && !tess_locks_rows(root, outerrel) &&
		bms_equal(joinrel->relids, root->all_baserels))
		remember(candidate);
	add_join_path(root, candidate);
}

/*
 * A draft of the join that is the input of a level's upper steps, with all of
 * the level's conditions, and no columns yet.  NULL if none can be shipped.
 */
TessDraft *
tess_ship_draft_of(PlannerInfo *root, RelOptInfo *joinrel)
{
	ListCell *cell;

	if (joinrel->fdwroutine != NULL)
		return NULL;
	foreach(cell, (List *) joinrel->fdw_private)
	{
		TessDraft *draft = make_draft(root, lfirst(cell));

		if (draft != NULL && draft->local == NIL)
			return draft;
	}
	return NULL;
}

/* Installs the hook and the setting. */
void
tess_ship_join_init(void)
{
	DefineCustomIntVariable("tessera.ship_limit",
							"Memory for rows that are sent to nodes to be joined there.",
							"Zero: joins with rows of anywhere else are computed on this server.",
							&ship_limit_kb, 64 * 1024, 0, 512 * 1024,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	next_set_join_pathlist = set_join_pathlist_hook;
	set_join_pathlist_hook = set_join_pathlist;
}
