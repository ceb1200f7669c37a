-- joins with rows of anywhere else, which are sent to the shards
CREATE SCHEMA ship_join;
SET search_path = ship_join;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 20);
CREATE TYPE pair AS (a int, b int);

-- big and small are not colocated; big_here and small_here are their twins
CREATE TABLE big_here (id int PRIMARY KEY, k int, v numeric, t text, m mood, s short, p pair);
CREATE TABLE small_here (id int PRIMARY KEY, k int, g text, m mood, s short, c text COLLATE "C", p pair, a int[]);
INSERT INTO big_here SELECT i, NULLIF(i % 50, 7), i * 1.5, 't' || i % 5,
	(enum_range(NULL::mood))[i % 3 + 1], 's' || i % 4, ROW(i % 3, 1)::pair
	FROM generate_series(1, 1000) i;
-- keys twice, without a partner, and NULL
INSERT INTO small_here SELECT i, NULLIF(i % 30 + 35, 40), 'g' || i % 4,
	(enum_range(NULL::mood))[i % 3 + 1], 's' || i % 3, 'C' || i % 3, ROW(i % 3, 1)::pair, ARRAY[i]
	FROM generate_series(1, 60) i;
CREATE TABLE big AS TABLE big_here;
ALTER TABLE big ADD PRIMARY KEY (id);
CREATE TABLE small AS TABLE small_here;
ALTER TABLE small ADD PRIMARY KEY (id);
CREATE TABLE nothing (k int, g text);
CREATE TABLE local_small AS TABLE small_here;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('big', 'id', shard_count => 6);
SELECT tessera.create_distributed_table('small', 'id', shard_count => 6, colocate_with => 'none');
RESET client_min_messages;
ANALYZE big, small, local_small, nothing, big_here, small_here;

-- A statement over big and small; the same of their twins: the difference.
CREATE FUNCTION difference(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	there text[];
	here text[];
	r record;
BEGIN
	FOR r IN EXECUTE statement LOOP there := there || r::text; END LOOP;
	FOR r IN EXECUTE regexp_replace(replace(statement, 'local_small', 'small'), '\m(big|small)\M', '\1_here', 'g')
		LOOP here := here || r::text; END LOOP;
	RETURN QUERY (SELECT 'only there: ' || t FROM unnest(there) t EXCEPT ALL SELECT 'only there: ' || h FROM unnest(here) h);
	RETURN QUERY (SELECT 'only here: ' || h FROM unnest(here) h EXCEPT ALL SELECT 'only here: ' || t FROM unnest(there) t);
	RETURN NEXT cardinality(here) || ' rows' || CASE WHEN (SELECT bool_or(line ~ 'Join on Nodes') FROM explain(statement) line)
		THEN ', joined on nodes' ELSE '' END;
END $$;
CREATE FUNCTION explain(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || statement;
END $$;

-- the rows of the smaller side are sent, and groups come back
EXPLAIN (COSTS OFF) SELECT s.g, count(*), sum(b.v) FROM big b JOIN small s ON b.k = s.k GROUP BY s.g;
SELECT difference('SELECT s.g, count(*), sum(b.v), avg(b.v) FROM big b JOIN small s ON b.k = s.k GROUP BY s.g');
SELECT difference('SELECT count(*), max(s.g), min(b.t) FROM big b JOIN small s ON b.k = s.k');

-- each kind of join: what is kept is kept once, with NULLs and duplicates
EXPLAIN (COSTS OFF) SELECT b.t, count(s.id) FROM big b LEFT JOIN small s ON b.k = s.k GROUP BY b.t;
SELECT difference('SELECT b.t, count(s.id), count(*), sum(s.id) FROM big b LEFT JOIN small s ON b.k = s.k GROUP BY b.t');
SELECT difference('SELECT count(*) FROM small s RIGHT JOIN big b ON b.k = s.k AND s.g > b.t WHERE s.id IS NULL OR s.id > 3');
SELECT difference('SELECT sum(b.v), count(*) FROM big b WHERE EXISTS (SELECT FROM small s WHERE s.k = b.k)');
SELECT difference('SELECT sum(b.v), count(*) FROM big b WHERE b.k IN (SELECT k FROM small)');
SELECT difference('SELECT sum(b.v), count(*) FROM big b WHERE EXISTS (SELECT FROM small s WHERE s.k = b.k AND s.g <> b.t)');
SELECT difference('SELECT sum(b.v), count(*) FROM big b WHERE NOT EXISTS (SELECT FROM small s WHERE s.k = b.k AND s.id > b.id)');
SELECT difference('SELECT sum(b.v), count(*) FROM big b WHERE b.k NOT IN (SELECT k FROM small WHERE k IS NOT NULL)');
SELECT difference('SELECT count(*), count(b.id), count(s.id) FROM big b FULL JOIN small s ON b.k = s.k');
SELECT difference('SELECT count(*) FROM big b LEFT JOIN small s ON b.k = s.k AND b.id % 2 = 0 WHERE s.g IS DISTINCT FROM ''g1''');

-- a row of big may be kept by a condition on nothing but itself
SELECT difference('SELECT count(*), count(s.id) FROM big b LEFT JOIN small s ON b.k = s.k AND b.t = ''t1''');

-- local tables, VALUES and functions are sent as well
EXPLAIN (COSTS OFF) SELECT b.id FROM big b JOIN (VALUES (3), (4)) x (k) ON b.k = x.k;
SELECT difference('SELECT b.id, x.n FROM big b JOIN (VALUES (3, ''c''), (4, ''d''), (4, NULL), (NULL, ''n'')) x (k, n) ON b.k = x.k');
SELECT difference('SELECT count(*) FROM big b JOIN local_small s ON b.k = s.k');
SELECT difference('SELECT count(*), sum(i) FROM big b JOIN generate_series(30, 40) i ON b.k = i');

-- the shards' side may be a fragment, and DISTINCT stands above as groups do
EXPLAIN (COSTS OFF) SELECT s.g, sum(c.v) FROM big b JOIN big c USING (id) JOIN local_small s ON b.k = s.k WHERE c.t <> 't2' GROUP BY s.g;
SELECT difference('SELECT s.g, sum(c.v) FROM big b JOIN big c USING (id) JOIN local_small s ON b.k = s.k WHERE c.t <> ''t2'' GROUP BY s.g');
SELECT difference('SELECT s.g, max(n) FROM (SELECT id, max(k) k, count(*) n FROM big GROUP BY id) b JOIN local_small s ON b.k = s.k GROUP BY s.g');
SELECT difference('SELECT DISTINCT s.g, b.t FROM big b JOIN small s ON b.k = s.k');
SELECT difference('SELECT count(DISTINCT b.t), s.g FROM big b JOIN small s ON b.k = s.k GROUP BY s.g');

-- rows that come by themselves, where a join leaves few of them
EXPLAIN (COSTS OFF) SELECT b.id, s.g FROM big b JOIN small s ON b.k = s.k WHERE s.id < 3;
SELECT difference('SELECT b.id, b.v, s.g FROM big b JOIN small s ON b.k = s.k WHERE s.id < 3');
-- conditions that cannot travel are checked here
SET tessera.propagate_objects = off;
CREATE FUNCTION is_odd(i int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN i % 2 = 1; END';
RESET tessera.propagate_objects;
EXPLAIN (COSTS OFF) SELECT b.id, s.g FROM big b JOIN small s ON b.k = s.k AND is_odd(b.id + s.id) WHERE s.id < 3;
SELECT difference('SELECT b.id, s.g FROM big b JOIN small s ON b.k = s.k AND is_odd(b.id + s.id) WHERE s.id < 3');
SELECT difference('SELECT count(*) FROM big b LEFT JOIN small s ON b.k = s.k AND is_odd(b.id + s.id)');
SELECT difference('SELECT count(*) FROM big b LEFT JOIN small s ON b.k = s.k WHERE is_odd(b.id + s.id)');

-- without equality all pairs are looked at on the nodes
SELECT difference('SELECT count(*), sum(s.id) FROM big b JOIN small s ON b.id BETWEEN s.id AND s.id * 3');

-- users' types travel as elements of arrays; arrays do not
SELECT difference('SELECT s.m, count(*) FROM big b JOIN small s ON b.k = s.k AND b.m = s.m GROUP BY s.m');
SELECT difference('SELECT s.s, count(*) FROM big b JOIN small s ON b.k = s.k AND b.s < s.s GROUP BY s.s');
SELECT difference('SELECT s.c, max(s.c), count(*) FROM big b JOIN small s ON b.k = s.k AND b.t > s.c GROUP BY s.c');
SELECT difference('SELECT s.p, count(*) FROM big b JOIN small s ON b.k = s.k AND b.p = s.p GROUP BY s.p');
SELECT difference('SELECT s.a, count(*) FROM big b JOIN small s ON b.k = s.k GROUP BY s.a');

-- nothing to send: the nodes are asked only where rows are kept
SELECT difference('SELECT count(*), sum(b.v) FROM big b JOIN small s ON b.k = s.k WHERE s.id < 0');
SELECT difference('SELECT count(*), sum(b.v) FROM big b LEFT JOIN (SELECT * FROM local_small WHERE id < 0) s ON b.k = s.k');
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF)
SELECT count(*) FROM big b JOIN nothing n ON b.k = n.k;

-- more rows than were expected come in several loads
CREATE FUNCTION many(n int) RETURNS SETOF int LANGUAGE plpgsql STABLE ROWS 10 AS
	'BEGIN RETURN QUERY SELECT i FROM generate_series(1, n) i; END';
SET tessera.ship_limit = '4kB';
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF)
SELECT count(*), sum(i) FROM big b JOIN many(2000) i ON b.id = i;
SELECT count(*), sum(i) FROM big b JOIN many(2000) i ON b.id = i;
SELECT count(*), sum(i) FROM big b JOIN (SELECT i FROM many(2000) i UNION ALL SELECT i FROM many(300) i) x ON b.id = i;
SELECT b.id FROM big b JOIN many(2000) i ON b.id = i WHERE b.k = 3 ORDER BY b.id LIMIT 3;
-- joins that have to see all of them do
SELECT count(*), count(i) FROM big b LEFT JOIN many(2000) i ON b.id = i WHERE b.k IS NOT NULL;
SELECT count(*) FROM big b WHERE EXISTS (SELECT FROM many(1000) i WHERE i = b.k);
SELECT count(*) FROM big b WHERE NOT EXISTS (SELECT FROM many(1000) i WHERE i = b.k);
-- and with 0, all is computed here
SET tessera.ship_limit = 0;
SELECT count(*) FROM big b LEFT JOIN many(2000) i ON b.id = i;
EXPLAIN (COSTS OFF) SELECT s.g, count(*) FROM big b JOIN small s ON b.k = s.k GROUP BY s.g;
RESET tessera.ship_limit;

-- again and again with other arguments: what is sent may depend on them too
SELECT difference('SELECT x, (SELECT count(*) FROM big b JOIN small s ON b.k = s.k WHERE s.id < x) FROM generate_series(0, 12, 3) x');
SELECT difference('SELECT x, (SELECT count(*) FROM big b JOIN small s ON b.k = s.k WHERE b.id < x) FROM generate_series(0, 300, 100) x');
SELECT difference('SELECT x, n FROM generate_series(1, 3) x, LATERAL (SELECT count(*) n FROM big b JOIN small s ON b.k = s.k + x) y');
PREPARE counting(int) AS SELECT count(*) FROM big b JOIN small s ON b.k = s.k WHERE s.id < $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE counting(10);
EXECUTE counting(50);
RESET plan_cache_mode;
DEALLOCATE counting;

-- a cursor sees what was there when it was opened, in all loads
SET tessera.ship_limit = '4kB';
BEGIN;
DECLARE c CURSOR FOR SELECT b.id, b.t FROM big b JOIN many(1000) i ON b.id = i;
FETCH 0 FROM c;
UPDATE big SET t = 'new';
SELECT count(*) FILTER (WHERE t = 'new') AS new, count(*) FILTER (WHERE t <> 'new') AS old
	FROM big b JOIN many(1000) i ON b.id = i;
CREATE TEMP TABLE fetched (id int, t text);
DO $$
DECLARE r record; c refcursor := 'c';
BEGIN
	LOOP
		FETCH c INTO r;
		EXIT WHEN NOT FOUND;
		INSERT INTO fetched VALUES (r.id, r.t);
	END LOOP;
END $$;
SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE t = 'new') AS new FROM fetched;
ROLLBACK;
RESET tessera.ship_limit;

-- in a subtransaction that is rolled back, and the session goes on
BEGIN;
SAVEPOINT a;
SELECT count(*) FROM big b JOIN small s ON b.k = s.k WHERE 1 / (s.id - 10) > 5;
ROLLBACK TO a;
SELECT count(*) FROM big b JOIN small s ON b.k = s.k;
COMMIT;

-- changes take their rows from such joins
CREATE TABLE target (id int, g text);
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('target', 'id', shard_count => 6, colocate_with => 'none');
RESET client_min_messages;
INSERT INTO target SELECT b.id, s.g FROM big b JOIN small s ON b.k = s.k WHERE s.id < 9;
SELECT count(*), count(DISTINCT id), min(g), max(g) FROM target;

-- rows of a table have another type in each shard, so there is no union of them
SELECT count(f.r), min(f.r::text) FROM (SELECT b AS r, b.k FROM big b JOIN big c ON b.id = c.id GROUP BY b.id) f JOIN local_small x ON f.k = x.k AND x.id < 4;

-- nobody learns from a leaky condition of a join what a view hides
CREATE VIEW hidden WITH (security_barrier) AS SELECT * FROM big WHERE id <= 2;
SELECT v.id FROM hidden v JOIN local_small s ON v.k = s.k - 33 AND 10 / (v.id - 3) IS NOT NULL;
SELECT count(*) FROM hidden v JOIN small s ON v.k = s.k - 33;

-- row locks: each row is locked where it is
SELECT b.id FROM big b JOIN (VALUES (3)) x (k) ON b.k = x.k WHERE b.id < 100 ORDER BY b.id FOR UPDATE OF b;

-- what a statement itself changes is not seen by it
WITH u AS (UPDATE big SET k = k + 1 WHERE id <= 10 RETURNING id, k) SELECT count(*) FROM u JOIN big b ON b.k = u.k;
WITH e AS (DELETE FROM big WHERE id <= 10 RETURNING k) SELECT count(*) FROM e WHERE k IN (SELECT k FROM big);
CREATE FUNCTION renews() RETURNS SETOF int LANGUAGE plpgsql ROWS 10 AS
	'BEGIN UPDATE big SET k = 3; RETURN QUERY VALUES (3), (4); END';
SELECT count(*) FROM big b JOIN renews() r ON b.k = r;
-- a function that hides what it does is found out
CREATE FUNCTION hides() RETURNS SETOF int LANGUAGE plpgsql STABLE ROWS 10 AS
	'BEGIN RETURN QUERY SELECT renews(); END';
\set VERBOSITY sqlstate
SELECT count(*) FROM big b JOIN hides() r ON b.k = r;
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA ship_join CASCADE;
