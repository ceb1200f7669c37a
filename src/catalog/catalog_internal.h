/*
 * catalog_internal.h - the columns of the catalogs, and how their rows are
 * scanned and written.
 */
#ifndef TESS_CATALOG_INTERNAL_H
#define TESS_CATALOG_INTERNAL_H

#include "access/genam.h"
#include "access/htup.h"
#include "access/skey.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

#include "catalog/catalog.h"

enum
{
	Anum_cluster_cluster_id = 1,
	Anum_cluster_incarnation,
	Anum_cluster_decides,
	Natts_cluster = Anum_cluster_decides
};

enum
{
	Anum_membership_cluster_id = 1,
	Anum_membership_node_id,
	Anum_membership_node_name,
	Anum_membership_coordinator,
	Anum_membership_joined_at,
	Anum_membership_incarnation
};

enum
{
	Anum_node_node_id = 1,
	Anum_node_name,
	Anum_node_server,
	Anum_node_role,
	Anum_node_holds_shards,
	Anum_node_zone,
	Anum_node_active,
	Natts_node = Anum_node_active
};

enum
{
	Anum_colocation_colocation_id = 1,
	Anum_colocation_strategy,
	Anum_colocation_key_type,
	Anum_colocation_key_collation,
	Anum_colocation_shard_count,
	Anum_colocation_replication,
	Anum_colocation_is_default,
	Natts_colocation = Anum_colocation_is_default
};

enum
{
	Anum_shard_shard_id = 1,
	Anum_shard_colocation_id,
	Natts_shard = Anum_shard_colocation_id
};

enum
{
	Anum_shard_range_colocation_id = 1,
	Anum_shard_range_shard_id,
	Anum_shard_range_lower,
	Anum_shard_range_upper,
	Natts_shard_range = Anum_shard_range_upper
};

enum
{
	Anum_placement_shard_id = 1,
	Anum_placement_node_id,
	Anum_placement_state,
	Natts_placement = Anum_placement_state
};

enum
{
	Anum_table_relation = 1,
	Anum_table_kind,
	Anum_table_colocation_id,
	Anum_table_key_column,
	Natts_table = Anum_table_key_column
};

enum
{
	Anum_size_relation = 1,
	Anum_size_pages,
	Anum_size_rows,
	Natts_size = Anum_size_rows
};

enum
{
	Anum_object_type = 1,
	Anum_object_identity,
	Anum_object_names,
	Anum_object_args,
	Anum_object_digest,
	Natts_object = Anum_object_digest
};

enum
{
	Anum_function_function = 1,
	Anum_function_key_argument,
	Anum_function_colocation_id,
	Anum_function_search_path,
	Anum_function_sets_path,
	Anum_function_schema,
	Anum_function_signature,
	Anum_function_digest,
	Natts_function = Anum_function_digest
};

enum
{
	Anum_commit_record_gid = 1,
	Anum_commit_record_recorded_at,
	Natts_commit_record = Anum_commit_record_recorded_at
};

/* cat_rows.c ---------------------------------------------------------- */

typedef struct TessCatScan
{
	Relation relation; /* NULL: the catalog is gone, there are no rows */
	SysScanDesc scan;
	LOCKMODE lockmode;
} TessCatScan;

/* Rows of a catalog by keys of an index (NULL index: all rows).  A catalog
 * that is being dropped with the extension reads as empty. */
extern void tess_cat_scan_begin(TessCatScan *scan, const char *catalog,
								const char *index, LOCKMODE lockmode,
								int key_count, ScanKey keys);
/* The same, of rows as they are at this moment, to change them.  A SERIALIZABLE
 * transaction is not taken to depend on what it finds. */
extern void tess_cat_scan_begin_unnoticed(TessCatScan *scan, const char *catalog,
										  const char *index, int key_count,
										  ScanKey keys);
extern HeapTuple tess_cat_scan_next(TessCatScan *scan);
extern void tess_cat_scan_end(TessCatScan *scan);

extern void tess_cat_key_int4(ScanKey key, AttrNumber column, int32 value);
extern void tess_cat_key_int8(ScanKey key, AttrNumber column, int64 value);

/* Columns of a scanned row; text is palloc'd, NULL if null. */
extern Datum tess_cat_column(TessCatScan *scan, HeapTuple row,
							 AttrNumber column, bool *isnull);
extern char *tess_cat_text(TessCatScan *scan, HeapTuple row, AttrNumber column);
extern char *tess_cat_name(TessCatScan *scan, HeapTuple row, AttrNumber column);

/* A text[] as a list of char *, NIL if null; and the other way round. */
extern List *tess_cat_strings(TessCatScan *scan, HeapTuple row,
							  AttrNumber column);
extern Datum tess_cat_strings_datum(List *strings);

/* One new row.  No invalidation. */
extern void tess_cat_row_insert(const char *catalog, const Datum *values,
								const bool *nulls);
/* The row of the scan that is begun (RowExclusiveLock), or a new one if it finds
 * none; ends the scan.  No invalidation. */
extern void tess_cat_row_set(TessCatScan *scan, const char *catalog,
							 const Datum *values, const bool *nulls);
/* Deletes the rows of the scan that is begun here; how many there were. */
extern int tess_cat_rows_delete(const char *catalog, const char *index,
								int key_count, ScanKey keys);

/* The next value of a sequence of ours. */
extern int64 tess_cat_next_id(const char *sequence);

/* Makes all backends forget everything, at commit, and this one at once. */
extern void tess_cat_changed(const char *catalog);

/* Lock on a row's identity, until the end of the transaction. */
extern void tess_cat_lock_id(const char *catalog, int32 id, LOCKMODE mode);

/* cat_table.c: makes plans of a table be made again. */
extern void tess_cat_relation_changed(Oid relation);
/* cat_table.c: the same for all tables of a group. */
extern void tess_cat_group_changed(int32 colocation_id);
/* cat_table.c: the dependency of a shell on the extension. */
extern void tess_cat_dependency_add(Oid relation);
extern void tess_cat_dependency_remove(Oid relation);

/* cat_size.c */
extern void tess_cat_size_delete(Oid relation);

#endif
