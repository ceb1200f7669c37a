/*
 * nodes_change.c - add_node, update_node, remove_node.
 *
 * All that they do, here and on the node, is part of the caller's
 * transaction.  They take ShareRowExclusiveLock on tessera.node, so that two
 * of them never run at the same time; remove_node locks tessera.placement in
 * the same way, so that nobody puts a shard on a node that goes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "cluster/cluster_internal.h"
#include "net/net.h"
#include "objects/objects.h"
#include "table/table.h"
#include "tessera.h"
#include "xact/xact.h"

#define DEFAULT_HINT "Leave the argument out to get its default."

PG_FUNCTION_INFO_V1(tess_node_add);
PG_FUNCTION_INFO_V1(tess_node_update);
PG_FUNCTION_INFO_V1(tess_node_remove);

static void
lock_catalog(const char *name)
{
	LockRelationOid(tess_catalog_relation_oid(name), ShareRowExclusiveLock);
}

static char *
text_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL
								  : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

static void
check_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("invalid node name: \"%s\"", name),
						errhint("A name has 1 to %d bytes.", NAMEDATALEN - 1)));
}

static void
check_port(int port)
{
	if (port < 1 || port > 65535)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid port: %d", port),
						errhint("A port is a number from 1 to 65535.")));
}

/* libpq would take an empty word for its own default. */
static void
check_not_empty(const char *value, const char *name)
{
	if (value != NULL && value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" must not be empty", name),
						errhint(DEFAULT_HINT)));
}

static TessNodeRow *
find_node(const char *name)
{
	TessNodeRow *row = tess_cat_node_by_name(name);

	if (row == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("node \"%s\" does not exist", name),
						errhint("See the view tessera.nodes.")));
	return row;
}

/* The server of a node to be: made, or found. */
static Oid
server_for(const char *name, const char *host, int port, const char *dbname)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server == NULL && host == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" does not exist", name),
				 errhint(
					 "Give a host, or use CREATE SERVER ... FOREIGN DATA WRAPPER tessera first.")));
	if (server == NULL)
	{
		Oid created = tess_server_create(name, host, port, dbname);

		CommandCounterIncrement();
		return created;
	}
	if (strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, TESS_WRAPPER) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not of the foreign-data wrapper \"%s\"",
						name, TESS_WRAPPER),
				 errhint("Use another name for the node.")));
	if (host != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("server \"%s\" already exists", name),
				 errhint(
					 "Leave out the address to make this server a node, or use another name.")));
	if (tess_server_option(server->serverid, "dbname") == NULL)
	{
		tess_server_alter(name, NULL, 0, get_database_name(MyDatabaseId));
		CommandCounterIncrement();
	}
	return server->serverid;
}

static void
refuse_duplicate_name(const char *name)
{
	if (tess_cat_node_by_name(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("node \"%s\" already exists", name),
				 errhint(
					 "Use tessera.update_node() to change it, or another name.")));
}

static void
refuse_duplicate_address(const char *name, Oid server)
{
	char *address = tess_server_address(server);
	ListCell *cell;

	foreach(cell, tess_cat_nodes())
	{
		TessNodeRow *row = lfirst(cell);
		Oid other = row->server ? get_foreign_server_oid(row->server, true)
								: InvalidOid;

		if (OidIsValid(other) && other != server &&
			strcmp(tess_server_address(other), address) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("node \"%s\" has the same address as node \"%s\"",
							name, row->name),
					 errhint(
						 "A node is a database of a server: use another database, or another server.")));
	}
}

/* Raises what stands against the node: the rest as warnings. */
static void
raise_problems(const char *name, const TessFacts *facts, const TessFacts *own)
{
	ListCell *cell;

	foreach(cell, tess_facts_problems(name, facts, own))
	{
		TessProblem *problem = lfirst(cell);

		ereport(problem->is_fatal ? ERROR : WARNING,
				(errcode(problem->sqlstate),
				 errmsg_internal("%s", problem->message),
				 problem->detail ? errdetail_internal("%s", problem->detail) : 0,
				 errhint("%s", problem->hint)));
	}
}

/* This server as its own node: its row is there, and needs no connection. */
static int32
add_this_server(TessNodeRow *added, bool server_is_new)
{
	ListCell *cell;
	TessNodeRow *row = NULL;

	foreach(cell, tess_cat_nodes())
	{
		row = lfirst(cell);
		if (row->server == NULL)
			break;
	}
	if (row == NULL || row->server != NULL)
		elog(ERROR, "this server has no row in tessera.node");
	if (row->holds_shards)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("this server is already a node, named \"%s\"", row->name),
				 errhint("Use tessera.update_node() to change it.")));

	if (server_is_new)
		tess_server_drop(added->name);
	row->name = added->name;
	row->holds_shards = added->holds_shards;
	row->zone = added->zone;
	tess_cat_node_update(row);
	ereport(NOTICE,
			(errmsg("node \"%s\" is this very server", row->name),
			 errdetail("Its shards are used in process, without a connection.")));
	return row->node_id;
}

/*
 * With max_prepared_transactions = 0 over there, nothing on the node can be
 * part of this transaction: the node joins at once, which does no harm if
 * this transaction fails.
 */
static int32
add_other_server(TessNodeRow *added, TessSession *first_session,
				 const TessFacts *facts)
{
	TessSession *session = first_session;

	if (facts->extension_version != NULL)
		tess_member_refuse_taken(session, added->name);
	added->node_id = tess_cat_node_insert(added);
	CommandCounterIncrement();
	if (facts->max_prepared_transactions > 0)
		session = tess_xact_session(added->node_id, InvalidOid, TESS_WRITE);
	tess_member_join(session, added->name, added->node_id, facts);
	/* without a transaction there, nothing can be said to be there */
	if (facts->max_prepared_transactions > 0)
		tess_objects_copy(added->node_id);
	else
		tess_objects_forget();
	tess_table_copy_references(added->node_id);
	return added->node_id;
}

static int32
add_node(TessNodeRow *added, Oid server, bool server_is_new)
{
	TessSession *session;
	int32 node_id;

	session = tess_net_open_server(server, added->name, GetUserId(), false);
	PG_TRY();
	{
		TessFacts *facts = tess_facts_ask(session);
		TessFacts *own = tess_facts_local();

		if (facts->identity && strcmp(facts->identity, own->identity) == 0)
			node_id = add_this_server(added, server_is_new);
		else
		{
			raise_problems(added->name, facts, own);
			node_id = add_other_server(added, session, facts);
		}
	}
	PG_FINALLY();
	{
		tess_net_close(session);
	}
	PG_END_TRY();
	return node_id;
}

/* tessera.add_node(name, host, port, dbname, holds_shards, zone) */
Datum
tess_node_add(PG_FUNCTION_ARGS)
{
	TessNodeRow added = {0};
	char *host = text_argument(fcinfo, 1);
	bool server_is_new;
	Oid server;

	tess_right_check_manage("add_node");
	PreventCommandIfReadOnly("tessera.add_node()");
	tess_argument_refuse_null(fcinfo, 0, "name", _("Give the name of the node."));
	tess_argument_refuse_null(fcinfo, 2, "port", _(DEFAULT_HINT));
	tess_argument_refuse_null(fcinfo, 3, "dbname", _(DEFAULT_HINT));
	tess_argument_refuse_null(fcinfo, 4, "holds_shards", _(DEFAULT_HINT));
	added.name = text_argument(fcinfo, 0);
	added.server = added.name;
	added.holds_shards = PG_GETARG_BOOL(4);
	added.zone = text_argument(fcinfo, 5);
	added.active = true;
	check_name(added.name);
	check_port(PG_GETARG_INT32(2));
	check_not_empty(host, "host");
	check_not_empty(text_argument(fcinfo, 3), "dbname");
	tess_member_refuse_on_node();

	lock_catalog("node");
	refuse_duplicate_name(added.name);
	server_is_new = !OidIsValid(get_foreign_server_oid(added.name, true));
	server = server_for(added.name, host, PG_GETARG_INT32(2),
						text_argument(fcinfo, 3));
	refuse_duplicate_address(added.name, server);

	PG_RETURN_INT32(add_node(&added, server, server_is_new));
}

/* A new address has to lead to the same database. */
static void
change_address(TessNodeRow *row, const char *host, int port, const char *dbname)
{
	Oid server;
	TessSession *session;

	if (row->server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node \"%s\" is this very server and has no address",
						row->name),
				 errhint("Only holds_shards and zone can be changed.")));
	tess_server_alter(row->server, host, port, dbname);
	CommandCounterIncrement();
	server = get_foreign_server_oid(row->server, false);
	refuse_duplicate_address(row->name, server);

	session = tess_net_open_server(server, row->name, GetUserId(), false);
	PG_TRY();
	{
		TessFacts *facts = tess_facts_ask(session);

		raise_problems(row->name, facts, tess_facts_local());
		tess_member_check(session, row->name, row->node_id, facts);
	}
	PG_FINALLY();
	{
		tess_net_close(session);
	}
	PG_END_TRY();
	tess_net_forget_node(row->node_id);
}

/* tessera.update_node(name, host, port, dbname, holds_shards, zone) */
Datum
tess_node_update(PG_FUNCTION_ARGS)
{
	TessNodeRow *row;
	char *host = text_argument(fcinfo, 1);
	int port = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
	char *dbname = text_argument(fcinfo, 3);

	tess_right_check_manage("update_node");
	PreventCommandIfReadOnly("tessera.update_node()");
	tess_argument_refuse_null(fcinfo, 0, "name", _("Give the name of the node."));
	if (!PG_ARGISNULL(2))
		check_port(port);
	check_not_empty(host, "host");
	check_not_empty(dbname, "dbname");

	lock_catalog("node");
	row = find_node(text_argument(fcinfo, 0));
	if (host != NULL || port != 0 || dbname != NULL)
		change_address(row, host, port, dbname);
	if (!PG_ARGISNULL(4) || !PG_ARGISNULL(5))
	{
		if (!PG_ARGISNULL(4))
			row->holds_shards = PG_GETARG_BOOL(4);
		if (!PG_ARGISNULL(5))
			row->zone = text_argument(fcinfo, 5);
		tess_cat_node_update(row);
	}
	PG_RETURN_VOID();
}

static void
leave_on_node(void *arg)
{
	const TessNodeRow *row = arg;
	TessSession *session = tess_xact_session(row->node_id, InvalidOid,
											 TESS_WRITE);

	tess_net_run_list(session, tess_member_leave_commands());
}

/* tessera.remove_node(name) */
Datum
tess_node_remove(PG_FUNCTION_ARGS)
{
	TessNodeRow *row;
	ErrorData *error;

	tess_right_check_manage("remove_node");
	PreventCommandIfReadOnly("tessera.remove_node()");
	tess_argument_refuse_null(fcinfo, 0, "name", _("Give the name of the node."));
	lock_catalog("node");
	lock_catalog("placement");
	row = find_node(text_argument(fcinfo, 0));
	if (tess_cat_node_has_placements(row->node_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("node \"%s\" holds shards", row->name),
				 errhint(
					 "Undistribute or drop the tables that have shards there first: see the view tessera.placements.")));
	if (row->server == NULL)
	{
		/* the coordinator itself stays; it only gets no more shards */
		row->holds_shards = false;
		tess_cat_node_update(row);
		ereport(NOTICE,
				(errmsg("node \"%s\" is this server and stays the coordinator",
						row->name),
				 errdetail("It gets no more shards, and keeps its name."),
				 errhint(
					 "Use tessera.update_node() to let it hold shards again.")));
		PG_RETURN_VOID();
	}

	tess_table_lock_references();
	error = tess_attempt(leave_on_node, row);
	if (error != NULL &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_CONNECTION_EXCEPTION)
		ReThrowError(error);
	if (error != NULL)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("node \"%s\" is removed without having been told",
						row->name),
				 errdetail_internal("%s", error->message),
				 errhint(
					 "Before it can join a cluster again, drop its copies of reference tables and delete the row of tessera_internal.membership there.")));
	tess_cat_node_delete(row->node_id);
	tess_server_drop(row->server);
	tess_net_forget_node(row->node_id);
	PG_RETURN_VOID();
}
