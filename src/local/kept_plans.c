/*
 * kept_plans.c - plans of statements that run in process again and again.
 *
 * A text that comes for the second time, with parameters of the same types, is
 * parsed and analyzed once and kept in PostgreSQL's cache of plans, which sees to
 * its invalidation and chooses between custom and generic plans, as it does for
 * what a node has prepared.  The statements that were used last are kept.
 * Does not execute.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "parser/parse_param.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/base.h"
#include "local/local.h"
#include "local/local_internal.h"

/* Each statement has a plan for each shard it comes to. */
#define KEPT_COUNT 1024
#define KEPT_BYTES (8 * 1024 * 1024)

/* Texts that came once, by their hashes; a newer one takes an older one's
 * place. */
#define SEEN_COUNT 1024

typedef struct Kept
{
	uint64 hash; /* of text, types and options; key of the table, so it comes first */
	uint64 serial; /* no other statement has ever had it; 0: there is none */
	CachedPlanSource *source;
	Size bytes;		 /* about: a plan is as large as its query */
	dlist_node link; /* by last use, the latest first */
} Kept;

static struct
{
	HTAB *table; /* NULL: nothing was kept yet */
	dlist_head by_use;
	int count;
	Size bytes;
	uint64 last_serial;
	int planning; /* calls of PostgreSQL's cache that have not returned */
	const char *planned_text;
	int guc_level; /* of the pinned settings in such a call; 0: not pinned */
	uint64 seen[SEEN_COUNT];
} kept = {.by_use = DLIST_STATIC_INIT(kept.by_use)};

/* See local.h. */
bool
tess_local_is_planning(const char *query_string)
{
	return kept.planned_text != NULL && query_string == kept.planned_text;
}

static uint64
hash_of(const char *sql, const ParamListInfoData *params, int cursor_options)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) sql, strlen(sql),
									  cursor_options);

	for (int i = 0; params != NULL && i < params->numParams; i++)
		hash = hash_combine64(hash, params->params[i].ptype);
	return hash;
}

static bool
is_of(const CachedPlanSource *source, const char *sql,
	  const ParamListInfoData *params, int cursor_options)
{
	int count = params ? params->numParams : 0;

	if (source->num_params != count ||
		(source->cursor_options & ~CURSOR_OPT_GENERIC_PLAN) != cursor_options ||
		strcmp(source->query_string, sql) != 0)
		return false;
	for (int i = 0; i < count; i++)
	{
		if (source->param_types[i] != params->params[i].ptype)
			return false;
	}
	return true;
}

/* Forgets what was not used for longest.  Plans that are being executed live
 * on. */
static void
evict(void)
{
	Kept *oldest = dlist_tail_element(Kept, link, &kept.by_use);
	CachedPlanSource *source = oldest->source;

	dlist_delete(&oldest->link);
	oldest->serial = 0;
	kept.bytes -= oldest->bytes;
	(void) hash_search(kept.table, &oldest->hash, HASH_REMOVE, NULL);
	kept.count--;
	DropCachedPlan(source);
}

static bool
is_planned(const Node *statement)
{
	return IsA(statement, SelectStmt) || IsA(statement, InsertStmt) ||
		   IsA(statement, UpdateStmt) || IsA(statement, DeleteStmt) ||
		   IsA(statement, MergeStmt) || IsA(statement, CallStmt);
}

/*
 * Core calls this wherever the text is analyzed, again too, as when somebody has
 * changed a table while its lock was waited for.  Literals are read then.
 */
static void
setup_parser(ParseState *state, void *arg)
{
	const CachedPlanSource *source = arg;

	if (kept.guc_level == 0)
		kept.guc_level = tess_settings_pin();
	setup_parse_fixed_parameters(state, source->param_types, source->num_params);
}

/* The statement, parsed and analyzed under the settings of a node; NULL: it is a
 * command, of which nothing is planned. */
static CachedPlanSource *
make_source(const char *sql, const ParamListInfoData *params, int cursor_options)
{
	int count = params ? params->numParams : 0;
	Oid *types = palloc(count * sizeof(Oid));
	int guc_level = tess_settings_pin();
	RawStmt *raw = tess_local_parse(sql);
	CachedPlanSource *source = NULL;
	List *queries;

	/* of a CALL nothing is planned: one for given values would be a copy, each time */
	if (IsA(raw->stmt, CallStmt))
		cursor_options |= CURSOR_OPT_GENERIC_PLAN;
	for (int i = 0; i < count; i++)
		types[i] = params->params[i].ptype;
	if (is_planned(raw->stmt))
	{
		source = CreateCachedPlan(raw, sql, CreateCommandTag(raw->stmt));
		queries = pg_analyze_and_rewrite_fixedparams(raw, sql, types, count,
													 NULL);
		CompleteCachedPlan(source, queries, NULL, types, count, setup_parser,
						   source, cursor_options, false);
	}
	AtEOXact_GUC(true, guc_level);
	return source;
}

static Kept *
keep(uint64 hash, CachedPlanSource *source)
{
	Kept *entry;

	if (kept.table == NULL)
	{
		HASHCTL control = {.keysize = sizeof(uint64),
						   .entrysize = sizeof(Kept),
						   .hcxt = CacheMemoryContext};

		kept.table = hash_create("tessera plans in process", KEPT_COUNT,
								 &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(kept.table, &hash, HASH_ENTER, NULL);
	SaveCachedPlan(source);
	entry->serial = ++kept.last_serial;
	entry->source = source;
	entry->bytes = 2 * MemoryContextMemAllocated(source->context, true);
	kept.bytes += entry->bytes;
	dlist_push_head(&kept.by_use, &entry->link);
	kept.count++;
	return entry;
}

/*
 * The plan of a kept statement.  Where PostgreSQL's cache has a plan for any
 * values, and may only have to look whether it still stands, the path for names
 * is enough of a node's settings: all of them cost more than the rest.  The others
 * are pinned as soon as they matter, by setup_parser.
 */
static CachedPlan *
get_plan(CachedPlanSource *source, ParamListInfo params)
{
	const char *outer_text = kept.planned_text;
	bool has_plan = source->is_valid && source->gplan != NULL &&
					source->gplan->is_valid;
	int outer_level = kept.guc_level;
	int guc_level = 0;
	CachedPlan *plan = NULL;

	if (has_plan)
		PushOverrideSearchPath(source->search_path);
	else
		guc_level = tess_settings_pin();
	kept.planning++;
	PG_TRY();
	{
		kept.guc_level = guc_level;
		kept.planned_text = source->query_string;
		plan = GetCachedPlan(source, params, CurrentResourceOwner, NULL);
	}
	PG_FINALLY();
	{
		guc_level = kept.guc_level;
		kept.guc_level = outer_level;
		kept.planned_text = outer_text;
		kept.planning--;
	}
	PG_END_TRY();
	if (has_plan)
		PopOverrideSearchPath();
	if (guc_level != 0)
		AtEOXact_GUC(true, guc_level);
	return plan;
}

/* The entry of a statement that is kept, or is to be from now on; NULL: it is a command,
 * or comes for the first time and nobody says that it will again. */
static Kept *
find_or_keep(const char *sql, ParamListInfo params, bool read_only,
			 bool comes_again)
{
	int cursor_options = read_only ? CURSOR_OPT_PARALLEL_OK : 0;
	uint64 hash = hash_of(sql, params, cursor_options);
	Kept *entry = NULL;
	CachedPlanSource *source;

	if (kept.table != NULL)
		entry = hash_search(kept.table, &hash, HASH_FIND, NULL);
	if (entry != NULL)
	{
		if (!is_of(entry->source, sql, params, cursor_options))
			return NULL;
		dlist_move_head(&kept.by_use, &entry->link);
		return entry;
	}
	if (!comes_again && kept.seen[hash % SEEN_COUNT] != hash)
	{
		kept.seen[hash % SEEN_COUNT] = hash;
		return NULL;
	}
	source = make_source(sql, params, cursor_options);
	if (source == NULL)
		return NULL;
	entry = keep(hash, source);
	/* one that is being planned, by who called a function that is here, stays */
	while (kept.count > 1 && kept.planning == 0 &&
		   (kept.count > KEPT_COUNT || kept.bytes > KEPT_BYTES))
		evict();
	return entry;
}

/*
 * The plan of a statement that is kept; NULL: it is not, or yet.
 * ReleaseCachedPlan, with the resource owner that is current now, gives it back.
 * Needs an active snapshot.
 */
CachedPlan *
tess_kept_plan(const char *sql, ParamListInfo params, bool read_only)
{
	Kept *entry = find_or_keep(sql, params, read_only, false);

	return entry != NULL ? get_plan(entry->source, params) : NULL;
}

/* See local.h. */
bool
tess_local_is_kept(const TessKeptPlace *place)
{
	/* memory of the table's entries is never given back */
	return place->kept != NULL && place->kept->serial == place->serial;
}

/*
 * PostgreSQL compares a plan for any values with the mean cost of those it has made for
 * given ones, five at least.  What these cost for another shard tells as much at first:
 * a plan for each shard is enough then, if it is no dearer.
 */
static void
learn_from(CachedPlanSource *source, const TessKeptPlace *sibling)
{
	const CachedPlanSource *other;

	if (source->num_custom_plans > 0 || !tess_local_is_kept(sibling))
		return;
	other = sibling->kept->source;
	source->num_custom_plans = other->num_custom_plans;
	source->total_custom_cost = other->total_custom_cost;
}

/* See local.h. */
bool
tess_local_keep(TessKeptPlace *place, const char *sql, ParamListInfo params,
				bool read_only, const TessKeptPlace *sibling)
{
	Kept *entry = find_or_keep(sql, params, read_only, true);

	if (entry == NULL)
		return false;
	place->kept = entry;
	place->serial = entry->serial;
	if (entry->source->num_generic_plans == 0)
		learn_from(entry->source, sibling);
	return true;
}

/* See local.h. */
CachedPlan *
tess_local_plan(const TessKeptPlace *place, ParamListInfo params, TupleDesc *desc)
{
	Kept *entry = place->kept;
	CachedPlan *plan;

	dlist_move_head(&kept.by_use, &entry->link);
	plan = get_plan(entry->source, params);
	*desc = entry->source->resultDesc;
	return plan;
}
