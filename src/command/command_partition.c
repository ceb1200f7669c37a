/*
 * command_partition.c - partitions come and go: CREATE TABLE ... PARTITION OF,
 * ATTACH and DETACH PARTITION of tables and indexes.
 *
 * A partition of a distributed table is distributed as that table is, at once and
 * with its rows, or is so already.  In the shards it gets the indexes and constraints that
 * the shell has got, under their names, and is then attached.  One that is
 * detached stays distributed.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "deparse/deparse.h"
#include "function/function.h"
#include "table/table.h"

struct TessPartitioning
{
	TessAltering altering; /* relation: the partitioned table */
	AlterTableType action; /* AT_AttachPartition, AT_DetachPartition */
	const RangeVar *name;  /* CREATE: of the new partition */
	Oid partition;		   /* or index of one */
	bool is_index;
	bool was_there; /* the partition is one of ours already */
	bool guards_key;
	List *had; /* OIDs of indexes and constraints */
};

/*
 * Who uses a partitioned table through this server locks that shell, and the
 * partitions only in the shards.  So who locks a partition against them locks the
 * tables above it as well, from the top: else he might have it in some shards
 * when they have it in others.
 */
void
tess_partition_lock_ancestors(Oid relation, LOCKMODE lockmode)
{
	List *ancestors;

	if (lockmode < ShareLock || !get_rel_relispartition(relation) ||
		tess_meta_table(relation) == NULL)
		return;
	ancestors = get_partition_ancestors(relation);
	for (int i = list_length(ancestors) - 1; i >= 0; i--)
		LockRelationOid(list_nth_oid(ancestors, i), lockmode);
}

static void
refuse(const char *command, Oid relation, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("%s is not supported on distributed table \"%s\"",
						   command, get_rel_name(relation)),
					errhint("%s", hint)));
}

/* OIDs of a table's indexes and of its constraints. */
static List *
parts_of(Oid relation)
{
	Relation rel = table_open(relation, AccessShareLock);
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	List *parts = list_copy(RelationGetIndexList(rel));
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		parts = lappend_oid(parts, ((Form_pg_constraint) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	table_close(rel, AccessShareLock);
	return parts;
}

static List *
parts_of_tree(Oid relation)
{
	List *parts = NIL;
	ListCell *cell;

	foreach(cell, tess_table_tree(relation, AccessShareLock))
		parts = list_concat(parts, parts_of(lfirst_oid(cell)));
	return parts;
}

/* A table that is to become a partition, locked; InvalidOid: core will refuse
 * it.  Errors if it is of ours, and cannot be one of this table. */
static Oid
lock_partition(const RangeVar *name, const TessTable *parent)
{
	Oid relation = RangeVarGetRelid(name, AccessExclusiveLock, true);
	const TessTable *table;

	if (!OidIsValid(relation))
		return InvalidOid;
	table = tess_meta_table(relation);
	if (table == NULL)
		return relation;
	if (table->kind == TESS_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("reference table \"%s\" cannot be a partition of a distributed table",
						table->name),
				 errhint("Use tessera.undistribute_table() on it first.")));
	if (table->group->colocation_id != parent->group->colocation_id ||
		strcmp(get_attname(table->relation, table->key_attnum, false),
			   get_attname(parent->relation, parent->key_attnum, false)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is not distributed as table \"%s\" is",
						table->name, parent->name),
				 errdetail(
					 "A partition has the distribution key of its table, and its shards."),
				 errhint("Use tessera.undistribute_table() on \"%s\" first: it is distributed again when it is attached.",
						 table->name)));
	return relation;
}

/* The command, if it attaches or detaches; NULL otherwise. */
static const AlterTableCmd *
partition_command(const AlterTableStmt *statement)
{
	const AlterTableCmd *command = linitial(statement->cmds);

	switch (command->subtype)
	{
		case AT_AttachPartition:
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			return command;
		default:
			return NULL;
	}
}

/*
 * With a default partition, rows of which have to be looked at, ATTACH keeps all
 * away from the table: they would lock that in the shards.
 */
static LOCKMODE
lock_of(const RangeVar *name, const AlterTableCmd *command)
{
	Oid relation = RangeVarGetRelid(name, NoLock, true);

	if (command->subtype == AT_AttachPartition && OidIsValid(relation) &&
		!OidIsValid(get_default_partition_oid(relation)))
		return ShareUpdateExclusiveLock;
	return AccessExclusiveLock;
}

static void
begin_attach(TessPartitioning *work, const PartitionCmd *command)
{
	const TessTable *parent = tess_meta_table(work->altering.relation);

	if (parent->kind != TESS_DISTRIBUTED)
		return;
	work->partition = lock_partition(command->name, parent);
	if (!OidIsValid(work->partition))
		return;
	work->was_there = tess_meta_table(work->partition) != NULL;
	if (work->was_there)
		work->had = parts_of_tree(work->partition);
	work->altering.others = list_concat(work->altering.others,
										tess_table_tree(work->partition,
														AccessExclusiveLock));
}

static void
begin_detach(TessPartitioning *work, const AlterTableCmd *command)
{
	const PartitionCmd *partition = castNode(PartitionCmd, command->def);

	if (command->subtype == AT_DetachPartitionFinalize || partition->concurrent)
		refuse("DETACH PARTITION ... CONCURRENTLY", work->altering.relation,
			   _("Leave CONCURRENTLY out."));
	work->partition = RangeVarGetRelid(partition->name, AccessExclusiveLock,
									   true);
	if (OidIsValid(work->partition))
		work->guards_key = tess_triggers_may_change_key(work->partition);
}

/* NULL if no partition of ours, or none of one of ours, comes or goes. */
TessPartitioning *
tess_partition_begin(const AlterTableStmt *statement)
{
	const AlterTableCmd *command = partition_command(statement);
	TessPartitioning *work;
	Oid relation;

	if (command == NULL)
		return NULL;
	relation = tess_alter_lock(statement->relation,
							   lock_of(statement->relation, command));
	if (!OidIsValid(relation))
		return NULL;
	work = palloc0(sizeof(TessPartitioning));
	work->action = command->subtype;
	work->altering.relation = relation;
	work->is_index = tess_is_index(relation);
	if (work->is_index)
	{
		const RangeVar *name = castNode(PartitionCmd, command->def)->name;

		work->altering.relation = IndexGetRelation(relation, false);
		work->partition = RangeVarGetRelid(name, NoLock, true);
	}
	work->altering.others = tess_table_tree(work->altering.relation,
											AccessShareLock);
	if (work->is_index)
		return work;
	if (command->subtype == AT_AttachPartition)
		begin_attach(work, castNode(PartitionCmd, command->def));
	else
		begin_detach(work, command);
	return work;
}

/* The table of that name where CREATE makes it, which need not be where it would be
 * found; InvalidOid: there is none. */
static Oid
created_table(const RangeVar *name)
{
	return get_relname_relid(name->relname, RangeVarGetCreationNamespace(name));
}

/* NULL unless a partition of one of ours is created. */
TessPartitioning *
tess_partition_before_create(const CreateStmt *create)
{
	TessPartitioning *work;
	const TessTable *table;
	Oid relation;

	if (create->partbound == NULL)
		return NULL;
	relation = tess_alter_lock(linitial(create->inhRelations),
							   AccessExclusiveLock);
	table = OidIsValid(relation) ? tess_meta_table(relation) : NULL;
	if (table == NULL || table->kind != TESS_DISTRIBUTED)
		return NULL;
	work = palloc0(sizeof(TessPartitioning));
	work->action = AT_AttachPartition;
	work->name = create->relation;
	work->altering.relation = relation;
	work->altering.others = tess_table_tree(relation, AccessShareLock);
	/* IF NOT EXISTS */
	work->was_there = OidIsValid(created_table(create->relation));
	return work;
}

const TessAltering *
tess_partition_altering(const TessPartitioning *work)
{
	return &work->altering;
}

/* What the shell of a table of a tree has got: indexes, and constraints. */
static void
add_new_parts(TessWork *work, Oid relation, const List *had)
{
	Relation rel = table_open(relation, NoLock);
	List *parts = parts_of(relation);
	ListCell *cell;

	tess_table_check_constraints(rel);
	foreach(cell, parts)
	{
		Oid part = lfirst_oid(cell);

		if (list_member_oid(had, part))
			continue;
		if (!tess_is_index(part))
			tess_work_add_templates(work, tess_ddl_partition_part(rel, part));
		else if (!OidIsValid(get_index_constraint(part)))
			tess_work_add_templates(work, list_make1(tess_index_template(part)));
	}
	table_close(rel, NoLock);
}

static void
finish_attach(TessPartitioning *work)
{
	Oid partition = work->partition;
	TessWork *shards;
	List *tree;

	if (!work->was_there)
	{
		tess_table_distribute_partition(partition);
		return;
	}
	shards = tess_work_of_table(tess_meta_table(work->altering.relation));
	tree = tess_table_tree(partition, NoLock);
	for (int i = list_length(tree) - 1; i >= 0; i--)
		add_new_parts(shards, list_nth_oid(tree, i), work->had);
	tess_work_run(shards);
	tess_triggers_guard_key(partition, false);
	tess_work_add_templates(shards, list_make1(tess_ddl_attach(partition)));
	tess_work_run(shards);
}

static void
finish_detach(TessPartitioning *work)
{
	const TessTable *table = tess_meta_table(work->altering.relation);
	const TessTable *partition = tess_meta_table(work->partition);
	TessWork *shards = tess_work_of_table(table);
	List *template = tess_repeat_template(table, "ALTER TABLE ", table->name,
										  " DETACH PARTITION ");

	tess_work_add_templates(shards,
							list_make1(
								list_concat(template,
											tess_repeat_template(partition, "",
																 partition->name,
																 ""))));
	tess_work_run(shards);
	tess_triggers_guard_key(work->partition, work->guards_key);
}

/* The shells have been done: the shards. */
void
tess_partition_finish(TessPartitioning *work)
{
	CommandCounterIncrement();
	if (work->name != NULL)
	{
		if (!work->was_there)
			tess_table_distribute_partition(created_table(work->name));
		return;
	}
	if (!OidIsValid(work->partition))
		return;
	if (work->is_index)
	{
		TessWork *shards = tess_work_of_table(
			tess_meta_table(work->altering.relation));

		tess_work_add_templates(shards, list_make1(tess_ddl_attach_index(
											work->partition)));
		tess_work_run(shards);
	}
	else if (work->action == AT_AttachPartition)
		finish_attach(work);
	else
		finish_detach(work);
}
