-- every object of the extension that psql lists has a comment
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'tessera'
  AND NOT (d.classid = 'pg_class'::regclass
           AND (SELECT relkind NOT IN ('r', 'v') FROM pg_class c WHERE c.oid = d.objid))
  AND NOT (d.classid = 'pg_type'::regclass)
  AND obj_description(d.objid, d.classid::regclass::name) IS NULL
ORDER BY 1;
-- and is in one of its two schemas
SELECT pg_describe_object(classid, objid, 0) AS elsewhere
FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid,
     pg_identify_object(d.classid, d.objid, 0) i
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'tessera'
  AND i.schema NOT IN ('tessera', 'tessera_internal')
ORDER BY 1;
-- functions of tessera_internal are for nodes and the extension's owner, unless
-- they are named here
SELECT p.oid::regprocedure AS open_to_all
FROM pg_proc p
WHERE p.pronamespace = 'tessera_internal'::regnamespace
  AND has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY p.oid::regprocedure::text;
-- no function of the extension depends on the search_path of its caller
SELECT p.oid::regprocedure AS without_search_path
FROM pg_proc p
WHERE p.pronamespace IN ('tessera'::regnamespace, 'tessera_internal'::regnamespace)
  AND p.prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))
  AND p.prosqlbody IS NULL
  AND NOT coalesce(p.proconfig::text LIKE '%search_path%', false)
ORDER BY p.oid::regprocedure::text;
