/*
 * task.h - the contract between plan/ and exec/: data only.
 *
 * A template is a list whose members are either a String (text as it is) or
 * a one-element List of a String (a slot: the name of a source schema, to be
 * replaced by the quoted name of that schema in the shard).  Table names and
 * the dot before them are text.  It may be copied and stored in a plan.
 *
 * A fragment says what is to be sent where.  It is an ExtensibleNode and is
 * the first member of a CustomScan's custom_private.  Everything that has to
 * be evaluated stands in custom_exprs: first the parameters $1 .. $n of the
 * template, then (if has_prune) the prune expression.  Parameters that bring
 * rows of a child plan follow these in param_types alone.
 */
#ifndef TESS_TASK_H
#define TESS_TASK_H

#include "nodes/extensible.h"
#include "nodes/nodes.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"

#include "tessera.h"

/* Names in core's registry of custom scan methods (GetCustomScanMethods). */
#define TESS_SCAN_METHODS "TesseraScan"
#define TESS_MODIFY_METHODS "TesseraModify"
#define TESS_REPEAT_METHODS "TesseraRepeat"
/* Over an Agg some of whose aggregates are tessera_internal.combine.  First
 * member of custom_private: for each of these the Aggref whose states it
 * combines, without arguments, but with its aggno. */
#define TESS_COMBINE_METHODS "TesseraCombine"
/*
 * Rows that are locked up to a LIMIT.  TesseraLock stands on a TesseraScan that
 * locks the rows whose keys TesseraCandidates ships to it, and gives them in the
 * order of the last column, their position, an int8.  TesseraCandidates stands on
 * a TesseraScan of keys, in order: custom_exprs is how many rows are wanted (int8;
 * NULL: all), the first member of custom_private are the equalities of the key's
 * columns (OID list); its last column is the position.
 */
#define TESS_LOCK_METHODS "TesseraLock"
#define TESS_CANDIDATES_METHODS "TesseraCandidates"

#define TESS_FRAGMENT_NAME "TessFragment"

typedef enum TessTarget
{
	TESS_TO_SHARDS,	   /* one task for each shard that pruning leaves */
	TESS_TO_ONE_SHARD, /* the one pruning leaves; if it leaves none, that of
						* NULL: no row matches anywhere, but one may be
						* inserted there */
	TESS_TO_ALL_COPIES /* reference table: this server, then each node */
} TessTarget;

/* Where an output column of a fragment's scan comes from. */
#define TESS_FROM_WHOLE_ROW (-1)
#define TESS_FROM_TABLEOID (-2)
#define TESS_FROM_SHARD_INDEX \
	(-3) /* int4 index of the task's shard in its group */
/* The ctid, with the shard in it (route/); the node's own is ctid_column. */
#define TESS_FROM_CTID (-4)
/* Modify only: the child's column n, for RETURNING. */
#define TESS_FROM_CHILD(n) (-10 - (n))
#define TESS_CHILD_COLUMN(source) (-10 - (source))

typedef struct TessFragment
{
	ExtensibleNode extensible;

	CmdType command; /* what the template is: SELECT (which may write, in
					  * WITH), INSERT, ... */
	TessTarget target;
	Oid anchor;		 /* a table of the group (or the reference table) */
	List *relations; /* OIDs of our tables it covers; the anchor too */
	List *changed;	 /* ... of those that it changes; NIL: it only reads */

	List *template;	   /* see above */
	List *param_types; /* OID list */
	bool has_prune;	   /* custom_exprs ends with a prune expression */

	/*
	 * NIL, or two Strings: what stands before and after the template.  What is
	 * sent to a node is one statement for all of its shards, in which their
	 * texts stand as a union between the two.
	 */
	List *frame;
	bool is_fenced; /* nothing moves from the frame into the shards' texts */

	/*
	 * A join with rows that are computed here: columns of the child plan
	 * (custom_plans), whose values are the last parameters, one array a column;
	 * before these, the number of a stash of the node (int8) that has those rows
	 * which did not fit in ship_limit_kb of memory; NULL: all did.  The frame joins what
	 * the shards have (the outer side) with them.
	 *
	 * With a key, a row meets only rows of the shard that this value of the
	 * group's key belongs to, and none if it is NULL.  Then each shard has a
	 * statement of its own, with the rows that belong to it.
	 */
	List *shipped;	 /* int list: positions in the child's target list */
	int shipped_key; /* such a position; -1: rows go to all shards */
	JoinType shipped_join;
	int ship_limit_kb;

	/* Of some of these columns (again positions in the child's target list) the least
	 * and the greatest value come as parameters as well, behind the arrays, as the
	 * comparison function of a btree class has it: the template reads no rows
	 * beyond them. */
	List *bounded;			/* int list */
	List *bound_functions;	/* OID list */
	List *bound_collations; /* OID list */

	/* Columns of the node's result, in order. */
	List *column_types;		 /* OID list */
	List *column_typmods;	 /* int list */
	List *column_collations; /* OID list */

	/* For each member of custom_scan_tlist: index of the node's column, or
	 * one of TESS_FROM_*.  NIL: they are the same. */
	List *sources;
	/* With TESS_FROM_WHOLE_ROW: for each attribute of the relation, the index
	 * of the node's column, -1 for dropped ones. */
	List *whole_row;
	Oid row_type; /* its composite type */
	/* With TESS_FROM_CTID: index of the node's column. */
	int ctid_column;

	/*
	 * Order of the rows; NIL: any.  The template then ends with the ORDER BY
	 * that gives it in each shard, and the scan merges what comes.  Each
	 * sort column is also a column of the scan.  The operators are "<" or ">"
	 * of the default btree class of the column's type, and the collation is
	 * the column's own, so that ORDER BY by number means the same over a union
	 * of shards.
	 */
	List *sort_columns;		/* int list: indexes of the node's columns */
	List *sort_operators;	/* OID list */
	List *sort_collations;	/* OID list */
	List *sort_nulls_first; /* int list of booleans */
	/* Number n of the parameter $n, an int8, that says how many rows of the scan
	 * are wanted at most (NULL: all), as LIMIT $n of the template does for a
	 * shard; 0: no limit. */
	int limit_param;
	/* Number n of the parameter $n, a tid[] of ctids with shards in them: each shard
	 * gets its own of these, as it knows them, and one that has none is not asked; 0:
	 * there is none. */
	int ctids_param;

	bool locks_rows; /* FOR UPDATE ... travels in the template */
	/* A part of the same statement changes the table: the rows are asked for before
	 * that, and kept. */
	bool reads_changed;
	/* The statement calls functions that may read anything under its snapshot. */
	bool calls_functions;
	Oid function; /* the statement is nothing but a call of the shard's copy of this
					  * one, which the user has to have the right to; or InvalidOid */
	bool sets_count; /* es_processed is the sum of the nodes' counts */
	Oid role;		 /* InvalidOid: who starts the statement */

	/*
	 * Not 0: the plan is this fragment and nothing else, for one shard, which may
	 * run it as a statement of its own.  The number is the plan's in this
	 * backend; its copies have the same, and the same text.
	 */
	int64 number;

	/* Modify only: see TessFragment use in modify plans below. */
	struct TessModifySpec *modify; /* NULL for scans; copied with the node */
} TessFragment;

#define TESS_MODIFY_SPEC_NAME "TessModifySpec"
#define TESS_WRITE_NAME "TessWrite"

/*
 * TesseraModify: the child plan (custom_plans) computes rows on this server;
 * each makes one row of one or more writes.
 *
 * Where the statement finds rows of the target (all but INSERT), the child's
 * first columns are the shard index (int4) and ctid (tid) of the row that was
 * found and locked; both are NULL where MERGE found none.  A row that is found
 * twice is written once; for MERGE, that is an error.
 *
 * With resolves_conflicts it is an INSERT whose ON CONFLICT DO UPDATE is computed
 * here.  Its writes are those of upsert.c: what finds and locks the rows that
 * conflict, by the values in its columns; what changes them; what inserts rows
 * that cannot conflict; and what inserts those that might, unless they do.
 * custom_exprs are two Lists, WHERE and SET of DO UPDATE, over the scan's tuple.
 *
 * TesseraRepeat: the child (lefttree) is core's plan of a change of this
 * server's copy of a reference table.  There is a write for each command that
 * its rows may be changed by; its head is the statement that changes one row of
 * another copy.  The parameters of all of them are the row's old key_columns,
 * then its new value_columns.
 */
typedef struct TessModifySpec
{
	ExtensibleNode extensible;

	List *writes;		 /* TessWrite *, in the order in which they are sent */
	bool finds_rows;	 /* see above */
	int action_position; /* child column (int4): the action of MERGE; or -1 */
	int partition_position; /* ... (oid): the partition of the row that was found,
							 * by its OID in the shard; or -1 */
	bool has_returning;
	bool reads_first;  /* finish the child before the first write ... */
	bool reads_shards; /* ... unless its scans leave room for writes */
	/* INSERT: conflicts are resolved here.  Columns of the scan's tuple. */
	bool resolves_conflicts;
	int shard_position;
	int ctid_position;
	/* what SET must leave equal: indexes in it, and the columns as they were */
	List *kept_assigned;
	List *kept_positions;
	/* INSERT, where other parts of the statement insert into the table too, and one
	 * may update what it conflicts with: the columns that conflicts are about
	 * (attribute numbers), and where the child has them; -1: they are NULL */
	List *part_columns;
	List *part_positions;
	bool part_updates; /* it may update rows */
	bool part_is_sure; /* each of its rows is written, or it fails */
	/* WithCheckOption *, without conditions, of row security; these are the last
	 * of custom_exprs, over the scan's tuple.  And where the row that is written has
	 * each column of that tuple: in the child's row, or (-1) it is NULL */
	List *policies;
	List *policy_sources;
	/* resolves_conflicts: the same for the row that DO UPDATE makes: in SET, or
	 * (-1) it is the column that was found */
	List *policy_assigned;
	/* TesseraRepeat: attribute numbers */
	List *key_columns;
	List *value_columns;
} TessModifySpec;

/* Of which rows of the child a write is. */
typedef enum TessWriteRows
{
	TESS_WRITE_ALL,
	TESS_WRITE_STAYING, /* the new key belongs to the shard of the row */
	TESS_WRITE_MOVING
} TessWriteRows;

/*
 * A form of statement that rows are sent with.  The statement for n rows is
 *   INSERT: head, n times "(values)" separated by commas, tail; where the head
 *     ends with "VALUES ", another source of such rows may stand there instead
 *   UPDATE, DELETE: head, n times "(number, ctid, values)", tail
 *   SELECT (of what conflicts): head, n times "(number, values)", tail
 * where parameters of the tail are $1..$t (custom_exprs) and those of the rows
 * follow; the number is a literal, there only if the write returns rows.
 * row_casts gives the text after each row parameter ("::pg_catalog.int4", or
 * "" for INSERT).  The node returns fragment.column_types; if the statement finds
 * rows, or resolves conflicts, the last of these columns is the number of the row (for an INSERT, no
 * matter what).
 *
 * INSERT goes to the shard of the new key, the others to that of the row.
 */
typedef struct TessWrite
{
	ExtensibleNode extensible;

	CmdType command;
	TessWriteRows rows;
	int action;		  /* of MERGE; 0: any */
	bool counts;	  /* its rows are rows of the statement */
	bool returns;	  /* ... and of RETURNING */
	List *columns;	  /* int list: attribute numbers that get values */
	List *positions;  /* int list: child columns of a row's parameters */
	List *row_types;  /* OID list: types of a row's parameters */
	List *row_casts;  /* String list */
	List *head;		  /* template */
	List *tail;		  /* template */
	int key_position; /* child column of the new key; -1: NULL */
	/* rows that move: a table with triggers that would have to see them as updated
	 * ones, so that none may; or InvalidOid */
	Oid hidden_from;
	/* INSERT of rows that move: attribute numbers that rows of other tables refer
	 * to (int list), and child columns that have their old values */
	List *old_columns;
	List *old_positions;
	/* ON CONFLICT DO UPDATE: indexes in columns of what conflicts are about;
	 * NIL where no row can conflict with another */
	List *conflict_positions;
	bool has_opaque_conflict; /* ... are about something else (too) */
	/* rows for this server are not to wait, since computing the next one may
	 * read them */
	bool sends_here_at_once;
	/* computing them writes nothing on this server but sequences */
	bool sequences_only;
	/* INSERT: many rows may go as COPY */
	bool may_copy;
} TessWrite;

/* Statement triggers of distributed tables that a plan has the coordinator fire. */
typedef struct TessFired
{
	List *tables; /* OIDs, in the order in which they fire */
	List *events; /* int list, parallel: TESS_EVENT()s */
} TessFired;

extern void tess_fired_attach(PlannedStmt *stmt, const TessFired *fired);
/* False: none. */
extern bool tess_fired_of(const PlannedStmt *stmt, TessFired *fired);

extern TessFragment *tess_fragment_make(void);
extern TessModifySpec *tess_modify_spec_make(void);
extern TessWrite *tess_write_make(CmdType command);

/* The SQL of a template for a shard.  Palloc'd. */
extern char *tess_template_sql(const List *template, int64 shard_id);

/* Registers the nodes with core, so that copyObject etc. know them. */
extern void tess_task_init(void);

#endif
