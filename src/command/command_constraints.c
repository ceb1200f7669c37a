/*
 * command_constraints.c - SET CONSTRAINTS, for the shards and copies too.
 *
 * With ALL every node joins the transaction, at its present nesting level, so
 * that no node has to be told later; but only if a table of ours has something
 * that can be deferred.  Constraints by name are those of this server's search
 * path; on the nodes they have the same names, in the schemas of the shards.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "table/table.h"
#include "xact/xact.h"

static bool is_deferrable_of_ours(Form_pg_constraint constraint);
static bool any_is_deferrable(void);
static void tell_all_nodes(const char *sql);
static List *schemas_of(const RangeVar *name);
static bool tell_shards(const char *name, Oid schema, bool deferred);

/* To be called when this server has set its own. */
void
tess_repeat_set_constraints(const ConstraintsSetStmt *set)
{
	ListCell *lc;

	if (set->constraints == NIL)
	{
		if (any_is_deferrable())
			tell_all_nodes(set->deferred ? "SET CONSTRAINTS ALL DEFERRED"
										 : "SET CONSTRAINTS ALL IMMEDIATE");
		return;
	}
	foreach(lc, set->constraints)
	{
		const RangeVar *name = lfirst_node(RangeVar, lc);
		ListCell *schema;

		/* as PostgreSQL: all of that name in the first schema that has one */
		foreach(schema, schemas_of(name))
			if (tell_shards(name->relname, lfirst_oid(schema), set->deferred))
				break;
	}
}

static bool
is_deferrable_of_ours(Form_pg_constraint constraint)
{
	return constraint->condeferrable && OidIsValid(constraint->conrelid) &&
		   tess_meta_table(constraint->conrelid) != NULL;
}

static bool
any_is_deferrable(void)
{
	Relation rel = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	bool found = false;
	HeapTuple tuple;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = is_deferrable_of_ours((Form_pg_constraint) GETSTRUCT(tuple));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* In this transaction, which commits there even if nothing is written. */
static void
tell_all_nodes(const char *sql)
{
	List *nodes = tess_meta_remote_nodes();
	int count = list_length(nodes);
	int32 *node_ids = palloc(sizeof(int32) * Max(count, 1));
	TessSession **sessions = palloc(sizeof(TessSession *) * Max(count, 1));
	const char **commands = palloc(sizeof(char *) * Max(count, 1));

	if (count == 0)
		return;
	for (int i = 0; i < count; i++)
	{
		node_ids[i] = ((const TessNode *) list_nth(nodes, i))->node_id;
		commands[i] = sql;
	}
	tess_xact_sessions(count, node_ids, InvalidOid, TESS_LOCK, sessions);
	for (int i = 0; i < count; i++)
		tess_session_claim(sessions[i], NULL, NULL);
	tess_net_run_all(count, sessions, commands);
}

/* Where to look for a constraint. */
static List *
schemas_of(const RangeVar *name)
{
	if (name->schemaname != NULL)
		return list_make1_oid(LookupExplicitNamespace(name->schemaname, false));
	return fetch_search_path(true);
}

/* Tells the shards and copies of our tables; false if the schema has no such
 * constraint at all. */
static bool
tell_shards(const char *name, Oid schema, bool deferred)
{
	Relation rel = table_open(ConstraintRelationId, AccessShareLock);
	List *tables = NIL;
	bool found = false;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	ListCell *lc;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(name));
	ScanKeyInit(&keys[1], Anum_pg_constraint_connamespace,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(rel, ConstraintNameNspIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

		found = true;
		if (is_deferrable_of_ours(constraint))
			tables = list_append_unique_oid(tables, constraint->conrelid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	foreach(lc, tables)
	{
		const TessTable *table = tess_meta_table(lfirst_oid(lc));
		TessWork *work = tess_work_of_table(table);

		for (int i = 0; i < work->count; i++)
		{
			TessNodeWork *node = &work->nodes[i];

			for (int j = 0; j < Max(node->shard_count, 1); j++)
			{
				const char *where = node->shard_count == 0
										? table->schema
										: tess_shard_schema_name(table->schema,
																 node->shard_ids[j]);

				node->commands = lappend(node->commands,
										 psprintf("SET CONSTRAINTS %s %s",
												  tess_quote_qualified(where,
																	   name),
												  deferred ? "DEFERRED"
														   : "IMMEDIATE"));
			}
		}
		tess_work_run(work);
	}
	return found;
}
