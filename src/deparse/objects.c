/*
 * objects.c - what a table needs on another server before it can be created.
 *
 * PostgreSQL knows it: pg_depend is followed from the table to whatever it,
 * its defaults, constraints, indexes and statistics need, and from there on.
 * Members of extensions are not made one by one: the extension is.  A function
 * with a string body hides what it needs; that is left to its owner.
 *
 * An object that is there already is left as it is.  A type of that name with
 * another definition is an error: values would not mean the same.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "rewrite/rewriteHandler.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

static void need_object(TessNeeds *needs, Oid class, Oid object);

/* Everything that an object depends on.  column 0: all of it. */
static void
need_dependencies(TessNeeds *needs, Oid class, Oid object)
{
	Relation catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL, 2,
							  keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (depend->deptype != DEPENDENCY_EXTENSION)
			need_object(needs, depend->refclassid, depend->refobjid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* The dependencies of all constraints of a table or a domain, without those
 * that are kept by indexes and by other tables. */
static void
need_constraints(TessNeeds *needs, AttrNumber column, Oid index, Oid owner)
{
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(owner));
	scan = systable_beginscan(catalog, index, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

		if (constraint->contype == CONSTRAINT_CHECK ||
			constraint->contype == CONSTRAINT_EXCLUSION)
			need_dependencies(needs, ConstraintRelationId, constraint->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
refuse_object(Oid class, Oid object)
{
	ObjectAddress address;

	ObjectAddressSet(address, class, object);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s, which the table needs, cannot be created on other servers",
					getObjectDescription(&address, false)),
			 errhint("Put it into an extension that is available on all nodes.")));
}

static void
need_type(TessNeeds *needs, Oid type)
{
	Oid element = get_element_type(type);
	Oid relation;

	if (OidIsValid(element))
	{
		need_object(needs, TypeRelationId, element);
		return;
	}
	switch (get_typtype(type))
	{
		case TYPTYPE_MULTIRANGE:
			need_object(needs, TypeRelationId, get_multirange_range(type));
			return;
		case TYPTYPE_COMPOSITE:
			relation = get_typ_typrelid(type);
			if (get_rel_relkind(relation) != RELKIND_COMPOSITE_TYPE)
			{
				/* the row type of a table comes with the table */
				if (tess_meta_table(relation) == NULL)
					refuse_object(TypeRelationId, type);
				return;
			}
			need_dependencies(needs, RelationRelationId, relation);
			break;
		case TYPTYPE_DOMAIN:
			need_constraints(needs, Anum_pg_constraint_contypid,
							 ConstraintTypidIndexId, type);
			break;
		case TYPTYPE_ENUM:
		case TYPTYPE_RANGE:
			break;
		default:
			refuse_object(TypeRelationId, type);
	}
	need_dependencies(needs, TypeRelationId, type);
	tess_need_type(needs, type);
}

static bool
is_seen(TessNeeds *needs, Oid class, Oid object)
{
	ListCell *cell;
	ObjectAddress *address;

	foreach(cell, needs->seen)
	{
		address = lfirst(cell);
		if (address->classId == class && address->objectId == object)
			return true;
	}
	address = palloc(sizeof(ObjectAddress));
	ObjectAddressSet(*address, class, object);
	needs->seen = lappend(needs->seen, address);
	return false;
}

/* Adds an object after what it needs itself. */
static void
need_object(TessNeeds *needs, Oid class, Oid object)
{
	Oid extension;

	/* objects of initdb are everywhere */
	if (object < FirstNormalObjectId || is_seen(needs, class, object))
		return;

	extension = getExtensionOfObject(class, object);
	if (OidIsValid(extension) && class != ExtensionRelationId)
	{
		need_object(needs, ExtensionRelationId, extension);
		return;
	}
	switch (class)
	{
		case NamespaceRelationId:
			tess_need_schema(needs, object);
			break;
		case TypeRelationId:
			need_type(needs, object);
			break;
		case CollationRelationId:
			need_dependencies(needs, class, object);
			tess_need_collation(needs, object);
			break;
		case ProcedureRelationId:
			need_dependencies(needs, class, object);
			tess_need_function(needs, object);
			break;
		case ExtensionRelationId:
			if (object == tess_extension_oid())
				break;
			need_dependencies(needs, class, object);
			tess_need_extension(needs, object);
			break;
		case ConstraintRelationId:
			/* what a constraint of the table needs is looked at by itself */
			break;
		case RelationRelationId:
			/* the table itself, a composite type's, a sequence, a referenced
			 * table: none of them is made here */
			if (get_rel_relkind(object) == RELKIND_VIEW ||
				get_rel_relkind(object) == RELKIND_MATVIEW)
				refuse_object(class, object);
			break;
		default:
			refuse_object(class, object);
	}
}

/* What the defaults and generated columns need that will be sent. */
static void
need_defaults(TessNeeds *needs, Relation rel)
{
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), i);
		Node *expr;

		if (column->attisdropped || !column->atthasdef ||
			column->attidentity != '\0')
			continue;
		expr = build_column_default(rel, column->attnum);
		if (column->attgenerated != '\0' ||
			(expr != NULL && tess_default_travels(expr)))
			need_dependencies(needs, AttrDefaultRelationId,
							  GetAttrDefaultOid(RelationGetRelid(rel),
												column->attnum));
	}
}

List *
tess_ddl_needed_objects(Oid relation)
{
	TessNeeds needs = {0};
	Relation rel = table_open(relation, NoLock);
	int settings = tess_settings_pin();
	ListCell *cell;

	(void) is_seen(&needs, RelationRelationId, relation);
	tess_need_rights_of_table(&needs, rel);
	need_dependencies(&needs, RelationRelationId, relation);
	need_defaults(&needs, rel);
	need_constraints(&needs, Anum_pg_constraint_conrelid,
					 ConstraintRelidTypidNameIndexId, relation);
	foreach(cell, RelationGetIndexList(rel))
		need_dependencies(&needs, RelationRelationId, lfirst_oid(cell));
	foreach(cell, RelationGetStatExtList(rel))
		need_dependencies(&needs, StatisticExtRelationId, lfirst_oid(cell));

	AtEOXact_GUC(true, settings);
	table_close(rel, NoLock);
	return list_concat(needs.roles, needs.statements);
}
