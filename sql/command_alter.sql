-- ALTER TABLE and ALTER INDEX: every step is done to a local table and to one
-- that is distributed, and both are compared: definitions of shell, shards and
-- twin, and the rows
CREATE SCHEMA command_alter;
CREATE SCHEMA command_alter_twin;
CREATE SCHEMA command_alter_steps;
SET search_path = command_alter_steps;
SET tessera.shard_count = 4;
SET client_min_messages = warning;

-- a table in words that are the same for twin, shell and shard; what only the
-- coordinator has, identities and defaults from sequences, is left out
CREATE FUNCTION definition(rel regclass, own text) RETURNS SETOF text LANGUAGE sql STABLE
SET search_path = pg_catalog SET datestyle = 'ISO' AS $$
    SELECT replace(replace(replace(x.line, own || '.', ''), 'command_alter_twin.', ''), 'command_alter.', '') FROM (
        SELECT concat_ws(' ', 'table', c.relname, m.amname, c.reloptions::text, c.relreplident, pg_get_userbyid(c.relowner)) AS line
        FROM pg_class c JOIN pg_am m ON m.oid = c.relam WHERE c.oid = rel
        UNION ALL
        SELECT concat_ws(' ', 'column', row_number() OVER (ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
            a.attnotnull, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget,
            array(SELECT o FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_%')::text,
            a.attcollation::regcollation, (SELECT e FROM pg_get_expr(d.adbin, rel) e WHERE e NOT LIKE 'nextval%'))
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT concat_ws(' ', 'constraint', o.conname, pg_get_constraintdef(o.oid), o.convalidated, o.condeferrable, o.condeferred)
        FROM pg_constraint o WHERE o.conrelid = rel
        UNION ALL
        SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisunique, i.indisprimary, i.indimmediate,
            i.indisvalid, i.indisclustered, i.indisreplident, c.reloptions::text,
            (SELECT string_agg(a.attnum || '=' || a.attstattarget, ',') FROM pg_attribute a
             WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0))
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = rel
        UNION ALL
        SELECT concat_ws(' ', 'statistics', s.stxname, s.stxkind::text, s.stxstattarget, array(
            SELECT a.attname FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum = ANY (s.stxkeys) ORDER BY 1)::text,
            pg_get_statisticsobjdef_expressions(s.oid)::text)
        FROM pg_statistic_ext s WHERE s.stxrelid = rel
        UNION ALL
        SELECT concat_ws(' ', 'comment', coalesce(
                (SELECT relname FROM pg_class WHERE oid = d.objoid AND d.classoid = 'pg_class'::regclass),
                (SELECT conname FROM pg_constraint WHERE oid = d.objoid AND d.classoid = 'pg_constraint'::regclass),
                (SELECT stxname FROM pg_statistic_ext WHERE oid = d.objoid AND d.classoid = 'pg_statistic_ext'::regclass)),
            (SELECT attname FROM pg_attribute WHERE attrelid = rel AND attnum = d.objsubid AND attnum > 0), d.description)
        FROM pg_description d WHERE d.objoid = rel
            OR d.objoid IN (SELECT indexrelid FROM pg_index WHERE indrelid = rel)
            OR d.objoid IN (SELECT oid FROM pg_constraint WHERE conrelid = rel)
            OR d.objoid IN (SELECT oid FROM pg_statistic_ext WHERE stxrelid = rel)
    ) x ORDER BY 1 $$;
SELECT pg_get_functiondef('definition'::regproc) AS definition \gset
CREATE TABLE all_nodes AS SELECT success FROM tessera.run_on_nodes('CREATE SCHEMA IF NOT EXISTS command_alter_steps');
SELECT count(*) > 1 AS several, bool_and(success) FROM tessera.run_on_nodes(:'definition');

-- what a table of one schema is, and the rows; of the distributed one: as the
-- shell says, and as all its copies or shards say
CREATE FUNCTION of_twin(name text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT definition(to_regclass('command_alter_twin.' || name), 'command_alter_twin') $$;
CREATE FUNCTION of_ours(name text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT definition(to_regclass('command_alter.' || name), 'command_alter') $$;
CREATE FUNCTION of_shards(name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    IF name = 'kinds' THEN
        RETURN QUERY SELECT DISTINCT unnest(string_to_array(s.result, E'\f')) FROM tessera.run_on_nodes(
            'SELECT string_agg(d, E''\f'') FROM command_alter_steps.definition(''command_alter.kinds'', ''command_alter'') d') s;
    ELSE
        RETURN QUERY SELECT DISTINCT unnest(string_to_array(s.result, E'\f')) FROM tessera.run_on_shards('command_alter.' || name,
            'SELECT string_agg(d, E''\f'') FROM (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE c.oid = to_regclass(''%s'')) t, command_alter_steps.definition(to_regclass(''%s''), nspname) d') s;
    END IF;
END $$;
CREATE FUNCTION differences(name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    twin text[] := array(SELECT of_twin(name));
    n int;
BEGIN
    RETURN QUERY SELECT 'shell: ' || d FROM of_ours(name) d WHERE d <> ALL (twin);
    RETURN QUERY SELECT 'not in the shell: ' || d FROM unnest(twin) d WHERE d NOT IN (SELECT of_ours(name));
    RETURN QUERY SELECT 'shards: ' || d FROM of_shards(name) d WHERE d <> ALL (twin);
    RETURN QUERY SELECT 'not in shards: ' || d FROM unnest(twin) d WHERE d NOT IN (SELECT of_shards(name));
    EXECUTE format('SELECT count(*) FROM ((TABLE command_alter_twin.%1$s EXCEPT ALL TABLE command_alter.%1$s)
        UNION ALL (TABLE command_alter.%1$s EXCEPT ALL TABLE command_alter_twin.%1$s)) x', name) INTO n;
    IF n > 0 THEN
        RETURN NEXT n || ' rows differ';
    END IF;
END $$;
CREATE FUNCTION run(sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
-- an error is shown once if both give the same
CREATE PROCEDURE step(sql text, name text DEFAULT 't') LANGUAGE plpgsql AS $$
DECLARE
    error text;
    other text;
BEGIN
    PERFORM set_config('search_path', 'command_alter_twin, command_alter_steps', true);
    error := run(sql);
    PERFORM set_config('search_path', 'command_alter, command_alter_steps', true);
    other := run(sql);
    PERFORM set_config('search_path', 'command_alter_steps', true);
    COMMIT;
    IF error IS NOT NULL THEN
        RAISE INFO '%', error;
    END IF;
    IF error IS DISTINCT FROM other THEN
        RAISE INFO 'ours: %', other;
    END IF;
    FOR other IN SELECT differences(name) LOOP
        RAISE INFO '%', other;
    END LOOP;
END $$;

SET search_path = command_alter;
CREATE TABLE kinds (code text PRIMARY KEY, name text);
CREATE TABLE parents (tenant int, id int, PRIMARY KEY (tenant, id));
CREATE TABLE t (gone int, k int NOT NULL, id int, v text, n numeric, parent int, code text, PRIMARY KEY (k, id));
CREATE TABLE command_alter_twin.kinds (LIKE kinds INCLUDING ALL);
CREATE TABLE command_alter_twin.parents (LIKE parents INCLUDING ALL);
CREATE TABLE command_alter_twin.t (LIKE t INCLUDING ALL);
ALTER TABLE t DROP gone;
ALTER TABLE command_alter_twin.t DROP gone;
SELECT tessera.create_reference_table('kinds');
SELECT tessera.create_distributed_table('parents', 'tenant', colocate_with => 'none');
SELECT tessera.create_distributed_table('t', 'k', colocate_with => 'parents');
INSERT INTO kinds VALUES ('a', 'A'), ('b', 'B');
INSERT INTO parents SELECT i, 1 FROM generate_series(1, 20) i;
INSERT INTO t SELECT i, 1, 'v' || i, i, 1, 'a' FROM generate_series(1, 20) i;
INSERT INTO command_alter_twin.kinds TABLE kinds;
INSERT INTO command_alter_twin.parents TABLE parents;
INSERT INTO command_alter_twin.t TABLE t;
SET search_path = command_alter_steps;
SELECT differences(name) FROM unnest('{kinds, parents, t}'::text[]) name;

-- ADD COLUMN: constants, values of the statement, constraints, collations
CALL step('ALTER TABLE t ADD COLUMN a int');
CALL step('ALTER TABLE t ADD b text NOT NULL DEFAULT ''it''''s'' COLLATE "C", ADD COLUMN c int DEFAULT 1 + 1 CHECK (c > 0)');
CALL step('ALTER TABLE t ADD at timestamptz DEFAULT now(), ADD who name DEFAULT current_user');
CALL step('ALTER TABLE IF EXISTS ONLY t ADD COLUMN IF NOT EXISTS a int, ADD COLUMN IF NOT EXISTS a2 int[] DEFAULT ''{1,2}''');
CALL step('ALTER TABLE t ADD double_n numeric GENERATED ALWAYS AS (n * 2) STORED');
CALL step('ALTER TABLE t ADD d int DEFAULT 5, ALTER d SET DEFAULT 6, ALTER d SET NOT NULL');
CALL step('INSERT INTO t (k, id) VALUES (21, 1)');
CALL step('ALTER TABLE t ADD e int DEFAULT 7, ADD UNIQUE (k, e), ADD code2 text DEFAULT ''a'' REFERENCES kinds ON UPDATE CASCADE');
CALL step('ALTER TABLE t ALTER e DROP DEFAULT, ADD none int DEFAULT 4, ALTER none DROP DEFAULT');
CALL step('ALTER TABLE t ALTER e DROP DEFAULT, ADD none int DEFAULT 4, ALTER none SET DEFAULT NULL');
CALL step('ALTER TABLE t ADD "Na""me ü" varchar(7) COMPRESSION pglz DEFAULT E''a\nb''');
CALL step('ALTER TABLE t ADD a int');
CALL step('ALTER TABLE t ADD bad int NOT NULL');
CALL step('ALTER TABLE t ADD bad int DEFAULT 1 / 0');
CALL step('ALTER TABLE t ADD bad int DEFAULT -1 CHECK (bad > 0)');
CALL step('ALTER TABLE t ADD bad text DEFAULT ''none'' REFERENCES kinds');
-- statement with comments and several lines, in a string of several statements
CALL step($$/* first */ ALTER TABLE -- what
    "t" /* t */ ADD
    COLUMN f int DEFAULT 3; ALTER TABLE t ADD g int DEFAULT 4; INSERT INTO t (k, id) VALUES (22, 1)$$);

-- DROP COLUMN
CALL step('ALTER TABLE t DROP COLUMN a, DROP IF EXISTS a2, DROP COLUMN IF EXISTS nothing, ADD a bigint DEFAULT 9');
CALL step('ALTER TABLE t DROP n');
CALL step('ALTER TABLE t DROP n CASCADE');
CALL step('ALTER TABLE t ADD double_n int GENERATED ALWAYS AS (d * 2) STORED');
CALL step('ALTER TABLE t DROP nothing');
CALL step('ALTER TABLE t DROP c, ADD c int DEFAULT 1 CHECK (c < 10)');

-- RENAME of all there is
CALL step('ALTER TABLE t RENAME COLUMN v TO "V v"');
CALL step('ALTER TABLE t RENAME "V v" TO v');
CALL step('ALTER TABLE t RENAME COLUMN k TO "The Key"');
SELECT relation, key_column FROM tessera.table WHERE relation = 'command_alter.t'::regclass;
CALL step('UPDATE t SET v = ''changed'' WHERE "The Key" = 5; INSERT INTO t ("The Key", id) VALUES (23, 1)');
CALL step('ALTER TABLE t RENAME "The Key" TO k');
CALL step('ALTER TABLE t RENAME TO "T t"', '"T t"');
CALL step('ALTER TABLE "T t" RENAME TO t');
CALL step('ALTER TABLE t RENAME CONSTRAINT t_c_check TO c_is_small');
CALL step('ALTER INDEX t_pkey RENAME TO the_key');
CALL step('ALTER TABLE t_k_e_key RENAME TO once');
CALL step('ALTER TABLE t RENAME CONSTRAINT once TO twice');
CALL step('ALTER TABLE t RENAME k TO id');
CALL step('ALTER TABLE t RENAME TO kinds');
CALL step('ALTER TABLE t RENAME nothing TO something');

-- ALTER COLUMN
CALL step('ALTER TABLE t ALTER a SET DEFAULT 11, ALTER COLUMN b DROP NOT NULL, ALTER b DROP DEFAULT');
CALL step('INSERT INTO t (k, id) VALUES (24, 1)');
CALL step('ALTER TABLE t ALTER b SET NOT NULL');
CALL step('ALTER TABLE t ALTER a SET NOT NULL, ALTER v SET STATISTICS 55, ALTER v SET STORAGE external, ALTER v SET (n_distinct = 5, n_distinct_inherited = 7)');
CALL step('ALTER TABLE t ALTER v RESET (n_distinct), ALTER v SET STATISTICS -1, ALTER v SET COMPRESSION pglz');
CALL step('ALTER TABLE t ALTER a TYPE text');
CALL step('ALTER TABLE t ALTER a DROP DEFAULT, ALTER a DROP NOT NULL, ALTER a TYPE numeric(10,2) USING a::numeric / 4 + length(v), ALTER a SET DEFAULT 0.5');
CALL step('ALTER TABLE t ALTER v TYPE varchar(30) COLLATE "POSIX" USING upper(v) || to_char(now(), ''XX'')');
CALL step('ALTER TABLE t ALTER at TYPE date USING at::date, ALTER c TYPE bigint');
CALL step('ALTER TABLE t ALTER c TYPE int USING 1 / 0');
CALL step('ALTER TABLE t ALTER id TYPE bigint, ALTER parent TYPE bigint');
CALL step('ALTER TABLE t ADD gen int GENERATED ALWAYS AS (e + 1) STORED');
CALL step('ALTER TABLE t ALTER gen DROP EXPRESSION, ALTER d DROP EXPRESSION IF EXISTS');

-- constraints
CALL step('ALTER TABLE parents ALTER id TYPE bigint', 'parents');
CALL step('ALTER TABLE t ADD CONSTRAINT to_parents FOREIGN KEY (k, parent) REFERENCES parents ON DELETE CASCADE DEFERRABLE, ADD FOREIGN KEY (k, id) REFERENCES t');
CALL step('DELETE FROM parents WHERE tenant = 3');
CALL step('ALTER TABLE t ALTER CONSTRAINT to_parents NOT DEFERRABLE');
CALL step('ALTER TABLE t ADD CONSTRAINT later CHECK (k > 5) NOT VALID, ADD CHECK (k < 1000), ADD CHECK (k < 1001), ADD EXCLUDE USING btree (k WITH =, id WITH =)');
CALL step('INSERT INTO t (k, id, b) VALUES (1, 2, '''')');
CALL step('DELETE FROM t WHERE k <= 5; ALTER TABLE t VALIDATE CONSTRAINT later');
CALL step('ALTER TABLE t DROP CONSTRAINT later, ADD CONSTRAINT later CHECK (k > 4), DROP CONSTRAINT IF EXISTS nothing');
CALL step('CREATE UNIQUE INDEX one ON t (k, v); ALTER TABLE t ADD UNIQUE USING INDEX one DEFERRABLE');
CALL step('ALTER TABLE t ADD CHECK (k > 100)');
CALL step('ALTER TABLE t ADD FOREIGN KEY (v) REFERENCES kinds');
CALL step('ALTER TABLE t ADD FOREIGN KEY (code) REFERENCES kinds NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT t_code_fkey');
CALL step('ALTER TABLE t DROP CONSTRAINT the_key');
CALL step('ALTER TABLE t DROP CONSTRAINT the_key CASCADE, ADD CONSTRAINT new_key PRIMARY KEY (id, k)');

-- the rest
CALL step('ALTER TABLE t SET (fillfactor = 50, autovacuum_enabled = off, toast.autovacuum_enabled = false), CLUSTER ON new_key, REPLICA IDENTITY USING INDEX new_key');
CALL step('ALTER TABLE t RESET (fillfactor), SET WITHOUT CLUSTER, REPLICA IDENTITY FULL, DISABLE TRIGGER USER, ENABLE TRIGGER ALL, SET LOGGED');
CALL step('CREATE INDEX i ON t ((lower(v)), id) WITH (fillfactor = 60); ALTER INDEX i SET (fillfactor = 70); ALTER INDEX i ALTER COLUMN 1 SET STATISTICS 99; ALTER TABLE i RESET (fillfactor)');
CALL step('ALTER TABLE t ALTER v TYPE text');

CALL step('CREATE STATISTICS many ON k, v, (lower(v)) FROM t; CREATE STATISTICS few (ndistinct) ON k, id FROM t; ALTER STATISTICS many SET STATISTICS 50');
CALL step('CREATE STATISTICS IF NOT EXISTS many ON k, id FROM t');
CALL step('COMMENT ON TABLE t IS ''it''; COMMENT ON COLUMN t.v IS ''v''; COMMENT ON INDEX i IS ''i''; COMMENT ON CONSTRAINT later ON t IS ''c''; COMMENT ON STATISTICS many IS ''s''');
CALL step('ALTER TABLE t ALTER v TYPE varchar(40)');
CALL step('COMMENT ON INDEX i IS NULL; DROP STATISTICS many, few');
CALL step('CLUSTER t USING i; CLUSTER t; REINDEX TABLE t; REINDEX (VERBOSE false) INDEX i');
CALL step('CREATE STATISTICS many ON code, name FROM kinds; COMMENT ON CONSTRAINT kinds_pkey ON kinds IS ''the key''; REINDEX TABLE kinds', 'kinds');
CALL step('DROP STATISTICS many', 'kinds');

-- reference tables: the same on all copies
CALL step('ALTER TABLE kinds ADD COLUMN at timestamptz DEFAULT now(), ADD n int DEFAULT 4 CHECK (n > 0), RENAME TO x', 'kinds');
CALL step('ALTER TABLE kinds ADD COLUMN at timestamptz DEFAULT now(), ADD n int DEFAULT 4 CHECK (n > 0)', 'kinds');
CALL step('ALTER TABLE kinds ALTER n TYPE text USING n || name, DROP CONSTRAINT kinds_n_check, ADD UNIQUE (name)', 'kinds');
CALL step('ALTER TABLE kinds ALTER n TYPE text USING n || name, DROP CONSTRAINT kinds_n_check', 'kinds');
CALL step('ALTER TABLE kinds RENAME code TO id', 'kinds');
CALL step('UPDATE kinds SET id = ''c'' WHERE id = ''a''', 'kinds');
CALL step('SELECT', 't');
CALL step('ALTER TABLE kinds ALTER id TYPE varchar(9)', 'kinds');
SELECT DISTINCT result FROM tessera.run_on_nodes('SELECT string_agg(concat(id, name, n), '' '' ORDER BY id) FROM command_alter.kinds');
SELECT of_shards('kinds') EXCEPT SELECT of_ours('kinds');

-- what the user's search_path finds is what the nodes get
CREATE FUNCTION plus(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION length(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1000';
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int DEFAULT 3 CHECK (VALUE > 0);
CALL step('ALTER TABLE t ADD m mood DEFAULT ''happy'', ADD p positive, ADD p2 positive DEFAULT plus(4), ADD CHECK (plus(p) > 0)');
CREATE DOMAIN moment AS timestamptz DEFAULT now();
CALL step('ALTER TABLE t ADD m1 moment, ADD m2 moment, ALTER m2 SET DEFAULT ''2020-02-02 02:02:02+00''');
CALL step('INSERT INTO t (k, id, b) VALUES (30, 1, '''')');
CALL step('ALTER TABLE t ADD bad positive DEFAULT 0');
CALL step('ALTER TABLE t ALTER p TYPE bigint USING plus(p::int) + length(v)');
SET search_path = command_alter_steps, pg_catalog;
ALTER TABLE command_alter.t ADD l int DEFAULT length('abc');
ALTER TABLE command_alter_twin.t ADD l int DEFAULT length('abc');
SELECT differences('t');
SELECT DISTINCT l FROM command_alter.t;

-- one value for each row
SET search_path = command_alter, command_alter_steps;
ALTER TABLE t ADD u uuid NOT NULL DEFAULT gen_random_uuid();
SELECT count(DISTINCT u) = count(*) AS all_differ FROM t;
ALTER TABLE t DROP u;

-- values that the user's functions compute: volatile ones may read tables, so
-- this server calls them; what USING calls goes to the nodes
CALL step('ALTER TABLE t ADD coll text DEFAULT current_database()');
CREATE FUNCTION how_many() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM command_alter.parents); END';
CREATE FUNCTION half(numeric) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN RETURN $1 / 2; END';
CREATE OPERATOR <% (FUNCTION = half, RIGHTARG = numeric);
CALL step('ALTER TABLE t ADD many bigint NOT NULL DEFAULT command_alter.how_many() CHECK (many > 0), ADD i2 int DEFAULT 6');
CALL step('INSERT INTO t (k, id, b) VALUES (31, 1, '''')');
CALL step('ALTER TABLE t ALTER many TYPE numeric USING command_alter.half(many) + (OPERATOR(command_alter.<%) i2::numeric), ALTER many DROP DEFAULT');
CALL step('ALTER TABLE t DROP coll, DROP many, DROP i2');
CREATE SEQUENCE only_here;
\set VERBOSITY terse
ALTER TABLE t ALTER id TYPE int USING nextval('only_here');
\set VERBOSITY default
DROP OPERATOR <% (NONE, numeric);
DROP FUNCTION how_many(), half(numeric);

-- the key stays: neither dropped nor given another type
\set VERBOSITY sqlstate
ALTER TABLE t DROP COLUMN k;
ALTER TABLE t DROP COLUMN k CASCADE, ADD k int;
ALTER TABLE t ALTER k TYPE bigint;
ALTER TABLE t ALTER k TYPE int USING k + 1;
\set VERBOSITY default
CREATE TABLE wide (k varchar(3) PRIMARY KEY);
SELECT tessera.create_distributed_table('wide', 'k');
INSERT INTO wide VALUES ('abc');
ALTER TABLE wide ALTER k TYPE varchar(5);
INSERT INTO wide VALUES ('abcde');
ALTER TABLE wide ALTER k TYPE varchar;
SELECT k FROM wide WHERE k IN ('abc', 'abcde') ORDER BY k;
\set VERBOSITY sqlstate
ALTER TABLE wide ALTER k TYPE varchar(5);
ALTER TABLE wide ALTER k TYPE text;
DROP TABLE wide;

-- constraints that shards cannot keep are refused, and nothing is left of them
ALTER TABLE t ADD UNIQUE (id);
ALTER TABLE t ADD w int UNIQUE;
ALTER TABLE t ADD FOREIGN KEY (parent, k) REFERENCES parents;
ALTER TABLE kinds ADD tenant int, ADD FOREIGN KEY (tenant, tenant) REFERENCES parents;
-- and what copies would not have in common
ALTER TABLE kinds ADD u uuid DEFAULT gen_random_uuid();
ALTER TABLE kinds ALTER name TYPE text USING random();
ALTER TABLE kinds ADD s serial;
-- other forms
ALTER TABLE t SET UNLOGGED;
ALTER TABLE t SET TABLESPACE pg_default;
ALTER TABLE t OF command_alter_steps.mood;
REINDEX (TABLESPACE pg_default) TABLE t;
CREATE TABLE parent_of_t (LIKE t);
ALTER TABLE t INHERIT parent_of_t;
ALTER TABLE parent_of_t INHERIT t;
DROP TABLE parent_of_t;
\set VERBOSITY terse
ALTER TABLE t SET UNLOGGED;
ALTER TABLE t DISABLE RULE x;
\set VERBOSITY default
SELECT differences('t');

-- values from sequences, for rows that are there as well
ALTER TABLE t ADD s serial UNIQUE;
ALTER TABLE t ADD s serial, ADD i bigint GENERATED ALWAYS AS IDENTITY (START 100) CHECK (i >= 100), ADD j int DEFAULT 5,
    ADD CONSTRAINT all_keys UNIQUE (k, s, i);
SELECT count(*) = max(s) AS from_one, count(DISTINCT s) = count(*) AS unique, min(i), max(i) - min(i) + 1 = count(*) AS without_gaps FROM t;
SELECT count(*) > 0 AS has_rows FROM t;
BEGIN;
INSERT INTO t (k, id, b) VALUES (700, 1, '');
CREATE SEQUENCE own_values START 1000;
ALTER TABLE t ADD o int DEFAULT nextval('own_values');
SELECT min(o), max(o) - min(o) + 1 = count(*) AS without_gaps FROM t;
INSERT INTO t (k, id, b) VALUES (701, 1, '');
SELECT count(*) = count(o) AS all_have FROM t;
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
\set VERBOSITY sqlstate
ALTER TABLE t ADD o serial;
\set VERBOSITY default
ROLLBACK;
ALTER TABLE t DROP s, DROP i, DROP j;
SELECT differences('t');
CREATE TABLE empty (k int);
CREATE SEQUENCE seq;
SELECT tessera.create_distributed_table('empty', 'k');
ALTER TABLE empty ADD s serial, ADD i bigint GENERATED BY DEFAULT AS IDENTITY, ADD s2 int DEFAULT 5, ALTER s2 SET DEFAULT nextval('seq');
INSERT INTO empty VALUES (1), (2), (3);
SELECT array_agg(s ORDER BY s) AS s, array_agg(i ORDER BY i) AS i FROM empty;
ALTER TABLE empty ALTER i SET GENERATED ALWAYS SET START 100 RESTART, ALTER s DROP DEFAULT, ALTER s DROP NOT NULL;
ALTER TABLE empty ALTER s SET DEFAULT nextval('empty_s_seq');
INSERT INTO empty VALUES (4) RETURNING *;
ALTER TABLE empty ALTER i DROP IDENTITY, ALTER i DROP NOT NULL;
INSERT INTO empty VALUES (5) RETURNING *;
DROP TABLE empty;

-- who does not own the table is told so
CREATE ROLE regress_other;
SET ROLE regress_other;
\set VERBOSITY sqlstate
ALTER TABLE command_alter.t ADD x int;
ALTER TABLE command_alter.t RENAME TO x;
-- but he may rename his own, whatever the nodes hold of schemas closed to him
CREATE TEMP TABLE own (a int);
ALTER TABLE own RENAME a TO b;
ALTER TABLE own RENAME TO mine;
DROP TABLE mine;
RESET ROLE;
\set VERBOSITY default
DROP ROLE regress_other;

-- with statements before and after it in a transaction, and back
BEGIN;
INSERT INTO t (k, id, b) VALUES (500, 1, '');
ALTER TABLE t ADD x int DEFAULT 1;
UPDATE t SET x = 2 WHERE k = 500;
SAVEPOINT s;
ALTER TABLE t RENAME x TO y;
UPDATE t SET y = 3 WHERE k = 500;
ROLLBACK TO s;
SELECT k, x FROM t WHERE x > 1;
ALTER TABLE t RENAME k TO kk;
INSERT INTO t (kk, id, b) VALUES (501, 1, '');
SELECT count(*) FROM t WHERE kk IN (500, 501);
ROLLBACK;
SELECT differences('t');

-- but not while a cursor reads the table, whichever way
CREATE FUNCTION while_open(query text, change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c refcursor;
BEGIN
    OPEN c FOR EXECUTE query;
    EXECUTE change;
    RETURN 'done';
EXCEPTION WHEN object_in_use THEN
    RETURN SQLERRM;
END $$;
SELECT query, while_open(query, 'ALTER TABLE t ALTER e TYPE real'), while_open(query, 'TRUNCATE t')
FROM unnest(ARRAY['SELECT * FROM t', 'SELECT v FROM t WHERE k = 7', 'SELECT count(*) FROM t',
    'SELECT t.v FROM t JOIN parents p ON p.tenant = t.k', 'SELECT 1 WHERE EXISTS (SELECT FROM t)']) query;

-- statements that were prepared follow
PREPARE by_key(int) AS SELECT * FROM t WHERE k = $1;
PREPARE first_two AS SELECT c, v FROM t WHERE id = 1 ORDER BY k LIMIT 2;
EXECUTE first_two;
EXECUTE first_two;
PREPARE put(int) AS INSERT INTO t (k, id, b) VALUES ($1, 50, '') RETURNING c, e;
EXECUTE put(600);
EXECUTE put(601);
ALTER TABLE t ALTER c TYPE bigint USING c + 100, DROP CONSTRAINT c_is_small, ALTER c SET DEFAULT 200, ALTER e SET DEFAULT 8, DROP double_n;
EXECUTE first_two;
EXECUTE put(602);
EXECUTE first_two;
-- as PostgreSQL: the client was told another type
ALTER TABLE t ALTER c TYPE text USING c || '!';
\set VERBOSITY terse
EXECUTE first_two;
EXECUTE put(603);
DEALLOCATE ALL;
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA command_alter, command_alter_twin, command_alter_steps CASCADE;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS command_alter, command_alter_steps CASCADE');
SELECT node, result FROM tessera.run_on_nodes(
    $$SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'command\_alter%'$$) ORDER BY node;
