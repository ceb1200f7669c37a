/*
 * function.h - functions and procedures that run in the shard of their key.
 */
#ifndef TESS_FUNCTION_H
#define TESS_FUNCTION_H

#include "nodes/parsenodes.h"

#include "tessera.h"

/* After a utility statement: what it did to functions that shards run is done to
 * their copies.  Errors of nodes are errors. */
extern void tess_functions_after(Node *statement);

extern void tess_function_init(void);

#endif
