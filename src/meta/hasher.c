/*
 * hasher.c - which types may be keys, and by which function they are hashed.
 *
 * The hash of a key must be the same on every server and after a restore.
 * OIDs are not: an enum is hashed by its label, and types that hide OIDs
 * deeper are refused.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "base/base.h"
#include "meta/meta.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/*
 * The first type at or below this one whose hash depends on OIDs of one
 * server, InvalidOid if there is none.
 */
static Oid
find_oid_dependent(Oid type)
{
	Oid base = getBaseType(type);
	Oid inner;

	check_stack_depth();
	if (tess_type_names_objects(base) || base == ACLITEMOID || type_is_enum(base))
		return base;
	inner = get_element_type(base);
	if (OidIsValid(inner))
		return find_oid_dependent(inner);
	if (type_is_range(base))
		return find_oid_dependent(get_range_subtype(base));
	if (type_is_multirange(base))
		return find_oid_dependent(get_multirange_range(base));
	if (get_typtype(base) == TYPTYPE_COMPOSITE)
	{
		TupleDesc desc = lookup_rowtype_tupdesc_copy(base, -1);

		for (int i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute column = TupleDescAttr(desc, i);

			if (column->attisdropped)
				continue;
			inner = find_oid_dependent(column->atttypid);
			if (OidIsValid(inner))
				return inner;
		}
		FreeTupleDesc(desc);
	}
	return InvalidOid;
}

bool
tess_meta_hasher_init(TessHasher *hasher, Oid type, Oid collation,
					  MemoryContext context, const char **reason)
{
	Oid base = getBaseType(type);
	TypeCacheEntry *entry;
	Oid dependent;

	memset(hasher, 0, sizeof(TessHasher));
	hasher->type = base;
	hasher->collation = collation;

	entry = lookup_type_cache(base,
							  TYPECACHE_HASH_OPFAMILY | TYPECACHE_HASH_PROC);
	if (!OidIsValid(entry->hash_opf) || !OidIsValid(entry->hash_proc))
	{
		*reason = psprintf("Values of type %s cannot be hashed.",
						   format_type_be(type));
		return false;
	}
	hasher->opfamily = entry->hash_opf;

	if (type_is_enum(base))
	{
		hasher->by_label = true;
		return true;
	}
	dependent = find_oid_dependent(base);
	if (OidIsValid(dependent))
	{
		*reason = psprintf("Values of type %s hash differently on each server, because they hold OIDs.",
						   format_type_be(dependent));
		return false;
	}
	fmgr_info_cxt(entry->hash_proc, &hasher->hash, context);
	return true;
}
