-- joins with rows of anywhere else by the key: each row goes to its own shard
CREATE SCHEMA ship_key;
SET search_path = ship_key;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'wild');

-- big_here and few_here are the twins of big and few
CREATE TABLE big_here (id int PRIMARY KEY, k int, t text, v int);
INSERT INTO big_here SELECT i, i % 40, 't' || i % 9, i FROM generate_series(1, 2000) i;
-- keys twice, without a partner, and NULL
CREATE TABLE few_here (id int, big_id int, wide bigint, g text);
INSERT INTO few_here SELECT i, NULLIF(i * 7 % 600, 70), i * 11 % 3000 + 1, 'g' || i % 4 FROM generate_series(1, 300) i;
INSERT INTO few_here SELECT id + 1000, big_id, wide + 4294967296, g FROM few_here WHERE id < 50;
CREATE TABLE big AS TABLE big_here;
ALTER TABLE big ADD PRIMARY KEY (id);
CREATE TABLE few AS TABLE few_here;
CREATE TABLE local_few AS TABLE few_here;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('big', 'id', shard_count => 8);
SELECT tessera.create_distributed_table('few', 'id', shard_count => 3, colocate_with => 'none');
RESET client_min_messages;
ANALYZE big, few, local_few, big_here, few_here;

-- A statement over big and few; the same of their twins: the difference.
CREATE FUNCTION difference(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	there text[];
	here text[];
	r record;
BEGIN
	FOR r IN EXECUTE statement LOOP there := there || r::text; END LOOP;
	FOR r IN EXECUTE regexp_replace(replace(statement, 'local_few', 'few'), '\m(big|few)\M', '\1_here', 'g')
		LOOP here := here || r::text; END LOOP;
	RETURN QUERY (SELECT 'only there: ' || t FROM unnest(there) t EXCEPT ALL SELECT 'only there: ' || h FROM unnest(here) h);
	RETURN QUERY (SELECT 'only here: ' || h FROM unnest(here) h EXCEPT ALL SELECT 'only here: ' || t FROM unnest(there) t);
	RETURN NEXT cardinality(here) || ' rows, ' || coalesce(way(statement), 'joined here');
END $$;
-- How it is joined.
CREATE FUNCTION way(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		IF line ~ 'Shipped To' THEN RETURN trim(line); END IF;
	END LOOP;
	RETURN NULL;
END $$;
-- Of what is shipped: where it went, and in how many loads.
CREATE FUNCTION shipped(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	facts text[];
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || statement LOOP
		IF line ~ 'Shards:' AND facts IS NULL OR line ~ 'Rows Shipped|Loads' THEN facts := facts || trim(line); END IF;
	END LOOP;
	RETURN array_to_string(facts, ', ');
END $$;

-- each kind of join, all at once and in many loads
CREATE TABLE statements (statement text);
INSERT INTO statements VALUES
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.id = f.big_id GROUP BY f.g'),
	('SELECT b.id, f.id, f.g FROM big b JOIN few f ON b.id = f.big_id AND f.g <> b.t'),
	('SELECT b.k, count(*), count(f.id), sum(f.id) FROM big b LEFT JOIN few f ON b.id = f.big_id GROUP BY b.k'),
	('SELECT count(*), count(f.id) FROM big b LEFT JOIN few f ON b.id = f.big_id AND b.t = ''t1'''),
	('SELECT count(*), count(f.id) FROM big b LEFT JOIN few f ON b.id = f.big_id WHERE f.g IS DISTINCT FROM ''g1'''),
	('SELECT count(*), sum(b.v) FROM big b WHERE EXISTS (SELECT FROM few f WHERE f.big_id = b.id AND f.id > 7)'),
	('SELECT count(*), sum(b.v) FROM big b WHERE NOT EXISTS (SELECT FROM few f WHERE f.big_id = b.id)'),
	('SELECT count(*), sum(b.v) FROM big b WHERE NOT EXISTS (SELECT FROM few f WHERE f.big_id = b.id AND f.id > b.k)'),
	('SELECT b.t, count(*) FROM big b WHERE b.id IN (SELECT big_id FROM few) GROUP BY b.t'),
	('SELECT count(*), sum(b.v) FROM big b LEFT JOIN few f ON b.id = f.big_id WHERE f.id IS NULL'),
	('SELECT count(*), sum(b.v) FROM big b LEFT JOIN local_few f ON b.id = f.wide GROUP BY b.k'),
	('SELECT f.wide, b.v FROM big b JOIN local_few f ON f.wide = b.id'),
	('SELECT count(*), sum(n) FROM (SELECT id, k, count(*) n FROM big GROUP BY id, k) b JOIN few f ON b.id = f.big_id'),
	('SELECT f.g, sum(c.v) FROM big b JOIN big c USING (id) LEFT JOIN few f ON c.id = f.big_id GROUP BY f.g'),
	-- not by the key
	('SELECT count(*), count(f.id) FROM big b LEFT JOIN few f ON b.k = f.big_id'),
	('SELECT count(*), sum(b.v) FROM big b WHERE NOT EXISTS (SELECT FROM few f WHERE f.big_id = b.k)'),
	('SELECT count(*), sum(b.v) FROM big b WHERE EXISTS (SELECT FROM few f WHERE f.big_id = b.k AND f.g > b.t)'),
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.k = f.big_id GROUP BY f.g'),
	('SELECT count(*) FROM big b JOIN few f ON b.k > f.big_id + f.id'),
	-- above an outer join, by which rows without a partner do not go
	('SELECT b.id, f.id FROM big b LEFT JOIN few f ON b.k = f.id WHERE f.big_id IS NULL OR f.big_id = b.id');
SELECT statement, difference(statement) FROM statements;
SET tessera.ship_limit = '1kB';
SELECT difference(statement) FROM statements;
RESET tessera.ship_limit;

-- a few keys touch the shards that they belong to; NULL belongs to none
CREATE TABLE three (id int, n text);
INSERT INTO three VALUES (3, 'c'), (3, 'd'), (NULL, 'n');
ANALYZE three;
SELECT shipped('SELECT b.t, x.n FROM big b JOIN three x USING (id)');
SELECT b.t, x.n FROM big b JOIN three x USING (id) ORDER BY 2;
SELECT shipped('SELECT count(*) FROM big b JOIN three x USING (id) WHERE x.id IS NULL');
-- nor do rows go to shards that conditions leave out
SELECT shipped('SELECT count(*) FROM big b JOIN local_few f ON b.id = f.big_id WHERE b.id IN (7, 8)');
SELECT count(*) FROM big b JOIN local_few f ON b.id = f.big_id WHERE b.id IN (7, 8);
-- all shards have rows that are kept
SELECT shipped('SELECT count(*) FROM big b LEFT JOIN three x USING (id)');
SELECT count(*), count(x.n) FROM big b LEFT JOIN three x USING (id);
-- a node finds rows of few keys by its index (this is its plan for any keys)
CREATE TABLE wide (id int PRIMARY KEY, v text);
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('wide', 'id', shard_count => 2, colocate_with => 'none');
RESET client_min_messages;
INSERT INTO wide SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
ANALYZE wide;
CREATE FUNCTION index_conditions(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || statement LOOP
		IF line ~ 'Index Cond' THEN RETURN NEXT trim(line); END IF;
	END LOOP;
END $$;
SELECT index_conditions('SELECT w.v, x.n FROM wide w JOIN three x USING (id)');

-- in many loads, inside a transaction and outside, with what was written before
SET tessera.ship_limit = '1kB';
SELECT shipped('SELECT count(*) FROM big b LEFT JOIN few f ON b.id = f.big_id');
BEGIN;
UPDATE big SET v = v + 1 WHERE id <= 600;
SELECT count(*), sum(b.v) FROM big b JOIN few f ON b.id = f.big_id;
SAVEPOINT a;
SELECT count(*) FROM big b JOIN few f ON b.id = f.big_id WHERE 1 / (b.id - 7) > 5;
ROLLBACK TO a;
SELECT count(*), sum(b.v) FROM big b LEFT JOIN few f ON b.id = f.big_id;
ROLLBACK;
BEGIN READ ONLY;
SELECT count(*), sum(b.v) FROM big b LEFT JOIN few f ON b.id = f.big_id;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
DECLARE c CURSOR FOR SELECT b.id, f.id FROM big b JOIN few f ON b.id = f.big_id ORDER BY 1, 2;
FETCH 2 FROM c;
SELECT count(*) FROM big b WHERE NOT EXISTS (SELECT FROM few f WHERE f.big_id = b.id);
FETCH 2 FROM c;
COMMIT;
-- again and again, with what the rows depend on
SELECT x, (SELECT count(*) FROM big b JOIN few f ON b.id = f.big_id WHERE f.id < x) FROM generate_series(0, 300, 100) x;
DO $$
BEGIN
	FOR i IN 1..20 LOOP
		BEGIN
			PERFORM count(*) FROM big b JOIN few f ON b.id = f.big_id WHERE 1 / (b.id - 7) > 5;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
	RAISE NOTICE '%', (SELECT count(*) FROM big b JOIN few f ON b.id = f.big_id);
END $$;
RESET tessera.ship_limit;

-- keys of other types, in a load and in many
CREATE TABLE texts (k text, v int);
CREATE TABLE moods (k mood, v int);
CREATE TABLE numbers (k numeric, v int);
INSERT INTO texts SELECT 'k' || i % 100, i FROM generate_series(1, 300) i;
INSERT INTO moods SELECT (enum_range(NULL::mood))[i % 4 + 1], i FROM generate_series(1, 300) i;
INSERT INTO numbers SELECT (i % 100)::numeric(10, 2), i FROM generate_series(1, 300) i;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table(t, 'k', shard_count => 5, colocate_with => 'none') FROM unnest('{texts,moods,numbers}'::regclass[]) t;
RESET client_min_messages;
ANALYZE texts, moods, numbers;
CREATE TABLE local_texts (k, n) AS VALUES ('k1'::varchar, 1), ('k2', 2), ('k99', 3), (NULL, 4), ('k', 5);
CREATE TABLE local_moods (k, n) AS VALUES ('sad'::mood, 1), ('wild', 2), (NULL, 4);
CREATE TABLE local_numbers (k, n) AS VALUES (1.0, 1), (2.000, 2), (-0.0, 3), ('NaN', 4);
ANALYZE local_texts, local_moods, local_numbers;
CREATE VIEW by_text AS SELECT x.n, count(*), sum(v) FROM texts t JOIN local_texts x ON t.k = x.k GROUP BY 1;
CREATE VIEW by_mood AS SELECT x.n, count(*), sum(v) FROM moods t JOIN local_moods x ON t.k = x.k GROUP BY 1;
CREATE VIEW by_number AS SELECT x.n, count(*), sum(v) FROM numbers t JOIN local_numbers x ON t.k = x.k GROUP BY 1;
SELECT v, way('SELECT * FROM ' || v) FROM unnest('{by_text,by_mood,by_number}'::text[]) v;
SELECT * FROM by_text ORDER BY 1;
SELECT * FROM by_mood ORDER BY 1;
SELECT * FROM by_number ORDER BY 1;
SET tessera.ship_limit = '1kB';
SELECT count(*), sum(t.v), count(x.v) FROM texts t LEFT JOIN (SELECT 'k' || i, repeat('x', 300) FROM generate_series(1, 300, 7) i) x (k, v) ON t.k = x.k;
SELECT count(*), sum(t.v), count(x.v) FROM moods t LEFT JOIN (SELECT CASE WHEN i % 3 = 0 THEN 'ok'::mood END, repeat('x', 300) FROM generate_series(1, 30) i) x (k, v) ON t.k = x.k;
RESET tessera.ship_limit;

-- what nodes call on each other may be called by anyone with anything
SELECT * FROM tessera_internal.shipped_rows(NULL, NULL, ARRAY[1, NULL, 3], ARRAY['a', 'b', NULL]) x (a int, b text);
BEGIN;
SELECT tessera_internal.stash_rows(7, ARRAY[1, 2]);
SELECT tessera_internal.stash_rows(7, ARRAY[3]);
SAVEPOINT a;
SELECT tessera_internal.stash_rows(8, ARRAY[1, 2]);
ROLLBACK TO a;
SELECT * FROM tessera_internal.shipped_rows(7, '{1,-1}', ARRAY[4]) x (a int);
\set VERBOSITY sqlstate
SAVEPOINT a;
SELECT * FROM tessera_internal.shipped_rows(7, '{1,-1}', ARRAY[4]) x (a int);
ROLLBACK TO a;
SELECT * FROM tessera_internal.shipped_rows(8, '{1,-1}', ARRAY[4]) x (a int);
ROLLBACK TO a;
SELECT tessera_internal.stash_rows(9, ARRAY[1, 2]);
SAVEPOINT b;
SELECT tessera_internal.stash_rows(9, ARRAY['a']);
ROLLBACK TO b;
SELECT tessera_internal.stash_rows(9, ARRAY[1, 2], ARRAY[1, 2]);
ROLLBACK TO b;
SELECT * FROM tessera_internal.shipped_rows(9, '{1,-1}', ARRAY[4]) x (a text);
COMMIT;
SELECT tessera_internal.shipped_rows(NULL, '{1,-1}', ARRAY[4]);
SELECT * FROM tessera_internal.shipped_rows(NULL, '{1,-1}', ARRAY[4], ARRAY[1, 2]) x (a int, b int);
SELECT * FROM tessera_internal.shipped_rows(NULL, '{1,-1}', 4) x (a int);
SELECT * FROM tessera_internal.shipped_rows(NULL, '{1,-1}', NULL::int[]) x (a int);
SELECT tessera_internal.stash_rows(NULL, ARRAY[1]);
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA ship_key CASCADE;
