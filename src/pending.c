/* pending.c - weak stand-ins while the house is being built. Goes away. */
#include "postgres.h"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#define INIT(f) __attribute__((weak)) void f(void) {}
#define PENDING(f) __attribute__((weak)) void f(void) { elog(ERROR, #f " is pending"); }
#pragma GCC diagnostic ignored "-Wbuiltin-declaration-mismatch"
