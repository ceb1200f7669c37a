/*
 * meta_build.c - from rows of the catalogs to what the cache holds.
 *
 * Errors here mean that the catalogs contradict each other: a shard without
 * an active placement, ranges with gaps, a key column that is not there.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/catalog.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "meta/meta_internal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* nodes --------------------------------------------------------------- */

TessNode **
tess_meta_build_nodes(int *count)
{
	List *rows = tess_cat_nodes();
	TessNode **nodes = palloc(sizeof(TessNode *) * Max(list_length(rows), 1));
	ListCell *cell;

	*count = list_length(rows);
	foreach(cell, rows)
	{
		const TessNodeRow *row = lfirst(cell);
		TessNode *node = palloc0(sizeof(TessNode));

		node->node_id = row->node_id;
		node->name = row->name;
		node->is_local = row->server == NULL;
		/* A dropped server is no reason to fail before it is needed. */
		if (!node->is_local)
			node->server = get_foreign_server_oid(row->server, true);
		node->is_coordinator = row->is_coordinator;
		node->holds_shards = row->holds_shards;
		node->active = row->active;
		node->zone = row->zone;
		nodes[foreach_current_index(cell)] = node;
	}
	return nodes;
}

static void *
copy_bytes(MemoryContext context, const void *from, Size size)
{
	void *to = MemoryContextAlloc(context, Max(size, 1));

	memcpy(to, from, size);
	return to;
}

TessNode **
tess_meta_copy_nodes(TessNode *const *nodes, int count, MemoryContext context)
{
	TessNode **copies = copy_bytes(context, nodes, sizeof(TessNode *) * count);

	for (int i = 0; i < count; i++)
	{
		copies[i] = copy_bytes(context, nodes[i], sizeof(TessNode));
		copies[i]->name = MemoryContextStrdup(context, nodes[i]->name);
		if (nodes[i]->zone != NULL)
			copies[i]->zone = MemoryContextStrdup(context, nodes[i]->zone);
	}
	return copies;
}

/* groups -------------------------------------------------------------- */

static int
compare_ranges(const void *a, const void *b)
{
	const TessRange *left = a;
	const TessRange *right = b;

	return left->lower < right->lower ? -1 : left->lower > right->lower;
}

static int32
hash_bound(const char *text, int32 unbounded)
{
	return text == NULL ? unbounded : pg_strtoint32(text);
}

/* Each hash value must belong to exactly one range. */
static void
check_ranges(const TessGroup *group)
{
	int64 next = PG_INT32_MIN;

	for (int i = 0; i < group->range_count; i++)
	{
		if (group->ranges[i].lower != next ||
			group->ranges[i].upper < group->ranges[i].lower)
			break;
		next = (int64) group->ranges[i].upper + 1;
	}
	if (next != (int64) PG_INT32_MAX + 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the shards of colocation group %d do not cover all keys",
						group->colocation_id),
				 errhint("Look at the rows of tessera.shard_range.")));
}

static void
build_shard(TessShard *shard, int64 shard_id, int index)
{
	List *placements = tess_cat_placements(shard_id);
	ListCell *cell;

	shard->shard_id = shard_id;
	shard->index = index;
	shard->node_count = 0;
	shard->node_ids = palloc(sizeof(int32) * Max(list_length(placements), 1));
	foreach(cell, placements)
	{
		const TessPlacementRow *placement = lfirst(cell);

		if (placement->state == 'a')
			shard->node_ids[shard->node_count++] = placement->node_id;
	}
	if (shard->node_count == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("shard " INT64_FORMAT " is on no node", shard_id),
						errhint("Look at the rows of tessera.placement.")));
}

/* Index of a shard that an earlier range belongs to; a new one at the end. */
static int
shard_index(TessGroup *group, int64 shard_id)
{
	for (int i = 0; i < group->shard_count; i++)
		if (group->shards[i].shard_id == shard_id)
			return i;
	build_shard(&group->shards[group->shard_count], shard_id, group->shard_count);
	return group->shard_count++;
}

/* Ranges sorted, and the shards in the order in which the ranges name them. */
static void
build_shards(TessGroup *group)
{
	List *rows = tess_cat_ranges(group->colocation_id);
	int count = list_length(rows);
	int64 *shard_ids = palloc(sizeof(int64) * Max(count, 1));
	ListCell *cell;

	group->ranges = palloc(sizeof(TessRange) * Max(count, 1));
	group->shards = palloc0(sizeof(TessShard) * Max(count, 1));
	foreach(cell, rows)
	{
		const TessRangeRow *row = lfirst(cell);
		TessRange *range = &group->ranges[group->range_count];

		range->lower = hash_bound(row->lower, PG_INT32_MIN);
		range->upper = hash_bound(row->upper, PG_INT32_MAX);
		/* its place in shard_ids, until they are sorted */
		range->shard_index = group->range_count;
		shard_ids[group->range_count++] = row->shard_id;
	}
	qsort(group->ranges, count, sizeof(TessRange), compare_ranges);
	check_ranges(group);
	for (int i = 0; i < count; i++)
	{
		TessRange *range = &group->ranges[i];

		range->shard_index = shard_index(group, shard_ids[range->shard_index]);
	}
	pfree(shard_ids);
}

/* True if this server has a shard of the group. */
static bool
has_shard_here(const TessGroup *group)
{
	ListCell *cell;

	foreach(cell, tess_cat_nodes())
	{
		const TessNodeRow *row = lfirst(cell);

		if (row->server != NULL)
			continue;
		for (int i = 0; i < group->shard_count; i++)
			for (int j = 0; j < group->shards[i].node_count; j++)
				if (group->shards[i].node_ids[j] == row->node_id)
					return true;
	}
	return false;
}

TessGroup *
tess_meta_build_group(int32 colocation_id)
{
	TessGroupRow *row = tess_cat_group(colocation_id);
	TessGroup *group;
	const char *reason = NULL;

	if (row == NULL)
		return NULL;
	if (row->strategy != TESS_HASH)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("colocation group %d is not distributed by hash",
							   colocation_id)));
	group = palloc0(sizeof(TessGroup));
	group->colocation_id = colocation_id;
	group->strategy = row->strategy;
	group->key_type = row->key_type;
	group->key_collation = row->key_collation;
	if (!tess_meta_hasher_init(&group->hasher, row->key_type, row->key_collation,
							   CurrentMemoryContext, &reason))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key type of colocation group %d cannot be hashed",
						colocation_id),
				 errdetail_internal("%s", reason)));
	build_shards(group);
	group->is_here = has_shard_here(group);
	return group;
}

TessGroup *
tess_meta_copy_group(const TessGroup *group, MemoryContext context)
{
	TessGroup *copy = copy_bytes(context, group, sizeof(TessGroup));

	copy->ranges = copy_bytes(context, group->ranges,
							  sizeof(TessRange) * group->range_count);
	copy->shards = copy_bytes(context, group->shards,
							  sizeof(TessShard) * group->shard_count);
	for (int i = 0; i < group->shard_count; i++)
		copy->shards[i].node_ids = copy_bytes(context, group->shards[i].node_ids,
											  sizeof(int32) *
												  group->shards[i].node_count);
	if (OidIsValid(group->hasher.hash.fn_oid))
		fmgr_info_copy(&copy->hasher.hash,
					   unconstify(FmgrInfo *, &group->hasher.hash), context);
	return copy;
}

/* tables -------------------------------------------------------------- */

/* May a shard of table enforce the foreign keys of this relation? */
static bool
is_enforced_by_shards(Oid referrer, const TessTableRow *table)
{
	TessTableRow *row;

	/* All servers have the same reference table: theirs refer to it. */
	if (table->kind == TESS_REFERENCE || referrer == table->relation)
		return true;
	row = tess_cat_table(referrer);
	return row != NULL && row->kind == TESS_DISTRIBUTED &&
		   row->colocation_id == table->colocation_id;
}

/*
 * A table that refers to this one from where the shards do not see it,
 * InvalidOid if there is none.
 */
static Oid
find_foreign_referrer(Relation relation, const TessTableRow *row)
{
	TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
			!is_enforced_by_shards(trigger->tgconstrrelid, row))
			return trigger->tgconstrrelid;
	}
	return InvalidOid;
}

static void
fill_key(TessTable *table, Relation relation, const TessTableRow *row)
{
	TupleDesc desc = RelationGetDescr(relation);
	Form_pg_attribute column;

	table->key_attnum = get_attnum(table->relation, row->key_column);
	if (table->key_attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("distribution column \"%s\" of table \"%s\" does not exist",
						row->key_column, RelationGetRelationName(relation)),
				 errhint("Put the name of the column into tessera.\"table\".")));
	column = TupleDescAttr(desc, table->key_attnum - 1);
	table->key_type = column->atttypid;
	table->key_typmod = column->atttypmod;
	table->key_collation = column->attcollation;
	table->group = tess_meta_group(row->colocation_id);
}

/* What fires a trigger. */
static int
events_of(const Trigger *trigger)
{
	int events = 0;

	if (TRIGGER_FOR_INSERT(trigger->tgtype))
		events |= TESS_EVENT(CMD_INSERT);
	if (TRIGGER_FOR_UPDATE(trigger->tgtype))
		events |= TESS_EVENT(CMD_UPDATE);
	if (TRIGGER_FOR_DELETE(trigger->tgtype))
		events |= TESS_EVENT(CMD_DELETE);
	return events;
}

static void
fill_triggers(TessTable *table, Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		bool is_before = TRIGGER_FOR_BEFORE(trigger->tgtype);

		if (trigger->tgisinternal)
			continue;
		if (table->kind == TESS_REFERENCE)
			table->has_triggers = true;
		if (!TRIGGER_FOR_ROW(trigger->tgtype))
		{
			if (table->kind == TESS_DISTRIBUTED)
				table->statement_events |= events_of(trigger);
			continue;
		}
		table->has_triggers = true;
		if (is_before && TRIGGER_FOR_INSERT(trigger->tgtype))
			table->alters_inserts = true;
		if (is_before && TRIGGER_FOR_UPDATE(trigger->tgtype))
			table->alters_updates = true;
		if (is_before && TRIGGER_FOR_DELETE(trigger->tgtype))
			table->alters_deletes = true;
	}
}

static void
fill_size(TessTable *table)
{
	TessSizeRow size = {-1, -1};

	(void) tess_cat_size(table->relation, &size);
	table->known_rows = size.rows;
	table->known_pages = (double) size.pages;
}

TessTable *
tess_meta_build_table(Oid oid, bool *is_gone)
{
	TessTableRow *row = tess_cat_table(oid);
	Relation relation;
	TessTable *table;

	*is_gone = false;
	if (row == NULL)
		return NULL;
	relation = try_relation_open(oid, AccessShareLock);
	if (relation == NULL)
	{
		*is_gone = true;
		return NULL;
	}

	/* who undistributes a table has its lock: look again now that we have it */
	row = tess_cat_table(oid);
	if (row == NULL)
	{
		relation_close(relation, AccessShareLock);
		return NULL;
	}
	table = palloc0(sizeof(TessTable));
	table->relation = oid;
	table->kind = row->kind;
	table->made_by = row->made_by;
	table->schema = get_namespace_name(RelationGetNamespace(relation));
	table->name = pstrdup(RelationGetRelationName(relation));
	table->is_partitioned = relation->rd_rel->relkind ==
							RELKIND_PARTITIONED_TABLE;
	if (row->kind == TESS_DISTRIBUTED)
	{
		fill_key(table, relation, row);
		fill_size(table);
	}
	table->foreign_referrer = find_foreign_referrer(relation, row);
	fill_triggers(table, relation);
	relation_close(relation, AccessShareLock);
	return table;
}

TessTable *
tess_meta_copy_table(const TessTable *table, MemoryContext context)
{
	TessTable *copy = copy_bytes(context, table, sizeof(TessTable));

	copy->schema = MemoryContextStrdup(context, table->schema);
	copy->name = MemoryContextStrdup(context, table->name);
	return copy;
}

List *
tess_meta_add_triggered(List *tables)
{
	List *added = NIL;
	ListCell *cell;

	foreach(cell, tables)
	{
		const TessTable *table = tess_meta_table(lfirst_oid(cell));

		if (table != NULL && table->has_triggers &&
			table->kind == TESS_DISTRIBUTED)
			added = list_concat_unique_oid(added,
										   tess_cat_tables_of_group(
											   table->group->colocation_id));
	}
	return list_concat_unique_oid(tables, added);
}
