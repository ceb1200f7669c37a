/*
 * command_output.c - where COPY ... TO puts its bytes: to the client, into a
 * file of this server, or to a program's input.
 *
 * What is said of files and programs is what PostgreSQL says.  Whoever fails
 * leaves them to the end of the (sub)transaction.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "libpq/libpq.h"
#include "libpq/pqformat.h"
#include "storage/fd.h"

#include "command/command_internal.h"

struct TessOutput
{
	const char *name; /* of the file or program; NULL: it is the client */
	bool is_program;
	FILE *file;
};

static FILE *
open_file(const char *name)
{
	mode_t old_mask;
	FILE *file;
	struct stat status;

	if (!is_absolute_path(name))
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("relative path not allowed for COPY to file")));
	old_mask = umask(S_IWGRP | S_IWOTH);
	PG_TRY();
	{
		file = AllocateFile(name, PG_BINARY_W);
	}
	PG_FINALLY();
	{
		umask(old_mask);
	}
	PG_END_TRY();
	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\" for writing: %m", name),
				 errhint(
					 "COPY TO instructs the PostgreSQL server process to write a file. You may want a client-side facility such as psql's \\copy.")));
	if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is a directory", name)));
	return file;
}

static void
begin_client(int column_count, bool binary)
{
	StringInfoData message;

	pq_beginmessage(&message, 'H');
	pq_sendbyte(&message, binary ? 1 : 0);
	pq_sendint16(&message, column_count);
	for (int i = 0; i < column_count; i++)
		pq_sendint16(&message, binary ? 1 : 0);
	pq_endmessage(&message);
}

/* The output of a COPY, opened.  In the current context. */
TessOutput *
tess_output_open(const CopyStmt *copy, int column_count, bool binary)
{
	TessOutput *output = palloc0(sizeof(TessOutput));

	output->name = copy->filename;
	output->is_program = copy->is_program;
	if (output->name == NULL)
	{
		begin_client(column_count, binary);
		return output;
	}
	output->file = output->is_program ? OpenPipeStream(output->name, PG_BINARY_W)
									  : open_file(output->name);
	if (output->file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not execute command \"%s\": %m", output->name)));
	return output;
}

static void
close_program(TessOutput *output)
{
	int result = ClosePipeStream(output->file);

	output->file = NULL;
	if (result == -1)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not close pipe to external command: %m")));
	if (result != 0)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("program \"%s\" failed", output->name),
						errdetail_internal("%s", wait_result_to_str(result))));
}

static void
fail_to_write(TessOutput *output)
{
	if (output->is_program && errno == EPIPE)
	{
		/* it has ended early: most likely it says why */
		close_program(output);
		errno = EPIPE;
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("could not write to COPY program: %m")));
	}
	if (output->is_program)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not write to COPY program: %m")));
	ereport(ERROR, (errcode_for_file_access(),
					errmsg("could not write to COPY file: %m")));
}

/* A message of COPY's protocol: one row, mostly. */
void
tess_output_put(void *arg, const char *bytes, int length)
{
	TessOutput *output = arg;

	if (output->file == NULL)
		(void) pq_putmessage('d', bytes, length);
	else if (fwrite(bytes, length, 1, output->file) != 1)
		fail_to_write(output);
}

/* All has been put. */
void
tess_output_close(TessOutput *output)
{
	if (output->name == NULL)
		pq_putemptymessage('c');
	else if (output->is_program)
		close_program(output);
	else if (FreeFile(output->file) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not close file \"%s\": %m", output->name)));
}
