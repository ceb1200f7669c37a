-- Parts of WITH that insert into one table, some of them with ON CONFLICT DO
-- UPDATE: as local tables do it.
CREATE SCHEMA with_inserts;
CREATE SCHEMA with_inserts_local;
CREATE FUNCTION public.with_inserts_make(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', schema, true);
    CREATE TABLE t (k int, id int, v text, n int DEFAULT 5, PRIMARY KEY (k, id), UNIQUE (k, n));
    CREATE TABLE c (k text COLLATE "C", v text);
    CREATE UNIQUE INDEX ON c (k);
    CREATE TABLE s (k int, id int, v int, parent int, PRIMARY KEY (k, id), FOREIGN KEY (k, parent) REFERENCES s ON UPDATE CASCADE);
    CREATE TABLE o (k int, v text);
    INSERT INTO t SELECT i, 0, 'old' || i, i FROM generate_series(1, 9) i;
    INSERT INTO c SELECT 'c' || i, 'old' FROM generate_series(1, 9) i;
    INSERT INTO s SELECT i, i FROM generate_series(1, 9) i;
    INSERT INTO o SELECT i, 'o' || i FROM generate_series(1, 9) i;
END $$;
SELECT public.with_inserts_make('with_inserts_local');
SELECT public.with_inserts_make('with_inserts');
SET search_path = with_inserts;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('t', 'k', shard_count => 8);
SELECT tessera.create_distributed_table('c', 'k', shard_count => 8);
SELECT tessera.create_distributed_table('s', 'k', shard_count => 8);
RESET client_min_messages;
-- what the statement returns, and the rows afterwards, or the error; and if it is not the same for local tables
CREATE FUNCTION does(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place text;
    said text[];
    answer text;
    message text;
    hint text;
    r record;
BEGIN
    FOREACH place IN ARRAY '{with_inserts,with_inserts_local}'::text[] LOOP
        PERFORM set_config('search_path', place || ', with_inserts', true);
        answer := '';
        BEGIN
            FOR r IN EXECUTE statement LOOP
                answer := answer || r::text || ' ';
            END LOOP;
            answer := answer || '/ ' || (SELECT coalesce(string_agg(x, ' ' ORDER BY x), '') FROM (SELECT 't' || t FROM t WHERE v !~ '^old' OR k > 9 UNION ALL SELECT 'c' || c FROM c WHERE v <> 'old') x (x));
            RAISE EXCEPTION USING ERRCODE = 'UNDO0';
        EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
            NULL;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
            answer := concat_ws(' / ', SQLSTATE, message, CASE WHEN SQLSTATE = '0A000' THEN hint END);
        END;
        said := said || answer;
        EXIT WHEN answer ~ '^0A000';
    END LOOP;
    RETURN CASE WHEN said[2] IS NULL OR said[1] = said[2] THEN said[1]
                WHEN left(said[1], 5) = left(said[2], 5) AND said[1] ~ '^23' THEN left(said[1], 5)
                ELSE E'DIFFERENT\n' || said[1] || E'\n' || said[2] END;
END $$;

-- two and three parts, each with other rows; the main part one of them, or not
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a'', 1), (11, 0, ''a'', 1) ON CONFLICT (k, id) DO UPDATE SET v = t.v || EXCLUDED.v RETURNING k, v), b AS (INSERT INTO t VALUES (2, 0, ''b'', 1), (12, 0, ''b'', 1) ON CONFLICT (id, k) DO UPDATE SET v = EXCLUDED.v || t.n RETURNING k, v) SELECT * FROM a UNION ALL SELECT * FROM b ORDER BY k');
SELECT does('WITH a AS (INSERT INTO t VALUES (3, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v, k = EXCLUDED.k) INSERT INTO t VALUES (4, 0, ''m''), (13, 0, ''m'') ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET v = EXCLUDED.v RETURNING k, id, v, (SELECT count(*) FROM t)');
SELECT does('WITH a AS (INSERT INTO t VALUES (14, 0, ''plain'', 4), (14, 1, ''plain'', 6)), b AS (INSERT INTO t VALUES (5, 0, ''b'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v), d AS (INSERT INTO t VALUES (6, 0, ''no''), (15, 0, ''new'') ON CONFLICT DO NOTHING RETURNING k) SELECT * FROM d');
SELECT does('WITH a AS (INSERT INTO c VALUES (''c1'', ''a''), (NULL, ''a'') ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v RETURNING *), b AS (INSERT INTO c SELECT ''c'' || k, v FROM o WHERE k BETWEEN 2 AND 3 ON CONFLICT (k) DO UPDATE SET v = c.v || EXCLUDED.v RETURNING *), n AS (INSERT INTO c (v) VALUES (''null'')) SELECT * FROM a UNION ALL SELECT * FROM b ORDER BY k');
-- rows of one part are those of another; all see the table as it was
SELECT does('WITH a AS (INSERT INTO t SELECT k, 0, ''a'' FROM o WHERE k < 4 ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v RETURNING k, v) INSERT INTO t SELECT k + 3, 0, v || ''+'' FROM a ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v || (SELECT count(*) FROM t WHERE v LIKE ''old%'') RETURNING k, v');
-- DO UPDATE computed here
SELECT does('WITH a AS (INSERT INTO t VALUES (7, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = (SELECT v FROM o WHERE o.k = t.k) RETURNING k, v), b AS (INSERT INTO t VALUES (8, 0, ''b''), (17, 0, ''b'') ON CONFLICT (k, id) DO UPDATE SET v = (SELECT string_agg(x.v, '','' ORDER BY x.k) FROM t x WHERE x.k < t.k) RETURNING k, v) SELECT * FROM a UNION ALL SELECT * FROM b ORDER BY k');
-- a row that another part has updated or inserted
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a''), (2, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v), b AS (INSERT INTO t VALUES (1, 0, ''b'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v) SELECT 1');
SELECT does('WITH a AS (INSERT INTO t VALUES (21, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v RETURNING *), m AS (INSERT INTO t TABLE a ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v) SELECT 1');
SELECT does('WITH a AS (INSERT INTO t VALUES (21, 0, ''a'') RETURNING *) INSERT INTO t TABLE a ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v || random() RETURNING k');
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = random() RETURNING *) INSERT INTO t TABLE a RETURNING k');
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v RETURNING *) INSERT INTO t SELECT k, id, ''n'' FROM a ON CONFLICT DO NOTHING RETURNING *');
-- by another unique index
SELECT does('WITH a AS (INSERT INTO t VALUES (31, 1, ''a'', 7) ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v RETURNING k), b AS (INSERT INTO t SELECT k, 2, ''b'', 7 FROM a ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v) SELECT 1');
-- thousands of rows
SELECT does('WITH a AS (INSERT INTO t SELECT 1000 + i, 0, ''old a'' FROM generate_series(1, 1500) i), b AS (INSERT INTO t SELECT 2999 - i, 0, ''old b'' FROM generate_series(1, 1500) i ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v) SELECT 1');
SELECT does('WITH a AS (INSERT INTO t SELECT 1000 + i, 0, ''old a'' FROM generate_series(1, 1500) i), b AS (INSERT INTO t SELECT 4001 - i, 0, ''old b'' FROM generate_series(1, 1500) i ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v RETURNING n) SELECT count(*), sum(n) FROM b') ~ '^\(1500,7500\)' AS done;
-- refused where it cannot be known: rows that a part may have left alone, other columns,
-- columns that change, a table that refers to itself
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v WHERE t.k > 5 RETURNING k), b AS (INSERT INTO t VALUES (2, 0, ''w'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v) SELECT count(*) FROM a');
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a''), (2, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v WHERE t.k > 5 RETURNING k), b AS (INSERT INTO t VALUES (1, 0, ''w'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v WHERE (SELECT count(*) FROM a) = 0) SELECT 1');
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a'') ON CONFLICT DO NOTHING RETURNING k), b AS (INSERT INTO t SELECT 1 + count(*), 0, ''w'' FROM a ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v) SELECT 1');
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v), b AS (INSERT INTO t VALUES (2, 5, ''b'', 2) ON CONFLICT (k, n) DO UPDATE SET v = EXCLUDED.v) SELECT 1');
SELECT does('WITH a AS (INSERT INTO t VALUES (1, 0, ''a'')), b AS (INSERT INTO t VALUES (2, 0, ''b'') ON CONFLICT (k, id) DO UPDATE SET id = 77) SELECT 1');
SELECT does('WITH a AS (INSERT INTO s VALUES (1, 50)), b AS (INSERT INTO s VALUES (2, 2) ON CONFLICT (k, id) DO UPDATE SET v = 77) SELECT 1');
SELECT does('WITH a AS (DELETE FROM t WHERE k = 1), b AS (INSERT INTO t VALUES (2, 0, ''b'') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v) SELECT 1');
SELECT does('WITH a AS (UPDATE t SET k = 50 WHERE k = 1), b AS (UPDATE t SET v = ''x'' WHERE k = 2) SELECT 1');

\set VERBOSITY sqlstate
WITH a AS (INSERT INTO t VALUES (1, 0, 'a') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v) MERGE INTO t USING o ON o.k = t.k WHEN MATCHED THEN UPDATE SET v = o.v;
\set VERBOSITY default

-- prepared
PREPARE two_parts(int, int) AS WITH a AS (INSERT INTO t VALUES ($1, 0, 'pa') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v || t.v) INSERT INTO t VALUES ($2, 0, 'pb') ON CONFLICT (k, id) DO UPDATE SET v = EXCLUDED.v || t.v RETURNING k, v;
EXECUTE two_parts(1, 2);
SET plan_cache_mode = force_generic_plan;
EXECUTE two_parts(2, 1);
\set VERBOSITY sqlstate
EXECUTE two_parts(1, 1);
EXECUTE two_parts(12, 12);
\set VERBOSITY default
RESET plan_cache_mode;
SELECT k, v FROM t WHERE k < 3 AND id = 0 ORDER BY k;

SET client_min_messages = warning;
DROP SCHEMA with_inserts, with_inserts_local CASCADE;
DROP FUNCTION public.with_inserts_make(text);
