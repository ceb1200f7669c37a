
# Objects of users, when nodes come, are down, or have other things; and a dump.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 3, add => 0);
my $third = $cluster->node(3);

# made before there is any node
$cluster->query(q{
	CREATE SCHEMA app;
	CREATE TYPE app.mood AS ENUM ('sad', 'ok');
	CREATE FUNCTION app.twice(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN n * 2; END';
	CREATE FUNCTION app.add_up(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN coalesce($1, 0) + coalesce($2, 0); END';
	CREATE AGGREGATE app.total(int) (SFUNC = app.add_up, STYPE = int, COMBINEFUNC = app.add_up);
	CREATE OPERATOR app.~> (FUNCTION = int4gt, LEFTARG = int, RIGHTARG = int)});
$cluster->gives('SELECT count(*) FROM tessera.object', 0, 'without nodes nobody holds anything');
$cluster->add_node($_) for 1 .. 2;
$cluster->gives('SELECT type, identity FROM tessera.object ORDER BY 1, 2', join("\n", 
		'aggregate|app.total(integer)', 'function|app.add_up(integer,integer)', 'function|app.twice(integer)',
		'operator|app.~>(integer,integer)', 'schema|app', 'type|app.mood'), 'the first node gets what was there');

my $statement = 'SELECT sum(k), app.total(app.twice(n)) FROM t WHERE app.twice(n) OPERATOR(app.~>) 6';
my $explain = 'EXPLAIN (FORMAT json, COSTS OFF)';
$cluster->query(q{CREATE TABLE t (k int, n int);
	SELECT tessera.create_distributed_table('t', 'k');
	INSERT INTO t SELECT g, g FROM generate_series(1, 50) g});
like($cluster->query("$explain $statement"), qr/"Partial Mode": "Finalize"/, 'and it is used there');
$cluster->gives($statement, '1269|2538', 'with the right result');

# a node that joins gets all of it
$cluster->add_node(3);
is($third->query('SELECT app.total(app.twice(n)) FROM generate_series(1, 3) n'), 12, 'a new node has the functions');
$cluster->gives($statement, '1269|2538', 'and nothing is wrong');

# a node that is down
$third->stop;
$cluster->query(q{CREATE FUNCTION app.later(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'});
$cluster->gives(q{SELECT count(*) FROM tessera.object WHERE identity ~ 'later'}, 0, 'what a node could not get is not held');
$cluster->gives('SELECT app.later(1)', 1, 'but it is here');
$cluster->refused(q{CREATE OR REPLACE FUNCTION app.twice(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN n * 3; END'},
	'08001', qr/node3/, 'a function that nodes hold is not replaced while one is down');
$cluster->gives('SELECT app.twice(1)', 2, 'it is as it was');
$cluster->refused('DROP FUNCTION app.twice(int)', '08001', qr/node3/, 'nor dropped');
$third->start;
$cluster->gives('SELECT tessera.bring_objects()', 1, 'what was missing is brought when it is up again');
is($third->query('SELECT app.later(1)'), 1, 'and is there');

# what was changed on a node is shown
$cluster->gives(q{SELECT node, problem FROM tessera.check_nodes() WHERE problem IS NOT NULL}, '', 'all nodes are sound');
$third->query(q{CREATE OR REPLACE FUNCTION app.later(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 9; END'});
$cluster->gives(q{SELECT node, problem FROM tessera.check_nodes() WHERE problem IS NOT NULL},
	'node3|function app.later(integer) is another one there', 'a function that was replaced on a node is shown');

# everything goes
$cluster->query('SET client_min_messages = warning; DROP SCHEMA app CASCADE');
$cluster->gives('SELECT count(*) FROM tessera.object', 0, 'nothing is held');
is($third->query(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'app'}), 0, 'nothing is left on a node');

done_testing();
