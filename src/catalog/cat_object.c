/*
 * cat_object.c - rows of tessera.object: the types, functions, operators and
 * the like that all nodes hold as this server does.
 *
 * An object is named as pg_identify_object() does, so that a dump keeps it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/catalog_internal.h"
#include "catalog/indexing.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#define CATALOG_NAME "object"

static void
text_key(ScanKey key, AttrNumber column, const char *value)
{
	ScanKeyEntryInitialize(key, 0, column, BTEqualStrategyNumber, InvalidOid,
						   C_COLLATION_OID, F_TEXTEQ, CStringGetTextDatum(value));
}

static TessObjectRow *
read_row(TessCatScan *scan, HeapTuple tuple)
{
	TessObjectRow *row = palloc(sizeof(TessObjectRow));

	row->type = tess_cat_text(scan, tuple, Anum_object_type);
	row->identity = tess_cat_text(scan, tuple, Anum_object_identity);
	row->names = tess_cat_strings(scan, tuple, Anum_object_names);
	row->args = tess_cat_strings(scan, tuple, Anum_object_args);
	row->digest = tess_cat_text(scan, tuple, Anum_object_digest);
	return row;
}

static void
scan_begin(TessCatScan *scan, const char *type, const char *identity,
		   LOCKMODE lockmode)
{
	ScanKeyData keys[2];

	text_key(&keys[0], Anum_object_type, type);
	text_key(&keys[1], Anum_object_identity, identity);
	tess_cat_scan_begin(scan, CATALOG_NAME, "object_pkey", lockmode, 2, keys);
}

TessObjectRow *
tess_cat_object(const char *type, const char *identity)
{
	TessObjectRow *row = NULL;
	TessCatScan scan;
	HeapTuple tuple;

	scan_begin(&scan, type, identity, AccessShareLock);
	tuple = tess_cat_scan_next(&scan);
	if (tuple != NULL)
		row = read_row(&scan, tuple);
	tess_cat_scan_end(&scan);
	return row;
}

List *
tess_cat_objects(void)
{
	List *rows = NIL;
	TessCatScan scan;
	HeapTuple tuple;

	tess_cat_scan_begin(&scan, CATALOG_NAME, NULL, AccessShareLock, 0, NULL);
	while ((tuple = tess_cat_scan_next(&scan)) != NULL)
		rows = lappend(rows, read_row(&scan, tuple));
	tess_cat_scan_end(&scan);
	return rows;
}

/* Writes the row, or changes the digest of the one that is there.  Who calls
 * it holds a lock that keeps other writers away (see objects/). */
void
tess_cat_object_set(const TessObjectRow *row)
{
	Datum values[Natts_object];
	bool nulls[Natts_object] = {0};
	TessCatScan scan;

	values[Anum_object_type - 1] = CStringGetTextDatum(row->type);
	values[Anum_object_identity - 1] = CStringGetTextDatum(row->identity);
	values[Anum_object_names - 1] = tess_cat_strings_datum(row->names);
	values[Anum_object_args - 1] = tess_cat_strings_datum(row->args);
	values[Anum_object_digest - 1] = CStringGetTextDatum(row->digest);
	scan_begin(&scan, row->type, row->identity, RowExclusiveLock);
	tess_cat_row_set(&scan, CATALOG_NAME, values, nulls);
	tess_cat_changed(CATALOG_NAME);
}

/* False if there is no such row. */
bool
tess_cat_object_delete(const char *type, const char *identity)
{
	ScanKeyData keys[2];

	text_key(&keys[0], Anum_object_type, type);
	text_key(&keys[1], Anum_object_identity, identity);
	if (tess_cat_rows_delete(CATALOG_NAME, "object_pkey", 2, keys) == 0)
		return false;
	tess_cat_changed(CATALOG_NAME);
	return true;
}
