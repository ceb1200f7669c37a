/*
 * part_inserts.c - parts of WITH that insert into one table, where some of them
 * may update what they conflict with (ON CONFLICT DO UPDATE).
 *
 * They run one after the other.  A row that one has inserted or updated another
 * one must not update: in PostgreSQL it is too new for it, the error 21000.  A
 * node cannot tell, since each part comes to it as statements of its own.  So
 * exec/ notes the values that conflicts are about of all rows of these parts
 * (part_rows.c), which says as much if all parts mean the same columns, and leave
 * them as they are.
 */
#include "postgres.h"

#include "access/relation.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "base/base.h"
#include "plan/plan_internal.h"

static bool
updates_conflicts(const Query *query)
{
	return query->onConflict != NULL &&
		   query->onConflict->action == ONCONFLICT_UPDATE;
}

/* See plan_internal.h. */
bool
tess_part_upserts(const Query *query)
{
	Oid relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	const TessTable *table = tess_meta_table(relation);

	return query->commandType == CMD_INSERT && updates_conflicts(query) &&
		   table != NULL && table->kind == TESS_DISTRIBUTED;
}

/* True if values of a column are computed here, and can be hashed. */
static bool
can_be_noted(Oid relation, AttrNumber attno)
{
	Oid type = getBaseType(get_atttype(relation, attno));

	return get_attgenerated(relation, attno) == '\0' &&
		   OidIsValid(lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC)
						  ->hash_extended_proc);
}

/* True if a DO UPDATE sets none of the columns to anything else than they are. */
static bool
keeps_columns(const OnConflictExpr *conflict, const List *columns)
{
	ListCell *cell;

	foreach(cell, columns)
	{
		TargetEntry *tle = tess_assignment_to(conflict->onConflictSet,
											  lfirst_int(cell));
		Node *value;

		if (tle == NULL)
			continue;
		/* EXCLUDED has what the row has, or there would be no conflict */
		value = strip_implicit_coercions((Node *) tle->expr);
		if (!IsA(value, Var) || ((Var *) value)->varattno != lfirst_int(cell))
			return false;
	}
	return true;
}

/* True if a row may become another one before it is written, or be changed along
 * with another one of its table. */
static bool
changes_by_trigger(Oid relation)
{
	Relation rel = relation_open(relation, NoLock);
	bool found = rel->trigdesc != NULL &&
				 (rel->trigdesc->trig_insert_before_row ||
				  rel->trigdesc->trig_update_before_row);

	relation_close(rel, NoLock);
	return found || list_member_oid(tess_relation_cascades(NIL, relation, true),
									relation);
}

/* The columns that an ON CONFLICT DO UPDATE is about; NIL if it is not known
 * which rows conflict from these alone. */
static List *
columns_of(Oid relation, const OnConflictExpr *conflict)
{
	List *columns = tess_row_key_of_conflict(relation, conflict).columns;
	ListCell *cell;

	foreach(cell, columns)
		if (!can_be_noted(relation, lfirst_int(cell)))
			return NIL;
	if (!keeps_columns(conflict, columns))
		return NIL;
	list_sort(columns, list_int_cmp);
	return columns;
}

/* The conflicts (OnConflictExpr *) that INSERTs into a table update; NIL also if
 * there is only one INSERT. */
static List *
updated_conflicts(const List *inserts, Oid relation)
{
	List *conflicts = NIL;
	int count = 0;
	ListCell *cell;

	foreach(cell, inserts)
	{
		const Query *query = lfirst_node(Query, cell);

		if (rt_fetch(query->resultRelation, query->rtable)->relid != relation)
			continue;
		count++;
		if (updates_conflicts(query))
			conflicts = lappend(conflicts, query->onConflict);
	}
	return count > 1 ? conflicts : NIL;
}

/* See plan_internal.h. */
bool
tess_part_inserts_meet(const List *inserts, Oid relation, List **columns)
{
	List *conflicts = updated_conflicts(inserts, relation);
	ListCell *cell;

	*columns = NIL;
	foreach(cell, conflicts)
	{
		List *own = columns_of(relation, lfirst_node(OnConflictExpr, cell));

		if (own == NIL || (*columns != NIL && !equal(own, *columns)))
			return false;
		*columns = own;
	}
	return conflicts == NIL || !changes_by_trigger(relation);
}

/* See plan_internal.h. */
void
tess_part_insert_note(const TessJob *job, const TessWrite *row,
					  TessModifySpec *spec)
{
	const OnConflictExpr *conflict = job->parse->onConflict;
	ListCell *cell;

	foreach(cell, job->part_columns)
	{
		int position = -1;
		ListCell *column;
		ListCell *of_child;

		forboth(column, row->columns, of_child, row->positions)
			if (lfirst_int(column) == lfirst_int(cell))
				position = lfirst_int(of_child);
		spec->part_positions = lappend_int(spec->part_positions, position);
	}
	if (job->part_columns == NIL)
		return;
	spec->part_columns = job->part_columns;
	spec->part_updates = updates_conflicts(job->parse);
	spec->part_is_sure = conflict == NULL || (spec->part_updates &&
											  conflict->onConflictWhere == NULL);
	/* parts that run while another one writes would be in between its rows */
	spec->reads_first = true;
}
