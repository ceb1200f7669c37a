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

-- rows of nodes that become rows of other shards as they are go there in bytes: few messages come here
-- for many rows; what else they consist of is computed here
CREATE TYPE public.insert_select_size AS ENUM ('small', 'large');
CREATE DOMAIN public.insert_select_code AS varchar(8) CHECK (VALUE <> 'wrong');
CREATE TABLE kinds (k int, n bigint, v text, o boolean, s smallint, f real, d double precision, a date, t timestamptz, m numeric, b bytea, j jsonb, u uuid,
	c char(4), mood public.insert_select_size, code public.insert_select_code, l int[], e text);
CREATE TABLE kinds_by (id bigint GENERATED ALWAYS AS IDENTITY, LIKE kinds, twice bigint GENERATED ALWAYS AS (n * 2) STORED, at timestamptz DEFAULT now(), note text DEFAULT 'none', nothing int);
SELECT tessera.create_distributed_table('kinds', 'k', shard_count => 8, colocate_with => 'none');
INSERT INTO kinds SELECT i, i * 3000000000, CASE WHEN i % 7 > 0 THEN 'v' || i END, i % 2 = 0, i % 100, i / 3.0, i / 7.0, date '2024-01-01' + i % 1000, timestamptz '2024-01-01 00:00:00.25+00' + i * interval '1 h',
	i * 1.5, ('\x' || lpad(to_hex(i), 4, '0'))::bytea, jsonb_build_object('i', i), md5(i::text)::uuid, 'c' || i % 10, CASE WHEN i % 3 = 0 THEN 'small' ELSE 'large' END::public.insert_select_size,
	'c' || i % 50, ARRAY[i, NULL], repeat('long ', i % 300) FROM generate_series(1, 6000) i;
INSERT INTO kinds (n, v) SELECT i, 'no key' FROM generate_series(1, 20) i;
CREATE FUNCTION goes_in_bytes(key text) RETURNS TABLE (rows bigint, bytes boolean, missing bigint, ids bigint, others boolean) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'CREATE TABLE insert_select.target (LIKE insert_select.kinds_by INCLUDING ALL)';
	PERFORM tessera.create_distributed_table('insert_select.target', key, shard_count => 5, colocate_with => 'none');
	PERFORM tessera_internal.reset_net_counters();
	INSERT INTO insert_select.target (k, n, v, o, s, f, d, a, t, m, b, j, u, c, mood, code, l, e) SELECT * FROM insert_select.kinds;
	SELECT c.rows < 6000 INTO bytes FROM tessera_internal.net_counters() c;
	SELECT count(*), count(DISTINCT id), bool_and(twice = n * 2 AND at = now() AND note = 'none' AND nothing IS NULL) INTO rows, ids, others FROM insert_select.target;
	SELECT count(*) INTO missing FROM (SELECT x::text FROM insert_select.kinds x EXCEPT
		SELECT ROW(k, n, v, o, s, f, d, a, t, m, b, j, u, c, mood, code, l, e)::text FROM insert_select.target) y;
	DROP TABLE insert_select.target;
	RETURN NEXT;
END $$;
SELECT key, g.* FROM unnest('{n,v,t,m,u,c,mood,code}'::text[]) WITH ORDINALITY key (key, i), goes_in_bytes(key) g ORDER BY i;
-- each row is in the shard of its key
CREATE TABLE by_text (k int, v text, n bigint);
SELECT tessera.create_distributed_table('by_text', 'v', shard_count => 5, colocate_with => 'none');
INSERT INTO by_text (n, k, v) SELECT n, 7, v FROM kinds;
SELECT count(*), count(*) FILTER (WHERE (SELECT count(*) FROM by_text b WHERE b.v = 'v' || i AND b.n = i * 3000000000) = 1) FROM generate_series(1, 6000) i WHERE i % 7 > 0;
SELECT count(*), min(k), max(k) FROM by_text WHERE v IS NULL;
-- values that another type makes of the nodes', and keys that are computed, are computed here
INSERT INTO by_text (n, k, v) SELECT k, 8, 'w' || k FROM kinds WHERE k > 0;
INSERT INTO by_text (n, v) SELECT k, 'constant' FROM kinds WHERE k > 0;
SELECT count(*), count(DISTINCT n), sum(n) FROM by_text WHERE k = 8 AND v = 'w' || n;
SELECT count(*), count(DISTINCT n) FROM by_text WHERE v = 'constant';
-- into a reference table, and without a key
CREATE TABLE all_kinds (n bigint, v text DEFAULT 'none', id serial);
SELECT tessera.create_reference_table('all_kinds');
INSERT INTO all_kinds (n) SELECT n FROM kinds;
SELECT count(DISTINCT result), min(result) FROM tessera.run_on_nodes('SELECT (count(*), sum(n), min(v), count(DISTINCT id)) FROM insert_select.all_kinds');
INSERT INTO by_text (n) SELECT n FROM kinds;
SELECT count(*), sum(n) = (SELECT sum(n) FROM kinds) AS same FROM by_text WHERE v IS NULL AND k IS NULL;
-- a row that a node does not take: nothing is kept; rows of the transaction itself, from savepoints too
CREATE TABLE checked (k int, n bigint CHECK (n <> 17970000000000), v text);
SELECT tessera.create_distributed_table('checked', 'n', shard_count => 5, colocate_with => 'none');
\set VERBOSITY terse
INSERT INTO checked SELECT k, n, v FROM kinds;
\set VERBOSITY default
BEGIN;
UPDATE kinds SET v = 'changed' WHERE k = 5990;
SAVEPOINT a;
\set VERBOSITY sqlstate
INSERT INTO checked SELECT k, n, v FROM kinds;
\set VERBOSITY default
ROLLBACK TO a;
INSERT INTO checked SELECT k, n, v FROM kinds WHERE k <> 5990;
INSERT INTO checked SELECT k, n + 1, v FROM kinds WHERE v = 'changed';
COMMIT;
SELECT count(*), count(*) FILTER (WHERE v = 'changed'), sum(k) FROM checked;
-- under a client's encoding, and from a cursor's transaction
SET client_encoding = 'LATIN1';
INSERT INTO by_text (k, v) SELECT 9, v || U&'\00e9' FROM kinds WHERE k > 0 AND v IS NOT NULL;
INSERT INTO by_text (k, v) SELECT 10, v FROM by_text WHERE k = 9;
RESET client_encoding;
SELECT k, count(*), bool_and(v LIKE U&'%\00e9') FROM by_text WHERE k IN (9, 10) GROUP BY k ORDER BY k;
-- what nodes are asked for that does no harm to anyone who asks
\set VERBOSITY sqlstate
BEGIN;
DECLARE rows CURSOR FOR SELECT i AS k, 'v' || i AS v, row(i) AS r FROM generate_series(1, 100000) i;
SELECT count(*), count(*) FILTER (WHERE get_byte(m, 0) = 255), sum(length(m)) FROM tessera_internal.fetch_divided('rows', '{1,2}', 1, '{-2147483648,0}', '{1,0}') m;
FETCH rows;
SAVEPOINT a;
SELECT tessera_internal.fetch_divided('no_rows', '{1}', 1, '{0}', '{0}');
ROLLBACK TO a;
SELECT tessera_internal.fetch_divided('rows', '{4}', 1, '{0}', '{0}');
ROLLBACK TO a;
SELECT tessera_internal.fetch_divided('rows', '{1}', -1, '{0}', '{0}');
ROLLBACK TO a;
SELECT tessera_internal.fetch_divided('rows', '{1}', 1, '{0}', '{1}');
ROLLBACK TO a;
SELECT tessera_internal.fetch_divided('rows', '{1}', 1, '{}', '{}');
ROLLBACK TO a;
SELECT tessera_internal.fetch_divided('rows', '{1}', 1, '{{0,1},{2,3}}', '{0,1,2,3}');
ROLLBACK TO a;
SELECT tessera_internal.fetch_divided('rows', '{3}', 1, '{0}', '{0}');
ROLLBACK TO a;
SELECT count(*) FROM tessera_internal.fetch_divided('rows', '{}', 0, '{0,1}', '{0,1}');
COMMIT;
\set VERBOSITY default

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
DROP TYPE public.insert_select_mood, public.insert_select_size;
DROP DOMAIN public.insert_select_code;
