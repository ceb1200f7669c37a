/*
 * command_internal.h - between the files of command/.
 */
#ifndef TESS_COMMAND_INTERNAL_H
#define TESS_COMMAND_INTERNAL_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
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

/* command_copy.c */
extern bool tess_copy_from(CopyStmt *copy, const char *query_string,
						   QueryCompletion *completion);
extern bool tess_copy_to_rewrite(CopyStmt *copy);

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
extern void tess_comment_repeat(const CommentStmt *comment);

/* command_constraints.c */
extern void tess_repeat_set_constraints(const ConstraintsSetStmt *set);

/* command_index.c */
extern List *tess_index_before_create(const IndexStmt *create);
extern void tess_index_after_create(const IndexStmt *create,
									const List *old_indexes);
extern List *tess_index_before_drop(const DropStmt *drop);
extern void tess_index_after_drop(List *dropped);

#endif
