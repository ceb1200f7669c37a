-- Which statements are sent whole to one shard, and that the answer is the one
-- of local tables of the same rows.
CREATE SCHEMA plan_router;
CREATE SCHEMA plan_router_local;
SET search_path = plan_router;
-- joins of what is fetched
SET tessera.ship_limit = 0;
SET client_min_messages = warning;

-- how(query): routed, or how many scans and fragments of how many shards; and
-- whether the rows are those of the local twins
CREATE FUNCTION how(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	scans int := 0;
	fragments int := 0;
	shards text := '';
	here text[];
	there text[];
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		fragments := fragments + (line ~ 'Custom Scan \(TesseraScan\)$')::int;
		scans := scans + (line ~ 'Custom Scan \(TesseraScan\) on')::int;
		IF line ~ 'Shards: ' THEN
			shards := shards || coalesce(' ' || substring(line FROM 'Shards: (\d+)'), ' 1');
		END IF;
	END LOOP;
	EXECUTE format('SELECT array_agg(q::text ORDER BY q::text) FROM (%s) q', query) INTO here;
	PERFORM set_config('search_path', 'plan_router_local', true);
	EXECUTE format('SELECT array_agg(q::text ORDER BY q::text) FROM (%s) q', query) INTO there;
	PERFORM set_config('search_path', 'plan_router', true);
	RETURN format('%s, %s rows, %s',
				  CASE WHEN (scans, fragments, shards) = (0, 1, ' 1') THEN 'routed'
					   ELSE concat_ws(' and ', nullif(scans, 0) || ' scans', nullif(fragments, 0) || ' fragments') || ':' || shards END,
				  coalesce(cardinality(here), 0),
				  CASE WHEN here IS NOT DISTINCT FROM there THEN 'same' ELSE 'DIFFERENT' END);
END $$;

CREATE TYPE public.plan_router_mood AS ENUM ('sad', 'ok', 'happy');
SET tessera.propagate_objects = off;
CREATE FUNCTION public.plan_router_plus(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
RESET tessera.propagate_objects;
CREATE TABLE a (k int, n int, t text, m public.plan_router_mood, at timestamptz, PRIMARY KEY (k, n));
INSERT INTO a SELECT i % 10, i, 't' || i, (enum_range(NULL::public.plan_router_mood))[1 + i % 3],
	timestamptz '2020-06-01 12:00+00' + i * interval '1 hour' FROM generate_series(0, 49) i;
CREATE TABLE b (id int, k int, v numeric);
INSERT INTO b SELECT i, i % 12, i * 1.25 FROM generate_series(1, 40) i;
INSERT INTO b VALUES (41, NULL, 1), (42, NULL, 2);
CREATE TABLE c (k int, n int);
INSERT INTO c SELECT i % 10, i FROM generate_series(0, 19) i;
CREATE TABLE w (k bigint, n int);
INSERT INTO w SELECT i % 10, i FROM generate_series(0, 19) i;
CREATE TABLE x (name text COLLATE "C", q int);
INSERT INTO x SELECT 'nm' || i, i FROM generate_series(1, 10) i;
CREATE TABLE r (id int PRIMARY KEY, title text);
INSERT INTO r SELECT i, 'title' || i FROM generate_series(0, 6) i;
CREATE TABLE loc (id int, v text);
INSERT INTO loc SELECT i, 'v' || i FROM generate_series(0, 8) i;
CREATE VIEW va AS SELECT k, n, t FROM a WHERE n > 1;
CREATE VIEW vg AS SELECT k, count(*) AS c FROM b GROUP BY k;
CREATE FUNCTION fa(int) RETURNS SETOF a STABLE LANGUAGE sql AS 'SELECT * FROM plan_router.a WHERE k = $1';

SET search_path = plan_router_local;
CREATE TABLE a AS TABLE plan_router.a;
CREATE TABLE b AS TABLE plan_router.b;
CREATE TABLE c AS TABLE plan_router.c;
CREATE TABLE w AS TABLE plan_router.w;
CREATE TABLE x AS TABLE plan_router.x;
CREATE TABLE r AS TABLE plan_router.r;
CREATE TABLE loc AS TABLE plan_router.loc;
CREATE VIEW va AS SELECT k, n, t FROM a WHERE n > 1;
CREATE VIEW vg AS SELECT k, count(*) AS c FROM b GROUP BY k;
CREATE FUNCTION fa(int) RETURNS SETOF a STABLE LANGUAGE sql AS 'SELECT * FROM plan_router_local.a WHERE k = $1';
SET search_path = plan_router;

SELECT tessera.create_distributed_table('a', 'k', colocate_with => 'none', shard_count => 16);
SELECT tessera.create_distributed_table('b', 'k', colocate_with => 'a');
SELECT tessera.create_distributed_table('c', 'k', colocate_with => 'none', shard_count => 4);
SELECT tessera.create_distributed_table('w', 'k', colocate_with => 'none', shard_count => 8);
SELECT tessera.create_distributed_table('x', 'name', colocate_with => 'none', shard_count => 4);
SELECT tessera.create_reference_table('r');

-- one table, its key fixed
SELECT how('SELECT * FROM a WHERE k = 3');
SELECT how('SELECT count(*), sum(n), array_agg(t ORDER BY n) FROM a WHERE k = 3');
SELECT how('SELECT m, count(*) FROM a WHERE 3 = k AND m > ''sad'' GROUP BY m');
SELECT how('SELECT n, rank() OVER (ORDER BY n DESC) FROM a WHERE k = 3 ORDER BY n LIMIT 2 OFFSET 1');
SELECT how('SELECT FROM a WHERE k = 3');
SELECT how('SELECT a FROM a WHERE k = 3');
SELECT how('SELECT * FROM x WHERE name = ''nm3''');
SELECT how('SELECT * FROM w WHERE k = 3');
SELECT how('SELECT * FROM a WHERE k = ''3''');
-- lists count if all values are one shard's
SELECT how('SELECT * FROM a WHERE k IN (3, 3, NULL)');
SELECT how('SELECT * FROM a WHERE k IN (1, 2, 3)');
SELECT how('SELECT * FROM a WHERE k = 1 OR k = 2');
-- no equality of the key: a cast hides it, another collation or type compares otherwise
SELECT how('SELECT * FROM a WHERE k::bigint = 3');
SELECT how('SELECT * FROM a WHERE k = 3.0');
SELECT how('SELECT * FROM a WHERE k <> 3');
SELECT how('SELECT * FROM a WHERE NOT k = 3');
SELECT how('SELECT * FROM x WHERE name = ''nm3'' COLLATE "en-x-icu"');
-- no value at all: still one row of count(*)
SELECT how('SELECT count(*) FROM a WHERE k = NULL');
SELECT how('SELECT count(*) FROM a WHERE k = 1 AND k = 2');
SELECT how('SELECT count(*) FROM b WHERE k IS NULL');
SELECT how('SELECT k, count(*) FROM a WHERE k = 888 GROUP BY GROUPING SETS ((k), ())');

-- joins: equality is passed on
SELECT how('SELECT * FROM a JOIN b USING (k) WHERE k = 5');
SELECT how('SELECT * FROM a, b WHERE a.k = b.k AND b.k = 5');
SELECT how('SELECT count(*) FROM a, b WHERE a.k = 4 AND b.k = 4');
SELECT how('SELECT count(*) FROM a, b WHERE a.k = 4 AND b.k = 5');
SELECT how('SELECT * FROM a JOIN r ON r.id = a.k WHERE r.id = 2');
SELECT how('SELECT * FROM (SELECT 8 AS kk) q JOIN a ON a.k = q.kk');
SELECT how('SELECT * FROM a JOIN b ON a.k = b.k AND a.k = 3 JOIN r ON r.id = b.k');
-- other groups and local tables are joined on the coordinator
SELECT how('SELECT * FROM a JOIN c USING (k) WHERE k = 5');
SELECT how('SELECT * FROM a JOIN w USING (k) WHERE k = 5');
SELECT how('SELECT * FROM a JOIN loc ON loc.id = a.k WHERE a.k = 5');

-- outer joins: WHERE fixes both sides, ON only the nullable one
SELECT how('SELECT * FROM a LEFT JOIN b USING (k) WHERE k = 5');
SELECT how('SELECT count(*) FROM a LEFT JOIN b ON b.k = a.k AND a.k = 5');
SELECT how('SELECT count(*) FROM a LEFT JOIN b ON b.k = a.k AND b.k = 5');
SELECT how('SELECT count(*) FROM a LEFT JOIN b ON b.k = 5 WHERE a.k = 5');
SELECT how('SELECT count(*) FROM a LEFT JOIN b ON b.k = 5 WHERE a.k = 4');
SELECT how('SELECT count(*) FROM a LEFT JOIN b ON false WHERE a.k = 8');
SELECT how('SELECT count(*) FROM a RIGHT JOIN b ON b.k = a.k WHERE a.k = 4');
SELECT how('SELECT count(*) FROM a RIGHT JOIN b ON b.k = a.k AND a.k = 4');
SELECT how('SELECT count(*) FROM a RIGHT JOIN b ON b.k = a.k WHERE b.k = 11');
SELECT how('SELECT a.k, b.k FROM a LEFT JOIN b ON b.k = a.k WHERE b.k = 11 OR a.k = 8');
SELECT how('SELECT count(*) FROM (a LEFT JOIN b ON b.k = a.k) LEFT JOIN a a2 ON a2.k = b.k WHERE a.k = 8');
SELECT how('SELECT count(*) FROM a LEFT JOIN (b JOIN r ON b.k = 4) ON b.k = a.k WHERE a.k = 4');
SELECT how('SELECT count(*) FROM a LEFT JOIN (SELECT * FROM b WHERE v > 10) q ON q.k = a.k WHERE a.k = 8');
-- of a full join neither side is fixed by ON
SELECT how('SELECT * FROM a FULL JOIN b USING (k) WHERE k = 5');
SELECT how('SELECT count(*) FROM a FULL JOIN b ON a.k = b.k AND a.k = 5 AND b.k = 5');
SELECT how('SELECT count(*) FROM a FULL JOIN b ON a.k = b.k WHERE a.k = 4');
SELECT how('SELECT count(*) FROM (SELECT * FROM a WHERE k = 5) q FULL JOIN b ON b.k = q.k');

-- subqueries: seen from inside, not from outside
SELECT how('SELECT n, (SELECT count(*) FROM b WHERE b.k = a.k) FROM a WHERE a.k = 3');
SELECT how('SELECT count(*), (SELECT count(*) FROM b WHERE b.k = 3) FROM a WHERE a.k = 3');
SELECT how('SELECT count(*), (SELECT count(*) FROM b WHERE b.k = 4) FROM a WHERE a.k = 3');
SELECT how('SELECT n FROM a WHERE k = 3 AND EXISTS (SELECT FROM b WHERE b.k = a.k AND v > 20)');
SELECT how('SELECT count(*) FROM a WHERE k = 3 AND EXISTS (SELECT FROM b WHERE b.k = 4)');
SELECT how('SELECT count(*) FROM a WHERE k NOT IN (SELECT k FROM b)');
SELECT how('SELECT count(*) FROM a WHERE k = (SELECT 8)');
SELECT how('SELECT count(*) FROM a LEFT JOIN b ON a.k = b.k AND EXISTS (SELECT FROM b b2 WHERE b2.k = a.k) WHERE a.k = 8');
SELECT how('SELECT count(*) FROM a FULL JOIN b ON a.k = b.k AND EXISTS (SELECT FROM b b2 WHERE b2.k = a.k) WHERE a.k = 8');
SELECT how('SELECT q.*, z.id FROM (SELECT k, max(n) AS m FROM a GROUP BY k) q JOIN b z ON z.k = q.k WHERE q.k = 3');
SELECT how('SELECT q.k, id FROM (SELECT k FROM a WHERE n < 10) q JOIN b ON b.k = q.k WHERE b.k = 3');
SELECT how('SELECT n, z.id FROM a, LATERAL (SELECT * FROM b WHERE b.k = a.k ORDER BY id LIMIT 1) z WHERE a.k = 3');
-- hashes of an enum are those of its OIDs, which are others on a node
SELECT how($$SELECT n FROM a WHERE k = 3 AND hash_array(ARRAY[m]) = hash_array(ARRAY['ok'::public.plan_router_mood])$$);
-- conditions on an outer row are checked here, on what the scan gives
SELECT how('SELECT r.id, z.* FROM r LEFT JOIN LATERAL (SELECT coalesce(r.id + c.n, 5) AS s, c.k FROM c WHERE c.n = r.id AND c.k < 8) z ON true');
SELECT how('SELECT r.id, z.* FROM r LEFT JOIN LATERAL (SELECT coalesce(r.id + c.n, 5) AS s, c.n FROM c WHERE c.k = r.id) z ON true');
SELECT how('SELECT count(*) FROM c TABLESAMPLE bernoulli (100)');
SELECT how('SELECT count(*) FROM c TABLESAMPLE bernoulli (100) WHERE k = 3');
SELECT how('WITH q AS (SELECT * FROM a WHERE k = 3), z AS (SELECT * FROM b WHERE k = 3) SELECT count(*) FROM q JOIN z USING (k)');
SELECT how('WITH q AS (SELECT * FROM a) SELECT count(*) FROM q WHERE k = 3');
SELECT how('WITH RECURSIVE q(k, d) AS (SELECT k, 0 FROM a WHERE k = 3 UNION SELECT a.k, d + 1 FROM q JOIN a ON a.k = q.k WHERE d < 2) SELECT * FROM q');
SELECT how('SELECT k FROM a WHERE k = 1 UNION SELECT k FROM b WHERE k = 1');
SELECT how('SELECT k FROM a WHERE k = 1 UNION ALL SELECT k FROM b WHERE k = 2');
SELECT how('SELECT k FROM a EXCEPT SELECT k FROM b WHERE k = 1');
SELECT how('SELECT * FROM va WHERE k = 6');
SELECT how('SELECT * FROM vg WHERE k = 6');
SELECT how('SELECT va.n, b.id FROM va JOIN b ON b.k = va.k WHERE va.k = 7');
SELECT how('SELECT * FROM fa(3)');

-- what is computed here, once, travels as a parameter
SELECT how('SELECT n FROM a WHERE k = public.plan_router_plus(2)');
SELECT how('SELECT n, now() = now() FROM a WHERE k = 3 AND at < now() - interval ''1 day''');
SELECT how('SELECT n, length(current_user) = length(session_user) FROM a WHERE k = 3');
-- what must not travel: volatile, of users, names in values, written by locale
SELECT how('SELECT n, random() < 2 FROM a WHERE k = 3');
SELECT how('SELECT n FROM a WHERE k = 3 AND public.plan_router_plus(n) > 20');
SELECT how('SELECT n, to_char(at, ''HH24 TMMon'') FROM a WHERE k = 3');
SELECT how('SELECT n::money FROM a WHERE k = 3');
SELECT how('SELECT ''pg_class''::regclass::text FROM a WHERE k = 3');
SELECT how('SELECT row(k, n) FROM a WHERE k = 3');
SELECT how('SELECT tableoid = ''a''::regclass FROM a WHERE k = 3');
-- STABLE by TimeZone alone, or only because of harmless output functions
SELECT how('SELECT at::date, date_trunc(''day'', at), extract(hour FROM at) FROM a WHERE k = 3');
SELECT how('SELECT t || n, concat(t, n) FROM a WHERE k = 3');
SELECT how('SELECT n, to_char(at, ''HH24 Mon'') FROM a WHERE k = 3');
SELECT how('SELECT row_to_json(a.*) FROM a WHERE k = 3');
SELECT how('SELECT n::float8::text FROM a WHERE k = 3');
-- a branch that is not taken raises nothing
SELECT how('SELECT CASE WHEN k = 3 THEN 1 ELSE 1 / (length(current_user) - length(session_user)) END FROM a WHERE k = 3');
SELECT how('SELECT coalesce(k, 1 / (length(current_user) - length(session_user))) FROM a WHERE k = 3');

-- text settings of the session do not change the answer
BEGIN;
SET LOCAL extra_float_digits = -10; SET LOCAL timezone = 'America/New_York'; SET LOCAL datestyle = 'SQL, DMY';
SET LOCAL standard_conforming_strings = off; SET LOCAL escape_string_warning = off;
SELECT how('SELECT id / 3.0::float8, (id / 3.0::float8)::text FROM b WHERE k = 8');
SELECT how('SELECT id FROM b WHERE (id / 3.0::float8)::text = ''2.6667''');
SELECT how('SELECT at::text, at::date, date_trunc(''day'', at) FROM a WHERE k = 8');
SELECT how('SELECT n FROM a WHERE extract(hour FROM at) = 4');
SELECT how('SELECT t || ''a\\b'' FROM a WHERE k = 8 AND t <> ''a\\b''');
COMMIT;

-- prepared statements: the shard is found at execution
PREPARE one(int) AS SELECT count(*), sum(n) FROM a WHERE k = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE one(3); EXECUTE one(4); EXECUTE one(NULL); EXECUTE one(77);
-- two parameters may or may not meet in one shard: never decided by the plan
PREPARE two(int, int) AS SELECT count(*) FROM a, b WHERE a.k = $1 AND b.k = $2;
EXECUTE two(1, 1); EXECUTE two(1, 2); EXECUTE two(NULL, 2);
SET plan_cache_mode = force_custom_plan;
EXECUTE two(1, 1); EXECUTE two(1, 2); EXECUTE two(3, 3);
-- a value does not tie two tables of which one may be without rows
PREPARE tie(int, int) AS SELECT (SELECT count(*) FROM b WHERE b.k = $1), count(*) FROM a WHERE a.k = $2 AND a.k = $1;
EXECUTE tie(7, 5); EXECUTE tie(8, 8);
SET plan_cache_mode = force_generic_plan;
EXECUTE tie(7, 5); EXECUTE tie(8, 8);
RESET plan_cache_mode;
-- after five executions the generic plan is taken
PREPARE mine(int) AS SELECT count(*) FROM b WHERE k = $1;
EXECUTE mine(1); EXECUTE mine(2); EXECUTE mine(3); EXECUTE mine(4); EXECUTE mine(5); EXECUTE mine(6);
SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'mine';

-- cursors may go back
BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT n FROM a WHERE k = 8 ORDER BY n;
FETCH 2 FROM s; FETCH BACKWARD 1 FROM s; FETCH LAST FROM s; FETCH FIRST FROM s;
COMMIT;
DO $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) DECLARE s SCROLL CURSOR FOR SELECT n + 1 AS m, k FROM a WHERE k = 8' LOOP
        EXIT WHEN line ~ 'Remote Plan';
        IF line ~ 'Materialize|Output' THEN RAISE WARNING '%', line; END IF;
    END LOOP;
END $$;

-- the plan of a routed statement
-- what is sent is shown in one line, with what is quoted as it is
CREATE FUNCTION sent(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (VERBOSE, FORMAT JSON) ' || query INTO plan;
	RETURN regexp_replace(plan #>> '{0,Plan,Remote SQL}', 'plan_router_\d+', 'shard', 'g');
END $$;
SELECT sent($$SELECT a.n, t AS "two
  lines" FROM a JOIN b USING (k) WHERE k = 3 AND t <> 'it''s
  two' AND v = 1$$);
SELECT sent($$INSERT INTO a (k, n) VALUES (1, 2), (2, 3) ON CONFLICT (k, n) DO UPDATE SET t = 'x' WHERE a.t <> 'x' RETURNING n$$);
EXPLAIN (COSTS OFF, VERBOSE OFF) SELECT n AS number FROM a WHERE k = 3 AND at < now();

-- FOR UPDATE is sent with it, but not over a reference table, which is locked here
SELECT n FROM a WHERE k = 3 AND n < 10 FOR UPDATE;
SELECT how('SELECT a.n, r.title FROM a JOIN r ON r.id = a.k WHERE a.k = 3 FOR UPDATE OF a');
SELECT how('SELECT a.n, r.title FROM a JOIN r ON r.id = a.k WHERE a.k = 3 FOR UPDATE OF r');

SET client_min_messages = error;
DROP SCHEMA plan_router CASCADE;
DROP SCHEMA plan_router_local CASCADE;
DROP FUNCTION public.plan_router_plus(int);
DROP TYPE public.plan_router_mood;
