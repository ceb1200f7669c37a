-- Changes of distributed, reference and local tables: how they are planned, and
-- that they do what they do to local tables of the same rows.
CREATE SCHEMA plan_change;
CREATE SCHEMA plan_change_local;
SET search_path = plan_change;
SET client_min_messages = warning;

-- rows of a query in each schema
CREATE FUNCTION rows_of(statement text, schema text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	line record;
	lines text[];
	n int;
BEGIN
	PERFORM set_config('search_path', schema, true);
	IF statement ~* 'returning|^select' THEN
		FOR line IN EXECUTE statement LOOP
			lines := lines || line::text;
		END LOOP;
	ELSE
		EXECUTE statement;
		GET DIAGNOSTICS n = ROW_COUNT;
		lines := array_fill('row'::text, ARRAY[n]);
	END IF;
	PERFORM set_config('search_path', 'plan_change', true);
	RETURN ARRAY(SELECT unnest(lines) ORDER BY 1);
END $$;

-- does(statement): sent (to how many shards), or by row; and whether it did the same
CREATE FUNCTION does(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	way text;
	here text[];
	same boolean;
	name text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		way := coalesce(way, CASE WHEN line ~ 'TesseraModify' THEN 'by row'
								  WHEN line ~ 'TesseraRepeat' THEN 'repeated'
								  WHEN line ~ 'TesseraScan' THEN 'sent' ELSE 'local' END);
		IF way = 'sent' AND line ~ 'Shards: ' THEN
			way := 'sent to ' || substring(line FROM 'Shards: (\d+)');
		END IF;
	END LOOP;
	here := rows_of(statement, 'plan_change');
	same := here = rows_of(statement, 'plan_change_local');
	FOREACH name IN ARRAY ARRAY['a', 'b', 'g', 'r', 'loc'] LOOP
		same := same AND rows_of(format('SELECT %I::text FROM %1$I', name), 'plan_change') =
						 rows_of(format('SELECT %I::text FROM %1$I', name), 'plan_change_local');
	END LOOP;
	RETURN format('%s, %s rows, %s', way, cardinality(here), CASE WHEN same THEN 'same' ELSE 'DIFFERENT' END);
END $$;

CREATE TYPE public.plan_change_place AS (street text, no int);
CREATE DOMAIN public.plan_change_positive AS int CHECK (value > 0);
SET tessera.propagate_objects = off;
CREATE FUNCTION public.plan_change_plus(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + 1; END';
RESET tessera.propagate_objects;
CREATE TABLE a (k int, n int, t text, p public.plan_change_positive, place public.plan_change_place, list int[], at timestamptz, PRIMARY KEY (k, n));
CREATE TABLE b (id serial, k int, v numeric DEFAULT 5, note text);
CREATE TABLE g (name text, no int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (q * 2) STORED, q int DEFAULT 7);
CREATE TABLE r (id int PRIMARY KEY, title text, w int);
CREATE TABLE loc (id int, v text);
CREATE VIEW va AS SELECT k, n, t FROM a WHERE n > 1;
CREATE VIEW vb WITH (security_barrier) AS SELECT k, n, t FROM a WHERE n > 1 AND n < 40;
CREATE VIEW vc AS SELECT k, n, t FROM a WHERE n > 1 WITH CHECK OPTION;
CREATE VIEW vd AS SELECT * FROM vc WHERE t <> 'not' AND k <> (SELECT 1) WITH CASCADED CHECK OPTION;
CREATE FUNCTION fa(int) RETURNS SETOF a STABLE LANGUAGE sql AS 'SELECT * FROM plan_change.a WHERE k = $1';
SET search_path = plan_change_local;
CREATE TABLE a (LIKE plan_change.a INCLUDING ALL);
CREATE TABLE b (id serial, k int, v numeric DEFAULT 5, note text);
CREATE TABLE g (LIKE plan_change.g INCLUDING ALL);
CREATE TABLE r (LIKE plan_change.r INCLUDING ALL);
CREATE TABLE loc (LIKE plan_change.loc INCLUDING ALL);
CREATE VIEW va AS SELECT k, n, t FROM a WHERE n > 1;
CREATE VIEW vb WITH (security_barrier) AS SELECT k, n, t FROM a WHERE n > 1 AND n < 40;
CREATE VIEW vc AS SELECT k, n, t FROM a WHERE n > 1 WITH CHECK OPTION;
CREATE VIEW vd AS SELECT * FROM vc WHERE t <> 'not' AND k <> (SELECT 1) WITH CASCADED CHECK OPTION;
SET search_path = plan_change;
SELECT tessera.create_distributed_table('a', 'k', colocate_with => 'none', shard_count => 16);
SELECT tessera.create_distributed_table('b', 'k', colocate_with => 'a');
SELECT tessera.create_distributed_table('g', 'name', colocate_with => 'none', shard_count => 4);
SELECT tessera.create_reference_table('r');

-- INSERT: one row, many, of a query; defaults, serial, identity and generated columns
SELECT does($$INSERT INTO a SELECT i % 10, i, 't' || i, i + 1, ROW('st' || i, i)::public.plan_change_place, ARRAY[i, i + 1], '2020-06-01' FROM generate_series(0, 49) i$$);
SELECT does($$INSERT INTO b (k, note) SELECT i % 12, 'b' || i FROM generate_series(1, 40) i$$);
SELECT does($$INSERT INTO b (k, v) VALUES (100, DEFAULT), (101, 6) RETURNING id, k, v$$);
SELECT does($$INSERT INTO b DEFAULT VALUES RETURNING id, k, v$$);
SELECT does($$INSERT INTO b (k) VALUES ('7') RETURNING b, b.*$$);
SELECT does($$INSERT INTO b (k) SELECT generate_series(1, 3) RETURNING id$$);
SELECT does($$INSERT INTO g (name) VALUES ('new') RETURNING *$$);
SELECT does($$INSERT INTO g (name, q) VALUES ('new2', 9), ('new3', DEFAULT) RETURNING *$$);
SELECT does($$INSERT INTO g (name, no) OVERRIDING SYSTEM VALUE VALUES ('ov', 500)$$);
SELECT does($$INSERT INTO g (name, no) OVERRIDING USER VALUE VALUES ('ov', 500) RETURNING no$$);
SELECT does($$INSERT INTO a (k, n, place.street, place.no, list[1], list[2]) VALUES (402, 1, 'st', 5, 6, 7) RETURNING *$$);
SELECT does($$INSERT INTO a (k, n, t) SELECT k + 200, n, t FROM a WHERE k = 3$$);
SELECT does($$INSERT INTO a (k, n, t) SELECT k + 300, n, t FROM a WHERE n < 10 RETURNING k + n$$);
SELECT does($$WITH q AS (SELECT 600 AS k) INSERT INTO a (k, n) SELECT k, (SELECT count(*) FROM b) FROM q$$);
SELECT does($$INSERT INTO va VALUES (500, 5, 'view') RETURNING *$$);
SELECT does($$INSERT INTO r SELECT i, 'title' || i, i FROM generate_series(0, 6) i RETURNING *$$);
SELECT does($$INSERT INTO loc SELECT k, t FROM a WHERE n < 9 RETURNING *$$);
-- computed here, once a row
INSERT INTO a (k, n, at, t) VALUES (700, 1, now(), random()), (701, 1, now(), random());
SELECT count(DISTINCT at) AS times, count(DISTINCT t) AS numbers FROM a WHERE k IN (700, 701);
DELETE FROM a WHERE k IN (700, 701);
-- values that are wrong leave nothing
\set VERBOSITY sqlstate
INSERT INTO a (k, n, t) SELECT 8, 80 + i, (1 / (i - 2))::text FROM generate_series(1, 3) i;
INSERT INTO a (k, n) VALUES (NULL, 1);
INSERT INTO a (k, n, p) VALUES (1, 80, -1);
INSERT INTO a (k, n) VALUES (8, 90), (9, 90), (8, 8);
INSERT INTO g (name, no) VALUES ('always', 1);
INSERT INTO g (name, twice) VALUES ('always', 1);
\set VERBOSITY default
SELECT count(*) FROM a WHERE n >= 80;

-- ON CONFLICT
SELECT does($$INSERT INTO a (k, n, t) VALUES (1, 1, 'c') ON CONFLICT DO NOTHING RETURNING k$$);
SELECT does($$INSERT INTO a (k, n, t) VALUES (1, 1, 'c'), (777, 7, 'd') ON CONFLICT (k, n) DO UPDATE SET t = a.t || excluded.n, at = excluded.at RETURNING *$$);
SELECT does($$INSERT INTO a AS z (k, n, t) VALUES (1, 1, 'c') ON CONFLICT ON CONSTRAINT a_pkey DO UPDATE SET k = excluded.k, t = z.t || 'z' WHERE z.t LIKE 't%' RETURNING t$$);
SELECT does($$INSERT INTO r VALUES (1, 'x', 1), (9, 'y', 1) ON CONFLICT (id) DO UPDATE SET title = r.title || excluded.title RETURNING *$$);
-- RETURNING is computed here: it may contain what nodes do not know
SELECT does($$INSERT INTO a (k, n) VALUES (2, 800) RETURNING public.plan_change_plus(n), tableoid = tableoid, a$$);
SELECT does($$INSERT INTO a (k, n) VALUES (1, 900), (2, 901) RETURNING (SELECT count(*) FROM loc), (SELECT count(*) FROM b WHERE b.k = a.k), k$$);
SELECT does($$DELETE FROM a WHERE n IN (900, 901)$$);

-- UPDATE: sent where it can be evaluated there
SELECT does($$UPDATE a SET t = t || '!' WHERE k = 3 RETURNING k, n, t$$);
SELECT does($$UPDATE a SET p = p + 1, list[2] = 77 WHERE n % 9 = 0 RETURNING k, n, p, list$$);
SELECT does($$UPDATE a SET (t, p) = ('multi', 5) WHERE k IN (1, 2) RETURNING *$$);
SELECT does($$UPDATE a SET t = upper(t) WHERE at < now() AND n > 40$$);
SELECT does($$UPDATE a SET k = k, t = 'same key' WHERE n = 2 RETURNING *$$);
-- the key set to what WHERE says it is
SELECT does($$UPDATE a SET k = 4, t = 'set to itself' WHERE k = 4 RETURNING *$$);
SELECT does($$UPDATE a SET k = 4, t = 'int8' || n WHERE 4::bigint = k AND n > 0 RETURNING *$$);
SELECT does($$UPDATE a SET k = 4, t = public.plan_change_plus(n)::text WHERE k = 4 RETURNING *$$);
-- and to others: rows move
SELECT does($$UPDATE a SET k = k + 7000 WHERE n > 44 RETURNING k, n, t, place, list$$);
SELECT does($$UPDATE a SET k = k - 7000 WHERE k >= 7000 RETURNING a$$);
SELECT does($$UPDATE g SET name = upper(name), q = 1 WHERE name LIKE 'new%' RETURNING *$$);
SELECT does($$UPDATE g SET name = NULL WHERE q = 1 RETURNING *$$);
SELECT does($$UPDATE g SET name = 'back', q = DEFAULT WHERE name IS NULL RETURNING *$$);
SELECT does($$UPDATE g SET name = 'a', q = 1 WHERE name = 'a' RETURNING name, q$$);
SELECT does($$UPDATE va SET t = 'view' WHERE k = 7 RETURNING *$$);
SELECT does($$UPDATE va SET t = 'view' WHERE n > 45$$);
SELECT does($$UPDATE vb SET t = 'barrier' WHERE n > 38 AND public.plan_change_plus(n) > 1 RETURNING *$$);
SELECT does($$DELETE FROM vb WHERE k = 7 AND n > 45$$);
-- check options are checked on the rows that were written
SELECT does($$INSERT INTO vc VALUES (900, 5, 'checked'), (901, 6, 'checked') RETURNING *$$);
SELECT does($$INSERT INTO vd VALUES (902, 5, 'checked')$$);
SELECT does($$UPDATE vc SET t = 'checked', n = n + 1 WHERE n > 47$$);
SELECT does($$UPDATE vd SET t = t || '!' WHERE n BETWEEN 5 AND 8 RETURNING *, (SELECT count(*) FROM loc)$$);
SELECT does($$UPDATE vd SET k = k + 10 WHERE k = 902$$);
SELECT does($$DELETE FROM vd WHERE k >= 900$$);
SELECT does($$UPDATE a SET t = t WHERE false$$);
SELECT does($$UPDATE b SET v = DEFAULT WHERE id = 3$$);
SELECT does($$UPDATE r SET title = title || '!', w = length(current_user) WHERE id = 2 RETURNING *$$);
-- nothing but a generated column
SELECT does($$UPDATE g SET twice = DEFAULT WHERE name = 'a' RETURNING name, twice$$);
SELECT does($$UPDATE g SET twice = DEFAULT WHERE q > 0 AND random() >= 0$$);
-- nested assignments
SELECT does($$UPDATE a SET place.no = 5, place.street = 'q' WHERE k = 6 RETURNING place$$);
SELECT does($$UPDATE a SET list[1] = 5, list[3] = 6 WHERE n < 5 RETURNING list$$);
-- and by row where only the coordinator can compute it
SELECT does($$UPDATE a SET t = public.plan_change_plus(n)::text WHERE k = 1 RETURNING *$$);
SELECT does($$UPDATE a SET t = v FROM loc WHERE loc.id = a.k AND loc.id < 2 RETURNING a.n, a.t$$);
SELECT does($$UPDATE a SET t = note FROM b WHERE b.k = a.k AND b.id < 5$$);
SELECT does($$UPDATE a SET t = (SELECT count(*)::text FROM b WHERE b.k = a.k) WHERE n < 20 RETURNING n, t$$);
SELECT does($$UPDATE a x SET t = y.t FROM a y WHERE y.k = x.k AND y.n = x.n + 10 AND x.n < 3 RETURNING x.*$$);
SELECT does($$UPDATE a SET (p, t) = (SELECT 9, v FROM loc WHERE id = a.k ORDER BY v LIMIT 1) WHERE n BETWEEN 5 AND 7 RETURNING n, p, t$$);
SELECT does($$WITH q AS (SELECT max(n) AS m FROM a) UPDATE a SET t = 'cte' FROM q WHERE n = q.m RETURNING n$$);
SELECT does($$UPDATE a SET t = q.n::text FROM LATERAL (SELECT count(*) AS n FROM b) q WHERE k = 8$$);
-- RETURNING with other tables, subqueries, rows before the change
SELECT does($$UPDATE a SET t = note FROM b WHERE b.k = a.k AND b.id = 5 RETURNING a.n, b.note, b, upper(b.note) || a.t, a$$);
SELECT does($$UPDATE a SET t = (SELECT count(*)::text FROM b) WHERE n BETWEEN 5 AND 20 RETURNING n, (SELECT max(note) FROM b WHERE b.k = a.k), (SELECT count(*) FROM a z WHERE z.t IS NULL)$$);
SELECT does($$UPDATE a x SET t = y.t || '+' FROM a y WHERE y.k = x.k AND y.n = x.n + 10 AND x.n < 30 RETURNING x.n, x.t, y.n, y.t$$);
SELECT does($$UPDATE a SET t = q.v FROM (SELECT id, v || 'q' AS v FROM loc OFFSET 0) q LEFT JOIN b ON b.id = q.id WHERE q.id = a.n RETURNING a.n, q, b.note, coalesce(b.k, -1)$$);
SELECT does($$DELETE FROM a USING loc, b WHERE loc.id = a.k AND b.id = a.n AND b.id IN (33, 34) RETURNING loc.v, a.*, b.id, EXISTS (SELECT FROM loc l WHERE l.id = a.n)$$);
-- with the key fixed even this is sent whole
SELECT does($$UPDATE a SET t = (SELECT max(note) FROM b WHERE b.k = a.k) WHERE k = 9 RETURNING *$$);
SELECT does($$UPDATE a SET t = note FROM b WHERE b.k = a.k AND a.k = 8 AND b.id = 8 RETURNING a.n, b.id$$);
-- a row that joins several times is changed once
UPDATE a SET p = a.p + 1 FROM generate_series(1, 3) WHERE a.n = 12;
SELECT p FROM a WHERE n = 12;
UPDATE plan_change_local.a SET p = p + 1 WHERE n = 12;

-- DELETE
SELECT does($$DELETE FROM a WHERE k = 5 AND n = 5 RETURNING *$$);
SELECT does($$DELETE FROM b WHERE k IS NULL RETURNING id$$);
SELECT does($$DELETE FROM a USING b WHERE b.k = a.k AND b.id = 9 AND a.n > 30 RETURNING a.n$$);
SELECT does($$DELETE FROM a WHERE n IN (SELECT max(n) FROM a) RETURNING n$$);
SELECT does($$DELETE FROM b WHERE id IN (SELECT id FROM loc) RETURNING id$$);
SELECT does($$DELETE FROM va WHERE n = 46$$);
SELECT does($$DELETE FROM r WHERE id > 4 RETURNING id$$);
-- of a reference table, that reads others: by a plan of core's, and repeated
SELECT does($$UPDATE r SET title = v FROM loc WHERE loc.id = r.id RETURNING r.*, loc.v$$);
SELECT does($$UPDATE r SET title = a.t, w = a.n FROM a WHERE a.k = r.id AND a.n = r.id RETURNING r, a$$);
SELECT does($$UPDATE r SET id = id + 100 RETURNING id$$);
SELECT does($$UPDATE r SET id = id - 100, w = clock_timestamp()::date - '2000-01-01'::date RETURNING w$$);
SELECT does($$UPDATE r SET title = 'x' WHERE ctid IN (SELECT ctid FROM r WHERE id = 3)$$);
SELECT does($$DELETE FROM r WHERE EXISTS (SELECT FROM a WHERE k = r.id) AND id > 2 RETURNING id$$);

-- local tables are changed by what distributed ones say
SELECT does($$UPDATE loc SET v = a.t FROM a WHERE a.k = loc.id AND a.n = loc.id RETURNING loc.*$$);
SELECT does($$UPDATE loc SET v = 'ex' WHERE EXISTS (SELECT FROM a WHERE a.k = loc.id AND n > 40) RETURNING *$$);
SELECT does($$DELETE FROM loc USING a WHERE a.k = loc.id AND a.n = 3 RETURNING loc.*, a$$);
SELECT does($$MERGE INTO loc USING a ON loc.id = a.k AND a.n < 10 WHEN MATCHED THEN UPDATE SET v = 'm' || a.n WHEN NOT MATCHED AND a.n > 40 THEN INSERT VALUES (a.k, a.t)$$);

-- prepared: the shard is found at execution, and stable functions are evaluated again
SET plan_cache_mode = force_generic_plan;
PREPARE one(int, text) AS UPDATE a SET t = $2 WHERE k = $1 AND n < 10 RETURNING k, n, t;
EXECUTE one(1, 'x'); EXECUTE one(2, 'y'); EXECUTE one(NULL, 'z');
PREPARE many(int) AS UPDATE a SET t = 'p' || $1 WHERE n = $1 RETURNING k, n, t;
EXECUTE many(11); EXECUTE many(NULL);
PREPARE put(int, int) AS INSERT INTO a (k, n, t) VALUES ($1, $2, 'p'), ($1 + 1, $2, 'q') ON CONFLICT (k, n) DO UPDATE SET t = excluded.t || $2 RETURNING k, n, t;
EXECUTE put(1000, 1); EXECUTE put(1001, 1);
PREPARE del(int) AS DELETE FROM a WHERE k > $1 RETURNING k;
EXECUTE del(1001); EXECUTE del(1000); EXECUTE del(999);
RESET plan_cache_mode;

-- locks of rows: in the scans of distributed tables, here for others
SELECT n FROM a WHERE n < 4 ORDER BY n FOR UPDATE;
SELECT n FROM va WHERE n < 4 ORDER BY n FOR NO KEY UPDATE SKIP LOCKED;
SELECT loc.id, a.n FROM loc JOIN a ON a.k = loc.id WHERE a.n < 3 ORDER BY loc.id, n FOR UPDATE OF loc;
SELECT count(*) FROM (SELECT loc.id, a FROM loc LEFT JOIN a ON a.k = loc.id FOR UPDATE OF loc) q;

-- a table that once had children
CREATE TABLE parent (k int, t text);
CREATE TABLE child () INHERITS (parent);
DROP TABLE child;
SELECT tessera.create_distributed_table('parent', 'k', colocate_with => 'none', shard_count => 2);
INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c');
UPDATE parent SET t = v FROM loc WHERE k = id AND k < 3;
DELETE FROM parent USING loc WHERE k = id AND k = 3;
SELECT k FROM parent ORDER BY k;

-- a stable function does not see rows that are sent before its last call, nor does
-- a cursor's what is written before its first
CREATE FUNCTION parents() RETURNS bigint LANGUAGE plpgsql STABLE AS
	'BEGIN RETURN (SELECT count(*) FROM plan_change.parent); END';
INSERT INTO parent SELECT i, parents() FROM generate_series(10, 2000) i;
SELECT t, count(*) FROM parent WHERE k >= 10 GROUP BY t;
BEGIN;
DECLARE c CURSOR FOR SELECT parents();
DELETE FROM parent WHERE k >= 10;
SELECT parents();
\set VERBOSITY sqlstate
FETCH c;
\set VERBOSITY default
ROLLBACK;

-- what is refused, and changes nothing
\set VERBOSITY terse
INSERT INTO a (k, n) VALUES (1, 1) ON CONFLICT (k, n) DO UPDATE SET k = 5;
BEGIN; DECLARE c CURSOR FOR SELECT * FROM a; FETCH 0 FROM c; DELETE FROM a WHERE CURRENT OF c; ROLLBACK;
INSERT INTO vc VALUES (1, 0, 'x');
INSERT INTO vc SELECT k, 2 - i, 'many' FROM generate_series(0, 2) i, generate_series(8000, 8009) k;
UPDATE vc SET n = n - 40 WHERE n > 38;
UPDATE vc SET k = k + 1, n = 1 WHERE n = 5;
UPDATE vd SET k = 1;
INSERT INTO vd VALUES (9000, 2, NULL);
WITH q AS (UPDATE vc SET n = 0 WHERE n = 6) SELECT 1;
SELECT count(*) FROM a WHERE k >= 8000 OR n < 1;
\set VERBOSITY default

SET client_min_messages = error;
DROP SCHEMA plan_change CASCADE;
DROP SCHEMA plan_change_local CASCADE;
DROP FUNCTION public.plan_change_plus(int);
DROP TYPE public.plan_change_place;
DROP DOMAIN public.plan_change_positive;
