/*
 * ticket.h - on a node: which transaction a session for another server has
 * committed last.
 */
#ifndef TESS_TICKET_H
#define TESS_TICKET_H

/* Reported to who connects; see tess_session_parameter. */
#define TESS_SESSION_NAME_SETTING "tessera.session_name"

/* In a BEGIN, before its ticket and the end of the comment. */
#define TESS_TICKET_COMMENT "/* ticket "

/* The ticket of a transaction of a session of this name (see tess_origin_own). */
extern uint64 tess_ticket_make(const char *origin, uint64 number);
extern void tess_ticket_end(bool committed);
extern void tess_ticket_init(void);

#endif
