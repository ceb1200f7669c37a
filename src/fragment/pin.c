/*
 * pin.c - is a whole statement bound to one value of the distribution key?
 *
 * A table is pinned by a value if its rows with another key can be left out
 * without changing the result.  TessFacts are equalities: classes of columns that
 * are equal in every row that survives, each with the values they are equal
 * to.  Values never join classes: two columns that equal $1 are not facts of
 * each other where one of them may be missing.
 *
 * TessFacts of WHERE and of inner joins hold for all tables below them, nullable
 * sides included (key equality is strict).  TessFacts of an outer join's ON hold
 * for its nullable side only, and where a row of that side has to be there
 * (facts.c); those of a FULL JOIN's for nobody.  TessFacts of a
 * query level are seen by its sublinks and lateral subqueries, and nothing
 * flows back from these.  Subqueries in FROM that PostgreSQL would pull up
 * share their parent's facts.
 *
 * Rows that are inserted are pinned by what they get as key: a value that is one
 * for all of them, or a column that is equal to one.  That value may be NULL,
 * for which rows are only found nowhere, but inserted in the shard of NULL.
 * MERGE is an outer join whose preserved side is its source: what is inserted
 * has met no row of the target, and of the join's condition nothing is known.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "fragment/facts.h"
#include "fragment/fragment_internal.h"
#include "route/route.h"

typedef struct Pin
{
	RangeTblEntry *rte;
	List *values; /* TessFactValue * */
} Pin;

/* The whole walk. */
typedef struct PinWalk
{
	const TessTable *table; /* any of the group */
	List *pins;				/* Pin *, one or more for each distributed table */
	List *bound;			/* RangeTblEntry *: those tables */
	bool failed;			/* one of them is not pinned */
} PinWalk;

typedef struct SublinkContext
{
	PinWalk *walk;
	TessScope *scope;
	const TessFacts *facts;
} SublinkContext;

static void pin_query(PinWalk *walk, Query *query, TessScope *parent,
					  const TessFacts *outer);
static void assign(PinWalk *walk, Node *node, TessScope *scope,
				   const TessFacts *facts);

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
pin_sublinks(PinWalk *walk, void *expression, TessScope *scope,
			 const TessFacts *facts)
{
	SublinkContext context = {walk, scope, facts};

	sublink_walker((Node *) expression, &context);
}

/* Pins the table to the values of its key. */
static void
add_pin(PinWalk *walk, RangeTblEntry *rte, const TessFacts *facts)
{
	const TessTable *table = tess_meta_table(rte->relid);
	TessTerm key = {rte, table->key_attnum};
	TessFactClass *class = tess_facts_find(facts, &key);
	Pin *pin;

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
	walk->bound = list_append_unique_ptr(walk->bound, rte);
}

static void
assign_relation(PinWalk *walk, RangeTblEntry *rte, const TessFacts *facts)
{
	const TessTable *table = tess_meta_table(rte->relid);

	if (tess_mark_is_early(rte))
		walk->failed = true;
	else if (table != NULL && table->kind == TESS_DISTRIBUTED)
		add_pin(walk, rte, facts);
}

static void
assign_entry(PinWalk *walk, RangeTblEntry *rte, TessScope *scope,
			 const TessFacts *facts)
{
	TessScope inner = {rte->subquery, scope};

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			assign_relation(walk, rte, facts);
			break;
		case RTE_SUBQUERY:
			if (tess_query_is_simple(rte->subquery))
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
assign_join(PinWalk *walk, JoinExpr *join, TessScope *scope,
			const TessFacts *facts)
{
	Node *preserved = join->jointype == JOIN_RIGHT ? join->rarg : join->larg;
	Node *nullable = join->jointype == JOIN_RIGHT ? join->larg : join->rarg;
	TessFacts *arm;

	if (join->jointype == JOIN_INNER)
	{
		assign(walk, join->larg, scope, facts);
		assign(walk, join->rarg, scope, facts);
		pin_sublinks(walk, join->quals, scope, facts);
		return;
	}

	/* facts of the other side's own conditions hold for rows it gives */
	arm = tess_facts_copy(facts);
	tess_facts_add(walk->table, preserved, scope, arm);
	assign(walk, preserved, scope, arm);

	if (join->jointype == JOIN_FULL)
	{
		TessFacts none = {NIL};

		arm = tess_facts_copy(facts);
		tess_facts_add(walk->table, nullable, scope, arm);
		assign(walk, nullable, scope, arm);
		pin_sublinks(walk, join->quals, scope, &none);
		return;
	}
	tess_facts_add_quals(walk->table, join->quals, scope, arm);
	tess_facts_add(walk->table, nullable, scope, arm);
	assign(walk, nullable, scope, arm);
	pin_sublinks(walk, join->quals, scope, arm);
}

/* Records by what each distributed table below node is pinned. */
static void
assign(PinWalk *walk, Node *node, TessScope *scope, const TessFacts *facts)
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

/*
 * The target of an INSERT, or of such an action of MERGE, by what the rows get
 * as key; facts are those of their source.
 */
static void
pin_inserted(PinWalk *walk, Query *query, List *target_list, TessScope *scope,
			 const TessFacts *facts)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	const TessTable *table = tess_meta_table(rte->relid);
	TessFacts *assigned = tess_facts_copy(facts);
	TessTerm key = {rte};
	TargetEntry *tle;
	Node *value;

	if (table == NULL || table->kind != TESS_DISTRIBUTED)
		return;
	key.attno = table->key_attnum;
	tle = get_tle_by_resno(target_list, table->key_attnum);
	value = tle != NULL
				? (Node *) tle->expr
				: (Node *) makeNullConst(table->key_type, table->key_typmod,
										 table->key_collation);
	/* what holds for rows of the target does not for those that come */
	assigned->classes = list_delete_ptr(assigned->classes,
										tess_facts_find(assigned, &key));
	if (!tess_facts_assign(walk->table, &key, value, scope, assigned))
		walk->failed = true;
	else
		add_pin(walk, rte, assigned);
}

/* MERGE; outer has the facts of the levels around it. */
static void
pin_merge(PinWalk *walk, Query *query, TessScope *scope, const TessFacts *outer)
{
	List *sources = query->jointree->fromlist;
	TessFacts *source = tess_facts_copy(outer);
	TessFacts *joined;
	ListCell *cell;

	foreach(cell, sources)
		tess_facts_add(walk->table, lfirst(cell), scope, source);
	joined = tess_facts_copy(source);
	tess_facts_add_quals(walk->table, query->jointree->quals, scope, joined);

	foreach(cell, sources)
		assign(walk, lfirst(cell), scope,
			   query->mergeUseOuterJoin ? source : joined);
	assign_relation(walk, rt_fetch(query->resultRelation, query->rtable), joined);
	pin_sublinks(walk, query->jointree->quals, scope, joined);

	foreach(cell, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);
		TessFacts *facts = tess_facts_copy(action->matched ? joined : source);

		tess_facts_add_quals(walk->table, action->qual, scope, facts);
		pin_sublinks(walk, action->qual, scope, facts);
		pin_sublinks(walk, action->targetList, scope, facts);
		if (action->commandType == CMD_INSERT)
			pin_inserted(walk, query, action->targetList, scope, facts);
	}
}

/* A query level; outer has the facts of the levels around it. */
static void
pin_query(PinWalk *walk, Query *query, TessScope *parent, const TessFacts *outer)
{
	TessScope scope = {query, parent};
	TessFacts *facts = tess_facts_copy(outer);
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
	else if (query->commandType == CMD_MERGE)
		pin_merge(walk, query, &scope, outer);
	else
	{
		tess_facts_add(walk->table, (Node *) query->jointree, &scope, facts);
		assign(walk, (Node *) query->jointree, &scope, facts);
		if (query->commandType == CMD_INSERT)
			pin_inserted(walk, query, query->targetList, &scope, facts);
	}
	pin_sublinks(walk, query->targetList, &scope, facts);
	pin_sublinks(walk, query->onConflict, &scope, outer);
	pin_sublinks(walk, query->returningList, &scope, facts);
	pin_sublinks(walk, query->havingQual, &scope, facts);
	pin_sublinks(walk, query->limitOffset, &scope, facts);
	pin_sublinks(walk, query->limitCount, &scope, facts);
	pin_sublinks(walk, query->windowClause, &scope, facts);
}

/* The shards of a value; NULL in *shards if only execution can tell. */
static Expr *
value_shards(TessJob *job, const TessFactValue *value, const TessTable *table,
			 Bitmapset **shards)
{
	Expr *prune = tess_fact_prune(value, table);
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
pin_agrees(TessJob *job, const Pin *pin, const TessFactValue *value,
		   const TessTable *table, const Bitmapset *shards)
{
	ListCell *cell;

	foreach(cell, pin->values)
	{
		TessFactValue *other = lfirst(cell);
		Bitmapset *others;

		if (IsA(value->clause, OpExpr) && IsA(other->clause, OpExpr) &&
			equal(tess_fact_value(value), tess_fact_value(other)))
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
		TessFactValue *value = lfirst(cell);
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
	TessFacts none = {NIL};

	pin_query(&walk, job->parse, NULL, &none);
	if (walk.failed ||
		list_length(walk.bound) != list_length(job->survey->distributed))
		return NULL;
	return common_prune(job, &walk, anchor);
}

/* See fragment.h. */
Expr *
tess_pin_find_query(Query *query, const TessTable **anchor)
{
	TessJob job = {.parse = query};

	job.survey = tess_survey_make(query);
	return job.survey->distributed != NIL ? tess_pin_find(&job, anchor) : NULL;
}

/* See fragment.h.  A table may have several values: any of them decides. */
bool
tess_pin_find_each(Query *query, List **prunes)
{
	TessSurvey *survey = tess_survey_make(query);
	PinWalk walk = {NULL};
	TessFacts none = {NIL};
	ListCell *cell;

	*prunes = NIL;
	if (survey->distributed == NIL)
		return true;
	walk.table = tess_meta_table(
		linitial_node(RangeTblEntry, survey->distributed)->relid);
	pin_query(&walk, query, NULL, &none);
	if (walk.failed ||
		list_length(walk.bound) != list_length(survey->distributed))
		return false;
	foreach(cell, walk.pins)
	{
		const Pin *pin = lfirst(cell);
		const TessTable *table = tess_meta_table(pin->rte->relid);
		Expr *prune = NULL;
		ListCell *value;

		foreach(value, pin->values)
		{
			prune = tess_fact_prune(lfirst(value), table);
			if (prune != NULL)
				break;
		}
		if (prune == NULL)
			return false;
		*prunes = list_append_unique(*prunes, prune);
	}
	return true;
}
