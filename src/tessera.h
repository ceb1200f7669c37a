/*
 * tessera.h - what every file of the extension may rely on: the version, and
 * which symbols leave the shared library.
 *
 * Include it after postgres.h.
 */
#ifndef TESSERA_H
#define TESSERA_H

#include "fmgr.h"

#define TESSERA_VERSION "0.1"

/*
 * The library is built with -fvisibility=hidden.  From PostgreSQL 16 on, core's
 * macros export what the server looks up; before, PGDLLEXPORT is empty and a
 * SQL-callable function would stay hidden.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
	extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
	extern PGDLLEXPORT const Pg_finfo_record *pg_finfo_##funcname(void); \
	const Pg_finfo_record *pg_finfo_##funcname(void) \
	{ \
		static const Pg_finfo_record info = {1}; \
		return &info; \
	} \
	extern int no_such_variable
#endif

#define TESS_EXTENSION "tessera"
#define TESS_SCHEMA "tessera"
#define TESS_INTERNAL_SCHEMA "tessera_internal"
#define TESS_WRAPPER "tessera"

#endif
