/*
 * deadlock_graph.c - cycles in a graph of who waits for whom.  Pure: nothing
 * is read, and nobody is cancelled here.
 *
 * A cycle in which each session is waited for in the very process that waits is
 * one that a single server sees for itself: PostgreSQL's own check breaks it,
 * and it is passed over here.
 *
 * Who waits for a lock waits for all who have it.  Who waits for a connection
 * waits for any one of those that have the node's, and is stuck only if they all
 * are.  So the sessions that can go on, sooner or later, are taken out first.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "tessera.h"
#include "xact/deadlock.h"

#define NAME_SIZE 128

typedef struct Key
{
	char name[NAME_SIZE];
	int vertex;
} Key;

typedef enum Color
{
	NEW,
	ON_PATH,
	DONE
} Color;

typedef struct Entry
{
	TessVertex vertex;
	List *arcs; /* TessArc *, that begin here */
	Color color;
	bool dropped;

	/* of find_stuck */
	bool stuck;
	int stuck_holders; /* arcs to these */
	List *waiters;	   /* Entry *, one for each arc that ends here */
} Entry;

struct TessGraph
{
	HTAB *keys;
	List *entries; /* Entry *, by number */
	List *path;	   /* TessArc *, of the search under way */
};

TessGraph *
tess_graph_make(void)
{
	TessGraph *graph = palloc0(sizeof(TessGraph));
	HASHCTL control = {0};

	control.keysize = NAME_SIZE;
	control.entrysize = sizeof(Key);
	control.hcxt = CurrentMemoryContext;
	graph->keys = hash_create("tessera wait graph", 64, &control,
							  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	return graph;
}

int
tess_graph_vertex(TessGraph *graph, const char *name)
{
	char key_name[NAME_SIZE];
	bool found;
	Key *key;

	strlcpy(key_name, name, sizeof(key_name));
	key = hash_search(graph->keys, key_name, HASH_ENTER, &found);
	if (!found)
	{
		Entry *entry = palloc0(sizeof(Entry));

		entry->vertex.name = pstrdup(key_name);
		key->vertex = list_length(graph->entries);
		graph->entries = lappend(graph->entries, entry);
	}
	return key->vertex;
}

static Entry *
get_entry(const TessGraph *graph, int vertex)
{
	return list_nth(graph->entries, vertex);
}

TessVertex *
tess_graph_get(TessGraph *graph, int vertex)
{
	return &get_entry(graph, vertex)->vertex;
}

void
tess_graph_add(TessGraph *graph, const TessArc *arc)
{
	Entry *from = get_entry(graph, arc->from);
	TessArc *copy = palloc(sizeof(TessArc));

	*copy = *arc;
	from->arcs = lappend(from->arcs, copy);
}

void
tess_graph_drop(TessGraph *graph, int vertex)
{
	get_entry(graph, vertex)->dropped = true;
}

/* Is who waits in next the very process that this one waits for?  (PostgreSQL
 * knows nothing of connections.) */
static bool
is_same_process(const TessWaitEdge *edge, const TessWaitEdge *next)
{
	return !edge->is_connection && edge->holder_pid == next->waiter_pid &&
		   strcmp(edge->server, next->server) == 0;
}

static bool
is_of_one_server(List *cycle)
{
	for (int i = 0; i < list_length(cycle); i++)
	{
		const TessArc *arc = list_nth(cycle, i);
		const TessArc *next = list_nth(cycle, (i + 1) % list_length(cycle));

		if (!is_same_process(arc->edge, next->edge))
			return false;
	}
	return true;
}

/* The path from a vertex that is on it to its end. */
static List *
path_from(const TessGraph *graph, int vertex)
{
	for (int i = 0; i < list_length(graph->path); i++)
	{
		if (((const TessArc *) list_nth(graph->path, i))->from == vertex)
			return list_copy_tail(graph->path, i);
	}
	return NIL;
}

/* One of those it waits for is enough. */
static bool
is_choice(const Entry *entry)
{
	return entry->vertex.connection_to != 0;
}

/* All who wait, but for those that will be let go on. */
static void
find_stuck(TessGraph *graph)
{
	List *free = NIL; /* Entry *, whose waiters do not know it yet */
	ListCell *cell;

	foreach(cell, graph->entries)
		((Entry *) lfirst(cell))->waiters = NIL;
	foreach(cell, graph->entries)
	{
		Entry *entry = lfirst(cell);
		ListCell *arc;

		entry->stuck = !entry->dropped && entry->arcs != NIL;
		entry->stuck_holders = list_length(entry->arcs);
		if (!entry->stuck)
			free = lappend(free, entry);
		foreach(arc, entry->arcs)
		{
			Entry *holder = get_entry(graph, ((const TessArc *) lfirst(arc))->to);

			holder->waiters = lappend(holder->waiters, entry);
		}
	}
	while (free != NIL)
	{
		Entry *holder = llast(free);

		free = list_delete_last(free);
		foreach(cell, holder->waiters)
		{
			Entry *waiter = lfirst(cell);

			waiter->stuck_holders--;
			if (waiter->stuck &&
				(is_choice(waiter) || waiter->stuck_holders == 0))
			{
				waiter->stuck = false;
				free = lappend(free, waiter);
			}
		}
	}
}

/* Depth first, from a vertex that is new. */
static List *
search_from(TessGraph *graph, int vertex)
{
	Entry *entry = get_entry(graph, vertex);
	ListCell *cell;

	check_stack_depth();
	entry->color = ON_PATH;
	foreach(cell, entry->arcs)
	{
		TessArc *arc = lfirst(cell);
		Entry *to = get_entry(graph, arc->to);
		List *cycle = NIL;

		if (!to->stuck || to->color == DONE)
			continue;
		graph->path = lappend(graph->path, arc);
		if (to->color == NEW)
			cycle = search_from(graph, arc->to);
		else
		{
			cycle = path_from(graph, arc->to);
			if (is_of_one_server(cycle))
				cycle = NIL;
		}
		if (cycle != NIL)
			return cycle;
		graph->path = list_delete_last(graph->path);
	}
	entry->color = DONE;
	return NIL;
}

List *
tess_graph_cycle(TessGraph *graph)
{
	ListCell *cell;

	find_stuck(graph);
	graph->path = NIL;
	foreach(cell, graph->entries)
		((Entry *) lfirst(cell))->color = NEW;
	for (int i = 0; i < list_length(graph->entries); i++)
	{
		Entry *entry = get_entry(graph, i);
		List *cycle;

		if (!entry->stuck || entry->color != NEW)
			continue;
		cycle = search_from(graph, i);
		if (cycle != NIL)
			return cycle;
	}
	return NIL;
}

static bool
is_same_wait(const TessWaitEdge *edge, const TessWaitEdge *other)
{
	return edge->since == other->since && edge->waiter_pid == other->waiter_pid &&
		   strcmp(edge->server, other->server) == 0;
}

/* True if the other graph has this wait of the same sessions. */
static bool
has_arc(const TessGraph *graph, const TessArc *arc, TessGraph *other)
{
	const TessVertex *from = &get_entry(graph, arc->from)->vertex;
	int holder = tess_graph_vertex(other, get_entry(graph, arc->to)->vertex.name);
	int waiter = tess_graph_vertex(other, from->name);
	ListCell *cell;

	if (tess_graph_get(other, waiter)->wait != from->wait)
		return false;
	foreach(cell, get_entry(other, waiter)->arcs)
	{
		const TessArc *candidate = lfirst(cell);

		if (candidate->to == holder && is_same_wait(candidate->edge, arc->edge))
			return true;
	}
	return false;
}

void
tess_graph_keep_common(TessGraph *graph, TessGraph *later)
{
	ListCell *cell;

	foreach(cell, graph->entries)
	{
		Entry *entry = lfirst(cell);
		int same = tess_graph_vertex(later, entry->vertex.name);
		int before = list_length(entry->arcs);
		ListCell *arc;

		foreach(arc, entry->arcs)
		{
			if (!has_arc(graph, lfirst(arc), later))
				entry->arcs = foreach_delete_current(entry->arcs, arc);
		}

		/* one of the connections has changed hands: another may, too */
		if (is_choice(entry) &&
			(list_length(entry->arcs) < before ||
			 list_length(get_entry(later, same)->arcs) != before))
			entry->arcs = NIL;
	}
}
