/*
 * writes.c - the statements that rows computed here are sent with.
 *
 * A row of the target is named by its ctid in its shard; it has been locked, so
 * that it is still there.  Each maker fills a TessWrite but for which rows of
 * the child it is about.  Columns are attribute numbers, positions those of the
 * child's columns that hold the values.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "plan/plan_internal.h"

/* Where the child of a change by row has the ctid. */
#define CTID_POSITION 1

/* The next parameter of a row, from this column of the child. */
static void
add_parameter(TessWrite *write, int position, Oid type)
{
	char *name = format_type_extended(type, -1,
									  FORMAT_TYPE_TYPEMOD_GIVEN |
										  FORMAT_TYPE_FORCE_QUALIFY);

	write->positions = lappend_int(write->positions, position);
	write->row_types = lappend_oid(write->row_types, type);
	write->row_casts = lappend(write->row_casts,
							   makeString(psprintf("::%s", name)));
}

static void
add_values(TessWrite *write, const TessTable *table, List *columns,
		   List *positions)
{
	ListCell *column;
	ListCell *position;

	write->columns = columns;
	forboth(column, columns, position, positions)
		add_parameter(write, lfirst_int(position),
					  get_atttype(table->relation, lfirst_int(column)));
}

static const char *
column_name(const TessTable *table, AttrNumber attno)
{
	return quote_identifier(get_attname(table->relation, attno, false));
}

/* The table's name as a template: its schema is a slot. */
static List *
name_template(const char *before, const TessTable *table, const char *after)
{
	char *rest = psprintf(".%s%s", quote_identifier(table->name), after);

	return list_make3(makeString(pstrdup(before)),
					  list_make1(makeString(pstrdup(table->schema))),
					  makeString(rest));
}

/* RETURNING columns and the number of the row; nothing if none is wanted. */
static void
append_returning(StringInfo text, const TessTable *table,
				 const TessColumns *returning, const char *number)
{
	const char *separator = " RETURNING ";
	ListCell *cell;

	if (returning == NULL || returning->node_tlist == NIL)
		return;
	foreach(cell, returning->node_tlist)
	{
		Var *var = (Var *) lfirst_node(TargetEntry, cell)->expr;

		appendStringInfo(text, "%st.%s", separator,
						 column_name(table, var->varattno));
		separator = ", ";
	}
	appendStringInfo(text, ", %s", number);
}

/* ..., number, ctid, values) AS v (n, c, v1, v2) WHERE t.ctid = v.c ... */
static List *
by_ctid_tail(const TessWrite *write, const TessTable *table,
			 const TessColumns *returning)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, ") AS v (%sc", write->returns ? "n, " : "");
	for (int i = 1; i <= list_length(write->columns); i++)
		appendStringInfo(&text, ", v%d", i);
	appendStringInfoString(&text, ") WHERE t.ctid = v.c");
	append_returning(&text, table, returning, "v.n");
	return list_make1(makeString(text.data));
}

/* True if the nodes are asked for columns. */
static bool
returns_rows(const TessColumns *returning)
{
	return returning != NULL && returning->node_tlist != NIL;
}

/* UPDATE table AS t SET a = v.v1, ... FROM (VALUES ...; returning NULL: nothing
 * is returned. */
TessWrite *
tess_write_update(const TessTable *table, List *columns, List *positions,
				  const TessColumns *returning)
{
	TessWrite *write = tess_write_make(CMD_UPDATE);
	StringInfoData set;
	ListCell *cell;

	write->returns = returns_rows(returning);
	add_parameter(write, CTID_POSITION, TIDOID);
	add_values(write, table, columns, positions);

	initStringInfo(&set);
	appendStringInfoString(&set, " AS t SET ");
	foreach(cell, columns)
		appendStringInfo(&set, "%s%s = v.v%d",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 column_name(table, lfirst_int(cell)),
						 foreach_current_index(cell) + 1);
	appendStringInfoString(&set, " FROM (VALUES ");
	write->head = name_template("UPDATE ", table, set.data);
	write->tail = by_ctid_tail(write, table, returning);
	return write;
}

/* DELETE FROM table AS t USING (VALUES ... */
TessWrite *
tess_write_delete(const TessTable *table, const TessColumns *returning)
{
	TessWrite *write = tess_write_make(CMD_DELETE);

	write->returns = returns_rows(returning);
	add_parameter(write, CTID_POSITION, TIDOID);
	write->head = name_template("DELETE FROM ", table, " AS t USING (VALUES ");
	write->tail = by_ctid_tail(write, table, returning);
	return write;
}

/* INSERT INTO table AS t (a, ...) VALUES ...; identity columns get the values
 * that were computed here. */
TessWrite *
tess_write_insert(const TessTable *table, List *columns, List *positions,
				  const TessColumns *returning)
{
	TessWrite *write = tess_write_make(CMD_INSERT);
	StringInfoData names;
	StringInfoData tail;
	ListCell *cell;
	ListCell *position;

	write->returns = returns_rows(returning);
	add_values(write, table, columns, positions);
	forboth(cell, columns, position, positions)
		if (lfirst_int(cell) == table->key_attnum)
			write->key_position = lfirst_int(position);

	initStringInfo(&names);
	appendStringInfoString(&names, " AS t (");
	foreach(cell, columns)
		appendStringInfo(&names, "%s%s",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 column_name(table, lfirst_int(cell)));
	appendStringInfoString(&names, ") OVERRIDING SYSTEM VALUE VALUES ");
	write->head = name_template("INSERT INTO ", table, names.data);
	initStringInfo(&tail);
	append_returning(&tail, table, returning, "0");
	write->tail = list_make1(makeString(tail.data));
	return write;
}

/* SELECT tessera_internal.delete_moved(NULL::table, ...): rows that go to
 * another shard. */
static TessWrite *
write_moved(const TessTable *table)
{
	TessWrite *write = tess_write_make(CMD_DELETE);

	write->rows = TESS_WRITE_MOVING;
	write->counts = false;
	add_parameter(write, CTID_POSITION, TIDOID);
	write->head = name_template("SELECT tessera_internal.delete_moved(NULL::",
								table,
								", pg_catalog.array_agg(v.c)) FROM (VALUES ");
	write->tail = list_make1(makeString(") AS v (c)"));
	return write;
}

/*
 * The writes of rows that are found and may get another key: those that leave
 * their shard are deleted there and inserted where they belong.  all_columns
 * are those that have values of their own (not generated), columns those that
 * are assigned to.
 */
List *
tess_write_move(const TessTable *table, List *columns, List *positions,
				List *all_columns, List *all_positions,
				const TessColumns *returning)
{
	TessWrite *gone = write_moved(table);
	TessWrite *changed = tess_write_update(table, columns, positions, returning);
	TessWrite *put = tess_write_insert(table, all_columns, all_positions,
									   returning);

	gone->key_position = put->key_position;
	changed->rows = TESS_WRITE_STAYING;
	changed->key_position = put->key_position;
	put->rows = TESS_WRITE_MOVING;
	return list_make3(gone, changed, put);
}
