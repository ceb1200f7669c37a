# What COPY takes and leaves: memory of the coordinator's session, progress, and nothing
# in any shard after an error, a cancel, a client that is gone or a node that is gone.
# allow in server logs: was terminated by signal 9
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use TesseraCluster;
use Test::More;

my $cluster = TesseraCluster->new(nodes => 2);
my $rows = $ENV{TESS_SOAK} ? 2_000_000 : 150_000;
my $limit_kb = 64 * 1024;
my $folder = $PostgreSQL::Test::Utils::tmp_check;

$cluster->query(q{
	CREATE TABLE t (k bigint PRIMARY KEY, v text, at timestamptz);
	SELECT tessera.create_distributed_table('t', 'k', shard_count => 48)});

# The most private memory that a session has ever had, in kB; its beginnings apart.
sub peak
{
	my ($client) = @_;
	open(my $status, '<', '/proc/' . $client->pid . '/status') or die "no status: $!";
	my %kb = map { /^(VmHWM|RssFile|RssShmem):\s+(\d+) kB/ ? ($1 => $2) : () } <$status>;
	return $kb{VmHWM} - $kb{RssFile} - $kb{RssShmem};
}

sub forget_peak
{
	my ($client) = @_;
	open(my $refs, '>', '/proc/' . $client->pid . '/clear_refs') or die "clear_refs: $!";
	print $refs "5\n";
	close $refs;
	return;
}

my $seq = "seq 1 $rows | sed \"s/.*/&\t" . 'x' x 700 . "\t2024-01-01/\"";
my %ways = (
	'lines of text' => "COPY t FROM PROGRAM '$seq'",
	'rows that are looked at' => "COPY t FROM PROGRAM '$seq' WHERE v IS NOT NULL",
	'lines of csv' => "COPY t FROM PROGRAM '$seq' (FORMAT csv, DELIMITER E'\\t')",
	'rows in binary' => "COPY t FROM '$folder/t.binary' (FORMAT binary)",
	'out of it' => "COPY t TO '$folder/t.out'");

$cluster->query($ways{'lines of text'});
$cluster->query("COPY t TO '$folder/t.binary' (FORMAT binary)");
for my $way (sort keys %ways)
{
	my $client = $cluster->client;
	my $of_table = $way ne 'out of it';

	$client->ask('BEGIN; DELETE FROM t WHERE k = 0');
	$client->ask('TRUNCATE t') if $of_table;
	forget_peak($client);
	my $before = peak($client);
	$client->ask("$ways{$way};");
	my $used = peak($client) - $before;
	is($client->ask('SELECT count(*), sum(length(v)) FROM t'), join('|', $rows, $rows * 700), "$way: all rows are there");
	cmp_ok($used, '<', $limit_kb, "$way: memory is bounded");
	note "$way: $used kB";
	$client->ask('ROLLBACK');
	$client->finish;
}
$cluster->query('TRUNCATE t');

# Progress: at the third piece some rows have been read, of so many bytes.
my $client = $cluster->client;
my $progress = q{SELECT command, type, bytes_processed > 100000, tuples_processed >= 1000, tuples_processed < 150000 FROM pg_stat_progress_copy};
$client->ask(q{SET tessera.fault_points = 'stream_piece:lock:77'});
my $holder = $cluster->client;
$holder->ask('SELECT pg_advisory_lock(77)');
$client->send("$ways{'lines of text'};");
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
$cluster->gives($progress, 'COPY FROM|PROGRAM|t|t|t', 'progress is told');

# A cancel leaves nothing.
$cluster->query('SELECT pg_cancel_backend(' . $client->pid . ')');
like($client->answer, qr/57014/, 'a COPY is cancelled');
$cluster->gives('SELECT count(*) FROM t', '0', 'which leaves no rows');
$client->ask('RESET tessera.fault_points');
is($client->ask('SELECT count(*) FROM t'), '0', 'and the session goes on');

# So does a client that goes away, after pieces have gone out.
$client->ask(q{SET tessera.fault_points = 'stream_piece:wait:20'});
$client->send("$ways{'lines of text'};");
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_stat_progress_copy WHERE tuples_processed > 20000});
$cluster->query('SELECT pg_terminate_backend(' . $client->pid . ')');
$cluster->wait_for(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = } . $client->pid);
$cluster->gives('SELECT count(*) FROM t', '0', 'a session that ends leaves no rows');

# A table that is distributed with its rows tells its progress as well.
$holder->ask('SELECT pg_advisory_unlock(77)');
$cluster->query(q{CREATE TABLE local (k int, v text); INSERT INTO local SELECT i, repeat('x', 900) FROM generate_series(1, 60000) i});
$client = $cluster->client;
$client->ask(q{SET tessera.fault_points = 'stream_piece:wait:2'});
$client->send(q{SELECT tessera.create_distributed_table('local', 'k')});
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_stat_progress_copy WHERE tuples_processed >= 1000});
$cluster->gives(q{SELECT relid::regclass, command, type, bytes_processed BETWEEN 100000 AND bytes_total - 1, bytes_total > 50000000, tuples_processed BETWEEN 1000 AND 59999
	FROM pg_stat_progress_copy}, 'local|COPY FROM|CALLBACK|t|t|t', 'so does a table that becomes distributed');
$cluster->query('SELECT pg_cancel_backend(' . $client->pid . ')');
like($client->answer, qr/57014/, 'it is cancelled');
$cluster->gives(q{SELECT count(*) FROM local}, '60000', 'and stays as it was');
$client->finish;

# A node that is gone in the middle.
$client = $cluster->client;
$client->ask(q{SET tessera.fault_points = 'stream_piece:lock:78'});
$holder->ask('SELECT pg_advisory_lock(78)');
$client->send("$ways{'lines of text'};");
$cluster->wait_for(q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
$cluster->node(2)->stop('immediate');
$holder->ask('SELECT pg_advisory_unlock(78)');
like($client->answer, qr/ERROR:  08/, 'COPY fails when a node is gone');
$cluster->node(2)->start;
$cluster->gives('SELECT count(*) FROM t', '0', 'and leaves no rows');
$client->finish;
$holder->finish;

done_testing();
