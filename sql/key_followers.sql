-- An UPDATE of the distribution key, and rows that refer to those that move: as
-- local tables do it.
CREATE SCHEMA key_followers;
CREATE SCHEMA key_followers_local;
SET tessera.shard_count = 8;
CREATE FUNCTION public.key_followers_make(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', schema, true);
    CREATE TABLE p (k int, id int, "V" text, PRIMARY KEY (k, id));
    -- all of them follow; theirs do, too
    CREATE TABLE c (k int, id int, p int, PRIMARY KEY (k, id), FOREIGN KEY (k, p) REFERENCES p ON UPDATE CASCADE ON DELETE CASCADE);
    CREATE TABLE g (k int, c int, FOREIGN KEY (k, c) REFERENCES c ON UPDATE CASCADE);
    -- none may be there
    CREATE TABLE d (k int, p int, FOREIGN KEY (k, p) REFERENCES p ON DELETE CASCADE);
    CREATE TABLE n (k int, p int, FOREIGN KEY (k, p) REFERENCES p ON DELETE SET NULL (p));
    -- a table that refers to itself
    CREATE TABLE t (k int, id int, parent int, PRIMARY KEY (k, id), FOREIGN KEY (k, parent) REFERENCES t ON UPDATE CASCADE);
    INSERT INTO p SELECT i, j, i || '.' || j FROM generate_series(1, 6) i, generate_series(1, 3) j;
    INSERT INTO c SELECT k, id * 10, id FROM p WHERE id < 3;
    INSERT INTO g SELECT k, id FROM c WHERE k < 4;
    INSERT INTO d VALUES (5, 3);
    INSERT INTO n VALUES (6, 3);
    INSERT INTO t SELECT k, id, id - 1 FROM p WHERE id > 1 AND k = 1 UNION ALL SELECT 1, 1, NULL UNION ALL SELECT k, id, NULL FROM p WHERE k > 2;
END $$;
SELECT public.key_followers_make('key_followers_local');
SELECT public.key_followers_make('key_followers');
SET search_path = key_followers;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table(t, 'k') FROM unnest('{p,c,g,d,n,t}'::regclass[]) t;
RESET client_min_messages;
-- the error, or the rows that all tables have afterwards; and if it is not the same for local tables
CREATE FUNCTION does(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place text;
    said text[];
    message text;
    detail text;
    rows text;
BEGIN
    FOREACH place IN ARRAY '{key_followers,key_followers_local}'::text[] LOOP
        PERFORM set_config('search_path', place || ', key_followers', true);
        BEGIN
            EXECUTE statement;
            SET CONSTRAINTS ALL IMMEDIATE;
            SELECT string_agg(r, ' ' ORDER BY r) INTO rows FROM (SELECT 'p' || p FROM p UNION ALL SELECT 'c' || c FROM c UNION ALL SELECT 'g' || g FROM g UNION ALL SELECT 'd' || d FROM d UNION ALL SELECT 'n' || n FROM n UNION ALL SELECT 't' || t FROM t) x (r);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            rows := concat_ws(' / ', SQLSTATE, message, detail);
        END;
        said := said || rows;
    END LOOP;
    RETURN CASE WHEN said[1] = said[2] AND said[1] ~ '^[0-9A-Z]{5} ' THEN said[1]
                WHEN said[1] = said[2] THEN 'same rows'
                ELSE E'DIFFERENT\n' || said[1] || E'\n' || said[2] END;
END $$;

-- nothing refers to them
SELECT does('UPDATE p SET k = k + 100 WHERE id = 3 AND k < 5');
SELECT does('UPDATE t SET k = 7 WHERE k = 4');
-- rows follow, over two tables, with other columns of the key as well
SELECT does('UPDATE p SET k = 11 WHERE k = 1 AND id = 1');
SELECT does('UPDATE p SET k = k + 20, id = id + 5 WHERE k IN (2, 3) RETURNING *');
SELECT does('UPDATE c SET k = k WHERE k = 1');
SELECT count(*) FROM g JOIN c ON c.k = g.k AND c.id = g.c JOIN p ON p.k = c.k AND p.id = c.p;
SELECT k, count(*), max("V") FROM p GROUP BY k ORDER BY k;
-- some stay in their shard, some move
SELECT does('UPDATE p SET k = k + 1000 WHERE id < 3');
SELECT does('UPDATE c SET k = k + 1, p = NULL WHERE k > 1020');
-- computed here, from other tables
SELECT does('UPDATE p SET k = x.n FROM (SELECT 1005 AS old, 505 AS n) x WHERE p.k = x.old AND p.id = 1');
-- to a key that another row has until it moves itself
SELECT does('INSERT INTO p VALUES (801, 1), (802, 1)');
SELECT does('INSERT INTO c VALUES (801, 1, 1)');
SELECT does('UPDATE p SET k = k + 1 WHERE k IN (801, 802)');
-- refused where rows refer, as PostgreSQL says it
SELECT does('UPDATE p SET k = 50 WHERE k = 5 AND id = 3');
SELECT does('UPDATE p SET k = 60 WHERE k = 6 AND id = 3');
SELECT does('UPDATE c SET k = 77 WHERE k = 1001');
-- MERGE, and a table that refers to itself, only where no row does
SELECT does('MERGE INTO p USING (VALUES (103)) s (k) ON p.k = s.k WHEN MATCHED THEN UPDATE SET k = 104');
SELECT does('UPDATE t SET k = 8 WHERE k = 1 AND id = 3');
\set VERBOSITY terse
MERGE INTO p USING (VALUES (505)) s (k) ON p.k = s.k WHEN MATCHED THEN UPDATE SET k = 506;
UPDATE t SET k = 9 WHERE k = 1;
\set VERBOSITY default

-- in a transaction, undone and done; with a cursor over what moves
BEGIN;
DECLARE x CURSOR FOR SELECT c.* FROM c WHERE k = 505;
UPDATE p SET k = 5 WHERE k = 505;
FETCH ALL FROM x;
SELECT * FROM c WHERE k = 5;
ROLLBACK;
SELECT * FROM c WHERE k IN (5, 505);
WITH u AS (UPDATE p SET k = 5 WHERE k = 505 RETURNING *) SELECT * FROM u;
SELECT * FROM c WHERE k IN (5, 505);

-- by a role that may change the table, and not even read those that refer to it
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN
    LOCK pg_authid;
    IF to_regrole(''regress_mover'') IS NULL THEN CREATE ROLE regress_mover LOGIN; END IF;
END'$$) WHERE NOT success;
GRANT USAGE ON SCHEMA key_followers TO regress_mover;
GRANT SELECT, INSERT, UPDATE, DELETE ON p TO regress_mover;
INSERT INTO p SELECT k, 1 FROM generate_series(701, 709) k;
INSERT INTO c VALUES (701, 1, 1);
INSERT INTO d VALUES (702, 1);
SET ROLE regress_mover;
UPDATE p SET k = 713 WHERE k = 703 RETURNING *;
UPDATE p SET k = k + 10 WHERE k BETWEEN 704 AND 709;
SELECT count(*) FROM p WHERE k > 712 AND k < 720;
\set VERBOSITY terse
UPDATE p SET k = k + 50 WHERE k = 702;
-- they follow if it may change them
UPDATE p SET k = k + 50 WHERE k = 701;
-- what it has written, the owner's session does not see
\set VERBOSITY sqlstate
BEGIN;
UPDATE p SET "V" = 'z' WHERE k > 700 AND k < 800;
UPDATE p SET k = k + 50 WHERE k > 712 AND k < 720;
ROLLBACK;
RESET ROLE;
SELECT * FROM c WHERE k > 700 AND k < 800;
GRANT SELECT, UPDATE ON c, g TO regress_mover;
GRANT INSERT, DELETE ON c TO regress_mover;
SET ROLE regress_mover;
UPDATE p SET k = k + 50 WHERE k = 701;
RESET ROLE;
SELECT * FROM c WHERE k > 700 AND k < 800;
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA key_followers, key_followers_local CASCADE;
DROP FUNCTION public.key_followers_make(text);
SELECT count(*) FROM tessera.run_on_nodes('DROP OWNED BY regress_mover') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_mover; END'$$) WHERE NOT success;
