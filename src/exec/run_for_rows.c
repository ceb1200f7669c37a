/*
 * run_for_rows.c - what a node does when changes of a reference table are
 * repeated: statements of one row each, for many rows of values, as if they were
 * one change.
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

/* Parameters of the statements. */
typedef struct RowInput
{
	int width;
	Oid *types;
	FmgrInfo *functions;
	Oid *io_params;
	Datum *values;
	char *nulls; /* as SPI wants them */
} RowInput;

/* One of them; plan NULL: no row has wanted it yet. */
typedef struct RowStatement
{
	char *text;
	SPIPlanPtr plan;
} RowStatement;

typedef struct RowStatements
{
	int count;
	RowStatement *statements;
} RowStatements;

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

static RowStatements
make_statements(ArrayType *texts)
{
	RowStatements statements;
	Datum *elements;
	bool *nulls;

	deconstruct_array(texts, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &statements.count);
	statements.statements = palloc0(statements.count * sizeof(RowStatement));
	for (int i = 0; i < statements.count; i++)
		statements.statements[i].text = nulls[i]
											? pstrdup("")
											: TextDatumGetCString(elements[i]);
	return statements;
}

/* The statement of a number, as it is written in a row. */
static RowStatement *
find_statement(const RowStatements *statements, Datum number_text, bool is_null)
{
	int number = is_null ? 0 : pg_strtoint32(TextDatumGetCString(number_text));

	if (number < 1 || number > statements->count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row is not for any of the statements"),
				 errhint("Begin each row with the number of its statement.")));
	return &statements->statements[number - 1];
}

static void
prepare(RowStatement *statement, const RowInput *input)
{
	if (statement->plan != NULL)
		return;
	statement->plan = SPI_prepare_cursor(statement->text, input->width,
										 input->types, CURSOR_OPT_GENERIC_PLAN);
	if (statement->plan == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("could not prepare the statement: %s",
							   SPI_result_code_string(SPI_result)),
						errhint("Give INSERT, UPDATE or DELETE.")));
}

/* Runs it with the values that were read; the number of rows it has changed. */
static uint64
run_statement(SPIPlanPtr plan, const RowInput *input)
{
	int code = SPI_execute_snapshot(plan, input->values, input->nulls,
									InvalidSnapshot, InvalidSnapshot, false,
									false, 0);

	if (code != SPI_OK_INSERT && code != SPI_OK_UPDATE && code != SPI_OK_DELETE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("statement is not a plain INSERT, UPDATE or DELETE"),
				 errhint("Give INSERT, UPDATE or DELETE without RETURNING.")));
	return SPI_processed;
}

/* Runs for each row its statement; the number of rows they have changed. */
static uint64
run_rows(const RowStatements *statements, RowInput *input, ArrayType *rows)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "tessera row",
													  ALLOCSET_DEFAULT_SIZES);
	int row_length = input->width + 1;
	Datum *texts;
	bool *nulls;
	int count;
	uint64 changed = 0;

	deconstruct_array(rows, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls,
					  &count);
	if (count % row_length != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rows of %d values cannot be made of %d values",
						row_length, count),
				 errhint(
					 "Give each row the number of a statement, and as many values as there are types.")));
	for (int i = 0; i < count; i += row_length)
	{
		MemoryContext old_context;
		RowStatement *statement;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row_context);
		statement = find_statement(statements, texts[i], nulls[i]);
		prepare(statement, input);
		old_context = MemoryContextSwitchTo(row_context);
		read_row(input, texts + i + 1, nulls + i + 1);
		changed += run_statement(statement->plan, input);
		MemoryContextSwitchTo(old_context);
	}
	return changed;
}

/* tessera_internal.run_for_rows(statements, types, rows) */
Datum
tess_run_for_rows(PG_FUNCTION_ARGS)
{
	ArrayType *texts = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType *types = PG_GETARG_ARRAYTYPE_P(1);
	ArrayType *rows = PG_GETARG_ARRAYTYPE_P(2);
	RowStatements statements;
	uint64 changed;

	SPI_connect();
	statements = make_statements(texts);
	AfterTriggerBeginQuery();
	changed = run_rows(&statements, make_input(types), rows);
	AfterTriggerEndQuery(NULL);
	SPI_finish();
	PG_RETURN_INT64((int64) changed);
}
