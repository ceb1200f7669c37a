-- what shards are made of: all that the shell has, under the same names
CREATE SCHEMA table_shards;
SET search_path = table_shards, public;
SET tessera.shard_count = 4;
SET client_min_messages = warning;

-- the definition of a table, in words that are the same for shell and shards:
-- its own schema, and what only the coordinator needs, are left out
CREATE FUNCTION definition(rel regclass, own text) RETURNS SETOF text LANGUAGE sql STABLE
SET search_path = pg_catalog AS $$
    SELECT replace(replace(x.line, own || '.', ''), 'table_shards.', '') FROM (
        SELECT concat_ws(' ', 'table', c.relname, c.relpersistence, c.relkind, m.amname, c.reloptions::text, c.relreplident,
            pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class')) AS line
        FROM pg_class c JOIN pg_am m ON m.oid = c.relam WHERE c.oid = rel
        UNION ALL
        SELECT concat_ws(' ', 'toast', t.reloptions::text)
        FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = rel
        UNION ALL
        SELECT concat_ws(' ', 'column', row_number() OVER (ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
            a.attnotnull, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget,
            array(SELECT o FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_%')::text,
            a.attcollation::regcollation, col_description(rel, a.attnum), CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, rel) END)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT concat_ws(' ', 'constraint', o.conname, pg_get_constraintdef(o.oid), o.convalidated, o.condeferrable, o.condeferred,
            o.connoinherit, obj_description(o.oid, 'pg_constraint'))
        FROM pg_constraint o WHERE o.conrelid = rel
        UNION ALL
        SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisunique, i.indisprimary, i.indisexclusion, i.indimmediate,
            i.indisvalid, i.indisclustered, i.indisreplident, i.indnullsnotdistinct, c.reloptions::text,
            obj_description(i.indexrelid, 'pg_class'),
            (SELECT string_agg(a.attnum || '=' || a.attstattarget, ',') FROM pg_attribute a
             WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0))
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = rel
        UNION ALL
        SELECT concat_ws(' ', 'statistics', s.stxname, s.stxkind::text, s.stxstattarget, array(
            SELECT a.attname FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum = ANY (s.stxkeys) ORDER BY 1)::text,
            pg_get_statisticsobjdef_expressions(s.oid)::text, obj_description(s.oid, 'pg_statistic_ext'))
        FROM pg_statistic_ext s WHERE s.stxrelid = rel
        UNION ALL
        SELECT concat_ws(' ', 'right', CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END, x.privilege_type, x.is_grantable)
        FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid = rel
        UNION ALL
        SELECT concat_ws(' ', 'right on', a.attname, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END, x.privilege_type, x.is_grantable)
        FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = rel
    ) x ORDER BY 1 $$;

-- in a schema of its own, which has what the shards need: here and on the nodes
CREATE ROLE regress_reader LOGIN;
CREATE ROLE regress_writer;
CREATE TYPE colour AS ENUM ('red', 'green', 'it''s');
CREATE TYPE part AS (a int, b text, c colour[]);
CREATE DOMAIN positive AS int NOT NULL CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = timestamptz);
CREATE COLLATION numeric_order (provider = icu, locale = 'en-u-kn-true', deterministic = false);
CREATE FUNCTION half(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i / 2';
CREATE FUNCTION is_fine(p part) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (p).a IS NULL OR (p).a < 100; END';
CREATE TABLE kinds (code text PRIMARY KEY, name text);
CREATE TABLE parents (tenant int, id int, PRIMARY KEY (tenant, id));

CREATE TABLE everything (
    gone0    int,
    tenant   int NOT NULL,
    id       bigint GENERATED ALWAYS AS IDENTITY (START 100),
    serial   serial,
    name     varchar(20) COLLATE "C" DEFAULT 'it''s' CONSTRAINT named CHECK (name <> ''),
    amount   numeric(10,2) DEFAULT 0.5,
    half_id  int GENERATED ALWAYS AS (half(tenant)) STORED,
    colour   colour DEFAULT 'green',
    parts    part[] DEFAULT ARRAY[ROW(1, 'x', '{red}')::part],
    pos      positive DEFAULT 1,
    during   tstzrange,
    span     span,
    doc      jsonb DEFAULT '{"a": 1}',
    words    tsvector,
    place    point,
    box      box,
    net      inet,
    flags    bit varying(7),
    ordered  text COLLATE numeric_order,
    code     text REFERENCES kinds ON UPDATE CASCADE,
    gone1    text,
    at       timestamptz DEFAULT now(),
    uid      uuid DEFAULT gen_random_uuid(),
    big      text,
    parent   int,
    part     part CHECK (is_fine(part)),
    CONSTRAINT everything_pk PRIMARY KEY (tenant, id) INCLUDE (amount) WITH (fillfactor = 70),
    CONSTRAINT once UNIQUE NULLS NOT DISTINCT (colour, tenant) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT alone EXCLUDE USING btree (tenant WITH =, half_id WITH =) WHERE (pos > 1000),
    CONSTRAINT either CHECK (tenant > 0 OR pos > 5) NO INHERIT,
    CONSTRAINT to_parents FOREIGN KEY (tenant, parent) REFERENCES parents (tenant, id) ON DELETE CASCADE DEFERRABLE,
    CONSTRAINT to_self FOREIGN KEY (tenant, id) REFERENCES everything (tenant, id)
) WITH (fillfactor = 80, autovacuum_enabled = false, toast.autovacuum_enabled = false);
ALTER TABLE everything DROP COLUMN gone0, DROP COLUMN gone1;
ALTER TABLE everything ALTER big SET STORAGE EXTERNAL, ALTER doc SET COMPRESSION pglz, ALTER name SET STATISTICS 50,
    ALTER name SET (n_distinct = 5);
ALTER TABLE everything ADD CONSTRAINT later CHECK (amount >= 0) NOT VALID;
CREATE INDEX i_btree ON everything (name DESC NULLS LAST, amount) INCLUDE (serial) WITH (deduplicate_items = off);
CREATE INDEX i_pattern ON everything (name text_pattern_ops, (lower(name)) COLLATE "POSIX" varchar_pattern_ops);
CREATE INDEX i_hash ON everything USING hash (uid);
CREATE INDEX i_gin ON everything USING gin (doc jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX i_words ON everything USING gin (words, to_tsvector('english', name)) WHERE name IS NOT NULL;
CREATE INDEX i_gist ON everything USING gist (during, place, net inet_ops);
CREATE INDEX i_spgist ON everything USING spgist (box);
CREATE INDEX i_brin ON everything USING brin (at, tenant int4_minmax_multi_ops (values_per_range = 16)) WITH (pages_per_range = 4);
CREATE INDEX i_expression ON everything (half(tenant), (amount * 2), ((parts[1]).a)) WHERE is_fine(part) AND colour = 'it''s';
CREATE UNIQUE INDEX i_unique ON everything (tenant, uid) WHERE serial > 0;
CREATE INDEX i_ordered ON everything (ordered, ordered COLLATE "C");
ALTER INDEX i_expression ALTER COLUMN 2 SET STATISTICS 77;
ALTER TABLE everything CLUSTER ON i_btree;
ALTER TABLE everything REPLICA IDENTITY USING INDEX everything_pk;
CREATE STATISTICS s_all ON tenant, name, (half(tenant)) FROM everything;
CREATE STATISTICS s_some (ndistinct, dependencies) ON name, amount FROM everything;
ALTER STATISTICS s_some SET STATISTICS 33;
COMMENT ON TABLE everything IS 'all of ''it''';
COMMENT ON COLUMN everything.name IS E'name\n\\ "x"';
COMMENT ON CONSTRAINT named ON everything IS 'a check';
COMMENT ON CONSTRAINT everything_pk ON everything IS 'the key';
COMMENT ON INDEX i_gin IS 'an index';
COMMENT ON STATISTICS s_all IS 'statistics';
GRANT SELECT, INSERT ON everything TO regress_writer WITH GRANT OPTION;
GRANT SELECT ON everything TO PUBLIC;
GRANT SELECT (name), UPDATE (name, amount) ON everything TO regress_reader;
GRANT USAGE ON SCHEMA table_shards TO regress_reader;
REVOKE TRUNCATE ON everything FROM CURRENT_USER;

INSERT INTO kinds VALUES ('k');
INSERT INTO parents SELECT i, 1 FROM generate_series(1, 20) i;
INSERT INTO everything (tenant, parent, code, doc, big) SELECT i, 1, 'k', '[]', repeat('x', 5000) FROM generate_series(1, 20) i;
CREATE TABLE as_shell AS SELECT d FROM definition('everything', 'table_shards') d;
SELECT count(*) AS lines FROM as_shell;

SELECT tessera.create_reference_table('kinds');
SELECT tessera.create_distributed_table('parents', 'tenant', colocate_with => 'none');
SELECT tessera.create_distributed_table('everything', 'tenant', colocate_with => 'parents');

-- the function that compares goes where the shards are
SELECT pg_get_functiondef('definition'::regproc) AS definition \gset
SELECT count(*) > 1 AS several, bool_and(success) FROM tessera.run_on_nodes(:'definition');
CREATE VIEW as_shards AS
SELECT s.shard_id, s.success, l.d
FROM tessera.run_on_shards('table_shards.everything', $$SELECT string_agg(d, E'\f' ORDER BY d)
    FROM (SELECT relname, nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass('%s')) t,
    table_shards.definition(to_regclass('%s'), nspname) d$$) s, unnest(string_to_array(s.result, E'\f')) l(d);
SELECT count(DISTINCT shard_id) AS shards, count(DISTINCT d) AS lines, bool_and(success) FROM as_shards;
-- lines that are only in one of both
CREATE VIEW differences AS
SELECT 'only in shards: ' || d AS line FROM as_shards WHERE d NOT IN (SELECT d FROM as_shell)
UNION SELECT 'only in the shell: ' || d FROM as_shell WHERE d NOT IN (SELECT d FROM as_shards);
SELECT * FROM differences ORDER BY line;
-- the coordinator keeps what is its own
SELECT attname, attidentity, pg_get_expr(adbin, adrelid)
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = 'everything'::regclass AND attname IN ('id', 'serial', 'at', 'uid') ORDER BY attnum;
INSERT INTO everything (tenant) VALUES (50) RETURNING id, serial, name, half_id, colour, parts, pos, doc, at = now() AS now;

-- constraints are kept in the shards
\set VERBOSITY sqlstate
INSERT INTO everything (tenant, name) VALUES (60, '');
INSERT INTO everything (tenant, pos) VALUES (60, 0);
INSERT INTO everything (tenant, part) VALUES (60, '(100,,)');
INSERT INTO everything (tenant, code) VALUES (60, 'none');
INSERT INTO everything (tenant, parent) VALUES (60, 1);
INSERT INTO everything (tenant, amount) VALUES (60, -1);
INSERT INTO everything (tenant) VALUES (50);
INSERT INTO everything (tenant, colour, pos) VALUES (50, 'red', 2000), (50, 'it''s', 2000);
INSERT INTO everything (tenant) VALUES (NULL);
DELETE FROM kinds;
\set VERBOSITY default
DELETE FROM parents WHERE tenant = 7;
SELECT count(*) FROM everything;

-- rights are asked in the shards too
SET ROLE regress_reader;
SELECT count(name) FROM table_shards.everything;
RESET ROLE;

-- taken back, it is as before
SELECT tessera.undistribute_table('everything');
SELECT d FROM definition('everything', 'table_shards') d EXCEPT SELECT d FROM as_shell;
SELECT count(*), count(DISTINCT id), count(big) FROM everything;
INSERT INTO everything (tenant) VALUES (51) RETURNING id, serial;
SELECT tessera.undistribute_table('parents');

-- and once more, with shards on this server
SELECT tessera.update_node(name, holds_shards => false) FROM tessera.node WHERE holds_shards ORDER BY name;
SELECT tessera.create_distributed_table('parents', 'tenant', colocate_with => 'none');
SELECT tessera.create_distributed_table('everything', 'tenant', colocate_with => 'parents');
SELECT tessera.update_node(name, holds_shards => true) FROM tessera.node WHERE server IS NOT NULL ORDER BY name;
SELECT DISTINCT node FROM tessera.placements WHERE relation = 'everything'::regclass;
SELECT count(DISTINCT shard_id) AS shards, count(DISTINCT d) AS lines, bool_and(success) FROM as_shards;
SELECT * FROM differences ORDER BY line;
INSERT INTO everything (tenant) VALUES (52) RETURNING id, serial, name, half_id, colour, parts, pos, doc, at = now() AS now;
\set VERBOSITY sqlstate
INSERT INTO everything (tenant, name) VALUES (60, '');
INSERT INTO everything (tenant, code) VALUES (60, 'none');
INSERT INTO everything (tenant, parent) VALUES (60, 1);
INSERT INTO everything (tenant) VALUES (50);
\set VERBOSITY default
DELETE FROM parents WHERE tenant = 8;
SELECT count(*) FROM everything;

DROP SCHEMA table_shards CASCADE;
SELECT node, success, result FROM tessera.run_on_nodes(
    $$SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'table\_shards\_%'$$) ORDER BY node;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS table_shards CASCADE');
DROP ROLE regress_reader, regress_writer;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP ROLE IF EXISTS regress_reader, regress_writer');

-- a member of a role distributes a table of that role
SET client_min_messages = warning;
CREATE ROLE regress_group;
CREATE ROLE regress_member LOGIN IN ROLE regress_group;
SELECT bool_and(success) FROM tessera.run_on_nodes($$DO 'BEGIN
    IF to_regrole(''regress_group'') IS NULL THEN
        CREATE ROLE regress_group;
        CREATE ROLE regress_member LOGIN IN ROLE regress_group;
    END IF; END'$$);
SELECT bool_and(success) FROM tessera.run_on_nodes('CREATE SCHEMA table_shards_of_group AUTHORIZATION regress_group');
SET ROLE regress_member;
CREATE TABLE table_shards_of_group.t (k int);
ALTER TABLE table_shards_of_group.t OWNER TO regress_group;
SELECT tessera.create_distributed_table('table_shards_of_group.t', 'k', shard_count => 2);
INSERT INTO table_shards_of_group.t VALUES (1), (2), (3);
SELECT count(*) FROM table_shards_of_group.t;
RESET ROLE;
SELECT result FROM tessera.run_on_shards('table_shards_of_group.t',
    $$SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '%s'::regclass$$);
DROP SCHEMA table_shards_of_group CASCADE;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS table_shards_of_group CASCADE');
DROP ROLE regress_member, regress_group;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP ROLE IF EXISTS regress_member, regress_group');
