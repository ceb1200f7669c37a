/*
 * cat_placement.c - rows of tessera.placement: which node has a shard.
 *
 * A plan knows where its shards are, so every change makes the plans of the
 * group's tables be made again.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/catalog_internal.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#define CATALOG_NAME "placement"

static int
compare_placements(const ListCell *a, const ListCell *b)
{
	const TessPlacementRow *left = lfirst(a);
	const TessPlacementRow *right = lfirst(b);

	return left->node_id < right->node_id ? -1 : left->node_id > right->node_id;
}

/* Placements of a shard by node_id, whatever their state. */
List *
tess_cat_placements(int64 shard_id)
{
	List *placements = NIL;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;

	tess_cat_key_int8(&key, Anum_placement_shard_id, shard_id);
	tess_cat_scan_begin(&scan, CATALOG_NAME, "placement_pkey", AccessShareLock,
						1, &key);
	while ((row = tess_cat_scan_next(&scan)) != NULL)
	{
		TessPlacementRow *placement = palloc(sizeof(TessPlacementRow));
		Datum value;
		bool isnull;

		placement->shard_id = shard_id;
		value = tess_cat_column(&scan, row, Anum_placement_node_id, &isnull);
		placement->node_id = DatumGetInt32(value);
		value = tess_cat_column(&scan, row, Anum_placement_state, &isnull);
		placement->state = DatumGetChar(value);
		placements = lappend(placements, placement);
	}
	tess_cat_scan_end(&scan);
	list_sort(placements, compare_placements);
	return placements;
}

/* Tells everybody that the placements of this shard are others now. */
static void
changed(int64 shard_id)
{
	int32 colocation_id = 0;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;
	bool isnull;

	tess_cat_key_int8(&key, Anum_shard_shard_id, shard_id);
	tess_cat_scan_begin(&scan, "shard", "shard_pkey", AccessShareLock, 1, &key);
	if ((row = tess_cat_scan_next(&scan)) != NULL)
		colocation_id = DatumGetInt32(
			tess_cat_column(&scan, row, Anum_shard_colocation_id, &isnull));
	tess_cat_scan_end(&scan);
	tess_cat_group_changed(colocation_id);
	tess_cat_changed(CATALOG_NAME);
}

/* An active placement.  42704 if the node is gone. */
void
tess_cat_placement_insert(int64 shard_id, int32 node_id)
{
	Datum values[Natts_placement];
	bool nulls[Natts_placement] = {0};
	ScanKeyData key;
	TessCatScan scan;
	bool exists;

	tess_cat_lock_id("node", node_id, AccessShareLock);
	tess_cat_key_int4(&key, Anum_node_node_id, node_id);
	tess_cat_scan_begin(&scan, "node", "node_pkey", AccessShareLock, 1, &key);
	exists = tess_cat_scan_next(&scan) != NULL;
	tess_cat_scan_end(&scan);
	if (!exists)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("node %d does not exist", node_id)));

	values[Anum_placement_shard_id - 1] = Int64GetDatum(shard_id);
	values[Anum_placement_node_id - 1] = Int32GetDatum(node_id);
	values[Anum_placement_state - 1] = CharGetDatum('a');
	tess_cat_row_insert(CATALOG_NAME, values, nulls);
	changed(shard_id);
}

/* In any state. */
bool
tess_cat_node_has_placements(int32 node_id)
{
	ScanKeyData key;
	TessCatScan scan;
	bool found;

	tess_cat_key_int4(&key, Anum_placement_node_id, node_id);
	tess_cat_scan_begin(&scan, CATALOG_NAME, "placement_node_id_idx",
						AccessShareLock, 1, &key);
	found = tess_cat_scan_next(&scan) != NULL;
	tess_cat_scan_end(&scan);
	return found;
}
