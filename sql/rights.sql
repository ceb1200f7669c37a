-- nobody reads, writes or drops through Tessera what PostgreSQL would not let them
CREATE SCHEMA rights;
SET search_path = rights;
SET tessera.shard_count = 4;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN
    LOCK pg_authid;
    IF to_regrole(''regress_owner'') IS NULL THEN CREATE ROLE regress_owner LOGIN; END IF;
    IF to_regrole(''regress_guest'') IS NULL THEN CREATE ROLE regress_guest LOGIN; END IF;
    CREATE SCHEMA IF NOT EXISTS rights;
    GRANT CREATE, USAGE ON SCHEMA rights TO regress_owner;
END'$$) WHERE NOT success;
\set VERBOSITY sqlstate

-- an owner who is no superuser distributes his table
SET ROLE regress_owner;
CREATE TABLE secrets (id int PRIMARY KEY, a text, b text);
INSERT INTO secrets SELECT i, 'a' || i, 'b' || i FROM generate_series(1, 8) i;
SELECT tessera.create_distributed_table('secrets', 'id');
GRANT SELECT (id, a), UPDATE (a) ON secrets TO regress_guest;
SELECT count(b) FROM secrets;

-- without USAGE on the schema there is nothing to see; with it, some columns
SET ROLE regress_guest;
SELECT id FROM rights.secrets WHERE id = 1;
RESET ROLE;
GRANT USAGE ON SCHEMA rights TO regress_guest;
SET ROLE regress_guest;
SELECT id, a FROM secrets WHERE id = 1;
SELECT count(id) FROM secrets;
SELECT b FROM secrets WHERE id = 1;
SELECT count(b) FROM secrets;
SELECT id FROM secrets WHERE b = 'b1';
SELECT secrets FROM secrets;
UPDATE secrets SET a = 'x' WHERE id = 1;
UPDATE secrets SET a = a || 'x';
UPDATE secrets SET a = b WHERE id = 1;
UPDATE secrets SET a = 'x' WHERE b = 'b1';
UPDATE secrets SET a = 'x' WHERE id = 1 RETURNING b;
UPDATE secrets SET b = 'x';
INSERT INTO secrets (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 'x';
DELETE FROM secrets WHERE id = 1;
TRUNCATE secrets;
COPY secrets TO STDOUT;
SELECT tessera.undistribute_table('secrets');
RESET ROLE;

-- views: the rights of their owner, or of who asks; barriers hold
SET ROLE regress_owner;
CREATE VIEW few AS SELECT id, b FROM secrets WHERE id < 4;
CREATE VIEW few_invoker WITH (security_invoker) AS SELECT id, b FROM secrets WHERE id < 4;
CREATE VIEW few_barrier WITH (security_barrier) AS SELECT id, b FROM secrets WHERE id < 4;
CREATE VIEW few_nested AS SELECT * FROM few_barrier;
GRANT SELECT, UPDATE ON few, few_invoker, few_barrier, few_nested TO regress_guest;
SET ROLE regress_guest;
CREATE FUNCTION pg_temp.leak(t text) RETURNS bool LANGUAGE plpgsql COST 0.00001 AS
$$BEGIN IF t > 'b3' THEN RAISE EXCEPTION 'seen'; END IF; RETURN true; END$$;
SELECT * FROM few WHERE id = 2;
SELECT count(*) FROM few;
SELECT count(*) FROM few_invoker;
SELECT count(*) FROM few_barrier WHERE pg_temp.leak(b);
SELECT count(*) FROM few_barrier WHERE 1 / (id - 7) < 1;
SELECT count(*) FROM few_nested WHERE pg_temp.leak(b) AND 1 / (id - 7) < 1;
SELECT * FROM few_nested WHERE id = 7 AND 1 / (id - 7) < 1;
UPDATE few SET b = b WHERE id = 2;
UPDATE few_invoker SET b = b WHERE id = 2;
UPDATE few_barrier SET b = b WHERE pg_temp.leak(b);
RESET ROLE;

-- a prepared statement belongs to no role
PREPARE some_b (int) AS SELECT b FROM secrets WHERE id = $1;
EXECUTE some_b (1);
SET ROLE regress_guest;
EXECUTE some_b (1);
RESET ROLE;
EXECUTE some_b (1);

-- a cursor belongs to who opened it
SET ROLE regress_owner;
CREATE FUNCTION open_secrets() RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER SET search_path = rights AS
$$DECLARE c refcursor := 'all_secrets'; BEGIN OPEN c FOR SELECT b FROM secrets WHERE id > 0 ORDER BY id; RETURN c; END$$;
CREATE FUNCTION open_secret() RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER SET search_path = rights AS
$$DECLARE c refcursor := 'one_secret'; BEGIN OPEN c FOR SELECT b FROM secrets WHERE id = 2; RETURN c; END$$;
SET ROLE regress_guest;
BEGIN;
SELECT open_secrets(), open_secret();
FETCH 2 FROM all_secrets;
FETCH ALL FROM one_secret;
COMMIT;
RESET ROLE;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT b FROM secrets WHERE id = 1;
SET ROLE regress_guest;
COMMIT;
FETCH ALL FROM held;
CLOSE held;
RESET ROLE;

-- two roles that write in one transaction do not see each other's rows: refused
CREATE FUNCTION write_as_owner() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = rights AS
$$UPDATE secrets SET b = b WHERE id = 1$$;
ALTER FUNCTION write_as_owner() OWNER TO regress_owner;
SET ROLE regress_guest;
BEGIN;
UPDATE secrets SET a = 'y' WHERE id = 1;
SELECT write_as_owner();
ROLLBACK;
SELECT write_as_owner();
RESET ROLE;

-- what nodes call on each other does nothing for strangers
CREATE SCHEMA rights_77 AUTHORIZATION regress_guest;
CREATE TABLE rights_77.own (id int);
ALTER TABLE rights_77.own OWNER TO regress_guest;
CREATE SCHEMA rights_of_owner AUTHORIZATION regress_owner;
CREATE SCHEMA rights_of_owner_77 AUTHORIZATION regress_guest;
CREATE TABLE rights_of_owner_77.own (id int);
ALTER TABLE rights_of_owner_77.own OWNER TO regress_guest;
SET ROLE regress_owner;
-- a schema that is no shard's, although it has the name of one
SELECT tessera_internal.drop_shards('rights_of_owner', 'own', '{77}', true);
SELECT tessera_internal.create_shard_schemas('rights_of_owner', '{77}');
SELECT tessera_internal.drop_shards('rights', 'own', '{77}', true);
SET ROLE regress_guest;
SELECT count(*) FROM rights_of_owner_77.own, rights_77.own o2;
SELECT tessera_internal.create_shard_schemas('rights', '{78}');
SELECT tessera_internal.create_shard_schemas('pg_catalog', '{78}');
SELECT tessera_internal.drop_shards('rights', 'secrets', '{}', true);
SELECT tessera_internal.drop_shards('pg_catalog', 'pg_class', '{}', true);
SELECT tessera_internal.catalog_changed();
SELECT tessera_internal.table_ddl('secrets');
INSERT INTO tessera.node (name) VALUES ('evil');
UPDATE tessera."table" SET kind = kind;
DELETE FROM tessera.commit_record;
SELECT tessera.add_node('evil');
SELECT tessera.run_on_nodes('SELECT 1');
CREATE USER MAPPING FOR regress_guest SERVER node1 OPTIONS (user 'postgres');
RESET ROLE;
-- CREATE on the database is no right on the schemas of others
SELECT format('GRANT CREATE ON DATABASE %I TO regress_guest', current_database()) \gexec
SET ROLE regress_guest;
SELECT tessera_internal.create_shard_schemas('rights', '{78}');
RESET ROLE;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_guest', current_database()) \gexec
SET client_min_messages = warning;
DROP SCHEMA rights_77, rights_of_owner, rights_of_owner_77 CASCADE;

-- no operator of a user runs when somebody calls Tessera's functions
CREATE SCHEMA rights_trap;
SET search_path = rights_trap;
CREATE FUNCTION trap(pg_catalog.text, pg_catalog.text) RETURNS bool LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = trap);
CREATE FUNCTION trap(pg_catalog.name, pg_catalog.name) RETURNS bool LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR = (LEFTARG = name, RIGHTARG = name, FUNCTION = trap);
CREATE DOMAIN text AS pg_catalog.int4;
SET search_path = rights_trap, pg_catalog;
SELECT pg_catalog.count(*) FROM tessera.check_nodes() WHERE problem IS NOT NULL;
SELECT pg_catalog.count(*) FROM tessera.nodes;
SELECT b FROM rights.secrets WHERE id OPERATOR(pg_catalog.=) 1;
RESET search_path;
DROP SCHEMA rights_trap CASCADE;

DROP SCHEMA rights CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS rights CASCADE') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes('DROP OWNED BY regress_owner, regress_guest') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_owner; DROP ROLE IF EXISTS regress_guest; END'$$) WHERE NOT success;
