/*
 * imply.c - equalities of keys that follow from others: a.k = x AND b.k = x.
 *
 * Where x is a column of a local table or of another group, a column of an outer
 * level, a parameter or a constant, a part of FROM would not have it, and so
 * not know that its tables are joined by the key.  So a.k = b.k is written to
 * the level's WHERE, where it holds for every row that survives.  Core would
 * find it too, but after the fragments have been made.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "fragment/fragment_internal.h"
#include "fragment/locus.h"

/* A side of an equality: a column of the level, or anything else that has one
 * value for a row. */
typedef struct Side
{
	TessTerm term; /* rte NULL: it is none */
	Node *expr;
} Side;

/* Sides that are equal. */
typedef struct Equals
{
	List *sides; /* Side * */
} Equals;

typedef struct Implication
{
	const TessTable *table;
	Query *query;
	List *classes; /* Equals * */
	List *without; /* ... of what a part of FROM may have alone */
} Implication;

/* Classes -------------------------------------------------------------------- */

static bool
is_same_side(const Side *a, const Side *b)
{
	if (a->term.rte != NULL || b->term.rte != NULL)
		return tess_term_equal(&a->term, &b->term);
	return equal(a->expr, b->expr);
}

static Equals *
class_of(List **classes, Side *side)
{
	Equals *class;
	ListCell *cell;
	ListCell *inner;

	foreach(cell, *classes)
	{
		class = lfirst(cell);
		foreach(inner, class->sides)
			if (is_same_side(lfirst(inner), side))
				return class;
	}
	class = palloc(sizeof(Equals));
	class->sides = list_make1(side);
	*classes = lappend(*classes, class);
	return class;
}

static void
equate(List **classes, Side *a, Side *b)
{
	Equals *one = class_of(classes, a);
	Equals *other = class_of(classes, b);

	if (one == other)
		return;
	one->sides = list_concat(one->sides, other->sides);
	*classes = list_delete_ptr(*classes, other);
}

/* Conditions -------------------------------------------------------------------- */

/* True if a fragment may have the column: of our tables, or of a subquery. */
static bool
may_be_in_part(const Implication *imply, const Side *side)
{
	const RangeTblEntry *rte = side->term.rte;
	const TessTable *table;

	if (rte == NULL)
		return false;
	if (rte->rtekind != RTE_RELATION)
		return true;
	table = tess_meta_table(rte->relid);
	return table != NULL && (table->kind == TESS_REFERENCE ||
							 table->group == imply->table->group);
}

static Side *
make_side(const Implication *imply, Node *expr)
{
	TessScope scope = {imply->query};
	Side *side = palloc0(sizeof(Side));

	side->expr = expr;
	/* columns of outer levels have no scope to be found in: as they are */
	if (!tess_term_of(expr, &scope, &side->term) || side->term.first != NULL)
		side->term = (TessTerm){NULL};
	return side;
}

/* Adds the key equalities among conditions of an inner join. */
static void
add_conditions(Implication *imply, Node *quals)
{
	OpExpr *op = (OpExpr *) quals;
	Side *left;
	Side *right;
	ListCell *cell;

	if (quals == NULL)
		return;
	if (IsA(quals, List) || is_andclause(quals))
	{
		foreach(cell,
				IsA(quals, List) ? (List *) quals : ((BoolExpr *) quals)->args)
			add_conditions(imply, lfirst(cell));
		return;
	}
	if (!IsA(quals, OpExpr) || list_length(op->args) != 2 ||
		!tess_is_key_equality(imply->table, op->opno, op->inputcollid) ||
		contain_volatile_functions(quals) || contain_subplans(quals))
		return;
	left = make_side(imply, linitial(op->args));
	right = make_side(imply, lsecond(op->args));
	equate(&imply->classes, left, right);
	if (may_be_in_part(imply, left) && may_be_in_part(imply, right))
		equate(&imply->without, left, right);
}

static void
add_joins(Implication *imply, Node *node)
{
	ListCell *cell;

	if (IsA(node, FromExpr))
	{
		foreach(cell, ((FromExpr *) node)->fromlist)
			add_joins(imply, lfirst(cell));
		add_conditions(imply, ((FromExpr *) node)->quals);
	}
	else if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		add_joins(imply, ((JoinExpr *) node)->larg);
		add_joins(imply, ((JoinExpr *) node)->rarg);
		add_conditions(imply, ((JoinExpr *) node)->quals);
	}
}

/* What follows ------------------------------------------------------------------ */

/* True if the column tells the shard of its entry's rows. */
static bool
is_key(const Implication *imply, const TessTerm *term)
{
	const TessTable *table;
	TessLocus locus;
	ListCell *cell;

	if (term->rte == NULL)
		return false;
	if (term->rte->rtekind == RTE_RELATION)
	{
		table = tess_meta_table(term->rte->relid);
		return table != NULL && table->group == imply->table->group &&
			   table->kind == TESS_DISTRIBUTED &&
			   term->attno == table->key_attnum;
	}
	if (term->rte->rtekind != RTE_SUBQUERY || tess_fragment_of(term->rte) != NULL)
		return false;
	locus = tess_locus_of_query(imply->table, term->rte->subquery);
	foreach(cell, locus.keys)
		if (((TessTerm *) lfirst(cell))->attno == term->attno)
			return true;
	return false;
}

/* See facts.h. */
Var *
tess_term_var(Query *query, Index number, const TessTerm *term)
{
	RangeTblEntry *rte = rt_fetch(number, query->rtable);
	Oid type;
	int32 typmod;
	Oid collation;

	if (rte->rtekind == RTE_SUBQUERY)
		return makeVarFromTargetEntry(number,
									  get_tle_by_resno(rte->subquery->targetList,
													   term->attno));
	get_atttypetypmodcoll(rte->relid, term->attno, &type, &typmod, &collation);
	return makeVar(number, term->attno, type, typmod, collation, 0);
}

/* The column as a side of the key's own "equals"; *type is what that takes. */
static Node *
make_column(const Implication *imply, const TessTerm *term, Oid *type)
{
	const TessHasher *hasher = &imply->table->group->hasher;
	Var *var = NULL;
	ListCell *cell;

	foreach(cell, imply->query->rtable)
		if (lfirst(cell) == term->rte)
			var = tess_term_var(imply->query, foreach_current_index(cell) + 1,
								term);
	if (var == NULL)
		return NULL;
	*type = var->vartype;
	if (*type == hasher->type ||
		OidIsValid(get_opfamily_member(hasher->opfamily, *type, *type,
									   HTEqualStrategyNumber)))
		return (Node *) var;
	if (!IsBinaryCoercible(*type, hasher->type))
		return NULL;
	*type = hasher->type;
	return (Node *) makeRelabelType((Expr *) var, *type, -1, var->varcollid,
									COERCE_IMPLICIT_CAST);
}

static Expr *
make_equality(const Implication *imply, const Side *a, const Side *b)
{
	const TessTable *table = imply->table;
	Oid left_type;
	Oid right_type;
	Node *left = make_column(imply, &a->term, &left_type);
	Node *right = make_column(imply, &b->term, &right_type);
	Oid opno;

	if (left == NULL || right == NULL)
		return NULL;
	opno = get_opfamily_member(table->group->hasher.opfamily, left_type,
							   right_type, HTEqualStrategyNumber);
	if (!OidIsValid(opno) ||
		!tess_is_key_equality(table, opno, table->key_collation))
		return NULL;
	return make_opclause(opno, BOOLOID, false, (Expr *) left, (Expr *) right,
						 InvalidOid, table->key_collation);
}

/* Keys of a class that only others make equal become so directly. */
static void
write_class(Implication *imply, const Equals *class)
{
	const Side *first = NULL;
	ListCell *cell;

	foreach(cell, class->sides)
	{
		Side *side = lfirst(cell);
		FromExpr *from = imply->query->jointree;
		Expr *equality;

		if (!may_be_in_part(imply, side) || !is_key(imply, &side->term))
			continue;
		if (first == NULL)
		{
			first = side;
			continue;
		}
		if (class_of(&imply->without, side) ==
			class_of(&imply->without, (Side *) first))
			continue;
		equality = make_equality(imply, first, side);
		if (equality == NULL)
			continue;
		equate(&imply->without, side, (Side *) first);
		from->quals = (Node *) make_ands_explicit(
			lappend(make_ands_implicit((Expr *) from->quals), equality));
	}
}

/* Writes equalities of keys of table's group that follow from others to the
 * WHERE of a query level, in place. */
void
tess_imply_equalities(const TessTable *table, Query *query)
{
	Implication imply = {table, query};
	ListCell *cell;

	if (query->setOperations != NULL || query->jointree == NULL)
		return;
	add_joins(&imply, (Node *) query->jointree);
	foreach(cell, imply.classes)
		if (list_length(((Equals *) lfirst(cell))->sides) > 2)
			write_class(&imply, lfirst(cell));
}
