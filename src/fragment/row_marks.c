/*
 * row_marks.c - FOR UPDATE and FOR SHARE where distributed tables are read by
 * scans of their own.
 *
 * The coordinator has no row to lock, so the lock goes into what the table's
 * scan sends: the mark is taken off its query level and hung on the range
 * table entry (in enrname, which core leaves alone in relations' entries and
 * copies with them).  More rows may be locked than LIMIT or a join lets
 * through; never fewer.
 *
 * Where a level locks or changes rows of other tables, core would re-read a
 * distributed table's row by ctid from the empty shell when it has to check
 * the row again.  There the entry is fenced off: it becomes a subquery that
 * is not pulled up, whose rows core carries along whole.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/rel.h"

#include "fragment/fragment_internal.h"

#define MARK_PREFIX "tessera lock "
#define MARK_EARLY "tessera early"
#define MARK_LOCKED_EARLY " early"
#define MARK_ASKED " asked"

static bool move_walker(Node *node, bool *keeps_marks);
static bool fence_walker(Node *node, void *context);

/* Marks --------------------------------------------------------------------- */

/* The entry's scan locks the rows it reads. */
void
tess_mark_locked(RangeTblEntry *rte, LockClauseStrength strength,
				 LockWaitPolicy policy)
{
	LockClauseStrength known_strength;
	LockWaitPolicy known_policy;

	bool is_early = tess_mark_is_early(rte) || tess_mark_is_contested(rte);

	/* as core: the strongest, and the least patient */
	if (tess_mark_of(rte, &known_strength, &known_policy))
	{
		strength = Max(strength, known_strength);
		policy = Max(policy, known_policy);
	}
	rte->enrname = psprintf(MARK_PREFIX "%d %d%s%s", (int) strength,
							(int) policy, is_early ? MARK_LOCKED_EARLY : "",
							tess_mark_is_asked(rte) ? MARK_ASKED : "");
}

/* True if it is the user who wants the rows locked, and not what writes to them. */
bool
tess_mark_is_asked(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && rte->enrname != NULL &&
		   strstr(rte->enrname, MARK_ASKED) != NULL;
}

/* Whether, and how, the entry's scan locks rows. */
bool
tess_mark_of(const RangeTblEntry *rte, LockClauseStrength *strength,
			 LockWaitPolicy *policy)
{
	int read_strength;
	int read_policy;

	if (rte->rtekind != RTE_RELATION || rte->enrname == NULL ||
		sscanf(rte->enrname, MARK_PREFIX "%d %d", &read_strength,
			   &read_policy) != 2)
		return false;
	*strength = (LockClauseStrength) read_strength;
	*policy = (LockWaitPolicy) read_policy;
	return true;
}

/* The entry's scan asks the nodes before the statement writes, so for nothing that
 * is known only with rows.  No more, once it is to lock its rows. */
void
tess_mark_early(RangeTblEntry *rte)
{
	LockClauseStrength strength;
	LockWaitPolicy policy;

	if (!tess_mark_of(rte, &strength, &policy))
		rte->enrname = pstrdup(MARK_EARLY);
}

bool
tess_mark_is_early(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && rte->enrname != NULL &&
		   strcmp(rte->enrname, MARK_EARLY) == 0;
}

/* True for an entry whose rows are locked, if it was marked before that: several
 * parts of the statement change the table. */
bool
tess_mark_is_contested(const RangeTblEntry *rte)
{
	LockClauseStrength strength;
	LockWaitPolicy policy;

	return tess_mark_of(rte, &strength, &policy) &&
		   strstr(rte->enrname, MARK_LOCKED_EARLY) != NULL;
}

/* Whether core will have to check rows of this level again. */
static bool
rechecks_rows(const Query *query)
{
	return query->rowMarks != NIL || query->commandType == CMD_UPDATE ||
		   query->commandType == CMD_DELETE || query->commandType == CMD_MERGE;
}

static void
move_marks(Query *query)
{
	List *kept = NIL;
	ListCell *cell;

	foreach(cell, query->rowMarks)
	{
		RowMarkClause *mark = lfirst_node(RowMarkClause, cell);
		RangeTblEntry *rte = rt_fetch(mark->rti, query->rtable);

		if (tess_is_distributed(rte))
		{
			tess_mark_locked(rte, mark->strength, mark->waitPolicy);
			rte->enrname = psprintf("%s%s", rte->enrname, MARK_ASKED);
		}
		else if (rte->rtekind == RTE_RELATION)
			kept = lappend(kept, mark);
		/* marks of subqueries have been repeated inside them */
	}
	query->rowMarks = kept;
}

static bool
move_walker(Node *node, bool *rechecks)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		move_marks(query);
		if (rechecks_rows(query))
			*rechecks = true;
		return query_tree_walker(query, move_walker, rechecks, 0);
	}
	return expression_tree_walker(node, move_walker, rechecks);
}

/* Fences --------------------------------------------------------------------- */

/* System columns of one entry, which the fence gives numbers of its own.  Since they
 * become part of its row, so has the table's whole row then. */
typedef struct SystemColumns
{
	Index varno;
	int sublevels_up;
	int first;	/* number of the first of them */
	List *vars; /* Var *, over varno 1 */
	bool whole_rows;
} SystemColumns;

/* The number a system column has outside of the fence. */
static AttrNumber
system_column(SystemColumns *columns, const Var *var)
{
	ListCell *cell;

	foreach(cell, columns->vars)
		if (lfirst_node(Var, cell)->varattno == var->varattno &&
			lfirst_node(Var, cell)->vartype == var->vartype)
			return columns->first + foreach_current_index(cell);

	columns->vars = lappend(columns->vars,
							makeVar(1, var->varattno, var->vartype,
									var->vartypmod, var->varcollid, 0));
	return columns->first + list_length(columns->vars) - 1;
}

static bool
system_columns_walker(Node *node, SystemColumns *columns)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if (var->varno == columns->varno &&
			var->varlevelsup == columns->sublevels_up &&
			(var->varattno < 0 ||
			 (columns->whole_rows && var->varattno == InvalidAttrNumber)))
		{
			var->varattno = system_column(columns, var);
			var->varattnosyn = var->varattno;
		}
		return false;
	}
	if (IsA(node, Query))
	{
		bool result;

		columns->sublevels_up++;
		result = query_tree_walker((Query *) node, system_columns_walker,
								   columns, 0);
		columns->sublevels_up--;
		return result;
	}
	return expression_tree_walker(node, system_columns_walker, columns);
}

/* All columns under their own numbers, so that Vars outside stay true. */
static List *
fence_target_list(Oid relation)
{
	Relation rel = relation_open(relation, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	List *tlist = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr *expr;

		if (att->attisdropped)
			expr = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
		else
			expr = (Expr *) makeVar(1, att->attnum, att->atttypid,
									att->atttypmod, att->attcollation, 0);
		tlist = lappend(tlist,
						makeTargetEntry(expr, i + 1,
										pstrdup(NameStr(att->attname)), false));
	}
	relation_close(rel, NoLock);
	return tlist;
}

static void
fence_entry(Query *query, Index rti)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	RangeTblEntry *fence = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query *inner = makeNode(Query);
	SystemColumns columns = {rti};
	ListCell *cell;

	inner->targetList = fence_target_list(rte->relid);
	columns.first = list_length(inner->targetList) + 1;
	query_tree_walker(query, system_columns_walker, &columns, 0);
	columns.whole_rows = columns.vars != NIL;
	if (columns.whole_rows)
		query_tree_walker(query, system_columns_walker, &columns, 0);
	foreach(cell, columns.vars)
	{
		inner->targetList = lappend(inner->targetList,
									makeTargetEntry(lfirst(cell),
													list_length(inner->targetList) +
														1,
													pstrdup("system"), false));
	}

	ref->rtindex = 1;
	inner->commandType = CMD_SELECT;
	inner->canSetTag = true;
	inner->rtable = list_make1(rte);
	inner->jointree = makeFromExpr(list_make1(ref), NULL);
	inner->hasForUpdate = true; /* this is what keeps it from being pulled up */
	inner->hasSubLinks = rte->securityQuals != NIL && query->hasSubLinks;
	ChangeVarNodes((Node *) rte->securityQuals, rti, 1, 0);

	fence->rtekind = RTE_SUBQUERY;
	if (!columns.whole_rows)
		fence->relid = rte->relid; /* its whole row is of this type */
	fence->subquery = inner;
	fence->alias = copyObject(rte->alias);
	fence->eref = copyObject(rte->eref);
	foreach(cell, columns.vars)
		fence->eref->colnames = lappend(fence->eref->colnames,
										makeString(pstrdup("system")));
	fence->inFromCl = rte->inFromCl;
	lfirst(list_nth_cell(query->rtable, rti - 1)) = fence;
}

static void
fence_level(Query *query)
{
	Bitmapset *used = tess_survey_used(query);
	int rti = -1;

	while ((rti = bms_next_member(used, rti)) >= 0)
		if (rti != query->resultRelation &&
			tess_is_distributed(rt_fetch(rti, query->rtable)))
			fence_entry(query, rti);
}

static bool
fence_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		/* a fragment's row is carried along whole by its scan */
		if (rte->rtekind == RTE_SUBQUERY && tess_fragment_of(rte) == NULL)
			return fence_walker((Node *) rte->subquery, context);
		return false;
	}
	if (IsA(node, Query))
	{
		/* inner levels first: fences are queries too, but need no fence */
		if (query_tree_walker((Query *) node, fence_walker, context,
							  QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_RT_SUBQUERIES))
			return true;
		fence_level((Query *) node);
		return false;
	}
	return expression_tree_walker(node, fence_walker, context);
}

/*
 * Moves the row marks of distributed tables into their own scans, in place.
 * True if some level locks or changes rows of the coordinator: then
 * tess_row_marks_fence has to follow.
 */
bool
tess_row_marks_move(Query *query)
{
	bool rechecks = false;

	move_walker((Node *) query, &rechecks);
	return rechecks;
}

/* Fences off the scans of distributed tables at all levels, since the planner
 * moves tables of sublinks up.  In place. */
void
tess_row_marks_fence(Query *query)
{
	fence_walker((Node *) query, NULL);
}
