/*
 * fragment_internal.h - what the files of fragment/ share.
 */
#ifndef TESS_FRAGMENT_INTERNAL_H
#define TESS_FRAGMENT_INTERNAL_H

#include "fragment/fragment.h"

/* known.c: what do nodes know beyond what is built in? --------------------- */

/* True if a function, operator, type or cast has the same meaning on all
 * nodes: it is built in, or of an extension that they have too.  May ask them
 * (not once a statement). */
extern bool tess_is_known(Oid class, Oid object);

/* written.c: functions that write values, as text or as JSON. -------------- */

extern bool tess_writes(Oid function);
/* True if a call of such a function gives on a node what it gives here. */
extern bool tess_writes_alike(Oid function, Node *call);
/* True if the expression is a call that makes JSON. */
extern bool tess_makes_json(Node *call);
/* True if JSON of a type is written alike everywhere; not of RECORD. */
extern bool tess_is_json_alike(Oid type);

/* fragment.c ------------------------------------------------------------------ */

extern TessFragmentQuery *tess_fragment_query_make(const TessTable *table,
												   Query *query, List *keys);
extern RangeTblEntry *tess_fragment_entry(TessFragmentQuery *fragment);

/* True if an expression refers to levels around that of its own, or has
 * system columns. */
extern bool tess_refers_outside(Node *expression);

/* frame.c: numbers of fragments in the current frame. */
extern int tess_frame_add_fragment(TessFragmentQuery *fragment);
extern TessFragmentQuery *tess_frame_fragment(int number);

/* imply.c: equalities of keys that follow from others, in place. */
extern void tess_imply_equalities(const TessTable *table, Query *query);

/* imply_filters.c: conditions of columns that follow from those of others, in
 * place. */
extern void tess_imply_filters(const TessTable *table, Query *query);

/* known_rows.c ------------------------------------------------------------- */

/* An array with all values that a column of an entry may have, but for NULL; it
 * may have more of them.  NULL if they are not known before tables are read. */
extern Node *tess_known_values(RangeTblEntry *rte, AttrNumber attno);
/* "x IN (SELECT ...)" of known values as "x = ANY (array)"; NULL if it is
 * something else.  The same where rows have to pass it: it may be NULL where the
 * other one is false. */
extern Node *tess_known_membership(Node *condition);

/* component.c: fragments of parts of a level's FROM, in place. */
extern void tess_split_from(const TessTable *table, Query *query);

/* part_ctes.c: WITH queries of a level that are a part's as well. */
extern bool tess_part_add_ctes(Query *level, Query *part);
extern bool tess_names_cte(Query *level, Node *node);

/* join_tree.c: joins that the user has not written. */
extern void tess_join_add_subquery(Query *query, Query *subquery,
								   const char *name);
extern Node *tess_join_make(Query *query, JoinType type, Node *left,
							Node *right, List *quals);
extern Node *tess_join_all(Query *query, List *items, List *quals);

/* locus.c: True if the result of a query, or of one in an expression, may show in
 * which order rows are read, or which of equal ones is read first. */
extern bool tess_depends_on_order(Node *node);

/* never_fails.c: can an expression raise an error? ------------------------- */

typedef enum TessOverNoRows
{
	TESS_UNKNOWN_OVER_NO_ROWS, /* or it may fail, be it only for some rows */
	TESS_NULL_OVER_NO_ROWS,
	TESS_ZERO_OVER_NO_ROWS
} TessOverNoRows;

extern TessOverNoRows tess_aggregate_over_no_rows(const Aggref *aggref);
extern bool tess_never_fails(Node *node);

#endif
