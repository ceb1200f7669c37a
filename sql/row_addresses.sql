-- ctid: no two rows of a distributed table have the same, so it tells rows apart,
-- and names one, as in PostgreSQL; and the other system columns
CREATE SCHEMA row_addresses;
SET search_path = row_addresses;
CREATE FUNCTION fill(wanted text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('TRUNCATE %I', wanted);
	EXECUTE format('INSERT INTO %I SELECT k, k %% 7, k %% 3 FROM generate_series(1, 60) k, generate_series(1, 2)', wanted);
END $$;
CREATE TABLE few (k int, x int, y int);
CREATE TABLE many (k int, x int, y int);
CREATE TABLE local (k int, x int, y int);
SELECT tessera.create_distributed_table('few', 'k', shard_count => 4);
SELECT tessera.create_distributed_table('many', 'k', shard_count => 70);
SELECT fill('few'), fill('many'), fill('local');

-- rows of different shards are never taken for each other
SELECT count(*), count(ctid), count(DISTINCT ctid), count(DISTINCT ctid::text) FROM few;
SELECT count(*), count(ctid), count(DISTINCT ctid), count(DISTINCT ctid::text) FROM many;
SELECT count(*) FROM (SELECT DISTINCT ctid FROM many) rows;
SELECT count(*), max(rows.count) FROM (SELECT ctid, count(*) FROM few GROUP BY ctid) rows;
SELECT count(*) FROM many a JOIN many b ON a.ctid = b.ctid WHERE a = b;
SELECT count(*) FROM few a JOIN few b ON a.ctid = b.ctid AND a.k = b.k;
SELECT count(*) FROM few a, few b WHERE a.ctid < b.ctid;
SELECT count(*) FROM few a WHERE EXISTS (SELECT FROM few b WHERE b.ctid > a.ctid);
SELECT count(*) FROM few a WHERE ctid NOT IN (SELECT ctid FROM few b WHERE x < 5);
SELECT count(*), count(DISTINCT ctid) FROM (SELECT ctid FROM few UNION SELECT ctid FROM few) rows;
SELECT count(*) FROM (SELECT ctid FROM few EXCEPT SELECT ctid FROM few WHERE x = 1) rows;
SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY ctid) n FROM few) rows WHERE n > 1;
SELECT min(ctid) = (SELECT ctid FROM few ORDER BY ctid LIMIT 1) AS least, max(ctid) = (SELECT ctid FROM few ORDER BY ctid DESC LIMIT 1) AS greatest FROM few;

-- a ctid that was read names that row, and the other shards are not asked
CREATE FUNCTION shards_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query
	LOOP
		IF line LIKE '%Shards:%' THEN
			RETURN trim(line);
		END IF;
	END LOOP;
END $$;
SELECT ctid AS one FROM many WHERE k = 9 LIMIT 1 \gset
SELECT k FROM many WHERE ctid = :'one';
SELECT k FROM many WHERE ctid = :'one' AND k = 9;
SELECT k FROM many WHERE ctid = :'one' AND k = 10;
SELECT shards_of(format('SELECT k FROM many WHERE ctid = %L', :'one'));
SELECT shards_of('SELECT k FROM many WHERE ctid = ANY (ARRAY(SELECT ctid FROM many WHERE k = 9))');
SELECT count(*) FROM many WHERE ctid IN (:'one', NULL, '(0,0)', '(4294967295,65535)');
SELECT count(*) FROM many WHERE ctid = NULL;
SELECT count(*) FROM many WHERE ctid = ANY (NULL::tid[]);
SELECT count(*) FROM many WHERE ctid = ANY ('{}');
SELECT count(*) FROM many WHERE ctid <> :'one';
SELECT count(*) FROM many WHERE ctid = :'one' OR x = 1;
PREPARE named(tid, tid[]) AS SELECT k FROM many WHERE ctid = $1 AND ctid = ANY ($2);
SET plan_cache_mode = force_generic_plan;
EXECUTE named(:'one', ARRAY[:'one']::tid[]);
EXECUTE named(:'one', '{"(0,1)"}');
EXECUTE named(NULL, NULL);
RESET plan_cache_mode;
-- for each row of another query: others each time
SELECT count(*), count(DISTINCT a.ctid) FROM (SELECT ctid AS c FROM many WHERE k < 5) rows CROSS JOIN LATERAL (SELECT ctid FROM many WHERE ctid = rows.c LIMIT 1) a;
SELECT (SELECT k FROM many m WHERE m.ctid = rows.c) FROM (SELECT ctid AS c FROM many WHERE k IN (3, 7, 7)) rows ORDER BY 1;
DO $$
DECLARE
	r record;
	found int := 0;
BEGIN
	FOR r IN SELECT ctid, many FROM many LOOP
		IF EXISTS (SELECT FROM many WHERE ctid = r.ctid AND many = r.many) THEN
			found := found + 1;
		END IF;
	END LOOP;
	RAISE NOTICE '% rows found by ctid', found;
END $$;

-- what is written says where it went
INSERT INTO few VALUES (1000, 1, 1) RETURNING ctid AS one \gset
SELECT k FROM few WHERE ctid = :'one';
UPDATE few SET x = 2 WHERE k = 1000 RETURNING ctid = :'one' AS old, ctid AS one \gset
SELECT :'old' AS same, k, x FROM few WHERE ctid = :'one';
UPDATE few SET x = 3 WHERE ctid = :'one' AND k = 1000 RETURNING x, ctid AS one \gset
DELETE FROM few WHERE ctid = :'one' RETURNING k, x, ctid = :'one' AS same;
WITH new AS (INSERT INTO few VALUES (1001, 1, 1), (1002, 1, 1), (1003, 1, 1) RETURNING ctid) SELECT count(DISTINCT ctid) FROM new;
DELETE FROM few WHERE k > 1000;

-- some of the rows at a time
CREATE FUNCTION left_over(query text, wanted text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	changed int;
	result text;
BEGIN
	PERFORM fill(wanted);
	EXECUTE query;
	GET DIAGNOSTICS changed = ROW_COUNT;
	EXECUTE format('SELECT %s || '' changed, '' || count(*) || '' rows, sum '' || sum(x) FROM %I', changed, wanted) INTO result;
	RETURN result;
END $$;
SELECT wanted, left_over(format('DELETE FROM %s WHERE ctid IN (SELECT ctid FROM %1$s WHERE x = 3 LIMIT 5)', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %1$s WHERE x = 3 LIMIT 5))', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('WITH chosen AS (SELECT ctid FROM %s WHERE x = 3 LIMIT 5 FOR UPDATE SKIP LOCKED) DELETE FROM %1$s USING chosen WHERE %1$s.ctid = chosen.ctid', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('DELETE FROM %s USING (SELECT ctid AS c FROM %1$s WHERE x = 3 LIMIT 5) chosen WHERE chosen.c = %1$s.ctid', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('UPDATE %s SET x = 100 WHERE ctid IN (SELECT ctid FROM %1$s WHERE x = 3 ORDER BY k LIMIT 5)', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('UPDATE %s SET x = chosen.x + 100 FROM (SELECT ctid, x FROM %1$s WHERE x = 3 ORDER BY k LIMIT 5) chosen WHERE chosen.ctid = %1$s.ctid', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('UPDATE %s SET k = k + 100 WHERE ctid IN (SELECT ctid FROM %1$s WHERE x = 3 ORDER BY k LIMIT 5)', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('MERGE INTO %s t USING (SELECT ctid FROM %1$s WHERE x = 3 LIMIT 5) chosen ON t.ctid = chosen.ctid WHEN MATCHED THEN UPDATE SET x = 100', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;

-- all but one of those that are alike
SELECT wanted, left_over(format('DELETE FROM %s a USING %1$s b WHERE a.x = b.x AND a.y = b.y AND a.ctid < b.ctid', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('DELETE FROM %s a USING %1$s b WHERE a.k = b.k AND a.ctid < b.ctid', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('DELETE FROM %s WHERE ctid NOT IN (SELECT min(ctid) FROM %1$s GROUP BY k)', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('DELETE FROM %s WHERE ctid IN (SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY x, y) AS n FROM %1$s) rows WHERE n > 1)', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('DELETE FROM %s a WHERE EXISTS (SELECT FROM %1$s b WHERE a = b AND a.ctid > b.ctid)', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;
SELECT wanted, left_over(format('DELETE FROM %s a WHERE a.ctid <> (SELECT min(b.ctid) FROM %1$s b WHERE a.x = b.x)', wanted), wanted) FROM unnest('{few,many,local}'::text[]) wanted;

-- only the rows that are asked for are read and locked
SELECT fill('few');
BEGIN;
DO $$
DECLARE
	line text;
BEGIN
	FOR line IN EXPLAIN (VERBOSE, COSTS OFF) WITH chosen AS (SELECT ctid FROM few LIMIT 2) DELETE FROM few USING chosen WHERE few.ctid = chosen.ctid LOOP
		IF line LIKE '%FOR UPDATE%' THEN
			RAISE NOTICE '%', regexp_replace(trim(line), '_\d+', '_N');
		END IF;
	END LOOP;
END $$;
ROLLBACK;

-- through views, and rows of several relations
CREATE VIEW seen AS SELECT k, x, ctid AS place FROM few;
CREATE TABLE noted (place tid PRIMARY KEY);
INSERT INTO noted SELECT place FROM seen WHERE k % 10 = 0;
SELECT count(*) FROM noted JOIN seen USING (place);
SELECT count(*) FROM few WHERE ctid IN (SELECT place FROM noted);
SELECT count(*) FROM few FULL JOIN noted ON few.ctid = noted.place WHERE few.k IS NULL OR place IS NULL;
SELECT k, few FROM few JOIN noted ON few.ctid = noted.place AND x < 2 ORDER BY k FOR UPDATE;
BEGIN;
DELETE FROM few USING noted WHERE few.ctid = noted.place;
SELECT count(*) FROM few;
DELETE FROM noted USING few WHERE few.ctid = noted.place;
SELECT count(*) FROM noted;
ROLLBACK;

-- the other system columns are those of the row on its server
SELECT count(*) FROM few WHERE xmin::text::bigint > 0 AND xmax IS NOT NULL AND cmin IS NOT NULL AND cmax IS NOT NULL AND tableoid = 'few'::regclass;
SELECT k AS key, xmin AS version FROM few ORDER BY k LIMIT 1 \gset
UPDATE few SET y = 50 WHERE k = :key AND xmin = :'version' RETURNING y;
UPDATE few SET y = 51 WHERE k = :key AND xmin = :'version' RETURNING y;
UPDATE few SET y = 52 WHERE xmin <> :'version' AND y = 50 AND ctid IS NOT NULL RETURNING k = :key AS same, y;

-- a reference table's are those of this server's copy
CREATE TABLE ref (id int PRIMARY KEY, note text);
SELECT tessera.create_reference_table('ref');
INSERT INTO ref SELECT i, 'n' FROM generate_series(1, 5) i;
SELECT count(DISTINCT ref.ctid), count(*) FROM ref JOIN few ON k = id;
SELECT ref.ctid = (SELECT ctid FROM ref WHERE id = 3) AS same, ref.xmin = (SELECT xmin FROM ref WHERE id = 3) AS as_old FROM ref JOIN few ON k = id WHERE k = 3;
DELETE FROM few USING ref WHERE k = id AND ref.ctid IN (SELECT ctid FROM ref WHERE id < 3) RETURNING k;
UPDATE ref SET note = 'm' FROM few WHERE k = id AND few.ctid IN (SELECT ctid FROM few WHERE k = 4) RETURNING id, note;

SET client_min_messages = warning;
DROP SCHEMA row_addresses CASCADE;
