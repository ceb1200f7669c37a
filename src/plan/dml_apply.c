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
 *
 * Where the key may change, the source has all columns of the new row: it may
 * have to be put into another shard.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "plan/plan_internal.h"

/* The hidden columns, which every row has first. */
List *
tess_hidden_columns(const TessTable *table, Index target)
{
	List *columns;
	Var *shard = makeVar(target, TESS_SHARD_INDEX_ATTRIBUTE, INT4OID, -1,
						 InvalidOid, 0);
	Var *ctid = makeVar(target, TESS_SHARD_CTID_ATTRIBUTE, TIDOID, -1,
						InvalidOid, 0);

	columns = list_make2(makeTargetEntry((Expr *) shard, 1, pstrdup("shard"),
										 false),
						 makeTargetEntry((Expr *) ctid, 2, pstrdup("ctid"),
										 false));
	if (table->is_partitioned)
	{
		Var *partition = makeVar(target, TESS_PARTITION_ATTRIBUTE, OIDOID, -1,
								 InvalidOid, 0);

		columns = lappend(columns, makeTargetEntry((Expr *) partition, 3,
												   pstrdup("partition"), false));
	}
	return columns;
}

/* The entry that assigns to a column, or NULL. */
TargetEntry *
tess_assignment_to(List *target_list, AttrNumber attno)
{
	ListCell *cell;

	foreach(cell, target_list)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (!tle->resjunk && tle->resno == attno)
			return tle;
	}
	return NULL;
}

/* A SET list in which the columns that are not named keep their values. */
List *
tess_whole_row_assignments(Oid relation, Index target, List *target_list)
{
	Relation rel = relation_open(relation, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	List *whole = NIL;
	ListCell *cell;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		TargetEntry *tle = tess_assignment_to(target_list, att->attnum);
		Var *var;

		if (att->attisdropped || att->attgenerated)
			continue;
		var = makeVar(target, att->attnum, att->atttypid, att->atttypmod,
					  att->attcollation, 0);
		if (tle == NULL)
			tle = makeTargetEntry((Expr *) var, att->attnum,
								  pstrdup(NameStr(att->attname)), false);
		whole = lappend(whole, tle);
	}
	relation_close(rel, NoLock);

	/* what a multiple assignment is computed by */
	foreach(cell, target_list)
		if (lfirst_node(TargetEntry, cell)->resjunk)
			whole = lappend(whole, lfirst(cell));
	return whole;
}

static void
note_assignment(TessAssigned *assigned, AttrNumber attno, int position,
				bool by_user)
{
	assigned->all_columns = lappend_int(assigned->all_columns, attno);
	assigned->all_positions = lappend_int(assigned->all_positions, position);
	if (!by_user)
		return;
	assigned->columns = lappend_int(assigned->columns, attno);
	assigned->positions = lappend_int(assigned->positions, position);
}

/* Adds old values of columns that rows of other tables refer to; the positions. */
static List *
add_old_values(TessJob *job, List **tlist)
{
	const TessTable *table = job->survey->target;
	List *positions = NIL;
	ListCell *cell;

	foreach(cell, tess_referenced_columns(table))
	{
		AttrNumber attno = lfirst_int(cell);
		Var *var = tess_target_var(table, job->parse->resultRelation, attno);

		positions = lappend_int(positions, list_length(*tlist));
		*tlist = lappend(*tlist,
						 makeTargetEntry((Expr *) var, list_length(*tlist) + 1,
										 get_attname(table->relation, attno,
													 false),
										 false));
	}
	return positions;
}

/* Adds the columns that policies look at, and that keep their values. */
static void
add_policy_columns(TessJob *job, List **tlist, TessAssigned *assigned)
{
	const TessTable *table = job->survey->target;
	ListCell *cell;

	foreach(cell, tess_policy_columns(job->parse))
	{
		AttrNumber attno = lfirst_int(cell);
		Var *var = tess_target_var(table, job->parse->resultRelation, attno);

		if (list_member_int(assigned->all_columns, attno))
			continue;
		note_assignment(assigned, attno, list_length(*tlist), false);
		*tlist = lappend(*tlist,
						 makeTargetEntry((Expr *) var, list_length(*tlist) + 1,
										 get_attname(table->relation, attno,
													 false),
										 false));
	}
}

/* shard, ctid, new values and those of old ones that are needed; junk last. */
static List *
source_target_list(TessJob *job, List *target_list, TessAssigned *assigned,
				   List **old_positions)
{
	Query *parse = job->parse;
	List *tlist = tess_hidden_columns(job->survey->target, parse->resultRelation);
	List *junk = NIL;
	ListCell *cell;

	if (parse->commandType == CMD_DELETE)
		return tlist;
	foreach(cell, target_list)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->resjunk)
		{
			junk = lappend(junk, tle);
			continue;
		}
		note_assignment(assigned, tle->resno, list_length(tlist),
						tess_assignment_to(parse->targetList, tle->resno) !=
							NULL);
		tle->resno = list_length(tlist) + 1;
		tlist = lappend(tlist, tle);
	}
	add_policy_columns(job, &tlist, assigned);
	if (job->changes_key)
		*old_positions = add_old_values(job, &tlist);
	foreach(cell, junk)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		tle->resno = list_length(tlist) + 1;
		tlist = lappend(tlist, tle);
	}
	return tlist;
}

static LockClauseStrength
lock_strength(TessJob *job)
{
	return job->parse->commandType == CMD_DELETE || job->changes_key
			   ? LCS_FORUPDATE
			   : LCS_FORNOKEYUPDATE;
}

/* The SELECT of shard, ctid and new values. */
static Query *
source_query(TessJob *job, TessAssigned *assigned, List **old_positions)
{
	Query *source = copyObject(job->parse);
	RangeTblEntry *rte = rt_fetch(source->resultRelation, source->rtable);
	List *target_list = source->targetList;

	if (job->changes_key)
		target_list = tess_whole_row_assignments(rte->relid,
												 source->resultRelation,
												 target_list);
	source->targetList = source_target_list(job, target_list, assigned,
											old_positions);
	/* Core takes a table that once had children for their parent, and the
	 * target of a SELECT for a mistake. */
	rte->inh = false;
	tess_ask_for_rows(source);
	tess_mark_locked(rte, lock_strength(job), LockWaitBlock);
	return source;
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
	TessColumns *columns = tess_returning_columns(job);
	TessAssigned assigned = {NIL};
	List *old_positions = NIL;
	Query *source;

	if (job->changes_key)
		tess_refuse_partitioned(table);
	source = source_query(job, &assigned, &old_positions);
	if (parse->commandType == CMD_DELETE)
		spec->writes = list_make1(tess_write_delete(table, columns));
	else if (job->changes_key)
		spec->writes = tess_write_move(table, &assigned, old_positions, columns);
	else
		spec->writes = list_make1(tess_write_update(table, assigned.columns,
													assigned.positions, columns));
	spec->finds_rows = true;
	if (table->is_partitioned)
		spec->partition_position = TESS_PARTITION_POSITION;
	spec->has_returning = tess_wants_rows(parse);
	tess_policies_describe(job, spec, columns, assigned.all_columns,
						   assigned.all_positions);
	tess_change_describe(job, fragment, columns);
	fragment->modify = spec;
	return tess_change_mark(source, fragment, columns, NULL);
}
