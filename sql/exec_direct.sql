-- statements for one shard of this server run as the shard's own, from the second time on
\set maindb :DBNAME
CREATE DATABASE regress_exec_direct;
\c regress_exec_direct
CREATE EXTENSION tessera;
CREATE TABLE t (k int PRIMARY KEY, v text, n numeric(6,2) DEFAULT 7);
CREATE TABLE of_t (k int, id int, PRIMARY KEY (k, id), FOREIGN KEY (k) REFERENCES t DEFERRABLE);
CREATE TABLE note (k int, at timestamptz DEFAULT now(), s serial);
CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
CREATE TABLE known (id uuid DEFAULT gen_random_uuid(), v int);
SELECT tessera.create_distributed_table('t', 'k', shard_count => 2);
SELECT tessera.create_distributed_table('numbered', 'id', shard_count => 2);
SELECT tessera.create_distributed_table('known', 'id', shard_count => 2);
SELECT tessera.create_distributed_table('of_t', 'k', colocate_with => 't');
SELECT tessera.create_distributed_table('note', 'k', colocate_with => 't');
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i;

-- runs a query again and again; how often directly, and what it gave at last
CREATE FUNCTION again(query text, times int DEFAULT 4) RETURNS TABLE (direct bigint, nested bigint, rows bigint, last text) LANGUAGE plpgsql AS $$
DECLARE
	d bigint;
	i bigint;
	r record;
BEGIN
	SELECT p.direct, p.nested INTO d, i FROM tessera_internal.runs_in_process() p;
	FOR n IN 1 .. times LOOP
		rows := 0;
		FOR r IN EXECUTE query LOOP
			rows := rows + 1;
			last := r::text;
		END LOOP;
	END LOOP;
	RETURN QUERY SELECT p.direct - d, p.nested - i, again.rows, again.last FROM tessera_internal.runs_in_process() p;
END $$;
CREATE FUNCTION change(command text, times int DEFAULT 4) RETURNS TABLE (direct bigint, nested bigint, rows bigint) LANGUAGE plpgsql AS $$
DECLARE
	d bigint;
	i bigint;
BEGIN
	SELECT p.direct, p.nested INTO d, i FROM tessera_internal.runs_in_process() p;
	FOR n IN 1 .. times LOOP
		EXECUTE command;
	END LOOP;
	GET DIAGNOSTICS rows = ROW_COUNT;
	RETURN QUERY SELECT p.direct - d, p.nested - i, change.rows FROM tessera_internal.runs_in_process() p;
END $$;
SELECT * FROM again('SELECT * FROM t WHERE k = 17');
-- what has come for one shard comes again for another
SELECT min(k) AS other FROM t WHERE tessera.shard_of('t', k) <> tessera.shard_of('t', 17) \gset
SELECT direct, nested, rows FROM again('SELECT * FROM t WHERE k = ' || :other);
SELECT * FROM again('SELECT v, t.n * 2 FROM t WHERE k = 17 FOR UPDATE');
-- a row has the table's type, not the shard's
SELECT * FROM again('SELECT t FROM t WHERE k = 17');
SELECT * FROM again('SELECT count(*) FROM t WHERE k = NULL');
SELECT * FROM again('SELECT t.v, o.id FROM t LEFT JOIN of_t o USING (k) WHERE t.k = 18 AND o.k = 18 + 0');
SELECT * FROM again('SELECT v FROM t WHERE k = 17 AND n < extract(year FROM now())');
SELECT * FROM again('UPDATE t SET n = n + 1 WHERE k = 17 RETURNING k, n');
SELECT * FROM change('UPDATE t SET v = v || ''!'' WHERE k = 17');
SELECT * FROM change('DELETE FROM t WHERE k = 100');
SELECT * FROM change('INSERT INTO t (k, v) VALUES (200, ''new'') ON CONFLICT (k) DO UPDATE SET n = t.n + 1');
SELECT * FROM change('INSERT INTO note (k, s) VALUES (1, 1)');
SELECT * FROM change('INSERT INTO note (k, s) VALUES (NULL, 1 + 1)');
SELECT * FROM t WHERE k IN (17, 100, 200) ORDER BY k;
SELECT k, count(*), count(DISTINCT at), sum(s) FROM note GROUP BY k ORDER BY k;
-- rows with numbers of a sequence, and what they return
SELECT * FROM change('INSERT INTO note (k) VALUES (2)');
SELECT * FROM again('INSERT INTO note (k, s) VALUES (3, 0) RETURNING k');
SELECT * FROM again('INSERT INTO note (k) VALUES (4) RETURNING s, k');
SELECT direct, nested, rows FROM again('INSERT INTO note (k) VALUES (4) RETURNING *');
SELECT * FROM again('INSERT INTO numbered (v) VALUES (''x'') RETURNING id');
SELECT * FROM again('INSERT INTO numbered (v) VALUES (''y'') RETURNING id');
SELECT direct, nested, rows FROM change('INSERT INTO known (v) VALUES (1)');
SELECT * FROM again('INSERT INTO t (k, v) VALUES (200, ''new'') ON CONFLICT (k) DO UPDATE SET n = t.n + 1 RETURNING n');
-- these have more to do, or run only once
SELECT * FROM again('SELECT count(*) FROM t');
SELECT * FROM again('SELECT (SELECT v FROM t WHERE k = 17)');
SELECT * FROM again('INSERT INTO note (k, s) VALUES (3, 0) RETURNING k + 1');
SELECT * FROM again('INSERT INTO note (k, s) VALUES (3, 0) RETURNING k AS key, s');
SELECT direct, nested, rows FROM change('INSERT INTO note (k, s, at) VALUES (5, 0, clock_timestamp())');
SELECT * FROM again('INSERT INTO note (k) VALUES (7) RETURNING s AS number');
SELECT * FROM again('EXPLAIN (COSTS OFF) SELECT * FROM t WHERE k = 17');
SELECT * FROM again('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM t WHERE k = 17');
-- a sequence gives each value once, and no more than are inserted
SELECT k, count(*), count(DISTINCT s), min(s), max(s) FROM note WHERE k IN (2, 4, 7) GROUP BY k ORDER BY k;
SELECT v, count(*), min(id), max(id) FROM numbered GROUP BY v ORDER BY v;
SELECT count(*), count(DISTINCT id) FROM known;

-- columns have the names and types that they have without
PREPARE odd(int) AS SELECT v AS "Odd name", 1 + 1, n::numeric(4,1), count(*), 'x'::varchar(3), t AS whole FROM t WHERE k = $1 GROUP BY t.k;
EXECUTE odd(17);
EXECUTE odd(17);
CREATE TABLE taken AS SELECT v AS "Odd name", n::numeric(4,1), count(*), 'x'::varchar(3) AS x FROM t WHERE k = 17 GROUP BY t.k;
CREATE TABLE taken_too AS SELECT v AS "Odd name", n::numeric(4,1), count(*), 'x'::varchar(3) AS x FROM t WHERE k = 17 GROUP BY t.k;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'taken_too'::regclass AND attnum > 0 ORDER BY attnum;
SELECT v AS w FROM t WHERE k = 17 \gdesc

-- command tags and counts
\set QUIET off
UPDATE t SET n = 1 WHERE k = 17;
UPDATE t SET n = 1 WHERE k = 17;
DELETE FROM t WHERE k = 999;
DELETE FROM t WHERE k = 999;
SELECT k FROM t WHERE k = 17;
\set QUIET on

-- rights are those of the table, also when a plan is there
CREATE ROLE regress_direct;
GRANT SELECT ON t TO regress_direct;
SET ROLE regress_direct;
PREPARE get(int) AS SELECT v FROM t WHERE k = $1;
EXECUTE get(18);
EXECUTE get(18);
EXECUTE get(18);
RESET ROLE;
REVOKE SELECT ON t FROM regress_direct;
SET ROLE regress_direct;
EXECUTE get(18);
UPDATE t SET v = '' WHERE k = 18;
SELECT v FROM t WHERE k = 18 AND n = 1 / 0;
INSERT INTO numbered (v) VALUES ('x') RETURNING id;
RESET ROLE;
-- neither who may not insert takes a number, nor an error in a constant
INSERT INTO numbered (v) VALUES ('x' || 1 / 0);
SELECT nextval('numbered_id_seq') - max(id) AS one FROM numbered;
-- the second of a sequence that has an end
ALTER SEQUENCE note_s_seq MAXVALUE 100;
SELECT setval('note_s_seq', 99);
INSERT INTO note (k) VALUES (6) RETURNING s;
INSERT INTO note (k) VALUES (6) RETURNING s;

-- cursors see what was there when they were opened; they go backward, are held, and are left
BEGIN;
DECLARE c CURSOR FOR SELECT v FROM t WHERE k = 18;
UPDATE t SET v = 'later' WHERE k = 18;
DECLARE s SCROLL CURSOR FOR SELECT v FROM t WHERE k = 18;
DECLARE h CURSOR WITH HOLD FOR SELECT v FROM t WHERE k = 18;
FETCH c;
FETCH c;
FETCH s;
FETCH s;
FETCH PRIOR FROM s;
SAVEPOINT one;
DECLARE lost CURSOR FOR SELECT v FROM t WHERE k = 18;
FETCH lost;
ROLLBACK TO one;
SELECT v FROM t WHERE k = 18;
COMMIT;
FETCH h;
CLOSE h;

-- what may not be
BEGIN READ ONLY;
UPDATE t SET v = 'x' WHERE k = 18;
ROLLBACK;
INSERT INTO of_t VALUES (999, 1);
INSERT INTO of_t VALUES (999, 1);
INSERT INTO of_t VALUES (999, 1);
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO of_t VALUES (999, 1);
COMMIT;
DELETE FROM t WHERE k = 19;
INSERT INTO of_t VALUES (20, 1);
DELETE FROM t WHERE k = 20;
INSERT INTO t (k) VALUES (1 / 0);
INSERT INTO t (k) VALUES (17);

-- an error in the middle of a loop leaves nothing behind
DO $$
DECLARE
	seen int := 0;
BEGIN
	FOR i IN 1 .. 5 LOOP
		BEGIN
			UPDATE t SET n = n + 1 WHERE k = 17;
			PERFORM 1 / (n - 3) FROM t WHERE k = 17;
		EXCEPTION WHEN division_by_zero THEN
			seen := seen + 1;
		END;
	END LOOP;
	RAISE NOTICE '% seen, %', seen, (SELECT n FROM t WHERE k = 17);
END $$;

SELECT connections, statements FROM tessera_internal.net_counters();

\c :maindb
DROP DATABASE regress_exec_direct;
DROP ROLE regress_direct;
