/*
 * normalize.c - makes of a rewritten query one that pg_get_querydef prints as
 * what it means.
 *
 * pg_get_querydef prints what a user could have written.  The rewriter makes
 * other things of it: assignments in attribute order, nested assignments to
 * one column, VALUES lists that are narrower than the column list, range
 * tables with entries of views that are gone.  Some would be printed without
 * any sign of being wrong, so that reading the text back cannot notice them:
 * they are put right here, or refused.  What goes wrong visibly is left to
 * the check of query.c.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "deparse/deparse_internal.h"

typedef struct NormalizeState
{
	TessNormalized *result;
	List *queries;		/* enclosing queries, innermost first */
	int stores_seen;	/* FieldStores and subscript assignments ... */
	int stores_printed; /* ... and those that will be printed whole */
} NormalizeState;

static bool normalize_walker(Node *node, NormalizeState *state);

/* The answer of a walker that has to stop. */
static bool
refuse(NormalizeState *state, const char *reason)
{
	state->result->refusal = reason;
	return true;
}

static bool
note_role(NormalizeState *state, const RangeTblEntry *rte)
{
	Oid role = rte->checkAsUser;

	if (!OidIsValid(role))
		role = GetUserId();
	if (!OidIsValid(state->result->role))
		state->result->role = role;
	if (state->result->role != role)
		return refuse(state,
					  "its tables are used with the rights of different roles");
	return false;
}

static bool
note_param(NormalizeState *state, const Param *param)
{
	TessNormalized *result = state->result;

	/* these are parts of the SubLinks beside them */
	if (param->paramkind == PARAM_SUBLINK || param->paramkind == PARAM_MULTIEXPR)
		return false;
	if (param->paramkind != PARAM_EXTERN || param->paramid <= 0)
		return refuse(state, "a value of the plan's own stands in it");

	if (param->paramid > result->param_space)
	{
		int space = Max(16, param->paramid * 2);

		if (result->param_types == NULL)
			result->param_types = palloc(space * sizeof(Oid));
		else
			result->param_types = repalloc(result->param_types,
										   space * sizeof(Oid));
		memset(result->param_types + result->param_space, 0,
			   (space - result->param_space) * sizeof(Oid));
		result->param_space = space;
	}
	result->param_count = Max(result->param_count, param->paramid);

	if (OidIsValid(result->param_types[param->paramid - 1]) &&
		result->param_types[param->paramid - 1] != param->paramtype)
		return refuse(state, "a parameter has two types");
	result->param_types[param->paramid - 1] = param->paramtype;
	result->casts_params |= tess_param_needs_cast(param->paramtype);
	return false;
}

/*
 * True if a row without a type of its own would lose its column names on the
 * way (row_to_json shows them).  The RTE prints and gets them back unless it
 * is a join, or two columns have the same name and one is renamed.
 */
static bool
loses_names(const Var *var, const NormalizeState *state)
{
	Query *query;
	RangeTblEntry *rte;
	ListCell *cell;
	List *names = NIL;

	if (var->varattno != InvalidAttrNumber || var->vartype != RECORDOID)
		return false;
	if (var->varlevelsup >= list_length(state->queries))
		return true;
	query = list_nth(state->queries, var->varlevelsup);
	rte = rt_fetch(var->varno, query->rtable);
	if (rte->rtekind == RTE_JOIN)
		return true;
	foreach(cell, rte->eref->colnames)
	{
		if (list_member(names, lfirst(cell)))
			return true;
		names = lappend(names, lfirst(cell));
	}
	return false;
}

/* A row made by flattening a join has names that ROW(...) cannot give. */
static bool
row_loses_names(const RowExpr *row)
{
	ListCell *cell;
	int position = 0;
	char name[16];

	if (row->row_typeid != RECORDOID)
		return false;
	foreach(cell, row->colnames)
	{
		snprintf(name, sizeof(name), "f%d", ++position);
		if (strcmp(strVal(lfirst(cell)), name) != 0)
			return true;
	}
	return false;
}

static bool
all_constant(List *args, int from)
{
	ListCell *cell;

	for_each_from(cell, args, from)
		if (!IsA(lfirst(cell), Const))
			return false;
	return true;
}

/* True where ruleutils takes an argument for a Const without looking, or
 * leaves out a length that is none. */
static bool
needs_constants(const FuncExpr *function)
{
	switch (function->funcformat)
	{
		case COERCE_EXPLICIT_CALL:
			return false;
		case COERCE_EXPLICIT_CAST:
		case COERCE_IMPLICIT_CAST:
			return !all_constant(function->args, 1);
		case COERCE_SQL_SYNTAX:
			break;
	}
	switch (function->funcid)
	{
		case F_EXTRACT_TEXT_DATE:
		case F_EXTRACT_TEXT_TIME:
		case F_EXTRACT_TEXT_TIMETZ:
		case F_EXTRACT_TEXT_TIMESTAMP:
		case F_EXTRACT_TEXT_TIMESTAMPTZ:
		case F_EXTRACT_TEXT_INTERVAL:
			return !IsA(linitial(function->args), Const);
		case F_IS_NORMALIZED:
		case F_NORMALIZE:
			return !all_constant(function->args, 1);
		default:
			return false;
	}
}

/*
 * The source of an assignment: below the FieldStores and subscripts that
 * ruleutils prints as col.field[n].  Counts them as printed as long as each
 * changes one field of the old value itself; otherwise the inner ones would
 * be lost silently.
 */
static Expr *
assignment_source(NormalizeState *state, Expr *expr)
{
	for (;;)
	{
		Expr *base;

		if (expr != NULL && IsA(expr, CoerceToDomain) &&
			((CoerceToDomain *) expr)->coercionformat == COERCE_IMPLICIT_CAST)
		{
			expr = ((CoerceToDomain *) expr)->arg;
			continue;
		}
		if (expr != NULL && IsA(expr, FieldStore) &&
			list_length(((FieldStore *) expr)->newvals) == 1)
		{
			base = ((FieldStore *) expr)->arg;
			expr = linitial(((FieldStore *) expr)->newvals);
		}
		else if (expr != NULL && IsA(expr, SubscriptingRef) &&
				 ((SubscriptingRef *) expr)->refassgnexpr != NULL)
		{
			base = ((SubscriptingRef *) expr)->refexpr;
			expr = ((SubscriptingRef *) expr)->refassgnexpr;
		}
		else
			return expr;

		if (IsA(base, Var) || IsA(base, CaseTestExpr) ||
			(IsA(base, Const) && ((Const *) base)->constisnull))
			state->stores_printed++;
	}
}

/* The MULTIEXPR parameter that a column is set to, or NULL. */
static Param *
multiassign_param(const TargetEntry *entry)
{
	Node *node = strip_implicit_coercions((Node *) entry->expr);

	if (node != NULL && IsA(node, Param) &&
		((Param *) node)->paramkind == PARAM_MULTIEXPR)
		return (Param *) node;
	return NULL;
}

static int
compare_multiassign(const ListCell *a, const ListCell *b)
{
	return multiassign_param(lfirst(a))->paramid -
		   multiassign_param(lfirst(b))->paramid;
}

/*
 * SET (b, a) = (SELECT ...): the rewriter sorted the columns, and they would
 * be printed in that order.  Brings those of one subselect together again, in
 * its order, after all others.
 */
static bool
order_assignments(NormalizeState *state, List **targetlist)
{
	List *plain = NIL;
	List *multiple = NIL;
	List *junk = NIL;
	int expected = 0;
	ListCell *cell;

	foreach(cell, *targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (entry->resjunk)
		{
			junk = lappend(junk, entry);
			if (IsA(entry->expr, SubLink) &&
				((SubLink *) entry->expr)->subLinkType == MULTIEXPR_SUBLINK)
			{
				Query *source;

				source = castNode(Query, ((SubLink *) entry->expr)->subselect);
				expected += count_nonjunk_tlist_entries(source->targetList);
			}
		}
		else if (multiassign_param(entry) != NULL)
			multiple = lappend(multiple, entry);
		else
			plain = lappend(plain, entry);
	}
	if (expected != list_length(multiple))
		return refuse(state, "several columns are set to parts of a subquery");
	if (multiple != NIL)
	{
		list_sort(multiple, compare_multiassign);
		*targetlist = list_concat(list_concat(plain, multiple), junk);
	}
	return false;
}

/* Counts what the assignments of an INSERT or UPDATE print. */
static bool
check_assignments(NormalizeState *state, List **targetlist)
{
	ListCell *cell;

	foreach(cell, *targetlist)
		(void) assignment_source(state, lfirst_node(TargetEntry, cell)->expr);
	return order_assignments(state, targetlist);
}

static bool
has_identity_column(Oid relation)
{
	Relation rel = RelationIdGetRelation(relation);
	bool found = false;

	if (!RelationIsValid(rel))
		return false;
	for (int i = 0; i < RelationGetDescr(rel)->natts && !found; i++)
		found = TupleDescAttr(RelationGetDescr(rel), i)->attidentity != '\0';
	RelationClose(rel);
	return found;
}

/* True if the columns of an INSERT are those of its source, one by one. */
static bool
fills_columns_alone(NormalizeState *state, Query *query, int source_rti)
{
	RangeTblEntry *source = rt_fetch(source_rti, query->rtable);
	ListCell *cell;
	int position = 0;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node *node;

		node = (Node *) assignment_source(state, entry->expr);
		node = strip_implicit_coercions(node);
		position++;
		if (!IsA(node, Var) || ((Var *) node)->varno != source_rti ||
			((Var *) node)->varattno != position)
			return false;
	}
	return position == list_length(source->eref->colnames);
}

/* The text names the target's columns and prints the source's: they are made the
 * same. */
static bool
check_insert_source(NormalizeState *state, Query *query)
{
	int source_rti;

	if (query->jointree->fromlist == NIL)
		return false;
	if (list_length(query->jointree->fromlist) != 1 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef))
		return refuse(state, "the rows of its INSERT come from a rule");
	source_rti = ((RangeTblRef *) linitial(query->jointree->fromlist))->rtindex;
	if (!fills_columns_alone(state, query, source_rti) &&
		!tess_query_wrap_source(query, source_rti))
		return refuse(state,
					  "its INSERT fills columns that are not in its source");
	return false;
}

static bool
normalize_insert(NormalizeState *state, Query *query)
{
	Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	int printed = state->stores_printed;

	if (query->targetList == NIL)
		return refuse(state, "its INSERT names no column");
	if (check_insert_source(state, query))
		return true;
	state->stores_printed = printed;

	/* the rewriter has decided which values count */
	query->override = has_identity_column(relation) ? OVERRIDING_SYSTEM_VALUE
													: OVERRIDING_NOT_SET;

	if (query->onConflict != NULL &&
		check_assignments(state, &query->onConflict->onConflictSet))
		return true;
	return check_assignments(state, &query->targetList);
}

static bool
normalize_merge(NormalizeState *state, Query *query)
{
	Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	ListCell *cell;

	foreach(cell, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->commandType == CMD_INSERT)
			action->override = has_identity_column(relation)
								   ? OVERRIDING_SYSTEM_VALUE
								   : OVERRIDING_NOT_SET;
		if (check_assignments(state, &action->targetList))
			return true;
	}
	return false;
}

static bool
collect_used(Node *node, Bitmapset **used)
{
	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, RangeTblRef))
		*used = bms_add_member(*used, ((RangeTblRef *) node)->rtindex);
	else if (IsA(node, JoinExpr))
		*used = bms_add_member(*used, ((JoinExpr *) node)->rtindex);
	return expression_tree_walker(node, collect_used, used);
}

/* What columns were written as: those of a join with an alias, mostly. */
typedef struct Renaming
{
	int *numbers; /* new ones of entries, 0: none; NULL in the second pass */
	Index count;  /* of entries before */
	int depth;
} Renaming;

/*
 * ChangeVarNodes() changes varnosyn where it is varno.  Where it is another
 * entry's, the first pass sets it to the new number, moved out of its way, the
 * second one moves it back.
 */
static bool
rename_walker(Node *node, Renaming *renaming)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if ((int) var->varlevelsup != renaming->depth || var->varnosyn == 0)
			return false;
		if (renaming->numbers == NULL)
		{
			if (var->varnosyn > renaming->count)
				var->varnosyn -= renaming->count;
		}
		else if (var->varnosyn != var->varno)
		{
			int number = renaming->numbers[var->varnosyn - 1];

			var->varnosyn = number > 0 ? number + renaming->count : 0;
			if (number == 0)
				var->varattnosyn = 0;
		}
		return false;
	}
	if (IsA(node, Query))
	{
		renaming->depth++;
		(void) query_tree_walker((Query *) node, rename_walker, renaming, 0);
		renaming->depth--;
		return false;
	}
	return expression_tree_walker(node, rename_walker, renaming);
}

/*
 * Takes entries out that nothing refers to: a view, its OLD and NEW, the
 * EXCLUDED of a view.  They would take names away from those that are used, or
 * be taken for the source of an INSERT.
 */
static void
remove_dead_entries(Query *query)
{
	Bitmapset *used = NULL;
	List *entries = NIL;
	Renaming renaming = {NULL, list_length(query->rtable)};
	ListCell *cell;
	int rti = 0;

	(void) collect_used((Node *) query->jointree, &used);
	(void) collect_used(query->setOperations, &used);
	if (query->resultRelation > 0)
		used = bms_add_member(used, query->resultRelation);
	if (query->onConflict != NULL && query->onConflict->exclRelIndex > 0)
		used = bms_add_member(used, query->onConflict->exclRelIndex);
	if (bms_num_members(used) == list_length(query->rtable))
		return;

	renaming.numbers = palloc0(sizeof(int) * renaming.count);
	for (int next = 1, i = -1; (i = bms_next_member(used, i)) >= 0; next++)
		renaming.numbers[i - 1] = next;
	(void) query_tree_walker(query, rename_walker, &renaming, 0);
	foreach(cell, query->rtable)
	{
		rti++;
		if (!bms_is_member(rti, used))
			continue;
		entries = lappend(entries, lfirst(cell));
		/* upwards, so that the new number is free */
		if (rti != list_length(entries))
			ChangeVarNodes((Node *) query, rti, list_length(entries), 0);
	}
	query->rtable = entries;
	renaming.numbers = NULL;
	(void) query_tree_walker(query, rename_walker, &renaming, 0);
}

/* Grouping sets tell two columns apart that the text cannot. */
static bool
groups_are_ambiguous(const Query *query)
{
	ListCell *outer;
	ListCell *inner;

	if (query->groupingSets == NIL)
		return false;
	foreach(outer, query->groupClause)
	{
		Node *expr;

		expr = get_sortgroupclause_expr(lfirst(outer), query->targetList);
		for_each_cell(inner, query->groupClause, lnext(query->groupClause, outer))
			if (equal(expr, get_sortgroupclause_expr(lfirst(inner),
													 query->targetList)))
				return true;
	}
	return false;
}

static bool
normalize_query(NormalizeState *state, Query *query)
{
	ListCell *cell;

	if (query->commandType == CMD_UTILITY)
		return refuse(state, "it is a utility command");
	if (query->withCheckOptions != NIL)
		return refuse(state, "a view's check option has to be kept");
	if (groups_are_ambiguous(query))
		return refuse(state, "it groups twice by the same expression");

	query->isReturn = false;
	foreach(cell, query->cteList)
	{
		/* the rewriter has expanded them into columns */
		lfirst_node(CommonTableExpr, cell)->search_clause = NULL;
		lfirst_node(CommonTableExpr, cell)->cycle_clause = NULL;
	}
	remove_dead_entries(query);

	/* the table below an updatable view would be listed in FROM again */
	if (query->resultRelation > 0)
		rt_fetch(query->resultRelation, query->rtable)->inFromCl = false;

	switch (query->commandType)
	{
		case CMD_INSERT:
			return normalize_insert(state, query);
		case CMD_UPDATE:
			return check_assignments(state, &query->targetList);
		case CMD_MERGE:
			return normalize_merge(state, query);
		default:
			return false;
	}
}

/* See deparse.h. */
bool
tess_is_folded(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && !rte->inh &&
		   rte->relkind == RELKIND_RELATION &&
		   get_rel_relkind(rte->relid) == RELKIND_PARTITIONED_TABLE;
}

static bool
check_entry(NormalizeState *state, RangeTblEntry *rte)
{
	if (rte->securityQuals != NIL || rte->security_barrier)
		return refuse(state, "row security has to be kept");
	if (rte->rtekind == RTE_NAMEDTUPLESTORE)
		return refuse(state, "it reads a trigger's transition table");
	if (rte->rtekind != RTE_RELATION)
		return false;
	/* what core is to take for a plain table (see fragment/partitions.c) */
	if (tess_is_folded(rte))
		rte->inh = true;
	return note_role(state, rte);
}

static bool
check_expression(NormalizeState *state, Node *node)
{
	switch (nodeTag(node))
	{
		case T_Param:
			return note_param(state, (Param *) node);
		case T_Const:
			if (tess_const_is_name((Const *) node))
				return refuse(state,
							  "a constant in it names an object of this server");
			break;
		case T_Var:
			if (loses_names((Var *) node, state))
				return refuse(state,
							  "a whole row of a join loses its column names");
			break;
		case T_RowExpr:
			if (row_loses_names((RowExpr *) node))
				return refuse(state, "a row loses its column names");
			break;
		case T_FuncExpr:
			if (needs_constants((FuncExpr *) node))
				return refuse(state,
							  "a function's keyword or length is not a constant");
			break;
		case T_FieldStore:
			state->stores_seen++;
			break;
		case T_SubscriptingRef:
			if (((SubscriptingRef *) node)->refassgnexpr != NULL)
				state->stores_seen++;
			break;
		case T_CurrentOfExpr:
			return refuse(state, "it names a cursor of this session");
		case T_NextValueExpr:
			return refuse(state, "it takes values from a sequence");
		case T_SetToDefault:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_PlaceHolderVar:
			return refuse(state, "an expression in it is the planner's own");
		default:
			break;
	}
	return false;
}

static bool
normalize_walker(Node *node, NormalizeState *state)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return check_entry(state, (RangeTblEntry *) node);
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;
		bool stop;

		if (normalize_query(state, query))
			return true;
		state->queries = lcons(query, state->queries);
		stop = query_tree_walker(query, normalize_walker, state,
								 QTW_EXAMINE_RTES_BEFORE);
		state->queries = list_delete_first(state->queries);
		return stop;
	}
	if (check_expression(state, node))
		return true;
	tess_say_collation(node);
	return expression_tree_walker(node, normalize_walker, state);
}

Query *
tess_query_normalize(Query *query, TessNormalized *result)
{
	NormalizeState state = {result};

	memset(result, 0, sizeof(TessNormalized));
	if (normalize_walker((Node *) query, &state))
		return NULL;
	if (state.stores_seen != state.stores_printed)
	{
		result->refusal = "several parts of a column are set at once";
		return NULL;
	}
	if (!OidIsValid(result->role))
		result->role = GetUserId();
	return tess_query_canonical(query, result);
}
