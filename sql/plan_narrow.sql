-- Changes whose rows are found with the help of what is not in the shards: the
-- rows that can join are asked for and locked, and no others.
CREATE SCHEMA plan_narrow;
SET search_path = plan_narrow;
CREATE TABLE wide (id int PRIMARY KEY, part int, note text, tags int[], n int NOT NULL DEFAULT 0);
CREATE INDEX ON wide (part);
SELECT tessera.create_distributed_table('wide', 'id', shard_count => 4);
CREATE TABLE other (k int PRIMARY KEY, id int, n int);
SELECT tessera.create_distributed_table('other', 'k', shard_count => 2);
INSERT INTO wide SELECT i, i % 200, 'note ' || i, ARRAY[i, -i] FROM generate_series(1, 2000) i;
INSERT INTO other SELECT i, i * 3, i FROM generate_series(1, 50) i;
-- a twin of the table, on which PostgreSQL does the same
CREATE TABLE twin AS SELECT * FROM wide;
ALTER TABLE twin ADD PRIMARY KEY (id);
CREATE TABLE few (id int, part int, n int);
INSERT INTO few VALUES (1, 1, 10), (2, 2, 20), (3, NULL, 30), (NULL, 3, 40), (9999, 999, 50), (2, 2, 21);
ANALYZE;

-- The statement over wide, then over its twin: what the scan that locked rows did,
-- what it received, and how many rows are others now.
CREATE FUNCTION change(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
	scan jsonb;
	differences bigint;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) ' || statement INTO plan;
	EXECUTE replace(statement, 'wide', 'twin');
	-- the first scan of the table is its target's
	scan := jsonb_path_query_first(plan, 'strict $.** ? (@."Custom Plan Provider" == "TesseraScan" && @.Tables[*] == "plan_narrow.wide")');
	SELECT count(*) INTO differences FROM (
		(SELECT * FROM wide EXCEPT SELECT * FROM twin) UNION ALL (SELECT * FROM twin EXCEPT SELECT * FROM wide)) d;
	RETURN concat_ws(', ', coalesce(scan ->> 'Join on Nodes', 'Fetched') || coalesce(' to ' || (scan ->> 'Shipped To'), ''),
		(scan ->> 'Rows Received') || ' rows of ' || (scan ->> 'Shards') || ' shards', differences || ' differences');
END $$;

-- by the key: shards that no value belongs to are not asked
SELECT change('UPDATE wide SET n = few.n FROM few WHERE few.id = wide.id AND few.n < 20');
SELECT change('UPDATE wide SET n = few.n, note = few.n || note FROM few WHERE few.id = wide.id AND few.n <> 21 AND wide.n >= 0');
SELECT change('DELETE FROM wide USING few WHERE wide.id = few.id AND few.n = 30');
-- by another column, by several, and by an expression: all shards
SELECT change('UPDATE wide SET n = wide.n + 1 FROM few WHERE few.part = wide.part AND few.n < 15');
SELECT change('DELETE FROM wide USING few WHERE few.part = wide.part AND wide.id % 2 = 0 AND wide.n < few.n - 9');
SELECT change('UPDATE wide SET n = 7 FROM few WHERE wide.id = few.id + 100');
SELECT change('UPDATE wide SET n = 8 FROM few WHERE abs(wide.id - 1000) = few.id');
-- VALUES: a few rows stand in the statement that each shard gets, many go to the shard of
-- each, unless one of their columns cannot be shipped
SELECT change(format('UPDATE wide SET n = v.n FROM (VALUES %s) v(id, n) WHERE v.id = wide.id',
	(SELECT string_agg(format('(%s, %s)', i * 7, i), ', ') FROM generate_series(100, 299) i)));
SELECT change(format('DELETE FROM wide USING (VALUES %s) v(id, n) WHERE v.id = wide.id AND wide.n < v.n',
	(SELECT string_agg(format('(%s, %s)', i * 3, i), ', ') FROM generate_series(100, 299) i)));
SELECT change(format('UPDATE wide SET tags = v.tags FROM (VALUES %s) v(id, tags) WHERE v.id = wide.id',
	(SELECT string_agg(format('(%s, ARRAY[%s])', i * 9, i), ', ') FROM generate_series(100, 150) i)));
SELECT change('UPDATE wide SET n = v.n FROM (VALUES (1901, 1), (1902, 2)) v(id, n) WHERE v.id = wide.id');
-- subqueries; LIMIT in them
SELECT change('DELETE FROM wide WHERE id IN (SELECT id FROM few WHERE n <> 21)');
SELECT change('UPDATE wide SET n = -1 WHERE part IN (SELECT part FROM few WHERE id > 5)');
SELECT change('UPDATE wide SET n = -2 WHERE EXISTS (SELECT FROM few WHERE few.part * 2 = wide.part AND few.n < wide.id)');
SELECT change('DELETE FROM wide WHERE id IN (SELECT id FROM wide w WHERE w.part = 7 ORDER BY w.id LIMIT 3)');
SELECT change('DELETE FROM wide USING (SELECT id FROM wide w WHERE w.part > 190 ORDER BY w.n, w.id LIMIT 5) w WHERE w.id = wide.id');
-- what no row of the small side says cannot be narrowed: NOT IN
SELECT change('UPDATE wide SET n = -3 WHERE id < 12 AND id NOT IN (SELECT id FROM few WHERE id IS NOT NULL)');
SELECT change('UPDATE wide SET n = -4 WHERE id < 12 AND NOT EXISTS (SELECT FROM few WHERE few.part = wide.id)');
-- outer joins in FROM, and a table of another group
SELECT change('UPDATE wide SET n = coalesce(o.n, 0) FROM few LEFT JOIN other o ON o.id = few.part WHERE few.part = wide.id');
SELECT change('UPDATE wide SET n = wide.n + other.n FROM other WHERE other.id = wide.id AND other.k < 20');
SELECT change('UPDATE wide SET n = -5 FROM other JOIN few ON few.part = other.k WHERE other.id = wide.id');
-- parts of WITH, and such that change another table
SELECT change('WITH f AS MATERIALIZED (SELECT id FROM few WHERE n > 10) UPDATE wide SET n = 11 FROM f WHERE wide.id = f.id + 200');
SELECT change('WITH f AS (UPDATE few SET n = n RETURNING *) UPDATE wide SET n = 12 FROM f WHERE wide.id = f.id + 300');
SELECT change('WITH f AS (SELECT * FROM few), u AS (UPDATE wide SET n = 13 FROM f WHERE wide.id = f.id + 400) SELECT 1');
SELECT change('WITH o AS (DELETE FROM other WHERE k = 50 AND n < 0 RETURNING id) DELETE FROM wide USING o WHERE o.id = wide.id');
-- two parts that change the table find their rows before either writes
SELECT change('WITH u AS (UPDATE wide SET n = 14 FROM few WHERE few.id + 500 = wide.id RETURNING wide.id) UPDATE wide SET n = 15 FROM u WHERE wide.id = u.id + 5');
-- MERGE of matched rows only
SELECT change('MERGE INTO wide USING (SELECT DISTINCT id FROM few) f ON f.id + 600 = wide.id WHEN MATCHED AND wide.n > 600 THEN DELETE WHEN MATCHED THEN UPDATE SET n = 16');
-- nothing joins: no shard is asked
SELECT change('DELETE FROM wide USING few WHERE few.id = wide.id AND few.n > 1000');
-- a new key
SELECT change('UPDATE wide SET id = wide.id + 10000 FROM few WHERE few.id + 700 = wide.id AND few.n <> 21');
-- many values, in several loads
CREATE TABLE many AS SELECT i AS id, i % 3 AS part, repeat('x', 100) AS pad FROM generate_series(1, 1500) i;
ANALYZE many;
SET tessera.ship_limit = '64kB';
SELECT change('UPDATE wide SET n = 17 FROM many WHERE many.id * 3 = wide.id AND many.pad <> wide.note');
SELECT change('UPDATE wide SET n = 18 WHERE EXISTS (SELECT FROM many WHERE many.id = wide.part + 1350 AND many.pad > wide.note)');
SET tessera.ship_limit = 0;
SELECT change('UPDATE wide SET n = 19 FROM few WHERE few.id + 800 = wide.id');
RESET tessera.ship_limit;

-- RETURNING has columns of both sides
WITH u AS (UPDATE wide SET n = 20 FROM few WHERE few.id + 900 = wide.id AND few.n <> 21 RETURNING wide.id, wide.tags, few.n, wide.n)
SELECT * FROM u ORDER BY id;
WITH d AS (DELETE FROM wide USING few WHERE few.id + 900 = wide.id AND few.n <> 21 RETURNING wide, few.id)
SELECT * FROM d ORDER BY id;
-- volatile functions of the small side are evaluated once for each of its rows
CREATE SEQUENCE calls;
UPDATE wide SET n = f.c FROM (SELECT id, nextval('calls') AS c FROM few WHERE id < 3 AND n <> 21 OFFSET 0) f WHERE wide.id = f.id + 1000;
SELECT last_value FROM calls;
SELECT id, n FROM wide WHERE id IN (1001, 1002) ORDER BY id;
UPDATE twin SET n = wide.n FROM wide WHERE wide.id = twin.id AND twin.id IN (1001, 1002);
DELETE FROM twin WHERE id IN (901, 902, 903);
-- a function that may write has its say after the rows were found, or all rows are fetched
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 2; END';
SELECT change('UPDATE wide SET n = twice(few.n) FROM few WHERE few.id + 1100 = wide.id AND few.n <> 21');
SELECT change('UPDATE wide SET n = 21 FROM few WHERE twice(few.id) + 1200 = wide.id');
-- rows that are read to be locked
SELECT wide.id, few.n FROM wide JOIN few ON few.id = wide.id - 1300 ORDER BY few.n FOR UPDATE OF wide;
SELECT change('UPDATE wide SET n = 22 WHERE id IN (SELECT w.id FROM wide w JOIN few ON few.id = w.id - 1300 FOR UPDATE OF w)');
-- prepared, with other values each time
PREPARE change_some(int) AS
	WITH u AS (UPDATE wide SET n = 23 FROM (SELECT id FROM few WHERE n < $1) f WHERE f.id + 1400 = wide.id RETURNING wide.id)
	SELECT * FROM u ORDER BY id;
SET plan_cache_mode = force_generic_plan;
EXECUTE change_some(11);
EXECUTE change_some(20);
EXECUTE change_some(31);
RESET plan_cache_mode;
-- a view
CREATE VIEW some_wide AS SELECT id, n FROM wide WHERE part < 150 WITH CHECK OPTION;
UPDATE some_wide SET n = 24 FROM few WHERE few.id + 1500 = some_wide.id AND few.n < 20 RETURNING some_wide.*;

SET client_min_messages = warning;
DROP SCHEMA plan_narrow CASCADE;
