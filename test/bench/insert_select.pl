# CPU of all servers for INSERT ... SELECT of many rows beside plain PostgreSQL's, and
# the memory that the coordinator's session takes for it.  Rounds alternate between the
# two, so that other work of the machine hits both; figures are medians.
# "make bench TESTS=../bench/insert_select" runs it; ROWS= is the number of rows,
# ONLY= a pattern of names, ROUNDS= how many.
use strict;
use warnings;
use CpuTime qw(median ticks_of);
use List::Util 'sum';
use TesseraCluster;
use Test::More;
use Time::HiRes qw(time sleep);

my $rows = $ENV{TESS_BENCH_ROWS} // 1_000_000;
my $rounds = $ENV{TESS_POINT_ROUNDS} // 5;
my $only = $ENV{TESS_POINT_ONLY} // '';
my $conf = "max_parallel_workers_per_gather = 0\nautovacuum = off\nfsync = off\nmax_wal_size = 8GB\n"
  . "shared_buffers = 512MB\n";
my $cluster = TesseraCluster->new(nodes => 2, conf => $conf, node_conf => $conf);
my @servers = ($cluster->coordinator, map { $cluster->node($_) } 1 .. 2);
my $columns = 'k, other, at, body, amount';
my @statements = (
	[ 'the same key', "INSERT INTO by_key SELECT $columns FROM source" ],
	[ 'the same key, columns reordered', "INSERT INTO by_key (amount, body, k, other) SELECT amount, body, k, other FROM source" ],
	[ 'grouped by the key', 'INSERT INTO by_key (k, other) SELECT k, count(*) FROM source GROUP BY k' ],
	[ 'another key', "INSERT INTO by_other SELECT $columns FROM source" ],
	[ 'another key, identity', 'INSERT INTO numbered (k, other, body) SELECT k, other, body FROM source' ],
	[ 'another key, DO NOTHING', 'INSERT INTO uniquely SELECT k, other, body FROM source ON CONFLICT DO NOTHING' ],
	[ 'from a local table', "INSERT INTO by_key SELECT $columns FROM here" ],
	[ 'into a local table', "INSERT INTO copy SELECT $columns FROM source" ],
	[ 'CREATE TABLE AS', "CREATE TABLE made AS SELECT $columns FROM source" ]);

# The memory of a process that is its own, in kB.
sub memory
{
	my ($pid) = @_;
	open my $handle, '<', "/proc/$pid/status" or return 0;
	my ($line) = grep { /^RssAnon:/ } <$handle>;
	return $line =~ /(\d+)/ ? $1 : 0;
}

# One run over empty tables: ticks, seconds, and the peak of memory in kB.
sub run
{
	my ($schema, $sql) = @_;
	my $client = $cluster->client;

	$client->ask("SET search_path = $schema; DROP TABLE IF EXISTS made;");
	$client->ask('TRUNCATE by_key; TRUNCATE by_other; TRUNCATE numbered; TRUNCATE uniquely; TRUNCATE copy; CHECKPOINT;');
	my $idle = memory($client->pid);
	my $peak = $idle;
	my $before = sum(ticks_of(@servers));
	my $began = time;

	$client->send($sql);
	until ($client->has_answered)
	{
		my $now = memory($client->pid);

		$peak = $now if $now > $peak;
		sleep 0.02;
	}
	my $answer = $client->answer;
	my $seconds = time - $began;
	my $ticks = sum(ticks_of(@servers)) - $before;

	is($answer, '', "$schema: it is done") if $answer ne '';
	$client->finish;
	return ($ticks, $seconds, $peak - $idle);
}

sub load_schema
{
	my ($schema, $distribute) = @_;
	$cluster->query(<<"SQL");
SET client_min_messages = warning;
CREATE SCHEMA $schema;
SET search_path = $schema;
CREATE TABLE source (k bigint, other int, at timestamptz, body text, amount numeric);
CREATE TABLE by_key (LIKE source);
CREATE TABLE by_other (LIKE source);
CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY, k bigint, other int, body text);
CREATE TABLE uniquely (k bigint, other int PRIMARY KEY, body text);
CREATE TABLE here (LIKE source);
CREATE TABLE copy (LIKE source);
$distribute
INSERT INTO source SELECT i, (i::bigint * 7919) % $rows, timestamptz '2024-01-01' + i * interval '1 second', rpad(md5(i::text), 40, 'x'), (i % 1000) * 1.25 FROM generate_series(1, $rows) i;
INSERT INTO here SELECT * FROM source;
SQL
	$cluster->query("VACUUM (ANALYZE) $schema.source, $schema.here");
	return;
}

load_schema('plain', '');
load_schema('spread', <<'SQL');
SELECT tessera.create_distributed_table('source', 'k', shard_count => 32);
SELECT tessera.create_distributed_table('by_key', 'k', colocate_with => 'source');
SELECT tessera.create_distributed_table('by_other', 'other', shard_count => 32, colocate_with => 'none');
SELECT tessera.create_distributed_table('numbered', 'other', colocate_with => 'by_other');
SELECT tessera.create_distributed_table('uniquely', 'other', colocate_with => 'by_other');
SQL

note "time: $rows rows, medians of $rounds: CPU of all servers in ms, plain, spread and ratio; seconds, plain and spread; memory in MB, plain and spread";
for my $statement (@statements)
{
	my ($name, $sql) = @$statement;
	my %figures;

	next unless $name =~ /$only/;
	for my $round (0 .. $rounds)
	{
		for my $schema ('plain', 'spread')
		{
			my @run = run($schema, $sql);

			next if $round == 0;    # it warms up
			push @{ $figures{$schema}[$_] }, $run[$_] for 0 .. 2;
		}
	}
	my %median = map { my $schema = $_; $schema => [ map { median(@$_) } @{ $figures{$schema} } ] } keys %figures;
	my $ratio = median(map { $figures{spread}[0][$_] / ($figures{plain}[0][$_] || 1) } 0 .. $rounds - 1);

	note sprintf "time: %-32s %7.0f %7.0f %5.2f %7.2f %6.2f %6.1f %6.1f", $name,
	  $median{plain}[0] * 10, $median{spread}[0] * 10, $ratio, $median{plain}[1], $median{spread}[1],
	  $median{plain}[2] / 1024, $median{spread}[2] / 1024;
	cmp_ok($median{spread}[2], '<', 64 * 1024, "$name: memory is bounded");
}

for my $table ('by_key', 'by_other', 'copy')
{
	$cluster->query("SET search_path = $_; TRUNCATE $table; INSERT INTO $table SELECT $columns FROM source") for 'plain', 'spread';
	$cluster->gives("SELECT count(*), sum(hashtextextended(r::text, 0)) = (SELECT sum(hashtextextended(p::text, 0)) FROM plain.$table p) FROM spread.$table r",
		"$rows|t", "$table: the same rows");
}
done_testing();
