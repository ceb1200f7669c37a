/*
 * sample_fetch.c - rows of all shards in one place, spread over the shards as
 * the table's rows are.
 *
 * Each node is asked once for all of its shards.  Rows go to a tuplestore of
 * maintenance_work_mem, and to disk beyond that.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "local/local.h"
#include "net/net.h"
#include "statistics/statistics_internal.h"
#include "xact/xact.h"

/* What stands for a value that is so wide that core only asks how long it is:
 * longer than that, see sample_rows.c. */
#define STAND_IN_BYTES 1100

typedef struct SampleSink
{
	DestReceiver dest; /* first: local/ gives rows to it */
	Relation rel;
	TessSampleColumn *columns;
	int column_count;
	int item_count;		 /* of the select list */
	char *items;		 /* its text */
	char *items_as_text; /* the same for a node whose rows come as text */
	TessDecoder *decoder;
	bool binary;
	TupleTableSlot *slot;
	Tuplestorestate *rows;
	Datum stand_in;
	MemoryContext row_context;
} SampleSink;

static void
sink_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
sink_nothing(DestReceiver *self)
{
}

/* Puts the stand-in where a value was too wide to be sent; wide is an array
 * of bool, one for each column that may be shortened. */
static void
put_stand_ins(SampleSink *sink, Datum wide)
{
	TupleTableSlot *slot = sink->slot;
	Datum *flags;
	bool *flag_nulls;
	int flag_count;
	int flag = 0;

	deconstruct_array(DatumGetArrayTypeP(wide), BOOLOID, 1, true, TYPALIGN_CHAR,
					  &flags, &flag_nulls, &flag_count);
	for (int i = 0; i < sink->column_count && flag < flag_count; i++)
	{
		int position = sink->columns[i].attnum - 1;

		if (!sink->columns[i].may_shorten)
			continue;
		if (!flag_nulls[flag] && DatumGetBool(flags[flag]))
		{
			slot->tts_values[position] = sink->stand_in;
			slot->tts_isnull[position] = false;
		}
		flag++;
	}
}

/* values: of the items */
static void
put_row(SampleSink *sink, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = sink->slot;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sink->rel->rd_att->natts);
	for (int i = 0; i < sink->column_count; i++)
	{
		int position = sink->columns[i].attnum - 1;

		slot->tts_values[position] = values[i];
		slot->tts_isnull[position] = nulls[i];
	}
	if (sink->item_count > sink->column_count)
		put_stand_ins(sink, values[sink->column_count]);
	ExecStoreVirtualTuple(slot);
	tuplestore_puttupleslot(sink->rows, slot);
}

static bool
sink_receive(TupleTableSlot *slot, DestReceiver *self)
{
	slot_getallattrs(slot);
	put_row((SampleSink *) self, slot->tts_values, slot->tts_isnull);
	return true;
}

/* The select list: the columns, and which of those that may be shortened are
 * (in one array, as a list has no room for a flag for each of 1,600 columns). */
static char *
items_text(const SampleSink *sink, bool as_text)
{
	TupleDesc desc = RelationGetDescr(sink->rel);
	StringInfoData items;
	StringInfoData flags;

	initStringInfo(&items);
	initStringInfo(&flags);
	for (int i = 0; i < sink->column_count; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc,
													sink->columns[i].attnum - 1);
		const char *name = quote_identifier(NameStr(attribute->attname));
		const char *cast = as_text ? tess_type_text_cast(attribute->atttypid)
								   : "";

		appendStringInfoString(&items, i > 0 ? ", " : "");
		if (!sink->columns[i].may_shorten)
		{
			appendStringInfo(&items, "%s%s", name, cast);
			continue;
		}
		appendStringInfo(&items,
						 "CASE WHEN NOT tessera_internal.is_wide(%s) THEN %s%s END",
						 name, name, cast);
		appendStringInfo(&flags, "%stessera_internal.is_wide(%s)",
						 flags.len > 0 ? ", " : "", name);
	}
	if (flags.len > 0)
		appendStringInfo(&items, ", ARRAY[%s]", flags.data);
	return items.data;
}

/* The items, and how their values come. */
static void
make_items(SampleSink *sink)
{
	TupleDesc desc = RelationGetDescr(sink->rel);
	Oid *types = palloc(sizeof(Oid) * (sink->column_count + 1));
	int32 *typmods = palloc(sizeof(int32) * (sink->column_count + 1));
	bool has_flags = false;

	for (int i = 0; i < sink->column_count; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc,
													sink->columns[i].attnum - 1);

		types[i] = attribute->atttypid;
		typmods[i] = attribute->atttypmod;
		has_flags |= sink->columns[i].may_shorten;
	}
	sink->item_count = sink->column_count;
	if (has_flags)
	{
		types[sink->item_count] = BOOLARRAYOID;
		typmods[sink->item_count++] = -1;
	}
	sink->items = items_text(sink, false);
	sink->items_as_text = items_text(sink, true);
	sink->binary = tess_types_travel_binary(sink->item_count, types);
	sink->decoder = tess_decoder_make(sink->item_count, types, typmods,
									  sink->binary);
}

static SampleSink *
make_sink(Relation rel, List *columns)
{
	SampleSink *sink = palloc0(sizeof(SampleSink));
	struct varlena *stand_in = palloc0(STAND_IN_BYTES);

	SET_VARSIZE(stand_in, STAND_IN_BYTES);
	sink->stand_in = PointerGetDatum(stand_in);
	sink->dest.receiveSlot = sink_receive;
	sink->dest.rStartup = sink_startup;
	sink->dest.rShutdown = sink_nothing;
	sink->dest.rDestroy = sink_nothing;
	sink->dest.mydest = DestNone;
	sink->rel = rel;
	sink->columns = tess_sample_columns(rel, columns, &sink->column_count);
	make_items(sink);
	sink->slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
	sink->rows = tuplestore_begin_heap(true, false, maintenance_work_mem);
	sink->row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "tessera sampled row",
											  ALLOCSET_DEFAULT_SIZES);
	return sink;
}

/* The query of a shard; NULL if no rows of it are wanted. */
static char *
sample_sql(const SampleSink *sink, const TessShardSizes *sizes, int shard,
		   int target)
{
	double rows = sizes->shards[shard].size.rows;

	if (rows <= 0)
		return NULL;
	/* of a shard that grows meanwhile not more than its share */
	if (sizes->total.rows > target)
		rows = target * (rows / sizes->total.rows);
	return psprintf("SELECT %s FROM tessera_internal.sample_rows(NULL::%s, %d)",
					sink->binary || sizes->shards[shard].is_local
						? sink->items
						: sink->items_as_text,
					sizes->shards[shard].relation, (int) ceil(rows));
}

/* Rows of one node, to the end. */
static void
read_rows(SampleSink *sink, TessSession *session)
{
	Datum *values = palloc(sizeof(Datum) * Max(sink->item_count, 1));
	bool *nulls = palloc(sizeof(bool) * Max(sink->item_count, 1));
	PGresult *result;
	void *tag;

	while (tess_net_next(session, &result, &tag))
	{
		for (int row = 0; tag == sink && row < PQntuples(result); row++)
		{
			MemoryContext caller = MemoryContextSwitchTo(sink->row_context);

			CHECK_FOR_INTERRUPTS();
			tess_decoder_decode(sink->decoder, result, row, values, nulls);
			put_row(sink, values, nulls);
			MemoryContextSwitchTo(caller);
			MemoryContextReset(sink->row_context);
		}
	}
}

static void
fetch_here(SampleSink *sink, const TessShardSizes *sizes, int target)
{
	for (int i = 0; i < sizes->count; i++)
	{
		char *sql = sample_sql(sink, sizes, i, target);

		if (sizes->shards[i].is_local && sql != NULL)
			(void) tess_local_execute(sql, NULL, GetActiveSnapshot(), true,
									  false, &sink->dest);
	}
}

/* All nodes work at the same time; their rows are read one after another. */
static void
fetch_remote(SampleSink *sink, const TessShardSizes *sizes, int target)
{
	TessSession **sessions = palloc(sizeof(TessSession *) *
									Max(sizes->node_count, 1));

	tess_xact_sessions(sizes->node_count, sizes->node_ids, InvalidOid,
					   TESS_READ, sessions);
	for (int i = 0; i < sizes->node_count; i++)
	{
		tess_session_claim(sessions[i], NULL, NULL);
		for (int j = 0; j < sizes->count; j++)
		{
			char *sql = sample_sql(sink, sizes, j, target);

			if (sizes->shards[j].node_id == sizes->node_ids[i] && sql != NULL)
				tess_session_queue(sessions[i], sql, NULL, sink->binary, true,
								   sink);
		}
		tess_session_flush(sessions[i]);
	}
	for (int i = 0; i < sizes->node_count; i++)
		read_rows(sink, sessions[i]);
}

/* See statistics_internal.h.  In the caller's context. */
Tuplestorestate *
tess_sample_fetch(Relation rel, const TessAnalyzeTarget *analyze,
				  const TessShardSizes *sizes, int target)
{
	SampleSink *sink = make_sink(rel, analyze->columns);

	fetch_here(sink, sizes, target);
	if (sizes->node_count > 0)
		fetch_remote(sink, sizes, target);
	ExecDropSingleTupleTableSlot(sink->slot);
	return sink->rows;
}
