/*
 * command_refuse_in_shard.c - utility statements in the body of a function that
 * runs in a shard.
 *
 * It runs in a session of a node that is not the client's, and in one shard: what
 * it makes there would be seen by nobody else, or by the wrong ones.
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "command/command_internal.h"

static bool
may_run_in_shard(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CallStmt:
		case T_DoStmt:
		case T_ExplainStmt:
		case T_VariableShowStmt:
		case T_ConstraintsSetStmt:
			return true;
		case T_VariableSetStmt:
			return ((const VariableSetStmt *) statement)->is_local;
		default:
			return false;
	}
}

/* Errors with 0A000 if a function of a shard is being executed, and may not do
 * that. */
void
tess_refuse_in_shard(Node *statement)
{
	if (!tess_in_shard_call() || may_run_in_shard(statement))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a distributed function cannot execute %s",
					CreateCommandName(statement)),
			 errdetail("It runs in one shard, in a session of the shard's server."),
			 errhint("Do it outside of the function.")));
}
