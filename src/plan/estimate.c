/*
 * estimate.c - how large distributed tables are, and what it costs to fetch
 * from them.  Nothing here asks a node, or looks at the shell's files.
 *
 * Sizes come from the shell's row of pg_class, which ANALYZE and VACUUM fill
 * from the shards (statistics/), and from our own catalog where core has found
 * the shell empty since.  Statistics of columns are the shell's, where core
 * looks for them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "storage/bufpage.h"
#include "utils/syscache.h"

#include "plan/plan_internal.h"

typedef struct Estimate
{
	double pages; /* of all shards */
	double rows;
	double visible_fraction;
	bool is_new; /* nothing is known, and nothing was */
} Estimate;

/* Pages of a shard of a table nobody has analyzed: what core takes for a
 * table that it knows nothing of. */
#define DEFAULT_SHARD_PAGES 10
/* What it costs to ask, per statement and per shard, and what comes, per row
 * and per byte, in the units of core's costs. */
#define STATEMENT_COST 25.0
#define SHARD_COST 1.0
#define ROW_COST 0.1
#define BYTE_COST 0.0001
/* A row that is locked; and so many are at least reckoned with, as they may be
 * more than is thought, where a join on the nodes could do with fewer. */
#define LOCK_COST 1.0
#define LOCKED_ROWS 1000

/* False if pg_class knows nothing: not analyzed, or found empty by core. */
static bool
read_class(Oid relation, Estimate *estimate)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Form_pg_class form;
	bool is_known;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	is_known = form->reltuples > 0;
	if (is_known)
	{
		estimate->rows = form->reltuples;
		estimate->pages = form->relpages;
		estimate->visible_fraction = form->relallvisible >= form->relpages
										 ? 1
										 : (double) form->relallvisible /
											   form->relpages;
	}
	/* truncated: what was known before is not true any more */
	else if (form->reltuples < 0)
		estimate->is_new = true;
	ReleaseSysCache(tuple);
	return is_known;
}

/* relation has the same columns, and is locked. */
static void
take_default(const TessTable *table, Oid relation, Estimate *estimate)
{
	int32 width = get_relation_data_width(relation, NULL);
	Size row_bytes = MAXALIGN(width) + MAXALIGN(SizeofHeapTupleHeader) +
					 sizeof(ItemIdData);
	double page_rows = (BLCKSZ - SizeOfPageHeaderData) / row_bytes;

	estimate->pages = (double) DEFAULT_SHARD_PAGES * table->group->shard_count;
	estimate->rows = estimate->pages * Max(page_rows, 1);
}

/*
 * The size of a table, or a guess.  One that was empty when it was analyzed is taken
 * for one that was not: it has most likely been filled since.
 */
static void
estimate_plain(const TessTable *table, Oid relation, Estimate *estimate)
{
	*estimate = (Estimate){0};
	if (read_class(table->relation, estimate))
		return;
	if (!estimate->is_new && table->known_rows > 0)
	{
		estimate->rows = table->known_rows;
		estimate->pages = table->known_pages;
	}
	else
		take_default(table, relation, estimate);
}

/* A partitioned table is as large as its partitions together. */
static void
estimate_table(const TessTable *table, Estimate *estimate)
{
	double visible_pages = 0;
	ListCell *cell;

	if (!table->is_partitioned)
	{
		estimate_plain(table, table->relation, estimate);
		return;
	}
	*estimate = (Estimate){0};
	foreach(cell, find_all_inheritors(table->relation, NoLock, NULL))
	{
		const TessTable *partition = tess_meta_table(lfirst_oid(cell));
		Estimate part;

		if (partition == NULL || partition->is_partitioned)
			continue;
		estimate_plain(partition, table->relation, &part);
		estimate->rows += part.rows;
		estimate->pages += part.pages;
		visible_pages += part.pages * part.visible_fraction;
	}
	if (estimate->pages > 0)
		estimate->visible_fraction = visible_pages / estimate->pages;
}

/*
 * Gives a relation, as core has made it of the shell, the size of the table.
 * Its indexes stay: the unique ones prove that rows are unique (the key is in
 * each of them), those of expressions have statistics, and all of them say
 * what a scan costs on the nodes.
 */
void
tess_estimate_relation(const TessTable *table, RelOptInfo *rel)
{
	Estimate estimate;
	ListCell *cell;

	estimate_table(table, &estimate);
	rel->tuples = estimate.rows;
	rel->pages = (BlockNumber) Min(Max(estimate.pages, 1),
								   (double) MaxBlockNumber);
	rel->allvisfrac = estimate.visible_fraction;
	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		index->tuples = rel->tuples;
		/* a usual size; nobody has measured it */
		index->pages = Max(rel->pages / 4, 1);
	}
}

/*
 * What the nodes pay for the scan together: what core would pay if the shards
 * were one table here, with its indexes.  Core has made paths for that.
 */
static Cost
scan_cost(RelOptInfo *rel, double shard_fraction)
{
	Cost cheapest = -1;
	ListCell *cell;

	foreach(cell, rel->pathlist)
	{
		Path *path = lfirst(cell);
		Cost cost = path->total_cost;

		/* for each row of another table: ours is never asked like that */
		if (!bms_equal(PATH_REQ_OUTER(path), rel->lateral_relids))
			continue;
		/* an index finds its rows in a few shards as well as in all */
		if (path->pathtype == T_SeqScan)
			cost *= shard_fraction;
		if (cheapest < 0 || cost < cheapest)
			cheapest = cost;
	}
	return Max(cheapest, 0);
}

/* See plan_internal.h. */
void
tess_cost_scan(Path *path, int shards_hit, int shard_count)
{
	Cost remote = scan_cost(path->parent,
							(double) shards_hit / Max(shard_count, 1));

	tess_cost_fetch(path, shards_hit, remote);
}

/* See plan_internal.h. */
void
tess_cost_fetch(Path *path, int shards_hit, Cost remote)
{
	path->startup_cost = STATEMENT_COST + SHARD_COST * shards_hit;
	path->total_cost = path->startup_cost + remote +
					   path->rows * (ROW_COST + cpu_tuple_cost +
									 BYTE_COST * path->pathtarget->width);
}

/* See plan_internal.h.  Paths above the scan's own may have been added to it. */
Cost
tess_cost_remote(const Path *path, int shards_hit)
{
	Path fetch = *path;

	tess_cost_fetch(&fetch, shards_hit, 0);
	return Max(path->total_cost - fetch.total_cost, 0);
}

/* See plan_internal.h.  Far more than what it costs to write a lock: those pay
 * who wait for it. */
Cost
tess_cost_locked(const Path *path)
{
	return LOCK_COST * Max(path->rows, LOCKED_ROWS);
}

/* See plan_internal.h.  Each node gets all of them, and hashes them. */
Cost
tess_cost_shipped(double rows, int width, int nodes)
{
	return rows *
		   (cpu_tuple_cost + nodes * (cpu_tuple_cost + 2 * cpu_operator_cost +
									  BYTE_COST * width));
}
