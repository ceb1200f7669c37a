/*
 * extension.c - is the extension there, whose is it, and where are its tables?
 *
 * The answers are kept until any schema of the database changes: creating or
 * dropping the extension creates or drops the schema tessera in the same
 * transaction, and PostgreSQL tells every backend of it (there is no such
 * message for pg_extension itself).
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/base.h"
#include "base/base_internal.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define MAX_CATALOG_RELATIONS 32

typedef struct CatalogRelation
{
	char name[NAMEDATALEN];
	Oid oid;
} CatalogRelation;

static struct
{
	uint64 generation; /* counts what may have made all below false */
	bool known;
	Oid extension; /* InvalidOid: it is not there */
	Oid owner;
	int relation_count;
	CatalogRelation relations[MAX_CATALOG_RELATIONS];
} cached;

static void
forget(Datum arg, int cache_id, uint32 hash_value)
{
	cached.generation++;
	cached.known = false;
	cached.relation_count = 0;
}

/* OID and owner of the extension by name, both InvalidOid if there is none. */
static void
look_up(Oid *extension, Oid *owner)
{
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	*extension = *owner = InvalidOid;
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(TESS_EXTENSION));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1,
							  &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		*extension = form->oid;
		*owner = form->extowner;
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
}

/* Fills *extension and *owner, from what is cached if possible. */
static void
find_extension(Oid *extension, Oid *owner)
{
	uint64 generation = cached.generation;

	if (cached.known)
	{
		*extension = cached.extension;
		*owner = cached.owner;
		return;
	}

	look_up(extension, owner);
	/* A change that arrived meanwhile may have come after we looked. */
	if (generation == cached.generation)
	{
		cached.extension = *extension;
		cached.owner = *owner;
		cached.known = true;
	}
}

Oid
tess_extension_oid(void)
{
	Oid extension;
	Oid owner;

	find_extension(&extension, &owner);
	if (creating_extension && extension == CurrentExtensionObject)
		return InvalidOid;
	return extension;
}

Oid
tess_extension_owner(void)
{
	Oid extension;
	Oid owner;

	find_extension(&extension, &owner);
	if (!OidIsValid(extension))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" is not installed in this database",
						TESS_EXTENSION),
				 errhint("Use CREATE EXTENSION tessera.")));
	return owner;
}

bool
tess_is_active(void)
{
	if (!IsUnderPostmaster || !OidIsValid(MyDatabaseId) || IsBinaryUpgrade ||
		IsBootstrapProcessingMode() || !IsTransactionState())
		return false;
	return OidIsValid(tess_extension_oid());
}

Oid
tess_catalog_relation_oid(const char *name)
{
	uint64 generation;
	Oid schema;
	Oid oid = InvalidOid;
	CatalogRelation *entry;

	for (int i = 0; i < cached.relation_count; i++)
		if (strcmp(cached.relations[i].name, name) == 0)
			return cached.relations[i].oid;

	generation = cached.generation;
	schema = get_namespace_oid(TESS_SCHEMA, true);
	if (OidIsValid(schema))
		oid = get_relname_relid(name, schema);
	if (!OidIsValid(oid))
	{
		schema = get_namespace_oid(TESS_INTERNAL_SCHEMA, true);
		if (OidIsValid(schema))
			oid = get_relname_relid(name, schema);
	}

	/* What is not there (yet) is looked for again next time. */
	if (!OidIsValid(oid) || generation != cached.generation ||
		cached.relation_count == MAX_CATALOG_RELATIONS)
		return oid;
	entry = &cached.relations[cached.relation_count];
	strlcpy(entry->name, name, NAMEDATALEN);
	entry->oid = oid;
	cached.relation_count++;
	return oid;
}

void
tess_base_init(void)
{
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget, (Datum) 0);
	tess_fault_init();
	tess_shared_memory_init();
	tess_explaining_init();
}
