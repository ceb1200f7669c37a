-- utility statements on distributed and reference tables
CREATE SCHEMA command_utility;
SET search_path = command_utility;
SET tessera.shard_count = 4;
CREATE TABLE kinds (id int PRIMARY KEY);
CREATE TABLE users (id int PRIMARY KEY, kind int REFERENCES kinds, name text);
CREATE TABLE orders (user_id int REFERENCES users, id int, PRIMARY KEY (user_id, id));
CREATE TABLE local_table (id serial PRIMARY KEY);
SELECT tessera.create_reference_table('kinds');
SELECT tessera.create_distributed_table('users', 'id');
SELECT tessera.create_distributed_table('orders', 'user_id');
CREATE PROCEDURE fill() LANGUAGE sql AS $$
    INSERT INTO kinds SELECT generate_series(1, 3);
    INSERT INTO users SELECT i, 1 + i % 3, 'user ' || i FROM generate_series(1, 20) i;
    INSERT INTO orders SELECT i, i FROM generate_series(1, 20) i;
$$;
CALL fill();

-- TRUNCATE empties all shards, and heeds foreign keys
TRUNCATE orders;
SELECT count(*) FROM orders;
TRUNCATE users;
TRUNCATE users, orders, local_table RESTART IDENTITY;
SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM kinds) AS kinds;
TRUNCATE kinds;
TRUNCATE kinds CASCADE;
CALL fill();
BEGIN;
TRUNCATE kinds CASCADE;
SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM kinds) AS kinds;
ROLLBACK;
SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM kinds) AS kinds;
SELECT DISTINCT result FROM tessera.run_on_nodes('SELECT count(*) FROM command_utility.kinds');

-- indexes: created and dropped on all shards, under the shell's name
CREATE INDEX ON users (lower(name)) WHERE kind > 1;
CREATE INDEX IF NOT EXISTS users_lower_idx ON users (name);
CREATE UNIQUE INDEX users_key ON users (name, id);
SELECT result, count(*) FROM tessera.run_on_shards('users', $$SELECT string_agg(indexrelid::regclass::text ~ 'users_(lower_idx|key|pkey)$' || '', ',') FROM pg_index WHERE indrelid = '%s'::regclass$$) GROUP BY 1;
CREATE UNIQUE INDEX ON users (name);
SET standard_conforming_strings = off;
CREATE INDEX users_backslash ON users (id) WHERE name <> E'\\\\\'';
RESET standard_conforming_strings;
SELECT DISTINCT result FROM tessera.run_on_shards('users', $$SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indrelid = '%s'::regclass AND indexrelid::regclass::text ~ 'backslash'$$);
DROP INDEX users_backslash;
DROP INDEX users_lower_idx, users_key;
DROP INDEX users_pkey;
SELECT result, count(*) FROM tessera.run_on_shards('users', $$SELECT count(*) FROM pg_index WHERE indrelid = '%s'::regclass$$) GROUP BY 1;
CREATE INDEX kinds_idx ON kinds (id);
SELECT node, result FROM tessera.run_on_nodes($$SELECT 'command_utility.kinds_idx'::regclass IS NOT NULL$$) ORDER BY node;

-- comments and rights reach the shards
COMMENT ON TABLE users IS 'who''s who';
COMMENT ON COLUMN users.name IS 'their names';
SELECT DISTINCT result FROM tessera.run_on_shards('users', $$SELECT obj_description(r, 'pg_class') || ', ' || col_description(r, 3) FROM (SELECT '%s'::regclass::oid AS r) s$$);
CREATE ROLE regress_reader;
GRANT SELECT (id), UPDATE ON users, kinds, local_table TO regress_reader WITH GRANT OPTION;
SELECT DISTINCT result FROM tessera.run_on_shards('users', $$SELECT has_column_privilege('regress_reader', r, 'id', 'SELECT') || ' ' || has_table_privilege('regress_reader', r, 'UPDATE WITH GRANT OPTION') FROM (SELECT '%s'::regclass::oid AS r) s$$);
REVOKE ALL ON ALL TABLES IN SCHEMA command_utility FROM regress_reader;
-- those on a schema reach the schemas of its shards
GRANT USAGE ON SCHEMA command_utility TO regress_reader;
SELECT DISTINCT result FROM tessera.run_on_shards('users', $$SELECT has_schema_privilege('regress_reader', relnamespace, 'USAGE') || ' ' || has_schema_privilege('regress_reader', relnamespace, 'CREATE') FROM pg_class WHERE oid = '%s'::regclass$$);
REVOKE USAGE ON SCHEMA command_utility FROM regress_reader;
SELECT DISTINCT result FROM tessera.run_on_shards('users', $$SELECT has_schema_privilege('regress_reader', relnamespace, 'USAGE') FROM pg_class WHERE oid = '%s'::regclass$$);
SELECT DISTINCT result FROM tessera.run_on_shards('users', $$SELECT has_table_privilege('regress_reader', '%s', 'UPDATE')$$);
SELECT node, success FROM tessera.run_on_nodes('DO $$BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_reader; END$$') ORDER BY node;

-- VACUUM and ANALYZE
VACUUM users, kinds, local_table;
VACUUM (FULL, ANALYZE) users (name);
ANALYZE users;
BEGIN;
ANALYZE users (id);
COMMIT;
SELECT sum(result::int) FROM tessera.run_on_shards('users', $$SELECT reltuples FROM pg_class WHERE oid = '%s'::regclass$$);

-- everything else that would change a shell alone is refused
\set VERBOSITY terse
ALTER TABLE IF EXISTS kinds SET UNLOGGED;
ALTER INDEX users_pkey SET TABLESPACE pg_default;
CREATE RULE r AS ON INSERT TO users DO NOTHING;
CREATE TABLE heir () INHERITS (users);
DROP EXTENSION tessera;
DROP EXTENSION tessera CASCADE;
DROP SCHEMA tessera CASCADE;
DO $$ BEGIN EXECUTE 'ALTER TABLE command_utility.users SET UNLOGGED'; END $$;
-- a reference table may be referenced by local tables
CREATE TABLE by_kind (kind int REFERENCES kinds);
CREATE TABLE like_users (LIKE users);
\set VERBOSITY default

-- a new table may reference a distributed one, and be distributed then: until
-- it is, what it references stays
CREATE TABLE referrer (user_id int REFERENCES users ON DELETE CASCADE, id int);
\set VERBOSITY sqlstate
INSERT INTO referrer VALUES (5, 1), (6, 2), (NULL, 3);
INSERT INTO referrer VALUES (1000, 4);
DELETE FROM users WHERE id = 5;
DELETE FROM users WHERE id = 19;
UPDATE users SET name = 'renamed' WHERE id = 5 RETURNING name;
SELECT tessera.create_distributed_table('referrer', 'user_id');
DELETE FROM users WHERE id = 6;
SELECT * FROM referrer ORDER BY id;
DROP TABLE referrer;
INSERT INTO local_table VALUES (7), (8);
ALTER TABLE local_table ADD FOREIGN KEY (id) REFERENCES users;
INSERT INTO local_table VALUES (1000);
ALTER TABLE local_table DROP CONSTRAINT local_table_id_fkey;
INSERT INTO local_table VALUES (1000);
ALTER TABLE local_table ADD FOREIGN KEY (id) REFERENCES users;
\set VERBOSITY default

-- what would change the type of a column here alone is refused
CREATE TYPE colour AS ENUM ('red');
CREATE TYPE pair AS (a int, c colour);
CREATE DOMAIN pairs AS pair[];
CREATE TABLE typed (k int, p pairs);
SELECT tessera.create_distributed_table('typed', 'k');
\set VERBOSITY terse
-- a new value comes to the nodes, too
ALTER TYPE colour ADD VALUE 'blue';
SET tessera.propagate_objects = off;
ALTER TYPE colour RENAME VALUE 'red' TO 'green';
ALTER TYPE colour RENAME TO tint;
ALTER TYPE pair ADD ATTRIBUTE b int;
ALTER TYPE pair RENAME ATTRIBUTE a TO b;
ALTER DOMAIN pairs SET NOT NULL;
ALTER DOMAIN pairs SET SCHEMA public;
\set VERBOSITY default
RESET tessera.propagate_objects;
DROP TABLE typed;
ALTER TYPE colour ADD VALUE 'green';

-- what is lost by CASCADE goes from the shards, too, but the key is not lost
CREATE TYPE mood AS ENUM ('sad');
CREATE TABLE moody (k int, m mood);
SELECT tessera.create_distributed_table('moody', 'k');
\set VERBOSITY terse
DROP TYPE mood CASCADE;
\set VERBOSITY default
SELECT * FROM moody;
-- the key, and then more of the table
CREATE SCHEMA command_utility_keys;
CREATE DOMAIN command_utility_keys.key AS int;
CREATE TABLE keyed (k command_utility_keys.key PRIMARY KEY, v command_utility_keys.key);
SELECT tessera.create_distributed_table('keyed', 'k');
\set VERBOSITY sqlstate
DROP DOMAIN command_utility_keys.key CASCADE;
\set VERBOSITY default
SELECT * FROM keyed;
-- ... and then all of it
CREATE SCHEMA command_utility_tables;
DROP TABLE keyed;
CREATE TABLE command_utility_tables.keyed (k command_utility_keys.key PRIMARY KEY, v command_utility_keys.key);
SELECT tessera.create_distributed_table('command_utility_tables.keyed', 'k');
\set VERBOSITY terse
DROP SCHEMA command_utility_keys, command_utility_tables CASCADE;
\set VERBOSITY default
SELECT count(*) FROM tessera.tables WHERE relation::text ~ 'keyed';

-- a function that shards compute with is not replaced here alone
CREATE FUNCTION plus_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE TABLE computed (k int DEFAULT one(), g int GENERATED ALWAYS AS (plus_one(k)) STORED);
CREATE TABLE checked (k int CHECK (plus_one(k) > 0));
CREATE TABLE indexed (k int);
CREATE INDEX ON indexed ((plus_one(k)));
SELECT tessera.create_distributed_table(t, 'k') FROM unnest('{computed, checked, indexed}'::regclass[]) t;
SET tessera.propagate_objects = off;
CREATE OR REPLACE FUNCTION plus_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 2';
DROP TABLE computed;
\set VERBOSITY terse
CREATE OR REPLACE FUNCTION plus_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 2';
DROP TABLE checked;
CREATE OR REPLACE FUNCTION plus_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 2';
\set VERBOSITY default
DROP TABLE indexed;
CREATE OR REPLACE FUNCTION plus_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 2';
RESET tessera.propagate_objects;
CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2';

-- logical replication knows shells only
SET client_min_messages = error; -- wal_level
CREATE PUBLICATION regress_p FOR TABLE local_table, users;
\set VERBOSITY terse
CREATE PUBLICATION regress_p FOR TABLES IN SCHEMA command_utility;
CREATE PUBLICATION regress_p FOR TABLES IN SCHEMA CURRENT_SCHEMA;
CREATE PUBLICATION regress_p FOR TABLE local_table, kinds;
ALTER PUBLICATION regress_p ADD TABLE users;
ALTER PUBLICATION regress_p SET TABLE users;
\set VERBOSITY default
SELECT tessera.create_distributed_table('local_table', 'id');
DROP PUBLICATION regress_p;
SET client_min_messages = warning;
CREATE PUBLICATION regress_p FOR ALL TABLES;
DROP PUBLICATION regress_p;
RESET client_min_messages;

-- the extension does not go with something else while it has tables
CREATE SCHEMA command_utility_2 CREATE TABLE member ();
BEGIN;
ALTER EXTENSION tessera ADD TABLE command_utility_2.member;
\set VERBOSITY sqlstate
DROP SCHEMA command_utility_2 CASCADE;
\set VERBOSITY default
ROLLBACK;
DROP SCHEMA command_utility_2 CASCADE;
SELECT count(*) > 0 AS has_tables FROM tessera.tables;

-- DROP TABLE drops the shards, and comes back with a rollback
BEGIN;
DROP TABLE orders;
ROLLBACK;
SELECT count(*) FROM orders;
BEGIN;
SAVEPOINT s;
DROP TABLE orders;
ROLLBACK TO s;
COMMIT;
SELECT count(*) FROM orders;
CREATE FUNCTION drop_orders() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE orders;
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
SELECT drop_orders();
SELECT count(*) FROM orders;
DROP TABLE users;
DROP TABLE orders, local_table;
SELECT node, result FROM tessera.run_on_nodes($$SELECT count(*) FROM pg_class WHERE relname = 'orders' AND relkind = 'r'$$) ORDER BY node;
-- DROP OWNED
CREATE ROLE regress_owner;
GRANT ALL ON SCHEMA command_utility TO regress_owner;
CREATE TABLE owned (k int);
ALTER TABLE owned OWNER TO regress_owner;
SELECT tessera.create_distributed_table('owned', 'k');
DROP OWNED BY regress_owner;
SELECT relation FROM tessera.tables WHERE relation::text LIKE '%owned';
SELECT node, result FROM tessera.run_on_nodes($$SELECT count(*) FROM pg_class WHERE relname = 'owned' AND relkind = 'r'$$) ORDER BY node;
SELECT node, success FROM tessera.run_on_nodes('DROP OWNED BY regress_owner') ORDER BY node;
SELECT node, success FROM tessera.run_on_nodes('DO $$BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_owner; END$$') ORDER BY node;

SET client_min_messages = warning;
DROP SCHEMA command_utility CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS command_utility, command_utility_keys, command_utility_tables CASCADE') WHERE NOT success;
SELECT sum(result::int) FROM tessera.run_on_nodes(
    $$SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'command\_utility%'$$);
