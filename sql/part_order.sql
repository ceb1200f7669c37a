-- Foreign keys between tables that parts of one statement change: checked when all parts have ended.
SET client_min_messages = error;
CREATE SCHEMA part_order;
SET search_path = part_order;
CREATE TABLE p (id int PRIMARY KEY, v int);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, v int);
SELECT tessera.create_reference_table('p');
SELECT tessera.create_reference_table('c');
CREATE TABLE d (id int PRIMARY KEY, p int REFERENCES p);
SELECT tessera.create_distributed_table('d', 'id', shard_count => 4);
CREATE TABLE e (id int REFERENCES d, n int, PRIMARY KEY (id, n));
SELECT tessera.create_distributed_table('e', 'id', colocate_with => 'd');
CREATE TABLE f (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE);
SELECT tessera.create_reference_table('f');
INSERT INTO p SELECT g, g FROM generate_series(1, 10) g;
INSERT INTO c SELECT g, g, g FROM generate_series(1, 10) g;
INSERT INTO d SELECT g, g FROM generate_series(1, 9) g;
INSERT INTO e SELECT g, n FROM generate_series(1, 9) g, generate_series(1, 2) n;
INSERT INTO p VALUES (11, 1), (12, 1);
INSERT INTO f VALUES (1, 11), (2, 12);
CREATE VIEW counts AS SELECT (SELECT count(*) FROM p) AS p, (SELECT count(*) FROM c) AS c, (SELECT count(*) FROM d) AS d, (SELECT count(*) FROM e) AS e;
\set QUIET off

-- what refers goes first
BEGIN;
WITH x AS (DELETE FROM c WHERE p = 10 RETURNING p) DELETE FROM p WHERE id = 10;
WITH x AS (DELETE FROM e WHERE id < 5) DELETE FROM d WHERE id < 5;
WITH x AS (DELETE FROM c WHERE p < 5) DELETE FROM p USING (SELECT 2 AS most) y WHERE id <= most RETURNING id;
TABLE counts;
ROLLBACK;
BEGIN;
WITH x AS (DELETE FROM p WHERE id > 5 RETURNING v), y AS (DELETE FROM d WHERE p > 5), z AS (DELETE FROM c WHERE p > 5 RETURNING v), w AS (DELETE FROM e WHERE id > 5)
SELECT (SELECT sum(v) FROM x) AS x, (SELECT sum(v) FROM z) AS z;
TABLE counts;
ROLLBACK;
-- also where rows vanish with others
BEGIN;
CREATE TABLE deep (id int REFERENCES f, n int, PRIMARY KEY (id, n));
SELECT tessera.create_reference_table('deep');
INSERT INTO deep SELECT id, 1 FROM f;
WITH x AS (DELETE FROM deep WHERE id = 2) DELETE FROM p WHERE id = 12;
SELECT (SELECT count(*) FROM f) AS f, (SELECT count(*) FROM deep) AS deep;
ROLLBACK;
-- it has to be all of it, also where only some is asked for
BEGIN;
WITH x AS (DELETE FROM e WHERE id < 9 RETURNING id) DELETE FROM d WHERE id < 9 AND (d.id < 8 OR d.id IN (SELECT id FROM x));
WITH x AS (UPDATE c SET p = 10 WHERE p = 3 RETURNING p), y AS (UPDATE d SET p = 10 WHERE p = 3) DELETE FROM p WHERE id = 3;
ROLLBACK;

-- and comes last
BEGIN;
WITH x AS (INSERT INTO p VALUES (20, 1)) INSERT INTO c VALUES (20, 20, 1);
WITH x AS (INSERT INTO c VALUES (21, 21, 1)) INSERT INTO p VALUES (21, 1);
WITH x AS (INSERT INTO e VALUES (22, 1), (23, 2), (24, 3) RETURNING n), y AS (INSERT INTO d VALUES (22, 22), (23, 22), (24, 1)), z AS (INSERT INTO p VALUES (22, 1)) SELECT sum(n) FROM x;
WITH x AS (INSERT INTO p VALUES (25, 1), (1, 1) ON CONFLICT (id) DO UPDATE SET v = 100 RETURNING id) MERGE INTO c USING x ON c.p = x.id WHEN MATCHED THEN UPDATE SET p = 25 WHEN NOT MATCHED THEN INSERT VALUES (25, x.id, 1);
TABLE counts;
ROLLBACK;
PREPARE gone(int) AS WITH x AS (DELETE FROM e WHERE id < $1) DELETE FROM d WHERE id < $1;
BEGIN;
EXECUTE gone(3); EXECUTE gone(5); EXECUTE gone(6);
ROLLBACK;
-- what violates a key does so
\set VERBOSITY sqlstate
WITH x AS (DELETE FROM e WHERE id < 5) DELETE FROM d WHERE id < 6;
WITH x AS (INSERT INTO p VALUES (20, 1)) INSERT INTO c VALUES (20, 21, 1);

-- there is no such order
\set VERBOSITY default
WITH x AS (DELETE FROM p WHERE id < 5 RETURNING id) DELETE FROM c USING x WHERE c.p = x.id;
\set VERBOSITY sqlstate
WITH x AS (INSERT INTO e VALUES (30, 1), (31, 1) RETURNING id) INSERT INTO d SELECT id, 1 FROM x;
WITH x AS (UPDATE c SET p = 100 WHERE p = 3) UPDATE p SET id = 100 WHERE id = 3;
-- columns that are no key may change
WITH x AS (UPDATE c SET v = 100 WHERE p = 3) UPDATE p SET v = 100 WHERE id = 3;
-- a deferred key does not need one
BEGIN;
ALTER TABLE c DROP CONSTRAINT c_p_fkey, ADD FOREIGN KEY (p) REFERENCES p DEFERRABLE INITIALLY DEFERRED;
WITH x AS (UPDATE c SET p = 100 WHERE p = 10) UPDATE p SET id = 100 WHERE id = 10;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
TABLE counts;
\set QUIET on
DROP SCHEMA part_order CASCADE;
