/*
 * locus.c - where do the rows of a query live?
 *
 * A query is sharded if each shard can answer for itself: the answers put
 * together are the answer.  Its keys are the output columns whose value tells
 * the shard a row came from.  The rules stand in README.md; what they come to:
 *
 * - Joins of sharded sides need an equality of keys (facts.c); the nullable
 *   side's keys are none afterwards.  A side that is everywhere may not be
 *   preserved against a sharded one: its unmatched rows would come from every
 *   shard.
 * - Grouping, DISTINCT, windows and set operations need the key among their
 *   columns.  LIMIT, and aggregates without GROUP BY, see all rows.
 * - A query inside another one, a sublink or LATERAL, is computed for a row.
 *   Where all its tables are bound to that row's key, they are in that row's
 *   shard, whatever the query does with them: it counts as everywhere.
 *   scope->anchors are the keys of the row.
 * - What is everywhere is so only if it is a function of the set of rows of
 *   its tables: copies keep their rows in different orders.
 *
 * Only tables of one group are looked at; all other distributed tables and
 * local ones make a query the coordinator's.  Whether expressions may be
 * evaluated on a node is travel.c's question.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "fragment/locus_internal.h"
#include "fragment/fragment_internal.h"
#include "route/route.h"

/* Set operations ------------------------------------------------------------ */

/* The query that an arm is. */
static RangeTblEntry *
arm_entry(Query *query, Node *arm)
{
	return rt_fetch(((RangeTblRef *) arm)->rtindex, query->rtable);
}

/* Numbers of columns as keys of nobody in particular. */
static Bitmapset *
key_columns(TessLocus locus)
{
	Bitmapset *columns = NULL;
	ListCell *cell;

	foreach(cell, locus.keys)
		columns = bms_add_member(columns, ((TessTerm *) lfirst(cell))->attno);
	return columns;
}

/* True if a column that has the key in all arms is compared as a key. */
static bool
compares_key(const TessTable *table, SetOperationStmt *operation,
			 Bitmapset *columns)
{
	ListCell *cell;
	int column = 0;

	foreach(cell, operation->groupClauses)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);

		column++;
		if (bms_is_member(column, columns) &&
			tess_is_key_equality(table, clause->eqop,
								 list_nth_oid(operation->colCollations,
											  column - 1)))
			return true;
	}
	return false;
}

static TessLocus
locus_of_set_operation(const TessTable *table, Query *query, Node *node,
					   TessScope *scope, const TessFacts *outer)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	TessLocus left;
	TessLocus right;
	TessLocus result = {TESS_SHARDED, NIL};
	Bitmapset *columns;
	int column = -1;

	if (IsA(node, RangeTblRef))
		return tess_locus_of_level(table, arm_entry(query, node)->subquery,
								   scope, outer);

	left = locus_of_set_operation(table, query, operation->larg, scope, outer);
	if (left.kind == TESS_COORDINATOR)
		return tess_coordinator;
	right = locus_of_set_operation(table, query, operation->rarg, scope, outer);
	if (left.kind != right.kind)
		return tess_coordinator;
	if (left.kind == TESS_EVERYWHERE)
		return tess_everywhere;

	columns = bms_intersect(key_columns(left), key_columns(right));
	if ((operation->op != SETOP_UNION || !operation->all) &&
		!compares_key(table, operation, columns))
		return tess_coordinator;
	while ((column = bms_next_member(columns, column)) >= 0)
		result.keys = list_concat(result.keys, tess_key_make(NULL, column));
	return result;
}

/* A query level ------------------------------------------------------------- */

/* True if one of the columns that clauses compare is a key. */
static bool
clauses_have_key(const TessTable *table, List *clauses, Query *query,
				 List *keys, TessScope *scope, const TessFacts *facts)
{
	ListCell *cell;

	foreach(cell, clauses)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		Node *expr = get_sortgroupclause_expr(clause, query->targetList);

		if (tess_is_key_column(expr, keys, scope, facts) &&
			tess_is_key_equality(table, clause->eqop, exprCollation(expr)))
			return true;
	}
	return false;
}

/* True if groups, windows or the whole result need rows of several shards. */
static bool
needs_other_shards(const TessTable *table, Query *query, List *keys,
				   TessScope *scope, const TessFacts *facts)
{
	ListCell *cell;

	if (query->limitCount != NULL || query->limitOffset != NULL ||
		query->groupingSets != NIL)
		return true;
	if ((query->hasAggs || query->havingQual != NULL) && query->groupClause == NIL)
		return true;
	if (query->groupClause != NIL &&
		!clauses_have_key(table, query->groupClause, query, keys, scope, facts))
		return true;
	foreach(cell, query->windowClause)
		if (!clauses_have_key(table,
							  lfirst_node(WindowClause, cell)->partitionClause,
							  query, keys, scope, facts))
			return true;
	return query->distinctClause != NIL &&
		   !clauses_have_key(table, query->distinctClause, query, keys, scope,
							 facts);
}

/* True if equal values of a type may differ (1.0 and 1.00).  Equal as its
 * default btree class has it; the collation is that of the comparison.
 * Of bpchar, whose values may end in any number of blanks, that class says it
 * is not so. */
bool
tess_has_equal_variants(Oid type, Oid collation)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	Oid proves_image = OidIsValid(entry->btree_opf)
						   ? get_opfamily_proc(entry->btree_opf,
											   entry->btree_opintype,
											   entry->btree_opintype,
											   BTEQUALIMAGE_PROC)
						   : InvalidOid;

	return !OidIsValid(proves_image) || entry->btree_opintype == BPCHAROID ||
		   !DatumGetBool(
			   OidFunctionCall1Coll(proves_image, collation,
									ObjectIdGetDatum(entry->btree_opintype)));
}

/* True if one of several equal rows stands for all of them. */
static bool
chooses_among_equals(Query *query)
{
	List *clauses = list_concat_copy(query->groupClause, query->distinctClause);
	ListCell *cell;

	foreach(cell, clauses)
	{
		Node *expr = get_sortgroupclause_expr(lfirst(cell), query->targetList);

		if (tess_has_equal_variants(exprType(expr), exprCollation(expr)))
			return true;
	}
	return false;
}

static bool
operation_chooses_among_equals(SetOperationStmt *operation)
{
	ListCell *type;
	ListCell *collation;

	if (operation->groupClauses == NIL)
		return false;
	forboth(type, operation->colTypes, collation, operation->colCollations)
		if (tess_has_equal_variants(lfirst_oid(type), lfirst_oid(collation)))
			return true;
	return false;
}

/* The order of rows, or which of equal ones comes, may show in the result. */
static bool
depends_on_order_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == ARRAY_SUBLINK)
		return true;
	if (IsA(node, SetOperationStmt) &&
		operation_chooses_among_equals((SetOperationStmt *) node))
		return true;
	if (IsA(node, Aggref))
	{
		switch (((Aggref *) node)->aggfnoid)
		{
			case F_COUNT_:
			case F_COUNT_ANY:
			case F_SUM_INT2:
			case F_SUM_INT4:
			case F_SUM_INT8:
			case F_AVG_INT2:
			case F_AVG_INT4:
			case F_AVG_INT8:
			case F_MIN_INT2:
			case F_MIN_INT4:
			case F_MIN_INT8:
			case F_MAX_INT2:
			case F_MAX_INT4:
			case F_MAX_INT8:
			case F_MIN_DATE:
			case F_MAX_DATE:
			case F_MIN_TIMESTAMP:
			case F_MAX_TIMESTAMP:
			case F_MIN_TIMESTAMPTZ:
			case F_MAX_TIMESTAMPTZ:
			case F_BOOL_AND:
			case F_BOOL_OR:
			case F_EVERY:
				break;
			default:
				return true;
		}
	}
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		if (query->limitCount != NULL || query->limitOffset != NULL ||
			query->hasDistinctOn || query->hasWindowFuncs ||
			chooses_among_equals(query))
			return true;
		return query_tree_walker(query, depends_on_order_walker, context, 0);
	}
	return expression_tree_walker(node, depends_on_order_walker, context);
}

/* See fragment_internal.h. */
bool
tess_depends_on_order(Node *node)
{
	return depends_on_order_walker(node, NULL);
}

/* See locus_internal.h. */
bool
tess_is_computed_anew(Node *query, TessScope *parent)
{
	for (int level = 1; parent != NULL; level++, parent = parent->parent)
		if (contain_vars_of_level(query, level))
			return true;
	return false;
}

/* True if the query gives the same on all copies of its tables.  One that is
 * computed for each row of others may choose anew each time. */
static bool
is_function_of_set(Query *query, TessScope *parent)
{
	if (tess_is_computed_anew((Node *) query, parent))
		return true;
	return !tess_depends_on_order((Node *) query);
}

/* Output columns with a key, as keys of nobody in particular. */
static List *
output_keys(Query *query, List *keys, TessScope *scope, const TessFacts *facts)
{
	List *columns = NIL;
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk &&
			tess_is_key_column((Node *) entry->expr, keys, scope, facts))
			columns = list_concat(columns, tess_key_make(NULL, entry->resno));
	}
	return columns;
}

/* Queries that stand in expressions outside of FROM and WHERE. */
static bool
expressions_stay(const TessTable *table, Query *query, TessScope *scope,
				 List *keys, const TessFacts *facts)
{
	return tess_sublinks_stay(table, query->targetList, scope, keys, facts) ||
		   tess_sublinks_stay(table, query->havingQual, scope, keys, facts) ||
		   tess_sublinks_stay(table, query->windowClause, scope, keys, facts) ||
		   tess_sublinks_stay(table, query->limitCount, scope, NIL, facts) ||
		   tess_sublinks_stay(table, query->limitOffset, scope, NIL, facts);
}

/* outer: facts of the levels around it.  Keys are output columns (rte NULL). */
TessLocus
tess_locus_of_level(const TessTable *table, Query *query, TessScope *parent,
					const TessFacts *outer)
{
	TessScope scope = {query, parent, parent ? parent->anchors : NIL};
	TessFacts *facts = tess_facts_copy(outer);
	TessLocus locus;

	if (query->commandType != CMD_SELECT || query->rowMarks != NIL ||
		query->hasModifyingCTE || query->hasForUpdate)
		return tess_coordinator;

	if (query->setOperations != NULL)
	{
		locus = locus_of_set_operation(table, query, query->setOperations,
									   &scope, outer);
		if (locus.kind == TESS_SHARDED &&
			(query->limitCount != NULL || query->limitOffset != NULL))
			return tess_coordinator;
	}
	else
	{
		tess_facts_add(table, (Node *) query->jointree, &scope, facts);
		locus = tess_locus_of_from(table, (Node *) query->jointree, &scope,
								   facts, NIL);
	}
	if (locus.kind == TESS_COORDINATOR ||
		expressions_stay(table, query, &scope, locus.keys, facts))
		return tess_coordinator;
	if (locus.kind == TESS_EVERYWHERE)
		return is_function_of_set(query, parent) ? tess_everywhere
												 : tess_coordinator;
	if (query->setOperations != NULL)
		return locus;

	if (needs_other_shards(table, query, locus.keys, &scope, facts))
		return tess_coordinator;
	locus.keys = output_keys(query, locus.keys, &scope, facts);
	return locus;
}

/* See locus.h.  Keys are output columns (rte NULL). */
TessLocus
tess_locus_of_query(const TessTable *table, Query *query)
{
	TessFacts none = {NIL};

	return tess_locus_of_level(table, query, NULL, &none);
}

/* See locus.h. */
TessLocus
tess_locus_of_node(const TessTable *table, Query *query, Node *node)
{
	TessScope scope = {query, NULL, NIL};
	TessFacts facts = {NIL};

	tess_facts_add(table, node, &scope, &facts);
	return tess_locus_of_from(table, node, &scope, &facts, NIL);
}

/* Pruning -------------------------------------------------------------------- */

static Expr *
combine(Expr *left, Expr *right, Expr *(*make)(List *) )
{
	return left == NULL	   ? right
		   : right == NULL ? left
						   : make(list_make2(left, right));
}

/* Adds the keys of the tables that rows are made of, those of nullable sides
 * too: where one equals a value, that table's row is there. */
static List *
keys_of_tables(const TessTable *table, Query *query, List *keys)
{
	Relids relids = get_relids_in_jointree((Node *) query->jointree, false);
	int rti = -1;

	while ((rti = bms_next_member(relids, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		if (rte->rtekind == RTE_SUBQUERY && tess_query_is_simple(rte->subquery))
			keys = keys_of_tables(table, rte->subquery, keys);
		else if (rte->rtekind == RTE_SUBQUERY)
		{
			TessLocus locus = tess_locus_of_query(table, rte->subquery);
			ListCell *cell;

			foreach(cell, locus.keys)
				keys = list_concat(keys,
								   tess_key_make(rte, ((TessTerm *) lfirst(cell))
														  ->attno));
		}
		else if (rte->rtekind == RTE_RELATION)
		{
			const TessTable *other = tess_meta_table(rte->relid);

			if (other != NULL && other->group == table->group)
				keys = list_concat(keys, tess_key_make(rte, other->key_attnum));
		}
	}
	return keys;
}

/* Of subqueries that every row needs a row of. */
static Expr *
prune_of_node(const TessTable *table, Query *query, Node *node)
{
	Expr *prune = NULL;
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex,
									  query->rtable);

		/* not those that have a row though no table has */
		if (rte->rtekind == RTE_SUBQUERY && !tess_query_is_simple(rte->subquery) &&
			tess_locus_of_query(table, rte->subquery).kind == TESS_SHARDED)
			prune = tess_locus_prune(table, rte->subquery);
	}
	else if (IsA(node, FromExpr))
	{
		foreach(cell, ((FromExpr *) node)->fromlist)
			prune = combine(prune, prune_of_node(table, query, lfirst(cell)),
							make_andclause);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (join->jointype == JOIN_INNER || join->jointype == JOIN_LEFT)
			prune = prune_of_node(table, query, join->larg);
		if (join->jointype == JOIN_INNER || join->jointype == JOIN_RIGHT)
			prune = combine(prune, prune_of_node(table, query, join->rarg),
							make_andclause);
	}
	return prune;
}

static Expr *
prune_of_arms(const TessTable *table, Query *query, Node *node)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	Expr *left;
	Expr *right;

	if (IsA(node, RangeTblRef))
		return tess_locus_prune(table, arm_entry(query, node)->subquery);
	left = prune_of_arms(table, query, operation->larg);
	right = prune_of_arms(table, query, operation->rarg);
	return left == NULL || right == NULL
			   ? NULL
			   : make_orclause(list_make2(left, right));
}

/* See locus.h. */
Expr *
tess_locus_prune(const TessTable *table, Query *query)
{
	TessScope scope = {query, NULL, NIL};
	TessFacts facts = {NIL};
	Expr *prune;
	List *keys;
	ListCell *cell;
	ListCell *inner;

	if (query->setOperations != NULL)
		return prune_of_arms(table, query, query->setOperations);

	prune = prune_of_node(table, query, (Node *) query->jointree);
	tess_facts_add(table, (Node *) query->jointree, &scope, &facts);
	/* ... and those that an outer join has merged */
	keys = keys_of_tables(table, query,
						  tess_locus_of_from(table, (Node *) query->jointree,
											 &scope, &facts, NIL)
							  .keys);
	foreach(cell, facts.classes)
	{
		TessFactClass *class = lfirst(cell);

		if (class->values != NIL &&
			tess_is_one_of_keys(linitial(class->terms), keys, &facts))
			foreach(inner, class->values)
				prune = combine(prune, tess_fact_prune(lfirst(inner), table),
								make_andclause);
	}
	return prune;
}
