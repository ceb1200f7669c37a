/*
 * sequences.c - what sequences of this server gave out is not given out again,
 * though a node alone commits it.
 *
 * PostgreSQL's nextval is kept by the commit that follows: it logs 32 values
 * ahead, unflushed, and whoever commits a row with one of them flushes the log
 * to there, whether or not it was he who logged that.  So before a node commits alone,
 * the log of this server is flushed as far as it goes.  Nearly always nothing
 * is there to flush.
 *
 * nextval gives the transaction an id when it logs.  That is no reason for a
 * commit in two phases, once it is flushed: what is left of the local commit
 * may get lost.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "replication/syncrep.h"

#include "xact/xact_internal.h"

/* Of this backend's records, the last one when the transaction had written
 * nothing here but sequences.  Such a place never comes again. */
static XLogRecPtr sequences_end = InvalidXLogRecPtr;

/* See xact.h. */
void
tess_xact_note_sequences(void)
{
	sequences_end = XactLastRecEnd;
}

/* True if the transaction writes on this server, sequences aside. */
bool
tess_xact_writes_here(void)
{
	return TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
		   (XLogRecPtrIsInvalid(sequences_end) ||
			XactLastRecEnd != sequences_end);
}

/* The end of the last record.  What PostgreSQL gives is the beginning of the
 * next, beyond the header of a new page; to flush to there is an error. */
static XLogRecPtr
end_of_log(void)
{
	XLogRecPtr next = GetXLogInsertRecPtr();
	uint64 on_page = next % XLOG_BLCKSZ;
	uint64 header = XLogSegmentOffset(next, wal_segment_size) < XLOG_BLCKSZ
						? SizeOfXLogLongPHD
						: SizeOfXLogShortPHD;

	return on_page == header ? next - on_page : next;
}

/*
 * Flushes what sequences have given out, whatever synchronous_commit says: a
 * node commits it for good.  Standbys get it as synchronous_commit says.
 * Before the node is told to commit.
 */
void
tess_sequences_flush(void)
{
	XLogRecPtr end = end_of_log();

	XLogFlush(end);
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(end, false);
	RESUME_INTERRUPTS();

	/* so the commit of an id that sequences gave has nothing to wait for */
	if (!tess_xact_writes_here())
		XactLastRecEnd = InvalidXLogRecPtr;
}
