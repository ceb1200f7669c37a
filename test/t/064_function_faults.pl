
# A node is lost while it runs a function of a shard: the call fails, outside a
# transaction and in one, nothing of it or of the transaction is done, and the session
# goes on when the node is back.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(usleep);

my $cluster = TesseraCluster->new(nodes => 2);
my $node = $cluster->node(1);
my $client = $cluster->client;

# It waits at the node for who holds the lock there.
$cluster->query(q{CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;
	CREATE PROCEDURE bump(key int) LANGUAGE plpgsql AS $$
	BEGIN
		UPDATE t SET v = v + 1 WHERE k = key;
		PERFORM pg_advisory_xact_lock_shared(1);
	END $$;
	CREATE FUNCTION look(key int) RETURNS SETOF int LANGUAGE plpgsql AS $$
	BEGIN
		RETURN NEXT 1;
		PERFORM pg_advisory_xact_lock_shared(1);
		RETURN QUERY SELECT v FROM t WHERE k = key;
	END $$;
	SELECT tessera.create_distributed_function(f, 'key', 't') FROM unnest('{bump,look}'::text[]) f;});
my @k = map { $cluster->query("SELECT min(k) FROM t WHERE (tessera.shard_of('t', k)).node = 'node$_'") } 1, 2;

# Runs fault while the statement waits at node 1; its answer.
sub fault_in
{
	my ($statement, $fault) = @_;
	my $holder = TesseraClient->new($node->connstr($TesseraCluster::DATABASE));

	$holder->ask('SELECT pg_advisory_lock(1)');
	$client->send($statement);
	$node->poll_query_until($TesseraCluster::DATABASE,
		q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	$fault->();
	eval { $holder->finish };
	return $client->answer;
}

sub kill_node
{
	$node->kill9;
	for (1 .. 500)
	{
		return if $node->start(fail_ok => 1);
		$node->{_pid} = undef;    # that of the file that was left
		usleep(20_000);
	}
	die 'a server that was killed does not start';
}

# The session of the coordinator, which waits there.
sub end_session
{
	$node->query(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	return;
}

my %fault = ('the node is killed' => \&kill_node, 'the session at the node is ended' => \&end_session);
my $lost = qr/ERROR:  (08\w\w\w|57P01): /;
for my $name (sort keys %fault)
{
	my $fault = $fault{$name};

	like(fault_in("CALL bump($k[0])", $fault), $lost, "$name: a call fails");
	is($client->ask("SELECT v FROM t WHERE k = $k[0]"), '0', 'and has done nothing');
	like(fault_in("SELECT look($k[0])", $fault), $lost, "$name: rows of a function are not given in part");

	$client->ask("BEGIN;\nUPDATE t SET v = v + 1 WHERE k = $k[1];\nCALL bump($k[1])");
	like(fault_in("CALL bump($k[0])", $fault), $lost, "$name: a call in a transaction fails");
	like($client->ask('COMMIT'), qr/^(ROLLBACK)?$/, 'which is rolled back');
	$cluster->gives('SELECT count(*), sum(v) FROM t', '100|0', 'and has done nothing on any node');

	is($client->ask("CALL bump($k[0]);\nSELECT v FROM t WHERE k = $k[0]"), '1', 'the session goes on');
	$client->ask("UPDATE t SET v = 0 WHERE k = $k[0]");
}

done_testing();
