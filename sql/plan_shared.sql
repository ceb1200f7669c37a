-- statements that differ only in constants share one plan, and no others do
CREATE SCHEMA plan_shared;
SET search_path = plan_shared;
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE items (k int PRIMARY KEY, v int, t text, c varchar(5), n numeric(6, 2), at timestamp, m mood DEFAULT 'sad',
	d small, j jsonb, id serial);
CREATE TABLE parts (k int, p int, w text, PRIMARY KEY (k, p));
CREATE TABLE local (k int, v int);
SELECT tessera.create_distributed_table('items', 'k', shard_count => 4);
SELECT tessera.create_distributed_table('parts', 'k', colocate_with => 'items');
INSERT INTO items SELECT i, i * 10, 'item ' || i, 'c' || i, i * 1.5, timestamp '2024-01-01' + i * interval '1 day', 'glad', i,
	jsonb_build_object('a', i) FROM generate_series(1, 100) i;
INSERT INTO parts SELECT i, p, 'part ' || p FROM generate_series(1, 100) i, generate_series(1, 2) p;
INSERT INTO local SELECT i, i FROM generate_series(1, 10) i;

-- what has happened since the last call
CREATE FUNCTION since(OUT hits bigint, OUT misses bigint, OUT refusals bigint, OUT invalidated bigint)
LANGUAGE plpgsql AS $$
BEGIN
	SELECT s.hits, s.misses, s.refusals, s.invalidated INTO hits, misses, refusals, invalidated
	FROM tessera.stat_plan_cache s;
	PERFORM tessera_internal.reset_plan_cache_counters();
END $$;
DISCARD PLANS;
SELECT FROM since();

-- constants of one type; parameters of clients stay parameters
SELECT v, t FROM items WHERE k = 1;
SELECT v, t FROM items WHERE k = 2;
SELECT v, t FROM items WHERE 3 = k;
SELECT * FROM since();
SELECT v, t, 'x' AS x FROM items WHERE k = 4 AND v > 5 AND t LIKE 'item%' OFFSET 0;
SELECT v, t, 'y' AS x FROM items WHERE k = 5 AND v > 50 AND t LIKE 'item%' OFFSET 0;
SELECT * FROM since();
PREPARE read AS SELECT v, t FROM items WHERE k = $1 AND v < 1000;
EXECUTE read(6);
EXECUTE read(7);
DEALLOCATE read;
PREPARE read AS SELECT v, t FROM items WHERE k = $1 AND v < 20;
EXECUTE read(6);
DEALLOCATE read;
SELECT * FROM since();

-- changes
UPDATE items SET v = v + 1, c = 'abc' WHERE k = 1 RETURNING v, c, 'one';
UPDATE items SET v = v + 2, c = 'de' WHERE k = 2 RETURNING v, c, 'two';
UPDATE items SET c = 'too long' WHERE k = 2;
UPDATE items SET c = 'fits' WHERE k = 2;
DELETE FROM items WHERE k = 99;
DELETE FROM items WHERE k = 100;
SELECT * FROM since();
INSERT INTO items (k, v, t, c, n, d) VALUES (201, 1, 'a', 'b', 1.255, 1);
INSERT INTO items (k, v, t, c, n, d) VALUES (202, 2, 'b', 'c', 2.345, 2);
INSERT INTO items (k, v, t, c, n, d) VALUES (203, 3, 'c', 'd', 3, 2);
INSERT INTO items (k, v, t, c, n, d) VALUES (203, 3, 'c', 'd', 3, 3);
INSERT INTO items (k, v, t, c, n, d) VALUES (204, 3, 'c', 'd', 3.0, 5000);
INSERT INTO items (k, c) VALUES (205, 'too long');
INSERT INTO items (k, v) VALUES (201, 5) ON CONFLICT (k) DO UPDATE SET v = excluded.v + 1 RETURNING v;
INSERT INTO items (k, v) VALUES (202, 6) ON CONFLICT (k) DO UPDATE SET v = excluded.v + 2 RETURNING v;
SELECT k, v, t, c, n, m, d FROM items WHERE k > 200 ORDER BY k;
SELECT * FROM since();
-- an error in a constant comes before the sequence is asked
SELECT currval('items_id_seq') AS before \gset
INSERT INTO items (k, c) VALUES (205, repeat('x', 6));
SELECT currval('items_id_seq') = :before AS untouched;
SELECT FROM since();
-- equal by chance
UPDATE items SET v = v + 5 WHERE k = 5;
UPDATE items SET v = v + 6 WHERE k = 7;
SELECT * FROM since();

-- a constant for two tables: the same in both, or no plan of that kind
SELECT v, w FROM items i JOIN parts p ON i.k = p.k WHERE i.k = 3 AND p = 1;
SELECT v, w FROM items i JOIN parts p ON i.k = p.k WHERE i.k = 4 AND p = 2;
SELECT v, w FROM items i, parts p WHERE i.k = 3 AND p.k = 3 AND p = 1;
SELECT v, w FROM items i, parts p WHERE i.k = 4 AND p.k = 4 AND p = 2;
SELECT v, w FROM items i, parts p WHERE i.k = 4 AND p.k = 5 AND p = 1;
SELECT * FROM since();
UPDATE items SET k = 5, v = 55 WHERE k = 5 RETURNING k, v;
UPDATE items SET k = 6, v = 66 WHERE k = 6 RETURNING k, v;
SELECT * FROM since();

-- words of the grammar, lengths of types: other plans
SELECT extract(year FROM at) FROM items WHERE k = 10;
SELECT extract(month FROM at) FROM items WHERE k = 10;
SELECT extract(month FROM at + interval '1 month') FROM items WHERE k = 10;
SELECT extract(month FROM at + interval '2 month') FROM items WHERE k = 11;
SELECT normalize(t, NFC) FROM items WHERE k = 10;
SELECT normalize(t, NFKD) FROM items WHERE k = 10;
SELECT t::varchar(2) FROM items WHERE k = 10;
SELECT t::varchar(3) FROM items WHERE k = 10;
SELECT (v / 7.0)::numeric(8, 1) FROM items WHERE k = 10;
SELECT (v / 7.0)::numeric(8, 2) FROM items WHERE k = 10;
SELECT 'abcdef'::varchar(4) FROM items WHERE k = 10;
SELECT 'ghijkl'::varchar(4) FROM items WHERE k = 10;
SELECT pg_catalog.varchar(t, 7, true) FROM items WHERE k = 10;
SELECT B'1011'::bit(2), interval '1 12:00:00' day, at::timestamp(0) FROM items WHERE k = 10;
SELECT B'1011'::bit(3), interval '1 12:00:00' hour, at::timestamp(1) FROM items WHERE k = 10;
SELECT * FROM since();

-- formats: by them it is known whether nodes write the same
SELECT to_char(at, 'YYYY'), to_char(v + 1, '999') FROM items WHERE k = 10;
SELECT to_char(at, 'YYYY'), to_char(v + 2, '999') FROM items WHERE k = 11;
SELECT to_char(at, 'DD'), to_char(v + 2, '999') FROM items WHERE k = 11;
SELECT * FROM since();
SELECT to_char(at, 'TMMonth') FROM items WHERE k = 10;
SELECT to_char(at, 'YYYY-MM') FROM items WHERE k = 10;
SELECT to_char(at, 'YYYY-MM') FROM items WHERE k = 11;
UPDATE items SET c = to_char(v, '000') WHERE k = 10 AND to_char(at, 'YYYY') = '2024';
UPDATE items SET c = to_char(v, '000') WHERE k = 11 AND to_char(at, 'YYYY') = '2025';
SELECT * FROM since();

-- expressions that stand twice
SELECT (v + 1) * 2 AS x, count(*) FROM items WHERE k = 10 GROUP BY v + 1;
SELECT (v + 1) * 3 AS x, count(*) FROM items WHERE k = 10 GROUP BY v + 1;
SELECT v + 1 AS x FROM items WHERE k = 10 GROUP BY v + 1 HAVING v + 1 > 0;
SELECT v + 2 AS x FROM items WHERE k = 10 GROUP BY v + 2 HAVING v + 2 > 0;
SELECT DISTINCT v + 1 AS x FROM items WHERE k = 10 ORDER BY v + 1;
SELECT DISTINCT v + 2 AS x FROM items WHERE k = 10 ORDER BY v + 2;
SELECT p, rank() OVER (ORDER BY p * -1) FROM parts WHERE k = 10 ORDER BY p * 1;
SELECT p, rank() OVER (ORDER BY p * 1) FROM parts WHERE k = 10 ORDER BY p * 1;
SELECT string_agg(DISTINCT w, '+' ORDER BY w) FROM parts WHERE k = 10;
SELECT string_agg(DISTINCT w, '-' ORDER BY w) FROM parts WHERE k = 10;
SELECT p % 2 AS x, count(*) FROM parts WHERE k = 10 GROUP BY ROLLUP (p % 2) ORDER BY 1;
SELECT p % 2 AS x, count(*) FROM parts WHERE k = 10 GROUP BY CUBE (p % 2) ORDER BY 1;
SELECT * FROM since();

-- what decides on a plan, or has no value: literals
SELECT p FROM parts WHERE k = 10 ORDER BY p LIMIT 1;
SELECT p FROM parts WHERE k = 10 ORDER BY p LIMIT 2;
SELECT p FROM parts WHERE k = 10 ORDER BY p LIMIT NULL;
SELECT k FROM items WHERE k = 10 AND (v = 100) = true;
SELECT k FROM items WHERE k = 10 AND (v = 100) = false;
SELECT coalesce(NULL, t) FROM items WHERE k = 10;
SELECT coalesce('x', t) FROM items WHERE k = 10;
SELECT k FROM items WHERE k = NULL;
SELECT count(*) FROM items WHERE k = NULL;
SELECT nullif(v, 100), nullif(v, NULL) FROM items WHERE k = 10;
SELECT nullif(v, NULL), nullif(v, 100) FROM items WHERE k = 10;
SELECT * FROM since();

-- alike to a hash, and not the same
SELECT row_to_json(s) FROM (SELECT v AS x FROM items WHERE k = 10) s;
SELECT row_to_json(s) FROM (SELECT v AS y FROM items WHERE k = 10) s;
SELECT v AS x FROM items WHERE k = 10;
SELECT v AS y FROM items WHERE k = 10;
SELECT ARRAY[]::int[] FROM items WHERE k = 10;
SELECT ARRAY[]::text[] FROM items WHERE k = 10;
SELECT a FROM items, json_to_record('{"a": 1.0}') AS x(a numeric) WHERE k = 10;
SELECT a FROM items, json_to_record('{"a": 1.0}') AS x(a text) WHERE k = 10;
SELECT t < 'ITEM' COLLATE "C" FROM items WHERE k = 10;
SELECT t < 'ITEM' COLLATE "POSIX" FROM items WHERE k = 10;
SELECT k FROM items WHERE k = 10 FOR UPDATE;
SELECT k FROM items WHERE k = 10 FOR SHARE;
SELECT k FROM items WHERE k = 10 AND t = 'item 10';
SELECT k FROM items WHERE k = 10 AND t = 'item 10'::varchar;
SELECT m FROM items WHERE k = 10 AND m = 'glad';
SELECT m FROM items WHERE k = 10 AND m = 'sad';
SELECT j -> 'a', j ->> 'b' FROM items WHERE k = 10;
SELECT j -> 'b', j ->> 'a' FROM items WHERE k = 10;
SELECT j['a'] FROM items WHERE k = 10;
SELECT * FROM since();

-- INSERT: its override and its columns; ON CONFLICT names an index
CREATE TABLE numbered (k int, n int GENERATED ALWAYS AS IDENTITY, v int);
SELECT tessera.create_distributed_table('numbered', 'k', shard_count => 4);
CREATE UNIQUE INDEX ON numbered (k, (v + 1));
INSERT INTO numbered (k, n, v) OVERRIDING SYSTEM VALUE VALUES (1, 77, 1) RETURNING *;
INSERT INTO numbered (k, n, v) OVERRIDING USER VALUE VALUES (2, 77, 1) RETURNING *;
INSERT INTO numbered (k, v) VALUES (1, 1) ON CONFLICT (k, (v + 1)) DO UPDATE SET v = 5 RETURNING *;
INSERT INTO numbered (k, v) VALUES (1, 1) ON CONFLICT (k, (v + 2)) DO UPDATE SET v = 5 RETURNING *;
INSERT INTO numbered (k, v) VALUES (1, 5) ON CONFLICT (k, (v + 1)) DO NOTHING RETURNING *;
INSERT INTO numbered (k, v) VALUES (NULL, 5), (NULL, 6);
INSERT INTO numbered (k, v) VALUES (NULL, 7);
INSERT INTO numbered (v) VALUES (8);
SELECT k, v FROM numbered ORDER BY k, v;

-- rows of VALUES: as many, with constants, defaults and NULL in the same places
SELECT FROM since();
INSERT INTO parts VALUES (1, 10, 'x'), (2, 10, 'y');
INSERT INTO parts VALUES (3, 11, 'z'), (2, 11, 'z');
INSERT INTO parts VALUES (4, 12, 'x'), (5, 12, NULL);
INSERT INTO parts VALUES (4, 13, 'x'), (5, 13, 'y'), (6, 13, 'z');
SELECT * FROM parts WHERE p >= 10 ORDER BY k, p;
SELECT * FROM since();
INSERT INTO items (k, v, c, n, at, m) VALUES (301, 1, 'a', 1, now(), DEFAULT), (302, 1, 'bc', 1.255, now(), 'glad') RETURNING k, n, m;
INSERT INTO items (k, v, c, n, at, m) VALUES (303, 1, 'ab', 12, now(), DEFAULT), (304, 2, 'c', 0.005, now(), 'sad') RETURNING k, n, m;
INSERT INTO items (k, v) VALUES (301, 9), (302, 8) ON CONFLICT (k) DO UPDATE SET v = excluded.v + 1 RETURNING k, v;
INSERT INTO items (k, v) VALUES (303, 7), (305, 6) ON CONFLICT (k) DO UPDATE SET v = excluded.v + 2 RETURNING k, v;
SELECT * FROM since();
-- an error in a constant comes before the sequence is asked
SELECT currval('items_id_seq') AS before \gset
INSERT INTO items (k, v, c, n, at, m) VALUES (306, 1, 'a', 1, now(), DEFAULT), (307, 1, 'too long', 1, now(), 'glad') RETURNING k, n, m;
SELECT currval('items_id_seq') = :before AS untouched;
DELETE FROM items WHERE k BETWEEN 301 AND 400;
DELETE FROM parts WHERE p >= 10;
SELECT FROM since();

-- one scan of many shards: conditions are pruned by each statement's own constants
SELECT k, v FROM items WHERE t = 'item 7';
SELECT k, v FROM items WHERE t = 'item 8';
UPDATE items SET v = v + 1, c = 'abc' WHERE t = 'item 7' RETURNING k, v, c;
UPDATE items SET v = v + 2, c = 'de' WHERE t = 'item 8' RETURNING k, v, c;
DELETE FROM items WHERE t = 'none' AND v < 0;
DELETE FROM items WHERE t = 'item 98' AND v < 10000;
SELECT * FROM since();
SELECT count(*) FROM items \g /dev/null
SELECT k FROM items WHERE k IN (3, 4) AND v > 0 \g /dev/null
SELECT statements AS sent FROM tessera_internal.net_counters() \gset
SELECT k FROM items WHERE k IN (5, 5) AND v > 0;
SELECT statements - :sent AS sent FROM tessera_internal.net_counters();
SELECT * FROM since();
-- it may go backward in one statement, and not in another
BEGIN;
DECLARE c CURSOR FOR SELECT k FROM items WHERE k > 0;
FETCH ALL FROM c \g /dev/null
MOVE BACKWARD ALL FROM c;
DECLARE d NO SCROLL CURSOR FOR SELECT k FROM items WHERE k > 0;
FETCH ALL FROM d \g /dev/null
MOVE BACKWARD ALL FROM d;
ROLLBACK;
SELECT FROM since();

-- what stands above a scan, other tables, rows of a query: no plan of that kind
SELECT count(*) FROM items WHERE v > 0;
SELECT count(*) FROM items WHERE v > 500;
SELECT count(*) FROM items JOIN local USING (k) WHERE k = 3;
SELECT k FROM items WHERE k IN (3, 4) ORDER BY k;
SELECT k FROM items WHERE k IN (3, 14) ORDER BY k;
INSERT INTO parts SELECT k, 10, 'x' FROM local WHERE k IN (1, 2);
SELECT * FROM since();
SELECT k FROM local WHERE k = 1;
SELECT * FROM since();
SET client_min_messages = warning;
DROP SCHEMA plan_shared CASCADE;
