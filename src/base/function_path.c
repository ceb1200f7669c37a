/*
 * function_path.c - under which search_path a function's body is read.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/base.h"

char *
tess_function_search_path(HeapTuple function)
{
	static const char prefix[] = "search_path=";
	bool isnull;
	Datum value = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_proconfig,
								  &isnull);
	Datum *settings;
	int count;

	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
					  TYPALIGN_INT, &settings, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char *setting = TextDatumGetCString(settings[i]);

		if (strncmp(setting, prefix, strlen(prefix)) == 0)
			return setting + strlen(prefix);
	}
	return NULL;
}
