-- create_distributed_table(): what it makes, keeps and refuses
CREATE SCHEMA table_distribute;
SET search_path = table_distribute;
SET tessera.shard_count = 6;
SET client_min_messages = notice;

-- rows, defaults, identity and generated columns of a table go to its shards
CREATE TABLE events (
    id     bigint GENERATED ALWAYS AS IDENTITY,
    tenant int,
    name   text NOT NULL DEFAULT 'none' CHECK (name <> ''),
    twice  int GENERATED ALWAYS AS (tenant * 2) STORED,
    gone   int,
    UNIQUE (tenant, id)
);
CREATE INDEX events_name_idx ON events (lower(name)) WHERE tenant > 0;
INSERT INTO events (tenant, name) SELECT i, 'event ' || i FROM generate_series(1, 100) i;
INSERT INTO events (tenant) VALUES (NULL);
ALTER TABLE events DROP COLUMN gone;
SELECT tessera.create_distributed_table('events', 'tenant');
SELECT count(*), sum(tenant), sum(twice), count(*) FILTER (WHERE tenant IS NULL) AS null_keys FROM events;
SELECT pg_relation_size('events') AS rows_left_in_the_shell;
SELECT count(*) AS shards, sum(result::int) AS rows
FROM tessera.run_on_shards('events', 'SELECT count(*) FROM %s') WHERE success;
INSERT INTO events (tenant) VALUES (7) RETURNING id, tenant, name, twice;
SELECT kind, strategy, key, shard_count FROM tessera.tables WHERE relation = 'events'::regclass;

-- an empty table says nothing
CREATE TABLE logs (tenant int, line text);
SELECT tessera.create_distributed_table('logs', 'tenant');
-- and shares shards with tables of the same type of key and number of shards
SELECT count(DISTINCT colocation_id) FROM tessera.tables
WHERE relation IN ('events'::regclass, 'logs'::regclass);
-- unless it is told not to
CREATE TABLE apart (tenant int);
SELECT tessera.create_distributed_table('apart', 'tenant', colocate_with => 'none', shard_count => 2);
CREATE TABLE beside (k int);
SELECT tessera.create_distributed_table('beside', 'k', colocate_with => 'apart');
SELECT relation, shard_count,
       colocation_id = (SELECT colocation_id FROM tessera.tables WHERE relation = 'apart'::regclass) AS with_apart
FROM tessera.tables WHERE relation IN ('apart'::regclass, 'beside'::regclass, 'logs'::regclass)
ORDER BY relation::text;

-- keys of many types route rows to where they are found again
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE k_text (k text COLLATE "C" PRIMARY KEY);
CREATE TABLE k_uuid (k uuid PRIMARY KEY);
CREATE TABLE k_time (k timestamptz PRIMARY KEY);
CREATE TABLE k_numeric (k numeric PRIMARY KEY);
CREATE TABLE k_enum (k colour PRIMARY KEY);
CREATE TABLE k_domain (k positive PRIMARY KEY);
CREATE TABLE k_pair (k pair PRIMARY KEY);
INSERT INTO k_text SELECT 'key ' || i FROM generate_series(1, 20) i;
INSERT INTO k_uuid SELECT md5(i::text)::uuid FROM generate_series(1, 20) i;
INSERT INTO k_time SELECT '2025-01-01 00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(1, 20) i;
INSERT INTO k_numeric SELECT i / 8.0 FROM generate_series(1, 20) i;
INSERT INTO k_enum VALUES ('red'), ('green');
INSERT INTO k_domain SELECT i FROM generate_series(1, 20) i;
INSERT INTO k_pair SELECT (i, 'b')::pair FROM generate_series(1, 20) i;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table(t, 'k')
FROM unnest('{k_text,k_uuid,k_time,k_numeric,k_enum,k_domain,k_pair}'::regclass[]) t;
RESET client_min_messages;
SELECT count(*) FROM k_text WHERE k = 'key 7';
SELECT count(*) FROM k_uuid WHERE k = md5('7')::uuid;
SELECT count(*) FROM k_time WHERE k = '2025-01-01 07:00+00';
SELECT count(*) FROM k_numeric WHERE k = 0.8750;
SELECT count(*) FROM k_enum WHERE k = 'green';
SELECT count(*) FROM k_domain WHERE k = 7;
SELECT count(*) FROM k_pair WHERE k = (7, 'b')::pair;

-- names of any kind
CREATE SCHEMA "Größe, ""select""";
CREATE TABLE "Größe, ""select"""."table of 63 bytes 12345678901234567890123456789012345678901234" (
    "User ""x""" int PRIMARY KEY, "order" text);
INSERT INTO "Größe, ""select"""."table of 63 bytes 12345678901234567890123456789012345678901234"
SELECT i, 'o' FROM generate_series(1, 10) i;
SELECT tessera.create_distributed_table('"Größe, ""select"""."table of 63 bytes 12345678901234567890123456789012345678901234"', 'User "x"');
SELECT count("order") FROM "Größe, ""select"""."table of 63 bytes 12345678901234567890123456789012345678901234";
DROP SCHEMA "Größe, ""select""" CASCADE;

-- foreign keys: to reference tables, and to colocated tables with the key
CREATE TABLE countries (code text PRIMARY KEY);
INSERT INTO countries VALUES ('AT'), ('JP');
CREATE TABLE users (id int PRIMARY KEY, boss int, country text REFERENCES countries);
CREATE TABLE orders (id int, user_id int REFERENCES users ON DELETE CASCADE, PRIMARY KEY (user_id, id));
INSERT INTO users SELECT i, NULL, 'AT' FROM generate_series(1, 10) i;
INSERT INTO orders SELECT i, i FROM generate_series(1, 10) i;
\set VERBOSITY terse
SELECT tessera.create_distributed_table('users', 'id');
SELECT tessera.create_reference_table('countries');
SELECT tessera.create_distributed_table('orders', 'user_id', colocate_with => 'none');
SELECT tessera.create_distributed_table('users', 'id');
SELECT tessera.create_distributed_table('orders', 'id');
SELECT tessera.create_distributed_table('orders', 'user_id');
\set VERBOSITY default
DELETE FROM users WHERE id = 3;
SELECT count(*) FROM orders;
\set VERBOSITY sqlstate
INSERT INTO orders VALUES (1, 3);
INSERT INTO users VALUES (50, NULL, 'XX');
\set VERBOSITY default

-- a self-reference needs the key on both sides

CREATE TABLE loops (k int PRIMARY KEY, parent int REFERENCES loops);
SELECT tessera.create_distributed_table('loops', 'k');

-- NULLs are refused
SELECT tessera.create_distributed_table(NULL, 'k');
SELECT tessera.create_distributed_table('loops', NULL);
SELECT tessera.create_distributed_table('loops', 'k', NULL);
SELECT tessera.create_distributed_table('loops', 'k', colocate_with => NULL);

-- so are other wrong calls, each with its own SQLSTATE and a hint
CREATE FUNCTION refused(command text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    message := 'not refused';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;
CREATE TABLE plain (k int, v text, ctype xml, g int GENERATED ALWAYS AS (k) STORED);
CREATE TEMP TABLE temporary (k int);
CREATE UNLOGGED TABLE unlogged (k int);
CREATE VIEW a_view AS SELECT * FROM plain;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM plain;
CREATE SEQUENCE a_sequence;
CREATE TABLE parent (k int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE partitioned (k int) PARTITION BY HASH (k);
CREATE TABLE part PARTITION OF partitioned FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TYPE row_type AS (k int);
CREATE TABLE typed OF row_type;
CREATE TABLE ruled (k int);
CREATE RULE r AS ON INSERT TO ruled DO ALSO NOTHING;
CREATE TABLE triggered (k int);
CREATE TRIGGER t AFTER TRUNCATE ON triggered EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TABLE uniquely (k int, v int UNIQUE);
CREATE TABLE excluding (k int, v int, EXCLUDE USING btree (v WITH =));
CREATE TABLE referring (k int, v int REFERENCES loops);
\x on
SELECT r.* FROM unnest(ARRAY[
    $$SELECT tessera.create_distributed_table('no_such_table', 'k')$$,
    $$SELECT tessera.create_distributed_table('events', 'tenant')$$,
    $$SELECT tessera.create_distributed_table('countries', 'code')$$,
    $$SELECT tessera.create_distributed_table('plain', 'no_such_column')$$,
    $$SELECT tessera.create_distributed_table('plain', 'ctid')$$,
    $$SELECT tessera.create_distributed_table('plain', 'g')$$,
    $$SELECT tessera.create_distributed_table('plain', 'ctype')$$,
    $$SELECT tessera.create_distributed_table('plain', 'k', 'range')$$,
    $$SELECT tessera.create_distributed_table('plain', 'k', 'mumble')$$,
    $$SELECT tessera.create_distributed_table('plain', 'k', shard_count => 0)$$,
    $$SELECT tessera.create_distributed_table('plain', 'k', shard_count => -1)$$,
    $$SELECT tessera.create_distributed_table('plain', 'k', shard_count => 64001)$$,
    $$SELECT tessera.create_distributed_table('plain', 'k', colocate_with => 'no_such_table')$$,
    $$SELECT tessera.create_distributed_table('plain', 'k', colocate_with => 'loops')$$,
    $$SELECT tessera.create_distributed_table('plain', 'v', colocate_with => 'apart')$$,
    $$SELECT tessera.create_distributed_table('plain', 'k', colocate_with => 'apart', shard_count => 3)$$,
    $$SELECT tessera.create_distributed_table('temporary', 'k')$$,
    $$SELECT tessera.create_distributed_table('unlogged', 'k')$$,
    $$SELECT tessera.create_distributed_table('a_view', 'k')$$,
    $$SELECT tessera.create_distributed_table('a_matview', 'k')$$,
    $$SELECT tessera.create_distributed_table('a_sequence', 'k')$$,
    $$SELECT tessera.create_distributed_table('parent', 'k')$$,
    $$SELECT tessera.create_distributed_table('child', 'k')$$,
    $$SELECT tessera.create_reference_table('partitioned')$$,
    $$SELECT tessera.create_distributed_table('part', 'k')$$,
    $$SELECT tessera.create_distributed_table('typed', 'k')$$,
    $$SELECT tessera.create_distributed_table('ruled', 'k')$$,
    $$SELECT tessera.create_distributed_table('triggered', 'k')$$,
    $$SELECT tessera.create_distributed_table('pg_catalog.pg_class', 'oid')$$,
    $$SELECT tessera.create_distributed_table('tessera.node', 'name')$$,
    $$SELECT tessera.create_distributed_table('uniquely', 'k')$$,
    $$SELECT tessera.create_distributed_table('excluding', 'k')$$,
    $$SELECT tessera.create_distributed_table('referring', 'k')$$]) command,
    refused(command) r;
-- a role that does not own the table
CREATE ROLE regress_stranger;
GRANT USAGE ON SCHEMA table_distribute TO regress_stranger;
SET ROLE regress_stranger;
SELECT * FROM refused($$SELECT tessera.create_distributed_table('plain', 'k')$$);
RESET ROLE;
-- a transaction that may not write
BEGIN READ ONLY;
SELECT tessera.create_distributed_table('plain', 'k');
ROLLBACK;
\x off
SELECT node, success FROM tessera.run_on_nodes('DROP OWNED BY regress_stranger') ORDER BY node;
SELECT node, success FROM tessera.run_on_nodes('DO $$BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_stranger; END$$') ORDER BY node;

-- a failure midway leaves nothing: rows that break a foreign key
CREATE TABLE halfway (k int, v int);
INSERT INTO halfway SELECT i, i FROM generate_series(1, 10) i;
SELECT count(*) AS before FROM tessera.tables \gset
BEGIN;
SELECT tessera.create_distributed_table('halfway', 'k');
ROLLBACK;
SELECT count(*) = :before AS as_before FROM tessera.tables;
SELECT count(*) FROM halfway;
SELECT node, success, result FROM tessera.run_on_nodes(
    $$SELECT count(*) FROM pg_class WHERE relname = 'halfway' AND relnamespace::regnamespace::text LIKE 'table_distribute\_%'$$) ORDER BY node;

SET client_min_messages = warning;
DROP SCHEMA table_distribute CASCADE;
-- nothing is left on the nodes
SELECT sum(result::int) FROM tessera.run_on_nodes(
    $$SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'table_distribute\_%'$$);
