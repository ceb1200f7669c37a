/*
 * plan_internal.h - what the files of plan/ share.
 *
 * A strategy that cannot plan a statement returns NULL and leaves a reason;
 * only plan_hook.c (and refuse.c for it) raises errors of unsupported
 * statements.
 */
#ifndef TESS_PLAN_INTERNAL_H
#define TESS_PLAN_INTERNAL_H

#include "lib/stringinfo.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

#include "fragment/fragment.h"
#include "meta/meta.h"
#include "plan/plan.h"
#include "task/task.h"

/* refuse.c: raises 0A000 for what no strategy may do. */
extern void tess_refuse_unsupported(TessJob *job);
/* True if a change of a reference table is to be made by core, and repeated. */
extern bool tess_must_repeat(TessJob *job);
/* True if a SET list assigns to what a foreign key may refer to. */
extern bool tess_assigns_referenced(List *target_list, Oid relation);
extern void tess_refuse_partitioned(const TessTable *table);
extern void tess_refuse_target(TessJob *job, const char *hint)
	pg_attribute_noreturn();

/* key_change.c: notes whether the statement may change the key of rows. */
extern void tess_check_key_change(TessJob *job);
extern bool tess_action_changes_key(TessJob *job, const MergeAction *action);
/* A table, this one or one of those whose rows follow, with triggers that would have
 * to see rows which move as updated ones; InvalidOid: none. */
extern Oid tess_moves_are_hidden_from(const TessTable *table);
/* Columns (int list) that foreign keys refer to which act, or come from the table
 * itself: followers.c in exec/ wants their old values where a row moves. */
extern List *tess_referenced_columns(const TessTable *table);

/* columns.c: which columns of a table do we want, and as what? ------------ */

typedef struct TessColumns
{
	Oid relation;
	Index varno;	  /* of the Vars that are asked for */
	List *scan_tlist; /* custom_scan_tlist */
	List *sources;	  /* parallel to it, see task.h */
	List *node_tlist; /* what the node selects, over varno 1 */
	List *whole_row;
	Oid row_type;
	int ctid_column;
} TessColumns;

extern TessColumns *tess_columns_make(Oid relation, Index varno);
extern void tess_columns_add_var(TessColumns *columns, const Var *var);
extern bool tess_columns_has_var(const TessColumns *columns, const Var *var);
/* An expression that the node computes: index of the node's column. */
extern int tess_columns_add_expr(TessColumns *columns, Expr *expr,
								 Expr *node_expr);
extern void tess_columns_add_vars_of(TessColumns *columns, Node *node);
extern void tess_columns_add_on_node(TessColumns *columns,
									 const TargetEntry *entry);
/* At least one column on both sides. */
extern void tess_columns_add_any(TessColumns *columns, bool on_node);
/* ... of the target of a change, in subqueries too. */
extern void tess_columns_add_target(TessColumns *columns, Node *node);
extern void tess_columns_name_shards(PlannedStmt *stmt, const List *scans);
extern void tess_columns_describe(const TessColumns *columns,
								  TessFragment *fragment);
/* Expressions over varno as expressions over the scan's own tuple. */
extern Node *tess_columns_rebase(const TessColumns *columns, Node *node);

/* finish.c: finished plans around our nodes ------------------------------- */

/* The types of what a fragment returns, from a target list. */
extern void tess_fragment_describe(TessFragment *fragment, List *tlist);
extern CustomScan *tess_scan_make(const char *methods, TessFragment *fragment,
								  List *scan_tlist, List *tlist,
								  List *custom_exprs);
extern PlannedStmt *tess_statement_make(TessJob *job, Plan *plan);
/* Expressions ready to be executed; what the plan depends on goes to stmt. */
extern List *tess_expressions_finish(List *exprs, PlannedStmt *stmt);
/* Says of a fragment that is the whole plan that it is. */
extern void tess_number_whole(PlannedStmt *stmt);

/* modify.c: what all changes share ------------------------------------------- */

/* Whether the nodes return the rows that are written, and which columns. */
extern bool tess_wants_rows(const Query *parse);
extern TessColumns *tess_returning_columns(TessJob *job);
extern Node *tess_target_row(const Query *parse);
extern Var *tess_target_var(const TessTable *table, Index target,
							AttrNumber attno);
/* Fills what a fragment says of the change it is for. */
extern void tess_change_describe(TessJob *job, TessFragment *fragment,
								 TessColumns *columns);
/* The node tree for one of our tables as the only entry of a query. */
extern Query *tess_query_make(TessJob *job, CmdType command);
/* Expressions over the target (and EXCLUDED) as over entries 1 (and 2). */
extern Node *tess_renumber(Node *node, Index target, Index excluded);
/* A column that a statement may assign to, for one that must name one. */
extern Var *tess_column_to_name(const TessTable *table, Index varno);
extern TargetEntry *tess_same_entry(const TessTable *table, Index varno);
/* Gives an UPDATE without assignments one that changes nothing. */
extern void tess_assign_something(TessJob *job);
/* policies.c: row security of rows that are written -------------------------- */
extern bool tess_is_policy(const WithCheckOption *option);
extern bool tess_has_policies(const Query *parse);
extern bool tess_policies_check_conflicts(const Query *parse);
extern void tess_policies_prepare(TessJob *job);
extern List *tess_policy_columns(const Query *parse);
extern void tess_policies_describe(TessJob *job, TessModifySpec *spec,
								   TessColumns *columns, const List *attnums,
								   const List *positions);
extern void tess_policies_describe_set(TessJob *job, TessModifySpec *spec,
									   const TessColumns *columns,
									   const List *attnums,
									   const List *positions);
extern List *tess_policies_take(const List *options, List **exprs);

/* fired_triggers.c */
extern bool tess_statement_triggers_find(TessJob *job, TessFired *fired);

/* early_reads.c: marks what has to be read before the statement writes. */
extern void tess_early_reads_mark(TessJob *job);
/* parts.c: turns parts of WITH that change our tables into sources. */
extern void tess_parts_plan(TessJob *job);
/* part_triggers.c */
extern List *tess_part_triggered(const TessJob *part, const List *cascaded,
								 List **before);
/* part_order.c: has parts of a statement write in the order that foreign keys
 * between their tables need; in place.  0A000 if there is none. */
extern void tess_parts_order(Query *parse);
/* False if one of them may change the key of rows; raises 0A000 for what no
 * strategy may do. */
extern bool tess_parts_keep_keys(TessJob *job);

/* part_inserts.c: parts of WITH that insert into one table ------------------- */

/* True if a part is an INSERT into a distributed table that may update rows. */
extern bool tess_part_upserts(const Query *query);
/* By which columns (int list) the rows of some of these INSERTs into a table may
 * meet those of others, and update them; NIL: they do not.  False if that cannot
 * be told by columns. */
extern bool tess_part_inserts_meet(const List *inserts, Oid relation,
								   List **columns);
/* Tells exec/ about that, for a part whose rows are as row says. */
extern void tess_part_insert_note(const TessJob *job, const TessWrite *row,
								  TessModifySpec *spec);

/* row_key.c: columns that tell rows apart ------------------------------------ */

typedef struct TessRowKey
{
	List *columns;	 /* int list; NIL: none found */
	List *operators; /* OID list: equality of each */
} TessRowKey;

extern TessRowKey tess_row_key_find(Oid relation);
extern TessRowKey tess_row_key_of_conflict(Oid relation,
										   const OnConflictExpr *conflict);
extern void tess_row_key_append_operator(StringInfo text, const TessRowKey *key,
										 int i);

/* writes.c: the statements that rows computed here are sent with -------------- */

extern TessWrite *tess_write_update(const TessTable *table, List *columns,
									List *positions,
									const TessColumns *returning);
extern TessWrite *tess_write_delete(const TessTable *table,
									const TessColumns *returning);
extern TessWrite *tess_write_insert(const TessTable *table, List *columns,
									List *positions,
									const TessColumns *returning);
extern TessWrite *tess_write_find(const TessTable *table, const TessRowKey *key,
								  List *positions, const TessColumns *columns,
								  const char *strength);
extern TessWrite *tess_write_insert_new(const TessTable *table,
										const TessWrite *insert,
										const TessRowKey *key,
										const TessColumns *columns);
/* What a statement assigns to (attribute numbers), and where its source has the
 * values; and the same of all columns of the new row. */
typedef struct TessAssigned
{
	List *columns;
	List *positions;
	List *all_columns;
	List *all_positions;
} TessAssigned;
extern List *tess_write_move(const TessTable *table, const TessAssigned *assigned,
							 List *old_positions, const TessColumns *returning);

/* asked_rows.c */
extern void tess_ask_for_rows(Query *query);

/* dml_apply.c: shard and ctid, and SET lists of whole rows. */
extern List *tess_hidden_columns(const TessTable *table, Index target);
extern TargetEntry *tess_assignment_to(List *target_list, AttrNumber attno);
extern List *tess_whole_row_assignments(Oid relation, Index target,
										List *target_list);

/* change.c: a change as a SELECT of the rows it writes ------------------------- */

/* Marks the source of a change, so that the planner puts TesseraModify over
 * it; returns it.  bindings: the parameters of the fragment's texts; NULL:
 * none. */
extern Query *tess_change_mark(Query *source, TessFragment *fragment,
							   TessColumns *columns,
							   const TessBindings *bindings);
/* Plans a statement's source. */
extern PlannedStmt *tess_change_plan(TessJob *job, Query *source);
extern void tess_change_init(void);

/* router.c: a statement as it is.  False, or NULL, with job->reason if it may not be
 * sent; where it is right is the caller's to know, and the shards' prune
 * expression for anchor. */
extern bool tess_may_send_whole(TessJob *job);
extern PlannedStmt *tess_send_whole(TessJob *job, TessTarget target,
									const TessTable *anchor, Expr *prune);

/* The plan of a fragment that is the whole statement: one scan, whose columns are
 * those of output, with what is to be evaluated. */
extern PlannedStmt *tess_send_plan(TessJob *job, TessFragment *fragment,
								   List *output, List *exprs);

/* strategies: NULL if they cannot ------------------------------------------ */

extern PlannedStmt *tess_route_statement(TessJob *job); /* router.c */
extern PlannedStmt *tess_plan_broadcast(TessJob *job);	/* dml_broadcast.c */
extern PlannedStmt *tess_plan_colocated(TessJob *job);	/* dml_colocated.c */
extern PlannedStmt *tess_plan_repeat(TessJob *job);		/* dml_repeat.c */
extern void tess_repeat_mark(TessJob *job);				/* ... in WITH */

/* Sources of changes, or an error: of any kind (plan_hook.c), and those of
 * dml_insert.c, dml_apply.c and dml_merge.c. */
extern Query *tess_change_source(TessJob *job);
extern Query *tess_insert_source(TessJob *job);
extern Query *tess_apply_source(TessJob *job);
extern Query *tess_merge_source(TessJob *job);
/* dml_upsert.c: of an INSERT whose ON CONFLICT is computed here; NULL if it cannot
 * be. */
extern Query *tess_upsert_source(TessJob *job, Query *source,
								 const TessWrite *row);
/* dml_insert.c: for an INSERT of no values. */
extern TargetEntry *tess_null_entry(const TessTable *table);

/* on_conflict.c: ON CONFLICT as it is sent with the rows of an INSERT.  False
 * with job->reason if it cannot be. */
extern bool tess_on_conflict_bind(TessJob *job, Query *query,
								  TessBindings *bindings);
extern bool tess_on_conflict_suits_nodes(TessJob *job);
extern void tess_on_conflict_note(const OnConflictExpr *conflict,
								  const TessTable *table, TessWrite *write);

/* plan_hook.c: core's planner (and other extensions') over a query of ours. */
extern PlannedStmt *tess_plan_rest(TessJob *job, Query *query);

/* cursor.c */
extern void tess_cursor_plan(PlannedStmt *stmt, int cursor_options);

/* function_call.c: a SELECT that is nothing but the call of a function that runs
 * in the shard of its key; NULL if it is another one. */
extern PlannedStmt *tess_plan_function(TessJob *job);

/* shared_plan.c: the plan of a statement that shares one with those that differ
 * only in constants; NULL if it does not. */
extern PlannedStmt *tess_plan_shared(TessJob *job);

/* The same for a call of a function that runs in shards of the table: planner
 * makes its plan, or returns NULL if there is none, for constants as for
 * parameters in their places. */
typedef PlannedStmt *(*TessPlanner)(TessJob *job);
extern PlannedStmt *tess_plan_shared_call(TessJob *job, Oid relation,
										  TessPlanner planner);

/* scan_draft.c: a scan in the making -------------------------------------- */

typedef struct TessDraft
{
	RelOptInfo *rel;				   /* of the planner, whose rows it reads */
	RangeTblEntry *rte;				   /* same, in the planner's range table */
	const TessFragmentQuery *fragment; /* NULL: it is a table */
	const TessTable *table;			   /* that, or the anchor of the fragment */
	Expr *prune;					   /* NULL: all shards */
	TessTravel travel;
	TessBindings bindings;

	/* A part of WITH changes the table, so its rows are asked for before anything
	 * is known that comes with rows. */
	bool reads_changed;
	bool sends_constants; /* conditions without columns too */
	int ctids_param;	  /* see task.h */
	List *sent;			  /* conditions for the nodes, over varno 1 */
	List *local;		  /* conditions checked here */
	TessColumns *columns;

	/* the rest of the node's query, as in Query */
	bool has_aggs;
	List *group_clause;
	List *sort_clause;
	Node *limit_count; /* a Param */

	struct TessShipment *ship; /* NULL: no join */

	List *template; /* NIL until it is written */
	List *frame;	/* see TessFragment */
} TessDraft;

extern TessDraft *tess_draft_make(PlannerInfo *root, RelOptInfo *rel);
extern bool tess_draft_is_key(const TessDraft *draft, const Node *expr);
extern bool tess_draft_may_send(const TessDraft *draft, Node *expr);
extern Expr *tess_draft_bind(TessDraft *draft, Expr *expr);
extern void tess_draft_split(TessDraft *draft, List *clauses);
extern void tess_draft_keep_all(TessDraft *draft, List *clauses);
extern void tess_draft_add_columns(TessDraft *draft, const PathTarget *target);
extern SortGroupClause *tess_draft_clause(TessDraft *draft, Expr *expr,
										  Expr *bound, Oid equality);
extern bool tess_draft_write(TessDraft *draft, const char **reason);
extern CustomScan *tess_draft_plan(PlannerInfo *root, const TessDraft *draft,
								   const Path *path, List *tlist);

/* frame_tables.c */
extern bool tess_frame_tables(const TessDraft *draft, Query *query);

/* ship_query.c: rows of a draft are joined with rows that are sent ---------- */

/* The rows of a shard as a subquery in FROM: source, which reads one table first and
 * gets the columns (Var *) of that table to give. */
extern RangeTblEntry *tess_shard_entry(const List *columns, Query *source);

/* With what, and how.  The draft's own rows are the join's outer side. */
typedef struct TessShipment
{
	PlannerInfo *root;
	const TessTravel *travel; /* of the draft */
	RelOptInfo *rel;		  /* the join */
	RelOptInfo *outer;		  /* the draft's relation */
	bool locks;				  /* ... whose rows that join are locked */
	Path *path;				  /* of what is shipped */
	JoinType jointype;		  /* JOIN_INNER, _LEFT, _SEMI or _ANTI */
	Cost remote;			  /* what the nodes pay for the join */
	bool is_fenced;			  /* the nodes shall read all rows of the shards */
	Var *route; /* of what is shipped: the key of the rows it meets,
						* which tells their shard; NULL: it goes to all */
	int parts;	/* so many statements share it */

	/* conditions of the join, and those above an outer one, as the node's
	 * query has them */
	List *joins;
	List *filters;
	List *columns; /* Var *: what it uses of the shards' rows ... */
	List *shipped; /* ... and of what is sent */
	List *bounds;  /* TessShipBound *: of what is sent, too */
	List *frame;   /* see task.h; NIL until it is written */
} TessShipment;

/* Rows of the shards are read only between two values of what is sent. */
typedef struct TessShipBound
{
	Var *var;		/* a column of it */
	Oid function;	/* compares its values */
	Oid collation;	/* for that */
	Expr *least;	/* conditions, over varno 1, whose parameters are ... */
	Expr *greatest; /* ... $1 and $2 */
} TessShipBound;

extern Node *tess_ship_var(TessShipment *ship, const Var *var);
extern bool tess_ship_write(TessShipment *ship, Query *query, Query *source,
							int param_count, List **template,
							const char **reason);
extern void tess_ship_join_locked(TessShipment *ship, Query *query,
								  int param_count);
extern void tess_ship_describe(const TessShipment *ship, TessFragment *fragment);

/* ship_bounds.c: what the shards need not read. */
extern void tess_ship_find_bounds(TessShipment *ship, TessDraft *draft,
								  List *clauses);
extern List *tess_ship_bound_conditions(const TessShipment *ship,
										int param_count);

/* ship_join.c: joins with rows of anywhere else, as paths. */
extern int tess_ship_limit_kb(void);
/* True if a statement calls functions that may write: what they write must not
 * be seen by scans that wait for what they return. */
extern bool tess_ship_may_write(Query *query);
/* The same of what is computed before the rows of the statement are found. */
extern bool tess_ship_may_write_before(Query *query);
extern Var *tess_ship_column(Node *expr, Relids relids);
extern TessDraft *tess_ship_draft_of(PlannerInfo *root, RelOptInfo *joinrel);
extern void tess_ship_join_init(void);

/* fragment_scan.c: scans of fragments. ---------------------------------------- */

/* The shards: from conditions inside of the fragment and around it. */
extern Expr *tess_fragment_prune(RelOptInfo *rel,
								 const TessFragmentQuery *fragment);
/* Replaces the paths of a fragment's entry. */
extern void tess_fragment_set_paths(PlannerInfo *root, RelOptInfo *rel,
									const TessFragmentQuery *fragment);

/* estimate.c: sizes and costs, without asking anybody ----------------------- */

/* The size of a distributed table as of its last ANALYZE, or a guess, into the
 * relation (and its indexes) that core plans with. */
extern void tess_estimate_relation(const TessTable *table, RelOptInfo *rel);
/* Costs of a path that scans a table's shards, whose rows and target are set
 * and whose relation still has the paths that core made of the shell. */
extern void tess_cost_scan(Path *path, int shards_hit, int shard_count);
/* Costs of a path that fetches its rows; remote is what the nodes pay. */
extern void tess_cost_fetch(Path *path, int shards_hit, Cost remote);
/* What the nodes pay for a path with such costs. */
extern Cost tess_cost_remote(const Path *path, int shards_hit);
/* What it costs to give nodes rows that they join. */
extern Cost tess_cost_shipped(double rows, int width, int nodes);
/* What it costs that nobody else can have the rows of a path. */
extern Cost tess_cost_locked(const Path *path);

/* True if rel is a distributed table whose rows may be drafted in a path: none
 * of them is locked. */
extern bool tess_draft_is_possible(PlannerInfo *root, RelOptInfo *rel);
/* True if it is one whose rows are locked. */
extern bool tess_locks_rows(PlannerInfo *root, RelOptInfo *rel);
extern int tess_draft_shard_count(PlannerInfo *root, const TessDraft *draft);
extern int tess_draft_node_count(PlannerInfo *root, const TessDraft *draft,
								 int *shard_count);
/* A path of parent (rel itself, or an upper relation) for a draft that has
 * been written; remote is what the nodes pay. */
extern Path *tess_draft_path(PlannerInfo *root, RelOptInfo *parent,
							 TessDraft *draft, PathTarget *target, double rows,
							 Cost remote);

/* upper_paths.c: what stands above a scan that is all of its level's FROM. -- */
extern bool tess_is_whole_level(PlannerInfo *root, RelOptInfo *rel);
extern TessDraft *tess_draft_of_level(PlannerInfo *root, RelOptInfo *rel);
extern void tess_upper_paths_init(void);

/* sorted_scan.c: rows in the level's order, up to its LIMIT. */
extern void tess_sorted_add_path(PlannerInfo *root, RelOptInfo *rel,
								 List *core_paths, const Path *scan);

/* A draft of the rows in this order, with the columns of target, up to the level's
 * LIMIT if it counts them; only_reads: not locked, though they are to be.  NULL if
 * they cannot be asked for so. */
extern TessDraft *tess_sorted_draft(PlannerInfo *root, RelOptInfo *rel,
									const PathTarget *target, List *pathkeys,
									bool only_reads);

/* lock_limit.c: rows that are locked, in order and up to a LIMIT. */
extern Path *tess_lock_limit_path(PlannerInfo *root, RelOptInfo *rel,
								  List *pathkeys, double rows, Cost remote);

/* two_phase.c: aggregates and DISTINCT. */
extern void tess_two_phase_add_paths(PlannerInfo *root, RelOptInfo *input_rel,
									 RelOptInfo *grouped_rel,
									 const GroupPathExtraData *extra);

extern void tess_two_phase_add_distinct_paths(PlannerInfo *root,
											  RelOptInfo *input_rel,
											  RelOptInfo *distinct_rel);

/* relation_scan.c: scans of single tables. ---------------------------------- */
extern CustomPath *tess_scan_path_make(PlannerInfo *root, RelOptInfo *rel,
									   const CustomPathMethods *methods);
extern void tess_scan_path_replace(PlannerInfo *root, RelOptInfo *rel,
								   CustomPath *path, List *core_paths);
extern void tess_relation_scan_init(void);

/* A Var of this attribute and of type int4 is the index of the row's shard:
 * no user can write it, as cmax has the type cid. */
#define TESS_SHARD_INDEX_ATTRIBUTE MaxCommandIdAttributeNumber
/* And one of type tid is the row's ctid in its shard, as no user sees it. */
#define TESS_SHARD_CTID_ATTRIBUTE MinCommandIdAttributeNumber
/* ... and of type int8, the position of a row among those that are to be locked. */
#define TESS_POSITION_ATTRIBUTE MinTransactionIdAttributeNumber

/* Of a partitioned table, this is the row's partition, by its OID in the shard: where
 * a user asks for it, the table is none of the plan's (fragment/partitions.c).  The
 * child of a change by row has it after shard and ctid. */
#define TESS_PARTITION_ATTRIBUTE TableOidAttributeNumber
#define TESS_PARTITION_POSITION 2

#endif
