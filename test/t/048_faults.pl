
# Nodes that say nothing (packets are dropped) or are lost, at every step of a
# transaction: statement_timeout, cancel and pg_terminate_backend end the wait, other
# nodes can be used at once and this one as soon as it is back, by the same session, and
# nothing stays behind.  No timeout of Tessera's own ends a wait here: they are all set to
# ten minutes, and a test that waits for that long has failed.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(usleep);

my $cluster = TesseraCluster->new(
	nodes => 2,
	network => 1,
	conf => "tessera.connect_timeout = '10min'\ntessera.commit_wait = '10min'\n"
	  . "tessera.snapshot_timeout = '10min'\ntessera.recover_interval = 0\n",
	node_conf => "restart_after_crash = on\n");
my $network = $cluster->network;

$cluster->query(q{CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;});

# A row of each node.
my @k = map { $cluster->query("SELECT min(k) FROM t WHERE (tessera.shard_of('t', k)).node = 'node$_'") } 1, 2;
my $write = "UPDATE t SET v = v + 1 WHERE k = $k[0]";
my $write_both = "UPDATE t SET v = v + 1 WHERE k IN ($k[0], $k[1])";
my $client = $cluster->client;

# Waits until SQL on node N gives 't'.
sub wait_for_node
{
	my ($n, $sql) = @_;
	return $cluster->node($n)->poll_query_until($TesseraCluster::DATABASE, $sql)
	  || die "never became true on node $n: $sql";
}

# What every fault has to leave behind: nothing.
sub nothing_stays
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$cluster->query('SELECT tessera.recover_transactions()');
	for my $n (1, 2)
	{
		wait_for_node($n, q{SELECT count(*) = 0 FROM pg_stat_activity
			WHERE application_name = 'tessera' AND state <> 'idle'});
		# a PREPARE that was held may have come in meanwhile
		wait_for_node($n, 'SELECT count(*) = 0 FROM pg_prepared_xacts')
		  if $cluster->query('SELECT tessera.recover_transactions()') >= 0;
	}
	return $cluster->gives('SELECT count(*), count(DISTINCT v) FROM t WHERE k IN (' . join(', ', @k) . ')',
		'2|1', "$name: nothing stays behind");
}

# Ends the statement that $client waits for.
my %end = (
	statement_timeout => sub { },
	cancel => sub { $cluster->query('SELECT pg_cancel_backend(' . $client->pid . ')'); },
	termination => sub { $cluster->query('SELECT pg_terminate_backend(' . $client->pid . ')'); });
my %sqlstate = (
	statement_timeout => qr/ERROR:  57014: canceling statement due to statement timeout/,
	cancel => qr/ERROR:  57014: canceling statement due to user request/,
	termination => qr/FATAL:  57P01: terminating connection due to administrator command/);

# One silence: before is run while all is well; then statement is sent, in which node 1 falls
# silent: at the first bytes to it, or where they match the pattern.  ends: some of the ways in
# which the wait is ended.
sub silence
{
	my ($name, %case) = @_;

	for my $how (@{ $case{ends} // [qw(statement_timeout cancel termination)] })
	{
		my $timeout = $how eq 'statement_timeout' ? "SET statement_timeout = '1s';\n" : '';

		$client = $cluster->client if $case{new_session};
		$client->ask($case{before}) if $case{before};
		$network->when(1, $case{at} // qr/./s, 'silent');
		$client->send("$timeout$case{statement};\nRESET statement_timeout");
		$network->wait_until_fired(1);
		$end{$how}->() ;
		my $answer = $client->answer;
		like($answer, $case{outcome} && $how ne 'termination' ? $case{outcome} : $sqlstate{$how},
			"$how works: $name") unless $case{outcome} && $how eq 'termination';
		unlike($answer, qr/XX000/, 'as an error of its own kind');

		$client = $cluster->client if $how eq 'termination';
		is($client->ask("ROLLBACK;\nSELECT k FROM t WHERE k = $k[1]") =~ s/^(WARNING|LOCATION):.*\n//mgr, $k[1],
			'and the other node can be used at once');
		$network->pass(1);
		is($client->ask("SELECT k FROM t WHERE k = $k[0]"), $k[0], 'this one when it is back');
		nothing_stays($name);
	}
	return;
}

silence('a new connection', new_session => 1, statement => $write);
silence('a read', before => "SELECT count(*) FROM t", statement => 'SELECT count(*) FROM t');
silence('a write in a block', before => "BEGIN;\n$write_both", statement => $write);
silence('PREPARE', before => "BEGIN;\n$write_both", statement => 'COMMIT', at => qr/PREPARE TRANSACTION/);
silence('COMMIT PREPARED', before => "BEGIN;\n$write_both", statement => 'COMMIT', at => qr/COMMIT PREPARED/,
	outcome => qr/WARNING: .*committed, but node "node1"/);
silence('ROLLBACK', before => "BEGIN;\n$write_both", statement => 'ROLLBACK', at => qr/ROLLBACK/, outcome => qr/^/);
silence('ROLLBACK TO', before => "BEGIN;\nSAVEPOINT a;\n$write_both", statement => 'ROLLBACK TO a', at => qr/ROLLBACK TO/,
	outcome => qr/^/);

# A write that is a transaction, of one node and of both; COMMIT of one node.  It changes nothing,
# because nobody knows if the node has done it.
my $touch = "UPDATE t SET v = v WHERE k = $k[0]";
my $unknown = qr/ERROR:  (57014|0800[67]): /;
silence('a write that is a transaction', before => 'SELECT count(*) FROM t', statement => $touch, outcome => $unknown);
silence('COMMIT of one node', before => "BEGIN;\n$touch", statement => 'COMMIT', at => qr/COMMIT/, outcome => $unknown);
silence('a write of both that is a transaction', before => 'SELECT count(*) FROM t', statement => $write_both,
	at => qr/PREPARE TRANSACTION/);

# One node has prepared what another one refuses.
$cluster->query(q{CREATE TABLE deferred (k int, v int);
	SELECT tessera.create_distributed_table('deferred', 'k', colocate_with => 't');
	SELECT count(*) FROM tessera.run_on_shards('deferred', 'ALTER TABLE %s ADD UNIQUE (k, v) DEFERRABLE INITIALLY DEFERRED');
	CREATE TABLE copies (k int PRIMARY KEY, v int);
	SELECT tessera.create_reference_table('copies');
	INSERT INTO copies VALUES (1, 1);
	CREATE TABLE large (k int, v text);
	SELECT tessera.create_distributed_table('large', 'k', shard_count => 4);});
silence('ROLLBACK PREPARED', before => "BEGIN;\nINSERT INTO deferred VALUES ($k[0], 1), ($k[1], 1), ($k[1], 1)",
	statement => 'COMMIT', at => qr/ROLLBACK PREPARED/, outcome => qr/ERROR:  23505: /);
$cluster->gives('SELECT count(*) FROM deferred', '0', 'and nothing is there');

# What else waits for nodes: ended in one way each.
my $warm = 'SELECT count(*) FROM t';
for my $case (
	[ 'the snapshot of a transaction', "BEGIN ISOLATION LEVEL REPEATABLE READ;\n$warm" ],
	[ 'a cursor', 'FETCH c', before => "BEGIN;\nDECLARE c CURSOR FOR SELECT k FROM t WHERE k = $k[0]" ],
	[ 'all copies of a table', 'UPDATE copies SET v = v' ],
	[ 'COPY FROM', q{COPY large FROM PROGRAM 'seq -f "%g row" 1 1000' (DELIMITER ' ')} ],
	[ 'COPY TO', 'COPY t TO STDOUT' ],
	[ 'TRUNCATE', 'TRUNCATE large' ],
	[ 'CREATE INDEX', 'CREATE INDEX ON large (k)' ],
	[ 'VACUUM', 'VACUUM large' ],
	[ 'ANALYZE', 'ANALYZE large' ],
	[ 'CREATE FUNCTION', q{CREATE FUNCTION one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'} ],
	[ 'a function for each node', q{SELECT count(*) FROM tessera.run_on_nodes('SELECT 1')} ],
	[ 'what is in doubt', 'SELECT count(*) FROM tessera.in_doubt' ])
{
	my ($name, $statement, %more) = @$case;
	silence($name, before => $warm, statement => $statement, ends => ['cancel'], %more);
}

# A new connection has a time limit of its own.
$client = $cluster->client;
$client->ask("SET tessera.connect_timeout = '300ms'");
$network->silent(1);
like($client->ask($write), qr/ERROR:  08001: could not connect to node "node1"\nDETAIL:  There was no answer within 300 ms\./,
	'tessera.connect_timeout ends a wait for a connection');
is($client->ask("SELECT k FROM t WHERE k = $k[1]"), $k[1], 'and the other node can be used');
$network->pass(1);
is($client->ask("SELECT k FROM t WHERE k = $k[0]"), $k[0], 'as this one can again');

# A rollback to a savepoint finds out by itself that its node is not there.
$client->ask("BEGIN;\nSAVEPOINT a;\n$write_both");
$network->when(1, qr/ROLLBACK TO/, 'silent');
unlike($client->ask('ROLLBACK TO a'), qr/ERROR/, 'a rollback to a savepoint does not wait for a node that is not there');
is($client->ask("SELECT k FROM t WHERE k = $k[1]"), $k[1], 'and the transaction goes on without it');
$client->ask('ROLLBACK');
$network->pass(1);
nothing_stays('ROLLBACK TO');

# Transactions that do not need a node do not wait for one that is known to be silent:
# not for a new connection, nor for one that they have.
my $others = "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM pg_class WHERE false;\nSELECT k FROM t WHERE k = $k[1]";
$client->ask($warm);
$network->silent(1);
is($client->ask("SET tessera.snapshot_timeout = '300ms';\n$others"), "0\n$k[1]", 'REPEATABLE READ without a node that has become silent');
like($client->ask("SET tessera.connect_timeout = '300ms';\nSELECT k FROM t WHERE k = $k[0]"), qr/ERROR:  0800[16]: .*node "node1"/,
	'who needs it is told');
is($client->ask("ROLLBACK;\nSELECT k FROM t WHERE k = $k[1]"), $k[1], 'the session goes on');
is($cluster->client->ask("$others;\nCOMMIT"), "0\n$k[1]", 'nor do new sessions wait for it');
$network->pass(1);
is($cluster->client->ask("$others;\nSELECT k FROM t WHERE k = $k[0];\nCOMMIT"), "0\n$k[1]\n$k[0]", 'when it is back it takes part');

# A stream of rows to a node that stops reading in the middle of it.
silence('rows that are sent', at => qr/row 20\d\d /,
	statement => q{INSERT INTO large SELECT i, 'row ' || i || ' ' || repeat('x', 1000) FROM generate_series(1, 50000) i});
$cluster->gives('SELECT count(*) FROM large', '0', 'and none of the rows');

# A node session that ends under a statement: its process is terminated, or killed, so that the node
# restarts, or the connection cut.
my $waits = q{FROM pg_stat_activity WHERE application_name = 'tessera' AND wait_event_type = 'Lock'};
my %loss = (
	'a terminated node session' => sub { $cluster->node_query(1, "SELECT pg_terminate_backend(pid) $waits"); },
	'a killed node session' => sub { kill 'KILL', $cluster->node_query(1, "SELECT pid $waits"); },
	'a connection that is cut' => sub { $network->cut(1); });
for my $name (sort keys %loss)
{
	$client->ask("BEGIN;\nSELECT count(*) FROM t");
	$cluster->lock_node(1, 't', 'SHARE');
	$client->send($write);
	wait_for_node(1, "SELECT count(*) > 0 $waits");
	$loss{$name}->();
	like($client->answer, qr/ERROR:  08006: lost connection to node "node1"/, "$name is an error with the node's name");
	like($client->ask($write), qr/ERROR:  25P02/, 'the transaction is over');
	wait_for_node(1, 'SELECT true');
	is($client->ask("ROLLBACK;\nSELECT k FROM t WHERE k = $k[1]"), $k[1], 'the session is not');
	wait_for_node(1, "SELECT count(*) = 0 $waits");
	pass('the node has noticed, although the statement waited for a lock');
	$cluster->unlock_node(1);
	is($client->ask("SELECT k FROM t WHERE k = $k[0]"), $k[0], 'the node can be used again');
	nothing_stays($name);
}

# A session that was lost with nothing in it but a savepoint is replaced.  If the node is away, the
# transaction has none until the next attempt, or its end.
for my $end ('COMMIT', "ROLLBACK TO a;\n$write_both;\nCOMMIT")
{
	$client->ask("BEGIN;\nSAVEPOINT a;\n$write");
	$network->cut(1);
	$network->refuse(1);
	like($client->ask("ROLLBACK TO a;\n$write"), qr/ERROR:  08\d\d\d: could not connect to node "node1"/,
		'there is no other session');
	$network->pass(1);
	is($client->ask("$end;\nSELECT k FROM t WHERE k = $k[0]"), $k[0], 'the transaction can be ended');
	nothing_stays('a session that was not replaced');
}

# An error at any place where bytes are sent or received, within callbacks too.
my @statements = ('BEGIN', $write_both, 'SAVEPOINT a', $write_both, 'ROLLBACK TO a', 'SAVEPOINT b', $write_both,
	'RELEASE b', $write_both, 'COMMIT', 'BEGIN', $write_both, 'ROLLBACK', $write_both);
my ($wrong, $hits) = ('', 0);
for my $point (qw(net_connect net_flush net_result))
{
	for my $number (1 .. 24)
	{
		my $faulty = $cluster->client;
		my $answer = $faulty->ask(join ";\n", "SET tessera.fault_points = '$point:error:$number'", @statements,
			'ROLLBACK', 'RESET tessera.fault_points', "SELECT k FROM t WHERE k = $k[0]");
		$hits++ if $answer =~ /38000/;
		$wrong .= "$point:$number: $answer\n"
		  if $answer !~ /^$k[0]\z/m || $answer =~ /XX\d\d\d:|FATAL|PANIC/ || $answer =~ /server closed/;
		$faulty->finish;
		last if $answer !~ /38000/;
	}
}
is($wrong, '', 'a session survives an error at each place');
cmp_ok($hits, '>', 20, 'there are many');
nothing_stays('errors in callbacks');

# Errors in the callback that carries the decision out: it stands.
for my $point (qw(xact_before_commit_prepared xact_between_commit_prepared xact_after_commit_prepared))
{
	my $answer = $client->ask("SET tessera.fault_points = '$point:error';\nBEGIN;\n$write_both;\nCOMMIT;\nRESET tessera.fault_points");
	like($answer, qr/^WARNING:  01000: the transaction is committed, but not all nodes have been told\nDETAIL:  .*$point/m,
		"an error at $point is a warning");
	unlike($answer, qr/ERROR|XX\d\d\d/, 'and no error');
	nothing_stays($point);
}

done_testing();
