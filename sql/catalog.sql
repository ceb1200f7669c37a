-- The catalogs: what an administrator may do to them by SQL, and what that does.
\set VERBOSITY terse
CREATE SCHEMA catalog;
SET search_path = catalog;

-- there is one identity, and one coordinator
SELECT count(*) AS identities, min(incarnation) AS incarnation FROM tessera.cluster;
SELECT count(*) AS coordinators FROM tessera.node WHERE role = 'coordinator' AND server IS NULL;

-- all may read them
SELECT count(*) AS closed FROM pg_class
WHERE relnamespace = 'tessera'::regnamespace AND relkind = 'r'
  AND NOT has_table_privilege('public', oid, 'SELECT');
-- nobody may write them
SELECT count(*) AS open FROM pg_class
WHERE relnamespace = 'tessera'::regnamespace AND relkind = 'r'
  AND has_table_privilege('public', oid, 'INSERT, UPDATE, DELETE, TRUNCATE');

-- pg_dump keeps every table and sequence, but the sizes that ANALYZE finds out
SELECT c.relname AS lost
FROM pg_class c
WHERE c.relnamespace = 'tessera'::regnamespace AND c.relkind IN ('r', 'S')
  AND NOT EXISTS (SELECT FROM pg_extension e
                  WHERE e.extname = 'tessera' AND c.oid = ANY (e.extconfig))
ORDER BY 1;
-- no column holds a bare OID
SELECT attrelid::regclass, attname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'tessera'::regnamespace AND c.relkind = 'r' AND attnum > 0 AND atttypid = 'oid'::regtype;

-- rows that make no sense are refused
\set VERBOSITY sqlstate
BEGIN; INSERT INTO tessera.node (name, role) VALUES ('odd', 'king'); ROLLBACK;
BEGIN; INSERT INTO tessera.node (name) VALUES (''); ROLLBACK;
BEGIN; INSERT INTO tessera.colocation (strategy, key_type, shard_count) VALUES ('hash', 'int', 0); ROLLBACK;
BEGIN; INSERT INTO tessera."table" VALUES ('pg_class', 'distributed', NULL, NULL); ROLLBACK;
BEGIN; INSERT INTO tessera."table" VALUES ('pg_class', 'reference', 1, 'k'); ROLLBACK;
BEGIN; INSERT INTO tessera."table" VALUES ('pg_class', 'local'); ROLLBACK;
-- the triggers' functions are for triggers
SELECT tessera_internal.catalog_changed();
\set VERBOSITY terse

-- an identity that is inserted replaces the one there is
BEGIN;
INSERT INTO tessera.cluster (cluster_id, incarnation) VALUES ('00000000-0000-0000-0000-000000000001', 7);
TABLE tessera.cluster;
ROLLBACK;
-- and so does the row of this server, by its id or its name
BEGIN;
INSERT INTO tessera.node SELECT node_id, 'renamed', NULL, role, true, 'zone', active
FROM tessera.node WHERE server IS NULL;
SELECT name, role, holds_shards, zone FROM tessera.node WHERE server IS NULL;
INSERT INTO tessera.node (name, role) VALUES ('renamed', 'coordinator');
SELECT count(*) FROM tessera.node WHERE server IS NULL;
ROLLBACK;
-- but not another node's
BEGIN;
INSERT INTO tessera.node (name, server) VALUES ('catalog_test', 'somewhere');
INSERT INTO tessera.node (name, server) VALUES ('catalog_test', 'elsewhere');
ROLLBACK;

-- a row of "table" makes its table depend on the extension
CREATE TABLE plain (k int);
CREATE VIEW depends AS
SELECT d.objid::regclass FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE e.extname = 'tessera' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'n'
  AND d.objid = 'plain'::regclass;
BEGIN;
INSERT INTO tessera."table" VALUES ('plain', 'reference');
TABLE depends;
DELETE FROM tessera."table" WHERE relation = 'plain'::regclass;
TABLE depends;
ROLLBACK;
BEGIN;
INSERT INTO tessera."table" VALUES ('plain', 'reference');
TRUNCATE tessera."table";
TABLE depends;
ROLLBACK;
-- which an update takes along
CREATE TABLE other (k int);
BEGIN;
INSERT INTO tessera."table" VALUES ('other', 'reference');
UPDATE tessera."table" SET relation = 'plain' WHERE relation = 'other'::regclass;
TABLE depends;
ROLLBACK;
TABLE depends;

SET client_min_messages = warning;
DROP SCHEMA catalog CASCADE;
