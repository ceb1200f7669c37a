/*
 * node_server.c - the foreign server behind a node, and why nobody takes it
 * away from under it.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/acl.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "cluster/cluster_internal.h"
#include "meta/meta.h"
#include "tessera.h"

#define REMOVE_HINT "Use tessera.remove_node() to take it out of the cluster."

static ProcessUtility_hook_type previous_utility = NULL;

static DefElem *
make_option(const char *name, const char *value, DefElemAction action)
{
	return makeDefElemExtended(NULL, pstrdup(name),
							   (Node *) makeString(pstrdup(value)), action, -1);
}

/* The foreign server of a new node, owned by the current user. */
Oid
tess_server_create(const char *name, const char *host, int port,
				   const char *dbname)
{
	CreateForeignServerStmt *stmt = makeNode(CreateForeignServerStmt);

	stmt->servername = pstrdup(name);
	stmt->fdwname = TESS_WRAPPER;
	stmt->options = list_make3(make_option("host", host, DEFELEM_UNSPEC),
							   make_option("port", psprintf("%d", port),
										   DEFELEM_UNSPEC),
							   make_option("dbname", dbname, DEFELEM_UNSPEC));
	return CreateForeignServer(stmt).objectId;
}

/* The value of an option, NULL if it is not set. */
const char *
tess_server_option(Oid server, const char *option)
{
	ListCell *cell;

	foreach(cell, GetForeignServer(server)->options)
	{
		DefElem *element = lfirst_node(DefElem, cell);

		if (strcmp(element->defname, option) == 0)
			return defGetString(element);
	}
	return NULL;
}

/* "host:port/dbname", to compare two servers by. */
char *
tess_server_address(Oid server)
{
	const char *hostaddr = tess_server_option(server, "hostaddr");
	const char *host = tess_server_option(server, "host");
	const char *port = tess_server_option(server, "port");
	const char *dbname = tess_server_option(server, "dbname");

	return psprintf("%s:%s/%s",
					host	   ? host
					: hostaddr ? hostaddr
							   : "",
					port ? port : DEF_PGPORT_STR, dbname ? dbname : "");
}

static List *
change_option(List *options, Oid server, const char *name, const char *value)
{
	DefElemAction action;

	if (value == NULL)
		return options;
	action = tess_server_option(server, name) ? DEFELEM_SET : DEFELEM_ADD;
	return lappend(options, make_option(name, value, action));
}

/* Sets what is not NULL (port: not 0).  Errors with 42501 unless the current
 * user owns the server. */
void
tess_server_alter(const char *name, const char *host, int port,
				  const char *dbname)
{
	AlterForeignServerStmt *stmt = makeNode(AlterForeignServerStmt);
	Oid server = get_foreign_server_oid(name, false);

	if (!pg_foreign_server_ownercheck(server, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of foreign server %s", name),
				 errhint(
					 "Ask the owner of the server to do it, or become a member of the owner's role.")));
	stmt->servername = pstrdup(name);
	stmt->options = change_option(NIL, server, "host", host);
	if (port != 0)
		stmt->options = change_option(stmt->options, server, "port",
									  psprintf("%d", port));
	stmt->options = change_option(stmt->options, server, "dbname", dbname);

	/* hostaddr would win over the new host */
	if (host != NULL && tess_server_option(server, "hostaddr") != NULL)
		stmt->options = lappend(stmt->options,
								makeDefElemExtended(NULL, "hostaddr", NULL,
													DEFELEM_DROP, -1));
	if (stmt->options != NIL)
		AlterForeignServer(stmt);
}

/* With its user mappings. */
void
tess_server_drop(const char *name)
{
	ObjectAddress address;
	Oid server = get_foreign_server_oid(name, true);

	if (!OidIsValid(server))
		return;
	ObjectAddressSet(address, ForeignServerRelationId, server);
	performDeletion(&address, DROP_CASCADE, PERFORM_DELETION_QUIETLY);
}

static void
refuse_if_node(const char *server_name, const char *what, const char *hint)
{
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);
	Oid server = get_foreign_server_oid(server_name, true);

	for (int i = 0; i < count; i++)
	{
		if (!OidIsValid(server) || nodes[i]->server != server)
			continue;
		ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						errmsg("cannot %s server \"%s\" because it is a node",
							   what, server_name),
						errhint("%s", hint)));
	}
}

/* An address by hand could lead to another node, or to another cluster. */
static void
refuse_address(AlterForeignServerStmt *alter)
{
	static const char *const address[] = {"host", "hostaddr", "port", "dbname",
										  "service"};
	ListCell *cell;

	foreach(cell, alter->options)
	{
		const char *option = lfirst_node(DefElem, cell)->defname;

		for (int i = 0; i < lengthof(address); i++)
		{
			if (strcmp(option, address[i]) == 0)
				refuse_if_node(alter->servername, "change the address of",
							   "Use tessera.update_node(), which checks what is there.");
		}
	}
}

/*
 * DROP OWNED, or a CASCADE, that did not name a node's server but took it.
 * If the extension went as well, there are no nodes.
 */
static void
refuse_lost_server(void)
{
	ListCell *cell;

	if (!tess_is_active())
		return;
	foreach(cell, tess_cat_nodes())
	{
		const TessNodeRow *row = lfirst(cell);

		if (row->server != NULL &&
			!OidIsValid(get_foreign_server_oid(row->server, true)))
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop server \"%s\" because it is a node",
							row->server),
					 errhint(REMOVE_HINT)));
	}
}

static bool
may_drop_servers(Node *statement)
{
	if (IsA(statement, DropOwnedStmt))
		return true;
	return IsA(statement, DropStmt) &&
		   (castNode(DropStmt, statement)->removeType == OBJECT_FDW ||
			castNode(DropStmt, statement)->removeType == OBJECT_EXTENSION);
}

/* DROP and RENAME of a node's server would leave a node without one. */
static void
server_utility(PlannedStmt *statement, const char *query_string,
			   bool read_only_tree, ProcessUtilityContext context,
			   ParamListInfo params, QueryEnvironment *environment,
			   DestReceiver *dest, QueryCompletion *completion)
{
	Node *parse = statement->utilityStmt;

	if (IsA(parse, DropStmt) &&
		castNode(DropStmt, parse)->removeType == OBJECT_FOREIGN_SERVER &&
		tess_is_active())
	{
		ListCell *cell;

		foreach(cell, castNode(DropStmt, parse)->objects)
			refuse_if_node(strVal(lfirst(cell)), "drop", REMOVE_HINT);
	}
	else if (IsA(parse, AlterForeignServerStmt) && tess_is_active())
		refuse_address(castNode(AlterForeignServerStmt, parse));
	else if (IsA(parse, RenameStmt) &&
			 castNode(RenameStmt, parse)->renameType == OBJECT_FOREIGN_SERVER &&
			 tess_is_active())
		refuse_if_node(strVal(castNode(RenameStmt, parse)->object), "rename",
					   REMOVE_HINT);

	if (previous_utility)
		previous_utility(statement, query_string, read_only_tree, context,
						 params, environment, dest, completion);
	else
		standard_ProcessUtility(statement, query_string, read_only_tree,
								context, params, environment, dest, completion);

	if (may_drop_servers(parse))
		refuse_lost_server();
}

void
tess_cluster_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = server_utility;
}
