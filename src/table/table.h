/*
 * table.h - a local table becomes distributed or reference, and back.
 */
#ifndef TESS_TABLE_H
#define TESS_TABLE_H

#include "meta/meta.h"
#include "nodes/pg_list.h"
#include "tessera.h"

/* Drops the shards (or the copies on nodes) of a table and forgets it in the
 * catalogs; the shell itself is the caller's.  Works after the shell is gone
 * from pg_class: schema and name are the caller's to know. */
extern void tess_table_drop_shards(Oid relation, const char *schema,
								   const char *name);

/* Brings all reference tables to a new node, with rows, in this transaction. */
extern void tess_table_copy_references(int32 node_id);

extern void tess_table_init(void);

#endif
