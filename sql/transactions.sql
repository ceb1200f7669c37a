-- Transactions over several nodes: all or nothing, savepoints, cursors.
CREATE SCHEMA transactions;
SET search_path = transactions;
SET client_min_messages = warning;

CREATE TABLE t (id int PRIMARY KEY, v int DEFAULT 0);
CREATE TABLE child (id int REFERENCES t DEFERRABLE INITIALLY DEFERRED, n int);
CREATE TABLE ref (id int PRIMARY KEY, v int);
CREATE TABLE here (id int);
SELECT tessera.create_distributed_table('t', 'id', shard_count => 8);
SELECT tessera.create_distributed_table('child', 'id', colocate_with => 't');
SELECT tessera.create_reference_table('ref');
INSERT INTO t SELECT i FROM generate_series(1, 100) i;
INSERT INTO ref SELECT i, i FROM generate_series(1, 10) i;

-- what a node finds at COMMIT is said, and nothing is committed anywhere:
-- one node alone, one of several, a node and this server
\set VERBOSITY terse
INSERT INTO child VALUES (1000, 1);
BEGIN;
INSERT INTO child VALUES (1000, 1);
COMMIT;
BEGIN;
INSERT INTO child SELECT i FROM generate_series(92, 101) i;
COMMIT;
BEGIN;
INSERT INTO here VALUES (1);
INSERT INTO ref VALUES (11, 11);
INSERT INTO child VALUES (1000, 1);
COMMIT;
SELECT (SELECT count(*) FROM child) AS child, (SELECT count(*) FROM here) AS here,
	   (SELECT count(*) FROM ref) AS ref;
-- and is no error if it has come right by then
BEGIN;
INSERT INTO child SELECT i FROM generate_series(101, 110) i;
INSERT INTO t SELECT i FROM generate_series(101, 110) i;
COMMIT;
SELECT count(*) FROM child JOIN t USING (id);
DELETE FROM child;
DELETE FROM t WHERE id > 100;

-- (MOVE says how many rows there were)
\set QUIET off
-- a cursor that is older than a savepoint keeps its rows after ROLLBACK TO,
-- whether it was read first before or after the savepoint
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t;
SAVEPOINT a;
MOVE 10 IN c;
ROLLBACK TO a;
MOVE ALL IN c;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t;
MOVE 10 IN c;
SAVEPOINT a;
MOVE 10 IN c;
UPDATE t SET v = 1 / (id - 50);
ROLLBACK TO a;
MOVE ALL IN c;
SELECT count(*) FROM t;
COMMIT;
BEGIN;
SAVEPOINT a;
DECLARE c CURSOR FOR SELECT id FROM t;
RELEASE a;
SAVEPOINT b;
MOVE 10 IN c;
ROLLBACK TO b;
MOVE ALL IN c;
COMMIT;

-- rows that could not be put away for a statement that needed the connection
-- are missed
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t;
MOVE 1 IN c;
SAVEPOINT a;
SET LOCAL tessera.fault_points = 'net_result:error';
SELECT count(*) FROM ref, t;
ROLLBACK TO a;
\set VERBOSITY sqlstate
MOVE ALL IN c;
\set VERBOSITY terse
ROLLBACK;

-- two cursors and a write take turns on one connection
BEGIN;
DECLARE a CURSOR FOR SELECT v FROM t;
DECLARE b CURSOR FOR SELECT v FROM t;
MOVE 50 IN a;
MOVE 10 IN b;
UPDATE t SET v = v + 1;
MOVE ALL IN a;
FETCH 1 FROM b;
MOVE ALL IN b;
SELECT sum(v) FROM t;
CLOSE a;
ROLLBACK;
-- WITH HOLD
BEGIN;
DECLARE a CURSOR WITH HOLD FOR SELECT v FROM t;
MOVE 1 IN a;
COMMIT;
MOVE ALL IN a;
CLOSE a;

-- and goes with the transaction if a node refuses to commit it, as if it had failed before
BEGIN;
INSERT INTO t VALUES (1000, 1);
DECLARE refused CURSOR WITH HOLD FOR SELECT v FROM t WHERE id = 1000;
INSERT INTO child VALUES (1001, 1);
COMMIT;
SELECT count(*) FROM pg_cursors WHERE name = 'refused';

\set QUIET on
-- a block with EXCEPTION for each row
DO $$
BEGIN
	FOR i IN 1001 .. 1300 LOOP
		BEGIN
			INSERT INTO t VALUES (i);
			IF i % 3 = 0 THEN INSERT INTO t VALUES (i); END IF;
			IF i % 5 = 0 THEN PERFORM 1 / 0; END IF;
		EXCEPTION WHEN unique_violation OR division_by_zero THEN NULL;
		END;
	END LOOP;
END $$;
SELECT count(*) AS there,
	   (SELECT count(*) FROM generate_series(1001, 1300) i WHERE i % 3 > 0 AND i % 5 > 0) AS right
FROM t WHERE id > 1000;
DELETE FROM t WHERE id > 100;

-- subtransactions in subtransactions; the one in the middle fails
CREATE FUNCTION nest(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO t VALUES (2000 + n);
	IF n > 0 THEN PERFORM nest(n - 1); END IF;
	IF n = 30 THEN RAISE EXCEPTION 'no'; END IF;
EXCEPTION WHEN raise_exception THEN NULL;
END $$;
SELECT nest(60);
SELECT min(id), max(id), count(*) FROM t WHERE id >= 2000;
DELETE FROM t WHERE id > 100;

-- a plan made before the table is distributed, in and after that transaction
CREATE TABLE p (id int PRIMARY KEY);
INSERT INTO p SELECT generate_series(1, 10);
SET plan_cache_mode = force_generic_plan;
PREPARE count_p AS SELECT count(*) FROM p;
PREPARE into_p AS INSERT INTO p VALUES (11);
EXECUTE count_p;
BEGIN;
SELECT tessera.create_distributed_table('p', 'id', colocate_with => 't');
EXECUTE into_p;
EXECUTE count_p;
ROLLBACK;
EXECUTE count_p;
EXECUTE into_p;
SELECT count(*), pg_relation_size('p') > 0 AS here FROM p;
RESET plan_cache_mode;
-- not while the session reads it
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM p;
SELECT tessera.create_distributed_table('p', 'id', colocate_with => 't');
ROLLBACK;

-- temporary tables, NOTIFY and PREPARE TRANSACTION beside nodes
BEGIN;
CREATE TEMP TABLE temp AS SELECT id FROM t WHERE id <= 10;
UPDATE t SET v = 5 WHERE id <= 10;
NOTIFY transactions;
COMMIT;
BEGIN;
DELETE FROM temp;
UPDATE t SET v = 6 WHERE id = 1;
ROLLBACK;
SELECT sum(v), (SELECT count(*) FROM temp) FROM t;
BEGIN;
SELECT v FROM t WHERE id = 1;
PREPARE TRANSACTION 'no';

-- modes of transactions
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT count(*) FROM t;
UPDATE t SET v = 1;
ROLLBACK;
BEGIN;
SELECT v FROM t WHERE id = 1;
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
ROLLBACK;
BEGIN;
UPDATE t SET v = 7 WHERE id = 1;
SAVEPOINT a;
SET TRANSACTION READ ONLY;
SELECT v FROM t WHERE id = 1;
UPDATE t SET v = 8 WHERE id = 1;
ROLLBACK TO a;
UPDATE t SET v = 9 WHERE id = 1;
COMMIT;
SELECT v FROM t WHERE id = 1;

DROP SCHEMA transactions CASCADE;
