/*
 * command_copy.c - COPY FROM into distributed and reference tables.
 *
 * It is core's own: core opens the input, reads the options and counts
 * lines for messages; only the rows go to a stream instead of the heap.  Where
 * the shards can read them alike they go as they came; else core converts them
 * and fills in defaults against the shell.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "command/command_internal.h"
#include "exec/exec.h"
#include "stream/stream.h"

static void check_options(const CopyStmt *copy);
static void check_triggers(Relation rel);
static ParseState *make_state(Relation rel, CopyStmt *copy,
							  const char *query_string, Node **where);
static Node *transform_where(ParseState *pstate, ParseNamespaceItem *item,
							 CopyStmt *copy);
static uint64 copy_rows(ParseState *pstate, Relation rel, CopyStmt *copy,
						const TessTable *table, List *where);
static uint64 copy_with_triggers(ParseState *pstate, Relation rel, CopyStmt *copy,
								 const TessTable *table, List *where);
static uint64 read_rows(CopyFromState input, Relation rel,
						const TessTable *table, List *where);
static bool read_row_in_order(CopyFromState input, TupleTableSlot *slot,
							  ExprState *qual, EState *estate,
							  TessStream *stream);
static bool convert_row(CopyFromState input, TupleTableSlot *slot,
						EState *estate);
static bool read_row(CopyFromState input, TupleTableSlot *slot, ExprState *qual,
					 EState *estate);

/* Runs COPY ... FROM if its table is ours; else false. */
bool
tess_copy_from(CopyStmt *copy, const char *query_string,
			   QueryCompletion *completion)
{
	const TessTable *table = tess_command_table(copy->relation);
	ParseState *pstate;
	Relation rel;
	Node *where = NULL;
	uint64 rows;

	if (table == NULL)
		return false;
	check_options(copy);
	tess_copy_check_place(copy);
	rel = table_openrv(copy->relation, RowExclusiveLock);
	/* It may have become another table while we waited for the lock. */
	table = tess_meta_table(RelationGetRelid(rel));
	if (table == NULL)
	{
		table_close(rel, NoLock);
		return false;
	}
	pstate = make_state(rel, copy, query_string, &where);
	PreventCommandIfReadOnly("COPY FROM");
	if (check_enable_rls(table->relation, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("COPY FROM not supported with row-level security"),
						errhint("Use INSERT statements instead.")));
	if (table->kind == TESS_REFERENCE)
		check_triggers(rel);
	rows = copy_with_triggers(pstate, rel, copy, table, (List *) where);
	if (completion)
		SetQueryCompletion(completion, CMDTAG_COPY, rows);
	table_close(rel, NoLock);
	free_parsestate(pstate);
	return true;
}

/* Rows go to the nodes as they were read, and in several parts. */
static void
check_triggers(Relation rel)
{
	const TriggerDesc *triggers = rel->trigdesc;

	if (triggers == NULL || (!triggers->trig_insert_before_row &&
							 !triggers->trig_insert_before_statement &&
							 !triggers->trig_insert_after_statement &&
							 !triggers->trig_insert_new_table))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("COPY FROM is not supported on reference table \"%s\", which has triggers",
					RelationGetRelationName(rel)),
			 errhint("COPY into a temporary table, and use INSERT ... SELECT.")));
}

static void
check_options(const CopyStmt *copy)
{
	ListCell *lc;

	foreach(lc, copy->options)
	{
		DefElem *option = lfirst(lc);

		if (strcmp(option->defname, "freeze") == 0 && defGetBoolean(option))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("COPY FREEZE is not supported on distributed table \"%s\"",
							copy->relation->relname),
					 errhint("Leave FREEZE out.")));
	}
}

/* Files and programs of the server, as core's DoCopy allows them. */
void
tess_copy_check_place(const CopyStmt *copy)
{
	if (copy->filename == NULL)
		return;
	if (copy->is_program &&
		!has_privs_of_role(GetUserId(), ROLE_PG_EXECUTE_SERVER_PROGRAM))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser or have privileges of the pg_execute_server_program role to COPY to or from an external program"),
				 errhint(
					 "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.")));
	if (!copy->is_program && copy->is_from &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser or have privileges of the pg_read_server_files role to COPY from a file"),
				 errhint(
					 "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.")));
	if (!copy->is_program && !copy->is_from &&
		!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser or have privileges of the pg_write_server_files role to COPY to a file"),
				 errhint(
					 "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.")));
}

/* Parse state with the table as its one relation, rights checked; *where is
 * an implicit AND list. */
static ParseState *
make_state(Relation rel, CopyStmt *copy, const char *query_string, Node **where)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	List *attnums;
	ListCell *lc;

	pstate->p_sourcetext = query_string;
	item = addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL,
										 false, false);
	item->p_rte->requiredPerms = ACL_INSERT;
	if (copy->whereClause)
		*where = transform_where(pstate, item, copy);
	attnums = CopyGetAttnums(RelationGetDescr(rel), rel, copy->attlist);
	foreach(lc, attnums)
		item->p_rte
			->insertedCols = bms_add_member(item->p_rte->insertedCols,
											lfirst_int(lc) -
												FirstLowInvalidHeapAttributeNumber);
	(void) ExecCheckRTPerms(pstate->p_rtable, true);
	return pstate;
}

static Node *
transform_where(ParseState *pstate, ParseNamespaceItem *item, CopyStmt *copy)
{
	Node *where;

	addNSItemToQuery(pstate, item, false, true, true);
	where = transformExpr(pstate, copy->whereClause, EXPR_KIND_COPY_WHERE);
	where = coerce_to_boolean(pstate, where, "WHERE");
	assign_expr_collations(pstate, where);
	where = eval_const_expressions(NULL, where);
	where = (Node *) canonicalize_qual((Expr *) where, false);
	return (Node *) make_ands_implicit((Expr *) where);
}

static uint64
copy_rows(ParseState *pstate, Relation rel, CopyStmt *copy,
		  const TessTable *table, List *where)
{
	CopyFromState input = BeginCopyFrom(pstate, rel, NULL, copy->filename,
										copy->is_program, NULL, copy->attlist,
										copy->options);
	uint64 rows;

	if (where == NIL && tess_raw_is_possible(input, table))
		rows = tess_raw_copy(input, table, copy->options);
	else
		rows = read_rows(input, rel, table, where);
	EndCopyFrom(input);
	return rows;
}

/* The same, between the statement triggers of a distributed table. */
static uint64
copy_with_triggers(ParseState *pstate, Relation rel, CopyStmt *copy,
				   const TessTable *table, List *where)
{
	EState *estate;
	uint64 rows;

	if ((table->statement_events & TESS_EVENT(CMD_INSERT)) == 0)
		return copy_rows(pstate, rel, copy, table, where);
	estate = CreateExecutorState();
	ExecInitRangeTable(estate, pstate->p_rtable);
	AfterTriggerBeginQuery();
	tess_exec_fire(estate, table->relation, TESS_EVENT(CMD_INSERT), true);
	rows = copy_rows(pstate, rel, copy, table, where);
	tess_exec_fire(estate, table->relation, TESS_EVENT(CMD_INSERT), false);
	AfterTriggerEndQuery(estate);
	ExecCloseResultRelations(estate);
	FreeExecutorState(estate);
	return rows;
}

/* Core reads and converts each row, unless it may go on as it is. */
static uint64
read_rows(CopyFromState input, Relation rel, const TessTable *table, List *where)
{
	EState *estate = CreateExecutorState();
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsVirtual);
	ExprState *qual = where ? ExecInitQual(where, NULL) : NULL;
	TessStream *stream;
	bool is_raw;
	uint64 rows = 0;

	stream = tess_stream_begin(table,
							   tess_stream_columns(RelationGetDescr(rel)), true);
	slot->tts_tableOid = RelationGetRelid(rel);
	GetPerTupleExprContext(estate)->ecxt_scantuple = slot;
	is_raw = qual == NULL && tess_binary_is_possible(input, stream);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		ResetPerTupleExprContext(estate);
		if (!is_raw ||
			!tess_binary_take(input, stream, GetPerTupleMemoryContext(estate)))
		{
			if (!read_row_in_order(input, slot, qual, estate, stream))
				break;
			tess_stream_put(stream, slot, input->cur_lineno);
		}
		tess_progress_rows(++rows);
	}
	rows = tess_stream_end(stream);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
	return rows;
}

/* As below; an error waits for those of the rows before it. */
static bool
read_row_in_order(CopyFromState input, TupleTableSlot *slot, ExprState *qual,
				  EState *estate, TessStream *stream)
{
	MemoryContext caller = CurrentMemoryContext;
	bool found = false;

	PG_TRY();
	{
		found = read_row(input, slot, qual, estate);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		tess_stream_raise(stream, error);
	}
	PG_END_TRY();
	return found;
}

/*
 * The next row of the input that passes the condition; false at its end.  The
 * line that core has read is the context of errors in here alone: those of
 * nodes are about other lines.
 */
static bool
read_row(CopyFromState input, TupleTableSlot *slot, ExprState *qual,
		 EState *estate)
{
	ErrorContextCallback context = {.callback = CopyFromErrorCallback,
									.arg = input,
									.previous = error_context_stack};
	bool found = false;
	bool passes = false;

	error_context_stack = &context;
	do
	{
		CHECK_FOR_INTERRUPTS();
		ResetPerTupleExprContext(estate);
		found = convert_row(input, slot, estate);
		if (!found)
			break;
		passes = qual == NULL || ExecQual(qual, GetPerTupleExprContext(estate));
		if (!passes)
			tess_progress_row_excluded();
	} while (!passes);
	error_context_stack = context.previous;
	return found;
}

static bool
convert_row(CopyFromState input, TupleTableSlot *slot, EState *estate)
{
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	bool found;

	ExecClearTuple(slot);
	found = NextCopyFrom(input, GetPerTupleExprContext(estate),
						 slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(caller);
	if (found)
		ExecStoreVirtualTuple(slot);
	return found;
}
