/*
 * command_refuse_replication.c - logical replication of distributed tables.
 *
 * A publication would find no changes in the shell, and a subscription would
 * put its rows into the shell, where nobody reads them.  Reference tables are
 * complete on this server, so they can be published, but not subscribed.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_subscription_rel.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

#include "catalog/catalog.h"
#include "command/command_internal.h"

static void refuse_published(const List *objects, Node *statement);
static void refuse_published_table(const TessTable *table, Node *statement);
static void refuse_published_schema(Oid schema, Node *statement);
static void warn_of_all_tables(const char *publication);
static void refuse_subscribed(Node *statement);

/* Errors with 0A000 for such a statement. */
void
tess_refuse_replication(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreatePublicationStmt:
		{
			CreatePublicationStmt *create = castNode(CreatePublicationStmt,
													 statement);

			refuse_published(create->pubobjects, statement);
			if (create->for_all_tables)
				warn_of_all_tables(create->pubname);
			break;
		}
		case T_AlterPublicationStmt:
		{
			AlterPublicationStmt *alter = castNode(AlterPublicationStmt,
												   statement);

			if (alter->action != AP_DropObjects)
				refuse_published(alter->pubobjects, statement);
			break;
		}
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
			refuse_subscribed(statement);
			break;
		default:
			break;
	}
}

static void
refuse_published(const List *objects, Node *statement)
{
	ListCell *lc;

	foreach(lc, objects)
	{
		PublicationObjSpec *object = lfirst_node(PublicationObjSpec, lc);

		if (object->pubobjtype == PUBLICATIONOBJ_TABLE)
			refuse_published_table(tess_command_table(object->pubtable->relation),
								   statement);
		else if (object->pubobjtype == PUBLICATIONOBJ_TABLES_IN_SCHEMA)
			refuse_published_schema(get_namespace_oid(object->name, true),
									statement);
		else if (object->pubobjtype == PUBLICATIONOBJ_TABLES_IN_CUR_SCHEMA)
		{
			List *path = fetch_search_path(false);

			if (path != NIL)
				refuse_published_schema(linitial_oid(path), statement);
		}
	}
}

static void
refuse_published_table(const TessTable *table, Node *statement)
{
	if (table == NULL || table->kind != TESS_DISTRIBUTED)
		return;
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("%s is not supported on distributed table \"%s\"",
						   CreateCommandName(statement), table->name),
					errdetail("Changes of its rows happen on the nodes."),
					errhint("Create publications of its shards on the nodes.")));
}

static void
refuse_published_schema(Oid schema, Node *statement)
{
	ListCell *lc;

	foreach(lc, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(lc))->relation;

		if (get_rel_namespace(relation) == schema)
			refuse_published_table(tess_meta_table(relation), statement);
	}
}

/* A publication of all tables is often about all others.  Said before it is
 * made, not again when it is there. */
static void
warn_of_all_tables(const char *publication)
{
	ListCell *lc;

	if (OidIsValid(get_publication_oid(publication, true)))
		return;
	foreach(lc, tess_cat_tables())
	{
		const TessTable *table = tess_meta_table(
			((TessTableRow *) lfirst(lc))->relation);

		if (table == NULL || table->kind != TESS_DISTRIBUTED)
			continue;
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("changes of distributed tables will not be published"),
				 errhint("Create publications of their shards on the nodes.")));
		return;
	}
}

/* Which tables a subscription has is known only after the publisher has been
 * asked. */
static void
refuse_subscribed(Node *statement)
{
	Relation subscribed = table_open(SubscriptionRelRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(subscribed, InvalidOid, false, NULL,
										  0, NULL);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		const TessTable *table = tess_meta_table(
			((Form_pg_subscription_rel) GETSTRUCT(tuple))->srrelid);

		if (table != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s is not supported with table \"%s\"",
							CreateCommandName(statement), table->name),
					 errdetail(
						 "A subscription writes into this server's table, and its rows are in shards and copies."),
					 errhint(
						 "Leave the table out of the publication, and drop the replication slot if the publisher has one now.")));
	}
	systable_endscan(scan);
	table_close(subscribed, AccessShareLock);
}
