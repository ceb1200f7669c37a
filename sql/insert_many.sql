-- INSERT of many rows of VALUES: those of a shard go as one array a column
CREATE SCHEMA insert_many;
SET search_path = insert_many;
SET tessera.shard_count = 4;
CREATE DOMAIN short AS varchar(8) CHECK (VALUE <> 'wrong');
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (k int, v text);
CREATE TABLE here (k int PRIMARY KEY, v text, n numeric(8, 2), f float8, b bytea, j jsonb, u uuid, at timestamptz, d date, i interval, s short,
	o boolean, c char(4), r int4range, p point, name name, "bit" bit(3), UNIQUE (k, s));
CREATE TABLE t (LIKE here INCLUDING ALL);
ALTER TABLE t ADD id serial, ADD twice int GENERATED ALWAYS AS (k * 2) STORED, ADD own bigint GENERATED ALWAYS AS IDENTITY;
SELECT tessera.create_distributed_table('t', 'k');

-- all kinds of values, NULLs among them, arrive as they are
CREATE FUNCTION rows_of(first int, last int) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('(%s, %L, %s, %s, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L)', g, CASE WHEN g % 3 > 0 THEN E'two\nlines, "q" {,} \\ ' || g END,
		g * 1.254, CASE WHEN g % 2 = 0 THEN g / 3.0 ELSE 'NaN' END::text::float8::text, '\x00' || to_hex(g + 16), format('{"a": [%s, null]}', g), md5(g::text)::uuid,
		'2024-01-01 00:00:00.5+03'::timestamptz + g * interval '1 hour', CASE WHEN g = 5 THEN 'infinity' ELSE '2024-02-28' END, g || ' months 1.5 seconds',
		's' || g, g % 2 = 0, 'c', CASE WHEN g % 4 = 0 THEN 'empty' ELSE format('[%s,)', g) END, '(1,2)', 'n' || g, '101'), ', ')
	FROM generate_series(first, last) g $$;
CREATE PROCEDURE insert_rows(target regclass, first int, last int, rest text DEFAULT '') LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s (k, v, n, f, b, j, u, at, d, i, s, o, c, r, p, name, "bit") VALUES %s %s', target,
		replace(insert_many.rows_of(first, last), 'NaN', '''NaN'''), rest);
END $$;
CALL insert_rows('here', 1, 60);
CALL insert_rows('t', 1, 60);
SELECT count(*), count(DISTINCT tableoid) FROM t;
(SELECT t.*::text FROM (SELECT k, v, n, f, b, j, u, at, d, i, s, o, c, r, p, name, "bit" FROM t) t
	EXCEPT SELECT t.*::text FROM (SELECT k, v, n, f, b, j, u, at, d, i, s, o, c, r, p, name, "bit" FROM here) t);
SELECT count(DISTINCT id), min(id), max(id), count(DISTINCT own), bool_and(twice = k * 2) FROM t;
-- the text is the same for any number of rows, so that the nodes have it prepared
CALL insert_rows('t', 101, 140);
SELECT tessera_internal.reset_net_counters();
CALL insert_rows('t', 141, 190);
SELECT prepared FROM tessera_internal.net_counters();

-- rows of RETURNING come in the order of VALUES
INSERT INTO t (k, v) VALUES (209, 'i'), (201, 'a'), (208, NULL), (202, 'b'), (207, 'g'), (203, 'c'), (206, 'f'), (204, 'd'), (205, 'e') RETURNING k, v, twice;
-- what conflicts is left out, or changed
INSERT INTO t (k, v) VALUES (201, 'x'), (301, 'new'), (202, 'y'), (302, 'new') ON CONFLICT (k) DO UPDATE SET v = t.v || excluded.v RETURNING k, v;
INSERT INTO t (k, v) VALUES (201, 'x'), (303, 'new'), (202, 'y'), (304, 'new') ON CONFLICT DO NOTHING;
INSERT INTO t (k, v) VALUES (401, 'a'), (402, 'b'), (403, 'c'), (404, 'd'), (401, 'e') ON CONFLICT (k) DO UPDATE SET v = excluded.v;
SELECT k, v FROM t WHERE k > 200 ORDER BY k;
-- an error leaves nothing
INSERT INTO t (k, s) VALUES (501, 'a'), (502, 'wrong'), (503, 'b'), (504, 'c');
INSERT INTO t (k, s) VALUES (501, 'a'), (502, 'much too long'), (503, 'b'), (504, 'c');
INSERT INTO t (k, s) VALUES (501, 'a'), (502, 'b'), (503, 'b'), (501, 'c');
SELECT count(*) FROM t WHERE k > 500;

-- columns of arrays, and of types of users, go as parameters of their own; those of xml too
CREATE TABLE odd (k int, a int[], m mood, w pair, x xml);
SELECT tessera.create_distributed_table('odd', 'k');
INSERT INTO odd (k, a, m, w, x) VALUES (1, '{{1,2},{3,NULL}}', 'sad', NULL, '<a/>'), (2, '{}', 'glad', ROW(1, 'v'), NULL), (3, NULL, NULL, NULL, 'text'), (4, '{4}', 'sad', NULL, NULL),
	(5, '{5}', 'sad', NULL, NULL);
SELECT k, a, m, (w).k AS wk, (w).v AS wv, x FROM odd ORDER BY k;
CREATE TABLE arrays (k int, a int[]);
SELECT tessera.create_distributed_table('arrays', 'k');
INSERT INTO arrays VALUES (1, '{{1,2},{3,NULL}}'), (2, '{}'), (3, NULL), (4, '{4}'), (5, '{5,6}');
SELECT * FROM arrays ORDER BY k;

DROP SCHEMA insert_many CASCADE;
