/*
 * route.h - which shards?  Values and conditions in, shards out.  Pure: no
 * catalog writes, no I/O, no nodes.
 *
 * A "prune expression" is an AND/OR tree of core's nodes over conditions of
 * the key, in which the key is a CaseTestExpr: (key = expr), (key = ANY
 * (array)), key IS NULL, constants TRUE and FALSE.  It may be copied, stored
 * in custom_exprs, and adjusted by setrefs like any expression.
 */
#ifndef TESS_ROUTE_H
#define TESS_ROUTE_H

#include "nodes/bitmapset.h"
#include "nodes/execnodes.h"
#include "nodes/params.h"
#include "nodes/primnodes.h"
#include "storage/itemptr.h"

#include "meta/meta.h"
#include "tessera.h"

/* key.c */

/* True if values of other_type hash like the group's key where they are equal
 * (int4 and int8): other_type may route through this hasher. */
extern bool tess_route_type_is_compatible(const TessHasher *hasher,
										  Oid other_type);

/* The shard of a key value; NULL belongs to the shard of hash value 0.
 * Returns an index into group->shards. */
extern int tess_route_value(const TessGroup *group, Datum value, bool isnull,
							Oid value_type);

/* True if opno is "equals" for this key: HTEqualStrategyNumber in the key's
 * hash family, its other side routes through the hasher, and the collation
 * compares as the key's does.  left_is_key says which argument the key is;
 * *other_type gets the type of the other. */
extern bool tess_route_is_key_equality(const TessTable *table, Oid opno,
									   Oid inputcollid, bool left_is_key,
									   Oid *other_type);

/* prune.c */

/* From an implicit AND list (Expr or RestrictInfo) over Var (varno, key) of
 * table to a prune expression; NULL if it says nothing about the key.  The
 * comparands are any expressions without Vars of this query level and without
 * volatile functions. */
extern Expr *tess_prune_make(List *clauses, Index varno, const TessTable *table);

/* The shards (indexes) that can hold a row for which the expression is true.
 * NULL expr: all.  Evaluates comparands with econtext. */
typedef struct TessPruneState TessPruneState;
extern TessPruneState *tess_prune_init(Expr *expr, PlanState *parent);
extern Bitmapset *tess_prune_eval(TessPruneState *state, ExprContext *econtext,
								  const TessGroup *group);

/* At plan time, as far as constants and bound parameters tell; *exact is set
 * if execution cannot see another set than this one. */
extern Bitmapset *tess_prune_estimate(Expr *expr, ParamListInfo params,
									  const TessGroup *group, bool *exact);

/* The value of a comparand. */
typedef Datum (*TessValueOf)(Expr *expr, void *arg, bool *isnull);

/* For an expression of equalities alone, without an executor: true with the
 * only shard that can hold such a row in *shard_index, -1 if none can.  False if
 * the expression is another one. */
extern bool tess_prune_one(Expr *expr, TessValueOf value_of, void *arg,
						   const TessGroup *group, int *shard_index);

/* row_address.c: the ctid of a row in its shard, and that of the same row here,
 * which no other row of the table has. */
extern void tess_ctid_widen(int shard_count, int shard_index,
							const ItemPointerData *own, ItemPointer wide);
extern int tess_ctid_narrow(int shard_count, const ItemPointerData *wide,
							ItemPointer own);

#endif
