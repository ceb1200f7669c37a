/*
 * node_snapshot.c - a node's part of cluster snapshots: what the statements of
 * a session read under, when its coordinator has said so.
 *
 * Under READ COMMITTED every statement takes a snapshot of its own.  A statement
 * of the coordinator is several here, so the coordinator has one taken first,
 * under a number, and the statements that follow run on it, until another one
 * is taken or chosen.  Several may live, of cursors for instance.  A snapshot
 * sees what its transaction had done when it was taken, and nothing later, as a
 * statement does.  All are released before the transaction ends, and with the
 * subtransaction that took them.  From REPEATABLE READ on, there is only the
 * transaction's own.
 *
 * Only the client's own statements are concerned: what runs inside them has
 * the snapshots that PostgreSQL gives it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "tessera.h"
#include "xact/xact.h"
#include "xact/xact_internal.h"

typedef struct TakenSnapshot
{
	dlist_node link;
	int64 number;
	int level; /* of the subtransaction it goes with */
	Snapshot snapshot;
} TakenSnapshot;

/* Of this transaction, in whose context they are. */
static struct
{
	dlist_head all;
	TakenSnapshot *used; /* NULL: each statement has its own */
} taken = {DLIST_STATIC_INIT(taken.all)};

PG_FUNCTION_INFO_V1(tess_snapshot_take);
PG_FUNCTION_INFO_V1(tess_snapshot_use);

static void
release(TakenSnapshot *one)
{
	if (taken.used == one)
		taken.used = NULL;
	dlist_delete(&one->link);
	UnregisterSnapshotFromOwner(one->snapshot, TopTransactionResourceOwner);
	pfree(one);
}

/* Those from before the oldest that the coordinator still needs. */
static void
release_older(int64 oldest)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &taken.all)
	{
		TakenSnapshot *one = dlist_container(TakenSnapshot, link, iter.cur);

		if (one->number < oldest)
			release(one);
	}
}

static TakenSnapshot *
find(int64 number)
{
	dlist_iter iter;

	dlist_foreach(iter, &taken.all)
	{
		TakenSnapshot *one = dlist_container(TakenSnapshot, link, iter.cur);

		if (one->number == number)
			return one;
	}
	return NULL;
}

/*
 * take_snapshot(number, oldest): takes a snapshot that the next statements of
 * this transaction read under; those with numbers below oldest go.
 */
Datum
tess_snapshot_take(PG_FUNCTION_ARGS)
{
	int64 number = PG_GETARG_INT64(0);
	TakenSnapshot *one;

	release_older(PG_GETARG_INT64(1));
	TESS_FAULT_POINT("snapshot_take");
	if (IsolationUsesXactSnapshot())
	{
		/* this call has fixed it */
		(void) GetTransactionSnapshot();
		PG_RETURN_VOID();
	}
	one = find(number);
	if (one != NULL)
		release(one);
	one = MemoryContextAllocZero(TopTransactionContext, sizeof(TakenSnapshot));
	one->number = number;
	one->level = GetCurrentTransactionNestLevel();
	one->snapshot = RegisterSnapshotOnOwner(GetLatestSnapshot(),
											TopTransactionResourceOwner);
	dlist_push_tail(&taken.all, &one->link);
	taken.used = one;
	PG_RETURN_VOID();
}

/*
 * use_snapshot(number, oldest): the next statements read under a snapshot that
 * was taken before; 0: each has its own again.
 */
Datum
tess_snapshot_use(PG_FUNCTION_ARGS)
{
	int64 number = PG_GETARG_INT64(0);
	TakenSnapshot *one = NULL;

	release_older(PG_GETARG_INT64(1));
	if (number != 0)
	{
		one = find(number);
		if (one == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("snapshot " INT64_FORMAT " is not there", number),
					 errdetail(
						 "It went with the transaction, or part of it, that took it.")));
	}
	taken.used = one;
	PG_RETURN_VOID();
}

/* See xact.h. */
Snapshot
tess_node_snapshot(void)
{
	return taken.used != NULL ? taken.used->snapshot : InvalidSnapshot;
}

/* Before this transaction ends well: what is registered then is a leak. */
void
tess_node_snapshot_release(void)
{
	release_older(PG_INT64_MAX);
}

/* The abort has released them. */
void
tess_node_snapshot_forget(void)
{
	dlist_init(&taken.all);
	taken.used = NULL;
}

void
tess_node_snapshot_subend(bool committed, int level)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &taken.all)
	{
		TakenSnapshot *one = dlist_container(TakenSnapshot, link, iter.cur);

		if (one->level < level)
			continue;
		if (committed)
			one->level = level - 1;
		else
			release(one);
	}
}
