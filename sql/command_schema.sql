-- tables get another schema, schemas another name, and both another owner
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN
    SET LOCAL client_min_messages = error;
    LOCK pg_authid;
    IF to_regrole(''regress_old_owner'') IS NULL THEN CREATE ROLE regress_old_owner LOGIN; END IF;
    IF to_regrole(''regress_new_owner'') IS NULL THEN CREATE ROLE regress_new_owner LOGIN; END IF;
END'$$) WHERE NOT success;
CREATE SCHEMA command_schema;
CREATE SCHEMA command_schema_too;
SET search_path = command_schema;
SET tessera.shard_count = 4;

-- what stands where on the servers, without the numbers of shards
CREATE FUNCTION places(relations text) RETURNS TABLE (server text, place text) LANGUAGE sql AS $f$
    SELECT CASE node WHEN 'coordinator' THEN 'coordinator' ELSE 'nodes' END, place
    FROM tessera.run_on_nodes(format($$
        SELECT string_agg(DISTINCT regexp_replace(n.nspname, '(_\d+)$', '_#') || '.' || name || ' of ' || owner, ', '
            ORDER BY regexp_replace(n.nspname, '(_\d+)$', '_#') || '.' || name || ' of ' || owner)
        FROM (SELECT relnamespace, relname, relowner::regrole::text FROM pg_class
                WHERE relkind IN ('r', 'i', 'S')
            UNION ALL SELECT stxnamespace, stxname, stxowner::regrole::text FROM pg_statistic_ext) o (namespace, name, owner)
        JOIN pg_namespace n ON n.oid = namespace
        WHERE name IN (%s)$$, relations)), replace(result, current_user, 'me') place
    WHERE result <> '' GROUP BY 1, 2 ORDER BY 1, 2;
$f$;
CREATE TABLE kinds (id int PRIMARY KEY);
CREATE TABLE parents (k int PRIMARY KEY, s serial, kind int REFERENCES kinds, note text);
CREATE TABLE children (k int REFERENCES parents, n int, PRIMARY KEY (k, n));
CREATE STATISTICS of_parents ON s, note FROM parents;
SELECT tessera.create_reference_table('kinds');
SELECT tessera.create_distributed_table(t, 'k', colocate_with => c) FROM (VALUES ('parents', 'none'), ('children', 'parents')) x (t, c);
INSERT INTO kinds SELECT generate_series(1, 3);
INSERT INTO parents (k, kind) SELECT g, 1 + g % 3 FROM generate_series(1, 20) g;
INSERT INTO children SELECT g, g FROM generate_series(1, 20) g;
CREATE FUNCTION note_of(key int) RETURNS text LANGUAGE plpgsql AS
    'BEGIN UPDATE parents SET note = ''noted'' WHERE k = key; RETURN (SELECT note FROM parents WHERE k = key); END';
SELECT tessera.create_distributed_function('note_of', 'key', 'parents');
PREPARE of_key(int) AS SELECT p.k, c.n FROM parents p JOIN children c USING (k) WHERE k = $1;
EXECUTE of_key(3);
EXECUTE of_key(3);

-- SET SCHEMA: with all that belongs to the table, and what refers to it
ALTER TABLE parents SET SCHEMA command_schema_too;
SELECT * FROM places($$'parents', 'children', 'parents_pkey', 'parents_s_seq', 'of_parents'$$);
SELECT count(*), sum(s) FROM command_schema_too.parents JOIN children USING (k) JOIN kinds ON id = kind;
INSERT INTO command_schema_too.parents (k, kind) VALUES (21, 1) RETURNING s;
\set VERBOSITY sqlstate
INSERT INTO children VALUES (99, 1);
INSERT INTO command_schema_too.parents (k, kind) VALUES (22, 9);
EXECUTE of_key(3);
ALTER TABLE IF EXISTS parents SET SCHEMA command_schema_too;
ALTER TABLE children SET SCHEMA nowhere;
ALTER TABLE children SET SCHEMA pg_temp;
CREATE TABLE command_schema_too.children ();
ALTER TABLE children SET SCHEMA command_schema_too;
DROP TABLE command_schema_too.children;
CREATE SCHEMA command_schema_published;
SET client_min_messages = error;
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA command_schema_published;
RESET client_min_messages;
ALTER TABLE children SET SCHEMA command_schema_published;
DROP SCHEMA command_schema_published;
DROP PUBLICATION of_schema;
\set VERBOSITY default
-- the last table of a schema takes those of the shards along
ALTER TABLE children SET SCHEMA command_schema_too;
ALTER TABLE kinds SET SCHEMA command_schema_too;
SELECT * FROM places($$'parents', 'children', 'kinds'$$);
SELECT DISTINCT result FROM tessera.run_on_nodes($$SELECT count(*) FROM pg_namespace WHERE nspname ~ '^command_schema_\d+$' AND NOT EXISTS (SELECT FROM pg_depend WHERE refobjid = pg_namespace.oid)$$);
-- to where it is already
ALTER TABLE command_schema_too.kinds SET SCHEMA command_schema_too;
ALTER TABLE command_schema_too.children SET SCHEMA command_schema_too;
-- in a transaction that is rolled back, and in one that makes the schema
BEGIN;
ALTER TABLE command_schema_too.children SET SCHEMA command_schema;
INSERT INTO children VALUES (5, 100);
SELECT count(*) FROM children;
ROLLBACK;
BEGIN;
CREATE SCHEMA command_schema_new;
ALTER TABLE command_schema_too.children SET SCHEMA command_schema_new;
ALTER TABLE command_schema_too.kinds SET SCHEMA command_schema_new;
COMMIT;
SELECT count(*) FROM command_schema_new.children JOIN command_schema_too.parents USING (k) JOIN command_schema_new.kinds ON id = kind;
ALTER TABLE command_schema_new.children SET SCHEMA command_schema;
ALTER TABLE command_schema_new.kinds SET SCHEMA command_schema;
ALTER TABLE command_schema_too.parents SET SCHEMA command_schema;
DROP SCHEMA command_schema_new;
EXECUTE of_key(3);
SELECT note_of(3);

-- statistics
ALTER STATISTICS of_parents RENAME TO "Of parents";
ALTER STATISTICS "Of parents" SET SCHEMA command_schema_too;
ALTER STATISTICS command_schema_too."Of parents" SET STATISTICS 10;
ALTER STATISTICS command_schema_too."Of parents" OWNER TO regress_old_owner;
SELECT * FROM places($$'Of parents'$$);
DROP STATISTICS command_schema_too."Of parents";
CREATE STATISTICS of_kinds ON (id + 1) FROM kinds;
ALTER STATISTICS of_kinds SET SCHEMA command_schema_too;
SELECT * FROM places($$'of_kinds'$$);
DROP STATISTICS command_schema_too.of_kinds;

-- a schema gets another name, with those of all shards
ALTER SCHEMA command_schema RENAME TO command_schema_renamed;
SET search_path = command_schema_renamed;
SELECT * FROM places($$'parents', 'children', 'kinds'$$);
EXECUTE of_key(3);
SELECT count(*) FROM parents JOIN children USING (k) JOIN kinds ON id = kind;
UPDATE parents SET note = 'renamed' WHERE k = 3 RETURNING note;
SELECT note_of(3);
INSERT INTO kinds VALUES (4);
ALTER TABLE parents ADD after_it int DEFAULT 5;
CREATE TABLE later (k int);
SELECT tessera.create_distributed_table('later', 'k', colocate_with => 'parents');
-- rolled back, and again in one transaction
BEGIN;
ALTER SCHEMA command_schema_renamed RENAME TO command_schema_again;
INSERT INTO command_schema_again.parents (k) VALUES (30);
SELECT sum(after_it) FROM command_schema_again.parents;
ROLLBACK;
SELECT sum(after_it) FROM parents;
-- a name that is too long with the number of a shard
ALTER SCHEMA command_schema_renamed RENAME TO "A schema, whose name is as long as names may be: 63 characters.";
SET search_path = "A schema, whose name is as long as names may be: 63 characters.";
SELECT count(*), sum(after_it) FROM parents JOIN later USING (k) RIGHT JOIN children USING (k);
ALTER SCHEMA "A schema, whose name is as long as names may be: 63 characters." RENAME TO command_schema;
SET search_path = command_schema;
SELECT count(*), sum(after_it) FROM parents JOIN kinds ON id = kind;
\set VERBOSITY sqlstate
ALTER SCHEMA command_schema RENAME TO command_schema_too;
SET ROLE regress_new_owner;
ALTER SCHEMA command_schema RENAME TO command_schema_else;
RESET ROLE;
-- if nodes were not to be told
SET tessera.propagate_objects = off;
ALTER SCHEMA command_schema RENAME TO command_schema_else;
RESET tessera.propagate_objects;
\set VERBOSITY default

-- owners
CREATE SCHEMA command_schema_owned AUTHORIZATION regress_old_owner;
CREATE TABLE command_schema_owned.t (k int PRIMARY KEY, s serial);
CREATE TABLE command_schema_owned.r (id int);
ALTER TABLE command_schema_owned.t OWNER TO regress_old_owner;
ALTER TABLE command_schema_owned.r OWNER TO regress_old_owner;
SELECT tessera.create_distributed_table('command_schema_owned.t', 'k', colocate_with => 'none');
SELECT tessera.create_reference_table('command_schema_owned.r');
SET ROLE regress_old_owner;
SELECT count(*) FROM command_schema_owned.t;
RESET ROLE;
REASSIGN OWNED BY regress_old_owner TO regress_new_owner;
SELECT * FROM places($$'t', 't_pkey', 't_s_seq', 'r'$$) WHERE place ~ 'command_schema_owned';
SET ROLE regress_new_owner;
INSERT INTO command_schema_owned.t (k) VALUES (1), (2) RETURNING s;
INSERT INTO command_schema_owned.r VALUES (1);
ALTER TABLE command_schema_owned.t ADD x int DEFAULT 1;
SELECT sum(x) FROM command_schema_owned.t;
-- who has taken his own rights can alter what is his
REVOKE ALL ON command_schema_owned.t FROM regress_new_owner;
ALTER TABLE command_schema_owned.t ADD y int DEFAULT 1;
ALTER TABLE command_schema_owned.t ADD z serial;
\set VERBOSITY sqlstate
SELECT FROM command_schema_owned.t;
REASSIGN OWNED BY regress_old_owner TO regress_new_owner;
SET ROLE regress_old_owner;
SELECT FROM command_schema_owned.r;
RESET ROLE;
\set VERBOSITY default
GRANT ALL ON command_schema_owned.t, command_schema_owned.r TO regress_old_owner;
ALTER SCHEMA command_schema_owned OWNER TO regress_old_owner;
SET ROLE regress_old_owner;
SELECT count(*), max(z) FROM command_schema_owned.t, command_schema_owned.r;
RESET ROLE;
-- rights that tables have from the start reach shards
ALTER DEFAULT PRIVILEGES IN SCHEMA command_schema_owned GRANT SELECT ON TABLES TO regress_old_owner;
CREATE TABLE command_schema_owned.later (k int);
SELECT tessera.create_distributed_table('command_schema_owned.later', 'k', colocate_with => 'command_schema_owned.t');
SET ROLE regress_old_owner;
SELECT count(*) FROM command_schema_owned.later;
RESET ROLE;
DROP OWNED BY regress_old_owner, regress_new_owner CASCADE;
SELECT DISTINCT result FROM tessera.run_on_nodes($$SELECT count(*) FROM pg_namespace WHERE nspname ~ '^command_schema_owned'$$);

-- what names no place that shards know is refused
\set VERBOSITY sqlstate
SECURITY LABEL FOR dummy ON TABLE parents IS 'secret';
SECURITY LABEL FOR dummy ON COLUMN kinds.id IS 'secret';
\set VERBOSITY default
SET client_min_messages = error;
DROP SCHEMA command_schema CASCADE;
DROP SCHEMA command_schema_too;
RESET client_min_messages;
SELECT DISTINCT result FROM tessera.run_on_nodes($$SELECT count(*) FROM pg_namespace WHERE nspname ~ '^command_schema'$$);
SELECT node, success FROM tessera.run_on_nodes($$DO 'BEGIN
    SET LOCAL client_min_messages = error;
    LOCK pg_authid;
    DROP ROLE IF EXISTS regress_old_owner, regress_new_owner;
END'$$) ORDER BY node;
