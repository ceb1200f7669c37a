/*
 * dml_insert.c - INSERT into our tables: rows are computed here, by a plan of
 * core's, and sent to their shards or copies.
 *
 * The source is the statement itself as a SELECT of its target list, in which
 * the rewriter has expanded defaults and identity columns: nextval() and now()
 * are evaluated once a row, on the coordinator.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "deparse/deparse.h"
#include "plan/plan_internal.h"

/* INSERT ... DEFAULT VALUES where nothing has a default: one column has to be
 * named, and gets what it would have got. */
TargetEntry *
tess_null_entry(const TessTable *table)
{
	Var *column = tess_column_to_name(table, 0);

	return makeTargetEntry((Expr *) makeNullConst(column->vartype,
												  column->vartypmod,
												  column->varcollid),
						   column->varattno,
						   get_attname(table->relation, column->varattno, false),
						   false);
}

/* For check_functions_in_node: a function of this volatility that may read the
 * target.  A volatile one in C makes up values, as of UUIDs. */
static bool
may_read_target(Oid function, void *volatility)
{
	return function >= FirstNormalObjectId &&
		   func_volatile(function) == *(const char *) volatility &&
		   (*(const char *) volatility != PROVOLATILE_VOLATILE ||
			!tess_function_is_in_c(function));
}

static bool
reading_function_walker(Node *node, void *volatility)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, may_read_target, volatility))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reading_function_walker,
								 volatility, 0);
	return expression_tree_walker(node, reading_function_walker, volatility);
}

/* True if the source of an INSERT calls functions of users that may read the
 * target. */
static bool
calls_function(Query *source, char volatility)
{
	return query_tree_walker(source, reading_function_walker, &volatility, 0);
}

/* PostgreSQL's volatile functions that write nothing, or a sequence. */
static const Oid value_functions[] = {F_NEXTVAL,		F_CURRVAL,
									  F_LASTVAL,		F_RANDOM,
									  F_TIMEOFDAY,		F_CLOCK_TIMESTAMP,
									  F_GEN_RANDOM_UUID};

/* For check_functions_in_node: a function that may write on this server.  Those
 * that make XML of tables read views, which may call any function. */
static bool
may_write(Oid function, void *context)
{
	for (int i = 0; i < lengthof(value_functions); i++)
		if (value_functions[i] == function)
			return false;
	return function >= FirstNormalObjectId ||
		   func_volatile(function) == PROVOLATILE_VOLATILE ||
		   get_func_rettype(function) == XMLOID;
}

/* A domain's constraints may call any function, too. */
static bool
writing_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, Query) || IsA(node, CoerceToDomain) ||
		   check_functions_in_node(node, may_write, context) ||
		   expression_tree_walker(node, writing_walker, context);
}

/* True if the source of an INSERT reads no tables, and whatever it computes
 * writes nothing on this server but sequences. */
static bool
writes_only_sequences(Query *source, Oid target)
{
	ListCell *cell;

	foreach(cell, source->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_RELATION && rte->relid != target)
			return false;
	}
	return !query_tree_walker(source, writing_walker, NULL, 0);
}

/* For check_functions_in_node: a function that may look at the target, though
 * it is built in. */
static bool
is_volatile_otherwise(Oid function, void *context)
{
	for (int i = 0; i < lengthof(value_functions); i++)
		if (value_functions[i] == function)
			return false;
	return func_volatile(function) == PROVOLATILE_VOLATILE;
}

static bool
volatile_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_volatile_otherwise, context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, volatile_walker, context, 0);
	return expression_tree_walker(node, volatile_walker, context);
}

/*
 * True if rows may go as COPY: they go in with the rights of who runs the
 * statement, nothing is asked about them, their values mean the same everywhere,
 * and who computes one has no need to see those before it.
 */
static bool
may_copy(TessJob *job, Query *source, const TessWrite *write)
{
	Query *parse = job->parse;
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);

	if (OidIsValid(rte->checkAsUser) || parse->onConflict != NULL ||
		tess_wants_rows(parse) || source->jointree->fromlist == NIL ||
		job->survey->target->alters_inserts ||
		query_tree_walker(source, volatile_walker, NULL, 0))
		return false;
	return true;
}

/* The SELECT of the rows; what they consist of goes to write. */
static Query *
source_query(TessJob *job, TessWrite *write)
{
	const TessTable *table = job->survey->target;
	Query *source = copyObject(job->parse);
	ListCell *cell;
	int position = 0;

	if (source->targetList == NIL)
		source->targetList = list_make1(tess_null_entry(table));

	foreach(cell, source->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		write->columns = lappend_int(write->columns, tle->resno);
		write->positions = lappend_int(write->positions, position);
		write->row_types = lappend_oid(write->row_types,
									   exprType((Node *) tle->expr));
		write->row_casts = lappend(write->row_casts, makeString(""));
		if (tle->resno == table->key_attnum)
			write->key_position = position;
		tle->resno = ++position;
	}
	return source;
}

/* VALUES ($t+1, ...): the row of the template. */
static List *
row_target_list(TessWrite *write, Oid relation, int params)
{
	List *tlist = NIL;
	ListCell *column;
	ListCell *type;

	forboth(column, write->columns, type, write->row_types)
	{
		Param *param = makeNode(Param);

		param->paramkind = PARAM_EXTERN;
		param->paramid = ++params;
		param->paramtype = lfirst_oid(type);
		param->paramtypmod = -1;
		param->paramcollid = get_typcollation(param->paramtype);
		param->location = -1;
		tlist = lappend(tlist,
						makeTargetEntry((Expr *) param, lfirst_int(column),
										get_attname(relation,
													lfirst_int(column), false),
										false));
	}
	return tlist;
}

/* The source of an INSERT, marked as such; always possible, or an error is
 * raised.  NULL only for a plan that should be shared. */
Query *
tess_insert_source(TessJob *job)
{
	const TessTable *table = job->survey->target;
	TessFragment *fragment = tess_fragment_make();
	TessModifySpec *spec = tess_modify_spec_make();
	TessWrite *write = tess_write_make(CMD_INSERT);
	TessTravel travel = {NIL};
	TessBindings bindings = {&travel};
	TessColumns *columns = tess_returning_columns(job);
	Query *source = source_query(job, write);
	Query *query = tess_query_make(job, CMD_INSERT);

	tess_travel_add(&travel, table->relation);
	if (job->changes_key || tess_policies_check_conflicts(job->parse) ||
		!tess_on_conflict_bind(job, query, &bindings))
	{
		source = tess_upsert_source(job, source, write);
		if (source == NULL)
			tess_refuse_target(job,
							   "Use built-in functions and columns of the table and of EXCLUDED only.");
		return source;
	}
	query->targetList = row_target_list(write, table->relation,
										list_length(bindings.exprs));
	query->returningList = columns->node_tlist;
	if (!tess_deparse_insert(query, &write->head, &write->tail, &job->reason))
	{
		if (job->is_shared)
			return NULL;
		tess_refuse_target(job, "Write the statement in a simpler form.");
	}
	tess_on_conflict_note(job->parse->onConflict, table, write);
	write->returns = tess_wants_rows(job->parse);
	write->sequences_only = writes_only_sequences(source, table->relation);
	write->sends_here_at_once = calls_function(source, PROVOLATILE_VOLATILE);
	write->may_copy = may_copy(job, source, write);

	spec->writes = list_make1(write);
	spec->has_returning = write->returns;
	/* a stable one must not see rows that have been sent already */
	spec->reads_first = calls_function(source, PROVOLATILE_STABLE);
	tess_policies_describe(job, spec, columns, write->columns, write->positions);
	tess_part_insert_note(job, write, spec);
	tess_change_describe(job, fragment, columns);
	fragment->param_types = tess_binding_types(&bindings);
	fragment->modify = spec;
	return tess_change_mark(source, fragment, columns, &bindings);
}
