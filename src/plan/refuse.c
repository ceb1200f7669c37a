/*
 * refuse.c - statements that no strategy may plan, and what to do instead.
 *
 * All are 0A000.  What is refused here could not be made right by reading rows
 * to the coordinator; what could, is not refused.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "plan/plan_internal.h"

/* True if a SET list assigns to a column that a foreign key may refer to. */
bool
tess_assigns_referenced(List *target_list, Oid relation)
{
	Relation rel = relation_open(relation, NoLock);
	Bitmapset *keys = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	bool found = false;
	ListCell *cell;

	foreach(cell, target_list)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, cell);

		if (!tle->resjunk &&
			bms_is_member(tle->resno - FirstLowInvalidHeapAttributeNumber, keys))
			found = true;
	}
	relation_close(rel, NoLock);
	return found;
}

/* True if a change deletes rows, or assigns to what a foreign key may refer
 * to. */
static bool
changes_referenced(Query *parse, Oid relation)
{
	ListCell *cell;

	if (parse->commandType == CMD_DELETE)
		return true;
	if (parse->commandType == CMD_UPDATE)
		return tess_assigns_referenced(parse->targetList, relation);
	if (parse->onConflict != NULL)
		return tess_assigns_referenced(parse->onConflict->onConflictSet,
									   relation);
	foreach(cell, parse->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, cell);

		if (action->commandType == CMD_DELETE ||
			(action->commandType == CMD_UPDATE &&
			 tess_assigns_referenced(action->targetList, relation)))
			return true;
	}
	return false;
}

/* Rows of a table that others refer to, across servers: nobody would see. */
static void
refuse_referenced(TessJob *job)
{
	const TessTable *table = job->survey->target;

	if (!OidIsValid(table->foreign_referrer) ||
		!changes_referenced(job->parse, table->relation))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot delete from or change the key of table \"%s\" because a foreign key of table \"%s\" refers to it",
					table->name, get_rel_name(table->foreign_referrer)),
			 errhint("Distribute table \"%s\" as well, with the same key.",
					 get_rel_name(table->foreign_referrer))));
}

/*
 * Late minor versions of PostgreSQL have a kind of check more, the last: the row
 * that conflicts has to satisfy the conditions of the view.  It is on its node.
 */
static void
refuse_conflict_check(TessJob *job)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot run INSERT with ON CONFLICT DO UPDATE on table \"%s\" through a view with conditions",
					job->survey->target->name),
			 errhint("Insert into the table itself.")));
}

/* True if conditions that come with the role apply to the rows that are
 * written, or more than check options of views. */
static bool
is_secured(const Query *parse)
{
	RangeTblEntry *rte = rt_fetch(parse->resultRelation, parse->rtable);

	return tess_has_policies(parse) ||
		   (rte->securityQuals != NIL && parse->hasRowSecurity);
}

/* Conditions of a view, and of policies, are checked here: in their order, as rows
 * are read; those of policies also on rows that are about to be written, and check
 * options on what nodes return. */
static void
refuse_security(TessJob *job)
{
	ListCell *cell;

	foreach(cell, job->parse->withCheckOptions)
		if (lfirst_node(WithCheckOption, cell)->kind > WCO_RLS_MERGE_DELETE_CHECK)
			refuse_conflict_check(job);
	tess_policies_prepare(job);
}

/* Whether a change is to be one that PostgreSQL's own plan makes in this
 * server's copy, and that is repeated: whatever it can do is right then.
 * Rows of an INSERT are sent as they are where that is enough.  Triggers are
 * here alone. */
bool
tess_must_repeat(TessJob *job)
{
	if (job->survey->target->kind != TESS_REFERENCE)
		return false;
	return job->parse->commandType != CMD_INSERT ||
		   job->survey->target->has_triggers || is_secured(job->parse) ||
		   !tess_on_conflict_suits_nodes(job);
}

/* Raises 0A000 for what no strategy may do. */
void
tess_refuse_unsupported(TessJob *job)
{
	TessSurvey *survey = job->survey;

	if (survey->target == NULL)
		return;
	if (survey->target->kind == TESS_REFERENCE)
	{
		refuse_referenced(job);
		return;
	}
	if (survey->has_current_of)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("WHERE CURRENT OF is not supported for table \"%s\"",
						survey->target->name),
				 errhint("Name the row by its key.")));
	refuse_security(job);
	tess_check_key_change(job);
	refuse_referenced(job);
}

/* Rows of partitions would have to be found again in another statement, or be
 * marked as moved, which is not done for them. */
void
tess_refuse_partitioned(const TessTable *table)
{
	if (table->is_partitioned)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this statement cannot change partitioned table \"%s\"",
						table->name),
				 errdetail(
					 "It may give rows another distribution key, or has to compute changes of single rows outside of their shards."),
				 errhint(
					 "Name the rows by their key, or change a partition itself.")));
}

/* Raises 0A000: no strategy could plan this change of our table. */
void
tess_refuse_target(TessJob *job, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("this statement cannot change table \"%s\"",
						   job->survey->target->name),
					job->reason ? errdetail_internal("%s", job->reason) : 0,
					errhint("%s", hint)));
}
