/*
 * cluster.h - nodes join, leave, and are brought to the coordinator's state.
 */
#ifndef TESS_CLUSTER_H
#define TESS_CLUSTER_H

#include "utils/elog.h"

#include "tessera.h"

/* Runs an action that may fail because a node is not well, in a
 * subtransaction.  NULL if it succeeded, else its error, in the caller's
 * context.  Cancel, timeouts and termination are not caught. */
extern ErrorData *tess_attempt(void (*action)(void *arg), void *arg);

extern void tess_cluster_init(void);

#endif
