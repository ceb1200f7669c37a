/*
 * statement_snapshot.c - which snapshot does a statement read under?
 *
 * On a node: the one that the coordinator has had taken, if it has.  On the
 * coordinator, under READ COMMITTED: a statement that reads from several
 * places gets a cluster snapshot when it starts, before anything in its plan has
 * looked at the snapshot that PostgreSQL gave it; this server's part takes the
 * place of that one.  A plan with one scan of ours and nothing else to read is
 * left alone here: the scan will know which nodes it asks, and have the
 * snapshot taken on the way (scan_node.c).  From REPEATABLE READ on, all
 * statements read under the transaction's.
 *
 * What a statement calls inherits its snapshot where it is stable, and so the
 * cluster snapshot with it.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "base/base.h"
#include "exec/exec.h"
#include "exec/exec_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "route/route.h"
#include "tcop/pquery.h"
#include "utils/snapmgr.h"

/* What a plan reads. */
typedef struct Survey
{
	const PlannedStmt *stmt;
	List *scans;		 /* CustomScan *: of shards */
	bool reads_here;	 /* users' tables of this server */
	bool repeats;		 /* changes a reference table here, rows then follow */
	bool changes_copies; /* changes all copies of one by the statement itself */
	Oid role;			 /* ... as this role */
	bool calls_functions; /* ... which may read anything */
	bool is_ours;
} Survey;

/* Nodes that are to be asked as one role. */
typedef struct Place
{
	Oid role;
	Bitmapset *nodes;
} Place;

static bool
is_users_table(const Survey *survey, Index scanrelid)
{
	const RangeTblEntry *rte;

	if (scanrelid == 0)
		return false;
	rte = rt_fetch(scanrelid, survey->stmt->rtable);
	return rte->rtekind == RTE_RELATION && rte->relid >= FirstNormalObjectId;
}

static void
survey_custom(Survey *survey, CustomScan *scan)
{
	const TessFragment *fragment;

	if (scan->methods != &tess_scan_methods &&
		scan->methods != &tess_modify_methods &&
		scan->methods != &tess_repeat_methods)
		return;
	fragment = linitial(scan->custom_private);
	survey->is_ours = true;
	survey->calls_functions |= fragment->calls_functions;
	if (scan->methods == &tess_repeat_methods)
		survey->repeats = true;
	else if (scan->methods == &tess_scan_methods &&
			 fragment->target == TESS_TO_ALL_COPIES)
	{
		survey->changes_copies = true;
		survey->role = fragment->role;
	}
	else if (scan->methods == &tess_scan_methods)
		survey->scans = lappend(survey->scans, scan);
}

static void
survey_plan(Plan *plan, void *arg)
{
	Survey *survey = arg;

	switch (nodeTag(plan))
	{
		case T_CustomScan:
			survey_custom(survey, (CustomScan *) plan);
			break;
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
			survey->reads_here |= is_users_table(survey,
												 ((Scan *) plan)->scanrelid);
			break;
		default:
			break;
	}
}

/* The statement reads under snapshot from now on. */
static void
install(QueryDesc *query_desc, Snapshot snapshot)
{
	Snapshot old = query_desc->snapshot;

	query_desc->snapshot = RegisterSnapshot(snapshot);
	UnregisterSnapshot(old);
}

/* As above, but with what the transaction has done before this statement. */
static void
install_copy(QueryDesc *query_desc, Snapshot snapshot)
{
	PushCopiedSnapshot(snapshot);
	GetActiveSnapshot()->curcid = query_desc->snapshot->curcid;
	install(query_desc, GetActiveSnapshot());
	PopActiveSnapshot();
}

/*
 * A cursor is opened: it may be read much later.  (core has nothing that says
 * so, but the portal that is being started has a name that can be seen.)
 */
static bool
is_cursor(void)
{
	return ActivePortal != NULL && ActivePortal->status == PORTAL_DEFINED &&
		   ActivePortal->visible && ActivePortal->name[0] != '\0';
}

static bool
param_exec_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXEC;
	return expression_tree_walker(node, param_exec_walker, context);
}

/* places of the statement --------------------------------------------------- */

static Place *
place_of(List **places, Oid role)
{
	Place *place;
	ListCell *cell;

	if (!OidIsValid(role))
		role = GetUserId();
	foreach(cell, *places)
	{
		place = lfirst(cell);
		if (place->role == role)
			return place;
	}
	place = palloc0(sizeof(Place));
	place->role = role;
	*places = lappend(*places, place);
	return place;
}

/* The nodes that a scan may ask, as far as can be told before it runs. */
static void
add_scan(List **places, const CustomScan *scan, ParamListInfo params, bool *here)
{
	const TessFragment *fragment = linitial(scan->custom_private);
	const TessGroup *group = tess_exec_table(fragment)->group;
	Expr *prune = fragment->has_prune ? llast(scan->custom_exprs) : NULL;
	Place *place = place_of(places, fragment->role);
	Bitmapset *shards;
	bool exact;
	int i = -1;

	shards = tess_prune_estimate(prune, params, group, &exact);
	if (!exact)
		shards = bms_add_range(NULL, 0, group->shard_count - 1);
	while ((i = bms_next_member(shards, i)) >= 0)
	{
		const TessShard *shard = &group->shards[i];

		if (shard->node_count == 0)
			continue;
		if (tess_meta_node(shard->node_ids[0])->is_local)
			*here = true;
		else
			place->nodes = bms_add_member(place->nodes, shard->node_ids[0]);
	}
}

static void
add_all_nodes(List **places, Oid role)
{
	Place *place = place_of(places, role);
	ListCell *cell;

	foreach(cell, tess_meta_remote_nodes())
		place->nodes = bms_add_member(place->nodes,
									  ((const TessNode *) lfirst(cell))->node_id);
}

static int
count_nodes(const List *places)
{
	Bitmapset *nodes = NULL;
	ListCell *cell;

	foreach(cell, places)
		nodes = bms_add_members(nodes, ((const Place *) lfirst(cell))->nodes);
	return bms_num_members(nodes);
}

/* The sessions of a place; with a snapshot, they take it. */
static void
open_place(const Place *place, TessSnapshot *snapshot)
{
	int count = 0;
	int32 *node_ids = palloc(bms_num_members(place->nodes) * sizeof(int32));
	TessSession **sessions = palloc(bms_num_members(place->nodes) *
									sizeof(TessSession *));
	int node_id = -1;

	while ((node_id = bms_next_member(place->nodes, node_id)) >= 0)
		node_ids[count++] = node_id;
	tess_xact_sessions_at(snapshot, count, node_ids, place->role,
						  TESS_READ_MORE, sessions);
	for (int i = 0; snapshot != NULL && i < count; i++)
		tess_session_flush(sessions[i]);
	pfree(node_ids);
	pfree(sessions);
}

static void
take(QueryDesc *query_desc, const List *places, bool guarded)
{
	TessSnapshot *snapshot;
	ListCell *cell;

	/* nobody asks nodes who may not read the tables */
	(void) ExecCheckRTPerms(query_desc->plannedstmt->rtable, true);

	/* connections that several roles need are made before the window */
	if (list_length(places) > 1)
	{
		foreach(cell, places)
			open_place(lfirst(cell), NULL);
	}
	snapshot = tess_snapshot_begin(query_desc->snapshot, guarded, false);
	foreach(cell, places)
		open_place(lfirst(cell), snapshot);
	tess_snapshot_finish(snapshot);
	install(query_desc, tess_snapshot_here(snapshot));
}

/* READ COMMITTED ------------------------------------------------------------- */

/* True if the one scan there is finds its own snapshot when it runs. */
static bool
is_left_to_scan(const Survey *survey)
{
	CustomScan *scan = linitial(survey->scans);

	return list_length(survey->scans) == 1 && !survey->reads_here &&
		   !survey->calls_functions && !is_cursor() &&
		   !expression_tree_walker((Node *) scan->custom_exprs,
								   param_exec_walker, NULL);
}

static void
choose_for_statement(QueryDesc *query_desc)
{
	TessSnapshot *snapshot = tess_snapshot_find(query_desc->snapshot);
	Survey survey = {query_desc->plannedstmt};
	/* a stable function's, from the statement that calls it */
	bool is_inherited = tess_xact_depth > 0 &&
						query_desc->snapshot->regd_count > 1;
	List *places = NIL;
	bool changes;
	bool here;
	int nodes;
	ListCell *cell;

	if (snapshot != NULL)
	{
		install(query_desc, tess_snapshot_here(snapshot));
		return;
	}
	tess_plan_walk(survey.stmt, survey_plan, &survey);
	changes = survey.repeats || survey.changes_copies;
	if (!changes && (survey.scans == NIL || !tess_snapshot_is_for_statements() ||
					 (!is_inherited && is_left_to_scan(&survey))))
		return;

	here = changes || survey.reads_here || survey.calls_functions || is_inherited;
	if (survey.changes_copies)
		add_all_nodes(&places, survey.role);
	if (survey.calls_functions || is_inherited)
		add_all_nodes(&places, InvalidOid);
	foreach(cell, survey.scans)
		add_scan(&places, lfirst(cell), query_desc->params, &here);
	nodes = count_nodes(places);

	/* this server alone has its snapshot, and so has one statement of a node */
	if (nodes == 0 ? !survey.repeats
				   : nodes == 1 && !here && list_length(survey.scans) == 1)
		return;
	take(query_desc, places, nodes > 1 || here);
}

/* REPEATABLE READ and above --------------------------------------------------- */

static void
choose_for_transaction(QueryDesc *query_desc)
{
	TessSnapshot *snapshot;

	if (!tess_snapshot_is_for_transaction())
		return;
	snapshot = tess_snapshot_find(InvalidSnapshot);
	if (snapshot == NULL)
	{
		Survey survey = {query_desc->plannedstmt};

		tess_plan_walk(survey.stmt, survey_plan, &survey);
		if (survey.is_ours ||
			(survey.reads_here && XactIsoLevel == XACT_REPEATABLE_READ))
			snapshot = tess_snapshot_of_transaction();
	}

	/* SERIALIZABLE keeps its own, which was found to be as good */
	if (snapshot != NULL && XactIsoLevel == XACT_REPEATABLE_READ)
		install_copy(query_desc, tess_snapshot_here(snapshot));
}

/* Before the executor starts. */
void
tess_statement_choose_snapshot(QueryDesc *query_desc, int eflags)
{
	if (query_desc->snapshot == InvalidSnapshot || IsParallelWorker() ||
		IsInParallelMode())
		return;
	if (tess_xact_depth == 0 && tess_node_snapshot() != InvalidSnapshot)
	{
		install(query_desc, tess_node_snapshot());
		return;
	}
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0 || !tess_is_active())
		return;
	tess_snapshot_sweep(InvalidSnapshot);
	if (IsolationUsesXactSnapshot())
		choose_for_transaction(query_desc);
	else
		choose_for_statement(query_desc);
}

/*
 * While the executor runs, what the statement calls inherits its snapshot, and
 * so do parallel workers.  True if the caller has to pop it.
 */
bool
tess_statement_push_snapshot(const QueryDesc *query_desc)
{
	if (query_desc->snapshot == InvalidSnapshot || !ActiveSnapshotSet() ||
		GetActiveSnapshot() == query_desc->snapshot)
		return false;
	PushActiveSnapshot(query_desc->snapshot);
	return true;
}

/* See exec.h. */
bool
tess_statement_push_own_snapshot(void)
{
	TessSnapshot *snapshot = NULL;

	if (tess_xact_depth == 0 && tess_node_snapshot() != InvalidSnapshot)
	{
		PushActiveSnapshot(tess_node_snapshot());
		return true;
	}
	if (XactIsoLevel == XACT_REPEATABLE_READ)
		snapshot = tess_snapshot_of_transaction();
	if (snapshot == NULL)
		return false;
	PushCopiedSnapshot(tess_snapshot_here(snapshot));
	UpdateActiveSnapshotCommandId();
	return true;
}
