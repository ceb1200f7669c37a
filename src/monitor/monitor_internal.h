/*
 * monitor_internal.h - shared by the files of monitor/.
 */
#ifndef TESS_MONITOR_INTERNAL_H
#define TESS_MONITOR_INTERNAL_H

#include "meta/meta.h"
#include "nodes/pg_list.h"

/* One copy of one table of one shard, or of a reference table. */
typedef struct TessCopy
{
	const TessTable *table;
	int64 shard_id; /* 0: a reference table */
	const TessNode *node;
	bool is_known; /* the node has answered */
	int64 bytes;   /* with indexes and TOAST */
	int64 main_bytes;
	int64 estimated_rows; /* -1: never counted */
} TessCopy;

/* copies.c */
extern List *tess_copies_of_table(const TessTable *table);
extern char *tess_copy_schema(const TessCopy *copy);

#endif
