-- INSERT ... ON CONFLICT DO UPDATE of distributed tables whose DO UPDATE only the
-- coordinator can compute: volatile functions, and subqueries that know the row
CREATE SCHEMA plan_upsert;
SET search_path = plan_upsert;
SET client_min_messages = warning;
CREATE TABLE t (k int, n int, v text, w float8 DEFAULT random(), length int GENERATED ALWAYS AS (length(v)) STORED, PRIMARY KEY (k, n));
CREATE TABLE near (k int PRIMARY KEY, v text);
CREATE TABLE r (k int PRIMARY KEY, v text);
CREATE TABLE loc (k int, v text);
CREATE SEQUENCE runs;
SELECT tessera.create_distributed_table('t', 'k', shard_count => 8);
SELECT tessera.create_distributed_table('near', 'k', colocate_with => 't');
SELECT tessera.create_reference_table('r');
INSERT INTO t SELECT i, 0, 'old' FROM generate_series(1, 40) i;
INSERT INTO near SELECT i, 'near ' || i FROM generate_series(1, 40) i;
INSERT INTO r SELECT i, 'ref ' || i FROM generate_series(1, 5) i;
INSERT INTO loc VALUES (1, 'one'), (2, 'two');

-- subqueries over tables of all kinds, of the row as it is and of EXCLUDED
INSERT INTO t VALUES (1, 0, 'new'), (2, 0, 'new'), (3, 1, 'new') ON CONFLICT (k, n) DO UPDATE SET v = t.v || (SELECT v FROM loc WHERE loc.k = t.k) || excluded.v RETURNING k, n, v, length;
INSERT INTO t VALUES (3, 0, 'new'), (4, 0, 'new'), (41, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM near WHERE near.k = t.k) RETURNING k, v, (SELECT count(*) FROM t);
INSERT INTO t VALUES (5, 0, 'new'), (6, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT string_agg(r.v, ',' ORDER BY r.k) FROM r WHERE r.k > excluded.k - 3) RETURNING k, v;
INSERT INTO t VALUES (7, 0, 'new'), (8, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT count(*) FROM t x WHERE x.k < t.k) RETURNING k, v;
INSERT INTO t VALUES (9, 0, 'a'), (10, 0, 'b') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT string_agg(x.v, ',') FROM t x WHERE x.k = excluded.k + 1) WHERE EXISTS (SELECT FROM near WHERE near.k = t.k AND near.k > 9) RETURNING k, v;
INSERT INTO t VALUES (11, 0, 'a'), (12, 0, 'b') ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET (v, w) = (SELECT near.v || excluded.v, 3 FROM near WHERE near.k = t.k), n = excluded.n WHERE t.n IN (SELECT k - 1 FROM loc) RETURNING k, v, w;
-- whole rows, columns that get no value, system columns
INSERT INTO t (k, n, w) VALUES (13, 0, 1), (14, 0, 2) ON CONFLICT (k, n) DO UPDATE SET v = (SELECT concat(t.k, excluded.v, excluded.w, t.length) FROM loc LIMIT 1) RETURNING k, v, tableoid::regclass, ctid IS NOT NULL;
INSERT INTO near VALUES (15, 'x'), (42, 'y') ON CONFLICT (k) DO UPDATE SET v = (SELECT near::text || excluded::text FROM loc WHERE k = 1) RETURNING near;
-- once for each row that conflicts, in their order; WHERE before SET
INSERT INTO t SELECT i, 0, 'new' FROM generate_series(36, 45) i ON CONFLICT (k, n) DO UPDATE SET v = nextval('runs') WHERE nextval('runs') > 0 RETURNING k, v;
INSERT INTO t VALUES (36, 0, 'new'), (37, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = 1 / (nextval('runs') * 0) WHERE nextval('runs') < 0;
SELECT last_value FROM runs;
-- many rows, over batches
INSERT INTO t SELECT i, 0, 'bulk' FROM generate_series(1, 3000) i ON CONFLICT (k, n) DO UPDATE SET v = t.v || ceil(random());
SELECT count(*), count(*) FILTER (WHERE v LIKE '%1'), count(*) FILTER (WHERE v = 'bulk') FROM t WHERE n = 0;
\set QUIET off
INSERT INTO t SELECT i, 0, 'bulk' FROM generate_series(2001, 4000) i ON CONFLICT (k, n) DO UPDATE SET v = t.v || ceil(random()) WHERE t.k % 2 = ceil(random());
INSERT INTO t SELECT 1, 0 WHERE false ON CONFLICT (k, n) DO UPDATE SET v = random();
\set QUIET on
SELECT v, count(*) FROM t WHERE k > 2000 GROUP BY v ORDER BY v;
DELETE FROM t WHERE k > 50;
-- through a view whose check option has to hold
CREATE VIEW part AS SELECT k, n, v FROM t WITH CHECK OPTION;
INSERT INTO part VALUES (22, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM near WHERE near.k = part.k) RETURNING v;
-- in WITH, prepared, in PL/pgSQL
WITH i AS (INSERT INTO t VALUES (16, 0, 'with'), (60, 0, 'with') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT loc.v || t.k FROM loc WHERE loc.k = t.n + 1) RETURNING *) SELECT i.k, i.v, near.v FROM i LEFT JOIN near USING (k) ORDER BY k;
WITH q AS (SELECT 'q' || k AS v, k FROM near WHERE k < 20) INSERT INTO t VALUES (17, 0, 'new') ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM q WHERE q.k = t.k) RETURNING k, v;
PREPARE put(int, text) AS INSERT INTO t VALUES ($1, 0, $2) ON CONFLICT (k, n) DO UPDATE SET v = (SELECT $2 || near.v FROM near WHERE near.k = t.k) RETURNING v;
EXECUTE put(18, 'a');
SET plan_cache_mode = force_generic_plan;
EXECUTE put(19, 'b'); EXECUTE put(20, 'c'); EXECUTE put(61, 'd'); EXECUTE put(61, 'e');
RESET plan_cache_mode;
DO $$
DECLARE got text; count bigint;
BEGIN
	FOR i IN 1 .. 3 LOOP
		INSERT INTO plan_upsert.t VALUES (70, 0, i) ON CONFLICT (k, n) DO UPDATE SET v = plan_upsert.t.v || (SELECT count(*) FROM plan_upsert.loc WHERE k < excluded.v::int) RETURNING v INTO got;
		GET DIAGNOSTICS count = ROW_COUNT;
		RAISE WARNING '% %', got, count;
	END LOOP;
END $$;
-- a row is neither inserted nor changed twice; who found the WHERE false changed nothing
\set VERBOSITY sqlstate
INSERT INTO t VALUES (1, 0), (1, 0) ON CONFLICT (k, n) DO UPDATE SET v = random();
INSERT INTO t VALUES (80, 0), (80, 0) ON CONFLICT (k, n) DO UPDATE SET v = random() WHERE random() < 0;
INSERT INTO t SELECT i % 999, 5 FROM generate_series(1, 1000) i ON CONFLICT (k, n) DO UPDATE SET v = random();
INSERT INTO t VALUES (1, 0), (1, 0) ON CONFLICT (k, n) DO UPDATE SET v = random() WHERE random() < 0;
INSERT INTO t VALUES (1, 0, 'a'), (1, 0, 'b') ON CONFLICT (k, n) DO UPDATE SET v = 'by ' || excluded.v WHERE excluded.v = 'b' AND random() >= 0;
-- an error undoes all
INSERT INTO t VALUES (90, 0), (1, 0) ON CONFLICT (k, n) DO UPDATE SET w = 1 / (random() * 0);
INSERT INTO t VALUES (90, 0), (NULL, 0) ON CONFLICT (k, n) DO UPDATE SET w = random();
INSERT INTO t VALUES (90, 0), (2, 0) ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM near WHERE near.k > t.k);
\set VERBOSITY default
SELECT k, v FROM t WHERE k IN (1, 80, 90) ORDER BY k, n;
-- functions that read the table see what they see in PostgreSQL, or it is refused
CREATE FUNCTION rows_of_t() RETURNS int VOLATILE LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM plan_upsert.t WHERE n = 7); END$$;
INSERT INTO t VALUES (1, 7, rows_of_t()) ON CONFLICT (k, n) DO UPDATE SET v = rows_of_t() RETURNING v;
INSERT INTO t VALUES (1, 7, rows_of_t()) ON CONFLICT (k, n) DO UPDATE SET v = rows_of_t() RETURNING v;
\set VERBOSITY sqlstate
INSERT INTO t VALUES (2, 7), (1, 7) ON CONFLICT (k, n) DO UPDATE SET v = rows_of_t() RETURNING v;
\set VERBOSITY default

-- what rows conflict by: any unique index of columns; NULLs never do
CREATE TABLE keys (k text, a varchar(5), b numeric, v text, UNIQUE (k, a), UNIQUE (b, k));
SELECT tessera.create_distributed_table('keys', 'k', shard_count => 4);
INSERT INTO keys VALUES ('x', 'a', 1.0, 'old'), ('x', NULL, NULL, 'null'), ('y', 'a', 2, 'old');
INSERT INTO keys VALUES ('x', 'a', 9, 'new'), ('x', NULL, NULL, 'more'), ('x', NULL, NULL, 'and more') ON CONFLICT (a, k) DO UPDATE SET v = keys.v || ceil(random()), b = keys.b RETURNING *;
INSERT INTO keys VALUES ('x', 'b', 1.00, 'new'), ('x', NULL, NULL, 'more') ON CONFLICT (b, k) DO UPDATE SET v = keys.v || ceil(random()) RETURNING *;
SELECT * FROM keys ORDER BY k, a, v;
-- refused: where equality of columns does not say what conflicts, ...
CREATE UNIQUE INDEX ON keys (k, lower(a));
CREATE UNIQUE INDEX ON keys (k, v) WHERE b > 100;
CREATE TABLE nulls (k int, n int, v text, UNIQUE NULLS NOT DISTINCT (k, n));
SELECT tessera.create_distributed_table('nulls', 'k');
\set VERBOSITY terse
INSERT INTO keys VALUES ('x', 'b') ON CONFLICT (k, lower(a)) DO UPDATE SET v = random();
INSERT INTO keys VALUES ('x', 'b') ON CONFLICT (k, v) WHERE b > 100 DO UPDATE SET v = random();
INSERT INTO nulls VALUES (1, 2) ON CONFLICT (k, n) DO UPDATE SET v = random();
\set VERBOSITY default
INSERT INTO t VALUES (1, 0) ON CONFLICT (k, n) DO UPDATE SET v = excluded.length || random()::text;
-- the columns that conflicts are about may be set to what they are, as it shows when it is done
INSERT INTO t VALUES (23, 0, 'a'), (24, 0, 'b'), (110, 0, 'c') ON CONFLICT (k, n) DO UPDATE SET (v, n, k) = (SELECT x.v || excluded.v, x.n, x.k FROM t x WHERE x.k = t.k AND x.n = 0) RETURNING k, n, v;
INSERT INTO t VALUES (111, 0) ON CONFLICT (k, n) DO UPDATE SET k = 5;
INSERT INTO t VALUES (111, 0), (112, 0) ON CONFLICT (k, n) DO UPDATE SET k = excluded.k + 1;
INSERT INTO t VALUES (111, 0), (112, 0) ON CONFLICT (k, n) DO UPDATE SET n = 1 + random();
INSERT INTO t VALUES (111, 0) ON CONFLICT (k, n) DO UPDATE SET k = NULL;
SELECT k, n FROM t WHERE k > 100 ORDER BY k;

-- rights: those that PostgreSQL asks for, as well on what is only read
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN
    LOCK pg_authid;
    IF to_regrole(''regress_upserter'') IS NULL THEN CREATE ROLE regress_upserter LOGIN; END IF;
END'$$) WHERE NOT success;
GRANT USAGE ON SCHEMA plan_upsert TO regress_upserter;
GRANT SELECT, INSERT ON t TO regress_upserter;
GRANT SELECT ON near TO regress_upserter;
\set VERBOSITY sqlstate
SET ROLE regress_upserter;
INSERT INTO t VALUES (21, 0) ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM near WHERE near.k = t.k);
RESET ROLE;
GRANT UPDATE (v) ON t TO regress_upserter;
SET ROLE regress_upserter;
INSERT INTO t VALUES (21, 0) ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM near WHERE near.k = t.k);
INSERT INTO t VALUES (21, 0) ON CONFLICT (k, n) DO UPDATE SET v = (SELECT v FROM loc WHERE loc.k = t.k);
INSERT INTO t VALUES (21, 0) ON CONFLICT (k, n) DO UPDATE SET w = random();
RESET ROLE;
\set VERBOSITY default
SELECT v FROM t WHERE k = 21;

-- how it is planned
EXPLAIN (COSTS OFF) INSERT INTO t VALUES (1, 0) ON CONFLICT (k, n) DO UPDATE SET v = nextval('runs') WHERE random() > 2;

-- round trips: to find and lock; to change and to insert
SELECT tessera_internal.reset_net_counters();
BEGIN;
INSERT INTO t SELECT i, 0 FROM generate_series(1, 200) i ON CONFLICT (k, n) DO UPDATE SET w = random();
SELECT round_trips FROM tessera_internal.net_counters();
COMMIT;

SET client_min_messages = error;
DROP SCHEMA plan_upsert CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP OWNED BY regress_upserter') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_upserter; END'$$) WHERE NOT success;
