
# What transactions cost on the network: round trips in a row, counted by a proxy
# that delays every answer.  (046_round_trips.pl has more statements, by what the
# coordinator counts itself.)
use strict;
use warnings;
use TesseraCluster;
use Test::More;

# Longer than the coordinator takes to send to both nodes, on a busy machine.
use constant DELAY_MS => 200;

# The recovery has round trips of its own.
my $cluster = TesseraCluster->new(nodes => 2, network => 1, conf => "tessera.recover_interval = 0\n");
my $network = $cluster->network;
my $client = $cluster->client;

$cluster->query(q{
	CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL DEFAULT 0);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	CREATE TABLE s (k int, id bigserial, PRIMARY KEY (k, id));
	SELECT tessera.create_distributed_table('s', 'k', colocate_with => 't');
	INSERT INTO t SELECT i FROM generate_series(1, 100) i;});
$cluster->query(q{
	CREATE PROCEDURE twice(key int) LANGUAGE plpgsql AS
		'BEGIN UPDATE t SET v = v + 1 WHERE k = key; UPDATE t SET v = v + 1 WHERE k = key; END';
	SELECT tessera.create_distributed_function('twice', 'key', 't')});
my ($a, $b, $c) = map {
	$cluster->query("SELECT k FROM t WHERE (tessera.shard_of('t', k)).node = 'node$_->[0]' ORDER BY k OFFSET $_->[1] LIMIT 1")
} [ 1, 0 ], [ 1, 1 ], [ 2, 0 ];

# The session has its connections, and knows both nodes to be clean.
$client->ask("UPDATE t SET v = 0; SELECT count(*) FROM t");
$network->delay($_, DELAY_MS) for 1, 2;

sub costs
{
	my ($name, $expected, @statements) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$network->reset;
	unlike($client->ask($_), qr/ERROR/, "$name: $_") for @statements;
	return is($network->rounds, $expected, "$name: $expected");
}

my ($first, $second, $other) = map { "UPDATE t SET v = v + 1 WHERE k = $_" } $a, $b, $c;

costs('a write of one shard', 1, $first);
costs('a write of one shard that returns rows', 1, "$first RETURNING *");
costs('a read of one shard', 1, "SELECT v FROM t WHERE k = $a");
costs('a colocated join by the key', 1, "SELECT t.v, s.id FROM t LEFT JOIN s USING (k) WHERE t.k = $a");
costs('a DELETE', 1, "DELETE FROM t WHERE k = $a");
costs('an INSERT', 1, "INSERT INTO t VALUES ($a, 1)");
costs('an upsert that returns rows', 1, "INSERT INTO t VALUES ($a, 1) ON CONFLICT (k) DO UPDATE SET v = t.v + 1 RETURNING v");
costs('an INSERT of a number of a sequence, which it returns', 1, "INSERT INTO s (k) VALUES ($a) RETURNING id");
costs('a procedure of two statements', 1, "CALL twice($a)");
costs('a read of all shards', 1, 'SELECT sum(v) FROM t');
costs('a write of two nodes', 2, 'UPDATE t SET v = v + 1');
costs('a transaction of one node, three statements', 4, 'BEGIN', $first, $second, $first, 'COMMIT');
costs('a transaction of two nodes, three statements', 5, 'BEGIN', $first, $other, $second, 'COMMIT');
costs('a transaction of two nodes, one of which only reads', 3, 'BEGIN', $first, "SELECT v FROM t WHERE k = $c", 'COMMIT');

done_testing();
