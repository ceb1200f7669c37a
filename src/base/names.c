/*
 * names.c - how schemas of shards are called, and how names are written.
 *
 * The name of a shard schema is a function of the source schema's name and the
 * shard id alone: whoever knows both can say it without asking anybody.  Names
 * are never taken apart again.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/base.h"
#include "catalog/pg_operator.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * A name that is too long is cut, and gets a hash of all of it, so that two
 * schemas with the same beginning do not meet: "<beginning>_<hash>_<id>".
 */
char *
tess_shard_schema_name(const char *schema, int64 shard_id)
{
	int length = strlen(schema);
	char suffix[48] = "_";
	int suffix_length = 1 + pg_lltoa(shard_id, suffix + 1);
	char *name;
	int kept;

	/* once for each statement by key, so nothing is formatted */
	if (length + suffix_length < NAMEDATALEN)
	{
		name = palloc(length + suffix_length + 1);
		memcpy(name, schema, length);
		memcpy(name + length, suffix, suffix_length + 1);
		return name;
	}

	snprintf(suffix, sizeof(suffix), "_%08x_" INT64_FORMAT,
			 hash_bytes((const unsigned char *) schema, length), shard_id);
	kept = pg_mbcliplen(schema, length, NAMEDATALEN - 1 - strlen(suffix));
	return psprintf("%.*s%s", kept, schema, suffix);
}

char *
tess_quote_qualified(const char *schema, const char *name)
{
	return quote_qualified_identifier(schema, name);
}

char *
tess_relation_qualified_name(Oid relation)
{
	char *name = get_rel_name(relation);
	char *schema = NULL;

	if (name != NULL)
		schema = get_namespace_name_or_temp(get_rel_namespace(relation));
	if (schema == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", relation)));
	return quote_qualified_identifier(schema, name);
}

char *
tess_name_list(List *names)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, names)
		appendStringInfo(&text, "%s\"%s\"", text.len > 0 ? ", " : "",
						 (char *) lfirst(cell));
	return text.data;
}

/* See base.h. */
void
tess_operator_append(StringInfo text, Oid oid)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(oid));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", oid);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(text, " OPERATOR(%s.%s) ",
					 quote_identifier(get_namespace_name(form->oprnamespace)),
					 NameStr(form->oprname));
	ReleaseSysCache(tuple);
}
