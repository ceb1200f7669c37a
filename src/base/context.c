/*
 * context.c - settings under which values and SQL texts mean the same on every
 * server.
 *
 * What is written under these settings can be read under them, whatever the
 * user's session has set.  Node sessions have the same values.
 */
#include "postgres.h"

#include "base/base.h"
#include "utils/guc.h"

typedef struct PinnedSetting
{
	const char *name;
	const char *value;
} PinnedSetting;

static const PinnedSetting pinned_settings[] = {
	/* how values are written */
	{"datestyle", "ISO"}, /* the order of day and month stays */
	{"intervalstyle", "postgres"},
	{"extra_float_digits", "3"},
	{"bytea_output", "hex"},
	{"lc_monetary", "C"},
	{"xmlbinary", "base64"},
	{"xmloption", "content"},
	/* how SQL texts are written and read */
	{"standard_conforming_strings", "on"},
	{"backslash_quote", "safe_encoding"},
	{"quote_all_identifiers", "off"},
	{"array_nulls", "on"},
	{"transform_null_equals", "off"},
	{"search_path", "pg_catalog,pg_temp"},
};

int
tess_settings_pin(void)
{
	int level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(pinned_settings); i++)
	{
		const PinnedSetting *setting = &pinned_settings[i];
		const char *now = GetConfigOption(setting->name, false, false);

		/* "ISO" stands for "ISO, DMY" as well. */
		if (strcmp(now, setting->value) == 0 ||
			(i == 0 && strncmp(now, "ISO", 3) == 0))
			continue;
		(void) set_config_option(setting->name, setting->value, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	}
	return level;
}
