/*
 * scan_draft.c - a scan of ours in the making: what makes one query for the
 * nodes out of a relation of the planner, conditions, columns, and what may
 * stand above them (GROUP BY, DISTINCT, ORDER BY, LIMIT).
 *
 * A draft begins with its source; conditions are parted into those that travel
 * and those that are checked here; columns are added; then it is written, and
 * if the text is good it becomes a plan node.  Which of these a path wants,
 * and what it may ask for, is decided by who makes the path.
 *
 * Of conditions of several security levels only the innermost travel, since a
 * node may reorder them.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"

#include "deparse/deparse.h"
#include "plan/plan_internal.h"
#include "route/route.h"

/* True if rel is a distributed table whose rows may be drafted in a path: none
 * of them is locked. */
bool
tess_draft_is_possible(PlannerInfo *root, RelOptInfo *rel)
{
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	const TessTable *table;

	if (tess_fragment_of(rte) != NULL)
		return true;
	if (rte->rtekind != RTE_RELATION || tess_locks_rows(root, rel))
		return false;
	table = tess_meta_table(rte->relid);
	return table != NULL && table->kind == TESS_DISTRIBUTED;
}

/* See plan_internal.h. */
bool
tess_locks_rows(PlannerInfo *root, RelOptInfo *rel)
{
	LockClauseStrength strength;
	LockWaitPolicy policy;

	return tess_mark_of(planner_rt_fetch(rel->relid, root), &strength, &policy);
}

static bool
has_exec_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXEC;
	return expression_tree_walker(node, has_exec_param, NULL);
}

/* False for what may not go to the nodes, because they are asked before it is
 * known: values of outer rows, and of subqueries, which may read what a part of
 * WITH returns. */
bool
tess_draft_may_send(const TessDraft *draft, Node *expr)
{
	return !draft->reads_changed || !has_exec_param(expr, NULL);
}

/* The conditions of a table that may choose its shards. */
static List *
pruning_conditions(const TessDraft *draft)
{
	List *conditions = NIL;
	ListCell *cell;

	foreach(cell, draft->rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);

		if (tess_draft_may_send(draft, (Node *) rinfo->clause))
			conditions = lappend(conditions, rinfo);
	}
	return conditions;
}

/* A draft of the rows of rel, one of our tables or a fragment; nothing is asked
 * for yet. */
TessDraft *
tess_draft_make(PlannerInfo *root, RelOptInfo *rel)
{
	TessDraft *draft = palloc0(sizeof(TessDraft));
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);

	draft->rel = rel;
	draft->rte = rte;
	draft->fragment = tess_fragment_of(rte);
	draft->bindings.travel = &draft->travel;
	if (draft->fragment != NULL)
	{
		draft->table = tess_meta_table(draft->fragment->anchor);
		draft->prune = tess_fragment_prune(rel, draft->fragment);
		draft->travel = draft->fragment->travel;
	}
	else
	{
		draft->reads_changed = tess_mark_is_early(rte);
		draft->table = tess_meta_table(rte->relid);
		draft->prune = tess_prune_make(pruning_conditions(draft), rel->relid,
									   draft->table);
		tess_travel_add(&draft->travel, rte->relid);
	}
	draft->columns = tess_columns_make(rte->relid, rel->relid);
	return draft;
}

/* True if an expression is a column of the draft's relation that tells the
 * shard of its row. */
bool
tess_draft_is_key(const TessDraft *draft, const Node *expr)
{
	const Var *var = (const Var *) expr;

	if (!IsA(var, Var) || var->varno != draft->rel->relid)
		return false;
	return draft->fragment != NULL
			   ? list_member_int(draft->fragment->keys, var->varattno)
			   : var->varattno == draft->table->key_attnum;
}

/* The planner has made COLLATE a RelabelType, which is written without it. */
static Node *
restore_collate(RelabelType *relabel)
{
	CollateExpr *collate = makeNode(CollateExpr);
	Oid collation = exprCollation((Node *) relabel->arg);

	collate->collOid = relabel->resultcollid;
	collate->arg = relabel->arg;
	collate->location = -1;
	if (relabel->resulttype != exprType((Node *) relabel->arg))
	{
		relabel->resultcollid = collation;
		collate->arg = (Expr *) relabel;
	}
	return (Node *) collate;
}

typedef struct Renumbering
{
	TessDraft *draft;
	bool failed; /* there is a column that cannot be sent */
} Renumbering;

/* Expressions over the draft's rows as they are written for a node. */
static Node *
renumber_mutator(Node *node, Renumbering *context)
{
	TessDraft *draft = context->draft;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && draft->ship != NULL)
	{
		Node *column = tess_ship_var(draft->ship, (Var *) node);

		context->failed |= column == NULL;
		return column ? column : copyObject(node);
	}
	if (IsA(node, Var) && ((Var *) node)->varno == draft->rel->relid)
	{
		Var *var = (Var *) copyObject(node);

		var->varno = 1;
		var->varnosyn = 0;
		var->varattnosyn = 0;
		return (Node *) var;
	}
	node = expression_tree_mutator(node, renumber_mutator, context);
	if (IsA(node, RelabelType))
	{
		RelabelType *relabel = (RelabelType *) node;

		if (OidIsValid(relabel->resultcollid) &&
			relabel->resultcollid != exprCollation((Node *) relabel->arg))
			return restore_collate(relabel);
	}
	return node;
}

/*
 * An expression over the draft's relation as the node is to evaluate it; NULL
 * if it has to be evaluated here.
 */
Expr *
tess_draft_bind(TessDraft *draft, Expr *expr)
{
	List *before = list_copy(draft->bindings.exprs);
	TessShipment ship = {0};
	Renumbering renumbering = {draft};
	Node *bound;

	if (draft->ship != NULL)
	{
		ship.columns = list_copy(draft->ship->columns);
		ship.shipped = list_copy(draft->ship->shipped);
	}
	if (tess_draft_may_send(draft, (Node *) expr) &&
		!contain_volatile_functions((Node *) expr) &&
		!expression_returns_set((Node *) expr))
	{
		bound = tess_bind(&draft->bindings,
						  renumber_mutator((Node *) expr, &renumbering));
		if (!renumbering.failed && tess_travels(&draft->travel, bound))
			return (Expr *) bound;
	}
	draft->bindings.exprs = before;
	if (draft->ship != NULL)
	{
		draft->ship->columns = ship.columns;
		draft->ship->shipped = ship.shipped;
	}
	return NULL;
}

/* True for the ctid of the draft's table. */
static bool
is_ctid(const TessDraft *draft, const Node *expr)
{
	const Var *var = (const Var *) expr;

	return draft->fragment == NULL && IsA(var, Var) &&
		   var->varno == draft->rel->relid &&
		   var->varattno == SelfItemPointerAttributeNumber;
}

/* The ctids that a condition asks for, as an array, which is known before the
 * rows are; NULL if it is no such condition. */
static Expr *
asked_ctids(const TessDraft *draft, Expr *clause)
{
	Node *left;
	Node *right;
	bool is_list = IsA(clause, ScalarArrayOpExpr);
	Oid operator= is_list ? ((ScalarArrayOpExpr *) clause)->opno
	: IsA(clause, OpExpr) ? ((OpExpr *) clause)->opno
						  : InvalidOid;

	if (operator!=
		TIDEqualOperator ||(is_list && !((ScalarArrayOpExpr *) clause)->useOr))
		return NULL;
	left = is_list ? linitial(((ScalarArrayOpExpr *) clause)->args)
				   : get_leftop(clause);
	right = is_list ? lsecond(((ScalarArrayOpExpr *) clause)->args)
					: get_rightop(clause);
	if (!is_list && is_ctid(draft, right))
	{
		right = left;
		left = get_rightop(clause);
	}
	if (!is_ctid(draft, left) || !tess_is_row_independent(right))
		return NULL;
	if (!is_list)
	{
		ArrayExpr *array = makeNode(ArrayExpr);

		array->array_typeid = TIDARRAYOID;
		array->element_typeid = TIDOID;
		array->elements = list_make1(right);
		array->location = -1;
		right = (Node *) array;
	}
	return (Expr *) right;
}

/* "ctid = ANY ($n)", of which each shard gets its own: a ctid has another name
 * there.  For one condition; others are checked here. */
static Expr *
bind_ctids(TessDraft *draft, Expr *clause)
{
	Expr *ctids = asked_ctids(draft, clause);
	ScalarArrayOpExpr *condition;

	if (ctids == NULL || draft->ctids_param > 0 || draft->ship != NULL ||
		!tess_draft_may_send(draft, (Node *) ctids))
		return NULL;
	/* like no other value: that would go to all shards */
	draft->bindings.exprs = lappend(draft->bindings.exprs,
									makeRelabelType(copyObject(ctids),
													TIDARRAYOID, -1, InvalidOid,
													COERCE_IMPLICIT_CAST));
	draft->ctids_param = list_length(draft->bindings.exprs);

	condition = makeNode(ScalarArrayOpExpr);
	condition->opno = TIDEqualOperator;
	condition->opfuncid = F_TIDEQ;
	condition->useOr = true;
	condition->args = list_make2(makeVar(1, SelfItemPointerAttributeNumber,
										 TIDOID, -1, InvalidOid, 0),
								 tess_make_param(TIDARRAYOID, draft->ctids_param));
	condition->location = -1;
	return (Expr *) condition;
}

/*
 * Parts the conditions; those that travel are bound and renumbered.  Those
 * with columns of other relations (LATERAL) are checked here, where core makes
 * parameters of these columns later.  Conditions without columns are core's to
 * check before the scan begins, unless sends_constants says that it will not.
 */
void
tess_draft_split(TessDraft *draft, List *clauses)
{
	Index level = draft->rel->baserestrict_min_security;
	ListCell *cell;

	foreach(cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		Expr *bound = NULL;
		bool may_be_sent;

		if (rinfo->pseudoconstant && !draft->sends_constants)
			continue;
		may_be_sent = (rinfo->security_level <= level || rinfo->leakproof) &&
					  bms_is_subset(rinfo->clause_relids, draft->rel->relids);
		if (may_be_sent)
			bound = tess_draft_bind(draft, rinfo->clause);
		if (bound == NULL && may_be_sent)
			bound = bind_ctids(draft, rinfo->clause);
		if (bound != NULL)
			draft->sent = lappend(draft->sent, bound);
		else
			draft->local = lappend(draft->local, rinfo->clause);
	}
}

/* Begins again: all conditions are checked here. */
void
tess_draft_keep_all(TessDraft *draft, List *clauses)
{
	draft->sent = NIL;
	draft->ctids_param = 0;
	draft->bindings.exprs = NIL;
	draft->local = extract_actual_clauses(clauses, draft->sends_constants);
	draft->columns = tess_columns_make(draft->rte->relid, draft->rel->relid);
}

/* Adds the columns of a path's target, and of what is checked here. */
void
tess_draft_add_columns(TessDraft *draft, const PathTarget *target)
{
	tess_columns_add_vars_of(draft->columns, (Node *) target->exprs);
	tess_columns_add_vars_of(draft->columns, (Node *) draft->local);
	tess_columns_add_any(draft->columns, false);
}

/* A clause of the node's query by an expression, which becomes one of its
 * columns if it is none yet; bound is the expression for the node. */
SortGroupClause *
tess_draft_clause(TessDraft *draft, Expr *expr, Expr *bound, Oid equality)
{
	int column = tess_columns_add_expr(draft->columns, expr, bound);
	TargetEntry *entry = list_nth_node(TargetEntry, draft->columns->node_tlist,
									   column);
	SortGroupClause *clause = makeNode(SortGroupClause);

	entry->ressortgroupref = column + 1;
	clause->tleSortGroupRef = entry->ressortgroupref;
	clause->eqop = equality;
	return clause;
}

/* The fragment's own query in FROM, without the fence. */
static RangeTblEntry *
make_fragment_source(TessDraft *draft)
{
	RangeTblEntry *rte = copyObject(draft->rte);

	rte->enrname = NULL;
	rte->subquery = castNode(Query, tess_bind(&draft->bindings,
											  (Node *) draft->fragment->query));
	return rte;
}

/* The source as the only entry of the node's query. */
static RangeTblEntry *
make_source(TessDraft *draft)
{
	RangeTblEntry *rte;

	if (draft->fragment != NULL)
		return make_fragment_source(draft);
	rte = copyObject(draft->rte);
	rte->securityQuals = NIL;
	rte->enrname = NULL;
	rte->requiredPerms = ACL_SELECT;
	rte->checkAsUser = InvalidOid;
	rte->inFromCl = true;
	rte->inh = true; /* no children; core has noticed and said ONLY */
	if (rte->tablesample != NULL)
		rte->tablesample = (TableSampleClause *)
			tess_bind(&draft->bindings, (Node *) rte->tablesample);
	return rte;
}

static void
add_row_mark(const TessDraft *draft, Query *query)
{
	RowMarkClause *mark;
	LockClauseStrength strength;
	LockWaitPolicy policy;

	if (!tess_mark_of(draft->rte, &strength, &policy))
		return;
	mark = makeNode(RowMarkClause);
	mark->rti = 1;
	mark->strength = strength;
	mark->waitPolicy = policy;
	query->rowMarks = list_make1(mark);
	query->hasForUpdate = true;
}

static Query *
make_query(void)
{
	Query *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	return query;
}

/* The rows of the source that pass the conditions, without columns. */
static Query *
make_source_query(TessDraft *draft)
{
	Query *query = make_query();
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = 1;
	query->rtable = list_make1(make_source(draft));
	query->jointree = makeFromExpr(list_make1(ref),
								   draft->sent == NIL
									   ? NULL
									   : (Node *) make_ands_explicit(draft->sent));
	query->hasSubLinks = draft->fragment != NULL &&
						 draft->fragment->query->hasSubLinks;
	add_row_mark(draft, query);
	return query;
}

/* What is made of the rows. */
static void
set_output(const TessDraft *draft, Query *query)
{
	query->targetList = draft->columns->node_tlist;
	query->hasAggs = draft->has_aggs;
	query->groupClause = draft->group_clause;
	query->sortClause = draft->sort_clause;
	query->limitCount = draft->limit_count;
}

/* Makes one statement for all shards of a node, where that is worth it. */
static bool
write_framed(TessDraft *draft, const Query *query)
{
	Query *copy;
	const char *reason;

	if (draft->fragment == NULL)
		return false;
	copy = copyObject((Query *) query);
	return tess_frame_tables(draft,
							 linitial_node(RangeTblEntry, copy->rtable)->subquery) &&
		   tess_deparse_framed(copy, 1, true, &draft->template, &draft->frame,
							   &reason);
}

/* A join with what is sent that locks the rows of the shard that join: the table
 * itself has to be in FROM. */
static bool
write_locked(TessDraft *draft, Query *source, const char **reason)
{
	set_output(draft, source);
	tess_ship_join_locked(draft->ship, source,
						  list_length(draft->bindings.exprs));
	draft->template = tess_deparse_query(source, reason);
	return draft->template != NIL;
}

/* Makes the draft's template.  False with *reason (a phrase) if it cannot be
 * written so that a node would read what is meant. */
bool
tess_draft_write(TessDraft *draft, const char **reason)
{
	Query *source = make_source_query(draft);
	Query *query = draft->ship ? make_query() : source;

	if (draft->ship != NULL && draft->ship->locks)
		return write_locked(draft, source, reason);
	set_output(draft, query);
	if (draft->ship != NULL)
		return tess_ship_write(draft->ship, query, source,
							   list_length(draft->bindings.exprs),
							   &draft->template, reason);
	if (write_framed(draft, query))
		return true;
	draft->template = tess_deparse_query(query, reason);
	return draft->template != NIL;
}

/* The order in which a node's rows come, see task.h.  Locked rows come in
 * any: they may have changed after they were sorted. */
static void
describe_order(const TessDraft *draft, TessFragment *fragment)
{
	ListCell *cell;

	if (fragment->locks_rows)
		return;
	foreach(cell, draft->sort_clause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		int column = clause->tleSortGroupRef - 1;

		fragment->sort_columns = lappend_int(fragment->sort_columns, column);
		fragment->sort_operators = lappend_oid(fragment->sort_operators,
											   clause->sortop);
		fragment->sort_collations = lappend_oid(fragment->sort_collations,
												list_nth_oid(fragment->column_collations,
															 column));
		fragment->sort_nulls_first = lappend_int(fragment->sort_nulls_first,
												 clause->nulls_first);
	}
	if (draft->limit_count != NULL)
		fragment->limit_param = castNode(Param, draft->limit_count)->paramid;
}

static TessFragment *
make_fragment(const TessDraft *draft)
{
	TessFragment *fragment = tess_fragment_make();
	LockClauseStrength strength;
	LockWaitPolicy policy;

	fragment->command = CMD_SELECT;
	fragment->target = draft->fragment != NULL && draft->fragment->is_pinned
						   ? TESS_TO_ONE_SHARD
						   : TESS_TO_SHARDS;
	fragment->anchor = draft->table->relation;
	fragment->relations = draft->fragment ? draft->fragment->relations
										  : list_make1_oid(draft->rte->relid);
	fragment->template = draft->template;
	fragment->frame = draft->frame;
	fragment->param_types = tess_binding_types(&draft->bindings);
	fragment->ctids_param = draft->ctids_param;
	fragment->has_prune = draft->prune != NULL;
	fragment->locks_rows = tess_mark_of(draft->rte, &strength, &policy);
	fragment->reads_changed = draft->reads_changed;
	fragment->role = draft->fragment ? draft->fragment->role
									 : draft->rte->checkAsUser;
	tess_columns_describe(draft->columns, fragment);
	describe_order(draft, fragment);
	if (draft->ship != NULL)
		tess_ship_describe(draft->ship, fragment);
	return fragment;
}

/*
 * Core may ask for all columns, because a scan of a heap gives them for
 * nothing.  Here they would have to be fetched.
 */
static List *
needed_tlist(const TessDraft *draft, const Path *path, List *tlist)
{
	List *vars = pull_var_clause((Node *) tlist, PVC_RECURSE_PLACEHOLDERS);
	ListCell *cell;

	foreach(cell, vars)
	{
		const Var *var = lfirst_node(Var, cell);

		if (var->varno == draft->rel->relid &&
			!tess_columns_has_var(draft->columns, var))
			return make_tlist_from_pathtarget(path->pathtarget);
	}
	return tlist;
}

/* The plan node of a draft that has been written, for a path of its relation
 * or of an upper one. */
CustomScan *
tess_draft_plan(PlannerInfo *root, const TessDraft *draft, const Path *path,
				List *tlist)
{
	CustomScan *scan = makeNode(CustomScan);
	List *exprs = list_copy(draft->bindings.exprs);

	if (draft->prune != NULL)
		exprs = lappend(exprs, draft->prune);
	/* a fragment's were taken from its query before core made them ready to run */
	scan->custom_exprs = (List *) eval_const_expressions(root, (Node *) exprs);
	scan->custom_scan_tlist = draft->columns->scan_tlist;
	scan->custom_private = list_make1(make_fragment(draft));
	scan->methods = GetCustomScanMethods(TESS_SCAN_METHODS, false);
	/* so that setrefs takes the tables of the fragment into the plan: for rights,
	 * locks and invalidation */
	if (draft->fragment != NULL)
		draft->rel->subroot = NULL;
	if (path->parent == draft->rel)
	{
		if (draft->fragment == NULL)
			scan->scan.scanrelid = draft->rel->relid;
		scan->scan.plan.qual = draft->local;
		tlist = needed_tlist(draft, path, tlist);
	}
	else if (draft->ship != NULL && path->parent == draft->ship->rel)
		scan->scan.plan.qual = draft->local;
	scan->scan.plan.targetlist = tlist;
	scan->flags = ((const CustomPath *) path)->flags;
	tess_frame_add_scan(scan);
	return scan;
}
