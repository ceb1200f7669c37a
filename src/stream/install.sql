-- stream/: rows on their way from shards to others
CREATE FUNCTION tessera_internal.fetch_divided(cursor_name text, columns int[], key int, lowers int[], queues int[])
RETURNS SETOF bytea LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'tess_rows_fetch_divided';
COMMENT ON FUNCTION tessera_internal.fetch_divided(text, int[], int, int[], int[]) IS
'next rows of a cursor, these columns as COPY has them in binary, divided by the hash of one of them (0: none, a NULL): the queue whose range begins at or below it, how many rows, the rows; queue -1: there may be more';
