/*
 * net_internal.h - what the files of net/ share: the session itself.
 *
 * Fields of a session are written by the file named beside them and read by
 * all of net/.
 */
#ifndef TESS_NET_INTERNAL_H
#define TESS_NET_INTERNAL_H

#include "lib/ilist.h"
#include "storage/backendid.h"
#include "utils/elog.h"
#include "utils/timestamp.h"

#include "net/net.h"

/* What a node session has of the settings that follow this one; settings.c. */
typedef struct TessSettings TessSettings;

/* One answer that the node owes us. */
typedef struct TessReply
{
	void *tag; /* NULL: silent */
	bool is_sync;
	bool single_row;
	bool started;  /* it is the statement libpq answers now */
	bool prepares; /* of a PREPARE */
	bool by_name;  /* of a statement that was prepared */
} TessReply;

typedef struct TessPreparedSet TessPreparedSet;

/* A notice of the node that waits to be passed on; malloc'd, see report.c. */
typedef struct TessNotice TessNotice;

struct TessSession
{
	dlist_node link;	   /* in pool.c's list of all sessions */
	MemoryContext context; /* holds the session and what it points to */
	uint64 serial;		   /* never the same twice in a backend */

	/* connect.c */
	PGconn *conn;						  /* NULL once closed */
	PostgresPollingStatusType connecting; /* PGRES_POLLING_OK: open */
	Oid server;
	char *server_name;
	bool must_use_password;
	bool has_external_fd;

	/* pool.c */
	int32 node_id; /* 0: not of a node (yet) */
	char *node_name;
	Oid role;
	uint32 server_hash; /* of the syscache entries it was made from */
	uint32 role_hash;
	bool pooled;
	bool claims; /* it tells the node which coordinator this is */
	bool in_use;
	bool stale; /* its options changed: not to be used again */
	TimestampTz idle_since;
	int slot; /* connection_slots.c; -1: none */

	/* session.c */
	bool broken;
	char *broken_reason; /* a sentence of libpq or of the node */
	TessReply *replies;	 /* ring, first in first out */
	int reply_head;
	int reply_count;
	int reply_capacity;
	int sync_count;	  /* Syncs among the replies */
	bool in_block;	  /* inside BEGIN, as far as replies were read */
	PGresult *result; /* what the last poll gave out */
	bool copying;	  /* COPY FROM STDIN, or TO STDOUT; copy.c */
	bool may_read;	  /* the socket may have something; wait.c */

	/* copy.c */
	bool receives_copy; /* TO STDOUT */
	bool in_copy_rows;	/* libpq has yet to say that a COPY has ended */
	char *copy_row;		/* what was given out last; libpq's */

	/* report.c */
	TessNotice *first_notice;
	TessNotice *last_notice;

	/* use.c */
	void *owner;
	TessDrain drain;

	/* prepared.c: NULL before the first of them */
	TessPreparedSet *prepared;

	/* settings.c */
	TessSettings *settings;
	bool settings_in_block;
	uint64 settings_version; /* that the node has; 0: to be compared */
};

/* copy.c */
extern void tess_copy_leave(TessSession *session);
extern void tess_copy_forget_row(TessSession *session);
/* Reads and forgets what is there of the rows of a COPY; true at their end, or if
 * the session is broken. */
extern bool tess_copy_discard(TessSession *session);

/* connect.c */
extern void tess_connect_start(TessSession *session);
extern void tess_connect_finish(int count, TessSession *const *sessions);
extern void tess_connect_close(TessSession *session);
extern void tess_connect_init(void);

/* pool.c */
extern void tess_pool_init(void);
extern void tess_pool_forget_settings(void);
extern void tess_pool_close_idle(int32 node_id);

/* connection_slots.c */
extern void tess_slot_take(TessSession *session, TimestampTz deadline);
extern void tess_slot_release(TessSession *session);
extern void tess_slot_note_connected(TessSession *session);
extern void tess_slot_note_use(TessSession *session);
extern bool tess_slot_note_idle(TessSession *session);
extern bool tess_slot_is_wanted(const TessSession *session);
extern void tess_slot_init(void);

/* silence.c */
extern void tess_node_note_heard(int32 node_id);
extern void tess_silence_init(void);

/* idle.c */
extern void tess_idle_look_at(TimestampTz at);
extern void tess_idle_wake(int pid, BackendId backend);

/* session.c */
extern void tess_session_break(TessSession *session, const char *reason);
extern void tess_session_forget_replies(TessSession *session);
extern bool tess_session_owes_silent(const TessSession *session);
extern bool tess_session_owes_reader(const TessSession *session);
extern bool tess_session_sync(TessSession *session);
extern void tess_session_read(TessSession *session);
extern void tess_session_queue_prepare(TessSession *session, const char *name,
									   const char *sql, const TessParams *params);
/* The result of the last poll becomes the caller's, who clears it. */
extern PGresult *tess_session_take_result(TessSession *session);
extern void tess_session_init(void);

/* wait.c */
extern void tess_wait_forget(void);

/* A wait that may turn out to be a long one; all zero when it begins. */
typedef struct TessPatience
{
	int32 connection_to; /* see TessLongWait */
	TimestampTz until;	 /* 0: not looked at the clock yet */
	bool is_over;		 /* somebody was told */
} TessPatience;

extern long tess_patience_use(TessPatience *patience);
extern void tess_patience_end(TessPatience *patience);

/* A socket that is no session's, and what to wait for there. */
typedef struct TessSocketWait
{
	pgsocket sock;
	uint32 events;
	bool ready;
} TessSocketWait;

extern bool tess_wait_sockets(int count, TessSocketWait *waits,
							  TimestampTz deadline);

/* cancel.c */
extern void tess_cancel_send(int count, TessSession *const *sessions,
							 TimestampTz deadline);

/* report.c */
extern ErrorData *tess_report_result(TessSession *session,
									 const PGresult *result);
extern ErrorData *tess_report_stale(const TessSession *session, ErrorData *error);
extern ErrorData *tess_report_lost(TessSession *session);
extern void tess_report_connect_failure(TessSession *session)
	pg_attribute_noreturn();
extern void tess_report_watch_notices(TessSession *session);
extern void tess_report_notices(TessSession *session, bool quiet);
extern void tess_report_forget_notices(TessSession *session);

/* origin.c */
extern void tess_origin_init(void);

/* coordinator.c */
extern void tess_coordinator_init(void);

/* prepared.c */
extern bool tess_prepared_find(TessSession *session, const char *sql,
							   const TessParams *params, char *name);
extern void tess_prepared_keep_values(TessSession *session,
									  const TessParams *params,
									  bool binary_result);
extern bool tess_prepared_send_again(TessSession *session, void *tag,
									 bool single_row);
extern void tess_prepared_doubt(TessSession *session);
extern void tess_prepared_init(void);

/* settings.c */
extern char *tess_settings_startup_options(TessSession *session);
/* "ISO, " and this session's order. */
extern const char *tess_settings_date_order(void);
extern void tess_settings_forget(TessSession *session);
extern void tess_settings_init(void);

#endif
