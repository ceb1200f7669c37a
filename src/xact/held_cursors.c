/*
 * held_cursors.c - cursors WITH HOLD of a transaction that fails to commit.
 *
 * PostgreSQL makes them independent of the transaction before it calls back
 * who may still refuse to commit, since hardly anybody does.  Here nodes may;
 * the cursors would stay, and show rows that were rolled back.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/portal.h"

#include "xact/xact.h"
#include "xact/xact_internal.h"

/* Their names (char *), in the transaction's memory. */
static List *declared = NIL;

/* See xact.h. */
void
tess_xact_note_held_cursor(const char *name)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopTransactionContext);

	declared = lappend(declared, pstrdup(name));
	MemoryContextSwitchTo(old_context);
}

/* At the end of the transaction.  A cursor that was not made independent goes
 * with an abort by itself.  No errors. */
void
tess_held_cursors_end(bool is_commit)
{
	ListCell *cell;

	if (!is_commit)
	{
		foreach(cell, declared)
		{
			Portal portal = GetPortalByName(lfirst(cell));

			if (PortalIsValid(portal) && portal->holdStore != NULL &&
				portal->createSubid == InvalidSubTransactionId)
				PortalDrop(portal, false);
		}
	}
	declared = NIL;
}
