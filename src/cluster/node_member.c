/*
 * node_member.c - what a node knows of its cluster: one row in its
 * tessera_internal.membership.
 *
 * A database belongs to one cluster.  Without this, two coordinators could
 * put their shards and their decisions into one database.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "cluster/cluster_internal.h"
#include "commands/dbcommands.h"
#include "tessera.h"

#define MEMBER_SQL \
	"SELECT m.cluster_id, m.node_id, m.node_name, m.coordinator," \
	" (SELECT pg_catalog.count(*) FROM tessera.node) > 1" \
	" OR EXISTS (SELECT 1 FROM tessera.\"table\")," \
	" m.incarnation" \
	" FROM (SELECT 1) one LEFT JOIN tessera_internal.membership m ON true"

static void
refuse_other_cluster(const PGresult *result, const char *node_name,
					 const char *cluster_id)
{
	if (PQgetvalue(result, 0, 4)[0] == 't')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" is itself the coordinator of a cluster",
						node_name),
				 errhint(
					 "Use another database of that server, or remove its nodes and distributed tables first.")));
	if (!PQgetisnull(result, 0, 0) &&
		strcmp(PQgetvalue(result, 0, 0), cluster_id) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" belongs to another cluster", node_name),
				 errdetail("It is node \"%s\" of the cluster of %s.",
						   PQgetvalue(result, 0, 2), PQgetvalue(result, 0, 3)),
				 errhint(
					 "Use another database of that server, or remove it from that cluster with tessera.remove_node(); if that cluster is gone, delete the row of tessera_internal.membership there.")));
}

/* Of this cluster, but as a node of another coordinator. */
static void
refuse_other_coordinator(const PGresult *result, const char *node_name)
{
	char *own = tess_coordinator_incarnation();

	if (PQgetisnull(result, 0, 5) || strcmp(PQgetvalue(result, 0, 5), own) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("node \"%s\" serves another coordinator", node_name),
			 errdetail("It serves incarnation %s of the cluster, not %s.",
					   PQgetvalue(result, 0, 5), own),
			 errhint(
				 "If this server is to be the only coordinator from now on, run SELECT tessera.take_over().")));
}

/* A database under a second name or address. */
static void
refuse_second_name(const PGresult *result, const char *node_name, int32 node_id)
{
	ListCell *cell;
	int32 known_id;

	if (PQgetisnull(result, 0, 1))
		return;
	known_id = pg_strtoint32(PQgetvalue(result, 0, 1));
	if (known_id == node_id)
		return;
	foreach(cell, tess_cat_nodes())
	{
		TessNodeRow *row = lfirst(cell);

		if (row->node_id == known_id)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("node \"%s\" is the same database as node \"%s\"",
							node_name, row->name),
					 errhint(
						 "Use tessera.update_node() to change the address of a node.")));
	}
}

static void
lock_membership(void *arg)
{
	tess_net_run_list(arg,
					  list_make1(
						  "LOCK TABLE tessera_internal.membership IN EXCLUSIVE MODE NOWAIT"));
}

/*
 * Another session that changes the row may be of this very transaction (the
 * database left under another name), and would be waited for for ever.
 */
static void
refuse_concurrent_change(TessSession *session, const char *node_name)
{
	ErrorData *error = tess_attempt(lock_membership, session);

	if (error == NULL)
		return;
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
					errmsg("node \"%s\" is just joining or leaving a cluster",
						   node_name),
					errhint("Wait for that transaction to end; if it is "
							"this one, commit first.")));
}

/* Errors with 55000 if the database at the other end is another coordinator's:
 * before a session that says whose it is goes there, which would be refused. */
void
tess_member_refuse_taken(TessSession *session, const char *node_name)
{
	PGresult *result = tess_net_query(session, MEMBER_SQL, NULL);

	refuse_other_cluster(result, node_name, tess_cat_cluster_id());
	refuse_other_coordinator(result, node_name);
}

/* Makes the database at the other end a member.  Errors: 55000, 55006, 42710, and
 * what CREATE EXTENSION says there. */
void
tess_member_join(TessSession *session, const char *node_name, int32 node_id,
				 const TessFacts *facts)
{
	char *cluster_id = tess_cat_cluster_id();
	PGresult *result;
	char *insert;

	if (facts->extension_version == NULL)
		tess_net_run_list(session,
						  list_make1(
							  "CREATE EXTENSION tessera VERSION '" TESSERA_VERSION
							  "'"));

	/* without prepared transactions it runs outside this transaction */
	if (facts->max_prepared_transactions > 0)
		refuse_concurrent_change(session, node_name);
	result = tess_net_query(session, MEMBER_SQL, NULL);
	refuse_other_cluster(result, node_name, cluster_id);
	refuse_other_coordinator(result, node_name);
	refuse_second_name(result, node_name, node_id);

	insert = psprintf("INSERT INTO tessera_internal.membership (cluster_id, node_id, node_name, coordinator, incarnation)"
					  " VALUES (%s, %d, %s, %s, %s)",
					  quote_literal_cstr(cluster_id), node_id,
					  quote_literal_cstr(node_name),
					  quote_literal_cstr(get_database_name(MyDatabaseId)),
					  quote_literal_cstr(tess_coordinator_incarnation()));
	tess_net_run_list(session,
					  list_make2("DELETE FROM tessera_internal.membership",
								 insert));
}

/* Errors with 55000 unless the other end is this very node. */
void
tess_member_check(TessSession *session, const char *node_name, int32 node_id,
				  const TessFacts *facts)
{
	PGresult *result = NULL;

	/* without the extension there is no membership to ask for */
	if (facts->extension_version != NULL)
	{
		result = tess_net_query(session, MEMBER_SQL, NULL);
		refuse_other_cluster(result, node_name, tess_cat_cluster_id());
		refuse_other_coordinator(result, node_name);
	}
	if (result == NULL || PQgetisnull(result, 0, 1) ||
		pg_strtoint32(PQgetvalue(result, 0, 1)) != node_id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the database at this address is not node \"%s\"",
						node_name),
				 errhint(
					 "A node moves to another address with its data. To bring in another database, use tessera.add_node().")));
}

/* What a node forgets when it leaves: the membership and its copies of
 * reference tables. */
List *
tess_member_leave_commands(void)
{
	List *commands = NIL;
	StringInfoData drop;
	ListCell *cell;

	initStringInfo(&drop);
	foreach(cell, tess_cat_tables())
	{
		TessTableRow *row = lfirst(cell);

		if (row->kind == TESS_REFERENCE)
			appendStringInfo(&drop, "%s%s", drop.len > 0 ? ", " : "",
							 tess_relation_qualified_name(row->relation));
	}
	if (drop.len > 0)
		commands = lappend(commands,
						   psprintf("DROP TABLE IF EXISTS %s", drop.data));
	return lappend(commands, "DELETE FROM tessera_internal.membership");
}

/* A node of another cluster does not get nodes of its own. */
void
tess_member_refuse_on_node(void)
{
	int settings = tess_settings_pin();

	SPI_connect();
	if (SPI_execute("SELECT coordinator FROM tessera_internal.membership", true,
					1) == SPI_OK_SELECT &&
		SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is itself a node, of the cluster of %s",
						SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, 1)),
				 errhint(
					 "Call the function on the coordinator of that cluster.")));
	SPI_finish();
	AtEOXact_GUC(true, settings);
}
