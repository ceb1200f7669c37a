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
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
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
static void add_object(TessNeeds *needs, Oid class, Oid object);

/* The rows of pg_depend of an object that depends; FormData_pg_depend *. */
static List *
dependencies_of(Oid class, Oid object)
{
	Relation catalog = table_open(DependRelationId, AccessShareLock);
	List *dependencies = NIL;
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
		Form_pg_depend depend = palloc(sizeof(FormData_pg_depend));

		memcpy(depend, GETSTRUCT(tuple), sizeof(FormData_pg_depend));
		dependencies = lappend(dependencies, depend);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return dependencies;
}

/* What an object was made along with; its class is InvalidOid if it was made
 * by itself. */
static ObjectAddress
internal_owner(Oid class, Oid object)
{
	ObjectAddress owner = InvalidObjectAddress;
	ListCell *cell;

	if (class != ProcedureRelationId && class != CastRelationId)
		return owner;
	foreach(cell, dependencies_of(class, object))
	{
		const FormData_pg_depend *depend = lfirst(cell);

		if (depend->deptype == DEPENDENCY_INTERNAL)
			ObjectAddressSet(owner, depend->refclassid, depend->refobjid);
	}
	return owner;
}

bool
tess_object_is_internal(Oid class, Oid object)
{
	return OidIsValid(internal_owner(class, object).classId);
}

/* Everything that an object depends on. */
static void
need_dependencies(TessNeeds *needs, Oid class, Oid object)
{
	ListCell *cell;

	foreach(cell, dependencies_of(class, object))
	{
		const FormData_pg_depend *depend = lfirst(cell);

		if (depend->deptype != DEPENDENCY_EXTENSION)
			need_object(needs, depend->refclassid, depend->refobjid);
	}
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
refuse_object(TessNeeds *needs, Oid class, Oid object)
{
	ObjectAddress address;

	if (needs->is_single)
	{
		needs->is_refused = true;
		return;
	}
	ObjectAddressSet(address, class, object);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s, which the table needs, cannot be created on other servers",
					getObjectDescription(&address, false)),
			 errhint("Put it into an extension that is available on all nodes.")));
}

/* An object that stands by itself may use no relation at all: nodes do not
 * have it under its name. */
static bool
is_relation_refused(const TessNeeds *needs, Oid relation)
{
	char relkind = get_rel_relkind(relation);

	return relkind == RELKIND_VIEW || relkind == RELKIND_MATVIEW ||
		   (needs->is_single && relkind != RELKIND_COMPOSITE_TYPE);
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
				if (needs->is_single || tess_meta_table(relation) == NULL)
					refuse_object(needs, TypeRelationId, type);
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
			refuse_object(needs, TypeRelationId, type);
			return;
	}
	need_dependencies(needs, TypeRelationId, type);
	add_object(needs, TypeRelationId, type);
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

/* The object itself, or the statement that makes it. */
static void
add_object(TessNeeds *needs, Oid class, Oid object)
{
	ObjectAddress *address;

	if (needs->by_address)
	{
		address = palloc(sizeof(ObjectAddress));
		ObjectAddressSet(*address, class, object);
		needs->objects = lappend(needs->objects, address);
		return;
	}
	switch (class)
	{
		case NamespaceRelationId:
			tess_need_schema(needs, object);
			break;
		case TypeRelationId:
			tess_need_type(needs, object);
			break;
		case CollationRelationId:
			tess_need_collation(needs, object);
			break;
		case ProcedureRelationId:
			tess_need_function(needs, object);
			break;
		default:
			tess_need_defined(needs, class, object);
	}
}

/* Adds an object after what it needs itself. */
static void
need_object(TessNeeds *needs, Oid class, Oid object)
{
	ObjectAddress owner;
	Oid extension;

	/* objects of initdb are everywhere */
	if (object < FirstNormalObjectId || is_seen(needs, class, object))
		return;

	owner = internal_owner(class, object);
	if (OidIsValid(owner.classId))
	{
		need_object(needs, owner.classId, owner.objectId);
		return;
	}
	extension = getExtensionOfObject(class, object);
	if (OidIsValid(extension) && class != ExtensionRelationId)
	{
		need_object(needs, ExtensionRelationId, extension);
		return;
	}
	switch (class)
	{
		case NamespaceRelationId:
			add_object(needs, class, object);
			break;
		case TypeRelationId:
			need_type(needs, object);
			break;
		case CollationRelationId:
		case ProcedureRelationId:
		case OperatorRelationId:
		case OperatorFamilyRelationId:
		case OperatorClassRelationId:
		case CastRelationId:
			need_dependencies(needs, class, object);
			add_object(needs, class, object);
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
			if (is_relation_refused(needs, object))
				refuse_object(needs, class, object);
			break;
		default:
			refuse_object(needs, class, object);
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

/* What a table needs, without what it is itself. */
static void
need_table_parts(TessNeeds *needs, Relation rel)
{
	Oid relation = RelationGetRelid(rel);
	ListCell *cell;

	(void) is_seen(needs, RelationRelationId, relation);
	need_dependencies(needs, RelationRelationId, relation);
	need_defaults(needs, rel);
	need_constraints(needs, Anum_pg_constraint_conrelid,
					 ConstraintRelidTypidNameIndexId, relation);
	foreach(cell, RelationGetIndexList(rel))
		need_dependencies(needs, RelationRelationId, lfirst_oid(cell));
	foreach(cell, RelationGetStatExtList(rel))
		need_dependencies(needs, StatisticExtRelationId, lfirst_oid(cell));
}

List *
tess_ddl_needed_objects(Oid relation)
{
	TessNeeds needs = {0};
	Relation rel = table_open(relation, NoLock);
	int settings = tess_settings_pin();

	tess_need_rights_of_table(&needs, rel);
	need_table_parts(&needs, rel);
	AtEOXact_GUC(true, settings);
	table_close(rel, NoLock);
	return list_concat(needs.roles, needs.statements);
}

List *
tess_objects_of_table(Oid relation, List **extensions)
{
	TessNeeds needs = {.by_address = true};
	Relation rel = table_open(relation, NoLock);
	int settings = tess_settings_pin();

	need_table_parts(&needs, rel);
	AtEOXact_GUC(true, settings);
	table_close(rel, NoLock);
	*extensions = needs.statements;
	return needs.is_refused ? NIL : needs.objects;
}

List *
tess_objects_of_object(Oid class, Oid object, List **extensions)
{
	TessNeeds needs = {.by_address = true, .is_single = true};
	int settings = tess_settings_pin();

	need_object(&needs, class, object);
	AtEOXact_GUC(true, settings);
	*extensions = needs.statements;
	return needs.is_refused ? NIL : needs.objects;
}
