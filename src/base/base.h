/*
 * base.h - PostgreSQL only: names, version differences, fault points, and
 * whether the extension is there.  Knows neither shards' places nor nodes.
 */
#ifndef TESS_BASE_H
#define TESS_BASE_H

#include "access/htup.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "postmaster/bgworker.h"
#include "storage/lockdefs.h"
#include "storage/lwlock.h"
#include "utils/elog.h"
#include "utils/relcache.h"

#include "tessera.h"

/* names.c */

/* "<schema>_<shard_id>", cut and hashed when it would exceed NAMEDATALEN - 1
 * bytes (never inside a multibyte character).  Palloc'd, not quoted. */
extern char *tess_shard_schema_name(const char *schema, int64 shard_id);

/* schema.name, both quoted where they need it.  Palloc'd. */
extern char *tess_quote_qualified(const char *schema, const char *name);

/* The schema-qualified and quoted name of a relation.  Palloc'd; errors with
 * 42P01 if the relation is gone. */
extern char *tess_relation_qualified_name(Oid relation);

/* " OPERATOR(schema.=) ", which means this operator under any search_path. */
extern void tess_operator_append(StringInfo text, Oid oid);

/* "a", "b", "c": names (char *) for messages.  Palloc'd. */
extern char *tess_name_list(List *names);

/* catalog_rows.c */

/* The row of pg_trigger, the caller's; invalid if the trigger is gone. */
extern HeapTuple tess_copy_trigger(Oid trigger);
/* True if pg_depend knows anything that depends on an object. */
extern bool tess_is_depended_on(Oid class, Oid object);

/* cascades.c */

/* Adds to tables (OID list, changed) those that foreign keys take along when
 * rows of relation go (unless they are only_updated) or get other keys, and
 * theirs in turn; not those that are only looked at.  Locks each AccessShare, to
 * the end of the transaction. */
extern List *tess_relation_cascades(List *tables, Oid relation,
									bool only_updated);

/* A foreign key that refers to a table. */
typedef struct TessReferrer
{
	Oid constraint;
	Oid relation;	/* that refers */
	Oid to;			/* the table itself */
	char on_update; /* FKCONSTR_ACTION_* */
	char on_delete;
	int count; /* of its columns */
	AttrNumber columns[INDEX_MAX_KEYS];
	AttrNumber referenced[INDEX_MAX_KEYS];
	Oid operators[INDEX_MAX_KEYS]; /* referenced = column */
} TessReferrer;

/* Foreign keys that refer to an open table; TessReferrer *, palloc'd. */
extern List *tess_relation_referrers(Relation rel);
/* True if it does more than to check, or comes from the table itself: then a row
 * that changes cannot be deleted and inserted. */
extern bool tess_referrer_acts(const TessReferrer *referrer);

/* types.c */

/* True for aliases of oid (regclass, regtype ...): their values stand for
 * objects of one server, by an OID that another server gives to others.
 * Does not look into domains, arrays and composites. */
extern bool tess_type_names_objects(Oid type);
/* True for these, domains over them and arrays of them: what a table of ours
 * has of such a type is an OID of the coordinator, on all servers, and goes
 * there and back as a number.  (A composite type's fields go by name.) */
extern bool tess_type_is_number(Oid type);
/* The type whose text form has the numbers: oid, oid[]; type itself if it is
 * none of those above. */
extern Oid tess_type_written(Oid type);
/* The value of such a type as one of tess_type_written(type). */
extern Datum tess_value_written(Oid type, Datum value);
/* Back from it. */
extern Datum tess_value_read(Oid type, Datum value);
/* True if a function, cast or aggregate does more with such values than to
 * carry and compare them: it may look for what they stand for.  Constants are
 * no such values: they are written by name.  Looks at this node alone. */
extern bool tess_looks_at_names(Node *node);

/* function_path.c */

/* The value of SET search_path of a function (a tuple of pg_proc), NULL if it has
 * none.  Palloc'd; who takes it apart may write to it. */
extern char *tess_function_search_path(HeapTuple function);

/* plan_walk.c */

/* Calls visit for each node of the plan and of its subplans, each before those
 * below it. */
extern void tess_plan_walk(const PlannedStmt *stmt,
						   void (*visit)(Plan *plan, void *arg), void *arg);

/* extension.c */

/* OID of the extension in this database, InvalidOid if it is not installed
 * (or is being created by this very transaction).  Cached; cheap. */
extern Oid tess_extension_oid(void);

/* Role that owns the extension.  Errors if the extension is not there. */
extern Oid tess_extension_owner(void);

/* False where no hook of ours may do anything: extension absent or just being
 * created or updated, bootstrap, no transaction, binary upgrade. */
extern bool tess_is_active(void);

/* OID of a relation of schema tessera ("node", "placement", ...) or, if there is
 * none, tessera_internal.  Cached until the extension is dropped. */
extern Oid tess_catalog_relation_oid(const char *name);

/* explaining.c */

/* True while an EXPLAIN statement is being executed: what nodes are told, and how
 * they plan it, is to be shown. */
extern bool tess_is_explaining(void);

/* attempt.c */

/* Runs an action that may fail in a subtransaction of its own.  NULL if it
 * succeeded, else its error, in the caller's context.  Cancel, timeouts and
 * termination are not caught. */
extern ErrorData *tess_attempt(void (*action)(void *arg), void *arg);

/* In PG_CATCH: raises the error again, with this hint if it has none and is no
 * cancel or the like.  Context is that of before PG_TRY. */
extern void tess_error_raise_again(MemoryContext context, const char *hint)
	pg_attribute_noreturn();

/* arguments.c */

/* Errors with 22004 and the hint if an argument is NULL. */
extern void tess_argument_refuse_null(FunctionCallInfo fcinfo, int argument,
									  const char *name, const char *hint);

/* The table that an argument "relation" names: regclass, or text that is read
 * as regclass reads it.  A regclass may be of a table that is not there; text
 * that names none errors as regclass does, with a hint (42P01, 3F000, 42602,
 * 42601, 0A000, 42501), and NULL with 22004.  No lock. */
extern Oid tess_argument_relation(FunctionCallInfo fcinfo, int argument);

/* The same for a name from elsewhere, and with a lock; hint NULL: one that goes
 * with the error. */
extern Oid tess_relation_by_name(const char *name, LOCKMODE lockmode,
								 const char *hint);

/* One row, as the function returns it: so many values, none of them NULL. */
extern Datum tess_result_row(FunctionCallInfo fcinfo, int count, Datum *values);

/* rights.c */

/* Error with 42501 if the current user may not change what the cluster is made
 * of, or not look at the nodes. */
extern void tess_right_check_manage(const char *function);
extern void tess_right_check_look(const char *function);

/* shared_memory.c */

/* A piece of the memory that all processes share, zeroed when it is new.  attach
 * is called in each process that gets to know it; is_new: nobody has it yet. */
typedef struct TessSharedPiece
{
	const char *name;
	Size (*size)(void);
	void (*attach)(void *memory, bool is_new);
	const char *lock_name; /* of an LWLock that goes with it; NULL: none */
} TessSharedPiece;

extern void tess_shared_memory_add(const TessSharedPiece *piece);
extern LWLock *tess_shared_memory_lock(const TessSharedPiece *piece);

/* worker.c */

/* A worker that is started once, for a database, which its argument is. */
extern void tess_worker_describe(BackgroundWorker *registration,
								 const char *function, const char *name,
								 Oid database);

/* fault.c: named places where a test may make a session fail.
 * tessera.fault_points (superuser) = 'name:error,name:kill,name:wait,...';
 * a third part is the hit that counts, as in 'name:error:2' */
extern void tess_fault_hit(const char *name);
extern bool tess_faults_armed; /* true if the setting is not empty */
#define TESS_FAULT_POINT(name) \
	do \
	{ \
		if (unlikely(tess_faults_armed)) \
			tess_fault_hit(name); \
	} while (0)

/* context.c: switches that callers turn off and on around work.  All are
 * undone on error by PG_TRY of the caller through the returned nest level. */

/* Pins the settings that change how values and SQL text are written and read
 * (DateStyle ISO, IntervalStyle postgres, extra_float_digits 3, search_path
 * pg_catalog, ...).  Ends with AtEOXact_GUC(true, level). */
extern int tess_settings_pin(void);

extern void tess_base_init(void);

#endif
