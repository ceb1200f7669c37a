-- deparse: what we would say to a node

CREATE FUNCTION tessera_internal.deparse_template(
	statement text, parameter_types regtype[] DEFAULT '{}', by_rows bool DEFAULT false)
RETURNS text
LANGUAGE c STRICT VOLATILE
AS 'MODULE_PATHNAME', 'tess_template_show';
COMMENT ON FUNCTION tessera_internal.deparse_template(text, regtype[], bool) IS
	'text that would be sent for a statement if all of it ran in each shard, or why it cannot be sent';
REVOKE ALL ON FUNCTION tessera_internal.deparse_template(text, regtype[], bool) FROM PUBLIC;

CREATE FUNCTION tessera_internal.type_definition(type regtype)
RETURNS text
LANGUAGE c STRICT STABLE
AS 'MODULE_PATHNAME', 'tess_type_show_definition';
COMMENT ON FUNCTION tessera_internal.type_definition(regtype) IS
	'CREATE TYPE or CREATE DOMAIN of a type, to compare it with another server''s';

CREATE FUNCTION tessera_internal.object_definition(type text, names text[], args text[])
RETURNS text
LANGUAGE c STRICT STABLE
AS 'MODULE_PATHNAME', 'tess_object_show_definition';
COMMENT ON FUNCTION tessera_internal.object_definition(text, text[], text[]) IS
	'what makes an object, its owner and its rights, to compare it with another server''s; names are those of pg_identify_object_as_address()';

CREATE FUNCTION tessera_internal.table_ddl(relation regclass)
RETURNS text
LANGUAGE c STRICT VOLATILE
AS 'MODULE_PATHNAME', 'tess_table_ddl_show';
COMMENT ON FUNCTION tessera_internal.table_ddl(regclass) IS
	'statements that recreate a distributed or reference table elsewhere, with what it needs';
REVOKE ALL ON FUNCTION tessera_internal.table_ddl(regclass) FROM PUBLIC;
