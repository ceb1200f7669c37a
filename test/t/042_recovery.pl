
# What a session that is gone has left prepared on nodes is ended as it was
# decided, without anybody's help; and nothing else is touched.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use IPC::Run;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(usleep);

my $cluster = TesseraCluster->new(nodes => 2, conf => "tessera.recover_interval = 1s\n");
my $coordinator = $cluster->coordinator;
my $database = $coordinator->connstr($TesseraCluster::DATABASE);
my $moved = 0;

$cluster->query(q{CREATE TABLE account (id int PRIMARY KEY, balance int);
	SELECT tessera.create_distributed_table('account', 'id', shard_count => 4);
	INSERT INTO account SELECT i, 100 FROM generate_series(1, 100) i;});

# Two accounts that are on different nodes.
my ($from, $to) = map {
	$cluster->query("SELECT min(i) FROM generate_series(1, 100) i WHERE (tessera.shard_of('account', i)).node = 'node$_'")
} 1, 2;
my $transfer = "BEGIN; UPDATE account SET balance = balance - 1 WHERE id = $from; "
  . "UPDATE account SET balance = balance + 1 WHERE id = $to; COMMIT;";

sub prepared
{
	my ($n) = @_;
	return $cluster->node_query($n,
		q{SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'tessera:%' AND gid NOT LIKE '%foreign%'});
}

# Waits until SQL on node N answers 't'.
sub node_waits
{
	my ($n, $sql) = @_;
	return $cluster->node($n)->poll_query_until($TesseraCluster::DATABASE, $sql)
	  || die "never became true on node $n: $sql";
}

sub nothing_prepared
{
	my ($n) = @_;
	return node_waits($n,
		q{SELECT count(*) = 0 FROM pg_prepared_xacts WHERE gid LIKE 'tessera:%' AND gid NOT LIKE '%foreign%'});
}

# All money is there, and as much as should be has moved.
sub balanced
{
	my ($name) = @_;
	$cluster->gives('SELECT sum(balance) FROM account', '10000', "$name: no money is lost");
	return $cluster->gives(
		"SELECT balance FROM account WHERE id IN ($from, $to) ORDER BY balance",
		$moved ? (100 - $moved) . "\n" . (100 + $moved) : "100\n100",
		"$name: each transfer is whole");
}

sub faults
{
	my ($points) = @_;
	$cluster->query("ALTER SYSTEM SET tessera.fault_points = '$points'");
	return $cluster->query('SELECT pg_reload_conf()');
}

# SQL in a session beside; give it to ->finish, its output is in $$out.
sub beside
{
	my ($sql, $out) = @_;
	my $client = IPC::Run::start([ 'psql', '-XqAt', '-d', $database, '-c', $sql ],
		'<', \'', '>', $out, '2>&1', IPC::Run::timeout(180));
	$client->pump_nb;
	return $client;
}

# SIGKILL of the session in the transfer, so the server goes down.
sub kill_coordinator
{
	my ($point, $settings) = @_;
	my $pid_file = $coordinator->data_dir . '/postmaster.pid';

	$coordinator->psql(undef, ($settings // '') . "SET tessera.fault_points = '$point:kill'; $transfer",
		connstr => $database);
	for (1 .. 1000)
	{
		last if !-e $pid_file;
		usleep(20_000);
	}
	return $coordinator->_update_pid(0);
}

# Other people's prepared transactions, some with names that look like ours.
my $prefix = $cluster->query('SELECT \'tessera:\' || cluster_id FROM tessera.cluster');
my $here = $cluster->node_query(1, 'SELECT incarnation FROM tessera_internal.membership');
my @foreign = ('theirs', "$prefix:1.1:foreign:1", "tessera:0:$here:foreign:1", "$prefix:$here:foreign");
$cluster->node_query(1, "CREATE TABLE theirs (a int); "
	  . join ' ', map { "BEGIN; INSERT INTO theirs VALUES (1); PREPARE TRANSACTION '$_';" } @foreign);

# The coordinator is killed at each step, and comes back.
for my $kill ([ xact_before_prepare => 0 ], [ xact_after_prepare => 0 ],
	[ xact_after_record => 0 ], [ xact_before_commit_prepared => 1 ],
	[ xact_between_commit_prepared => 1 ], [ xact_after_commit_prepared => 1 ])
{
	my ($point, $commits) = @$kill;

	kill_coordinator($point);
	$coordinator->start;
	nothing_prepared($_) for 1, 2;
	$moved += $commits;
	balanced("coordinator killed at $point");
}

# A decision that nodes may have heard of is on disk, whatever the session asked for.
kill_coordinator('xact_before_commit_prepared', 'SET synchronous_commit = off; ');
$coordinator->start;
nothing_prepared($_) for 1, 2;
$moved++;
balanced('killed after a commit with synchronous_commit off');

# A node that is down does not keep others from recovering.
kill_coordinator('xact_after_prepare');
is(prepared(1) . prepared(2), '11', 'both nodes have a part');
$cluster->node(2)->stop('immediate');
$coordinator->start;
nothing_prepared(1);
my ($status, $out, $err) = $coordinator->psql(undef, 'SELECT tessera.recover_transactions()',
	connstr => $database);
is($out, '0', 'a node that is down is no error');
like($err, qr/WARNING:  prepared transactions on node "node2" are not known/, 'but a warning');
$cluster->node(2)->start;
nothing_prepared(2);
balanced('node down during recovery');

# A node dies after the decision, before it has heard of it.
faults('xact_before_commit_prepared:wait');
my $client = beside($transfer, \$out);
node_waits(2, q{SELECT count(*) = 1 FROM pg_prepared_xacts WHERE gid LIKE 'tessera:%'});
$cluster->wait_for(q{SELECT count(*) > 0 FROM tessera.commit_record});
$cluster->node(2)->stop('immediate');
faults('');
$client->finish;
like($out, qr/WARNING: .*committed, but node "node2" has not confirmed it/, 'COMMIT warns');
$cluster->node(2)->start;
nothing_prepared(2);
$moved++;
balanced('node killed with a decided part');

# A transaction that is slow between PREPARE and its commit is left alone.
my $list = qr/starts_with\(p\.gid/;
my $looks = sub {
	my $text = PostgreSQL::Test::Utils::slurp_file($cluster->node(1)->logfile);
	return scalar(() = $text =~ /$list/g);
};
faults('xact_after_prepare:wait');
$client = beside($transfer, \$out);
node_waits($_, q{SELECT count(*) = 1 FROM pg_prepared_xacts WHERE gid LIKE 'tessera:%' AND gid NOT LIKE '%foreign%'})
  for 1, 2;
my $before = $looks->();
for (1 .. 9000)
{
	last if $looks->() >= $before + 3;
	usleep(20_000);
}
cmp_ok($looks->(), '>=', $before + 3, 'the worker has looked at it');
$cluster->gives(q{SELECT node, decision FROM tessera.in_doubt WHERE decision NOT IN ('foreign', 'unknown') ORDER BY node},
	"node1|in progress\nnode2|in progress", 'it is in progress');
$cluster->gives('SELECT tessera.recover_transactions()', '0', 'and not to be ended');
is(prepared(1) . prepared(2), '11', 'its parts are still there');

# Nor is it decided wrongly if it commits between the looks at node and record.
my ($held, $found) = ('', '');
my $holder = beside(q{SELECT pg_advisory_lock(42); SELECT pg_sleep(180);}, \$held);
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted});
my $recovery = beside(
	q{SET tessera.fault_points = 'recovery_after_list:lock:42'; SELECT tessera.recover_transactions();}, \$found);
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted});
faults('');
$client->finish;
is($out, '', 'it commits without a complaint');
$cluster->query(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted});
$holder->finish;
$recovery->finish;
is($found, "0\n", 'who has listed it before finds nothing to do');
$moved++;
balanced('slow transaction');

# What is not ours to decide is there still, and shown.
is( $cluster->node_query(1, 'SELECT gid FROM pg_prepared_xacts ORDER BY prepared'),
	join("\n", @foreign),
	'prepared transactions of others are untouched');
$cluster->gives(
	q{SELECT count(*), min(node), min(decision), max(decision), min(owner), bool_and(age > '0 s' AND prepared_at < now())
		FROM tessera.in_doubt},
	'3|node1|foreign|unknown|postgres|t',
	'those with names like ours are shown');

# So old as to be in somebody's way: they are named.
node_waits(1, q{SELECT max(clock_timestamp() - prepared) > '62 s' FROM pg_prepared_xacts});
$cluster->gives(q{SELECT problem FROM tessera.check_nodes() WHERE node = 'node1' AND problem ~ 'older than a minute'},
	'4 prepared transactions are older than a minute: ' . join(', ', @foreign), 'check_nodes() names what is old');
ok($coordinator->wait_for_log(qr/LOG:  prepared transaction "theirs" of role "postgres" on node "node1" is older than a minute/),
	'so does the log');
$cluster->node_query(1, join ' ', map { "ROLLBACK PREPARED '$_';" } @foreign);

# Records are kept for a day, and go after it.
$cluster->gives('SELECT count(*) > 0 FROM tessera.commit_record', 't', 'decisions are kept');
$cluster->query('ALTER SYSTEM SET tessera.commit_record_keep = 0');
$cluster->query('SELECT pg_reload_conf()');
$cluster->wait_for('SELECT count(*) = 0 FROM tessera.commit_record');
pass('until nobody can need them');

# Off: only the function recovers; who may, and who may look.
$cluster->query('ALTER SYSTEM SET tessera.recover_interval = 0');
kill_coordinator('xact_between_commit_prepared');
$coordinator->start;
$moved++;
$cluster->query(q{CREATE ROLE alice LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor;});
$cluster->refused('SELECT tessera.recover_transactions()', '42501', qr/permission denied/,
	'not everybody may recover', role => 'alice');
$cluster->refused('SELECT * FROM tessera.in_doubt', '42501', qr/permission denied/,
	'nor look', role => 'alice');
$cluster->gives('SELECT node, decision FROM tessera.in_doubt', 'node2|commit',
	'pg_monitor may look', role => 'watcher');
$cluster->query('GRANT USAGE ON FOREIGN DATA WRAPPER tessera TO alice');
$cluster->gives('SELECT tessera.recover_transactions()', '1', 'who manages the cluster recovers', role => 'alice');
balanced('recovered by hand');

# Databases come and go while workers look into them.
$cluster->query('ALTER SYSTEM SET tessera.recover_interval = 1');
$cluster->query('SELECT pg_reload_conf()');
for (1 .. 5)
{
	$coordinator->safe_psql('postgres', 'CREATE DATABASE passing');
	$coordinator->safe_psql('passing', 'CREATE EXTENSION tessera');
	$coordinator->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE passing');
	$coordinator->safe_psql('postgres', "DROP DATABASE $_") for qw(passing copy);
}
pass('databases can be copied and dropped');

done_testing();
