/* catalog: what the cluster is made of */
CREATE TABLE tessera.cluster (
	cluster_id uuid NOT NULL PRIMARY KEY,
	incarnation int NOT NULL DEFAULT 1 CHECK (incarnation > 0),
	decides text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE tessera.cluster IS 'the identity of this cluster: one row';

CREATE SEQUENCE tessera.node_id_seq AS int;
CREATE TABLE tessera.node (
	node_id int NOT NULL PRIMARY KEY DEFAULT pg_catalog.nextval('tessera.node_id_seq') CHECK (node_id > 0),
	name name NOT NULL UNIQUE CHECK (name <> ''),
	server name UNIQUE,
	role text NOT NULL DEFAULT 'node' CHECK (role IN ('coordinator', 'node')),
	holds_shards bool NOT NULL DEFAULT true,
	zone text,
	active bool NOT NULL DEFAULT true
);
COMMENT ON TABLE tessera.node IS 'servers of the cluster; server is the foreign server, or NULL for the server one is on';

CREATE SEQUENCE tessera.colocation_id_seq AS int;
CREATE TABLE tessera.colocation (
	colocation_id int NOT NULL PRIMARY KEY DEFAULT pg_catalog.nextval('tessera.colocation_id_seq') CHECK (colocation_id > 0),
	strategy text NOT NULL CHECK (strategy IN ('hash', 'range', 'directory')),
	key_type regtype NOT NULL,
	key_collation regcollation,
	shard_count int NOT NULL CHECK (shard_count > 0),
	replication int NOT NULL DEFAULT 1 CHECK (replication > 0),
	is_default bool NOT NULL DEFAULT false
);
CREATE INDEX colocation_key_type_idx ON tessera.colocation (key_type);
COMMENT ON TABLE tessera.colocation IS 'groups of tables whose rows with equal keys are in the same shard';

CREATE SEQUENCE tessera.shard_id_seq START 100001 MINVALUE 100001;
CREATE TABLE tessera.shard (
	shard_id bigint NOT NULL PRIMARY KEY DEFAULT pg_catalog.nextval('tessera.shard_id_seq') CHECK (shard_id > 0),
	colocation_id int NOT NULL
);
CREATE INDEX shard_colocation_id_idx ON tessera.shard (colocation_id);
COMMENT ON TABLE tessera.shard IS 'shards of colocation groups';

CREATE TABLE tessera.shard_range (
	colocation_id int NOT NULL,
	shard_id bigint NOT NULL,
	lower text,
	upper text
);
CREATE INDEX shard_range_colocation_id_idx ON tessera.shard_range (colocation_id);
COMMENT ON TABLE tessera.shard_range IS 'which keys (hash: which hash values, both bounds inclusive) a shard holds';

CREATE TABLE tessera.placement (
	shard_id bigint NOT NULL,
	node_id int NOT NULL,
	state "char" NOT NULL DEFAULT 'a' CHECK (state <> ''),
	PRIMARY KEY (shard_id, node_id)
);
CREATE INDEX placement_node_id_idx ON tessera.placement (node_id);
COMMENT ON TABLE tessera.placement IS 'copies of shards on nodes; state ''a'' is active';

CREATE TABLE tessera."table" (
	relation regclass NOT NULL PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('distributed', 'reference')),
	colocation_id int CHECK ((colocation_id IS NULL) = (kind = 'reference')),
	key_column name CHECK ((key_column IS NULL) = (kind = 'reference'))
);
CREATE INDEX table_colocation_id_idx ON tessera."table" (colocation_id);
COMMENT ON TABLE tessera."table" IS 'distributed and reference tables';

CREATE TABLE tessera.size (
	relation regclass NOT NULL PRIMARY KEY,
	pages bigint NOT NULL,
	rows double precision NOT NULL
);
COMMENT ON TABLE tessera.size IS 'how large distributed tables were when they were last analyzed or vacuumed, for estimates';

CREATE TABLE tessera.object (
	type text COLLATE "C" NOT NULL,
	identity text COLLATE "C" NOT NULL,
	names text[] NOT NULL,
	args text[] NOT NULL,
	digest text NOT NULL,
	PRIMARY KEY (type, identity)
);
COMMENT ON TABLE tessera.object IS 'types, functions, operators and the like that all nodes hold as this server does';

CREATE TABLE tessera.function (
	function regprocedure NOT NULL,
	key_argument int CHECK (key_argument > 0),
	colocation_id int CHECK (colocation_id IS NOT NULL OR key_argument IS NULL),
	search_path text[] NOT NULL,
	sets_path bool NOT NULL,
	schema text NOT NULL,
	signature text NOT NULL,
	digest text NOT NULL,
	CONSTRAINT function_key UNIQUE NULLS NOT DISTINCT (function, colocation_id)
);
COMMENT ON TABLE tessera.function IS 'functions and procedures that run in the shard of their key, of triggers of distributed tables (without key_argument), or that all nodes hold (without colocation_id)';

CREATE TABLE tessera.commit_record (
	gid text NOT NULL PRIMARY KEY,
	recorded_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE INDEX commit_record_recorded_at_idx ON tessera.commit_record (recorded_at);
COMMENT ON TABLE tessera.commit_record IS 'two-phase transactions that are decided to commit, while a node may not have done so';

GRANT SELECT ON tessera.cluster, tessera.node, tessera.colocation, tessera.shard, tessera.shard_range,
	tessera.placement, tessera."table", tessera.size, tessera.object, tessera.function,
	tessera.commit_record TO PUBLIC;

/* There is no cluster without an identity and a coordinator. */
INSERT INTO tessera.cluster (cluster_id) VALUES (pg_catalog.gen_random_uuid());
INSERT INTO tessera.node (name, role, holds_shards) VALUES ('coordinator', 'coordinator', false);

/* pg_dump keeps all of it but the sizes, which ANALYZE finds out. */
SELECT pg_catalog.pg_extension_config_dump('tessera.cluster', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.node', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.node_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.colocation', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.colocation_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.shard', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.shard_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.shard_range', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.placement', '');
SELECT pg_catalog.pg_extension_config_dump('tessera."table"', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.object', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.function', '');
SELECT pg_catalog.pg_extension_config_dump('tessera.commit_record', '');

/*
 * Rows that come without our C code, by a restore or an administrator's hand:
 * backends hear of them, and the two rows made above give way to restored ones.
 */
CREATE FUNCTION tessera_internal.catalog_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'tess_catalog_changed';
COMMENT ON FUNCTION tessera_internal.catalog_changed() IS 'trigger: makes all sessions forget what they know of the catalog';
CREATE FUNCTION tessera_internal.catalog_replaced() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'tess_catalog_replaced';
COMMENT ON FUNCTION tessera_internal.catalog_replaced() IS 'trigger: lets a restored row take the place of that made by CREATE EXTENSION';
CREATE FUNCTION tessera_internal.table_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'tess_table_changed';
COMMENT ON FUNCTION tessera_internal.table_changed() IS 'trigger: keeps the dependencies of our tables on the extension';
REVOKE ALL ON FUNCTION tessera_internal.catalog_changed(), tessera_internal.catalog_replaced(),
	tessera_internal.table_changed() FROM PUBLIC;

CREATE TRIGGER catalog_replaced BEFORE INSERT ON tessera.cluster
	FOR EACH ROW EXECUTE FUNCTION tessera_internal.catalog_replaced();
CREATE TRIGGER catalog_replaced BEFORE INSERT ON tessera.node
	FOR EACH ROW EXECUTE FUNCTION tessera_internal.catalog_replaced();
CREATE TRIGGER table_changed AFTER INSERT OR UPDATE OR DELETE ON tessera."table"
	FOR EACH ROW EXECUTE FUNCTION tessera_internal.table_changed();
CREATE TRIGGER table_truncated BEFORE TRUNCATE ON tessera."table"
	FOR EACH STATEMENT EXECUTE FUNCTION tessera_internal.table_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tessera.node
	FOR EACH STATEMENT EXECUTE FUNCTION tessera_internal.catalog_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tessera.colocation
	FOR EACH STATEMENT EXECUTE FUNCTION tessera_internal.catalog_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tessera.shard
	FOR EACH STATEMENT EXECUTE FUNCTION tessera_internal.catalog_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tessera.shard_range
	FOR EACH STATEMENT EXECUTE FUNCTION tessera_internal.catalog_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tessera.object
	FOR EACH STATEMENT EXECUTE FUNCTION tessera_internal.catalog_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tessera.function
	FOR EACH STATEMENT EXECUTE FUNCTION tessera_internal.catalog_changed();
CREATE TRIGGER catalog_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tessera.placement
	FOR EACH STATEMENT EXECUTE FUNCTION tessera_internal.catalog_changed();

