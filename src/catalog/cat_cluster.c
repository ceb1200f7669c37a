/*
 * cat_cluster.c - who this cluster is (the row of tessera.cluster), and, on a
 * node, whose it is (the row of tessera_internal.membership).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog_internal.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

#include "base/base.h"

static char *
uuid_text(TessCatScan *scan, HeapTuple row, AttrNumber column)
{
	bool isnull;
	Datum value = tess_cat_column(scan, row, column, &isnull);

	return DatumGetCString(DirectFunctionCall1(uuid_out, value));
}

static List *
text_list(Datum array)
{
	Datum *elements;
	int count;
	List *list = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, NULL, &count);
	for (int i = 0; i < count; i++)
		list = lappend(list, TextDatumGetCString(elements[i]));
	return list;
}

static Datum
text_array(List *list)
{
	Datum *elements = palloc(sizeof(Datum) * Max(list_length(list), 1));
	ListCell *cell;
	int count = 0;

	foreach(cell, list)
		elements[count++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(
		construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* 55000 if there is no row. */
TessClusterRow *
tess_cat_cluster(void)
{
	TessClusterRow *cluster = NULL;
	TessCatScan scan;
	HeapTuple row;
	bool isnull;

	tess_cat_scan_begin(&scan, "cluster", NULL, AccessShareLock, 0, NULL);
	if ((row = tess_cat_scan_next(&scan)) != NULL)
	{
		cluster = palloc(sizeof(TessClusterRow));
		cluster->cluster_id = uuid_text(&scan, row, Anum_cluster_cluster_id);
		cluster->incarnation = DatumGetInt32(
			tess_cat_column(&scan, row, Anum_cluster_incarnation, &isnull));
		cluster->decides = text_list(
			tess_cat_column(&scan, row, Anum_cluster_decides, &isnull));
	}
	tess_cat_scan_end(&scan);
	if (cluster == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("this database has no cluster identity"),
						errhint("Insert a row into tessera.cluster.")));
	return cluster;
}

/* Writes incarnation and decides.  Nobody caches them. */
void
tess_cat_cluster_update(const TessClusterRow *cluster)
{
	Datum values[Natts_cluster] = {0};
	bool nulls[Natts_cluster] = {0};
	bool replaced[Natts_cluster] = {0};
	TessCatScan scan;
	HeapTuple old;

	values[Anum_cluster_incarnation - 1] = Int32GetDatum(cluster->incarnation);
	replaced[Anum_cluster_incarnation - 1] = true;
	values[Anum_cluster_decides - 1] = text_array(cluster->decides);
	replaced[Anum_cluster_decides - 1] = true;

	tess_cat_scan_begin(&scan, "cluster", NULL, RowExclusiveLock, 0, NULL);
	if ((old = tess_cat_scan_next(&scan)) != NULL)
	{
		HeapTuple new = heap_modify_tuple(old, RelationGetDescr(scan.relation),
										  values, nulls, replaced);

		CatalogTupleUpdate(scan.relation, &old->t_self, new);
	}
	tess_cat_scan_end(&scan);
	tess_cat_changed("cluster");
}

char *
tess_cat_cluster_id(void)
{
	return tess_cat_cluster()->cluster_id;
}

/* On a node: the name of the coordinator that it serves, palloc'd; NULL if it
 * is no node (yet). */
char *
tess_cat_served_coordinator(void)
{
	char *name = NULL;
	TessCatScan scan;
	HeapTuple row;

	tess_cat_scan_begin(&scan, "membership", NULL, AccessShareLock, 0, NULL);
	if ((row = tess_cat_scan_next(&scan)) != NULL)
		name = psprintf("%s:%s",
						uuid_text(&scan, row, Anum_membership_cluster_id),
						tess_cat_text(&scan, row, Anum_membership_incarnation));
	tess_cat_scan_end(&scan);
	return name;
}
