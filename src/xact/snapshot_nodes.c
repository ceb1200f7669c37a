/*
 * snapshot_nodes.c - the nodes that a transaction's snapshot is taken on: all that
 * can be reached.
 *
 * The transaction may need none of them, so one that is not there is left out, and
 * one that is known to be silent is not waited for as long as it would be by
 * who needs it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "xact/xact_internal.h"

/* For a node that is known to be silent, to answer after all. */
#define SILENT_CONNECT_MS 200

/* Errors that say that a node is not there, or not now. */
static bool
is_absence(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_CONNECTION_EXCEPTION ||
		   sqlerrcode == ERRCODE_CANNOT_CONNECT_NOW ||
		   sqlerrcode == ERRCODE_TOO_MANY_CONNECTIONS;
}

/* Sessions in transactions on the nodes; false if one of them is not there.
 * Without a subtransaction: what failed to connect has cleaned up. */
static bool
reach(int count, const int32 *node_ids)
{
	MemoryContext context = CurrentMemoryContext;
	uint32 holdoff = InterruptHoldoffCount;
	TessSession **sessions = palloc(count * sizeof(TessSession *));
	volatile bool reached = true;

	PG_TRY();
	{
		tess_xact_sessions(count, node_ids, InvalidOid, TESS_READ_MORE, sessions);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_absence(error->sqlerrcode))
			PG_RE_THROW();
		tess_swallow_error(holdoff);
		FreeErrorData(error);
		reached = false;
	}
	PG_END_TRY();
	pfree(sessions);
	return reached;
}

static bool
reach_silent(int32 node_id)
{
	int settings = tess_net_hurry(SILENT_CONNECT_MS);
	bool reached = reach(1, &node_id);

	AtEOXact_GUC(true, settings);
	return reached;
}

/* The nodes that are there, *count of them, in the current context.  Sessions in
 * transactions are on their way to them. */
int32 *
tess_snapshot_reach(int *count)
{
	List *nodes = tess_meta_remote_nodes();
	int total = list_length(nodes);
	int32 *node_ids = palloc(Max(total, 1) * sizeof(int32));
	int32 *others = palloc(Max(total, 1) * sizeof(int32));
	int heard = 0;
	int silent = 0;

	for (int i = 0; i < total; i++)
	{
		int32 node_id = ((const TessNode *) list_nth(nodes, i))->node_id;

		if (tess_node_is_silent(node_id))
			others[silent++] = node_id;
		else
			node_ids[heard++] = node_id;
	}
	*count = heard;
	if (heard > 0 && !reach(heard, node_ids))
	{
		*count = 0;
		for (int i = 0; i < heard; i++)
		{
			int32 node_id = node_ids[i];

			/* the one that was waited for in vain is known now */
			if (tess_node_is_silent(node_id) ? reach_silent(node_id)
											 : reach(1, &node_id))
				node_ids[(*count)++] = node_id;
		}
	}
	for (int i = 0; i < silent; i++)
		if (reach_silent(others[i]))
			node_ids[(*count)++] = others[i];
	pfree(others);
	return node_ids;
}
