-- plan/: what a planner asks the nodes

-- Two servers give the same text if the members of the extension, their
-- definitions, and what everybody may do with them, are the same there.
CREATE FUNCTION tessera_internal.extension_contents(extension name) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT e.extversion || ' ' || encode(sha256(convert_to(
		string_agg(concat_ws(' ', member.type, member.identity,
			has_schema_privilege('public', member.schema, 'USAGE')::text,
			has_function_privilege('public', p.oid, 'EXECUTE')::text,
			g.lanname, p.prosrc, p.probin, pg_get_function_sqlbody(p.oid),
			p.prokind::text, p.provolatile::text, p.proisstrict::text, p.proretset::text,
			p.prosecdef::text, p.prorettype::regtype::text, p.proconfig::text,
			a.aggtransfn::text, a.aggfinalfn::text, a.aggcombinefn::text,
			a.aggserialfn::text, a.aggdeserialfn::text,
			a.aggtranstype::regtype::text, a.agginitval,
			o.oprcode::text, c.castfunc::regprocedure::text, c.castmethod::text,
			(SELECT string_agg(quote_literal(l.enumlabel), ',' ORDER BY l.enumsortorder)
			 FROM pg_enum l WHERE d.classid = 'pg_type'::regclass AND l.enumtypid = d.objid)),
			E'\n' ORDER BY (member.type || ' ' || member.identity) COLLATE "C"),
		'UTF8')), 'hex')
	FROM pg_extension e
		JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass
			AND d.refobjid = e.oid AND d.deptype = 'e'
		CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) member
		LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
		LEFT JOIN pg_language g ON g.oid = p.prolang
		LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
		LEFT JOIN pg_operator o ON d.classid = 'pg_operator'::regclass AND o.oid = d.objid
		LEFT JOIN pg_cast c ON d.classid = 'pg_cast'::regclass AND c.oid = d.objid
	WHERE e.extname = extension
	GROUP BY e.extversion;
END;
COMMENT ON FUNCTION tessera_internal.extension_contents(name) IS
'version and a digest of the members of an extension, the same on servers that have the same';

CREATE FUNCTION tessera_internal.plan_cache_counters(
	OUT hits bigint,
	OUT misses bigint,
	OUT refusals bigint,
	OUT evicted bigint,
	OUT invalidated bigint,
	OUT plans int,
	OUT bytes bigint)
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_plan_cache_counters';
COMMENT ON FUNCTION tessera_internal.plan_cache_counters() IS
'the plans that this session keeps for statements that differ only in constants';

CREATE FUNCTION tessera_internal.reset_plan_cache_counters()
RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'tess_plan_cache_counters_reset';
COMMENT ON FUNCTION tessera_internal.reset_plan_cache_counters() IS
'sets the counters of plan_cache_counters() to zero';
