/*
 * on_conflict.c - ON CONFLICT of an INSERT, as it is sent with the rows.
 *
 * It is evaluated on the nodes.  Subqueries that know neither the target nor
 * EXCLUDED are run here, once a statement (as core's InitPlans, before the first
 * row is sent), and sent as parameters.  Others are not sent.
 */
#include "postgres.h"

#include "access/genam.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "plan/plan_internal.h"

/*
 * Takes the subqueries of assignments to several columns that can be run here
 * out of a SET list; to bindings, with the entries that core computes them
 * by.  Returns the rest.
 */
static List *
take_row_subqueries(TessBindings *bindings, List *set)
{
	List *rest = NIL;
	ListCell *cell;

	foreach(cell, set)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->resjunk && IsA(tle->expr, SubLink) &&
			tess_is_row_independent_subquery((SubLink *) tle->expr))
			bindings->row_subqueries = lappend(bindings->row_subqueries, tle);
		else
			rest = lappend(rest, tle);
	}
	return rest;
}

/* Puts ON CONFLICT of the statement into the query that is sent: target entry 1,
 * EXCLUDED entry 2.  False with job->reason if it cannot be evaluated on a
 * node. */
bool
tess_on_conflict_bind(TessJob *job, Query *query, TessBindings *bindings)
{
	Query *parse = job->parse;
	OnConflictExpr *conflict = parse->onConflict;

	if (conflict == NULL)
		return true;

	conflict = (OnConflictExpr *) tess_renumber((Node *) conflict,
												parse->resultRelation,
												conflict->exclRelIndex);
	if (conflict->exclRelIndex > 0)
	{
		query->rtable = lappend(query->rtable,
								copyObject(rt_fetch(conflict->exclRelIndex,
													parse->rtable)));
		conflict->exclRelIndex = 2;
	}
	bindings->runs_subqueries = true;
	conflict->onConflictSet = take_row_subqueries(bindings,
												  conflict->onConflictSet);
	conflict = (OnConflictExpr *) tess_bind(bindings, (Node *) conflict);
	if (checkExprHasSubLink((Node *) conflict))
	{
		job->reason = "A subquery of ON CONFLICT depends on the row, or may not be run before there is a conflict.";
		return false;
	}
	if (!tess_travels(bindings->travel, (Node *) conflict))
	{
		job->reason = "An expression of ON CONFLICT cannot be evaluated on a node.";
		return false;
	}
	query->onConflict = conflict;
	return true;
}

/* True if ON CONFLICT of the statement, if it has one, can be evaluated where
 * the rows are sent. */
bool
tess_on_conflict_suits_nodes(TessJob *job)
{
	TessTravel travel = {NIL};
	TessBindings bindings = {&travel};

	if (job->parse->onConflict == NULL ||
		job->parse->onConflict->action != ONCONFLICT_UPDATE)
		return true;
	tess_travel_add(&travel, job->survey->target->relation);
	return tess_on_conflict_bind(job, tess_query_make(job, CMD_INSERT),
								 &bindings);
}

/* The columns that an ON CONFLICT is about; NIL, and *opaque, if these are not
 * all: it names an expression or a partial index. */
static List *
conflict_columns(const OnConflictExpr *conflict, bool *opaque)
{
	List *columns = NIL;
	ListCell *cell;

	*opaque = conflict->arbiterWhere != NULL;
	if (OidIsValid(conflict->constraint))
	{
		Relation index = index_open(get_constraint_index(conflict->constraint),
									AccessShareLock);

		for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
			columns = lappend_int(columns, index->rd_index->indkey.values[i]);
		index_close(index, AccessShareLock);
		return columns;
	}
	foreach(cell, conflict->arbiterElems)
	{
		Node *expr = lfirst_node(InferenceElem, cell)->expr;

		if (IsA(expr, Var))
			columns = lappend_int(columns, ((Var *) expr)->varattno);
		else
			*opaque = true;
	}
	return *opaque ? NIL : columns;
}

/*
 * Tells exec/ how to notice that two rows, sent in different statements, want
 * to update the same row, which in one statement is an error.
 */
void
tess_on_conflict_note(const OnConflictExpr *conflict, const TessTable *table,
					  TessWrite *write)
{
	List *positions = NIL;
	ListCell *cell;

	if (conflict == NULL || conflict->action != ONCONFLICT_UPDATE)
		return;
	/* what conflicts is what a trigger makes of the rows */
	if (table->alters_inserts || table->alters_updates)
	{
		write->has_opaque_conflict = true;
		return;
	}
	foreach(cell, conflict_columns(conflict, &write->has_opaque_conflict))
	{
		int position = 0;
		ListCell *column;

		foreach(column, write->columns)
		{
			if (lfirst_int(column) == lfirst_int(cell))
				break;
			position++;
		}
		/* a column that is not given is NULL, and equal to nothing */
		if (column == NULL)
			return;
		positions = lappend_int(positions, position);
	}
	write->conflict_positions = positions;
}
