/*
 * derived.h - the grouped subquery that takes the place of a correlated one.
 */
#ifndef TESS_FRAGMENT_DERIVED_H
#define TESS_FRAGMENT_DERIVED_H

#include "nodes/parsenodes.h"

typedef struct TessDerived
{
	Query *query;
	Index rti;	 /* in the level */
	List *quals; /* its columns against the level's: what correlated */
	bool fails;	 /* it cannot take the place */
} TessDerived;

/* The value of a subquery from a derived one, that will be entry rti of the
 * level and is to be joined by its quals; NULL if that would not be the same. */
extern Node *tess_derive(const SubLink *sublink, Index rti, TessDerived **result);

/* asked_groups.c: keeps it, not yet joined to the level, from groups that no row
 * of the level asks for, where that is cheaper. */
extern void tess_ask_groups(Query *query, TessDerived *derived);

/* Adds the parts of a condition that are joined by AND, NULL: none. */
extern void tess_add_conjuncts(List **conjuncts, Node *qual);

#endif
