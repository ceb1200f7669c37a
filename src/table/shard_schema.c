/*
 * shard_schema.c - the schemas that shards live in, on the server that holds
 * them.
 *
 * A shard schema belongs to the owner of the extension, so that no user can
 * put functions or operators there that others would run; roles that create
 * tables through Tessera may create in it.  Its comment marks it as ours: a
 * user's schema that happens to have the name is never touched.
 *
 * Nodes offer these acts as SQL functions to everyone.  They are safe for
 * anyone to call, because they give away nothing that the caller could not do
 * to the source schema and its tables anyway.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/dbcommands.h"
#include "commands/schemacmds.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "table/table_internal.h"

static char *shard_schema_comment(const char *schema, int64 shard_id);
static bool is_shard_schema(Oid namespace, const char *schema, int64 shard_id);
static void create_one(const char *name, const char *schema, int64 shard_id,
					   Oid owner);
static List *usage_roles(Oid namespace, bool with_owner);
static List *creating_roles(Oid source, Oid caller);
static bool all_may_create(List *roles, Oid namespace);
static void copy_usage(Oid source, Oid namespace, const char *name);
static List *role_specs(List *roles);
static RoleSpec *role_spec(Oid role);
static void grant_on_schemas(bool is_grant, List *schemas, List *privileges,
							 List *grantees);
static Oid lock_table_to_drop(const char *name, Oid namespace, Oid source,
							  bool as_caller);
static void drop_if_ours(const char *schema, int64 shard_id,
						 ObjectAddresses *objects);
static int64 *shard_ids_of_array(ArrayType *array, int *count);

PG_FUNCTION_INFO_V1(tess_shard_schema_create);
PG_FUNCTION_INFO_V1(tess_shard_schema_rename);
PG_FUNCTION_INFO_V1(tess_shard_drop);

/* SQL: tessera_internal.create_shard_schemas(text, bigint[]) */
Datum
tess_shard_schema_create(PG_FUNCTION_ARGS)
{
	char *schema = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int count;
	int64 *shard_ids = shard_ids_of_array(PG_GETARG_ARRAYTYPE_P(1), &count);

	PreventCommandIfReadOnly("create_shard_schemas()");
	tess_shard_schemas_create(schema, count, shard_ids);
	PG_RETURN_VOID();
}

/* SQL: tessera_internal.rename_shard_schemas(text, text, bigint[]) */
Datum
tess_shard_schema_rename(PG_FUNCTION_ARGS)
{
	char *old_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *new_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int count;
	int64 *shard_ids = shard_ids_of_array(PG_GETARG_ARRAYTYPE_P(2), &count);

	PreventCommandIfReadOnly("rename_shard_schemas()");
	tess_shard_schemas_rename(old_name, new_name, count, shard_ids);
	PG_RETURN_VOID();
}

/* SQL: tessera_internal.drop_shards(text, text, bigint[], boolean) */
Datum
tess_shard_drop(PG_FUNCTION_ARGS)
{
	char *schema = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int count;
	int64 *shard_ids = shard_ids_of_array(PG_GETARG_ARRAYTYPE_P(2), &count);

	PreventCommandIfReadOnly("drop_shards()");
	tess_shards_drop(schema, name, count, shard_ids, PG_GETARG_BOOL(3), true);
	PG_RETURN_VOID();
}

static int64 *
shard_ids_of_array(ArrayType *array, int *count)
{
	Datum *elements;
	bool *nulls;
	int64 *shard_ids;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elements, &nulls, count);
	shard_ids = palloc(sizeof(int64) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("shard id must not be null"),
					 errhint("This function is called by Tessera itself.")));
		shard_ids[i] = DatumGetInt64(elements[i]);
	}
	return shard_ids;
}

/*
 * Makes the schemas of these shards where they are missing.  Who may use the
 * source schema may use them (which is seen to again where they are there);
 * the current user may create tables in them.
 * Errors: 3F000 if there is no source schema here, 42501 if the current user
 * may not create in it, 42P06 if a name is taken.
 */
void
tess_shard_schemas_create(const char *schema, int count, const int64 *shard_ids)
{
	Oid source = get_namespace_oid(schema, false);
	Oid caller = GetUserId();
	Oid owner = tess_extension_owner();
	List *created = NIL;
	List *creators = creating_roles(source, caller);
	List *to_grant = NIL;
	Oid saved_user;
	int saved_context;

	if (pg_namespace_aclcheck(source, caller, ACL_CREATE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for schema %s", schema),
				 errhint("Shards of its tables need CREATE on schema \"%s\".",
						 schema)));

	GetUserIdAndSecContext(&saved_user, &saved_context);
	SetUserIdAndSecContext(owner, saved_context | SECURITY_LOCAL_USERID_CHANGE);
	for (int i = 0; i < count; i++)
	{
		char *name = tess_shard_schema_name(schema, shard_ids[i]);
		Oid namespace = get_namespace_oid(name, true);

		if (!OidIsValid(namespace))
		{
			create_one(name, schema, shard_ids[i], owner);
			created = lappend(created, makeString(name));
			to_grant = lappend(to_grant, makeString(name));
		}
		else if (!is_shard_schema(namespace, schema, shard_ids[i]))
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_SCHEMA),
							errmsg("schema \"%s\" already exists", name),
							errdetail("A shard of schema \"%s\" needs that name.",
									  schema),
							errhint("Rename the schema that has it.")));
		else
		{
			copy_usage(source, namespace, name);
			if (!all_may_create(creators, namespace))
				to_grant = lappend(to_grant, makeString(name));
		}
	}
	if (created != NIL)
	{
		CommandCounterIncrement();
		grant_on_schemas(true, created, list_make1("usage"),
						 role_specs(usage_roles(source, true)));
	}
	creators = list_delete_oid(creators, owner);
	if (to_grant != NIL && creators != NIL)
		grant_on_schemas(true, to_grant, list_make2("usage", "create"),
						 role_specs(creators));
	SetUserIdAndSecContext(saved_user, saved_context);
}

/*
 * Those of these shards that are there get a name after the source schema's new
 * one, which that may have by now or not.  Errors: 42501 if the current user
 * does not own it, 42P06 if a name is taken.
 */
void
tess_shard_schemas_rename(const char *old_name, const char *new_name, int count,
						  const int64 *shard_ids)
{
	Oid source = get_namespace_oid(old_name, true);
	Oid saved_user;
	int saved_context;

	if (!OidIsValid(source))
		source = get_namespace_oid(new_name, false);
	if (!pg_namespace_ownercheck(source, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_SCHEMA, old_name);

	GetUserIdAndSecContext(&saved_user, &saved_context);
	SetUserIdAndSecContext(tess_extension_owner(),
						   saved_context | SECURITY_LOCAL_USERID_CHANGE);
	for (int i = 0; i < count; i++)
	{
		char *name = tess_shard_schema_name(old_name, shard_ids[i]);
		Oid namespace = get_namespace_oid(name, true);

		if (!OidIsValid(namespace) ||
			!is_shard_schema(namespace, old_name, shard_ids[i]))
			continue;
		(void) RenameSchema(name, tess_shard_schema_name(new_name, shard_ids[i]));
		CreateComments(namespace, NamespaceRelationId, 0,
					   shard_schema_comment(new_name, shard_ids[i]));
	}
	SetUserIdAndSecContext(saved_user, saved_context);
	CommandCounterIncrement();
}

/* See table.h.  No lock of core's: DROP SCHEMA takes that before it gets to the
 * tables. */
void
tess_schema_lock(Oid namespace, LOCKMODE mode)
{
	LockDatabaseObject(NamespaceRelationId, namespace, 1, mode);
}

/* What marks a schema as the home of a shard. */
static char *
shard_schema_comment(const char *schema, int64 shard_id)
{
	return psprintf("tessera: shard " INT64_FORMAT " of schema %s", shard_id,
					quote_identifier(schema));
}

static bool
is_shard_schema(Oid namespace, const char *schema, int64 shard_id)
{
	char *comment = GetComment(namespace, NamespaceRelationId, 0);

	return comment != NULL &&
		   strcmp(comment, shard_schema_comment(schema, shard_id)) == 0 &&
		   pg_namespace_ownercheck(namespace, tess_extension_owner());
}

static void
create_one(const char *name, const char *schema, int64 shard_id, Oid owner)
{
	Oid namespace = NamespaceCreate(name, owner, false);

	CreateComments(namespace, NamespaceRelationId, 0,
				   shard_schema_comment(schema, shard_id));
}

/* Roles (OID list, ACL_ID_PUBLIC for all) that may use a schema; with_owner
 * says whether its owner is one of them. */
static List *
usage_roles(Oid namespace, bool with_owner)
{
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(namespace));
	List *roles = NIL;
	Form_pg_namespace form;
	Datum value;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", namespace);
	form = (Form_pg_namespace) GETSTRUCT(tuple);
	if (with_owner)
		roles = lappend_oid(roles, form->nspowner);
	value = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl,
							&isnull);
	if (!isnull)
	{
		Acl *acl = DatumGetAclPCopy(value);
		AclItem *items = ACL_DAT(acl);

		for (int i = 0; i < ACL_NUM(acl); i++)
		{
			if ((ACLITEM_GET_PRIVS(items[i]) & ACL_USAGE) != 0 &&
				items[i].ai_grantee != form->nspowner)
				roles = list_append_unique_oid(roles, items[i].ai_grantee);
		}
	}
	ReleaseSysCache(tuple);
	return roles;
}

/* The caller, and those roles that he may give a table of the schema to. */
static List *
creating_roles(Oid source, Oid caller)
{
	List *roles = list_make1_oid(caller);
	ListCell *lc;

	foreach(lc, usage_roles(source, true))
	{
		Oid role = lfirst_oid(lc);

		if (role != ACL_ID_PUBLIC && role != caller &&
			is_member_of_role_nosuper(caller, role) &&
			pg_namespace_aclcheck(source, role, ACL_CREATE) == ACLCHECK_OK)
			roles = lappend_oid(roles, role);
	}
	return roles;
}

static bool
all_may_create(List *roles, Oid namespace)
{
	ListCell *lc;

	foreach(lc, roles)
	{
		if (pg_namespace_aclcheck(namespace, lfirst_oid(lc), ACL_CREATE) !=
			ACLCHECK_OK)
			return false;
	}
	return true;
}

/*
 * Lets those use the schema of a shard who may use the source schema.  Who has
 * created tables there may do so by other ways than a grant of his own.
 */
static void
copy_usage(Oid source, Oid namespace, const char *name)
{
	List *wanted = usage_roles(source, true);
	List *now = usage_roles(namespace, false);
	List *missing = list_difference_oid(wanted, usage_roles(namespace, true));
	List *surplus = NIL;
	ListCell *lc;

	foreach(lc, list_difference_oid(now, wanted))
	{
		Oid role = lfirst_oid(lc);

		if (role == ACL_ID_PUBLIC ||
			pg_namespace_aclcheck(namespace, role, ACL_CREATE) != ACLCHECK_OK ||
			pg_namespace_aclcheck(source, role, ACL_USAGE) != ACLCHECK_OK)
			surplus = lappend_oid(surplus, role);
	}
	if (missing != NIL)
		grant_on_schemas(true, list_make1(makeString(pstrdup(name))),
						 list_make1("usage"), role_specs(missing));
	if (surplus != NIL)
		grant_on_schemas(false, list_make1(makeString(pstrdup(name))),
						 list_make2("usage", "create"), role_specs(surplus));
}

static List *
role_specs(List *roles)
{
	List *specs = NIL;
	ListCell *lc;

	foreach(lc, roles)
		specs = lappend(specs, role_spec(lfirst_oid(lc)));
	return specs;
}

static RoleSpec *
role_spec(Oid role)
{
	RoleSpec *spec = makeNode(RoleSpec);

	spec->location = -1;
	if (role == ACL_ID_PUBLIC)
		spec->roletype = ROLESPEC_PUBLIC;
	else
	{
		spec->roletype = ROLESPEC_CSTRING;
		spec->rolename = GetUserNameFromId(role, false);
	}
	return spec;
}

/* privileges: list of char * */
static void
grant_on_schemas(bool is_grant, List *schemas, List *privileges, List *grantees)
{
	GrantStmt *grant = makeNode(GrantStmt);
	ListCell *lc;

	grant->is_grant = is_grant;
	grant->targtype = ACL_TARGET_OBJECT;
	grant->objtype = OBJECT_SCHEMA;
	grant->objects = schemas;
	foreach(lc, privileges)
	{
		AccessPriv *privilege = makeNode(AccessPriv);

		privilege->priv_name = lfirst(lc);
		grant->privileges = lappend(grant->privileges, privilege);
	}
	grant->grantees = grantees;
	grant->behavior = DROP_RESTRICT;
	ExecuteGrantStmt(grant);
	CommandCounterIncrement();
}

/*
 * Drops a table in these shards (count 0: the table of that very schema, a
 * copy of a reference table), with what depends on it, and then the schemas
 * of the shards if wanted and nothing is left in them.  What is not there, or
 * not in a shard's schema, is left out.  as_caller: only if the current user
 * owns the table or the source schema (42501 otherwise), who could drop the
 * original as well.
 */
void
tess_shards_drop(const char *schema, const char *name, int count,
				 const int64 *shard_ids, bool drop_schemas, bool as_caller)
{
	Oid source = get_namespace_oid(schema, true);
	ObjectAddresses *tables = new_object_addresses();

	for (int i = 0; i < Max(count, 1); i++)
	{
		Oid holder = source;
		ObjectAddress address;
		Oid relation;

		if (count > 0)
			holder = get_namespace_oid(tess_shard_schema_name(schema,
															  shard_ids[i]),
									   true);
		if (!OidIsValid(holder) ||
			(count > 0 && !is_shard_schema(holder, schema, shard_ids[i])))
			continue;
		relation = lock_table_to_drop(name, holder, source, as_caller);
		if (!OidIsValid(relation))
			continue;
		ObjectAddressSet(address, RelationRelationId, relation);
		add_exact_object_address(&address, tables);
	}
	performMultipleDeletions(tables, DROP_CASCADE, PERFORM_DELETION_QUIETLY);
	free_object_addresses(tables);
	CommandCounterIncrement();

	if (drop_schemas && count > 0)
	{
		ObjectAddresses *schemas = new_object_addresses();

		for (int i = 0; i < count; i++)
			drop_if_ours(schema, shard_ids[i], schemas);
		performMultipleDeletions(schemas, DROP_RESTRICT,
								 PERFORM_DELETION_QUIETLY);
		free_object_addresses(schemas);
		CommandCounterIncrement();
	}
}

/*
 * The table of that name, locked, or InvalidOid if there is none.  Nobody
 * locks what he may not drop: rights are looked at first, and again if the
 * name means another table after the wait.
 */
static Oid
lock_table_to_drop(const char *name, Oid namespace, Oid source, bool as_caller)
{
	for (;;)
	{
		Oid relation = get_relname_relid(name, namespace);

		if (!OidIsValid(relation) ||
			(get_rel_relkind(relation) != RELKIND_RELATION &&
			 get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE))
			return InvalidOid;
		if (as_caller && !pg_class_ownercheck(relation, GetUserId()) &&
			!(OidIsValid(source) && pg_namespace_ownercheck(source, GetUserId())))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
		/* PostgreSQL wants the partitioned table as well, and first */
		if (get_rel_relispartition(relation))
			LockRelationOid(get_partition_parent(relation, true),
							AccessExclusiveLock);
		LockRelationOid(relation, AccessExclusiveLock);
		if (get_relname_relid(name, namespace) == relation)
			return relation;
		UnlockRelationOid(relation, AccessExclusiveLock);
	}
}

static bool
may_go(Oid namespace, const char *schema, int64 shard_id)
{
	return is_shard_schema(namespace, schema, shard_id) &&
		   !tess_is_depended_on(NamespaceRelationId, namespace);
}

static void
drop_if_ours(const char *schema, int64 shard_id, ObjectAddresses *objects)
{
	char *name = tess_shard_schema_name(schema, shard_id);
	Oid namespace = get_namespace_oid(name, true);
	ObjectAddress address;

	/* Before the lock, too: nobody is to wait for a schema that stays. */
	if (!OidIsValid(namespace) || !may_go(namespace, schema, shard_id))
		return;
	LockDatabaseObject(NamespaceRelationId, namespace, 0, AccessExclusiveLock);
	if (get_namespace_oid(name, true) != namespace ||
		!may_go(namespace, schema, shard_id))
		return;
	ObjectAddressSet(address, NamespaceRelationId, namespace);
	add_exact_object_address(&address, objects);
}
