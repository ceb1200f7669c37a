-- Parts of WITH that change distributed and reference tables, and MERGE: what
-- they see, that they run to their end, and what is refused.  That they do what
-- they do to local tables, test/differential compares.
CREATE SCHEMA plan_with;
SET search_path = plan_with;
SET client_min_messages = warning;
CREATE TABLE d (k int, id int, v text, PRIMARY KEY (k, id));
SELECT tessera.create_distributed_table('d', 'k', shard_count => 8);
CREATE TABLE archive (k int, id int, v text);
SELECT tessera.create_distributed_table('archive', 'k', colocate_with => 'none', shard_count => 4);
CREATE TABLE r (id int PRIMARY KEY, v text);
SELECT tessera.create_reference_table('r');
CREATE TABLE plain (id int, v text);
INSERT INTO d SELECT i, i, 'v' || i FROM generate_series(1, 20) i;
INSERT INTO plain SELECT i, 'p' || i FROM generate_series(1, 5) i;

-- rows are moved from table to table: distributed, reference, local
WITH moved AS (DELETE FROM d WHERE id <= 5 RETURNING *) INSERT INTO archive SELECT * FROM moved;
WITH moved AS (DELETE FROM archive WHERE id <= 3 RETURNING *) INSERT INTO plain SELECT id + 100, v FROM moved;
WITH moved AS (DELETE FROM plain WHERE id > 100 RETURNING *) INSERT INTO r SELECT * FROM moved;
WITH added AS (INSERT INTO r VALUES (200, 'two'), (201, 'three') RETURNING *) INSERT INTO d SELECT id, id, v FROM added;
SELECT (SELECT count(*) FROM d) AS d, (SELECT count(*) FROM archive) AS archive, (SELECT count(*) FROM plain) AS plain, (SELECT count(*) FROM r) AS r;

-- the command tag is the main part's
\set QUIET off
WITH moved AS (DELETE FROM archive RETURNING *) INSERT INTO d SELECT * FROM moved;
WITH u AS (UPDATE d SET v = 'u' WHERE id < 10) INSERT INTO plain VALUES (6, 'p6');
WITH u AS (UPDATE d SET v = 'w' WHERE id < 10) SELECT 1 AS one;
\set QUIET on
SELECT count(*) FROM d WHERE v = 'w';

-- a part that nobody asks for, or not to its end, runs to its end; twice referenced, it runs once
WITH i AS (INSERT INTO d SELECT i, i, 'lim' FROM generate_series(1001, 1010) i RETURNING id) SELECT id > 1000 AS found FROM i LIMIT 1;
WITH i AS (INSERT INTO d SELECT i, i, 'lim' FROM generate_series(1011, 1020) i RETURNING id) SELECT count(*) FROM i a, i b;
WITH i AS (INSERT INTO d SELECT i, i, 'lim' FROM generate_series(1021, 1030) i RETURNING id) SELECT 1 AS one WHERE EXISTS (SELECT FROM i) OR true;
SELECT count(*) FROM d WHERE v = 'lim';
-- in a cursor of which one row is fetched
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM d;
WITH e AS (DELETE FROM d WHERE v = 'lim' RETURNING *) SELECT count(*) FROM e;
FETCH c;
ROLLBACK;

-- every part sees the state before the statement, whichever comes first
WITH e AS (DELETE FROM d WHERE v = 'lim' RETURNING id) SELECT count(*) AS before, (SELECT count(*) FROM e) AS gone FROM d;
WITH i AS (INSERT INTO d SELECT i, i, 'lim' FROM generate_series(1001, 1010) i RETURNING id) SELECT (SELECT count(*) FROM i) AS added, count(*) AS before FROM d;
WITH u AS (UPDATE d SET v = 'changed' WHERE v = 'lim' RETURNING k, v) SELECT DISTINCT u.v AS new, d.v AS old FROM u JOIN d USING (k);
WITH e AS (DELETE FROM d WHERE v = 'changed' RETURNING k) SELECT count(*) FROM e WHERE k IN (SELECT k FROM d);
WITH u AS (UPDATE d SET k = k + 100 WHERE id <= 5 RETURNING k, id) SELECT u.k AS new, d.k AS old FROM u JOIN d USING (id) ORDER BY 1;
-- also what is computed for each row that a part returns, or needs all of them
BEGIN;
WITH e AS (DELETE FROM d WHERE id < 14 RETURNING k) SELECT k, (SELECT count(*) FROM d WHERE d.k <= e.k) AS before FROM e ORDER BY k;
WITH e AS (DELETE FROM d WHERE id < 16 RETURNING k) SELECT k, v FROM d WHERE k = (SELECT max(k) FROM e);
WITH e AS (DELETE FROM d WHERE id < 18 RETURNING k) SELECT k FROM d ORDER BY k DESC LIMIT (SELECT count(*) FROM e) OFFSET 1;
WITH i AS (INSERT INTO d SELECT i, i, 'new' FROM generate_series(901, 903) i RETURNING k) SELECT i.k, x.k AS last FROM i, LATERAL (SELECT k FROM d WHERE d.k < i.k ORDER BY k DESC LIMIT 1) x ORDER BY 1;
WITH u AS (UPDATE d SET v = 'u' WHERE k > 900 RETURNING k) UPDATE plain SET v = (SELECT max(v) FROM d WHERE d.k > plain.id) FROM u WHERE plain.id = u.k - 900 RETURNING plain.*, k;
WITH u AS (UPDATE d SET v = (SELECT count(*)::text FROM d o WHERE o.k < d.k) WHERE k > 900 RETURNING k, v), e AS (DELETE FROM d WHERE k = 20) SELECT * FROM u ORDER BY k;
-- in RETURNING
UPDATE d SET v = 'r' WHERE id > 902 RETURNING k, (SELECT count(*) FROM d o WHERE o.k <= d.k AND o.v = 'r') AS before;
DELETE FROM d WHERE k > 902 RETURNING k, (SELECT count(*) FROM d o WHERE o.k >= d.k) AS before;
ROLLBACK;
-- more of it than fits in memory, and read before and after the write
BEGIN;
SET LOCAL work_mem = '64kB';
INSERT INTO d SELECT i % 7, 10000 + i, repeat('long', 20) FROM generate_series(1, 2000) i;
WITH e AS (DELETE FROM d WHERE id > 11990 RETURNING k, id) SELECT count(*), sum((SELECT count(*) FROM d WHERE d.k = e.k AND d.id > 10000 AND d.id <= e.id)) FROM e;
WITH e AS (DELETE FROM d WHERE id > 10980 AND id <= 11000 RETURNING id) SELECT p.id, (SELECT count(*) FROM d WHERE d.id > 10000 + p.id), (SELECT count(*) FROM e WHERE e.id > 10990 + p.id) FROM plain p WHERE p.id < 4 ORDER BY 1;
ROLLBACK;
-- rows that are to be locked are chosen by what another part returns: an error, and nothing is written
\set VERBOSITY sqlstate
WITH e AS (UPDATE d SET v = 'x' WHERE id < 14 RETURNING k) DELETE FROM d WHERE k = (SELECT max(k) + 1 FROM e);
WITH e AS (DELETE FROM d RETURNING k) SELECT k FROM d WHERE k = (SELECT max(k) FROM e) FOR UPDATE;
\set VERBOSITY default
SELECT count(*), count(*) FILTER (WHERE v = 'x') FROM d;

-- prepared, and more than once
PREPARE move(int) AS WITH m AS (DELETE FROM d WHERE id = $1 RETURNING *) INSERT INTO archive SELECT * FROM m RETURNING k, id;
EXECUTE move(6); EXECUTE move(6); EXECUTE move(7);
SET plan_cache_mode = force_generic_plan;
EXECUTE move(8); EXECUTE move(9);
RESET plan_cache_mode;
-- in a function
CREATE FUNCTION take(i int) RETURNS SETOF text LANGUAGE sql AS 'WITH m AS (DELETE FROM plan_with.d WHERE id = i RETURNING v) SELECT v FROM m';
SELECT take(11);
CREATE FUNCTION take_all() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	r record;
	n int := 0;
BEGIN
	FOR r IN WITH m AS (DELETE FROM plan_with.archive RETURNING *) SELECT * FROM m LOOP
		n := n + 1;
	END LOOP;
	RETURN n;
END $$;
SELECT take_all();

-- reference tables: all copies change, though nobody asks for the rows
CREATE FUNCTION copies() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(DISTINCT result) FROM tessera.run_on_nodes(
		'SELECT md5(string_agg(x::text, E''\n'' ORDER BY x::text)) FROM plan_with.r x') WHERE success $$;
WITH u AS (UPDATE r SET v = 'r' || random() WHERE id < 103) SELECT 1 AS one;
SELECT count(*), copies() FROM r WHERE v LIKE 'r0.%';
WITH u AS (UPDATE r SET v = plain.v FROM plain WHERE plain.id = r.id - 100 RETURNING r.id, plain.v, (SELECT count(*) FROM r)), e AS (DELETE FROM d WHERE id = 200 RETURNING v) SELECT * FROM u, e ORDER BY id;
WITH e AS (DELETE FROM r WHERE id > 200 RETURNING *) INSERT INTO plain SELECT * FROM e RETURNING *;
WITH u AS (UPDATE r SET id = id + 10 WHERE id < 103 RETURNING id) DELETE FROM plain USING u WHERE plain.id > 200;
SELECT id, v, copies() FROM r ORDER BY id;

-- an error in one part undoes all
\set VERBOSITY sqlstate
WITH e AS (DELETE FROM d RETURNING *) INSERT INTO archive SELECT k, id, (1 / (id - 12))::text FROM e;
WITH i AS (INSERT INTO archive VALUES (1, 1, 'x')) INSERT INTO d VALUES (12, 12, 'double');
SELECT (SELECT count(*) FROM d) AS d, (SELECT count(*) FROM archive) AS archive;
-- one table, two parts: not where one moves rows, or may update those it does not find
WITH e AS (DELETE FROM d WHERE id = 12), u AS (UPDATE d SET k = k + 1 WHERE id = 13) SELECT 1;
WITH e AS (DELETE FROM d WHERE id = 12), i AS (INSERT INTO d VALUES (13, 13, 'x') ON CONFLICT (k, id) DO UPDATE SET v = 'x') SELECT 1;
WITH e AS (DELETE FROM r WHERE id = 102), u AS (UPDATE r SET v = 'x' WHERE id = 103) SELECT 1;
\set VERBOSITY default
-- two or more parts change rows in their places, each other ones
BEGIN;
WITH e AS (DELETE FROM d WHERE id BETWEEN 12 AND 13 RETURNING id), u AS (UPDATE d SET v = 'u1' WHERE id = 14 RETURNING id, v), w AS (UPDATE d SET v = d.v || p.v FROM plain p WHERE p.id + 11 = d.id AND p.id > 3 RETURNING d.id, d.v)
SELECT * FROM (SELECT id, 'gone' AS v FROM e UNION ALL TABLE u UNION ALL TABLE w) x ORDER BY id;
SELECT id, v FROM d WHERE id BETWEEN 12 AND 16 ORDER BY id;
WITH u AS (UPDATE d SET v = 'u' WHERE id = 14 RETURNING id), e AS (DELETE FROM d WHERE id = 15 RETURNING v) UPDATE d SET v = d.v || e.v || u.id FROM e, u WHERE d.id = 16 RETURNING d.v;
SELECT id, v FROM d WHERE id BETWEEN 12 AND 16 ORDER BY id;
ROLLBACK;
-- of a row that both of them find one does something, the other one nothing
BEGIN;
WITH e AS (DELETE FROM d WHERE id BETWEEN 12 AND 15 RETURNING id), u AS (UPDATE d SET v = 'u' WHERE id BETWEEN 14 AND 17 RETURNING id)
SELECT (SELECT count(*) FROM e) + (SELECT count(*) FROM u) AS changed, EXISTS (SELECT FROM e JOIN u USING (id)) AS "by both";
WITH u AS (UPDATE d SET v = d.v || '+' RETURNING id) UPDATE d SET v = d.v || '-';
SELECT count(*) FROM d WHERE v LIKE '%-' AND v NOT LIKE '%+%';
WITH u AS (UPDATE d SET v = d.v || '*' RETURNING id) DELETE FROM d USING u WHERE u.id = d.id;
SELECT count(*) > 0 AS "all but the deleted" FROM d WHERE v LIKE '%*';
ROLLBACK;
EXPLAIN (COSTS OFF) WITH e AS (DELETE FROM d WHERE id < 3 RETURNING *) SELECT count(*) FROM e;
-- one of them may add rows, which the other does not see
BEGIN;
WITH e AS (DELETE FROM d WHERE id BETWEEN 12 AND 15 RETURNING *), i AS (INSERT INTO d SELECT k, id, 'again' FROM e RETURNING *) SELECT i.id, i.v, (SELECT count(*) FROM d WHERE v = 'again') FROM i ORDER BY 1;
WITH i AS (INSERT INTO d VALUES (900, 1, 'a'), (901, 1, 'b') RETURNING *), j AS (INSERT INTO d VALUES (902, 1, 'c')), u AS (UPDATE d SET v = d.v || '!' WHERE v = 'again' OR k >= 900 RETURNING k, v) SELECT * FROM u ORDER BY k;
SELECT k, v FROM d WHERE k >= 900 ORDER BY k;
WITH u AS (UPDATE d SET k = k + 5000 WHERE id BETWEEN 12 AND 13 RETURNING *), i AS (INSERT INTO d SELECT k - 5000, id, 'stays' FROM u RETURNING *) SELECT id, i.v, u.k - i.k AS moved FROM i JOIN u USING (id) ORDER BY id;
ROLLBACK;

-- MERGE
\set QUIET off
MERGE INTO d USING plain p ON p.id = d.id WHEN MATCHED AND p.id < 3 THEN DELETE WHEN MATCHED THEN UPDATE SET v = p.v WHEN NOT MATCHED THEN INSERT VALUES (p.id + 500, p.id, p.v);
MERGE INTO d USING d s ON s.id = d.id WHEN MATCHED THEN DO NOTHING;
MERGE INTO d USING plain p ON p.id + 11 = d.id WHEN MATCHED THEN UPDATE SET k = d.k + 700, v = 'moved';
WITH e AS (DELETE FROM plain WHERE id < 3 RETURNING *) MERGE INTO archive a USING e ON e.id = a.id WHEN NOT MATCHED THEN INSERT VALUES (e.id, e.id, e.v);
\set QUIET on
SELECT * FROM d WHERE k > 500 ORDER BY id;
-- conditions are evaluated in order, once for each row
CREATE SEQUENCE asked;
MERGE INTO d USING (SELECT 12 AS id) p ON p.id = d.id WHEN MATCHED AND nextval('asked') > 100 THEN DELETE WHEN MATCHED AND nextval('asked') = 2 THEN UPDATE SET v = 'second' || currval('asked') WHEN NOT MATCHED AND nextval('asked') > 3 THEN INSERT VALUES (1, 1);
SELECT v, (SELECT last_value FROM asked) FROM d WHERE id = 12;
SELECT k, id, v FROM archive ORDER BY id;
-- the condition of an action is not one of the join
BEGIN;
MERGE INTO d USING plain p ON p.id = d.id AND p.id > 2 WHEN MATCHED AND p.id < 0 THEN UPDATE SET v = 'first' WHEN MATCHED THEN UPDATE SET v = 'second';
SELECT id FROM d WHERE v = 'second' ORDER BY id;
ROLLBACK;
-- prepared
PREPARE upsert(int, text) AS MERGE INTO d USING (SELECT $1 AS k, $2 AS v) s ON s.k = d.k AND d.id = 0 WHEN MATCHED THEN UPDATE SET v = d.v || s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, 0, s.v);
EXECUTE upsert(3000, 'a'); EXECUTE upsert(3000, 'b'); EXECUTE upsert(3001, 'c');
SELECT * FROM d WHERE id = 0 ORDER BY k;
\set VERBOSITY sqlstate
-- a row is changed once only; constraints hold; nothing is left of what fails
MERGE INTO d USING (VALUES (1), (2)) v(x) ON d.id = 0 WHEN MATCHED THEN UPDATE SET v = 'twice';
MERGE INTO d USING (VALUES (1), (2)) v(x) ON d.id = 0 WHEN MATCHED AND x = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'twice';
MERGE INTO d USING (VALUES (1), (2)) v(x) ON false WHEN NOT MATCHED THEN INSERT VALUES (3000, 0);
MERGE INTO d USING (VALUES (1)) v(x) ON d.id = 0 WHEN MATCHED THEN UPDATE SET k = NULL;
MERGE INTO d USING plain p ON d.id = 0 AND p.id > 0 WHEN MATCHED THEN UPDATE SET (id, v) = (SELECT 1, 'x');
MERGE INTO r USING plain p ON p.id = r.id WHEN MATCHED THEN DELETE;
\set VERBOSITY default
SELECT * FROM d WHERE id = 0 ORDER BY k;

SET client_min_messages = error;
DROP SCHEMA plan_with CASCADE;
