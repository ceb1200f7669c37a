/*
 * shard_guard.c - a statement of a function that runs in a shard: is it about
 * that shard alone?
 *
 * On the server that holds the shard, its tables are ordinary ones, so a
 * statement about keys of other shards would find nothing and say nothing of
 * it.  Here each table of the shard has to be bound to values of its key, which
 * are compared with the shard's ranges whenever the statement is executed
 * (exec/).  What cannot be bound is an error when the statement is planned.
 *
 * Only tables of the shard may be changed.  What else a statement reads is not
 * judged: a node has reference tables, and no others of the coordinator's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "fragment/facts.h"
#include "fragment/fragment_internal.h"
#include "net/net.h"

typedef struct GuardWalk
{
	const TessShardCall *call;
	TessGuard *guard;
} GuardWalk;

static bool guard_walker(Node *node, GuardWalk *walk);

/* Relations ------------------------------------------------------------------- */

static void
refuse_target(Oid relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a distributed function cannot change table \"%s\"",
					get_rel_name(relation)),
			 errdetail("It runs in one shard, and changes tables of that alone."),
			 errhint("Change it outside of the function.")));
}

/* A shard's table that the call does not name: another shard's, or one that has
 * come since the copy of the function was made. */
static void
check_other_relation(Oid relation)
{
	if (!tess_is_shard_schema(get_rel_namespace(relation)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" does not belong to the shard that this function runs in",
					get_rel_name(relation)),
			 errhint(
				 "Name tables of the function's colocation group, without the schema of a shard.")));
}

static bool
is_owner(Oid relation, Oid user)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool found = HeapTupleIsValid(tuple) &&
				 ((Form_pg_class) GETSTRUCT(tuple))->relowner == user;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return found;
}

/*
 * Policies are the coordinator's, and shards have none: who is subject to them
 * reads and changes nothing here.  Of roles the node knows what the coordinator
 * has told it when it made them, so only owners and superusers pass.
 */
static void
check_security(const GuardWalk *walk, const RangeTblEntry *rte)
{
	const TessCallTable *table = tess_shard_call_table(walk->call, rte->relid);
	Oid user = OidIsValid(rte->checkAsUser) ? rte->checkAsUser : GetUserId();

	if (table == NULL || table->security == TESS_NO_SECURITY ||
		superuser_arg(user) ||
		(table->security == TESS_SECURITY && is_owner(rte->relid, user)))
		return;
	/* a reference table on the coordinator has its own */
	if (table->key_column[0] == '\0' && !tess_origin_is_another())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a function of a shard cannot use table \"%s\", which has row-level security",
					table->name),
			 errdetail(
				 "The coordinator applies policies; the shards do not have them."),
			 errhint(
				 "Declare the function SECURITY DEFINER, with the owner of the table as its owner.")));
}

static void
check_relations(GuardWalk *walk, Query *query)
{
	Bitmapset *used = tess_survey_used(query);
	int rti = -1;

	while ((rti = bms_next_member(used, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		if (rte->rtekind != RTE_RELATION || rte->relid < FirstNormalObjectId)
			continue;
		check_security(walk, rte);
		if (tess_meta_table(rte->relid) != NULL)
			continue;
		check_other_relation(rte->relid);
		if (rti == query->resultRelation)
			refuse_target(rte->relid);
	}
}

/*
 * A node has one copy of a reference table, and a lock of its rows is not seen by
 * who changes them.  In process these are tables as ever.
 */
static void
check_row_marks(Query *query)
{
	ListCell *cell;

	if (!tess_origin_is_another())
		return;
	foreach(cell, query->rowMarks)
	{
		const RowMarkClause *mark = lfirst_node(RowMarkClause, cell);
		const RangeTblEntry *rte = rt_fetch(mark->rti, query->rtable);

		if (rte->rtekind != RTE_RELATION || rte->relid < FirstNormalObjectId ||
			tess_meta_table(rte->relid) != NULL)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a distributed function cannot lock rows of table \"%s\"",
						get_rel_name(rte->relid)),
				 errdetail(
					 "It runs in one shard, and locks rows of the shard's tables alone."),
				 errhint(
					 "Name the tables to lock (FOR UPDATE OF ...), or lock the rows outside of the function.")));
	}
}

/* Rows that are written ------------------------------------------------------- */

/* A default that the shard does not have would come out as NULL. */
static void
check_defaults(GuardWalk *walk, const TessTable *table, List *target_list)
{
	const TessCallTable *from = tess_shard_call_table(walk->call,
													  table->relation);
	ListCell *cell;

	foreach(cell, from->missing_defaults)
	{
		const char *column = lfirst(cell);

		if (get_tle_by_resno(target_list, get_attnum(table->relation, column)) !=
			NULL)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of table \"%s\" has no default in a distributed function",
						column, table->name),
				 errdetail(
					 "The coordinator computes it, because it is a sequence's or names an object there."),
				 errhint("Give the function its value as an argument.")));
	}
}

/* Statement triggers are the coordinator's to fire, and it knows nothing of what
 * happens here; nor of what foreign keys do then. */
static void
check_statement_triggers(GuardWalk *walk, const TessTable *table, int events)
{
	List *changed = list_make1_oid(table->relation);
	ListCell *cell;

	if (events != TESS_EVENT(CMD_INSERT))
		changed = tess_relation_cascades(changed, table->relation,
										 (events & TESS_EVENT(CMD_DELETE)) == 0);
	foreach(cell, changed)
	{
		const TessCallTable *fired = tess_shard_call_table(walk->call,
														   lfirst_oid(cell));
		bool is_target = lfirst_oid(cell) == table->relation;

		if (fired == NULL ||
			(fired->statement_events & (is_target ? events : ~0)) == 0)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a function of a shard cannot change table \"%s\", which has statement triggers",
						fired->name),
				 errdetail("The coordinator fires them, once for each statement."),
				 errhint("Use triggers FOR EACH ROW.")));
	}
}

/* The key of rows that an UPDATE leaves. */
static void
check_assigned(GuardWalk *walk, const TessTable *table, List *target_list,
			   Index target, Index excluded)
{
	TargetEntry *tle = get_tle_by_resno(target_list, table->key_attnum);
	TessFactValue *value;
	Expr *prune = NULL;
	Var *var;

	if (tle == NULL)
		return;
	var = (Var *) strip_implicit_coercions((Node *) tle->expr);
	if (IsA(var, Var) && var->varlevelsup == 0 &&
		var->varattno == table->key_attnum &&
		(var->varno == target || (excluded > 0 && var->varno == excluded)))
		return;
	value = tess_fact_value_make(table, (Node *) tle->expr);
	if (value != NULL)
		prune = tess_fact_prune(value, table);
	if (prune == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a distributed function cannot change the distribution key of table \"%s\"",
						table->name),
				 errdetail("The new key could belong to another shard."),
				 errhint("Change it outside of the function.")));
	walk->guard->prunes = list_append_unique(walk->guard->prunes, prune);
}

static void
check_conflict(GuardWalk *walk, const TessTable *table, Query *query)
{
	OnConflictExpr *conflict = query->onConflict;

	if (conflict != NULL && conflict->action == ONCONFLICT_UPDATE)
		check_assigned(walk, table, conflict->onConflictSet,
					   query->resultRelation, conflict->exclRelIndex);
}

static void
check_actions(GuardWalk *walk, const TessTable *table, Query *query)
{
	ListCell *cell;

	foreach(cell, query->mergeActionList)
	{
		const MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->commandType == CMD_UPDATE)
			check_assigned(walk, table, action->targetList,
						   query->resultRelation, 0);
		else if (action->commandType == CMD_INSERT)
			check_defaults(walk, table, action->targetList);
	}
}

static void
check_change(GuardWalk *walk, Query *query)
{
	const TessTable *table;

	if (query->resultRelation == 0)
		return;
	table = tess_meta_table(rt_fetch(query->resultRelation, query->rtable)->relid);
	if (table == NULL)
		return;
	check_statement_triggers(walk, table, tess_events_of_change(query));
	switch (query->commandType)
	{
		case CMD_INSERT:
			walk->guard->inserts = true;
			check_defaults(walk, table, query->targetList);
			check_conflict(walk, table, query);
			break;
		case CMD_UPDATE:
			check_assigned(walk, table, query->targetList,
						   query->resultRelation, 0);
			break;
		case CMD_MERGE:
			walk->guard->inserts = true;
			check_actions(walk, table, query);
			break;
		default:
			break;
	}
}

/* Its values are OIDs of the coordinator, which mean other objects here. */
static void
refuse_number(const TessTable *table, AttrNumber attnum)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a distributed function cannot use column \"%s\" of table \"%s\"",
					get_attname(table->relation, attnum, false), table->name),
			 errdetail("It names objects, as type %s does, which the shard's server does not know.",
					   format_type_be(get_atttype(table->relation, attnum))),
			 errhint("Use the column outside of the function.")));
}

static void
check_numbers(Query *query)
{
	int rti = 0;
	ListCell *cell;

	foreach(cell, query->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		const TessTable *table = rte->rtekind == RTE_RELATION
									 ? tess_meta_table(rte->relid)
									 : NULL;
		Bitmapset *used;
		int at = -1;

		rti++;
		if (table == NULL)
			continue;
		used = bms_union(rte->selectedCols,
						 bms_union(rte->insertedCols, rte->updatedCols));
		while ((at = bms_next_member(used, at)) >= 0)
		{
			AttrNumber attnum = at + FirstLowInvalidHeapAttributeNumber;

			if (attnum > 0 &&
				tess_type_is_number(get_atttype(table->relation, attnum)))
				refuse_number(table, attnum);
		}
	}
}

static bool
guard_walker(Node *node, GuardWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		check_relations(walk, query);
		check_row_marks(query);
		check_change(walk, query);
		check_numbers(query);
		return query_tree_walker(query, guard_walker, walk, 0);
	}
	return expression_tree_walker(node, guard_walker, walk);
}

/* The statement ---------------------------------------------------------------- */

/* The shard's tables that are read or changed, for a message. */
static char *
table_names(const TessSurvey *survey)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, survey->distributed)
	{
		char *name = get_rel_name(lfirst_node(RangeTblEntry, cell)->relid);
		ListCell *other;

		foreach(other, names)
			if (strcmp(lfirst(other), name) == 0)
				break;
		if (other == NULL)
			names = lappend(names, name);
	}
	return tess_name_list(names);
}

static TessGuard *
make_guard(Query *query, const TessShardCall *call)
{
	TessGuard *guard = palloc0(sizeof(TessGuard));
	GuardWalk walk = {call, guard};
	TessSurvey *survey;
	const TessTable *table;
	List *bound;

	(void) guard_walker((Node *) query, &walk);
	survey = tess_survey_make(query);
	if (survey->distributed == NIL)
		return NULL;
	table = tess_meta_table(
		linitial_node(RangeTblEntry, survey->distributed)->relid);
	if (!tess_pin_find_each(query, &bound))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("statement of a distributed function is not bound to one key"),
				 errdetail("It would read or change %s in one shard only.",
						   table_names(survey)),
				 errhint("Let a condition say that the distribution key (\"%s\" of table \"%s\") equals one value.",
						 get_attname(table->relation, table->key_attnum, false),
						 table->name)));
	guard->shard_id = call->shard_id;
	guard->key_type = table->key_type;
	guard->key_collation = table->key_collation;
	guard->prunes = list_concat_unique(guard->prunes, bound);
	return guard;
}

bool tess_in_foreign_key = false;

/* See fragment.h.  Statements of foreign keys are the shard's own business. */
TessGuard *
tess_guard_make(Query *query)
{
	const TessShardCall *call;
	TessGuard *guard;

	if (!tess_in_shard_call() || query->commandType == CMD_UTILITY ||
		(InNoForceRLSOperation() && !tess_in_foreign_key) || !tess_is_active())
		return NULL;
	call = tess_shard_call_pin();
	tess_shard_call_show(call);
	PG_TRY();
	{
		guard = make_guard(query, call);
	}
	PG_FINALLY();
	{
		tess_shard_call_hide();
		tess_shard_call_unpin(call);
	}
	PG_END_TRY();
	return guard;
}

/* The guard in a finished plan ------------------------------------------------- */

#define GUARD_NAME "tessera guard"

static Node *
oid_constant(Oid value)
{
	return (Node *) makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
							  ObjectIdGetDatum(value), false, true);
}

/*
 * It stands at the end of the range table, as an entry that no node of the plan
 * scans: core copies that with the plan, and executes the plan as it is.
 */
void
tess_guard_attach(PlannedStmt *stmt, const TessGuard *guard, List *prunes)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_RESULT;
	rte->eref = makeAlias(GUARD_NAME,
						  list_make2(makeString(psprintf(INT64_FORMAT,
														 guard->shard_id)),
									 makeBoolean(guard->inserts)));
	rte->values_lists = list_make3(oid_constant(guard->key_type),
								   oid_constant(guard->key_collation), prunes);
	stmt->rtable = lappend(stmt->rtable, rte);
}

bool
tess_guard_of(const PlannedStmt *stmt, TessGuard *guard)
{
	const RangeTblEntry *rte = stmt->rtable != NIL ? llast(stmt->rtable) : NULL;

	if (rte == NULL || rte->rtekind != RTE_RESULT || rte->values_lists == NIL ||
		strcmp(rte->eref->aliasname, GUARD_NAME) != 0)
		return false;
	guard->shard_id = pg_strtoint64(strVal(linitial(rte->eref->colnames)));
	guard->inserts = boolVal(lsecond(rte->eref->colnames));
	guard->key_type = DatumGetObjectId(
		linitial_node(Const, rte->values_lists)->constvalue);
	guard->key_collation = DatumGetObjectId(
		lsecond_node(Const, rte->values_lists)->constvalue);
	guard->prunes = lthird(rte->values_lists);
	return true;
}
