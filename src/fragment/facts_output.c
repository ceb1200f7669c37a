/*
 * facts_output.c - which columns are equal to a value in every row that comes out
 * of an entry of FROM: a subquery, a WITH query, VALUES.
 *
 * What is computed without rows is known as it stands.  It may be NULL, which
 * is equal to nothing: harmless where rows are looked for by it, and whoever
 * writes it as a key has to know which shard is that of NULL.
 *
 * A change gives out rows as they are after it.  Triggers of the table may have
 * made other rows of those that were written, but not with another key.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "fragment/facts.h"
#include "fragment/fragment_internal.h"

/* A WITH query is looked into once for each entry that names it, and so is what
 * it names. */
#define MAX_DEPTH 3

/* Values ------------------------------------------------------------------------ */

/* See facts.h. */
TessFactValue *
tess_fact_value_make(const TessTable *table, Node *value)
{
	const TessHasher *hasher = &table->group->hasher;
	TypeCacheEntry *key = lookup_type_cache(hasher->type,
											TYPECACHE_HASH_OPFAMILY);
	TypeCacheEntry *other = lookup_type_cache(getBaseType(exprType(value)),
											  TYPECACHE_HASH_OPFAMILY);
	TessFactValue *result;
	Oid operator= InvalidOid;

	if (other->hash_opf == hasher->opfamily)
		operator= get_opfamily_member(hasher->opfamily, key->hash_opintype,
									  other->hash_opintype,
									  HTEqualStrategyNumber);
	if (!OidIsValid(operator))
		return NULL;
	result = palloc(sizeof(TessFactValue));
	result->clause = make_opclause(operator, BOOLOID, false,
								   (Expr *) makeVar(1, table->key_attnum,
													table->key_type,
													table->key_typmod,
													table->key_collation, 0),
								   (Expr *) value, InvalidOid,
								   table->key_collation);
	result->column_is_left = true;
	return result;
}

/* True for a cast to a wider type of the same hash family. */
static bool
is_widening(const FuncExpr *cast)
{
	return cast->funcid == F_INT8_INT4 || cast->funcid == F_INT8_INT2 ||
		   cast->funcid == F_INT4_INT2;
}

/* See facts.h. */
Node *
tess_strip_casts(Node *value)
{
	for (;;)
	{
		if (IsA(value, FuncExpr) && is_widening((FuncExpr *) value))
			value = linitial(((FuncExpr *) value)->args);
		else if (IsA(value, CoerceToDomain))
			value = (Node *) ((CoerceToDomain *) value)->arg;
		else if (IsA(value, RelabelType))
			value = (Node *) ((RelabelType *) value)->arg;
		else
			return value;
	}
}

/* See facts.h. */
bool
tess_facts_assign(const TessTable *table, const TessTerm *column, Node *value,
				  TessScope *scope, TessFacts *facts)
{
	TessTerm source;
	TessFactValue *known;

	if (tess_term_of(tess_strip_casts(value), scope, &source))
	{
		TessFactClass *class = tess_facts_find(facts, &source);
		List *values = class != NULL ? list_copy(class->values) : NIL;
		ListCell *cell;

		foreach(cell, values)
			tess_facts_add_value(facts, column, lfirst(cell));
		return values != NIL;
	}
	if (!tess_is_row_independent(value))
		return false;
	known = tess_fact_value_make(table, value);
	if (known != NULL)
		tess_facts_add_value(facts, column, known);
	return known != NULL;
}

/* Entries ----------------------------------------------------------------------- */

/* A column that has one value, computed before any row is asked for: that must
 * not fail where nobody would have asked. */
static void
add_computed(const TessTable *table, const TessTerm *column, Node *value,
			 TessFacts *facts)
{
	TessFactValue *known = NULL;

	if (tess_is_row_independent(value) && tess_never_fails(value))
		known = tess_fact_value_make(table, value);
	if (known != NULL)
		tess_facts_add_value(facts, column, known);
}

/* A subquery that is simple: its conditions are those of the level around it. */
static void
add_simple(const TessTable *table, RangeTblEntry *rte, TessScope *scope,
		   TessFacts *facts)
{
	Query *query = rte->subquery;
	/* outer joins in it keep it */
	TessScope *inner = palloc0(sizeof(TessScope));
	ListCell *cell;

	inner->query = query;
	inner->parent = scope;
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);
		TessTerm outside = {rte, tle->resno};
		TessTerm inside;

		if (tle->resjunk)
			continue;
		if (tess_term_of((Node *) tle->expr, inner, &inside))
			tess_facts_equate(facts, &outside, &inside);
		else
			add_computed(table, &outside, (Node *) tle->expr, facts);
	}
	tess_facts_add(table, (Node *) query->jointree, inner, facts);
}

/*
 * What a column of RETURNING was before the change, or was given by it; NULL if
 * that is not known.
 */
static Node *
written_value(Query *query, Node *column)
{
	Var *var = (Var *) column;
	const TessTable *table;
	TargetEntry *tle;

	if (!IsA(column, Var) || (int) var->varno != query->resultRelation ||
		var->varlevelsup > 0 || query->commandType == CMD_DELETE)
		return column;
	table = tess_meta_table(rt_fetch(var->varno, query->rtable)->relid);
	if (table == NULL || table->kind != TESS_DISTRIBUTED ||
		var->varattno != table->key_attnum)
		return NULL;
	if (query->onConflict != NULL &&
		get_tle_by_resno(query->onConflict->onConflictSet, var->varattno) != NULL)
		return NULL;
	tle = get_tle_by_resno(query->targetList, var->varattno);
	if (tle != NULL)
		return (Node *) tle->expr;
	return query->commandType == CMD_UPDATE ? column : NULL;
}

/* Any other query, below the level that scope is: its conditions are its own. */
static void
add_output(const TessTable *table, RangeTblEntry *rte, Query *query,
		   TessScope *scope, TessFacts *facts)
{
	bool reads = query->commandType == CMD_SELECT;
	TessScope inner = {query, scope};
	TessFacts own = {NIL, facts->depth + 1};
	ListCell *cell;

	/* grouping sets make NULLs of what is left out */
	if (own.depth > MAX_DEPTH || query->setOperations != NULL ||
		query->groupingSets != NIL || query->commandType == CMD_MERGE)
		return;
	tess_facts_add(table, (Node *) query->jointree, &inner, &own);
	foreach(cell, reads ? query->targetList : query->returningList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);
		TessTerm outside = {rte, tle->resno};
		TessTerm inside;
		TessFactClass *class;
		Node *value;

		value = reads ? (Node *) tle->expr
					  : written_value(query, (Node *) tle->expr);
		if (tle->resjunk || value == NULL)
			continue;
		if (!tess_term_of(tess_strip_casts(value), &inner, &inside))
			add_computed(table, &outside, value, facts);
		else if ((class = tess_facts_find(&own, &inside)) != NULL)
		{
			ListCell *known;

			foreach(known, class->values)
				tess_facts_add_value(facts, &outside, lfirst(known));
		}
	}
}

static void
add_cte(const TessTable *table, RangeTblEntry *rte, TessScope *scope,
		TessFacts *facts)
{
	ListCell *cell;

	for (Index level = 0; scope != NULL && level < rte->ctelevelsup; level++)
		scope = scope->parent;
	if (scope == NULL)
		return;
	foreach(cell, scope->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);

		if (strcmp(cte->ctename, rte->ctename) == 0 && !cte->cterecursive)
			add_output(table, rte, castNode(Query, cte->ctequery), scope, facts);
	}
}

/* Columns that are the same in all rows. */
static void
add_values(const TessTable *table, RangeTblEntry *rte, TessFacts *facts)
{
	List *first = linitial_node(List, rte->values_lists);
	ListCell *cell;
	ListCell *row;

	foreach(cell, first)
	{
		TessTerm column = {rte, foreach_current_index(cell) + 1};

		foreach(row, rte->values_lists)
			if (!equal(list_nth(lfirst_node(List, row), column.attno - 1),
					   lfirst(cell)))
				break;
		if (row == NULL)
			add_computed(table, &column, lfirst(cell), facts);
	}
}

/* Adds the facts that hold for every row of an entry of the scope's level. */
void
tess_facts_add_entry(const TessTable *table, RangeTblEntry *rte,
					 TessScope *scope, TessFacts *facts)
{
	switch (rte->rtekind)
	{
		case RTE_SUBQUERY:
			if (tess_query_is_simple(rte->subquery))
				add_simple(table, rte, scope, facts);
			else
				add_output(table, rte, rte->subquery, scope, facts);
			break;
		case RTE_CTE:
			add_cte(table, rte, scope, facts);
			break;
		case RTE_VALUES:
			add_values(table, rte, facts);
			break;
		default:
			break;
	}
}
