/*
 * serializable.c - what a SERIALIZABLE transaction reads of this server, beside
 * its cluster snapshot: under PostgreSQL's own snapshot, which the check for
 * serializability goes by and which cannot be replaced.
 *
 * It was taken before the nodes were asked for theirs.  Whoever committed in
 * between is seen on the nodes and not here: that is an error, unless he has
 * left nothing here that anybody could miss.  A transaction that wrote on nodes
 * only is such: all it leaves here is the record of its decision.  Shared memory
 * has the last of these.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "tessera.h"
#include "xact/xact_internal.h"

/* The transaction that was the last to have a place: by its number. */
#define PLACES 16384

typedef struct Empty
{
	pg_atomic_uint64 transactions[PLACES]; /* FullTransactionId */
} Empty;

static struct
{
	Empty *empty;
	bool has_warned; /* in this session */
} serializable;

static Size
shared_size(void)
{
	return sizeof(Empty);
}

static void attach_memory(void *memory, bool is_new);

static const TessSharedPiece piece = {
	.name = "tessera transactions without rows",
	.size = shared_size,
	.attach = attach_memory,
};

/* See TessSharedPiece. */
static void
attach_memory(void *memory, bool is_new)
{
	serializable.empty = memory;
	for (int i = 0; is_new && i < PLACES; i++)
		pg_atomic_init_u64(&serializable.empty->transactions[i], 0);
}

/*
 * This transaction, which is about to commit, leaves nothing here but the record
 * of its decision.
 */
void
tess_serializable_note_empty(void)
{
	uint64 number = U64FromFullTransactionId(GetTopFullTransactionId());

	pg_atomic_write_u64(&serializable.empty->transactions[number % PLACES],
						number);
}

static bool
is_empty(FullTransactionId transaction)
{
	uint64 number = U64FromFullTransactionId(transaction);

	return pg_atomic_read_u64(
			   &serializable.empty->transactions[number % PLACES]) == number;
}

/* True if the transaction is in the later snapshot only, and left rows here. */
static bool
is_missed(FullTransactionId transaction, Snapshot own, Snapshot later)
{
	TransactionId xid = XidFromFullTransactionId(transaction);

	return TransactionIdIsNormal(xid) && XidInMVCCSnapshot(xid, own) &&
		   !XidInMVCCSnapshot(xid, later) && TransactionIdDidCommit(xid) &&
		   !is_empty(transaction);
}

/* The transaction of a snapshot whose number ends so. */
static FullTransactionId
full_transaction(FullTransactionId next, TransactionId xid)
{
	uint32 epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xid);
}

/* Subtransactions need no look: they commit with one that has it. */
static bool
misses_nothing(Snapshot own, Snapshot later)
{
	FullTransactionId next = ReadNextFullTransactionId();
	FullTransactionId begin = full_transaction(next, own->xmax);
	FullTransactionId end = full_transaction(next, later->xmax);
	uint64 last = U64FromFullTransactionId(end);

	if (last - U64FromFullTransactionId(begin) > PLACES)
		return false;
	for (uint32 i = 0; i < own->xcnt; i++)
	{
		if (is_missed(full_transaction(next, own->xip[i]), own, later))
			return false;
	}
	for (uint64 number = U64FromFullTransactionId(begin); number < last; number++)
	{
		if (is_missed(FullTransactionIdFromU64(number), own, later))
			return false;
	}
	return true;
}

/*
 * later: this server's part of the cluster snapshot.  Error 40001 if it has rows
 * that the transaction's own snapshot does not have.
 */
void
tess_serializable_check(Snapshot later)
{
	if (!misses_nothing(GetTransactionSnapshot(), later))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access: other transactions have committed while the snapshot of all nodes was taken"),
				 errhint(
					 "Run the transaction again, with a statement that reads a distributed table first.")));
}

/* What SERIALIZABLE does not give, once in a session. */
void
tess_serializable_warn(void)
{
	if (serializable.has_warned)
		return;
	serializable.has_warned = true;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("serializable transactions are serializable on each node, but not across nodes"),
			 errdetail(
				 "All nodes are read under one snapshot; cycles of dependencies that pass through several nodes are not detected."),
			 errhint("Lock rows with SELECT ... FOR UPDATE where it matters.")));
}

void
tess_serializable_init(void)
{
	tess_shared_memory_add(&piece);
}
