/*
 * table_rows.c - the rows of a local table on their way to shards and nodes.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "stream/stream.h"
#include "table/table_internal.h"

static uint64 scan_into(Relation rel, TessStream *stream);

/*
 * Rows are read with a snapshot taken now, after the lock on the table: the
 * statement's own may be older than rows that others committed before we got
 * the lock, and those would be lost.
 */

/* True if the table has at least one visible row. */
bool
tess_table_has_rows(Relation rel)
{
	Snapshot snapshot;
	TupleTableSlot *slot;
	TableScanDesc scan;
	bool found;

	if (!tess_table_has_heap(rel) || RelationGetNumberOfBlocks(rel) == 0)
		return false;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, snapshot, 0, NULL);
	found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	return found;
}

/* Sends all rows of the shell to the shards of the table, or to all other
 * copies of a reference table.  The number of rows. */
uint64
tess_table_send_rows(Relation rel, const TessTable *table)
{
	return scan_into(rel,
					 tess_stream_begin(table,
									   tess_stream_columns(RelationGetDescr(rel)),
									   false));
}

/* Sends the rows of a reference table to one node. */
uint64
tess_table_send_copy(Relation rel, const TessTable *table, int32 node_id)
{
	return scan_into(rel, tess_stream_begin_node(table,
												 tess_stream_columns(
													 RelationGetDescr(rel)),
												 node_id));
}

static uint64
scan_into(Relation rel, TessStream *stream)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	BlockNumber block = 0;
	uint64 rows = 0;

	tess_progress_begin_table(rel);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		tess_stream_put(stream, slot, 0);
		tess_progress_rows(++rows);
		if (ItemPointerGetBlockNumber(&slot->tts_tid) == block)
			continue;
		block = ItemPointerGetBlockNumber(&slot->tts_tid);
		tess_progress_block(block);
	}
	(void) tess_stream_end(stream);
	tess_progress_end();
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	return rows;
}

/*
 * Empties the shell as TRUNCATE does: its old files go when the transaction
 * commits.  Not TRUNCATE itself, because that refuses tables that others
 * reference, whose rows are still there, only in the shards.
 */
void
tess_table_empty_shell(Relation rel)
{
	if (tess_table_has_heap(rel) && RelationGetNumberOfBlocks(rel) > 0)
		tess_table_renew_files(rel);
}

/* Empty files of this transaction's own, for the table and all that is its. */
void
tess_table_renew_files(Relation rel)
{
	ReindexParams params = {0};
	Oid toast = rel->rd_rel->reltoastrelid;

	RelationSetNewRelfilenode(rel, rel->rd_rel->relpersistence);
	if (OidIsValid(toast))
	{
		Relation toast_rel = relation_open(toast, AccessExclusiveLock);

		RelationSetNewRelfilenode(toast_rel, toast_rel->rd_rel->relpersistence);
		relation_close(toast_rel, NoLock);
	}
	(void) reindex_relation(RelationGetRelid(rel), REINDEX_REL_PROCESS_TOAST,
							&params);
}
