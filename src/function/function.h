/*
 * function.h - functions and procedures that run in the shard of their key.
 */
#ifndef TESS_FUNCTION_H
#define TESS_FUNCTION_H

#include "nodes/parsenodes.h"

#include "tessera.h"

/* After a utility statement: what it did to functions that shards run is done to
 * their copies.  Errors of nodes are errors. */
extern void tess_functions_after(Node *statement);

/* A schema has got another name; a table of a group (0: a reference table) has
 * another schema.  What the bodies of functions found by plain names they find:
 * the paths are changed, and tess_functions_after() renews the copies. */
extern void tess_functions_schema_renamed(const char *old_name, const char *name);
extern void tess_functions_table_moved(int32 colocation_id,
									   const char *old_schema,
									   const char *schema);

/* Row triggers of a distributed table, which the caller has locked as for CREATE
 * TRIGGER.  By OID: they are made in the shards, with copies of their functions;
 * those that are there are replaced.  By name (char *): dropped there. */
extern void tess_triggers_create(Oid relation, const List *triggers);
extern void tess_triggers_drop(Oid relation, const List *names);

/* True if a trigger of the table may change keys, so that shards have to check
 * them; and: they check, or stop it, where that has changed. */
extern bool tess_triggers_may_change_key(Oid relation);
extern void tess_triggers_guard_key(Oid relation, bool is_guarded);

extern void tess_function_init(void);

#endif
