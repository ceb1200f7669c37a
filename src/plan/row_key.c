/*
 * row_key.c - columns that tell the rows of a table apart, and how values are
 * compared with them in text: the equality of the index that says so.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "plan/plan_internal.h"

/* True if the index has all rows, and its columns compare as they do in
 * conditions; no two rows ever agree in it, but for NULLs. */
static bool
covers_all_rows(Relation rel, Relation index)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid ||
		RelationGetIndexPredicate(index) != NIL)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber attno = form->indkey.values[i];

		if (attno <= 0 ||
			TupleDescAttr(RelationGetDescr(rel), attno - 1)->attcollation !=
				index->rd_indcollation[i])
			return false;
	}
	return true;
}

/* True if none of its columns is ever NULL. */
static bool
has_no_nulls(Relation rel, Relation index)
{
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber attno = index->rd_index->indkey.values[i];

		if (!TupleDescAttr(RelationGetDescr(rel), attno - 1)->attnotnull)
			return false;
	}
	return true;
}

static void
use_index(TessRowKey *key, Relation index)
{
	key->columns = NIL;
	key->operators = NIL;
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		Oid type = index->rd_opcintype[i];

		key->columns = lappend_int(key->columns,
								   index->rd_index->indkey.values[i]);
		key->operators = lappend_oid(key->operators,
									 get_opfamily_member(index->rd_opfamily[i],
														 type, type,
														 BTEqualStrategyNumber));
	}
}

/* Of the primary key, or of another index that tells any two rows apart;
 * columns NIL: there is none.  The table is locked. */
TessRowKey
tess_row_key_find(Oid relation)
{
	Relation rel = relation_open(relation, NoLock);
	TessRowKey key = {NIL};
	bool is_primary = false;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (covers_all_rows(rel, index) && has_no_nulls(rel, index) &&
			(key.columns == NIL || index->rd_index->indisprimary))
		{
			use_index(&key, index);
			is_primary = index->rd_index->indisprimary;
		}
		index_close(index, NoLock);
		if (is_primary)
			break;
	}
	relation_close(rel, NoLock);
	return key;
}

/* True if the columns of an index are these, in any order. */
static bool
has_columns(Relation index, const List *columns)
{
	const Form_pg_index form = index->rd_index;

	if (form->indnkeyatts != list_length(columns))
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
		if (!list_member_int(columns, form->indkey.values[i]))
			return false;
	return true;
}

/* The columns of ON CONFLICT (a, b); NIL if it is about anything else. */
static List *
inferred_columns(const OnConflictExpr *conflict)
{
	List *columns = NIL;
	ListCell *cell;

	if (conflict->arbiterWhere != NULL)
		return NIL;
	foreach(cell, conflict->arbiterElems)
	{
		InferenceElem *elem = lfirst_node(InferenceElem, cell);

		if (!IsA(elem->expr, Var) || OidIsValid(elem->infercollid) ||
			OidIsValid(elem->inferopclass))
			return NIL;
		columns = list_append_unique_int(columns, ((Var *) elem->expr)->varattno);
	}
	return columns;
}

/*
 * The columns by which rows conflict with those of the table, for an ON
 * CONFLICT DO UPDATE.  NIL if equality of columns does not say so: not of all
 * indexes that may be meant, or NULLs are equal.
 */
TessRowKey
tess_row_key_of_conflict(Oid relation, const OnConflictExpr *conflict)
{
	Relation rel = relation_open(relation, NoLock);
	Oid wanted = get_constraint_index(conflict->constraint);
	List *columns = inferred_columns(conflict);
	TessRowKey key = {NIL};
	bool is_exact = true;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (OidIsValid(wanted)
				? RelationGetRelid(index) == wanted
				: index->rd_index->indisunique && has_columns(index, columns))
		{
			List *operators = key.operators;

			if (!covers_all_rows(rel, index) ||
				index->rd_index->indnullsnotdistinct)
				is_exact = false;
			else
				use_index(&key, index);
			if (operators != NIL && !equal(operators, key.operators))
				is_exact = false;
		}
		index_close(index, NoLock);
	}
	relation_close(rel, NoLock);
	if (!is_exact)
		key.columns = NIL;
	return key;
}

/* " OPERATOR(schema.=) ", the equality of column number i of the key, for any
 * search_path. */
void
tess_row_key_append_operator(StringInfo text, const TessRowKey *key, int i)
{
	tess_operator_append(text, list_nth_oid(key->operators, i));
}
