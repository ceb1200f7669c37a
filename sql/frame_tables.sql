-- A distributed table that is joined with large reference tables is asked for by one
-- statement a node, which reads these once. Each rule has a query that would give
-- another answer, or fail, without it.
CREATE SCHEMA frame_tables;
SET search_path = frame_tables;
SET client_min_messages = warning;
CREATE TABLE a (k int PRIMARY KEY, x int, y int, "a Name" varchar(20), n numeric(10,2), t text COLLATE "C");
CREATE TABLE b (k int PRIMARY KEY, v int);
CREATE TABLE dim (x int PRIMARY KEY, name text, kind int, pad text);
CREATE TABLE other (y int PRIMARY KEY, label text, pad text);
CREATE TABLE tiny (y int PRIMARY KEY, label text);
SELECT tessera.create_distributed_table('a', 'k', shard_count => 8, colocate_with => 'none');
SELECT tessera.create_distributed_table('b', 'k', colocate_with => 'a');
SELECT tessera.create_reference_table('dim');
SELECT tessera.create_reference_table('other');
SELECT tessera.create_reference_table('tiny');
INSERT INTO a SELECT i, nullif(i % 3000, 7), i % 10, 'n' || i % 9, i / 3.0, 't' || i % 5 FROM generate_series(1, 4000) i;
INSERT INTO b SELECT i, i % 7 FROM generate_series(1, 4000) i;
INSERT INTO dim SELECT i, 'd' || i % 40, i % 100, repeat('x', 100) FROM generate_series(1, 4000) i;
INSERT INTO other SELECT i, 'l' || i % 3, repeat('y', 100) FROM generate_series(1, 4000) i;
INSERT INTO tiny SELECT i, 'l' || i % 3 FROM generate_series(1, 10) i;
CREATE INDEX ON a (x);
ANALYZE a, b, dim, other, tiny;
-- the same tables, all local
CREATE SCHEMA frame_twins;
CREATE TABLE frame_twins.a AS TABLE a;
CREATE TABLE frame_twins.b AS TABLE b;
CREATE TABLE frame_twins.dim AS TABLE dim;
CREATE TABLE frame_twins.other AS TABLE other;
CREATE TABLE frame_twins.tiny AS TABLE tiny;

-- whether a query gives what it gives over local tables, in its order, and whether it
-- is sent as one statement for all shards of a node
CREATE FUNCTION frames(query text, OUT same bool, OUT framed bool) LANGUAGE plpgsql AS $$
DECLARE
	listed text := 'SELECT string_agg(r::text, '' '') FROM (' || query || ') r';
	line text;
	rows text;
	expected text;
BEGIN
	IF query !~ 'ORDER BY' THEN
		listed := replace(listed, ''' '')', ''' '' ORDER BY r::text)');
	END IF;
	SET LOCAL search_path = frame_twins;
	EXECUTE listed INTO expected;
	SET LOCAL search_path = frame_tables;
	EXECUTE listed INTO rows;
	same := rows = expected;
	framed := false;
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
		framed := framed OR line ~ 'Remote SQL.*[)] shard';
	END LOOP;
END $$;

-- joins, written in either way, with one table or two
SELECT * FROM frames('SELECT a.k, dim.name FROM a, dim WHERE a.x = dim.x AND dim.kind = 3');
SELECT * FROM frames('SELECT a.*, dim.name FROM a JOIN dim ON a.x = dim.x AND a.y <= dim.kind WHERE dim.kind < 5 AND a.n > 100');
SELECT * FROM frames('SELECT k, name, label FROM a JOIN dim USING (x) JOIN other USING (y) WHERE kind = 3');
SELECT * FROM frames('SELECT a.k FROM dim JOIN a ON a.x = dim.x OR a.y = dim.kind AND a.k < 50 WHERE dim.kind = 3');
SELECT * FROM frames('SELECT name FROM dim shard JOIN a ON a.x = shard.x WHERE kind = 3');
SELECT * FROM frames('SELECT d.name, e.name FROM a, dim d, dim e WHERE a.x = d.x AND a.y = e.x AND d.kind = 3');
-- each row once, whatever shard it is from; none has columns
SELECT * FROM frames('SELECT t, name FROM a JOIN dim USING (x) WHERE kind < 3');
SELECT * FROM frames('SELECT count(*) FROM a JOIN dim USING (x) WHERE kind = 3');
SELECT * FROM frames('SELECT count(*) FROM a, dim WHERE kind = 3');
-- what stands above: groups of a node, order, limits, conditions
SELECT * FROM frames('SELECT name, count(*), sum(n), avg(y), max("a Name") FROM a JOIN dim USING (x) GROUP BY name');
SELECT * FROM frames('SELECT name, count(DISTINCT t) FROM a JOIN dim USING (x) GROUP BY name HAVING count(*) > 80');
SELECT * FROM frames('SELECT a.k, name FROM a JOIN dim USING (x) WHERE kind < 30 ORDER BY a.n DESC, a.k LIMIT 5 OFFSET 2');
SELECT * FROM frames('SELECT "a Name", t FROM a JOIN dim USING (x) WHERE kind = 3 ORDER BY "a Name", t');
SELECT * FROM frames('SELECT * FROM (SELECT a.k, name || t AS u FROM a JOIN dim USING (x) LIMIT ALL) s WHERE u < ''d2''');
SELECT * FROM frames('SELECT a.k, name FROM a JOIN dim USING (x) WHERE a.k IN (3, 100, 2000) AND kind > 0');
-- subqueries of reference tables
SELECT * FROM frames('SELECT k FROM a WHERE x IN (SELECT x FROM dim WHERE kind = 3)');
SELECT * FROM frames('SELECT k FROM a WHERE NOT EXISTS (SELECT FROM dim WHERE dim.x = a.x AND kind <> 3)');
-- not: outer joins, several distributed tables, groups in the shards, small tables, whole rows
SELECT * FROM frames('SELECT a.k, name FROM a LEFT JOIN dim ON a.x = dim.x AND kind = 3');
SELECT * FROM frames('SELECT a.k, name FROM a JOIN b USING (k) JOIN dim USING (x) WHERE kind = 3');
SELECT * FROM frames('SELECT k FROM a JOIN dim USING (x) WHERE kind = 3 AND EXISTS (SELECT FROM b WHERE b.k = a.k AND v = 1)');
SELECT * FROM frames('SELECT k, count(*) FROM a JOIN dim USING (x) WHERE kind = 3 GROUP BY k');
SELECT * FROM frames('SELECT k, label FROM a JOIN tiny USING (y)');
SELECT * FROM frames('SELECT count(a), max(a.k) FROM a JOIN dim USING (x) WHERE kind = 3');
-- parameters, known when they run
PREPARE p (int, int) AS SELECT a.k, name FROM a JOIN dim USING (x) WHERE kind = $1 AND a.k > $2 ORDER BY a.k LIMIT 3;
SET plan_cache_mode = force_generic_plan;
EXECUTE p (3, 500);
EXECUTE p (4, 3000);
EXECUTE p (NULL, 1);
DROP SCHEMA frame_tables, frame_twins CASCADE;
