-- what is set in a session holds on the nodes, and its transactions are theirs
CREATE SCHEMA session_state;
SET search_path = session_state;
-- a row is let in only where the setting has the value it says
CREATE TABLE seen (k int PRIMARY KEY, name text, value text,
	CONSTRAINT is_so CHECK (current_setting(name) = value));
SELECT tessera.create_distributed_table('seen', 'k', shard_count => 6);
\set VERBOSITY terse

-- SET, RESET and a function's SET: as long as they hold here
INSERT INTO seen SELECT i, 'work_mem', '5MB' FROM generate_series(1, 12) i;
SET work_mem = '5MB';
INSERT INTO seen SELECT i, 'work_mem', '5MB' FROM generate_series(1, 12) i;
CREATE FUNCTION write(k int, name text, value text) RETURNS void LANGUAGE sql SET work_mem = '9MB'
	AS 'INSERT INTO session_state.seen VALUES (k, name, value)';
SELECT write(13, 'work_mem', '9MB');
INSERT INTO seen VALUES (14, 'work_mem', '5MB');
RESET work_mem;
INSERT INTO seen VALUES (15, 'work_mem', '5MB');
SELECT value, count(*) FROM seen GROUP BY value ORDER BY value;

-- SET LOCAL, also of a savepoint and after it
BEGIN;
SET LOCAL work_mem = '6MB';
INSERT INTO seen SELECT i, 'work_mem', '6MB' FROM generate_series(21, 32) i;
SAVEPOINT a;
SET LOCAL work_mem = '7MB';
INSERT INTO seen SELECT i, 'work_mem', '7MB' FROM generate_series(33, 44) i;
ROLLBACK TO a;
INSERT INTO seen SELECT i, 'work_mem', '6MB' FROM generate_series(33, 44) i;
SAVEPOINT b;
SET LOCAL work_mem = '8MB';
RELEASE b;
INSERT INTO seen VALUES (45, 'work_mem', '8MB');
COMMIT;
INSERT INTO seen VALUES (46, 'work_mem', '8MB');
SELECT value, count(*) FROM seen WHERE k > 20 GROUP BY value ORDER BY value;

-- one of each kind; what is on the left is set
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'SQL, DMY';
SET lock_timeout = '61s';
SET synchronous_commit = local;
SET session_replication_role = replica;
SET enable_seqscan = off;
SET random_page_cost = 1.25;
SET vacuum_freeze_min_age = 7;
INSERT INTO seen VALUES (51, 'TimeZone', 'Asia/Tokyo'), (52, 'DateStyle', 'ISO, DMY'),
	(53, 'lock_timeout', '61s'), (54, 'synchronous_commit', 'local'), (55, 'session_replication_role', 'replica'),
	(56, 'enable_seqscan', 'off'), (57, 'random_page_cost', '1.25'), (58, 'vacuum_freeze_min_age', '7');
RESET ALL;
SET search_path = session_state;
INSERT INTO seen SELECT k + 10, name, value FROM seen WHERE k = 51;
INSERT INTO seen SELECT k + 10, name, value FROM seen WHERE k = 54;
INSERT INTO seen SELECT k + 10, name, value FROM seen WHERE k = 55;
INSERT INTO seen SELECT k + 10, name, value FROM seen WHERE k = 56;
SELECT k, name, value FROM seen WHERE k > 50 ORDER BY k;

-- session_replication_role: foreign keys are not looked at
CREATE TABLE parent (k int PRIMARY KEY);
CREATE TABLE child (k int PRIMARY KEY REFERENCES parent);
SELECT tessera.create_distributed_table('parent', 'k', shard_count => 6);
SELECT tessera.create_distributed_table('child', 'k', colocate_with => 'parent');
INSERT INTO child SELECT generate_series(1, 6);
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO child SELECT generate_series(1, 6);
COMMIT;
INSERT INTO child VALUES (7);
SELECT count(*) FROM child;

-- a statement that runs out of time on a node
BEGIN;
SAVEPOINT a;
SET LOCAL statement_timeout = '100ms';
SELECT count(*) FROM seen, generate_series(1, 1000000000) WHERE k = 1;
ROLLBACK TO a;
SELECT count(*) FROM seen WHERE k = 1;
COMMIT;

-- the level and the mode of the transaction, however they were given
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO seen SELECT i, 'transaction_isolation', 'repeatable read' FROM generate_series(101, 112) i;
COMMIT AND CHAIN;
INSERT INTO seen SELECT i, 'transaction_isolation', 'repeatable read' FROM generate_series(113, 124) i;
ROLLBACK AND CHAIN;
INSERT INTO seen SELECT i, 'transaction_isolation', 'repeatable read' FROM generate_series(125, 136) i;
COMMIT;
INSERT INTO seen VALUES (137, 'transaction_isolation', 'read committed');
BEGIN;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, DEFERRABLE;
INSERT INTO seen VALUES (138, 'transaction_isolation', 'serializable'), (139, 'transaction_deferrable', 'on');
COMMIT;
SET default_transaction_isolation = 'repeatable read';
INSERT INTO seen VALUES (140, 'transaction_isolation', 'repeatable read');
RESET default_transaction_isolation;
SELECT value, count(*), min(k), max(k) FROM seen WHERE k > 100 GROUP BY value ORDER BY min(k);
BEGIN;
SELECT count(*) FROM seen WHERE k = 1;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
ROLLBACK;

-- READ ONLY: from the start, from the middle, by default, and for a savepoint
BEGIN READ ONLY;
SELECT count(*) FROM seen WHERE k = 1;
DELETE FROM seen;
ROLLBACK;
BEGIN;
DELETE FROM seen WHERE k = 140;
SET TRANSACTION READ ONLY;
DELETE FROM seen;
ROLLBACK;
SET default_transaction_read_only = on;
DELETE FROM seen;
BEGIN READ WRITE;
INSERT INTO seen VALUES (141, 'transaction_read_only', 'off');
COMMIT;
RESET default_transaction_read_only;
BEGIN;
SAVEPOINT a;
SET TRANSACTION READ ONLY;
DELETE FROM seen;
ROLLBACK TO a;
DELETE FROM seen WHERE k > 50;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT count(*) FROM seen WHERE k > 50;
COMMIT;

-- savepoints, of which nodes hear in the middle: each row is on a node of its own
CREATE TABLE n (k int PRIMARY KEY, v text);
SELECT tessera.create_distributed_table('n', 'k', shard_count => 6);
SELECT min(i) FILTER (WHERE node = 'node1') AS n1, min(i) FILTER (WHERE node = 'node2') AS n2,
	min(i) FILTER (WHERE node = 'node3') AS n3
	FROM (SELECT i, (tessera.shard_of('n', i)).node FROM generate_series(1, 100) i) s \gset
BEGIN;
INSERT INTO n VALUES (:n1, 'outside');
SAVEPOINT a;
UPDATE n SET v = 'a' WHERE k = :n1;
INSERT INTO n VALUES (:n2, 'a');
SAVEPOINT b;
UPDATE n SET v = 'b';
INSERT INTO n VALUES (:n3, 'b');
SAVEPOINT c;
DELETE FROM n;
ROLLBACK TO c;
SELECT v, count(*) FROM n GROUP BY v ORDER BY v;
ROLLBACK TO b;
SELECT v, count(*) FROM n GROUP BY v ORDER BY v;
INSERT INTO n VALUES (:n3, 'b again');
RELEASE b;
SELECT v, count(*) FROM n GROUP BY v ORDER BY v;
ROLLBACK TO a;
SELECT v, count(*) FROM n GROUP BY v ORDER BY v;
SAVEPOINT a;
INSERT INTO n VALUES (:n3, 'a again');
RELEASE a;
COMMIT;
SELECT v, count(*) FROM n GROUP BY v ORDER BY v;
DO $$
DECLARE
	tries int := 0;
BEGIN
	UPDATE session_state.n SET v = 'block';
	FOR i IN 1 .. 3 LOOP
		BEGIN
			INSERT INTO session_state.n SELECT j, 'inner' FROM generate_series(200, 220) j;
			BEGIN
				INSERT INTO session_state.n SELECT j, 'innermost' FROM generate_series(221 - i, 240) j;
			EXCEPTION WHEN unique_violation THEN
				tries := tries + 1;
			END;
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			tries := tries + 10;
		END;
	END LOOP;
	RAISE NOTICE 'tries: %', tries;
END $$;
SELECT v, count(*) FROM n GROUP BY v ORDER BY v;

-- advisory locks are this server's
SELECT pg_advisory_lock(k) FROM seen WHERE k = 1;
SELECT pg_advisory_lock_shared(k) FROM seen WHERE k = ANY ('{2,3}');
SELECT objid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY objid;
SELECT pg_advisory_unlock_all();

-- LISTEN and NOTIFY, temporary tables, cursors that stay and exported snapshots beside what is written
LISTEN session_state;
BEGIN;
INSERT INTO n VALUES (301, 'listens');
UNLISTEN session_state;
COMMIT;
CREATE TEMP TABLE beside (k int) ON COMMIT DELETE ROWS;
BEGIN;
INSERT INTO beside SELECT k FROM n WHERE k > 300;
INSERT INTO n SELECT k + 1, 'from a temporary table' FROM beside;
SELECT count(*) FROM beside JOIN n USING (k);
COMMIT;
SELECT count(*) FROM beside;
BEGIN;
DECLARE stays CURSOR WITH HOLD FOR SELECT k, v FROM n WHERE k > 300 ORDER BY k;
INSERT INTO n VALUES (303, 'after the cursor');
COMMIT;
FETCH ALL FROM stays;
CLOSE stays;
BEGIN;
SELECT pg_export_snapshot() <> '' AS exported;
INSERT INTO n VALUES (304, 'exported');
COMMIT;
SELECT count(*) FROM n WHERE k > 300;

-- PREPARE TRANSACTION is refused, and rolls back, as it does when it fails
BEGIN;
INSERT INTO n VALUES (305, 'prepared');
PREPARE TRANSACTION 'session_state';
SELECT count(*) FROM n WHERE k = 305;
SELECT count(*) FROM pg_prepared_xacts WHERE gid = 'session_state';

DROP SCHEMA session_state CASCADE;
