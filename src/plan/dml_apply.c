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

/* The next parameter of a row, from this column of the child. */
static void
add_parameter(TessWrite *write, int position, Oid type)
{
	write->positions = lappend_int(write->positions, position);
	write->row_types = lappend_oid(write->row_types, type);
	write->row_casts = lappend(write->row_casts, makeString(cast_to(type)));
}

/* The SELECT of shard, ctid and new values; what they are goes to write. */
static Query *
source_query(TessJob *job, TessWrite *write)
{
	Query *parse = job->parse;
	Query *source = copyObject(parse);
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, source->rtable);
	List *tlist = hidden_columns(parse->resultRelation);
	List *junk = NIL;
	ListCell *cell;

	add_parameter(write, 1, TIDOID);
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
			write->columns = lappend_int(write->columns, tle->resno);
			add_parameter(write, list_length(tlist),
						  get_atttype(rte->relid, tle->resno));
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

/* ..., number, ctid, new values) AS v (n, c, v1, v2) WHERE t.ctid = v.c
 * RETURNING ..., v.n */
static char *
tail_text(Oid relation, TessWrite *write, TessColumns *columns)
{
	StringInfoData text;
	const char *separator = " RETURNING ";
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfo(&text, ") AS v (%sc", write->returns ? "n, " : "");
	for (int i = 1; i <= list_length(write->columns); i++)
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
	if (write->returns)
		appendStringInfo(&text, "%sv.n", separator);
	return text.data;
}

/* UPDATE table AS t SET a = v.v1, ... FROM (VALUES ... */
static char *
set_text(Oid relation, TessWrite *write)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfoString(&text, " AS t SET ");
	foreach(cell, write->columns)
		appendStringInfo(&text, "%s%s = v.v%d",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 quote_identifier(
							 get_attname(relation, lfirst_int(cell), false)),
						 foreach_current_index(cell) + 1);
	appendStringInfoString(&text, " FROM (VALUES ");
	return text.data;
}

/*
 * The source of an UPDATE or DELETE that is computed here and applied by row,
 * marked as such; always possible for a distributed table, or an error is
 * raised.
 */
Query *
tess_apply_source(TessJob *job)
{
	Query *parse = job->parse;
	const TessTable *table = job->survey->target;
	TessFragment *fragment = tess_fragment_make();
	TessModifySpec *spec = tess_modify_spec_make();
	TessWrite *write = tess_write_make(parse->commandType);
	TessColumns *columns = tess_returning_columns(job);
	Query *source;


	source = source_query(job, write);
	write->returns = parse->returningList != NIL;
	if (parse->commandType == CMD_UPDATE)
		write->head = name_template("UPDATE ", table,
									set_text(table->relation, write));
	else
		write->head = name_template("DELETE FROM ", table,
									" AS t USING (VALUES ");
	write->tail = list_make1(
		makeString(tail_text(table->relation, write, columns)));

	spec->writes = list_make1(write);
	spec->finds_rows = true;
	spec->has_returning = write->returns;
	tess_change_describe(job, fragment, columns);
	fragment->modify = spec;
	return tess_change_mark(source, fragment, columns, NIL);
}
