/*
 * deparse_internal.h - what the files of deparse/ share.
 */
#ifndef TESS_DEPARSE_INTERNAL_H
#define TESS_DEPARSE_INTERNAL_H

#include "nodes/parsenodes.h"

#include "deparse/deparse.h"

/* A place in a text where the schema of a distributed table stands. */
typedef struct TessName
{
	int location;		/* byte offset of the schema's token */
	int length;			/* of the token, quotes included */
	const char *schema; /* the name itself, not quoted */
} TessName;

/* name_slots.c */

/* The one statement of a text.  Errors as raw_parser, or with 42601 if there
 * is not exactly one. */
extern RawStmt *tess_names_parse(const char *sql);

/* Names in a raw tree, in the order of the text.  List of TessName *. */
extern List *tess_names_find(const char *sql, RawStmt *raw);

/* The bytes start .. end - 1 of a text as a template. */
extern List *tess_names_cut(const char *sql, int start, int end, List *names);

/* Where the row of INSERT ... VALUES (...) begins and ends: the offset of its
 * opening parenthesis, and the one after its closing parenthesis.  False if
 * the text has no such row. */
extern bool tess_names_values_row(const char *sql, int *start, int *end);

/* normalize.c */

typedef struct TessNormalized
{
	const char *refusal; /* why the text would mean something else */
	int param_count;
	int param_space;
	Oid *param_types;  /* InvalidOid: number not used */
	bool casts_params; /* some have types that only this server knows */
	Oid role;		   /* whose rights the tables are checked with */
} TessNormalized;

/* Makes of a rewritten query, which it may change, one that pg_get_querydef
 * prints as what it means.  NULL with refusal set if there is none. */
extern Query *tess_query_normalize(Query *query, TessNormalized *result);

/* canonical.c */

/* The part of it that a query read back from such a text needs, too, so that
 * it is printed alike.  It may change the query. */
extern Query *tess_query_canonical(Query *query,
								   const TessNormalized *normalized);

/* Types whose OIDs only this server knows: the node learns the type of such a
 * parameter from a cast in the text. */
extern bool tess_param_needs_cast(Oid type);

#endif
