/*
 * explaining.c - is an EXPLAIN statement being executed?
 *
 * Modules that print plans of what they see, as auto_explain does, do not count.
 */
#include "postgres.h"

#include "tcop/utility.h"

#include "base/base_internal.h"

static ProcessUtility_hook_type next_utility = NULL;
static int explains = 0;

/* See base.h. */
bool
tess_is_explaining(void)
{
	return explains > 0;
}

static void
count_explains(PlannedStmt *plan, const char *query_string, bool read_only_tree,
			   ProcessUtilityContext context, ParamListInfo params,
			   QueryEnvironment *query_env, DestReceiver *dest,
			   QueryCompletion *completion)
{
	ProcessUtility_hook_type next = next_utility ? next_utility
												 : standard_ProcessUtility;

	if (!IsA(plan->utilityStmt, ExplainStmt))
	{
		next(plan, query_string, read_only_tree, context, params, query_env,
			 dest, completion);
		return;
	}

	explains++;
	PG_TRY();
	{
		next(plan, query_string, read_only_tree, context, params, query_env,
			 dest, completion);
	}
	PG_FINALLY();
	{
		explains--;
	}
	PG_END_TRY();
}

void
tess_explaining_init(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = count_explains;
}
