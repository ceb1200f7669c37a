/*
 * gather.c - the shell's statistics: sizes and a sample of the shards go in,
 * core's catalogs come out.
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/relation.h"
#include "commands/dbcommands.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "statistics/statistics_internal.h"

/* The table, locked as ANALYZE locks it; NULL if it is not to be had. */
static Relation
open_shell(const TessAnalyzeTarget *target)
{
	if ((target->options & VACOPT_SKIP_LOCKED) == 0)
		return try_relation_open(target->relation, ShareUpdateExclusiveLock);
	if (!ConditionalLockRelationOid(target->relation, ShareUpdateExclusiveLock))
		return NULL;
	return try_relation_open(target->relation, NoLock);
}

static bool
may_analyze(Oid relation)
{
	return pg_class_ownercheck(relation, GetUserId()) ||
		   pg_database_ownercheck(MyDatabaseId, GetUserId());
}

static BlockNumber
page_count(double pages)
{
	return (BlockNumber) Min(pages, (double) MaxBlockNumber);
}

static void
write_class(Relation rel, const TessStatisticsSize *size, bool in_block)
{
	vac_update_relstats(rel, page_count(size->pages), size->rows,
						page_count(size->visible_pages),
						rel->rd_rel->relhasindex, InvalidTransactionId,
						InvalidMultiXactId, NULL, NULL, in_block);
}

/* See statistics.h. */
void
tess_statistics_set_size(Relation rel, const TessStatisticsSize *size,
						 bool in_block)
{
	TessSizeRow row = {(int64) size->pages, size->rows};

	write_class(rel, size, in_block);
	tess_cat_size_set(RelationGetRelid(rel), &row);
}

/* See statistics.h. */
void
tess_statistics_restore_size(Relation rel)
{
	TessStatisticsSize size = {0};
	TessSizeRow row;

	if (rel->rd_rel->reltuples != 0 ||
		!tess_cat_size(RelationGetRelid(rel), &row))
		return;
	size.pages = row.pages;
	size.rows = row.rows;
	write_class(rel, &size, true);
}

static void
analyze(Relation rel, const TessAnalyzeTarget *target,
		const TessShardSizes *sizes)
{
	Tuplestorestate *rows = tess_sample_fetch(rel, target, sizes,
											  tess_sample_target(rel));

	tess_sample_analyze(rel, target, rows, sizes->total.rows);
	tuplestore_end(rows);
}

/* Who owns the database may analyze all tables, but must not be shown rows. */
static void
gather(Relation rel, const TessTable *table, const TessAnalyzeTarget *target)
{
	TessShardSizes *sizes = tess_shard_sizes_ask(table);

	if (target->options & VACOPT_ANALYZE)
	{
		if (sizes->are_owned &&
			pg_class_ownercheck(target->relation, GetUserId()))
			analyze(rel, target, sizes);
		else
			ereport(WARNING,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("column statistics of distributed table \"%s\" are not changed",
							table->name),
					 errdetail(
						 "Only the owner of the table and of its shards can do that.")));
	}
	tess_statistics_set_size(rel, &sizes->total, target->in_block);
}

/* See statistics.h. */
void
tess_statistics_gather(const TessAnalyzeTarget *target)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera statistics",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Relation rel = open_shell(target);
	const TessTable *table = rel ? tess_meta_table(target->relation) : NULL;

	if (table != NULL && table->kind == TESS_DISTRIBUTED &&
		may_analyze(target->relation))
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		gather(rel, table, target);
		PopActiveSnapshot();
	}
	if (rel != NULL)
		relation_close(rel, NoLock);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
tess_statistics_init(void)
{
	tess_sample_scan_init();
}
