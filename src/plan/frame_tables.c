/*
 * frame_tables.c - a fragment in which a distributed table is joined with
 * reference tables, as one statement for all shards of a node.
 *
 *   SELECT columns FROM orders, products WHERE conditions
 *
 * becomes
 *
 *   SELECT columns FROM (SELECT columns FROM orders) shard, products WHERE conditions
 *
 * of which deparse/ cuts the subquery out, so that the node reads and hashes the
 * reference table once, and not once a shard.  It is the same, because the
 * query is linear in the rows of its one distributed table: each row of the result
 * has come from one of them, whatever shard that is from.
 *
 * Nodes have statistics of a shard's tables and none of their union, so this is done
 * only where reading the reference tables is what counts.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"

#include "plan/plan_internal.h"

/* Reading reference tables costs no less in one shard, or it is not worth it. */
#define LEAST_COST 100.0
/* ... and in all shards this part of what the fragment costs. */
#define LEAST_SHARE 0.25

/* The entry of the distributed table in the new query. */
#define SHARD_ENTRY 1

/* A query on its way to have its distributed table in a subquery. */
typedef struct Framing
{
	const TessTravel *travel;
	Query *query;
	Index table;  /* the distributed one */
	int *numbers; /* of entries: what they become; 0: they are not in FROM */
	List *conditions;
	List *columns; /* Var *, of the distributed table */
	int depth;
	bool failed;
} Framing;

/* Whether it pays ------------------------------------------------------------ */

static bool
is_reference(const RangeTblEntry *rte)
{
	const TessTable *table = rte->rtekind == RTE_RELATION
								 ? tess_meta_table(rte->relid)
								 : NULL;

	return table != NULL && table->kind == TESS_REFERENCE;
}

/* What core would pay to read the reference tables of the fragment once. */
static Cost
reference_cost(PlannerInfo *root)
{
	Cost cost = 0;

	for (int i = 1; i < root->simple_rel_array_size; i++)
	{
		const RelOptInfo *rel = root->simple_rel_array[i];

		if (rel != NULL && rel->reloptkind == RELOPT_BASEREL &&
			rel->cheapest_total_path != NULL &&
			is_reference(root->simple_rte_array[i]))
			cost += rel->cheapest_total_path->total_cost;
	}
	return cost;
}

/* True if a draft's statement should be one for all shards of a node. */
static bool
pays(const TessDraft *draft)
{
	PlannerInfo *root = draft->rel->subroot;
	int shard_count = draft->table->group->shard_count;
	Cost once;
	Path *whole;

	if (draft->fragment->is_pinned || root == NULL || shard_count < 2)
		return false;
	once = reference_cost(root);
	whole = fetch_upper_rel(root, UPPERREL_FINAL, NULL)->cheapest_total_path;
	return once >= LEAST_COST && whole != NULL &&
		   once * shard_count >= whole->total_cost * LEAST_SHARE;
}

/* The query ---------------------------------------------------------------- */

/* A join of tables, and nothing else. */
static bool
is_join(const Query *query)
{
	return query->setOperations == NULL && !query->hasAggs &&
		   query->groupClause == NIL && query->groupingSets == NIL &&
		   query->havingQual == NULL && query->distinctClause == NIL &&
		   !query->hasWindowFuncs && !query->hasTargetSRFs &&
		   query->cteList == NIL && query->sortClause == NIL &&
		   query->limitCount == NULL && query->limitOffset == NULL &&
		   query->rowMarks == NIL;
}

/* Gathers the tables of FROM, which have to be joined by inner joins, in their
 * order: false if there is anything else. */
static bool
gather_tables(Framing *framing, Node *node, int *count)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		Index rti = ((RangeTblRef *) node)->rtindex;
		const RangeTblEntry *rte = rt_fetch(rti, framing->query->rtable);

		if (tess_is_distributed(rte) && framing->table == 0 &&
			rte->tablesample == NULL)
			framing->table = rti;
		else if (is_reference(rte) && rte->tablesample == NULL)
			framing->numbers[rti] = ++*count;
		else
			return false;
		return true;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		framing->conditions = list_concat(framing->conditions,
										  make_ands_implicit(
											  (Expr *) join->quals));
		return join->jointype == JOIN_INNER && join->alias == NULL &&
			   gather_tables(framing, join->larg, count) &&
			   gather_tables(framing, join->rarg, count);
	}
	foreach(cell, ((FromExpr *) node)->fromlist)
		if (!gather_tables(framing, lfirst(cell), count))
			return false;
	framing->conditions = list_concat(framing->conditions,
									  make_ands_implicit(
										  (Expr *) ((FromExpr *) node)->quals));
	return true;
}

/* The column of the union that a column of the distributed table becomes. */
static AttrNumber
column_number(Framing *framing, const Var *var)
{
	ListCell *cell;

	if (var->varattno <= 0 || !tess_type_travels(framing->travel, var->vartype) ||
		tess_meta_differs_by_shard(var->vartype))
		framing->failed = true;
	foreach(cell, framing->columns)
		if (lfirst_node(Var, cell)->varattno == var->varattno)
			return foreach_current_index(cell) + 1;
	framing->columns = lappend(framing->columns, copyObject((Var *) var));
	return list_length(framing->columns);
}

/* Expressions of the query as they are over its new entries. */
static Node *
renumber_mutator(Node *node, Framing *framing)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		framing->depth++;
		node = (Node *) query_tree_mutator((Query *) node, renumber_mutator,
										   framing, QTW_IGNORE_JOINALIASES);
		framing->depth--;
		return node;
	}
	if (IsA(node, Var) && (int) ((Var *) node)->varlevelsup == framing->depth)
	{
		Var *var = copyObject((Var *) node);

		var->varnosyn = 0;
		var->varattnosyn = 0;
		if (var->varno == (int) framing->table)
		{
			var->varattno = column_number(framing, var);
			var->varno = SHARD_ENTRY;
		}
		else
		{
			framing->failed |= framing->numbers[var->varno] == 0;
			var->varno = framing->numbers[var->varno];
		}
		return (Node *) var;
	}
	return expression_tree_mutator(node, renumber_mutator, framing);
}

/* SELECT columns FROM the distributed table. */
static RangeTblEntry *
make_shard_entry(const Framing *framing)
{
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query *source = makeNode(Query);

	ref->rtindex = 1;
	source->commandType = CMD_SELECT;
	source->canSetTag = true;
	source->rtable = list_make1(rt_fetch(framing->table, framing->query->rtable));
	source->jointree = makeFromExpr(list_make1(ref), NULL);
	return tess_shard_entry(framing->columns, source);
}

/* Conditions stand outside of the subquery: core looks rows of a union up in an
 * index only where nothing but tables is in it. */
static void
replace_from(Framing *framing, int count)
{
	Query *query = framing->query;
	List *rtable = list_make1(make_shard_entry(framing));
	List *from = NIL;

	for (int number = 2; number <= count; number++)
		for (int i = 1; i <= list_length(query->rtable); i++)
			if (framing->numbers[i] == number)
				rtable = lappend(rtable, rt_fetch(i, query->rtable));
	for (int number = 1; number <= count; number++)
	{
		RangeTblRef *ref = makeNode(RangeTblRef);

		ref->rtindex = number;
		from = lappend(from, ref);
	}
	query->rtable = rtable;
	query->jointree = makeFromExpr(from, framing->conditions == NIL
											 ? NULL
											 : (Node *) make_ands_explicit(
												   framing->conditions));
}

/*
 * Gives a query, of a fragment, another form: its FROM begins with a subquery that has
 * the shard's rows.  False if it cannot have it, or should not; it may have been
 * changed then.
 */
bool
tess_frame_tables(const TessDraft *draft, Query *query)
{
	Framing framing = {&draft->travel, query};
	int count = SHARD_ENTRY;

	if (!pays(draft) || !is_join(query))
		return false;
	framing.numbers = palloc0((list_length(query->rtable) + 1) * sizeof(int));
	if (!gather_tables(&framing, (Node *) query->jointree, &count) ||
		framing.table == 0 ||
		tess_reads_distributed((Node *) framing.conditions) ||
		tess_reads_distributed((Node *) query->targetList))
		return false;
	query->targetList = (List *) renumber_mutator((Node *) query->targetList,
												  &framing);
	framing.conditions = (List *) renumber_mutator((Node *) framing.conditions,
												   &framing);
	if (framing.failed || framing.columns == NIL)
		return false;
	replace_from(&framing, count);
	return true;
}
