/*
 * table_fetch.c - the rows of a distributed table on their way home.
 *
 * They are put into the shell's heap as they come, stored generated columns
 * included; its indexes are built afterwards.  Constraints are not checked
 * again: the shards have kept them.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/base.h"
#include "local/local.h"
#include "net/net.h"
#include "table/table_internal.h"
#include "xact/xact.h"

typedef struct RowSink
{
	DestReceiver dest; /* first: local/ gives rows to it */
	Relation rel;
	int column_count;
	AttrNumber *attnums; /* of the fetched columns */
	TupleTableSlot *slot;
	BulkInsertState bulk;
	CommandId cid;
	uint64 rows;
	MemoryContext row_context;
} RowSink;

static RowSink *make_sink(Relation rel);
static bool sink_receive(TupleTableSlot *slot, DestReceiver *self);
static void sink_startup(DestReceiver *self, int operation, TupleDesc desc);
static void sink_nothing(DestReceiver *self);
static void put_row(RowSink *sink, const Datum *values, const bool *nulls);
static char *select_text(const RowSink *sink, const char *shard_relation,
						 bool as_text);
static void fetch_remote(RowSink *sink, const TessTable *table,
						 const TessNodeWork *node);
static void read_replies(RowSink *sink, TessSession *session,
						 TessDecoder *decoder);

/*
 * Reads each shard once and fills the shell.  The number of rows.
 *
 * Into new files, where the rows can be frozen: a statement that waited for
 * our lock may have an older snapshot, and must not find the table empty.
 */
uint64
tess_table_fetch_rows(Relation rel, const TessTable *table)
{
	TessWork *work = tess_work_of_group(table->group->colocation_id);
	ReindexParams params = {0};
	RowSink *sink;

	tess_table_renew_files(rel);
	sink = make_sink(rel);
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		if (!node->is_local)
		{
			fetch_remote(sink, table, node);
			continue;
		}
		for (int j = 0; j < node->shard_count; j++)
			(void)
				tess_local_execute(select_text(sink,
											   tess_meta_shard_relation(table,
																		node->shard_ids[j]),
											   false),
								   NULL, NULL, false, false, &sink->dest);
	}
	FreeBulkInsertState(sink->bulk);
	table_finish_bulk_insert(rel, 0);
	ExecDropSingleTupleTableSlot(sink->slot);
	CommandCounterIncrement();
	(void) reindex_relation(RelationGetRelid(rel), 0, &params);
	return sink->rows;
}

static RowSink *
make_sink(Relation rel)
{
	RowSink *sink = palloc0(sizeof(RowSink));
	TupleDesc desc = RelationGetDescr(rel);

	sink->dest.receiveSlot = sink_receive;
	sink->dest.rStartup = sink_startup;
	sink->dest.rShutdown = sink_nothing;
	sink->dest.rDestroy = sink_nothing;
	sink->dest.mydest = DestNone;
	sink->rel = rel;
	sink->attnums = palloc(sizeof(AttrNumber) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			sink->attnums[sink->column_count++] = i + 1;
	}
	sink->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	sink->bulk = GetBulkInsertState();
	sink->cid = GetCurrentCommandId(true);
	sink->row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "tessera fetched row",
											  ALLOCSET_DEFAULT_SIZES);
	return sink;
}

static void
sink_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
sink_nothing(DestReceiver *self)
{
}

static bool
sink_receive(TupleTableSlot *slot, DestReceiver *self)
{
	slot_getallattrs(slot);
	put_row((RowSink *) self, slot->tts_values, slot->tts_isnull);
	return true;
}

/* values: of the fetched columns */
static void
put_row(RowSink *sink, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = sink->slot;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sink->rel->rd_att->natts);
	for (int i = 0; i < sink->column_count; i++)
	{
		slot->tts_values[sink->attnums[i] - 1] = values[i];
		slot->tts_isnull[sink->attnums[i] - 1] = nulls[i];
	}
	ExecStoreVirtualTuple(slot);
	table_tuple_insert(sink->rel, slot, sink->cid, TABLE_INSERT_FROZEN,
					   sink->bulk);
	sink->rows++;
}

static char *
select_text(const RowSink *sink, const char *shard_relation, bool as_text)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < sink->column_count; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(sink->rel),
													sink->attnums[i] - 1);

		appendStringInfo(&sql, "%s%s%s", i > 0 ? ", " : "",
						 quote_identifier(NameStr(attribute->attname)),
						 as_text ? tess_type_text_cast(attribute->atttypid) : "");
	}
	appendStringInfo(&sql, " FROM ONLY %s", shard_relation);
	return sql.data;
}

static void
fetch_remote(RowSink *sink, const TessTable *table, const TessNodeWork *node)
{
	TupleDesc desc = RelationGetDescr(sink->rel);
	Oid *types = palloc(sizeof(Oid) * Max(sink->column_count, 1));
	int32 *typmods = palloc(sizeof(int32) * Max(sink->column_count, 1));
	TessSession *session;
	bool binary;

	for (int i = 0; i < sink->column_count; i++)
	{
		types[i] = TupleDescAttr(desc, sink->attnums[i] - 1)->atttypid;
		typmods[i] = TupleDescAttr(desc, sink->attnums[i] - 1)->atttypmod;
	}
	binary = tess_types_travel_binary(sink->column_count, types);
	session = tess_xact_session(node->node_id, InvalidOid, TESS_WRITE);
	tess_session_claim(session, NULL, NULL);
	for (int i = 0; i < node->shard_count; i++)
	{
		/* the tag only says: give me the replies */
		tess_session_queue(session,
						   select_text(sink,
									   tess_meta_shard_relation(table,
																node->shard_ids[i]),
									   !binary),
						   NULL, binary, true, sink);
	}
	tess_session_flush(session);
	read_replies(sink, session,
				 tess_decoder_make(sink->column_count, types, typmods, binary));
}

static void
read_replies(RowSink *sink, TessSession *session, TessDecoder *decoder)
{
	Datum *values = palloc(sizeof(Datum) * Max(sink->column_count, 1));
	bool *nulls = palloc(sizeof(bool) * Max(sink->column_count, 1));
	PGresult *result;
	void *tag;

	while (tess_net_next(session, &result, &tag))
	{
		for (int row = 0; row < PQntuples(result); row++)
		{
			MemoryContext caller = MemoryContextSwitchTo(sink->row_context);

			CHECK_FOR_INTERRUPTS();
			tess_decoder_decode(decoder, result, row, values, nulls);
			put_row(sink, values, nulls);
			MemoryContextSwitchTo(caller);
			MemoryContextReset(sink->row_context);
		}
	}
}
