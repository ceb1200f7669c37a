/*
 * cluster_internal.h - shared by the files of cluster/.
 */
#ifndef TESS_CLUSTER_INTERNAL_H
#define TESS_CLUSTER_INTERNAL_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "cluster/cluster.h"
#include "net/net.h"

/* What a server says of itself; strings are NULL where it did not say. */
typedef struct TessFacts
{
	int version_num;
	char *version;
	char *identity; /* of this database in this running server */
	char *encoding;
	char *collate;
	char *ctype;
	char *provider;
	char *icu_locale;
	char *collation_version;
	bool in_recovery;
	bool is_template; /* new databases can be copies of it */
	char *preload_libraries;
	int max_prepared_transactions;
	char *wal_level;
	char *plugin_libraries; /* NULL: the server has no such setting */
	int max_connections;
	char *extension_version; /* NULL: not created in this database */
	char *available_version; /* NULL: not installed on the machine */
	int old_prepared;		 /* prepared transactions older than a minute */
	char *oldest_prepared;	 /* names of some of them; NULL: none */
	int all_prepared;		 /* of all databases of the server */
} TessFacts;

/* What stands against a server as a node. */
typedef struct TessProblem
{
	bool is_fatal; /* it cannot be a node; else a warning */
	int sqlstate;
	char *message;
	char *detail; /* NULL: none */
	char *hint;
} TessProblem;

/* node_facts.c */
extern TessFacts *tess_facts_ask(TessSession *session);
extern TessFacts *tess_facts_local(void);
extern List *tess_facts_problems(const char *node_name, const TessFacts *facts,
								 const TessFacts *own);

/* node_server.c: the foreign server behind a node */
extern Oid tess_server_create(const char *name, const char *host, int port,
							  const char *dbname);
extern void tess_server_alter(const char *name, const char *host, int port,
							  const char *dbname);
extern void tess_server_drop(const char *name);
extern const char *tess_server_option(Oid server, const char *option);
extern char *tess_server_address(Oid server);

/* node_member.c: what a node knows of its cluster */
extern void tess_member_join(TessSession *session, const char *node_name,
							 int32 node_id, const TessFacts *facts);
extern void tess_member_refuse_taken(TessSession *session, const char *node_name);
extern void tess_member_check(TessSession *session, const char *node_name,
							  int32 node_id, const TessFacts *facts);
extern List *tess_member_leave_commands(void);
extern void tess_member_refuse_on_node(void);

#endif
