-- a cluster of one from CREATE EXTENSION to DROP EXTENSION: no node, all in process
\set maindb :DBNAME
CREATE DATABASE regress_table_alone;
\c regress_table_alone
SET client_min_messages = warning;
CREATE EXTENSION tessera;
SET tessera.shard_count = 3;

-- in one transaction with what is before and after it
BEGIN;
CREATE TABLE a (k int PRIMARY KEY, v text);
INSERT INTO a SELECT i, i FROM generate_series(1, 10) i;
SELECT tessera.create_distributed_table('a', 'k');
INSERT INTO a VALUES (11, 'x');
UPDATE a SET v = 'changed' WHERE k = 1;
SAVEPOINT s;
INSERT INTO a VALUES (1, 'twice');
ROLLBACK TO s;
CREATE TABLE b (k int PRIMARY KEY REFERENCES a ON DELETE CASCADE);
INSERT INTO b VALUES (1), (3);
SELECT tessera.create_distributed_table('b', 'k');
SELECT count(*), max(v) FROM a JOIN b USING (k);
COMMIT;
DELETE FROM a WHERE k = 3;
SELECT count(*) FROM a JOIN b USING (k);

-- rolled back, in whole and in part
BEGIN;
CREATE TABLE c (k int);
INSERT INTO c VALUES (1);
SAVEPOINT s;
SELECT tessera.create_distributed_table('c', 'k');
INSERT INTO c VALUES (2);
ROLLBACK TO s;
SELECT tessera.create_reference_table('c');
ROLLBACK TO s;
INSERT INTO c VALUES (3);
SELECT tessera.create_distributed_table('c', 'k');
SELECT * FROM c ORDER BY k;
COMMIT;
SELECT * FROM c ORDER BY k;
BEGIN;
SELECT tessera.undistribute_table('b');
SELECT tessera.undistribute_table('a');
INSERT INTO a VALUES (100);
ROLLBACK;
SELECT count(*) FROM a;

-- taken back and distributed in another way
BEGIN;
SELECT tessera.undistribute_table('b');
SELECT tessera.undistribute_table('a');
SELECT tessera.create_distributed_table('a', 'k', shard_count => 2);
SELECT tessera.create_distributed_table('b', 'k', colocate_with => 'a');
COMMIT;
SELECT count(*) FROM a JOIN b USING (k);

-- TRUNCATE
BEGIN;
TRUNCATE a CASCADE;
SELECT count(*) FROM a, b;
ROLLBACK;
\set VERBOSITY sqlstate
TRUNCATE a;
\set VERBOSITY default
SELECT count(*) FROM a;
TRUNCATE a, b, c;
SELECT count(*) FROM a, b, c;

-- dropped with all shards, by whatever drops it
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'public\_%';
BEGIN;
DROP TABLE b;
ROLLBACK;
SELECT count(*) FROM b;
DROP TABLE a CASCADE;
INSERT INTO b VALUES (77);
CREATE ROLE regress_owner;
SELECT tessera.undistribute_table('b');
ALTER TABLE b OWNER TO regress_owner;
GRANT CREATE ON SCHEMA public TO regress_owner;
SELECT tessera.create_distributed_table('b', 'k');
DROP OWNED BY regress_owner;
DROP ROLE regress_owner;
CREATE SCHEMA s;
CREATE TABLE s.t (k int);
SELECT tessera.create_distributed_table('s.t', 'k');
DROP SCHEMA s CASCADE;
SELECT relation FROM tessera.tables;
DROP TABLE c;
SELECT nspname FROM pg_namespace WHERE nspname ~ '^(public|s)_\d';

-- the extension stays while it has tables, and can be created again
CREATE TABLE t (k int);
INSERT INTO t VALUES (1), (2);
SELECT tessera.create_distributed_table('t', 'k');
\set VERBOSITY sqlstate
DROP EXTENSION tessera;
DROP EXTENSION tessera CASCADE;
\set VERBOSITY default
SELECT tessera.undistribute_table('t');
DROP EXTENSION tessera;
SELECT * FROM t ORDER BY k;
ALTER TABLE t ADD v int;
CREATE EXTENSION tessera;
SELECT tessera.create_distributed_table('t', 'k');
SELECT * FROM t ORDER BY k;
SELECT count(*) > 0 AS in_shards FROM pg_namespace WHERE nspname LIKE 'public\_%';
\c :maindb
DROP DATABASE regress_table_alone;
