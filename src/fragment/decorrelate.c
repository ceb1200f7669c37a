/*
 * decorrelate.c - correlated aggregates become grouped subqueries in FROM.
 *
 *     SELECT ... FROM a WHERE a.x > (SELECT avg(b.y) FROM b WHERE b.k = a.k)
 *
 * becomes
 *
 *     SELECT ... FROM a LEFT JOIN
 *         (SELECT avg(b.y) AS c1, b.k AS c2 FROM b GROUP BY b.k) s ON s.c2 = a.k
 *     WHERE a.x > s.c1
 *
 * because PostgreSQL would run the subquery for each row of a, and each run is
 * a round trip to the nodes.  What makes it exact:
 *
 * - A row of a finds one group at most: the operators that correlate mean the
 *   same equality as GROUP BY.  NULL finds none in either form.
 * - Where none is found, each aggregate is what it is over no rows: NULL, or 0
 *   for count.  Only the aggregates are computed in the subquery; the expression
 *   over them stays where the subquery stood.
 * - All groups are computed now, though PostgreSQL might have asked for none, so
 *   what is computed in them must not fail (never_fails.c), nor have effects.
 * - The value is there for each row of FROM, so a subquery that stands above
 *   GROUP BY stays what it is, unless it is an argument of an aggregate.
 *
 * What can be computed in the shards as it is (split.c) is left alone.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "fragment/derived.h"
#include "fragment/locus.h"
#include "fragment/fragment_internal.h"

/* A LIMIT that lets this many rows through lets this many subqueries run. */
#define FEW_ROWS 10

/* A query level whose subqueries are looked at. */
typedef struct Level
{
	Query *query;
	List *derived; /* TessDerived * */
	bool on_rows;  /* what is walked over is computed for rows of FROM */
} Level;

/* The level around it. ------------------------------------------------------ */

static Node *
level_mutator(Node *node, Level *level)
{
	Node *result;

	if (node == NULL || IsA(node, Query))
		return node;
	if (IsA(node, Aggref))
	{
		Aggref *aggref = (Aggref *) node;
		bool on_rows = level->on_rows;

		if (aggref->agglevelsup > 0 || aggref->aggdirectargs != NIL)
			return node;
		level->on_rows = true;
		result = expression_tree_mutator(node, level_mutator, level);
		level->on_rows = on_rows;
		return result;
	}
	if (IsA(node, SubLink) && level->on_rows)
	{
		Index rti = list_length(level->query->rtable) +
					list_length(level->derived) + 1;
		TessDerived *derived;

		result = tess_derive((SubLink *) node, rti, &derived);
		if (result != NULL)
		{
			level->derived = lappend(level->derived, derived);
			return result;
		}
	}
	return expression_tree_mutator(node, level_mutator, level);
}

static bool
is_grouped(const Query *query)
{
	return query->hasAggs || query->groupClause != NIL ||
		   query->groupingSets != NIL || query->havingQual != NULL;
}

/* A few rows only need what is shown of them; what rows are sorted by is
 * computed for all. */
static bool
shows_few_rows(const Query *query)
{
	Const *limit = (Const *) eval_const_expressions(NULL, query->limitCount);

	return limit != NULL && IsA(limit, Const) && !limit->constisnull &&
		   DatumGetInt64(limit->constvalue) <= FEW_ROWS;
}

/* True if the level reads rows of one value of a table's key: the rows are few,
 * and all groups of the subquery would be many. */
static bool
reads_one_key(const Query *query)
{
	List *conjuncts = NIL;
	ListCell *cell;

	tess_add_conjuncts(&conjuncts, query->jointree->quals);
	foreach(cell, conjuncts)
	{
		OpExpr *op = lfirst(cell);

		if (!IsA(op, OpExpr) || list_length(op->args) != 2 ||
			get_mergejoin_opfamilies(op->opno) == NIL)
			continue;
		for (int i = 0; i < 2; i++)
		{
			Node *key = strip_implicit_coercions(list_nth(op->args, i));
			Node *value = list_nth(op->args, 1 - i);
			RangeTblEntry *rte;
			const TessTable *table;

			if (!IsA(key, Var) || ((Var *) key)->varlevelsup > 0 ||
				!tess_is_row_independent(value))
				continue;
			rte = list_nth(query->rtable, ((Var *) key)->varno - 1);
			table = rte->rtekind == RTE_RELATION ? tess_meta_table(rte->relid)
												 : NULL;
			if (table != NULL && table->kind == TESS_DISTRIBUTED &&
				((Var *) key)->varattno == table->key_attnum)
				return true;
		}
	}
	return false;
}

static void
replace_in_targets(Level *level)
{
	Query *query = level->query;
	ListCell *cell;

	level->on_rows = !is_grouped(query);
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->ressortgroupref != 0 || !shows_few_rows(query))
			tle->expr = (Expr *) level_mutator((Node *) tle->expr, level);
	}
	query->havingQual = level_mutator(query->havingQual, level);
}

/* Puts the derived tables into FROM: the level's tables are joined to each
 * other first, by the conditions that name nothing else. */
static void
join_derived(Level *level)
{
	Query *query = level->query;
	FromExpr *from = query->jointree;
	List *conjuncts = NIL;
	List *below = NIL;
	List *above = NIL;
	Relids added = NULL;
	Node *joined;
	ListCell *cell;

	foreach(cell, level->derived)
	{
		TessDerived *derived = lfirst(cell);

		tess_ask_groups(query, derived);
		added = bms_add_member(added, derived->rti);
		tess_join_add_subquery(query, derived->query, "aggregated");
	}
	tess_add_conjuncts(&conjuncts, from->quals);
	foreach(cell, conjuncts)
		if (list_length(from->fromlist) > 1 &&
			!bms_overlap(pull_varnos(NULL, lfirst(cell)), added))
			below = lappend(below, lfirst(cell));
		else
			above = lappend(above, lfirst(cell));

	joined = tess_join_all(query, from->fromlist, below);
	foreach(cell, level->derived)
	{
		TessDerived *derived = lfirst(cell);
		RangeTblRef *ref = makeNode(RangeTblRef);

		ref->rtindex = derived->rti;
		joined = tess_join_make(query, JOIN_LEFT, joined, (Node *) ref,
								derived->quals);
	}
	from->fromlist = list_make1(joined);
	from->quals = above == NIL ? NULL : (Node *) make_ands_explicit(above);
}

/* What stays as it is. ------------------------------------------------------- */

/* A statement and one table of each group in it. */
typedef struct Statement
{
	TessSurvey *survey;
	List *tables;
} Statement;

static bool
is_sharded(Statement *statement, Query *query, Node *from)
{
	ListCell *cell;

	foreach(cell, statement->tables)
		if ((from == NULL ? tess_locus_of_query(lfirst(cell), query)
						  : tess_locus_of_node(lfirst(cell), query, from))
				.kind == TESS_SHARDED)
			return true;
	return false;
}

/* As far as its expressions go. */
static bool
may_be_sent(Statement *statement, Node *node)
{
	TessTravel travel = {NIL};
	TessBindings bindings = {&travel};
	ListCell *cell;

	foreach(cell, statement->survey->distributed)
		tess_travel_add(&travel, lfirst_node(RangeTblEntry, cell)->relid);
	foreach(cell, statement->survey->references)
		tess_travel_add(&travel, lfirst_node(RangeTblEntry, cell)->relid);
	travel.sublinks = true;
	return tess_travels(&travel, tess_bind(&bindings, node));
}

/* True if the level will be a fragment, but for its LIMIT. */
static bool
is_fragment(Statement *statement, Query *query)
{
	Query body = *query;

	body.limitCount = NULL;
	body.limitOffset = NULL;
	return query->commandType == CMD_SELECT &&
		   is_sharded(statement, &body, NULL) &&
		   may_be_sent(statement, (Node *) &body);
}

/* True if a condition will go into a fragment of a part of FROM: with what it
 * names, and with the conditions of that. */
static bool
fits_fragment(Statement *statement, Query *query, List *conjuncts, Node *qual)
{
	Relids named = pull_varnos(NULL, qual);
	FromExpr *part = makeFromExpr(NIL, NULL);
	List *quals = list_make1(qual);
	Relids members = NULL;
	ListCell *cell;

	foreach(cell, query->jointree->fromlist)
	{
		Relids relids = get_relids_in_jointree(lfirst(cell), true);

		if (!bms_overlap(relids, named))
			continue;
		part->fromlist = lappend(part->fromlist, lfirst(cell));
		members = bms_add_members(members, relids);
	}
	foreach(cell, conjuncts)
		if (!checkExprHasSubLink(lfirst(cell)) &&
			bms_is_subset(pull_varnos(NULL, lfirst(cell)), members))
			quals = lappend(quals, lfirst(cell));
	part->quals = (Node *) quals;
	return part->fromlist != NIL && is_sharded(statement, query, (Node *) part) &&
		   may_be_sent(statement, qual);
}

/* The tree. ------------------------------------------------------------------- */

static void
replace_in_conditions(Statement *statement, Level *level)
{
	FromExpr *from = level->query->jointree;
	List *conjuncts = NIL;
	List *result = NIL;
	ListCell *cell;

	level->on_rows = true;
	tess_add_conjuncts(&conjuncts, from->quals);
	foreach(cell, conjuncts)
	{
		Node *qual = lfirst(cell);

		if (checkExprHasSubLink(qual) &&
			!fits_fragment(statement, level->query, conjuncts, qual))
			qual = level_mutator(qual, level);
		result = lappend(result, qual);
	}
	from->quals = result == NIL ? NULL : (Node *) make_ands_explicit(result);
}

static bool decorrelate_walker(Node *node, Statement *statement);

/* Inner levels first: what is left of them may be free of subqueries. */
static void
decorrelate_query(Query *query, Statement *statement)
{
	Level level = {query};

	check_stack_depth();
	/* rows that have changed meanwhile are computed again, from subqueries with
	 * their new values, but from joined rows as they were */
	if (query->rowMarks != NIL || query->commandType == CMD_UPDATE ||
		query->commandType == CMD_DELETE || query->commandType == CMD_MERGE ||
		is_fragment(statement, query))
		return;
	query_tree_walker(query, decorrelate_walker, statement, 0);
	if (!query->hasSubLinks || query->commandType != CMD_SELECT ||
		query->resultRelation != 0 || query->jointree->fromlist == NIL ||
		query->setOperations != NULL || reads_one_key(query))
		return;

	replace_in_conditions(statement, &level);
	replace_in_targets(&level);
	if (level.derived == NIL)
		return;
	join_derived(&level);
	query->hasSubLinks = checkExprHasSubLink((Node *) query);
}

static bool
decorrelate_walker(Node *node, Statement *statement)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		decorrelate_query((Query *) node, statement);
		return false;
	}
	return expression_tree_walker(node, decorrelate_walker, statement);
}

static bool
has_scalar_subquery_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == EXPR_SUBLINK)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_scalar_subquery_walker,
								 context, 0);
	return expression_tree_walker(node, has_scalar_subquery_walker, context);
}

/* Turns correlated aggregates that read distributed tables into grouped joins,
 * at all levels, in place. */
void
tess_decorrelate(TessSurvey *survey, Query *query)
{
	Statement statement = {survey};
	List *groups = NIL;
	ListCell *cell;

	if (!has_scalar_subquery_walker((Node *) query, NULL))
		return;
	foreach(cell, survey->distributed)
	{
		const TessTable *table = tess_meta_table(
			lfirst_node(RangeTblEntry, cell)->relid);

		if (list_member_ptr(groups, table->group))
			continue;
		groups = lappend(groups, (void *) table->group);
		statement.tables = lappend(statement.tables, (void *) table);
	}
	decorrelate_query(query, &statement);
}
