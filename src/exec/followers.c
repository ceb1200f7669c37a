/*
 * followers.c - rows that refer to rows whose distribution key changes.
 *
 * A row that moves to another shard is deleted there and inserted here, which
 * its foreign keys would take for just that: what they do on deletion would
 * happen, and what they do on update would not.  So before anything is written
 * it is looked whether any row refers to those that move, by a key that acts.
 * Mostly none does.  Where some do:
 *
 * ON UPDATE CASCADE: they follow.  The rows that move are inserted first, then
 * those that refer to them are updated, by an UPDATE like a user's, which moves
 * them in turn; and then nothing refers to the old rows, which are deleted.
 * NO ACTION, RESTRICT: the error that the update of a row would have.
 * A table that refers to itself, and MERGE: refused.
 *
 * What is written is written as the role that runs the statement, for it has to
 * see in its own connections what it has written.  Whether rows refer is looked
 * as the owner of their table where that role may not read them: the rows that move are
 * locked, so that none can begin to refer to them.
 *
 * Keys do not change places where rows follow: the error 23505, as in PostgreSQL,
 * whose foreign keys refer to no index that is deferrable.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "exec/exec_internal.h"

struct TessFollowers
{
	const TessFragment *fragment;
	const TessWrite *write; /* the INSERT of rows that move */
	List *keys;				/* TessReferrer * that act */
	int64 rows;
	ArrayBuildState **old_values; /* by write->old_columns */
	ArrayBuildState **new_values; /* ... where they are assigned; or NULL */
	int *new_positions;
	List *cascading; /* keys by which rows follow */
};

/* Where the child has the new value of a column; -1: it is generated. */
static int
new_position(const TessWrite *write, AttrNumber attno)
{
	ListCell *column;
	ListCell *position;

	forboth(column, write->columns, position, write->positions)
		if (lfirst_int(column) == attno)
			return lfirst_int(position);
	return -1;
}

/* See exec_internal.h. */
TessFollowers *
tess_followers_begin(const TessFragment *fragment, const TessWrite *write)
{
	TessFollowers *followers;
	Relation rel;
	ListCell *cell;
	int count = list_length(write->old_columns);

	if (count == 0)
		return NULL;
	followers = palloc0(sizeof(TessFollowers));
	followers->fragment = fragment;
	followers->write = write;
	followers->old_values = palloc(count * sizeof(ArrayBuildState *));
	followers->new_values = palloc(count * sizeof(ArrayBuildState *));
	followers->new_positions = palloc(count * sizeof(int));
	foreach(cell, write->old_columns)
	{
		int i = foreach_current_index(cell);
		Oid type = get_atttype(fragment->anchor, lfirst_int(cell));

		followers->old_values[i] = initArrayResult(type, CurrentMemoryContext,
												   false);
		followers->new_values[i] = initArrayResult(type, CurrentMemoryContext,
												   false);
		followers->new_positions[i] = new_position(write, lfirst_int(cell));
	}
	rel = table_open(fragment->anchor, NoLock);
	foreach(cell, tess_relation_referrers(rel))
		if (tess_referrer_acts(lfirst(cell)))
			followers->keys = lappend(followers->keys, lfirst(cell));
	table_close(rel, NoLock);
	return followers;
}

/* See exec_internal.h. */
void
tess_followers_add(TessFollowers *followers, TupleTableSlot *slot)
{
	ListCell *cell;

	foreach(cell, followers->write->old_positions)
	{
		int i = foreach_current_index(cell);
		Oid type = followers->old_values[i]->element_type;
		bool isnull;
		Datum value = slot_getattr(slot, lfirst_int(cell) + 1, &isnull);

		(void) accumArrayResult(followers->old_values[i], value, isnull, type,
								CurrentMemoryContext);
		if (followers->new_positions[i] < 0)
			continue;
		value = slot_getattr(slot, followers->new_positions[i] + 1, &isnull);
		(void) accumArrayResult(followers->new_values[i], value, isnull, type,
								CurrentMemoryContext);
	}
	followers->rows++;
}

/* Statements ------------------------------------------------------------------ */

static int
index_of(const TessFollowers *followers, AttrNumber attno)
{
	ListCell *cell;

	foreach(cell, followers->write->old_columns)
		if (lfirst_int(cell) == attno)
			return foreach_current_index(cell);
	elog(ERROR, "column %d is not known", attno);
}

static char *
column_name(Oid relation, AttrNumber attno)
{
	return (char *) quote_identifier(get_attname(relation, attno, false));
}

/* unnest($1, ...) AS v (o1, ..., n1, ...) WHERE v.o1 = c.a ... */
static void
append_rows(StringInfo sql, const TessReferrer *key)
{
	appendStringInfoString(sql, "unnest(");
	for (int i = 1; i <= 2 * key->count; i++)
		appendStringInfo(sql, "%s$%d", i > 1 ? ", " : "", i);
	appendStringInfoString(sql, ") AS v (");
	for (int i = 1; i <= key->count; i++)
		appendStringInfo(sql, "o%d, ", i);
	for (int i = 1; i <= key->count; i++)
		appendStringInfo(sql, "%sn%d", i > 1 ? ", " : "", i);
	appendStringInfoString(sql, ") WHERE ");
	for (int i = 0; i < key->count; i++)
	{
		appendStringInfo(sql, "%sv.o%d", i > 0 ? " AND " : "", i + 1);
		tess_operator_append(sql, key->operators[i]);
		appendStringInfo(sql, "c.%s",
						 column_name(key->relation, key->columns[i]));
	}
}

/* Runs a statement over the rows that move; SPI's result is the caller's. */
static void
run_over_rows(const TessFollowers *followers, const TessReferrer *key,
			  const char *sql, bool reads, int64 limit)
{
	Oid types[2 * INDEX_MAX_KEYS];
	Datum values[2 * INDEX_MAX_KEYS];
	int result;

	for (int i = 0; i < key->count; i++)
	{
		int at = index_of(followers, key->referenced[i]);
		ArrayBuildState *old_values = followers->old_values[at];
		ArrayBuildState *new_values = followers->new_values[at];

		types[i] = types[key->count + i] = get_array_type(
			old_values->element_type);
		values[i] = makeArrayResult(old_values, CurrentMemoryContext);
		values[key->count + i] = makeArrayResult(new_values,
												 CurrentMemoryContext);
	}
	result = SPI_execute_with_args(sql, 2 * key->count, types, values, NULL,
								   reads, limit);
	if (result != SPI_OK_SELECT && result != SPI_OK_UPDATE)
		elog(ERROR, "a statement about referring rows ended with %s",
			 SPI_result_code_string(result));
}

/* Looking --------------------------------------------------------------------- */

static void
refuse_referring(const TessReferrer *key, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot change the distribution key of a row of table \"%s\" to which others refer",
					get_rel_name(key->to)),
			 errdetail_internal("%s", detail),
			 errhint(
				 "Insert the row with its new key, let other rows refer to that, and delete the old row.")));
}

/* As PostgreSQL says it of a row that is updated.  SPI has the row. */
static void
raise_violation(const TessReferrer *key)
{
	StringInfoData names;
	StringInfoData values;

	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < key->count; i++)
	{
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "",
						 get_attname(key->to, key->referenced[i], false));
		appendStringInfo(&values, "%s%s", i > 0 ? ", " : "",
						 SPI_getvalue(SPI_tuptable->vals[0],
									  SPI_tuptable->tupdesc, i + 1));
	}
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("update or delete on table \"%s\" violates foreign key constraint \"%s\" on table \"%s\"",
					get_rel_name(key->to), get_constraint_name(key->constraint),
					get_rel_name(key->relation)),
			 errdetail("Key (%s)=(%s) is still referenced from table \"%s\".",
					   names.data, values.data, get_rel_name(key->relation))));
}

/* True if rows refer to those that move, and have to follow. */
static bool
has_followers(const TessFollowers *followers, const TessReferrer *key)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 1; i <= key->count; i++)
		appendStringInfo(&sql, "%sv.o%d", i > 1 ? ", " : "", i);
	appendStringInfo(&sql, " FROM ONLY %s AS c, ",
					 tess_relation_qualified_name(key->relation));
	append_rows(&sql, key);
	appendStringInfoString(&sql, " LIMIT 1");
	run_over_rows(followers, key, sql.data, false, 1);
	if (SPI_processed == 0)
		return false;
	if (key->relation == key->to)
		refuse_referring(key,
						 psprintf(_("They are of the same table, by foreign key \"%s\"."),
								  get_constraint_name(key->constraint)));
	if (key->on_update != FKCONSTR_ACTION_CASCADE)
		raise_violation(key);
	if (followers->write->action > 0)
		refuse_referring(key,
						 psprintf(_("MERGE does not take them along, as foreign key \"%s\" wants."),
								  get_constraint_name(key->constraint)));
	for (int i = 0; i < key->count; i++)
		if (followers->new_positions[index_of(followers, key->referenced[i])] < 0)
			refuse_referring(key,
							 psprintf(_("Foreign key \"%s\" is about a generated column."),
									  get_constraint_name(key->constraint)));
	return true;
}

/* Runs something about a foreign key in SPI, as a role. */
static void
run_as(Oid role, TessFollowers *followers, const TessReferrer *key,
	   void (*run)(TessFollowers *followers, const TessReferrer *key))
{
	Oid saved_user;
	int saved_context;

	GetUserIdAndSecContext(&saved_user, &saved_context);
	if (role != saved_user)
		SetUserIdAndSecContext(role,
							   saved_context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	run(followers, key);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	SetUserIdAndSecContext(saved_user, saved_context);
}

static Oid
statement_role(const TessFollowers *followers)
{
	Oid role = followers->fragment->role;

	return OidIsValid(role) ? role : GetUserId();
}

/* True if a role may read what says which rows refer. */
static bool
may_look(const TessReferrer *key, Oid role)
{
	if (pg_namespace_aclcheck(get_rel_namespace(key->relation), role,
							  ACL_USAGE) != ACLCHECK_OK)
		return false;
	if (pg_class_aclcheck(key->relation, role, ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < key->count; i++)
		if (pg_attribute_aclcheck(key->relation, key->columns[i], role,
								  ACL_SELECT) != ACLCHECK_OK)
			return false;
	return true;
}

static Oid
owner_of(Oid relation)
{
	Relation rel = table_open(relation, AccessShareLock);
	Oid owner = rel->rd_rel->relowner;

	table_close(rel, NoLock);
	return owner;
}

static void
look(TessFollowers *followers, const TessReferrer *key)
{
	MemoryContext old_context;

	if (!has_followers(followers, key))
		return;
	old_context = MemoryContextSwitchTo(GetMemoryChunkContext(followers));
	followers->cascading = lappend(followers->cascading, (void *) key);
	MemoryContextSwitchTo(old_context);
}

/* Looks whether rows refer to those that move.  Who may not read them learns no
 * more than PostgreSQL's own checks tell everybody, which are made as the owner. */
static void
look_at_all(TessFollowers *followers)
{
	Oid role = statement_role(followers);
	ListCell *cell;

	foreach(cell, followers->keys)
	{
		const TessReferrer *key = lfirst(cell);

		run_as(may_look(key, role) ? role : owner_of(key->relation), followers,
			   key, look);
	}
}

/* See exec_internal.h. */
bool
tess_followers_exist(TessFollowers *followers)
{
	if (followers->rows > 0)
		look_at_all(followers);
	return followers->cascading != NIL;
}

/* The INSERT of the rows that move. */
const TessWrite *
tess_followers_write(const TessFollowers *followers)
{
	return followers->write;
}

/* Moving ---------------------------------------------------------------------- */

static void
move(TessFollowers *followers, const TessReferrer *key)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE ONLY %s AS c SET ",
					 tess_relation_qualified_name(key->relation));
	for (int i = 0; i < key->count; i++)
		appendStringInfo(&sql, "%s%s = v.n%d", i > 0 ? ", " : "",
						 column_name(key->relation, key->columns[i]), i + 1);
	appendStringInfoString(&sql, " FROM ");
	append_rows(&sql, key);
	run_over_rows(followers, key, sql.data, false, 0);
}

/* See exec_internal.h. */
void
tess_followers_move(TessFollowers *followers)
{
	ListCell *cell;

	foreach(cell, followers->cascading)
		run_as(statement_role(followers), followers, lfirst(cell), move);
}

/* A row may not go to another shard: triggers of a table, this one or one whose rows
 * follow, would have to see it as an updated one. */
void
tess_refuse_move(Oid table, Oid hidden_from)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot change the distribution key of table \"%s\"",
					get_rel_name(table)),
			 errdetail("Rows that go to another shard are deleted and inserted, which triggers of table \"%s\" would not take for an update.",
					   get_rel_name(hidden_from)),
			 errhint("Delete the row, and insert it with its new key.")));
}
