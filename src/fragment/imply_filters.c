/*
 * imply_filters.c - conditions of columns that follow from those of others.
 *
 * a.k = b.k AND a.k < 10: so b.k < 10, and fewer rows of b are fetched; with IN, or
 * where a is a list of values, from fewer shards.  Core finds that out for
 * "equals" alone.  Nothing is written where both are keys of the group: what the
 * one says prunes the other's shards as well, and a second condition on the same
 * values would make core expect fewer rows.
 *
 * Through an outer join a condition goes from the preserved side to the nullable
 * one, never back: there it stands in ON, where it only keeps rows away that
 * would meet no row which survives.  A condition of ON itself goes that way, too.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "fragment/facts.h"
#include "fragment/fragment_internal.h"

/* What a condition says of one column of the level. */
typedef struct Filter
{
	TessTerm term;
	Var *column;
	Node *clause;
} Filter;

typedef struct FilterWalk
{
	const TessTable *table;
	Query *query;
	TessScope scope;
} FilterWalk;

/* Conditions of one column --------------------------------------------------- */

/* True if an operator gives the same for values that are equal as keys. */
static bool
respects_equality(const TessTable *table, Oid opno, Oid collation)
{
	const TessHasher *hasher = &table->group->hasher;
	Oid equality = get_opfamily_member(hasher->opfamily, hasher->type,
									   hasher->type, HTEqualStrategyNumber);
	ListCell *cell;

	if (!OidIsValid(equality) || !op_strict(opno) ||
		(collation != table->key_collation && OidIsValid(collation) &&
		 (!get_collation_isdeterministic(collation) ||
		  (OidIsValid(table->key_collation) &&
		   !get_collation_isdeterministic(table->key_collation)))))
		return false;
	foreach(cell, get_op_btree_interpretation(opno))
		if (op_in_opfamily(equality,
						   ((OpBtreeInterpretation *) lfirst(cell))->opfamily_id))
			return true;
	return false;
}

/* The column that an expression is; NULL: none of the level. */
static Var *
column_of(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return IsA(node, Var) && ((Var *) node)->varlevelsup == 0 &&
				   ((Var *) node)->varattno > 0
			   ? (Var *) node
			   : NULL;
}

/* The column that two operands are compared by, if the other one has one value. */
static Var *
compared_column(List *args)
{
	Var *left = column_of(linitial(args));
	Var *right;

	if (left != NULL)
		return tess_is_row_independent(lsecond(args)) ? left : NULL;
	right = column_of(lsecond(args));
	return right != NULL && tess_is_row_independent(linitial(args)) ? right
																	: NULL;
}

/* The only column that a condition is about, if it is true or not for all values
 * that are equal; else NULL. */
static Var *
filtered_column(const TessTable *table, Node *clause)
{
	Var *column = NULL;
	ListCell *cell;

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2 &&
		respects_equality(table, ((OpExpr *) clause)->opno,
						  ((OpExpr *) clause)->inputcollid))
		return compared_column(((OpExpr *) clause)->args);
	if (IsA(clause, ScalarArrayOpExpr) &&
		respects_equality(table, ((ScalarArrayOpExpr *) clause)->opno,
						  ((ScalarArrayOpExpr *) clause)->inputcollid))
		return column_of(linitial(((ScalarArrayOpExpr *) clause)->args)) != NULL
				   ? compared_column(((ScalarArrayOpExpr *) clause)->args)
				   : NULL;
	if (!is_orclause(clause) && !is_andclause(clause))
		return NULL;
	foreach(cell, ((BoolExpr *) clause)->args)
	{
		Var *other = filtered_column(table, lfirst(cell));

		if (other == NULL || (column != NULL && !equal(column, other)))
			return NULL;
		column = other;
	}
	return column;
}

static List *
add_filters(FilterWalk *walk, List *filters, Node *quals)
{
	ListCell *cell;

	foreach(cell, make_ands_implicit((Expr *) quals))
	{
		Var *column;
		Filter *filter;

		if (is_andclause(lfirst(cell)))
		{
			filters = add_filters(walk, filters,
								  (Node *) ((BoolExpr *) lfirst(cell))->args);
			continue;
		}
		column = filtered_column(walk->table, lfirst(cell));
		if (column == NULL)
			continue;
		filter = palloc0(sizeof(Filter));
		filter->column = column;
		filter->clause = lfirst(cell);
		if (tess_term_of((Node *) column, &walk->scope, &filter->term) &&
			filter->term.first == NULL)
			filters = lappend(list_copy(filters), filter);
	}
	return filters;
}

/* What follows ------------------------------------------------------------------ */

static bool
is_key(const FilterWalk *walk, const TessTerm *term)
{
	const TessTable *table = term->rte->rtekind == RTE_RELATION
								 ? tess_meta_table(term->rte->relid)
								 : NULL;

	return table != NULL && table->kind == TESS_DISTRIBUTED &&
		   table->group == walk->table->group &&
		   term->attno == table->key_attnum;
}

/* True if rows of the entry would have to be fetched. */
static bool
is_fetched(const RangeTblEntry *rte)
{
	if (rte->rtekind == RTE_SUBQUERY)
		return tess_fragment_of(rte) == NULL && !rte->security_barrier;
	return tess_is_distributed(rte);
}

/* The number of a term's entry in the level; 0: it is of another one. */
static Index
entry_number(const FilterWalk *walk, const TessTerm *term)
{
	ListCell *cell;

	if (term->first == NULL)
		foreach(cell, walk->query->rtable)
			if (lfirst(cell) == term->rte)
				return foreach_current_index(cell) + 1;
	return 0;
}

/* A filter has no column but its own. */
static Node *
replace_mutator(Node *node, Var *column)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
		return copyObject((Node *) column);
	return expression_tree_mutator(node, replace_mutator, column);
}

/* The filter with another column in the place of its own; NULL if that has
 * another type. */
static Node *
filter_of(FilterWalk *walk, const Filter *filter, Index number,
		  const TessTerm *term)
{
	Var *column = tess_term_var(walk->query, number, term);

	if (column->vartype != filter->column->vartype ||
		column->varcollid != filter->column->varcollid)
		return NULL;
	return replace_mutator(filter->clause, column);
}

/* The key is one of these values. */
static Node *
membership(FilterWalk *walk, Index number, const TessTerm *term, Node *array)
{
	const TessTable *table = walk->table;
	Oid element = get_element_type(exprType(array));
	Var *column = tess_term_var(walk->query, number, term);
	Oid type = column->vartype;
	ScalarArrayOpExpr *any = makeNode(ScalarArrayOpExpr);

	any->opno = get_opfamily_member(table->group->hasher.opfamily, type,
									element, HTEqualStrategyNumber);
	if (!OidIsValid(any->opno) ||
		!tess_is_key_equality(table, any->opno, table->key_collation))
		return NULL;
	any->opfuncid = get_opcode(any->opno);
	any->useOr = true;
	any->inputcollid = table->key_collation;
	any->args = list_make2(column, array);
	any->location = -1;
	return (Node *) any;
}

static Node *
add_qual(Node *quals, Node *qual)
{
	List *list = make_ands_implicit((Expr *) quals);

	return qual == NULL || list_member(list, qual)
			   ? quals
			   : (Node *) make_ands_explicit(lappend(list_copy(list), qual));
}

/* True if values come to the rows of a table that are locked by themselves, each to
 * its shard. */
static bool
is_shipped_to(const RangeTblEntry *values, const RangeTblEntry *table)
{
	LockClauseStrength strength;
	LockWaitPolicy policy;

	return tess_frame_narrows() && tess_mark_of(table, &strength, &policy) &&
		   !tess_mark_is_contested(table) && tess_are_many_values(values);
}

/*
 * Adds to quals what follows for columns of these entries of the level.  facts
 * hold wherever quals do.
 */
static Node *
write_filters(FilterWalk *walk, const TessFacts *facts, List *filters,
			  Relids entries, Node *quals)
{
	ListCell *class_cell;
	ListCell *cell;
	ListCell *inner;

	foreach(class_cell, facts->classes)
	{
		TessFactClass *class = lfirst(class_cell);

		if (list_length(class->terms) < 2)
			continue;
		foreach(cell, class->terms)
		{
			TessTerm *term = lfirst(cell);
			Index number = entry_number(walk, term);

			if (number == 0 || !bms_is_member(number, entries) ||
				!is_fetched(term->rte))
				continue;
			foreach(inner, filters)
			{
				Filter *filter = lfirst(inner);

				if (tess_facts_find(facts, &filter->term) == class &&
					!tess_term_equal(&filter->term, term) &&
					!(is_key(walk, term) && is_key(walk, &filter->term)))
					quals = add_qual(quals,
									 filter_of(walk, filter, number, term));
			}
			if (!is_key(walk, term))
				continue;
			foreach(inner, class->terms)
			{
				TessTerm *other = lfirst(inner);
				Node *array = entry_number(walk, other) > 0 &&
									  !is_shipped_to(other->rte, term->rte)
								  ? tess_known_values(other->rte, other->attno)
								  : NULL;

				if (array != NULL)
					quals = add_qual(quals,
									 membership(walk, number, term, array));
			}
		}
	}
	return quals;
}

/* The tree ---------------------------------------------------------------------- */

/* Conditions of the inner joins that all rows of a node have passed. */
static List *
filters_of(FilterWalk *walk, Node *node)
{
	List *filters = NIL;
	ListCell *cell;

	if (IsA(node, FromExpr))
	{
		foreach(cell, ((FromExpr *) node)->fromlist)
			filters = list_concat(filters, filters_of(walk, lfirst(cell)));
		return add_filters(walk, filters, ((FromExpr *) node)->quals);
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (join->jointype == JOIN_INNER || join->jointype == JOIN_LEFT)
			filters = filters_of(walk, join->larg);
		if (join->jointype == JOIN_INNER || join->jointype == JOIN_RIGHT)
			filters = list_concat(filters, filters_of(walk, join->rarg));
		if (join->jointype == JOIN_INNER)
			filters = add_filters(walk, filters, join->quals);
	}
	return filters;
}

/* Writes what follows to the ON of outer joins below a node, whose rows these
 * facts and filters hold for, if they survive. */
static void
write_outer_joins(FilterWalk *walk, Node *node, const TessFacts *facts,
				  List *filters)
{
	JoinExpr *join = (JoinExpr *) node;
	TessFacts *met;
	Node *preserved;
	Node *nullable;
	ListCell *cell;

	if (IsA(node, FromExpr))
		foreach(cell, ((FromExpr *) node)->fromlist)
			write_outer_joins(walk, lfirst(cell), facts, filters);
	if (!IsA(node, JoinExpr) || join->jointype == JOIN_FULL)
		return;
	if (join->jointype == JOIN_INNER)
	{
		write_outer_joins(walk, join->larg, facts, filters);
		write_outer_joins(walk, join->rarg, facts, filters);
		return;
	}
	preserved = join->jointype == JOIN_RIGHT ? join->rarg : join->larg;
	nullable = join->jointype == JOIN_RIGHT ? join->larg : join->rarg;
	write_outer_joins(walk, preserved, facts, filters);

	/* where a row of the one side meets one of the other */
	met = tess_facts_copy(facts);
	tess_facts_add(walk->table, preserved, &walk->scope, met);
	tess_facts_add_quals(walk->table, join->quals, &walk->scope, met);
	filters = list_concat_copy(filters, filters_of(walk, preserved));
	filters = add_filters(walk, filters, join->quals);
	join->quals = write_filters(walk, met, filters,
								get_relids_in_jointree(nullable, false),
								join->quals);
}

/* "x IN (SELECT ...)" of known values becomes a condition of the column. */
static void
replace_memberships(FromExpr *from)
{
	List *quals = make_ands_implicit((Expr *) from->quals);
	ListCell *cell;

	foreach(cell, quals)
	{
		Node *known = tess_known_membership(lfirst(cell));

		if (known != NULL)
			lfirst(cell) = known;
	}
	if (quals != NIL)
		from->quals = (Node *) make_ands_explicit(quals);
}

/* See fragment_internal.h. */
void
tess_imply_filters(const TessTable *table, Query *query)
{
	FilterWalk walk = {table, query, {query}};
	FromExpr *from = query->jointree;
	TessFacts facts = {NIL};
	List *filters;

	if (query->setOperations != NULL || from == NULL || from->fromlist == NIL)
		return;
	replace_memberships(from);
	tess_facts_add(table, (Node *) from, &walk.scope, &facts);
	filters = filters_of(&walk, (Node *) from);
	write_outer_joins(&walk, (Node *) from, &facts, filters);
	from->quals = write_filters(&walk, &facts, filters,
								get_relids_in_jointree((Node *) from, false),
								from->quals);
}
