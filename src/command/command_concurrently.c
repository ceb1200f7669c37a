/*
 * command_concurrently.c - CREATE INDEX, DROP INDEX and REINDEX CONCURRENTLY on
 * our tables.
 *
 * The shards do the same, one after another on each server, in transactions of
 * their own; writers go on meanwhile.  While they do, and if one of them fails,
 * the shell's index is invalid: users see that, and drop it, as in PostgreSQL.
 * It is also dead, so that nothing that makes indexes of the (empty) shell
 * anew makes it valid as well.  A lock on the shell, held over all
 * transactions, keeps off who would change its indexes too.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "deparse/deparse.h"
#include "statistics/statistics.h"
#include "table/table.h"

struct TessConcurrent
{
	TessAltering altering;
	LockRelId lock;		   /* of the session, on the shell */
	List *old_indexes;	   /* CREATE: that the shell had */
	List *template;		   /* REINDEX: what the shards are told */
	TessWork *work;		   /* DROP */
	MemoryContext context; /* outlives the transactions */
};

/* Begins; the relation is one of ours, or its index, locked. */
static TessConcurrent *
begin(Oid relation)
{
	TessConcurrent *concurrent = palloc0(sizeof(TessConcurrent));
	Oid table = relation;

	if (get_rel_relkind(relation) == RELKIND_INDEX)
		table = IndexGetRelation(relation, false);
	concurrent->context = CurrentMemoryContext;
	concurrent->altering.relation = table;
	concurrent->altering.replaces_indexes = true;
	concurrent->lock.relId = table;
	concurrent->lock.dbId = MyDatabaseId;
	LockRelationIdForSession(&concurrent->lock, ShareUpdateExclusiveLock);
	return concurrent;
}

/* The lock is the transaction's until it commits. */
static void
end(TessConcurrent *concurrent)
{
	LockRelationOid(concurrent->lock.relId, ShareUpdateExclusiveLock);
	UnlockRelationIdForSession(&concurrent->lock, ShareUpdateExclusiveLock);
}

const TessAltering *
tess_concurrent_altering(const TessConcurrent *concurrent)
{
	return &concurrent->altering;
}

/* A shell's index is there for users and shards, or dead. */
static void
set_alive(Oid relation, Oid index, bool is_alive)
{
	Relation catalog = table_open(IndexRelationId, RowExclusiveLock);
	HeapTuple tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	form = (Form_pg_index) GETSTRUCT(tuple);
	form->indisvalid = is_alive;
	form->indisready = is_alive;
	form->indislive = is_alive;
	if (!is_alive)
	{
		form->indisclustered = false;
		form->indisreplident = false;
	}
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relation);
	CommandCounterIncrement();
}

/* See command_internal.h. */
bool
tess_index_is_valid(Oid index)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool is_valid;

	if (!HeapTupleIsValid(tuple))
		return true;
	is_valid = ((Form_pg_index) GETSTRUCT(tuple))->indisvalid;
	ReleaseSysCache(tuple);
	return is_valid;
}

/* See command_internal.h. */
void
tess_index_bury_invalid(Oid relation)
{
	Relation rel = table_open(relation, NoLock);
	List *indexes = RelationGetIndexList(rel);
	bool is_partitioned = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	ListCell *cell;

	table_close(rel, NoLock);
	/* there an index is invalid while a partition has none of it */
	if (is_partitioned)
		return;
	foreach(cell, indexes)
	{
		if (!tess_index_is_valid(lfirst_oid(cell)))
			set_alive(relation, lfirst_oid(cell), false);
	}
}

static void
restore_size(Oid relation)
{
	Relation rel = table_open(relation, AccessShareLock);

	if (tess_meta_table(relation)->kind == TESS_DISTRIBUTED)
		tess_statistics_restore_size(rel);
	table_close(rel, NoLock);
}

/* CREATE INDEX --------------------------------------------------------------------- */

/* What PostgreSQL would find out too late: an index stays, invalid.  (Classes of
 * operators of the user's choice are looked at then.) */
static void
check_unique(const IndexStmt *create, const TessTable *table)
{
	const char *key;
	ListCell *cell;

	if (!create->unique || table->kind != TESS_DISTRIBUTED)
		return;
	key = get_attname(table->relation, table->key_attnum, false);
	foreach(cell, create->indexParams)
	{
		const IndexElem *element = lfirst(cell);

		if (element->name != NULL && strcmp(element->name, key) == 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("unique index on table \"%s\" does not contain the distribution key",
					table->name),
			 errdetail("A shard sees only its own rows."),
			 errhint("Add column \"%s\" to it.", key)));
}

/* NULL if the table is not ours, or core will refuse it. */
TessConcurrent *
tess_concurrent_create_begin(const IndexStmt *create, bool is_top)
{
	Oid relation = tess_alter_lock(create->relation, ShareUpdateExclusiveLock);
	TessConcurrent *concurrent;
	const TessTable *table;
	Relation rel;

	if (!OidIsValid(relation) || get_rel_relkind(relation) != RELKIND_RELATION)
		return NULL;
	PreventInTransactionBlock(is_top, "CREATE INDEX CONCURRENTLY");
	table = tess_meta_table(relation);
	check_unique(create, table);
	concurrent = begin(relation);
	rel = table_open(relation, NoLock);
	concurrent->old_indexes = list_copy(RelationGetIndexList(rel));
	table_close(rel, NoLock);
	return concurrent;
}

static Oid
new_index(const TessConcurrent *concurrent)
{
	Relation rel = table_open(concurrent->altering.relation, AccessShareLock);
	List *added = list_difference_oid(RelationGetIndexList(rel),
									  concurrent->old_indexes);

	table_close(rel, NoLock);
	return added != NIL ? linitial_oid(added) : InvalidOid;
}

/* "CREATE [UNIQUE] INDEX CONCURRENTLY ..." */
static List *
create_template(const TessTable *table, Oid index)
{
	int level = tess_settings_pin();
	char *sql = pg_get_indexdef_string(index);
	char *rest = strstr(sql, " INDEX ") + strlen(" INDEX ");
	List *template;

	sql = psprintf("%.*sCONCURRENTLY %s", (int) (rest - sql), sql, rest);
	template = table->kind == TESS_REFERENCE ? list_make1(makeString(sql))
											 : tess_template_from_sql(sql);
	AtEOXact_GUC(true, level);
	return template;
}

/*
 * The shell has its index, in a transaction that core leaves open: it is not to
 * be valid before the shards have theirs.
 */
void
tess_concurrent_create_finish(TessConcurrent *concurrent)
{
	Oid relation = concurrent->altering.relation;
	const TessTable *table;
	TessWork *work;
	Relation rel;
	Oid index;

	CommandCounterIncrement();
	index = new_index(concurrent);
	if (!OidIsValid(index)) /* IF NOT EXISTS */
	{
		end(concurrent);
		return;
	}
	rel = table_open(relation, AccessShareLock);
	tess_table_check_constraints(rel);
	table_close(rel, NoLock);
	MemoryContextSwitchTo(concurrent->context);
	table = tess_meta_table(relation);
	work = tess_work_of_table(table);
	tess_work_add_templates(work, list_make1(create_template(table, index)));
	set_alive(relation, index, false);
	restore_size(relation);
	tess_outside_next_transaction();
	TESS_FAULT_POINT("concurrent_index");
	tess_outside_run(work);
	end(concurrent);
	set_alive(relation, index, true);
}

/* DROP INDEX ----------------------------------------------------------------------- */

/* Has a constraint, or is something else bound to the index?  Core will say so. */
static bool
is_needed(Oid index)
{
	return tess_is_depended_on(RelationRelationId, index) ||
		   OidIsValid(get_index_constraint(index));
}

/*
 * Drops the shards' first, so that the shell shows what is left of them if one fails.
 * Core drops the shell's next.  NULL if the index is not one of ours, or
 * core will refuse it.
 */
TessConcurrent *
tess_concurrent_drop_begin(const DropStmt *drop, bool is_top)
{
	RangeVar *name = makeRangeVarFromNameList(linitial(drop->objects));
	TessConcurrent *concurrent;
	LOCKTAG tag;
	Oid index;
	Oid relation;

	if (list_length(drop->objects) != 1 || drop->behavior == DROP_CASCADE)
		return NULL;
	index = tess_alter_lock(name, ShareUpdateExclusiveLock);
	if (!OidIsValid(index) || get_rel_relkind(index) != RELKIND_INDEX ||
		get_rel_relispartition(index) || is_needed(index))
		return NULL;
	PreventInTransactionBlock(is_top, "DROP INDEX CONCURRENTLY");
	concurrent = begin(index);
	relation = concurrent->altering.relation;
	concurrent->work = tess_index_drop_work(tess_meta_table(relation), index,
											DROP_RESTRICT, true);
	set_alive(relation, index, false);
	tess_outside_next_transaction();

	/* Who has planned with it may still tell nodes to look for conflicts there. */
	SET_LOCKTAG_RELATION(tag, concurrent->lock.dbId, concurrent->lock.relId);
	WaitForLockers(tag, AccessExclusiveLock, false);
	TESS_FAULT_POINT("concurrent_index");
	tess_outside_run(concurrent->work);
	PushActiveSnapshot(GetTransactionSnapshot());
	return concurrent;
}

/* Core has dropped the shell's. */
void
tess_concurrent_drop_finish(TessConcurrent *concurrent)
{
	end(concurrent);
}

/* REINDEX -------------------------------------------------------------------------- */

/* See command_internal.h. */
void
tess_index_check_valid(Oid index)
{
	if (get_rel_relkind(index) == RELKIND_INDEX && !tess_index_is_valid(index))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is invalid", get_rel_name(index)),
				 errdetail(
					 "CREATE or DROP INDEX CONCURRENTLY has failed, so some shards may not have it."),
				 errhint("Drop it, and create it again.")));
}

/* Of a table of ours, or its index, which is locked. */
static TessConcurrent *
begin_reindex(Oid relation, const ReindexStmt *reindex)
{
	TessConcurrent *concurrent = begin(relation);
	const TessTable *table = tess_meta_table(concurrent->altering.relation);

	tess_reindex_check_options(reindex, table);
	tess_index_check_valid(relation);
	tess_index_bury_invalid(table->relation);
	concurrent->template = tess_repeat_template(table,
												reindex->kind == REINDEX_OBJECT_INDEX
													? "REINDEX INDEX CONCURRENTLY "
													: "REINDEX TABLE CONCURRENTLY ",
												get_rel_name(relation), "");
	return concurrent;
}

/* NULL if the relation is not ours, or core will refuse it. */
TessConcurrent *
tess_concurrent_reindex_begin(const ReindexStmt *reindex, bool is_top)
{
	Oid relation = tess_alter_lock(reindex->relation, ShareUpdateExclusiveLock);
	bool is_index = reindex->kind == REINDEX_OBJECT_INDEX;

	if (!OidIsValid(relation) ||
		get_rel_relkind(relation) !=
			(is_index ? RELKIND_INDEX : RELKIND_RELATION))
		return NULL;
	PreventInTransactionBlock(is_top, "REINDEX CONCURRENTLY");
	return begin_reindex(relation, reindex);
}

static void
finish_reindex(TessConcurrent *concurrent, bool is_done_here)
{
	Oid relation = concurrent->altering.relation;
	TessWork *work;

	MemoryContextSwitchTo(concurrent->context);
	work = tess_work_of_table(tess_meta_table(relation));
	tess_work_add_templates(work, list_make1(concurrent->template));
	if (is_done_here)
		tess_maintenance_leave_out_local(work);
	restore_size(relation);
	tess_outside_next_transaction();
	TESS_FAULT_POINT("concurrent_index");
	tess_outside_run(work);
	end(concurrent);
}

/* The shell has been done. */
void
tess_concurrent_reindex_finish(TessConcurrent *concurrent)
{
	finish_reindex(concurrent, false);
}

/* See command_internal.h. */
void
tess_concurrent_reindex_shards(Oid relation, const ReindexStmt *reindex,
							   bool is_done_here)
{
	finish_reindex(begin_reindex(relation, reindex), is_done_here);
}
