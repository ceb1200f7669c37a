/*
 * monitor.h - views and counters.
 */
#ifndef TESS_MONITOR_H
#define TESS_MONITOR_H

#include "tessera.h"

extern void tess_monitor_init(void);

#endif
