/*
 * command_refuse_function.c - functions that shards compute with: in CHECKs,
 * generated columns, indexes, statistics.
 *
 * The nodes have their own copies, made when a table was distributed; another
 * body here alone would give other results than there.  So a function that not
 * all nodes hold (objects/: those get what becomes of it) stays as it is while a
 * table of ours needs it.
 *
 * pg_depend is followed backwards, from the function to all that would not be
 * there without it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "command/command_internal.h"
#include "objects/objects.h"

/* One walk: what has been seen, and what was found. */
typedef struct Walk
{
	List *seen;				/* of ObjectAddress */
	const TessTable *table; /* NULL: no table of ours needs it */
} Walk;

static void follow(Walk *walk, Oid class, Oid object);
static void follow_dependent(Walk *walk, Oid class, Oid object);
static void follow_relation(Walk *walk, Oid relation);
static void follow_constraint(Walk *walk, Oid constraint);
static void found_column(Walk *walk, ObjectAddress column);
static void found_statistics(Walk *walk, Oid statistics);

/* Errors with 0A000 if a table of ours needs the function, unless all servers get
 * the change: from objects/, or with an extension. */
void
tess_refuse_function_change(Oid function)
{
	Walk walk = {0};
	ObjectAddress address;

	if (OidIsValid(getExtensionOfObject(ProcedureRelationId, function)) ||
		tess_meta_remote_nodes() == NIL ||
		tess_objects_hold(ProcedureRelationId, function))
		return;
	follow(&walk, ProcedureRelationId, function);
	if (walk.table == NULL)
		return;
	ObjectAddressSet(address, ProcedureRelationId, function);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot change %s while the shards of table \"%s\" need it",
					getObjectDescription(&address, false), walk.table->name),
			 errdetail(
				 "The nodes have the function as it was when the table was distributed."),
			 errhint(
				 "Use tessera.undistribute_table(), change the function, and distribute the table again.")));
}

static void
follow(Walk *walk, Oid class, Oid object)
{
	Relation catalog;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	ListCell *lc;
	ObjectAddress *address;

	foreach(lc, walk->seen)
	{
		address = lfirst(lc);
		if (address->classId == class && address->objectId == object)
			return;
	}
	address = palloc(sizeof(ObjectAddress));
	ObjectAddressSet(*address, class, object);
	walk->seen = lappend(walk->seen, address);

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(object));
	catalog = table_open(DependRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 2,
							  keys);
	while (walk->table == NULL &&
		   HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		follow_dependent(walk, depend->classid, depend->objid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
follow_dependent(Walk *walk, Oid class, Oid object)
{
	switch (class)
	{
		case RelationRelationId:
			follow_relation(walk, object);
			break;
		case TypeRelationId:
		case ProcedureRelationId:
			follow(walk, class, object);
			break;
		case ConstraintRelationId:
			follow_constraint(walk, object);
			break;
		case AttrDefaultRelationId:
			found_column(walk, GetAttrDefaultColumnAddress(object));
			break;
		case StatisticExtRelationId:
			found_statistics(walk, object);
			break;
		default:
			break;
	}
}

static void
follow_relation(Walk *walk, Oid relation)
{
	switch (get_rel_relkind(relation))
	{
		case RELKIND_COMPOSITE_TYPE:
			follow(walk, TypeRelationId, get_rel_type_id(relation));
			break;
		case RELKIND_INDEX:
			walk->table = tess_meta_table(IndexGetRelation(relation, false));
			break;
		case RELKIND_RELATION:
			walk->table = tess_meta_table(relation);
			break;
		default:
			break;
	}
}

/* Of a table, or of a domain. */
static void
follow_constraint(Walk *walk, Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (OidIsValid(form->contypid))
		follow(walk, TypeRelationId, form->contypid);
	else if (OidIsValid(form->conrelid))
		walk->table = tess_meta_table(form->conrelid);
	ReleaseSysCache(tuple);
}

/* Shards compute generated columns; defaults are computed here. */
static void
found_column(Walk *walk, ObjectAddress column)
{
	if (OidIsValid(column.objectId) &&
		get_attgenerated(column.objectId, column.objectSubId) != '\0')
		walk->table = tess_meta_table(column.objectId);
}

static void
found_statistics(Walk *walk, Oid statistics)
{
	HeapTuple tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(statistics));

	if (!HeapTupleIsValid(tuple))
		return;
	walk->table = tess_meta_table(
		((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxrelid);
	ReleaseSysCache(tuple);
}
