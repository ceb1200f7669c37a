/*
 * command_maintain_all.c - REINDEX of a schema or the database, and CLUSTER of
 * all tables, for the shards and copies of those that are ours.
 *
 * Core does the shells, each in a transaction of its own, and with the database
 * also the shards of this server.  After it, each table is locked and its
 * shards are done, in a transaction again: what was done before an error stays.
 * REINDEX SYSTEM is about this server's catalogs alone.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/catalog.h"
#include "command/command_internal.h"

struct TessMaintenanceAll
{
	TessAltering altering; /* all tables are its others */
	Node *statement;
	Oid schema;			   /* InvalidOid: the whole database */
	MemoryContext context; /* outlives the transactions */
};

/* The statement names a schema, or nothing but the database or the tables that
 * have been clustered, and core will do it. */
static bool
is_about_all(const Node *statement, Oid *schema)
{
	const ReindexStmt *reindex = (const ReindexStmt *) statement;

	*schema = InvalidOid;
	if (IsA(statement, ClusterStmt))
		return true;
	if (reindex->kind == REINDEX_OBJECT_DATABASE)
		return pg_database_ownercheck(MyDatabaseId, GetUserId());
	if (reindex->kind != REINDEX_OBJECT_SCHEMA)
		return false;
	*schema = get_namespace_oid(reindex->name, true);
	return OidIsValid(*schema) && pg_namespace_ownercheck(*schema, GetUserId());
}

/* The index by which a table was clustered, locked; InvalidOid: none. */
static Oid
clustered_index(Oid relation)
{
	Relation rel = try_relation_open(relation, AccessShareLock);
	Oid clustered = InvalidOid;
	List *indexes;
	ListCell *cell;

	if (rel == NULL)
		return InvalidOid;
	indexes = RelationGetIndexList(rel);
	relation_close(rel, NoLock);
	foreach(cell, indexes)
	{
		if (get_index_isclustered(lfirst_oid(cell)))
			clustered = lfirst_oid(cell);
	}
	return clustered;
}

/* Is it a table of ours that the statement is about, and may the user do it?
 * Core asks for less: the schema's owner, too, may do what is here. */
static bool
is_meant(const TessMaintenanceAll *all, Oid relation)
{
	bool is_cluster = IsA(all->statement, ClusterStmt);

	/* of a partitioned table, its partitions are */
	if (tess_meta_table(relation) == NULL ||
		tess_meta_table(relation)->is_partitioned ||
		(OidIsValid(all->schema) && get_rel_namespace(relation) != all->schema))
		return false;
	if (!pg_class_ownercheck(relation, GetUserId()))
	{
		if (!is_cluster)
			ereport(WARNING,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("skipping the shards of \"%s\" --- only the table's owner can reindex them",
							get_rel_name(relation))));
		return false;
	}
	return !is_cluster || OidIsValid(clustered_index(relation));
}

/* NULL if no table of ours is meant, or core will refuse it. */
TessMaintenanceAll *
tess_maintenance_all_begin(const Node *statement)
{
	TessMaintenanceAll *all = palloc0(sizeof(TessMaintenanceAll));
	bool is_cluster = IsA(statement, ClusterStmt);
	ListCell *cell;

	all->statement = unconstify(Node *, statement);
	all->context = CurrentMemoryContext;
	if (!is_about_all(statement, &all->schema))
		return NULL;
	foreach(cell, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(cell))->relation;

		if (!is_meant(all, relation))
			continue;
		LockRelationOid(relation, ShareUpdateExclusiveLock);
		if (!is_cluster)
			tess_reindex_check_options((const ReindexStmt *) statement,
									   tess_meta_table(relation));
		tess_index_bury_invalid(relation);
		all->altering.others = lappend_oid(all->altering.others, relation);
	}
	all->altering.replaces_indexes = true;
	return all->altering.others != NIL ? all : NULL;
}

const TessAltering *
tess_maintenance_all_altering(const TessMaintenanceAll *all)
{
	return &all->altering;
}

/* Of one table, in a transaction that has done nothing yet. */
static void
do_shards(const TessMaintenanceAll *all, Oid relation)
{
	bool is_cluster = IsA(all->statement, ClusterStmt);
	bool is_concurrent = !is_cluster && tess_reindex_is_concurrent(
											(ReindexStmt *) all->statement);
	bool is_done_here = !OidIsValid(all->schema);
	ClusterStmt *cluster = makeNode(ClusterStmt);
	LOCKMODE lockmode;

	lockmode = is_cluster	   ? AccessExclusiveLock
			   : is_concurrent ? ShareUpdateExclusiveLock
							   : ShareLock;
	tess_partition_lock_ancestors(relation, lockmode);
	LockRelationOid(relation, lockmode);
	/* it may have been dropped or moved, or is local again */
	if (!is_meant(all, relation))
		return;
	if (is_concurrent)
	{
		tess_concurrent_reindex_shards(relation, (ReindexStmt *) all->statement,
									   is_done_here);
		return;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	if (is_cluster)
		cluster->indexname = get_rel_name(clustered_index(relation));
	tess_maintenance_finish(tess_maintenance_of(relation, is_cluster
															  ? (Node *) cluster
															  : all->statement),
							is_done_here);
	PopActiveSnapshot();
}

/* Core has done the shells; a transaction is open. */
void
tess_maintenance_all_finish(TessMaintenanceAll *all)
{
	ListCell *cell;

	foreach(cell, all->altering.others)
	{
		tess_outside_next_transaction();
		MemoryContextSwitchTo(all->context);
		do_shards(all, lfirst_oid(cell));
		MemoryContextSwitchTo(all->context);
	}
}
