/*
 * seen_rows.c - which rows of the target a statement has come to already.
 *
 * A row is named by its shard, its partition there, and its ctid.
 */
#include "postgres.h"

#include "utils/hsearch.h"

#include "exec/exec_internal.h"

/* Rows that were there already, as bits of 64 row numbers. */
typedef struct SeenKey
{
	int32 shard_index;
	Oid partition;
	BlockNumber block;
	uint32 chunk; /* offset / 64 */
} SeenKey;

typedef struct SeenRows
{
	SeenKey key;
	uint64 offsets;
} SeenRows;

/* True if this row of a shard was found before.  *seen: NULL at first; made in
 * the given context. */
bool
tess_row_is_seen(HTAB **seen, MemoryContext context, int shard_index,
				 Oid partition, ItemPointer ctid)
{
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(ctid);
	uint64 bit = UINT64CONST(1) << (offset % 64);
	SeenKey key;
	SeenRows *entry;
	bool found;

	if (*seen == NULL)
	{
		HASHCTL control = {0};

		control.keysize = sizeof(SeenKey);
		control.entrysize = sizeof(SeenRows);
		control.hcxt = context;
		*seen = hash_create("tessera rows found", 256, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	key.shard_index = shard_index;
	key.partition = partition;
	key.block = ItemPointerGetBlockNumberNoCheck(ctid);
	key.chunk = offset / 64;
	entry = hash_search(*seen, &key, HASH_ENTER, &found);
	if (!found)
		entry->offsets = 0;
	else if (entry->offsets & bit)
		return true;
	entry->offsets |= bit;
	return false;
}
