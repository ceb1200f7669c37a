/*
 * repeat_rows.c - captured changes of a reference table on their way to its
 * other copies.
 *
 * A node gets the statements that change one row, and for many rows their
 * values and which statement is meant: it runs that for each, in the order of
 * the writes on this server (run_for_rows.c).  At each step it has the rows that this server had at that
 * step, so what was possible here is possible there, whatever the statement
 * did to unique columns.
 *
 * Values go as text, since arrays cannot hold every type: written and read
 * under pinned settings.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/base.h"

#define MAX_BYTES (1024 * 1024)
#define MAX_BYTES_AT_ONCE (256 * 1024 * 1024)
#define MAX_OWED 2

typedef struct Repeater
{
	const TessFragment *fragment;
	bool at_once;
	TessReplies *replies;
	List *branches; /* of the other nodes */
	char *sql;
	TessEncoder *encoder;
	int width;
	Oid *types;
	FmgrInfo *output; /* of each value of a row */

	/* rows that have gathered */
	MemoryContext context;
	uint64 rows;
	int space; /* in values, there is room for */
	Datum *values;
	bool *nulls;
	Size bytes;
} Repeater;

/* A statement for one node. */
typedef struct Sending
{
	TessBranch *branch;
	uint64 rows;
} Sending;

/*
 * Triggers that look at the table when a statement ends, deferrable unique
 * constraints and foreign keys that refer to it, must see all changes: between
 * two statements they would find what was never there.  Checks of its own
 * foreign keys look at single rows.  Triggers of users are on this server alone.
 */
bool
tess_rows_need_one_statement(const TriggerDesc *triggers)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (triggers->triggers[i].tgisinternal &&
			RI_FKey_trigger_type(triggers->triggers[i].tgfoid) != RI_TRIGGER_FK)
			return true;
	return false;
}

/* TessDoneSink */
static void
statement_done(void *owner, void *tag, PGresult *result)
{
	Repeater *repeater = owner;
	const Sending *sending = tag;

	tess_copy_compare(repeater->fragment->anchor, sending->branch, sending->rows,
					  strtou64(PQgetvalue(result, 0, 0), NULL, 10));
}

/* TessRowSink: the count, which statement_done has read. */
static void
ignore_row(void *owner, void *tag, const PGresult *result, int row)
{
}

/* ARRAY['...', ...] */
static void
append_array(StringInfo sql, const List *texts)
{
	ListCell *cell;

	appendStringInfoString(sql, "ARRAY[");
	foreach(cell, texts)
		appendStringInfo(sql, "%s%s",
						 foreach_current_index(cell) == 0 ? "" : ", ",
						 quote_literal_cstr(lfirst(cell)));
	appendStringInfoChar(sql, ']');
}

/* The call, with the statements and the types of their parameters; $1 are the
 * rows. */
static char *
call_text(const TessFragment *fragment, TupleDesc desc)
{
	List *statements = NIL;
	List *types = NIL;
	StringInfoData sql;
	ListCell *cell;

	foreach(cell, fragment->modify->writes)
		statements = lappend(statements,
							 tess_template_sql(((const TessWrite *) lfirst(cell))
												   ->head,
											   0));
	for (int i = 1; i < desc->natts; i++)
		types = lappend(types,
						format_type_extended(TupleDescAttr(desc, i)->atttypid,
											 -1, FORMAT_TYPE_FORCE_QUALIFY));
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT tessera_internal.run_for_rows(");
	append_array(&sql, statements);
	appendStringInfoString(&sql, ", ");
	append_array(&sql, types);
	appendStringInfoString(&sql, "::pg_catalog.regtype[], $1)");
	return sql.data;
}

static Repeater *
begin_repeater(const TessFragment *fragment, TupleDesc desc, bool at_once)
{
	Repeater *repeater = palloc0(sizeof(Repeater));
	Oid type = TEXTARRAYOID;
	ListCell *cell;

	repeater->fragment = fragment;
	repeater->at_once = at_once;
	repeater->sql = call_text(fragment, desc);
	repeater->encoder = tess_encoder_make(1, &type);
	repeater->width = desc->natts;
	repeater->types = palloc(repeater->width * sizeof(Oid));
	repeater->output = palloc(repeater->width * sizeof(FmgrInfo));
	for (int i = 0; i < repeater->width; i++)
	{
		Oid function;
		bool is_varlena;

		repeater->types[i] = TupleDescAttr(desc, i)->atttypid;
		getTypeOutputInfo(tess_type_written(repeater->types[i]), &function,
						  &is_varlena);
		fmgr_info(function, &repeater->output[i]);
	}
	repeater->replies = tess_replies_make(repeater, ignore_row, statement_done);
	foreach(cell, tess_meta_remote_nodes())
		repeater->branches = lappend(repeater->branches,
									 tess_replies_branch(repeater->replies,
														 ((const TessNode *)
															  lfirst(cell))
															 ->node_id));
	repeater->context = AllocSetContextCreate(CurrentMemoryContext,
											  "tessera rows to repeat",
											  ALLOCSET_DEFAULT_SIZES);
	return repeater;
}

/* Sends the rows that have gathered to all nodes. */
static void
send_rows(Repeater *repeater)
{
	MemoryContext old_context = MemoryContextSwitchTo(repeater->context);
	int dims = (int) repeater->rows * repeater->width;
	int lower = 1;
	Datum rows = PointerGetDatum(
		construct_md_array(repeater->values, repeater->nulls, 1, &dims, &lower,
						   TEXTOID, -1, false, TYPALIGN_INT));
	bool is_null = false;
	TessParams params;
	ListCell *cell;

	tess_encoder_encode(repeater->encoder, &rows, &is_null, &params);
	tess_replies_open(repeater->replies, NULL, repeater->fragment->role,
					  TESS_WRITE);

	/* all of them before anything is queued, which must not be read past */
	foreach(cell, repeater->branches)
		tess_replies_collect(repeater->replies, lfirst(cell), MAX_OWED - 1);
	foreach(cell, repeater->branches)
	{
		TessBranch *branch = lfirst(cell);
		Sending *sending = MemoryContextAlloc(old_context, sizeof(Sending));

		sending->branch = branch;
		sending->rows = repeater->rows;
		tess_replies_queue(repeater->replies, branch, repeater->sql, &params,
						   false, false, true, sending);
	}
	tess_replies_flush(repeater->replies);

	MemoryContextSwitchTo(old_context);
	MemoryContextReset(repeater->context);
	repeater->rows = 0;
	repeater->space = 0;
	repeater->bytes = 0;
}

static void
make_room(Repeater *repeater, int count)
{
	if (count <= repeater->space)
		return;
	if (repeater->space == 0)
	{
		repeater->space = Max(count, 64);
		repeater->values = palloc(repeater->space * sizeof(Datum));
		repeater->nulls = palloc(repeater->space * sizeof(bool));
		return;
	}
	repeater->space *= 2;
	repeater->values = repalloc(repeater->values,
								repeater->space * sizeof(Datum));
	repeater->nulls = repalloc(repeater->nulls, repeater->space * sizeof(bool));
}

static void
raise_too_many(const TessFragment *fragment)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many rows of reference table %s are changed by one statement",
					tess_relation_qualified_name(fragment->anchor)),
			 errdetail("Constraints that look at the table as a whole need all changes in one message of at most %d MB.",
					   MAX_BYTES_AT_ONCE / (1024 * 1024)),
			 errhint("Change fewer rows with each statement.")));
}

/* Writes a row's values as text, in the current context. */
static void
write_row(Repeater *repeater, TupleTableSlot *slot)
{
	int start = (int) repeater->rows * repeater->width;
	int guc_level = tess_settings_pin();

	make_room(repeater, start + repeater->width);
	slot_getallattrs(slot);
	for (int i = 0; i < repeater->width; i++)
	{
		char *text;

		repeater->bytes += sizeof(Datum) + VARHDRSZ;
		repeater->nulls[start + i] = slot->tts_isnull[i];
		if (slot->tts_isnull[i])
			continue;
		text = OutputFunctionCall(&repeater->output[i],
								  tess_value_written(repeater->types[i],
													 slot->tts_values[i]));
		repeater->bytes += strlen(text);
		repeater->values[start + i] = CStringGetTextDatum(text);
		pfree(text);
	}
	AtEOXact_GUC(true, guc_level);
	repeater->rows++;
}

/* Adds a row; may send what has gathered. */
static void
add_row(Repeater *repeater, TupleTableSlot *slot)
{
	MemoryContext old_context = MemoryContextSwitchTo(repeater->context);

	write_row(repeater, slot);
	MemoryContextSwitchTo(old_context);

	if (repeater->at_once && repeater->bytes > MAX_BYTES_AT_ONCE)
		raise_too_many(repeater->fragment);
	if (!repeater->at_once && repeater->bytes > MAX_BYTES)
		send_rows(repeater);
}

/*
 * Makes the captured changes on all other copies, and waits for them.  Errors
 * are the nodes'; another number of rows there than here is 40001.
 */
void
tess_rows_repeat(const TessFragment *fragment, TessCapture *capture,
				 bool at_once, TessScanFigures *figures)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera repetition",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	TupleDesc desc = tess_capture_desc(capture);
	Repeater *repeater = begin_repeater(fragment, desc, at_once);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

	/* a row may be of a commit that has not reached the nodes yet */
	if (repeater->branches != NIL)
		tess_barrier_wait_commits();
	while (repeater->branches != NIL && tess_capture_next(capture, slot))
	{
		CHECK_FOR_INTERRUPTS();
		add_row(repeater, slot);
	}
	if (repeater->rows > 0)
		send_rows(repeater);
	tess_replies_collect(repeater->replies, NULL, 0);
	figures->executed = true;
	tess_replies_add_figures(repeater->replies, figures);
	tess_replies_close(repeater->replies);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}
