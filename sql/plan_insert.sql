-- INSERT: subqueries of ON CONFLICT, keys that it sets, and what rows see that
-- are computed here.
CREATE SCHEMA plan_insert;
SET search_path = plan_insert;
SET client_min_messages = warning;
CREATE TABLE t (k int, n int, v text, PRIMARY KEY (k, n));
CREATE TABLE r (k int PRIMARY KEY, v text, w int);
CREATE TABLE loc (k int, v text);
SELECT tessera.create_distributed_table('t', 'k', shard_count => 8);
SELECT tessera.create_reference_table('r');
INSERT INTO t SELECT i, 0, 'old' FROM generate_series(1, 40) i;
INSERT INTO r SELECT i, 'old', i FROM generate_series(1, 5) i;
INSERT INTO loc VALUES (1, 'one'), (2, 'two');
CREATE SEQUENCE runs;
CREATE FUNCTION run() RETURNS bigint STABLE LANGUAGE plpgsql AS $$BEGIN RETURN nextval('plan_insert.runs'); END$$;

-- a subquery of ON CONFLICT that knows no row is run here, before the first row is sent:
-- of local, distributed and reference tables, and of the target itself
INSERT INTO t VALUES (1, 0, 'new'), (2, 0, 'new'), (3, 1, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT max(v) FROM loc) || excluded.n RETURNING *;
INSERT INTO t SELECT i, 0, 'new' FROM generate_series(4, 6) i ON CONFLICT (k, n) DO UPDATE SET v = t.v || (SELECT count(*) FROM t) RETURNING *;
INSERT INTO t VALUES (7, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = ARRAY(SELECT w FROM r ORDER BY w DESC)::text RETURNING *;
INSERT INTO t VALUES (8, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM t x WHERE x.k = 1 AND x.n = 0) RETURNING *;
INSERT INTO r VALUES (1, 'new', 1), (9, 'new', 9) ON CONFLICT (k) DO UPDATE SET v = (SELECT count(*) FROM t), w = (SELECT sum(w) FROM r) RETURNING *;
-- in WHERE; EXISTS and IN
INSERT INTO t VALUES (9, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = 'set' WHERE t.k = (SELECT 9 FROM loc WHERE k = 1) RETURNING *;
INSERT INTO t VALUES (10, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = 'set' WHERE EXISTS (SELECT FROM loc WHERE k = 3) RETURNING *;
INSERT INTO t VALUES (10, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = 'set' WHERE 2 IN (SELECT k FROM loc) AND 3 NOT IN (SELECT k FROM loc) RETURNING *;
-- over WITH queries, in a part of WITH, and with parameters
WITH q AS (SELECT 1 AS a, 'with' AS b) INSERT INTO t VALUES (11, 0, (SELECT b || ' inserted' FROM q)) ON CONFLICT (k, n) DO UPDATE SET v = (SELECT b || ' updated' FROM q WHERE a = 1 LIMIT 1) RETURNING *;
WITH i AS (INSERT INTO t VALUES (12, 0) ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM loc WHERE loc.k = 2) RETURNING *) SELECT * FROM i JOIN loc USING (v);
WITH q AS (SELECT 'outer' AS v), i AS (INSERT INTO t VALUES (12, 0, '!') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM q) || excluded.v RETURNING *) SELECT * FROM i;
PREPARE put(int, int) AS INSERT INTO t VALUES ($1, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v || $2 FROM loc WHERE k = $2) RETURNING *;
EXECUTE put(13, 1);
SET plan_cache_mode = force_generic_plan;
EXECUTE put(14, 2);
EXECUTE put(14, 3);
RESET plan_cache_mode;
-- once a statement, whatever the number of rows
INSERT INTO t SELECT i, 0 FROM generate_series(1, 30) i ON CONFLICT (k, n) DO UPDATE SET v = (SELECT run() FROM loc LIMIT 1);
SELECT v, count(*) FROM t WHERE k <= 30 AND n = 0 GROUP BY v;
-- several columns at once
INSERT INTO t VALUES (15, 0, 'new'), (16, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET (v, n) = (SELECT v, k FROM loc WHERE k = 2) RETURNING *;
INSERT INTO t VALUES (17, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET (v, n) = (SELECT v, k FROM loc WHERE k = 1), k = excluded.k RETURNING *;
INSERT INTO r VALUES (2, 'new', 2) ON CONFLICT (k) DO UPDATE SET (w, v) = (SELECT k, v FROM loc WHERE false) RETURNING *;
-- an error of it changes nothing
\set VERBOSITY terse
INSERT INTO t VALUES (18, 0, 'new'), (100, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM loc);
SELECT * FROM t WHERE k IN (18, 100);
-- nor does a table of it that may not be read
CREATE ROLE regress_upserter;
GRANT USAGE ON SCHEMA plan_insert TO regress_upserter;
GRANT SELECT, INSERT, UPDATE ON t TO regress_upserter;
SET ROLE regress_upserter;
INSERT INTO t VALUES (18, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT max(v) FROM loc);
RESET ROLE;
REVOKE ALL ON t FROM regress_upserter;
DROP OWNED BY regress_upserter;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_upserter; END'$$) WHERE NOT success;
DROP ROLE IF EXISTS regress_upserter;
-- ON CONFLICT may set the key to what it is
INSERT INTO t VALUES (20, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET k = excluded.k, n = excluded.n, v = excluded.v RETURNING *;
INSERT INTO t VALUES (21, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET k = t.k, v = 'same' RETURNING *;
INSERT INTO t VALUES (22, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET k = 22, v = 'where' WHERE t.k = 22 RETURNING *;
INSERT INTO t VALUES (22, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET k = 23;
INSERT INTO t VALUES (22, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET (k, v) = (SELECT 22, v FROM loc);
\set VERBOSITY default

-- a volatile function that computes a row sees the rows before it
CREATE FUNCTION rows_of_t() RETURNS int VOLATILE LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM plan_insert.t WHERE n = 50); END$$;
CREATE FUNCTION rows_of_t_sql() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT count(*)::int FROM plan_insert.t WHERE n = 51';
CREATE FUNCTION rows_of_r() RETURNS int VOLATILE LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM plan_insert.r WHERE w = 50); END$$;
INSERT INTO t SELECT i, 50, rows_of_t() FROM generate_series(1, 20) i;
SELECT string_agg(v, ',' ORDER BY k) FROM t WHERE n = 50;
INSERT INTO t SELECT i, 51, rows_of_t_sql() FROM generate_series(1, 20) i;
SELECT string_agg(v, ',' ORDER BY k) FROM t WHERE n = 51;
INSERT INTO t VALUES (1, 50, rows_of_t()), (25, 50, rows_of_t()), (26, 50, rows_of_t()) ON CONFLICT (k, n) DO UPDATE SET v = excluded.v RETURNING *;
INSERT INTO r VALUES (50, rows_of_r(), 50), (51, rows_of_r(), 50), (52, rows_of_r(), 50) RETURNING *;
SELECT count(DISTINCT result) FROM tessera.run_on_nodes('SELECT string_agg(r::text, '','' ORDER BY k) FROM plan_insert.r');
-- a stable one, and queries of the statement itself, do not
CREATE FUNCTION rows_before() RETURNS int STABLE LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM plan_insert.t WHERE n = 52); END$$;
INSERT INTO t SELECT i, 52, rows_before() FROM generate_series(1, 20) i;
INSERT INTO t SELECT i, 52, (SELECT count(*) FROM t WHERE n = 52 AND k < i) FROM generate_series(21, 24) i;
SELECT v, count(*) FROM t WHERE n = 52 GROUP BY v ORDER BY v;
-- what could not see them is refused: while all rows are computed before the first is inserted, ...
\set VERBOSITY sqlstate
INSERT INTO t SELECT k, 53, rows_of_t() FROM t WHERE n = 52;
-- ... and where the rows would go with a savepoint (some of them may be on this server)
CREATE FUNCTION rows_of_t_safely() RETURNS int VOLATILE LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM plan_insert.t WHERE n = 53); EXCEPTION WHEN division_by_zero THEN RETURN -1; END$$;
INSERT INTO t SELECT i, 53, rows_of_t_safely() FROM generate_series(1, 20) i;
\set VERBOSITY default
SELECT count(*) FROM t WHERE n = 53;
-- one row is no problem
INSERT INTO t SELECT k, 53, rows_of_t() FROM t WHERE k = 1 AND n = 52;
INSERT INTO t VALUES (2, 53, rows_of_t_safely()) RETURNING *;

DROP SCHEMA plan_insert CASCADE;
