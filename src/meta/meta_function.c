/*
 * meta_function.c - functions that shards run, from their rows in the catalog.
 *
 * Who may call them, and whether their copies in the shards are there, is not
 * known here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "meta/meta_internal.h"

/* The schemas that are there, in order. */
static List *
schema_oids(List *names)
{
	List *oids = NIL;
	ListCell *cell;

	foreach(cell, names)
	{
		Oid schema = get_namespace_oid(lfirst(cell), true);

		if (OidIsValid(schema))
			oids = lappend_oid(oids, schema);
	}
	return oids;
}

/* NONE for a table that is not there. */
TessSecurity
tess_meta_security(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	TessSecurity security = TESS_NO_SECURITY;
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		return security;
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (form->relrowsecurity)
		security = form->relforcerowsecurity ? TESS_FORCED_SECURITY
											 : TESS_SECURITY;
	ReleaseSysCache(tuple);
	return security;
}

/* True if a body in a shard of the group could come upon a table with row
 * security, or statement triggers: both are the coordinator's.  A change of that makes
 * other copies, and so other rows here. */
static bool
needs_coordinator(int32 colocation_id)
{
	ListCell *cell;

	foreach(cell, tess_cat_tables())
	{
		const TessTableRow *row = lfirst(cell);
		const TessTable *table;

		if (row->kind == TESS_DISTRIBUTED && row->colocation_id != colocation_id)
			continue;
		table = tess_meta_table(row->relation);
		if (table != NULL &&
			(table->statement_events != 0 ||
			 tess_meta_security(row->relation) != TESS_NO_SECURITY))
			return true;
	}
	return false;
}

TessFunction **
tess_meta_build_functions(int *count)
{
	List *rows = tess_cat_functions();
	TessFunction **functions = palloc(sizeof(TessFunction *) *
									  (list_length(rows) + 1));
	ListCell *cell;

	*count = 0;
	foreach(cell, rows)
	{
		const TessFunctionRow *row = lfirst(cell);
		char *name = get_func_name(row->function);
		TessFunction *function;
		List *tables;

		if (row->key_argument == 0 || name == NULL)
			continue;
		tables = tess_cat_tables_of_group(row->colocation_id);
		if (tables == NIL)
			continue;
		list_sort(tables, list_oid_cmp);
		function = palloc0(sizeof(TessFunction));
		function->function = row->function;
		function->key_argument = row->key_argument - 1;
		function->schema = row->schema;
		function->name = name;
		function->group = tess_meta_group(row->colocation_id);
		function->tables = tables;
		function->runs_here = needs_coordinator(row->colocation_id);
		function->sets_path = row->sets_path;
		function->search_path = schema_oids(row->search_path);
		functions[(*count)++] = function;
	}
	return functions;
}

TessFunction **
tess_meta_copy_functions(TessFunction *const *functions, int count,
						 MemoryContext context)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);
	TessFunction **copies = palloc(sizeof(TessFunction *) * (count + 1));

	for (int i = 0; i < count; i++)
	{
		copies[i] = palloc(sizeof(TessFunction));
		*copies[i] = *functions[i];
		copies[i]->schema = pstrdup(functions[i]->schema);
		copies[i]->name = pstrdup(functions[i]->name);
		copies[i]->tables = list_copy(functions[i]->tables);
		copies[i]->search_path = list_copy(functions[i]->search_path);
	}
	MemoryContextSwitchTo(old_context);
	return copies;
}
