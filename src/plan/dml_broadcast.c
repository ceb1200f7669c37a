/*
 * dml_broadcast.c - UPDATE and DELETE that every shard (or every copy of a
 * reference table) can run on its own: they name no other table, and all their
 * expressions travel.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "deparse/deparse.h"
#include "plan/plan_internal.h"
#include "route/route.h"

/* Only the target, and no subqueries, not in RETURNING either. */
static bool
names_target_alone(Query *parse)
{
	Bitmapset *used = tess_survey_used(parse);
	int only;

	return parse->cteList == NIL && !parse->hasSubLinks &&
		   bms_get_singleton_member(used, &only) &&
		   only == parse->resultRelation;
}

/* The conditions on rows, of WHERE and of views' joins, as a list. */
static List *
conditions_of(Query *parse)
{
	return make_ands_implicit((Expr *) parse->jointree->quals);
}

static Query *
sent_query(TessJob *job, TessBindings *bindings, TessColumns *columns)
{
	Query *parse = job->parse;
	Query *query = tess_query_make(job, parse->commandType);
	Index target = parse->resultRelation;

	query->jointree->quals = tess_bind(bindings,
									   tess_renumber(parse->jointree->quals,
													 target, 0));
	if (parse->commandType == CMD_UPDATE)
		query->targetList = (List *)
			tess_bind(bindings,
					  tess_renumber((Node *) parse->targetList, target, 0));
	if (!tess_travels(bindings->travel, query->jointree->quals) ||
		!tess_travels(bindings->travel, (Node *) query->targetList))
	{
		job->reason = "An expression cannot be evaluated on a node.";
		return NULL;
	}
	query->returningList = columns->node_tlist;
	return query;
}

/* RETURNING over the tuple of the scan. */
static List *
returning_tlist(TessJob *job, TessColumns *columns, PlannedStmt *stmt)
{
	List *tlist = NIL;
	ListCell *cell;

	foreach(cell, job->parse->returningList)
	{
		TargetEntry *tle = copyObject(lfirst_node(TargetEntry, cell));
		List *ready = tess_expressions_finish(list_make1(tle->expr), stmt);

		tle->expr = (Expr *) tess_columns_rebase(columns, linitial(ready));
		tlist = lappend(tlist, tle);
	}
	return tlist;
}

/* The plan: one scan. */
static PlannedStmt *
make_plan(TessJob *job, TessFragment *fragment, TessColumns *columns, List *exprs)
{
	PlannedStmt *stmt = tess_statement_make(job, NULL);
	CustomScan *scan = tess_scan_make(TESS_SCAN_METHODS, fragment,
									  columns->scan_tlist,
									  returning_tlist(job, columns, stmt),
									  tess_expressions_finish(exprs, stmt));

	if (columns->scan_tlist != NIL)
		scan->custom_relids = bms_make_singleton(job->parse->resultRelation);
	stmt->planTree = (Plan *) scan;
	return stmt;
}

/* Sends the statement to all shards that it may concern; NULL if it names
 * other tables or has expressions that do not travel. */
PlannedStmt *
tess_plan_broadcast(TessJob *job)
{
	Query *parse = job->parse;
	const TessTable *table = job->survey->target;
	TessFragment *fragment;
	TessTravel travel = {NIL};
	TessBindings bindings = {&travel};
	TessColumns *columns;
	Query *query;
	List *template;
	Expr *prune = NULL;

	if (!names_target_alone(parse))
	{
		job->reason = "It names other tables.";
		return NULL;
	}
	columns = tess_returning_columns(job);
	tess_travel_add(&travel, table->relation);
	query = sent_query(job, &bindings, columns);
	if (query == NULL)
		return NULL;
	template = tess_deparse_query(query, &job->reason);
	if (template == NIL)
		return NULL;

	fragment = tess_fragment_make();
	tess_change_describe(job, fragment, columns);
	fragment->template = template;
	fragment->param_types = tess_binding_types(&bindings);
	if (table->kind == TESS_DISTRIBUTED)
		prune = tess_prune_make(conditions_of(parse), parse->resultRelation,
								table);
	if (prune != NULL)
	{
		fragment->has_prune = true;
		bindings.exprs = lappend(bindings.exprs, prune);
	}
	return make_plan(job, fragment, columns, bindings.exprs);
}
