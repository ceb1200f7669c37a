/*
 * command_internal.h - between the files of command/.
 */
#ifndef TESS_COMMAND_INTERNAL_H
#define TESS_COMMAND_INTERNAL_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "tcop/cmdtag.h"

#include "meta/meta.h"
#include "table/table.h"
#include "tessera.h"

/* command.c */
extern const TessTable *tess_command_table(const RangeVar *name);

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
	const char *new_key; /* NULL: the key keeps its name */
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

/* command_refuse.c */
extern void tess_refuse_command(Node *statement);
extern void tess_refuse_extension_drop(void);

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
extern const TessAltering *tess_maintenance_altering(
	const TessMaintenance *maintenance);
extern void tess_maintenance_finish(TessMaintenance *maintenance);

/* command_statistics.c: CREATE, ALTER and DROP STATISTICS */
typedef struct TessNewStats TessNewStats;
extern TessNewStats *tess_stats_before_create(const CreateStatsStmt *create);
extern const TessAltering *tess_stats_altering(const TessNewStats *statistics);
extern void tess_stats_after_create(TessNewStats *statistics);
extern TessWork *tess_stats_work(List *name, const char *head, const char *tail);
extern List *tess_stats_before_drop(const DropStmt *drop);

/* command_constraints.c */
extern void tess_repeat_set_constraints(const ConstraintsSetStmt *set);

/* command_index.c */
extern List *tess_index_before_create(const IndexStmt *create);
extern void tess_index_after_create(const IndexStmt *create,
									const List *old_indexes);
extern List *tess_index_before_drop(const DropStmt *drop);
extern void tess_index_after_drop(List *dropped);

#endif
