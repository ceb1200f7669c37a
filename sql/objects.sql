-- Types, functions, operators and the like of users: made on all nodes, kept
-- equal there, and used there.
CREATE SCHEMA objects;
SET search_path = objects;

-- where a condition is evaluated, and for which rows it holds: the sum of k
CREATE FUNCTION filtered(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	found bigint;
BEGIN
	EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF, FORMAT json) SELECT k FROM objects.t WHERE ' || condition INTO plan;
	EXECUTE 'SELECT sum(k) FROM objects.t WHERE ' || condition INTO found;
	RETURN CASE WHEN plan #> '{0,Plan,Filter}' IS NULL THEN 'there' ELSE 'here' END || ', ' || found;
END $$;
-- whether an aggregate is computed in two phases, and its value
CREATE FUNCTION phases(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	value text;
BEGIN
	EXECUTE 'EXPLAIN (COSTS OFF, FORMAT json) ' || query INTO plan;
	EXECUTE query INTO value;
	RETURN CASE WHEN plan #>> '{0,Plan,Partial Mode}' = 'Finalize' THEN 'two' ELSE 'one' END || ', ' || value;
END $$;
-- what nodes hold with another definition than this server, and how many objects there are
CREATE FUNCTION differing() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	object tessera.object;
	differing text[] := '{}';
	objects int := 0;
BEGIN
	FOR object IN SELECT * FROM tessera.object WHERE identity ~ 'objects' ORDER BY type, identity LOOP
		objects := objects + 1;
		IF (SELECT count(DISTINCT result) <> 1 FROM tessera.run_on_nodes(format(
			'SELECT tessera_internal.object_definition(%L, %L, %L)', object.type, object.names, object.args)))
		THEN
			differing := differing || object.identity;
		END IF;
	END LOOP;
	RETURN format('%s, %s of %s', differing, cardinality(differing), objects);
END $$;
-- how many functions of this schema the nodes have
CREATE FUNCTION functions_there() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(DISTINCT result, ', ') FROM tessera.run_on_nodes(
		'SELECT count(*) FROM pg_proc WHERE pronamespace = to_regnamespace(''objects'')')
	WHERE node IN (SELECT name FROM tessera.node WHERE role = 'node');
$$;

-- what an expression may need goes to the nodes, with its schema
CREATE TYPE tier AS ENUM ('gold', 'silver');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b positive);
CREATE TYPE span AS RANGE (SUBTYPE = float8);
CREATE COLLATION backwards (LOCALE = 'C');
CREATE FUNCTION reduced(p numeric, t tier) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN CASE t WHEN 'gold' THEN p * 0.9 ELSE p END; END $$;
CREATE FUNCTION plus(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN coalesce($1, 0) + coalesce($2, 0); END';
CREATE AGGREGATE total(int) (SFUNC = plus, STYPE = int, COMBINEFUNC = plus);
CREATE AGGREGATE mean(int) (SFUNC = int4_avg_accum, STYPE = int8[], COMBINEFUNC = int4_avg_combine, FINALFUNC = int8_avg, INITCOND = '{0,0}');
CREATE FUNCTION pair_less(pair, pair) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ($1).b < ($2).b; END';
CREATE FUNCTION pair_more(pair, pair) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ($1).b > ($2).b; END';
CREATE FUNCTION pair_same(pair, pair) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ($1).b = ($2).b; END';
CREATE FUNCTION pair_order(pair, pair) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ($1).b - ($2).b; END';
CREATE OPERATOR <# (FUNCTION = pair_less, LEFTARG = pair, RIGHTARG = pair, COMMUTATOR = >#);
CREATE OPERATOR ># (FUNCTION = pair_more, LEFTARG = pair, RIGHTARG = pair, COMMUTATOR = <#);
CREATE OPERATOR =# (FUNCTION = pair_same, LEFTARG = pair, RIGHTARG = pair);
CREATE OPERATOR CLASS pair_ops FOR TYPE pair USING btree AS
	OPERATOR 1 <#, OPERATOR 3 =#, OPERATOR 5 >#, FUNCTION 1 pair_order(pair, pair);
CREATE CAST (int AS tier) WITH INOUT;
SELECT type, identity FROM tessera.object WHERE identity ~ 'objects' ORDER BY type, identity;
SELECT differing();

CREATE TABLE t (k int PRIMARY KEY, n int, s text, m tier, p pair);
SELECT tessera.create_distributed_table('t', 'k');
INSERT INTO t SELECT g, g, 'x' || g, CASE WHEN g % 2 = 0 THEN 'gold'::tier ELSE 'silver' END, ROW(g, g % 3 + 1)::pair
FROM generate_series(1, 20) g;

-- and is used there
SELECT filtered('reduced(n, m) = 9'), filtered('p OPERATOR(objects.<#) ROW(0, 2)::objects.pair');
SELECT filtered('n::objects.positive > 19'), filtered($$'[3,5]'::objects.span @> n::float8$$);
SELECT filtered($$s COLLATE objects.backwards < 'x2'$$), filtered($$(ARRAY['gold', 'silver']::objects.tier[])[n] = 'silver'$$);
SELECT phases('SELECT objects.total(n) FROM t'), phases('SELECT round(objects.mean(n), 1) FROM t');
SELECT k FROM t ORDER BY p USING OPERATOR(objects.>#), k LIMIT 3;
SELECT reduced(n % 2, m), total(k) FROM t GROUP BY 1 ORDER BY 1;

-- replaced, also between PREPARE and EXECUTE
PREPARE q AS SELECT sum(k) FROM t WHERE reduced(n, m) = 9;
SET plan_cache_mode = force_generic_plan;
EXECUTE q;
CREATE OR REPLACE FUNCTION reduced(p numeric, t tier) RETURNS numeric IMMUTABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN CASE t WHEN 'gold' THEN p * 0.5 ELSE p END; END $$;
EXECUTE q;
SELECT filtered('reduced(n, m) = 9');
-- renamed, moved, given away, granted, commented: the nodes follow
ALTER FUNCTION reduced RENAME TO less;
\set VERBOSITY sqlstate
EXECUTE q;
\set VERBOSITY default
SELECT filtered('less(n, m) = 9');
CREATE SCHEMA objects_too;
GRANT USAGE ON SCHEMA objects_too TO PUBLIC;
ALTER FUNCTION less SET SCHEMA objects_too;
ALTER TYPE span RENAME TO stretch;
ALTER SCHEMA objects_too RENAME TO objects_two;
SELECT filtered('objects_two.less(n, m) = 9');
CREATE ROLE regress_objects;
GRANT ALL ON SCHEMA objects TO regress_objects;
ALTER FUNCTION plus OWNER TO regress_objects;
ALTER TYPE stretch OWNER TO regress_objects;
COMMENT ON AGGREGATE total(int) IS 'a sum';
GRANT EXECUTE ON FUNCTION plus TO regress_objects WITH GRANT OPTION;
REVOKE EXECUTE ON FUNCTION plus FROM PUBLIC;
SELECT differing();
-- what PUBLIC may not call stays here
SELECT filtered('plus(n, 0) = 9');
REVOKE GRANT OPTION FOR EXECUTE ON FUNCTION plus FROM regress_objects;
GRANT EXECUTE ON FUNCTION plus TO PUBLIC;
SELECT filtered('plus(n, 0) = 9');
REASSIGN OWNED BY regress_objects TO CURRENT_USER;
DROP OWNED BY regress_objects;
DROP ROLE regress_objects;
SELECT differing();

-- a new value of an enum
ALTER TYPE tier ADD VALUE 'bronze' BEFORE 'silver';
INSERT INTO t VALUES (21, 21, 'x', 'bronze', ROW(1, 1));
SELECT k, m FROM t WHERE m > 'gold' ORDER BY m, k LIMIT 2;
\set VERBOSITY sqlstate
ALTER TYPE tier RENAME VALUE 'bronze' TO 'iron';
\set VERBOSITY default
SELECT differing();

-- Bodies that may mean something else on a node, or nothing, stay here.
CREATE FUNCTION by_path(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN plus($1, 0); END';
CREATE FUNCTION by_own_path(int) RETURNS int IMMUTABLE LANGUAGE plpgsql SET search_path = objects AS 'BEGIN RETURN plus($1, 0); END';
CREATE FUNCTION by_name(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN objects.plus($1, 0); END';
CREATE FUNCTION by_tree(int) RETURNS int IMMUTABLE RETURN plus($1, 0);
SELECT filtered('by_path(n) = 9'), filtered('by_own_path(n) = 9'), filtered('by_name(n) = 9'), filtered('by_tree(n) = 9');
CREATE FUNCTION of_table(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + (SELECT min(k) - 1 FROM objects.t); END';
CREATE FUNCTION of_text(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ DECLARE r int; BEGIN EXECUTE 'SELECT $1' INTO r USING $1; RETURN r; END $$;
CREATE FUNCTION of_now(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN now() > current_date THEN $1 ELSE $1 END; END';
CREATE FUNCTION of_name(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1 + 0 * 'pg_class'::regclass::oid::int; END $$;
CREATE FUNCTION by_default(int, random float8 DEFAULT random()) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION of_row(t) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1.n; END';
SELECT filtered('of_table(n) = 9'), filtered('of_text(n) = 9'), filtered('of_now(n) = 9'), filtered('of_name(n) = 9'),
	filtered('by_default(n) = 9'), filtered('of_row(t) = 9');
-- one that a new function may capture
CREATE FUNCTION of_length(text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN length($1); END';
SELECT filtered('of_length(s) = 2');
CREATE FUNCTION length(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2';
SELECT filtered('of_length(s) = 2');
DROP FUNCTION objects.length(text);
-- an argument may have a table's name, where nothing is read
CREATE FUNCTION of_argument(t int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN t; END';
SELECT filtered('of_argument(n) = 9');

-- Nothing is left of what is rolled back.
SELECT functions_there() AS before \gset
BEGIN;
CREATE FUNCTION rolled(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
SAVEPOINT s;
CREATE OR REPLACE FUNCTION rolled(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 9; END';
SELECT filtered('rolled(n) = 9');
ROLLBACK TO s;
SELECT filtered('rolled(n) = 9');
ROLLBACK;
SELECT functions_there() = :'before' AS as_before;

-- A node that has another one keeps it, and what is new stays here ...
SELECT DISTINCT success FROM tessera.run_on_nodes($x$DO $do$ BEGIN
	IF (SELECT count(*) FROM tessera.node WHERE role = 'node') = 0 THEN
		CREATE FUNCTION objects.other(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 9; END';
	END IF; END $do$ $x$);
\set VERBOSITY terse
CREATE FUNCTION other(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
\set VERBOSITY default
SELECT filtered('other(n) = 9');
SELECT DISTINCT success FROM tessera.run_on_nodes($x$DO $do$ BEGIN
	IF (SELECT count(*) FROM tessera.node WHERE role = 'node') = 0 THEN
		DROP FUNCTION objects.other(int);
	END IF; END $do$ $x$);
-- ... until it is asked for again
SELECT tessera.bring_objects();
SELECT filtered('other(n) = 9');
-- What is changed here alone is not believed to be there any more.
SET tessera.propagate_objects = off;
CREATE OR REPLACE FUNCTION other(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + 1; END';
SELECT filtered('other(n) = 9');
RESET tessera.propagate_objects;
SELECT DISTINCT success FROM tessera.run_on_nodes('DROP FUNCTION objects.other(int)');

-- dropped by name, and by CASCADE
DROP AGGREGATE mean(int);
DROP OPERATOR CLASS pair_ops USING btree;
DROP OPERATOR ># (pair, pair);
DROP TYPE stretch;
SELECT differing();
SET client_min_messages = warning;
DROP SCHEMA objects, objects_two CASCADE;
SELECT count(*) FROM tessera.object WHERE identity ~ 'objects';
SELECT DISTINCT result AS schemas_there FROM tessera.run_on_nodes(
	'SELECT count(*) FROM pg_namespace WHERE nspname ~ ''^objects''');
