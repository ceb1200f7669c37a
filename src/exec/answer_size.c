/*
 * answer_size.c - on a node: a write that is the transaction commits with its
 * last message, unless it returns more than the coordinator can be sure to
 * hold.
 *
 * Who sent it gives the rows to his client when they are committed already, so
 * nothing may fail then: no disk may be full, and no client may be too slow to be
 * sent them all.  So they have to be few.  If they are not, the transaction is left
 * open, as if BEGIN had come before the statement, and ends with a message of
 * its own.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "tcop/pquery.h"

/* What sockets take that nobody reads from. */
#define MAX_ANSWER_BYTES (32 * 1024)
/* Of a row, beside its values. */
#define ROW_BYTES 16

typedef struct CountingReceiver
{
	DestReceiver dest;
	DestReceiver *next;
	Size bytes;
} CountingReceiver;

/* The transaction in which too much has been returned. */
static LocalTransactionId large_in = InvalidLocalTransactionId;

static Size
value_size(const FormData_pg_attribute *attribute, Datum value)
{
	if (attribute->attlen > 0)
		return attribute->attlen;
	if (attribute->attlen == -1)
		return toast_raw_datum_size(value);
	return strlen(DatumGetCString(value));
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	CountingReceiver *receiver = (CountingReceiver *) self;
	TupleDesc desc = slot->tts_tupleDescriptor;

	if (receiver->bytes <= MAX_ANSWER_BYTES)
	{
		slot_getallattrs(slot);
		receiver->bytes += ROW_BYTES;
		for (int i = 0; i < desc->natts; i++)
			if (!slot->tts_isnull[i])
				receiver->bytes += value_size(TupleDescAttr(desc, i),
											  slot->tts_values[i]);
		if (receiver->bytes > MAX_ANSWER_BYTES)
			large_in = MyProc->lxid;
	}
	return receiver->next->receiveSlot(slot, receiver->next);
}

static void
start(DestReceiver *self, int operation, TupleDesc desc)
{
	DestReceiver *next = ((CountingReceiver *) self)->next;

	next->rStartup(next, operation, desc);
}

static void
shut_down(DestReceiver *self)
{
	DestReceiver *next = ((CountingReceiver *) self)->next;

	next->rShutdown(next);
}

static void
destroy(DestReceiver *self)
{
	DestReceiver *next = ((CountingReceiver *) self)->next;

	next->rDestroy(next);
}

/* The client's own statement is about to run: counts what it returns, if it is a
 * write that is the transaction. */
void
tess_answer_watch(QueryDesc *query_desc)
{
	CountingReceiver *receiver;

	/* a SELECT that is the transaction calls a function that writes; others may
	 * be of functions that are called while a statement is planned */
	if (!query_desc->plannedstmt->hasReturning &&
		(ActivePortal == NULL || ActivePortal->queryDesc != query_desc))
		return;
	if (!tess_ticket_is_taken() || IsTransactionBlock())
		return;
	receiver = MemoryContextAllocZero(query_desc->estate->es_query_cxt,
									  sizeof(CountingReceiver));
	receiver->dest.receiveSlot = receive;
	receiver->dest.rStartup = start;
	receiver->dest.rShutdown = shut_down;
	receiver->dest.rDestroy = destroy;
	receiver->dest.mydest = query_desc->dest->mydest;
	receiver->next = query_desc->dest;
	query_desc->dest = &receiver->dest;
}

/* It has ended, and nothing of the user's comes after it (triggers might need a
 * subtransaction, which there cannot be between BEGIN and the end of its
 * message). */
void
tess_answer_end(void)
{
	if (LocalTransactionIdIsValid(large_in) && large_in == MyProc->lxid &&
		!IsTransactionBlock())
		BeginTransactionBlock();
	large_in = InvalidLocalTransactionId;
}
