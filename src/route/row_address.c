/*
 * row_address.c - ctids of a distributed table: a shard's own, and those that
 * the coordinator shows, which have the shard in them.
 *
 * Shards number their rows each for itself.  So that no two rows of a table
 * have the same ctid, the one that leaves a shard is made another one: heaps
 * use few of the line pointers that a ctid can name, so those above stand for
 * other shards; and where there are more shards than that, blocks that a shard
 * of ordinary size does not reach.  Within a shard the order stays.  Addresses
 * that do not fit are an error, never another row's.
 */
#include "postgres.h"

#include "route/route.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "storage/off.h"

/* So many shards may have a ctid with the same block. */
#define SHARDS_PER_BLOCK ((PG_UINT16_MAX + 1) / MaxOffsetNumber)

/* How many blocks of each shard there is room for. */
static uint32
blocks_of_shard(int shard_count)
{
	uint32 runs = (shard_count - 1) / SHARDS_PER_BLOCK + 1;

	return (uint32) ((UINT64CONST(0x100000000) - 1) / runs);
}

/* The ctid of a row of a shard as the coordinator has it.  Errors with 54000
 * if there is none. */
void
tess_ctid_widen(int shard_count, int shard_index, const ItemPointerData *own,
				ItemPointer wide)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(own);
	uint32 offset = ItemPointerGetOffsetNumberNoCheck(own);
	uint32 room = blocks_of_shard(shard_count);

	offset += (shard_index % SHARDS_PER_BLOCK) * MaxOffsetNumber;
	if (block >= room || offset > PG_UINT16_MAX ||
		!OffsetNumberIsValid(ItemPointerGetOffsetNumberNoCheck(own)))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row (%u,%u) of a shard cannot be named by a ctid here",
						block, ItemPointerGetOffsetNumberNoCheck(own)),
				 errdetail("With %d shards a ctid can name %u blocks of each.",
						   shard_count, room),
				 errhint("Name rows by their key.")));
	ItemPointerSet(wide, block + (shard_index / SHARDS_PER_BLOCK) * room,
				   (OffsetNumber) offset);
}

/* The shard that such a ctid is of, and the row's ctid there; -1: no row can
 * have it. */
int
tess_ctid_narrow(int shard_count, const ItemPointerData *wide, ItemPointer own)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(wide);
	uint32 offset = ItemPointerGetOffsetNumberNoCheck(wide);
	uint32 room = blocks_of_shard(shard_count);
	int shard_index;

	if (offset == InvalidOffsetNumber)
		return -1;
	shard_index = block / room * SHARDS_PER_BLOCK +
				  (offset - 1) / MaxOffsetNumber;
	if (shard_index >= shard_count)
		return -1;
	ItemPointerSet(own, block % room, (offset - 1) % MaxOffsetNumber + 1);
	return shard_index;
}
