-- transactions over nodes: savepoints follow, one error undoes all
CREATE SCHEMA xact;
SET search_path = xact;
CREATE TABLE t (k int PRIMARY KEY, v text);
SELECT tessera.create_distributed_table('t', 'k', shard_count => 6);
INSERT INTO t SELECT i, 'old' FROM generate_series(1, 12) i;

-- commit, and rollback, on all nodes
BEGIN;
INSERT INTO t SELECT i, 'new' FROM generate_series(13, 24) i;
SELECT count(*) FROM t;
COMMIT;
SELECT count(*) FROM t;
BEGIN;
DELETE FROM t;
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) FROM t;

-- an error in the middle leaves nothing
BEGIN;
UPDATE t SET v = 'changed';
INSERT INTO t VALUES (100, 'new'), (101, 'new'), (1, 'twice'), (102, 'new');
COMMIT;
SELECT v, count(*) FROM t GROUP BY v ORDER BY v;

-- savepoints: rolled back, released, used again, nested
BEGIN;
SAVEPOINT a;
UPDATE t SET v = 'a';
ROLLBACK TO a;
SELECT count(*) FROM t WHERE v = 'a';
UPDATE t SET v = 'b' WHERE k <= 6;
SAVEPOINT b;
DELETE FROM t WHERE k <= 6;
RELEASE b;
SAVEPOINT c;
INSERT INTO t VALUES (200, 'c');
SAVEPOINT d;
INSERT INTO t VALUES (201, 'd');
RELEASE d;
ROLLBACK TO c;
SELECT count(*) FROM t;
SAVEPOINT e;
INSERT INTO t VALUES (1, 'e');
COMMIT;
SELECT k, v FROM t WHERE k < 3 OR k >= 200 ORDER BY k;
SELECT count(*) FROM t;

-- a savepoint that was released is not undone by the next one
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (300, 'kept');
RELEASE a;
SAVEPOINT b;
ROLLBACK TO b;
SAVEPOINT c;
INSERT INTO t VALUES (301, 'gone');
ROLLBACK TO c;
COMMIT;
SELECT k, v FROM t WHERE k >= 300 ORDER BY k;

-- an error in a savepoint, and on
BEGIN;
INSERT INTO t VALUES (302, 'kept');
SAVEPOINT a;
INSERT INTO t VALUES (303, 'gone'), (302, 'twice');
ROLLBACK TO a;
INSERT INTO t VALUES (304, 'kept');
COMMIT;
SELECT k, v FROM t WHERE k >= 300 ORDER BY k;

-- exception blocks
DO $$
BEGIN
	FOR i IN 400 .. 409 LOOP
		BEGIN
			INSERT INTO xact.t VALUES (i, 'block');
			IF i % 3 = 0 THEN
				RAISE EXCEPTION 'no';
			END IF;
			INSERT INTO xact.t VALUES (i - 1, 'before');
		EXCEPTION
			WHEN unique_violation THEN NULL;
			WHEN raise_exception THEN NULL;
		END;
	END LOOP;
END $$;
SELECT k, v FROM t WHERE k BETWEEN 399 AND 410 ORDER BY k;

-- COMMIT and ROLLBACK in a procedure
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO xact.t VALUES (500, 'committed');
	COMMIT;
	INSERT INTO xact.t VALUES (501, 'rolled back');
	ROLLBACK;
	INSERT INTO xact.t VALUES (502, 'committed');
END $$;
CALL p();
SELECT k, v FROM t WHERE k >= 500 ORDER BY k;

-- READ ONLY, also for a part of the transaction
BEGIN READ ONLY;
SELECT count(*) > 0 AS some FROM t;
DELETE FROM t;
ROLLBACK;
BEGIN;
SAVEPOINT a;
SET TRANSACTION READ ONLY;
SELECT count(*) FROM t WHERE k = 1;
ROLLBACK TO a;
UPDATE t SET v = 'written' WHERE k = 1;
COMMIT;
SELECT v FROM t WHERE k = 1;

-- REPEATABLE READ and SERIALIZABLE
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM t WHERE k = 1;
UPDATE t SET v = 'rr' WHERE k IN (1, 7, 8, 9);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE t SET v = 'ser' WHERE k IN (1, 7, 8, 9);
COMMIT;
SELECT k, v FROM t WHERE k IN (1, 7, 8, 9) ORDER BY k;

-- a second role in a transaction that has written
CREATE ROLE regress_xact LOGIN;
GRANT USAGE ON SCHEMA xact TO regress_xact;
GRANT SELECT ON t TO regress_xact;
BEGIN;
UPDATE t SET v = 'first role' WHERE k = 1;
SET ROLE regress_xact;
SELECT v FROM t WHERE k = 1;
ROLLBACK;

-- nothing stays prepared; NOTIFY and temporary tables make a commit two-phase
BEGIN;
UPDATE t SET v = 'notified' WHERE k = 1;
NOTIFY xact;
CREATE TEMP TABLE xact_temp ON COMMIT DROP AS SELECT 1 AS a;
COMMIT;
SELECT v FROM t WHERE k = 1;
SELECT success, result FROM tessera.run_on_nodes(
	'SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()') GROUP BY 1, 2;

DROP TABLE t;
DROP OWNED BY regress_xact;
SELECT count(*) > 0 AS done FROM tessera.run_on_nodes('DROP OWNED BY regress_xact');
DROP ROLE regress_xact;
DROP SCHEMA xact CASCADE;
