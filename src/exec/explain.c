/*
 * explain.c - what EXPLAIN says about a scan of nodes: what it does, where it
 * goes, what is sent, and what came back.
 *
 * The same properties in all formats; those that are of interest for whoever
 * reads a plan's numbers by program are there always, and in text where they
 * say something.  Plans of nodes are remote_plan.c's.
 */
#include "postgres.h"

#include "base/base.h"
#include "commands/explain.h"
#include "exec/exec_internal.h"
#include "nodes/makefuncs.h"
#include "route/route.h"
#include "utils/builtins.h"
#include "utils/ruleutils.h"

/* A template as text, with slots shown as the schema of a shard; without a
 * shard, as the source schema. */
static char *
template_text(const List *template, const TessShard *shard)
{
	StringInfoData text;
	ListCell *cell;

	if (shard != NULL)
		return tess_template_sql(template, shard->shard_id);

	initStringInfo(&text);
	foreach(cell, template)
	{
		Node *piece = lfirst(cell);

		if (IsA(piece, String))
			appendStringInfoString(&text, strVal(piece));
		else
			appendStringInfoString(&text, quote_identifier(
											  strVal(linitial((List *) piece))));
	}
	return text.data;
}

/*
 * Core's deparser breaks lines, which EXPLAIN would not indent.  Line breaks
 * and what follows them become one space, but for those inside of quotes: both
 * kinds of quotes are doubled where they are meant.
 */
static char *
one_line(const char *sql)
{
	StringInfoData line;
	char quote = '\0';

	initStringInfo(&line);
	sql += strspn(sql, " \n");
	while (*sql != '\0')
	{
		if (quote == '\0' && *sql == '\n')
		{
			sql += strspn(sql, " \n");
			appendStringInfoChar(&line, ' ');
			continue;
		}
		if (*sql == quote)
			quote = '\0';
		else if (quote == '\0' && (*sql == '\'' || *sql == '"'))
			quote = *sql;
		appendStringInfoChar(&line, *sql++);
	}
	return line.data;
}

/* Names of the nodes that hold the shards, in the order of the shards. */
static List *
node_names(const TessGroup *group, const Bitmapset *shards)
{
	List *seen = NIL;
	List *names = NIL;
	int i = -1;

	while ((i = bms_next_member(shards, i)) >= 0)
	{
		const TessShard *shard = &group->shards[i];

		if (shard->node_count == 0 || list_member_int(seen, shard->node_ids[0]))
			continue;
		seen = lappend_int(seen, shard->node_ids[0]);
		names = lappend(names, tess_meta_node(shard->node_ids[0])->name);
	}
	return names;
}

static void
explain_shards(const TessGroup *group, const Bitmapset *shards, bool known,
			   ExplainState *es)
{
	int count = bms_num_members(shards);

	if (es->format != EXPLAIN_FORMAT_TEXT)
	{
		if (known)
			ExplainPropertyInteger("Shards", NULL, count, es);
		ExplainPropertyInteger("Shards of Group", NULL, group->shard_count, es);
	}
	else if (known)
		ExplainPropertyText("Shards",
							psprintf("%d of %d", count, group->shard_count), es);
	else
		ExplainPropertyText("Shards",
							psprintf("determined at execution, of %d",
									 group->shard_count),
							es);
	if (known && count > 0)
		ExplainPropertyList("Nodes", node_names(group, shards), es);
}

static void
explain_copies(ExplainState *es)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, tess_meta_remote_nodes())
		names = lappend(names, ((const TessNode *) lfirst(cell))->name);
	ExplainPropertyText("Copies", "all", es);
	if (names != NIL)
		ExplainPropertyList("Nodes", names, es);
}

static void
explain_sql(const TessFragment *fragment, const TessShard *shard,
			ExplainState *es)
{
	List *texts = NIL;
	ListCell *cell;

	if (fragment->template != NIL)
	{
		char *sql = template_text(fragment->template, shard);

		/* as for one shard */
		if (fragment->frame != NIL)
			sql = psprintf("%s%s%s%s", strVal(linitial(fragment->frame)), sql,
						   fragment->is_fenced ? " OFFSET 0" : "",
						   strVal(lsecond(fragment->frame)));
		ExplainPropertyText("Remote SQL", one_line(sql), es);
		return;
	}
	foreach(cell, fragment->modify->writes)
	{
		const TessWrite *write = lfirst(cell);
		char *sql = template_text(write->head, shard);

		if (write->tail != NIL)
			sql = psprintf("%s...%s", sql, template_text(write->tail, shard));
		texts = lappend(texts, one_line(sql));
	}
	if (list_length(texts) == 1)
		ExplainPropertyText("Remote SQL", linitial(texts), es);
	else
		ExplainPropertyList("Remote SQL", texts, es);
}

/* As PostgreSQL's words for a ModifyTable or a ForeignScan. */
static void
explain_operation(CmdType command, ExplainState *es)
{
	const char *operation = NULL;

	switch (command)
	{
		case CMD_SELECT:
			if (es->format == EXPLAIN_FORMAT_TEXT)
				return;
			operation = "Select";
			break;
		case CMD_INSERT:
			operation = "Insert";
			break;
		case CMD_UPDATE:
			operation = "Update";
			break;
		case CMD_DELETE:
			operation = "Delete";
			break;
		case CMD_MERGE:
			operation = "Merge";
			break;
		default:
			elog(ERROR, "unexpected command of a fragment: %d", command);
	}
	ExplainPropertyText("Operation", operation, es);
}

/* By what the streams of the nodes are merged, as for a Merge Append. */
static void
explain_sort_key(CustomScanState *node, List *ancestors,
				 const TessFragment *fragment, ExplainState *es)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List *context;
	List *keys = NIL;

	if (fragment->sort_columns == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, &scan->scan.plan,
									   ancestors);
	for (int i = 0; i < list_length(fragment->sort_columns); i++)
	{
		int column = tess_merge_scan_column(fragment,
											list_nth_int(fragment->sort_columns,
														 i));
		TargetEntry *tle = list_nth(scan->custom_scan_tlist, column);
		Var *var = makeVarFromTargetEntry(INDEX_VAR, tle);
		bool descending = tess_merge_is_descending(
			list_nth_oid(fragment->sort_operators, i));
		bool nulls_first = list_nth_int(fragment->sort_nulls_first, i);
		char *key = deparse_expression((Node *) var, context,
									   list_length(es->rtable) > 1 || es->verbose,
									   true);
		const char *nulls = "";

		/* said where it is not what the direction implies */
		if (nulls_first != descending)
			nulls = nulls_first ? " NULLS FIRST" : " NULLS LAST";
		keys = lappend(keys, psprintf("%s%s%s", key, descending ? " DESC" : "",
									  nulls));
	}
	ExplainPropertyList("Sort Key", keys, es);
}

static void
explain_figures(const TessScanFigures *figures, ExplainState *es)
{
	ExplainPropertyInteger("Rows Received", NULL, figures->rows, es);
	ExplainPropertyInteger("Bytes Received", NULL, figures->bytes, es);
	if (!es->timing)
		return;
	ExplainPropertyFloat("Remote Time", "ms",
						 INSTR_TIME_GET_MILLISEC(figures->remote_time), 3, es);
	ExplainPropertyFloat("Waiting Time", "ms",
						 INSTR_TIME_GET_MILLISEC(figures->waiting_time), 3, es);
}

/*
 * All of it.  Without a run, shards are estimated from what is constant.  With
 * VERBOSE, nodes may be asked for their plans.
 */
void
tess_explain_fragment(CustomScanState *node, List *ancestors,
					  const TessExplained *what, ExplainState *es)
{
	const TessFragment *fragment = what->fragment;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	const TessTable *table = tess_meta_table(fragment->anchor);
	const TessGroup *group = table ? table->group : NULL;
	const Bitmapset *shards = what->shards;
	bool known = what->figures.executed;
	List *tables = NIL;
	ListCell *cell;

	explain_operation(fragment->command, es);
	if (fragment->modify != NULL && fragment->modify->resolves_conflicts)
		ExplainPropertyText("Conflict Resolution", "UPDATE", es);
	explain_sort_key(node, ancestors, fragment, es);
	if (group != NULL && !known && fragment->modify == NULL)
		shards = tess_prune_estimate(fragment->has_prune
										 ? llast(scan->custom_exprs)
										 : NULL,
									 node->ss.ps.state->es_param_list_info,
									 group, &known);
	if (group != NULL && (known || fragment->modify == NULL))
		explain_shards(group, shards, known, es);
	else if (group == NULL)
		explain_copies(es);
	foreach(cell, fragment->relations)
		tables = lappend(tables, tess_relation_qualified_name(lfirst_oid(cell)));
	if (tables != NIL)
		ExplainPropertyList("Tables", tables, es);

	if (es->verbose)
	{
		int i = known ? bms_next_member(shards, -1) : -1;

		explain_sql(fragment,
					group != NULL && i >= 0 ? &group->shards[i] : NULL, es);
	}
	if (es->analyze && what->figures.executed)
		explain_figures(&what->figures, es);
	if (es->verbose && fragment->modify == NULL)
		tess_remote_plans_show(node, what, group, shards, es);
}

/* What is said of rows that are shipped.  figures: NULL if none were. */
void
tess_explain_cargo(const TessFragment *fragment,
				   const TessCargoFigures *figures, ExplainState *es)
{
	const char *join = fragment->shipped_join == JOIN_INNER	 ? "Inner"
					   : fragment->shipped_join == JOIN_LEFT ? "Left"
					   : fragment->shipped_join == JOIN_SEMI ? "Semi"
															 : "Anti";

	ExplainPropertyText("Join on Nodes", join, es);
	ExplainPropertyText("Shipped To",
						fragment->shipped_key >= 0 ? "Shards by Key"
												   : "All Nodes",
						es);
	ExplainPropertyInteger("Columns Shipped", NULL,
						   list_length(fragment->shipped), es);
	if (!es->analyze || figures == NULL)
		return;
	ExplainPropertyInteger("Rows Shipped", NULL, figures->rows, es);
	if (figures->loads > 1)
		ExplainPropertyInteger("Loads", NULL, figures->loads, es);
}
