/*
 * scan_tasks.c - the statements of a run of a fragment, and which rows they
 * join, if rows are shipped: what fits into one load goes along with them,
 * loads before that are sent first, to be kept in stashes of the nodes.
 *
 * So there is one statement for a shard (or some of a node), however many rows
 * are shipped: it sees all of them, under one snapshot.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* The number of the last stash that this backend has given rows to. */
static int64 last_stash = 0;

/* The tasks for the shards of args, *count of them: in the current context. */
TessScanTask *
tess_tasks_make(const TessFragment *fragment, const TessArgs *args,
				const TessGroup *group, TessReplies *replies, TessMerge *merge,
				int *count)
{
	int shard_count = bms_num_members(args->shards);
	int limit = Min(tess_statement_shards(fragment), shard_count);
	TessScanTask *tasks = palloc0(shard_count * sizeof(TessScanTask));
	int shard_index = -1;

	*count = 0;
	while ((shard_index = bms_next_member(args->shards, shard_index)) >= 0)
	{
		const TessShard *shard = &group->shards[shard_index];
		TessBranch *branch = tess_replies_shard_branch(replies, shard);
		int i = *count;

		/* the last one of the node, if it has room */
		while (limit > 1 && --i >= 0 && tasks[i].branch != branch)
			;
		if (limit == 1 || i < 0 || tasks[i].shard_count == limit)
		{
			i = (*count)++;
			tasks[i].shard_index = shard_index;
			tasks[i].branch = branch;
			tasks[i].shard_ids = palloc(limit * sizeof(int64));
			if (merge != NULL)
				tasks[i].input = tess_merge_add(merge, branch, shard_index);
		}
		tasks[i].shard_ids[tasks[i].shard_count++] = shard->shard_id;
	}
	return tasks;
}

/*
 * The snapshot that the tasks read under; NULL: each its own, or the
 * transaction's.  own is what PostgreSQL gave the statement.  If it has none
 * yet, it needs one where it asks several servers, or one of them several times;
 * asked_again: a further run may follow.  *alone is set for a read of one node.
 */
TessSnapshot *
tess_tasks_snapshot(const TessScanTask *tasks, int count, Snapshot own,
					bool asked_again, bool *alone)
{
	TessSnapshot *snapshot = tess_snapshot_find(own);
	bool guarded = false;
	bool remote = false;

	*alone = false;
	if (snapshot != NULL || !tess_snapshot_is_for_statements())
		return snapshot;
	for (int i = 0; i < count; i++)
	{
		guarded |= tasks[i].branch != tasks[0].branch;
		remote |= !tasks[i].branch->is_local;
	}
	if (!remote)
		return NULL;
	if (count == 1 && !asked_again)
	{
		*alone = true;
		return NULL;
	}
	return tess_snapshot_begin(own, guarded, !asked_again);
}

/* Stashes ---------------------------------------------------------------------- */

/* TessRowSink: void. */
static void
ignore_row(void *owner, void *tag, const PGresult *result, int row)
{
}

/* The call that keeps rows; types are those of the arrays. */
static char *
stash_sql(int count, const Oid *types)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT " TESS_INTERNAL_SCHEMA ".stash_rows($1");
	/* nodes know types of users by name */
	for (int i = 0; i < count; i++)
		appendStringInfo(&sql, ", $%d::%s", i + 2,
						 format_type_be_qualified(types[i]));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* Rows of the current arguments for a shard of this server. */
static void
stash_here(const TessArgs *args)
{
	int first = args->evaluated + 1;
	int count = args->shipped - 1;
	ArrayType **arrays = palloc(count * sizeof(ArrayType *));

	for (int i = 0; i < count; i++)
		arrays[i] = DatumGetArrayTypeP(args->values[first + i]);
	tess_stash_add(DatumGetInt64(args->values[args->evaluated]), count, arrays);
}

/*
 * Sends the load of the cargo to where it will be joined, and waits until it is
 * there.  Nodes keep it in a transaction: what comes after it, too, is sent in
 * that.
 */
static void
stash_load(TessScanTask *tasks, int count, TessCargo *cargo, TessArgs *args,
		   Oid role)
{
	TessReplies *replies = tess_replies_make(tasks, ignore_row, NULL);
	int first = args->evaluated;
	TessEncoder *encoder = tess_encoder_make(args->shipped, args->types + first);
	char *sql = stash_sql(args->shipped - 1, args->types + first + 1);

	for (int i = 0; i < count; i++)
		if (tess_cargo_rows(cargo, tasks[i].shard_index) > 0)
			(void) tess_replies_branch(replies, tasks[i].branch->node_id);
	tess_replies_open(replies, NULL, role, TESS_READ_MORE);
	for (int i = 0; i < count; i++)
	{
		TessScanTask *task = &tasks[i];
		TessParams params;

		if (tess_cargo_rows(cargo, task->shard_index) == 0)
			continue;
		if (task->stash == 0)
			task->stash = ++last_stash;
		tess_cargo_set_arguments(cargo, args, task->shard_index, task->stash);
		if (task->branch->is_local)
		{
			stash_here(args);
			continue;
		}
		tess_encoder_encode(encoder, args->values + first, args->nulls + first,
							&params);
		tess_replies_queue(replies,
						   tess_replies_branch(replies, task->branch->node_id),
						   sql, &params, true, false, false, task);
	}
	tess_replies_flush(replies);
	tess_replies_collect(replies, NULL, 0);
	tess_replies_close(replies);
}

/* True if nothing can come of a task, since nothing is there to join. */
static bool
is_in_vain(const TessScanTask *task, const TessCargo *cargo, JoinType join)
{
	return task->stash == 0 && tess_cargo_rows(cargo, task->shard_index) == 0 &&
		   (join == JOIN_INNER || join == JOIN_SEMI);
}

/*
 * Runs the plan that computes the rows to be shipped: the last load is in the
 * cargo then, others are in the tasks' stashes.  Tasks that need not be sent are
 * removed; returns how many are left.
 */
int
tess_tasks_load(TessScanTask *tasks, int count, TessCargo *cargo,
				TessArgs *args, const TessFragment *fragment, Oid role)
{
	const TessGroup *group = tess_exec_table(fragment)->group;
	int wanted = 0;

	while (tess_cargo_load(cargo, args, group))
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
													  "tessera load",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext old_context = MemoryContextSwitchTo(context);

		stash_load(tasks, count, cargo, args, role);
		MemoryContextSwitchTo(old_context);
		MemoryContextDelete(context);
	}
	for (int i = 0; i < count; i++)
		if (!is_in_vain(&tasks[i], cargo, fragment->shipped_join))
			tasks[wanted++] = tasks[i];
	return wanted;
}

/* True if the tasks write, on other nodes alone, and the transaction, of whose
 * plan the scan is a node, does no more. */
bool
tess_tasks_are_last_act(const TessScanTask *tasks, int count,
						const TessFragment *fragment, const PlanState *scan)
{
	if (count == 0 || fragment->changed == NIL ||
		(!fragment->sets_count && !OidIsValid(fragment->function)) ||
		fragment->shipped != NIL)
		return false;
	for (int i = 0; i < count; i++)
	{
		if (tasks[i].branch->is_local)
			return false;
	}
	return tess_exec_is_last_act(scan->state, scan->plan);
}

/* The rows for a task, if any are shipped, and those that it is to find by ctid,
 * become arguments; true if it has others than the one before. */
bool
tess_task_set_arguments(const TessScanTask *task, const TessFragment *fragment,
						TessCargo *cargo, TessArgs *args)
{
	if (cargo == NULL)
		return tess_args_set_shard(args, task->shard_index);
	tess_cargo_set_arguments(cargo, args, task->shard_index, task->stash);
	return fragment->shipped_key >= 0 || task->stash != 0;
}

/* For EXPLAIN, the shards that are asked: tasks may have turned out to be in
 * vain. */
Bitmapset *
tess_tasks_shards(const TessScanTask *tasks, int count,
				  const TessFragment *fragment, const TessArgs *args)
{
	Bitmapset *shards = NULL;

	if (count > 0 && fragment->shipped_key < 0)
		shards = bms_copy(args->shards);
	for (int i = 0; i < count; i++)
		shards = bms_add_member(shards, tasks[i].shard_index);
	return shards;
}
