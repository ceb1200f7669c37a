-- rows of the nodes: round trips, cursors, loops that write what they read,
-- rescans, and what an error leaves behind
CREATE SCHEMA exec_scan;
SET search_path = exec_scan;
CREATE TABLE events (k int, v text, n numeric(10,2), tags text[], at timestamptz);
SELECT tessera.create_distributed_table('events', 'k', shard_count => 16);
INSERT INTO events SELECT i, 'v' || i, i / 4.0, ARRAY['a', i::text], '2026-01-01 00:00Z'::timestamptz + i * interval '1 minute' FROM generate_series(1, 1000) i;

-- flushes that were waited for since the last call; three nodes answer at the
-- same time, so a statement over all shards is one for each of them
CREATE FUNCTION flushes() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
	SELECT round_trips INTO n FROM tessera_internal.net_counters();
	PERFORM tessera_internal.reset_net_counters();
	RETURN n;
END $$;

-- all shards of a node are read in one round trip
SELECT count(*) FROM events;
SELECT flushes() > 0 AS reset;
SELECT count(*), sum(n), min(v), max(at AT TIME ZONE 'UTC') FROM events;
SELECT flushes();

-- a fixed key goes to one node
SELECT * FROM (SELECT k, v, n, tags FROM events WHERE k = 17) one;
SELECT flushes();

-- no shard can have a row: one node at most is asked
SELECT k FROM events WHERE k = NULL;
SELECT flushes() <= 1;

-- a list of keys goes to their shards only, and is the same in every format
SELECT k, v FROM events WHERE k IN (3, 5, 8) ORDER BY k;
SELECT k, v FROM events WHERE k = ANY ('{3,5,8}'::int[]) ORDER BY k;

-- whole rows, tableoid, composite comparisons, NULLs, text that travels in binary
SELECT tableoid::regclass, events FROM events WHERE k BETWEEN 1 AND 2 ORDER BY k;
SELECT e FROM (SELECT e FROM events e OFFSET 0) x WHERE (e).k = 3;
SELECT row_to_json(e) FROM events e WHERE e.k = 4;

-- a cursor goes on from where it was after a write took its connection, and
-- does not see what was written
BEGIN;
DECLARE c CURSOR FOR SELECT k, v FROM events;
MOVE 10 IN c;
UPDATE events SET v = 'written';
MOVE 10 IN c;
INSERT INTO events(k, v) SELECT i, 'new' FROM generate_series(2001, 2050) i;
MOVE ALL IN c;
SELECT count(*) FILTER (WHERE v = 'written'), count(*) FILTER (WHERE v = 'new') FROM events;
ROLLBACK;
SELECT count(*), count(*) FILTER (WHERE v = 'written') FROM events;

-- a cursor that was not read before the write does not see it either
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM events WHERE v = 'written';
DECLARE d CURSOR FOR SELECT v FROM events WHERE k = 5;
UPDATE events SET v = 'written';
FETCH c;
FETCH d;
SELECT v FROM events WHERE k = 5;
ROLLBACK;

-- what would have to be fetched after the write is refused
BEGIN;
DECLARE c CURSOR FOR SELECT i, (SELECT v FROM events WHERE k = i) FROM generate_series(1, 3) i;
FETCH c;
UPDATE events SET v = 'written' WHERE k = 2;
\set VERBOSITY sqlstate
FETCH c;
\set VERBOSITY default
ROLLBACK;

-- but what a statement only reads it does not write
CREATE TABLE marks (k int PRIMARY KEY, v text);
SELECT tessera.create_distributed_table('marks', 'k', colocate_with => 'events');
INSERT INTO marks VALUES (2, 'mark');
BEGIN;
DECLARE c CURSOR FOR SELECT i, (SELECT count(*) FROM events WHERE k = i) FROM generate_series(1, 2) i;
FETCH c;
UPDATE marks SET v = 'written' WHERE k = 2 AND EXISTS (SELECT FROM events WHERE events.k = marks.k);
FETCH c;
COMMIT;
DROP TABLE marks;

-- two cursors share the connections
BEGIN;
DECLARE a CURSOR FOR SELECT k FROM events;
DECLARE b CURSOR FOR SELECT k FROM events WHERE k <= 500;
MOVE 5 IN a;
MOVE 5 IN b;
MOVE 5 IN a;
MOVE ALL IN b;
MOVE ALL IN a;
COMMIT;

-- WITH HOLD keeps the rows beyond the transaction
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT k, v FROM events ORDER BY k;
FETCH 2 FROM h;
COMMIT;
FETCH 2 FROM h;
MOVE ALL IN h;
CLOSE h;

-- SCROLL reads backwards without asking the nodes again
BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT k FROM events WHERE k <= 20;
MOVE ALL IN s;
SELECT flushes() > 0;
MOVE BACKWARD ALL IN s;
MOVE ALL IN s;
SELECT flushes();
MOVE ABSOLUTE 5 IN s;
MOVE RELATIVE -3 IN s;
COMMIT;

-- a cursor that is closed early, and a LIMIT, leave the connection usable
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM events;
MOVE 1 IN c;
CLOSE c;
SELECT count(*) FROM events;
COMMIT;
SELECT count(*) FROM (SELECT * FROM events LIMIT 3) x;
SELECT count(*) FROM events;

-- a loop that changes the rows it reads; some of it is rolled back
CREATE FUNCTION change_while_reading() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	n int := 0;
	undone int := 0;
BEGIN
	FOR r IN SELECT k, v FROM events WHERE k <= 200 LOOP
		n := n + 1;
		UPDATE events SET v = 'loop' WHERE k = r.k;
		BEGIN
			UPDATE events SET v = 'undone' WHERE k = r.k;
			IF r.k % 10 = 0 THEN
				RAISE EXCEPTION 'undo';
			END IF;
			UPDATE events SET v = 'loop' WHERE k = r.k;
		EXCEPTION WHEN raise_exception THEN
			undone := undone + 1;
		END;
	END LOOP;
	RETURN format('%s rows, %s undone', n, undone);
END $$;
BEGIN;
SELECT change_while_reading();
SELECT count(*) FROM events WHERE v = 'loop';
SELECT count(*) FROM events WHERE v = 'undone';
ROLLBACK;

-- an error in a scan that has unread rows, caught in a loop over another scan
CREATE FUNCTION fail_while_reading() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	n int := 0;
	failed int := 0;
BEGIN
	FOR r IN SELECT k FROM events WHERE k <= 200 LOOP
		n := n + 1;
		IF r.k % 20 = 0 THEN
			BEGIN	-- fails here, in the middle of the rows
				PERFORM 1 / (x.k - 100) FROM (SELECT k FROM events WHERE k <= 100 OFFSET 0) x;
			EXCEPTION WHEN division_by_zero THEN
				failed := failed + 1;
			END;
			BEGIN	-- fails at the node
				PERFORM k FROM events WHERE 1 / (k - 100) > 2;
			EXCEPTION WHEN division_by_zero THEN
				failed := failed + 1;
			END;
		END IF;
	END LOOP;
	RETURN format('%s rows, %s failed', n, failed);
END $$;
SELECT fail_while_reading();

-- rows that were put away in a subtransaction are there after it, on disk too
CREATE FUNCTION put_away() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	n int := 0;
	bytes bigint := 0;
BEGIN
	FOR r IN SELECT k, repeat(v, 100) AS v FROM events, generate_series(1, 3) LOOP
		n := n + 1;
		bytes := bytes + length(r.v);
		IF n = 1 THEN
			BEGIN
				UPDATE events SET v = 'x';
				RAISE EXCEPTION 'undo';
			EXCEPTION WHEN raise_exception THEN
				NULL;
			END;
		END IF;
	END LOOP;
	RETURN format('%s rows, %s bytes', n, bytes);
END $$;
SET work_mem = '64kB';
SELECT put_away();
RESET work_mem;

-- a merge join reads two scans by turns
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT count(*), sum(a.k - b.k) FROM events a JOIN events b ON a.n = b.n;
RESET enable_hashjoin;
RESET enable_nestloop;

-- a rescan with the same arguments does not ask the nodes again; the snapshot
-- that a local table takes part in, and COMMIT, are one flush for each node
CREATE TABLE outer_rows AS SELECT i FROM generate_series(1, 20) i;
ANALYZE outer_rows;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT flushes() > 0;
SELECT count(*) FROM outer_rows o LEFT JOIN (SELECT k FROM events WHERE k % 2 = 0 OFFSET 0) e ON e.k <= o.i;
SELECT flushes();
SELECT sum((SELECT count(*) FROM events e, outer_rows p WHERE p.i = o.i AND e.k <= 40 AND e.v <> p.i::text)) FROM outer_rows o;
SELECT flushes();
-- one that does not fit in work_mem is fetched once more, and no third time
UPDATE events SET v = repeat('wide', 100);
SELECT flushes() > 0;
SET work_mem = '64kB';
CREATE FUNCTION differ(a text, b int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN a <> b::text; END $$;
SELECT sum((SELECT count(*) FROM events e WHERE differ(e.v, o.i))) FROM outer_rows o WHERE o.i < 5;
SELECT flushes();
RESET work_mem;
UPDATE events SET v = 'v' || k;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;

-- other arguments give other rows
SELECT o.i, (SELECT v FROM events WHERE k = o.i) FROM outer_rows o WHERE o.i <= 3 ORDER BY 1;
SELECT o.i, x.* FROM outer_rows o, LATERAL (SELECT k, v FROM events WHERE k = o.i * 10) x WHERE o.i <= 3 ORDER BY 1;
SELECT flushes() > 0;

-- a prepared statement prunes with each value
SELECT flushes() >= 0;
PREPARE one(int) AS SELECT k, v FROM events WHERE k = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE one(1);
EXECUTE one(2);
SELECT flushes() = 2;
EXECUTE one(NULL);
RESET plan_cache_mode;

-- an error in one shard fails the statement, and the next one works
SELECT sum(1 / (k - 500)) FROM events;
SELECT count(*) FROM events WHERE 1 / (k - 500) > 5;
SELECT count(*) FROM events;

-- EXPLAIN
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE v = 'x';
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT k FROM events WHERE k <= 10;

DROP SCHEMA exec_scan CASCADE;
