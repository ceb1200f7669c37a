/*
 * function_internal.h - between the files of function/.
 */
#ifndef TESS_FUNCTION_INTERNAL_H
#define TESS_FUNCTION_INTERNAL_H

#include "catalog/catalog.h"
#include "function/function.h"
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

/* Makes the copies, or makes them anew; and drops them, by the names in the
 * row, with the schemas that only they were in. */
extern void tess_function_copy(const TessFunctionRow *row);
extern void tess_function_drop_copies(const TessFunctionRow *row);

#endif
