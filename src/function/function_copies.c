/*
 * function_copies.c - a function stands in each shard of its group, under its
 * own name.
 *
 * A copy is the function's definition with the shard's schema in the place of its
 * own, and two settings more: the search_path by which its body finds the shard's
 * tables, and what the shard is (meta/shard_call.c).  So a session of a node that
 * goes from shard to shard keeps the plans of each.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "deparse/deparse.h"
#include "function/function_internal.h"
#include "meta/meta.h"
#include "objects/objects.h"
#include "table/table.h"
#include "task/task.h"

void
tess_function_lock(int32 colocation_id)
{
	if (colocation_id != 0)
		tess_cat_group_lock(colocation_id, ShareLock);
	LockRelationOid(tess_catalog_relation_oid("function"), ShareRowExclusiveLock);
}

/* Tables of the group that are there: this statement may have dropped others. */
static List *
tables_of(const TessFunctionRow *row)
{
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, tess_cat_tables_of_group(row->colocation_id))
	{
		const TessTable *table = tess_meta_table(lfirst_oid(cell));

		if (table != NULL)
			tables = lappend(tables, unconstify(TessTable *, table));
	}
	return tables;
}

/* What a copy is told ---------------------------------------------------------- */

/* Reference tables with row security, which nodes' copies do not have. */
static List *
secured_references(void)
{
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, tess_cat_tables())
	{
		const TessTableRow *row = lfirst(cell);
		TessSecurity security = tess_meta_security(row->relation);
		TessCallTable *entry;

		if (row->kind != TESS_REFERENCE || security == TESS_NO_SECURITY)
			continue;
		entry = palloc0(sizeof(TessCallTable));
		entry->schema = get_namespace_name(get_rel_namespace(row->relation));
		entry->name = get_rel_name(row->relation);
		entry->key_column = "";
		entry->security = security;
		tables = lappend(tables, entry);
	}
	return tables;
}

static List *
call_tables(const TessFunctionRow *row, int64 shard_id)
{
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, tables_of(row))
	{
		const TessTable *table = lfirst(cell);
		TessCallTable *entry = palloc(sizeof(TessCallTable));

		entry->schema = tess_shard_schema_name(table->schema, shard_id);
		entry->name = table->name;
		entry->key_column = get_attname(table->relation, table->key_attnum,
										false);
		entry->missing_defaults = tess_ddl_missing_defaults(table->relation);
		entry->security = tess_meta_security(table->relation);
		entry->statement_events = table->statement_events;
		tables = lappend(tables, entry);
	}
	return list_concat(tables, secured_references());
}

/* Of the definition, and of what copies are told of the group's tables. */
static char *
digest(const TessFunctionRow *row, const TessObject *object)
{
	TessShardCall call = {0};
	char *text;

	if (row->colocation_id == 0)
		return object->row.digest;
	call.tables = call_tables(row, 0);
	text = tess_shard_call_write(&call);
	return psprintf("%s " UINT64_FORMAT, object->row.digest,
					hash_bytes_extended((const unsigned char *) text,
										strlen(text), 0));
}

void
tess_function_describe(TessFunctionRow *row)
{
	TessObject *object = tess_object_identify(ProcedureRelationId, row->function);
	const char *schema;

	if (object == NULL)
		elog(ERROR, "function %u cannot be described", row->function);
	tess_object_define(object);
	row->schema = get_namespace_name(get_func_namespace(row->function));
	schema = quote_identifier(row->schema);
	/* the identity is "schema.signature" */
	row->signature = object->row.identity + strlen(schema) + 1;
	row->digest = digest(row, object);
}

static char *
write_shard(const TessGroup *group, const TessShard *shard, List *tables)
{
	TessShardCall call = {shard->shard_id, tables};

	call.ranges = palloc(group->range_count * sizeof(TessRange));
	for (int i = 0; i < group->range_count; i++)
	{
		if (group->ranges[i].shard_index != shard->index)
			continue;
		call.ranges[call.range_count] = group->ranges[i];
		call.ranges[call.range_count++].shard_index = 0;
	}
	return tess_shard_call_write(&call);
}

/* See function_internal.h. */
char *
tess_function_shard(const TessGroup *group, int64 shard_id)
{
	for (int i = 0; i < group->shard_count; i++)
		if (group->shards[i].shard_id == shard_id)
			return write_shard(group, &group->shards[i], NIL);
	elog(ERROR, "shard " INT64_FORMAT " is not one of the group", shard_id);
}

/* Schemas that shards have a part of: those of the group's tables, and the
 * function's own. */
static List *
sharded_schemas(const TessFunctionRow *row)
{
	List *schemas = list_make1(makeString(row->schema));
	ListCell *cell;

	foreach(cell, tables_of(row))
		schemas = list_append_unique(schemas,
									 makeString(((const TessTable *) lfirst(cell))
													->schema));
	return schemas;
}

static char *
search_path(const TessFunctionRow *row, List *sharded, int64 shard_id)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, row->search_path)
	{
		char *schema = lfirst(cell);

		if (text.len > 0)
			appendStringInfoString(&text, ", ");
		if (list_member(sharded, makeString(schema)))
			appendStringInfo(&text, "%s, ",
							 quote_identifier(
								 tess_shard_schema_name(schema, shard_id)));
		appendStringInfoString(&text, quote_identifier(schema));
	}
	return text.len > 0 ? text.data : "''";
}

/* Copies ------------------------------------------------------------------------ */

/* A statement about the function, as a template: the first time its name stands
 * there is where the statement says what it is about. */
static List *
make_template(const char *statement, const char *qualified,
			  const TessFunctionRow *row)
{
	const char *name = strstr(statement, qualified);

	if (name == NULL)
		elog(ERROR, "statement does not name %s", qualified);
	return list_make3(makeString(pnstrdup(statement, name - statement)),
					  list_make1(makeString(row->schema)),
					  makeString(pstrdup(
						  name + strlen(quote_identifier(row->schema)))));
}

static List *
definition_templates(const TessFunctionRow *row, const TessObject *object)
{
	char *name = get_func_name(row->function);
	List *templates = NIL;
	ListCell *cell;

	foreach(cell, object->statements)
		templates = lappend(templates,
							make_template(lfirst(cell),
										  tess_quote_qualified(row->schema, name),
										  row));
	return templates;
}

static void
add_copies(TessNodeWork *node, const TessFunctionRow *row, List *templates,
		   const TessGroup *group)
{
	List *sharded = sharded_schemas(row);

	node->commands = lappend(node->commands,
							 "SET LOCAL check_function_bodies = off");
	for (int i = 0; i < group->shard_count; i++)
	{
		const TessShard *shard = &group->shards[i];
		ListCell *cell;

		if (shard->node_ids[0] != node->node_id)
			continue;
		foreach(cell, templates)
			node->commands = lappend(node->commands,
									 tess_template_sql(lfirst(cell),
													   shard->shard_id));
		node->commands =
			lappend(node->commands,
					psprintf("ALTER ROUTINE %s.%s SET search_path = %s SET tessera.shard_call = %s",
							 quote_identifier(
								 tess_shard_schema_name(row->schema,
														shard->shard_id)),
							 row->signature,
							 search_path(row, sharded, shard->shard_id),
							 quote_literal_cstr(
								 write_shard(group, shard,
											 call_tables(row, shard->shard_id)))));
	}
}

void
tess_function_copy(const TessFunctionRow *row)
{
	TessObject *object = tess_object_identify(ProcedureRelationId, row->function);
	TessWork *work = tess_work_of_group(row->colocation_id);
	List *tables = tables_of(row);
	List *templates;
	ListCell *cell;

	if (tables == NIL)
		return;
	tess_object_define(object);
	templates = definition_templates(row, object);
	tess_objects_bring_needs(&object->address);
	foreach(cell, object->roles)
		tess_work_add(work, lfirst(cell));
	tess_work_create_schemas(work, row->schema);
	for (int i = 0; i < work->count; i++)
		add_copies(&work->nodes[i], row, templates,
				   ((const TessTable *) linitial(tables))->group);
	tess_work_run(work);
}

void
tess_function_drop_copies(const TessFunctionRow *row)
{
	TessWork *work = tess_work_of_group(row->colocation_id);

	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		for (int j = 0; j < node->shard_count; j++)
			node->commands = lappend(node->commands,
									 psprintf("DROP ROUTINE IF EXISTS %s.%s",
											  quote_identifier(
												  tess_shard_schema_name(row->schema,
																		 node->shard_ids
																			 [j])),
											  row->signature));
	}
	tess_work_run(work);
	tess_work_drop(work, row->schema, "", true);
	tess_work_run(work);
}
