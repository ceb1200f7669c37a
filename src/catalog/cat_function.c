/*
 * cat_function.c - rows of tessera.function: the functions and procedures that
 * shards run, and those of triggers, once for each group that has some.
 *
 * A row may outlive its function for a moment: who drops that deletes the row
 * by the OID that the function had (function/).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/catalog_internal.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#define CATALOG_NAME "function"
#define INDEX_NAME "function_key"
#define KEY_COLUMNS 2

static TessFunctionRow *
read_row(TessCatScan *scan, HeapTuple tuple)
{
	TessFunctionRow *row = palloc0(sizeof(TessFunctionRow));
	bool isnull;
	Datum value;

	row->function = DatumGetObjectId(
		tess_cat_column(scan, tuple, Anum_function_function, &isnull));
	value = tess_cat_column(scan, tuple, Anum_function_key_argument, &isnull);
	row->key_argument = isnull ? 0 : DatumGetInt32(value);
	value = tess_cat_column(scan, tuple, Anum_function_colocation_id, &isnull);
	row->colocation_id = isnull ? 0 : DatumGetInt32(value);
	row->search_path = tess_cat_strings(scan, tuple, Anum_function_search_path);
	row->sets_path = DatumGetBool(
		tess_cat_column(scan, tuple, Anum_function_sets_path, &isnull));
	row->schema = tess_cat_text(scan, tuple, Anum_function_schema);
	row->signature = tess_cat_text(scan, tuple, Anum_function_signature);
	row->digest = tess_cat_text(scan, tuple, Anum_function_digest);
	return row;
}

static void
function_key(ScanKey keys, Oid function, int32 colocation_id)
{
	ScanKeyInit(&keys[0], Anum_function_function, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(function));
	if (colocation_id != 0)
		ScanKeyInit(&keys[1], Anum_function_colocation_id, BTEqualStrategyNumber,
					F_INT4EQ, Int32GetDatum(colocation_id));
	else
		ScanKeyEntryInitialize(&keys[1], SK_ISNULL | SK_SEARCHNULL,
							   Anum_function_colocation_id, InvalidStrategy,
							   InvalidOid, InvalidOid, InvalidOid, (Datum) 0);
}

/* By name. */
static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const TessFunctionRow *left = lfirst(a);
	const TessFunctionRow *right = lfirst(b);
	int order = strcmp(left->schema, right->schema);

	return order != 0 ? order : strcmp(left->signature, right->signature);
}

List *
tess_cat_functions(void)
{
	List *rows = NIL;
	TessCatScan scan;
	HeapTuple tuple;

	tess_cat_scan_begin(&scan, CATALOG_NAME, NULL, AccessShareLock, 0, NULL);
	while ((tuple = tess_cat_scan_next(&scan)) != NULL)
		rows = lappend(rows, read_row(&scan, tuple));
	tess_cat_scan_end(&scan);
	list_sort(rows, compare_rows);
	return rows;
}

/* The row by the first key_count keys; NULL: none. */
static TessFunctionRow *
find_row(Oid function, int32 colocation_id, int key_count)
{
	TessFunctionRow *row = NULL;
	ScanKeyData keys[KEY_COLUMNS];
	TessCatScan scan;
	HeapTuple tuple;

	function_key(keys, function, colocation_id);
	tess_cat_scan_begin(&scan, CATALOG_NAME, INDEX_NAME, AccessShareLock,
						key_count, keys);
	tuple = tess_cat_scan_next(&scan);
	if (tuple != NULL)
		row = read_row(&scan, tuple);
	tess_cat_scan_end(&scan);
	return row;
}

TessFunctionRow *
tess_cat_function(Oid function)
{
	return find_row(function, 0, 1);
}

TessFunctionRow *
tess_cat_function_of_group(Oid function, int32 colocation_id)
{
	return find_row(function, colocation_id, KEY_COLUMNS);
}

/* Writes the row, or the one that is there anew.  Who calls it holds a lock
 * that keeps other writers away (see function/). */
void
tess_cat_function_set(const TessFunctionRow *row)
{
	Datum values[Natts_function] = {0};
	bool nulls[Natts_function] = {0};
	ScanKeyData keys[KEY_COLUMNS];
	TessCatScan scan;

	values[Anum_function_function - 1] = ObjectIdGetDatum(row->function);
	values[Anum_function_key_argument - 1] = Int32GetDatum(row->key_argument);
	nulls[Anum_function_key_argument - 1] = row->key_argument == 0;
	values[Anum_function_colocation_id - 1] = Int32GetDatum(row->colocation_id);
	nulls[Anum_function_colocation_id - 1] = row->colocation_id == 0;
	values[Anum_function_search_path - 1] = tess_cat_strings_datum(
		row->search_path);
	values[Anum_function_sets_path - 1] = BoolGetDatum(row->sets_path);
	values[Anum_function_schema - 1] = CStringGetTextDatum(row->schema);
	values[Anum_function_signature - 1] = CStringGetTextDatum(row->signature);
	values[Anum_function_digest - 1] = CStringGetTextDatum(row->digest);
	function_key(keys, row->function, row->colocation_id);
	tess_cat_scan_begin(&scan, CATALOG_NAME, INDEX_NAME, RowExclusiveLock,
						KEY_COLUMNS, keys);
	tess_cat_row_set(&scan, CATALOG_NAME, values, nulls);
	tess_cat_changed(CATALOG_NAME);
}

void
tess_cat_function_delete(Oid function, int32 colocation_id)
{
	ScanKeyData keys[KEY_COLUMNS];

	function_key(keys, function, colocation_id);
	(void) tess_cat_rows_delete(CATALOG_NAME, INDEX_NAME, KEY_COLUMNS, keys);
	tess_cat_changed(CATALOG_NAME);
}
