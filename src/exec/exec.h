/*
 * exec.h - fragments -> rows: the custom scans, and statements of this server
 * that stand for a shard's.
 */
#ifndef TESS_EXEC_H
#define TESS_EXEC_H

#include "tessera.h"
#include "task/task.h"

/* Registers the custom scan methods named in task.h; hooks that count
 * executor nesting. */
extern void tess_exec_init(void);

#endif
