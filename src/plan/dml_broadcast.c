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

/* Only the target, and no subqueries. */
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
	if (!tess_returning_columns(job, &columns))
		return NULL;
	tess_travel_add(&travel, table->relation);
	query = sent_query(job, &bindings, columns);
	if (query == NULL)
		return NULL;
	template = tess_deparse_query(query, &job->reason);
	if (template == NIL)
		return NULL;

	fragment = tess_fragment_make();
	fragment->command = parse->commandType;
	fragment->template = template;
	fragment->param_types = tess_binding_types(&bindings);
	if (table->kind == TESS_DISTRIBUTED)
	{
		fragment->target = TESS_TO_SHARDS;
		prune = tess_prune_make(conditions_of(parse), parse->resultRelation,
								table);
	}
	else
		fragment->target = TESS_TO_ALL_COPIES;
	if (prune != NULL)
	{
		fragment->has_prune = true;
		bindings.exprs = lappend(bindings.exprs, prune);
	}
	return tess_modify_finish(job, tess_statement_make(job, NULL),
							  TESS_SCAN_METHODS, fragment, columns,
							  bindings.exprs);
}
