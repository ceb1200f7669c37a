/*
 * columns.c - which columns of one of our tables does a plan want, what has a
 * node to be asked for, and where does each come from?
 *
 * The tuple of the scan (scan_tlist) has what the plan names; the node's
 * result (node_tlist) has plain columns only.  The table's own OID, whole rows,
 * the shard and ctids are made here, since they are others on a node.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "plan/plan_internal.h"

/* No columns yet, of Vars with this varno. */
TessColumns *
tess_columns_make(Oid relation, Index varno)
{
	TessColumns *columns = palloc0(sizeof(TessColumns));

	columns->relation = relation;
	columns->varno = varno;
	return columns;
}

/* Index of a column in what the node selects; added if it is not there. */
static int
node_column(TessColumns *columns, AttrNumber attno, Oid type, int32 typmod,
			Oid collation)
{
	ListCell *cell;
	int count = list_length(columns->node_tlist);
	Var *var;

	foreach(cell, columns->node_tlist)
	{
		var = (Var *) lfirst_node(TargetEntry, cell)->expr;
		if (IsA(var, Var) && var->varno == 1 && var->varattno == attno)
			return foreach_current_index(cell);
	}

	var = makeVar(1, attno, type, typmod, collation, 0);
	columns->node_tlist = lappend(columns->node_tlist,
								  makeTargetEntry((Expr *) var, count + 1, NULL,
												  false));
	return count;
}

static int
node_attribute(TessColumns *columns, Form_pg_attribute att)
{
	return node_column(columns, att->attnum, att->atttypid, att->atttypmod,
					   att->attcollation);
}

/* All columns of the table; whole_row says where each of them is.  A fragment's
 * columns are on the node already. */
static void
add_whole_row(TessColumns *columns)
{
	Relation rel;
	TupleDesc desc;

	columns->whole_row = NIL;
	if (!OidIsValid(columns->relation))
	{
		columns->row_type = RECORDOID;
		for (int i = 0; i < list_length(columns->node_tlist); i++)
			columns->whole_row = lappend_int(columns->whole_row, i);
		return;
	}

	rel = relation_open(columns->relation, NoLock);
	desc = RelationGetDescr(rel);
	columns->row_type = rel->rd_rel->reltype;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		columns->whole_row = lappend_int(columns->whole_row,
										 att->attisdropped
											 ? -1
											 : node_attribute(columns, att));
	}
	relation_close(rel, NoLock);
}

static bool
is_position(const Var *var)
{
	return var->varattno == TESS_POSITION_ATTRIBUTE && var->vartype == INT8OID;
}

static bool
is_shard_index(const Var *var)
{
	return var->varattno == TESS_SHARD_INDEX_ATTRIBUTE && var->vartype == INT4OID;
}

static bool
is_shard_ctid(const Var *var)
{
	return var->varattno == TESS_SHARD_CTID_ATTRIBUTE && var->vartype == TIDOID;
}

static int
node_ctid(TessColumns *columns)
{
	return node_column(columns, SelfItemPointerAttributeNumber, TIDOID, -1,
					   InvalidOid);
}

static bool
is_partition(const TessColumns *columns, const Var *var)
{
	return var->varattno == TESS_PARTITION_ATTRIBUTE &&
		   get_rel_relkind(columns->relation) == RELKIND_PARTITIONED_TABLE;
}

/* The number of a hidden column in the stand-in entry; 0: it is none. */
static AttrNumber
stand_in_column(const Var *var)
{
	if (is_shard_index(var))
		return 1;
	if (is_shard_ctid(var))
		return 2;
	return is_position(var) ? 3 : 0;
}

/* The column of the scan's tuple that is this Var of our varno, or NULL. */
static TargetEntry *
scan_column(const TessColumns *columns, const Var *var)
{
	ListCell *cell;

	foreach(cell, columns->scan_tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		const Var *known = (Var *) entry->expr;

		if (IsA(known, Var) && known->varno == columns->varno &&
			known->varattno == var->varattno && known->vartype == var->vartype)
			return entry;
	}
	return NULL;
}

/* True if the scan's tuple has this Var of our varno. */
bool
tess_columns_has_var(const TessColumns *columns, const Var *var)
{
	return scan_column(columns, var) != NULL;
}

static void
add_scan_column(TessColumns *columns, Expr *expr, int source)
{
	int count = list_length(columns->scan_tlist);

	columns->scan_tlist = lappend(columns->scan_tlist,
								  makeTargetEntry(expr, count + 1, NULL, false));
	columns->sources = lappend_int(columns->sources, source);
}

/* The plan names this Var of our varno. */
void
tess_columns_add_var(TessColumns *columns, const Var *var)
{
	Var *copy;
	int source;

	if (scan_column(columns, var) != NULL)
		return;

	if (is_shard_index(var))
		source = TESS_FROM_SHARD_INDEX;
	else if (is_shard_ctid(var))
		source = node_ctid(columns);
	else if (var->varattno == SelfItemPointerAttributeNumber)
	{
		columns->ctid_column = node_ctid(columns);
		source = TESS_FROM_CTID;
	}
	else if (is_partition(columns, var))
		source = node_column(columns, TableOidAttributeNumber, OIDOID, -1,
							 InvalidOid);
	else if (var->varattno == TableOidAttributeNumber)
		source = TESS_FROM_TABLEOID;
	else if (var->varattno == InvalidAttrNumber)
	{
		add_whole_row(columns);
		source = TESS_FROM_WHOLE_ROW;
	}
	else
		source = node_column(columns, var->varattno, var->vartype,
							 var->vartypmod, var->varcollid);

	copy = makeVar(columns->varno, var->varattno, var->vartype, var->vartypmod,
				   var->varcollid, 0);
	add_scan_column(columns, (Expr *) copy, source);
}

/*
 * The plan names this expression, and the node computes it as node_expr.
 * Returns the index of the node's column.
 */
int
tess_columns_add_expr(TessColumns *columns, Expr *expr, Expr *node_expr)
{
	int column = list_length(columns->node_tlist);
	ListCell *cell;

	if (IsA(expr, Var) && ((Var *) expr)->varattno > 0 &&
		((Var *) expr)->varno == columns->varno)
	{
		const Var *var = (Var *) expr;

		tess_columns_add_var(columns, var);
		return node_column(columns, var->varattno, var->vartype, var->vartypmod,
						   var->varcollid);
	}

	foreach(cell, columns->scan_tlist)
		if (equal(lfirst_node(TargetEntry, cell)->expr, expr))
			return list_nth_int(columns->sources, foreach_current_index(cell));

	/* a name, so that the text reads back as it was written */
	columns->node_tlist = lappend(columns->node_tlist,
								  makeTargetEntry(node_expr, column + 1,
												  psprintf("_%d", column + 1),
												  false));
	add_scan_column(columns, expr, column);
	return column;
}

/* All Vars of our varno in an expression or a list of them. */
void
tess_columns_add_vars_of(TessColumns *columns, Node *node)
{
	List *vars = pull_var_clause(node, PVC_RECURSE_AGGREGATES |
										   PVC_RECURSE_WINDOWFUNCS |
										   PVC_RECURSE_PLACEHOLDERS);
	ListCell *cell;

	foreach(cell, vars)
	{
		Var *var = lfirst_node(Var, cell);

		if (var->varno == columns->varno)
			tess_columns_add_var(columns, var);
	}
}

/* The node's result has this column, next after those that are there. */
void
tess_columns_add_on_node(TessColumns *columns, const TargetEntry *entry)
{
	(void) node_column(columns, entry->resno, exprType((Node *) entry->expr),
					   exprTypmod((Node *) entry->expr),
					   exprCollation((Node *) entry->expr));
}

/*
 * A scan's tuple must have a column, and RETURNING must have one on the node;
 * a SELECT there does without.
 */
void
tess_columns_add_any(TessColumns *columns, bool on_node)
{
	if (columns->scan_tlist == NIL)
	{
		Var *var = makeVar(columns->varno, TableOidAttributeNumber, OIDOID, -1,
						   InvalidOid, 0);

		tess_columns_add_var(columns, var);
	}
	if (on_node && columns->node_tlist == NIL)
		(void) node_ctid(columns);
}

/*
 * EXPLAIN would call the index of the shard cmax, and the ctid there cmin.  In a
 * finished plan they are columns of a stand-in entry instead, which has the right
 * names; only the type is of interest for execution.
 */
void
tess_columns_name_shards(PlannedStmt *stmt, const List *scans)
{
	RangeTblEntry *rte = NULL;
	ListCell *cell;

	foreach(cell, scans)
	{
		ListCell *inner;

		foreach(inner, lfirst_node(CustomScan, cell)->custom_scan_tlist)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, inner);

			Var *var = (Var *) tle->expr;

			if (!IsA(var, Var) || stand_in_column(var) == 0)
				continue;
			if (rte == NULL)
			{
				rte = makeNode(RangeTblEntry);
				rte->rtekind = RTE_SUBQUERY;
				rte->eref = makeAlias("shard",
									  list_make3(makeString(pstrdup("shard")),
												 makeString(pstrdup("ctid")),
												 makeString(pstrdup("position"))));
				stmt->rtable = lappend(stmt->rtable, rte);
			}
			tle->expr = (Expr *) makeVar(list_length(stmt->rtable),
										 stand_in_column(var), var->vartype, -1,
										 InvalidOid, 0);
		}
	}
}

/* Fills what a fragment says of its result. */
void
tess_columns_describe(const TessColumns *columns, TessFragment *fragment)
{
	tess_fragment_describe(fragment, columns->node_tlist);
	fragment->sources = columns->sources;
	fragment->whole_row = columns->whole_row;
	fragment->row_type = columns->row_type;
	fragment->ctid_column = columns->ctid_column;
}

static Node *
rebase_mutator(Node *node, const TessColumns *columns)
{
	const Var *var = (Var *) node;
	const TargetEntry *entry;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, rebase_mutator, (void *) columns);

	entry = var->varno == columns->varno ? scan_column(columns, var) : NULL;
	if (entry == NULL)
		elog(ERROR, "column of an expression is not in the scan");
	return (Node *) makeVar(INDEX_VAR, entry->resno, var->vartype,
							var->vartypmod, var->varcollid, 0);
}

/* Expressions over varno as expressions over the scan's own tuple, as setrefs
 * would make them. */
Node *
tess_columns_rebase(const TessColumns *columns, Node *node)
{
	return rebase_mutator(node, columns);
}
