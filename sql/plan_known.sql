-- What nodes know beyond what is built in: members of extensions that are the
-- same everywhere.  The extension here is plpgsql, which every database has;
-- members are added to it, and taken out again.
CREATE SCHEMA plan_known;
SET search_path = plan_known;
SET client_min_messages = warning;

CREATE TABLE t (k int, n int, s text);
SELECT tessera.create_distributed_table('t', 'k');
INSERT INTO t SELECT g, g, 'x' || g FROM generate_series(1, 20) g;

-- where a condition is evaluated, and for which rows it holds: the sum of k
CREATE FUNCTION filtered(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	found bigint;
BEGIN
	EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF, FORMAT json) SELECT k FROM plan_known.t WHERE ' || condition INTO plan;
	EXECUTE 'SELECT sum(k) FROM plan_known.t WHERE ' || condition INTO found;
	RETURN CASE WHEN plan #> '{0,Plan,Filter}' IS NULL THEN 'there' ELSE 'here' END || ', ' || found;
END $$;
-- a command on all nodes, on this server too or not
CREATE FUNCTION everywhere(command text) RETURNS bool
LANGUAGE sql AS 'SELECT bool_and(success) FROM tessera.run_on_nodes(command)';
CREATE FUNCTION only_there(command text) RETURNS bool LANGUAGE sql AS $$
	SELECT everywhere(format('DO $do$ BEGIN
		IF (SELECT count(*) FROM tessera.node WHERE role = ''node'') = 0 THEN EXECUTE %L; END IF; END $do$', command))
$$;

-- a function that the nodes have, but that belongs to nobody (not in SQL, which
-- would be inlined)
SELECT everywhere($$CREATE FUNCTION public.known_twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 2; END'$$);
SELECT filtered('public.known_twice(n) = 6');
-- a member there, not here; then both
SELECT only_there('ALTER EXTENSION plpgsql ADD FUNCTION public.known_twice(int)');
SELECT filtered('public.known_twice(n) = 6');
ALTER EXTENSION plpgsql ADD FUNCTION public.known_twice(int);
\c -
SET client_min_messages = warning;
SET search_path = plan_known;
SELECT count(DISTINCT result) AS contents, min(result) LIKE '1.0 %' AS with_version
FROM tessera.run_on_nodes($$SELECT tessera_internal.extension_contents('plpgsql')$$);
SELECT filtered('public.known_twice(n) = 6');
-- the answer is believed: no more is sent for the next statement
SELECT tessera_internal.reset_net_counters();
EXPLAIN (COSTS OFF) SELECT k FROM t WHERE public.known_twice(n) = 6;
SELECT statements FROM tessera_internal.net_counters();

-- replaced here alone: seen at once, by plans that are kept too
PREPARE kept AS SELECT sum(k) FROM t WHERE public.known_twice(n) = 6;
SET plan_cache_mode = force_generic_plan;
EXECUTE kept;
CREATE OR REPLACE FUNCTION public.known_twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 3; END';
EXECUTE kept;
SELECT filtered('public.known_twice(n) = 6'), filtered('public.known_twice(n) = 3');
-- replaced there too
SELECT everywhere($$CREATE OR REPLACE FUNCTION public.known_twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + $1; END'$$);
SELECT filtered('public.known_twice(n) = 6');
EXECUTE kept;
-- not immutable, or not for everybody
SELECT everywhere('ALTER FUNCTION public.known_twice(int) STABLE');
SELECT filtered('public.known_twice(n) = 6');
SELECT everywhere('ALTER FUNCTION public.known_twice(int) IMMUTABLE');
SELECT filtered('public.known_twice(n) = 6');
SELECT everywhere('REVOKE EXECUTE ON FUNCTION public.known_twice(int) FROM PUBLIC');
SELECT filtered('public.known_twice(n) = 6');
SELECT everywhere('GRANT EXECUTE ON FUNCTION public.known_twice(int) TO PUBLIC');
SELECT filtered('public.known_twice(n) = 6');
-- in a schema that is not for everybody
SELECT everywhere('CREATE SCHEMA plan_known_private');
SELECT everywhere('ALTER FUNCTION public.known_twice(int) SET SCHEMA plan_known_private');
SELECT filtered('plan_known_private.known_twice(n) = 6');
SELECT everywhere('GRANT USAGE ON SCHEMA plan_known_private TO PUBLIC');
\c -
SET client_min_messages = warning;
SET search_path = plan_known;
SELECT filtered('plan_known_private.known_twice(n) = 6');
-- the functions of this extension are not the nodes'
SELECT filtered('tessera_internal.extension_contents(s) IS NULL');

-- Operators and casts of users over built-in functions have names too.
SET tessera.propagate_objects = off;
CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
SELECT filtered('n OPERATOR(public.===) 3'), filtered('n OPERATOR(public.===) ANY (ARRAY[3, 4])'),
	filtered('nullif(n, 3) IS NULL'), filtered('(n, k) < (3, 3)');
CREATE CAST (int AS point) WITH INOUT;
SELECT filtered($$CASE WHEN n < 0 THEN n::point END IS NULL$$);
CREATE CAST (int4 AS date) WITHOUT FUNCTION;
SELECT filtered($$n::date > date '2000-01-11'$$);
DROP CAST (int AS point);
DROP CAST (int4 AS date);
SELECT only_there('CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)');
SELECT everywhere('ALTER EXTENSION plpgsql ADD OPERATOR public.=== (int, int)');
\c -
SET client_min_messages = warning;
SET search_path = plan_known;
SELECT filtered('n OPERATOR(public.===) 3'), filtered('n OPERATOR(public.===) ANY (ARRAY[3, 4])');

-- Types that no column has.
SELECT everywhere($$CREATE TYPE public.known_mood AS ENUM ('sad', 'ok')$$);
SELECT filtered($$(ARRAY['sad', 'ok']::public.known_mood[])[n] = 'ok'$$);
SELECT everywhere('ALTER EXTENSION plpgsql ADD TYPE public.known_mood');
\c -
SET client_min_messages = warning;
SET search_path = plan_known;
SELECT filtered($$(ARRAY['sad', 'ok']::public.known_mood[])[n] = 'ok'$$);
ALTER TYPE public.known_mood ADD VALUE 'happy';
\c -
SET client_min_messages = warning;
SET search_path = plan_known;
SELECT filtered($$(ARRAY['sad', 'ok']::public.known_mood[])[n] = 'ok'$$);
SELECT only_there($$ALTER TYPE public.known_mood ADD VALUE 'happy'$$);
\c -
SET client_min_messages = warning;
SET search_path = plan_known;

-- Aggregates, in statements that go to one shard: all they are made of counts.
CREATE FUNCTION routed(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	value text;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	EXECUTE query INTO value;
	RETURN (plan #>> '{0,Plan,Custom Plan Provider}' IS NOT NULL) || ', ' || value;
END $$;
SELECT everywhere($$CREATE FUNCTION public.known_add(state int, value int) RETURNS int IMMUTABLE
	LANGUAGE sql AS 'SELECT coalesce(state, 0) + value'$$);
SELECT everywhere('CREATE AGGREGATE public.known_sum(int) (SFUNC = public.known_add, STYPE = int, COMBINEFUNC = int4pl)');
SELECT routed('SELECT public.known_sum(n) FROM t WHERE k = 3');
SELECT everywhere('ALTER EXTENSION plpgsql ADD AGGREGATE public.known_sum(int)');
\c -
SET client_min_messages = warning;
SET search_path = plan_known;
SELECT routed('SELECT public.known_sum(n) FROM t WHERE k = 3');
SELECT everywhere('ALTER EXTENSION plpgsql ADD FUNCTION public.known_add(int, int)');
\c -
SET client_min_messages = warning;
SET search_path = plan_known;
SELECT routed('SELECT public.known_sum(n) FROM t WHERE k = 3');
-- ... and of rows of many shards: one whose state is its result, one with another
SELECT everywhere($$CREATE AGGREGATE public.known_mean(int) (SFUNC = int4_avg_accum, STYPE = int8[],
	COMBINEFUNC = int4_avg_combine, FINALFUNC = int8_avg, INITCOND = '{0,0}')$$);
SELECT everywhere('ALTER EXTENSION plpgsql ADD AGGREGATE public.known_mean(int)');
\c -
SET client_min_messages = warning;
SET search_path = plan_known;
CREATE FUNCTION mode(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan #>> '{0,Plan,Partial Mode}';
END $$;
SELECT public.known_sum(n), round(public.known_mean(n), 2) AS known_mean FROM t;
SELECT mode('SELECT public.known_sum(n) FROM t'), mode('SELECT public.known_mean(n) FROM t');
SELECT everywhere('ALTER FUNCTION public.known_add(int, int) STABLE');
SELECT routed('SELECT public.known_sum(n) FROM t WHERE k = 3');
SELECT sum(one) FROM (SELECT public.known_sum(n) AS one FROM t GROUP BY k) s;

-- what is left behind
SELECT everywhere('ALTER EXTENSION plpgsql DROP AGGREGATE public.known_mean(int)')
	AND everywhere('DROP AGGREGATE public.known_mean(int)')
	AND everywhere('ALTER EXTENSION plpgsql DROP AGGREGATE public.known_sum(int)')
	AND everywhere('DROP AGGREGATE public.known_sum(int)')
	AND everywhere('ALTER EXTENSION plpgsql DROP FUNCTION public.known_add(int, int)')
	AND everywhere('DROP FUNCTION public.known_add(int, int)')
	AND everywhere('ALTER EXTENSION plpgsql DROP TYPE public.known_mood')
	AND everywhere('DROP TYPE public.known_mood')
	AND everywhere('ALTER EXTENSION plpgsql DROP OPERATOR public.=== (int, int)')
	AND everywhere('DROP OPERATOR public.=== (int, int)')
	AND everywhere('ALTER EXTENSION plpgsql DROP FUNCTION plan_known_private.known_twice(int)')
	AND everywhere('DROP SCHEMA plan_known_private CASCADE') AS all_gone;
DROP SCHEMA plan_known CASCADE;
