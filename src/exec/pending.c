/*
 * pending.c - rows of an INSERT that have been computed, but not been sent, when
 * somebody wants to read them.
 *
 * PostgreSQL inserts one row after the other, and a volatile function reads
 * under a snapshot of its own: computing a row, it finds the rows before it.  So
 * before a statement runs that names the table of an INSERT under way, with a
 * newer snapshot, the INSERT is told.  Stable functions have its snapshot, and
 * see none of its rows.
 */
#include "postgres.h"

#include "access/xact.h"
#include "exec/exec_internal.h"
#include "lib/ilist.h"
#include "utils/resowner.h"

struct TessPending
{
	dlist_node link;
	bool listed;
	MemoryContextCallback callback;
	Oid relation;
	CommandId command; /* of the INSERT's snapshot */
	SubTransactionId subtransaction;
	ResourceOwner owner;
	TessPendingWanted wanted;
	void *arg;
};

/* Of the INSERTs that run. */
static dlist_head inserts = DLIST_STATIC_INIT(inserts);

static void
forget_insert(void *arg)
{
	tess_pending_end(arg);
}

/* An INSERT into the table of a fragment begins, under a snapshot, in the current
 * context, with whose reset it ends at the latest. */
TessPending *
tess_pending_begin(const TessFragment *fragment, Snapshot snapshot,
				   TessPendingWanted wanted, void *arg)
{
	TessPending *pending = palloc0(sizeof(TessPending));

	pending->relation = linitial_oid(fragment->changed);
	pending->command = snapshot->curcid;
	pending->subtransaction = GetCurrentSubTransactionId();
	pending->owner = CurrentResourceOwner;
	pending->wanted = wanted;
	pending->arg = arg;
	pending->callback.func = forget_insert;
	pending->callback.arg = pending;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &pending->callback);
	dlist_push_tail(&inserts, &pending->link);
	pending->listed = true;

	/* used: new snapshots have another number */
	(void) GetCurrentCommandId(true);
	return pending;
}

void
tess_pending_end(TessPending *pending)
{
	if (pending->listed)
		dlist_delete(&pending->link);
	pending->listed = false;
}

/* True if rows wait for a statement that wants to see them. */
bool
tess_pending_is_any(void)
{
	return !dlist_is_empty(&inserts);
}

/* A statement is about to run. */
void
tess_pending_check(const QueryDesc *query_desc)
{
	dlist_mutable_iter iter;

	if (dlist_is_empty(&inserts) || query_desc->snapshot == NULL)
		return;
	dlist_foreach_modify(iter, &inserts)
	{
		TessPending *pending = dlist_container(TessPending, link, iter.cur);
		ResourceOwner old_owner = CurrentResourceOwner;

		if (query_desc->snapshot->curcid <= pending->command ||
			!list_member_oid(query_desc->plannedstmt->relationOids,
							 pending->relation))
			continue;
		CurrentResourceOwner = pending->owner;
		pending->wanted(pending->arg, pending->subtransaction ==
										  GetCurrentSubTransactionId());
		CurrentResourceOwner = old_owner;
	}
}
