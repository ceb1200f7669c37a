/*
 * cancel.c - asks a node to stop the statement it runs for a session.
 *
 * PQcancel() blocks until the node has taken the request, without regard to
 * interrupts: for ever if its machine or its postmaster is silent.  So a
 * non-blocking connection knocks first, within the deadline: a postmaster
 * that answers an SSLRequest is one that takes the cancel request at once.
 * One that does not answer costs the session.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "libpq/pqcomm.h"
#include "port/pg_bswap.h"
#include "storage/latch.h"

#include "net/net_internal.h"

/* Connects, asks, waits for the one byte of an answer. */
static bool
knock(pgsocket sock, const struct sockaddr_storage *address,
	  socklen_t address_length, TimestampTz deadline)
{
	uint32 request[2];
	int failure = 0;
	socklen_t failure_length = sizeof(failure);
	char answer;

	if (!pg_set_noblock(sock))
		return false;
	if (connect(sock, (const struct sockaddr *) address, address_length) != 0 &&
		errno != EINPROGRESS && errno != EINTR)
		return false;
	if (!tess_wait_socket(sock, WL_SOCKET_CONNECTED, deadline))
		return false;
	if (getsockopt(sock, SOL_SOCKET, SO_ERROR, &failure, &failure_length) != 0 ||
		failure != 0)
		return false;

	request[0] = pg_hton32(sizeof(request));
	request[1] = pg_hton32(NEGOTIATE_SSL_CODE);
	if (send(sock, request, sizeof(request), 0) != sizeof(request))
		return false;
	if (!tess_wait_socket(sock, WL_SOCKET_READABLE, deadline))
		return false;
	return recv(sock, &answer, 1, 0) == 1;
}

static bool
is_answering(TessSession *session, TimestampTz deadline)
{
	struct sockaddr_storage address;
	socklen_t address_length = sizeof(address);
	pgsocket sock;
	bool answers;

	if (getpeername(PQsocket(session->conn), (struct sockaddr *) &address,
					&address_length) != 0)
		return false;
	sock = socket(address.ss_family, SOCK_STREAM, 0);
	if (sock == PGINVALID_SOCKET)
		return false;
	answers = knock(sock, &address, address_length, deadline);
	closesocket(sock);
	return answers;
}

/* True if the node has taken the request.  No errors. */
bool
tess_cancel_send(TessSession *session, TimestampTz deadline)
{
	PGcancel *cancel;
	char message[256];
	bool sent;

	if (session->broken || !is_answering(session, deadline))
		return false;
	cancel = PQgetCancel(session->conn);
	if (cancel == NULL)
		return false;
	sent = PQcancel(cancel, message, sizeof(message)) != 0;
	PQfreeCancel(cancel);
	return sent;
}
