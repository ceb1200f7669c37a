/*
 * xact_internal.h - the remote half of this backend's transaction, shared by
 * the files of xact/.
 */
#ifndef TESS_XACT_INTERNAL_H
#define TESS_XACT_INTERNAL_H

#include "utils/elog.h"
#include "utils/timestamp.h"

#include "xact/xact.h"

/* Where a remote transaction is on its way to the end. */
typedef enum TessPhase
{
	TESS_PHASE_NONE,	  /* no remote transaction: single reads */
	TESS_PHASE_OPEN,	  /* BEGIN is queued, sent or answered */
	TESS_PHASE_PREPARING, /* PREPARE TRANSACTION sent, outcome unknown */
	TESS_PHASE_PREPARED,
	TESS_PHASE_COMMITTING, /* plain COMMIT sent, outcome unknown */
	TESS_PHASE_ENDED
} TessPhase;

/*
 * One session of this transaction.  Levels are local nesting levels as of
 * GetCurrentTransactionNestLevel(); 0 means never.
 */
typedef struct TessRemote
{
	TessSession *session;
	int32 node_id;
	Oid role;
	uint64 joined_in; /* the call in which it did: its settings are ours then */
	TessPhase phase;

	int begun_level;	 /* outermost level that lives in it */
	int wrote_level;	 /* outermost level with a live write */
	int locked_level;	 /* same, of row locks */
	int savepoint_level; /* deepest SAVEPOINT there, 1: none */
	int release_level;	 /* SAVEPOINTs from here on are to be released
								 * before the next statement, 0: none */
	bool lost;			 /* broke with something in it: cannot commit */
	bool replace;		 /* with nothing in it: begin on another */
	uint64 begun;		 /* number of its transaction, never the same twice */
	int64 used_snapshot; /* see node_snapshot.c; 0: none, -1: not known */

	/* The statement that is under way in a round, see xact_round.c */
	const char *command;	  /* NULL: takes no part in the round */
	const char *expected;	  /* its command tag, NULL: any */
	bool answered;			  /* done as expected */
	bool finished;			  /* answered, failed, or given up */
	uint64 processed;		  /* rows, as its tag says */
	ErrorData *error;		  /* why it is not answered, NULL: no answer */
	TessTakeAnswer take_rows; /* of the statement; NULL: nobody */
	void *take_arg;
	bool lost_rows; /* they could not be taken */

	/* Made before the decision, because after it nothing may be allocated. */
	char *prepare;
	char *commit_prepared;
	char *rollback_prepared;
} TessRemote;

/* All sessions of this transaction; lives in TopTransactionContext. */
extern TessRemote **tess_remotes(int *count);
/* Forgets them all: the last act of a transaction. */
extern void tess_remotes_forget(void);
/* The entry of a node, as tess_xact_sessions() makes it, but without BEGIN. */
extern TessRemote *tess_remote_join(int32 node_id, Oid role);
extern void tess_remote_number(TessRemote *remote);
extern bool tess_remote_can_commit(const TessRemote *remote);
extern void tess_remote_raise_lost(const TessRemote *remote)
	pg_attribute_noreturn();

/* xact_round.c */
extern void tess_swallow_error(uint32 holdoff);
extern void tess_round_begin(void);
extern void tess_round_send(TessRemote *remote, const char *command,
							const char *expected);
extern void tess_round_send_alone(TessRemote *remote,
								  const TessAloneWrite *write);
extern void tess_round_finish(void);
extern void tess_round_finish_held(TimestampTz deadline);
extern void tess_round_knock(void);
extern bool tess_round_lost_connection(const TessRemote *remote);
extern TimestampTz tess_round_deadline(void);

/* xact_commit.c */
extern void tess_xact_pre_commit(void);
extern void tess_xact_committed(void);
extern void tess_xact_hold_interrupts(void);
extern void tess_xact_commit_forget(void);
extern int tess_commit_wait_ms;

/* one_phase.c */
extern bool tess_xact_has_nothing_local(void);
extern bool tess_xact_has_pending_notify(void);
extern void tess_remote_raise_reply(TessRemote *remote) pg_attribute_noreturn();
extern void tess_one_phase_finish(TessRemote *writer);

/* held_cursors.c */
extern void tess_held_cursors_end(bool is_commit);

/* sequences.c */
extern bool tess_xact_writes_here(void);
extern void tess_sequences_flush(void);

/* slots.c */
extern void tess_slot_write(const char *gid);
extern void tess_slot_clear(void);
extern bool tess_slot_is_taken(const char *gid);
extern List *tess_slots_list(void);
extern int tess_slot_backend(const char *gid);
extern uint64 tess_slots_boot(void);
extern void tess_slots_init(void);

/* outcome.c */
typedef enum TessOutcome
{
	TESS_OUTCOME_UNKNOWN,
	TESS_OUTCOME_COMMITTED,
	TESS_OUTCOME_ROLLED_BACK
} TessOutcome;

extern uint64 tess_remote_ticket(const TessRemote *remote);
extern const TessParams *tess_ticket_add(const TessParams *params,
										 const TessRemote *remote);
extern TessOutcome tess_outcome_ask(TessRemote *remote, TimestampTz deadline);

/* dirty.c */
extern uint64 tess_node_marks(void);
extern bool tess_node_is_clean(int32 node_id);
extern void tess_node_mark_dirty(int32 node_id);
extern void tess_node_note_clean(int32 node_id, uint64 marks);
extern void tess_dirty_init(void);

/* snapshot.c */
extern bool tess_snapshot_is_taken(const TessSnapshot *snapshot);
extern void tess_snapshot_join(TessSnapshot *snapshot, int count,
							   TessRemote **remotes);
extern void tess_snapshot_choose(const TessSnapshot *snapshot,
								 TessRemote *remote);
extern void tess_snapshot_subend(bool committed, int level);
extern void tess_snapshot_release_all(void);
extern void tess_snapshot_forget_all(void);
extern void tess_snapshot_init(void);

/* snapshot_nodes.c */
extern int32 *tess_snapshot_reach(int *count);

/* serializable.c */
extern void tess_serializable_note_empty(void);
extern void tess_serializable_check(Snapshot later);
extern void tess_serializable_warn(void);
extern void tess_serializable_init(void);

/* node_snapshot.c */
extern void tess_node_snapshot_subend(bool committed, int level);
extern void tess_node_snapshot_release(void);
extern void tess_node_snapshot_forget(void);

/* take_over.c */
extern bool tess_coordinator_tell(int32 node_id);

/* node_session.c */
extern void tess_node_pre_prepare(void);
extern void tess_node_session_init(void);

/* recovery.c */
extern void tess_node_resolve(int32 node_id);
extern bool tess_names_include(List *names, const char *name);
extern void tess_recovery_init(void);

/* xact_abort.c */
extern void tess_xact_aborted(void);
extern void tess_xact_subcommitted(int level);
extern void tess_xact_subaborted(int level);

#endif
