/*
 * net.h - bytes to and from a node: sessions, pipelines, waits, results,
 * errors.  Knows nothing of transactions, shards or plans.
 *
 * A session is one libpq connection to one node as one role.  It is in
 * pipeline mode except during COPY.  Statements are queued, flushed with a
 * Sync at the end, and answered in order.  All waiting is done in one place
 * (latch + sockets + CHECK_FOR_INTERRUPTS + deadline).
 *
 * Session states: OPENING -> IDLE <-> BUSY (replies are owed) ; any -> BROKEN
 * (socket lost, or in a state we cannot know): closed as soon as nobody holds
 * it.  A session belongs to its backend until it is closed; between
 * transactions it is kept for reuse (tessera.max_cached_connections_per_node,
 * idle_connection_lifetime) and checked before it is used again.
 */
#ifndef TESS_NET_H
#define TESS_NET_H

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "libpq-fe.h"
#include "nodes/pg_list.h"

#include "meta/meta.h"
#include "tessera.h"

typedef struct TessSession TessSession;

/* pool.c ------------------------------------------------------------- */

/* Sessions for the given nodes as the given role: reused if an idle one is
 * there, opened in parallel otherwise, within tessera.connect_timeout.  None
 * is in use by somebody else (in_use is set for them now; give back with
 * tess_net_release).  Sends the settings of this session that results depend
 * on (TimeZone, ...) with the next flush where they differ.
 * Errors: 08001 with the node's name; 42501/28xxx from the node. */
extern void tess_net_acquire(int count, const int32 *node_ids, Oid role,
							 TessSession **sessions);
/* Back to the pool; closed if broken, busy, or too many are kept. */
extern void tess_net_release(TessSession *session);

/* True if the last attempt to reach a node has run into its time limit.  Who can do
 * without it need not wait for long: see tess_net_hurry. */
extern bool tess_node_is_silent(int32 node_id);
extern void tess_node_note_silent(int32 node_id);
/* Until when to wait for a connection that is asked for now. */
extern TimestampTz tess_connect_deadline(void);
/* From now on no connection is waited for longer than limit_ms, until
 * AtEOXact_GUC(true, what this returns). */
extern int tess_net_hurry(int limit_ms);
/* Finds out which nodes are silent, of sessions that have been waited for: theirs
 * are broken.  Takes half a second.  No errors; interrupts are held, and
 * end it. */
extern void tess_net_knock(int count, TessSession *const *sessions);

/* A connection that is not in the pool, to parameters that are not (yet) a
 * node's: add_node and check_nodes use it.  role InvalidOid: the current one.
 * claims: a node that serves another coordinator refuses its statements, as it
 * does those of the pool's.  Same errors.  Owned by the caller: tess_net_close,
 * which stops what still runs there. */
extern TessSession *tess_net_open_server(Oid foreign_server, const char *label,
										 Oid role, bool claims);
extern void tess_net_close(TessSession *session);
/* True if a session on which nothing is owed can still be used, as far as one
 * can tell without asking the node.  No errors. */
extern bool tess_session_is_alive(TessSession *session);
/* Closes idle sessions to a node (its options changed, or it is gone). */
extern void tess_net_forget_node(int32 node_id);

/* session.c ---------------------------------------------------------- */

extern const char *tess_session_node_name(const TessSession *session);
extern int tess_session_server_version(const TessSession *session);
/* What the node has reported of a setting when it was connected to; NULL: nothing. */
extern const char *tess_session_parameter(const TessSession *session,
										  const char *name);
extern bool tess_session_is_broken(const TessSession *session);
/* True if replies are owed (queued, sent or unread). */
extern bool tess_session_is_busy(const TessSession *session);
/* True if, when it was idle last, it was inside a transaction block. */
extern bool tess_session_in_block(const TessSession *session);

/* Values of one execution, in wire form.  Owned by the caller until flushed. */
typedef struct TessParams
{
	int count;
	const Oid *types; /* 0: let the node infer; never a user type's OID */
	const char *const *values; /* NULL: SQL NULL */
	const int *lengths;
	const int *formats; /* 0 text, 1 binary */
} TessParams;

/* What becomes of a reply. tag is the caller's and comes back with each
 * result.  A statement with tag NULL is "silent": success is swallowed by
 * net/, failure raises an error at the next poll of the session. */
extern void tess_session_queue(TessSession *session, const char *sql,
							   const TessParams *params, bool binary_result,
							   bool single_row, void *tag);
/* The same for a statement that is likely to come again: when it does, the node
 * prepares it.  If the node has lost it since, it is sent once more, where no
 * transaction block has been aborted by that. */
extern void tess_session_queue_again(TessSession *session, const char *sql,
									 const TessParams *params, bool binary_result,
									 bool single_row, void *tag);
/* Ends the pipeline with a Sync and starts to send.  Counts a round trip.
 * Neither this nor tess_session_queue raises for a lost connection: the poll
 * that would get the reply does. */
extern void tess_session_flush(TessSession *session);

/* Has the node send what it answers to the statements queued so far, without
 * waiting for those that follow.  Leaves with the next flush. */
extern void tess_session_request_flush(TessSession *session);

typedef enum TessPoll
{
	TESS_POLL_WAIT, /* nothing to read now: tess_net_wait */
	TESS_POLL_ROWS, /* *result holds one or more rows; more follow */
	TESS_POLL_DONE, /* statement of *tag ended; *result: its last rows, command tag */
	TESS_POLL_IDLE /* no replies are owed to what was flushed */
} TessPoll;

/* Next event of the session, without waiting.  *result lives until the next
 * poll of the session.  An error of the node is raised (with node name, remote
 * SQLSTATE, message, detail, hint, context), after which the replies up to the
 * Sync are dropped by net/. */
extern TessPoll tess_session_poll(TessSession *session, PGresult **result,
								  void **tag);

/* As above, for callers that must go on after an error (commit, rollback,
 * check_nodes): TESS_POLL_DONE with *error set (palloc'd), never raises for
 * what the node said or for a lost connection. */
extern TessPoll tess_session_poll_quiet(TessSession *session, PGresult **result,
										void **tag, ErrorData **error);

/* Queues (silently) what brings the node session's settings to those of this
 * session; nothing if they are so.  tess_net_acquire has done it; who keeps a
 * session over several statements calls it before each of them. */
extern void tess_session_sync_settings(TessSession *session);

/* style.c: statements before and after a call of a user's function: between them the node
 * writes values as this session does.  They hold until the end of the
 * transaction at most.  NULL: the node does so already.  Palloc'd. */
extern char *tess_style_enter(void);
extern char *tess_style_leave(void);

/* wait.c ------------------------------------------------------------- */

/* Waits until one of the sessions can make progress (read, or write what is
 * still to be sent).  deadline 0: none.  Raises on cancel, timeouts,
 * termination; returns false when the deadline has passed. */
extern bool tess_net_wait(int count, TessSession *const *sessions,
						  TimestampTz deadline);
/* As above inside critical callbacks, where interrupts are held: looks at
 * QueryCancelPending and ProcDiePending itself and returns false for them. */
extern bool tess_net_wait_held(int count, TessSession *const *sessions,
							   TimestampTz deadline);
/* Waits for nothing, as above: between two attempts to reach a node.  False if
 * a cancel or a termination has ended it. */
extern bool tess_net_pause(int pause_ms);

/*
 * Called by tess_net_wait, and by who waits for a connection, when the wait has
 * lasted for deadlock_timeout: waits, then again after each such time and each
 * time it is woken; and ended, once, before it returns or raises.  waits may
 * raise, and has ended then.  connection_to: the node to which no connection is
 * free, 0: it is for answers.  NULL: nobody cares.
 */
typedef struct TessLongWait
{
	void (*waits)(int32 connection_to);
	void (*ended)(void);
} TessLongWait;
extern const TessLongWait *tess_net_long_wait;

/* origin.c: who a session is, over all servers ----------------------- */

#define TESS_ORIGIN_SIZE 64

/* The name that this backend's sessions on nodes have: that of the session it
 * works for itself, or its own.  Static memory. */
extern const char *tess_origin_own(void);
/* True if this session works for another one. */
extern bool tess_origin_is_another(void);
/* The name of a backend of this server, into name (TESS_ORIGIN_SIZE); false if
 * it has none, because it works for no other and has used no node. */
extern bool tess_origin_of_backend(int backend_id, int pid, char *name);

/* coordinator.c: which coordinator it is ------------------------------- */

#define TESS_COORDINATOR_SIZE 128

/* "<cluster>:<incarnation>" of this database as a coordinator, and the second
 * half alone; palloc'd. */
extern char *tess_coordinator_name(void);
extern char *tess_coordinator_incarnation(void);
/* The name of the coordinator that this session works for, as it was told; ""
 * if it was told none. */
extern const char *tess_coordinator_claimed(void);

/* use.c: who reads a session's replies now ---------------------------- */

/* A scan that streams from a session owns it.  When someone else needs the
 * session, drain(owner, session) must read all owed replies to the end and
 * put them away (tuplestore).  Claiming first drains the old owner.  Owner
 * NULL: just drain. */
typedef void (*TessDrain)(void *owner, TessSession *session);
extern void tess_session_claim(TessSession *session, void *owner,
							   TessDrain drain);
/* The owner has read all it wanted, or is going away: unread replies are
 * discarded (the node's statement is cancelled if that is quicker). */
extern void tess_session_unclaim(TessSession *session, void *owner);
/* False if what was owed to the owner has been thrown away. */
extern bool tess_session_is_claimed(const TessSession *session,
									const void *owner);
/* Cancels the running statement at the node and reads up to the Sync.
 * Bounded by deadline, and by half a second if the node is silent; the session
 * is broken if that does not work.  No errors; interrupts are held, and end it. */
extern void tess_session_abandon(TessSession *session, TimestampTz deadline);
/* The same for several at once: a silent one does not keep others waiting. */
extern void tess_session_abandon_all(int count, TessSession *const *sessions,
									 TimestampTz deadline);
/* Asks the node to cancel what it does for the session, and no more: what
 * becomes of it is read as ever.  The session is broken if the node does not
 * take it until the deadline.  No errors. */
extern void tess_session_cancel(TessSession *session, TimestampTz deadline);

/* simple.c: for everything that is not on a statement's hot path --------- */

/* Runs one command on each session, in parallel; all are sent before any
 * answer is read.  Raises the first error. */
extern void tess_net_run_all(int count, TessSession *const *sessions,
							 const char *const *commands);
/* Runs a list of commands (char *) in one pipeline, one round trip. */
extern void tess_net_run_list(TessSession *session, List *commands);
/* Runs lists of commands on several sessions at once: lists[i] of char * is
 * for sessions[i]; one round trip for all. */
extern void tess_net_run_lists(int count, TessSession *const *sessions,
							   List *const *lists);
/* Next rows of the session's replies, waited for; false when no more are owed.
 * *result may be without rows, and lives until the next call; *tag is its
 * statement's.  For who reads one session to the end; raises its errors. */
extern bool tess_net_next(TessSession *session, PGresult **result, void **tag);
/* One query; the whole text result, freed with the caller's memory context.
 * params may be NULL. */
extern PGresult *tess_net_query(TessSession *session, const char *sql,
								const TessParams *params);

/* One statement, without errors: NULL if it was done, else what the node said, or
 * that it was silent until the deadline (palloc'd; the statement may still run
 * then).  take gets the whole result; NULL: nobody wants it. */
typedef void (*TessTakeAnswer)(void *arg, const PGresult *result);
extern ErrorData *tess_net_ask(TessSession *session, const char *sql,
							   TimestampTz deadline, TessTakeAnswer take,
							   void *arg);
/* The same with interrupts held: cancel and termination end the wait as the
 * deadline does. */
extern ErrorData *tess_net_ask_held(TessSession *session, const char *sql,
									TimestampTz deadline, TessTakeAnswer take,
									void *arg);

/* COPY ... FROM STDIN of bytes that are complete COPY data; the claim must be
 * the caller's.  The put returns when all has been sent. */
extern void tess_session_copy_begin(TessSession *session, const char *sql);
extern void tess_session_copy_put(TessSession *session, const char *bytes,
								  int length);
extern uint64 tess_session_copy_end(TessSession *session); /* rows */

/* One or more COPY ... TO STDOUT, in one text with semicolons between them; the
 * claim must be the caller's.  Returns when it is sent. */
extern void tess_session_copy_out_begin(TessSession *session, const char *sql);

typedef enum TessCopyOut
{
	TESS_COPY_WAITS,  /* nothing to read now: tess_net_wait */
	TESS_COPY_BEGINS, /* the rows that follow are of the next COPY */
	TESS_COPY_ROW,	  /* a message of it: a row, or a header */
	TESS_COPY_ENDS	  /* all of them have ended */
} TessCopyOut;

/* The next event, without waiting; raises errors of the node.  *row, of *length bytes,
 * lives until the next call.  What COPYs that have ended say of their number of
 * rows is added to *rows. */
extern TessCopyOut tess_session_copy_out_next(TessSession *session,
											  const char **row, int *length,
											  uint64 *rows);

/* connection_slots.c: connections of all sessions of this server ---------- */

/* The backends (pids) that have the connections to a node of this database; NIL
 * if one can be had without any of them. */
extern List *tess_net_connection_owners(int32 node_id);

/* codec.c: datums <-> wire --------------------------------------------- */

/* The OID to declare for a parameter of this type: itself for built-in types,
 * 0 for others (the node infers it from a cast in the text). */
extern Oid tess_type_wire_oid(Oid type);

/* Encoder for a row of parameters. */
typedef struct TessEncoder TessEncoder;
extern TessEncoder *tess_encoder_make(int count, const Oid *types);
/* Encodes into memory of the current context; params->values etc. are
 * palloc'd there.  Text values are written with settings pinned. */
extern void tess_encoder_encode(TessEncoder *encoder, const Datum *values,
								const bool *nulls, TessParams *params);

/* Decoder of result rows into the slots of a tuple descriptor. */
typedef struct TessDecoder TessDecoder;
/* True if all columns can come in binary: ask for binary_result then. */
extern bool tess_types_travel_binary(int count, const Oid *types);
/* The cast that a column needs in a SELECT whose rows come as text, "" for most:
 * what stands for an object comes as a number. */
extern const char *tess_type_text_cast(Oid type);
extern TessDecoder *tess_decoder_make(int count, const Oid *types,
									  const int32 *typmods, bool binary);
/* Row of result into values/nulls (arrays of count); by-reference values live
 * in the current context.  Errors: 42804 if the column count is another. */
extern void tess_decoder_decode(TessDecoder *decoder, const PGresult *result,
								int row, Datum *values, bool *nulls);

/* counters.c: of this backend; tests assert them ------------------------- */
typedef struct TessNetCounters
{
	int64 round_trips;	  /* flushes that had to be waited for */
	int64 statements;	  /* sent to nodes */
	int64 rows;			  /* received */
	int64 bytes_sent;	  /* of SQL texts and values */
	int64 bytes_received; /* of values */
	int64 connections;	  /* opened */
	int64 prepared;		  /* statements that the node had prepared before */
} TessNetCounters;
extern TessNetCounters tess_net_counters;

extern void tess_net_init(void);

#endif
