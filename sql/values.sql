-- Values go to nodes and come back as they are, whatever the settings of the
-- session and the client's encoding.
CREATE SCHEMA kinds;
SET search_path = kinds;
SET client_min_messages = warning;

CREATE TYPE mood AS ENUM ('sad', 'so so', 'o''k', 'öde');
CREATE TYPE pair AS (a int, b timestamptz, "C c" text);
CREATE DOMAIN positive AS numeric(6,2) CHECK (value > 0);
CREATE DOMAIN good_mood AS mood CHECK (value <> 'sad');
CREATE TYPE span AS RANGE (subtype = float8);

CREATE TABLE original (
	id int PRIMARY KEY,
	c_bool bool, c_char "char", c_name name, c_int2 int2, c_int8 int8, c_oid oid,
	c_float4 float4, c_float8 float8, c_numeric numeric, c_numeric2 numeric(10,3), c_money money,
	c_text text, c_varchar varchar(10), c_bpchar char(5), c_bytea bytea,
	c_date date, c_time time, c_timetz timetz, c_timestamp timestamp, c_timestamp0 timestamp(0),
	c_timestamptz timestamptz, c_interval interval, c_interval2 interval day to second,
	c_uuid uuid, c_json json, c_jsonb jsonb, c_jsonpath jsonpath, c_xml xml,
	c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8,
	c_bit bit(3), c_varbit varbit, c_point point, c_box box, c_path path, c_polygon polygon,
	c_tsvector tsvector, c_tsquery tsquery, c_lsn pg_lsn, c_regtype regtype, c_vector int2vector, c_role regrole,
	c_int4range int4range, c_tstzrange tstzrange, c_multirange datemultirange, c_span span,
	c_ints int[], c_texts text[], c_times timestamptz[], c_regtypes regtype[],
	c_mood mood, c_moods mood[], c_pair pair, c_pairs pair[], c_positive positive, c_positives positive[],
	c_good good_mood, c_collated text COLLATE "C");

-- Written under settings that read and print many of them in another way.
SET datestyle = 'SQL, DMY';
SET intervalstyle = sql_standard;
SET extra_float_digits = 0;
SET bytea_output = escape;
SET timezone = 'America/St_Johns';
SET xmlbinary = hex;

INSERT INTO original VALUES
(1, true, 'c', 'a name', -32768, 9223372036854775807, 4294967295,
	1.17549435e-38, 0.1::float8 + 0.2::float8, 12345678901234567890.123456789, 1.5, 12.34,
	E'a''b\\c\n\td "ü€', 'ümläut', 'ab', '\x00ff5c27',
	'02/03/2020', '12:34:56.123456', '12:34:56+05:30', '02/03/2020 12:34:56.789', '02/03/2020 12:34:56',
	'02/03/2020 12:34:56.789+00', '1 year -2 mons +3 days -04:05:06.7', '-3 days +00:00:01',
	'01234567-89ab-cdef-0123-456789abcdef', '{"a" : 1, "a":2}', '{"b": [1, "ü"]}', '$.a[*] ? (@ > 1)', '<a b="c">ü</a>',
	'192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
	B'101', B'1', '(1.5,-2)', '(1,1),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))',
	'''a b'':1A c:2,3', 'a & !b', '16/B374D848', 'timestamptz', '1 2', 'pg_monitor',
	'[1,10)', '["2020-03-02 00:00+00",)', '{[01/01/2020,03/01/2020),[05/01/2020,)}', '[1.5,2.5]',
	'{{1,2},{3,NULL}}', '{"a,b","",NULL,"NULL","\"q\""}', '{2020-03-02 00:00+00,infinity}', '{int4,kinds.mood}',
	'öde', '{sad,"o''k"}', '(1,"02/03/2020 12:00:00+00","x,""y")', ARRAY[ROW(1, NULL, '')::pair, NULL], 12.5, '{1,2.25}',
	'so so', 'ß'),
(2, false, '', '', 0, 0, 0, 'NaN', '-Infinity', 'NaN', 0, -1, '', '', '', '',
	'infinity', '24:00', '00:00-15:59', '-infinity', 'infinity', 'infinity', '0', '0',
	'00000000-0000-0000-0000-000000000000', 'null', 'null', '$', '',
	'::/0', '::/128', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00',
	B'000', B'', '(0,0)', '(0,0),(0,0)', '((0,0))', '((0,0))', '', '', '0/0', '-', '', '-',
	'empty', 'empty', '{}', 'empty', '{}', '{}', '{}', '{}', 'sad', '{}', '(,,)', '{}', 0.01, '{}', 'o''k', '');
INSERT INTO original (id) VALUES (3);
INSERT INTO original (id, c_interval, c_timestamp, c_timestamptz, c_date)
VALUES (4, '-1 year -1 day -00:00:00.000001', '01/01/4713 00:00:00 BC', '31/12/294276 23:59:59+00', '31/12/0001 BC');

CREATE TABLE copied (LIKE original);
SELECT tessera.create_distributed_table('copied', 'id', shard_count => 2);

-- Values are compared in their internal form: as bytes of the record.
CREATE FUNCTION differences(OUT missing bigint, OUT extra bigint) LANGUAGE sql AS $$
	WITH o AS (SELECT o.id, record_send(o)::text AS bytes FROM kinds.original o),
		c AS (SELECT c.id, record_send(ROW(c.*)::kinds.original)::text AS bytes FROM kinds.copied c)
	SELECT (SELECT count(*) FROM (SELECT * FROM o EXCEPT SELECT * FROM c) m),
		(SELECT count(*) FROM (SELECT * FROM c EXCEPT SELECT * FROM o) m) $$;

-- rows that are sent one by one
INSERT INTO copied SELECT * FROM original;
SELECT *, (SELECT count(*) FROM copied) AS rows FROM differences();

-- rows that are copied when a table is distributed
DROP TABLE copied;
CREATE TABLE copied AS SELECT * FROM original;
SELECT tessera.create_distributed_table('copied', 'id', shard_count => 2);
SELECT *, (SELECT count(*) FROM copied) AS rows FROM differences();

-- read under other settings than they were written
RESET datestyle; RESET intervalstyle; RESET extra_float_digits; RESET bytea_output; RESET timezone;
SELECT *, (SELECT count(*) FROM copied) AS rows FROM differences();
SET datestyle = German; SET intervalstyle = postgres_verbose; SET timezone = 'Asia/Kathmandu';
SELECT *, (SELECT count(*) FROM copied) AS rows FROM differences();

-- columns that all have a binary form, which the whole row above has not
\set columns 'id, c_bool, c_char, c_name, c_int2, c_int8, c_oid, c_float4, c_float8, c_numeric, c_numeric2, c_money, c_text, c_varchar, c_bpchar, c_bytea, c_date, c_time, c_timetz, c_timestamp, c_timestamp0, c_timestamptz, c_interval, c_interval2, c_uuid, c_json, c_jsonb, c_jsonpath, c_xml, c_inet, c_cidr, c_macaddr, c_macaddr8, c_bit, c_varbit, c_point, c_box, c_path, c_polygon, c_tsvector, c_lsn, c_int4range, c_tstzrange, c_multirange, c_span, c_ints, c_texts, c_times, c_mood, c_positive, c_good, c_collated'
SELECT count(*) FROM (SELECT record_send(ROW(:columns))::text FROM original
	EXCEPT SELECT record_send(ROW(:columns))::text FROM copied) d;
SELECT count(*) FROM (SELECT record_send(ROW(:columns))::text FROM copied
	EXCEPT SELECT record_send(ROW(:columns))::text FROM original) d;

-- parameters of a statement for one shard
CREATE FUNCTION lookup(pair, mood, timestamptz, interval, positive) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT count(*) FROM kinds.copied
		WHERE id = 1 AND c_pair = $1 AND c_mood = $2 AND c_timestamptz = $3 AND c_interval = $4 AND c_positive = $5);
END $$;
SELECT lookup(c_pair, c_mood, c_timestamptz, c_interval, c_positive) FROM original WHERE id = 1;

-- update with values of every kind of transport
UPDATE copied c SET c_pair = o.c_pair, c_pairs = o.c_pairs, c_interval = o.c_interval, c_xml = o.c_xml,
	c_moods = o.c_moods, c_timestamptz = o.c_timestamptz FROM original o WHERE o.id = c.id;
SELECT *, (SELECT count(*) FROM copied) AS rows FROM differences();

-- a client whose encoding cannot hold what is stored
SET client_encoding = latin1;
INSERT INTO copied (id, c_text, c_mood) VALUES (5, chr(252) || chr(8364), 'sad');
SELECT c_text = chr(252) || chr(8364) AS kept FROM copied WHERE id = 5;
SELECT c_text FROM copied WHERE id = 5;
RESET client_encoding;
SELECT c_text FROM copied WHERE id = 5;

-- an error of a node reads like one of the table
CREATE TABLE checked (id int PRIMARY KEY, v int CONSTRAINT "v is small" CHECK (v < 10));
SELECT tessera.create_distributed_table('checked', 'id', shard_count => 2);
\set SHOW_CONTEXT never
INSERT INTO checked VALUES (1, 1), (1, 2);
INSERT INTO checked VALUES (1, 11);
DO $$
DECLARE t text; c text; s text;
BEGIN
	INSERT INTO kinds.checked VALUES (2, 12);
EXCEPTION WHEN check_violation THEN
	GET STACKED DIAGNOSTICS c = CONSTRAINT_NAME, t = TABLE_NAME, s = RETURNED_SQLSTATE;
	RAISE INFO '% % %', t, c, s;
END $$;

-- what xmloption calls no document is still read from a shard
CREATE TABLE xmls (k int, x xml);
SELECT tessera.create_distributed_table('xmls', 'k', shard_count => 2, colocate_with => 'none');
INSERT INTO xmls VALUES (1, '<a/><b/>');
SET xmloption = document;
SELECT * FROM xmls;
COPY xmls TO stdout;
RESET xmloption;
DROP TABLE xmls;

-- as many columns as a table can have: filled, changed row by row, moved to another shard, read whole
DO $$
BEGIN
    EXECUTE (SELECT 'CREATE TABLE wide (' || string_agg('c' || i || ' int', ', ' ORDER BY i) || ')' FROM generate_series(1, 1600) i);
END $$;
SELECT tessera.create_distributed_table('wide', 'c1', shard_count => 4, colocate_with => 'none');
INSERT INTO wide (c1, c1600) SELECT i, i * 2 FROM generate_series(1, 10) i;
UPDATE wide SET c2 = (random() * 0)::int, c800 = c1600 + 1;
UPDATE wide SET c1 = c1 + 100 WHERE c1 = 3;
SELECT c1, c2, c800, c1600 FROM (SELECT * FROM wide OFFSET 0) w WHERE c1 IN (2, 103) ORDER BY c1;
SELECT count(*), sum(c1), sum(c800), sum(c1600), count(c1599) FROM wide;

DROP SCHEMA kinds CASCADE;
