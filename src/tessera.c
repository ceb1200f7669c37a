/*
 * tessera.c - the root: starts the folders that have something to start, in
 * the order of the layers.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/base.h"
#include "cluster/cluster.h"
#include "command/command.h"
#include "exec/exec.h"
#include "function/function.h"
#include "maintenance.h"
#include "meta/meta.h"
#include "net/net.h"
#include "objects/objects.h"
#include "plan/plan.h"
#include "statistics/statistics.h"
#include "table/table.h"
#include "task/task.h"
#include "tessera.h"
#include "xact/xact.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tessera must be loaded when the server starts"),
				 errhint(
					 "Add tessera to shared_preload_libraries in postgresql.conf and restart the server.")));

	tess_base_init();
	tess_meta_init();
	tess_net_init();
	tess_task_init();
	tess_xact_init();
	tess_exec_init();
	tess_plan_init();
	tess_statistics_init();
	tess_objects_init();
	tess_table_init();
	tess_function_init();
	tess_command_init();
	tess_cluster_init();
	tess_maintenance_init();

	/* a setting with a typing error is an error */
	MarkGUCPrefixReserved(TESS_EXTENSION);
}
