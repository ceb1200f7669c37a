/*
 * command_extension.c - ALTER EXTENSION on this server and on the nodes.
 *
 * Nodes that have an extension get its new version, or schema, in the same
 * transaction; if one cannot (its files are not installed there), nothing has
 * changed anywhere.  That is so for tessera itself, too.  Nodes get extensions
 * when tables need them (deparse/), and keep those that are dropped here.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "deparse/deparse.h"
#include "objects/objects.h"
#include "table/table.h"

/* Tells the nodes that have the extension. */
static void
repeat_on_nodes(const char *extension, const char *change)
{
	TessWork *work = tess_work_of_nodes(tess_meta_remote_nodes());
	char *alter = psprintf("ALTER EXTENSION %s %s", quote_identifier(extension),
						   change);
	char *body = psprintf("BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = %s) THEN EXECUTE %s; END IF; END",
						  quote_literal_cstr(extension),
						  quote_literal_cstr(alter));

	tess_work_add(work,
				  psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(body)));
	tess_work_run(work);
}

/* The schema has to be there. */
static void
bring_schema(const char *name)
{
	ObjectAddress schema;

	ObjectAddressSet(schema, NamespaceRelationId, get_namespace_oid(name, false));
	if (schema.objectId >= FirstNormalObjectId)
		tess_objects_bring(&schema);
}

/* See command_internal.h. */
void
tess_extension_repeat(const Node *statement)
{
	const AlterObjectSchemaStmt *move = (const AlterObjectSchemaStmt *) statement;
	const char *name;
	const char *version;
	Oid schema;

	if (tess_cat_is_restoring() || tess_meta_remote_nodes() == NIL)
		return;
	/* as who makes objects on nodes does: none joins meanwhile */
	LockRelationOid(tess_catalog_relation_oid("node"), RowExclusiveLock);
	CommandCounterIncrement();
	if (IsA(statement, AlterExtensionStmt))
	{
		name = ((const AlterExtensionStmt *) statement)->extname;
		version = tess_extension_version(get_extension_oid(name, false), &schema);
		repeat_on_nodes(name,
						psprintf("UPDATE TO %s", quote_literal_cstr(version)));
		return;
	}
	name = strVal(move->object);
	bring_schema(move->newschema);
	repeat_on_nodes(name, psprintf("SET SCHEMA %s",
								   quote_identifier(move->newschema)));
	tess_objects_forget_plans();
}

/* Errors with 0A000 if an object that nodes hold by itself is to become part of an
 * extension: to them it would be none. */
void
tess_refuse_extension_contents(AlterExtensionContentsStmt *alter)
{
	Relation relation = NULL;
	ObjectAddress address;

	if (alter->action < 0)
		return;
	address = get_object_address(alter->objtype, alter->object, &relation,
								 AccessShareLock, true);
	if (relation != NULL)
		relation_close(relation, NoLock);
	if (!OidIsValid(address.objectId) ||
		!tess_objects_hold(address.classId, address.objectId))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot add %s to extension \"%s\"",
					getObjectDescription(&address, false), alter->extname),
			 errdetail("The nodes hold it, and the extension there has none."),
			 errhint(
				 "Make an extension that creates it, and install that on all servers.")));
}
