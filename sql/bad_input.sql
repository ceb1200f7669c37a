-- wrong calls: each is an error with its own SQLSTATE and a hint, and leaves
-- nothing on any node
CREATE SCHEMA bad_input;
SET search_path = bad_input;
SET client_min_messages = warning;
\getenv host1 TESS_NODE1_HOST
\getenv port1 TESS_NODE1_PORT
\getenv db1 TESS_NODE1_DB

-- SQLSTATE and message; "no hint" where there is none.  All are kept, and
-- looked through at the end.
CREATE TABLE calls (command text, state text, message text, hint text);
CREATE FUNCTION refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
    message text;
    hint text;
BEGIN
    BEGIN
        EXECUTE command;
        RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = 'not refused';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    END;
    INSERT INTO calls VALUES (command, state, message, hint);
    RETURN concat_ws(' ', state, message, CASE WHEN hint = '' THEN '(no hint)' END);
END $$;
CREATE VIEW left_behind AS
SELECT sum(result::bigint) AS objects FROM tessera.run_on_nodes($$
    SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'bad\_input\_%')
        + (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('bad_input') AND relkind = 'r')
        + (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())$$)
WHERE node <> 'coordinator';
SELECT * FROM left_behind;

\t on
\pset format unaligned
-- NULL in every argument
CREATE TABLE plain (k int, v text, p point, s xml);
SELECT command || E'\n    ' || refused('SELECT ' || command) FROM unnest(ARRAY[
    $$tessera.add_node(NULL)$$,
    $$tessera.add_node('new', NULL)$$,
    $$tessera.add_node('new', 'localhost', NULL)$$,
    $$tessera.add_node('new', 'localhost', 1, NULL)$$,
    $$tessera.add_node('new', 'localhost', 1, 'db', NULL)$$,
    $$tessera.update_node(NULL)$$,
    $$tessera.remove_node(NULL)$$,
    $$tessera.run_on_nodes(NULL)$$,
    $$tessera.run_on_shards(NULL, 'SELECT 1')$$,
    $$tessera.run_on_shards('plain', NULL)$$,
    $$tessera.create_distributed_table(NULL, 'k')$$,
    $$tessera.create_distributed_table('plain', NULL)$$,
    $$tessera.create_distributed_table('plain', 'k', NULL)$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => NULL)$$,
    $$tessera.create_reference_table(NULL)$$,
    $$tessera.undistribute_table(NULL)$$,
    $$tessera.shard_of(NULL, 1)$$,
    $$tessera.take_over(NULL)$$]) command;
-- of which some are none
SELECT tessera.relation_size(NULL), tessera.total_relation_size(NULL);

-- nodes
SELECT what || E'\n    ' || replace(refused(command), :'host1', 'HOST') FROM (VALUES
    ('no name', $$SELECT tessera.add_node('', 'localhost')$$),
    ('64 bytes', $$SELECT tessera.add_node(repeat('ü', 32), 'localhost')$$),
    ('empty host', $$SELECT tessera.add_node('new', '')$$),
    ('empty database', $$SELECT tessera.add_node('new', 'localhost', 5432, '')$$),
    ('port 0', $$SELECT tessera.add_node('new', 'localhost', 0)$$),
    ('port 65536', $$SELECT tessera.add_node('new', 'localhost', 65536)$$),
    ('nobody there', $$SELECT tessera.add_node('new', 'localhost', 1)$$),
    ('no such host', $$SELECT tessera.add_node('new', 'no.such.host.invalid')$$),
    ('no such database', format($$SELECT tessera.add_node('new', %L, %s, 'no such database')$$, :'host1', :'port1')),
    ('same name', format($$SELECT tessera.add_node('node1', %L, %s, %L)$$, :'host1', :'port1', :'db1')),
    ('same address', format($$SELECT tessera.add_node('new', %L, %s, %L)$$, :'host1', :'port1', :'db1')),
    ('same database', format($$SELECT tessera.add_node('new', %L, %s, %L)$$, :'host1' || ',' || :'host1', :'port1', :'db1')),
    ('template', format($$SELECT tessera.add_node('new', %L, %s, 'template1')$$, :'host1', :'port1')),
    ('no server', $$SELECT tessera.add_node('new')$$),
    ('another wrapper', $$CREATE FOREIGN DATA WRAPPER regress_other; CREATE SERVER new FOREIGN DATA WRAPPER regress_other; SELECT tessera.add_node('new')$$),
    ('unknown node', $$SELECT tessera.update_node('none')$$),
    ('unknown node', $$SELECT tessera.remove_node('none')$$),
    ('moved to nowhere', $$SELECT tessera.update_node('node1', port => 1)$$),
    ('moved to another node', $$SELECT tessera.update_node('node1', port => n.port, dbname => n.dbname) FROM tessera.nodes n WHERE n.name = 'node2'$$),
    ('moved to no node', $$SELECT tessera.update_node('node1', dbname => 'postgres')$$),
    ('moved to port 0', $$SELECT tessera.update_node('node1', port => 0)$$),
    ('moved to no host', $$SELECT tessera.update_node('node1', host => '')$$),
    ('address of this server', $$SELECT tessera.update_node('coordinator', port => 5432)$$),
    ('address by hand', $$ALTER SERVER node1 OPTIONS (SET port '5432')$$),
    ('server dropped', $$DROP SERVER node1 CASCADE$$),
    ('server renamed', $$ALTER SERVER node1 RENAME TO node9$$),
    ('unknown option', $$CREATE SERVER new FOREIGN DATA WRAPPER tessera OPTIONS (hots 'x')$$),
    ('option of ours', $$CREATE SERVER new FOREIGN DATA WRAPPER tessera OPTIONS (options '-c geqo=off')$$),
    ('port of letters', $$CREATE SERVER new FOREIGN DATA WRAPPER tessera OPTIONS (port 'x')$$),
    ('password at a server', $$CREATE SERVER new FOREIGN DATA WRAPPER tessera OPTIONS (password 'x')$$),
    ('port of a user', $$CREATE USER MAPPING FOR PUBLIC SERVER node1 OPTIONS (port '1')$$),
    ('schema renamed', $$ALTER SCHEMA tessera RENAME TO other$$),
    ('schema dropped', $$DROP SCHEMA tessera CASCADE$$)) t (what, command);

-- tables, keys, numbers of shards, colocation
CREATE TABLE done (k int);
SELECT tessera.create_distributed_table('done', 'k', shard_count => 3);
CREATE TABLE everywhere (k int);
SELECT tessera.create_reference_table('everywhere');
SELECT * FROM left_behind \gset before_
SELECT command || E'\n    ' || refused('SELECT ' || command) FROM unnest(ARRAY[
    $$tessera.create_distributed_table(0, 'k')$$,
    $$tessera.create_distributed_table(1234567890, 'k')$$,
    $$tessera.create_reference_table(1234567890)$$,
    $$tessera.undistribute_table(1234567890)$$,
    $$tessera.relation_size(1234567890)$$,
    $$tessera.undistribute_table('plain')$$,
    $$tessera.undistribute_table('pg_class')$$,
    $$tessera.undistribute_table('left_behind')$$,
    $$tessera.run_on_shards('plain', 'SELECT 1')$$,
    $$tessera.shard_of('plain', 1)$$,
    $$tessera.shard_of('everywhere', 1)$$,
    $$tessera.shard_of('done', 'x')$$,
    $$tessera.create_distributed_table('plain', '')$$,
    $$tessera.create_distributed_table('plain', 'K')$$,
    $$tessera.create_distributed_table('plain', 'tableoid')$$,
    $$tessera.create_distributed_table('plain', 'p')$$,
    $$tessera.create_distributed_table('plain', 's')$$,
    $$tessera.create_distributed_table('plain', 'k', '')$$,
    $$tessera.create_distributed_table('plain', 'k', 'HASH')$$,
    $$tessera.create_distributed_table('plain', 'k', shard_count => 0)$$,
    $$tessera.create_distributed_table('plain', 'k', shard_count => -1)$$,
    $$tessera.create_distributed_table('plain', 'k', shard_count => 64001)$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => '')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => 'a.b.c')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => '1234567890')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => '"done')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => 'DONE.')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => 'none such')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => 'no_such_table')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => 'plain')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => 'left_behind')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => 'everywhere')$$,
    $$tessera.create_distributed_table('plain', 'v', colocate_with => 'done')$$,
    $$tessera.create_distributed_table('plain', 'k', colocate_with => 'done', shard_count => 4)$$,
    $$tessera.create_distributed_table('done', 'k')$$,
    $$tessera.create_reference_table('done')$$,
    $$tessera.create_distributed_table('everywhere', 'k')$$,
    $$tessera.create_reference_table('everywhere')$$,
    $$tessera.create_reference_table('left_behind')$$,
    $$tessera.create_reference_table('pg_class')$$]) command;

-- names of no table, of every function that takes one
CREATE SCHEMA bad_input_closed;
CREATE TABLE takes_table AS SELECT * FROM (VALUES
    ($$tessera.create_distributed_table(%s, 'k')$$),
    ($$tessera.create_distributed_table(relation => %s, key => 'k', shard_count => 4)$$),
    ($$tessera.create_reference_table(%s)$$),
    ($$tessera.undistribute_table(%s)$$),
    ($$tessera.run_on_shards(%s, 'SELECT 1')$$),
    ($$tessera.shard_of(%s, 1)$$),
    ($$tessera.shard_of(%s, 'x')$$),
    ($$tessera.relation_size(%s)$$),
    ($$tessera.total_relation_size(%s)$$)) t (call);
SELECT name || E'\n    ' || string_agg(DISTINCT refused('SELECT ' || format(call, quote_literal(name))), E'\n    ')
FROM takes_table, unnest(ARRAY['', ' ', '-', 'none', '"DONE"', '"done', 'done.', '.done', 'no such', 'no_schema.done',
    'bad_input_closed.done', current_database() || '.bad_input.nothing', 'a.b.c', 'a.b.c.d', '1234567890', '4294967295', '99999999999',
    'done; DROP TABLE done', repeat('x', 64)]) WITH ORDINALITY n (name, i)
GROUP BY i, name ORDER BY i;
SELECT DISTINCT left(refused('SELECT ' || format(call, quote_literal(repeat('ü', 5000)))), 25) FROM takes_table;
-- names in expressions: they are text, too
SELECT DISTINCT refused('SELECT ' || format(call, name)) FROM takes_table,
    unnest(ARRAY[$$'none'::name$$, $$'no' || 'ne'$$, $$'none'::varchar(9)$$]) name;

-- what is no ordinary table
CREATE TEMP TABLE temporary (k int);
CREATE UNLOGGED TABLE unlogged (k int);
CREATE VIEW a_view AS SELECT 1 AS k;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS k;
CREATE SEQUENCE a_sequence;
CREATE INDEX an_index ON plain (k);
CREATE TYPE a_type AS (k int);
CREATE FOREIGN DATA WRAPPER regress_bad_input;
CREATE SERVER regress_bad_input FOREIGN DATA WRAPPER regress_bad_input;
CREATE FOREIGN TABLE a_foreign (k int) SERVER regress_bad_input;
SELECT name || E'\n    ' || string_agg(DISTINCT refused('SELECT ' || format(call, quote_literal(name))), E'\n    ')
FROM takes_table, unnest(ARRAY['temporary', 'unlogged', 'a_view', 'a_matview', 'a_sequence', 'an_index', 'a_type',
    'a_foreign', 'pg_class', 'information_schema.tables', 'tessera.node']) WITH ORDINALITY n (name, i)
WHERE call NOT LIKE '%relation_size%'
GROUP BY i, name ORDER BY i;
DROP FOREIGN DATA WRAPPER regress_bad_input CASCADE;

-- tables of extensions, keys with OIDs inside, settings
SELECT command || E'\n    ' || refused(command) FROM unnest(ARRAY[
    $$ALTER EXTENSION plpgsql ADD TABLE plain; SELECT tessera.create_distributed_table('plain', 'k')$$,
    $$ALTER EXTENSION plpgsql ADD TABLE done$$,
    $$CREATE TABLE rights (k aclitem); SELECT tessera.create_distributed_table('rights', 'k')$$,
    $$CREATE TABLE classes (k regclass[]); SELECT tessera.create_distributed_table('classes', 'k')$$,
    $$SET tessera.shard_count = 0$$,
    $$SET tessera.shard_count = 64001$$,
    $$SET tessera.shard_cuont = 4$$,
    $$TRUNCATE ONLY done$$,
    $$DROP EXTENSION tessera CASCADE$$]) command;
SELECT objects - :before_objects AS left FROM left_behind;
\t off
\pset format aligned

-- a schema that has the name of a shard's is left alone
CREATE TABLE named (k int);
SELECT 'bad_input_' || last_value + 1 AS taken FROM tessera.shard_id_seq \gset
SELECT bool_and(success) FROM tessera.run_on_nodes(format('CREATE SCHEMA %I', :'taken'));
SELECT left(refused($$SELECT tessera.create_distributed_table('named', 'k', shard_count => 1, colocate_with => 'none')$$), 5);
SELECT bool_and(success) FROM tessera.run_on_nodes(format('DROP SCHEMA %I', :'taken'));

-- in a transaction that may not write, in one that has failed, in a query on the table itself
BEGIN READ ONLY;
\set VERBOSITY sqlstate
SAVEPOINT s;
SELECT tessera.create_reference_table('plain');
ROLLBACK TO s;
SELECT tessera.undistribute_table('done');
ROLLBACK TO s;
SELECT tessera.add_node('new', 'localhost', 1);
ROLLBACK TO s;
SELECT tessera.update_node('node1', zone => 'z');
ROLLBACK TO s;
SELECT tessera.remove_node('node1');
SELECT tessera.create_distributed_table('plain', 'k');
ROLLBACK;
INSERT INTO done SELECT generate_series(1, 10);
SELECT tessera.undistribute_table('done') FROM done;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM done;
FETCH c \g /dev/null
SELECT tessera.undistribute_table('done');
ROLLBACK;
\set VERBOSITY default
SELECT count(*) FROM done;

-- roles without rights
CREATE ROLE regress_nobody;
GRANT USAGE ON SCHEMA bad_input TO regress_nobody;
GRANT INSERT ON calls TO regress_nobody;
SET ROLE regress_nobody;
SELECT left(refused('SELECT ' || command), 5) AS state, command FROM unnest(ARRAY[
    $$tessera.bring_objects()$$,
    $$tessera.recover_transactions()$$,
    $$tessera.take_over()$$,
    $$count(*) FROM tessera.in_doubt$$,
    $$tessera.relation_size('bad_input_closed.t')$$,
    $$tessera.create_reference_table('bad_input_closed.t')$$,
    $$tessera.add_node('new', 'localhost')$$,
    $$tessera.update_node('node1')$$,
    $$tessera.remove_node('node1')$$,
    $$tessera.check_nodes()$$,
    $$tessera.run_on_nodes('SELECT 1')$$,
    $$tessera.run_on_shards('done', 'SELECT 1')$$,
    $$tessera.create_distributed_table('plain', 'k')$$,
    $$tessera.create_reference_table('plain')$$,
    $$tessera.undistribute_table('done')$$]) command;
RESET ROLE;
-- who looks, and who manages, without being a superuser
GRANT pg_monitor TO regress_nobody;
SET ROLE regress_nobody;
SELECT count(*) AS in_doubt FROM tessera.in_doubt;
SELECT count(*) > 0 AS checked FROM tessera.check_nodes();
SELECT left(refused('SELECT ' || command), 5) AS state, command FROM unnest(ARRAY[
    $$tessera.update_node('node1', zone => 'z')$$,
    $$tessera.recover_transactions()$$]) command;
RESET ROLE;
REVOKE pg_monitor FROM regress_nobody;
GRANT USAGE ON FOREIGN DATA WRAPPER tessera TO regress_nobody;
BEGIN;
SET ROLE regress_nobody;
SELECT tessera.update_node('node1', zone => 'z');
SELECT tessera.recover_transactions();
SELECT count(*) > 0 AS checked FROM tessera.check_nodes();
SELECT left(refused('SELECT ' || command), 5) AS state, command FROM unnest(ARRAY[
    $$tessera.update_node('node1', port => 1)$$,
    $$tessera.run_on_nodes('SELECT 1')$$,
    $$tessera.run_on_shards('done', 'SELECT 1')$$]) command;
ROLLBACK;
REVOKE USAGE ON FOREIGN DATA WRAPPER tessera FROM regress_nobody;

-- each of all these errors has a SQLSTATE of its own and a hint (SET is PostgreSQL's)
SELECT count(*) > 250 AS many FROM calls;
SELECT command, state, message FROM calls
WHERE (state ~ '^(XX|ZZ)' OR hint = '') AND command NOT LIKE 'SET %';


DROP SCHEMA bad_input, bad_input_closed CASCADE;
SELECT node, result FROM tessera.run_on_nodes($$SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'bad\_input\_%'$$) ORDER BY node;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP SCHEMA IF EXISTS bad_input CASCADE');
DROP ROLE regress_nobody;
SELECT bool_and(success) FROM tessera.run_on_nodes('DROP ROLE IF EXISTS regress_nobody');
