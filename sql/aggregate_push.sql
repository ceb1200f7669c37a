-- aggregates in two phases: the nodes group the rows of each shard, and what
-- comes back are the states of groups
CREATE SCHEMA aggregate_push;
SET search_path = aggregate_push;
CREATE TABLE sales (k int PRIMARY KEY, region text, kind int, amount numeric, big bigint, small int, price float8, day date, paid bool, at timestamptz);
SELECT tessera.create_distributed_table('sales', 'k', shard_count => 4);
INSERT INTO sales
SELECT i, CASE i % 4 WHEN 0 THEN 'North' WHEN 1 THEN 'south' WHEN 2 THEN 'South' END, i % 5, i / 8.0, i * 1000000000000, i % 17, i * 0.5,
	'2026-01-01'::date + i % 90, i % 3 = 0, '2026-01-01 00:30Z'::timestamptz + i * interval '1 hour'
FROM generate_series(1, 1000) i;
CREATE TABLE local_sales AS SELECT * FROM sales;

-- rows that a query got from the nodes
CREATE FUNCTION received(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) ' || query INTO plan;
	RETURN (SELECT sum(rows::bigint) FROM jsonb_path_query(plan, 'strict $.**."Rows Received"') rows);
END $$;

-- shows that a query of %s gives the same over the distributed table as over
-- the local one, and how many rows it got
CREATE FUNCTION same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	here text[];
	there text[];
BEGIN
	EXECUTE format('SELECT array_agg(x::text ORDER BY x::text) FROM (%s) x', format(query, 'local_sales')) INTO here;
	EXECUTE format('SELECT array_agg(x::text ORDER BY x::text) FROM (%s) x', format(query, 'sales')) INTO there;
	IF here IS DISTINCT FROM there THEN
		RETURN format('other rows: %s instead of %s', there, here);
	END IF;
	RETURN format('%s rows of %s', cardinality(here), received(format(query, 'sales')));
END $$;

-- what the plan looks like
EXPLAIN (COSTS OFF) SELECT count(*) FROM sales;
EXPLAIN (COSTS OFF) SELECT kind, count(*), sum(small) FROM sales WHERE k > 5 GROUP BY kind;

-- a state for each group of each shard
SELECT same('SELECT count(*) FROM %s');
SELECT same('SELECT count(region), count(*) FROM %s');
SELECT same('SELECT kind, count(*) FROM %s GROUP BY kind');
SELECT same('SELECT region, kind, count(*) FROM %s GROUP BY region, kind');
SELECT same('SELECT kind FROM %s GROUP BY kind');

-- all kinds of states: the result itself, values, internal ones
SELECT same('SELECT kind, min(region), max(region), min(amount), max(day), min(at) FROM %s GROUP BY kind');
SELECT same('SELECT kind, sum(small), sum(big), sum(amount), sum(price) FROM %s GROUP BY kind');
SELECT same('SELECT kind, avg(small), avg(big), avg(amount), avg(price) FROM %s GROUP BY kind');
SELECT same('SELECT kind, stddev(small), variance(big), stddev_pop(amount), var_samp(price)::numeric(20, 6) FROM %s GROUP BY kind');
SELECT same('SELECT kind, bool_and(paid), bool_or(paid), every(paid IS NOT NULL), bit_and(small), bit_or(small), bit_xor(big) FROM %s GROUP BY kind');
SELECT same('SELECT kind, corr(price, small)::numeric(20, 6), covar_pop(price, small)::numeric(20, 6), regr_count(price, small), regr_slope(price, small)::numeric(20, 6) FROM %s GROUP BY kind');
SELECT same('SELECT region, sum(at - ''2026-01-01Z''), avg(at - ''2026-01-01Z'') FROM %s GROUP BY region');

-- those that cannot be combined are computed of rows
SELECT same('SELECT kind, string_agg(region, '','' ORDER BY k), array_agg(k ORDER BY k) FROM %s GROUP BY kind');
SELECT same('SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY small) FROM %s');
SELECT same('SELECT count(DISTINCT region), string_agg(region, '','' ORDER BY k) FROM %s');

-- DISTINCT beside aggregates that are combined: the nodes group by its argument too
EXPLAIN (COSTS OFF) SELECT count(DISTINCT region), sum(amount) FROM sales;
SELECT same('SELECT count(DISTINCT region), count(*) FROM %s');
SELECT same('SELECT kind, count(DISTINCT region), sum(amount), avg(amount), stddev(small), min(at), avg(price), bool_or(paid) FROM %s GROUP BY kind');
SELECT same('SELECT count(DISTINCT region), sum(DISTINCT kind + 1), avg(small), max(kind + 1) FROM %s HAVING count(DISTINCT kind) > 4');
SELECT same('SELECT kind, count(DISTINCT region) FILTER (WHERE paid), sum(amount) FILTER (WHERE small > 3) FROM %s GROUP BY kind');
SELECT same('SELECT kind, array_agg(DISTINCT small ORDER BY small DESC), count(*) FROM %s WHERE small < 4 GROUP BY kind');
SELECT same('SELECT kind, count(DISTINCT region) + count(*), rank() OVER (ORDER BY sum(amount)) FROM %s GROUP BY kind ORDER BY sum(small)');
SELECT same('SELECT count(DISTINCT region), sum(amount), avg(big), count(*), max(at) FROM %s WHERE small > 100');
SELECT same('SELECT i, x.* FROM generate_series(0, 2) i, LATERAL (SELECT count(DISTINCT kind), avg(amount) FROM %s WHERE small = i) x');
-- ... of which the sum and the average have states in common elsewhere
SELECT same('SELECT sum(big), avg(big), sum(small), avg(small), count(DISTINCT kind) FROM %s');

-- values of the key are distinct in each shard alone
SELECT same('SELECT count(DISTINCT k) FROM %s');
SELECT same('SELECT kind, count(DISTINCT k), sum(DISTINCT k), count(*), count(DISTINCT region) FROM %s GROUP BY kind');
SELECT same('SELECT kind, count(DISTINCT k), sum(DISTINCT k), count(*) FROM %s GROUP BY kind');
-- ... but in several groups of the nodes that are one here
CREATE TABLE local_visits AS SELECT i % 20 AS k, i % 3 AS a, i % 7 AS b FROM generate_series(1, 400) i;
CREATE TABLE visits AS TABLE local_visits;
SET client_min_messages = warning;
SELECT tessera.create_distributed_table('visits', 'k', shard_count => 4);
RESET client_min_messages;
SELECT a, count(DISTINCT k), count(DISTINCT b), sum(b) FROM visits GROUP BY a ORDER BY a;
SELECT a, count(DISTINCT k), sum(b) FROM visits GROUP BY ROLLUP (a) ORDER BY a;
SELECT a, count(DISTINCT k), sum(b) FROM visits GROUP BY a ORDER BY a;
SELECT a, count(DISTINCT k), sum(b) FROM local_visits GROUP BY ROLLUP (a) ORDER BY a;
SELECT same('SELECT count(DISTINCT k) FILTER (WHERE paid), count(DISTINCT k + 0) > 3 FROM %s WHERE k < 5');

-- grouping sets: the nodes group by the columns of all of them
EXPLAIN (COSTS OFF) SELECT region, kind, count(*) FROM sales GROUP BY ROLLUP (region, kind);
SELECT same('SELECT region, kind, count(*), sum(small), avg(amount), grouping(region, kind) FROM %s GROUP BY ROLLUP (region, kind)');
SELECT same('SELECT region, kind, avg(small), max(at), grouping(kind) FROM %s GROUP BY CUBE (region, kind) HAVING count(*) > 60 OR grouping(kind) = 1');
SELECT same('SELECT region, paid, kind, count(*) FILTER (WHERE paid), stddev(small) FROM %s GROUP BY GROUPING SETS ((region, kind), (paid), (), ())');
SELECT same('SELECT kind %% 2, lower(region), sum(big), count(DISTINCT small), count(DISTINCT k) FROM %s GROUP BY ROLLUP (kind %% 2, lower(region))');
SELECT same('SELECT kind, region FROM %s GROUP BY GROUPING SETS (kind, region)');
SELECT same('SELECT count(*), sum(small) FROM %s GROUP BY GROUPING SETS ((), ())');
SELECT same('SELECT kind, count(*), sum(small) FROM %s WHERE small > 100 GROUP BY ROLLUP (kind)');
SELECT region, kind, sum(amount) FROM sales WHERE kind < 2 GROUP BY ROLLUP (region, kind) ORDER BY grouping(region, kind), region, kind;
SET enable_hashagg = off;
SELECT same('SELECT region, kind, count(*), avg(amount) FROM %s GROUP BY CUBE (region, kind)');
SELECT same('SELECT region, kind, count(*), avg(amount), count(DISTINCT small) FROM %s GROUP BY GROUPING SETS (ROLLUP (region, kind), paid)');
RESET enable_hashagg;
-- ... what a set leaves out is NULL, also where a column of the nodes has the same
-- expression, or a constant
SELECT same('SELECT kind, kind + 1, count(DISTINCT kind + 1), count(*) FROM %s GROUP BY ROLLUP (kind)');
SELECT same('SELECT 1, count(*) FROM %s GROUP BY ROLLUP (1)');
SELECT same('SELECT kind AS a, kind AS b, count(*) FROM %s GROUP BY 1, ROLLUP (2)');

-- what combines states is of no use to anybody else
SELECT tessera_internal.combine('\x00'::bytea);

-- no rows: one row without GROUP BY, none with it, also where no shard is left
SELECT count(*), sum(small), min(day), avg(amount) FROM sales WHERE small > 100;
SELECT count(*), sum(small), min(day), avg(amount) FROM sales WHERE k IN (NULL);
SELECT count(*), sum(small) FROM sales WHERE k = 1 AND k = 2;
SELECT kind, count(*) FROM sales WHERE small > 100 GROUP BY kind;
SELECT 1, count(*) FROM sales WHERE small > 100 GROUP BY 1;
SELECT now() IS NOT NULL, count(*) FROM sales WHERE small > 100 GROUP BY 1;
SELECT count(*) FROM sales WHERE small > 100 HAVING count(*) > 0;
SELECT count(*) FROM sales WHERE k IN (1, 2, 3);

-- NULLs: as group, and where an aggregate sees nothing else
SELECT same('SELECT region, count(*), count(region), max(region) FROM %s GROUP BY region');
SELECT same('SELECT kind, sum(NULLIF(kind, 3)), min(NULLIF(kind, 3)), avg(NULLIF(kind, 3)) FROM %s GROUP BY kind');

-- FILTER, the same aggregate twice, expressions of aggregates and of groups
SELECT same('SELECT kind, count(*) FILTER (WHERE paid), sum(small) FILTER (WHERE region IS NULL) FROM %s GROUP BY kind');
SELECT same('SELECT kind, sum(small), sum(small) + count(*), sum(small) / count(*)::numeric, kind * 2 + max(kind) FROM %s GROUP BY kind');
SELECT same('SELECT lower(region), upper(lower(region)) || count(*), length(lower(region)) FROM %s GROUP BY lower(region)');
SELECT same('SELECT date_trunc(''month'', day), count(*) FROM %s GROUP BY 1');
SELECT same('SELECT kind %% 2 = 0, kind %% 3, 7, count(*) FROM %s GROUP BY 1, 2, 3');
SELECT same('SELECT kind, ''c'', count(*) FROM %s GROUP BY 1, 2');
SET enable_hashagg = off;
SELECT same('SELECT kind, count(*) FROM %s WHERE kind = 3 GROUP BY kind');
RESET enable_hashagg;
SELECT same('SELECT CASE WHEN small > 8 THEN ''many'' ELSE ''few'' END AS how, count(*) FROM %s GROUP BY 1');
SELECT same('SELECT kind IS NULL, sum(CASE WHEN paid THEN amount END) FROM %s GROUP BY kind IS NULL');

-- HAVING with aggregates that are not in the target, ORDER BY with others
SELECT same('SELECT kind FROM %s GROUP BY kind HAVING sum(small) > 1600 AND kind <> 1');
SELECT kind, count(*) FROM sales GROUP BY kind ORDER BY sum(amount) DESC, kind LIMIT 3;

-- columns that depend on the key
SELECT same('SELECT k, region, count(*) FROM %s WHERE k < 4 GROUP BY k, region');
SELECT k, region, kind, count(*) FROM sales WHERE k < 4 GROUP BY k ORDER BY k;

-- windows, subqueries, set-returning functions and unions above groups
SELECT same('SELECT kind, sum(count(*)) OVER (ORDER BY kind) FROM %s GROUP BY kind');
SELECT same('SELECT kind, (SELECT max(i) FROM generate_series(1, kind) i), count(*) FROM %s GROUP BY kind');
SELECT same('SELECT kind, generate_series(1, count(*) / 100) FROM %s GROUP BY kind');
SELECT same('SELECT unnest(ARRAY[kind, 9]), count(*) FROM %s GROUP BY 1');
SELECT same('SELECT max(c) FROM (SELECT kind, count(*) AS c FROM %s GROUP BY kind) x');
SELECT same('SELECT kind, count(*) FROM %1$s GROUP BY kind UNION ALL SELECT small, sum(k) FROM %1$s GROUP BY small');
SELECT same('SELECT i, (SELECT count(*) FROM %s WHERE kind <= i) FROM generate_series(0, 2) i');
SELECT same('SELECT i, x.* FROM generate_series(0, 2) i, LATERAL (SELECT i + kind, sum(small + i) FROM %s WHERE small = i GROUP BY i + kind) x');
SELECT same('SELECT DISTINCT count(*) FROM %s GROUP BY kind');

-- what does not travel is computed here: volatile groups and arguments, users'
-- functions, conditions
SET tessera.propagate_objects = off;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END';
RESET tessera.propagate_objects;
SELECT same('SELECT count(*) FROM (SELECT random() > 2 FROM %s GROUP BY random() > 2) x');
SELECT same('SELECT twice(kind), count(*) FROM %s GROUP BY 1');
SELECT same('SELECT kind, sum(twice(small)) FROM %s GROUP BY 1');
SELECT same('SELECT kind, sum(small) FROM %s WHERE twice(small) > 4 GROUP BY 1');
SELECT same('SELECT kind, sum(small) FROM %s TABLESAMPLE SYSTEM (100) GROUP BY 1');
SELECT tableoid::regclass, count(*) FROM sales GROUP BY 1;

-- groups that are equal but not the same; one of them stands for all
CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE words (k int, word text COLLATE no_case, n numeric);
SELECT tessera.create_distributed_table('words', 'k', shard_count => 4);
INSERT INTO words SELECT i, (ARRAY['One', 'one', 'ONE', 'Two', 'two'])[1 + i % 5], (ARRAY[1.0, 1.00, 1, 2])[1 + i % 4] FROM generate_series(1, 100) i;
SELECT lower(word), count(*) FROM words GROUP BY word ORDER BY word;
SELECT word COLLATE "C", count(*) FROM words GROUP BY word COLLATE "C" ORDER BY 1;
SELECT trim_scale(n), count(*) FROM words GROUP BY n ORDER BY n;
SELECT count(*) FROM (SELECT DISTINCT word FROM words) x;

-- prepared: parameters in conditions, arguments and groups
PREPARE params(int, int, text) AS SELECT kind + $2, count(*), sum(small * $1), max(region || $3) FROM sales WHERE k < $1 * 100 GROUP BY kind + $2 ORDER BY 1;
SET plan_cache_mode = force_generic_plan;
EXECUTE params(2, 10, '!');
EXECUTE params(NULL, 10, '!');
EXECUTE params(1, NULL, NULL);
SET plan_cache_mode = force_custom_plan;
EXECUTE params(2, 10, '!');
RESET plan_cache_mode;

-- a condition without columns
PREPARE gate(bool) AS SELECT count(*) FROM sales WHERE $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE gate(true);
EXECUTE gate(false);
EXECUTE gate(NULL);
RESET plan_cache_mode;
SELECT same('SELECT kind, count(*) FROM %s WHERE current_setting(''work_mem'') IS NULL GROUP BY kind');

-- an error of an argument is an error of the statement, and of nothing else
SELECT sum(1 / (k - 500)) FROM sales;
SELECT sum(1 / (k - 500)) FROM sales WHERE k <> 500;
SELECT count(*) FROM sales;

-- DISTINCT, and aggregates to which it is the same how often a value comes: the
-- shards send each only once
SELECT same('SELECT DISTINCT kind FROM %s');
SELECT same('SELECT DISTINCT region, kind + 1, 5 FROM %s');
SELECT same('SELECT DISTINCT kind FROM %s ORDER BY kind DESC LIMIT 2');
SELECT same('SELECT DISTINCT 1 FROM %s WHERE k < 3');
SELECT same('SELECT DISTINCT twice(kind) FROM %s');
SELECT same('SELECT DISTINCT unnest(ARRAY[kind, 1]) FROM %s');
SELECT same('SELECT DISTINCT kind FROM %s WHERE twice(kind) > 2');
SELECT same('SELECT count(DISTINCT region), count(DISTINCT kind), max(kind) FROM %s');
SELECT same('SELECT kind, count(DISTINCT region), string_agg(DISTINCT region, '','' ORDER BY region) FROM %s GROUP BY kind');
SELECT same('SELECT sum(DISTINCT kind + 1), avg(DISTINCT kind), array_agg(DISTINCT kind) FROM %s');
SELECT same('SELECT kind FROM %s GROUP BY kind HAVING count(DISTINCT region) = 3');
SELECT same('SELECT count(DISTINCT region) FROM %s WHERE k < 0');
SELECT same('SELECT count(DISTINCT kind), count(kind) FROM %s');
SELECT same('SELECT count(DISTINCT kind) FILTER (WHERE small > 3) FROM %s');
SELECT same('SELECT count(DISTINCT twice(kind)) FROM %s');
SELECT count(DISTINCT word), count(DISTINCT n) FROM words;
SELECT count(DISTINCT word COLLATE "C") FROM words;
SELECT trim_scale(n), count(DISTINCT scale(n)), count(DISTINCT word COLLATE "C") FROM words GROUP BY ROLLUP (n) ORDER BY n;
SELECT count(DISTINCT k % 2) FILTER (WHERE word = 'one' COLLATE "C"), count(DISTINCT n), max(n) FROM words GROUP BY GROUPING SETS (());
CREATE TABLE padded (k int, blanks bpchar);
SELECT tessera.create_distributed_table('padded', 'k', shard_count => 4);
INSERT INTO padded VALUES (1, 'a'), (1, 'a '), (1, 'a  ');
SELECT count(DISTINCT octet_length(blanks)), count(DISTINCT blanks) FROM padded GROUP BY ROLLUP (k);

-- the same over what the shards join or group
CREATE TABLE lines (k int, amount int, what text);
SELECT tessera.create_distributed_table('lines', 'k', colocate_with => 'sales');
INSERT INTO lines SELECT i % 900, i, 'w' || i % 3 FROM generate_series(1, 2000) i;
SELECT kind, count(*), sum(l.amount), avg(l.amount) FROM sales s JOIN lines l USING (k) GROUP BY kind ORDER BY kind;
SELECT received('SELECT kind, count(*), sum(l.amount) FROM sales s JOIN lines l USING (k) GROUP BY kind');
SELECT what, count(*), count(region) FROM sales s LEFT JOIN lines l USING (k) GROUP BY what ORDER BY what;
SELECT received('SELECT what, count(*), count(region) FROM sales s LEFT JOIN lines l USING (k) GROUP BY what');
SELECT count(*), sum(l.amount) FROM sales s JOIN lines l USING (k) WHERE s.kind > 100;
SELECT n, count(*) FROM (SELECT k, count(*) AS n FROM lines GROUP BY k) x GROUP BY n ORDER BY n;
SELECT received('SELECT n, count(*) FROM (SELECT k, count(*) AS n FROM lines GROUP BY k) x GROUP BY n');
SELECT DISTINCT kind, what FROM sales JOIN lines USING (k) WHERE kind < 2 ORDER BY 1, 2;
SELECT received('SELECT DISTINCT kind, what FROM sales JOIN lines USING (k) WHERE kind < 2');
SELECT count(DISTINCT what), count(DISTINCT kind) FROM sales JOIN lines USING (k);
SELECT kind, count(*) FROM sales JOIN lines USING (k) WHERE twice(lines.amount) > 3900 GROUP BY kind ORDER BY kind;
SELECT i, (SELECT count(*) FROM sales JOIN lines USING (k) WHERE kind = i) FROM generate_series(0, 2) i ORDER BY i;
PREPARE joined(int) AS SELECT kind, sum(lines.amount * $1) FROM sales JOIN lines USING (k) WHERE kind < $1 GROUP BY kind ORDER BY kind;
SET plan_cache_mode = force_generic_plan;
EXECUTE joined(2);
EXECUTE joined(NULL);
RESET plan_cache_mode;

-- all tables below the groups have to be readable
CREATE ROLE regress_push_user;
GRANT USAGE ON SCHEMA aggregate_push TO regress_push_user;
GRANT SELECT ON sales TO regress_push_user;
SET ROLE regress_push_user;
\set VERBOSITY sqlstate
SELECT count(*) FROM lines;
SELECT count(*) FROM sales JOIN lines USING (k);
SELECT kind FROM sales JOIN lines USING (k) ORDER BY kind LIMIT 1;
\set VERBOSITY default
RESET ROLE;

-- rows that are joined here, and rows that are locked
SELECT count(*) FROM sales JOIN local_sales USING (k);
SELECT count(*) FROM (SELECT * FROM sales WHERE kind = 1 FOR UPDATE) x;

DROP OWNED BY regress_push_user;
DROP ROLE regress_push_user;
DROP SCHEMA aggregate_push CASCADE;
