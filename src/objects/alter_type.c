/*
 * alter_type.c - ALTER TYPE of enums and composite types and ALTER DOMAIN are
 * repeated on the nodes: no new definition could change what is there.
 *
 * Not the user's text: names and expressions are those that the catalogs have
 * when core has done it.  The nodes look at the rows of their shards, as core
 * does at those that are here.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "objects/objects_internal.h"

struct TessTypeChange
{
	Node *statement;
	Oid type;
	List *constraints; /* OIDs of those that a domain had */
};

/* InvalidOid if there is none: PostgreSQL will say so. */
static Oid
named_type(Node *name)
{
	if (name == NULL || !IsA(name, List))
		return InvalidOid;
	return LookupTypeNameOid(NULL, makeTypeNameFromNameList((List *) name), true);
}

static Oid
row_type(const RangeVar *name)
{
	Oid relation = RangeVarGetRelid(name, NoLock, true);

	return OidIsValid(relation) ? get_rel_type_id(relation) : InvalidOid;
}

static Oid
renamed_type(const RenameStmt *rename)
{
	switch (rename->renameType)
	{
		case OBJECT_ATTRIBUTE:
			return row_type(rename->relation);
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
		case OBJECT_DOMCONSTRAINT:
			return named_type(rename->object);
		default:
			return InvalidOid;
	}
}

Oid
tess_object_changed_type(Node *statement)
{
	AlterObjectSchemaStmt *move = (AlterObjectSchemaStmt *) statement;

	switch (nodeTag(statement))
	{
		case T_AlterEnumStmt:
			return named_type((Node *) ((AlterEnumStmt *) statement)->typeName);
		case T_AlterDomainStmt:
			return named_type((Node *) ((AlterDomainStmt *) statement)->typeName);
		case T_AlterTypeStmt:
			return named_type((Node *) ((AlterTypeStmt *) statement)->typeName);
		case T_AlterTableStmt:
			if (((AlterTableStmt *) statement)->objtype == OBJECT_TYPE)
				return row_type(((AlterTableStmt *) statement)->relation);
			return InvalidOid;
		case T_RenameStmt:
			return renamed_type((RenameStmt *) statement);
		case T_AlterObjectSchemaStmt:
			if (move->objectType == OBJECT_TYPE ||
				move->objectType == OBJECT_DOMAIN)
				return named_type(move->object);
			return InvalidOid;
		default:
			return InvalidOid;
	}
}

/* Another name or place of the type itself is sent by changes.c. */
static bool
is_repeated(Node *statement)
{
	if (IsA(statement, RenameStmt))
	{
		ObjectType type = ((RenameStmt *) statement)->renameType;

		return type == OBJECT_ATTRIBUTE || type == OBJECT_DOMCONSTRAINT;
	}
	return IsA(statement, AlterEnumStmt) || IsA(statement, AlterDomainStmt) ||
		   IsA(statement, AlterTableStmt);
}

static List *
constraints_of(Oid domain)
{
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	List *constraints = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(domain));
	scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		constraints = lappend_oid(constraints,
								  ((Form_pg_constraint) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return constraints;
}

TessTypeChange *
tess_type_change_begin(Node *statement)
{
	TessTypeChange *change;
	Oid type;

	if (!is_repeated(statement))
		return NULL;
	type = tess_object_changed_type(statement);
	if (!OidIsValid(type) || !tess_objects_hold(TypeRelationId, type))
		return NULL;
	change = palloc0(sizeof(TessTypeChange));
	change->statement = statement;
	change->type = type;
	if (IsA(statement, AlterDomainStmt))
		change->constraints = constraints_of(type);
	return change;
}

/* Constraints of domains are altered under that word alone. */
static const char *
type_word(Oid type)
{
	return get_typtype(type) == TYPTYPE_DOMAIN ? "DOMAIN" : "TYPE";
}

/* The domain that a constraint is of, if any. */
static Oid
get_constraint_type(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Oid type = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		type = ((Form_pg_constraint) GETSTRUCT(tuple))->contypid;
		ReleaseSysCache(tuple);
	}
	return type;
}

/* what follows "ALTER TYPE name" ------------------------------------------------ */

static char *
enum_text(const AlterEnumStmt *alter)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (alter->oldVal != NULL)
		appendStringInfo(&sql, "RENAME VALUE %s TO %s",
						 quote_literal_cstr(alter->oldVal),
						 quote_literal_cstr(alter->newVal));
	else
		appendStringInfo(&sql, "ADD VALUE %s%s",
						 alter->skipIfNewValExists ? "IF NOT EXISTS " : "",
						 quote_literal_cstr(alter->newVal));
	if (alter->newValNeighbor != NULL)
		appendStringInfo(&sql, " %s %s",
						 alter->newValIsAfter ? "AFTER" : "BEFORE",
						 quote_literal_cstr(alter->newValNeighbor));
	return sql.data;
}

static const char *
cascade_word(DropBehavior behavior)
{
	return behavior == DROP_CASCADE ? " CASCADE" : "";
}

static char *
attribute_type(Oid relation, const char *name)
{
	Relation rel = relation_open(relation, AccessShareLock);
	AttrNumber number = get_attnum(relation, name);
	Form_pg_attribute attribute;
	char *sql;

	if (number == InvalidAttrNumber)
		elog(ERROR, "type has no attribute \"%s\"", name);
	attribute = TupleDescAttr(RelationGetDescr(rel), number - 1);
	sql = format_type_with_typemod(attribute->atttypid, attribute->atttypmod);
	if (OidIsValid(attribute->attcollation))
		sql = psprintf("%s COLLATE %s", sql,
					   generate_collation_name(attribute->attcollation));
	relation_close(rel, NoLock);
	return sql;
}

static char *
attribute_text(Oid relation, const AlterTableCmd *command)
{
	const char *name = command->name;

	switch (command->subtype)
	{
		case AT_AddColumn:
			name = castNode(ColumnDef, command->def)->colname;
			return psprintf("ADD ATTRIBUTE %s %s%s", quote_identifier(name),
							attribute_type(relation, name),
							cascade_word(command->behavior));
		case AT_DropColumn:
			return psprintf("DROP ATTRIBUTE %s%s%s",
							command->missing_ok ? "IF EXISTS " : "",
							quote_identifier(name),
							cascade_word(command->behavior));
		case AT_AlterColumnType:
			return psprintf("ALTER ATTRIBUTE %s SET DATA TYPE %s%s",
							quote_identifier(name),
							attribute_type(relation, name),
							cascade_word(command->behavior));
		default:
			elog(ERROR, "unexpected change of a composite type: %d",
				 command->subtype);
	}
}

static char *
composite_text(Oid type, const AlterTableStmt *alter)
{
	Oid relation = get_typ_typrelid(type);
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	foreach(cell, alter->cmds)
		appendStringInfo(&sql, "%s%s",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 attribute_text(relation, lfirst(cell)));
	return sql.data;
}

/* What nodes have in the place of a default that only this server computes is
 * none, as in its definition there. */
static char *
default_text(Oid domain)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
	char *sql = "DROP DEFAULT";
	bool isnull;
	Datum value = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefaultbin,
								  &isnull);

	if (!isnull)
	{
		Node *expr = stringToNode(TextDatumGetCString(value));

		if (tess_default_travels(expr))
			sql = psprintf("SET DEFAULT %s",
						   deparse_expression(expr, NIL, false, false));
	}
	ReleaseSysCache(tuple);
	return sql;
}

static char *
new_constraint_text(const TessTypeChange *change)
{
	List *added = list_difference_oid(constraints_of(change->type),
									  change->constraints);
	HeapTuple tuple;
	Form_pg_constraint form;
	Datum definition;
	char *sql;

	if (added == NIL)
		elog(ERROR, "domain %u has no new constraint", change->type);
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(linitial_oid(added)));
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	definition = DirectFunctionCall1(pg_get_constraintdef,
									 ObjectIdGetDatum(form->oid));
	sql = psprintf("ADD CONSTRAINT %s %s",
				   quote_identifier(NameStr(form->conname)),
				   TextDatumGetCString(definition));
	ReleaseSysCache(tuple);
	return sql;
}

static char *
domain_text(const TessTypeChange *change)
{
	const AlterDomainStmt *alter = castNode(AlterDomainStmt, change->statement);

	switch (alter->subtype)
	{
		case 'T':
			return default_text(change->type);
		case 'N':
			return "DROP NOT NULL";
		case 'O':
			return "SET NOT NULL";
		case 'C':
			return new_constraint_text(change);
		case 'X':
			return psprintf("DROP CONSTRAINT %s%s%s",
							alter->missing_ok ? "IF EXISTS " : "",
							quote_identifier(alter->name),
							cascade_word(alter->behavior));
		case 'V':
			return psprintf("VALIDATE CONSTRAINT %s",
							quote_identifier(alter->name));
		default:
			elog(ERROR, "unexpected change of a domain: %c", alter->subtype);
	}
}

static char *
rename_text(const RenameStmt *rename)
{
	return psprintf("RENAME %s %s TO %s%s",
					rename->renameType == OBJECT_ATTRIBUTE ? "ATTRIBUTE"
														   : "CONSTRAINT",
					quote_identifier(rename->subname),
					quote_identifier(rename->newname),
					rename->renameType == OBJECT_ATTRIBUTE
						? cascade_word(rename->behavior)
						: "");
}

Oid
tess_type_losing(Oid class, Oid object, int part, char **lost)
{
	Oid type = InvalidOid;
	const char *what = NULL;
	TessObject *loser;

	if (class == RelationRelationId && part > 0 &&
		get_rel_relkind(object) == RELKIND_COMPOSITE_TYPE)
	{
		type = get_rel_type_id(object);
		what = psprintf("ATTRIBUTE IF EXISTS %s",
						quote_identifier(get_attname(object, part, false)));
	}
	else if (class == ConstraintRelationId)
	{
		type = get_constraint_type(object);
		what = psprintf("CONSTRAINT IF EXISTS %s",
						quote_identifier(get_constraint_name(object)));
	}
	if (!OidIsValid(type))
		return InvalidOid;
	loser = tess_object_identify(TypeRelationId, type);
	if (loser == NULL)
		return InvalidOid;
	*lost = psprintf("ALTER %s %s DROP %s", type_word(type),
					 loser->row.identity, what);
	return type;
}

static char *
change_text(const TessTypeChange *change)
{
	switch (nodeTag(change->statement))
	{
		case T_AlterEnumStmt:
			return enum_text((AlterEnumStmt *) change->statement);
		case T_AlterDomainStmt:
			return domain_text(change);
		case T_AlterTableStmt:
			return composite_text(change->type,
								  (AlterTableStmt *) change->statement);
		default:
			return rename_text((RenameStmt *) change->statement);
	}
}

/* Such as those that read an attribute by the name that it had. */
void
tess_objects_forget_plans(void)
{
	ListCell *cell;

	foreach(cell, tess_cat_tables())
		CacheInvalidateRelcacheByRelid(((TessTableRow *) lfirst(cell))->relation);
	/* nothing has been written, and yet that is to be heard at once */
	(void) GetCurrentCommandId(true);
	CommandCounterIncrement();
}

ObjectAddress
tess_type_change_repeat(TessTypeChange *change)
{
	TessObject *type;
	int settings;
	char *sql;

	CommandCounterIncrement();
	type = tess_object_identify(TypeRelationId, change->type);
	/* errors with what cannot be said to a node */
	tess_object_define(type);
	settings = tess_settings_pin();
	sql = psprintf("ALTER %s %s %s", type_word(change->type),
				   type->row.identity, change_text(change));
	AtEOXact_GUC(true, settings);
	tess_objects_bring_needs(&type->address);
	tess_objects_lock();
	tess_objects_send(list_make1(sql));
	tess_objects_forget_plans();
	return type->address;
}
