/*
 * command_vacuum.c - VACUUM and ANALYZE of our tables reach the shards.
 *
 * VACUUM runs in no transaction, here and on the nodes: it goes to sessions
 * of its own, after the shell.  ANALYZE inside a transaction block goes to
 * the transaction's sessions, which may hold locks on the shards.  Shards of
 * this server are added to the user's list of tables.
 */
#include "postgres.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "net/net.h"
#include "nodes/makefuncs.h"
#include "table/table.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How long to wait for a node to stop. */
#define ABANDON_TIMEOUT_MS 1000

typedef struct VacuumWork
{
	TessWork *work; /* one command for each other server */
	MemoryContext context;
	bool is_vacuum;
} VacuumWork;

static void add_relation(VacuumRelation *relation, const TessTable *table,
						 List **names, List **local);
static char *command_head(const VacuumStmt *vacuum);
static void run_outside_transaction(TessWork *work);

/*
 * Before the statement, whose tree must be the caller's own copy.  What is to
 * be done after it, in memory that outlives the transactions of VACUUM; NULL
 * if nothing.
 */
void *
tess_vacuum_prepare(VacuumStmt *vacuum)
{
	List *names = NIL;
	List *local = NIL;
	VacuumWork *result;
	ListCell *lc;

	foreach(lc, vacuum->rels)
	{
		VacuumRelation *relation = lfirst(lc);
		const TessTable *table = relation->relation
									 ? tess_command_table(relation->relation)
									 : NULL;

		if (table != NULL)
			add_relation(relation, table, &names, &local);
	}
	vacuum->rels = list_concat(vacuum->rels, local);
	if (names == NIL)
		return NULL;

	result = palloc(sizeof(VacuumWork));
	result->work = tess_names_work(names, command_head(vacuum));
	result->context = CurrentMemoryContext;
	result->is_vacuum = vacuum->is_vacuumcmd;
	return result;
}

static void
add_relation(VacuumRelation *relation, const TessTable *table, List **names,
			 List **local)
{
	TessWork *work = tess_work_of_table(table);
	StringInfoData columns;
	ListCell *lc;

	initStringInfo(&columns);
	foreach(lc, relation->va_cols)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : " (",
						 quote_identifier(strVal(lfirst(lc))));
	if (columns.len > 0)
		appendStringInfoChar(&columns, ')');

	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		for (int j = 0; node->is_local && j < node->shard_count; j++)
		{
			RangeVar *
				shard = makeRangeVar(tess_shard_schema_name(table->schema,
															node->shard_ids[j]),
									 table->name, -1);

			*local = lappend(*local, makeVacuumRelation(shard, InvalidOid,
														relation->va_cols));
		}
		if (!node->is_local)
			tess_names_add(names, node, table, columns.data);
	}
}

static char *
command_head(const VacuumStmt *vacuum)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, vacuum->is_vacuumcmd ? "VACUUM" : "ANALYZE");
	foreach(lc, vacuum->options)
	{
		DefElem *option = lfirst(lc);

		appendStringInfo(&sql, "%s%s",
						 foreach_current_index(lc) > 0 ? ", " : " (",
						 quote_identifier(option->defname));
		if (option->arg != NULL)
			appendStringInfo(&sql, " %s", defGetString(option));
	}
	if (vacuum->options != NIL)
		appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* After the statement. */
void
tess_vacuum_finish(void *prepared, bool in_transaction)
{
	VacuumWork *result = prepared;
	MemoryContext caller;

	if (result == NULL)
		return;
	caller = MemoryContextSwitchTo(result->context);
	if (!result->is_vacuum && in_transaction)
		tess_work_run(result->work);
	else
		run_outside_transaction(result->work);
	MemoryContextSwitchTo(caller);
}

static void
run_outside_transaction(TessWork *work)
{
	TessSession **sessions = palloc(sizeof(TessSession *) * work->count);
	int32 *node_ids = palloc(sizeof(int32) * work->count);
	const char **commands = palloc(sizeof(char *) * work->count);

	for (int i = 0; i < work->count; i++)
	{
		node_ids[i] = work->nodes[i].node_id;
		commands[i] = "SELECT";
	}
	tess_net_acquire(work->count, node_ids, GetUserId(), sessions);
	PG_TRY();
	{
		/* Settings travel with this one: VACUUM must be alone in a pipeline. */
		tess_net_run_all(work->count, sessions, commands);
		for (int i = 0; i < work->count; i++)
			commands[i] = linitial(work->nodes[i].commands);
		tess_net_run_all(work->count, sessions, commands);
	}
	PG_FINALLY();
	{
		/* After an error, or a cancel, nothing is to go on there. */
		TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														   ABANDON_TIMEOUT_MS);

		for (int i = 0; i < work->count; i++)
		{
			tess_session_abandon(sessions[i], deadline);
			tess_net_release(sessions[i]);
		}
	}
	PG_END_TRY();
}
