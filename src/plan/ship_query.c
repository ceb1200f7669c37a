/*
 * ship_query.c - the query of a draft whose rows are joined, on the nodes, with
 * rows that are computed here and shipped: arrays, one for each column, which
 * come as the last parameters.
 *
 *   SELECT ... FROM (rows of the shard) shard,
 *     tessera_internal.shipped_rows($1, '{100,-1,20}', $2, $3) shipped(c1 int, c2 text)
 *   WHERE conditions of the join
 *
 * The first of these parameters is the number of a stash, in which the node has
 * what did not fit into the arrays.
 *
 * deparse/ cuts the shard's rows out of it, so that a node gets one statement
 * for all of its shards, and the arrays once.  Where the node may look rows up,
 * conditions on the shard's rows stand outside of them.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

#include "deparse/deparse.h"
#include "plan/plan_internal.h"

/* Entries of the outer query. */
#define SHARD_ENTRY 1
#define SHIPPED_ENTRY 2
#define JOIN_ENTRY 3

/* A column with fewer values per row has a number of values of its own, as for
 * ANALYZE. */
#define FEW_VALUES 0.1

/* Columns ---------------------------------------------------------------- */

/* The number of a Var in a list of them; added if it is not there. */
static int
var_number(List **vars, const Var *var)
{
	ListCell *cell;

	foreach(cell, *vars)
	{
		const Var *known = lfirst_node(Var, cell);

		if (known->varno == var->varno && known->varattno == var->varattno)
			return foreach_current_index(cell) + 1;
	}
	*vars = lappend(*vars, copyObject((Var *) var));
	return list_length(*vars);
}

/* True if values of the type may be elements of an array. */
static bool
can_be_shipped(const TessTravel *travel, Oid type)
{
	Oid array = get_array_type(type);

	return OidIsValid(array) && tess_type_travels(travel, array);
}

/*
 * A column of either side as a column of the outer query.  What cannot be sent
 * becomes NULL.
 */
Node *
tess_ship_var(TessShipment *ship, const Var *var)
{
	const TessTravel *travel = ship->travel;
	Var *column = copyObject((Var *) var);

	if (var->varattno <= 0 || var->varlevelsup > 0)
		return NULL;
	column->varnosyn = 0;
	column->varattnosyn = 0;
	if (bms_is_member(var->varno, ship->outer->relids))
	{
		if (ship->locks)
		{
			column->varno = SHARD_ENTRY;
			return (Node *) column;
		}
		if (!tess_type_travels(travel, var->vartype) ||
			tess_meta_differs_by_shard(var->vartype))
			return NULL;
		column->varno = SHARD_ENTRY;
		column->varattno = var_number(&ship->columns, var);
		return (Node *) column;
	}

	if (!can_be_shipped(travel, var->vartype))
		return NULL;
	column->varno = SHIPPED_ENTRY;
	column->varattno = var_number(&ship->shipped, var);
	column->vartypmod = -1;
	column->varcollid = get_typcollation(var->vartype);
	if (var->varcollid != column->varcollid)
	{
		CollateExpr *collate = makeNode(CollateExpr);

		/* elements have their type's collation: say which one they had */
		collate->arg = (Expr *) column;
		collate->collOid = var->varcollid;
		collate->location = -1;
		return (Node *) collate;
	}
	return (Node *) column;
}

/* Entries ---------------------------------------------------------------- */

/* See plan_internal.h. */
RangeTblEntry *
tess_shard_entry(const List *columns, Query *source)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblEntry *table = linitial_node(RangeTblEntry, source->rtable);
	List *names = NIL;
	const ListCell *cell;

	foreach(cell, columns)
	{
		Var *var = copyObject(lfirst_node(Var, cell));
		char *name = strVal(list_nth(table->eref->colnames, var->varattno - 1));

		var->varno = 1;
		var->varlevelsup = 0;
		var->varnosyn = 0;
		var->varattnosyn = 0;
		names = lappend(names, makeString(name));
		source->targetList = lappend(source->targetList,
									 makeTargetEntry((Expr *) var,
													 list_length(names), name,
													 false));
	}
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = source;
	rte->alias = makeAlias("shard", NIL);
	rte->eref = makeAlias("shard", names);
	rte->inFromCl = true;
	return rte;
}

/* How many values a column has among what is shipped, as in pg_statistic: of
 * all, or negative, per row; 0 if that is not known. */
static float4
distinct_values(const TessShipment *ship, const Var *var)
{
	double rows = ship->path->rows;
	VariableStatData variable;
	bool is_default;
	double count;

	examine_variable(ship->root, (Node *) var, 0, &variable);
	count = get_variable_numdistinct(&variable, &is_default);
	ReleaseVariableStats(variable);
	if (is_default)
		return 0;
	if (count < rows * FEW_VALUES)
		return count;
	/* no more digits than it is worth */
	return -rint(Min(count / rows, 1) * 100) / 100;
}

/* What the node's planner learns: how many rows are expected (it knows better
 * where they have come), and each column's number of values. */
static Const *
make_estimates(const TessShipment *ship)
{
	int count = list_length(ship->shipped) + 1;
	Datum *values = palloc(count * sizeof(Datum));
	ArrayType *array;
	ListCell *cell;

	values[0] = Float4GetDatum(rint(Max(ship->path->rows / ship->parts, 1)));
	foreach(cell, ship->shipped)
		values[foreach_current_index(cell) + 1] = Float4GetDatum(
			distinct_values(ship, lfirst_node(Var, cell)));
	array = construct_array(values, count, FLOAT4OID, sizeof(float4), true,
							TYPALIGN_INT);
	return makeConst(FLOAT4ARRAYOID, -1, InvalidOid, -1, PointerGetDatum(array),
					 false, false);
}

static Oid
shipped_rows_function(void)
{
	static const Oid types[] = {INT8OID, FLOAT4ARRAYOID, ANYOID};

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum("shipped_rows"),
						   PointerGetDatum(buildoidvector(types, lengthof(types))),
						   ObjectIdGetDatum(
							   get_namespace_oid(TESS_INTERNAL_SCHEMA, true)));
}

/* The call that gives the rows on the node: of a stash, and of the arrays. */
static RangeTblFunction *
make_call(const TessShipment *ship, int param_count)
{
	RangeTblFunction *function = makeNode(RangeTblFunction);
	List *args = list_make2(tess_make_param(INT8OID, ++param_count),
							make_estimates(ship));
	FuncExpr *call;
	ListCell *cell;

	foreach(cell, ship->shipped)
	{
		const Var *var = lfirst_node(Var, cell);
		char *name = psprintf("c%d", foreach_current_index(cell) + 1);

		args = lappend(args, tess_make_param(get_array_type(var->vartype),
											 ++param_count));
		function->funccolnames = lappend(function->funccolnames,
										 makeString(name));
		function->funccoltypes = lappend_oid(function->funccoltypes,
											 var->vartype);
		function->funccoltypmods = lappend_int(function->funccoltypmods, -1);
		function->funccolcollations = lappend_oid(function->funccolcollations,
												  get_typcollation(var->vartype));
	}
	call = makeFuncExpr(shipped_rows_function(), RECORDOID, args, InvalidOid,
						InvalidOid, COERCE_EXPLICIT_CALL);
	call->funcretset = true;
	function->funcexpr = (Node *) call;
	function->funccolcount = list_length(ship->shipped);
	return function;
}

static RangeTblEntry *
make_shipped_entry(const TessShipment *ship, int param_count)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblFunction *call = make_call(ship, param_count);

	rte->rtekind = RTE_FUNCTION;
	rte->functions = list_make1(call);
	rte->alias = makeAlias("shipped", NIL);
	rte->eref = makeAlias("shipped", copyObject(call->funccolnames));
	rte->inFromCl = true;
	return rte;
}

/* The join of both as an entry, as the parser would make it. */
static RangeTblEntry *
make_join_entry(const TessShipment *ship)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List *names = NIL;
	ListCell *cell;
	const List *sides[] = {ship->columns, ship->shipped};

	for (int side = 0; side < 2; side++)
		foreach(cell, sides[side])
		{
			const Var *var = lfirst_node(Var, cell);
			int number = foreach_current_index(cell) + 1;
			bool is_shard = side == 0;
			List **columns = is_shard ? &rte->joinleftcols : &rte->joinrightcols;

			*columns = lappend_int(*columns, number);
			names = lappend(names,
							makeString(psprintf("j%d", list_length(names) + 1)));
			rte->joinaliasvars = lappend(rte->joinaliasvars,
										 makeVar(is_shard ? SHARD_ENTRY
														  : SHIPPED_ENTRY,
												 number, var->vartype,
												 is_shard ? var->vartypmod : -1,
												 is_shard ? var->varcollid
														  : get_typcollation(
																var->vartype),
												 0));
		}
	rte->rtekind = RTE_JOIN;
	rte->jointype = JOIN_LEFT;
	rte->eref = makeAlias("unnamed_join", names);
	rte->inFromCl = true;
	return rte;
}

/* The query --------------------------------------------------------------- */

/* Columns of the outer query as they are seen from inside EXISTS. */
static Node *
inward_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var *var = (Var *) copyObject(node);

		if (var->varno == SHIPPED_ENTRY)
			var->varno = 1;
		else
			var->varlevelsup = 1;
		return (Node *) var;
	}
	return expression_tree_mutator(node, inward_mutator, context);
}

/* (NOT) EXISTS (SELECT true FROM shipped WHERE conditions of the join). */
static Node *
make_exists(const TessShipment *ship, RangeTblEntry *shipped)
{
	Query *query = makeNode(Query);
	SubLink *link = makeNode(SubLink);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Node *joins = inward_mutator((Node *) make_ands_explicit(ship->joins), NULL);

	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = list_make1(shipped);
	query->jointree = makeFromExpr(list_make1(ref), joins);
	query->targetList = list_make1(
		makeTargetEntry((Expr *) makeBoolConst(true, false), 1,
						pstrdup("?column?"), false));
	link->subLinkType = EXISTS_SUBLINK;
	link->subselect = (Node *) query;
	link->location = -1;
	return ship->jointype == JOIN_ANTI ? (Node *) make_notclause((Expr *) link)
									   : (Node *) link;
}

static RangeTblRef *
make_ref(int number)
{
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = number;
	return ref;
}

static void
set_from(const TessShipment *ship, Query *query, RangeTblEntry *shipped)
{
	List *conditions = copyObject(ship->filters);
	List *from = list_make1(make_ref(SHARD_ENTRY));

	switch (ship->jointype)
	{
		case JOIN_SEMI:
		case JOIN_ANTI:
			query->hasSubLinks = true;
			conditions = lcons(make_exists(ship, shipped), conditions);
			break;
		case JOIN_LEFT:
		{
			JoinExpr *join = makeNode(JoinExpr);

			join->jointype = JOIN_LEFT;
			join->larg = (Node *) make_ref(SHARD_ENTRY);
			join->rarg = (Node *) make_ref(SHIPPED_ENTRY);
			join->quals = (Node *) make_ands_explicit(copyObject(ship->joins));
			join->rtindex = JOIN_ENTRY;
			query->rtable = lappend(query->rtable, shipped);
			query->rtable = lappend(query->rtable, make_join_entry(ship));
			from = list_make1(join);
			break;
		}
		default:
			query->rtable = lappend(query->rtable, shipped);
			from = lappend(from, make_ref(SHIPPED_ENTRY));
			conditions = list_concat(copyObject(ship->joins), conditions);
			break;
	}
	query->jointree = makeFromExpr(from,
								   conditions == NIL
									   ? NULL
									   : (Node *) make_ands_explicit(conditions));
}

/* No rows of a shard beyond what they can meet; param_count: parameters that
 * come before the bounds. */
static void
set_bounds(const TessShipment *ship, Query *source, int param_count)
{
	FromExpr *from = source->jointree;
	List *conditions = tess_ship_bound_conditions(ship, param_count);

	if (conditions == NIL)
		return;
	conditions = list_concat(make_ands_implicit((Expr *) from->quals),
							 conditions);
	from->quals = (Node *) make_ands_explicit(conditions);
}

/* Conditions over a shard's rows as they are over the outer query's. */
static Node *
lift_mutator(Node *node, TessShipment *ship)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var *var = copyObject((Var *) node);
		Node *column;

		var->varno = ship->outer->relid;
		column = tess_ship_var(ship, var);
		Assert(column != NULL);
		return column;
	}
	return expression_tree_mutator(node, lift_mutator, ship);
}

/* For expression_tree_walker: a column that a union cannot have. */
static bool
is_tied(Node *node, TessShipment *ship)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		return true;
	if (IsA(node, Var))
	{
		const Var *var = (const Var *) node;

		return var->varattno <= 0 || var->varlevelsup > 0 ||
			   !tess_type_travels(ship->travel, var->vartype) ||
			   tess_meta_differs_by_shard(var->vartype);
	}
	return expression_tree_walker(node, is_tied, ship);
}

/*
 * Conditions on the shards' rows go around their union: core finds rows of a
 * union by indexes only if nothing but the table is in it.
 */
static void
lift_conditions(TessShipment *ship, Query *source)
{
	FromExpr *from = source->jointree;

	if (ship->route != NULL || ship->is_fenced || from->quals == NULL ||
		is_tied(from->quals, ship))
		return;
	ship->filters = list_concat(make_ands_implicit(
									(Expr *) lift_mutator(from->quals, ship)),
								ship->filters);
	from->quals = NULL;
}

/*
 * Writes a query over the outer query's columns (query, without FROM), which
 * source gives the rows of a shard.  param_count: parameters that come before
 * the arrays.  The shard's part becomes *template, what is around it
 * ship->frame.  False with *reason if it cannot be sent.
 */
bool
tess_ship_write(TessShipment *ship, Query *query, Query *source,
				int param_count, List **template, const char **reason)
{
	set_bounds(ship, source, param_count + 1 + list_length(ship->shipped));
	lift_conditions(ship, source);
	query->rtable = list_make1(tess_shard_entry(ship->columns, source));
	query->hasSubLinks = source->hasSubLinks;
	set_from(ship, query, make_shipped_entry(ship, param_count));
	return tess_deparse_framed(query, ship->jointype == JOIN_LEFT ? 2 : 1,
							   false, template, &ship->frame, reason);
}

/*
 * Joins the rows of a shard, which are those of query's only entry, with what
 * is sent.  param_count: parameters that come before the arrays.
 */
void
tess_ship_join_locked(TessShipment *ship, Query *query, int param_count)
{
	FromExpr *from = query->jointree;
	RangeTblEntry *shipped = make_shipped_entry(ship, param_count);
	List *conditions;

	set_bounds(ship, query, param_count + 1 + list_length(ship->shipped));
	conditions = make_ands_implicit((Expr *) from->quals);
	if (ship->jointype == JOIN_INNER)
	{
		query->rtable = lappend(query->rtable, shipped);
		from->fromlist = lappend(from->fromlist, make_ref(SHIPPED_ENTRY));
		conditions = list_concat(conditions, copyObject(ship->joins));
	}
	else
	{
		query->hasSubLinks = true;
		conditions = lappend(conditions, make_exists(ship, shipped));
	}
	conditions = list_concat(conditions, copyObject(ship->filters));
	from->quals = (Node *) make_ands_explicit(conditions);
}

/* The position of a column in the rows of the path that is shipped. */
static int
position_of(const TessShipment *ship, const Var *var)
{
	ListCell *cell;

	foreach(cell, ship->path->pathtarget->exprs)
		if (equal(lfirst(cell), var))
			return foreach_current_index(cell);
	elog(ERROR, "a column that is to be shipped is not computed");
}

/* Fills what a fragment says of the shipment. */
void
tess_ship_describe(const TessShipment *ship, TessFragment *fragment)
{
	ListCell *cell;

	fragment->frame = ship->frame;
	fragment->is_fenced = ship->is_fenced;
	fragment->shipped_join = ship->jointype;
	fragment->ship_limit_kb = tess_ship_limit_kb();
	fragment->shipped_key = ship->route ? position_of(ship, ship->route) : -1;
	fragment->param_types = lappend_oid(fragment->param_types, INT8OID);
	foreach(cell, ship->shipped)
	{
		const Var *var = lfirst_node(Var, cell);

		fragment->shipped = lappend_int(fragment->shipped,
										position_of(ship, var));
		fragment->param_types = lappend_oid(fragment->param_types,
											get_array_type(var->vartype));
	}
	foreach(cell, ship->bounds)
	{
		const TessShipBound *bound = lfirst(cell);

		fragment->bounded = lappend_int(fragment->bounded,
										position_of(ship, bound->var));
		fragment->bound_functions = lappend_oid(fragment->bound_functions,
												bound->function);
		fragment->bound_collations = lappend_oid(fragment->bound_collations,
												 bound->collation);
		for (int i = 0; i < 2; i++)
			fragment->param_types = lappend_oid(fragment->param_types,
												bound->var->vartype);
	}
}
