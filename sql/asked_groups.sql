-- Correlated aggregates are computed for the groups that rows ask for, where these
-- are few. Each rule has a query that would give another answer without it.
CREATE SCHEMA asked_groups;
SET search_path = asked_groups;
SET client_min_messages = warning;
CREATE TABLE a (k int PRIMARY KEY, x int, y bigint, t text, kind int);
CREATE TABLE b (k int PRIMARY KEY, x int, y int, t text, v int);
CREATE TABLE here (x int, kind int);
CREATE TABLE dim (x int PRIMARY KEY, name text);
SELECT tessera.create_distributed_table('a', 'k', shard_count => 4, colocate_with => 'none');
SELECT tessera.create_distributed_table('b', 'k', shard_count => 4, colocate_with => 'none');
SELECT tessera.create_reference_table('dim');
INSERT INTO a SELECT i, CASE WHEN i % 50 > 0 THEN i END, i % 7, 't' || i, i % 100 FROM generate_series(1, 1000) i;
INSERT INTO b SELECT i, i % 1000, i % 7, 't' || i % 1000, i % 10 FROM generate_series(1, 5000) i;
INSERT INTO dim SELECT i, 'n' || i % 200 FROM generate_series(1, 1000) i;
INSERT INTO here SELECT i, i % 100 FROM generate_series(1, 1000) i;
ANALYZE a, b, dim, here;
-- the same tables, all local
CREATE SCHEMA asked_twins;
CREATE TABLE asked_twins.a AS TABLE a;
CREATE TABLE asked_twins.b AS TABLE b;
CREATE TABLE asked_twins.dim AS TABLE dim;
CREATE TABLE asked_twins.here AS TABLE here;

-- whether a query gives what it gives over local tables, and whether fewer than 300
-- rows were fetched for that
CREATE FUNCTION asks(query text, OUT same bool, OUT few bool) LANGUAGE plpgsql AS $$
DECLARE
	listed text := 'SELECT string_agg(r::text, '' '' ORDER BY r::text) FROM (' || query || ') r';
	plan jsonb;
	rows text;
	expected text;
BEGIN
	SET LOCAL search_path = asked_twins;
	EXECUTE listed INTO expected;
	SET LOCAL search_path = asked_groups;
	EXECUTE listed INTO rows;
	same := rows = expected;
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || query INTO plan;
	few := (SELECT sum(n::int) < 300 FROM jsonb_path_query(plan, 'strict $.**."Rows Received"') n);
END $$;

-- by a distributed table, a reference table and a local one, of which few rows are read
SELECT * FROM asks('SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a WHERE kind = 3');
SELECT * FROM asks('SELECT x, (SELECT count(*) FROM b WHERE b.x = dim.x) FROM dim WHERE name = ''n3''');
SELECT * FROM asks('SELECT x FROM here WHERE kind = 3 AND 4 < (SELECT count(*) FROM b WHERE b.x = here.x)');
SELECT * FROM asks('SELECT k FROM a WHERE kind IN (3, 4) AND 3 < (SELECT avg(v) FROM b WHERE a.x = b.x)');
-- all of them, where all are asked for
SELECT * FROM asks('SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM asks('SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a WHERE kind >= 0');
-- rows that ask for a group with NULL, or for none
SELECT * FROM asks('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x) FROM a WHERE kind = 50');
SELECT * FROM asks('SELECT k, (SELECT count(*) + 1 FROM b WHERE b.x = a.x + 999) FROM a WHERE kind IN (1, 2)');
-- several columns, other types of them, expressions, text
SELECT * FROM asks('SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x AND b.y = a.y) FROM a WHERE kind = 3');
SELECT * FROM asks('SELECT k, (SELECT sum(v) FROM b WHERE a.y + 3 = b.x) FROM a WHERE kind = 3');
SELECT * FROM asks('SELECT k, (SELECT max(v) FROM b WHERE b.t = a.t) FROM a WHERE kind = 3');
-- columns of two tables: each says something of its own
SELECT * FROM asks('SELECT a.k, (SELECT sum(v) FROM b WHERE b.x = a.x AND b.y = dim.x) FROM a, dim WHERE a.kind = 3 AND dim.x = a.y');
SELECT * FROM asks('SELECT a.k, (SELECT sum(v) FROM b WHERE b.x = dim.x) FROM a JOIN dim ON dim.x = a.x AND dim.name = ''n3'' WHERE a.k > 0');
-- the nullable side of an outer join has rows that its conditions in ON do not speak of
SELECT * FROM asks('SELECT a.k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a LEFT JOIN dim ON dim.x = a.x AND a.kind = 3 WHERE a.k < 300');
SELECT * FROM asks('SELECT a.k, (SELECT count(*) FROM b WHERE b.x = dim.x) FROM a LEFT JOIN dim ON dim.x = a.x AND dim.name = ''n3'' WHERE a.kind = 3');
SELECT * FROM asks('SELECT a.k, dim.x, (SELECT count(*) FROM b WHERE b.x = dim.x) FROM a RIGHT JOIN dim ON dim.x = a.x AND a.kind = 4 WHERE dim.name = ''n3''');
-- conditions that are subqueries, of which one names the row
SELECT * FROM asks('SELECT k FROM a WHERE x IN (SELECT x FROM dim WHERE name = ''n3'') AND 2 < (SELECT count(*) FROM b WHERE b.x = a.x)');
SELECT * FROM asks('SELECT k FROM a WHERE kind = 3 AND EXISTS (SELECT FROM dim WHERE dim.x = a.x) AND 2 < (SELECT count(*) FROM b WHERE b.x = a.x)');
SELECT * FROM asks('SELECT k FROM a WHERE kind = 3 AND 1 < (SELECT count(*) FROM b WHERE b.y = a.y) AND 2 < (SELECT count(*) FROM b WHERE b.x = a.x)');
-- what a WITH query or an outer level gives is not known inside
SELECT * FROM asks('WITH w AS MATERIALIZED (SELECT 3 AS kind) SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a WHERE kind = (SELECT kind FROM w)');
SELECT * FROM asks('SELECT d.x, s.n FROM dim d, LATERAL (SELECT sum((SELECT sum(v) FROM b WHERE b.x = a.x)) AS n FROM a WHERE kind = d.x) s WHERE d.x < 3');
-- nor is what such a condition keeps from failing asked without it
SELECT * FROM asks('WITH w AS MATERIALIZED (SELECT 4 AS kind) SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a WHERE kind <> (SELECT kind FROM w) AND 12 / (kind - 4) < 0 AND y = 3');
SELECT * FROM asks('SELECT d.x, s.n FROM dim d, LATERAL (SELECT sum((SELECT sum(v) FROM b WHERE b.x = a.x)) AS n FROM a WHERE kind <> d.x AND 12 / (kind - 4) < 0 AND y = 3) s WHERE d.x = 4');
SELECT * FROM asks('SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a WHERE kind <> 4 AND 12 / (kind - 4) < 0 AND y = 3');
-- conditions that another time other rows may pass: each row has a group of five
SELECT count(*) FROM (SELECT x, (SELECT count(*) FROM b WHERE b.x = here.x) AS n FROM here WHERE x IN (SELECT x FROM a WHERE kind < 20 LIMIT 3)) s WHERE n <> 5;
SELECT count(*) FROM (SELECT x, (SELECT count(*) FROM b WHERE b.x = here.x) AS n FROM here WHERE x < 1000 AND x IN (SELECT x FROM dim TABLESAMPLE bernoulli (10))) s WHERE n <> 5;
SELECT count(*) FROM (SELECT x, (SELECT count(*) FROM b WHERE b.x = here.x) AS n FROM here WHERE x < 1000 AND x = ANY (ARRAY(SELECT x FROM a TABLESAMPLE bernoulli (5)))) s WHERE n <> 5;

-- a volatile condition is asked once a row
CREATE SEQUENCE calls;
SELECT count(*) FROM (SELECT k, (SELECT sum(v) FROM b WHERE b.x = here.x) FROM here, (SELECT 1 AS k) one WHERE kind = 3 AND nextval('calls') > 0) s;
SELECT last_value FROM calls;
-- parameters
PREPARE p (int) AS SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a WHERE kind = $1 ORDER BY k LIMIT 20;
SET plan_cache_mode = force_generic_plan;
EXECUTE p (3);
EXECUTE p (NULL);
DROP SCHEMA asked_groups, asked_twins CASCADE;
