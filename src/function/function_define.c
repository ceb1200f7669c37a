/*
 * function_define.c - a function becomes a distributed one, and an ordinary one
 * again.
 *
 * With a key it gets copies in the shards of a colocation group; without, it goes
 * to all nodes, for the bodies of others to call.  In one transaction everywhere.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "function/function_internal.h"
#include "meta/meta.h"
#include "objects/objects.h"
#include "route/route.h"

PG_FUNCTION_INFO_V1(tess_function_distribute);
PG_FUNCTION_INFO_V1(tess_function_undistribute);

/* The function ------------------------------------------------------------------ */

static bool
argument_is_text(FunctionCallInfo fcinfo, int argument)
{
	Oid *types;
	int count;

	(void) get_func_signature(fcinfo->flinfo->fn_oid, &types, &count);
	return types[argument] == TEXTOID;
}

/* With types it is read as regprocedure has it, without as regproc. */
static Oid
find_function(char *name)
{
	MemoryContext context = CurrentMemoryContext;
	Oid function = InvalidOid;

	PG_TRY();
	{
		function = DatumGetObjectId(
			DirectFunctionCall1(strchr(name, '(') ? regprocedurein : regprocin,
								CStringGetDatum(name)));
	}
	PG_CATCH();
	{
		tess_error_raise_again(context,
							   _("Write it with the types of its arguments, as in pay(int, numeric)."));
	}
	PG_END_TRY();
	return function;
}

static Oid
argument_function(FunctionCallInfo fcinfo)
{
	tess_argument_refuse_null(fcinfo, 0, "f", _("Give the name of a function."));
	if (argument_is_text(fcinfo, 0))
		return find_function(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	return PG_GETARG_OID(0);
}

static void
refuse(Oid function, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s cannot be distributed", format_procedure(function)),
			 errdetail_internal("%s", detail), errhint("%s", hint)));
}

/* The function's tuple, to be released; only its owner may distribute it. */
static HeapTuple
open_function(Oid function)
{
	HeapTuple tuple;

	LockDatabaseObject(ProcedureRelationId, function, 0,
					   ShareUpdateExclusiveLock);
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("function with OID %u does not exist", function),
						errhint("Give it by its name and types.")));
	if (!pg_proc_ownercheck(function, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION,
					   get_func_name(function));
	return tuple;
}

static void
check_kind(HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

	if (form->prokind != PROKIND_FUNCTION && form->prokind != PROKIND_PROCEDURE)
		refuse(form->oid, _("It is an aggregate or window function."),
			   _("Aggregates run on the nodes by themselves where that is exact."));
	if (form->prorettype == TRIGGEROID || form->prorettype == EVENT_TRIGGEROID)
		refuse(form->oid, _("It is a trigger function."),
			   _("Nobody calls it by name."));
	if (form->prolang == INTERNALlanguageId || form->prolang == ClanguageId)
		refuse(form->oid, _("It is written in C."),
			   _("Wrap it into a function in SQL or PL/pgSQL."));
	if (OidIsValid(getExtensionOfObject(ProcedureRelationId, form->oid)))
		refuse(form->oid, _("It belongs to an extension."),
			   _("Wrap it into a function of your own."));
	if (isAnyTempNamespace(form->pronamespace))
		refuse(form->oid, _("It is temporary."),
			   _("Create it in another schema."));
}

/* A body that was parsed here is bound to the tables of this server. */
static void
check_body(HeapTuple tuple)
{
	if (!heap_attisnull(tuple, Anum_pg_proc_prosqlbody, NULL))
		refuse(((Form_pg_proc) GETSTRUCT(tuple))->oid,
			   _("Its body (BEGIN ATOMIC, or RETURN) is bound to tables of this server."),
			   _("Write the body as a string: AS $$ ... $$."));
}

/* The key ----------------------------------------------------------------------- */

typedef struct Arguments
{
	int count; /* of a call: IN, INOUT and VARIADIC */
	Oid *types;
	char **names; /* "" without one */
} Arguments;

static Arguments
call_arguments(HeapTuple tuple)
{
	Arguments arguments = {0};
	Oid *types;
	char **names;
	char *modes;
	int count = get_func_arg_info(tuple, &types, &names, &modes);

	arguments.types = palloc(sizeof(Oid) * Max(count, 1));
	arguments.names = palloc(sizeof(char *) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		if (modes != NULL &&
			(modes[i] == PROARGMODE_OUT || modes[i] == PROARGMODE_TABLE))
			continue;
		arguments.types[arguments.count] = types[i];
		arguments.names[arguments.count++] = names != NULL ? names[i] : "";
	}
	return arguments;
}

/* By name, or by number: 2 or $2.  From 1 on. */
static int
find_argument(Oid function, const Arguments *arguments, const char *key)
{
	const char *digits = key[0] == '$' ? key + 1 : key;

	for (int i = 0; i < arguments->count; i++)
		if (strcmp(arguments->names[i], key) == 0)
			return i + 1;
	if (digits[0] != '\0' && strlen(digits) < 4 &&
		strspn(digits, "0123456789") == strlen(digits) && atoi(digits) >= 1 &&
		atoi(digits) <= arguments->count)
		return atoi(digits);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_PARAMETER),
			 errmsg("%s has no argument \"%s\"", format_procedure(function), key),
			 errhint(
				 "Give the name of an argument, or its number among those of a call, as in '$1'.")));
}

/* A distributed table whose shards are to run a function with a key of the type:
 * the one that is named, or any of the only default group. */
static const TessTable *
find_table(Oid named, Oid key_type)
{
	const TessTable *found = NULL;
	ListCell *cell;

	if (OidIsValid(named))
	{
		found = tess_meta_table(named);
		if (found == NULL || found->kind != TESS_DISTRIBUTED)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("table \"%s\" is not distributed",
							get_rel_name(named) ? get_rel_name(named) : "?"),
					 errhint("Use tessera.create_distributed_table() first.")));
		return found;
	}
	foreach(cell, tess_cat_tables())
	{
		const TessTableRow *row = lfirst(cell);
		const TessTable *table;

		if (row->kind != TESS_DISTRIBUTED ||
			!tess_cat_group(row->colocation_id)->is_default)
			continue;
		table = tess_meta_table(row->relation);
		if (table == NULL || table->group->hasher.type != getBaseType(key_type) ||
			(found != NULL && found->group == table->group))
			continue;
		if (found != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
					 errmsg("there are several colocation groups with a key of type %s",
							format_type_be(key_type)),
					 errhint("Name a table of the group as colocate_with.")));
		found = table;
	}
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no colocation group with a key of type %s",
						format_type_be(key_type)),
				 errhint("Name a distributed table as colocate_with.")));
	return found;
}

static void
check_key_type(const TessTable *table, Oid type)
{
	if (!IsPolymorphicType(type) && get_typtype(type) != TYPTYPE_PSEUDO &&
		tess_route_type_is_compatible(&table->group->hasher, type))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("the key argument has type %s, but the distribution key of table \"%s\" has type %s",
					format_type_be(type), table->name,
					format_type_be(table->key_type)),
			 errhint("Give the argument the type of the distribution key.")));
}

/* The search_path of the body --------------------------------------------------- */

/* SET search_path of the function itself. */
static bool
own_search_path(HeapTuple tuple, List **names)
{
	char *path = tess_function_search_path(tuple);

	return path != NULL && SplitIdentifierString(path, ',', names);
}

/* See function_internal.h. */
void
tess_function_set_path(TessFunctionRow *row)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(row->function));
	bool followed = !row->sets_path && row->search_path != NIL;
	List *own = NIL;
	ListCell *cell;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", row->function);
	row->sets_path = own_search_path(tuple, &own);
	ReleaseSysCache(tuple);
	if (row->sets_path || followed)
	{
		row->search_path = row->sets_path ? own : row->search_path;
		return;
	}
	row->search_path = NIL;
	foreach(cell, fetch_search_path(false))
		row->search_path = lappend(row->search_path,
								   get_namespace_name(lfirst_oid(cell)));
}

/* A table of the group that the body would not find by its name. */
void
tess_function_check_hidden(const TessFunctionRow *row)
{
	List *schemas = NIL;
	ListCell *cell;

	foreach(cell, row->search_path)
	{
		Oid schema = get_namespace_oid(lfirst(cell), true);

		if (OidIsValid(schema))
			schemas = lappend_oid(schemas, schema);
	}
	foreach(cell, tess_cat_tables_of_group(row->colocation_id))
	{
		char *name = get_rel_name(lfirst_oid(cell));
		ListCell *schema;

		/* it would not find it anyway */
		if (!list_member_oid(schemas, get_rel_namespace(lfirst_oid(cell))))
			continue;
		foreach(schema, schemas)
		{
			Oid found = get_relname_relid(name, lfirst_oid(schema));

			if (!OidIsValid(found))
				continue;
			if (tess_meta_table(found) == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("local table %s hides a distributed table from the function",
								tess_relation_qualified_name(found)),
						 errdetail(
							 "On a node the name would be that of the shard's table."),
						 errhint(
							 "Rename it, or choose another search_path for the function.")));
			break;
		}
	}
}

/* SQL --------------------------------------------------------------------------- */

static Oid
argument_table(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(2))
		return InvalidOid;
	if (argument_is_text(fcinfo, 2))
		return tess_relation_by_name(text_to_cstring(PG_GETARG_TEXT_PP(2)),
									 AccessShareLock, NULL);
	return PG_GETARG_OID(2);
}

static void
distribute_by_key(TessFunctionRow *row, HeapTuple tuple, const char *key,
				  Oid colocate_with)
{
	Arguments arguments = call_arguments(tuple);
	const TessTable *table;
	Oid type;

	check_body(tuple);
	row->key_argument = find_argument(row->function, &arguments, key);
	type = arguments.types[row->key_argument - 1];
	table = find_table(colocate_with, type);
	check_key_type(table, type);
	row->colocation_id = table->group->colocation_id;
	tess_function_lock(row->colocation_id);
	tess_function_set_path(row);
	tess_function_check_hidden(row);
	tess_function_describe(row);
	tess_function_copy(row);
}

static void
distribute_everywhere(TessFunctionRow *row, bool is_colocated)
{
	ObjectAddress address;

	if (is_colocated)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("colocate_with needs a key_argument"),
						errhint("Name the argument that tells the shard.")));
	tess_function_lock(0);
	tess_function_describe(row);
	ObjectAddressSet(address, ProcedureRelationId, row->function);
	tess_objects_bring(&address);
}

/* SQL: tessera.create_distributed_function() */
Datum
tess_function_distribute(PG_FUNCTION_ARGS)
{
	TessFunctionRow row = {0};
	HeapTuple tuple;
	Oid colocate_with;

	PreventCommandIfReadOnly("create_distributed_function()");
	row.function = argument_function(fcinfo);
	colocate_with = argument_table(fcinfo);
	tuple = open_function(row.function);
	check_kind(tuple);
	if (tess_cat_function(row.function) != NULL)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("%s is distributed already",
							   format_procedure(row.function)),
						errhint("Use tessera.undistribute_function() first.")));
	if (PG_ARGISNULL(1))
		distribute_everywhere(&row, OidIsValid(colocate_with));
	else
		distribute_by_key(&row, tuple, text_to_cstring(PG_GETARG_TEXT_PP(1)),
						  colocate_with);
	tess_cat_function_set(&row);
	ReleaseSysCache(tuple);
	PG_RETURN_VOID();
}

/* SQL: tessera.undistribute_function().  What all nodes hold stays there. */
Datum
tess_function_undistribute(PG_FUNCTION_ARGS)
{
	TessFunctionRow *row;
	Oid function;

	PreventCommandIfReadOnly("undistribute_function()");
	function = argument_function(fcinfo);
	ReleaseSysCache(open_function(function));
	row = tess_cat_function(function);
	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s is not distributed", format_procedure(function)),
				 errhint(
					 "The view tessera.functions lists distributed functions.")));
	if (tess_function_is_of_triggers(row))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("triggers of distributed tables call %s",
							   format_procedure(function)),
						errhint("It stays in the shards as long as they do.")));
	tess_function_lock(row->colocation_id);
	if (row->key_argument > 0)
		tess_function_drop_copies(row);
	tess_cat_function_delete(function, row->colocation_id);
	PG_RETURN_VOID();
}
