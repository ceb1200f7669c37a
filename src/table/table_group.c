/*
 * table_group.c - the colocation group that a table joins, is first of, or
 * leaves.
 *
 * Locks (objects of the catalog "colocation", until commit): ShareLock on a
 * group by who adds a table to it; AccessExclusiveLock by who adds the first
 * or removes the last table of a source schema, because the schemas of the
 * shards then come or go.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "table/table_internal.h"
#include "utils/guc.h"

#define COLOCATE_HINT \
	"colocate_with is 'default', 'none', or the name of a distributed table."

static int default_shard_count = 32;

static int32 find_default_group(const TessTableRequest *request);
static int32 find_named_group(const TessTableRequest *request);
static const TessTable *colocated_table(const char *name);
static int32 insert_group(const TessTableRequest *request, bool is_default);
static int wanted_shard_count(const TessTableRequest *request);
static bool lock_to_join(int32 colocation_id, Oid namespace);
static bool schema_has_tables(int32 colocation_id, Oid namespace);

void
tess_table_init(void)
{
	DefineCustomIntVariable("tessera.shard_count",
							"Number of shards of a new colocation group.", NULL,
							&default_shard_count, 32, 1, 64000, PGC_USERSET, 0,
							NULL, NULL, NULL);
}

/* The group for a table to be distributed, new if there is none; locked. */
int32
tess_table_choose_group(const TessTableRequest *request)
{
	Oid namespace = RelationGetNamespace(request->rel);

	for (;;)
	{
		int32 colocation_id;

		if (request->colocation_id != 0)
			colocation_id = request->colocation_id;
		else if (strcmp(request->colocate_with, "none") == 0)
			colocation_id = insert_group(request, false);
		else if (strcmp(request->colocate_with, "default") == 0)
			colocation_id = find_default_group(request);
		else
			colocation_id = find_named_group(request);
		/* Else its last table was dropped while we waited. */
		if (lock_to_join(colocation_id, namespace))
			return colocation_id;
	}
}

static int
wanted_shard_count(const TessTableRequest *request)
{
	return request->shard_count > 0 ? request->shard_count : default_shard_count;
}

static int32
find_default_group(const TessTableRequest *request)
{
	int32 colocation_id = tess_cat_group_find_default(request->strategy,
													  request->hasher.type,
													  request->hasher.collation,
													  wanted_shard_count(request));

	/* If there is none, it is ours to make: we have the lock for that. */
	return colocation_id != 0 ? colocation_id : insert_group(request, true);
}

static int32
find_named_group(const TessTableRequest *request)
{
	const TessTable *table = colocated_table(request->colocate_with);
	const TessGroup *group = table->group;

	if (group->strategy != request->strategy)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("table \"%s\" is distributed by another strategy",
							   table->name),
						errhint("Colocated tables have the same strategy.")));
	if (group->key_type != request->hasher.type ||
		group->key_collation != request->hasher.collation)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot colocate with table \"%s\"", table->name),
				 group->key_type != request->hasher.type
					 ? errdetail("Its key is of type %s, column \"%s\" is of type %s.",
								 format_type_be(group->key_type), request->key,
								 format_type_be(request->hasher.type))
					 : errdetail("Its key has another collation than column \"%s\".",
								 request->key),
				 errhint(
					 "Choose another key, change the column, or use colocate_with => 'none'.")));
	if (request->shard_count > 0 && request->shard_count != group->shard_count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" has %d shards, not %d", table->name,
						group->shard_count, request->shard_count),
				 errhint(
					 "Leave shard_count out when colocate_with names a table.")));
	return group->colocation_id;
}

/* Locked against being dropped until commit. */
static const TessTable *
colocated_table(const char *name)
{
	Oid relation = tess_relation_by_name(name, AccessShareLock, _(COLOCATE_HINT));
	const TessTable *table;

	table = tess_meta_table(relation);
	if (table == NULL || table->kind != TESS_DISTRIBUTED)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a distributed table", name),
						errhint(COLOCATE_HINT)));
	return table;
}

/* A new group, its shards dealt out to the nodes in turn. */
static int32
insert_group(const TessTableRequest *request, bool is_default)
{
	TessGroupRow row = {0};
	List *ranges = NIL;
	List *nodes = tess_meta_shard_nodes();
	int64 *shard_ids;
	int32 colocation_id;
	int count = wanted_shard_count(request);

	row.strategy = request->strategy;
	row.key_type = request->hasher.type;
	row.key_collation = request->hasher.collation;
	row.shard_count = count;
	row.is_default = is_default;
	for (int i = 0; i < count; i++)
	{
		TessRangeRow *range = palloc0(sizeof(TessRangeRow));
		int64 lower = PG_INT32_MIN + (((int64) i << 32) / count);
		int64 upper = PG_INT32_MIN + (((int64) (i + 1) << 32) / count) - 1;

		range->shard_id = i;
		range->lower = psprintf(INT64_FORMAT, lower);
		range->upper = psprintf(INT64_FORMAT, upper);
		ranges = lappend(ranges, range);
	}
	colocation_id = tess_cat_group_insert(&row, ranges, &shard_ids);
	for (int i = 0; i < count; i++)
	{
		const TessNode *node = list_nth(nodes, i % list_length(nodes));

		tess_cat_placement_insert(shard_ids[i], node->node_id);
	}
	return colocation_id;
}

/* False if the group is gone. */
static bool
lock_to_join(int32 colocation_id, Oid namespace)
{
	for (;;)
	{
		bool is_first = !schema_has_tables(colocation_id, namespace);

		tess_cat_group_lock(colocation_id,
							is_first ? AccessExclusiveLock : ShareLock);
		if (tess_cat_group(colocation_id) == NULL)
			return false;
		if (is_first || schema_has_tables(colocation_id, namespace))
			return true;
	}
}

static bool
schema_has_tables(int32 colocation_id, Oid namespace)
{
	ListCell *lc;

	foreach(lc, tess_cat_tables_of_group(colocation_id))
	{
		if (get_rel_namespace(lfirst_oid(lc)) == namespace)
			return true;
	}
	return false;
}

/*
 * For a table that is in the catalogs no more: true if the schemas of the
 * group's shards for this source schema have to go.  The group is deleted
 * if it has no tables left; call tess_work_of_group() before.
 */
bool
tess_table_leave_group(int32 colocation_id, const char *schema)
{
	Oid namespace = get_namespace_oid(schema, true);
	bool is_last = false;

	if (!OidIsValid(namespace) || !schema_has_tables(colocation_id, namespace))
	{
		tess_cat_group_lock(colocation_id, AccessExclusiveLock);
		is_last = !OidIsValid(namespace) ||
				  !schema_has_tables(colocation_id, namespace);
	}
	if (is_last && tess_cat_tables_of_group(colocation_id) == NIL)
		tess_cat_group_delete(colocation_id);
	return is_last;
}
