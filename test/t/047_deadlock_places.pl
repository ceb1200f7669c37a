
# Deadlocks where they are harder to see: beside a node that is silent, with no connection
# free for who looks for them, of who waits for connections themselves, behind the lock
# between commits and snapshots, in two databases of one server at the same time.
# No timeout ends a wait here: a test that waits for one of ten minutes has failed.
use strict;
use warnings;
use Deadlocks;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(
	nodes => 3,
	network => 1,
	conf => "deadlock_timeout = 200ms\ntessera.connect_timeout = '10min'\ntessera.recover_interval = 0\n",
	node_conf => "deadlock_timeout = 200ms\n");
my $network = $cluster->network;
my $deadlocks = Deadlocks->new($cluster);

my $tables = q{
	CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
	SELECT tessera.create_distributed_table('account', 'id', shard_count => 6);
	INSERT INTO account SELECT i, 0 FROM generate_series(1, 100) i;
	CREATE TABLE here (id int PRIMARY KEY, value int);
	INSERT INTO here SELECT i, 0 FROM generate_series(1, 10) i;};
$cluster->query($tables);

# Ids of accounts by node, from 1.
sub ids
{
	my (%where) = @_;
	return map {
		[ split /\n/, $cluster->query("SELECT id FROM account
			WHERE (tessera.shard_of('account', id)).node = 'node$_' ORDER BY id", %where) ]
	} 1 .. 3;
}
my ($one, $two, $three) = ids();

sub take { return "UPDATE account SET balance = balance + 1 WHERE id = $_[0]"; }
sub take_here { return "UPDATE here SET value = value + 1 WHERE id = $_[0]"; }

# Waits until deadlocks have been looked for so many times more.
sub look
{
	my ($times) = @_;
	my $state = q{SELECT coalesce(max(state_change)::text, '') FROM pg_stat_activity
		WHERE backend_type = 'tessera deadlock search'};

	for (1 .. $times)
	{
		my $last = $cluster->query($state);
		$cluster->wait_for("SELECT ($state) NOT IN ('', '$last')");
	}
	return;
}

# What $wanted brings the sessions, each in its turn: exactly one is the victim, and
# the others have done it when it has rolled back.
sub one_victim
{
	my ($name, $clients, $wanted) = @_;
	my @victims;

	for my $i (0 .. $#$clients)
	{
		$clients->[$i]->send($wanted->[$i]);
		$deadlocks->waits($clients->[$i]) if $i < $#$clients;
	}
	$cluster->wait_for(sprintf q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE pid IN (%s) AND state = 'idle in transaction (aborted)'}, join ', ', map { $_->pid } @$clients);
	my %state = map { split /\|/ } split /\n/, $cluster->query(sprintf q{SELECT pid, state
		FROM pg_stat_activity WHERE pid IN (%s)}, join ', ', map { $_->pid } @$clients);
	my ($victim) = grep { $state{ $_->pid } =~ /aborted/ } @$clients;
	my $told = $victim->answer;

	like($told, qr/ERROR:  40P01: deadlock detected/, "$name: one is the victim");
	$victim->ask('ROLLBACK');
	my @others = grep { $_ != $victim } @$clients;
	# who gets what he waits for first is not said
	while (@others)
	{
		$cluster->wait_for(sprintf q{SELECT count(*) > 0 FROM pg_stat_activity
			WHERE pid IN (%s) AND state = 'idle in transaction'}, join ', ', map { $_->pid } @others);
		my $pid = $cluster->query(sprintf q{SELECT pid FROM pg_stat_activity
			WHERE pid IN (%s) AND state = 'idle in transaction' LIMIT 1}, join ', ', map { $_->pid } @others);
		my ($done) = grep { $_->pid == $pid } @others;
		is($done->answer, '', "$name: another goes on");
		$done->ask('COMMIT');
		@others = grep { $_ != $done } @others;
	}
	$_->finish for @$clients;
	return $told;
}

sub set_limit
{
	my ($limit) = @_;
	$cluster->query("ALTER SYSTEM SET tessera.max_node_connections = $limit");
	$cluster->query('SELECT pg_reload_conf()');
	$cluster->wait_for("SELECT current_setting('tessera.max_node_connections') = '$limit'");
	return;
}

# Two to ten sessions, with rows of two nodes and of this server in turn.
for my $size (2 .. 10)
{
	my @rows = map { $_ % 3 == 2 ? take_here($_) : take(($one, $two)[ $_ % 3 ][$_]) } 0 .. $size - 1;
	my @clients = $deadlocks->sessions(@rows);
	my $told = $deadlocks->all_but_last("$size, here and there", \@clients,
		[ map { $rows[ ($_ + 1) % $size ] } 0 .. $size - 1 ]);
	is(scalar(() = $told =~ /waits for/g), $size, 'all of them are named');
}

# A node that is silent, with somebody who waits for it.
{
	my $other = $cluster->client;
	$other->ask('BEGIN; ' . take($three->[0]));
	$network->silent(3);
	$other->send(take($three->[1]));
	$deadlocks->waits($other);
	for my $time ('at first', 'again')
	{
		my @clients = $deadlocks->sessions(take($one->[0]), take($two->[0]));
		$deadlocks->all_but_last("beside a silent node $time", \@clients, [ take($two->[0]), take($one->[0]) ]);
	}
	$network->pass(3);
	is($other->answer, '', 'who waited for it goes on');
	is($other->ask('COMMIT'), '', 'and commits');
	$other->finish;
}

# Who waits for the lock between commits and snapshots waits for nobody that could wait
# for him: nobody is a victim.
{
	my ($committing, $reading, $waiting) = $deadlocks->sessions(
		take($one->[0]) . ';' . take($two->[0]), take($one->[1]), take($two->[1]));
	$committing->ask("SET tessera.fault_points = 'xact_before_commit_prepared:lock:7'");
	my $lock = $cluster->client;
	$lock->ask('SELECT pg_advisory_lock(7)');
	$committing->send('COMMIT');
	$deadlocks->waits($committing);
	$reading->send('SELECT count(*) FROM account');
	$deadlocks->waits($reading);
	$waiting->send(take($one->[1]));
	$deadlocks->waits($waiting);
	look(3);
	$lock->ask('SELECT pg_advisory_unlock(7)');
	is($committing->answer, '', 'the commit goes on');
	is($reading->answer, '100', 'so does the snapshot');
	$reading->ask('COMMIT');
	is($waiting->answer, '', 'and who waited for its session');
	$_->ask('COMMIT'), $_->finish for $waiting;
	$_->finish for $committing, $reading, $lock;
}

# All connections that there may be are in the cycle: who looks for it gets one.
set_limit(2);
$deadlocks->all_but_last('no connection is free',
	[ $deadlocks->sessions(take($one->[0]) . ';' . take($two->[1]), take($two->[0]) . ';' . take($one->[1])) ],
	[ take($two->[0]), take($one->[0]) ]);

# Each has the last connection that the other one needs.
set_limit(1);
{
	my @clients = $deadlocks->sessions(take($one->[0]), take($two->[0]));
	my @pids = map { $_->pid } @clients;
	like($deadlocks->all_but_last('connections', \@clients, [ take($two->[1]), take($one->[1]) ]),
		qr/DETAIL:  Process $pids[1] waits for a connection to node "node1"; blocked by process $pids[0]\.
Process $pids[0] waits for a connection to node "node2"; blocked by process $pids[1]\./, 'with who waits for what');
}
# A lock here, and a connection.
$deadlocks->all_but_last('a connection and a row',
	[ $deadlocks->sessions(take($one->[0]), take_here(1)) ], [ take_here(1), take($one->[1]) ]);

# Caught, the transaction goes on.
{
	my ($old, $young) = $deadlocks->sessions(take($one->[0]), take($two->[0]));
	$old->send(take($two->[1]));
	$deadlocks->waits($old);
	like($young->ask(sprintf q{DO $$ BEGIN %s; EXCEPTION WHEN deadlock_detected THEN RAISE NOTICE 'caught'; END $$},
			take($one->[1])), qr/NOTICE:  00000: caught/, 'PL/pgSQL catches it');
	is($young->ask('COMMIT'), '', 'and the transaction goes on');
	is($old->answer, '', 'as does the other');
	$_->ask('COMMIT'), $_->finish for $old;
	$young->finish;
}

# One of those who have the connections can go on: no deadlock, until he waits, too.
set_limit(2);
{
	my @clients = $deadlocks->sessions(take($one->[0]) . ';' . take_here(1), take($two->[0]), take($two->[1]));
	$clients[1]->send(take($one->[0]));
	$deadlocks->waits($clients[1]);
	$clients[0]->send(take($two->[2]));
	$deadlocks->waits($clients[0]);
	look(3);
	$cluster->gives(sprintf(q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid IN (%d, %d)},
			map { $_->pid } @clients[ 0, 1 ]), '2', 'a connection may come free: no deadlock');
	is($clients[2]->ask('COMMIT'), '', 'and it does');
	is($clients[0]->answer, '', 'so one goes on');
	$clients[0]->ask('COMMIT');
	is($clients[1]->answer, '', 'then the other');
	$clients[1]->ask('COMMIT');
	$_->finish for @clients;
}
one_victim('all who have connections wait',
	[ $deadlocks->sessions(take($one->[0]) . ';' . take_here(1), take($two->[0]), take($two->[1])) ],
	[ take($two->[2]), take($one->[0]), take($one->[3]) ]);
set_limit(100);

# Two databases of one server, each with nodes of its own, which are databases of the same servers.
{
	$cluster->query('CREATE DATABASE other');
	for my $n (1 .. 3)
	{
		$cluster->node_query($n, 'CREATE DATABASE other');
	}
	my %other = (database => 'other');
	$cluster->query('CREATE EXTENSION tessera', %other);
	$cluster->query(sprintf("SELECT tessera.add_node('node$_', '127.0.0.1', %d, 'other')", $network->port($_)), %other) for 1 .. 3;
	$cluster->query($tables, %other);
	my @there = ids(%other);
	my $others = Deadlocks->new($cluster, 'other');
	my @clients = $deadlocks->sessions(take($one->[0]), take($two->[0]));
	my @other_clients = $others->sessions(take($there[0][0]), take($there[1][0]));

	$clients[0]->send(take($two->[0]));
	$other_clients[0]->send(take($there[1][0]));
	$deadlocks->waits($_) for $clients[0], $other_clients[0];
	$clients[1]->send(take($one->[0]));
	$other_clients[1]->send(take($there[0][0]));
	for my $two ([ 'one database', @clients ], [ 'another one', @other_clients ])
	{
		my ($name, $old, $young) = @$two;
		like($young->answer, qr/40P01: deadlock detected/, "$name: the youngest is the victim");
		$young->ask('ROLLBACK');
		is($old->answer, '', "$name: the other goes on");
		$old->ask('COMMIT');
		$_->finish for $old, $young;
	}
}

done_testing();
