-- CREATE INDEX, DROP INDEX and REINDEX CONCURRENTLY, on nodes and in process
CREATE SCHEMA command_concurrently;
SET search_path = command_concurrently;
SET tessera.shard_count = 4;
CREATE TABLE t (k int PRIMARY KEY, v int, w text);
CREATE TABLE r (id int PRIMARY KEY, n int);
SELECT tessera.create_distributed_table('t', 'k', colocate_with => 'none');
SELECT tessera.create_reference_table('r');
INSERT INTO t SELECT g, g % 10, g FROM generate_series(1, 100) g;
INSERT INTO r SELECT g, g FROM generate_series(1, 10) g;

-- the indexes of the table here, and what all shards have
CREATE FUNCTION indexes(name text) RETURNS TABLE (place text, index text, valid bool) LANGUAGE sql AS $f$
    SELECT 'shell', c.relname::text, indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = name::regclass
    UNION
    SELECT 'shards', split_part(line, ' ', 1), split_part(line, ' ', 2)::bool
    FROM tessera.run_on_shards('t', format(
            $$SELECT string_agg(c.relname || ' ' || indisvalid, ',') FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '%%s'::regclass AND %L = 't'$$, name)),
        string_to_table(result, ',') line
    ORDER BY 1 DESC, 2, 3;
$f$;

CREATE INDEX CONCURRENTLY ON t (v) INCLUDE (w) WHERE v > 1;
CREATE INDEX CONCURRENTLY IF NOT EXISTS t_v_w_idx ON t (w);
CREATE UNIQUE INDEX CONCURRENTLY by_w ON t (lower(w), k);
CREATE INDEX CONCURRENTLY ON r (n);
SELECT * FROM indexes('t');
SELECT DISTINCT result FROM tessera.run_on_nodes($$SELECT indisvalid FROM pg_index WHERE indexrelid = 'command_concurrently.r_n_idx'::regclass$$);
SET enable_seqscan = off;
SELECT count(*) FROM t WHERE v = 5;
RESET enable_seqscan;

-- refused before anything is done
\set VERBOSITY sqlstate
CREATE UNIQUE INDEX CONCURRENTLY ON t (v);
CREATE INDEX CONCURRENTLY ON t (nothing);
CREATE INDEX CONCURRENTLY t_pkey ON t (v);
DROP INDEX CONCURRENTLY t_pkey;
DROP INDEX CONCURRENTLY by_w, t_v_w_idx;
DROP INDEX CONCURRENTLY by_w CASCADE;
DROP INDEX CONCURRENTLY nothing;
REINDEX (CONCURRENTLY, TABLESPACE pg_default) TABLE t;
BEGIN;
CREATE INDEX CONCURRENTLY ON t (v);
ROLLBACK;
BEGIN;
DROP INDEX CONCURRENTLY by_w;
ROLLBACK;
BEGIN;
REINDEX TABLE CONCURRENTLY t;
ROLLBACK;
DO $$BEGIN EXECUTE 'CREATE INDEX CONCURRENTLY ON command_concurrently.t (v)'; END$$;
\set VERBOSITY default
SELECT * FROM indexes('t');

-- one that fails in a shard stays, invalid, whatever is done to the table
\set VERBOSITY sqlstate
CREATE INDEX CONCURRENTLY failed ON t ((1 / (k - 50)));
\set VERBOSITY default
SELECT index, bool_or(valid) FROM indexes('t') WHERE place = 'shell' GROUP BY 1 ORDER BY 1;
REINDEX TABLE t;
CLUSTER t USING t_pkey;
ALTER TABLE t ALTER w TYPE varchar;
VACUUM FULL t;
BEGIN;
CREATE TABLE emptied (k int PRIMARY KEY, v int);
SELECT tessera.create_distributed_table('emptied', 'k', colocate_with => 'none', shard_count => 2);
INSERT INTO emptied VALUES (1, 1), (2, 1);
COMMIT;
\set VERBOSITY sqlstate
CREATE UNIQUE INDEX CONCURRENTLY failed_too ON emptied (k, (1 / (v - 1)));
TRUNCATE emptied;
REINDEX INDEX failed_too;
REINDEX INDEX CONCURRENTLY failed_too;
ALTER TABLE emptied ADD UNIQUE USING INDEX failed_too;
\set VERBOSITY default
SELECT index, valid FROM indexes('t') WHERE place = 'shell' ORDER BY 1;
SELECT index, valid FROM indexes('emptied') ORDER BY 1;
SET client_min_messages = error;
REINDEX TABLE CONCURRENTLY emptied;
RESET client_min_messages;
DROP INDEX failed_too;
CREATE UNIQUE INDEX CONCURRENTLY failed_too ON emptied (k, v);
ALTER TABLE emptied ADD CONSTRAINT not_failed UNIQUE USING INDEX failed_too;
SELECT index, valid FROM indexes('emptied') ORDER BY 1;
INSERT INTO emptied VALUES (1, 1);
\set VERBOSITY sqlstate
INSERT INTO emptied VALUES (1, 1);
\set VERBOSITY default
DROP INDEX CONCURRENTLY failed;
SELECT * FROM indexes('t');
SELECT count(*), sum(v) FROM t;

-- REINDEX
REINDEX INDEX CONCURRENTLY by_w;
REINDEX TABLE CONCURRENTLY t;
REINDEX TABLE CONCURRENTLY r;
SELECT * FROM indexes('t');
SELECT count(*) FROM t WHERE lower(w) = '7';

DROP INDEX CONCURRENTLY IF EXISTS by_w;
DROP INDEX CONCURRENTLY IF EXISTS by_w;
DROP INDEX CONCURRENTLY r_n_idx;
SELECT * FROM indexes('t');
SET client_min_messages = warning;
DROP SCHEMA command_concurrently CASCADE;

-- in process
\set maindb :DBNAME
CREATE DATABASE regress_concurrently_alone;
\c regress_concurrently_alone
SET client_min_messages = warning;
CREATE EXTENSION tessera;
SET tessera.shard_count = 3;
CREATE TABLE t (k int PRIMARY KEY, v int);
SELECT tessera.create_distributed_table('t', 'k');
INSERT INTO t SELECT g, g % 10 FROM generate_series(1, 100) g;
CREATE FUNCTION indexes() RETURNS TABLE (index text, valid bool, count bigint) LANGUAGE sql AS $f$
    SELECT relname, indisvalid, count(*) FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    WHERE relname ~ '^(t_|failed)' AND relnamespace::regnamespace::text ~ '^public' GROUP BY 1, 2 ORDER BY 1, 2;
$f$;
CREATE INDEX CONCURRENTLY ON t (v);
REINDEX TABLE CONCURRENTLY t;
SELECT * FROM indexes();
\set VERBOSITY sqlstate
CREATE INDEX CONCURRENTLY failed ON t ((1 / (k - 50)));
\set VERBOSITY default
SELECT index, valid FROM indexes() WHERE index = 'failed' AND NOT valid;
SELECT relnamespace::regnamespace, indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relname = 'failed' AND relnamespace = 'public'::regnamespace;
DROP INDEX CONCURRENTLY failed;
DROP INDEX CONCURRENTLY t_v_idx;
SELECT * FROM indexes();
\c :maindb
DROP DATABASE regress_concurrently_alone;
