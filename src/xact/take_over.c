/*
 * take_over.c - a node serves one coordinator, and how another one takes over.
 *
 * A node keeps the incarnation that it serves, and refuses the statements of
 * sessions that claim another one (node_session.c): of a restored or copied
 * coordinator beside a live one, of a standby that was promoted, of one that
 * was taken over from.
 * take_over() has all nodes serve this server.  It counts: the highest number
 * wins, so that a node which was away is told later (by the recovery), and
 * never goes back.
 *
 * This fences off what is out of date; it keeps nobody out who means harm.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "meta/meta.h"
#include "net/net.h"
#include "tessera.h"
#include "xact/xact_internal.h"

PG_FUNCTION_INFO_V1(tess_coordinator_take_over);

/* How long a session of another coordinator may take to end. */
#define END_TIMEOUT_MS 5000

/* A node that is asked whom it serves, and told. */
typedef struct Contact
{
	const TessNode *node;
	TessSession *session;
	char *served; /* incarnation; NULL: it does not know this cluster */
} Contact;

static int
number_of(const char *incarnation)
{
	return (int) strtol(incarnation, NULL, 10);
}

/* Sets served. */
static void
ask_served(Contact *contact)
{
	PGresult *result;

	result = tess_net_query(contact->session,
							psprintf("SELECT m.incarnation FROM tessera_internal.membership m"
									 " WHERE m.cluster_id = %s AND m.node_id = %d",
									 quote_literal_cstr(tess_cat_cluster_id()),
									 contact->node->node_id),
							NULL);
	contact->served = PQntuples(result) == 1 ? pstrdup(PQgetvalue(result, 0, 0))
											 : NULL;
}

/* Ends the sessions there of all other coordinators; all who come later are
 * refused. */
static void
end_others(Contact *contact)
{
	const char *name = quote_literal_cstr(tess_coordinator_name());
	StringInfoData sql;
	PGresult *result;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT s.pid FROM tessera_internal.coordinator_sessions() s"
					 " WHERE CASE WHEN s.coordinator <> %s"
					 " THEN NOT pg_catalog.pg_terminate_backend(s.pid, %d) ELSE false END",
					 name, END_TIMEOUT_MS);
	result = tess_net_query(contact->session, sql.data, NULL);
	if (PQntuples(result) == 0)
		return;

	/* one that had ended by itself does not count */
	resetStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT 1 FROM tessera_internal.coordinator_sessions() s"
					 " WHERE s.coordinator <> %s AND s.pid IN (",
					 name);
	for (int row = 0; row < PQntuples(result); row++)
		appendStringInfo(&sql, "%s%s", row > 0 ? ", " : "",
						 PQgetvalue(result, row, 0));
	appendStringInfoChar(&sql, ')');
	if (PQntuples(tess_net_query(contact->session, sql.data, NULL)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("sessions of another coordinator on node \"%s\" have not ended",
						contact->node->name),
				 errhint(
					 "See tessera_internal.coordinator_sessions() there, and run tessera.take_over() again.")));
}

static void
tell(Contact *contact)
{
	char *sql = psprintf("UPDATE tessera_internal.membership SET incarnation = %s"
						 " WHERE cluster_id = %s AND node_id = %d",
						 quote_literal_cstr(tess_coordinator_incarnation()),
						 quote_literal_cstr(tess_cat_cluster_id()),
						 contact->node->node_id);

	tess_net_run_list(contact->session, list_make1(sql));
	end_others(contact);
}

static void
open_contact(Contact *contact)
{
	contact->session = tess_net_open_server(contact->node->server,
											contact->node->name,
											tess_extension_owner(), false);
}

static void
close_contact(Contact *contact)
{
	TessSession *session = contact->session;

	contact->session = NULL;
	if (session != NULL)
		tess_net_close(session);
}

static void
attempt_served(void *arg)
{
	open_contact(arg);
	ask_served(arg);
}

static void
attempt_tell(void *arg)
{
	tell(arg);
}

/* For tess_attempt; arg is a node, which is told if it serves an incarnation
 * before this one. */
static void
tell_if_older(void *arg)
{
	Contact *contact = arg;

	open_contact(contact);
	ask_served(contact);
	if (contact->served == NULL ||
		number_of(contact->served) >= tess_cat_cluster()->incarnation)
		contact->served = NULL;
	else
		tell(contact);
}

/*
 * A node has refused this server.  True if it was away when this server took
 * over, and serves it now.
 */
bool
tess_coordinator_tell(int32 node_id)
{
	Contact contact = {tess_meta_node(node_id), NULL, NULL};
	ErrorData *error = tess_attempt(tell_if_older, &contact);

	close_contact(&contact);
	return error == NULL && contact.served != NULL;
}

static void
warn_untold(const Contact *contact, const ErrorData *error)
{
	ereport(WARNING, (errcode(ERRCODE_WARNING),
					  errmsg("node \"%s\" does not serve this coordinator yet",
							 contact->node->name),
					  error ? errdetail_internal("%s", error->message)
							: errdetail("It does not know this cluster."),
					  error ? errhint("It is told as soon as it answers.") : 0));
}

/* The nodes that answer, asked whom they serve; the others are warned of. */
static List *
make_contacts(void)
{
	List *contacts = NIL;
	int count;
	const TessNode *const *nodes = tess_meta_nodes(&count);

	for (int i = 0; i < count; i++)
	{
		Contact *contact = palloc0(sizeof(Contact));
		ErrorData *error;

		if (nodes[i]->is_local)
			continue;
		contact->node = nodes[i];
		error = tess_attempt(attempt_served, contact);
		if (error == NULL && contact->served != NULL)
		{
			contacts = lappend(contacts, contact);
			continue;
		}
		close_contact(contact);
		tess_node_mark_dirty(nodes[i]->node_id);
		warn_untold(contact, error);
	}
	return contacts;
}

/*
 * Whose decisions are all here from now on: those of whom this server was, and,
 * if the caller says so, those of whom it is a copy.
 */
static void
note_predecessors(TessClusterRow *cluster, List *contacts, bool has_all)
{
	char *own = tess_coordinator_incarnation();
	ListCell *cell;

	if (!tess_names_include(cluster->decides, own))
		cluster->decides = lappend(cluster->decides, own);
	foreach(cell, contacts)
	{
		char *served = ((Contact *) lfirst(cell))->served;

		if (!has_all || tess_names_include(cluster->decides, served))
			continue;
		if (number_of(served) != cluster->incarnation)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("this server cannot have all decisions of incarnation %s",
							served),
					 errdetail("It is a copy of incarnation %d.",
							   cluster->incarnation),
					 errhint(
						 "Use tessera.take_over() without the argument; what is in doubt then, see in tessera.in_doubt.")));
		cluster->decides = lappend(cluster->decides, served);
	}
}

static int
next_number(const TessClusterRow *cluster, List *contacts)
{
	int number = cluster->incarnation;
	ListCell *cell;

	foreach(cell, contacts)
		number = Max(number, number_of(((Contact *) lfirst(cell))->served));
	return number + 1;
}

/*
 * tessera.take_over(has_all_decisions): how many nodes serve this server now.
 * The nodes are told at once, whatever becomes of this transaction.
 */
Datum
tess_coordinator_take_over(PG_FUNCTION_ARGS)
{
	TessClusterRow *cluster;
	List *contacts;
	ListCell *cell;
	int told = 0;

	tess_right_check_manage("take_over");
	PreventCommandDuringRecovery("tessera.take_over()");
	PreventCommandIfReadOnly("tessera.take_over()");
	tess_argument_refuse_null(fcinfo, 0, "has_all_decisions",
							  _("Leave the argument out to get its default."));
	LockRelationOid(tess_catalog_relation_oid("cluster"), ShareRowExclusiveLock);
	contacts = make_contacts();
	cluster = tess_cat_cluster();
	note_predecessors(cluster, contacts, PG_GETARG_BOOL(0));
	cluster->incarnation = next_number(cluster, contacts);
	tess_cat_cluster_update(cluster);

	foreach(cell, contacts)
	{
		Contact *contact = lfirst(cell);
		ErrorData *error = tess_attempt(attempt_tell, contact);

		close_contact(contact);
		tess_node_mark_dirty(contact->node->node_id);
		if (error == NULL)
			told++;
		else
			warn_untold(contact, error);
	}
	PG_RETURN_INT32(told);
}
