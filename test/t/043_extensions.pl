
# What members of extensions nodes know, when nodes come and go.  The extension
# is plpgsql, which every database has; a function is added to it.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 3, add => 0);
$cluster->add_node($_) for 1 .. 2;

# Where the function is evaluated in a plan.
my $explain = 'EXPLAIN (FORMAT json, COSTS OFF)';
my $statement = 'SELECT k FROM t WHERE public.known_twice(n) = 6';

sub is_there
{
	my ($plan, $name) = @_;
	return unlike($plan, qr/"Filter"/, $name);
}

sub is_here
{
	my ($plan, $name) = @_;
	return like($plan, qr/"Filter"/, $name);
}

my @member = (
	'SET tessera.propagate_objects = off',
	q{CREATE FUNCTION public.known_twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 2; END'},
	'ALTER EXTENSION plpgsql ADD FUNCTION public.known_twice(int)');
foreach my $server ($cluster->coordinator, $cluster->node(1), $cluster->node(2))
{
	$server->query(join(';', @member));
}
$cluster->query(q{CREATE TABLE t (k int, n int);
	SELECT tessera.create_distributed_table('t', 'k');
	INSERT INTO t SELECT g, g FROM generate_series(1, 50) g});
is_there($cluster->query("$explain $statement"), 'all nodes have the function');
$cluster->gives($statement, '3', 'and they use it');

# a node without it
my $third = $cluster->node(3);
my $add = sprintf "SELECT tessera.add_node('node3', '%s', %d, 'shop')", $third->loopback, $third->port;
is_here($cluster->query("PREPARE p AS $statement; SET plan_cache_mode = force_generic_plan; EXECUTE p; "
	  . "$add; $explain EXECUTE p"), 'a node was added that does not: a plan that was kept is made again');
$cluster->gives($statement, '3', 'the answer is the same');
$third->query(join(';', @member));
is_there($cluster->query("$explain $statement"), 'now it does too');

# a node that is down
my $key = $cluster->query(q{SELECT g FROM generate_series(1, 50) g
	WHERE (SELECT node FROM tessera.shard_of('t', g)) = 'node1' ORDER BY g LIMIT 1});
$third->stop;
is_here($cluster->query("$explain $statement"), 'a node that is down knows nothing');
$cluster->gives("SELECT n FROM t WHERE k = $key AND public.known_twice(n) = n * 2", $key,
	'and is not needed by a statement for another one');
$cluster->refused('BEGIN; SELECT count(*) FROM t WHERE k = ' . "$key AND public.known_twice(n) = n * 2; SELECT 1/0",
	'22012', qr/division by zero/, 'nor is the transaction touched by having asked');

done_testing();
