/*
 * sample_rows.c - what a coordinator calls on a node: rows of one table as
 * ANALYZE would choose them, in two stages (blocks, then rows), so that a large
 * table is not read whole.
 *
 * Like ANALYZE it looks past row security and rights on columns, and unlike
 * ANALYZE it shows rows.  So it is for the table's owner, who could do away
 * with both, and not for the owner of the database.
 *
 * And whether core would look into a value, or only ask how long it is.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_type.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "statistics/statistics_internal.h"

PG_FUNCTION_INFO_V1(tess_rows_sample);
PG_FUNCTION_INFO_V1(tess_value_is_wide);

/* Core's analysis of columns does not look into values above that. */
#define WIDE_BYTES 1024

/* A reservoir of rows. */
typedef struct Reservoir
{
	HeapTuple *rows;
	int capacity;
	int count;
	double seen;
	double to_skip; /* -1: to be computed */
	ReservoirStateData state;
} Reservoir;

/* Each row that has been seen is in the reservoir with equal probability. */
static void
offer(Reservoir *reservoir, TupleTableSlot *slot)
{
	if (reservoir->count < reservoir->capacity)
		reservoir->rows[reservoir->count++] = ExecCopySlotHeapTuple(slot);
	else
	{
		if (reservoir->to_skip < 0)
			reservoir->to_skip = reservoir_get_next_S(&reservoir->state,
													  reservoir->seen,
													  reservoir->capacity);
		if (reservoir->to_skip <= 0)
		{
			int place = (int) (reservoir->capacity *
							   sampler_random_fract(&reservoir->state.randstate));

			heap_freetuple(reservoir->rows[place]);
			reservoir->rows[place] = ExecCopySlotHeapTuple(slot);
		}
		reservoir->to_skip -= 1;
	}
	reservoir->seen += 1;
}

static void
sample_blocks(Relation rel, Reservoir *reservoir)
{
	TransactionId oldest_xmin = GetOldestNonRemovableTransactionId(rel);
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_VACUUM);
	TableScanDesc scan = table_beginscan_analyze(rel);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	double live_rows = 0;
	double dead_rows = 0;
	BlockSamplerData blocks;

	(void) BlockSampler_Init(&blocks, RelationGetNumberOfBlocks(rel),
							 reservoir->capacity,
							 pg_prng_uint32(&pg_global_prng_state));
	reservoir_init_selection_state(&reservoir->state, reservoir->capacity);
	while (BlockSampler_HasMore(&blocks))
	{
		CHECK_FOR_INTERRUPTS();
		if (!table_scan_analyze_next_block(scan, BlockSampler_Next(&blocks),
										   strategy))
			continue;
		while (table_scan_analyze_next_tuple(scan, oldest_xmin, &live_rows,
											 &dead_rows, slot))
			offer(reservoir, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	FreeAccessStrategy(strategy);
}

/* The table whose row type the first argument has. */
static Relation
open_table(Oid type)
{
	Oid relation = OidIsValid(type) ? typeOrDomainTypeRelid(type) : InvalidOid;

	if (!OidIsValid(relation) || get_rel_relkind(relation) != RELKIND_RELATION)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("type %s is not the row type of a table",
							   format_type_be(type)),
						errhint("Use NULL::schema.table.")));
	if (!pg_class_ownercheck(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relation));
	return table_open(relation, AccessShareLock);
}

/* tessera_internal.sample_rows(relation, rows): at most that many rows of the
 * table of which the first argument is a (NULL) row. */
Datum
tess_rows_sample(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *output = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation rel = open_table(get_fn_expr_argtype(fcinfo->flinfo, 0));
	Reservoir reservoir = {0};

	if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the number of rows must be positive")));
	InitMaterializedSRF(fcinfo, 0);
	reservoir.capacity = PG_GETARG_INT32(1);
	reservoir.to_skip = -1;
	reservoir.rows = palloc_extended(sizeof(HeapTuple) * reservoir.capacity,
									 MCXT_ALLOC_HUGE);
	sample_blocks(rel, &reservoir);
	for (int i = 0; i < reservoir.count; i++)
		tuplestore_puttuple(output->setResult, reservoir.rows[i]);
	table_close(rel, NoLock);
	PG_RETURN_NULL();
}

/* tessera_internal.is_wide(value): by its length as it would be in memory, of
 * which a value that is compressed or stored out of line knows without being
 * read.  For columns of variable length. */
Datum
tess_value_is_wide(PG_FUNCTION_ARGS)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);

	if (get_typlen(type) != -1)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(toast_raw_datum_size(PG_GETARG_DATUM(0)) > WIDE_BYTES);
}
