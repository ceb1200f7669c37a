/*
 * modify.c - what all changes of our tables share: RETURNING, and the plan
 * node on top.
 *
 * Nodes return columns of the target; RETURNING is computed here from them, so
 * that it may contain whatever PostgreSQL allows, but for subqueries and
 * columns of other tables.
 */
#include "postgres.h"

#include "access/relation.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "plan/plan_internal.h"

/* Chooses the target's columns that RETURNING needs from the nodes.  False
 * with job->reason if it needs something else. */
bool
tess_returning_columns(TessJob *job, TessColumns **columns)
{
	Query *parse = job->parse;
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);
	List *vars;
	ListCell *cell;

	*columns = tess_columns_make(rte->relid, parse->resultRelation);
	if (parse->returningList == NIL)
		return true;

	if (checkExprHasSubLink((Node *) parse->returningList))
	{
		job->reason = "RETURNING contains a subquery.";
		return false;
	}
	vars = pull_var_clause((Node *) parse->returningList, 0);
	foreach(cell, vars)
	{
		if (lfirst_node(Var, cell)->varno != parse->resultRelation)
		{
			job->reason = "RETURNING names a column of another table.";
			return false;
		}
		tess_columns_add_var(*columns, lfirst_node(Var, cell));
	}
	tess_columns_add_any(*columns, true);
	return true;
}

typedef struct Renumbering
{
	Index target;
	Index excluded;
} Renumbering;

static Node *
renumber_mutator(Node *node, Renumbering *numbers)
{
	Var *var;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, renumber_mutator, numbers);

	var = (Var *) copyObject(node);
	if (var->varno == numbers->target)
		var->varno = 1;
	else if (var->varno == numbers->excluded)
		var->varno = 2;
	var->varnosyn = 0;
	var->varattnosyn = 0;
	return (Node *) var;
}

/* Expressions over the target (and EXCLUDED) as over entries 1 (and 2). */
Node *
tess_renumber(Node *node, Index target, Index excluded)
{
	Renumbering numbers = {target, excluded};

	return renumber_mutator(node, &numbers);
}

/* An UPDATE, DELETE or INSERT of the statement's target, its entry 1, with
 * neither conditions nor target list yet. */
Query *
tess_query_make(TessJob *job, CmdType command)
{
	Query *parse = job->parse;
	Query *query = makeNode(Query);
	RangeTblEntry *rte = copyObject(
		rt_fetch(parse->resultRelation, parse->rtable));
	List *from = NIL;

	rte->checkAsUser = InvalidOid;
	if (command != CMD_INSERT)
	{
		RangeTblRef *ref = makeNode(RangeTblRef);

		ref->rtindex = 1;
		from = list_make1(ref);
	}
	query->commandType = command;
	query->canSetTag = true;
	query->resultRelation = 1;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(from, NULL);
	return query;
}

/* A column that a statement may assign to, for one that has to name a column
 * though the user named none: the key, or the first that
 * is not generated. */
Var *
tess_column_to_name(const TessTable *table, Index varno)
{
	Relation rel = relation_open(table->relation, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	AttrNumber attno = table->key_attnum;
	Form_pg_attribute att;
	Var *column;

	for (int i = 0; attno == 0 && i < desc->natts; i++)
	{
		att = TupleDescAttr(desc, i);
		if (!att->attisdropped && !att->attgenerated &&
			att->attidentity != ATTRIBUTE_IDENTITY_ALWAYS)
			attno = att->attnum;
	}
	if (attno == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" has no column to assign to", table->name),
				 errhint("Add a column to the table.")));
	att = TupleDescAttr(desc, attno - 1);
	column = makeVar(varno, attno, att->atttypid, att->atttypmod,
					 att->attcollation, 0);
	relation_close(rel, NoLock);
	return column;
}

/*
 * UPDATE ... SET generated = DEFAULT comes without assignments, and writes new
 * versions of its rows nevertheless.  In text it has to assign something.
 */
void
tess_assign_something(TessJob *job)
{
	Query *parse = job->parse;
	const TessTable *table = job->survey->target;
	Var *column;

	if (parse->commandType != CMD_UPDATE || parse->targetList != NIL)
		return;
	column = tess_column_to_name(table, parse->resultRelation);
	parse->targetList = list_make1(
		makeTargetEntry((Expr *) column, column->varattno,
						get_attname(table->relation, column->varattno, false),
						false));
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

/*
 * Makes the statement's plan node the top of stmt, whose plan (if it has one)
 * becomes its child.  The first entries of stmt's range table are those of
 * the statement.
 */
PlannedStmt *
tess_modify_finish(TessJob *job, PlannedStmt *stmt, const char *methods,
				   TessFragment *fragment, TessColumns *columns, List *exprs)
{
	Query *parse = job->parse;
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);
	CustomScan *scan;
	List *tlist;

	fragment->anchor = rte->relid;
	fragment->relations = list_append_unique_oid(fragment->relations, rte->relid);
	fragment->role = rte->checkAsUser;
	fragment->sets_count = parse->canSetTag;
	tess_columns_describe(columns, fragment);

	tlist = returning_tlist(job, columns, stmt);
	scan = tess_scan_make(methods, fragment, columns->scan_tlist, tlist,
						  tess_expressions_finish(exprs, stmt));
	if (columns->scan_tlist != NIL)
		scan->custom_relids = bms_make_singleton(parse->resultRelation);

	if (stmt->planTree != NULL)
	{
		Plan *child = stmt->planTree;

		scan->custom_plans = list_make1(child);
		scan->scan.plan.plan_node_id = -1;
		scan->scan.plan.startup_cost += child->startup_cost;
		scan->scan.plan.total_cost += child->total_cost;
		scan->scan.plan.plan_rows = child->plan_rows;
		scan->scan.plan.extParam = bms_copy(child->extParam);
		scan->scan.plan.allParam = bms_copy(child->allParam);
	}

	stmt->planTree = (Plan *) scan;
	stmt->commandType = parse->commandType;
	stmt->hasReturning = parse->returningList != NIL;
	stmt->canSetTag = parse->canSetTag;
	stmt->queryId = parse->queryId;
	return stmt;
}
