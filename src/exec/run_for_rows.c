/*
 * run_for_rows.c - what a node does when changes of a reference table are
 * repeated: one statement for many rows of values, as if it were one change.
 *
 * Each row sees what the ones before it did, and what triggers are to do after
 * the statement is done after the last row.  Everything happens with the
 * caller's rights, and is nothing the caller could not do otherwise.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "tessera.h"

PG_FUNCTION_INFO_V1(tess_run_for_rows);

/* Parameters of the statement. */
typedef struct RowInput
{
	int width;
	Oid *types;
	FmgrInfo *functions;
	Oid *io_params;
	Datum *values;
	char *nulls; /* as SPI wants them */
} RowInput;

static RowInput *
make_input(ArrayType *types)
{
	RowInput *input = palloc0(sizeof(RowInput));
	Datum *elements;
	bool *nulls;

	deconstruct_array(types, REGTYPEOID, sizeof(Oid), true, TYPALIGN_INT,
					  &elements, &nulls, &input->width);
	input->types = palloc(input->width * sizeof(Oid));
	input->functions = palloc(input->width * sizeof(FmgrInfo));
	input->io_params = palloc(input->width * sizeof(Oid));
	input->values = palloc(input->width * sizeof(Datum));
	input->nulls = palloc(input->width);
	for (int i = 0; i < input->width; i++)
	{
		Oid function;

		input->types[i] = nulls[i] ? InvalidOid : DatumGetObjectId(elements[i]);
		if (!OidIsValid(input->types[i]) ||
			get_typtype(input->types[i]) == TYPTYPE_PSEUDO)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("a parameter has no type of values"),
							errhint("Name the type of each parameter.")));
		getTypeInputInfo(input->types[i], &function, &input->io_params[i]);
		fmgr_info(function, &input->functions[i]);
	}
	return input;
}

/* In the current context. */
static void
read_row(RowInput *input, const Datum *texts, const bool *nulls)
{
	for (int i = 0; i < input->width; i++)
	{
		char *written = nulls[i] ? NULL : TextDatumGetCString(texts[i]);

		input->values[i] = InputFunctionCall(&input->functions[i], written,
											 input->io_params[i], -1);
		input->nulls[i] = nulls[i] ? 'n' : ' ';
	}
}

static SPIPlanPtr
prepare(const char *statement, const RowInput *input)
{
	SPIPlanPtr plan = SPI_prepare_cursor(statement, input->width, input->types,
										 CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("could not prepare the statement: %s",
							   SPI_result_code_string(SPI_result)),
						errhint("Give one UPDATE or DELETE.")));
	return plan;
}

/* Runs the plan for each row; the number of rows it has changed. */
static uint64
run_rows(SPIPlanPtr plan, RowInput *input, ArrayType *rows)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "tessera row",
													  ALLOCSET_DEFAULT_SIZES);
	Datum *texts;
	bool *nulls;
	int count;
	uint64 changed = 0;

	deconstruct_array(rows, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls,
					  &count);
	if (input->width == 0 || count % input->width != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rows of %d values cannot be made of %d values",
						input->width, count),
				 errhint("Give each row as many values as there are types.")));
	for (int i = 0; i < count; i += input->width)
	{
		MemoryContext old_context;
		int code;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row_context);
		old_context = MemoryContextSwitchTo(row_context);
		read_row(input, texts + i, nulls + i);
		code = SPI_execute_snapshot(plan, input->values, input->nulls,
									InvalidSnapshot, InvalidSnapshot, false,
									false, 0);
		MemoryContextSwitchTo(old_context);
		if (code != SPI_OK_UPDATE && code != SPI_OK_DELETE)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("statement is not a plain UPDATE or DELETE"),
					 errhint("Give one UPDATE or DELETE without RETURNING.")));
		changed += SPI_processed;
	}
	return changed;
}

/* tessera_internal.run_for_rows(statement, types, rows) */
Datum
tess_run_for_rows(PG_FUNCTION_ARGS)
{
	char *statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ArrayType *types = PG_GETARG_ARRAYTYPE_P(1);
	ArrayType *rows = PG_GETARG_ARRAYTYPE_P(2);
	uint64 changed;
	RowInput *input;

	SPI_connect();
	input = make_input(types);
	AfterTriggerBeginQuery();
	changed = run_rows(prepare(statement, input), input, rows);
	AfterTriggerEndQuery(NULL);
	SPI_finish();
	PG_RETURN_INT64((int64) changed);
}
