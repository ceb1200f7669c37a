/*
 * part_ctes.c - WITH queries of a level, for a part of it that becomes a
 * fragment (component.c).
 *
 * The part takes along those that it names, and those that they name.  A WITH
 * query is computed once (inline.c has seen to the others): so all that name it
 * have to come along.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "fragment/fragment_internal.h"

typedef struct ReferenceWalk
{
	List *ctes; /* of the level */
	int depth;	/* levels below it */
	Bitmapset *named;
} ReferenceWalk;

static bool
reference_walker(Node *node, ReferenceWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		ListCell *cell;

		if (rte->rtekind != RTE_CTE || (int) rte->ctelevelsup != walk->depth)
			return false;
		foreach(cell, walk->ctes)
			if (strcmp(lfirst_node(CommonTableExpr, cell)->ctename,
					   rte->ctename) == 0)
				walk->named = bms_add_member(walk->named,
											 foreach_current_index(cell));
		return false;
	}
	if (IsA(node, Query))
	{
		walk->depth++;
		(void) query_tree_walker((Query *) node, reference_walker, walk,
								 QTW_EXAMINE_RTES_BEFORE |
									 QTW_IGNORE_JOINALIASES);
		walk->depth--;
		return false;
	}
	return expression_tree_walker(node, reference_walker, walk);
}

/* True if an expression, or a subquery in FROM, names a WITH query of the level. */
bool
tess_names_cte(Query *level, Node *node)
{
	ReferenceWalk walk = {level->cteList};

	(void) reference_walker(node, &walk);
	return walk.named != NULL;
}

/* Which WITH queries of the level the part names, itself or by others that it
 * names.  Each names only such as stand before it. */
static Bitmapset *
needed_ctes(Query *level, Query *part)
{
	ReferenceWalk walk = {level->cteList};

	(void) query_tree_walker(part, reference_walker, &walk,
							 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	for (int i = list_length(level->cteList) - 1; i >= 0; i--)
		if (bms_is_member(i, walk.named))
			(void) reference_walker(list_nth_node(CommonTableExpr,
												  level->cteList, i)
										->ctequery,
									&walk);
	return walk.named;
}

/* Which of them are named by what is left: those counted in CTEs say what they
 * were before others were inlined. */
static Bitmapset *
ctes_of_rest(Query *rest, Bitmapset *needed)
{
	ReferenceWalk walk = {rest->cteList};
	ListCell *cell;

	(void) query_tree_walker(rest, reference_walker, &walk,
							 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES |
								 QTW_IGNORE_CTE_SUBQUERIES);
	foreach(cell, rest->cteList)
		if (!bms_is_member(foreach_current_index(cell), needed))
			(void) reference_walker(lfirst_node(CommonTableExpr, cell)->ctequery,
									&walk);
	return walk.named;
}

/*
 * Gives the part, which has none, the WITH queries that it needs of the level,
 * from which its tables have been taken already; they stand in both then.
 * False if something else in the level names one of them, too.
 */
bool
tess_part_add_ctes(Query *level, Query *part)
{
	Bitmapset *needed = needed_ctes(level, part);
	int i = -1;

	if (bms_overlap(needed, ctes_of_rest(level, needed)))
		return false;
	while ((i = bms_next_member(needed, i)) >= 0)
		part->cteList = lappend(part->cteList, list_nth(level->cteList, i));
	return true;
}
