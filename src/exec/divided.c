/*
 * divided.c - INSERT ... SELECT of many rows of other shards: the nodes that have
 * them divide them by the shards that get them, and this server passes the bytes on.
 *
 * Where the child of TesseraModify is a scan in portions, its rows are columns of
 * the nodes, and what else a row consists of has nothing to do with these
 * (defaults, sequences, constants): that is computed here, and put before them.
 * Any other row is decoded, computed and written again (bulk.c).
 *
 * The scan gives no rows then, but takes them to the stream itself.  What comes
 * while the stream uses a session must not go into it: it is kept.
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "exec/scan_internal.h"

struct TessDivision
{
	MemoryContext context;
	const TessGroup *group; /* NULL: reference table */
	int key;				/* of the nodes' columns, from 1; 0: NULL */
	List *columns;			/* of the target; those computed here come first */
	List *positions;		/* of these, in the child's target list */
	TessDivided divided;

	List *added; /* ExprState *, of the first columns */
	ExprContext *econtext;
	TupleTableSlot *slot; /* of the target, for these */

	TessBulk *bulk;
	List *kept; /* StringInfo: messages that came meanwhile */
};

/* whether, and how ---------------------------------------------------------------- */

static bool
is_of_row_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) ||
		(IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC))
		return true;
	return expression_tree_walker(node, is_of_row_walker, context);
}

/* The column of the nodes' rows, from 1, that an expression of the scan's target
 * list is; 0: it is none. */
static int
node_column(const TessScanState *scan, const Expr *expr)
{
	const TessFragment *fragment = scan->fragment;
	const Var *var = (const Var *) expr;
	int source;

	if (!IsA(var, Var) || var->varattno <= 0)
		return 0;
	source = var->varattno - 1;
	if (fragment->sources != NIL)
		source = list_nth_int(fragment->sources, source);
	return source >= 0 ? source + 1 : 0;
}

/* A column of the target; false if its values can neither come from the nodes as
 * they are, nor be computed without them. */
static bool
add_column(TessDivision *division, const TessScanState *scan,
		   const TessWrite *write, AttrNumber attnum, int position, Oid type)
{
	List *tlist = scan->css.ss.ps.plan->targetlist;
	TargetEntry *entry = list_nth_node(TargetEntry, tlist, position);
	int column = node_column(scan, entry->expr);
	int place = division->divided.added_count;

	if (column > 0)
	{
		if (list_nth_oid(scan->fragment->column_types, column - 1) != type)
			return false;
		division->columns = lappend_int(division->columns, attnum);
		division->positions = lappend_int(division->positions, position);
		division->divided.columns = lappend_int(division->divided.columns,
												column);
		if (position == write->key_position)
			division->key = column;
		return true;
	}
	if (position == write->key_position ||
		exprType((Node *) entry->expr) != type ||
		is_of_row_walker((Node *) entry->expr, NULL))
		return false;
	division->columns = list_insert_nth_int(division->columns, place, attnum);
	division->positions = list_insert_nth_int(division->positions, place,
											  position);
	division->added = lappend(division->added,
							  ExecInitExpr(entry->expr,
										   unconstify(PlanState *,
													  &scan->css.ss.ps)));
	division->divided.added_count++;
	return true;
}

static bool
add_columns(TessDivision *division, const TessScanState *scan,
			const TessWrite *write, TupleDesc desc)
{
	Oid *types = palloc(sizeof(Oid) * list_length(write->columns));
	int count = 0;
	ListCell *column;
	ListCell *position;

	forboth(column, write->columns, position, write->positions)
	{
		AttrNumber attnum = lfirst_int(column);

		types[count] = TupleDescAttr(desc, attnum - 1)->atttypid;
		if (!add_column(division, scan, write, attnum, lfirst_int(position),
						types[count++]))
			return false;
	}
	return division->divided.columns != NIL &&
		   tess_types_travel_binary(count, types);
}

/* The hash of the key is the same whatever the collation is called there. */
static bool
is_hashed_alike(const TessGroup *group)
{
	return group == NULL || !OidIsValid(group->key_collation) ||
		   get_collation_isdeterministic(group->key_collation);
}

/* Values of what this server computes, for the next row. */
static TupleTableSlot *
compute_added(void *arg)
{
	TessDivision *division = arg;
	TupleTableSlot *slot = division->slot;
	MemoryContext caller;
	ListCell *cell;

	ResetExprContext(division->econtext);
	caller = MemoryContextSwitchTo(division->econtext->ecxt_per_tuple_memory);
	foreach(cell, division->added)
	{
		int i = list_nth_int(division->columns, foreach_current_index(cell)) - 1;

		slot->tts_values[i] = ExecEvalExpr((ExprState *) lfirst(cell),
										   division->econtext,
										   &slot->tts_isnull[i]);
	}
	MemoryContextSwitchTo(caller);
	return slot;
}

static TessDivision *
make_division(const TessScanState *scan, const TessWrite *write,
			  const TessTable *table)
{
	TessDivision *division = palloc0(sizeof(TessDivision));
	Relation rel = table_open(table->relation, NoLock);
	TupleDesc desc = CreateTupleDescCopy(RelationGetDescr(rel));

	table_close(rel, NoLock);
	if (!add_columns(division, scan, write, desc))
		return NULL;
	division->context = CurrentMemoryContext;
	division->group = table->group;
	division->divided.next_added = compute_added;
	division->divided.arg = division;
	division->econtext = CreateExprContext(scan->css.ss.ps.state);
	division->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	return division;
}

/*
 * Has a scan, which is being read in portions, give all further rows to a COPY into
 * the table; NULL if that is not possible.  In the current context, to whose end it
 * lives.  What EXPLAIN ANALYZE has to count is not divided.
 */
TessDivision *
tess_scan_divide(PlanState *child, const TessWrite *write, const TessTable *table)
{
	TessScanState *scan = (TessScanState *) child;

	if (!tess_is_scan(child) || scan->portions == NULL ||
		child->plan->qual != NIL || child->instrument != NULL ||
		!is_hashed_alike(table->group))
		return NULL;
	scan->division = make_division(scan, write, table);
	if (scan->division != NULL)
		tess_portions_divide(scan->portions, scan->division);
	return scan->division;
}

/* How the rows that the scan still gives go into the same stream. */
List *
tess_division_columns(const TessDivision *division)
{
	return division->columns;
}

List *
tess_division_positions(const TessDivision *division)
{
	return division->positions;
}

void
tess_division_set_bulk(TessDivision *division, TessBulk *bulk)
{
	division->bulk = bulk;
}

/* while it runs ---------------------------------------------------------------------- */

char *
tess_division_sql(const TessDivision *division, const char *cursor)
{
	return tess_divided_sql(division->group, division->divided.columns,
							division->key, cursor);
}

static void
put(TessDivision *division, const char *message, int length)
{
	tess_bulk_put_divided(division->bulk, &division->divided, message, length);
}

static void
keep(TessDivision *division, const char *message, int length)
{
	MemoryContext caller = MemoryContextSwitchTo(division->context);
	StringInfo kept = makeStringInfo();

	appendBinaryStringInfo(kept, message, length);
	division->kept = lappend(division->kept, kept);
	MemoryContextSwitchTo(caller);
}

/* A message, which may be gone as soon as the session is used.  Nobody may have
 * asked for it: then the stream may be about to send. */
void
tess_division_take(TessDivision *division, const char *message, int length,
				   bool is_awaited)
{
	if (is_awaited && division->divided.added_count == 0)
		put(division, message, length);
	else
		keep(division, message, length);
}

/* Sends what has been kept; meanwhile more may be. */
void
tess_division_put_kept(TessDivision *division)
{
	while (division->kept != NIL)
	{
		StringInfo kept = linitial(division->kept);

		division->kept = list_delete_first(division->kept);
		put(division, kept->data, kept->len);
		pfree(kept->data);
		pfree(kept);
	}
}
