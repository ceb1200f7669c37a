/*
 * parts.c - parts of WITH that change our tables.
 *
 * Each becomes the source of a change (change.c) in its place, or is planned by
 * core and repeated (dml_repeat.c).  It is kept from
 * being inlined or left out, and TesseraModify sees to it that it is run to the
 * end.  All parts see the state before the statement: scans that have not asked
 * the nodes are made to before the first write to what they read, so they ask
 * for nothing that depends on rows (early_reads.c).  Two parts may write to one
 * table where one of them only adds rows, or where both change rows in their
 * places: each has found its rows before either writes, by ctid, and of a row that both
 * have found the first one leaves nothing there for the second, as in PostgreSQL.
 * Or where all of them insert (part_inserts.c).
 * Other ones cannot be in one statement, since what the second would do depends
 * on the first; unless it goes to one shard whole (router.c).
 */
#include "postgres.h"

#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "plan/plan_internal.h"

/* The change of a table of ours that a part of WITH is, or NULL. */
static Query *
change_in(CommonTableExpr *cte)
{
	Query *query = castNode(Query, cte->ctequery);

	if (query->commandType == CMD_SELECT || query->resultRelation == 0 ||
		tess_meta_table(rt_fetch(query->resultRelation, query->rtable)->relid) ==
			NULL)
		return NULL;
	return query;
}

/* Tables (OID lists) that parts of a statement change. */
typedef struct Written
{
	List *in_place;	 /* rows are updated or deleted, and stay where they are */
	List *changed;	 /* rows are changed in other ways, or may be */
	List *cascaded;	 /* by foreign keys */
	List *triggered; /* read or changed by triggers ... */
	List *before;	 /* ... before rows are changed */
	List *inserted;	 /* rows are added, and nothing else */
	List *upserted; /* rows are added, or those updated that conflict with them */
	List *inserts; /* Query *: all that insert */
} Written;

/* A part that only adds rows to a distributed table: another one does not see
 * them, and it changes none of the other's. */
static bool
only_inserts(const Query *query)
{
	Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	const TessTable *table = tess_meta_table(relation);

	return query->commandType == CMD_INSERT && table != NULL &&
		   table->kind == TESS_DISTRIBUTED &&
		   (query->onConflict == NULL ||
			query->onConflict->action == ONCONFLICT_NOTHING);
}

/* A part that deletes no rows; an INSERT updates what it conflicts with. */
static bool
only_updates(const Query *query)
{
	return query->commandType == CMD_UPDATE || query->commandType == CMD_INSERT;
}

/* A part that finds rows, and then changes them where they are, or deletes them. */
static bool
only_in_place(const TessJob *part)
{
	CmdType command = part->parse->commandType;
	const TessTable *table = part->survey->target;

	return (command == CMD_UPDATE || command == CMD_DELETE) && table != NULL &&
		   table->kind == TESS_DISTRIBUTED && !part->changes_key &&
		   !list_member_oid(tess_relation_cascades(NIL, table->relation,
												   command == CMD_UPDATE),
							table->relation);
}

static void
refuse_two_parts(Oid relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("two parts of a statement cannot change table \"%s\"",
					get_rel_name(relation)),
			 errdetail("Parts of WITH run in no certain order."),
			 errhint("Use one statement for each change, in one transaction.")));
}

/* Errors if one of the tables is among others. */
static void
check_apart(const List *tables, const List *others)
{
	ListCell *cell;

	foreach(cell, tables)
		if (list_member_oid(others, lfirst_oid(cell)))
			refuse_two_parts(lfirst_oid(cell));
}

/* Errors if a part changes one of the tables itself. */
static void
check_not_changed(const List *tables, const Written *written)
{
	check_apart(tables, written->in_place);
	check_apart(tables, written->changed);
	check_apart(tables, written->inserted);
	check_apart(tables, written->upserted);
}

/*
 * Adds what triggers of a part read or write.  In PostgreSQL they run when all parts
 * have written, but for BEFORE triggers; here, when their own has.  Parts have no
 * certain order, so neither have their triggers among themselves.
 */
static void
add_triggered(Written *written, const TessJob *part, const List *own,
			  const List *cascaded)
{
	List *before;
	List *triggered = tess_part_triggered(part, cascaded, &before);

	check_apart(own, written->triggered);
	check_apart(cascaded, written->triggered);
	check_apart(triggered, written->cascaded);
	check_apart(before, written->triggered);
	check_apart(triggered, written->before);
	check_not_changed(triggered, written);
	written->triggered = list_concat(written->triggered, triggered);
	written->before = list_concat(written->before, before);
}

/* Adds what a change writes to; fails if another part is in its way. */
static void
add_written(Written *written, const TessJob *part)
{
	const Query *query = part->parse;
	Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	List *own = list_make1_oid(relation);
	List *along = list_copy(own);
	List *cascaded;

	if (query->commandType != CMD_INSERT || query->onConflict != NULL)
		along = tess_relation_cascades(along, relation, only_updates(query));
	cascaded = list_difference_oid(along, own);
	check_apart(own, written->cascaded);
	check_apart(cascaded, written->cascaded);
	check_not_changed(cascaded, written);
	add_triggered(written, part, own, cascaded);
	if (query->commandType == CMD_INSERT)
		written->inserts = lappend(written->inserts, part->parse);
	if (only_inserts(query))
		written->inserted = list_concat(written->inserted, own);
	else if (tess_part_upserts(query))
	{
		check_apart(own, written->in_place);
		check_apart(own, written->changed);
		written->upserted = list_concat(written->upserted, own);
	}
	else if (only_in_place(part))
	{
		check_apart(own, written->changed);
		check_apart(own, written->upserted);
		written->in_place = list_concat(written->in_place, own);
	}
	else
	{
		check_apart(own, written->in_place);
		check_apart(own, written->changed);
		check_apart(own, written->upserted);
		written->changed = list_concat(written->changed, own);
	}
	written->cascaded = list_concat(written->cascaded, cascaded);
}

/* A part as a statement of its own. */
static TessJob
make_part(const TessJob *job, Query *query)
{
	TessJob part = *job;

	part.parse = query;
	part.survey = tess_survey_make(query);
	part.changes_key = false;
	part.part_columns = NIL;
	part.reason = NULL;
	tess_refuse_unsupported(&part);
	return part;
}

/* What the statement and its parts write to; fails if one is in another's way. */
static Written
check_targets(TessJob *job)
{
	Written written = {NIL};
	ListCell *cell;

	if (job->survey->target != NULL)
		add_written(&written, job);
	foreach(cell, job->parse->cteList)
	{
		Query *query = change_in(lfirst_node(CommonTableExpr, cell));
		TessJob part;

		if (query == NULL)
			continue;
		part = make_part(job, query);
		add_written(&written, &part);
	}
	return written;
}

/* Notes by which columns rows of the job may meet those of other parts. */
static void
note_meeting(TessJob *job, const Written *written)
{
	Oid relation;

	if (job->parse->commandType != CMD_INSERT || job->survey->target == NULL)
		return;
	relation = job->survey->target->relation;
	if (!tess_part_inserts_meet(written->inserts, relation, &job->part_columns))
		refuse_two_parts(relation);
}

/* See plan_internal.h. */
bool
tess_parts_keep_keys(TessJob *job)
{
	ListCell *cell;

	foreach(cell, job->parse->cteList)
	{
		Query *query = change_in(lfirst_node(CommonTableExpr, cell));
		TessJob part;

		if (query == NULL)
			continue;
		part = make_part(job, query);
		if (part.changes_key)
			return false;
		tess_assign_something(&part);
	}
	return true;
}

/* Turns the parts of WITH that change our tables into sources, or marks them as
 * changes that are repeated; in place. */
void
tess_parts_plan(TessJob *job)
{
	Written written;
	ListCell *cell;

	if (!OidIsValid(job->survey->nested_target))
		return;
	written = check_targets(job);
	note_meeting(job, &written);
	tess_parts_order(job->parse);
	foreach(cell, job->parse->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		Query *query = change_in(cte);
		TessJob part;

		if (query == NULL)
			continue;
		part = make_part(job, query);
		note_meeting(&part, &written);
		if (tess_must_repeat(&part))
		{
			tess_repeat_mark(&part);
			continue;
		}
		cte->ctequery = (Node *) tess_change_source(&part);
		cte->ctematerialized = CTEMaterializeAlways;
		cte->cterefcount = Max(cte->cterefcount, 1);
	}
}
