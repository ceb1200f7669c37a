/*
 * statistics_internal.h - between the files of statistics/.
 */
#ifndef TESS_STATISTICS_INTERNAL_H
#define TESS_STATISTICS_INTERNAL_H

#include "nodes/bitmapset.h"
#include "utils/tuplestore.h"

#include "meta/meta.h"
#include "statistics/statistics.h"
#include "tessera.h"

/* A shard and what its server says of it. */
typedef struct TessShardSize
{
	int64 shard_id;
	int32 node_id;
	bool is_local;
	char *relation; /* qualified and quoted name */
	TessStatisticsSize size;
} TessShardSize;

typedef struct TessShardSizes
{
	int count;
	TessShardSize *shards;
	int node_count; /* other servers that have some of them */
	int32 *node_ids;
	TessStatisticsSize total;
	bool are_owned; /* those of other servers, by the current user */
} TessShardSizes;

/* shard_sizes.c */

/* All shards, as their servers' pg_class has them; asks each node once. */
extern TessShardSizes *tess_shard_sizes_ask(const TessTable *table);

/* sample_columns.c */

/* How one column of the shell is fetched. */
typedef struct TessSampleColumn
{
	AttrNumber attnum;
	bool may_shorten; /* values wider than core looks at come as NULL */
} TessSampleColumn;

/* The columns that analyzing these (NIL: all) needs.  *count of them. */
extern TessSampleColumn *tess_sample_columns(Relation rel, List *columns,
											 int *count);
/* How many rows core will want. */
extern int tess_sample_target(Relation rel);

/* sample_fetch.c */

/* About target rows, from each shard in proportion to its rows (all, if there
 * are no more); rows of the shell's descriptor. */
extern Tuplestorestate *tess_sample_fetch(Relation rel,
										  const TessAnalyzeTarget *analyze,
										  const TessShardSizes *sizes,
										  int target);

/* sample_scan.c */

/* Core's ANALYZE of the table, whose rows are those of the sample and stand
 * for total_rows.  The caller has opened it, with ShareUpdateExclusiveLock. */
extern void tess_sample_analyze(Relation rel, const TessAnalyzeTarget *analyze,
								Tuplestorestate *rows, double total_rows);
extern void tess_sample_scan_init(void);

#endif
