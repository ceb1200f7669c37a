/*
 * key_of_shard.c - tessera_internal.is_key_of_shard(): the CHECK that keeps the
 * triggers of a shard from giving its rows keys of other shards.
 *
 * Nobody would find such a row.  A CHECK comes after all triggers that can
 * change the row, whatever their names, and on all ways that rows are written.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "meta/meta.h"
#include "route/route.h"

PG_FUNCTION_INFO_V1(tess_key_is_of_shard);

/* Kept for the expression, which has one type and one shard. */
static const TessGroup *
group_of(FunctionCallInfo fcinfo, Oid type)
{
	FmgrInfo *info = fcinfo->flinfo;

	if (info->fn_extra == NULL)
	{
		char *shard = text_to_cstring(PG_GETARG_TEXT_PP(1));
		MemoryContext old_context = MemoryContextSwitchTo(info->fn_mcxt);

		info->fn_extra = unconstify(TessGroup *,
									tess_shard_call_group(tess_shard_call_read(
															  shard),
														  type,
														  PG_GET_COLLATION()));
		MemoryContextSwitchTo(old_context);
	}
	return info->fn_extra;
}

/* tessera_internal.is_key_of_shard(key, shard): true, or an error. */
Datum
tess_key_is_of_shard(PG_FUNCTION_ARGS)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	bool isnull = PG_ARGISNULL(0);

	if (PG_ARGISNULL(1) || !OidIsValid(type))
		PG_RETURN_NULL();
	if (tess_route_value(group_of(fcinfo, type),
						 isnull ? (Datum) 0 : PG_GETARG_DATUM(0), isnull,
						 type) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("the row's distribution key belongs to another shard"),
				 errdetail(
					 "A trigger has given the row another key than it was sent to this shard with."),
				 errhint("Triggers cannot change the distribution key.")));
	PG_RETURN_BOOL(true);
}
