/*
 * command_change.c - statements that PostgreSQL does to the shell, and that are
 * repeated for the shards then; or that are refused.
 *
 * What has to be known before, and what the shards are told, is each kind's own
 * (the other files of the folder); here is when.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/defrem.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "plan/plan.h"

static void refuse_late(const TessUtility *utility);
static void run_alter(TessUtility *utility);
static void run_create_table(TessUtility *utility);
static void run_rename(TessUtility *utility);
static void run_create_trigger(TessUtility *utility);
static void run_schema_rename(TessUtility *utility);
static void run_move(TessUtility *utility);
static void run_alter_owner(TessUtility *utility);
static void run_reassign(TessUtility *utility);
static void run_others(TessUtility *utility);
static void run_reindex(TessUtility *utility);
static void run_maintenance(TessUtility *utility, const RangeVar *name);
static void run_maintenance_of_all(TessUtility *utility);
static void run_create_statistics(TessUtility *utility);
static void run_alter_statistics(TessUtility *utility);
static void run_alter_extension(TessUtility *utility);
static void run_on_local(TessUtility *utility, const RangeVar *name);
static void pass_on_altering(TessUtility *utility, const TessAltering *altering);
static void refuse_race(const TessTable *table);
static void run_index(TessUtility *utility);
static void run_index_concurrently(TessUtility *utility);
static void run_drop_concurrently(TessUtility *utility);
static void run_reindex_concurrently(TessUtility *utility);

/* See command_internal.h. */
void
tess_utility_change(TessUtility *utility)
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
		case T_CreateStmt:
			run_create_table(utility);
			break;
		case T_RenameStmt:
			run_rename(utility);
			break;
		case T_CreateTrigStmt:
			run_create_trigger(utility);
			break;
		case T_AlterObjectSchemaStmt:
			run_move(utility);
			break;
		case T_ReassignOwnedStmt:
			run_reassign(utility);
			break;
		case T_AlterOwnerStmt:
			run_alter_owner(utility);
			break;
		case T_ReindexStmt:
			run_reindex(utility);
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
		case T_AlterExtensionStmt:
			run_alter_extension(utility);
			break;
		case T_GrantStmt:
			tess_rights_lock(castNode(GrantStmt, statement));
			tess_utility_pass_on(utility);
			tess_rights_repeat(castNode(GrantStmt, statement));
			break;
		case T_CommentStmt:
			tess_refuse_command(statement);
			tess_utility_pass_on(utility);
			tess_comment_repeat(castNode(CommentStmt, statement));
			break;
		default:
			run_others(utility);
			break;
	}
}

/* Refused if it is about one of our tables. */
static void
run_others(TessUtility *utility)
{
	tess_refuse_command(utility->plan->utilityStmt);
	tess_utility_pass_on(utility);
	refuse_late(utility);
}

/*
 * Names were looked up without a lock: what was a local table then may have
 * been distributed while PostgreSQL waited for its lock.
 */
static void
refuse_late(const TessUtility *utility)
{
	if (tess_is_active())
		tess_refuse_command(utility->plan->utilityStmt);
}

static void
run_index(TessUtility *utility)
{
	IndexStmt *create = castNode(IndexStmt, utility->plan->utilityStmt);
	bool is_ours = tess_command_table(create->relation) != NULL;
	List *old_indexes;

	if (create->concurrent)
	{
		run_index_concurrently(utility);
		return;
	}
	old_indexes = tess_index_before_create(create);
	/* PostgreSQL fills in its name for the index. */
	if (is_ours)
		tess_utility_own_tree(utility);
	tess_utility_pass_on(utility);
	if (is_ours)
		tess_index_after_create(create, old_indexes);
	else
		refuse_race(tess_command_table(create->relation));
}

static bool
is_top(const TessUtility *utility)
{
	return utility->context == PROCESS_UTILITY_TOPLEVEL;
}

static void
run_index_concurrently(TessUtility *utility)
{
	TessConcurrent *
		index = tess_concurrent_create_begin(castNode(IndexStmt,
													  utility->plan->utilityStmt),
											 is_top(utility));

	if (index == NULL)
	{
		tess_utility_pass_on(utility);
		return;
	}
	/* PostgreSQL fills in its name for the index. */
	tess_utility_own_tree(utility);
	pass_on_altering(utility, tess_concurrent_altering(index));
	tess_concurrent_create_finish(index);
}

static void
run_drop_concurrently(TessUtility *utility)
{
	TessConcurrent *
		index = tess_concurrent_drop_begin(castNode(DropStmt,
													utility->plan->utilityStmt),
										   is_top(utility));

	if (index == NULL)
	{
		tess_utility_pass_on(utility);
		return;
	}
	pass_on_altering(utility, tess_concurrent_altering(index));
	tess_concurrent_drop_finish(index);
}

static void
run_reindex_concurrently(TessUtility *utility)
{
	TessConcurrent *
		reindex = tess_concurrent_reindex_begin(castNode(ReindexStmt,
														 utility->plan->utilityStmt),
												is_top(utility));

	if (reindex == NULL)
	{
		tess_utility_pass_on(utility);
		return;
	}
	pass_on_altering(utility, tess_concurrent_altering(reindex));
	tess_concurrent_reindex_finish(reindex);
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
run_alter(TessUtility *utility)
{
	AlterTableStmt *statement = castNode(AlterTableStmt,
										 utility->plan->utilityStmt);
	TessPartitioning *partition = tess_partition_begin(statement);
	TessAlter *alter;

	if (partition != NULL)
	{
		pass_on_altering(utility, tess_partition_altering(partition));
		tess_partition_finish(partition);
		return;
	}
	alter = tess_alter_begin(statement);
	if (alter == NULL)
	{
		run_on_local(utility, statement->relation);
		return;
	}
	pass_on_altering(utility, tess_alter_altering(alter));
	tess_alter_finish(alter);
}

/* Of local tables, and of partitions of ours. */
static void
run_create_table(TessUtility *utility)
{
	TessPartitioning *partition = tess_partition_before_create(
		castNode(CreateStmt, utility->plan->utilityStmt));

	if (partition == NULL)
	{
		run_others(utility);
		return;
	}
	/* core takes its name apart */
	tess_utility_own_tree(utility);
	pass_on_altering(utility, tess_partition_altering(partition));
	tess_partition_finish(partition);
}

static void
run_create_trigger(TessUtility *utility)
{
	CreateTrigStmt *create = castNode(CreateTrigStmt, utility->plan->utilityStmt);
	TessNewTrigger *trigger = tess_trigger_before_create(create);

	if (trigger == NULL)
	{
		run_on_local(utility, create->relation);
		return;
	}
	pass_on_altering(utility, tess_trigger_altering(trigger));
	tess_trigger_after_create(trigger);
}

static void
run_rename(TessUtility *utility)
{
	RenameStmt *statement = castNode(RenameStmt, utility->plan->utilityStmt);
	TessRename *rename;

	if (statement->renameType == OBJECT_SCHEMA ||
		statement->renameType == OBJECT_STATISTIC_EXT)
	{
		if (statement->renameType == OBJECT_SCHEMA)
			run_schema_rename(utility);
		else
			run_alter_statistics(utility);
		return;
	}
	if (statement->renameType == OBJECT_POLICY)
	{
		run_others(utility);
		return;
	}
	rename = tess_rename_begin(statement);
	if (rename == NULL)
	{
		run_on_local(utility, statement->relation);
		return;
	}
	pass_on_altering(utility, tess_rename_altering(rename));
	tess_rename_finish(rename);
}

static void
run_schema_rename(TessUtility *utility)
{
	TessSchemaRename *rename;

	tess_refuse_command(utility->plan->utilityStmt);
	rename = tess_schema_rename_begin(
		castNode(RenameStmt, utility->plan->utilityStmt));
	tess_utility_pass_on(utility);
	if (rename != NULL)
		tess_schema_rename_finish(rename);
}

static void
run_move(TessUtility *utility)
{
	AlterObjectSchemaStmt *statement = castNode(AlterObjectSchemaStmt,
												utility->plan->utilityStmt);
	TessMove *move;

	if (statement->objectType == OBJECT_STATISTIC_EXT)
	{
		run_alter_statistics(utility);
		return;
	}
	if (statement->objectType == OBJECT_EXTENSION)
	{
		run_alter_extension(utility);
		return;
	}
	move = tess_cat_is_restoring() ? NULL : tess_move_begin(statement);
	if (move == NULL)
	{
		run_on_local(utility, statement->relation);
		return;
	}
	pass_on_altering(utility, tess_move_altering(move));
	tess_move_finish(move);
}

static void
run_alter_owner(TessUtility *utility)
{
	Node *statement = utility->plan->utilityStmt;

	if (castNode(AlterOwnerStmt, statement)->objectType == OBJECT_STATISTIC_EXT)
		run_alter_statistics(utility);
	else
		run_others(utility);
}

static void
run_reassign(TessUtility *utility)
{
	TessReassign *reassign = tess_reassign_begin(
		castNode(ReassignOwnedStmt, utility->plan->utilityStmt));

	if (reassign == NULL)
	{
		tess_utility_pass_on(utility);
		return;
	}
	pass_on_altering(utility, tess_reassign_altering(reassign));
	tess_reassign_finish(reassign);
}

static void
run_reindex(TessUtility *utility)
{
	ReindexStmt *statement = castNode(ReindexStmt, utility->plan->utilityStmt);

	if (statement->relation != NULL && tess_reindex_is_concurrent(statement))
		run_reindex_concurrently(utility);
	else
		run_maintenance(utility, statement->relation);
}

/* name NULL: of all tables in a schema, or in the database. */

static void
run_maintenance(TessUtility *utility, const RangeVar *name)
{
	TessMaintenance *maintenance;

	if (name == NULL)
	{
		run_maintenance_of_all(utility);
		return;
	}
	maintenance = tess_maintenance_begin(utility->plan->utilityStmt);
	if (maintenance == NULL)
	{
		run_on_local(utility, name);
		return;
	}
	pass_on_altering(utility, tess_maintenance_altering(maintenance));
	tess_maintenance_finish(maintenance, false);
}

static void
run_maintenance_of_all(TessUtility *utility)
{
	TessMaintenanceAll *all;

	/* it outlives transactions */
	tess_utility_own_tree(utility);
	all = tess_maintenance_all_begin(utility->plan->utilityStmt);
	if (all == NULL)
	{
		tess_utility_pass_on(utility);
		return;
	}
	pass_on_altering(utility, tess_maintenance_all_altering(all));
	tess_maintenance_all_finish(all);
}

static void
run_create_statistics(TessUtility *utility)
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
run_alter_statistics(TessUtility *utility)
{
	TessWork *work = tess_stats_before_alter(utility->plan->utilityStmt);

	tess_utility_pass_on(utility);
	if (work != NULL)
		tess_work_run(work);
}

static void
run_alter_extension(TessUtility *utility)
{
	tess_utility_pass_on(utility);
	tess_extension_repeat(utility->plan->utilityStmt);
}

/* What alters no table of ours; name may be NULL. */
static void
run_on_local(TessUtility *utility, const RangeVar *name)
{
	Oid relation = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	tess_refuse_command(utility->plan->utilityStmt);
	tess_utility_pass_on(utility);
	if (OidIsValid(relation) && tess_is_active())
		refuse_race(tess_meta_table(relation));
}

static void
pass_on_altering(TessUtility *utility, const TessAltering *altering)
{
	const TessAltering *outer = tess_effects_expect(altering);
	Oid outer_relation = tess_plan_note_altered(altering->relation);

	PG_TRY();
	{
		tess_utility_pass_on(utility);
	}
	PG_FINALLY();
	{
		(void) tess_effects_expect(outer);
		(void) tess_plan_note_altered(outer_relation);
	}
	PG_END_TRY();
}

/* See command_internal.h. */
void
tess_utility_drop(TessUtility *utility)
{
	DropStmt *drop = castNode(DropStmt, utility->plan->utilityStmt);
	List *indexes;
	List *statistics;
	ListCell *lc;

	if (drop->removeType == OBJECT_INDEX && drop->concurrent)
	{
		run_drop_concurrently(utility);
		return;
	}
	tess_refuse_command((Node *) drop);
	indexes = tess_index_before_drop(drop);
	statistics = tess_stats_before_drop(drop);
	tess_utility_pass_on(utility);
	tess_index_after_drop(indexes);
	foreach(lc, statistics)
		tess_work_run(lfirst(lc));
}

/* See command_internal.h. */
void
tess_utility_drop_owned(TessUtility *utility)
{
	List *revokes = tess_rights_before_drop_owned(
		castNode(DropOwnedStmt, utility->plan->utilityStmt));
	ListCell *lc;

	tess_utility_pass_on(utility);
	foreach(lc, revokes)
		tess_rights_repeat(lfirst_node(GrantStmt, lc));
}
