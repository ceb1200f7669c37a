/*
 * facts.h - which columns are equal to each other, or to a value, in every
 * row that survives?  See facts.c.
 */
#ifndef TESS_FRAGMENT_FACTS_H
#define TESS_FRAGMENT_FACTS_H

#include "nodes/parsenodes.h"

#include "meta/meta.h"

/* A column, wherever in the tree: entries are known by their address.  Or
 * COALESCE of two terms, as FULL JOIN USING makes it. */
typedef struct TessTerm
{
	RangeTblEntry *rte;
	AttrNumber attno;
	const struct TessTerm *first; /* NULL: a column */
	const struct TessTerm *second;
} TessTerm;

/* A value a column is equal to, and the condition that says so. */
typedef struct TessFactValue
{
	Expr *clause; /* OpExpr or ScalarArrayOpExpr */
	bool column_is_left;
} TessFactValue;

/* Columns that are equal, and what they are equal to. */
typedef struct TessFactClass
{
	List *terms;  /* TessTerm * */
	List *values; /* TessFactValue * */
} TessFactClass;

/* What is known at a place in the tree. */
typedef struct TessFacts
{
	List *classes; /* TessFactClass * */
	int depth;	   /* of the subqueries that are being looked into */
	List *outers;  /* TessOuter * */
} TessFacts;

/* A query level inside the levels around it. */
typedef struct TessScope
{
	Query *query;
	struct TessScope *parent;
	List *anchors; /* locus.c: TessTerm *, keys of the rows that the level's
					* inner queries are evaluated for */
} TessScope;

/* An outer join below the place: what is known of its nullable side, where a
 * row of that is there. */
typedef struct TessOuter
{
	Node *nullable; /* of a join tree */
	Node *quals;	/* ON */
	TessScope *scope;
} TessOuter;

/* All of these allocate in the current context. */
extern TessFacts *tess_facts_copy(const TessFacts *facts);
/* The class of a column; NULL if nothing is known of it. */
extern TessFactClass *tess_facts_find(const TessFacts *facts,
									  const TessTerm *term);
/* Adds the facts that hold for every row that comes out of a jointree node,
 * for the key of table's group. */
extern void tess_facts_add(const TessTable *table, Node *node, TessScope *scope,
						   TessFacts *facts);
extern void tess_facts_add_quals(const TessTable *table, Node *quals,
								 TessScope *scope, TessFacts *facts);

extern void tess_facts_equate(TessFacts *facts, const TessTerm *a,
							  const TessTerm *b);
extern void tess_facts_add_value(TessFacts *facts, const TessTerm *term,
								 TessFactValue *value);

/* facts_output.c: the same for what comes out of an entry of FROM. */
extern void tess_facts_add_entry(const TessTable *table, RangeTblEntry *rte,
								 TessScope *scope, TessFacts *facts);
/* "The column is this value", which may be NULL.  NULL: the value is none that a
 * key is compared with. */
extern TessFactValue *tess_fact_value_make(const TessTable *table, Node *value);
/* The value without casts that leave it what it is, for the hash family too. */
extern Node *tess_strip_casts(Node *value);
/* Adds what is known of a column that gets such a value in a row. */
extern bool tess_facts_assign(const TessTable *table, const TessTerm *column,
							  Node *value, TessScope *scope, TessFacts *facts);

extern TessTerm *tess_term_coalesce(const TessTerm *first,
									const TessTerm *second);
extern bool tess_term_equal(const TessTerm *a, const TessTerm *b);
/* The term an expression stands for; false if it is none. */
extern bool tess_term_of(Node *node, TessScope *scope, TessTerm *term);
/* True if conditions may move freely into and out of a subquery in FROM. */
extern bool tess_query_is_simple(const Query *query);

/* imply.c: a column of entry number of the level, a table or a subquery. */
extern Var *tess_term_var(Query *query, Index number, const TessTerm *term);

/* What the column is compared with. */
extern Node *tess_fact_value(const TessFactValue *value);
/* The condition of a value, for the key of table: a prune expression. */
extern Expr *tess_fact_prune(const TessFactValue *value, const TessTable *table);

#endif
