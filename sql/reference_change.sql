-- UPDATE and DELETE of reference tables that only the coordinator can compute:
-- the same rows change in every copy
\getenv port2 TESS_NODE2_PORT
\getenv db2 TESS_NODE2_DB
\getenv port3 TESS_NODE3_PORT
\getenv db3 TESS_NODE3_DB
CREATE SCHEMA reference_change;
SET search_path = reference_change;
SET client_min_messages = warning;
SET tessera.shard_count = 4;

-- how many different copies there are
CREATE FUNCTION copies(name text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(DISTINCT result) FROM tessera.run_on_nodes(format(
		'SELECT md5(string_agg(x::text, E''\n'' ORDER BY x::text)) FROM reference_change.%I x', name)) WHERE success $$;
-- runs a command on one of the nodes, behind our back
CREATE FUNCTION on_node(port text, db text, command text) RETURNS bool LANGUAGE sql AS $$
	SELECT bool_and(success) FROM tessera.run_on_nodes(format(
		'DO $x$ BEGIN IF current_database() = %L AND current_setting(''port'') = %L THEN %s; END IF; END $x$', db, port, command)) $$;
-- how it is planned: nothing of core's own plan
CREATE FUNCTION planned(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || statement LOOP
		CONTINUE WHEN line !~ 'Custom Scan|Copies:|Tables:|Remote SQL:';
		RETURN NEXT line;
	END LOOP;
END $$;

CREATE TYPE place AS (street text, no int);
CREATE SEQUENCE numbers;
CREATE TABLE r (
	id int PRIMARY KEY,
	name text UNIQUE,
	v text,
	gone int,
	n float8 DEFAULT random(),
	at float8 DEFAULT extract(epoch FROM clock_timestamp()),
	no bigint DEFAULT nextval('numbers'),
	grid int[],
	place place,
	length int GENERATED ALWAYS AS (length(v)) STORED);
ALTER TABLE r DROP COLUMN gone;
SELECT tessera.create_reference_table('r');
INSERT INTO r (id, name, v, grid, place) SELECT i, 'name ' || i, 'v', ARRAY[[i, 1], [2, NULL]], ROW('a,"b', i)::place
	FROM generate_series(1, 10) i;
CREATE TABLE here (id int, v text);
INSERT INTO here SELECT i, 'here ' || i FROM generate_series(1, 10) i;
CREATE TABLE spread (k int PRIMARY KEY, v text);
SELECT tessera.create_distributed_table('spread', 'k');
INSERT INTO spread SELECT i, 'spread ' || i FROM generate_series(1, 10) i;
CREATE TABLE other (id int PRIMARY KEY, v text);
INSERT INTO other SELECT i, 'other ' || i FROM generate_series(1, 10) i;
SELECT tessera.create_reference_table('other');

-- it may read other tables of all kinds, and RETURNING may name them
UPDATE r SET v = here.v FROM here WHERE here.id = r.id AND r.id = 1 RETURNING r.id, r.v, r.length, here.*;
UPDATE r SET v = here.v FROM here WHERE here.id = r.id AND r.id = 2;
UPDATE r SET v = spread.v FROM spread WHERE k = r.id AND r.id = 3 RETURNING r.id, r.v, spread, r.tableoid::regclass;
UPDATE r SET v = spread.v FROM spread WHERE k = r.id AND k = 4;
UPDATE r SET v = other.v FROM other WHERE other.id = r.id AND r.id = 5 RETURNING r.id, r.v, (SELECT count(*) FROM spread);
UPDATE r SET v = w FROM (VALUES (6, 'six'), (7, 'it''s seven'), (7, 'it''s seven')) x (i, w) WHERE i = r.id;
UPDATE r SET (v, name) = (SELECT here.v || '!', NULL FROM here WHERE here.id = r.id) WHERE id = 8;
UPDATE r SET v = (SELECT max(v) FROM spread), grid[1][2] = 77, place.no = 9 WHERE id = (SELECT 9);
WITH w AS (SELECT id FROM here WHERE id = 10) UPDATE r SET v = NULL, place = NULL FROM w WHERE w.id = r.id;
SELECT id, name, v, grid, place, length FROM r ORDER BY id;
SELECT copies('r');
DELETE FROM r USING here WHERE here.id = r.id AND here.v = 'here 1' RETURNING r.id, here.v;
DELETE FROM r WHERE id IN (SELECT k FROM spread WHERE v = 'spread 2');
DELETE FROM r a USING r b WHERE a.id = b.id + 1 AND a.ctid <> b.ctid AND b.id = 9 RETURNING a.id, b.id;
SELECT array_agg(id ORDER BY id) FROM r;
SELECT copies('r');

-- what is computed at random, by the clock, or counted, is computed once
UPDATE r SET n = random(), at = extract(epoch FROM clock_timestamp()), no = nextval('numbers');
SELECT copies('r'), count(DISTINCT n) FROM r;
UPDATE r SET n = DEFAULT, at = DEFAULT, no = DEFAULT WHERE id < 9;
DELETE FROM r WHERE random() < 0.5 AND id > 6;
SELECT copies('r');

-- what is sent; what a node can do alone is still sent as it is
SELECT planned('UPDATE r SET v = here.v, n = 1 FROM here WHERE here.id = r.id');
SELECT planned('DELETE FROM r USING here WHERE here.id = r.id');
SELECT planned('UPDATE r SET v = id::text');
-- nothing to do costs nothing
SELECT tessera_internal.reset_net_counters();
UPDATE r SET v = here.v FROM here WHERE false;
SELECT statements FROM tessera_internal.net_counters();
-- and any number of rows one round trip to each node
UPDATE r SET v = here.v FROM here WHERE here.id = r.id;
SELECT tessera_internal.reset_net_counters();
BEGIN;
UPDATE r SET v = here.v FROM here WHERE here.id = r.id;
SELECT round_trips, rows FROM tessera_internal.net_counters();
COMMIT;

-- keys may move, in any order that is possible here: the physical order of the
-- copies does not matter
CREATE TABLE keys (id int PRIMARY KEY, v text);
INSERT INTO keys VALUES (3, 'c'), (2, 'b'), (1, 'a');
SELECT tessera.create_reference_table('keys');
SELECT on_node(:'port2', :'db2', 'UPDATE reference_change.keys SET v = v WHERE id = 2');
SELECT on_node(:'port3', :'db3', 'UPDATE reference_change.keys SET v = v WHERE id > 1');
UPDATE keys SET id = id + 1;
SELECT copies('keys'), array_agg(id || v ORDER BY id) FROM keys;
UPDATE keys SET id = keys.id + 1 FROM (VALUES (1)) x;
SELECT copies('keys'), array_agg(id || v ORDER BY id) FROM keys;
UPDATE keys SET id = new FROM (VALUES (5, 1), (3, 5)) x (old, new) WHERE id = old;
SELECT copies('keys'), array_agg(id || v ORDER BY id) FROM keys;
-- what is impossible here is an error, and nothing happens
\set VERBOSITY sqlstate
UPDATE keys SET id = 3 FROM here WHERE here.id = 1;
\set VERBOSITY default
SELECT copies('keys'), array_agg(id || v ORDER BY id) FROM keys;

-- constraints that are checked at the end of the statement are, on the nodes as well
CREATE TABLE swap (id int PRIMARY KEY, place int UNIQUE DEFERRABLE, up int REFERENCES swap ON DELETE CASCADE, fill text);
INSERT INTO swap SELECT i, i, nullif(i - 1, 0), repeat(md5(i::text), 30) FROM generate_series(1, 2000) i;
SELECT tessera.create_reference_table('swap');
UPDATE swap SET place = 2001 - x.place, up = x.id, fill = swap.fill || 'x' FROM swap x WHERE x.id = swap.id;
UPDATE swap SET id = -swap.id, up = -up FROM here WHERE here.id = 1;
SELECT copies('swap'), count(*), min(id), max(place) FROM swap;
DELETE FROM swap USING here WHERE here.id = 1;
SELECT copies('swap'), count(*) FROM swap;
DROP TABLE swap;
-- several messages for many rows, to nodes that answer when they like
CREATE TABLE many (id int PRIMARY KEY, fill text);
INSERT INTO many SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 3000) i;
SELECT tessera.create_reference_table('many');
UPDATE many SET id = many.id - 1, fill = many.fill || here.v FROM here WHERE here.id = 1;
SELECT copies('many'), count(*), min(id) FROM many;
INSERT INTO many SELECT id + 3000, fill FROM many;
UPDATE many SET fill = fill || here.v FROM here WHERE here.id = 2;
SELECT copies('many'), count(*) FROM many;
DROP TABLE many;

-- foreign keys between reference tables, and of distributed ones: every server
-- carries the change on in its own tables, once
CREATE TABLE zones (id int PRIMARY KEY);
CREATE TABLE parts (n int PRIMARY KEY, zone int REFERENCES zones ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE users (k int PRIMARY KEY, zone int REFERENCES zones ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE strict (n int PRIMARY KEY, zone int REFERENCES zones);
SELECT tessera.create_reference_table(t) FROM unnest('{zones, parts, strict}'::regclass[]) t;
SELECT tessera.create_distributed_table('users', 'k');
INSERT INTO zones VALUES (3), (2), (1);
INSERT INTO parts SELECT i, 1 + i % 3 FROM generate_series(1, 6) i;
INSERT INTO users SELECT i, 1 + i % 3 FROM generate_series(1, 9) i;
UPDATE zones SET id = id + 1;
SELECT copies('parts'), array_agg(concat(n, '<', zone) ORDER BY n) FROM parts;
SELECT zone, count(*) FROM users GROUP BY zone ORDER BY zone;
UPDATE zones SET id = zones.id + 1 FROM (VALUES (1)) x;
SELECT copies('parts'), array_agg(concat(n, '<', zone) ORDER BY n) FROM parts;
SELECT zone, count(*) FROM users GROUP BY zone ORDER BY zone;
DELETE FROM zones USING here WHERE here.id = zones.id AND here.id = 4;
SELECT copies('parts'), array_agg(concat(n, '<', zone) ORDER BY n) FROM parts;
SELECT zone, count(*) FROM users GROUP BY zone ORDER BY zone;
INSERT INTO strict VALUES (1, 5);
\set VERBOSITY sqlstate
DELETE FROM zones USING here WHERE here.id = zones.id;
UPDATE strict SET zone = here.id FROM here WHERE here.id = 9;
\set VERBOSITY default
SELECT copies('zones'), copies('strict'), array_agg(id ORDER BY id) FROM zones;

-- this server's copies come first, with all that foreign keys do to them: what they do to
-- shards, and what these say to it, is left to the shards
CREATE TABLE base (id int PRIMARY KEY);
CREATE TABLE mid (id int PRIMARY KEY, base int REFERENCES base ON DELETE CASCADE);
CREATE TABLE leaf (k int PRIMARY KEY, base int REFERENCES base ON DELETE CASCADE, mid int REFERENCES mid);
SELECT tessera.create_reference_table(t) FROM unnest('{base, mid}'::regclass[]) t;
SELECT tessera.create_distributed_table('leaf', 'k');
INSERT INTO base SELECT generate_series(1, 6);
INSERT INTO mid SELECT i, i FROM generate_series(1, 6) i;
INSERT INTO leaf SELECT i, i, i FROM generate_series(1, 5) i;
DELETE FROM base WHERE id = 1;
DELETE FROM base WHERE id = 2 + (0 * random())::int;
-- rows of RETURNING are computed before that
CREATE FUNCTION mids() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM mid); END$$;
DELETE FROM base WHERE id = 3 RETURNING id, mids();
DELETE FROM base WHERE id = 4 + (0 * random())::int RETURNING id, mids();
SELECT array_agg(k) FROM leaf;
SELECT copies('base'), copies('mid'), array_agg(id ORDER BY id) FROM mid;
\set VERBOSITY sqlstate
DELETE FROM mid WHERE id = 5;
\set VERBOSITY default
-- no scan of the shards from here
SELECT tessera_internal.reset_net_counters();
BEGIN;
DELETE FROM mid WHERE id = 6;
SELECT round_trips FROM tessera_internal.net_counters();
COMMIT;
SELECT copies('mid'), count(*) FROM mid;
DROP TABLE leaf, mid, base;

-- tables that a foreign key only looks at do not count as changed: a cursor goes on with them
CREATE TABLE lookers (k int PRIMARY KEY, zone int REFERENCES zones);
SELECT tessera.create_distributed_table('lookers', 'k');
INSERT INTO lookers SELECT i, 5 FROM generate_series(1, 10) i;
BEGIN;
DECLARE c CURSOR FOR SELECT id, (SELECT count(*) FROM lookers WHERE k > here.id) FROM here ORDER BY id;
FETCH c;
INSERT INTO zones VALUES (77);
DELETE FROM zones WHERE id = 77;
FETCH c;
COMMIT;
DROP TABLE lookers;

-- prepared, in PL/pgSQL, in a savepoint that is rolled back
PREPARE p (int, text) AS UPDATE r SET v = $2 || here.v FROM here WHERE here.id = r.id AND r.id = $1 RETURNING r.v;
EXECUTE p (3, 'a ');
EXECUTE p (4, 'b ');
SET plan_cache_mode = force_generic_plan;
EXECUTE p (5, 'c ');
RESET plan_cache_mode;
DO $$
DECLARE got text; n bigint;
BEGIN
	UPDATE r SET v = (SELECT min(v) FROM here) WHERE id = 3 RETURNING v INTO STRICT got;
	UPDATE r SET n = random() WHERE id IN (4, 5);
	GET DIAGNOSTICS n = ROW_COUNT;
	RAISE WARNING '% %', got, n;
	BEGIN
		DELETE FROM r USING here WHERE here.id = r.id;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
END $$;
BEGIN;
UPDATE r SET v = 'kept' FROM here WHERE here.id = r.id AND r.id = 3;
SAVEPOINT s;
DELETE FROM r USING here WHERE here.id = r.id;
ROLLBACK TO s;
COMMIT;
SELECT copies('r'), count(*) FILTER (WHERE v = 'kept') FROM r;
-- a cursor does not see what comes after it, and may say where
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM r WHERE id = 4 FOR UPDATE;
FETCH c;
UPDATE r SET v = 'here it stood' WHERE CURRENT OF c RETURNING id, v;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT k FROM spread ORDER BY k;
UPDATE r SET v = spread.v FROM spread WHERE spread.k = r.id;
FETCH c;
COMMIT;
SELECT copies('r');

-- INSERT whose ON CONFLICT only this server can compute: rows that are inserted and
-- those that are changed instead, in their order
CREATE TABLE upserted (id int PRIMARY KEY, v text, n float8 DEFAULT random(), no bigint GENERATED ALWAYS AS IDENTITY, length int GENERATED ALWAYS AS (length(v)) STORED);
SELECT tessera.create_reference_table('upserted');
INSERT INTO upserted (id, v) SELECT i, 'old' FROM generate_series(1, 4) i;
INSERT INTO upserted (id, v) VALUES (1, 'new'), (50, 'new'), (2, 'new') ON CONFLICT (id) DO UPDATE SET v = (SELECT here.v FROM here WHERE here.id = upserted.id) || length(excluded.v), n = random() RETURNING id, v, length, (SELECT count(*) FROM spread);
INSERT INTO upserted (id, v) SELECT k + 2, v FROM spread ON CONFLICT (id) DO UPDATE SET (v, n) = (SELECT spread.v || excluded.id, random() FROM spread WHERE k = upserted.id) WHERE upserted.id <> (SELECT 3 FROM here WHERE id = excluded.id) OR random() < 0;
CREATE FUNCTION volatile_text() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN 'sees ' || (SELECT count(*) FROM upserted); END$$;
WITH i AS (INSERT INTO upserted (id, v) VALUES (61, 'with'), (1, 'with'), (60, 'with') ON CONFLICT (id) DO UPDATE SET v = volatile_text() RETURNING id, v) SELECT i.*, spread.v FROM i LEFT JOIN spread ON k = id ORDER BY id;
\set VERBOSITY sqlstate
INSERT INTO upserted (id) VALUES (1), (1) ON CONFLICT (id) DO UPDATE SET n = random();
INSERT INTO upserted (id) VALUES (70), (1) ON CONFLICT (id) DO UPDATE SET n = 1 / (random() * 0);
\set VERBOSITY default
SELECT id, v, length FROM upserted ORDER BY id;
SELECT copies('upserted');
-- its own key may change places
INSERT INTO upserted (id, v) VALUES (60, 'a'), (90, 'b') ON CONFLICT (id) DO UPDATE SET id = 91 + 0 * random() RETURNING id, v;
SELECT copies('upserted');

-- MERGE
MERGE INTO upserted u USING here ON here.id = u.id WHEN MATCHED AND u.id = 1 THEN UPDATE SET v = here.v, n = random() WHEN MATCHED AND u.id < 4 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'merged' WHEN NOT MATCHED THEN INSERT (id, v) VALUES (here.id + 100, here.v);
SELECT copies('upserted'), count(*) FROM upserted;
MERGE INTO upserted u USING spread s ON s.k = u.id - 100 WHEN MATCHED THEN UPDATE SET id = -k WHEN NOT MATCHED AND k < 5 THEN INSERT (id, v) VALUES (k * -10, s.v) WHEN NOT MATCHED THEN DO NOTHING;
SELECT copies('upserted'), array_agg(id ORDER BY id) FROM upserted;
-- a key that is deleted may be inserted again, and what checks the table as a whole sees the end of it
CREATE TABLE above (id int PRIMARY KEY, v text);
CREATE TABLE below (n int PRIMARY KEY, up int REFERENCES above);
SELECT tessera.create_reference_table(t) FROM unnest('{above, below}'::regclass[]) t;
INSERT INTO above VALUES (1, 'old'), (2, 'old');
INSERT INTO below VALUES (1, 1);
MERGE INTO above USING (VALUES (1, 1), (7, 1)) x (old, new) ON id = old WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (new, 'new');
SELECT copies('above'), array_agg(above ORDER BY id) FROM above;
\set VERBOSITY sqlstate
MERGE INTO above USING (VALUES (1)) x (old) ON id = old WHEN MATCHED THEN DELETE;
MERGE INTO above USING (VALUES (2), (2)) x (old) ON id = old WHEN MATCHED THEN UPDATE SET v = 'twice';
MERGE INTO upserted u USING here ON false WHEN NOT MATCHED THEN INSERT (id, v) VALUES (1, 'there');
\set VERBOSITY default
SELECT copies('above'), copies('below'), copies('upserted');
-- a table without a key can be inserted into
CREATE TABLE keyless (a int, b text);
SELECT tessera.create_reference_table('keyless');
MERGE INTO keyless USING here ON a = id WHEN NOT MATCHED THEN INSERT VALUES (id, v);
MERGE INTO keyless USING here ON a = id WHEN MATCHED THEN DELETE;
SELECT copies('keyless'), count(*) FROM keyless;
SELECT planned('MERGE INTO above USING here ON here.id = above.id WHEN MATCHED THEN UPDATE SET v = here.v WHEN NOT MATCHED THEN INSERT (id) VALUES (here.id)');
DROP TABLE upserted, below, above, keyless;

-- views; a check option is kept
CREATE VIEW part AS SELECT id, v FROM r WHERE id < 5 WITH CHECK OPTION;
UPDATE part SET v = here.v FROM here WHERE here.id = part.id AND part.id = 3 RETURNING *;
\set VERBOSITY sqlstate
UPDATE part SET id = 50 WHERE id = 3;
\set VERBOSITY default
UPDATE part SET v = 'by the view' WHERE id = 3;
CREATE VIEW barred WITH (security_barrier) AS SELECT id, v FROM r WHERE id < 5;
UPDATE barred SET v = v || '!' WHERE id = 3 RETURNING v;
DELETE FROM barred WHERE id = 4;
SELECT copies('r');

-- rights are PostgreSQL's; the nodes want SELECT of the key
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN
    LOCK pg_authid;
    IF to_regrole(''regress_changer'') IS NULL THEN CREATE ROLE regress_changer LOGIN; END IF;
END'$$) WHERE NOT success;
GRANT USAGE ON SCHEMA reference_change TO regress_changer;
GRANT SELECT ON here, r TO regress_changer;
GRANT UPDATE (v) ON r TO regress_changer;
GRANT UPDATE ON part TO regress_changer;
GRANT SELECT ON part TO regress_changer;
SET ROLE regress_changer;
UPDATE r SET v = here.v FROM here WHERE here.id = r.id;
UPDATE part SET v = 'as the owner' FROM here WHERE here.id = part.id;
\set VERBOSITY sqlstate
UPDATE part SET v = 'x' FROM other WHERE other.id = part.id;
UPDATE r SET n = random();
DELETE FROM r USING here WHERE here.id = r.id;
\set VERBOSITY default
RESET ROLE;
REVOKE SELECT ON r FROM regress_changer;
GRANT SELECT (v, n), UPDATE ON r TO regress_changer;
SET ROLE regress_changer;
\set VERBOSITY sqlstate
UPDATE r SET n = random();
\set VERBOSITY default
RESET ROLE;
SELECT copies('r'), count(*) FILTER (WHERE v = 'as the owner') FROM r;
DROP VIEW part, barred;

-- without a key a row is found in other copies by all that it is
CREATE TABLE loose (a int NOT NULL, b text);
CREATE UNIQUE INDEX ON loose (b);
CREATE UNIQUE INDEX ON loose (a) WHERE a > 1;
SELECT tessera.create_reference_table('loose');
INSERT INTO loose VALUES (1, 'x'), (1, 'y');
UPDATE loose SET b = random();
UPDATE loose SET b = b || '!';
-- any index that tells rows apart will do
CREATE UNIQUE INDEX ON loose (a, b);
UPDATE loose SET b = random();
DROP INDEX loose_a_b_idx;
UPDATE loose SET a = 2 WHERE b = (SELECT min(b) FROM loose);
CREATE UNIQUE INDEX ON loose (a);
UPDATE loose SET b = random();
SELECT copies('loose'), count(DISTINCT b) FROM loose;
CREATE TABLE late (a int PRIMARY KEY DEFERRABLE, b text);
SELECT tessera.create_reference_table('late');
UPDATE late SET b = random();
PREPARE l AS UPDATE loose SET b = random();
EXECUTE l;
DROP INDEX loose_a_idx1;
EXECUTE l;
DEALLOCATE l;

CREATE TABLE twins (a numeric, b json, c point, d box, g int GENERATED ALWAYS AS (length(note)) STORED, note text);
SELECT tessera.create_reference_table('twins');
INSERT INTO twins (a, b, c, d, note) SELECT CASE WHEN i > 3 THEN 1.0 ELSE 1.00 END, '{"a": 1}', '(1,2)', '(1,1),(0,0)', note FROM generate_series(1, 6) i, (VALUES ('x'), (NULL)) n (note);
UPDATE twins SET note = 'once' WHERE ctid IN (SELECT min(ctid) FROM twins GROUP BY a::text, note);
DELETE FROM twins WHERE ctid IN (SELECT max(ctid) FROM twins GROUP BY a::text, note);
UPDATE twins SET a = random() WHERE note IS NULL;
MERGE INTO twins t USING (SELECT 'x' AS note, 'again' AS new) s ON s.note = t.note
	WHEN MATCHED AND random() < 2 THEN UPDATE SET note = s.new, b = NULL;
SELECT copies('twins'), note, count(*), count(DISTINCT a), sum(g) FROM twins GROUP BY note ORDER BY note;

-- a statement that fails on one node leaves nothing on any
SELECT on_node(:'port2', :'db2', 'ALTER TABLE reference_change.other ADD CHECK (v <> ''not there'')');
BEGIN;
UPDATE other SET v = 'fine' FROM here WHERE here.id = other.id AND other.id = 1;
SAVEPOINT s;
UPDATE other SET v = 'not there' FROM here WHERE here.id = other.id AND other.id > 5;
ROLLBACK TO s;
COMMIT;
SELECT copies('other'), count(*) FILTER (WHERE v = 'fine'), count(*) FILTER (WHERE v = 'not there') FROM other;
-- so does a copy that has lost rows
SELECT on_node(:'port3', :'db3', 'DELETE FROM reference_change.other WHERE id = 7');
\set VERBOSITY sqlstate
UPDATE other SET v = 'changed' FROM here WHERE here.id = other.id;
\set VERBOSITY default
SELECT count(*) FILTER (WHERE v = 'changed') FROM other;

-- what nodes run is of no use to others than its caller, and judges its arguments
\set VERBOSITY sqlstate
SELECT tessera_internal.run_for_rows('{SELECT 1}', '{int}', '{1,1}');
SELECT tessera_internal.run_for_rows('{DELETE FROM here WHERE id = $1}', '{int}', '{1,a}');
SELECT tessera_internal.run_for_rows('{DELETE FROM here WHERE id = $1}', '{int}', '{1}');
SELECT tessera_internal.run_for_rows('{DELETE FROM here WHERE id = $1}', '{int}', '{2,1}');
SELECT tessera_internal.run_for_rows('{DELETE FROM here WHERE id = $1}', '{int}', '{NULL,1}');
SELECT tessera_internal.run_for_rows('{NULL}', '{int}', '{1,1}');
SELECT tessera_internal.run_for_rows('{DELETE FROM here WHERE id = $1}', '{}', '{1}');
SELECT tessera_internal.run_for_rows('{DELETE FROM here WHERE id = $1}', '{anyelement}', '{1,1}');
SELECT tessera_internal.run_for_rows('{BEGIN}', '{int}', '{1,1}');
\set VERBOSITY default
SELECT tessera_internal.run_for_rows(ARRAY['DELETE FROM here WHERE id = $1', 'INSERT INTO here VALUES ($1, ''x'')'], '{int}', '{1,1,1,2,2,1,1,NULL,1,99}');

DROP SCHEMA reference_change CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS reference_change CASCADE') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes('DROP OWNED BY regress_changer') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_changer; END'$$) WHERE NOT success;
