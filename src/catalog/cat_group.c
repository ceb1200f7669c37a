/*
 * cat_group.c - rows of tessera.colocation, shard and shard_range.
 *
 * Who adds a table to a group holds ShareLock on its id, who removes one
 * AccessExclusiveLock, until the end of the transaction: a group that seems to
 * have lost its last table stays so.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/base.h"
#include "catalog/catalog_internal.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#define CATALOG_NAME "colocation"

static const struct
{
	TessStrategy strategy;
	const char *name;
} strategies[] = {
	{TESS_HASH, "hash"},
	{TESS_RANGE, "range"},
	{TESS_DIRECTORY, "directory"},
};

static const char *
strategy_name(TessStrategy strategy)
{
	for (int i = 0; i < lengthof(strategies); i++)
		if (strategies[i].strategy == strategy)
			return strategies[i].name;
	elog(ERROR, "unknown strategy \"%c\"", (char) strategy);
	return NULL;
}

static TessStrategy
strategy_by_name(const char *name)
{
	for (int i = 0; i < lengthof(strategies); i++)
		if (strcmp(strategies[i].name, name) == 0)
			return strategies[i].strategy;
	elog(ERROR, "unknown strategy \"%s\"", name);
	return TESS_HASH;
}

static TessGroupRow *
read_group(TessCatScan *scan, HeapTuple row)
{
	TessGroupRow *group = palloc0(sizeof(TessGroupRow));
	Datum value;
	bool isnull;

	value = tess_cat_column(scan, row, Anum_colocation_colocation_id, &isnull);
	group->colocation_id = DatumGetInt32(value);
	group->strategy = strategy_by_name(
		tess_cat_text(scan, row, Anum_colocation_strategy));
	value = tess_cat_column(scan, row, Anum_colocation_key_type, &isnull);
	group->key_type = DatumGetObjectId(value);
	value = tess_cat_column(scan, row, Anum_colocation_key_collation, &isnull);
	group->key_collation = isnull ? InvalidOid : DatumGetObjectId(value);
	value = tess_cat_column(scan, row, Anum_colocation_shard_count, &isnull);
	group->shard_count = DatumGetInt32(value);
	value = tess_cat_column(scan, row, Anum_colocation_is_default, &isnull);
	group->is_default = DatumGetBool(value);
	return group;
}

/* NULL if there is no such group. */
TessGroupRow *
tess_cat_group(int32 colocation_id)
{
	TessGroupRow *group = NULL;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;

	tess_cat_key_int4(&key, Anum_colocation_colocation_id, colocation_id);
	tess_cat_scan_begin(&scan, CATALOG_NAME, "colocation_pkey", AccessShareLock,
						1, &key);
	if ((row = tess_cat_scan_next(&scan)) != NULL)
		group = read_group(&scan, row);
	tess_cat_scan_end(&scan);
	return group;
}

/* Lowest id of a default group like that, 0 if there is none. */
static int32
find_default(TessStrategy strategy, Oid key_type, Oid key_collation,
			 int32 shard_count)
{
	int32 found = 0;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;

	ScanKeyInit(&key, Anum_colocation_key_type, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(key_type));
	tess_cat_scan_begin(&scan, CATALOG_NAME, "colocation_key_type_idx",
						AccessShareLock, 1, &key);
	while ((row = tess_cat_scan_next(&scan)) != NULL)
	{
		TessGroupRow *group = read_group(&scan, row);

		if (group->is_default && group->strategy == strategy &&
			group->key_collation == key_collation &&
			group->shard_count == shard_count &&
			(found == 0 || group->colocation_id < found))
			found = group->colocation_id;
		pfree(group);
	}
	tess_cat_scan_end(&scan);
	return found;
}

/*
 * The default group for such keys, 0 if there is none.  Then the right to make
 * it is the caller's until the end of its transaction: two sessions that
 * distribute the first two tables of a kind must not make two groups.
 */
int32
tess_cat_group_find_default(TessStrategy strategy, Oid key_type,
							Oid key_collation, int32 shard_count)
{
	int32 found = find_default(strategy, key_type, key_collation, shard_count);
	Oid catalog = tess_catalog_relation_oid(CATALOG_NAME);

	if (found != 0 || !OidIsValid(catalog))
		return found;
	LockRelationOid(catalog, ShareUpdateExclusiveLock);
	return find_default(strategy, key_type, key_collation, shard_count);
}

static void
insert_range(int32 colocation_id, int64 shard_id, const TessRangeRow *range)
{
	Datum values[Natts_shard_range];
	bool nulls[Natts_shard_range] = {0};

	values[Anum_shard_range_colocation_id - 1] = Int32GetDatum(colocation_id);
	values[Anum_shard_range_shard_id - 1] = Int64GetDatum(shard_id);
	if (range->lower != NULL)
		values[Anum_shard_range_lower - 1] = CStringGetTextDatum(range->lower);
	else
		nulls[Anum_shard_range_lower - 1] = true;
	if (range->upper != NULL)
		values[Anum_shard_range_upper - 1] = CStringGetTextDatum(range->upper);
	else
		nulls[Anum_shard_range_upper - 1] = true;
	tess_cat_row_insert("shard_range", values, nulls);
}

/* One shard for each member of ranges (TessRangeRow, whose shard_id is not
 * looked at), in that order, which is to be that of lower. */
int32
tess_cat_group_insert(const TessGroupRow *group, List *ranges, int64 **shard_ids)
{
	int32 id = (int32) tess_cat_next_id("colocation_id_seq");
	Datum values[Natts_colocation];
	bool nulls[Natts_colocation] = {0};
	Datum shard_values[Natts_shard];
	bool shard_nulls[Natts_shard] = {0};
	ListCell *cell;

	Assert(list_length(ranges) == group->shard_count);
	values[Anum_colocation_colocation_id - 1] = Int32GetDatum(id);
	values[Anum_colocation_strategy - 1] = CStringGetTextDatum(
		strategy_name(group->strategy));
	values[Anum_colocation_key_type - 1] = ObjectIdGetDatum(group->key_type);
	values[Anum_colocation_key_collation - 1] = ObjectIdGetDatum(
		group->key_collation);
	nulls[Anum_colocation_key_collation - 1] = !OidIsValid(group->key_collation);
	values[Anum_colocation_shard_count - 1] = Int32GetDatum(group->shard_count);
	values[Anum_colocation_replication - 1] = Int32GetDatum(1);
	values[Anum_colocation_is_default - 1] = BoolGetDatum(group->is_default);
	tess_cat_row_insert(CATALOG_NAME, values, nulls);

	*shard_ids = palloc(sizeof(int64) * list_length(ranges));
	foreach(cell, ranges)
	{
		int64 shard_id = tess_cat_next_id("shard_id_seq");

		shard_values[Anum_shard_shard_id - 1] = Int64GetDatum(shard_id);
		shard_values[Anum_shard_colocation_id - 1] = Int32GetDatum(id);
		tess_cat_row_insert("shard", shard_values, shard_nulls);
		insert_range(id, shard_id, lfirst(cell));
		(*shard_ids)[foreach_current_index(cell)] = shard_id;
	}
	tess_cat_changed(CATALOG_NAME);
	return id;
}

/*
 * Deletes the group with its shards, ranges and placements.  55000 if tables
 * are in it.
 */
void
tess_cat_group_delete(int32 colocation_id)
{
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;

	tess_cat_group_lock(colocation_id, AccessExclusiveLock);
	if (tess_cat_tables_of_group(colocation_id) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot drop a colocation group that has tables")));

	tess_cat_key_int4(&key, Anum_shard_colocation_id, colocation_id);
	tess_cat_scan_begin(&scan, "shard", "shard_colocation_id_idx",
						AccessShareLock, 1, &key);
	while ((row = tess_cat_scan_next(&scan)) != NULL)
	{
		ScanKeyData placement_key;
		bool isnull;

		tess_cat_key_int8(&placement_key, Anum_placement_shard_id,
						  DatumGetInt64(tess_cat_column(&scan, row,
														Anum_shard_shard_id,
														&isnull)));
		tess_cat_rows_delete("placement", "placement_pkey", 1, &placement_key);
	}
	tess_cat_scan_end(&scan);
	/* a scan by index changes its keys */
	tess_cat_key_int4(&key, Anum_shard_colocation_id, colocation_id);
	tess_cat_rows_delete("shard", "shard_colocation_id_idx", 1, &key);

	tess_cat_key_int4(&key, Anum_shard_range_colocation_id, colocation_id);
	tess_cat_rows_delete("shard_range", "shard_range_colocation_id_idx", 1, &key);
	tess_cat_key_int4(&key, Anum_colocation_colocation_id, colocation_id);
	tess_cat_rows_delete(CATALOG_NAME, "colocation_pkey", 1, &key);
	tess_cat_changed(CATALOG_NAME);
}

/* Ranges of a group's shards in no order, List of TessRangeRow *. */
List *
tess_cat_ranges(int32 colocation_id)
{
	List *ranges = NIL;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;

	tess_cat_key_int4(&key, Anum_shard_range_colocation_id, colocation_id);
	tess_cat_scan_begin(&scan, "shard_range", "shard_range_colocation_id_idx",
						AccessShareLock, 1, &key);
	while ((row = tess_cat_scan_next(&scan)) != NULL)
	{
		TessRangeRow *range = palloc(sizeof(TessRangeRow));
		bool isnull;

		range->shard_id = DatumGetInt64(
			tess_cat_column(&scan, row, Anum_shard_range_shard_id, &isnull));
		range->lower = tess_cat_text(&scan, row, Anum_shard_range_lower);
		range->upper = tess_cat_text(&scan, row, Anum_shard_range_upper);
		ranges = lappend(ranges, range);
	}
	tess_cat_scan_end(&scan);
	return ranges;
}

void
tess_cat_group_lock(int32 colocation_id, LOCKMODE mode)
{
	tess_cat_lock_id(CATALOG_NAME, colocation_id, mode);
}
