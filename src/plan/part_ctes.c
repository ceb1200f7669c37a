/*
 * part_ctes.c - WITH queries of a level, for a part of it that becomes a
 * fragment (component.c).
 *
 * The part gets copies of those that it names, and of those that they name.  A
 * WITH query is computed once: so all that name it have to come along, or the
 * user has said NOT MATERIALIZED.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "plan/fragment.h"

typedef struct ReferenceWalk
{
	List *ctes;	 /* of the level */
	int depth;	 /* levels below it */
	int *counts; /* how often each is named */
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
				walk->counts[foreach_current_index(cell)]++;
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

/* Of each WITH query of a level: how often the part and what comes with it name
 * it, and by how many of these references the level loses. */
typedef struct References
{
	int *needed;
	int *leaving;
} References;

/* Each names only such as stand before it. */
static References
count_references(Query *level, Query *part)
{
	ReferenceWalk walk = {level->cteList};
	Size size = sizeof(int) * list_length(level->cteList);
	References references = {palloc0(size), palloc0(size)};

	walk.counts = references.needed;
	(void) query_tree_walker(part, reference_walker, &walk,
							 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	memcpy(references.leaving, references.needed, size);
	for (int i = list_length(level->cteList) - 1; i >= 0; i--)
	{
		CommonTableExpr *cte = list_nth_node(CommonTableExpr, level->cteList, i);

		if (references.needed[i] == 0)
			continue;
		walk.counts = references.needed;
		(void) reference_walker(cte->ctequery, &walk);
		walk.counts = references.leaving;
		if (references.leaving[i] == cte->cterefcount)
			(void) reference_walker(cte->ctequery, &walk);
	}
	return references;
}

/*
 * Gives the part copies of the level's WITH queries that it needs.  False if
 * one of them would be computed twice.  leaving: for tess_part_drop_ctes.
 */
bool
tess_part_copy_ctes(Query *level, Query *part, int **leaving)
{
	References references = count_references(level, part);
	ListCell *cell;

	foreach(cell, level->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		int index = foreach_current_index(cell);

		if (references.needed[index] == 0)
			continue;
		if (references.leaving[index] < cte->cterefcount &&
			cte->ctematerialized != CTEMaterializeNever)
			return false;
		cte = copyObject(cte);
		cte->cterefcount = references.needed[index];
		part->cteList = lappend(part->cteList, cte);
	}
	*leaving = references.leaving;
	return true;
}

/* Takes references away from the level; what nobody names goes with them. */
void
tess_part_drop_ctes(Query *level, const int *leaving)
{
	List *staying = NIL;
	ListCell *cell;

	foreach(cell, level->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);
		int count = leaving[foreach_current_index(cell)];

		cte->cterefcount -= count;
		if (count == 0 || cte->cterefcount > 0)
			staying = lappend(staying, cte);
	}
	level->cteList = staying;
}
