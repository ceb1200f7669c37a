/*
 * dml_merge.c - MERGE into a distributed table: computed here, and applied by
 * row.
 *
 * The source joins the target, with its hidden columns and locked, to what the
 * user merges, as MERGE's own plan does.  An inner level says which action
 * each row is for: the conditions are evaluated once, in order, and only those
 * of matched rows or only those of others.  The outer level computes the values
 * of that action, and NULLs for all others.  Then each action is a write of its
 * own (or three, where rows may have to move).
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "plan/plan_internal.h"

/* Columns of the inner level: shard, ctid, action, and then what values need. */
#define CTID_COLUMN 2
#define ACTION_COLUMN 3

/* A MERGE on its way to its source. */
typedef struct Merge
{
	TessJob *job;
	const TessTable *table;
	Index target;
	List *vars;	 /* Var *: columns of the inner level from ACTION_COLUMN on */
	List *tlist; /* of the outer level */
	List *writes;
	LockClauseStrength strength; /* LCS_NONE: nothing is changed */
	int sublevels_up;			 /* for the mutator */
} Merge;

static Const *
int4_const(int value)
{
	return makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
					 Int32GetDatum(value), false, true);
}

/* CASE WHEN condition THEN result ... END, of one arm; more are appended. */
static CaseExpr *
make_case(Oid type, Oid collation, Expr *otherwise)
{
	CaseExpr *expr = makeNode(CaseExpr);

	expr->casetype = type;
	expr->casecollid = collation;
	expr->defresult = otherwise;
	expr->location = -1;
	return expr;
}

static void
add_arm(CaseExpr *expr, Expr *condition, Expr *result)
{
	CaseWhen *when = makeNode(CaseWhen);

	when->expr = condition;
	when->result = result;
	when->location = -1;
	expr->args = lappend(expr->args, when);
}

/* The number of the action that a row is for; 0: none. */
static Expr *
action_expr(const Merge *merge)
{
	CaseExpr *expr = make_case(INT4OID, InvalidOid, (Expr *) int4_const(0));
	ListCell *cell;

	foreach(cell, merge->job->parse->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);
		NullTest *test = makeNode(NullTest);
		List *conditions;
		int number = foreach_current_index(cell) + 1;

		test->arg = (Expr *) makeVar(merge->target, TESS_SHARD_CTID_ATTRIBUTE,
									 TIDOID, -1, InvalidOid, 0);
		test->nulltesttype = action->matched ? IS_NOT_NULL : IS_NULL;
		test->location = -1;
		conditions = list_make1(test);
		if (action->qual != NULL)
			conditions = lappend(conditions, copyObject(action->qual));
		add_arm(expr, make_ands_explicit(conditions),
				(Expr *) int4_const(
					action->commandType == CMD_NOTHING ? 0 : number));
	}
	return (Expr *) expr;
}

/* The column of the inner level that a Var is. */
static AttrNumber
inner_column(Merge *merge, const Var *var)
{
	ListCell *cell;

	foreach(cell, merge->vars)
	{
		Var *known = lfirst_node(Var, cell);

		if (known->varno == var->varno && known->varattno == var->varattno)
			return ACTION_COLUMN + 1 + foreach_current_index(cell);
	}
	var = copyObject(var);
	((Var *) var)->varlevelsup = 0;
	merge->vars = lappend(merge->vars, (void *) var);
	return ACTION_COLUMN + list_length(merge->vars);
}

/* Expressions of the statement as they are written in the outer level. */
static Node *
outer_mutator(Node *node, Merge *merge)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == merge->sublevels_up)
	{
		Var *var = (Var *) node;

		return (Node *) makeVar(1, inner_column(merge, var), var->vartype,
								var->vartypmod, var->varcollid,
								merge->sublevels_up);
	}
	if (IsA(node, Query))
	{
		Query *query;

		merge->sublevels_up++;
		query = query_tree_mutator((Query *) node, outer_mutator, merge, 0);
		merge->sublevels_up--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, outer_mutator, merge);
}

/* Adds the value of an action's column to the outer level; its position. */
static int
add_value(Merge *merge, int number, Node *value)
{
	Var *action = makeVar(1, ACTION_COLUMN, INT4OID, -1, InvalidOid, 0);
	Oid type = exprType(value);
	Oid collation = exprCollation(value);
	CaseExpr *expr = make_case(type, collation,
							   (Expr *) makeNullConst(type, -1, collation));
	TargetEntry *tle;

	add_arm(expr,
			make_opclause(Int4EqualOperator, BOOLOID, false, (Expr *) action,
						  (Expr *) int4_const(number), InvalidOid, InvalidOid),
			(Expr *) outer_mutator(value, merge));
	tle = makeTargetEntry((Expr *) expr, list_length(merge->tlist) + 1,
						  pstrdup("value"), false);
	merge->tlist = lappend(merge->tlist, tle);
	return tle->resno - 1;
}

/* Adds the writes of one action. */
static void
add_writes(Merge *merge, List *writes, int number)
{
	ListCell *cell;

	foreach(cell, writes)
		((TessWrite *) lfirst(cell))->action = number;
	merge->writes = list_concat(merge->writes, writes);
}

/* The values of a SET list or of an INSERT's row: their columns, and where
 * they are. */
static void
add_values(Merge *merge, List *target_list, int number, List **columns,
		   List **positions)
{
	ListCell *cell;

	*columns = *positions = NIL;
	foreach(cell, target_list)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->resjunk)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("MERGE into table \"%s\" cannot assign the columns of a subquery at once",
							merge->table->name),
					 errhint("Assign to each column on its own.")));
		*columns = lappend_int(*columns, tle->resno);
		*positions = lappend_int(*positions,
								 add_value(merge, number, (Node *) tle->expr));
	}
}

static void
add_insert(Merge *merge, const MergeAction *action, int number)
{
	List *target_list = action->targetList;
	List *columns;
	List *positions;

	if (target_list == NIL)
		target_list = list_make1(tess_null_entry(merge->table));
	add_values(merge, target_list, number, &columns, &positions);
	add_writes(merge,
			   list_make1(
				   tess_write_insert(merge->table, columns, positions, NULL)),
			   number);
}

static void
add_update(Merge *merge, const MergeAction *action, int number)
{
	List *target_list = action->targetList;
	List *columns;
	List *positions;
	TessAssigned assigned = {NIL};
	List *old_positions = NIL;
	ListCell *column;
	ListCell *position;

	if (target_list == NIL)
		target_list = list_make1(tess_same_entry(merge->table, merge->target));
	if (!tess_action_changes_key(merge->job, action))
	{
		add_values(merge, target_list, number, &columns, &positions);
		add_writes(merge,
				   list_make1(tess_write_update(merge->table, columns,
												positions, NULL)),
				   number);
		merge->strength = Max(merge->strength, LCS_FORNOKEYUPDATE);
		return;
	}

	add_values(merge,
			   tess_whole_row_assignments(merge->table->relation, merge->target,
										  target_list),
			   number, &assigned.all_columns, &assigned.all_positions);
	forboth(column, assigned.all_columns, position, assigned.all_positions)
	{
		if (tess_assignment_to(target_list, lfirst_int(column)) == NULL)
			continue;
		assigned.columns = lappend_int(assigned.columns, lfirst_int(column));
		assigned.positions = lappend_int(assigned.positions,
										 lfirst_int(position));
	}
	foreach(column, tess_referenced_columns(merge->table))
		old_positions = lappend_int(old_positions,
									add_value(merge, number,
											  (Node *)
												  tess_target_var(merge->table,
																  merge->target,
																  lfirst_int(
																	  column))));
	add_writes(merge,
			   tess_write_move(merge->table, &assigned, old_positions, NULL),
			   number);
	merge->strength = LCS_FORUPDATE;
}

static void
add_actions(Merge *merge)
{
	ListCell *cell;

	foreach(cell, merge->job->parse->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);
		int number = foreach_current_index(cell) + 1;

		switch (action->commandType)
		{
			case CMD_INSERT:
				add_insert(merge, action, number);
				break;
			case CMD_UPDATE:
				add_update(merge, action, number);
				break;
			case CMD_DELETE:
				add_writes(merge,
						   list_make1(tess_write_delete(merge->table, NULL)),
						   number);
				merge->strength = LCS_FORUPDATE;
				break;
			default:
				break;
		}
	}
}

/* Deletions first, insertions last: see modify_node.c. */
static int
compare_writes(const ListCell *a, const ListCell *b)
{
	const TessWrite *left = lfirst(a);
	const TessWrite *right = lfirst(b);
	int left_rank = left->command == CMD_DELETE	  ? 0
					: left->command == CMD_UPDATE ? 1
												  : 2;
	int right_rank = right->command == CMD_DELETE	? 0
					 : right->command == CMD_UPDATE ? 1
													: 2;

	if (left_rank != right_rank)
		return left_rank - right_rank;
	return left->action - right->action;
}

/* The target joined with what is merged, as core does it. */
static void
join_target(Query *inner, Index target)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	JoinExpr *join = makeNode(JoinExpr);
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = target;
	join->jointype = inner->mergeUseOuterJoin ? JOIN_RIGHT : JOIN_INNER;
	join->larg = (Node *) ref;
	join->rarg = linitial(inner->jointree->fromlist);
	join->quals = inner->jointree->quals;

	rte->rtekind = RTE_JOIN;
	rte->jointype = join->jointype;
	rte->eref = makeAlias("*MERGE*", NIL);
	rte->inFromCl = true;
	inner->rtable = lappend(inner->rtable, rte);
	join->rtindex = list_length(inner->rtable);
	inner->jointree = makeFromExpr(list_make1(join), NULL);
}

/* References to WITH: the inner level is one deeper than the statement was. */
static bool
deepen_ctes_walker(Node *node, Index *depth)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && rte->ctelevelsup == *depth)
			rte->ctelevelsup++;
		return false;
	}
	if (IsA(node, Query))
	{
		bool found;

		(*depth)++;
		found = query_tree_walker((Query *) node, deepen_ctes_walker, depth,
								  QTW_EXAMINE_RTES_BEFORE);
		(*depth)--;
		return found;
	}
	return expression_tree_walker(node, deepen_ctes_walker, depth);
}

/* SELECT shard, ctid, action, columns FROM target JOIN ... */
static Query *
inner_query(Merge *merge)
{
	Query *inner = copyObject(merge->job->parse);
	List *tlist = tess_hidden_columns(merge->table, merge->target);
	Index depth = 0;
	ListCell *cell;

	tlist = lappend(tlist, makeTargetEntry(action_expr(merge), ACTION_COLUMN,
										   pstrdup("action"), false));
	foreach(cell, merge->vars)
		tlist = lappend(tlist,
						makeTargetEntry(lfirst(cell), list_length(tlist) + 1,
										pstrdup("column"), false));
	if (merge->strength != LCS_NONE)
		tess_mark_locked(rt_fetch(merge->target, inner->rtable),
						 merge->strength, LockWaitBlock);
	join_target(inner, merge->target);
	inner->commandType = CMD_SELECT;
	inner->resultRelation = 0;
	inner->mergeActionList = NIL;
	inner->targetList = tlist;
	inner->cteList = NIL;
	inner->hasModifyingCTE = false;
	inner->hasRecursive = false;
	inner->hasForUpdate = true; /* keeps it from being pulled up */
	(void) query_tree_walker(inner, deepen_ctes_walker, &depth,
							 QTW_EXAMINE_RTES_BEFORE);
	return inner;
}

/* SELECT shard, ctid, action, values FROM (inner) */
static Query *
outer_query(Merge *merge)
{
	Query *parse = merge->job->parse;
	Query *outer = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List *names = NIL;
	ListCell *cell;

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = inner_query(merge);
	foreach(cell, rte->subquery->targetList)
		names = lappend(names,
						makeString(lfirst_node(TargetEntry, cell)->resname));
	rte->eref = makeAlias("merge", names);
	rte->inFromCl = true;
	ref->rtindex = 1;

	outer->commandType = CMD_SELECT;
	outer->canSetTag = parse->canSetTag;
	outer->rtable = list_make1(rte);
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	outer->targetList = merge->tlist;
	outer->cteList = copyObject(parse->cteList);
	outer->hasModifyingCTE = parse->hasModifyingCTE;
	outer->hasRecursive = parse->hasRecursive;
	outer->hasSubLinks = parse->hasSubLinks;
	outer->queryId = parse->queryId;
	outer->stmt_location = parse->stmt_location;
	outer->stmt_len = parse->stmt_len;
	return outer;
}

/* The source of a MERGE, marked as such; always possible for a distributed
 * table, or an error is raised. */
Query *
tess_merge_source(TessJob *job)
{
	TessFragment *fragment = tess_fragment_make();
	TessModifySpec *spec = tess_modify_spec_make();
	TessColumns *columns = tess_returning_columns(job);
	Merge merge = {job, job->survey->target, job->parse->resultRelation};

	tess_refuse_partitioned(merge.table);
	/* first columns of both levels are the same */
	merge.tlist = list_make3(makeTargetEntry((Expr *) makeVar(1, 1, INT4OID, -1,
															  InvalidOid, 0),
											 1, pstrdup("shard"), false),
							 makeTargetEntry((Expr *) makeVar(1, CTID_COLUMN,
															  TIDOID, -1,
															  InvalidOid, 0),
											 2, pstrdup("ctid"), false),
							 makeTargetEntry((Expr *) makeVar(1, ACTION_COLUMN,
															  INT4OID, -1,
															  InvalidOid, 0),
											 3, pstrdup("action"), false));
	merge.strength = LCS_NONE;
	add_actions(&merge);
	list_sort(merge.writes, compare_writes);

	spec->writes = merge.writes;
	spec->finds_rows = true;
	spec->action_position = ACTION_COLUMN - 1;
	tess_change_describe(job, fragment, columns);
	fragment->modify = spec;
	return tess_change_mark(outer_query(&merge), fragment, columns, NULL);
}
