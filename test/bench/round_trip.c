/*
 * round_trip.c - what nobody who asks a node can do without: one statement,
 * prepared on a warm connection, its parameters and results binary, and one
 * wait in a set of events that is made once (a socket and a latch, as a backend
 * waits).  test/bench/point.pl compiles and runs it.
 *
 *   round_trip run CONNINFO CLIENTS WARM COUNT SQL [TYPE:LOW:HIGH ...]
 *     CLIENTS processes execute SQL WARM times each, wait for the advisory lock
 *     WARM + 1, execute it COUNT times and wait for the lock WARM + COUNT + 1; each
 *     parameter is at random from LOW to HIGH, of TYPE int4 or int8.  Prints the
 *     microseconds of CPU that these processes took for those COUNT times.
 *   round_trip idle CONNINFO COUNT SQL
 *     COUNT sessions execute SQL once; prints "ready", and keeps them until
 *     its input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define MAX_PARAMS 4
#define OID_INT8 20
#define OID_INT4 23

typedef struct Param
{
	Oid type;
	int64_t low;
	int64_t high;
	char value[8];
} Param;

typedef struct Job
{
	const char *conninfo;
	int warm;
	int count;
	const char *sql;
	int param_count;
	Param params[MAX_PARAMS];
} Job;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "round_trip: %s: %s\n", what, why);
	exit(1);
}

static PGconn *
connect_to(const char *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		fail("connect", PQerrorMessage(conn));
	return conn;
}

static int64_t
cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
		   usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void
read_param(Param *param, const char *text)
{
	char type[5];
	long long low;
	long long high;

	if (sscanf(text, "%4[^:]:%lld:%lld", type, &low, &high) != 3)
		fail("not TYPE:LOW:HIGH", text);
	param->type = strcmp(type, "int8") == 0 ? OID_INT8 : OID_INT4;
	param->low = low;
	param->high = high;
}

/* Another value, in the order of bytes of the network. */
static void
draw(Param *param)
{
	uint64_t random = ((uint64_t) lrand48() << 31) ^ (uint64_t) lrand48();
	int64_t value = param->low +
					(int64_t) (random % (uint64_t) (param->high - param->low + 1));
	uint32_t words[2] = {htonl((uint32_t) ((uint64_t) value >> 32)),
						 htonl((uint32_t) value)};

	if (param->type == OID_INT8)
		memcpy(param->value, words, 8);
	else
		memcpy(param->value, &words[1], 4);
}

static void
watch(int events, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

	if (fd < 0 || epoll_ctl(events, EPOLL_CTL_ADD, fd, &event) != 0)
		fail("epoll_ctl", strerror(errno));
}

static void
execute(PGconn *conn, int events, Job *job)
{
	const char *values[MAX_PARAMS];
	int lengths[MAX_PARAMS];
	int formats[MAX_PARAMS];
	PGresult *result;

	for (int i = 0; i < job->param_count; i++)
	{
		draw(&job->params[i]);
		values[i] = job->params[i].value;
		lengths[i] = job->params[i].type == OID_INT8 ? 8 : 4;
		formats[i] = 1;
	}
	if (!PQsendQueryPrepared(conn, "s", job->param_count, values, lengths,
							 formats, 1) ||
		PQflush(conn) != 0)
		fail("send", PQerrorMessage(conn));
	while (PQisBusy(conn))
	{
		struct epoll_event event;

		if (epoll_wait(events, &event, 1, -1) < 0 && errno != EINTR)
			fail("epoll_wait", strerror(errno));
		if (!PQconsumeInput(conn))
			fail("receive", PQerrorMessage(conn));
	}
	while ((result = PQgetResult(conn)) != NULL)
	{
		if (PQresultStatus(result) != PGRES_TUPLES_OK &&
			PQresultStatus(result) != PGRES_COMMAND_OK)
			fail("execute", PQresultErrorMessage(result));
		PQclear(result);
	}
}

static void
wait_for_lock(PGconn *conn, int key)
{
	char sql[64];
	PGresult *result;

	snprintf(sql, sizeof(sql), "SELECT pg_advisory_lock_shared(%d)", key);
	result = PQexec(conn, sql);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail("lock", PQresultErrorMessage(result));
	PQclear(result);
}

static void
run_client(Job *job, int output)
{
	PGconn *conn = connect_to(job->conninfo);
	Oid types[MAX_PARAMS];
	int events = epoll_create1(0);
	int64_t used;
	PGresult *result;

	srand48(time(NULL) * 1000 + getpid());
	for (int i = 0; i < job->param_count; i++)
		types[i] = job->params[i].type;
	result = PQprepare(conn, "s", job->sql, job->param_count, types);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("prepare", PQerrorMessage(conn));
	PQclear(result);
	PQsetnonblocking(conn, 1);
	watch(events, eventfd(0, EFD_NONBLOCK));
	watch(events, PQsocket(conn));

	for (int i = 0; i < job->warm; i++)
		execute(conn, events, job);
	wait_for_lock(conn, job->warm + 1);
	used = cpu_us();
	for (int i = 0; i < job->count; i++)
		execute(conn, events, job);
	used = cpu_us() - used;
	wait_for_lock(conn, job->warm + job->count + 1);
	PQfinish(conn);
	if (write(output, &used, sizeof(used)) != sizeof(used))
		fail("write", strerror(errno));
}

static void
run(Job *job, int clients)
{
	int64_t sum = 0;
	int64_t used;
	int ends[2];
	int status;

	if (pipe(ends) != 0)
		fail("pipe", strerror(errno));
	for (int i = 0; i < clients; i++)
	{
		if (fork() == 0)
		{
			run_client(job, ends[1]);
			exit(0);
		}
	}
	for (int i = 0; i < clients; i++)
	{
		if (wait(&status) < 0 || status != 0)
			fail("client", "failed");
		if (read(ends[0], &used, sizeof(used)) != sizeof(used))
			fail("read", strerror(errno));
		sum += used;
	}
	printf("%lld\n", (long long) sum);
}

static void
keep_idle(const char *conninfo, int count, const char *sql)
{
	PGconn **conns = calloc(count, sizeof(PGconn *));

	for (int i = 0; i < count; i++)
	{
		PGresult *result;

		conns[i] = connect_to(conninfo);
		result = PQexec(conns[i], sql);
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			fail("execute", PQerrorMessage(conns[i]));
		PQclear(result);
	}
	printf("ready\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	for (int i = 0; i < count; i++)
		PQfinish(conns[i]);
}

int
main(int argc, char **argv)
{
	if (argc >= 7 && argc <= 7 + MAX_PARAMS && strcmp(argv[1], "run") == 0)
	{
		Job job = {.conninfo = argv[2],
				   .warm = atoi(argv[4]),
				   .count = atoi(argv[5]),
				   .sql = argv[6],
				   .param_count = argc - 7};

		for (int i = 0; i < job.param_count; i++)
			read_param(&job.params[i], argv[7 + i]);
		run(&job, atoi(argv[3]));
	}
	else if (argc == 5 && strcmp(argv[1], "idle") == 0)
		keep_idle(argv[2], atoi(argv[3]), argv[4]);
	else
		fail("usage", "see round_trip.c");
	return 0;
}
