/*
 * command_alter.h - ALTER of our tables and their indexes: between its files.
 */
#ifndef TESS_COMMAND_ALTER_H
#define TESS_COMMAND_ALTER_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "command/command_internal.h"
#include "tessera.h"

/* An ALTER TABLE or ALTER INDEX on its way. */
struct TessAlter
{
	TessAltering altering;
	const AlterTableStmt *statement; /* our copy */
	Oid index;						 /* InvalidOid: the table itself */
	List *parts;		/* of TessAlterPart *, in the user's order */
	List *tree;			/* OIDs of the table and the partitions altered along */
	List *constraints;	/* that these had; see command_alter.c */
	bool needs_objects; /* a type or function may be new to nodes */
	List *fills;		/* "column = value" for an UPDATE, char * */
};

/* One subcommand. */
typedef struct TessAlterPart
{
	const AlterTableCmd *command;
	const struct TessAlterKind *kind;
	bool is_void; /* IF EXISTS, or IF NOT EXISTS, leaves nothing to do */
	char *text;	  /* for the shards; NULL: they have nothing of it */
	char *later;  /* for another ALTER after that one; NULL: nothing */
} TessAlterPart;

/* What is to be done for one kind of subcommand; either may be NULL. */
typedef struct TessAlterKind
{
	AlterTableType subtype;
	/* Before the shell is altered: checks, and what only the old shell knows. */
	void (*before)(TessAlter *alter, TessAlterPart *part);
	/* Afterwards, rel being the shell: the text. */
	void (*after)(TessAlter *alter, Relation rel, TessAlterPart *part);
} TessAlterKind;

/* command_alter_kinds.c: errors with 0A000 if there is none. */
extern const TessAlterKind *tess_alter_kind(const TessTable *table,
											AlterTableType subtype);

/* command_alter.c */
extern const TessTable *tess_alter_table(const TessAlter *alter);
extern bool tess_alter_has_rows(const TessAlter *alter);
extern bool tess_alter_is_key(const TessAlter *alter, const char *column);
extern AttrNumber tess_alter_column(const TessAlter *alter, const char *column);

/* command_alter_column.c: the forms that have types and expressions */
extern void tess_alter_before_add(TessAlter *alter, TessAlterPart *part);
extern void tess_alter_after_add(TessAlter *alter, Relation rel,
								 TessAlterPart *part);
extern void tess_alter_before_drop(TessAlter *alter, TessAlterPart *part);
extern void tess_alter_before_type(TessAlter *alter, TessAlterPart *part);
extern void tess_alter_after_type(TessAlter *alter, Relation rel,
								  TessAlterPart *part);
extern void tess_alter_after_default(TessAlter *alter, Relation rel,
									 TessAlterPart *part);

#endif
