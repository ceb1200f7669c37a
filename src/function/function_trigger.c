/*
 * function_trigger.c - row triggers of distributed tables: they stand in the
 * shards under their own names, and call copies of their functions.
 *
 * A function of triggers has a row, and copies, in each group whose tables have
 * such triggers; it comes with the first trigger and goes after the last.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "deparse/deparse.h"
#include "function/function_internal.h"
#include "meta/meta.h"
#include "objects/objects.h"
#include "table/table.h"

/* Of a shard's table, where a trigger might give a row another key. */
#define KEY_CONSTRAINT "tessera_key"

/* Functions --------------------------------------------------------------------- */

/* Calls a function with each object that depends on another (forward: that it
 * depends on). */
static void
for_each_dependence(Oid class, Oid object, bool forward,
					void (*visit)(Oid class, Oid object, void *arg), void *arg)
{
	Relation catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0],
				forward ? Anum_pg_depend_classid : Anum_pg_depend_refclassid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1],
				forward ? Anum_pg_depend_objid : Anum_pg_depend_refobjid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog,
							  forward ? DependDependerIndexId
									  : DependReferenceIndexId,
							  true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (forward)
			visit(depend->refclassid, depend->refobjid, arg);
		else
			visit(depend->classid, depend->objid, arg);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
add_trigger(Oid class, Oid object, void *arg)
{
	if (class == TriggerRelationId)
		*(List **) arg = list_append_unique_oid(*(List **) arg, object);
}

/* The table that a trigger belongs to; InvalidOid: it is gone. */
static Oid
table_of_trigger(Oid trigger)
{
	HeapTuple tuple = tess_copy_trigger(trigger);

	return HeapTupleIsValid(tuple)
			   ? ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid
			   : InvalidOid;
}

/* See function_internal.h. */
List *
tess_function_triggers(const TessFunctionRow *row)
{
	List *triggers = NIL;
	List *found = NIL;
	ListCell *cell;

	for_each_dependence(ProcedureRelationId, row->function, false, add_trigger,
						&triggers);
	foreach(cell, triggers)
	{
		const TessTable *table = tess_meta_table(
			table_of_trigger(lfirst_oid(cell)));

		if (table != NULL && table->kind == TESS_DISTRIBUTED &&
			table->group->colocation_id == row->colocation_id)
			found = lappend_oid(found, lfirst_oid(cell));
	}
	return found;
}

/* True if the shards have a copy of the function, under its name in their part
 * of its schema; false if it is the same everywhere. */
static bool
has_copies(Oid function)
{
	return function >= FirstNormalObjectId &&
		   !OidIsValid(getExtensionOfObject(ProcedureRelationId, function));
}

static void
need_function(const TessTable *table, Oid function)
{
	int32 group = table->group->colocation_id;
	TessFunctionRow row = {0};

	if (!has_copies(function) ||
		tess_cat_function_of_group(function, group) != NULL)
		return;
	row.function = function;
	row.colocation_id = group;
	tess_function_lock(group);
	tess_function_set_path(&row);
	tess_function_check_hidden(&row);
	tess_function_describe(&row);
	tess_function_copy(&row);
	tess_cat_function_set(&row);
}

/* Triggers ---------------------------------------------------------------------- */

/* Functions, operators and types of the condition.  arg: the trigger's own. */
static void
bring_needed(Oid class, Oid object, void *arg)
{
	ObjectAddress address;

	if (object < FirstNormalObjectId || class == RelationRelationId ||
		class == ConstraintRelationId ||
		(class == ProcedureRelationId && object == *(Oid *) arg &&
		 has_copies(object)))
		return;
	ObjectAddressSet(address, class, object);
	if (OidIsValid(getExtensionOfObject(class, object)))
		tess_objects_bring_needs(&address);
	else
		tess_objects_bring(&address);
}

static const Trigger *
find_trigger(Relation rel, Oid oid)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		if (rel->trigdesc->triggers[i].tgoid == oid)
			return &rel->trigdesc->triggers[i];
	return NULL;
}

/* Their names are in no shard, so they are of this server alone. */
static bool
is_in_shards(const Trigger *trigger)
{
	return !trigger->tgisinternal && TRIGGER_FOR_ROW(trigger->tgtype);
}

/* See function.h. */
void
tess_triggers_create(Oid relation, const List *triggers)
{
	const TessTable *table = tess_meta_table(relation);
	Relation rel = table_open(relation, NoLock);
	List *templates = NIL;
	TessWork *work;
	ListCell *cell;

	foreach(cell, triggers)
	{
		const Trigger *trigger = find_trigger(rel, lfirst_oid(cell));
		Oid function;

		if (trigger == NULL || !is_in_shards(trigger) || trigger->tgisclone)
			continue;
		function = trigger->tgfoid;
		for_each_dependence(TriggerRelationId, trigger->tgoid, true,
							bring_needed, &function);
		need_function(table, function);
		templates = list_concat(templates,
								tess_ddl_trigger(relation, trigger,
												 has_copies(function)));
	}
	table_close(rel, NoLock);
	work = tess_work_of_table(table);
	tess_work_add_templates(work, templates);
	tess_work_run(work);
}

/* All triggers of a table that has just become a distributed one. */
void
tess_function_create_triggers(Oid relation)
{
	Relation rel = table_open(relation, NoLock);
	List *triggers = NIL;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		if (is_in_shards(&rel->trigdesc->triggers[i]))
			triggers = lappend_oid(triggers, rel->trigdesc->triggers[i].tgoid);
	table_close(rel, NoLock);
	if (triggers == NIL)
		return;
	tess_triggers_create(relation, triggers);
	tess_triggers_guard_key(relation, false);
}

static List *
drop_template(const TessTable *table, const char *name)
{
	return list_make3(makeString(psprintf("DROP TRIGGER %s ON ",
										  quote_identifier(name))),
					  list_make1(makeString(table->schema)),
					  makeString(psprintf(".%s", quote_identifier(table->name))));
}

/* See function.h. */
void
tess_triggers_drop(Oid relation, const List *names)
{
	const TessTable *table = tess_meta_table(relation);
	TessWork *work = tess_work_of_table(table);
	List *templates = NIL;
	const ListCell *cell;

	foreach(cell, names)
		templates = lappend(templates, drop_template(table, lfirst(cell)));
	tess_work_add_templates(work, templates);
	tess_work_run(work);
}

/* Its copies have another name, or stand in other schemas: the triggers of the
 * shards are made anew, and call these. */
void
tess_function_remake_triggers(const TessFunctionRow *row)
{
	ListCell *cell;

	foreach(cell, tess_function_triggers(row))
	{
		Oid oid = lfirst_oid(cell);
		Relation rel = table_open(table_of_trigger(oid), AccessShareLock);
		const Trigger *trigger = find_trigger(rel, oid);
		Oid relation = RelationGetRelid(rel);
		List *name = NIL;

		if (trigger != NULL && is_in_shards(trigger))
			name = list_make1(pstrdup(trigger->tgname));
		table_close(rel, NoLock);
		if (name == NIL)
			continue;
		tess_triggers_drop(relation, name);
		tess_triggers_create(relation, list_make1_oid(oid));
	}
}

/* The key ----------------------------------------------------------------------- */

/* See function.h. */
bool
tess_triggers_may_change_key(Oid relation)
{
	Relation rel = table_open(relation, NoLock);
	bool found = false;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (is_in_shards(trigger) && TRIGGER_FOR_BEFORE(trigger->tgtype) &&
			(TRIGGER_FOR_INSERT(trigger->tgtype) ||
			 TRIGGER_FOR_UPDATE(trigger->tgtype)))
			found = true;
	}
	table_close(rel, NoLock);
	return found;
}

static char *
key_constraint(const TessTable *table, int64 shard_id)
{
	return psprintf("ALTER TABLE %s ADD CONSTRAINT " KEY_CONSTRAINT
					" CHECK (tessera_internal.is_key_of_shard(%s, %s)) NOT VALID",
					tess_meta_shard_relation(table, shard_id),
					quote_identifier(
						get_attname(table->relation, table->key_attnum, false)),
					quote_literal_cstr(
						tess_function_shard(table->group, shard_id)));
}

/* See function.h. */
void
tess_triggers_guard_key(Oid relation, bool is_guarded)
{
	const TessTable *table = tess_meta_table(relation);
	bool wanted = tess_triggers_may_change_key(relation);
	TessWork *work;

	if (wanted == is_guarded)
		return;
	work = tess_work_of_table(table);
	for (int i = 0; i < work->count; i++)
	{
		TessNodeWork *node = &work->nodes[i];

		for (int j = 0; j < node->shard_count; j++)
		{
			int64 shard_id = node->shard_ids[j];
			char *sql = wanted
							? key_constraint(table, shard_id)
							: psprintf("ALTER TABLE %s DROP CONSTRAINT " KEY_CONSTRAINT,
									   tess_meta_shard_relation(table, shard_id));

			node->commands = lappend(node->commands, sql);
		}
	}
	tess_work_run(work);
}
