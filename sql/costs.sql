-- What statements cost in messages: round trips (a flush of one session, so a
-- statement over three nodes has three, which overlap), statements, and rows
-- received.  Who makes a number smaller changes it here.
CREATE SCHEMA costs;
SET search_path = costs;
SET client_min_messages = warning;
-- an empty table of 128 shards: one round trip for each of three nodes
CREATE TABLE t (k int PRIMARY KEY, v int, w text);
SELECT tessera.create_distributed_table('t', 'k', shard_count => 6, colocate_with => 'none');
SELECT FROM tessera_internal.reset_net_counters();
CREATE TABLE many (k int PRIMARY KEY, v int);
BEGIN;
SELECT tessera.create_distributed_table('many', 'k', shard_count => 128, colocate_with => 'none');
SELECT round_trips FROM tessera_internal.net_counters();
-- and two more to commit on all of them
COMMIT;
SELECT round_trips, connections FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- INSERT of 1000 rows: no more statements than shards, and for each of three
-- nodes BEGIN, PREPARE TRANSACTION and COMMIT PREPARED
INSERT INTO many SELECT i, i FROM generate_series(1, 1000) i;
SELECT round_trips, statements, rows FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- count(*) over 128 shards: one flush for each node, in which it first takes
-- its part of the snapshot
SELECT count(*) FROM many;
SELECT round_trips, statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- LIMIT 1 over many shards: no more than that
SELECT count(*) FROM (SELECT FROM many LIMIT 1) one;
SELECT round_trips <= 3 AS flushes, statements <= 131 AS statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- SELECT of one key: one statement, one round trip, no transaction on the node
INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 20) i;
SELECT FROM tessera_internal.reset_net_counters();
SELECT * FROM t WHERE k = 5;
SELECT round_trips, statements, rows FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- as a prepared statement too, whichever plan it has
PREPARE one (int) AS SELECT v FROM t WHERE k = $1;
\o /dev/null
EXECUTE one (1);
EXECUTE one (2);
EXECUTE one (3);
EXECUTE one (4);
EXECUTE one (5);
EXECUTE one (6);
EXECUTE one (7);
EXECUTE one (8);
\o
SELECT round_trips, statements, rows FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- several keys: the shards that have them, and their nodes once each
SELECT count(*) FROM t WHERE k IN (1, 2, 3, 4, 5, 6);
SELECT round_trips <= 3 AS flushes, statements <= 9 AS statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- UPDATE of one key by itself: the node's own transaction
UPDATE t SET v = v + 1 WHERE k = 5;
SELECT round_trips, statements, rows FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- in a block: BEGIN goes with the first statement of a node, SAVEPOINT too
BEGIN;
UPDATE t SET v = v + 1 WHERE k = 5;
UPDATE t SET v = v + 1 WHERE k = 5;
SELECT round_trips, statements FROM tessera_internal.net_counters();
SAVEPOINT s;
UPDATE t SET v = v + 1 WHERE k = 5;
SELECT round_trips, statements FROM tessera_internal.net_counters();
RELEASE s;
COMMIT;
SELECT round_trips, statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- a rescan that does not depend on the outer row stays here; where one may come,
-- the snapshot needs a transaction, and that a COMMIT
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT count(t.k) FROM (VALUES (1), (2), (3), (4)) x (a) LEFT JOIN t ON t.v = x.a;
SELECT round_trips, statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();
SELECT (SELECT max(v) FROM t) = x.a AS largest FROM (VALUES (1), (2)) x (a);
SELECT round_trips, statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;

-- no shard can have such a row: one is asked what the statement then returns
SELECT count(*) FROM t WHERE k = NULL;
SELECT round_trips, statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- EXPLAIN sends nothing
\o /dev/null
EXPLAIN SELECT count(*) FROM t;
EXPLAIN SELECT * FROM t WHERE k = 1;
EXPLAIN UPDATE t SET v = 1;
EXPLAIN INSERT INTO t VALUES (100, 1, 'y');
\o
SELECT round_trips, statements FROM tessera_internal.net_counters();

-- and so does who prints the plans of what runs; there may be no such module
DO $$BEGIN LOAD 'auto_explain'; EXCEPTION WHEN undefined_file THEN NULL; END$$;
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_verbose = on;
SELECT v FROM t WHERE k = 1;
RESET auto_explain.log_min_duration;
SELECT round_trips, statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();

-- a changed setting goes with the next statement
SET DateStyle = 'ISO, YMD';
SELECT count(*) FROM t WHERE k = 5;
SELECT round_trips, statements FROM tessera_internal.net_counters();
SELECT FROM tessera_internal.reset_net_counters();
RESET DateStyle;

DROP SCHEMA costs CASCADE;
