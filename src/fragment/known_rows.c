/*
 * known_rows.c - values that a column can have at most, known before any table
 * is read: of VALUES, unnest() of an array, generate_series().
 *
 * What joins them by its key is in their shards alone.  The values are constants
 * and parameters, so shards are chosen when these are known.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "fragment/fragment_internal.h"

/* They stand in the text that nodes get. */
#define MAX_KNOWN_ROWS 1000

/* What each shard may get though it belongs to others. */
#define MANY_VALUES 32

static Node *
make_array(Oid type, Oid collation, List *elements)
{
	ArrayExpr *array = makeNode(ArrayExpr);

	array->array_typeid = get_array_type(type);
	array->array_collid = collation;
	array->element_typeid = type;
	array->elements = elements;
	array->location = -1;
	return OidIsValid(array->array_typeid) ? (Node *) array : NULL;
}

static Node *
array_of_values(RangeTblEntry *rte, AttrNumber attno)
{
	List *elements = NIL;
	Oid type = list_nth_oid(rte->coltypes, attno - 1);
	ListCell *cell;

	if (list_length(rte->values_lists) > MAX_KNOWN_ROWS)
		return NULL;
	foreach(cell, rte->values_lists)
	{
		Node *value = list_nth(lfirst_node(List, cell), attno - 1);

		if (exprType(value) != type || !tess_is_row_independent(value))
			return NULL;
		elements = lappend(elements, copyObject(value));
	}
	return make_array(type, list_nth_oid(rte->colcollations, attno - 1),
					  elements);
}

/* A number that is a constant. */
static bool
is_number(Node *node, int64 *number)
{
	Const *constant = (Const *) node;

	if (!IsA(node, Const) || constant->constisnull)
		return false;
	*number = constant->consttype == INT4OID
				  ? DatumGetInt32(constant->constvalue)
				  : DatumGetInt64(constant->constvalue);
	return true;
}

static Node *
array_of_series(const FuncExpr *call)
{
	Oid type = call->funcresulttype;
	List *elements = NIL;
	int64 first;
	int64 last;

	if (list_length(call->args) != 2 || !is_number(linitial(call->args), &first) ||
		!is_number(lsecond(call->args), &last) ||
		first < PG_INT64_MIN + MAX_KNOWN_ROWS ||
		last > PG_INT64_MAX - MAX_KNOWN_ROWS || last > first + MAX_KNOWN_ROWS)
		return NULL;
	for (int64 number = first; number <= last; number++)
		elements = lappend(elements,
						   makeConst(type, -1, InvalidOid, get_typlen(type),
									 type == INT4OID
										 ? Int32GetDatum((int32) number)
										 : Int64GetDatum(number),
									 false, get_typbyval(type)));
	return make_array(type, InvalidOid, elements);
}

static Node *
array_of_call(Node *node)
{
	FuncExpr *call = (FuncExpr *) node;

	if (!IsA(node, FuncExpr))
		return NULL;
	switch (call->funcid)
	{
		case F_UNNEST_ANYARRAY:
			if (!OidIsValid(get_element_type(exprType(linitial(call->args)))) ||
				!tess_is_row_independent(linitial(call->args)))
				return NULL;
			return copyObject(linitial(call->args));
		case F_GENERATE_SERIES_INT4_INT4:
		case F_GENERATE_SERIES_INT8_INT8:
			return array_of_series(call);
		default:
			return NULL;
	}
}

/* See fragment_internal.h. */
Node *
tess_known_values(RangeTblEntry *rte, AttrNumber attno)
{
	RangeTblFunction *function;
	TargetEntry *entry;
	Var *var;

	switch (rte->rtekind)
	{
		case RTE_VALUES:
			return array_of_values(rte, attno);
		case RTE_FUNCTION:
			function = linitial_node(RangeTblFunction, rte->functions);
			/* in FROM a row is its fields, which are columns of their own */
			return attno == 1 && !type_is_rowtype(exprType(function->funcexpr))
					   ? array_of_call(function->funcexpr)
					   : NULL;
		case RTE_SUBQUERY:
			/* whatever it does with its rows, it invents no value */
			entry = get_tle_by_resno(rte->subquery->targetList, attno);
			if (rte->subquery->setOperations != NULL || entry == NULL)
				return NULL;
			var = (Var *) entry->expr;
			if (!IsA(var, Var))
				return array_of_call((Node *) var);
			if (var->varlevelsup > 0 || var->varattno <= 0)
				return NULL;
			return tess_known_values(rt_fetch(var->varno, rte->subquery->rtable),
									 var->varattno);
		default:
			return NULL;
	}
}

/* True if they are many rows of VALUES, and each could be sent to its shard alone,
 * as arrays of its columns. */
bool
tess_are_many_values(const RangeTblEntry *rte)
{
	ListCell *cell;

	if (rte->rtekind == RTE_SUBQUERY && list_length(rte->subquery->rtable) == 1)
		rte = linitial_node(RangeTblEntry, rte->subquery->rtable);
	if (rte->rtekind != RTE_VALUES ||
		list_length(rte->values_lists) <= MANY_VALUES)
		return false;
	foreach(cell, rte->coltypes)
		if (!OidIsValid(get_array_type(lfirst_oid(cell))))
			return false;
	return true;
}

/* The values of a query's only column, if they are all of them; NULL if that is
 * not known. */
static Node *
all_values(Query *query)
{
	TargetEntry *entry;
	Var *var;
	RangeTblEntry *rte;

	if (query->commandType != CMD_SELECT || query->setOperations != NULL ||
		query->limitCount != NULL || query->limitOffset != NULL ||
		query->hasAggs || query->groupingSets != NIL ||
		query->havingQual != NULL || query->jointree->quals != NULL ||
		list_length(query->targetList) != 1 ||
		list_length(query->jointree->fromlist) > 1)
		return NULL;
	entry = linitial_node(TargetEntry, query->targetList);
	if (query->jointree->fromlist == NIL)
		return array_of_call((Node *) entry->expr);
	var = (Var *) entry->expr;
	if (!IsA(var, Var) || var->varlevelsup > 0 || var->varattno <= 0 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef))
		return NULL;
	rte = rt_fetch(var->varno, query->rtable);
	return rte->rtekind == RTE_VALUES || rte->rtekind == RTE_FUNCTION
			   ? tess_known_values(rte, var->varattno)
			   : NULL;
}

/* See fragment_internal.h. */
Node *
tess_known_membership(Node *condition)
{
	SubLink *sublink = (SubLink *) condition;
	ScalarArrayOpExpr *any;
	OpExpr *op;
	Node *array;

	if (!IsA(sublink, SubLink) || sublink->subLinkType != ANY_SUBLINK ||
		!IsA(sublink->testexpr, OpExpr))
		return NULL;
	op = (OpExpr *) sublink->testexpr;
	if (!IsA(lsecond(op->args), Param))
		return NULL;
	array = all_values(castNode(Query, sublink->subselect));
	if (array == NULL)
		return NULL;
	any = makeNode(ScalarArrayOpExpr);
	any->opno = op->opno;
	any->opfuncid = op->opfuncid;
	any->useOr = true;
	any->inputcollid = op->inputcollid;
	any->args = list_make2(linitial(op->args), array);
	any->location = -1;
	return (Node *) any;
}
