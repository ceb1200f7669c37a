/*
 * prepared.c - a statement that comes again is prepared at its node, so that
 * the node parses and analyzes it once; how often it plans it is the node's
 * choice between custom and generic plans.
 *
 * A session prepares a text when it comes for the second time: one that comes
 * once would only cost more.  The statements that were used last stay, up to
 * tessera.prepared_statements_per_connection.  They are the node session's own,
 * not of a transaction: a rollback leaves them.  Where one may not be what we
 * believe (its PREPARE was not answered with success, or the node does not know
 * it), all are in doubt: as soon as nothing is owed, they are deallocated.
 *
 * A statement that was prepared before a table of ours changed is not used any
 * more, and goes as one that was not used for long: its columns may have other
 * types by now, which the node would refuse.
 *
 * Who else may take them away: a user's trigger that says DISCARD or DEALLOCATE, a
 * pooler, a change of the table at the node.  A statement that fails for that
 * is sent again as text where it stood alone, outside a transaction block.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "meta/meta.h"
#include "net/net_internal.h"

/* Texts that came once, by their hashes; a newer one takes an older one's
 * place. */
#define SEEN_COUNT 512

typedef struct Prepared
{
	uint64 hash; /* key of the table, so it comes first; see hash_of() */
	char *sql;
	int type_count;
	Oid *types;
	uint32 number;	 /* the name is made of it */
	dlist_node link; /* by last use, the latest first */
} Prepared;

struct TessPreparedSet
{
	MemoryContext context; /* of statements and table */
	HTAB *table;
	dlist_head by_use;
	int count;
	uint32 last_number; /* names are not given out twice */
	bool in_doubt;
	uint64 seen[SEEN_COUNT];

	/* The one that was sent last, by its name, if it may be sent again. */
	MemoryContext again_context;
	const Prepared *again; /* NULL: there is none */
	TessParams again_params;
	bool again_binary;
};

static int prepared_statements_per_connection = 256;

static void
make_table(TessPreparedSet *set, MemoryContext parent)
{
	HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(Prepared)};

	set->context = AllocSetContextCreate(parent, "tessera prepared statements",
										 ALLOCSET_SMALL_SIZES);
	control.hcxt = set->context;
	set->table = hash_create("tessera prepared statements", 64, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&set->by_use);
	set->count = 0;
	set->in_doubt = false;
}

/* The session's set, made with its first statement. */
static TessPreparedSet *
get_set(TessSession *session)
{
	if (session->prepared == NULL)
	{
		session->prepared = MemoryContextAllocZero(session->context,
												   sizeof(TessPreparedSet));
		make_table(session->prepared, session->context);
		session->prepared
			->again_context = AllocSetContextCreate(session->context,
													"tessera parameters",
													ALLOCSET_SMALL_SIZES);
	}
	return session->prepared;
}

/* Of the text, the types, and what is known of tables. */
static uint64
hash_of(const char *sql, const TessParams *params)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) sql, strlen(sql),
									  tess_meta_changes());

	if (params != NULL && params->count > 0)
		hash = hash_bytes_extended((const unsigned char *) params->types,
								   params->count * sizeof(Oid), hash);
	return hash;
}

static bool
is_of(const Prepared *prepared, const char *sql, const TessParams *params)
{
	int type_count = params ? params->count : 0;

	return prepared->type_count == type_count &&
		   strcmp(prepared->sql, sql) == 0 &&
		   (type_count == 0 || memcmp(prepared->types, params->types,
									  type_count * sizeof(Oid)) == 0);
}

static void
name_of(uint32 number, char *name)
{
	snprintf(name, NAMEDATALEN, "tessera_%u", number);
}

static void
deallocate(TessSession *session, const char *name)
{
	char sql[NAMEDATALEN + 16];

	snprintf(sql, sizeof(sql), "DEALLOCATE %s", name);
	tess_session_queue(session, sql, NULL, false, false, NULL);
}

/* Forgets the statement that was not used for longest. */
static void
evict(TessSession *session, TessPreparedSet *set)
{
	Prepared *oldest = dlist_tail_element(Prepared, link, &set->by_use);
	char name[NAMEDATALEN];

	name_of(oldest->number, name);
	dlist_delete(&oldest->link);
	pfree(oldest->sql);
	if (oldest->types)
		pfree(oldest->types);
	(void) hash_search(set->table, &oldest->hash, HASH_REMOVE, NULL);
	set->count--;
	deallocate(session, name);
}

/* A new statement, whose PREPARE is queued. */
static Prepared *
prepare(TessSession *session, TessPreparedSet *set, uint64 hash,
		const char *sql, const TessParams *params)
{
	int type_count = params ? params->count : 0;
	char *copy = MemoryContextStrdup(set->context, sql);
	Oid *types = NULL;
	char name[NAMEDATALEN];
	Prepared *prepared;

	if (type_count > 0)
	{
		types = MemoryContextAlloc(set->context, type_count * sizeof(Oid));
		memcpy(types, params->types, type_count * sizeof(Oid));
	}
	prepared = hash_search(set->table, &hash, HASH_ENTER, NULL);
	prepared->sql = copy;
	prepared->type_count = type_count;
	prepared->types = types;
	prepared->number = ++set->last_number;
	dlist_push_head(&set->by_use, &prepared->link);
	set->count++;

	name_of(prepared->number, name);
	tess_session_queue_prepare(session, name, sql, params);
	return prepared;
}

/*
 * The name (of NAMEDATALEN bytes) under which the node has the statement, or
 * has it when what is queued here has run; false if it is to be sent as text.
 */
bool
tess_prepared_find(TessSession *session, const char *sql,
				   const TessParams *params, char *name)
{
	TessPreparedSet *set = get_set(session);
	uint64 hash;
	Prepared *prepared;

	set->again = NULL;
	if (set->in_doubt)
	{
		if (session->reply_count > 0)
			return false;
		MemoryContextDelete(set->context);
		make_table(set, session->context);
		tess_session_queue(session, "DEALLOCATE ALL", NULL, false, false, NULL);
	}
	if (prepared_statements_per_connection == 0)
		return false;

	hash = hash_of(sql, params);
	prepared = hash_search(set->table, &hash, HASH_FIND, NULL);
	if (prepared == NULL)
	{
		if (set->seen[hash % SEEN_COUNT] != hash)
		{
			set->seen[hash % SEEN_COUNT] = hash;
			return false;
		}
		while (set->count >= prepared_statements_per_connection)
			evict(session, set);
		prepared = prepare(session, set, hash, sql, params);
	}
	else if (!is_of(prepared, sql, params))
		return false;
	else
	{
		tess_net_counters.prepared++;
		if (!session->in_block && session->reply_count == 0)
			set->again = prepared;
	}

	dlist_move_head(&set->by_use, &prepared->link);
	name_of(prepared->number, name);
	return true;
}

/* A statement was found and is sent: what it takes to send it once more. */
void
tess_prepared_keep_values(TessSession *session, const TessParams *params,
						  bool binary_result)
{
	TessPreparedSet *set = session->prepared;
	TessParams *copy = &set->again_params;
	int count = params ? params->count : 0;
	MemoryContext old_context;
	const char **values;
	int *lengths;
	int *formats;

	if (set->again == NULL)
		return;
	MemoryContextReset(set->again_context);
	old_context = MemoryContextSwitchTo(set->again_context);
	values = palloc0(count * sizeof(char *));
	lengths = palloc(count * sizeof(int));
	formats = palloc(count * sizeof(int));
	for (int i = 0; i < count; i++)
	{
		formats[i] = params->formats[i];
		lengths[i] = params->lengths[i];
		if (params->values[i] == NULL)
			continue;
		if (formats[i] == 1)
			values[i] = memcpy(palloc(lengths[i]), params->values[i], lengths[i]);
		else
			values[i] = pstrdup(params->values[i]);
	}
	copy->count = count;
	copy->types = set->again->types;
	copy->values = values;
	copy->lengths = lengths;
	copy->formats = formats;
	set->again_binary = binary_result;
	MemoryContextSwitchTo(old_context);
}

/*
 * The statement that the node could not find was the only one in its pipeline,
 * of which just the Sync is owed: it goes out as text, with its old tag.  False
 * if it cannot be sent again.
 */
bool
tess_prepared_send_again(TessSession *session, void *tag, bool single_row)
{
	TessPreparedSet *set = session->prepared;
	const Prepared *prepared = set->again;

	set->again = NULL;
	if (prepared == NULL || session->reply_count != 1 || session->sync_count != 1)
		return false;
	tess_session_queue(session, prepared->sql, &set->again_params,
					   set->again_binary, single_row, tag);
	tess_net_counters.round_trips++;
	(void) tess_session_sync(session);
	return true;
}

/* What the session believes of its prepared statements may be wrong. */
void
tess_prepared_doubt(TessSession *session)
{
	if (session->prepared != NULL)
		session->prepared->in_doubt = true;
}

/* Defines the setting. */
void
tess_prepared_init(void)
{
	DefineCustomIntVariable("tessera.prepared_statements_per_connection",
							"Sets how many statements each connection to a node keeps prepared.",
							"0 prepares none.",
							&prepared_statements_per_connection, 256, 0, 65536,
							PGC_USERSET, 0, NULL, NULL, NULL);
}
