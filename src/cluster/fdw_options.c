/*
 * fdw_options.c - which options a server and a user mapping of the wrapper
 * "tessera" may have: libpq's own, except those that net/ sets itself.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"

#include "tessera.h"

PG_FUNCTION_INFO_V1(tess_fdw_validate);

#define PASSWORD_REQUIRED "password_required"

static bool
is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
	{
		if (strcmp(name, *names) == 0)
			return true;
	}
	return false;
}

/* Options that say who one is: they belong to a user mapping. */
static bool
is_credential(const PQconninfoOption *option)
{
	static const char *const credentials[] = {"user", "sslcert", "sslkey", NULL};

	return is_one_of(option->keyword, credentials) ||
		   strchr(option->dispchar, '*') != NULL;
}

/* Options that net/ fixes, because results depend on them. */
static bool
is_ours(const PQconninfoOption *option)
{
	static const char *const ours[] = {"client_encoding",
									   "fallback_application_name",
									   "replication", "options", NULL};

	return is_one_of(option->keyword, ours) ||
		   strchr(option->dispchar, 'D') != NULL;
}

static bool
is_valid_in(const PQconninfoOption *option, Oid catalog)
{
	if (is_ours(option))
		return false;
	if (catalog == ForeignServerRelationId)
		return !is_credential(option);
	if (catalog == UserMappingRelationId)
		return is_credential(option);
	return false;
}

static const PQconninfoOption *
libpq_options(void)
{
	static PQconninfoOption *options = NULL;

	/* The list is the same for ever; libpq gives it in malloc'd memory. */
	if (options == NULL)
		options = PQconndefaults();
	if (options == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return options;
}

static bool
is_valid_option(const char *name, Oid catalog)
{
	if (catalog == UserMappingRelationId && strcmp(name, PASSWORD_REQUIRED) == 0)
		return true;
	for (const PQconninfoOption *option = libpq_options(); option->keyword;
		 option++)
	{
		if (strcmp(option->keyword, name) == 0)
			return is_valid_in(option, catalog);
	}
	return false;
}

static void
raise_invalid_option(const char *name, Oid catalog)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (const PQconninfoOption *option = libpq_options(); option->keyword;
		 option++)
	{
		if (is_valid_in(option, catalog))
			appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "",
							 option->keyword);
	}
	if (catalog == UserMappingRelationId)
		appendStringInfo(&valid, ", %s", PASSWORD_REQUIRED);

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 valid.len > 0
				 ? errhint("Valid options in this context are: %s.", valid.data)
				 : errhint("There are no valid options in this context.")));
}

static void
check_port(const char *value)
{
	char *end;
	long port = strtol(value, &end, 10);

	if (*value == '\0' || *end != '\0' || port < 1 || port > 65535)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"port\": \"%s\"", value),
				 errhint("A port is a number from 1 to 65535.")));
}

/* Files of this server, and logging in without a password, are a superuser's
 * to give. */
static void
check_privileged(DefElem *option)
{
	bool privileged;

	privileged = strcmp(option->defname, "sslcert") == 0 ||
				 strcmp(option->defname, "sslkey") == 0 ||
				 (strcmp(option->defname, PASSWORD_REQUIRED) == 0 &&
				  !defGetBoolean(option));
	if (privileged && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", option->defname),
				 errhint(
					 "Only superusers may set \"sslcert\" and \"sslkey\" in a user mapping, or \"password_required\" to false.")));
}

/* tessera_internal.fdw_validator(options, catalog).  Errors: HV00D, HV024,
 * 42501. */
Datum
tess_fdw_validate(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	ListCell *cell;

	foreach(cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (!is_valid_option(option->defname, catalog))
			raise_invalid_option(option->defname, catalog);
		if (strcmp(option->defname, "port") == 0)
			check_port(defGetString(option));
		if (catalog == UserMappingRelationId)
			check_privileged(option);
	}
	PG_RETURN_VOID();
}
