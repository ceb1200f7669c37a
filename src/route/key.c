/*
 * key.c - from a key value to its hash, and from a hash to its shard.
 *
 * Invariant: values that an operator of the key's hash family calls equal have
 * the same hash here, whatever their types.  Everything that prunes, routes or
 * keeps a join inside a shard rests on that.
 */
#include "postgres.h"

#include "access/hash.h"
#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "route/route.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#define OTHER_HASH_COUNT 16

/* Hash functions of types that are not the key's own, but of its family. */
typedef struct OtherHash
{
	Oid opfamily;
	Oid type;
	FmgrInfo hash;
} OtherHash;

static struct
{
	int count;
	int next; /* the slot that is given up next */
	OtherHash entries[OTHER_HASH_COUNT];
} others;

/* Types whose operators take values of many types and trust their headers. */
static bool
is_any_type(Oid type)
{
	return IsPolymorphicType(type) || type == RECORDOID;
}

/* The family's hash function for values of a type, InvalidOid if none. */
static Oid
hash_function(Oid opfamily, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(getBaseType(type),
											  TYPECACHE_HASH_OPFAMILY);

	if (entry->hash_opf != opfamily || is_any_type(entry->hash_opintype))
		return InvalidOid;
	return get_opfamily_proc(opfamily, entry->hash_opintype,
							 entry->hash_opintype, HASHSTANDARD_PROC);
}

static bool
is_deterministic(Oid collation)
{
	return !OidIsValid(collation) || get_collation_isdeterministic(collation);
}

bool
tess_route_type_is_compatible(const TessHasher *hasher, Oid other_type)
{
	Oid function;

	if (getBaseType(other_type) == hasher->type)
		return true;
	if (hasher->by_label)
		return false;
	function = hash_function(hasher->opfamily, other_type);
	if (!OidIsValid(function))
		return false;

	/* name and text hash alike only where text is compared by its bytes. */
	return function == hasher->hash.fn_oid || is_deterministic(hasher->collation);
}

static FmgrInfo *
find_other_hash(const TessHasher *hasher, Oid type)
{
	OtherHash *entry;
	Oid function;

	for (int i = 0; i < others.count; i++)
		if (others.entries[i].type == type &&
			others.entries[i].opfamily == hasher->opfamily)
			return &others.entries[i].hash;

	function = hash_function(hasher->opfamily, type);
	if (!OidIsValid(function))
		elog(ERROR, "values of type %u cannot be routed", type);

	entry = &others.entries[others.next];
	entry->type = InvalidOid; /* not valid, should the next line fail */
	fmgr_info_cxt(function, &entry->hash, CacheMemoryContext);
	entry->opfamily = hasher->opfamily;
	entry->type = type;
	others.count = Max(others.count, others.next + 1);
	others.next = (others.next + 1) % OTHER_HASH_COUNT;
	return &entry->hash;
}

static int32
hash_label(Datum value)
{
	char *label = DatumGetCString(DirectFunctionCall1(enum_out, value));
	uint32 hash = hash_bytes((unsigned char *) label, strlen(label));

	pfree(label);
	return (int32) hash;
}

/* The 32-bit hash of a value of the key's type or a compatible one. */
static int32
hash_of(const TessHasher *hasher, Datum value, Oid value_type)
{
	FmgrInfo *hash = unconstify(FmgrInfo *, &hasher->hash);

	if (hasher->by_label)
		return hash_label(value);
	if (value_type != hasher->type && getBaseType(value_type) != hasher->type)
		hash = find_other_hash(hasher, value_type);
	return DatumGetInt32(FunctionCall1Coll(hash, hasher->collation, value));
}

static int
shard_of_hash(const TessGroup *group, int32 hash)
{
	int low = 0;
	int high = group->range_count - 1;

	/* The last range whose lower bound is not above the hash. */
	while (low < high)
	{
		int middle = low + (high - low + 1) / 2;

		if (group->ranges[middle].lower <= hash)
			low = middle;
		else
			high = middle - 1;
	}
	return group->ranges[low].shard_index;
}

int
tess_route_value(const TessGroup *group, Datum value, bool isnull, Oid value_type)
{
	if (isnull)
		return shard_of_hash(group, 0);
	return shard_of_hash(group, hash_of(&group->hasher, value, value_type));
}

/* Does the side of an operator that takes the key see it as it is hashed? */
static bool
side_takes_key(const TessHasher *hasher, Oid side_type)
{
	if (is_any_type(side_type))
		return true;
	return !hasher->by_label &&
		   hash_function(hasher->opfamily, side_type) == hasher->hash.fn_oid;
}

bool
tess_route_is_key_equality(const TessTable *table, Oid opno, Oid inputcollid,
						   bool left_is_key, Oid *other_type)
{
	const TessHasher *hasher;
	Oid left;
	Oid right;

	if (table->group == NULL)
		return false;
	hasher = &table->group->hasher;
	if (get_op_opfamily_strategy(opno, hasher->opfamily) != HTEqualStrategyNumber ||
		!op_strict(opno))
		return false;

	op_input_types(opno, &left, &right);
	if (!side_takes_key(hasher, left_is_key ? left : right))
		return false;
	*other_type = left_is_key ? right : left;
	/* Such operators compare values of one type only: the key's. */
	if (is_any_type(*other_type))
		*other_type = hasher->type;
	else if (!tess_route_type_is_compatible(hasher, *other_type))
		return false;

	if (!OidIsValid(hasher->collation) || inputcollid == hasher->collation)
		return true;
	return OidIsValid(inputcollid) && is_deterministic(inputcollid) &&
		   is_deterministic(hasher->collation);
}
