/*
 * table_internal.h - between the files of table/.
 */
#ifndef TESS_TABLE_INTERNAL_H
#define TESS_TABLE_INTERNAL_H

#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "meta/meta.h"
#include "table/table.h"
#include "tessera.h"

/* What create_distributed_table() was asked for, looked up and checked. */
typedef struct TessTableRequest
{
	Relation rel;		 /* locked AccessExclusive */
	int32 colocation_id; /* of the table that it is a partition of; 0: none */
	AttrNumber key_attnum;
	char *key;
	TessHasher hasher;
	TessStrategy strategy;
	const char *colocate_with; /* "default", "none", or the name of a table */
	int shard_count;		   /* 0: not given */
	uint64 rows;			   /* that the table had here */
} TessTableRequest;

/* table_check.c */
extern Relation tess_table_open_owned(Oid relation);
extern void tess_table_check_candidate(Relation rel, TessTableKind kind,
									   bool with_parent);
extern void tess_table_check_published(Relation rel);
extern void tess_table_resolve_key(TessTableRequest *request);

/* table_trigger.c */
extern void tess_table_check_triggers(Relation rel, TessTableKind kind);

/* table_constraint.c */
extern void tess_table_check_unique(const TessTableRequest *request);
extern void tess_table_check_foreign_keys(const TessTableRequest *request,
										  int32 colocation_id);
extern void tess_table_check_reference_keys(Relation rel);
extern void tess_table_check_unreferenced(Relation rel, const List *among,
										  bool to_references);
extern void tess_table_notice_referrers(Relation rel);

/* table_partition.c */
extern List *tess_table_members(const TessTableRequest *request);
extern void tess_table_check_indexes(Relation rel);
extern bool tess_table_has_heap(Relation rel);

/* table_group.c */
extern int32 tess_table_choose_group(const TessTableRequest *request);
extern bool tess_table_leave_group(int32 colocation_id, const char *schema);

/* table_rows.c */
extern bool tess_table_has_rows(Relation rel);
extern uint64 tess_table_send_rows(Relation rel, const TessTable *table);
extern uint64 tess_table_send_copy(Relation rel, const TessTable *table,
								   int32 node_id);
extern void tess_table_empty_shell(Relation rel);
extern void tess_table_renew_files(Relation rel);

/* table_fetch.c */
extern uint64 tess_table_fetch_rows(Relation rel, const TessTable *table);

/* shard_schema.c */
extern void tess_shard_schemas_create(const char *schema, int count,
									  const int64 *shard_ids);
extern void tess_shard_schemas_rename(const char *old_name, const char *new_name,
									  int count, const int64 *shard_ids);
extern void tess_shards_drop(const char *schema, const char *name, int count,
							 const int64 *shard_ids, bool drop_schemas,
							 bool as_caller);

#endif
