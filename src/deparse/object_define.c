/*
 * object_define.c - an object that is no table's: its names, its definition,
 * and the commands that make it equal on a node, or drop it there.
 *
 * Coordinator and node write definitions with the same code, so that equal
 * texts mean equal objects: what it is made of, its owner, who may use it,
 * its comment.  Names are those of pg_identify_object(), which a dump keeps.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

PG_FUNCTION_INFO_V1(tess_object_show_definition);

/* What is known of a kind of objects. */
typedef struct Kind
{
	Oid class;
	const char *type; /* of pg_identify_object() */
	const char *word; /* in DDL */
	const char *acl;  /* where a node has its access list, or NULL */
} Kind;

#define PROC_ACL \
	"SELECT proacl FROM pg_catalog.pg_proc WHERE oid = %s::pg_catalog.regprocedure"

/* Aggregates and procedures are functions in all that is said of them. */
static const Kind kinds[] = {
	{ProcedureRelationId, "function", "ROUTINE", PROC_ACL},
	{ProcedureRelationId, "aggregate", "ROUTINE", PROC_ACL},
	{ProcedureRelationId, "procedure", "ROUTINE", PROC_ACL},
	{TypeRelationId, "type", "TYPE",
	 "SELECT typacl FROM pg_catalog.pg_type WHERE oid = %s::pg_catalog.regtype"},
	{NamespaceRelationId, "schema", "SCHEMA",
	 "SELECT nspacl FROM pg_catalog.pg_namespace WHERE oid = %s::pg_catalog.regnamespace"},
	{OperatorRelationId, "operator", "OPERATOR", NULL},
	{OperatorClassRelationId, "operator class", "OPERATOR CLASS", NULL},
	{OperatorFamilyRelationId, "operator family", "OPERATOR FAMILY", NULL},
	{CollationRelationId, "collation", "COLLATION", NULL},
	{CastRelationId, "cast", "CAST", NULL},
};

static const Kind *
kind_of(const char *type)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].type, type) == 0)
			return &kinds[i];
	return NULL;
}

/* names ------------------------------------------------------------------ */

TessObject *
tess_object_identify(Oid class, Oid object)
{
	TessObject *result = palloc0(sizeof(TessObject));
	int settings = tess_settings_pin();
	bool is_there;

	ObjectAddressSet(result->address, class, object);
	result->row.type = getObjectTypeDescription(&result->address, true);
	result->row.identity = getObjectIdentityParts(&result->address,
												  &result->row.names,
												  &result->row.args, true);
	AtEOXact_GUC(true, settings);
	is_there = result->row.type != NULL && result->row.identity != NULL &&
			   kind_of(result->row.type) != NULL;
	return is_there ? result : NULL;
}

static List *
strings_to_names(List *strings)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, strings)
		names = lappend(names, makeString(pstrdup(lfirst(cell))));
	return names;
}

static ObjectWithArgs *
name_with_args(const TessObjectRow *row)
{
	ObjectWithArgs *name = makeNode(ObjectWithArgs);
	ListCell *cell;

	name->objname = strings_to_names(row->names);
	foreach(cell, row->args)
		name->objargs = lappend(name->objargs,
								typeStringToTypeName(lfirst(cell)));
	/* an operator without a left side */
	if (strcmp(row->type, "operator") == 0 && list_length(name->objargs) == 1)
		name->objargs = lcons(NULL, name->objargs);
	return name;
}

ObjectAddress
tess_object_find(const TessObjectRow *row)
{
	const Kind *kind = kind_of(row->type);
	ObjectType type = kind ? read_objtype_from_string(row->type) : OBJECT_TABLE;
	ObjectAddress address = InvalidObjectAddress;
	Relation relation = NULL;
	Node *name;
	Oid user;
	int context;

	if (kind == NULL || row->names == NIL)
		return address;
	switch (type)
	{
		case OBJECT_FUNCTION:
		case OBJECT_AGGREGATE:
		case OBJECT_PROCEDURE:
		case OBJECT_OPERATOR:
			name = (Node *) name_with_args(row);
			break;
		case OBJECT_TYPE:
			name = (Node *) typeStringToTypeName(linitial(row->names));
			break;
		case OBJECT_CAST:
			if (row->args == NIL)
				return address;
			name = (Node *) list_make2(typeStringToTypeName(linitial(row->names)),
									   typeStringToTypeName(linitial(row->args)));
			break;
		case OBJECT_SCHEMA:
			name = (Node *) makeString(linitial(row->names));
			break;
		default:
			name = (Node *) strings_to_names(row->names);
	}

	/* rows name objects of schemas that the user may not look into */
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	address = get_object_address(type, name, &relation, AccessShareLock, true);
	SetUserIdAndSecContext(user, context);
	return address;
}

/* definition -------------------------------------------------------------- */

static void
add(TessObject *object, char *statement)
{
	object->statements = lappend(object->statements, statement);
}

static char *
create_statement(const ObjectAddress *address)
{
	Oid object = address->objectId;

	switch (address->classId)
	{
		case ProcedureRelationId:
			if (get_func_prokind(object) == PROKIND_AGGREGATE)
				return tess_aggregate_definition(object);
			return TextDatumGetCString(
				DirectFunctionCall1(pg_get_functiondef, ObjectIdGetDatum(object)));
		case TypeRelationId:
			return tess_type_definition(object);
		case NamespaceRelationId:
			return psprintf("CREATE SCHEMA IF NOT EXISTS %s",
							quote_identifier(get_namespace_name(object)));
		case OperatorRelationId:
			return tess_operator_definition(object);
		case OperatorClassRelationId:
			return tess_operator_class_definition(object);
		case OperatorFamilyRelationId:
			return tess_operator_family_definition(object);
		case CollationRelationId:
			return tess_collation_definition(object);
		default:
			return tess_cast_definition(object);
	}
}

/* REVOKE and GRANT, in the order of the list, so that the list there becomes
 * the same. */
static void
add_rights(TessObject *object, TessNeeds *needs, const Acl *acl, Oid owner)
{
	const char *name = psprintf("%s %s", kind_of(object->row.type)->word,
								object->row.identity);

	tess_need_grantees(needs, acl);
	add(object, psprintf("REVOKE ALL ON %s FROM PUBLIC, %s", name,
						 tess_ddl_role(owner)));
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];
		AclMode grantable = ACLITEM_GET_GOPTIONS(*item);
		AclMode plain = ACLITEM_GET_PRIVS(*item) & ~grantable;
		const char *role = tess_ddl_role(item->ai_grantee);

		if (plain != 0)
			add(object, psprintf("GRANT %s ON %s TO %s",
								 tess_ddl_rights(plain, NULL), name, role));
		if (grantable != 0)
			add(object, psprintf("GRANT %s ON %s TO %s WITH GRANT OPTION",
								 tess_ddl_rights(grantable, NULL), name, role));
	}
}

/* Owner and rights, by core's own description of the catalogs. */
static void
add_owner(TessObject *object, TessNeeds *needs)
{
	Oid class = object->address.classId;
	AttrNumber owner_column = get_object_attnum_owner(class);
	AttrNumber acl_column = get_object_attnum_acl(class);
	Relation catalog;
	HeapTuple tuple;
	bool isnull;
	Datum value;
	Oid owner;
	Acl *acl;

	if (owner_column == InvalidAttrNumber)
		return;
	catalog = table_open(class, AccessShareLock);
	tuple = get_catalog_object_by_oid(catalog, get_object_attnum_oid(class),
									  object->address.objectId);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "object %u of catalog %u is gone", object->address.objectId,
			 class);
	owner = DatumGetObjectId(
		heap_getattr(tuple, owner_column, RelationGetDescr(catalog), &isnull));
	tess_need_role(needs, owner);
	add(object, psprintf("%s OWNER TO %s", tess_object_alter_sql(&object->row),
						 tess_ddl_role(owner)));
	if (acl_column != InvalidAttrNumber)
	{
		value = heap_getattr(tuple, acl_column, RelationGetDescr(catalog),
							 &isnull);
		acl = tess_ddl_acl(value, isnull);
		if (acl != NULL)
			add_rights(object, needs, acl, owner);
	}
	table_close(catalog, AccessShareLock);
}

static void
add_comment(TessObject *object)
{
	const char *comment = GetComment(object->address.objectId,
									 object->address.classId, 0);

	add(object, psprintf("COMMENT ON %s %s IS %s",
						 kind_of(object->row.type)->word, object->row.identity,
						 comment ? quote_literal_cstr(comment) : "NULL"));
}

/* An order of texts that the C library or ICU knows may be another there. */
static const char *
collation_version(Oid collation)
{
	HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	char provider = ((Form_pg_collation) GETSTRUCT(tuple))->collprovider;
	bool isnull;
	Datum locale = SysCacheGetAttr(COLLOID, tuple,
								   provider == COLLPROVIDER_ICU
									   ? Anum_pg_collation_colliculocale
									   : Anum_pg_collation_collcollate,
								   &isnull);
	const char *version = isnull
							  ? NULL
							  : get_collation_actual_version(provider,
															 TextDatumGetCString(
																 locale));

	ReleaseSysCache(tuple);
	return version ? version : "none";
}

static char *
digest_of(const char *text)
{
	bytea *digest = DatumGetByteaPP(
		DirectFunctionCall1(sha256_bytea, CStringGetTextDatum(text)));
	int length = VARSIZE_ANY_EXHDR(digest);
	char *hex = palloc(2 * length + 1);

	hex[hex_encode(VARDATA_ANY(digest), length, hex)] = '\0';
	return hex;
}

void
tess_object_define(TessObject *object)
{
	TessNeeds needs = {0};
	int settings = tess_settings_pin();
	StringInfoData text;
	ListCell *cell;

	object->statements = NIL;
	add(object, create_statement(&object->address));
	add_owner(object, &needs);
	add_comment(object);

	initStringInfo(&text);
	foreach(cell, object->statements)
		appendStringInfo(&text, "%s;\n", (char *) lfirst(cell));
	if (object->address.classId == CollationRelationId)
		appendStringInfo(&text, "version %s\n",
						 collation_version(object->address.objectId));
	object->definition = text.data;
	object->row.digest = digest_of(text.data);
	object->roles = needs.roles;
	AtEOXact_GUC(true, settings);
}

/* commands ---------------------------------------------------------------- */

char *
tess_object_alter_sql(const TessObjectRow *row)
{
	return psprintf("ALTER %s %s", kind_of(row->type)->word, row->identity);
}

/* "ARRAY['a', 'b']::pg_catalog.text[]" */
static char *
array_literal(List *strings)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfoString(&text, "ARRAY[");
	foreach(cell, strings)
		appendStringInfo(&text, "%s%s",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 quote_literal_cstr(lfirst(cell)));
	appendStringInfoString(&text, "]::pg_catalog.text[]");
	return text.data;
}

char *
tess_object_definition_sql(const TessObjectRow *row)
{
	return psprintf("tessera_internal.object_definition(%s, %s, %s)",
					quote_literal_cstr(row->type), array_literal(row->names),
					array_literal(row->args));
}

/* Rights that have been taken away here are in no GRANT. */
static void
append_revokes(StringInfo body, const TessObjectRow *row)
{
	const Kind *kind = kind_of(row->type);

	if (kind->acl == NULL)
		return;
	appendStringInfoString(body,
						   "FOR grantee IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' "
						   "ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END "
						   "FROM pg_catalog.aclexplode((");
	appendStringInfo(body, kind->acl, quote_literal_cstr(row->identity));
	appendStringInfo(body,
					 ")) a LOOP EXECUTE 'REVOKE ALL ON %s ' || %s || ' FROM ' || grantee || ' CASCADE'; END LOOP; ",
					 kind->word, quote_literal_cstr(row->identity));
}

char *
tess_object_create_sql(const TessObject *object, bool replace)
{
	const TessObjectRow *row = &object->row;
	const char *wanted = quote_literal_cstr(object->definition);
	bool is_schema = object->address.classId == NamespaceRelationId;
	bool creates_again = is_schema ||
						 object->address.classId == ProcedureRelationId;
	StringInfoData body;
	ListCell *cell;

	initStringInfo(&body);
	appendStringInfo(&body,
					 "DECLARE found text := %s; grantee text; BEGIN IF found IS NULL%s THEN "
					 "PERFORM pg_catalog.set_config('check_function_bodies', 'off', true); ",
					 tess_object_definition_sql(row),
					 replace ? psprintf(" OR found <> %s", wanted) : "");
	foreach(cell, object->statements)
	{
		bool is_first = foreach_current_index(cell) == 0;

		appendStringInfo(&body,
						 is_first && !creates_again
							 ? "IF found IS NULL THEN EXECUTE %s; END IF; "
							 : "EXECUTE %s; ",
						 quote_literal_cstr(lfirst(cell)));
		if (replace && is_first)
			append_revokes(&body, row);
	}
	if (!is_schema)
		appendStringInfo(&body, "found := %s; ", tess_object_definition_sql(row));
	appendStringInfoString(&body, "END IF; ");
	if (!is_schema)
		appendStringInfo(&body,
						 "IF found IS DISTINCT FROM %s THEN "
						 "RAISE EXCEPTION USING ERRCODE = '42710', MESSAGE = %s, "
						 "DETAIL = 'It is: ' || found, "
						 "HINT = 'Drop or change it there, so that it is the same on all servers.'; "
						 "END IF; ",
						 wanted,
						 quote_literal_cstr(
							 psprintf("%s %s already exists with another definition",
									  row->type, row->identity)));
	appendStringInfoString(&body, "END");
	return psprintf("DO LANGUAGE plpgsql %s", quote_literal_cstr(body.data));
}

char *
tess_object_drop_sql(const TessObjectRow *row)
{
	const char *drop = psprintf("DROP %s IF EXISTS %s",
								kind_of(row->type)->word, row->identity);
	const char *kept = psprintf("%s %s is kept on this node", row->type,
								row->identity);
	const char *warning = psprintf("RAISE WARNING USING MESSAGE = %s, DETAIL = SQLERRM",
								   quote_literal_cstr(kept));

	/* a schema in which somebody has made something there stays, and no wonder */
	if (strcmp(row->type, "schema") == 0)
		warning = "NULL";
	return psprintf("DO LANGUAGE plpgsql %s",
					quote_literal_cstr(
						psprintf("BEGIN EXECUTE %s; EXCEPTION WHEN dependent_objects_still_exist THEN %s; END",
								 quote_literal_cstr(drop), warning)));
}

void
tess_need_defined(TessNeeds *needs, Oid class, Oid object)
{
	TessObject *defined = tess_object_identify(class, object);

	if (defined == NULL)
		elog(ERROR, "object %u of catalog %u cannot be described", object, class);
	tess_object_define(defined);
	needs->roles = list_concat(needs->roles, defined->roles);
	needs->statements = lappend(needs->statements,
								tess_object_create_sql(defined, false));
}

static List *
array_argument(Datum array)
{
	List *strings = NIL;
	Datum *texts;
	bool *nulls;
	int count;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &texts, &nulls, &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			strings = lappend(strings, TextDatumGetCString(texts[i]));
	return strings;
}

/* object_definition(type, names, args): NULL if there is no such object. */
Datum
tess_object_show_definition(PG_FUNCTION_ARGS)
{
	TessObjectRow row = {0};
	ObjectAddress address;
	TessObject *object;

	row.type = text_to_cstring(PG_GETARG_TEXT_PP(0));
	row.names = array_argument(PG_GETARG_DATUM(1));
	row.args = array_argument(PG_GETARG_DATUM(2));
	address = tess_object_find(&row);
	/* an operator without a function is only the promise of one */
	if (!OidIsValid(address.objectId) ||
		(address.classId == OperatorRelationId &&
		 !OidIsValid(get_opcode(address.objectId))))
		PG_RETURN_NULL();
	object = tess_object_identify(address.classId, address.objectId);
	if (object == NULL)
		PG_RETURN_NULL();
	tess_object_define(object);
	PG_RETURN_TEXT_P(cstring_to_text(object->definition));
}
