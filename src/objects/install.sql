-- objects/: what all nodes hold as the coordinator does

CREATE FUNCTION tessera.bring_objects() RETURNS int
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'tess_objects_bring_all';
COMMENT ON FUNCTION tessera.bring_objects() IS
	'makes the types, functions, operators and the like of this server on the nodes, as far as they are missing there; how many were made';

