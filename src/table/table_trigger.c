/*
 * table_trigger.c - which triggers of users a table of ours can have.
 *
 * Row triggers of a distributed table run in its shards, and see nothing else;
 * those of statements run here.  The triggers of a reference table run here, where
 * the statement runs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "table/table_internal.h"

static void
refuse(Relation rel, const Trigger *trigger, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("table \"%s\" cannot have trigger \"%s\"",
						   RelationGetRelationName(rel), trigger->tgname),
					errdetail_internal("%s", detail), errhint("%s", hint)));
}

static void
check_statement_trigger(Relation rel, const Trigger *trigger)
{
	if (trigger->tgoldtable != NULL || trigger->tgnewtable != NULL)
		refuse(rel, trigger,
			   _("The rows that a statement changes are in the shards of the distributed table, and no transition table has them."),
			   _("Use a trigger FOR EACH ROW."));
	if (TRIGGER_FOR_TRUNCATE(trigger->tgtype) &&
		!TRIGGER_FOR_BEFORE(trigger->tgtype))
		refuse(rel, trigger,
			   _("It would run before the shards of the distributed table are empty."),
			   _("Use a BEFORE TRUNCATE trigger."));
}

/* The nodes know it, or it can be made in the shards. */
static void
check_function(Relation rel, const Trigger *trigger)
{
	Oid function = trigger->tgfoid;
	HeapTuple tuple;
	Form_pg_proc form;
	bool is_of_extension;
	bool is_in_c;

	if (function < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	is_in_c = form->prolang == ClanguageId || form->prolang == INTERNALlanguageId;
	ReleaseSysCache(tuple);
	is_of_extension = OidIsValid(
		getExtensionOfObject(ProcedureRelationId, function));
	if (is_of_extension && !is_in_c)
		refuse(rel, trigger,
			   _("Its function belongs to an extension, and would not find the tables of a shard."),
			   _("Use a function of your own."));
	if (is_in_c && !is_of_extension)
		refuse(rel, trigger,
			   _("Its function is written in C, and in no extension that could bring it to the nodes."),
			   _("Use a function in PL/pgSQL, or make an extension of it."));
}

void
tess_table_check_trigger(Relation rel, const Trigger *trigger, TessTableKind kind)
{
	/* what a partition has of its table's triggers has been looked at there */
	if (trigger->tgisinternal || trigger->tgisclone || kind == TESS_REFERENCE)
		return;
	if (rel->rd_rel->relispartition && TRIGGER_FOR_ROW(trigger->tgtype))
		refuse(rel, trigger,
			   _("Statements of the partitioned table would not know of it."),
			   _("Create it on the partitioned table."));
	if (!TRIGGER_FOR_ROW(trigger->tgtype))
	{
		check_statement_trigger(rel, trigger);
		return;
	}
	if (trigger->tgoldtable != NULL || trigger->tgnewtable != NULL)
		refuse(rel, trigger,
			   _("A transition table would have the rows of one shard of the distributed table only."),
			   _("Use OLD and NEW."));
	if (OidIsValid(trigger->tgconstrrelid))
		refuse(rel, trigger,
			   _("It refers to another table, which has other shards."),
			   _("Leave FROM out."));
	check_function(rel, trigger);
}

/* Those that the table has, before it is distributed. */
void
tess_table_check_triggers(Relation rel, TessTableKind kind)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		tess_table_check_trigger(rel, &rel->trigdesc->triggers[i], kind);
}
