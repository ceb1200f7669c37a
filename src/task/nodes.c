/*
 * nodes.c - fragments and their parts as nodes that core can copy, compare,
 * write and read.
 *
 * Each node type is described once, by a table of its fields; the four
 * operations walk that table.  A plan holds these nodes in custom_private, so
 * they must survive copyObject (plan cache) and out/read (debug_print_plan,
 * parallel workers).  What is in the fields is not judged here.
 */
#include "postgres.h"

#include "nodes/extensible.h"
#include "nodes/readfuncs.h"
#include "task/task.h"

typedef enum FieldKind
{
	FIELD_INT, /* int and enums of its size */
	FIELD_INT64,
	FIELD_OID,
	FIELD_BOOL,
	FIELD_NODE /* any node or list, may be NULL */
} FieldKind;

typedef struct Field
{
	const char *name;
	FieldKind kind;
	size_t offset;
} Field;

#define FIELD(type, name, kind) \
	{ \
#name, kind, offsetof(type, name) \
	}

static const Field fragment_fields[] =
	{FIELD(TessFragment, command, FIELD_INT),
	 FIELD(TessFragment, target, FIELD_INT),
	 FIELD(TessFragment, anchor, FIELD_OID),
	 FIELD(TessFragment, relations, FIELD_NODE),
	 FIELD(TessFragment, changed, FIELD_NODE),
	 FIELD(TessFragment, template, FIELD_NODE),
	 FIELD(TessFragment, param_types, FIELD_NODE),
	 FIELD(TessFragment, has_prune, FIELD_BOOL),
	 FIELD(TessFragment, frame, FIELD_NODE),
	 FIELD(TessFragment, is_fenced, FIELD_BOOL),
	 FIELD(TessFragment, shipped, FIELD_NODE),
	 FIELD(TessFragment, shipped_key, FIELD_INT),
	 FIELD(TessFragment, shipped_join, FIELD_INT),
	 FIELD(TessFragment, ship_limit_kb, FIELD_INT),
	 FIELD(TessFragment, bounded, FIELD_NODE),
	 FIELD(TessFragment, bound_functions, FIELD_NODE),
	 FIELD(TessFragment, bound_collations, FIELD_NODE),
	 FIELD(TessFragment, column_types, FIELD_NODE),
	 FIELD(TessFragment, column_typmods, FIELD_NODE),
	 FIELD(TessFragment, column_collations, FIELD_NODE),
	 FIELD(TessFragment, sources, FIELD_NODE),
	 FIELD(TessFragment, whole_row, FIELD_NODE),
	 FIELD(TessFragment, row_type, FIELD_OID),
	 FIELD(TessFragment, ctid_column, FIELD_INT),
	 FIELD(TessFragment, sort_columns, FIELD_NODE),
	 FIELD(TessFragment, sort_operators, FIELD_NODE),
	 FIELD(TessFragment, sort_collations, FIELD_NODE),
	 FIELD(TessFragment, sort_nulls_first, FIELD_NODE),
	 FIELD(TessFragment, limit_param, FIELD_INT),
	 FIELD(TessFragment, ctids_param, FIELD_INT),
	 FIELD(TessFragment, locks_rows, FIELD_BOOL),
	 FIELD(TessFragment, reads_changed, FIELD_BOOL),
	 FIELD(TessFragment, calls_functions, FIELD_BOOL),
	 FIELD(TessFragment, function, FIELD_OID),
	 FIELD(TessFragment, sets_count, FIELD_BOOL),
	 FIELD(TessFragment, role, FIELD_OID),
	 FIELD(TessFragment, number, FIELD_INT64),
	 FIELD(TessFragment, modify, FIELD_NODE),
	 {NULL}};

static const Field modify_fields[] =
	{FIELD(TessModifySpec, writes, FIELD_NODE),
	 FIELD(TessModifySpec, finds_rows, FIELD_BOOL),
	 FIELD(TessModifySpec, action_position, FIELD_INT),
	 FIELD(TessModifySpec, partition_position, FIELD_INT),
	 FIELD(TessModifySpec, has_returning, FIELD_BOOL),
	 FIELD(TessModifySpec, reads_first, FIELD_BOOL),
	 FIELD(TessModifySpec, reads_shards, FIELD_BOOL),
	 FIELD(TessModifySpec, resolves_conflicts, FIELD_BOOL),
	 FIELD(TessModifySpec, shard_position, FIELD_INT),
	 FIELD(TessModifySpec, ctid_position, FIELD_INT),
	 FIELD(TessModifySpec, kept_assigned, FIELD_NODE),
	 FIELD(TessModifySpec, kept_positions, FIELD_NODE),
	 FIELD(TessModifySpec, part_columns, FIELD_NODE),
	 FIELD(TessModifySpec, part_positions, FIELD_NODE),
	 FIELD(TessModifySpec, part_updates, FIELD_BOOL),
	 FIELD(TessModifySpec, part_is_sure, FIELD_BOOL),
	 FIELD(TessModifySpec, policies, FIELD_NODE),
	 FIELD(TessModifySpec, policy_sources, FIELD_NODE),
	 FIELD(TessModifySpec, policy_assigned, FIELD_NODE),
	 FIELD(TessModifySpec, key_columns, FIELD_NODE),
	 FIELD(TessModifySpec, value_columns, FIELD_NODE),
	 {NULL}};

static const Field write_fields[] =
	{FIELD(TessWrite, command, FIELD_INT),
	 FIELD(TessWrite, rows, FIELD_INT),
	 FIELD(TessWrite, action, FIELD_INT),
	 FIELD(TessWrite, counts, FIELD_BOOL),
	 FIELD(TessWrite, returns, FIELD_BOOL),
	 FIELD(TessWrite, columns, FIELD_NODE),
	 FIELD(TessWrite, positions, FIELD_NODE),
	 FIELD(TessWrite, row_types, FIELD_NODE),
	 FIELD(TessWrite, row_casts, FIELD_NODE),
	 FIELD(TessWrite, head, FIELD_NODE),
	 FIELD(TessWrite, tail, FIELD_NODE),
	 FIELD(TessWrite, key_position, FIELD_INT),
	 FIELD(TessWrite, hidden_from, FIELD_OID),
	 FIELD(TessWrite, old_columns, FIELD_NODE),
	 FIELD(TessWrite, old_positions, FIELD_NODE),
	 FIELD(TessWrite, conflict_positions, FIELD_NODE),
	 FIELD(TessWrite, has_opaque_conflict, FIELD_BOOL),
	 FIELD(TessWrite, sends_here_at_once, FIELD_BOOL),
	 FIELD(TessWrite, sequences_only, FIELD_BOOL),
	 FIELD(TessWrite, may_copy, FIELD_BOOL),
	 {NULL}};

StaticAssertDecl(sizeof(CmdType) == sizeof(int) &&
					 sizeof(TessTarget) == sizeof(int) &&
					 sizeof(JoinType) == sizeof(int) &&
					 sizeof(TessWriteRows) == sizeof(int),
				 "enums of fragments are copied as int");

static void copy_node(ExtensibleNode *target, const ExtensibleNode *source);
static bool equal_nodes(const ExtensibleNode *a, const ExtensibleNode *b);
static void out_node(struct StringInfoData *out, const ExtensibleNode *node);
static void read_node(ExtensibleNode *node);

static const ExtensibleNodeMethods fragment_methods = {TESS_FRAGMENT_NAME,
													   sizeof(TessFragment),
													   copy_node,
													   equal_nodes,
													   out_node,
													   read_node};

static const ExtensibleNodeMethods modify_methods = {TESS_MODIFY_SPEC_NAME,
													 sizeof(TessModifySpec),
													 copy_node,
													 equal_nodes,
													 out_node,
													 read_node};

static const ExtensibleNodeMethods write_methods = {TESS_WRITE_NAME,
													sizeof(TessWrite),
													copy_node,
													equal_nodes,
													out_node,
													read_node};

/* An empty fragment, in the current context. */
TessFragment *
tess_fragment_make(void)
{
	TessFragment *fragment = (TessFragment *) newNode(sizeof(TessFragment),
													  T_ExtensibleNode);

	fragment->extensible.extnodename = TESS_FRAGMENT_NAME;
	fragment->shipped_key = -1;
	return fragment;
}

/* An empty specification of a modify plan, in the current context. */
TessModifySpec *
tess_modify_spec_make(void)
{
	TessModifySpec *spec = (TessModifySpec *) newNode(sizeof(TessModifySpec),
													  T_ExtensibleNode);

	spec->extensible.extnodename = TESS_MODIFY_SPEC_NAME;
	spec->action_position = -1;
	spec->partition_position = -1;
	return spec;
}

/* A write of all rows that counts and has no parameters yet, in the current
 * context. */
TessWrite *
tess_write_make(CmdType command)
{
	TessWrite *write = (TessWrite *) newNode(sizeof(TessWrite), T_ExtensibleNode);

	write->extensible.extnodename = TESS_WRITE_NAME;
	write->command = command;
	write->counts = true;
	write->key_position = -1;
	return write;
}

void
tess_task_init(void)
{
	RegisterExtensibleNodeMethods(&fragment_methods);
	RegisterExtensibleNodeMethods(&modify_methods);
	RegisterExtensibleNodeMethods(&write_methods);
}

static const Field *
fields_of(const ExtensibleNode *node)
{
	if (strcmp(node->extnodename, TESS_FRAGMENT_NAME) == 0)
		return fragment_fields;
	if (strcmp(node->extnodename, TESS_WRITE_NAME) == 0)
		return write_fields;
	return modify_fields;
}

static void *
field_in(const ExtensibleNode *node, const Field *field)
{
	return (char *) node + field->offset;
}

static void
copy_node(ExtensibleNode *target, const ExtensibleNode *source)
{
	for (const Field *field = fields_of(source); field->name; field++)
	{
		void *from = field_in(source, field);
		void *to = field_in(target, field);

		switch (field->kind)
		{
			case FIELD_INT:
				*(int *) to = *(int *) from;
				break;
			case FIELD_INT64:
				*(int64 *) to = *(int64 *) from;
				break;
			case FIELD_OID:
				*(Oid *) to = *(Oid *) from;
				break;
			case FIELD_BOOL:
				*(bool *) to = *(bool *) from;
				break;
			case FIELD_NODE:
				*(void **) to = copyObjectImpl(*(void **) from);
				break;
		}
	}
}

static bool
equal_nodes(const ExtensibleNode *a, const ExtensibleNode *b)
{
	for (const Field *field = fields_of(a); field->name; field++)
	{
		void *left = field_in(a, field);
		void *right = field_in(b, field);
		bool same = false;

		switch (field->kind)
		{
			case FIELD_INT:
				same = *(int *) left == *(int *) right;
				break;
			case FIELD_INT64:
				same = *(int64 *) left == *(int64 *) right;
				break;
			case FIELD_OID:
				same = *(Oid *) left == *(Oid *) right;
				break;
			case FIELD_BOOL:
				same = *(bool *) left == *(bool *) right;
				break;
			case FIELD_NODE:
				same = equal(*(void **) left, *(void **) right);
				break;
		}
		if (!same)
			return false;
	}
	return true;
}

static void
out_node(struct StringInfoData *out, const ExtensibleNode *node)
{
	for (const Field *field = fields_of(node); field->name; field++)
	{
		void *from = field_in(node, field);

		appendStringInfo(out, " :%s ", field->name);
		switch (field->kind)
		{
			case FIELD_INT:
				appendStringInfo(out, "%d", *(int *) from);
				break;
			case FIELD_INT64:
				appendStringInfo(out, INT64_FORMAT, *(int64 *) from);
				break;
			case FIELD_OID:
				appendStringInfo(out, "%u", *(Oid *) from);
				break;
			case FIELD_BOOL:
				appendStringInfoString(out, *(bool *) from ? "true" : "false");
				break;
			case FIELD_NODE:
				outNode(out, *(void **) from);
				break;
		}
	}
}

static void
read_node(ExtensibleNode *node)
{
	for (const Field *field = fields_of(node); field->name; field++)
	{
		void *to = field_in(node, field);
		int length;
		const char *token;

		(void) pg_strtok(&length); /* the field's name */
		if (field->kind == FIELD_NODE)
		{
			*(void **) to = nodeRead(NULL, 0);
			continue;
		}
		token = pg_strtok(&length);
		if (field->kind == FIELD_INT)
			*(int *) to = atoi(token);
		else if (field->kind == FIELD_INT64)
			*(int64 *) to = strtoi64(token, NULL, 10);
		else if (field->kind == FIELD_OID)
			*(Oid *) to = (Oid) strtoul(token, NULL, 10);
		else
			*(bool *) to = token[0] == 't';
	}
}
