/*
 * stream_send.c - a piece (the rows of one queue, as the data of one COPY) on
 * its way to its servers.
 *
 * Of each node one COPY may be unfinished while rows go on being read here;
 * it is finished before the session is used again, by whomever.  So an error
 * of a node may come later than its piece went: the lines of each unfinished
 * piece are kept until then.
 */
#include "postgres.h"

#include "net/net.h"
#include "stream/stream_internal.h"
#include "xact/xact.h"

/* A node's session while a COPY of ours is unfinished on it. */
typedef struct NodeCopy
{
	TessSender *sender;
	int32 node_id;
	TessSession *session;
	bool is_counted; /* not another copy of rows that are */
	TessLines lines; /* of its rows */
} NodeCopy;

struct TessSender
{
	const char *relation; /* as contexts of errors name it */
	MemoryContext context;
	uint64 rows; /* that got in, once */
	int copy_count;
	NodeCopy *copies;
};

/* For a table of this name.  In the caller's context. */
TessSender *
tess_sender_make(const char *relation)
{
	TessSender *sender = palloc0(sizeof(TessSender));
	int node_count;

	(void) tess_meta_nodes(&node_count);
	sender->relation = relation;
	sender->context = CurrentMemoryContext;
	sender->copies = palloc0(sizeof(NodeCopy) * Max(node_count, 1));
	return sender;
}

/* In PG_CATCH; context is that of before PG_TRY. */
static void
raise_with_lines(const TessSender *sender, const TessLines *lines,
				 MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	tess_lines_translate(lines, sender->relation, error);
	ReThrowError(error);
}

static void
end_copy(NodeCopy *copy, TessSession *session)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		uint64 rows = tess_session_copy_end(session);

		if (copy->is_counted)
			copy->sender->rows += rows;
	}
	PG_CATCH();
	{
		raise_with_lines(copy->sender, &copy->lines, context);
	}
	PG_END_TRY();
}

/* Reads the node's answer; its session is free then. */
static void
finish_copy(NodeCopy *copy)
{
	TessSession *session = copy->session;

	if (session == NULL)
		return;
	copy->session = NULL;
	end_copy(copy, session);
	tess_lines_free(&copy->lines);
	tess_session_unclaim(session, copy);
}

/* Someone else needs the session. */
static void
drain_copy(void *owner, TessSession *session)
{
	NodeCopy *copy = owner;

	copy->session = NULL;
	end_copy(copy, session);
	tess_lines_free(&copy->lines);
}

static NodeCopy *
copy_of_node(TessSender *sender, int32 node_id)
{
	NodeCopy *copy;

	for (int i = 0; i < sender->copy_count; i++)
	{
		if (sender->copies[i].node_id == node_id)
			return &sender->copies[i];
	}
	copy = &sender->copies[sender->copy_count++];
	copy->sender = sender;
	copy->node_id = node_id;
	return copy;
}

static void
send_to_node(TessSender *sender, const TessPiece *piece, int32 node_id)
{
	NodeCopy *copy = copy_of_node(sender, node_id);

	finish_copy(copy);
	copy->is_counted = !OidIsValid(piece->local_relation);
	tess_lines_copy(&copy->lines, &piece->lines, sender->context);
	copy->session = tess_xact_session(node_id, InvalidOid, TESS_WRITE);
	tess_session_claim(copy->session, copy, drain_copy);
	tess_session_copy_begin(copy->session, piece->copy_sql);
	tess_session_copy_put(copy->session, piece->bytes.data, piece->bytes.len);
}

/* What triggers execute then is not the client's own statement. */
static void
fill_local(TessSender *sender, TessPiece *piece)
{
	MemoryContext context = CurrentMemoryContext;
	int level = piece->writer ? tess_row_writer_pin(piece->writer) : 0;
	TessProgress progress;

	tess_progress_save(&progress);
	tess_xact_depth++;
	PG_TRY();
	{
		sender->rows += tess_stream_fill_local(piece->local_relation,
											   piece->column_names,
											   piece->options, &piece->bytes);
	}
	PG_CATCH();
	{
		tess_xact_depth--;
		raise_with_lines(sender, &piece->lines, context);
	}
	PG_END_TRY();
	tess_xact_depth--;
	tess_progress_restore(&progress);
	if (piece->writer)
		tess_row_writer_unpin(level);
}

/* Puts a piece into the table of this server, then sends it to the nodes: this
 * server's own copy first, because writers of reference tables meet there. */
void
tess_sender_send(TessSender *sender, TessPiece *piece)
{
	if (OidIsValid(piece->local_relation))
		fill_local(sender, piece);
	for (int i = 0; i < piece->node_count; i++)
	{
		if (!tess_meta_node(piece->node_ids[i])->is_local)
			send_to_node(sender, piece, piece->node_ids[i]);
	}
}

/* Waits for all nodes.  How many rows got in: triggers may have left some out. */
uint64
tess_sender_finish(TessSender *sender)
{
	for (int i = 0; i < sender->copy_count; i++)
		finish_copy(&sender->copies[i]);
	return sender->rows;
}
