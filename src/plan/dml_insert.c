/*
 * dml_insert.c - INSERT into our tables: rows are computed here, by a plan of
 * core's, and sent to their shards or copies.
 *
 * The source is the statement itself as a SELECT of its target list, in which
 * the rewriter has expanded defaults and identity columns: nextval() and now()
 * are evaluated once a row, on the coordinator.
 */
#include "postgres.h"

#include "access/genam.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "deparse/deparse.h"
#include "plan/plan_internal.h"

/* INSERT ... DEFAULT VALUES where nothing has a default: one column has to be
 * named, and gets what it would have got. */
static TargetEntry *
null_entry(const TessTable *table)
{
	Var *column = tess_column_to_name(table, 0);

	return makeTargetEntry((Expr *) makeNullConst(column->vartype,
												  column->vartypmod,
												  column->varcollid),
						   column->varattno,
						   get_attname(table->relation, column->varattno, false),
						   false);
}

/* The SELECT of the rows; the modify node's columns go to spec. */
static Query *
source_query(TessJob *job, TessModifySpec *spec)
{
	const TessTable *table = job->survey->target;
	Query *source = copyObject(job->parse);
	ListCell *cell;
	int position = 0;

	if (source->targetList == NIL)
		source->targetList = list_make1(null_entry(table));

	foreach(cell, source->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		spec->columns = lappend_int(spec->columns, tle->resno);
		spec->row_types = lappend_oid(spec->row_types,
									  exprType((Node *) tle->expr));
		spec->row_casts = lappend(spec->row_casts, makeString(""));
		if (tle->resno == table->key_attnum)
			spec->key_position = position;
		tle->resno = ++position;
	}

	source->commandType = CMD_SELECT;
	source->resultRelation = 0;
	source->onConflict = NULL;
	source->returningList = NIL;
	source->override = OVERRIDING_NOT_SET;
	return source;
}

/* VALUES ($t+1, ...): the row of the template. */
static List *
row_target_list(TessModifySpec *spec, Oid relation, int params)
{
	List *tlist = NIL;
	ListCell *column;
	ListCell *type;

	forboth(column, spec->columns, type, spec->row_types)
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

/* ON CONFLICT as it is sent: target entry 1, EXCLUDED entry 2.  False with
 * job->reason if it cannot be evaluated on a node. */
static bool
bind_on_conflict(TessJob *job, Query *query, TessBindings *bindings)
{
	Query *parse = job->parse;
	OnConflictExpr *conflict = parse->onConflict;

	if (conflict == NULL)
		return true;
	if (checkExprHasSubLink((Node *) conflict))
	{
		job->reason = "ON CONFLICT contains a subquery.";
		return false;
	}

	conflict = (OnConflictExpr *) tess_renumber((Node *) conflict,
												parse->resultRelation,
												conflict->exclRelIndex);
	if (conflict->exclRelIndex > 0)
	{
		query->rtable = lappend(query->rtable,
								copyObject(rt_fetch(conflict->exclRelIndex,
													parse->rtable)));
		conflict->exclRelIndex = 2;
	}
	conflict = (OnConflictExpr *) tess_bind(bindings, (Node *) conflict);
	if (!tess_travels(bindings->travel, (Node *) conflict))
	{
		job->reason = "An expression of ON CONFLICT cannot be evaluated on a node.";
		return false;
	}
	query->onConflict = conflict;
	return true;
}

/* The columns that an ON CONFLICT is about; NIL, and *opaque, if these are not
 * all: it names an expression or a partial index. */
static List *
conflict_columns(const OnConflictExpr *conflict, bool *opaque)
{
	List *columns = NIL;
	ListCell *cell;

	*opaque = conflict->arbiterWhere != NULL;
	if (OidIsValid(conflict->constraint))
	{
		Relation index = index_open(get_constraint_index(conflict->constraint),
									AccessShareLock);

		for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
			columns = lappend_int(columns, index->rd_index->indkey.values[i]);
		index_close(index, AccessShareLock);
		return columns;
	}
	foreach(cell, conflict->arbiterElems)
	{
		Node *expr = lfirst_node(InferenceElem, cell)->expr;

		if (IsA(expr, Var))
			columns = lappend_int(columns, ((Var *) expr)->varattno);
		else
			*opaque = true;
	}
	return *opaque ? NIL : columns;
}

/*
 * Tells exec/ how to notice that two rows, sent in different statements, want
 * to update the same row, which in one statement is an error.
 */
static void
note_conflicts(const OnConflictExpr *conflict, TessModifySpec *spec)
{
	List *positions = NIL;
	ListCell *cell;

	if (conflict == NULL || conflict->action != ONCONFLICT_UPDATE)
		return;
	foreach(cell, conflict_columns(conflict, &spec->has_opaque_conflict))
	{
		int position = 0;
		ListCell *column;

		foreach(column, spec->columns)
		{
			if (lfirst_int(column) == lfirst_int(cell))
				break;
			position++;
		}
		/* a column that is not given is NULL, and equal to nothing */
		if (column == NULL)
			return;
		positions = lappend_int(positions, position);
	}
	spec->conflict_positions = positions;
}

/* Plans an INSERT; always possible, or an error is raised. */
PlannedStmt *
tess_plan_insert(TessJob *job)
{
	const TessTable *table = job->survey->target;
	TessFragment *fragment = tess_fragment_make();
	TessModifySpec *spec = tess_modify_spec_make();
	TessTravel travel = {NIL};
	TessBindings bindings = {&travel};
	TessColumns *columns;
	Query *source = source_query(job, spec);
	Query *query = tess_query_make(job, CMD_INSERT);
	PlannedStmt *stmt;

	tess_travel_add(&travel, table->relation);
	if (!tess_returning_columns(job, &columns))
		tess_refuse_target(job, "Return columns of the inserted rows only.");
	if (!bind_on_conflict(job, query, &bindings))
		tess_refuse_target(job,
						   "Use built-in functions and columns of the table and of EXCLUDED only.");
	query->targetList = row_target_list(spec, table->relation,
										list_length(bindings.exprs));
	query->returningList = columns->node_tlist;
	if (!tess_deparse_insert(query, &spec->head, &spec->tail, &job->reason))
		tess_refuse_target(job, "Write the statement in a simpler form.");

	fragment->command = CMD_INSERT;
	fragment->target = table->kind == TESS_DISTRIBUTED ? TESS_TO_SHARDS
													   : TESS_TO_ALL_COPIES;
	fragment->param_types = tess_binding_types(&bindings);
	fragment->modify = spec;
	note_conflicts(job->parse->onConflict, spec);
	spec->has_returning = job->parse->returningList != NIL;

	stmt = tess_plan_rest(job, source, &spec->reads_first);
	return tess_modify_finish(job, stmt, TESS_MODIFY_METHODS, fragment, columns,
							  bindings.exprs);
}
