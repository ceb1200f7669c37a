/*
 * fragment.c - queries that each shard answers for itself, and how they stand
 * in a statement: as subqueries in FROM that core plans but does not pull up.
 *
 * The fence is LIMIT (ALL, if there is none), which changes nothing but keeps core from moving
 * conditions in or the query out.  The entry is marked in enrname, which core
 * leaves alone in subqueries and copies with them.  What core plans for the
 * subquery gives its rows, width and statistics; fragment_scan.c puts another
 * path in its place.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "deparse/deparse.h"
#include "fragment/fragment_internal.h"
#include "fragment/locus.h"

#define MARK_PREFIX "tessera fragment "
/* What core makes no use of: it marks the subquery for those who plan it. */
#define FRAGMENT_SOURCE QSRC_PARSER

/* What may not stand in a fragment ------------------------------------------ */

/* True for references to levels around the outermost one, and for system
 * columns.  *depth: levels that the walk is in. */
static bool
foreign_walker(Node *node, int *depth)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		return (int) var->varlevelsup > *depth || var->varattno < 0;
	}
	if (IsA(node, Aggref))
	{
		if ((int) ((Aggref *) node)->agglevelsup > *depth)
			return true;
	}
	else if (IsA(node, GroupingFunc))
	{
		if ((int) ((GroupingFunc *) node)->agglevelsup > *depth)
			return true;
	}
	else if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE && (int) rte->ctelevelsup > *depth;
	}
	else if (IsA(node, Query))
	{
		bool found;

		(*depth)++;
		found = query_tree_walker((Query *) node, foreign_walker, depth,
								  QTW_EXAMINE_RTES_BEFORE |
									  QTW_IGNORE_JOINALIASES);
		(*depth)--;
		return found;
	}
	return expression_tree_walker(node, foreign_walker, depth);
}

/* True if an expression refers to levels around that of its own. */
bool
tess_refers_outside(Node *expression)
{
	int depth = 0;

	return foreign_walker(expression, &depth);
}

/* Making one ----------------------------------------------------------------- */

/* Names that do not repeat, for those who select from it. */
static void
name_columns(Query *query)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		const char *name = entry->resname ? entry->resname : "?column?";
		int room = pg_mbcliplen(name, strlen(name), NAMEDATALEN - 12);
		char *unique = pstrdup(name);
		ListCell *other;

		if (entry->resjunk)
			continue;
		for (int number = 1;; number++)
		{
			foreach(other, names)
				if (strcmp(strVal(lfirst(other)), unique) == 0)
					break;
			if (other == NULL)
				break;
			unique = psprintf("%.*s_%d", room, name, number);
		}
		entry->resname = unique;
		names = lappend(names, makeString(unique));
	}
}

/* Tables of the group and reference tables only, read with the rights of one
 * role, and nothing with conditions that the text would not show. */
static bool
has_only_ours(Query *query, const TessTable *table, TessFragmentQuery *fragment)
{
	TessSurvey *survey = tess_survey_make(query);
	ListCell *cell;

	if (survey->distributed == NIL || survey->has_local || survey->has_security ||
		survey->locks_reference || survey->locks_distributed)
		return false;
	fragment->role = linitial_node(RangeTblEntry, survey->distributed)->checkAsUser;
	foreach(cell, list_concat_copy(survey->distributed, survey->references))
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		const TessTable *other = tess_meta_table(rte->relid);

		if (rte->checkAsUser != fragment->role ||
			(other->kind == TESS_DISTRIBUTED && other->group != table->group))
			return false;
		fragment->relations = list_append_unique_oid(fragment->relations,
													 rte->relid);
	}
	return true;
}

/*
 * A fragment of the query, which has to be sharded by table's group
 * (locus.c), with these keys (TessTerm *, output columns).  NULL if it cannot
 * be sent as it is.  The query is kept, and gets
 * column names that do not repeat; junk columns are none of its output.
 */
TessFragmentQuery *
tess_fragment_query_make(const TessTable *table, Query *query, List *keys)
{
	TessFragmentQuery *fragment = palloc0(sizeof(TessFragmentQuery));
	TessBindings bindings = {&fragment->travel};
	int depth = -1;
	const char *reason = NULL;
	Node *sent;
	ListCell *cell;

	if (foreign_walker((Node *) query, &depth) ||
		!has_only_ours(query, table, fragment))
		return NULL;
	foreach(cell, fragment->relations)
		tess_travel_add(&fragment->travel, lfirst_oid(cell));
	fragment->travel.sublinks = true;

	name_columns(query);
	sent = tess_bind(&bindings, (Node *) query);
	if (!tess_travels(&fragment->travel, sent))
		return NULL;
	fragment->template = tess_deparse_query(castNode(Query, sent), &reason);
	if (fragment->template == NIL)
		return NULL;

	fragment->query = query;
	fragment->anchor = table->relation;
	fragment->exprs = bindings.exprs;
	foreach(cell, keys)
		fragment->keys = lappend_int(fragment->keys,
									 ((TessTerm *) lfirst(cell))->attno);
	fragment->prune = tess_locus_prune(table, query);
	return fragment;
}

/* How it stands in a tree ------------------------------------------------------ */

/* Output columns; junk stands at the end. */
List *
tess_fragment_columns(const TessFragmentQuery *fragment)
{
	List *columns = NIL;
	ListCell *cell;

	foreach(cell, fragment->query->targetList)
		if (!lfirst_node(TargetEntry, cell)->resjunk)
			columns = lappend(columns, lfirst(cell));
	return columns;
}

/* The entry of a fragment in FROM.  Takes a number in the planner's frame. */
RangeTblEntry *
tess_fragment_entry(TessFragmentQuery *fragment)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List *names = NIL;
	ListCell *cell;

	foreach(cell, tess_fragment_columns(fragment))
		names = lappend(names,
						makeString(lfirst_node(TargetEntry, cell)->resname));

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = copyObject(fragment->query);
	if (rte->subquery->limitCount == NULL)
		rte->subquery->limitCount = (Node *) makeNullConst(INT8OID, -1,
														   InvalidOid);
	rte->subquery->canSetTag = true;
	rte->subquery->querySource = FRAGMENT_SOURCE;
	rte->alias = makeAlias("fragment", NIL);
	rte->eref = makeAlias("fragment", names);
	rte->inFromCl = true;
	rte->enrname = psprintf(MARK_PREFIX "%d", tess_frame_add_fragment(fragment));
	return rte;
}

/* The fragment an entry stands for; NULL if it is none. */
TessFragmentQuery *
tess_fragment_of(const RangeTblEntry *rte)
{
	int number;

	if (rte->rtekind != RTE_SUBQUERY || rte->enrname == NULL ||
		sscanf(rte->enrname, MARK_PREFIX "%d", &number) != 1)
		return NULL;
	return tess_frame_fragment(number);
}

/* True if core plans what is inside of a fragment, to know what it will cost the
 * nodes. */
bool
tess_fragment_is_around(const PlannerInfo *root)
{
	for (; root != NULL; root = root->parent_root)
		if (root->parse->querySource == FRAGMENT_SOURCE)
			return true;
	return false;
}
