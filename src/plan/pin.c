/*
 * pin.c - is a whole statement bound to one value of the distribution key?
 *
 * A table is pinned by a value if its rows with another key can be left out
 * without changing the result.  Facts are equalities: classes of columns that
 * are equal in every row that survives, each with the values they are equal
 * to.  Values never join classes: two columns that equal $1 are not facts of
 * each other where one of them may be missing.
 *
 * Facts of WHERE and of inner joins hold for all tables below them, nullable
 * sides included (key equality is strict).  Facts of an outer join's ON hold
 * for its nullable side only; those of a FULL JOIN's for nobody.  Facts of a
 * query level are seen by its sublinks and lateral subqueries, and nothing
 * flows back from these.  Subqueries in FROM that PostgreSQL would pull up
 * share their parent's facts.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "plan/plan_internal.h"
#include "route/route.h"

/* A column, wherever in the tree: entries are known by their address. */
typedef struct Term
{
	RangeTblEntry *rte;
	AttrNumber attno;
} Term;

/* A value a column is equal to, and the condition that says so. */
typedef struct PinValue
{
	Expr *clause; /* OpExpr or ScalarArrayOpExpr */
	bool column_is_left;
	RangeTblEntry *rte; /* of the column in the clause */
	AttrNumber attno;
} PinValue;

typedef struct FactClass
{
	List *terms;  /* Term * */
	List *values; /* PinValue * */
} FactClass;

/* What is known at a place in the tree: a list of FactClass *. */
typedef struct Facts
{
	List *classes;
} Facts;

typedef struct Scope
{
	Query *query;
	struct Scope *parent;
} Scope;

typedef struct Pin
{
	RangeTblEntry *rte;
	List *values; /* PinValue * */
} Pin;

/* The whole walk. */
typedef struct PinWalk
{
	const TessTable *table; /* any of the group */
	List *pins;				/* Pin *, one for each distributed table */
	bool failed;			/* one of them is not pinned */
} PinWalk;

typedef struct SublinkContext
{
	PinWalk *walk;
	Scope *scope;
	const Facts *facts;
} SublinkContext;

static void pin_query(PinWalk *walk, Query *query, Scope *parent,
					  const Facts *outer);
static void collect(PinWalk *walk, Node *node, Scope *scope, Facts *facts);
static void assign(PinWalk *walk, Node *node, Scope *scope, const Facts *facts);

/* Facts ------------------------------------------------------------------ */

static Facts *
facts_copy(const Facts *facts)
{
	Facts *copy = palloc0(sizeof(Facts));
	ListCell *cell;

	foreach(cell, facts->classes)
	{
		FactClass *from = lfirst(cell);
		FactClass *to = palloc(sizeof(FactClass));

		to->terms = list_copy(from->terms);
		to->values = list_copy(from->values);
		copy->classes = lappend(copy->classes, to);
	}
	return copy;
}

static FactClass *
facts_find(const Facts *facts, const Term *term)
{
	ListCell *cell;
	ListCell *inner;

	foreach(cell, facts->classes)
	{
		FactClass *class = lfirst(cell);

		foreach(inner, class->terms)
		{
			Term *known = lfirst(inner);

			if (known->rte == term->rte && known->attno == term->attno)
				return class;
		}
	}
	return NULL;
}

static FactClass *
facts_class(Facts *facts, const Term *term)
{
	FactClass *class = facts_find(facts, term);

	if (class == NULL)
	{
		Term *copy = palloc(sizeof(Term));

		*copy = *term;
		class = palloc0(sizeof(FactClass));
		class->terms = list_make1(copy);
		facts->classes = lappend(facts->classes, class);
	}
	return class;
}

static void
facts_equate(Facts *facts, const Term *a, const Term *b)
{
	FactClass *left = facts_class(facts, a);
	FactClass *right = facts_class(facts, b);

	if (left == right)
		return;
	left->terms = list_concat(left->terms, right->terms);
	left->values = list_concat(left->values, right->values);
	facts->classes = list_delete_ptr(facts->classes, right);
}

/* Columns ---------------------------------------------------------------- */

/* The entry and column an expression stands for; false if it is no column. */
static bool
term_of(Node *node, Scope *scope, Term *term)
{
	Var *var;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Var))
		return false;
	var = (Var *) node;
	if (var->varattno <= 0)
		return false;
	for (Index level = 0; level < var->varlevelsup; level++)
	{
		scope = scope->parent;
		if (scope == NULL)
			return false;
	}

	term->rte = rt_fetch(var->varno, scope->query->rtable);
	term->attno = var->varattno;
	if (term->rte->rtekind == RTE_JOIN)
	{
		Node *alias = list_nth(term->rte->joinaliasvars, var->varattno - 1);

		return alias != NULL && term_of(alias, scope, term);
	}
	return true;
}

/* Conditions ------------------------------------------------------------- */

static bool
is_key_equality(PinWalk *walk, Oid opno, Oid collation)
{
	Oid other;

	return op_strict(opno) &&
		   (tess_route_is_key_equality(walk->table, opno, collation, true,
									   &other) ||
			tess_route_is_key_equality(walk->table, opno, collation, false,
									   &other));
}

static void
add_value(Facts *facts, const Term *term, Expr *clause, bool column_is_left)
{
	PinValue *value = palloc(sizeof(PinValue));
	FactClass *class = facts_class(facts, term);

	value->clause = clause;
	value->column_is_left = column_is_left;
	value->rte = term->rte;
	value->attno = term->attno;
	class->values = lappend(class->values, value);
}

static void
collect_comparison(PinWalk *walk, OpExpr *op, Scope *scope, Facts *facts)
{
	Node *left;
	Node *right;
	Term a;
	Term b;
	bool left_is_column;
	bool right_is_column;

	if (list_length(op->args) != 2 ||
		!is_key_equality(walk, op->opno, op->inputcollid))
		return;
	left = linitial(op->args);
	right = lsecond(op->args);
	left_is_column = term_of(left, scope, &a);
	right_is_column = term_of(right, scope, &b);

	if (left_is_column && right_is_column)
		facts_equate(facts, &a, &b);
	else if (left_is_column && tess_is_row_independent(right))
		add_value(facts, &a, (Expr *) op, true);
	else if (right_is_column && tess_is_row_independent(left))
		add_value(facts, &b, (Expr *) op, false);
}

static void
collect_quals(PinWalk *walk, Node *quals, Scope *scope, Facts *facts)
{
	Term term;

	if (quals == NULL)
		return;
	if (IsA(quals, List) || is_andclause(quals))
	{
		List *args = IsA(quals, List) ? (List *) quals
									  : ((BoolExpr *) quals)->args;
		ListCell *cell;

		foreach(cell, args)
			collect_quals(walk, lfirst(cell), scope, facts);
	}
	else if (IsA(quals, OpExpr))
		collect_comparison(walk, (OpExpr *) quals, scope, facts);
	else if (IsA(quals, ScalarArrayOpExpr))
	{
		ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) quals;

		if (any->useOr && is_key_equality(walk, any->opno, any->inputcollid) &&
			term_of(linitial(any->args), scope, &term) &&
			tess_is_row_independent(lsecond(any->args)))
			add_value(facts, &term, (Expr *) any, true);
	}
}

/* The tree ---------------------------------------------------------------- */

/* True if conditions may move freely into and out of a subquery in FROM. */
static bool
is_simple(const Query *query)
{
	return query->commandType == CMD_SELECT && query->setOperations == NULL &&
		   !query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs &&
		   query->groupClause == NIL && query->groupingSets == NIL &&
		   query->havingQual == NULL && query->distinctClause == NIL &&
		   query->limitOffset == NULL && query->limitCount == NULL &&
		   query->cteList == NIL && query->rowMarks == NIL;
}

/* Facts of what comes out of a subquery in FROM that is simple. */
static void
collect_subquery(PinWalk *walk, RangeTblEntry *rte, Scope *scope, Facts *facts)
{
	Query *query = rte->subquery;
	Scope inner = {query, scope};
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);
		Term outside = {rte, tle->resno};
		Term inside;

		if (!tle->resjunk && term_of((Node *) tle->expr, &inner, &inside))
			facts_equate(facts, &outside, &inside);
	}
	collect(walk, (Node *) query->jointree, &inner, facts);
}

/* Adds the facts that hold for every row that comes out of node. */
static void
collect(PinWalk *walk, Node *node, Scope *scope, Facts *facts)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex,
									  scope->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY && is_simple(rte->subquery))
			collect_subquery(walk, rte, scope, facts);
	}
	else if (IsA(node, FromExpr))
	{
		FromExpr *from = (FromExpr *) node;

		foreach(cell, from->fromlist)
			collect(walk, lfirst(cell), scope, facts);
		collect_quals(walk, from->quals, scope, facts);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (join->jointype == JOIN_INNER)
			collect_quals(walk, join->quals, scope, facts);
		if (join->jointype == JOIN_INNER || join->jointype == JOIN_LEFT)
			collect(walk, join->larg, scope, facts);
		if (join->jointype == JOIN_INNER || join->jointype == JOIN_RIGHT)
			collect(walk, join->rarg, scope, facts);
	}
}

static bool
sublink_walker(Node *node, SublinkContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		pin_query(context->walk, (Query *) node, context->scope, context->facts);
		return false;
	}
	return expression_tree_walker(node, sublink_walker, context);
}

/* The queries inside expressions of a level. */
static void
pin_sublinks(PinWalk *walk, void *expression, Scope *scope, const Facts *facts)
{
	SublinkContext context = {walk, scope, facts};

	sublink_walker((Node *) expression, &context);
}

static void
assign_relation(PinWalk *walk, RangeTblEntry *rte, const Facts *facts)
{
	const TessTable *table = tess_meta_table(rte->relid);
	Term key;
	FactClass *class;
	Pin *pin;

	if (table == NULL || table->kind != TESS_DISTRIBUTED)
		return;
	key.rte = rte;
	key.attno = table->key_attnum;
	class = facts_find(facts, &key);
	if (table->group != walk->table->group || class == NULL ||
		class->values == NIL)
	{
		walk->failed = true;
		return;
	}
	pin = palloc(sizeof(Pin));
	pin->rte = rte;
	pin->values = list_copy(class->values);
	walk->pins = lappend(walk->pins, pin);
}

static void
assign_entry(PinWalk *walk, RangeTblEntry *rte, Scope *scope, const Facts *facts)
{
	Scope inner = {rte->subquery, scope};

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			assign_relation(walk, rte, facts);
			break;
		case RTE_SUBQUERY:
			if (is_simple(rte->subquery))
			{
				assign(walk, (Node *) rte->subquery->jointree, &inner, facts);
				pin_sublinks(walk, rte->subquery->targetList, &inner, facts);
				pin_sublinks(walk, rte->subquery->windowClause, &inner, facts);
			}
			else
				pin_query(walk, rte->subquery, scope, facts);
			break;
		case RTE_FUNCTION:
			pin_sublinks(walk, rte->functions, scope, facts);
			break;
		case RTE_VALUES:
			pin_sublinks(walk, rte->values_lists, scope, facts);
			break;
		default:
			break;
	}
}

static void
assign_join(PinWalk *walk, JoinExpr *join, Scope *scope, const Facts *facts)
{
	Node *preserved = join->jointype == JOIN_RIGHT ? join->rarg : join->larg;
	Node *nullable = join->jointype == JOIN_RIGHT ? join->larg : join->rarg;
	Facts *arm;

	if (join->jointype == JOIN_INNER)
	{
		assign(walk, join->larg, scope, facts);
		assign(walk, join->rarg, scope, facts);
		pin_sublinks(walk, join->quals, scope, facts);
		return;
	}

	/* facts of the other side's own conditions hold for rows it gives */
	arm = facts_copy(facts);
	collect(walk, preserved, scope, arm);
	assign(walk, preserved, scope, arm);

	if (join->jointype == JOIN_FULL)
	{
		Facts none = {NIL};

		arm = facts_copy(facts);
		collect(walk, nullable, scope, arm);
		assign(walk, nullable, scope, arm);
		pin_sublinks(walk, join->quals, scope, &none);
		return;
	}
	collect_quals(walk, join->quals, scope, arm);
	collect(walk, nullable, scope, arm);
	assign(walk, nullable, scope, arm);
	pin_sublinks(walk, join->quals, scope, arm);
}

/* Records by what each distributed table below node is pinned. */
static void
assign(PinWalk *walk, Node *node, Scope *scope, const Facts *facts)
{
	ListCell *cell;

	if (walk->failed)
		return;
	if (IsA(node, RangeTblRef))
		assign_entry(walk,
					 rt_fetch(((RangeTblRef *) node)->rtindex,
							  scope->query->rtable),
					 scope, facts);
	else if (IsA(node, FromExpr))
	{
		FromExpr *from = (FromExpr *) node;

		foreach(cell, from->fromlist)
			assign(walk, lfirst(cell), scope, facts);
		pin_sublinks(walk, from->quals, scope, facts);
	}
	else if (IsA(node, JoinExpr))
		assign_join(walk, (JoinExpr *) node, scope, facts);
}

/* A query level; outer has the facts of the levels around it. */
static void
pin_query(PinWalk *walk, Query *query, Scope *parent, const Facts *outer)
{
	Scope scope = {query, parent};
	Facts *facts = facts_copy(outer);
	ListCell *cell;

	foreach(cell, query->cteList)
		pin_query(walk,
				  castNode(Query, lfirst_node(CommonTableExpr, cell)->ctequery),
				  &scope, outer);

	if (query->setOperations != NULL)
	{
		/* the arms: each on its own */
		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

			if (rte->rtekind == RTE_SUBQUERY)
				pin_query(walk, rte->subquery, &scope, outer);
		}
	}
	else
	{
		collect(walk, (Node *) query->jointree, &scope, facts);
		assign(walk, (Node *) query->jointree, &scope, facts);
	}
	pin_sublinks(walk, query->targetList, &scope, facts);
	pin_sublinks(walk, query->returningList, &scope, facts);
	pin_sublinks(walk, query->havingQual, &scope, facts);
	pin_sublinks(walk, query->limitOffset, &scope, facts);
	pin_sublinks(walk, query->limitCount, &scope, facts);
	pin_sublinks(walk, query->windowClause, &scope, facts);
}

/* One value for all -------------------------------------------------------- */

static Node *
value_of(const PinValue *value)
{
	List *args = IsA(value->clause, OpExpr)
					 ? ((OpExpr *) value->clause)->args
					 : ((ScalarArrayOpExpr *) value->clause)->args;

	return value->column_is_left ? lsecond(args) : linitial(args);
}

/* The column's side of the clause, over the table's key as Var (1, key). */
static Node *
key_side(Node *side, const TessTable *table)
{
	if (IsA(side, RelabelType))
	{
		RelabelType *relabel = copyObject((RelabelType *) side);

		relabel->arg = (Expr *) key_side((Node *) relabel->arg, table);
		return (Node *) relabel;
	}
	return (Node *) makeVar(1, table->key_attnum, table->key_type,
							table->key_typmod, table->key_collation, 0);
}

/* The condition of a value, for the key of table: a prune expression. */
static Expr *
prune_of(const PinValue *value, const TessTable *table)
{
	Expr *clause = copyObject(value->clause);
	List *args = IsA(clause, OpExpr) ? ((OpExpr *) clause)->args
									 : ((ScalarArrayOpExpr *) clause)->args;
	ListCell *side = value->column_is_left ? list_head(args)
										   : list_second_cell(args);
	Node *column = lfirst(side);

	while (IsA(column, RelabelType))
		column = (Node *) ((RelabelType *) column)->arg;
	if (exprType(column) == table->key_type)
		lfirst(side) = key_side(lfirst(side), table);
	else
	{
		/* int8 compared through a column of int4: find the other operator */
		const TessHasher *hasher = &table->group->hasher;
		Oid opno = InvalidOid;

		if (IsA(clause, OpExpr))
			opno = get_opfamily_member(hasher->opfamily, hasher->type,
									   getBaseType(exprType(value_of(value))),
									   HTEqualStrategyNumber);
		if (!OidIsValid(opno))
			return NULL;
		clause = make_opclause(opno, BOOLOID, false,
							   (Expr *) key_side(column, table),
							   (Expr *) value_of(value), InvalidOid,
							   table->key_collation);
	}
	return tess_prune_make(list_make1(clause), 1, table);
}

/* The shards of a value; NULL in *shards if only execution can tell. */
static Expr *
value_shards(TessJob *job, const PinValue *value, const TessTable *table,
			 Bitmapset **shards)
{
	Expr *prune = prune_of(value, table);
	bool exact = false;

	*shards = NULL;
	if (prune == NULL)
		return NULL;
	*shards = tess_prune_estimate(prune, job->bound_params, table->group, &exact);
	if (!exact || bms_membership(*shards) == BMS_MULTIPLE)
		*shards = NULL;
	return prune;
}

/* True if the table of pin is bound to the same shard as value. */
static bool
pin_agrees(TessJob *job, const Pin *pin, const PinValue *value,
		   const TessTable *table, const Bitmapset *shards)
{
	ListCell *cell;

	foreach(cell, pin->values)
	{
		PinValue *other = lfirst(cell);
		Bitmapset *others;

		if (IsA(value->clause, OpExpr) && IsA(other->clause, OpExpr) &&
			equal(value_of(value), value_of(other)))
			return true;
		if (shards == NULL)
			continue;
		(void) value_shards(job, other, table, &others);
		if (others != NULL && bms_equal(others, shards))
			return true;
	}
	return false;
}

/* A value that all tables agree on, as prune expression of *anchor. */
static Expr *
common_prune(TessJob *job, PinWalk *walk, const TessTable **anchor)
{
	Pin *first = linitial(walk->pins);
	ListCell *cell;
	ListCell *inner;

	foreach(cell, first->values)
	{
		PinValue *value = lfirst(cell);
		const TessTable *table = tess_meta_table(first->rte->relid);
		Bitmapset *shards;
		Expr *prune = value_shards(job, value, table, &shards);

		if (prune == NULL)
			continue;
		/* a list of values counts only if it is one shard's for certain */
		if (!IsA(value->clause, OpExpr) && shards == NULL)
			continue;
		for_each_from(inner, walk->pins, 1)
			if (!pin_agrees(job, lfirst(inner), value, table, shards))
				break;
		if (inner == NULL)
		{
			*anchor = table;
			return prune;
		}
	}
	return NULL;
}

/* The prune expression all distributed tables of the tree are bound by, for
 * *anchor; NULL if there is none. */
Expr *
tess_pin_find(TessJob *job, const TessTable **anchor)
{
	RangeTblEntry *first = linitial(job->survey->distributed);
	PinWalk walk = {tess_meta_table(first->relid)};
	Facts none = {NIL};

	pin_query(&walk, job->parse, NULL, &none);
	if (walk.failed ||
		list_length(walk.pins) != list_length(job->survey->distributed))
		return NULL;
	return common_prune(job, &walk, anchor);
}
