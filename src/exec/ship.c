/*
 * ship.c - rows that are computed here and sent along with a fragment, as
 * arrays: parameters that follow those of TessArgs which are expressions.
 *
 * A load is what is in memory at once, and is sent with one statement a node.
 * Where the fragment is an inner join, rows that are too many come in several
 * loads, and the results of all of them are the result; other joins have to
 * see all rows at once, and fail where these do not fit.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct ShippedColumn
{
	int position; /* in the child's tuples */
	Oid type;
	int16 length;
	bool by_value;
	char align;
	ArrayBuildState *values; /* of the load that is being filled */
} ShippedColumn;

struct TessCargo
{
	const TessFragment *fragment;
	PlanState *child;
	int count;
	ShippedColumn *columns;
	MemoryContext context; /* of the load */
	bool loading;		   /* the child is being asked for rows */
	bool started;		   /* ... or has been */
	bool ended;			   /* ... and has no more */
	TessCargoFigures figures;
};

/* What child (of the plan of the fragment) gives, in the current context.  NULL
 * if nothing is shipped. */
TessCargo *
tess_cargo_make(const TessFragment *fragment, PlanState *child)
{
	TupleDesc desc;
	TessCargo *cargo;
	ListCell *cell;

	if (fragment->shipped == NIL)
		return NULL;
	desc = ExecGetResultType(child);
	cargo = palloc0(sizeof(TessCargo));
	cargo->fragment = fragment;
	cargo->child = child;
	cargo->columns = palloc0(list_length(fragment->shipped) *
							 sizeof(ShippedColumn));
	cargo->context = AllocSetContextCreate(CurrentMemoryContext,
										   "tessera shipped rows",
										   ALLOCSET_DEFAULT_SIZES);
	foreach(cell, fragment->shipped)
	{
		ShippedColumn *column = &cargo->columns[cargo->count++];

		column->position = lfirst_int(cell);
		column->type = TupleDescAttr(desc, column->position)->atttypid;
		get_typlenbyvalalign(column->type, &column->length, &column->by_value,
							 &column->align);
	}
	return cargo;
}

/* Rows that are too many for a join that cannot be done in parts. */
static void
raise_too_many(const TessCargo *cargo)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("rows that are to be joined on other nodes need more than tessera.ship_limit"),
			 errdetail("The limit is %d kB; fewer rows were expected.",
					   cargo->fragment->ship_limit_kb),
			 errhint(
				 "Run ANALYZE on the tables they come from, or set tessera.ship_limit to 0.")));
}

/* Adds a row of the child; returns the memory that it takes. */
static Size
add_row(TessCargo *cargo, TupleTableSlot *slot)
{
	Size bytes = 0;

	for (int i = 0; i < cargo->count; i++)
	{
		ShippedColumn *column = &cargo->columns[i];
		bool isnull;
		Datum value = slot_getattr(slot, column->position + 1, &isnull);

		column->values = accumArrayResult(column->values, value, isnull,
										  column->type, cargo->context);
		bytes += sizeof(Datum);
		if (!isnull && !column->by_value)
		{
			/* as it was put away: not compressed, and not elsewhere */
			value = column->values->dvalues[column->values->nelems - 1];
			bytes += datumGetSize(value, false, column->length);
		}
	}
	return bytes;
}

/* What has been added becomes arguments. */
static void
set_arguments(TessCargo *cargo, TessArgs *args)
{
	for (int i = 0; i < cargo->count; i++)
	{
		int number = args->count - cargo->count + i;

		args->nulls[number] = false;
		args->values[number] = makeArrayResult(cargo->columns[i].values,
											   cargo->context);
	}
}

/*
 * Gets the next load into the last of the arguments, which have been evaluated.
 * False if there is nothing (more) to be sent.  The arrays live until the next
 * call or tess_cargo_unload.
 */
bool
tess_cargo_load(TessCargo *cargo, TessArgs *args)
{
	JoinType join = cargo->fragment->shipped_join;
	Size limit = (Size) cargo->fragment->ship_limit_kb * 1024;
	bool is_first = !cargo->started;
	int64 rows = 0;
	Size bytes = 0;
	MemoryContext old_context;

	/* plan nodes make things of their own when they are first asked */
	old_context = MemoryContextSwitchTo(cargo->child->state->es_query_cxt);
	MemoryContextReset(cargo->context);
	for (int i = 0; i < cargo->count; i++)
		cargo->columns[i].values = initArrayResult(cargo->columns[i].type,
												   cargo->context, false);
	cargo->started = true;
	cargo->loading = true;
	while (!cargo->ended && (bytes < limit || join != JOIN_INNER))
	{
		TupleTableSlot *slot = ExecProcNode(cargo->child);

		if (TupIsNull(slot))
		{
			cargo->ended = true;
			break;
		}
		bytes += add_row(cargo, slot);
		rows++;
		if (bytes >= limit && join != JOIN_INNER)
			raise_too_many(cargo);
	}
	cargo->loading = false;
	MemoryContextSwitchTo(old_context);

	/* rows that are kept without a partner come, too, where there is none */
	if (rows == 0 && !(is_first && (join == JOIN_LEFT || join == JOIN_ANTI)))
		return false;
	set_arguments(cargo, args);
	cargo->figures.rows += rows;
	cargo->figures.loads++;
	return true;
}

/* The load has been sent: its memory is given back. */
void
tess_cargo_unload(TessCargo *cargo)
{
	MemoryContextReset(cargo->context);
}

/* The next load is the first one again. */
void
tess_cargo_restart(TessCargo *cargo)
{
	if (!cargo->started)
		return;
	ExecReScan(cargo->child);
	cargo->started = cargo->ended = false;
}

/*
 * A rescan of the scan: true if other rows will come, which depends on the
 * parameters that have changed.
 */
bool
tess_cargo_has_changed(const TessCargo *cargo)
{
	return cargo->child->chgParam != NULL;
}

/* Whether the child may be run before its time, as tess_args_are_known. */
bool
tess_cargo_is_known(const TessCargo *cargo)
{
	const ParamExecData *params = cargo->child->state->es_param_exec_vals;
	int i = -1;

	/* plan/ keeps away what is known to write; functions may lie */
	if (cargo->loading)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change a table while rows are computed that are to be joined with it"),
				 errhint("Set tessera.ship_limit to 0.")));

	while ((i = bms_next_member(cargo->child->plan->extParam, i)) >= 0)
	{
		if (params[i].execPlan == NULL)
			return false;
	}
	return true;
}

/* For EXPLAIN ANALYZE, of all executions. */
const TessCargoFigures *
tess_cargo_figures(const TessCargo *cargo)
{
	return &cargo->figures;
}
