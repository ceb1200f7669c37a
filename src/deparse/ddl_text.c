/*
 * ddl_text.c - puts the statements together that recreate a table: its name
 * as a slot, rights as GRANTs, options as WITH lists.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/base.h"
#include "deparse/deparse_internal.h"

void
tess_ddl_begin(TessDdl *ddl, Relation rel, bool as_reference)
{
	memset(ddl, 0, sizeof(TessDdl));
	ddl->rel = rel;
	ddl->as_reference = as_reference;
	ddl->schema = get_namespace_name(RelationGetNamespace(rel));
	ddl->name = RelationGetRelationName(rel);
	initStringInfo(&ddl->text);
}

/* What has been written since the last slot becomes a piece. */
static void
end_piece(TessDdl *ddl)
{
	if (ddl->text.len > 0)
		ddl->template = lappend(ddl->template,
								makeString(pstrdup(ddl->text.data)));
	resetStringInfo(&ddl->text);
}

void
tess_ddl_object(TessDdl *ddl, const char *name)
{
	if (ddl->as_reference)
		appendStringInfo(&ddl->text, "%s.", quote_identifier(ddl->schema));
	else
	{
		end_piece(ddl);
		ddl->template = lappend(ddl->template,
								list_make1(makeString(pstrdup(ddl->schema))));
		appendStringInfoChar(&ddl->text, '.');
	}
	appendStringInfoString(&ddl->text, quote_identifier(name));
}

void
tess_ddl_table(TessDdl *ddl)
{
	tess_ddl_object(ddl, ddl->name);
}

void
tess_ddl_end(TessDdl *ddl)
{
	end_piece(ddl);
	ddl->statements = lappend(ddl->statements, ddl->template);
	ddl->template = NIL;
}

void
tess_ddl_add_sql(TessDdl *ddl, const char *sql)
{
	List *template;

	if (ddl->as_reference)
		template = list_make1(makeString(pstrdup(sql)));
	else
		template = tess_template_from_sql(sql);
	ddl->statements = lappend(ddl->statements, template);
}

/* The right of a bit of AclMode, as GRANT spells it; NULL if there is none. */
static const char *
right_name(AclMode right)
{
	switch (right)
	{
		case ACL_INSERT:
			return "INSERT";
		case ACL_SELECT:
			return "SELECT";
		case ACL_UPDATE:
			return "UPDATE";
		case ACL_DELETE:
			return "DELETE";
		case ACL_TRUNCATE:
			return "TRUNCATE";
		case ACL_REFERENCES:
			return "REFERENCES";
		case ACL_TRIGGER:
			return "TRIGGER";
		case ACL_EXECUTE:
			return "EXECUTE";
		case ACL_USAGE:
			return "USAGE";
		case ACL_CREATE:
			return "CREATE";
		default:
			return NULL;
	}
}

char *
tess_ddl_rights(AclMode rights, const char *column)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int bit = 0; bit < N_ACL_RIGHTS; bit++)
	{
		AclMode right = ((AclMode) 1) << bit;

		if ((rights & right) == 0 || right_name(right) == NULL)
			continue;
		appendStringInfo(&out, "%s%s", out.len > 0 ? ", " : "",
						 right_name(right));
		if (column != NULL)
			appendStringInfo(&out, " (%s)", quote_identifier(column));
	}
	return out.data;
}

char *
tess_ddl_role(Oid role)
{
	if (role == ACL_ID_PUBLIC)
		return "PUBLIC";
	return pstrdup(quote_identifier(GetUserNameFromId(role, false)));
}

Acl *
tess_ddl_acl(Datum datum, bool isnull)
{
	Acl *acl = isnull ? NULL : DatumGetAclPCopy(datum);

	return acl == NULL || ACL_NUM(acl) == 0 ? NULL : acl;
}

/* One GRANT on the table, or on a column of it. */
static void
add_grant(TessDdl *ddl, AclMode rights, const char *column, Oid grantee,
		  bool grantable)
{
	const char *names = tess_ddl_rights(rights, column);

	if (names[0] == '\0')
		return;
	appendStringInfo(&ddl->text, "GRANT %s ON TABLE ", names);
	tess_ddl_table(ddl);
	appendStringInfo(&ddl->text, " TO %s%s", tess_ddl_role(grantee),
					 grantable ? " WITH GRANT OPTION" : "");
	tess_ddl_end(ddl);
}

/*
 * The rights of an access list.  The table has just been made: its owner has
 * all rights, nobody else any.
 */
void
tess_ddl_add_grants(TessDdl *ddl, const Acl *acl, const char *column)
{
	Oid owner = ddl->rel->rd_rel->relowner;
	AclMode owner_rights = ACL_NO_RIGHTS;

	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];
		AclMode grantable = ACLITEM_GET_GOPTIONS(*item);
		AclMode plain = ACLITEM_GET_PRIVS(*item) & ~grantable;

		if (item->ai_grantee == owner && column == NULL)
		{
			owner_rights |= ACLITEM_GET_PRIVS(*item);
			continue;
		}
		add_grant(ddl, plain, column, item->ai_grantee, false);
		add_grant(ddl, grantable, column, item->ai_grantee, true);
	}
	if (column != NULL || owner_rights == ACL_ALL_RIGHTS_RELATION)
		return;
	appendStringInfoString(&ddl->text, "REVOKE ALL ON TABLE ");
	tess_ddl_table(ddl);
	appendStringInfo(&ddl->text, " FROM %s", tess_ddl_role(owner));
	tess_ddl_end(ddl);
	add_grant(ddl, owner_rights, NULL, owner, false);
}

/* name = 'value', ... with a prefix before each name; appends to out. */
void
tess_ddl_options(StringInfo out, Datum reloptions, const char *prefix)
{
	Datum *options;
	int count;

	deconstruct_array(DatumGetArrayTypeP(reloptions), TEXTOID, -1, false,
					  TYPALIGN_INT, &options, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char *option = TextDatumGetCString(options[i]);
		char *value = strchr(option, '=');

		/* what the server has noted for itself (pg_attver) */
		if (strncmp(option, "pg_", 3) == 0)
			continue;
		if (value != NULL)
			*value++ = '\0';
		appendStringInfo(out, "%s%s%s = %s", out->len > 0 ? ", " : "", prefix,
						 quote_identifier(option),
						 quote_literal_cstr(value != NULL ? value : "true"));
	}
}

void
tess_ddl_add_comment(TessDdl *ddl, Oid class, Oid object, int32 column,
					 const char *kind, const char *name)
{
	char *comment = GetComment(object, class, column);

	if (comment == NULL)
		return;
	appendStringInfo(&ddl->text, "COMMENT ON %s ", kind);
	if (class == ConstraintRelationId || class == TriggerRelationId)
	{
		appendStringInfo(&ddl->text, "%s ON ", quote_identifier(name));
		tess_ddl_table(ddl);
	}
	else
		tess_ddl_object(ddl, column != 0 ? ddl->name : name);
	if (column != 0)
		appendStringInfo(&ddl->text, ".%s", quote_identifier(name));
	appendStringInfo(&ddl->text, " IS %s", quote_literal_cstr(comment));
	tess_ddl_end(ddl);
}
