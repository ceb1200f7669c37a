-- statement triggers of distributed tables fire once a statement, as those of local ones
SET client_min_messages = warning;
CREATE SCHEMA statement_triggers;
CREATE SCHEMA statement_triggers_local;
SET search_path = statement_triggers;
SET tessera.shard_count = 4;
SELECT count(*) > 0 FROM tessera.run_on_nodes('CREATE SCHEMA IF NOT EXISTS statement_triggers');
CREATE FUNCTION make_tables(place text) RETURNS void LANGUAGE plpgsql AS $f$
BEGIN
    PERFORM set_config('search_path', place, true);
    CREATE TABLE log (n serial, fired text);
    CREATE TABLE plain (k int, i int, v int DEFAULT 0, PRIMARY KEY (k, i));
    CREATE TABLE t (k int, i int, v int DEFAULT 0, PRIMARY KEY (k, i));
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO log (fired) VALUES (concat_ws(' ', TG_NAME, TG_TABLE_NAME, TG_WHEN, TG_OP, TG_LEVEL, TG_ARGV[0]));
        RETURN NULL;
    END $$;
    CREATE TRIGGER a_before BEFORE INSERT OR UPDATE OR DELETE ON t EXECUTE FUNCTION note();
    CREATE TRIGGER b_after AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note('x');
    CREATE TRIGGER c_of_v AFTER UPDATE OF v ON t EXECUTE FUNCTION note();
    CREATE TRIGGER d_when AFTER INSERT ON t WHEN (current_setting('app.wanted', true) = 'yes') EXECUTE FUNCTION note();
    CREATE TRIGGER e_empty BEFORE TRUNCATE ON t EXECUTE FUNCTION note();
    CREATE TRIGGER f_off AFTER INSERT ON t EXECUTE FUNCTION note();
    ALTER TABLE t DISABLE TRIGGER f_off;
    INSERT INTO plain SELECT k, i FROM generate_series(1, 8) k, generate_series(1, 3) i;
END $f$;
SELECT make_tables('statement_triggers_local');
SELECT make_tables('statement_triggers');
SELECT tessera.create_distributed_table('plain', 'k');
SELECT tessera.create_distributed_table('t', 'k');

-- what a statement does, and which triggers it fires, in both
CREATE FUNCTION outcome(place text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    count bigint;
    first bigint;
    said text;
BEGIN
    PERFORM set_config('search_path', place, true);
    SELECT coalesce(max(n), 0) INTO first FROM log;
    BEGIN
        EXECUTE statement;
        GET DIAGNOSTICS count = ROW_COUNT;
        said := count || ' done';
    EXCEPTION WHEN OTHERS THEN
        said := SQLSTATE || ' ' || SQLERRM;
    END;
    RETURN said || coalesce((SELECT string_agg(E'\n' || fired, '' ORDER BY n) FROM log WHERE n > first), '');
END $$;
CREATE FUNCTION same(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    here text := statement_triggers.outcome('statement_triggers', statement);
    there text := statement_triggers.outcome('statement_triggers_local', statement);
    equal bool;
BEGIN
    PERFORM set_config('search_path', 'statement_triggers', true);
    SELECT count(*) = 0 INTO equal FROM (
        (SELECT k, i, v FROM t EXCEPT ALL SELECT k, i, v FROM statement_triggers_local.t)
        UNION ALL (SELECT k, i, v FROM statement_triggers_local.t EXCEPT ALL SELECT k, i, v FROM t)) x;
    RETURN CASE WHEN here IS DISTINCT FROM there THEN 'DIFFERENT: ' || here || E'\nLOCAL: ' || there
                WHEN NOT equal THEN 'DIFFERENT ROWS' ELSE here END;
END $$;
\pset format unaligned
\pset tuples_only on

SELECT same('INSERT INTO t VALUES (1, 1)');
SELECT same('INSERT INTO t VALUES (1, 2), (2, 2), (3, 2), (4, 2)');
SELECT same('INSERT INTO t SELECT k, i + 10 FROM plain');
SELECT same('INSERT INTO t SELECT k, i + 20 FROM plain WHERE k = 3');
SELECT same('INSERT INTO t SELECT g, 30 FROM generate_series(1, 1200) g');
SELECT same('INSERT INTO t SELECT g, 40 FROM generate_series(1, 0) g');
SELECT same('INSERT INTO t VALUES (1, 1) ON CONFLICT DO NOTHING');
SELECT same('INSERT INTO t VALUES (1, 1) ON CONFLICT (k, i) DO UPDATE SET v = t.v + 1');
SELECT same('INSERT INTO t VALUES (1, 1) ON CONFLICT (k, i) DO UPDATE SET v = (SELECT count(*) FROM plain WHERE i = t.i)');
SELECT same('UPDATE t SET v = v + 1');
SELECT same('UPDATE t SET v = 7 WHERE k = 2');
SELECT same('UPDATE t SET v = 7 WHERE k = 9999');
SELECT same('UPDATE t SET i = i + 100 WHERE k = 2');
SELECT same('UPDATE t SET v = plain.i FROM plain WHERE plain.k = t.k AND plain.i = 1');
SELECT same('UPDATE t SET v = plain.i FROM plain WHERE plain.i = t.k AND plain.k = 2');
SELECT same('UPDATE t SET k = 2000 WHERE k = 4');
SELECT same('DELETE FROM t WHERE k = 3');
SELECT same('DELETE FROM t WHERE v = (SELECT max(i) FROM plain) AND k < 3');
SELECT same('DELETE FROM t WHERE false');
SELECT same('MERGE INTO t USING plain p ON t.k = p.k AND t.i = p.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (p.k, p.i, 5)');
SELECT same('MERGE INTO t USING (VALUES (1)) v (k) ON t.k = v.k AND t.k = 1 WHEN MATCHED THEN UPDATE SET v = 9');
SELECT same('WITH d AS (DELETE FROM t WHERE k = 5 RETURNING *) SELECT count(*) FROM d');
SELECT same('WITH d AS (DELETE FROM t WHERE k = 6 RETURNING *) INSERT INTO plain SELECT k, i + 100, v FROM d');
SELECT same('WITH d AS (DELETE FROM t WHERE i = 2 RETURNING *) SELECT count(*) FROM d');
SELECT same('WITH a AS (UPDATE t SET v = 1 WHERE k = 7 RETURNING *), b AS (INSERT INTO plain SELECT k, 700 + i FROM a RETURNING *) SELECT count(*) FROM b');
SELECT same('SELECT * FROM t WHERE k = 7 FOR UPDATE');
SELECT same($$COPY t FROM PROGRAM 'printf "21\t1\t1\n22\t1\t1\n"'$$);
SELECT same($$COPY t FROM PROGRAM 'true'$$);
SET app.wanted = 'yes';
SELECT same('INSERT INTO t VALUES (31, 1)');
RESET app.wanted;
SET session_replication_role = replica;
SELECT same('INSERT INTO t VALUES (32, 1)');
RESET session_replication_role;
SELECT same('ALTER TABLE t ENABLE TRIGGER f_off');
SELECT same('ALTER TRIGGER f_off ON t RENAME TO f_on');
SELECT same('INSERT INTO t VALUES (33, 1)');
SELECT same('DROP TRIGGER f_on ON t');
SELECT same('INSERT INTO t VALUES (34, 1)');
-- an error undoes all that they did
SELECT same('INSERT INTO t VALUES (34, 1)');
SELECT same('TRUNCATE t');

-- prepared statements, of one shard too, and plans that are shared
PREPARE put(int, int) AS INSERT INTO t VALUES ($1, $2);
TRUNCATE log;
EXECUTE put(1, 1);
EXECUTE put(2, 1);
EXECUTE put(3, 1);
INSERT INTO t VALUES (4, 1);
INSERT INTO t VALUES (5, 1);
UPDATE t SET v = 1 WHERE k = 1 AND i = 1;
UPDATE t SET v = 1 WHERE k = 2 AND i = 1;
SELECT fired, count(*) FROM log GROUP BY 1 ORDER BY fired COLLATE "C";
CREATE TRIGGER later AFTER INSERT ON t EXECUTE FUNCTION note();
EXECUTE put(6, 1);
DROP TRIGGER later ON t;
EXECUTE put(7, 1);
SELECT count(*) FROM log WHERE fired LIKE 'later%';

-- they may write, also to distributed tables, in the transaction of the statement
CREATE FUNCTION count_all() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE plain SET v = (SELECT count(*) FROM t) WHERE k = 1 AND i = 1;
    RETURN NULL;
END $$;
CREATE TRIGGER z_count AFTER INSERT OR DELETE ON t EXECUTE FUNCTION count_all();
INSERT INTO t VALUES (8, 1);
SELECT v FROM plain WHERE k = 1 AND i = 1;
DELETE FROM t WHERE k > 4;
SELECT v FROM plain WHERE k = 1 AND i = 1;
BEGIN;
DELETE FROM t;
SELECT v FROM plain WHERE k = 1 AND i = 1;
ROLLBACK;
SELECT v, (SELECT count(*) FROM t) FROM plain WHERE k = 1 AND i = 1;
DROP TRIGGER z_count ON t;
-- a BEFORE trigger comes after the statement has begun, which does not see what it writes
CREATE FUNCTION add_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO t VALUES (100, 1);
    RETURN NULL;
END $$;
CREATE TRIGGER add_one BEFORE UPDATE ON t EXECUTE FUNCTION add_one();
\set VERBOSITY terse
UPDATE t SET v = 50;
UPDATE t SET v = 51 WHERE k = 100 AND i = 1;
DROP TRIGGER add_one ON t;
CREATE TRIGGER add_one BEFORE INSERT ON plain EXECUTE FUNCTION add_one();
INSERT INTO plain SELECT k, i + 500 FROM t;
SELECT count(*) FROM plain WHERE i > 500;
SELECT count(*) FROM t WHERE k = 100;
DROP TRIGGER add_one ON plain;

-- refused: what looks at rows of a statement, and what would be fired unseen
CREATE TRIGGER r AFTER INSERT ON t REFERENCING NEW TABLE AS n EXECUTE FUNCTION note();
CREATE TRIGGER r AFTER TRUNCATE ON t EXECUTE FUNCTION note();
CREATE TABLE parents (k int PRIMARY KEY, v int);
SELECT tessera.create_distributed_table('parents', 'k');
ALTER TABLE t ADD FOREIGN KEY (k) REFERENCES parents ON DELETE CASCADE NOT VALID;
INSERT INTO parents VALUES (1, 1), (2, 2);
UPDATE parents SET v = 3;
DELETE FROM parents WHERE k = 50;
-- a distributed function runs here then; a trigger in a shard cannot
CREATE FUNCTION add_t(a int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (a, 9); END $$;
SELECT tessera.create_distributed_function('add_t', 'a', 't');
TRUNCATE log;
SELECT add_t(1);
SELECT fired FROM log ORDER BY n;
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = v + 1 WHERE k = NEW.k; RETURN NULL; END $$;
CREATE TRIGGER follow AFTER UPDATE ON parents FOR EACH ROW EXECUTE FUNCTION follow();
UPDATE parents SET v = 4 WHERE k = 1;
DROP TRIGGER a_before ON t;
DROP TRIGGER b_after ON t;
DROP TRIGGER c_of_v ON t;
UPDATE parents SET v = 4 WHERE k = 1;
SELECT v FROM t WHERE k = 1 AND i = 9;
DELETE FROM parents WHERE k = 2;
DROP SCHEMA statement_triggers, statement_triggers_local CASCADE;
