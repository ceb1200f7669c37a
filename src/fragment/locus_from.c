/*
 * locus_from.c - where do the rows of a join tree live, and may the queries
 * inside of expressions be computed with them?  See locus.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/syscache.h"

#include "fragment/locus_internal.h"
#include "fragment/fragment_internal.h"

/* Keys --------------------------------------------------------------------- */

List *
tess_key_make(RangeTblEntry *rte, AttrNumber attno)
{
	TessTerm *term = palloc0(sizeof(TessTerm));

	term->rte = rte;
	term->attno = attno;
	return list_make1(term);
}

/* True if the column is, or is equal to, one of the keys. */
bool
tess_is_one_of_keys(const TessTerm *term, List *keys, const TessFacts *facts)
{
	TessFactClass *class = tess_facts_find(facts, term);
	ListCell *cell;

	foreach(cell, keys)
	{
		TessTerm *key = lfirst(cell);

		if (tess_term_equal(key, term))
			return true;
		if (class != NULL && tess_facts_find(facts, key) == class)
			return true;
	}
	return false;
}

static bool
share_a_key(List *left, List *right, const TessFacts *facts)
{
	ListCell *cell;

	foreach(cell, left)
		if (tess_is_one_of_keys(lfirst(cell), right, facts))
			return true;
	return false;
}

/* True if the expression is a term that is a key, as text compares it. */
bool
tess_is_key_column(Node *expr, List *keys, TessScope *scope,
				   const TessFacts *facts)
{
	TessTerm term;

	return tess_term_of(expr, scope, &term) &&
		   tess_is_one_of_keys(&term, keys, facts);
}

/* Joins -------------------------------------------------------------------- */

static TessLocus
join_inner(TessLocus left, TessLocus right, const TessFacts *facts)
{
	if (left.kind == TESS_COORDINATOR || right.kind == TESS_COORDINATOR)
		return tess_coordinator;
	if (left.kind == TESS_EVERYWHERE)
		return right;
	if (right.kind == TESS_EVERYWHERE)
		return left;
	if (!share_a_key(left.keys, right.keys, facts))
		return tess_coordinator;
	left.keys = list_concat_copy(left.keys, right.keys);
	return left;
}

/* Keys, and what equals them on their side of a join. */
static List *
keys_and_equals(List *keys, const TessFacts *side)
{
	List *terms = list_copy(keys);
	ListCell *cell;
	ListCell *inner;

	foreach(cell, keys)
	{
		TessFactClass *class = tess_facts_find(side, lfirst(cell));

		if (class == NULL)
			continue;
		foreach(inner, class->terms)
			if (((TessTerm *) lfirst(inner))->first == NULL)
				terms = list_append_unique_ptr(terms, lfirst(inner));
	}
	return terms;
}

/* The sides of an outer join, and what is known on each. */
typedef struct OuterJoin
{
	TessLocus left; /* preserved */
	TessLocus right;
	const TessFacts *left_facts;
	const TessFacts *right_facts;
	const TessFacts *facts; /* with those of ON, and of both sides */
} OuterJoin;

/*
 * COALESCE of keys of both sides of an outer join by the keys: whichever side
 * a row has, the value is that row's key.
 */
static List *
merged_keys(const OuterJoin *join, bool is_full)
{
	List *left = keys_and_equals(join->left.keys, join->left_facts);
	List *right = keys_and_equals(join->right.keys, join->right_facts);
	List *keys = NIL;
	ListCell *cell;
	ListCell *inner;

	foreach(cell, left)
	{
		const TessTerm *one = lfirst(cell);

		foreach(inner, right)
		{
			const TessTerm *other = lfirst(inner);
			bool are_columns = one->first == NULL && other->first == NULL;

			/* of chains only what USING makes: they would be too many */
			if (are_columns ||
				(is_full && (one->first == NULL || other->first == NULL)))
				keys = lappend(keys, tess_term_coalesce(one, other));
			if (are_columns)
				keys = lappend(keys, tess_term_coalesce(other, one));
		}
	}
	return keys;
}

static TessLocus
join_outer(const OuterJoin *join)
{
	TessLocus result = join->left;

	if (join->left.kind == TESS_COORDINATOR ||
		join->right.kind == TESS_COORDINATOR)
		return tess_coordinator;
	if (join->right.kind == TESS_EVERYWHERE)
		return result;
	if (join->left.kind == TESS_EVERYWHERE ||
		!share_a_key(join->left.keys, join->right.keys, join->facts))
		return tess_coordinator;
	result.keys = list_concat(merged_keys(join, false), result.keys);
	return result;
}

static TessLocus
join_full(const OuterJoin *join)
{
	TessLocus result = {TESS_SHARDED, NIL};

	if (join->left.kind == TESS_EVERYWHERE && join->right.kind == TESS_EVERYWHERE)
		return tess_everywhere;
	if (join->left.kind != TESS_SHARDED || join->right.kind != TESS_SHARDED ||
		!share_a_key(join->left.keys, join->right.keys, join->facts))
		return tess_coordinator;
	result.keys = merged_keys(join, true);
	return result;
}

/* Sublinks ------------------------------------------------------------------ */

typedef struct SublinkCheck
{
	const TessTable *table;
	TessScope *scope;
	const TessFacts *facts;
} SublinkCheck;

/* An array of rows in the order they come in; one that is made for each row of
 * others may have another order each time. */
static bool
is_array_of_copy(Node *node, TessScope *scope)
{
	return IsA(node, SubLink) &&
		   ((SubLink *) node)->subLinkType == ARRAY_SUBLINK &&
		   !tess_is_computed_anew(((SubLink *) node)->subselect, scope);
}

static bool
sublink_stays_walker(Node *node, SublinkCheck *check)
{
	if (node == NULL)
		return false;
	if (is_array_of_copy(node, check->scope))
		return true;
	if (IsA(node, Query))
		return tess_locus_of_level(check->table, (Query *) node, check->scope,
								   check->facts)
				   .kind != TESS_EVERYWHERE;
	return expression_tree_walker(node, sublink_stays_walker, check);
}

/* True if a query inside of an expression needs other shards than that of the
 * row, whose keys these are. */
bool
tess_sublinks_stay(const TessTable *table, void *expression, TessScope *scope,
				   List *keys, const TessFacts *facts)
{
	TessScope row = *scope;
	SublinkCheck check = {table, &row, facts};

	/* addresses of Scopes mean nothing, so a copy will do */
	row.anchors = list_concat_copy(keys, scope->anchors);
	return sublink_stays_walker((Node *) expression, &check);
}

/* x IN (SELECT ...) where both stand. */
typedef struct Membership
{
	const TessTable *table;
	TessScope *scope;
	List *keys; /* of the row */
	const TessFacts *facts;
	Query *query;	   /* the subquery */
	List *output_keys; /* its columns with keys: rte NULL */
	bool is_negated;
} Membership;

/* True if the expression is a column that cannot be NULL.  No key in use here
 * is one of a nullable side. */
static bool
is_never_null(Node *expr, TessScope *scope)
{
	TessTerm term;
	HeapTuple tuple;
	bool result;

	if (!tess_term_of(expr, scope, &term) || term.first != NULL ||
		term.rte->rtekind != RTE_RELATION)
		return false;
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(term.rte->relid),
							Int16GetDatum(term.attno));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	return result;
}

/* Column number of the subquery that a test compares with; 0: none. */
static AttrNumber
tested_column(Node *expr)
{
	while (IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	return IsA(expr, Param) && ((Param *) expr)->paramkind == PARAM_SUBLINK
			   ? ((Param *) expr)->paramid
			   : 0;
}

/*
 * The test compares the row's key with a key of the subquery: the row can only
 * match rows of its own shard.  For NOT IN neither may be NULL, as that would
 * have to be seen in all shards.
 */
static bool
tests_key(const Membership *in, Node *test)
{
	OpExpr *op = (OpExpr *) test;
	TessScope inner = {in->query, in->scope};
	TessTerm column = {NULL};
	TessFacts none = {NIL};
	ListCell *cell;

	if (is_andclause(test))
	{
		foreach(cell, ((BoolExpr *) test)->args)
			if (tests_key(in, lfirst(cell)))
				return true;
		return false;
	}
	if (!IsA(test, OpExpr) || list_length(op->args) != 2 ||
		!tess_is_key_equality(in->table, op->opno, op->inputcollid) ||
		!tess_is_key_column(linitial(op->args), in->keys, in->scope, in->facts))
		return false;
	column.attno = tested_column(lsecond(op->args));
	if (column.attno == 0 ||
		!tess_is_one_of_keys(&column, in->output_keys, &none))
		return false;
	if (!in->is_negated)
		return true;
	return is_never_null(linitial(op->args), in->scope) &&
		   is_never_null((Node *) get_tle_by_resno(in->query->targetList,
												   column.attno)
							 ->expr,
						 &inner);
}

/*
 * A condition "x IN (SELECT ...)" or its negation that a row has to pass: a
 * semijoin or antijoin.  The subquery may be sharded on its own, if it is
 * joined by the keys.
 */
static bool
is_membership(const TessTable *table, Node *condition, TessScope *scope,
			  List *keys, const TessFacts *facts)
{
	Membership in = {table, scope, keys, facts};
	TessScope row = *scope;
	SubLink *sublink;
	TessLocus locus;

	in.is_negated = is_notclause(condition);
	sublink = (SubLink *) (in.is_negated ? (Node *) get_notclausearg(condition)
										 : condition);
	if (!IsA(sublink, SubLink) || sublink->subLinkType != ANY_SUBLINK ||
		tess_sublinks_stay(table, sublink->testexpr, scope, keys, facts))
		return false;
	row.anchors = list_concat_copy(keys, scope->anchors);
	in.query = (Query *) sublink->subselect;
	locus = tess_locus_of_level(table, in.query, &row, facts);
	in.output_keys = locus.keys;
	return locus.kind == TESS_SHARDED && tests_key(&in, sublink->testexpr);
}

/* Conditions that rows, whose keys these are, have to pass. */
static bool
conditions_stay(const TessTable *table, Node *quals, TessScope *scope,
				List *keys, const TessFacts *facts)
{
	List *conditions = quals == NULL		 ? NIL
					   : IsA(quals, List)	 ? (List *) quals
					   : is_andclause(quals) ? ((BoolExpr *) quals)->args
											 : list_make1(quals);
	ListCell *cell;

	foreach(cell, conditions)
	{
		Node *condition = lfirst(cell);

		if (is_andclause(condition))
		{
			if (conditions_stay(table, condition, scope, keys, facts))
				return true;
			continue;
		}
		if (tess_sublinks_stay(table, condition, scope, keys, facts) &&
			!is_membership(table, condition, scope, keys, facts))
			return true;
	}
	return false;
}

/* FROM ---------------------------------------------------------------------- */

static TessLocus
locus_of_relation(const TessTable *table, RangeTblEntry *rte, TessScope *scope,
				  const TessFacts *facts)
{
	const TessTable *other = tess_meta_table(rte->relid);
	TessLocus locus = {TESS_SHARDED, NIL};
	LockClauseStrength strength;
	LockWaitPolicy policy;
	TessTerm key = {rte};

	if (other == NULL || rte->securityQuals != NIL || rte->tablesample != NULL ||
		tess_mark_is_early(rte) || tess_mark_of(rte, &strength, &policy))
		return tess_coordinator;
	if (other->kind == TESS_REFERENCE)
		return tess_everywhere;
	if (other->group != table->group)
		return tess_coordinator;

	key.attno = other->key_attnum;
	if (tess_is_one_of_keys(&key, scope->anchors, facts))
		return tess_everywhere; /* of the row that we are computed for */
	locus.keys = tess_key_make(rte, other->key_attnum);
	return locus;
}

static TessLocus
locus_of_cte(const TessTable *table, RangeTblEntry *rte, TessScope *scope)
{
	CommonTableExpr *found = NULL;
	TessFacts none = {NIL};
	TessScope bare;
	TessLocus locus;
	ListCell *cell;

	for (Index level = 0; level < rte->ctelevelsup && scope != NULL; level++)
		scope = scope->parent;
	if (rte->self_reference || scope == NULL)
		return tess_coordinator;
	foreach(cell, scope->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			found = cte;
	}
	if (found == NULL || found->cterecursive || !IsA(found->ctequery, Query))
		return tess_coordinator;

	/* computed once, for all rows of the level: bound to none of them */
	bare = *scope;
	bare.anchors = NIL;
	locus = tess_locus_of_level(table, (Query *) found->ctequery, &bare, &none);
	foreach(cell, locus.keys)
		((TessTerm *) lfirst(cell))->rte = rte;
	return locus;
}

static TessLocus
locus_of_subquery(const TessTable *table, RangeTblEntry *rte, TessScope *scope,
				  const TessFacts *facts, List *siblings)
{
	TessScope row = *scope;
	TessLocus locus;
	ListCell *cell;

	if (rte->security_barrier)
		return tess_coordinator;
	row.anchors = list_concat_copy(siblings, scope->anchors);
	if (tess_query_is_simple(rte->subquery))
	{
		/* its conditions are among the facts already */
		TessScope inner = {rte->subquery, &row, scope->anchors};

		locus = tess_locus_of_from(table, (Node *) rte->subquery->jointree,
								   &inner, facts, siblings);
		if (locus.kind == TESS_COORDINATOR ||
			tess_sublinks_stay(table, rte->subquery->targetList, &inner,
							   locus.keys, facts))
			return tess_coordinator;
		return locus;
	}
	locus = tess_locus_of_level(table, rte->subquery, &row, facts);
	foreach(cell, locus.keys)
		((TessTerm *) lfirst(cell))->rte = rte;
	return locus;
}

/* siblings: keys of the tables that LATERAL may look at. */
static TessLocus
locus_of_entry(const TessTable *table, RangeTblEntry *rte, TessScope *scope,
			   const TessFacts *facts, List *siblings)
{
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return locus_of_relation(table, rte, scope, facts);
		case RTE_SUBQUERY:
			return locus_of_subquery(table, rte, scope, facts, siblings);
		case RTE_CTE:
			return locus_of_cte(table, rte, scope);
		case RTE_FUNCTION:
			return tess_sublinks_stay(table, rte->functions, scope, siblings,
									  facts)
					   ? tess_coordinator
					   : tess_everywhere;
		case RTE_VALUES:
			return tess_sublinks_stay(table, rte->values_lists, scope, siblings,
									  facts)
					   ? tess_coordinator
					   : tess_everywhere;
		case RTE_RESULT:
			return tess_everywhere;
		default:
			return tess_coordinator;
	}
}

static TessLocus
locus_of_join(const TessTable *table, JoinExpr *join, TessScope *scope,
			  const TessFacts *facts, List *siblings)
{
	bool is_right = join->jointype == JOIN_RIGHT;
	Node *first = is_right ? join->rarg : join->larg;
	Node *second = is_right ? join->larg : join->rarg;
	TessFacts *first_facts = tess_facts_copy(facts);
	TessFacts *second_facts;
	TessFacts *joined;
	OuterJoin outer;
	TessLocus left;
	TessLocus right;
	List *keys;

	tess_facts_add(table, first, scope, first_facts);
	left = tess_locus_of_from(table, first, scope, first_facts, siblings);
	if (left.kind == TESS_COORDINATOR)
		return tess_coordinator;

	second_facts = tess_facts_copy(join->jointype == JOIN_FULL ? facts
															   : first_facts);
	if (join->jointype != JOIN_FULL)
		tess_facts_add_quals(table, join->quals, scope, second_facts);
	tess_facts_add(table, second, scope, second_facts);
	keys = join->jointype == JOIN_FULL ? NIL : left.keys;
	right = tess_locus_of_from(table, second, scope, second_facts,
							   list_concat_copy(keys, siblings));
	if (right.kind == TESS_COORDINATOR)
		return tess_coordinator;

	/* whether a row of one side meets one of the other is asked in the shard
	 * of the preserved row */
	joined = tess_facts_copy(first_facts);
	tess_facts_add(table, second, scope, joined);
	tess_facts_add_quals(table, join->quals, scope, joined);
	if (join->jointype == JOIN_INNER)
	{
		keys = list_concat_copy(left.keys, right.keys);
		if (conditions_stay(table, join->quals, scope, keys, joined))
			return tess_coordinator;
		return join_inner(left, right, joined);
	}
	if (tess_sublinks_stay(table, join->quals, scope, keys, joined))
		return tess_coordinator;
	outer = (OuterJoin){left, right, first_facts, second_facts, joined};
	return join->jointype == JOIN_FULL ? join_full(&outer) : join_outer(&outer);
}

static TessLocus
locus_of_from(const TessTable *table, FromExpr *from, TessScope *scope,
			  const TessFacts *facts, List *siblings)
{
	TessLocus locus = tess_everywhere;
	ListCell *cell;

	foreach(cell, from->fromlist)
	{
		TessLocus item = tess_locus_of_from(table, lfirst(cell), scope, facts,
											list_concat_copy(locus.keys,
															 siblings));

		locus = join_inner(locus, item, facts);
		if (locus.kind == TESS_COORDINATOR)
			return tess_coordinator;
	}
	if (conditions_stay(table, from->quals, scope, locus.keys, facts))
		return tess_coordinator;
	return locus;
}

/* facts hold for every row that comes out of node and survives. */
TessLocus
tess_locus_of_from(const TessTable *table, Node *node, TessScope *scope,
				   const TessFacts *facts, List *siblings)
{
	if (IsA(node, RangeTblRef))
		return locus_of_entry(table,
							  rt_fetch(((RangeTblRef *) node)->rtindex,
									   scope->query->rtable),
							  scope, facts, siblings);
	if (IsA(node, FromExpr))
		return locus_of_from(table, (FromExpr *) node, scope, facts, siblings);
	if (IsA(node, JoinExpr))
		return locus_of_join(table, (JoinExpr *) node, scope, facts, siblings);
	return tess_coordinator;
}
