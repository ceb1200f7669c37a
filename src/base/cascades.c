/*
 * cascades.c - which tables foreign keys take along when rows of one go, or get
 * other keys.
 */
#include "postgres.h"

#include "access/relation.h"
#include "commands/trigger.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

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
