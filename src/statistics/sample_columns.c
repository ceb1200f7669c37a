/*
 * sample_columns.c - what a sample has to have: which columns, how much of
 * them, and how many rows.
 *
 * Core's own analysis of a column does not look into values that are wider
 * than 1 kB; it counts them.  So wide values stay on the nodes, unless somebody
 * else may look into them: a type's analyze function, an index's expression, a
 * statistics object.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "commands/vacuum.h"
#include "nodes/nodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "statistics/statistics_internal.h"

/* Rows that core wants for each unit of a statistics target, and at least. */
#define ROWS_PER_TARGET 300
#define MIN_ROWS 100

static int
target_of(const FormData_pg_attribute *attribute)
{
	return attribute->attstattarget < 0 ? default_statistics_target
										: attribute->attstattarget;
}

static int
max_target(int target, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			target = Max(target, target_of(TupleDescAttr(desc, i)));
	return target;
}

/* Columns of a statistics object are added; its own target, 0 if none. */
static int
add_object(Oid object, Bitmapset **attnums)
{
	HeapTuple tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(object));
	Form_pg_statistic_ext form;
	Datum expressions;
	bool isnull;
	int target;

	if (!HeapTupleIsValid(tuple))
		return 0;
	form = (Form_pg_statistic_ext) GETSTRUCT(tuple);
	for (int i = 0; i < form->stxkeys.dim1; i++)
		*attnums = bms_add_member(*attnums,
								  form->stxkeys.values[i] -
									  FirstLowInvalidHeapAttributeNumber);
	expressions = SysCacheGetAttr(STATEXTOID, tuple,
								  Anum_pg_statistic_ext_stxexprs, &isnull);
	if (!isnull)
		pull_varattnos(stringToNode(TextDatumGetCString(expressions)), 1,
					   attnums);
	target = Max(form->stxstattarget, 0);
	ReleaseSysCache(tuple);
	return target;
}

/*
 * The columns that something else than core's analysis of columns computes
 * with, offset by FirstLowInvalidHeapAttributeNumber; *target grows to the
 * largest statistics target among these.
 */
static Bitmapset *
computed_with(Relation rel, int *target)
{
	Bitmapset *attnums = NULL;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		pull_varattnos((Node *) RelationGetIndexExpressions(index), 1, &attnums);
		pull_varattnos((Node *) RelationGetIndexPredicate(index), 1, &attnums);
		*target = max_target(*target, RelationGetDescr(index));
		index_close(index, NoLock);
	}
	foreach(cell, RelationGetStatExtList(rel))
		*target = Max(*target, add_object(lfirst_oid(cell), &attnums));
	return attnums;
}

/* See statistics_internal.h. */
int
tess_sample_target(Relation rel)
{
	int target = max_target(0, RelationGetDescr(rel));

	(void) computed_with(rel, &target);
	return Max(target * ROWS_PER_TARGET, MIN_ROWS);
}

static bool
is_named(const FormData_pg_attribute *attribute, List *columns)
{
	ListCell *cell;

	foreach(cell, columns)
		if (strcmp(strVal(lfirst(cell)), NameStr(attribute->attname)) == 0)
			return true;
	return columns == NIL;
}

/* Is core's analysis the only one for values of the type? */
static bool
has_no_analyze_function(Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	bool result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = !OidIsValid(((Form_pg_type) GETSTRUCT(tuple))->typanalyze);
	ReleaseSysCache(tuple);
	return result;
}

/* See statistics_internal.h. */
TessSampleColumn *
tess_sample_columns(Relation rel, List *columns, int *count)
{
	TupleDesc desc = RelationGetDescr(rel);
	TessSampleColumn *result = palloc(sizeof(TessSampleColumn) *
									  Max(desc->natts, 1));
	int target = 0;
	Bitmapset *computed = computed_with(rel, &target);
	bool all = bms_is_member(-FirstLowInvalidHeapAttributeNumber, computed);

	*count = 0;
	for (int i = 0; i < desc->natts; i++)
	{
		const FormData_pg_attribute *attribute = TupleDescAttr(desc, i);
		TessSampleColumn *column = &result[*count];
		bool is_computed;

		if (attribute->attisdropped)
			continue;
		is_computed = all || bms_is_member(attribute->attnum -
											   FirstLowInvalidHeapAttributeNumber,
										   computed);
		if (!is_computed &&
			(target_of(attribute) == 0 || !is_named(attribute, columns)))
			continue;
		column->attnum = attribute->attnum;
		column->may_shorten = !is_computed && attribute->attlen == -1 &&
							  has_no_analyze_function(attribute->atttypid);
		(*count)++;
	}
	return result;
}
