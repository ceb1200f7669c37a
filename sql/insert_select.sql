-- INSERT ... SELECT: in the shards, or through this server. That the rows are the right
-- ones is shown by test/differential/insert_select.sql.
CREATE SCHEMA insert_select;
SET search_path = insert_select;
SET client_min_messages = warning;
CREATE TABLE s (k int, n int, v text, d date);
CREATE TABLE t (k int, n int CHECK (n < 1000), v varchar(5) DEFAULT 'none', g int GENERATED ALWAYS AS (n * 2) STORED, at timestamptz DEFAULT now(), UNIQUE (k, n));
CREATE TABLE numbered (k int, id int GENERATED ALWAYS AS IDENTITY, n serial, v int);
CREATE TABLE wide (k bigint, n int);
CREATE TABLE names (k varchar(5), n int);
CREATE TABLE long_names (k varchar(9), n int);
CREATE TABLE r (k int PRIMARY KEY, v text);
CREATE TABLE loc (k int, v text);
SELECT tessera.create_distributed_table('s', 'k', shard_count => 8);
SELECT tessera.create_distributed_table('t', 'k', colocate_with => 's');
SELECT tessera.create_distributed_table('numbered', 'k', colocate_with => 's');
SELECT tessera.create_distributed_table('wide', 'k', colocate_with => 'none', shard_count => 8);
SELECT tessera.create_distributed_table('names', 'k', colocate_with => 'none', shard_count => 8);
SELECT tessera.create_distributed_table('long_names', 'k', colocate_with => 'none', shard_count => 8);
SELECT tessera.create_reference_table('r');
INSERT INTO s SELECT i % 20, i, 'v' || i, '2024-01-01' FROM generate_series(1, 60) i;
INSERT INTO s VALUES (NULL, 61, 'null');
INSERT INTO r SELECT i, 'r' || i FROM generate_series(1, 30) i;
INSERT INTO loc SELECT i, 'l' || i FROM generate_series(1, 30) i;

-- where_is(query): in so many shards, or here
CREATE FUNCTION where_is(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	shards text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'TesseraModify' THEN
			RETURN 'here';
		END IF;
		shards := COALESCE(substring(line FROM 'Shards: (\d+ of \d+)'), shards);
	END LOOP;
	RETURN 'shards: ' || COALESCE(shards, 'one');
END $$;

-- in the shards: whatever keeps a row in the shard of its key
SELECT q, where_is(q) FROM unnest(ARRAY[
	'INSERT INTO t (n, k) SELECT n, k FROM s',
	'INSERT INTO t (v, n, k) SELECT v, n::smallint, k FROM s',
	'INSERT INTO t (k) SELECT k FROM s WHERE k IN (1, 2)',
	'INSERT INTO t (k) SELECT k FROM s WHERE k = 3',
	'INSERT INTO t (k, n) SELECT k, count(*) FROM s GROUP BY k',
	'INSERT INTO t (k, n) SELECT DISTINCT k, n FROM s',
	'INSERT INTO t (k, n) SELECT k, row_number() OVER (PARTITION BY k ORDER BY n) FROM s',
	'INSERT INTO t (k, n) SELECT k, n FROM s UNION SELECT k, n FROM t',
	'INSERT INTO t (k, n) SELECT s.k, s.n FROM s LEFT JOIN t USING (k)',
	'INSERT INTO t (k, n) SELECT COALESCE(s.k, t.k), s.n FROM s FULL JOIN t USING (k)',
	'INSERT INTO t (k, n) SELECT r.k, s.n FROM s JOIN r USING (k)',
	'INSERT INTO t (k, n) SELECT s.k, s.n FROM s JOIN r ON r.k = s.n',
	'WITH q AS (SELECT k, n FROM s) INSERT INTO t (k, n) SELECT k, n FROM q',
	'INSERT INTO t (k, n) SELECT k, n FROM s ON CONFLICT (k, n) DO UPDATE SET v = EXCLUDED.v WHERE t.n > 3',
	'INSERT INTO t (k, n) SELECT k, n FROM s ON CONFLICT (k, n) DO UPDATE SET n = (SELECT max(n) FROM s WHERE s.k = t.k)',
	'INSERT INTO t (k, n) SELECT k, n FROM s ON CONFLICT DO NOTHING RETURNING g',
	'INSERT INTO t (k, n) SELECT k, n FROM s RETURNING (SELECT count(*) FROM s WHERE s.k = t.k)',
	'INSERT INTO names SELECT k, 0 FROM names']) q;

-- here: where a row may get another key, or its shard does not know what it needs
SELECT q, where_is(q) FROM unnest(ARRAY[
	'INSERT INTO t (k, n) SELECT n, k FROM s',
	'INSERT INTO t (k, n) SELECT k + 0, n FROM s',
	'INSERT INTO t (n) SELECT n FROM s',
	'INSERT INTO t (k, n) SELECT 3, n FROM s',
	'INSERT INTO t (k, n) SELECT t.k, s.n FROM s LEFT JOIN t USING (k)',
	'INSERT INTO t (k, n) SELECT n, count(*) FROM s GROUP BY n',
	'INSERT INTO t (k, n) SELECT k, count(*) FROM s GROUP BY GROUPING SETS ((k), ())',
	'INSERT INTO t (k, n) SELECT k, row_number() OVER (ORDER BY n) FROM s',
	'INSERT INTO t (k, n) SELECT k, n FROM s LIMIT 3',
	'INSERT INTO t (k, n) SELECT k, n FROM s UNION ALL SELECT n, k FROM t',
	'INSERT INTO t (k, n) SELECT k, n FROM s UNION ALL SELECT k, 0 FROM r',
	'INSERT INTO t (k, n) SELECT s.k, s.n FROM s JOIN loc USING (k)',
	'INSERT INTO t (k, n) SELECT k, random() FROM s',
	'INSERT INTO t (k, n) SELECT k, n FROM s ORDER BY n RETURNING n',
	'INSERT INTO t (k, n) SELECT k, n FROM s RETURNING (SELECT count(*) FROM s)',
	'INSERT INTO t (k, n) SELECT k, n FROM s ON CONFLICT (k, n) DO UPDATE SET n = (SELECT max(n) FROM s)',
	'INSERT INTO numbered (k, v) SELECT k, n FROM s',
	'INSERT INTO wide SELECT k, n FROM s',
	'INSERT INTO names SELECT k, 0 FROM long_names']) q;

-- a reference table, and a table of no shards
SELECT where_is('INSERT INTO t (k, n) SELECT k, k FROM r'), where_is('INSERT INTO t (k, n) SELECT k, k FROM loc');

-- a text that is too long for its column is an error as it is in a table of one server, in all
-- shards or one; blanks are cut off
\set VERBOSITY sqlstate
INSERT INTO t (k, v) SELECT k, 'too long' FROM s;
INSERT INTO t (k, v) SELECT k, 'too long' FROM s WHERE k = 3;
\set VERBOSITY default
INSERT INTO t (k, n, v) SELECT k, n, 'ab    ' FROM s WHERE k = 3 RETURNING k, n, v, g, at = now() AS stable;

-- an error in one shard: nothing is kept in any
\set VERBOSITY terse
INSERT INTO t (k, n) SELECT k, n * 17 FROM s;
\set VERBOSITY default
SELECT count(*) FROM t;

-- NULL keys go to the shard that has them
INSERT INTO t (k, n) SELECT k, n + 100 FROM s WHERE k IS NULL RETURNING k, n;
SELECT count(*) FROM t JOIN s ON t.n = s.n + 100 WHERE t.k IS NULL;

-- many rows go as COPY, once there are so many: of tables, functions and the target itself; to
-- shards and to copies; with what is computed here
CREATE TYPE public.insert_select_mood AS ENUM ('sad', 'happy');
CREATE TABLE many (n int, k int, mood public.insert_select_mood DEFAULT 'happy', g int GENERATED ALWAYS AS (n + 1) STORED, id int GENERATED ALWAYS AS IDENTITY, name regclass, CHECK (n < 9000));
SELECT tessera.create_distributed_table('many', 'k', colocate_with => 's');
INSERT INTO many (k, n) SELECT CASE WHEN i % 50 > 0 THEN i END, i FROM generate_series(1, 3000) i;
SELECT count(*), count(k), sum(n), sum(g), count(DISTINCT id), min(mood), max(mood) FROM many;
INSERT INTO many (k, n, mood) SELECT n, k, 'sad' FROM many;
SELECT count(*), count(k), sum(k), sum(n), count(DISTINCT id), min(mood), max(mood) FROM many;
INSERT INTO r SELECT i, 'many' FROM generate_series(1001, 3500) i;
SELECT count(DISTINCT result), min(result) FROM tessera.run_on_nodes('SELECT count(*) FROM insert_select.r');
INSERT INTO many (k, n, name) SELECT i, i, 'pg_class' FROM generate_series(1, 1500) i;
SELECT count(*), min(name::text) FROM many WHERE name IS NOT NULL;
-- a row that a node does not take: nothing is kept, and the session goes on
\set VERBOSITY sqlstate
INSERT INTO many (k, n) SELECT i, i FROM generate_series(1, 20000) i;
INSERT INTO t (k, n) SELECT i % 40, i % 900 FROM generate_series(1, 5000) i;
BEGIN;
INSERT INTO many (k, n) SELECT i, i FROM generate_series(1, 2000) i;
SAVEPOINT a;
INSERT INTO many (k, n) SELECT i, i FROM generate_series(1, 20000) i;
ROLLBACK TO a;
INSERT INTO many (k, n) SELECT n, k FROM many WHERE mood = 'sad';
COMMIT;
\set VERBOSITY default
SELECT count(*), (SELECT count(*) FROM t) AS t FROM many;
-- rows that only pass are never all here: not in memory, and not on disk
CREATE TABLE passing (k int, n int, v text);
SELECT tessera.create_distributed_table('passing', 'k', shard_count => 8, colocate_with => 'none');
INSERT INTO passing SELECT i, i / 2, repeat('x', 200) FROM generate_series(1, 30000) i;
CREATE FUNCTION writes_files(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) ' || query LOOP
		IF line ~ 'temp.*written' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT writes_files('INSERT INTO passing SELECT n, k, v FROM passing'),
	writes_files('INSERT INTO passing SELECT n, count(*), max(v) FROM passing WHERE k < 100 GROUP BY n'),
	writes_files('INSERT INTO loc SELECT k, v FROM passing'),
	writes_files('INSERT INTO passing SELECT k, k, v FROM loc');
SELECT count(*), sum(k), sum(n), sum(length(v)) FROM passing;
-- in a transaction, with what it has written itself; not to the end; again after an error
BEGIN;
UPDATE passing SET n = n + 1 WHERE k <= 10;
INSERT INTO passing SELECT n, k, 'limited' FROM passing LIMIT 5000;
SELECT count(*) FROM passing;
SAVEPOINT a;
\set VERBOSITY sqlstate
INSERT INTO passing SELECT n, 1 / (k - 25000), v FROM passing;
\set VERBOSITY default
ROLLBACK TO a;
INSERT INTO passing SELECT n, k, 'moved' FROM passing WHERE v <> 'limited';
COMMIT;
SELECT left(v, 7) AS v, count(*) FROM passing WHERE length(v) > 3 GROUP BY 1 ORDER BY 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO passing SELECT n, k, 'repeatable' FROM passing WHERE v = 'moved';
INSERT INTO passing SELECT n, k, 'again' FROM passing WHERE v = 'repeatable';
COMMIT;
SELECT count(*) FILTER (WHERE v = 'again') = count(*) FILTER (WHERE v = 'repeatable') AS same FROM passing;

-- a volatile function sees the rows before its own
CREATE FUNCTION rows_so_far() RETURNS int VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM insert_select.wide); END';
INSERT INTO wide SELECT i, CASE WHEN i % 500 = 0 THEN rows_so_far() END FROM generate_series(1, 2000) i;
SELECT n FROM wide WHERE n IS NOT NULL ORDER BY n;

-- rights are those on the tables here
CREATE ROLE regress_inserter;
GRANT USAGE ON SCHEMA insert_select TO regress_inserter;
GRANT SELECT ON s TO regress_inserter;
SET ROLE regress_inserter;
\set VERBOSITY sqlstate
INSERT INTO insert_select.t (k, n) SELECT k, n FROM insert_select.s;
\set VERBOSITY default
RESET ROLE;
DROP OWNED BY regress_inserter;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_inserter; END'$$) WHERE NOT success;
DROP ROLE IF EXISTS regress_inserter;

DROP SCHEMA insert_select CASCADE;
DROP TYPE public.insert_select_mood;
