/*
 * command_vacuum.c - VACUUM and ANALYZE of our tables reach the shards.
 *
 * VACUUM runs in no transaction, here and on the nodes: it goes to sessions
 * of its own, after the shell.  ANALYZE inside a transaction block goes to
 * the transaction's sessions, which may hold locks on the shards.  Shards of
 * this server are added to the user's list of tables; without a list core
 * finds them itself.
 *
 * Core finds shells empty, and says so in pg_class.  So what the shards know
 * comes last, of each table in a transaction of its own, as core does it.
 */
#include "postgres.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "statistics/statistics.h"
#include "table/table.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct VacuumWork
{
	List *names;	/* of shards and copies, for each other server */
	List *local;	/* VacuumRelations of shards of this server */
	List *targets;	/* of TessAnalyzeTarget, distributed tables */
	TessWork *work; /* one command for each other server; NULL if none */
	MemoryContext context;
} VacuumWork;

static bits32 analyze_options(const VacuumStmt *vacuum);
static void add_all_tables(VacuumWork *work, bits32 options);
static void add_table(VacuumWork *work, const TessTable *table, List *columns,
					  bits32 options);
static char *command_head(const VacuumStmt *vacuum);
static void gather_statistics(VacuumWork *work, bool in_transaction);

/*
 * Before the statement, whose tree must be the caller's own copy.  What is to
 * be done after it, in memory that outlives the transactions of VACUUM; NULL
 * if nothing.
 */
void *
tess_vacuum_prepare(VacuumStmt *vacuum)
{
	VacuumWork *work = palloc0(sizeof(VacuumWork));
	bits32 options = analyze_options(vacuum);
	ListCell *lc;

	work->context = CurrentMemoryContext;
	if (vacuum->rels == NIL)
		add_all_tables(work, options);
	foreach(lc, vacuum->rels)
	{
		VacuumRelation *relation = lfirst(lc);
		const TessTable *table = relation->relation
									 ? tess_command_table(relation->relation)
									 : NULL;

		if (table != NULL)
			add_table(work, table, relation->va_cols, options);
	}
	if (vacuum->rels != NIL)
		vacuum->rels = list_concat(vacuum->rels, work->local);
	work->work = tess_names_work(work->names, command_head(vacuum));
	return work->work == NULL && work->targets == NIL ? NULL : work;
}

static bits32
analyze_options(const VacuumStmt *vacuum)
{
	bits32 options = vacuum->is_vacuumcmd ? VACOPT_VACUUM : VACOPT_ANALYZE;
	ListCell *lc;

	foreach(lc, vacuum->options)
	{
		DefElem *option = lfirst(lc);
		bits32 bit = strcmp(option->defname, "analyze") == 0   ? VACOPT_ANALYZE
					 : strcmp(option->defname, "verbose") == 0 ? VACOPT_VERBOSE
					 : strcmp(option->defname, "full") == 0	   ? VACOPT_FULL
					 : strcmp(option->defname, "skip_locked") == 0
						 ? VACOPT_SKIP_LOCKED
						 : 0;

		/* core will refuse what has no boolean value */
		if (bit != 0 && defGetBoolean(option))
			options |= bit;
	}
	return options;
}

static void
add_all_tables(VacuumWork *work, bits32 options)
{
	ListCell *lc;

	foreach(lc, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(lc))->relation;
		const TessTable *table = tess_meta_table(relation);

		/* partitions are done with their tables */
		if (table != NULL && !get_rel_relispartition(relation))
			add_table(work, table, NIL, options);
	}
}

/* A partitioned table's are its partitions. */
static void
add_targets(VacuumWork *work, const TessTable *table, List *columns,
			bits32 options)
{
	ListCell *lc;

	foreach(lc, tess_table_tree(table->relation, NoLock))
	{
		const TessTable *partition = tess_meta_table(lfirst_oid(lc));
		TessAnalyzeTarget *target;

		if (partition == NULL || partition->is_partitioned)
			continue;
		target = palloc0(sizeof(TessAnalyzeTarget));
		target->relation = partition->relation;
		target->columns = columns;
		target->options = options;
		work->targets = lappend(work->targets, target);
	}
}

static void
add_table(VacuumWork *work, const TessTable *table, List *columns, bits32 options)
{
	TessWork *shards = tess_work_of_table(table);
	StringInfoData suffix;
	ListCell *lc;

	/* core warns of those */
	if (!pg_class_ownercheck(table->relation, GetUserId()) &&
		!pg_database_ownercheck(MyDatabaseId, GetUserId()))
		return;
	if ((options & VACOPT_FULL) != 0)
	{
		LockRelationOid(table->relation, ShareUpdateExclusiveLock);
		tess_index_bury_invalid(table->relation);
	}
	initStringInfo(&suffix);
	foreach(lc, columns)
		appendStringInfo(&suffix, "%s%s", suffix.len > 0 ? ", " : " (",
						 quote_identifier(strVal(lfirst(lc))));
	if (suffix.len > 0)
		appendStringInfoChar(&suffix, ')');

	for (int i = 0; i < shards->count; i++)
	{
		TessNodeWork *node = &shards->nodes[i];

		for (int j = 0; node->is_local && j < node->shard_count; j++)
		{
			RangeVar *
				shard = makeRangeVar(tess_shard_schema_name(table->schema,
															node->shard_ids[j]),
									 table->name, -1);

			work->local = lappend(work->local,
								  makeVacuumRelation(shard, InvalidOid, columns));
		}
		if (!node->is_local)
			tess_names_add(&work->names, node, table, suffix.data);
	}

	if (table->kind == TESS_DISTRIBUTED)
		add_targets(work, table, columns, options);
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
	VacuumWork *work = prepared;
	MemoryContext caller;

	if (work == NULL)
		return;
	caller = MemoryContextSwitchTo(work->context);
	if (work->work != NULL)
	{
		if (in_transaction)
			tess_work_run(work->work);
		else
			tess_outside_run(work->work);
	}
	gather_statistics(work, in_transaction);
	MemoryContextSwitchTo(caller);
}

static void
gather_statistics(VacuumWork *work, bool in_transaction)
{
	ListCell *lc;

	foreach(lc, work->targets)
	{
		TessAnalyzeTarget *target = lfirst(lc);

		/* locks on shells, and what nodes hold, last no longer than needed */
		if (!in_transaction)
			tess_outside_next_transaction();
		MemoryContextSwitchTo(work->context);
		target->in_block = in_transaction;
		tess_statistics_gather(target);
	}
}
