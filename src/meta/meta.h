/*
 * meta.h - what a backend believes about tables, groups and nodes, and when
 * it stops believing it.  Built from catalog/, thrown away by relcache
 * invalidation.
 *
 * Every struct given out stays valid (if perhaps no longer true) until the
 * end of the transaction; nobody writes to them or keeps them longer.  A plan
 * keeps relation OIDs, and asks again at execution.
 */
#ifndef TESS_META_H
#define TESS_META_H

#include "access/attnum.h"
#include "fmgr.h"

#include "catalog/catalog.h"
#include "tessera.h"

typedef struct TessNode
{
	int32 node_id;
	char *name;
	Oid server;	   /* foreign server, InvalidOid for this server */
	bool is_local; /* this very server: tasks run in process */
	bool is_coordinator;
	bool holds_shards; /* gets new shards */
	bool active;
	char *zone;
} TessNode;

typedef struct TessShard
{
	int64 shard_id;
	int index; /* position in TessGroup.shards */
	int node_count;
	int32 *node_ids; /* active placements; node_ids[0] is read */
} TessShard;

typedef struct TessRange
{
	int32 lower; /* hash: inclusive */
	int32 upper; /* hash: inclusive */
	int shard_index;
} TessRange;

/* How a key value becomes a 32-bit hash; owned by the group. */
typedef struct TessHasher
{
	Oid type; /* base type of the key (domains stripped) */
	Oid collation;
	Oid opfamily;  /* hash operator family of the type */
	bool by_label; /* enum: the hash of the label, not of the OID */
	FmgrInfo hash; /* the family's hash function for type */
} TessHasher;

typedef struct TessGroup
{
	int32 colocation_id;
	TessStrategy strategy;
	Oid key_type;
	Oid key_collation;
	TessHasher hasher;
	int shard_count;
	TessShard *shards; /* by order of their first range */
	bool is_here;	   /* this server has some of them */
	int range_count;
	TessRange *ranges; /* sorted, covering all of int4 for hash */
} TessGroup;

/* INSERT, UPDATE and DELETE in a set of them. */
#define TESS_EVENT(command) (1 << (command))

typedef struct TessTable
{
	Oid relation;
	TessTableKind kind;
	char *schema;
	char *name;
	AttrNumber key_attnum; /* 0 for reference tables */
	Oid key_type;		   /* declared type of the column */
	int32 key_typmod;
	Oid key_collation;
	const TessGroup *group; /* NULL for reference tables */
	TransactionId made_by;	/* shards on this server are as old as that */

	/* As of the last ANALYZE or VACUUM; -1: never.  See tessera.size. */
	double known_rows;
	double known_pages;

	/* A local or non-colocated table has a foreign key to this one, which the
	 * shards cannot enforce: rows must not be deleted or change their keys. */
	Oid foreign_referrer; /* that table, or InvalidOid */

	/* Triggers of users: any (of a reference table), or for each row. */
	bool has_triggers;
	bool alters_inserts; /* some are BEFORE INSERT: they make other rows of those
						  * that are sent, or none */
	bool alters_updates; /* ... BEFORE UPDATE */
	bool alters_deletes; /* ... BEFORE DELETE */

	bool is_partitioned; /* its rows are in partitions, each a table of its own */

	/* Of a distributed table: what has triggers FOR EACH STATEMENT, enabled or not. */
	int statement_events; /* TESS_EVENT()s */
} TessTable;

/* A function or procedure that runs in the shard of its key. */
typedef struct TessFunction
{
	Oid function;
	int key_argument; /* index among the arguments of a call */
	char *schema;
	char *name; /* of its copies, too */
	const TessGroup *group;
	List *tables; /* OIDs of the group's, by OID: at least one */
	bool runs_here; /* its body may come upon row security, or statement triggers */
	bool sets_path;
	List *search_path; /* OIDs of the schemas: unless sets_path, the session's
						* has to be this one */
} TessFunction;

/* Fills a hasher for a key type (domains are stripped).  False with a full
 * sentence in *reason if values of it cannot be hashed alike on all servers:
 * no hash operator class, or a hash that depends on OIDs below an enum. */
extern bool tess_meta_hasher_init(TessHasher *hasher, Oid type, Oid collation,
								  MemoryContext context, const char **reason);

/* NULL for tables that are not ours, and wherever tess_is_active() is false.
 * Costs a hash lookup when nothing changed. */
extern const TessTable *tess_meta_table(Oid relation);

/* Adds to tables (OID list, changed) those that row triggers may change when
 * rows of one are written: all of its colocation group. */
extern List *tess_meta_add_triggered(List *tables);

/* True for rows of distributed tables, and arrays of them: each shard has a
 * type of its own, so that no union over shards can have such a column. */
extern bool tess_meta_differs_by_shard(Oid type);

/* Grows whenever a table of ours that was asked for may have changed. */
extern uint64 tess_meta_changes(void);

/* NULL for functions that shards do not run. */
extern const TessFunction *tess_meta_function(Oid function);

/* Errors with 42704 if there is no such node. */
extern const TessNode *tess_meta_node(int32 node_id);

/* All nodes by node_id, the coordinator included: *count of them. */
extern const TessNode *const *tess_meta_nodes(int *count);

/* The nodes new shards may go to, in node_id order: active ones that hold
 * shards; if there is none, this server alone.  List of TessNode *. */
extern List *tess_meta_shard_nodes(void);

/* The other servers that have to have a copy of each reference table: active
 * nodes that are not this server, in node_id order.  List of TessNode *. */
extern List *tess_meta_remote_nodes(void);

/* Quoted name of a table inside a shard: "public_102008".orders. Palloc'd. */
extern char *tess_meta_shard_relation(const TessTable *table, int64 shard_id);

/* shard_call.c: a function runs in a shard ----------------------------------- */

/* Row security of a table, as the coordinator has it: shards and copies have none. */
typedef enum TessSecurity
{
	TESS_NO_SECURITY,
	TESS_SECURITY,
	TESS_FORCED_SECURITY /* for the owner as well */
} TessSecurity;

extern TessSecurity tess_meta_security(Oid relation);

/* What a server is told of the shard whose copy of a function it executes, by
 * a setting of the copy (tessera.shard_call). */
typedef struct TessShardCall
{
	int64 shard_id;
	List *tables;	   /* TessCallTable * */
	TessRange *ranges; /* covering all of int4; index 0 is this shard */
	int range_count;
} TessShardCall;

/* A table of the shard; or a reference table, of which only row security is told. */
typedef struct TessCallTable
{
	char *schema; /* of the shard */
	char *name;
	char *key_column;		/* "": it is a reference table */
	List *missing_defaults; /* char *: columns whose default is not here */
	TessSecurity security;
	int statement_events; /* changes that fire triggers of the coordinator */
} TessCallTable;

/* The text of the setting; unquoted. */
extern char *tess_shard_call_write(const TessShardCall *call);

/* The other way round, in the current context. */
extern const TessShardCall *tess_shard_call_read(const char *text);

/* True while a function of a shard is executed. */
extern bool tess_in_shard_call(void);
/* What is executed now; NULL: nothing of a shard.  It stays until it is unpinned,
 * which has to come, after errors too. */
extern const TessShardCall *tess_shard_call_pin(void);
extern void tess_shard_call_unpin(const TessShardCall *call);

/* The call's table behind a relation of this server; NULL: none of them. */
extern const TessCallTable *tess_shard_call_table(const TessShardCall *call,
												  Oid relation);

/* A group whose shard 0 is that of the call, for a type of key.  Stays as long
 * as the call does. */
extern const TessGroup *tess_shard_call_group(const TessShardCall *call,
											  Oid key_type, Oid key_collation);

/* From here to the end, tess_meta_table() knows the shard's tables, as if they were
 * distributed, and no others.  Errors end it too. */
extern void tess_shard_call_show(const TessShardCall *call);
extern void tess_shard_call_hide(void);

/* True for the schema of any shard on this server. */
extern bool tess_is_shard_schema(Oid schema);

extern void tess_meta_init(void);

#endif
