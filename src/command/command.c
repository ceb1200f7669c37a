/*
 * command.c - utility statements, on their way to PostgreSQL.
 *
 * A statement on our tables is refused, done instead (COPY FROM), changed
 * first (COPY TO, TRUNCATE, VACUUM), or done by PostgreSQL to the shell and
 * then repeated for the shards.  All others pass, and pay little for it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/prepare.h"
#include "nodes/nodeFuncs.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "command/command.h"
#include "command/command_internal.h"
#include "exec/exec.h"
#include "function/function.h"
#include "local/local.h"
#include "objects/objects.h"
#include "plan/plan.h"
#include "xact/xact.h"

static ProcessUtility_hook_type next_hook;

static void process_utility(PlannedStmt *plan, const char *query_string,
							bool read_only_tree, ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *query_env,
							DestReceiver *dest, QueryCompletion *completion);
static void note_passed(const Node *statement);
static bool is_ours_to_see(const TessUtility *utility);
static void run_call(TessUtility *utility);
static void run_nested(TessUtility *utility);
static void restore_rows(TessUtility *utility, const TessTable *table);
static void run_copy(TessUtility *utility);
static void run_truncate(TessUtility *utility);
static void run_vacuum(TessUtility *utility);

void
tess_command_init(void)
{
	tess_effects_init();
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

/*
 * Of a prepared CALL nothing is planned, and so PostgreSQL's cache of plans knows no
 * costs by which one for any values could be better than one for given ones: it would
 * copy the statement twice for each execution.  From the next one on it does not.
 */
static void
keep_call_as_it_is(void)
{
	PreparedStatement *prepared;

	if (ActivePortal == NULL || ActivePortal->prepStmtName == NULL)
		return;
	prepared = FetchPreparedStatement(ActivePortal->prepStmtName, false);
	if (prepared != NULL && prepared->plansource->num_params > 0)
		prepared->plansource->cursor_options |= CURSOR_OPT_GENERIC_PLAN;
}

static void
note_client_statement(const Node *statement, const char *query_string,
					  ParamListInfo params)
{
	if (IsA(statement, TransactionStmt))
		tess_ticket_read(query_string);
	else if (IsA(statement, CallStmt))
	{
		keep_call_as_it_is();
		tess_ticket_take(params);
	}
}

static void
process_utility(PlannedStmt *plan, const char *query_string,
				bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *query_env,
				DestReceiver *dest, QueryCompletion *completion)
{
	TessUtility utility = {plan,   query_string, read_only_tree, context,
						   params, query_env,	 dest,			 completion};
	Node *statement = plan->utilityStmt;
	void *objects;
	bool is_passed;

	if (context == PROCESS_UTILITY_TOPLEVEL)
		note_client_statement(statement, query_string, params);
	is_passed = tess_local_consume_passthrough();
	if (!is_passed)
		tess_refuse_in_shard(statement);
	if (is_passed || !is_ours_to_see(&utility))
	{
		tess_utility_pass_on(&utility);
		note_passed(plan->utilityStmt);
		return;
	}
	objects = tess_objects_before(statement);
	switch (nodeTag(statement))
	{
		case T_CallStmt:
			run_call(&utility);
			break;
		case T_DoStmt:
			run_nested(&utility);
			break;
		case T_IndexStmt:
		case T_GrantStmt:
		case T_CommentStmt:
		case T_AlterTableStmt:
		case T_CreateTrigStmt:
		case T_CreateStatsStmt:
		case T_AlterStatsStmt:
		case T_CreateStmt:
			if (tess_cat_is_restoring())
				tess_utility_pass_on(&utility);
			else
				tess_utility_change(&utility);
			break;
		case T_CopyStmt:
			run_copy(&utility);
			break;
		case T_TruncateStmt:
			run_truncate(&utility);
			break;
		case T_VacuumStmt:
			run_vacuum(&utility);
			break;
		case T_DropStmt:
			tess_utility_drop(&utility);
			break;
		case T_ConstraintsSetStmt:
			tess_utility_pass_on(&utility);
			/* otherwise it has done nothing but warn */
			if (IsInTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL))
				tess_repeat_set_constraints(
					castNode(ConstraintsSetStmt, plan->utilityStmt));
			break;
		case T_DropOwnedStmt:
			tess_utility_drop_owned(&utility);
			break;
		default:
			tess_utility_change(&utility);
			break;
	}
	if (IsTransactionState())
	{
		tess_effects_finish();
		if (tess_is_active())
		{
			tess_objects_after(statement, objects);
			tess_owner_follow(statement);
			tess_functions_after(statement);
		}
	}
}

/* What has been executed may be SET TRANSACTION SNAPSHOT: nodes do not have that
 * one; DISCARD; or DECLARE of a cursor that outlives the transaction. */
static void
note_passed(const Node *statement)
{
	const VariableSetStmt *set = (const VariableSetStmt *) statement;
	const DiscardStmt *discard = (const DiscardStmt *) statement;
	const DeclareCursorStmt *cursor = (const DeclareCursorStmt *) statement;

	if (IsA(statement, DeclareCursorStmt) && (cursor->options & CURSOR_OPT_HOLD))
		tess_xact_note_held_cursor(cursor->portalname);
	if (IsA(statement, DiscardStmt) &&
		(discard->target == DISCARD_PLANS || discard->target == DISCARD_ALL))
		tess_plan_cache_discard();
	if (IsA(statement, VariableSetStmt) && set->kind == VAR_SET_MULTI &&
		strcmp(set->name, "TRANSACTION SNAPSHOT") == 0)
		tess_snapshot_note_import();
}

/* See command_internal.h. */
void
tess_utility_pass_on(TessUtility *utility)
{
	ProcessUtility_hook_type run = next_hook ? next_hook
											 : standard_ProcessUtility;

	run(utility->plan, utility->query_string, utility->read_only_tree,
		utility->context, utility->params, utility->query_env, utility->dest,
		utility->completion);
	/* DROP CONSTRAINT leaves messages to caches behind, and writes nothing after
	 * them: the next subtransaction would be an internal error (XX000). */
	if (IsA(utility->plan->utilityStmt, AlterDomainStmt))
	{
		(void) GetCurrentCommandId(true);
		CommandCounterIncrement();
	}
}

/* Statements that no table of ours can be in, and parts of others, are not
 * looked at; nor is anything while the extension is not there. */
static bool
is_ours_to_see(const TessUtility *utility)
{
	switch (nodeTag(utility->plan->utilityStmt))
	{
		case T_TransactionStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_DeclareCursorStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_ExplainStmt:
		case T_DiscardStmt:
		case T_ListenStmt:
		case T_UnlistenStmt:
		case T_NotifyStmt:
		case T_CheckPointStmt:
			return false;
		default:
			return utility->context != PROCESS_UTILITY_SUBCOMMAND &&
				   tess_is_active();
	}
}

/* See command_internal.h. */
bool
tess_is_index(Oid relation)
{
	char relkind = get_rel_relkind(relation);

	return relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX;
}

/* Our table behind a name (of itself, or of one of its indexes), or NULL. */
const TessTable *
tess_command_table(const RangeVar *name)
{
	Oid relation;

	if (name == NULL)
		return NULL;
	relation = RangeVarGetRelid(name, NoLock, true);
	if (!OidIsValid(relation))
		return NULL;
	if (tess_is_index(relation))
		relation = IndexGetRelation(relation, true);
	return OidIsValid(relation) ? tess_meta_table(relation) : NULL;
}

/* See command_internal.h. */
void
tess_utility_own_tree(TessUtility *utility)
{
	utility->plan = copyObject(utility->plan);
	utility->read_only_tree = false;
}

/*
 * A CALL that the client makes is the whole of what he asks for; one inside of
 * another statement is executed under that.
 */
static void
run_call(TessUtility *utility)
{
	CallStmt *statement = castNode(CallStmt, utility->plan->utilityStmt);
	PlannedStmt *plan = tess_plan_call(statement);

	if (plan == NULL)
		run_nested(utility);
	else
		tess_exec_run_call(utility->plan, plan, utility->query_string,
						   utility->params, utility->query_env,
						   statement->outargs != NIL ? utility->dest
													 : None_Receiver);
}

static void
run_nested(TessUtility *utility)
{
	tess_xact_depth++;
	PG_TRY();
	{
		tess_utility_pass_on(utility);
	}
	PG_FINALLY();
	{
		tess_xact_depth--;
	}
	PG_END_TRY();
}

/*
 * The rows of a dump go into the shell as they are: those of a distributed
 * table are in its shards already, those of a reference table on the nodes.
 */
static void
restore_rows(TessUtility *utility, const TessTable *table)
{
	if (table->kind == TESS_DISTRIBUTED)
		tess_cat_warn_of_rows(table->name);
	tess_utility_pass_on(utility);
}

static void
run_copy(TessUtility *utility)
{
	CopyStmt *copy = castNode(CopyStmt, utility->plan->utilityStmt);
	bool pushed;

	/* The lock that core takes too, before the table is looked at: it may be
	 * getting distributed just now. */
	if (copy->relation != NULL)
		(void) RangeVarGetRelid(copy->relation,
								copy->is_from ? RowExclusiveLock
											  : AccessShareLock,
								true);
	if (tess_command_table(copy->relation) != NULL)
	{
		tess_utility_own_tree(utility);
		copy = castNode(CopyStmt, utility->plan->utilityStmt);
		if (copy->is_from && tess_cat_is_restoring())
		{
			restore_rows(utility, tess_command_table(copy->relation));
			return;
		}
		if (copy->is_from &&
			tess_copy_from(copy, utility->query_string, utility->completion))
			return;
		/* of a partitioned table PostgreSQL itself says that it cannot */
		if (!copy->is_from &&
			!tess_command_table(copy->relation)->is_partitioned &&
			tess_copy_to(copy, utility->query_string, utility->completion))
			return;
	}
	pushed = !copy->is_from && copy->relation != NULL &&
			 tess_statement_push_own_snapshot();
	tess_utility_pass_on(utility);
	if (pushed)
		PopActiveSnapshot();
}

static void
run_truncate(TessUtility *utility)
{
	TruncateStmt *truncate;
	List *done;

	/* left over from a statement that failed inside of a block */
	(void) tess_effects_take_truncated();
	if (tess_cat_is_restoring())
	{
		tess_utility_pass_on(utility);
		return;
	}
	tess_utility_own_tree(utility);
	truncate = castNode(TruncateStmt, utility->plan->utilityStmt);
	done = tess_truncate_add_local_shards(truncate);
	tess_utility_pass_on(utility);
	tess_truncate_shards(done);
}

static void
run_vacuum(TessUtility *utility)
{
	bool is_top = utility->context == PROCESS_UTILITY_TOPLEVEL;
	bool in_block = IsInTransactionBlock(is_top);
	void *work;

	tess_utility_own_tree(utility);
	work = tess_vacuum_prepare(castNode(VacuumStmt, utility->plan->utilityStmt));
	tess_utility_pass_on(utility);
	tess_vacuum_finish(work, in_block);
}
