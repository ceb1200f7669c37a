# Tessera: an extension that makes a set of PostgreSQL servers one database.
EXTENSION = tessera
EXTVERSION = 0.1
MODULE_big = tessera

# in the order of the layers (src/README.md, section 5)
FOLDERS = base catalog meta route net local task deparse xact stream plan exec \
	table command cluster monitor
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
INSTALL_SQL = $(wildcard $(FOLDERS:%=src/%/install.sql))
DATA_built = tessera--$(EXTVERSION).sql

PG_CONFIG ?= pg_config
PG_CPPFLAGS = -I$(CURDIR)/src -I$(shell $(PG_CONFIG) --includedir)
PG_CFLAGS = -fvisibility=hidden
ifdef WERROR
PG_CFLAGS += -Werror
endif
SHLIB_LINK = -L$(shell $(PG_CONFIG) --libdir) -lpq
EXTRA_CLEAN = $(wildcard src/*/*.bc)

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# a header may change what any file was compiled to
$(OBJS): $(wildcard src/*.h src/*/*.h)

tessera--$(EXTVERSION).sql: $(INSTALL_SQL) Makefile
	(echo '\echo Use "CREATE EXTENSION tessera" to load this file. \quit'; cat $(INSTALL_SQL)) > $@
