/*
 * table_constraint.c - constraints that can be kept inside shards, and those
 * that cannot.
 *
 * A shard sees its own rows, those of the same shard of colocated tables, and
 * reference tables.  So uniqueness needs the key among its columns, and a
 * foreign key to a distributed table has to link the two keys.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/index.h"
#include "catalog/pg_constraint.h"
#include "commands/trigger.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "table/table_internal.h"

static bool index_holds_key(Relation index, const TessTableRequest *request);
static bool is_key_operator(const TessHasher *hasher, Oid opno);
static void check_foreign_key(const TessTableRequest *request,
							  const ForeignKeyCacheInfo *key,
							  int32 colocation_id);
static int position_of(const AttrNumber *columns, int count, AttrNumber column);
static void check_actions(const TessTableRequest *request,
						  const ForeignKeyCacheInfo *key, const char *name);
static void check_set_default(Relation rel, const ForeignKeyCacheInfo *key);
static List *referrers_of(Relation rel);
static char *constraint_name(Oid constraint);

/* Unique and exclusion constraints must contain the key, compared by the
 * equality that routes (42P16 otherwise). */
void
tess_table_check_unique(const TessTableRequest *request)
{
	List *indexes = RelationGetIndexList(request->rel);
	ListCell *lc;

	foreach(lc, indexes)
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if ((form->indisunique || form->indisexclusion) &&
			!index_holds_key(index, request))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 form->indisexclusion
						 ? errmsg("exclusion constraint \"%s\" does not compare the distribution key with =",
								  RelationGetRelationName(index))
						 : errmsg("unique constraint or index \"%s\" does not contain the distribution key",
								  RelationGetRelationName(index)),
					 errdetail("A shard sees only its own rows."),
					 errhint("Add column \"%s\" to it, or distribute by one of its columns.",
							 request->key)));
		index_close(index, NoLock);
	}
	list_free(indexes);
}

/* See table.h. */
void
tess_table_check_constraints(Relation rel)
{
	const TessTable *table = tess_meta_table(RelationGetRelid(rel));
	TessTableRequest request = {0};

	if (table->kind == TESS_REFERENCE)
	{
		tess_table_check_reference_keys(rel);
		return;
	}
	request.rel = rel;
	request.key_attnum = table->key_attnum;
	request.key = get_attname(table->relation, table->key_attnum, false);
	request.hasher = table->group->hasher;
	tess_table_check_unique(&request);
	tess_table_check_foreign_keys(&request, table->group->colocation_id);
}

static bool
index_holds_key(Relation index, const TessTableRequest *request)
{
	Oid *operators = NULL;

	if (index->rd_index->indisexclusion)
	{
		Oid *procs;
		uint16 *strategies;

		RelationGetExclusionInfo(index, &operators, &procs, &strategies);
	}
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		Oid collation = index->rd_indcollation[i];
		Oid equality;

		if (index->rd_index->indkey.values[i] != request->key_attnum)
			continue;
		if (operators != NULL)
			equality = operators[i];
		else
			equality = get_opfamily_member(index->rd_opfamily[i],
										   index->rd_opcintype[i],
										   index->rd_opcintype[i],
										   BTEqualStrategyNumber);
		if (is_key_operator(&request->hasher, equality) &&
			(collation == request->hasher.collation ||
			 (get_collation_isdeterministic(collation) &&
			  get_collation_isdeterministic(request->hasher.collation))))
			return true;
	}
	return false;
}

/* Equality of the family that the key is hashed by? */
static bool
is_key_operator(const TessHasher *hasher, Oid opno)
{
	return OidIsValid(opno) && get_op_opfamily_strategy(opno, hasher->opfamily) ==
								   HTEqualStrategyNumber;
}

/* Foreign keys of a table that is to join a colocation group. */
void
tess_table_check_foreign_keys(const TessTableRequest *request,
							  int32 colocation_id)
{
	ListCell *lc;

	foreach(lc, RelationGetFKeyList(request->rel))
		check_foreign_key(request, lfirst(lc), colocation_id);
}

static void
check_foreign_key(const TessTableRequest *request,
				  const ForeignKeyCacheInfo *key, int32 colocation_id)
{
	bool is_self = key->confrelid == RelationGetRelid(request->rel);
	const TessTable *referenced = tess_meta_table(key->confrelid);
	char *name = constraint_name(key->conoid);
	AttrNumber referenced_key;
	int position;

	check_set_default(request->rel, key);
	if (!is_self && referenced == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" references local table \"%s\"",
						name, get_rel_name(key->confrelid)),
				 errdetail("The shards could not look into it."),
				 errhint("Distribute table \"%s\" first, or make it a reference table.",
						 get_rel_name(key->confrelid))));
	check_actions(request, key, name);
	if (!is_self && referenced->kind == TESS_REFERENCE)
		return;
	if (!is_self && referenced->group->colocation_id != colocation_id)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" references table \"%s\", which is not colocated",
						name, referenced->name),
				 errhint("Use colocate_with => '%s', which needs the same type of key, or make \"%s\" a reference table.",
						 referenced->name, referenced->name)));

	referenced_key = is_self ? request->key_attnum : referenced->key_attnum;
	position = position_of(key->conkey, key->nkeys, request->key_attnum);
	if (position < 0 || key->confkey[position] != referenced_key ||
		!is_key_operator(&request->hasher, key->conpfeqop[position]))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" does not link the distribution keys",
						name),
				 errdetail(
					 "Referencing and referenced row could be in different shards."),
				 errhint(
					 "Add the distribution key to both sides of the foreign key.")));
}

static int
position_of(const AttrNumber *columns, int count, AttrNumber column)
{
	for (int i = 0; i < count; i++)
	{
		if (columns[i] == column)
			return i;
	}
	return -1;
}

/* SET NULL and SET DEFAULT must not change the key: the row would have to
 * move to another shard. */
static void
check_actions(const TessTableRequest *request, const ForeignKeyCacheInfo *key,
			  const char *name)
{
	HeapTuple tuple;
	Form_pg_constraint form;
	bool changes_key;
	Datum columns;
	bool isnull;

	if (position_of(key->conkey, key->nkeys, request->key_attnum) < 0)
		return;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(key->conoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", key->conoid);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	changes_key = form->confupdtype == FKCONSTR_ACTION_SETNULL ||
				  form->confupdtype == FKCONSTR_ACTION_SETDEFAULT;
	if (form->confdeltype == FKCONSTR_ACTION_SETNULL ||
		form->confdeltype == FKCONSTR_ACTION_SETDEFAULT)
	{
		columns = SysCacheGetAttr(CONSTROID, tuple,
								  Anum_pg_constraint_confdelsetcols, &isnull);
		if (isnull)
			changes_key = true;
		else
		{
			ArrayType *array = DatumGetArrayTypeP(columns);

			if (position_of((AttrNumber *) ARR_DATA_PTR(array),
							ARR_DIMS(array)[0], request->key_attnum) >= 0)
				changes_key = true;
		}
	}
	ReleaseSysCache(tuple);
	if (changes_key)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" may set the distribution key", name),
				 errdetail(
					 "SET NULL or SET DEFAULT would have to move rows to another shard."),
				 errhint(
					 "Use another action, or name the columns: ON DELETE SET NULL (...).")));
}

/* SET DEFAULT is done by each server for its own rows: the default has to be
 * the same there. */
static void
check_set_default(Relation rel, const ForeignKeyCacheInfo *key)
{
	HeapTuple tuple;
	Form_pg_constraint form;
	bool sets_default;

	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(key->conoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", key->conoid);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	sets_default = form->confdeltype == FKCONSTR_ACTION_SETDEFAULT ||
				   form->confupdtype == FKCONSTR_ACTION_SETDEFAULT;
	ReleaseSysCache(tuple);
	if (!sets_default)
		return;

	for (int i = 0; i < key->nkeys; i++)
	{
		Node *expr = build_column_default(rel, key->conkey[i]);

		if (expr != NULL && contain_mutable_functions(expr))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("foreign key \"%s\" may set a default that is not the same on all servers",
							constraint_name(key->conoid)),
					 errdetail("Each server sets the default of column \"%s\" for its own rows.",
							   get_attname(RelationGetRelid(rel),
										   key->conkey[i], false)),
					 errhint("Use another action, or an immutable default.")));
	}
}

/* Foreign keys of a table that is to be a reference table: only to others. */
void
tess_table_check_reference_keys(Relation rel)
{
	ListCell *lc;

	foreach(lc, RelationGetFKeyList(rel))
	{
		const ForeignKeyCacheInfo *key = lfirst(lc);
		const TessTable *referenced;

		check_set_default(rel, key);
		if (key->confrelid == RelationGetRelid(rel))
			continue;
		referenced = tess_meta_table(key->confrelid);
		if (referenced == NULL || referenced->kind != TESS_REFERENCE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("foreign key \"%s\" references table \"%s\", which is not a reference table",
							constraint_name(key->conoid),
							get_rel_name(key->confrelid)),
					 errhint("Make \"%s\" a reference table first, or drop the foreign key.",
							 get_rel_name(key->confrelid))));
	}
}

/* OIDs of the other tables with foreign keys to this one. */
static List *
referrers_of(Relation rel)
{
	List *referrers = NIL;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger *trigger = &rel->trigdesc->triggers[i];

		if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
			trigger->tgconstrrelid != RelationGetRelid(rel))
			referrers = list_append_unique_oid(referrers, trigger->tgconstrrelid);
	}
	return referrers;
}

/* Says which local tables keep rows of a distributed table from going. */
void
tess_table_notice_referrers(Relation rel)
{
	List *names = NIL;
	ListCell *lc;

	/* a partition that comes later is referred to by what its table is */
	foreach(lc, referrers_of(rel))
	{
		if (tess_meta_table(lfirst_oid(lc)) == NULL)
			names = lappend(names, get_rel_name(lfirst_oid(lc)));
	}
	if (names != NIL)
		ereport(NOTICE,
				(errmsg("foreign keys reference table \"%s\" from %s",
						RelationGetRelationName(rel), tess_name_list(names)),
				 errdetail("Until those tables are distributed too, rows of \"%s\" cannot be deleted or get other keys.",
						   RelationGetRelationName(rel))));
}

/* Errors if shards have foreign keys to the table (55000), but for those of the
 * tables in among (OIDs).  to_references says whether reference tables count as
 * well. */
void
tess_table_check_unreferenced(Relation rel, const List *among, bool to_references)
{
	ListCell *lc;

	foreach(lc, referrers_of(rel))
	{
		const TessTable *referrer = tess_meta_table(lfirst_oid(lc));

		if (referrer != NULL && !list_member_oid(among, lfirst_oid(lc)) &&
			(to_references || referrer->kind == TESS_DISTRIBUTED))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" has a foreign key to table \"%s\"",
							referrer->name, RelationGetRelationName(rel)),
					 errhint("Use tessera.undistribute_table() on \"%s\" first.",
							 referrer->name)));
	}
}

static char *
constraint_name(Oid constraint)
{
	char *name = get_constraint_name(constraint);

	return name ? name : pstrdup("?");
}
