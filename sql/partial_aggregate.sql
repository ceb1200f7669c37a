-- aggregates over a part of the rows: what nodes give, and what is made of it
CREATE SCHEMA partial_aggregate;
SET search_path = partial_aggregate, tessera_internal;
SET client_min_messages = warning;
SET TimeZone = 'UTC';
-- the order in which floats are added shows in their last digits
SET extra_float_digits = -3;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
-- a column for each type that a built-in aggregate takes, named like it
CREATE TABLE sample (id int PRIMARY KEY, "bool" bool, "int2" int2, "int4" int4,
	"int8" int8, "float4" float4, "float8" float8, "numeric" numeric, "money" money,
	"oid" oid, "tid" tid, "text" text, "bpchar" char(5), "date" date, "time" time,
	"timetz" timetz, "timestamp" timestamp, "timestamptz" timestamptz,
	"interval" interval, "inet" inet, "bit" bit(8), "pg_lsn" pg_lsn, "xid8" xid8,
	"any" text, "anyarray" int[], "anyenum" mood, "anyrange" int4range,
	"anymultirange" int4multirange);
INSERT INTO sample
SELECT g, g % 7 <> 0, g, -g, g * 1000000000000, g + 0.5, -g + 0.25, g * 1.01, g::money,
	g::oid, format('(%s,1)', g)::tid, 'text ' || g, 'c' || g, date '2020-01-01' + g,
	time '00:00' + g * interval '1 min', timetz '00:00+00' + g * interval '1 min',
	timestamp '2020-01-01' + g * interval '1 day',
	timestamptz '2020-01-01 00:00+00' + g * interval '1 day', g * interval '1 min',
	inet '10.0.0.0' + g, g::bit(8), pg_lsn '0/0' + g, g::text::xid8,
	CASE WHEN g % 3 = 0 THEN 'any' END, ARRAY[g, g], (enum_range(NULL::mood))[g % 3 + 1],
	int4range(-g, g), int4multirange(int4range(-g, g))
FROM generate_series(1, 60) g;
-- and rows, and a whole slice, of nulls
INSERT INTO sample SELECT g FROM generate_series(-19, 0) g;
INSERT INTO sample SELECT g FROM generate_series(64, 96, 4) g;
DELETE FROM sample WHERE id % 4 = 0 AND "int4" IS NOT NULL;
CREATE TABLE spread (LIKE sample INCLUDING ALL);
SELECT tessera.create_distributed_table('spread', 'id');
INSERT INTO spread SELECT * FROM sample;

-- The built-in aggregates that can be combined.
CREATE VIEW built_in AS
SELECT aggfnoid::oid::regprocedure AS aggregate, p.proname,
	'pg_catalog.' || aggfnoid::oid::regprocedure AS name, a.*,
	coalesce((SELECT string_agg(quote_ident(typname), ', ' ORDER BY ordinality)
			  FROM unnest(p.proargtypes) WITH ORDINALITY t (type, ordinality)
			  JOIN pg_type ON pg_type.oid = t.type), '') AS columns
FROM pg_aggregate a JOIN pg_proc p ON p.oid = aggfnoid
WHERE aggcombinefn <> 0 AND aggfnoid < 16384;
SELECT count(*) > 100 AS there_are_many, bool_or(aggtranstype = 'internal'::regtype) AS internal,
	bool_or(aggtranstype::regtype::text LIKE 'any%') AS polymorphic FROM built_in;

-- Internal states come out as PostgreSQL serializes them: an aggregate that has
-- the serial function as its final function shows that.
CREATE FUNCTION compare_internal() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	a record;
	differences int;
	groups int;
BEGIN
	FOR a IN SELECT * FROM built_in WHERE aggtranstype = 'internal'::regtype ORDER BY name LOOP
		EXECUTE format('CREATE AGGREGATE serialized(%s) (SFUNC = %s, STYPE = internal, FINALFUNC = %s)',
			substring(a.aggregate::text, '\((.*)\)'), a.aggtransfn, a.aggserialfn);
		EXECUTE format($q$
			SELECT count(*), count(*) FILTER (WHERE ours IS DISTINCT FROM theirs)
			FROM (SELECT partial_state(%1$L, %2$s) AS ours, serialized(%2$s) AS theirs
				  FROM sample GROUP BY id %% 4
				  UNION ALL SELECT partial_state(%1$L, %2$s) FILTER (WHERE id %% 5 = 1),
					serialized(%2$s) FILTER (WHERE id %% 5 = 1) FROM sample
				  UNION ALL SELECT partial_state(%1$L, %2$s), serialized(%2$s)
				  FROM sample WHERE false) s$q$, a.name, a.columns) INTO groups, differences;
		IF groups < 6 OR differences > 0 THEN
			RETURN NEXT a.name;
		END IF;
		EXECUTE format('DROP AGGREGATE serialized(%s)', substring(a.aggregate::text, '\((.*)\)'));
	END LOOP;
END $$;
SELECT compare_internal() AS differs;

-- All other states, combined and finished, give what the aggregate does: a
-- second aggregate has the combine function as its transition function.
CREATE FUNCTION compare_value() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	a record;
	state text;
	is_same bool;
BEGIN
	FOR a IN SELECT * FROM built_in WHERE aggtranstype <> 'internal'::regtype ORDER BY name LOOP
		state := a.aggtranstype::regtype;
		IF state LIKE 'any%' THEN
			SELECT atttypid::regtype INTO state FROM pg_attribute
			WHERE attrelid = 'sample'::regclass AND quote_ident(attname) = a.columns;
		END IF;
		EXECUTE format('CREATE AGGREGATE combined(%1$s) (SFUNC = %2$s, STYPE = %1$s %3$s %4$s)', state,
			a.aggcombinefn, ', FINALFUNC = ' || nullif(a.aggfinalfn, 0)::regproc,
			', INITCOND = ' || quote_literal(a.agginitval));
		EXECUTE format($q$
			WITH states AS (
				SELECT partial_value(%1$L, NULL::%3$s %4$s) AS state FROM sample GROUP BY id %% 4
				UNION ALL SELECT partial_value(%1$L, NULL::%3$s %4$s) FROM sample WHERE false)
			SELECT (SELECT combined(state)::text FROM states)
				IS NOT DISTINCT FROM (SELECT %2$I(%5$s)::text FROM sample)$q$,
			a.name, a.proname, state, ', ' || nullif(a.columns, ''),
			coalesce(nullif(a.columns, ''), '*')) INTO is_same;
		IF NOT is_same THEN
			RETURN NEXT a.name;
		END IF;
		EXECUTE format('DROP AGGREGATE combined(%s)', state);
	END LOOP;
END $$;
SELECT compare_value() AS differs;

-- Over a distributed table all of them give what they give over a local one:
-- of all rows, by group, filtered, and of none.
CREATE FUNCTION compare_spread() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	a record;
	is_same bool;
	query text := 'SELECT array_agg(v::text ORDER BY g, part) FROM (
		SELECT 1 AS part, 0 AS g, %1$I(%2$s)::text AS v FROM %3$s
		UNION ALL SELECT 2, "int2" %% 3, %1$I(%2$s)::text FROM %3$s GROUP BY "int2" %% 3
		UNION ALL SELECT 3, 0, %1$I(%2$s) FILTER (WHERE "int2" %% 5 = 1)::text FROM %3$s
		UNION ALL SELECT 4, 0, %1$I(%2$s)::text FROM %3$s WHERE "text" = ''none'') s';
BEGIN
	FOR a IN SELECT * FROM built_in ORDER BY name LOOP
		EXECUTE format('SELECT (%s) IS NOT DISTINCT FROM (%s)',
			format(query, a.proname, coalesce(nullif(a.columns, ''), '*'), 'sample'),
			format(query, a.proname, coalesce(nullif(a.columns, ''), '*'), 'spread')) INTO is_same;
		IF NOT is_same THEN
			RETURN NEXT a.name;
		END IF;
	END LOOP;
END $$;
SELECT compare_spread() AS differs;
-- and the nodes compute their states, but for values that do not travel
CREATE FUNCTION is_split(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan #>> '{0,Plan,Partial Mode}' = 'Finalize';
END $$;
SELECT aggregate AS not_split FROM built_in
WHERE NOT is_split(format('SELECT %I(%s) FROM spread', proname, coalesce(nullif(columns, ''), '*')))
ORDER BY aggregate::text;

-- Transition functions of users: SQL, PL/pgSQL, in place of expanded arrays,
-- with a null for a state, of no arguments, of many.
CREATE FUNCTION add_square(state numeric, value numeric) RETURNS numeric
IMMUTABLE LANGUAGE sql RETURN state + value * value;
CREATE AGGREGATE sum_of_squares(numeric) (SFUNC = add_square, STYPE = numeric,
	COMBINEFUNC = numeric_add, INITCOND = '0');
CREATE FUNCTION items(anycompatiblearray) RETURNS int
IMMUTABLE LANGUAGE sql AS 'SELECT cardinality($1)';
CREATE AGGREGATE gather(anycompatible) (SFUNC = array_append, STYPE = anycompatiblearray,
	COMBINEFUNC = array_cat, FINALFUNC = items, INITCOND = '{}');
CREATE FUNCTION even_or_nothing(state int, value int) RETURNS int
IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE WHEN value % 2 = 0 THEN coalesce(state, 0) + value END;
END $$;
CREATE AGGREGATE evens(int) (SFUNC = even_or_nothing, STYPE = int, COMBINEFUNC = int4pl);
CREATE AGGREGATE rows(*) (SFUNC = int8inc, STYPE = int8, COMBINEFUNC = int8pl,
	FINALFUNC = int8out, INITCOND = '5');  -- 5 shows where it comes from
CREATE FUNCTION add_all(state text, VARIADIC value text[]) RETURNS text
IMMUTABLE LANGUAGE sql RETURN coalesce(state, '') || array_to_string(value, '+') || ';';
CREATE AGGREGATE all_of(VARIADIC text[]) (SFUNC = add_all, STYPE = text, COMBINEFUNC = textcat);
SELECT partial_value('partial_aggregate.sum_of_squares(numeric)', NULL::numeric, g)
FROM generate_series(1, 10::numeric) g;
SELECT g % 2 AS half, partial_value('partial_aggregate.gather(anycompatible)', NULL::int[], g ORDER BY g),
	partial_value('partial_aggregate.evens(int)', NULL::int, g)
FROM generate_series(1, 10) g GROUP BY half ORDER BY half;
SELECT cardinality(partial_value('partial_aggregate.gather(anycompatible)', NULL::text[], 'x' || g))
FROM generate_series(1, 10000) g;
SELECT partial_value('partial_aggregate.evens(int)', NULL::int, g) FROM unnest(ARRAY[1, 2, 4]) g;
SELECT partial_value('partial_aggregate.rows()', NULL::int8) FROM generate_series(1, 10) g;
SELECT partial_value('partial_aggregate.rows()', NULL::int8) FROM generate_series(1, 0) g;
SELECT partial_value('partial_aggregate.all_of(text[])', NULL::text, ARRAY[g::text, 'x']),
	partial_value('partial_aggregate.all_of(text[])', NULL::text, VARIADIC ARRAY[g::text, 'y'])
FROM generate_series(1, 3) g;

-- Rows may come in an order, once each, and by grouping sets; groups that do not
-- fit in memory are read again.
SELECT partial_value('partial_aggregate.gather(anycompatible)', NULL::int[], g % 4 ORDER BY g DESC) AS ordered,
	partial_value('partial_aggregate.gather(anycompatible)', NULL::int[], g % 4 ORDER BY g % 4) FILTER (WHERE g > 5) AS filtered
FROM generate_series(1, 10) g;
SELECT DISTINCT ON (a, b) a, b, partial_state('pg_catalog.sum(bigint)', g::int8) =
	partial_state('pg_catalog.avg(bigint)', g::int8) AS same
FROM (SELECT g, g % 2 AS a, g % 3 AS b FROM generate_series(1, 10) g) s
GROUP BY CUBE (a, b) ORDER BY a, b;
SET work_mem = '64kB';
SET enable_sort = off;
SELECT count(*), sum((state)[1]) AS rows, sum((state)[2])
FROM (SELECT partial_value('pg_catalog.avg(integer)', NULL::int8[], g) AS state
	  FROM generate_series(1, 20000) g GROUP BY g % 9000) s;
RESET enable_sort;
RESET work_mem;

-- The transition function gets the collation of the arguments.
CREATE FUNCTION note_collation(state text, value text) RETURNS text
IMMUTABLE LANGUAGE sql AS 'SELECT pg_collation_for($2)';
CREATE AGGREGATE collation_of(text) (SFUNC = note_collation, STYPE = text, COMBINEFUNC = textcat);
SELECT partial_value('partial_aggregate.collation_of(text)', NULL::text, v COLLATE "C") AS explicit,
	partial_value('partial_aggregate.collation_of(text)', NULL::text, w) AS of_column,
	partial_value('partial_aggregate.collation_of(text)', NULL::text, v) AS by_default
FROM (SELECT 'a', 'b' COLLATE "POSIX") s (v, w);

-- Wrong calls are errors of the caller.
\set VERBOSITY sqlstate
-- no name, no such name, no aggregate
SELECT partial_state(NULL, 1);
SELECT partial_state('', 1);
SELECT partial_state('sum', 1);
SELECT partial_state('-', 1);
SELECT partial_state('1', 1);
SELECT partial_state('pg_catalog.nosuch(bigint)', 1);
SELECT partial_state('nosuch.sum(bigint)', 1);
SELECT partial_state('pg_catalog.sum(nosuch)', 1);
SELECT partial_state('pg_catalog.abs(bigint)', 1);
SELECT partial_state(n, 1) FROM (SELECT 'pg_catalog.sum(bigint)' || g AS n FROM generate_series(1, 2) g) s;
-- they cannot be split
SELECT partial_state('pg_catalog.percentile_disc(float8, anyelement)', 1.0::float8, 1);
SELECT partial_state('pg_catalog.rank("any")', 1);
SELECT partial_state('pg_catalog.xmlagg(xml)', NULL::xml);
SELECT partial_state('pg_catalog.json_agg(anyelement)', 1);
-- the wrong one of the two
SELECT partial_state('pg_catalog.avg(integer)', 1);
SELECT partial_value('pg_catalog.sum(bigint)', NULL::bytea, 1::bigint);
-- other types, and other numbers of arguments
SELECT partial_state('pg_catalog.sum(bigint)', 1);
SELECT partial_state('pg_catalog.sum(bigint)', '1');
SELECT partial_state('pg_catalog.sum(bigint)', NULL);
SELECT partial_state('pg_catalog.sum(numeric)', 1::bigint);
SELECT partial_state('pg_catalog.sum(bigint)');
SELECT partial_state('pg_catalog.sum(bigint)', 1::bigint, 1::bigint);
SELECT partial_value('pg_catalog.max(text)', NULL::text, 1);
SELECT partial_value('pg_catalog.max(anyarray)', NULL::int[], 1);
SELECT partial_value('pg_catalog.max(anyarray)', NULL::text[], ARRAY[1]);
SELECT partial_value('pg_catalog.max(anyenum)', NULL::mood, 'sad');
SELECT partial_value('pg_catalog.avg(integer)', NULL::float8[], 1);
SELECT partial_value('pg_catalog.avg(integer)', NULL, 1);
-- they are no window functions
SELECT partial_state('pg_catalog.sum(bigint)', 1::bigint) OVER ();
-- an error of the transition function is what it was
SELECT partial_value('pg_catalog.sum(integer)', NULL::int8, 1 / (g - 2)) FROM generate_series(1, 3) g;
\set VERBOSITY default

-- Names are read as types do: binary coercible arguments are taken.
CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);
SELECT partial_value('pg_catalog.max(text)', NULL::text, v::varchar) AS varchar,
	partial_state('pg_catalog.sum(int8)', 3::positive) = partial_state('pg_catalog.sum(bigint)', 3::bigint) AS domain
FROM (VALUES ('a'), ('b')) s (v);

-- Who may not execute the aggregate, or what runs inside, may not here.
CREATE ROLE regress_partial;
GRANT USAGE ON SCHEMA partial_aggregate TO regress_partial;
\set VERBOSITY terse
SET ROLE regress_partial;
SELECT partial_value('partial_aggregate.sum_of_squares(numeric)', NULL::numeric, 3::numeric);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION sum_of_squares(numeric) FROM PUBLIC;
SET ROLE regress_partial;
SELECT partial_value('partial_aggregate.sum_of_squares(numeric)', NULL::numeric, 3::numeric);
RESET ROLE;
GRANT EXECUTE ON FUNCTION sum_of_squares(numeric) TO PUBLIC;
REVOKE EXECUTE ON FUNCTION add_square(numeric, numeric) FROM PUBLIC;
SET ROLE regress_partial;
SELECT partial_value('partial_aggregate.sum_of_squares(numeric)', NULL::numeric, 3::numeric);
RESET ROLE;
REVOKE USAGE ON SCHEMA partial_aggregate FROM regress_partial;
SET ROLE regress_partial;
SELECT tessera_internal.partial_value('partial_aggregate.evens(int)', NULL::int, 3);
RESET ROLE;
\set VERBOSITY default

DROP SCHEMA partial_aggregate CASCADE;
DROP ROLE regress_partial;
