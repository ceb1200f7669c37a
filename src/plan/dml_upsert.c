/*
 * dml_upsert.c - INSERT ... ON CONFLICT DO UPDATE of a distributed table whose
 * DO UPDATE only the coordinator can compute.
 *
 * The rows are computed here as for any INSERT (dml_insert.c).  Those that
 * conflict are found, and locked, by the equality of the index that ON CONFLICT
 * is about; SET and WHERE are computed over them and EXCLUDED, and applied by
 * ctid; all others are inserted ON CONFLICT DO NOTHING.  Rows that somebody
 * else's row kept from being inserted are looked for once more (exec/upsert.c).
 *
 * The scan's tuple has the target's columns as they are found, or, for
 * RETURNING, as they have become, and EXCLUDED from the source's row.  SET and
 * WHERE stay in the source's own ON CONFLICT, where core plans them, subqueries
 * included.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "plan/plan_internal.h"

/* An INSERT on its way to its source. */
typedef struct Upsert
{
	TessJob *job;
	const TessTable *table;
	OnConflictExpr *conflict; /* a copy */
	const TessWrite *row;	  /* what is inserted */
	TessRowKey key;			  /* what conflicts are about */
	List *key_positions;	  /* of these columns in the source */
	List *kept;				  /* those that DO UPDATE seems to change */
	int sublevels_up;		  /* for the mutator */
	const char *reason;		  /* why it cannot be computed */
} Upsert;

/* Where the source has the value of a column; -1: nowhere, it is NULL. */
static int
source_position(const TessWrite *row, AttrNumber attno)
{
	ListCell *column;
	ListCell *position;

	forboth(column, row->columns, position, row->positions)
		if (lfirst_int(column) == attno)
			return lfirst_int(position);
	return -1;
}

/* EXCLUDED ------------------------------------------------------------------- */

/* A column of EXCLUDED: from the source's row, or NULL. */
static Node *
excluded_column(Upsert *upsert, const Var *var)
{
	if (get_attgenerated(upsert->table->relation, var->varattno) != '\0')
		upsert->reason = "ON CONFLICT names a generated column of EXCLUDED.";
	if (source_position(upsert->row, var->varattno) >= 0)
		return (Node *) copyObject(var);
	return (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
}

/* The whole row of EXCLUDED, of its columns. */
static Node *
excluded_row(Upsert *upsert, const Var *var)
{
	Relation rel = relation_open(upsert->table->relation, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	RowExpr *row = makeNode(RowExpr);

	row->row_typeid = var->vartype;
	row->row_format = COERCE_IMPLICIT_CAST;
	row->location = -1;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Var *column = makeVar(var->varno, att->attnum, att->atttypid,
							  att->atttypmod, att->attcollation,
							  var->varlevelsup);

		row->args = lappend(row->args,
							att->attisdropped
								? (Node *) makeNullConst(INT4OID, -1, InvalidOid)
								: excluded_column(upsert, column));
		row->colnames = lappend(row->colnames,
								makeString(pstrdup(NameStr(att->attname))));
	}
	relation_close(rel, NoLock);
	return (Node *) row;
}

static Node *
excluded_mutator(Node *node, Upsert *upsert)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if (var->varno != upsert->conflict->exclRelIndex ||
			(int) var->varlevelsup != upsert->sublevels_up)
			return (Node *) copyObject(var);
		return var->varattno == InvalidAttrNumber ? excluded_row(upsert, var)
												  : excluded_column(upsert, var);
	}
	if (IsA(node, Query))
	{
		Query *query;

		upsert->sublevels_up++;
		query = query_tree_mutator((Query *) node, excluded_mutator, upsert, 0);
		upsert->sublevels_up--;
		return (Node *) query;
	}
	return expression_tree_mutator(node, excluded_mutator, upsert);
}

/* Makes SET and WHERE expressions over the target and what the source has. */
static void
resolve_excluded(Upsert *upsert)
{
	OnConflictExpr *conflict = upsert->conflict;

	conflict->onConflictSet = (List *)
		excluded_mutator((Node *) conflict->onConflictSet, upsert);
	conflict->onConflictWhere = excluded_mutator(conflict->onConflictWhere,
												 upsert);
}

/* What conflicts are about ---------------------------------------------------- */

/* True if a column is set to what it is, by the index's equality. */
static bool
keeps_column(const Upsert *upsert, AttrNumber attno)
{
	TargetEntry *tle = tess_assignment_to(upsert->conflict->onConflictSet, attno);
	Node *value;

	if (tle == NULL)
		return true;
	value = strip_implicit_coercions((Node *) tle->expr);
	return IsA(value, Var) && ((Var *) value)->varattno == attno &&
		   ((Var *) value)->varlevelsup == 0;
}

/* Finds the columns and their places in the source; false with a reason if
 * conflicts cannot be found by them. */
static bool
find_key(Upsert *upsert)
{
	ListCell *cell;

	upsert->key = tess_row_key_of_conflict(upsert->table->relation,
										   upsert->conflict);
	if (upsert->key.columns == NIL)
	{
		upsert->reason = "ON CONFLICT is about an expression, a part of the rows, or equal NULLs.";
		return false;
	}
	foreach(cell, upsert->key.columns)
	{
		AttrNumber attno = lfirst_int(cell);
		Oid type = getBaseType(get_atttype(upsert->table->relation, attno));

		upsert->key_positions = lappend_int(upsert->key_positions,
											source_position(upsert->row, attno));
		if (!keeps_column(upsert, attno))
			upsert->kept = lappend_int(upsert->kept, attno);
		if (!OidIsValid(lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC)
							->hash_extended_proc))
		{
			upsert->reason = "A column that ON CONFLICT is about has no hash function.";
			return false;
		}
	}
	return true;
}

/* The statements --------------------------------------------------------------- */

/* SELECT of the rows that conflict: t.a, ..., v.n */
static TessWrite *
find_write(const Upsert *upsert, const TessColumns *columns)
{
	bool is_key = tess_assigns_referenced(upsert->conflict->onConflictSet,
										  upsert->table->relation);

	return tess_write_find(upsert->table, &upsert->key, upsert->key_positions,
						   columns, is_key ? "UPDATE" : "NO KEY UPDATE");
}

/* The rows that DO UPDATE changes. */
static TessWrite *
change_write(const Upsert *upsert, const TessColumns *returning)
{
	List *assigned = NIL;
	List *positions = NIL;
	ListCell *cell;

	foreach(cell, upsert->conflict->onConflictSet)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->resjunk)
			continue;
		assigned = lappend_int(assigned, tle->resno);
		positions = lappend_int(positions, -1); /* not the source's */
	}
	return tess_write_update(upsert->table, assigned, positions, returning);
}

/* The scan's tuple has this column of the target. */
static void
add_kept(TessColumns *columns, AttrNumber attno)
{
	Oid type;
	int32 typmod;
	Oid collation;
	Var *var;

	get_atttypetypmodcoll(columns->relation, attno, &type, &typmod, &collation);
	var = makeVar(columns->varno, attno, type, typmod, collation, 0);
	tess_columns_add_var(columns, var);
}

/* The scan's tuple: the target's columns, and EXCLUDED. */
static TessColumns *
scan_columns(const Upsert *upsert)
{
	TessColumns *columns = tess_returning_columns(upsert->job);
	Index excluded = upsert->conflict->exclRelIndex;
	List *exprs = list_make2(upsert->conflict->onConflictSet,
							 upsert->conflict->onConflictWhere);
	List *seen = NIL;
	ListCell *cell;

	tess_columns_add_target(columns, (Node *) exprs);
	foreach(cell, upsert->kept)
		add_kept(columns, lfirst_int(cell));
	foreach(cell, tess_policy_columns(upsert->job->parse))
		add_kept(columns, lfirst_int(cell));
	foreach(cell, tess_hidden_columns(upsert->table, columns->varno))
		tess_columns_add_var(columns,
							 (Var *) lfirst_node(TargetEntry, cell)->expr);
	foreach(cell, pull_vars_of_level((Node *) exprs, 0))
	{
		Var *var = lfirst_node(Var, cell);

		if (var->varno != excluded || list_member_int(seen, var->varattno))
			continue;
		seen = lappend_int(seen, var->varattno);
		var = copyObject(var);
		var->varlevelsup = 0;
		columns->scan_tlist = lappend(columns->scan_tlist,
									  makeTargetEntry((Expr *) var,
													  list_length(
														  columns->scan_tlist) +
														  1,
													  NULL, false));
		columns->sources = lappend_int(columns->sources,
									   TESS_FROM_CHILD(
										   source_position(upsert->row,
														   var->varattno)));
	}
	return columns;
}

/* Where SET has the value of a column. */
static int
set_position(const Upsert *upsert, AttrNumber attno)
{
	int position = 0;
	ListCell *cell;

	foreach(cell, upsert->conflict->onConflictSet)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->resjunk)
			continue;
		if (tle->resno == attno)
			return position;
		position++;
	}
	elog(ERROR, "column %d is not assigned to", attno);
}

/* Where the scan's tuple has a column of the target. */
static int
scan_position(const TessColumns *columns, int source)
{
	ListCell *cell;

	foreach(cell, columns->sources)
		if (lfirst_int(cell) == source)
			return foreach_current_index(cell);
	elog(ERROR, "a hidden column is not in the scan's tuple");
}

static int
node_position(const TessColumns *columns, AttrNumber attno)
{
	ListCell *cell;

	foreach(cell, columns->node_tlist)
		if (((Var *) lfirst_node(TargetEntry, cell)->expr)->varattno == attno)
			return foreach_current_index(cell);
	elog(ERROR, "a hidden column is not fetched");
}

/* Policies check the rows that come, those that are found, and what becomes of
 * these. */
static void
describe_policies(const Upsert *upsert, TessModifySpec *spec,
				  TessColumns *columns)
{
	List *assigned = NIL;
	List *positions = NIL;
	ListCell *cell;

	foreach(cell, upsert->conflict->onConflictSet)
	{
		const TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->resjunk)
			continue;
		positions = lappend_int(positions, list_length(assigned));
		assigned = lappend_int(assigned, tle->resno);
	}
	tess_policies_describe(upsert->job, spec, columns, upsert->row->columns,
						   upsert->row->positions);
	tess_policies_describe_set(upsert->job, spec, columns, assigned, positions);
}

static TessModifySpec *
make_spec(const Upsert *upsert, TessColumns *columns)
{
	TessModifySpec *spec = tess_modify_spec_make();
	const TessColumns *returning = tess_wants_rows(upsert->job->parse) ? columns
																	   : NULL;
	TessWrite *plain = tess_write_insert(upsert->table, upsert->row->columns,
										 upsert->row->positions, returning);
	ListCell *cell;

	spec->writes = list_make4(find_write(upsert, columns),
							  change_write(upsert, returning), plain,
							  tess_write_insert_new(upsert->table, plain,
													&upsert->key, columns));
	spec->resolves_conflicts = true;
	spec->has_returning = returning != NULL;
	spec->reads_first = true;
	describe_policies(upsert, spec, columns);
	spec->shard_position = scan_position(columns, TESS_FROM_SHARD_INDEX);
	spec->ctid_position = scan_position(columns,
										node_position(columns,
													  SelfItemPointerAttributeNumber));
	foreach(cell, upsert->kept)
	{
		AttrNumber attno = lfirst_int(cell);

		spec->kept_assigned = lappend_int(spec->kept_assigned,
										  set_position(upsert, attno));
		spec->kept_positions = lappend_int(spec->kept_positions,
										   scan_position(columns,
														 node_position(columns,
																	   attno)));
	}
	return spec;
}

/*
 * The source of such an INSERT, marked as such; NULL with job->reason if it
 * cannot be computed exactly.  source: the SELECT of the rows, which consist
 * of what row says.
 */
Query *
tess_upsert_source(TessJob *job, Query *source, const TessWrite *row)
{
	Upsert upsert = {job, job->survey->target,
					 copyObject(job->parse->onConflict), row};
	TessFragment *fragment = tess_fragment_make();
	TessColumns *columns;

	if (upsert.table->alters_inserts || upsert.table->alters_updates)
	{
		job->reason = _(
			"BEFORE triggers of the table may make other rows of those that conflict.");
		return NULL;
	}
	if (upsert.table->is_partitioned)
	{
		job->reason = _("Rows that conflict are in partitions of the table.");
		return NULL;
	}
	if (!find_key(&upsert))
	{
		job->reason = upsert.reason;
		return NULL;
	}
	resolve_excluded(&upsert);
	if (upsert.reason != NULL)
	{
		job->reason = upsert.reason;
		return NULL;
	}
	columns = scan_columns(&upsert);
	tess_change_describe(job, fragment, columns);
	fragment->modify = make_spec(&upsert, columns);
	tess_part_insert_note(job, row, fragment->modify);
	source = tess_change_mark(source, fragment, columns, NULL);
	source->onConflict = upsert.conflict;
	return source;
}
