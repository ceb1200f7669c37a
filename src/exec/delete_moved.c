/*
 * delete_moved.c - on a node: deletes rows of a shard that go to another one.
 *
 * To whoever waits for such a row it is not gone, but elsewhere, and he cannot
 * follow it there.  PostgreSQL has a mark for that, of rows whose update took
 * them to another partition: the waiting statement fails (40001), where after a
 * plain DELETE it would quietly pass the row by.  SQL cannot set that mark.
 *
 * Otherwise this is DELETE ... WHERE ctid = ANY (rows), and needs the same
 * rights.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "meta/meta.h"
#include "miscadmin.h"
#include "tessera.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(tess_rows_delete_moved);

/* Opens the table of a row type for deletion, as the current user may. */
static Relation
open_target(Oid row_type)
{
	Oid relation = OidIsValid(row_type) ? get_typ_typrelid(row_type) : InvalidOid;
	Relation rel;
	AclResult result;

	if (!OidIsValid(relation) || get_rel_relkind(relation) != RELKIND_RELATION)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the first argument is not a row of a table")));
	if (tess_meta_table(relation) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is not a shard", get_rel_name(relation)),
				 errhint("Use UPDATE or DELETE.")));
	PreventCommandIfReadOnly("DELETE");
	rel = table_open(relation, RowExclusiveLock);
	result = pg_class_aclcheck(relation, GetUserId(), ACL_DELETE);
	if (result == ACLCHECK_OK)
		result = pg_class_aclcheck(relation, GetUserId(), ACL_SELECT);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, RelationGetRelationName(rel));
	if (check_enable_rls(relation, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of table \"%s\" cannot be moved under row-level security",
						RelationGetRelationName(rel)),
				 errhint(
					 "Move them as a role that bypasses row-level security.")));
	return rel;
}

/* Deletes one row, with its triggers (those of foreign keys among them). */
static void
delete_row(EState *estate, ResultRelInfo *target, ItemPointer ctid)
{
	Relation rel = target->ri_RelationDesc;
	EPQState epq_state;
	TM_FailureData failure;
	TM_Result result;

	EvalPlanQualInit(&epq_state, estate, NULL, NIL, -1);
	if (rel->trigdesc != NULL && rel->trigdesc->trig_delete_before_row &&
		!ExecBRDeleteTriggers(estate, &epq_state, target, ctid, NULL, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a trigger kept a row of table \"%s\" from moving to another shard",
						RelationGetRelationName(rel)),
				 errhint("Let the trigger on DELETE return the row.")));
	result = table_tuple_delete(rel, ctid, estate->es_output_cid,
								GetActiveSnapshot(), InvalidSnapshot, true,
								&failure, true);
	if (result != TM_Ok)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	ExecARDeleteTriggers(estate, target, ctid, NULL, NULL, false);
	EvalPlanQualEnd(&epq_state);
}

/* tessera_internal.delete_moved(NULL::table, rows): the number of rows. */
Datum
tess_rows_delete_moved(PG_FUNCTION_ARGS)
{
	Relation rel = open_target(get_fn_expr_argtype(fcinfo->flinfo, 0));
	EState *estate = CreateExecutorState();
	ResultRelInfo *target = makeNode(ResultRelInfo);
	Datum *rows;
	bool *nulls;
	int count;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the rows to delete must not be NULL")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TIDOID, sizeof(ItemPointerData),
					  false, TYPALIGN_SHORT, &rows, &nulls, &count);
	InitResultRelInfo(target, rel, 0, NULL, 0);
	estate->es_output_cid = GetCurrentCommandId(true);
	AfterTriggerBeginQuery();
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i])
			delete_row(estate, target, (ItemPointer) DatumGetPointer(rows[i]));
	}
	AfterTriggerEndQuery(estate);
	ExecCloseResultRelations(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	FreeExecutorState(estate);
	table_close(rel, NoLock);
	PG_RETURN_INT64(count);
}
