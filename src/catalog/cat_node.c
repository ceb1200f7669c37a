/*
 * cat_node.c - rows of tessera.cluster and tessera.node.
 *
 * Who changes or deletes a node holds AccessExclusiveLock on its id, who
 * places something on it AccessShareLock, until the end of the transaction.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/catalog_internal.h"
#include "catalog/indexing.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#define CATALOG_NAME "node"

static TessNodeRow *
read_node(TessCatScan *scan, HeapTuple row)
{
	TessNodeRow *node = palloc0(sizeof(TessNodeRow));
	bool isnull;

	node->node_id = DatumGetInt32(
		tess_cat_column(scan, row, Anum_node_node_id, &isnull));
	node->name = tess_cat_name(scan, row, Anum_node_name);
	node->server = tess_cat_name(scan, row, Anum_node_server);
	node->is_coordinator = strcmp(tess_cat_text(scan, row, Anum_node_role),
								  "coordinator") == 0;
	node->holds_shards = DatumGetBool(
		tess_cat_column(scan, row, Anum_node_holds_shards, &isnull));
	node->zone = tess_cat_text(scan, row, Anum_node_zone);
	node->active = DatumGetBool(
		tess_cat_column(scan, row, Anum_node_active, &isnull));
	return node;
}

static int
compare_nodes(const ListCell *a, const ListCell *b)
{
	const TessNodeRow *left = lfirst(a);
	const TessNodeRow *right = lfirst(b);

	return left->node_id < right->node_id ? -1 : left->node_id > right->node_id;
}

/* All nodes by node_id, List of TessNodeRow *. */
List *
tess_cat_nodes(void)
{
	List *nodes = NIL;
	TessCatScan scan;
	HeapTuple row;

	tess_cat_scan_begin(&scan, CATALOG_NAME, NULL, AccessShareLock, 0, NULL);
	while ((row = tess_cat_scan_next(&scan)) != NULL)
		nodes = lappend(nodes, read_node(&scan, row));
	tess_cat_scan_end(&scan);
	list_sort(nodes, compare_nodes);
	return nodes;
}

/* The node that users call so; NULL if there is none. */
TessNodeRow *
tess_cat_node_by_name(const char *name)
{
	TessNodeRow *node = NULL;
	NameData key_name;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;

	namestrcpy(&key_name, name);
	ScanKeyInit(&key, Anum_node_name, BTEqualStrategyNumber, F_NAMEEQ,
				NameGetDatum(&key_name));
	tess_cat_scan_begin(&scan, CATALOG_NAME, "node_name_key", AccessShareLock,
						1, &key);
	if ((row = tess_cat_scan_next(&scan)) != NULL)
		node = read_node(&scan, row);
	tess_cat_scan_end(&scan);
	return node;
}

/* The names stand in *name and *server, which the values point to. */
static void
node_values(const TessNodeRow *node, int32 node_id, NameData *name,
			NameData *server, Datum *values, bool *nulls)
{
	memset(nulls, 0, Natts_node * sizeof(bool));
	namestrcpy(name, node->name);
	values[Anum_node_node_id - 1] = Int32GetDatum(node_id);
	values[Anum_node_name - 1] = NameGetDatum(name);
	if (node->server != NULL)
	{
		namestrcpy(server, node->server);
		values[Anum_node_server - 1] = NameGetDatum(server);
	}
	else
		nulls[Anum_node_server - 1] = true;
	values[Anum_node_role - 1] = CStringGetTextDatum(
		node->is_coordinator ? "coordinator" : "node");
	values[Anum_node_holds_shards - 1] = BoolGetDatum(node->holds_shards);
	if (node->zone != NULL)
		values[Anum_node_zone - 1] = CStringGetTextDatum(node->zone);
	else
		nulls[Anum_node_zone - 1] = true;
	values[Anum_node_active - 1] = BoolGetDatum(node->active);
}

/* The id the new node gets.  Errors with 23505 if name or server is taken. */
int32
tess_cat_node_insert(const TessNodeRow *node)
{
	int32 node_id = (int32) tess_cat_next_id("node_id_seq");
	NameData name;
	NameData server;
	Datum values[Natts_node];
	bool nulls[Natts_node];

	node_values(node, node_id, &name, &server, values, nulls);
	tess_cat_row_insert(CATALOG_NAME, values, nulls);
	tess_cat_changed(CATALOG_NAME);
	return node_id;
}

/* Writes all columns of the node with that id.  42704 if it is gone. */
void
tess_cat_node_update(const TessNodeRow *node)
{
	NameData name;
	NameData server;
	Datum values[Natts_node];
	bool nulls[Natts_node];
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple old;
	HeapTuple new;

	tess_cat_lock_id(CATALOG_NAME, node->node_id, AccessExclusiveLock);
	node_values(node, node->node_id, &name, &server, values, nulls);
	tess_cat_key_int4(&key, Anum_node_node_id, node->node_id);
	tess_cat_scan_begin(&scan, CATALOG_NAME, "node_pkey", RowExclusiveLock, 1,
						&key);
	old = tess_cat_scan_next(&scan);
	if (old == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s\" was removed concurrently", node->name)));
	new = heap_form_tuple(RelationGetDescr(scan.relation), values, nulls);
	new->t_self = old->t_self;
	CatalogTupleUpdate(scan.relation, &old->t_self, new);
	tess_cat_scan_end(&scan);
	tess_cat_changed(CATALOG_NAME);
}

/* 55000 if something is placed on the node; nothing if it is gone. */
void
tess_cat_node_delete(int32 node_id)
{
	ScanKeyData key;

	tess_cat_lock_id(CATALOG_NAME, node_id, AccessExclusiveLock);
	if (tess_cat_node_has_placements(node_id))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot remove a node that holds shards"),
						errhint("Move its shards to other nodes first.")));
	tess_cat_key_int4(&key, Anum_node_node_id, node_id);
	tess_cat_rows_delete(CATALOG_NAME, "node_pkey", 1, &key);
	tess_cat_changed(CATALOG_NAME);
}
