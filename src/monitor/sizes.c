/*
 * sizes.c - how large tables are on the nodes, in one round trip for all.
 *
 * For looking: a node that does not answer leaves NULLs and a WARNING.  For
 * sums (relation_size), where NULL would be a wrong answer, it is an error.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "cluster/cluster.h"
#include "monitor/monitor_internal.h"
#include "net/net.h"
#include "tessera.h"
#include "xact/xact.h"

PG_FUNCTION_INFO_V1(tess_shard_sizes);
PG_FUNCTION_INFO_V1(tess_relation_size);
PG_FUNCTION_INFO_V1(tess_total_relation_size);

#define SIZES_SQL \
	"SELECT w.i, pg_catalog.pg_total_relation_size(c.oid)," \
	" pg_catalog.pg_relation_size(c.oid), c.reltuples::pg_catalog.int8" \
	" FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.name[]), pg_catalog.unnest($2::pg_catalog.name[]))" \
	" WITH ORDINALITY w(s, t, i)" \
	" JOIN pg_catalog.pg_namespace n ON n.nspname = w.s" \
	" JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.t"

/* What is asked of one node. */
typedef struct Visit
{
	const TessNode *node;
	List *copies;
	TessSession *session;
	bool answered;
} Visit;

static const char *
name_array(List *names)
{
	Datum *datums = palloc(sizeof(Datum) * (list_length(names) + 1));
	int count = 0;
	ListCell *cell;
	ArrayType *array;
	Oid output;
	bool is_varlena;

	foreach(cell, names)
		datums[count++] = CStringGetTextDatum(lfirst(cell));
	array = construct_array(datums, count, TEXTOID, -1, false, TYPALIGN_INT);
	getTypeOutputInfo(TEXTARRAYOID, &output, &is_varlena);
	return OidOutputFunctionCall(output, PointerGetDatum(array));
}

static void
send_visit(Visit *visit)
{
	static const Oid types[2] = {TEXTARRAYOID, TEXTARRAYOID};
	static const int formats[2] = {0, 0};
	const char *values[2];
	int lengths[2];
	TessParams params = {2, types, values, lengths, formats};
	List *schemas = NIL;
	List *names = NIL;
	ListCell *cell;

	foreach(cell, visit->copies)
	{
		TessCopy *copy = lfirst(cell);

		schemas = lappend(schemas, tess_copy_schema(copy));
		names = lappend(names, copy->table->name);
	}
	values[0] = name_array(schemas);
	values[1] = name_array(names);
	lengths[0] = strlen(values[0]);
	lengths[1] = strlen(values[1]);

	tess_session_claim(visit->session, NULL, NULL);
	tess_session_queue(visit->session, SIZES_SQL, &params, false, false, visit);
	tess_session_flush(visit->session);
}

static void
note_sizes(Visit *visit, const PGresult *result)
{
	for (int row = 0; row < PQntuples(result); row++)
	{
		int position = pg_strtoint32(PQgetvalue(result, row, 0)) - 1;
		TessCopy *copy = list_nth(visit->copies, position);

		/* a table that was dropped meanwhile has no size */
		if (PQgetisnull(result, row, 1) || PQgetisnull(result, row, 2))
			continue;
		copy->is_known = true;
		copy->bytes = pg_strtoint64(PQgetvalue(result, row, 1));
		copy->main_bytes = pg_strtoint64(PQgetvalue(result, row, 2));
		copy->estimated_rows = pg_strtoint64(PQgetvalue(result, row, 3));
	}
}

/* True when the node has said all. */
static bool
read_visit(Visit *visit)
{
	for (;;)
	{
		PGresult *result = NULL;
		void *tag = NULL;

		switch (tess_session_poll(visit->session, &result, &tag))
		{
			case TESS_POLL_WAIT:
				return false;
			case TESS_POLL_IDLE:
				return true;
			case TESS_POLL_ROWS:
			case TESS_POLL_DONE:
				if (tag == visit)
					note_sizes(visit, result);
				break;
		}
	}
}

/* Asks all these nodes at once; an error of one is an error. */
static void
ask_nodes(void *arg)
{
	List *visits = arg;
	int count = list_length(visits);
	int32 *node_ids = palloc(sizeof(int32) * count);
	TessSession **sessions = palloc(sizeof(TessSession *) * count);
	int open;

	for (int i = 0; i < count; i++)
		node_ids[i] = ((Visit *) list_nth(visits, i))->node->node_id;
	tess_xact_sessions(count, node_ids, InvalidOid, TESS_READ, sessions);
	for (int i = 0; i < count; i++)
	{
		Visit *visit = list_nth(visits, i);

		visit->session = sessions[i];
		visit->answered = false;
		send_visit(visit);
	}

	do
	{
		open = 0;
		for (int i = 0; i < count; i++)
		{
			Visit *visit = list_nth(visits, i);

			if (!visit->answered)
				visit->answered = read_visit(visit);
			if (!visit->answered)
				sessions[open++] = visit->session;
		}
		if (open > 0)
			(void) tess_net_wait(open, sessions, 0);
	} while (open > 0);
}

/* One by one, after all at once did not work. */
static void
ask_each(List *visits)
{
	ListCell *cell;

	foreach(cell, visits)
	{
		Visit *visit = lfirst(cell);
		ErrorData *error = tess_attempt(ask_nodes, list_make1(visit));

		if (error != NULL)
			ereport(WARNING, (errcode(ERRCODE_WARNING),
							  errmsg("sizes on node \"%s\" are not known",
									 visit->node->name),
							  errdetail_internal("%s", error->message)));
	}
}

/* size functions of core raise nothing for a table that is just dropped */
static void
measure_here(TessCopy *copy)
{
	Oid schema = get_namespace_oid(tess_copy_schema(copy), true);
	Oid relation = OidIsValid(schema)
					   ? get_relname_relid(copy->table->name, schema)
					   : InvalidOid;
	Relation opened;

	if (!OidIsValid(relation))
		return;
	opened = try_relation_open(relation, AccessShareLock);
	if (opened == NULL)
		return;
	copy->is_known = true;
	copy->estimated_rows = (int64) opened->rd_rel->reltuples;
	copy->bytes = DatumGetInt64(
		DirectFunctionCall1(pg_total_relation_size, ObjectIdGetDatum(relation)));
	copy->main_bytes = DatumGetInt64(
		DirectFunctionCall2(pg_relation_size, ObjectIdGetDatum(relation),
							CStringGetTextDatum("main")));
	relation_close(opened, AccessShareLock);
}

static Visit *
visit_for(List **visits, const TessNode *node)
{
	ListCell *cell;
	Visit *visit;

	foreach(cell, *visits)
	{
		visit = lfirst(cell);
		if (visit->node->node_id == node->node_id)
			return visit;
	}
	visit = palloc0(sizeof(Visit));
	visit->node = node;
	*visits = lappend(*visits, visit);
	return visit;
}

/*
 * Fills in the sizes.  Each node is asked once.  A node that does not answer
 * is an error if all must be known, else a WARNING.
 */
static void
measure(List *copies, bool must_be_complete)
{
	List *visits = NIL;
	ListCell *cell;

	foreach(cell, copies)
	{
		TessCopy *copy = lfirst(cell);

		if (copy->node->is_local)
			measure_here(copy);
		else
		{
			Visit *visit = visit_for(&visits, copy->node);

			visit->copies = lappend(visit->copies, copy);
		}
	}

	if (visits == NIL)
		return;
	if (must_be_complete)
		ask_nodes(visits);
	else if (tess_attempt(ask_nodes, visits) != NULL)
		ask_each(visits);
}

static List *
all_copies(void)
{
	List *copies = NIL;
	ListCell *cell;

	foreach(cell, tess_cat_tables())
	{
		const TessTable *table = tess_meta_table(
			((TessTableRow *) lfirst(cell))->relation);

		if (table != NULL)
			copies = list_concat(copies, tess_copies_of_table(table));
	}
	return copies;
}

static void
put_copy(ReturnSetInfo *output, const TessCopy *copy)
{
	Datum values[6];
	bool nulls[6] = {false};

	values[0] = ObjectIdGetDatum(copy->table->relation);
	values[1] = Int64GetDatum(copy->shard_id);
	nulls[1] = copy->shard_id == 0;
	values[2] = Int32GetDatum(copy->node->node_id);
	values[3] = Int64GetDatum(copy->bytes);
	values[4] = Int64GetDatum(copy->main_bytes);
	values[5] = Int64GetDatum(copy->estimated_rows);
	nulls[3] = nulls[4] = !copy->is_known;
	nulls[5] = !copy->is_known || copy->estimated_rows < 0;
	tuplestore_putvalues(output->setResult, output->setDesc, values, nulls);
}

/* tessera_internal.shard_sizes(table_oid, must_be_complete) */
Datum
tess_shard_sizes(PG_FUNCTION_ARGS)
{
	bool must_be_complete = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	List *copies = NIL;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		copies = all_copies();
	else
	{
		const TessTable *table = tess_meta_table(PG_GETARG_OID(0));

		if (table != NULL)
			copies = tess_copies_of_table(table);
	}

	measure(copies, must_be_complete);
	foreach(cell, copies)
		put_copy((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	PG_RETURN_NULL();
}

/* A local table is one copy of its own. */
static Datum
measure_local(Oid relation, bool total)
{
	if (total)
		return DirectFunctionCall1(pg_total_relation_size,
								   ObjectIdGetDatum(relation));
	return DirectFunctionCall2(pg_relation_size, ObjectIdGetDatum(relation),
							   CStringGetTextDatum("main"));
}

static int64
sum_sizes(Oid relation, bool total)
{
	const TessTable *table = tess_meta_table(relation);
	List *copies;
	ListCell *cell;
	int64 sum = 0;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", relation),
						errhint("See the view tessera.tables.")));
	if (table == NULL)
		return DatumGetInt64(measure_local(relation, total));

	copies = tess_copies_of_table(table);
	measure(copies, true);
	foreach(cell, copies)
	{
		TessCopy *copy = lfirst(cell);

		if (!copy->is_known)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("table \"%s\" is not all there", table->name),
					 errdetail("Node \"%s\" has no relation %s.", copy->node->name,
							   tess_quote_qualified(tess_copy_schema(copy),
													table->name)),
					 errhint("It may have been dropped just now.")));
		sum += total ? copy->bytes : copy->main_bytes;
	}
	return sum;
}

/* tessera.relation_size(relation) */
Datum
tess_relation_size(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sum_sizes(tess_argument_relation(fcinfo, 0), false));
}

/* tessera.total_relation_size(relation) */
Datum
tess_total_relation_size(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sum_sizes(tess_argument_relation(fcinfo, 0), true));
}
