-- rows computed on the coordinator go to their shards; statements that write
-- travel to many shards; copies of reference tables
CREATE SCHEMA exec_modify;
SET search_path = exec_modify;
CREATE TABLE items (k int, id int, v text, n int CHECK (n IS DISTINCT FROM 13), PRIMARY KEY (k, id));
SELECT tessera.create_distributed_table('items', 'k', shard_count => 8);
CREATE TABLE loose (k int, v text NOT NULL);
SELECT tessera.create_distributed_table('loose', 'k', shard_count => 8);
CREATE TABLE kinds (id int PRIMARY KEY, name text);
SELECT tessera.create_reference_table('kinds');

-- INSERT ... RETURNING gives the rows in the order they were given
INSERT INTO items VALUES (5, 1, 'e', 50), (1, 1, 'a', 10), (4, 1, 'd', 40), (2, 1, 'b', 20), (3, 1, 'c', 30) RETURNING k, v, n + 1 AS more;
DO $$
DECLARE
	r record;
	expected int := 3000;
BEGIN
	FOR r IN EXECUTE 'INSERT INTO items SELECT i, 1, ''many'', i FROM generate_series(3000, 14, -1) i RETURNING k' LOOP
		IF r.k <> expected THEN
			RAISE EXCEPTION 'row % came where % was expected', r.k, expected;
		END IF;
		expected := expected - 1;
	END LOOP;
	RAISE NOTICE 'last row before %', expected;
END $$;
SELECT count(*), sum(n) FROM items;

-- rows of many shards cost one round trip for each node
SELECT tessera_internal.reset_net_counters();
BEGIN;
INSERT INTO items VALUES (5001, 1), (5002, 1), (5003, 1), (5004, 1), (5005, 1), (5006, 1), (5007, 1), (5008, 1);
SELECT round_trips <= 3, statements > 0 FROM tessera_internal.net_counters();
ROLLBACK;

-- the counts of all shards are in the command tag
\set QUIET off
UPDATE items SET v = 'changed' WHERE n BETWEEN 100 AND 199;
DELETE FROM items WHERE n BETWEEN 200 AND 204 RETURNING k - n AS difference;
INSERT INTO items SELECT i, 2, 'second', 1000 + i FROM generate_series(1, 700) i;
\set QUIET on

-- a key that is NULL has its shard
INSERT INTO loose VALUES (NULL, 'no key'), (1, 'one');
INSERT INTO loose(v) VALUES ('not given') RETURNING k IS NULL AS is_null;
SELECT k, v FROM loose WHERE k IS NULL ORDER BY v;
DELETE FROM loose WHERE k IS NULL;
SELECT k, v FROM loose;

-- ON CONFLICT
INSERT INTO items VALUES (1, 1, 'again', 1), (6001, 1, 'new', 1) ON CONFLICT DO NOTHING;
INSERT INTO items VALUES (1, 1, 'again', 1), (6002, 1, 'new', 1) ON CONFLICT (k, id) DO UPDATE SET v = excluded.v, n = items.n + 1 RETURNING k, v, n;
SELECT k, v FROM items WHERE k IN (1, 6001, 6002) AND id = 1 ORDER BY k;

-- an error midway leaves nothing: a bad row in the last batch, a bad row in
-- one shard, an error of the coordinator after rows were sent
\set VERBOSITY terse
INSERT INTO items SELECT i, 3, 'bad', CASE WHEN i = 2500 THEN 13 ELSE 0 END FROM generate_series(1, 2500) i;
INSERT INTO items VALUES (1, 3, 'bad', 1), (2, 3, 'bad', 1), (3, 1, 'duplicate', 1);
INSERT INTO items SELECT i, 3, 'bad', 1 / (2400 - i) FROM generate_series(1, 2500) i;
INSERT INTO loose SELECT i, CASE WHEN i < 90 THEN 'v' END FROM generate_series(1, 90) i;
UPDATE items SET n = CASE WHEN k = 600 THEN 13 ELSE 0 END WHERE id = 2;
\set VERBOSITY default
SELECT count(*) FROM items WHERE id = 3 OR n = 0;
SELECT count(*) FROM loose;

-- rows that are computed here and applied by row: from another table
CREATE TABLE changes (k int, n int);
INSERT INTO changes SELECT i, -i FROM generate_series(1, 5) i;
UPDATE items SET n = c.n, v = 'from changes' FROM changes c WHERE c.k = items.k AND items.id = 2;
SELECT k, n, v FROM items WHERE n < 0 ORDER BY k;
DELETE FROM items USING changes c WHERE c.k = items.k AND items.id = 2 AND c.n < -3;
SELECT k FROM items WHERE n < 0 ORDER BY k;
-- a row that several match is changed once
INSERT INTO changes SELECT 1, -100 - i FROM generate_series(1, 3) i;
UPDATE items SET v = v || '!' FROM changes c WHERE c.k = items.k AND items.id = 2 AND c.k = 1;
SELECT v FROM items WHERE k = 1 AND id = 2;
-- a function that has to run here runs once for each row
CREATE SEQUENCE calls;
CREATE FUNCTION counted(v text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN v || nextval('exec_modify.calls') * 0; END $$;
UPDATE items SET v = counted('c') WHERE id = 2 AND k BETWEEN 100 AND 119;
SELECT count(*) FROM items WHERE v = 'c0';
SELECT last_value FROM calls;

-- INSERT ... SELECT from the same table reads all before it writes
INSERT INTO items SELECT k, id + 10, 'copy', n FROM items WHERE id = 2;
SELECT count(*) FILTER (WHERE id = 2) = count(*) FILTER (WHERE id = 12) AS same FROM items;

-- RETURNING does not see what the statement wrote
BEGIN;
INSERT INTO items VALUES (9001, 1), (9002, 1) RETURNING k, (SELECT count(*) FROM items i WHERE i.k = items.k);
ROLLBACK;
SELECT count(*) FROM items WHERE k > 9000;

-- a reference table: every copy, the rows and the count of one
\set QUIET off
INSERT INTO kinds VALUES (1, 'one'), (2, 'two'), (3, 'three') RETURNING *;
UPDATE kinds SET name = upper(name) WHERE id < 3 RETURNING *;
DELETE FROM kinds WHERE id = 2;
INSERT INTO kinds SELECT i, 'many' FROM generate_series(10, 1209) i;
\set QUIET on
SELECT DISTINCT success, result FROM tessera.run_on_nodes('SELECT count(*) || '' '' || sum(id) FROM exec_modify.kinds');
SELECT count(*) || ' ' || sum(id) FROM kinds;
INSERT INTO kinds VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *;
-- copies that differ are noticed, and nothing is changed
SELECT DISTINCT success FROM tessera.run_on_nodes('DELETE FROM exec_modify.kinds WHERE id = 11');
\set VERBOSITY sqlstate
UPDATE kinds SET name = 'differs' WHERE id = 11;
\set VERBOSITY default
SELECT name FROM kinds WHERE id = 11;

-- ON CONFLICT DO UPDATE changes no row twice, in however many statements the
-- rows of one go to a shard: as PostgreSQL, which is asked first
CREATE TABLE totals (k int, id text, n int, PRIMARY KEY (k, id));
CREATE TABLE totals_local (LIKE totals INCLUDING ALL);
SELECT tessera.create_distributed_table('totals', 'k', shard_count => 2);
\set VERBOSITY sqlstate
INSERT INTO totals_local SELECT i % 4999, 'a', 1 FROM generate_series(1, 5000) i ON CONFLICT (k, id) DO UPDATE SET n = totals_local.n + 1;
INSERT INTO totals SELECT i % 4999, 'a', 1 FROM generate_series(1, 5000) i ON CONFLICT (k, id) DO UPDATE SET n = totals.n + 1;
INSERT INTO totals SELECT i % 4999, 'a', 1 FROM generate_series(1, 5000) i ON CONFLICT ON CONSTRAINT totals_pkey DO UPDATE SET n = totals.n + 1;
INSERT INTO totals SELECT 1, 'a', 1 FROM generate_series(1, 2) i ON CONFLICT (k, id) DO UPDATE SET n = totals.n + 1;
INSERT INTO totals SELECT i, 'a', 1 FROM generate_series(1, 5000) i ON CONFLICT (k, id) DO UPDATE SET n = totals.n + 1;
INSERT INTO totals SELECT i, 'a', 1 FROM generate_series(1, 5000) i ON CONFLICT (k, id) DO UPDATE SET n = totals.n + 1;
INSERT INTO totals SELECT i % 4999, 'a', 1 FROM generate_series(1, 5000) i ON CONFLICT (k, id) DO NOTHING;
SELECT count(*), sum(n) FROM totals;
-- what cannot be seen is refused if it takes more than one statement
CREATE UNIQUE INDEX ON totals (k, upper(id)) WHERE n > 0;
INSERT INTO totals SELECT i, 'A', 1 FROM generate_series(1, 5000) i ON CONFLICT (k, upper(id)) WHERE n > 0 DO UPDATE SET n = totals.n + 1;
INSERT INTO totals SELECT i, 'A', 1 FROM generate_series(1, 50) i ON CONFLICT (k, upper(id)) WHERE n > 0 DO UPDATE SET n = totals.n + 1;
INSERT INTO kinds SELECT 20 + i % 999, 'a' FROM generate_series(1, 1000) i ON CONFLICT (id) DO UPDATE SET name = 'again';
\set VERBOSITY default
SELECT count(*), sum(n) FROM totals;

-- EXPLAIN
EXPLAIN (COSTS OFF) INSERT INTO items VALUES (1, 9), (2, 9);
EXPLAIN (COSTS OFF) INSERT INTO kinds VALUES (9, 'x');

DROP SCHEMA exec_modify CASCADE;
