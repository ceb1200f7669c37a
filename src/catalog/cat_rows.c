/*
 * cat_rows.c - how rows of the catalogs are scanned and written: with core's
 * catalog routines, without triggers and without rights.
 *
 * Scans take a catalog snapshot each, so they see what is committed now
 * whatever the isolation level, and this transaction's own changes up to the
 * last command.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/base.h"
#include "catalog/catalog_internal.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* OID of a catalog that has to be there. */
static Oid
catalog_oid(const char *catalog)
{
	Oid oid = tess_catalog_relation_oid(catalog);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" is not installed in this database",
						TESS_EXTENSION),
				 errhint("Use CREATE EXTENSION tessera.")));
	return oid;
}

/* DROP EXTENSION drops indexes first; what is left is scanned whole. */
static Oid
index_oid(const char *index)
{
	Oid oid = index != NULL ? tess_catalog_relation_oid(index) : InvalidOid;

	if (OidIsValid(oid) && !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(oid)))
		oid = InvalidOid;
	return oid;
}

static void
open_scan(TessCatScan *scan, const char *catalog, LOCKMODE lockmode)
{
	Oid oid = tess_catalog_relation_oid(catalog);

	scan->relation = NULL;
	scan->scan = NULL;
	scan->lockmode = lockmode;
	if (OidIsValid(oid))
		scan->relation = try_relation_open(oid, lockmode);
}

void
tess_cat_scan_begin(TessCatScan *scan, const char *catalog, const char *index,
					LOCKMODE lockmode, int key_count, ScanKey keys)
{
	Oid oid;

	open_scan(scan, catalog, lockmode);
	if (scan->relation == NULL)
		return;
	oid = index_oid(index);
	scan->scan = systable_beginscan(scan->relation, oid, OidIsValid(oid), NULL,
									key_count, keys);
}

void
tess_cat_scan_begin_unnoticed(TessCatScan *scan, const char *catalog,
							  const char *index, int key_count, ScanKey keys)
{
	Oid oid;

	open_scan(scan, catalog, RowExclusiveLock);
	if (scan->relation == NULL)
		return;
	oid = index_oid(index);
	scan->scan = systable_beginscan(scan->relation, oid, OidIsValid(oid),
									SnapshotSelf, key_count, keys);
}

HeapTuple
tess_cat_scan_next(TessCatScan *scan)
{
	return scan->scan == NULL ? NULL : systable_getnext(scan->scan);
}

void
tess_cat_scan_end(TessCatScan *scan)
{
	if (scan->scan != NULL)
		systable_endscan(scan->scan);
	if (scan->relation != NULL)
		relation_close(scan->relation, scan->lockmode);
}

void
tess_cat_key_int4(ScanKey key, AttrNumber column, int32 value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(value));
}

void
tess_cat_key_int8(ScanKey key, AttrNumber column, int64 value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(value));
}

Datum
tess_cat_column(TessCatScan *scan, HeapTuple row, AttrNumber column, bool *isnull)
{
	return heap_getattr(row, column, RelationGetDescr(scan->relation), isnull);
}

char *
tess_cat_text(TessCatScan *scan, HeapTuple row, AttrNumber column)
{
	bool isnull;
	Datum value = tess_cat_column(scan, row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

char *
tess_cat_name(TessCatScan *scan, HeapTuple row, AttrNumber column)
{
	bool isnull;
	Datum value = tess_cat_column(scan, row, column, &isnull);

	return isnull ? NULL : pstrdup(NameStr(*DatumGetName(value)));
}

List *
tess_cat_strings(TessCatScan *scan, HeapTuple row, AttrNumber column)
{
	bool isnull;
	Datum value = tess_cat_column(scan, row, column, &isnull);
	List *strings = NIL;
	Datum *texts;
	int count;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
					  TYPALIGN_INT, &texts, NULL, &count);
	for (int i = 0; i < count; i++)
		strings = lappend(strings, TextDatumGetCString(texts[i]));
	return strings;
}

Datum
tess_cat_strings_datum(List *strings)
{
	Datum *texts = palloc(sizeof(Datum) * Max(list_length(strings), 1));
	ListCell *cell;

	foreach(cell, strings)
		texts[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(texts, list_length(strings), TEXTOID,
										   -1, false, TYPALIGN_INT));
}

void
tess_cat_row_insert(const char *catalog, const Datum *values, const bool *nulls)
{
	Relation relation = table_open(catalog_oid(catalog), RowExclusiveLock);
	HeapTuple row = heap_form_tuple(RelationGetDescr(relation),
									unconstify(Datum *, values),
									unconstify(bool *, nulls));

	CatalogTupleInsert(relation, row);
	heap_freetuple(row);
	table_close(relation, RowExclusiveLock);
	CommandCounterIncrement();
}

void
tess_cat_row_set(TessCatScan *scan, const char *catalog, const Datum *values,
				 const bool *nulls)
{
	HeapTuple old = tess_cat_scan_next(scan);

	if (old != NULL)
	{
		HeapTuple new = heap_form_tuple(RelationGetDescr(scan->relation),
										unconstify(Datum *, values),
										unconstify(bool *, nulls));

		CatalogTupleUpdate(scan->relation, &old->t_self, new);
	}
	tess_cat_scan_end(scan);
	if (old == NULL)
		tess_cat_row_insert(catalog, values, nulls);
}

int
tess_cat_rows_delete(const char *catalog, const char *index, int key_count,
					 ScanKey keys)
{
	TessCatScan scan;
	HeapTuple row;
	int count = 0;

	tess_cat_scan_begin(&scan, catalog, index, RowExclusiveLock, key_count, keys);
	while ((row = tess_cat_scan_next(&scan)) != NULL)
	{
		CatalogTupleDelete(scan.relation, &row->t_self);
		count++;
	}
	tess_cat_scan_end(&scan);
	CommandCounterIncrement();
	return count;
}

int64
tess_cat_next_id(const char *sequence)
{
	return nextval_internal(catalog_oid(sequence), false);
}

void
tess_cat_changed(const char *catalog)
{
	CacheInvalidateRelcacheByRelid(catalog_oid(catalog));
	CommandCounterIncrement();
}

void
tess_cat_lock_id(const char *catalog, int32 id, LOCKMODE mode)
{
	LockDatabaseObject(catalog_oid(catalog), (Oid) id, 0, mode);
}
