/*
 * object_ddl.c - statements that make an object unless it is there: each is
 * one command, and may be run again.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "access/genam.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

/* A role may own a table and have no right to make what it needs there. */
static char *
do_block(const char *body)
{
	return psprintf("DO LANGUAGE plpgsql %s",
					quote_literal_cstr(
						psprintf("BEGIN %s; EXCEPTION WHEN insufficient_privilege THEN "
								 "RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, "
								 "HINT = 'What a table needs (schema, types, functions, roles) has to be made on all nodes by a role that may do so, once.'; "
								 "END",
								 body)));
}

/* EXECUTE 'sql'; */
static void
append_execute(StringInfo body, const char *sql)
{
	appendStringInfo(body, "EXECUTE %s; ", quote_literal_cstr(sql));
}

/* roles ---------------------------------------------------------------- */

static char *
role_statement(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	Form_pg_authid form;
	StringInfoData create;
	char *name;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("role with OID %u does not exist", role)));
	form = (Form_pg_authid) GETSTRUCT(tuple);
	name = pstrdup(NameStr(form->rolname));
	initStringInfo(&create);
	appendStringInfo(&create, "CREATE ROLE %s %s%s%s%s%s%s%s",
					 quote_identifier(name),
					 form->rolcanlogin ? "LOGIN" : "NOLOGIN",
					 form->rolsuper ? " SUPERUSER" : "",
					 form->rolcreatedb ? " CREATEDB" : "",
					 form->rolcreaterole ? " CREATEROLE" : "",
					 form->rolinherit ? "" : " NOINHERIT",
					 form->rolreplication ? " REPLICATION" : "",
					 form->rolbypassrls ? " BYPASSRLS" : "");
	ReleaseSysCache(tuple);

	/* roles are the server's: another database may make it at the same time */
	return do_block(
		psprintf("BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN "
				 "BEGIN EXECUTE %s; "
				 "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END; "
				 "END IF; END",
				 quote_literal_cstr(name), quote_literal_cstr(create.data)));
}

void
tess_need_role(TessNeeds *needs, Oid role)
{
	if (role < FirstNormalObjectId && role != BOOTSTRAP_SUPERUSERID)
		return;
	if (list_member_oid(needs->role_oids, role))
		return;
	needs->role_oids = lappend_oid(needs->role_oids, role);
	needs->roles = lappend(needs->roles, role_statement(role));
}

void
tess_need_grantees(TessNeeds *needs, const Acl *acl)
{
	for (int i = 0; acl != NULL && i < ACL_NUM(acl); i++)
		if (ACL_DAT(acl)[i].ai_grantee != ACL_ID_PUBLIC)
			tess_need_role(needs, ACL_DAT(acl)[i].ai_grantee);
}

/* Owner and access list of a row of a catalog. */
static Acl *
need_roles_of(TessNeeds *needs, int cache, HeapTuple tuple, Oid owner,
			  AttrNumber acl_column)
{
	bool isnull;
	Datum value = SysCacheGetAttr(cache, tuple, acl_column, &isnull);
	Acl *acl = tess_ddl_acl(value, isnull);

	tess_need_role(needs, owner);
	tess_need_grantees(needs, acl);
	return acl;
}

void
tess_need_rights_of_table(TessNeeds *needs, Relation rel)
{
	Oid relation = RelationGetRelid(rel);
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));

	(void) need_roles_of(needs, RELOID, tuple, rel->rd_rel->relowner,
						 Anum_pg_class_relacl);
	ReleaseSysCache(tuple);
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		bool isnull;
		Datum value;

		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation),
								Int16GetDatum(i + 1));
		if (!HeapTupleIsValid(tuple))
			continue;
		value = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attacl, &isnull);
		tess_need_grantees(needs, tess_ddl_acl(value, isnull));
		ReleaseSysCache(tuple);
	}
}

/* GRANT for each member of an access list; EXECUTEs in a block's body. */
static void
append_grants(StringInfo body, const Acl *acl, const char *object)
{
	for (int i = 0; acl != NULL && i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];
		AclMode grantable = ACLITEM_GET_GOPTIONS(*item);
		AclMode plain = ACLITEM_GET_PRIVS(*item) & ~grantable;

		if (plain != 0)
			append_execute(body, psprintf("GRANT %s ON %s TO %s",
										  tess_ddl_rights(plain, NULL), object,
										  tess_ddl_role(item->ai_grantee)));
		if (grantable != 0)
			append_execute(body,
						   psprintf("GRANT %s ON %s TO %s WITH GRANT OPTION",
									tess_ddl_rights(grantable, NULL), object,
									tess_ddl_role(item->ai_grantee)));
	}
}

/* schemas --------------------------------------------------------------- */

static char *
schema_statement(TessNeeds *needs, Oid schema)
{
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Form_pg_namespace form;
	StringInfoData body;
	char *name;
	Acl *acl;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA),
						errmsg("schema with OID %u does not exist", schema)));
	form = (Form_pg_namespace) GETSTRUCT(tuple);
	name = pstrdup(quote_identifier(NameStr(form->nspname)));
	acl = need_roles_of(needs, NAMESPACEOID, tuple, form->nspowner,
						Anum_pg_namespace_nspacl);

	/* the rights of one that is there already are its own server's */
	initStringInfo(&body);
	appendStringInfo(&body,
					 "BEGIN IF pg_catalog.to_regnamespace(%s) IS NULL THEN ",
					 quote_literal_cstr(name));
	append_execute(&body,
				   psprintf("CREATE SCHEMA IF NOT EXISTS %s AUTHORIZATION %s",
							name, tess_ddl_role(form->nspowner)));
	append_grants(&body, acl, psprintf("SCHEMA %s", name));
	appendStringInfoString(&body, "END IF; END");
	ReleaseSysCache(tuple);
	return do_block(body.data);
}

void
tess_need_schema(TessNeeds *needs, Oid schema)
{
	needs->statements = lappend(needs->statements,
								schema_statement(needs, schema));
}

/* types ----------------------------------------------------------------- */

void
tess_need_type(TessNeeds *needs, Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form = (Form_pg_type) GETSTRUCT(tuple);
	const char *name = format_type_be_qualified(type);
	const char *definition = tess_type_definition(type);
	StringInfoData body;

	tess_need_role(needs, form->typowner);
	initStringInfo(&body);
	appendStringInfo(&body,
					 "DECLARE found text := tessera_internal.type_definition(pg_catalog.to_regtype(%s)); "
					 "BEGIN IF found IS NULL THEN ",
					 quote_literal_cstr(name));
	append_execute(&body, definition);
	append_execute(&body,
				   psprintf("ALTER %s %s OWNER TO %s",
							form->typtype == TYPTYPE_DOMAIN ? "DOMAIN" : "TYPE",
							name, tess_ddl_role(form->typowner)));
	appendStringInfo(&body,
					 "ELSIF found <> %s THEN "
					 "RAISE EXCEPTION USING ERRCODE = '42710', MESSAGE = %s, "
					 "DETAIL = 'It is: ' || found, "
					 "HINT = 'Drop or change the type there, so that it is the same on all servers.'; "
					 "END IF; END",
					 quote_literal_cstr(definition),
					 quote_literal_cstr(
						 psprintf("type %s already exists with another definition",
								  name)));
	ReleaseSysCache(tuple);
	needs->statements = lappend(needs->statements, do_block(body.data));
}

/* collations, extensions, functions -------------------------------------- */

char *
tess_collation_definition(Oid collation)
{
	HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form = (Form_pg_collation) GETSTRUCT(tuple);
	StringInfoData sql;
	static const struct
	{
		AttrNumber column;
		const char *option;
	} options[] = {{Anum_pg_collation_collcollate, "LC_COLLATE"},
				   {Anum_pg_collation_collctype, "LC_CTYPE"},
				   {Anum_pg_collation_colliculocale, "LOCALE"}};

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE COLLATION IF NOT EXISTS %s (PROVIDER = %s, DETERMINISTIC = %s",
					 tess_quote_qualified(get_namespace_name(form->collnamespace),
										  NameStr(form->collname)),
					 form->collprovider == COLLPROVIDER_ICU ? "icu" : "libc",
					 form->collisdeterministic ? "true" : "false");
	for (int i = 0; i < lengthof(options); i++)
	{
		bool isnull;
		Datum value = SysCacheGetAttr(COLLOID, tuple, options[i].column, &isnull);

		if (!isnull)
			appendStringInfo(&sql, ", %s = %s", options[i].option,
							 quote_literal_cstr(TextDatumGetCString(value)));
	}
	appendStringInfoChar(&sql, ')');
	ReleaseSysCache(tuple);
	return sql.data;
}

void
tess_need_collation(TessNeeds *needs, Oid collation)
{
	needs->statements = lappend(needs->statements,
								tess_collation_definition(collation));
}

char *
tess_extension_version(Oid extension, Oid *schema)
{
	Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	char *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum value = heap_getattr(tuple, Anum_pg_extension_extversion,
								   RelationGetDescr(catalog), &isnull);

		version = TextDatumGetCString(value);
		*schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return version;
}

void
tess_need_extension(TessNeeds *needs, Oid extension)
{
	Oid schema;
	const char *version = tess_extension_version(extension, &schema);

	if (version == NULL)
		return;
	needs->statements = lappend(needs->statements,
								psprintf("CREATE EXTENSION IF NOT EXISTS %s SCHEMA %s VERSION %s",
										 quote_identifier(
											 get_extension_name(extension)),
										 quote_identifier(
											 get_namespace_name(schema)),
										 quote_literal_cstr(version)));
}

void
tess_need_function(TessNeeds *needs, Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	const char *name = format_procedure_qualified(function);
	char *definition;
	StringInfoData body;
	Acl *acl;

	if (form->prokind != PROKIND_FUNCTION && form->prokind != PROKIND_WINDOW)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s, which the table needs, cannot be created on other servers",
						name),
				 errhint(
					 "Put it into an extension that is available on all nodes.")));

	definition = TextDatumGetCString(
		DirectFunctionCall1(pg_get_functiondef, ObjectIdGetDatum(function)));
	acl = need_roles_of(needs, PROCOID, tuple, form->proowner,
						Anum_pg_proc_proacl);

	initStringInfo(&body);
	appendStringInfo(&body,
					 "DECLARE known pg_catalog.regprocedure := pg_catalog.to_regprocedure(%s); "
					 "BEGIN IF pg_catalog.pg_get_functiondef(known) IS DISTINCT FROM %s THEN "
					 "PERFORM pg_catalog.set_config('check_function_bodies', 'off', true); ",
					 quote_literal_cstr(name), quote_literal_cstr(definition));
	append_execute(&body, definition);
	/* SECURITY DEFINER must not come to mean our role */
	append_execute(&body, psprintf("ALTER FUNCTION %s OWNER TO %s", name,
								   tess_ddl_role(form->proowner)));
	if (acl != NULL)
	{
		append_execute(&body,
					   psprintf("REVOKE ALL ON FUNCTION %s FROM PUBLIC", name));
		append_grants(&body, acl, psprintf("FUNCTION %s", name));
	}
	appendStringInfoString(&body, "END IF; END");
	ReleaseSysCache(tuple);
	needs->statements = lappend(needs->statements, do_block(body.data));
}
