/*
 * command_alter_column.c - ADD COLUMN, DROP COLUMN, TYPE and SET DEFAULT.
 *
 * Types and expressions are resolved here, under the user's search_path, and
 * written with the names of what they resolved to: a node may find something
 * else behind the user's words.  What has one value for the whole statement,
 * like now(), is computed here, so that all shards get the same; what has
 * another value for each row is left to the shards.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "command/command_alter.h"
#include "deparse/deparse.h"
#include "objects/objects.h"

static Node *raw_default(const ColumnDef *column);
static Node *fill_of(const ColumnDef *definition, Relation rel,
					 const FormData_pg_attribute *column);
static Node *compute_once(Node *expr);
static void refuse_key(const TessAlter *alter, const char *action,
					   const char *column);
static Node *transform_using(const TessAlter *alter, Node *raw);
static Node *fold_stable(Node *expr);
static bool only_widens(const TessAlter *alter, const ColumnDef *definition);
static void check_names(const TessAlter *alter, const char *column,
						const ColumnDef *definition, Node *expr);

static Form_pg_attribute
column_of(Relation rel, const char *name)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(rel), name);

	if (attnum <= 0)
		elog(ERROR, "column \"%s\" of table \"%s\" is not there", name,
			 RelationGetRelationName(rel));
	return TupleDescAttr(RelationGetDescr(rel), attnum - 1);
}

/* expr NULL: no default */
static char *
default_clause(Relation rel, const char *column, Node *expr)
{
	if (expr == NULL)
		return psprintf("ALTER COLUMN %s DROP DEFAULT", quote_identifier(column));
	return psprintf("ALTER COLUMN %s SET DEFAULT %s", quote_identifier(column),
					tess_ddl_expression(rel, expr));
}

void
tess_alter_before_add(TessAlter *alter, TessAlterPart *part)
{
	const ColumnDef *definition = castNode(ColumnDef, part->command->def);

	alter->needs_objects = true;
	part->is_void = part->command->missing_ok &&
					tess_alter_column(alter, definition->colname) !=
						InvalidAttrNumber;
}

/* The user's DEFAULT; NULL: none. */
static Node *
raw_default(const ColumnDef *column)
{
	ListCell *lc;

	foreach(lc, column->constraints)
	{
		const Constraint *constraint = lfirst_node(Constraint, lc);

		if (constraint->contype == CONSTR_DEFAULT)
			return constraint->raw_expr;
	}
	return NULL;
}

/*
 * What the rows that are there get.  That need not be the column's default any
 * more, if another subcommand has set that.  NULL: nothing.
 */
static Node *
fill_of(const ColumnDef *definition, Relation rel,
		const FormData_pg_attribute *column)
{
	Node *raw = raw_default(definition);
	Node *expr = NULL;

	if (raw != NULL)
		return cookDefault(make_parsestate(NULL), copyObject(raw),
						   column->atttypid, column->atttypmod,
						   NameStr(column->attname), column->attgenerated);
	/* serial and identity */
	if (column->atthasdef || column->attidentity != '\0')
		expr = build_column_default(rel, column->attnum);
	if (expr != NULL && !tess_default_travels(expr))
		return expr;
	return get_typdefault(column->atttypid);
}

/* The value that the statement has for all rows, as a constant. */
static Node *
compute_once(Node *expr)
{
	EState *estate = CreateExecutorState();
	ExprState *state = ExecPrepareExpr((Expr *) copyObject(expr), estate);
	Oid type = exprType(expr);
	int16 length;
	bool by_value;
	bool is_null;
	Datum value;

	get_typlenbyval(type, &length, &by_value);
	value = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate),
									  &is_null);
	if (!is_null)
		value = datumCopy(value, by_value, length);
	FreeExecutorState(estate);
	/* another collation would be written behind the value, and be the column's */
	return (Node *) makeConst(type, exprTypmod(expr), get_typcollation(type),
							  length, is_null ? (Datum) 0 : value, is_null,
							  by_value);
}

static bool
is_own_volatile_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId &&
		   func_volatile(function) == PROVOLATILE_VOLATILE;
}

/* A volatile function of the user's may read tables, which are whole only
 * here. */
static bool
calls_own_volatile_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, is_own_volatile_function, NULL) ||
		   expression_tree_walker(node, calls_own_volatile_function, context);
}

/*
 * Values that no shard, or no two copies, can come to by themselves.  True if
 * rows are there that have to get them from here.
 */
static bool
is_filled_here(const TessAlter *alter, const char *column, Node *expr)
{
	const TessTable *table = tess_alter_table(alter);
	bool travels = tess_default_travels(expr);

	if (travels && (!contain_volatile_functions(expr) ||
					(table->kind == TESS_DISTRIBUTED &&
					 !calls_own_volatile_function(expr, NULL))))
		return false;
	if (!tess_alter_has_rows(alter))
		return false;
	if (table->kind == TESS_REFERENCE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot add column \"%s\" to reference table \"%s\", which has rows",
						column, table->name),
				 errdetail("Each copy would compute other values for them."),
				 errhint(
					 "Add the column without a default, set it with UPDATE, and then set the default.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot add column \"%s\" to table \"%s\", which has rows, in a transaction above READ COMMITTED",
						column, table->name),
				 errdetail(
					 "Rows that are newer than the snapshot would get no values."),
				 errhint("Use a transaction of its own.")));
	return true;
}

/* The column comes empty, an UPDATE computes the values here, and then it gets
 * a default that shards can have, and may be NOT NULL. */
static void
fill_here(TessAlter *alter, Relation rel, TessAlterPart *part,
		  const FormData_pg_attribute *column, Node *fill)
{
	const char *name = quote_identifier(NameStr(column->attname));
	List *later = NIL;
	Node *own = NULL;

	alter->fills = lappend(alter->fills,
						   psprintf("%s = %s", name,
									column->attidentity != '\0'
										? "DEFAULT"
										: tess_ddl_expression(rel, fill)));
	part->text = psprintf("ADD COLUMN %s %s", name,
						  tess_ddl_column_type(rel, column->attnum));
	if (column->atthasdef)
		own = build_column_default(rel, column->attnum);
	if (own != NULL && tess_default_travels(own))
		later = lappend(later,
						default_clause(rel, NameStr(column->attname), own));
	if (column->attnotnull)
		later = lappend(later, psprintf("ALTER COLUMN %s SET NOT NULL", name));
	if (later != NIL)
		part->later = tess_names_join(later);
}

void
tess_alter_after_add(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const ColumnDef *definition = castNode(ColumnDef, part->command->def);
	Form_pg_attribute column = column_of(rel, definition->colname);
	Node *fill = NULL;
	Node *own = NULL;
	Node *once = NULL;
	Node *first;

	if (column->attgenerated == '\0')
		fill = fill_of(definition, rel, column);
	if (fill != NULL && is_filled_here(alter, definition->colname, fill))
	{
		fill_here(alter, rel, part, column, fill);
		return;
	}
	if (fill != NULL && tess_default_travels(fill))
	{
		own = raw_default(definition) != NULL ? fill : NULL;
		if (contain_mutable_functions(fill) && !contain_volatile_functions(fill))
			once = compute_once(fill);
	}
	first = once != NULL ? once : own;
	part->text = psprintf("ADD COLUMN %s%s",
						  part->command->missing_ok ? "IF NOT EXISTS " : "",
						  tess_ddl_column(rel, column->attnum,
										  first ? tess_ddl_expression(rel, first)
												: NULL));
	if (once != NULL && own != NULL)
		part->text = psprintf("%s, %s", part->text,
							  default_clause(rel, definition->colname, own));
	else if (once != NULL && !column->atthasdef)
		part->later = default_clause(rel, definition->colname, NULL);
}

static void
refuse_key(const TessAlter *alter, const char *action, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported on column \"%s\", the distribution key of table \"%s\"",
					action, column, tess_alter_table(alter)->name),
			 errdetail("The key says in which shard a row is."),
			 errhint(
				 "Use tessera.undistribute_table(), change the table, and distribute it again.")));
}

void
tess_alter_before_drop(TessAlter *alter, TessAlterPart *part)
{
	const AlterTableCmd *command = part->command;

	part->is_void = command->missing_ok &&
					tess_alter_column(alter, command->name) == InvalidAttrNumber;
	if (!part->is_void && tess_alter_is_key(alter, command->name))
		refuse_key(alter, "DROP COLUMN", command->name);
}

/* A varchar that gets longer: values and their hashes stay what they are. */
static bool
only_widens(const TessAlter *alter, const ColumnDef *definition)
{
	const TessTable *table = tess_alter_table(alter);
	Oid type;
	int32 typmod;

	typenameTypeIdAndMod(NULL, definition->typeName, &type, &typmod);
	return definition->raw_default == NULL && definition->collClause == NULL &&
		   type == VARCHAROID && table->key_type == VARCHAROID &&
		   table->key_typmod >= 0 && (typmod < 0 || typmod >= table->key_typmod);
}

static bool
bring_function(Oid function, void *context)
{
	ObjectAddress address;

	if (function >= FirstNormalObjectId)
	{
		ObjectAddressSet(address, ProcedureRelationId, function);
		tess_objects_bring(&address);
	}
	return false;
}

/* No catalog says what USING needs: its functions and operators go to the
 * nodes now. */
static bool
bring_functions(Node *node, void *context)
{
	ObjectAddress address;

	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, bring_function, NULL);
	if (IsA(node, OpExpr) && ((OpExpr *) node)->opno >= FirstNormalObjectId)
	{
		ObjectAddressSet(address, OperatorRelationId, ((OpExpr *) node)->opno);
		tess_objects_bring(&address);
	}
	return expression_tree_walker(node, bring_functions, context);
}

void
tess_alter_before_type(TessAlter *alter, TessAlterPart *part)
{
	const AlterTableCmd *command = part->command;
	const ColumnDef *definition = castNode(ColumnDef, command->def);
	Relation rel;
	Node *expr;

	alter->needs_objects = true;
	if (tess_alter_is_key(alter, command->name) &&
		!only_widens(alter, definition))
		refuse_key(alter, "ALTER COLUMN TYPE", command->name);
	if (definition->raw_default == NULL)
	{
		check_names(alter, command->name, definition, NULL);
		return;
	}

	expr = transform_using(alter, definition->raw_default);
	check_names(alter, command->name, definition, expr);
	if (!tess_default_travels(expr))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("USING of column \"%s\" cannot be computed in the shards",
						command->name),
				 errdetail(
					 "It names a sequence or another object that only this server has."),
				 errhint(
					 "Add a column, set it with UPDATE, and drop the old one.")));
	(void) bring_functions(expr, NULL);
	if (tess_alter_table(alter)->kind == TESS_REFERENCE &&
		contain_volatile_functions(expr) && tess_alter_has_rows(alter))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("USING of column \"%s\" must not be volatile",
						command->name),
				 errdetail("Each copy of reference table \"%s\" would compute other values.",
						   tess_alter_table(alter)->name),
				 errhint("Use UPDATE to compute the values.")));
	rel = table_open(alter->altering.relation, NoLock);
	part->text = tess_ddl_expression(rel, fold_stable(expr));
	table_close(rel, NoLock);
}

/* Refuses new values that shards would make of other objects than those the
 * coordinator has.  expr: of USING, NULL without. */
static void
check_names(const TessAlter *alter, const char *column,
			const ColumnDef *definition, Node *expr)
{
	Oid relation = alter->altering.relation;
	AttrNumber attnum = get_attnum(relation, column);
	Node *cast;
	Oid type;
	int32 typmod;

	typenameTypeIdAndMod(NULL, definition->typeName, &type, &typmod);
	if (expr == NULL && attnum > 0)
		expr = (Node *) makeVar(1, attnum, get_atttype(relation, attnum), -1,
								InvalidOid, 0);
	if (expr == NULL)
		return;
	cast = coerce_to_target_type(NULL, copyObject(expr), exprType(expr), type,
								 typmod, COERCION_ASSIGNMENT,
								 COERCE_IMPLICIT_CAST, -1);
	if (!tess_ddl_looks_at_names(cast != NULL ? cast : expr))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("new values of column \"%s\" cannot be computed in the shards",
					column),
			 errdetail(
				 "They depend on names of objects, as values of type regclass stand for, which only this server knows."),
			 errhint("Add a column, set it with UPDATE, and drop the old one.")));
}

/* As core does it: over the columns of the table as they are. */
static Node *
transform_using(const TessAlter *alter, Node *raw)
{
	Relation rel = table_open(alter->altering.relation, NoLock);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item = addRangeTableEntryForRelation(pstate, rel,
															 AccessShareLock,
															 NULL, false, true);
	Node *expr;

	addNSItemToQuery(pstate, item, false, true, true);
	expr = transformExpr(pstate, copyObject(raw), EXPR_KIND_ALTER_COL_TRANSFORM);
	assign_expr_collations(pstate, expr);
	free_parsestate(pstate);
	table_close(rel, NoLock);
	return expr;
}

/* Stable functions of constants become constants. */
static Node *
fold_stable(Node *expr)
{
	PlannerGlobal global = {.type = T_PlannerGlobal};
	PlannerInfo root = {.type = T_PlannerInfo, .glob = &global};

	if (!contain_mutable_functions(expr) || contain_volatile_functions(expr))
		return expr;
	return estimate_expression_value(&root, expr);
}

/* part->text is USING so far. */
void
tess_alter_after_type(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const char *name = part->command->name;

	part->text = psprintf("ALTER COLUMN %s TYPE %s%s%s", quote_identifier(name),
						  tess_ddl_column_type(rel, column_of(rel, name)->attnum),
						  part->text != NULL ? " USING " : "",
						  part->text != NULL ? part->text : "");
}

void
tess_alter_after_default(TessAlter *alter, Relation rel, TessAlterPart *part)
{
	const AlterTableCmd *command = part->command;
	Form_pg_attribute column = column_of(rel, command->name);
	Node *expr = NULL;

	alter->needs_objects = true;
	if (command->def != NULL)
		expr = cookDefault(make_parsestate(NULL), copyObject(command->def),
						   column->atttypid, column->atttypmod,
						   NameStr(column->attname), column->attgenerated);
	/* what is dropped, PostgreSQL drops before it adds columns */
	if (expr != NULL && !tess_default_travels(expr))
		part->later = default_clause(rel, command->name, NULL);
	else
		part->text = default_clause(rel, command->name, expr);
}
