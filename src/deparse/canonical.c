/*
 * canonical.c - what has to be done to a query and to the one read back from
 * its text, so that both are printed alike.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

bool
tess_param_needs_cast(Oid type)
{
	return type >= FirstGenbkiObjectId;
}

bool
tess_const_is_name(const Const *constant)
{
	return !constant->constisnull &&
		   tess_type_names_objects(constant->consttype) &&
		   DatumGetObjectId(constant->constvalue) >= FirstNormalObjectId;
}

/* Column names of a query that nobody can see: printed or not, depending on
 * what a reader would have made of them. */
static void
hide_column_names(Query *query)
{
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!IsA(entry->expr, Var))
			entry->resname = pstrdup("?column?");
	}
	if (query->setOperations == NULL)
		return;
	foreach(cell, query->rtable)
		if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_SUBQUERY)
			hide_column_names(lfirst_node(RangeTblEntry, cell)->subquery);
}

/* A set operation's columns have the names of its first arm. */
static void
hide_names_of_arms(Query *query)
{
	Node *first = query->setOperations;
	ListCell *cell;

	while (IsA(first, SetOperationStmt))
		first = ((SetOperationStmt *) first)->larg;
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_SUBQUERY &&
			foreach_current_index(cell) + 1 != ((RangeTblRef *) first)->rtindex)
			hide_column_names(rte->subquery);
	}
}

static bool
hide_names_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && IsA(((SubLink *) node)->subselect, Query))
		hide_column_names((Query *) ((SubLink *) node)->subselect);
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;
		ListCell *cell;

		/* INSERT ... SELECT */
		if (query->commandType == CMD_INSERT)
			foreach(cell, query->rtable)
				if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_SUBQUERY)
					hide_column_names(lfirst_node(RangeTblEntry, cell)->subquery);
		if (query->setOperations != NULL)
			hide_names_of_arms(query);
		return query_tree_walker(query, hide_names_walker, context, 0);
	}
	return expression_tree_walker(node, hide_names_walker, context);
}

static Node *
cast_params_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, cast_params_mutator,
										   context, 0);
	if (IsA(node, Param))
	{
		Param *param = (Param *) copyObject(node);

		if (param->paramkind == PARAM_EXTERN &&
			tess_param_needs_cast(param->paramtype))
			return (Node *) makeRelabelType((Expr *) param, param->paramtype,
											param->paramtypmod,
											param->paramcollid,
											COERCE_EXPLICIT_CAST);
		return (Node *) param;
	}
	return expression_tree_mutator(node, cast_params_mutator, context);
}

Query *
tess_query_canonical(Query *query, const TessNormalized *normalized)
{
	(void) hide_names_walker((Node *) query, NULL);
	if (normalized->casts_params)
		query = (Query *) cast_params_mutator((Node *) query, NULL);
	return query;
}
