# Windows in which snapshots are taken: what waits for them, how they end when a
# node does not answer or the reader is stopped, nodes that are not there, and
# whose snapshot cannot be had.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
my $coordinator = $cluster->coordinator;

$cluster->query(q{
	CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
	CREATE TABLE purse (balance int NOT NULL);
	SELECT tessera.create_distributed_table('accounts', 'id', shard_count => 4);
	INSERT INTO accounts SELECT i, 1 FROM generate_series(1, 40) i;
	INSERT INTO purse VALUES (1);});

my $fail = "SET tessera.snapshot_timeout = 300";
my $sum = 'SELECT sum(balance) FROM accounts';
my $both = 'SELECT sum(a.balance) + max(p.balance) FROM accounts a, purse p';
# of both nodes, but each statement is of one
sub write_of
{
	return join ' ', 'BEGIN;', (map { "UPDATE accounts SET balance = balance WHERE id = $_;" } @_), 'COMMIT';
}
my $write = write_of(1 .. 8);

# A node that has been told to wait with its next snapshot, until it is told to
# go on.
sub hold
{
	my ($action) = @_;
	$cluster->node_query(2, "ALTER SYSTEM SET tessera.fault_points = 'snapshot_take:$action'");
	$cluster->node_query(2, 'SELECT pg_reload_conf()');
	$cluster->node(2)->poll_query_until($TesseraCluster::DATABASE,
		"SELECT current_setting('tessera.fault_points') <> ''");
	return;
}

sub let_go
{
	$cluster->node_query(2, 'ALTER SYSTEM RESET tessera.fault_points');
	$cluster->node_query(2, 'SELECT pg_reload_conf()');
	$cluster->node(2)->poll_query_until($TesseraCluster::DATABASE,
		"SELECT current_setting('tessera.fault_points') = ''");
	return;
}

my $windows = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3 AND mode = 'ShareLock' AND granted};
my $waits = q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3 AND mode = 'RowExclusiveLock' AND NOT granted};

# A node that does not answer: the reader fails, and the commit that waited for
# him goes on.
hold('wait');
my $reader = $cluster->client;
my $writer = $cluster->client;
is($reader->ask("SET tessera.snapshot_timeout = '60s'"), '', 'a reader with time');
$reader->send($sum);
$cluster->wait_for("SELECT ($windows) = 1");
$writer->send($write);
$cluster->wait_for($waits);
ok(1, 'a commit of several nodes waits for the window');
$cluster->query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	WHERE query LIKE 'SELECT sum(balance)%' AND state = 'active'});
like($reader->answer, qr/ERROR:  57014/, 'a reader is cancelled in his window');
is($writer->answer, '', 'and the commit goes on');
$cluster->gives($windows, '0', 'no window is left');

$reader->ask($fail);
for my $query ($sum, $both, "BEGIN ISOLATION LEVEL REPEATABLE READ; $sum")
{
	my $answer = $reader->ask("$query; ROLLBACK");
	like($answer, qr/ERROR:  08006: node "node2" (has not taken its snapshot|was not there)/,
		"a node that is silent: $query");
	$cluster->gives($windows, '0', 'no window is left');
}
like($reader->ask("BEGIN; SELECT 1; SAVEPOINT s; $sum; ROLLBACK TO s; SELECT 2; ROLLBACK"),
	qr/^1\n.*ERROR:  08006.*/ms, 'in a savepoint');

# The session is killed in its window.
$reader->ask("SET tessera.snapshot_timeout = '60s'");
$reader->send($sum);
$cluster->wait_for("SELECT ($windows) = 1");
$cluster->query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE query LIKE 'SELECT sum(balance)%' AND state = 'active'});
like($reader->answer, qr/57P01/, 'a reader is terminated in his window');
$cluster->wait_for("SELECT ($windows) = 0");
is($writer->ask($write), '', 'and commits go on');
let_go();
$cluster->gives($sum, '40', 'the node answers again');

# An error of the node in the window
hold('error');
$cluster->refused($both, '\w+', qr/snapshot_take/, 'an error of the node is the statement\'s');
$cluster->gives($windows, '0', 'and closes the window');
let_go();

# Commits do not wait for each other, nor do snapshots: only the one for the other, in the
# order in which they come.
{
	my ($holder, $first, $second, $third, @readers) = map { $cluster->client } 1 .. 6;
	my $locks = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3};

	$holder->ask('SELECT pg_advisory_lock(9)');
	$first->ask("SET tessera.fault_points = 'xact_before_commit_prepared:lock:9'");
	$first->send($write);
	$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_locks
		WHERE locktype = 'advisory' AND objid = 9 AND NOT granted});
	is($second->ask(write_of(9 .. 16)), '',
		'a commit of several nodes does not wait for another one');
	for my $n (0, 1)
	{
		$readers[$n]->ask("SET tessera.snapshot_timeout = '60s'");
		$readers[$n]->send($sum);
		$cluster->wait_for("SELECT ($locks AND mode = 'ShareLock' AND NOT granted) = $n + 1");
	}
	$third->send(write_of(17 .. 24));
	$cluster->wait_for($waits);
	ok(1, 'a commit that comes later waits behind them');
	hold('wait');
	$holder->ask('SELECT pg_advisory_unlock(9)');
	is($first->answer, '', 'the first one is done');
	$cluster->wait_for("SELECT ($windows) = 2");
	ok(1, 'two snapshots are taken at the same time');
	$cluster->gives("$locks AND mode = 'RowExclusiveLock' AND granted", '0', 'while nobody commits');

	# One node's commits are done, and what it says is withheld: they may be in the snapshots or not.
	my ($n, $row) = split /\|/, $cluster->query(q{SELECT right(node, 1), format('FROM public_%s.accounts WHERE id = 25', shard_id)
		FROM tessera.shard_of('accounts', 25)});
	my $version = $cluster->node_query($n, "SELECT xmin $row");
	$second->send('UPDATE accounts SET balance = balance WHERE id = 25');
	$cluster->node($n)->poll_query_until($TesseraCluster::DATABASE, "SELECT xmin <> '$version'::xid $row");
	my $reader = $cluster->client;
	$reader->send('SELECT balance FROM accounts WHERE id = 25');
	$cluster->wait_for("SELECT state = 'active' AND wait_event IS NOT NULL FROM pg_stat_activity WHERE pid = " . $_->pid)
	  for $second, $reader;
	ok(!$_->has_answered, 'a commit, or a read, of one node is withheld while windows are open') for $second, $reader;
	let_go();
	is($second->answer, '', 'until they are closed');
	is($reader->answer, '1', 'so is what was read');
	$reader->finish;
	is($_->answer, '40', 'a reader') for @readers;
	is($third->answer, '', 'and the commit behind them');
	$_->finish for $holder, $first, $second, $third, @readers;
}

# Parallel workers of a node read what their leader reads.
for my $n (1, 2)
{
	$cluster->node_query($n, 'ALTER SYSTEM SET force_parallel_mode = on');
	$cluster->node_query($n, 'SELECT pg_reload_conf()');
}
my $cursor = $cluster->client;
$cursor->ask("BEGIN; DECLARE c CURSOR FOR $sum");
$cluster->query('UPDATE accounts SET balance = 2; UPDATE purse SET balance = 2');
is($cursor->ask('FETCH c'), '40', 'a cursor reads what was there when it was opened');
is($cursor->ask($both), '82', 'a new statement does not');
is($cursor->ask('CLOSE c; COMMIT'), '', 'and nothing is wrong at the end');
$cursor->ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM purse");
$cluster->query('UPDATE accounts SET balance = 3; UPDATE purse SET balance = 3');
is($cursor->ask('COPY purse TO STDOUT'), '2', 'COPY reads under the snapshot of the transaction');
is($cursor->ask($both), '82', 'and so does every statement');
is($cursor->ask('COMMIT'), '', 'to its end');
unlike(slurp_file($_->logfile), qr/leak/, 'no snapshot is forgotten')
  for $coordinator, $cluster->node(1), $cluster->node(2);

# SERIALIZABLE reads this server as it was at first, and the nodes as of now: right if what
# was committed meanwhile has left nothing here.  (No autovacuum, which would.)
$cluster->query('ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf()');
$cluster->wait_for(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'});
for my $case (
	[ 'a transaction of the nodes', $write, 0 ],
	[ 'one that was rolled back', 'BEGIN; UPDATE purse SET balance = 0; ROLLBACK', 0 ],
	[ 'one of this server', 'UPDATE purse SET balance = balance', 1 ],
	[ 'one of both', "BEGIN; UPDATE purse SET balance = balance; UPDATE accounts SET balance = balance; COMMIT", 1 ],
	[ 'one in a savepoint', "BEGIN; SAVEPOINT s; UPDATE purse SET balance = balance; RELEASE s; $write", 1 ])
{
	my ($name, $sql, $fails) = @$case;
	my $early = $cluster->client;

	$early->ask('SET client_min_messages = error; BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1');
	$cluster->query($sql);
	my $answer = $early->ask($sum);
	$fails ? like($answer, qr/ERROR:  40001/, "SERIALIZABLE fails after $name")
	  : is($answer, '120', "SERIALIZABLE can pass over $name");
	is($early->ask('ROLLBACK'), '', 'and ends');
	$early->finish;
}

# Who writes the records of their decisions at the same time, and deletes those of what they
# committed before, do not depend on each other.
{
	my @writers = map { $cluster->client } 0 .. 2;
	my $holder = $cluster->client;

	for my $i (0 .. 2)
	{
		$writers[$i]->ask("SET client_min_messages = error; INSERT INTO accounts SELECT i, 0 FROM generate_series(100, 123) i WHERE i % 3 = $i");
		$writers[$i]->ask("BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO accounts SELECT i, 0 FROM generate_series(200, 223) i WHERE i % 3 = $i");
	}
	$holder->ask('SELECT pg_advisory_lock(9)');
	for my $i (0, 1)
	{
		$writers[$i]->ask("SET tessera.fault_points = 'xact_after_record:lock:9'");
		$writers[$i]->send('COMMIT');
		$cluster->wait_for(sprintf q{SELECT count(*) = 1 FROM pg_locks
			WHERE locktype = 'advisory' AND objid = 9 AND NOT granted AND pid = %d}, $writers[$i]->pid);
	}
	is($writers[2]->ask('COMMIT'), '', 'a SERIALIZABLE transaction commits while two others do');
	$holder->ask('SELECT pg_advisory_unlock(9)');
	is($writers[$_]->answer, '', 'as do these') for 0, 1;
	$_->finish for @writers, $holder;
}

# Another session's snapshot is of this server alone.
my $exporter = $cluster->client;
my $snapshot = $exporter->ask(
	'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_export_snapshot()');
$cluster->refused(
	"BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$snapshot'; $sum",
	'0A000', qr/one job/, 'an imported snapshot is refused for distributed tables');
$cluster->gives(
	"BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$snapshot'; SELECT count(*) FROM pg_class WHERE false; COMMIT",
	'0', 'and does for the rest');
$exporter->ask('COMMIT');

# A node that is not there is left out of a transaction that does not need it.
$cluster->node(2)->stop('fast');
my ($near) = grep { $coordinator->failure("SELECT FROM accounts WHERE id = $_") eq '' } 1 .. 40;
my ($far) = grep { $coordinator->failure("SELECT FROM accounts WHERE id = $_") ne '' } 1 .. 40;
my $left = $cluster->client;
is($left->ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT balance FROM accounts WHERE id = $near; SELECT * FROM purse"),
	"3\n3", 'REPEATABLE READ without a node that is down');
$cluster->node(2)->start;
like($left->ask("SELECT balance FROM accounts WHERE id = $far"),
	qr/ERROR:  08006: node "node2" was not there/, 'which cannot come later');
is($left->ask('ROLLBACK'), '', 'the transaction ends');
is($left->ask($sum), '120', 'and the next one has it');

done_testing();
