/*
 * deadlock_graph.c - cycles in a graph of who waits for whom.  Pure: nothing
 * is read, and nobody is cancelled here.
 *
 * A cycle in which each session is waited for in the very process that waits is
 * one that a single server sees for itself: PostgreSQL's own check breaks it,
 * and it is passed over here.
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

/* Is who waits in next the very process that this one waits for? */
static bool
is_same_process(const TessWaitEdge *edge, const TessWaitEdge *next)
{
	return edge->holder_pid == next->waiter_pid &&
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

		if (to->dropped || to->color == DONE)
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

	graph->path = NIL;
	foreach(cell, graph->entries)
		((Entry *) lfirst(cell))->color = NEW;
	for (int i = 0; i < list_length(graph->entries); i++)
	{
		Entry *entry = get_entry(graph, i);
		List *cycle;

		if (entry->dropped || entry->color != NEW)
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

bool
tess_graph_has(TessGraph *graph, const TessGraph *other, const TessArc *arc)
{
	const TessVertex *from = &get_entry(other, arc->from)->vertex;
	const TessVertex *to = &get_entry(other, arc->to)->vertex;
	const Entry *entry = get_entry(graph, tess_graph_vertex(graph, from->name));
	int holder = tess_graph_vertex(graph, to->name);
	ListCell *cell;

	if (entry->vertex.wait != from->wait)
		return false;
	foreach(cell, entry->arcs)
	{
		const TessArc *candidate = lfirst(cell);

		if (candidate->to == holder && is_same_wait(candidate->edge, arc->edge))
			return true;
	}
	return false;
}
