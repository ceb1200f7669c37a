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
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
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
	SubTransactionId subxact;
} Change;

/* An object that nodes hold, by the name it had before a statement. */
typedef struct Before
{
	TessObjectRow *row;
	ObjectAddress address;
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
static void note(const ObjectAddress *address, TessObjectRow *dropped);
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
	if (!is_noted_class(class_id) || object_id < FirstNormalObjectId ||
		sub_id != 0 || creating_extension || !tess_is_active() ||
		tess_cat_is_restoring() || tess_meta_remote_nodes() == NIL)
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

static void
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

void *
tess_objects_before(Node *statement)
{
	List *names = NIL;
	ListCell *cell;

	if (renaming(statement) == NULL || tess_cat_is_restoring() ||
		tess_meta_remote_nodes() == NIL)
		return NULL;
	foreach(cell, tess_cat_objects())
	{
		Before *before = palloc(sizeof(Before));

		before->row = lfirst(cell);
		before->address = tess_object_find(before->row);
		names = lappend(names, before);
	}
	return names;
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
follow_name(Node *statement, const Before *before, TessObject *now)
{
	TessObjectRow *row = before->row;

	tess_objects_lock();
	if (was_altered(&before->address) && tess_objects_propagate &&
		tess_objects_suspended == 0)
	{
		if (IsA(statement, AlterObjectSchemaStmt))
			bring_schema(&before->address);
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

static void
follow_names(Node *statement, List *names)
{
	ListCell *cell;

	foreach(cell, names)
	{
		Before *before = lfirst(cell);
		TessObject *now;

		if (!OidIsValid(before->address.objectId))
			continue;
		now = tess_object_identify(before->address.classId,
								   before->address.objectId);
		if (now != NULL && strcmp(now->row.identity, before->row->identity) != 0)
			follow_name(statement, before, now);
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

/* ALTER TYPE ... ADD VALUE and RENAME VALUE, which no new definition can say. */
static void
repeat_enum_change(AlterEnumStmt *alter)
{
	TypeName *name = makeTypeNameFromNameList(alter->typeName);
	TessObject *type = tess_object_identify(TypeRelationId,
											typenameTypeId(NULL, name));
	StringInfoData sql;

	if (type == NULL ||
		!tess_objects_hold(TypeRelationId, type->address.objectId))
		return;
	tess_objects_lock();
	initStringInfo(&sql);
	appendStringInfoString(&sql, tess_object_alter_sql(&type->row));
	if (alter->oldVal != NULL)
		appendStringInfo(&sql, " RENAME VALUE %s TO %s",
						 quote_literal_cstr(alter->oldVal),
						 quote_literal_cstr(alter->newVal));
	else
		appendStringInfo(&sql, " ADD VALUE %s%s",
						 alter->skipIfNewValExists ? "IF NOT EXISTS " : "",
						 quote_literal_cstr(alter->newVal));
	if (alter->newValNeighbor != NULL)
		appendStringInfo(&sql, " %s %s",
						 alter->newValIsAfter ? "AFTER" : "BEFORE",
						 quote_literal_cstr(alter->newValNeighbor));
	tess_objects_send(list_make1(sql.data));
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

	changes.noted = NIL;
	foreach(cell, noted)
	{
		Change *change = lfirst(cell);

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
		follow_names(statement, before);
	if (IsA(statement, AlterEnumStmt))
		repeat_enum_change((AlterEnumStmt *) statement);
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
