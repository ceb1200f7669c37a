/*
 * dml_repeat.c - UPDATE and DELETE of a reference table that only this server
 * can compute: PostgreSQL's own plan of the statement changes this server's
 * copy, and every row it has changed is repeated on the other copies.
 *
 * Rows are found there by key: ctids differ between copies.  So nothing is
 * asked of the statement; what is needed is a unique index whose columns are
 * never NULL, and which no row may break in between.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planmain.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "plan/plan_internal.h"

/* Columns of an index that tell rows apart, and how they are compared. */
typedef struct RowKey
{
	List *columns;	 /* int list; NIL: none found */
	List *operators; /* OID list: equality of each */
	bool is_primary;
} RowKey;

/* True if no two rows can ever agree in the index, and no row is missing. */
static bool
tells_rows_apart(Relation rel, Relation index)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid ||
		RelationGetIndexPredicate(index) != NIL)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber attno = form->indkey.values[i];
		Form_pg_attribute att;

		if (attno <= 0)
			return false;
		att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
		if (!att->attnotnull || att->attcollation != index->rd_indcollation[i])
			return false;
	}
	return true;
}

static void
use_index(RowKey *key, Relation index)
{
	key->columns = NIL;
	key->operators = NIL;
	key->is_primary = index->rd_index->indisprimary;
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		Oid type = index->rd_opcintype[i];

		key->columns = lappend_int(key->columns,
								   index->rd_index->indkey.values[i]);
		key->operators = lappend_oid(key->operators,
									 get_opfamily_member(index->rd_opfamily[i],
														 type, type,
														 BTEqualStrategyNumber));
	}
}

/* The primary key, or another index that will do. */
static RowKey
choose_key(Oid relation)
{
	Relation rel = relation_open(relation, NoLock);
	RowKey key = {NIL};
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (tells_rows_apart(rel, index) &&
			(key.columns == NIL || index->rd_index->indisprimary))
			use_index(&key, index);
		index_close(index, NoLock);
		if (key.is_primary)
			break;
	}
	relation_close(rel, NoLock);
	return key;
}

/* See plan_internal.h. */
bool
tess_can_repeat(const TessTable *table)
{
	return choose_key(table->relation).columns != NIL;
}

/* Equality as it is written for any search_path. */
static void
append_operator(StringInfo text, Oid oid)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(oid));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", oid);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(text, " OPERATOR(%s.%s) ",
					 quote_identifier(get_namespace_name(form->oprnamespace)),
					 NameStr(form->oprname));
	ReleaseSysCache(tuple);
}

static const char *
column_name(Oid relation, int attno)
{
	return quote_identifier(get_attname(relation, attno, false));
}

/* What changes one row of a copy: its old key is $1 ..., the new values of
 * columns follow. */
static char *
row_statement(const TessTable *table, const RowKey *key, const TessWrite *write)
{
	const char *name = tess_quote_qualified(table->schema, table->name);
	int param = list_length(key->columns);
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfo(&text,
					 write->command == CMD_DELETE ? "DELETE FROM ONLY %s"
												  : "UPDATE ONLY %s",
					 name);
	foreach(cell, write->columns)
		appendStringInfo(&text, "%s%s = $%d",
						 foreach_current_index(cell) == 0 ? " SET " : ", ",
						 column_name(table->relation, lfirst_int(cell)), ++param);
	foreach(cell, key->columns)
	{
		int i = foreach_current_index(cell);

		appendStringInfo(&text, "%s%s", i == 0 ? " WHERE " : " AND ",
						 column_name(table->relation, lfirst_int(cell)));
		append_operator(&text, list_nth_oid(key->operators, i));
		appendStringInfo(&text, "$%d", i + 1);
	}
	return text.data;
}

/* What a row of the repetition consists of. */
static TessModifySpec *
make_spec(Query *parse, Oid relation, const RowKey *key)
{
	TessModifySpec *spec = tess_modify_spec_make();
	TessWrite *write = tess_write_make(parse->commandType);
	ListCell *cell;

	if (parse->commandType == CMD_UPDATE)
		foreach(cell, parse->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, cell);

			if (!tle->resjunk)
				write->columns = lappend_int(write->columns, tle->resno);
		}
	foreach(cell, list_concat_copy(key->columns, write->columns))
		write->row_types = lappend_oid(write->row_types,
									   get_atttype(relation, lfirst_int(cell)));
	spec->key_columns = key->columns;
	spec->has_returning = parse->returningList != NIL;
	spec->writes = list_make1(write);
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

/* What is to be repeated; an error is raised if that is not possible. */
static TessFragment *
make_fragment(TessJob *job)
{
	Query *parse = job->parse;
	const TessTable *table = job->survey->target;
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);
	RowKey key = choose_key(table->relation);
	TessFragment *fragment = tess_fragment_make();

	if (key.columns == NIL)
		tess_refuse_target(job,
						   "Create a unique index on columns that are NOT NULL, so that its rows can be found in every copy.");

	fragment->command = parse->commandType;
	fragment->target = TESS_TO_ALL_COPIES;
	fragment->anchor = fragment->changed = table->relation;
	fragment->relations = list_make1_oid(table->relation);
	fragment->role = rte->checkAsUser;
	fragment->modify = make_spec(parse, table->relation, &key);
	fragment->template = list_make1(makeString(
		row_statement(table, &key, linitial(fragment->modify->writes))));
	return fragment;
}

/* Plans a change of a reference table that is computed here and repeated by
 * row; always possible, or an error is raised. */
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
