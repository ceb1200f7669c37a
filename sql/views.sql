-- what users look at: views, shard_of, sizes
CREATE SCHEMA views;
SET search_path = views;
CREATE TABLE "Big Table" ("Key" int PRIMARY KEY, v text);
SELECT tessera.create_distributed_table('"Big Table"', 'Key', shard_count => 6);
CREATE TABLE names (k text COLLATE "C", v int);
SELECT tessera.create_distributed_table('names', 'k', shard_count => 3, colocate_with => 'none');
CREATE TABLE ref (id int PRIMARY KEY);
SELECT tessera.create_reference_table('ref');
INSERT INTO "Big Table" SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i;
INSERT INTO "Big Table" SELECT i FROM generate_series(1001, 1010) i;
SELECT success FROM tessera.run_on_shards('"Big Table"', 'ANALYZE %s') GROUP BY 1;

-- tables, shards, placements
SELECT relation, kind, strategy, key, shard_count, bytes > 100000 AS big, estimated_rows, owner = current_user AS mine
	FROM tessera.tables WHERE relation::text IN ('"Big Table"', 'names', 'ref') ORDER BY relation::text;
SELECT lower, upper, cardinality(nodes) AS copies, tables, s.bytes > 0 AS filled, s.estimated_rows > 100 AS rows
	FROM tessera.shards s JOIN tessera.tables t USING (colocation_id)
	WHERE relation = '"Big Table"'::regclass ORDER BY lower::int;
SELECT relation, node, regexp_replace(shard_relation, '\d+', 'N') AS shard_relation, state, bytes > 0 AS filled
	FROM tessera.placements WHERE relation IN ('"Big Table"'::regclass, 'ref'::regclass)
	ORDER BY relation::text, node, 3, 5;
SELECT n.shards = count(p.shard_id) AS all_there, n.bytes > 0 AS filled FROM tessera.nodes n
	JOIN (SELECT DISTINCT node, shard_id FROM tessera.placements) p ON p.node = n.name
	WHERE n.name = 'node1' GROUP BY n.shards, n.bytes;

-- sizes are asked for only where they are shown
CREATE FUNCTION asks_nodes(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
        IF line ~ 'shard_sizes' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;
SELECT asks_nodes('SELECT name, host FROM tessera.nodes');
SELECT asks_nodes('SELECT shard_id FROM tessera.shards');
SELECT asks_nodes('SELECT shard_id, bytes FROM tessera.shards');

-- a table is given as literal, name, text, regclass, OID, number in a text, and parameter
CREATE FUNCTION sizes(a text, b regclass, c name, d oid, e varchar) RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY[tessera.relation_size(a), tessera.relation_size(b), tessera.relation_size(c),
        tessera.relation_size(d), tessera.relation_size(e)];
END $$;
INSERT INTO names VALUES ('a', 1);
SELECT count(DISTINCT s) AS sizes, min(s) > 0 AS filled
	FROM unnest(sizes('names', 'names', 'names', 'names'::regclass, 'names')
		|| sizes('views.names', 'views.names', 'names', 'names'::regclass, 'views.names')
		|| tessera.relation_size('names'::regclass::oid::text)) s;
PREPARE size_of AS SELECT tessera.relation_size($1) > 0 AS filled;
EXECUTE size_of('names');
PREPARE size_of_class(regclass) AS SELECT tessera.relation_size($1) > 0 AS filled;
EXECUTE size_of_class('names');
PREPARE place_of AS SELECT (tessera.shard_of($1, $2)).shard_id = (tessera.shard_of('names', 'a')).shard_id AS same;
EXECUTE place_of('names', 'a');
SELECT command, count(DISTINCT shard_id) FROM (
	SELECT 'text' AS command, shard_id FROM tessera.run_on_shards('names', 'SELECT 1')
	UNION ALL SELECT 'regclass', shard_id FROM tessera.run_on_shards('names'::regclass, 'SELECT 1')
	UNION ALL SELECT 'by name', shard_id FROM tessera.run_on_shards(command => 'SELECT 1', relation => 'names')) c
	GROUP BY 1 ORDER BY 1;
CREATE TABLE given (k int, v text);
SELECT tessera.create_distributed_table(relation => 'given', key => 'k', colocate_with => '"Big Table"');
SELECT tessera.undistribute_table('given'::regclass);
SELECT tessera.create_distributed_table('given'::regclass, 'k', shard_count => 2, colocate_with => 'none');
SELECT tessera.undistribute_table(relation => 'given');
SELECT tessera.create_reference_table('given'::regclass);
DO $$
DECLARE
    class regclass := 'given';
BEGIN
    PERFORM tessera.undistribute_table(class);
    PERFORM tessera.create_reference_table(class::text);
    PERFORM tessera.undistribute_table(class::oid);
END $$;
SELECT count(*) FROM tessera.tables WHERE relation = 'given'::regclass;
DROP TABLE given;

-- a key is where shard_of says
CREATE FUNCTION holds(relation regclass, key int) RETURNS bool LANGUAGE sql AS $$
	SELECT bool_or(result = '1' AND r.shard_id = s.shard_id) FROM tessera.run_on_shards(relation,
		format('SELECT count(*) FROM %%s WHERE "Key" = %s', key)) r, tessera.shard_of(relation, key) s $$;
SELECT bool_and(holds('"Big Table"', k)) FROM generate_series(1, 20) k;

-- keys of other types, literals, NULL
SELECT (tessera.shard_of('"Big Table"', 5)) = (tessera.shard_of('"Big Table"', '5')) AS literal,
	(tessera.shard_of('"Big Table"', 5)) = (tessera.shard_of('"Big Table"', 5::bigint)) AS bigint,
	(tessera.shard_of('"Big Table"', 5)) = (tessera.shard_of('"Big Table"', 5::smallint)) AS smallint,
	(tessera.shard_of('names', 'a')) = (tessera.shard_of('names', 'a'::varchar)) AS varchar;
SELECT node IS NOT NULL AS has_a_shard FROM tessera.shard_of('names', NULL);
SELECT tessera.shard_of('"Big Table"', 5.5);
SELECT tessera.shard_of('"Big Table"', 'five');
SELECT tessera.shard_of('"Big Table"', now());
SELECT tessera.shard_of('ref', 1);
SELECT tessera.shard_of('pg_class', 1);
SELECT tessera.shard_of(NULL, 1);

-- sums over shards and copies; a local table is itself
SELECT tessera.relation_size('"Big Table"') = sum(result::bigint) AS same FROM
	tessera.run_on_shards('"Big Table"', 'SELECT pg_relation_size(''%s'')');
SELECT tessera.total_relation_size('"Big Table"') = sum(result::bigint) AS same FROM
	tessera.run_on_shards('"Big Table"', 'SELECT pg_total_relation_size(''%s'')');
SELECT tessera.relation_size('pg_class') = pg_relation_size('pg_class') AS same;
SELECT tessera.relation_size(0);

-- run_on_shards: each shard succeeds or fails by itself
SELECT success, result, count(*) FROM tessera.run_on_shards('"Big Table"', 'SELECT 100 %% 7, ''%s''') GROUP BY 1, 2;
SELECT success, count(*) FROM tessera.run_on_shards('"Big Table"',
	'SELECT 1 / (SELECT count(*) FROM %s WHERE "Key" = 1)') GROUP BY 1 ORDER BY 1;
SELECT * FROM tessera.run_on_shards('ref', 'SELECT 1');
SELECT * FROM tessera.run_on_shards(NULL, 'SELECT 1');
SELECT * FROM tessera.run_on_shards('names', NULL);

-- everybody may look
CREATE ROLE regress_views;
GRANT USAGE ON SCHEMA views TO regress_views;
SET ROLE regress_views;
SELECT kind FROM tessera.tables WHERE relation = 'views.names'::regclass;
SELECT shard_relation IS NOT NULL AS found FROM tessera.shard_of('views.names', 'a');
SELECT * FROM tessera.run_on_shards('views.names', 'SELECT 1');
RESET ROLE;
DROP OWNED BY regress_views;
SELECT count(*) > 0 AS done FROM tessera.run_on_nodes('DROP OWNED BY regress_views');
DROP ROLE regress_views;
DROP SCHEMA views CASCADE;
