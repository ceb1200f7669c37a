
# CREATE, DROP INDEX and REINDEX CONCURRENTLY while others write, and when a node or
# a session goes half way: what is left is an invalid index, which can be dropped.
# allow in server logs: terminating connection due to
use strict;
use warnings;
use IPC::Run;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2, conf => "deadlock_timeout = 100ms\n",
	node_conf => "deadlock_timeout = 100ms\n");
my $coordinator = $cluster->coordinator;
$cluster->query(q{
	CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL DEFAULT 0, w text);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 4);
	INSERT INTO t SELECT g, 0, 'w' || g FROM generate_series(1, 200) g;
	CREATE TABLE kinds (id int PRIMARY KEY, name text);
	SELECT tessera.create_reference_table('kinds')});
my $of_node2 = $cluster->query(q{SELECT k FROM t WHERE (tessera.shard_of('t', k)).node = 'node2' ORDER BY k LIMIT 1});
my $of_node1 = $cluster->query(q{SELECT k FROM t WHERE (tessera.shard_of('t', k)).node = 'node1' ORDER BY k LIMIT 1});

# "name valid" of the table's indexes on the coordinator
sub shell
{
	return $cluster->query(q{SELECT string_agg(c.relname || ' ' || indisvalid, ', ' ORDER BY c.relname)
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 't'::regclass});
}

# the same of all shards, each once
sub shards
{
	return $cluster->query(q{SELECT string_agg(DISTINCT result, ' | ') FROM tessera.run_on_shards('t',
		$$SELECT string_agg(c.relname || ' ' || indisvalid, ', ' ORDER BY c.relname)
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '%s'::regclass$$)});
}

# a statement waits for somebody on a server
sub wait_for_wait
{
	my ($server) = @_;
	$server->poll_query_until($TesseraCluster::DATABASE, q{
		SELECT count(*) > 0 FROM pg_stat_activity
		WHERE wait_event_type = 'Lock' AND query ~ 'CONCURRENTLY'}) or die 'nobody waits';
	return;
}

# writers go on, and lose nothing
my $script = $coordinator->basedir . '/writes.sql';
open my $handle, '>', $script or die "$script: $!";
print $handle q{\set k random(1, 200)
UPDATE t SET v = v + 1, w = 'w' || v WHERE k = :k;
INSERT INTO t (k) VALUES (1000 + 200 * :client_id + :k) ON CONFLICT (k) DO UPDATE SET v = t.v + 1;
};
close $handle;
my ($out, $err) = ('', '');
my $writers = IPC::Run::start([ 'pgbench', '-n', '-f', $script, '-c', 3, '-t', 150, '-M', 'prepared',
		'-h', $coordinator->host, '-p', $coordinator->port, $TesseraCluster::DATABASE ],
	'>', \$out, '2>', \$err);
$cluster->query($_) for ('CREATE INDEX CONCURRENTLY by_v ON t (v)', 'ALTER TABLE t ADD x int DEFAULT 5',
	'REINDEX TABLE CONCURRENTLY t', 'CREATE UNIQUE INDEX CONCURRENTLY by_w ON t (w, k)', 'ALTER TABLE t ALTER x TYPE bigint',
	'CREATE INDEX by_x ON t (x)', 'DROP INDEX by_x', 'DROP INDEX CONCURRENTLY by_v', 'CREATE INDEX CONCURRENTLY by_v ON t (v)',
	'ALTER TABLE t DROP x');
$writers->finish;
like($out, qr{processed: 450/450}, 'all writes are done');
unlike($err, qr/error|abort|fatal/i, 'without an error');
$cluster->gives('SELECT sum(v) + count(*) FROM t', 200 + 2 * 450, 'none is lost');
is(shell(), 'by_v true, by_w true, t_pkey true', 'the indexes are there');
is(shards(), 'by_v true, by_w true, t_pkey true', 'in the shards, too');
$cluster->gives('SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE v >= 0',
	$cluster->query('SELECT count(*) FROM t'), 'with all rows');
$cluster->query('DROP INDEX by_v, by_w');

# who has written is waited for, and may go on
my $writer = $cluster->client;
my $maker = $cluster->client;
$writer->ask("BEGIN; UPDATE t SET v = 1 WHERE k = $of_node2");
$maker->send('CREATE INDEX CONCURRENTLY by_v ON t (v)');
wait_for_wait($coordinator);
is($writer->ask("UPDATE t SET v = 2 WHERE k IN ($of_node1, $of_node2); INSERT INTO t (k, v) VALUES (5000, 7)"),
	'', 'a writer that is waited for goes on');
is(shell(), 'by_v false, t_pkey true', 'the index is invalid meanwhile');
is($writer->ask('COMMIT'), '', 'and commits');
is($maker->answer, '', 'then the index is done');
is(shell(), 'by_v true, t_pkey true', 'and valid');

# a writer that wants what who waits for it has: one of them is told
$writer->ask("BEGIN; UPDATE t SET v = 3 WHERE k = $of_node2");
$maker->send('DROP INDEX CONCURRENTLY by_v');
wait_for_wait($coordinator);
my $answers = $writer->ask('ALTER TABLE t ADD y int');
$writer->ask('ROLLBACK');
$answers .= $maker->answer;
like($answers, qr/40P01/, 'a deadlock is found');
$cluster->query('DROP INDEX CONCURRENTLY IF EXISTS by_v');
is(shards(), 't_pkey true', 'and the index can be dropped after it');

# a node goes half way, while somebody there, of whom the coordinator does not know, is
# waited for
$cluster->lock_node(2, 't', 'ROW EXCLUSIVE');
$maker->send('CREATE INDEX CONCURRENTLY by_v ON t (v)');
wait_for_wait($cluster->node(2));
is(shell(), 'by_v false, t_pkey true', 'until all shards have it, the index is invalid');
$cluster->node(2)->stop('immediate');
like($maker->answer, qr/ERROR:  08006/, 'a node is lost half way');
$cluster->node(2)->start;
$cluster->unlock_node(2);
is(shell(), 'by_v false, t_pkey true', 'the index is invalid');
$cluster->refused('REINDEX INDEX CONCURRENTLY by_v', '55000', qr/Drop it/, 'it cannot be made again');
$cluster->query('INSERT INTO t (k) VALUES (5001)');
$cluster->query('DROP INDEX CONCURRENTLY by_v');
is(shards(), 't_pkey true', 'but dropped, where it is');
$cluster->query('CREATE INDEX CONCURRENTLY by_v ON t (v)');
is(shards(), 'by_v true, t_pkey true', 'and made');

# a node is down when it begins
$cluster->node(2)->stop;
$cluster->refused('DROP INDEX CONCURRENTLY by_v', '08001', qr/node2/, 'DROP without a node');
is(shell(), 'by_v false, t_pkey true', 'leaves an invalid index');
$cluster->node(2)->start;
$cluster->query('DROP INDEX CONCURRENTLY by_v');
is(shards(), 't_pkey true', 'that can be dropped later');

# the session goes half way
$cluster->lock_node(2, 't', 'ROW EXCLUSIVE');
$maker->send('CREATE INDEX CONCURRENTLY by_v ON t (v)');
wait_for_wait($cluster->node(2));
$cluster->query('SELECT pg_terminate_backend(' . $maker->pid . ')');
like($maker->answer, qr/57P01/, 'the session is ended');
is(shell(), 'by_v false, t_pkey true', 'the index is invalid');
$cluster->unlock_node(2);
$cluster->node(2)->poll_query_until($TesseraCluster::DATABASE, q{
	SELECT count(*) = 0 FROM pg_stat_activity WHERE query ~ '^CREATE INDEX' AND state = 'active'}) or die 'still at work';

# indexes of reference tables
$cluster->query('CREATE INDEX CONCURRENTLY by_name ON kinds (name)');
my $failed = $cluster->client;
like($failed->ask("SET tessera.fault_points = 'concurrent_index:error'; CREATE INDEX CONCURRENTLY failed ON kinds (name)"),
	qr/ERROR/, 'one that no node has got');
$failed->finish;
$cluster->query('DROP INDEX by_v');
is(shards(), 't_pkey true', 'plain DROP INDEX drops an invalid one');
$cluster->query('DROP INDEX failed');
$cluster->gives(q{SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relname IN ('failed', 'by_name', 'by_v')},
	'by_name', 'nothing is left');
$writer->finish;

done_testing();
