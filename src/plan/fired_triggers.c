/*
 * fired_triggers.c - which statement triggers of distributed tables a
 * statement fires.
 *
 * They are the shell's, and run once a statement, here, whatever way the
 * statement goes (exec/statement_triggers.c).  What other servers start by
 * themselves, with nobody here who knows of it, is refused: foreign keys that
 * carry a change on to a table with such triggers.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "plan/plan_internal.h"

#define ALL_CHANGES (TESS_EVENT(CMD_UPDATE) | TESS_EVENT(CMD_DELETE))

static bool
assigns_referenced(const Query *query, Oid relation)
{
	ListCell *cell;

	if (query->commandType == CMD_UPDATE &&
		tess_assigns_referenced(query->targetList, relation))
		return true;
	if (query->onConflict != NULL &&
		tess_assigns_referenced(query->onConflict->onConflictSet, relation))
		return true;
	foreach(cell, query->mergeActionList)
	{
		const MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->commandType == CMD_UPDATE &&
			tess_assigns_referenced(action->targetList, relation))
			return true;
	}
	return false;
}

static void
refuse_cascade(Oid relation, Oid carried)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot change table \"%s\" because table \"%s\" has statement triggers",
					get_rel_name(relation), get_rel_name(carried)),
			 errdetail(
				 "A foreign key carries the change on to that table, in each shard by itself."),
			 errhint("Use triggers FOR EACH ROW.")));
}

static void
check_cascades(const Query *query, Oid relation, int events)
{
	bool deletes = (events & TESS_EVENT(CMD_DELETE)) != 0;
	ListCell *cell;

	if (!deletes && !assigns_referenced(query, relation))
		return;
	foreach(cell, tess_relation_cascades(NIL, relation, !deletes))
	{
		const TessTable *table = tess_meta_table(lfirst_oid(cell));

		if (table != NULL && (table->statement_events & ALL_CHANGES) != 0)
			refuse_cascade(relation, table->relation);
	}
}

static bool
collect_walker(Node *node, TessFired *fired)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		if (query->resultRelation > 0)
		{
			Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
			const TessTable *table = tess_meta_table(relation);
			int events = tess_events_of_change(query);

			if (table != NULL)
				check_cascades(query, relation, events);
			if (table != NULL && (table->statement_events & events) != 0)
			{
				fired->tables = lappend_oid(fired->tables, relation);
				fired->events = lappend_int(fired->events, events);
			}
		}
		return query_tree_walker(query, collect_walker, fired, 0);
	}
	return expression_tree_walker(node, collect_walker, fired);
}

/* The triggers that a statement fires, before it is planned; errors with 0A000 if
 * it would have to fire others.  False: none. */
bool
tess_statement_triggers_find(TessJob *job, TessFired *fired)
{
	memset(fired, 0, sizeof(TessFired));
	if (job->survey->changed != NIL)
		(void) collect_walker((Node *) job->parse, fired);
	return fired->tables != NIL;
}
