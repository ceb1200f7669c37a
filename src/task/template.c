/*
 * template.c - from a template to the SQL of one shard.
 *
 * Does not make templates (deparse/), and does not judge their text.
 */
#include "postgres.h"

#include "base/base.h"
#include "lib/stringinfo.h"
#include "nodes/value.h"
#include "task/task.h"
#include "utils/builtins.h"

/*
 * The SQL of a template for a shard.  Palloc'd.  shard_id does not matter for
 * a template without slots (reference tables).
 */
char *
tess_template_sql(const List *template, int64 shard_id)
{
	StringInfoData sql;
	const char *last_schema = NULL;
	const char *last_name = NULL;
	ListCell *cell;

	initStringInfo(&sql);
	foreach(cell, template)
	{
		Node *piece = lfirst(cell);
		const char *schema;

		if (IsA(piece, String))
		{
			appendStringInfoString(&sql, strVal(piece));
			continue;
		}

		/* most statements name the same schema again and again */
		schema = strVal(linitial((List *) piece));
		if (last_schema == NULL || strcmp(schema, last_schema) != 0)
		{
			last_schema = schema;
			last_name = quote_identifier(tess_shard_schema_name(schema, shard_id));
		}
		appendStringInfoString(&sql, last_name);
	}
	return sql.data;
}
