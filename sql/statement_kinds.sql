-- Kinds of utility statements, on a distributed table, what belongs to it, and
-- what it needs: each is done to a local twin and to the table, and either gives
-- the same (error, definition, also of the shards, and rows) or is refused with
-- 0A000, and then nothing has changed.  Never is only the shell changed.
-- (COPY, ALTER TABLE in all forms, indexes CONCURRENTLY, maintenance, triggers,
-- partitions and row security have files of their own.)
CREATE SCHEMA statement_kinds;
CREATE SCHEMA statement_kinds_twin;
CREATE SCHEMA statement_kinds_steps;
CREATE SCHEMA statement_kinds_other;
CREATE SCHEMA statement_kinds_twin_other;
SET search_path = statement_kinds_steps;
SET client_min_messages = warning;
SET tessera.shard_count = 4;

CREATE FUNCTION shape(rel regclass) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT regexp_replace(string_agg(line, E'\n' ORDER BY line), 'statement_kinds(_twin)?(_other)?(_\d+)?\.', '', 'g') FROM (
        SELECT concat_ws(' ', 'table', relname, relreplident, reloptions::text, relacl::text, pg_get_userbyid(relowner), obj_description(oid, 'pg_class')) AS line
        FROM pg_class WHERE oid = rel
        UNION ALL
        SELECT concat_ws(' ', 'column', attname, format_type(atttypid, atttypmod), attnotnull, attacl::text, attcollation::regcollation, col_description(attrelid, attnum),
            (SELECT e FROM pg_attrdef d, pg_get_expr(adbin, rel) e WHERE adrelid = rel AND adnum = attnum AND e NOT LIKE 'nextval%'))
        FROM pg_attribute WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT concat_ws(' ', 'constraint', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')) FROM pg_constraint WHERE conrelid = rel
        UNION ALL
        SELECT concat_ws(' ', pg_get_indexdef(indexrelid), obj_description(indexrelid, 'pg_class')) FROM pg_index WHERE indrelid = rel
        UNION ALL
        SELECT concat_ws(' ', 'statistics', stxname, stxkeys::text, stxstattarget) FROM pg_statistic_ext WHERE stxrelid = rel
        UNION ALL
        SELECT concat_ws(' ', 'type', t.typname, pg_get_userbyid(typowner), typnotnull,
            (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
            (SELECT string_agg(concat(a.attname, ' ', format_type(a.atttypid, a.atttypmod)), ',' ORDER BY a.attnum)
             FROM pg_attribute a WHERE a.attrelid = typrelid AND a.attnum > 0 AND NOT attisdropped),
            (SELECT string_agg(concat(conname, ' ', pg_get_constraintdef(o.oid)), ',' ORDER BY conname) FROM pg_constraint o WHERE contypid = t.oid))
        FROM pg_type t JOIN pg_attribute c ON c.atttypid = t.oid WHERE c.attrelid = rel AND c.attnum > 0 AND typnamespace <> 'pg_catalog'::regnamespace
    ) x $$;
SELECT pg_get_functiondef('shape'::regproc) AS shape \gset
CREATE TABLE done AS SELECT success FROM tessera.run_on_nodes('CREATE SCHEMA IF NOT EXISTS statement_kinds_steps');
SELECT bool_and(success) FROM tessera.run_on_nodes(:'shape');

CREATE FUNCTION differences() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    twin text := shape(to_regclass('statement_kinds_twin.t'));
    rows_twin text;
    rows_ours text;
BEGIN
    IF shape(to_regclass('statement_kinds.t')) IS DISTINCT FROM twin THEN
        RETURN concat('the shell differs: ', shape(to_regclass('statement_kinds.t')), ' and ', twin);
    END IF;
    IF twin IS NULL THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM tessera.run_on_shards('statement_kinds.t', 'SELECT statement_kinds_steps.shape(''%s'')') WHERE result IS DISTINCT FROM twin) THEN
        RETURN concat('a shard differs: ', (SELECT string_agg(DISTINCT result, ' and ')
            FROM tessera.run_on_shards('statement_kinds.t', 'SELECT statement_kinds_steps.shape(''%s'')')), ' not ', twin);
    END IF;
    EXECUTE 'SELECT string_agg(t::text, '' '' ORDER BY id) FROM statement_kinds_twin.t' INTO rows_twin;
    EXECUTE 'SELECT string_agg(t::text, '' '' ORDER BY id) FROM statement_kinds.t' INTO rows_ours;
    RETURN CASE WHEN rows_twin IS DISTINCT FROM rows_ours THEN concat('rows differ: ', rows_ours, ' and ', rows_twin) END;
END $$;
CREATE FUNCTION run(sql text, path text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', path || ', public', true);
    EXECUTE replace(sql, '{}', path);
    PERFORM set_config('search_path', 'statement_kinds_steps', true);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE PROCEDURE try(VARIADIC statements text[]) LANGUAGE plpgsql AS $$
DECLARE
    sql text;
    twin text;
    ours text;
BEGIN
    FOREACH sql IN ARRAY statements LOOP
        BEGIN
            twin := run(sql, 'statement_kinds_twin');
            ours := run(sql, 'statement_kinds');
            IF twin IS DISTINCT FROM ours THEN
                RAISE SQLSTATE 'ZZ000';
            END IF;
        EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL;
        END;
        COMMIT;
        RAISE INFO '% %', coalesce(differences(), CASE
            WHEN ours IS NOT DISTINCT FROM twin THEN 'same' || coalesce(' error ' || ours, '')
            WHEN ours = '0A000' THEN 'refused' || coalesce(', PostgreSQL gives ' || twin, '')
            ELSE concat('here ', ours, ', PostgreSQL gives ', twin) END) || ':', sql;
    END LOOP;
END $$;

-- what the table needs, in each schema its own
CREATE ROLE regress_kinds;
CREATE FUNCTION make(path text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', path || ', public', true);
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TYPE pair AS (x int, y text);
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE DOMAIN amount AS positive;
    CREATE TYPE span AS RANGE (SUBTYPE = int8);
    CREATE COLLATION mine (LOCALE = 'C');
    CREATE FUNCTION plus(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
    CREATE FUNCTION less(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 < $2';
    CREATE OPERATOR <<< (LEFTARG = int, RIGHTARG = int, FUNCTION = less);
    CREATE TABLE t (id int PRIMARY KEY, v int DEFAULT 5, m mood, p pair, d positive, a amount, s span, c text COLLATE mine,
        n serial, f int DEFAULT plus(1), g int CHECK (plus(g) > 0), CHECK (v OPERATOR(<<<) 1000));
    CREATE INDEX t_v ON t (v);
    CREATE INDEX t_plus ON t ((plus(v)));
    CREATE STATISTICS t_stat ON v, g FROM t;
    CREATE TABLE l (id int PRIMARY KEY, v int);
    CREATE VIEW w AS SELECT id, v FROM t;
END $$;
SELECT make('statement_kinds_twin'), make('statement_kinds');
SET search_path = statement_kinds_steps;
SELECT tessera.create_distributed_table('statement_kinds.t', 'id', colocate_with => 'none');
CALL try($$INSERT INTO t (id, m, p, d, a, s, c, g) SELECT i, 'ok', ROW(i, 'y')::pair, i, i, span(i, i + 1), 'c' || i, i FROM generate_series(1, 20) i$$);

-- types
CALL try('ALTER TYPE mood ADD VALUE ''fine'' AFTER ''ok''', 'ALTER TYPE mood RENAME VALUE ''ok'' TO ''so''',
    'UPDATE t SET m = ''sad'' WHERE m = ''so'' AND id < 5', 'ALTER TYPE mood OWNER TO CURRENT_USER', 'ALTER TYPE mood RENAME TO temper', 'SELECT * FROM t WHERE m = ''so''',
    'ALTER TYPE temper RENAME TO mood', 'COMMENT ON TYPE mood IS ''a mood''', 'REVOKE USAGE ON TYPE mood FROM PUBLIC', 'GRANT USAGE ON TYPE mood TO PUBLIC',
    'ALTER TYPE mood SET SCHEMA {}_other', 'UPDATE t SET m = ''so''::{}_other.mood WHERE id = 1', 'ALTER TYPE {}_other.mood SET SCHEMA {}',
    'ALTER TYPE pair ADD ATTRIBUTE z int CASCADE, DROP ATTRIBUTE y', 'UPDATE t SET p.z = id', 'ALTER TYPE pair RENAME ATTRIBUTE x TO first',
    'UPDATE t SET v = (p).first WHERE (p).z = 7', 'ALTER TYPE pair ALTER ATTRIBUTE z TYPE bigint', 'ALTER TYPE pair OWNER TO CURRENT_USER', 'ALTER TYPE pair RENAME TO two', 'ALTER TYPE two RENAME TO pair',
    'ALTER TYPE span RENAME TO range_of', 'ALTER TYPE range_of RENAME TO span', 'ALTER TYPE span SET (STORAGE = plain)');
-- domains: the rows of shards are looked at
CALL try('ALTER DOMAIN positive ADD CHECK (VALUE < 5)', 'ALTER DOMAIN positive ADD CHECK (VALUE < 500)', 'UPDATE t SET d = 500 WHERE id = 3', 'UPDATE t SET d = d + 490',
    'ALTER DOMAIN positive RENAME CONSTRAINT positive_check1 TO small', 'ALTER DOMAIN positive VALIDATE CONSTRAINT small', 'ALTER DOMAIN positive DROP CONSTRAINT small', 'UPDATE t SET d = 500 WHERE id = 3',
    'ALTER DOMAIN positive ADD CONSTRAINT later CHECK (VALUE < 10) NOT VALID', 'ALTER DOMAIN positive VALIDATE CONSTRAINT later', 'ALTER DOMAIN positive DROP CONSTRAINT later', 'UPDATE t SET d = NULL WHERE id = 4', 'ALTER DOMAIN positive SET NOT NULL', 'UPDATE t SET d = 4 WHERE id = 4',
    'ALTER DOMAIN positive SET NOT NULL', 'ALTER DOMAIN positive DROP NOT NULL', 'ALTER DOMAIN positive SET DEFAULT 3', 'INSERT INTO t (id) VALUES (21)', 'ALTER DOMAIN positive DROP DEFAULT', 'INSERT INTO t (id) VALUES (22)',
    'ALTER DOMAIN positive ADD CONSTRAINT by_function CHECK (plus(VALUE) > 1)', 'UPDATE t SET d = 0', 'ALTER DOMAIN positive DROP CONSTRAINT IF EXISTS none', 'ALTER DOMAIN positive OWNER TO CURRENT_USER',
    'ALTER DOMAIN positive RENAME TO above', 'UPDATE t SET d = d::above + 1', 'ALTER DOMAIN above RENAME TO positive');
-- functions, operators, collations
CALL try('CREATE OR REPLACE FUNCTION plus(int) RETURNS int LANGUAGE sql IMMUTABLE AS ''SELECT $1 + 2''', 'UPDATE t SET v = -2, g = -1 WHERE id = 5', 'UPDATE t SET g = -2 WHERE id = 5', 'ALTER FUNCTION plus(int) COST 7',
    'ALTER FUNCTION plus(int) STRICT', 'ALTER FUNCTION plus(int) RENAME TO plus_two', 'UPDATE t SET g = plus_two(g)', 'ALTER ROUTINE plus_two RENAME TO plus', 'ALTER FUNCTION plus SET SCHEMA {}_other', 'UPDATE t SET g = {}_other.plus(g) WHERE id < 9', 'ALTER FUNCTION {}_other.plus SET SCHEMA {}', 'ALTER OPERATOR <<< (int, int) SET SCHEMA {}_other', 'UPDATE t SET v = 7 WHERE v OPERATOR({}_other.<<<) 7', 'ALTER OPERATOR {}_other.<<< (int, int) SET SCHEMA {}',
    'ALTER FUNCTION plus OWNER TO CURRENT_USER', 'DROP FUNCTION plus', 'ALTER OPERATOR <<< (int, int) SET (RESTRICT = scalarltsel, JOIN = NONE)', 'ALTER OPERATOR <<< (int, int) OWNER TO CURRENT_USER', 'SELECT * FROM t WHERE v OPERATOR(<<<) 3',
    'DROP OPERATOR <<< (int, int)', 'ALTER COLLATION mine RENAME TO own', 'UPDATE t SET c = c || ''.'' WHERE c COLLATE own > ''c1''', 'ALTER COLLATION own REFRESH VERSION', 'ALTER COLLATION own OWNER TO CURRENT_USER', 'DROP COLLATION own');
-- the table and what belongs to it
CALL try('COMMENT ON TABLE t IS ''a table''', 'COMMENT ON COLUMN t.v IS ''a column''', 'COMMENT ON INDEX t_v IS ''an index''', 'COMMENT ON CONSTRAINT t_pkey ON t IS ''a key''', 'COMMENT ON SEQUENCE t_n_seq IS ''numbers''',
    'GRANT SELECT ON t TO regress_kinds', 'GRANT UPDATE (v), REFERENCES (v) ON t TO regress_kinds', 'REVOKE ALL (v) ON t FROM regress_kinds', 'SECURITY LABEL ON TABLE t IS ''x''', 'LOCK TABLE t IN SHARE MODE', 'LOCK TABLE w',
    'ALTER STATISTICS t_stat SET STATISTICS 7', 'ALTER STATISTICS t_stat RENAME TO t_stats', 'DROP STATISTICS t_stats', 'CREATE STATISTICS t_new ON v, n FROM t', 'ALTER INDEX t_v RENAME TO t_by_v', 'ALTER INDEX t_by_v SET (fillfactor = 50)', 'DROP INDEX t_by_v', 'CREATE INDEX ON t (c)',
    'ALTER INDEX ALL IN TABLESPACE pg_default SET TABLESPACE pg_default', 'ALTER INDEX t_plus SET TABLESPACE pg_default', 'ALTER TABLE t SET TABLESPACE pg_default', 'ALTER TABLE t SET ACCESS METHOD heap', 'ALTER INDEX t_plus ALTER COLUMN 1 SET STATISTICS 7',
    'ALTER INDEX t_plus DEPENDS ON EXTENSION plpgsql', 'CREATE TABLE child () INHERITS (t)', 'CREATE TABLE typed OF pair', 'ALTER TABLE t OF pair', 'ALTER TABLE l INHERIT t', 'ALTER TABLE t INHERIT l', 'CREATE TABLE other (LIKE t INCLUDING ALL)', 'CREATE RULE r AS ON INSERT TO t DO ALSO NOTHING',
    'CREATE RULE r AS ON INSERT TO l DO ALSO INSERT INTO t (id) VALUES (NEW.id)', 'INSERT INTO l VALUES (100)', 'DROP RULE r ON l', 'ALTER TABLE t REPLICA IDENTITY FULL', 'TRUNCATE l, t RESTART IDENTITY', 'INSERT INTO t (id, d) VALUES (1, 1), (2, 2)');
-- sequences
CALL try('ALTER SEQUENCE t_n_seq RESTART 100', 'INSERT INTO t (id) VALUES (3)', 'ALTER SEQUENCE t_n_seq INCREMENT 5', 'ALTER SEQUENCE t_n_seq OWNED BY NONE', 'ALTER SEQUENCE t_n_seq OWNED BY t.n', 'ALTER SEQUENCE t_n_seq RENAME TO numbers', 'INSERT INTO t (id) VALUES (4)',
    'ALTER SEQUENCE numbers AS smallint', 'GRANT USAGE ON SEQUENCE numbers TO regress_kinds', 'SELECT setval(''numbers'', 1000)', 'INSERT INTO t (id) VALUES (5)', 'DROP SEQUENCE numbers', 'DROP SEQUENCE numbers CASCADE', 'INSERT INTO t (id) VALUES (6)', 'INSERT INTO t (id, n) VALUES (6, 6)');
-- views
CALL try('ALTER VIEW w RENAME TO ww', 'ALTER VIEW ww ALTER COLUMN v SET DEFAULT 77', 'INSERT INTO ww (id) VALUES (7)', 'UPDATE t SET n = id WHERE n IS NULL', 'CREATE OR REPLACE VIEW ww AS SELECT id, v, m FROM t', 'CREATE MATERIALIZED VIEW mv AS SELECT id, v FROM ww', 'CREATE UNIQUE INDEX ON mv (id)',
    'REFRESH MATERIALIZED VIEW CONCURRENTLY mv', 'ALTER TABLE t ALTER v TYPE bigint', 'DROP MATERIALIZED VIEW mv', 'DROP VIEW ww', 'CREATE TABLE copied AS SELECT id, v FROM t');
-- replication, foreign tables
CALL try('CREATE PUBLICATION regress_kinds FOR TABLE t', 'CREATE PUBLICATION regress_kinds FOR TABLES IN SCHEMA CURRENT_SCHEMA', 'CREATE FOREIGN TABLE ft () INHERITS (t) SERVER none');
-- rights and owners
CALL try('ALTER DEFAULT PRIVILEGES IN SCHEMA statement_kinds GRANT SELECT ON TABLES TO regress_kinds', 'GRANT INSERT ON ALL TABLES IN SCHEMA statement_kinds_twin, statement_kinds TO regress_kinds', 'ALTER TABLE t OWNER TO regress_kinds', 'REASSIGN OWNED BY regress_kinds TO CURRENT_USER');
DROP OWNED BY regress_kinds;
SELECT differences();
-- what CASCADE takes along
CALL try('DROP TYPE mood', 'DROP TYPE mood CASCADE', 'DROP DOMAIN amount CASCADE', 'DROP TYPE pair CASCADE', 'DROP FUNCTION plus CASCADE', 'INSERT INTO t (id, n) VALUES (8, 8)', 'DROP OPERATOR <<< (int, int) CASCADE', 'UPDATE t SET v = 2000 WHERE id = 8', 'DROP COLLATION own CASCADE',
    'DROP DOMAIN positive, span CASCADE', 'DROP DOMAIN positive CASCADE', 'DROP TYPE span CASCADE', 'UPDATE t SET v = -1');
SELECT count(*) FROM tessera.object WHERE identity ~ 'statement_kinds\.(mood|positive|amount|pair|span|plus|own|<<<)';
CALL try('DROP TABLE t');

-- a type in the key: what gives values another hash is refused
SET search_path = statement_kinds;
CREATE TYPE tier AS ENUM ('gold', 'silver');
CREATE TYPE place AS (town text, street text);
CREATE TABLE by_enum (k tier PRIMARY KEY, p place);
CREATE TABLE by_row (k place PRIMARY KEY, v tier);
SELECT tessera.create_distributed_table('by_enum', 'k', colocate_with => 'none');
SELECT tessera.create_distributed_table('by_row', 'k', colocate_with => 'none');
INSERT INTO by_enum VALUES ('gold', ROW('a', 'b'));
INSERT INTO by_row VALUES (ROW('a', 'b'), 'gold');
ALTER TYPE tier ADD VALUE 'bronze';
ALTER TYPE tier RENAME TO level;
ALTER TYPE place RENAME ATTRIBUTE town TO city;
ALTER TYPE level RENAME VALUE 'gold' TO 'golden';
ALTER TYPE place ADD ATTRIBUTE number int;
\set VERBOSITY terse
DROP TYPE level CASCADE;
\set VERBOSITY default
SELECT * FROM by_enum WHERE k = 'gold';
SELECT * FROM by_row WHERE k = ROW('a', 'b')::place AND (k).city = 'a';
-- a statement that was prepared before a name changed
PREPARE named(int) AS SELECT (p).city FROM by_enum WHERE (p).city > '' AND $1 > 0;
EXECUTE named(1);
ALTER TYPE place RENAME ATTRIBUTE city TO other;
ALTER TYPE place RENAME ATTRIBUTE street TO city;
EXECUTE named(1);
-- partitions lose nothing by a CASCADE that names no table
CREATE DOMAIN part AS int;
CREATE TABLE whole (k int, v part) PARTITION BY LIST (k);
CREATE TABLE whole_1 PARTITION OF whole FOR VALUES IN (1);
SELECT tessera.create_distributed_table('whole', 'k', colocate_with => 'none');
INSERT INTO whole VALUES (1, 2);
\set VERBOSITY terse
DROP DOMAIN part CASCADE;
\set VERBOSITY default
SELECT * FROM whole;
ALTER TABLE whole DROP v;
DROP DOMAIN part;
SELECT * FROM whole_1;
-- extensions: nodes that have one get its version and schema, too
CREATE EXTENSION hstore SCHEMA public VERSION '1.7';
CREATE TABLE stored (k int PRIMARY KEY, h public.hstore);
SELECT tessera.create_distributed_table('stored', 'k', colocate_with => 'none');
INSERT INTO stored VALUES (1, 'a=>1'), (2, 'b=>2');
SET search_path = statement_kinds, public;
PREPARE stored_in AS SELECT k FROM stored WHERE h @> 'b=>2' AND k > 0;
EXECUTE stored_in;
ALTER EXTENSION hstore SET SCHEMA statement_kinds_other;
ALTER EXTENSION hstore UPDATE;
SELECT DISTINCT result FROM tessera.run_on_nodes($$SELECT concat(extnamespace::regnamespace, ' ', extversion) FROM pg_extension WHERE extname = 'hstore'$$);
SET search_path = statement_kinds, statement_kinds_other;
EXECUTE stored_in;
ALTER TABLE stored ADD i hstore DEFAULT 'c=>3';
SELECT * FROM stored ORDER BY k;
ALTER EXTENSION tessera UPDATE;
BEGIN;
ALTER EXTENSION hstore SET SCHEMA public;
ROLLBACK;
SELECT DISTINCT result FROM tessera.run_on_nodes($$SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'hstore'$$);
-- what nodes hold by itself does not become a part of one
CREATE FUNCTION plain(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
ALTER EXTENSION hstore ADD FUNCTION plain(int);
ALTER EXTENSION hstore ADD TABLE stored;
-- and goes from the tables by CASCADE
SET client_min_messages = warning;
DROP EXTENSION hstore CASCADE;
SELECT * FROM stored ORDER BY k;
INSERT INTO stored VALUES (3);
SELECT count(*) > 0 AS dropped FROM tessera.run_on_nodes('DROP EXTENSION IF EXISTS hstore');
SET client_min_messages = error;
DROP SCHEMA statement_kinds, statement_kinds_twin, statement_kinds_steps, statement_kinds_other, statement_kinds_twin_other CASCADE;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS statement_kinds_steps CASCADE');
SELECT count(*) > 0 AS dropped FROM tessera.run_on_nodes('DROP ROLE IF EXISTS regress_kinds');
DROP ROLE IF EXISTS regress_kinds;
SELECT DISTINCT result FROM tessera.run_on_nodes('SELECT count(*) FROM pg_namespace WHERE nspname ~ ''statement_kinds''');
