/*
 * sharded_change.c - can each shard make its own part of a change?
 *
 * An UPDATE, DELETE or MERGE changes what its join gives: rows of the target,
 * each with what it meets.  So it can where a SELECT of all that the change
 * computes over the same join would be sharded (locus.c).  MERGE is an outer join,
 * whose preserved side is the source; what it inserts has to get the key of the
 * source's row, which is in the shard where that row has met nothing.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"

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

/* The SELECT of what a change computes, over the rows that it joins. */
static Query *
select_of(Query *change)
{
	Query *select = copyObject(change);
	ListCell *cell;

	select->commandType = CMD_SELECT;
	select->resultRelation = 0;
	select->targetList = NIL;
	select->returningList = NIL;
	select->mergeActionList = NIL;
	if (change->commandType == CMD_UPDATE)
		add_entries(select, copyObject(change->targetList));
	add_entries(select, copyObject(change->returningList));
	foreach(cell, change->mergeActionList)
	{
		MergeAction *action = copyObject(lfirst_node(MergeAction, cell));

		if (action->qual != NULL)
			add_expression(select, action->qual);
		add_entries(select, action->targetList);
	}
	if (change->commandType == CMD_MERGE)
		select->jointree = merge_join(change);
	return select;
}

/* True if all rows that MERGE inserts get a key of the source's row. */
static bool
inserts_keys_of_source(const TessTable *table, Query *merge, Query *select)
{
	Node *source = merge_source(merge);
	TessLocus locus = tess_locus_of_node(table, select, source);
	TessScope scope = {select, NULL, NIL};
	TessFacts facts = {NIL};
	ListCell *cell;

	tess_facts_add(table, source, &scope, &facts);
	foreach(cell, merge->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);
		TargetEntry *key = get_tle_by_resno(action->targetList,
											table->key_attnum);

		if (action->commandType == CMD_INSERT &&
			(locus.kind != TESS_SHARDED || key == NULL ||
			 !tess_is_key_column((Node *) key->expr, locus.keys, &scope, &facts)))
			return false;
	}
	return true;
}

/* See fragment.h. */
bool
tess_change_is_sharded(const TessTable *table, Query *change, Expr **prune)
{
	Query *select = select_of(change);

	if (tess_locus_of_query(table, select).kind != TESS_SHARDED ||
		!inserts_keys_of_source(table, change, select))
		return false;
	*prune = tess_locus_prune(table, select);
	return true;
}
