/*
 * relation_scan.c - the scan of one distributed table: whatever path core had
 * in mind for its (empty) shell is replaced by one that asks the shards for
 * the needed columns of the rows that pass the conditions which may travel.
 *
 * Every shell that core plans to scan gets here, however it came into the
 * statement (a view, an inlined SQL function).  Conditions that do not travel
 * are checked here on the rows that come.  Of conditions of several security
 * levels only the innermost travel, since a node may reorder them.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"

#include "deparse/deparse.h"
#include "plan/plan_internal.h"
#include "route/route.h"

/* Rows of a table nobody has analyzed. */
#define DEFAULT_ROWS 10000.0
/* What it costs to ask, per statement and per shard, and per row. */
#define STATEMENT_COST 25.0
#define SHARD_COST 1.0
#define ROW_COST 0.01

static set_rel_pathlist_hook_type next_set_rel_pathlist = NULL;
static get_relation_info_hook_type next_get_relation_info = NULL;

static Plan *plan_scan(PlannerInfo *root, RelOptInfo *rel,
					   struct CustomPath *path, List *tlist, List *clauses,
					   List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = TESS_SCAN_METHODS,
	.PlanCustomPath = plan_scan,
};

/* The distributed table, or NULL if core may scan the relation. */
static const TessTable *
distributed_table(Oid relation)
{
	const TessTable *table;

	if (!tess_frame_is_open())
		return NULL;
	table = tess_meta_table(relation);
	return table != NULL && table->kind == TESS_DISTRIBUTED ? table : NULL;
}

/* The shell is empty: its size says nothing. */
static void
set_relation_info(PlannerInfo *root, Oid relation, bool inhparent,
				  RelOptInfo *rel)
{
	if (next_get_relation_info)
		next_get_relation_info(root, relation, inhparent, rel);
	if (distributed_table(relation) == NULL)
		return;
	if (rel->tuples <= 0)
		rel->tuples = DEFAULT_ROWS;
	rel->pages = Max(rel->pages, (BlockNumber) (rel->tuples / 100) + 1);
	rel->allvisfrac = 0;
}

/*
 * Core would re-read rows by ctid from the shell here.  row_marks.c has fenced
 * off what was in the statement; an inlined SQL function came after it.
 */
static void
refuse_recheck(PlannerInfo *root, RelOptInfo *rel, const TessTable *table)
{
	ListCell *cell;

	foreach(cell, root->rowMarks)
	{
		PlanRowMark *mark = lfirst_node(PlanRowMark, cell);

		if (mark->rti == rel->relid && mark->markType != ROW_MARK_COPY)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot read table \"%s\" through an SQL function in a statement that locks or changes rows",
							table->name),
					 errhint(
						 "Write the function in PL/pgSQL, or put its query into the statement.")));
	}
}

/* Its argument would have to be evaluated for each row of another table. */
static void
refuse_lateral_sample(RangeTblEntry *rte, const TessTable *table)
{
	if (rte->tablesample == NULL ||
		!contain_vars_of_level((Node *) rte->tablesample, 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the sample of table \"%s\" cannot depend on another table",
					table->name),
			 errhint("Use constants or parameters in TABLESAMPLE.")));
}

static Expr *
prune_of(RelOptInfo *rel, const TessTable *table)
{
	return tess_prune_make(rel->baserestrictinfo, rel->relid, table);
}

static void
replace_paths(PlannerInfo *root, RelOptInfo *rel, const TessTable *table)
{
	CustomPath *path = makeNode(CustomPath);
	bool exact;
	Bitmapset *shards;

	shards = tess_prune_estimate(prune_of(rel, table), root->glob->boundParams,
								 table->group, &exact);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel,
													  rel->lateral_relids);
	path->path.rows = path->path.param_info ? path->path.param_info->ppi_rows
											: rel->rows;
	path->path.startup_cost = STATEMENT_COST +
							  SHARD_COST * bms_num_members(shards);
	path->path.total_cost = path->path.startup_cost +
							path->path.rows * (ROW_COST + cpu_tuple_cost);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &path_methods;

	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->consider_parallel = false;
	add_path(rel, (Path *) path);
}

static void
set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti,
				 RangeTblEntry *rte)
{
	const TessTable *table;

	if (next_set_rel_pathlist)
		next_set_rel_pathlist(root, rel, rti, rte);
	if (rte->rtekind != RTE_RELATION || IS_DUMMY_REL(rel))
		return;
	table = distributed_table(rte->relid);
	if (table == NULL)
		return;
	refuse_recheck(root, rel, table);
	refuse_lateral_sample(rte, table);
	replace_paths(root, rel, table);
}

/* The plan --------------------------------------------------------------- */

/* A scan in the making. */
typedef struct ScanDraft
{
	RelOptInfo *rel;
	Path *path;
	RangeTblEntry *rte;
	const TessTable *table;
	TessTravel travel;
	TessBindings bindings;
	List *sent;	 /* conditions for the nodes, over varno 1 */
	List *local; /* conditions checked here */
	TessColumns *columns;
} ScanDraft;

/* Expressions over the scan's relation as they are written for a node. */
static Node *
renumber_mutator(Node *node, RelOptInfo *rel)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == rel->relid)
	{
		Var *var = (Var *) copyObject(node);

		var->varno = 1;
		var->varnosyn = 0;
		var->varattnosyn = 0;
		return (Node *) var;
	}
	return expression_tree_mutator(node, renumber_mutator, rel);
}

/*
 * Parts the conditions; those that travel are bound and renumbered.  Those
 * with columns of other relations (LATERAL) are checked here, where core makes
 * parameters of these columns later.
 */
static void
split_clauses(ScanDraft *draft, List *clauses)
{
	Index level = draft->rel->baserestrict_min_security;
	ListCell *cell;

	foreach(cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		List *before = list_copy(draft->bindings.exprs);
		Node *bound;

		if (rinfo->pseudoconstant)
			continue;
		if ((rinfo->security_level <= level || rinfo->leakproof) &&
			bms_is_subset(rinfo->clause_relids, draft->rel->relids) &&
			!contain_volatile_functions((Node *) rinfo->clause))
		{
			bound = tess_bind(&draft->bindings,
							  renumber_mutator((Node *) rinfo->clause,
											   draft->rel));
			if (tess_travels(&draft->travel, bound))
			{
				draft->sent = lappend(draft->sent, bound);
				continue;
			}
			draft->bindings.exprs = before;
		}
		draft->local = lappend(draft->local, rinfo->clause);
	}
}

static void
choose_columns(ScanDraft *draft)
{
	draft->columns = tess_columns_make(draft->rte->relid, draft->rel->relid);
	tess_columns_add_vars_of(draft->columns,
							 (Node *) draft->path->pathtarget->exprs);
	tess_columns_add_vars_of(draft->columns, (Node *) draft->local);
	tess_columns_add_any(draft->columns, false);
}

/* SELECT columns FROM table WHERE conditions [FOR UPDATE] */
static Query *
make_query(ScanDraft *draft, List *conditions)
{
	Query *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	RangeTblEntry *rte = copyObject(draft->rte);
	LockClauseStrength strength;
	LockWaitPolicy policy;

	rte->securityQuals = NIL;
	rte->enrname = NULL;
	rte->requiredPerms = ACL_SELECT;
	rte->checkAsUser = InvalidOid;
	rte->inFromCl = true;
	rte->inh = true; /* no children; core has noticed and said ONLY */
	if (rte->tablesample != NULL)
		rte->tablesample = (TableSampleClause *)
			tess_bind(&draft->bindings, (Node *) rte->tablesample);

	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref),
								   conditions == NIL
									   ? NULL
									   : (Node *) make_ands_explicit(conditions));
	query->targetList = draft->columns->node_tlist;
	if (tess_mark_of(draft->rte, &strength, &policy))
	{
		RowMarkClause *mark = makeNode(RowMarkClause);

		mark->rti = 1;
		mark->strength = strength;
		mark->waitPolicy = policy;
		query->rowMarks = list_make1(mark);
		query->hasForUpdate = true;
	}
	return query;
}

/* The template; conditions that cannot be written are checked here instead. */
static List *
make_template(ScanDraft *draft, List *clauses)
{
	const char *reason = NULL;
	List *template = tess_deparse_query(make_query(draft, draft->sent), &reason);

	if (template == NIL && draft->sent != NIL)
	{
		draft->sent = NIL;
		draft->bindings.exprs = NIL;
		draft->local = extract_actual_clauses(clauses, false);
		choose_columns(draft);
		template = tess_deparse_query(make_query(draft, NIL), &reason);
	}
	if (template == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not write a query of table \"%s\" for its shards",
						draft->table->name),
				 reason ? errdetail_internal("%s", reason) : 0));
	return template;
}

static TessFragment *
make_fragment(ScanDraft *draft, List *template)
{
	TessFragment *fragment = tess_fragment_make();
	LockClauseStrength strength;
	LockWaitPolicy policy;

	fragment->command = CMD_SELECT;
	fragment->target = TESS_TO_SHARDS;
	fragment->anchor = draft->rte->relid;
	fragment->relations = list_make1_oid(draft->rte->relid);
	fragment->template = template;
	fragment->param_types = tess_binding_types(&draft->bindings);
	fragment->locks_rows = tess_mark_of(draft->rte, &strength, &policy);
	fragment->role = draft->rte->checkAsUser;
	tess_columns_describe(draft->columns, fragment);
	return fragment;
}

/*
 * Core may ask for all columns, because a scan of a heap gives them for
 * nothing.  Here they would have to be fetched.
 */
static List *
needed_tlist(ScanDraft *draft, List *tlist)
{
	List *vars = pull_var_clause((Node *) tlist, PVC_RECURSE_PLACEHOLDERS);
	ListCell *cell;

	foreach(cell, vars)
	{
		Var *var = lfirst_node(Var, cell);
		ListCell *inner;

		foreach(inner, draft->columns->scan_tlist)
		{
			Var *column = (Var *) lfirst_node(TargetEntry, inner)->expr;

			if (column->varattno == var->varattno &&
				column->vartype == var->vartype)
				break;
		}
		if (inner == NULL && var->varno == draft->rel->relid)
			return make_tlist_from_pathtarget(draft->path->pathtarget);
	}
	return tlist;
}

static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
		  List *tlist, List *clauses, List *custom_plans)
{
	ScanDraft draft = {rel, &path->path};
	CustomScan *scan = makeNode(CustomScan);
	TessFragment *fragment;
	List *template;
	Expr *prune;

	draft.rte = planner_rt_fetch(rel->relid, root);
	draft.table = tess_meta_table(draft.rte->relid);
	draft.bindings.travel = &draft.travel;
	tess_travel_add(&draft.travel, draft.rte->relid);

	split_clauses(&draft, clauses);
	choose_columns(&draft);
	template = make_template(&draft, clauses);
	fragment = make_fragment(&draft, template);

	scan->custom_exprs = draft.bindings.exprs;
	prune = prune_of(rel, draft.table);
	if (prune != NULL)
	{
		fragment->has_prune = true;
		scan->custom_exprs = lappend(list_copy(scan->custom_exprs), prune);
	}

	scan->scan.plan.targetlist = needed_tlist(&draft, tlist);
	scan->scan.plan.qual = draft.local;
	scan->scan.scanrelid = rel->relid;
	scan->flags = path->flags;
	scan->custom_scan_tlist = draft.columns->scan_tlist;
	scan->custom_private = list_make1(fragment);
	scan->methods = GetCustomScanMethods(TESS_SCAN_METHODS, false);
	tess_frame_add_scan();
	return (Plan *) scan;
}

/* Installs the hooks. */
void
tess_relation_scan_init(void)
{
	next_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = set_rel_pathlist;
	next_get_relation_info = get_relation_info_hook;
	get_relation_info_hook = set_relation_info;
}
