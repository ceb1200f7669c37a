-- ANALYZE of a distributed table: the shell's statistics are those of all rows
CREATE SCHEMA analyze_all;
SET search_path = analyze_all;
SET tessera.shard_count = 6;
SET client_min_messages = warning;

CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
-- two tables of the same definition and rows: one local, one distributed
CREATE TABLE twin (gone int, k int PRIMARY KEY, unique_text text NOT NULL, few int, half_null int, skewed text,
	colour colour, pos positive, amount numeric(8,2), at timestamptz, list int[], words tsvector, span int4range,
	place point, ignored int, "Odd ""name" text, always_null int);
ALTER TABLE twin DROP gone;
ALTER TABLE twin ALTER ignored SET STATISTICS 0, ALTER colour SET STATISTICS 1;
ALTER TABLE twin ALTER pos SET (n_distinct = 42);
CREATE INDEX twin_expr ON twin ((few * 10), half_null);
CREATE INDEX twin_part ON twin (amount) WHERE few = 3;
CREATE STATISTICS twin_multi ON few, half_null, skewed FROM twin;
CREATE STATISTICS twin_expression ON (few % 2), half_null FROM twin;
CREATE TABLE dist (LIKE twin INCLUDING ALL);
ALTER TABLE dist ALTER ignored SET STATISTICS 0, ALTER colour SET STATISTICS 1;
ALTER TABLE dist ALTER pos SET (n_distinct = 42);
SELECT tessera.create_distributed_table('dist', 'k');
INSERT INTO twin SELECT i, 'text ' || i, i % 10, CASE WHEN i % 2 = 0 THEN i % 7 END, 's' || (i % 50) * (i % 50) / 100,
	(ARRAY['red', 'green', 'blue'])[i % 3 + 1]::colour, i % 5 + 1, i / 3.0, timestamptz '2020-01-01 00:00Z' + i * interval '1 hour',
	ARRAY[i % 3, i % 4], to_tsvector('simple', 'w' || i % 5 || ' always'), int4range(i, i + i % 9), point(i % 4, i), i, 'o' || i % 3
FROM generate_series(1, 1500) i;
INSERT INTO dist SELECT * FROM twin;
ANALYZE twin;
ANALYZE dist;

SELECT t.reltuples, d.reltuples, d.relpages > 0 AS has_pages FROM pg_class t, pg_class d WHERE t.oid = 'twin'::regclass AND d.oid = 'dist'::regclass;
-- columns: all statistics but correlation, which is about places in a file
CREATE VIEW column_statistics AS
	SELECT tablename, attname, inherited, null_frac, avg_width, n_distinct, most_common_vals::text, most_common_freqs,
		histogram_bounds::text, most_common_elems::text, most_common_elem_freqs, elem_count_histogram
	FROM pg_stats WHERE schemaname = 'analyze_all';
CREATE FUNCTION statistics_of(relation text) RETURNS SETOF text LANGUAGE sql
	AS $$SELECT (to_jsonb(c) - 'tablename')::text FROM column_statistics c WHERE tablename LIKE relation || '%' ORDER BY tablename, attname$$;
SELECT count(*) FROM statistics_of('twin');
SELECT * FROM statistics_of('twin') EXCEPT SELECT * FROM statistics_of('dist');
SELECT * FROM statistics_of('dist') EXCEPT SELECT * FROM statistics_of('twin');
SELECT attname, null_frac, n_distinct FROM column_statistics WHERE tablename = 'dist' ORDER BY attname COLLATE "C";
-- range histograms are not in pg_stats
SELECT count(*), count(DISTINCT concat(stakind1, stanumbers1, stavalues1, stakind2, stanumbers2, stavalues2))
FROM pg_statistic JOIN pg_attribute ON attrelid = starelid AND attnum = staattnum
WHERE starelid IN ('twin'::regclass, 'dist'::regclass) AND attname = 'span';
-- statistics objects, of columns and of expressions
-- (attributes have other numbers: one column is gone)
SELECT count(*) FROM (SELECT most_common_vals, most_common_freqs FROM pg_stats_ext WHERE tablename = 'twin' AND schemaname = 'analyze_all'
	INTERSECT SELECT most_common_vals, most_common_freqs FROM pg_stats_ext WHERE tablename = 'dist' AND schemaname = 'analyze_all') x;
SELECT count(*) FROM (SELECT expr, null_frac, n_distinct, most_common_vals::text, most_common_freqs, histogram_bounds::text
	FROM pg_stats_ext_exprs WHERE tablename = 'twin' AND schemaname = 'analyze_all'
	INTERSECT SELECT expr, null_frac, n_distinct, most_common_vals::text, most_common_freqs, histogram_bounds::text
	FROM pg_stats_ext_exprs WHERE tablename = 'dist' AND schemaname = 'analyze_all') x;
-- indexes: how many rows are in them
SELECT relname, reltuples FROM pg_class
WHERE relname LIKE 'dist\_%' AND relkind = 'i' AND relnamespace = 'analyze_all'::regnamespace ORDER BY relname COLLATE "C";

-- the planner uses them: rows of scans, joins and groups are those of the twin
CREATE FUNCTION planned_rows(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT planned_rows(format(q, 'twin')) = planned_rows(format(q, 'dist')) AS alike, q FROM unnest(ARRAY[
	'SELECT * FROM %1$s',
	'SELECT * FROM %1$s WHERE k < 200',
	'SELECT * FROM %1$s WHERE few = 3',
	'SELECT * FROM %1$s WHERE few * 10 = 30',
	'SELECT * FROM %1$s WHERE half_null IS NULL',
	'SELECT * FROM %1$s WHERE skewed = ''s0'' AND few = 0 AND half_null = 0',
	'SELECT * FROM %1$s WHERE few %% 2 = 1',
	'SELECT * FROM %1$s WHERE list @> ARRAY[2]',
	'SELECT * FROM %1$s WHERE span && int4range(10, 20)',
	'SELECT * FROM %1$s WHERE unique_text = random()::text',
	'SELECT * FROM %1$s WHERE k IN (1, 2, 3)',
	'SELECT few, count(*) FROM %1$s GROUP BY few',
	'SELECT DISTINCT few, half_null FROM %1$s',
	'SELECT * FROM %1$s a JOIN %1$s b ON a.few = b.half_null',
	'SELECT * FROM %1$s a JOIN twin b ON a.k = b.few',
	'SELECT * FROM %1$s a WHERE EXISTS (SELECT FROM %1$s b WHERE b.k = a.few)',
	'SELECT * FROM %1$s LIMIT 5']) q;
-- ... and costs: the nodes pay for a fragment about what PostgreSQL would pay for the
-- same of the twin, so a larger one costs more (the rows that come are few)
CREATE FUNCTION planned_cost(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Total Cost';
END $$;
SELECT round((planned_cost(format(q, 'dist')) / planned_cost(format(q, 'twin')))::numeric) BETWEEN 1 AND 2 AS alike, q FROM unnest(ARRAY[
	'SELECT count(*) FROM %1$s a JOIN %1$s b USING (k)',
	'SELECT count(*) FROM %1$s a JOIN %1$s b USING (k) JOIN %1$s c USING (k)',
	'SELECT count(*) FROM (SELECT k, rank() OVER (PARTITION BY k ORDER BY few) AS r FROM %1$s) q WHERE r > 1']) q;
SELECT planned_cost('SELECT count(*) FROM dist a JOIN dist b USING (k) JOIN dist c USING (k)')
	> 1.2 * planned_cost('SELECT count(*) FROM dist a JOIN dist b USING (k)') AS larger_costs_more;
-- unique indexes of the shell prove that rows are unique: the join is left out
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query; END$$;
SELECT count(*) FROM plan_of('SELECT a.few FROM dist a LEFT JOIN twin b ON a.few = b.few') AS line WHERE line ~ 'Join';
SELECT count(*) FROM plan_of('SELECT a.few FROM dist a LEFT JOIN dist b ON a.few = b.k AND a.few > 1') AS line WHERE line ~ 'Join';

-- columns by name: others keep what they have
UPDATE dist SET few = 0, half_null = 0;
SET client_min_messages = error;
ANALYZE dist (few);
SET client_min_messages = warning;
SELECT attname, null_frac, n_distinct FROM column_statistics WHERE tablename = 'dist' AND attname IN ('few', 'half_null') ORDER BY 1;
\set VERBOSITY sqlstate
ANALYZE dist (no_such_column);
\set VERBOSITY default
-- inside a transaction block: what the transaction has written counts
BEGIN;
DELETE FROM dist WHERE k > 1000;
ANALYZE dist;
SELECT reltuples, n_distinct, null_frac FROM pg_class, column_statistics WHERE oid = 'dist'::regclass AND tablename = 'dist' AND attname = 'half_null';
ROLLBACK;
SELECT n_distinct, null_frac FROM column_statistics WHERE tablename = 'dist' AND attname = 'half_null';
ANALYZE dist;
SELECT reltuples, n_distinct, null_frac FROM pg_class, column_statistics WHERE oid = 'dist'::regclass AND tablename = 'dist' AND attname = 'half_null';

-- what says to core that the shell is empty does not make plans forget
VACUUM dist;
SELECT reltuples FROM pg_class WHERE oid = 'dist'::regclass;
DELETE FROM dist WHERE k > 1200;
VACUUM (ANALYZE) dist;
SELECT reltuples, relallvisible > 0 AS is_visible FROM pg_class WHERE oid = 'dist'::regclass;
CREATE INDEX ON dist (few);
SELECT reltuples FROM pg_class WHERE oid = 'dist'::regclass;
SET allow_system_table_mods = on;
UPDATE pg_class SET reltuples = 0, relpages = 0, relallvisible = 0 WHERE oid = 'dist'::regclass;
RESET allow_system_table_mods;
SELECT planned_rows('SELECT * FROM dist');
-- TRUNCATE does: 60 pages of them, as if nobody had analyzed it
CREATE TABLE narrow (k int);
SELECT tessera.create_distributed_table('narrow', 'k');
SELECT planned_rows('SELECT * FROM narrow');
INSERT INTO narrow SELECT generate_series(1, 10);
ANALYZE narrow;
SELECT planned_rows('SELECT * FROM narrow');
TRUNCATE narrow;
SELECT planned_rows('SELECT * FROM narrow');
-- so does an empty one
ANALYZE narrow;
SELECT planned_rows('SELECT * FROM narrow');

-- a table that is distributed with its rows, and comes back
CREATE TABLE moved (k int, v int);
INSERT INTO moved SELECT i, i % 4 FROM generate_series(1, 400) i;
ANALYZE moved;
INSERT INTO moved SELECT i, i % 4 FROM generate_series(401, 500) i;
SELECT tessera.create_distributed_table('moved', 'k');
SELECT reltuples, planned_rows('SELECT DISTINCT v FROM moved') FROM pg_class WHERE oid = 'moved'::regclass;
SELECT tessera.undistribute_table('moved');
SELECT reltuples, relpages > 0 AS has_pages, planned_rows('SELECT DISTINCT v FROM moved') FROM pg_class WHERE oid = 'moved'::regclass;
SELECT count(*) FROM tessera.size WHERE relation = 'moved'::regclass;

-- wide values stay where they are, and only they
CREATE TABLE wide (k int, v text);
SELECT tessera.create_distributed_table('wide', 'k');
ALTER TABLE twin ADD v text;
INSERT INTO wide SELECT i, CASE i % 4 WHEN 0 THEN repeat(md5(i::text), 500) WHEN 1 THEN NULL ELSE 'v' || i % 8 END FROM generate_series(1, 400) i;
UPDATE twin SET v = CASE k % 4 WHEN 0 THEN repeat(md5(k::text), 500) WHEN 1 THEN NULL ELSE 'v' || k % 8 END;
DELETE FROM twin WHERE k > 400;
SELECT FROM tessera_internal.reset_net_counters();
ANALYZE wide;
SELECT bytes_received < 100000 AS few_bytes FROM tessera_internal.net_counters();
SET client_min_messages = error;
ANALYZE twin (v);
SET client_min_messages = warning;
SELECT null_frac, n_distinct, most_common_vals, most_common_freqs, avg_width > 200 AS is_wide FROM column_statistics WHERE tablename = 'wide' AND attname = 'v'
INTERSECT SELECT null_frac, n_distinct, most_common_vals, most_common_freqs, true FROM column_statistics WHERE tablename = 'twin' AND attname = 'v';

-- as many columns as a table may have
DO $$BEGIN EXECUTE (SELECT format('CREATE TABLE columns (k int, %s)', string_agg(format('c%s text', i), ', ')) FROM generate_series(1, 1599) i); END$$;
SELECT tessera.create_distributed_table('columns', 'k', shard_count => 1, colocate_with => 'none');
INSERT INTO columns (k, c1, c1599) VALUES (1, 'a', repeat('x', 3000)), (2, 'b', 'y');
ANALYZE columns;
SELECT count(*) FROM column_statistics WHERE tablename = 'columns';
SELECT attname, null_frac, n_distinct FROM column_statistics WHERE tablename = 'columns' AND attname IN ('c1', 'c2', 'c1599') ORDER BY 1;

-- of a large table a sample is fetched: 300 rows for each unit of the target
INSERT INTO narrow SELECT generate_series(1, 3000) / 2;
SET default_statistics_target = 1;
SELECT FROM tessera_internal.reset_net_counters();
ANALYZE narrow;
SELECT rows BETWEEN 300 AND 320 AS is_sample FROM tessera_internal.net_counters();
SELECT reltuples, planned_rows('SELECT * FROM narrow WHERE k < 750') BETWEEN 1000 AND 2000 AS is_half FROM pg_class WHERE oid = 'narrow'::regclass;
RESET default_statistics_target;

-- an error midway: nothing has changed, and all goes on as before
CREATE FUNCTION fails(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_setting('regress.fail', true) = 'yes' THEN RAISE 'failed on purpose'; END IF;
	RETURN i % 2;
END $$;
CREATE TABLE failing (k int, v int);
CREATE INDEX ON failing (fails(v));
SELECT tessera.create_distributed_table('failing', 'k');
INSERT INTO failing SELECT i, i FROM generate_series(1, 50) i;
ANALYZE failing;
DELETE FROM failing WHERE k > 30;
SET regress.fail = 'yes';
\set VERBOSITY sqlstate
ANALYZE failing;
BEGIN;
ANALYZE failing;
ROLLBACK;
\set VERBOSITY default
RESET regress.fail;
SELECT planned_rows('SELECT * FROM failing'), n_distinct, count(*) FROM column_statistics, failing WHERE tablename = 'failing' AND attname = 'v' GROUP BY n_distinct;
ANALYZE failing;
SELECT reltuples FROM pg_class WHERE oid = 'failing'::regclass;

-- the shell's relcache entry is rebuilt again and again (by servers that are
-- compiled to do that, which takes seconds)
CREATE TABLE tiny (k int);
SELECT tessera.create_distributed_table('tiny', 'k', shard_count => 1, colocate_with => 'none');
INSERT INTO tiny VALUES (1), (2);
SELECT max_val <> '0' AS can_discard FROM pg_settings WHERE name = 'debug_discard_caches' \gset
SELECT set_config('debug_discard_caches', CASE WHEN :'can_discard' THEN '1' ELSE '0' END, false) IS NULL AS failed;
ANALYZE tiny;
SET debug_discard_caches = 0;
SELECT reltuples, n_distinct FROM pg_class, column_statistics WHERE oid = 'tiny'::regclass AND tablename = 'tiny';

-- rights: who may ANALYZE, though he may read nothing; others are told
CREATE ROLE regress_owner LOGIN;
CREATE ROLE regress_stranger;
GRANT ALL ON SCHEMA analyze_all TO regress_owner, regress_stranger;
CREATE TABLE owned (k int, v int);
ALTER TABLE owned OWNER TO regress_owner;
SELECT tessera.create_distributed_table('owned', 'k');
INSERT INTO owned SELECT i, i % 3 FROM generate_series(1, 60) i;
REVOKE ALL ON owned FROM regress_owner;
SET ROLE regress_stranger;
ANALYZE owned;
RESET ROLE;
SELECT reltuples FROM pg_class WHERE oid = 'owned'::regclass;
SET ROLE regress_owner;
ANALYZE owned;
RESET ROLE;
SELECT reltuples FROM pg_class WHERE oid = 'owned'::regclass;
-- the owner of the database may ANALYZE, but rows are not his to see
SELECT current_user AS me, current_database() AS here \gset
ALTER DATABASE :"here" OWNER TO regress_owner;
CREATE TABLE foreign_rows (k int);
SELECT tessera.create_distributed_table('foreign_rows', 'k');
SET ROLE regress_owner;
ANALYZE foreign_rows;
\set VERBOSITY sqlstate
SELECT count(*) FROM tessera_internal.sample_rows(NULL::pg_catalog.pg_authid, 100);
\set VERBOSITY default
RESET ROLE;
ALTER DATABASE :"here" OWNER TO :"me";
-- the function that gives rows is for owners only
CREATE TABLE local_rows (k int, v text);
INSERT INTO local_rows SELECT i, 'v' FROM generate_series(1, 20) i;
SELECT count(*), min(k), max(v) FROM tessera_internal.sample_rows(NULL::local_rows, 100);
SELECT count(*), count(DISTINCT k) FROM tessera_internal.sample_rows(NULL::local_rows, 7);
SET ROLE regress_stranger;
\set VERBOSITY sqlstate
SELECT count(*) FROM tessera_internal.sample_rows(NULL::local_rows, 100);
SELECT count(*) FROM tessera_internal.sample_rows(1, 100);
SELECT count(*) FROM tessera_internal.sample_rows(NULL::column_statistics, 100);
RESET ROLE;
SELECT count(*) FROM tessera_internal.sample_rows(NULL::local_rows, 0);
SELECT count(*) FROM tessera_internal.sample_rows(NULL::local_rows, NULL);
\set VERBOSITY default

DROP SCHEMA analyze_all CASCADE;
SELECT count(*) FROM tessera.size s LEFT JOIN pg_class c ON c.oid = s.relation WHERE c.oid IS NULL;
SELECT count(*) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS analyze_all CASCADE') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes('DROP OWNED BY regress_owner') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_owner; DROP ROLE IF EXISTS regress_stranger; END'$$) WHERE NOT success;
DROP ROLE IF EXISTS regress_owner, regress_stranger;

-- a cluster of one, and commands without a list of tables
\set maindb :DBNAME
CREATE DATABASE regress_analyze;
\c regress_analyze
SET client_min_messages = warning;
CREATE EXTENSION tessera;
CREATE TABLE t (k int PRIMARY KEY, v text);
CREATE TABLE l (k int, v text);
SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
INSERT INTO t SELECT i, 'v' || i % 3 FROM generate_series(1, 500) i;
INSERT INTO l SELECT * FROM t;
ANALYZE t;
SELECT reltuples, n_distinct FROM pg_class, pg_stats WHERE oid = 't'::regclass AND tablename = 't' AND attname = 'v' AND schemaname = 'public';
DELETE FROM t WHERE k > 400 OR v = 'v0';
ANALYZE;
SELECT reltuples, n_distinct FROM pg_class, pg_stats WHERE oid = 't'::regclass AND tablename = 't' AND attname = 'v' AND schemaname = 'public';
INSERT INTO t SELECT i, 'v4' FROM generate_series(401, 450) i;
VACUUM ANALYZE;
SELECT reltuples, n_distinct, relallvisible > 0 AS is_visible FROM pg_class, pg_stats WHERE oid = 't'::regclass AND tablename = 't' AND attname = 'v' AND schemaname = 'public';
DELETE FROM t WHERE k > 400;
VACUUM;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('t'::regclass, 'l'::regclass) ORDER BY 1;
BEGIN;
DELETE FROM t WHERE k > 100;
ANALYZE;
SELECT reltuples FROM pg_class WHERE oid = 't'::regclass;
COMMIT;
\c :maindb
DROP DATABASE regress_analyze;
