-- Changes in WITH, INSERT ... SELECT and MERGE that are bound to one shard go there
-- whole; UPDATE, DELETE and MERGE that join by the key go to all shards; others are
-- computed here.  All do what they do to local tables, and each row ends up in the
-- shard of its key.
CREATE SCHEMA plan_whole;
CREATE SCHEMA plan_whole_local;
SET search_path = plan_whole;
SET client_min_messages = warning;
CREATE TABLE d (k int, id int, v text);
CREATE TABLE e (k int, id int DEFAULT 7, v varchar(5) DEFAULT 'none', n numeric(6,2) DEFAULT 1.5,
	twice int GENERATED ALWAYS AS (k * 2) STORED, UNIQUE (k, id));
CREATE TABLE numbered (k int, id serial, other int GENERATED ALWAYS AS IDENTITY, v text);
CREATE TABLE wide (k bigint, n int);
CREATE TABLE r (id int PRIMARY KEY, v text);
CREATE TABLE loc (id int, v text);
INSERT INTO d SELECT i % 10, i, 'v' || i FROM generate_series(1, 60) i;
INSERT INTO d VALUES (NULL, 0, 'null');
INSERT INTO e SELECT i % 10, i, 'e' || i FROM generate_series(1, 20) i;
INSERT INTO r SELECT i, 'r' || i FROM generate_series(1, 8) i;
INSERT INTO loc SELECT i, 'l' || i FROM generate_series(1, 8) i;
SET search_path = plan_whole_local;
CREATE TABLE d AS TABLE plan_whole.d;
CREATE TABLE e (LIKE plan_whole.e INCLUDING ALL);
INSERT INTO e (k, id, v) SELECT k, id, v FROM plan_whole.e;
CREATE TABLE numbered (k int, id serial, other int GENERATED ALWAYS AS IDENTITY, v text);
CREATE TABLE wide (k bigint, n int);
CREATE TABLE r AS TABLE plan_whole.r;
CREATE TABLE loc AS TABLE plan_whole.loc;
SET search_path = plan_whole;
SELECT tessera.create_distributed_table('d', 'k', colocate_with => 'none', shard_count => 16);
SELECT tessera.create_distributed_table('e', 'k', colocate_with => 'd');
SELECT tessera.create_distributed_table('numbered', 'k', colocate_with => 'd');
SELECT tessera.create_distributed_table('wide', 'k', colocate_with => 'none', shard_count => 8);
SELECT tessera.create_reference_table('r');

-- run(twin, statement, a, b): the rows it gives, or how many it has changed, and what is in the tables then
CREATE FUNCTION run(twin text, statement text, a int, b int) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	result text[] := '{}';
	r record;
	n bigint;
	found_any boolean;
BEGIN
	PERFORM set_config('search_path', twin, true);
	BEGIN
		FOR r IN EXECUTE statement USING a, b LOOP
			result := result || r::text;
		END LOOP;
	EXCEPTION
		WHEN invalid_cursor_definition THEN
			EXECUTE statement USING a, b;
			GET DIAGNOSTICS n = ROW_COUNT;
			result := ARRAY[n::text];
	END;
	result := ARRAY(SELECT x FROM unnest(result) x ORDER BY x);
	FOR r IN EXECUTE $q$SELECT x FROM (SELECT 'd' || d FROM d UNION ALL SELECT 'e' || e FROM e UNION ALL SELECT 'n' || numbered FROM numbered
		UNION ALL SELECT 'w' || wide FROM wide UNION ALL SELECT 'r' || r FROM r UNION ALL SELECT 'l' || loc FROM loc) t(x) ORDER BY x$q$ LOOP
		result := result || r.x;
	END LOOP;
	RETURN result;
END $$;
-- planned(statement, a, b): whole, if one scan of one shard (for EXPLAIN none, of a NULL key) is all of the plan; sharded, if one of several is; or
-- computed
CREATE FUNCTION planned(statement text, a int DEFAULT 5, b int DEFAULT 5) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	nodes int := 0;
	shards text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement USING a, b LOOP
		nodes := nodes + (line ~ '->|^\w+ (on|Scan)|TesseraModify')::int;
		shards := COALESCE(shards, substring(line FROM '^  Shards: (\w+)'));
	END LOOP;
	RETURN CASE WHEN nodes > 1 OR shards IS NULL THEN 'computed' WHEN shards IN ('0', '1') THEN 'whole' ELSE 'sharded' END;
END $$;
-- how(statement, a, b): the same, and whether twins agree
CREATE FUNCTION how(statement text, a int DEFAULT 5, b int DEFAULT 5) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text := plan_whole.planned(statement, a, b);
	there text[] := plan_whole.run('plan_whole', statement, a, b);
	here text[] := plan_whole.run('plan_whole_local', statement, a, b);
BEGIN
	PERFORM set_config('search_path', 'plan_whole', true);
	RETURN plan || ', ' || CASE WHEN here = there THEN 'same' ELSE 'DIFFERENT' END;
END $$;

-- rows are moved to a colocated table
SELECT how('WITH m AS (DELETE FROM d WHERE k = 3 AND id < 30 RETURNING *) INSERT INTO e (k, id, v) SELECT k, id + 400, v FROM m');
SELECT how('WITH m AS (DELETE FROM d WHERE k = $1 AND id < 30 RETURNING *) INSERT INTO e (id, k) SELECT id + 500, k FROM m RETURNING k, id, v, n, twice');
SELECT how('WITH m AS (DELETE FROM d WHERE k = $1 RETURNING *) INSERT INTO e (id, k) SELECT id + 500, k FROM m RETURNING *', NULL);
-- ... through subqueries, joins and other WITH queries
SELECT how('WITH m AS (DELETE FROM d WHERE k = 4 AND id < 30 RETURNING *), o AS (SELECT m.k, m.id, x.v FROM m JOIN d x USING (k) WHERE x.id < 45 LIMIT 3) INSERT INTO e (k, id) SELECT k, max(id) + 700 FROM o GROUP BY k RETURNING k');
SELECT how('WITH m AS (DELETE FROM d USING r WHERE k = r.id AND k = 4 AND d.id < 50 RETURNING d.k, r.v, d.id) INSERT INTO e (v, k, id) SELECT v, k, id + 600 FROM m RETURNING v, id');
SELECT how('INSERT INTO e (k, id) SELECT k, id + 800 FROM d WHERE k = 5');
SELECT how('INSERT INTO e (k, id) SELECT k, id + 900 FROM d WHERE k = 5 UNION SELECT 5, 1000');
SELECT how('INSERT INTO wide SELECT w.k, d.id FROM wide w, r d WHERE w.k = 5 RETURNING *');
-- not with another key, or none
SELECT how('WITH m AS (DELETE FROM d WHERE k = 6 AND id < 20 RETURNING *) INSERT INTO e (k, id) SELECT k + 1, id FROM m');
SELECT how('WITH m AS (DELETE FROM d WHERE k = 6 AND id < 30 RETURNING *) INSERT INTO e (k, id) SELECT id, id FROM m');
SELECT how('INSERT INTO d SELECT k, count(*), ''rollup'' FROM d WHERE k = 6 GROUP BY ROLLUP (k)');
SELECT how('INSERT INTO d SELECT x.k, d.id, ''outer'' FROM d LEFT JOIN e x ON x.k = d.k AND x.id = d.id WHERE d.k = 6');
SELECT how('INSERT INTO d (id) SELECT id FROM d WHERE k = 6');
SELECT how('WITH m AS (DELETE FROM d WHERE k = $1 AND id < 40 RETURNING *) INSERT INTO d SELECT $2, id, v FROM m', 6, 7);
SELECT how('WITH m AS (DELETE FROM d WHERE k = 6 RETURNING *) INSERT INTO wide SELECT k, id FROM m');
SELECT how('WITH u AS (UPDATE d SET k = 8 WHERE k = 7 AND id < 20 RETURNING *) SELECT k, id FROM u');
SELECT how('WITH u AS (UPDATE d SET k = 8 WHERE k = 7 AND id < 30 RETURNING *) INSERT INTO e (k, id) SELECT k, id + 70 FROM u');
SELECT how('WITH u AS (UPDATE d SET v = ''u'' WHERE k IN (1, 2) RETURNING *) SELECT k, id FROM u');

-- rows of VALUES: what is new in each row is computed here, once
SELECT how('WITH o AS (INSERT INTO numbered (k, v) VALUES ($1, ''parent'') RETURNING *) INSERT INTO d SELECT k, id, v || other FROM o RETURNING *', 11);
SELECT how('WITH o AS (INSERT INTO numbered (v, k) VALUES (''a'', $1), (''b'', $1), (''c'', $1) RETURNING *) INSERT INTO d SELECT k, id, v || other FROM o RETURNING *', 11);
SELECT how('WITH o AS (INSERT INTO numbered (k) VALUES ($1) RETURNING *), l AS (INSERT INTO d VALUES ($1, currval(''numbered_id_seq''), ''l'')) SELECT k, id FROM o', NULL);
SELECT how('WITH o AS (INSERT INTO numbered (v, k) VALUES (''a'', $1), (''b'', $2) RETURNING *) SELECT * FROM o', 11, 12);
SELECT how('WITH o AS (INSERT INTO numbered (v, k) VALUES ((random() * 0 + $2)::text, $1) RETURNING *) SELECT v FROM o', 11, 12);
SELECT how('INSERT INTO numbered (k, v) SELECT k, v FROM d WHERE k = 11 AND id > 1');
SELECT how('WITH q AS (SELECT count(*) AS c FROM d WHERE k = 11) INSERT INTO e (k, id) VALUES (11, (SELECT c FROM q)), (11, 1000 + (SELECT c FROM q)) RETURNING *');
-- NULL is a key, too
SELECT how('WITH u AS (UPDATE d SET v = ''n'' WHERE k = $1) INSERT INTO e (k, id) VALUES ($1, 1) RETURNING *', NULL);
SELECT how('WITH u AS (UPDATE d SET v = ''n'' WHERE k = $1) INSERT INTO e (k, id) VALUES ($2, 1) RETURNING *', NULL, 15);
SELECT how('WITH i AS (INSERT INTO d VALUES (NULL, 1)) INSERT INTO e (id) VALUES (2)');
SELECT how('WITH u AS (UPDATE e SET v = ''null'' WHERE k IS NULL) INSERT INTO e (id) VALUES (3)');

-- all parts see the state before the statement; two of one table are no matter
SELECT how('WITH u AS (UPDATE d SET v = ''x'' WHERE k = 8 RETURNING id), i AS (INSERT INTO d VALUES (8, 100, ''new''), (8, 101, ''newer'') RETURNING id), x AS (DELETE FROM d WHERE k = 8 AND id = 100 RETURNING id) SELECT (SELECT count(*) FROM u), (SELECT count(*) FROM i), (SELECT count(*) FROM x), count(*) FROM d WHERE k = 8');
SELECT how('WITH x AS (DELETE FROM d WHERE k = 8 AND id < 20 RETURNING id) UPDATE d SET v = d.v || ''!'' FROM x WHERE d.k = 8 AND d.id > x.id RETURNING d.id');
SELECT how('WITH RECURSIVE t(k, id) AS (SELECT k, id FROM d WHERE k = 8 AND id = 28 UNION ALL SELECT t.k, d.id FROM t JOIN d ON d.k = t.k AND d.id = t.id + 10 WHERE d.k = 8), x AS (DELETE FROM d WHERE k = 8 AND id IN (SELECT id FROM t) RETURNING id) SELECT count(*) FROM x');
SELECT how('WITH c AS (INSERT INTO e (k, id, v) SELECT k, id, ''con'' FROM d WHERE k = 8 ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v || e.id RETURNING *) SELECT id, v FROM c');
SELECT how('WITH c AS (INSERT INTO e (k, id, v) SELECT k, id, ''no'' FROM d WHERE k = 8 ON CONFLICT DO NOTHING RETURNING *) SELECT id, v FROM c');
-- reference tables may be read; what changes them, local tables, or another shard is computed here
SELECT how('WITH u AS (UPDATE d SET v = r.v FROM r WHERE r.id = d.k AND d.k = 1 RETURNING d.id, r.v) SELECT * FROM u');
SELECT how('WITH u AS (UPDATE d SET v = ''r'' WHERE k = 1 RETURNING id) UPDATE r SET v = ''d'' WHERE id = 1');
SELECT how('WITH u AS (UPDATE r SET v = ''one'' WHERE id = 1 RETURNING id) SELECT d.id FROM d, u WHERE d.k = 1');
SELECT how('WITH u AS (UPDATE d SET v = loc.v FROM loc WHERE loc.id = d.k AND d.k = 1 RETURNING d.id) SELECT * FROM u');
SELECT how('WITH u AS (UPDATE d SET v = ''1'' WHERE k = 1), x AS (DELETE FROM e WHERE k = 2) SELECT 1');
SELECT how('WITH u AS (UPDATE d SET v = ''1'' WHERE k = 1 AND random() < 2 RETURNING id) SELECT * FROM u');

-- MERGE
\set into 'MERGE INTO d USING (VALUES ($1, ''m'')) s(k, v) ON d.k = s.k WHEN MATCHED AND d.id > 40 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v || d.id '
SELECT how(:'into' || 'WHEN NOT MATCHED THEN INSERT VALUES (s.k, 0, s.v)', 2);
SELECT how(:'into' || 'WHEN NOT MATCHED THEN INSERT VALUES (s.k, 0, s.v)', 22);
SELECT how(:'into' || 'WHEN NOT MATCHED THEN INSERT VALUES (s.k, 0, s.v)', NULL);
SELECT how(:'into' || 'WHEN NOT MATCHED THEN INSERT VALUES ($1, 0, s.v)', 23);
SELECT how(:'into' || 'WHEN NOT MATCHED THEN INSERT VALUES ($2, 0, s.v)', 24, 25);
SELECT how(:'into' || 'WHEN NOT MATCHED THEN INSERT VALUES (s.k + 1, 0, s.v)', 26);
SELECT how(:'into' || 'WHEN NOT MATCHED THEN INSERT (id) VALUES (0)', 27);
SELECT how(:'into' || 'WHEN NOT MATCHED THEN DO NOTHING', 28);
SELECT how(:'into', 9);
SELECT how('MERGE INTO wide USING (SELECT 5 AS k, $1 AS n) s ON wide.k = s.k WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.n)');
SELECT how('MERGE INTO d USING (SELECT * FROM e WHERE k = 3) s ON d.k = s.k AND d.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.id, s.v)');
SELECT how('MERGE INTO d USING r s ON d.k = 3 AND d.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (3, s.id, s.v)');
SELECT how('WITH s AS (DELETE FROM e WHERE k = 3 RETURNING *) MERGE INTO d USING s ON d.k = s.k AND d.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.id, s.v)');
-- rows of the source that the condition leaves out are not matched: they would be of other shards
SELECT how('MERGE INTO d USING e s ON d.k = s.k AND d.id = s.id AND s.k = 4 WHEN NOT MATCHED AND s.k = 4 THEN INSERT VALUES (s.k, s.id, s.v)');
SELECT how('MERGE INTO d USING e s ON d.k = s.k AND d.id = s.id AND s.k = 4 WHEN MATCHED THEN UPDATE SET v = s.v || ''m''');
SELECT how('MERGE INTO d USING r s ON d.k = s.id AND d.k = 4 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 0, ''not 4'')');
SELECT how('MERGE INTO d USING (SELECT 4 AS k) s ON d.k = s.k WHEN MATCHED AND d.id < 30 THEN UPDATE SET k = 30');
SELECT how('MERGE INTO d USING (SELECT 4 AS k) s ON d.k = s.k WHEN MATCHED THEN UPDATE SET k = s.k, v = ''kept''');
SELECT how('MERGE INTO e USING (SELECT 4 AS k) s ON e.k = s.k WHEN MATCHED AND EXISTS (SELECT FROM d WHERE d.k = s.k AND d.id = e.id) THEN DELETE');
SELECT how('MERGE INTO e USING (SELECT 4 AS k) s ON e.k = s.k WHEN MATCHED AND EXISTS (SELECT FROM d WHERE d.id = e.id) THEN DELETE');

-- joins by the key, with colocated tables and with reference tables
INSERT INTO e (k, v) VALUES (NULL, 'null');
INSERT INTO plan_whole_local.e (k, v) VALUES (NULL, 'null');
SELECT how('UPDATE d SET v = e.v FROM e WHERE d.k = e.k AND d.id = e.id');
SELECT how('UPDATE d SET v = e.v || d.v FROM e WHERE d.k = e.k AND d.id = e.id AND e.id > 2 RETURNING d.id, e.v, e.twice, d.k = e.k');
SELECT how('UPDATE d SET k = e.k, v = ''key'' FROM e WHERE d.k = e.k AND d.id = e.id RETURNING d.k');
SELECT how('UPDATE d SET v = now()::text FROM e WHERE d.k = e.k AND d.id = e.id AND d.k IN (1, 2, 3) AND false');
SELECT how('UPDATE d SET v = r.v FROM r WHERE r.id = d.id RETURNING d, r');
SELECT how('UPDATE d SET v = COALESCE(e.v, ''none'') FROM d x LEFT JOIN e ON e.k = x.k AND e.id = x.id WHERE x.k = d.k AND x.id = d.id');
SELECT how('WITH m AS (SELECT k, max(id) AS id FROM e GROUP BY k) UPDATE d SET v = m.id::text FROM m WHERE m.k = d.k AND d.id < 30');
SELECT how('DELETE FROM d USING e WHERE d.k = e.k AND d.id = e.id AND d.id IN (12, 13) RETURNING d.*, e.v');
SELECT how('DELETE FROM d WHERE EXISTS (SELECT FROM e WHERE e.k = d.k AND e.id = d.id AND e.id IN (14, 15))');
SELECT how('DELETE FROM d WHERE k IN (SELECT k FROM e WHERE id = 16) AND id = 16 RETURNING id');
SELECT how('DELETE FROM d WHERE id IN (SELECT id + 16 FROM r WHERE v = ''r1'') AND NOT EXISTS (SELECT FROM e WHERE e.k = d.k AND e.id = 600)');
SELECT how('UPDATE d SET v = (SELECT max(v) FROM e WHERE e.k = d.k) WHERE id < 20 RETURNING id, v');
SELECT how('UPDATE d SET (id, v) = (SELECT max(id), max(v) FROM e WHERE e.k = d.k) WHERE id = 22 RETURNING id, v');
SELECT how('MERGE INTO d USING e s ON d.k = s.k AND d.id = s.id WHEN MATCHED AND s.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v, k = s.k WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.id, s.v)');
SELECT how('MERGE INTO d USING (SELECT k, count(*) AS n FROM e GROUP BY k) s ON d.k = s.k WHEN MATCHED AND d.id < n THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, n, ''n'')');
SELECT how('MERGE INTO d USING r s ON d.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v');
-- other joins are computed here: a row would meet those of other shards, or be inserted in the wrong one, or in all
SELECT how('UPDATE d SET v = ''joined'' FROM e WHERE d.id = e.id AND e.id < 5');
SELECT how('UPDATE d SET v = ''r'' FROM r LEFT JOIN e ON e.id = r.id WHERE d.k = COALESCE(e.k, r.id) AND d.id = 8');
SELECT how('UPDATE d SET v = ''first'' FROM (SELECT k, id FROM e ORDER BY id, k LIMIT 1) e WHERE d.k = e.k AND d.id = e.id');
SELECT how('UPDATE d SET v = (SELECT count(*) FROM e) WHERE id < 5');
SELECT how('UPDATE d SET k = e.k + 1 FROM e WHERE d.k = e.k AND d.id = e.id AND d.id = 8');
SELECT how('DELETE FROM d WHERE id IN (SELECT max(id) FROM e GROUP BY v)');
SELECT how('DELETE FROM d WHERE k NOT IN (SELECT k FROM e)');
SELECT how('DELETE FROM d USING loc WHERE d.id = loc.id AND loc.id = 7');
SELECT how('MERGE INTO d USING r s ON d.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.id, s.v)');
SELECT how('MERGE INTO d USING e s ON d.k = s.k AND d.id = s.id WHEN NOT MATCHED AND s.id < 10 THEN INSERT VALUES (s.id, s.id, s.v)');
SELECT how('MERGE INTO d USING (SELECT x.k, r.id FROM r LEFT JOIN e x ON x.id = r.id AND x.id < 4) s ON d.k = s.k AND d.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.id, ''outer'')');
SELECT how('MERGE INTO d USING e s ON d.id = s.id WHEN MATCHED AND d.k < 5 AND s.id < 5 AND d.k = s.k THEN UPDATE SET v = ''id''');

-- each row is where it is looked for
DO $$
DECLARE
	r record;
	n bigint;
BEGIN
	FOR r IN SELECT t, k, count(*) AS n FROM (SELECT 'd', k FROM d UNION ALL SELECT 'e', k FROM e UNION ALL SELECT 'numbered', k FROM numbered UNION ALL SELECT 'wide', k FROM wide) x(t, k) GROUP BY t, k LOOP
		EXECUTE format('SELECT count(*) FROM %I WHERE k %s', r.t, COALESCE('= ' || r.k, 'IS NULL')) INTO n;
		IF n <> r.n THEN
			RAISE EXCEPTION '% of % rows of % with key % are found', n, r.n, r.t, r.k;
		END IF;
	END LOOP;
END $$;

-- command tags
\set QUIET off
WITH u AS (UPDATE d SET v = 'tag' WHERE k = 1) INSERT INTO e (k, id) VALUES (1, 2001), (1, 2002);
WITH i AS (INSERT INTO e (k, id) VALUES (1, 2003)) SELECT 1 AS one WHERE false;
MERGE INTO e USING (SELECT 1 AS k, generate_series(2002, 2004) AS id) s ON e.k = s.k AND e.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.id);
\set QUIET on
SELECT id FROM e WHERE k = 1 AND id > 2000 ORDER BY id;
-- generic plans: two parameters may be of two shards; one is of one, and may be NULL
SET plan_cache_mode = force_generic_plan;
PREPARE two(int, int) AS WITH u AS (UPDATE d SET v = 'two' WHERE k = $1 RETURNING id) INSERT INTO e (k, id) VALUES ($2, 3000) RETURNING (SELECT count(*) FROM u), k;
PREPARE one(int) AS WITH u AS (UPDATE d SET v = 'one' WHERE k = $1 RETURNING id) INSERT INTO e (k, id) VALUES ($1, 3001) RETURNING (SELECT count(*) FROM u), k;
SELECT planned('EXECUTE one(1)') AS one, planned('EXECUTE two(1, 2)') AS two;
EXECUTE two(1, 2);
EXECUTE one(1);
EXECUTE one(2);
EXECUTE one(NULL);
SELECT k FROM e WHERE id IN (3000, 3001) ORDER BY k;
SELECT count(*) FROM e WHERE k IS NULL AND id = 3001;
RESET plan_cache_mode;
-- FOUND, and rows that nobody asks for
DO $$
BEGIN
	WITH u AS (UPDATE plan_whole.d SET v = 'found' WHERE k = 1 RETURNING 1) INSERT INTO plan_whole.e (k, id) SELECT 1, 3002 WHERE false;
	RAISE WARNING 'found: %', FOUND;
	MERGE INTO plan_whole.e USING (SELECT 1 AS k) s ON e.k = s.k AND e.id = 3001 WHEN MATCHED THEN UPDATE SET v = 'f';
	RAISE WARNING 'found: %', FOUND;
	PERFORM 1 FROM (SELECT 1) s;
	FOR i IN 1 .. 2 LOOP
		EXECUTE 'WITH i AS (INSERT INTO plan_whole.e (k, id) VALUES (1, $1) RETURNING id) SELECT * FROM i, generate_series(1, 100)' USING 4000 + i;
	END LOOP;
END $$;
SELECT count(*) FROM d WHERE k = 1 AND v = 'found';
SELECT count(*) FROM e WHERE k = 1 AND id > 4000;
-- what is open does not see it: neither of the tables
BEGIN;
DECLARE c CURSOR FOR SELECT (SELECT count(*) FROM d WHERE k = 1), count(*) FROM e WHERE k = 1;
DECLARE c2 CURSOR FOR SELECT count(*) FROM e;
DECLARE c3 CURSOR FOR SELECT count(*) FROM d;
SELECT (SELECT count(*) FROM d) AS d, (SELECT count(*) FROM e) AS e, (SELECT count(*) FROM d WHERE k = 1) AS d1, (SELECT count(*) FROM e WHERE k = 1) AS e1;
WITH x AS (DELETE FROM d WHERE k = 1), y AS (DELETE FROM e WHERE k = 1) SELECT 1 AS one;
FETCH c;
FETCH c2;
FETCH c3;
SELECT (SELECT count(*) FROM d WHERE k = 1) AS d1, (SELECT count(*) FROM e WHERE k = 1) AS e1;
-- locks are those of the statement, of all of its tables
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('d'::regclass, 'e'::regclass) AND mode = 'RowExclusiveLock' ORDER BY 1;
ROLLBACK;
SELECT count(*) FROM d WHERE k = 1;
-- an error in one part undoes all
\set VERBOSITY sqlstate
WITH u AS (UPDATE d SET v = 'error' WHERE k = 1) INSERT INTO e (k, id) VALUES (1, 4001);
MERGE INTO e USING (SELECT 1 AS k, generate_series(1, 2) AS n) s ON e.k = s.k AND e.id = 4001 WHEN MATCHED THEN UPDATE SET v = s.n::text;
SELECT count(*) FROM d WHERE v = 'error';
-- a key that ON CONFLICT changes
WITH c AS (INSERT INTO e (k, id, v) SELECT k, id, 'k' FROM d WHERE k = 8 ON CONFLICT (k, id) DO UPDATE SET k = e.k + 20) SELECT 1;
-- rights on all tables that are written; read only transactions
CREATE ROLE regress_plan_whole;
GRANT USAGE ON SCHEMA plan_whole TO regress_plan_whole;
GRANT SELECT, DELETE ON d TO regress_plan_whole;
GRANT SELECT ON e TO regress_plan_whole;
SET ROLE regress_plan_whole;
WITH m AS (DELETE FROM d WHERE k = 1 RETURNING *) INSERT INTO e (k, id) SELECT k, id FROM m;
MERGE INTO d USING (SELECT 1 AS k) s ON d.k = s.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.k, 1);
RESET ROLE;
BEGIN READ ONLY;
WITH m AS (DELETE FROM d WHERE k = 1 RETURNING *) SELECT count(*) FROM m;
ROLLBACK;
\set VERBOSITY default

SET client_min_messages = error;
DROP SCHEMA plan_whole, plan_whole_local CASCADE;
DROP ROLE regress_plan_whole;
