/*
 * eligible.c - which objects of users go to the nodes when they are made?
 *
 * Those that an expression may need there: immutable functions in languages
 * whose bodies can be read, aggregates, operators, types, casts, collations,
 * operator classes.  Not if they need a table.  All else is brought when a
 * table needs it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/proclang.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "objects/objects_internal.h"

static bool
is_immutable(Oid function)
{
	return function < FirstNormalObjectId ||
		   func_volatile(function) == PROVOLATILE_IMMUTABLE;
}

/* A function whose body can be looked through. */
static bool
is_eligible_function(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	result = form->prokind == PROKIND_AGGREGATE ||
			 (form->prokind == PROKIND_FUNCTION &&
			  form->provolatile == PROVOLATILE_IMMUTABLE &&
			  (form->prolang == SQLlanguageId ||
			   form->prolang == get_language_oid("plpgsql", true)));
	ReleaseSysCache(tuple);
	return result;
}

static bool
is_eligible_type(Oid type)
{
	switch (get_typtype(type))
	{
		case TYPTYPE_ENUM:
		case TYPTYPE_DOMAIN:
		case TYPTYPE_RANGE:
			return true;
		case TYPTYPE_COMPOSITE:
			return get_rel_relkind(get_typ_typrelid(type)) ==
				   RELKIND_COMPOSITE_TYPE;
		default:
			return false;
	}
}

static bool
is_eligible_cast(Oid cast)
{
	Relation catalog = table_open(CastRelationId, AccessShareLock);
	HeapTuple tuple = get_catalog_object_by_oid(catalog, Anum_pg_cast_oid, cast);
	Form_pg_cast form;
	bool result = false;

	if (HeapTupleIsValid(tuple))
	{
		form = (Form_pg_cast) GETSTRUCT(tuple);
		result = !OidIsValid(form->castfunc) || is_immutable(form->castfunc);
	}
	table_close(catalog, AccessShareLock);
	return result;
}

static bool
is_eligible_operator(Oid operator)
{
	Oid function = get_opcode(operator);

	return OidIsValid(function) && is_immutable(function);
}

/* Of an extension, of a session, or made along with something else? */
static bool
belongs_elsewhere(const ObjectAddress *address)
{
	Oid namespace = InvalidOid;

	if (address->objectId < FirstNormalObjectId ||
		OidIsValid(getExtensionOfObject(address->classId, address->objectId)))
		return true;
	if (tess_object_is_internal(address->classId, address->objectId))
		return true;
	if (address->classId != CastRelationId)
	namespace = get_object_namespace(address);
	return OidIsValid(namespace) && isAnyTempNamespace(namespace);
}

bool
tess_object_is_eligible(const ObjectAddress *address)
{
	Oid object = address->objectId;
	List *extensions;
	bool result;

	switch (address->classId)
	{
		case ProcedureRelationId:
			result = is_eligible_function(object);
			break;
		case TypeRelationId:
			result = is_eligible_type(object);
			break;
		case OperatorRelationId:
			result = is_eligible_operator(object);
			break;
		case CastRelationId:
			result = is_eligible_cast(object);
			break;
		case CollationRelationId:
		case OperatorClassRelationId:
			result = true;
			break;
		default:
			result = false;
	}
	return result && !belongs_elsewhere(address) &&
		   tess_objects_of_object(address->classId, object, &extensions) != NIL;
}

/* Rows of a catalog that are users', and of interest. */
static List *
add_eligible(List *objects, Oid class)
{
	Relation catalog = table_open(class, AccessShareLock);
	AttrNumber column = get_object_attnum_oid(class);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, column, BTGreaterEqualStrategyNumber, F_OIDGE,
				ObjectIdGetDatum(FirstNormalObjectId));
	scan = systable_beginscan(catalog, get_object_oid_index(class), true, NULL,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		ObjectAddress *address = palloc(sizeof(ObjectAddress));

		ObjectAddressSet(*address, class,
						 DatumGetObjectId(heap_getattr(tuple, column,
													   RelationGetDescr(catalog),
													   &isnull)));
		if (tess_object_is_eligible(address))
			objects = lappend(objects, address);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return objects;
}

List *
tess_objects_eligible(void)
{
	static const Oid classes[] = {CollationRelationId,	   TypeRelationId,
								  ProcedureRelationId,	   OperatorRelationId,
								  OperatorClassRelationId, CastRelationId};
	List *objects = NIL;

	for (int i = 0; i < lengthof(classes); i++)
		objects = add_eligible(objects, classes[i]);
	return objects;
}
