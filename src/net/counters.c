/*
 * counters.c - what this backend has exchanged with nodes, and net/'s start.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "net/net_internal.h"

TessNetCounters tess_net_counters;

PG_FUNCTION_INFO_V1(tess_net_counters_get);
PG_FUNCTION_INFO_V1(tess_net_counters_reset);

/* tessera_internal.net_counters(): one row. */
PGDLLEXPORT Datum
tess_net_counters_get(PG_FUNCTION_ARGS)
{
	Datum values[7];

	values[0] = Int64GetDatum(tess_net_counters.round_trips);
	values[1] = Int64GetDatum(tess_net_counters.statements);
	values[2] = Int64GetDatum(tess_net_counters.rows);
	values[3] = Int64GetDatum(tess_net_counters.bytes_sent);
	values[4] = Int64GetDatum(tess_net_counters.bytes_received);
	values[5] = Int64GetDatum(tess_net_counters.connections);
	values[6] = Int64GetDatum(tess_net_counters.prepared);
	return tess_result_row(fcinfo, lengthof(values), values);
}

/* tessera_internal.reset_net_counters() */
PGDLLEXPORT Datum
tess_net_counters_reset(PG_FUNCTION_ARGS)
{
	memset(&tess_net_counters, 0, sizeof(tess_net_counters));
	PG_RETURN_VOID();
}

void
tess_net_init(void)
{
	tess_connect_init();
	tess_slot_init();
	tess_silence_init();
	tess_pool_init();
	tess_session_init();
	tess_origin_init();
	tess_coordinator_init();
	tess_prepared_init();
	tess_settings_init();
}
