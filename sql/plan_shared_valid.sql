-- plans that are shared: how long they are right, and how many there are
CREATE SCHEMA plan_shared_valid;
SET search_path = plan_shared_valid;
CREATE TABLE items (k int PRIMARY KEY, v int, t text);
CREATE TABLE other (k int, v int);
SELECT tessera.create_distributed_table('items', 'k', shard_count => 4);
INSERT INTO items SELECT i, i * 10, 'item ' || i FROM generate_series(1, 20) i;
CREATE FUNCTION since(OUT hits bigint, OUT misses bigint, OUT plans int) LANGUAGE plpgsql AS $$
BEGIN
	SELECT s.hits, s.misses, s.plans INTO hits, misses, plans FROM tessera.stat_plan_cache s;
	PERFORM tessera_internal.reset_plan_cache_counters();
END $$;
DISCARD PLANS;
SELECT FROM since();

-- DISCARD, and a size of 0
SELECT v FROM items WHERE k = 1;
SELECT v FROM items WHERE k = 2;
SELECT * FROM since();
DISCARD PLANS;
SELECT plans FROM tessera.stat_plan_cache;
SELECT v FROM items WHERE k = 1;
DISCARD ALL;
SET search_path = plan_shared_valid;
SELECT plans FROM tessera.stat_plan_cache;
SET tessera.plan_cache_size = 0;
SELECT v FROM items WHERE k = 1;
SELECT v FROM items WHERE k = 1;
SELECT plans FROM tessera.stat_plan_cache;
RESET tessera.plan_cache_size;
SELECT FROM since();

-- EXPLAIN shows constants, and keeps no plan; nor does a cursor that goes back
EXPLAIN (VERBOSE, COSTS OFF) SELECT v FROM items WHERE k = 1 \g /dev/null
BEGIN;
DECLARE back SCROLL CURSOR FOR SELECT v FROM items WHERE k = 1;
FETCH ALL FROM back;
FETCH PRIOR FROM back;
COMMIT;
SELECT * FROM since();

-- the table is dropped, made anew, made local, of another key
SELECT v FROM items WHERE k = 1;
BEGIN;
DROP TABLE items;
CREATE TABLE items (v text, k int);
INSERT INTO items VALUES ('local', 1);
SELECT v FROM items WHERE k = 1;
ROLLBACK;
SELECT v FROM items WHERE k = 1;
SELECT tessera.undistribute_table('items');
SELECT v FROM items WHERE k = 1;
SELECT tessera.create_reference_table('items');
SELECT v FROM items WHERE k = 1;
SELECT tessera.undistribute_table('items');
SELECT tessera.create_distributed_table('items', 'k', shard_count => 4);
SELECT v FROM items WHERE k = 1;
SELECT * FROM since();

-- an index, a view, a function: what the plan is of
SELECT v FROM items WHERE k = 2;
CREATE INDEX ON items (v);
SELECT v FROM items WHERE k = 2;
SELECT * FROM since();
CREATE VIEW shown AS SELECT k, v FROM items WHERE v < 100;
SELECT v FROM shown WHERE k = 2;
CREATE OR REPLACE VIEW shown AS SELECT k, v FROM items WHERE v < 10;
SELECT v FROM shown WHERE k = 2;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
SELECT twice(v), twice(3) FROM items WHERE k = 2;
SELECT twice(v), twice(4) FROM items WHERE k = 2;
CREATE OR REPLACE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 3 * $1';
SELECT twice(v), twice(4) FROM items WHERE k = 2;
SELECT FROM since();

-- who asks: rights, also those of the owner of a view
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN
	LOCK pg_authid;
	IF to_regrole(''regress_shared'') IS NULL THEN CREATE ROLE regress_shared LOGIN; END IF;
END'$$) WHERE NOT success;
GRANT USAGE ON SCHEMA plan_shared_valid TO regress_shared;
CREATE VIEW seen AS SELECT k, t FROM items;
GRANT SELECT ON seen TO regress_shared;
SELECT t FROM items WHERE k = 3;
SELECT t FROM seen WHERE k = 1;
SET ROLE regress_shared;
SELECT t FROM items WHERE k = 3;
SELECT t FROM seen WHERE k = 1;
SELECT t FROM seen WHERE k = 2;
RESET ROLE;
GRANT SELECT ON items TO regress_shared;
SET ROLE regress_shared;
SELECT t FROM items WHERE k = 3;
SELECT t FROM items WHERE k = 4;
RESET ROLE;
SELECT t FROM seen WHERE k = 2;
REVOKE SELECT ON items FROM regress_shared;
SET ROLE regress_shared;
SELECT t FROM items WHERE k = 3;
RESET ROLE;
SELECT t FROM items WHERE k = 3;

-- in functions: EXECUTE with constants, statements of their own, SQL functions
CREATE FUNCTION executed(first int, last int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint := 0;
	one int;
BEGIN
	FOR key IN first .. last LOOP
		EXECUTE 'SELECT v FROM plan_shared_valid.items WHERE k = ' || key INTO one;
		result := result + one;
		EXECUTE format('UPDATE plan_shared_valid.items SET v = v + %s WHERE k = %s', 1, key);
	END LOOP;
	RETURN result;
END $$;
CREATE FUNCTION selected(key int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT v FROM plan_shared_valid.items WHERE k = $1 AND v > 5';
DISCARD PLANS;
SELECT FROM since();
SELECT executed(1, 10);
SELECT hits, misses FROM since();
SELECT executed(1, 10);
SELECT selected(1), selected(2);

-- a plan is used up to its end, though it is no longer among the kept ones
SET tessera.plan_cache_size = 1;
BEGIN;
DECLARE slow CURSOR FOR SELECT k, v FROM items WHERE k = 1;
SELECT t FROM items WHERE k = 1;
SELECT k, t FROM items WHERE k = 1;
FETCH ALL FROM slow;
COMMIT;
SELECT plans FROM tessera.stat_plan_cache;
DO $$
DECLARE r record; s record;
BEGIN
	FOR r IN EXECUTE 'SELECT k, v FROM plan_shared_valid.items WHERE k = 1' LOOP
		EXECUTE 'SELECT k, v, t FROM plan_shared_valid.items WHERE k = 2' INTO s;
		EXECUTE 'SELECT v, k, t FROM plan_shared_valid.items WHERE k = 3' INTO s;
		DISCARD PLANS;
		RAISE NOTICE '% %', r.k, s.k;
	END LOOP;
END $$;
CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE result int;
BEGIN
	IF n > 0 THEN
		EXECUTE format('SELECT deep(%s) + %s FROM plan_shared_valid.items WHERE k = %s', n - 1, repeat('1 * ', n) || '1', n) INTO result;
	END IF;
	RETURN coalesce(result, 0);
END $$;
SELECT deep(5);

-- errors in the middle leave it as it was
SELECT 1 / (v - v) FROM items WHERE k = 1;
SELECT 2 / (v - v) FROM items WHERE k = 2;
SELECT 2 / (v - v + 1) FROM items WHERE k = 2;
RESET tessera.plan_cache_size;

-- 2000 different statements: bounded
DO $$
BEGIN
	FOR i IN 1 .. 2000 LOOP
		EXECUTE format('SELECT v AS v%s, t FROM plan_shared_valid.items WHERE k = 1', i);
	END LOOP;
END $$;
SELECT plans <= 256 AS few, bytes < 8 * 1024 * 1024 AS small, evicted > 0 AS evicted FROM tessera.stat_plan_cache;

-- more constants than are counted: as ever
DO $$
BEGIN
	EXECUTE 'SELECT v FROM plan_shared_valid.items WHERE k = 1 AND v IN (' || (SELECT string_agg(i::text, ',') FROM generate_series(1, 200) i) || ')';
END $$;
SET client_min_messages = warning;
DROP SCHEMA plan_shared_valid CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP OWNED BY regress_shared') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_shared; END'$$) WHERE NOT success;
