
# What sessions may take: connections to a node, of all sessions together and of those
# that do nothing; memory and file descriptors of a session that works for long.
# "make soak" runs 200,000 statements by key, 10,000 over all shards and 6,000 errors.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $scale = $ENV{TESS_SOAK} ? 100 : 1;
my $cluster = TesseraCluster->new(
	nodes => 2,
	network => 1,
	conf => "tessera.max_node_connections = 3\ntessera.connect_timeout = '10min'\ntessera.recover_interval = 0\n");
my $coordinator = $cluster->coordinator;

$cluster->query(q{CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;
	CREATE ROLE other LOGIN; GRANT SELECT ON t TO other;});

my ($k) = map { $cluster->query("SELECT min(k) FROM t WHERE (tessera.shard_of('t', k)).node = 'node$_'") } 1;
my $read = "SELECT k FROM t WHERE k = $k";
my $to_node1 = q{FROM tessera.activity WHERE node = 'node1'};

# Sets the limit, and waits until the client has heard of it.
sub limit_connections
{
	my ($client, $limit) = @_;
	$cluster->query("ALTER SYSTEM SET tessera.max_node_connections = $limit");
	$cluster->query('SELECT pg_reload_conf()');
	1 while $client->ask('SHOW tessera.max_node_connections') ne $limit;
	return;
}

# --- connections to a node, of all sessions ---

my @clients = map { $cluster->client } 1 .. 4;
my ($last) = $clients[3];
$_->ask("BEGIN;\n$read;") for @clients[ 0 .. 2 ];
$cluster->gives("SELECT count(*), count(DISTINCT pid), min(node_state) $to_node1", '3|3|in use', 'three sessions have a connection each');

like($last->ask("SET tessera.connect_timeout = '200ms';\n$read;\nRESET tessera.connect_timeout;"),
	qr/ERROR:  53300: no connection to node "node1" is free.*HINT:/s, 'a fourth session gets none');
is($clients[0]->ask($read), $k, 'who has a connection uses it');

$last->send($read);
$cluster->wait_for('SELECT wait_event_type = \'Extension\' FROM pg_stat_activity WHERE pid = ' . $last->pid);
$cluster->query('SELECT pg_cancel_backend(' . $last->pid . ')');
like($last->answer, qr/ERROR:  57014/, 'a cancel ends the wait for one');

for my $end ('COMMIT;', 'ROLLBACK;')
{
	$last->send("BEGIN;\n$read;");
	$cluster->wait_for('SELECT wait_event_type = \'Extension\' FROM pg_stat_activity WHERE pid = ' . $last->pid);
	$clients[0]->ask($end);
	is($last->answer, $k, "the next $end of another session ends the wait");
	$last->ask('COMMIT;');
	$clients[0]->ask("BEGIN;\n$read;");
}

# a session that is terminated, and one that cannot connect, give theirs back
$cluster->query('SELECT pg_terminate_backend(' . $clients[0]->pid . ')');
is($last->ask("BEGIN;\n$read;"), $k, 'so does its end');
$last->ask('COMMIT;');
$clients[1]->ask('COMMIT;');
$cluster->network->refuse(1);
$cluster->network->cut(1);
like($clients[1]->ask($read), qr/ERROR:  08001/, 'a connection that fails') for 1 .. 5;
$cluster->network->pass(1);
is($clients[1]->ask($read), $k, 'takes no place');
$clients[2]->ask('ROLLBACK;');

# idle connections of other sessions give way at once
$clients[0] = $cluster->client;
my @more = map { $cluster->client } 1 .. 2;
is($_->ask($read), $k, 'one session after the other uses the node') for @clients, @more;
$cluster->gives("SELECT count(*) <= 3 $to_node1", 't', 'with three connections');

# as do one's own of another role; but what the transaction needs itself never comes free
limit_connections($last, 1);
is($last->ask("$read;\nSET ROLE other;\n$read;\nRESET ROLE;"), "$k\n$k", 'one connection is enough for two roles');
like($last->ask("BEGIN;\n$read;\nSET ROLE other;\n$read;\nROLLBACK;\n"), qr/ERROR:  53300/,
	'not in a transaction, and a session does not wait for itself');
limit_connections($last, 3);

# --- idle connections ---

$_->finish for @more;
$_->ask("$read;\nSET tessera.idle_connection_lifetime = '100ms';\n$read;") for @clients;
$cluster->wait_for("SELECT count(*) = 0 FROM tessera.activity");
for my $n (1, 2)
{
	$cluster->node($n)->poll_query_until($TesseraCluster::DATABASE, "SELECT count(*) = 0 FROM pg_stat_activity
		WHERE application_name = 'tessera' AND backend_type = 'client backend'") or die "connections stay on node $n";
}
pass('idle connections are closed while their sessions wait for their clients');
$cluster->gives(q{SELECT count(*) FROM pg_stat_activity WHERE pid IN (} . join(', ', map { $_->pid } @clients) . ')', '4', 'which stay');
is($clients[0]->ask($read), $k, 'and connect again');
$_->finish for @clients;

# --- what a session keeps ---

# Rows of statements, as psql input.
sub repeated { my ($times, @sql) = @_; return join '', (join(";\n", @sql) . ";\n") x $times; }

my %work = (
	'statements by key' => repeated(2000, "SELECT v FROM t WHERE k = $k \\g /dev/null"),
	'statements over all shards' => repeated(50, 'SELECT count(*) FROM t \g /dev/null', 'UPDATE t SET v = v + 1'),
	'errors' => repeated(10,
		'SELECT 1 / v FROM t WHERE false OR v < 0 OR k = 1 / (v - v)',
		"BEGIN;\nUPDATE t SET v = 1;\nSAVEPOINT a;\nINSERT INTO t VALUES ($k, 1);\nROLLBACK TO a;\nUPDATE t SET v = 2;\nROLLBACK",
		"SET statement_timeout = '1ms';\nSELECT count(pg_sleep(0.01)) FROM t;\nRESET statement_timeout",
		"SET tessera.fault_points = 'net_result:error';\nSELECT count(*) FROM t;\nRESET tessera.fault_points",
		"BEGIN;\nUPDATE t SET v = 3;\nSET tessera.fault_points = 'xact_after_prepare:error';\nCOMMIT;\nRESET tessera.fault_points",
		'DO $$ BEGIN FOR i IN 1 .. 5 LOOP BEGIN INSERT INTO t VALUES (i, 1); EXCEPTION WHEN unique_violation THEN NULL; END; END LOOP; END $$'));

# Private memory of a process, in kB.
sub private_kb
{
	my ($pid) = @_;
	open(my $status, '<', "/proc/$pid/status") or die "no status of process $pid: $!";
	my ($private) = map { /^RssAnon:\s+(\d+) kB/ ? $1 : () } <$status>;
	close $status;
	return $private;
}

# Bytes of memory contexts, private memory in kB, and open files of a session, but
# for those of relations and WAL, which PostgreSQL keeps open.
sub usage
{
	my ($client) = @_;
	my $pid = $client->pid;
	my $contexts = $client->ask('SELECT sum(total_bytes) FROM pg_backend_memory_contexts');
	opendir(my $files, "/proc/$pid/fd") or die "no files of process $pid: $!";
	my $open = grep { /^\d+$/ && (readlink("/proc/$pid/fd/$_") // '') !~ m{/(base/\d+|global|pg_wal)/[0-9A-F]+} }
	  readdir $files;
	return { contexts => $contexts, private => private_kb($pid), files => $open };
}

for my $name (sort keys %work)
{
	my $client = $cluster->client;

	# what grows once: caches, plans, sockets
	$client->ask($work{$name});
	my $before = usage($client);
	$client->ask($work{$name}) for 1 .. $scale;
	my $after = usage($client);

	cmp_ok($after->{contexts}, '<=', $before->{contexts} + 200_000, "$name: memory contexts do not grow");
	cmp_ok($after->{private}, '<=', $before->{private} + 1_000, 'nor does memory outside of them');
	cmp_ok($after->{files}, '<=', $before->{files}, 'nor the number of open files');
	diag("$name: @{[ map { \"$_ $before->{$_} -> $after->{$_}\" } sort keys %$after ]}") if $ENV{TESS_SOAK};
	$client->finish;
}

# Statements that are all different, some of which come twice: shared plans, texts that nodes
# have prepared, plans of shards that are here, and what is known of all these are bounded.
my $twice = q{DO $$ BEGIN FOR i IN 1 .. 2 * %d LOOP
	EXECUTE format('SELECT v AS w%%s FROM t WHERE k = %d', (i + 1) / 2);
	END LOOP; END $$};
my $different = 10_000;
my $limit = 20 * 1024 * 1024;
my $used = 'SELECT sum(used_bytes) FROM pg_backend_memory_contexts';
my $client = $cluster->client;
$client->ask($read);
my $node_pid = $client->ask("SELECT node_pid $to_node1 AND pid = pg_backend_pid()");
my $node_before = private_kb($node_pid);
my $before = $client->ask($used);
for my $from (map { $_ * 1000 } 0 .. $different / 1000 - 1)
{
	$client->ask(join '', map { "SELECT v AS v$_ FROM t WHERE k = $k \\g /dev/null\n" } $from + 1 .. $from + 1000);
}
$client->ask(sprintf $twice, 1000, $k);
my $after = $client->ask($used);
diag("$different different statements: $before -> $after bytes") if $ENV{TESS_SOAK};
cmp_ok($after, '<', $before + $limit, "$different different statements take less than 20 MB");
cmp_ok(private_kb($node_pid), '<', $node_before + $limit / 1024, 'in the session of the node too');
is($client->ask("SELECT hits, misses >= $different, evicted > 0, plans <= 256 FROM tessera.stat_plan_cache"),
	"1000|t|t|t", 'each had a plan');
$client->finish;

$cluster->query('CREATE DATABASE alone');
$cluster->query(q{CREATE EXTENSION tessera; CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4); INSERT INTO t VALUES (1, 1)}, database => 'alone');
$client = $cluster->client(database => 'alone');
$before = $client->ask($used);
$client->ask(sprintf $twice, 3000, 1);
cmp_ok($client->ask($used), '<', $before + $limit, 'and where shards are in process');
is($client->ask('SELECT direct FROM tessera_internal.runs_in_process()'), '3000', 'whose plans were kept');
$client->finish;

for my $n (1, 2)
{
	is($cluster->node_query($n, 'SELECT count(*) FROM pg_prepared_xacts'), '0', "node $n keeps no prepared transaction");
}

done_testing();
