/*
 * order.c - a statement does not see what is written after it began.
 *
 * PostgreSQL's cursors, loops and functions that write read under the snapshot
 * of their statement.  A node takes its snapshot when it gets the statement,
 * which may be later: at the first FETCH, or at a rescan with other
 * arguments.  So before this session writes to a table, every scan of it that
 * is open and has not asked the nodes is made to ask them: those of other
 * statements, and those of other parts of the statement that writes.  A scan
 * that would have to ask them after such a write fails; so does one that begins
 * after it under a snapshot from before it, as in a stable function that a cursor
 * calls.
 *
 * Knows writes of exec/ only, and only tables that statements name, that
 * foreign keys carry a change on to, or that row triggers may change.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/base.h"
#include "exec/exec_internal.h"
#include "lib/ilist.h"
#include "storage/proc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* A scan between its begin and its end. */
struct TessReader
{
	dlist_node link;
	bool listed;
	int64 number; /* in the order of their begin */
	MemoryContextCallback callback;
	const TessFragment *fragment;
	ResourceOwner owner;   /* of the statement */
	uint64 began_at;	   /* value of writes */
	CommandId command;	   /* of the snapshot */
	TessReaderStart start; /* NULL: arguments are not known yet */
	void *arg;
};

typedef struct WrittenTable
{
	Oid relation;
	uint64 write; /* number of its last write */
	LocalTransactionId transaction;
	CommandId command; /* of that write */
} WrittenTable;

static struct
{
	dlist_head readers;
	int64 begun;   /* readers, ever */
	uint64 writes; /* by this backend, ever */
	HTAB *tables;  /* WrittenTable; NULL: none yet */
} order = {DLIST_STATIC_INIT(order.readers)};

/* The number of scans that have begun: those that begin between two calls
 * have the numbers between the two results. */
int64
tess_reader_count(void)
{
	return order.begun;
}

static void
forget_reader(void *arg)
{
	tess_reader_end(arg);
}

/*
 * A scan begins under a snapshot, in the current context, with whose reset it
 * ends at the latest.  start makes it ask the nodes at once; NULL if it cannot.
 */
TessReader *
tess_reader_begin(const TessFragment *fragment, Snapshot snapshot,
				  TessReaderStart start, void *arg)
{
	TessReader *reader = palloc0(sizeof(TessReader));

	reader->fragment = fragment;
	reader->number = order.begun++;
	reader->owner = CurrentResourceOwner;
	reader->began_at = order.writes;
	reader->command = snapshot->curcid;
	reader->start = start;
	reader->arg = arg;
	reader->callback.func = forget_reader;
	reader->callback.arg = reader;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &reader->callback);
	dlist_push_tail(&order.readers, &reader->link);
	reader->listed = true;
	return reader;
}

void
tess_reader_end(TessReader *reader)
{
	if (reader->listed)
		dlist_delete(&reader->link);
	reader->listed = false;
}

/*
 * A part of a statement is asked for the rows it returns while it is about to
 * write: a scan that has to come before that, of the table it changes, depends
 * on them.  Fails.
 */
void
tess_order_refuse_circle(const TessFragment *fragment)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot read table %s as it was when the statement began",
					tess_relation_qualified_name(linitial_oid(fragment->changed))),
			 errdetail(
				 "A part of the statement changes it, and which of its rows another part locks depends on the rows which that returns."),
			 errhint("Use one statement for each change, in one transaction.")));
}

/* A snapshot sees what earlier commands of its transaction wrote. */
static bool
is_older(const TessReader *reader, const WrittenTable *table)
{
	return table->write > reader->began_at ||
		   (table->transaction == MyProc->lxid &&
			table->command >= reader->command);
}

/* To be called before the nodes are asked; fails if it is too late. */
void
tess_reader_check(const TessReader *reader)
{
	ListCell *cell;

	if (order.tables == NULL)
		return;
	foreach(cell, reader->fragment->relations)
	{
		Oid relation = lfirst_oid(cell);
		WrittenTable *table = hash_search(order.tables, &relation, HASH_FIND,
										  NULL);

		if (table != NULL && is_older(reader, table))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot read table %s as it was when the statement began",
							tess_relation_qualified_name(relation)),
					 errdetail(
						 "It was changed by this transaction since, and rows that depend on other rows of the statement are fetched one after the other."),
					 errhint(
						 "Read the rows first, into an array or a temporary table, and write then.")));
	}
}

static bool
covers_one_of(const TessFragment *fragment, const List *relations)
{
	ListCell *cell;

	foreach(cell, relations)
	{
		if (list_member_oid(fragment->relations, lfirst_oid(cell)))
			return true;
	}
	return false;
}

/* The tables of ours that a statement may change. */
static List *
written_tables(const TessFragment *fragment)
{
	List *written = list_copy(fragment->changed);
	ListCell *cell;

	/* all of a group are named, and keys of others do not refer to them */
	if (OidIsValid(fragment->function))
		return written;
	/* an INSERT that has another write updates what it conflicts with */
	if (fragment->command == CMD_INSERT && fragment->modify != NULL &&
		list_length(fragment->modify->writes) == 1)
		return tess_meta_add_triggered(written);
	foreach(cell, fragment->changed)
		written = tess_relation_cascades(written, lfirst_oid(cell), false);
	return tess_meta_add_triggered(written);
}

static void
note_write(const List *written)
{
	ListCell *cell;

	if (order.tables == NULL)
	{
		HASHCTL control = {0};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(WrittenTable);
		control.hcxt = TopMemoryContext;
		order.tables = hash_create("tessera tables written", 16, &control,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	order.writes++;
	foreach(cell, written)
	{
		Oid relation = lfirst_oid(cell);
		WrittenTable *table = hash_search(order.tables, &relation, HASH_ENTER,
										  NULL);

		table->write = order.writes;
		table->transaction = MyProc->lxid;
		/* used: later snapshots have another number */
		table->command = GetCurrentCommandId(true);
	}
}

/* The number of writes until now, of this backend. */
uint64
tess_order_count(void)
{
	return order.writes;
}

/* One of these tables that has been written to after so many writes, or
 * InvalidOid. */
Oid
tess_order_find_written(const List *relations, uint64 since)
{
	const ListCell *cell;

	if (order.tables == NULL)
		return InvalidOid;
	foreach(cell, relations)
	{
		Oid relation = lfirst_oid(cell);
		WrittenTable *table = hash_search(order.tables, &relation, HASH_FIND,
										  NULL);

		if (table != NULL && table->write > since)
			return relation;
	}
	return InvalidOid;
}

/*
 * A statement is about to write to the tables of a fragment.  Scans with
 * numbers from first to before last have been read to the end.
 */
void
tess_order_write(const TessFragment *fragment, int64 first, int64 last)
{
	ResourceOwner old_owner = CurrentResourceOwner;
	List *written = written_tables(fragment);
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &order.readers)
	{
		TessReader *reader = dlist_container(TessReader, link, iter.cur);

		if ((reader->number >= first && reader->number < last) ||
			reader->start == NULL || !covers_one_of(reader->fragment, written))
			continue;
		CurrentResourceOwner = reader->owner;
		reader->start(reader->arg);
		CurrentResourceOwner = old_owner;
	}
	note_write(written);
}
