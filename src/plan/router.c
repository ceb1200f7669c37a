/*
 * router.c - statements that are bound to one shard are sent to it whole.
 *
 * All distributed tables of the tree are pinned to one value of one group's
 * key (pin.c), nothing but reference tables stands beside them, and every
 * expression may travel.  Then the shard's answer is the answer, whatever the
 * statement contains.  A value that turns out NULL pins to no shard: no row
 * anywhere can match, so any shard gives the right answer.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "deparse/deparse.h"
#include "plan/plan_internal.h"
#include "route/route.h"

static bool
give_up(TessJob *job, const char *reason)
{
	job->reason = reason;
	return false;
}

/* What only the statement's form decides. */
static bool
may_route(TessJob *job)
{
	TessSurvey *survey = job->survey;
	Query *parse = job->parse;

	if (parse->commandType == CMD_INSERT || parse->commandType == CMD_MERGE)
		return give_up(job, "It is not a SELECT, UPDATE or DELETE.");
	if (survey->distributed == NIL)
		return give_up(job, "It names no distributed table.");
	if (survey->has_local)
		return give_up(job, "It names tables that nodes do not have.");
	if (parse->commandType != CMD_SELECT &&
		(survey->target == NULL || survey->target->kind != TESS_DISTRIBUTED))
		return give_up(job, "Its target is not a distributed table.");
	if (parse->hasModifyingCTE || OidIsValid(survey->nested_target))
		return give_up(job, "It has data-modifying WITH queries.");
	if (survey->has_security)
		return give_up(job, "It is subject to row security or view checks.");
	if (survey->has_other_role)
		return give_up(job, "It reads a view of another owner.");
	if (survey->locks_reference)
		return give_up(job, "It locks rows of a reference table.");
	return true;
}

/* OIDs of our tables in the statement. */
static List *
relations_of(TessSurvey *survey)
{
	List *relations = NIL;
	ListCell *cell;

	foreach(cell, survey->distributed)
		relations = list_append_unique_oid(relations,
										   lfirst_node(RangeTblEntry, cell)->relid);
	foreach(cell, survey->references)
		relations = list_append_unique_oid(relations,
										   lfirst_node(RangeTblEntry, cell)->relid);
	return relations;
}

/*
 * The scan's tuple is the node's row: columns of a stand-in entry, the first
 * of the range table, that carries their names for EXPLAIN.
 */
static RangeTblEntry *
describe_output(List *output, List **scan_tlist, List **tlist)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List *names = NIL;
	ListCell *cell;
	AttrNumber resno = 0;

	*scan_tlist = NIL;
	*tlist = NIL;
	foreach(cell, output)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);
		Node *expr = (Node *) tle->expr;
		TargetEntry *shown;
		char *name = tle->resname ? tle->resname : "?column?";

		if (tle->resjunk)
			continue;
		resno++;
		names = lappend(names, makeString(pstrdup(name)));
		*scan_tlist = lappend(*scan_tlist,
							  makeTargetEntry((Expr *) makeVar(1, resno,
															   exprType(expr),
															   exprTypmod(expr),
															   exprCollation(expr),
															   0),
											  resno, NULL, false));
		shown = makeTargetEntry((Expr *) makeVar(INDEX_VAR, resno,
												 exprType(expr), exprTypmod(expr),
												 exprCollation(expr), 0),
								resno, tle->resname, false);
		shown->ressortgroupref = tle->ressortgroupref;
		shown->resorigtbl = tle->resorigtbl;
		shown->resorigcol = tle->resorigcol;
		*tlist = lappend(*tlist, shown);
	}

	rte->rtekind = RTE_SUBQUERY;
	rte->eref = makeAlias("shard", names);
	rte->alias = makeAlias("shard", NIL);
	return rte;
}

/* The plan: one scan, with the template and what is to be evaluated. */
static PlannedStmt *
make_plan(TessJob *job, TessFragment *fragment, List *output, List *exprs)
{
	List *scan_tlist;
	List *tlist;
	RangeTblEntry *rte;
	CustomScan *scan;
	PlannedStmt *stmt;

	rte = describe_output(output, &scan_tlist, &tlist);
	scan = tess_scan_make(TESS_SCAN_METHODS, fragment, scan_tlist, tlist, NIL);
	stmt = tess_statement_make(job, (Plan *) scan);
	stmt->rtable = lcons(rte, stmt->rtable);
	/* what the scan is of: not the stand-in, whose name EXPLAIN leaves out then */
	scan->custom_relids = bms_add_range(NULL, 2, list_length(stmt->rtable));
	scan->custom_exprs = tess_expressions_finish(exprs, stmt);
	return stmt;
}

/* The statement as sent, if it may be sent: its template in *fragment. */
static Query *
prepare(TessJob *job, TessFragment *fragment, TessBindings *bindings)
{
	TessTravel *travel = palloc0(sizeof(TessTravel));
	Query *sent;
	ListCell *cell;

	fragment->relations = relations_of(job->survey);
	foreach(cell, fragment->relations)
		tess_travel_add(travel, lfirst_oid(cell));
	travel->sublinks = true;

	bindings->travel = travel;
	bindings->exprs = NIL;
	sent = castNode(Query, tess_bind(bindings, (Node *) job->parse));
	if (!tess_travels(travel, (Node *) sent))
	{
		job->reason = "An expression cannot be evaluated on a node.";
		return NULL;
	}
	fragment->template = tess_deparse_query(sent, &job->reason);
	return fragment->template != NIL ? sent : NULL;
}

/* Sends the whole statement to one shard; NULL if it is not bound to one. */
PlannedStmt *
tess_route_statement(TessJob *job)
{
	Query *parse = job->parse;
	TessFragment *fragment;
	TessBindings bindings = {NULL};
	const TessTable *anchor;
	Expr *prune;
	Query *sent;
	List *output;

	if (!may_route(job))
		return NULL;
	prune = tess_pin_find(job, &anchor);
	if (prune == NULL)
	{
		job->reason = "Its tables are not bound to one value of the key.";
		return NULL;
	}

	fragment = tess_fragment_make();
	sent = prepare(job, fragment, &bindings);
	if (sent == NULL)
		return NULL;

	tess_fragment_describe(fragment, parse->commandType == CMD_SELECT
										 ? sent->targetList
										 : sent->returningList);
	/* the same, but with the type modifiers that parameters do not have */
	output = parse->commandType == CMD_SELECT ? parse->targetList
											  : parse->returningList;
	fragment->command = parse->commandType;
	fragment->target = TESS_TO_ONE_SHARD;
	fragment->anchor = anchor->relation;
	fragment->param_types = tess_binding_types(&bindings);
	fragment->has_prune = true;
	fragment->locks_rows = job->survey->locks_distributed;
	fragment->sets_count = parse->commandType != CMD_SELECT && parse->canSetTag;
	if (job->survey->target != NULL)
		fragment->changed = job->survey->target->relation;

	return make_plan(job, fragment, output, lappend(bindings.exprs, prune));
}
