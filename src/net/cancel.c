/*
 * cancel.c - asks nodes to stop the statements that they run for sessions.
 *
 * PQcancel() blocks until the node has taken the request, without regard to
 * interrupts: for long if its machine or its postmaster is silent.  So a
 * non-blocking connection knocks first, at all nodes at once: a postmaster
 * that answers an SSLRequest is one that takes the cancel request at once.
 * One that does not answer costs the session.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "libpq/pqcomm.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/latch.h"

#include "net/net_internal.h"

/* A node that takes longer than this to answer a knock is silent. */
#define KNOCK_TIMEOUT_MS 500

typedef struct Knock
{
	TessSession *session;
	bool cancels;  /* with an answer, its statement is cancelled */
	pgsocket sock; /* PGINVALID_SOCKET: done, or failed */
	bool asked;	   /* connected, and the request is sent */
	bool answered;
} Knock;

static void
end_knock(Knock *knock)
{
	if (knock->sock != PGINVALID_SOCKET)
		closesocket(knock->sock);
	knock->sock = PGINVALID_SOCKET;
}

/* Begins to connect. */
static void
start_knock(Knock *knock, TessSession *session)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	memset(knock, 0, sizeof(*knock));
	knock->session = session;
	knock->sock = PGINVALID_SOCKET;
	if (session->broken ||
		getpeername(PQsocket(session->conn), (struct sockaddr *) &address,
					&length) != 0)
		return;
	knock->sock = socket(address.ss_family, SOCK_STREAM, 0);
	if (knock->sock == PGINVALID_SOCKET)
		return;
	if (!pg_set_noblock(knock->sock) ||
		(connect(knock->sock, (struct sockaddr *) &address, length) != 0 &&
		 errno != EINPROGRESS && errno != EINTR))
		end_knock(knock);
}

/* The next step, when the socket is ready: to ask, or to hear one byte. */
static void
go_on(Knock *knock)
{
	uint32 request[2] = {pg_hton32(sizeof(request)),
						 pg_hton32(NEGOTIATE_SSL_CODE)};
	int failure = 0;
	socklen_t length = sizeof(failure);
	char answer;

	if (!knock->asked)
	{
		if (getsockopt(knock->sock, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 &&
			failure == 0 &&
			send(knock->sock, request, sizeof(request), 0) == sizeof(request))
			knock->asked = true;
		else
			end_knock(knock);
		return;
	}
	knock->answered = recv(knock->sock, &answer, 1, 0) == 1;
	end_knock(knock);
}

static bool
request_cancel(TessSession *session)
{
	PGcancel *cancel = PQgetCancel(session->conn);
	char message[256];
	bool sent;

	if (cancel == NULL)
		return false;
	sent = PQcancel(cancel, message, sizeof(message)) != 0;
	PQfreeCancel(cancel);
	return sent;
}

/* Waits for the knocks that are under way, and cancels where one is answered. */
static void
finish_knocks(int count, Knock *knocks, TimestampTz deadline)
{
	TessSocketWait *waits = palloc(sizeof(TessSocketWait) * count);
	Knock **waiting = palloc(sizeof(Knock *) * count);

	for (;;)
	{
		int open = 0;

		for (int i = 0; i < count; i++)
		{
			if (knocks[i].sock == PGINVALID_SOCKET)
				continue;
			waits[open].sock = knocks[i].sock;
			waits[open].events = knocks[i].asked ? WL_SOCKET_READABLE
												 : WL_SOCKET_CONNECTED;
			waiting[open++] = &knocks[i];
		}
		if (open == 0 || !tess_wait_sockets(open, waits, deadline))
			break;
		for (int i = 0; i < open; i++)
		{
			if (!waits[i].ready)
				continue;
			go_on(waiting[i]);
			if (waiting[i]->answered && waiting[i]->cancels)
				waiting[i]->answered = request_cancel(waiting[i]->session);
		}
	}
	pfree(waits);
	pfree(waiting);
}

/* Sessions whose nodes have not answered until the deadline are broken. */
static void
knock(int count, TessSession *const *sessions, bool cancels, TimestampTz deadline)
{
	Knock *knocks = palloc(sizeof(Knock) * count);

	for (int i = 0; i < count; i++)
	{
		start_knock(&knocks[i], sessions[i]);
		knocks[i].cancels = cancels;
	}
	finish_knocks(count, knocks, deadline);
	for (int i = 0; i < count; i++)
	{
		end_knock(&knocks[i]);
		if (!knocks[i].answered)
			tess_session_break(sessions[i], _("The node did not answer."));
	}
	pfree(knocks);
}

void
tess_net_knock(int count, TessSession *const *sessions)
{
	knock(count, sessions, false,
		  TimestampTzPlusMilliseconds(GetCurrentTimestamp(), KNOCK_TIMEOUT_MS));
}

/*
 * Asks the nodes to stop what runs for these sessions.  A session whose node
 * has not taken the request is broken afterwards.  No errors; interrupts are
 * held, and end the wait.
 */
void
tess_cancel_send(int count, TessSession *const *sessions, TimestampTz deadline)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz knock_deadline;

	/* Time is left for those who answer, to end their transactions. */
	knock_deadline = TimestampTzPlusMilliseconds(now, KNOCK_TIMEOUT_MS);
	knock(count, sessions, true, Min(knock_deadline, now + (deadline - now) / 2));
}

void
tess_session_cancel(TessSession *session, TimestampTz deadline)
{
	if (!session->broken)
		tess_cancel_send(1, &session, deadline);
}
