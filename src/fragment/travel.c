/*
 * travel.c - may an expression, or a whole query, be evaluated on a node?
 *
 * The rule: what stands in the text must mean the same there.  So functions
 * are immutable, and built in or of an extension that nodes have too (known.c),
 * or on a short list of built-in ones that depend on TimeZone alone (which the
 * session of a node shares), or write what is written alike everywhere
 * (written.c); types, operators and casts are built in or of such
 * an extension; types and collations may be those of the columns of our tables,
 * which nodes have.  What
 * is written by locale (money) does not travel.  Values that stand for objects
 * (regclass) are numbers there, to be carried and compared: what looks for the
 * objects, or their names, does not travel, nor do rows made of such values, which
 * would be written by name.  Every node type that is not listed here does not
 * travel.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/base.h"
#include "fragment/fragment_internal.h"

/* The list of core's STABLE functions that depend on TimeZone alone. */
static const Oid zone_functions[] = {
	F_DATE_PART_TEXT_TIMESTAMPTZ,
	F_EXTRACT_TEXT_TIMESTAMPTZ,
	F_DATE_TRUNC_TEXT_TIMESTAMPTZ,
	F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT,
	F_TIMESTAMPTZ_PL_INTERVAL,
	F_TIMESTAMPTZ_MI_INTERVAL,
	F_INTERVAL_PL_TIMESTAMPTZ,
	F_TIMESTAMPTZ_DATE,
	F_DATE_TIMESTAMPTZ,
	F_TIME_TIMESTAMPTZ,
	F_TIMETZ_TIMESTAMPTZ,
	F_TIMESTAMP_TIMESTAMPTZ,
	F_TIMESTAMPTZ_TIMESTAMP,
	F_DATE_LT_TIMESTAMPTZ,
	F_DATE_LE_TIMESTAMPTZ,
	F_DATE_EQ_TIMESTAMPTZ,
	F_DATE_GT_TIMESTAMPTZ,
	F_DATE_GE_TIMESTAMPTZ,
	F_DATE_NE_TIMESTAMPTZ,
	F_TIMESTAMPTZ_LT_DATE,
	F_TIMESTAMPTZ_LE_DATE,
	F_TIMESTAMPTZ_EQ_DATE,
	F_TIMESTAMPTZ_GT_DATE,
	F_TIMESTAMPTZ_GE_DATE,
	F_TIMESTAMPTZ_NE_DATE,
	F_TIMESTAMP_LT_TIMESTAMPTZ,
	F_TIMESTAMP_LE_TIMESTAMPTZ,
	F_TIMESTAMP_EQ_TIMESTAMPTZ,
	F_TIMESTAMP_GT_TIMESTAMPTZ,
	F_TIMESTAMP_GE_TIMESTAMPTZ,
	F_TIMESTAMP_NE_TIMESTAMPTZ,
	F_TIMESTAMPTZ_LT_TIMESTAMP,
	F_TIMESTAMPTZ_LE_TIMESTAMP,
	F_TIMESTAMPTZ_EQ_TIMESTAMP,
	F_TIMESTAMPTZ_GT_TIMESTAMP,
	F_TIMESTAMPTZ_GE_TIMESTAMP,
	F_TIMESTAMPTZ_NE_TIMESTAMP,
	F_GENERATE_SERIES_TIMESTAMPTZ_TIMESTAMPTZ_INTERVAL,
};

/* Called IMMUTABLE, but what they write depends on extra_float_digits or
 * bytea_output, which a node's session pins. */
static const Oid pinned_functions[] =
	{F_FLOAT4OUT, F_FLOAT8OUT, F_BYTEAOUT, F_POINT_OUT, F_LSEG_OUT, F_PATH_OUT,
	 F_BOX_OUT, F_POLY_OUT, F_LINE_OUT, F_CIRCLE_OUT,
	 /* and these hash OIDs, which are others on a node */
	 F_HASHENUM, F_HASHENUMEXTENDED, F_HASH_ARRAY, F_HASH_ARRAY_EXTENDED,
	 F_HASH_RECORD, F_HASH_RECORD_EXTENDED};

static bool stays_walker(Node *node, const TessTravel *travel);
static bool collation_travels(const TessTravel *travel, Oid collation);

/* Adds the types and collations of a table's columns to what nodes know. */
void
tess_travel_add(TessTravel *travel, Oid relation)
{
	Relation rel = relation_open(relation, NoLock);
	TupleDesc desc = RelationGetDescr(rel);

	travel->types = list_append_unique_oid(travel->types, rel->rd_rel->reltype);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Oid type = att->atttypid;

		if (att->attisdropped)
			continue;
		if (OidIsValid(att->attcollation))
			travel->collations = list_append_unique_oid(travel->collations,
														att->attcollation);
		/* the type, its array, its element, and what a domain is over */
		while (type >= FirstNormalObjectId)
		{
			Oid element = get_element_type(type);
			Oid array = get_array_type(type);
			Oid base = getBaseType(type);

			travel->types = list_append_unique_oid(travel->types, type);
			if (OidIsValid(array))
				travel->types = list_append_unique_oid(travel->types, array);
			type = OidIsValid(element) ? element
				   : base != type	   ? base
									   : InvalidOid;
		}
	}
	relation_close(rel, NoLock);
}

static bool
row_travels(const TessTravel *travel, Oid type)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped &&
			!(!tess_type_is_number(column->atttypid) &&
			  tess_type_travels(travel, column->atttypid) &&
			  collation_travels(travel, column->attcollation)))
			return false;
	}
	return true;
}

static bool
family_travels(Oid family)
{
	return family < FirstNormalObjectId ||
		   OidIsValid(getExtensionOfObject(OperatorFamilyRelationId, family)) ||
		   tess_is_known(OperatorFamilyRelationId, family);
}

/* What its values are compared by, where a text does not say it.  A type of an
 * extension brings that along. */
static bool
order_travels(Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY |
														TYPECACHE_HASH_OPFAMILY);

	return family_travels(entry->btree_opf) && family_travels(entry->hash_opf);
}

/* Types of users and of extensions that no column has: of extensions only
 * scalars. */
static bool
user_type_travels(const TessTravel *travel, Oid type)
{
	Oid element = get_element_type(type);

	if (OidIsValid(element))
		return tess_type_travels(travel, element);
	switch (get_typtype(type))
	{
		case TYPTYPE_BASE:
		case TYPTYPE_ENUM:
			return tess_is_known(TypeRelationId, type);
		case TYPTYPE_MULTIRANGE:
			return tess_type_travels(travel, get_multirange_range(type));
		default:
			break;
	}
	if (OidIsValid(getExtensionOfObject(TypeRelationId, type)) ||
		!tess_is_known(TypeRelationId, type))
		return false;
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return tess_type_travels(travel, getBaseType(type)) &&
				   collation_travels(travel, get_typcollation(type));
		case TYPTYPE_RANGE:
			return tess_type_travels(travel, get_range_subtype(type)) &&
				   collation_travels(travel, get_range_collation(type));
		case TYPTYPE_COMPOSITE:
			return row_travels(travel, type);
		default:
			return false;
	}
}

/* True if values and names of the type mean the same on a node. */
bool
tess_type_travels(const TessTravel *travel, Oid type)
{
	Oid element;

	if (type >= FirstNormalObjectId)
		return (list_member_oid(travel->types, type) ||
				user_type_travels(travel, type)) &&
			   order_travels(type);
	switch (type)
	{
		case MONEYOID:
		case ACLITEMOID:
		case XMLOID:
			return false;
		default:
			break;
	}
	element = get_element_type(type);
	if (OidIsValid(element))
		return tess_type_travels(travel, element);
	return get_typtype(type) != TYPTYPE_PSEUDO &&
		   get_typtype(type) != TYPTYPE_COMPOSITE;
}

static bool
collation_travels(const TessTravel *travel, Oid collation)
{
	return !OidIsValid(collation) || collation == DEFAULT_COLLATION_OID ||
		   collation == C_COLLATION_OID || collation == POSIX_COLLATION_OID ||
		   list_member_oid(travel->collations, collation) ||
		   (collation >= FirstNormalObjectId &&
			tess_is_known(CollationRelationId, collation));
}

static bool
is_listed(Oid function, const Oid *list, int length)
{
	for (int i = 0; i < length; i++)
		if (list[i] == function)
			return true;
	return false;
}

bool
tess_hashes_names(Oid function)
{
	return is_listed(function, pinned_functions, lengthof(pinned_functions));
}

/* A function that an extension's aggregate is made of, or such a function by
 * itself.  The plan will depend on it. */
static bool
extension_part_stays(Oid function)
{
	if (func_volatile(function) != PROVOLATILE_IMMUTABLE ||
		is_listed(function, pinned_functions, lengthof(pinned_functions)) ||
		!tess_is_known(ProcedureRelationId, function))
		return true;
	if (function >= FirstNormalObjectId)
		tess_frame_add_function(function);
	return false;
}

/* The volatility of an aggregate says nothing. */
static bool
extension_function_stays(Oid function)
{
	return extension_part_stays(function) ||
		   (get_func_prokind(function) == PROKIND_AGGREGATE &&
			tess_partial_has_function(function, extension_part_stays));
}

/* For check_functions_in_node: true for a function that does not travel. */
static bool
function_stays(Oid function, void *node)
{
	if (IsA(node, Aggref))
		function = tess_partial_subject((Aggref *) node);
	if (!OidIsValid(function))
		return true;
	if (function >= FirstNormalObjectId)
		return extension_function_stays(function);
	if (is_listed(function, pinned_functions, lengthof(pinned_functions)))
		return true;
	/* some of these are called IMMUTABLE */
	if (tess_writes(function))
		return !tess_writes_alike(function, node);
	return func_volatile(function) != PROVOLATILE_IMMUTABLE &&
		   !is_listed(function, zone_functions, lengthof(zone_functions));
}

static bool
operator_stays(Oid operator)
{
	return !tess_is_known(OperatorRelationId, operator);
}

/* ORDER BY ... USING is read by looking for the operator's family. */
static bool
order_stays(Oid operator)
{
	Oid family;
	Oid type;
	int16 strategy;

	if (operator<FirstNormalObjectId)
		return false;
	return operator_stays(operator) ||
		   !get_ordering_op_properties(operator, & family, &type, &strategy) ||
		   !tess_is_known(OperatorFamilyRelationId, family);
}

/* A cast is written by its types alone. */
static bool
cast_stays(Node *argument, Oid result_type)
{
	Oid source = getBaseType(exprType(argument));
	Oid target = getBaseType(result_type);

	return !tess_is_known(CastRelationId,
						  GetSysCacheOid2(CASTSOURCETARGET, Anum_pg_cast_oid,
										  ObjectIdGetDatum(source),
										  ObjectIdGetDatum(target)));
}

/* An operator that no text shows: a node takes what it finds by the name. */
static bool
hidden_operator_stays(Oid operator)
{
	return operator>= FirstNormalObjectId;
}

static bool
hides_operator_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, OpExpr) && hidden_operator_stays(((OpExpr *) node)->opno))
		return true;
	return expression_tree_walker(node, hides_operator_walker, context);
}

/* CASE x WHEN y is written without the operator that compares them. */
static bool
case_hides_operator(const CaseExpr *expr)
{
	ListCell *cell;

	if (expr->arg == NULL)
		return false;
	foreach(cell, expr->args)
		if (hides_operator_walker((Node *) lfirst_node(CaseWhen, cell)->expr,
								  NULL))
			return true;
	return false;
}

/* True if a user's operator or cast over built-in functions is used, which
 * these do not show. */
static bool
name_stays(Node *node)
{
	ListCell *cell;

	switch (nodeTag(node))
	{
		case T_OpExpr:
			return operator_stays(((OpExpr *) node)->opno);
		case T_DistinctExpr:
		case T_NullIfExpr:
			return hidden_operator_stays(((OpExpr *) node)->opno);
		case T_CaseExpr:
			return case_hides_operator((CaseExpr *) node);
		case T_ScalarArrayOpExpr:
			return operator_stays(((ScalarArrayOpExpr *) node)->opno);
		case T_RowCompareExpr:
			foreach(cell, ((RowCompareExpr *) node)->opnos)
				if (hidden_operator_stays(lfirst_oid(cell)))
					return true;
			return false;
		case T_FuncExpr:
			return (((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CAST ||
					((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST) &&
				   cast_stays(linitial(((FuncExpr *) node)->args),
							  ((FuncExpr *) node)->funcresulttype);
		case T_RelabelType:
			return cast_stays((Node *) ((RelabelType *) node)->arg,
							  ((RelabelType *) node)->resulttype);
		case T_CoerceViaIO:
			return cast_stays((Node *) ((CoerceViaIO *) node)->arg,
							  ((CoerceViaIO *) node)->resulttype);
		default:
			return false;
	}
}

static bool
range_table_entry_stays(const RangeTblEntry *rte)
{
	ListCell *cell;

	if (rte->securityQuals != NIL || rte->security_barrier)
		return true;
	if (rte->tablesample != NULL &&
		rte->tablesample->tsmhandler >= FirstNormalObjectId)
		return true;
	foreach(cell, rte->functions)
		if (lfirst_node(RangeTblFunction, cell)->funccolnames != NIL)
			return true;
	return rte->rtekind == RTE_TABLEFUNC || rte->rtekind == RTE_NAMEDTUPLESTORE;
}

static bool
query_stays(Query *query, const TessTravel *travel)
{
	TessTravel inner = *travel;

	inner.queries = lcons(query, travel->queries);
	inner.makes_json = false;
	if (query->withCheckOptions != NIL || query->utilityStmt != NULL ||
		query->isReturn)
		return true;
	return query_tree_walker(query, stays_walker, &inner,
							 QTW_EXAMINE_RTES_BEFORE | QTW_EXAMINE_SORTGROUP |
								 QTW_IGNORE_JOINALIASES);
}

/* A literal for whom any type will do. */
static bool
is_untyped(Node *node)
{
	return IsA(node, Const) && ((Const *) node)->consttype == UNKNOWNOID;
}

/*
 * A whole row of a subquery has no type that a node could read; but it may be
 * made JSON of there.  Its fields' names are those of the columns, which
 * deparse/ sees to.
 */
static bool
is_row_for_json(Node *node, const TessTravel *travel)
{
	Var *var = (Var *) node;
	RangeTblEntry *rte;
	ListCell *cell;

	if (!travel->makes_json || !IsA(node, Var) || var->vartype != RECORDOID ||
		var->varattno != InvalidAttrNumber ||
		var->varlevelsup >= list_length(travel->queries))
		return false;
	rte = rt_fetch(var->varno,
				   ((Query *) list_nth(travel->queries, var->varlevelsup))->rtable);
	if (rte->rtekind != RTE_SUBQUERY)
		return false;
	foreach(cell, rte->subquery->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (!entry->resjunk &&
			!tess_is_json_alike(exprType((Node *) entry->expr)))
			return false;
	}
	return true;
}

/* What a node would read or write by name: a literal of an object, a row that
 * has one, or a field of such a row. */
static bool
goes_by_name(Node *node)
{
	TupleDesc desc;
	ListCell *cell;
	bool found = false;

	switch (nodeTag(node))
	{
		case T_Const:
			return !((Const *) node)->constisnull &&
				   tess_type_is_number(((Const *) node)->consttype);
		case T_FieldSelect:
			return tess_type_is_number(((FieldSelect *) node)->resulttype);
		case T_FieldStore:
			foreach(cell, ((FieldStore *) node)->newvals)
				found |= tess_type_is_number(exprType(lfirst(cell)));
			return found;
		case T_RowExpr:
			foreach(cell, ((RowExpr *) node)->args)
				found |= tess_type_is_number(exprType(lfirst(cell)));
			return found;
		case T_Var:
			if (((Var *) node)->varattno != InvalidAttrNumber ||
				((Var *) node)->vartype == RECORDOID)
				return false;
			desc = lookup_rowtype_tupdesc_domain(((Var *) node)->vartype, -1,
												 true);
			for (int i = 0; desc != NULL && i < desc->natts; i++)
				found |= !TupleDescAttr(desc, i)->attisdropped &&
						 tess_type_is_number(TupleDescAttr(desc, i)->atttypid);
			if (desc != NULL)
				ReleaseTupleDesc(desc);
			return found;
		default:
			return false;
	}
}

/*
 * A shard has another OID, and other addresses of rows, than the table shows here.
 * Nor are the system columns of a copy of a reference table those of this
 * server's.
 */
static bool
system_column_stays(const Var *var, const TessTravel *travel)
{
	const RangeTblEntry *rte;

	if (var->varattno >= 0)
		return false;
	if (var->varattno == TableOidAttributeNumber ||
		var->varattno == SelfItemPointerAttributeNumber)
		return true;
	if (var->varlevelsup >= list_length(travel->queries))
		return false;
	rte = rt_fetch(var->varno,
				   ((Query *) list_nth(travel->queries, var->varlevelsup))->rtable);
	return !tess_is_distributed(rte);
}

/* Expressions: their functions, types and collations. */
static bool
expression_stays(Node *node, const TessTravel *travel)
{
	TessTravel inner = *travel;

	inner.makes_json = tess_makes_json(node);
	if (is_row_for_json(node, travel))
		return false;
	if (check_functions_in_node(node, function_stays, node) ||
		name_stays(node) || tess_looks_at_names(node) || goes_by_name(node))
		return true;
	if (IsA(node, Var) && system_column_stays((Var *) node, travel))
		return true;
	if ((!tess_type_travels(travel, exprType(node)) && !is_untyped(node)) ||
		!collation_travels(travel, exprCollation(node)) ||
		!collation_travels(travel, exprInputCollation(node)))
		return true;
	return expression_tree_walker(node, stays_walker, &inner);
}

static bool
stays_walker(Node *node, const TessTravel *travel)
{
	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_Query:
			return !travel->sublinks || query_stays((Query *) node, travel);
		case T_SubLink:
			return !travel->sublinks ||
				   expression_tree_walker(node, stays_walker, (void *) travel);
		case T_RangeTblEntry:
			return range_table_entry_stays((RangeTblEntry *) node);
		case T_JoinExpr:
			if (((JoinExpr *) node)->usingClause != NIL &&
				hides_operator_walker(((JoinExpr *) node)->quals, NULL))
				return true;
			return expression_tree_walker(node, stays_walker, (void *) travel);
		case T_SortGroupClause:
			return operator_stays(((SortGroupClause *) node)->eqop) ||
				   order_stays(((SortGroupClause *) node)->sortop);

		case T_List:
		case T_IntList:
		case T_OidList:
		case T_TargetEntry:
		case T_RangeTblRef:
		case T_RangeTblFunction:
		case T_FromExpr:
		case T_SetOperationStmt:
		case T_GroupingSet:
		case T_WindowClause:
		case T_RowMarkClause:
		case T_CommonTableExpr:
		case T_CTESearchClause:
		case T_CTECycleClause:
		case T_TableSampleClause:
		case T_OnConflictExpr:
		case T_MergeAction:
		case T_InferenceElem:
		case T_CaseWhen:
			return expression_tree_walker(node, stays_walker, (void *) travel);

		case T_Var:
		case T_Const:
		case T_Param:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_SubscriptingRef:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_BoolExpr:
		case T_FieldSelect:
		case T_FieldStore:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CollateExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_RowCompareExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CoerceToDomain:
		case T_CoerceToDomainValue:
			return expression_stays(node, travel);

		default:
			return true;
	}
}

/* True if an expression (or list, or Query) may be evaluated on a node. */
bool
tess_travels(const TessTravel *travel, Node *node)
{
	return !stays_walker(node, travel);
}
