/*
 * node_session.c - on a node, what sessions that work for a coordinator may do.
 *
 * Nothing, if the node serves another coordinator (take_over.c).  And nothing
 * that ends with the session, of which the client knows nothing, or that cannot
 * be prepared: users' functions and triggers run here as well.  What a
 * transaction of one node may do, and one of several may not, is refused when
 * it is prepared; the coordinator then rolls back everywhere.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "catalog/catalog.h"
#include "net/net.h"
#include "tessera.h"
#include "xact/xact_internal.h"

#define ONE_NODE_HINT \
	"A function or trigger has done it there. A transaction that writes on that node alone may do it."

static struct
{
	bool served; /* what this session claims is what the node serves */
	ExecutorStart_hook_type next_start;
	ProcessUtility_hook_type next_utility;
} hooks;

static bool
works_for_coordinator(void)
{
	return tess_coordinator_claimed()[0] != '\0';
}

static void
refuse_coordinator(const char *served, const char *claimed)
{
	size_t length = strcspn(served, ":") + 1;

	if (strncmp(served, claimed, length) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this node belongs to another cluster"),
				 errhint(
					 "On the server that asked, use tessera.remove_node() to forget it.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this node serves another coordinator"),
			 errdetail("It serves incarnation %s of its cluster, not %s.",
					   served + length, claimed + length),
			 errhint(
				 "If the server that asked is to be the only coordinator from now on, run SELECT tessera.take_over() there.")));
}

/*
 * Once for each session, with its first statement: take_over() first changes
 * what the node serves, and then ends all sessions that claim another.
 */
static void
check_claim(void)
{
	char *served;

	if (hooks.served || !works_for_coordinator() || !tess_is_active())
		return;
	served = tess_cat_served_coordinator();
	if (served == NULL)
		return; /* it is just joining */
	if (strcmp(served, tess_coordinator_claimed()) != 0)
		refuse_coordinator(served, tess_coordinator_claimed());
	hooks.served = true;
}

/* What would stay in a session that is not the client's own. */
static void
refuse_lasting(Node *statement)
{
	if (IsA(statement, ListenStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot LISTEN on a node"),
				 errhint(
					 "Nobody would get the notifications: use LISTEN on the coordinator.")));
	if (IsA(statement, DeclareCursorStmt) &&
		(castNode(DeclareCursorStmt, statement)->options & CURSOR_OPT_HOLD) != 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot declare a cursor WITH HOLD on a node"),
						errhint("Declare it on the coordinator.")));
}

/* PostgreSQL would refuse as well, but not say what to do. */
void
tess_node_pre_prepare(void)
{
	if (!works_for_coordinator())
		return;
	if ((MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use temporary objects on a node in a transaction that writes on several servers"),
				 errhint(ONE_NODE_HINT)));
	if (XactHasExportedSnapshots())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot export a snapshot on a node in a transaction that writes on several servers"),
				 errhint(ONE_NODE_HINT)));
	if (tess_xact_has_pending_notify())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use NOTIFY on a node in a transaction that writes on several servers"),
				 errhint(ONE_NODE_HINT)));
}

static void
start_executor(QueryDesc *query, int eflags)
{
	check_claim();
	if (hooks.next_start)
		hooks.next_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

static void
run_utility(PlannedStmt *statement, const char *text, bool read_only,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *environment, DestReceiver *receiver,
			QueryCompletion *completion)
{
	check_claim();
	if (works_for_coordinator())
		refuse_lasting(statement->utilityStmt);
	if (hooks.next_utility)
		hooks.next_utility(statement, text, read_only, context, params,
						   environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, read_only, context, params,
								environment, receiver, completion);
}

void
tess_node_session_init(void)
{
	hooks.next_start = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	hooks.next_utility = ProcessUtility_hook;
	ProcessUtility_hook = run_utility;
}
