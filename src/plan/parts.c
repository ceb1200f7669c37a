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

#include "access/relation.h"
#include "commands/trigger.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

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

/* The tables whose rows a trigger of the table's foreign keys changes. */
static List *
add_cascades(List *written, Oid relation)
{
	Relation rel = relation_open(relation, AccessShareLock);
	int count = rel->trigdesc != NULL ? rel->trigdesc->numtriggers : 0;
	List *added = NIL;
	ListCell *cell;

	for (int i = 0; i < count; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_PK ||
			trigger->tgfoid == F_RI_FKEY_NOACTION_DEL ||
			trigger->tgfoid == F_RI_FKEY_NOACTION_UPD ||
			trigger->tgfoid == F_RI_FKEY_RESTRICT_DEL ||
			trigger->tgfoid == F_RI_FKEY_RESTRICT_UPD ||
			list_member_oid(written, trigger->tgconstrrelid))
			continue;
		added = list_append_unique_oid(added, trigger->tgconstrrelid);
	}
	relation_close(rel, NoLock);
	written = list_concat(written, added);
	foreach(cell, added)
		written = add_cascades(written, lfirst_oid(cell));
	return written;
}

/* Adds what a change writes to; fails if it is written to already. */
static List *
add_written(List *written, const Query *query)
{
	Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	List *own = list_make1_oid(relation);
	ListCell *cell;

	if (query->commandType != CMD_INSERT)
		own = add_cascades(own, relation);
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
		if (part.survey->target->kind == TESS_REFERENCE &&
			query->commandType != CMD_INSERT)
		{
			tess_repeat_mark(&part);
			continue;
		}
		cte->ctequery = (Node *) tess_change_source(&part);
		cte->ctematerialized = CTEMaterializeAlways;
		cte->cterefcount = Max(cte->cterefcount, 1);
	}
}
