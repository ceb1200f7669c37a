# Tessera: an extension that makes a set of PostgreSQL servers one database.
#
#   make demo       a cluster of four servers with a shop to look at
#   make demo-stop  ends and removes it
#   make test       every check; ends with "N passed, N failed"
#   make soak       the long versions of tests that are short in make test
#   make tpch       TPC-H at a larger scale than make test's, with times
#   make bench      CPU of statements on one key, of COPY, and of joins that are
#                   not colocated, beside plain PostgreSQL's, what plans, and
#                   snapshots over several nodes, cost, how long deadlocks stand,
#                   and the bytes that the coordinator receives
#   make regression-compare
#                   PostgreSQL's own regression queries over distributed tables
#
# All but demo-stop first install what the machine lacks (Debian packages),
# build and install.
# PG_CONFIG=/path/to/pg_config chooses another PostgreSQL.
EXTENSION = tessera
EXTVERSION = 0.1
MODULE_big = tessera

# in the order of the layers (src/README.md, section 5)
FOLDERS = base catalog meta route net local task deparse xact stream fragment plan exec \
	statistics objects table function command cluster monitor
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
INSTALL_SQL = $(wildcard $(FOLDERS:%=src/%/install.sql))
DATA_built = tessera--$(EXTVERSION).sql

# Debian's own PostgreSQL, which `make demo` and `make test` install, or the
# first one in PATH.  (No $(wildcard): it would remember the state before.)
PG_CONFIG ?= $(shell ls /usr/lib/postgresql/15/bin/pg_config 2>/dev/null || echo pg_config)
PG_CPPFLAGS = -I$(CURDIR)/src -I$(shell $(PG_CONFIG) --includedir)
PG_CFLAGS = -fvisibility=hidden
ifdef WERROR
PG_CFLAGS += -Werror
endif
SHLIB_LINK = -L$(shell $(PG_CONFIG) --libdir) -lpq
EXTRA_CLEAN = tmp_check
override with_llvm = no

.DEFAULT_GOAL = all

# Before the set-up of a fresh machine there is no PGXS to include.
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)

# a header may change what any file was compiled to
$(OBJS): $(wildcard src/*.h src/*/*.h)

tessera--$(EXTVERSION).sql: $(INSTALL_SQL) Makefile
	printf '%s\n' '\echo Use "CREATE EXTENSION tessera" to load this file. \quit' >$@
	cat $(INSTALL_SQL) </dev/null >>$@
else
all install:
	@echo '"$(PG_CONFIG) --pgxs" names no file: run "make setup", or give PG_CONFIG' >&2
	@exit 1
endif

# What follows asks for PG_CONFIG only when the set-up is done.
.PHONY: setup demo demo-stop test test-regress test-isolation test-tap soak tpch \
	bench regression-compare lint format

# packages (unless PG_CONFIG is given: then the server is the caller's), build, install
setup:
	+@test/setup $(if $(filter file,$(origin PG_CONFIG)),,'$(PG_CONFIG)')

test: setup
	@PG_CONFIG='$(PG_CONFIG)' test/run lint regress isolation tap

test-regress test-isolation test-tap: setup
	@PG_CONFIG='$(PG_CONFIG)' test/run $(@:test-%=%)

# SCALE=0.1 chooses another scale factor
tpch: setup
	@PG_CONFIG='$(PG_CONFIG)' TESS_TPCH_SCALE='$(or $(SCALE),0.05)' TESS_TIMES=1 \
		TESTS=050_tpch test/run tap

# tests that are short in make test; TESTS="047_deadlock" chooses
SOAK_TESTS = 044_commit_faults 047_deadlock 049_bounds 061_bank
soak: setup
	@PG_CONFIG='$(PG_CONFIG)' TESS_SOAK=1 TESS_TIMES=1 \
		TESTS='$(or $(TESTS),$(SOAK_TESTS))' test/run tap

# TESTS=../bench/point chooses; ROWS=200000 is of COPY and joins; ONLY='select prepared',
# QUICK=1, COUNT=4000 and ROUNDS=1 are of statements on one key (test/bench)
bench: setup
	@PG_CONFIG='$(PG_CONFIG)' TESS_BENCH_ROWS='$(or $(ROWS),1000000)' TESS_TIMES=1 \
		TESS_BYTES_ROWS='$(or $(BYTES_ROWS),2000000)' TESS_JOBS=1 \
		TESS_POINT_ONLY='$(value ONLY)' TESS_POINT_COUNT='$(COUNT)' \
		TESS_POINT_ROUNDS='$(ROUNDS)' TESS_POINT_QUICK='$(QUICK)' \
		TESTS='$(or $(TESTS),../bench/point ../bench/copy ../bench/many_rows ../bench/insert_select ../bench/ship_join ../bench/planning ../bench/snapshot ../bench/deadlock 051_bytes)' \
		test/run tap

# FILES="join with" chooses files
regression-compare: setup
	@PG_CONFIG='$(PG_CONFIG)' test/regression/compare $(ARGUMENTS) $(FILES)

lint:
	@PG_CONFIG='$(PG_CONFIG)' test/lint/lint

format:
	clang-format -i $(sort $(wildcard src/*.[ch] src/*/*.[ch]))

demo: setup
	@PG_CONFIG='$(PG_CONFIG)' test/demo start

demo-stop:
	@test/demo stop
