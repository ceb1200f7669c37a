/*
 * nodes_check.c - check_nodes(): how every node is, told quietly.
 *
 * A bad node is a row, never an error.  Each node is given
 * tessera.connect_timeout to answer.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "catalog/catalog.h"
#include "base/base.h"
#include "cluster/cluster_internal.h"
#include "meta/meta.h"
#include "net/net.h"
#include "objects/objects.h"
#include "tessera.h"

PG_FUNCTION_INFO_V1(tess_nodes_check);

/* One node's turn. */
typedef struct Visit
{
	const TessNode *node;
	TessFacts *facts; /* NULL until it has answered */
	List *differing;  /* objects, as texts */
} Visit;

static void
visit_node(void *arg)
{
	Visit *visit = arg;
	TessSession *session;

	if (visit->node->is_local)
	{
		visit->facts = tess_facts_local();
		return;
	}
	session = tess_net_open_server(visit->node->server, visit->node->name,
								   GetUserId(), false);
	PG_TRY();
	{
		visit->facts = tess_facts_ask(session);
		if (visit->facts->extension_version != NULL)
			tess_member_check(session, visit->node->name, visit->node->node_id,
							  visit->facts);
		if (visit->facts->extension_version != NULL)
			visit->differing = tess_objects_differing(session);
	}
	PG_FINALLY();
	{
		tess_net_close(session);
	}
	PG_END_TRY();
}

static Datum
text_or_null(const char *value, bool *is_null)
{
	*is_null = value == NULL;
	return value ? CStringGetTextDatum(value) : (Datum) 0;
}

static void
put_row(ReturnSetInfo *output, const Visit *visit, const char *problem,
		const char *hint)
{
	Datum values[6];
	bool nulls[6] = {false};
	NameData name;

	namestrcpy(&name, visit->node->name);
	values[0] = NameGetDatum(&name);
	values[1] = BoolGetDatum(visit->facts != NULL);
	values[2] = text_or_null(visit->facts ? visit->facts->version : NULL,
							 &nulls[2]);
	values[3] = text_or_null(visit->facts ? visit->facts->extension_version
										  : NULL,
							 &nulls[3]);
	values[4] = text_or_null(problem, &nulls[4]);
	values[5] = text_or_null(hint, &nulls[5]);
	tuplestore_putvalues(output->setResult, output->setDesc, values, nulls);
}

static const char *
with_detail(const char *message, const char *detail)
{
	return detail ? psprintf("%s: %s", message, detail) : message;
}

static List *
problems_of(const Visit *visit, const TessFacts *own)
{
	if (visit->facts == NULL)
		return NIL;
	if (visit->node->is_local)
		return NIL;
	return tess_facts_problems(visit->node->name, visit->facts, own);
}

static void
check_node(ReturnSetInfo *output, const TessNode *node, const TessFacts *own)
{
	Visit visit = {node, NULL};
	ErrorData *error = tess_attempt(visit_node, &visit);
	List *problems = problems_of(&visit, own);
	ListCell *cell;
	bool sound = true;

	if (error != NULL)
	{
		put_row(output, &visit, with_detail(error->message, error->detail),
				error->hint);
		sound = false;
	}
	foreach(cell, problems)
	{
		TessProblem *problem = lfirst(cell);

		put_row(output, &visit, with_detail(problem->message, problem->detail),
				problem->hint);
		sound = false;
	}
	foreach(cell, visit.differing)
	{
		put_row(output, &visit, lfirst(cell),
				_("Expressions with it may give other results there: make it as it is on the coordinator."));
		sound = false;
	}
	if (visit.facts && visit.facts->old_prepared > 0)
	{
		put_row(output, &visit,
				psprintf(_("%d prepared transactions are older than a minute: %s"),
						 visit.facts->old_prepared, visit.facts->oldest_prepared),
				_("They hold locks and keep VACUUM from working: see pg_prepared_xacts there."));
		sound = false;
	}
	if (visit.facts && visit.facts->all_prepared > 0 &&
		visit.facts->all_prepared * 2 >= visit.facts->max_prepared_transactions)
	{
		put_row(output, &visit,
				psprintf(_("%d of %d prepared transactions that the server can have are taken"),
						 visit.facts->all_prepared,
						 visit.facts->max_prepared_transactions),
				_("Transactions fail when none is left: raise max_prepared_transactions there, or end those that nobody needs."));
		sound = false;
	}
	if (sound)
		put_row(output, &visit, NULL, NULL);
}

/* tessera.check_nodes() */
Datum
tess_nodes_check(PG_FUNCTION_ARGS)
{
	TessFacts *own;
	int count;
	const TessNode *const *nodes;

	tess_right_check_look("check_nodes");
	own = tess_facts_local();
	nodes = tess_meta_nodes(&count);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < count; i++)
		check_node((ReturnSetInfo *) fcinfo->resultinfo, nodes[i], own);
	PG_RETURN_NULL();
}
