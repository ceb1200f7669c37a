/*
 * shard_of.c - in which shard the rows with a key are.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "monitor/monitor_internal.h"
#include "route/route.h"
#include "tessera.h"

PG_FUNCTION_INFO_V1(tess_shard_of);

static const TessTable *
distributed_table(Oid relation)
{
	const TessTable *table = tess_meta_table(relation);
	char *name = DatumGetCString(
		DirectFunctionCall1(regclassout, ObjectIdGetDatum(relation)));

	if (table == NULL)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("relation %s is not a distributed table", name),
						errhint("See the view tessera.tables.")));
	if (table->kind != TESS_DISTRIBUTED)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("relation %s has no shards", name),
						errhint("A reference table is whole on every node.")));
	return table;
}

/* The value as one of the key's own type, by way of its text: what implicit
 * casts do to these types, and what a literal means. */
static Datum
read_as_key(const TessTable *table, Datum value, Oid type)
{
	Oid output;
	Oid input;
	Oid io_param;
	bool is_varlena;
	MemoryContext context = CurrentMemoryContext;
	char *hint;
	Datum key = 0;

	if (type != TEXTOID &&
		!can_coerce_type(1, &type, &table->key_type, COERCION_IMPLICIT))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key has type %s, but the distribution key has type %s",
						format_type_be(type), format_type_be(table->key_type)),
				 errhint("Cast the value to %s.",
						 format_type_be(table->key_type))));
	getTypeOutputInfo(type, &output, &is_varlena);
	getTypeInputInfo(table->key_type, &input, &io_param);
	hint = psprintf(_("Give a value of type %s, as the distribution key has."),
					format_type_with_typemod(table->key_type, table->key_typmod));
	PG_TRY();
	{
		key = OidInputFunctionCall(input, OidOutputFunctionCall(output, value),
								   io_param, table->key_typmod);
	}
	PG_CATCH();
	{
		tess_error_raise_again(context, hint);
	}
	PG_END_TRY();
	return key;
}

/* tessera.shard_of(relation, key): key NULL has a shard, too.
 * Errors: 42P01 (of a name), 42809, 42804, 22004, and those of reading a key. */
Datum
tess_shard_of(PG_FUNCTION_ARGS)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, 1);
	bool is_null = PG_ARGISNULL(1);
	const TessTable *table;
	const TessShard *shard;
	Datum key;
	TupleDesc desc;
	Datum values[3];
	bool nulls[3] = {false};
	NameData node_name;

	table = distributed_table(tess_argument_relation(fcinfo, 0));
	key = is_null ? (Datum) 0 : PG_GETARG_DATUM(1);
	if (is_null ||
		!tess_route_type_is_compatible(&table->group->hasher, getBaseType(type)))
	{
		if (!is_null)
			key = read_as_key(table, key, type);
		type = table->key_type;
	}

	shard = &table->group->shards[tess_route_value(table->group, key, is_null,
												   getBaseType(type))];
	namestrcpy(&node_name, tess_meta_node(shard->node_ids[0])->name);
	values[0] = Int64GetDatum(shard->shard_id);
	values[1] = NameGetDatum(&node_name);
	values[2] = CStringGetTextDatum(
		tess_meta_shard_relation(table, shard->shard_id));

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "shard_of returns no row type");
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
