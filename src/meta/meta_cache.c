/*
 * meta_cache.c - what this backend believes, and when it stops believing it.
 *
 * Everything hangs in one memory context, the "belief".  An invalidation that
 * touches more than one table moves the belief as a whole to the graveyard,
 * where it can still be read; the graveyard is emptied when the transaction
 * ends.  So nobody who holds a struct needs to know of invalidations, and the
 * callbacks neither allocate nor fail.
 *
 * What was built while an invalidation arrived is built again; if that goes on
 * it is given out, but not kept.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "base/base.h"
#include "meta/meta_internal.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define MAX_BUILDS 3

/* tessera."table", and all that a change of makes us forget everything. */
static const char *const watched_catalogs[] = {"cluster",	  "node",
											   "colocation",  "shard",
											   "shard_range", "placement",
											   "table",		  "function"};

typedef struct TableEntry
{
	Oid relation;		   /* hash key */
	TessTable *table;	   /* NULL: not one of ours */
	MemoryContext context; /* of table alone; NULL if it is NULL */
} TableEntry;

typedef struct GroupEntry
{
	int32 colocation_id; /* hash key */
	TessGroup *group;
} GroupEntry;

static struct
{
	uint64 generation;		 /* counts what makes a build in progress void */
	uint64 changes;			 /* see tess_meta_changes() */
	Oid building;			 /* the relation whose entry is being built */
	MemoryContext graveyard; /* children live to the end of the transaction */
	MemoryContext belief;	 /* NULL: nothing is believed; owns all below */
	HTAB *tables;
	HTAB *groups;
	TessNode **nodes; /* NULL: not built */
	int node_count;
	TessFunction **functions; /* NULL: not built */
	int function_count;
	Oid watched[lengthof(watched_catalogs)];
} cache;

/* invalidation ---------------------------------------------------------- */

static void
forget_all(void)
{
	cache.generation++;
	cache.changes++;
	if (cache.belief == NULL)
		return;
	MemoryContextSetParent(cache.belief, cache.graveyard);
	cache.belief = NULL;
	cache.tables = NULL;
	cache.groups = NULL;
	cache.nodes = NULL;
	cache.node_count = 0;
	cache.functions = NULL;
	cache.function_count = 0;
}

static void
forget_table(Oid relation)
{
	TableEntry *entry;

	if (relation == cache.building)
		cache.generation++;
	if (cache.belief == NULL)
		return;
	entry = hash_search(cache.tables, &relation, HASH_FIND, NULL);
	if (entry == NULL)
		return;
	if (entry->context != NULL)
	{
		cache.changes++;
		MemoryContextSetParent(entry->context, cache.graveyard);
	}
	(void) hash_search(cache.tables, &relation, HASH_REMOVE, NULL);
}

static void
relcache_callback(Datum arg, Oid relation)
{
	bool all = !OidIsValid(relation);

	for (int i = 0; i < lengthof(cache.watched) && !all; i++)
		all = relation == cache.watched[i];
	if (all)
		forget_all();
	else
		forget_table(relation);
}

/* Schemas (names of tables; the extension itself) and foreign servers. */
static void
syscache_callback(Datum arg, int cache_id, uint32 hash_value)
{
	forget_all();
}

/*
 * This runs after the callbacks of folders above, which registered later, so
 * they may still use what they hold.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			MemoryContextDeleteChildren(cache.graveyard);
			break;
		default:
			break;
	}
}

void
tess_meta_init(void)
{
	cache.graveyard = AllocSetContextCreate(TopMemoryContext, "Tessera graveyard",
											ALLOCSET_SMALL_SIZES);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, syscache_callback, (Datum) 0);
	RegisterXactCallback(xact_callback, NULL);
	tess_shard_call_init();
}

/* lookups --------------------------------------------------------------- */

static HTAB *
make_hash(const char *name, Size key_size, Size entry_size, MemoryContext context)
{
	HASHCTL control = {0};

	control.keysize = key_size;
	control.entrysize = entry_size;
	control.hcxt = context;
	return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* OIDs of the catalogs to watch; false if they change under our eyes. */
static bool
find_watched(void)
{
	uint64 generation = cache.generation;

	for (int i = 0; i < lengthof(watched_catalogs); i++)
		cache.watched[i] = tess_catalog_relation_oid(watched_catalogs[i]);
	return generation == cache.generation;
}

/*
 * Makes sure that there is a belief, if an empty one, unless that is hopeless.
 * We have to know whose changes matter before anything is read.
 */
static void
ensure_belief(void)
{
	MemoryContext context;
	HTAB *tables;
	HTAB *groups;

	if (cache.belief != NULL || !find_watched())
		return;

	/* Published last, with nothing in between that may fail. */
	context = AllocSetContextCreate(cache.graveyard, "Tessera belief",
									ALLOCSET_SMALL_SIZES);
	tables = make_hash("Tessera tables", sizeof(Oid), sizeof(TableEntry),
					   context);
	groups = make_hash("Tessera groups", sizeof(int32), sizeof(GroupEntry),
					   context);
	MemoryContextSetParent(context, CacheMemoryContext);
	cache.tables = tables;
	cache.groups = groups;
	cache.belief = context;
}

/* A build of one thing: begin, (build), until end says that it is good. */
typedef struct Build
{
	uint64 generation;
	int attempts;
	MemoryContext scratch; /* current during the build */
	MemoryContext caller;
} Build;

static void
build_begin(Build *build)
{
	build->attempts = 0;
	build->caller = CurrentMemoryContext;
	build->scratch = AllocSetContextCreate(CurrentMemoryContext, "Tessera build",
										   ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(build->scratch);
	ensure_belief();
	build->generation = cache.generation;
}

/* True if an invalidation came, and it is worth trying again. */
static bool
build_is_void(Build *build)
{
	if (build->generation == cache.generation || ++build->attempts == MAX_BUILDS)
		return false;
	MemoryContextReset(build->scratch);
	ensure_belief();
	build->generation = cache.generation;
	return true;
}

/* May it be kept?  If so, in the belief, which is there. */
static bool
build_is_kept(const Build *build)
{
	return build->generation == cache.generation && cache.belief != NULL;
}

/* A context for the copy: of the belief, or to be given out only. */
static MemoryContext
build_copy_context(const Build *build)
{
	return AllocSetContextCreate(build_is_kept(build) ? cache.belief
													  : cache.graveyard,
								 "Tessera meta", ALLOCSET_SMALL_SIZES);
}

static void
build_end(Build *build)
{
	MemoryContextSwitchTo(build->caller);
	MemoryContextDelete(build->scratch);
}

static const TessTable *
build_table(Oid relation)
{
	Build build;
	TessTable *table;
	MemoryContext context = NULL;
	bool is_gone;

	build_begin(&build);
	do
	{
		cache.building = relation;
		table = tess_meta_build_table(relation, &is_gone);
		cache.building = InvalidOid;
	} while (build_is_void(&build));

	if (table != NULL)
	{
		context = build_copy_context(&build);
		table = tess_meta_copy_table(table, context);
	}
	if (build_is_kept(&build) && !is_gone)
	{
		TableEntry *entry = hash_search(cache.tables, &relation, HASH_ENTER,
										NULL);

		entry->table = table;
		entry->context = context;
	}
	build_end(&build);
	return table;
}

uint64
tess_meta_changes(void)
{
	return cache.changes;
}

const TessTable *
tess_meta_table(Oid relation)
{
	TableEntry *entry;

	/* Tables of initdb cannot be ours. */
	if (relation < FirstNormalObjectId || !tess_is_active())
		return NULL;
	if (tess_shard_call_is_shown())
		return tess_shard_call_shown(relation);
	if (cache.belief != NULL)
	{
		entry = hash_search(cache.tables, &relation, HASH_FIND, NULL);
		if (entry != NULL)
			return entry->table;
	}
	return build_table(relation);
}

bool
tess_meta_differs_by_shard(Oid type)
{
	Oid element;
	Oid relation;
	const TessTable *table;

	if (type < FirstNormalObjectId)
		return false;
	element = get_element_type(type);
	relation = get_typ_typrelid(OidIsValid(element) ? element : type);
	table = OidIsValid(relation) ? tess_meta_table(relation) : NULL;
	return table != NULL && table->kind == TESS_DISTRIBUTED;
}

const TessGroup *
tess_meta_group(int32 colocation_id)
{
	Build build;
	TessGroup *group;
	GroupEntry *entry;

	if (cache.belief != NULL)
	{
		entry = hash_search(cache.groups, &colocation_id, HASH_FIND, NULL);
		if (entry != NULL)
			return entry->group;
	}

	build_begin(&build);
	do
		group = tess_meta_build_group(colocation_id);
	while (build_is_void(&build));
	if (group == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("colocation group %d does not exist", colocation_id)));

	group = tess_meta_copy_group(group, build_copy_context(&build));
	if (build_is_kept(&build))
	{
		entry = hash_search(cache.groups, &colocation_id, HASH_ENTER, NULL);
		entry->group = group;
	}
	build_end(&build);
	return group;
}

const TessNode *const *
tess_meta_nodes(int *count)
{
	Build build;
	TessNode **nodes;

	if (cache.nodes == NULL)
	{
		build_begin(&build);
		do
			nodes = tess_meta_build_nodes(count);
		while (build_is_void(&build));
		nodes = tess_meta_copy_nodes(nodes, *count, build_copy_context(&build));
		if (build_is_kept(&build))
		{
			cache.nodes = nodes;
			cache.node_count = *count;
		}
		build_end(&build);
		return (const TessNode *const *) nodes;
	}
	*count = cache.node_count;
	return (const TessNode *const *) cache.nodes;
}

static const TessFunction *
find_function(TessFunction *const *functions, int count, Oid function)
{
	for (int i = 0; i < count; i++)
		if (functions[i]->function == function)
			return functions[i];
	return NULL;
}

const TessFunction *
tess_meta_function(Oid function)
{
	TessFunction **functions;
	Build build;
	int count;

	if (function < FirstNormalObjectId || !tess_is_active())
		return NULL;
	if (cache.functions != NULL)
		return find_function(cache.functions, cache.function_count, function);

	build_begin(&build);
	do
		functions = tess_meta_build_functions(&count);
	while (build_is_void(&build));
	functions = tess_meta_copy_functions(functions, count,
										 build_copy_context(&build));
	if (build_is_kept(&build))
	{
		cache.functions = functions;
		cache.function_count = count;
	}
	build_end(&build);
	return find_function(functions, count, function);
}

const TessNode *
tess_meta_node(int32 node_id)
{
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);

	for (int i = 0; i < count; i++)
		if (nodes[i]->node_id == node_id)
			return nodes[i];
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("node %d does not exist", node_id)));
}

List *
tess_meta_shard_nodes(void)
{
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);
	List *chosen = NIL;

	for (int i = 0; i < count; i++)
		if (nodes[i]->active && nodes[i]->holds_shards)
			chosen = lappend(chosen, unconstify(TessNode *, nodes[i]));
	for (int i = 0; i < count && chosen == NIL; i++)
		if (nodes[i]->is_local)
			chosen = lappend(chosen, unconstify(TessNode *, nodes[i]));
	if (chosen == NIL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("no node may hold shards"),
						errhint("Add a node with tessera.add_node().")));
	return chosen;
}

List *
tess_meta_remote_nodes(void)
{
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);
	List *chosen = NIL;

	for (int i = 0; i < count; i++)
		if (nodes[i]->active && !nodes[i]->is_local)
			chosen = lappend(chosen, unconstify(TessNode *, nodes[i]));
	return chosen;
}

char *
tess_meta_shard_relation(const TessTable *table, int64 shard_id)
{
	char *schema = tess_shard_schema_name(table->schema, shard_id);
	char *quoted = tess_quote_qualified(schema, table->name);

	pfree(schema);
	return quoted;
}
