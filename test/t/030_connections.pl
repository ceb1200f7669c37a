
# Connections to nodes: cancel and timeouts reach the statement on the node, a
# silent or dead node gives an error at once, connections are used again, and
# a large result does not need memory.
# allow in server logs: terminating connection because of crash
use strict;
use warnings;
use TesseraCluster;
use Test::More;
use Time::HiRes qw(time);

my $cluster = TesseraCluster->new(nodes => 2);
my $coordinator = $cluster->coordinator;

my $client = $cluster->client;
my $pid = $client->pid;

$cluster->query(q{
	CREATE TABLE t (id int PRIMARY KEY, v text);
	SELECT tessera.create_distributed_table('t', 'id', shard_count => 4);
	INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i;});

# A row that node 1 holds.
my $id = $cluster->query(q{SELECT min(i) FROM generate_series(1, 100) i
	WHERE (tessera.shard_of('t', i)).node = 'node1'});
my $update = "UPDATE t SET v = 'changed' WHERE id = $id";
my $read = "SELECT v FROM t WHERE id = $id";

# Sessions of the coordinator on node 1 that satisfy the condition.
sub node_sessions
{
	my ($condition) = @_;
	return "SELECT count(*) %s FROM pg_stat_activity
		WHERE application_name = 'tessera' AND $condition";
}

sub wait_until_node_waits
{
	$cluster->node(1)->poll_query_until($TesseraCluster::DATABASE,
		sprintf(node_sessions("wait_event_type = 'Lock'"), '> 0'))
	  or die 'nothing waits on the node';
	return;
}

sub nothing_runs
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		$cluster->node(1)->poll_query_until($TesseraCluster::DATABASE,
			sprintf(node_sessions("state <> 'idle'"), '= 0')),
		$name);
}

# connections are used again
$client->ask($read);
$client->ask('SELECT tessera_internal.reset_net_counters()');
is($client->ask($read), "v$id", 'a row is read from its node');
is($client->ask('SELECT connections, round_trips FROM tessera_internal.net_counters()'),
	'0|1', 'over the connection that was there, in one round trip');

# statement_timeout
$cluster->lock_node(1, 't', 'ACCESS EXCLUSIVE');
my $start = time;
like($client->ask("SET statement_timeout = '300ms';\n$update;\nRESET statement_timeout;"),
	qr/ERROR:  57014: canceling statement due to statement timeout/,
	'statement_timeout ends a wait for a node');
cmp_ok(time - $start, '<', 5, 'at once');
nothing_runs('and the statement on the node');

# lock_timeout
like($client->ask("SET lock_timeout = '200ms';\n$update;\nRESET lock_timeout;"),
	qr/ERROR:  55P03: .*on node "node1"/s,
	'lock_timeout holds on nodes');

# cancel
$client->send($update);
wait_until_node_waits();
$cluster->query("SELECT pg_cancel_backend($pid)");
like($client->answer, qr/ERROR:  57014: canceling statement due to user request/,
	'a cancel ends a wait for a node');
nothing_runs('and the statement on the node');

# a cancel inside a block leaves a transaction that can be rolled back
$client->ask("BEGIN;\nSAVEPOINT a;");
$client->send($update);
wait_until_node_waits();
$cluster->query("SELECT pg_cancel_backend($pid)");
like($client->answer, qr/ERROR:  57014/, 'the same inside a transaction block');
$cluster->unlock_node(1);
is($client->ask("ROLLBACK TO a;\n$read;\nCOMMIT;"),
	"v$id", 'which goes on after ROLLBACK TO');

# a session that is terminated
$cluster->lock_node(1, 't', 'ACCESS EXCLUSIVE');
my $victim = $cluster->client;
my $victim_pid = $victim->pid;
$victim->send($update);
wait_until_node_waits();
$cluster->query("SELECT pg_terminate_backend($victim_pid)");
nothing_runs('when a session is terminated, so is its statement on the node');
$cluster->unlock_node(1);

# settings follow
is($client->ask(qq{
	SET timezone = 'Asia/Tokyo';
	SELECT to_char(timestamptz '2020-01-01 00:00+00', 'HH24') FROM t WHERE id = $id;
	BEGIN; SET LOCAL timezone = 'Asia/Kolkata';
	SELECT to_char(timestamptz '2020-01-01 00:00+00', 'HH24:MI') FROM t WHERE id = $id;
	ROLLBACK;
	SELECT to_char(timestamptz '2020-01-01 00:00+00', 'HH24:MI') FROM t WHERE id = $id;}),
	"09\n05:30\n09:00", 'the time zone of the session holds on nodes');

# a node whose process is silent
my $node_pid = $cluster->node_query(1,
	"SELECT pid FROM pg_stat_activity WHERE application_name = 'tessera' AND state = 'idle'");
kill 'STOP', $node_pid or die "cannot stop process $node_pid: $!";
$start = time;
like($client->ask("SET statement_timeout = '300ms';\n$read;\nRESET statement_timeout;"),
	qr/ERROR:  57014/, 'statement_timeout ends a wait for a silent connection');
cmp_ok(time - $start, '<', 5, 'and does not wait for it to be cancelled');
kill 'CONT', $node_pid;
is($client->ask($read), "v$id", 'the next statement uses another connection');

# a node that accepts connections and says nothing
$client->finish;
$client = $cluster->client;
my $postmaster = $cluster->node(1)->{_pid};
kill 'STOP', $postmaster or die "cannot stop process $postmaster: $!";
like($client->ask("SET tessera.connect_timeout = '300ms';\n$read;\nRESET tessera.connect_timeout;"),
	qr/ERROR:  08001: could not connect to node "node1"/,
	'tessera.connect_timeout ends a wait for a silent node');
kill 'CONT', $postmaster;
is($client->ask($read), "v$id", 'which can be used as soon as it answers');

# nodes that nobody waits for are watched by TCP: the options of its sockets are as set
my $watch = qr/DEBUG:  00000: connected to node "node1": keepalives 1, idle/;
like($cluster->client->ask("SET client_min_messages = debug1;\n$read;"), qr/$watch 30 s, interval 10 s, count 3, user timeout 60000 ms$/m,
	'TCP keepalives and user timeout are set');
like($cluster->client->ask("SET tessera.tcp_keepalives_idle = 7; SET tessera.tcp_keepalives_interval = 5; SET tessera.tcp_keepalives_count = 4;\n"
		  . "SET tessera.tcp_user_timeout = '9s'; SET client_min_messages = debug1;\n$read;"),
	qr/$watch 7 s, interval 5 s, count 4, user timeout 9000 ms$/m, 'as the settings say');

# a node that is restarted between two statements
$cluster->node(1)->restart;
is($client->ask($read), "v$id", 'after a restart of the node the next statement just works');
like($client->ask("BEGIN;\n$update;"), qr/^$/, 'a transaction writes on the node');
$cluster->node(1)->restart;
like($client->ask($read), qr/ERROR:  08006: .*node "node1"/,
	'a restart inside a transaction is an error');
is($client->ask("ROLLBACK;\n$read;"), "v$id", 'and nothing of it is left');

# what the node had prepared for a connection that is lost is prepared again, and what a client discards is not
my $by_name = 'SELECT prepared FROM tessera_internal.net_counters()';
$client->ask($read) for 1 .. 3;
my $named = $client->ask($by_name);
is($client->ask("DISCARD ALL; $read;"), "v$id", 'after DISCARD ALL a statement runs');
is($client->ask($by_name) - $named, 1, 'as it was prepared');
$cluster->node_query(1, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'tessera'");
is(join(' ', map { $client->ask($read) } 1 .. 3), "v$id v$id v$id", 'after the end of the session on the node too');
is($client->ask($by_name) - $named, 2, 'it was prepared again');

# a node that dies under a statement
$cluster->lock_node(1, 't', 'ACCESS EXCLUSIVE');
$client->send($update);
wait_until_node_waits();
$cluster->node(1)->stop('immediate');
# its COMMIT went with the statement, and nobody can tell what became of it
like($client->answer, qr/ERROR:  08007: node "node1" has not said/,
	'a node that dies ends the wait');
like($client->ask($read), qr/ERROR:  08001: could not connect to node "node1".*HINT:/s,
	'as long as it is down, its rows cannot be read');
$cluster->node(1)->start;
$cluster->unlock_node(1);
is($client->ask($read), "v$id", 'when it is up, they can');

# memory: 200 MB through a cursor
$cluster->query(q{
	CREATE TABLE large (id int, v text);
	SELECT tessera.create_distributed_table('large', 'id', shard_count => 4);
	SELECT count(*) FROM tessera.run_on_shards('large',
		$$INSERT INTO %s SELECT i, repeat('x', 1900) FROM generate_series(1, 26000) i$$);});

# Its highest resident size so far, shared memory not counted.
sub peak_memory_kb
{
	my ($of) = @_;
	open(my $status, '<', "/proc/$of/status") or die "no status of process $of: $!";
	my %kb = map { /^(VmHWM|RssShmem):\s+(\d+) kB/ ? ($1 => $2) : () } <$status>;
	close $status;
	return $kb{VmHWM} - $kb{RssShmem};
}

$client->finish;
$client = $cluster->client;
$pid = $client->pid;
is($client->ask(q{
	BEGIN;
	DECLARE c NO SCROLL CURSOR FOR SELECT * FROM large;
	MOVE FORWARD 100000 IN c;
	FETCH 1 FROM c \g /dev/null
	COMMIT;}),
	'', 'a cursor goes over 200 MB');
cmp_ok(peak_memory_kb($pid), '<', 100_000, 'with less than 100 MB of memory');
$client->ask('\copy large to /dev/null');
cmp_ok(peak_memory_kb($pid), '<', 100_000, 'and so does \copy');

$client->finish;
done_testing();
