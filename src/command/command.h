/*
 * command.h - utility statements on our tables: ProcessUtility_hook and
 * object_access_hook.
 */
#ifndef TESS_COMMAND_H
#define TESS_COMMAND_H

#include "tessera.h"

extern void tess_command_init(void);

#endif
