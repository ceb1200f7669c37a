/*
 * command_copy_to.c - COPY TO out of distributed tables.
 *
 * Where nodes hold all shards and write every column as this server would, what
 * they write is the output, unread.  Otherwise COPY of a table becomes COPY of
 * a query, which the planner answers from the shards.
 */
#include "postgres.h"

#include "access/table.h"
#include "commands/copy.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "command/command_internal.h"
#include "stream/stream.h"
#include "xact/xact.h"

/* FORCE_QUOTE names columns of the table, not only those of the query. */
static void
check_quoted(const CopyFormatOptions *format, Relation rel, List *attnums)
{
	ListCell *lc;

	if (format->force_quote == NIL)
		return;
	foreach(lc, CopyGetAttnums(RelationGetDescr(rel), rel, format->force_quote))
	{
		if (list_member_int(attnums, lfirst_int(lc)))
			continue;
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
						errmsg("FORCE_QUOTE column \"%s\" not referenced by COPY",
							   get_attname(RelationGetRelid(rel),
										   lfirst_int(lc), false))));
	}
}

/* Errors if the user may not read the columns. */
static void
check_rights(ParseState *pstate, Relation rel, List *attnums)
{
	ParseNamespaceItem *item;
	RangeTblEntry *rte;
	ListCell *lc;

	item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL,
										 false, false);
	rte = item->p_rte;
	rte->requiredPerms = ACL_SELECT;
	foreach(lc, attnums)
		rte->selectedCols = bms_add_member(rte->selectedCols,
										   lfirst_int(lc) -
											   FirstLowInvalidHeapAttributeNumber);
	(void) ExecCheckRTPerms(pstate->p_rtable, true);
}

/* True if the shards' bytes are the output: of the client's own statement, whose
 * snapshot is nobody else's, for somebody whom no policy keeps from rows. */
static bool
is_raw(const CopyStmt *copy, const TessTable *table, Relation rel,
	   List *attnums, const CopyFormatOptions *format)
{
	return tess_xact_depth == 0 && !rel->rd_rel->relrowsecurity &&
		   (copy->filename != NULL || whereToSendOutput == DestRemote) &&
		   tess_raw_out_is_possible(table->group, RelationGetDescr(rel),
									attnums, format);
}

/* The table of a shard, with the columns. */
static List *
make_template(const TessTable *table, List *attnums)
{
	StringInfoData columns;
	ListCell *lc;

	initStringInfo(&columns);
	appendStringInfo(&columns, ".%s", quote_identifier(table->name));
	foreach(lc, attnums)
		appendStringInfo(&columns, "%s%s",
						 foreach_current_index(lc) > 0 ? ", " : " (",
						 quote_identifier(get_attname(table->relation,
													  lfirst_int(lc), false)));
	appendStringInfoChar(&columns, ')');
	return list_make2(list_make1(makeString(pstrdup(table->schema))),
					  makeString(columns.data));
}

static uint64
copy_raw(const CopyStmt *copy, const TessTable *table, List *attnums,
		 const CopyFormatOptions *format)
{
	TessOutput *output = tess_output_open(copy, list_length(attnums),
										  format->binary);
	TessRawOut out = {.group = table->group,
					  .template = make_template(table, attnums),
					  .options = copy->options,
					  .format = format,
					  .put = tess_output_put,
					  .arg = output};
	uint64 rows;

	tess_progress_begin_out(table->relation, copy->filename == NULL,
							copy->is_program);
	rows = tess_raw_out(&out);
	tess_output_close(output);
	tess_progress_end();
	return rows;
}

/* COPY t TO becomes COPY (SELECT columns FROM ONLY t) TO, in place.  The
 * planner's checks are those of COPY. */
static void
rewrite(CopyStmt *copy, Relation rel, List *attnums)
{
	SelectStmt *select = makeNode(SelectStmt);
	RangeVar *from;
	ListCell *lc;

	foreach(lc, attnums)
	{
		ResTarget *target = makeNode(ResTarget);
		ColumnRef *column = makeNode(ColumnRef);

		column->fields = list_make1(makeString(
			get_attname(RelationGetRelid(rel), lfirst_int(lc), false)));
		column->location = -1;
		target->val = (Node *) column;
		target->location = -1;
		select->targetList = lappend(select->targetList, target);
	}
	from = makeRangeVar(get_namespace_name(RelationGetNamespace(rel)),
						pstrdup(RelationGetRelationName(rel)), -1);
	from->inh = false;
	select->fromClause = list_make1(from);
	copy->relation = NULL;
	copy->attlist = NIL;
	copy->query = (Node *) select;
}

/*
 * Runs COPY ... TO if its table is distributed, and its shards' bytes are the
 * output.  Else false: of a distributed table, the statement is then one of a
 * query.
 */
bool
tess_copy_to(CopyStmt *copy, const char *query_string,
			 QueryCompletion *completion)
{
	const TessTable *table = tess_command_table(copy->relation);
	ParseState *pstate;
	CopyFormatOptions format = {0};
	Relation rel;
	List *attnums;
	bool raw;

	if (table == NULL || table->kind != TESS_DISTRIBUTED)
		return false;
	tess_copy_check_place(copy);
	rel = table_openrv(copy->relation, AccessShareLock);
	pstate = make_parsestate(NULL);
	pstate->p_sourcetext = query_string;
	attnums = CopyGetAttnums(RelationGetDescr(rel), rel, copy->attlist);
	check_rights(pstate, rel, attnums);
	ProcessCopyOptions(pstate, &format, false, copy->options);
	check_quoted(&format, rel, attnums);
	raw = is_raw(copy, table, rel, attnums, &format);
	if (raw)
	{
		uint64 rows = copy_raw(copy, table, attnums, &format);

		if (completion)
			SetQueryCompletion(completion, CMDTAG_COPY, rows);
	}
	else
		rewrite(copy, rel, attnums);
	table_close(rel, NoLock);
	free_parsestate(pstate);
	return raw;
}
