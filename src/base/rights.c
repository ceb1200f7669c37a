/*
 * rights.c - who may change the cluster, and who may look behind it.
 *
 * Every role may call the functions of schema tessera: they ask here, so that
 * a refusal can say which right is missing.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "base/base.h"

/* Whether the current user may change what the cluster is made of. */
static bool
may_manage(void)
{
	Oid wrapper = get_foreign_data_wrapper_oid(TESS_WRAPPER, false);

	return pg_foreign_data_wrapper_aclcheck(wrapper, GetUserId(), ACL_USAGE) ==
		   ACLCHECK_OK;
}

void
tess_right_check_manage(const char *function)
{
	if (!may_manage())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", function),
				 errhint("Only roles with USAGE on foreign-data wrapper \"%s\" manage the cluster.",
						 TESS_WRAPPER)));
}

void
tess_right_check_look(const char *function)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR) && !may_manage())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", function),
				 errhint("Only members of pg_monitor, and roles with USAGE on foreign-data wrapper \"%s\", may ask the nodes.",
						 TESS_WRAPPER)));
}
