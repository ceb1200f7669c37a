/*
 * many_rows.c - INSERT statements of many rows, one after the other, as drivers send
 * them.  test/bench/many_rows.pl compiles and runs it.
 *
 *   many_rows CONNINFO PROTOCOL ROWS STATEMENTS FIRST TABLE TAIL
 *     STATEMENTS times INSERT INTO TABLE VALUES of ROWS rows (FIRST, 7, text), with
 *     FIRST growing by one a row, and TAIL behind.  PROTOCOL is "simple" (the values
 *     stand in the text), "extended" (three parameters a row), "prepared" (the same,
 *     prepared once) or "pipeline" (prepared, ten statements a round trip).
 *     Prints the microseconds that it took.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#define COLUMNS 3
#define VALUE_BYTES 64
#define IN_PIPELINE 10

typedef struct Job
{
	PGconn *conn;
	int rows;
	int64_t next;
	const char *table;
	const char *tail;
	char *sql;
	char (*values)[VALUE_BYTES]; /* COLUMNS of each row */
	const char **pointers;
} Job;

static void
fail(PGconn *conn)
{
	fprintf(stderr, "many_rows: %s\n", PQerrorMessage(conn));
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* The next values of all rows. */
static void
draw(Job *job)
{
	for (int i = 0; i < job->rows; i++)
	{
		char(*row)[VALUE_BYTES] = &job->values[i * COLUMNS];
		long long key = job->next++;

		snprintf(row[0], VALUE_BYTES, "%lld", key);
		snprintf(row[1], VALUE_BYTES, "7");
		snprintf(row[2], VALUE_BYTES, "some forty characters of text, no %lld", key);
	}
}

/* The statement, with values or with parameters. */
static void
write_statement(Job *job, int with_values)
{
	char *end = job->sql + sprintf(job->sql, "INSERT INTO %s VALUES ", job->table);

	for (int i = 0; i < job->rows; i++)
	{
		int first = i * COLUMNS;

		end += with_values
				   ? sprintf(end, "%s(%s, %s, '%s')", i > 0 ? ", " : "",
							 job->values[first], job->values[first + 1],
							 job->values[first + 2])
				   : sprintf(end, "%s($%d, $%d, $%d)", i > 0 ? ", " : "",
							 first + 1, first + 2, first + 3);
	}
	sprintf(end, " %s", job->tail);
}

static void
check(Job *job, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail(job->conn);
	PQclear(result);
}

static void
run_simple(Job *job)
{
	draw(job);
	write_statement(job, 1);
	check(job, PQexec(job->conn, job->sql));
}

static void
run_extended(Job *job)
{
	draw(job);
	check(job, PQexecParams(job->conn, job->sql, job->rows * COLUMNS, NULL,
							job->pointers, NULL, NULL, 0));
}

static void
run_prepared(Job *job)
{
	draw(job);
	check(job, PQexecPrepared(job->conn, "s", job->rows * COLUMNS, job->pointers,
							  NULL, NULL, 0));
}

static void
run_pipeline(Job *job)
{
	PGresult *result;

	for (int i = 0; i < IN_PIPELINE; i++)
	{
		draw(job);
		if (!PQsendQueryPrepared(job->conn, "s", job->rows * COLUMNS,
								 job->pointers, NULL, NULL, 0))
			fail(job->conn);
	}
	if (!PQpipelineSync(job->conn))
		fail(job->conn);
	for (int i = 0; i < IN_PIPELINE; i++)
	{
		check(job, PQgetResult(job->conn));
		if (PQgetResult(job->conn) != NULL)
			fail(job->conn);
	}
	result = PQgetResult(job->conn);
	if (PQresultStatus(result) != PGRES_PIPELINE_SYNC)
		fail(job->conn);
	PQclear(result);
}

int
main(int argc, char **argv)
{
	Job job = {0};
	const char *protocol = argc == 8 ? argv[2] : "";
	int statements;
	int64_t began;

	if (argc != 8)
		return 2;
	job.rows = atoi(argv[3]);
	statements = atoi(argv[4]);
	job.next = atoll(argv[5]);
	job.table = argv[6];
	job.tail = argv[7];
	job.sql = malloc(1024 + strlen(job.tail) + (size_t) job.rows * COLUMNS * (VALUE_BYTES + 16));
	job.values = malloc((size_t) job.rows * COLUMNS * VALUE_BYTES);
	job.pointers = malloc((size_t) job.rows * COLUMNS * sizeof(char *));
	for (int i = 0; i < job.rows * COLUMNS; i++)
		job.pointers[i] = job.values[i];
	job.conn = PQconnectdb(argv[1]);
	if (PQstatus(job.conn) != CONNECTION_OK)
		fail(job.conn);

	write_statement(&job, 0);
	if (strcmp(protocol, "prepared") == 0 || strcmp(protocol, "pipeline") == 0)
		check(&job, PQprepare(job.conn, "s", job.sql, 0, NULL));
	if (strcmp(protocol, "pipeline") == 0)
	{
		if (!PQenterPipelineMode(job.conn))
			fail(job.conn);
		statements /= IN_PIPELINE;
	}
	began = now_us();
	for (int i = 0; i < statements; i++)
	{
		if (strcmp(protocol, "simple") == 0)
			run_simple(&job);
		else if (strcmp(protocol, "extended") == 0)
			run_extended(&job);
		else if (strcmp(protocol, "prepared") == 0)
			run_prepared(&job);
		else
			run_pipeline(&job);
	}
	printf("%lld\n", (long long) (now_us() - began));
	PQfinish(job.conn);
	return 0;
}
