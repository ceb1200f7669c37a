/*
 * router.c - statements that are bound to one shard are sent to it whole.
 *
 * All distributed tables of the tree, read or written, are pinned to one value of
 * one group's key (pin.c), nothing but reference tables, which it does not
 * change, stands beside them, and every expression may travel.  Then the shard's
 * answer is the answer, whatever the statement contains.  For a value that turns
 * out NULL no row anywhere can match, so any shard gives the right answer; if
 * rows are inserted with it, that of NULL, which is asked then.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "deparse/deparse.h"
#include "plan/plan_internal.h"
#include "route/route.h"

/* So many values of a statement are better sent as rows. */
#define MAX_PARAMETERS 1000

static bool
give_up(TessJob *job, const char *reason)
{
	job->reason = reason;
	return false;
}

/* True if all tables that are changed are distributed. */
static bool
changes_shards_alone(const TessSurvey *survey)
{
	ListCell *cell;

	foreach(cell, survey->changed)
		if (tess_meta_table(lfirst_oid(cell))->kind != TESS_DISTRIBUTED)
			return false;
	return true;
}

/* True if rows that are changed stay in their shard. */
static bool
keeps_keys(TessJob *job)
{
	ListCell *cell;

	foreach(cell, job->parse->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->commandType == CMD_UPDATE &&
			tess_action_changes_key(job, action))
			return false;
	}
	return !job->changes_key && tess_parts_keep_keys(job);
}

/* See plan_internal.h: what only the statement's form decides. */
bool
tess_may_send_whole(TessJob *job)
{
	TessSurvey *survey = job->survey;

	if (survey->distributed == NIL)
		return give_up(job, "It names no distributed table.");
	if (survey->has_local)
		return give_up(job, "It names tables that nodes do not have.");
	if (!changes_shards_alone(survey))
		return give_up(job, "It changes all copies of a reference table.");
	if (!keeps_keys(job))
		return give_up(job, "It may change keys of rows.");
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

/* See plan_internal.h. */
PlannedStmt *
tess_send_plan(TessJob *job, TessFragment *fragment, List *output, List *exprs)
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
	if (list_length(bindings->exprs) > MAX_PARAMETERS)
	{
		job->reason = "It has too many values that are computed here.";
		return NULL;
	}
	if (!tess_travels(travel, (Node *) sent))
	{
		job->reason = "An expression cannot be evaluated on a node.";
		return NULL;
	}
	fragment->template = tess_deparse_query(sent, &job->reason);
	return fragment->template != NIL ? sent : NULL;
}

/* See plan_internal.h. */
PlannedStmt *
tess_send_whole(TessJob *job, TessTarget target, const TessTable *anchor,
				Expr *prune)
{
	Query *parse = job->parse;
	bool reads = parse->commandType == CMD_SELECT;
	TessFragment *fragment = tess_fragment_make();
	TessBindings bindings = {NULL};
	Query *sent = prepare(job, fragment, &bindings);

	if (sent == NULL)
		return NULL;
	tess_fragment_describe(fragment,
						   reads ? sent->targetList : sent->returningList);
	fragment->command = parse->commandType;
	fragment->target = target;
	fragment->anchor = anchor->relation;
	fragment->param_types = tess_binding_types(&bindings);
	fragment->has_prune = prune != NULL;
	fragment->locks_rows = job->survey->locks_distributed;
	fragment->sets_count = !reads && parse->canSetTag;
	fragment->changed = list_copy(job->survey->changed);

	if (prune != NULL)
		bindings.exprs = lappend(bindings.exprs, prune);
	/* the columns of parse have type modifiers, which parameters have not */
	return tess_send_plan(job, fragment,
						  reads ? parse->targetList : parse->returningList,
						  bindings.exprs);
}

/* Sends the whole statement to one shard; NULL if it is not bound to one. */
PlannedStmt *
tess_route_statement(TessJob *job)
{
	const TessTable *anchor;
	Expr *prune;

	if (!tess_may_send_whole(job))
		return NULL;
	if (job->parse->commandType == CMD_INSERT &&
		list_length(job->survey->distributed) == 1)
	{
		job->reason = "Its rows do not come from distributed tables.";
		return NULL;
	}
	prune = tess_pin_find(job, &anchor);
	if (prune == NULL)
	{
		job->reason = "Its tables are not bound to one value of the key.";
		return NULL;
	}
	return tess_send_whole(job, TESS_TO_ONE_SHARD, anchor, prune);
}
