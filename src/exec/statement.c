/*
 * statement.c - the text of a fragment for the shards of one node: where they
 * may be asked together, one statement for several of them, a union.
 *
 * Sorted fragments are, so that the node merges and limits what its shards
 * give; and those with a frame, so that what the frame does (a join with rows
 * that are sent, groups) is done once for the node.
 */
#include "postgres.h"

#include "exec/exec_internal.h"
#include "lib/stringinfo.h"

/*
 * So many shards of a node in one statement: the node plans them together, and
 * its locks, memory and planning time grow with them.
 */
#define SHARDS_PER_STATEMENT 128

/*
 * How many shards of a node a statement of the fragment may cover.  Rows of a
 * union cannot be locked, and do not say which shard they are from; nor can one
 * have a column of a type that each shard has for itself.  Rows that are shipped
 * by key are those of one shard.
 */
int
tess_statement_shards(const TessFragment *fragment)
{
	ListCell *cell;

	if ((fragment->sort_columns == NIL && fragment->frame == NIL) ||
		fragment->shipped_key >= 0 || fragment->locks_rows ||
		fragment->ctids_param > 0 ||
		list_member_int(fragment->sources, TESS_FROM_SHARD_INDEX) ||
		list_member_int(fragment->sources, TESS_FROM_CTID))
		return 1;
	foreach(cell, fragment->column_types)
		if (tess_meta_differs_by_shard(lfirst_oid(cell)))
			return 1;
	return SHARDS_PER_STATEMENT;
}

/* What the columns are sorted by, their own collation, is the union's too. */
static void
append_order(StringInfo sql, const TessFragment *fragment)
{
	for (int i = 0; i < list_length(fragment->sort_columns); i++)
		appendStringInfo(sql, "%s%d %s NULLS %s", i > 0 ? ", " : " ORDER BY ",
						 list_nth_int(fragment->sort_columns, i) + 1,
						 tess_merge_is_descending(
							 list_nth_oid(fragment->sort_operators, i))
							 ? "DESC"
							 : "ASC",
						 list_nth_int(fragment->sort_nulls_first, i) ? "FIRST"
																	 : "LAST");
	if (fragment->limit_param > 0)
		appendStringInfo(sql, " LIMIT $%d", fragment->limit_param);
}

/*
 * The SQL of a fragment for shards of one node, palloc'd; without any, for a
 * copy of a reference table.  Each part of a sorted one is sorted, so that the
 * node has to merge only.
 */
char *
tess_statement_sql(const TessFragment *fragment, int shard_count,
				   const int64 *shard_ids)
{
	bool is_framed = fragment->frame != NIL;
	StringInfoData sql;

	if (shard_count <= 1 && !is_framed)
		return tess_template_sql(fragment->template,
								 shard_count == 1 ? shard_ids[0] : 0);

	initStringInfo(&sql);
	if (is_framed)
		appendStringInfoString(&sql, strVal(linitial(fragment->frame)));
	for (int i = 0; i < shard_count; i++)
	{
		char *part = tess_template_sql(fragment->template, shard_ids[i]);

		appendStringInfo(&sql, "%s(%s)", i > 0 ? " UNION ALL " : "", part);
		pfree(part);
	}
	if (is_framed)
		appendStringInfo(&sql, "%s%s", fragment->is_fenced ? " OFFSET 0" : "",
						 strVal(lsecond(fragment->frame)));
	else
		append_order(&sql, fragment);
	return sql.data;
}
