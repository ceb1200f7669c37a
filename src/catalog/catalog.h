/*
 * catalog.h - rows of the tessera catalogs as structs, and the only code that
 * opens them.
 *
 * Readers scan by index with a catalog snapshot.  Writers insert, update and
 * delete with core's catalog routines (no rights are checked here: callers
 * have done so), end with CommandCounterIncrement, and send the relcache
 * invalidation that makes every backend forget what it believed: of the shell
 * for a row of "table", of the catalog itself for everything else.
 * Lists and structs returned live in the caller's memory context.
 */
#ifndef TESS_CATALOG_H
#define TESS_CATALOG_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

#include "tessera.h"

typedef enum TessTableKind
{
	TESS_DISTRIBUTED = 'd',
	TESS_REFERENCE = 'r'
} TessTableKind;

typedef enum TessStrategy
{
	TESS_HASH = 'h',
	TESS_RANGE = 'r',
	TESS_DIRECTORY = 'd'
} TessStrategy;

/* The row of tessera.cluster; see net/coordinator.c and xact/take_over.c. */
typedef struct TessClusterRow
{
	char *cluster_id;  /* uuid */
	int32 incarnation; /* number of the last take_over() */
	List *decides;	   /* incarnations (char *) whose decisions are all here */
} TessClusterRow;

/* A row of tessera.node. */
typedef struct TessNodeRow
{
	int32 node_id;
	char *name;	  /* what users call it */
	char *server; /* foreign server; NULL: this very server */
	bool is_coordinator;
	bool holds_shards;
	char *zone; /* NULL if none */
	bool active;
} TessNodeRow;

/* A row of tessera.colocation. */
typedef struct TessGroupRow
{
	int32 colocation_id;
	TessStrategy strategy;
	Oid key_type;
	Oid key_collation; /* InvalidOid if the type has none */
	int32 shard_count;
	bool is_default; /* may be joined without being named */
} TessGroupRow;

/* A row of tessera.shard_range.  For hash both bounds are int4, inclusive. */
typedef struct TessRangeRow
{
	int64 shard_id;
	char *lower; /* NULL: unbounded */
	char *upper; /* NULL: unbounded */
} TessRangeRow;

typedef struct TessPlacementRow
{
	int64 shard_id;
	int32 node_id;
	char state; /* 'a' active; others are of reshaping */
} TessPlacementRow;

/* A row of tessera."table". */
typedef struct TessTableRow
{
	Oid relation;
	TessTableKind kind;
	int32 colocation_id;   /* 0 for reference tables */
	char *key_column;	   /* NULL for reference tables */
	TransactionId made_by; /* who wrote the row; not for inserts */
} TessTableRow;

/* A row of tessera.size. */
typedef struct TessSizeRow
{
	int64 pages;
	double rows;
} TessSizeRow;

/* A row of tessera.object: what all nodes hold as this server does. */
typedef struct TessObjectRow
{
	char *type; /* type, identity, names and args as in pg_identify_object() */
	char *identity;
	List *names; /* of char *, as in pg_identify_object_as_address() */
	List *args;
	char *digest; /* of the definition that the nodes have */
} TessObjectRow;

/* A row of tessera.function. */
typedef struct TessFunctionRow
{
	Oid function;
	int key_argument;	 /* position from 1 on among those of a call; 0: no
						  * call is sent to shards */
	int32 colocation_id; /* whose shards have copies; 0: none, all nodes hold
						  * it.  Without a key: triggers call them */
	List *search_path;	 /* of char *: whose tables its body finds */
	bool sets_path;		 /* ... by a SET of its own; else the session's has to
						  * be this one */
	char *schema;	 /* where its copies are: in the shards of this schema, */
	char *signature; /* ... by this name there, with types */
	char *digest;	 /* of the definition they have */
} TessFunctionRow;

/* cat_node.c */
extern List *tess_cat_nodes(void); /* all, by node_id */
extern TessNodeRow *tess_cat_node_by_name(const char *name); /* NULL: none */
extern int32 tess_cat_node_insert(const TessNodeRow *row);	 /* gives node_id */
extern void tess_cat_node_update(const TessNodeRow *row);
extern void tess_cat_node_delete(int32 node_id);

/* cat_cluster.c */
extern TessClusterRow *tess_cat_cluster(void);
extern void tess_cat_cluster_update(const TessClusterRow *cluster);
/* The uuid of this cluster, as text. Made by CREATE EXTENSION. */
extern char *tess_cat_cluster_id(void);
extern char *tess_cat_served_coordinator(void);

/* cat_group.c */
extern TessGroupRow *tess_cat_group(int32 colocation_id); /* NULL: none */
extern int32 tess_cat_group_find_default(TessStrategy strategy, Oid key_type,
										 Oid key_collation, int32 shard_count);
/* inserts the group, its shards (new global ids, in order of lower) and its
 * ranges; *shard_ids gets shard_count ids, palloc'd. */
extern int32 tess_cat_group_insert(const TessGroupRow *row, List *ranges,
								   int64 **shard_ids);
extern void tess_cat_group_delete(
	int32 colocation_id); /* with shards, ranges, placements */
extern List *tess_cat_ranges(int32 colocation_id); /* of TessRangeRow */
/* Until the end of the transaction: ShareLock while a table is added to the
 * group, AccessExclusiveLock while one is removed (which table_insert and
 * table_delete take; who has to look before takes it before). */
extern void tess_cat_group_lock(int32 colocation_id, LOCKMODE mode);

/* cat_placement.c */
extern List *tess_cat_placements(int64 shard_id); /* of TessPlacementRow */
extern void tess_cat_placement_insert(int64 shard_id, int32 node_id);
extern bool tess_cat_node_has_placements(int32 node_id);

/* cat_table.c */
extern TessTableRow *tess_cat_table(Oid relation); /* NULL: a local table */
extern List *tess_cat_tables(void);				   /* all rows */
extern List *tess_cat_tables_of_group(int32 colocation_id); /* of Oid */
extern void tess_cat_table_insert(const TessTableRow *row);
extern void tess_cat_table_delete(Oid relation);
/* The key column is being renamed: takes effect with the next command, as the
 * renaming itself does. */
extern void tess_cat_table_rename_key(Oid relation, const char *key_column);

/* cat_size.c: sizes of distributed tables, for estimates. */
extern bool tess_cat_size(Oid relation, TessSizeRow *size); /* false: none */
extern void tess_cat_size_set(Oid relation, const TessSizeRow *size);

/* cat_object.c: objects of users that all nodes hold. */
extern TessObjectRow *tess_cat_object(const char *type,
									  const char *identity); /* NULL: none */
extern List *tess_cat_objects(void);						 /* all rows */
extern void tess_cat_object_set(const TessObjectRow *row); /* new, or changed */
extern bool tess_cat_object_delete(const char *type, const char *identity);

/* cat_function.c: functions and procedures that shards run. */
extern List *tess_cat_functions(void);					 /* all rows, by name */
extern TessFunctionRow *tess_cat_function(Oid function); /* a row; NULL: none */
extern TessFunctionRow *tess_cat_function_of_group(Oid function,
												   int32 colocation_id);
extern void tess_cat_function_set(const TessFunctionRow *row); /* or changes it */
extern void tess_cat_function_delete(Oid function, int32 colocation_id);

/* cat_commit.c: decisions of two-phase commits. */
extern void tess_cat_commit_record_insert(const char *gid);
extern void tess_cat_commit_records_delete(List *gids); /* of char * */
extern bool tess_cat_commit_record_exists(const char *gid);
/* The gids (char *) of at most limit records that are older, oldest first. */
extern List *tess_cat_commit_records_before(TimestampTz before, int limit);

/* cat_trigger.c ---------------------------------------------------------- */

/* This session restores a dump of the coordinator: it has put rows into
 * "table" by SQL.  What it still does to shells (rows, indexes, constraints,
 * rights) has been done to their shards. */
extern bool tess_cat_is_restoring(void);
/* A warning: restored rows of this distributed table are not read. */
extern void tess_cat_warn_of_rows(const char *table);

#endif
