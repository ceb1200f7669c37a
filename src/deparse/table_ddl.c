/*
 * table_ddl.c - CREATE TABLE and what belongs to the empty table.
 *
 * Identity columns are plain columns there, and defaults from sequences are
 * left out: the coordinator sends every value.  What is slow to keep while
 * rows are loaded, or would refuse them, comes after (table_ddl_post.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/toast_compression.h"
#include "access/transam.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

static bool
stays_here_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_NextValueExpr:
			return true;
		case T_FuncExpr:
			switch (((FuncExpr *) node)->funcid)
			{
				case F_NEXTVAL:
				case F_CURRVAL:
				case F_LASTVAL:
				case F_SETVAL_REGCLASS_INT8:
				case F_SETVAL_REGCLASS_INT8_BOOL:
					return true;
				default:
					break;
			}
			break;
		case T_Const:
			if (tess_const_is_name((Const *) node))
				return true;
			break;
		default:
			break;
	}
	return expression_tree_walker(node, stays_here_walker, context);
}

bool
tess_default_travels(Node *expr)
{
	return !stays_here_walker(expr, NULL);
}

/* See deparse.h. */
List *
tess_ddl_missing_defaults(Oid relation)
{
	Relation rel = relation_open(relation, AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	List *names = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		const FormData_pg_attribute *column = TupleDescAttr(desc, i);

		if (column->attisdropped || column->attgenerated != '\0')
			continue;
		if (column->attidentity != '\0' ||
			(column->atthasdef &&
			 !tess_default_travels(build_column_default(rel, column->attnum))))
			names = lappend(names, pstrdup(NameStr(column->attname)));
	}
	relation_close(rel, AccessShareLock);
	return names;
}

static char *
expression_text(Relation rel, Node *expr)
{
	return deparse_expression(expr,
							  deparse_context_for(RelationGetRelationName(rel),
												  RelationGetRelid(rel)),
							  false, false);
}

char *
tess_ddl_expression(Relation rel, Node *expr)
{
	int settings = tess_settings_pin();
	char *text = expression_text(rel, expr);

	AtEOXact_GUC(true, settings);
	return text;
}

/* The default that shards have; NULL: none. */
static char *
own_default(Relation rel, const FormData_pg_attribute *column)
{
	Node *expr;

	if (!column->atthasdef || column->attidentity != '\0')
		return NULL;
	expr = build_column_default(rel, column->attnum);
	if (expr == NULL ||
		(column->attgenerated == '\0' && !tess_default_travels(expr)))
		return NULL;
	return expression_text(rel, expr);
}

static void
write_collation(StringInfo text, const FormData_pg_attribute *column)
{
	if (OidIsValid(column->attcollation) &&
		column->attcollation != get_typcollation(column->atttypid))
		appendStringInfo(text, " COLLATE %s",
						 generate_collation_name(column->attcollation));
}

/* value: of its DEFAULT or GENERATED, NULL: none */
static void
write_column(StringInfo text, const FormData_pg_attribute *column,
			 const char *value)
{
	appendStringInfo(text, "%s %s", quote_identifier(NameStr(column->attname)),
					 format_type_with_typemod(column->atttypid,
											  column->atttypmod));
	if (CompressionMethodIsValid(column->attcompression))
		appendStringInfo(text, " COMPRESSION %s",
						 GetCompressionMethodName(column->attcompression));
	write_collation(text, column);
	if (value != NULL && column->attgenerated != '\0')
		appendStringInfo(text, " GENERATED ALWAYS AS (%s) STORED", value);
	else if (value != NULL)
		appendStringInfo(text, " DEFAULT %s", value);
	if (column->attnotnull)
		appendStringInfoString(text, " NOT NULL");
}

char *
tess_ddl_column(Relation rel, AttrNumber attnum, const char *fill)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	int settings = tess_settings_pin();
	StringInfoData text;

	initStringInfo(&text);
	write_column(&text, column,
				 column->attgenerated != '\0' ? own_default(rel, column) : fill);
	AtEOXact_GUC(true, settings);
	return text.data;
}

char *
tess_ddl_column_type(Relation rel, AttrNumber attnum)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	int settings = tess_settings_pin();
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, format_type_with_typemod(column->atttypid,
														   column->atttypmod));
	write_collation(&text, column);
	AtEOXact_GUC(true, settings);
	return text.data;
}

static bool
looks_at_names_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return tess_looks_at_names(node) ||
		   expression_tree_walker(node, looks_at_names_walker, context);
}

/* See deparse.h. */
bool
tess_ddl_looks_at_names(Node *expr)
{
	return looks_at_names_walker(expr, NULL);
}

void
tess_ddl_check_condition(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	bool isnull;
	Datum condition;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	condition = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conbin,
								&isnull);
	if (!isnull &&
		tess_ddl_looks_at_names(stringToNode(TextDatumGetCString(condition))))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("constraint \"%s\" cannot be kept by the shards",
						NameStr(((Form_pg_constraint) GETSTRUCT(tuple))->conname)),
				 errdetail(
					 "It looks for the objects that values of regclass and the like stand for, which only this server knows."),
				 errhint("Compare such values, or store the names as text.")));
	ReleaseSysCache(tuple);
}

/* CHECK constraints that hold for all rows; the others must not refuse the
 * rows that are there, and come after them. */
static void
write_checks(TessDdl *ddl, const char *separator)
{
	TupleConstr *constraints = RelationGetDescr(ddl->rel)->constr;

	for (int i = 0; constraints != NULL && i < constraints->num_check; i++)
	{
		ConstrCheck *check = &constraints->check[i];
		Oid oid;
		Datum definition;

		if (!check->ccvalid)
			continue;
		oid = get_relation_constraint_oid(RelationGetRelid(ddl->rel),
										  check->ccname, false);
		tess_ddl_check_condition(oid);
		definition = DirectFunctionCall1(pg_get_constraintdef,
										 ObjectIdGetDatum(oid));
		appendStringInfo(&ddl->text, "%sCONSTRAINT %s %s", separator,
						 quote_identifier(check->ccname),
						 TextDatumGetCString(definition));
		separator = ", ";
	}
}

/* WITH (...) of the table and its TOAST table. */
static void
write_storage_options(TessDdl *ddl)
{
	StringInfoData options;
	Oid relations[2];
	const char *prefixes[2] = {"", "toast."};

	relations[0] = RelationGetRelid(ddl->rel);
	relations[1] = ddl->rel->rd_rel->reltoastrelid;
	initStringInfo(&options);
	for (int i = 0; i < lengthof(relations); i++)
	{
		HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relations[i]));
		Datum value;
		bool isnull;

		if (!HeapTupleIsValid(tuple))
			continue;
		value = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
		if (!isnull)
			tess_ddl_options(&options, value, prefixes[i]);
		ReleaseSysCache(tuple);
	}
	if (options.len > 0)
		appendStringInfo(&ddl->text, " WITH (%s)", options.data);
}

static void
add_create_table(TessDdl *ddl)
{
	TupleDesc columns = RelationGetDescr(ddl->rel);
	const char *separator = "";
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < columns->natts; i++)
	{
		if (TupleDescAttr(columns, i)->attisdropped)
			continue;
		appendStringInfoString(&ddl->text, separator);
		write_column(&ddl->text, TupleDescAttr(columns, i),
					 own_default(ddl->rel, TupleDescAttr(columns, i)));
		separator = ", ";
	}
	write_checks(ddl, separator);
	if (ddl->rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		appendStringInfo(&ddl->text, ") PARTITION BY %s",
						 TextDatumGetCString(
							 DirectFunctionCall1(pg_get_partkeydef,
												 ObjectIdGetDatum(RelationGetRelid(
													 ddl->rel)))));
	else
	{
		appendStringInfo(&ddl->text, ") USING %s",
						 quote_identifier(get_am_name(ddl->rel->rd_rel->relam)));
		write_storage_options(ddl);
	}

	/* types and expressions may name row types: cut as a whole */
	appendStringInfo(&sql, "CREATE %sTABLE %s (%s",
					 ddl->rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED
						 ? "UNLOGGED "
						 : "",
					 tess_quote_qualified(ddl->schema, ddl->name),
					 ddl->text.data);
	resetStringInfo(&ddl->text);
	tess_ddl_add_sql(ddl, sql.data);
}

static const char *
storage_name(char storage)
{
	switch (storage)
	{
		case TYPSTORAGE_PLAIN:
			return "PLAIN";
		case TYPSTORAGE_EXTERNAL:
			return "EXTERNAL";
		case TYPSTORAGE_EXTENDED:
			return "EXTENDED";
		default:
			return "MAIN";
	}
}

/* attoptions of a column, or its access list; NULL if it has none. */
static Datum
column_setting(TessDdl *ddl, AttrNumber attnum, AttrNumber catalog_column,
			   bool *isnull)
{
	HeapTuple tuple;
	Datum value;

	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(RelationGetRelid(ddl->rel)),
							Int16GetDatum(attnum));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for column %d of relation %u", attnum,
			 RelationGetRelid(ddl->rel));
	value = SysCacheGetAttr(ATTNUM, tuple, catalog_column, isnull);
	if (!*isnull)
		value = datumCopy(value, false, -1);
	ReleaseSysCache(tuple);
	return value;
}

/* One ALTER TABLE for the columns' settings and the owner, before GRANTs: they
 * are to be the owner's. */
static void
add_alter_table(TessDdl *ddl)
{
	TupleDesc columns = RelationGetDescr(ddl->rel);

	appendStringInfoString(&ddl->text, "ALTER TABLE ");
	tess_ddl_table(ddl);
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, i);
		const char *name = quote_identifier(NameStr(column->attname));
		Datum options;
		bool isnull;

		if (column->attisdropped)
			continue;
		if (column->attstorage != get_typstorage(column->atttypid))
			appendStringInfo(&ddl->text, " ALTER COLUMN %s SET STORAGE %s,",
							 name, storage_name(column->attstorage));
		if (column->attstattarget >= 0)
			appendStringInfo(&ddl->text, " ALTER COLUMN %s SET STATISTICS %d,",
							 name, column->attstattarget);
		options = column_setting(ddl, column->attnum,
								 Anum_pg_attribute_attoptions, &isnull);
		if (!isnull)
		{
			StringInfoData list;

			initStringInfo(&list);
			tess_ddl_options(&list, options, "");
			if (list.len > 0)
				appendStringInfo(&ddl->text, " ALTER COLUMN %s SET (%s),", name,
								 list.data);
		}
	}
	if (ddl->rel->rd_rel->relreplident == REPLICA_IDENTITY_FULL)
		appendStringInfoString(&ddl->text, " REPLICA IDENTITY FULL,");
	else if (ddl->rel->rd_rel->relreplident == REPLICA_IDENTITY_NOTHING)
		appendStringInfoString(&ddl->text, " REPLICA IDENTITY NOTHING,");
	appendStringInfo(&ddl->text, " OWNER TO %s",
					 tess_ddl_role(ddl->rel->rd_rel->relowner));
	tess_ddl_end(ddl);
}

static void
add_rights(TessDdl *ddl)
{
	TupleDesc columns = RelationGetDescr(ddl->rel);
	HeapTuple tuple;
	Datum value;
	bool isnull;
	Acl *acl;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(RelationGetRelid(ddl->rel)));
	value = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &isnull);
	acl = isnull ? NULL : DatumGetAclPCopy(value);
	ReleaseSysCache(tuple);
	if (acl != NULL)
		tess_ddl_add_grants(ddl, acl, NULL);

	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, i);

		if (column->attisdropped)
			continue;
		value = column_setting(ddl, column->attnum, Anum_pg_attribute_attacl,
							   &isnull);
		if (!isnull)
			tess_ddl_add_grants(ddl, DatumGetAclP(value),
								NameStr(column->attname));
	}
}

static void
add_comments(TessDdl *ddl)
{
	TupleDesc columns = RelationGetDescr(ddl->rel);
	TupleConstr *constraints = columns->constr;
	Oid relation = RelationGetRelid(ddl->rel);

	tess_ddl_add_comment(ddl, RelationRelationId, relation, 0, "TABLE",
						 ddl->name);
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, i);

		if (!column->attisdropped)
			tess_ddl_add_comment(ddl, RelationRelationId, relation,
								 column->attnum, "COLUMN",
								 NameStr(column->attname));
	}
	for (int i = 0; constraints != NULL && i < constraints->num_check; i++)
	{
		const char *name = constraints->check[i].ccname;

		if (constraints->check[i].ccvalid)
			tess_ddl_add_comment(ddl, ConstraintRelationId,
								 get_relation_constraint_oid(relation, name,
															 false),
								 0, "CONSTRAINT", name);
	}
}

List *
tess_ddl_table_pre_data(Oid relation, bool as_reference)
{
	TessDdl ddl;
	Relation rel = table_open(relation, NoLock);
	int settings = tess_settings_pin();

	tess_ddl_begin(&ddl, rel, as_reference);
	add_create_table(&ddl);
	add_alter_table(&ddl);
	add_rights(&ddl);
	add_comments(&ddl);

	AtEOXact_GUC(true, settings);
	table_close(rel, NoLock);
	return ddl.statements;
}
