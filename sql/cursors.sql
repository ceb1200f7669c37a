-- cursors that were declared without SCROLL, and go backward: what the scan has
-- passed is kept, so that the nodes are asked once
CREATE SCHEMA cursors;
SET search_path = cursors;
CREATE TABLE t (k int PRIMARY KEY, v text);
SELECT tessera.create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i;
CREATE TABLE local_t (k int);
INSERT INTO local_t VALUES (101), (102);
CREATE TABLE ref (r int PRIMARY KEY);
SELECT tessera.create_reference_table('ref');
INSERT INTO ref VALUES (1), (2);
CREATE TABLE big (k int PRIMARY KEY, v text);
SELECT tessera.create_distributed_table('big', 'k');
INSERT INTO big SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i;
-- round trips to nodes since the last call
CREATE FUNCTION flushes() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
	SELECT round_trips INTO n FROM tessera_internal.net_counters();
	PERFORM tessera_internal.reset_net_counters();
	RETURN n;
END $$;

-- merged streams: there and back, and beyond both ends
BEGIN;
DECLARE c CURSOR FOR SELECT k, v FROM t ORDER BY k;
FETCH PRIOR FROM c;
FETCH 3 FROM c;
FETCH PRIOR FROM c;
FETCH 0 FROM c;
FETCH RELATIVE -1 FROM c;
FETCH PRIOR FROM c;
FETCH PRIOR FROM c;
FETCH NEXT FROM c;
MOVE ALL IN c;
FETCH NEXT FROM c;
FETCH BACKWARD 2 FROM c;
FETCH 5 FROM c;
FETCH PRIOR FROM c;
FETCH LAST FROM c;
FETCH FIRST FROM c;
FETCH ABSOLUTE 7 FROM c;
FETCH ABSOLUTE -2 FROM c;
FETCH RELATIVE -3 FROM c;
MOVE BACKWARD ALL IN c;
FETCH NEXT FROM c;
SELECT name, is_scrollable FROM pg_cursors;
COMMIT;

-- going back asks no node
BEGIN;
DECLARE c CURSOR FOR SELECT k FROM t;
MOVE 5 IN c;
MOVE ALL IN c;
SELECT flushes() > 0;
MOVE BACKWARD ALL IN c;
MOVE ALL IN c;
MOVE FIRST IN c;
MOVE ABSOLUTE 10 IN c;
SELECT flushes();
COMMIT;

-- rows in no order: the same going back as before
CREATE FUNCTION there_and_back(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	r text;
	there text[];
	back text[];
	again text[];
BEGIN
	OPEN c FOR EXECUTE query;
	LOOP
		FETCH c INTO r;
		EXIT WHEN NOT FOUND;
		there := there || r;
	END LOOP;
	LOOP
		FETCH PRIOR FROM c INTO r;
		EXIT WHEN NOT FOUND;
		back := r || back;
	END LOOP;
	LOOP
		FETCH c INTO r;
		EXIT WHEN NOT FOUND;
		again := again || r;
	END LOOP;
	FETCH FIRST FROM c INTO r;
	CLOSE c;
	RETURN format('%s rows, %s, %s, %s', cardinality(there), there = back,
				  there = again, r IS NOT DISTINCT FROM there[1]);
END $$;
SELECT there_and_back('SELECT k FROM t');
SELECT there_and_back('SELECT k FROM t WHERE k = 7');
SELECT there_and_back('SELECT k FROM t WHERE k = 70');
SELECT there_and_back('SELECT k FROM t WHERE k % 3 = 1 AND length(pg_backend_pid()::text) > 0');
SELECT there_and_back('SELECT k FROM t LIMIT 5 OFFSET 2');
SELECT there_and_back('SELECT k FROM t ORDER BY v LIMIT 5 OFFSET 2');
SELECT there_and_back('SELECT k FROM t ORDER BY k % 4 FETCH FIRST 2 ROWS WITH TIES');
SELECT there_and_back('SELECT k FROM t UNION ALL SELECT k FROM local_t UNION ALL SELECT k + 50 FROM t');
SELECT there_and_back('SELECT t.k FROM t JOIN t u USING (k) WHERE t.k < 15');
SELECT there_and_back('SELECT k, r FROM t, ref');
SELECT there_and_back('SELECT DISTINCT k FROM t ORDER BY k');
SELECT there_and_back('SELECT k, (SELECT count(*) FROM ref WHERE r < k) FROM t');
SELECT there_and_back('SELECT k, generate_series(1, 2) FROM t WHERE k = 7');
SELECT there_and_back('SELECT * FROM (SELECT k FROM t WHERE v <> ''v3'' ORDER BY k DESC LIMIT 9) x WHERE k % 2 = 0');

-- a statement that was planned before, with another constant
BEGIN;
SELECT v FROM t WHERE k = 3;
DECLARE a CURSOR FOR SELECT v FROM t WHERE k = 4;
FETCH 2 FROM a;
FETCH PRIOR FROM a;
COMMIT;

-- a prepared one keeps its own plan, and EXECUTE in a loop goes forward only
PREPARE p(int) AS SELECT k FROM t WHERE k <= $1 ORDER BY k;
BEGIN;
DECLARE c CURSOR FOR SELECT k FROM t WHERE k <= 4 ORDER BY k;
EXECUTE p(2);
FETCH 3 FROM c;
EXECUTE p(2);
FETCH BACKWARD ALL FROM c;
COMMIT;

-- others write, and roll back, between
BEGIN;
DECLARE c CURSOR FOR SELECT k FROM t ORDER BY k;
FETCH 2 FROM c;
DELETE FROM t WHERE k IN (1, 5);
FETCH 3 FROM c;
FETCH BACKWARD 4 FROM c;
SAVEPOINT s;
INSERT INTO t VALUES (0, 'zero');
FETCH FORWARD 5 FROM c;
ROLLBACK TO s;
FETCH BACKWARD 6 FROM c;
FETCH ALL FROM c;
FETCH BACKWARD 2 FROM c;
ROLLBACK;

-- with MOVE in a subtransaction that is rolled back
BEGIN;
DECLARE c CURSOR FOR SELECT k FROM t ORDER BY k;
SAVEPOINT s;
FETCH 3 FROM c;
ROLLBACK TO s;
FETCH PRIOR FROM c;
FETCH 3 FROM c;
COMMIT;

-- WITH HOLD: the rows that were fetched are among those that are kept
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT k FROM t ORDER BY k;
DECLARE u CURSOR WITH HOLD FOR SELECT k FROM t WHERE k <= 3;
FETCH 3 FROM h;
FETCH PRIOR FROM h;
COMMIT;
FETCH 2 FROM h;
FETCH BACKWARD ALL FROM h;
MOVE ALL IN u;
MOVE BACKWARD ALL IN u;
CLOSE ALL;

-- more than work_mem: forward only, and the error of PostgreSQL's
SET work_mem = '64kB';
BEGIN;
DECLARE c CURSOR FOR SELECT k, v FROM big;
MOVE 10 IN c;
MOVE BACKWARD 5 IN c;
MOVE 2000 IN c;
FETCH PRIOR FROM c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT k FROM big ORDER BY k;
MOVE ALL IN c;
FETCH FIRST FROM c;
ROLLBACK;
-- SCROLL keeps all, and so does a cursor WITH HOLD
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT k, v FROM big ORDER BY k;
MOVE ALL IN c;
MOVE BACKWARD ALL IN c;
FETCH RELATIVE 3 FROM c;
DECLARE h CURSOR WITH HOLD FOR SELECT k, v FROM big;
MOVE 2500 IN h;
MOVE BACKWARD 100 IN h;
MOVE 200 IN h;
COMMIT;
MOVE ALL IN h;
MOVE BACKWARD ALL IN h;
SELECT count(*) FROM big;
CLOSE h;
-- others drain what streams
BEGIN;
DECLARE c CURSOR FOR SELECT k FROM t;
DECLARE b CURSOR FOR SELECT k FROM big;
MOVE 2 IN c;
MOVE 2 IN b;
SELECT count(*) FROM big;
MOVE BACKWARD ALL IN b;
MOVE ALL IN b;
MOVE ALL IN c;
MOVE BACKWARD ALL IN c;
COMMIT;
RESET work_mem;

-- NO SCROLL, and rows that are locked, go forward only
BEGIN;
DECLARE n NO SCROLL CURSOR FOR SELECT k FROM t ORDER BY k;
DECLARE l CURSOR FOR SELECT k FROM t WHERE k = 3 FOR UPDATE;
DECLARE m CURSOR FOR SELECT k FROM t FOR UPDATE;
SELECT name, is_scrollable FROM pg_cursors ORDER BY name;
FETCH 2 FROM n;
FETCH PRIOR FROM n;
ROLLBACK;

-- an empty result, and one of no columns
BEGIN;
DECLARE c CURSOR FOR SELECT FROM t WHERE k <= 3;
MOVE ALL IN c;
MOVE BACKWARD ALL IN c;
MOVE 1 IN c;
DECLARE e CURSOR FOR SELECT k FROM t WHERE k < 0;
FETCH ALL FROM e;
FETCH BACKWARD ALL FROM e;
FETCH LAST FROM e;
COMMIT;

\set VERBOSITY terse
DROP SCHEMA cursors CASCADE;
