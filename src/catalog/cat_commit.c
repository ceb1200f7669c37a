/*
 * cat_commit.c - rows of tessera.commit_record: two-phase transactions that
 * are decided to commit.
 *
 * Nobody caches them, so no invalidation is sent: these are the only catalog
 * rows that are written by users' transactions.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog_internal.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define CATALOG_NAME "commit_record"

static void
gid_key(ScanKey key, const char *gid)
{
	ScanKeyEntryInitialize(key, 0, Anum_commit_record_gid, BTEqualStrategyNumber,
						   InvalidOid, DEFAULT_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(gid));
}

/* 23505 if the gid is recorded already. */
void
tess_cat_commit_record_insert(const char *gid)
{
	Datum values[Natts_commit_record];
	bool nulls[Natts_commit_record] = {0};

	values[Anum_commit_record_gid - 1] = CStringGetTextDatum(gid);
	values[Anum_commit_record_recorded_at - 1] = TimestampTzGetDatum(
		GetCurrentTimestamp());
	tess_cat_row_insert(CATALOG_NAME, values, nulls);
}

/*
 * Gids without a record are passed over.  Two sessions may find the same work
 * done: a record that another one has just deleted is no error, as it would be
 * with CatalogTupleDelete.  Users' transactions that delete and insert records
 * of the same page of the index have nothing to do with each other.
 */
void
tess_cat_commit_records_delete(List *gids)
{
	ListCell *cell;

	foreach(cell, gids)
	{
		ScanKeyData key;
		TessCatScan scan;
		HeapTuple row;

		gid_key(&key, lfirst(cell));
		tess_cat_scan_begin_unnoticed(&scan, CATALOG_NAME, "commit_record_pkey",
									  1, &key);
		while ((row = tess_cat_scan_next(&scan)) != NULL)
		{
			TM_FailureData failure;

			(void) table_tuple_delete(scan.relation, &row->t_self,
									  GetCurrentCommandId(true), InvalidSnapshot,
									  InvalidSnapshot, true, &failure, false);
		}
		tess_cat_scan_end(&scan);
	}
	CommandCounterIncrement();
}

bool
tess_cat_commit_record_exists(const char *gid)
{
	ScanKeyData key;
	TessCatScan scan;
	bool found;

	gid_key(&key, gid);
	tess_cat_scan_begin(&scan, CATALOG_NAME, "commit_record_pkey",
						AccessShareLock, 1, &key);
	found = tess_cat_scan_next(&scan) != NULL;
	tess_cat_scan_end(&scan);
	return found;
}

List *
tess_cat_commit_records_before(TimestampTz before, int limit)
{
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;
	List *gids = NIL;

	ScanKeyInit(&key, Anum_commit_record_recorded_at, BTLessStrategyNumber,
				F_TIMESTAMPTZ_LT, TimestampTzGetDatum(before));
	tess_cat_scan_begin(&scan, CATALOG_NAME, "commit_record_recorded_at_idx",
						AccessShareLock, 1, &key);
	while (list_length(gids) < limit && (row = tess_cat_scan_next(&scan)) != NULL)
		gids = lappend(gids, tess_cat_text(&scan, row, Anum_commit_record_gid));
	tess_cat_scan_end(&scan);
	return gids;
}
