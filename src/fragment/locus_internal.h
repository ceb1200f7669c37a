/*
 * locus_internal.h - what locus.c and locus_from.c share.
 */
#ifndef TESS_FRAGMENT_LOCUS_INTERNAL_H
#define TESS_FRAGMENT_LOCUS_INTERNAL_H

#include "fragment/locus.h"

static const TessLocus tess_everywhere = {TESS_EVERYWHERE, NIL};
static const TessLocus tess_coordinator = {TESS_COORDINATOR, NIL};

/* locus.c: of a query inside of others.  outer: facts of the levels around it.
 * Keys are output columns (rte NULL). */
extern TessLocus tess_locus_of_level(const TessTable *table, Query *query,
									 TessScope *parent, const TessFacts *outer);

/* True if a query inside of parent, or an expression, is computed for each row
 * of one of the levels around it. */
extern bool tess_is_computed_anew(Node *query, TessScope *parent);

/* locus_from.c */

/* Of a node of the join tree.  facts hold for every row that comes out of it
 * and survives; siblings: keys of the tables that LATERAL may look at. */
extern TessLocus tess_locus_of_from(const TessTable *table, Node *node,
									TessScope *scope, const TessFacts *facts,
									List *siblings);
/* True if a query inside of an expression needs other shards than that of the
 * row it is evaluated for, whose keys these are. */
extern bool tess_sublinks_stay(const TessTable *table, void *expression,
							   TessScope *scope, List *keys,
							   const TessFacts *facts);

/* A list of one key. */
extern List *tess_key_make(RangeTblEntry *rte, AttrNumber attno);
/* True if the column is, or is equal to, one of the keys. */
extern bool tess_is_one_of_keys(const TessTerm *term, List *keys,
								const TessFacts *facts);
/* True if the expression is such a column. */
extern bool tess_is_key_column(Node *expr, List *keys, TessScope *scope,
							   const TessFacts *facts);

#endif
