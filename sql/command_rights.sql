-- GRANT, REVOKE and DROP OWNED reach shards, copies and their schemas.
CREATE SCHEMA command_rights;
SET search_path = command_rights;
SET client_min_messages = warning;
CREATE ROLE "regress r'ole" NOLOGIN;
CREATE ROLE regress_rights_new NOLOGIN;
CREATE TABLE d (k int PRIMARY KEY, v int);
CREATE TABLE r (k int PRIMARY KEY, v int);
SELECT tessera.create_distributed_table('d', 'k', shard_count => 6, colocate_with => 'none');
SELECT tessera.create_reference_table('r');
-- rights of others than the owner on the shards of d and their schemas, and
-- on the copies of r
CREATE VIEW rights AS
	SELECT DISTINCT 'd' AS what, result FROM tessera.run_on_shards('command_rights.d', $$
		SELECT string_agg(x.a, ' ' ORDER BY x.a) FROM (
			SELECT coalesce(a.attname || ': ', '') || e.grantee::regrole || ' ' || e.privilege_type || CASE WHEN e.is_grantable THEN '*' ELSE '' END AS a
			FROM (SELECT NULL::name AS attname, relacl AS acl, relowner AS owner FROM pg_class WHERE oid = '%s'::regclass
				UNION ALL SELECT attname, attacl, 0 FROM pg_attribute WHERE attrelid = '%s'::regclass AND attacl IS NOT NULL
				UNION ALL SELECT 'schema', nspacl, nspowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
					WHERE c.oid = '%s'::regclass) a, aclexplode(a.acl) e
			WHERE e.grantee <> a.owner) x $$)
	UNION ALL
	SELECT DISTINCT 'r', result FROM tessera.run_on_nodes($$
		SELECT string_agg(e.grantee::regrole || ' ' || e.privilege_type, ' ' ORDER BY e.privilege_type)
		FROM pg_class c, aclexplode(c.relacl) e
		WHERE c.oid = 'command_rights.r'::regclass AND e.grantee <> c.relowner $$);

-- what is granted is there
GRANT USAGE ON SCHEMA command_rights TO "regress r'ole";
GRANT SELECT (k), UPDATE (v) ON d TO "regress r'ole";
GRANT DELETE ON d, r TO "regress r'ole" WITH GRANT OPTION;
SELECT * FROM rights ORDER BY what;

-- REVOKE takes it, also from roles that the nodes have never heard of
REVOKE DELETE ON d, r FROM regress_rights_new, "regress r'ole", PUBLIC;
REVOKE ALL ON SCHEMA command_rights FROM regress_rights_new;
SELECT * FROM rights ORDER BY what;

-- DROP OWNED takes it from a role that owns nothing
GRANT ALL ON ALL TABLES IN SCHEMA command_rights TO "regress r'ole";
DROP OWNED BY "regress r'ole", regress_rights_new;
SELECT * FROM rights ORDER BY what;

-- a node's server does not go with the rest of what a role owns
CREATE ROLE regress_rights_super SUPERUSER NOLOGIN;
BEGIN;
ALTER SERVER node1 OWNER TO regress_rights_super;
DROP OWNED BY regress_rights_super;
ROLLBACK;
DROP ROLE regress_rights_super;

DROP SCHEMA command_rights CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS command_rights CASCADE') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN
	SET LOCAL client_min_messages = error;
	LOCK pg_authid;
	DROP ROLE IF EXISTS "regress r''ole";
	DROP ROLE IF EXISTS regress_rights_new;
END'$$) WHERE NOT success;
