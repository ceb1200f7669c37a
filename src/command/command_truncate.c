/*
 * command_truncate.c - TRUNCATE reaches the shards.
 *
 * PostgreSQL truncates the shells, and with them checks rights, foreign keys
 * and CASCADE; what it truncated (the hook has noted it) is then truncated on
 * each node by one statement.  Shards of this server are added to the user's
 * statement: foreign keys link them to reference tables that it may name.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "nodes/makefuncs.h"
#include "table/table.h"

static const TessTable *lock_table(const RangeVar *name);

/* Our table of that name, locked as TRUNCATE will lock it, since its shards
 * may be going away.  NULL if there is none, or the user may not truncate it. */
static const TessTable *
lock_table(const RangeVar *name)
{
	const TessTable *table = tess_command_table(name);
	Oid relation;

	if (table == NULL)
		return NULL;
	relation = table->relation;
	if (pg_class_aclcheck(relation, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
		return NULL;
	tess_partition_lock_ancestors(relation, AccessExclusiveLock);
	LockRelationOid(relation, AccessExclusiveLock);
	return tess_meta_table(relation);
}

/* Changes the statement, which must be the caller's own copy.  OIDs of the
 * tables whose shards here are seen to by it. */
List *
tess_truncate_add_local_shards(TruncateStmt *truncate)
{
	List *added = NIL;
	List *tables = NIL;
	ListCell *lc;

	foreach(lc, truncate->relations)
	{
		const TessTable *table = lock_table(lfirst(lc));
		TessWork *work;

		/* pg_restore says ONLY for what it believes to be its own new table */
		if (table != NULL && !table->is_partitioned &&
			!lfirst_node(RangeVar, lc)->inh)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("TRUNCATE ONLY is not supported on table \"%s\"",
							table->name),
					 errhint(
						 "Leave ONLY out.  If this is pg_restore, run it without --jobs.")));
		if (table == NULL || table->kind != TESS_DISTRIBUTED)
			continue;
		tables = list_concat_unique_oid(tables,
										tess_table_tree(table->relation,
														AccessExclusiveLock));
		work = tess_work_of_table(table);
		for (int i = 0; i < work->count; i++)
		{
			TessNodeWork *node = &work->nodes[i];

			for (int j = 0; node->is_local && j < node->shard_count; j++)
				added = lappend(added,
								makeRangeVar(tess_shard_schema_name(table->schema,
																	node->shard_ids[j]),
											 table->name, -1));
		}
	}
	truncate->relations = list_concat(truncate->relations, added);
	return tables;
}

/* After the statement: the shards and copies of what was truncated, except
 * for the shards here of the tables in done_here. */
void
tess_truncate_shards(const List *done_here)
{
	List *all = NIL;
	TessWork *work;
	ListCell *lc;

	foreach(lc, tess_effects_take_truncated())
	{
		const TessTable *table = tess_meta_table(lfirst_oid(lc));

		work = tess_work_of_table(table);
		for (int i = 0; i < work->count; i++)
		{
			TessNodeWork *node = &work->nodes[i];

			if (!node->is_local || !list_member_oid(done_here, table->relation))
				tess_names_add(&all, node, table, "");
		}
	}
	work = tess_names_work(all, "TRUNCATE TABLE");
	if (work != NULL)
		tess_work_run(work);
}
