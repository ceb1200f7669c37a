
# Two clusters on the same node servers, in databases of their own: each recovers
# what it has left there, and leaves what the other one has, and what is nobody's.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

# allow in server logs: was terminated by signal 9
my $conf = "restart_after_crash = on\ntessera.recover_interval = 0\n";
my $cluster = TesseraCluster->new(nodes => 2, conf => $conf);
my @coordinators = ($cluster->coordinator, TesseraServer->make('other', $conf));
my @databases = ($TesseraCluster::DATABASE, 'other');

$coordinators[1]->query('CREATE EXTENSION tessera');
for my $n (1, 2)
{
	my $node = $cluster->node($n);

	$cluster->node_query($n, 'CREATE DATABASE other');
	$coordinators[1]->query(sprintf "SELECT tessera.add_node('node$n', '%s', %d, 'other')", $node->loopback, $node->port);
}

# The same table in both, and a transfer that stops at a point for good.
my @transfers;
for my $coordinator (@coordinators)
{
	$coordinator->query(q{CREATE TABLE account (id int PRIMARY KEY, balance int);
		SELECT tessera.create_distributed_table('account', 'id', shard_count => 4);
		INSERT INTO account SELECT i, 100 FROM generate_series(1, 100) i});
	my ($from, $to) = map {
		$coordinator->query("SELECT min(id) FROM account WHERE (tessera.shard_of('account', id)).node = 'node$_'")
	} 1, 2;
	push @transfers, "BEGIN; UPDATE account SET balance = balance - 1 WHERE id = $from; "
	  . "UPDATE account SET balance = balance + 1 WHERE id = $to; COMMIT";
}

sub leave_in_doubt
{
	my ($which, $point) = @_;
	my $coordinator = $coordinators[$which];

	TesseraClient->new($coordinator->connstr($TesseraCluster::DATABASE))
	  ->ask("SET tessera.fault_points = '$point:kill'; $transfers[$which]");
	return $coordinator->poll_query_until($TesseraCluster::DATABASE, 'SELECT true');
}

# How many are prepared on both nodes, in each database.
sub prepared
{
	return join ' ', map {
		my $database = $_;
		join '', map { $cluster->node_query($_, "SELECT count(*) FROM pg_prepared_xacts WHERE database = '$database'") } 1, 2;
	} @databases;
}

sub moved
{
	my ($which) = @_;
	return $coordinators[$which]->query('SELECT sum(balance), count(*) FILTER (WHERE balance <> 100) FROM account');
}

sub recover { return $coordinators[ $_[0] ]->query('SELECT tessera.recover_transactions()'); }

# One of them has decided, the other one has not.
for my $decided (0, 1)
{
	leave_in_doubt($decided, 'xact_before_commit_prepared');
	leave_in_doubt(1 - $decided, 'xact_after_prepare');
	is(prepared(), '11 11', 'both have left something');
	is($coordinators[$decided]->query('SELECT node, decision FROM tessera.in_doubt ORDER BY node'),
		"node1|commit\nnode2|commit", 'each sees its own only');
	is(recover($decided), '2', 'one of them recovers');
	is(prepared(), $decided == 0 ? '00 11' : '11 00', 'and leaves what is not its own');
	is(moved($decided), '10000|2', 'what was decided is there');
	is(recover($decided), '0', 'nothing more is its own');
	is(recover(1 - $decided), '2', 'so does the other one');
	is(prepared(), '00 00', 'nothing is left');
	is(moved(1 - $decided), $decided == 0 ? '10000|0' : '10000|2', 'what was not decided is not there');
}

done_testing();
