-- Where rows live: which queries the shards answer by themselves, which not,
-- and that the answer is the one of local tables.  The numbers are those of the
-- rules in src/plan/README.md; each statement that a rule keeps back would have
-- another answer without it.
CREATE SCHEMA locus;
CREATE SCHEMA locus_local;
SET search_path = locus;
-- joins of what is fetched
SET tessera.ship_limit = 0;
SET client_min_messages = warning;

-- how(query): fragments and scans of single tables, and whether the rows are
-- those of the local twins
CREATE FUNCTION how(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	scans int := 0;
	fragments int := 0;
	here text[];
	there text[];
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		fragments := fragments + (line ~ 'Custom Scan \(TesseraScan\)$')::int;
		scans := scans + (line ~ 'Custom Scan \(TesseraScan\) on')::int;
	END LOOP;
	EXECUTE format('SELECT array_agg(q::text ORDER BY q::text) FROM (%s) q', query) INTO here;
	PERFORM set_config('search_path', 'locus_local', true);
	EXECUTE format('SELECT array_agg(q::text ORDER BY q::text) FROM (%s) q', query) INTO there;
	PERFORM set_config('search_path', 'locus', true);
	RETURN format('%s; %s rows, %s',
				  concat_ws(' and ', nullif(fragments, 0) || ' fragments', nullif(scans, 0) || ' scans'),
				  coalesce(cardinality(here), 0),
				  CASE WHEN here IS NOT DISTINCT FROM there THEN 'same' ELSE 'DIFFERENT' END);
END $$;

-- keys 0 to 9 and NULL in both; b has keys that a has not, and the other way
CREATE TABLE a (k int, n int, t text);
INSERT INTO a SELECT nullif(i % 11, 10), i, 't' || i % 3 FROM generate_series(0, 43) i;
CREATE TABLE b (k int, v int, w numeric);
INSERT INTO b SELECT nullif(3 + i % 10, 12), i, i * 1.5 FROM generate_series(0, 29) i;
CREATE TABLE c (k int NOT NULL, n int);
INSERT INTO c SELECT i % 8, i FROM generate_series(0, 15) i;
CREATE TABLE wide (k bigint, n int);
INSERT INTO wide SELECT i % 8, i FROM generate_series(0, 15) i;
CREATE TABLE padded (name char(5) PRIMARY KEY, n int);
CREATE TABLE plain (name text PRIMARY KEY, n int);
INSERT INTO padded SELECT 'p' || i, i FROM generate_series(1, 9) i;
INSERT INTO plain SELECT 'p' || i, i FROM generate_series(1, 9) i;
CREATE TABLE r (id int PRIMARY KEY, title text);
INSERT INTO r SELECT i, 'title' || i FROM generate_series(0, 6) i;
CREATE TABLE l (id int, v text);
INSERT INTO l SELECT i, 'v' || i FROM generate_series(0, 8) i;
SET search_path = locus_local;
CREATE TABLE a AS TABLE locus.a;
CREATE TABLE b AS TABLE locus.b;
CREATE TABLE c AS TABLE locus.c;
CREATE TABLE wide AS TABLE locus.wide;
CREATE TABLE padded AS TABLE locus.padded;
CREATE TABLE plain AS TABLE locus.plain;
CREATE TABLE r AS TABLE locus.r;
CREATE TABLE l AS TABLE locus.l;
SET search_path = locus;
SELECT tessera.create_distributed_table('a', 'k', shard_count => 6, colocate_with => 'none');
SELECT tessera.create_distributed_table('b', 'k', colocate_with => 'a');
SELECT tessera.create_distributed_table('c', 'k', colocate_with => 'a');
SELECT tessera.create_distributed_table('wide', 'k', shard_count => 6, colocate_with => 'none');
SELECT tessera.create_distributed_table('padded', 'name', shard_count => 6, colocate_with => 'none');
SELECT tessera.create_distributed_table('plain', 'name', shard_count => 6, colocate_with => 'none');
SELECT tessera.create_reference_table('r');

-- 1: inner joins by the key, directly or through others
SELECT how('SELECT a.n, b.v FROM a JOIN b ON a.k = b.k');
SELECT how('SELECT a.n, b.v FROM a, b, c WHERE a.k = b.k AND c.k = a.k');
SELECT how('SELECT a.n, b.v FROM a JOIN b USING (k) JOIN c USING (k)');
SELECT how('SELECT a.n, b.v FROM a JOIN b ON a.n = b.v');
SELECT how('SELECT a.n, b.v FROM a JOIN b ON a.k = b.v AND a.n = b.k');
SELECT how('SELECT a.n, b.v FROM a JOIN b ON a.k = b.k + 0');
SELECT how('SELECT a.n, b.v FROM a JOIN b ON a.k <= b.k AND a.k >= b.k');
SELECT how('SELECT a.n, b.v FROM a JOIN b ON a.k = b.k OR a.n = b.v');
SELECT how('SELECT a.n, b.v FROM a JOIN b ON a.k IS NOT DISTINCT FROM b.k');
SELECT how('SELECT a.n, b.v FROM a, r, b WHERE a.k = r.id AND b.k = r.id');
SELECT how('SELECT a.n, b.v FROM a, r, b WHERE a.k = r.id AND b.v = r.id');
-- ... or local ones, values, parameters, what is computed of others
SELECT how('SELECT a.n, b.v, l.v FROM a, l, b WHERE a.k = l.id AND b.k = l.id');
SELECT how('SELECT a.n, b.v, l.v FROM a JOIN l ON a.k = l.id JOIN b ON l.id = b.k JOIN c ON c.k = b.k');
SELECT how('SELECT a.n, b.v FROM a, b, l WHERE a.k = l.id AND b.v = l.id');
SELECT how('SELECT a.n, b.v FROM a JOIN l ON a.k = l.id LEFT JOIN b ON b.k = l.id');
SELECT how('SELECT a.n, b.v FROM l LEFT JOIN a ON a.k = l.id LEFT JOIN b ON b.k = l.id');
SELECT how('SELECT a.n, b.v, l.v FROM a, l, b WHERE a.k = l.id + 1 AND b.k = l.id + 1');
SELECT how('SELECT a.n, b.v, l.v FROM a, l, b WHERE a.k = l.id + 1 AND b.k = l.id + 2');
SELECT how('SELECT a.n, b.v, w.n FROM a, wide w, b WHERE a.k = w.k AND b.k = w.k');
SELECT how('SELECT l.v, (SELECT sum(a.n * b.v) FROM a, b WHERE a.k = l.id AND b.k = l.id) FROM l');
SELECT how('SELECT l.v, q.s FROM l, (SELECT count(*) AS s FROM a, b WHERE a.k = 4 AND b.k = 4) q');
SELECT how('SELECT l.v, q.s FROM l, (SELECT count(*) AS s FROM a, b WHERE a.k = 4 AND b.k = 5) q');
SELECT how('SELECT q.s, b.v FROM (SELECT k, sum(n) AS s FROM a GROUP BY k) q, l, b WHERE q.k = l.id AND b.k = l.id');
SELECT how('SELECT a.n, q.v FROM a JOIN (SELECT k AS x, v FROM b WHERE v > 3) q ON q.x = a.k');
SELECT how('SELECT a.n, q.s FROM a JOIN (SELECT k, sum(v) AS s FROM b GROUP BY k) q ON q.k = a.k');
SELECT how('SELECT a.n, q.s FROM a JOIN (SELECT v AS k, sum(v) AS s FROM b GROUP BY v) q ON q.k = a.k');
SELECT how('SELECT a.n, wide.n FROM a JOIN wide ON a.k = wide.k');
SELECT how('SELECT x.n, y.n FROM padded x JOIN plain y ON x.name = y.name');
SELECT how('SELECT a.n, a2.n FROM a JOIN a a2 ON a.k = a2.k WHERE a.n < a2.n');
SELECT how('SELECT count(*), sum(j.v) FROM (a JOIN b USING (k)) AS j(x) JOIN r ON j.x = r.id');
SELECT how('SELECT count(*), sum(j.v) FROM r JOIN (a JOIN b USING (k)) AS j(x) ON r.id = j.x AND j.n > (SELECT min(id) FROM r r2 WHERE r2.id >= j.x)');
SELECT how('SELECT count(*), sum(j.w) FROM l JOIN (a JOIN ((VALUES (1, 2), (3, 4)) v(x, y) LEFT JOIN r ON r.id = y) AS j(x, w, z) ON a.k = j.x) ON l.id = a.n');

-- 2: outer joins
SELECT how('SELECT a.n, b.v FROM a LEFT JOIN b ON a.k = b.k');
SELECT how('SELECT a.n, b.v FROM a LEFT JOIN b ON a.k = b.k AND b.v > 10 AND a.n > 3');
SELECT how('SELECT a.n, b.v FROM a LEFT JOIN b ON a.n = b.v');
SELECT how('SELECT a.n, b.v FROM a RIGHT JOIN b ON a.k = b.k');
SELECT how('SELECT a.n, r.title FROM a LEFT JOIN r ON a.k = r.id');
SELECT how('SELECT a.n, r.title FROM r LEFT JOIN a ON a.k = r.id');
SELECT how('SELECT a.n, r.title FROM a RIGHT JOIN r ON a.k = r.id');
SELECT how('SELECT a.n, r.title FROM a FULL JOIN r ON a.k = r.id');
SELECT how('SELECT a.n, b.v FROM a FULL JOIN b ON a.k = b.k');
SELECT how('SELECT a.n, b.v FROM a FULL JOIN b ON a.n = b.v');
SELECT how('SELECT v.x, a.n FROM (VALUES (1), (20)) v(x) LEFT JOIN a ON a.k = v.x');
SELECT how('SELECT b.v, a.n FROM a LEFT JOIN b ON b.v = a.n WHERE b.k = a.k');
SELECT how('SELECT coalesce(a.k, b.k), coalesce(b.v, -1) FROM a LEFT JOIN b ON a.k = b.k');

-- 3: the nullable side's key
SELECT how('SELECT b.k, count(*) FROM a LEFT JOIN b ON a.k = b.k GROUP BY b.k');
SELECT how('SELECT a.k, count(*) FROM a LEFT JOIN b ON a.k = b.k GROUP BY a.k');
SELECT how('SELECT DISTINCT b.k FROM a LEFT JOIN b ON a.k = b.k');
SELECT how('SELECT a.n, row_number() OVER (PARTITION BY b.k ORDER BY a.n) FROM a LEFT JOIN b ON a.k = b.k AND b.v < 5');
SELECT how('SELECT c.n FROM a LEFT JOIN b ON a.k = b.k LEFT JOIN c ON c.k = b.k');
SELECT how('SELECT c.n FROM a LEFT JOIN b ON a.k = b.k LEFT JOIN c ON c.k = a.k');
SELECT how('SELECT k, count(*) FROM a FULL JOIN b USING (k) GROUP BY k');
SELECT how('SELECT a.k, count(*) FROM a FULL JOIN b ON a.k = b.k GROUP BY a.k');
-- ... but COALESCE of both sides' keys is the key of whichever is there
SELECT how('SELECT coalesce(b.k, a.k), count(*) FROM a FULL JOIN b ON a.k = b.k GROUP BY 1');
SELECT how('SELECT coalesce(b.k, a.k), count(*) FROM a LEFT JOIN b ON a.k = b.k GROUP BY 1');
SELECT how('SELECT coalesce(b.k, a.n), count(*) FROM a FULL JOIN b ON a.k = b.k GROUP BY 1');
SELECT how('SELECT coalesce(a.k, 3), count(*) FROM a FULL JOIN b ON a.k = b.k GROUP BY 1');
SELECT how('SELECT coalesce(b.v, a.k), count(*) FROM a FULL JOIN b ON a.k = b.k AND a.n = b.v GROUP BY 1');
SELECT how('SELECT k, count(*), count(a.n), count(b.v), count(c.n) FROM a FULL JOIN b USING (k) FULL JOIN c USING (k) GROUP BY k');
SELECT how('SELECT k, count(*), sum(b.v) FROM a FULL JOIN b USING (k) LEFT JOIN c USING (k) GROUP BY k');
SELECT how('SELECT k, count(*), sum(b.v) FROM c RIGHT JOIN (a FULL JOIN b USING (k)) USING (k) GROUP BY k');
SELECT how('SELECT k, x.n, b.v FROM (SELECT k, n FROM a) x NATURAL FULL JOIN b JOIN c USING (k)');
SELECT how('SELECT a.n, b.v, c.n FROM a FULL JOIN b ON a.k = b.k LEFT JOIN c ON c.k = a.k');
SELECT how('SELECT a.n, b.v, c.n FROM a FULL JOIN b ON a.k = b.k JOIN c ON c.k = coalesce(a.k, b.k)');
SELECT how('SELECT DISTINCT k FROM a FULL JOIN b USING (k)');
SELECT how('SELECT k, b.v, rank() OVER (PARTITION BY k ORDER BY b.v, a.n) FROM a FULL JOIN b USING (k)');
SELECT how('SELECT q.k, q.s, c.n FROM (SELECT k, sum(n) AS s FROM a FULL JOIN b USING (k) GROUP BY k) q JOIN c ON c.k = q.k');
SELECT how('SELECT k, a.n FROM a FULL JOIN b USING (k) WHERE EXISTS (SELECT FROM c WHERE c.k = coalesce(a.k, b.k))');
SELECT how('SELECT k, a.n FROM a FULL JOIN b USING (k) WHERE k = 4');
-- ... and a row that is there has passed its ON: in joins, sublinks and LATERAL above
SELECT how('SELECT c.n FROM a LEFT JOIN b ON a.k = b.k LEFT JOIN c ON c.k = b.k AND c.n > b.v');
SELECT how('SELECT c.n FROM b RIGHT JOIN a ON a.k = b.k LEFT JOIN c ON b.k = c.k');
SELECT how('SELECT c.n FROM a LEFT JOIN b ON a.k = b.k RIGHT JOIN c ON c.k = b.k');
SELECT how('SELECT c.n FROM a LEFT JOIN b ON a.k = b.k FULL JOIN c ON c.k = b.k');
SELECT how('SELECT c.n FROM a FULL JOIN b ON a.k = b.k LEFT JOIN c ON c.k = b.k');
SELECT how('SELECT c.n FROM a LEFT JOIN b ON a.k = b.k LEFT JOIN c ON c.k IS NOT DISTINCT FROM b.k');
SELECT how('SELECT c.n FROM a LEFT JOIN b ON a.k = b.k LEFT JOIN c ON c.k = coalesce(b.k, 3)');
SELECT how('SELECT c.n FROM a LEFT JOIN b ON a.n = b.v LEFT JOIN c ON c.k = b.k');
SELECT how('SELECT c.n FROM (SELECT a.n, b.k FROM a LEFT JOIN b ON a.k = b.k) x LEFT JOIN c ON c.k = x.k');
SELECT how('SELECT a.n, (SELECT count(*) FROM c WHERE c.k = b.k) FROM a LEFT JOIN b ON a.k = b.k');
SELECT how('SELECT a.n, x.n FROM a LEFT JOIN b ON a.k = b.k LEFT JOIN LATERAL (SELECT n FROM c WHERE c.k = b.k ORDER BY n LIMIT 1) x ON true');
SELECT how('SELECT a.n FROM a LEFT JOIN b ON a.k = b.k AND b.v > 9 WHERE NOT EXISTS (SELECT FROM c WHERE c.k = b.k)');
SELECT how('SELECT b.k, count(*) FROM a LEFT JOIN b ON a.k = b.k WHERE b.v > 3 GROUP BY b.k');
SELECT how('SELECT b.k, count(*) FROM a LEFT JOIN b ON a.k = b.k AND b.v > 3 GROUP BY b.k');
SELECT how('SELECT b.k, count(*) FROM a LEFT JOIN b ON a.k = b.k WHERE coalesce(b.v, 4) > 3 GROUP BY b.k');
SELECT how('SELECT b.k, count(*) FROM a LEFT JOIN b ON a.k = b.k WHERE b.v > 3 OR a.n > 3 GROUP BY b.k');
SELECT how('SELECT b.k, count(*) FROM a FULL JOIN b ON a.k = b.k WHERE b.v > 3 GROUP BY b.k');

-- 4: groups, DISTINCT and windows with the key
SELECT how('SELECT k, count(*), sum(n) FROM a GROUP BY k');
SELECT how('SELECT k, t, count(*) FROM a GROUP BY t, k HAVING count(*) > 1');
SELECT how('SELECT t, array_agg(n ORDER BY n) FROM a GROUP BY t');
SELECT how('SELECT k + 0, array_agg(n ORDER BY n) FROM a GROUP BY k + 0');
SELECT how('SELECT a.k, string_agg(b.v::text, '','' ORDER BY b.v) FROM a JOIN b ON a.k = b.k GROUP BY b.k, a.k');
SELECT how('SELECT r.id, count(*) FROM a JOIN r ON a.k = r.id GROUP BY r.id');
SELECT how('SELECT DISTINCT k, t FROM a');
SELECT how('SELECT DISTINCT t FROM a');
SELECT how('SELECT DISTINCT ON (k) k, n FROM a ORDER BY k, n DESC');
SELECT how('SELECT DISTINCT ON (t) t, n FROM a ORDER BY t, n DESC');
SELECT how('SELECT k, n, rank() OVER (PARTITION BY k ORDER BY n) FROM a');
SELECT how('SELECT k, n, rank() OVER (PARTITION BY t ORDER BY n) FROM a');
SELECT how('SELECT n, rank() OVER (PARTITION BY k ORDER BY n), rank() OVER (ORDER BY n) FROM a');
SELECT how('SELECT k, count(*), max(count(*)) OVER (PARTITION BY k) FROM a GROUP BY k');
SELECT how('SELECT name COLLATE "C", count(*) FROM plain GROUP BY 1');
SELECT how('SELECT k, generate_series(1, 2), count(*) FROM a GROUP BY k');

-- 5: what sees all rows
SELECT how('SELECT count(*), sum(a.n) FROM a JOIN b ON a.k = b.k');
SELECT how('SELECT count(*) FROM a WHERE n < 0');
SELECT how('SELECT 1 FROM a HAVING true');
SELECT how('SELECT 1 FROM a JOIN b USING (k) HAVING 1 < 0');
SELECT how('SELECT k, t, count(*) FROM a GROUP BY ROLLUP (k, t)');
SELECT how('SELECT a.n, b.v FROM a JOIN b ON a.k = b.k ORDER BY 1, 2 LIMIT 3');
SELECT how('SELECT q.n FROM (SELECT n FROM a ORDER BY n LIMIT 3) q');
SELECT how('SELECT n FROM a ORDER BY n OFFSET 40');
SELECT how('SELECT q.n, b.v FROM (SELECT k, n FROM a ORDER BY n LIMIT 4) q JOIN b ON b.k = q.k');

-- 6: set operations
SELECT how('SELECT k, n FROM a UNION ALL SELECT k, v FROM b');
SELECT how('SELECT n FROM a UNION ALL SELECT v FROM b');
SELECT how('SELECT k, n FROM a UNION SELECT k, v FROM b');
SELECT how('SELECT n FROM a UNION SELECT v FROM b');
SELECT how('SELECT k, n FROM a UNION SELECT v, k FROM b');
SELECT how('SELECT k FROM a INTERSECT SELECT k FROM b');
SELECT how('SELECT n FROM a INTERSECT SELECT v FROM b');
SELECT how('SELECT k FROM a EXCEPT SELECT k FROM b');
SELECT how('SELECT k FROM a EXCEPT ALL SELECT k FROM b');
SELECT how('SELECT n FROM a UNION ALL SELECT id FROM r');
SELECT how('SELECT k FROM a EXCEPT SELECT id FROM r');
SELECT how('SELECT id FROM r UNION ALL SELECT id FROM r UNION ALL SELECT k FROM a');
SELECT how('SELECT k, count(*) FROM (SELECT k, n FROM a UNION ALL SELECT k, v FROM b) q GROUP BY k');
SELECT how('SELECT k FROM a UNION ALL SELECT k::int FROM wide');
SELECT how('(SELECT k, n FROM a ORDER BY n LIMIT 2) UNION ALL SELECT k, v FROM b');

-- 7: computed for a row
SELECT how('SELECT a.n, (SELECT count(*) FROM b WHERE b.k = a.k) FROM a');
SELECT how('SELECT a.n, (SELECT count(*) FROM b WHERE b.v = a.n) FROM a');
SELECT how('SELECT a.n, (SELECT max(v) FROM b WHERE b.k = a.k AND b.v < a.n) FROM a');
SELECT how('SELECT a.n FROM a WHERE EXISTS (SELECT FROM b WHERE b.k = a.k AND b.v > a.n)');
SELECT how('SELECT a.n FROM a WHERE NOT EXISTS (SELECT FROM b WHERE b.k = a.k)');
SELECT how('SELECT a.n FROM a WHERE NOT EXISTS (SELECT FROM b WHERE b.v = a.n)');
SELECT how('SELECT a.n FROM a WHERE a.n > ALL (SELECT v FROM b WHERE b.k = a.k)');
SELECT how('SELECT a.n, x.v FROM a, LATERAL (SELECT v FROM b WHERE b.k = a.k ORDER BY v LIMIT 1) x');
SELECT how('SELECT a.n, x.v FROM a LEFT JOIN LATERAL (SELECT v FROM b WHERE b.k = a.k ORDER BY v LIMIT 1) x ON true');
SELECT how('SELECT a.n, x.v FROM a, LATERAL (SELECT v FROM b WHERE b.v >= a.n ORDER BY v LIMIT 1) x');
SELECT how('SELECT a.n, x.c FROM a, LATERAL (SELECT count(*) AS c FROM b LEFT JOIN c ON c.k = b.k WHERE b.k = a.k) x');
SELECT how('SELECT a.n, x.c FROM a, LATERAL (SELECT count(*) AS c FROM b LEFT JOIN c ON c.n = b.v WHERE b.k = a.k) x');
SELECT how('SELECT a.n, x.c FROM a, LATERAL (SELECT count(c.n) AS c FROM r LEFT JOIN c ON c.k = a.k) x');
SELECT how('SELECT a.n, (SELECT b.v FROM b WHERE b.k = (SELECT min(k) FROM c WHERE c.k = a.k) ORDER BY 1 LIMIT 1) FROM a');
SELECT how('SELECT a.k, (SELECT count(*) FROM b WHERE b.k = a.k) FROM a GROUP BY a.k');
SELECT how('SELECT a.n FROM a LEFT JOIN c ON c.k = a.k AND EXISTS (SELECT FROM b WHERE b.k = a.k AND b.v > 20)');
SELECT how('SELECT b.v FROM a LEFT JOIN b ON b.k = a.k WHERE EXISTS (SELECT FROM c WHERE c.k = b.k)');

-- 8: sublinks on their own
SELECT how('SELECT a.n FROM a WHERE a.k IN (SELECT k FROM b WHERE v > 5)');
SELECT how('SELECT a.n FROM a WHERE (a.k, a.n) IN (SELECT k, v FROM b)');
SELECT how('SELECT a.n FROM a WHERE a.n IN (SELECT v FROM b)');
SELECT how('SELECT a.n FROM a WHERE a.k IN (SELECT v FROM b)');
SELECT how('SELECT a.n FROM a WHERE a.k NOT IN (SELECT k FROM b)');
SELECT how('SELECT a.n FROM a WHERE a.k NOT IN (SELECT k FROM b WHERE k IS NOT NULL)');
SELECT how('SELECT c.n FROM c WHERE c.k NOT IN (SELECT k FROM c c2 WHERE c2.n > 11)');
SELECT how('SELECT c.n FROM c WHERE c.k NOT IN (SELECT k FROM b)');
SELECT how('SELECT a.n FROM a WHERE a.k NOT IN (SELECT k FROM c)');
SELECT how('SELECT a.n FROM a LEFT JOIN c ON a.k = c.k AND c.n < 2 WHERE c.k NOT IN (SELECT k FROM c c2 WHERE c2.n > 11)');
SELECT how('SELECT a.n, a.k IN (SELECT k FROM b) FROM a');
SELECT how('SELECT a.n FROM a WHERE a.k IN (SELECT k FROM b) OR a.n = 7');
SELECT how('SELECT a.n FROM a WHERE (a.k IN (SELECT k FROM b)) IS NULL');
SELECT how('SELECT a.n FROM a WHERE EXISTS (SELECT FROM b WHERE b.v = 3)');
SELECT how('SELECT a.n FROM a WHERE a.n > (SELECT avg(v) FROM b)');
SELECT how('SELECT a.n FROM a WHERE a.k IN (SELECT k FROM b GROUP BY k HAVING count(*) > 2)');

-- 9: what is everywhere
SELECT how('SELECT a.n, (SELECT max(id) FROM r) FROM a JOIN b USING (k)');
SELECT how('SELECT a.n, (SELECT count(*) FROM r WHERE r.id > a.k) FROM a JOIN b USING (k)');
SELECT how('SELECT a.n, (SELECT id FROM r ORDER BY id LIMIT 1) FROM a JOIN b USING (k)');
SELECT how('SELECT a.n, q.id FROM a JOIN (SELECT id, row_number() OVER (ORDER BY id) AS i FROM r) q ON q.i = a.k JOIN b USING (k)');
SELECT how('SELECT a.n, q.c FROM a JOIN (SELECT id % 2 AS p, count(*) AS c FROM r GROUP BY 1) q ON q.p = a.k JOIN b USING (k)');
SELECT how('SELECT a.n FROM a JOIN generate_series(1, 3) g ON g = a.k JOIN b USING (k)');
SELECT how('SELECT k, ARRAY(SELECT id FROM r), array_agg(n ORDER BY n) FROM a GROUP BY k');
SELECT how('SELECT k, ARRAY(SELECT id FROM r WHERE id < k), count(*) FROM a GROUP BY k');
SELECT how('SELECT k, (SELECT count(*) FROM r WHERE id = ANY (ARRAY(SELECT id FROM r))), array_agg(n ORDER BY n) FROM a GROUP BY k');
SELECT how('SELECT k, (SELECT count(*) FROM (SELECT DISTINCT id * 1.0 FROM r) q), array_agg(n ORDER BY n) FROM a GROUP BY k');
SELECT how('SELECT k, (SELECT count(*) FROM (SELECT id * 1.0 FROM r UNION SELECT 2.00 FROM r) q), array_agg(n ORDER BY n) FROM a GROUP BY k');
SELECT how('SELECT k, (SELECT count(*) FROM (SELECT id, title FROM r UNION SELECT DISTINCT 2, title FROM r) q), count(*) FROM a GROUP BY k');

-- 10: CTEs
SELECT how('WITH q AS MATERIALIZED (SELECT k, count(*) AS c FROM b GROUP BY k) SELECT a.n, q.c FROM a JOIN q USING (k)');
SELECT how('WITH q AS (SELECT k, v FROM b) SELECT x.v, y.v FROM q x JOIN q y ON x.k = y.k');
SELECT how('WITH q AS MATERIALIZED (SELECT k, v FROM b ORDER BY v LIMIT 5) SELECT a.n, q.v FROM a JOIN q USING (k)');
SELECT how('SELECT a.n, (WITH q AS MATERIALIZED (SELECT v FROM b WHERE b.k = a.k) SELECT count(*) FROM q) FROM a');
SELECT how('WITH q AS (SELECT k, v FROM b) SELECT count(*), sum(v) FROM a JOIN q USING (k)');
SELECT how('WITH p AS MATERIALIZED (SELECT k, v FROM b), q AS MATERIALIZED (SELECT k, v + 1 AS v FROM p) SELECT count(*), sum(v) FROM a JOIN q USING (k)');
SELECT how('WITH q AS (SELECT k, v FROM b) SELECT count(*) FROM a JOIN c USING (k) WHERE k IN (SELECT k FROM q)');
SELECT how('WITH q AS (SELECT k, v FROM b) SELECT count(*), (SELECT max(v) FROM q) FROM a JOIN q USING (k) JOIN c USING (k)');
SELECT how('WITH q AS NOT MATERIALIZED (SELECT k, v FROM b) SELECT count(*), (SELECT max(v) FROM q) FROM a JOIN q USING (k) JOIN c USING (k)');
SELECT how('WITH p AS MATERIALIZED (SELECT k, v FROM b), q AS NOT MATERIALIZED (SELECT k, v FROM p) SELECT count(*), (SELECT max(v) FROM q) FROM a JOIN q USING (k) JOIN c USING (k)');
SELECT how('WITH q AS (SELECT k, v + random() * 0 AS v FROM b) SELECT count(*), sum(v) FROM a JOIN q USING (k) JOIN c USING (k)');
SELECT how('WITH RECURSIVE q(k, d) AS (SELECT k, 1 FROM c WHERE n = 3 UNION ALL SELECT q.k + 1, d + 1 FROM q JOIN a ON a.k = q.k AND a.n < 11 WHERE d < 5) SELECT * FROM q');

-- 11: others
SELECT how('SELECT a.n, l.v FROM a JOIN l ON l.id = a.k JOIN b ON b.k = a.k');
SELECT how('SELECT a.n, l.v FROM a JOIN b ON b.k = a.k LEFT JOIN l ON l.id = a.k');
SELECT how('SELECT a.n, b.v FROM a TABLESAMPLE BERNOULLI (100) JOIN b USING (k)');
SELECT how('SELECT a.n FROM a JOIN b USING (k) WHERE a.tableoid = ''a''::regclass');
SELECT how('SELECT a.n, random() < 2 FROM a JOIN b USING (k)');

-- whole rows and names of fields
SELECT how('SELECT row_to_json(s) FROM (SELECT a.n AS first, b.v AS second FROM a JOIN b USING (k)) s');
SELECT how('SELECT row_to_json(a) FROM a JOIN b USING (k)');
SELECT how('SELECT k, json_agg(x ORDER BY x.n) FROM (SELECT a.k, a.n, b.v FROM a JOIN b USING (k) WHERE b.v = 4) x GROUP BY k');
SELECT how('SELECT s FROM (SELECT k, count(*) AS how_many FROM a GROUP BY k) s');
SELECT how('SELECT b FROM a LEFT JOIN b USING (k)');
SELECT how('SELECT (s).how_many FROM (SELECT k, count(*) AS how_many FROM a GROUP BY k OFFSET 0) s');

-- values written as text and JSON: by the nodes where no setting has a part in it
SELECT how('SELECT a.n, (SELECT json_agg(json_build_object(''v'', b.v, ''w'', b.w) ORDER BY b.v) FROM b WHERE b.k = a.k) FROM a');
SELECT how('SELECT k, json_agg(a ORDER BY n), jsonb_object_agg(n, t), json_agg(date ''2024-01-01'' + n ORDER BY n) FROM a GROUP BY k');
SELECT how('SELECT k, json_agg(make_interval(days => n) ORDER BY n) FROM a GROUP BY k');
SELECT how('SELECT k, jsonb_object_agg(n, n / 3.0::float8) FROM a GROUP BY k');
SELECT how('SELECT k, string_agg(to_char(date ''2024-01-01'' + n, ''YYYY-Mon''), '','' ORDER BY n), array_to_string(array_agg(n ORDER BY n), '','') FROM a GROUP BY k');
SELECT how('SELECT k, string_agg(to_char(date ''2024-01-01'' + n, ''YYYY-TMMon''), '','' ORDER BY n) FROM a GROUP BY k');
SELECT how('SELECT k, string_agg(to_char(w, ''FM90.0''), '','' ORDER BY v) FROM b GROUP BY k');
SELECT how('SELECT k, string_agg(to_char(w, ''FM90D0''), '','' ORDER BY v) FROM b GROUP BY k');
SELECT how('SELECT k, string_agg(to_char(w, CASE v WHEN 3 THEN ''S9'' ELSE ''9'' END), '','' ORDER BY v) FROM b GROUP BY k');
SELECT how('SELECT k, array_to_string(array_agg(date ''2024-01-01'' + n ORDER BY n), '','') FROM a GROUP BY k');
-- ... and rows of subqueries, whose columns' names show, where they are JSON at once
SELECT how('SELECT a.n, (SELECT json_agg(x) FROM (SELECT b.v AS "Value", w FROM b WHERE b.k = a.k ORDER BY b.v LIMIT 2) x) FROM a');
SELECT how('SELECT k, json_agg(x ORDER BY n) FROM (SELECT k, n, t FROM a) x(k, n, title) GROUP BY k');
SELECT how('SELECT k, json_agg(x ORDER BY n) FROM (SELECT k, n, t, n AS t FROM a) x GROUP BY k');
SELECT how('SELECT k, json_agg(x ORDER BY n) FROM (SELECT k, n, make_interval(days => n) AS i FROM a) x GROUP BY k');
SELECT how('SELECT k, array_agg(x ORDER BY n) FROM (SELECT k, n FROM a) x GROUP BY k');
SELECT how('SELECT k, json_agg(nullif(x, NULL) ORDER BY n) FROM (SELECT k, n FROM a) x GROUP BY k');
-- computed anew for each row, at any depth
SELECT how('SELECT a.n, (SELECT sum(x.v) FROM (SELECT v FROM b WHERE b.k = a.k ORDER BY v LIMIT 2) x) FROM a');
SELECT how('SELECT a.n, (SELECT sum(x.id) FROM (SELECT id FROM r WHERE id > a.k ORDER BY id LIMIT 2) x) FROM a JOIN c USING (k)');
SELECT how('SELECT a.n, (SELECT sum(x.id) FROM (SELECT id FROM r ORDER BY id LIMIT 2) x WHERE x.id > a.k) FROM a JOIN c USING (k)');
-- literals in later arms, which have no name there
SELECT how('SELECT k, ''a'' AS what FROM a UNION ALL SELECT k, ''b'' FROM b UNION ALL (SELECT k, ''c'' FROM c UNION SELECT k, ''d'' FROM c)');

-- fetched(query): the rows that come from each scan, its shards, and whether the
-- rows are those of the local twins
CREATE FUNCTION fetched(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	scans text[];
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		scans := scans || substring(line FROM 'TesseraScan.* rows=(\d+)') || substring(line FROM 'Shards: (\d+ of \d+)');
	END LOOP;
	RETURN array_to_string(scans, ' ') || substring(how(query) FROM ';.*');
END $$;
-- filters of columns that are equal: of the other side of a join
SELECT fetched('SELECT l.v, a.n FROM l JOIN a ON a.k = l.id AND a.n > l.id WHERE l.id IN (3, 4)');
SELECT fetched('SELECT a.n, b.v FROM a JOIN b ON a.n = b.k AND a.n > b.v WHERE b.k < 2');
SELECT fetched('SELECT a.n, b.v FROM a JOIN b ON a.n = b.k AND a.n > b.v WHERE b.k = 1 OR b.k BETWEEN 3 AND 4');
SELECT fetched('SELECT a.n, b.v FROM a JOIN b ON a.n = b.k AND a.n > b.v WHERE b.k % 5 = 1');
SELECT fetched('SELECT a.n, b.v FROM a JOIN b ON a.n = b.k AND a.n > b.v WHERE b.k = 1 OR b.v = 4');
-- ... from the preserved side of an outer join to the other one, and never back
SELECT fetched('SELECT l.v, a.n FROM l LEFT JOIN a ON a.k = l.id WHERE l.id < 2');
SELECT fetched('SELECT l.v, a.n FROM l LEFT JOIN a ON a.k = l.id AND l.id < 2');
SELECT fetched('SELECT l.v, a.n FROM l LEFT JOIN a ON a.k = l.id AND a.k < 2');
SELECT fetched('SELECT l.v, a.n FROM a RIGHT JOIN l ON a.k = l.id WHERE l.id IN (2, 3)');
SELECT fetched('SELECT l.v, a.n FROM l LEFT JOIN a ON a.k = l.id WHERE l.id < 5 AND a.n IS NULL');
SELECT fetched('SELECT a.n, b.v FROM a LEFT JOIN b ON a.n = b.k AND b.k IN (3, 5)');
SELECT fetched('SELECT a.n, b.v FROM a FULL JOIN b ON a.n = b.k AND a.n IN (3, 5)');
SELECT fetched('SELECT l.v, a.n, b.v FROM l LEFT JOIN a ON a.k = l.id LEFT JOIN b ON b.v = a.k WHERE l.id < 2');
SELECT fetched('SELECT l.v, a.n, b.v FROM l LEFT JOIN (a LEFT JOIN b ON b.v = a.k) ON a.k = l.id WHERE l.id < 2');
SELECT fetched('SELECT l.v, q.s FROM l LEFT JOIN (SELECT k, sum(n) AS s FROM a GROUP BY k) q ON q.k = l.id WHERE l.id < 2');
-- values that are known beforehand choose shards
SELECT fetched('SELECT a.n, v.x FROM a JOIN (VALUES (3), (4), (NULL)) v(x) ON a.k = v.x');
SELECT fetched('SELECT a.n, v.x FROM (VALUES (3), (20), (NULL)) v(x) LEFT JOIN a ON a.k = v.x');
SELECT fetched('SELECT a.n, v.x FROM a LEFT JOIN (VALUES (3), (20), (NULL)) v(x) ON a.k = v.x');
SELECT fetched('SELECT a.n, g FROM generate_series(3, 4) g LEFT JOIN a ON a.k = g');
SELECT fetched('SELECT a.n FROM a WHERE k IN (SELECT unnest(''{3,4,NULL}''::int[]))');
SELECT fetched('SELECT a.n FROM a WHERE k IN (VALUES (3), (4))');
SELECT fetched('SELECT a.n FROM a WHERE k NOT IN (VALUES (3), (4))');
SELECT fetched('SELECT a.n, w.x FROM a JOIN (SELECT x FROM (VALUES (3), (4), (5)) v(x) ORDER BY x DESC LIMIT 2) w ON a.k = w.x');
WITH v(x) AS (VALUES (3), (4)) SELECT count(*), sum(n) FROM a JOIN v ON a.k = v.x;
PREPARE known(int[]) AS SELECT count(*), sum(n) FROM a JOIN unnest($1) x ON a.k = x;
SET plan_cache_mode = force_generic_plan;
EXECUTE known('{3,4,NULL}');
EXECUTE known('{{3,4},{5,6}}');
EXECUTE known(NULL);
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE known('{3,4}');
RESET plan_cache_mode;
-- what is unnested goes with its row, whatever else the level does
SELECT how('SELECT x, count(DISTINCT n) FROM a, unnest(ARRAY[t, t || ''!'']) x GROUP BY x');
SELECT how('SELECT x, l.v FROM a, generate_series(1, a.k) x, l WHERE l.id = x');

-- a query of one shard inside of another is that shard's, whatever it does
SELECT how('SELECT l.v, s.n FROM l JOIN (SELECT n, row_number() OVER (ORDER BY n) AS i FROM a WHERE k = 3 ORDER BY n DESC LIMIT 2) s ON s.i = l.id');
SELECT how('SELECT l.v, s.c FROM l, (SELECT count(*) AS c FROM (SELECT DISTINCT t FROM a WHERE k = 3) d) s');
SELECT how('SELECT l.v, s.c FROM l, (SELECT count(*) AS c FROM (SELECT DISTINCT t FROM a WHERE k = NULL) d) s');
SELECT how('SELECT l.v, (SELECT count(*) FROM (SELECT n FROM a WHERE k = 3 UNION SELECT v FROM b WHERE k = 3) u) FROM l');
SELECT how('SELECT l.v, (SELECT count(*) FROM (SELECT n FROM a WHERE k = 3 UNION SELECT v FROM b WHERE k = 5) u) FROM l');
SELECT how('SELECT l.v, s.n FROM l, (SELECT n, count(*) OVER () FROM a WHERE k = 3 ORDER BY t FETCH FIRST 1 ROW WITH TIES) s');
SELECT how('SELECT l.v, s.c FROM l, (SELECT count(*) AS c, count(*) OVER () + random() * 0 FROM a WHERE k = 3) s');
SELECT how('SELECT s.i, count(*) FROM (SELECT n, ntile(2) OVER (ORDER BY n) AS i FROM a WHERE k = 3) s, l GROUP BY s.i');
SELECT how('SELECT b.v, s.i FROM b LEFT JOIN (SELECT n, rank() OVER (ORDER BY n) AS i FROM a WHERE k = 3) s ON s.n = b.v');
SELECT how('SELECT b.v, s.i FROM (SELECT n, rank() OVER (ORDER BY n) AS i FROM a WHERE k = 3) s LEFT JOIN b ON s.n = b.v');
SELECT how('WITH RECURSIVE q AS (SELECT n, 1 AS d FROM a WHERE k = 3 AND n = 3 UNION ALL SELECT a.n, d + 1 FROM a JOIN q ON a.n = q.n + 11 WHERE a.k = 3) SELECT l.v, q.n, (SELECT max(d) FROM q) FROM l JOIN q ON q.d = l.id');
SELECT how('WITH RECURSIVE q AS (SELECT n, 1 AS d FROM a WHERE k = 3 AND n = 3 UNION ALL SELECT a.n, d + 1 FROM a JOIN q ON a.n = q.n + 1 WHERE a.k = 4) SELECT l.v, q.n FROM l JOIN q ON q.d = l.id');
WITH x AS (SELECT n, count(*) OVER () FROM a WHERE k = 3 ORDER BY n DESC) SELECT x.n FROM x LIMIT 2;
PREPARE pinned(int) AS SELECT l.v, s.c, s.m FROM l CROSS JOIN (SELECT count(*) AS c, max(i) AS m FROM (SELECT rank() OVER (ORDER BY n) AS i FROM a WHERE k = $1) d) s WHERE l.id < 2 ORDER BY 1;
SET plan_cache_mode = force_generic_plan;
EXECUTE pinned(3);
EXECUTE pinned(NULL);
RESET plan_cache_mode;

-- the order of a subquery's rows, where nothing sorts them again
CREATE VIEW ordered AS SELECT k, n FROM a WHERE n < 30 ORDER BY n DESC;
SELECT * FROM (SELECT a.k, n, v FROM a JOIN b USING (k) ORDER BY n DESC, v) x LIMIT 3;
SELECT n FROM ordered LIMIT 3;
SELECT n FROM (SELECT * FROM ordered) x WHERE k > 2 LIMIT 3;
WITH x AS (SELECT k, n FROM a ORDER BY n) SELECT n FROM x LIMIT 3;
SELECT k, array_agg(n) FROM ordered WHERE k < 2 GROUP BY k ORDER BY k;
SELECT array_agg(n) FROM (SELECT n FROM ordered WHERE k < 2) x;

-- same-named columns, no columns, and pruning inside and around
SELECT how('SELECT * FROM a JOIN b ON a.k = b.k JOIN c ON c.k = a.k');
SELECT how('SELECT FROM a JOIN b USING (k)');
EXPLAIN (COSTS OFF) SELECT a.n FROM a JOIN b USING (k) WHERE b.k IN (3, 4) AND a.n > 3;
EXPLAIN (COSTS OFF) SELECT * FROM (SELECT k, count(*) FROM a GROUP BY k) q, l WHERE q.k = l.id AND l.id = 4;
EXPLAIN (COSTS OFF) SELECT k FROM a WHERE k = 3 UNION SELECT k FROM b WHERE k = 4;

-- a plan is made again when a table stops being what it was
PREPARE joined AS SELECT count(*) FROM a JOIN b USING (k);
EXECUTE joined;
SELECT tessera.undistribute_table('b');
EXECUTE joined;
SELECT tessera.create_distributed_table('b', 'v');
EXECUTE joined;

DROP SCHEMA locus CASCADE;
DROP SCHEMA locus_local CASCADE;
