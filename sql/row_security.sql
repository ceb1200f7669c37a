-- row security on distributed and reference tables: as on local ones
SET client_min_messages = warning;
CREATE SCHEMA row_security;
CREATE SCHEMA row_security_local;
SET search_path = row_security;
SET tessera.shard_count = 4;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'DECLARE r text; BEGIN
    LOCK pg_authid;
    FOREACH r IN ARRAY ''{regress_rs_owner,regress_rs_alice,regress_rs_bob,regress_rs_past}''::text[] LOOP
        IF to_regrole(r) IS NULL THEN EXECUTE ''CREATE ROLE '' || r || '' LOGIN''; END IF;
    END LOOP;
    CREATE SCHEMA IF NOT EXISTS row_security;
    GRANT CREATE, USAGE ON SCHEMA row_security TO regress_rs_owner, regress_rs_alice, regress_rs_bob, regress_rs_past;
END'$$) WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes('ALTER ROLE regress_rs_past BYPASSRLS') WHERE NOT success;
GRANT ALL ON SCHEMA row_security_local TO regress_rs_owner, regress_rs_alice, regress_rs_bob, regress_rs_past;

-- the same tables, rows and policies in both schemas
CREATE FUNCTION make_tables(place text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', place, true);
    CREATE TABLE members (name text PRIMARY KEY, tenant int, rank int);
    CREATE TABLE staff (name text, boss name);
    CREATE TABLE docs (tenant int, id int, owner name, title text, level int DEFAULT 1, double int GENERATED ALWAYS AS (level * 2) STORED, PRIMARY KEY (tenant, id));
    CREATE TABLE notes (tenant int, id int, doc int, body text, PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, doc) REFERENCES docs ON DELETE CASCADE);
    CREATE TABLE kinds (kind int PRIMARY KEY, tenant int, name text);
    INSERT INTO members VALUES ('regress_rs_alice', 1, 5), ('regress_rs_bob', 2, 3), ('regress_rs_owner', 3, 9);
    INSERT INTO staff VALUES ('regress_rs_alice', 'regress_rs_bob');
    ALTER TABLE members OWNER TO regress_rs_owner;
    ALTER TABLE staff OWNER TO regress_rs_owner;
    ALTER TABLE docs OWNER TO regress_rs_owner;
    ALTER TABLE notes OWNER TO regress_rs_owner;
    ALTER TABLE kinds OWNER TO regress_rs_owner;
    GRANT ALL ON members, staff, docs, notes, kinds TO regress_rs_alice, regress_rs_bob, regress_rs_past;
    -- one that is there before the table is distributed
    CREATE POLICY tenant ON docs USING (tenant = current_setting('app.tenant', true)::int);
    ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
END $$;
CREATE FUNCTION refill(place text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', place, true);
    DELETE FROM notes;
    DELETE FROM docs;
    DELETE FROM kinds;
    INSERT INTO docs (tenant, id, owner, title, level) SELECT t, i, CASE i % 2 WHEN 0 THEN 'regress_rs_alice' ELSE 'regress_rs_bob' END, 'doc ' || t || '.' || i, i FROM generate_series(1, 4) t, generate_series(1, 6) i;
    INSERT INTO notes SELECT t, i, 1 + i % 5, 'note ' || i FROM generate_series(1, 4) t, generate_series(1, 10) i;
    INSERT INTO kinds SELECT i, i % 4 + 1, 'kind ' || i FROM generate_series(1, 8) i;
END $$;
SELECT make_tables('row_security_local');
SELECT refill('row_security_local');
SELECT make_tables('row_security');
SELECT refill('row_security');
SET search_path = row_security;
GRANT USAGE ON FOREIGN DATA WRAPPER tessera TO regress_rs_owner;
SELECT tessera.create_reference_table('members');
SELECT tessera.create_reference_table('kinds');
SELECT tessera.create_distributed_table('docs', 'tenant');
SELECT tessera.create_distributed_table('notes', 'tenant');

-- what a statement does in a schema, for a role
CREATE FUNCTION outcome(place text, who text, tenant text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    row record;
    rows text[] := '{}';
    count bigint;
BEGIN
    PERFORM set_config('search_path', place, true);
    PERFORM set_config('app.tenant', tenant, true);
    PERFORM set_config('role', who, true);
    IF statement ~* '^(select|with|table)|returning' THEN
        FOR row IN EXECUTE statement LOOP
            rows := rows || row::text;
        END LOOP;
        SELECT array_agg(r ORDER BY r COLLATE "C") INTO rows FROM unnest(rows) r;
        RETURN coalesce(array_length(rows, 1), 0) || ' rows ' || coalesce(left(rows::text, 60), '');
    END IF;
    EXECUTE statement;
    GET DIAGNOSTICS count = ROW_COUNT;
    RETURN count || ' done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION contents(place text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text := '';
    part text;
    t text;
BEGIN
    PERFORM set_config('search_path', place, true);
    FOREACH t IN ARRAY '{members,staff,docs,notes,kinds}'::text[] LOOP
        EXECUTE format('SELECT md5(string_agg(x::text, '','' ORDER BY x::text)) FROM %I x', t) INTO part;
        said := said || t || ' ' || coalesce(part, '') || ' ';
    END LOOP;
    RETURN said;
END $$;
CREATE FUNCTION same(who text, tenant text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    here text := row_security.outcome('row_security', who, tenant, statement);
    there text;
BEGIN
    PERFORM set_config('role', 'none', true);
    there := row_security.outcome('row_security_local', who, tenant, statement);
    PERFORM set_config('role', 'none', true);
    IF here IS DISTINCT FROM there THEN
        RETURN 'DIFFERENT: ' || here || ' LOCAL: ' || there;
    END IF;
    RETURN here;
END $$;
-- DDL in both
CREATE PROCEDURE in_both(statement text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', 'row_security_local', true);
    EXECUTE statement;
    PERFORM set_config('search_path', 'row_security', true);
    EXECUTE statement;
END $$;
CREATE TABLE asked (n serial, statement text);
INSERT INTO asked (statement) VALUES
('SELECT tenant, id FROM docs'),
('SELECT count(*) FROM docs'),
('SELECT id, title, double FROM docs WHERE tenant = 1 AND id = 2'),
('SELECT id FROM docs WHERE tenant = 2 AND id = 2'),
('SELECT owner, count(*), sum(level) FROM docs GROUP BY owner'),
('SELECT d.id, n.id FROM docs d JOIN notes n ON n.tenant = d.tenant AND n.doc = d.id'),
('SELECT d.id, count(n.id) FROM docs d LEFT JOIN notes n ON n.tenant = d.tenant AND n.doc = d.id AND n.id > 3 GROUP BY d.id'),
('SELECT n.id, d.title FROM notes n LEFT JOIN docs d ON n.tenant = d.tenant AND n.doc = d.id'),
('SELECT n.id FROM notes n FULL JOIN docs d ON n.tenant = d.tenant AND n.doc = d.id'),
('SELECT n.id FROM notes n WHERE EXISTS (SELECT 1 FROM docs d WHERE n.tenant = d.tenant AND n.doc = d.id)'),
('SELECT n.id FROM notes n WHERE n.doc NOT IN (SELECT d.id FROM docs d)'),
('SELECT n.id FROM notes n JOIN docs d ON n.doc = d.id WHERE n.id < 3'),
('SELECT k.name, d.id FROM kinds k JOIN docs d USING (tenant)'),
('SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY tenant ORDER BY id) AS n FROM docs) x WHERE n < 3'),
('SELECT id FROM docs WHERE tenant = 1 ORDER BY level DESC LIMIT 2'),
('SELECT title FROM docs UNION SELECT body FROM notes WHERE id = 1'),
('WITH d AS MATERIALIZED (SELECT * FROM docs) SELECT count(*) FROM d'),
('SELECT id FROM docs WHERE tenant = 1 AND id = 2 FOR UPDATE'),
('SELECT id FROM docs FOR UPDATE'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (1, 20, ''regress_rs_alice'', ''new'')'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (1, 21, ''regress_rs_bob'', ''new'') RETURNING *'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (2, 20, ''regress_rs_alice'', ''new'')'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (2, 2, ''regress_rs_alice'', ''there'')'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (2, 2, ''regress_rs_alice'', ''there'') ON CONFLICT DO NOTHING'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (1, 2, ''regress_rs_alice'', ''there'') ON CONFLICT DO NOTHING'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (1, 2, ''regress_rs_alice'', ''there'') ON CONFLICT (tenant, id) DO UPDATE SET title = EXCLUDED.title'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (1, 2, ''regress_rs_alice'', ''there''), (1, 30, ''regress_rs_bob'', ''x'') ON CONFLICT (tenant, id) DO UPDATE SET owner = ''regress_rs_bob'', level = 7 RETURNING title, owner'),
('INSERT INTO docs (tenant, id, owner, title) VALUES (2, 2, ''regress_rs_alice'', ''there'') ON CONFLICT (tenant, id) DO UPDATE SET title = ''stolen'''),
('INSERT INTO docs (tenant, id, owner, title, level) VALUES (1, 3, ''regress_rs_alice'', ''there'', 3) ON CONFLICT (tenant, id) DO UPDATE SET level = 60'),
('INSERT INTO docs (tenant, id, owner, title) SELECT tenant, id + 100, owner, title FROM docs'),
('INSERT INTO docs (tenant, id, owner, title) SELECT 1, 1000 + i, ''regress_rs_alice'', ''many'' FROM generate_series(1, 1500) i'),
('INSERT INTO docs (tenant, id, owner, title) SELECT CASE WHEN i = 1400 THEN 9 ELSE 1 END, 4000 + i, ''regress_rs_alice'', ''many'' FROM generate_series(1, 1500) i'),
('INSERT INTO notes SELECT tenant, id + 100, id, ''about '' || title FROM docs WHERE id < 3'),
('INSERT INTO docs (tenant, id) VALUES (1, 22)'),
('INSERT INTO docs (tenant, id, owner, title, level) VALUES (1, 23, ''regress_rs_alice'', ''high'', 60)'),
('UPDATE docs SET title = title || ''!'''),
('UPDATE docs SET title = ''x'' WHERE tenant = 1 AND id = 3'),
('UPDATE docs SET title = ''x'' WHERE tenant = 2 AND id = 3'),
('UPDATE docs SET level = level + 1 WHERE id = 4 RETURNING tenant, id, level, double'),
('UPDATE docs SET level = 60 WHERE id = 4'),
('UPDATE docs SET tenant = 7 WHERE id = 6'),
('UPDATE docs SET tenant = 7 WHERE tenant = 1 AND id = 6 RETURNING id'),
('UPDATE docs SET tenant = tenant, title = ''same'' WHERE tenant = 1 AND id = 6'),
('UPDATE docs SET id = 900 WHERE id = 6'),
('UPDATE docs SET owner = ''regress_rs_bob'' WHERE id = 20'),
('UPDATE docs SET title = n.body FROM notes n WHERE n.tenant = docs.tenant AND n.id = docs.id'),
('UPDATE docs SET title = (SELECT max(d.title) FROM docs d)'),
('UPDATE notes SET body = d.title FROM docs d WHERE d.tenant = notes.tenant AND d.id = notes.doc'),
('WITH gone AS (DELETE FROM docs WHERE id = 6 RETURNING *) SELECT count(*) FROM gone'),
('WITH one AS (UPDATE docs SET level = 3 WHERE id = 3 RETURNING *), two AS (INSERT INTO notes SELECT tenant, 300, id, title FROM one RETURNING id) SELECT * FROM two'),
('DELETE FROM docs WHERE tenant = 2'),
('DELETE FROM docs WHERE id = 5 RETURNING tenant, id'),
('DELETE FROM docs USING notes n WHERE n.tenant = docs.tenant AND n.doc = docs.id AND n.id = 3'),
('SELECT * FROM kinds'),
('INSERT INTO kinds VALUES (20, 1, ''mine''), (21, 1, ''mine'')'),
('INSERT INTO kinds VALUES (22, 2, ''yours'')'),
('INSERT INTO kinds VALUES (20, 1, ''again'') ON CONFLICT (kind) DO UPDATE SET name = EXCLUDED.name'),
('INSERT INTO kinds VALUES (1, 1, ''again'') ON CONFLICT (kind) DO UPDATE SET name = EXCLUDED.name'),
('UPDATE kinds SET name = name || ''!'''),
('UPDATE kinds SET tenant = 2 WHERE kind = 20'),
('MERGE INTO kinds USING (VALUES (20), (1), (40)) v (k) ON k = kind WHEN MATCHED THEN UPDATE SET name = ''merged'' WHEN NOT MATCHED THEN INSERT VALUES (k, 1, ''new'')'),
('DELETE FROM kinds WHERE kind > 3'),
('TRUNCATE kinds'),
('TABLE docs'),
('DELETE FROM docs');
GRANT USAGE ON SCHEMA row_security TO PUBLIC;
CREATE TABLE said (who text, n int, said text);

-- one policy, of a setting: who is its tenant
SELECT refill('row_security_local'), refill('row_security');
\set ECHO none
SELECT format($f$INSERT INTO said SELECT %L, %s, same(%L, %L, %L)$f$, 'regress_rs_alice', n, 'regress_rs_alice', '1', statement) FROM asked ORDER BY n \gexec
\set ECHO all
SELECT contents('row_security') = contents('row_security_local') AS same;
SELECT n, said FROM said WHERE who = 'regress_rs_alice' ORDER BY n;
DELETE FROM said;

-- policies of each command, restrictive ones, of roles, with subqueries
CALL in_both($$
    DROP POLICY tenant ON docs;
    CREATE POLICY tenant ON docs USING (tenant = current_setting('app.tenant', true)::int AND owner IS NOT NULL);
    ALTER POLICY tenant ON docs USING (tenant = current_setting('app.tenant', true)::int);
    ALTER POLICY tenant ON docs RENAME TO of_tenant;
    CREATE POLICY low ON docs AS RESTRICTIVE FOR UPDATE USING (true) WITH CHECK (double < 100);
    CREATE POLICY mine ON docs AS RESTRICTIVE FOR DELETE USING (owner = current_user);
    CREATE POLICY ranked ON docs FOR SELECT TO regress_rs_alice USING (level <= (SELECT rank - 2 FROM members WHERE name = current_user));
    COMMENT ON POLICY ranked ON docs IS 'of members';
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY read ON notes FOR SELECT USING (EXISTS (SELECT FROM docs d WHERE d.tenant = notes.tenant AND d.id = notes.doc));
    CREATE POLICY write ON notes FOR INSERT WITH CHECK (tenant = current_setting('app.tenant')::int);
    CREATE POLICY change ON notes FOR UPDATE USING (tenant IN (SELECT tenant FROM members WHERE name = session_user::text OR name = current_user)) WITH CHECK (EXISTS (SELECT FROM docs d WHERE d.tenant = notes.tenant AND d.id = doc AND body <> 'bad'));
    ALTER TABLE kinds ENABLE ROW LEVEL SECURITY;
    CREATE POLICY boss ON kinds USING (tenant = 1 OR EXISTS (SELECT FROM staff WHERE boss = current_user));
$$);
INSERT INTO asked(statement) VALUES ('UPDATE notes SET body = ''bad'' WHERE id = 1'), ('UPDATE notes SET body = ''good'' WHERE id = 1'),
('UPDATE notes SET doc = 99 WHERE id = 2 AND tenant = 1');
-- as regress_rs_alice
SELECT refill('row_security_local'), refill('row_security');
\set ECHO none
SELECT format($f$INSERT INTO said SELECT %L, %s, same(%L, %L, %L)$f$, 'regress_rs_alice', n, 'regress_rs_alice', '1', statement) FROM asked ORDER BY n \gexec
\set ECHO all
SELECT contents('row_security') = contents('row_security_local') AS same;
SELECT n, said FROM said WHERE who = 'regress_rs_alice' ORDER BY n;
DELETE FROM said;
-- as regress_rs_bob
SELECT refill('row_security_local'), refill('row_security');
\set ECHO none
SELECT format($f$INSERT INTO said SELECT %L, %s, same(%L, %L, %L)$f$, 'regress_rs_bob', n, 'regress_rs_bob', '2', statement) FROM asked ORDER BY n \gexec
\set ECHO all
SELECT contents('row_security') = contents('row_security_local') AS same;
SELECT n, said FROM said WHERE who = 'regress_rs_bob' ORDER BY n;
DELETE FROM said;
-- as regress_rs_owner
SELECT refill('row_security_local'), refill('row_security');
\set ECHO none
SELECT format($f$INSERT INTO said SELECT %L, %s, same(%L, %L, %L)$f$, 'regress_rs_owner', n, 'regress_rs_owner', '3', statement) FROM asked ORDER BY n \gexec
\set ECHO all
SELECT contents('row_security') = contents('row_security_local') AS same;
SELECT n, said FROM said WHERE who = 'regress_rs_owner' AND said LIKE 'DIFF%' ORDER BY n;
DELETE FROM said;
-- as regress_rs_past
SELECT refill('row_security_local'), refill('row_security');
\set ECHO none
SELECT format($f$INSERT INTO said SELECT %L, %s, same(%L, %L, %L)$f$, 'regress_rs_past', n, 'regress_rs_past', '1', statement) FROM asked ORDER BY n \gexec
\set ECHO all
SELECT contents('row_security') = contents('row_security_local') AS same;
SELECT n, said FROM said WHERE who = 'regress_rs_past' AND said LIKE 'DIFF%' ORDER BY n;
DELETE FROM said;

-- policies of tenants alone
CALL in_both($$ DROP POLICY ranked ON docs; DROP POLICY mine ON docs; DROP POLICY read ON notes; DROP POLICY change ON notes; DROP POLICY write ON notes; DROP POLICY boss ON kinds;
 CREATE POLICY tenant ON notes USING (tenant = current_setting('app.tenant', true)::int);
 CREATE POLICY tenant ON kinds USING (tenant = current_setting('app.tenant', true)::int);
$$);

-- functions that see rows fail at those of other tenants: nothing may show these to them
CREATE FUNCTION seen(t int) RETURNS bool IMMUTABLE COST 0.0001 LANGUAGE plpgsql AS 'BEGIN IF t <> 1 THEN RAISE EXCEPTION ''saw row of tenant %'', t; END IF; RETURN true; END';
CREATE FUNCTION row_security_local.seen(t int) RETURNS bool IMMUTABLE COST 0.0001 LANGUAGE plpgsql AS 'BEGIN IF t <> 1 THEN RAISE EXCEPTION ''saw row of tenant %'', t; END IF; RETURN true; END';
CREATE FUNCTION seen_here(t int) RETURNS bool VOLATILE COST 0.0001 LANGUAGE plpgsql AS 'BEGIN IF t <> 1 THEN RAISE EXCEPTION ''saw row of tenant %'', t; END IF; RETURN true; END';
CREATE FUNCTION row_security_local.seen_here(t int) RETURNS bool VOLATILE COST 0.0001 LANGUAGE plpgsql AS 'BEGIN IF t <> 1 THEN RAISE EXCEPTION ''saw row of tenant %'', t; END IF; RETURN true; END';
DELETE FROM asked;
INSERT INTO asked (n, statement) SELECT row_number() OVER (), replace(s, 'FUN', f) FROM unnest('{seen,seen_here}'::text[]) f, unnest(ARRAY[
'SELECT count(*) FROM docs WHERE FUN(tenant)',
'SELECT count(*) FROM docs WHERE FUN(tenant) AND id = 2',
'SELECT count(*) FROM docs WHERE tenant = 2 AND FUN(tenant)',
'SELECT FUN(tenant), count(*) FROM docs GROUP BY 1',
'SELECT tenant, count(*) FROM docs GROUP BY tenant HAVING FUN(tenant)',
'SELECT id FROM docs ORDER BY FUN(tenant), id LIMIT 1',
'SELECT count(*) FROM docs d JOIN notes n ON d.tenant = n.tenant AND d.id = n.doc AND FUN(d.tenant) AND FUN(n.tenant)',
'SELECT count(*) FROM docs d LEFT JOIN notes n ON d.tenant = n.tenant AND d.id = n.doc AND FUN(n.tenant)',
'SELECT count(*) FROM notes n JOIN docs d ON FUN(d.tenant) AND FUN(n.tenant) WHERE n.id = d.id',
'SELECT count(*) FROM kinds k JOIN docs d ON d.id = k.kind WHERE FUN(d.tenant)',
'SELECT count(*) FROM members m JOIN docs d ON d.id = m.rank AND FUN(d.tenant)',
'SELECT count(*) FROM (SELECT tenant, id FROM docs OFFSET 0) x WHERE FUN(tenant)',
'SELECT count(*) FROM (SELECT FUN(tenant) AS f FROM docs) x WHERE f',
'SELECT count(*) FROM notes n WHERE EXISTS (SELECT FROM docs d WHERE d.tenant = n.tenant AND FUN(d.tenant))',
'SELECT count(*) FROM docs WHERE id IN (SELECT id FROM notes WHERE FUN(tenant))',
'SELECT (SELECT max(id) FROM docs d WHERE FUN(d.tenant) AND d.tenant = k.tenant) FROM kinds k',
'SELECT max(CASE WHEN FUN(tenant) THEN id END) FROM docs',
'SELECT count(*) FILTER (WHERE FUN(tenant)) FROM docs',
'SELECT count(DISTINCT FUN(tenant)) FROM docs',
'SELECT id FROM docs WHERE FUN(tenant) FOR UPDATE',
'WITH x AS (SELECT * FROM docs) SELECT count(*) FROM x WHERE FUN(tenant)',
'UPDATE docs SET title = ''seen'' WHERE FUN(tenant)',
'UPDATE docs SET title = ''seen'' WHERE FUN(tenant) AND tenant = 2',
'UPDATE docs SET title = n.body FROM notes n WHERE FUN(docs.tenant) AND n.tenant = docs.tenant AND n.id = docs.id AND FUN(n.tenant)',
'UPDATE docs SET title = FUN(tenant)::text RETURNING FUN(tenant)',
'DELETE FROM docs WHERE FUN(tenant) AND id = 6',
'DELETE FROM notes USING docs d WHERE FUN(d.tenant) AND d.tenant = notes.tenant AND d.id = notes.doc AND notes.id = 8 AND FUN(notes.tenant)',
'INSERT INTO docs (tenant, id, owner, title) SELECT tenant, id + 500, owner, title FROM docs WHERE FUN(tenant)',
'INSERT INTO docs (tenant, id, owner, title) SELECT tenant, id, owner, title FROM docs WHERE FUN(tenant) ON CONFLICT (tenant, id) DO UPDATE SET title = ''up'' WHERE FUN(docs.tenant)',
'UPDATE kinds SET name = ''seen'' WHERE FUN(tenant)',
'DELETE FROM kinds WHERE FUN(tenant)'
]) s;
SELECT refill('row_security_local'), refill('row_security');
\set ECHO none
SELECT format($f$INSERT INTO said SELECT %L, %s, same(%L, %L, %L)$f$, 'regress_rs_alice', n, 'regress_rs_alice', '1', statement) FROM asked ORDER BY n \gexec
\set ECHO all
SELECT contents('row_security') = contents('row_security_local') AS same;
SELECT n, said FROM said WHERE who = 'regress_rs_alice' ORDER BY n;
DELETE FROM said;
SET ROLE NONE;
\set VERBOSITY terse

-- owners, FORCE, row_security = off, COPY
GRANT pg_execute_server_program TO regress_rs_alice;
SET ROLE regress_rs_owner;
SET app.tenant = 1;
SELECT count(*) FROM docs;
RESET ROLE;
ALTER TABLE docs FORCE ROW LEVEL SECURITY;
SET ROLE regress_rs_owner;
SELECT count(*) FROM docs;
INSERT INTO docs (tenant, id) VALUES (2, 70);
RESET ROLE;
ALTER TABLE docs NO FORCE ROW LEVEL SECURITY;
-- row_security off
SET ROLE regress_rs_alice;
SET row_security = off;
SELECT count(*) FROM docs;
UPDATE docs SET title = 'x';
COPY docs TO STDOUT;
RESET row_security;
COPY (SELECT tenant, id FROM docs ORDER BY 1, 2) TO STDOUT;
COPY notes (tenant, id) TO STDOUT;
COPY notes FROM PROGRAM 'true';
-- roles change under prepared statements
PREPARE by_id(int) AS SELECT tenant, id, current_user AS u FROM docs WHERE id = $1 ORDER BY 1;
PREPARE one(int, int) AS SELECT count(*) FROM docs WHERE tenant = $1 AND id = $2;
PREPARE ins(int, int) AS INSERT INTO docs (tenant, id, owner, title) VALUES ($1, $2, current_user, 'p') RETURNING id;
EXECUTE by_id(3); EXECUTE by_id(3); EXECUTE by_id(3);
EXECUTE by_id(3); EXECUTE by_id(3); EXECUTE by_id(3);
EXECUTE one(1, 3);  EXECUTE one(2, 3);
EXECUTE ins(1, 80);
EXECUTE ins(2, 80);
SET app.tenant = 2;
EXECUTE by_id(3);
EXECUTE one(1, 3);  EXECUTE one(2, 3);
EXECUTE ins(2, 80);
EXECUTE ins(1, 81);
SET ROLE regress_rs_past;
EXECUTE by_id(3);
EXECUTE one(1, 3);  EXECUTE one(2, 3);
EXECUTE ins(3, 80);
SET ROLE regress_rs_alice;
EXECUTE by_id(3);
EXECUTE ins(3, 81);
RESET ROLE;
-- a tenant's statement goes to his shard alone; a constraint does not tell of rows
SET ROLE regress_rs_alice;
EXPLAIN (COSTS OFF) SELECT * FROM docs WHERE id = 3;
SET client_min_messages = notice;
DO $$
DECLARE
    said text;
BEGIN
    INSERT INTO docs (tenant, id) VALUES (2, 80);
EXCEPTION WHEN unique_violation THEN
    GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
    RAISE NOTICE 'detail: "%"', said;
END $$;
RESET ROLE;
-- functions of shards, and triggers, do not pass by the policies: these run here, those are refused
SET app.tenant = 2;
CREATE PROCEDURE bump(t int, i int) LANGUAGE plpgsql AS $$ BEGIN UPDATE docs SET level = level + 1 WHERE tenant = t AND id = i; END $$;
GRANT EXECUTE ON PROCEDURE bump TO PUBLIC;
SELECT tessera.create_distributed_function('bump', 't', 'docs');
CREATE FUNCTION count_notes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE docs SET title = title || '+' WHERE tenant = NEW.tenant AND id = NEW.doc; RETURN NULL; END $$;
CREATE TRIGGER count_notes AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION count_notes();
INSERT INTO notes VALUES (2, 500, 1, 'x');
SET ROLE regress_rs_alice;
CALL bump(2, 1);
CALL bump(1, 1);
INSERT INTO notes VALUES (2, 501, 1, 'x');
RESET ROLE;
ALTER FUNCTION count_notes SECURITY DEFINER;
ALTER FUNCTION count_notes OWNER TO regress_rs_owner;
SET ROLE regress_rs_alice;
INSERT INTO notes VALUES (2, 501, 1, 'x');
RESET ROLE;
SELECT level, title FROM docs WHERE tenant < 3 AND id = 1 ORDER BY tenant;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body = 'stamped'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION stamp();
INSERT INTO notes VALUES (2, 502, 1, 'x') RETURNING *;
SET ROLE regress_rs_alice;
INSERT INTO notes VALUES (2, 503, 1, 'x');
UPDATE notes SET body = 'u' WHERE id = 502;
RESET ROLE;
DROP TRIGGER stamp ON notes;
-- what has no row security any more
ALTER TABLE docs DISABLE ROW LEVEL SECURITY;
SET ROLE regress_rs_alice;
SELECT count(*) FROM docs;
CALL bump(2, 1);
RESET ROLE;

-- many rows of other shards: nodes divide them, but not where each of them is checked
CREATE TABLE many (id int PRIMARY KEY, tenant int);
GRANT SELECT ON many TO PUBLIC;
INSERT INTO many SELECT i, CASE WHEN i = 4900 THEN 3 ELSE 2 END FROM generate_series(1, 5000) i;
SELECT tessera.create_distributed_table('many', 'id', colocate_with => 'none');
SET ROLE regress_rs_alice;
INSERT INTO notes SELECT tenant, 10000 + id, NULL, 'many' FROM many;
INSERT INTO notes SELECT tenant, 10000 + id, NULL, 'many' FROM many WHERE tenant = 2;
RESET ROLE;
SELECT tenant, count(*) FROM notes WHERE id > 10000 GROUP BY 1;
DELETE FROM notes WHERE id > 10000;
-- tables come home with their rows and policies, whoever has FORCE
ALTER TABLE docs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DROP TRIGGER count_notes ON notes;
SELECT tessera.undistribute_function('bump');
ALTER TABLE notes DROP CONSTRAINT notes_tenant_doc_fkey;
CREATE TABLE before AS SELECT count(*) AS rows FROM docs;
SET ROLE regress_rs_owner;
SELECT tessera.undistribute_table('docs');
RESET ROLE;
SELECT (SELECT count(*) FROM docs) - rows AS lost FROM before;
SET ROLE regress_rs_owner;
SELECT tessera.create_distributed_table('docs', 'tenant', colocate_with => 'notes');
SELECT count(*) = 0 AS hidden FROM docs WHERE tenant <> 2;
RESET ROLE;
SELECT (SELECT count(*) FROM docs) - rows AS lost FROM before;
SELECT policyname, permissive, cmd FROM pg_policies WHERE schemaname = 'row_security' AND tablename = 'docs' ORDER BY 1;
SET client_min_messages = warning;
DROP SCHEMA row_security, row_security_local CASCADE;
SELECT count(*) > 0 FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS row_security CASCADE');
SELECT count(*) FROM tessera.run_on_nodes('DROP OWNED BY regress_rs_owner, regress_rs_alice, regress_rs_bob, regress_rs_past') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'DECLARE r text; BEGIN
    SET LOCAL client_min_messages = error;
    LOCK pg_authid;
    FOREACH r IN ARRAY ''{regress_rs_owner,regress_rs_alice,regress_rs_bob,regress_rs_past}''::text[] LOOP
        EXECUTE ''DROP ROLE IF EXISTS '' || r;
    END LOOP;
END'$$) WHERE NOT success;
