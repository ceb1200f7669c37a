/*
 * two_phase.c - aggregates in two phases, as core's parallel aggregation: the
 * nodes group the rows of each shard and send the states of the aggregates,
 * and core's own Agg combines them here.
 *
 * A state is a partial Aggref, which stands in the scan's tuple as in the plan
 * of a parallel worker, so that setrefs finds it there.  Groups may come more
 * than once, even from one shard; all that counts is that rows of one group
 * of the node are of one group here.  So the nodes may group by more columns
 * than the level does: by those of all grouping sets, and by the arguments of
 * aggregates that have to see values (DISTINCT), which core computes of them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"
#include "optimizer/tlist.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "plan/plan_internal.h"
#include "plan/two_phase.h"

/* What becomes of rows where nothing is known of their groups: to group them on
 * the nodes gains much or loses little. */
#define GROUPS_IN_DOUBT 0.5

/* The equality that GROUP BY means where it names none; InvalidOid: none. */
static Oid
default_equality(Expr *expr)
{
	return lookup_type_cache(exprType((Node *) expr), TYPECACHE_EQ_OPR)->eq_opr;
}

/*
 * True for aggregates whose result is the same if a row comes once or often:
 * DISTINCT ones, min and max.  Then the nodes need not send one twice.
 */
static bool
is_blind_to_repeats(const Aggref *aggref)
{
	HeapTuple tuple;
	Oid sort_operator;
	ListCell *cell;

	if (aggref->aggkind != AGGKIND_NORMAL || aggref->args == NIL)
		return false;
	foreach(cell, aggref->aggdistinct)
	{
		const SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		Node *arg = get_sortgroupclause_expr((SortGroupClause *) clause,
											 aggref->args);

		if (clause->eqop != default_equality((Expr *) arg))
			return false;
	}
	if (aggref->aggdistinct != NIL)
		return true;

	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		return false;
	sort_operator = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggsortop;
	ReleaseSysCache(tuple);
	return OidIsValid(sort_operator);
}

/*
 * True if no two shards have the same values of a DISTINCT aggregate: the key
 * is one of them, compared as a key.  Then what it makes of them in each shard
 * is a state like any other, if the nodes' groups are those of the level.
 */
static bool
is_distinct_by_key(const TessDraft *draft, const Aggref *aggref)
{
	ListCell *cell;

	foreach(cell, aggref->aggdistinct)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		Node *arg = get_sortgroupclause_expr(clause, aggref->args);

		if (draft->ship == NULL && tess_draft_is_key(draft, arg) &&
			tess_is_key_equality(draft->table, clause->eqop, exprCollation(arg)))
			return true;
	}
	return false;
}

/* What a node computes of an aggregate, given as the parser would write it or
 * bound: its state, of which the result can be made.  NULL if there is none. */
static Expr *
make_state(const TessDraft *draft, const Aggref *aggref, bool by_core)
{
	Aggref *state;

	if (aggref->aggdistinct == NIL)
		return tess_partial_make(aggref);
	if (by_core || aggref->aggorder != NIL)
		return NULL;
	state = copyObject((Aggref *) aggref);
	state->aggdistinct = NIL;
	state = (Aggref *) tess_partial_make(state);
	if (state == NULL || !tess_partial_is_plain(aggref))
		return NULL;
	state->aggdistinct = aggref->aggdistinct;
	return (Expr *) state;
}

/* True if an aggregate's states can be sent, of groups as the nodes make them. */
static bool
has_state(const Phases *phases, const Aggref *aggref)
{
	if (aggref->aggdistinct != NIL &&
		(phases->is_finer || !is_distinct_by_key(phases->draft, aggref)))
		return false;
	return make_state(phases->draft, aggref, phases->by_core) != NULL;
}

/* True if some aggregate has to see values, so that the nodes' groups become
 * finer than those of the level. */
static bool
sees_values_walker(Node *node, Phases *phases)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
		return !has_state(phases, (Aggref *) node);
	return expression_tree_walker(node, sees_values_walker, phases);
}

/* Adds the columns of which core computes an expression.  One of several equal
 * values stands for all then: they have to be the same. */
static void
add_argument_columns(Phases *phases, Expr *expr)
{
	List *columns = pull_var_clause((Node *) expr, PVC_RECURSE_PLACEHOLDERS);
	ListCell *cell;

	foreach(cell, columns)
	{
		Node *column = lfirst(cell);

		if (!equal(column, expr) &&
			tess_has_equal_variants(exprType(column), exprCollation(column)))
			phases->failed = true;
	}
	add_new_columns_to_pathtarget(phases->partial, columns);
}

/* Adds an expression that core computes of groups to what the scan gives. */
static void
add_argument(Phases *phases, Expr *expr)
{
	/*
	 * Grouping sets make NULLs of columns, and of all that is computed of
	 * them, but not of a column that has the same expression already.
	 */
	if (expr != NULL && phases->has_sets && !list_member(phases->keys, expr))
		add_argument_columns(phases, expr);
	else if (expr != NULL)
		add_new_column_to_pathtarget(phases->partial, expr);
}

/* Adds what the scan has to give for an aggregate: its state, or arguments. */
static void
collect_aggregate(Phases *phases, Aggref *aggref)
{
	ListCell *cell;

	if (phases->by_core)
		add_new_column_to_pathtarget(phases->partial, (Expr *) aggref);
	else if (has_state(phases, aggref))
	{
		phases->combined = list_append_unique(phases->combined, aggref);
		add_new_column_to_pathtarget(phases->partial, (Expr *) aggref);
	}
	else if (is_blind_to_repeats(aggref))
	{
		foreach(cell, aggref->args)
			add_argument(phases, lfirst_node(TargetEntry, cell)->expr);
		add_argument(phases, aggref->aggfilter);
	}
	else
		phases->failed = true;
}

/*
 * Collects what is computed of groups above the scan: aggregates, and columns
 * that depend on the grouping columns.  Grouping expressions are there.
 */
static bool
collect_walker(Node *node, Phases *phases)
{
	if (node == NULL || list_member(phases->keys, node))
		return false;
	switch (nodeTag(node))
	{
		case T_Aggref:
			collect_aggregate(phases, (Aggref *) node);
			return phases->failed;
		case T_Var:
			add_new_column_to_pathtarget(phases->partial, (Expr *) node);
			return false;
		case T_GroupingFunc:
			return false; /* of the grouping columns: core's Agg knows it */
		case T_PlaceHolderVar:
			phases->failed = true;
			return true;
		default:
			return expression_tree_walker(node, collect_walker, phases);
	}
}

/* As core's make_partial_grouping_target: the columns of the first phase. */
static void
choose_partial_target(Phases *phases, const PathTarget *target, Node *having)
{
	List *others = NIL;
	ListCell *cell;
	int i = 0;

	phases->partial = create_empty_pathtarget();
	foreach(cell, target->exprs)
	{
		Expr *expr = lfirst(cell);
		Index ref = get_pathtarget_sortgroupref(target, i++);

		if (ref != 0 &&
			get_sortgroupref_clause_noerr(ref, phases->clauses) != NULL)
		{
			/* core would take one for the other, or keep a constant where a set
			 * leaves it out */
			if (phases->has_sets && (tess_is_row_independent((Node *) expr) ||
									 list_member(phases->keys, expr)))
				phases->failed = true;
			add_column_to_pathtarget(phases->partial, expr, ref);
			phases->keys = lappend(phases->keys, expr);
		}
		else
			others = lappend(others, expr);
	}
	(void) collect_walker((Node *) others, phases);
	(void) collect_walker(having, phases);
}

/* The node groups by an expression.  Its text says nothing of an operator. */
static bool
send_key(Phases *phases, Expr *expr, Oid equality)
{
	TessDraft *draft = phases->draft;
	Expr *bound;

	if (!OidIsValid(equality) || equality != default_equality(expr))
		return false;
	if (tess_is_row_independent((Node *) expr))
		return true; /* computed here */
	if (IsA(expr, Var) && ((Var *) expr)->varattno <= 0)
		return false;
	bound = tess_draft_bind(draft, expr);
	if (bound == NULL)
		return false;

	draft->group_clause = lappend(draft->group_clause,
								  tess_draft_clause(draft, expr, bound, equality));
	return true;
}

/* The node computes the state of an aggregate; *aggref becomes the partial one
 * that stands for it here. */
static bool
send_state(Phases *phases, Aggref **aggref)
{
	TessDraft *draft = phases->draft;
	Aggref *partial = (Aggref *) copyObject(*aggref);
	Aggref *bound = (Aggref *) tess_draft_bind(draft, (Expr *) *aggref);
	Expr *state;

	if (bound == NULL)
		return false;
	state = make_state(draft, bound, phases->by_core);
	if (state == NULL)
		return false;

	mark_partial_aggref(partial, AGGSPLIT_INITIAL_SERIAL);
	if (!tess_type_travels(&draft->travel, exprType((Node *) partial)))
		return false;
	(void) tess_columns_add_expr(draft->columns, (Expr *) partial, state);
	draft->has_aggs = true;
	*aggref = partial;
	return true;
}

/* The columns of the node's query. */
static bool
send_columns(Phases *phases)
{
	List *clauses = phases->clauses;
	ListCell *cell;
	int i = 0;

	foreach(cell, phases->partial->exprs)
	{
		Index ref = get_pathtarget_sortgroupref(phases->partial, i++);
		Oid equality;

		if (ref == 0 && IsA(lfirst(cell), Aggref))
		{
			if (!send_state(phases, (Aggref **) &lfirst(cell)))
				return false;
			continue;
		}
		equality = ref == 0 ? default_equality(lfirst(cell))
							: get_sortgroupref_clause(ref, clauses)->eqop;
		if (!send_key(phases, lfirst(cell), equality))
			return false;
	}
	/* without GROUP BY a node would give a row where there is none */
	return phases->draft->group_clause != NIL ||
		   (clauses == NIL && phases->draft->has_aggs);
}

/* Groups of so many rows. */
static double
estimate_groups(PlannerInfo *root, List *keys, double rows, bool *in_doubt)
{
	EstimationInfo info;
	double groups;

	*in_doubt = false;
	if (keys == NIL)
		return 1;
	groups = estimate_num_groups(root, keys, rows, NULL, &info);
	*in_doubt = (info.flags & SELFLAG_USED_DEFAULT) != 0;
	return groups;
}

/* What the nodes group by. */
static List *
group_columns(const Phases *phases)
{
	List *columns = NIL;
	ListCell *cell;

	if (phases->by_core)
		return phases->keys;
	foreach(cell, phases->partial->exprs)
		if (!IsA(lfirst(cell), Aggref))
			columns = lappend(columns, lfirst(cell));
	return columns;
}

/* The scan that gives the states. */
static Path *
make_partial_path(Phases *phases)
{
	PlannerInfo *root = phases->root;
	TessShipment *ship = phases->draft->ship;
	RelOptInfo *rel = ship ? ship->rel : phases->draft->rel;
	int shards;
	int nodes = tess_draft_node_count(root, phases->draft, &shards);
	/* a node groups the rows of all its shards at once, if it joins them so */
	int parts = Max(ship && ship->route == NULL ? nodes : shards, 1);
	double rows = rel->rows / parts;
	Cost work = rows * cpu_operator_cost * list_length(phases->partial->exprs);
	double groups;
	bool in_doubt;
	RelOptInfo *upper;
	Path *path;

	groups = estimate_groups(root, group_columns(phases), rows, &in_doubt);
	if (in_doubt)
		groups = Min(groups, rows * GROUPS_IN_DOUBT);

	/* core's own has no relids: ours are for EXPLAIN */
	upper = fetch_upper_rel(root, UPPERREL_PARTIAL_GROUP_AGG, rel->relids);
	work += ship ? ship->remote
				 : tess_cost_remote(rel->cheapest_total_path, shards);
	path = tess_draft_path(root, upper, phases->draft,
						   set_pathtarget_cost_width(root, phases->partial),
						   groups * parts, work);
	path->startup_cost += work;
	return path;
}

/* Core's second phase over a path: hashed, sorted, or for all rows at once. */
static List *
make_final_paths(Phases *phases, RelOptInfo *grouped_rel, PathTarget *target,
				 List *having, const GroupPathExtraData *extra, Path *path)
{
	PlannerInfo *root = phases->root;
	Query *parse = root->parse;
	AggSplit split = phases->by_core ? AGGSPLIT_FINAL_DESERIAL : AGGSPLIT_SIMPLE;
	List *paths = NIL;
	AggClauseCosts costs;
	bool in_doubt;
	double groups = estimate_groups(root, phases->keys, phases->input_rows,
									&in_doubt);

	MemSet(&costs, 0, sizeof(AggClauseCosts));
	if (parse->hasAggs)
		get_agg_clause_costs(root, split, &costs);

	if (parse->groupClause == NIL || extra->flags & GROUPING_CAN_USE_HASH)
		paths = lappend(paths, create_agg_path(root, grouped_rel, path, target,
											   parse->groupClause ? AGG_HASHED
																  : AGG_PLAIN,
											   split, parse->groupClause,
											   having, &costs, groups));
	if (parse->groupClause == NIL || !(extra->flags & GROUPING_CAN_USE_SORT))
		return paths;

	if (root->group_pathkeys != NIL) /* NIL: all are constants */
		path = (Path *) create_sort_path(root, grouped_rel, path,
										 root->group_pathkeys, -1.0);
	if (parse->hasAggs)
		path = (Path *) create_agg_path(root, grouped_rel, path, target,
										AGG_SORTED, split, parse->groupClause,
										having, &costs, groups);
	else
		path = (Path *) create_group_path(root, grouped_rel, path,
										  parse->groupClause, having, groups);
	return lappend(paths, path);
}

/* Adds paths that group on the nodes first, where that is possible. */
void
tess_two_phase_add_paths(PlannerInfo *root, RelOptInfo *input_rel,
						 RelOptInfo *grouped_rel, const GroupPathExtraData *extra)
{
	Phases phases = {root};
	PathTarget *target = grouped_rel->reltarget;
	List *having = (List *) extra->havingQual;
	const char *reason;
	List *paths;
	ListCell *cell;
	Path *scan;

	phases.draft = tess_draft_of_level(root, input_rel);
	if (phases.draft == NULL)
		return;
	phases.clauses = root->parse->groupClause;
	phases.has_sets = root->parse->groupingSets != NIL;
	phases.by_core = (extra->flags & GROUPING_CAN_PARTIAL_AGG) != 0;
	phases.input_rows = input_rel->rows;
	phases.is_finer = phases.has_sets ||
					  (!phases.by_core &&
					   (sees_values_walker((Node *) target->exprs, &phases) ||
						sees_values_walker((Node *) having, &phases)));

	choose_partial_target(&phases, target, extra->havingQual);
	if (phases.failed || !send_columns(&phases) ||
		!tess_draft_write(phases.draft, &reason))
		return;
	scan = make_partial_path(&phases);
	if (phases.combined != NIL)
	{
		target = copy_pathtarget(target);
		target->exprs = tess_combine_replace(&phases, target->exprs);
		having = tess_combine_replace(&phases, having);
	}
	paths = phases.has_sets ? tess_sets_make_paths(&phases, grouped_rel, target,
												   having, scan)
							: make_final_paths(&phases, grouped_rel, target,
											   having, extra, scan);
	foreach(cell, paths)
		add_path(grouped_rel, phases.combined != NIL
								  ? tess_combine_make_path(&phases, lfirst(cell))
								  : lfirst(cell));
}

/* The same for SELECT DISTINCT, whose groups are rows. */
void
tess_two_phase_add_distinct_paths(PlannerInfo *root, RelOptInfo *input_rel,
								  RelOptInfo *distinct_rel)
{
	Query *parse = root->parse;
	const PathTarget *target = root->upper_targets[UPPERREL_DISTINCT];
	Phases phases = {root};
	const char *reason;
	double groups;
	bool in_doubt;
	Path *path;

	if (parse->hasDistinctOn || parse->hasTargetSRFs)
		return;
	phases.draft = tess_draft_of_level(root, input_rel);
	if (phases.draft == NULL)
		return;
	phases.clauses = parse->distinctClause;
	phases.by_core = true;
	choose_partial_target(&phases, target, NULL);
	if (list_length(phases.keys) != list_length(target->exprs) ||
		!send_columns(&phases) || !tess_draft_write(phases.draft, &reason))
		return;

	path = make_partial_path(&phases);
	groups = estimate_groups(root, phases.keys, input_rel->rows, &in_doubt);
	if (grouping_is_hashable(parse->distinctClause))
		add_path(distinct_rel,
				 (Path *) create_agg_path(root, distinct_rel, path,
										  path->pathtarget, AGG_HASHED,
										  AGGSPLIT_SIMPLE, parse->distinctClause,
										  NIL, NULL, groups));
	if (!grouping_is_sortable(parse->distinctClause))
		return;
	if (root->distinct_pathkeys != NIL)
		path = (Path *) create_sort_path(root, distinct_rel, path,
										 root->distinct_pathkeys, -1.0);
	add_path(distinct_rel,
			 (Path *) create_upper_unique_path(root, distinct_rel, path,
											   list_length(root->distinct_pathkeys),
											   groups));
}
