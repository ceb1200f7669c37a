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
#include "nodes/nodeFuncs.h"
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

/* The arguments of ProcessUtility. */
typedef struct Utility
{
	PlannedStmt *plan;
	const char *query_string;
	bool read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *query_env;
	DestReceiver *dest;
	QueryCompletion *completion;
} Utility;

static ProcessUtility_hook_type next_hook;

static void process_utility(PlannedStmt *plan, const char *query_string,
							bool read_only_tree, ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *query_env,
							DestReceiver *dest, QueryCompletion *completion);
static void run_change(Utility *utility);
static void note_passed(const Node *statement);
static void pass_on(Utility *utility);
static void own_tree(Utility *utility);
static bool is_ours_to_see(const Utility *utility);
static void refuse_late(const Utility *utility);
static void run_call(Utility *utility);
static void run_nested(Utility *utility);
static void restore_rows(Utility *utility, const TessTable *table);
static void run_copy(Utility *utility);
static void run_truncate(Utility *utility);
static void run_vacuum(Utility *utility);
static void run_alter(Utility *utility);
static void run_rename(Utility *utility);
static void run_maintenance(Utility *utility, const RangeVar *name);
static void run_create_statistics(Utility *utility);
static void run_alter_statistics(Utility *utility);
static void run_on_local(Utility *utility, const RangeVar *name);
static void pass_on_altering(Utility *utility, const TessAltering *altering);
static void refuse_race(const TessTable *table);
static void run_index(Utility *utility);
static void run_drop(Utility *utility);
static void run_drop_owned(Utility *utility);

void
tess_command_init(void)
{
	tess_effects_init();
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

static void
process_utility(PlannedStmt *plan, const char *query_string,
				bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *query_env,
				DestReceiver *dest, QueryCompletion *completion)
{
	Utility utility = {plan,   query_string, read_only_tree, context,
					   params, query_env,	 dest,			 completion};
	Node *statement = plan->utilityStmt;
	void *objects;
	bool is_passed;

	if (IsA(statement, TransactionStmt) && context == PROCESS_UTILITY_TOPLEVEL)
		tess_ticket_read(query_string);
	else if (IsA(statement, CallStmt) && context == PROCESS_UTILITY_TOPLEVEL)
		tess_ticket_take(params);
	is_passed = tess_local_consume_passthrough();
	if (!is_passed)
		tess_refuse_in_shard(statement);
	if (is_passed || !is_ours_to_see(&utility))
	{
		pass_on(&utility);
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
		case T_CreateStatsStmt:
		case T_AlterStatsStmt:
			if (tess_cat_is_restoring())
				pass_on(&utility);
			else
				run_change(&utility);
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
			run_drop(&utility);
			break;
		case T_ConstraintsSetStmt:
			pass_on(&utility);
			/* otherwise it has done nothing but warn */
			if (IsInTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL))
				tess_repeat_set_constraints(
					castNode(ConstraintsSetStmt, plan->utilityStmt));
			break;
		case T_DropOwnedStmt:
			run_drop_owned(&utility);
			break;
		default:
			run_change(&utility);
			break;
	}
	if (IsTransactionState())
	{
		tess_effects_finish();
		if (tess_is_active())
		{
			tess_objects_after(statement, objects);
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

/* Refused, or done to the shell and then repeated for the shards. */
static void
run_change(Utility *utility)
{
	Node *statement = utility->plan->utilityStmt;

	switch (nodeTag(statement))
	{
		case T_IndexStmt:
			run_index(utility);
			break;
		case T_AlterTableStmt:
			run_alter(utility);
			break;
		case T_RenameStmt:
			run_rename(utility);
			break;
		case T_ReindexStmt:
			run_maintenance(utility, castNode(ReindexStmt, statement)->relation);
			break;
		case T_ClusterStmt:
			run_maintenance(utility, castNode(ClusterStmt, statement)->relation);
			break;
		case T_CreateStatsStmt:
			run_create_statistics(utility);
			break;
		case T_AlterStatsStmt:
			run_alter_statistics(utility);
			break;
		case T_GrantStmt:
			tess_rights_lock(castNode(GrantStmt, statement));
			pass_on(utility);
			tess_rights_repeat(castNode(GrantStmt, statement));
			break;
		case T_CommentStmt:
			tess_refuse_command(statement);
			pass_on(utility);
			tess_comment_repeat(castNode(CommentStmt, statement));
			break;
		default:
			tess_refuse_command(statement);
			pass_on(utility);
			refuse_late(utility);
			break;
	}
}

static void
pass_on(Utility *utility)
{
	ProcessUtility_hook_type run = next_hook ? next_hook
											 : standard_ProcessUtility;

	run(utility->plan, utility->query_string, utility->read_only_tree,
		utility->context, utility->params, utility->query_env, utility->dest,
		utility->completion);
}

/* Statements that no table of ours can be in, and parts of others, are not
 * looked at; nor is anything while the extension is not there. */
static bool
is_ours_to_see(const Utility *utility)
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

/*
 * Names were looked up without a lock: what was a local table then may have
 * been distributed while PostgreSQL waited for its lock.
 */
static void
refuse_late(const Utility *utility)
{
	if (tess_is_active())
		tess_refuse_command(utility->plan->utilityStmt);
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
	if (get_rel_relkind(relation) == RELKIND_INDEX)
		relation = IndexGetRelation(relation, true);
	return OidIsValid(relation) ? tess_meta_table(relation) : NULL;
}

/* A copy that may be changed: the tree may belong to a cached plan. */
static void
own_tree(Utility *utility)
{
	utility->plan = copyObject(utility->plan);
	utility->read_only_tree = false;
}

/*
 * A CALL that the client makes is the whole of what he asks for; one inside of
 * another statement is executed under that.
 */
static void
run_call(Utility *utility)
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
run_nested(Utility *utility)
{
	tess_xact_depth++;
	PG_TRY();
	{
		pass_on(utility);
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
restore_rows(Utility *utility, const TessTable *table)
{
	if (table->kind == TESS_DISTRIBUTED)
		tess_cat_warn_of_rows(table->name);
	pass_on(utility);
}

static void
run_copy(Utility *utility)
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
		own_tree(utility);
		copy = castNode(CopyStmt, utility->plan->utilityStmt);
		if (copy->is_from && tess_cat_is_restoring())
		{
			restore_rows(utility, tess_command_table(copy->relation));
			return;
		}
		if (copy->is_from &&
			tess_copy_from(copy, utility->query_string, utility->completion))
			return;
		if (!copy->is_from &&
			tess_copy_to(copy, utility->query_string, utility->completion))
			return;
	}
	pushed = !copy->is_from && copy->relation != NULL &&
			 tess_statement_push_own_snapshot();
	pass_on(utility);
	if (pushed)
		PopActiveSnapshot();
}

static void
run_truncate(Utility *utility)
{
	TruncateStmt *truncate;
	List *done;

	/* left over from a statement that failed inside of a block */
	(void) tess_effects_take_truncated();
	if (tess_cat_is_restoring())
	{
		pass_on(utility);
		return;
	}
	own_tree(utility);
	truncate = castNode(TruncateStmt, utility->plan->utilityStmt);
	done = tess_truncate_add_local_shards(truncate);
	pass_on(utility);
	tess_truncate_shards(done);
}

static void
run_vacuum(Utility *utility)
{
	bool is_top = utility->context == PROCESS_UTILITY_TOPLEVEL;
	bool in_block = IsInTransactionBlock(is_top);
	void *work;

	own_tree(utility);
	work = tess_vacuum_prepare(castNode(VacuumStmt, utility->plan->utilityStmt));
	pass_on(utility);
	tess_vacuum_finish(work, in_block);
}

static void
run_index(Utility *utility)
{
	IndexStmt *create = castNode(IndexStmt, utility->plan->utilityStmt);
	bool is_ours = tess_command_table(create->relation) != NULL;
	List *old_indexes = tess_index_before_create(create);

	/* PostgreSQL fills in its name for the index. */
	if (is_ours)
		own_tree(utility);
	pass_on(utility);
	if (is_ours)
		tess_index_after_create(create, old_indexes);
	else
		refuse_race(tess_command_table(create->relation));
}

/* Names were looked up without a lock, and PostgreSQL waited for its own: what
 * was a local table has become one of ours (NULL: it has not). */
static void
refuse_race(const TessTable *table)
{
	if (table != NULL)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("table \"%s\" was distributed at the same time",
							   table->name),
						errhint("Try again.")));
}

static void
run_alter(Utility *utility)
{
	AlterTableStmt *statement = castNode(AlterTableStmt,
										 utility->plan->utilityStmt);
	TessAlter *alter = tess_alter_begin(statement);

	if (alter == NULL)
	{
		run_on_local(utility, statement->relation);
		return;
	}
	pass_on_altering(utility, tess_alter_altering(alter));
	tess_alter_finish(alter);
}

static void
run_rename(Utility *utility)
{
	RenameStmt *statement = castNode(RenameStmt, utility->plan->utilityStmt);
	TessRename *rename = tess_rename_begin(statement);

	if (rename == NULL)
	{
		run_on_local(utility, statement->relation);
		return;
	}
	pass_on_altering(utility, tess_rename_altering(rename));
	tess_rename_finish(rename);
}

static void
run_maintenance(Utility *utility, const RangeVar *name)
{
	TessMaintenance *maintenance = tess_maintenance_begin(
		utility->plan->utilityStmt);

	if (maintenance == NULL)
	{
		run_on_local(utility, name);
		return;
	}
	pass_on_altering(utility, tess_maintenance_altering(maintenance));
	tess_maintenance_finish(maintenance);
}

static void
run_create_statistics(Utility *utility)
{
	CreateStatsStmt *create = castNode(CreateStatsStmt,
									   utility->plan->utilityStmt);
	TessNewStats *statistics = tess_stats_before_create(create);

	if (statistics == NULL)
	{
		run_on_local(utility, NULL);
		return;
	}
	pass_on_altering(utility, tess_stats_altering(statistics));
	tess_stats_after_create(statistics);
}

static void
run_alter_statistics(Utility *utility)
{
	AlterStatsStmt *alter = castNode(AlterStatsStmt, utility->plan->utilityStmt);
	TessWork *work = tess_stats_work(alter->defnames, "ALTER STATISTICS ",
									 psprintf(" SET STATISTICS %d",
											  alter->stxstattarget));

	pass_on(utility);
	if (work != NULL)
		tess_work_run(work);
}

/* What alters no table of ours; name may be NULL. */
static void
run_on_local(Utility *utility, const RangeVar *name)
{
	Oid relation = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	tess_refuse_command(utility->plan->utilityStmt);
	pass_on(utility);
	if (OidIsValid(relation) && tess_is_active())
		refuse_race(tess_meta_table(relation));
}

static void
pass_on_altering(Utility *utility, const TessAltering *altering)
{
	const TessAltering *outer = tess_effects_expect(altering);
	Oid outer_relation = tess_plan_note_altered(altering->relation);

	PG_TRY();
	{
		pass_on(utility);
	}
	PG_FINALLY();
	{
		(void) tess_effects_expect(outer);
		(void) tess_plan_note_altered(outer_relation);
	}
	PG_END_TRY();
}

static void
run_drop(Utility *utility)
{
	DropStmt *drop = castNode(DropStmt, utility->plan->utilityStmt);
	List *indexes;
	List *statistics;
	ListCell *lc;

	tess_refuse_command((Node *) drop);
	indexes = tess_index_before_drop(drop);
	statistics = tess_stats_before_drop(drop);
	pass_on(utility);
	tess_index_after_drop(indexes);
	foreach(lc, statistics)
		tess_work_run(lfirst(lc));
}

static void
run_drop_owned(Utility *utility)
{
	List *revokes = tess_rights_before_drop_owned(
		castNode(DropOwnedStmt, utility->plan->utilityStmt));
	ListCell *lc;

	pass_on(utility);
	foreach(lc, revokes)
		tess_rights_repeat(lfirst_node(GrantStmt, lc));
}
