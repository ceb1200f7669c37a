/*
 * exec.c - start of the folder: registers the custom scans, counts how deep
 * executor calls are nested, and looks at snapshots.
 */
#include "postgres.h"

#include "access/xact.h"
#include "exec/exec.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "utils/snapmgr.h"

static struct
{
	ExecutorRun_hook_type next_run;
	ExecutorFinish_hook_type next_finish;
} hooks;

static void
count_run(QueryDesc *query_desc, ScanDirection direction, uint64 count,
		  bool execute_once)
{
	tess_xact_depth++;
	PG_TRY();
	{
		if (hooks.next_run)
			hooks.next_run(query_desc, direction, count, execute_once);
		else
			standard_ExecutorRun(query_desc, direction, count, execute_once);
	}
	PG_FINALLY();
	{
		tess_xact_depth--;
	}
	PG_END_TRY();
}

/* Triggers run here; what they execute is not the client's own statement. */
static void
count_finish(QueryDesc *query_desc)
{
	tess_xact_depth++;
	PG_TRY();
	{
		if (hooks.next_finish)
			hooks.next_finish(query_desc);
		else
			standard_ExecutorFinish(query_desc);
	}
	PG_FINALLY();
	{
		tess_xact_depth--;
	}
	PG_END_TRY();
}

/*
 * Before shards of this server are read: a snapshot from before they were made
 * would find them empty.  Errors with 40001.
 */
void
tess_exec_check_snapshot(const TessFragment *fragment, Snapshot snapshot)
{
	ListCell *cell;

	foreach(cell, fragment->relations)
	{
		const TessTable *table = tess_meta_table(lfirst_oid(cell));

		if (table == NULL || table->kind != TESS_DISTRIBUTED ||
			TransactionIdIsCurrentTransactionId(table->made_by) ||
			!XidInMVCCSnapshot(table->made_by, snapshot))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("table \"%s\" was distributed after this statement's snapshot was taken",
						table->name),
				 errhint("Run the statement, or the transaction, again.")));
	}
}

void
tess_exec_init(void)
{
	RegisterCustomScanMethods(&tess_scan_methods);
	RegisterCustomScanMethods(&tess_modify_methods);

	hooks.next_run = ExecutorRun_hook;
	ExecutorRun_hook = count_run;
	hooks.next_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = count_finish;
}
