/*
 * plan_hook.c - planner_hook: the strategies in their order, and the errors
 * when none of them can.
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "local/local.h"
#include "plan/plan_internal.h"
#include "plan/shared_plan.h"

static planner_hook_type next_planner = NULL;

/* A shell that core is altering. */
static Oid altered;

/*
 * A plan that leaves functions to the nodes depends on these, on which nodes
 * there are, and on what they hold.  Core does not see it in the plan.
 */
static void
depend_on_functions(PlannedStmt *stmt)
{
	ListCell *cell;

	if (tess_frame_current()->uses_objects)
		stmt->relationOids = lappend_oid(stmt->relationOids,
										 tess_catalog_relation_oid("object"));
	if (tess_frame_current()->functions == NIL &&
		!tess_frame_current()->uses_objects)
		return;
	foreach(cell, tess_frame_current()->functions)
	{
		PlanInvalItem *item = makeNode(PlanInvalItem);

		item->cacheId = PROCOID;
		item->hashValue = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(
															 lfirst_oid(cell)));
		stmt->invalItems = lappend(stmt->invalItems, item);
	}
	stmt->relationOids = lappend_oid(stmt->relationOids,
									 tess_catalog_relation_oid("node"));
}

static PlannedStmt *
core_planner(Query *parse, TessJob *job)
{
	if (next_planner)
		return next_planner(parse, job->query_string, job->cursor_options,
							job->bound_params);
	return standard_planner(parse, job->query_string, job->cursor_options,
							job->bound_params);
}

/*
 * Core's planner (and other extensions') over a query of ours or of the
 * user's, changed in place.
 */
PlannedStmt *
tess_plan_rest(TessJob *job, Query *query)
{
	TessJob rest = *job;
	bool rechecks;

	tess_inline_ctes(query);
	rechecks = tess_row_marks_move(query);
	tess_frame_current()->rechecks = rechecks;
	/* a part of WITH is run as a whole, whatever else is checked again */
	tess_frame_current()->narrows = (!rechecks || job->survey->target != NULL) &&
									!tess_ship_may_write_before(query);
	if (!query->hasModifyingCTE)
	{
		TessSurvey *survey = tess_survey_make(query);

		tess_frame_current()->ships = !rechecks && !job->parse->hasModifyingCTE &&
									  !tess_ship_may_write(query);
		if (!rechecks)
			tess_decorrelate(survey, query);
		tess_split(survey, query);
	}
	if (rechecks)
		tess_row_marks_fence(query);

	/* nodes are not asked in parallel mode, not even by the leader */
	if (rechecks || job->survey->distributed != NIL ||
		query->commandType != CMD_SELECT || job->parse->commandType != CMD_SELECT)
		rest.cursor_options &= ~CURSOR_OPT_PARALLEL_OK;
	return core_planner(query, &rest);
}

/* The source of a change of one of our tables, or an error. */
Query *
tess_change_source(TessJob *job)
{
	if (job->parse->commandType == CMD_INSERT)
		return tess_insert_source(job);
	tess_assign_something(job);
	if (job->parse->commandType == CMD_MERGE)
		return tess_merge_source(job);
	return tess_apply_source(job);
}

/* An INSERT whose rows are computed by any plan of its kind; NULL: it is none. */
static PlannedStmt *
plan_shared_insert(TessJob *job)
{
	Query *source;

	if (job->parse->commandType != CMD_INSERT || job->survey->target == NULL ||
		job->survey->target->kind != TESS_DISTRIBUTED || job->changes_key ||
		!tess_on_conflict_suits_nodes(job))
		return NULL;
	source = tess_insert_source(job);
	return source != NULL ? tess_change_plan(job, source) : NULL;
}

/* A SELECT that may be nothing but a scan of one table. */
static bool
is_scan_of_table(const Query *query)
{
	return list_length(query->rtable) == 1 && query->cteList == NIL &&
		   query->groupClause == NIL && query->groupingSets == NIL &&
		   query->havingQual == NULL && query->windowClause == NIL &&
		   query->distinctClause == NIL && query->sortClause == NIL &&
		   query->limitCount == NULL && query->limitOffset == NULL &&
		   query->rowMarks == NIL && !query->hasAggs && !query->hasSubLinks &&
		   !query->hasTargetSRFs;
}

/* A statement of several shards whose plan is one scan, or sends rows, whatever the
 * values are; NULL: it may be anything. */
static PlannedStmt *
plan_shared(TessJob *job)
{
	Query *parse = job->parse;

	switch (parse->commandType)
	{
		case CMD_INSERT:
			return plan_shared_insert(job);
		case CMD_UPDATE:
		case CMD_DELETE:
			if (job->survey->target == NULL || parse->cteList != NIL ||
				job->survey->target->kind != TESS_DISTRIBUTED || job->changes_key)
				return NULL;
			return tess_plan_broadcast(job);
		case CMD_SELECT:
			return is_scan_of_table(parse) ? tess_plan_rest(job, parse) : NULL;
		default:
			return NULL;
	}
}

static PlannedStmt *
plan_change(TessJob *job)
{
	CmdType command = job->parse->commandType;
	const TessTable *table = job->survey->target;
	PlannedStmt *stmt = NULL;

	if ((command == CMD_UPDATE || command == CMD_DELETE) && !job->changes_key &&
		(table->kind == TESS_DISTRIBUTED || !table->has_triggers))
	{
		stmt = tess_plan_broadcast(job);
		if (stmt != NULL)
			return stmt;
	}
	if (tess_must_repeat(job))
		return tess_plan_repeat(job);
	stmt = tess_plan_colocated(job);
	if (stmt != NULL)
		return stmt;
	return tess_change_plan(job, tess_change_source(job));
}

static PlannedStmt *
plan_ours(TessJob *job)
{
	PlannedStmt *stmt;

	tess_refuse_unsupported(job);
	if (job->survey->target != NULL)
		tess_assign_something(job);
	/* before its parts become others */
	stmt = tess_route_statement(job);
	if (stmt != NULL)
		return stmt;
	if (job->is_shared)
		return plan_shared(job);
	if (job->reason != NULL)
		ereport(DEBUG1, (errmsg_internal("statement is not routed to one shard"),
						 errdetail_internal("%s", job->reason)));
	tess_early_reads_mark(job);
	tess_parts_plan(job);
	if (job->survey->target != NULL)
		return plan_change(job);
	return tess_plan_rest(job, job->parse);
}

static PlannedStmt *
plan_in_frame(TessJob *job)
{
	PlannerGlobal inlined = {.type = T_PlannerGlobal};
	PlannedStmt *stmt;

	if (!tess_frame_current()->is_open)
		return core_planner(job->parse, job);
	job->survey = tess_survey_make(job->parse);
	if (job->is_shared && job->survey->has_functions)
		return NULL;
	if (job->survey->has_functions)
	{
		/* they may read tables of ours */
		tess_inline_functions(job->parse, &inlined);
		job->survey = tess_survey_make(job->parse);
	}
	if (tess_survey_is_ours(job->survey))
	{
		bool inherits = tess_calls_inheriting(job->parse);
		TessFired fired;
		bool fires = tess_statement_triggers_find(job, &fired);

		tess_fold_partitions(job->survey, job->parse);
		stmt = plan_ours(job);
		if (stmt == NULL)
			return NULL;
		if (fires)
			tess_fired_attach(stmt, &fired);
		if (inherits)
			tess_mark_inheriting(stmt);
	}
	else
		stmt = core_planner(job->parse, job);
	stmt->invalItems = list_concat(stmt->invalItems, inlined.invalItems);
	stmt->dependsOnRole |= inlined.dependsOnRole;
	return stmt;
}

/* Plans a statement in a frame of its own.  NULL only if the plan should be
 * shared, and cannot be. */
PlannedStmt *
tess_plan_in_frame(TessJob *job, bool is_open)
{
	TessFrame inner = {.context = CurrentMemoryContext, .is_open = is_open};
	PlannedStmt *stmt;

	tess_frame_push(&inner);
	PG_TRY();
	{
		stmt = plan_in_frame(job);
		if (stmt != NULL)
			depend_on_functions(stmt);
	}
	PG_FINALLY();
	{
		tess_frame_pop(&inner);
	}
	PG_END_TRY();
	if (stmt == NULL)
		return NULL;

	/* our scan may have come with an inlined function: without the mode, a
	 * Gather runs its plan in this process */
	if (inner.scans != NIL)
		stmt->parallelModeNeeded = false;
	tess_columns_name_shards(stmt, inner.scans);
	tess_number_whole(stmt);
	return stmt;
}

Oid
tess_plan_note_altered(Oid relation)
{
	Oid before = altered;

	altered = relation;
	return before;
}

/* A table, or a partition of one, that is being altered. */
static bool
is_altered(Oid relation)
{
	return relation == altered ||
		   (get_rel_relispartition(relation) &&
			list_member_oid(get_partition_ancestors(relation), altered));
}

/* A user could write such an alias, but hardly ONLY with it. */
static bool
is_side_of_check(const RangeTblEntry *rte, const char *name)
{
	return rte->rtekind == RTE_RELATION && rte->alias != NULL &&
		   strcmp(rte->alias->aliasname, name) == 0 &&
		   (!rte->inh || rte->relkind == RELKIND_PARTITIONED_TABLE);
}

/*
 * Core looks for rows that violate a foreign key of, or to, the shell that it
 * alters (see RI_Initial_Check).  The shards are not altered yet, and will look
 * for themselves; a shell has no rows.
 */
static bool
is_check_of_altered(const Query *query)
{
	const RangeTblEntry *fk;
	const RangeTblEntry *pk;
	const TessTable *table;

	if (!OidIsValid(altered) || query->commandType != CMD_SELECT ||
		list_length(query->rtable) < 2)
		return false;
	fk = linitial_node(RangeTblEntry, query->rtable);
	pk = lsecond_node(RangeTblEntry, query->rtable);
	if (!is_side_of_check(fk, "fk") || !is_side_of_check(pk, "pk") ||
		(!is_altered(fk->relid) && !is_altered(pk->relid)))
		return false;
	table = tess_meta_table(fk->relid);
	return table != NULL && table->kind == TESS_DISTRIBUTED;
}

static PlannedStmt *
plan_hook(Query *parse, const char *query_string, int cursor_options,
		  ParamListInfo bound_params)
{
	TessJob job = {parse, query_string, cursor_options, bound_params};
	bool is_open = !tess_local_consume_passthrough() &&
				   !tess_local_is_planning(query_string) && tess_is_active() &&
				   !is_check_of_altered(parse);
	TessGuard *guard = is_open ? tess_guard_make(parse) : NULL;
	PlannedStmt *stmt = NULL;

	if (is_open)
		stmt = tess_plan_function(&job);
	if (stmt == NULL && is_open)
		stmt = tess_plan_shared(&job);
	if (stmt == NULL)
		stmt = tess_plan_in_frame(&job, is_open);
	if (is_open)
		tess_cursor_plan(stmt, cursor_options);
	/* whose rows they are, the guard has asked for this role */
	stmt->dependsOnRole |= tess_in_shard_call();
	if (guard != NULL)
		tess_guard_attach(stmt, guard,
						  tess_expressions_finish(guard->prunes, stmt));
	return stmt;
}

/* Installs the planner's hooks. */
void
tess_plan_init(void)
{
	next_planner = planner_hook;
	planner_hook = plan_hook;
	tess_relation_scan_init();
	tess_ship_join_init();
	tess_upper_paths_init();
	tess_change_init();
	tess_shared_cache_init();
}
