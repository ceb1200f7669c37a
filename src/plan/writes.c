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

/* Rows of one shard are told apart by ctid, and partition if there are some. */
static void
add_address(TessWrite *write, const TessTable *table)
{
	add_parameter(write, CTID_POSITION, TIDOID);
	if (table->is_partitioned)
		add_parameter(write, TESS_PARTITION_POSITION, OIDOID);
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
	appendStringInfo(&text, ") AS v (%sc%s", write->returns ? "n, " : "",
					 table->is_partitioned ? ", o" : "");
	for (int i = 1; i <= list_length(write->columns); i++)
		appendStringInfo(&text, ", v%d", i);
	appendStringInfoString(&text, ") WHERE t.ctid = v.c");
	if (table->is_partitioned)
		appendStringInfoString(&text, " AND t.tableoid = v.o");
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
	add_address(write, table);
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
	add_address(write, table);
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

/* t.a OPERATOR(=) v.x AND ..., for the columns of a key; names: List of
 * char *, those of v. */
static void
append_equalities(StringInfo text, const TessTable *table,
				  const TessRowKey *key, const char *entry, const List *names)
{
	ListCell *cell;

	foreach(cell, key->columns)
	{
		int i = foreach_current_index(cell);

		appendStringInfo(text, "%s%s.%s", i == 0 ? "" : " AND ", entry,
						 column_name(table, lfirst_int(cell)));
		tess_row_key_append_operator(text, key, i);
		appendStringInfo(text, "v.%s", (char *) list_nth(names, i));
	}
}

/* The columns that the nodes return, of this entry, and the number. */
static char *
numbered_columns(const TessTable *table, const TessColumns *columns,
				 const char *entry)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, columns->node_tlist)
	{
		Var *var = (Var *) lfirst_node(TargetEntry, cell)->expr;

		appendStringInfo(&text, "%s.%s, ", entry,
						 column_name(table, var->varattno));
	}
	appendStringInfoString(&text, "v.n");
	return text.data;
}

/* SELECT t.a, ..., v.n FROM table AS t, (VALUES ...) AS v (n, v1, ...) WHERE t.a =
 * v.v1 ... FOR UPDATE OF t: the rows that have these values in the columns of a
 * key, locked. */
TessWrite *
tess_write_find(const TessTable *table, const TessRowKey *key, List *positions,
				const TessColumns *columns, const char *strength)
{
	TessWrite *write = tess_write_make(CMD_SELECT);
	StringInfoData tail;
	List *names = NIL;

	write->counts = false;
	write->returns = true;
	add_values(write, table, key->columns, positions);
	initStringInfo(&tail);
	appendStringInfoString(&tail, ") AS v (n");
	for (int i = 1; i <= list_length(key->columns); i++)
	{
		names = lappend(names, psprintf("v%d", i));
		appendStringInfo(&tail, ", v%d", i);
	}
	appendStringInfoString(&tail, ") WHERE ");
	append_equalities(&tail, table, key, "t", names);
	appendStringInfo(&tail, " FOR %s OF t", strength);

	write->head = name_template(psprintf("SELECT %s FROM ",
										 numbered_columns(table, columns, "t")),
								table, " AS t, (VALUES ");
	write->tail = list_make1(makeString(tail.data));
	return write;
}

/* Columns of the table, separated by commas; with their names, what a row of
 * VALUES gives them: v1, ... */
static void
list_columns(const TessTable *table, const List *columns, char **names,
			 char **values)
{
	StringInfoData name_list;
	StringInfoData value_list;
	ListCell *cell;

	initStringInfo(&name_list);
	initStringInfo(&value_list);
	foreach(cell, columns)
	{
		int i = foreach_current_index(cell);
		const char *separator = i == 0 ? "" : ", ";

		appendStringInfo(&name_list, "%s%s", separator,
						 column_name(table, lfirst_int(cell)));
		appendStringInfo(&value_list, "%sv%d", separator, i + 1);
	}
	*names = name_list.data;
	*values = value_list.data;
}

/* Columns that an INSERT returns for somebody to read them by their names. */
static char *
returned_columns(const TessTable *table, const TessRowKey *key,
				 const TessColumns *columns)
{
	List *attnos = list_copy(key->columns);
	StringInfoData text;
	ListCell *cell;

	foreach(cell, columns->node_tlist)
		attnos = list_append_unique_int(attnos,
										((Var *) lfirst_node(TargetEntry, cell)->expr)
											->varattno);
	initStringInfo(&text);
	foreach(cell, attnos)
		appendStringInfo(&text, "%st.%s",
						 foreach_current_index(cell) == 0 ? "" : ", ",
						 column_name(table, lfirst_int(cell)));
	return text.data;
}

/*
 * WITH v (n, v1, ...) AS (VALUES ...), i AS (INSERT ... SELECT ... FROM v ON
 * CONFLICT ... DO NOTHING RETURNING ...) SELECT i.a, ..., v.n FROM i, v WHERE i.a =
 * v.v1 ...: inserts the rows of insert that conflict with none, and says which.
 * No two of them are equal in the key, and none has a NULL there.
 */
TessWrite *
tess_write_insert_new(const TessTable *table, const TessWrite *insert,
					  const TessRowKey *key, const TessColumns *columns)
{
	TessWrite *write = tess_write_make(CMD_SELECT);
	StringInfoData conflict;
	StringInfoData tail;
	List *names = NIL;
	char *column_names;
	char *values;
	ListCell *cell;

	write->returns = true;
	add_values(write, table, insert->columns, insert->positions);
	list_columns(table, insert->columns, &column_names, &values);
	initStringInfo(&conflict);
	foreach(cell, key->columns)
	{
		AttrNumber attno = lfirst_int(cell);

		for (int i = 0; i < list_length(insert->columns); i++)
			if (list_nth_int(insert->columns, i) == attno)
				names = lappend(names, psprintf("v%d", i + 1));
		appendStringInfo(&conflict, "%s%s",
						 foreach_current_index(cell) == 0 ? "" : ", ",
						 column_name(table, attno));
	}

	initStringInfo(&tail);
	appendStringInfo(&tail,
					 " AS t (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM v ON CONFLICT (%s) DO NOTHING RETURNING %s) SELECT %s FROM i, v WHERE ",
					 column_names, values, conflict.data,
					 returned_columns(table, key, columns),
					 numbered_columns(table, columns, "i"));
	append_equalities(&tail, table, key, "i", names);
	write->head = list_make1(
		makeString(psprintf("WITH v (n, %s) AS (VALUES ", values)));
	write->tail = name_template("), i AS (INSERT INTO ", table, tail.data);
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
 * are assigned to.  Where old_positions are, the child has the old values of
 * tess_referenced_columns().
 */
List *
tess_write_move(const TessTable *table, const TessAssigned *assigned,
				List *old_positions, const TessColumns *returning)
{
	TessWrite *gone = write_moved(table);
	TessWrite *changed = tess_write_update(table, assigned->columns,
										   assigned->positions, returning);
	TessWrite *put = tess_write_insert(table, assigned->all_columns,
									   assigned->all_positions, returning);

	gone->key_position = put->key_position;
	gone->hidden_from = put->hidden_from = tess_moves_are_hidden_from(table);
	changed->rows = TESS_WRITE_STAYING;
	changed->key_position = put->key_position;
	put->rows = TESS_WRITE_MOVING;
	put->old_columns = tess_referenced_columns(table);
	put->old_positions = old_positions;
	return list_make3(gone, changed, put);
}
