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
#include "catalog/pg_class.h"
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
#include "parser/analyze.h"
#include "parser/parsetree.h"

#include "deparse/deparse.h"
#include "plan/plan_internal.h"
#include "route/route.h"

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
	const TessTable *table;

	if (next_get_relation_info)
		next_get_relation_info(root, relation, inhparent, rel);
	table = inhparent ? NULL : distributed_table(relation);
	if (table != NULL)
		tess_estimate_relation(table, rel);
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

/* As core does, which knows nothing of locks that scans of ours take. */
static void
refuse_nullable_lock(PlannerInfo *root, RelOptInfo *rel, const RangeTblEntry *rte)
{
	LockClauseStrength strength;
	LockWaitPolicy policy;
	ListCell *cell;

	if (!tess_mark_is_asked(rte) || !tess_mark_of(rte, &strength, &policy))
		return;
	foreach(cell, root->join_info_list)
	{
		const SpecialJoinInfo *join = lfirst_node(SpecialJoinInfo, cell);

		if (!bms_is_member(rel->relid, join->syn_righthand) &&
			!(join->jointype == JOIN_FULL &&
			  bms_is_member(rel->relid, join->syn_lefthand)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be applied to the nullable side of an outer join",
						LCS_asString(strength))));
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

/* A path of ours for all rows of rel, without costs. */
CustomPath *
tess_scan_path_make(PlannerInfo *root, RelOptInfo *rel,
					const CustomPathMethods *methods)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel,
													  rel->lateral_relids);
	path->path.rows = path->path.param_info ? path->path.param_info->ppi_rows
											: rel->rows;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = methods;
	return path;
}

/* It takes the place of core's.  core_paths: those that tell what it costs the
 * nodes to sort. */
void
tess_scan_path_replace(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
					   List *core_paths)
{
	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->consider_parallel = false;
	add_path(rel, (Path *) path);
	tess_sorted_add_path(root, rel, core_paths, &path->path);
}

static void
replace_paths(PlannerInfo *root, RelOptInfo *rel, const TessTable *table)
{
	CustomPath *path = tess_scan_path_make(root, rel, &path_methods);
	bool exact;
	Bitmapset *shards;

	shards = tess_prune_estimate(tess_prune_make(rel->baserestrictinfo,
												 rel->relid, table),
								 root->glob->boundParams, table->group, &exact);
	tess_cost_scan(&path->path, bms_num_members(shards),
				   table->group->shard_count);
	if (tess_locks_rows(root, rel))
		path->path.total_cost += tess_cost_locked(&path->path);
	tess_scan_path_replace(root, rel, path, rel->pathlist);
}

static void
set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti,
				 RangeTblEntry *rte)
{
	const TessTable *table;

	if (next_set_rel_pathlist)
		next_set_rel_pathlist(root, rel, rti, rte);
	if (IS_DUMMY_REL(rel))
		return;
	if (tess_fragment_of(rte) != NULL)
		tess_fragment_set_paths(root, rel, tess_fragment_of(rte));
	/* partitions that core has found are scanned one by one */
	if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_PARTITIONED_TABLE)
		return;
	table = distributed_table(rte->relid);
	if (table == NULL)
		return;
	if (tess_fragment_is_around(root))
	{
		/* what it would cost if all rows were here is what it costs there */
		rel->partial_pathlist = NIL;
		rel->consider_parallel = false;
		return;
	}
	refuse_recheck(root, rel, table);
	refuse_nullable_lock(root, rel, rte);
	refuse_lateral_sample(rte, table);
	replace_paths(root, rel, table);
}

/* The plan --------------------------------------------------------------- */

/* Conditions that cannot be written are checked here instead. */
static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, struct CustomPath *path,
		  List *tlist, List *clauses, List *custom_plans)
{
	TessDraft *draft = tess_draft_make(root, rel);
	const char *reason = NULL;

	tess_draft_split(draft, clauses);
	tess_draft_add_columns(draft, path->path.pathtarget);
	if (!tess_draft_write(draft, &reason) && draft->sent != NIL)
	{
		tess_draft_keep_all(draft, clauses);
		tess_draft_add_columns(draft, path->path.pathtarget);
		(void) tess_draft_write(draft, &reason);
	}
	if (draft->template == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not write a query of table \"%s\" for its shards",
						draft->table->name),
				 reason ? errdetail_internal("%s", reason) : 0));

	return (Plan *) tess_draft_plan(root, draft, &path->path, tlist);
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
