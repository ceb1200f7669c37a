/*
 * node_facts.c - what a server says of itself, and what of that stands
 * against it as a node.
 *
 * One list of problems serves add_node, which raises them, and check_nodes,
 * which shows them.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "base/base.h"
#include "cluster/cluster_internal.h"
#include "tessera.h"

/* pg_settings hides what a role may not see; current_setting() would raise. */
#define FACTS_SQL \
	"SELECT pg_catalog.current_setting('server_version_num')," \
	" pg_catalog.current_setting('server_version')," \
	" pg_catalog.concat_ws('/', c.system_identifier, d.oid, pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()))," \
	" pg_catalog.pg_encoding_to_char(d.encoding)," \
	" d.datcollate, d.datctype, d.datlocprovider, d.daticulocale," \
	" pg_catalog.pg_database_collation_actual_version(d.oid)," \
	" pg_catalog.pg_is_in_recovery(), d.datistemplate," \
	" (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'shared_preload_libraries')," \
	" pg_catalog.current_setting('max_prepared_transactions')," \
	" pg_catalog.current_setting('wal_level')," \
	" (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'output_plugin_libraries')," \
	" pg_catalog.current_setting('max_connections')," \
	" (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'tessera')," \
	" (SELECT a.default_version FROM pg_catalog.pg_available_extensions a WHERE a.name = 'tessera')," \
	" (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts x" \
	"  WHERE x.database = d.datname AND x.prepared < pg_catalog.now() - interval '1 min')," \
	" (SELECT pg_catalog.string_agg(x.gid, ', ') FROM (SELECT x.gid FROM pg_catalog.pg_prepared_xacts x" \
	"  WHERE x.database = d.datname AND x.prepared < pg_catalog.now() - interval '1 min'" \
	"  ORDER BY x.prepared LIMIT 5) x)," \
	" (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts)" \
	" FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c" \
	" WHERE d.datname = pg_catalog.current_database()"

#define FACT_COUNT 21

static TessFacts *
make_facts(char **values)
{
	TessFacts *facts = palloc0(sizeof(TessFacts));

	facts->version_num = pg_strtoint32(values[0]);
	facts->version = values[1];
	facts->identity = values[2];
	facts->encoding = values[3];
	facts->collate = values[4];
	facts->ctype = values[5];
	facts->provider = values[6];
	facts->icu_locale = values[7];
	facts->collation_version = values[8];
	facts->in_recovery = values[9][0] == 't';
	facts->is_template = values[10][0] == 't';
	facts->preload_libraries = values[11];
	facts->max_prepared_transactions = pg_strtoint32(values[12]);
	facts->wal_level = values[13];
	facts->plugin_libraries = values[14];
	facts->max_connections = pg_strtoint32(values[15]);
	facts->extension_version = values[16];
	facts->available_version = values[17];
	facts->old_prepared = pg_strtoint32(values[18]);
	facts->oldest_prepared = values[19];
	facts->all_prepared = pg_strtoint32(values[20]);
	return facts;
}

/* Asks the server at the other end.  A server of another major version is not
 * asked, because its catalogs are others: only the version is filled in. */
TessFacts *
tess_facts_ask(TessSession *session)
{
	char *values[FACT_COUNT];
	PGresult *result;
	int version = tess_session_server_version(session);

	if (version / 10000 != PG_VERSION_NUM / 10000)
	{
		TessFacts *facts = palloc0(sizeof(TessFacts));

		facts->version_num = version;
		facts->version = psprintf("%d.%d", version / 10000, version % 10000);
		return facts;
	}

	result = tess_net_query(session, FACTS_SQL, NULL);
	for (int i = 0; i < FACT_COUNT; i++)
		values[i] = PQgetisnull(result, 0, i)
						? NULL
						: pstrdup(PQgetvalue(result, 0, i));
	return make_facts(values);
}

/* The same of this server. */
TessFacts *
tess_facts_local(void)
{
	MemoryContext context = CurrentMemoryContext;
	char *values[FACT_COUNT];
	int settings = tess_settings_pin();

	SPI_connect();
	if (SPI_execute(FACTS_SQL, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "this server does not say what it is");
	for (int i = 0; i < FACT_COUNT; i++)
	{
		char *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
								   i + 1);

		values[i] = value ? MemoryContextStrdup(context, value) : NULL;
	}
	SPI_finish();
	AtEOXact_GUC(true, settings);
	return make_facts(values);
}

static List *
add_problem(List *problems, bool is_fatal, int sqlstate, char *message,
			char *detail, char *hint)
{
	TessProblem *problem = palloc0(sizeof(TessProblem));

	problem->is_fatal = is_fatal;
	problem->sqlstate = sqlstate;
	problem->message = message;
	problem->detail = detail;
	problem->hint = hint;
	return lappend(problems, problem);
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const char *
shown(const char *value)
{
	return value ? value : "none";
}

/* True if a list setting names the library, with or without its folder. */
static bool
names_library(const char *setting, const char *library)
{
	List *names = NIL;
	ListCell *cell;

	if (!SplitDirectoriesString(pstrdup(setting), ',', &names))
		return false;
	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		const char *base = last_dir_separator(name);

		base = base ? base + 1 : name;
		if (strcmp(base, library) == 0 ||
			strcmp(base, psprintf("%s%s", library, DLSUFFIX)) == 0)
			return true;
	}
	return false;
}

/* Text that sorts or hashes in another way would be found in one place and
 * not in the other. */
static List *
locale_problems(List *problems, const char *node_name, const TessFacts *facts,
				const TessFacts *own)
{
	if (!same(facts->encoding, own->encoding))
		problems = add_problem(problems, true, ERRCODE_COLLATION_MISMATCH,
							   psprintf(_("encoding of node \"%s\" differs from this server's"),
										node_name),
							   psprintf(_("It is %s there, and %s here."),
										facts->encoding, own->encoding),
							   psprintf(_("Create the node's database with ENCODING '%s' TEMPLATE template0."),
										own->encoding));
	if (!same(facts->collate, own->collate) || !same(facts->ctype, own->ctype) ||
		!same(facts->provider, own->provider) ||
		!same(facts->icu_locale, own->icu_locale))
		problems = add_problem(problems, true, ERRCODE_COLLATION_MISMATCH,
							   psprintf(_("default collation of node \"%s\" differs from this server's"),
										node_name),
							   psprintf(_("LC_COLLATE, LC_CTYPE, provider and ICU locale are %s, %s, %s and %s there, and %s, %s, %s and %s here."),
										facts->collate, facts->ctype,
										facts->provider, shown(facts->icu_locale),
										own->collate, own->ctype, own->provider,
										shown(own->icu_locale)),
							   pstrdup(_(
								   "Create the node's database with the same locale, from template0.")));
	else if (!same(facts->collation_version, own->collation_version))
		problems = add_problem(problems, true, ERRCODE_COLLATION_MISMATCH,
							   psprintf(_("version of the default collation of node \"%s\" differs from this server's"),
										node_name),
							   psprintf(_("It is %s there, and %s here."),
										shown(facts->collation_version),
										shown(own->collation_version)),
							   pstrdup(_(
								   "Use the same release of the operating system or of ICU on both, or a locale without versions such as C.UTF-8.")));
	return problems;
}

static List *
extension_problems(List *problems, const char *node_name, const TessFacts *facts)
{
	const char *version = facts->extension_version ? facts->extension_version
												   : facts->available_version;

	if (version == NULL)
		return add_problem(problems, true, ERRCODE_UNDEFINED_FILE,
						   psprintf(_("extension \"tessera\" is not installed on node \"%s\""),
									node_name),
						   NULL,
						   pstrdup(_(
							   "Install Tessera on that machine, and add it to shared_preload_libraries there.")));
	if (strcmp(version, TESSERA_VERSION) != 0)
		problems = add_problem(problems, true,
							   ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							   psprintf(_("node \"%s\" has another version of extension \"tessera\""),
										node_name),
							   psprintf(_("It is %s there, and %s here."),
										version, TESSERA_VERSION),
							   pstrdup(_(
								   "Install the same version there, and run ALTER EXTENSION tessera UPDATE if the extension exists in the database.")));
	if (facts->preload_libraries &&
		!names_library(facts->preload_libraries, "tessera"))
		problems = add_problem(problems, true,
							   ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							   psprintf(_("node \"%s\" has not loaded tessera at its start"),
										node_name),
							   psprintf(_("shared_preload_libraries is \"%s\" there."),
										facts->preload_libraries),
							   pstrdup(_(
								   "Add tessera to shared_preload_libraries in its postgresql.conf and restart it.")));
	return problems;
}

static List *
setting_problems(List *problems, const char *node_name, const TessFacts *facts,
				 const TessFacts *own)
{
	if (facts->max_prepared_transactions == 0)
		problems = add_problem(problems, false, ERRCODE_WARNING,
							   psprintf(_("max_prepared_transactions is 0 on node \"%s\""),
										node_name),
							   pstrdup(_(
								   "Transactions that write there and on another server will fail when they commit; so will the creation of distributed and reference tables.")),
							   psprintf(_("Set max_prepared_transactions to %d or more there (as many as clients write at the same time) and restart it."),
										own->max_connections));
	if (!same(facts->wal_level, "logical"))
		problems = add_problem(problems, false, ERRCODE_WARNING,
							   psprintf(_("wal_level is \"%s\" on node \"%s\""),
										facts->wal_level, node_name),
							   pstrdup(_(
								   "Its shards cannot be moved while they are written to.")),
							   pstrdup(_(
								   "Set wal_level to logical there and restart it.")));
	if (facts->plugin_libraries &&
		!names_library(facts->plugin_libraries, "tessera"))
		problems = add_problem(problems, false, ERRCODE_WARNING,
							   psprintf(_("output_plugin_libraries does not name tessera on node \"%s\""),
										node_name),
							   pstrdup(_(
								   "Its shards cannot be moved while they are written to.")),
							   pstrdup(_(
								   "Add tessera to output_plugin_libraries there and reload its configuration.")));
	if (facts->max_connections < own->max_connections)
		problems = add_problem(problems, false, ERRCODE_WARNING,
							   psprintf(_("node \"%s\" accepts fewer connections than this server"),
										node_name),
							   psprintf(_("max_connections is %d there, and %d here; each client may need a connection of its own to each node."),
										facts->max_connections,
										own->max_connections),
							   psprintf(_("Set max_connections to %d or more there and restart it."),
										own->max_connections));
	return problems;
}

/* List of TessProblem, the fatal ones first; NIL for a sound node. */
List *
tess_facts_problems(const char *node_name, const TessFacts *facts,
					const TessFacts *own)
{
	List *problems = NIL;

	if (facts->version_num / 10000 != own->version_num / 10000)
		return add_problem(NIL, true, ERRCODE_FEATURE_NOT_SUPPORTED,
						   psprintf(_("node \"%s\" runs another major version of PostgreSQL"),
									node_name),
						   psprintf(_("It is %s there, and %s here."),
									facts->version, own->version),
						   pstrdup(_(
							   "All servers of a cluster have to run the same major version.")));
	if (facts->in_recovery)
		problems = add_problem(problems, true, ERRCODE_READ_ONLY_SQL_TRANSACTION,
							   psprintf(_("node \"%s\" is a standby"), node_name),
							   NULL,
							   pstrdup(_(
								   "Give the address of its primary, or promote it.")));
	if (facts->is_template)
		problems = add_problem(problems, true,
							   ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							   psprintf(_("the database of node \"%s\" is a template"),
										node_name),
							   pstrdup(_(
								   "New databases that are copied from it would be this node, too.")),
							   pstrdup(_(
								   "Use another database of that server, or ALTER DATABASE ... IS_TEMPLATE false there.")));
	problems = locale_problems(problems, node_name, facts, own);
	problems = extension_problems(problems, node_name, facts);
	return setting_problems(problems, node_name, facts, own);
}
