/*
 * cascades.c - foreign keys that refer to a table: which tables they take along
 * when rows of it go, or get other keys.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_constraint.h"
#include "commands/trigger.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"

/* The trigger only looks whether rows refer to the one that goes. */
static bool
only_checks(Oid function)
{
	return function == F_RI_FKEY_NOACTION_DEL ||
		   function == F_RI_FKEY_NOACTION_UPD ||
		   function == F_RI_FKEY_RESTRICT_DEL ||
		   function == F_RI_FKEY_RESTRICT_UPD;
}

/* The trigger acts on rows that get other keys, not on those that go. */
static bool
acts_on_update(Oid function)
{
	return function == F_RI_FKEY_CASCADE_UPD ||
		   function == F_RI_FKEY_SETNULL_UPD ||
		   function == F_RI_FKEY_SETDEFAULT_UPD;
}

/* See base.h.  A shell has the triggers that its shards have. */
List *
tess_relation_cascades(List *tables, Oid relation, bool only_updated)
{
	Relation rel = relation_open(relation, AccessShareLock);
	int count = rel->trigdesc != NULL ? rel->trigdesc->numtriggers : 0;
	List *added = NIL;
	ListCell *cell;

	for (int i = 0; i < count; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
			OidIsValid(trigger->tgconstrrelid) && !only_checks(trigger->tgfoid) &&
			(!only_updated || acts_on_update(trigger->tgfoid)) &&
			!list_member_oid(tables, trigger->tgconstrrelid))
			added = list_append_unique_oid(added, trigger->tgconstrrelid);
	}
	relation_close(rel, NoLock);
	tables = list_concat(tables, added);
	foreach(cell, added)
		tables = tess_relation_cascades(tables, lfirst_oid(cell), false);
	return tables;
}

static TessReferrer *
make_referrer(Oid constraint)
{
	HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	TessReferrer *referrer = palloc0(sizeof(TessReferrer));
	Form_pg_constraint form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	referrer->constraint = constraint;
	referrer->relation = form->conrelid;
	referrer->to = form->confrelid;
	referrer->on_update = form->confupdtype;
	referrer->on_delete = form->confdeltype;
	DeconstructFkConstraintRow(tuple, &referrer->count, referrer->columns,
							   referrer->referenced, referrer->operators, NULL,
							   NULL, NULL, NULL);
	ReleaseSysCache(tuple);
	return referrer;
}

/* See base.h. */
List *
tess_relation_referrers(Relation rel)
{
	int count = rel->trigdesc != NULL ? rel->trigdesc->numtriggers : 0;
	List *constraints = NIL;
	List *referrers = NIL;
	ListCell *cell;

	for (int i = 0; i < count; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
			OidIsValid(trigger->tgconstrrelid))
			constraints = list_append_unique_oid(constraints,
												 trigger->tgconstraint);
	}
	foreach(cell, constraints)
		referrers = lappend(referrers, make_referrer(lfirst_oid(cell)));
	return referrers;
}

static bool
is_check(char action)
{
	return action == FKCONSTR_ACTION_NOACTION ||
		   action == FKCONSTR_ACTION_RESTRICT;
}

/* See base.h. */
bool
tess_referrer_acts(const TessReferrer *referrer)
{
	return referrer->relation == referrer->to ||
		   !is_check(referrer->on_update) || !is_check(referrer->on_delete);
}
