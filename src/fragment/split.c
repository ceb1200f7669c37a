/*
 * split.c - finds the largest queries of a tree that are sharded, and makes
 * fragments of them.
 *
 * A level that is sharded as a whole becomes a fragment, but for its ORDER BY
 * and LIMIT, which stay: SELECT columns FROM (fragment) ORDER BY .. LIMIT ..
 * One that is bound to one shard (pin.c) becomes a fragment with these,
 * whatever it does.  Of a level that is neither, parts of FROM may be
 * (component.c); then come the queries inside of it.  Whatever cannot become a
 * fragment is left to core and the scans of single tables, so nothing here may
 * fail.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "fragment/fragment_internal.h"
#include "fragment/locus.h"

/* True for the source of a change. */
bool
tess_change_is_source(const Query *query)
{
	return query->commandType == CMD_SELECT && query->utilityStmt != NULL;
}

static void split_query(const TessTable *table, Query *query);

/* Whole levels ---------------------------------------------------------------- */

/* A scan of one table does as well: it sends columns and conditions too. */
static bool
is_mere_scan(Query *query)
{
	Node *item;

	if (query->setOperations != NULL || query->hasSubLinks || query->hasAggs ||
		query->groupClause != NIL || query->distinctClause != NIL ||
		query->hasWindowFuncs || query->cteList != NIL ||
		list_length(query->jointree->fromlist) != 1)
		return false;
	item = linitial(query->jointree->fromlist);
	return IsA(item, RangeTblRef) &&
		   rt_fetch(((RangeTblRef *) item)->rtindex, query->rtable)->rtekind ==
			   RTE_RELATION;
}

/*
 * True if the level passes on the order of a subquery's rows: PostgreSQL does
 * so for a level that only reads it, and users rely on that.  Where rows are
 * grouped or sorted again, the order inside of a shard is enough.
 */
static bool
passes_order_on(Query *query)
{
	RangeTblEntry *rte;
	Node *item;

	if (query->setOperations != NULL || query->hasAggs ||
		query->groupClause != NIL || query->distinctClause != NIL ||
		query->hasWindowFuncs || query->sortClause != NIL ||
		list_length(query->jointree->fromlist) != 1)
		return false;
	item = linitial(query->jointree->fromlist);
	if (!IsA(item, RangeTblRef))
		return false;
	rte = rt_fetch(((RangeTblRef *) item)->rtindex, query->rtable);
	if (rte->rtekind == RTE_CTE && rte->ctelevelsup == 0)
	{
		ListCell *cell;

		foreach(cell, query->cteList)
		{
			CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
			Query *inner = castNode(Query, cte->ctequery);

			if (strcmp(cte->ctename, rte->ctename) == 0)
				return inner->sortClause != NIL || passes_order_on(inner);
		}
	}
	return rte->rtekind == RTE_SUBQUERY &&
		   (rte->subquery->sortClause != NIL || passes_order_on(rte->subquery));
}

/* The level without what stays on top of the fragment. */
static Query *
body_of(Query *query)
{
	Query *body = copyObject(query);
	List *columns = NIL;
	List *junk = NIL;
	int count;
	ListCell *cell;

	/* what is sorted by has to come out */
	foreach(cell, body->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (entry->resjunk &&
			get_sortgroupref_clause_noerr(entry->ressortgroupref,
										  body->sortClause) == NULL)
			junk = lappend(junk, entry);
		else
			columns = lappend(columns, entry);
		entry->resorigtbl = InvalidOid;
		entry->resorigcol = 0;
	}
	if (columns == NIL)
		columns = list_make1(makeTargetEntry((Expr *) makeBoolConst(true, false),
											 1, pstrdup("present"), false));
	count = list_length(columns);
	body->targetList = list_concat(columns, junk);
	foreach(cell, body->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		entry->resno = foreach_current_index(cell) + 1;
		entry->resjunk = entry->resno > count;
	}

	/* DISTINCT ON: the first row of each group is meant */
	if (!body->hasDistinctOn)
		body->sortClause = NIL;
	body->limitOffset = NULL;
	body->limitCount = NULL;
	body->limitOption = LIMIT_OPTION_COUNT;
	return body;
}

/* The target list over the fragment: as it was, for those outside. */
static List *
outer_target_list(Query *query, Query *body)
{
	List *outer = NIL;
	int resno = 0;
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst_node(TargetEntry, cell));
		bool sorts = get_sortgroupref_clause_noerr(entry->ressortgroupref,
												   query->sortClause) != NULL;
		TargetEntry *below;

		if (entry->resjunk && !sorts)
			continue;
		below = list_nth_node(TargetEntry, body->targetList, resno++);
		entry->expr = (Expr *) makeVarFromTargetEntry(1, below);
		entry->resno = resno;
		if (!sorts)
			entry->ressortgroupref = 0;
		outer = lappend(outer, entry);
	}
	return outer;
}

/* Puts the fragment of the level's body in the place of the level. */
static void
put_fragment(Query *query, TessFragmentQuery *fragment)
{
	Query *outer = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = 1;
	outer->commandType = CMD_SELECT;
	outer->querySource = query->querySource;
	outer->queryId = query->queryId;
	outer->canSetTag = query->canSetTag;
	outer->stmt_location = query->stmt_location;
	outer->stmt_len = query->stmt_len;
	outer->hasRowSecurity = query->hasRowSecurity;
	outer->rtable = list_make1(tess_fragment_entry(fragment));
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	outer->targetList = outer_target_list(query, fragment->query);
	outer->sortClause = query->sortClause;
	outer->limitOffset = query->limitOffset;
	outer->limitCount = query->limitCount;
	outer->limitOption = query->limitOption;
	outer->hasSubLinks = checkExprHasSubLink(query->limitOffset) ||
						 checkExprHasSubLink(query->limitCount);
	*query = *outer;
}

/* Makes a fragment of the level if it is sharded as a whole. */
static bool
split_whole(const TessTable *table, Query *query)
{
	TessFragmentQuery *fragment;
	TessLocus locus;
	Query *body;

	/* the source of a change has its mark, and what it needs for that */
	if (query->commandType != CMD_SELECT || tess_change_is_source(query) ||
		is_mere_scan(query) || passes_order_on(query) ||
		(query->setOperations != NULL && query->targetList == NIL))
		return false;
	/* its WITH would have to stand in two places */
	if (query->cteList != NIL && (checkExprHasSubLink(query->limitOffset) ||
								  checkExprHasSubLink(query->limitCount)))
		return false;
	body = body_of(query);
	locus = tess_locus_of_query(table, body);
	if (locus.kind != TESS_SHARDED)
		return false;
	fragment = tess_fragment_query_make(table, body, locus.keys);
	if (fragment == NULL)
		return false;
	put_fragment(query, fragment);
	return true;
}

/* Levels that are bound to one shard ----------------------------------------------- */

/* What the shards can do for the level anyhow, and is finished above a scan:
 * joins of tables, aggregates, ORDER BY and LIMIT. */
static bool
is_plain(Query *query)
{
	ListCell *cell;

	foreach(cell, query->rtable)
		if (lfirst_node(RangeTblEntry, cell)->rtekind != RTE_RELATION &&
			lfirst_node(RangeTblEntry, cell)->rtekind != RTE_JOIN)
			return false;
	return query->setOperations == NULL && !query->hasWindowFuncs &&
		   !query->hasSubLinks && query->cteList == NIL;
}

/* A fragment of the whole query, LIMIT and all, if it is bound to one shard;
 * else NULL.  What it is sorted by comes out. */
static TessFragmentQuery *
pinned_fragment(const TessTable *table, Query *query)
{
	const TessTable *anchor;
	Expr *prune = tess_pin_find_query(query, &anchor);
	TessFragmentQuery *fragment;
	Query *body;

	if (prune == NULL || anchor->group != table->group)
		return NULL;
	body = body_of(query);
	body->sortClause = copyObject(query->sortClause);
	body->limitOffset = copyObject(query->limitOffset);
	body->limitCount = copyObject(query->limitCount);
	body->limitOption = query->limitOption;
	fragment = tess_fragment_query_make(anchor, body, NIL);
	if (fragment == NULL)
		return NULL;
	fragment->prune = prune;
	fragment->is_pinned = true;
	return fragment;
}

/* Makes a fragment of a level that is bound to one shard. */
static bool
split_pinned(const TessTable *table, Query *query)
{
	TessFragmentQuery *fragment;

	if (query->commandType != CMD_SELECT || tess_change_is_source(query) ||
		is_plain(query) || passes_order_on(query) ||
		(query->setOperations != NULL &&
		 (query->sortClause != NIL || query->targetList == NIL)))
		return false;
	fragment = pinned_fragment(table, query);
	if (fragment == NULL)
		return false;
	query->limitOffset = NULL;
	query->limitCount = NULL;
	query->limitOption = LIMIT_OPTION_COUNT;
	put_fragment(query, fragment);
	return true;
}

/* "SELECT * FROM cte" with a WITH of its own. */
static Query *
wrap_cte(CommonTableExpr *cte)
{
	Query *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	ListCell *name;
	ListCell *type;
	ListCell *typmod;
	ListCell *collation;

	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup(cte->ctename);
	rte->coltypes = list_copy(cte->ctecoltypes);
	rte->coltypmods = list_copy(cte->ctecoltypmods);
	rte->colcollations = list_copy(cte->ctecolcollations);
	rte->eref = makeAlias(cte->ctename, copyObject(cte->ctecolnames));
	rte->inFromCl = true;
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->hasRecursive = true;
	query->cteList = list_make1(copyObject(cte));
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	forfour(name, cte->ctecolnames, type, cte->ctecoltypes, typmod,
			cte->ctecoltypmods, collation, cte->ctecolcollations)
	{
		AttrNumber number = foreach_current_index(name) + 1;
		Var *var = makeVar(1, number, lfirst_oid(type), lfirst_int(typmod),
						   lfirst_oid(collation), 0);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) var, number,
													pstrdup(strVal(lfirst(name))),
													false));
	}
	return query;
}

/* Recursive WITH queries of a level that are bound to one shard each. */
static void
split_recursive(const TessTable *table, Query *query)
{
	ListCell *cell;

	foreach(cell, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		TessFragmentQuery *fragment;
		Query *wrapped;

		if (!cte->cterecursive)
			continue;
		wrapped = wrap_cte(cte);
		fragment = pinned_fragment(table, wrapped);
		if (fragment == NULL)
			continue;
		put_fragment(wrapped, fragment);
		cte->ctequery = (Node *) wrapped;
		cte->cterecursive = false;
		cte->search_clause = NULL;
		cte->cycle_clause = NULL;
	}
}

/* The tree ---------------------------------------------------------------------- */

/* For the walker: the group's table. */
static bool
split_walker(Node *node, void *table)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		/* its subquery is walked on our own terms, or not at all */
		if (rte->rtekind == RTE_SUBQUERY && tess_fragment_of(rte) == NULL)
			split_query(table, rte->subquery);
		return false;
	}
	if (IsA(node, Query))
	{
		split_query(table, (Query *) node);
		return false;
	}
	return expression_tree_walker(node, split_walker, table);
}

static void
split_query(const TessTable *table, Query *query)
{
	check_stack_depth();
	if (query->commandType == CMD_SELECT)
	{
		tess_imply_filters(table, query);
		tess_imply_equalities(table, query);
	}
	if (split_whole(table, query) || split_pinned(table, query))
		return;
	split_recursive(table, query);
	if (query->setOperations == NULL &&
		(query->commandType == CMD_SELECT || query->commandType == CMD_UPDATE ||
		 query->commandType == CMD_DELETE))
		tess_split_from(table, query);
	(void) query_tree_walker(query, split_walker, (void *) table,
							 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_RT_SUBQUERIES |
								 QTW_IGNORE_JOINALIASES);
}

/* Puts fragments into a query, at all its levels, in place.  One pass for each
 * group of the statement. */
void
tess_split(TessSurvey *survey, Query *query)
{
	List *done = NIL;
	ListCell *cell;

	foreach(cell, survey->distributed)
	{
		Oid relation = lfirst_node(RangeTblEntry, cell)->relid;
		const TessTable *table = tess_meta_table(relation);

		if (list_member_ptr(done, table->group))
			continue;
		done = lappend(done, (void *) table->group);
		split_query(table, query);
	}
}
