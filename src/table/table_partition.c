/*
 * table_partition.c - a partitioned table and its partitions, which are
 * distributed and taken back together.
 *
 * Each is a table of our catalogs by itself, in one group and with one key, so that
 * statements may name any of them.  Which is a partition of which is
 * PostgreSQL's to know, here and in each shard.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "table/table_internal.h"

/* See table.h. */
List *
tess_table_tree(Oid relation, LOCKMODE lockmode)
{
	if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(relation);
	return find_all_inheritors(relation, lockmode, NULL);
}

static Oid
topmost(Oid relation)
{
	if (!get_rel_relispartition(relation))
		return relation;
	return llast_oid(get_partition_ancestors(relation));
}

/* See table.h. */
bool
tess_table_are_kin(Oid relation, Oid other)
{
	return relation == other || topmost(relation) == topmost(other);
}

/* False for a partitioned table, whose rows are in its partitions. */
bool
tess_table_has_heap(Relation rel)
{
	return rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE;
}

/* An index of which not all partitions have theirs would be completed in the
 * shards, under other names. */
void
tess_table_check_indexes(Relation rel)
{
	ListCell *cell;

	if (tess_table_has_heap(rel))
		return;
	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (!index->rd_index->indisvalid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index \"%s\" of partitioned table \"%s\" is not valid",
							RelationGetRelationName(index),
							RelationGetRelationName(rel)),
					 errhint(
						 "Attach an index of each partition to it, or drop it.")));
		index_close(index, NoLock);
	}
}

/* The requests for a table and all its partitions, in the order of their tree:
 * list of TessTableRequest *.  All are locked, and fit to be distributed. */
List *
tess_table_members(const TessTableRequest *request)
{
	List *members = NIL;
	ListCell *cell;

	foreach(cell,
			tess_table_tree(RelationGetRelid(request->rel), AccessExclusiveLock))
	{
		TessTableRequest *member = palloc(sizeof(TessTableRequest));
		bool is_top = lfirst_oid(cell) == RelationGetRelid(request->rel);

		*member = *request;
		member->rel = is_top ? request->rel
							 : table_open(lfirst_oid(cell), NoLock);
		tess_table_check_candidate(member->rel, TESS_DISTRIBUTED,
								   !is_top || request->colocation_id != 0);
		tess_table_check_published(member->rel);
		tess_table_check_triggers(member->rel, TESS_DISTRIBUTED);
		tess_table_check_indexes(member->rel);
		tess_table_resolve_key(member);
		members = lappend(members, member);
	}
	return members;
}
