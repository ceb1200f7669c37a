/*
 * run_on.c - run_on_nodes() and run_on_shards(): an administrator's command in
 * many places, each of which succeeds or fails by itself.
 *
 * Other nodes get connections of their own, outside this transaction, so that
 * VACUUM and the like work there; a node on which this transaction has
 * written is refused, because the command could wait for it for ever.  On
 * this server the command is part of this transaction.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "cluster/cluster_internal.h"
#include "local/local.h"
#include "meta/meta.h"
#include "net/net.h"
#include "objects/objects.h"
#include "tessera.h"
#include "xact/xact.h"

PG_FUNCTION_INFO_V1(tess_run_on_nodes);
PG_FUNCTION_INFO_V1(tess_run_on_shards);

/* One command in one place, and what came of it. */
typedef struct Job
{
	const TessNode *node;
	int64 shard_id; /* 0: of a node */
	char *sql;
	bool is_shard_local; /* runs as a shard's statement, here */
	bool finished;
	bool success;
	char *result; /* first value, command tag, or message */
} Job;

/* A connection to a node, with the node's jobs to come on it. */
typedef struct Visit
{
	const TessNode *node;
	TessSession *session;
} Visit;

static void
finish_job(Job *job, bool success, const char *result)
{
	job->finished = true;
	job->success = success;
	job->result = result ? pstrdup(result) : NULL;
}

/* this server ----------------------------------------------------------- */

static char *
command_tag(const char *sql, uint64 processed)
{
	List *parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
	CommandTag tag;

	if (parsed == NIL)
		return NULL;
	tag = CreateCommandTag(llast_node(RawStmt, parsed)->stmt);
	if (!command_tag_display_rowcount(tag))
		return pstrdup(GetCommandTagName(tag));
	return psprintf(tag == CMDTAG_INSERT ? "%s 0 " UINT64_FORMAT
										 : "%s " UINT64_FORMAT,
					GetCommandTagName(tag), processed);
}

/* Keeps the first column of the first row, as text. */
typedef struct FirstValue
{
	DestReceiver receiver;
	bool has_row;
	char *value;
	MemoryContext context;
} FirstValue;

static bool
first_value_receive(TupleTableSlot *slot, DestReceiver *receiver)
{
	FirstValue *first = (FirstValue *) receiver;
	bool is_null;
	Datum value;

	if (first->has_row || slot->tts_tupleDescriptor->natts == 0)
		return true;
	first->has_row = true;
	value = slot_getattr(slot, 1, &is_null);
	if (!is_null)
	{
		MemoryContext old = MemoryContextSwitchTo(first->context);
		Oid output;
		bool is_varlena;

		getTypeOutputInfo(TupleDescAttr(slot->tts_tupleDescriptor, 0)->atttypid,
						  &output, &is_varlena);
		first->value = OidOutputFunctionCall(output, value);
		MemoryContextSwitchTo(old);
	}
	return true;
}

static void
first_value_startup(DestReceiver *receiver, int operation, TupleDesc desc)
{
}

static void
first_value_nothing(DestReceiver *receiver)
{
}

static void
refuse_here(const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot run this command here: %s", reason),
			 errhint("Transaction control and COPY cannot be run in this way.")));
}

/* What speaks to the client, or ends the transaction, is no part of it. */
static void
refuse_control(const char *sql)
{
	List *parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
	Node *statement;

	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("expected one command, not %d", list_length(parsed))));
	statement = linitial_node(RawStmt, parsed)->stmt;
	if (IsA(statement, TransactionStmt) || IsA(statement, CopyStmt))
		refuse_here(GetCommandTagName(CreateCommandTag(statement)));
}

static void
run_as_shard(void *arg)
{
	Job *job = arg;
	FirstValue first = {{first_value_receive, first_value_startup,
						 first_value_nothing, first_value_nothing, DestNone}};
	uint64 processed;

	refuse_control(job->sql);
	first.context = CurrentMemoryContext;
	processed = tess_local_execute(job->sql, NULL, NULL, false, false,
								   &first.receiver);
	finish_job(job, true,
			   first.has_row ? first.value : command_tag(job->sql, processed));
}

static void
run_as_user(void *arg)
{
	Job *job = arg;
	MemoryContext context = CurrentMemoryContext;
	char *result = NULL;
	int code;

	SPI_connect();
	code = SPI_execute(job->sql, false, 0);
	if (code < 0)
		refuse_here(SPI_result_code_string(code));
	if (SPI_tuptable == NULL)
		result = command_tag(job->sql, SPI_processed);
	else if (SPI_processed > 0)
		result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (result != NULL)
		result = MemoryContextStrdup(context, result);
	SPI_finish();
	MemoryContextSwitchTo(context);
	finish_job(job, true, result);
}

/* Other nodes get the same command: what it does here to types, functions and
 * the like must not be repeated there. */
static ErrorData *
attempt_here(Job *job)
{
	ErrorData *error;

	tess_objects_suspended++;
	PG_TRY();
	{
		error = tess_attempt(job->is_shard_local ? run_as_shard : run_as_user,
							 job);
	}
	PG_FINALLY();
	{
		tess_objects_suspended--;
	}
	PG_END_TRY();
	return error;
}

static void
run_here(List *jobs)
{
	ListCell *cell;

	foreach(cell, jobs)
	{
		Job *job = lfirst(cell);
		ErrorData *error;

		if (!job->node->is_local)
			continue;
		error = attempt_here(job);
		if (error != NULL)
			finish_job(job, false, error->message);
	}
}

/* other nodes ------------------------------------------------------------ */

static void
open_session(void *arg)
{
	Visit *visit = arg;

	visit->session = tess_net_open_server(visit->node->server,
										  visit->node->name, GetUserId(), true);
}

static void
send_jobs(const Visit *visit, List *jobs, const char *failure)
{
	ListCell *cell;

	foreach(cell, jobs)
	{
		Job *job = lfirst(cell);

		if (job->node->node_id != visit->node->node_id)
			continue;
		if (failure != NULL)
		{
			finish_job(job, false, failure);
			continue;
		}
		/* a Sync each: one that fails does not take the others with it */
		tess_session_queue(visit->session, job->sql, NULL, false, false, job);
		tess_session_flush(visit->session);
	}
}

static void
note_answer(Job *job, const PGresult *result, const ErrorData *error)
{
	if (job == NULL || job->finished)
		return;
	if (error != NULL)
		finish_job(job, false, error->message);
	else if (PQntuples(result) > 0 && PQnfields(result) > 0)
		finish_job(job, true,
				   PQgetisnull(result, 0, 0) ? NULL : PQgetvalue(result, 0, 0));
	else if (PQnfields(result) > 0)
		finish_job(job, true, NULL);
	else
		finish_job(job, true, PQcmdStatus(unconstify(PGresult *, result)));
}

/* True if the session owes no more. */
static bool
read_answers(TessSession *session)
{
	for (;;)
	{
		PGresult *result = NULL;
		void *tag = NULL;
		ErrorData *error = NULL;

		switch (tess_session_poll_quiet(session, &result, &tag, &error))
		{
			case TESS_POLL_WAIT:
				return tess_session_is_broken(session);
			case TESS_POLL_IDLE:
				return true;
			case TESS_POLL_DONE:
				note_answer(tag, result, error);
				break;
			case TESS_POLL_ROWS:
				break;
		}
	}
}

static void
read_all(int count, TessSession **sessions)
{
	while (count > 0)
	{
		int open = 0;

		for (int i = 0; i < count; i++)
		{
			if (!read_answers(sessions[i]))
				sessions[open++] = sessions[i];
		}
		count = open;
		if (count > 0)
			(void) tess_net_wait(count, sessions, 0);
	}
}

/* The nodes of the jobs that are other servers; each once. */
static List *
remote_visits(List *jobs)
{
	List *visits = NIL;
	ListCell *cell;

	foreach(cell, jobs)
	{
		const TessNode *node = ((Job *) lfirst(cell))->node;
		Visit *visit = NULL;
		ListCell *other;

		foreach(other, visits)
		{
			if (((Visit *) lfirst(other))->node->node_id == node->node_id)
				visit = lfirst(other);
		}
		if (node->is_local || visit != NULL)
			continue;
		if (tess_xact_has_written(node->node_id))
			ereport(ERROR,
					(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
					 errmsg("this transaction has written on node \"%s\"",
							node->name),
					 errhint(
						 "Commit first: the command would run outside the transaction and could wait for it.")));
		visit = palloc0(sizeof(Visit));
		visit->node = node;
		visits = lappend(visits, visit);
	}
	return visits;
}

static void
run_there(List *jobs)
{
	List *visits = remote_visits(jobs);
	TessSession **sessions = palloc(sizeof(TessSession *) *
									(list_length(visits) + 1));
	ListCell *cell;

	PG_TRY();
	{
		int count = 0;

		foreach(cell, visits)
		{
			Visit *visit = lfirst(cell);
			ErrorData *error = tess_attempt(open_session, visit);

			send_jobs(visit, jobs, error ? error->message : NULL);
			if (visit->session != NULL)
				sessions[count++] = visit->session;
		}
		read_all(count, sessions);
	}
	PG_FINALLY();
	{
		foreach(cell, visits)
		{
			if (((Visit *) lfirst(cell))->session != NULL)
				tess_net_close(((Visit *) lfirst(cell))->session);
		}
	}
	PG_END_TRY();
}

static void
run_jobs(List *jobs)
{
	ListCell *cell;

	run_there(jobs);
	run_here(jobs);
	foreach(cell, jobs)
	{
		Job *job = lfirst(cell);

		if (!job->finished)
			finish_job(job, false,
					   psprintf(_("lost connection to node \"%s\""),
								job->node->name));
	}
}

/* the functions ----------------------------------------------------------- */

static void
refuse_others(const char *function)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", function),
				 errhint(
					 "Only superusers may run commands on the nodes; a SECURITY DEFINER function of theirs can run one for others.")));
}

static void
put_rows(ReturnSetInfo *output, List *jobs, bool with_shard)
{
	ListCell *cell;

	foreach(cell, jobs)
	{
		const Job *job = lfirst(cell);
		Datum values[4];
		bool nulls[4] = {false};
		NameData name;
		int column = 0;

		namestrcpy(&name, job->node->name);
		if (with_shard)
			values[column++] = Int64GetDatum(job->shard_id);
		values[column++] = NameGetDatum(&name);
		values[column++] = BoolGetDatum(job->success);
		nulls[column] = job->result == NULL;
		values[column] = job->result ? CStringGetTextDatum(job->result) : 0;
		tuplestore_putvalues(output->setResult, output->setDesc, values, nulls);
	}
}

/* tessera.run_on_nodes(command) */
Datum
tess_run_on_nodes(PG_FUNCTION_ARGS)
{
	List *jobs = NIL;
	int count;
	const TessNode *const *nodes;

	refuse_others("run_on_nodes");
	tess_argument_refuse_null(fcinfo, 0, "command",
							  _("Give the command to run."));
	nodes = tess_meta_nodes(&count);
	for (int i = 0; i < count; i++)
	{
		Job *job = palloc0(sizeof(Job));

		if (!nodes[i]->active)
			continue;
		job->node = nodes[i];
		job->sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
		jobs = lappend(jobs, job);
	}

	InitMaterializedSRF(fcinfo, 0);
	run_jobs(jobs);
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, jobs, false);
	PG_RETURN_NULL();
}

/* The command with %s as the name and %% as one percent sign. */
static char *
fill_command(const char *command, const char *name)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (const char *c = command; *c; c++)
	{
		if (c[0] == '%' && c[1] == 's')
		{
			appendStringInfoString(&sql, name);
			c++;
		}
		else if (c[0] == '%' && c[1] == '%')
		{
			appendStringInfoChar(&sql, '%');
			c++;
		}
		else
			appendStringInfoChar(&sql, *c);
	}
	return sql.data;
}

static List *
shard_jobs(const TessTable *table, const char *command)
{
	List *jobs = NIL;

	for (int i = 0; i < table->group->shard_count; i++)
	{
		const TessShard *shard = &table->group->shards[i];

		for (int j = 0; j < shard->node_count; j++)
		{
			Job *job = palloc0(sizeof(Job));

			job->node = tess_meta_node(shard->node_ids[j]);
			job->shard_id = shard->shard_id;
			job->is_shard_local = job->node->is_local;
			job->sql = fill_command(command,
									tess_meta_shard_relation(table,
															 shard->shard_id));
			jobs = lappend(jobs, job);
		}
	}
	return jobs;
}

/* tessera.run_on_shards(relation, command) */
Datum
tess_run_on_shards(PG_FUNCTION_ARGS)
{
	const TessTable *table;
	Oid relation;
	List *jobs;

	refuse_others("run_on_shards");
	tess_argument_refuse_null(fcinfo, 1, "command",
							  _("Give the command to run."));
	relation = tess_argument_relation(fcinfo, 0);
	table = tess_meta_table(relation);
	if (table == NULL || table->kind != TESS_DISTRIBUTED)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation %s is not a distributed table",
						DatumGetCString(
							DirectFunctionCall1(regclassout,
												ObjectIdGetDatum(relation)))),
				 errhint("See the view tessera.tables.")));

	jobs = shard_jobs(table, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	InitMaterializedSRF(fcinfo, 0);
	run_jobs(jobs);
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, jobs, true);
	PG_RETURN_NULL();
}
