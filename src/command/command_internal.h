/*
 * command_internal.h - between the files of command/.
 */
#ifndef TESS_COMMAND_INTERNAL_H
#define TESS_COMMAND_INTERNAL_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "tcop/utility.h"

#include "meta/meta.h"
#include "table/table.h"
#include "tessera.h"

/* command.c */

/* The arguments of ProcessUtility. */
typedef struct TessUtility
{
	PlannedStmt *plan;
	const char *query_string;
	bool read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *query_env;
	DestReceiver *dest;
	QueryCompletion *completion;
} TessUtility;

extern const TessTable *tess_command_table(const RangeVar *name);
/* True for an index, that of a partitioned table too. */
extern bool tess_is_index(Oid relation);
extern void tess_utility_pass_on(TessUtility *utility);
/* Takes a copy that may be changed: the tree may belong to a cached plan. */
extern void tess_utility_own_tree(TessUtility *utility);

/* command_change.c */

/* Refused, or done to the shell and then repeated for the shards. */
extern void tess_utility_change(TessUtility *utility);
extern void tess_utility_drop(TessUtility *utility);
extern void tess_utility_drop_owned(TessUtility *utility);

/* command_effects.c: what a statement did to our tables without naming them */
extern void tess_effects_init(void);
extern void tess_effects_finish(void);
extern List *tess_effects_take_truncated(void);
extern void tess_effects_forget_part(Oid part);
extern void tess_effects_forget_parts(Oid relation);

/* A table that is altered together with its shards. */
typedef struct TessAltering
{
	Oid relation;
	AttrNumber key_attnum;
	const char *new_key;   /* NULL: the key keeps its name */
	List *others;		   /* OIDs of more such tables */
	bool replaces_indexes; /* those that go are not missed */
} TessAltering;

extern const TessAltering *tess_effects_expect(const TessAltering *altering);

/* command_alter.c: ALTER TABLE and ALTER INDEX */
typedef struct TessAlter TessAlter;
extern Oid tess_alter_lock(const RangeVar *name, LOCKMODE lockmode);
extern TessAlter *tess_alter_begin(const AlterTableStmt *statement);
extern const TessAltering *tess_alter_altering(const TessAlter *alter);
extern void tess_alter_finish(TessAlter *alter);

/* command_rename.c: ALTER TABLE ... RENAME, of what belongs to a table, too */
typedef struct TessRename TessRename;
extern TessRename *tess_rename_begin(const RenameStmt *statement);
extern const TessAltering *tess_rename_altering(const TessRename *rename);
extern void tess_rename_finish(TessRename *rename);

/* command_schema.c: SET SCHEMA of our tables, RENAME of schemas */
typedef struct TessMove TessMove;
extern TessMove *tess_move_begin(const AlterObjectSchemaStmt *statement);
extern const TessAltering *tess_move_altering(const TessMove *move);
extern void tess_move_finish(TessMove *move);
typedef struct TessSchemaRename TessSchemaRename;
extern TessSchemaRename *tess_schema_rename_begin(const RenameStmt *statement);
extern void tess_schema_rename_finish(TessSchemaRename *rename);
extern List *tess_groups_in_schema(Oid namespace);

/* command_partition.c: partitions of our tables */
typedef struct TessPartitioning TessPartitioning;
extern TessPartitioning *tess_partition_begin(const AlterTableStmt *statement);
extern TessPartitioning *tess_partition_before_create(const CreateStmt *create);
extern const TessAltering *tess_partition_altering(const TessPartitioning *work);
extern void tess_partition_finish(TessPartitioning *work);
extern void tess_partition_lock_ancestors(Oid relation, LOCKMODE lockmode);

/* command_owner.c: REASSIGN OWNED, and OWNER of schemas */
typedef struct TessReassign TessReassign;
extern TessReassign *tess_reassign_begin(const ReassignOwnedStmt *statement);
extern const TessAltering *tess_reassign_altering(const TessReassign *reassign);
extern void tess_reassign_finish(TessReassign *reassign);
extern void tess_owner_follow(const Node *statement);

/* command_trigger.c */
typedef struct TessNewTrigger TessNewTrigger;
extern TessNewTrigger *tess_trigger_before_create(const CreateTrigStmt *create);
extern const TessAltering *tess_trigger_altering(const TessNewTrigger *trigger);
extern void tess_trigger_after_create(TessNewTrigger *trigger);
extern Oid tess_trigger_of_shards(Oid trigger, char **name, bool *may_change_key);
extern bool tess_trigger_is_in_shards(const TessTable *table, const char *name);

/* command_copy.c */
extern bool tess_copy_from(CopyStmt *copy, const char *query_string,
						   QueryCompletion *completion);
extern void tess_copy_check_place(const CopyStmt *copy);

/* command_copy_to.c */
extern bool tess_copy_to(CopyStmt *copy, const char *query_string,
						 QueryCompletion *completion);

/* command_output.c */
typedef struct TessOutput TessOutput;
extern TessOutput *tess_output_open(const CopyStmt *copy, int column_count,
									bool binary);
extern void tess_output_put(void *arg, const char *bytes, int length);
extern void tess_output_close(TessOutput *output);

/* command_truncate.c */
extern List *tess_truncate_add_local_shards(TruncateStmt *truncate);
extern void tess_truncate_shards(const List *done_here);

/* command_vacuum.c */
extern void *tess_vacuum_prepare(VacuumStmt *vacuum);
extern void tess_vacuum_finish(void *work, bool in_transaction);

/* command_outside.c */

/* Runs what was added on the nodes, and on this server, each command in
 * transactions of its own.  The list lives in memory that outlives these; no
 * snapshot is active then, nor afterwards.  What an error leaves undone is the
 * caller's to know. */
extern void tess_outside_run(TessWork *work);
/* Commits, and begins another transaction; the memory context stays, which must
 * outlive them. */
extern void tess_outside_next_transaction(void);

/* command_refuse.c */
extern void tess_refuse_command(Node *statement);
extern void tess_refuse_extension_drop(void);

/* command_extension.c: after ALTER EXTENSION ... UPDATE, or SET SCHEMA */
extern void tess_extension_repeat(const Node *statement);
extern void tess_refuse_extension_contents(AlterExtensionContentsStmt *alter);

/* command_refuse_type.c */
extern void tess_refuse_type_change(Node *statement);

/* command_refuse_function.c */
extern void tess_refuse_function_change(Oid function);

/* command_refuse_in_shard.c: what a function that runs in a shard may not do */
extern void tess_refuse_in_shard(Node *statement);

/* command_refuse_replication.c: publications, subscriptions */
extern void tess_refuse_replication(Node *statement);

/* command_rights.c: GRANT, REVOKE, DROP OWNED */
extern void tess_rights_lock(const GrantStmt *grant);
extern void tess_rights_repeat(const GrantStmt *grant);
extern List *tess_rights_before_drop_owned(const DropOwnedStmt *drop);

/* command_repeat.c */
extern char *tess_names_join(List *names);
extern void tess_names_add(List **all, const TessNodeWork *node,
						   const TessTable *table, const char *suffix);
extern TessWork *tess_names_work(List *all, const char *head);
extern List *tess_repeat_template(const TessTable *table, const char *head,
								  const char *object, const char *tail);
extern void tess_repeat_needed_objects(TessWork *work, Oid relation);
extern void tess_comment_repeat(const CommentStmt *comment);

/* command_maintain.c: REINDEX and CLUSTER */
typedef struct TessMaintenance TessMaintenance;
extern TessMaintenance *tess_maintenance_begin(const Node *statement);
/* The same for a table, or index, of ours that is locked. */
extern TessMaintenance *tess_maintenance_of(Oid relation, const Node *statement);
extern const TessAltering *tess_maintenance_altering(
	const TessMaintenance *maintenance);
/* The shell has been done: its shards; those of this server unless core has done
 * them as well. */
extern void tess_maintenance_finish(TessMaintenance *maintenance,
									bool is_done_here);
extern void tess_maintenance_leave_out_local(TessWork *work);
extern bool tess_reindex_is_concurrent(const ReindexStmt *reindex);
extern void tess_reindex_check_options(const ReindexStmt *reindex,
									   const TessTable *table);

/* command_maintain_all.c: REINDEX of schemas and databases, CLUSTER of all tables */
typedef struct TessMaintenanceAll TessMaintenanceAll;
extern TessMaintenanceAll *tess_maintenance_all_begin(const Node *statement);
extern const TessAltering *tess_maintenance_all_altering(
	const TessMaintenanceAll *all);
extern void tess_maintenance_all_finish(TessMaintenanceAll *all);

/* command_statistics.c: CREATE, ALTER and DROP STATISTICS */
typedef struct TessNewStats TessNewStats;
extern TessNewStats *tess_stats_before_create(const CreateStatsStmt *create);
extern const TessAltering *tess_stats_altering(const TessNewStats *statistics);
extern void tess_stats_after_create(TessNewStats *statistics);
extern TessWork *tess_stats_work(List *name, const char *head, const char *tail);
extern TessWork *tess_stats_before_alter(const Node *statement);
extern List *tess_stats_before_drop(const DropStmt *drop);

/* command_constraints.c */
extern void tess_repeat_set_constraints(const ConstraintsSetStmt *set);

/* command_index.c */
extern List *tess_index_before_create(const IndexStmt *create);
extern void tess_index_after_create(const IndexStmt *create,
									const List *old_indexes);
extern List *tess_index_before_drop(const DropStmt *drop);
extern void tess_index_after_drop(List *dropped);
/* The template that makes an index as it is here. */
extern List *tess_index_template(Oid index);
/* What drops an index, by its name in the shards; one that is invalid here need
 * not be in all of them. */
extern TessWork *tess_index_drop_work(const TessTable *table, Oid index,
									  DropBehavior behavior, bool is_concurrent);

/* command_concurrently.c: CREATE INDEX, DROP INDEX and REINDEX CONCURRENTLY.  All
 * may commit. */
typedef struct TessConcurrent TessConcurrent;
extern TessConcurrent *tess_concurrent_create_begin(const IndexStmt *create,
													bool is_top);
extern void tess_concurrent_create_finish(TessConcurrent *concurrent);
extern TessConcurrent *tess_concurrent_drop_begin(const DropStmt *drop,
												  bool is_top);
extern void tess_concurrent_drop_finish(TessConcurrent *concurrent);
extern TessConcurrent *tess_concurrent_reindex_begin(const ReindexStmt *reindex,
													 bool is_top);
extern void tess_concurrent_reindex_finish(TessConcurrent *concurrent);
/* What the shards do of the same for a table that is locked, after the shell. */
extern void tess_concurrent_reindex_shards(Oid relation,
										   const ReindexStmt *reindex,
										   bool is_done_here);
extern const TessAltering *tess_concurrent_altering(
	const TessConcurrent *concurrent);
/* Error if an index is invalid: its shards may not have it. */
extern void tess_index_check_valid(Oid index);
extern bool tess_index_is_valid(Oid index);
/* Before the indexes of a shell are made anew, which would make valid those that
 * are not: they are made dead.  The shell must be locked. */
extern void tess_index_bury_invalid(Oid relation);

#endif
