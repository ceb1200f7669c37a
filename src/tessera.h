/*
 * tessera.h - what every file of the extension may rely on: the version, and
 * which symbols leave the shared library.
 *
 * Include it after postgres.h.  It includes nothing itself.
 */
#ifndef TESSERA_H
#define TESSERA_H

#define TESSERA_VERSION "0.1"

/* The library is built with -fvisibility=hidden; PGDLLEXPORT marks the rest. */

#define TESS_SCHEMA "tessera"
#define TESS_INTERNAL_SCHEMA "tessera_internal"
#define TESS_WRAPPER "tessera"

#endif
