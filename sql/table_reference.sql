-- create_reference_table() and undistribute_table()
CREATE SCHEMA table_reference;
SET search_path = table_reference;
SET tessera.shard_count = 4;

-- a reference table has all rows on every node
CREATE TABLE colours (id int PRIMARY KEY, name text UNIQUE, loud text GENERATED ALWAYS AS (upper(name)) STORED);
INSERT INTO colours VALUES (1, 'red'), (2, 'green');
SELECT tessera.create_reference_table('colours');
SELECT node, success, result FROM tessera.run_on_nodes('SELECT string_agg(loud, '','' ORDER BY id) FROM table_reference.colours') ORDER BY node;
-- writes go to all of them
INSERT INTO colours VALUES (3, 'blue');
UPDATE colours SET name = 'pink' WHERE id = 1;
DELETE FROM colours WHERE id = 2;
SELECT node, success, result FROM tessera.run_on_nodes('SELECT string_agg(loud, '','' ORDER BY id) FROM table_reference.colours') ORDER BY node;
-- one may reference another, and distributed tables may reference it
CREATE TABLE shades (id int PRIMARY KEY, colour int REFERENCES colours);
SELECT tessera.create_reference_table('shades');
CREATE TABLE things (id int PRIMARY KEY, shade int REFERENCES shades);
SELECT tessera.create_distributed_table('things', 'id');
INSERT INTO shades VALUES (1, 1);
INSERT INTO things SELECT i, 1 FROM generate_series(1, 10) i;
\set VERBOSITY sqlstate
INSERT INTO things VALUES (11, 2);
\set VERBOSITY default

-- refused: foreign keys to what the nodes do not have, and the usual wrong calls
CREATE TABLE local_table (id int PRIMARY KEY);
CREATE TABLE to_local (id int REFERENCES local_table);
SELECT tessera.create_reference_table('to_local');
SELECT tessera.create_reference_table(NULL);
SELECT tessera.create_reference_table('no_such_table');
SELECT tessera.create_reference_table('colours');
SELECT tessera.create_reference_table('things');
CREATE VIEW a_view AS SELECT 1 AS one;
SELECT tessera.create_reference_table('a_view');

-- undistribute_table() is refused while others need the table
SELECT tessera.undistribute_table('colours');
SELECT tessera.undistribute_table('local_table');
SELECT tessera.undistribute_table(NULL);
-- and where rows could be missed
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT tessera.undistribute_table('things');
ROLLBACK;
-- it brings all rows home, with what this transaction did
BEGIN;
INSERT INTO things VALUES (12, 1);
SELECT tessera.undistribute_table('things');
SELECT count(*), sum(id) FROM things;
COMMIT;
SELECT count(*), sum(id) FROM things;
SELECT id FROM things WHERE id = 12;
SELECT tessera.undistribute_table('shades');
SELECT tessera.undistribute_table('colours');
SELECT * FROM colours ORDER BY id;
SELECT relation, kind FROM tessera.tables WHERE relation::text LIKE 'table_reference.%';
SELECT node, success, result FROM tessera.run_on_nodes($$SELECT count(*) FROM pg_class
    WHERE relkind = 'r' AND relnamespace::regnamespace::text LIKE 'table_reference%'$$)
WHERE node <> 'coordinator' ORDER BY node;
-- and if that is rolled back, the table is distributed still
ALTER TABLE things DROP CONSTRAINT things_shade_fkey;
SELECT tessera.create_distributed_table('things', 'id');
BEGIN;
SELECT tessera.undistribute_table('things');
ROLLBACK;
SELECT count(*) FROM things;
SELECT sum(result::int) FROM tessera.run_on_shards('things', 'SELECT count(*) FROM %s');

-- foreign keys follow changes of reference tables everywhere: here, on the
-- copies and on the shards
SET client_min_messages = warning;
CREATE TABLE zones (id int PRIMARY KEY);
CREATE TABLE zone_parts (id int PRIMARY KEY, zone int REFERENCES zones ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE zone_tree (id int PRIMARY KEY, up int REFERENCES zone_tree ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE zone_users (k int PRIMARY KEY, zone int REFERENCES zones ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE zone_here (zone int REFERENCES zones ON DELETE CASCADE ON UPDATE CASCADE);
SELECT tessera.create_reference_table(t) FROM unnest('{zones, zone_parts, zone_tree}'::regclass[]) t;
SELECT tessera.create_distributed_table('zone_users', 'k', shard_count => 4);
INSERT INTO zones VALUES (1), (2), (3);
INSERT INTO zone_parts SELECT i, 1 + i % 3 FROM generate_series(1, 6) i;
INSERT INTO zone_tree VALUES (1, NULL), (3, 2), (2, 1);
INSERT INTO zone_users SELECT i, 1 + i % 3 FROM generate_series(1, 9) i;
INSERT INTO zone_here VALUES (1), (2), (3);
UPDATE zones SET id = 20 WHERE id = 2;
UPDATE zone_tree SET id = id + 10;
DELETE FROM zones WHERE id = 1;
SELECT zone, count(*) FROM zone_users GROUP BY zone ORDER BY zone;
SELECT zone FROM zone_here ORDER BY zone;
SELECT DISTINCT result FROM tessera.run_on_nodes(format($$SELECT
    (SELECT string_agg(concat_ws('<', id, zone), ' ' ORDER BY id) FROM %1$I.zone_parts) || ', '
    || (SELECT string_agg(concat_ws('<', id, up), ' ' ORDER BY id) FROM %1$I.zone_tree)$$, current_schema));
DELETE FROM zone_tree WHERE id = 11;
SELECT count(*) FROM zone_tree;
DROP TABLE zone_here, zone_users, zone_parts, zone_tree, zones;
RESET client_min_messages;

SET client_min_messages = warning;
-- rows without columns are rows
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
SELECT tessera.create_reference_table('nothing');
SELECT DISTINCT result FROM tessera.run_on_nodes('SELECT count(*) FROM table_reference.nothing');
DROP TABLE nothing;

-- SET DEFAULT is done by each server: not where the default differs
CREATE TABLE kinds (id int PRIMARY KEY);
SELECT tessera.create_reference_table('kinds');
CREATE SEQUENCE any_kind;
CREATE TABLE drawn (id int PRIMARY KEY, kind int DEFAULT (random() * 8)::int REFERENCES kinds ON DELETE SET DEFAULT);
CREATE TABLE counted (id int PRIMARY KEY, kind int DEFAULT nextval('any_kind') REFERENCES kinds ON UPDATE SET DEFAULT);
CREATE TABLE fixed (id int PRIMARY KEY, kind int DEFAULT 1 REFERENCES kinds ON DELETE SET DEFAULT);
SELECT tessera.create_reference_table('drawn');
SELECT tessera.create_distributed_table('counted', 'id');
SELECT tessera.create_reference_table('fixed');
INSERT INTO kinds VALUES (1), (2);
INSERT INTO fixed VALUES (1, 2);
DELETE FROM kinds WHERE id = 2;
SELECT DISTINCT result FROM tessera.run_on_nodes('SELECT kind FROM table_reference.fixed');

DROP SCHEMA table_reference CASCADE;
