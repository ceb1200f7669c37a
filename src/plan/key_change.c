/*
 * key_change.c - does an UPDATE, or ON CONFLICT, leave the key of its rows as
 * it is?
 *
 * A row stays in its shard if its new key equals the old one by the equality
 * that routes.  That is provable where the key is set to itself, or to what
 * WHERE says it is (SET id = 5 ... WHERE id = 5, as object mappers write it).
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

#include "plan/plan_internal.h"
#include "route/route.h"

/* The target's key, and conditions that hold for every row that is changed. */
typedef struct KeyColumn
{
	const TessTable *table;
	Index varno;
	Index excluded; /* EXCLUDED, which an ON CONFLICT has found equal; or 0 */
	List *conditions;
} KeyColumn;

/* True if an expression is the key, perhaps relabelled. */
static bool
is_key(Node *node, const KeyColumn *key)
{
	Var *var;

	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node != NULL && IsA(node, CoerceToDomain))
		return is_key((Node *) ((CoerceToDomain *) node)->arg, key);
	if (node == NULL || !IsA(node, Var))
		return false;
	var = (Var *) node;
	return (var->varno == key->varno ||
			(key->excluded != 0 && var->varno == key->excluded)) &&
		   var->varlevelsup == 0 && var->varattno == key->table->key_attnum;
}

/* Puts the value in the place of the key. */
typedef struct Substitution
{
	const KeyColumn *key;
	Node *value;
} Substitution;

static Node *
substitute_mutator(Node *node, Substitution *substitution)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && is_key(node, substitution->key))
		return copyObject(substitution->value);
	return expression_tree_mutator(node, substitute_mutator, substitution);
}

/*
 * True if a condition is "key = value" with the value that the key is set to:
 * written in the same way, or such that the condition is true of it.
 */
static bool
says_value(Node *condition, Node *value, const KeyColumn *key)
{
	Substitution substitution = {key, value};
	OpExpr *op = (OpExpr *) condition;
	bool left_is_key;
	Node *other;
	Node *folded;
	Oid other_type;

	if (!IsA(condition, OpExpr) || list_length(op->args) != 2)
		return false;
	left_is_key = is_key(linitial(op->args), key);
	other = left_is_key ? lsecond(op->args) : linitial(op->args);
	if (!left_is_key && !is_key(lsecond(op->args), key))
		return false;
	if (!tess_route_is_key_equality(key->table, op->opno, op->inputcollid,
									left_is_key, &other_type) ||
		!tess_is_row_independent(other) || !tess_is_row_independent(value))
		return false;
	if (equal(strip_implicit_coercions(value), strip_implicit_coercions(other)))
		return true;

	folded = eval_const_expressions(NULL, substitute_mutator(condition,
															 &substitution));
	return IsA(folded, Const) && !((Const *) folded)->constisnull &&
		   DatumGetBool(((Const *) folded)->constvalue);
}

static bool
keeps_key(const KeyColumn *key, List *target_list)
{
	ListCell *cell;
	ListCell *condition;

	foreach(cell, target_list)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (tle->resjunk || tle->resno != key->table->key_attnum ||
			is_key((Node *) tle->expr, key))
			continue;
		foreach(condition, key->conditions)
			if (says_value(lfirst(condition), (Node *) tle->expr, key))
				break;
		if (condition == NULL)
			return false;
	}
	return true;
}

void
tess_refuse_key_change(TessJob *job)
{
	const TessTable *table = job->survey->target;
	Query *parse = job->parse;
	KeyColumn key = {table, parse->resultRelation};
	bool keeps = true;

	if (table->kind != TESS_DISTRIBUTED)
		return;
	if (parse->commandType == CMD_UPDATE)
	{
		key.conditions = make_ands_implicit((Expr *) parse->jointree->quals);
		keeps = keeps_key(&key, parse->targetList);
	}
	else if (parse->onConflict != NULL)
	{
		key.excluded = parse->onConflict->exclRelIndex;
		keeps = keeps_key(&key, parse->onConflict->onConflictSet);
	}
	if (!keeps)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change the distribution key of table \"%s\"",
						table->name),
				 errdetail("Column \"%s\" decides in which shard a row is.",
						   get_attname(table->relation, table->key_attnum, false)),
				 errhint("Delete the row and insert it with its new key.")));
}
