-- a cluster of one: shards on this very server, whose tasks run in process
\set maindb :DBNAME
CREATE DATABASE regress_exec_alone;
\c regress_exec_alone
CREATE EXTENSION tessera;
CREATE TABLE t (k int, v text, n int DEFAULT 7);
SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
SELECT DISTINCT nodes FROM tessera.shards;

INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 500) i;
INSERT INTO t VALUES (503, 'c'), (501, 'a'), (502, 'b') RETURNING k, v, n;
SELECT count(*), sum(k) FROM t;
SELECT * FROM t WHERE k = 17;
-- no connection is used
SELECT connections, statements FROM tessera_internal.net_counters();

-- a statement sees what was before it, and not what it does itself
BEGIN;
DECLARE c CURSOR FOR SELECT k, v FROM t;
UPDATE t SET v = 'written' WHERE k <= 100;
FETCH 0 FROM c;
MOVE ALL IN c;
SELECT count(*) FROM t WHERE v = 'written';
SAVEPOINT s;
DELETE FROM t;
SELECT count(*) FROM t;
ROLLBACK TO s;
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) FROM t WHERE v = 'written';

-- a cursor does not see writes that come after it was opened
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM t WHERE v = 'later';
UPDATE t SET v = 'later';
FETCH c;
SELECT count(*) FROM t WHERE v = 'later';
ROLLBACK;

-- functions that query while they are called for each row, and write
CREATE FUNCTION look(key int) RETURNS text LANGUAGE plpgsql STABLE AS $$ DECLARE r text; BEGIN SELECT v INTO r FROM t WHERE k = key; RETURN r; END $$;
SELECT count(*) FROM t WHERE look(k) = v;
CREATE FUNCTION change(key int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = n + 1 WHERE k = key; RETURN key; END $$;
SELECT sum(change(k)) FROM t WHERE k <= 100;
SELECT n, count(*) FROM t GROUP BY n ORDER BY n;
DO $$
DECLARE r record;
BEGIN
	FOR r IN SELECT k FROM t WHERE k <= 50 LOOP
		UPDATE t SET v = 'loop' WHERE k = r.k;
		BEGIN
			UPDATE t SET v = 'undone' WHERE k = r.k;
			RAISE EXCEPTION 'undo';
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
END $$;
SELECT v, count(*) FROM t WHERE k <= 50 GROUP BY v;

-- rows of a loop that commits
CREATE PROCEDURE commit_in_loop() LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT k FROM t WHERE k <= 10 LOOP
		UPDATE t SET v = 'committed' WHERE k = r.k;
		COMMIT;
	END LOOP;
END $$;
CALL commit_in_loop();
SELECT count(*) FROM t WHERE v = 'committed';

-- errors are those of the table
\set VERBOSITY sqlstate
SELECT 1 / (k - 250) FROM t;
INSERT INTO t VALUES (1, 'x', 1 / (SELECT count(*) - 503 FROM t));
\set VERBOSITY default
SELECT count(*) FROM t;

-- settings of the session hold for what is computed, not for how it is sent
SET DateStyle = 'German';
CREATE TABLE d (k date, at timestamptz);
SELECT tessera.create_distributed_table('d', 'k', shard_count => 2);
SET TimeZone = 'UTC';
INSERT INTO d VALUES ('02.03.2026', '2026-03-02 12:00Z');
SELECT * FROM d WHERE k = '02.03.2026';
SELECT k::text, count(*) FROM d GROUP BY 1;
RESET DateStyle;

-- a reference table with no other server
CREATE TABLE r (id int PRIMARY KEY, v text);
SELECT tessera.create_reference_table('r');
INSERT INTO r VALUES (1, 'x') RETURNING *;
UPDATE r SET v = 'y' RETURNING *;
SELECT * FROM r;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT * FROM t WHERE k = 3;

-- the plan of a shard is made in process, with values and without
CREATE FUNCTION filters(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP
		IF line ~ 'Remote Plan|Filter' THEN
			RETURN NEXT regexp_replace(line, 'shard \d+', 'shard N');
		END IF;
	END LOOP;
END $$;
SELECT filters('SELECT * FROM t WHERE k < 3 + extract(day FROM now()) * 0');
SELECT filters('SELECT * FROM t WHERE k < (SELECT max(id) FROM r)');

-- rows that move, parts of WITH and MERGE, all in process
CREATE TABLE parent (k int, id int PRIMARY KEY);
CREATE TABLE m (k int, id int, v text, PRIMARY KEY (k, id));
CREATE TABLE of_m (k int, id int, FOREIGN KEY (k, id) REFERENCES m);
SELECT tessera.create_distributed_table('m', 'k', shard_count => 4);
SELECT tessera.create_distributed_table('of_m', 'k', colocate_with => 'm');
INSERT INTO m SELECT i, i, 'v' || i FROM generate_series(1, 10) i;
INSERT INTO of_m VALUES (10, 10);
UPDATE m SET k = k + 100 WHERE id = 3 RETURNING *;
UPDATE m SET k = k + 100 WHERE id < 10 AND k < 100;
\set VERBOSITY sqlstate
UPDATE m SET k = k + 1000;
UPDATE m SET k = 5, id = 5;
SELECT tessera_internal.delete_moved(NULL::m, '{"(0,1)"}');
SELECT tessera_internal.delete_moved(1, '{"(0,1)"}');
SELECT tessera_internal.delete_moved(NULL::parent, NULL);
\set VERBOSITY default
WITH e AS (DELETE FROM of_m RETURNING *) SELECT (SELECT count(*) FROM of_m) AS before, count(*) AS gone FROM e;
WITH e AS (UPDATE m SET k = k - 100 WHERE id < 10 RETURNING *) INSERT INTO t SELECT k + 1000, v FROM e;
MERGE INTO m USING t ON t.k = m.id WHEN MATCHED AND m.id > 5 THEN DELETE WHEN MATCHED THEN UPDATE SET v = t.v || '!' WHEN NOT MATCHED AND t.k > 1000 THEN INSERT VALUES (t.k, t.k);
SELECT * FROM m ORDER BY id;
-- a volatile function that computes a row of an INSERT sees the rows before it
CREATE TABLE counted (k int, n int);
SELECT tessera.create_distributed_table('counted', 'k', shard_count => 4);
CREATE FUNCTION rows_so_far() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM counted); EXCEPTION WHEN division_by_zero THEN RETURN -1; END$$;
INSERT INTO counted SELECT i, rows_so_far() FROM generate_series(1, 9) i RETURNING *;
-- rows that are shipped, by key and to all shards, in a load and in many
CREATE TABLE few AS SELECT i % 700 AS k, i % 90 AS n, repeat('x', 50) AS filling FROM generate_series(1, 400) i;
ANALYZE t, few;
CREATE VIEW joined (test, rows, keys, filling) AS SELECT 1, count(*), sum(t.k), min(length(filling)) FROM t JOIN few USING (k)
	UNION ALL SELECT 2, count(*), sum(t.k), min(length(filling)) FROM t LEFT JOIN few USING (k)
	UNION ALL SELECT 3, count(*), sum(t.k), min(length(filling)) FROM t LEFT JOIN few ON few.n = length(t.v)
	UNION ALL SELECT 4, count(*), sum(t.k), 0 FROM t WHERE NOT EXISTS (SELECT FROM few WHERE few.k = t.k AND filling > t.v);
CREATE FUNCTION joins_of_shards(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	line text;
	joins int := 0;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		joins := joins + (line ~ 'Join on Nodes')::int;
	END LOOP;
	RETURN joins;
END $$;
SELECT joins_of_shards('SELECT * FROM joined');
SELECT * FROM joined;
SET tessera.ship_limit = '1kB';
SELECT * FROM joined;
SET tessera.ship_limit = 0;
SELECT * FROM joined;
RESET tessera.ship_limit;
SELECT connections, statements FROM tessera_internal.net_counters();
-- statements that come again: their plans are kept, and thrown away when they have to be
CREATE TABLE again (k int PRIMARY KEY, v int);
SELECT tessera.create_distributed_table('again', 'k', shard_count => 2);
CREATE TABLE rate (k int PRIMARY KEY, v int);
SELECT tessera.create_reference_table('rate');
INSERT INTO rate VALUES (1, 0);
PREPARE put(int) AS INSERT INTO again VALUES ($1, 0) ON CONFLICT (k) DO UPDATE SET v = again.v + 1;
PREPARE get(int) AS SELECT v, (SELECT v FROM rate) AS rate FROM again WHERE k = $1;
PREPARE raise(int) AS UPDATE rate SET v = v + $1;
EXECUTE put(1);
EXECUTE put(1);
EXECUTE put(1);
EXECUTE put(1);
EXECUTE put(1);
EXECUTE put(1);
EXECUTE put(1);
EXECUTE put(1);
EXECUTE raise(2);
EXECUTE raise(2);
EXECUTE raise(2);
EXECUTE raise(2);
EXECUTE raise(2);
EXECUTE raise(2);
EXECUTE raise(2);
EXECUTE get(1);
EXECUTE get(1);
EXECUTE get(1);
SELECT 'public_' || (tessera.shard_of('again', 1)).shard_id AS shard \gset
ALTER TABLE :shard.again ADD CONSTRAINT low CHECK (v < 9);
EXECUTE put(1);
SET search_path = pg_catalog, public;
EXECUTE put(1);
EXECUTE get(1);
RESET search_path;
DISCARD PLANS;
EXECUTE get(1);
ALTER TABLE :shard.again DROP CONSTRAINT low, DROP v, ADD v int DEFAULT 5;
EXECUTE get(1);
EXECUTE put(1);
EXECUTE get(1);
DROP TABLE again, rate;

-- commands of an administrator for shards that are here: in this transaction
CREATE FUNCTION on_shards(command text) RETURNS TABLE (success bool, result text, count bigint) LANGUAGE sql AS
	'SELECT success, result, count(*) FROM tessera.run_on_shards(''t'', $1) GROUP BY 1, 2';
BEGIN;
SELECT * FROM on_shards('ALTER TABLE %s ADD CONSTRAINT low CHECK (n < 1000)');
SELECT * FROM on_shards($$SELECT count(*) FROM pg_constraint WHERE conname = 'low' AND conrelid = '%s'::regclass$$);
UPDATE t SET n = 1000 WHERE k = 17;
ROLLBACK;
UPDATE t SET n = 1000 WHERE k = 17;
SELECT * FROM on_shards('CREATE INDEX ON %s (n)');
SELECT * FROM on_shards('CREATE INDEX ON %s (n)');
SELECT * FROM on_shards('ANALYZE %s');
SELECT DISTINCT success, result ~ 'cost=' AS is_plan FROM on_shards('EXPLAIN SELECT FROM %s WHERE n = 1');
SELECT * FROM on_shards('SHOW search_path');
SELECT * FROM on_shards('VACUUM %s');
SELECT * FROM on_shards('ROLLBACK');
SELECT * FROM on_shards('COPY %s TO STDOUT');
SELECT * FROM on_shards('SELECT 1; SELECT 2');
SELECT * FROM on_shards('UPDATE %s SET n = 0 WHERE k = 17');
SELECT n FROM t WHERE k = 17;

-- arrays of what stands for objects, in a statement that a node would answer in text
CREATE TABLE named (k int, rel regclass, rels regclass[], q tsquery);
SELECT tessera.create_distributed_table('named', 'k');
INSERT INTO named VALUES (1, 't', '{t,named,-}', 'a'), (2, 'named', NULL, 'b');
SELECT rel, rels, q, pg_typeof(rels), rels::text FROM named ORDER BY k;
ANALYZE named;

\c :maindb
DROP DATABASE regress_exec_alone;
