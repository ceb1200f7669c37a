-- function/: functions and procedures that run in the shard of their key

CREATE FUNCTION tessera.create_distributed_function(f regprocedure,
	key_argument text DEFAULT NULL, colocate_with regclass DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_function_distribute';
COMMENT ON FUNCTION tessera.create_distributed_function(regprocedure, text, regclass) IS
'run a function or procedure in the shard of an argument; without a key, make it on all nodes';

CREATE FUNCTION tessera.create_distributed_function(f text,
	key_argument text DEFAULT NULL, colocate_with text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_function_distribute';
COMMENT ON FUNCTION tessera.create_distributed_function(text, text, text) IS
'run a function or procedure in the shard of an argument; without a key, make it on all nodes';

CREATE FUNCTION tessera.undistribute_function(f regprocedure)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_function_undistribute';
COMMENT ON FUNCTION tessera.undistribute_function(regprocedure) IS
'make a distributed function an ordinary one again';

CREATE FUNCTION tessera.undistribute_function(f text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_function_undistribute';
COMMENT ON FUNCTION tessera.undistribute_function(text) IS
'make a distributed function an ordinary one again';

CREATE VIEW tessera.functions AS
	SELECT f.function,
		CASE WHEN p.prokind = 'p' THEN 'procedure'
			WHEN p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype THEN 'trigger'
			ELSE 'function' END AS kind,
		f.key_argument, f.colocation_id, g.shard_count, f.search_path,
		pg_catalog.pg_get_userbyid(p.proowner) AS owner
	FROM tessera.function f
	JOIN pg_catalog.pg_proc p ON p.oid = f.function
	LEFT JOIN tessera.colocation g ON g.colocation_id = f.colocation_id;
COMMENT ON VIEW tessera.functions IS
'functions and procedures that run in the shard of their key_argument, are called by triggers of shards, or (without colocation_id) are on all nodes';
GRANT SELECT ON tessera.functions TO PUBLIC;

CREATE FUNCTION tessera_internal.is_key_of_shard(key anyelement, shard text)
RETURNS bool LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'tess_key_is_of_shard';
COMMENT ON FUNCTION tessera_internal.is_key_of_shard(anyelement, text) IS
'for a CHECK of a shard: triggers have not given a row the key of another one';
