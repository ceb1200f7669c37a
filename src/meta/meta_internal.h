/*
 * meta_internal.h - builders of what the cache holds.
 *
 * They build in the caller's context, from the catalogs as they are now, and
 * may error anywhere.  Copies go whole into one memory context.
 */
#ifndef TESS_META_INTERNAL_H
#define TESS_META_INTERNAL_H

#include "meta/meta.h"
#include "nodes/pg_list.h"
#include "utils/palloc.h"

/* NULL: not one of ours (*is_gone false) or dropped (*is_gone true). */
extern TessTable *tess_meta_build_table(Oid relation, bool *is_gone);
extern TessTable *tess_meta_copy_table(const TessTable *table,
									   MemoryContext context);

/* From the cache.  Errors with 42704 if there is no such group. */
extern const TessGroup *tess_meta_group(int32 colocation_id);

/* All functions that shards run. */
extern TessFunction **tess_meta_build_functions(int *count);
extern TessFunction **tess_meta_copy_functions(TessFunction *const *functions,
											   int count, MemoryContext context);

/* shard_call.c: while a call's tables are shown, whether they are, and which one
 * a relation is. */
extern bool tess_shard_call_is_shown(void);
extern const TessTable *tess_shard_call_shown(Oid relation);
extern void tess_shard_call_init(void);

/* NULL if there is no such group. */
extern TessGroup *tess_meta_build_group(int32 colocation_id);
extern TessGroup *tess_meta_copy_group(const TessGroup *group,
									   MemoryContext context);

/* All nodes, by node_id. */
extern TessNode **tess_meta_build_nodes(int *count);
extern TessNode **tess_meta_copy_nodes(TessNode *const *nodes, int count,
									   MemoryContext context);

#endif
