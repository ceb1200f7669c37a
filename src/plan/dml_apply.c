/*
 * dml_apply.c - UPDATE and DELETE that only the coordinator can compute: the
 * rows of the target are read and locked, new values computed here, and sent
 * to their shards by row.
 *
 * The statement becomes a SELECT in which the target is a table like others,
 * with two hidden columns: the shard of a row and its ctid there.  Its scan
 * carries FOR UPDATE, so a row cannot move before the statement ends.  A row
 * that joins several times is changed once, by whichever comes first, as in
 * PostgreSQL.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "plan/plan_internal.h"

/* The hidden columns, which every row has first. */
static List *
hidden_columns(Index target)
{
	Var *shard = makeVar(target, TESS_SHARD_INDEX_ATTRIBUTE, INT4OID, -1,
						 InvalidOid, 0);
	Var *ctid = makeVar(target, SelfItemPointerAttributeNumber, TIDOID, -1,
						InvalidOid, 0);

	return list_make2(makeTargetEntry((Expr *) shard, 1, pstrdup("shard"), false),
					  makeTargetEntry((Expr *) ctid, 2, pstrdup("ctid"), false));
}

static char *
cast_to(Oid type)
{
	return psprintf("::%s", format_type_extended(type, -1,
												 FORMAT_TYPE_TYPEMOD_GIVEN |
													 FORMAT_TYPE_FORCE_QUALIFY));
}

static void
add_row_type(TessModifySpec *spec, Oid type)
{
	spec->row_types = lappend_oid(spec->row_types, type);
	spec->row_casts = lappend(spec->row_casts, makeString(cast_to(type)));
}

/* The SELECT of shard, ctid and new values; columns and types go to spec. */
static Query *
source_query(TessJob *job, TessModifySpec *spec)
{
	Query *parse = job->parse;
	Query *source = copyObject(parse);
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, source->rtable);
	List *tlist = hidden_columns(parse->resultRelation);
	List *junk = NIL;
	ListCell *cell;

	add_row_type(spec, TIDOID);
	if (parse->commandType == CMD_UPDATE)
	{
		foreach(cell, source->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, cell);

			if (tle->resjunk)
			{
				junk = lappend(junk, tle);
				continue;
			}
			spec->columns = lappend_int(spec->columns, tle->resno);
			add_row_type(spec, get_atttype(rte->relid, tle->resno));
			tle->resno = list_length(tlist) + 1;
			tlist = lappend(tlist, tle);
		}
		foreach(cell, junk)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, cell);

			tle->resno = list_length(tlist) + 1;
			tlist = lappend(tlist, tle);
		}
	}

	tess_mark_locked(rte,
					 parse->commandType == CMD_DELETE ? LCS_FORUPDATE
													  : LCS_FORNOKEYUPDATE,
					 LockWaitBlock);
	source->targetList = tlist;
	source->commandType = CMD_SELECT;
	source->resultRelation = 0;
	source->returningList = NIL;
	return source;
}

/* The table's name as a template: its schema is a slot. */
static List *
name_template(const char *before, const TessTable *table, const char *after)
{
	char *rest = psprintf(".%s%s", quote_identifier(table->name), after);

	return list_make3(makeString(pstrdup(before)),
					  list_make1(makeString(pstrdup(table->schema))),
					  makeString(rest));
}

/* ..., ctid, new values) AS v (c, v1, v2) WHERE t.ctid = v.c RETURNING ... */
static char *
tail_text(Oid relation, TessModifySpec *spec, TessColumns *columns)
{
	StringInfoData text;
	const char *separator = " RETURNING ";
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfoString(&text, ") AS v (c");
	for (int i = 1; i <= list_length(spec->columns); i++)
		appendStringInfo(&text, ", v%d", i);
	appendStringInfoString(&text, ") WHERE t.ctid = v.c");
	foreach(cell, columns->node_tlist)
	{
		Var *var = (Var *) lfirst_node(TargetEntry, cell)->expr;

		appendStringInfo(&text, "%st.%s", separator,
						 quote_identifier(
							 get_attname(relation, var->varattno, false)));
		separator = ", ";
	}
	return text.data;
}

/* UPDATE table AS t SET a = v.v1, ... FROM (VALUES ... */
static char *
set_text(Oid relation, TessModifySpec *spec)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfoString(&text, " AS t SET ");
	foreach(cell, spec->columns)
		appendStringInfo(&text, "%s%s = v.v%d",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 quote_identifier(
							 get_attname(relation, lfirst_int(cell), false)),
						 foreach_current_index(cell) + 1);
	appendStringInfoString(&text, " FROM (VALUES ");
	return text.data;
}

/*
 * Computes an UPDATE or DELETE here and applies it by row; always possible for
 * a distributed table, or an error is raised.
 */
PlannedStmt *
tess_plan_apply(TessJob *job)
{
	Query *parse = job->parse;
	const TessTable *table = job->survey->target;
	TessFragment *fragment = tess_fragment_make();
	TessModifySpec *spec = tess_modify_spec_make();
	TessColumns *columns;
	Query *source;
	PlannedStmt *stmt;

	if (table->kind != TESS_DISTRIBUTED)
		tess_refuse_target(job,
						   "Change a reference table by conditions on its own columns and built-in functions, or row by row.");
	if (!tess_returning_columns(job, &columns))
		tess_refuse_target(job, "Return columns of the changed rows only.");

	source = source_query(job, spec);
	fragment->command = parse->commandType;
	fragment->target = TESS_TO_SHARDS;
	fragment->modify = spec;
	spec->has_returning = parse->returningList != NIL;
	if (parse->commandType == CMD_UPDATE)
		spec->head = name_template("UPDATE ", table,
								   set_text(table->relation, spec));
	else
		spec->head = name_template("DELETE FROM ", table, " AS t USING (VALUES ");
	spec->tail = list_make1(makeString(tail_text(table->relation, spec, columns)));

	stmt = tess_plan_rest(job, source, NULL);
	spec->reads_first = true;
	return tess_modify_finish(job, stmt, TESS_MODIFY_METHODS, fragment, columns,
							  NIL);
}
