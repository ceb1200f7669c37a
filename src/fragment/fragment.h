/*
 * fragment.h - a query becomes another one with the same result, in which each
 * part that the shards can answer for themselves stands as a fragment.  What may
 * be sent to a node, and where rows live, is decided here; how the rest is
 * planned, in plan/.
 */
#ifndef TESS_FRAGMENT_H
#define TESS_FRAGMENT_H

#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

#include "meta/meta.h"
#include "tessera.h"

/* A statement on its way through the planner. */
typedef struct TessJob
{
	Query *parse;
	const char *query_string;
	int cursor_options;
	ParamListInfo bound_params;
	struct TessSurvey *survey;
	bool changes_key;	/* rows may have to go to other shards */
	const char *reason; /* why the last strategy gave up */
	bool is_shared;		/* for any values of its parameters; or not at all */
	/* several parts insert into the target, and by these columns (int list) one
	 * may conflict with another's rows, and update them */
	List *part_columns;
} TessJob;

/* survey.c: which tables does a statement name, and how? ----------------- */

typedef struct TessSurvey
{
	List *distributed;		 /* RangeTblEntry * of the tree, read or written */
	List *references;		 /* same, of reference tables */
	bool has_local;			 /* any other relation is read or written */
	const TessTable *target; /* of the top level, if it is ours */
	Oid nested_target;		 /* ours, changed below the top level */
	List *changed;			 /* OIDs of all of ours that are changed */
	bool has_security;		 /* row security, barriers, check options */
	bool has_other_role;	 /* some table is read as another role */
	bool locks_reference;	 /* FOR UPDATE/SHARE over a reference table */
	bool locks_distributed;	 /* ... over a distributed one */
	bool has_current_of;
	bool has_functions; /* in FROM, that are not built in */
} TessSurvey;

extern TessSurvey *tess_survey_make(Query *parse);
#define tess_survey_is_ours(survey) \
	((survey)->distributed != NIL || (survey)->references != NIL)

/* True for the entry of a distributed table itself. */
extern bool tess_is_distributed(const RangeTblEntry *rte);
/* True if a query, an expression or a list of these names one at any level. */
extern bool tess_reads_distributed(Node *node);
/* known_rows.c: many rows of VALUES that could be shipped by columns. */
extern bool tess_are_many_values(const RangeTblEntry *rte);

/* The relations of a query level that are in FROM or its target. */
extern Bitmapset *tess_survey_used(Query *query);

/* What a change is for statement triggers: TESS_EVENT()s. */
extern int tess_events_of_change(const Query *query);

/* row_marks.c: an entry whose scan asks the nodes before the statement writes. */
extern void tess_mark_early(RangeTblEntry *rte);
extern bool tess_mark_is_early(const RangeTblEntry *rte);
extern bool tess_mark_is_contested(const RangeTblEntry *rte);

/* partitions.c: makes partitioned tables of ours in a tree look to core like plain
 * ones, where nothing asks for the partition of a row.  Errors with 0A000 if
 * that is asked of a table that the statement changes. */
extern void tess_fold_partitions(const TessSurvey *survey, Query *query);

/* inherited.c: functions that read under the statement's own snapshot. */
extern bool tess_calls_inheriting(Query *query);
extern void tess_mark_inheriting(PlannedStmt *stmt);

/* facts.c: "equals" of the key's hash family, under the key's collation rules. */
extern bool tess_is_key_equality(const TessTable *table, Oid opno, Oid collation);

/* locus.c: values that are equal and not the same, as 1.0 and 1.00. */
extern bool tess_has_equal_variants(Oid type, Oid collation);

/* travel.c: may an expression be evaluated on a node? -------------------- */

/* What nodes know beyond what is built in: user-defined types and collations
 * of the columns of our tables. */
typedef struct TessTravel
{
	List *types;	  /* OID list */
	List *collations; /* OID list */
	bool sublinks;	  /* subqueries may be sent */

	/* while a walk is in a query */
	List *queries;	 /* Query *, it and those around it */
	bool makes_json; /* ... of the expression that is next */
} TessTravel;

extern void tess_travel_add(TessTravel *travel, Oid relation);
extern bool tess_travels(const TessTravel *travel, Node *node);
extern bool tess_type_travels(const TessTravel *travel, Oid type);
/* written.c: True if the value of that argument, from 0 on, decides whether a call of
 * the function travels. */
extern bool tess_travels_by_value(Oid function, int argument);
/* A built-in function whose result another server does not give, though it is
 * called immutable. */
extern bool tess_hashes_names(Oid function);

/* partial_aggregate.c: aggregates in two phases --------------------------- */

/* True if the result of an aggregate is its transition state. */
extern bool tess_partial_is_plain(const Aggref *aggref);
/* The expression for a node that gives the state of an aggregate over the
 * node's rows: of the state's type, or bytea (serialized) if that is internal.
 * NULL if the aggregate cannot be split.  Whether it travels is not asked. */
extern Expr *tess_partial_make(const Aggref *aggref);
/* The aggregate that a call is about: of a call that tess_partial_make made,
 * the one it stands for.  InvalidOid if that is not known. */
extern Oid tess_partial_subject(const Aggref *aggref);
/* True if any of the functions that an aggregate is made of has a property. */
extern bool tess_partial_has_function(Oid aggregate,
									  bool (*has_property)(Oid function));

/* body.c: does a function in SQL or PL/pgSQL use nothing that nodes may have
 * another of? */
extern bool tess_body_is_alone(Oid function);

/* bind.c: what is computed here, once, and sent as a parameter. ---------- */

typedef struct TessBindings
{
	const TessTravel *travel;
	List *exprs;	/* $1, $2, ... of the template */
	bool in_branch; /* inside CASE or COALESCE */
	/* Subqueries that do not depend on rows are run here; what core computes
	 * those by that give values to several columns. */
	bool runs_subqueries;
	List *row_subqueries; /* TargetEntry * of a MULTIEXPR_SUBLINK */
} TessBindings;

/* A copy of node (an expression, list or Query) in which all that does not
 * depend on rows and may not travel as it is has become a parameter. */
/* $number of a statement. */
extern Param *tess_make_param(Oid type, int number);
extern Node *tess_bind(TessBindings *bindings, Node *node);
extern List *tess_binding_types(const TessBindings *bindings);
/* A function of users in C: it makes up values, and reads no tables. */
extern bool tess_function_is_in_c(Oid function);

/* No rows, no aggregates, nothing volatile: has one value per execution. */
extern bool tess_is_row_independent(Node *node);
/* Same for the rows of a subquery, and what it compares with them. */
extern bool tess_is_row_independent_subquery(SubLink *sublink);

/* pin.c: is a whole statement bound to one value of the key? -------------- */

/* The prune expression all distributed tables of the tree are bound by, for
 * *anchor; NULL if there is none. */
extern Expr *tess_pin_find(TessJob *job, const TessTable **anchor);
/* Same for a query inside of a statement; NULL if it has no distributed table. */
extern Expr *tess_pin_find_query(Query *query, const TessTable **anchor);

/* Whether each distributed table of a query is bound to values of the key, which
 * need not be the same: the prune expressions of all of them. */
extern bool tess_pin_find_each(Query *query, List **prunes);

/* shard_guard.c: statements of a function that runs in a shard ---------------- */

/* What has to hold for such a statement whenever it is executed. */
typedef struct TessGuard
{
	int64 shard_id;
	Oid key_type;
	Oid key_collation;
	bool inserts; /* a NULL key is about the shard of NULL */
	List *prunes; /* of the values that the shard's tables are bound to, each: it
				   * leaves no other shard than this one */
} TessGuard;

/* NULL: no function of a shard is being executed, or the statement names none of
 * the shard's tables.  Errors with 0A000 if it is not about that shard alone. */
extern TessGuard *tess_guard_make(Query *query);

/* True while the executor runs a statement of a foreign key (set by exec/): what
 * is nested in that is not one, but a trigger's. */
extern bool tess_in_foreign_key;


/* Puts it into a finished plan, its prune expressions ready to be executed; and
 * takes it from there: false if it has none. */
extern void tess_guard_attach(PlannedStmt *stmt, const TessGuard *guard,
							  List *prunes);
extern bool tess_guard_of(const PlannedStmt *stmt, TessGuard *guard);

/* sharded_change.c: True if each shard can make its own part of an UPDATE, DELETE or
 * MERGE of a distributed table.  *prune says which of them have one; NULL: all. */
extern bool tess_change_is_sharded(const TessTable *table, Query *change,
								   Expr **prune);

/* fragment.c: queries that each shard answers for itself. -------------------- */

/* A fragment while a statement is planned; lives as long as that. */
typedef struct TessFragmentQuery
{
	Query *query;	 /* as core plans it; what is sent is bound */
	Oid anchor;		 /* a table of the group */
	List *relations; /* OIDs of our tables in it */
	TessTravel travel;
	Oid role;	 /* InvalidOid: who runs the statement */
	List *keys;	 /* int list: output columns by which rows are sharded */
	Expr *prune; /* from conditions inside; NULL: none */
	/* bound to the one shard that prune leaves, which answers for all; if it
	 * leaves none, any does */
	bool is_pinned;

	/* the query as it is, with all its columns */
	List *template;
	List *exprs; /* its parameters */
} TessFragmentQuery;

extern List *tess_fragment_columns(const TessFragmentQuery *fragment);
extern TessFragmentQuery *tess_fragment_of(const RangeTblEntry *rte);
extern bool tess_fragment_is_around(const PlannerInfo *root);

/* split.c: puts fragments into a query, at all its levels, in place. */
extern void tess_split(TessSurvey *survey, Query *query);
/* True for the source of a change, which plan/ has made. */
extern bool tess_change_is_source(const Query *query);

/* What a tree is before core's planner gets it, in place and at all levels: each
 * gives another query with the same result. ---------------------------------- */

/* inline.c: CTEs and SQL functions in FROM become subqueries. */
extern void tess_inline_ctes(Query *query);
extern void tess_inline_functions(Query *query, PlannerGlobal *dependencies);

/* decorrelate.c: correlated aggregates become grouped joins. */
extern void tess_decorrelate(TessSurvey *survey, Query *query);

/* row_marks.c: FOR UPDATE/SHARE over distributed tables -------------------- */

/* Moves the row marks of distributed tables into their own scans, in place.
 * True if rows of the coordinator may have to be checked again: then, when
 * fragments have been made, scans of their own have to be fenced off. */
extern bool tess_row_marks_move(Query *query);
extern void tess_row_marks_fence(Query *query);

extern void tess_mark_locked(RangeTblEntry *rte, LockClauseStrength strength,
							 LockWaitPolicy policy);
extern bool tess_mark_is_asked(const RangeTblEntry *rte);
extern bool tess_mark_of(const RangeTblEntry *rte, LockClauseStrength *strength,
						 LockWaitPolicy *policy);

/* body.c */
extern bool tess_body_tables(Oid function, List **tables);

/* frame.c: what is known while a statement is planned ---------------------- */

/* A call of the planner: they may be nested, since planning may execute functions
 * that plan other statements. */
typedef struct TessFrame
{
	struct TessFrame *outer;
	bool is_open;	 /* tables of ours are ours */
	bool ships;		 /* rows may be sent to be joined on nodes ... */
	bool narrows;	 /* ... with rows that are locked there */
	bool rechecks;	 /* some level locks or changes rows of this server */
	List *scans;	 /* of distributed tables, made so far */
	List *fragments; /* TessFragmentQuery * */
	MemoryContext context;
	List *functions;   /* not built in, that nodes may have been left to call */
	bool uses_objects; /* of users, that nodes hold */
} TessFrame;

/* The innermost one; NULL: there is none. */
extern TessFrame *tess_frame_current(void);
extern void tess_frame_push(TessFrame *frame);
extern void tess_frame_pop(TessFrame *frame);
/* Told by relation scans. */
extern bool tess_frame_is_open(void);
extern bool tess_frame_ships(void);
extern bool tess_frame_narrows(void);
extern bool tess_frame_locks_late(void);
extern void tess_frame_add_scan(CustomScan *scan);
/* ... and that a function which is not built in is left to the nodes. */
extern void tess_frame_add_function(Oid function);
/* It may name what tessera.object says that nodes hold. */
extern void tess_frame_add_objects(void);
extern bool tess_frame_has_scans(void);

#endif
