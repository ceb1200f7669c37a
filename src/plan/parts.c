/*
 * parts.c - parts of WITH that change our tables.
 *
 * Each becomes the source of a change (change.c) in its place, or is planned by
 * core and repeated (dml_repeat.c).  It is kept from
 * being inlined or left out, and TesseraModify sees to it that it is run to the
 * end.  All parts see the state before the statement: scans that have not asked
 * the nodes are made to before the first write to what they read.  Two parts
 * that write to one table cannot be in one statement, since what the second
 * would do depends on the first.
 */
#include "postgres.h"

#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "plan/plan_internal.h"

/* The change of a table of ours that a part of WITH is, or NULL. */
static Query *
change_in(CommonTableExpr *cte)
{
	Query *query = castNode(Query, cte->ctequery);

	if (query->commandType == CMD_SELECT || query->resultRelation == 0 ||
		tess_meta_table(rt_fetch(query->resultRelation, query->rtable)->relid) ==
			NULL)
		return NULL;
	return query;
}

/* Adds what a change writes to; fails if it is written to already. */
static List *
add_written(List *written, const Query *query)
{
	Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	List *own = list_make1_oid(relation);
	ListCell *cell;

	if (query->commandType != CMD_INSERT)
		own = tess_relation_cascades(own, relation, false);
	foreach(cell, own)
	{
		if (list_member_oid(written, lfirst_oid(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("two parts of a statement cannot change table \"%s\"",
							get_rel_name(lfirst_oid(cell))),
					 errdetail("Parts of WITH run in no certain order."),
					 errhint(
						 "Use one statement for each change, in one transaction.")));
	}
	return list_concat(written, own);
}

static void
check_targets(TessJob *job)
{
	List *written = NIL;
	ListCell *cell;

	if (job->survey->target != NULL)
		written = add_written(written, job->parse);
	foreach(cell, job->parse->cteList)
	{
		Query *query = change_in(lfirst_node(CommonTableExpr, cell));

		if (query != NULL)
			written = add_written(written, query);
	}
}

/* Turns the parts of WITH that change our tables into sources, or marks them as
 * changes that are repeated; in place. */
void
tess_parts_plan(TessJob *job)
{
	ListCell *cell;

	if (!OidIsValid(job->survey->nested_target))
		return;
	check_targets(job);
	foreach(cell, job->parse->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		Query *query = change_in(cte);
		TessJob part = *job;

		if (query == NULL)
			continue;
		part.parse = query;
		part.survey = tess_survey_make(query);
		part.changes_key = false;
		part.reason = NULL;
		tess_refuse_unsupported(&part);
		if (tess_must_repeat(&part))
		{
			tess_repeat_mark(&part);
			continue;
		}
		cte->ctequery = (Node *) tess_change_source(&part);
		cte->ctematerialized = CTEMaterializeAlways;
		cte->cterefcount = Max(cte->cterefcount, 1);
	}
}
