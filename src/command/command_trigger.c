/*
 * command_trigger.c - CREATE TRIGGER on our tables, and what becomes of triggers
 * that are dropped, whatever drops them.
 *
 * Row triggers of a distributed table are made in its shards (function/).  All
 * others are the shell's, and run here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/rel.h"

#include "base/base.h"
#include "command/command_internal.h"
#include "function/function.h"
#include "table/table.h"

struct TessNewTrigger
{
	TessAltering altering;
	char *name;
	bool guards_key; /* the shards have checked keys before */
};

/* The table, locked as core locks it; InvalidOid if it is not ours, or core
 * will not let the current user make a trigger. */
static Oid
lock_table(const RangeVar *name)
{
	for (;;)
	{
		Oid relation = RangeVarGetRelid(name, NoLock, true);

		if (!OidIsValid(relation) || tess_meta_table(relation) == NULL ||
			pg_class_aclcheck(relation, GetUserId(), ACL_TRIGGER) != ACLCHECK_OK)
			return InvalidOid;
		LockRelationOid(relation, ShareRowExclusiveLock);
		if (RangeVarGetRelid(name, NoLock, true) == relation)
			return tess_meta_table(relation) ? relation : InvalidOid;
		UnlockRelationOid(relation, ShareRowExclusiveLock);
	}
}

/* NULL if it is not for a table of ours. */
TessNewTrigger *
tess_trigger_before_create(const CreateTrigStmt *create)
{
	Oid relation = lock_table(create->relation);
	TessNewTrigger *trigger;

	if (!OidIsValid(relation))
		return NULL;
	trigger = palloc0(sizeof(TessNewTrigger));
	trigger->altering.relation = relation;
	trigger->name = pstrdup(create->trigname);
	if (tess_meta_table(relation)->kind == TESS_DISTRIBUTED)
		trigger->guards_key = tess_triggers_may_change_key(relation);
	return trigger;
}

const TessAltering *
tess_trigger_altering(const TessNewTrigger *trigger)
{
	return &trigger->altering;
}

/* The trigger has been made here. */
void
tess_trigger_after_create(TessNewTrigger *trigger)
{
	Oid relation = trigger->altering.relation;
	TessTableKind kind;
	Relation rel;
	Oid oid;

	CommandCounterIncrement();
	kind = tess_meta_table(relation)->kind;
	oid = get_trigger_oid(relation, trigger->name, false);
	rel = table_open(relation, NoLock);
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
		if (rel->trigdesc->triggers[i].tgoid == oid)
			tess_table_check_trigger(rel, &rel->trigdesc->triggers[i], kind);
	table_close(rel, NoLock);
	if (kind == TESS_REFERENCE)
		return;
	tess_triggers_create(relation, list_make1_oid(oid));
	tess_triggers_guard_key(relation, trigger->guards_key);
}

/* Its table if it stands in shards, and its name; InvalidOid otherwise. */
Oid
tess_trigger_of_shards(Oid trigger, char **name, bool *may_change_key)
{
	HeapTuple tuple = tess_copy_trigger(trigger);
	Oid relation = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (!form->tgisinternal && TRIGGER_FOR_ROW(form->tgtype))
			relation = form->tgrelid;
		*name = NameStr(form->tgname);
		*may_change_key = TRIGGER_FOR_BEFORE(form->tgtype) &&
						  (TRIGGER_FOR_INSERT(form->tgtype) ||
						   TRIGGER_FOR_UPDATE(form->tgtype));
	}
	return relation;
}

/* True if the shards have the trigger; false: it is this server's alone. */
bool
tess_trigger_is_in_shards(const TessTable *table, const char *name)
{
	Oid trigger = get_trigger_oid(table->relation, name, true);
	bool unused;
	char *unused_name;

	return table->kind == TESS_DISTRIBUTED && OidIsValid(trigger) &&
		   OidIsValid(tess_trigger_of_shards(trigger, &unused_name, &unused));
}
