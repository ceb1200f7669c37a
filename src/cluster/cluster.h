/*
 * cluster.h - nodes join, leave, and are brought to the coordinator's state.
 */
#ifndef TESS_CLUSTER_H
#define TESS_CLUSTER_H

#include "tessera.h"

extern void tess_cluster_init(void);

#endif
