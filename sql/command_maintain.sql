-- REINDEX of a schema and of the database, and CLUSTER of all tables: the shards
-- and copies too, each table in a transaction of its own
CREATE SCHEMA command_maintain;
SET search_path = command_maintain;
SET tessera.shard_count = 4;
CREATE TABLE t (k int PRIMARY KEY, v int);
CREATE TABLE r (k int PRIMARY KEY, v int);
CREATE TABLE plain (k int PRIMARY KEY);
SELECT tessera.create_distributed_table('t', 'k', colocate_with => 'none');
SELECT tessera.create_reference_table('r');
INSERT INTO t SELECT g, -g FROM generate_series(1, 40) g;
INSERT INTO r SELECT g, -g FROM generate_series(1, 4) g;
CREATE INDEX t_v ON t (v);
ANALYZE t;

-- how many shards and copies have got new files of indexes and rows since the last call
CREATE TABLE files (place text, what text, file text, PRIMARY KEY (place, what));
CREATE FUNCTION files() RETURNS TABLE (place text, what text, file text) LANGUAGE sql AS $f$
    SELECT place, split_part(f, ' ', 1), split_part(f, ' ', 2) FROM (
        SELECT shard_id::text AS place, result
        FROM tessera.run_on_shards('t', 'SELECT string_agg(concat(relname, '' '', pg_relation_filenode(oid)), '','') FROM pg_class
            WHERE oid = ''%s''::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ''%s''::regclass)')
        UNION ALL
        SELECT node, result
        FROM tessera.run_on_nodes('SELECT string_agg(concat(relname, '' '', pg_relation_filenode(oid)), '','') FROM pg_class
            WHERE relnamespace = ''command_maintain''::regnamespace AND relname LIKE ''r%''')
        WHERE node <> 'coordinator'
    ) x, string_to_table(result, ',') f $f$;
CREATE FUNCTION new_files() RETURNS TABLE (what text, places bigint) LANGUAGE plpgsql AS $f$
#variable_conflict use_column
BEGIN
    CREATE TEMP TABLE now ON COMMIT DROP AS SELECT * FROM files();
    RETURN QUERY SELECT what, count(*) FROM now JOIN files USING (place, what) WHERE now.file <> files.file GROUP BY 1 ORDER BY 1;
    DELETE FROM files;
    INSERT INTO files SELECT * FROM now;
END $f$;
SELECT * FROM new_files();
SELECT what, count(*) FROM files GROUP BY 1 ORDER BY 1;

REINDEX SCHEMA command_maintain;
SELECT * FROM new_files();
REINDEX (VERBOSE false, CONCURRENTLY) SCHEMA command_maintain;
SELECT * FROM new_files();
REINDEX DATABASE :"DBNAME";
SELECT * FROM new_files();
-- about catalogs
REINDEX SYSTEM :"DBNAME";
SELECT * FROM new_files();

-- only what has been clustered before
CLUSTER;
SELECT * FROM new_files();
CLUSTER t USING t_v;
SELECT * FROM new_files();
INSERT INTO t VALUES (1000, -1000);
CLUSTER;
SELECT * FROM new_files();
-- the order of a column, and no mark on the shards: what the shell says counts
SELECT success FROM tessera.run_on_shards('t', 'ALTER TABLE %s SET WITHOUT CLUSTER') ORDER BY shard_id;
CLUSTER;
SELECT * FROM new_files();
SELECT count(*), sum(v) FROM t;

-- what stands in the catalogs of the rows is the whole table's still
SELECT reltuples FROM pg_class WHERE oid = 't'::regclass;

-- not in a transaction block, or a function
BEGIN;
REINDEX SCHEMA command_maintain;
ROLLBACK;
BEGIN;
CLUSTER;
ROLLBACK;
DO $$ BEGIN EXECUTE 'REINDEX SCHEMA command_maintain'; END $$;
SELECT * FROM new_files();
-- a tablespace need not be on the nodes
REINDEX (TABLESPACE pg_default) SCHEMA command_maintain;
SELECT * FROM new_files();

-- an index that is not in all shards stays invalid
\set VERBOSITY sqlstate
CREATE INDEX CONCURRENTLY failed ON t ((1 / (k - 20)));
\set VERBOSITY default
REINDEX SCHEMA command_maintain;
SET client_min_messages = error;
REINDEX SCHEMA CONCURRENTLY command_maintain;
RESET client_min_messages;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'failed'::regclass;
DROP INDEX failed;
SELECT count(*) > 0 AS again FROM new_files();

-- rights: of the schema, and of each table
CREATE ROLE regress_maintain LOGIN;
SELECT bool_and(success) FROM tessera.run_on_nodes($$ DO 'BEGIN CREATE ROLE regress_maintain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END' $$);
SET ROLE regress_maintain;
REINDEX SCHEMA command_maintain;
CLUSTER;
RESET ROLE;
SELECT * FROM new_files();
ALTER SCHEMA command_maintain OWNER TO regress_maintain;
SET ROLE regress_maintain;
REINDEX SCHEMA command_maintain;
RESET ROLE;
SELECT * FROM new_files();
ALTER SCHEMA command_maintain OWNER TO CURRENT_USER;
SET client_min_messages = warning;
DROP SCHEMA command_maintain CASCADE;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP OWNED BY regress_maintain');
DROP OWNED BY regress_maintain;
SELECT count(*) > 0 AS dropped FROM tessera.run_on_nodes('DROP ROLE IF EXISTS regress_maintain');
DROP ROLE IF EXISTS regress_maintain;

-- in process: core does the shards of this server when it does the database
\set maindb :DBNAME
CREATE DATABASE regress_maintain_alone;
\c regress_maintain_alone
SET client_min_messages = warning;
CREATE EXTENSION tessera;
SET tessera.shard_count = 3;
CREATE TABLE t (k int PRIMARY KEY);
SELECT tessera.create_distributed_table('t', 'k');
CREATE VIEW now AS SELECT relnamespace, pg_relation_filenode(oid) AS file FROM pg_class WHERE relname = 't_pkey';
CREATE TABLE files AS SELECT * FROM now;
CREATE FUNCTION new_files() RETURNS bigint LANGUAGE sql AS $f$
    SELECT count(*) FROM files JOIN now USING (relnamespace) WHERE now.file <> files.file;
    $f$;
REINDEX SCHEMA public;
SELECT new_files();
SELECT count(*) FROM files;
CLUSTER t USING t_pkey;
TRUNCATE files;
INSERT INTO files SELECT * FROM now;
CLUSTER;
SELECT new_files();
TRUNCATE files;
INSERT INTO files SELECT * FROM now;
REINDEX DATABASE regress_maintain_alone;
SELECT new_files();
TRUNCATE files;
INSERT INTO files SELECT * FROM now;
SET client_min_messages = error;
REINDEX DATABASE CONCURRENTLY regress_maintain_alone;
SELECT new_files();
REINDEX SCHEMA CONCURRENTLY public;
SELECT tessera.undistribute_table('t');
\c :maindb
DROP DATABASE regress_maintain_alone;
