/*
 * changes.c - what statements do to objects is done on the nodes, too.
 *
 * The object access hook notes what is made, altered and dropped, however it
 * was reached.  When the statement has ended, the nodes get the definition
 * that it has now; only a new name is sent as the statement that gave it.
 * GRANT and COMMENT call no hook: after them all definitions are compared.
 * What a rolled back subtransaction noted is forgotten.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "objects/objects_internal.h"

/* What happened to an object. */
typedef struct Change
{
	ObjectAddress address;
	TessObjectRow *dropped; /* its row; NULL: it was made or altered */
	char *lost; /* what takes from it, there, what a CASCADE took here, or NULL */
	SubTransactionId subxact;
} Change;

/* An object that nodes hold, by the name it had before a statement. */
typedef struct OldName
{
	TessObjectRow *row;
	ObjectAddress address;
} OldName;

/* What is known before a statement. */
typedef struct Before
{
	List *names; /* of OldName * */
	TessTypeChange *type;
} Before;

bool tess_objects_propagate = true;
int tess_objects_suspended = 0;

static struct
{
	List *noted; /* of Change *, in TopTransactionContext */
	object_access_hook_type next_hook;
} changes;

static void note_access(ObjectAccessType access, Oid class_id, Oid object_id,
						int sub_id, void *arg);
static Change *note(const ObjectAddress *address, TessObjectRow *dropped);
static void note_loss(Oid class_id, Oid object_id, int sub_id);
static void on_xact_event(XactEvent event, void *arg);
static void on_subxact_event(SubXactEvent event, SubTransactionId mine,
							 SubTransactionId parent, void *arg);

void
tess_objects_init(void)
{
	DefineCustomBoolVariable("tessera.propagate_objects",
							 "Makes types, functions, operators and the like on the nodes, too.",
							 "What nodes do not have is computed on this server.",
							 &tess_objects_propagate, true, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	changes.next_hook = object_access_hook;
	object_access_hook = note_access;
	RegisterXactCallback(on_xact_event, NULL);
	RegisterSubXactCallback(on_subxact_event, NULL);
}

/* noting ---------------------------------------------------------------------- */

static bool
is_noted_class(Oid class)
{
	switch (class)
	{
		case ProcedureRelationId:
		case TypeRelationId:
		case NamespaceRelationId:
		case OperatorRelationId:
		case OperatorClassRelationId:
		case OperatorFamilyRelationId:
		case CollationRelationId:
		case CastRelationId:
			return true;
		default:
			return false;
	}
}

static void
note_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
			void *arg)
{
	ObjectAddress address;
	TessObject *object;

	if (changes.next_hook)
		changes.next_hook(access, class_id, object_id, sub_id, arg);
	if (object_id < FirstNormalObjectId || creating_extension ||
		!tess_is_active() || tess_cat_is_restoring() ||
		tess_meta_remote_nodes() == NIL)
		return;
	if (access == OAT_DROP)
		note_loss(class_id, object_id, sub_id);
	if (!is_noted_class(class_id) || sub_id != 0)
		return;
	ObjectAddressSet(address, class_id, object_id);
	if (access == OAT_POST_CREATE || access == OAT_POST_ALTER)
		note(&address, NULL);
	/* A member of an extension has no row, and may have lost what it is named by:
	 * its functions go after the type they are about. */
	else if (access == OAT_DROP &&
			 !OidIsValid(getExtensionOfObject(class_id, object_id)))
	{
		object = tess_object_identify(class_id, object_id);
		if (object != NULL &&
			tess_cat_object(object->row.type, object->row.identity) != NULL)
			note(&address, &object->row);
	}
}

static List *
copy_strings(List *strings)
{
	List *copy = NIL;
	ListCell *cell;

	foreach(cell, strings)
		copy = lappend(copy, pstrdup(lfirst(cell)));
	return copy;
}

static Change *
note(const ObjectAddress *address, TessObjectRow *dropped)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Change *change = palloc0(sizeof(Change));

	change->address = *address;
	change->subxact = GetCurrentSubTransactionId();
	if (dropped != NULL)
	{
		change->dropped = palloc0(sizeof(TessObjectRow));
		change->dropped->type = pstrdup(dropped->type);
		change->dropped->identity = pstrdup(dropped->identity);
		change->dropped->names = copy_strings(dropped->names);
		change->dropped->args = copy_strings(dropped->args);
	}
	changes.noted = lappend(changes.noted, change);
	MemoryContextSwitchTo(caller);
	return change;
}

/* A constraint of a domain, or an attribute of a composite type, that goes. */
static void
note_loss(Oid class_id, Oid object_id, int sub_id)
{
	char *lost;
	Oid type = tess_type_losing(class_id, object_id, sub_id, &lost);
	ObjectAddress address;

	if (!OidIsValid(type))
		return;
	ObjectAddressSet(address, TypeRelationId, type);
	note(&address, NULL)->lost = MemoryContextStrdup(TopTransactionContext, lost);
}

static bool
was_altered(const ObjectAddress *address)
{
	ListCell *cell;

	foreach(cell, changes.noted)
	{
		Change *change = lfirst(cell);

		if (change->dropped == NULL &&
			change->address.classId == address->classId &&
			change->address.objectId == address->objectId)
			return true;
	}
	return false;
}

/* new names ------------------------------------------------------------------- */

/* ALTER ... RENAME TO or SET SCHEMA, after the old name; NULL for others. */
static char *
renaming(Node *statement)
{
	if (IsA(statement, RenameStmt))
		return psprintf("RENAME TO %s",
						quote_identifier(((RenameStmt *) statement)->newname));
	if (IsA(statement, AlterObjectSchemaStmt))
		return psprintf("SET SCHEMA %s",
						quote_identifier(
							((AlterObjectSchemaStmt *) statement)->newschema));
	return NULL;
}

static List *
names_before(void)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, tess_cat_objects())
	{
		OldName *old = palloc(sizeof(OldName));

		old->row = lfirst(cell);
		old->address = tess_object_find(old->row);
		names = lappend(names, old);
	}
	return names;
}

void *
tess_objects_before(Node *statement)
{
	Before *before;

	if (tess_cat_is_restoring() || tess_meta_remote_nodes() == NIL)
		return NULL;
	before = palloc0(sizeof(Before));
	if (renaming(statement) != NULL)
		before->names = names_before();
	before->type = tess_type_change_begin(statement);
	return before;
}

/* The schema that an object was moved to has to be there. */
static void
bring_schema(const ObjectAddress *object)
{
	ObjectAddress schema;

	ObjectAddressSet(schema, NamespaceRelationId, get_object_namespace(object));
	if (schema.objectId >= FirstNormalObjectId)
		tess_objects_bring(&schema);
}

/* The object itself got a new name, or something that its name is made of. */
static void
follow_name(Node *statement, const OldName *old, TessObject *now)
{
	TessObjectRow *row = old->row;

	tess_objects_lock();
	if (was_altered(&old->address) && tess_objects_propagate &&
		tess_objects_suspended == 0)
	{
		if (IsA(statement, AlterObjectSchemaStmt))
			bring_schema(&old->address);
		tess_objects_send(list_make1(
			psprintf("%s %s", tess_object_alter_sql(row), renaming(statement))));
	}
	(void) tess_cat_object_delete(row->type, row->identity);
	if (tess_objects_propagate && tess_objects_suspended == 0)
	{
		tess_object_define(now);
		tess_cat_object_set(&now->row);
	}
}

/* new definitions -------------------------------------------------------------- */

/* Statements after which definitions are compared, for no hook is called. */
static bool
changes_unseen(Node *statement)
{
	ObjectType type;

	switch (nodeTag(statement))
	{
		case T_GrantStmt:
			type = ((GrantStmt *) statement)->objtype;
			break;
		case T_CommentStmt:
			type = ((CommentStmt *) statement)->objtype;
			break;
		case T_DropOwnedStmt:
		case T_ReassignOwnedStmt:
			return true;
		default:
			return false;
	}
	switch (type)
	{
		case OBJECT_AGGREGATE:
		case OBJECT_CAST:
		case OBJECT_COLLATION:
		case OBJECT_DOMAIN:
		case OBJECT_FUNCTION:
		case OBJECT_OPCLASS:
		case OBJECT_OPERATOR:
		case OBJECT_OPFAMILY:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_SCHEMA:
		case OBJECT_TYPE:
			return true;
		default:
			return false;
	}
}

static void
note_changed_definitions(void)
{
	ListCell *cell;

	foreach(cell, tess_cat_objects())
	{
		TessObjectRow *row = lfirst(cell);
		ObjectAddress address = tess_object_find(row);
		TessObject *object = NULL;

		if (OidIsValid(address.objectId))
			object = tess_object_identify(address.classId, address.objectId);
		if (object == NULL)
			continue;
		tess_object_define(object);
		if (strcmp(object->row.digest, row->digest) != 0)
			note(&address, NULL);
	}
}

static void
follow_names(Node *statement, List *names)
{
	bool is_any = false;
	ListCell *cell;

	foreach(cell, names)
	{
		OldName *old = lfirst(cell);
		TessObject *now;

		if (!OidIsValid(old->address.objectId))
			continue;
		now = tess_object_identify(old->address.classId, old->address.objectId);
		if (now == NULL || strcmp(now->row.identity, old->row->identity) == 0)
			continue;
		follow_name(statement, old, now);
		is_any = true;
		if (old->address.classId == TypeRelationId)
			tess_objects_forget_plans();
	}
	/* what is made of it has another text */
	if (is_any)
		note_changed_definitions();
}

static void
finish_drop(const TessObjectRow *row)
{
	tess_objects_lock();
	if (!tess_cat_object_delete(row->type, row->identity))
		return;
	if (tess_objects_propagate && tess_objects_suspended == 0)
		tess_objects_send(list_make1(tess_object_drop_sql(row)));
}

bool
tess_objects_hold(Oid class, Oid object_id)
{
	TessObject *object = tess_object_identify(class, object_id);

	return object != NULL && tess_objects_propagate &&
		   tess_objects_suspended == 0 &&
		   tess_cat_object(object->row.type, object->row.identity) != NULL;
}

/* ALTER OPERATOR ... SET. */
static void
repeat_operator_change(void)
{
	ListCell *cell;

	foreach(cell, changes.noted)
	{
		Change *change = lfirst(cell);
		TessObject *object;

		if (change->dropped != NULL ||
			change->address.classId != OperatorRelationId ||
			!tess_objects_hold(OperatorRelationId, change->address.objectId))
			continue;
		object = tess_object_identify(OperatorRelationId,
									  change->address.objectId);
		tess_objects_lock();
		tess_objects_send(list_make1(
			psprintf("%s %s", tess_object_alter_sql(&object->row),
					 tess_operator_estimators(change->address.objectId))));
	}
}

/* A new definition of what cannot be replaced as a whole (a type, an operator):
 * what nodes cannot be brought to is not said to be there any more. */
static void
bring_or_forget(const ObjectAddress *address, const TessObject *object)
{
	if (address->classId == ProcedureRelationId)
		tess_objects_bring(address);
	else if (!tess_objects_try(address))
		(void) tess_cat_object_delete(object->row.type, object->row.identity);
}

static void
finish_change(const ObjectAddress *address)
{
	TessObject *object = tess_object_identify(address->classId,
											  address->objectId);
	bool is_held;

	if (object == NULL)
		return;
	is_held = tess_cat_object(object->row.type, object->row.identity) != NULL;
	if (!tess_objects_propagate || tess_objects_suspended > 0)
	{
		tess_objects_lock();
		/* what the nodes have is another one now */
		if (is_held)
			(void) tess_cat_object_delete(object->row.type, object->row.identity);
	}
	else if (is_held)
		bring_or_forget(address, object);
	else if (tess_object_is_eligible(address))
		(void) tess_objects_try(address);
}

/* Those that a statement named, and that have been repeated. */
static void
forget_losses(const ObjectAddress *type)
{
	ListCell *cell;

	foreach(cell, changes.noted)
	{
		Change *change = lfirst(cell);

		if (change->lost != NULL && change->address.objectId == type->objectId)
			changes.noted = foreach_delete_current(changes.noted, cell);
	}
}

static void
finish_loss(const Change *change)
{
	TessObject *type = tess_object_identify(TypeRelationId,
											change->address.objectId);

	if (type == NULL ||
		!tess_objects_hold(TypeRelationId, change->address.objectId))
		return;
	tess_objects_lock();
	tess_objects_send(list_make1(change->lost));
	tess_objects_forget_plans();
}

/* Another one, with the same address, comes later. */
static bool
is_noted_again(const Change *change, List *noted, int index)
{
	ListCell *cell;

	for_each_from(cell, noted, index + 1)
	{
		Change *other = lfirst(cell);

		if (other->dropped == NULL && change->dropped == NULL &&
			other->address.classId == change->address.classId &&
			other->address.objectId == change->address.objectId)
			return true;
	}
	return false;
}

/* What happened since, to objects that no statement named: dropped by a
 * CASCADE.  Shards that need them have to be gone by now. */
static void
finish_changes(void)
{
	List *noted = changes.noted;
	ListCell *cell;

	if (noted == NIL)
		return;
	changes.noted = NIL;
	/* an attempt is a subtransaction: that begins with all caches told, also if
	 * nothing was written */
	(void) GetCurrentCommandId(true);
	CommandCounterIncrement();
	foreach(cell, noted)
	{
		Change *change = lfirst(cell);

		if (change->lost != NULL)
			finish_loss(change);
		if (change->dropped != NULL)
			finish_drop(change->dropped);
		else if (!is_noted_again(change, noted, foreach_current_index(cell)))
			finish_change(&change->address);
	}
}

void
tess_objects_after(Node *statement, void *before)
{
	if (tess_cat_is_restoring() || tess_meta_remote_nodes() == NIL)
		return;
	if (before != NULL)
		follow_names(statement, ((Before *) before)->names);
	if (before != NULL && ((Before *) before)->type != NULL)
	{
		ObjectAddress type = tess_type_change_repeat(((Before *) before)->type);

		forget_losses(&type);
		note(&type, NULL);
	}
	if (IsA(statement, AlterOperatorStmt))
		repeat_operator_change();
	if (changes_unseen(statement))
		note_changed_definitions();
	finish_changes();
}

/* transactions ------------------------------------------------------------------ */

/* Registered after xact/, so called before it; command/ is called before. */
static void
on_xact_event(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		finish_changes();
	else
		changes.noted = NIL;
}

static void
on_subxact_event(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	ListCell *cell;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	foreach(cell, changes.noted)
	{
		Change *change = lfirst(cell);

		if (change->subxact != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			change->subxact = parent;
		else
			changes.noted = foreach_delete_current(changes.noted, cell);
	}
}
