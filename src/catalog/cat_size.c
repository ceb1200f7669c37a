/*
 * cat_size.c - rows of tessera.size: how large a distributed table was when it
 * was last analyzed or vacuumed.
 *
 * pg_class says so too, until the shell is vacuumed, reindexed or gets an
 * index: then PostgreSQL writes there that the shell is empty.  What is here
 * is only for estimates: no dump has it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/catalog_internal.h"
#include "catalog/indexing.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#define CATALOG_NAME "size"

static void
scan_begin(TessCatScan *scan, Oid relation, LOCKMODE lockmode)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_size_relation, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	tess_cat_scan_begin(scan, CATALOG_NAME, "size_pkey", lockmode, 1, &key);
}

/* See catalog.h. */
bool
tess_cat_size(Oid relation, TessSizeRow *size)
{
	TessCatScan scan;
	HeapTuple row;
	bool isnull;

	scan_begin(&scan, relation, AccessShareLock);
	row = tess_cat_scan_next(&scan);
	if (row != NULL)
	{
		size->pages = DatumGetInt64(
			tess_cat_column(&scan, row, Anum_size_pages, &isnull));
		size->rows = DatumGetFloat8(
			tess_cat_column(&scan, row, Anum_size_rows, &isnull));
	}
	tess_cat_scan_end(&scan);
	return row != NULL;
}

/* Writes the row; makes plans of the table be made again.  The caller's lock
 * on the table (ShareUpdateExclusiveLock or more) keeps other writers away. */
void
tess_cat_size_set(Oid relation, const TessSizeRow *size)
{
	Datum values[Natts_size];
	bool nulls[Natts_size] = {0};
	TessCatScan scan;

	values[Anum_size_relation - 1] = ObjectIdGetDatum(relation);
	values[Anum_size_pages - 1] = Int64GetDatum(size->pages);
	values[Anum_size_rows - 1] = Float8GetDatum(size->rows);
	scan_begin(&scan, relation, RowExclusiveLock);
	tess_cat_row_set(&scan, CATALOG_NAME, values, nulls);
	tess_cat_relation_changed(relation);
}

/* Nothing happens if there is no such row. */
void
tess_cat_size_delete(Oid relation)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_size_relation, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	tess_cat_rows_delete(CATALOG_NAME, "size_pkey", 1, &key);
}
