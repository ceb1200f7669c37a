CREATE FUNCTION tessera_internal.net_counters(
	OUT round_trips bigint,
	OUT statements bigint,
	OUT rows bigint,
	OUT bytes_sent bigint,
	OUT bytes_received bigint,
	OUT connections bigint,
	OUT prepared bigint)
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_net_counters_get';
COMMENT ON FUNCTION tessera_internal.net_counters() IS
'what this session has exchanged with nodes';

CREATE FUNCTION tessera_internal.reset_net_counters()
RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_net_counters_reset';
COMMENT ON FUNCTION tessera_internal.reset_net_counters() IS
'sets the counters of net_counters() to zero';

CREATE FUNCTION tessera_internal.connections(
	OUT pid int,
	OUT node_id int,
	OUT role oid,
	OUT node_pid int,
	OUT opened timestamptz,
	OUT idle_since timestamptz)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE ROWS 100
AS 'MODULE_PATHNAME', 'tess_connections_list';
COMMENT ON FUNCTION tessera_internal.connections() IS
'connections of all sessions of this database to nodes; idle_since is NULL while one is in use';

-- on a node
CREATE FUNCTION tessera_internal.coordinator_sessions(OUT pid int, OUT coordinator text)
RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL SAFE ROWS 100
AS 'MODULE_PATHNAME', 'tess_coordinator_sessions';
COMMENT ON FUNCTION tessera_internal.coordinator_sessions() IS
'sessions of this database that work for a coordinator, and which';
