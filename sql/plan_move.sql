-- UPDATE that changes the distribution key: rows go to other shards
CREATE SCHEMA plan_move;
SET search_path = plan_move;
SET client_min_messages = warning;
CREATE TABLE kinds (id int PRIMARY KEY, name text);
SELECT tessera.create_reference_table('kinds');
INSERT INTO kinds VALUES (1, 'one'), (2, 'two');
CREATE TABLE a (gone int, k int, id int GENERATED ALWAYS AS IDENTITY, v text DEFAULT 'none', n int CHECK (n < 1000),
	twice int GENERATED ALWAYS AS (n * 2) STORED, kind int REFERENCES kinds, PRIMARY KEY (k, id));
ALTER TABLE a DROP COLUMN gone;
SELECT tessera.create_distributed_table('a', 'k', shard_count => 8);
CREATE TABLE plain (id int, v text);
INSERT INTO plain SELECT i, 'p' || i FROM generate_series(1, 10) i;
INSERT INTO a (k, n, kind) SELECT i, i, 1 + i % 2 FROM generate_series(1, 12) i;

-- rows that are not in the shard of their key
CREATE FUNCTION misplaced() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	r record;
	n int := 0;
BEGIN
	FOR r IN SELECT k, id FROM plan_move.a WHERE k > 0 OR k % 71 = 0 LOOP
		PERFORM FROM plan_move.a WHERE k = r.k AND id = r.id;
		n := n + CASE WHEN FOUND THEN 0 ELSE 1 END;
	END LOOP;
	RETURN n;
END $$;

-- a row counts once, and RETURNING gives it as it is now
\set QUIET off
UPDATE a SET k = k + 100 WHERE id <= 3;
WITH moved AS (UPDATE a SET k = k + 1 RETURNING k, id, n, twice, kind, a) SELECT * FROM moved ORDER BY id;
UPDATE a SET k = plain.id * 10, n = 7 FROM (SELECT * FROM plain ORDER BY id OFFSET 0) plain WHERE plain.id = a.id AND a.id = 3 RETURNING a.k, a.id, twice, plain.v;
UPDATE a SET k = plain.id * 10, n = 7 FROM plain WHERE plain.id = a.id;
UPDATE a SET (k, n) = (SELECT max(id), min(id) FROM plain) WHERE id = 1 RETURNING *;
-- rows that stay, and rows that go, of one statement
WITH moved AS (UPDATE a SET k = 20 WHERE k IN (20, 30) RETURNING k, id) SELECT * FROM moved ORDER BY id;
UPDATE a SET k = 20 WHERE false;
-- several matches: one change
UPDATE a SET k = a.k + 1000 FROM plain WHERE a.id = 4;
\set QUIET on
SELECT k, id, n, kind FROM a ORDER BY id;
SELECT misplaced();
-- a point query finds the row under its new key only
SELECT count(*) FROM a WHERE k = 1040 AND id = 4;
SELECT count(*) FROM a WHERE k = 40;

-- prepared
SET plan_cache_mode = force_generic_plan;
PREPARE move(int, int) AS UPDATE a SET k = $2 WHERE k = $1 RETURNING k, id;
EXECUTE move(1040, 41);
EXECUTE move(41, 41);
EXECUTE move(41, 40);
RESET plan_cache_mode;

-- within a transaction, and undone
BEGIN;
UPDATE a SET k = k + 500;
SAVEPOINT s;
UPDATE a SET k = k + 500;
SELECT min(k), max(k), count(*) FROM a;
ROLLBACK TO s;
SELECT min(k), max(k), count(*) FROM a;
ROLLBACK;
SELECT min(k), max(k), count(*), misplaced() FROM a;

-- the new row is subject to constraints where it comes to be; nothing is left behind
\set VERBOSITY sqlstate
INSERT INTO a (k, id, n) OVERRIDING SYSTEM VALUE VALUES (77, 5, 5);
UPDATE a SET k = 77 WHERE id = 5;
UPDATE a SET k = NULL WHERE id = 5;
UPDATE a SET k = k + 2000, n = 1000;
UPDATE a SET k = k + 2000, kind = 3;
UPDATE a SET k = k / (k - 40) WHERE k = 40;
\set VERBOSITY default
SELECT min(k), max(k), count(*), misplaced() FROM a;
-- keys that change places
DELETE FROM a WHERE id > 2;
UPDATE a SET k = id, n = id;
UPDATE a SET k = 3 - k;
SELECT k, n FROM a ORDER BY k;

-- many rows, in several statements a shard
INSERT INTO a (k, n) SELECT i, 1 FROM generate_series(10, 6000) i;
UPDATE a SET k = -k WHERE k >= 10;
SELECT count(*), count(DISTINCT k), min(k), max(k), misplaced() FROM a WHERE k < 0;

-- through a view
CREATE VIEW seen AS SELECT k AS key, n FROM a WHERE n > 1;
UPDATE seen SET key = key + 50 RETURNING *;

-- foreign keys that see a deletion where there is none: refused, or found out
CREATE TABLE parent (k int, id int, PRIMARY KEY (k, id));
CREATE TABLE child (k int, id int, parent int, FOREIGN KEY (k, parent) REFERENCES parent);
SELECT tessera.create_distributed_table('parent', 'k', colocate_with => 'a');
SELECT tessera.create_distributed_table('child', 'k', colocate_with => 'a');
INSERT INTO parent VALUES (1, 1), (2, 2);
INSERT INTO child VALUES (1, 1, 1);
UPDATE parent SET k = 5 WHERE id = 2;
\set VERBOSITY sqlstate
UPDATE parent SET k = 5 WHERE id = 1;
UPDATE child SET k = 5;
UPDATE child SET k = 5, parent = 2 RETURNING *;
CREATE TABLE parent2 (k int, id int, PRIMARY KEY (k, id));
CREATE TABLE child2 (k int, id int, parent int, FOREIGN KEY (k, parent) REFERENCES parent2 ON DELETE CASCADE);
SELECT tessera.create_distributed_table('parent2', 'k', colocate_with => 'a');
SELECT tessera.create_distributed_table('child2', 'k', colocate_with => 'a');
INSERT INTO parent2 VALUES (1, 1);
INSERT INTO child2 VALUES (1, 1, 1);
UPDATE parent2 SET k = 5;
UPDATE parent2 SET k = 1 WHERE k = 1;
UPDATE child2 SET k = 2, parent = NULL;
INSERT INTO a (k, id, n) VALUES (1, 1, 1) ON CONFLICT (k, id) DO UPDATE SET k = 5;
\set VERBOSITY default
SELECT * FROM parent2, child2;

SET client_min_messages = error;
DROP SCHEMA plan_move CASCADE;
