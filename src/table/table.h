/*
 * table.h - a local table becomes distributed or reference, and back.
 */
#ifndef TESS_TABLE_H
#define TESS_TABLE_H

#include "meta/meta.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/reltrigger.h"
#include "tessera.h"

/* Drops the shards (or the copies on nodes) of a table and forgets it in the
 * catalogs; the shell itself is the caller's.  Works after the shell is gone
 * from pg_class: schema and name are the caller's to know. */
extern void tess_table_drop_shards(Oid relation, const char *schema,
								   const char *name);

/* Brings all reference tables to a new node, with rows, in this transaction. */
extern void tess_table_copy_references(int32 node_id);

/* table_partition.c: OIDs of a table and of all its partitions, of all levels, each
 * before its own; locked so. */
extern List *tess_table_tree(Oid relation, LOCKMODE lockmode);
/* True for two of one such tree. */
extern bool tess_table_are_kin(Oid relation, Oid other);

/* table_distribute.c: a partition that a distributed table has got, with all
 * that are its own and their rows, is distributed as that table is.  Errors with
 * 0A000 if it cannot be. */
extern void tess_table_distribute_partition(Oid partition);

/* Keeps writers away from all reference tables until commit (ShareLock): who
 * comes then sees the nodes as this transaction leaves them. */
extern void tess_table_lock_references(void);

/* Until commit: AccessShareLock by who tells nodes the name of a schema that they
 * are to have, AccessExclusiveLock by who renames it.  After the locks on tables. */
extern void tess_schema_lock(Oid namespace, LOCKMODE mode);

/* Constraints of a table of ours that its shards or copies cannot keep are
 * errors: unique and exclusion constraints without the key (42P16), foreign keys
 * to other places (0A000). */
extern void tess_table_check_constraints(Relation rel);

/* table_work.c: statements for the shards or copies of tables, by node, sent
 * in one round trip. */

typedef struct TessNodeWork
{
	int32 node_id;
	bool is_local;
	int shard_count; /* 0: the node has a copy of a reference table */
	int64 *shard_ids;
	List *commands; /* of char * */
} TessNodeWork;

typedef struct TessWork
{
	int count;
	TessNodeWork *nodes;
} TessWork;

/* All shards of a group; no statements yet.  Caller's context. */
extern TessWork *tess_work_of_group(int32 colocation_id);
/* All shards, or all copies but this server's own.  Caller's context. */
extern TessWork *tess_work_of_table(const TessTable *table);
/* Nodes (list of TessNode *), each once and without shards. */
extern TessWork *tess_work_of_nodes(List *nodes);
/* The table's qualified, quoted names on a node: list of char *. */
extern List *tess_work_names(const TessNodeWork *node, const TessTable *table);
/* Adds a statement, for every other server. */
extern void tess_work_add(TessWork *work, const char *sql);
/* Adds templates, for every shard or copy. */
extern void tess_work_add_templates(TessWork *work, List *templates);
/* Adds the schemas of the shards, for tables of a source schema, with the
 * rights that it has; those of this server are made at once. */
extern void tess_work_create_schemas(TessWork *work, const char *schema);
/* Adds the renaming of the schemas of the shards; those of this server are
 * renamed at once.  Who may rename the source schema may do it. */
extern void tess_work_rename_schemas(TessWork *work, const char *old_name,
									 const char *new_name);
/* Adds the drop of a table in all shards (or copies), and of the shards' schemas
 * where nothing is left in them.  Those of this server are dropped at once. */
extern void tess_work_drop(TessWork *work, const char *schema, const char *name,
						   bool drop_schemas);
/* Runs what was added, in this transaction, and forgets it. */
extern void tess_work_run(TessWork *work);

/* Called when a table has joined a group, rows and all; and when one has left it
 * (false): its shards are dropped, and the group's schemas are still there.  Set
 * by who has things in them; may be NULL. */
extern void (*tess_table_group_hook)(Oid relation, int32 colocation_id,
									 bool joined);

/* table_trigger.c: errors with 0A000 if the shards, or copies, of such a table
 * cannot have a trigger of a user. */
extern void tess_table_check_trigger(Relation rel, const Trigger *trigger,
									 TessTableKind kind);

extern void tess_table_init(void);

#endif
