-- what EXPLAIN says of fragments: in text, JSON, XML and YAML, with the plans of
-- nodes.  Shard ids are shown as N; nodes' plans are as simple as can be.
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA explain;
SET search_path = explain;
-- joins of what is fetched
SET tessera.ship_limit = 0;
SET client_min_messages = warning;
SET tessera.shard_count = 6;
CREATE FUNCTION explain(options text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF%s) %s', options, query) LOOP
		RETURN QUERY SELECT regexp_replace(part, '(explain_|shard |"Shard": |Shard: |<Shard>)\d+', '\1N', 'g')
			FROM string_to_table(line, E'\n') part;
	END LOOP;
END $$;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE t (k int PRIMARY KEY, v int, m mood);
SELECT tessera.create_distributed_table('t', 'k');
INSERT INTO t SELECT i, 1, 'glad' FROM generate_series(1, 60) i;
CREATE TABLE r (id int PRIMARY KEY, v int);
SELECT tessera.create_reference_table('r');
CREATE TABLE here (a int, b int);
INSERT INTO here VALUES (1, 1), (2, 2);

-- the same facts in all formats
SELECT explain('', 'SELECT v FROM t WHERE v > 1');
SELECT explain(', VERBOSE', 'SELECT v FROM t WHERE v > 1');
SELECT explain(', VERBOSE, FORMAT yaml', 'SELECT v FROM t WHERE k = 5');
SELECT explain(', VERBOSE, FORMAT json', 'SELECT v FROM t WHERE k = 5');
SELECT explain(', VERBOSE, FORMAT xml', 'SELECT v FROM t WHERE k = 5');

-- JSON can be read as such, wherever the fragment is in the plan
CREATE FUNCTION fragment(options text, query text, property text) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	SELECT string_agg(line, E'\n') INTO plan FROM explain(options || ', FORMAT json', query) line;
	RETURN QUERY SELECT node -> property FROM jsonb_path_query(replace(plan, ': N', ': 0')::jsonb,
		'strict $.** ? (@."Custom Plan Provider" starts with "Tessera")') WITH ORDINALITY found (node, n) ORDER BY n;
END $$;
SELECT fragment(', VERBOSE', 'SELECT * FROM here JOIN t ON here.a = t.v', 'Shards');
SELECT fragment(', VERBOSE', 'SELECT * FROM here JOIN t ON here.a = t.v', 'Shards of Group');
SELECT jsonb_path_query(fragment(', VERBOSE', 'SELECT * FROM here JOIN t ON here.a = t.v', 'Remote Plans'), '$[*].Plan."Schema"');
SELECT fragment('', 'SELECT * FROM here JOIN t ON here.a = t.v', 'Remote Plans');

-- one shard's plan, or those of all that are hit
SELECT count(*) FROM explain(', VERBOSE', 'SELECT v FROM t') line WHERE line ~ 'Remote Plan of shard';
SET tessera.explain_all_shards = on;
SELECT count(*) FROM explain(', VERBOSE', 'SELECT v FROM t') line WHERE line ~ 'Remote Plan of shard';
SELECT count(*) FROM explain(', VERBOSE', 'SELECT v FROM t WHERE k = 5') line WHERE line ~ 'Remote Plan of shard';
SELECT count(*) FROM explain(', VERBOSE', 'SELECT v FROM t WHERE k = 5 AND k = 6') line WHERE line ~ 'Remote Plan';
SELECT jsonb_array_length(fragment(', VERBOSE', 'SELECT v FROM t', 'Remote Plans'));
RESET tessera.explain_all_shards;

-- options reach the node
SELECT regexp_replace(line, '\(cost=\d.*\)', '(cost)') FROM explain(', VERBOSE, COSTS ON', 'SELECT v FROM t WHERE k = 5') line WHERE line ~ 'cost';
SELECT count(*) FROM explain(', VERBOSE, SETTINGS', 'SELECT v FROM t WHERE k = 5') line WHERE line ~ '  Settings: ';

-- what a fragment does; hidden columns have names
SELECT line FROM explain(', VERBOSE', 'UPDATE t SET v = 2 WHERE k = 5 RETURNING v + 1 AS w') line WHERE line ~ 'Operation|^ *Output: w';
SELECT line FROM explain('', 'DELETE FROM t WHERE v = 2') line WHERE line ~ 'Operation';
SELECT line FROM explain('', 'INSERT INTO t VALUES (100, 1)') line WHERE line ~ 'Operation';
SELECT line FROM explain('', 'DELETE FROM r') line WHERE line ~ 'Operation|Copies|Nodes';
SELECT DISTINCT ltrim(line) FROM explain(', VERBOSE', 'UPDATE t SET v = here.b FROM here WHERE here.a = t.k') line WHERE line ~ 'Operation|cmax|shard, ' ORDER BY 1;
SELECT fragment('', 'UPDATE t SET v = here.b FROM here WHERE here.a = t.k', 'Operation');

-- ANALYZE: what came; times only where they are asked for; nothing runs twice
SELECT explain(', ANALYZE, TIMING OFF, SUMMARY OFF', 'SELECT v FROM t');
SELECT ltrim(regexp_replace(line, '\d+\.\d+', 'N')) FROM explain(', ANALYZE, SUMMARY OFF', 'SELECT v FROM t') line WHERE line ~ ' Time: ';
SELECT fragment(', ANALYZE', 'SELECT v FROM t LIMIT 1', 'Remote Time')::float > 0;
SELECT fragment(', ANALYZE, TIMING OFF', 'SELECT v FROM t', 'Rows Received');
SELECT jsonb_typeof(fragment(', ANALYZE', 'SELECT v FROM t', 'Remote Time'));
SELECT line FROM explain(', ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF', 'UPDATE t SET v = v + 1 WHERE k = 5 RETURNING v') line WHERE line ~ 'actual|Received|Remote Plan';
SELECT v FROM t WHERE k = 5;
SELECT line FROM explain(', ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF', 'SELECT v FROM t WHERE v > 1 LIMIT 1') line WHERE line ~ 'Remote Plan';

-- a node plans with the values of parameters where there are some ...
PREPARE one (int, mood) AS SELECT v FROM t WHERE k = $1 AND m = $2;
SELECT line FROM explain(', VERBOSE', 'EXECUTE one (5, ''glad'')') line WHERE line ~ 'Filter|Shards';
SET plan_cache_mode = force_generic_plan;
SELECT line FROM explain(', VERBOSE', 'EXECUTE one (5, ''glad'')') line WHERE line ~ 'Filter|Shards';
RESET plan_cache_mode;
SELECT count(*) FROM explain(', VERBOSE', 'SELECT v FROM t WHERE v < extract(epoch FROM now())') line WHERE line ~ 'Filter: .*::numeric';
DO $$
DECLARE
	key int := 7;
	line text;
BEGIN
	FOR line IN EXPLAIN (VERBOSE, COSTS OFF) SELECT v FROM t WHERE v = key LOOP
		IF line ~ 'Filter' THEN RAISE WARNING '%', line; END IF;
	END LOOP;
END $$;

-- ... and for any value where only an execution would tell
SELECT line FROM explain(', VERBOSE', 'SELECT * FROM here, LATERAL (SELECT v FROM t WHERE t.v = here.a OFFSET 0) x') line WHERE line ~ 'Filter';
SELECT line FROM explain(', VERBOSE', 'SELECT v FROM t WHERE v = (SELECT max(a) FROM here)') line WHERE line ~ 'Filter';
CREATE TABLE moods (m mood);
SELECT line FROM explain(', VERBOSE', 'SELECT v FROM t WHERE m = (SELECT max(m) FROM moods)') line WHERE line ~ 'Filter';
SELECT line FROM explain(', VERBOSE, ANALYZE, TIMING OFF, SUMMARY OFF', 'SELECT v FROM t WHERE v = (SELECT max(a) FROM here)') line WHERE line ~ 'Filter';

-- the node is asked as who reads there
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN
	LOCK pg_authid;
	IF to_regrole(''regress_reader'') IS NULL THEN CREATE ROLE regress_reader LOGIN; END IF;
	CREATE SCHEMA IF NOT EXISTS explain;
END'$$) WHERE NOT success;
CREATE VIEW seen AS SELECT v FROM t WHERE v > 1;
GRANT USAGE ON SCHEMA explain TO regress_reader;
GRANT SELECT ON seen TO regress_reader;
SET ROLE regress_reader;
SELECT line FROM explain(', VERBOSE', 'SELECT * FROM seen') line WHERE line ~ 'Filter';
\set VERBOSITY sqlstate
SELECT explain(', VERBOSE', 'SELECT v FROM t');
SELECT explain(', VERBOSE', 'UPDATE t SET v = 1');
\set VERBOSITY default
RESET ROLE;

-- rows that are under way are not lost
DO $$
DECLARE
	row record;
	line text;
	plans int := 0;
	rows int := 0;
BEGIN
	FOR row IN SELECT k FROM t LOOP
		rows := rows + 1;
		CONTINUE WHEN rows > 1;
		FOR line IN EXPLAIN (VERBOSE) SELECT v FROM t LOOP
			plans := plans + (line ~ 'Remote Plan')::int;
		END LOOP;
	END LOOP;
	RAISE WARNING '% rows, % plan', rows, plans;
END $$;

-- what a node is asked executes nothing and explains one statement
SELECT tessera_internal.generic_plan('EXPLAIN (COSTS OFF) SELECT $1 + 1', '{23}');
SELECT tessera_internal.generic_plan('EXPLAIN (COSTS OFF) SELECT $1::text', '{0}');
\set VERBOSITY sqlstate
SELECT tessera_internal.generic_plan('EXPLAIN ANALYZE SELECT 1', '{}');
SELECT tessera_internal.generic_plan('SELECT 1', '{}');
SELECT tessera_internal.generic_plan('EXPLAIN SELECT 1; DROP TABLE explain.here', '{}');
SELECT tessera_internal.generic_plan('EXPLAIN SELECT $1', '{NULL}');
\set VERBOSITY default

SET client_min_messages = error;
DROP SCHEMA explain CASCADE;
SELECT count(*) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS explain CASCADE') WHERE NOT success;
SELECT count(*) FROM tessera.run_on_nodes($$DO 'BEGIN SET LOCAL client_min_messages = error; LOCK pg_authid; DROP ROLE IF EXISTS regress_reader; END'$$) WHERE NOT success;
