/*
 * modify.c - what all changes of our tables share: RETURNING, and the queries
 * that are sent.
 *
 * Nodes return columns of the target; RETURNING is computed here from them, so
 * that it may contain whatever PostgreSQL allows.
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

/* True if a view's check option looks at the rows that are written. */
static bool
has_check_options(const Query *parse)
{
	ListCell *cell;

	foreach(cell, parse->withCheckOptions)
		if (!tess_is_policy(lfirst_node(WithCheckOption, cell)))
			return true;
	return false;
}

/* True if the nodes have to return the rows that are written: for RETURNING, or
 * because a view's check option wants to see them. */
bool
tess_wants_rows(const Query *parse)
{
	return parse->returningList != NIL || has_check_options(parse);
}

/* All columns of the target that an expression names, in subqueries too. */
void
tess_columns_add_target(TessColumns *columns, Node *node)
{
	ListCell *cell;

	foreach(cell, pull_vars_of_level(node, 0))
	{
		Var *var = lfirst_node(Var, cell);

		if (var->varno == columns->varno)
			tess_columns_add_var(columns, var);
	}
}

/* A column of a target. */
Var *
tess_target_var(const TessTable *table, Index target, AttrNumber attno)
{
	Oid type;
	int32 typmod;
	Oid collation;

	get_atttypetypmodcoll(table->relation, attno, &type, &typmod, &collation);
	return makeVar(target, attno, type, typmod, collation, 0);
}

/* ROW(...) of all columns of the target, as it is written. */
Node *
tess_target_row(const Query *parse)
{
	Relation rel = relation_open(rt_fetch(parse->resultRelation, parse->rtable)->relid,
								 NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	RowExpr *row = makeNode(RowExpr);

	for (int i = 0; i < desc->natts; i++)
	{
		const FormData_pg_attribute *column = TupleDescAttr(desc, i);

		if (column->attisdropped)
			continue;
		row->args = lappend(row->args,
							makeVar(parse->resultRelation, column->attnum,
									column->atttypid, column->atttypmod,
									column->attcollation, 0));
		row->colnames = lappend(row->colnames,
								makeString(pstrdup(NameStr(column->attname))));
	}
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_EXPLICIT_CALL;
	row->location = -1;
	relation_close(rel, NoLock);
	return (Node *) row;
}

/* The target's columns that the nodes have to return. */
TessColumns *
tess_returning_columns(TessJob *job)
{
	Query *parse = job->parse;
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);
	TessColumns *columns = tess_columns_make(rte->relid, parse->resultRelation);
	ListCell *cell;

	if (!tess_wants_rows(parse))
		return columns;
	tess_columns_add_target(columns, (Node *) parse->returningList);
	foreach(cell, parse->withCheckOptions)
		if (!tess_is_policy(lfirst_node(WithCheckOption, cell)))
			tess_columns_add_target(columns,
									lfirst_node(WithCheckOption, cell)->qual);
	/* an error shows the row */
	if (has_check_options(parse))
		tess_columns_add_target(columns, tess_target_row(parse));
	tess_columns_add_any(columns, true);
	return columns;
}

/* Fills what a fragment says of the change it is for. */
void
tess_change_describe(TessJob *job, TessFragment *fragment, TessColumns *columns)
{
	Query *parse = job->parse;
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);

	fragment->command = parse->commandType;
	fragment->target = job->survey->target->kind == TESS_DISTRIBUTED
						   ? TESS_TO_SHARDS
						   : TESS_TO_ALL_COPIES;
	fragment->anchor = rte->relid;
	fragment->changed = list_make1_oid(rte->relid);
	fragment->relations = list_make1_oid(rte->relid);
	fragment->role = rte->checkAsUser;
	fragment->sets_count = parse->canSetTag;
	tess_columns_describe(columns, fragment);
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

/* SET column = column */
TargetEntry *
tess_same_entry(const TessTable *table, Index varno)
{
	Var *column = tess_column_to_name(table, varno);

	return makeTargetEntry((Expr *) column, column->varattno,
						   get_attname(table->relation, column->varattno, false),
						   false);
}

/*
 * UPDATE ... SET generated = DEFAULT comes without assignments, and writes new
 * versions of its rows nevertheless.  In text it has to assign something.
 */
void
tess_assign_something(TessJob *job)
{
	Query *parse = job->parse;

	if (parse->commandType == CMD_UPDATE && parse->targetList == NIL)
		parse->targetList = list_make1(
			tess_same_entry(job->survey->target, parse->resultRelation));
}
