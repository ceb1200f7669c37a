/*
 * command_refuse_type.c - statements that would change a type on this server
 * alone while columns of distributed or reference tables are made of it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "objects/objects.h"

static Oid changed_type(Node *statement);
static bool is_done_on_nodes(Node *statement, Oid type);
static Oid named_type(Node *name);
static bool is_made_of(Oid type, Oid part);
static Oid domain_parent(Oid domain);
static bool row_is_made_of(Oid type, Oid part);

/* Errors with 0A000 for such a statement. */
void
tess_refuse_type_change(Node *statement)
{
	Oid changed = changed_type(statement);
	ListCell *lc;

	if (!OidIsValid(changed) || is_done_on_nodes(statement, changed))
		return;
	foreach(lc, tess_cat_tables())
	{
		Oid relation = ((TessTableRow *) lfirst(lc))->relation;
		Relation rel = try_relation_open(relation, AccessShareLock);

		for (int i = 0; rel != NULL && i < RelationGetDescr(rel)->natts; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

			if (!attribute->attisdropped &&
				is_made_of(attribute->atttypid, changed))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("%s is not supported on a type of column \"%s\" of table \"%s\"",
								CreateCommandName(statement),
								NameStr(attribute->attname),
								RelationGetRelationName(rel)),
						 errdetail(
							 "The nodes have the type as it was when the table was distributed."),
						 errhint(
							 "Use tessera.undistribute_table(), change the type here and on all nodes, and distribute the table again.")));
		}
		if (rel != NULL)
			relation_close(rel, NoLock);
	}
}

/* The type that the statement is about, if any. */
static Oid
changed_type(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterEnumStmt:
			return named_type(
				(Node *) castNode(AlterEnumStmt, statement)->typeName);
		case T_AlterDomainStmt:
			return named_type(
				(Node *) castNode(AlterDomainStmt, statement)->typeName);
		case T_AlterTypeStmt:
			return named_type(
				(Node *) castNode(AlterTypeStmt, statement)->typeName);
		case T_AlterTableStmt:
			if (castNode(AlterTableStmt, statement)->objtype == OBJECT_TYPE)
				return get_rel_type_id(
					RangeVarGetRelid(castNode(AlterTableStmt, statement)->relation,
									 NoLock, true));
			return InvalidOid;
		case T_RenameStmt:
		{
			RenameStmt *rename = castNode(RenameStmt, statement);

			if (rename->renameType == OBJECT_ATTRIBUTE)
				return get_rel_type_id(
					RangeVarGetRelid(rename->relation, NoLock, true));
			if (rename->renameType == OBJECT_TYPE ||
				rename->renameType == OBJECT_DOMAIN ||
				rename->renameType == OBJECT_DOMCONSTRAINT)
				return named_type(rename->object);
			return InvalidOid;
		}
		case T_AlterObjectSchemaStmt:
		{
			AlterObjectSchemaStmt *move = castNode(AlterObjectSchemaStmt,
												   statement);

			if (move->objectType == OBJECT_TYPE ||
				move->objectType == OBJECT_DOMAIN)
				return named_type(move->object);
			return InvalidOid;
		}
		default:
			return InvalidOid;
	}
}

/* A new value of an enum that all nodes hold comes to them as well.  (Another
 * name of a value could send a key to another shard.) */
static bool
is_done_on_nodes(Node *statement, Oid type)
{
	return IsA(statement, AlterEnumStmt) &&
		   ((AlterEnumStmt *) statement)->oldVal == NULL &&
		   tess_objects_hold(TypeRelationId, type);
}

/* InvalidOid if there is none: PostgreSQL will say so. */
static Oid
named_type(Node *name)
{
	if (name == NULL || !IsA(name, List))
		return InvalidOid;
	return LookupTypeNameOid(NULL, makeTypeNameFromNameList((List *) name), true);
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
