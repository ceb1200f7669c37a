/*
 * ship.c - rows that are computed here and sent along with a fragment, as
 * arrays: parameters that follow those of TessArgs which are expressions.
 *
 * A load is what is in memory at once, at most.  Rows are put into bins: one
 * for each shard where they have a key that tells which shard they can meet,
 * else one for all.  The last load is sent with the statements that join it;
 * each load before it is sent when it is full, to be kept in stashes of the
 * nodes (shipped_rows.c).  To whom, and when, is the scan's to know.
 *
 * The least and the greatest value of some columns, of all loads of a bin, are
 * arguments too.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "route/route.h"
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
} ShippedColumn;

/* Rows of one load that go to the same place. */
typedef struct ShippedBin
{
	int64 rows;
	ArrayBuildState **values; /* by column; NULL: no rows yet */
} ShippedBin;

/* A column whose least and greatest value are sent. */
typedef struct BoundedColumn
{
	int position; /* in the child's tuples */
	FmgrInfo compare;
	Oid collation;
	int16 length;
	bool by_value;
} BoundedColumn;

/* Of one of them, in one bin. */
typedef struct Bounds
{
	bool is_known; /* there was a value that is not NULL */
	Datum least;
	Datum greatest;
} Bounds;

struct TessCargo
{
	const TessFragment *fragment;
	PlanState *child;
	int count;
	ShippedColumn *columns;
	Oid key_type;		   /* if the fragment has a key for them */
	MemoryContext context; /* of the load */
	int bin_count;
	ShippedBin *bins;
	int bounded_count;
	BoundedColumn *bounded;
	MemoryContext bounds_context; /* of all loads */
	Bounds *bounds;				  /* by bin and column */
	bool loading;				  /* the child is being asked for rows */
	bool started;				  /* ... or has been */
	TessCargoFigures figures;
};

static void
init_bounds(TessCargo *cargo, const TessFragment *fragment, TupleDesc desc)
{
	ListCell *position;
	ListCell *function;
	ListCell *collation;

	if (fragment->bounded == NIL)
		return;
	cargo->bounded = palloc0(list_length(fragment->bounded) *
							 sizeof(BoundedColumn));
	cargo->bounds_context = AllocSetContextCreate(CurrentMemoryContext,
												  "tessera bounds",
												  ALLOCSET_SMALL_SIZES);
	forthree(position, fragment->bounded, function, fragment->bound_functions,
			 collation, fragment->bound_collations)
	{
		BoundedColumn *column = &cargo->bounded[cargo->bounded_count++];

		column->position = lfirst_int(position);
		fmgr_info(lfirst_oid(function), &column->compare);
		column->collation = lfirst_oid(collation);
		get_typlenbyval(TupleDescAttr(desc, column->position)->atttypid,
						&column->length, &column->by_value);
	}
}

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
	if (fragment->shipped_key >= 0)
		cargo->key_type = TupleDescAttr(desc, fragment->shipped_key)->atttypid;
	init_bounds(cargo, fragment, desc);
	return cargo;
}

/* Filling -------------------------------------------------------------------- */

/* The bin of a row, or NULL if nothing can meet it: its key is NULL, or of a
 * shard that has no rows for the fragment. */
static ShippedBin *
choose_bin(TessCargo *cargo, const TessArgs *args, const TessGroup *group,
		   TupleTableSlot *slot)
{
	Datum key;
	bool isnull;
	int shard;

	if (cargo->fragment->shipped_key < 0)
		return &cargo->bins[0];
	key = slot_getattr(slot, cargo->fragment->shipped_key + 1, &isnull);
	if (isnull)
		return NULL;
	shard = tess_route_value(group, key, false, cargo->key_type);
	return bms_is_member(shard, args->shards) ? &cargo->bins[shard] : NULL;
}

static void
start_bin(TessCargo *cargo, ShippedBin *bin)
{
	if (bin->values != NULL)
		return;
	bin->values = MemoryContextAlloc(cargo->context,
									 cargo->count * sizeof(ArrayBuildState *));
	for (int i = 0; i < cargo->count; i++)
		bin->values[i] = initArrayResult(cargo->columns[i].type, cargo->context,
										 false);
}

/* Adds a row of the child; returns the memory that it takes. */
static Size
add_row(TessCargo *cargo, ShippedBin *bin, TupleTableSlot *slot)
{
	Size bytes = 0;

	start_bin(cargo, bin);
	bin->rows++;
	for (int i = 0; i < cargo->count; i++)
	{
		ShippedColumn *column = &cargo->columns[i];
		ArrayBuildState *values;
		bool isnull;
		Datum value = slot_getattr(slot, column->position + 1, &isnull);

		values = accumArrayResult(bin->values[i], value, isnull, column->type,
								  cargo->context);
		bytes += sizeof(Datum);
		if (!isnull && !column->by_value)
			/* as it was put away: not compressed, and not elsewhere */
			bytes += datumGetSize(values->dvalues[values->nelems - 1], false,
								  column->length);
	}
	return bytes;
}

/* The bounds of a bin. */
static Bounds *
bounds_of(const TessCargo *cargo, const ShippedBin *bin)
{
	return &cargo->bounds[(bin - cargo->bins) * cargo->bounded_count];
}

static void
move_bound(TessCargo *cargo, const BoundedColumn *column, Datum *bound,
		   bool is_known, Datum value)
{
	MemoryContext old_context = MemoryContextSwitchTo(cargo->bounds_context);

	if (is_known && !column->by_value)
		pfree(DatumGetPointer(*bound));
	*bound = datumCopy(value, column->by_value, column->length);
	MemoryContextSwitchTo(old_context);
}

/* Widens the bounds of a bin for a row of the child. */
static void
widen_bounds(TessCargo *cargo, const ShippedBin *bin, TupleTableSlot *slot)
{
	for (int i = 0; i < cargo->bounded_count; i++)
	{
		BoundedColumn *column = &cargo->bounded[i];
		Bounds *bounds = &bounds_of(cargo, bin)[i];
		bool isnull;
		Datum value = slot_getattr(slot, column->position + 1, &isnull);

		if (isnull)
			continue;
		if (!bounds->is_known ||
			DatumGetInt32(FunctionCall2Coll(&column->compare, column->collation,
											value, bounds->least)) < 0)
			move_bound(cargo, column, &bounds->least, bounds->is_known, value);
		if (!bounds->is_known ||
			DatumGetInt32(FunctionCall2Coll(&column->compare, column->collation,
											value, bounds->greatest)) > 0)
			move_bound(cargo, column, &bounds->greatest, bounds->is_known, value);
		bounds->is_known = true;
	}
}

/* Before the first load. */
static void
clear_bounds(TessCargo *cargo)
{
	if (cargo->bounded_count == 0)
		return;
	MemoryContextReset(cargo->bounds_context);
	cargo->bounds = MemoryContextAllocZero(cargo->bounds_context,
										   cargo->bin_count *
											   cargo->bounded_count *
											   sizeof(Bounds));
}

/*
 * Gets the next load, whose rows belong to shards of args.  True if it is full,
 * and more may follow; false with the last one.  Its memory is given back by
 * the next call, or tess_cargo_unload.
 */
bool
tess_cargo_load(TessCargo *cargo, const TessArgs *args, const TessGroup *group)
{
	Size limit = (Size) cargo->fragment->ship_limit_kb * 1024;
	bool is_routed = cargo->fragment->shipped_key >= 0;
	Size bytes = 0;
	bool ended = false;
	MemoryContext old_context;

	/* plan nodes make things of their own when they are first asked */
	old_context = MemoryContextSwitchTo(cargo->child->state->es_query_cxt);
	MemoryContextReset(cargo->context);
	cargo->bin_count = is_routed ? group->shard_count : 1;
	cargo->bins = MemoryContextAllocZero(cargo->context,
										 cargo->bin_count * sizeof(ShippedBin));
	if (!cargo->started)
		clear_bounds(cargo);
	cargo->started = true;
	cargo->loading = true;
	while (bytes < limit)
	{
		TupleTableSlot *slot = ExecProcNode(cargo->child);
		ShippedBin *bin;

		ended = TupIsNull(slot);
		if (ended)
			break;
		bin = choose_bin(cargo, args, group, slot);
		if (bin == NULL)
			continue;
		bytes += add_row(cargo, bin, slot);
		widen_bounds(cargo, bin, slot);
		cargo->figures.rows++;
	}
	cargo->loading = false;
	cargo->figures.loads++;
	MemoryContextSwitchTo(old_context);
	return !ended;
}

/* How many rows of the load are for a shard. */
int64
tess_cargo_rows(const TessCargo *cargo, int shard_index)
{
	return cargo->bins[cargo->bin_count > 1 ? shard_index : 0].rows;
}

/*
 * The rows of the load for a shard become the last arguments, behind the number
 * of the stash that has the loads before; 0: there were none.  With the last
 * load the bounds are those of all.
 */
void
tess_cargo_set_arguments(TessCargo *cargo, TessArgs *args, int shard_index,
						 int64 stash)
{
	ShippedBin *bin = &cargo->bins[cargo->bin_count > 1 ? shard_index : 0];
	int number = args->evaluated;

	args->nulls[number] = stash == 0;
	args->values[number] = Int64GetDatum(stash);
	start_bin(cargo, bin);
	for (int i = 0; i < cargo->count; i++)
	{
		number++;
		args->nulls[number] = false;
		args->values[number] = makeArrayResult(bin->values[i], cargo->context);
	}
	for (int i = 0; i < cargo->bounded_count; i++)
	{
		const Bounds *bounds = &bounds_of(cargo, bin)[i];

		args->nulls[++number] = !bounds->is_known;
		args->values[number] = bounds->least;
		args->nulls[++number] = !bounds->is_known;
		args->values[number] = bounds->greatest;
	}
}

/* The load has been sent: its memory is given back. */
void
tess_cargo_unload(TessCargo *cargo)
{
	MemoryContextReset(cargo->context);
	cargo->bins = NULL;
}

/* The next load is the first one again. */
void
tess_cargo_restart(TessCargo *cargo)
{
	if (cargo->started)
		ExecReScan(cargo->child);
	cargo->started = false;
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
