/*
 * deparse_internal.h - what the files of deparse/ share.
 */
#ifndef TESS_DEPARSE_INTERNAL_H
#define TESS_DEPARSE_INTERNAL_H

#include "catalog/pg_constraint.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/relcache.h"

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

/* Where the subquery that FROM begins with stands, inside of that many
 * parentheses: the offset of its first byte, and the one after its last.  False
 * if the text has no such subquery. */
extern bool tess_names_first_subquery(const char *sql, int nested, int *start,
									  int *end);

/* CREATE STATISTICS as core writes it, its own name in the given schema. */
extern List *tess_names_statistics(const char *sql, const char *schema);

/* CREATE TRIGGER as core writes it, with the function of a shard, whose part of
 * the given schema it is in. */
extern List *tess_names_trigger(const char *sql, const char *schema);

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

/* wrap_source.c: makes the columns that an INSERT fills those of its source, one
 * by one, in place.  False, and nothing done, if they cannot be. */
extern bool tess_query_wrap_source(Query *query, int source_rti);

/* collations.c: puts COLLATE, in place, where the operands of a node would be
 * read as having another collation than the node has. */
extern void tess_say_collation(Node *node);

/* canonical.c */

/* The part of it that a query read back from such a text needs, too, so that
 * it is printed alike.  It may change the query. */
extern Query *tess_query_canonical(Query *query,
								   const TessNormalized *normalized);

/* Types whose OIDs only this server knows: the node learns the type of such a
 * parameter from a cast in the text. */
extern bool tess_param_needs_cast(Oid type);

/* True for the name of a user's object as a constant (regclass ...): printed
 * as a string, which another server may not know or take for another one. */
extern bool tess_const_is_name(const Const *constant);

/* table_ddl.c */

/* Refuses (0A000) a CHECK, of a table or a domain, that shards would answer
 * otherwise than the coordinator. */
extern void tess_ddl_check_condition(Oid constraint);

/* partition_ddl.c: true for the part of a foreign key that is about one partition
 * of the table it refers to; it comes and goes with the key. */
extern bool tess_ddl_is_to_partition(const FormData_pg_constraint *constraint);

/* ddl_text.c */

/* The statements that recreate a table, while they are written. */
typedef struct TessDdl
{
	Relation rel;
	bool as_reference; /* plain names instead of slots */
	const char *schema;
	const char *name;
	List *statements;	 /* finished templates */
	List *template;		 /* pieces of the one being written ... */
	StringInfoData text; /* ... and what follows them */
} TessDdl;

extern void tess_ddl_begin(TessDdl *ddl, Relation rel, bool as_reference);

/* Appends the name of an object in the table's schema, or of the table. */
extern void tess_ddl_object(TessDdl *ddl, const char *name);
extern void tess_ddl_table(TessDdl *ddl);

/* Ends a statement. */
extern void tess_ddl_end(TessDdl *ddl);

/* Adds a statement that is text already, with qualified names. */
extern void tess_ddl_add_sql(TessDdl *ddl, const char *sql);

/* GRANTs of an access list on the table, or on a column of it. */
extern void tess_ddl_add_grants(TessDdl *ddl, const Acl *acl, const char *column);

/* COMMENT ON kind name, if there is a comment.  name is that of a column if
 * column is not 0, of a constraint or trigger of the table, or of an object in its
 * schema. */
extern void tess_ddl_add_comment(TessDdl *ddl, Oid class, Oid object,
								 int32 column, const char *kind,
								 const char *name);

/* Appends name = 'value' for each of the options, names with the prefix. */
extern void tess_ddl_options(StringInfo out, Datum reloptions,
							 const char *prefix);

/* SELECT, UPDATE ... for the bits of rights; with a column, SELECT (column). */
extern char *tess_ddl_rights(AclMode rights, const char *column);

/* A role's quoted name, or PUBLIC. */
extern char *tess_ddl_role(Oid role);

/* The access list of a catalog's column; NULL if it is the default. */
extern Acl *tess_ddl_acl(Datum datum, bool isnull);

/* type_ddl.c */

/* CREATE TYPE or CREATE DOMAIN as this server has it.  Errors with 0A000 for
 * types that can only be made by an extension. */
extern char *tess_type_definition(Oid type);

/* object_ddl.c: CREATE COLLATION IF NOT EXISTS. */
extern char *tess_collation_definition(Oid collation);

/* aggregate_ddl.c, operator_ddl.c: CREATE as this server has it.  Error with
 * 0A000 for what cannot be written as one statement. */
extern char *tess_aggregate_definition(Oid aggregate);
extern char *tess_operator_name(Oid operator); /* OPERATOR(schema.name) */
extern char *tess_operator_definition(Oid operator);
extern char *tess_cast_definition(Oid cast);
extern char *tess_operator_family_definition(Oid family);
extern char *tess_operator_class_definition(Oid class);

/* object_ddl.c */

/* What a table needs on another server, while it is collected. */
typedef struct TessNeeds
{
	List *seen; /* of ObjectAddress * */
	List *role_oids;
	List *roles;	  /* statements: before all others */
	List *statements; /* in the order of dependency */

	/* Not statements but the objects themselves are wanted (those of
	 * extensions are CREATE EXTENSION in statements): ObjectAddress *, in the
	 * order of dependency. */
	bool by_address;
	bool is_single;	 /* for an object that is no table's, and may use none */
	bool is_refused; /* it does, or what cannot be made on a node */
	List *objects;
} TessNeeds;

/* Each adds the statement that makes a role, unless it is there already. */
extern void tess_need_role(TessNeeds *needs, Oid role);
extern void tess_need_grantees(TessNeeds *needs, const Acl *acl);

/* Each adds the statements for one object, and for the roles it belongs to. */
extern void tess_need_rights_of_table(TessNeeds *needs, Relation rel);
extern void tess_need_schema(TessNeeds *needs, Oid schema);
extern void tess_need_type(TessNeeds *needs, Oid type);
extern void tess_need_collation(TessNeeds *needs, Oid collation);
extern void tess_need_extension(TessNeeds *needs, Oid extension);
extern void tess_need_function(TessNeeds *needs, Oid function);
/* operators and the like: as object_define.c writes them */
extern void tess_need_defined(TessNeeds *needs, Oid class, Oid object);

#endif
