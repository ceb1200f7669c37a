/*
 * function_run.c - plans that are nothing but the call of a function in a shard:
 * who may execute them, and hints for errors that such a function alone has.
 */
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "exec/exec_internal.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

/* See exec_internal.h. */
Oid
tess_function_of_plan(const PlannedStmt *stmt)
{
	const CustomScan *scan = (const CustomScan *) stmt->planTree;

	if (scan == NULL || !IsA(scan, CustomScan) ||
		scan->methods != &tess_scan_methods)
		return InvalidOid;
	return ((const TessFragment *) linitial(scan->custom_private))->function;
}

/* See exec_internal.h.  What core does for a call that it is to execute. */
void
tess_function_check_right(Oid function)
{
	AclResult result = pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result,
					   get_func_prokind(function) == PROKIND_PROCEDURE
						   ? OBJECT_PROCEDURE
						   : OBJECT_FUNCTION,
					   get_func_name(function));
	InvokeFunctionExecuteHook(function);
}

/* See exec_internal.h.  It is called for errors that nodes have sent, too. */
void
tess_function_error_hint(void *arg)
{
	switch (geterrcode())
	{
		case ERRCODE_INVALID_TRANSACTION_TERMINATION:
			errhint(
				"A distributed procedure is a part of its caller's transaction, and cannot end it.");
			break;
		case ERRCODE_UNDEFINED_TABLE:
			errhint(
				"A distributed function finds the tables of its key's shard, and reference tables, by their names without a schema.");
			break;
		case ERRCODE_UNDEFINED_FUNCTION:
			errhint(
				"Functions that a distributed function calls have to be on all nodes: use tessera.create_distributed_function() without a key.");
			break;
		default:
			break;
	}
}
