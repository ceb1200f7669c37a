/*
 * check_option.c - the check option of a view, over rows that nodes return.
 *
 * PostgreSQL checks a row after it has been written; so do we: the nodes return
 * what the conditions need, the scan evaluates them, and what is not true ends
 * the statement and all it has written.
 */
#include "postgres.h"

#include "fmgr.h"
#include "tessera.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(tess_check_option);

/* tessera_internal.check_option(condition, view): true, or an error. */
Datum
tess_check_option(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || !PG_GETARG_BOOL(0))
		ereport(ERROR, (errcode(ERRCODE_WITH_CHECK_OPTION_VIOLATION),
						errmsg("new row violates check option for view \"%s\"",
							   PG_ARGISNULL(1)
								   ? "?"
								   : text_to_cstring(PG_GETARG_TEXT_PP(1)))));
	PG_RETURN_BOOL(true);
}
