-- Correlated aggregates over distributed tables become grouped joins where that
-- is exact. Each rule has a query that would give another answer without it.
CREATE SCHEMA decorrelate;
SET search_path = decorrelate;
SET client_min_messages = warning;
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE a (k int PRIMARY KEY, x int, y int, t text, i text COLLATE ci, f float4);
CREATE TABLE b (k int PRIMARY KEY, x int, y int, t text, i text COLLATE ci, f float4, v int);
CREATE TABLE small (x int PRIMARY KEY, name text);
SELECT tessera.create_distributed_table('a', 'k', shard_count => 4, colocate_with => 'none');
SELECT tessera.create_distributed_table('b', 'k', colocate_with => 'a');
SELECT tessera.create_reference_table('small');
INSERT INTO a VALUES (1, 1, 1, 'p', 'P', 1), (2, 2, 1, 'P', 'p', 2), (3, 3, 2, 'q', 'q', 3), (4, NULL, 2, NULL, NULL, NULL), (5, 9, 3, 'z', 'z', 9);
INSERT INTO b VALUES (1, 1, 1, 'p', 'p', 1, 10), (2, 1, 2, 'P', 'P', 1, 20), (3, 2, 1, 'q', 'Q', 2, NULL),
	(4, 2, 2, 'p', 'q', 3, 40), (5, 3, 2, NULL, NULL, NULL, NULL), (6, NULL, NULL, 'P', 'p', 3, 60), (7, 7, 7, 'w', 'w', 7, 0);
INSERT INTO small VALUES (1, 'one'), (2, 'two'), (3, 'three'), (9, 'nine');

-- true: no subquery is left that would be run for each row
CREATE FUNCTION joined(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	line text;
	found bool := false;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
		IF line ~ 'SubPlan' THEN
			RETURN false;
		END IF;
		found := found OR line ~ 'Group Key';
	END LOOP;
	RETURN found;
END $$;
-- what a query gives, and whether it is joined
CREATE FUNCTION gives(query text, OUT rows text, OUT joined bool) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT string_agg(r::text, '' '' ORDER BY r::text) FROM (' || query || ') r' INTO rows;
	joined := decorrelate.joined(query);
END $$;

-- the value of each aggregate where there are rows, where there are none, and
-- where what correlates is NULL
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(v) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT array_agg(v ORDER BY v DESC) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(DISTINCT v) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT bool_and(v > 5) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT string_agg(t, ''+'' ORDER BY b.k) FROM b WHERE b.x = a.x) FROM a');
-- the expression over them is computed over no rows too
SELECT * FROM gives('SELECT k, (SELECT count(*) + 1 FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT coalesce(sum(v), -1) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT CASE WHEN count(*) = 0 THEN ''none'' ELSE max(v)::text END FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT max(v) - min(v) + a.k * 100 FROM b WHERE b.x = a.x) FROM a');
-- several equalities, other conditions, expressions on both sides
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x AND b.y = a.y) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE a.x = b.x AND (v > 10 OR v IS NULL)) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE coalesce(b.x, 9) = coalesce(a.x, 3)) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b JOIN small USING (x) WHERE name <> ''one'' AND b.y = a.y) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x AND b.x = a.y) FROM a');
-- in conditions, under OR and CASE, of several tables, twice, one in the other
SELECT * FROM gives('SELECT k FROM a WHERE y < (SELECT count(*) FROM b WHERE b.x = a.x)');
SELECT * FROM gives('SELECT k FROM a WHERE y = 3 OR 1 > (SELECT count(*) FROM b WHERE b.x = a.x)');
SELECT * FROM gives('SELECT k, CASE WHEN k > 1 THEN (SELECT sum(v) FROM b WHERE b.x = a.x) END FROM a');
SELECT * FROM gives('SELECT a.k, name FROM a, small WHERE a.x = small.x AND 1 <= (SELECT count(*) FROM b WHERE b.x = small.x AND b.y = a.y)');
SELECT * FROM gives('SELECT a.k, name FROM a LEFT JOIN small ON small.x = a.x AND name <> ''one'' WHERE 1 > (SELECT count(*) FROM b WHERE b.x = small.x)');
SELECT * FROM gives('SELECT k, (SELECT sum(v) FROM b WHERE b.x = a.x) FROM a WHERE y <> (SELECT count(*) FROM b WHERE b.y = a.y)');
SELECT * FROM gives('SELECT k FROM a WHERE x IN (SELECT x FROM b WHERE b.y < (SELECT count(*) + 1 FROM b c WHERE c.y = b.x))');
SELECT * FROM gives('SELECT k FROM a WHERE y < (SELECT count(*) FROM b WHERE b.x = a.x AND b.v > (SELECT min(v) FROM b c WHERE c.y = b.y))');
-- in what is sorted by, and in arguments of aggregates
SELECT joined('SELECT k FROM a ORDER BY (SELECT count(*) FROM b WHERE b.x = a.x), k');
SELECT k FROM a ORDER BY (SELECT count(*) FROM b WHERE b.x = a.x) DESC, k LIMIT 2;
SELECT * FROM gives('SELECT y, sum((SELECT count(*) FROM b WHERE b.x = a.x)) FROM a GROUP BY y');
SELECT * FROM gives('SELECT y FROM a GROUP BY y HAVING max((SELECT count(*) FROM b WHERE b.x = a.x)) > 0');
SELECT * FROM gives('SELECT k, rank() OVER (ORDER BY (SELECT count(*) FROM b WHERE b.x = a.x)) FROM a');
-- but not where rows are grouped already
SELECT * FROM gives('SELECT x, (SELECT count(*) FROM b WHERE b.y = a.x) FROM a GROUP BY x');
SELECT * FROM gives('SELECT y FROM a GROUP BY y HAVING count(*) = (SELECT count(*) FROM b WHERE b.x = a.y)');
SELECT * FROM gives('SELECT y, (SELECT max(v) + sum(a.x) FROM b WHERE b.x = a.y) FROM a GROUP BY y');

-- what is no plain aggregate of all rows that match
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x HAVING count(*) > 1) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x GROUP BY b.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x LIMIT 0) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x OFFSET 1) FROM a');
SELECT * FROM gives('SELECT k, (SELECT min(v) FROM b WHERE b.x = a.x AND b.k < a.k) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x OR b.y = a.y) FROM a');
SELECT * FROM gives('SELECT k, (SELECT sum(v + a.k) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FILTER (WHERE v > a.k * 5) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM (SELECT * FROM b WHERE b.y = a.y) s WHERE s.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT 5 FROM b WHERE b.x = a.x AND b.y = a.y AND b.k < 3) FROM a');

-- equalities by which one row could find several groups, or NULL one
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.t = a.t COLLATE ci) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.t = a.t) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.i = a.i) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.i = a.t COLLATE "C") FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.f = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x IS NOT DISTINCT FROM a.x) FROM a');
CREATE FUNCTION same_parity(int, int) RETURNS bool LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 % 2 = $2 % 2';
CREATE OPERATOR === (leftarg = int, rightarg = int, function = same_parity, hashes, merges, commutator = ===);
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x === a.x) FROM a');

-- aggregates that are not known to be NULL over no rows
CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int, initcond = '0');
SELECT * FROM gives('SELECT k, (SELECT total(v) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT regr_count(v, v) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT rank(20) WITHIN GROUP (ORDER BY v) FROM b WHERE b.x = a.x) FROM a');
-- all built-in ones of the names that are
DO $$
DECLARE
	r record;
	value text;
BEGIN
	FOR r IN SELECT p.proname AS name, string_agg('NULL::' || CASE t.typname WHEN 'anynonarray' THEN 'int' WHEN 'anyarray' THEN 'int[]'
				WHEN 'anyenum' THEN 'decorrelate.mood' ELSE t.oid::regtype::text END, ', ' ORDER BY i) AS args
			FROM pg_aggregate g JOIN pg_proc p ON p.oid = g.aggfnoid, unnest(p.proargtypes) WITH ORDINALITY u (type, i) JOIN pg_type t ON t.oid = u.type
			WHERE g.aggkind = 'n' AND p.oid < 16384 AND p.proname IN ('sum', 'avg', 'min', 'max', 'stddev', 'stddev_pop', 'stddev_samp',
				'variance', 'var_pop', 'var_samp', 'bool_and', 'bool_or', 'every', 'bit_and', 'bit_or', 'bit_xor', 'array_agg', 'string_agg')
				AND t.typname !~ '^any(enum|range|multirange)?$'
			GROUP BY p.oid, p.proname
	LOOP
		EXECUTE format('SELECT %s(%s)::text FROM (SELECT WHERE false) s', r.name, r.args) INTO value;
		IF value IS NOT NULL THEN
			RAISE EXCEPTION '%(%) is not NULL over no rows', r.name, r.args;
		END IF;
	END LOOP;
END $$;

-- what could fail for groups that nobody asks for (v is 0 where x is 7), or has
-- effects
SELECT * FROM gives('SELECT k, (SELECT sum(100 / v) FROM b WHERE b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x AND 100 / v > 2) FROM a');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE 70 / (b.x - 7) = a.x) FROM a WHERE y < 0');
SELECT * FROM gives('SELECT k, CASE WHEN x < 9 THEN (SELECT count(*) FROM b WHERE b.x = 9 / (9 - a.x)) END FROM a');
SELECT * FROM gives('SELECT k, (SELECT sum(100 / v) FROM b WHERE b.v > 0 AND b.x = a.x) FROM a');
SELECT * FROM gives('SELECT k, (SELECT sum(1.5 * v + 2) FROM b WHERE b.x = a.x) FROM a');
CREATE SEQUENCE calls;
SELECT * FROM gives('SELECT k, (SELECT max(v) FROM b WHERE b.x = a.x AND nextval(''decorrelate.calls'') > 0) FROM a WHERE a.k < 1');
SELECT is_called FROM calls;

-- a row that is locked here is checked again with its new values
CREATE TABLE here AS TABLE small;
SELECT * FROM gives('SELECT x FROM here WHERE 1 < (SELECT count(*) FROM b WHERE b.x = here.x)');
SELECT joined('SELECT x FROM here WHERE 1 < (SELECT count(*) FROM b WHERE b.x = here.x) FOR UPDATE');
SELECT x FROM here WHERE 1 < (SELECT count(*) FROM b WHERE b.x = here.x) ORDER BY x FOR UPDATE;
UPDATE a SET y = y + (SELECT count(*) FROM b WHERE b.x = a.x);
SELECT k, y FROM a ORDER BY k;

-- where only few values are wanted, or a shard has what it needs, the subquery stays
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x) FROM a ORDER BY k LIMIT 3');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x) FROM a WHERE k = 2');
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM b WHERE b.k = a.k) FROM a');
SELECT * FROM gives('SELECT a.k, s.name FROM a, small s WHERE s.x > (SELECT count(*) FROM b WHERE b.k = a.k AND b.x > s.x) AND (SELECT count(*) FROM small) > 0');
-- and over tables of this server alone it is PostgreSQL's
SELECT * FROM gives('SELECT k, (SELECT count(*) FROM small WHERE small.x = a.x) FROM a');

-- parameters
PREPARE p (int) AS SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x AND v > $1) FROM a WHERE y > $1 - 10 ORDER BY k;
EXECUTE p (5);
EXECUTE p (10);
EXECUTE p (NULL);
DEALLOCATE p;

-- PostgreSQL makes joins of EXISTS and IN: the inner side is fetched once
CREATE FUNCTION fetches(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || query INTO plan;
	RETURN (SELECT max(n::int) FROM jsonb_path_query(plan, 'strict $.** ? (@."Custom Plan Provider" == "TesseraScan")."Actual Loops"') n);
END $$;
SELECT fetches('SELECT k FROM a WHERE EXISTS (SELECT FROM b WHERE b.x = a.x)');
SELECT fetches('SELECT k FROM a WHERE NOT EXISTS (SELECT FROM b WHERE b.x = a.x AND b.y = a.y)');
SELECT fetches('SELECT k FROM a WHERE x IN (SELECT x FROM b)');
SELECT fetches('SELECT k FROM a WHERE x NOT IN (SELECT x FROM b)');
SELECT fetches('SELECT k, x IN (SELECT x FROM b) FROM a');
SELECT fetches('SELECT k, (SELECT count(*) FROM b WHERE b.x = a.x) FROM a');

DROP SCHEMA decorrelate CASCADE;
