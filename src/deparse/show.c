/*
 * show.c - lets an administrator see what would be sent for a statement.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/value.h"
#include "parser/analyze.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "deparse/deparse_internal.h"

PG_FUNCTION_INFO_V1(tess_template_show);
PG_FUNCTION_INFO_V1(tess_table_ddl_show);

static void
append_template(StringInfo out, const List *template)
{
	ListCell *cell;

	foreach(cell, template)
	{
		if (IsA(lfirst(cell), String))
			appendStringInfoString(out, strVal(lfirst(cell)));
		else
			appendStringInfo(out, "<%s>",
							 strVal(linitial(lfirst_node(List, cell))));
	}
}

static void
append_query(StringInfo out, Query *query, bool by_rows)
{
	const char *reason = NULL;
	List *head = NIL;
	List *tail = NIL;

	if (by_rows && query->commandType == CMD_INSERT)
	{
		if (tess_deparse_insert(query, &head, &tail, &reason))
		{
			append_template(out, head);
			appendStringInfoString(out, "[rows]");
			append_template(out, tail);
		}
	}
	else
		append_template(out, tess_deparse_query(query, &reason));
	if (reason != NULL)
		appendStringInfo(out, "not sent: %s", reason);
}

/*
 * deparse_template(statement, parameter types, by rows): the template of one
 * statement, slots in angle brackets, or why there is none.
 */
Datum
tess_template_show(PG_FUNCTION_ARGS)
{
	char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ArrayType *type_array = PG_GETARG_ARRAYTYPE_P(1);
	bool by_rows = PG_GETARG_BOOL(2);
	RawStmt *raw = tess_names_parse(sql);
	StringInfoData out;
	Datum *datums;
	Oid *types;
	int count;
	ListCell *cell;

	deconstruct_array(type_array, REGTYPEOID, sizeof(Oid), true, TYPALIGN_INT,
					  &datums, NULL, &count);
	types = palloc(sizeof(Oid) * Max(count, 1));
	for (int i = 0; i < count; i++)
		types[i] = DatumGetObjectId(datums[i]);

	initStringInfo(&out);
	foreach(cell,
			pg_analyze_and_rewrite_fixedparams(raw, sql, types, count, NULL))
	{
		if (out.len > 0)
			appendStringInfoString(&out, ";\n");
		append_query(&out, lfirst_node(Query, cell), by_rows);
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

static void
append_statements(StringInfo out, List *templates)
{
	ListCell *cell;

	foreach(cell, templates)
	{
		append_template(out, lfirst_node(List, cell));
		appendStringInfoString(out, ";\n");
	}
}

/* table_ddl(relation): what recreates a distributed or reference table. */
Datum
tess_table_ddl_show(PG_FUNCTION_ARGS)
{
	Oid relation = PG_GETARG_OID(0);
	const TessTable *table;
	StringInfoData out;
	ListCell *cell;

	LockRelationOid(relation, AccessShareLock);
	table = tess_meta_table(relation);
	if (table == NULL)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("relation is not distributed"),
						errhint("Name a distributed or reference table.")));

	initStringInfo(&out);
	foreach(cell, tess_ddl_needed_objects(relation))
		appendStringInfo(&out, "%s;\n", (char *) lfirst(cell));
	append_statements(&out,
					  tess_ddl_table_pre_data(relation,
											  table->kind == TESS_REFERENCE));
	append_statements(&out,
					  tess_ddl_table_post_data(relation,
											   table->kind == TESS_REFERENCE));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
