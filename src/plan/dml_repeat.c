/*
 * dml_repeat.c - changes of a reference table that only this server can
 * compute: PostgreSQL's own plan of the statement changes this server's copy,
 * and every row it has changed is repeated on the other copies.
 *
 * Rows are found there by key, since ctids differ between copies: by a unique
 * index whose columns are never NULL, and which no row may break in between.
 * Without one, by all that they are, which reads the table for each row.
 */
#include "postgres.h"

#include "access/relation.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planmain.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "net/net.h"
#include "plan/plan_internal.h"

/* What a statement does to rows. */
typedef struct Changes
{
	bool inserts;
	bool updates;
	bool deletes;
	List *assigned; /* int list: columns that updates set */
} Changes;

static void
add_assigned(Changes *changes, List *target_list)
{
	ListCell *cell;

	changes->updates = true;
	foreach(cell, target_list)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (!tle->resjunk)
			changes->assigned = list_append_unique_int(changes->assigned,
													   tle->resno);
	}
}

static void
add_command(Changes *changes, CmdType command, List *target_list)
{
	if (command == CMD_INSERT)
		changes->inserts = true;
	else if (command == CMD_DELETE)
		changes->deletes = true;
	else if (command == CMD_UPDATE)
		add_assigned(changes, target_list);
}

/* All columns that have values of their own. */
static List *
columns_of(Oid relation)
{
	Relation rel = relation_open(relation, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	List *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			!TupleDescAttr(desc, i)->attgenerated)
			columns = lappend_int(columns, i + 1);
	relation_close(rel, NoLock);
	return columns;
}

static Changes
changes_of(Query *parse, const TessTable *table)
{
	Changes changes = {false};
	ListCell *cell;

	add_command(&changes, parse->commandType, parse->targetList);
	if (parse->onConflict != NULL &&
		parse->onConflict->action == ONCONFLICT_UPDATE)
		add_assigned(&changes, parse->onConflict->onConflictSet);
	foreach(cell, parse->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		add_command(&changes, action->commandType, action->targetList);
	}
	/* SET generated = DEFAULT */
	if (changes.updates && changes.assigned == NIL)
		changes.assigned = list_make1_int(tess_column_to_name(table, 1)->varattno);
	/* triggers may set others */
	if (changes.updates && table->alters_updates)
		changes.assigned = columns_of(table->relation);
	return changes;
}

static const char *
column_name(Oid relation, int attno)
{
	return quote_identifier(get_attname(relation, attno, false));
}

/* The parameter that has the new value of a column. */
static int
value_param(const TessModifySpec *spec, int attno)
{
	int param = list_length(spec->key_columns);
	ListCell *cell;

	foreach(cell, spec->value_columns)
	{
		param++;
		if (lfirst_int(cell) == attno)
			return param;
	}
	elog(ERROR, "column %d is not among those that are repeated", attno);
}

/* key = $1 AND ... */
static void
append_key(StringInfo text, const TessTable *table, const TessRowKey *key)
{
	ListCell *cell;

	foreach(cell, key->columns)
	{
		int i = foreach_current_index(cell);

		appendStringInfo(text, "%s%s", i == 0 ? "" : " AND ",
						 column_name(table->relation, lfirst_int(cell)));
		tess_row_key_append_operator(text, key, i);
		appendStringInfo(text, "$%d", i + 1);
	}
}

/*
 * One of the rows that are alike as a whole: whichever it is, the copies have
 * the same rows afterwards.  As text, since not all types can be compared.
 */
static void
append_any_alike(StringInfo text, const TessTable *table,
				 const TessRowKey *columns)
{
	ListCell *cell;

	appendStringInfo(text, "ctid = (SELECT ctid FROM ONLY %s",
					 tess_quote_qualified(table->schema, table->name));
	foreach(cell, columns->columns)
	{
		int i = foreach_current_index(cell);
		const char *cast = tess_type_text_cast(
			get_atttype(table->relation, lfirst_int(cell)));

		appendStringInfo(text,
						 "%s%s%s::pg_catalog.text IS NOT DISTINCT FROM $%d%s::pg_catalog.text",
						 i == 0 ? " WHERE " : " AND ",
						 column_name(table->relation, lfirst_int(cell)), cast,
						 i + 1, cast);
	}
	appendStringInfoString(text, " LIMIT 1)");
}

static void
append_condition(StringInfo text, const TessTable *table, const TessRowKey *key)
{
	appendStringInfoString(text, " WHERE ");
	if (key->operators != NIL)
		append_key(text, table, key);
	else
		append_any_alike(text, table, key);
}

/* INSERT INTO table (a, ...) OVERRIDING SYSTEM VALUE VALUES ($n, ...) */
static char *
insert_statement(const TessTable *table, const TessModifySpec *spec)
{
	StringInfoData names;
	StringInfoData values;
	ListCell *cell;

	initStringInfo(&names);
	initStringInfo(&values);
	foreach(cell, spec->value_columns)
	{
		const char *separator = foreach_current_index(cell) == 0 ? "" : ", ";

		appendStringInfo(&names, "%s%s", separator,
						 column_name(table->relation, lfirst_int(cell)));
		appendStringInfo(&values, "%s$%d", separator,
						 value_param(spec, lfirst_int(cell)));
	}
	return psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)",
					tess_quote_qualified(table->schema, table->name),
					names.data, values.data);
}

static char *
update_statement(const TessTable *table, const TessModifySpec *spec,
				 const TessRowKey *key, const List *assigned)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfo(&text, "UPDATE ONLY %s",
					 tess_quote_qualified(table->schema, table->name));
	foreach(cell, assigned)
		appendStringInfo(&text, "%s%s = $%d",
						 foreach_current_index(cell) == 0 ? " SET " : ", ",
						 column_name(table->relation, lfirst_int(cell)),
						 value_param(spec, lfirst_int(cell)));
	append_condition(&text, table, key);
	return text.data;
}

static char *
delete_statement(const TessTable *table, const TessRowKey *key)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "DELETE FROM ONLY %s",
					 tess_quote_qualified(table->schema, table->name));
	append_condition(&text, table, key);
	return text.data;
}

static void
add_write(TessModifySpec *spec, CmdType command, char *statement)
{
	TessWrite *write = tess_write_make(command);

	write->head = list_make1(makeString(statement));
	spec->writes = lappend(spec->writes, write);
}

/* What a row of the repetition consists of, and the statements for one. */
static TessModifySpec *
make_spec(Query *parse, const TessTable *table, const Changes *changes,
		  const TessRowKey *key)
{
	TessModifySpec *spec = tess_modify_spec_make();

	spec->has_returning = parse->returningList != NIL;
	spec->key_columns = key->columns;
	spec->value_columns = changes->inserts ? columns_of(table->relation)
										   : changes->assigned;
	if (changes->inserts)
		add_write(spec, CMD_INSERT, insert_statement(table, spec));
	if (changes->updates)
		add_write(spec, CMD_UPDATE,
				  update_statement(table, spec, key, changes->assigned));
	if (changes->deletes)
		add_write(spec, CMD_DELETE, delete_statement(table, key));
	return spec;
}

/* The child's rows as they are: RETURNING is computed by its ModifyTable. */
static void
pass_rows(CustomScan *scan, Plan *child)
{
	ListCell *cell;

	foreach(cell, child->targetlist)
	{
		TargetEntry *below = lfirst_node(TargetEntry, cell);
		TargetEntry *entry = flatCopyTargetEntry(below);
		Var *var = makeVarFromTargetEntry(OUTER_VAR, below);

		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry((Expr *) var,
														  below->resno, NULL,
														  false));
		entry->expr = (Expr *) makeVarFromTargetEntry(INDEX_VAR, below);
		scan->scan.plan.targetlist = lappend(scan->scan.plan.targetlist, entry);
	}
}

/* Puts the node that repeats on top of the plan of the statement. */
static void
add_top(PlannedStmt *stmt, TessFragment *fragment)
{
	Plan *child = stmt->planTree;
	CustomScan *scan = tess_scan_make(TESS_REPEAT_METHODS, fragment, NIL, NIL,
									  NIL);
	Plan *plan = &scan->scan.plan;

	pass_rows(scan, child);
	plan->lefttree = child;
	plan->plan_node_id = -1;
	plan->startup_cost += child->startup_cost;
	plan->total_cost += child->total_cost;
	plan->plan_rows = child->plan_rows;
	plan->plan_width = child->plan_width;
	plan->extParam = bms_copy(child->extParam);
	plan->allParam = bms_copy(child->allParam);
	stmt->planTree = plan;
}

/* What is to be repeated. */
static TessFragment *
make_fragment(TessJob *job)
{
	Query *parse = job->parse;
	const TessTable *table = job->survey->target;
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);
	Changes changes = changes_of(parse, table);
	TessRowKey key = {NIL};
	TessFragment *fragment = tess_fragment_make();

	if (changes.updates || changes.deletes)
	{
		key = tess_row_key_find(table->relation);
		if (key.columns == NIL)
			key.columns = columns_of(table->relation);
	}

	fragment->command = parse->commandType;
	fragment->target = TESS_TO_ALL_COPIES;
	fragment->anchor = table->relation;
	fragment->changed = list_make1_oid(table->relation);
	fragment->relations = list_make1_oid(table->relation);
	fragment->role = rte->checkAsUser;
	fragment->modify = make_spec(parse, table, &changes, &key);
	return fragment;
}

/* Plans a change of a reference table that is computed here and repeated by
 * row; always possible. */
PlannedStmt *
tess_plan_repeat(TessJob *job)
{
	TessFragment *fragment = make_fragment(job);
	PlannedStmt *stmt = tess_plan_rest(job, copyObject(job->parse));

	add_top(stmt, fragment);
	return stmt;
}

/* Marks such a change in WITH, so that the planner puts the node on top of
 * core's plan for it (change.c). */
void
tess_repeat_mark(TessJob *job)
{
	job->parse->utilityStmt = (Node *) list_make1(make_fragment(job));
}
