-- of what is sent to be joined the nodes learn the least and the greatest
-- values, and read no rows beyond them
CREATE SCHEMA ship_bounds;
SET search_path = ship_bounds;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE big_here (id int PRIMARY KEY, at date, n numeric, t text COLLATE "C", d text, m mood, v int);
INSERT INTO big_here SELECT i, DATE '2020-01-01' + i % 700, NULLIF(i % 300, 7) * 0.5, 't' || i % 90, 'd' || i % 90,
	(enum_range(NULL::mood))[i % 3 + 1], i % 11 FROM generate_series(1, 3000) i;
INSERT INTO big_here SELECT i, NULL, 'NaN', NULL, NULL, NULL, i FROM generate_series(3001, 3010) i;
-- a part of each column's values; some twice, some without a partner, and NULL
CREATE TABLE few_here (x int, id int, wide bigint, at date, n numeric, t text COLLATE "C", d text, m mood, g int);
INSERT INTO few_here SELECT i, NULLIF(i % 150 + 1000, 1007), i * 11, DATE '2020-05-01' + i % 40, (i % 60)::numeric(10, 2), 't' || i % 20 + 30, 'd' || i % 20 + 30,
	(enum_range(NULL::mood))[i % 2 + 2], i % 3 FROM generate_series(1, 200) i;
INSERT INTO few_here VALUES (201, NULL, 4294967296, NULL, 'NaN', NULL, NULL, NULL, 9), (202, -5, -4294967296, NULL, NULL, NULL, NULL, NULL, 9);
CREATE TABLE big AS TABLE big_here;
ALTER TABLE big ADD PRIMARY KEY (id);
CREATE INDEX ON big (at);
CREATE INDEX ON big (n);
CREATE INDEX ON big (t);
CREATE INDEX ON big (d);
CREATE INDEX ON big (m);
CREATE TABLE few AS TABLE few_here;
CREATE TABLE nulls AS SELECT NULL::int AS id, i FROM generate_series(1, 3) i;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('big', 'id', shard_count => 6);
RESET client_min_messages;
ANALYZE;

-- A statement over big and few: the difference to its twins, and its bounds.
CREATE FUNCTION difference(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	there text[];
	here text[];
	r record;
BEGIN
	FOR r IN EXECUTE statement LOOP there := there || r::text; END LOOP;
	FOR r IN EXECUTE regexp_replace(statement, '\m(big|few)\M', '\1_here', 'g') LOOP here := here || r::text; END LOOP;
	RETURN QUERY (SELECT 'only there: ' || t FROM unnest(there) t EXCEPT ALL SELECT 'only there: ' || h FROM unnest(here) h);
	RETURN QUERY (SELECT 'only here: ' || h FROM unnest(here) h EXCEPT ALL SELECT 'only here: ' || t FROM unnest(there) t);
	RETURN NEXT cardinality(here) || ' rows, ' || bounds(statement);
END $$;
CREATE FUNCTION bounds(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || statement LOOP
		IF line ~ 'Remote SQL.*shipped_rows' THEN
			RETURN coalesce((SELECT string_agg(b[1], ' ') FROM regexp_matches(line, '[\w.]+ [<>]= \(?\$\d+', 'g') b), 'no bounds');
		END IF;
	END LOOP;
	RETURN 'joined here';
END $$;

CREATE TABLE statements (statement text);
INSERT INTO statements VALUES
	-- by the key
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.id = f.id GROUP BY f.g'),
	('SELECT f.g, count(*), sum(b.v) FROM few f JOIN big b ON f.id = b.id AND f.g <> b.v GROUP BY f.g'),
	('SELECT count(*), sum(b.v) FROM big b WHERE EXISTS (SELECT FROM few f WHERE f.id = b.id AND f.x > b.v)'),
	('SELECT count(*), sum(b.v) FROM big b WHERE id IN (SELECT id FROM few)'),
	-- types of one family, and values that only one of them has; all of the column's
	-- values may be between them
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.id = f.wide GROUP BY f.g'),
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.id = f.wide AND f.wide > 0 GROUP BY f.g'),
	-- not by the key
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.at = f.at GROUP BY f.g'),
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.n = f.n GROUP BY f.g'),
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.n = f.n WHERE f.n < 20 GROUP BY f.g'),
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.m = f.m AND f.x < 4 GROUP BY f.g'),
	-- of few rows a node may look up partners by indexes: if conditions stand around the union of its shards
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.n = f.n AND b.v > 3 WHERE f.x < 3 GROUP BY f.g'),
	('SELECT count(*), sum(b.v) FROM big b WHERE EXISTS (SELECT FROM few f WHERE f.n = b.n AND f.x < 3) AND (b.v < 3 OR b.at IS NULL)'),
	('SELECT b.v, count(f.g) FROM big b LEFT JOIN (SELECT * FROM few WHERE x < 3) f ON b.n = f.n WHERE b.v > 3 GROUP BY b.v'),
	('SELECT count(*), sum(b.v) FROM big b WHERE NOT EXISTS (SELECT FROM few f WHERE f.n = b.n AND f.x < 3) AND b.v < 4'),
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.at = f.at AND b.n = f.n GROUP BY f.g'),
	-- only orders without a locale are those of all servers
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.t = f.t GROUP BY f.g'),
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.d = f.d GROUP BY f.g'),
	-- of a fragment by its key
	('SELECT f.g, sum(c.v) FROM big b JOIN big c USING (id) JOIN few f ON c.id = f.id GROUP BY f.g'),
	-- with conditions of its own
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.id = f.id AND b.v > 3 GROUP BY f.g'),
	-- rows that are kept without a partner are read
	('SELECT f.g, count(*), sum(b.v) FROM big b LEFT JOIN few f ON b.id = f.id GROUP BY f.g'),
	('SELECT count(*), sum(b.v) FROM big b WHERE NOT EXISTS (SELECT FROM few f WHERE f.id = b.id)'),
	-- without an index there would be nothing to spare
	('SELECT f.g, count(*), sum(b.v) FROM big b JOIN few f ON b.v = f.x GROUP BY f.g'),
	-- what is computed may be of a narrow range
	('SELECT b.v, count(*) FROM big b JOIN (SELECT id, count(*) FROM big_here GROUP BY id) h ON b.id = h.id GROUP BY b.v');
SELECT statement, difference(statement) FROM statements;

-- the bounds are those of all loads
SET tessera.ship_limit = '1kB';
SELECT difference(statement) FROM statements WHERE bounds(statement) ~ '=';
RESET tessera.ship_limit;

-- nothing but NULLs, or nothing at all
SELECT count(*) FROM big b JOIN nulls USING (id);
SELECT count(*) FROM big b JOIN nulls x ON b.v = x.i AND b.id = x.id;
SELECT count(*) FROM big b JOIN few f ON b.at = f.at AND f.x > 200;

-- others each time
PREPARE between_bounds(int, int) AS SELECT count(*), min(b.id), max(b.id) FROM big b JOIN few f ON b.id = f.id WHERE f.x BETWEEN $1 AND $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE between_bounds(1, 10);
EXECUTE between_bounds(140, 170);
EXECUTE between_bounds(201, 202);
RESET plan_cache_mode;
DEALLOCATE between_bounds;
SELECT i, (SELECT count(*) FROM big b WHERE b.id IN (SELECT f.id FROM few f WHERE f.x < i)) FROM generate_series(1, 200, 90) i;

SET client_min_messages = warning;
DROP SCHEMA ship_bounds CASCADE;
