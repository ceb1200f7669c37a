/*
 * cluster_init.c - what cluster/ installs when the server starts.
 */
#include "postgres.h"

#include "cluster/cluster_internal.h"
#include "tessera.h"

void
tess_cluster_init(void)
{
	tess_server_hooks_init();
}
