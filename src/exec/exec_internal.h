/*
 * exec_internal.h - what the files of exec/ share: replies of nodes, rows on
 * their way into scan slots, and the two custom scans.
 */
#ifndef TESS_EXEC_INTERNAL_H
#define TESS_EXEC_INTERNAL_H

#include "executor/execdesc.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/params.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

#include "meta/meta.h"
#include "net/net.h"
#include "stream/stream.h"
#include "task/task.h"
#include "xact/xact.h"

/* What EXPLAIN ANALYZE tells. */
typedef struct TessScanFigures
{
	bool executed;
	int64 rows;				 /* received */
	int64 bytes;			 /* of values */
	instr_time remote_time;	 /* from sending to the last answer */
	instr_time waiting_time; /* of it, with nothing else to do */
} TessScanFigures;

/* replies.c ---------------------------------------------------------- */

/* What one statement has under way at one node. */
typedef struct TessBranch
{
	int32 node_id;
	bool is_local;		  /* this very server: nothing is ever queued */
	TessSession *session; /* NULL until tess_replies_open */
	bool unsent;		  /* queued since the last flush */
	bool busy;			  /* flushed, and not yet read to the end */
	bool paused;		  /* tess_replies_next leaves it alone */
	int owed;			  /* statements whose end has not been seen */
} TessBranch;

/* A row that somebody must put away; result is the caller's. */
typedef void (*TessRowSink)(void *owner, void *tag, const PGresult *result,
							int row);
/* A statement has ended; called once per queued statement, before the rows
 * that came with its end are given out. */
typedef void (*TessDoneSink)(void *owner, void *tag, PGresult *result);

typedef struct TessReplies TessReplies;

extern TessReplies *tess_replies_make(void *owner, TessRowSink put_row,
									  TessDoneSink done);
extern TessBranch *tess_replies_branch(TessReplies *replies, int32 node_id);
extern TessBranch *tess_replies_shard_branch(TessReplies *replies,
											 const TessShard *shard);
extern void tess_replies_open(TessReplies *replies, TessSnapshot *snapshot,
							  Oid role, TessAccess access);
extern void tess_replies_queue(TessReplies *replies, TessBranch *branch,
							   const char *sql, const TessParams *params,
							   bool binary_result, bool single_row,
							   bool comes_again, void *tag);
extern void tess_replies_queue_silent(TessReplies *replies, TessBranch *branch,
									  const char *sql);
extern void tess_replies_flush(TessReplies *replies);
extern bool tess_replies_next(TessReplies *replies, PGresult **result, int *row,
							  void **tag);
extern void tess_replies_collect(TessReplies *replies, TessBranch *branch,
								 int owed_limit);
extern void tess_replies_decoding(TessReplies *replies, bool decoding);
extern void tess_replies_close(TessReplies *replies);
extern void tess_replies_add_figures(const TessReplies *replies,
									 TessScanFigures *figures);

/* rows.c --------------------------------------------------------------- */

/* How a row of a node becomes a tuple of the scan. */
typedef struct TessRowMap TessRowMap;

extern TessRowMap *tess_row_map_make(const TessFragment *fragment,
									 TupleDesc scan_desc, Oid table);
extern bool tess_row_map_is_binary(const TessRowMap *map);
extern void tess_row_map_remote(TessRowMap *map, const PGresult *result, int row,
								int shard_index, Datum *values, bool *nulls);
extern void tess_row_map_local(TessRowMap *map, TupleTableSlot *slot,
							   int shard_index, Datum *values, bool *nulls);

/* A receiver of rows of this server; put gets each slot. */
typedef void (*TessSlotSink)(void *owner, TupleTableSlot *slot);
extern DestReceiver *tess_row_receiver_make(void *owner, TessSlotSink put);

/* Runs a statement in process, as role; see tess_local_execute.  If it writes,
 * it is a command of its own, and may have no snapshot (NULL). */
extern uint64 tess_exec_here(const char *sql, ParamListInfo params,
							 Snapshot snapshot, bool writes, Oid role,
							 DestReceiver *dest);

/* copy_triggers.c: foreign keys of this server's copy of a reference table, before
 * the other copies are changed. */
extern bool tess_copy_triggers_begin(const CustomScanState *node, bool returned);
extern void tess_copy_triggers_fire(const CustomScanState *node);

/* Copies a tuple that does not belong to the slot's kind into a virtual slot,
 * by reference. */
extern void tess_slot_show(TupleTableSlot *virtual_slot, TupleTableSlot *stored);

/* args.c: what is evaluated once per execution ------------------------------ */

/* Parameters of a fragment and the shards it goes to. */
typedef struct TessArgs
{
	int count;
	int evaluated; /* so many of them; the others are of ship.c: */
	int shipped;   /* a stash and arrays, and behind them bounds */
	Oid *types;
	int16 *lengths; /* typlen */
	bool *by_value;
	ExprState **exprs;
	struct TessPruneState *prune; /* NULL: all shards */
	EState *estate;
	Bitmapset *exec_params; /* numbers of PARAM_EXEC in them */
	bool has_subplan;
	int ctids; /* the argument that each shard gets its part of; -1: none */

	/* of the current execution */
	MemoryContext context; /* of what follows */
	Datum *values;
	bool *nulls;
	Bitmapset *shards; /* indexes in the group; empty without one */
	Bitmapset *pruned; /* those that pruning left: of them, shards has ctids */
	Datum all_ctids;
	Datum *shard_ctids; /* by shard */
} TessArgs;

extern TessArgs *tess_args_init(const TessFragment *fragment, List *exprs,
								PlanState *parent);
extern bool tess_args_bound_value(const Expr *expr, ParamListInfo params,
								  Datum *value, bool *isnull);
extern bool tess_args_are_known(const TessArgs *args);
extern bool tess_args_eval(TessArgs *args, ExprContext *econtext,
						   const TessGroup *group);
/* The value of what each shard gets its part of; false if there is none. */
extern bool tess_args_set_shard(TessArgs *args, int shard_index);
extern ParamListInfo tess_args_param_list(int count, const Oid *types,
										  const Datum *values, const bool *nulls);

/* ship.c: rows of a child plan that are sent as arrays ----------------------- */
typedef struct TessCargo TessCargo;

typedef struct TessCargoFigures
{
	int64 rows;
	int64 loads;
} TessCargoFigures;

extern TessCargo *tess_cargo_make(const TessFragment *fragment, PlanState *child);
extern bool tess_cargo_load(TessCargo *cargo, const TessArgs *args,
							const TessGroup *group);
extern int64 tess_cargo_rows(const TessCargo *cargo, int shard_index);
extern void tess_cargo_set_arguments(TessCargo *cargo, TessArgs *args,
									 int shard_index, int64 stash);
extern void tess_cargo_unload(TessCargo *cargo);
extern void tess_cargo_restart(TessCargo *cargo);
extern bool tess_cargo_has_changed(const TessCargo *cargo);
extern bool tess_cargo_is_known(const TessCargo *cargo);
extern const TessCargoFigures *tess_cargo_figures(const TessCargo *cargo);

/* shipped_rows.c: the node's side of it -------------------------------------- */
extern void tess_stash_add(int64 id, int count, ArrayType *const *arrays);
extern void tess_shipped_rows_init(void);

/* statement.c: the text for the shards of a node --------------------------- */
extern int tess_statement_shards(const TessFragment *fragment);
extern char *tess_statement_sql(const TessFragment *fragment, int shard_count,
								const int64 *shard_ids);

/* merge.c: sorted streams of rows become one -------------------------------- */
typedef struct TessMerge TessMerge;
/* What one statement gives. */
typedef struct TessMergeInput TessMergeInput;

extern TessMerge *tess_merge_make(const TessFragment *fragment,
								  const TessArgs *args, TupleDesc scan_desc,
								  TessRowMap *rows);
extern TessReplies *tess_merge_replies(TessMerge *merge);
extern TessMergeInput *tess_merge_add(TessMerge *merge, TessBranch *branch,
									  int shard_index);
extern void tess_merge_put_local(TessMergeInput *input, TupleTableSlot *slot);
extern bool tess_merge_next(TessMerge *merge, TupleTableSlot *slot);
extern void tess_merge_close(TessMerge *merge);
extern int tess_merge_scan_column(const TessFragment *fragment, int node_column);
extern bool tess_merge_is_descending(Oid sort_operator);

/* passed.c: rows that a cursor has passed, so that it can go back ---------- */
typedef struct TessPassed TessPassed;

extern TessPassed *tess_passed_make(CustomScanState *node);
extern bool tess_passed_next(TessPassed *passed, TupleTableSlot *slot);
extern void tess_passed_add(TessPassed *passed, TupleTableSlot *slot);
extern bool tess_passed_previous(TessPassed *passed, TupleTableSlot *slot);
extern void tess_passed_rewind(TessPassed *passed);
extern void tess_passed_end(TessPassed *passed);

/* scan_tasks.c: the statements of a run ------------------------------------- */

/* A statement: for one shard, or several of a node. */
typedef struct TessScanTask
{
	int shard_index; /* of the first shard; -1: a copy of a reference table */
	int shard_count;
	int64 *shard_ids;
	TessBranch *branch;
	TessMergeInput *input; /* NULL: not sorted */
	int64 stash;		   /* of what is shipped to it; 0: none */
	bool is_divided;	   /* its rows are messages for a TessDivision */
} TessScanTask;

extern TessScanTask *tess_tasks_make(const TessFragment *fragment,
									 const TessArgs *args, const TessGroup *group,
									 TessReplies *replies, TessMerge *merge,
									 int *count);
extern int tess_tasks_load(TessScanTask *tasks, int count, TessCargo *cargo,
						   TessArgs *args, const TessFragment *fragment,
						   Oid role);
extern TessSnapshot *tess_tasks_snapshot(const TessScanTask *tasks, int count,
										 Snapshot own, bool asked_again,
										 bool *alone);
extern bool tess_task_set_arguments(const TessScanTask *task,
									const TessFragment *fragment,
									TessCargo *cargo, TessArgs *args);
extern Bitmapset *tess_tasks_shards(const TessScanTask *tasks, int count,
									const TessFragment *fragment,
									const TessArgs *args);
extern bool tess_tasks_are_last_act(const TessScanTask *tasks, int count,
									const TessFragment *fragment,
									const PlanState *scan);

/* order.c: nothing sees what is written after it began --------------------- */
typedef struct TessReader TessReader;
typedef void (*TessReaderStart)(void *arg);

extern int64 tess_reader_count(void);
extern TessReader *tess_reader_begin(const TessFragment *fragment,
									 Snapshot snapshot, TessReaderStart start,
									 void *arg);
extern void tess_reader_end(TessReader *reader);
extern void tess_reader_check(const TessReader *reader);
extern void tess_order_write(const TessFragment *fragment, int64 first,
							 int64 last);
extern uint64 tess_order_count(void);
extern Oid tess_order_find_written(const List *relations, uint64 since);
extern void tess_order_refuse_circle(const TessFragment *fragment);

/* batch.c: rows that were computed here, on their way to their shards ------- */

typedef struct TessBatches TessBatches;

/* RETURNING rows.  ordinal: that of the added row it belongs to; for INSERT,
 * exact where each of them gives one row.  Remote rows come as result and row, those of
 * statements in process as slot. */
typedef struct TessReturned
{
	int64 ordinal;
	int shard_index;
	TessReplies *replies;
	const PGresult *result; /* NULL: slot */
	int row;
	TupleTableSlot *slot;
} TessReturned;

typedef void (*TessReturnedSink)(void *owner, const TessReturned *returned);

extern TessBatches *tess_batches_begin(const TessFragment *fragment,
									   const TessWrite *write,
									   const TessGroup *group,
									   const TessArgs *args, bool binary_result,
									   void *owner,
									   TessReturnedSink put_returned);
/* The shard that the new version of a row (of the child) belongs to; -1: all
 * copies of a reference table. */
extern int tess_write_route(const TessWrite *write, const TessGroup *group,
							TupleTableSlot *slot);
extern void tess_batches_add(TessBatches *batches, int shard_index, int64 ordinal,
							 const Datum *values, const bool *nulls);
/* The text of a write's statement for so many rows, whose parameters come after
 * those of the tail. */
extern char *tess_write_sql(const TessWrite *write, int64 shard_id, int rows,
							int tail_params);
extern bool tess_batches_are_waiting(const TessBatches *batches);
extern void tess_batches_send(TessBatches *batches);
extern void tess_batches_note_all(TessBatches *batches,
								  const CustomScanState *node);
extern uint64 tess_batches_finish(TessBatches *batches, bool is_last_act,
								  bool rows_are_sure, TessScanFigures *figures);
extern void tess_batches_close(TessBatches *batches);
extern bool tess_batches_are_in_order(const TessBatches *batches);
extern const Bitmapset *tess_batches_shards(const TessBatches *batches);
extern void tess_batches_follow(TessBatches *batches, const Bitmapset *shards);

/* portions.c: scans that leave their sessions to others in between ----------- */
extern bool tess_scans_pause(PlanState *plan);

/* bulk.c: an INSERT of many rows goes on as COPY ----------------------------- */

typedef struct TessBulk TessBulk;
typedef struct TessDivision TessDivision;

extern TessBulk *tess_bulk_begin(const TessFragment *fragment,
								 const TessWrite *write, TessDivision *division);
extern void tess_bulk_put_divided(TessBulk *bulk, const TessDivided *divided,
								  const char *message, int length);
extern void tess_bulk_put(TessBulk *bulk, TupleTableSlot *child);
extern uint64 tess_bulk_finish(TessBulk *bulk);

/* divided.c: ... and its rows from node to node as they are ------------------- */
extern TessDivision *tess_scan_divide(PlanState *child, const TessWrite *write,
									  const TessTable *table);
extern List *tess_division_columns(const TessDivision *division);
extern List *tess_division_positions(const TessDivision *division);
extern void tess_division_set_bulk(TessDivision *division, TessBulk *bulk);

/* returned.c: RETURNING rows, collected and given out ------------------------ */

typedef struct TessReturnedRows TessReturnedRows;

extern TessReturnedRows *tess_returned_begin(const TessFragment *fragment,
											 CustomScanState *node);
extern bool tess_returned_is_binary(const TessReturnedRows *rows);
extern void tess_returned_choose(TessReturnedRows *rows, bool in_order);
extern void tess_returned_put(TessReturnedRows *rows,
							  const TessReturned *returned);
extern void tess_returned_finish(TessReturnedRows *rows,
								 Tuplestorestate *child_rows,
								 TupleTableSlot *child_slot);
/* The ordinal of the row that came last. */
extern int64 tess_returned_ordinal(const TessReturnedRows *rows);
extern bool tess_returned_next(TessReturnedRows *rows, TupleTableSlot *slot);
extern void tess_returned_end(TessReturnedRows *rows);
extern int tess_returned_number(const PGresult *result, int row);

/* sure_rows.c: true if the client gets the rows of the plan, of which the scan
 * is all, without anything that could fail. */
extern bool tess_rows_are_sure(const TessFragment *fragment,
							   const CustomScanState *scan);

/* answer_size.c: on a node, how much a statement that is the transaction
 * returns -------------------------------------------------------------------- */
extern void tess_answer_watch(QueryDesc *query_desc);
extern void tess_answer_end(void);

/* statement_snapshot.c: what a statement reads under ------------------------- */
extern void tess_statement_choose_snapshot(QueryDesc *query_desc, int eflags);
extern bool tess_statement_push_snapshot(const QueryDesc *query_desc);

/* statement_triggers.c ------------------------------------------------------ */
extern void tess_statement_triggers_before(QueryDesc *query_desc);
extern void tess_statement_triggers_after(QueryDesc *query_desc);

/* pending.c: rows of an INSERT that were not sent, when they are read -------- */
typedef struct TessPending TessPending;
/* Somebody is about to read; in_place: in the subtransaction of the INSERT. */
typedef void (*TessPendingWanted)(void *arg, bool in_place);

extern TessPending *tess_pending_begin(const TessFragment *fragment,
									   Snapshot snapshot,
									   TessPendingWanted wanted, void *arg);
extern void tess_pending_end(TessPending *pending);
extern bool tess_pending_is_any(void);
extern void tess_pending_check(const QueryDesc *query_desc);

/* conflicts.c: ON CONFLICT DO UPDATE changes no row twice ------------------- */
typedef struct TessConflicts TessConflicts;

extern TessConflicts *tess_conflicts_make(const TessWrite *write, Oid relation);
extern void tess_conflicts_add(TessConflicts *conflicts, int64 batch,
							   const Datum *values, const bool *nulls);
extern bool tess_conflicts_hash(const TessConflicts *conflicts,
								const Datum *values, const bool *nulls,
								uint64 *hash);
extern void tess_conflicts_raise(void) pg_attribute_noreturn();

/* part_rows.c: parts of a statement that insert into one table --------------- */
typedef struct TessPartRows TessPartRows;

/* In the current context, which has to live as long as the statement. */
extern TessPartRows *tess_part_rows_make(const TessFragment *fragment);
/* Notes a row that is about to be written, from the child of fragment's part.
 * Errors if it may update a row that another part has written.  Leaves memory in the
 * current context. */
extern void tess_part_rows_add(TessPartRows *rows, const TessFragment *fragment,
							   TupleTableSlot *slot);

/* policy_rows.c: row security of rows that are about to be written ----------- */
typedef struct TessPolicies TessPolicies;

extern TessPolicies *tess_policies_init(const TessModifySpec *spec,
										CustomScanState *node);
extern List *tess_policies_strip(const TessModifySpec *spec,
								 const List *custom_exprs);
extern void tess_policies_run(const TessFragment *fragment, void (*run)(void *),
							  void *arg);
extern void tess_policies_check(TessPolicies *policies, WCOKind kind,
								TupleTableSlot *slot);
extern void tess_policies_check_row(TessPolicies *policies, CmdType command,
									TupleTableSlot *row);
extern void tess_policies_check_set(TessPolicies *policies,
									TupleTableSlot *found, TupleTableSlot *set);

/* upsert.c: ON CONFLICT DO UPDATE that is computed here --------------------- */
typedef struct TessUpsert TessUpsert;

/* Rows are about to be written. */
typedef void (*TessUpsertWrites)(void *arg);

/* What an upsert works with. */
typedef struct TessUpsertInput
{
	const TessFragment *fragment;
	const TessGroup *group;
	const TessArgs *args;
	TessPolicies *policies; /* or NULL */
	Tuplestorestate *rows;	/* of the source, and how many */
	int64 row_count;
	TupleTableSlot *slot;		/* to read them */
	TessReturnedRows *returned; /* for RETURNING; may be NULL */
	TessUpsertWrites about_to_write;
	void *arg;
	TessScanFigures *figures;
} TessUpsertInput;

extern TessUpsert *tess_upsert_init(const TessModifySpec *spec,
									CustomScanState *node);
extern uint64 tess_upsert_run(TessUpsert *upsert, const TessUpsertInput *input,
							  Bitmapset **shards);
extern bool tess_upsert_is_at_first(const TessUpsert *upsert);

/* capture.c: what core's plan changes in this server's copy ---------------- */
typedef struct TessCapture TessCapture;

extern TessCapture *tess_capture_begin(ModifyTableState *modify,
									   const TessModifySpec *spec);
extern TupleDesc tess_capture_desc(const TessCapture *capture);
extern bool tess_capture_next(TessCapture *capture, TupleTableSlot *slot);
extern void tess_capture_end(TessCapture *capture);

/* repeat_rows.c: captured changes on their way to the other copies --------- */
extern bool tess_rows_need_one_statement(const TriggerDesc *triggers);
extern void tess_rows_repeat(const TessFragment *fragment, TessCapture *capture,
							 bool at_once, TessScanFigures *figures);

/* direct.c: statements of one shard that is here ---------------------------- */
typedef struct TessDirect TessDirect;

extern TessDirect *tess_direct_start(QueryDesc *query_desc, int eflags);
extern void tess_direct_started(TessDirect *run);
extern TessDirect *tess_direct_find(const QueryDesc *query_desc);
extern void tess_direct_end(TessDirect *run);
extern int64 tess_direct_count(void);

/* A CALL, which the plan was made for, if its shard is on this server: it is executed as
 * a call of the shard's copy.  False: nothing was done, and it goes the ordinary way. */
extern bool tess_direct_call(const PlannedStmt *statement,
							 const PlannedStmt *plan, const char *query_string,
							 ParamListInfo params, DestReceiver *dest);
extern TupleTableSlot *tess_direct_take_row(const CustomScan *scan,
											PlanState *child);

/* followers.c: rows that refer to rows which move to other shards ------------ */

typedef struct TessFollowers TessFollowers;

/* For the INSERT of rows that move; NULL if no foreign key acts.  In the current
 * context. */
extern TessFollowers *tess_followers_begin(const TessFragment *fragment,
										   const TessWrite *write);
/* A row of the child that moves; in the context of followers. */
extern void tess_followers_add(TessFollowers *followers, TupleTableSlot *slot);
/* True if rows have to follow: then the rows that move are to be inserted before
 * tess_followers_move(), and deleted after it.  Errors where they cannot, or must
 * not be there (23503, 0A000). */
extern bool tess_followers_exist(TessFollowers *followers);
extern const TessWrite *tess_followers_write(const TessFollowers *followers);
extern void tess_followers_move(TessFollowers *followers);
extern void tess_refuse_move(Oid table, Oid hidden_from) pg_attribute_noreturn();

/* seen_rows.c */
extern bool tess_row_is_seen(struct HTAB **seen, MemoryContext context,
							 int shard_index, Oid partition, ItemPointer ctid);

/* scan_node.c, modify_node.c, repeat_node.c -------------------------------- */
extern const CustomScanMethods tess_scan_methods;
/* lock_node.c */
extern const CustomScanMethods tess_lock_methods;
extern const CustomScanMethods tess_candidates_methods;
extern const CustomScanMethods tess_modify_methods;
extern const CustomScanMethods tess_repeat_methods;
extern const CustomScanMethods tess_combine_methods;

/* function_run.c: the function whose call in a shard is all of a plan, or
 * InvalidOid; an error (42501) if the user may not execute it; and, in a stack of
 * error contexts, hints. */
extern Oid tess_function_of_plan(const PlannedStmt *stmt);
extern void tess_function_check_right(Oid function);
extern void tess_function_error_hint(void *arg);

/* guard_check.c: errors if the values of an execution, which has been started, are
 * about another shard than the one whose function executes it. */
extern void tess_guard_check(QueryDesc *query_desc);

/* exec.c: true where a foreign key carries a change of a reference table on.
 * Each node has done that itself, with its own copy. */
extern bool tess_exec_is_cascade(void);

/* Errors if a node's copy of a reference table had another number of rows
 * changed than this server's. */
extern void tess_copy_compare(Oid table, const TessBranch *branch,
							  uint64 rows_here, uint64 rows_there);

/* Errors if the snapshot is older than the shards of this server. */
extern void tess_exec_check_snapshot(const TessFragment *fragment,
									 Snapshot snapshot);
/* True if the running plan, whose top node this is, is the last act of the
 * client's transaction. */
extern bool tess_exec_is_last_act(EState *estate, const Plan *plan);
/* True if between the top of the plan and a scan of ours nothing rescans. */
extern bool tess_exec_is_never_rescanned(const Plan *scan, EState *estate);
/* The table of a fragment as it is now; errors if it is not ours any more. */
extern const TessTable *tess_exec_table(const TessFragment *fragment);

/* epq.c: the row that an EvalPlanQual recheck wants instead of a scan. ---- */
extern bool tess_epq_applies(CustomScanState *node);
extern TupleTableSlot *tess_epq_next(CustomScanState *node);

/* explain.c ---------------------------------------------------------------- */

/* What EXPLAIN is about. */
typedef struct TessExplained
{
	const TessFragment *fragment;
	TessArgs *args;
	Oid role;
	const Bitmapset *shards; /* of the run, if there was one */
	TessScanFigures figures;
} TessExplained;

extern void tess_explain_fragment(CustomScanState *node, List *ancestors,
								  const TessExplained *what, ExplainState *es);

/* remote_plan.c: plans of nodes in EXPLAIN ---------------------------------- */
extern void tess_remote_plans_show(CustomScanState *node,
								   const TessExplained *what,
								   const TessGroup *group,
								   const Bitmapset *shards, ExplainState *es);
extern void tess_remote_plan_init(void);

extern void tess_explain_cargo(const TessFragment *fragment,
							   const TessCargoFigures *figures, ExplainState *es);

/* group_state.c: the state of another aggregate, for a group of one of ours --- */

/* What changes a state: the other aggregate's transition or combine function. */
typedef struct TessStep
{
	int16 state_length;
	bool state_by_value;
	Datum initial;
	bool initial_is_null;

	FmgrInfo function;
	int arg_count;			/* beside the state */
	FunctionCallInfo frame; /* for all calls */
} TessStep;

typedef struct TessGroupState
{
	Datum state;
	bool state_is_null;
	bool waits; /* a strict function's state will be its first argument */
} TessGroupState;

extern void tess_step_set_function(TessStep *step, Oid function, Node *expr,
								   int arg_count, Oid collation,
								   MemoryContext context);
extern void tess_step_set_initial(TessStep *step, Oid state_type,
								  const char *initial);
extern TessGroupState *tess_group_begin(const TessStep *step,
										MemoryContext context);
extern void tess_group_add(TessStep *step, TessGroupState *group,
						   const NullableDatum *args, Node *call_context,
						   MemoryContext context);

#endif
