/*
 * sure_rows.c - rows of RETURNING, or of a function that writes in a shard, that
 * reach the client, or are lost with him, but do not fail.
 *
 * PostgreSQL rolls back a statement whose rows it cannot give out.  A node that
 * commits a statement together with it is past that.  So what is done here with
 * its rows may only be what cannot fail: they are read as they were written, and
 * put out as they are, by functions that take every value.  (That they fit into
 * memory, the node sees to: answer_size.c.)
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "exec/exec_internal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/lsyscache.h"

/* So that what the node lets pass stays in memory. */
#define MIN_WORK_MEM_KB 512

/*
 * Types whose values can be read and written whatever they are.  Not those with
 * names of objects, which may be gone; not json, which may be nested too deeply;
 * not those of users.
 */
static bool
is_sure_type(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case CHAROID:
		case BYTEAOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case UUIDOID:
		case BITOID:
		case VARBITOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case VOIDOID:
			return true;
		default:
			return false;
	}
}

static bool
are_sure_types(const List *types)
{
	ListCell *cell;

	foreach(cell, types)
	{
		Oid type = lfirst_oid(cell);
		Oid element;

		if (is_sure_type(type))
			continue;
		element = type < FirstGenbkiObjectId ? get_element_type(type)
											 : InvalidOid;
		if (!is_sure_type(element))
			return false;
	}
	return true;
}

/* True if what the plan gives is what the scan gives. */
static bool
has_rows_as_they_are(const Plan *plan)
{
	ListCell *cell;

	if (plan->qual != NIL)
		return false;
	foreach(cell, plan->targetlist)
	{
		const TargetEntry *entry = lfirst(cell);

		if (!IsA(entry->expr, Var) || ((const Var *) entry->expr)->varattno <= 0)
			return false;
	}
	return true;
}

/* True if the columns come from the node, or are known: a row of another type, or
 * one that was computed here, may be of any size. */
static bool
has_columns_of_node(const TessFragment *fragment)
{
	ListCell *cell;

	foreach(cell, fragment->sources)
	{
		int source = lfirst_int(cell);

		if (source < 0 && source != TESS_FROM_TABLEOID &&
			source != TESS_FROM_SHARD_INDEX && source != TESS_FROM_CTID)
			return false;
	}
	return true;
}

/* What a procedure gives out is not counted on its node. */
static bool
have_fixed_size(const List *types)
{
	ListCell *cell;

	foreach(cell, types)
		if (get_typlen(lfirst_oid(cell)) < 0)
			return false;
	return true;
}

/* True if all rows are here before the portal gives out the first, in formats that
 * there are.  Those of a function that writes are in the scan's own store. */
static bool
is_sure_portal(const TessFragment *fragment, Portal portal)
{
	switch (portal->strategy)
	{
		case PORTAL_ONE_RETURNING:
			break;
		case PORTAL_ONE_SELECT:
			if (!OidIsValid(fragment->function))
				return false;
			break;
		case PORTAL_UTIL_SELECT:
			if (!have_fixed_size(fragment->column_types))
				return false;
			break;
		default:
			return false;
	}
	for (int i = 0; portal->formats != NULL && i < portal->tupDesc->natts; i++)
		if (portal->formats[i] != 0 && portal->formats[i] != 1)
			return false;
	return true;
}

/* See exec_internal.h. */
bool
tess_rows_are_sure(const TessFragment *fragment, const CustomScanState *scan)
{
	return work_mem >= MIN_WORK_MEM_KB &&
		   pg_get_client_encoding() == GetDatabaseEncoding() &&
		   is_sure_portal(fragment, ActivePortal) &&
		   has_rows_as_they_are(scan->ss.ps.plan) &&
		   has_columns_of_node(fragment) &&
		   are_sure_types(fragment->column_types);
}
