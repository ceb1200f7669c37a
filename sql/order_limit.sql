-- the nodes sort, and send no more rows than somebody may ask for
CREATE SCHEMA order_limit;
SET search_path = order_limit;
CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE events (k int PRIMARY KEY, v text, c text COLLATE "C", s varchar(10), w text COLLATE no_case, n numeric, m mood, a int[], at timestamptz);
SELECT tessera.create_distributed_table('events', 'k', shard_count => 4);
INSERT INTO events
SELECT i, 'v' || i % 50, chr(65 + i % 2 * 32 + i % 26), 's' || i % 7, chr(65 + i % 2 * 32 + i % 5), NULLIF(i % 11, 3) / 2.0,
	(enum_range(NULL::mood))[1 + i % 3], ARRAY[i % 3, i % 4], '2026-01-01 00:00Z'::timestamptz + i % 100 * interval '1 minute'
FROM generate_series(1, 400) i;
CREATE TABLE local_events AS SELECT * FROM events;
ANALYZE events;

-- rows that a query got from the nodes
CREATE FUNCTION received(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) ' || query INTO plan;
	RETURN (SELECT sum(rows::bigint) FROM jsonb_path_query(plan, 'strict $.**."Rows Received"') rows);
END $$;
CREATE FUNCTION sorts_here(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (COSTS OFF, FORMAT JSON) ' || query INTO plan;
	RETURN plan @? '$.** ? (@."Node Type" like_regex "Sort")';
END $$;

-- shows that a query of %s gives the same rows in the same order over the
-- distributed table as over the local one, how many of the 400 rows came, and who
-- sorts
CREATE FUNCTION same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	here text[];
	there text[];
BEGIN
	EXECUTE format('SELECT array_agg(x::text) FROM (%s) x', format(query, 'local_events')) INTO here;
	EXECUTE format('SELECT array_agg(x::text) FROM (%s) x', format(query, 'events')) INTO there;
	IF here IS DISTINCT FROM there THEN
		RETURN format('other rows: %s instead of %s', there, here);
	END IF;
	query := format(query, 'events');
	RETURN format('%s rows of %s, %s', coalesce(cardinality(here), 0),
				  CASE WHEN coalesce(received(query), 0) < 60 THEN 'few' ELSE 'many' END,
				  CASE WHEN sorts_here(query) THEN 'sorted here' ELSE 'merged' END);
END $$;

-- what the plan looks like
EXPLAIN (COSTS OFF) SELECT k FROM events ORDER BY n, k LIMIT 10;

-- columns of many types, directions, NULLs
SELECT same('SELECT k FROM %s ORDER BY k');
SELECT same('SELECT k, n FROM %s ORDER BY n, k');
SELECT same('SELECT k, n FROM %s ORDER BY n DESC, k DESC');
SELECT same('SELECT k, n FROM %s ORDER BY n NULLS FIRST, k');
SELECT same('SELECT k, n FROM %s ORDER BY n DESC NULLS LAST, k');
SELECT same('SELECT k FROM %s ORDER BY v, k');
SELECT same('SELECT k FROM %s ORDER BY c, k');
SELECT same('SELECT k FROM %s ORDER BY s DESC, k');
SELECT same('SELECT k FROM %s ORDER BY w, k');
SELECT same('SELECT k, m FROM %s ORDER BY m, k');
SELECT same('SELECT k, a FROM %s ORDER BY a, k');
SELECT same('SELECT k FROM %s ORDER BY at DESC, k');
SELECT same('SELECT e.k FROM %s e ORDER BY v COLLATE "C", k');

-- expressions that travel; what does not is sorted here
SET tessera.propagate_objects = off;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END';
RESET tessera.propagate_objects;
SELECT same('SELECT k FROM %s ORDER BY lower(v), -k LIMIT 5');
SELECT same('SELECT k %% 10, lower(v) || ''x'' FROM %s ORDER BY k %% 10, lower(v), k LIMIT 5');
SELECT same('SELECT k FROM %s ORDER BY twice(k) DESC LIMIT 5');
SELECT same('SELECT k FROM %s ORDER BY v COLLATE "en-x-icu", k LIMIT 5');
SELECT same('SELECT k FROM %s ORDER BY v USING ~>~, k LIMIT 5');
SELECT same('SELECT k FROM %s ORDER BY (k, v) LIMIT 5');
SELECT count(*) FROM (SELECT k FROM events ORDER BY random() LIMIT 5) x;
SELECT count(*) FROM (SELECT k FROM events ORDER BY tableoid, k LIMIT 5) x;

-- a name of a column that the text for the nodes uses too
SELECT same('SELECT k AS _2, -k AS k FROM %s ORDER BY abs(-k) LIMIT 3');

-- LIMIT, OFFSET, and both
SELECT same('SELECT k FROM %s ORDER BY n, k LIMIT 10');
SELECT same('SELECT k FROM %s ORDER BY n, k LIMIT 10 OFFSET 5');
SELECT same('SELECT k FROM %s ORDER BY n, k OFFSET 390');
SELECT same('SELECT k FROM %s ORDER BY n, k LIMIT 0');
SELECT same('SELECT k FROM %s ORDER BY n, k LIMIT NULL OFFSET 398');
SELECT same('SELECT k FROM %s ORDER BY n, k LIMIT ALL OFFSET 398');
SELECT same('SELECT k FROM %s ORDER BY n, k LIMIT 3 OFFSET NULL');
SELECT same('SELECT k FROM %s ORDER BY n, k FETCH FIRST ROW ONLY');
SELECT same('SELECT n FROM %s ORDER BY n FETCH FIRST 2 ROWS WITH TIES');
SELECT same('SELECT k FROM %s ORDER BY n, k LIMIT 9223372036854775807 OFFSET 398');
SELECT same('SELECT k FROM %s ORDER BY n, k LIMIT 2 OFFSET 9223372036854775807');
SELECT same('SELECT k FROM %s WHERE k = 5 ORDER BY k LIMIT 3');
SELECT same('SELECT k FROM %s WHERE k IN (5, 6, 7) ORDER BY k DESC LIMIT 2');
\set VERBOSITY sqlstate
SELECT k FROM events ORDER BY k LIMIT -1;
SELECT k FROM events ORDER BY k OFFSET -1;
SELECT k FROM events LIMIT 1 / (SELECT 0);
\set VERBOSITY default

-- without an order no shard sends more than the LIMIT
SELECT count(*) FROM (SELECT * FROM events LIMIT 3) x;
SELECT received('SELECT * FROM events LIMIT 3') <= 12;
SELECT received('SELECT FROM events LIMIT 3 OFFSET 2') <= 20;
SELECT count(*) FROM (SELECT k FROM events WHERE k < 3 LIMIT 10) x;

-- parameters: evaluated once, and NULL is no limit
PREPARE page(int, int, int) AS SELECT k FROM events WHERE k > $3 ORDER BY n DESC NULLS LAST, k LIMIT $1 OFFSET $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE page(3, 0, 0);
EXECUTE page(2, 2, 0);
EXECUTE page(NULL, NULL, 398);
EXECUTE page(NULL, 1, 398);
SET plan_cache_mode = force_custom_plan;
EXECUTE page(2, 2, 0);
EXECUTE page(NULL, 1, 398);
RESET plan_cache_mode;

-- values of outer levels, subqueries; what is volatile is evaluated once
SELECT i, ARRAY(SELECT k FROM events ORDER BY abs(k - i * 100), k LIMIT i) FROM generate_series(1, 3) i;
SELECT k FROM events ORDER BY k LIMIT (SELECT 2) OFFSET (SELECT count(*) - 3 FROM local_events);
CREATE SEQUENCE calls;
SELECT count(*) > 0 FROM (SELECT k FROM events ORDER BY k LIMIT nextval('calls')) x;
SELECT nextval('calls');

-- where rows are added or taken away above the scan, the LIMIT stays here
SELECT same('SELECT DISTINCT n FROM %s ORDER BY n LIMIT 3');
SELECT same('SELECT DISTINCT ON (n) n, k FROM %s ORDER BY n, k LIMIT 3');
SELECT same('SELECT n, count(*) FROM %s GROUP BY n ORDER BY n LIMIT 3');
SELECT same('SELECT k, row_number() OVER (ORDER BY k DESC) FROM %s ORDER BY k LIMIT 3');
SELECT same('SELECT k, generate_series(1, k) FROM %s ORDER BY k LIMIT 4');
SELECT same('SELECT generate_series(1, k - 3) FROM %s ORDER BY k LIMIT 2');
SELECT same('SELECT count(*) FROM %s LIMIT 1');
SELECT same('SELECT k FROM %s WHERE twice(k) > 20 ORDER BY k LIMIT 3');
SELECT same('SELECT e.k, l.k FROM %s e JOIN local_events l ON l.k = e.k + 1 ORDER BY e.k LIMIT 3');
SELECT same('SELECT e.k, x FROM %s e, generate_series(1, 2) x ORDER BY e.k, x LIMIT 3');
SELECT same('(SELECT k FROM %1$s ORDER BY k LIMIT 2) UNION ALL (SELECT -k FROM %1$s ORDER BY k DESC LIMIT 2) ORDER BY 1 LIMIT 3');
SELECT same('SELECT k FROM (SELECT k, n FROM %s ORDER BY k LIMIT 10) x WHERE n > 1 ORDER BY k');
SELECT same('SELECT l.k FROM local_events l WHERE EXISTS (SELECT FROM %s e WHERE e.k = l.k + 398 LIMIT 1) ORDER BY 1');

-- a condition that is checked here comes before an expression that would fail
SELECT k FROM events WHERE twice(k) > 790 ORDER BY 100 / (k - 3) DESC, k LIMIT 2;

-- values of the target are computed in order, for the rows that come
ALTER SEQUENCE calls RESTART;
SELECT k, nextval('calls') FROM events ORDER BY k DESC LIMIT 3;
SELECT nextval('calls');

-- min and max take the first row of an index, or a state of each shard
SELECT same('SELECT min(k), max(k) FROM %s');
SELECT same('SELECT min(n), max(n) FROM %s WHERE k > 100');
SELECT same('SELECT max(k) FROM %s WHERE n IS NULL');
SELECT min(k) FROM events WHERE k > 1000;
SELECT same('SELECT i, (SELECT max(k) FROM %s WHERE k < i * 100) FROM generate_series(1, 3) i');

-- sorted rows for what wants them: groups, windows, merge joins, cursors
SELECT same('SELECT n, string_agg(v, '','' ORDER BY k) FROM %s GROUP BY n ORDER BY n');
SELECT same('SELECT k, sum(k) OVER (ORDER BY k) FROM %s ORDER BY k');
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT same('SELECT a.k FROM %1$s a JOIN local_events b ON b.k = a.k ORDER BY a.k');
RESET enable_hashjoin;
RESET enable_nestloop;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT k FROM events ORDER BY n DESC NULLS LAST, k LIMIT 100;
FETCH 2 FROM c;
UPDATE events SET n = 99 WHERE k > 10;
FETCH 2 FROM c;
FETCH BACKWARD 3 FROM c;
FETCH LAST FROM c;
ROLLBACK;

-- the same over what the shards join or group
CREATE TABLE lines (k int, amount int);
SELECT tessera.create_distributed_table('lines', 'k', colocate_with => 'events');
INSERT INTO lines SELECT i % 300, i FROM generate_series(1, 900) i;
SELECT e.k, amount FROM events e JOIN lines USING (k) ORDER BY amount DESC, e.k LIMIT 3 OFFSET 1;
SELECT received('SELECT e.k, amount FROM events e JOIN lines USING (k) ORDER BY amount DESC, e.k LIMIT 3 OFFSET 1') < 60;
SELECT e.k, e.v, amount FROM events e LEFT JOIN lines USING (k) WHERE e.k > 290 ORDER BY amount NULLS FIRST, e.k LIMIT 4;
SELECT k, sum(amount) FROM lines GROUP BY k HAVING count(*) > 1 ORDER BY sum(amount) DESC, k LIMIT 3;
SELECT received('SELECT k, sum(amount) FROM lines GROUP BY k ORDER BY sum(amount) DESC, k LIMIT 3') < 60;
SELECT sorts_here('SELECT e.k, amount FROM events e JOIN lines USING (k) ORDER BY e.k, amount');
SELECT count(*) FROM (SELECT e.k FROM events e JOIN lines USING (k) LIMIT 5) x;
SELECT received('SELECT e.k FROM events e JOIN lines USING (k) LIMIT 5') <= 20;
SELECT e.k FROM events e JOIN lines USING (k) WHERE twice(amount) > 1790 ORDER BY 1 LIMIT 2;
SELECT e.k FROM events e JOIN lines USING (k) ORDER BY twice(amount) DESC LIMIT 2;
SELECT max(amount), min(amount) FROM events e JOIN lines USING (k);

-- rows of a table have a type of their own in each shard
SELECT e.k, l FROM events e LEFT JOIN lines l ON l.k = e.k AND amount < 600 WHERE e.k > 296 ORDER BY e.k, amount LIMIT 6;
SELECT e.k, (SELECT l FROM lines l WHERE l.k = e.k AND amount > 600) FROM events e WHERE e.k > 297 ORDER BY e.k DESC LIMIT 3 OFFSET 99;
SELECT k, array_agg(l ORDER BY amount) FROM lines l GROUP BY k ORDER BY k LIMIT 2;
SELECT received('SELECT e.k, l FROM events e LEFT JOIN lines l ON l.k = e.k ORDER BY e.k LIMIT 6') < 60;

-- a LIMIT takes no locks for others
BEGIN;
SELECT k FROM events ORDER BY k LIMIT 2 FOR UPDATE;
ROLLBACK;

-- changes of rows that a LIMIT chose
UPDATE events SET v = 'chosen' WHERE k IN (SELECT k FROM events ORDER BY n, k LIMIT 2);
INSERT INTO events (k, v) SELECT k + 1000, 'copied' FROM events ORDER BY n DESC NULLS LAST, k LIMIT 2;
SELECT k, v FROM events WHERE v IN ('chosen', 'copied') ORDER BY k;

DROP SCHEMA order_limit CASCADE;
