-- what comes again is prepared at its node; what the node has lost is prepared
-- again
CREATE SCHEMA prepared;
SET search_path = prepared;
CREATE TABLE items (k int PRIMARY KEY, v int, t text);
SELECT tessera.create_distributed_table('items', 'k', shard_count => 4);
INSERT INTO items SELECT i, i, 'item ' || i FROM generate_series(1, 100) i;

-- how many statements were sent by name since the last call
CREATE FUNCTION by_name() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
	SELECT prepared INTO n FROM tessera_internal.net_counters();
	PERFORM tessera_internal.reset_net_counters();
	RETURN n;
END $$;
CREATE FUNCTION read(key int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT i.t FROM prepared.items i WHERE i.k = key);
END $$;
PREPARE read AS SELECT v, t FROM items WHERE k = $1;
PREPARE write AS UPDATE items SET v = v + 1 WHERE k = $1 RETURNING v;

-- once: sent as text; twice: prepared; again: there
SELECT by_name() IS NULL AS reset;
EXECUTE read(1);
EXECUTE read(1);
SELECT by_name();
EXECUTE read(1);
EXECUTE read(1);
SELECT by_name();

-- whatever it is, and whoever asks; other parameter types are other statements
EXECUTE write(1);
EXECUTE write(1);
EXECUTE write(1);
SELECT by_name();
SELECT read(1), read(1), read(1);
SELECT by_name();
SELECT v FROM items WHERE k = 1;
SELECT v FROM items WHERE k = 1;
SELECT v FROM items WHERE k = 1;
SELECT by_name();
PREPARE read_big(bigint) AS SELECT v, t FROM items WHERE k = $1;
EXECUTE read_big(1);
EXECUTE read_big(1);
EXECUTE read_big(1);
SELECT by_name();

-- many shards: as text
SET tessera.snapshot = off;
SELECT count(*) FROM items;
SELECT count(*) FROM items;
SELECT count(*) FROM items;
SELECT by_name();
RESET tessera.snapshot;

-- the parameters are those of this time
SELECT g, read(g) FROM generate_series(1, 6) g;

-- a row at a time
INSERT INTO items VALUES (201, 1, 'a');
INSERT INTO items VALUES (201, 1, 'a') ON CONFLICT (k) DO UPDATE SET v = items.v + excluded.v RETURNING v;
INSERT INTO items VALUES (201, 2, 'b') ON CONFLICT (k) DO UPDATE SET v = items.v + excluded.v RETURNING v;
INSERT INTO items VALUES (201, 3, NULL) ON CONFLICT (k) DO UPDATE SET v = items.v + excluded.v RETURNING v, t;

-- errors leave them as they are; a rollback too
EXECUTE write(2);
EXECUTE write(2);
BEGIN;
EXECUTE write(2);
INSERT INTO items VALUES (2, 0, 'twice');
ROLLBACK;
EXECUTE write(2);
BEGIN;
SAVEPOINT a;
EXECUTE read(3);
EXECUTE read(3);
ROLLBACK TO a;
EXECUTE read(3);
COMMIT;
EXECUTE read(3);

-- no more than allowed, and those that were used last
SET tessera.prepared_statements_per_connection = 2;
SELECT count(read(g)) FROM generate_series(1, 100) g;
SELECT count(read(g)) FROM generate_series(1, 100) g;
SELECT by_name() IS NULL AS reset;
EXECUTE read(1);
EXECUTE read(1);
EXECUTE write(1);
EXECUTE write(1);
EXECUTE read(1);
SELECT by_name();
SET tessera.prepared_statements_per_connection = 0;
EXECUTE read(1);
EXECUTE write(1);
SELECT by_name();
RESET tessera.prepared_statements_per_connection;

-- a node that has lost them: outside a transaction block nobody notices
SELECT count(*) FROM tessera.run_on_nodes($$CREATE FUNCTION public.prepared_lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DEALLOCATE ALL; RETURN NULL; END'$$);
SELECT count(DISTINCT success) FROM tessera.run_on_shards('items', 'CREATE TRIGGER lose AFTER DELETE ON %s FOR EACH ROW EXECUTE FUNCTION public.prepared_lose()');
EXECUTE read(1);
EXECUTE read(1);
SELECT by_name() > 0 AS prepared;
DELETE FROM items WHERE k = 1;
EXECUTE read(1);
EXECUTE read(1);
EXECUTE read(1);
SELECT by_name() > 0 AS prepared;
INSERT INTO items VALUES (1, 10, 'new');
EXECUTE write(1);
EXECUTE write(1);
DELETE FROM items WHERE k = 1;
BEGIN;
EXECUTE write(1);
ROLLBACK;
EXECUTE write(1);

-- columns that are others now
INSERT INTO items VALUES (1, 10, 'new');
EXECUTE read(1);
EXECUTE read(1);
SELECT count(DISTINCT success) FROM tessera.run_on_shards('items', 'ALTER TABLE %s ALTER t TYPE varchar(40)');
EXECUTE read(1);
EXECUTE read(1);
CREATE INDEX ON items (v);
EXECUTE read(1);

-- custom or generic plans are the node's choice: where most rows have one key, others stay custom
CREATE TABLE skewed (k int, n int);
SELECT tessera.create_distributed_table('skewed', 'k', shard_count => 1);
INSERT INTO skewed SELECT 1, i FROM generate_series(1, 5000) i;
INSERT INTO skewed SELECT i, i FROM generate_series(2, 10) i;
CREATE INDEX ON skewed (k);
ANALYZE skewed, items;
SELECT count(*) FROM tessera.run_on_nodes($$CREATE FUNCTION public.prepared_tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
	RAISE NOTICE ''%'', (SELECT string_agg(format(''%s custom, %s generic'', custom_plans, generic_plans), ''; '') FROM pg_prepared_statements WHERE statement ~ (''(count|AS w).*'' || tg_table_name));
	RETURN NULL; END'$$);
SELECT count(DISTINCT success) FROM tessera.run_on_shards('skewed', 'CREATE TRIGGER tell AFTER UPDATE ON %s EXECUTE FUNCTION public.prepared_tell()');
SELECT count(DISTINCT success) FROM tessera.run_on_shards('items', 'CREATE TRIGGER tell AFTER UPDATE ON %s EXECUTE FUNCTION public.prepared_tell()');
PREPARE few(int) AS SELECT count(n) FROM skewed WHERE k = $1;
PREPARE single(int) AS SELECT v AS w FROM items WHERE k = $1;
EXECUTE few(2) \g /dev/null
EXECUTE few(3) \g /dev/null
EXECUTE few(4) \g /dev/null
EXECUTE few(5) \g /dev/null
EXECUTE few(6) \g /dev/null
EXECUTE few(7) \g /dev/null
EXECUTE few(8) \g /dev/null
EXECUTE few(9);
EXECUTE few(1);
EXECUTE single(2) \g /dev/null
EXECUTE single(2) \g /dev/null
EXECUTE single(2) \g /dev/null
EXECUTE single(2) \g /dev/null
EXECUTE single(2) \g /dev/null
EXECUTE single(2) \g /dev/null
EXECUTE single(2) \g /dev/null
EXECUTE single(2) \g /dev/null
EXECUTE single(2);
UPDATE skewed SET n = 0 WHERE k = 2;
UPDATE items SET v = 0 WHERE k = 2;

DROP SCHEMA prepared CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP FUNCTION IF EXISTS public.prepared_lose(), public.prepared_tell()');
