/*
 * part_triggers.c - which tables do triggers read or write, when a part of WITH
 * changes rows of one?
 *
 * Only triggers of what happens to the rows count, and of these only the tables that
 * the words of their bodies may name (body.c), with all that happens when these
 * are changed.  Where that cannot be told, it is any table of the group, and any
 * reference table, which is read.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "plan/plan_internal.h"

/* What may happen to rows. */
#define EVENTS (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_DELETE | TRIGGER_TYPE_UPDATE)

static List *
any_table(const TessTable *table, List *tables)
{
	ListCell *cell;

	foreach(cell, tess_cat_tables())
	{
		const TessTableRow *row = lfirst(cell);

		if (row->kind == TESS_REFERENCE)
			tables = list_append_unique_oid(tables, row->relation);
	}
	return list_concat_unique_oid(tables, tess_cat_tables_of_group(
											  table->group->colocation_id));
}

/* Adds the tables that triggers of users for one of the events name; to *before
 * those of BEFORE triggers as well. */
static List *
add_named(List *tables, const TessTable *table, int events, List **before)
{
	Relation rel = table_open(table->relation, AccessShareLock);
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		List *named;

		if (trigger->tgisinternal || (trigger->tgtype & events) == 0 ||
			trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		named = NIL;
		if (!tess_body_tables(trigger->tgfoid, &named))
			named = any_table(table, named);
		tables = list_concat_unique_oid(tables, named);
		if (TRIGGER_FOR_BEFORE(trigger->tgtype))
			*before = list_concat_unique_oid(*before, named);
	}
	table_close(rel, NoLock);
	return tables;
}

/* What happens to the rows of a part's target. */
static int
events_of(const TessJob *part)
{
	const Query *query = part->parse;

	switch (query->commandType)
	{
		case CMD_INSERT:
			return query->onConflict != NULL &&
						   query->onConflict->action == ONCONFLICT_UPDATE
					   ? TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE
					   : TRIGGER_TYPE_INSERT;
		case CMD_UPDATE:
			return part->changes_key ? EVENTS : TRIGGER_TYPE_UPDATE;
		case CMD_DELETE:
			return TRIGGER_TYPE_DELETE;
		default:
			return EVENTS;
	}
}

/*
 * The tables of ours (OID list) that triggers may read or write when a part changes
 * its target, and foreign keys the tables in cascaded; in *before those that BEFORE
 * triggers may.
 */
List *
tess_part_triggered(const TessJob *part, const List *cascaded, List **before)
{
	Oid target = rt_fetch(part->parse->resultRelation, part->parse->rtable)->relid;
	List *changed = list_make1_oid(target);
	List *triggered = NIL;
	ListCell *cell;

	*before = NIL;
	foreach(cell, cascaded)
		changed = list_append_unique_oid(changed, lfirst_oid(cell));
	/* what is named is taken for changed, too */
	for (int i = 0; i < list_length(changed); i++)
	{
		const TessTable *table = tess_meta_table(list_nth_oid(changed, i));

		if (table == NULL || table->kind != TESS_DISTRIBUTED)
			continue;
		if (i > 0 && list_member_oid(triggered, table->relation))
			triggered = tess_relation_cascades(triggered, table->relation, false);
		if (table->has_triggers)
			triggered = add_named(triggered, table,
								  i == 0 && !list_member_oid(triggered, target)
									  ? events_of(part)
									  : EVENTS,
								  before);
		changed = list_concat_unique_oid(changed, triggered);
	}
	return triggered;
}
