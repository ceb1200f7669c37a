/*
 * policies.c - row security of rows that are written to a distributed table.
 *
 * PostgreSQL checks a row against the policies before it is written, so before
 * any constraint: an error of these would tell of rows that the user may not see.
 * So the conditions are evaluated here, by TesseraModify, on the rows that it is
 * about to send (exec/policy_rows.c).  They are planned by core, where they are
 * (withCheckOptions), over columns of the target; this file says which column of
 * the source each of these is.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "plan/plan_internal.h"

/* True for a condition of row security, and not a view's. */
bool
tess_is_policy(const WithCheckOption *option)
{
	return option->kind != WCO_VIEW_CHECK;
}

/* True if policies check the rows that a statement writes. */
bool
tess_has_policies(const Query *parse)
{
	ListCell *cell;

	foreach(cell, parse->withCheckOptions)
		if (tess_is_policy(lfirst_node(WithCheckOption, cell)))
			return true;
	return false;
}

/* True if rows that conflict, and what DO UPDATE makes of them, are checked. */
bool
tess_policies_check_conflicts(const Query *parse)
{
	return parse->onConflict != NULL &&
		   parse->onConflict->action == ONCONFLICT_UPDATE &&
		   tess_has_policies(parse);
}

/* What is computed in a stored generated column, for each of them: the row that
 * is sent does not have it yet. */
static List *
generated_columns(Relation rel, Index target)
{
	TupleDesc desc = RelationGetDescr(rel);
	List *tlist = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Node *expr;

		if (TupleDescAttr(desc, i)->attgenerated == '\0')
			continue;
		expr = build_column_default(rel, i + 1);
		ChangeVarNodes(expr, 1, target, 0);
		tlist = lappend(tlist,
						makeTargetEntry((Expr *) expr, i + 1, NULL, false));
	}
	return tlist;
}

static void
refuse_policies(const TessJob *job, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("cannot change table \"%s\" under row-level security",
						   job->survey->target->name),
					errdetail("%s", detail), errhint("%s", hint)));
}

/* A trigger makes other rows in the shard, and they are what is to be checked. */
static void
refuse_triggers(const TessJob *job)
{
	const Query *parse = job->parse;
	const TessTable *table = job->survey->target;

	if ((parse->commandType == CMD_INSERT && table->alters_inserts) ||
		((parse->commandType == CMD_UPDATE ||
		  tess_policies_check_conflicts(parse)) &&
		 table->alters_updates))
		refuse_policies(job,
						_("Policies check rows as its BEFORE triggers leave them in the shards."),
						_("Use a role that bypasses row-level security."));
}

/*
 * Puts the conditions into a form that can be evaluated on the row that is sent:
 * over plain columns that are not generated.  Errors with 0A000 where they
 * cannot be.  In place.
 */
void
tess_policies_prepare(TessJob *job)
{
	Query *parse = job->parse;
	Index target = parse->resultRelation;
	RangeTblEntry *rte = rt_fetch(target, parse->rtable);
	Relation rel;
	List *generated;
	ListCell *cell;

	if (!tess_has_policies(parse))
		return;
	if (parse->commandType == CMD_MERGE)
		refuse_policies(job, _("MERGE does not check the policies yet."),
						_("Use INSERT, UPDATE and DELETE."));
	refuse_triggers(job);
	rel = relation_open(rte->relid, NoLock);
	generated = generated_columns(rel, target);
	relation_close(rel, NoLock);
	foreach(cell, parse->withCheckOptions)
	{
		WithCheckOption *option = lfirst_node(WithCheckOption, cell);
		ListCell *var;

		if (!tess_is_policy(option))
			continue;
		option->qual = ReplaceVarsFromTargetList(option->qual, target, 0, rte,
												 generated,
												 REPLACEVARS_CHANGE_VARNO,
												 target, NULL);
		foreach(var, pull_vars_of_level(option->qual, 0))
			if (lfirst_node(Var, var)->varattno < 0)
				refuse_policies(job, _("A policy names a system column."),
								_("Use a role that bypasses row-level security."));
	}
}

/* The columns of the target that the conditions name: attribute numbers. */
List *
tess_policy_columns(const Query *parse)
{
	List *columns = NIL;
	ListCell *cell;

	foreach(cell, parse->withCheckOptions)
	{
		const WithCheckOption *option = lfirst_node(WithCheckOption, cell);
		ListCell *var;

		if (!tess_is_policy(option))
			continue;
		foreach(var, pull_vars_of_level(option->qual, 0))
			if (lfirst_node(Var, var)->varno == parse->resultRelation)
				columns = list_append_unique_int(columns,
												 lfirst_node(Var, var)->varattno);
	}
	return columns;
}

/* For check_functions_in_node */
static bool
is_of_users(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

static bool
may_read_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, SubLink) ||
		   check_functions_in_node(node, is_of_users, NULL) ||
		   expression_tree_walker(node, may_read_walker, context);
}

/* True if a condition may read tables, which are to be as they were before the
 * statement. */
static bool
may_read_tables(const Query *parse)
{
	ListCell *cell;

	foreach(cell, parse->withCheckOptions)
	{
		const WithCheckOption *option = lfirst_node(WithCheckOption, cell);

		if (tess_is_policy(option) && may_read_walker(option->qual, NULL))
			return true;
	}
	return false;
}

static int
position_of(const List *attnums, const List *positions, AttrNumber attno)
{
	const ListCell *attnum;
	const ListCell *position;

	forboth(attnum, attnums, position, positions)
		if (lfirst_int(attnum) == attno)
			return lfirst_int(position);
	return -1;
}

/* Where the row that is written has the columns of the scan's tuple, which may be
 * of the target, or of others. */
static List *
sources_of(const TessColumns *columns, const List *attnums, const List *positions)
{
	List *sources = NIL;
	ListCell *cell;

	foreach(cell, columns->scan_tlist)
	{
		const Var *var = (Var *) lfirst_node(TargetEntry, cell)->expr;
		bool is_column = IsA(var, Var) && var->varno == columns->varno &&
						 var->varattno > 0;

		sources = lappend_int(sources, is_column ? position_of(attnums, positions,
															   var->varattno)
												 : -1);
	}
	return sources;
}

/*
 * Says where the new row has the columns that policies look at: attnums and the
 * positions in the child's row are parallel.  Columns that nobody else needs become
 * part of the scan's tuple.
 */
void
tess_policies_describe(TessJob *job, TessModifySpec *spec, TessColumns *columns,
					   const List *attnums, const List *positions)
{
	const Query *parse = job->parse;
	ListCell *cell;

	if (!tess_has_policies(parse))
		return;
	foreach(cell, tess_policy_columns(parse))
	{
		Var *var = tess_target_var(job->survey->target, columns->varno,
								   lfirst_int(cell));

		if (tess_columns_has_var(columns, var))
			continue;
		columns->scan_tlist = lappend(columns->scan_tlist,
									  makeTargetEntry((Expr *) var,
													  list_length(
														  columns->scan_tlist) +
														  1,
													  NULL, false));
		columns->sources = lappend_int(columns->sources,
									   TESS_FROM_CHILD(
										   Max(position_of(attnums, positions,
														   var->varattno),
											   0)));
	}
	spec->policy_sources = sources_of(columns, attnums, positions);
	if (may_read_tables(parse))
		spec->reads_first = true;
}

/* The same for the rows that DO UPDATE makes: positions are those in SET. */
void
tess_policies_describe_set(TessJob *job, TessModifySpec *spec,
						   const TessColumns *columns, const List *attnums,
						   const List *positions)
{
	if (tess_has_policies(job->parse))
		spec->policy_assigned = sources_of(columns, attnums, positions);
}

/* The conditions that core has planned, without what they say, for exec/; and that
 * (*exprs, appended). */
List *
tess_policies_take(const List *options, List **exprs)
{
	List *policies = NIL;
	const ListCell *cell;

	foreach(cell, options)
	{
		WithCheckOption *option = copyObject(lfirst_node(WithCheckOption, cell));

		if (!tess_is_policy(option))
			continue;
		/* the planner has made a list of it */
		*exprs = lappend(*exprs,
						 make_ands_explicit(castNode(List, option->qual)));
		option->qual = NULL;
		policies = lappend(policies, option);
	}
	return policies;
}
