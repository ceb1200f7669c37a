/*
 * stream_local.c - rows for shards of this very server, which core's COPY puts
 * into the shard, in process.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/copy.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "stream/stream_internal.h"

/* What the callback of core's COPY reads: it takes no argument. */
static StringInfo source;

static int read_source(void *outbuf, int minread, int maxread);
static uint64 copy_into(Relation rel, List *column_names, List *options);

/* Complete data of a COPY into a table of this server, with these options (of
 * DefElem).  The number of rows.  Constraints are checked and foreign keys
 * looked up before it returns.  What pg_stat_progress_copy says of this backend
 * is lost. */
uint64
tess_stream_fill_local(Oid relation, List *column_names, List *options,
					   StringInfo copy_data)
{
	Relation rel = table_open(relation, RowExclusiveLock);
	StringInfo outer = source;
	uint64 rows;

	copy_data->cursor = 0;
	PG_TRY();
	{
		source = copy_data;
		rows = copy_into(rel, column_names, options);
	}
	PG_FINALLY();
	{
		source = outer;
	}
	PG_END_TRY();
	table_close(rel, NoLock);
	return rows;
}

static uint64
copy_into(Relation rel, List *column_names, List *options)
{
	ParseState *pstate = make_parsestate(NULL);
	CopyFromState copy;
	uint64 rows;

	(void) addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL,
										 false, false);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	copy = BeginCopyFrom(pstate, rel, NULL, NULL, false, read_source,
						 column_names, options);
	rows = CopyFrom(copy);
	EndCopyFrom(copy);
	PopActiveSnapshot();
	CommandCounterIncrement();
	free_parsestate(pstate);
	return rows;
}

static int
read_source(void *outbuf, int minread, int maxread)
{
	int length = Min(maxread, source->len - source->cursor);

	memcpy(outbuf, source->data + source->cursor, length);
	source->cursor += length;
	return length;
}
