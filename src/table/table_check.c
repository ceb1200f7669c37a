/*
 * table_check.c - may this table be distributed, and by this column?
 *
 * Everything that can be known without looking at other tables, before any
 * lock on a node is taken.  Each refusal has its own SQLSTATE and says what
 * to do instead.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/dependency.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_subscription_rel.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "table/table_internal.h"

static void check_relkind(Relation rel, TessTableKind kind);
static void check_persistence(Relation rel);
static void check_hierarchy(Relation rel, bool with_parent);
static void check_attachments(Relation rel);
static void check_schema(Relation rel);
static void check_subscription(Relation rel);
static bool is_subscribed(Oid relation);

static void
check_owner(Oid relation, const char *name)
{
	if (!pg_class_ownercheck(relation, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of relation %s", name),
				 errhint(
					 "Ask the owner of the table to do it, or become a member of the owner's role.")));
}

/*
 * Opens a table that the current user owns with AccessExclusiveLock, kept
 * until commit.  Errors: 42P01, 42501, 55006 if this session is using it.
 */
Relation
tess_table_open_owned(Oid relation)
{
	Relation rel;
	char *name = get_rel_name(relation);

	/* Before the lock is asked for: a stranger must not block the table. */
	if (name != NULL)
		check_owner(relation, name);
	LockRelationOid(relation, AccessExclusiveLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 name ? errmsg("relation \"%s\" does not exist", name)
					  : errmsg("relation with OID %u does not exist", relation),
				 errhint("Look for the name of the table with \\d.")));
	rel = relation_open(relation, NoLock);
	check_owner(relation, RelationGetRelationName(rel));
	return rel;
}

/* Errors unless rel is a local table that Tessera can take over; with_parent: with
 * the partitioned table that it may be a partition of. */
void
tess_table_check_candidate(Relation rel, TessTableKind kind, bool with_parent)
{
	const TessTable *table = tess_meta_table(RelationGetRelid(rel));

	if (table != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 table->kind == TESS_REFERENCE
					 ? errmsg("table \"%s\" is a reference table already",
							  table->name)
					 : errmsg("table \"%s\" is distributed already", table->name),
				 errhint(
					 "Use tessera.undistribute_table() first to change how it is distributed.")));
	check_relkind(rel, kind);
	check_schema(rel);
	check_persistence(rel);
	check_hierarchy(rel, with_parent);
	check_attachments(rel);
	check_subscription(rel);
	CheckTableNotInUse(rel, "distribute");
}

/* Errors if the table is published: its own rows go, and those of its shards
 * are not seen by the publication.  (Reference tables keep theirs.) */
void
tess_table_check_published(Relation rel)
{
	if (GetRelationPublications(RelationGetRelid(rel)) != NIL ||
		GetSchemaPublications(RelationGetNamespace(rel)) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute table \"%s\", which is published",
						RelationGetRelationName(rel)),
				 errdetail("Changes of its rows would happen on the nodes."),
				 errhint(
					 "Take the table, or its schema, out of the publication first.")));
}

static void
check_relkind(Relation rel, TessTableKind kind)
{
	const char *name = RelationGetRelationName(rel);

	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
			return;
		case RELKIND_PARTITIONED_TABLE:
			if (kind == TESS_DISTRIBUTED)
				return;
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot make partitioned table \"%s\" a reference table",
							name),
					 errhint(
						 "Distribute it, or copy its rows into an ordinary table.")));
			break;
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 rel->rd_rel->relkind == RELKIND_VIEW
						 ? errmsg("\"%s\" is a view, not a table", name)
						 : errmsg("\"%s\" is a materialized view, not a table",
								  name),
					 errhint("Distribute the tables that the view reads.")));
			break;
		case RELKIND_FOREIGN_TABLE:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is a foreign table", name),
					 errhint(
						 "Copy its rows into an ordinary table and distribute that one.")));
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("\"%s\" is not a table", name),
							errhint("Only ordinary tables can be distributed.")));
	}
}

static void
check_schema(Relation rel)
{
	Oid namespace = RelationGetNamespace(rel);
	char *schema = get_namespace_name(namespace);

	if (namespace == PG_CATALOG_NAMESPACE || namespace == PG_TOAST_NAMESPACE ||
		strcmp(schema, "information_schema") == 0 ||
		strcmp(schema, TESS_SCHEMA) == 0 ||
		strcmp(schema, TESS_INTERNAL_SCHEMA) == 0)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is a system catalog",
							   RelationGetRelationName(rel)),
						errhint("Only tables of users can be distributed.")));
	if (OidIsValid(
			getExtensionOfObject(RelationRelationId, RelationGetRelid(rel))))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute table \"%s\", which belongs to an extension",
						RelationGetRelationName(rel)),
				 errdetail(
					 "The extension has a table of that name on each server."),
				 errhint(
					 "Copy its rows into a table of your own and distribute that one.")));
}

static void
check_persistence(Relation rel)
{
	const char *name = RelationGetRelationName(rel);

	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute temporary table \"%s\"", name),
				 errdetail("A temporary table lives in one session of one server."),
				 errhint("Create the table without TEMPORARY.")));
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute unlogged table \"%s\"", name),
				 errdetail(
					 "After a crash each server would empty its own shards, and the rest of the rows would stay."),
				 errhint("Use ALTER TABLE ... SET LOGGED first.")));
}

static void
check_hierarchy(Relation rel, bool with_parent)
{
	const char *name = RelationGetRelationName(rel);
	Oid relation = RelationGetRelid(rel);

	if (rel->rd_rel->relispartition && !with_parent)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute partition \"%s\" by itself", name),
				 errhint("Distribute partitioned table \"%s\", or detach the partition first.",
						 get_rel_name(
							 linitial_oid(get_partition_ancestors(relation))))));
	if ((!rel->rd_rel->relispartition && has_superclass(relation)) ||
		(rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE &&
		 find_inheritance_children(relation, NoLock) != NIL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute table \"%s\", which takes part in inheritance",
						name),
				 errhint("Use ALTER TABLE ... NO INHERIT first.")));
	if (OidIsValid(rel->rd_rel->reloftype))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot distribute typed table \"%s\"", name),
						errhint("Use ALTER TABLE ... NOT OF first.")));
}

/* What would run beside the table's rows and cannot do so in a shard. */
static void
check_attachments(Relation rel)
{
	const char *name = RelationGetRelationName(rel);

	if (rel->rd_rules != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute table \"%s\", which has rules", name),
				 errhint("Drop the rules first.")));
}

static void
check_subscription(Relation rel)
{
	if (is_subscribed(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute table \"%s\", which gets rows from a subscription",
						RelationGetRelationName(rel)),
				 errdetail("They would not reach the shards."),
				 errhint("Take the table out of the subscription first.")));
}

static bool
is_subscribed(Oid relation)
{
	Relation subscribed = table_open(SubscriptionRelRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool found;

	ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(subscribed, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(subscribed, AccessShareLock);
	return found;
}

static List *
column_names(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	List *names = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			names = lappend(names, NameStr(TupleDescAttr(desc, i)->attname));
	}
	return names;
}

/* Finds the key column and how its values are hashed. */
void
tess_table_resolve_key(TessTableRequest *request)
{
	Relation rel = request->rel;
	AttrNumber attnum = get_attnum(RelationGetRelid(rel), request->key);
	Form_pg_attribute attribute;
	const char *reason = NULL;

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						request->key, RelationGetRelationName(rel)),
				 column_names(rel) == NIL
					 ? errhint("A table needs a column to be distributed by.")
					 : errhint("The table has the columns %s.",
							   tess_name_list(column_names(rel)))));
	if (attnum < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
						errmsg("cannot distribute by system column \"%s\"",
							   request->key),
						errhint("Name a column of the table's own.")));
	attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	if (attribute->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by generated column \"%s\"",
						request->key),
				 errdetail("Its value is known only in the shard."),
				 errhint("Distribute by a column that it is computed from.")));
	if (!tess_meta_hasher_init(&request->hasher, attribute->atttypid,
							   attribute->attcollation, CurrentMemoryContext,
							   &reason))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by column \"%s\"", request->key),
				 errdetail_internal("%s", reason),
				 errhint("Choose a column of another type.")));
	request->key_attnum = attnum;
}
