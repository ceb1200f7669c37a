/*
 * progress.c - what pg_stat_progress_copy tells of a backend that puts rows
 * into shards, or takes them out.
 *
 * Core begins and ends that when it opens and closes an input, and counts its
 * bytes; what shards write is not core's to tell.  A shard of this server is filled by another COPY inside, which would
 * take the place of the one that the client sees.
 */
#include "postgres.h"

#include "commands/progress.h"
#include "storage/bufmgr.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/rel.h"

#include "stream/stream.h"
#include "stream/stream_internal.h"

/* Telling costs little, but not nothing. */
#define ROWS_BETWEEN 1000

void
tess_progress_rows(uint64 rows)
{
	if (rows % ROWS_BETWEEN == 0)
		pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED,
									 (int64) rows);
}

void
tess_progress_row_excluded(void)
{
	volatile PgBackendStatus *status = MyBEEntry;

	if (status != NULL)
		pgstat_progress_update_param(PROGRESS_COPY_TUPLES_EXCLUDED,
									 status->st_progress_param[PROGRESS_COPY_TUPLES_EXCLUDED] +
										 1);
}

void
tess_progress_begin_table(Relation rel)
{
	static const int indexes[] = {PROGRESS_COPY_COMMAND, PROGRESS_COPY_TYPE,
								  PROGRESS_COPY_BYTES_TOTAL};
	int64 values[lengthof(indexes)];

	values[0] = PROGRESS_COPY_COMMAND_FROM;
	values[1] = PROGRESS_COPY_TYPE_CALLBACK;
	values[2] = (int64) RelationGetNumberOfBlocks(rel) * BLCKSZ;
	pgstat_progress_start_command(PROGRESS_COMMAND_COPY, RelationGetRelid(rel));
	pgstat_progress_update_multi_param(lengthof(indexes), indexes, values);
}

void
tess_progress_block(BlockNumber block)
{
	pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED,
								 (int64) block * BLCKSZ);
}

/* See stream.h. */
void
tess_progress_begin_out(Oid relation, bool is_client, bool is_program)
{
	static const int indexes[] = {PROGRESS_COPY_COMMAND, PROGRESS_COPY_TYPE};
	int64 values[] = {PROGRESS_COPY_COMMAND_TO,
					  is_client	   ? PROGRESS_COPY_TYPE_PIPE
					  : is_program ? PROGRESS_COPY_TYPE_PROGRAM
								   : PROGRESS_COPY_TYPE_FILE};

	pgstat_progress_start_command(PROGRESS_COMMAND_COPY, relation);
	pgstat_progress_update_multi_param(lengthof(indexes), indexes, values);
}

/* Rows and bytes that have gone out so far.  Cheap. */
void
tess_progress_rows_out(uint64 rows, uint64 bytes)
{
	if (rows % ROWS_BETWEEN != 0)
		return;
	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, (int64) rows);
	pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED, (int64) bytes);
}

void
tess_progress_end(void)
{
	pgstat_progress_end_command();
}

/* What is told now, to be told again by tess_progress_restore(). */
void
tess_progress_save(TessProgress *progress)
{
	const PgBackendStatus *status = MyBEEntry;

	progress->command = PROGRESS_COMMAND_INVALID;
	if (status == NULL)
		return;
	/* Nobody else writes it. */
	progress->command = status->st_progress_command;
	progress->relation = status->st_progress_command_target;
	memcpy(progress->params, (const char *) status->st_progress_param,
		   sizeof(progress->params));
}

void
tess_progress_restore(const TessProgress *progress)
{
	int indexes[PGSTAT_NUM_PROGRESS_PARAM];

	if (progress->command == PROGRESS_COMMAND_INVALID)
		return;
	for (int i = 0; i < PGSTAT_NUM_PROGRESS_PARAM; i++)
		indexes[i] = i;
	pgstat_progress_start_command(progress->command, progress->relation);
	pgstat_progress_update_multi_param(PGSTAT_NUM_PROGRESS_PARAM, indexes,
									   progress->params);
}
