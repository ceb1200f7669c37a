/*
 * command_effects.c - what statements do to our tables without naming them:
 * DROP SCHEMA, DROP OWNED, any CASCADE.
 *
 * The object access hook notes it; the end of the utility statement (or, for
 * drops outside of one, the end of the transaction) acts on it.  What a
 * rolled back subtransaction noted is forgotten.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "command/command_internal.h"
#include "function/function.h"
#include "table/table.h"

typedef enum EffectKind
{
	EFFECT_DROPPED,		 /* the table itself */
	EFFECT_PART_DROPPED, /* a column, default, index or constraint of it */
	EFFECT_TRIGGER_DROPPED,
	EFFECT_TRUNCATED
} EffectKind;

/* In the order in which shards lose them. */
typedef enum PartKind
{
	PART_CONSTRAINT,
	PART_INDEX,
	PART_DEFAULT,
	PART_COLUMN
} PartKind;

typedef struct Effect
{
	EffectKind kind;
	Oid relation;
	Oid part;
	char *schema;
	char *name;
	char *trigger;
	PartKind part_kind;
	char *part_name;  /* NULL: the distribution key */
	bool guarded_key; /* the shards have checked the key because of it */
	bool is_gone;	  /* from the shards, too */
	SubTransactionId subxact;
} Effect;

static struct
{
	List *noted; /* of Effect, in TopTransactionContext */
	object_access_hook_type next_hook;
	bool acting;				  /* what happens now is our own doing */
	const TessAltering *altering; /* of a statement that the shards get too */
} effects;

static void note_access(ObjectAccessType access, Oid class_id, Oid object_id,
						int sub_id, void *arg);
static void note_drop(Oid class_id, Oid object_id, int sub_id);
static void note_relation_drop(Oid relation, int sub_id);
static void note_alter(Oid relation, int sub_id,
					   const ObjectAccessPostAlter *arg);
static void refuse_alter(Oid relation, const ObjectAccessPostAlter *arg);
static Oid constraint_table(Oid constraint);
static void note_part(Oid relation, Oid part, PartKind kind, const char *name);
static void note_default_drop(ObjectAddress column);
static void note_trigger_drop(Oid trigger);
static Effect *note(EffectKind kind, Oid relation, Oid part);
static List *take(EffectKind kind);
static bool is_dropped(Oid relation, const List *dropped);
static void on_xact_event(XactEvent event, void *arg);
static void on_subxact_event(SubXactEvent event, SubTransactionId mine,
							 SubTransactionId parent, void *arg);

void
tess_effects_init(void)
{
	effects.next_hook = object_access_hook;
	object_access_hook = note_access;
	RegisterXactCallback(on_xact_event, NULL);
	RegisterSubXactCallback(on_subxact_event, NULL);
}

/* Core calls before it looks at rights, and before it locks a table that the
 * statement names.  What it would refuse is left alone. */
static void
note_truncate(Oid relation)
{
	if (pg_class_aclcheck(relation, GetUserId(), ACL_TRUNCATE) == ACLCHECK_OK)
	{
		LockRelationOid(relation, AccessExclusiveLock);
		tess_index_bury_invalid(relation);
	}
	note(EFFECT_TRUNCATED, relation, InvalidOid);
}

static void
note_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
			void *arg)
{
	if (effects.next_hook)
		effects.next_hook(access, class_id, object_id, sub_id, arg);
	if (effects.acting || object_id < FirstNormalObjectId || !tess_is_active())
		return;
	switch (access)
	{
		case OAT_DROP:
			note_drop(class_id, object_id, sub_id);
			break;
		case OAT_TRUNCATE:
			if (!tess_cat_is_restoring() && tess_meta_table(object_id) != NULL)
				note_truncate(object_id);
			break;
		case OAT_POST_ALTER:
			if (class_id == RelationRelationId)
				note_alter(object_id, sub_id, arg);
			else if (class_id == ProcedureRelationId)
				tess_refuse_function_change(object_id);
			break;
		case OAT_POST_CREATE:
			/* or CREATE OR REPLACE */
			if (class_id == ProcedureRelationId)
				tess_refuse_function_change(object_id);
			break;
		default:
			break;
	}
}

/* True for a table of ours; also if it has lost its key by now, without which
 * nobody can say what it is: then that has been noted. */
static bool
is_ours(Oid relation)
{
	ListCell *lc;

	foreach(lc, effects.noted)
	{
		if (((Effect *) lfirst(lc))->relation == relation)
			return true;
	}
	return tess_meta_table(relation) != NULL;
}

static void
note_drop(Oid class_id, Oid object_id, int sub_id)
{
	if (class_id == RelationRelationId)
		note_relation_drop(object_id, sub_id);
	else if (class_id == ConstraintRelationId)
	{
		Oid relation = constraint_table(object_id);

		if (OidIsValid(relation) && is_ours(relation))
			note_part(relation, object_id, PART_CONSTRAINT,
					  get_constraint_name(object_id));
	}
	else if (class_id == AttrDefaultRelationId)
		note_default_drop(GetAttrDefaultColumnAddress(object_id));
	else if (class_id == TriggerRelationId)
		note_trigger_drop(object_id);
}

/* A partition has its table's triggers, and loses them with it; so do shards. */
static bool
is_cloned_trigger(Oid trigger)
{
	HeapTuple tuple = tess_copy_trigger(trigger);

	return HeapTupleIsValid(tuple) &&
		   OidIsValid(((Form_pg_trigger) GETSTRUCT(tuple))->tgparentid);
}

static void
note_part(Oid relation, Oid part, PartKind kind, const char *name)
{
	Effect *effect = note(EFFECT_PART_DROPPED, relation, part);

	effect->part_kind = kind;
	if (name != NULL)
		effect->part_name = MemoryContextStrdup(TopTransactionContext, name);
}

/* Then nobody can say any more what the table is. */
static bool
has_lost_key(Oid relation)
{
	ListCell *lc;

	foreach(lc, effects.noted)
	{
		Effect *effect = lfirst(lc);

		if (effect->relation == relation &&
			effect->kind == EFFECT_PART_DROPPED && effect->part_name == NULL)
			return true;
	}
	return false;
}

static void
note_column_drop(Oid relation, int column)
{
	bool is_key = has_lost_key(relation) ||
				  tess_meta_table(relation)->key_attnum == column;

	note_part(relation, InvalidOid, PART_COLUMN,
			  is_key ? NULL : get_attname(relation, column, true));
}

/* A generated column goes itself. */
static void
note_default_drop(ObjectAddress column)
{
	if (OidIsValid(column.objectId) && is_ours(column.objectId) &&
		get_attgenerated(column.objectId, column.objectSubId) == '\0')
		note_part(column.objectId, InvalidOid, PART_DEFAULT,
				  get_attname(column.objectId, column.objectSubId, true));
}

static void
note_trigger_drop(Oid trigger)
{
	char *name;
	bool may_change_key;
	Oid relation = tess_trigger_of_shards(trigger, &name, &may_change_key);
	Effect *effect;

	if (!OidIsValid(relation) || !is_ours(relation) || is_cloned_trigger(trigger))
		return;
	effect = note(EFFECT_TRIGGER_DROPPED, relation, InvalidOid);
	effect->trigger = MemoryContextStrdup(TopTransactionContext, name);
	effect->guarded_key = may_change_key;
}

/* True while the table is altered together with its shards. */
static bool
is_altering(Oid table)
{
	return effects.altering != NULL &&
		   (effects.altering->relation == table ||
			list_member_oid(effects.altering->others, table));
}

/* True while indexes of the table go with those of its shards. */
static bool
is_replaced(Oid table)
{
	return is_altering(table) && effects.altering->replaces_indexes;
}

static void
note_relation_drop(Oid relation, int sub_id)
{
	char relkind = get_rel_relkind(relation);

	if (relation == tess_catalog_relation_oid("table") && tess_cat_tables() != NIL)
		tess_refuse_extension_drop();
	if (tess_is_index(relation))
	{
		Oid table = IndexGetRelation(relation, true);

		if (OidIsValid(table) && is_ours(table) && !is_replaced(table))
			note_part(table, relation, PART_INDEX, get_rel_name(relation));
	}
	else if ((relkind == RELKIND_RELATION ||
			  relkind == RELKIND_PARTITIONED_TABLE) &&
			 is_ours(relation))
	{
		if (sub_id == 0)
			note(EFFECT_DROPPED, relation, InvalidOid);
		else
			note_column_drop(relation, sub_id);
	}
}

/* The table of a constraint that shards keep; foreign keys go with what they
 * reference there as here, and triggers are noted themselves. */
static Oid
constraint_table(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Oid relation = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype != CONSTRAINT_FOREIGN &&
			form->contype != CONSTRAINT_TRIGGER)
			relation = form->conrelid;
		ReleaseSysCache(tuple);
	}
	return relation;
}

/* What happens to this table until the end, its shards are told.  To be undone
 * with what it gives back, also on errors. */
const TessAltering *
tess_effects_expect(const TessAltering *altering)
{
	const TessAltering *outer = effects.altering;

	effects.altering = altering;
	return outer;
}

/* Partitions may have the key elsewhere among their columns. */
static bool
is_key(const TessAltering *altering, Oid relation, int attnum)
{
	if (relation == altering->relation)
		return attnum == altering->key_attnum;
	return !tess_is_index(relation) &&
		   tess_meta_table(relation)->key_attnum == attnum;
}

static void
note_alter(Oid relation, int sub_id, const ObjectAccessPostAlter *arg)
{
	const TessAltering *altering = effects.altering;
	Oid table = relation;

	if (tess_is_index(relation))
		table = IndexGetRelation(relation, true);
	if (!is_altering(table))
		refuse_alter(relation, arg);
	else if (altering->new_key != NULL && sub_id > 0 &&
			 is_key(altering, relation, sub_id))
		tess_cat_table_rename_key(relation, altering->new_key);
}

/* The last fence: whatever alters a shell in a way that command_refuse.c does
 * not know would leave its shards behind. */
static void
refuse_alter(Oid relation, const ObjectAccessPostAlter *arg)
{
	const TessTable *table;

	if ((arg != NULL && arg->is_internal) || tess_cat_is_restoring())
		return;
	if (tess_is_index(relation))
		relation = IndexGetRelation(relation, true);
	table = tess_meta_table(relation);
	if (table != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" cannot be altered while it is distributed",
						table->name),
				 errhint(
					 "Use tessera.undistribute_table(), change the table, and distribute it again.")));
}

static Effect *
note(EffectKind kind, Oid relation, Oid part)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Effect *effect = palloc0(sizeof(Effect));

	effect->kind = kind;
	effect->relation = relation;
	effect->part = part;
	effect->name = get_rel_name(relation);
	effect->schema = get_namespace_name(get_rel_namespace(relation));
	effect->subxact = GetCurrentSubTransactionId();
	effects.noted = lappend(effects.noted, effect);
	MemoryContextSwitchTo(caller);
	return effect;
}

static List *
take(EffectKind kind)
{
	List *taken = NIL;
	ListCell *lc;

	foreach(lc, effects.noted)
	{
		Effect *effect = lfirst(lc);

		if (effect->kind != kind)
			continue;
		taken = lappend(taken, effect);
		effects.noted = foreach_delete_current(effects.noted, lc);
	}
	return taken;
}

/* OIDs of our tables that were truncated since the last call. */
List *
tess_effects_take_truncated(void)
{
	List *relations = NIL;
	ListCell *lc;

	foreach(lc, take(EFFECT_TRUNCATED))
		relations = list_append_unique_oid(relations,
										   ((Effect *) lfirst(lc))->relation);
	return relations;
}

/* An index that was dropped on purpose, on the shards as well. */
void
tess_effects_forget_part(Oid part)
{
	ListCell *lc;

	foreach(lc, effects.noted)
	{
		Effect *effect = lfirst(lc);

		if (effect->kind == EFFECT_PART_DROPPED && effect->part == part)
			effects.noted = foreach_delete_current(effects.noted, lc);
	}
}

/* What the table has lost is lost by its shards as well. */
void
tess_effects_forget_parts(Oid relation)
{
	ListCell *lc;

	foreach(lc, effects.noted)
	{
		Effect *effect = lfirst(lc);

		if (effect->kind == EFFECT_PART_DROPPED && effect->relation == relation)
			effects.noted = foreach_delete_current(effects.noted, lc);
		else if (effect->relation == relation)
			effect->is_gone = true;
	}
}

/* Triggers of tables that are still there. */
static void
drop_triggers(const List *dropped)
{
	List *guarded = NIL;
	ListCell *lc;

	foreach(lc, take(EFFECT_TRIGGER_DROPPED))
	{
		Effect *effect = lfirst(lc);
		const TessTable *table;

		if (is_dropped(effect->relation, dropped))
			continue;
		table = tess_meta_table(effect->relation);
		if (table == NULL || table->kind != TESS_DISTRIBUTED)
			continue;
		if (!effect->is_gone)
			tess_triggers_drop(effect->relation, list_make1(effect->trigger));
		if (effect->guarded_key)
			guarded = list_append_unique_oid(guarded, effect->relation);
	}
	foreach(lc, guarded)
		tess_triggers_guard_key(lfirst_oid(lc), true);
}

/* Errors with 0A000: without its key nobody can say where a row is. */
static void
refuse_key_drop(const Effect *part)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot drop the distribution key of table \"%s\"",
					part->name),
			 errhint(
				 "Use tessera.undistribute_table(), change the table, and distribute it again.")));
}

/* Errors with 0A000: partitions lose parts with their parents alone, there as
 * here, and which of them that is a CASCADE does not say. */
static void
refuse_in_partitions(const Effect *part)
{
	if (!get_rel_relispartition(part->relation) &&
		get_rel_relkind(part->relation) != RELKIND_PARTITIONED_TABLE)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot drop a column, index or constraint of distributed partitioned table \"%s\" in this way",
					part->name),
			 errhint("Drop it with ALTER TABLE or DROP INDEX.")));
}

static void
drop_part(const Effect *part)
{
	const TessTable *table = tess_meta_table(part->relation);
	const char *name = quote_identifier(part->part_name);
	TessWork *work;
	List *template;

	if (table == NULL)
		return;
	if (part->part_kind == PART_INDEX)
		template = tess_repeat_template(table, "DROP INDEX IF EXISTS ",
										part->part_name, "");
	else
		template = tess_repeat_template(table, "ALTER TABLE ", table->name,
										psprintf(part->part_kind == PART_CONSTRAINT
													 ? " DROP CONSTRAINT IF EXISTS %s CASCADE"
												 : part->part_kind == PART_DEFAULT
													 ? " ALTER COLUMN %s DROP DEFAULT"
													 : " DROP COLUMN IF EXISTS %s CASCADE",
												 name));
	work = tess_work_of_table(table);
	tess_work_add_templates(work, list_make1(template));
	tess_work_run(work);
}

/* What tables that are still there have lost by a CASCADE goes from their shards
 * in the order of the kinds of parts: so nothing has gone before, along with
 * something else, but the indexes of constraints. */
static void
drop_parts(List *parts, const List *dropped)
{
	for (PartKind kind = PART_CONSTRAINT; kind <= PART_COLUMN; kind++)
	{
		ListCell *lc;

		foreach(lc, parts)
		{
			Effect *part = lfirst(lc);

			if (part->part_kind == kind && !is_dropped(part->relation, dropped))
				drop_part(part);
		}
	}
}

/*
 * The end of a statement: drops the shards of tables that are gone, and from
 * those of others what they have lost.  Errors with 0A000 if that is the key.
 */
void
tess_effects_finish(void)
{
	List *dropped;
	List *parts;
	ListCell *lc;

	if (effects.noted == NIL)
		return;
	dropped = take(EFFECT_DROPPED);
	parts = take(EFFECT_PART_DROPPED);
	foreach(lc, parts)
	{
		Effect *part = lfirst(lc);

		if (is_dropped(part->relation, dropped))
			continue;
		if (part->part_name == NULL)
			refuse_key_drop(part);
		refuse_in_partitions(part);
	}
	effects.acting = true;
	PG_TRY();
	{
		drop_triggers(dropped);
		drop_parts(parts, dropped);
		foreach(lc, dropped)
		{
			Effect *effect = lfirst(lc);

			tess_table_drop_shards(effect->relation, effect->schema,
								   effect->name);
		}
	}
	PG_FINALLY();
	{
		effects.acting = false;
	}
	PG_END_TRY();
}

static bool
is_dropped(Oid relation, const List *dropped)
{
	ListCell *lc;

	foreach(lc, dropped)
	{
		if (((Effect *) lfirst(lc))->relation == relation)
			return true;
	}
	return false;
}

/* Registered after xact/, so called before it: what is dropped here still
 * takes part in the commit. */
static void
on_xact_event(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		tess_effects_finish();
	else
		effects.noted = NIL;
}

static void
on_subxact_event(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	ListCell *lc;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	foreach(lc, effects.noted)
	{
		Effect *effect = lfirst(lc);

		if (effect->subxact != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			effect->subxact = parent;
		else
			effects.noted = foreach_delete_current(effects.noted, lc);
	}
}
