-- COPY of distributed and reference tables
CREATE SCHEMA command_copy;
SET search_path = command_copy;
SET tessera.shard_count = 4;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE plain (
    k int PRIMARY KEY, id int GENERATED ALWAYS AS IDENTITY, v text DEFAULT 'default',
    twice int GENERATED ALWAYS AS (k * 2) STORED, at date DEFAULT '2025-02-03', m mood,
    CHECK (v <> 'wrong'));
SELECT tessera.create_distributed_table('plain', 'k');

-- defaults, identity and generated columns are filled in
COPY plain (k, v) FROM STDIN;
1	one
2	\N
3	tab\tnewline\nbackslash\\
\.
COPY plain (k, m) FROM STDIN (FORMAT csv, HEADER, DELIMITER ';', NULL 'nil', FORCE_NOT_NULL (m));
k;m
4;glad
5;"sad"
\.
SELECT * FROM plain ORDER BY k;
-- WHERE is evaluated before rows are sent
COPY plain (k, v) FROM STDIN WHERE k % 2 = 0 AND v IS NOT NULL;
10	ten
11	eleven
12	\N
\.
SELECT k, v FROM plain WHERE k >= 10;
-- dates are read in the session's style
SET datestyle = 'SQL, DMY';
COPY plain (k, at) FROM STDIN;
20	01/02/2024
\.
RESET datestyle;
SELECT k, at FROM plain WHERE k = 20;
-- and text in the client's encoding: what is sent here are two characters of it
SET client_encoding = 'LATIN1';
COPY plain (k, v) FROM STDIN;
21	café
\.
RESET client_encoding;
SELECT k, length(v) FROM plain WHERE k = 21;

-- COPY TO writes what the shards hold, without generated columns
COPY (SELECT * FROM plain ORDER BY k) TO STDOUT (FORMAT csv, HEADER);
DELETE FROM plain WHERE k <> 1;
COPY plain TO STDOUT;
COPY plain (v, k) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *);
COPY plain (v, k) TO STDOUT (FORMAT csv, FORCE_QUOTE (m));
COPY plain (v, k) TO STDOUT (FORMAT csv, FORCE_QUOTE (none));
COPY plain (v, k) TO STDOUT (none);

-- an error names the line, and nothing is copied
COPY plain (k, v) FROM STDIN;
30	x
thirty	x
\.
COPY plain (k, v) FROM STDIN;
1	again
\.
COPY plain (k, v) FROM STDIN;
31	wrong
\.
COPY plain (k, v) FROM STDIN;
\N	null key in a primary key
\.
\copy plain (k, id) from '/dev/null' where k > 'x'
\copy plain (k, none) from '/dev/null'
\copy plain (k, twice) from '/dev/null'
SELECT count(*) FROM plain;
-- also in a transaction that goes on
BEGIN;
SAVEPOINT s;
COPY plain (k, v) FROM STDIN;
40	x
1	again
\.
ROLLBACK TO s;
COPY plain (k, v) FROM STDIN;
41	x
\.
COMMIT;
SELECT k FROM plain ORDER BY k;

-- FREEZE is refused
\copy plain (k) from '/dev/null' (freeze)
-- and so is who may not insert, or not read
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA command_copy TO regress_reader;
GRANT SELECT (k) ON plain TO regress_reader;
SET ROLE regress_reader;
\copy plain (k) from '/dev/null'
COPY plain (v) TO STDOUT;
COPY plain (k) FROM '/etc/hostname';
RESET ROLE;
SELECT node, success FROM tessera.run_on_nodes('DROP OWNED BY regress_reader') ORDER BY node;
SELECT node, success FROM tessera.run_on_nodes('DO $$BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_reader; END$$') ORDER BY node;

-- a NULL key where the column allows it
CREATE TABLE nullable (k text, v int);
SELECT tessera.create_distributed_table('nullable', 'k');
COPY nullable FROM STDIN;
\N	1
a	2
\.
SELECT * FROM nullable ORDER BY v;

-- a reference table gets its rows everywhere
CREATE TABLE everywhere (k int PRIMARY KEY, v text);
SELECT tessera.create_reference_table('everywhere');
COPY everywhere FROM STDIN;
1	one
2	two
\.
SELECT node, result FROM tessera.run_on_nodes('SELECT string_agg(v, '','' ORDER BY k) FROM command_copy.everywhere') ORDER BY node;
COPY everywhere TO STDOUT;

-- many rows go in bounded pieces, and all arrive
CREATE TABLE many (k int, filler text);
SELECT tessera.create_distributed_table('many', 'k');
COPY many FROM PROGRAM 'seq 1 200000 | sed "s/.*/&\t&-&-&-&-&-&-&/"';
SELECT count(*), count(DISTINCT k), sum(k), sum(length(filler)) FROM many;

-- errors of nodes name the line of the input, in whatever way its rows went there, and the
-- first of several errors of a shard comes first, also before those that are found here
SET tessera.shard_count = 1;
CREATE TABLE narrow (k int PRIMARY KEY, v varchar(5), n int CHECK (n < 5), at timestamptz);
SELECT tessera.create_distributed_table('narrow', 'k');
INSERT INTO narrow VALUES (0);
COPY narrow FROM PROGRAM 'printf "1\tone\t1\t\\\\N\n2\ttwo\t2\n"';
COPY narrow FROM PROGRAM 'printf "1,one,1,\n2,two,2,,3\n"' (FORMAT csv);
COPY narrow FROM PROGRAM 'printf "k,v,n,at\n1,\"o\nne\",1,\n2,\"t\nw\",2,\n3,threee,x,\nx,,,\n"' (FORMAT csv, HEADER);
COPY narrow FROM PROGRAM 'printf "1,one,1,now\n2,two,5,\nx,,,\n"' (FORMAT csv);
COPY narrow FROM PROGRAM 'printf "1,one,1,\nx,,,,\n"' (FORMAT csv);
COPY narrow FROM PROGRAM 'printf "1,one,1,never\n"' (FORMAT csv);
COPY narrow FROM PROGRAM 'seq 5000 -1 0 | sed "s/.*/&,,,/"' (FORMAT csv);
COPY narrow FROM PROGRAM 'seq 5000 -1 0 | sed "s/.*/&,,,/"' (FORMAT csv) WHERE k % 2 = 0;
SELECT count(*) FROM narrow;
-- a time in words is that of this transaction, on all nodes
RESET tessera.shard_count;
CREATE TABLE moments (k int, at timestamptz, d date);
SELECT tessera.create_distributed_table('moments', 'k', colocate_with => 'none');
BEGIN;
COPY moments FROM PROGRAM 'printf "%s\tnow\t%s\n" 1 today 2 tomorrow 3 " 2 Jan 2024"';
SELECT count(*) FROM moments WHERE at = now();
SELECT k, CASE WHEN k < 3 THEN d - current_date END AS days, CASE WHEN k = 3 THEN d END AS d FROM moments ORDER BY k;
ROLLBACK;
-- the zone and the order of day and month are the session's
SET datestyle = 'German';
SET timezone = 'Asia/Tokyo';
COPY moments FROM PROGRAM 'printf "1\t03.02.2024 10:00\t03.02.2024\n2\t3 Feb 2024 10:00 UTC\t4 Feb 2024\n"';
RESET datestyle;
SET timezone = 'UTC';
SELECT * FROM moments ORDER BY k;
RESET timezone;
-- constants of columns that are left out are the shards' own, what is volatile is not
CREATE TABLE filled (k int, c text DEFAULT 'constant', s serial, g int GENERATED ALWAYS AS (k + 1) STORED);
SELECT tessera.create_distributed_table('filled', 'k');
COPY filled (k, s) FROM PROGRAM 'seq 1 3 | sed "s/.*/&\t7/"';
COPY filled (k) FROM PROGRAM 'seq 4 6';
SELECT * FROM filled ORDER BY k;
-- in other encodings too
COPY filled (k, s, c) FROM PROGRAM 'printf "7\t7\tcaf\\351\n"' (ENCODING 'LATIN1');
SELECT k, c FROM filled WHERE k = 7;
COPY filled (k, s, c) FROM PROGRAM 'printf "8\t7\tx\n9\t7\tcaf\\351\n"' (ENCODING 'UTF8');
-- what depends on settings that nodes have not is read here
CREATE TABLE sets (k int, i interval, m mood, l text[]);
SELECT tessera.create_distributed_table('sets', 'k');
SET intervalstyle = 'sql_standard';
COPY sets FROM PROGRAM 'printf "1\t-1 2:00:00\tsad\t{null}\n"';
RESET intervalstyle;
SET array_nulls = off;
COPY sets FROM PROGRAM 'printf "2\t-1 2:00:00\tglad\t{null}\n"';
RESET array_nulls;
SELECT k, extract(epoch FROM i) AS seconds, m, l[1] IS NULL AS is_null FROM sets ORDER BY k;

SET client_min_messages = warning;
DROP SCHEMA command_copy CASCADE;
