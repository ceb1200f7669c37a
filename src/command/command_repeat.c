/*
 * command_repeat.c - statements that PostgreSQL has done to a shell are done
 * to the shards and copies: how their names are put together, node by node,
 * and COMMENT, which is nothing else.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "deparse/deparse.h"

/* The names of one node. */
typedef struct NodeNames
{
	int32 node_id;
	StringInfoData text;
} NodeNames;

/* "a, b, c" of quoted names.  Palloc'd. */
char *
tess_names_join(List *names)
{
	StringInfoData text;
	ListCell *lc;

	initStringInfo(&text);
	foreach(lc, names)
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 (char *) lfirst(lc));
	return text.data;
}

static NodeNames *
names_of_node(List **all, int32 node_id)
{
	NodeNames *node;
	ListCell *lc;

	foreach(lc, *all)
	{
		node = lfirst(lc);
		if (node->node_id == node_id)
			return node;
	}
	node = palloc(sizeof(NodeNames));
	node->node_id = node_id;
	initStringInfo(&node->text);
	*all = lappend(*all, node);
	return node;
}

/* Adds the table's names on a node, each with the suffix, to *all (NIL at
 * first). */
void
tess_names_add(List **all, const TessNodeWork *node, const TessTable *table,
			   const char *suffix)
{
	NodeNames *names = names_of_node(all, node->node_id);
	ListCell *lc;

	foreach(lc, tess_work_names(node, table))
		appendStringInfo(&names->text, "%s%s%s", names->text.len > 0 ? ", " : "",
						 (char *) lfirst(lc), suffix);
}

/* For each node: the head, and the names that were added.  NULL for none. */
TessWork *
tess_names_work(List *all, const char *head)
{
	List *nodes = NIL;
	TessWork *work;
	ListCell *lc;

	if (all == NIL)
		return NULL;
	foreach(lc, all)
	{
		const TessNode *node = tess_meta_node(((NodeNames *) lfirst(lc))->node_id);

		nodes = lappend(nodes, unconstify(TessNode *, node));
	}
	work = tess_work_of_nodes(nodes);
	foreach(lc, all)
		work->nodes[foreach_current_index(lc)].commands = list_make1(
			psprintf("%s %s", head, ((NodeNames *) lfirst(lc))->text.data));
	return work;
}

/* "head schema.object tail", for tess_work_add_templates. */
List *
tess_repeat_template(const TessTable *table, const char *head,
					 const char *object, const char *tail)
{
	if (table->kind == TESS_REFERENCE)
		return list_make1(makeString(
			psprintf("%s%s%s", head,
					 tess_quote_qualified(table->schema, object), tail)));
	return list_make3(makeString(pstrdup(head)),
					  list_make1(makeString(pstrdup(table->schema))),
					  makeString(
						  psprintf(".%s%s", quote_identifier(object), tail)));
}

/* What the table needs on other servers, roles too.  This one has it. */
void
tess_repeat_needed_objects(TessWork *work, Oid relation)
{
	List *objects = tess_ddl_needed_objects(relation);

	for (int i = 0; i < work->count; i++)
	{
		if (!work->nodes[i].is_local)
			work->nodes[i].commands = list_concat(work->nodes[i].commands,
												  objects);
	}
}

/* The name but for its last part, which becomes *last. */
static RangeVar *
name_before(List *name, char **last)
{
	*last = strVal(llast(name));
	if (list_length(name) < 2)
		return NULL;
	return makeRangeVarFromNameList(
		list_truncate(list_copy(name), list_length(name) - 1));
}

/* COMMENT ON TABLE, COLUMN, CONSTRAINT, INDEX, TRIGGER and STATISTICS.  Others are not for
 * the shards. */
void
tess_comment_repeat(const CommentStmt *comment)
{
	char *tail = psprintf(" IS %s", comment->comment
										? quote_literal_cstr(comment->comment)
										: "NULL");
	const TessTable *table = NULL;
	List *template = NIL;
	List *name;
	char *part;
	TessWork *work;

	switch (comment->objtype)
	{
		case OBJECT_TABLE:
		case OBJECT_INDEX:
			name = castNode(List, comment->object);
			table = tess_command_table(makeRangeVarFromNameList(name));
			if (table != NULL)
				template = tess_repeat_template(table,
												comment->objtype == OBJECT_TABLE
													? "COMMENT ON TABLE "
													: "COMMENT ON INDEX ",
												strVal(llast(name)), tail);
			break;
		case OBJECT_COLUMN:
			table = tess_command_table(
				name_before(castNode(List, comment->object), &part));
			if (table != NULL)
				template = tess_repeat_template(table, "COMMENT ON COLUMN ",
												table->name,
												psprintf(".%s%s",
														 quote_identifier(part),
														 tail));
			break;
		case OBJECT_TABCONSTRAINT:
			table = tess_command_table(
				name_before(castNode(List, comment->object), &part));
			if (table != NULL)
				template = tess_repeat_template(table,
												psprintf("COMMENT ON CONSTRAINT %s ON ",
														 quote_identifier(part)),
												table->name, tail);
			break;
		case OBJECT_TRIGGER:
			table = tess_command_table(
				name_before(castNode(List, comment->object), &part));
			if (table != NULL && tess_trigger_is_in_shards(table, part))
				template = tess_repeat_template(table,
												psprintf("COMMENT ON TRIGGER %s ON ",
														 quote_identifier(part)),
												table->name, tail);
			break;
		case OBJECT_STATISTIC_EXT:
			work = tess_stats_work(castNode(List, comment->object),
								   "COMMENT ON STATISTICS ", tail);
			if (work != NULL)
				tess_work_run(work);
			return;
		default:
			return;
	}
	if (template == NIL)
		return;
	work = tess_work_of_table(table);
	tess_work_add_templates(work, list_make1(template));
	tess_work_run(work);
}
