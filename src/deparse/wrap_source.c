/*
 * wrap_source.c - an INSERT gets all of its columns from its source.
 *
 * The text of an INSERT names columns of the target and prints its source, whose
 * columns they have to be, one by one.  But the rewriter has put defaults among
 * the former, and coercions that no text has around them.  So the source becomes
 * a subquery of another one, which computes all that but for the outermost
 * coercions: those of an assignment fail for a text that is too long, which the
 * cast that would be printed cuts off.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "deparse/deparse_internal.h"

/* A query of one entry, without columns yet. */
static Query *
query_of(RangeTblEntry *rte)
{
	Query *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = 1;
	rte->inFromCl = true;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	return query;
}

static RangeTblEntry *
entry_of(Query *query, const char *name, List *columns)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->alias = makeAlias(name, NIL);
	rte->eref = makeAlias(name, columns);
	return rte;
}

/* VALUES in FROM are a subquery when they are read back. */
static RangeTblEntry *
values_entry(RangeTblEntry *values)
{
	Query *query = query_of(values);
	ListCell *name;

	foreach(name, values->eref->colnames)
	{
		int i = foreach_current_index(name);
		Var *column = makeVar(1, i + 1, list_nth_oid(values->coltypes, i),
							  list_nth_int(values->coltypmods, i),
							  list_nth_oid(values->colcollations, i), 0);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) column, i + 1,
													pstrdup(strVal(lfirst(name))),
													false));
	}
	return entry_of(query, "*VALUES*", copyObject(values->eref->colnames));
}

/*
 * Literals whose type the INSERT knows stand in its own target list; what is left
 * of them in the source is not used, and read back as text.
 */
static void
name_literals(Query *source)
{
	ListCell *cell;

	foreach(cell, source->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Const *literal = (Const *) entry->expr;

		if (!IsA(literal, Const) || literal->consttype != UNKNOWNOID ||
			entry->ressortgroupref != 0)
			continue;
		literal = makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID);
		if (!((Const *) entry->expr)->constisnull)
		{
			const char *text;

			text = DatumGetCString(((Const *) entry->expr)->constvalue);
			literal->constvalue = CStringGetTextDatum(text);
			literal->constisnull = false;
		}
		entry->expr = (Expr *) literal;
	}
}

typedef struct Uncovering
{
	Node *value;
	Var *column;
} Uncovering;

static Node *
uncover_mutator(Node *node, Uncovering *uncovering)
{
	if (node == NULL)
		return NULL;
	if (node == uncovering->value)
		return (Node *) copyObject(uncovering->column);
	return expression_tree_mutator(node, uncover_mutator, uncovering);
}

/* The entry of a column that is number of the source, and what it is coerced from
 * there, in *value. */
static TargetEntry *
uncover(const TargetEntry *entry, int source_rti, int number, Node **value)
{
	Node *inner = strip_implicit_coercions((Node *) entry->expr);
	Uncovering uncovering = {inner, makeVar(source_rti, number, exprType(inner),
											exprTypmod(inner),
											exprCollation(inner), 0)};
	TargetEntry *copy = flatCopyTargetEntry((TargetEntry *) entry);

	copy->expr = (Expr *) uncover_mutator((Node *) entry->expr, &uncovering);
	*value = inner;
	return copy;
}

/* The query that computes values of the rows of source, for the columns of
 * target_list. */
static Query *
make_source(RangeTblEntry *source, int source_rti, Oid relation,
			List *target_list, List *values)
{
	Query *query;
	ListCell *cell;
	ListCell *column;

	source = copyObject(source);
	/* WITH queries that it names are further out now */
	if (source->rtekind == RTE_SUBQUERY)
	{
		IncrementVarSublevelsUp((Node *) source->subquery, 1, 1);
		name_literals(source->subquery);
	}
	else
	{
		IncrementVarSublevelsUp((Node *) source->values_lists, 2, 0);
		source = values_entry(source);
	}
	query = query_of(source);
	forboth(column, target_list, cell, values)
	{
		AttrNumber attno = lfirst_node(TargetEntry, column)->resno;
		Node *value = copyObject((Node *) lfirst(cell));
		TargetEntry *entry = makeTargetEntry((Expr *) value,
											 list_length(query->targetList) + 1,
											 get_attname(relation, attno, false),
											 false);

		ChangeVarNodes(value, source_rti, 1, 0);
		query->targetList = lappend(query->targetList, entry);
	}
	return query;
}

/* See deparse_internal.h. */
bool
tess_query_wrap_source(Query *query, int source_rti)
{
	RangeTblEntry *source = rt_fetch(source_rti, query->rtable);
	Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	List *names = NIL;
	List *columns = NIL;
	List *values = NIL;
	ListCell *cell;

	if ((source->rtekind != RTE_SUBQUERY && source->rtekind != RTE_VALUES) ||
		query->jointree->quals != NULL ||
		checkExprHasSubLink((Node *) query->targetList))
		return false;
	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node *value;

		columns = lappend(columns,
						  uncover(entry, source_rti,
								  foreach_current_index(cell) + 1, &value));
		/* parts of columns are assigned to by the INSERT alone */
		if (IsA(value, FieldStore) ||
			(IsA(value, SubscriptingRef) &&
			 ((SubscriptingRef *) value)->refassgnexpr != NULL))
			return false;
		values = lappend(values, value);
		names = lappend(names,
						makeString(get_attname(relation, entry->resno, false)));
	}

	lfirst(
		list_nth_cell(query->rtable,
					  source_rti -
						  1)) = entry_of(make_source(source, source_rti, relation,
													 query->targetList, values),
										 "*SELECT*", names);
	query->targetList = columns;
	return true;
}
