/*
 * known.c - what do nodes know beyond what is built in?
 *
 * The members of an extension, if every node has the same ones: nobody keeps
 * a record of that, the nodes are asked.  Each answers with a digest of the
 * definitions of all members, and of what PUBLIC may do with them: then names
 * mean the same there, and no role is refused on a node what it may do here,
 * or may do there what it is refused here.
 *
 * An answer is believed for a minute, and no longer than the functions, enums
 * and schemas of this server and the set of nodes stay what they were.  A node that cannot be asked
 * knows nothing.  Functions of users who put them into no extension are not
 * known: what their bodies call does not show.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "net/net.h"
#include "plan/plan_internal.h"

/* Not a setting: one round trip a minute is not felt. */
#define BELIEVED_MS 60000

typedef struct Answer
{
	Oid extension; /* hash key */
	bool is_everywhere;
	TimestampTz asked_at;
} Answer;

/* Which extension an object is a member of. */
typedef struct Member
{
	struct
	{
		Oid class;
		Oid object;
	} key;
	Oid extension; /* InvalidOid: of none, or not for everybody */
} Member;

static struct
{
	HTAB *answers;	  /* of Answer */
	HTAB *members;	  /* of Member */
	Oid node_catalog; /* for the callback, which cannot look it up */
	uint64 changes;	  /* of definitions and nodes, heard of so far */
	uint64 believed;  /* changes when the hashes were emptied last */
} known;

/* What the nodes are asked, and say. */
typedef struct Question
{
	char *extension;
	char *contents; /* on this server */
	List *nodes;	/* TessNode * */
	bool is_same;
} Question;

static void
after_definition_change(Datum arg, int cache_id, uint32 hash)
{
	known.changes++;
}

static void
after_relation_change(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || relation == known.node_catalog)
		known.changes++;
}

/* Calls tessera_internal.extension_contents() here.  NULL: no members. */
static char *
contents_here(const char *extension)
{
	static const Oid types[] = {NAMEOID};
	List *names = list_make2(makeString(TESS_INTERNAL_SCHEMA),
							 makeString("extension_contents"));
	Oid function = LookupFuncName(names, lengthof(types), types, false);
	int settings = tess_settings_pin();
	FmgrInfo flinfo;
	NameData name;
	Datum contents;
	LOCAL_FCINFO(call, 1);

	namestrcpy(&name, extension);
	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*call, &flinfo, 1, InvalidOid, NULL, NULL);
	call->args[0].value = NameGetDatum(&name);
	call->args[0].isnull = false;
	contents = FunctionCallInvoke(call);
	AtEOXact_GUC(true, settings);
	return call->isnull ? NULL : TextDatumGetCString(contents);
}

/* Reads what a node answers. */
static void
hear(Question *question, TessSession *session)
{
	for (;;)
	{
		PGresult *result;
		void *tag;

		switch (tess_session_poll(session, &result, &tag))
		{
			case TESS_POLL_WAIT:
				(void) tess_net_wait(1, &session, 0);
				break;
			case TESS_POLL_ROWS:
				break;
			case TESS_POLL_DONE:
				if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0) ||
					strcmp(PQgetvalue(result, 0, 0), question->contents) != 0)
					question->is_same = false;
				break;
			case TESS_POLL_IDLE:
				return;
		}
	}
}

/* Asks all nodes at once. */
static void
ask_nodes(void *arg)
{
	Question *question = arg;
	int count = list_length(question->nodes);
	TessSession **sessions = palloc(sizeof(TessSession *) * count);
	int32 *node_ids = palloc(sizeof(int32) * count);
	char *sql = psprintf("SELECT tessera_internal.extension_contents(%s)",
						 quote_literal_cstr(question->extension));
	ListCell *cell;

	foreach(cell, question->nodes)
		node_ids[foreach_current_index(cell)] = ((const TessNode *) lfirst(cell))
													->node_id;

	/* not the transaction's sessions: an error there would abort it */
	tess_net_acquire(count, node_ids, InvalidOid, sessions);
	for (int i = 0; i < count; i++)
	{
		tess_session_queue(sessions[i], sql, NULL, false, false, question);
		tess_session_flush(sessions[i]);
	}
	question->is_same = true;
	for (int i = 0; i < count; i++)
		hear(question, sessions[i]);
	for (int i = 0; i < count; i++)
		tess_net_release(sessions[i]);
}

static bool
ask(Oid extension)
{
	Question question = {get_extension_name(extension)};
	ErrorData *error;

	if (question.extension == NULL)
		return false;
	question.nodes = tess_meta_remote_nodes();
	if (question.nodes == NIL)
		return true;
	question.contents = contents_here(question.extension);
	if (question.contents == NULL)
		return false;
	error = tess_attempt(ask_nodes, &question);
	if (error != NULL)
		ereport(DEBUG1,
				(errmsg_internal("nodes were not asked for extension \"%s\"",
								 question.extension),
				 errdetail_internal("%s", error->message)));
	return error == NULL && question.is_same;
}

static HTAB *
make_hash(const char *name, Size key_size, Size entry_size)
{
	HASHCTL ctl = {.keysize = key_size,
				   .entrysize = entry_size,
				   .hcxt = CacheMemoryContext};

	return hash_create(name, 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
register_callbacks(void)
{
	CacheRegisterSyscacheCallback(PROCOID, after_definition_change, (Datum) 0);
	CacheRegisterSyscacheCallback(ENUMOID, after_definition_change, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, after_definition_change,
								  (Datum) 0);
	CacheRegisterRelcacheCallback(after_relation_change, (Datum) 0);
}

/* Empties the hashes if something has changed that they may be about. */
static void
forget_changed(void)
{
	if (known.members != NULL && known.believed == known.changes)
		return;
	if (known.node_catalog == InvalidOid)
		register_callbacks();
	known.node_catalog = tess_catalog_relation_oid("node");
	known.believed = known.changes;

	hash_destroy(known.answers);
	known.answers = NULL;
	known.answers = make_hash("tessera extensions", sizeof(Oid), sizeof(Answer));
	hash_destroy(known.members);
	known.members = NULL;
	known.members = make_hash("tessera extension members",
							  sizeof(((Member *) NULL)->key), sizeof(Member));
}

/* True if all nodes have the extension as this server has it.  May ask them,
 * and wait for their answers. */
static bool
extension_is_everywhere(Oid extension)
{
	TimestampTz now = GetCurrentTimestamp();
	Answer *answer;
	bool is_everywhere;

	forget_changed();
	answer = hash_search(known.answers, &extension, HASH_FIND, NULL);
	if (answer != NULL &&
		!TimestampDifferenceExceeds(answer->asked_at, now, BELIEVED_MS))
		return answer->is_everywhere;

	/* nodes are not asked in parallel mode */
	if (IsInParallelMode())
		return false;
	is_everywhere = ask(extension);
	if (known.believed == known.changes)
	{
		answer = hash_search(known.answers, &extension, HASH_ENTER, NULL);
		answer->is_everywhere = is_everywhere;
		answer->asked_at = GetCurrentTimestamp();
	}
	return is_everywhere;
}

/* True if everybody may use the names of a schema. */
static bool
is_public_schema(Oid schema)
{
	return OidIsValid(schema) && pg_namespace_aclcheck(schema, ACL_ID_PUBLIC,
													   ACL_USAGE) == ACLCHECK_OK;
}

/* The extension that an object is a member of; InvalidOid if it is of none, or
 * not for everybody. */
static Oid
find_extension(Oid class, Oid object)
{
	Oid extension = getExtensionOfObject(class, object);
	ObjectAddress address;

	if (!OidIsValid(extension) || extension == tess_extension_oid())
		return InvalidOid;
	ObjectAddressSet(address, class, object);
	if (class != CastRelationId &&
		!is_public_schema(get_object_namespace(&address)))
		return InvalidOid;
	if (class == ProcedureRelationId &&
		pg_proc_aclcheck(object, ACL_ID_PUBLIC, ACL_EXECUTE) != ACLCHECK_OK)
		return InvalidOid;
	return extension;
}

/*
 * True if nodes have the same object under the same name: a function, operator,
 * type or cast that is built in, or a member of an extension that they have
 * too.  May ask the nodes.
 */
bool
tess_is_known(Oid class, Oid object)
{
	Member probe = {{class, object}};
	Member *member;

	if (object < FirstNormalObjectId)
		return true;
	forget_changed();
	member = hash_search(known.members, &probe.key, HASH_FIND, NULL);
	if (member != NULL)
		probe.extension = member->extension;
	else
	{
		probe.extension = find_extension(class, object);
		if (known.believed == known.changes)
		{
			member = hash_search(known.members, &probe.key, HASH_ENTER, NULL);
			member->extension = probe.extension;
		}
	}
	return OidIsValid(probe.extension) &&
		   extension_is_everywhere(probe.extension);
}
