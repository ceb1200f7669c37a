/*
 * base_internal.h - what the files of base/ share among themselves.
 */
#ifndef TESS_BASE_INTERNAL_H
#define TESS_BASE_INTERNAL_H

#include "base/base.h"

/* fault.c: defines the setting tessera.fault_points. */
extern void tess_fault_init(void);

/* shared_memory.c: installs its hooks. */
extern void tess_shared_memory_init(void);

/* explaining.c: installs its hook. */
extern void tess_explaining_init(void);

#endif
