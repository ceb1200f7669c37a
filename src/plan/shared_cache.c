/*
 * shared_cache.c - the plans that this session keeps for statements that differ
 * only in constants, and when it stops believing in them.
 *
 * Found by the hash of a statement's shape, and equal(), with the role that runs
 * it.  The ones used last stay: up to tessera.plan_cache_size of them, and
 * MAX_BYTES.  One that has to go, for room or because something that it depends
 * on has changed, is not found any more; its memory goes when nobody runs it.
 *
 * Who gets a plan pins it to the memory context it is planned in, as what
 * planners return lives there.
 *
 * Statements that were found to share no plan are known by their hashes alone,
 * and a newer one takes an older one's place: one that is wrongly among them is
 * planned as ever.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/ilist.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "plan/plan.h"
#include "plan/shared_plan.h"

#define BUCKET_COUNT 1024
#define REFUSED_COUNT 1024

/* Of all plans, and of one: sessions stay small. */
#define MAX_BYTES (8 * 1024 * 1024)
#define MAX_PLAN_BYTES (512 * 1024)

/* What changes of make all plans void, as those of its tables do. */
static const char *const watched_catalogs[] = {"node", "colocation", "shard",
											   "table", "object"};

typedef struct SharedPlan
{
	MemoryContext context; /* has all of it */
	Size bytes;
	uint64 hash;
	Oid role;
	int count; /* of slots */
	int *numbers;
	Query *blank;
	PlannedStmt *stmt;

	int pins;
	bool is_kept;	 /* in the lists */
	dlist_node link; /* of its bucket */
	dlist_node use;	 /* by last use, the latest first */
} SharedPlan;

typedef struct Refused
{
	uint64 hash;
	Oid relation; /* a table of the statement; InvalidOid: empty */
} Refused;

static struct
{
	uint64 generation;
	MemoryContext context; /* NULL: nothing has been kept yet */
	int count;
	Size bytes;
	Oid watched[lengthof(watched_catalogs)];
	dlist_head by_use;
	dlist_head buckets[BUCKET_COUNT];
	Refused refused[REFUSED_COUNT];

	/* counters */
	int64 hits;
	int64 misses;
	int64 refusals;
	int64 evicted;
	int64 invalidated;
} cache;

static int plan_cache_size = 256;

PG_FUNCTION_INFO_V1(tess_plan_cache_counters);
PG_FUNCTION_INFO_V1(tess_plan_cache_counters_reset);

/* Called before anything is remembered. */
static void
watch_catalogs(void)
{
	for (int i = 0; i < lengthof(watched_catalogs); i++)
		cache.watched[i] = tess_catalog_relation_oid(watched_catalogs[i]);
}

/* Plans ------------------------------------------------------------------------ */

static void
forget(SharedPlan *plan)
{
	dlist_delete(&plan->link);
	dlist_delete(&plan->use);
	cache.count--;
	cache.bytes -= plan->bytes;
	plan->is_kept = false;
	if (plan->pins == 0)
		MemoryContextDelete(plan->context);
}

static void
unpin(void *arg)
{
	SharedPlan *plan = arg;

	plan->pins--;
	if (plan->pins == 0 && !plan->is_kept)
		MemoryContextDelete(plan->context);
}

static void
pin(SharedPlan *plan)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = unpin;
	callback->arg = plan;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	plan->pins++;
}

static dlist_head *
bucket_of(uint64 hash)
{
	return &cache.buckets[hash % BUCKET_COUNT];
}

static bool
has_shape(const SharedPlan *plan, const TessShape *shape)
{
	if (plan->hash != shape->hash || plan->role != shape->role ||
		plan->count != shape->count)
		return false;
	for (int i = 0; i < shape->count; i++)
		if (plan->numbers[i] != shape->slots[i].number)
			return false;
	return equal(plan->blank, shape->query);
}

const PlannedStmt *
tess_shared_find(const TessShape *shape)
{
	dlist_iter iter;

	if (cache.count == 0)
		return NULL;
	dlist_foreach(iter, bucket_of(shape->hash))
	{
		SharedPlan *plan = dlist_container(SharedPlan, link, iter.cur);

		if (!has_shape(plan, shape))
			continue;
		pin(plan);
		dlist_move_head(&cache.by_use, &plan->use);
		cache.hits++;
		return plan->stmt;
	}
	return NULL;
}

static SharedPlan *
copy_plan(const TessShape *shape, const Query *blank, const PlannedStmt *stmt,
		  MemoryContext context)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);
	SharedPlan *plan = palloc0(sizeof(SharedPlan));

	plan->context = context;
	plan->hash = shape->hash;
	plan->role = shape->role;
	plan->count = shape->count;
	plan->numbers = palloc(shape->count * sizeof(int));
	for (int i = 0; i < shape->count; i++)
		plan->numbers[i] = shape->slots[i].number;
	plan->blank = copyObject(unconstify(Query *, blank));
	plan->stmt = copyObject(unconstify(PlannedStmt *, stmt));
	plan->bytes = MemoryContextMemAllocated(context, true);
	MemoryContextSwitchTo(old_context);
	return plan;
}

static void
make_room(Size bytes)
{
	while (cache.count > 0 &&
		   (cache.count >= plan_cache_size || cache.bytes + bytes > MAX_BYTES))
	{
		forget(dlist_tail_element(SharedPlan, use, &cache.by_use));
		cache.evicted++;
	}
}

void
tess_shared_keep(const TessShape *shape, const Query *blank,
				 const PlannedStmt *stmt, uint64 generation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera shared plan",
												  ALLOCSET_SMALL_SIZES);
	SharedPlan *plan = copy_plan(shape, blank, stmt, context);

	cache.misses++;
	watch_catalogs();
	if (generation != cache.generation || plan->bytes > MAX_PLAN_BYTES)
	{
		MemoryContextDelete(context);
		return;
	}
	if (cache.context == NULL)
		cache.context = AllocSetContextCreate(CacheMemoryContext,
											  "tessera shared plans",
											  ALLOCSET_SMALL_SIZES);
	make_room(plan->bytes);
	MemoryContextSetParent(context, cache.context);
	plan->is_kept = true;
	dlist_push_head(bucket_of(plan->hash), &plan->link);
	dlist_push_head(&cache.by_use, &plan->use);
	cache.count++;
	cache.bytes += plan->bytes;
}

bool
tess_shared_is_on(void)
{
	return plan_cache_size > 0;
}

uint64
tess_shared_generation(void)
{
	return cache.generation;
}

/* Refusals --------------------------------------------------------------------- */

bool
tess_shared_is_refused(const TessShape *shape)
{
	const Refused *refused = &cache.refused[shape->hash % REFUSED_COUNT];

	if (refused->hash != shape->hash || !OidIsValid(refused->relation))
		return false;
	cache.refusals++;
	return true;
}

void
tess_shared_refuse(const TessShape *shape)
{
	Refused *refused = &cache.refused[shape->hash % REFUSED_COUNT];

	watch_catalogs();
	refused->hash = shape->hash;
	refused->relation = shape->relation;
	cache.refusals++;
}

/* Invalidation.  These neither allocate nor fail. ---------------------------- */

static void
forget_all(void)
{
	cache.generation++;
	while (cache.count > 0)
	{
		forget(dlist_head_element(SharedPlan, use, &cache.by_use));
		cache.invalidated++;
	}
	memset(cache.refused, 0, sizeof(cache.refused));
}

static void
relcache_callback(Datum arg, Oid relation)
{
	bool all = !OidIsValid(relation);
	dlist_mutable_iter iter;

	for (int i = 0; i < lengthof(cache.watched); i++)
		all |= relation == cache.watched[i];
	if (all)
	{
		forget_all();
		return;
	}
	cache.generation++;
	for (int i = 0; i < REFUSED_COUNT; i++)
		if (cache.refused[i].relation == relation)
			cache.refused[i].relation = InvalidOid;
	if (cache.count == 0)
		return;
	dlist_foreach_modify(iter, &cache.by_use)
	{
		SharedPlan *plan = dlist_container(SharedPlan, use, iter.cur);

		if (!list_member_oid(plan->stmt->relationOids, relation))
			continue;
		forget(plan);
		cache.invalidated++;
	}
}

static bool
depends_on(const SharedPlan *plan, int cache_id, uint32 hash_value)
{
	ListCell *cell;

	foreach(cell, plan->stmt->invalItems)
	{
		const PlanInvalItem *item = lfirst_node(PlanInvalItem, cell);

		if (item->cacheId == cache_id &&
			(hash_value == 0 || item->hashValue == hash_value))
			return true;
	}
	return false;
}

/* Functions and types. */
static void
object_callback(Datum arg, int cache_id, uint32 hash_value)
{
	dlist_mutable_iter iter;

	cache.generation++;
	if (cache.count == 0)
		return;
	dlist_foreach_modify(iter, &cache.by_use)
	{
		SharedPlan *plan = dlist_container(SharedPlan, use, iter.cur);

		if (!depends_on(plan, cache_id, hash_value))
			continue;
		forget(plan);
		cache.invalidated++;
	}
}

/* What changes seldom, and may be of any plan: as in core's cache of plans. */
static void
catalog_callback(Datum arg, int cache_id, uint32 hash_value)
{
	forget_all();
}

/* See plan.h. */
void
tess_plan_cache_discard(void)
{
	forget_all();
}

/* Counters ----------------------------------------------------------------- */

/* tessera_internal.plan_cache_counters(): one row. */
PGDLLEXPORT Datum
tess_plan_cache_counters(PG_FUNCTION_ARGS)
{
	Datum values[7];

	values[0] = Int64GetDatum(cache.hits);
	values[1] = Int64GetDatum(cache.misses);
	values[2] = Int64GetDatum(cache.refusals);
	values[3] = Int64GetDatum(cache.evicted);
	values[4] = Int64GetDatum(cache.invalidated);
	values[5] = Int32GetDatum(cache.count);
	values[6] = Int64GetDatum((int64) cache.bytes);
	return tess_result_row(fcinfo, lengthof(values), values);
}

/* tessera_internal.reset_plan_cache_counters() */
PGDLLEXPORT Datum
tess_plan_cache_counters_reset(PG_FUNCTION_ARGS)
{
	cache.hits = cache.misses = cache.refusals = 0;
	cache.evicted = cache.invalidated = 0;
	PG_RETURN_VOID();
}

/* The setting, and the callbacks. */
void
tess_shared_cache_init(void)
{
	dlist_init(&cache.by_use);
	for (int i = 0; i < BUCKET_COUNT; i++)
		dlist_init(&cache.buckets[i]);
	DefineCustomIntVariable("tessera.plan_cache_size",
							"Sets how many plans a session keeps for statements that differ only in constants.",
							"0 keeps none.", &plan_cache_size, 256, 0, 65536,
							PGC_USERSET, 0, NULL, NULL, NULL);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, object_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, object_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(OPEROID, catalog_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(AMOPOPID, catalog_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(COLLOID, catalog_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, catalog_callback, (Datum) 0);
}
