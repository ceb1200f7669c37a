/*
 * raw_out.c - COPY ... TO: what the shards write goes out as it came.
 *
 * Each node writes its shards one after another, all nodes at once, under one
 * snapshot.  Its bytes are those that this server would write: it is given
 * the options, the encoding and the settings that they depend on, and types
 * that are written in another way on each server are left to those who call.
 * Rows are not looked at; what stands before the first one and after the last
 * is put out once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "net/net.h"
#include "stream/stream_internal.h"
#include "task/task.h"
#include "xact/xact.h"

/* Of the binary format: signature, flags, length of an extension that no
 * server writes. */
#define BINARY_HEADER_BYTES 19
static const char binary_trailer[2] = {'\377', '\377'};

/* A node on its way through its shards. */
typedef struct Source
{
	TessSession *session;
	int32 node_id;
	StringInfoData sql;
	bool at_start; /* of a COPY */
	bool has_ended;
} Source;

typedef struct RawOut
{
	const TessRawOut *out;
	int count;
	Source *sources; /* the first one has the header of text and csv */
	TessSession **sessions;
	bool is_begun; /* something was put out */
	uint64 put_rows;
	uint64 put_bytes;
	uint64 rows; /* as the nodes say when they have ended */
	char binary_header[BINARY_HEADER_BYTES];
} RawOut;

/* what nodes are asked ---------------------------------------------------- */

/* A setting that values are written by, where it is not as all sessions of nodes
 * have it. */
static void
add_setting(StringInfo before, StringInfo after, const char *name,
			const char *usual)
{
	appendStringInfo(before, "SET LOCAL %s = %s;", name,
					 quote_literal_cstr(GetConfigOption(name, false, false)));
	appendStringInfo(after, ";SET LOCAL %s = %s", name,
					 quote_literal_cstr(usual));
}

/* What stands before and after the COPYs of a node. */
static void
make_settings(const CopyFormatOptions *format, StringInfo before,
			  StringInfo after)
{
	initStringInfo(before);
	initStringInfo(after);
	if (format->binary)
		return;
	if (DateStyle != USE_ISO_DATES)
		add_setting(before, after, "DateStyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		add_setting(before, after, "IntervalStyle", "postgres");
	/* all above have the same meaning */
	if (extra_float_digits <= 0)
		add_setting(before, after, "extra_float_digits", "3");
	if (bytea_output != BYTEA_OUTPUT_HEX)
		add_setting(before, after, "bytea_output", "hex");
}

static int
encoding_of(const CopyFormatOptions *format)
{
	return format->file_encoding < 0 ? pg_get_client_encoding()
									 : format->file_encoding;
}

static char *
make_options(const TessRawOut *out, bool with_header)
{
	List *options = tess_raw_options(out->options);
	const char *encoding = pg_encoding_to_char(encoding_of(out->format));

	options = lappend(options,
					  makeDefElem("encoding",
								  (Node *) makeString(pstrdup(encoding)), -1));
	if (with_header)
		options = lappend(options,
						  makeDefElem("header",
									  (Node *) makeString(pstrdup("true")), -1));
	return tess_raw_options_text(options);
}

static Source *
source_of(RawOut *run, int32 node_id)
{
	for (int i = 0; i < run->count; i++)
	{
		if (run->sources[i].node_id == node_id)
			return &run->sources[i];
	}
	run->sources[run->count].node_id = node_id;
	initStringInfo(&run->sources[run->count].sql);
	return &run->sources[run->count++];
}

static void
make_sources(RawOut *run)
{
	const TessRawOut *out = run->out;
	const TessGroup *group = out->group;
	char *options = make_options(out, false);
	StringInfoData before;
	StringInfoData after;

	run->sources = palloc0(sizeof(Source) * group->shard_count);
	run->sessions = palloc0(sizeof(TessSession *) * group->shard_count);
	make_settings(out->format, &before, &after);
	for (int i = 0; i < group->shard_count; i++)
	{
		const TessShard *shard = &group->shards[i];
		Source *source = source_of(run, shard->node_ids[0]);

		appendStringInfo(&source->sql, "%sCOPY %s TO STDOUT%s",
						 source->sql.len > 0 ? ";" : before.data,
						 tess_template_sql(out->template, shard->shard_id),
						 i == 0 && out->format->header_line != COPY_HEADER_FALSE
							 ? make_options(out, true)
							 : options);
	}
	for (int i = 0; i < run->count; i++)
		appendStringInfoString(&run->sources[i].sql, after.data);
}

/*
 * Has all nodes ready to be asked, under the snapshot of the transaction or
 * of a statement to which PostgreSQL gave the active one.
 */
static void
open_sources(RawOut *run)
{
	int32 *node_ids = palloc(sizeof(int32) * run->count);
	TessSnapshot *snapshot = NULL;

	for (int i = 0; i < run->count; i++)
		node_ids[i] = run->sources[i].node_id;
	tess_snapshot_sweep(InvalidSnapshot);
	if (IsolationUsesXactSnapshot())
	{
		if (tess_snapshot_is_for_transaction())
			(void) tess_snapshot_of_transaction();
	}
	else if (tess_snapshot_is_for_statements())
		snapshot = tess_snapshot_begin(GetActiveSnapshot(), run->count > 1,
									   false);
	tess_xact_sessions_at(snapshot, run->count, node_ids, InvalidOid,
						  TESS_READ_MORE, run->sessions);
	for (int i = 0; i < run->count; i++)
	{
		run->sources[i].session = run->sessions[i];
		tess_session_claim(run->sessions[i], &run->sources[i], NULL);
	}
	for (int i = 0; i < run->count; i++)
		tess_session_flush(run->sessions[i]);
	if (snapshot != NULL)
		tess_snapshot_finish(snapshot);
	for (int i = 0; i < run->count; i++)
		tess_session_copy_out_begin(run->sessions[i], run->sources[i].sql.data);
	pfree(node_ids);
}

/* what they answer ---------------------------------------------------------- */

static void
put(RawOut *run, const char *bytes, int length)
{
	run->out->put(run->out->arg, bytes, length);
	run->is_begun = true;
	run->put_bytes += length;
}

static void
put_row(RawOut *run, const char *bytes, int length)
{
	put(run, bytes, length);
	tess_progress_rows_out(++run->put_rows, run->put_bytes);
}

/* The binary header goes with what follows it, as in PostgreSQL. */
static void
put_after_header(RawOut *run, const char *bytes, int length)
{
	StringInfoData message;

	initStringInfo(&message);
	appendBinaryStringInfo(&message, run->binary_header, BINARY_HEADER_BYTES);
	appendBinaryStringInfo(&message, bytes, length);
	put(run, message.data, message.len);
	pfree(message.data);
}

static void
take_binary(RawOut *run, Source *source, const char *bytes, int length)
{
	if (source->at_start)
	{
		memcpy(run->binary_header, bytes, BINARY_HEADER_BYTES);
		bytes += BINARY_HEADER_BYTES;
		length -= BINARY_HEADER_BYTES;
	}
	/* no row is that short, but one of no columns, which has other bytes */
	if (length == sizeof(binary_trailer) &&
		memcmp(bytes, binary_trailer, sizeof(binary_trailer)) == 0)
		return;
	if (run->is_begun)
	{
		put_row(run, bytes, length);
		return;
	}
	put_after_header(run, bytes, length);
	tess_progress_rows_out(++run->put_rows, run->put_bytes);
}

static void
take_row(RawOut *run, Source *source, const char *bytes, int length)
{
	if (run->out->format->binary)
		take_binary(run, source, bytes, length);
	else if (!run->is_begun && run->out->format->header_line != COPY_HEADER_FALSE)
		put(run, bytes, length); /* it is the header */
	else
		put_row(run, bytes, length);
	source->at_start = false;
}

/* Takes what is there of a node; false if nothing more can come. */
static bool
read_source(RawOut *run, Source *source)
{
	const char *row;
	int length;

	if (source->has_ended)
		return false;
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		switch (tess_session_copy_out_next(source->session, &row, &length,
										   &run->rows))
		{
			case TESS_COPY_WAITS:
				return true;
			case TESS_COPY_BEGINS:
				source->at_start = true;
				TESS_FAULT_POINT("copy_out");
				break;
			case TESS_COPY_ROW:
				take_row(run, source, row, length);
				break;
			case TESS_COPY_ENDS:
				source->has_ended = true;
				tess_session_unclaim(source->session, source);
				return false;
		}
	}
}

/* A header comes first, so nobody else is read until it is there. */
static bool
is_awaited(const RawOut *run, int i)
{
	return i == 0 || run->is_begun ||
		   run->out->format->header_line == COPY_HEADER_FALSE;
}

static void
read_all(RawOut *run)
{
	int waiting;

	do
	{
		waiting = 0;
		for (int i = 0; i < run->count; i++)
		{
			if (is_awaited(run, i) && read_source(run, &run->sources[i]))
				run->sessions[waiting++] = run->sources[i].session;
		}
		if (waiting > 0)
			(void) tess_net_wait(waiting, run->sessions, 0);
	} while (waiting > 0);

	if (!run->out->format->binary)
		return;
	if (run->is_begun)
		put(run, binary_trailer, sizeof(binary_trailer));
	else
		put_after_header(run, binary_trailer, sizeof(binary_trailer));
}

/* See stream.h. */
uint64
tess_raw_out(const TessRawOut *out)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera copy out",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	RawOut run = {.out = out};

	make_sources(&run);
	open_sources(&run);
	read_all(&run);
	tess_snapshot_sweep(InvalidSnapshot);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	return run.rows;
}

/* See stream.h. */
bool
tess_raw_out_is_possible(const TessGroup *group, TupleDesc desc, List *attnums,
						 const CopyFormatOptions *format)
{
	ListCell *lc;

	/* send functions write in the client's encoding, which nodes do not have */
	if (format->binary && pg_get_client_encoding() != GetDatabaseEncoding())
		return false;
	foreach(lc, attnums)
	{
		Oid type = TupleDescAttr(desc, lfirst_int(lc) - 1)->atttypid;

		if (!tess_raw_is_written_alike(type, format->binary))
			return false;
	}
	for (int i = 0; i < group->shard_count; i++)
	{
		const TessShard *shard = &group->shards[i];

		if (shard->node_count == 0 ||
			tess_meta_node(shard->node_ids[0])->is_local)
			return false;
	}
	return attnums != NIL;
}
