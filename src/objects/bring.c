/*
 * bring.c - objects of this server are made on the nodes, and noted in
 * tessera.object.
 *
 * A row says: all nodes hold the object with the definition of this digest.
 * So an object goes to all nodes in one transaction or is in no row; what it
 * needs goes before it, in the same way.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "net/net.h"
#include "objects/objects_internal.h"
#include "xact/xact.h"

PG_FUNCTION_INFO_V1(tess_objects_bring_all);

void
tess_objects_lock(void)
{
	LockRelationOid(tess_catalog_relation_oid("node"), RowExclusiveLock);
	LockRelationOid(tess_catalog_relation_oid("object"), ShareRowExclusiveLock);
}

static void
send_to(List *nodes, List *commands)
{
	int count = list_length(nodes);
	TessSession **sessions = palloc(sizeof(TessSession *) * Max(count, 1));
	List **lists = palloc(sizeof(List *) * Max(count, 1));
	int32 *node_ids = palloc(sizeof(int32) * Max(count, 1));
	ListCell *cell;

	if (count == 0 || commands == NIL)
		return;
	foreach(cell, nodes)
	{
		int i = foreach_current_index(cell);

		node_ids[i] = ((const TessNode *) lfirst(cell))->node_id;
		lists[i] = commands;
	}
	tess_xact_sessions(count, node_ids, InvalidOid, TESS_WRITE, sessions);
	tess_net_run_lists(count, sessions, lists);
}

void
tess_objects_send(List *commands)
{
	send_to(tess_meta_remote_nodes(), commands);
}

/* What is about to be brought. */
typedef struct Load
{
	List *commands;
	List *objects; /* TessObject *, to be noted */
} Load;

/* Adds objects (ObjectAddress *), in the order of dependency, that the nodes
 * do not hold as they are. */
static void
add_objects(Load *load, List *addresses)
{
	ListCell *cell;

	foreach(cell, addresses)
	{
		ObjectAddress *address = lfirst(cell);
		TessObject *object = tess_object_identify(address->classId,
												  address->objectId);
		TessObjectRow *row;

		if (object == NULL)
			continue;
		tess_object_define(object);
		row = tess_cat_object(object->row.type, object->row.identity);
		if (row != NULL && strcmp(row->digest, object->row.digest) == 0)
			continue;
		load->commands = list_concat(load->commands, object->roles);
		load->commands = lappend(load->commands,
								 tess_object_create_sql(object, row != NULL));
		load->objects = lappend(load->objects, object);
	}
}

/* What an object needs, and itself at the end; an error if the nodes cannot have
 * it. */
static List *
needed_objects(Load *load, const ObjectAddress *address)
{
	List *extensions;
	List *needed = tess_objects_of_object(address->classId, address->objectId,
										  &extensions);

	if (needed == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be created on the nodes",
						getObjectDescription(address, false)),
				 errdetail(
					 "It needs a table, or something else that they do not have.")));
	load->commands = list_concat(load->commands, extensions);
	return needed;
}

static void
add_with_needs(Load *load, const ObjectAddress *address)
{
	add_objects(load, needed_objects(load, address));
}

static void
note_objects(const Load *load)
{
	ListCell *cell;

	foreach(cell, load->objects)
		tess_cat_object_set(&((TessObject *) lfirst(cell))->row);
}

void
tess_objects_bring(const ObjectAddress *address)
{
	Load load = {0};

	tess_objects_lock();
	add_with_needs(&load, address);
	tess_objects_send(load.commands);
	note_objects(&load);
}

static void
bring_action(void *arg)
{
	tess_objects_bring(arg);
}

void
tess_objects_bring_needs(const ObjectAddress *address)
{
	Load load = {0};

	tess_objects_lock();
	add_objects(&load, list_delete_last(needed_objects(&load, address)));
	tess_objects_send(load.commands);
	note_objects(&load);
}

bool
tess_objects_try(const ObjectAddress *address)
{
	ErrorData *error = tess_attempt(bring_action,
									unconstify(ObjectAddress *, address));

	if (error != NULL)
		ereport(NOTICE,
				(errmsg("%s is not known to the nodes",
						getObjectDescription(address, false)),
				 errdetail_internal("%s", error->message),
				 errhint(
					 "What needs it is computed on this server.  Use tessera.bring_objects() to try again.")));
	return error == NULL;
}

/* many objects -------------------------------------------------------------- */

static void
bring_list_action(void *arg)
{
	Load load = {0};
	ListCell *cell;

	foreach(cell, (List *) arg)
		add_with_needs(&load, lfirst(cell));
	tess_objects_send(load.commands);
	note_objects(&load);
}

/* Brings what it can: all at once, or, if that fails, one by one.  The number
 * of those that are not known to the nodes now. */
static int
bring_what_can_be(List *addresses)
{
	int failed = 0;
	ListCell *cell;

	if (addresses == NIL || tess_attempt(bring_list_action, addresses) == NULL)
		return 0;
	foreach(cell, addresses)
	{
		ErrorData *error = tess_attempt(bring_action, lfirst(cell));

		if (error == NULL)
			continue;
		failed++;
		ereport(DEBUG1,
				(errmsg_internal("%s is not known to the nodes",
								 getObjectDescription(lfirst(cell), false)),
				 errdetail_internal("%s", error->message)));
	}
	return failed;
}

/* Those of the list that are in no row, or have changed since. */
static List *
without_known(List *addresses)
{
	List *unknown = NIL;
	ListCell *cell;

	foreach(cell, addresses)
	{
		ObjectAddress *address = lfirst(cell);
		TessObject *object = tess_object_identify(address->classId,
												  address->objectId);

		if (object != NULL &&
			tess_cat_object(object->row.type, object->row.identity) == NULL)
			unknown = lappend(unknown, address);
	}
	return unknown;
}

static int
bring_all(void)
{
	List *unknown = without_known(tess_objects_eligible());
	int failed = bring_what_can_be(unknown);

	if (failed > 0)
		ereport(NOTICE,
				(errmsg_plural("%d object is not known to the nodes",
							   "%d objects are not known to the nodes", failed,
							   failed),
				 errhint(
					 "What needs them is computed on this server.  Messages of level DEBUG1 say which these are.")));
	return list_length(unknown) - failed;
}

/* tessera.bring_objects(): how many were brought. */
Datum
tess_objects_bring_all(PG_FUNCTION_ARGS)
{
	tess_right_check_manage("bring_objects");
	PreventCommandIfReadOnly("bring_objects()");
	tess_objects_lock();
	PG_RETURN_INT32(tess_meta_remote_nodes() == NIL ? 0 : bring_all());
}

void
tess_objects_copy(int32 node_id)
{
	List *nodes = list_make1(unconstify(TessNode *, tess_meta_node(node_id)));
	Load load = {0};
	List *done = NIL;
	ListCell *cell;

	tess_objects_lock();
	foreach(cell, tess_cat_objects())
	{
		ObjectAddress address = tess_object_find(lfirst(cell));
		List *extensions;
		ListCell *needed;

		if (!OidIsValid(address.objectId))
			continue;
		foreach(needed, tess_objects_of_object(address.classId,
											   address.objectId, &extensions))
		{
			ObjectAddress *part = lfirst(needed);
			TessObject *object = tess_object_identify(part->classId,
													  part->objectId);
			String *name = makeString(
				psprintf("%s %s", object->row.type, object->row.identity));

			if (list_member(done, name))
				continue;
			done = lappend(done, name);
			tess_object_define(object);
			load.commands = list_concat(load.commands, object->roles);
			load.commands = lappend(load.commands,
									tess_object_create_sql(object, false));
			load.objects = lappend(load.objects, object);
		}
		load.commands = list_concat(extensions, load.commands);
	}
	send_to(nodes, load.commands);
	note_objects(&load);
	if (tess_objects_propagate)
		(void) bring_all();
}

void
tess_objects_forget(void)
{
	ListCell *cell;

	foreach(cell, tess_cat_objects())
	{
		TessObjectRow *row = lfirst(cell);

		(void) tess_cat_object_delete(row->type, row->identity);
	}
}

List *
tess_objects_differing(TessSession *session)
{
	List *rows = tess_cat_objects();
	List *differing = NIL;
	StringInfoData sql;
	PGresult *result;
	ListCell *cell;

	initStringInfo(&sql);
	foreach(cell, rows)
	{
		TessObjectRow *row = lfirst(cell);

		if (strcmp(row->type, "schema") != 0)
			appendStringInfo(&sql, "%s(%d, %s, %s)", sql.len > 0 ? ", " : "",
							 foreach_current_index(cell),
							 tess_object_definition_sql(row),
							 quote_literal_cstr(row->digest));
	}
	if (sql.len == 0)
		return NIL;
	result = tess_net_query(session,
							psprintf("SELECT v.row, v.definition IS NULL FROM (VALUES %s) v (row, definition, digest) "
									 "WHERE pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(v.definition, "
									 "pg_catalog.getdatabaseencoding())), 'hex') IS DISTINCT FROM v.digest ORDER BY 1",
									 sql.data),
							NULL);
	for (int i = 0; i < PQntuples(result); i++)
	{
		TessObjectRow *row = list_nth(rows,
									  pg_strtoint32(PQgetvalue(result, i, 0)));

		differing = lappend(differing,
							psprintf(PQgetvalue(result, i, 1)[0] == 't'
										 ? _("%s %s is missing there")
										 : _("%s %s is another one there"),
									 row->type, row->identity));
	}
	return differing;
}

/* what a table needs --------------------------------------------------------- */

static void
bring_for_table_action(void *arg)
{
	Load load = {0};
	List *extensions;
	List *unused;
	List *alone = NIL;
	ListCell *cell;

	foreach(cell, tess_objects_of_table(*(Oid *) arg, &extensions))
	{
		ObjectAddress *address = lfirst(cell);

		if (tess_objects_of_object(address->classId, address->objectId,
								   &unused) != NIL)
			alone = lappend(alone, address);
	}
	add_objects(&load, alone);
	if (load.objects == NIL)
		return;
	load.commands = list_concat(extensions, load.commands);
	tess_objects_send(load.commands);
	note_objects(&load);
}

/*
 * The nodes of the table's shards have what it needs, so it is no error if
 * others cannot get it: then nobody is said to hold it.
 */
void
tess_objects_bring_for_table(Oid relation)
{
	ErrorData *error;

	if (!tess_objects_propagate || tess_meta_remote_nodes() == NIL)
		return;
	tess_objects_lock();
	error = tess_attempt(bring_for_table_action, &relation);
	if (error != NULL)
		ereport(DEBUG1, (errmsg_internal(
							 "what the table needs is not known to all nodes"),
						 errdetail_internal("%s", error->message)));
}
