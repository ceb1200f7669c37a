/*
 * shard_call.c - on the server that holds a shard: which shard's function is
 * being executed, and what its tables are.
 *
 * A copy of a function in a shard has the setting tessera.shard_call, so
 * PostgreSQL puts it in force with the function and takes it away again, whatever
 * ends that.  The setting says all: nodes have no catalogs of ours.  Anybody may
 * set it; it gives no rights, and makes statements be refused.
 *
 * Its text is that of a text[]: the shard's number, the ranges of hashes that it
 * holds ("lower:upper ..."), then for each table schema, name, key column, the
 * columns whose defaults are not here ("a, b"), its row security, and what fires
 * statement triggers.
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "meta/meta_internal.h"

/* So many texts are kept as structs: shards of this server. */
#define KEPT_CALLS 256
#define TABLE_FIELDS 6
#define HEAD_FIELDS 2

/* One that has to go while it is pinned goes with the last pin. */
typedef struct KeptCall
{
	TessShardCall call; /* comes first: it is what is given out */
	dlist_node link;	/* by last use, the latest first */
	bool is_kept;		/* in the list */
	int pins;
	MemoryContext context;
	char *text;
	List *groups; /* CallGroup * */
} KeptCall;

/* Made when keys of a type are compared with the call's ranges. */
typedef struct CallGroup
{
	MemoryContext context;
	uint64 generation; /* of types and functions, that it was made in */
	TessGroup group;
} CallGroup;

/* By TessSecurity. */
static const char *const security_words[] = {"", "enabled", "forced"};

static char *setting = NULL;

static struct
{
	dlist_head kept;
	int count;
	uint64 generation;
	const TessShardCall *shown; /* NULL: none */
	List *tables;				/* TessTable *, of what is shown */
} calls = {.kept = DLIST_STATIC_INIT(calls.kept)};

/* Texts ---------------------------------------------------------------------- */

static Datum *
add_field(Datum *field, const char *text)
{
	*field = CStringGetTextDatum(text);
	return field + 1;
}

static char *
write_ranges(const TessShardCall *call)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < call->range_count; i++)
		if (call->ranges[i].shard_index == 0)
			appendStringInfo(&text, "%s%d:%d", text.len > 0 ? " " : "",
							 call->ranges[i].lower, call->ranges[i].upper);
	return text.data;
}

static char *
write_columns(List *columns)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, columns)
		appendStringInfo(&text, "%s%s",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 quote_identifier(lfirst(cell)));
	return text.data;
}

char *
tess_shard_call_write(const TessShardCall *call)
{
	int count = HEAD_FIELDS + TABLE_FIELDS * list_length(call->tables);
	Datum *fields = palloc(count * sizeof(Datum));
	Datum *next = fields;
	ArrayType *array;
	ListCell *cell;

	next = add_field(next, psprintf(INT64_FORMAT, call->shard_id));
	next = add_field(next, write_ranges(call));
	foreach(cell, call->tables)
	{
		const TessCallTable *table = lfirst(cell);

		next = add_field(next, table->schema);
		next = add_field(next, table->name);
		next = add_field(next, table->key_column);
		next = add_field(next, write_columns(table->missing_defaults));
		next = add_field(next, security_words[table->security]);
		next = add_field(next, psprintf("%d", table->statement_events));
	}
	array = construct_array(fields, count, TEXTOID, -1, false, TYPALIGN_INT);
	return OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array));
}

static void
refuse_setting(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"%s\"", "tessera.shard_call"),
			 errhint("This setting is made by Tessera itself.")));
}

static TessRange *
add_range(TessShardCall *call, int64 lower, int64 upper, int shard_index)
{
	TessRange *range = &call->ranges[call->range_count];

	if (lower > upper)
		return range;
	range->lower = (int32) lower;
	range->upper = (int32) upper;
	range->shard_index = shard_index;
	call->range_count++;
	return range;
}

/* What lies between the shard's ranges is another's. */
static void
read_ranges(TessShardCall *call, char *text)
{
	int64 next = PG_INT32_MIN;
	char *rest = NULL;
	int words = 1;

	for (const char *c = text; *c != '\0'; c++)
		words += *c == ' ';
	call->ranges = palloc((2 * words + 1) * sizeof(TessRange));
	for (char *word = strtok_r(text, " ", &rest); word != NULL;
		 word = strtok_r(NULL, " ", &rest))
	{
		int lower;
		int upper;

		if (sscanf(word, "%d:%d", &lower, &upper) != 2 || lower < next ||
			lower > upper)
			refuse_setting();
		(void) add_range(call, next, (int64) lower - 1, 1);
		(void) add_range(call, lower, upper, 0);
		next = (int64) upper + 1;
	}
	(void) add_range(call, next, PG_INT32_MAX, 1);
}

static TessSecurity
read_security(const char *word)
{
	for (int i = 0; i < lengthof(security_words); i++)
		if (strcmp(word, security_words[i]) == 0)
			return i;
	refuse_setting();
	return TESS_FORCED_SECURITY;
}

static TessCallTable *
read_table(const Datum *fields)
{
	TessCallTable *table = palloc(sizeof(TessCallTable));
	List *names;

	table->schema = TextDatumGetCString(fields[0]);
	table->name = TextDatumGetCString(fields[1]);
	table->key_column = TextDatumGetCString(fields[2]);
	if (!SplitIdentifierString(TextDatumGetCString(fields[3]), ',', &names))
		refuse_setting();
	table->missing_defaults = names;
	table->security = read_security(TextDatumGetCString(fields[4]));
	table->statement_events = pg_strtoint32(TextDatumGetCString(fields[5]));
	return table;
}

static void
read_call(TessShardCall *call, const char *written)
{
	Datum array = OidInputFunctionCall(F_ARRAY_IN, unconstify(char *, written),
									   TEXTOID, -1);
	Datum *fields;
	bool *nulls;
	int count;

	memset(call, 0, sizeof(TessShardCall));
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &fields, &nulls, &count);
	if (count < HEAD_FIELDS || (count - HEAD_FIELDS) % TABLE_FIELDS != 0)
		refuse_setting();
	for (int i = 0; i < count; i++)
		if (nulls[i])
			refuse_setting();
	call->shard_id = pg_strtoint64(TextDatumGetCString(fields[0]));
	read_ranges(call, TextDatumGetCString(fields[1]));
	for (int i = HEAD_FIELDS; i < count; i += TABLE_FIELDS)
		call->tables = lappend(call->tables, read_table(&fields[i]));
}

/* See meta.h. */
const TessShardCall *
tess_shard_call_read(const char *text)
{
	KeptCall *kept = palloc0(sizeof(KeptCall));

	kept->context = CurrentMemoryContext;
	kept->pins = 1; /* for ever */
	read_call(&kept->call, text);
	return &kept->call;
}

/* Calls ---------------------------------------------------------------------- */

static void
drop_call(KeptCall *kept)
{
	dlist_delete(&kept->link);
	kept->is_kept = false;
	calls.count--;
	if (kept->pins == 0)
		MemoryContextDelete(kept->context);
}

static KeptCall *
keep_call(const char *text)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera shard call",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	KeptCall *kept = palloc0(sizeof(KeptCall));

	kept->context = context;
	kept->text = pstrdup(text);
	read_call(&kept->call, text);
	MemoryContextSwitchTo(old_context);
	MemoryContextSetParent(context, TopMemoryContext);
	dlist_push_head(&calls.kept, &kept->link);
	kept->is_kept = true;
	if (++calls.count > KEPT_CALLS)
		drop_call(dlist_tail_element(KeptCall, link, &calls.kept));
	return kept;
}

static KeptCall *
current_call(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &calls.kept)
	{
		KeptCall *kept = dlist_container(KeptCall, link, iter.cur);

		if (strcmp(kept->text, setting) != 0)
			continue;
		dlist_move_head(&calls.kept, &kept->link);
		return kept;
	}
	return keep_call(setting);
}

bool
tess_in_shard_call(void)
{
	return setting != NULL && setting[0] != '\0';
}

const TessShardCall *
tess_shard_call_pin(void)
{
	KeptCall *kept;

	if (!tess_in_shard_call())
		return NULL;
	kept = current_call();
	kept->pins++;
	return &kept->call;
}

void
tess_shard_call_unpin(const TessShardCall *call)
{
	KeptCall *kept = (KeptCall *) unconstify(TessShardCall *, call);

	if (--kept->pins == 0 && !kept->is_kept)
		MemoryContextDelete(kept->context);
}

const TessCallTable *
tess_shard_call_table(const TessShardCall *call, Oid relation)
{
	char *name = get_rel_name(relation);
	char *schema = name ? get_namespace_name(get_rel_namespace(relation)) : NULL;
	ListCell *cell;

	if (schema == NULL)
		return NULL;
	foreach(cell, call->tables)
	{
		const TessCallTable *table = lfirst(cell);

		if (strcmp(table->name, name) == 0 && strcmp(table->schema, schema) == 0)
			return table;
	}
	return NULL;
}

static CallGroup *
make_group(const TessShardCall *call, Oid key_type, Oid key_collation,
		   MemoryContext context)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);
	CallGroup *made = palloc0(sizeof(CallGroup));
	TessGroup *group = &made->group;
	const char *reason;

	made->context = context;
	made->generation = calls.generation;
	group->strategy = TESS_HASH;
	group->key_type = key_type;
	group->key_collation = key_collation;
	group->shard_count = 2;
	group->ranges = call->ranges;
	group->range_count = call->range_count;
	if (!tess_meta_hasher_init(&group->hasher, key_type, key_collation, context,
							   &reason))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("type %s cannot be a distribution key on this server",
						format_type_be(key_type)),
				 errdetail_internal("%s", reason),
				 errhint("Its definition has to be that of the coordinator.")));
	MemoryContextSwitchTo(old_context);
	return made;
}

/* What was made before a type or function changed goes, unless somebody else may
 * be looking at it. */
static void
drop_old_groups(KeptCall *kept)
{
	ListCell *cell;

	foreach(cell, kept->groups)
	{
		CallGroup *made = lfirst(cell);

		if (made->generation == calls.generation || kept->pins > 1)
			continue;
		kept->groups = foreach_delete_current(kept->groups, cell);
		MemoryContextDelete(made->context);
	}
}

const TessGroup *
tess_shard_call_group(const TessShardCall *call, Oid key_type, Oid key_collation)
{
	KeptCall *kept = (KeptCall *) unconstify(TessShardCall *, call);
	MemoryContext context;
	MemoryContext old_context;
	CallGroup *made;
	ListCell *cell;

	foreach(cell, kept->groups)
	{
		made = lfirst(cell);
		if (made->group.key_type == key_type &&
			made->group.key_collation == key_collation &&
			made->generation == calls.generation)
			return &made->group;
	}
	drop_old_groups(kept);
	context = AllocSetContextCreate(CurrentMemoryContext,
									"tessera shard call group",
									ALLOCSET_SMALL_SIZES);
	made = make_group(call, key_type, key_collation, context);
	old_context = MemoryContextSwitchTo(kept->context);
	kept->groups = lappend(kept->groups, made);
	MemoryContextSwitchTo(old_context);
	MemoryContextSetParent(context, kept->context);
	return &made->group;
}

/* Allocates nothing, and cannot fail. */
static void
syscache_callback(Datum arg, int cache_id, uint32 hash_value)
{
	calls.generation++;
}

/* The shard's tables as ours ------------------------------------------------- */

void
tess_shard_call_show(const TessShardCall *call)
{
	calls.tables = NIL;
	calls.shown = call;
}

void
tess_shard_call_hide(void)
{
	calls.shown = NULL;
	calls.tables = NIL;
}

bool
tess_shard_call_is_shown(void)
{
	return calls.shown != NULL;
}

/* In the current context, which is that of who shows them. */
const TessTable *
tess_shard_call_shown(Oid relation)
{
	const TessCallTable *from;
	TessTable *table;
	ListCell *cell;

	foreach(cell, calls.tables)
	{
		table = lfirst(cell);
		if (table->relation == relation)
			return table;
	}
	from = tess_shard_call_table(calls.shown, relation);
	if (from == NULL)
		return NULL;
	table = palloc0(sizeof(TessTable));
	table->relation = relation;
	table->kind = TESS_DISTRIBUTED;
	table->schema = from->schema;
	table->name = from->name;
	table->key_attnum = get_attnum(relation, from->key_column);
	if (table->key_attnum <= 0)
		return NULL;
	get_atttypetypmodcoll(relation, table->key_attnum, &table->key_type,
						  &table->key_typmod, &table->key_collation);
	table->known_rows = table->known_pages = -1;
	if (calls.tables != NIL)
		table->group = ((TessTable *) linitial(calls.tables))->group;
	else
		table->group = tess_shard_call_group(calls.shown, table->key_type,
											 table->key_collation);
	calls.tables = lappend(calls.tables, table);
	return table;
}

bool
tess_is_shard_schema(Oid schema)
{
	static const char mark[] = "tessera: shard ";
	char *comment = GetComment(schema, NamespaceRelationId, 0);

	return comment != NULL && strncmp(comment, mark, strlen(mark)) == 0;
}

void
tess_shard_call_init(void)
{
	DefineCustomStringVariable("tessera.shard_call",
							   "The shard whose copy of a function is being executed.",
							   "Set by the copy itself.", &setting, "",
							   PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE |
								   GUC_DISALLOW_IN_FILE,
							   NULL, NULL, NULL);
	/* what hashers are made of */
	CacheRegisterSyscacheCallback(TYPEOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(CLAOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(AMPROCNUM, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, (Datum) 0);
}
