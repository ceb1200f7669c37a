/*
 * cat_trigger.c - triggers of the catalogs, for rows that come by SQL: from
 * pg_restore, or from an administrator's hand.
 *
 * They do what the C writers do after each change.  Rights are PostgreSQL's:
 * only the owner of the extension (or who was granted it) writes there by SQL.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/base.h"
#include "catalog/catalog_internal.h"
#include "catalog/indexing.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(tess_catalog_changed);
PG_FUNCTION_INFO_V1(tess_catalog_replaced);
PG_FUNCTION_INFO_V1(tess_table_changed);

/* This session has put tables into the catalogs by SQL. */
static bool has_restored = false;

static TriggerData *
trigger_context(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("this function can only be called as a trigger")));
	return (TriggerData *) fcinfo->context;
}

/* Forgets what was known of any table. */
static void
all_tables_changed(void)
{
	ListCell *cell;

	foreach(cell, tess_cat_tables())
		tess_cat_relation_changed(((TessTableRow *) lfirst(cell))->relation);
}

/* AFTER, for each statement. */
Datum
tess_catalog_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_context(fcinfo);

	CacheInvalidateRelcache(trigger->tg_relation);
	all_tables_changed();
	return PointerGetDatum(NULL);
}

/* The same node by id or by name? */
static bool
is_same_node(TessCatScan *scan, HeapTuple old, HeapTuple new)
{
	bool isnull;
	int32 old_id;
	int32 new_id;

	old_id = DatumGetInt32(tess_cat_column(scan, old, Anum_node_node_id, &isnull));
	new_id = DatumGetInt32(tess_cat_column(scan, new, Anum_node_node_id, &isnull));
	if (old_id == new_id)
		return true;
	return strcmp(tess_cat_name(scan, old, Anum_node_name),
				  tess_cat_name(scan, new, Anum_node_name)) == 0;
}

/*
 * BEFORE INSERT, for each row.  CREATE EXTENSION made an identity and the
 * coordinator's row; those of the dump that is being restored replace them.
 */
Datum
tess_catalog_replaced(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_context(fcinfo);
	Oid relation = RelationGetRelid(trigger->tg_relation);
	TessCatScan scan;
	HeapTuple row;

	if (relation == tess_catalog_relation_oid("cluster"))
		(void) tess_cat_rows_delete("cluster", NULL, 0, NULL);
	else
	{
		tess_cat_scan_begin(&scan, "node", NULL, RowExclusiveLock, 0, NULL);
		while ((row = tess_cat_scan_next(&scan)) != NULL)
		{
			bool isnull;

			/* Only this server's own row gives way to another. */
			(void) tess_cat_column(&scan, row, Anum_node_server, &isnull);
			if (isnull && is_same_node(&scan, row, trigger->tg_trigtuple))
				CatalogTupleDelete(scan.relation, &row->t_self);
		}
		tess_cat_scan_end(&scan);
		/* The next row of the same COPY must not find it again. */
		CommandCounterIncrement();
	}
	return PointerGetDatum(trigger->tg_trigtuple);
}

/* OID in a row of "table" before or after the change. */
static Oid
relation_of(TriggerData *trigger, HeapTuple row)
{
	bool isnull;

	return DatumGetObjectId(heap_getattr(row, Anum_table_relation,
										 RelationGetDescr(trigger->tg_relation),
										 &isnull));
}

/* Does an inserted row of "table" name a group? */
static bool
is_distributed(TriggerData *trigger)
{
	bool isnull;

	(void) heap_getattr(trigger->tg_trigtuple, Anum_table_colocation_id,
						RelationGetDescr(trigger->tg_relation), &isnull);
	return !isnull;
}

/*
 * A shell is empty, except after the restore of a dump that has rows of
 * distributed tables.  They are in the shards as well, so they are never read;
 * undistribute_table() drops them.
 */
void
tess_cat_warn_of_rows(const char *table)
{
	ereport(WARNING,
			(errmsg("restored rows of distributed table \"%s\" are not used",
					table),
			 errdetail("The rows that count are in its shards."),
			 errhint(
				 "Leave these rows out of dumps, with the options for pg_dump that tessera.dump_options() gives.")));
}

static void
look_into_shell(Oid relation)
{
	Relation rel = table_open(relation, AccessShareLock);

	if (rel->rd_rel->relkind == RELKIND_RELATION &&
		RelationGetNumberOfBlocks(rel) > 0)
		tess_cat_warn_of_rows(RelationGetRelationName(rel));
	table_close(rel, NoLock);
}

bool
tess_cat_is_restoring(void)
{
	return has_restored;
}

/* AFTER, for each row of "table"; BEFORE TRUNCATE. */
Datum
tess_table_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_context(fcinfo);
	TriggerEvent event = trigger->tg_event;
	ListCell *cell;

	CacheInvalidateRelcache(trigger->tg_relation);
	if (TRIGGER_FIRED_BY_TRUNCATE(event))
	{
		all_tables_changed();
		foreach(cell, tess_cat_tables())
			tess_cat_dependency_remove(((TessTableRow *) lfirst(cell))->relation);
		return PointerGetDatum(NULL);
	}
	if (!TRIGGER_FIRED_BY_INSERT(event))
	{
		Oid old = relation_of(trigger, trigger->tg_trigtuple);

		tess_cat_dependency_remove(old);
		tess_cat_relation_changed(old);
	}
	if (!TRIGGER_FIRED_BY_DELETE(event))
	{
		Oid new = relation_of(trigger, TRIGGER_FIRED_BY_UPDATE(event)
										   ? trigger->tg_newtuple
										   : trigger->tg_trigtuple);

		if (TRIGGER_FIRED_BY_INSERT(event))
		{
			has_restored = true;
			if (is_distributed(trigger))
				look_into_shell(new);
		}
		tess_cat_dependency_add(new);
		tess_cat_relation_changed(new);
	}
	return PointerGetDatum(NULL);
}
