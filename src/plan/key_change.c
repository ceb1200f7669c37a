/*
 * key_change.c - does an UPDATE, or ON CONFLICT, leave the key of its rows as
 * it is?
 *
 * A row stays in its shard if its new key equals the old one by the equality
 * that routes.  That is provable where the key is set to itself, or to what
 * WHERE says it is (SET id = 5 ... WHERE id = 5, as object mappers write it).
 */
#include "postgres.h"

#include "access/relation.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
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
									left_is_key, &other_type))
		return false;
	if (equal(strip_implicit_coercions(value), strip_implicit_coercions(other)))
		return !contain_volatile_functions(value);
	if (!tess_is_row_independent(other) || !tess_is_row_independent(value))
		return false;

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

/* See plan_internal.h. */
List *
tess_referenced_columns(const TessTable *table)
{
	Relation rel = relation_open(table->relation, NoLock);
	List *columns = NIL;
	ListCell *cell;

	foreach(cell, tess_relation_referrers(rel))
	{
		const TessReferrer *key = lfirst(cell);

		if (!tess_referrer_acts(key))
			continue;
		for (int i = 0; i < key->count; i++)
			columns = list_append_unique_int(columns, key->referenced[i]);
	}
	relation_close(rel, NoLock);
	return columns;
}

/* See plan_internal.h. */
Oid
tess_moves_are_hidden_from(const TessTable *table)
{
	ListCell *cell;

	foreach(cell, tess_relation_cascades(list_make1_oid(table->relation),
										 table->relation, true))
	{
		const TessTable *moved = tess_meta_table(lfirst_oid(cell));

		if (moved != NULL &&
			(moved == table ? moved->alters_updates : moved->has_triggers))
			return moved->relation;
	}
	return InvalidOid;
}

/* Whether an action of MERGE may change the key of rows. */
bool
tess_action_changes_key(TessJob *job, const MergeAction *action)
{
	const TessTable *table = job->survey->target;
	KeyColumn key = {table, job->parse->resultRelation};

	/* a copy: these are the lists of the statement itself */
	key.conditions = list_concat_copy(make_ands_implicit(
										  (Expr *) job->parse->jointree->quals),
									  make_ands_implicit((Expr *) action->qual));
	return !keeps_key(&key, action->targetList);
}

/*
 * Notes whether the statement may change the key of rows.  An UPDATE then
 * moves them: a DELETE in one shard and an INSERT in another.  ON CONFLICT may not change it; whether it does shows in each row (upsert.c).
 */
void
tess_check_key_change(TessJob *job)
{
	const TessTable *table = job->survey->target;
	Query *parse = job->parse;
	KeyColumn key = {table, parse->resultRelation};

	if (table->kind != TESS_DISTRIBUTED)
		return;
	if (parse->onConflict != NULL)
	{
		key.excluded = parse->onConflict->exclRelIndex;
		key.conditions = make_ands_implicit(
			(Expr *) parse->onConflict->onConflictWhere);
		job->changes_key = !keeps_key(&key, parse->onConflict->onConflictSet);
	}
	if (parse->commandType != CMD_UPDATE)
		return;
	key.conditions = make_ands_implicit((Expr *) parse->jointree->quals);
	job->changes_key = !keeps_key(&key, parse->targetList);
}
