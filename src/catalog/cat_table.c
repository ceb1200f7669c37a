/*
 * cat_table.c - rows of tessera."table", and what goes with each of them: a
 * dependency of the shell on the extension, so that the extension is not
 * dropped from under it, and the invalidation of plans that used it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "base/base.h"
#include "catalog/catalog_internal.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define CATALOG_NAME "table"

static TessTableRow *
read_table(TessCatScan *scan, HeapTuple row)
{
	TessTableRow *table = palloc0(sizeof(TessTableRow));
	Datum value;
	char *kind;
	bool isnull;

	value = tess_cat_column(scan, row, Anum_table_relation, &isnull);
	table->relation = DatumGetObjectId(value);
	kind = tess_cat_text(scan, row, Anum_table_kind);
	table->kind = strcmp(kind, "distributed") == 0 ? TESS_DISTRIBUTED
												   : TESS_REFERENCE;
	value = tess_cat_column(scan, row, Anum_table_colocation_id, &isnull);
	table->colocation_id = isnull ? 0 : DatumGetInt32(value);
	table->key_column = tess_cat_name(scan, row, Anum_table_key_column);
	table->made_by = HeapTupleHeaderGetXmin(row->t_data);
	return table;
}

TessTableRow *
tess_cat_table(Oid relation)
{
	TessTableRow *table = NULL;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;

	ScanKeyInit(&key, Anum_table_relation, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	tess_cat_scan_begin(&scan, CATALOG_NAME, "table_pkey", AccessShareLock, 1,
						&key);
	if ((row = tess_cat_scan_next(&scan)) != NULL)
		table = read_table(&scan, row);
	tess_cat_scan_end(&scan);
	return table;
}

static int
compare_tables(const ListCell *a, const ListCell *b)
{
	const TessTableRow *left = lfirst(a);
	const TessTableRow *right = lfirst(b);

	return left->relation < right->relation ? -1
											: left->relation > right->relation;
}

/* All rows by OID of the relation, List of TessTableRow *. */
List *
tess_cat_tables(void)
{
	List *tables = NIL;
	TessCatScan scan;
	HeapTuple row;

	tess_cat_scan_begin(&scan, CATALOG_NAME, NULL, AccessShareLock, 0, NULL);
	while ((row = tess_cat_scan_next(&scan)) != NULL)
		tables = lappend(tables, read_table(&scan, row));
	tess_cat_scan_end(&scan);
	list_sort(tables, compare_tables);
	return tables;
}

/* OIDs of the tables of a group, ascending. */
List *
tess_cat_tables_of_group(int32 colocation_id)
{
	List *relations = NIL;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple row;

	tess_cat_key_int4(&key, Anum_table_colocation_id, colocation_id);
	tess_cat_scan_begin(&scan, CATALOG_NAME, "table_colocation_id_idx",
						AccessShareLock, 1, &key);
	while ((row = tess_cat_scan_next(&scan)) != NULL)
	{
		bool isnull;
		Datum relation = tess_cat_column(&scan, row, Anum_table_relation,
										 &isnull);

		relations = lappend_oid(relations, DatumGetObjectId(relation));
	}
	tess_cat_scan_end(&scan);
	list_sort(relations, list_oid_cmp);
	return relations;
}

/*
 * Plans of this table are made again.  So are those of the tables it refers
 * to: whether their keys may change depends on who refers to them.
 */
void
tess_cat_relation_changed(Oid oid)
{
	Relation relation;
	ListCell *cell;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(oid)))
		return;
	CacheInvalidateRelcacheByRelid(oid);
	relation = try_relation_open(oid, AccessShareLock);
	if (relation == NULL)
		return;
	if (relation->rd_rel->relkind == RELKIND_RELATION ||
		relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		foreach(cell, RelationGetFKeyList(relation))
		{
			Oid target = ((ForeignKeyCacheInfo *) lfirst(cell))->confrelid;

			if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(target)))
				CacheInvalidateRelcacheByRelid(target);
		}
	relation_close(relation, AccessShareLock);
}

void
tess_cat_group_changed(int32 colocation_id)
{
	List *relations = tess_cat_tables_of_group(colocation_id);
	ListCell *cell;

	foreach(cell, relations)
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(cell))))
			CacheInvalidateRelcacheByRelid(lfirst_oid(cell));
	list_free(relations);
}

void
tess_cat_dependency_add(Oid relation)
{
	ObjectAddress shell;
	ObjectAddress extension;

	if (!OidIsValid(tess_extension_oid()))
		return;
	ObjectAddressSet(shell, RelationRelationId, relation);
	ObjectAddressSet(extension, ExtensionRelationId, tess_extension_oid());
	recordDependencyOn(&shell, &extension, DEPENDENCY_NORMAL);
}

void
tess_cat_dependency_remove(Oid relation)
{
	if (!OidIsValid(tess_extension_oid()))
		return;
	deleteDependencyRecordsForSpecific(RelationRelationId, relation,
									   DEPENDENCY_NORMAL, ExtensionRelationId,
									   tess_extension_oid());
}

/*
 * Takes ShareLock on the group until the end of the transaction; 55000 if the
 * group was dropped meanwhile.  23505 if the table has a row already.
 */
void
tess_cat_table_insert(const TessTableRow *table)
{
	bool distributed = table->kind == TESS_DISTRIBUTED;
	NameData key_column;
	Datum values[Natts_table];
	bool nulls[Natts_table] = {0};

	values[Anum_table_relation - 1] = ObjectIdGetDatum(table->relation);
	values[Anum_table_kind - 1] = CStringGetTextDatum(
		distributed ? "distributed" : "reference");
	if (distributed)
	{
		tess_cat_group_lock(table->colocation_id, ShareLock);
		if (tess_cat_group(table->colocation_id) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the colocation group of \"%s\" was dropped concurrently",
							tess_relation_qualified_name(table->relation)),
					 errhint("Try again.")));
		values[Anum_table_colocation_id - 1] = Int32GetDatum(table->colocation_id);
		namestrcpy(&key_column, table->key_column);
		values[Anum_table_key_column - 1] = NameGetDatum(&key_column);
	}
	nulls[Anum_table_colocation_id - 1] = !distributed;
	nulls[Anum_table_key_column - 1] = !distributed;
	tess_cat_row_insert(CATALOG_NAME, values, nulls);
	tess_cat_dependency_add(table->relation);
	tess_cat_relation_changed(table->relation);
	tess_cat_changed(CATALOG_NAME);
}

/*
 * Takes AccessExclusiveLock on the group until the end of the transaction, so
 * that the caller may see whether that was its last table.  Nothing happens if
 * there is no such row; the relation may be gone already.
 */
void
tess_cat_table_delete(Oid relation)
{
	TessTableRow *table = tess_cat_table(relation);
	ScanKeyData key;

	if (table == NULL)
		return;
	if (table->kind == TESS_DISTRIBUTED)
		tess_cat_group_lock(table->colocation_id, AccessExclusiveLock);
	ScanKeyInit(&key, Anum_table_relation, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	tess_cat_rows_delete(CATALOG_NAME, "table_pkey", 1, &key);
	tess_cat_size_delete(relation);
	tess_cat_dependency_remove(relation);
	tess_cat_relation_changed(relation);
	tess_cat_changed(CATALOG_NAME);
}

/* The key column is being renamed: both are seen from the next command on. */
void
tess_cat_table_rename_key(Oid relation, const char *key_column)
{
	Datum values[Natts_table];
	bool nulls[Natts_table];
	NameData name;
	ScanKeyData key;
	TessCatScan scan;
	HeapTuple old;

	ScanKeyInit(&key, Anum_table_relation, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	tess_cat_scan_begin(&scan, CATALOG_NAME, "table_pkey", RowExclusiveLock, 1,
						&key);
	if ((old = tess_cat_scan_next(&scan)) != NULL)
	{
		HeapTuple new;

		heap_deform_tuple(old, RelationGetDescr(scan.relation), values, nulls);
		namestrcpy(&name, key_column);
		values[Anum_table_key_column - 1] = NameGetDatum(&name);
		nulls[Anum_table_key_column - 1] = false;
		new = heap_form_tuple(RelationGetDescr(scan.relation), values, nulls);
		CatalogTupleUpdate(scan.relation, &old->t_self, new);
	}
	tess_cat_scan_end(&scan);
	CacheInvalidateRelcacheByRelid(tess_catalog_relation_oid(CATALOG_NAME));
}
