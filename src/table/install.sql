-- table/: a local table becomes distributed or reference, and back

-- Each with the table as regclass and as text: a literal is text then, and a
-- name of no table is refused by us, with a hint (base/arguments.c).
CREATE FUNCTION tessera.create_distributed_table(relation regclass, key text,
	strategy text DEFAULT 'hash', colocate_with text DEFAULT 'default',
	shard_count int DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_table_distribute';
COMMENT ON FUNCTION tessera.create_distributed_table(regclass, text, text, text, int) IS
'spread the rows of a table over shards by its distribution key';

CREATE FUNCTION tessera.create_reference_table(relation regclass)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_table_replicate';
COMMENT ON FUNCTION tessera.create_reference_table(regclass) IS
'keep a full copy of a table on every node';

CREATE FUNCTION tessera.undistribute_table(relation regclass)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_table_undistribute';
COMMENT ON FUNCTION tessera.undistribute_table(regclass) IS
'make a distributed or reference table an ordinary table of this server again';

CREATE FUNCTION tessera.create_distributed_table(relation text, key text,
	strategy text DEFAULT 'hash', colocate_with text DEFAULT 'default',
	shard_count int DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_table_distribute';
COMMENT ON FUNCTION tessera.create_distributed_table(text, text, text, text, int) IS
'spread the rows of a table over shards by its distribution key';

CREATE FUNCTION tessera.create_reference_table(relation text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_table_replicate';
COMMENT ON FUNCTION tessera.create_reference_table(text) IS
'keep a full copy of a table on every node';

CREATE FUNCTION tessera.undistribute_table(relation text)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_table_undistribute';
COMMENT ON FUNCTION tessera.undistribute_table(text) IS
'make a distributed or reference table an ordinary table of this server again';

-- What a coordinator calls on a node.  Safe for anyone to call: see
-- shard_schema.c.
CREATE FUNCTION tessera_internal.create_shard_schemas(source_schema text,
	shard_ids bigint[])
RETURNS void LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_shard_schema_create';
COMMENT ON FUNCTION tessera_internal.create_shard_schemas(text, bigint[]) IS
'make the schemas of shards on this server';

CREATE FUNCTION tessera_internal.rename_shard_schemas(old_name text,
	new_name text, shard_ids bigint[])
RETURNS void LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_shard_schema_rename';
COMMENT ON FUNCTION tessera_internal.rename_shard_schemas(text, text, bigint[]) IS
'name the schemas of shards on this server after the new name of their source schema';

CREATE FUNCTION tessera_internal.drop_shards(source_schema text, name text,
	shard_ids bigint[], drop_schemas boolean)
RETURNS void LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_shard_drop';
COMMENT ON FUNCTION tessera_internal.drop_shards(text, text, bigint[], boolean) IS
'drop a table in shards on this server (no shards: its copy)';

CREATE FUNCTION tessera.dump_options() RETURNS SETOF text
	LANGUAGE sql STABLE
	BEGIN ATOMIC
		SELECT pg_catalog.concat('--exclude-table-data="', pg_catalog.replace(n.nspname, '"', '""'), '"."',
			pg_catalog.replace(c.relname, '"', '""'), '"')
		FROM tessera."table" t
		JOIN pg_catalog.pg_class c ON c.oid = t.relation
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE t.kind = 'distributed'
		ORDER BY n.nspname, c.relname;
	END;
COMMENT ON FUNCTION tessera.dump_options()
	IS 'options for pg_dump, one a row, that leave out the rows that are in shards';

