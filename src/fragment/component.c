/*
 * component.c - the parts of FROM that are sharded, where a level as a whole
 * is not: each becomes a fragment, with the conditions on it alone.
 *
 * Members of inner joins are taken together as long as what they make is
 * sharded, standing alone with the conditions that speak of nothing else:
 * what holds them together must be among these.  Arms of outer joins are
 * parts of their own.  Conditions that refer to outer levels stay outside, so
 * that core can make joins of EXISTS and IN.
 *
 * A part's entries leave the level: its columns are those of the fragment.
 * They keep their numbers inside the fragment, whose range table is the
 * level's with everything else blanked out.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "fragment/fragment_internal.h"
#include "fragment/locus.h"

/* Part of an inner join: what may be taken, and what has been. */
typedef struct Part
{
	const TessTable *table;
	Query *level;
	List *items; /* of the join: RangeTblRef, JoinExpr */
	List *quals;

	Relids kept;	   /* entries that rows are locked or changed of */
	bool without_ctes; /* of the level: they have to stay */
	List *members;	   /* of items */
	Relids relids;	   /* of members, without joins */
} Part;

static Node *split_node(const TessTable *table, Query *level, Node *node);

/* Items ----------------------------------------------------------------------- */

/* What an item of FROM refers to by LATERAL, itself excluded. */
static Relids
lateral_relids(Query *level, Node *item)
{
	Relids own = get_relids_in_jointree(item, true);
	Relids needed = NULL;
	int rti = -1;

	while ((rti = bms_next_member(own, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, level->rtable);
		Node *inside = rte->rtekind == RTE_SUBQUERY	  ? (Node *) rte->subquery
					   : rte->rtekind == RTE_FUNCTION ? (Node *) rte->functions
					   : rte->rtekind == RTE_VALUES ? (Node *) rte->values_lists
													: NULL;

		if (inside != NULL && rte->lateral)
			needed = bms_add_members(needed,
									 pull_varnos_of_level(NULL, inside,
														  rte->rtekind ==
															  RTE_SUBQUERY));
	}
	return bms_del_members(needed, own);
}

/* Takes inner joins apart: what they join to items, how to quals; joins gets
 * their own numbers. */
static void
flatten_inner(Node *node, List **items, List **quals, Relids *joins)
{
	ListCell *cell;

	if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		JoinExpr *join = (JoinExpr *) node;

		*joins = bms_add_member(*joins, join->rtindex);
		flatten_inner(join->larg, items, quals, joins);
		flatten_inner(join->rarg, items, quals, joins);
		*quals = list_concat(*quals, make_ands_implicit((Expr *) join->quals));
	}
	else if (IsA(node, FromExpr))
	{
		FromExpr *from = (FromExpr *) node;

		foreach(cell, from->fromlist)
			flatten_inner(lfirst(cell), items, quals, joins);
		*quals = list_concat(*quals, make_ands_implicit((Expr *) from->quals));
	}
	else
		*items = lappend(*items, node);
}

/* Conditions -------------------------------------------------------------------- */

/* What nodes know by the part's tables. */
static TessTravel
part_travel(Part *part)
{
	TessTravel travel = {.sublinks = true};
	int rti = -1;

	while ((rti = bms_next_member(part->relids, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, part->level->rtable);

		if (rte->rtekind == RTE_RELATION)
			tess_travel_add(&travel, rte->relid);
	}
	return travel;
}

/* True if a condition could be evaluated in the part's shards, as far as it
 * alone can tell. */
static bool
fits_part(Part *part, const TessTravel *travel, Node *qual)
{
	Relids used = pull_varnos(NULL, qual);
	TessBindings bindings = {travel};

	if (bms_is_empty(used) || !bms_is_subset(used, part->relids) ||
		tess_refers_outside(qual) || contain_volatile_functions(qual) ||
		(part->without_ctes && tess_names_cte(part->level, qual)))
		return false;
	return tess_travels(travel, tess_bind(&bindings, qual));
}

static bool
is_sharded(Part *part, List *quals)
{
	FromExpr *from = makeFromExpr(part->members, (Node *) quals);

	return tess_locus_of_node(part->table, part->level, (Node *) from).kind ==
		   TESS_SHARDED;
}

/* The conditions that go into the fragment with the part's members. */
static List *
part_quals(Part *part)
{
	TessTravel travel = part_travel(part);
	List *quals = NIL;
	ListCell *cell;

	foreach(cell, part->quals)
		if (!checkExprHasSubLink(lfirst(cell)) &&
			fits_part(part, &travel, lfirst(cell)))
			quals = lappend(quals, lfirst(cell));
	foreach(cell, part->quals)
	{
		List *more;

		if (!checkExprHasSubLink(lfirst(cell)) ||
			!fits_part(part, &travel, lfirst(cell)))
			continue;
		more = lappend(list_copy(quals), lfirst(cell));
		if (is_sharded(part, more))
			quals = more;
	}
	return quals;
}

/* Growing ------------------------------------------------------------------------ */

static bool
is_joined(Part *part, Relids item)
{
	ListCell *cell;

	foreach(cell, part->quals)
	{
		Relids used = pull_varnos(NULL, lfirst(cell));

		if (bms_overlap(used, item) && bms_overlap(used, part->relids) &&
			!checkExprHasSubLink(lfirst(cell)))
			return true;
	}
	return false;
}

static bool
names_cte(Query *level, Node *item)
{
	Relids own = get_relids_in_jointree(item, false);
	int rti = -1;

	if (level->cteList == NIL)
		return false;
	while ((rti = bms_next_member(own, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, level->rtable);

		if (rte->rtekind == RTE_CTE ||
			tess_names_cte(level, (Node *) rte->subquery) ||
			tess_names_cte(level, (Node *) rte->functions) ||
			tess_names_cte(level, (Node *) rte->values_lists))
			return true;
	}
	return tess_names_cte(level, item);
}

/* Adds an item if what comes of it is sharded; false if not. */
static bool
try_member(Part *part, Node *item)
{
	Relids relids = part->relids;
	List *members = part->members;
	Relids own = get_relids_in_jointree(item, false);
	Relids lateral = lateral_relids(part->level, item);

	if (bms_overlap(own, part->kept) || !bms_is_subset(lateral, part->relids) ||
		(members != NIL && bms_is_empty(lateral) && !is_joined(part, own)))
		return false;
	if (part->without_ctes && names_cte(part->level, item))
		return false;

	part->relids = bms_union(part->relids, own);
	part->members = lappend(list_copy(members), item);
	if (is_sharded(part, part_quals(part)))
		return true;
	part->relids = relids;
	part->members = members;
	return false;
}

static void
grow(Part *part)
{
	bool grown = true;
	ListCell *cell;

	while (grown)
	{
		grown = false;
		foreach(cell, part->items)
			if (!list_member_ptr(part->members, lfirst(cell)) &&
				try_member(part, lfirst(cell)))
				grown = true;
	}
}

/* Columns ------------------------------------------------------------------------- */

typedef struct ColumnWalk
{
	Relids relids;
	int depth;
	List *vars; /* Var *, of depth 0: what is needed of the part */
	Index rti;	/* of the fragment, when they are renumbered */
} ColumnWalk;

static int
column_position(ColumnWalk *walk, const Var *var)
{
	ListCell *cell;

	foreach(cell, walk->vars)
	{
		Var *known = lfirst_node(Var, cell);

		if (known->varno == var->varno && known->varattno == var->varattno)
			return foreach_current_index(cell) + 1;
	}
	return 0;
}

/* Collects the part's columns, or (rti > 0) makes them the fragment's. */
static bool
columns_walker(Node *node, ColumnWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;
		int position;

		if (var->varlevelsup != walk->depth ||
			!bms_is_member(var->varno, walk->relids))
			return false;
		position = column_position(walk, var);
		if (walk->rti == 0 && position == 0)
		{
			Var *needed = copyObject(var);

			needed->varlevelsup = 0;
			walk->vars = lappend(walk->vars, needed);
		}
		else if (walk->rti > 0)
		{
			var->varno = walk->rti;
			var->varattno = position;
			var->varnosyn = 0;
			var->varattnosyn = 0;
		}
		return false;
	}
	if (IsA(node, Query))
	{
		bool found;

		walk->depth++;
		found = query_tree_walker((Query *) node, columns_walker, walk,
								  QTW_IGNORE_JOINALIASES);
		walk->depth--;
		return found;
	}
	return expression_tree_walker(node, columns_walker, walk);
}

/* Rows as values: only those of tables have a type that nodes know. */
static bool
can_come_out(Query *level, List *vars)
{
	ListCell *cell;

	foreach(cell, vars)
	{
		Var *var = lfirst_node(Var, cell);

		if (var->varattno < 0 ||
			(var->varattno == 0 &&
			 rt_fetch(var->varno, level->rtable)->rtekind != RTE_RELATION))
			return false;
	}
	return true;
}

static List *
target_list(Query *level, List *vars)
{
	List *tlist = NIL;
	ListCell *cell;

	foreach(cell, vars)
	{
		Var *var = lfirst_node(Var, cell);
		RangeTblEntry *rte = rt_fetch(var->varno, level->rtable);
		char *name = var->varattno == 0
						 ? rte->eref->aliasname
						 : get_rte_attribute_name(rte, var->varattno);

		tlist = lappend(tlist, makeTargetEntry((Expr *) copyObject(var),
											   list_length(tlist) + 1,
											   pstrdup(name), false));
	}
	if (tlist == NIL)
		tlist = list_make1(makeTargetEntry((Expr *) makeBoolConst(true, false),
										   1, pstrdup("present"), false));
	return tlist;
}

/* The fragment's place in the level -------------------------------------------------- */

static RangeTblEntry *
blank_entry(void)
{
	RangeTblEntry *blank = makeNode(RangeTblEntry);

	blank->rtekind = RTE_RESULT;
	blank->eref = makeAlias("*RESULT*", NIL);
	return blank;
}

/* A copy of a range table that keeps those (or all but those). */
static List *
range_table(List *rtable, Relids relids, bool keep_those)
{
	List *result = NIL;
	ListCell *cell;

	foreach(cell, rtable)
	{
		bool is_member = bms_is_member(foreach_current_index(cell) + 1, relids);

		result = lappend(result, is_member == keep_those ? lfirst(cell)
														 : blank_entry());
	}
	return result;
}

static Query *
part_query(Part *part, Relids entries, List *quals)
{
	Query *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = range_table(part->level->rtable, entries, true);
	query->jointree = makeFromExpr(part->members,
								   quals == NIL
									   ? NULL
									   : (Node *) make_ands_explicit(quals));
	query->hasSubLinks = part->level->hasSubLinks;
	query->hasRowSecurity = part->level->hasRowSecurity;
	return query;
}

/*
 * Takes the part out of the level and puts a fragment in its place; from is
 * the node of the level's join tree whose inner join the part is of, holding
 * all items and quals.  False if it cannot be sent.
 */
static bool
put_part(Part *part, FromExpr *from)
{
	Query *level = part->level;
	List *quals = part_quals(part);
	Relids entries = get_relids_in_jointree((Node *) makeFromExpr(part->members,
																  NULL),
											true);
	Query *query = part_query(part, entries, quals);
	ColumnWalk walk = {part->relids};
	TessFragmentQuery *fragment = NULL;
	List *rtable = level->rtable;
	FromExpr saved = *from;
	RangeTblRef *ref = makeNode(RangeTblRef);

	ref->rtindex = list_length(rtable) + 1;
	from->fromlist = lappend(list_difference_ptr(part->items, part->members),
							 ref);
	from->quals = (Node *) list_difference_ptr(part->quals, quals);
	level->rtable = range_table(rtable, entries, false);
	(void) query_tree_walker(level, columns_walker, &walk,
							 QTW_IGNORE_JOINALIASES);

	query->targetList = target_list(query, walk.vars);
	if (can_come_out(query, walk.vars) && tess_part_add_ctes(level, query))
		fragment = tess_fragment_query_make(part->table, copyObject(query),
											tess_locus_of_query(part->table, query)
												.keys);
	if (fragment == NULL)
	{
		*from = saved;
		level->rtable = rtable;
		return false;
	}

	level->cteList = list_difference_ptr(level->cteList, query->cteList);
	walk.rti = ref->rtindex;
	(void) query_tree_walker(level, columns_walker, &walk,
							 QTW_IGNORE_JOINALIASES);
	part->items = from->fromlist;
	part->quals = (List *) from->quals;
	level->rtable = lappend(level->rtable, tess_fragment_entry(fragment));
	return true;
}

/* Worth it: more than a scan of one table could do. */
static bool
is_worthwhile(Part *part)
{
	ListCell *cell;

	if (list_length(part->members) > 1 || IsA(linitial(part->members), JoinExpr))
		return true;
	foreach(cell, part_quals(part))
		if (checkExprHasSubLink(lfirst(cell)))
			return true;
	return false;
}

static bool
is_fragment(Query *level, Node *item)
{
	return IsA(item, RangeTblRef) &&
		   tess_fragment_of(rt_fetch(((RangeTblRef *) item)->rtindex,
									 level->rtable)) != NULL;
}

typedef struct ForgetWalk
{
	Relids joins;
	int depth;
} ForgetWalk;

static bool
forget_walker(Node *node, ForgetWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if ((int) var->varlevelsup == walk->depth &&
			bms_is_member(var->varnosyn, walk->joins))
			var->varnosyn = var->varattnosyn = 0;
		return false;
	}
	if (IsA(node, Query))
	{
		walk->depth++;
		(void) query_tree_walker((Query *) node, forget_walker, walk,
								 QTW_IGNORE_JOINALIASES);
		walk->depth--;
		return false;
	}
	return expression_tree_walker(node, forget_walker, walk);
}

/* Joins are no more: columns that were written as theirs are their tables'. */
static void
forget_joins(Query *level, Relids joins)
{
	ForgetWalk walk = {joins};

	if (joins != NULL)
		(void) query_tree_walker(level, forget_walker, &walk,
								 QTW_IGNORE_JOINALIASES);
}

/* Makes a part of the seed and what goes with it; false if it is not worth a
 * fragment. */
static bool
grow_from(Part *part, Node *seed)
{
	part->members = NIL;
	part->relids = NULL;
	if (!try_member(part, seed))
		return false;
	grow(part);
	return is_worthwhile(part);
}

/* What core has to see in the level itself. */
static Relids
entries_to_keep(Query *level)
{
	Relids kept = NULL;
	ListCell *cell;

	if (level->resultRelation > 0)
		kept = bms_add_member(kept, level->resultRelation);
	foreach(cell, level->rowMarks)
		kept = bms_add_member(kept, lfirst_node(RowMarkClause, cell)->rti);
	return kept;
}

/* Makes fragments of what is sharded among the items of an inner join. */
static void
split_inner(const TessTable *table, Query *level, FromExpr *from)
{
	Part part = {table, level};
	Relids joins = NULL;
	List *seeds;
	ListCell *cell;

	part.kept = entries_to_keep(level);

	foreach(cell, from->fromlist)
		flatten_inner(lfirst(cell), &part.items, &part.quals, &joins);
	part.quals = list_concat(part.quals,
							 make_ands_implicit((Expr *) from->quals));
	from->fromlist = part.items;
	from->quals = (Node *) part.quals;
	forget_joins(level, joins);

	seeds = list_copy(part.items);
	foreach(cell, seeds)
	{
		Node *seed = lfirst(cell);

		if (!list_member_ptr(part.items, seed) || is_fragment(level, seed))
			continue;
		part.without_ctes = false;
		if (!grow_from(&part, seed) || put_part(&part, from) ||
			level->cteList == NIL)
			continue;
		part.without_ctes = true;
		if (grow_from(&part, seed))
			(void) put_part(&part, from);
	}

	foreach(cell, from->fromlist)
		lfirst(cell) = split_node(table, level, lfirst(cell));
	from->quals = from->quals == NULL
					  ? NULL
					  : (Node *) make_ands_explicit((List *) from->quals);
}

/* Makes fragments below a node that is none itself; returns it, or what has
 * to stand in its place. */
static Node *
split_node(const TessTable *table, Query *level, Node *node)
{
	JoinExpr *join = (JoinExpr *) node;
	Node **arms[2];

	if (!IsA(node, JoinExpr))
		return node;
	arms[0] = &join->larg;
	arms[1] = &join->rarg;
	for (int i = 0; i < 2; i++)
	{
		FromExpr *arm;

		if (!IsA(*arms[i], JoinExpr))
			continue;
		arm = makeFromExpr(list_make1(*arms[i]), NULL);
		*arms[i] = (Node *) arm;
		split_inner(table, level, arm);
		if (list_length(arm->fromlist) == 1 && arm->quals == NULL)
			*arms[i] = linitial(arm->fromlist);
	}
	return node;
}

/* Join aliases ------------------------------------------------------------------------- */

/* Columns of joins become those of the tables, as core does it later. */
static void
flatten_aliases(Query *level)
{
	ListCell *cell;

	foreach(cell, level->rtable)
		if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_JOIN)
			break;
	if (cell == NULL)
		return;

#define FLATTEN(field) \
	level->field = (void *) flatten_join_alias_vars(level, \
													(Node *) level->field)
	FLATTEN(targetList);
	FLATTEN(jointree);
	FLATTEN(havingQual);
	FLATTEN(limitOffset);
	FLATTEN(limitCount);
	FLATTEN(windowClause);
	FLATTEN(returningList);
#undef FLATTEN
	foreach(cell, level->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (!rte->lateral)
			continue;
		if (rte->rtekind == RTE_SUBQUERY)
			rte->subquery = (Query *)
				flatten_join_alias_vars(level, (Node *) rte->subquery);
		else if (rte->rtekind == RTE_FUNCTION)
			rte->functions = (List *)
				flatten_join_alias_vars(level, (Node *) rte->functions);
		else if (rte->rtekind == RTE_VALUES)
			rte->values_lists = (List *)
				flatten_join_alias_vars(level, (Node *) rte->values_lists);
	}
}

static bool
reads_tables_of(const TessTable *table, Query *level)
{
	ListCell *cell;

	foreach(cell, level->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
		const TessTable *other = rte->rtekind == RTE_RELATION
									 ? tess_meta_table(rte->relid)
									 : NULL;

		if (rte->rtekind == RTE_SUBQUERY && tess_fragment_of(rte) == NULL)
			return true;
		if (other != NULL && other->group == table->group)
			return true;
	}
	return false;
}

/* See fragment.h. */
void
tess_split_from(const TessTable *table, Query *query)
{
	if (!reads_tables_of(table, query) || query->jointree->fromlist == NIL)
		return;
	flatten_aliases(query);
	split_inner(table, query, query->jointree);
}
