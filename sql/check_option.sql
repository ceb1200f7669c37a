-- The errors of check options of views, and of domains, read like those of local tables.
CREATE SCHEMA check_option;
CREATE SCHEMA check_option_local;
SELECT count(*) > 0 FROM tessera.run_on_nodes('CREATE ROLE regress_check_option LOGIN');
GRANT USAGE ON SCHEMA check_option, check_option_local TO regress_check_option;
SET tessera.propagate_objects = off;
CREATE DOMAIN check_option.positive AS int CHECK (VALUE > 0) NOT NULL;
RESET tessera.propagate_objects;

-- the same tables and views in both
CREATE FUNCTION make_tables(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', schema, true);
    CREATE TABLE t (k int, gone int, n int, "Text" text, g int GENERATED ALWAYS AS (n * 2) STORED, d check_option.positive DEFAULT 1);
    ALTER TABLE t DROP gone;
    CREATE VIEW v AS SELECT * FROM t WHERE n > 0 WITH CHECK OPTION;
    CREATE VIEW w AS SELECT k, n FROM v WHERE n < 100 WITH CHECK OPTION;
    GRANT INSERT, UPDATE ON v TO regress_check_option;
    GRANT SELECT (k), UPDATE, INSERT ON t TO regress_check_option;
    GRANT SELECT (k, n) ON v TO regress_check_option;
    INSERT INTO t VALUES (1, 1, 'one'), (2, 2, 'two');
END $$;
SELECT make_tables('check_option_local');
SELECT make_tables('check_option');
SET search_path = check_option;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('t', 'k');
RESET client_min_messages;
-- the error that a statement has over the distributed tables, and whether local ones have the same
CREATE FUNCTION fails(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place text;
    message text;
    detail text;
    said text[];
BEGIN
    FOREACH place IN ARRAY '{check_option,check_option_local}'::text[] LOOP
        PERFORM set_config('search_path', place || ', check_option', true);
        BEGIN
            EXECUTE statement;
            message := 'no error';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            message := concat_ws(' / ', SQLSTATE, message, detail);
        END;
        said := said || message;
    END LOOP;
    RETURN CASE WHEN said[1] = said[2] THEN said[1] ELSE said::text END;
END $$;
GRANT EXECUTE ON FUNCTION fails(text) TO regress_check_option;

SELECT fails('INSERT INTO v (k, n, "Text") VALUES (1, 0, NULL)');
SELECT fails('INSERT INTO v (k, n, "Text") SELECT i, 5 - i, i FROM generate_series(1, 5) i');
SELECT fails('UPDATE v SET n = n - 2 WHERE k = 2');
SELECT fails('UPDATE v SET n = -1, "Text" = repeat(''é'', 70) WHERE k = 1 RETURNING 1');
SELECT fails('UPDATE v SET k = 3, n = 0 WHERE k = 1');
SELECT fails('UPDATE w SET n = 100 WHERE k = 1');
SELECT fails('INSERT INTO w VALUES (9, 0)');
SELECT fails('INSERT INTO w VALUES (9, NULL)');
SELECT fails('UPDATE w SET n = 7');
-- who may not read all columns sees what he may, and what he has given
SET ROLE regress_check_option;
SELECT fails('INSERT INTO v (n, "Text") VALUES (-5, ''mine'')');
SELECT fails('UPDATE v SET n = -2 WHERE k = 2');
RESET ROLE;

-- domains that nodes check have the names that they have here
SELECT fails('UPDATE t SET d = d - 1 WHERE k = 1');
SELECT fails('UPDATE t SET d = NULLIF(n, n) WHERE k = 1');
SELECT fails('INSERT INTO t (k, d) SELECT k, n - 1 FROM t');
SELECT fails($$COPY t (k, d) FROM PROGRAM 'printf "5\t-1\n"'$$);
SET client_min_messages = warning;
DROP SCHEMA check_option, check_option_local CASCADE;
SELECT count(*) > 0 FROM tessera.run_on_nodes('DROP OWNED BY regress_check_option');
SELECT count(*) > 0 FROM tessera.run_on_nodes('DROP ROLE regress_check_option');
