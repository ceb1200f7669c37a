/*
 * maintenance.h - work that no session does, in background workers.
 */
#ifndef TESS_MAINTENANCE_H
#define TESS_MAINTENANCE_H

extern void tess_maintenance_init(void);

#endif
