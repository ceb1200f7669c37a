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

/* COMMENT ON TABLE and ON COLUMN. */
void
tess_comment_repeat(const CommentStmt *comment)
{
	List *name;
	char *column = NULL;
	const TessTable *table;
	TessWork *work;

	if (comment->objtype != OBJECT_TABLE && comment->objtype != OBJECT_COLUMN)
		return;
	name = list_copy(castNode(List, comment->object));
	if (comment->objtype == OBJECT_COLUMN)
	{
		column = strVal(llast(name));
		name = list_truncate(name, list_length(name) - 1);
	}
	table = name == NIL ? NULL
						: tess_command_table(makeRangeVarFromNameList(name));
	if (table == NULL)
		return;
	work = tess_work_of_table(table);
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];
		ListCell *lc;

		foreach(lc, tess_work_names(node, table))
			node->commands = lappend(node->commands,
									 psprintf("COMMENT ON %s %s%s%s IS %s",
											  column ? "COLUMN" : "TABLE",
											  (char *) lfirst(lc),
											  column ? "." : "",
											  column ? quote_identifier(column)
													 : "",
											  comment->comment
												  ? quote_literal_cstr(
														comment->comment)
												  : "NULL"));
	}
	tess_work_run(work);
}
