
/* monitor: what users look at */
CREATE FUNCTION tessera_internal.shard_sizes(table_oid regclass DEFAULT NULL, must_be_complete bool DEFAULT false,
		OUT relation regclass, OUT shard_id bigint, OUT node_id int, OUT bytes bigint, OUT main_bytes bigint,
		OUT estimated_rows bigint)
	RETURNS SETOF record LANGUAGE c PARALLEL UNSAFE ROWS 100
	AS 'MODULE_PATHNAME', 'tess_shard_sizes';
COMMENT ON FUNCTION tessera_internal.shard_sizes(regclass, bool)
	IS 'sizes of all shards and copies, in one round trip to each node; NULL where a node does not answer';

CREATE FUNCTION tessera_internal.shard_relation(relation regclass, shard_id bigint) RETURNS text
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'tess_shard_relation';
COMMENT ON FUNCTION tessera_internal.shard_relation(regclass, bigint)
	IS 'qualified and quoted name of a table in one of its shards; of itself without a shard';

CREATE VIEW tessera.nodes AS
	SELECT n.node_id, n.name,
		CASE WHEN n.server IS NULL THEN NULL ELSE coalesce(o.host, o.hostaddr) END AS host,
		CASE WHEN n.server IS NULL THEN pg_catalog.current_setting('port')::int
			ELSE coalesce(o.port, '5432')::int END AS port,
		CASE WHEN n.server IS NULL THEN pg_catalog.current_database()::text ELSE o.dbname END AS dbname,
		n.role, n.holds_shards, n.zone, n.active,
		(SELECT pg_catalog.count(*)::int FROM tessera.placement p WHERE p.node_id = n.node_id) AS shards,
		s.bytes
	FROM tessera.node n
	LEFT JOIN LATERAL (
		SELECT pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'host') AS host,
			pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'hostaddr') AS hostaddr,
			pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'port') AS port,
			pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'dbname') AS dbname
		FROM pg_catalog.pg_foreign_server f, pg_catalog.pg_options_to_table(f.srvoptions) x
		WHERE f.srvname = n.server) o ON true
	LEFT JOIN (
		SELECT z.node_id,
			CASE WHEN pg_catalog.bool_and(z.bytes IS NOT NULL) THEN pg_catalog.sum(z.bytes)::bigint END AS bytes
		FROM tessera_internal.shard_sizes() z GROUP BY z.node_id) s ON s.node_id = n.node_id;
COMMENT ON VIEW tessera.nodes
	IS 'servers of the cluster; bytes (shards and copies of reference tables) asks the nodes, the rest does not';

CREATE VIEW tessera.tables AS
	SELECT t.relation, t.kind, g.strategy, t.key_column AS key, t.colocation_id, g.shard_count,
		s.bytes, CASE t.kind WHEN 'reference' THEN s.most_rows ELSE s.all_rows END AS estimated_rows,
		pg_catalog.pg_get_userbyid(c.relowner) AS owner
	FROM tessera."table" t
	JOIN pg_catalog.pg_class c ON c.oid = t.relation
	LEFT JOIN tessera.colocation g ON g.colocation_id = t.colocation_id
	LEFT JOIN (
		SELECT z.relation,
			CASE WHEN pg_catalog.bool_and(z.bytes IS NOT NULL) THEN pg_catalog.sum(z.bytes)::bigint END AS bytes,
			CASE WHEN pg_catalog.bool_and(z.bytes IS NOT NULL) THEN pg_catalog.sum(z.estimated_rows)::bigint END AS all_rows,
			pg_catalog.max(z.estimated_rows) AS most_rows
		FROM tessera_internal.shard_sizes() z GROUP BY z.relation) s ON s.relation = t.relation;
COMMENT ON VIEW tessera.tables
	IS 'distributed and reference tables; bytes and estimated_rows ask the nodes, the rest does not';

CREATE VIEW tessera.shards AS
	SELECT h.shard_id, h.colocation_id, g.strategy, r.lower, r.upper,
		ARRAY(SELECT n.name::text FROM tessera.placement p JOIN tessera.node n ON n.node_id = p.node_id
			WHERE p.shard_id = h.shard_id ORDER BY n.node_id) AS nodes,
		(SELECT pg_catalog.count(*)::int FROM tessera."table" t WHERE t.colocation_id = h.colocation_id) AS tables,
		s.bytes, s.estimated_rows
	FROM tessera.shard h
	JOIN tessera.colocation g ON g.colocation_id = h.colocation_id
	LEFT JOIN tessera.shard_range r ON r.shard_id = h.shard_id AND r.colocation_id = h.colocation_id
	LEFT JOIN (
		SELECT z.shard_id,
			CASE WHEN pg_catalog.bool_and(z.bytes IS NOT NULL) THEN pg_catalog.sum(z.bytes)::bigint END AS bytes,
			CASE WHEN pg_catalog.bool_and(z.bytes IS NOT NULL) THEN pg_catalog.sum(z.estimated_rows)::bigint END AS estimated_rows
		FROM tessera_internal.shard_sizes() z GROUP BY z.shard_id) s ON s.shard_id = h.shard_id;
COMMENT ON VIEW tessera.shards
	IS 'shards with their ranges (hash: of hash values, both bounds inclusive), nodes and sizes; one row a range';

CREATE VIEW tessera.placements AS
	SELECT t.relation, p.shard_id, n.name AS node,
		tessera_internal.shard_relation(t.relation, p.shard_id) AS shard_relation,
		CASE p.state WHEN 'a' THEN 'active' ELSE p.state::text END AS state, s.bytes
	FROM (
		SELECT d.relation, x.shard_id, x.node_id, x.state
		FROM tessera."table" d JOIN tessera.shard h ON h.colocation_id = d.colocation_id
			JOIN tessera.placement x ON x.shard_id = h.shard_id
		UNION ALL
		SELECT d.relation, NULL, m.node_id, 'a'
		FROM tessera."table" d, tessera.node m WHERE d.kind = 'reference' AND m.active) p
	JOIN tessera."table" t ON t.relation = p.relation
	JOIN tessera.node n ON n.node_id = p.node_id
	LEFT JOIN (
		SELECT z.relation, coalesce(z.shard_id, 0) AS shard_id, z.node_id, pg_catalog.max(z.bytes) AS bytes
		FROM tessera_internal.shard_sizes() z GROUP BY 1, 2, 3) s
		ON s.relation = p.relation AND s.shard_id = coalesce(p.shard_id, 0) AND s.node_id = p.node_id;
COMMENT ON VIEW tessera.placements
	IS 'where each table of each shard is, and under which name; reference tables are on every node';

CREATE VIEW tessera.activity AS
	SELECT n.name AS node, c.node_pid, pg_catalog.pg_get_userbyid(c.role) AS role,
		CASE WHEN c.node_pid IS NULL THEN 'connecting' WHEN c.idle_since IS NULL THEN 'in use' ELSE 'idle' END AS node_state,
		c.opened AS node_connected, c.idle_since AS node_idle_since,
		a.pid, a.usename, a.application_name, a.client_addr, a.client_port, a.backend_start, a.xact_start, a.query_start,
		a.wait_event_type, a.wait_event, a.state, a.query
	FROM tessera_internal.connections() c
	JOIN tessera.node n ON n.node_id = c.node_id
	LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = c.pid;
COMMENT ON VIEW tessera.activity
	IS 'connections to nodes, each with the session here that it works for; asks no node';

CREATE VIEW tessera.stat_plan_cache AS
	SELECT hits, misses, refusals, evicted, invalidated, plans, bytes FROM tessera_internal.plan_cache_counters();
COMMENT ON VIEW tessera.stat_plan_cache
	IS 'plans that this session keeps for statements that differ only in constants, and how often one was there';

GRANT SELECT ON tessera.nodes, tessera.tables, tessera.shards, tessera.placements, tessera.activity, tessera.stat_plan_cache
	TO PUBLIC;

/* Each with the table as regclass and as text: a literal is text then, and a
 * name of no table is refused by us, with a hint (base/arguments.c). */
CREATE FUNCTION tessera.shard_of(relation regclass, key anyelement, OUT shard_id bigint, OUT node name,
		OUT shard_relation text)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'tess_shard_of';
COMMENT ON FUNCTION tessera.shard_of(regclass, anyelement)
	IS 'the shard in which rows with this distribution key are';

CREATE FUNCTION tessera.shard_of(relation text, key anyelement, OUT shard_id bigint, OUT node name,
		OUT shard_relation text)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'tess_shard_of';
COMMENT ON FUNCTION tessera.shard_of(text, anyelement)
	IS 'the shard in which rows with this distribution key are';

/* An untyped literal is text for this one, and is read as the key's type. */
CREATE FUNCTION tessera.shard_of(relation regclass, key text, OUT shard_id bigint, OUT node name,
		OUT shard_relation text)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'tess_shard_of';
COMMENT ON FUNCTION tessera.shard_of(regclass, text)
	IS 'the shard in which rows with this distribution key are; the key as text';

CREATE FUNCTION tessera.shard_of(relation text, key text, OUT shard_id bigint, OUT node name,
		OUT shard_relation text)
	LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'tess_shard_of';
COMMENT ON FUNCTION tessera.shard_of(text, text)
	IS 'the shard in which rows with this distribution key are; the key as text';

CREATE FUNCTION tessera.relation_size(relation regclass) RETURNS bigint
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tess_relation_size';
COMMENT ON FUNCTION tessera.relation_size(regclass)
	IS 'bytes of the rows of a table (main fork), over all shards or copies';

CREATE FUNCTION tessera.total_relation_size(relation regclass) RETURNS bigint
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tess_total_relation_size';
COMMENT ON FUNCTION tessera.total_relation_size(regclass)
	IS 'bytes of a table with its indexes and TOAST, over all shards or copies';

CREATE FUNCTION tessera.relation_size(relation text) RETURNS bigint
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tess_relation_size';
COMMENT ON FUNCTION tessera.relation_size(text)
	IS 'bytes of the rows of a table (main fork), over all shards or copies';

CREATE FUNCTION tessera.total_relation_size(relation text) RETURNS bigint
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'tess_total_relation_size';
COMMENT ON FUNCTION tessera.total_relation_size(text)
	IS 'bytes of a table with its indexes and TOAST, over all shards or copies';
