/*
 * command_maintain.c - REINDEX and CLUSTER of one table or index of ours, for
 * the shards and copies.
 *
 * They change no definition: the shell is done first, for its checks, and its
 * known size is put back.  Tablespaces are refused, which nodes need not have.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "command/command_internal.h"
#include "statistics/statistics.h"
#include "table/table.h"

struct TessMaintenance
{
	TessAltering altering;
	List *template; /* what the shards are told */
};

/* See command_internal.h. */
bool
tess_reindex_is_concurrent(const ReindexStmt *reindex)
{
	bool is_concurrent = false;
	ListCell *lc;

	foreach(lc, reindex->params)
	{
		DefElem *option = lfirst(lc);

		if (strcmp(option->defname, "concurrently") == 0)
			is_concurrent = defGetBoolean(option);
	}
	return is_concurrent;
}

/* A tablespace is one of this server. */
void
tess_reindex_check_options(const ReindexStmt *reindex, const TessTable *table)
{
	ListCell *lc;

	foreach(lc, reindex->params)
	{
		if (strcmp(((DefElem *) lfirst(lc))->defname, "tablespace") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("REINDEX with a tablespace is not supported on table \"%s\"",
							table->name),
					 errhint("Leave the option out.")));
	}
}

static List *
reindex_template(const ReindexStmt *reindex, const TessTable *table, Oid relation)
{
	tess_reindex_check_options(reindex, table);
	tess_index_check_valid(relation);
	return tess_repeat_template(table,
								reindex->kind == REINDEX_OBJECT_INDEX
									? "REINDEX INDEX "
									: "REINDEX TABLE ",
								get_rel_name(relation), "");
}

static List *
cluster_template(const ClusterStmt *cluster, const TessTable *table)
{
	const char *index = cluster->indexname;

	return tess_repeat_template(table, "CLUSTER ", table->name,
								index ? psprintf(" USING %s",
												 quote_identifier(index))
									  : "");
}

/* PostgreSQL does it in a transaction for each partition. */
static void
refuse_partitioned(const TessTable *table, const char *command)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported on distributed partitioned table \"%s\"",
					command, table->name),
			 errhint("Use it on each partition.")));
}

/* NULL if the statement is not about one of ours, or core will refuse it. */
TessMaintenance *
tess_maintenance_begin(const Node *statement)
{
	bool is_cluster = IsA(statement, ClusterStmt);
	const RangeVar *name = is_cluster
							   ? ((const ClusterStmt *) statement)->relation
							   : ((const ReindexStmt *) statement)->relation;
	Oid relation = tess_alter_lock(name, is_cluster ? AccessExclusiveLock
													: ShareLock);

	return OidIsValid(relation) ? tess_maintenance_of(relation, statement) : NULL;
}

/* See command_internal.h. */
TessMaintenance *
tess_maintenance_of(Oid relation, const Node *statement)
{
	TessMaintenance *maintenance = palloc0(sizeof(TessMaintenance));
	const TessTable *table;

	maintenance->altering.relation = relation;
	if (tess_is_index(relation))
		maintenance->altering.relation = IndexGetRelation(relation, false);
	table = tess_meta_table(maintenance->altering.relation);
	if (table->is_partitioned)
		refuse_partitioned(table,
						   IsA(statement, ClusterStmt) ? "CLUSTER" : "REINDEX");
	tess_index_bury_invalid(table->relation);
	if (IsA(statement, ClusterStmt))
		maintenance->template = cluster_template((const ClusterStmt *) statement,
												 table);
	else
		maintenance->template = reindex_template((const ReindexStmt *) statement,
												 table, relation);
	return maintenance;
}

const TessAltering *
tess_maintenance_altering(const TessMaintenance *maintenance)
{
	return &maintenance->altering;
}

/* See command_internal.h. */
void
tess_maintenance_finish(TessMaintenance *maintenance, bool is_done_here)
{
	const TessTable *table;
	Relation rel;
	TessWork *work;

	CommandCounterIncrement();
	table = tess_meta_table(maintenance->altering.relation);
	rel = table_open(table->relation, NoLock);
	if (table->kind == TESS_DISTRIBUTED)
		tess_statistics_restore_size(rel);
	table_close(rel, NoLock);
	work = tess_work_of_table(table);
	tess_work_add_templates(work, list_make1(maintenance->template));
	if (is_done_here)
		tess_maintenance_leave_out_local(work);
	tess_work_run(work);
}

/* See command_internal.h. */
void
tess_maintenance_leave_out_local(TessWork *work)
{
	for (int i = 0; i < work->count; i++)
	{
		if (work->nodes[i].is_local)
			work->nodes[i].commands = NIL;
	}
}
