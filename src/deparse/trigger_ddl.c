/*
 * trigger_ddl.c - the statements that make a trigger where the table's rows are.
 *
 * Its function stands there in the schema of the shard too (function/), unless
 * it is one that all servers have.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

static const char *
enabling(char enabled)
{
	switch (enabled)
	{
		case TRIGGER_DISABLED:
			return "DISABLE";
		case TRIGGER_FIRES_ALWAYS:
			return "ENABLE ALWAYS";
		case TRIGGER_FIRES_ON_REPLICA:
			return "ENABLE REPLICA";
		default:
			return NULL;
	}
}

static void
add_enabling(TessDdl *ddl, const Trigger *trigger)
{
	const char *words = enabling(trigger->tgenabled);

	if (words == NULL)
		return;
	appendStringInfoString(&ddl->text, "ALTER TABLE ");
	tess_ddl_table(ddl);
	appendStringInfo(&ddl->text, " %s TRIGGER %s", words,
					 quote_identifier(trigger->tgname));
	tess_ddl_end(ddl);
}

/* CREATE OR REPLACE TRIGGER, with the function's name as a slot.  Constraint
 * triggers cannot be replaced. */
static List *
definition(const Trigger *trigger, bool function_in_shards)
{
	char *sql = TextDatumGetCString(
		DirectFunctionCall1(pg_get_triggerdef, ObjectIdGetDatum(trigger->tgoid)));

	if (!OidIsValid(trigger->tgconstraint))
		sql = psprintf("CREATE OR REPLACE %s", sql + strlen("CREATE "));
	if (!function_in_shards)
		return tess_template_from_sql(sql);
	return tess_names_trigger(sql, get_namespace_name(
									   get_func_namespace(trigger->tgfoid)));
}

List *
tess_ddl_trigger(Oid relation, const Trigger *trigger, bool function_in_shards)
{
	TessDdl ddl;
	Relation rel = table_open(relation, NoLock);
	int settings = tess_settings_pin();

	tess_ddl_begin(&ddl, rel, false);
	ddl.statements = list_make1(definition(trigger, function_in_shards));
	add_enabling(&ddl, trigger);
	tess_ddl_add_comment(&ddl, TriggerRelationId, trigger->tgoid, 0, "TRIGGER",
						 trigger->tgname);
	AtEOXact_GUC(true, settings);
	table_close(rel, NoLock);
	return ddl.statements;
}
