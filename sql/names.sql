-- names of every kind work everywhere: schemas, tables, columns, types, labels,
-- indexes, constraints, sequences, functions, statistics, roles
CREATE SCHEMA names;
SET search_path = names, public;
SET tessera.shard_count = 3;
SET client_min_messages = warning;

CREATE TABLE words (n int GENERATED ALWAYS AS IDENTITY, w text);
INSERT INTO words (w) VALUES
    ('select'), ('CAPITALS and spaces '), ('a "quoted" name'), ('it''s'), ('a.b.c'), ('"'), (''''),
    ('$1 $$ $tag$'), ('100 %s %% %1$s %n'), ('back\slash \'' \n'), (E'new\nline\ttab'), ('-- ; /* {0} ? :v @ #'),
    ('größe 日本語 🐘'), (repeat('x', 63)), (repeat('y', 60) || '"""'), (repeat('ü', 31) || 'z'),
    ('z' || repeat('ü', 31)), (repeat('日', 21)), (repeat('x', 62) || 'y'), ('tessera_'), ('_102008');

-- Statements for each word: <> is the word as a name, <v> the name "v" || word
-- (PostgreSQL cuts it where it is longer than 63 bytes), <''> the word as a value.
CREATE FUNCTION say(of int[], VARIADIC statements text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    word words;
    statement text;
    letter text;
BEGIN
    FOR word IN SELECT * FROM words WHERE n = ANY (of) ORDER BY n LOOP
        FOREACH statement IN ARRAY statements LOOP
            statement := replace(statement, '<''>', quote_literal(word.w));
            statement := replace(statement, '<role>', quote_ident('regress_' || word.n || word.w));
            statement := replace(statement, '<sequence>', quote_literal(format('%I.%I', word.w, 's' || word.w)));
            FOREACH letter IN ARRAY string_to_array('cdefgikopstv', NULL) || ''::text LOOP
                statement := replace(statement, '<' || letter || '>', '"' || replace(letter || word.w, '"', '""') || '"');
            END LOOP;
            RETURN NEXT statement;
        END LOOP;
    END LOOP;
END $$;
SELECT array_agg(n ORDER BY n) AS all FROM words \gset

-- what \gexec runs is not shown, only what comes of it
\set ECHO none
\t on
SELECT say(:'all',
    'CREATE ROLE <role> LOGIN',
    'CREATE SCHEMA <>',
    'CREATE TYPE <>.<e> AS ENUM (''other'', <''>)',
    'CREATE TYPE <>.<c> AS (<> int, <v> <>.<e>)',
    'CREATE DOMAIN <>.<d> AS int CONSTRAINT <> CHECK (VALUE > 0)',
    'CREATE SEQUENCE <>.<s> START 1000',
    'CREATE FUNCTION <>.<f>(<> text) RETURNS text LANGUAGE sql IMMUTABLE AS $q$SELECT lower($1)$q$',
    'CREATE TABLE <>.<> (
        <> <>.<d>, <v> <>.<e> DEFAULT <''>, <o> <>.<c>, <g> text GENERATED ALWAYS AS (<>.<f>(<''>)) STORED,
        CONSTRAINT <k> CHECK (<> < 10000), CONSTRAINT <p> PRIMARY KEY (<>))',
    'CREATE INDEX <i> ON <>.<> (<v>, (<>.<f>(<g>)))',
    'CREATE STATISTICS <>.<t> ON <>, <v> FROM <>.<>',
    'COMMENT ON TABLE <>.<> IS <''>',
    'COMMENT ON COLUMN <>.<>.<> IS <''>',
    'GRANT USAGE ON SCHEMA <> TO <role>',
    'GRANT SELECT, UPDATE (<o>), INSERT, DELETE ON <>.<> TO <role>',
    'INSERT INTO <>.<> (<>) SELECT generate_series(1, 10)',
    'ALTER TABLE <>.<> ALTER <> SET DEFAULT nextval(<sequence>)') \gexec

\echo distributed with rows
SELECT count(tessera.create_distributed_table(format('%1$I.%1$I', w)::regclass, w)) FROM words;
SELECT count(*), sum(shard_count), bool_and(key IN (SELECT w FROM words)), bool_and(bytes > 0) FROM tessera.tables;

\echo written and read, by a role of that name too
SELECT say(:'all',
    'SET ROLE <role>',
    'INSERT INTO <>.<> (<>, <o>) VALUES (100, (1, ''other'')), (101, ROW(2, <''>))',
    'INSERT INTO <>.<> (<>, <o>) VALUES (101, (1, ''other'')), (102, ROW(2, <''>)) ON CONFLICT (<>) DO UPDATE SET <o> = excluded.<o>',
    'UPDATE <>.<> SET <o> = ROW(3, <''>)::<>.<c> WHERE <> = 7 AND <v> = <''>',
    'UPDATE <>.<> AS <> SET <o>.<> = 4 WHERE <>.<> BETWEEN 9 AND 50',
    'DELETE FROM <>.<> WHERE <>.<>.<> = 10',
    'RESET ROLE',
    'INSERT INTO <>.<> DEFAULT VALUES',
    'INSERT INTO <>.<> (<>) SELECT <> + 300 FROM <>.<> WHERE <> < 10',
    'UPDATE <>.<> SET <v> = ''other'' WHERE <> < 5',
    'PREPARE <> AS SELECT <> FROM <>.<> WHERE <> = $1 AND <g> = lower(<''>) AND (<o>).<v> = <''>',
    'EXECUTE <>(7)',
    'DEALLOCATE <>',
    'SELECT count(*), sum(a.<>), count(*) FILTER (WHERE a.<v> = <''>), sum((<>.<o>).<>) FROM <>.<> AS a JOIN <>.<> AS <> ON a.<> = <>.<>') \gexec

\echo explained, copied
SELECT say('{3,10}', 'EXPLAIN (COSTS OFF) SELECT <v> FROM <>.<> WHERE <> = 5') \gexec
SELECT say('{3,10}', 'COPY (SELECT * FROM <>.<> WHERE <> = 7) TO STDOUT') \gexec
SELECT say('{3,10}', 'COPY (SELECT <> AS <v>, <v> AS <> FROM <>.<> WHERE <> < 6 ORDER BY <v>) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (<v>))') \gexec

\echo the same names in the shards
SELECT count(*), bool_and(success), bool_and(result = concat_ws('|', w, w, w, left('v' || w, 60), left('o' || w, 60)))
FROM words w, LATERAL tessera.run_on_shards(format('%1$I.%1$I', w)::regclass, $q$
    SELECT concat_ws('|', obj_description(tableoid, 'pg_class'), col_description(tableoid, 1),
        (SELECT string_agg(left(attname, 60), '|' ORDER BY attnum) FROM pg_attribute WHERE attrelid = tableoid AND attnum BETWEEN 1 AND 3))
    FROM %s LIMIT 1$q$)
WHERE octet_length(w) < 60;

\echo truncated, taken back, made a reference table
SELECT say('{1,2,3,7,8,14,16,18}', 'TRUNCATE <>.<>') \gexec
SELECT count(tessera.undistribute_table(format('%1$I.%1$I', w)::regclass)) FROM words WHERE n % 2 = 0;
SELECT say(:'all', 'SELECT count(*) FROM <>.<>') \gexec
SELECT count(tessera.create_reference_table(format('%1$I.%1$I', w)::regclass)) FROM words WHERE n % 2 = 0;
SELECT say('{2,4,10,16,18}', 'INSERT INTO <>.<> (<>, <o>) VALUES (5000, (1, <''>)) RETURNING (<>.<o>).<v> = <''>') \gexec
SELECT say('{2,4,10,16,18}', 'SELECT count(*) FROM <>.<>') \gexec
SELECT say(:'all', 'DROP SCHEMA <> CASCADE') \gexec
\t off
\set ECHO all

-- dropped: nothing is left of the tables on any node
SELECT count(*) FROM tessera.tables;
SELECT node, success, result FROM tessera.run_on_nodes(
    $$SELECT count(*) FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') LIKE 'tessera: shard%'$$) ORDER BY node;


-- but what the tables needed there: it may be used by others
SET client_min_messages = error;
SELECT count(*) AS schemas, bool_and(success) AS dropped
FROM words, LATERAL tessera.run_on_nodes(format('DROP SCHEMA IF EXISTS %I CASCADE', w));
\set ECHO none
SELECT say(:'all', 'DROP ROLE <role>') \gexec
\set ECHO all
SELECT count(*) AS roles, bool_and(success) AS dropped
FROM words, LATERAL tessera.run_on_nodes(format('DROP ROLE IF EXISTS %I', 'regress_' || n || w));
DROP SCHEMA names CASCADE;
