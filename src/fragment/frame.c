/*
 * frame.c - what is known while a statement is planned.
 *
 * A frame stands for each call of the hook, since planning may execute
 * functions that plan other statements.  Relation scans are made only inside
 * a frame that is open: statements of local/ that stand for a shard's are
 * planned as if nothing were ours.
 */
#include "postgres.h"

#include "fragment/fragment_internal.h"

static TessFrame *frame = NULL;

/* The innermost one; NULL: there is none. */
TessFrame *
tess_frame_current(void)
{
	return frame;
}

/* A call of the planner begins; the caller's frame has to live as long. */
void
tess_frame_push(TessFrame *inner)
{
	inner->outer = frame;
	frame = inner;
}

/* It ends, also by an error. */
void
tess_frame_pop(TessFrame *inner)
{
	frame = inner->outer;
}

/* True if relation scans replace the scans of shells. */
bool
tess_frame_is_open(void)
{
	return frame != NULL && frame->is_open;
}

/* True if what is computed here may be sent to be joined with distributed
 * tables, which are read after it then. */
bool
tess_frame_ships(void)
{
	return frame != NULL && frame->ships;
}

/* The same for tables whose rows are locked. */
bool
tess_frame_narrows(void)
{
	return frame != NULL && frame->narrows;
}

/* True if rows of distributed tables alone may be checked again. */
bool
tess_frame_locks_late(void)
{
	return frame != NULL && !frame->rechecks;
}

/* A relation scan has been planned in this frame. */
void
tess_frame_add_scan(CustomScan *scan)
{
	frame->scans = lappend(frame->scans, scan);
}

/* Numbers a fragment; it has to live as long as the frame. */
int
tess_frame_add_fragment(TessFragmentQuery *fragment)
{
	frame->fragments = lappend(frame->fragments, fragment);
	return list_length(frame->fragments);
}

/* The fragment of a number given out in this frame. */
TessFragmentQuery *
tess_frame_fragment(int number)
{
	if (frame == NULL || number < 1 || number > list_length(frame->fragments))
		return NULL;
	return list_nth(frame->fragments, number - 1);
}

/* A plan that is being made in this frame may name a function of an extension
 * in what it sends. */
void
tess_frame_add_function(Oid function)
{
	MemoryContext old_context = MemoryContextSwitchTo(frame->context);

	frame->functions = list_append_unique_oid(frame->functions, function);
	MemoryContextSwitchTo(old_context);
}

void
tess_frame_add_objects(void)
{
	if (frame != NULL)
		frame->uses_objects = true;
}

/* True if the statement that is being planned reads distributed tables, as far
 * as its plans are made. */
bool
tess_frame_has_scans(void)
{
	return frame->scans != NIL;
}
