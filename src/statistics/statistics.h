/*
 * statistics.h - what PostgreSQL's planner knows of a distributed table: the
 * shell's rows in pg_class, pg_statistic and pg_statistic_ext_data, which
 * describe all shards together.
 */
#ifndef TESS_STATISTICS_H
#define TESS_STATISTICS_H

#include "nodes/pg_list.h"
#include "storage/block.h"
#include "utils/relcache.h"

#include "tessera.h"

/* A table, as ANALYZE or VACUUM name it. */
typedef struct TessAnalyzeTarget
{
	Oid relation;
	List *columns;	/* of String; NIL: all */
	bits32 options; /* VACOPT_ANALYZE: statistics, else its size only;
					 * VACOPT_VERBOSE, VACOPT_SKIP_LOCKED as in core */
	bool in_block;	/* inside a transaction block or a function */
} TessAnalyzeTarget;

/*
 * Samples the shards (which have been analyzed, so that they know their
 * sizes) and has core compute and store the shell's statistics.  Needs a
 * transaction, and keeps ShareUpdateExclusiveLock on the shell until its end.
 * Nothing is done if the table is not distributed (any more), or if the
 * current user may not analyze it, of which core has warned.
 */
extern void tess_statistics_gather(const TessAnalyzeTarget *target);

/* What a table is known to measure.  The caller has its lock. */
typedef struct TessStatisticsSize
{
	double pages;
	double rows;
	double visible_pages;
} TessStatisticsSize;

/* Writes the size into the shell's row of pg_class, and into our own catalog,
 * from where it is taken when core has found the shell empty.  A new version
 * of the row in pg_class must be visible (CommandCounterIncrement). */
extern void tess_statistics_set_size(Relation rel, const TessStatisticsSize *size,
									 bool in_block);
/* Core may have found the shell empty: pg_class gets the last known size. */
extern void tess_statistics_restore_size(Relation rel);

extern void tess_statistics_init(void);

#endif
