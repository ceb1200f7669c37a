/*
 * function_internal.h - between the files of function/.
 */
#ifndef TESS_FUNCTION_INTERNAL_H
#define TESS_FUNCTION_INTERNAL_H

#include "catalog/catalog.h"
#include "function/function.h"
#include "meta/meta.h"
#include "nodes/pg_list.h"

/* function_copies.c: the copies of a function in the shards of its group. */

/* Keeps other writers of the catalog, and tables that join the group, away until
 * commit. */
extern void tess_function_lock(int32 colocation_id);

/* Fills in what a row says of the function as it is now: schema, signature and
 * digest. */
extern void tess_function_describe(TessFunctionRow *row);

/* function_define.c: sets the search_path of the body: that of a SET of the
 * function; else what it was, or, where it is new, the session's. */
extern void tess_function_set_path(TessFunctionRow *row);

/* Errors with 0A000 if a local table hides one of the group's. */
extern void tess_function_check_hidden(const TessFunctionRow *row);

/* function_copies.c: makes the copies, or makes them anew; and drops them, by the names in the
 * row, with the schemas that only they were in. */
extern void tess_function_copy(const TessFunctionRow *row);

/* What a shard is, without tables, as text (meta/shard_call.c). */
extern char *tess_function_shard(const TessGroup *group, int64 shard_id);

extern void tess_function_drop_copies(const TessFunctionRow *row);

/* function_trigger.c: functions that triggers call. */

/* A row of such a function, not of one that is called by name. */
static inline bool
tess_function_is_of_triggers(const TessFunctionRow *row)
{
	return row->key_argument == 0 && row->colocation_id != 0;
}

/* OIDs of the triggers of the group's tables that call it. */
extern List *tess_function_triggers(const TessFunctionRow *row);

/* The table has become a distributed one. */
extern void tess_function_create_triggers(Oid relation);

/* The function's copies have new places; the old ones are still there. */
extern void tess_function_remake_triggers(const TessFunctionRow *row);

#endif
