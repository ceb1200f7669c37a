/*
 * survey.c - which tables does a statement name, and how?
 *
 * One walk over the analyzed and rewritten tree, subqueries, CTEs and sublinks
 * included.  Range table entries that are neither in FROM nor a target (the
 * rewriter leaves some, for privileges) do not count as read.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"

#include "fragment/fragment_internal.h"

static bool survey_walker(Node *node, TessSurvey *survey);
static void survey_query(Query *query, TessSurvey *survey, bool is_top);

/* The survey of a statement, in the caller's context. */
TessSurvey *
tess_survey_make(Query *parse)
{
	TessSurvey *survey = palloc0(sizeof(TessSurvey));

	survey_query(parse, survey, true);
	return survey;
}

/* See fragment.h. */
bool
tess_is_distributed(const RangeTblEntry *rte)
{
	const TessTable *table = rte->rtekind == RTE_RELATION
								 ? tess_meta_table(rte->relid)
								 : NULL;

	return table != NULL && table->kind == TESS_DISTRIBUTED;
}

static bool
reads_distributed_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return tess_is_distributed((RangeTblEntry *) node);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_distributed_walker,
								 context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, reads_distributed_walker, context);
}

/* See fragment.h. */
bool
tess_reads_distributed(Node *node)
{
	return reads_distributed_walker(node, NULL);
}

/* The relations of a query level that are in FROM or its target. */
Bitmapset *
tess_survey_used(Query *query)
{
	Bitmapset *used = NULL;

	if (query->jointree != NULL)
		used = get_relids_in_jointree((Node *) query->jointree, false);
	if (query->resultRelation > 0)
		used = bms_add_member(used, query->resultRelation);
	return used;
}

/* See fragment.h. */
int
tess_events_of_change(const Query *query)
{
	int events = 0;
	ListCell *cell;

	if (query->commandType != CMD_MERGE)
		events = TESS_EVENT(query->commandType);
	if (query->onConflict != NULL &&
		query->onConflict->action == ONCONFLICT_UPDATE)
		events |= TESS_EVENT(CMD_UPDATE);
	foreach(cell, query->mergeActionList)
	{
		CmdType action = lfirst_node(MergeAction, cell)->commandType;

		if (action != CMD_NOTHING)
			events |= TESS_EVENT(action);
	}
	return events;
}

static void
survey_relation(RangeTblEntry *rte, TessSurvey *survey)
{
	const TessTable *table = tess_meta_table(rte->relid);

	if (table == NULL)
	{
		survey->has_local = true;
		return;
	}
	if (table->kind == TESS_DISTRIBUTED)
		survey->distributed = lappend(survey->distributed, rte);
	else
		survey->references = lappend(survey->references, rte);
}

static void
survey_target(Query *query, TessSurvey *survey, bool is_top)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	const TessTable *table = tess_meta_table(rte->relid);

	if (table == NULL)
		return;
	survey->changed = list_append_unique_oid(survey->changed, rte->relid);
	if (is_top)
		survey->target = table;
	else
		survey->nested_target = rte->relid;
}

static void
survey_row_marks(Query *query, TessSurvey *survey)
{
	ListCell *cell;

	foreach(cell, query->rowMarks)
	{
		RowMarkClause *mark = lfirst_node(RowMarkClause, cell);
		RangeTblEntry *rte = rt_fetch(mark->rti, query->rtable);
		const TessTable *table = rte->rtekind == RTE_RELATION
									 ? tess_meta_table(rte->relid)
									 : NULL;

		if (table == NULL)
			continue;
		if (table->kind == TESS_DISTRIBUTED)
			survey->locks_distributed = true;
		else
			survey->locks_reference = true;
	}
}

static bool
calls_function(RangeTblEntry *rte)
{
	ListCell *cell;

	foreach(cell, rte->functions)
	{
		FuncExpr *call = (FuncExpr *) lfirst_node(RangeTblFunction, cell)->funcexpr;

		if (IsA(call, FuncExpr) && call->funcid >= FirstNormalObjectId)
			return true;
	}
	return false;
}

static void
survey_query(Query *query, TessSurvey *survey, bool is_top)
{
	Bitmapset *used = tess_survey_used(query);
	ListCell *cell;
	int rti = 0;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		rti++;
		if (rte->securityQuals != NIL || rte->security_barrier)
			survey->has_security = true;
		if (OidIsValid(rte->checkAsUser) && rte->checkAsUser != GetUserId())
			survey->has_other_role = true;
		if (rte->rtekind == RTE_RELATION && bms_is_member(rti, used))
			survey_relation(rte, survey);
		else if (rte->rtekind == RTE_NAMEDTUPLESTORE ||
				 rte->rtekind == RTE_TABLEFUNC)
			survey->has_local = true;
		else if (rte->rtekind == RTE_FUNCTION)
			survey->has_functions |= calls_function(rte);
	}

	if (query->resultRelation > 0)
		survey_target(query, survey, is_top);
	if (query->withCheckOptions != NIL)
		survey->has_security = true;
	survey_row_marks(query, survey);

	query_tree_walker(query, survey_walker, survey, 0);
}

static bool
survey_walker(Node *node, TessSurvey *survey)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		survey_query((Query *) node, survey, false);
		return false;
	}
	if (IsA(node, CurrentOfExpr))
		survey->has_current_of = true;
	return expression_tree_walker(node, survey_walker, survey);
}
