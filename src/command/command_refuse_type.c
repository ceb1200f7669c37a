/*
 * command_refuse_type.c - statements that would change a type on this server
 * alone while columns of distributed or reference tables are made of it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "objects/objects.h"

static bool is_done_on_nodes(Node *statement, Oid type);
static bool changes_hash(Node *statement);
static void refuse(Node *statement, const TessTable *table,
				   Form_pg_attribute attribute);
static void refuse_key(Node *statement, const TessTable *table,
					   Form_pg_attribute attribute);
static bool is_made_of(Oid type, Oid part);
static Oid domain_parent(Oid domain);
static bool row_is_made_of(Oid type, Oid part);

/* Errors with 0A000 for such a statement. */
void
tess_refuse_type_change(Node *statement)
{
	Oid changed = tess_object_changed_type(statement);
	bool is_done;
	ListCell *lc;

	if (!OidIsValid(changed))
		return;
	is_done = is_done_on_nodes(statement, changed);
	if (is_done && !changes_hash(statement))
		return;
	foreach(lc, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(lc))->relation;
		Relation rel = try_relation_open(relation, AccessShareLock);
		const TessTable *table = rel ? tess_meta_table(relation) : NULL;

		for (int i = 0; table != NULL && i < RelationGetDescr(rel)->natts; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

			if (attribute->attisdropped ||
				!is_made_of(attribute->atttypid, changed))
				continue;
			if (attribute->attnum == table->key_attnum && changes_hash(statement))
				refuse_key(statement, table, attribute);
			else if (!is_done)
				refuse(statement, table, attribute);
		}
		if (rel != NULL)
			relation_close(rel, NoLock);
	}
}

static void
refuse(Node *statement, const TessTable *table, Form_pg_attribute attribute)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported on a type of column \"%s\" of table \"%s\"",
					CreateCommandName(statement), NameStr(attribute->attname),
					table->name),
			 errdetail(
				 "The nodes have the type as it was when the table was distributed."),
			 errhint(
				 "Use tessera.undistribute_table(), change the type here and on all nodes, and distribute the table again.")));
}

static void
refuse_key(Node *statement, const TessTable *table, Form_pg_attribute attribute)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported on a type of column \"%s\" of table \"%s\"",
					CreateCommandName(statement), NameStr(attribute->attname),
					table->name),
			 errdetail(
				 "It is the distribution key, and rows would belong to other shards."),
			 errhint(
				 "Use tessera.undistribute_table(), change the type, and distribute the table again.")));
}

/* All nodes that hold the type get the change as well (there may be none); so do
 * those that have the extension whose script this is. */
static bool
is_done_on_nodes(Node *statement, Oid type)
{
	if (creating_extension)
		return true;
	return !IsA(statement, AlterTypeStmt) &&
		   (tess_meta_remote_nodes() == NIL ||
			tess_objects_hold(TypeRelationId, type));
}

/* Does a value have another hash then?  Those of enums are hashed by their names,
 * rows by all their parts. */
static bool
changes_hash(Node *statement)
{
	return (IsA(statement, AlterEnumStmt) &&
			((AlterEnumStmt *) statement)->oldVal != NULL) ||
		   IsA(statement, AlterTableStmt);
}

static bool
is_made_of(Oid type, Oid part)
{
	Oid inner;

	if (type == part)
		return true;
	inner = get_element_type(type);
	if (!OidIsValid(inner) && type_is_range(type))
		inner = get_range_subtype(type);
	if (!OidIsValid(inner) && type_is_multirange(type))
		inner = get_multirange_range(type);
	if (!OidIsValid(inner) && get_typtype(type) == TYPTYPE_DOMAIN)
		inner = domain_parent(type);
	if (OidIsValid(inner))
		return is_made_of(inner, part);
	return get_typtype(type) == TYPTYPE_COMPOSITE && row_is_made_of(type, part);
}

/* What a domain is over, which may be a domain as well. */
static Oid
domain_parent(Oid domain)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
	Oid parent = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		parent = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
	}
	return parent;
}

static bool
row_is_made_of(Oid type, Oid part)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);

	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped &&
			is_made_of(TupleDescAttr(desc, i)->atttypid, part))
			return true;
	}
	return false;
}
