/*
 * sharded_change.c - can each shard make its own part of a change?
 *
 * An UPDATE, DELETE or MERGE changes what its join gives: rows of the target,
 * each with what it meets.  So it can where a SELECT of all that the change
 * computes over the same join would be sharded (locus.c).  MERGE is an outer join,
 * whose preserved side is the source; what it inserts has to get the key of the
 * source's row, which is in the shard where that row has met nothing.
 *
 * INSERT adds a row for each of its source, which has to be sharded, and the row
 * to get the key of its source's.  So what it conflicts with, and what it returns,
 * is in that shard too.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "fragment/fragment_internal.h"
#include "fragment/locus_internal.h"

/* The entry of an expression that a change computes. */
static void
add_expression(Query *select, Node *expr)
{
	select->targetList = lappend(select->targetList,
								 makeTargetEntry((Expr *) expr,
												 list_length(select->targetList) +
													 1,
												 NULL, false));
}

static void
add_entries(Query *select, List *target_list)
{
	ListCell *cell;

	foreach(cell, target_list)
		add_expression(select, (Node *) lfirst_node(TargetEntry, cell)->expr);
}

/* The source of MERGE, as a node of FROM. */
static Node *
merge_source(Query *merge)
{
	List *from = merge->jointree->fromlist;

	return list_length(from) == 1 ? linitial(from)
								  : (Node *) makeFromExpr(from, NULL);
}

static FromExpr *
merge_join(Query *merge)
{
	RangeTblRef *target = makeNode(RangeTblRef);
	JoinExpr *join = makeNode(JoinExpr);

	target->rtindex = merge->resultRelation;
	join->jointype = merge->mergeUseOuterJoin ? JOIN_LEFT : JOIN_INNER;
	join->larg = merge_source(merge);
	join->rarg = (Node *) target;
	join->quals = merge->jointree->quals;
	return makeFromExpr(list_make1(join), NULL);
}

/* What a target list gives a row as its key; NULL: nothing. */
static Node *
key_in(const TessTable *table, List *target_list)
{
	TargetEntry *entry = get_tle_by_resno(target_list, table->key_attnum);

	return entry != NULL ? (Node *) entry->expr : NULL;
}

/*
 * The source of an INSERT.  Queries of ON CONFLICT and RETURNING are computed for
 * a row of the target too, which has the key that is inserted.
 */
static FromExpr *
insert_join(const TessTable *table, Query *insert, bool has_queries)
{
	List *from = list_copy(insert->jointree->fromlist);
	Node *key = key_in(table, insert->targetList);
	TessFactValue *value = key != NULL ? tess_fact_value_make(table, key) : NULL;
	RangeTblRef *target = makeNode(RangeTblRef);

	if (!has_queries || value == NULL)
		return makeFromExpr(from, insert->jointree->quals);
	target->rtindex = insert->resultRelation;
	ChangeVarNodes((Node *) linitial(castNode(OpExpr, value->clause)->args), 1,
				   target->rtindex, 0);
	return makeFromExpr(lappend(from, target),
						make_and_qual(insert->jointree->quals,
									  (Node *) value->clause));
}

static void
add_conflict(Query *select, OnConflictExpr *conflict)
{
	if (conflict == NULL)
		return;
	add_entries(select, conflict->onConflictSet);
	if (conflict->onConflictWhere != NULL)
		add_expression(select, conflict->onConflictWhere);
}

static void
add_actions(Query *select, List *actions)
{
	ListCell *cell;

	foreach(cell, actions)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->qual != NULL)
			add_expression(select, action->qual);
		add_entries(select, action->targetList);
	}
}

/* The SELECT of what a change computes, over the rows that it joins. */
static Query *
select_of(const TessTable *table, Query *original)
{
	Query *change = copyObject(original);
	Query *select = copyObject(change);

	select->commandType = CMD_SELECT;
	select->resultRelation = 0;
	select->targetList = NIL;
	select->returningList = NIL;
	select->mergeActionList = NIL;
	select->onConflict = NULL;
	add_conflict(select, change->onConflict);
	add_entries(select, change->returningList);
	if (change->commandType == CMD_INSERT)
		select->jointree = insert_join(table, change,
									   checkExprHasSubLink(
										   (Node *) select->targetList));
	if (change->commandType == CMD_UPDATE || change->commandType == CMD_INSERT)
		add_entries(select, change->targetList);
	add_actions(select, change->mergeActionList);
	if (change->commandType == CMD_MERGE)
		select->jointree = merge_join(change);
	return select;
}

/* What the rows that INSERT or MERGE insert are made of, as a node of FROM. */
static Node *
source_of(Query *change)
{
	return change->commandType == CMD_INSERT ? (Node *) change->jointree
											 : merge_source(change);
}

/* The target lists of rows that are inserted. */
static List *
inserted_lists(Query *change)
{
	List *lists = NIL;
	ListCell *cell;

	if (change->commandType == CMD_INSERT)
		return list_make1(change->targetList);
	foreach(cell, change->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->commandType == CMD_INSERT)
			lists = lappend(lists, action->targetList);
	}
	return lists;
}

/* True if all rows that are inserted get a key of the source's row. */
static bool
inserts_keys_of_source(const TessTable *table, Query *change)
{
	List *lists = inserted_lists(change);
	TessScope scope = {change, NULL, NIL};
	TessFacts facts = {NIL};
	TessLocus locus;
	ListCell *cell;

	if (lists == NIL)
		return true;
	locus = tess_locus_of_node(table, change, source_of(change));
	if (locus.kind != TESS_SHARDED)
		return false;
	tess_facts_add(table, source_of(change), &scope, &facts);
	foreach(cell, lists)
	{
		Node *key = key_in(table, lfirst_node(List, cell));

		if (key == NULL || !tess_is_key_column(tess_strip_casts(key),
											   locus.keys, &scope, &facts))
			return false;
	}
	return true;
}

/* See fragment.h. */
bool
tess_change_is_sharded(const TessTable *table, Query *change, Expr **prune)
{
	Query *select = select_of(table, change);

	if (tess_locus_of_query(table, select).kind != TESS_SHARDED ||
		!inserts_keys_of_source(table, change))
		return false;
	*prune = tess_locus_prune(table, select);
	return true;
}
