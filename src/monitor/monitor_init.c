/*
 * monitor_init.c - nothing to install yet: views and functions need no hook.
 */
#include "postgres.h"

#include "monitor/monitor.h"
#include "tessera.h"

void
tess_monitor_init(void)
{
}
