/*
 * settings.c - the settings of node sessions: those that are the same in all of
 * them, those that follow this session, and those that follow it if they were
 * chosen for it.
 *
 * Fixed settings make SQL text and values mean the same on both sides.  They
 * and the first values of the following ones are options of the connection,
 * so they cost nothing and nothing on the node overrides them.  When a
 * following one changes here, set_config() goes out before the next
 * statements, in the same round trip (unless the node may refuse it), and outside
 * any transaction block if there is none yet: its own Sync stands between.  Inside a block the node may undo
 * it, with the block or with a savepoint; then all values count as unknown.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"

#include "catalog/catalog.h"
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

/* What follows this session always: what travels to nodes depends on it.
 * Not here: what nodes may not have (locales, text search configurations);
 * what depends on those does not travel. */
static const char *const following_settings[] = {
	"DateStyle", /* always ISO, but the order of input follows */
	"TimeZone",
	"lock_timeout",
};

/* What follows if somebody has chosen it for this session, its user or its
 * database; otherwise a node's own value is better.  So do all settings of
 * memory and of planning that anybody may change. */
static const char *const chosen_settings[] = {
	"gin_fuzzy_search_limit",
	"session_replication_role",
	"synchronous_commit",
	"vacuum_failsafe_age",
	"vacuum_freeze_min_age",
	"vacuum_freeze_table_age",
	"vacuum_multixact_failsafe_age",
	"vacuum_multixact_freeze_min_age",
	"vacuum_multixact_freeze_table_age",
};

/* In place of a value: what the node has by itself. */
#define NODES_OWN ""

typedef struct Followed
{
	struct config_generic *setting;
	bool always;

	/* What it was in this session when somebody looked last. */
	bool chosen;   /* else the rest means nothing */
	uint64 number; /* the value, or its bits */
	char *text;	   /* the value of a string */
} Followed;

static struct
{
	Followed *list; /* allocated once, by the postmaster */
	int count;
	int always_count; /* of those that follow always, which come first */
	int chosen_count; /* of the others, those that were chosen */
	uint64 version;	  /* another one whenever one of them has changed */
} followed = {.version = 1};

struct TessSettings
{
	char *value;  /* that the node has; NULL: not known */
	bool touched; /* was ever set by us there */
};

/* DateStyle without its style of output, which is fixed. */
const char *
tess_settings_date_order(void)
{
	return DateOrder == DATEORDER_DMY	? "ISO, DMY"
		   : DateOrder == DATEORDER_YMD ? "ISO, YMD"
										: "ISO, MDY";
}

static bool
is_chosen(const Followed *wanted)
{
	return wanted->always || wanted->setting->source > PGC_S_GLOBAL;
}

/* What the node is to have of followed.list[index]: until the next call. */
static const char *
wanted_value(int index)
{
	const Followed *wanted = &followed.list[index];
	const char *name = wanted->setting->name;

	if (!is_chosen(wanted))
		return NODES_OWN;
	if (strcmp(name, "DateStyle") == 0)
		return tess_settings_date_order();
	return GetConfigOption(name, false, false);
}

/* The value as it stands in memory: what is shown of it depends on that alone. */
static uint64
number_of(const struct config_generic *setting)
{
	uint64 bits = 0;

	switch (setting->vartype)
	{
		case PGC_BOOL:
			return *((const struct config_bool *) setting)->variable;
		case PGC_INT:
			return *((const struct config_int *) setting)->variable;
		case PGC_ENUM:
			return *((const struct config_enum *) setting)->variable;
		case PGC_REAL:
			memcpy(&bits, ((const struct config_real *) setting)->variable,
				   sizeof(double));
			return bits;
		case PGC_STRING:
			break;
	}
	return 0;
}

static bool
note_if_changed(Followed *wanted)
{
	bool chosen = is_chosen(wanted);
	uint64 number = 0;
	const char *text = "";

	if (!chosen && !wanted->chosen)
		return false;
	if (chosen)
		number = number_of(wanted->setting);
	if (chosen && wanted->setting->vartype == PGC_STRING)
	{
		text = *((const struct config_string *) wanted->setting)->variable;
		if (text == NULL)
			text = "";
	}
	if (chosen == wanted->chosen && number == wanted->number &&
		wanted->text != NULL && strcmp(text, wanted->text) == 0)
		return false;

	if (wanted->text == NULL || strcmp(text, wanted->text) != 0)
	{
		char *copy = MemoryContextStrdup(TopMemoryContext, text);

		if (wanted->text != NULL)
			pfree(wanted->text);
		wanted->text = copy;
	}
	if (!wanted->always)
		followed.chosen_count += (int) chosen - (int) wanted->chosen;
	wanted->chosen = chosen;
	wanted->number = number;
	return true;
}

/* True if one is chosen that does not follow always.  Nearly always none is, so
 * that is known without a look at each of them as a whole. */
static bool
is_any_chosen(void)
{
	bool any = false;

	for (int i = followed.always_count; i < followed.count; i++)
		any |= followed.list[i].setting->source > PGC_S_GLOBAL;
	return any;
}

/*
 * The number of the settings as they are now.  This is looked at before every
 * statement, so nothing is looked up by name or printed.
 */
static uint64
current_version(void)
{
	bool changed = false;
	int count = followed.count;

	if (followed.chosen_count == 0 && !is_any_chosen())
		count = followed.always_count;
	for (int i = 0; i < count; i++)
		changed |= note_if_changed(&followed.list[i]);
	if (changed)
		followed.version++;
	return followed.version;
}

static void
remember(TessSession *session, int index, const char *value)
{
	TessSettings *setting;
	char *copy = NULL;

	if (session->settings == NULL)
		session->settings = MemoryContextAllocZero(session->context,
												   sizeof(TessSettings) *
													   followed.count);
	setting = &session->settings[index];
	if (value)
		copy = MemoryContextStrdup(session->context, value);
	if (setting->value)
		pfree(setting->value);
	setting->value = copy;
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
	/* who restores a dump looks at the nodes, and has yet to take over */
	if (session->claims && !tess_cat_is_restoring())
		append_option(&options, "tessera.coordinator", tess_coordinator_name());
	for (int i = 0; i < followed.count; i++)
	{
		const char *value = followed.list[i].always ? wanted_value(i) : NODES_OWN;

		remember(session, i, value);
		session->settings[i].touched = followed.list[i].always;
		if (followed.list[i].always)
			append_option(&options, followed.list[i].setting->name, value);
	}
	return options.data;
}

void
tess_settings_forget(TessSession *session)
{
	for (int i = 0; i < followed.count; i++)
	{
		if (session->settings != NULL && session->settings[i].touched)
			remember(session, i, NULL);
	}
	session->settings_in_block = false;
	session->settings_version = 0;
}

/* A call of set_config(), which resets the setting if it is given NULL. */
static void
append_change(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, "%spg_catalog.set_config(%s, %s, false)",
					 sql->len == 0 ? "SELECT " : ", ", quote_literal_cstr(name),
					 strcmp(value, NODES_OWN) == 0 ? "NULL"
												   : quote_literal_cstr(value));
}

/* True if a node may refuse what this server has accepted: for want of a right,
 * or of that time zone. */
static bool
may_be_refused(const struct config_generic *setting)
{
	return setting->context != PGC_USERSET ||
		   strcmp(setting->name, "TimeZone") == 0;
}

/*
 * Queues what brings the node session's settings to those of this session;
 * nothing if they are so already.  Whoever keeps a session over several
 * statements calls this before each of them.  Outside a transaction block, what
 * may be refused is waited for: the statement after it would be done all the
 * same.
 */
void
tess_session_sync_settings(TessSession *session)
{
	StringInfoData sql;
	bool in_block = session->in_block || session->reply_count > 0;
	bool waits = false;
	uint64 version = current_version();

	if (session->settings_version == version)
		return;
	sql.data = NULL;
	for (int i = 0; i < followed.count; i++)
	{
		const TessSettings *known = &session->settings[i];
		const char *value = wanted_value(i);

		if (known->value && strcmp(known->value, value) == 0)
			continue;
		if (sql.data == NULL)
			initStringInfo(&sql);
		append_change(&sql, followed.list[i].setting->name, value);
		waits |= !in_block && may_be_refused(followed.list[i].setting);
		remember(session, i, value);
		session->settings[i].touched = true;
	}
	if (sql.data == NULL)
	{
		session->settings_version = version;
		return;
	}

	if (waits)
		tess_net_run_list(session, list_make1(sql.data));
	else
	{
		tess_session_queue(session, sql.data, NULL, false, false, NULL);
		if (in_block)
			session->settings_in_block = true;
		else
			(void) tess_session_sync(session);
	}
	session->settings_version = version;
	pfree(sql.data);
}

static void
after_subtransaction(SubXactEvent event, SubTransactionId subid,
					 SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		tess_pool_forget_settings();
}

static bool
is_among(const char *name, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_of_memory_or_planning(const struct config_generic *setting)
{
	switch (setting->group)
	{
		case RESOURCES_MEM:
		case RESOURCES_VACUUM_DELAY:
		case RESOURCES_ASYNCHRONOUS:
		case QUERY_TUNING_METHOD:
		case QUERY_TUNING_COST:
		case QUERY_TUNING_GEQO:
		case QUERY_TUNING_OTHER:
			return setting->context == PGC_USERSET;
		default:
			return false;
	}
}

/* Those that follow always, or the others. */
static void
add_followed(bool always)
{
	struct config_generic **settings = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
	{
		const char *name = settings[i]->name;
		Followed *added = &followed.list[followed.count];

		if (always !=
			is_among(name, following_settings, lengthof(following_settings)))
			continue;
		if (!always &&
			!is_among(name, chosen_settings, lengthof(chosen_settings)) &&
			!is_of_memory_or_planning(settings[i]))
			continue;
		added->setting = settings[i];
		added->always = always;
		followed.count++;
	}
}

void
tess_settings_init(void)
{
	followed.list = MemoryContextAllocZero(TopMemoryContext,
										   sizeof(Followed) *
											   GetNumConfigOptions());
	add_followed(true);
	followed.always_count = followed.count;
	add_followed(false);
	RegisterSubXactCallback(after_subtransaction, NULL);
}
