-- CTEs and SQL functions in FROM that PostgreSQL inlines are inlined before
-- fragments are looked for.
CREATE SCHEMA inline;
SET search_path = inline;
SET client_min_messages = warning;
CREATE TABLE a (k int PRIMARY KEY, x int);
CREATE TABLE b (k int PRIMARY KEY, x int);
CREATE TABLE here (id int, v int);
SELECT tessera.create_distributed_table('a', 'k', shard_count => 4, colocate_with => 'none');
SELECT tessera.create_distributed_table('b', 'k', colocate_with => 'a');
INSERT INTO a SELECT i, i % 3 FROM generate_series(1, 12) i;
INSERT INTO b SELECT i, i % 4 FROM generate_series(1, 9) i;
INSERT INTO here VALUES (1, 1), (2, 2);

-- how many scans of shards a statement has, what else is in its plan, and rows
CREATE FUNCTION scans(query text, OUT scans int, OUT ctes int, OUT result text) LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	scans := 0;
	ctes := 0;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		scans := scans + (line ~ 'TesseraScan')::int;
		ctes := ctes + (line ~ '^\s+CTE ')::int;
	END LOOP;
	EXECUTE 'SELECT string_agg(r::text, '' '' ORDER BY r::text) FROM (' || query || ') r' INTO result;
END $$;

-- one that is named once
SELECT * FROM scans('WITH q AS (SELECT * FROM a) SELECT q.k, b.x FROM q JOIN b USING (k) WHERE q.x = 1');
SELECT * FROM scans('WITH q(one, two) AS (SELECT * FROM a) SELECT one, q FROM q WHERE two = 2 AND EXISTS (SELECT FROM b WHERE b.k = one)');
-- one that names another, one that stands in a subquery, or below
SELECT * FROM scans('WITH q AS (SELECT * FROM a), p AS (SELECT q.k, b.x FROM q JOIN b USING (k)) SELECT count(*) FROM (SELECT k FROM p GROUP BY k) s');
SELECT * FROM scans('SELECT k FROM (WITH q AS (SELECT * FROM a) SELECT * FROM q JOIN (SELECT k, x AS y FROM b) c USING (k)) s WHERE y = 1');
SELECT * FROM scans('WITH q AS (SELECT * FROM b) SELECT k FROM a WHERE k IN (SELECT k FROM q WHERE x = 1)');
SELECT * FROM scans('WITH q AS (SELECT * FROM b) SELECT k, (SELECT max(x) FROM (SELECT * FROM q) r WHERE r.k = a.k) FROM a');
SELECT * FROM scans('SELECT k, (WITH q AS (SELECT * FROM b WHERE b.k = a.k) SELECT max(x) FROM q) FROM a');
-- the same name at two levels
SELECT * FROM scans('WITH q AS (SELECT 1 AS k) SELECT * FROM (WITH q AS (SELECT k FROM q UNION ALL SELECT k + 1 FROM q) SELECT b.k FROM q JOIN b USING (k)) s');
-- one that nobody names is not run
SELECT * FROM scans('WITH q AS (SELECT 1 / (k - k) FROM a) SELECT count(*) FROM b');
-- several times, or MATERIALIZED: computed once
SELECT * FROM scans('WITH q AS (SELECT * FROM a WHERE x = 1) SELECT c.k FROM q c JOIN q d USING (k)');
SELECT * FROM scans('WITH q AS MATERIALIZED (SELECT * FROM a) SELECT q.k FROM q JOIN b USING (k) WHERE q.x = 1');
SELECT * FROM scans('WITH q AS NOT MATERIALIZED (SELECT * FROM a WHERE x = 1) SELECT c.k FROM q c JOIN q d USING (k)');
-- with effects: computed once, to the end
CREATE SEQUENCE calls;
WITH q AS (SELECT nextval('calls') AS n, k FROM a) SELECT count(*) FROM (SELECT * FROM q LIMIT 1) s;
WITH q AS NOT MATERIALIZED (SELECT nextval('calls') AS n FROM a WHERE k < 3) SELECT count(DISTINCT c.n) FROM q c JOIN q d USING (n);
SELECT last_value FROM calls;
WITH q AS (SELECT * FROM a WHERE k = 1 FOR UPDATE) SELECT x FROM q;
-- recursion, outside and inside
SELECT * FROM scans('WITH RECURSIVE q(k) AS (SELECT k FROM a WHERE k = 1 UNION ALL SELECT q.k + 1 FROM q JOIN b USING (k)) SELECT max(k) FROM q');
SELECT * FROM scans('WITH RECURSIVE p AS (SELECT k FROM b), q(k) AS (SELECT 1 UNION ALL SELECT q.k + 1 FROM q WHERE k IN (SELECT k FROM p)) SELECT max(k) FROM q');
SELECT * FROM scans('WITH RECURSIVE q(k) AS (SELECT 1 UNION ALL (WITH r AS (SELECT k FROM q) SELECT r.k + 1 FROM r JOIN b USING (k))) SELECT max(k) FROM q');

-- functions: with defaults, named arguments, in other functions, of columns
CREATE FUNCTION of_x(wanted int, above int DEFAULT 0) RETURNS SETOF a LANGUAGE sql STABLE AS 'SELECT * FROM a WHERE x = wanted AND k > above';
CREATE FUNCTION joined(wanted int) RETURNS TABLE (k int, y int) LANGUAGE sql STABLE AS 'SELECT f.k, b.x FROM inline.of_x(wanted) f JOIN inline.b USING (k)';
CREATE FUNCTION atomic(wanted int) RETURNS SETOF int STABLE BEGIN ATOMIC SELECT k FROM inline.a WHERE x = wanted; END;
SELECT * FROM scans('SELECT f.k, b.x FROM of_x(1) f JOIN b USING (k)');
SELECT * FROM scans('SELECT f, b.x FROM of_x(above => 4, wanted => 1) f JOIN b USING (k)');
SELECT * FROM scans('SELECT * FROM joined(2)');
SELECT * FROM scans('SELECT b.k, f.k AS fk FROM b, of_x(b.x) f WHERE b.k = f.k');
SELECT * FROM scans('SELECT * FROM atomic(1) f WHERE EXISTS (SELECT FROM b WHERE b.k = f)');
SELECT * FROM scans('SELECT count(*), max(ordinality) FROM of_x(1) WITH ORDINALITY');
PREPARE p (int) AS SELECT f.k FROM of_x($1) f JOIN b USING (k) ORDER BY 1;
EXECUTE p (1);
EXECUTE p (NULL);
-- a plan is made anew when the function is
SET plan_cache_mode = force_generic_plan;
EXECUTE p (1);
CREATE OR REPLACE FUNCTION of_x(wanted int, above int DEFAULT 0) RETURNS SETOF a LANGUAGE sql STABLE AS 'SELECT k, x FROM b WHERE x = wanted AND k > above';
EXECUTE p (1);
RESET plan_cache_mode;
-- in statements that lock or change other rows
SELECT id FROM here, of_x(1) f WHERE f.k = id ORDER BY id FOR UPDATE OF here;
UPDATE here SET v = f.k FROM of_x(2) f WHERE id = 2 AND f.k < 5 RETURNING v;
DELETE FROM a USING of_x(1) f WHERE f.k = a.k AND a.k > 5 RETURNING a.k;
-- whoever may not call it, may not
CREATE ROLE regress_inline;
GRANT USAGE ON SCHEMA inline TO regress_inline;
GRANT SELECT ON b TO regress_inline;
REVOKE EXECUTE ON FUNCTION of_x FROM PUBLIC;
SET ROLE regress_inline;
\set VERBOSITY sqlstate
SELECT count(*) FROM inline.of_x(1);
RESET ROLE;
GRANT EXECUTE ON FUNCTION of_x TO regress_inline;
REVOKE SELECT ON b FROM regress_inline;
SET ROLE regress_inline;
SELECT count(*) FROM inline.of_x(1);
RESET ROLE;
\set VERBOSITY default

REVOKE USAGE ON SCHEMA inline FROM regress_inline;
REVOKE SELECT ON b FROM regress_inline;
REVOKE EXECUTE ON FUNCTION of_x FROM regress_inline;
DROP SCHEMA inline CASCADE;
DROP ROLE regress_inline;
