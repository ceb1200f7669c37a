/*
 * table_reference.c - all reference tables at once: for nodes that come or go.
 */
#include "postgres.h"

#include "access/table.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "catalog/catalog.h"
#include "deparse/deparse.h"
#include "table/table_internal.h"

static List *reference_tables(void);
static void append_in_order(Oid relation, List *all, List **visiting,
							List **ordered);

/* See table.h.  Takes ShareLock on the tables until commit, so that nobody
 * writes to them who does not know the node. */
void
tess_table_copy_references(int32 node_id)
{
	TessWork *work = tess_work_of_nodes(
		list_make1(unconstify(TessNode *, tess_meta_node(node_id))));
	List *relations = reference_tables();
	ListCell *lc;

	if (relations == NIL)
		return;
	foreach(lc, relations)
	{
		ListCell *object;

		foreach(object, tess_ddl_needed_objects(lfirst_oid(lc)))
			tess_work_add(work, lfirst(object));
		tess_work_add_templates(work,
								tess_ddl_table_pre_data(lfirst_oid(lc), true));
	}
	tess_work_run(work);
	foreach(lc, relations)
	{
		Relation rel = table_open(lfirst_oid(lc), NoLock);

		(void) tess_table_send_copy(rel, tess_meta_table(lfirst_oid(lc)),
									node_id);
		table_close(rel, NoLock);
	}
	foreach(lc, relations)
		tess_work_add_templates(work,
								tess_ddl_table_post_data(lfirst_oid(lc), true));
	tess_work_run(work);
}

/* See table.h. */
void
tess_table_lock_references(void)
{
	list_free(reference_tables());
}

/* All reference tables, locked; those that others reference come first. */
static List *
reference_tables(void)
{
	List *all = NIL;
	List *ordered = NIL;
	List *visiting = NIL;
	ListCell *lc;

	foreach(lc, tess_cat_tables())
	{
		TessTableRow *row = lfirst(lc);

		if (row->kind != TESS_REFERENCE)
			continue;
		LockRelationOid(row->relation, ShareLock);
		if (tess_cat_table(row->relation) != NULL)
			all = lappend_oid(all, row->relation);
	}
	foreach(lc, all)
		append_in_order(lfirst_oid(lc), all, &visiting, &ordered);
	return ordered;
}

static void
append_in_order(Oid relation, List *all, List **visiting, List **ordered)
{
	Relation rel;
	ListCell *lc;

	if (list_member_oid(*visiting, relation))
		return;
	*visiting = lappend_oid(*visiting, relation);
	rel = table_open(relation, NoLock);
	foreach(lc, RelationGetFKeyList(rel))
	{
		Oid referenced = ((ForeignKeyCacheInfo *) lfirst(lc))->confrelid;

		if (list_member_oid(all, referenced))
			append_in_order(referenced, all, visiting, ordered);
	}
	table_close(rel, NoLock);
	*ordered = lappend_oid(*ordered, relation);
}
