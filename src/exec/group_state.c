/*
 * group_state.c - the state that one group of an aggregate of ours keeps of
 * another aggregate, and the function that changes it: as core's nodeAgg would
 * call it, whose context it gets, so that it finds the memory of the group.
 */
#include "postgres.h"

#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/lsyscache.h"

#include "exec/exec_internal.h"

/* Makes the function ready to be called, with so many arguments beside the
 * state; expr tells it their types.  Lives in context. */
void
tess_step_set_function(TessStep *step, Oid function, Node *expr, int arg_count,
					   Oid collation, MemoryContext context)
{
	fmgr_info_cxt(function, &step->function, context);
	fmgr_info_set_expr(expr, &step->function);
	step->arg_count = arg_count;
	step->frame = MemoryContextAllocZero(context,
										 SizeForFunctionCallInfo(arg_count + 1));
	InitFunctionCallInfoData(*step->frame, &step->function, arg_count + 1,
							 collation, NULL, NULL);
}

/* Sets the state that groups begin with, from its text; NULL: none.  It lives
 * in the current context. */
void
tess_step_set_initial(TessStep *step, Oid state_type, const char *initial)
{
	Oid input;
	Oid io_param;

	get_typlenbyval(state_type, &step->state_length, &step->state_by_value);
	step->initial_is_null = initial == NULL;
	if (initial == NULL)
		return;
	getTypeInputInfo(state_type, &input, &io_param);
	step->initial = OidInputFunctionCall(input, pstrdup(initial), io_param, -1);
}

/* A group without rows; context is the memory of groups. */
TessGroupState *
tess_group_begin(const TessStep *step, MemoryContext context)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);
	TessGroupState *group = palloc(sizeof(TessGroupState));

	group->state = step->initial_is_null
					   ? (Datum) 0
					   : datumCopy(step->initial, step->state_by_value,
								   step->state_length);
	group->state_is_null = step->initial_is_null;
	group->waits = step->initial_is_null && step->function.fn_strict;
	MemoryContextSwitchTo(old_context);
	return group;
}

/*
 * Puts a new state, which a function may have left anywhere, into the memory
 * of the group, and frees the old one.
 */
static void
set_state(const TessStep *step, TessGroupState *group, Datum state,
		  bool is_null, MemoryContext context)
{
	if (!step->state_by_value)
	{
		Datum old_state = group->state;
		MemoryContext old_context;

		/* changed in place; a NULL state's datum means nothing */
		if (!group->state_is_null && !is_null &&
			DatumGetPointer(old_state) == DatumGetPointer(state))
			return;
		old_context = MemoryContextSwitchTo(context);
		state = is_null ? (Datum) 0
						: datumTransfer(state, false, step->state_length);
		MemoryContextSwitchTo(old_context);

		if (!group->state_is_null &&
			DatumIsReadWriteExpandedObject(old_state, false, step->state_length))
			DeleteExpandedObject(old_state);
		else if (!group->state_is_null)
			pfree(DatumGetPointer(old_state));
	}
	group->state = state;
	group->state_is_null = is_null;
}

/* The first argument becomes the state. */
static void
take_first(const TessStep *step, TessGroupState *group, Datum argument,
		   MemoryContext context)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);

	group->state = datumCopy(argument, step->state_by_value, step->state_length);
	group->state_is_null = false;
	group->waits = false;
	MemoryContextSwitchTo(old_context);
}

/* One row, or state, more; call_context is that of our own call. */
void
tess_group_add(TessStep *step, TessGroupState *group, const NullableDatum *args,
			   Node *call_context, MemoryContext context)
{
	FunctionCallInfo frame = step->frame;
	Datum state;

	if (step->function.fn_strict)
	{
		for (int i = 0; i < step->arg_count; i++)
			if (args[i].isnull)
				return;
		if (group->waits)
		{
			take_first(step, group, args[0].value, context);
			return;
		}
		if (group->state_is_null)
			return;
	}

	frame->context = call_context;
	frame->isnull = false;
	frame->args[0].value = group->state;
	frame->args[0].isnull = group->state_is_null;
	for (int i = 0; i < step->arg_count; i++)
		frame->args[i + 1] = args[i];
	state = FunctionCallInvoke(frame);
	set_state(step, group, state, frame->isnull, context);
}
