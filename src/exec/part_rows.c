/*
 * part_rows.c - parts of one statement (WITH) that insert into one table, where
 * some may update what they conflict with.
 *
 * Of each row the values that conflicts are about are remembered, as a hash, with
 * the part that writes it.  A part that may update rows does not come upon one
 * of another part: that is the error 21000.  Where it is not known whether the
 * other part has written the row (it may have found a conflict, and done
 * nothing), nobody can tell what PostgreSQL would do: 0A000.
 *
 * Rows that meet in one part are conflicts.c's and upsert.c's business.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

typedef struct PartRow
{
	uint64 hash;
	const TessModifySpec *part; /* that was the first with these values */
	bool is_sure;				/* one has written the row */
} PartRow;

struct TessPartRows
{
	TessConflicts *hasher;
	HTAB *rows; /* PartRow */
};

/* See exec_internal.h. */
TessPartRows *
tess_part_rows_make(const TessFragment *fragment)
{
	TessPartRows *rows = palloc(sizeof(TessPartRows));
	TessWrite *hashed = tess_write_make(CMD_INSERT);
	HASHCTL control = {0};

	hashed->columns = fragment->modify->part_columns;
	for (int i = 0; i < list_length(hashed->columns); i++)
		hashed->conflict_positions = lappend_int(hashed->conflict_positions, i);
	rows->hasher = tess_conflicts_make(hashed, fragment->anchor);
	if (rows->hasher == NULL)
		elog(ERROR, "values that conflicts are about cannot be hashed");
	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(PartRow);
	control.hcxt = CurrentMemoryContext;
	rows->rows = hash_create("tessera rows of parts", 256, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return rows;
}

static void
refuse_meeting(const TessFragment *fragment)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("two parts of a statement cannot insert or update the same row of table \"%s\"",
					get_rel_name(fragment->anchor)),
			 errdetail(
				 "The first one may have left the row as it was, by DO NOTHING or the WHERE of its DO UPDATE."),
			 errhint("Use one statement for each change, in one transaction.")));
}

/* See exec_internal.h. */
void
tess_part_rows_add(TessPartRows *rows, const TessFragment *fragment,
				   TupleTableSlot *slot)
{
	const TessModifySpec *part = fragment->modify;
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];
	uint64 hash;
	PartRow *row;
	bool found;
	ListCell *cell;

	foreach(cell, part->part_positions)
	{
		int i = foreach_current_index(cell);

		nulls[i] = true;
		if (lfirst_int(cell) >= 0)
			values[i] = slot_getattr(slot, lfirst_int(cell) + 1, &nulls[i]);
	}
	if (!tess_conflicts_hash(rows->hasher, values, nulls, &hash))
		return;
	row = hash_search(rows->rows, &hash, HASH_ENTER, &found);
	if (!found)
	{
		row->part = part;
		row->is_sure = false;
	}
	else if (part->part_updates && row->part != part)
	{
		if (row->is_sure)
			tess_conflicts_raise();
		refuse_meeting(fragment);
	}
	row->is_sure |= part->part_is_sure;
}
