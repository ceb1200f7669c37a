
# Money goes from an account on one node to one on another, and something is killed
# or cut at each step of the commit: the session, this server, a node, connections.
# Afterwards no money is lost, what was acknowledged is on both sides, nothing is in
# doubt, and the session goes on where PostgreSQL's would.
# Takes a minute: servers restart in most of the cases.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(usleep);

my $cluster = TesseraCluster->new(
	nodes => 2,
	network => 1,
	conf => "restart_after_crash = on\ntessera.recover_interval = 1s\n");
my $coordinator = $cluster->coordinator;
my $network = $cluster->network;

$cluster->query(q{CREATE TABLE account (id int PRIMARY KEY, balance int);
	SELECT tessera.create_distributed_table('account', 'id', shard_count => 4);
	INSERT INTO account SELECT i, 1000 FROM generate_series(1, 100) i;
	CREATE TABLE once (id int, v int);
	SELECT tessera.create_distributed_table('once', 'id', colocate_with => 'account');
	SELECT count(*) FROM tessera.run_on_shards('once',
		'ALTER TABLE %s ADD UNIQUE (id, v) DEFERRABLE INITIALLY DEFERRED')});
my ($from, $to) = map {
	$cluster->query("SELECT min(id) FROM account WHERE (tessera.shard_of('account', id)).node = 'node$_'")
} 1, 2;
my $transfer = "BEGIN;\nUPDATE account SET balance = balance - 1 WHERE id = $from;\n"
  . "UPDATE account SET balance = balance + 1 WHERE id = $to;\nCOMMIT;";
my $moved = 0;

sub faults
{
	my ($points) = @_;
	$cluster->query("ALTER SYSTEM SET tessera.fault_points = '$points'");
	return $cluster->query('SELECT pg_reload_conf()');
}

# A client that waits at the point in its COMMIT: when the decision is made, if it is
# made before the point.
sub client_at
{
	my ($point, $decided) = @_;
	my $records = $cluster->query('SELECT count(*) FROM tessera.commit_record');

	faults("$point:wait");
	my $client = $cluster->client;
	$client->send($transfer);
	$cluster->wait_for("SELECT count(*) > $records FROM tessera.commit_record") if $decided;
	$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE pid = } . $client->pid . q{ AND query LIKE 'COMMIT%' AND wait_event_type = 'Extension'});
	return $client;
}

# SIGKILL of a server, which starts again after what is to be done meanwhile. Its
# sessions notice that it is gone, and have to be gone before.
sub killed
{
	my ($server, $meanwhile) = @_;

	$server->kill9;
	$meanwhile->() if $meanwhile;
	for (1 .. 500)
	{
		return if $server->start(fail_ok => 1);
		$server->{_pid} = undef;    # that of the file that was left
		usleep(20_000);
	}
	die 'a server that was killed does not start';
}

# What has to be true when all servers are there again.
sub whole
{
	my ($name, $commits) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$moved += $commits;
	$cluster->wait_for('SELECT true');
	$cluster->gives(
		"SELECT sum(balance), 1000 - min(balance) FILTER (WHERE id = $from),"
		  . " min(balance) FILTER (WHERE id = $to) - 1000 FROM account",
		"100000|$moved|$moved", "$name: the money is on both sides or on none");
	for my $n (1, 2)
	{
		ok( $cluster->node($n)->poll_query_until($TesseraCluster::DATABASE,
				'SELECT count(*) = 0 FROM pg_prepared_xacts'),
			"$name: nothing stays prepared on node $n");
	}
	return;
}

# The client of a fault that left its session alone: 1 if COMMIT succeeded.
sub told
{
	my ($client, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $client->answer;
	my $failed = $answer =~ /ERROR:  0800[16]:/;

	unlike($answer, qr/ERROR|FATAL/, "$name: COMMIT succeeds") if !$failed;
	like($client->ask("ROLLBACK; SELECT 'alive'"), qr/alive$/, "$name: the session lives on");
	return $failed ? 0 : 1;
}

# point => whether the decision is made before it
my @points = (
	[ xact_before_prepare => 0 ],
	[ xact_between_prepare => 0 ],
	[ xact_after_prepare => 0 ],
	[ xact_after_record => 0 ],
	[ xact_before_commit_prepared => 1 ],
	[ xact_between_commit_prepared => 1 ],
	[ xact_after_commit_prepared => 1 ]);

for (@points)
{
	my ($point, $decided) = @$_;
	my $commits;
	my $client;

	# SIGKILL of the session, whose server then starts anew by itself
	$cluster->client->ask("SET tessera.fault_points = '$point:kill';\n$transfer");
	whole("session killed at $point", $decided);

	$client = client_at($point, $decided);
	$cluster->query('ALTER SYSTEM RESET tessera.fault_points');
	killed($coordinator);
	whole("coordinator killed at $point", $decided);

	for my $n ($ENV{TESS_SOAK} ? (1, 2) : 2)
	{
		$client = client_at($point, $decided);
		killed($cluster->node($n), sub { faults('');
			$commits = told($client, "node $n killed at $point") });
		cmp_ok($commits, '>=', $decided, 'what is decided is done');
		whole("node $n killed at $point", $commits);
	}

	for my $cut ($ENV{TESS_SOAK} ? ([1], [2], [ 1, 2 ]) : [ 1, 2 ])
	{
		$client = client_at($point, $decided);
		$network->cut($_) for @$cut;
		faults('');
		$commits = told($client, "connections to @$cut cut at $point");
		cmp_ok($commits, '>=', $decided, 'what is decided is done');
		whole("connections to @$cut cut at $point", $commits);
	}
}

# The same for a statement that is the transaction: PREPARE leaves with it.
my $at_once = "UPDATE account SET balance = balance + CASE id WHEN $from THEN -1 ELSE 1 END WHERE id IN ($from, $to);";
for (grep { $_->[0] ne 'xact_between_prepare' } @points)
{
	my ($point, $decided) = @$_;

	next if !$ENV{TESS_SOAK} && $point !~ /^xact_(before_prepare|after_prepare|before_commit_prepared)$/;
	$cluster->client->ask("SET tessera.fault_points = '$point:kill';\n$at_once");
	whole("session of one statement killed at $point", $decided);
}
for my $what ([ PREPARE => 'cut', 0 ], [ PREPARE => 'cut_after', 0 ])
{
	my ($command, $action, $commits) = @$what;
	my $client = $cluster->client;

	$client->ask('SELECT count(*) FROM account');
	$network->when(2, qr/$command/, $action);
	$client->send($at_once);
	is(told($client, "one statement, $command, $action"), $commits, "one statement, $command, $action: as decided");
	whole("one statement, $command, $action", $commits);
}

# A connection that is cut while a statement is on its way to one node.
for my $what ([ PREPARE => 'cut', 0 ], [ PREPARE => 'cut_after', 0 ],
	[ 'COMMIT PREPARED' => 'cut', 1 ], [ 'COMMIT PREPARED' => 'cut_after', 1 ])
{
	my ($command, $action, $commits) = @$what;
	my $client = $cluster->client;

	$client->ask('SELECT count(*) FROM account');
	$network->when(2, qr/$command/, $action);
	$client->send($transfer);
	is(told($client, "$command, $action"), $commits, "$command, $action: as decided");
	whole("$command, $action", $commits);
}

# Who notifies holds up everybody who does: he does not wait for a node that is known to
# be silent, however long commit_wait is.
{
	my @holders = map { $cluster->client } 1, 2;
	my @clients = map { $cluster->client } 1, 2;
	my @wait = ('50ms', '10min');

	$cluster->query('ALTER SYSTEM SET tessera.recover_interval = 0');
	$cluster->query('SELECT pg_reload_conf()');
	for my $i (0, 1)
	{
		$holders[$i]->ask("SELECT pg_advisory_lock($i + 1)");
		$clients[$i]->send("SET tessera.fault_points = 'xact_after_record:lock:" . ($i + 1) . "';\n"
			  . "SET tessera.commit_wait = '$wait[$i]';\nBEGIN;\n" . ($i ? "NOTIFY moved;\n" : '')
			  . "UPDATE account SET balance = balance WHERE id " . ($i ? 'NOT' : '') . " IN ($from, $to);\nCOMMIT;");
		$cluster->wait_for('SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND pid = ' . $clients[$i]->pid);
	}
	$network->silent(2);
	for my $i (0, 1)
	{
		$holders[$i]->ask('SELECT pg_advisory_unlock_all()');
		like($clients[$i]->answer, qr/WARNING: .*node "node2" has not confirmed/,
			$i ? 'but not for who notifies' : 'a silent node is waited for');
	}
	$network->pass(2);
	$cluster->query('ALTER SYSTEM RESET tessera.recover_interval');
	$cluster->query('SELECT pg_reload_conf()');
	$cluster->query('SELECT tessera.recover_transactions()');
	whole('a silent node', 0);
}

# Waits until a session of ours on node 1 waits itself.
sub node_waits
{
	my ($waits) = @_;
	return $cluster->node(1)->poll_query_until($TesseraCluster::DATABASE,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'tessera' AND $waits")
	  || die "no session waits: $waits";
}

# One node: its answer to COMMIT is lost, and it can be asked about the ticket that the
# transaction had. A standby that is not there keeps it waiting.
sub lost_answer
{
	my ($sql, $waits) = @_;
	my $client = $cluster->client;

	$client->ask('SELECT count(*) FROM account');
	$client->send($sql);
	node_waits($waits);
	$network->cut(1);
	my $answer = $client->answer;
	like($client->ask("ROLLBACK; SELECT 'alive'"), qr/alive$/, 'the session lives on');
	return $answer;
}

sub standby
{
	my ($names) = @_;
	$cluster->node_query(1, "SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = '$names'");
	$cluster->node_query(1, 'SELECT pg_reload_conf()');
	$cluster->node(1)->poll_query_until($TesseraCluster::DATABASE,
		"SELECT current_setting('synchronous_standby_names') = '$names'")
	  || die 'the settings were not read again';
	# Commits look at what the checkpointer made of it, which it reads between two checkpoints.
	return map { $cluster->node_query(1, 'CHECKPOINT') } (1, 2);
}
my $deposit = "UPDATE account SET balance = balance + 1 WHERE id = $from;";
my $deposit_returning = "UPDATE account SET balance = balance + 1 WHERE id = $from RETURNING balance;";
for my $sql ($deposit, "BEGIN;\n$deposit\nCOMMIT;")
{
	my $before = $cluster->query("SELECT balance FROM account WHERE id = $from");

	standby('nobody');
	unlike(lost_answer($sql, "wait_event = 'SyncRep'"), qr/ERROR/, 'a commit that happened is one');
	standby('');
	$cluster->gives("SELECT balance - $before FROM account WHERE id = $from", '1', 'and is there');
}

# How many rows it was is told as well; the rows themselves are lost.
standby('nobody');
is(lost_answer("$deposit\n\\echo :ROW_COUNT", "wait_event = 'SyncRep'"), '1', 'the number of rows is known');
like(lost_answer($deposit_returning, "wait_event = 'SyncRep'"),
	qr/ERROR:  08007: .*has committed the transaction, but the rows that it returned were lost/,
	'rows of a commit that happened are lost: an error that says so');
standby('');

# One that waits for another transaction to commit or not is ended: it is rolled back.
my $shard = $cluster->query("SELECT 'public_' || (tessera.shard_of('once', $from)).shard_id");
my $single = "INSERT INTO once VALUES ($from, 1);";
for my $sql ($single, $single =~ s/;/ RETURNING id;/r, "BEGIN;\n$single\nCOMMIT;")
{
	my $other = TesseraClient->new($cluster->node(1)->connstr($TesseraCluster::DATABASE));

	$other->ask("BEGIN; INSERT INTO $shard.once VALUES ($from, 1)");
	like(lost_answer($sql, "wait_event_type = 'Lock'"), qr/ERROR:  08006: .*before it committed/, 'a commit that was ended is an error');
	$other->ask('ROLLBACK');
	$cluster->gives('SELECT count(*) FROM once', '0', 'and did nothing');
}

# A node that cannot be asked: nobody knows, and the client is told so.
$cluster->query("ALTER SYSTEM SET tessera.commit_wait = '300ms'");
$cluster->query('SELECT pg_reload_conf()');
my $client = $cluster->client;
for my $sql ($deposit, $deposit_returning, "BEGIN;\n$deposit\nCOMMIT;")
{
	$client->ask('SELECT count(*) FROM account');
	standby('nobody');
	$client->send($sql);
	node_waits("wait_event = 'SyncRep'");
	$network->refuse(1);
	$cluster->node(1)->stop('immediate');
	like($client->answer, qr/ERROR:  08007: /, 'a node that does not come back: unknown');
	is($client->ask("SELECT 'alive'"), 'alive', 'the session lives on');
	$cluster->node(1)->start;
	standby('');
	$network->pass(1);
	is($client->ask("SELECT count(*) FROM account WHERE id = $from"), '1', 'and uses the node when it is back');
}

# A cancel that comes while the node commits is the node's to answer.
standby('nobody');
$client->ask('SELECT count(*) FROM account');
$client->send($single);
node_waits("wait_event = 'SyncRep'");
$cluster->query('SELECT pg_cancel_backend(' . $client->pid . ')');
unlike($client->answer, qr/ERROR/, 'a cancel that is too late is none');
standby('');
$cluster->gives('SELECT count(*) FROM once', '1', 'the row is there');

# A node that still carries out a decision for a session which has given up: who reads
# there waits until it is done, in one place, and may be cancelled.
$cluster->query('ALTER SYSTEM SET tessera.recover_interval = 0');
$client = client_at('xact_before_commit_prepared', 1);
standby('nobody');
faults('');
like($client->answer, qr/WARNING: .*has not confirmed/, 'a node is slow to commit');
my @readers = map { $cluster->client } 1 .. 3;
$readers[0]->send('SELECT count(*) FROM account');
node_waits("query ~ 'await_transaction' AND wait_event_type = 'Lock'");
$readers[1]->send('SELECT count(*) FROM account');
$cluster->wait_for('SELECT count(*) = 1 FROM pg_locks WHERE pid = ' . $readers[1]->pid . ' AND NOT granted');
like($readers[2]->ask("SET statement_timeout = '100ms'; SELECT count(*) FROM account"),
	qr/ERROR:  57014: .*statement timeout/, 'statement_timeout ends the wait for who waits there');
for my $reader (@readers[ 1, 0 ])
{
	$cluster->query('SELECT pg_cancel_backend(' . $reader->pid . ')');
	like($reader->answer, qr/ERROR:  57014: .*user request/, 'so does a cancel');
}
$readers[0]->send("SELECT balance FROM account WHERE id = $from");
node_waits("query ~ 'await_transaction' AND wait_event_type = 'Lock'");
my $paid = $cluster->node_query(1, "SELECT balance FROM $shard.account WHERE id = $from") - 1;
standby('');
is($readers[0]->answer, $paid, 'what was decided is seen');

done_testing();
