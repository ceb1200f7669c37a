/*
 * deparse.h - what do we say to a node?  Fills templates; writes the DDL that
 * recreates a table.  Knows tables, not places.
 */
#ifndef TESS_DEPARSE_H
#define TESS_DEPARSE_H

#include "catalog/objectaddress.h"
#include "nodes/parsenodes.h"
#include "utils/reltrigger.h"

#include "catalog/catalog.h"
#include "meta/meta.h"
#include "task/task.h"
#include "tessera.h"

/* query.c ------------------------------------------------------------ */

/*
 * A statement over shells, reference tables and nothing else, as a template
 * for the shards: names of distributed tables (and their row types) become
 * slots, all others stay as they are, qualified.  The query is analyzed and
 * rewritten; Params are PARAM_EXTERN, numbered from 1 without gaps.  It is
 * not changed (copied where it has to be normalized).
 * NIL with *reason (a phrase for errdetail) if the text, read back, would not
 * mean the same: then it must not be sent.
 */
extern List *tess_deparse_query(const Query *query, const char **reason);

/* Same for a SELECT whose FROM begins with a subquery, in nested parentheses:
 * 1, or 2 where it is a side of a join; or, if inner, the subquery that the FROM of
 * that one begins with.  The subquery alone becomes *template,
 * and *frame (two Strings) what stands around it, so that a union of the shards'
 * subqueries may take its place.  False with *reason if it cannot be sent. */
extern bool tess_deparse_framed(const Query *query, int nested, bool inner,
								List **template, List **frame,
								const char **reason);

/* Same for INSERT ... VALUES (one row whose expressions are Params, numbered
 * after those of the rest of the statement): the text before the row into
 * *head, after it into *tail. False with *reason if it cannot be sent. */
extern bool tess_deparse_insert(const Query *query, List **head, List **tail,
								const char **reason);

/* normalize.c: true for a partitioned table of ours in a tree that core plans as
 * if it had no partitions.  It is written without ONLY. */
extern bool tess_is_folded(const RangeTblEntry *rte);

/* name_slots.c ------------------------------------------------------------- */

/* Any SQL text with qualified names, written by core (pg_get_*def under
 * pg_catalog): names of distributed tables become slots.  kind_of_text tells
 * raw_parser how to read it.  Works for one statement of SELECT, DML, CREATE
 * INDEX, ALTER TABLE, CREATE STATISTICS, COMMENT is not one of them. */
extern List *tess_template_from_sql(const char *sql);

/* table_ddl.c ----------------------------------------------------------- */

/*
 * The statements that recreate a table, empty, in a shard (distributed: as
 * templates with slots) or on a node (reference: plain text in one String).
 * List of templates.  relation must be locked by the caller.
 * pre_data: schema-independent part: CREATE TABLE with columns, defaults that
 * may run on a node, generated columns, NOT NULL, CHECK, storage, reloptions,
 * access method, owner, privileges, comments.
 * post_data: indexes, PRIMARY KEY/UNIQUE/EXCLUDE, statistics objects, foreign
 * keys, replica identity.  Apart, so that rows may be loaded in between.
 * as_reference says which of the two is wanted for a table that is not (yet)
 * in the catalogs; names of tables being distributed in this command must be
 * in the catalogs already (visible to this transaction).
 */
extern List *tess_ddl_table_pre_data(Oid relation, bool as_reference);
extern List *tess_ddl_table_post_data(Oid relation, bool as_reference);

/* partition_ddl.c: a partition is made as a table of its own, with indexes and
 * constraints under their own names, and becomes one then: PostgreSQL finds what it
 * has of the partitioned table's. */

/* The template that attaches a partition to the table that it is one of here. */
extern List *tess_ddl_attach(Oid partition);
/* True for a constraint of a partition that shards get along with that of its
 * table, under its name. */
extern bool tess_ddl_comes_with_parent(Oid constraint);
/* Templates of the constraint that a partition has got with its table: NIL if it
 * comes in the shards as well, under its name. */
extern List *tess_ddl_partition_part(Relation rel, Oid constraint);
/* The template that attaches an index of a partition, as it is here. */
extern List *tess_ddl_attach_index(Oid index);
/* Templates of the foreign keys of a partitioned table, or of a partition, that
 * post_data leaves out: for when all partitions are attached, those of
 * partitions first.  What a partition has of its table's keys comes with these,
 * and is left out where it has their names. */
extern List *tess_ddl_partition_keys(Oid relation);

/* Columns (char *) whose default a shard does not have, since it is computed
 * here, for each row that is inserted. */
extern List *tess_ddl_missing_defaults(Oid relation);

/* Parts of these, for tables that are altered; names of tables are not slots
 * yet. */

/* True if a default may stand on a shard as well: it takes nothing from a
 * sequence, and names no object inside a string. */
extern bool tess_default_travels(Node *expr);

/* True if an expression looks for the objects, or the names of the objects, that
 * values of regclass and the like stand for: nodes know other ones. */
extern bool tess_ddl_looks_at_names(Node *expr);
/* An expression over the table's columns. */
extern char *tess_ddl_expression(Relation rel, Node *expr);
/* A column as ADD COLUMN has it, with this DEFAULT instead of its own (NULL:
 * none), which a generated column keeps. */
extern char *tess_ddl_column(Relation rel, AttrNumber attnum, const char *fill);
/* Its type, and its collation if that is not the type's. */
extern char *tess_ddl_column_type(Relation rel, AttrNumber attnum);
/* The templates that make a statistics object where its table is. */
extern List *tess_ddl_statistics(Oid relation, Oid statistics);
/* The templates that make a row trigger in the shards, as it is.  Its function is
 * in the shard's part of its schema, or where it is here. */
extern List *tess_ddl_trigger(Oid relation, const Trigger *trigger,
							  bool function_in_shards);
/* A constraint as ADD has it, with its name.  NULL: shards do not have it. */
extern char *tess_ddl_constraint(Relation rel, Oid constraint);

/* objects.c -------------------------------------------------------------- */

/* The objects a table needs on a node, in dependency order: schemas, types
 * (enum, domain, composite, range), collations, extensions, functions used in
 * CHECKs, defaults, generated columns and index expressions, roles (owner and
 * grantees).  List of SQL texts, each of which succeeds if the object is
 * there already. */
extern List *tess_ddl_needed_objects(Oid relation);

/* The same objects as a list of ObjectAddress *, without roles and members of
 * extensions; *extensions: the statements that make those. */
extern List *tess_objects_of_table(Oid relation, List **extensions);

/* What an object of another kind needs, and itself at the end.  NIL if it
 * cannot be made where its tables are not. */
extern List *tess_objects_of_object(Oid class, Oid object, List **extensions);

/* True for what PostgreSQL made along with something else, like the functions
 * of a range type. */
extern bool tess_object_is_internal(Oid class, Oid object);

/* object_define.c --------------------------------------------------------- */

/* A function, aggregate, operator, operator class or family, type, cast,
 * collation or schema. */
typedef struct TessObject
{
	ObjectAddress address;
	TessObjectRow row; /* its names; the digest once it is defined */
	List *roles;	   /* statements that make its owner and grantees */
	List *statements;  /* that make it: CREATE, OWNER, rights, comment */
	char *definition;  /* these and what else has to be the same, as text */
} TessObject;

/* Its names.  NULL if there is no such object, or it is of another kind. */
extern TessObject *tess_object_identify(Oid class, Oid object);
/* The object that has these names; InvalidOid: none. */
extern ObjectAddress tess_object_find(const TessObjectRow *row);
/* Fills in the rest.  Errors with 0A000 for what cannot be written. */
extern void tess_object_define(TessObject *object);

/* One command that makes it on a node.  What is there with another definition
 * is an error (42710), or replaced, which of types, operators and the like
 * changes owner, rights and comment only.  A schema that is there is left alone. */
extern char *tess_object_create_sql(const TessObject *object, bool replace);
/* One command that drops it, unless something else there needs it: that is a
 * warning, but not for a schema. */
extern char *tess_object_drop_sql(const TessObjectRow *row);
/* The expression that gives the definition of what a node has. */
extern char *tess_object_definition_sql(const TessObjectRow *row);
/* ALTER ... up to the name. */
extern char *tess_object_alter_sql(const TessObjectRow *row);

/* The version that an extension has here, and its schema; NULL: there is none. */
extern char *tess_extension_version(Oid extension, Oid *schema);

/* The functions that estimate for an operator, as ALTER OPERATOR ... SET has them. */
extern char *tess_operator_estimators(Oid operator);

#endif
