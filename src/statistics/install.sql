
/* statistics: what a coordinator asks of a node for ANALYZE */
CREATE FUNCTION tessera_internal.sample_rows(relation anyelement, rows int) RETURNS SETOF anyelement
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tess_rows_sample';
COMMENT ON FUNCTION tessera_internal.sample_rows(anyelement, int)
	IS 'rows of a table, given as NULL::table, as ANALYZE would choose them; for its owner';

CREATE FUNCTION tessera_internal.is_wide(value "any") RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tess_value_is_wide';
COMMENT ON FUNCTION tessera_internal.is_wide("any")
	IS 'is a value so long that ANALYZE would not look into it?';
