/*
 * locus.h - where do the rows of a query live?  See locus.c.
 */
#ifndef TESS_FRAGMENT_LOCUS_H
#define TESS_FRAGMENT_LOCUS_H

#include "nodes/parsenodes.h"

#include "meta/meta.h"
#include "fragment/facts.h"

typedef enum TessLocusKind
{
	TESS_EVERYWHERE, /* every shard computes the same; or, inside of another
					  * query, what it needs stands in the shard of the row
					  * it is computed for */
	TESS_SHARDED,	 /* each shard computes its part of the rows */
	TESS_COORDINATOR /* neither */
} TessLocusKind;

typedef struct TessLocus
{
	TessLocusKind kind;
	/* sharded: columns by whose value a row stands in its shard; possibly
	 * none.  TessTerm *, in the terms of whoever asked. */
	List *keys;
} TessLocus;

/* The locus of a SELECT over tables of the group of table, on its own. */
extern TessLocus tess_locus_of_query(const TessTable *table, Query *query);

/* Same for a part of a query's FROM, its conditions included. */
extern TessLocus tess_locus_of_node(const TessTable *table, Query *query,
									Node *node);

/* The prune expression of a sharded query; NULL: all shards. */
extern Expr *tess_locus_prune(const TessTable *table, Query *query);

#endif
