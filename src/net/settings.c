/*
 * settings.c - the settings of node sessions: one list of those that are the
 * same in all of them, and one of those that follow this session.
 *
 * Fixed settings make SQL text and values mean the same on both sides.  They
 * and the first values of the following ones are options of the connection,
 * so they cost nothing and nothing on the node overrides them.  When a
 * following one changes here, set_config() goes out before the next
 * statements, in the same round trip, and outside any transaction block if
 * there is none yet: its own Sync stands between.  Inside a block the node may undo
 * it, with the block or with a savepoint; then all values count as unknown.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "net/net_internal.h"

typedef struct FixedSetting
{
	const char *name;
	const char *value;
} FixedSetting;

static const FixedSetting fixed_settings[] = {
	{"search_path", "pg_catalog,pg_temp"},
	{"IntervalStyle", "postgres"},
	{"extra_float_digits", "3"},
	{"bytea_output", "hex"},
	{"standard_conforming_strings", "on"},
	{"escape_string_warning", "off"},
	{"backslash_quote", "safe_encoding"},
	{"transform_null_equals", "off"},
	{"array_nulls", "on"},
	{"quote_all_identifiers", "off"},
	{"xmlbinary", "base64"},
	{"xmloption", "content"},
	{"lc_monetary", "C"},
	{"row_security", "on"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	/* This server's own timeouts hold, and cancel what runs on nodes. */
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	/* A session that is gone keeps no locks, even if nobody could cancel. */
	{"client_connection_check_interval", "1s"},
};

/*
 * Settings that follow this session: what travels to nodes depends on them.
 * Not here: what nodes may not have (locales, text search configurations);
 * what depends on those does not travel.
 */
static const char *const following_settings[TESS_SETTING_COUNT] = {
	"DateStyle", /* always ISO, but the order of input follows */
	"TimeZone",
	"lock_timeout",
};

#define DATESTYLE_INDEX 0

/* What the node is to have for following_settings[index]: until the next call. */
static const char *
wanted_value(int index)
{
	if (index == DATESTYLE_INDEX)
		return DateOrder == DATEORDER_DMY	? "ISO, DMY"
			   : DateOrder == DATEORDER_YMD ? "ISO, YMD"
											: "ISO, MDY";
	return GetConfigOption(following_settings[index], false, false);
}

static void
remember(TessSession *session, int index, const char *value)
{
	char *copy = NULL;

	if (value)
		copy = MemoryContextStrdup(session->context, value);
	if (session->settings[index])
		pfree(session->settings[index]);
	session->settings[index] = copy;
}

static void
append_option(StringInfo options, const char *name, const char *value)
{
	appendStringInfo(options, "%s-c %s=", options->len > 0 ? " " : "", name);
	for (const char *c = value; *c; c++)
	{
		if (*c == ' ' || *c == '\\')
			appendStringInfoChar(options, '\\');
		appendStringInfoChar(options, *c);
	}
}

/*
 * The "options" of a new connection: all settings above, and whom it works
 * for.  Palloc'd.
 */
char *
tess_settings_startup_options(TessSession *session)
{
	StringInfoData options;

	initStringInfo(&options);
	for (int i = 0; i < lengthof(fixed_settings); i++)
		append_option(&options, fixed_settings[i].name, fixed_settings[i].value);
	append_option(&options, "tessera.origin", tess_origin_own());
	for (int i = 0; i < TESS_SETTING_COUNT; i++)
	{
		const char *value = wanted_value(i);

		append_option(&options, following_settings[i], value);
		remember(session, i, value);
	}
	return options.data;
}

void
tess_settings_forget(TessSession *session)
{
	for (int i = 0; i < TESS_SETTING_COUNT; i++)
		remember(session, i, NULL);
	session->settings_in_block = false;
}

/*
 * Queues what brings the node session's settings to those of this session;
 * nothing if they are so already.  Whoever keeps a session over several
 * statements calls this before each of them.
 */
void
tess_session_sync_settings(TessSession *session)
{
	StringInfoData sql;
	bool in_block = session->in_block || session->reply_count > 0;

	sql.data = NULL;
	for (int i = 0; i < TESS_SETTING_COUNT; i++)
	{
		const char *value = wanted_value(i);

		if (session->settings[i] && strcmp(session->settings[i], value) == 0)
			continue;
		if (sql.data == NULL)
		{
			initStringInfo(&sql);
			appendStringInfoString(&sql, "SELECT ");
		}
		else
			appendStringInfoString(&sql, ", ");
		appendStringInfo(&sql, "pg_catalog.set_config(%s, %s, false)",
						 quote_literal_cstr(following_settings[i]),
						 quote_literal_cstr(value));
		remember(session, i, value);
	}
	if (sql.data == NULL)
		return;

	tess_session_queue(session, sql.data, NULL, false, false, NULL);
	if (in_block)
		session->settings_in_block = true;
	else
		(void) tess_session_sync(session);
	pfree(sql.data);
}

static void
after_subtransaction(SubXactEvent event, SubTransactionId subid,
					 SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		tess_pool_forget_settings();
}

void
tess_settings_init(void)
{
	RegisterSubXactCallback(after_subtransaction, NULL);
}
