/*
 * conflicts.c - INSERT ... ON CONFLICT DO UPDATE must not change a row twice.
 *
 * PostgreSQL refuses that within a statement; here the rows of one statement
 * may reach a shard in several.  So the values that conflicts are about are
 * remembered, as hashes, with the number of the batch they went into; the same
 * values in another batch are the error that the node would have raised.
 * Within a batch the node sees to it.
 *
 * Too strict in one case: where the first of the two rows found the WHERE of
 * its DO UPDATE false.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

typedef struct SeenValues
{
	uint64 hash;
	int64 batch;
} SeenValues;

struct TessConflicts
{
	int count;
	int *positions;
	FmgrInfo **hashers;
	Oid *collations;
	MemoryContext context;
	SeenValues first; /* of the first row; most statements have no other */
	bool has_first;
	HTAB *seen; /* SeenValues; NULL until there are two rows */
};

/* For a statement that may conflict, in the current context; NULL if it cannot
 * change a row twice, or not be checked. */
TessConflicts *
tess_conflicts_make(const TessWrite *write, Oid relation)
{
	int count = list_length(write->conflict_positions);
	TessConflicts *conflicts;
	ListCell *cell;

	if (count == 0)
		return NULL;
	conflicts = palloc0(sizeof(TessConflicts));
	conflicts->context = CurrentMemoryContext;
	conflicts->positions = palloc(count * sizeof(int));
	conflicts->hashers = palloc(count * sizeof(FmgrInfo *));
	conflicts->collations = palloc(count * sizeof(Oid));
	foreach(cell, write->conflict_positions)
	{
		int position = lfirst_int(cell);
		TypeCacheEntry *type;
		Oid type_oid;
		int32 typmod;
		int i = conflicts->count++;

		get_atttypetypmodcoll(relation, list_nth_int(write->columns, position),
							  &type_oid, &typmod, &conflicts->collations[i]);
		type = lookup_type_cache(type_oid, TYPECACHE_HASH_EXTENDED_PROC_FINFO);
		if (!OidIsValid(type->hash_extended_proc))
			return NULL;
		conflicts->positions[i] = position;
		conflicts->hashers[i] = &type->hash_extended_proc_finfo;
	}
	return conflicts;
}

/* PostgreSQL's error. */
void
tess_conflicts_raise(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("ON CONFLICT DO UPDATE command cannot affect row a second time"),
			 errhint(
				 "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")));
}

static void
remember(TessConflicts *conflicts, const SeenValues *values)
{
	SeenValues *entry;
	bool found;

	entry = hash_search(conflicts->seen, &values->hash, HASH_ENTER, &found);
	if (!found)
		entry->batch = values->batch;
	else if (entry->batch != values->batch)
		tess_conflicts_raise();
}

/* The hash of what conflicts are about in a row; false if that has a NULL, so
 * that no other row can conflict with it. */
bool
tess_conflicts_hash(const TessConflicts *conflicts, const Datum *values,
					const bool *nulls, uint64 *hash)
{
	*hash = 0;
	for (int i = 0; i < conflicts->count; i++)
	{
		int position = conflicts->positions[i];

		if (nulls[position])
			return false;
		*hash = DatumGetUInt64(
			FunctionCall2Coll(conflicts->hashers[i], conflicts->collations[i],
							  values[position], UInt64GetDatum(*hash)));
	}
	return true;
}

/* A row is added to a batch: errors with 21000 if a row with these values went
 * into another one. */
void
tess_conflicts_add(TessConflicts *conflicts, int64 batch, const Datum *values,
				   const bool *nulls)
{
	SeenValues row = {0, batch};

	if (!tess_conflicts_hash(conflicts, values, nulls, &row.hash))
		return;
	if (!conflicts->has_first)
	{
		conflicts->first = row;
		conflicts->has_first = true;
		return;
	}
	if (conflicts->seen == NULL)
	{
		HASHCTL control = {0};

		control.keysize = sizeof(uint64);
		control.entrysize = sizeof(SeenValues);
		control.hcxt = conflicts->context;
		conflicts->seen = hash_create("tessera rows inserted", 256, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		remember(conflicts, &conflicts->first);
	}
	remember(conflicts, &row);
}
