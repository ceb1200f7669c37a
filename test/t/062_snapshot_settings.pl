
# What tessera.snapshot gives, shown by a transfer that commits between the reads of two
# nodes: a sum is whole, or has the transfer on one node only.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
$cluster->query(q{
	CREATE TABLE accounts (id int PRIMARY KEY, balance int);
	CREATE TABLE gate (id int PRIMARY KEY);
	SELECT tessera.create_distributed_table('accounts', 'id', shard_count => 2);
	SELECT tessera.create_distributed_table('gate', 'id', colocate_with => 'accounts');
	INSERT INTO accounts SELECT i, 10 FROM generate_series(1, 20) i;
	INSERT INTO gate SELECT i FROM generate_series(1, 20) i});
my ($a, $b) = map {
	$cluster->query("SELECT min(id) FROM accounts WHERE (tessera.shard_of('accounts', id)).node = 'node$_'")
} 1, 2;
my $transfer = "BEGIN; UPDATE accounts SET balance = balance - 1 WHERE id = $a; UPDATE accounts SET balance = balance + 1 WHERE id = $b; COMMIT";

sub node_waits
{
	my ($n, $sql) = @_;
	return $cluster->node($n)->poll_query_until($TesseraCluster::DATABASE, $sql)
	  || die "never became true on node $n: $sql";
}

# A statement of two nodes. Node 2 is made to wait before it reads, and before a snapshot of its own.
sub statement_sum
{
	my ($setting) = @_;
	my $reader = $cluster->client;
	my $waits = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'tessera'
		AND wait_event_type = 'Lock' AND query ~ 'gate'};

	$reader->ask("SET tessera.snapshot = '$setting'; SELECT count(*) FROM accounts");
	$cluster->lock_node(2, 'gate', 'ACCESS EXCLUSIVE');
	$reader->send('SELECT sum(balance) FROM accounts JOIN gate USING (id)');
	node_waits(2, $waits);
	# the coordinator reads both at once: node 1 has answered
	node_waits(1, q{SELECT count(*) > 0 AND bool_and(state LIKE 'idle%') FROM pg_stat_activity
		WHERE application_name = 'tessera' AND query ~ 'gate'});
	$cluster->query($transfer);
	$cluster->unlock_node(2);
	my $sum = $reader->answer;
	$reader->finish;
	return $sum;
}

# Two statements of a transaction, of one node each.
sub transaction_sum
{
	my ($setting) = @_;
	my $reader = $cluster->client;
	my $balance = 'SELECT balance FROM accounts WHERE id =';

	my $first = $reader->ask("SET tessera.snapshot = '$setting'; BEGIN ISOLATION LEVEL REPEATABLE READ; $balance $a");
	$cluster->query($transfer);
	my $second = $reader->ask("$balance $b; COMMIT");
	my $now = $cluster->query("SELECT sum(balance) FROM accounts WHERE id IN ($a, $b)");
	$reader->finish;
	return $first + $second - $now;
}

is(statement_sum('all'), '200', 'all: a statement reads one snapshot');
is(statement_sum('repeatable_read'), '201', 'repeatable_read: a statement does not');
is(statement_sum('off'), '201', 'off: a statement does not');
is(transaction_sum('all'), '0', 'all: a transaction reads one snapshot');
is(transaction_sum('repeatable_read'), '0', 'repeatable_read: a transaction does, too');
is(transaction_sum('off'), '1', 'off: a transaction does not');

done_testing();
