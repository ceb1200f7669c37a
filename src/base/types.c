/*
 * types.c - what a type's values mean on another server.
 *
 * Aliases of oid (regclass ...) stand for objects of the coordinator, most of
 * which nodes do not have.  So their values are numbers everywhere but in the
 * coordinator's own expressions: whatever makes names of them, or looks for
 * what they stand for, is computed there.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "tessera.h"

bool
tess_type_names_objects(Oid type)
{
	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return false;
	}
}

Oid
tess_type_written(Oid type)
{
	Oid base = getBaseType(type);
	Oid element;

	if (tess_type_names_objects(base))
		return OIDOID;
	element = get_element_type(base);
	if (OidIsValid(element) && tess_type_written(element) == OIDOID)
		return OIDARRAYOID;
	return type;
}

bool
tess_type_is_number(Oid type)
{
	return tess_type_written(type) != type;
}

static Datum
with_elements_of(Oid element, Datum value)
{
	ArrayType *array = DatumGetArrayTypePCopy(value);

	array->elemtype = element;
	return PointerGetDatum(array);
}

Datum
tess_value_written(Oid type, Datum value)
{
	return tess_type_written(type) == OIDARRAYOID
			   ? with_elements_of(OIDOID, value)
			   : value;
}

Datum
tess_value_read(Oid type, Datum value)
{
	return tess_type_written(type) == OIDARRAYOID
			   ? with_elements_of(get_element_type(getBaseType(type)), value)
			   : value;
}

/* For check_functions_in_node: true for what is not sure only to compare. */
static bool
looks_up(Oid function, void *context)
{
	Oid *types;
	int count;

	if (function >= FirstNormalObjectId ||
		(func_volatile(function) != PROVOLATILE_IMMUTABLE &&
		 get_func_prokind(function) == PROKIND_FUNCTION))
		return true;
	(void) get_func_signature(function, &types, &count);
	for (int i = 0; i < count; i++)
		if (tess_type_is_number(types[i]))
			return true;
	return false;
}

/* An argument, or the list of them; nothing below. */
static bool
is_number_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_TargetEntry:
			return expression_tree_walker(node, is_number_walker, context);
		case T_SortGroupClause:
		case T_Const:
			return false;
		default:
			return tess_type_is_number(exprType(node));
	}
}

bool
tess_looks_at_names(Node *node)
{
	switch (nodeTag(node))
	{
		case T_Aggref:
		case T_WindowFunc:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_CoerceViaIO:
			return (tess_type_is_number(exprType(node)) ||
					expression_tree_walker(node, is_number_walker, NULL)) &&
				   check_functions_in_node(node, looks_up, NULL);
		default:
			return false;
	}
}
