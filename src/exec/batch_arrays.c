/*
 * batch_arrays.c - rows of an INSERT for one shard of a node as parameters: one
 * array a column, in place of VALUES with a parameter for each value.
 *
 * So the text is the same for any number of rows: it is short, the node has it
 * prepared, and plans nothing.  Only for columns of built-in types that travel
 * in binary: elements of others have OIDs that nodes do not know, and arrays of
 * arrays cannot be taken apart into rows.
 */
#include "postgres.h"

#include "exec/batch_internal.h"
#include "libpq/pqformat.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"

/* What the head of an INSERT ends with. */
#define VALUES_KEYWORD "VALUES "

/* The array type that values of a type go in; InvalidOid: they cannot. */
static Oid
array_type_of(Oid type)
{
	Oid base = getBaseType(type);

	if (base >= FirstGenbkiObjectId || !tess_types_travel_binary(1, &base))
		return InvalidOid;
	return get_array_type(base);
}

static bool
ends_with_values(const List *head)
{
	const char *last = IsA(llast(head), String) ? strVal(llast(head)) : "";
	Size length = strlen(last);

	return length >= strlen(VALUES_KEYWORD) &&
		   strcmp(last + length - strlen(VALUES_KEYWORD), VALUES_KEYWORD) == 0;
}

/* The types of the statement's parameters; NULL: there is no such statement. */
static Oid *
make_types(const TessBatches *batches)
{
	int tail = batches->args->count;
	Oid *types;

	if (batches->write->command != CMD_INSERT || batches->column_count == 0 ||
		!ends_with_values(batches->write->head))
		return NULL;
	types = MemoryContextAlloc(batches->context,
							   (tail + batches->column_count) * sizeof(Oid));
	for (int i = 0; i < tail; i++)
		types[i] = batches->tail_params.types[i];
	for (int i = 0; i < batches->column_count; i++)
	{
		types[tail + i] = array_type_of(batches->types[i]);
		if (!OidIsValid(types[tail + i]))
			return NULL;
	}
	return types;
}

/* True if the rows go as arrays: those of one alone do not. */
bool
tess_batch_is_arrays(const Batch *batch)
{
	TessBatches *batches = batch->batches;

	if (batch->rows < 2 || tess_batch_goes_here(batch))
		return false;
	if (!batches->knows_array_types)
		batches->array_types = make_types(batches);
	batches->knows_array_types = true;
	return batches->array_types != NULL;
}

/* INSERT INTO ... SELECT * FROM unnest($1, ...) ... (unnest of several arrays
 * goes by this name alone; nodes' sessions look into pg_catalog first.) */
char *
tess_batch_arrays_sql(const Batch *batch)
{
	const TessBatches *batches = batch->batches;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, tess_template_sql(batches->write->head,
												   batch->shard_id));
	sql.len -= strlen(VALUES_KEYWORD);
	for (int i = 1; i <= batches->column_count; i++)
		appendStringInfo(&sql, "%s$%d", i == 1 ? "SELECT * FROM unnest(" : ", ",
						 batches->args->count + i);
	appendStringInfoChar(&sql, ')');
	appendStringInfoString(&sql, tess_template_sql(batches->write->tail,
												   batch->shard_id));
	return sql.data;
}

/* The values of a column in the binary form of an array. */
static char *
column_array(const Batch *batch, int column, Oid element, int *length)
{
	int count = batch->batches->column_count;
	bool has_null = false;
	StringInfoData bytes;

	initStringInfo(&bytes);
	pq_sendint32(&bytes, 1); /* dimensions */
	pq_sendint32(&bytes, 0); /* NULLs: see below */
	pq_sendint32(&bytes, element);
	pq_sendint32(&bytes, batch->rows);
	pq_sendint32(&bytes, 1); /* the first index */
	for (int i = column; i < batch->rows * count; i += count)
	{
		if (batch->wire_values[i] == NULL)
		{
			pq_sendint32(&bytes, -1);
			has_null = true;
			continue;
		}
		Assert(batch->wire_formats[i] == 1);
		pq_sendint32(&bytes, batch->wire_lengths[i]);
		appendBinaryStringInfo(&bytes, batch->wire_values[i],
							   batch->wire_lengths[i]);
	}
	if (has_null)
		bytes.data[7] = 1;
	*length = bytes.len;
	return bytes.data;
}

/* The parameters of that statement.  In the current context. */
TessParams *
tess_batch_arrays_params(const Batch *batch)
{
	const TessBatches *batches = batch->batches;
	const TessParams *tail = &batches->tail_params;
	TessBatchParams own = tess_batch_params_begin(tail, batches->column_count);

	for (int i = 0; i < batches->column_count; i++)
	{
		own.values[i] = column_array(batch, i, getBaseType(batches->types[i]),
									 &own.lengths[i]);
		own.formats[i] = 1;
	}
	own.params->types = batches->array_types;
	return own.params;
}
