/*
 * part_order.c - which part of a statement writes first, where foreign keys say.
 *
 * PostgreSQL looks at foreign keys when the whole statement has ended.  Nodes
 * look when a part has, which is a statement there: so what refers to a row has
 * to be deleted before it, and inserted after it.  A part that is to come later
 * counts the rows of the other one before it begins, whatever else it does: this
 * runs the other one to its end.  The statement itself writes before the parts
 * that it does not read.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "plan/plan_internal.h"

/* The statement and its parts.  Those have the numbers that they have in WITH,
 * the statement itself the next one. */
typedef struct Parts
{
	Query *parse;
	int count;		   /* of the parts */
	Bitmapset **needs; /* for each, parts that are read before it writes */
	bool gated;
} Parts;

/* What a change does to keys, or to what refers to them. */
typedef struct Effect
{
	bool adds;
	bool removes;
} Effect;

typedef struct ReadContext
{
	Parts *parts;
	int depth; /* below the statement */
	Bitmapset *read;
} ReadContext;

static CommonTableExpr *
cte_of(const Parts *parts, int part)
{
	return list_nth_node(CommonTableExpr, parts->parse->cteList, part);
}

static Query *
query_of(const Parts *parts, int part)
{
	return part == parts->count ? parts->parse
								: castNode(Query, cte_of(parts, part)->ctequery);
}

/* Collects the parts that something reads. */
static bool
read_walker(Node *node, ReadContext *context)
{
	bool stop;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		const RangeTblEntry *rte = (const RangeTblEntry *) node;

		if (rte->rtekind != RTE_CTE || rte->ctelevelsup != context->depth)
			return false;
		for (int i = 0; i < context->parts->count; i++)
			if (strcmp(cte_of(context->parts, i)->ctename, rte->ctename) == 0)
				context->read = bms_add_member(context->read, i);
		return false;
	}
	if (!IsA(node, Query))
		return expression_tree_walker(node, read_walker, context);
	context->depth++;
	stop = query_tree_walker((Query *) node, read_walker, context,
							 QTW_EXAMINE_RTES_BEFORE);
	context->depth--;
	return stop;
}

/* Adds what parts need through others. */
static void
close_needs(Parts *parts)
{
	for (int through = 0; through < parts->count; through++)
		for (int i = 0; i <= parts->count; i++)
			if (bms_is_member(through, parts->needs[i]))
				parts->needs[i] = bms_add_members(parts->needs[i],
												  parts->needs[through]);
}

static Parts
read_parts(Query *parse)
{
	Parts parts = {parse, list_length(parse->cteList)};

	parts.needs = palloc0((parts.count + 1) * sizeof(Bitmapset *));
	for (int i = 0; i <= parts.count; i++)
	{
		ReadContext context = {&parts, i == parts.count ? 0 : 1};

		(void) query_tree_walker(query_of(&parts, i), read_walker, &context,
								 QTW_EXAMINE_RTES_BEFORE |
									 (i == parts.count ? QTW_IGNORE_CTE_SUBQUERIES
													   : 0));
		parts.needs[i] = bms_del_member(context.read, i);
	}
	close_needs(&parts);
	return parts;
}

/* The table of ours that a part changes, or InvalidOid. */
static Oid
changed_by(const Query *query)
{
	Oid relation;

	if (query->commandType == CMD_SELECT || query->resultRelation == 0)
		return InvalidOid;
	relation = rt_fetch(query->resultRelation, query->rtable)->relid;
	return tess_meta_table(relation) != NULL ? relation : InvalidOid;
}

static void
add_update(Effect *effect, const List *target_list, const AttrNumber *columns,
		   int count)
{
	ListCell *cell;

	foreach(cell, target_list)
	{
		const TargetEntry *tle = lfirst_node(TargetEntry, cell);

		for (int i = 0; i < count; i++)
			if (!tle->resjunk && tle->resno == columns[i])
				effect->adds = effect->removes = true;
	}
}

static void
add_command(Effect *effect, CmdType command, const List *target_list,
			const AttrNumber *columns, int count)
{
	if (command == CMD_INSERT)
		effect->adds = true;
	else if (command == CMD_DELETE)
		effect->removes = true;
	else if (command == CMD_UPDATE)
		add_update(effect, target_list, columns, count);
}

static Effect
effect_of(const Query *query, const AttrNumber *columns, int count)
{
	Effect effect = {false};
	ListCell *cell;

	add_command(&effect, query->commandType, query->targetList, columns, count);
	if (query->onConflict != NULL)
		add_update(&effect, query->onConflict->onConflictSet, columns, count);
	foreach(cell, query->mergeActionList)
	{
		const MergeAction *action = lfirst_node(MergeAction, cell);

		add_command(&effect, action->commandType, action->targetList, columns,
					count);
	}
	return effect;
}

/* SELECT count(*) FROM part */
static Query *
count_query(CommonTableExpr *cte, int depth)
{
	Query *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Aggref *count = makeNode(Aggref);

	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup(cte->ctename);
	rte->ctelevelsup = depth;
	rte->coltypes = copyObject(cte->ctecoltypes);
	rte->coltypmods = copyObject(cte->ctecoltypmods);
	rte->colcollations = copyObject(cte->ctecolcollations);
	rte->eref = makeAlias(cte->ctename, copyObject(cte->ctecolnames));
	rte->inFromCl = true;
	ref->rtindex = 1;
	count->aggfnoid = F_COUNT_;
	count->aggtype = INT8OID;
	count->aggstar = true;
	count->aggkind = AGGKIND_NORMAL;
	count->aggsplit = AGGSPLIT_SIMPLE;
	count->aggno = count->aggtransno = -1;
	count->location = -1;

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->hasAggs = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = list_make1(
		makeTargetEntry((Expr *) count, 1, pstrdup("count"), false));
	return query;
}

/* Only a part that returns something can be read. */
static void
return_something(CommonTableExpr *cte)
{
	Query *query = castNode(Query, cte->ctequery);
	Const *one = makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
						   Int32GetDatum(1), false, true);

	if (query->returningList != NIL)
		return;
	query->returningList = list_make1(
		makeTargetEntry((Expr *) one, 1, pstrdup("?column?"), false));
	cte->ctecolnames = list_make1(makeString(pstrdup("?column?")));
	cte->ctecoltypes = list_make1_oid(INT4OID);
	cte->ctecoltypmods = list_make1_int(-1);
	cte->ctecolcollations = list_make1_oid(InvalidOid);
}

/* Has a part wait for another one: (SELECT count(*) FROM first) IS NOT NULL. */
static void
gate(Parts *parts, int first, int second)
{
	CommonTableExpr *cte = cte_of(parts, first);
	Query *query = query_of(parts, second);
	SubLink *count = makeNode(SubLink);
	NullTest *test = makeNode(NullTest);

	return_something(cte);
	cte->cterefcount++;
	count->subLinkType = EXPR_SUBLINK;
	count->subselect = (Node *) count_query(cte, second == parts->count ? 1 : 2);
	count->location = -1;
	test->arg = (Expr *) count;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	query->hasSubLinks = true;
	query->jointree->quals = (Node *) make_and_qual(query->jointree->quals,
													(Node *) test);
	parts->gated = true;
}

static bool
is_deferrable(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	bool deferrable;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	deferrable = ((Form_pg_constraint) GETSTRUCT(tuple))->condeferrable;
	ReleaseSysCache(tuple);
	return deferrable;
}

static void
refuse_order(const TessReferrer *referrer)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("parts of a statement cannot change tables \"%s\" and \"%s\" in an order that their foreign key allows",
					get_rel_name(referrer->to), get_rel_name(referrer->relation)),
			 errdetail(
				 "Rows that refer to others have to be deleted before them, and inserted after them."),
			 errhint(
				 "Use one statement for each change, in one transaction, or a deferred constraint.")));
}

/* Sees to the order of a part that changes a table in this way and one that
 * changes what refers to it. */
static void
order_two(Parts *parts, int changes_keys, Effect keys, int refers,
		  const TessReferrer *referrer)
{
	Effect referring = effect_of(query_of(parts, refers), referrer->columns,
								 referrer->count);
	bool keys_first = keys.adds && referring.adds;
	bool keys_last = keys.removes && referring.removes;
	int first = keys_first ? changes_keys : refers;
	int second = keys_first ? refers : changes_keys;

	if (!keys_first && !keys_last)
		return;
	if ((keys_first && keys_last) || bms_is_member(second, parts->needs[first]))
	{
		if (!is_deferrable(referrer->constraint))
			refuse_order(referrer);
		return;
	}
	if (first != parts->count)
		gate(parts, first, second);
	parts->needs[second] = bms_add_member(parts->needs[second], first);
	close_needs(parts);
}

/* For all parts that change what refers to a table, which this one changes, or
 * from which rows vanish with those that it deletes. */
static void
order_around(Parts *parts, int part, Oid relation, bool cascaded)
{
	Relation rel = relation_open(relation, AccessShareLock);
	ListCell *cell;

	foreach(cell, tess_relation_referrers(rel))
	{
		const TessReferrer *referrer = lfirst(cell);
		Effect keys = {.removes = true};

		if (!cascaded)
			keys = effect_of(query_of(parts, part), referrer->referenced,
							 referrer->count);
		for (int other = 0; other <= parts->count; other++)
			if (other != part && referrer->relation != relation &&
				changed_by(query_of(parts, other)) == referrer->relation)
				order_two(parts, part, keys, other, referrer);
	}
	relation_close(rel, NoLock);
}

static void
order_part(Parts *parts, int part)
{
	const Query *query = query_of(parts, part);
	Oid relation = changed_by(query);
	ListCell *cell;

	if (!OidIsValid(relation))
		return;
	order_around(parts, part, relation, false);
	if (!effect_of(query, NULL, 0).removes)
		return;
	foreach(cell, tess_relation_cascades(NIL, relation, false))
		order_around(parts, part, lfirst_oid(cell), true);
}

/* WITH in an order in which none names a later one. */
static void
sort_parts(Parts *parts)
{
	List *sorted = NIL;
	Bitmapset *placed = bms_make_singleton(parts->count);

	while (list_length(sorted) < parts->count)
		for (int i = 0; i < parts->count; i++)
			if (!bms_is_member(i, placed) &&
				bms_is_subset(parts->needs[i], placed))
			{
				sorted = lappend(sorted, cte_of(parts, i));
				placed = bms_add_member(placed, i);
			}
	parts->parse->cteList = sorted;
}

/* See plan_internal.h. */
void
tess_parts_order(Query *parse)
{
	Parts parts = read_parts(parse);

	for (int i = 0; i <= parts.count; i++)
		order_part(&parts, i);
	if (parts.gated)
		sort_parts(&parts);
}
