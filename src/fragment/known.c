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
#include "catalog/catalog.h"
#include "deparse/deparse.h"
#include "net/net.h"
#include "fragment/fragment_internal.h"

/* Not a setting: one round trip a minute is not felt. */
#define BELIEVED_MS 60000

typedef struct Answer
{
	Oid extension; /* hash key */
	bool is_everywhere;
	TimestampTz asked_at;
} Answer;

/* Which extension an object is a member of; or, if it is of none, whether it
 * is the same on all nodes. */
typedef struct Member
{
	struct
	{
		Oid class;
		Oid object;
	} key;
	Oid extension; /* InvalidOid: of none, or not for everybody */
	bool is_held;
} Member;

static struct
{
	HTAB *answers;	  /* of Answer */
	HTAB *members;	  /* of Member */
	Oid node_catalog; /* for the callback, which cannot look them up */
	Oid object_catalog;
	uint64 changes;	 /* of definitions and nodes, heard of so far */
	uint64 believed; /* changes when the hashes were emptied last */
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
	if (!OidIsValid(relation) || relation == known.node_catalog ||
		relation == known.object_catalog)
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
	PGresult *result;
	void *tag;

	while (tess_net_next(session, &result, &tag))
	{
		if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0) ||
			strcmp(PQgetvalue(result, 0, 0), question->contents) != 0)
			question->is_same = false;
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
	CacheRegisterSyscacheCallback(OPEROID, after_definition_change, (Datum) 0);
	CacheRegisterSyscacheCallback(AMOPOPID, after_definition_change, (Datum) 0);
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
	known.object_catalog = tess_catalog_relation_oid("object");
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

/* objects of users -------------------------------------------------------- */

/* A user's object, and what has been found out of it. */
typedef struct Held
{
	Oid class;
	Oid object;
	bool result;
} Held;

/* Everybody may use what is in the schema, or those who may are the same on
 * all nodes. */
static bool
is_held_schema(Oid schema)
{
	TessObject *object;

	if (!OidIsValid(schema) || is_public_schema(schema))
		return true;
	object = tess_object_identify(NamespaceRelationId, schema);
	return object != NULL &&
		   tess_cat_object(object->row.type, object->row.identity) != NULL;
}

static void
look_at_held(void *arg)
{
	Held *held = arg;
	TessObject *object = tess_object_identify(held->class, held->object);
	const TessObjectRow *row = NULL;

	if (object != NULL)
		row = tess_cat_object(object->row.type, object->row.identity);
	if (row == NULL)
		return;
	tess_object_define(object);
	if (strcmp(row->digest, object->row.digest) != 0)
		return;
	if (held->class != CastRelationId &&
		!is_held_schema(get_object_namespace(&object->address)))
		return;
	if (held->class == ProcedureRelationId &&
		(pg_proc_aclcheck(held->object, ACL_ID_PUBLIC, ACL_EXECUTE) != ACLCHECK_OK ||
		 (get_func_prokind(held->object) != PROKIND_AGGREGATE &&
		  !tess_body_is_alone(held->object))))
		return;
	held->result = true;
}

/*
 * True if all nodes hold an object of users as it is here now, for everybody,
 * and it means the same there.  A body that cannot be read is no error here.
 */
static bool
is_held(Oid class, Oid object)
{
	Held held = {class, object};

	if (IsInParallelMode() || tess_meta_remote_nodes() == NIL)
		return false;
	return tess_attempt(look_at_held, &held) == NULL && held.result;
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

static Member *
find_member(Oid class, Oid object, HASHACTION action)
{
	Member probe = {{class, object}};

	return hash_search(known.members, &probe.key, action, NULL);
}

/* Not remembered if something has changed meanwhile. */
static Member
look_up(Oid class, Oid object)
{
	Member found = {{class, object}};
	uint64 believed = known.believed;
	Member *member;

	found.extension = find_extension(class, object);
	if (!OidIsValid(getExtensionOfObject(class, object)))
	{
		/* whoever asks for it meanwhile asks for what it is made of */
		member = find_member(class, object, HASH_ENTER);
		member->extension = InvalidOid;
		member->is_held = false;
		found.is_held = is_held(class, object);
	}
	if (known.believed == known.changes && known.believed == believed &&
		!IsInParallelMode())
	{
		member = find_member(class, object, HASH_ENTER);
		member->extension = found.extension;
		member->is_held = found.is_held;
	}
	else
		(void) find_member(class, object, HASH_REMOVE);
	return found;
}

/*
 * True if nodes have the same object under the same name: a function, operator,
 * type, cast or the like that is built in, a member of an extension that they
 * have too, or one that was made on all of them.  May ask the nodes.
 */
bool
tess_is_known(Oid class, Oid object)
{
	Member *member;
	Member found;

	if (object < FirstNormalObjectId)
		return true;
	forget_changed();
	member = find_member(class, object, HASH_FIND);
	found = member ? *member : look_up(class, object);
	if (found.is_held)
		tess_frame_add_objects();
	return found.is_held || (OidIsValid(found.extension) &&
							 extension_is_everywhere(found.extension));
}
