
/* cluster: nodes join, leave and are looked at */
CREATE FUNCTION tessera_internal.fdw_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tess_fdw_validate';
COMMENT ON FUNCTION tessera_internal.fdw_validator(text[], oid)
	IS 'checks the options of servers and user mappings of the wrapper tessera';

CREATE FOREIGN DATA WRAPPER tessera NO HANDLER VALIDATOR tessera_internal.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER tessera IS 'servers that are, or are to become, nodes of the cluster';

/* On a node: which cluster it belongs to. */
CREATE TABLE tessera_internal.membership (
	cluster_id uuid NOT NULL,
	node_id int NOT NULL,
	node_name name NOT NULL,
	coordinator text NOT NULL,
	joined_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	incarnation text NOT NULL
);
CREATE UNIQUE INDEX membership_only_one ON tessera_internal.membership ((true));
COMMENT ON TABLE tessera_internal.membership
	IS 'the cluster to which this database belongs as a node; at most one row';
GRANT SELECT ON tessera_internal.membership TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('tessera_internal.membership', '');

CREATE FUNCTION tessera.add_node(name text, host text DEFAULT NULL, port int DEFAULT 5432,
		dbname text DEFAULT pg_catalog.current_database(), holds_shards bool DEFAULT true, zone text DEFAULT NULL)
	RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'tess_node_add';
COMMENT ON FUNCTION tessera.add_node(text, text, int, text, bool, text)
	IS 'makes a PostgreSQL database a node; without a host, that of the foreign server of this name';

CREATE FUNCTION tessera.update_node(name text, host text DEFAULT NULL, port int DEFAULT NULL,
		dbname text DEFAULT NULL, holds_shards bool DEFAULT NULL, zone text DEFAULT NULL)
	RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'tess_node_update';
COMMENT ON FUNCTION tessera.update_node(text, text, int, text, bool, text)
	IS 'changes the address of a node, whether it gets new shards, or its zone; NULL leaves a value as it is';

CREATE FUNCTION tessera.remove_node(name text)
	RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'tess_node_remove';
COMMENT ON FUNCTION tessera.remove_node(text)
	IS 'takes a node that holds no shards out of the cluster';

CREATE FUNCTION tessera.check_nodes(OUT node name, OUT reachable bool, OUT server_version text,
		OUT extension_version text, OUT problem text, OUT hint text)
	RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'tess_nodes_check';
COMMENT ON FUNCTION tessera.check_nodes()
	IS 'asks every node how it is: one row a problem, one row without problem for a sound node';

CREATE FUNCTION tessera.run_on_nodes(command text, OUT node name, OUT success bool, OUT result text)
	RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'tess_run_on_nodes';
COMMENT ON FUNCTION tessera.run_on_nodes(text)
	IS 'runs a command on every node, this server included; each other node commits by itself';

CREATE FUNCTION tessera.run_on_shards(relation regclass, command text, OUT shard_id bigint, OUT node name,
		OUT success bool, OUT result text)
	RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'tess_run_on_shards';
COMMENT ON FUNCTION tessera.run_on_shards(regclass, text)
	IS 'runs a command for every shard of a table, with %s replaced by the name of the shard''s table';

CREATE FUNCTION tessera.run_on_shards(relation text, command text, OUT shard_id bigint, OUT node name,
		OUT success bool, OUT result text)
	RETURNS SETOF record LANGUAGE c AS 'MODULE_PATHNAME', 'tess_run_on_shards';
COMMENT ON FUNCTION tessera.run_on_shards(text, text)
	IS 'runs a command for every shard of a table, with %s replaced by the name of the shard''s table';
