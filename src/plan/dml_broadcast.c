/*
 * dml_broadcast.c - UPDATE and DELETE that every shard (or every copy of a
 * reference table) can run on its own: they name no other table, and all their
 * expressions travel.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

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

/* The columns that an index which no two rows may agree in depends on. */
static Bitmapset *
index_columns(Relation index, Bitmapset *columns)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique && !form->indisexclusion)
		return columns;
	for (int i = 0; i < form->indnkeyatts; i++)
		columns = bms_add_member(columns, form->indkey.values[i] -
											  FirstLowInvalidHeapAttributeNumber);
	pull_varattnos((Node *) RelationGetIndexExpressions(index), 1, &columns);
	pull_varattnos((Node *) RelationGetIndexPredicate(index), 1, &columns);
	return columns;
}

/* True if an UPDATE of the column may give a row another place in a unique
 * index, be it through a generated column. */
static bool
moves_in_unique_index(Relation rel, AttrNumber attno)
{
	Bitmapset *columns = NULL;
	int member = -1;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		columns = index_columns(index, columns);
		index_close(index, NoLock);
	}
	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber column = member + FirstLowInvalidHeapAttributeNumber;

		if (column == attno ||
			(column > 0 &&
			 TupleDescAttr(RelationGetDescr(rel), column - 1)->attgenerated))
			return true;
	}
	return false;
}

static bool
assigns_unique(Query *parse, Oid relation)
{
	Relation rel = relation_open(relation, NoLock);
	bool found = false;
	ListCell *cell;

	if (parse->commandType == CMD_UPDATE)
		foreach(cell, parse->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, cell);

			if (!tle->resjunk && moves_in_unique_index(rel, tle->resno))
				found = true;
		}
	relation_close(rel, NoLock);
	return found;
}

/*
 * Whether copies of a reference table may each do it in their own order, and
 * with their own addresses of rows.  Not where rows get new values in a unique
 * index: in another order one might meet the old value of the next.
 */
static bool
suits_copies(TessJob *job)
{
	Query *parse = job->parse;
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);
	Bitmapset *attributes = NULL;

	pull_varattnos(parse->jointree->quals, parse->resultRelation, &attributes);
	pull_varattnos((Node *) parse->targetList, parse->resultRelation,
				   &attributes);
	if (bms_next_member(attributes, -1) >= 0 &&
		bms_next_member(attributes, -1) < -FirstLowInvalidHeapAttributeNumber)
	{
		job->reason = "It names system columns.";
		return false;
	}
	if (assigns_unique(parse, rte->relid))
	{
		job->reason = "It changes columns of a unique index.";
		return false;
	}
	return true;
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

	if (job->survey->has_security)
	{
		job->reason = "It is subject to row security or view checks.";
		return NULL;
	}
	if (!names_target_alone(parse))
	{
		job->reason = "It uses more than the table itself.";
		return NULL;
	}
	if (table->kind == TESS_REFERENCE && !suits_copies(job))
		return NULL;
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
